"""Spectrogram pictures: tones are where they belong, the scale is absolute, and the work is bounded."""

import io

import numpy as np
import pytest
from PIL import Image

from separation.audio import ArrayReader
from separation.errors import ShapeError
from separation.signals import Signal
from separation.visualisation import MAGMA, SCALES, frequency_edges, spectrogram_db, spectrogram_png
from separation.visualisation.spectrogram import Scale

RATE = 16000


class CountingReader(ArrayReader):
    """Remembers how many samples were asked for."""

    asked = 0

    def read(self, start: int, length: int) -> np.ndarray:
        self.asked += length
        return super().read(start, length)


def reader(samples: np.ndarray, rate: int = RATE) -> CountingReader:
    return CountingReader(Signal(np.atleast_2d(samples).astype(np.float32), rate))


def sine(frequency: float, seconds: float = 2, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("frequency", [440.0, 3000.0])
def test_a_tone_lights_its_row(scale: Scale, frequency: float) -> None:
    values = spectrogram_db(reader(sine(frequency)), 0, 2 * RATE, 20, 128, scale=scale)
    assert values.shape == (128, 20) and values.dtype == np.float32
    edges = frequency_edges(128, RATE, scale)
    row = int(np.argmax(values.mean(axis=1)))
    bin_hz = RATE / 1024
    assert edges[row] - bin_hz <= frequency <= edges[row + 1] + bin_hz


def test_full_scale_is_zero_decibels_and_the_scale_is_absolute() -> None:
    rows = 2048  # finer than a bin
    loud = spectrogram_db(reader(sine(1000)), RATE // 2, RATE, 10, rows, scale="linear").max()
    assert loud == pytest.approx(0, abs=0.1)
    quiet = spectrogram_db(reader(0.01 * sine(1000)), RATE // 2, RATE, 10, rows, scale="linear").max()
    assert loud - quiet == pytest.approx(40, abs=1e-3)


def test_silence_is_dark_and_finite() -> None:
    values = spectrogram_db(reader(np.zeros(RATE)), 0, RATE, 10, 10)
    assert np.all(values == -200)
    image = np.asarray(Image.open(io.BytesIO(spectrogram_png(reader(np.zeros(RATE)), 0, RATE, 10, 10))).convert("RGB"))
    assert np.all(image == MAGMA[0])


def test_columns_follow_time() -> None:
    samples = sine(1000, 4)
    samples[: 2 * RATE] = 0
    power = spectrogram_db(reader(samples), 0, 4 * RATE, 40, 64).max(axis=0)
    assert power[:18].max() < -150 and power[21:].min() > -20


def test_low_frequencies_are_below() -> None:
    png = spectrogram_png(reader(sine(200)), 0, 2 * RATE, 20, 64, scale="linear")
    brightness = np.asarray(Image.open(io.BytesIO(png)).convert("L")).mean(axis=1)
    assert np.argmax(brightness) > 56


def test_gain_shifts_the_picture_as_it_shifts_the_sound() -> None:
    samples = sine(700)
    assert spectrogram_png(reader(samples), 0, RATE, 30, 30, gain=0.25) == spectrogram_png(
        reader(0.25 * samples), 0, RATE, 30, 30
    )


def test_all_channels_count() -> None:
    left_only = np.stack([sine(1000), np.zeros(2 * RATE)])
    opposite = np.stack([sine(1000), -sine(1000)])
    one = spectrogram_db(reader(left_only), RATE // 2, RATE, 5, 2048, scale="linear").max()
    both = spectrogram_db(reader(opposite), RATE // 2, RATE, 5, 2048, scale="linear").max()
    assert both - one == pytest.approx(10 * np.log10(2), abs=1e-3)  # and nothing cancels


def test_an_hour_is_no_more_work_than_its_columns() -> None:
    hour = CountingReader(Signal(np.zeros((1, 3600 * 1000), np.float32), 1000))
    spectrogram_db(hour, 0, hour.length, 100, 20)
    assert hour.asked <= 100 * 4 * 64


@pytest.mark.parametrize(("start", "length"), [(-5 * RATE, 3 * RATE), (0, 1), (2 * RATE - 1, 50), (RATE, 100 * RATE)])
def test_any_stretch_has_a_picture(start: int, length: int) -> None:
    values = spectrogram_db(reader(sine(500)), start, length, 33, 7)
    assert values.shape == (7, 33) and np.all(np.isfinite(values))


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(ShapeError, match="0 samples on 3 x 4 pixels"):
        spectrogram_db(reader(sine(500)), 0, 0, 3, 4)


@pytest.mark.parametrize("scale", SCALES)
def test_edges_rise_to_half_the_rate(scale: Scale) -> None:
    edges = frequency_edges(50, RATE, scale)
    assert len(edges) == 51 and np.all(np.diff(edges) > 0) and edges[-1] == pytest.approx(RATE / 2)
