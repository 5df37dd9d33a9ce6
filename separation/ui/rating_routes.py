"""What the rating element asks over HTTP: a trial of a job, saving events, how a rating stands, and its withdrawal.

Plain Starlette routes beside those of the player, under the same rules (`separation.ui.routes`): the token of a trial is the
only key to it, everything a client sends is taken for hostile, and what changes something must come from this very site.
No address of a visitor is looked at or kept: the limits count by trial, by job, and for the whole page.

    GET    earshot/rating/FILE                      the element's own module and style
    POST   earshot/ratings/next                     {"listener": ID | null, "after"?: job} -> {"job" | null, "left", "wanted"}
    POST   earshot/jobs/ID/trial                    {"stage", "listener", "hidden", "around"?} -> {"token", …, "rating"}
    POST   earshot/trials/TOKEN/events              [{"id", "made", "payload"}, …] -> {"events": ["saved" | "known", …], "kept"}
    GET    earshot/trials/TOKEN                     the rating as it stands
    DELETE earshot/trials/TOKEN                     withdraw it

An event is answered only when it is on disk. A request is saved as a whole or not at all. Errors have the three parts of a
`SeparationError`: 400 unreadable, 403 from another site, 404 unknown or withdrawn, 409 contradicts what is saved or
the trial is full, 413 too large, 422 not a valid rating, 429 too fast (with Retry-After), 503 try again,
507 no room.
"""

import json
import math
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.errors import RatingConflict, RatingError, RatingsBusy, SeparationError
from separation.ratings import parse_event
from separation.ui.answers import COMMON, PRIVATE, BadQuery, Endpoint, NotHere, require_same_site, threaded
from separation.ui.frame import Services
from separation.ui.limits import Rate, TooFast
from separation.ui.rating_trials import Asked, Standing, Trials
from separation.ui.rating_wanted import next_wanted

FOLDER = Path(__file__).parent / "rating"
STATIC = {
    "rating.js": "text/javascript",
    "mine.js": "text/javascript",
    "outbox.js": "text/javascript",
    "rating.css": "text/css",
}
MAX_BODY = 16 * 1024
"""Bytes of a request."""
EVENTS_A_MINUTE = 120
"""Of one trial: somebody who clicks without a pause makes about sixty."""
TRIALS_A_MINUTE = 60
"""Of one job."""
ALL_A_MINUTE = 6000
"""Requests of all visitors together."""

Answer = Callable[[Request], Response]


class _TooLarge(RatingError): ...


_STATUS: tuple[tuple[type[SeparationError], HTTPStatus], ...] = (
    (RatingConflict, HTTPStatus.CONFLICT),
    (_TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (TooFast, HTTPStatus.TOO_MANY_REQUESTS),
    (RatingsBusy, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""Answers that only these routes give."""


def rating_routes(services: Services, *, clock: Callable[[], float] = time.monotonic) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs, and where ratings and clips go.
        clock: seconds, for the limits.
    """
    pages = _Pages(services, clock)
    # Writes wait for one another in the database: few threads are enough, and the player's routes keep theirs.
    plain, serving = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2)
    trial = "/earshot/trials/{token}"
    return [
        Route("/earshot/rating/{file}", _answered(pages.static, plain)),
        Route("/earshot/ratings/next", _answered(pages.next, plain), methods=["POST"]),
        Route("/earshot/jobs/{job}/trial", _answered(pages.serve, serving), methods=["POST"]),
        Route(f"{trial}/events", _answered(pages.save, plain), methods=["POST"]),
        Route(trial, _answered(pages.standing, plain), methods=["GET"]),
        Route(trial, _answered(pages.withdraw, plain), methods=["DELETE"]),
    ]


def _answered(answer: Answer, limiter: anyio.CapacityLimiter) -> Endpoint:
    """As `threaded`, with the request's body, and with the answers that only these routes give."""

    def refusing(request: Request) -> Response:
        try:
            if len(request.state.body) > MAX_BODY:
                raise _TooLarge("Save a rating", f"it has more than {MAX_BODY // 1024} kB", "Shorten the comment")
            return answer(request)
        except (RatingsBusy, RatingConflict, _TooLarge, TooFast) as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            wait = {"Retry-After": str(error.wait)} if isinstance(error, TooFast) else {}
            return JSONResponse(parts, status, {**PRIVATE, **wait})

    answered = threaded(refusing, limiter)

    async def endpoint(request: Request) -> Response:
        try:
            request.state.body = await _body(request)
        except ClientDisconnect:
            return Response(None, HTTPStatus.BAD_REQUEST)
        return await answered(request)

    return endpoint


async def _body(request: Request) -> bytes:
    """The body, or a little more of it than is allowed: a larger one is not read to its end."""
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > MAX_BODY:
            break
    return body


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services, clock: Callable[[], float]) -> None:
        self._services = services
        self._trials = Trials(services)
        self._events = Rate(EVENTS_A_MINUTE, clock)
        self._served = Rate(TRIALS_A_MINUTE, clock)
        self._all = Rate(ALL_A_MINUTE, clock)

    def static(self, request: Request) -> Response:
        """The element's own files, from a fixed table."""
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        return FileResponse(FOLDER / name, media_type=STATIC[name], headers={**COMMON, "Cache-Control": "no-cache"})

    def serve(self, request: Request) -> Response:
        """The trial of this listener of this job; the same one as long as the job is there."""
        require_same_site(request)
        asked = _asked(_json(request))
        self._all.take("", 1)
        self._served.take(request.path_params["job"], 1)
        standing, token = self._trials.serve(request.path_params["job"], asked)
        return JSONResponse({"token": token, **self._described(standing)}, headers=PRIVATE)

    def next(self, request: Request) -> Response:
        """What the owner wants rated and this listener has not."""
        require_same_site(request)
        listener, after = _collecting(_json(request))
        self._all.take("", 1)
        return JSONResponse(next_wanted(self._services, listener, after=after)._asdict(), headers=PRIVATE)

    def save(self, request: Request) -> Response:
        """Add events; answered when they are on disk."""
        require_same_site(request)
        sent = _json(request)
        if not isinstance(sent, list) or not sent:
            raise BadQuery("Save a rating", "the request is no list of events", "Reload the page")
        events = [parse_event(event) for event in sent]
        token = request.path_params["token"]
        self._all.take("", 1)
        self._events.take(token, len(events))
        statuses = self._trials.save(token, events)
        return JSONResponse({"events": statuses, "kept": self._trials.standing(token).kept}, headers=PRIVATE)

    def standing(self, request: Request) -> Response:
        self._all.take("", 1)
        return JSONResponse(self._described(self._trials.standing(request.path_params["token"])), headers=PRIVATE)

    def withdraw(self, request: Request) -> Response:
        require_same_site(request)
        self._all.take("", 1)
        return JSONResponse({"withdrawn": self._trials.withdraw(request.path_params["token"])}, headers=PRIVATE)

    def _described(self, standing: Standing) -> dict[str, Any]:
        """A trial as its listener may see it, and what becomes of it here."""
        settings = self._services.settings
        lasting = {"answers": settings.ratings_last, "audio": settings.lasting}
        return {**_described(standing), "lasting": lasting}


def _json(request: Request) -> Any:
    try:
        return json.loads(request.state.body)
    except (ValueError, RecursionError):
        raise BadQuery("Save a rating", "the request is no JSON", "Reload the page") from None


def _asked(sent: Any) -> Asked:
    kinds: dict[str, type | tuple[type, ...]] = {"stage": str, "listener": str, "hidden": bool, "around": (int, float)}
    wrong = not isinstance(sent, dict) or not {"stage", "listener", "hidden"} <= set(sent) <= set(kinds)
    if wrong or not all(isinstance(value, kinds[name]) for name, value in sent.items()):
        raise BadQuery("Rate a separation", "the request does not say what is to be rated", "Reload the page")
    around = sent.get("around", 0)
    if isinstance(around, bool) or not math.isfinite(around) or abs(around) > 1e6:
        raise BadQuery("Rate a separation", "the place is not a time", "Reload the page")
    return Asked(sent["stage"], sent["listener"], sent["hidden"], float(around))


def _collecting(sent: Any) -> tuple[str | None, str]:
    """Who comes to rate, and the job that was open before."""
    given = sent if isinstance(sent, dict) and {"listener"} <= set(sent) <= {"listener", "after"} else {"listener": 0}
    listener, after = given["listener"], given.get("after", "")
    if not (listener is None or isinstance(listener, str)) or not isinstance(after, str):
        raise BadQuery("Rate the next one", "the request does not say who asks", "Reload the page")
    return listener, after


def _described(standing: Standing) -> dict[str, Any]:
    """A trial as its listener may see it: nothing that names the model."""
    served, rating = standing.trial.served, standing.rating
    rate = served["sample_rate"]
    clip = served["clip"]
    return {
        "trial": standing.trial.id,
        "made": standing.trial.made,
        "stage": served["stage"],
        "stems": served["stems"],
        "start": served["start"] / rate,
        "duration": served["length"] / rate,
        "clip": [clip["start"] / rate, (clip["start"] + clip["length"]) / rate],
        "hidden": served["hidden"],
        "kept": standing.kept,
        "rating": {
            "answers": [
                {"stem": stem, "scale": scale, "value": value} for (stem, scale), value in rating.answers.items()
            ],
            "marks": [mark.model_dump(mode="json", exclude={"kind"}) for mark in rating.marks.values()],
            "comments": [{"stem": stem, "text": text} for stem, text in rating.comments.items()],
            "training": rating.training,
            "seconds": dict(rating.seconds),
            "modes": {mode: dict(seconds) for mode, seconds in rating.modes.items()},
            "saw_model": rating.saw_model,
            "saw_metrics": rating.saw_metrics,
            "saw_views": rating.saw_views,
            "events": rating.events,
        },
    }
