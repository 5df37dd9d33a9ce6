"""The blocks of a latent as numbers for a page: over time, against each other, and as they are remembered.

*Cells* are a byte each, row after row, for whoever draws them himself. Signed values lie around 128 and reach the ends at
`top`; rows come in the order that tells the sources apart, the most telling first: the numbers of a block have no order of
their own. Not a heat map of frequencies: a row is one dimension of what the model makes of a source.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from separation.errors import ModelError

USUAL = 0.995
"""Part of the values that have a colour of their own; the rest is as bright as it gets."""
CELLS = ("means", "active", "memory-mean", "memory-spread", "correlation")

Floats = NDArray[np.float32]


class Blocks(Protocol):
    """What is needed of an `engine.blocks.BlockGrid`."""

    @property
    def sources(self) -> tuple[str, ...]: ...
    @property
    def duration(self) -> float: ...
    @property
    def kept(self) -> bool: ...
    @property
    def dependence(self) -> float: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def means(self) -> Floats: ...
    @property
    def active(self) -> Floats: ...
    @property
    def covariance(self) -> Floats: ...
    @property
    def times(self) -> Floats: ...
    @property
    def memory_mean(self) -> Floats: ...
    @property
    def memory_variance(self) -> Floats: ...
    @property
    def memory_seconds(self) -> Floats: ...


def blocks_record(grid: Blocks) -> dict[str, Any]:
    """All that is small.

    Returns:
        ``sources``, ``dimensions`` of a block, ``columns`` of the blocks and ``duration`` (s) that they divide; ``kept``,
        whether the memory passes from chunk to chunk; ``times`` (s) at which it was looked at; ``seconds``, for each source at
        each of them, of sound that is remembered; ``apart``, at each of them, how many nats a frame of one source lies from
        the memory of another; ``order``, the dimensions from the most telling to the least; ``top``, ``memory_top`` and
        ``spread_top``, the values of the byte 255 of the blocks and of what is remembered; ``dependence`` between the blocks in
        nats; ``between`` and ``within``, the root mean square correlation of dimensions of different blocks, and of the same.
    """
    correlation = _correlation(grid)
    block = np.arange(len(correlation)) // grid.dimensions
    same, itself = block[:, None] == block, np.eye(len(correlation), dtype=bool)
    return {
        "sources": list(grid.sources),
        "dimensions": grid.dimensions,
        "columns": grid.columns,
        "duration": grid.duration,
        "kept": grid.kept,
        "times": _numbers(grid.times),
        "seconds": [_numbers(row) for row in grid.memory_seconds.T],
        "apart": _numbers(_apart(grid)),
        "order": telling(grid).tolist(),
        "top": round(_top(grid), 4),
        "memory_top": round(_memory_top(grid), 4),
        "spread_top": round(_spread_top(grid), 4),
        "dependence": round(grid.dependence, 3),
        "between": _rms(correlation[~same]),
        "within": _rms(correlation[same & ~itself]),
    }


def block_cells(grid: Blocks, what: str) -> bytes:
    """One of `CELLS`, uint8.

    - means: ``[S D, K]``, times how much the source sounds: silence is dark;
    - active: ``[S, K]``, 0 to 1;
    - memory-mean, memory-spread: ``[S D, P]``; the spread is a standard deviation;
    - correlation: ``[S D, S D]`` from -1 to 1.

    Raises:
        ModelError: no such cells.
    """
    order = telling(grid)
    match what:
        case "means":
            return _signed((grid.means * grid.active[:, None])[:, order], _top(grid))
        case "active":
            return _bytes(grid.active)
        case "memory-mean":
            return _signed(np.moveaxis(grid.memory_mean, 0, -1)[:, order], _memory_top(grid))
        case "memory-spread":
            return _bytes(np.moveaxis(np.sqrt(grid.memory_variance), 0, -1)[:, order] / _spread_top(grid))
        case "correlation":
            rows = np.concatenate([order + grid.dimensions * source for source in range(len(grid.sources))])
            return _signed(_correlation(grid)[np.ix_(rows, rows)], 1.0)
    raise ModelError(f"Show {what} of the blocks", "there is no such picture", f"Choose from {', '.join(CELLS)}")


def telling(grid: Blocks) -> NDArray[np.intp]:
    """The dimensions from the one that tells the remembered sources apart most to the one that does least.

    By the variance of their means over the mean of their variances, at the last look (Fisher, 1936).
    """
    mean, variance = grid.memory_mean[-1], grid.memory_variance[-1]
    ratio = mean.var(0) / variance.mean(0)
    return np.argsort(-ratio, kind="stable")


def _apart(grid: Blocks) -> Floats:
    """``KL(one || other)`` of the Gaussians that are remembered, summed over dimensions, the mean over all pairs: ``[P]``."""
    mean, variance = grid.memory_mean.astype(np.float64), grid.memory_variance.astype(np.float64)
    sources = len(grid.sources)
    total = np.zeros(len(mean))
    for i in range(sources):
        for j in range(sources):
            if i != j:
                ratio = (variance[:, i] + np.square(mean[:, i] - mean[:, j])) / variance[:, j]
                total += 0.5 * (np.log(variance[:, j] / variance[:, i]) + ratio - 1).sum(-1)
    return (total / (sources * (sources - 1))).astype(np.float32)


def _correlation(grid: Blocks) -> Floats:
    deviation = np.sqrt(np.maximum(np.diagonal(grid.covariance), 1e-12))
    found: Floats = np.clip(grid.covariance / np.outer(deviation, deviation), -1, 1).astype(np.float32)
    return found


def _top(grid: Blocks) -> float:
    return max(float(np.quantile(np.abs(grid.means * grid.active[:, None]), USUAL)), 1e-3)


def _memory_top(grid: Blocks) -> float:
    return max(float(np.abs(grid.memory_mean).max()), 1e-3)


def _spread_top(grid: Blocks) -> float:
    return max(float(np.sqrt(grid.memory_variance.max())), 1e-3)


def _rms(values: Floats) -> float:
    return round(float(np.sqrt(np.square(values).mean())), 4) if values.size else 0.0


def _numbers(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in values]


def _bytes(parts: NDArray[Any]) -> bytes:
    return bytes(np.round(np.clip(parts, 0, 1) * 255).astype(np.uint8))


def _signed(values: Floats, top: float) -> bytes:
    """128 for zero, so that it has a colour of its own."""
    return bytes(np.round(128 + 127 * np.clip(values / top, -1, 1)).astype(np.uint8))
