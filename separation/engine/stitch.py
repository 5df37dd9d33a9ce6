"""The same voice on the same track: sources of permutation-invariant models, matched from chunk to chunk.

Neighbouring chunks have at least a second in common (`chunks.MATCHED`). There the sources of the new chunk are matched
with the running stream by their inner products, which is correlation weighted by energy: the assignment that
correlates best (Kuhn 1955) wins if it is clearly better than the next.

A pause in the common part says nothing. For that, and for close calls, each stream has a running mean of its log
spectrum, learned only from frames in which it is the one that sounds, and the new sources are matched by the distance
of their spectra. If that is a close call too, the order of the chunk before is kept and the boundary is marked. This
tells voices apart by their colour; it is not speaker recognition.
"""

from itertools import pairwise
from math import inf, log2

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from separation.engine.chunks import Plan
from separation.signals import Samples

Array = NDArray[np.float64]
Active = NDArray[np.bool_]
Order = tuple[int, ...]

CORRELATION_MARGIN = 0.1
"""Of the normalised correlation, between the best assignment and the next."""
SPECTRUM_MARGIN_DB = 1.0
"""Of the summed spectral distance, likewise."""
STRANGER_DB = 5.0
"""Distance to a stream that has not sounded yet. In seconds of read speech a voice lies 1.6 to 6.8 dB from itself (5 % to
95 %, median 3.5), 2.9 to 11 dB from another of the same sex, 5.6 to 11 dB from one of the other sex."""
PAUSE = 1e-4
"""Power relative to the running level below which nobody sounds: -40 dB."""
SHARE = 0.1
"""A source sounds in a frame if it has this part of the strongest source's power."""
MEMORY = 30.0
"""Seconds of sound after which a running spectrum forgets as it learns."""
FRAME = 0.064
BANDS = 32


class Stitcher:
    """Puts the sources of each chunk in the order of the stream; chunks must come in order.

    Args:
        sources: how many.
        layout: of the chunks.
    """

    def __init__(self, sources: int, layout: Plan) -> None:
        self._hop = layout.to_model(layout.stride)
        self._first = layout.to_model(layout.context)
        self._rate = layout.model_rate
        self._order: Order = tuple(range(sources))
        self._before: Samples | None = None
        self._heard_before = False
        self._level = 0.0
        self._voices = [_Voice() for _ in range(sources)]

    def order(self, estimates: Samples) -> tuple[Order, bool]:
        """Which estimate of ``[S, C, model_length]`` belongs to each stream, and whether that is sure."""
        sounds = _Sounds(estimates, self._rate)
        self._level = max(self._level, sounds.level)
        active = sounds.active(self._level)
        own = active & sounds.within(self._first, self._first + self._hop)  # not in the context: what will be heard
        sure = True
        if self._before is not None and len(estimates) > 1:
            self._order, sure = self._match(self._before, estimates, sounds, active)
        self._before = estimates[list(self._order)]
        self._heard_before = bool(own.any())
        for voice, j in zip(self._voices, self._order, strict=True):
            if own[j].any():
                voice.learn(sounds.spectrum(own, j), int(own[j].sum()))
        return self._order, sure or not self._heard_before

    def _match(self, before: Samples, now: Samples, sounds: "_Sounds", active: Active) -> tuple[Order, bool]:
        by_correlation = self._by_correlation(before[..., self._hop :], now[..., : -self._hop])
        if self._heard_before and by_correlation is not None:
            return by_correlation, True
        # The order of a chunk that was silent but for its context is anybody's guess, so the voices themselves count.
        by_spectrum = self._by_spectrum(sounds, active)
        if by_spectrum is not None:
            return by_spectrum, True
        return by_correlation or self._order, not active.any()

    def _by_correlation(self, before: Samples, after: Samples) -> Order | None:
        """The order by the common part, or None if that holds a pause or a close call."""
        a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (before, after))
        energy = np.square(b).sum(1)
        power = min(float(np.square(a).sum()), float(energy.sum())) / a.shape[1]
        if power <= PAUSE * self._level:
            return None
        weight = np.sqrt(np.square(a).sum() * energy.sum())
        order, margin = assign(a @ b.T / weight, energy > PAUSE * energy.sum())
        return order if margin >= CORRELATION_MARGIN else None

    def _by_spectrum(self, sounds: "_Sounds", active: Active) -> Order | None:
        """The order by colour, or None if nobody sounds or it is a close call."""
        heard: Active = np.any(active, axis=1)
        distance = np.zeros((len(self._voices), len(heard)))
        for j in np.flatnonzero(heard).tolist():
            spectrum = sounds.spectrum(active, j)
            distance[:, j] = [voice.distance(spectrum) for voice in self._voices]
        order, margin = assign(-distance, heard)
        return order if heard.any() and margin >= SPECTRUM_MARGIN_DB else None


def assign(score: Array, matters: Active) -> tuple[Order, float]:
    """The column for every row with the greatest total score, and how much better it is than the next.

    The next best is one that assigns at least one of the columns that `matters` otherwise (first step of Murty 1968).

    >>> assign(np.array([[0.1, 0.9], [0.8, 0.0]]), np.array([True, True]))
    ((1, 0), 1.6)
    """
    rows, columns = linear_sum_assignment(score, maximize=True)
    best = score[rows, columns].sum()
    second = -inf
    for row, column in zip(rows, columns, strict=True):
        if matters[column] and len(rows) > 1:
            other = score.copy()
            other[row, column] = -1e9
            second = max(second, other[linear_sum_assignment(other, maximize=True)].sum())
    return tuple(int(c) for c in columns), float(round(best - second, 12))


class _Sounds:
    """Band powers of the sources of a chunk, frame by frame."""

    def __init__(self, estimates: Samples, sample_rate: int) -> None:
        self._n_fft = max(16, 2 ** round(log2(FRAME * sample_rate)))
        missing = max(0, self._n_fft - estimates.shape[-1])
        padded = np.pad(estimates, [(0, 0), (0, 0), (0, missing)])
        frames = np.lib.stride_tricks.sliding_window_view(padded, self._n_fft, axis=-1)[..., :: self._n_fft // 2, :]
        spectra = np.fft.rfft(frames * np.hanning(self._n_fft), axis=-1) / self._n_fft
        power = np.square(np.abs(spectra)).mean(1)
        edges = _edges(power.shape[-1])
        self._bands: Array = np.stack([power[..., a:b].sum(-1) for a, b in pairwise(edges)], axis=-1)  # [S, K, bands]
        self._power = self._bands.sum(-1)
        self.level = float(self._power.sum(0).max())

    def active(self, level: float) -> Active:
        """``[S, K]``: frames in which a source sounds, given the loudest level so far."""
        loud = self._power > PAUSE * level
        return np.asarray(loud & (self._power >= SHARE * self._power.max(0)))

    def within(self, first: int, last: int) -> Active:
        """``[K]``: frames whose middle lies in samples `first` to `last`."""
        middle = np.arange(self._power.shape[1]) * (self._n_fft // 2) + self._n_fft // 2
        return np.asarray((middle >= first) & (middle < last))

    def spectrum(self, active: Active, source: int) -> Array:
        """Mean band levels in dB of a source's active frames, relative to their mean over bands."""
        power = self._bands[source, active[source]].mean(0)
        level_db = 10 * np.log10(power + 1e-6 * power.sum())
        return np.asarray(level_db - level_db.mean())


class _Voice:
    """The running mean log spectrum of a stream."""

    def __init__(self) -> None:
        self._frames = 0.0
        self._mean: Array | None = None

    def learn(self, spectrum: Array, frames: int) -> None:
        self._frames = min(self._frames + frames, MEMORY / (FRAME / 2))
        part = min(1.0, frames / self._frames)
        self._mean = spectrum if self._mean is None else self._mean + part * (spectrum - self._mean)

    def distance(self, spectrum: Array) -> float:
        """Root mean square over bands, dB."""
        return STRANGER_DB if self._mean is None else float(np.sqrt(np.square(spectrum - self._mean).mean()))


def _edges(bins: int) -> list[int]:
    """Band edges in bins: narrow below, widening as hearing does; never an empty band."""
    edges = np.unique(np.round(np.geomspace(1, bins, BANDS + 1)).astype(int))
    return [0, *edges[1:].tolist()]
