"""The sheet of basis functions and their spectra: order, scale, bounds; and the figure of the learning curves."""

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from separation.hub import Curve
from separation.visualisation.basis import MOST_SAMPLES, MOST_SHOWN, SPECTRUM_POINTS, basis_sheet, spectra_png
from separation.visualisation.figures import learning

RATE = 8000


@dataclass
class Tones:
    """A basis of windowed tones, in a shuffled order."""

    sample_rate: int
    centroid_hz: NDArray[np.float32]
    order: NDArray[np.int64]
    encoder: NDArray[np.float32]
    decoder: NDArray[np.float32]


def tones(count: int, length: int) -> Tones:
    rng = np.random.default_rng(0)
    hz = rng.permutation(np.linspace(500, 3500, count)).astype(np.float32)
    time = np.arange(length) / RATE
    waves = (np.hanning(length) * np.sin(2 * np.pi * hz[:, None] * time)).astype(np.float32)
    loud = waves * rng.uniform(0.1, 10, (count, 1)).astype(np.float32)
    return Tones(RATE, hz, np.argsort(hz), loud, loud[None, :, ::-1])


def test_from_low_to_high_each_by_its_own_peak() -> None:
    sheet = basis_sheet(tones(40, 64))
    assert (sheet["count"], sheet["length"], sheet["sample_rate"]) == (40, 64, RATE)
    hz = [each["hz"] for each in sheet["shown"]]
    assert hz == sorted(hz) and len(hz) == 40
    assert sorted(each["index"] for each in sheet["shown"]) == list(range(40))
    for wave, reverse in zip(sheet["encoder"], sheet["decoder"], strict=True):
        assert max(map(abs, wave)) == 100 and reverse == wave[::-1]
    for each, spectrum in zip(sheet["shown"], sheet["encoder_db"], strict=True):
        assert len(spectrum) == SPECTRUM_POINTS and max(spectrum) == 0
        assert abs(spectrum.index(0) * RATE / 2 / (SPECTRUM_POINTS - 1) - each["hz"]) < 60
    json.dumps(sheet, allow_nan=False)


def test_very_many_and_very_long_ones_are_an_even_choice() -> None:
    many = basis_sheet(tones(2000, 16))
    assert len(many["shown"]) == MOST_SHOWN and many["count"] == 2000
    assert many["shown"][0]["hz"] == 500 and many["shown"][-1]["hz"] == 3500
    long = basis_sheet(tones(64, 4096))
    assert len(long["shown"]) * 4096 <= MOST_SAMPLES and len(long["encoder_db"][0]) == SPECTRUM_POINTS
    assert len(json.dumps(many)) + len(json.dumps(long)) < 2_000_000


def test_a_basis_function_that_never_answers_is_flat() -> None:
    dead = tones(4, 32)
    dead.encoder[2] = 0
    sheet = basis_sheet(dead)
    place = [each["index"] for each in sheet["shown"]].index(2)
    assert set(sheet["encoder"][place]) == {0} and set(sheet["encoder_db"][place]) == {-50}


def test_the_picture_has_a_bright_diagonal() -> None:
    for decoder in (False, True):
        image = Image.open(io.BytesIO(spectra_png(tones(50, 128), decoder=decoder)))
        assert image.size == (50, SPECTRUM_POINTS)
        levels = np.asarray(image)[::-1]  # palette indices, low frequencies first
        peaks = levels.argmax(0) * RATE / 2 / (SPECTRUM_POINTS - 1)
        np.testing.assert_allclose(peaks, np.linspace(500, 3500, 50), atol=60)


def test_learning_curves_as_a_figure() -> None:
    loss = Curve(name="loss", unit="", steps=(10, 20, 30), values=(2.0, None, -1.0))
    gains = Curve(name="SI-SDR gain", unit="dB", steps=(20, 30), values=(1.0, 3.0), errors=(0.5, None))
    figure = learning(loss, gains, 30).to_dict()
    band, validation, training = figure["data"]
    assert band["x"] == [20, 20] and list(band["y"]) == [1.5, 0.5], "no band where no error is known"
    assert (validation["x"], validation["y"]) == ([20, 30], [1.0, 3.0]) and validation["yaxis"] == "y"
    assert (training["y"], training["yaxis"]) == ([2.0, None, -1.0], "y2")
    assert figure["layout"]["shapes"][0]["x0"] == 30
    assert figure["rows"] == [
        ["SI-SDR gain", 20, 1.0], ["SI-SDR gain", 30, 3.0], ["loss", 10, 2.0], ["loss", 20, None], ["loss", 30, -1.0],
    ]  # fmt: skip
    json.dumps(figure, allow_nan=False)
    plain = learning(loss, gains.model_copy(update={"errors": None}), 30).to_dict()
    assert len(plain["data"]) == 2
