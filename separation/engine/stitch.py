"""The same voice on the same track: sources of permutation-invariant models, matched from chunk to chunk.

Neighbouring chunks have at least a second in common (`chunks.MATCHED`). There the sources of the new chunk are matched
with the running stream by their inner products, which is correlation weighted by energy: the assignment that
correlates best (Kuhn 1955) wins if it is clearly better than the next.

A pause in the common part says nothing, and a model that hears two seconds forgets in a longer one who was who: a chunk
is cut where nobody sounds for long, and its pieces are matched one by one. For these, and for close calls, each stream
has a running mean of its log spectrum and of its pitch, learned only from frames in which it sounds, and the new
sources are matched by how far they are from these. If that is a close call too, the order before is kept (models seldom
change it: docs/models.md) and the boundary is marked. This tells voices apart by colour and pitch; it is not speaker
recognition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf, log2
from typing import Any

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
VOICE_MARGIN_DB = 0.7
"""Of the summed distances of voices, likewise; below it the order before is kept."""
SURE_DB = 1.5
"""Margin below which the boundary is marked. Not all wrong decisions lie below it: docs/models.md has the figures."""
STRANGER_DB = 5.0
"""Distance to a stream that has not sounded yet."""
PITCH_DB = 0.2
"""What a semitone adds to the distance of two voices."""
FAR = 8.0
"""Semitones from which on pitches are just different."""
VOICED = 0.6
"""Of a frame's energy that repeats after one period, for its pitch to count."""
LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0
FORGOTTEN = 2.0
"""Seconds of silence after which a model may give its sources in another order, in the middle of a chunk too."""
PAUSE = 1e-4
"""Power relative to the running level below which nobody sounds: -40 dB."""
SHARE = 0.1
"""A source sounds in a frame if it has this part of the strongest source's power."""
MEMORY = 30.0
"""Seconds of sound after which a running spectrum forgets as it learns."""
FRAME = 0.064
BANDS = 32
FEW = 3
"""Voiced frames without which there is no pitch."""


@dataclass(frozen=True)
class Piece:
    """A part of a chunk in which the sources keep one order.

    Args:
        start: first sample, counted from the chunk's.
        stop: one past the last.
        order: the source that belongs to each stream.
        sure: False if it could not be told.
    """

    start: int
    stop: int
    order: Order
    sure: bool


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
        self._firm = 0  # samples of the next chunk whose order this one has decided, because they will be heard from it
        self._level = 0.0
        self._voices = [_Voice() for _ in range(sources)]

    def pieces(self, estimates: Samples) -> list[Piece]:
        """Which estimate of ``[S, C, model_length]`` belongs to each stream, from the chunk's start to its end."""
        sounds = _Sounds(estimates, self._rate)
        self._level = max(self._level, sounds.level)
        active = sounds.active(self._level)
        kept = sounds.within(self._first, self._first + self._hop)  # not in the context: what will be heard
        found, firm = [], 0
        for start, stop in sounds.islands(active, estimates.shape[-1]):
            here = active & sounds.within(start, stop)
            self._order, sure = self._match(estimates, start, stop, sounds, here)
            own = here & kept
            firm = stop if own.any() else firm
            found.append(Piece(start, stop, self._order, sure or not own.any()))
            for voice, j in zip(self._voices, self._order, strict=True):
                if sure and own[j].any():
                    voice.learn(*sounds.voice(own[j], j))
        self._before, self._firm = arranged(estimates, found), max(0, firm - self._hop)
        return found

    def _match(self, now: Samples, start: int, stop: int, sounds: "_Sounds", here: Active) -> tuple[Order, bool]:
        if len(now) == 1 or all(voice.unknown for voice in self._voices):
            return self._order, True
        common = min(stop, now.shape[-1] - self._hop, self._firm)
        if self._before is not None and start < common:
            before = self._before[..., self._hop + start : self._hop + common]
            by_correlation = self._by_correlation(before, now[..., start:common])
            if by_correlation is not None:
                return by_correlation, True
        if not here.any():
            return self._order, True
        order, margin = self._by_voice(sounds, here)
        return (order if margin >= VOICE_MARGIN_DB else self._order), margin >= SURE_DB

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

    def _by_voice(self, sounds: "_Sounds", active: Active) -> tuple[Order, float]:
        """The order by colour and pitch, and its margin in dB; somebody must sound."""
        heard: Active = np.any(active, axis=1)
        distance = np.zeros((len(self._voices), len(heard)))
        for j in np.flatnonzero(heard).tolist():
            spectra, pitches = sounds.voice(active[j], j)
            distance[:, j] = [voice.distance(spectra, pitches) for voice in self._voices]
        return assign(-distance, heard)


def arranged(x: NDArray[Any], pieces: Sequence[Piece]) -> NDArray[Any]:
    """Sources ``[S, *, K]`` in the order of the streams; K is any number of steps over the length of the chunk."""
    scale = x.shape[-1] / pieces[-1].stop
    parts = [x[list(p.order)][..., round(p.start * scale) : round(p.stop * scale)] for p in pieces]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


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
    """Band powers and pitches of the sources of a chunk, frame by frame."""

    def __init__(self, estimates: Samples, sample_rate: int) -> None:
        self._rate = sample_rate
        self._n_fft = max(16, 2 ** round(log2(FRAME * sample_rate)))
        missing = max(0, self._n_fft - estimates.shape[-1])
        padded = np.pad(estimates, [(0, 0), (0, 0), (0, missing)])
        frames = np.lib.stride_tricks.sliding_window_view(padded, self._n_fft, axis=-1)[..., :: self._n_fft // 2, :]
        spectra = np.fft.rfft(frames * np.hanning(self._n_fft), axis=-1) / self._n_fft
        power = np.square(np.abs(spectra)).mean(1)
        self._pitch, self._voiced = _pitch(power, self._n_fft, sample_rate)
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

    def islands(self, active: Active, length: int) -> list[tuple[int, int]]:
        """The chunk as stretches with sound in them, cut in the middle of every silence longer than `FORGOTTEN`."""
        hop = self._n_fft // 2
        loud = np.flatnonzero(np.any(active, axis=0))
        gaps = np.flatnonzero(np.diff(loud) * hop > FORGOTTEN * self._rate)
        cuts = [0, *((loud[gaps] + loud[gaps + 1] + 1) // 2 * hop).tolist(), length]
        return list(pairwise(cuts))

    def voice(self, active: Active, source: int) -> tuple[Array, Array]:
        """Of a source's active frames: band levels in dB, ``[K, bands]``, each frame relative to its mean; pitches."""
        bands = self._bands[source, active]
        level_db = 10 * np.log10(bands + 1e-6 * bands.sum(-1, keepdims=True))
        return level_db - level_db.mean(-1, keepdims=True), self._pitch[source, active & self._voiced[source]]


class _Voice:
    """The running mean log spectrum and pitch of a stream."""

    def __init__(self) -> None:
        self._spectrum, self._pitch = _Mean(), _Mean()

    @property
    def unknown(self) -> bool:
        return self._spectrum.value is None

    def learn(self, spectra: Array, pitches: Array) -> None:
        self._spectrum.add(spectra.mean(0), len(spectra))
        if len(pitches) >= FEW:
            self._pitch.add(np.asarray(np.median(pitches)), len(pitches))

    def distance(self, spectra: Array, pitches: Array) -> float:
        """Root mean square difference over bands, dB, and what the difference of pitch adds."""
        if self._spectrum.value is None:
            return STRANGER_DB
        colour = float(np.sqrt(np.square(spectra.mean(0) - self._spectrum.value).mean()))
        if self._pitch.value is None or len(pitches) < FEW:
            return colour
        return colour + PITCH_DB * min(FAR, abs(float(np.median(pitches) - self._pitch.value)))


class _Mean:
    """A mean that forgets as it learns after `MEMORY` seconds of frames."""

    def __init__(self) -> None:
        self.value: Array | None = None
        self._frames = 0.0

    def add(self, value: Array, frames: int) -> None:
        self._frames = min(self._frames + frames, MEMORY / (FRAME / 2))
        part = min(1.0, frames / self._frames)
        self.value = value if self.value is None else self.value + part * (value - self.value)


def _pitch(power: Array, n_fft: int, sample_rate: int) -> tuple[Array, Active]:
    """Pitch in semitones and whether there is one, ``[S, K]``, of power spectra ``[S, K, n_fft // 2 + 1]``.

    The greatest peak of the autocorrelation, divided by the window's own (P. Boersma, 1993, eq. 9).
    """
    shortest, longest = int(sample_rate / HIGHEST_HZ), min(ceil(sample_rate / LOWEST_HZ), n_fft // 2)
    window = np.fft.irfft(np.square(np.abs(np.fft.rfft(np.hanning(n_fft)))), n_fft)
    of_window = window[shortest:longest] / window[0]
    lags = np.fft.irfft(power, n_fft)
    correlation = lags[..., shortest:longest] / of_window / (lags[..., :1] + 1e-30)
    best = correlation.argmax(-1)
    voiced = np.take_along_axis(correlation, best[..., None], -1)[..., 0] > VOICED
    return -12 * np.log2((best + shortest) / sample_rate), voiced


def _edges(bins: int) -> list[int]:
    """Band edges in bins: narrow below, widening as hearing does; never an empty band."""
    edges = np.unique(np.round(np.geomspace(1, bins, BANDS + 1)).astype(int))
    return [0, *edges[1:].tolist()]
