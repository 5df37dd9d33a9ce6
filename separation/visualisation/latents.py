"""What a model did inside, as pictures and as small records for JSON: masks, activations, histograms, entropy, basis functions.

The numbers are pooled while a job runs (`separation.engine.latents`); here they are laid on a time axis and painted, or
put into lists for whoever draws curves. Masks are painted linearly from 0 to one value for all sources of a stage, so that
they compare: to 1, or where masks are not bounded to what hardly any cell exceeds (shares to 1); activations in dB below
the strongest. *Cells* are the same numbers unpainted, a byte each: who draws them himself can zoom without asking again,
and say the number under a pointer.

Not a spectrogram: rows are basis functions in the order of their centroids, as the grid lays them, whatever their frequencies.
"""

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from separation.errors import ModelError, ShapeError
from separation.visualisation.heatmap import heat_map

ACTIVATIONS_FLOOR_DB = -70.0
"""The darkest colour of activations, below the strongest cell."""
MOST = 0.9
"""Of the mixture's energy: how many basis functions carry so much of it says how busy the inside is."""
USUAL = 0.99
"""Part of the cells of masks that are not bounded that have a colour of their own; the rest is as bright as it gets."""
UNEVEN = 0.02
"""By which the masks of all sources may add up to more or less than one and still be shares."""
SPECTRUM_FLOOR_DB = -80.0
SPECTRUM_LENGTH = 512
"""Samples that a shorter basis function is extended to with zeros, so that its spectrum is a smooth curve."""

Floats = NDArray[np.float32]
Weighting = Literal["energy", "plain", "share"]


class Grid(Protocol):
    """What is needed of an `engine.latents.LatentGrid`."""

    @property
    def sources(self) -> tuple[str, ...]: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def duration(self) -> float: ...
    @property
    def mask_top(self) -> float: ...
    @property
    def entropy(self) -> Floats: ...
    @property
    def histogram(self) -> Floats: ...
    @property
    def histogram_top(self) -> float: ...
    @property
    def bins(self) -> bool: ...
    @property
    def centroid_hz(self) -> Floats: ...
    @property
    def order(self) -> NDArray[np.int64]: ...
    @property
    def encoder(self) -> Floats | None: ...
    @property
    def decoder(self) -> Floats | None: ...
    @property
    def windows(self) -> Floats | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def edges(self) -> NDArray[np.int64]: ...
    def members(self, row: int) -> tuple[int, ...]: ...
    def loudest(self, source: str) -> int: ...
    def mask(self, source: str, weighting: Weighting = "energy") -> Floats: ...
    def activations_db(self) -> Floats: ...


def mask_png(
    grid: Grid,
    source: str,
    offset: float,
    duration: float,
    width: int,
    height: int,
    *,
    weighting: Weighting = "energy",
) -> bytes:
    """The masks of a source between `offset` and `offset` + `duration` seconds of the stage.

    Returns:
        A PNG of `width` by `height` pixels, low basis functions below; black outside the stage.

    Raises:
        ModelError: no such source.
        ShapeError: an empty stretch or an empty picture.
    """
    values = grid.mask(source, weighting)
    top = 1.0 if weighting == "share" else _paint_top(grid)
    return heat_map(_laid(values, grid.duration, offset, duration, width, height, 0.0)[::-1], 0, top)


def activations_png(grid: Grid, offset: float, duration: float, width: int, height: int) -> bytes:
    """The mixture's activations likewise, `ACTIVATIONS_FLOOR_DB` to 0 dB for the strongest cell of the stage."""
    values = grid.activations_db()
    laid = _laid(values, grid.duration, offset, duration, width, height, ACTIVATIONS_FLOOR_DB)
    return heat_map(laid[::-1], ACTIVATIONS_FLOOR_DB, 0)


def mask_cells(grid: Grid, source: str, weighting: Weighting = "energy") -> bytes:
    """The masks of a source, all of the stage: uint8 ``[R, K]``, the lowest row first; 255 is `mask_top` (1 for shares).

    Raises:
        ModelError: no such source.
    """
    top = 1.0 if weighting == "share" else grid.mask_top
    return _bytes(grid.mask(source, weighting) / top)


def activations_cells(grid: Grid) -> bytes:
    """The mixture's activations likewise: 0 for `ACTIVATIONS_FLOOR_DB` and below, 255 for the strongest cell."""
    return _bytes(1 - grid.activations_db() / ACTIVATIONS_FLOOR_DB)


def _bytes(parts: Floats) -> bytes:
    return np.round(np.clip(parts, 0, 1) * 255).astype(np.uint8).tobytes()


def latents_record(grid: Grid) -> dict[str, Any]:
    """What there is to see, and all that is small: one record for a page that draws a stage's latents.

    Returns:
        ``sources``, ``bins``, ``sample_rate`` (Hz), ``duration`` (s), ``rows`` and ``columns`` of the cells; ``hz`` and
        ``order``, the centroids and the indices of all basis functions from low to high; ``edges``, places between the
        rows; ``mask_top``, and ``paint_top`` for the brightest colour, beyond which lie few cells (the same for masks up to
        one); ``floor_db`` of the activations; ``shares``, whether the masks add up to one; ``carrying``, how many basis
        functions hold `MOST` of the mixture's energy (no finer than rows); ``loudest``, for each source the place, from low
        to high, of the basis function in whose row it has most energy; ``histograms`` and ``entropy`` as below.
    """
    order = grid.order.tolist()
    total = sum((grid.mask(source) for source in grid.sources), np.zeros(1, np.float32))
    sounding = grid.activations_db() > ACTIVATIONS_FLOOR_DB
    return {
        "sources": list(grid.sources),
        "bins": grid.bins,
        "sample_rate": grid.sample_rate,
        "duration": grid.duration,
        "rows": grid.rows,
        "columns": grid.columns,
        "hz": _numbers(grid.centroid_hz[grid.order], 1),
        "order": order,
        "edges": grid.edges.tolist(),
        "mask_top": round(grid.mask_top, 4),
        "paint_top": round(_paint_top(grid), 4),
        "floor_db": ACTIVATIONS_FLOOR_DB,
        "shares": bool((np.abs(total - 1)[sounding] < UNEVEN).all()),
        "carrying": _carrying(grid),
        "loudest": {source: order.index(grid.members(grid.loudest(source))[0]) for source in grid.sources},
        "histograms": [histogram_record(grid, source) for source in grid.sources],
        "entropy": entropy_record(grid),
    }


def _paint_top(grid: Grid) -> float:
    """Masks that are not bounded have a few cells far above all others, which would leave the rest in the dark."""
    if grid.mask_top <= 1:
        return grid.mask_top
    usual = float(np.quantile([grid.mask(source) for source in grid.sources], USUAL))
    return min(max(usual, 1.0), grid.mask_top)


def _carrying(grid: Grid) -> int:
    energy = (10 ** (grid.activations_db().astype(np.float64) / 10)).sum(1) * np.diff(grid.edges)
    strongest = np.argsort(-energy, kind="stable")
    reached = np.cumsum(energy[strongest]) / energy.sum()
    enough = strongest[: int(np.searchsorted(reached, MOST)) + 1]
    return sum(len(grid.members(int(row))) for row in enough)


def histogram_record(grid: Grid, source: str) -> dict[str, Any]:
    """How the mixture's energy is spread over a source's mask values: ``{source, edges [H + 1], share [H]}``."""
    _require(grid, source)
    share = grid.histogram[grid.sources.index(source)]
    edges = np.linspace(0, grid.histogram_top, len(share) + 1)
    return {"source": source, "edges": _numbers(edges), "share": _numbers(share)}


def entropy_record(grid: Grid, points: int = 500) -> dict[str, Any]:
    """How undecided the masks are over time: ``{offset, step (s), entropy [K] (None where nothing sounds), mean}``.

    Args:
        grid: the stage's.
        points: at most; so many columns are averaged that no more are needed.
    """
    together = max(1, -(-len(grid.entropy) // points))
    starts = range(0, len(grid.entropy), together)
    groups = [grid.entropy[start : start + together].astype(np.float64) for start in starts]
    means = [float(group[np.isfinite(group)].mean()) if np.isfinite(group).any() else None for group in groups]
    heard = [mean for mean in means if mean is not None]
    return {
        "offset": 0.0,
        "step": grid.duration * together / len(grid.entropy),
        "entropy": [None if mean is None else round(mean, 4) for mean in means],
        "mean": round(float(np.mean(heard)), 4) if heard else None,
    }


def basis_record(grid: Grid, index: int, source: str) -> dict[str, Any]:
    """One basis function: ``{index, place (from low to high), of, hz, bin, encoder, decoder}``.

    The last two are ``{time (s), waveform, hz, db}`` each, spectra in dB below their own peak; the bins of a spectrogram are
    sines of their frequency under the transform's window. None where the basis functions are too long to be kept.

    Raises:
        ModelError: no such basis function, or no such source.
    """
    _require(grid, source)
    count = len(grid.order)
    if not 0 <= index < count:
        raise ModelError(f"Show basis function {index}", f"there are {count}", f"Choose from 0 to {count - 1}")
    encoder = None if grid.encoder is None else grid.encoder[index]
    decoder = None
    if grid.decoder is not None:
        decoder = grid.decoder[grid.sources.index(source) if len(grid.decoder) > 1 else 0, index]
    if grid.windows is not None:
        time = (np.arange(grid.windows.shape[1]) - (grid.windows.shape[1] - 1) / 2) / grid.sample_rate
        encoder, decoder = grid.windows * np.cos(2 * np.pi * grid.centroid_hz[index] * time).astype(np.float32)
    return {
        "index": index,
        "place": int(np.flatnonzero(grid.order == index)[0]),
        "of": count,
        "hz": round(float(grid.centroid_hz[index]), 2),
        "bin": grid.bins,
        "encoder": None if encoder is None else _wave(encoder, grid.sample_rate),
        "decoder": None if decoder is None else _wave(decoder, grid.sample_rate),
    }


def _wave(waveform: Floats, sample_rate: int) -> dict[str, list[float]]:
    n_fft = max(SPECTRUM_LENGTH, len(waveform))
    magnitude = np.abs(np.fft.rfft(waveform.astype(np.float64), n_fft))
    peak = magnitude.max()
    db = 20 * np.log10(np.maximum(magnitude / peak if peak > 0 else magnitude, 10 ** (SPECTRUM_FLOOR_DB / 20)))
    return {
        "time": _numbers(np.arange(len(waveform)) / sample_rate, 8),
        "waveform": _numbers(waveform),
        "hz": _numbers(np.fft.rfftfreq(n_fft, 1 / sample_rate), 2),
        "db": _numbers(db, 2),
    }


def _laid(
    values: Floats, whole: float, offset: float, duration: float, width: int, height: int, outside: float
) -> Floats:
    """Means of ``[R, K]`` that divides `whole` seconds, by pixels of a stretch: ``[height, width]``."""
    if not duration > 0 or width < 1 or height < 1:
        raise ShapeError(
            "Draw masks", f"{duration} s on {width} x {height} pixels", "Ask for a stretch and a pixel at least"
        )
    edges = (offset + np.arange(width + 1) * duration / width) / whole
    over_time = _means(values.astype(np.float64), np.clip(edges, 0, 1))
    laid = _means(over_time.T, np.arange(height + 1) / height).T
    beyond = (edges[1:] <= 0) | (edges[:-1] >= 1)
    laid[:, beyond] = outside
    return laid.astype(np.float32)


def _means(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over intervals of the last axis, which goes evenly from 0 to 1; of an empty interval, the value there."""
    count = values.shape[-1]
    at = edges * count
    running = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(-1)], axis=-1)
    cell = np.minimum(at.astype(np.intp), count - 1)
    reached = running[..., cell] + values[..., cell] * (at - cell)
    span = np.diff(at)
    means: NDArray[np.float64] = np.diff(reached, axis=-1) / np.where(span > 0, span, 1)
    return np.where(span > 0, means, values[..., cell[:-1]])


def _require(grid: Grid, source: str) -> None:
    if source not in grid.sources:
        raise ModelError(f"Look into {source}", "there is no such source", f"Choose from {', '.join(grid.sources)}")


def _numbers(values: NDArray[Any], digits: int = 6) -> list[float]:
    return [round(float(value), digits) for value in values]
