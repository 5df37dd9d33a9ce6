"""Readers over arrays and regions."""

import numpy as np
import pytest
from audio_files import music

from separation.audio import ArrayReader, Reader, RegionReader
from separation.errors import EmptyAudio, ShapeError
from separation.signals import Signal


def test_an_array_is_read_as_a_copy() -> None:
    sound = music(100)
    reader = ArrayReader(Signal(sound.copy(), 8000))
    assert isinstance(reader, Reader)
    assert (reader.sample_rate, reader.channels, reader.length, reader.info.duration) == (8000, 2, 100, 0.0125)
    reader.read(0, 100)[:] = 0
    np.testing.assert_array_equal(reader.read(10, 20), sound[:, 10:30])


def test_a_region_of_a_region() -> None:
    sound = music(100)
    region = RegionReader(RegionReader(ArrayReader(Signal(sound, 8000)), 20, 50), 5, 10)
    assert isinstance(region, Reader) and region.length == 10
    np.testing.assert_array_equal(region.read(2, 8), sound[:, 27:35])
    with pytest.raises(ShapeError, match="samples 0 to 10"):
        region.read(5, 6)


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (96, 5), (0, 101), (5, -1)])
def test_a_region_outside_is_refused(start: int, length: int) -> None:
    with pytest.raises(ShapeError, match="samples 0 to 100"):
        RegionReader(ArrayReader(Signal(music(100), 8000)), start, length)


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(EmptyAudio, match="no samples"):
        RegionReader(ArrayReader(Signal(music(100), 8000)), 5, 0)


def test_closing_a_region_closes_the_recording() -> None:
    class Closing(ArrayReader):
        closed = False

        def close(self) -> None:
            self.closed = True

    inner = Closing(Signal(music(100), 8000))
    with RegionReader(inner, 0, 10):
        assert not inner.closed
    assert inner.closed
