"""HTMD-Net: the published sizes, its two probe points, and its recurrent layer against a plain recursion."""

import pytest
import torch
from torch import Tensor

from separation.models.htmd_net import Denoiser, HTMDNet, LinearLSTM

SMALL = {"basis": 12, "kernel": 8, "bottleneck": 6, "hidden": 10, "blocks": 3, "levels": 3, "growth": 3, "recurrent": 5}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_the_sizes_of_the_record() -> None:
    with torch.device("meta"):
        whole = HTMDNet(idle_residual=True)
        masking = HTMDNet(denoiser=False, idle_residual=True)
        tasnet = HTMDNet(denoiser=False, repeats=3)
    count = [sum(p.numel() for p in model.parameters()) for model in (whole, masking, tasnet)]
    assert count[:2] == [4_564_463, 1_962_881]
    assert round(count[2] / 1e6, 1) == 5.5, "their Conv-TasNet has 5.5 M"


def test_the_idle_residual_is_idle() -> None:
    torch.manual_seed(0)
    model = HTMDNet(**SMALL, idle_residual=True).eval()  # type: ignore[arg-type]
    last = list(model.tcn)[-1].residual
    assert last is not None
    with torch.no_grad():
        before, _ = model.separate(noise(1, 1, 500))
        torch.nn.init.normal_(last.weight)  # type: ignore[arg-type]
        after, _ = model.separate(noise(1, 1, 500))
    assert torch.equal(before, after)


def test_both_probe_points_are_what_is_heard() -> None:
    torch.manual_seed(0)
    model = HTMDNet(**SMALL).eval()  # type: ignore[arg-type]
    mixture = noise(2, 1, 777)
    with torch.no_grad():
        masked, final = model.probe(mixture)
        estimates, _ = model.separate(mixture)
        model.denoiser = None
        without, _ = model.separate(mixture)
    torch.testing.assert_close(final, estimates[:, 0])
    torch.testing.assert_close(masked, without[:, 0])
    assert (masked - final).abs().max() > 1e-3
    torch.testing.assert_close(estimates.sum(1), mixture)


def test_deep_supervision_reaches_both_networks() -> None:
    model = HTMDNet(**SMALL)  # type: ignore[arg-type]
    masked, _ = model.probe(noise(2, 1, 777))
    masked.square().mean().backward()
    assert model.encoder.weight.grad is not None and model.encoder.weight.grad.any()
    assert model.denoiser is not None
    assert all(p.grad is None for p in model.denoiser.parameters()), "the first loss is about the first network"


def test_the_authors_windows_are_one_argument_away() -> None:
    model = HTMDNet(segment=16384 / 22050, context=0.0)
    assert round(model.spec.segment * model.spec.sample_rate) == 16384
    assert 16384 % model.spec.multiple_of == 0
    assert model.encode(noise(1, 1, 16384)).shape == (1, 1, 512, 2048)


@pytest.mark.parametrize("length", [1, 8, 100, 1237])
def test_the_denoiser_takes_any_length_and_stays_in_range(length: int) -> None:
    out = Denoiser(3, 3, 5)(noise(2, 1, length) * 100)
    assert out.shape == (2, 1, length)
    assert out.abs().max() <= 1


def test_the_recurrent_layer_follows_its_equations() -> None:
    layer = LinearLSTM(3, 2)
    x = noise(1, 3, 4) * 10
    state = memory = torch.zeros(2)
    for k in range(4):
        gates = layer.weight_input @ x[0, :, k] + layer.weight_state @ state + layer.bias
        admit, keep, value, show = gates[:2], gates[2:4], gates[4:6], gates[6:]
        memory = torch.sigmoid(keep) * memory + torch.sigmoid(admit) * value
        state = torch.sigmoid(show) * memory
        torch.testing.assert_close(layer(x)[0, :, k], state)
    assert (layer.bias[2:4] == 1).all() and layer.bias[:2].abs().max() == 0


def test_wrong_arguments_say_what_is_right() -> None:
    with pytest.raises(ValueError, match="two names, not 3"):
        HTMDNet(**SMALL, sources=["a", "b", "c"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="multiple of 4, not 10"):
        HTMDNet(**{**SMALL, "kernel": 10})  # type: ignore[arg-type]
