"""Raw estimates -> the tracks a user gets, and how well those add up.

Models do not keep the sum of their sources equal to the mixture. The engine does, without touching what is closest to
the model's intent: of two sources the last becomes mixture minus the other; of more, each takes an equal part of what
is missing (mixture consistency with equal weights: Wisdom et al. 2019, arXiv:1811.08521). No stem is ever scaled by
itself: if a track would clip there is one common gain for all.
"""

from collections.abc import Callable, Sequence
from math import log10
from typing import Protocol

import numpy as np

from separation.engine.options import RESIDUAL
from separation.errors import Cancelled, ShapeError
from separation.signals import Samples

NULL_FLOOR_DB = -200.0
FULL_SCALE = 1 - 2.0**-15
"""The greatest sample that fits into 16 bits."""
BLOCK = 1 << 17
"""Samples compared at once by `null_db`."""


class Readable(Protocol):
    """As much of a reader as `null_db` needs."""

    @property
    def length(self) -> int: ...

    def read(self, start: int, length: int) -> Samples: ...


def deliver(raw: Samples, mixture: Samples, sources: Sequence[str], *, consistency: bool) -> dict[str, Samples]:
    """Raw estimates ``[S, C, T]`` and the mixture ``[C, T]`` -> every track by name, float32 ``[C, T]``.

    A lone source is the raw estimate. `RESIDUAL` is mixture - sum of the raw estimates, so that without `consistency`
    (and for a lone source) stems and residual add up to the mixture; with it, the stems alone do.
    """
    missing = mixture.astype(np.float64)
    for estimate in raw:
        missing -= estimate
    tracks: dict[str, Samples] = dict(zip(sources, raw, strict=True))
    if consistency and len(sources) == 2:
        tracks[sources[1]] = mixture - raw[0]
    elif consistency and len(sources) > 2:
        tracks = dict(zip(sources, (raw + missing / len(sources)).astype(np.float32), strict=True))
    return tracks | {RESIDUAL: missing.astype(np.float32)}


def common_gain(peak: float) -> float:
    """The one gain, at most 1, that keeps everything up to `peak` from clipping.

    >>> common_gain(0.9), round(common_gain(2.0), 4)
    (1.0, 0.5)
    """
    return 1.0 if peak <= 1 else FULL_SCALE / peak


def null_db(
    mixture: Readable, tracks: Sequence[Readable], *, cancelled: Callable[[], bool] | None = None
) -> float | None:
    """How far below the mixture lies what is left of it after subtracting the tracks.

    Meant for the written files. Streams; float64.

    Returns:
        ``10 log10(Σ (mixture - Σ tracks)² / Σ mixture²)`` dB, not below `NULL_FLOOR_DB`; None for a silent mixture.

    Raises:
        ShapeError: a track has another length than the mixture.
        Cancelled: `cancelled` said so.
    """
    lengths = {track.length for track in tracks} | {mixture.length}
    if len(lengths) > 1:
        raise ShapeError(
            "Measure how well stems add up", f"lengths of {sorted(lengths)} samples", "Pass tracks of one recording"
        )
    power, left = 0.0, 0.0
    for start in range(0, mixture.length, BLOCK):
        if cancelled is not None and cancelled():
            raise Cancelled("Measure how well stems add up", "it was cancelled", "Start again when you like")
        length = min(BLOCK, mixture.length - start)
        whole = mixture.read(start, length).astype(np.float64)
        power += float(np.square(whole).sum())
        for track in tracks:
            whole -= track.read(start, length)
        left += float(np.square(whole).sum())
    if power == 0:
        return None
    return max(NULL_FLOOR_DB, 10 * log10(left / power)) if left > 0 else NULL_FLOOR_DB
