"""Spectrogram pictures: tones are where they belong, the scale is absolute, and the work is bounded."""

import io

import numpy as np
import pytest
from PIL import Image

from separation.audio import ArrayReader
from separation.errors import ShapeError
from separation.signals import Signal
from separation.visualisation import (
    DIVERGING,
    MAGMA,
    SCALES,
    frequency_edges,
    levels_png,
    spectrogram_db,
    spectrogram_levels,
)
from separation.visualisation.spectrogram import (
    DIFFERENCE_FLOOR_DB,
    FLOOR_DB,
    LOWEST_HZ,
    NO_DIFFERENCE,
    STEP_DB,
    Scale,
)

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


def painted(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("frequency", [110.0, 440.0, 3000.0, 7000.0])
def test_a_tone_lights_its_row(scale: Scale, frequency: float) -> None:
    values = spectrogram_db(reader(sine(frequency)), 0, 2 * RATE, 20, 128, scale=scale)
    assert values.shape == (128, 20) and values.dtype == np.float32
    edges = frequency_edges(128, RATE, scale)
    row = int(np.argmax(values.mean(axis=1)))
    bin_hz = RATE / 1024
    assert edges[row] - bin_hz <= frequency <= edges[row + 1] + bin_hz


@pytest.mark.parametrize("frequency", [55.0, 440.0, 3520.0])
def test_full_scale_is_zero_decibels_behind_a_constant_q_filter(frequency: float) -> None:
    values = spectrogram_db(reader(sine(frequency, 4)), RATE, 2 * RATE, 6, 400, scale="cqt")
    assert values.max(axis=0) == pytest.approx(0, abs=0.1)
    quiet = spectrogram_db(reader(0.01 * sine(frequency, 4)), RATE, 2 * RATE, 6, 400, scale="cqt")
    assert values.max() - quiet.max() == pytest.approx(40, abs=1e-3)


@pytest.mark.parametrize("height", [84, 168, 400])
def test_constant_q_rows_leave_no_gap(height: int) -> None:
    """Wherever a tone lies between two rows, one of them shows it, at most 3 dB lower."""
    for frequency in np.geomspace(200, 400, 7):
        values = spectrogram_db(reader(sine(frequency)), RATE // 2, RATE, 4, height, scale="cqt")
        assert values.max() > -3


def test_a_semitone_is_two_tones_on_the_constant_q_scale() -> None:
    """Two low notes, a whole tone apart, that 46 ms cannot tell apart: between them it is darker."""
    notes = 110.0, 110 * 2 ** (2 / 12)
    chord = reader(0.5 * (sine(notes[0], 6) + sine(notes[1], 6)))
    edges = frequency_edges(400, RATE, "cqt")
    rows = [int(np.searchsorted(edges, hz)) - 1 for hz in (*notes, np.sqrt(notes[0] * notes[1]))]
    sharp = spectrogram_db(chord, RATE, 4 * RATE, 4, 400, scale="cqt").mean(axis=1)[rows]
    blurred = spectrogram_db(chord, RATE, 4 * RATE, 4, 400, scale="log").mean(axis=1)[rows]
    assert sharp[:2].min() - sharp[2] > 1.5 > blurred[:2].min() - blurred[2]


def test_full_scale_is_zero_decibels_and_the_scale_is_absolute() -> None:
    rows = 2048  # finer than a bin
    loud = spectrogram_db(reader(sine(1000)), RATE // 2, RATE, 10, rows, scale="linear").max()
    assert loud == pytest.approx(0, abs=0.1)
    quiet = spectrogram_db(reader(0.01 * sine(1000)), RATE // 2, RATE, 10, rows, scale="linear").max()
    assert loud - quiet == pytest.approx(40, abs=1e-3)


def test_silence_is_dark_and_finite() -> None:
    values = spectrogram_db(reader(np.zeros(RATE)), 0, RATE, 10, 10)
    assert np.all(values == -200)
    levels = spectrogram_levels(reader(np.zeros(RATE)), 0, RATE, 10, 10)
    assert np.all(levels == 0) and np.all(painted(levels_png(levels)) == MAGMA[0])


def test_columns_follow_time() -> None:
    samples = sine(1000, 4)
    samples[: 2 * RATE] = 0
    power = spectrogram_db(reader(samples), 0, 4 * RATE, 40, 64).max(axis=0)
    assert power[:18].max() < -150 and power[21:].min() > -20


def test_high_frequencies_are_on_top_of_a_picture() -> None:
    levels = spectrogram_levels(reader(sine(200)), 0, 2 * RATE, 20, 64, scale="linear")
    assert np.argmax(levels.mean(axis=1)) > 56


@pytest.mark.parametrize("scale", SCALES)
def test_bytes_are_levels_in_half_decibels(scale: Scale) -> None:
    sound = reader(0.1 * sine(700) + 1e-4 * sine(3000))
    levels = spectrogram_levels(sound, 0, RATE, 30, 30, scale=scale)
    expected = np.maximum(spectrogram_db(sound, 0, RATE, 30, 30, scale=scale)[::-1], FLOOR_DB)
    assert np.abs(FLOOR_DB + STEP_DB * levels - expected).max() <= STEP_DB / 2
    assert levels.dtype == np.uint8 and levels.max() > 2 * np.median(levels)


def test_gain_shifts_the_levels_as_it_shifts_the_sound() -> None:
    samples = sine(700)
    whole, quarter = (
        spectrogram_levels(reader(samples), 0, RATE, 30, 30, gain=gain).astype(int) for gain in (1.0, 0.25)
    )
    expected = np.maximum(whole - round(20 * np.log10(4) / STEP_DB), 0)
    assert np.abs(quarter - expected).max() <= 1


@pytest.mark.parametrize("scale", SCALES)
def test_twice_the_signal_is_six_decibels_more(scale: Scale) -> None:
    rng = np.random.default_rng(0)
    noise = 0.4 * rng.standard_normal((2, 2 * RATE))
    levels = spectrogram_levels(reader(2 * noise), 0, 2 * RATE, 40, 50, scale=scale, minus=reader(noise))
    assert np.all(levels == NO_DIFFERENCE + round(20 * np.log10(2) / STEP_DB))
    back = spectrogram_levels(reader(noise), 0, 2 * RATE, 40, 50, scale=scale, minus=reader(2 * noise))
    assert np.all(levels.astype(int) + back == 2 * NO_DIFFERENCE)


def test_where_both_are_next_to_nothing_there_is_no_difference() -> None:
    faint, fainter = 1e-5 * sine(1000), 1e-7 * sine(1000)
    assert np.all(spectrogram_levels(reader(faint), 0, RATE, 20, 50, minus=reader(fainter)) == NO_DIFFERENCE)
    tone = spectrogram_levels(
        reader(0.1 * sine(1000)), RATE // 2, RATE, 20, 2048, scale="linear", minus=reader(np.zeros(2 * RATE))
    )
    assert STEP_DB * (tone.max() - NO_DIFFERENCE) == pytest.approx(-20 - DIFFERENCE_FLOOR_DB, abs=STEP_DB)


def test_a_difference_is_painted_blue_below_and_orange_above() -> None:
    levels = np.array([[NO_DIFFERENCE - 60, NO_DIFFERENCE, NO_DIFFERENCE + 60]], np.uint8)
    assert np.array_equal(painted(levels_png(levels, difference=True))[0], DIVERGING[[0, 128, 255]])


def test_all_channels_count() -> None:
    left_only = np.stack([sine(1000), np.zeros(2 * RATE)])
    opposite = np.stack([sine(1000), -sine(1000)])
    one = spectrogram_db(reader(left_only), RATE // 2, RATE, 5, 2048, scale="linear").max()
    both = spectrogram_db(reader(opposite), RATE // 2, RATE, 5, 2048, scale="linear").max()
    assert both - one == pytest.approx(10 * np.log10(2), abs=1e-3)  # and nothing cancels


@pytest.mark.parametrize(("scale", "octaves"), [("mel", 1), ("cqt", 7)])
def test_an_hour_is_no_more_work_than_its_columns(scale: Scale, octaves: int) -> None:
    hour = CountingReader(Signal(np.zeros((1, 3600 * 2000), np.float32), 2000))
    spectrogram_db(hour, 0, hour.length, 100, 40, scale=scale)
    assert 0 < hour.asked <= octaves * 100 * 4 * 1100 < hour.length / 2


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("start", "length"), [(-5 * RATE, 3 * RATE), (0, 1), (2 * RATE - 1, 50), (RATE, 100 * RATE)])
def test_any_stretch_has_a_picture(start: int, length: int, scale: Scale) -> None:
    values = spectrogram_db(reader(sine(500)), start, length, 33, 7, scale=scale)
    assert values.shape == (7, 33) and np.all(np.isfinite(values))


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(ShapeError, match="0 samples on 3 x 4 pixels"):
        spectrogram_db(reader(sine(500)), 0, 0, 3, 4)


@pytest.mark.parametrize("scale", SCALES)
def test_edges_rise_to_half_the_rate(scale: Scale) -> None:
    edges = frequency_edges(50, RATE, scale)
    assert len(edges) == 51 and np.all(np.diff(edges) > 0) and edges[-1] == pytest.approx(RATE / 2)


@pytest.mark.parametrize("rate", [100, 8000, 96000])
@pytest.mark.parametrize("scale", SCALES)
def test_any_rate_has_a_picture(scale: Scale, rate: int) -> None:
    values = spectrogram_db(reader(sine(20, 1, rate), rate), 0, rate, 5, 1, scale=scale)
    assert values.shape == (1, 5) and np.all(np.isfinite(values))


def test_the_constant_q_scale_starts_at_a_c() -> None:
    assert frequency_edges(10, RATE, "cqt")[0] == pytest.approx(32.703, abs=1e-3) == LOWEST_HZ["cqt"]
