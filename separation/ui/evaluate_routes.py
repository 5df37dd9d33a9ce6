"""What the Evaluate page asks over HTTP: how far a run is, its rankings and figures, its table, and a second to listen to.

Plain Starlette routes beside those of the player, under the same rules (`separation.ui.routes`): the run's id is the only
key, everything a client sends is taken for hostile, models, tracks, metrics and sources are looked up in what the run itself
holds, and what changes something must come from this very site.

    GET    earshot/evaluate/FILE                    the page's own module, its figures, and plotly.js
    GET    earshot/runs/ID                          state, choices and what could not be measured
    POST   earshot/runs/ID/cancel · DELETE earshot/runs/ID
    GET    earshot/runs/ID/ranking?metric=&source=
    GET    earshot/runs/ID/figures/spread|heat|scatter|pair?metric=&source=&kind=&model=&other=&across=
    GET    earshot/runs/ID/table.csv|table.parquet
    POST   earshot/runs/ID/listen                   {"model", "track", "second"} -> {"job"}: for `<earshot-player>`
"""

import gzip
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.audio import safe_name
from separation.errors import DataError, SeparationError
from separation.evaluation import PROTOCOLS, read_table
from separation.evaluation.tables import table_of
from separation.ui import evaluate_views as views
from separation.ui.answers import COMMON, PRIVATE, BadQuery, NotHere, finite, require_same_site, threaded
from separation.ui.measuring import Measuring
from separation.ui.runs import Run
from separation.visualisation.figures import plotly_script

FOLDER = Path(__file__).parent / "figures"
STATIC = {"evaluate.js": "text/javascript", "figure.js": "text/javascript"}
MAX_BODY = 4096
"""Bytes of a request's body."""

Answer = Callable[[Request], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def evaluation_routes(measuring: Measuring) -> list[Route]:
    """The routes above.

    Args:
        measuring: the runs, their data, and how a second is heard.
    """
    pages = _Pages(measuring)
    plain, heavy = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2)
    run = "/earshot/runs/{run}"
    return [
        Route("/earshot/evaluate/{file}", threaded(pages.static, plain)),
        Route(run, threaded(pages.run, plain), methods=["GET"]),
        Route(run, threaded(pages.delete, plain), methods=["DELETE"]),
        Route(f"{run}/cancel", threaded(pages.cancel, plain), methods=["POST"]),
        Route(f"{run}/ranking", threaded(pages.ranking, heavy)),
        Route(f"{run}/figures/{{figure}}", threaded(pages.figure, heavy)),
        Route(f"{run}/table.{{format}}", threaded(pages.table, heavy)),
        Route(f"{run}/listen", _with_body(pages.listen, heavy), methods=["POST"]),
    ]


def _with_body(answer: Answer, limiter: anyio.CapacityLimiter) -> Endpoint:
    """Read a small body before the thread starts; a larger one is not read."""
    answered = threaded(answer, limiter)

    async def endpoint(request: Request) -> Response:
        body = b""
        try:
            async for block in request.stream():
                body += block
                if len(body) > MAX_BODY:
                    return JSONResponse(_parts(_unreadable()), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PRIVATE)
        except ClientDisconnect:
            return Response(None, HTTPStatus.BAD_REQUEST)
        request.state.body = body
        return await answered(request)

    return endpoint


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._lock = threading.Lock()
        self._kept: tuple[str, views.Table] | None = None  # the finished table that was read last

    @cached_property
    def _plotly(self) -> tuple[bytes, str]:
        """plotly.js compressed, and its tag: 4.8 MB are 1.4 on the way."""
        text, version = plotly_script()
        return gzip.compress(text, 6), f'"plotly-{version}"'

    def static(self, request: Request) -> Response:
        """The page's own files, from a fixed table, and plotly.js as its Python package holds it."""
        name = request.path_params["file"]
        if name == "plotly.min.js":
            return self._script(request)
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        return FileResponse(FOLDER / name, media_type=STATIC[name], headers={**COMMON, "Cache-Control": "no-cache"})

    def _script(self, request: Request) -> Response:
        packed, tag = self._plotly
        headers = {**COMMON, "Cache-Control": "no-cache", "ETag": tag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == tag:
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="text/javascript")
        return Response(gzip.decompress(packed), headers=headers, media_type="text/javascript")

    # -- the run

    def run(self, request: Request) -> Response:
        run = self._run(request)
        state = run.state()
        protocol = PROTOCOLS[run.request.protocol]
        body = {
            "id": run.id,
            "title": run.request.title,
            "models": list(run.request.models),
            "protocol": {"name": protocol.name, "title": protocol.title, "about": protocol.about},
            "state": asdict(state),
            "tracks": self._measuring.described_tracks(run),
            "expires": run.expires,
            **views.choices(self._table(run), run.request.protocol, run.request.models),
        }
        return JSONResponse(finite(body), headers=PRIVATE)

    def cancel(self, request: Request) -> Response:
        require_same_site(request)
        self._run(request).cancel()
        return JSONResponse({"cancelling": True}, headers=PRIVATE)

    def delete(self, request: Request) -> Response:
        require_same_site(request)
        self._measuring.delete(self._run(request))
        return JSONResponse({"deleted": True}, headers=PRIVATE)

    # -- what it found

    def ranking(self, request: Request) -> Response:
        run = self._run(request)
        table = self._table(run)
        chosen = _chosen(request, table)
        return _or_nothing(
            lambda: views.ranking(table, chosen, self._measuring.leaks(run), self._measuring.titles(run))
        )

    def figure(self, request: Request) -> Response:
        """One figure with its table, as `<earshot-figure>` draws it."""
        run = self._run(request)
        table, models = self._table(run), run.request.models
        chosen = _chosen(request, table)
        name = request.path_params["figure"]
        if name == "spread":
            kind: Literal["box", "violin"] = "violin" if request.query_params.get("kind") == "violin" else "box"
            return _or_nothing(lambda: views.spread(table, chosen, kind, models).to_dict())
        if name == "heat":
            model = _one_of(request, "model", table["model"])
            return _or_nothing(lambda: views.heat(table, model, chosen))
        if name == "scatter":
            across = _one_of(request, "across", table["metric"])
            return _or_nothing(lambda: views.against(table, across, chosen.metric, chosen.source, models).to_dict())
        if name == "pair":
            first, second = _one_of(request, "model", table["model"]), _one_of(request, "other", table["model"])
            return _or_nothing(lambda: views.head_to_head(table, first, second, chosen, models))
        raise NotHere("Draw a figure", "there is none of that name", "Ask for spread, heat, scatter or pair")

    def table(self, request: Request) -> Response:
        """The whole table as a file."""
        run, format = self._run(request), request.path_params["format"]
        if format not in ("csv", "parquet"):
            raise NotHere("Download the table", "there is no such format", "Ask for csv or parquet")
        table = self._table(run)
        with TemporaryDirectory(prefix=".", dir=run.folder) as folder:
            path = Path(folder) / f"table.{format}"
            (table.to_csv if format == "csv" else table.to_parquet)(path, index=False)
            content = path.read_bytes()
        name = safe_name(f"Earshot {run.request.title} {run.request.protocol}.{format}")
        kind = "text/csv; charset=utf-8" if format == "csv" else "application/vnd.apache.parquet"
        headers = {**PRIVATE, "Content-Disposition": _attachment(name)}
        return Response(content, headers=headers, media_type=kind)

    def listen(self, request: Request) -> Response:
        """A job in which one second of one track can be heard: made once for a model and track, then found again."""
        require_same_site(request)
        run = self._run(request)
        try:
            asked = json.loads(request.state.body)
            model, track, second = str(asked["model"]), str(asked["track"]), float(asked["second"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _unreadable() from None
        if not 0 <= second < 1e6:
            raise _unreadable()
        table = self._table(run)
        _known("model", model, table["model"])
        _known("track", track, table["track"])
        return JSONResponse({"job": self._measuring.listen(run, model, track, second)}, headers=PRIVATE)

    def _run(self, request: Request) -> Run:
        return self._measuring.runs.get(request.path_params["run"])

    def _table(self, run: Run) -> views.Table:
        """The parts so far; a finished table is read once."""
        state = run.state()
        with self._lock:
            if self._kept is not None and self._kept[0] == run.id:
                return self._kept[1]
            try:
                table = read_table(run.table)
            except DataError:  # no part of it is there yet
                table = table_of([])
            if state.finished:
                self._kept = run.id, table
            return table


def _or_nothing(make: Callable[[], dict[str, Any]]) -> Response:
    """What was asked for; or, where these choices have nothing to show, a sentence: that is an answer, not an error."""
    try:
        body = make()
    except DataError as error:
        body = {"nothing": str(error)}
    return JSONResponse(finite(body), headers=PRIVATE)


def _chosen(request: Request, table: views.Table) -> views.Chosen:
    source = request.query_params.get("source") or None
    if source is not None:
        _known("source", source, table["source"])
    return views.Chosen(_one_of(request, "metric", table["metric"]), source)


def _one_of(request: Request, name: str, column: Any) -> str:
    return _known(name, request.query_params.get(name, ""), column)


def _known(name: str, value: str, column: Any) -> str:
    """What a client names must be in the table."""
    if not (column == value).any():
        raise BadQuery(f"Read the {name}", "this evaluation has none of that name", "Choose one that the page shows")
    return value


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace('"', "'").replace("?", "_")
    return f'attachment; filename="{plain}"'


def _unreadable() -> SeparationError:
    return BadQuery("Listen to a second", "the request cannot be read", "Click a cell of the heat map")


def _parts(error: SeparationError) -> dict[str, str]:
    return {"asked": error.asked, "found": error.found, "advice": error.advice}
