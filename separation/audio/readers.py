"""The audio that the engine pulls: `Reader`, and readers over an array and over a region of another reader.

A reader answers "these samples of every channel" at any position, exactly and in bounded memory, so that no page or
command ever holds a whole recording. Readers of files are in `decode.py`.
"""

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from separation.errors import EmptyAudio, ShapeError
from separation.signals import Samples, Signal

BLOCK = 1 << 17
"""Samples per channel that streaming passes read at once: 3 s at 44.1 kHz."""


@dataclass(frozen=True)
class AudioInfo:
    """What a recording is.

    Args:
        name: the file's name, without its folder.
        container: e.g. ``"wav"``, ``"flac"``, ``"mp3"``, ``"mov,mp4,m4a,3gp,3g2,mj2"`` (FFmpeg's word), ``"memory"``.
        codec: e.g. ``"pcm_16"``, ``"mp3"``, ``"aac"``.
        sample_rate: Hz.
        channels: how many.
        length: samples per channel.
        bit_depth: what keeps every sample when it is written again: ``"16"``, ``"24"`` or ``"32f"``.
        lossy: the coding threw detail away.
        exact: `length` was counted. False when it is only what the header claims: that is what `probe` can know of
            compressed files; a reader's own info is always exact.
        notes: sentences for the user, e.g. that a file is cut short.
    """

    name: str
    container: str
    codec: str
    sample_rate: int
    channels: int
    length: int
    bit_depth: str
    lossy: bool
    exact: bool = True
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.length / self.sample_rate


@runtime_checkable
class Reader(Protocol):
    """Samples at any position. Every reader is also a context manager."""

    @property
    def info(self) -> AudioInfo: ...

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def length(self) -> int:
        """Samples per channel."""
        ...

    def read(self, start: int, length: int) -> Samples:
        """Samples `start` to `start` + `length` as float32 ``[C, length]``; `ShapeError` outside the recording."""
        ...

    def close(self) -> None:
        """Let go of files; what was decoded into a scratch file is deleted. Twice does no harm."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BaseReader:
    """What readers share: properties from `info`, the range check, the context manager."""

    def __init__(self, info: AudioInfo) -> None:
        self.info = info

    @property
    def sample_rate(self) -> int:
        return self.info.sample_rate

    @property
    def channels(self) -> int:
        return self.info.channels

    @property
    def length(self) -> int:
        return self.info.length

    def close(self) -> None:
        """Nothing is held unless a subclass says so."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_range(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > self.length:
            raise ShapeError(
                f"Read samples {start} to {start + length} of {self.info.name}",
                f"the recording has samples 0 to {self.length}",
                "Ask for a range inside the recording",
            )


class ArrayReader(BaseReader):
    """A reader over short audio in memory.

    >>> import numpy as np
    >>> ArrayReader(Signal(np.ones((1, 4)), 8000)).read(1, 2)
    array([[1., 1.]], dtype=float32)
    """

    def __init__(self, signal: Signal, name: str = "memory") -> None:
        super().__init__(
            AudioInfo(name, "memory", "pcm_f32", signal.sample_rate, signal.channels, signal.length, "32f", lossy=False)
        )
        self._samples = signal.samples

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`. A copy, so that nobody changes the original by accident."""
        self._check_range(start, length)
        return self._samples[:, start : start + length].copy()


class RegionReader(BaseReader):
    """The samples `start` to `start` + `length` of another reader, counted from 0. Closing it closes the other.

    Raises:
        ShapeError: the region is not inside the recording.
        EmptyAudio: the region has no samples.
    """

    def __init__(self, reader: Reader, start: int, length: int) -> None:
        info = reader.info
        super().__init__(replace(info, length=length))
        if start < 0 or length < 0 or start + length > reader.length:
            raise ShapeError(
                f"Take samples {start} to {start + length} of {info.name}",
                f"the recording has samples 0 to {reader.length}, {info.duration:.2f} s",
                "Choose a region inside the recording",
            )
        if length == 0:
            raise EmptyAudio(f"Take a region of {info.name}", "the region has no samples", "Select a longer region")
        self._reader, self._start = reader, start

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`."""
        self._check_range(start, length)
        return self._reader.read(self._start + start, length)

    def close(self) -> None:
        """Close the reader that the region is of."""
        self._reader.close()
