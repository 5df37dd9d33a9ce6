"""Outlines: they hold every sample, at every zoom, and stay small."""

from pathlib import Path

import numpy as np
import pytest
from audio_files import music
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from separation.audio import ArrayReader, PeakBuilder, Peaks, peaks_of, read_peaks
from separation.errors import ShapeError, UnreadableAudio
from separation.signals import Samples, Signal


def _build(path: Path, sound: Samples, sizes: list[int], base: int = 16, most: int = 64) -> Peaks:
    builder = PeakBuilder(base, most)
    for block in np.split(sound, np.cumsum(sizes), axis=1):
        builder.add(block)
    return Peaks.load(builder.save(path))


def _bounds(mono: NDArray[np.float64]) -> tuple[int, int]:
    return int(np.floor(mono.min() * 127)), int(np.ceil(mono.max() * 127))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(length=st.integers(1, 5000), sizes=st.lists(st.integers(0, 1500), max_size=4), data=st.data())
def test_every_point_is_the_outline_of_the_pairs_it_touches(
    length: int, sizes: list[int], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sound = music(length)
    mono = sound.mean(axis=0, dtype=np.float32).astype(np.float64)
    peaks = _build(tmp_path_factory.mktemp("peaks") / "a.peaks", sound, sizes)
    assert peaks.length == length and len(peaks.pairs) == -(-length // peaks.base) <= 64
    start = data.draw(st.integers(0, length - 1))
    count = data.draw(st.integers(1, length - start))
    points = data.draw(st.integers(1, 50))
    outline = peaks.read(start, count, points)
    assert outline.shape == (points, 2) and outline.dtype == np.int8
    for point, (least, greatest) in enumerate(outline.tolist()):
        first = start + point * count // points
        last = max(first + 1, start + (point + 1) * count // points)
        touched = mono[first // peaks.base * peaks.base : -(-last // peaks.base) * peaks.base]
        assert (least, greatest) == _bounds(touched)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(length=st.integers(1, 300), points=st.integers(1, 400))
def test_the_outline_of_samples_is_exact(length: int, points: int) -> None:
    sound = music(length, 1)
    for point, pair in enumerate(peaks_of(sound, points).tolist()):
        first = point * length // points
        last = max(first + 1, (point + 1) * length // points)
        assert tuple(pair) == _bounds(sound[0, first:last].astype(np.float64))


def test_any_zoom_comes_from_the_right_place_and_reads_little(tmp_path: Path) -> None:
    sound = music(5000)
    peaks = _build(tmp_path / "a.peaks", sound, [], base=16, most=1024)
    read: list[int] = []

    class Counting(ArrayReader):
        def read(self, start: int, length: int) -> Samples:
            read.append(length)
            return super().read(start, length)

    reader = Counting(Signal(sound, 8000))
    np.testing.assert_array_equal(read_peaks(peaks, reader, 0, 5000, 100), peaks.read(0, 5000, 100))
    assert not read
    np.testing.assert_array_equal(read_peaks(peaks, reader, 100, 50, 20), peaks_of(sound[:, 100:150], 20))
    assert read == [50]


@pytest.mark.parametrize(("start", "length"), [(-100, 200), (4900, 200), (-500, 100), (6000, 100)])
def test_outside_the_recording_it_is_silent(start: int, length: int, tmp_path: Path) -> None:
    sound = np.ones((1, 5000), np.float32)
    peaks = _build(tmp_path / "a.peaks", sound, [], base=4, most=4096)
    inside = [0 <= start + sample < 5000 for sample in range(0, length, 10)]
    for outline in (
        peaks.read(start, length, length // 10),
        read_peaks(peaks, ArrayReader(Signal(sound, 8000)), start, length, length)[::10],
    ):
        assert (outline[:, 1] == 127).tolist() == inside


def test_silence_is_zero_everything_else_shows_and_nothing_wraps(tmp_path: Path) -> None:
    sound = np.repeat(np.array([[0.0, 1e-6, -1e-6, 3.0, -3.0, 1.0, -1.0]], np.float32), 16, axis=1)
    peaks = _build(tmp_path / "a.peaks", sound, [])
    wanted = [[0, 0], [0, 1], [-1, 0], [127, 127], [-127, -127], [127, 127], [-127, -127]]
    assert peaks.read(0, 7 * 16, 7).tolist() == wanted


def test_an_hour_stays_below_two_megabytes(tmp_path: Path) -> None:
    builder = PeakBuilder()
    minute = music(48_000 * 60, 1)
    for _ in range(60):
        builder.add(minute)
    assert builder.save(tmp_path / "hour.peaks").stat().st_size < 2_000_000 and builder.base == 256
    peaks = Peaks.load(tmp_path / "hour.peaks")
    np.testing.assert_array_equal(peaks.read(0, 256 * 11_250, 1000), peaks.read(256 * 11_250, 256 * 11_250, 1000))


def test_an_empty_recording_has_an_empty_outline(tmp_path: Path) -> None:
    peaks = _build(tmp_path / "a.peaks", np.zeros((2, 0), np.float32), [])
    assert peaks.read(0, 100, 3).tolist() == [[0, 0]] * 3 == peaks_of(np.zeros((2, 0), np.float32), 3).tolist()


@pytest.mark.parametrize("data", [b"", b"EARPEAK1", b"RIFF" + bytes(100), b"EARPEAK1" + bytes(16)])
def test_what_is_no_outline_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.peaks"
    path.write_bytes(data)
    with pytest.raises(UnreadableAudio, match=r"a\.peaks"):
        Peaks.load(path)
    _build(path, music(1000), [])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableAudio, match="not a complete outline"):
        Peaks.load(path)


@pytest.mark.parametrize(("length", "points"), [(100, 0), (-1, 5)])
def test_an_outline_without_points_is_refused(length: int, points: int, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="points"):
        _build(tmp_path / "a.peaks", music(1000), []).read(0, length, points)
