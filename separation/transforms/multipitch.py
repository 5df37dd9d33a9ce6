"""The pitches of several voices that sing together, and which of them is whose.

Nothing maintained that installs beside the rest has this (transcribers give notes, and the networks for choirs are not
packaged), so it is done in three steps from the literature, with nothing learned:

1. *What sounds.* Magnitudes, flattened towards their local mean (A. Klapuri, ISMIR 2006, section 2.1), are explained as a sum
   of combs, the window's main lobe at every multiple of a pitch, with non-negative weights: the generalised Kullback-Leibler
   divergence falls by multiplicative updates (D. Lee, H. S. Seung, NIPS 2000). It is harmonic NMF with fixed, flat combs
   (E. Vincent, N. Bertin, R. Badeau, TASLP 2010, section II). A pitch that others explain gets no weight, so there is no need
   to subtract one voice after the other.
2. *Candidates.* The highest peaks of these weights in each frame, a few more than there are voices.
3. *Whose it is.* A path through states, each of which gives candidates to voices from the highest to the lowest, or says that a
   voice is silent: voices do not cross, and go on where they were. The best path by dynamic programming (A. Viterbi), over the
   most likely states of each frame. A voice is drawn, weakly, to where it has been within some seconds.

Order and continuity are those of K. Schulze-Forster et al., TASLP 2023, section IV-A. What it cannot do: two voices on one
note are found as one, an octave above a strong voice is easily missed, and voices that do cross change places. Figures:
docs/pitch.md, measured by `benchmarks.pitch`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from separation.errors import Cancelled, ShapeError
from separation.signals import Signal
from separation.transforms.pitch import HIGHEST_HZ, HOP, LOWEST_HZ, RATE, PitchTrack, at_rate

MOST_VOICES = 6

Floats = NDArray[np.float32]
Array = NDArray[Any]

_WINDOW = 2048  # samples: partials of two voices 20 Hz apart are two
_AN_OCTAVE = 120  # combs: one every 10 cents
_TOP_HZ = 4000.0  # partials above are weak, and hardly ever a voice's own
_FALL = 0.2  # of a comb: its tooth m is m to the minus this
_BLUR = 15.0  # cents by which a tooth is wider than the window's lobe: voices are never still
_FLATTEN = 0.4  # power of the local mean by which magnitudes are divided
_ROUNDS = 25  # of updates
_BLOCK = 1250  # frames at a time: 20 s
_SMOOTH_BINS, _SMOOTH_FRAMES = 1.5, 1.5
_MORE = 4  # candidates beyond the number of voices
_TYPICAL = 90  # percentile, over frames, of the strongest candidate, that strengths are measured by
_FAINT = 0.02  # of it: strengths count by their logarithm above this
_SILENT = 0.8  # what a silent voice counts; a candidate must count more
_GLIDE = 1.0  # the cost of a semitone between frames
_LEAP = 3.0  # no step costs more
_TURN = 1.0  # the cost of beginning or ending to sing
_RANGE = 800.0  # cents from where a voice has been at which a candidate counts 1/2 less
_MEMORY = 625  # frames over which that is: 10 s
_SURE = 0.15  # of the typical strength: peaks by which voices are first placed
_STATES = 40  # of a frame that are followed


@dataclass(frozen=True)
class Candidates:
    """Pitches that may sound.

    Args:
        hz: ``[K, P]``, falling; 0 where there are no more.
        strength: of each, ``[K, P]``.
    """

    hz: Floats
    strength: Floats


def voice_names(voices: int) -> tuple[str, ...]:
    """What voices are called from the highest to the lowest when nobody has said.

    >>> voice_names(2)
    ('voice 1', 'voice 2')
    """
    if voices == 4:
        return "soprano", "alto", "tenor", "bass"
    return tuple(f"voice {number}" for number in range(1, voices + 1))


def track_mixture(signal: Signal, voices: int) -> list[PitchTrack]:
    """The pitch of each of several voices, the highest first; a value every `HOP` samples at `RATE`.

    For audio in memory; `MixtureTracker` takes it in blocks.

    Raises:
        ShapeError: no voice, or more than `MOST_VOICES`.
    """
    tracker = MixtureTracker(voices)
    tracker.push(at_rate(signal))
    return tracker.finish()


class MixtureTracker:
    """`track_mixture` for audio that arrives block by block; a few kB a second stay in memory.

    Args:
        voices: 1 to `MOST_VOICES`.

    Raises:
        ShapeError: another number.
    """

    def __init__(self, voices: int) -> None:
        if not 1 <= voices <= MOST_VOICES:
            raise ShapeError(
                "Find the pitch of every voice",
                f"{voices} voices were asked for",
                f"Ask for 1 to {MOST_VOICES} of them",
            )
        self._voices = voices
        self._buffer = np.zeros(_WINDOW // 2, np.float32)  # begins half a window before the next frame
        self._length = 0
        self._found: list[Candidates] = []

    def push(self, samples: Floats) -> None:
        """Take the next samples ``[T]``, at `RATE`."""
        self._length += len(samples)
        self._buffer = np.concatenate([self._buffer, samples])
        while len(self._buffer) >= _BLOCK * HOP + _WINDOW:
            self._look(_BLOCK)

    def finish(self, *, cancelled: Callable[[], bool] | None = None) -> list[PitchTrack]:
        """The tracks: ``1 + ceil(T / HOP)`` values each.

        Raises:
            Cancelled: `cancelled` said so.
        """
        left = 1 + ceil(self._length / HOP) - sum(len(each.hz) for each in self._found)
        self._buffer = np.pad(self._buffer, (0, (left - 1) * HOP + _WINDOW - len(self._buffer)))
        self._look(left)
        found = Candidates(*(np.concatenate([getattr(c, name) for c in self._found]) for name in ("hz", "strength")))
        hz = follow(found, self._voices, cancelled=cancelled)
        times = np.arange(hz.shape[1]) * HOP / RATE
        return [PitchTrack(times, voice) for voice in hz]

    def _look(self, frames: int) -> None:
        self._found.append(_candidates(self._buffer[: (frames - 1) * HOP + _WINDOW], self._voices + _MORE))
        self._buffer = self._buffer[frames * HOP :]


def follow(found: Candidates, voices: int, *, cancelled: Callable[[], bool] | None = None) -> Floats:
    """Give candidates to voices: Hz ``[S, K]``, the highest voice first, 0 where it is silent.

    Raises:
        Cancelled: `cancelled` said so.
    """
    frames, count = found.hz.shape
    typical = np.percentile(found.strength.max(1), _TYPICAL)
    if typical <= 0:
        return np.zeros((voices, frames), np.float32)
    worth = np.where(found.hz > 0, np.log1p(found.strength / (_FAINT * typical)), -np.inf)
    cents = 1200 * np.log2(np.maximum(found.hz, 1))
    places = _places(found, voices, typical)
    states, each = _states(count, voices), np.arange(voices)
    several = min(_STATES, len(states))
    counts = np.full((count + 1, voices), _SILENT)
    cost = np.full((count + 1, count + 1), _TURN)  # of going from each candidate, or silence (the last), to each
    cost[-1, -1] = 0
    kept: list[tuple[Array, Array]] = []
    chosen, score = np.full((1, voices), -1), np.zeros(1)
    for frame in range(frames):
        if cancelled is not None and frame % 1000 == 0 and cancelled():
            raise Cancelled("Find the pitch of every voice", "it was stopped", "Start it again when you like")
        away = (cents[frame][:, None] - places[:, frame]) / _RANGE
        counts[:-1] = worth[frame][:, None] - 0.5 * away**2
        total = counts[states, each].sum(1)
        best = np.argpartition(-total, several - 1)[:several]
        before, now = chosen, states[best]
        cost[:-1, :-1] = np.minimum(np.abs(cents[max(frame - 1, 0)][:, None] - cents[frame]) * (_GLIDE / 100), _LEAP)
        paths = score[:, None] - cost[before[:, None], now[None]].sum(2)
        come = paths.argmax(0)
        score = paths[come, np.arange(several)] + total[best]
        chosen = now
        kept.append((now.astype(np.int8), come.astype(np.int16)))
    hz = np.zeros((voices, frames), np.float32)
    at = int(score.argmax())
    padded = np.pad(found.hz, ((0, 0), (0, 1)))
    for frame in range(frames - 1, -1, -1):
        states_now, come = kept[frame]
        hz[:, frame] = padded[frame, states_now[at]]
        at = int(come[at])
    return hz


@lru_cache(maxsize=8)
def _states(count: int, voices: int) -> Array:
    """Every way to give falling candidates to falling voices: ``[N, S]``, -1 for a silent voice."""
    states = []
    for some in range(voices + 1):
        for candidates in combinations(range(count), some):
            for singers in combinations(range(voices), some):
                state = np.full(voices, -1)
                state[list(singers)] = candidates
                states.append(state)
    return np.array(states)


def _places(found: Candidates, voices: int, typical: float) -> Array:
    """Where each voice is, in cents, by the strong candidates around: ``[S, K]``.

    Frames with one candidate a voice say which is whose. In frames with fewer, each goes to the nearest voice, in order.
    """
    frames = len(found.hz)
    strong = np.where(found.strength > _SURE * typical, found.strength, 0)
    best = np.argsort(-strong, axis=1)[:, :voices]
    hz = np.where(np.take_along_axis(strong, best, 1) > 0, np.take_along_axis(found.hz, best, 1), 0)
    hz = -np.sort(-hz, axis=1)
    cents, several = 1200 * np.log2(np.maximum(hz, 1)), (hz > 0).sum(1)
    full = several == voices
    middle = 1200 * log2(LOWEST_HZ * HIGHEST_HZ) / 2
    spread = middle + 700 * (np.arange(voices)[::-1] - (voices - 1) / 2)
    places = np.repeat((np.median(cents[full], axis=0) if full.any() else spread)[:, None], frames, axis=1)
    for _ in range(3):
        given = np.full((voices, frames), np.nan)
        for some in range(1, voices + 1):
            at = np.flatnonzero(several == some)
            if not len(at):
                continue
            singers = np.array(list(combinations(range(voices), some)))
            away = np.abs(cents[at, None, :some] - places[singers][:, :, at].transpose(2, 0, 1)).sum(2)
            given[singers[away.argmin(1)].T, at] = cents[at, :some].T
        for voice, line in enumerate(given):
            at = np.flatnonzero(np.isfinite(line))
            if len(at):
                near = median_filter(line[at], size=min(_MEMORY, len(at)), mode="nearest")
                places[voice] = (np.interp(np.arange(frames), at, near) + np.median(line[at])) / 2
    return places


def _candidates(samples: Floats, count: int) -> Candidates:
    """The highest peaks of the combs' weights in the frames of ``[T]``; the first frame begins with it."""
    frames = 1 + (len(samples) - _WINDOW) // HOP
    windowed = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::HOP] * np.hanning(_WINDOW + 1)[:-1]
    magnitudes = np.abs(np.fft.rfft(windowed.astype(np.float32), axis=1)).astype(np.float32)
    bins, combs, pitches = _combs()
    hz, strength = np.zeros((2, frames, count), np.float32)
    if magnitudes.max(initial=0) <= 0:
        return Candidates(hz, strength)
    weights = _weights(_flattened(magnitudes)[:, bins], combs)
    smooth = gaussian_filter1d(gaussian_filter1d(weights, _SMOOTH_BINS, axis=1), _SMOOTH_FRAMES, axis=0)
    inner, lower, upper = smooth[:, 1:-1], smooth[:, :-2], smooth[:, 2:]
    peaks = np.where((inner >= lower) & (inner > upper), inner, 0)
    best = np.argpartition(-peaks, count, axis=1)[:, :count]
    left, middle, right = (
        np.log(np.maximum(np.take_along_axis(each, best, 1), 1e-12)) for each in (lower, inner, upper)
    )
    curve = left - 2 * middle + right
    shift = np.clip(np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, 1), 0), -0.5, 0.5)
    strength = np.take_along_axis(peaks, best, 1)
    hz = np.where(strength > 0, pitches[0] * np.exp2((best + 1 + shift) / _AN_OCTAVE), 0)
    order = np.argsort(-hz, axis=1)
    return Candidates(*(np.take_along_axis(each, order, 1).astype(np.float32) for each in (hz, strength)))


def _flattened(magnitudes: Floats) -> Floats:
    """Magnitudes ``[K, F]`` over a power of their mean around: loud partials no longer hide the others."""
    hz = np.arange(magnitudes.shape[1]) * RATE / _WINDOW
    half = np.maximum(hz / 4, 150.0)
    low = np.clip(((hz - half) * _WINDOW / RATE).astype(int), 0, len(hz) - 1)
    high = np.clip(((hz + half) * _WINDOW / RATE).astype(int) + 1, 1, len(hz))
    power = np.square(magnitudes, dtype=np.float64)
    sums = np.concatenate([np.zeros((len(power), 1)), power.cumsum(1)], axis=1)
    around = np.sqrt((sums[:, high] - sums[:, low]) / (high - low))
    floor = 0.003 * np.sqrt(power.mean())
    flat: Floats = (magnitudes * (around + floor) ** -_FLATTEN).astype(np.float32)
    return flat


def _weights(magnitudes: Floats, combs: Floats) -> Floats:
    """How much of the magnitudes ``[K, F]`` each comb ``[F, N]`` explains: ``[K, N]``."""
    sums = combs.sum(0)
    weights = magnitudes @ combs / sums
    weights *= magnitudes.sum(1, keepdims=True) / np.maximum((weights @ combs.T).sum(1, keepdims=True), 1e-9)
    tiny = np.float32(1e-4 * magnitudes.mean())
    for _ in range(_ROUNDS):
        weights *= (magnitudes / (weights @ combs.T + tiny)) @ combs / sums
    explained: Floats = weights * sums
    return explained


@lru_cache(maxsize=1)
def _combs() -> tuple[Array, Floats, Array]:
    """Which bins are looked at, the combs ``[F, N]``, and their pitches in Hz ``[N]``."""
    pitches = LOWEST_HZ * np.exp2(np.arange(ceil(log2(HIGHEST_HZ / LOWEST_HZ) * _AN_OCTAVE) + 1) / _AN_OCTAVE)
    first, last = ceil(60 * _WINDOW / RATE), round((_TOP_HZ + 200) * _WINDOW / RATE)
    combs = np.zeros((_WINDOW // 2 + 1, len(pitches)))
    teeth = np.arange(1, ceil(_TOP_HZ / LOWEST_HZ) + 1)[:, None] * pitches
    heights = np.where(teeth < _TOP_HZ, (teeth / pitches) ** -_FALL, 0)
    columns = np.broadcast_to(np.arange(len(pitches)), teeth.shape)
    for cents, share in ((-_BLUR, 0.25), (0.0, 0.5), (_BLUR, 0.25)):
        centres = np.minimum(teeth, _TOP_HZ) * 2 ** (cents / 1200) * _WINDOW / RATE
        for step in range(-2, 3):  # the bins under a lobe
            rows = np.round(centres).astype(int) + step
            np.add.at(combs, (rows, columns), share * heights * _lobe(rows - centres))
    bins = np.arange(first, last)
    return bins, combs[bins].astype(np.float32), pitches


def _lobe(bins: Array) -> Array:
    """The main lobe of a Hann window, 1 at 0 bins and 0 from 2 on."""
    inside = np.abs(bins) < 2
    bins = np.where(np.abs(np.abs(bins) - 1) < 1e-6, 1 + 1e-6, bins)
    lobe: Array = np.where(inside, np.abs(np.sinc(bins) / (1 - bins**2)), 0)
    return lobe
