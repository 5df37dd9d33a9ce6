"""What a narrow model could not hear follows whoever sounds at the border."""

import numpy as np
import pytest
import torch
from torch import Tensor

from separation.audio import ArrayReader
from separation.engine import RESIDUAL, Options, run, separate
from separation.engine.band import top_octave_shares
from separation.engine.chunks import plan
from separation.models.protocol import Spec
from separation.signals import Signal
from tests.fakes import Fake, Identity, Splitter, Track

RATE = 32000


class ByTime(Fake):
    """The first second is the first source's, the rest the second's."""

    def __init__(self) -> None:
        super().__init__(("early", "late"), sample_rate=8000, segment=60.0, context=0.5)

    def split(self, mixture: Tensor) -> Tensor:
        early = (torch.arange(mixture.shape[-1]) < 1.5 * 8000).float()  # half a second of context lies before
        return torch.stack([mixture * early, mixture * (1 - early)], 1)


def power_above(samples: np.ndarray, frequency: float) -> float:
    spectrum = np.square(np.abs(np.fft.rfft(samples * np.hanning(samples.shape[-1]))))
    return float(spectrum[..., round(frequency * samples.shape[-1] / RATE) :].sum() / samples.shape[-1] ** 2)


@pytest.fixture
def noise() -> Signal:
    return Signal(np.random.default_rng(0).standard_normal((2, 2 * RATE)).astype(np.float32) * 0.1, RATE)


def test_the_top_band_goes_to_the_source_that_sounds(noise: Signal) -> None:
    stems = separate(ByTime(), noise, Options(device="cpu"))
    early, late = stems["early"].samples, stems["late"].samples
    first, last = slice(0, int(0.85 * RATE)), slice(int(1.15 * RATE), None)
    assert np.abs(late[:, first]).max() < 1e-3 and np.abs(early[:, last]).max() < 1e-3
    assert np.abs(early[:, first] - noise.samples[:, first]).max() < 1e-3
    assert np.abs(late[:, last] - noise.samples[:, last]).max() < 1e-3
    assert np.abs(early + late - noise.samples).max() < 1e-6


def test_the_top_band_goes_to_the_source_next_to_it_and_not_to_the_loudest(noise: Signal) -> None:
    class AtOneKilohertz(Fake):
        def split(self, mixture: Tensor) -> Tensor:
            spectrum = torch.fft.rfft(mixture)
            below = spectrum * (torch.fft.rfftfreq(mixture.shape[-1], 1 / 8000) < 1000)
            return torch.fft.irfft(torch.stack([below, spectrum - below], 1), mixture.shape[-1])

    loud_below = Signal(noise.samples + 10 * np.sin(2 * np.pi * 500 * np.arange(noise.length) / RATE), RATE)
    stems = separate(AtOneKilohertz(("low", "high")), loud_below, Options(device="cpu"))
    top = power_above(noise.samples, 4100)
    assert power_above(stems["high"].samples, 4100) == pytest.approx(top, rel=0.01)
    assert power_above(stems["low"].samples, 4100) < 0.01 * top


def test_the_model_band_alone_leaves_the_top_to_the_residual(noise: Signal) -> None:
    sinks = {name: Track() for name in ("source0", "source1", RESIDUAL)}
    options = Options(device="cpu", band="model", consistency=False)
    run(Splitter(0.5, 0.5), ArrayReader(noise), sinks, options=options)
    top = power_above(noise.samples, 4100)
    assert power_above(sinks["source0"].samples, 4100) < 1e-6 * top
    assert power_above(sinks[RESIDUAL].samples, 4100) == pytest.approx(top, rel=1e-3)
    everything = sum(sink.samples for sink in sinks.values())
    assert np.abs(everything - noise.samples).max() < 1e-6


def test_of_a_lone_source_the_rest_of_the_top_band_stays_in_the_residual(noise: Signal) -> None:
    stem = separate(Splitter(0.5), noise, Options(device="cpu"))["source0"].samples
    # Half the amplitude on both sides: half of the energy, hence half of the top band.
    assert np.abs(stem - 0.5 * noise.samples).max() < 1e-3


@pytest.mark.parametrize("model_rate", [8000, 48000])
def test_shares_sum_to_one_even_in_silence(model_rate: int) -> None:
    layout = plan(Spec(model_rate, 1, ("a", "b", "c"), 1.0, 0.1), RATE, RATE, Options())
    estimates = np.random.default_rng(1).standard_normal((3, 2, layout.model_length)).astype(np.float32)
    estimates[..., : layout.model_length // 2] = 0
    share = top_octave_shares(estimates, estimates.sum(0), layout)
    assert share.shape[:2] == (3, 2)
    assert np.abs(share.sum(0) - 1).max() < 1e-12
    assert np.allclose(share[:, :, 0], 1 / 3)


def test_a_model_above_the_recordings_rate_gives_the_recordings_rate() -> None:
    time = np.arange(2 * 8000) / 8000
    tone = Signal(0.5 * np.sin(2 * np.pi * 440 * time)[None], 8000)
    separator = Identity(sample_rate=44100)
    found = separate(separator, tone, Options(device="cpu"))["all"]
    assert (found.sample_rate, found.length) == (8000, 16000)
    assert separator.shapes[0][-1] >= 44100
    assert np.array_equal(found.samples, tone.samples)
