"""Conv-TasNet: the same numbers as two independent implementations, the paper's sizes, and no look ahead when causal."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separation.models.conv_tasnet import NORM_EPSILON, ConvTasNet, CumulativeNorm, PReLU, TemporalBlock
from tests.peers import asteroid_separate, asteroid_twin, torchaudio_twin

TINY: dict[str, Any] = {
    "basis": 24, "kernel": 16, "bottleneck": 12, "hidden": 20, "skip": 8, "blocks": 4, "repeats": 2
}  # fmt: skip
NEEDS_ASTEROID = "pip install --no-deps asteroid==0.7.0 asteroid-filterbanks==0.4.0"
PEER = 1e-4
"""Of the estimates' peak, which is near one. The bar of the issue; what is measured is about 1e-6."""


def random_model(seed: int = 0, **changes: Any) -> ConvTasNet:
    """No weight at its initial one or zero: a norm or bias in the wrong place must show."""
    torch.manual_seed(seed)
    model = ConvTasNet(**(TINY | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def noise(length: int, batch: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(batch, 1, length, generator=torch.Generator().manual_seed(seed))


def separate(model: ConvTasNet, mixture: Tensor) -> Tensor:
    """``[B, 1, T]`` -> ``[B, S, T]``."""
    with torch.no_grad():
        return model.separate(mixture)[0].squeeze(2)


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert float(theirs.abs().max()) > 0.01, "comparing silence proves nothing"
    torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), rtol=0, atol=PEER)


@pytest.mark.parametrize("mask", ["sigmoid", "relu"])
@pytest.mark.parametrize("length", [16, 800, 1001, 4093])
def test_equals_torchaudio(mask: str, length: int) -> None:
    model = random_model(mask=mask, skip=TINY["bottleneck"])  # torchaudio has one number for both
    mixture = noise(length)
    with torch.no_grad():
        theirs = torchaudio_twin(model)(mixture)
    assert_same(separate(model, mixture), theirs)


def test_equals_torchaudio_at_the_size_of_the_paper() -> None:
    torch.manual_seed(0)
    model = ConvTasNet().eval()
    mixture = noise(8001, batch=1)
    with torch.no_grad():
        theirs = torchaudio_twin(model)(mixture)
    assert_same(separate(model, mixture), theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mask": "relu", "encoder_relu": True},
        {"mask": "softmax", "sources": ["a", "b", "c"]},
        {"skip": 0},
        {"width": 5},
        {"causal": True},
        {"causal": True, "skip": 0, "mask": "relu"},
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [800, 1001])
def test_equals_asteroid(changes: dict[str, Any], length: int) -> None:
    """Whole signals are compared: on a signal extended by hand asteroid's frames are ours (see `tests.peers.extend`)."""
    model = random_model(**changes)
    mixture = noise(length)
    pytest.importorskip("asteroid", reason=NEEDS_ASTEROID)
    assert_same(separate(model, mixture), asteroid_separate(asteroid_twin(model), mixture, model.hop_length))


def test_the_size_of_the_papers_best_model() -> None:
    """Table II of the paper: N 512, L 16, B 128, H 512, Sc 128, P 3, X 8, R 3 is "5.1 M".

    That counts a residual convolution in the last block, whose result nothing reads. torchaudio and we leave it out,
    asteroid has it.
    """
    model = ConvTasNet(
        basis=512, kernel=16, bottleneck=128, hidden=512, skip=128, width=3, blocks=8, repeats=3,
    )  # fmt: skip
    count = sum(p.numel() for p in model.parameters())
    unread = 512 * 128 + 128
    assert round((count + unread) / 1e6, 1) == 5.1
    assert count == sum(p.numel() for p in torchaudio_twin(model).parameters())


def test_the_size_of_asteroids_model_is_ours_with_what_nothing_reads() -> None:
    pytest.importorskip("asteroid", reason=NEEDS_ASTEROID)
    model = random_model()
    unread = TINY["hidden"] * TINY["bottleneck"] + TINY["bottleneck"]
    count = sum(p.numel() for p in model.parameters())
    assert count + unread == sum(p.numel() for p in asteroid_twin(model).parameters())


def test_the_receptive_field_of_the_papers_best_model() -> None:
    """1.53 s at 8 kHz (section III-C, table II): R repeats of 1 + sum of dilations, in hops, and nothing beyond.

    Seen in the gradient of the mask's logits in the middle frame; the norms are replaced, as they see everything.
    """
    model = ConvTasNet(basis=4, bottleneck=2, hidden=2, skip=2).eval().double()  # float32 underflows at the far ends
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    h = torch.randn(1, 4, 2001, dtype=torch.float64).requires_grad_()
    model.separator(h)[..., 1000].sum().backward()
    assert h.grad is not None
    seen = h.grad[0].abs().sum(0).nonzero().flatten()
    reach = 3 * sum(2**i for i in range(8))
    assert (int(seen.min()), int(seen.max())) == (1000 - reach, 1000 + reach)
    assert round((2 * reach + 1) * model.hop_length / 8000, 2) == 1.53


@pytest.mark.parametrize("changes", [{}, {"skip": 0, "mask": "softmax"}, {"kernel": 32}], ids=str)
@pytest.mark.parametrize("now", [100, 777, 1500])
def test_a_causal_model_does_not_look_ahead(changes: dict[str, Any], now: int) -> None:
    """Except within the frames that a sample lies in: the last of them ends less than one kernel later."""
    model = random_model(causal=True, **changes)
    mixture = noise(2000, batch=1)
    other = mixture.clone()
    other[..., now + model.arguments["kernel"] :] = noise(2000, batch=1, seed=9)[..., now + model.arguments["kernel"] :]
    one, two = separate(model, mixture), separate(model, other)
    assert torch.equal(one[..., : now + 1], two[..., : now + 1])
    assert not torch.equal(one[..., now + 64 :], two[..., now + 64 :])


def test_a_model_that_is_not_causal_does_look_ahead() -> None:
    model = random_model(causal=False)
    mixture = noise(2000, batch=1)
    other = mixture.clone()
    other[..., 1500:] = 0
    assert not torch.equal(separate(model, mixture)[..., :500], separate(model, other)[..., :500])


def test_cumulative_norm_is_its_definition_frame_by_frame() -> None:
    torch.manual_seed(0)
    norm = CumulativeNorm(5)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(2, 5, 40) * 3 + 1
    frames = []
    for k in range(x.shape[-1]):
        past = x[..., : k + 1].double()
        mean, variance = past.mean((1, 2), keepdim=True), past.var((1, 2), keepdim=True, unbiased=False)
        frames.append((x[..., k : k + 1] - mean) / (variance + NORM_EPSILON).sqrt())
    expected = torch.cat(frames, -1).float() * norm.weight + norm.bias
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-5)


def test_cumulative_norm_keeps_its_digits_over_ten_minutes() -> None:
    """The last frame of a long offset signal: sums in float32 would be wrong in the third digit."""
    x = 100 + torch.randn(1, 2, 600_000, generator=torch.Generator().manual_seed(0))
    out = CumulativeNorm(2)(x)[..., -1000:].detach()
    assert abs(float(out.std()) - 1) < 0.05
    assert abs(float(out.mean())) < 0.1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("width", "dilation"), [(3, 1), (3, 8), (5, 4)])
def test_depthwise_by_taps_is_the_convolution(causal: bool, width: int, dilation: int) -> None:
    torch.manual_seed(0)
    block = TemporalBlock(4, 6, 4, width, dilation, causal, residual=True)
    h = torch.randn(2, 6, 50)
    expected = block.depthwise(nn.functional.pad(h, block.padding))
    torch.testing.assert_close(block.convolve(h), expected)


def test_prelu_in_training_is_prelu() -> None:
    """Values and both gradients. Zero itself is left out, where the slope is a matter of convention."""
    torch.manual_seed(0)
    ours, theirs = PReLU(), nn.PReLU()
    one, two = (torch.linspace(-3, 3, 100).requires_grad_() for _ in range(2))
    up = torch.randn(100)
    for activation, x in ((ours.train(), one), (theirs, two)):
        (activation(x) * up).sum().backward()
    torch.testing.assert_close(ours(one), theirs(two))
    torch.testing.assert_close(one.grad, two.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_training_and_eval_give_the_same_estimates() -> None:
    """Nothing in it is random or keeps averages; only the arithmetic of the activation differs."""
    model = random_model()
    mixture = noise(801)
    torch.testing.assert_close(separate(model.train(), mixture), separate(model.eval(), mixture), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mask", "low", "high"), [("sigmoid", 0, 1), ("softmax", 0, 1), ("relu", 0, float("inf"))])
def test_the_range_of_masks(mask: str, low: float, high: float) -> None:
    model = random_model(mask=mask)
    with torch.no_grad():
        masks = model.masks(model.encode(noise(900)))
    assert masks.min() >= low
    assert masks.max() <= high
    if mask == "softmax":
        torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))


def test_a_chunk_of_the_declared_multiple_has_a_frame_count_that_is_fast() -> None:
    model = random_model(kernel=32)
    z = model.encode(torch.zeros(1, 1, 5 * model.spec.multiple_of))
    assert z.shape[-1] == 5 * 16 + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": 15}, "must be even, not 15"),
        ({"kernel": 0}, "must be even, not 0"),
        ({"width": 4}, "must be odd to stay aligned, not 4"),
        ({"mask": "tanh"}, "'tanh' are not known; use softmax, sigmoid or relu"),
    ],
)
def test_impossible_sizes_say_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConvTasNet(**(TINY | changes))
