"""The Compare page over HTTP: two anonymous systems on one recording, a vote, then the names; and the leaderboard.

A plain page of our own, because Gradio tells every visitor what its pages hold. Everything before the vote comes from
`Bouts.seen`, which knows nothing that tells the two apart. The id of a bout is the only key to it; what changes something must
come from this very site; no address of a visitor is looked at, so the limits count for the whole page and for each bout.

    GET    compare                                   the page
    GET    earshot/compare/FILE                      its own files, from a fixed table
    GET    earshot/compare/start                     {tasks, examples, lasting, keep_hours, votes}
    POST   earshot/compare/bouts                     {listener, example? | draft? with task | after?, stay?, shared?} -> {bout}
    GET    earshot/compare/bouts/ID                  {state "making" | "failed" | "ready" | "voted", recording, …}
    GET    earshot/compare/bouts/ID/audio/TOKEN.pcm  interleaved 16-bit little-endian samples; Range
    POST   earshot/compare/bouts/ID/events           [{id, made, payload}] -> {events: ["saved" | "known", …]}
    DELETE earshot/compare/bouts/ID                  withdraw it
    GET    earshot/compare/leaderboard               ?task= &attribute= &stem= &random=yes &flagged=no
    GET    earshot/compare/votes.jsonl               every vote, for `earshot leaderboard`; listeners under pseudonyms

A recording is sent by ``POST earshot/learn/mixture``. Errors have the three parts of a `SeparationError`; 409 for a vote that
is cast already, 429 too fast (with Retry-After), and as everywhere (`answers`).
"""

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.errors import RatingConflict, RatingsBusy, SeparationError
from separation.listening.arena import ATTRIBUTES, FLAGS, RANDOM_SHARE, SHORTEST_HEARD, line_of
from separation.listening.leaderboard import PRELIMINARY, Board, leaderboard, tasks_of
from separation.ratings import parse_event
from separation.ui.answers import (
    COMMON,
    PRIVATE,
    BadQuery,
    Endpoint,
    NotHere,
    byte_range,
    own_page,
    packed,
    packed_json,
    require_same_site,
    threaded,
    with_body,
)
from separation.ui.bouts import Bouts, Wish
from separation.ui.frame import Services, header_html
from separation.ui.limits import Rate, TooFast
from separation.ui.theme import STYLE

FOLDER = Path(__file__).parent / "compare"
STATIC = {
    "compare.js": (FOLDER, "text/javascript"),
    "choosing.js": (FOLDER, "text/javascript"),
    "bout.js": (FOLDER, "text/javascript"),
    "sounds.js": (FOLDER, "text/javascript"),
    "voting.js": (FOLDER, "text/javascript"),
    "board.js": (FOLDER, "text/javascript"),
    "compare.css": (FOLDER, "text/css"),
    "dark.js": (FOLDER.with_name("owner"), "text/javascript"),
    "switcher.js": (FOLDER.with_name("listen"), "text/javascript"),
    "theme.css": (STYLE.parent, "text/css"),
}
MAX_BODY = 16 * 1024
MOST_EVENTS = 100
"""In one request."""
BOUTS_A_MINUTE = 300
"""Of all visitors: drawing may start two separations, and there `Takes` has the last word."""
EVENTS_A_MINUTE = 240
"""Of one bout."""
ALL_A_MINUTE = 6000
"""Requests of all visitors together, sounds not counted."""

_STATUS: tuple[tuple[type[SeparationError], HTTPStatus], ...] = (
    (TooFast, HTTPStatus.TOO_MANY_REQUESTS),
    (RatingConflict, HTTPStatus.CONFLICT),
    (RatingsBusy, HTTPStatus.SERVICE_UNAVAILABLE),
)
_WORDS: dict[str, type] = {
    "listener": str, "example": str, "draft": str, "task": str, "shared": bool, "after": str, "stay": bool,
}  # fmt: skip
_LONGEST = 200  # characters of a word


def compare_routes(
    services: Services, *, bouts: Bouts | None = None, clock: Callable[[], float] = time.monotonic
) -> list[Route]:
    """The routes above.

    Args:
        services: the models, the jobs, the examples and the ratings.
        bouts: None makes them.
        clock: seconds, for the limits.
    """
    pages = _Pages(services, bouts or Bouts(services), clock)
    plain, heavy = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2)

    def answered(answer: Callable[[Request], Response], limiter: anyio.CapacityLimiter = plain) -> Endpoint:
        return with_body(_refusing(answer), limiter, MAX_BODY)

    bout = "/earshot/compare/bouts/{bout}"
    return [
        Route("/compare", threaded(pages.page, plain)),
        Route("/earshot/compare/start", answered(pages.start)),
        Route("/earshot/compare/leaderboard", answered(pages.leaderboard, heavy)),
        Route("/earshot/compare/votes.jsonl", answered(pages.votes, heavy)),
        Route("/earshot/compare/bouts", answered(pages.draw, heavy), methods=["POST"]),
        Route(bout, answered(pages.seen), methods=["GET"]),
        Route(bout, answered(pages.withdraw), methods=["DELETE"]),
        Route(f"{bout}/events", answered(pages.save), methods=["POST"]),
        Route(f"{bout}/audio/{{token}}.pcm", answered(pages.sound)),
        Route("/earshot/compare/{file}", threaded(pages.static, plain)),
    ]


def _refusing(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """With the answers that these routes share with those of ratings."""

    def refusing(request: Request) -> Response:
        try:
            return answer(request)
        except (TooFast, RatingConflict, RatingsBusy) as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            wait = {"Retry-After": str(error.wait)} if isinstance(error, TooFast) else {}
            return JSONResponse(parts, status, {**PRIVATE, **wait})

    return refusing


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services, bouts: Bouts, clock: Callable[[], float]) -> None:
        self._services, self._bouts = services, bouts
        self._drawn = Rate(BOUTS_A_MINUTE, clock)
        self._events = Rate(EVENTS_A_MINUTE, clock)
        self._all = Rate(ALL_A_MINUTE, clock)
        self._boards: tuple[tuple[str, ...], dict[Board, dict[str, Any]]] = ((), {})
        self._lock = threading.Lock()

    def page(self, request: Request) -> Response:
        text = (FOLDER / "compare.html").read_text(encoding="utf-8")
        owner = bool(self._services.settings.owner_token)
        content = text.replace("{{header}}", header_html("Compare", owner=owner))
        return own_page(content)

    def static(self, request: Request) -> Response:
        """The page's own files, from a fixed table."""
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        folder, media_type = STATIC[name]
        return FileResponse(folder / name, media_type=media_type, headers={**COMMON, "Cache-Control": "no-cache"})

    def start(self, request: Request) -> Response:
        """What can be compared here."""
        self._all.take("", 1)
        known = self._bouts.tasks()
        settings = self._services.settings
        examples = []
        for one in self._bouts.examples:
            sources = set(self._services.card(one.model).sources)
            if any(set(task.sources) == sources for task in known.values()):
                examples.append(
                    {
                        "id": one.id,
                        "title": one.title,
                        "summary": one.summary,
                        "outline": [round(x, 3) for x in one.outline],
                    }
                )
        body = {
            "tasks": [
                {"name": task.name, "sources": list(task.sources), "systems": len(task.systems)}
                for task in known.values()
            ],
            "examples": examples,
            "lasting": settings.ratings_last,
            "keep_hours": settings.keep_hours,
            "random_share": RANDOM_SHARE,
            "least": SHORTEST_HEARD,
            "max_upload_mb": settings.max_upload_mb,
        }
        return JSONResponse(body, headers=PRIVATE)

    def draw(self, request: Request) -> Response:
        """Draw a pair; both are made if they are not there."""
        require_same_site(request)
        wish = _wish(_json(request))
        self._all.take("", 1)
        self._drawn.take("", 1)
        return JSONResponse({"bout": self._bouts.draw(wish).id}, headers=PRIVATE)

    def seen(self, request: Request) -> Response:
        self._all.take("", 1)
        return JSONResponse(self._bouts.seen(request.path_params["bout"]), headers=PRIVATE)

    def withdraw(self, request: Request) -> Response:
        require_same_site(request)
        self._all.take("", 1)
        return JSONResponse({"deleted": self._bouts.withdraw(request.path_params["bout"])}, headers=PRIVATE)

    def save(self, request: Request) -> Response:
        """Add events; answered when they are on disk."""
        require_same_site(request)
        sent = _json(request)
        if not isinstance(sent, list) or not 0 < len(sent) <= MOST_EVENTS:
            raise BadQuery("Save a vote", f"the request is no list of 1 to {MOST_EVENTS} events", "Reload the page")
        events = [parse_event(event) for event in sent]
        bout = request.path_params["bout"]
        self._all.take("", 1)
        self._events.take(bout, len(events))
        return JSONResponse({"events": self._bouts.save(bout, events)}, headers=PRIVATE)

    def sound(self, request: Request) -> Response:
        """The samples of one sound; every one of a bout has as many bytes and the same headers."""
        content, _ = self._bouts.sound(request.path_params["bout"], request.path_params["token"])
        status, first, last = byte_range(request, len(content))
        headers = {**PRIVATE, "Accept-Ranges": "bytes"}
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return Response(None, status, {**headers, "Content-Range": f"bytes */{len(content)}"})
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(content)}"
        return Response(content[first:last], status, headers, "application/octet-stream")

    def leaderboard(self, request: Request) -> Response:
        """What the votes say now."""
        self._all.take("", 1)
        votes = self._bouts.votes()
        names = list(dict.fromkeys([*tasks_of(votes), *self._bouts.tasks()]))
        stems = sorted({field.partition(":")[2] for vote in votes for field in vote.reasons})
        board = _board(request, names, stems)
        version = tuple(vote.trial for vote in votes)
        with self._lock:
            if self._boards[0] != version:
                self._boards = (version, {})
            known = self._boards[1].get(board)
        if known is None:
            known = leaderboard(votes, board).to_json()
            with self._lock:
                self._boards[1][board] = known
        of_task = sorted(
            {field.partition(":")[2] for vote in votes if vote.task == board.task for field in vote.reasons}
        )
        body = {
            **known, "tasks": names, "stems": of_task, "attributes": list(ATTRIBUTES), "flags": FLAGS,
            "preliminary": PRELIMINARY, "random_share": RANDOM_SHARE,
        }  # fmt: skip
        return packed_json(request, body)

    def votes(self, request: Request) -> Response:
        """Every vote as a line."""
        self._all.take("", 1)
        lines = "".join(line_of(vote) for vote in self._bouts.votes())
        response = packed(request, lines.encode(), "application/jsonl")
        response.headers["Content-Disposition"] = 'attachment; filename="votes.jsonl"'
        return response


def _json(request: Request) -> Any:
    try:
        return json.loads(request.state.body)
    except (ValueError, RecursionError):
        raise BadQuery("Compare two systems", "the request is no JSON", "Reload the page") from None


def _wish(sent: Any) -> Wish:
    wrong = not isinstance(sent, dict) or not {"listener"} <= set(sent) <= set(_WORDS)
    if wrong or not all(
        isinstance(value, _WORDS[name]) and len(str(value)) <= _LONGEST for name, value in sent.items()
    ):
        raise BadQuery("Compare two systems", "the request does not say what is to be compared", "Reload the page")
    return Wish(**sent)


def _board(request: Request, names: list[str], stems: list[str]) -> Board:
    """Which votes are asked for; nothing that a client makes up, because boards are remembered."""
    query = request.query_params
    task, attribute, stem = (
        query.get("task") or (names[0] if names else ""),
        query.get("attribute", ""),
        query.get("stem", ""),
    )
    if names and task not in names:
        raise BadQuery("Rank systems", "there is no such task", f"Choose from {', '.join(names)}")
    if attribute not in ("", *ATTRIBUTES) or stem not in ("", *stems):
        raise BadQuery(
            "Rank systems", "there is no such reason or stem", f"Choose from {', '.join(ATTRIBUTES)}, or none"
        )
    switches = {name: query.get(name, default) for name, default in (("random", "no"), ("flagged", "yes"))}
    if not set(switches.values()) <= {"yes", "no"}:
        raise BadQuery("Rank systems", "random and flagged are yes or no", "Leave them out")
    stem = stem if attribute else ""
    return Board(task, attribute, stem, switches["random"] == "yes", switches["flagged"] == "yes")
