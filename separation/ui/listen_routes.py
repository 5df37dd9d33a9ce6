"""What a listener's page asks over HTTP: begin, see a page, save, go on, hear a sound, withdraw. Knows no Gradio and no model.

Plain Starlette routes, beside Gradio's or alone (`study_server`). The token of a session is the only key to it; everything a
client sends is taken for hostile; what changes something must come from this very site. Nothing that is sent says what a
sound is: no name, no file, no tag that would be the same for the same sound on two pages.

    GET    listen                                   the open studies
    GET    listen/STUDY?pid=…                       the page; also understands PROLIFIC_PID and workerId
    GET    listen/-/FILE                            its module, styles and words: a fixed table
    POST   listen/STUDY/session                     {pid?, s?, language?, device?} -> {session | null, page, link | null}
    GET    listen/s/SESSION                         {page, state}
    POST   listen/s/SESSION/events                  {page, events: [event]} -> {events: ["saved" | "known" | "full"]}
    POST   listen/s/SESSION/next                    {page} -> {page}; 422 has `missing`: the fields, by name and token
    GET    listen/s/SESSION/audio/TOKEN.pcm         interleaved 16-bit little-endian samples; one range at a time
    POST   listen/s/SESSION/withdraw                {} -> {deleted}

An event is answered only when it is on disk. Errors have the three parts of a `SeparationError`: 400 unreadable, 403 from
another site, 404 unknown, 409 the page is closed or says otherwise, 413 too large, 422 not valid, 429 too fast (with
Retry-After), 503 try again, 507 no room.
"""

import json
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import anyio.to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from separation.errors import DataError, RatingConflict, RatingsBusy, SeparationError, StudyError, UnknownTrial
from separation.listening.plans import feasibility
from separation.listening.sessions import Entry, Listening, Missing, read_secret
from separation.listening.studies import Studies
from separation.listening.study import words
from separation.ratings import Store, parse_event
from separation.ratings.sessions import Sessions
from separation.settings import Settings
from separation.ui.answers import (
    COMMON,
    PRIVATE,
    BadQuery,
    Endpoint,
    NotHere,
    byte_range,
    require_same_site,
    threaded,
    with_body,
)
from separation.ui.limits import Rate, TooFast
from separation.ui.listen_files import FILES, POLICY, OpenStudy, index_html, page_html

MAX_BODY = 64 * 1024
"""Bytes of a request."""
MAX_EVENTS = 200
"""Events of a request."""
EVENTS_A_MINUTE = 900
"""Of one session: a slider that is dragged says where it is a few times a second."""
REQUESTS_A_MINUTE = 600
"""Of one session."""
BEGINNINGS_A_MINUTE = 600
"""Of one study: a lecture hall that opens the link at once is let in."""
ALL_A_MINUTE = 60_000
"""Requests of all listeners together."""
PANEL_IDS = ("pid", "PROLIFIC_PID", "workerId")
"""What panels call their id of a listener, in the address."""
PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
"""What Mechanical Turk says of somebody who only looks at the task."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_STATUS: tuple[tuple[type[SeparationError], HTTPStatus], ...] = (
    (RatingConflict, HTTPStatus.CONFLICT),
    (TooFast, HTTPStatus.TOO_MANY_REQUESTS),
    (RatingsBusy, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""Answers that only these routes give."""
_log = logging.getLogger(__name__)

Answer = Callable[[Request], Response]


def open_listening(settings: Settings, store: Store) -> tuple[Listening, Studies]:
    """The listening tests of an installation.

    Args:
        settings: where they lie.
        store: where answers go.
    """
    studies = Studies((settings.studies,), Sessions(store, clock=time.time), clock=time.time)
    return Listening(store, studies, secret=read_secret(settings.listening_secret)), studies


def listen_routes(
    listening: Listening,
    studies: Studies,
    *,
    only: str | None = None,
    header: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> list[Route]:
    """The routes above.

    Args:
        listening: what they do.
        studies: what is open.
        only: the one study that is served; None: all that were launched.
        header: HTML above the list of studies; a study itself never has it.
        clock: seconds, for the limits.
    """
    pages = _Pages(listening, studies, only, header, clock)
    plain, sounds = anyio.CapacityLimiter(16), anyio.CapacityLimiter(16)
    session = "/listen/s/{session}"

    def posted(path: str, answer: Answer) -> Route:
        return Route(path, with_body(_told(answer), plain, MAX_BODY), methods=["POST"])

    def got(path: str, answer: Answer, limiter: anyio.CapacityLimiter = plain) -> Route:
        return Route(path, _threaded(answer, limiter), methods=["GET"])

    return [
        got("/listen", pages.index),
        got("/listen/-/{file}", pages.file),
        got(session, pages.page),
        got(f"{session}/audio/{{sound}}.pcm", pages.audio, sounds),
        posted(f"{session}/events", pages.save),
        posted(f"{session}/next", pages.go_on),
        posted(f"{session}/withdraw", pages.withdraw),
        posted("/listen/{study}/session", pages.enter),
        got("/listen/{study}", pages.study),
    ]


def _threaded(answer: Answer, limiter: anyio.CapacityLimiter) -> Endpoint:
    return threaded(_told(answer), limiter)


def _told(answer: Answer) -> Answer:
    """With the answers that only these routes give, and nothing of what is wrong with a study's files."""

    def told(request: Request) -> Response:
        try:
            return answer(request)
        except Missing as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            body = {**parts, "missing": sorted(error.missing), "why": error.missing}
            return JSONResponse(body, HTTPStatus.UNPROCESSABLE_ENTITY, PRIVATE)
        except (RatingConflict, RatingsBusy, TooFast) as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            wait = {"Retry-After": str(error.wait)} if isinstance(error, TooFast) else {}
            return JSONResponse(parts, status, {**PRIVATE, **wait})
        except (StudyError, DataError, OSError):
            _log.exception("A listening test cannot be served")
            found, advice = "something is wrong with it on the server", "Tell whoever invited you; nothing said is lost"
            parts = {"asked": "Take a listening test", "found": found, "advice": advice}
            return JSONResponse(parts, HTTPStatus.SERVICE_UNAVAILABLE, PRIVATE)

    return told


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(
        self, listening: Listening, studies: Studies, only: str | None, header: str, clock: Callable[[], float]
    ) -> None:
        self._listening = listening
        self._studies = studies
        self._only = only
        self._header = header
        self._events = Rate(EVENTS_A_MINUTE, clock)
        self._requests = Rate(REQUESTS_A_MINUTE, clock)
        self._beginnings = Rate(BEGINNINGS_A_MINUTE, clock)
        self._all = Rate(ALL_A_MINUTE, clock)

    def index(self, request: Request) -> Response:
        """The open studies."""
        self._all.take("", 1)
        found = []
        for launched in self._studies.sessions.studies():
            if launched.state != "open" or self._only not in (None, launched.name):
                continue
            try:
                opened = self._studies.open(launched.name)
            except (StudyError, DataError, UnknownTrial, OSError):
                _log.exception("The study %s cannot be served", launched.name)
                continue
            study, minutes = opened.study, round(feasibility(opened.study, opened.plan).minutes[1])
            title = words(study.title, study.languages[0])
            found.append(OpenStudy(launched.name, title, max(1, minutes), study.languages))
        return HTMLResponse(index_html(found, self._header), headers=_PAGE)

    def study(self, request: Request) -> Response:
        """The page of a study; panels' addresses are brought to the one form that the page knows."""
        self._all.take("", 1)
        name, query = self._name(request), request.query_params
        self._studies.sessions.study(name)
        if query.get("assignmentId") == PREVIEW:
            return HTMLResponse(_PREVIEW, headers=_PAGE)
        pid = _pid(query)
        if pid and "pid" not in query and "s" not in query:
            return RedirectResponse(f"{quote(name)}?{urlencode({'pid': pid})}", HTTPStatus.SEE_OTHER, PRIVATE)
        return HTMLResponse(page_html(), headers=_PAGE)

    def file(self, request: Request) -> Response:
        """The page's own files, from a fixed table."""
        entry = FILES.get(request.path_params["file"])
        if entry is None:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        path, media_type = entry
        return FileResponse(path, media_type=media_type, headers={**COMMON, "Cache-Control": "no-cache"})

    def enter(self, request: Request) -> Response:
        """Begin or go on."""
        require_same_site(request)
        sent = _object(request, {"pid": str, "s": str, "language": str, "device": dict})
        name = self._name(request)
        self._all.take("", 1)
        session = sent.get("s", "")
        if session:
            _possible(session)
            self._requests.take(session, 1)
        else:
            self._beginnings.take(name, 1)
        entry = Entry(
            name, session, sent.get("pid", ""), sent.get("language", "")[:16], _device(sent.get("device", {}))
        )
        token, page = self._listening.enter(entry)
        link = f"listen/{quote(name)}?{urlencode({'s': token})}" if token else None
        return JSONResponse({"session": token or None, "page": page, "link": link}, headers=PRIVATE)

    def page(self, request: Request) -> Response:
        """Where a session stands."""
        page, state = self._listening.page(self._session(request))
        return JSONResponse({"page": page, "state": state}, headers=PRIVATE)

    def save(self, request: Request) -> Response:
        """Add events; answered when they are on disk."""
        require_same_site(request)
        token = self._session(request)
        sent = _object(request, {"page": str, "events": list}, required=("page", "events"))
        if not 0 < len(sent["events"]) <= MAX_EVENTS:
            raise BadQuery("Save an answer", f"{len(sent['events'])} events came", f"Send 1 to {MAX_EVENTS} at once")
        events = [parse_event(event) for event in sent["events"]]
        self._events.take(token, len(events))
        return JSONResponse({"events": self._listening.save(token, sent["page"], events)}, headers=PRIVATE)

    def go_on(self, request: Request) -> Response:
        """Close a page, and see the next one."""
        require_same_site(request)
        token = self._session(request)
        sent = _object(request, {"page": str}, required=("page",))
        return JSONResponse({"page": self._listening.go_on(token, sent["page"])}, headers=PRIVATE)

    def audio(self, request: Request) -> Response:
        """A sound of the page where the session stands; nothing in the answer tells one sound from another."""
        sound = self._listening.sound(self._session(request), request.path_params["sound"])
        size = len(sound.content) if sound.path is None else sound.path.stat().st_size
        status, first, last = byte_range(request, size)
        headers = {**PRIVATE, "Accept-Ranges": "bytes"}
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return Response(None, status, {**headers, "Content-Range": f"bytes */{size}"})
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        if sound.path is None:
            content = sound.content[first:last]
        else:
            with sound.path.open("rb") as file:  # seconds of audio: no need to stream it
                file.seek(first)
                content = file.read(last - first)
        return Response(content, status, headers, "application/octet-stream")

    def withdraw(self, request: Request) -> Response:
        """Delete what a listener said."""
        require_same_site(request)
        return JSONResponse({"deleted": self._listening.withdraw(self._session(request))}, headers=PRIVATE)

    def _name(self, request: Request) -> str:
        """The study in the address."""
        name = str(request.path_params["study"])
        if self._only not in (None, name):
            raise UnknownTrial("Open a listening test", "there is none of that name here", "Check the link")
        return name

    def _session(self, request: Request) -> str:
        """The token in the address, counted."""
        token = _possible(request.path_params["session"])
        self._all.take("", 1)
        self._requests.take(token, 1)
        return token


_PAGE = {**PRIVATE, "Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", "X-Robots-Tag": "noindex"}

_PREVIEW = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>Listening test</title><h1>Listening test</h1><p>Accept the task to begin.</p></html>"
)


def _pid(query: QueryParams) -> str:
    return next((query[name] for name in PANEL_IDS if query.get(name)), "")


def _possible(token: str) -> str:
    """The token, if it can be one."""
    if not _TOKEN.fullmatch(token):
        raise UnknownTrial(
            "Go on with a listening test", "this link leads to none", "Use the link as it was given to you"
        )
    return token


def _object(request: Request, kinds: dict[str, type], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The request's JSON object with these names and types and no others."""
    asked = "Read the request"
    try:
        sent = json.loads(request.state.body or b"{}")
    except (ValueError, RecursionError):
        raise BadQuery(asked, "it is no JSON", "Reload the page") from None
    if not isinstance(sent, dict):
        raise BadQuery(asked, "it is no JSON object", "Reload the page")
    sent = {name: value for name, value in sent.items() if value is not None}
    wrong = [name for name, value in sent.items() if not isinstance(value, kinds.get(name, ()))]
    if wrong or not set(required) <= set(sent):
        lacking = ", ".join(sorted({*wrong, *(set(required) - set(sent))}))[:200]
        raise BadQuery(asked, f"it has these wrong or not at all: {lacking}", "Reload the page")
    return sent


def _device(sent: dict[str, Any]) -> dict[str, Any]:
    """What a browser says of itself, as far as it is short and plain."""
    found: dict[str, Any] = {}
    for name, value in list(sent.items())[:32]:
        if isinstance(value, str):
            found[_plain(name)[:64]] = _plain(value)[:300]
        elif isinstance(value, int | float) and abs(value) < 1e15:  # not so for what is no number
            found[_plain(name)[:64]] = value
    return found


def _plain(text: str) -> str:
    """Without half characters, which nothing can be stored of."""
    return text.encode(errors="replace").decode()
