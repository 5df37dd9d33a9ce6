"""Objectives: what each compares, what stays frozen, and recipes that make no sense."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from separation.errors import DataError
from separation.models import build as build_model
from separation.training import losses, objectives
from separation.training.loop import Paths, Run
from tests.training.tiny_run import UNET, LowAndHigh, run

HTMD = UNET.with_changes(
    name="tiny-htmd",
    architecture="htmd_net",
    arguments={
        "sources": ["low", "high"], "sample_rate": 8000, "basis": 16, "kernel": 8, "bottleneck": 8, "hidden": 12,
        "blocks": 3, "levels": 3, "growth": 3, "recurrent": 5,
    },
    losses={"mse": 1.0},
    intermediate={"mse": 0.5},
)  # fmt: skip
TWO_STEP = UNET.with_changes(
    name="tiny-two-step",
    architecture="two_step",
    arguments={
        "sources": ["low", "high"], "basis": 32, "kernel": 21, "bottleneck": 8, "hidden": 16, "blocks": 3, "repeats": 1,
        "norm": "global", "permutation_invariant": False,
    },
    losses={},
    objective="latent",
    frozen=["transform."],
)  # fmt: skip


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_deep_supervision_is_the_weighted_sum_of_both_losses_of_the_first_source() -> None:
    torch.manual_seed(0)
    model: Any = build_model("htmd_net", HTMD.arguments).eval()
    references = noise(2, 2, 1, 800) * 0.1
    mixture = references.sum(1)
    masked, final = model.probe(mixture)
    both = objectives.build("estimates", {"l1": 0.1}, {"mse": 1.0}, pit=False)(model, references, mixture)
    expected = 0.1 * (references[:, 0] - final).abs().mean() + (references[:, 0] - masked).square().mean()
    torch.testing.assert_close(both, expected)
    only_final = objectives.build("estimates", {"mse": 1.0}, {}, pit=False)(model, references, mixture)
    torch.testing.assert_close(only_final, (references - model.separate(mixture)[0]).square().mean())


def test_the_latent_objective_is_si_sdr_of_flat_latents() -> None:
    torch.manual_seed(0)
    model: Any = build_model("two_step", TWO_STEP.arguments).eval()
    references = noise(2, 2, 1, 400)
    mixture = references.sum(1)
    value = objectives.build("latent", {}, {}, pit=False)(model, references, mixture)
    z = model.encode(mixture)
    target = (torch.softmax(model.encode(references), 1) * z.unsqueeze(1)).flatten(2)
    estimate = (model.masks(z) * z.unsqueeze(1)).flatten(2)
    scale = (target * estimate).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True)
    ratio = (scale * target).square().sum(-1) / (estimate - scale * target).square().sum(-1)
    torch.testing.assert_close(value, -10 * torch.log10(ratio).mean(), atol=1e-4, rtol=1e-4)


def test_the_latent_objective_may_ignore_the_order() -> None:
    model: Any = build_model("two_step", {**TWO_STEP.arguments, "permutation_invariant": True}).eval()
    references = noise(1, 2, 1, 400)
    objective = objectives.build("latent", {}, {}, pit=True)
    straight, swapped = (objective(model, r, references.sum(1)) for r in (references, references.flip(1)))
    torch.testing.assert_close(straight, swapped)


def test_latent_si_sdr_keeps_means_and_ignores_scale() -> None:
    target, error = noise(3, 50).abs(), noise(3, 50, seed=1) * 0.1
    value = losses.latent_si_sdr(target, target + error, target)
    torch.testing.assert_close(losses.latent_si_sdr(target, 7 * (target + error), target), value, atol=1e-4, rtol=1e-4)
    assert (losses.latent_si_sdr(target, torch.ones_like(target), target) > -6).all()
    assert (value < -10).all()


def test_a_separator_learns_in_a_transform_that_does_not_move(tmp_path: Path) -> None:
    best = load_file(
        run(TWO_STEP.with_changes(steps=40, decay=4, validate_every=40), tmp_path / "run", LowAndHigh(fixed=True))
    )
    torch.manual_seed(TWO_STEP.seed)
    before = build_model("two_step", TWO_STEP.arguments).state_dict()
    moved = {name for name in before if not torch.equal(before[name], best[name])}
    assert moved and not any(name.startswith("transform.") for name in moved)
    assert moved == {name for name in before if not name.startswith("transform.")}


def test_htmd_net_learns_with_deep_supervision(tmp_path: Path) -> None:
    run(HTMD, tmp_path / "run", LowAndHigh(fixed=True))
    assert Paths(tmp_path / "run").best.exists()


def test_a_part_may_be_the_start_and_what_does_not_fit_is_named(tmp_path: Path) -> None:
    part = {f"transform.{n}": t for n, t in build_model("two_step", TWO_STEP.arguments).transform.state_dict().items()}  # type: ignore[union-attr,operator]
    save_file(part, tmp_path / "part.safetensors")
    (tmp_path / "a").mkdir()
    started = Run(
        TWO_STEP, LowAndHigh(), LowAndHigh(), Paths(tmp_path / "a"), device="cpu", initial=tmp_path / "part.safetensors"
    )
    kept: dict[str, Tensor] = started.model.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in part.items())
    save_file({"transform.encoder.weight": torch.zeros(3)}, tmp_path / "wrong.safetensors")
    with pytest.raises(DataError, match=r"1 of its 1 tensors do not fit the model, such as transform\.encoder\.weight"):
        Run(TWO_STEP, LowAndHigh(), LowAndHigh(), Paths(tmp_path / "a"), initial=tmp_path / "wrong.safetensors")


@pytest.mark.parametrize(
    ("kind", "terms", "intermediate", "pit", "said"),
    [
        ("adversarial", {"mse": 1.0}, {}, False, "no objective 'adversarial'"),
        ("latent", {"mse": 1.0}, {}, False, "one loss of its own"),
        ("estimates", {}, {}, False, "no loss is named"),
        ("estimates", {"mse": 1.0}, {"mse": 1.0}, True, "a fixed order"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(
    kind: str, terms: dict[str, float], intermediate: dict[str, float], pit: bool, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        objectives.build(kind, terms, intermediate, pit=pit)


class Oracle(nn.Module):
    """Gives back what it is handed, if it says that it needs it."""

    def __init__(self, *needs: str) -> None:
        super().__init__()
        self.spec = type("Spec", (), {"needs": needs})

    def separate(self, mixture: Tensor, side: dict[str, Tensor]) -> tuple[Tensor, None]:
        return side.get("references", mixture.unsqueeze(1)), None


def test_only_a_model_that_asks_gets_the_references() -> None:
    references = noise(1, 2, 1, 10)
    assert torch.equal(objectives.estimates(Oracle("references"), references.sum(1), references), references)
    assert objectives.estimates(Oracle(), references.sum(1), references).shape == (1, 1, 1, 10)


INTERLEAVED = UNET.with_changes(
    name="tiny-interleaved",
    architecture="interleaved",
    arguments={
        "sources": ["low", "high"], "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "channels": [4, 8], "groups": 2,
    },
    losses={},
    objective="interleaved",
)  # fmt: skip


def test_a_decoder_that_does_not_learn_in_a_step_is_bit_identical_after_it(tmp_path: Path) -> None:
    """Momentum and weight decay would move it, if its optimiser took the step."""
    trainer = Run(INTERLEAVED, LowAndHigh(), LowAndHigh(), Paths(tmp_path), device="cpu")
    batches = trainer._batches()
    for step in range(4):
        before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        trainer._learn(next(batches))
        trainer.step += 1
        learnt, other = ("low", "high") if step % 2 == 0 else ("high", "low")
        after = trainer.model.state_dict()
        for name, tensor in before.items():
            if name.startswith(f"decoders.{other}."):
                assert torch.equal(after[name], tensor), name
        for part in (f"decoders.{learnt}.", "encoder."):
            assert any(not torch.equal(after[name], before[name]) for name in before if name.startswith(part))


def test_in_turn_the_truth_of_the_other_sources_is_never_looked_at() -> None:
    torch.manual_seed(0)
    model: Any = build_model("interleaved", INTERLEAVED.arguments)
    objective = objectives.build("interleaved", {}, {}, pit=False)
    references = noise(2, 2, 1, 800)
    mixture = references.sum(1)
    lost = references.clone()
    lost[:, 1] = torch.nan
    torch.testing.assert_close(objective(model, lost, mixture, 0), objective(model, references, mixture, 0))
    assert torch.isnan(objective(model, lost, mixture, 1))


def test_all_at_once_is_the_sum_of_what_is_learnt_in_turn() -> None:
    torch.manual_seed(0)
    model: Any = build_model("interleaved", INTERLEAVED.arguments)
    references = noise(2, 2, 1, 800)
    in_turn = objectives.build("interleaved", {}, {}, pit=False)
    at_once = objectives.build("magnitudes", {}, {}, pit=False)
    parts = [in_turn(model, references, references.sum(1), step) for step in (0, 1)]
    torch.testing.assert_close(at_once(model, references, references.sum(1)), parts[0] + parts[1])


def test_a_model_may_give_some_of_the_sources_of_its_mixtures(tmp_path: Path) -> None:
    recipe = INTERLEAVED.with_changes(
        arguments={**INTERLEAVED.arguments, "sources": ["high"]}, objective="magnitudes", steps=60, decay=20
    )
    run(recipe, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    scores = [line["si_sdr_gain_db"] for line in log if line["event"] == "validate"]
    assert scores[-1] > scores[0] + 1
