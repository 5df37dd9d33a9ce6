"""Models on recordings with another number of channels."""

import numpy as np
import pytest
import torch

from separation.engine import Options, separate
from separation.engine.adapt import by_ratio, estimate
from separation.signals import Signal
from tests.fakes import Identity, MaskedSTFT, Splitter, Swapping

CPU = Options(device="cpu", consistency=False)


def noise(channels: int, length: int = 8000, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, channels, length, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_a_model_that_fits_is_called_as_it_is() -> None:
    for channels, takes in ((1, 1), (2, 2), (5, None)):
        separator = Splitter(0.25, 0.5, channels=takes)
        found = estimate(separator, noise(channels), {}, None).stems
        assert torch.equal(found, noise(channels)[:, None] * torch.tensor([0.25, 0.5])[:, None, None])
        assert separator.shapes == [(2, channels, 8000)]


def test_a_stereo_model_on_mono_hears_the_channel_twice() -> None:
    separator = Identity(channels=2)
    found = estimate(separator, noise(1), {}, None).stems
    assert separator.shapes == [(2, 2, 8000)]
    assert torch.equal(found, noise(1)[:, None])


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_the_masks_of_a_mono_latent_model_are_those_of_the_mid_signal(channels: int) -> None:
    model, mixture = MaskedSTFT(channels=1), noise(channels)
    with torch.no_grad():
        found = estimate(model, mixture, {}, None, inside=True)
        mid = model.masks(model.encode(mixture.mean(1, keepdim=True)))
        assert torch.equal(found.masks, mid)
        assert found.latent.shape[1] == channels
        by_channel = [model.decode(mid * model.encode(mixture[:, c : c + 1])[:, None], 8000) for c in range(channels)]
    assert torch.allclose(found.stems, torch.cat(by_channel, 2), atol=1e-6)
    assert torch.allclose(found.stems.sum(1), mixture, atol=1e-5), "softmax masks sum to one in every channel"


def test_equal_channels_come_out_equal_to_mono() -> None:
    mono = noise(1)
    for model in (MaskedSTFT(channels=1), Swapping()):
        with torch.no_grad():
            model_state = getattr(model, "random", torch.Generator()).get_state()
            alone = estimate(model, mono, {}, None).stems
            if isinstance(model, Swapping):
                model.random.set_state(model_state)
            both = estimate(model, mono.expand(-1, 2, -1), {}, None).stems
        assert torch.equal(both[:, :, 0], both[:, :, 1])
        # A ratio mask of magnitudes knows no phase: it is close to the estimate, no more.
        error = (both[:, :, :1] - alone).square().sum() / alone.square().sum()
        assert error < (1e-10 if isinstance(model, MaskedSTFT) else 0.02)


def test_the_ratio_mask_keeps_where_sources_are_and_adds_up() -> None:
    rate, time = 8000, torch.arange(16000) / 8000
    low, high = torch.sin(2 * torch.pi * 300 * time), torch.sin(2 * torch.pi * 2500 * time)
    mixture = torch.stack([low + 0.1 * high, 0.2 * low + high])[None]  # low on the left, high on the right
    found = estimate(Swapping(seed=1), mixture, {}, None).stems[0]
    low_first = found[0, 0].square().sum() > found[1, 0].square().sum()
    below, above = (found[0], found[1]) if low_first else (found[1], found[0])
    inner = slice(500, -500)
    assert torch.allclose(below[:, inner], torch.stack([low, 0.2 * low])[:, inner], atol=0.02)
    assert torch.allclose(above[:, inner], torch.stack([0.1 * high, high])[:, inner], atol=0.02)
    assert torch.allclose(found.sum(0), mixture[0], atol=1e-5)
    assert rate == Swapping().spec.sample_rate


def test_opposite_channels_are_shared_equally_and_lose_nothing() -> None:
    channel = noise(1)[:1, 0]
    mixture = torch.stack([channel, -channel], 1)
    found = by_ratio(torch.zeros(1, 2, 1, 8000), mixture.mean(1, keepdim=True), mixture, 8000)
    assert torch.allclose(found[:, 0], mixture / 2, atol=1e-6)
    assert torch.allclose(found.sum(1), mixture, atol=1e-6)


def test_a_lone_mono_source_on_stereo_is_shared_with_what_it_left() -> None:
    mixture = noise(2)
    found = estimate(Splitter(0.25, channels=1), mixture, {}, None).stems
    assert torch.allclose(found[:, 0], 0.25 * mixture, atol=1e-4)


@pytest.mark.parametrize("model", [MaskedSTFT(channels=1), MaskedSTFT(channels=2), Splitter(0.3, 0.7, channels=2)])
def test_a_recording_of_five_channels_passes_through_any_model(model) -> None:
    signal = Signal(noise(5)[0].numpy(), 8000)
    stems = separate(model, signal, CPU)
    total = sum(stem.samples for stem in stems.values())
    assert all(stem.channels == 5 for stem in stems.values())
    assert np.abs(total - signal.samples).max() < 1e-5
