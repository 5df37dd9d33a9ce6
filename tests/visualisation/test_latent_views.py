"""Pictures and records of latents: pixels by hand, and what JSON can hold."""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image

from separation.errors import ModelError, ShapeError
from separation.visualisation import (
    activations_cells,
    activations_png,
    basis_record,
    entropy_record,
    histogram_record,
    latents_record,
    mask_cells,
    mask_png,
)


@dataclass
class Grid:
    """Four rows by eight columns over two seconds: a mask that rises with the row, times two; activations with time."""

    sources: tuple[str, ...] = ("voice", "rest")
    sample_rate: int = 8000
    duration: float = 2.0
    mask_top: float = 2.0
    bins: bool = False
    histogram_top: float = 2.0
    centroid_hz: Any = field(default_factory=lambda: np.array([300, 100, 400, 200], np.float32))
    order: Any = field(default_factory=lambda: np.array([1, 3, 0, 2]))
    entropy: Any = field(default_factory=lambda: np.array([0, 1, np.nan, np.nan, 0.5, 0.5, np.nan, 1], np.float32))
    histogram: Any = field(default_factory=lambda: np.array([[0.25, 0.75], [1, 0]], np.float32))
    encoder: Any = field(default_factory=lambda: np.sin(np.arange(4)[:, None] * np.arange(32) / 2).astype(np.float32))
    decoder: Any = field(default_factory=lambda: np.stack([np.full((4, 32), k, np.float32) for k in (1, 2)]))
    windows: Any = None
    rows: int = 4
    columns: int = 8
    edges: Any = field(default_factory=lambda: np.arange(5))

    def members(self, row: int) -> tuple[int, ...]:
        return (int(self.order[row]),)

    def loudest(self, source: str) -> int:
        return 3 if source == "voice" else 0

    def mask(self, source: str, weighting: str = "energy") -> Any:
        if weighting == "share":
            return self.mask(source) / 2
        if source not in self.sources:
            raise ModelError("Show a mask", "there is no such source", "Choose another")
        rising = np.repeat(np.linspace(0, 2, 4, dtype=np.float32)[:, None], 8, 1)
        values = rising if source == "voice" else 2 - rising
        return values if weighting == "energy" else values[:, :1]

    def activations_db(self) -> Any:
        return np.repeat(np.linspace(-70, 0, 8, dtype=np.float32)[None], 4, 0)


def pixels(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "P"
        return np.asarray(image)


def test_low_basis_functions_lie_below_and_the_scale_is_the_grids() -> None:
    image = pixels(mask_png(Grid(), "voice", 0, 2, 16, 8))
    assert image.shape == (8, 16)
    assert (image[0] == 255).all() and (image[-1] == 0).all()
    assert (image == image[:, :1]).all()
    assert (pixels(mask_png(Grid(), "rest", 0, 2, 16, 8)) == image[::-1]).all()
    assert (pixels(mask_png(Grid(), "voice", 0, 2, 16, 8, weighting="plain")) == image).all()
    assert (pixels(mask_png(Grid(), "voice", 0, 2, 16, 8, weighting="share")) == image).all()


@pytest.mark.parametrize(
    ("offset", "duration", "width"), [(0.0, 2.0, 8), (0.5, 0.5, 2), (0.0, 2.0, 4), (0.25, 0.25, 5)]
)
def test_pixels_are_means_over_their_time(offset: float, duration: float, width: int) -> None:
    image = pixels(activations_png(Grid(), offset, duration, width, 4))[0].astype(float)
    fine = np.repeat(np.linspace(0, 255, 8), 1000)
    first, last = round(offset * 4000), round((offset + duration) * 4000)
    expected = fine[first:last].reshape(width, -1).mean(1)
    np.testing.assert_allclose(image, expected, atol=1)


def test_outside_the_stage_is_dark() -> None:
    image = pixels(mask_png(Grid(), "rest", -2, 6, 30, 4))
    assert (image[-1, 10:20] == 255).all()
    assert not image[:, :10].any() and not image[:, 20:].any()
    assert not pixels(activations_png(Grid(), 5, 1, 10, 4)).any()


def test_records_are_json_and_say_what_is_there() -> None:
    grid = Grid()
    histogram = histogram_record(grid, "voice")
    assert histogram == {"source": "voice", "edges": [0, 1, 2], "share": [0.25, 0.75]}
    entropy = entropy_record(grid, points=4)
    assert entropy == {
        "offset": 0.0,
        "step": 0.5,
        "entropy": [0.5, None, 0.5, 1.0],
        "mean": pytest.approx(2 / 3, abs=1e-4),
    }
    uneven = entropy_record(grid, points=3)
    assert uneven["step"] == 0.75 and uneven["entropy"] == [0.5, 0.5, 1.0], "three columns, three, and the last two"
    basis = basis_record(grid, 2, "rest")
    assert (basis["index"], basis["place"], basis["of"], basis["hz"], basis["bin"]) == (2, 3, 4, 400.0, False)
    assert basis["decoder"]["waveform"] == [2.0] * 32
    peak = basis["encoder"]["hz"][int(np.argmax(basis["encoder"]["db"]))]
    assert peak == pytest.approx(8000 / (2 * np.pi), rel=0.05), "one radian a sample"
    assert max(basis["encoder"]["db"]) == 0 and min(basis["encoder"]["db"]) >= -80
    json.dumps([histogram, entropy, basis], allow_nan=False)


def test_cells_are_the_picture_unpainted() -> None:
    cells = np.frombuffer(mask_cells(Grid(), "voice"), np.uint8).reshape(4, 8)
    assert (cells[::-1] == pixels(mask_png(Grid(), "voice", 0, 2, 8, 4))).all()
    assert mask_cells(Grid(), "voice", "share") == cells.tobytes()
    activations = np.frombuffer(activations_cells(Grid()), np.uint8).reshape(4, 8)
    assert (activations == pixels(activations_png(Grid(), 0, 2, 8, 4))).all() and activations[0, -1] == 255


def test_the_record_of_a_stage() -> None:
    record = latents_record(Grid())
    assert (
        record["hz"] == [100, 200, 300, 400] and record["order"] == [1, 3, 0, 2] and record["edges"] == [0, 1, 2, 3, 4]
    )
    assert record["loudest"] == {"voice": 3, "rest": 0}
    assert record["mask_top"] == 2 and record["paint_top"] == 2 and not record["shares"], "the two add up to two"
    assert record["carrying"] == 4, "all four carry the same"
    assert [each["source"] for each in record["histograms"]] == ["voice", "rest"] and record["entropy"][
        "mean"
    ] is not None
    json.dumps(record, allow_nan=False)


def test_few_strong_cells_do_not_darken_all_others() -> None:
    class Spiky(Grid):
        def mask(self, source: str, weighting: str = "energy") -> Any:
            values = np.full((40, 80), 3, np.float32)
            values[0, 0] = 90
            return values

        def activations_db(self) -> Any:
            return np.zeros((40, 80), np.float32)

    record = latents_record(
        Spiky(mask_top=90.0, rows=40, edges=np.arange(41), order=np.arange(40), centroid_hz=np.arange(40))
    )
    assert record["mask_top"] == 90 and record["paint_top"] == 3


def test_bins_are_sines_under_the_window() -> None:
    windows = np.stack([np.hanning(63), 0.1 * np.hanning(63)]).astype(np.float32)
    record = basis_record(
        Grid(bins=True, encoder=None, decoder=None, windows=windows, centroid_hz=np.full(4, 1000)), 0, "rest"
    )
    assert len(record["encoder"]["waveform"]) == 63 and max(record["encoder"]["waveform"]) == pytest.approx(1)
    assert max(record["decoder"]["waveform"]) == pytest.approx(0.1)
    peak = record["encoder"]["hz"][int(np.argmax(record["encoder"]["db"]))]
    assert peak == pytest.approx(1000, abs=20)


def test_bins_and_silence_have_no_waveforms_and_no_mean() -> None:
    grid = Grid(bins=True, encoder=None, decoder=None, entropy=np.full(8, np.nan, np.float32))
    record = basis_record(grid, 0, "voice")
    assert record["bin"] and record["encoder"] is None and record["decoder"] is None
    assert entropy_record(grid)["mean"] is None
    dead = Grid(encoder=np.zeros((4, 32), np.float32), decoder=np.ones((1, 4, 32), np.float32))
    json.dumps(basis_record(dead, 1, "rest"), allow_nan=False)


def test_what_is_not_there_is_refused() -> None:
    for ask in (lambda: histogram_record(Grid(), "drums"), lambda: basis_record(Grid(), 4, "rest")):
        with pytest.raises(ModelError, match="Choose from"):
            ask()
    with pytest.raises(ModelError):
        mask_png(Grid(), "drums", 0, 1, 4, 4)
    for duration, width, height in ((0, 4, 4), (1, 0, 4), (1, 4, 0), (float("nan"), 4, 4)):
        with pytest.raises(ShapeError, match="pixel"):
            mask_png(Grid(), "voice", 0, duration, width, height)
