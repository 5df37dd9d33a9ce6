"""What the strip of every second asks: have a stage measured, how far that is, and where a source fares worst.

    POST   earshot/jobs/ID/STAGE/segments                             measure, unless it is being done or is there
    GET    earshot/jobs/ID/STAGE/segments                             how far it is, and all numbers so far
    GET    earshot/jobs/ID/STAGE/segments/worst?source=&metric=&of=&seconds=     -> {"stretches": [[start, end], …]}

Both of the first answer alike: the record of `engine.segments` with rounded numbers and what its metrics and reasons mean,
under ``state`` whether it is complete, measuring, waiting, failed or idle, and ``error`` in three parts. Times are seconds from
the stage's start. The rules are those of `separation.ui.routes`; who has the link to a job may have it measured.
"""

import gzip
import json
import re
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from separation.engine.claims import Claims
from separation.engine.jobs import STAGES, Job
from separation.engine.segment_queue import SegmentQueue, Standing
from separation.engine.segments import COMPARISONS, ENTROPY, Record, worst_stretches
from separation.metrics import METRICS
from separation.metrics.catalogue import REASONS
from separation.ui.answers import PRIVATE, BadQuery, NotHere, require_same_site, threaded
from separation.ui.frame import Services

DECIMALS = {"dB": 2, "dBFS": 1}
"""By unit; `PLAIN_DECIMALS` for the rest. More is noise, and an hour of it is sent."""
PLAIN_DECIMALS = 3
LONGEST = 60.0
"""Seconds of a stretch that may be asked for."""


def segment_routes(services: Services, queue: SegmentQueue | None = None) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs.
        queue: who measures; None makes one.
    """
    store = services.store
    pages = _Pages(services, queue or SegmentQueue(Claims(store.folder / "claims")))
    plain = anyio.CapacityLimiter(8)
    path = "/earshot/jobs/{job}/{stage}/segments"
    return [
        Route(path, threaded(pages.ask, plain), methods=["POST"]),
        Route(path, threaded(pages.look, plain), methods=["GET"]),
        Route(f"{path}/worst", threaded(pages.worst, plain)),
    ]


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services, queue: SegmentQueue) -> None:
        self._store, self._queue = services.store, queue

    def ask(self, request: Request) -> Response:
        require_same_site(request)
        job, stage = self._stage(request)
        self._queue.ask(job, stage)
        return _answer(request, self._queue.look(job, stage))

    def look(self, request: Request) -> Response:
        return _answer(request, self._queue.look(*self._stage(request)))

    def worst(self, request: Request) -> Response:
        record = self._queue.look(*self._stage(request)).record
        if record is None:
            raise NotHere("Find the worst seconds", "nobody has measured this stage", "Open the view of every second")
        asked = request.query_params
        stretches = worst_stretches(
            record,
            asked.get("source", ""),
            asked.get("metric", ""),
            _seconds(asked.get("seconds", "5")),
            of=asked.get("of", "estimate"),
        )
        return JSONResponse({"stretches": stretches}, headers=PRIVATE)

    def _stage(self, request: Request) -> tuple[Job, str]:
        job, stage = self._store.get(request.path_params["job"]), request.path_params["stage"]
        if stage not in STAGES or job.stage(stage) is None:
            raise NotHere("Open a result", "it is not there (yet)", "Wait until the separation has got that far")
        return job, stage


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", text) or not 0 < float(text) <= LONGEST:
        raise BadQuery("Read seconds", "they are no length", f"Give a number above 0, at most {LONGEST:g}")
    return float(text)


def _answer(request: Request, standing: Standing) -> Response:
    """The record is mostly digits: a quarter of it is sent."""
    error = standing.error
    body = {
        "state": standing.state,
        "position": standing.position,
        "error": None if error is None else {"asked": error.asked, "found": error.found, "advice": error.advice},
        **({} if standing.record is None else _rounded(standing.record)),
    }
    content = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    headers = {**PRIVATE, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers = gzip.compress(content, 5), {**headers, "Content-Encoding": "gzip"}
    return Response(content, headers=headers, media_type="application/json")


def _rounded(record: Record) -> dict[str, Any]:
    series = []
    for one in record["series"]:
        digits = DECIMALS.get(METRICS[one["metric"]].unit, PLAIN_DECIMALS)
        values = [None if value is None else round(value, digits) for value in one["values"]]
        series.append({**one, "values": values})
    # So that the page can offer them before the first of their numbers.
    coming = [*(COMPARISONS if record["compared"] else ()), *([ENTROPY] if record["masks"] else ())]
    cards = {name: METRICS[name] for name in dict.fromkeys([*coming, *(one["metric"] for one in series)])}
    reasons = dict.fromkeys(reason for one in series for reason in one["reasons"])
    return {
        **{key: value for key, value in record.items() if key not in ("stamp", "taps", "version")},
        "series": series,
        "metrics": {
            name: {"title": card.title, "unit": card.unit, "direction": card.direction, "about": card.about}
            for name, card in cards.items()
        },
        "reasons": {reason: REASONS[reason] for reason in reasons},
    }
