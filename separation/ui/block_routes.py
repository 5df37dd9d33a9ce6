"""What the view *Blocks* asks over HTTP: the blocks of a stage, their dependence, and what the model remembers.

Plain Starlette routes under the rules of `separation.ui.latent_routes`: who has the id of the job may look, a file of some
hundred kilobytes is read and kept for the next question, and cells travel compressed.

    GET earshot/jobs/ID/STAGE/blocks                 {sources, dimensions, order, times, seconds, dependence, ...}
    GET earshot/jobs/ID/STAGE/blocks/WHAT.cells      means, active, memory-mean, memory-spread, correlation: a byte a cell
    GET earshot/jobs/ID/STAGE/blocks/memory          the memory as a file, with which `earshot separate --memory` goes on
"""

from functools import lru_cache
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from separation.engine.blocks import BlockGrid, read_blocks
from separation.engine.jobs import STAGES, Job
from separation.engine.stages import BLOCKS, MEMORY
from separation.ui.answers import PRIVATE, NotHere, packed, packed_json, threaded
from separation.ui.frame import Services
from separation.visualisation import DIVERGING, MAGMA
from separation.visualisation.blocks import CELLS, block_cells, blocks_record

GRIDS = 4
"""Stages whose blocks are kept in memory."""
COLOURS = {
    name: [bytes(colour).hex() for colour in scale[::15]] for name, scale in (("signed", DIVERGING), ("plain", MAGMA))
}
"""The colours of the cells from 0 to 255, at every fifteenth."""
LOOK = "Look at the blocks of a separation"


def block_routes(services: Services) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs are looked up in their store.
    """
    pages = _Pages(services)
    limiter = anyio.CapacityLimiter(4)
    blocks = "/earshot/jobs/{job}/{stage}/blocks"
    return [
        Route(blocks, threaded(pages.record, limiter)),
        Route(f"{blocks}/{{what}}.cells", threaded(pages.cells, limiter)),
        Route(f"{blocks}/memory", threaded(pages.memory, limiter)),
    ]


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._read = lru_cache(maxsize=GRIDS)(_read)

    def record(self, request: Request) -> Response:
        return packed_json(request, {**blocks_record(self._grid(request)), "colours": COLOURS})

    def cells(self, request: Request) -> Response:
        what = request.path_params["what"]
        if what not in CELLS:
            raise NotHere(LOOK, "there is no such picture of them", f"Choose from {', '.join(CELLS)}")
        return packed(request, block_cells(self._grid(request), what), "application/octet-stream")

    def memory(self, request: Request) -> Response:
        path = self._folder(request) / MEMORY
        if not path.is_file():
            raise NotHere("Save what a model remembers", "this one remembers nothing", "Choose a model with a memory")
        return FileResponse(path, headers=PRIVATE, media_type="application/octet-stream", filename="memory.safetensors")

    def _grid(self, request: Request) -> BlockGrid:
        path = self._folder(request) / BLOCKS
        try:
            made = path.stat().st_mtime_ns
        except FileNotFoundError:
            found, advice = "its model has none", "Separate the recording with a model that has, such as disentangled"
            raise NotHere(LOOK, found, advice) from None
        return self._read(path, made)

    def _folder(self, request: Request) -> Path:
        job: Job = self._store.get(request.path_params["job"])
        stage = request.path_params["stage"]
        if stage not in STAGES or job.stage(stage) is None:
            raise NotHere(LOOK, "it is not there (yet)", "Wait until it has got that far")
        folder: Path = job.folder / stage
        return folder


def _read(path: Path, made: int) -> BlockGrid:
    """The blocks of a file that was made at this time: `made` tells a cache when it was made again."""
    return read_blocks(path)
