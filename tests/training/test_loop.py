"""The loop: it learns, it goes on after a kill as if nothing had been, and it says what is wrong before it starts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from separation.datasets import Track
from separation.errors import DataError
from separation.models import ARCHITECTURES, build
from separation.models.protocol import Spec
from separation.training import Recipe, loop, recipes, train
from separation.training.data import DATA, Sides
from separation.training.loop import Paths
from separation.training.pools import load_pool
from tests.datasets.tiny_corpora import make_all, wav
from tests.training.tiny_run import CONV_TASNET, UNET, LowAndHigh, run

ROOT = Path(__file__).parents[2]
each_recipe = pytest.mark.parametrize("recipe", [UNET, CONV_TASNET], ids=lambda recipe: recipe.architecture)


class Stopped(Exception):
    """Stands for whatever ends a run from outside."""


def stop_at(step: int) -> Callable[[int], None]:
    def before(now: int) -> None:
        if now == step:
            raise Stopped

    return before


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Every line as strict JSON: no NaN, nothing cut off."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in Paths(folder).log.read_text().splitlines()]


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(Paths(folder).state, weights_only=False)
    return state


def assert_same_run(one: Path, other: Path) -> None:
    """Bit by bit: weights, averages, the optimiser's memory, what is shipped, and what was logged except for the time."""
    states = state_of(one), state_of(other)
    assert states[0]["step"] == states[1]["step"]
    assert states[0]["best"] == states[1]["best"]
    for part in ("model", "average"):
        assert_equal(*(state[part] for state in states))
    for index, memory in states[0]["optimiser"]["state"].items():
        assert_equal(memory, states[1]["optimiser"]["state"][index])
    assert Paths(one).best.read_bytes() == Paths(other).best.read_bytes()
    logs = [[{k: v for k, v in line.items() if k != "seconds"} for line in log_of(folder)] for folder in (one, other)]
    validations = [[line for line in log if line["event"] == "validate"] for log in logs]
    assert validations[0] == validations[1]


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@each_recipe
def test_the_loss_falls_and_the_gain_rises(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY", 10)
    run(recipe.with_changes(steps=120, decay=30, validate_every=60, rate=1e-2), tmp_path)
    losses = [line["loss"] for line in log_of(tmp_path) if line["event"] == "train"]
    gains = [line["si_sdr_gain_db"] for line in log_of(tmp_path) if line["event"] == "validate"]
    assert losses[-1] < losses[0] - 3
    assert gains[-1] > 3


@each_recipe
def test_one_batch_is_learnt_by_heart(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY", 20)
    longer = recipe.with_changes(steps=200, decay=50, validate_every=200, rate=1e-2)
    run(longer, tmp_path, LowAndHigh(recipe.length, fixed=True))
    assert log_of(tmp_path)[-2]["loss"] < -12


@each_recipe
@pytest.mark.parametrize("step", [1, 6, 8, 11])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(recipe: Recipe, step: int, tmp_path: Path) -> None:
    """Before the first state, between two, just after one, and at the last step."""
    run(recipe, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", LowAndHigh(recipe.length, before=stop_at(step)))
    torch.manual_seed(12345)  # a new process would be somewhere else
    run(recipe, tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_whose_process_was_killed_goes_on_too(tmp_path: Path) -> None:
    run(UNET, tmp_path / "whole")
    command = [sys.executable, "-m", "tests.training.tiny_run", UNET.name, str(tmp_path / "killed"), "6"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert state_of(tmp_path / "killed")["step"] == 4
    run(UNET, tmp_path / "killed")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


class Noisy(nn.Module):
    """A model that draws random numbers while it trains, as dropout does."""

    citation = "none"

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {}
        self.spec = Spec(8000, 1, ("low", "high"), 1.0, 0.1)
        self.net = nn.Sequential(nn.Conv1d(1, 8, 9, padding=4), nn.Dropout(0.5), nn.Conv1d(8, 2, 1))

    def separate(self, mixture: Tensor, side: Any = {}, state: Any = None) -> tuple[Tensor, Any]:
        return self.net(mixture).unsqueeze(2), None


def test_random_numbers_of_the_model_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "noisy", Noisy)
    recipe = UNET.with_changes(architecture="noisy", arguments={})
    run(recipe, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", LowAndHigh(before=stop_at(6)))
    torch.manual_seed(12345)
    run(recipe, tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        run(UNET.with_changes(seed=seed), tmp_path / name)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    one, three = (load_file(Paths(tmp_path / name).best) for name in ("one", "three"))
    assert not torch.equal(one["out.weight"], three["out.weight"])


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    run(UNET, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run(UNET, tmp_path, LowAndHigh(before=lambda step: pytest.fail("it trained")))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    """As long as its decay had not begun, it is the same as a longer run from the start."""
    run(UNET.with_changes(steps=24), tmp_path / "whole")
    with pytest.raises(Stopped):
        run(UNET.with_changes(steps=16), tmp_path / "extended", LowAndHigh(before=stop_at(12)))
    run(UNET.with_changes(steps=24), tmp_path / "extended")
    assert_same_run(tmp_path / "whole", tmp_path / "extended")


def test_what_was_logged_after_the_last_state_is_not_logged_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY", 1)
    with pytest.raises(Stopped):
        run(UNET, tmp_path, LowAndHigh(before=stop_at(6)))
    with Paths(tmp_path).log.open("a") as file:
        file.write('{"step": 7, "sec')  # killed while writing
    run(UNET, tmp_path)
    steps = [line["step"] for line in log_of(tmp_path) if line["event"] == "train"]
    assert steps == list(range(1, 13))
    assert [line["step"] for line in log_of(tmp_path) if line["event"] == "validate"] == [4, 8, 12]


def test_the_log_has_everything_and_every_line_is_reported(tmp_path: Path) -> None:
    reported: list[dict[str, Any]] = []
    mixer = LowAndHigh()
    loop.Run(UNET, mixer, mixer, Paths(tmp_path), device="cpu", report=reported.append).go()
    assert reported == log_of(tmp_path)
    train_line, validate_line = reported[-2:]
    assert set(train_line) == {"step", "seconds", "event", "loss", "rate", "skipped"}
    assert set(validate_line) == {"step", "seconds", "event", "si_sdr_gain_db", "standard_error", "best"}
    assert train_line["skipped"] == 0
    assert validate_line["best"] == max(line["si_sdr_gain_db"] for line in reported if line["event"] == "validate")


@each_recipe
def test_the_best_weights_fit_the_model_and_are_the_averaged_ones(recipe: Recipe, tmp_path: Path) -> None:
    best = load_file(run(recipe, tmp_path))
    model = build(recipe.architecture, recipe.arguments)
    model.load_state_dict(best, strict=True)
    assert all(torch.isfinite(value).all() for value in best.values() if value.dtype.is_floating_point)
    state = state_of(tmp_path)
    if log_of(tmp_path)[-1]["si_sdr_gain_db"] == state["best"]:
        assert_equal(best, state["average"])
    assert not all(torch.equal(value, state["model"][name]) for name, value in best.items())


def test_worse_weights_do_not_replace_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(UNET, tmp_path)
    best = Paths(tmp_path).best.read_bytes()
    state = state_of(tmp_path)
    torch.save(state | {"best": 1000.0}, Paths(tmp_path).state)
    run(UNET.with_changes(steps=16), tmp_path)
    assert Paths(tmp_path).best.read_bytes() == best
    assert state_of(tmp_path)["best"] == 1000.0


def test_given_weights_are_where_a_run_starts_and_not_where_it_goes_on(tmp_path: Path) -> None:
    start = run(UNET.with_changes(seed=5), tmp_path / "earlier")
    mixer = LowAndHigh()
    begun = loop.Run(UNET, mixer, mixer, Paths(tmp_path / "a"), device="cpu", initial=start)
    assert_equal(begun.model.state_dict(), load_file(start))
    run(UNET, tmp_path / "b")
    resumed = loop.Run(UNET, mixer, mixer, Paths(tmp_path / "b"), device="cpu", initial=start)
    assert_equal(resumed.model.state_dict(), state_of(tmp_path / "b")["model"])


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30], ids=str)
@each_recipe
def test_one_bad_batch_does_not_destroy_the_run(recipe: Recipe, poison: float, tmp_path: Path) -> None:
    """Nor what batch norm has averaged, which no gradient protects. 1e30 is finite, and overflows inside."""

    class Poisoned(LowAndHigh):
        def example(self, seed: int, step: int, index: int) -> NDArray[np.float32]:
            stems = super().example(seed, step, index)
            if step == 5 and seed == recipe.seed:
                stems[0, 100] = poison
            return stems

    with np.errstate(all="ignore"):
        run(recipe, tmp_path, Poisoned(recipe.length))
    state = state_of(tmp_path)
    for part in ("model", "average"):
        for name, value in state[part].items():
            assert torch.isfinite(value).all(), f"{part} {name}"
            assert value.abs().max() < 1e6, f"{part} {name}"
    lines = [line for line in log_of(tmp_path) if line["event"] == "train"]
    assert sum(line["skipped"] for line in lines) == 1
    assert all(np.isfinite(line["loss"]) for line in lines)


def test_a_report_without_one_good_step_says_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bad(LowAndHigh):
        def example(self, seed: int, step: int, index: int) -> NDArray[np.float32]:
            return super().example(seed, step, index) * np.float32(np.nan if seed == UNET.seed else 1)

    before = build(UNET.architecture, UNET.arguments).state_dict().keys()
    run(UNET.with_changes(steps=2, validate_every=2), tmp_path, Bad())
    assert log_of(tmp_path)[0]["loss"] is None
    assert log_of(tmp_path)[0]["skipped"] == 2
    assert load_file(Paths(tmp_path).best).keys() == before


@each_recipe
def test_bf16_runs_beside_full_precision_and_keeps_the_weights_in_float32(recipe: Recipe, tmp_path: Path) -> None:
    """In one process: accelerate itself would refuse the second precision."""
    for precision in ("no", "bf16", "no"):
        run(recipe.with_changes(precision=precision), tmp_path / precision)
    full, half = (state_of(tmp_path / precision)["model"] for precision in ("no", "bf16"))
    assert {value.dtype for value in half.values() if value.dtype.is_floating_point} == {torch.float32}
    differing = [name for name in full if not torch.equal(full[name], half[name])]
    assert differing, "bf16 changed nothing"
    assert all(torch.isfinite(half[name]).all() for name in half)


def test_the_rate_warms_up_stays_and_decays_to_zero(tmp_path: Path) -> None:
    mixer = LowAndHigh()
    recipe = UNET.with_changes(steps=20, warmup=4, decay=5, rate=1.0)
    trainer = loop.Run(recipe, mixer, mixer, Paths(tmp_path), device="cpu")
    rates = []
    for step in range(21):
        trainer.step = step
        rates.append(trainer._rate())
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:16] == [1.0] * 12
    assert rates[16:] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


@pytest.fixture
def tiny_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATA, "tiny", lambda recipe, folder, cache: Sides(LowAndHigh(), LowAndHigh(), {}))


@pytest.mark.usefixtures("tiny_data")
def test_a_run_folder_says_what_made_it(tmp_path: Path) -> None:
    best = train(UNET, tmp_path, tmp_path / "run", device="cpu")
    assert best == tmp_path / "run" / "best.safetensors"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "recipe.json", "log.jsonl", "state.pt", "best.safetensors"
    }  # fmt: skip
    record = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert Recipe(**record["recipe"]) == UNET
    assert record["commit"] is None or record["commit"].removesuffix("+changes").isalnum()


@pytest.mark.usefixtures("tiny_data")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rate": 0.5}, "rate"),
        ({"arguments": UNET.arguments | {"hidden": 9}}, "arguments"),
        ({"seed": 3, "batch": 1}, "batch, seed"),
    ],
)
def test_the_folder_of_another_recipe_is_refused(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    train(UNET, tmp_path, tmp_path / "run", device="cpu")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(DataError, match=rf"started with another {named}\. Use another output folder"):
        train(UNET.with_changes(**changes), tmp_path, tmp_path / "run", device="cpu")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.usefixtures("tiny_data")
def test_a_longer_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    train(UNET, tmp_path, tmp_path / "run", device="cpu")
    train(UNET.with_changes(steps=16, decay=6, validate_every=8), tmp_path, tmp_path / "run", device="cpu")
    assert state_of(tmp_path / "run")["step"] == 16
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]["steps"] == 16


def test_broken_data_is_named_file_by_file_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [Track(f"t{i}", {"speech": wav(tmp_path / f"{i}.wav")}) for i in range(4)]
    for i in (1, 2):
        (tmp_path / f"{i}.wav").write_bytes(b"this is not audio")

    def read(recipe: Recipe, folder: Path, cache: Path) -> Any:
        return load_pool(tracks, sample_rate=8000, group="speaker", cache=cache)

    monkeypatch.setitem(DATA, "tiny", read)
    with pytest.raises(DataError) as failure:
        train(UNET, tmp_path, tmp_path / "run", device="cpu")
    assert all(str(tmp_path / f"{i}.wav") in failure.value.found for i in (1, 2))
    assert not Paths(tmp_path / "run").log.exists()
    assert not Paths(tmp_path / "run").state.exists()


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_the_shipped_recipes_train_on_their_real_layouts(name: str, tmp_path: Path) -> None:
    """Their own readers, mixers, losses and precision; a small model and two steps."""
    recipe = recipes.get(name)
    small = {
        "unet": {"channels": [4, 6], "hidden": 8},
        "conv_tasnet": {"basis": 16, "bottleneck": 8, "hidden": 8},
        "learned_transform": {"basis": 16},
        "two_step": {"basis": 16, "bottleneck": 8, "hidden": 8, "blocks": 2},
        "disentangled": {"basis": 16, "dimensions": 6, "decoder": 8, "bottleneck": 8, "hidden": 12, "blocks": 2},
        "umss": {"latent": 6, "encoder": 8, "decoder": 8},
        "htmd_net": {"basis": 16, "bottleneck": 8, "hidden": 8, "blocks": 2, "levels": 2, "recurrent": 4},
    }
    short = recipe.with_changes(
        arguments=recipe.arguments | small[recipe.architecture],
        steps=2,
        decay=1,
        warmup=1,
        length=4096,
        batch=2,
        validation_examples=1,
    )
    best = train(short, make_all(tmp_path / "data"), tmp_path / "runs" / name, device="cpu")
    build(short.architecture, short.arguments).load_state_dict(load_file(best), strict=True)
    assert log_of(best.parent)[-1]["step"] == 2
