"""What the view *Inside the model* asks over HTTP: the masks and activations of a stage, and single basis functions.

Plain Starlette routes under the rules of `separation.ui.routes`: who has the id of the job may look, whatever a client sends
is taken for hostile, numbers are capped, and the work is that of reading one file of under a megabyte, which is kept in memory
for the next question. Cells travel compressed; those of all sources and of the mixture are 750,000 bytes before that, however
long the recording is, so that a page can zoom in what it has instead of asking for pictures.

    GET earshot/jobs/ID/STAGE/latents                           {sources, hz, order, histograms, entropy, ...}
    GET earshot/jobs/ID/STAGE/latents/masks/SOURCE.cells        ?weighting=energy|plain|share: a byte a cell, lowest row first
    GET earshot/jobs/ID/STAGE/latents/activations.cells
    GET earshot/jobs/ID/STAGE/latents/masks/SOURCE.png          ?offset=&duration= (s) &width=&height= (pixels) &weighting=
    GET earshot/jobs/ID/STAGE/latents/activations.png
    GET earshot/jobs/ID/STAGE/latents/basis/INDEX               ?source=: waveforms and spectra of encoder and decoder
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import get_args

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from separation.engine.jobs import STAGES, Job
from separation.engine.latents import LatentGrid, Weighting, read_grid
from separation.engine.stages import LATENTS
from separation.ui.answers import PRIVATE, BadQuery, NotHere, packed, packed_json, threaded
from separation.ui.frame import Services
from separation.visualisation import (
    MAGMA,
    activations_cells,
    activations_png,
    basis_record,
    latents_record,
    mask_cells,
    mask_png,
)

MAX_WIDTH = 4096
MAX_HEIGHT = 1024
GRIDS = 4
"""Stages whose grid, of about two megabytes, is kept in memory."""
COLOURS = [bytes(colour).hex() for colour in MAGMA[::15]]
"""The colours of the cells from 0 to 255, at every fifteenth."""


def latent_routes(services: Services) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs are looked up in their store.
    """
    pages = _Pages(services)
    limiter = anyio.CapacityLimiter(4)
    latents = "/earshot/jobs/{job}/{stage}/latents"
    return [
        Route(latents, threaded(pages.record, limiter)),
        Route(f"{latents}/masks/{{source}}.cells", threaded(pages.mask_cells, limiter)),
        Route(f"{latents}/masks/{{source}}.png", threaded(pages.mask_picture, limiter)),
        Route(f"{latents}/activations.cells", threaded(pages.activations_cells, limiter)),
        Route(f"{latents}/activations.png", threaded(pages.activations_picture, limiter)),
        Route(f"{latents}/basis/{{index}}", threaded(pages.basis, limiter)),
    ]


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._read = lru_cache(maxsize=GRIDS)(_read)

    def record(self, request: Request) -> Response:
        return packed_json(request, {**latents_record(self._grid(request)), "colours": COLOURS})

    def mask_cells(self, request: Request) -> Response:
        grid = self._grid(request)
        cells = mask_cells(grid, _source(request.path_params["source"], grid), _weighting(request))
        return packed(request, cells, "application/octet-stream")

    def activations_cells(self, request: Request) -> Response:
        return packed(request, activations_cells(self._grid(request)), "application/octet-stream")

    def mask_picture(self, request: Request) -> Response:
        grid = self._grid(request)
        source = _source(request.path_params["source"], grid)
        image = mask_png(grid, source, *_frame(request, grid), weighting=_weighting(request))
        return Response(image, headers=PRIVATE, media_type="image/png")

    def activations_picture(self, request: Request) -> Response:
        grid = self._grid(request)
        return Response(activations_png(grid, *_frame(request, grid)), headers=PRIVATE, media_type="image/png")

    def basis(self, request: Request) -> Response:
        grid = self._grid(request)
        source = _source(request.query_params.get("source", grid.sources[0]), grid)
        text, count = request.path_params["index"], len(grid.order)
        if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) < count):
            raise NotHere("Show a basis function", "the model has none of that number", f"Choose from 0 to {count - 1}")
        return packed_json(request, basis_record(grid, int(text), source))

    def _grid(self, request: Request) -> LatentGrid:
        job: Job = self._store.get(request.path_params["job"])
        stage = request.path_params["stage"]
        if stage not in STAGES or job.stage(stage) is None:
            raise NotHere("Look inside a separation", "it is not there (yet)", "Wait until it has got that far")
        path = job.folder / stage / LATENTS
        try:
            made = path.stat().st_mtime_ns
        except FileNotFoundError:
            raise NotHere(
                "Look inside a separation",
                f"the model {job.request.model} left no masks: it works without them, or ran before they were kept",
                "Separate the recording again with a model that masks, such as vocals or speakers",
            ) from None
        return self._read(path, made)


def _read(path: Path, made: int) -> LatentGrid:
    """The grid of a file that was made at this time: `made` tells a cache when it was made again."""
    return read_grid(path)


def _source(name: str, grid: LatentGrid) -> str:
    if name not in grid.sources:
        raise NotHere("Show a mask", "there is no source of that name", f"Choose from {', '.join(grid.sources)}")
    return name


def _weighting(request: Request) -> Weighting:
    known = get_args(Weighting)
    value = request.query_params.get("weighting", known[0])
    if value not in known:
        raise BadQuery("Read weighting", "it is none of those known", f"Give one of {', '.join(known)}")
    chosen: Weighting = value
    return chosen


def _frame(request: Request, grid: LatentGrid) -> tuple[float, float, int, int]:
    """Offset and duration in seconds of the stage, width and height in pixels; each within its bounds."""
    offset = _number(request, "offset", 0.0, 0.0, grid.duration)
    duration = _number(request, "duration", grid.duration - offset, 1 / grid.sample_rate, grid.duration)
    width = int(_number(request, "width", 1024, 1, MAX_WIDTH))
    return offset, duration, width, int(_number(request, "height", 256, 1, MAX_HEIGHT))


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    """A number from the query, taken to the nearest that is allowed."""
    try:
        value = float(request.query_params.get(name) or default)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadQuery(f"Read {name}", "it is not a number", f"Give one from {low:g} to {high:g}")
    return max(low, min(high, value))
