"""Non-negative auto-encoders: the paper's layers, learning that gets better, a descent that fits mixtures, components' shares.

What holds for all three architectures of the family is tested here on each of them; `test_ccae` and `test_rcae` have the rest.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from separation.engine import Options, separate
from separation.errors import ConfigError
from separation.metrics import si_sdr
from separation.models import build
from separation.models.components import ComponentModel, joined, with_surgery
from separation.models.nae import (
    FLOOR,
    NAE,
    START,
    AutoEncoder,
    AutoEncoderModel,
    FeedForward,
    RMSProp,
    Terms,
    divergence,
)
from separation.signals import Signal

RATE = 8000
SMALL: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_length": 64}
OWN: dict[str, dict[str, Any]] = {"nae": {}, "ccae": {"frames": 4}, "rcae": {"frames": 4, "hidden": 2, "sequence": 20}}
"""Arguments that make each of them small."""


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def small(architecture: str = "nae", **arguments: Any) -> AutoEncoderModel:
    torch.manual_seed(0)
    model = build(architecture, {**SMALL, **OWN[architecture], "components": 3, "steps": 5, **arguments})
    assert isinstance(model, AutoEncoderModel)
    return model.eval()


def coder(model: ComponentModel, source: int = 0) -> AutoEncoder:
    part = model.taught[source]
    assert isinstance(part, AutoEncoder)
    return part


def melody(hz: float, seconds: float = 0.6, seed: int = 0) -> Tensor:
    """Notes of four harmonics each, on and off: ``[T]``."""
    time = torch.arange(round(seconds * RATE)) / RATE
    notes = torch.repeat_interleave(rand(8, seed=seed), -(-len(time) // 8))[: len(time)]
    wave = sum(torch.sin(2 * torch.pi * hz * n * time) / n for n in range(1, 5))
    return notes * torch.as_tensor(wave)


def taught(architecture: str, steps: int = 120, **arguments: Any) -> ComponentModel:
    """Two melodies that share no harmonic, each learned from a clip."""
    model = small(architecture, **arguments)
    for source, hz in enumerate((330.0, 550.0)):
        clip = model.gather([melody(hz, seed=source + 1)])
        list(coder(model, source).learn(clip, steps=steps, generator=torch.Generator().manual_seed(source)))
    return model


def test_one_frame_is_two_matrices_with_softplus_after_each() -> None:
    part = FeedForward(3, 1, 9, bias=True, terms=Terms())
    x = rand(1, 9, 5)
    latents = softplus(part.encoder.weight[..., 0] @ x + part.encoder.bias[:, None])  # type: ignore[index]
    output = softplus(part.decoder.weight[..., 0] @ latents + part.decoder.bias[:, None])  # type: ignore[index]
    torch.testing.assert_close(part.encode(x), latents)
    torch.testing.assert_close(part.decode(part.encode(x)), output)
    torch.testing.assert_close(part.render(latents), output * 8**0.5)


def test_magnitudes_of_white_noise_have_a_mean_power_of_one_inside() -> None:
    model = small()
    noise = torch.randn(20 * RATE, generator=torch.Generator().manual_seed(1))
    inside = model.gather([noise])[1:-1] / coder(model).level
    assert float(inside.square().mean()) == pytest.approx(1, abs=0.02)


def test_the_divergence_is_kullback_leiblers() -> None:
    x, y = rand(4, 5, seed=1) + 0.1, rand(4, 5, seed=2) + 0.1
    torch.testing.assert_close(divergence(x, y), x * torch.log(x / y) - x + y, atol=1e-5, rtol=1e-5)
    assert float(divergence(x, x).abs().max()) < 1e-6
    assert torch.equal(divergence(torch.zeros(1), torch.tensor([0.3])), torch.tensor([0.3]))
    assert torch.isfinite(divergence(x, torch.zeros_like(x))).all()
    assert FLOOR < 1e-6


def test_steps_are_those_of_torchs_centred_rmsprop() -> None:
    theirs, ours = rand(6).requires_grad_(), rand(6).requires_grad_()
    peer = torch.optim.RMSprop([theirs], lr=1e-3, alpha=0.9, momentum=0.7, centered=True)
    descent = RMSProp([ours], Terms(), 0.9)
    for _ in range(30):
        (theirs.grad,) = torch.autograd.grad((theirs - 0.3).pow(4).sum(), [theirs])
        peer.step()
        descent.step((ours - 0.3).pow(4).sum())
    torch.testing.assert_close(ours, theirs)


def test_steps_stay_short_where_a_gradient_never_changes() -> None:
    slopes = rand(1000, seed=3) + 0.1
    steady = torch.zeros(1000, requires_grad=True)
    descent, longest = RMSProp([steady], Terms(), 0.9), 0.0
    for _ in range(400):
        before = steady.detach().clone()
        descent.step((slopes * steady).sum())
        longest = max(longest, float((steady.detach() - before).abs().max()))
    assert longest < 1e-3 / 1e-4**0.5 / (1 - 0.7) * 1.01  # the rate, times a hundred, with the momentum's echoes
    assert float(steady.detach().max()) < -1


@pytest.mark.parametrize("architecture", OWN)
def test_learning_gets_better_and_begins_anew(architecture: str) -> None:
    model = small(architecture)
    clip = model.gather([melody(330.0)])
    part = coder(model)

    def learn(seed: int) -> list[float]:
        return [at.loss for at in part.learn(clip, steps=60, generator=torch.Generator().manual_seed(seed))]

    losses = learn(0)
    assert losses[-1] < losses[0] / 3
    kept = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    assert learn(1) != losses
    assert learn(0) == losses
    assert all(torch.equal(tensor, kept[name]) for name, tensor in part.state_dict().items())


def test_learning_goes_on_as_long_as_somebody_asks() -> None:
    model = small()
    learning = coder(model).learn(model.gather([melody(330.0)]), steps=7, generator=torch.Generator())
    first = next(learning)
    assert (first.step, first.steps) == (1, 7)
    weight = coder(model).decoder.weight
    kept = weight.detach().clone()
    assert [at.step for at in learning] == [2, 3, 4, 5, 6, 7]
    assert not torch.equal(weight, kept)
    assert weight.grad is None


@pytest.mark.parametrize("architecture", OWN)
def test_prices_make_latents_and_weights_smaller(architecture: str) -> None:
    def learned(**prices: float) -> AutoEncoder:
        return coder(taught(architecture, steps=60, **prices))

    model = small(architecture)
    clip = model.gather([melody(330.0, seed=1)])[None] / coder(model).level
    free, sparse, thin = learned(), learned(sparsity=1.0), learned(basis_sparsity=20.0)
    with torch.no_grad():
        assert float(sparse.encode(clip).mean()) < 0.7 * float(free.encode(clip).mean())
        assert float(thin.decoder.weight.abs().mean()) < 0.7 * float(free.decoder.weight.abs().mean())
        latents = sparse.encode(clip)
        whole = divergence(clip, sparse.decode(latents)).mean() + latents.mean()
        torch.testing.assert_close(sparse.objective(clip), whole)


@pytest.mark.parametrize("architecture", OWN)
@pytest.mark.parametrize("descend", ["inputs", "latents"])
def test_the_descent_explains_the_mixture(architecture: str, descend: str) -> None:
    model = taught(architecture, steps=60, descend=descend, restraint=0.0)
    mixture = model.magnitudes(model.encode((melody(330.0, seed=5) + melody(550.0, seed=6))[None, None]))

    def distance(steps: int) -> float:
        model.arguments["steps"] = steps
        with torch.no_grad():  # as the engine calls it
            rows = model.fit(mixture)
            total = torch.stack([part.render(row) for part, row in zip(model.taught, rows, strict=True)]).sum(0)
        assert not any(row.requires_grad for row in rows)
        return float(divergence(mixture * 2**0.5, total).mean())

    first, later, last = distance(1), distance(30), distance(120)
    assert last < later < first
    assert last < 0.8 * first


@pytest.mark.parametrize("architecture", OWN)
def test_what_was_learned_apart_separates(architecture: str) -> None:
    model = taught(architecture, steps=150)
    model.arguments["steps"] = 150
    stems = torch.stack([melody(330.0, seed=5), melody(550.0, seed=6)])
    stems = stems / stems.std(1, keepdim=True)
    found = separate(model, Signal(stems.sum(0, keepdim=True).numpy(), RATE), Options(device="cpu"))
    estimates = torch.stack([torch.from_numpy(found[name].samples) for name in model.spec.sources])
    assert float(si_sdr(stems[:, None], estimates).min()) > 6
    assert float((estimates.sum(0) - stems.sum(0)).abs().max()) < 1e-4


def test_the_descent_has_no_use_for_the_level_of_a_mixture() -> None:
    model = taught("nae", steps=40)
    z = model.encode((melody(330.0, seed=5) + melody(550.0, seed=6))[None, None])
    with torch.no_grad():
        torch.testing.assert_close(model.masks(z), model.masks(100 * z), atol=1e-3, rtol=1e-3)


def test_weights_and_their_gradients_stay_as_they_are_while_a_mixture_is_fitted() -> None:
    model = taught("nae", steps=5)
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.separate(melody(440.0)[None, None])
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.state_dict().items())
    assert all(tensor.grad is None for tensor in model.parameters())


@pytest.mark.parametrize("architecture", OWN)
def test_masks_sum_to_one_whoever_owns_what(architecture: str) -> None:
    model = small(architecture, steps=2)
    z = model.encode((melody(330.0) + melody(550.0))[None, None])
    with torch.no_grad():
        for masks in (model.masks(z), with_surgery(model, {0: 1, 4: 0}, []).masks(z)):
            torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))
        muted = with_surgery(model, {}, [1]).masks(z).sum(1)
    assert float(muted.max()) < 1 + 1e-5
    assert float(muted.min()) < 0.99


@pytest.mark.parametrize("architecture", OWN)
def test_shares_of_components_sum_to_what_all_give(architecture: str) -> None:
    part = coder(small(architecture))
    rows = rand(2, 3, 11)
    with torch.no_grad():
        shares = part.each(rows)
        torch.testing.assert_close(shares.sum(1), part.render(rows))
        assert float(shares.min()) >= 0
        torch.testing.assert_close(part.each(rows[1]), shares[1])  # any leading axes, or none


@pytest.mark.parametrize("bias", [True, False])
def test_a_component_that_is_silent_has_no_share_where_another_adds_something(bias: bool) -> None:
    part = coder(small("ccae", bias=bias))
    with torch.no_grad():
        part.decoder.weight.abs_()
        rows = rand(1, 3, 11)
        rows[:, 1] = 0
        shares = part.each(rows)
    assert float(shares[:, 1].max()) == 0
    assert float(shares[:, [0, 2]].min()) > 0


def test_alone_a_component_is_what_the_decoder_gives_with_its_row_only() -> None:
    part = coder(small("ccae"))
    rows = rand(1, 3, 11)
    with torch.no_grad():
        part.decoder.weight.abs_()
        shares = part.each(rows)
        silence = part.decode(torch.zeros_like(rows))
        alone = [part.decode(rows * torch.eye(3)[k][None, :, None]) - silence for k in range(3)]
        expected = torch.stack(alone, 1) / torch.stack(alone, 1).sum(1, keepdim=True)
        torch.testing.assert_close(shares / shares.sum(1, keepdim=True), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 4])
def test_a_patch_is_what_follows_a_click_of_its_component(frames: int) -> None:
    part = FeedForward(2, frames, 9, bias=False, terms=Terms())
    click = torch.zeros(1, 2, 10)
    click[0, 1, 3] = 1
    with torch.no_grad():
        heard = torch.log(torch.expm1(part.decode(click)))[0, :, 3 : 3 + frames]  # before g
        torch.testing.assert_close(part.patches()[1], heard.clamp_min(0), atol=1e-5, rtol=1e-4)
    assert part.patches().shape == part.matched().shape == (2, 9, frames)


def test_sources_of_two_lessons_stand_beside_each_other() -> None:
    one, other = taught("nae", steps=5), taught("nae", steps=6)
    both = joined([(one, "voice"), (other, "other")], ["a", "b"])
    assert both.spec.sources == ("a", "b")
    assert torch.equal(coder(both, 1).decoder.weight, coder(other, 1).decoder.weight)
    assert both.components().patches.shape == (6, 129, 1)


def test_the_unknowns_begin_as_a_quiet_mixture() -> None:
    model = small(steps=1)
    mixture = rand(1, 129, 8)
    with torch.no_grad():
        (rows, _), part = model.fit(mixture), coder(model)
        begun = part.encode(START * mixture * 2**0.5 / part.level)
    assert float((rows - begun).abs().max()) < 0.5
    assert not torch.equal(rows, begun)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"descend": "weights"}, "descent to 'weights'.*inputs, latents"),
        ({"sparsity": -1.0}, "prices of 0.5, -1.0 and 0.0"),
        ({"basis_sparsity": -0.5}, "prices of 0.5, 0.0 and -0.5"),
        ({"restraint": -2.0}, "prices of -2.0"),
        ({"rate": 0.0}, "a rate of 0.0"),
        ({"momentum": 1.0}, "a momentum of 1.0"),
        ({"components": 0}, "1 or more, not 0"),
        ({"steps": 0}, "one step or more, not 0"),
    ],
)
def test_impossible_arguments_say_why(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("nae", arguments)


def test_defaults_are_the_papers() -> None:
    arguments = NAE().arguments
    assert (arguments["descend"], arguments["steps"], arguments["bias"]) == ("inputs", 200, True)
    assert (arguments["sparsity"], arguments["basis_sparsity"]) == (0, 0)
    assert (arguments["rate"], arguments["momentum"]) == (1e-3, 0.7)


def test_restraint_makes_latents_of_a_mixture_smaller_and_none_is_the_papers_descent() -> None:
    model = taught("ccae", steps=40)
    mixture = model.magnitudes(model.encode((melody(330.0, seed=5) + melody(550.0, seed=6))[None, None]))

    def found(restraint: float) -> tuple[float, float]:
        model.arguments.update(restraint=restraint, steps=60)
        with torch.no_grad():
            rows = model.fit(mixture)
            total = torch.stack([part.render(row) for part, row in zip(model.taught, rows, strict=True)]).sum(0)
        return float(sum(row.sum() for row in rows)), float(divergence(mixture * 2**0.5, total).mean())

    (free, near), (held, far) = found(0.0), found(5.0)
    assert held < 0.8 * free
    assert near < far
