"""One recording as another would hold it: the same rate, channels and start, to the sample.

Nothing is measured here: `alignment` finds out where one fits the other; this brings one into the other's form.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from separation.audio.readers import BaseReader, Reader
from separation.audio.resample import grid, resample, resample_margin
from separation.signals import Samples


class Form(Protocol):
    """What samples have to be brought to: the rate (Hz), channels and length (samples) of a reader or of an `AudioInfo`."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def length(self) -> int: ...


class AlignedReader(BaseReader):
    """A reference as the mixture would hold it: same rate, channels, start and length; silent where it has ended.

    Channels are copied from one and averaged to one where the counts differ. Closing it closes the reference.

    Args:
        reference: the true source.
        mixture: the recording, or the part of it that is separated, or its form.
        start: first sample of that part in the recording.
    """

    def __init__(self, reference: Reader, mixture: Form, start: int = 0) -> None:
        info, rate = reference.info, mixture.sample_rate
        super().__init__(replace(info, sample_rate=rate, channels=mixture.channels, length=mixture.length))
        self._reference, self._start = reference, start

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`."""
        self._check_range(start, length)
        step_in, step_out = grid(self._reference.sample_rate, self.sample_rate)
        margin = -(-resample_margin(self._reference.sample_rate, self.sample_rate) // step_in)  # in grid steps
        first = (self._start + start) // step_out - margin
        last = -(-(self._start + start + length) // step_out) + margin
        block = _read_padded(self._reference, first * step_in, last * step_in)
        skip = self._start + start - first * step_out
        aligned = resample(block, self._reference.sample_rate, self.sample_rate)[:, skip : skip + length]
        if len(aligned) != self.channels:
            aligned = np.repeat(aligned.mean(axis=0, keepdims=True), self.channels, axis=0)
        return np.ascontiguousarray(aligned, dtype=np.float32)

    def close(self) -> None:
        self._reference.close()


def _read_padded(reader: Reader, start: int, stop: int) -> Samples:
    """Samples `start` to `stop`, zero outside the recording."""
    block = np.zeros((reader.channels, stop - start), np.float32)
    inside = max(0, min(start, reader.length)), max(0, min(stop, reader.length))
    block[:, inside[0] - start : inside[1] - start] = reader.read(inside[0], inside[1] - inside[0])
    return block
