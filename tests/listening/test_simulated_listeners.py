"""Simulated listeners enter only what pages take, and the report finds what was put into them, for every kind of question."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from separation.errors import StudyError
from separation.listening.plans import make_plan
from separation.listening.questions import fields_of, problems
from separation.listening.scales import SCALES
from separation.listening.simulated import (
    GOOD,
    MOODS,
    Mood,
    Simulated,
    dry_run,
    likely_listeners,
    likely_truth,
    simulate,
    value_of,
)
from separation.listening.study import KINDS, Assignment, Gold, Page, Question, Screening
from tests.listening.made_answers import study

TRUTH = {"reference": 100.0, "one": 80.0, "two": 60.0, "three": 40.0, "low": 22.0, "mid": 50.0, "mixture": 10.0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mood", MOODS)
def test_whatever_they_enter_is_an_answer(kind: str, mood: Mood) -> None:
    tiny = study(Question(id="q", kind=kind, comment=True, marks=kind != "marks"), items=2)  # type: ignore[arg-type]
    listener = Simulated(mood, TRUTH, 1)
    for planned in make_plan(tiny).slots[0].trials:
        given, behaviour = listener.page(tiny.questions[0], planned)
        assert problems(tiny.questions[0], planned, given) == [] and behaviour.seconds > 0
        assert len(behaviour.played) == len(planned.conditions)


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_of_a_page_is_answered_like_its_fields(kind: str) -> None:
    question = Question(id="q", kind=kind)  # type: ignore[arg-type]
    heard = {"aaa": 70.0, "bbb": 20.0}
    for field in fields_of(question, list(heard), str):
        told = json.loads(json.dumps(asdict(field) | {"options": [one._asdict() for one in field.options]}))
        values = [value_of(each, heard, np.random.default_rng(0)) for each in (field, told)]
        assert values[0] == values[1]


def test_what_is_heard_decides() -> None:
    def enter(kind: str, left: float, right: float, **more: bool) -> object:
        [field, *_] = fields_of(Question(id="q", kind=kind, **more), ["l", "r"], str)  # type: ignore[arg-type]
        return value_of(field, {"l": left, "r": right}, np.random.default_rng(0))

    assert [enter("ab", *pair) for pair in ((80, 40), (40, 80), (60, 58), (9, 5))] == [
        "left",
        "right",
        "tie",
        "both_bad",
    ]
    assert enter("ab", 60, 58, tie=False) in ("left", "right")
    assert [enter("ccr", *pair) for pair in ((50, 50), (20, 90), (90, 20))] == [0, 3, -3]  # of the second one
    assert [enter("mushra", q, 0) for q in (0, 33.4, 100)] == [0, 33, 100]
    assert [enter("acr", q, 0) for q in (0, 49, 100)] == [1, 3, 5]
    assert [enter("ranking", *pair) for pair in ((10, 20), (20, 10))] == [2, 1]
    x = fields_of(Question(id="q", kind="abx"), ["l", "r"], str)[0]
    assert value_of(x, {"l": 80, "r": 20, "x": 25}, np.random.default_rng(0)) == "b"


def test_the_same_seed_gives_the_same_answers_and_every_listener_takes_a_slot() -> None:
    tiny = study()
    plan = make_plan(tiny)
    people: dict[Mood, int] = {"attentive": 2, "random": 1}
    first, again, other = (simulate(tiny, plan, people, TRUTH, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert {one.listener.rpartition("-")[0] for one in first} == {"attentive", "random"}
    for slot in plan.slots[:3]:
        rows = [one for one in first if one.listener.endswith(f"-{slot.index:03}")]
        assert {one.trial for one in rows} == {planned.id for planned in slot.trials}
        assert max(one.index for one in rows if one.purpose != "training") == sum(
            planned.purpose != "training" for planned in slot.trials
        ) - 1  # fmt: skip


def test_the_attentive_hear_what_is_true() -> None:
    tiny = study(items=6, assignment=Assignment(listeners=40, repeats=0))
    rows = simulate(tiny, make_plan(tiny), {"attentive": 40}, TRUTH, 3)
    for name, truth in TRUTH.items():
        given = [one.value for one in rows if one.condition == name and one.value is not None]
        if given:
            assert np.mean(given) == pytest.approx(truth, abs=3), name


def test_more_listeners_than_slots_are_refused() -> None:
    with pytest.raises(StudyError, match="the plan has 12 slots"):
        simulate(study(), make_plan(study()), {"attentive": 13}, TRUTH)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("text", "marks", "dcr")])
def test_a_dry_run_finds_the_truth_and_catches_who_does_not_listen(kind: str) -> None:
    tiny = study(Question(id="q", kind=kind), items=6, assignment=Assignment(listeners=20, repeats=0.5, repeat_gap=1))  # type: ignore[arg-type]
    done = dry_run(tiny, seed=1, draws=200)
    assert done.ok, done.verdicts
    assert sum(done.caught[mood] for mood in GOOD) <= 1  # of six items one bad one is over 15 %
    assert all(done.caught[mood] == done.listeners[mood] for mood in MOODS if mood not in GOOD)
    assert done.recovered and all(one.order != "wrong" for one in done.recovered)
    assert any(one.order == "right" for one in done.recovered)
    assert json.loads(json.dumps(done.to_json(), allow_nan=False))["ok"]
    assert kind in SCALES


def test_a_dry_run_says_when_screening_misses_and_when_it_is_too_strict() -> None:
    lax = dry_run(study(screening=(Screening(rule="hidden_reference", numbers={"below": 0}),)), draws=200)
    assert not lax.ok and any("keeps listeners who do not listen" in verdict for verdict in lax.verdicts)
    harsh = dry_run(study(screening=(Screening(rule="hidden_reference", numbers={"below": 101}),)), draws=200)
    assert not harsh.ok and any("leaves out 9 of 9" in verdict for verdict in harsh.verdicts)


def test_a_dry_run_says_when_nothing_can_be_found() -> None:
    same = TRUTH | dict.fromkeys(("one", "two", "three"), 60.0)
    done = dry_run(study(), truth=same, draws=200)
    assert any("finds none of the true differences" in verdict for verdict in done.verdicts) or any(
        "wrong order" in verdict for verdict in done.verdicts
    )
    assert not done.ok


def test_gold_and_traps_part_those_who_listen_from_those_who_do_not() -> None:
    gold = (
        Gold(item="i0", question="q", expect={"one": 5.0}, tolerance=0.5),
        Gold(item="i1", question="q", expect={"two": 1.0}, trap=True, tolerance=0.5),
    )
    tiny = study(
        Question(id="q", kind="acr"), gold=gold, pages=(Page(kind="trials"),),
        screening=(Screening(rule="gold"), Screening(rule="traps")),
    )  # fmt: skip
    done = dry_run(tiny, draws=200, listeners={"attentive": 6, "lazy": 3, "always-100": 2})
    assert done.caught == {"attentive": 0, "lazy": 3, "always-100": 2}


def test_a_dry_run_says_which_attribute_it_speaks_of() -> None:
    tiny = study(Question(id="q", kind="p835"), items=6, assignment=Assignment(listeners=20, repeats=0))
    verdicts = dry_run(tiny, seed=1, draws=200).verdicts
    told = [one.partition(":")[0] for one in verdicts if "listeners see differences" in one]
    assert sorted(told) == ["q, bak", "q, ovrl", "q, sig"]
    alone = dry_run(study(), seed=1, draws=200).verdicts
    assert [one.partition(":")[0] for one in alone if "listeners see differences" in one] == ["q"]


def test_a_panel_has_some_of_each_kind_and_as_many_as_were_asked_for() -> None:
    for count in range(1, 60):
        people = likely_listeners(count)
        assert sum(people.values()) == count and min(people.values()) >= 0
        assert count < 10 or all(people[mood] for mood in MOODS)
    assert likely_truth(study())["one"] > likely_truth(study())["three"] > likely_truth(study())["low"]
