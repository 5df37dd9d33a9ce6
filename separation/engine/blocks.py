"""What a model with blocks did inside, small enough to keep: the blocks over time, their covariance, the memory chunk by chunk.

`BlockPool` watches a run of any `InsideSeparator` that shows what `models.disentangled` shows: for each source a *block*, a few
numbers a frame, with how much the source sounds, and what is remembered of it. Frames are pooled into columns as
`engine.latents` does; the covariance is of the frames themselves.

Not a picture (`visualisation.blocks`), and not the memory itself, with which another run could go on (`engine.memory`).
"""

import json
import secrets
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from separation.engine.observe import ChunkView
from separation.errors import JobError
from separation.metrics.dependence import block_dependence
from separation.models.protocol import InsideSeparator

Floats = NDArray[np.float32]

COLUMNS = 1000
"""Columns at most that a stage is pooled into."""
LOOKS = 300
"""Chunks at most whose memory is kept; of a longer recording every second, third, … one."""
_SHOWN = ("mean", "active", "memory_mean", "memory_variance", "memory_seconds")


@dataclass(frozen=True)
class BlockGrid:
    """The blocks of a stage. S sources, D dimensions a block.

    Args:
        sources: names, in the order of the tracks.
        duration: seconds that the columns divide.
        kept: what is remembered passes from chunk to chunk; False: each chunk has a memory of its own.
        means: ``[S, D, K]``; the mean of each dimension in each column.
        active: ``[S, K]``; how much each source sounds, 0 to 1.
        covariance: ``[S D, S D]`` of all frames.
        dependence: how much the blocks tell of each other (`metrics.dependence`), nats.
        times: ``[P]``; seconds from the stage's start at which the memory was looked at, at the end of a chunk each.
        memory_mean, memory_variance: ``[P, S, D]``, the moments of each source's prior.
        memory_seconds: ``[P, S]``; of sound that is remembered.
    """

    sources: tuple[str, ...]
    duration: float
    kept: bool
    dependence: float
    means: Floats
    active: Floats
    covariance: Floats
    times: Floats
    memory_mean: Floats
    memory_variance: Floats
    memory_seconds: Floats

    @property
    def dimensions(self) -> int:
        return int(self.means.shape[1])

    @property
    def columns(self) -> int:
        return int(self.means.shape[2])


class BlockPool:
    """An observer for `engine.run`.

    Args:
        separator: the one that runs.
        length: of the recording, in samples at the *model's* rate.
    """

    def __init__(self, separator: InsideSeparator, length: int) -> None:
        self._spec, self._length = separator.spec, length
        self._reached = 0  # sample up to which all frames have been seen
        self._columns = 0
        self._memory: list[tuple[float, Floats, Floats, Floats]] = []

    def chunk(self, view: ChunkView) -> None:
        """Add the frames of a chunk that no chunk before it has shown, and the memory after it."""
        if any(name not in view.seen for name in _SHOWN):
            return
        mean, active = (view.seen[name].numpy() for name in ("mean", "active"))
        centres = view.start + np.linspace(0, view.mixture.shape[-1], mean.shape[-1])
        low, high = max(0, self._reached), min(self._length, view.start + view.kept.stop)
        first, last = (int(np.searchsorted(centres, at)) for at in (low, high))
        self._reached = view.start + view.kept.stop
        if last <= first:
            return
        if not self._columns:
            self._begin(mean.shape, float(centres[1] - centres[0]))
        columns = (centres[first:last] * self._columns / self._length).astype(np.intp)
        self._add(mean[..., first:last].astype(np.float64), active[:, 0, first:last].astype(np.float64), columns)
        moments = (view.seen[name][..., 0].numpy() for name in ("memory_mean", "memory_variance", "memory_seconds"))
        seconds = high / self._spec.sample_rate
        self._memory.append((seconds, *(x.astype(np.float32) for x in moments)))

    def _begin(self, shape: tuple[int, ...], hop: float) -> None:
        sources, dimensions, _ = shape
        self._columns = max(1, min(COLUMNS, int(self._length / hop)))
        self._sum = np.zeros((sources, dimensions, self._columns))
        self._sounding = np.zeros((sources, self._columns))
        self._frames = np.zeros(self._columns)
        self._total, self._products = np.zeros(sources * dimensions), np.zeros((sources * dimensions,) * 2)

    def _add(self, mean: NDArray[np.float64], active: NDArray[np.float64], columns: NDArray[np.intp]) -> None:
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        there = columns[starts]
        self._frames[there] += np.diff(starts, append=len(columns))
        self._sum[..., there] += np.add.reduceat(mean, starts, axis=-1)
        self._sounding[..., there] += np.add.reduceat(active, starts, axis=-1)
        flat = mean.reshape(-1, mean.shape[-1])
        self._total += flat.sum(1)
        self._products += flat @ flat.T

    def grid(self) -> BlockGrid | None:
        """All that was seen; None if this run had no blocks to see."""
        if not self._columns:
            return None
        frames, count = np.maximum(self._frames, 1), self._frames.sum()
        mean = self._total / count
        covariance = self._products / count - np.outer(mean, mean)
        looks = self._memory[:: -(-len(self._memory) // LOOKS)]
        times, means, variances, seconds = zip(*looks, strict=True)
        return BlockGrid(
            sources=tuple(self._spec.sources),
            duration=self._length / self._spec.sample_rate,
            kept=self._spec.stateful,
            dependence=float(block_dependence(torch.from_numpy(covariance), self._sum.shape[1])),
            means=(self._sum / frames).astype(np.float32),
            active=(self._sounding / frames).astype(np.float32),
            covariance=covariance.astype(np.float32),
            times=np.array(times, np.float32),
            memory_mean=np.stack(means),
            memory_variance=np.stack(variances),
            memory_seconds=np.stack(seconds)[..., 0],
        )


def save_blocks(path: Path, grid: BlockGrid) -> None:
    """Keep it as a compressed npz file without pickle, under another name first, then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    arrays = {name: getattr(grid, name) for name in _ARRAYS}
    halves = {name: array.astype(np.float16) for name, array in arrays.items() if name != "covariance"}
    rest = {name: getattr(grid, name) for name in _REST}
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(rest)), **(arrays | halves))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_blocks(path: Path) -> BlockGrid:
    """Read what `save_blocks` kept.

    Raises:
        JobError: there is no such file, or it holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            rest: dict[str, Any] = json.loads(str(file["about"]))
            arrays = {name: file[name].astype(np.float32) for name in _ARRAYS}
        return BlockGrid(**arrays, **{**rest, "sources": tuple(rest["sources"])})
    except FileNotFoundError:
        found = "they were not kept: this model has no blocks"
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        found = f"the file is damaged ({type(error).__name__})"
    raise JobError("Show the blocks of a separation", found, "Separate the recording again")


_REST = ("sources", "duration", "kept", "dependence")
_ARRAYS = tuple(field.name for field in fields(BlockGrid) if field.name not in _REST)
