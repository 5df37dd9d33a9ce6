"""Learning from clips: what comes out separates, learned sources serve again, and what cannot be learned is said beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning_sounds import RATE, SMALL, clips, hiss, signal, strings

from separation import hub
from separation.engine import separate
from separation.errors import Cancelled, ConfigError, DataError, JobError, ModelError, NonFiniteAudio
from separation.metrics import si_sdr
from separation.models import ARCHITECTURES
from separation.models.components import ComponentModel
from separation.signals import Signal
from separation.training.learning import (
    SYSTEMS,
    UNKNOWN_COMPONENTS,
    Learned,
    LearningStep,
    activity,
    check_plan,
    divide,
    learn,
    save_learned,
    save_rearranged,
    sounding,
)

SYSTEMS_HERE = [name for name, system in SYSTEMS.items() if system.architecture in ARCHITECTURES]


def learned(system: str = "nmf", **more: Any) -> ComponentModel:
    return learn(system, clips(), **{"components": 6, "steps": 30, "arguments": SMALL, **more})


def quality(model: ComponentModel) -> dict[str, float]:
    """SI-SDR in dB of each source of a mixture that nobody learned from."""
    truth = {"strings": strings(3.0, 11), "hiss": hiss(3.0, 12)}
    stems = separate(model, signal(truth["strings"] + truth["hiss"]))
    return {
        name: float(si_sdr(torch.from_numpy(truth[name])[None], torch.from_numpy(stems[name].samples)[None]))
        for name in model.spec.sources
        if name in truth
    }


def test_every_system_has_words_and_a_model_of_its_own() -> None:
    assert list(SYSTEMS) == ["nmf", "conv-nmf", "nae", "ccae", "rcae"]
    assert len({system.architecture for system in SYSTEMS.values()}) == len(SYSTEMS)
    assert all(system.about.endswith(".") and system.title for system in SYSTEMS.values())
    assert {system.architecture for system in SYSTEMS.values()} <= set(ARCHITECTURES)


@pytest.mark.parametrize("system", SYSTEMS_HERE)
def test_a_few_seconds_of_each_teach_a_separator(system: str) -> None:
    few = {"components": 3, "arguments": {**SMALL, "steps": 40}} if system == "rcae" else {}
    model = learned(system, steps=40, **few)
    assert model.spec.sources == ("strings", "hiss") and not model.training
    assert min(quality(model).values()) > 5


def test_learning_is_told_step_by_step_and_gets_better() -> None:
    told: list[LearningStep] = []
    model = learned(progress=told.append, components={"strings": 5, "hiss": 2})
    assert model.counts == (5, 2)
    assert [(at.source, at.step) for at in told] == [(name, n) for name in ("strings", "hiss") for n in range(1, 31)]
    assert all(at.steps == 30 for at in told)
    assert told[29].loss < 0.7 * told[0].loss and told[-1].loss < told[30].loss
    assert told[0].part.patches().shape == (5, 129, 1) and told[-1].part.components == 2


def test_the_same_seed_learns_the_same_and_leaves_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = learned(seed=3), learned(seed=3), learned(seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [torch.cat([each.flatten() for each in model.state_dict().values()]) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_clips_of_any_rate_and_channels_count_alike() -> None:
    rate = 22050
    wide = np.repeat(strings(3.0, 1, rate), 2, axis=0)
    model = learn(
        "nmf", {"strings": [Signal(wide, rate)], "hiss": clips()["hiss"]}, components=6, steps=30, arguments=SMALL
    )
    assert min(quality(model).values()) > 6


def test_stopping_ends_it_after_a_step() -> None:
    told: list[LearningStep] = []
    with pytest.raises(Cancelled, match="Learn strings"):
        learned(progress=told.append, cancelled=lambda: len(told) == 4)
    assert len(told) == 4


def test_a_source_that_was_learned_serves_again_under_another_name() -> None:
    before, heard = learned(), clips()
    told: list[LearningStep] = []
    model = learn(
        "nmf", {"noise": heard["hiss"], "strings": Learned(before, "strings")}, components=4, steps=30,
        arguments=SMALL, progress=told.append,
    )  # fmt: skip
    assert model.spec.sources == ("noise", "strings") and model.counts == (4, 6)
    assert {at.source for at in told} == {"noise"}
    assert torch.equal(model.components().patches[4:], before.components().patches[:6])
    both = learn("nmf", {"a": Learned(before, "hiss"), "b": Learned(before, "hiss")})
    assert both.spec.sources == ("a", "b")
    with pytest.raises(ModelError, match="there is no source called piano"):
        learn("nmf", {"a": Learned(before, "piano")})
    with pytest.raises(ModelError, match="learned otherwise"):
        learn("nmf", {"a": Learned(before, "hiss"), "b": heard["hiss"]}, components=2, steps=2)


@pytest.mark.parametrize("system", [name for name in SYSTEMS_HERE if SYSTEMS[name].finds_unknown])
def test_one_source_may_come_without_clips(system: str) -> None:
    heard = clips()
    model = learn(
        system, {"rest": [], "strings": heard["strings"]}, components={"rest": 2, "strings": 6}, steps=40,
        arguments=SMALL,
    )  # fmt: skip
    assert model.arguments["unknown"] == "rest" and model.counts == (2, 6)
    assert quality(model)["strings"] > 3


def test_who_is_unknown_has_few_components_unless_somebody_says_otherwise() -> None:
    plan = check_plan("nmf", {"rest": 0, "strings": 1}, components=40)
    assert plan.components == {"strings": 40} and (plan.unknown, plan.unknown_components) == (
        "rest",
        UNKNOWN_COMPONENTS,
    )
    assert check_plan("nmf", {"rest": 0, "strings": 1}, components={"rest": 3}).unknown_components == 3


def test_a_recording_is_divided_without_clips() -> None:
    """Two stretches of different timbre, one after the other: each part holds one of them."""
    rng, rate, time = np.random.default_rng(0), 16000, np.arange(16000) / 16000
    low = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 6))
    high = np.diff(rng.standard_normal(rate + 1))
    recording = Signal(0.1 * np.concatenate([low, high])[None].astype(np.float32), rate)
    steps: list[LearningStep] = []
    model = divide("nmf", recording, 2, components=6, steps=30, progress=steps.append)
    assert model.spec.sources == ("part 1", "part 2") and len(steps) == 30
    with torch.no_grad():
        dark, bright = model.separate(torch.from_numpy(recording.samples)[None])[0][0, :, 0]
    assert dark[:rate].square().sum() > 20 * dark[rate:].square().sum()
    assert bright[rate:].square().sum() > 20 * bright[:rate].square().sum()
    with pytest.raises(ModelError, match="no spectra to group"):
        divide("ccae", recording, 2)


def test_how_much_each_component_counts() -> None:
    model, heard = learned(), clips()
    shares = activity(model, "hiss", heard["hiss"])
    assert len(shares) == 6 and min(shares) >= 0 and sum(shares) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("samples", "seconds"),
    [(np.zeros((1, RATE), np.float32), 0.0), (strings(2.0, 1), 2.0), (np.zeros((2, 0), np.float32), 0.0)],
)
def test_sound_is_counted_without_pauses(samples: Any, seconds: float) -> None:
    assert sounding(signal(samples)) == pytest.approx(seconds, abs=0.05)
    paused = np.concatenate([samples, np.zeros_like(samples)], axis=1)
    assert sounding(signal(paused)) == pytest.approx(seconds, abs=0.05)


def short(seconds: float) -> list[Signal]:
    return [signal(strings(seconds, 1))]


@pytest.mark.parametrize(
    ("given", "options", "error", "said"),
    [
        ({"a": short(0.6)}, {}, DataError, r"hold 0\.6\d? s of sound.*1 s or more"),
        ({"a": [signal(np.zeros((1, 3 * RATE), np.float32))]}, {}, DataError, "silent"),
        ({"a": short(2.0), "b": []}, {"system": "nae"}, DataError, "Learn b: it has no clip.*NMF and Convolutive NMF"),
        ({"a": []}, {}, DataError, "it has no clip"),
        ({"a": [], "b": [], "c": short(2.0)}, {}, DataError, "it has no clip"),
        ({}, {}, DataError, "there are 0 sources"),
        ({name: short(2.0) for name in "abcde"}, {}, DataError, "there are 5 sources.*1 to 4"),
        ({"a": short(1.1)}, {"components": 199}, DataError, r"199 components.*have 1\d\d frames"),
        ({"a": short(2.0)}, {"components": 0}, DataError, "0 components"),
        ({"a": short(2.0)}, {"components": {"a": 201}}, DataError, "201 components"),
        ({"a": short(2.0)}, {"steps": 0}, DataError, "0 steps"),
        ({"a": short(2.0)}, {"steps": 5001}, DataError, "5001 steps"),
        ({"a/b": short(2.0)}, {}, JobError, "cannot be used"),
        ({"residual": short(2.0)}, {}, JobError, "every separation has"),
        ({"a": [signal(np.full((1, 2 * RATE), np.nan, np.float32))]}, {}, NonFiniteAudio, "NaN"),
        ({"a": short(2.0)}, {"system": "gan"}, ModelError, "nmf, conv-nmf"),
        ({"a": short(2.0)}, {"arguments": {"colour": 1}}, ConfigError, "colour"),
    ],
)
def test_what_cannot_be_learned_is_said_with_numbers(
    given: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    chosen = {"system": "nmf", "steps": 2, "arguments": SMALL, **options}
    told: list[LearningStep] = []
    with pytest.raises(error, match=said):
        learn(chosen.pop("system"), given, progress=told.append, **chosen)
    assert told == []


def test_a_model_folder_comes_out_and_opens_again(tmp_path: Path) -> None:
    model = learned()
    card = save_learned(tmp_path / "my duo", model, "nmf", {"strings": 3.0, "hiss": None}, steps=30, seed=7)
    assert card.name == "my-duo" and card.sources == ("strings", "hiss")
    assert card.title == "Strings and hiss, learned by NMF"
    assert card.trained_on == ("strings: 3.0 s of clean clips", "hiss: learned before")
    assert card.training is not None and card.training.recipe is not None
    assert card.training.recipe["seed"] == 7 and card.training.seconds_of_audio == 90
    opened = hub.load(tmp_path / "my duo")
    assert quality(opened) == pytest.approx(quality(model))  # type: ignore[arg-type]


def test_rearranging_writes_another_folder_with_the_same_weights(tmp_path: Path) -> None:
    save_learned(tmp_path / "duo", learned(), "nmf", {"strings": 3.0, "hiss": 3.0}, steps=30)
    opened: Any = hub.load(tmp_path / "duo")
    card = save_rearranged(tmp_path / "other", opened, opened.card, {0: "hiss", 7: "strings"}, [3])
    assert card.arguments["moved"] == {"0": 1, "7": 0} and card.arguments["muted"] == [3]
    assert (card.title, card.trained_on, card.name) == (opened.card.title, opened.card.trained_on, "other")
    changed: Any = hub.load(tmp_path / "other")
    assert changed.components().sources.tolist() == [1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1]
    assert torch.equal(changed.components().patches, opened.components().patches)
    mixture = signal(strings(2.0, 11) + hiss(2.0, 12))
    stems = separate(changed, mixture)
    left = mixture.samples - stems["strings"].samples - stems["hiss"].samples
    assert np.square(left).sum() > 1e-3 * np.square(mixture.samples).sum(), "a muted component is in no stem"
    with pytest.raises(ModelError, match="no source called piano"):
        save_rearranged(tmp_path / "wrong", opened, opened.card, {0: "piano"}, [])
    with pytest.raises(ModelError, match="12 components"):
        save_rearranged(tmp_path / "wrong", opened, opened.card, {}, [12])
    assert not (tmp_path / "wrong").exists()
