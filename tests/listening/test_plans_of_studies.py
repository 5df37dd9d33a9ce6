"""Plans: balanced, seeded, complete; nothing twice but what is meant to be; what cannot be planned is refused with numbers."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from separation.errors import StudyError
from separation.listening.designs import blocks, latin, williams
from separation.listening.parts import KINDS, MULTIPLE, PAIRED, Assignment, Study, conditions_of
from separation.listening.plans import (
    Plan,
    Planned,
    balance,
    dump_plan,
    extend_plan,
    feasibility,
    make_plan,
    parse_plan,
    trials_of,
)
from separation.listening.rules import inconsistencies


def study(
    *questions: dict[str, Any], systems: int = 3, items: int = 4, groups: int | None = None, seed: int = 1, **more: Any
) -> Study:
    """`items` items of `groups` songs, `systems` systems and both MUSHRA anchors."""
    made = Study.model_validate(
        {
            "name": "s",
            "title": "S",
            "seed": seed,
            "systems": [{"id": f"s{number}", "files": "x/{item}.wav"} for number in range(systems)],
            "anchors": [{"id": f"low{cut}", "kind": "low_pass", "cut_hz": cut} for cut in (3500, 7000)],
            "items": [
                {"id": f"i{number}", "target": "t", "mixture": "m", "group": f"g{number % groups}" if groups else ""}
                for number in range(items)
            ],
            "questions": [{"id": f"q{number}", **one} for number, one in enumerate(questions)],
            **more,
        }
    )
    assert not list(inconsistencies(made))
    return made


def judged_in(plan: Plan) -> list[list[Planned]]:
    return [[trial for trial in slot.trials if trial.purpose == "test"] for slot in plan.slots]


def spread(counts: Counter[Any] | list[int]) -> int:
    values = list(counts.values()) if isinstance(counts, Counter) else counts
    return max(values) - min(values)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 12])
def test_squares_balance_places_and_neighbours(n: int) -> None:
    for square in (latin(n), williams(n)):
        for column in square.T:
            assert spread(Counter(column.tolist())) == 0 and len(set(column.tolist())) == n
    neighbours = Counter(pair for row in williams(n).tolist() for pair in pairwise(row))
    assert len(neighbours) == n * (n - 1) and (n == 1 or spread(neighbours) == 0)


@pytest.mark.parametrize(
    ("n", "k", "count"), [(7, 3, 7), (13, 4, 13), (11, 5, 11), (4, 2, 6), (6, 3, 20), (5, 5, 1), (5, 1, 5), (9, 4, 18)]
)
def test_blocks_of_known_designs_are_balanced(n: int, k: int, count: int) -> None:
    made = blocks(n, k)
    assert len(made.sets) == count and made.together[0] == made.together[1]
    assert all(len(set(one)) == k for one in made.sets)
    assert spread(Counter(thing for one in made.sets for thing in one)) == 0


def test_blocks_without_a_known_design_say_how_even_they_are() -> None:
    made = blocks(20, 5)
    pairs = Counter(pair for one in made.sets for pair in combinations(one, 2))
    assert made.together == (min(pairs.values()), max(pairs.values())) and len(pairs) == 190
    assert spread(Counter(thing for one in made.sets for thing in one)) == 0
    assert made == blocks(20, 5)
    with pytest.raises(ValueError, match="5 of 4"):
        blocks(4, 5)


def test_trials_of_every_kind() -> None:
    for kind in KINDS:
        trials = trials_of(kind, ["a", "b", "reference"])
        assert {condition for trial in trials for condition in trial} == {"a", "b", "reference"}
        assert {len(trial) for trial in trials} == {3 if kind in MULTIPLE else 2 if kind in PAIRED else 1}
    assert trials_of("ab", ["a", "b", "c"]) == (("a", "b"), ("a", "c"), ("b", "c"))


assignments = st.builds(
    Assignment,
    design=st.sampled_from(["full", "latin", "williams", "random"]),
    items_per_listener=st.sampled_from([None, 2, 3]),
    systems_per_trial=st.sampled_from([None, 2]),
    repeats=st.sampled_from([0.0, 0.1, 0.3]),
    repeat_gap=st.integers(1, 4),
)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2), assignments, st.integers(0, 5), st.integers(2, 4))
def test_laws_of_every_plan(kinds: list[str], assignment: Assignment, seed: int, systems: int) -> None:
    kinds = [kind for kind in kinds if kind != "mushra"] or ["mushra"]
    made = study(
        *({"kind": kind} for kind in kinds), systems=systems, seed=seed, items=4, assignment=assignment.model_dump()
    )
    plan = make_plan(made, listeners=14)
    assert parse_plan(dump_plan(plan)) == plan == make_plan(made, listeners=14)
    assert make_plan(made, listeners=12).slots == plan.slots[:12]
    ids = [trial.id for slot in plan.slots for trial in slot.trials]
    assert len(set(ids)) == len(ids)
    for slot in plan.slots:
        trained = [trial.purpose == "training" for trial in slot.trials]
        assert trained == sorted(trained, reverse=True) and any(trained)
        asked = [trial.question for trial in slot.trials if trial.purpose != "training"]
        assert asked == sorted(asked)  # one question after the other
        _check_repeats(slot.trials, assignment.repeat_gap)
        for trial in slot.trials:
            question, item = made.question(trial.question), made.item(trial.item)
            assert set(trial.conditions) <= set(conditions_of(made, question, item))
            assert len(set(trial.conditions)) == len(trial.conditions)
            assert (trial.x is not None) == (question.kind == "abx") and bool(trial.fields) == (question.kind == "p835")
    for trials in judged_in(plan):
        assert spread(Counter((trial.question, trial.item, frozenset(trial.conditions)) for trial in trials)) == 0
        items = {
            question.id: {trial.item for trial in trials if trial.question == question.id}
            for question in made.questions
        }
        assert all(len(heard) == (assignment.items_per_listener or 4) for heard in items.values())


def _check_repeats(trials: tuple[Planned, ...], gap: int) -> None:
    places = {trial.id: place for place, trial in enumerate(trials)}
    repeated = [trial for trial in trials if trial.purpose == "repeat"]
    assert len({trial.repeat_of for trial in repeated}) == len(repeated)
    for trial in repeated:
        assert trial.repeat_of is not None
        first = trials[places[trial.repeat_of]]
        assert places[trial.id] - places[first.id] > gap and first.purpose == "test"
        assert (first.question, first.item, set(first.conditions)) == (
            trial.question,
            trial.item,
            set(trial.conditions),
        )
        assert first.conditions != trial.conditions or len(first.conditions) == 1


@pytest.mark.parametrize("design", ["latin", "williams"])
@pytest.mark.parametrize("systems", [2, 3, 5])
def test_positions_items_and_places_are_balanced_to_one(design: str, systems: int) -> None:
    made = study(
        {"kind": "mushra"}, systems=systems, items=5, assignment={"design": design, "listeners": 2 * (systems + 3)}
    )
    counted = balance(make_plan(made))
    listeners = 2 * (systems + 3)
    assert set(counted.ratings.values()) == {listeners}
    for item in made.items:  # of every item each condition is equally often at each place
        places = Counter[tuple[str, int]]()
        for trials in judged_in(make_plan(made)):
            shown = next(trial for trial in trials if trial.item == item.id)
            places.update((condition, place) for place, condition in enumerate(shown.conditions))
        assert spread(places) == 0 and len(places) == (systems + 3) ** 2
    for counts in counted.places.values():
        assert sum(counts) == listeners and spread(list(counts)) <= 2
    if design == "williams":
        assert len(counted.follows) == (systems + 3) * (systems + 2) and spread(Counter(counted.follows)) == 0


@pytest.mark.parametrize("kind", ["ab", "ccr", "bs1116", "abx"])
def test_sides_are_balanced_in_every_pair(kind: str) -> None:
    plan = make_plan(study({"kind": kind}, systems=3, items=3, assignment={"listeners": 8}))
    sides, answers = defaultdict[Any, Counter[Any]](Counter), defaultdict[Any, Counter[Any]](Counter)
    for slot, trials in enumerate(judged_in(plan)):
        for trial in trials:
            pair = (trial.item, frozenset(trial.conditions))
            sides[pair][trial.conditions[0]] += 1
            if trial.x is not None:
                answers[pair][trial.x] += 1
                answers[slot][trial.x] += 1
                sides[(*pair, "x")][trial.conditions[trial.x]] += 1
    assert all(spread(counts) == 0 and counts.total() == 8 for counts in sides.values())
    assert all(spread(counts) == 0 for key, counts in answers.items() if not isinstance(key, int))
    assert all(spread(counts) <= 3 and len(counts) == 2 for key, counts in answers.items() if isinstance(key, int))


def test_speech_and_background_change_places_between_listeners_and_overall_comes_last() -> None:
    plan = make_plan(study({"kind": "p835"}, assignment={"listeners": 6}))
    orders = [{trial.fields for trial in slot.trials} for slot in plan.slots]
    assert all(len(order) == 1 for order in orders)
    assert Counter(order.pop() for order in orders) == {("sig", "bak", "ovrl"): 3, ("bak", "sig", "ovrl"): 3}


@pytest.mark.parametrize(("systems", "each", "listeners"), [(7, 3, 7), (4, 2, 12), (6, 3, 20), (5, 4, 10)])
def test_incomplete_blocks_balance_systems_and_their_company(systems: int, each: int, listeners: int) -> None:
    assignment = {"design": "incomplete", "systems_per_trial": each, "listeners": listeners}
    counted = balance(make_plan(study({"kind": "scale"}, systems=systems, items=2, assignment=assignment)))
    of = {f"s{number}" for number in range(systems)}
    rated = Counter({key: count for key, count in counted.ratings.items() if key[2] in of})
    assert len(rated) == systems * 2 and spread(rated) <= 1
    assert {count for key, count in counted.ratings.items() if key[2] not in of} == {listeners}
    pairs = Counter({key: count for key, count in counted.together.items() if {*key[1:]} <= of})
    assert len(pairs) == systems * (systems - 1) // 2 and spread(pairs) <= (0 if listeners in (7, 12, 20) else 2)


def test_a_listener_gets_a_share_of_the_items_and_all_are_heard_equally_often() -> None:
    made = study({"kind": "acr"}, items=7, assignment={"items_per_listener": 3, "listeners": 14, "repeats": 0})
    counted = balance(make_plan(made))
    assert set(counted.ratings.values()) == {6}  # 14 × 3 / 7


def test_one_song_once() -> None:
    more = {"one_song_once": True, "items_per_listener": 3, "listeners": 20, "repeats": 0.3}
    made = study({"kind": "scale"}, {"kind": "acr"}, items=12, groups=6, assignment=more)
    plan = make_plan(made)
    for slot in plan.slots:
        songs = [made.item(trial.item).group for trial in slot.trials]
        assert len(songs) == len(set(songs)) == 6
        assert Counter(trial.question for trial in slot.trials) == {"q0": 3, "q1": 3}
    scale = [count for key, count in balance(plan).ratings.items() if key[0] == "q0"]
    single = [count for key, count in balance(plan).ratings.items() if key[0] == "q1"]
    assert len(scale) == 12 * 6 and len(single) == 12 * 5
    assert sum(scale) == 20 * 3 * 6 and spread(scale) <= 3 and spread(single) <= 1


def test_songs_of_training_and_gold_are_not_heard_again() -> None:
    more = {"one_song_once": True, "items_per_listener": 2, "listeners": 6}
    gold = [{"item": "i1", "question": "q0", "expect": {"reference": 100}}]
    pages = [{"kind": "training", "items": ["i0"]}, {"kind": "trials"}]
    made = study({"kind": "scale"}, items=4, assignment=more, gold=gold, pages=pages)
    for slot in make_plan(made).slots:
        assert sorted(trial.item for trial in slot.trials) == ["i0", "i1", "i2", "i3"]
        assert [trial.purpose for trial in slot.trials].count("gold") == 1


def test_gold_and_traps_are_spread_and_known() -> None:
    gold = [
        {"item": "i5", "question": "q0", "expect": {"reference": 100, "low3500": 20}, "tolerance": 15},
        {"item": "i4", "question": "q0", "expect": {"s0": 10}, "trap": True},
        {"item": "i5", "question": "q1", "expect": {"s0": 1, "s1": -1}},
        {"item": "i5", "question": "q2", "expect": {"": "seven"}, "trap": True},
        {"item": "i5", "question": "q3", "expect": {"reference": 5}},
        {"item": "i5", "question": "q4", "expect": {"reference": 5}},
    ]
    made = study({"kind": "scale"}, {"kind": "ab"}, {"kind": "text"}, {"kind": "acr", "conditions": ["s0", "reference"]},
                 {"kind": "bs1116"}, items=6, gold=gold, assignment={"listeners": 12, "repeats": 0})  # fmt: skip
    plan = make_plan(made)
    places, sides = Counter[int](), Counter[str]()
    for slot in plan.slots:
        known = [trial for trial in slot.trials if trial.purpose in ("gold", "trap")]
        assert sorted((trial.question, trial.purpose) for trial in known) == [
            ("q0", "gold"), ("q0", "trap"), ("q1", "gold"), ("q2", "trap"), ("q3", "gold"), ("q4", "gold"),
        ]  # fmt: skip
        assert not {trial.id for trial in known} & {trial.id for trial in slot.trials if trial.purpose == "test"}
        by = {(trial.question, trial.purpose): trial for trial in known}
        assert by["q0", "gold"].expected == {"reference": 100.0, "low3500": 20.0} and by["q0", "gold"].tolerance == 15
        assert set(by["q1", "gold"].conditions) == {"s0", "s1"} and by["q1", "gold"].expected == {"s0": 1.0, "s1": -1.0}
        assert {*by["q4", "gold"].conditions} == {"s0", "reference"}
        assert by["q3", "gold"].conditions == ("reference",) and by["q2", "trap"].expected == {"": "seven"}
        first = [trial for trial in slot.trials if trial.question == "q0" and trial.purpose != "training"]
        assert first[0].purpose == "test"
        places.update(place for place, trial in enumerate(first) if trial.purpose != "test")
        sides[by["q1", "gold"].conditions[0]] += 1
    assert len(places) >= 4 and len(sides) == 2
    assert {trial.item for trials in judged_in(plan) for trial in trials if trial.question == "q1"} == {
        f"i{n}" for n in range(5)
    }


def test_training_lets_every_condition_be_heard_and_is_first() -> None:
    for kind in KINDS:
        made = study({"kind": kind}, systems=5, pages=[{"kind": "training", "items": ["i1", "i2"]}, {"kind": "trials"}])
        slot = make_plan(made, listeners=2).slots[0]
        trained = [trial for trial in slot.trials if trial.purpose == "training"]
        assert slot.trials[: len(trained)] == tuple(trained)
        for item in ("i1", "i2"):
            heard = {condition for trial in trained if trial.item == item for condition in trial.conditions}
            assert heard == set(conditions_of(made, made.questions[0], made.item(item)))
    without = make_plan(study({"kind": "ab"}, pages=[{"kind": "trials"}]), listeners=2)
    assert not [trial for slot in without.slots for trial in slot.trials if trial.purpose == "training"]


def test_one_in_ten_is_repeated_and_different_ones_by_turns() -> None:
    plan = make_plan(study({"kind": "scale"}, items=20, assignment={"listeners": 10}))
    repeats = [[trial for trial in slot.trials if trial.purpose == "repeat"] for slot in plan.slots]
    assert [len(one) for one in repeats] == [2] * 10
    assert spread(Counter(trial.item for one in repeats for trial in one)) <= 1
    short = study({"kind": "scale"}, items=3, assignment={"repeats": 0.5})
    assert any("no repeats (too few trials" in note for note in feasibility(short, make_plan(short)).notes)


@pytest.mark.parametrize("design", ["latin", "random"])
@pytest.mark.parametrize("kind", ["acr", "ab", "p835"])
def test_no_song_twice_in_a_row(kind: str, design: str) -> None:
    plan = make_plan(study({"kind": kind}, systems=4, items=5, assignment={"design": design, "listeners": 10}))
    for trials in judged_in(plan):
        assert not [one.item for one, after in pairwise(trials) if one.item == after.item]


def test_shuffles_are_even() -> None:
    """Chi-square of places under the designs by lot; the seed is fixed, so it cannot fail by chance."""
    plan = make_plan(
        study({"kind": "ranking"}, systems=4, items=6, seed=3, assignment={"design": "random", "listeners": 200})
    )
    orders = Counter(trial.conditions for trials in judged_in(plan) for trial in trials)
    assert len(orders) == 24 and chisquare([*orders.values()]).pvalue > 0.01
    places = np.array([*balance(plan).places.values()])
    assert places.shape == (6, 6) and chisquare(places.ravel()).pvalue > 0.01
    assert make_plan(study({"kind": "ranking"}, systems=4, seed=4), listeners=5).slots != make_plan(
        study({"kind": "ranking"}, systems=4, seed=5), listeners=5
    ).slots  # fmt: skip


def test_a_plan_is_extended_by_slots_and_by_nothing_else() -> None:
    made = study({"kind": "mushra"}, assignment={"listeners": 5})
    plan = make_plan(made)
    longer = extend_plan(plan, made, 9)
    assert longer.slots[:5] == plan.slots and longer == make_plan(made, listeners=9)
    with pytest.raises(StudyError, match="the study has changed since"):
        extend_plan(plan, study({"kind": "mushra"}, seed=9, assignment={"listeners": 5}), 9)
    with pytest.raises(StudyError, match="it has 5 already"):
        extend_plan(plan, made, 4)


@pytest.mark.parametrize(
    ("more", "questions", "said"),
    [
        ({"items_per_listener": 5}, 1, "should get 5 items of `q0`, which has 4"),
        (
            {"items_per_listener": 2, "one_song_once": True},
            3,
            r"2 \+ 2 \+ 2 = 6 songs a listener, each once, but there are 4",
        ),
        ({"items_per_listener": 1, "listeners": 3}, 1, r"3 × 1 = 3 items are heard.*Invite at least 4 listeners"),
        ({"systems_per_trial": 1, "listeners": 2}, 1, "1 of 3 systems.*Invite at least 3 listeners"),
        ({"systems_per_trial": 2, "items_per_listener": 2, "listeners": 2}, 1, "Invite at least [45] listeners"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_arithmetic(more: dict[str, Any], questions: int, said: str) -> None:
    made = study(*[{"kind": "scale"}] * questions, assignment=more)
    with pytest.raises(StudyError, match=said):
        make_plan(made)


def test_numbers_of_listeners_and_trials_are_bounded() -> None:
    with pytest.raises(StudyError, match="Ask for 1 to 2000"):
        make_plan(study({"kind": "ab"}), listeners=0)
    with pytest.raises(StudyError, match="trials for one listener; the most is 1000"):
        make_plan(study({"kind": "ab"}, systems=20, items=6))


def test_feasibility_counts() -> None:
    made = study({"kind": "mushra"}, items=8, assignment={"listeners": 20})
    found = feasibility(made, make_plan(made))
    assert (found.listeners, found.trials, found.ratings) == (20, (10, 10), (20, 20))  # training, 8, a repeat
    # four pages of a minute; 10 pages with 6 sounds of 10 s heard twice and 6 s to answer
    assert found.minutes == (25.0, 25.0)
    assert found.notes == ("20 listeners, 8 test trials each: 960 ratings",)
    uneven = study({"kind": "acr"}, items=3, assignment={"items_per_listener": 2, "listeners": 4})
    assert any("not all equally many" in note for note in feasibility(uneven, make_plan(uneven)).notes)


def test_a_damaged_plan_is_refused() -> None:
    text = dump_plan(make_plan(study({"kind": "ab"}), listeners=2))
    for damaged in (
        "",
        "[]",
        "{}",
        text[:-5],
        text.replace("earshot-plan/1", "earshot-plan/9"),
        text.replace("slots", "slot"),
    ):
        with pytest.raises(StudyError, match="Read a plan"):
            parse_plan(damaged)
    plan = parse_plan(text)
    assert replace(plan, seed=2) != plan
