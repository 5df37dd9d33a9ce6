"""The outline of a recording, small enough for a page: least and greatest value of every stretch of samples.

One level of pairs of int8, never more than 2^20 of them (2 MB), however long the recording: the stretch (`base`)
doubles whenever there would be more. Reducing 2 MB takes milliseconds, so coarser levels need not be stored. Views
closer than `base` samples a point are computed from the samples themselves (`read_peaks`), which are then few.

Values are of the channel mean, 127 is full scale, rounded outwards: silence is exactly zero and everything else shows.
"""

import struct
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from separation.audio.files import appearing
from separation.audio.readers import Reader
from separation.errors import ShapeError, UnreadableAudio
from separation.signals import Samples

BASE = 256
MOST = 1 << 20
_HEADER = struct.Struct("<8sQQ")
_MAGIC = b"EARPEAK1"

Pairs = NDArray[np.int8]


class PeakBuilder:
    """Collects the outline block by block while a file is written.

    Args:
        base: samples per pair to start with.
        most: pairs to hold at most (even); beyond it neighbours are merged and `base` doubles.
    """

    def __init__(self, base: int = BASE, most: int = MOST) -> None:
        assert base > 0 and most > 1 and most % 2 == 0
        self.base, self.most, self.length = base, most, 0
        self._pairs = np.zeros((4096, 2), np.int8)
        self._count = 0
        self._rest = np.zeros(0, np.float32)

    def add(self, block: Samples) -> None:
        """Take the next samples, float32 ``[C, T]``."""
        self.length += block.shape[1]
        mono = np.concatenate([self._rest, block.mean(axis=0, dtype=np.float32)])
        done = 0
        while len(mono) - done >= self.base:
            count = min((len(mono) - done) // self.base, self.most - self._count)
            whole = mono[done : done + count * self.base].reshape(count, self.base)
            self._append(_quantise(whole.min(axis=1), whole.max(axis=1)))
            done += count * self.base
            if self._count == self.most:
                self._pairs[: self._count // 2] = _merge(self._pairs[: self._count])
                self._count //= 2
                self.base *= 2
        self._rest = mono[done:].copy()

    def save(self, path: Path | str) -> Path:
        """Write what was collected; the file appears when it is complete."""
        pairs = self._pairs[: self._count]
        if len(self._rest):
            pairs = np.concatenate([pairs, _quantise(self._rest.min()[None], self._rest.max()[None])])
        with appearing(Path(path)) as temporary:
            temporary.write_bytes(_HEADER.pack(_MAGIC, self.base, self.length) + pairs.tobytes())
        return Path(path)

    def _append(self, pairs: Pairs) -> None:
        needed = self._count + len(pairs)
        if needed > len(self._pairs):
            self._pairs = np.concatenate([self._pairs, np.zeros((max(needed, len(self._pairs)), 2), np.int8)])
        self._pairs[self._count : needed] = pairs
        self._count = needed


class Peaks:
    """A stored outline.

    Args:
        pairs: int8 ``[N, 2]``, least and greatest of each `base` samples.
        base: samples per pair.
        length: samples of the recording.
    """

    def __init__(self, pairs: Pairs, base: int, length: int) -> None:
        self.pairs, self.base, self.length = pairs, base, length

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open what `PeakBuilder.save` wrote; `UnreadableAudio` if it is anything else."""
        data = Path(path).read_bytes()
        if len(data) >= _HEADER.size:
            magic, base, length = _HEADER.unpack_from(data)
            if magic == _MAGIC and base > 0 and len(data) == _HEADER.size + 2 * -(-length // base):
                return cls(np.frombuffer(data, np.int8, offset=_HEADER.size).reshape(-1, 2), base, length)
        raise UnreadableAudio(
            f"Read the outline {Path(path).name}", "it is not a complete outline file", "Separate the recording again"
        )

    def read(self, start: int, length: int, points: int) -> Pairs:
        """The outline of samples `start` to `start` + `length` as int8 ``[points, 2]``.

        Every point holds at least its own samples; it may show up to `base` - 1 neighbours on each side. Parts
        outside the recording are zero.
        """
        edges = _edges(start, length, points)
        first = np.clip(edges[:-1] // self.base, 0, len(self.pairs))
        last = np.clip(-(-np.maximum(edges[1:], edges[:-1] + 1) // self.base), 0, len(self.pairs))
        return _reduce(self.pairs, first, last)


def read_peaks(peaks: Peaks, reader: Reader, start: int, length: int, points: int) -> Pairs:
    """The outline at any zoom: from `peaks`, or from `reader`'s samples where a point is less than a stored pair.

    Reads at most ``points * peaks.base`` samples. Returns int8 ``[points, 2]``.
    """
    if length >= points * peaks.base:
        return peaks.read(start, length, points)
    inside = max(0, min(start, reader.length)), max(0, min(start + length, reader.length))
    samples = np.zeros((reader.channels, length), np.float32)
    samples[:, inside[0] - start : inside[1] - start] = reader.read(inside[0], inside[1] - inside[0])
    return peaks_of(samples, points)


def peaks_of(samples: Samples, points: int) -> Pairs:
    """The exact outline of samples in memory: float32 ``[C, T]`` -> int8 ``[points, 2]``, for any T."""
    mono = samples.mean(axis=0, dtype=np.float32)
    edges = _edges(0, len(mono), points)
    if not len(mono):
        return np.zeros((points, 2), np.int8)
    first = np.minimum(edges[:-1], len(mono) - 1)
    last = np.maximum(edges[1:], first + 1)
    return _reduce(_quantise(mono, mono), first, last)


def _edges(start: int, length: int, points: int) -> NDArray[np.int64]:
    if points < 1 or length < 0:
        raise ShapeError("Draw an outline", f"{points} points for {length} samples", "Ask for at least one point")
    return start + np.arange(points + 1, dtype=np.int64) * length // points


def _reduce(pairs: Pairs, first: NDArray[np.int64], last: NDArray[np.int64]) -> Pairs:
    """Least and greatest over each ``pairs[first : last]``; zero where a range is empty."""
    result = np.zeros((len(first), 2), np.int8)
    full = last > first
    if full.any():
        # `reduceat` reduces between successive indices: every second answer is ours. With one row more `last` may be
        # the end.
        low, high = int(first[full].min()), int(last[full].max())
        indices = np.stack([first[full], last[full]], axis=1).ravel() - low
        rows = np.concatenate([pairs[low:high], np.zeros((1, 2), np.int8)])
        result[full, 0] = np.minimum.reduceat(rows[:, 0], indices)[::2]
        result[full, 1] = np.maximum.reduceat(rows[:, 1], indices)[::2]
    return result


def _merge(pairs: Pairs) -> Pairs:
    by_two = pairs.reshape(-1, 2, 2)
    return np.asarray(np.stack([by_two[:, :, 0].min(axis=1), by_two[:, :, 1].max(axis=1)], axis=1), np.int8)


def _quantise(least: Samples, greatest: Samples) -> Pairs:
    pairs = np.stack([np.floor(np.float64(least) * 127), np.ceil(np.float64(greatest) * 127)], axis=-1)
    return np.asarray(np.clip(np.nan_to_num(pairs), -127, 127), np.int8)
