"""The terms of the objective against closed forms, draws and Kuhn's assignment; and that the parts of it are what they say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from separation.errors import DataError
from separation.models import build
from separation.models.disentangled import Disentangled, Posterior, gaussian_kl, heard, prior, remembered
from separation.training import losses, objectives
from separation.training.conversations import ConversationMixer, gate
from separation.training.data import DATA
from separation.training.disentangling import (
    COLDEST_DB,
    Disentangling,
    _remembering,
    chunked,
    dependence,
    network_of,
    separation,
    sinkhorn,
    temperature,
)
from separation.training.loop import Paths, Run
from separation.training.mixing import SpeakerMixer
from separation.training.pools import Pool
from separation.training.recipes import RECIPES
from separation.training.small import DISENTANGLED_LOSSES
from tests.contract import SMALL
from tests.datasets.tiny_corpora import make_all
from tests.training.tiny_run import UNET, LowAndHigh, run

RECIPE = UNET.with_changes(
    name="tiny-disentangled",
    architecture="disentangled",
    arguments={**SMALL["disentangled"]["memory"], "sources": ["low", "high"]},
    objective="disentangled",
    losses=DISENTANGLED_LOSSES["full"],
    length=3200,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


@pytest.fixture
def model() -> Disentangled:
    torch.manual_seed(0)
    made = build("disentangled", RECIPE.arguments).eval()
    assert isinstance(made, Disentangled)
    return made


@pytest.mark.parametrize("sources", [2, 3, 4])
def test_the_soft_permutation_is_doubly_stochastic_and_tends_to_the_assignment(sources: int) -> None:
    costs = 10 * noise(40, sources, sources, seed=sources).double()
    gentle = sinkhorn(costs, 3.0)
    torch.testing.assert_close(gentle.sum(1), torch.ones(40, sources).double(), atol=0.05, rtol=0)
    torch.testing.assert_close(gentle.sum(2), torch.ones(40, sources).double(), atol=1e-9, rtol=0)
    assert float(gentle.max(-1).values.min()) < 0.99, "at this temperature it is still soft"
    cold = sinkhorn(costs, 0.01)
    for cost, assigned in zip(costs, cold, strict=True):
        rows, columns = linear_sum_assignment(cost)
        best = float(cost[rows, columns].sum())
        assert float((assigned * cost).sum()) == pytest.approx(best, abs=0.01 * float(cost.abs().max()))


def test_its_value_has_the_permutation_as_its_gradient() -> None:
    """The envelope theorem, on which `separation` relies, by numbers."""
    costs = noise(3, 3).double()

    def value(k: Tensor) -> Tensor:
        p = sinkhorn(k, 0.7)
        return (p * k).sum() + 0.7 * torch.xlogy(p, p).sum()

    assigned, step = sinkhorn(costs, 0.7), 1e-5
    for i in range(3):
        for j in range(3):
            moved = torch.zeros_like(costs)
            moved[i, j] = step
            slope = (value(costs + moved) - value(costs - moved)) / (2 * step)
            assert float(slope) == pytest.approx(float(assigned[i, j]), abs=1e-3)


def test_when_cold_the_loss_and_its_gradient_are_those_of_permutation_invariant_training() -> None:
    references, mixture = noise(4, 2, 1, 400), noise(4, 1, 400, seed=1)
    estimates = (references.flip(1) + 0.3 * noise(4, 2, 1, 400, seed=2)).requires_grad_()
    pit = losses.build({"snr": 1.0}, pit=True)(references, estimates, mixture)
    costs = losses.snr(references.unsqueeze(2), estimates.unsqueeze(1), mixture[:, None, None]).mean(-1)
    soft = separation(costs, COLDEST_DB)
    torch.testing.assert_close(soft, pit, atol=1e-3, rtol=1e-3)
    one, other = (torch.autograd.grad(loss, estimates, retain_graph=True)[0] for loss in (soft, pit))
    torch.testing.assert_close(one, other, atol=1e-4 * float(other.abs().max()), rtol=1e-3)


def test_the_temperature_falls_and_stays() -> None:
    values = [temperature(step) for step in range(0, 5000, 100)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == COLDEST_DB


def test_blocks_that_do_not_depend_on_each_other_cost_nothing_whatever_is_inside_them() -> None:
    inside = torch.linalg.cholesky(torch.eye(3) + 0.8)
    blocks = torch.einsum("de,bsek->bsdk", inside, noise(4, 2, 3, 50_000))
    assert float(dependence(blocks)) == pytest.approx(0, abs=1e-3)


def test_the_dependence_of_two_dimensions_is_the_closed_form() -> None:
    """Mutual information of two Gaussians of correlation r: -log(1 - r^2) / 2. What is added to the variances lowers r."""
    one, other = noise(1, 1, 1, 200_000), noise(1, 1, 1, 200_000, seed=1)
    r = 0.9
    blocks = torch.cat([one, r * one + (1 - r**2) ** 0.5 * other], 1)
    assert float(dependence(blocks)) == pytest.approx(-0.5 * np.log(1 - (r / 1.05) ** 2), abs=0.01)


def test_the_dependence_is_the_divergence_from_the_product_of_the_blocks() -> None:
    blocks = noise(1, 2, 2, 4000, seed=5).double()
    blocks[:, 1] += 0.7 * blocks[:, 0]
    values = blocks.flatten(1, 2)[0]
    values = values - values.mean(1, keepdim=True)
    c = values @ values.T / 4000
    c += 0.05 * c.diagonal().mean() * torch.eye(4).double()
    apart = c.clone()
    apart[:2, 2:] = apart[2:, :2] = 0
    joint, product = (torch.distributions.MultivariateNormal(torch.zeros(4).double(), m) for m in (c, apart))
    assert float(dependence(blocks)) == pytest.approx(
        float(torch.distributions.kl_divergence(joint, product)), rel=1e-6
    )


def test_chunks_of_an_example_follow_each_other() -> None:
    x = torch.arange(12.0).view(2, 1, 6)
    assert chunked(x)[:, 0].tolist() == [[0, 1, 2], [6, 7, 8], [3, 4, 5], [9, 10, 11]]


def test_the_separation_term_alone_is_that_of_both_chunks(model: Disentangled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separation.training.disentangling.drawn", lambda posterior: posterior.mean)
    references = noise(2, 2, 1, 3200)
    mixture = references.sum(1)
    found = Disentangling({})(model, references, mixture, 10_000)
    pit = losses.build({"snr": 1.0}, pit=True)
    halves = [
        pit(references[..., half], model.separate(mixture[..., half])[0], mixture[..., half])
        for half in (slice(1600), slice(1600, 3200))
    ]
    torch.testing.assert_close(found, sum(halves) / 2, atol=0.01, rtol=0)


def test_the_prior_of_a_first_chunk_is_standard_normal(model: Disentangled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separation.training.disentangling.drawn", lambda posterior: posterior.mean)
    references = noise(2, 2, 1, 3200)
    mixture = references.sum(1)
    without, with_kl = (Disentangling(terms)(model, references, mixture) for terms in ({}, {"kl": 1.0}))
    mean, log_variance = model.posterior(model.encode(chunked(mixture)))
    usual = gaussian_kl(mean, log_variance, torch.zeros(()), torch.ones(())).sum(2).mean()
    torch.testing.assert_close(with_kl - without, usual, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("sure_db", "told"), [(40.0, True), (1.5, True), (0.0, False)])
def test_the_memory_is_asked_for_the_order_that_separates_best(
    model: Disentangled, monkeypatch: pytest.MonkeyPatch, sure_db: float, told: bool
) -> None:
    """Two voices whose blocks lie apart; which estimate is which source, the costs say: the memory must agree in chunk two."""
    monkeypatch.setattr(model, "meet", lambda blocks: None)
    frames = round(3 / model.frame)
    voices = torch.tensor([0.5, -0.5]).view(1, 2, 1, 1).expand(1, 2, 6, frames)
    energy = torch.ones(2, 2, frames)
    straight = torch.tensor([[0.0, sure_db], [sure_db, 0.0]])
    found = {}
    for name, (blocks, costs) in {
        "the same": (voices, straight), "both other": (voices.flip(1), straight.flip(1)), "wrong": (voices.flip(1), straight),
    }.items():  # fmt: skip
        means = torch.cat([voices, blocks])
        posterior = Posterior(means, torch.full_like(means, -3.0))
        found[name] = float(_remembering(model, posterior, energy, torch.stack([straight, costs]), True)[1])
    assert found["the same"] == pytest.approx(found["both other"], abs=1e-4)
    if told:
        assert found["wrong"] > 10 * found["the same"]
    else:
        assert found["wrong"] == 0


def test_who_sounds_is_measured_by_the_memory_and_who_is_silent_by_the_usual_prior(
    model: Disentangled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chunks of one stretch each; the second source is silent in both."""
    frames = round(1.4 / model.frame)
    voices = torch.tensor([0.9, -0.9]).view(1, 2, 1, 1).expand(2, 2, 6, frames)
    posterior = Posterior(voices, torch.full_like(voices, -1.0))
    energy = torch.tensor([1.0, 0.0]).view(1, 2, 1).expand(2, 2, frames)
    costs = torch.tensor([[0.0, 40.0], [40.0, 0.0]]).expand(2, 2, 2)
    monkeypatch.setattr(model, "meet", lambda blocks: None)
    found = float(_remembering(model, posterior, energy, costs, True)[0])
    once = Posterior(voices[:1], posterior.log_variance[:1])
    memory = remembered(model.empty_memory(1), heard(once, energy[:1], model.frame))
    mean, variance = (part[0, 0, 0] for part in prior(memory))
    known = 6 * float(gaussian_kl(torch.tensor(0.9), torch.tensor(-1.0), mean, variance))
    usual = 6 * float(gaussian_kl(torch.tensor(0.9), torch.tensor(-1.0), torch.tensor(0.0), torch.tensor(1.0)))
    assert known < 0.4 * usual
    assert found == pytest.approx((3 * usual + known) / 4, rel=0.01)
    assert float(_remembering(model, posterior, energy, costs, False)[0]) == pytest.approx(usual, rel=1e-4)


def test_a_mixture_of_two_learns_to_tell_apart_what_it_remembers(model: Disentangled) -> None:
    """Gradients of the term "memory" reach what makes the blocks, through the memory and through the new chunk."""
    references = noise(3, 2, 1, 3200) * torch.tensor([1.0, 0.3]).view(1, 2, 1, 1)
    model.train()
    Disentangling({"memory": 1.0})(model, references, references.sum(1), 9999).backward()
    gradient = next(model.leave[1].parameters()).grad
    assert gradient is not None and float(gradient.abs().sum()) > 0


def test_unknown_terms_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"there is no term beta\. Give weights to mixture, kl, dependence, memory only"
    ):
        objectives.build("disentangled", {"beta": 1.0}, {}, pit=True)
    with pytest.raises(DataError, match="one loss of its own"):
        objectives.build("disentangled", {}, {"mse": 1.0}, pit=True)


def test_it_learns_to_take_a_low_tone_from_a_high_one(tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(steps=60, decay=20, validate_every=60, rate=1e-2, length=1600)
    run(recipe, tmp_path / "run", LowAndHigh(recipe.length, fixed=True))
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    training = [line for line in log if line["event"] == "train"]
    assert training[-1]["loss"] < -6
    assert all(line["skipped"] == 0 for line in training)
    assert Paths(tmp_path / "run").best.exists()


def test_the_network_of_a_conv_tasnet_may_be_the_start(tmp_path: Path) -> None:
    """What was taken over makes the same of a mixture, up to where the blocks begin."""
    sizes = {"basis": 24, "kernel": 16, "bottleneck": 8, "hidden": 12, "blocks": 2, "repeats": 2}
    torch.manual_seed(1)
    before: Any = build("conv_tasnet", {**sizes, "skip": 0, "encoder_relu": True}).eval()
    save_file(before.state_dict(), tmp_path / "conv_tasnet.safetensors")
    initial = network_of(tmp_path / "conv_tasnet.safetensors", tmp_path / "initial.safetensors")
    trainer = Run(RECIPE, LowAndHigh(), LowAndHigh(), Paths(tmp_path), device="cpu", initial=initial)
    model = trainer.model.eval()
    with torch.no_grad():
        z = model.encode(noise(1, 1, 2000))
        h = before.enter(before.norm(before.encode(noise(1, 1, 2000))[:, 0]))
        for block in before.tcn:
            h, _ = block(h)
        torch.testing.assert_close(model.network(model.enter(model.norm(z[:, 0]))), h, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.decode(z.unsqueeze(1), 2000), before.decode(z.unsqueeze(1), 2000))


def test_conversations_are_learnt_in_english_and_judged_as_speakers_are(tmp_path: Path) -> None:
    data = make_all(tmp_path / "data")
    recipe = RECIPES["disentangled"].with_changes(length=2048)
    sides, plain = (DATA[name](recipe, data, tmp_path / "cache") for name in ("conversations", "speakers"))
    assert isinstance(sides.train, ConversationMixer) and isinstance(plain.train, SpeakerMixer)
    left_out = set(plain.train.speech.groups) - set(sides.train.speech.groups)
    assert left_out == {f"prompts:asterisk-core-sounds-{language}-wav" for language in ("fr", "it", "ru")}
    assert "prompts:asterisk-core-sounds-en-wav" in sides.train.speech.groups
    assert list(sides.test) == list(plain.test)
    assert sides.train.example(0, 0, 0).shape == (2, 2048)


def test_turns_are_gated_alike_for_the_same_seed_and_the_rest_is_as_it_was() -> None:
    tones = [np.round(8000 * np.sin(np.arange(32000) * w)).astype(np.int16) for w in (0.1, 0.3)]
    pool = Pool({"speech": tones}, {"a": [0], "b": [1]}, [{}, {}])
    plain = SpeakerMixer(pool, 16000, speed=0.0)
    mixer = ConversationMixer(pool, 16000, speed=0.0, turns=0.5, pause=1.0)
    examples = [mixer.example(0, step, 0) for step in range(40)]
    same = [np.array_equal(example, plain.example(0, step, 0)) for step, example in enumerate(examples)]
    assert 8 < sum(same) < 32
    gated = same.index(False)
    assert np.array_equal(mixer.example(0, gated, 0), examples[gated])
    silent = [
        np.mean(np.abs(stem) < 1e-6)
        for example, kept in zip(examples, same, strict=True)
        if not kept
        for stem in example
    ]
    assert 0.1 < np.mean(silent) < 0.7


def test_a_gate_is_open_for_about_as_long_as_was_asked() -> None:
    rng = np.random.default_rng(0)
    made = gate(rng, 8000 * 400, 8000, 2.0, 1.0)
    assert 0.6 < made.mean() < 0.73
    assert made.min() > -1e-9 and made.max() < 1 + 1e-9
    assert np.abs(np.diff(made)).max() < 0.05, "soft edges"
