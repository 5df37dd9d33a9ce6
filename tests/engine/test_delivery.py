"""What is delivered adds up, and no stem is scaled by itself."""

import numpy as np
import pytest

from separation.audio import ArrayReader, Writer, open_reader
from separation.engine import RESIDUAL, Options, null_db, run
from separation.engine.delivery import NULL_FLOOR_DB, common_gain, deliver
from separation.errors import Cancelled, ShapeError
from separation.signals import Signal
from tests.fakes import Splitter


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_of_two_sources_the_last_is_the_mixture_minus_the_other() -> None:
    mixture, raw = noise(0, 2, 500), noise(1, 2, 2, 500)
    tracks = deliver(raw, mixture, ("vocals", "rest"), consistency=True)
    assert np.array_equal(tracks["vocals"], raw[0])
    assert np.array_equal(tracks["rest"], mixture - raw[0])
    assert np.allclose(tracks[RESIDUAL], mixture - raw[0] - raw[1], atol=1e-6)


def test_of_more_sources_each_gets_an_equal_part_of_what_is_missing() -> None:
    mixture, raw = noise(0, 2, 500), noise(1, 4, 2, 500)
    tracks = deliver(raw, mixture, tuple("abcd"), consistency=True)
    for name, estimate in zip("abcd", raw, strict=True):
        assert np.allclose(tracks[name] - estimate, tracks[RESIDUAL] / 4, atol=1e-6)
    assert np.allclose(sum(tracks[name] for name in "abcd"), mixture, atol=1e-5)


@pytest.mark.parametrize("consistency", [True, False])
def test_a_lone_source_is_as_the_model_gave_it(consistency: bool) -> None:
    mixture, raw = noise(0, 1, 500), noise(1, 1, 1, 500)
    tracks = deliver(raw, mixture, ("vocals",), consistency=consistency)
    assert np.array_equal(tracks["vocals"], raw[0])
    assert np.allclose(tracks["vocals"] + tracks[RESIDUAL], mixture, atol=1e-6)


@pytest.mark.parametrize("peak", [0.0, 0.5, 1.0, 1.0001, 1.7, 30.0])
def test_the_common_gain_keeps_everything_below_full_scale_of_16_bits(peak: float) -> None:
    gain = common_gain(peak)
    assert gain <= 1 and peak * gain <= 1
    assert gain == 1 or round(peak * gain * 2**15) == 2**15 - 1


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_the_null_figure_of_written_files(tmp_path, format: str) -> None:
    mixture = Signal(0.2 * noise(0, 2, 30_000), 8000)
    separator = Splitter(0.3, 0.5, 0.1)
    paths = {name: tmp_path / f"{name}.{format}" for name in separator.spec.sources}
    writers = {name: Writer(path, 8000, 2, format=format, bit_depth="24") for name, path in paths.items()}
    run(separator, ArrayReader(mixture), writers, options=Options(device="cpu"))
    for writer in writers.values():
        writer.close()
    readers = [open_reader(path) for path in paths.values()]
    found = null_db(ArrayReader(mixture), readers)
    # About the noise of three tracks rounded to 24 bits, 3 · 2⁻⁴⁶ / 12, below a mixture of power 0.04.
    expected = 10 * np.log10(3 * 2.0**-46 / 12 / 0.04)
    assert found == pytest.approx(expected, abs=1)
    assert null_db(ArrayReader(mixture), readers[:2]) > -20
    for reader in readers:
        reader.close()


def test_the_null_figure_at_its_ends() -> None:
    mixture = Signal(noise(0, 1, 300_000), 8000)
    half = Signal(mixture.samples / 2, 8000)
    assert null_db(ArrayReader(mixture), [ArrayReader(half), ArrayReader(half)]) == NULL_FLOOR_DB
    assert null_db(ArrayReader(mixture), []) == pytest.approx(0)
    assert null_db(ArrayReader(mixture), [ArrayReader(half)]) == pytest.approx(-6.0206, abs=1e-3)
    silence = Signal(np.zeros((1, 100)), 8000)
    assert null_db(ArrayReader(silence), [ArrayReader(silence)]) is None
    with pytest.raises(ShapeError, match=r"\[100, 300000\] samples"):
        null_db(ArrayReader(mixture), [ArrayReader(silence)])
    with pytest.raises(Cancelled):
        null_db(ArrayReader(mixture), [], cancelled=lambda: True)
