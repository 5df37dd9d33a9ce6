"""Wave-U-Net: the published size and shapes, its variants, and what padding and interpolation must keep to."""

import pytest
import torch
from torch import Tensor

from separation.models.wave_u_net import Interpolation, WaveUNet

SMALL = {"levels": 4, "growth": 4}
VARIANTS = {
    "M1": {},
    "M2": {"difference": True},
    "M3": {"difference": True, "input_context": True},
    "M4": {"difference": True, "input_context": True, "channels": 2},
    "M5": {"difference": True, "input_context": True, "channels": 2, "upsampling": "learned"},
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        model = WaveUNet(sources=("vocals",))
    assert sum(p.numel() for p in model.parameters()) == 10_263_002


def test_the_sizes_of_the_papers_input_context() -> None:
    with torch.device("meta"):
        model = WaveUNet(input_context=True)
    assert model._sizes(16384) == (147_443, 16_389), "table 2 of the paper: 147443 samples in, 16389 out"
    assert model.reach == (147_443 - 16_389) // 2 + 2**12 - 1


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("length", [1, 100, 1237])
def test_every_variant_takes_any_length(name: str, length: int) -> None:
    model = WaveUNet(**SMALL, **VARIANTS[name]).eval()  # type: ignore[arg-type]
    mixture = noise(2, model.arguments["channels"], length)
    with torch.no_grad():
        estimates, _ = model.separate(mixture)
    assert estimates.shape == (2, 2, model.arguments["channels"], length)
    if model.arguments["difference"]:
        torch.testing.assert_close(estimates.sum(1), mixture)


def test_the_unpadded_network_gives_what_its_arithmetic_says() -> None:
    model = WaveUNet(**SMALL, input_context=True).eval()  # type: ignore[arg-type]
    for length in (1, 6, 7, 300, 1237):
        size_in, size_out = model._sizes(length)
        assert length <= size_out < length + 2**4 or size_in == model._sizes(1)[0]
        with torch.no_grad():
            assert model.forward(noise(1, 1, size_in)).shape[-1] == size_out


@pytest.mark.parametrize("name", VARIANTS)
def test_away_from_the_edges_a_chunk_is_the_same_region_of_the_whole(name: str) -> None:
    torch.manual_seed(1)
    model = WaveUNet(**SMALL, **VARIANTS[name]).eval()  # type: ignore[arg-type]
    whole = noise(1, model.arguments["channels"], 1600)
    start, stop, reach = 320, 1280, 272  # on the grid of 2^4 samples
    with torch.no_grad():
        inside = model.separate(whole)[0][..., start + reach : stop - reach]
        chunk = model.separate(whole[..., start:stop])[0][..., reach:-reach]
    assert model.reach <= reach
    torch.testing.assert_close(chunk, inside, atol=1e-5, rtol=1e-4)


def test_with_input_context_no_output_depends_on_more_than_its_reach() -> None:
    model = WaveUNet(**SMALL, input_context=True).eval()  # type: ignore[arg-type]
    mixture = noise(1, 1, 1600).requires_grad_()
    model.separate(mixture)[0][..., 800].sum().backward()
    assert mixture.grad is not None
    touched = mixture.grad[0, 0].nonzero()[:, 0]
    assert 800 - model.reach <= int(touched.min()) and int(touched.max()) <= 800 + model.reach


def test_interpolation_keeps_the_samples_and_puts_means_between_them() -> None:
    x = torch.tensor([[[1.0, 3.0, 2.0]]])
    padded = Interpolation(1, learned=False, extend=True)(x)
    assert padded.tolist() == [[[1.0, 2.0, 3.0, 2.5, 2.0, 2.0]]]
    assert Interpolation(1, learned=False, extend=False)(x).tolist() == [[[1.0, 2.0, 3.0, 2.5, 2.0]]]
    learned = Interpolation(1, learned=True, extend=False)
    assert learned(x).tolist() == [[[1.0, 2.0, 3.0, 2.5, 2.0]]], "starts as linear"
    torch.nn.init.constant_(learned.logit, 50.0)  # type: ignore[arg-type]
    assert learned(x).tolist() == [[[1.0, 1.0, 3.0, 3.0, 2.0]]], "all weight on the sample before"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kernel_down": 14}, "must be odd"),
        ({"sources": ["vocals"], "difference": True}, "one source leaves nothing"),
        ({"upsampling": "sinc"}, "'sinc' is not known"),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WaveUNet(**{**SMALL, **arguments})  # type: ignore[arg-type]
