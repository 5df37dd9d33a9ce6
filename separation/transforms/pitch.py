"""Pitch tracks: what note a voice sings at every moment, from files, on the grid that a model wants, and from one voice alone.

A track is a list of times with a frequency each, 0 where the voice is silent or unvoiced. The files are those that pitch
trackers and annotation tools exchange: a line a moment, ``time,f0``, with or without a header, by comma, semicolon, tab or
spaces (mir_eval, Sonic Visualiser, CREPE, and pYIN's plugin, to which a negative frequency, or no line at all, is unvoiced).

One voice alone is tracked by pYIN: M. Mauch, S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold
distributions", ICASSP 2014, as librosa has it. Several voices that sing together are `multipitch`'s.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separation.errors import Cancelled, DataError
from separation.signals import Signal

RATE = 16000
"""Hz at which voices are tracked; their partials above 8 kHz tell nothing about the pitch."""
HOP = 256
"""Samples between the frames of tracks made here: 16 ms."""
LOWEST_HZ, HIGHEST_HZ = 65.4, 1046.5
"""Range that trackers look in: C2 to C6, the deepest bass and the highest soprano."""
LIMIT_HZ = 8000.0
"""No pitch is above."""
MOST_BYTES = 8 << 20
"""Of a file: an hour with a line every 3 ms has about as many."""

_FRAME = 2048  # samples of pYIN's window
_BLOCK, _EDGE = 1875, 64  # frames that pYIN looks at together (30 s), and beside them: it follows a path through them
_LONE_STEP = 0.016  # seconds that a track of one moment stands for
_Columns = tuple[int, int, int | None]  # of time, pitch and voicing
_TIMES = frozenset({"time", "times", "timesec", "timeseconds", "t", "sec", "second", "seconds", "timestamp", "start"})
_PITCHES = frozenset({"f0", "f0hz", "frequency", "frequencyhz", "freq", "freqhz", "pitch", "pitchhz", "hz", "value"})
_VOICED = frozenset({"voiced", "voicing", "voicedflag", "confidence", "periodicity"})
_YES, _NO = frozenset({"true", "yes", "v"}), frozenset({"false", "no", "u", ""})


@dataclass(frozen=True, eq=False)
class PitchTrack:
    """The pitch of one voice over time.

    Args:
        times: seconds ``[K]``, rising, from 0 on.
        hz: the pitch at these times ``[K]``; 0 where there is none.

    Raises:
        DataError: no times, or some that do not rise; a pitch that is none.
    """

    times: NDArray[np.float64]
    hz: NDArray[np.float64]

    def __post_init__(self) -> None:
        times, hz = (np.asarray(values, np.float64) for values in (self.times, self.hz))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "hz", hz)
        found = _wrong(times, hz)
        if found:
            raise DataError(
                "Use a pitch track", found, f"Give rising times in seconds and 0 to {LIMIT_HZ:g} Hz at each"
            )

    @property
    def step(self) -> float:
        """Seconds between two values: their median."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else _LONE_STEP

    @property
    def voiced(self) -> float:
        """Part of the values that have a pitch."""
        return float(np.mean(self.hz > 0))

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float32]:
        """The pitch at any times.

        Between two values that follow each other the pitch glides, evenly in cents; beside an unvoiced one each reaches half
        the way. Before, after and in holes of the track (values left out because the voice is silent) there is none.

        Args:
            times: seconds ``[*]``.

        Returns:
            Hz ``[*]``, 0 where unvoiced.
        """
        step, most = self.step, len(self.times) - 1
        right = np.searchsorted(self.times, times).clip(min(1, most), most)
        left = np.maximum(right - 1, 0)
        apart = self.times[right] - self.times[left]
        weight = np.clip((times - self.times[left]) / np.where(apart > 0, apart, 1), 0, 1)
        low, high = self.hz[left], self.hz[right]
        glides = (low > 0) & (high > 0) & (apart > 0) & (apart < 1.5 * step)
        between = np.exp2((1 - weight) * np.log2(np.maximum(low, 1)) + weight * np.log2(np.maximum(high, 1)))
        nearer = weight > 0.5
        near = np.abs(times - np.where(nearer, self.times[right], self.times[left])) <= 0.5001 * step
        outside = (times < self.times[0] - 0.5001 * step) | (times > self.times[-1] + 0.5001 * step)
        alone = np.where(near, np.where(nearer, high, low), 0)
        return np.where(outside, 0, np.where(glides, between, alone)).astype(np.float32)

    def on_grid(self, hop: float, start: float, count: int) -> NDArray[np.float32]:
        """`at` frames that are evenly spaced: `count` of them, `hop` seconds apart, the first at `start` seconds.

        >>> PitchTrack([0.0, 0.1, 0.2], [100.0, 200.0, 0.0]).on_grid(0.05, 0.0, 3).round().tolist()
        [100.0, 141.0, 200.0]
        """
        return self.at(start + hop * np.arange(count, dtype=np.float64))


def read_track(path: Path) -> PitchTrack:
    """A track from a file, see the file's docstring.

    A header names the columns: time, f0 (or frequency, pitch, value), and perhaps whether the voice is voiced there (or how
    confident the tracker was; below 0.5 is unvoiced). Without one the first two columns count.

    Raises:
        DataError: it cannot be read as that, with the line that cannot.
    """
    asked = f"Read the pitch track {path.name}"
    advice = "Write a line a moment: seconds, comma, Hz (0 where the voice is silent)"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(
                asked, f"it has more than {MOST_BYTES >> 20} MB", "Write one voice a file, a line every 5 ms or more"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(asked, f"it cannot be opened: {error.strerror}", "Check its name and rights") from None
    except UnicodeDecodeError:
        raise DataError(asked, "it is no text", advice) from None
    rows = list(_rows(text))
    columns: _Columns = (0, 1, None)
    if rows and _number(rows[0][1][0]) is None:
        columns = _columns(rows.pop(0)[1]) or columns
    if not rows:
        raise DataError(asked, "it holds no line of numbers", advice)
    times, hz = [], []
    for number, cells in rows:
        value = _moment(cells, columns)
        if value is None:
            raise DataError(asked, f"line {number} is {' '.join(cells)[:60]!r}", advice)
        times.append(value[0])
        hz.append(value[1])
    if columns[2] is None and any(_is_pitch(cells[2:]) for _, cells in rows):
        raise DataError(asked, "it has several pitches in a line", "Write one voice a file")
    try:
        return PitchTrack(np.array(times), np.array(hz))
    except DataError as error:
        raise DataError(asked, error.found, error.advice) from None


def write_track(path: Path, track: PitchTrack) -> Path:
    """A track as CSV with the header ``time,f0``; read again by `read_track`, to 1 µs and 1 mHz."""
    lines = (f"{time:.6f},{hz:.3f}\n" for time, hz in zip(track.times, track.hz, strict=True))
    path.write_text("".join(["time,f0\n", *lines]), encoding="utf-8")
    return path


def track_stem(
    signal: Signal,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PitchTrack:
    """The pitch of one voice alone, by pYIN, a value every `HOP` samples at `RATE`; about ten times real time.

    Args:
        signal: the voice; of several channels their mean.
        progress: told the part that is done, 0 to 1.
        cancelled: asked every 30 s of audio.

    Raises:
        Cancelled: `cancelled` said so.
    """
    from librosa import pyin

    heard = at_rate(signal)
    frames = 1 + ceil(len(heard) / HOP)
    hz = np.zeros(frames)
    for first in range(0, frames, _BLOCK):
        if cancelled is not None and cancelled():
            raise Cancelled("Track the pitch", "it was stopped", "Start it again when you like")
        last, begin = min(first + _BLOCK, frames), max(first - _EDGE, 0)
        block = heard[begin * HOP : (last + _EDGE) * HOP]
        if np.any(block):
            block = np.pad(block, (0, max(0, _FRAME - len(block))))
            found, _, _ = pyin(
                block, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=RATE, frame_length=_FRAME, hop_length=HOP, fill_na=0.0
            )
            part = found[first - begin : last - begin]
            hz[first : first + len(part)] = part
        if progress is not None:
            progress(last / frames)
    return PitchTrack(np.arange(frames) * HOP / RATE, hz)


def at_rate(signal: Signal) -> NDArray[np.float32]:
    """The mean of the channels at `RATE`: ``[T]``."""
    mean: NDArray[np.float32] = signal.samples.mean(0)
    if signal.sample_rate == RATE or not len(mean):
        return mean
    from librosa import resample

    heard: NDArray[np.float32] = resample(mean, orig_sr=signal.sample_rate, target_sr=RATE, res_type="polyphase")
    return heard


def _wrong(times: NDArray[np.float64], hz: NDArray[np.float64]) -> str:
    """What is wrong with a track, in words; empty if nothing is."""
    if times.ndim != 1 or times.shape != hz.shape or not len(times):
        return f"times of shape {times.shape} and frequencies of shape {hz.shape}"
    bad = np.flatnonzero(~np.isfinite(times) | (np.diff(times, prepend=-np.inf) <= 0) | (times < 0))
    if len(bad):
        return f"value {bad[0] + 1} is at {times[bad[0]]:g} s, which is no time, or not after the one before"
    bad = np.flatnonzero(~np.isfinite(hz) | (hz < 0) | (hz > LIMIT_HZ))
    if len(bad):
        return f"a pitch of {hz[bad[0]]:g} Hz at {times[bad[0]]:.3f} s"
    return ""


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty and no remarks: their number, and their cells."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and line[0] not in "#%"]
    if not lines:
        return
    mark = next((mark for mark in ";\t," if mark in lines[-1][1]), None)
    for number, line in lines:
        cells = line.split() if mark is None else next(csv.reader([line], delimiter=mark))
        cells = [cell.strip() for cell in cells]
        # Where commas do not part the cells, they are a decimal point in some languages.
        yield number, cells if mark == "," else [cell.replace(",", ".") for cell in cells]


def _columns(names: list[str]) -> _Columns | None:
    """Where the header says that time, pitch and voicing are; None if it does not."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    time, pitch, voiced = (
        next((i for i, name in enumerate(plain) if name in known), None) for known in (_TIMES, _PITCHES, _VOICED)
    )
    return None if time is None or pitch is None else (time, pitch, voiced)


def _moment(cells: list[str], columns: _Columns) -> tuple[float, float] | None:
    """Seconds and Hz of a line; None if it does not say them. What is no number is no pitch, as trackers write NaN."""
    time, pitch, voiced = columns
    if len(cells) <= max(time, pitch, voiced or 0):
        return None
    seconds, hz = _number(cells[time]), _number(cells[pitch] or "nan")
    sure = 1.0 if voiced is None else _sure(cells[voiced])
    if seconds is None or hz is None or sure is None:
        return None
    return seconds, hz if hz > 0 and sure >= 0.5 else 0.0  # NaN is not above 0


def _sure(cell: str) -> float | None:
    if cell.lower() in _YES | _NO:
        return float(cell.lower() in _YES)
    return _number(cell)


def _is_pitch(cells: list[str]) -> bool:
    return any((_number(cell) or 0) > 1 for cell in cells)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
