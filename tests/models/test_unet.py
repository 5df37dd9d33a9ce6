"""The U-Net: masks share the mixture out, and what cannot be built is refused with the reason."""

from typing import Any

import pytest
import torch
from torch import Tensor

from separation.errors import ConfigError
from separation.models import build
from separation.models.unet import UNet

TINY: dict[str, Any] = {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "channels": [3, 4, 5], "hidden": 6}


def random_model(**changes: Any) -> UNet:
    """Larger weights than at the start, so that masks are far from one half, and other running averages than (0, 1)."""
    torch.manual_seed(0)
    model = UNet(**(TINY | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.train()
        model.separate(noise(2000))
    return model.eval()


def noise(length: int, channels: int = 1, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize("sources", [["vocals", "rest"], ["a", "b", "c"], ["a", "b", "c", "d"]], ids=len)
@pytest.mark.parametrize("length", [1, 100, 1999])
def test_masks_share_the_mixture_out(sources: list[str], length: int) -> None:
    model = random_model(sources=sources)
    with torch.no_grad():
        masks = model.masks(model.encode(noise(length)))
    assert masks.shape[1] == len(sources)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert masks.std() > 0.01, "a mask that says the same everywhere proves nothing"
    torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))


@pytest.mark.parametrize("sources", [["vocals", "rest"], ["a", "b", "c"]], ids=len)
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_add_up_to_the_mixture(sources: list[str], channels: int) -> None:
    model = random_model(sources=sources)
    mixture = noise(1501, channels)
    with torch.no_grad():
        stems, _ = model.separate(mixture)
    torch.testing.assert_close(stems.sum(1), mixture, rtol=0, atol=1e-5)


def test_the_nyquist_bin_follows_its_neighbour() -> None:
    model = random_model()
    with torch.no_grad():
        masks = model.masks(model.encode(noise(900)))
    assert masks.shape[-2] == 33
    torch.testing.assert_close(masks[..., -1, :], masks[..., -2, :])


def test_masks_do_not_depend_on_which_channel_is_which() -> None:
    model = random_model()
    stereo = noise(900, 2)
    with torch.no_grad():
        one, two = (model.masks(model.encode(x)) for x in (stereo, stereo.flip(1)))
        mono, doubled = (model.masks(model.encode(x)) for x in (stereo[:, :1], stereo[:, :1].expand(-1, 2, -1)))
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(mono, doubled)


def test_masks_do_not_depend_on_polarity() -> None:
    """Only magnitudes are seen; a karaoke disc with one channel turned over is no harder."""
    model = random_model()
    with torch.no_grad():
        one, two = (model.masks(model.encode(x)) for x in (noise(900), -noise(900)))
    assert torch.equal(one, two)


def test_the_gradient_is_finite_at_digital_silence() -> None:
    """The compression has an infinite slope at zero; the floor under it keeps that out of the weights and the input."""
    model = random_model().train()
    mixture = torch.zeros(2, 1, 800).requires_grad_()
    model.separate(mixture)[0].sum().backward()
    assert mixture.grad is not None
    assert torch.isfinite(mixture.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_every_number_of_levels_runs(levels: int) -> None:
    model = random_model(channels=[3, 4, 5, 6][:levels])
    assert model.separate(noise(333))[0].shape == (2, 2, 1, 333)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 100, "hop_length": 25}, r"50 bins cannot be halved 3 times; use fewer channels or a longer n_fft"),
        ({"n_fft": 16, "hop_length": 4}, r"8 bins cannot be halved 3 times"),
        ({"channels": [4]}, r"two levels or more for its skips, not 1"),
        ({"channels": []}, r"two levels or more for its skips, not 0"),
        ({"hop_length": 24}, r"64 samples needs a hop that divides it at least twice, not 24"),
        ({"hop_length": 64}, r"at least twice, not 64"),
        ({"sources": ["all"]}, r"there must be two sources or more"),
        ({"sources": []}, r"there must be two sources or more"),
    ],
)
def test_impossible_sizes_say_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("unet", TINY | changes)


def test_averages_of_batch_norm_travel_with_the_weights() -> None:
    names = set(random_model().state_dict())
    assert {name.rpartition(".")[2] for name in names} >= {"running_mean", "running_var"}
    assert not any("window" in name for name in names), "the STFT window is made, not stored"
