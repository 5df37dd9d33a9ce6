"""Claims: what is compared, when nothing may be concluded, and a whole claim on data of a second."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from separation.errors import DataError
from separation.models import build
from separation.models.two_step import oracle_masks
from separation.statistics import Interval
from separation.training import claims, objectives, small
from separation.training.claims import CLAIMS, Claim, Curve, curve_of, decided, judge, run_folder, runs_of
from separation.training.data import DATA, Sides
from separation.training.small import AFTER, SMALL
from tests.training.tiny_run import UNET, LowAndHigh

ONE, OTHER = "one@tiny", "other@tiny"
CLAIM = Claim("tiny", "one is better", "nobody", (ONE,), (OTHER,))


def seconds_of_audio(run: str) -> float:
    recipe = SMALL[run]
    return recipe.steps * recipe.batch * recipe.length / recipe.arguments["sample_rate"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_both_sides_see_the_same_seconds_of_the_same_data(claim: Claim) -> None:
    assert sum(map(seconds_of_audio, claim.first)) == pytest.approx(sum(map(seconds_of_audio, claim.second)))
    assert len({SMALL[run].data for run in (*claim.first, *claim.second)}) == 1


def test_a_decoder_learns_as_often_in_turn_as_alone() -> None:
    in_turn = SMALL["interleaved/in-turn@vocals"]
    for source in ("vocals", "accompaniment"):
        assert SMALL[f"interleaved/only-{source}@vocals"].steps == in_turn.steps / 2


@pytest.mark.parametrize("recipe", SMALL.values(), ids=list(SMALL))
def test_a_small_recipe_is_plain_data_and_builds_its_model(recipe: Any) -> None:
    assert type(recipe)(**json.loads(json.dumps(recipe.to_dict()))) == recipe
    model: Any = build(recipe.architecture, recipe.arguments)
    pit = model.spec.permutation_invariant
    objectives.build(recipe.objective, recipe.losses, recipe.intermediate, pit=pit)
    assert recipe.data in DATA
    assert recipe.decay >= 0.5 * recipe.steps, "its curve could not be flat at the end"
    assert recipe.steps % recipe.validate_every == 0


@pytest.mark.parametrize("run", list(AFTER))
def test_a_part_that_is_taken_over_fits_and_stays(run: str) -> None:
    before, part = AFTER[run]
    given = {n: p.shape for n, p in build(SMALL[before].architecture, SMALL[before].arguments).state_dict().items()}
    taken = {n: p.shape for n, p in build(SMALL[run].architecture, SMALL[run].arguments).state_dict().items()}
    names = [name for name in given if name.startswith(part)]
    assert names
    assert all(taken[name] == given[name] for name in names)
    assert SMALL[run].frozen == [part]


def test_runs_come_after_those_they_start_from() -> None:
    order = runs_of(CLAIMS)
    assert all(order.index(before) < order.index(run) for run, (before, _) in AFTER.items())
    assert len(order) == len(set(order))


@pytest.mark.parametrize(
    ("low", "high", "margin", "metric", "verdict"),
    [
        (0.1, 0.9, 0.0, "si_sdr", "holds"),
        (-0.1, 0.9, 0.0, "si_sdr", "undecided"),
        (-0.9, -0.1, 0.0, "si_sdr", "does not hold here"),
        (-0.4, 0.1, 0.5, "si_sdr", "holds"),
        (-0.6, 0.1, 0.5, "si_sdr", "undecided"),
        (-2.0, -0.6, 0.5, "si_sdr", "does not hold here"),
        (-3.0, -0.1, 0.0, "pes_htmd", "holds"),
        (0.1, 3.0, 0.0, "pes_htmd", "does not hold here"),
    ],
)
def test_the_interval_decides(low: float, high: float, margin: float, metric: str, verdict: str) -> None:
    claim = Claim("c", "c", "p", ("a",), ("b",), metric, None, margin)
    assert decided(Interval((low + high) / 2, low, high), claim)[0] == verdict


def finished(folder: Path, run: str, seed: int, value: float, *, rise: float = 0.0) -> None:
    """A run that is at its end, with scores around `value` on four clusters."""
    output = run_folder(run, seed, folder)
    output.mkdir(parents=True)
    steps = SMALL[run].steps
    points = [(steps // 2, 5.0), (steps, 5.0 + rise)]
    lines = [{"step": step, "event": "validate", "si_sdr_gain_db": gain} for step, gain in points]
    (output / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [
        {"cluster": f"c{cluster}", "example": 0, "source": source, "metric": "si_sdr", "value": more + 0.1 * cluster}
        for cluster in range(4)
        for source, more in (("low", value), ("high", value + 2.0), ("mixture:low", -50.0))
    ]
    (output / "scores.json").write_text(json.dumps({"weights": "", "scores": rows}))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {**UNET.arguments, "sources": ["low", "high"]}
    recipe = UNET.with_changes(arguments=arguments, steps=10, decay=6, validate_every=2, validation_examples=1)
    for name in (ONE, OTHER):
        monkeypatch.setitem(small.SMALL, name, recipe.with_changes(name=name))
    mixers = {"a": LowAndHigh(recipe.length), "b": LowAndHigh(recipe.length)}
    monkeypatch.setitem(DATA, "tiny", lambda recipe, folder, cache: Sides(mixers["a"], mixers["b"], mixers))
    monkeypatch.setattr(claims, "TEST_EXAMPLES", 4)


@pytest.mark.usefixtures("tiny")
def test_a_claim_holds_by_its_mean_over_sources_and_three_seeds(tmp_path: Path) -> None:
    for seed in range(3):
        finished(tmp_path, ONE, seed, 4.0)
        finished(tmp_path, OTHER, seed, 3.0 + 0.1 * seed)
    outcome = judge([CLAIM], tmp_path)[0]
    assert (outcome.verdict, outcome.why, outcome.seeds) == ("holds", "", 3)
    assert outcome.difference is not None and outcome.difference.mean == pytest.approx(0.9)
    assert outcome.means == (pytest.approx(5.15), pytest.approx(4.25))
    turned = judge([Claim("tiny", "", "", (OTHER,), (ONE,))], tmp_path)[0]
    assert turned.verdict == "does not hold here"


@pytest.mark.usefixtures("tiny")
def test_two_seeds_or_a_curve_that_rises_decide_nothing(tmp_path: Path) -> None:
    assert judge([CLAIM], tmp_path)[0].why == "no run of both sides is finished"
    for seed in range(2):
        finished(tmp_path, ONE, seed, 9.0)
        finished(tmp_path, OTHER, seed, 3.0)
    assert judge([CLAIM], tmp_path)[0].why == "2 of 3 seeds"
    finished(tmp_path, ONE, 2, 9.0, rise=1.0)
    finished(tmp_path, OTHER, 2, 3.0)
    outcome = judge([CLAIM], tmp_path)[0]
    assert (outcome.verdict, outcome.why) == ("undecided", f"still improving at the end: {ONE}")


@pytest.mark.usefixtures("tiny")
def test_a_claim_from_data_to_verdict_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = claims.check([CLAIM], tmp_path, tmp_path / "runs", seeds=1, device="cpu")[0]
    assert outcome.difference is not None
    assert outcome.difference.mean == pytest.approx(0.0), "the same recipe, the same seed"
    kept = json.loads((run_folder(ONE, 0, tmp_path / "runs") / "scores.json").read_text())["scores"]
    assert {row["source"] for row in kept} == {
        f"{what}{source}" for what in ("", "mixture:", "ceiling:", "irm2:") for source in ("low", "high")
    }
    assert len({(row["cluster"], row["example"]) for row in kept}) == 4
    monkeypatch.setattr(claims, "train", lambda *a, **b: pytest.fail("it was trained again"))
    monkeypatch.setattr(claims, "measure", lambda *a, **b: pytest.fail("it was measured again"))
    assert claims.check([CLAIM], tmp_path, tmp_path / "runs", seeds=1, device="cpu")[0] == outcome


@torch.no_grad()
@pytest.mark.parametrize("swapped", [False, True])
def test_the_two_sides_of_the_bound_are_those_of_the_right_pairs(swapped: bool) -> None:
    """Where the masks are the truth, in whatever order, both sides are as high as numbers get."""
    torch.manual_seed(0)
    model: Any = build("two_step", {"basis": 12, "kernel": 11, "bottleneck": 6, "hidden": 8, "blocks": 2, "repeats": 1})
    told = torch.randn(2, 1, 400)
    latents = torch.stack([model.encode(one[None]) for one in told], 1)
    masks = oracle_masks(latents, "softmax")
    model.masks = lambda z: masks.flip(1) if swapped else masks
    found = {(name, metric): value for name, metric, value in claims._bound(model, told.sum(0), told)}
    assert set(found) == {(name, m) for name in model.spec.sources for m in ("latent_si_sdr", "decoded_si_sdr")}
    assert min(found.values()) > 60
    model.masks = lambda z: 0.5 * torch.ones_like(masks)
    assert max(value for _, _, value in claims._bound(model, told.sum(0), told)) < 20


@pytest.mark.usefixtures("tiny")
def test_a_curve_is_judged_at_its_end_only(tmp_path: Path) -> None:
    recipe = SMALL[ONE]
    assert curve_of(tmp_path, recipe) == Curve([], None)
    (tmp_path / "log.jsonl").write_text('{"step": 4, "event": "validate", "si_sdr_gain_db": 1.0}\n')
    assert not curve_of(tmp_path, recipe).flat
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 10, "event": "validate", "si_sdr_gain_db": 1.2}\n')
    curve = curve_of(tmp_path, recipe)
    assert curve.rise_db == pytest.approx(0.2)
    assert curve.flat


@pytest.mark.usefixtures("tiny")
def test_what_starts_from_an_unfinished_run_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AFTER, OTHER, (ONE, "down."))
    with pytest.raises(DataError, match=r"one@tiny\.0 is not finished"):
        claims.train_run(OTHER, 0, tmp_path, tmp_path, device="cpu")
