"""A plan: who gets what, in which order, as records; its JSON; and what it balances, counted. Making it: `plans`."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations, pairwise
from typing import Any

from separation.errors import StudyError
from separation.listening.answers import Purpose

FORMAT = "earshot-plan/1"
Conditions = tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """A trial that one listener will get.

    Args:
        id: unique in the plan.
        question: id.
        item: id.
        conditions: in the order of the page: of a pair the left or first one first.
        purpose: why it is asked.
        repeat_of: id of the trial that this repeats, or None.
        expected: of gold and traps: condition (``""`` where there is none) -> the right answer.
        tolerance: how far from `expected` is still right.
        fields: p835: the order of ``sig``, ``bak``, ``ovrl``; else empty.
        x: abx: the position in `conditions` of what X is; else None.
    """

    id: str
    question: str
    item: str
    conditions: Conditions
    purpose: Purpose
    repeat_of: str | None = None
    expected: Mapping[str, float | str] = field(default_factory=dict)
    tolerance: float = 0.0
    fields: tuple[str, ...] = ()
    x: int | None = None


@dataclass(frozen=True)
class Slot:
    """A planned order that one listener gets: training first, then the trials. `index` from 0."""

    index: int
    trials: tuple[Planned, ...]


@dataclass(frozen=True)
class Plan:
    """All slots of a study. `study` is its name, `hash` that of `study_hash`, `seed` the study's."""

    study: str
    hash: str
    seed: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class Balance:
    """How often what comes where; only trials of purpose "test" are counted.

    Args:
        ratings: (question, item, condition) -> times rated.
        positions: (question, condition) -> times at each position of the page.
        together: (question, condition, other) -> trials that both are in; sorted pairs.
        follows: (question, condition, next) -> times that `next` stands right after `condition` on the page.
        places: (question, item) -> times at each place of a listener's order of the question.
    """

    ratings: Mapping[tuple[str, str, str], int]
    positions: Mapping[tuple[str, str], tuple[int, ...]]
    together: Mapping[tuple[str, str, str], int]
    follows: Mapping[tuple[str, str, str], int]
    places: Mapping[tuple[str, str], tuple[int, ...]]


def balance(plan: Plan) -> Balance:
    """What a plan balances, counted."""
    ratings, together, follows = (
        Counter[tuple[str, str, str]](),
        Counter[tuple[str, str, str]](),
        Counter[tuple[str, str, str]](),
    )
    positions, places = Counter[tuple[str, str, int]](), Counter[tuple[str, str, int]]()
    for slot in plan.slots:
        number = Counter[str]()
        for trial in slot.trials:
            if trial.purpose != "test":
                continue
            question, shown = trial.question, trial.conditions
            places[question, trial.item, number[question]] += 1
            number[question] += 1
            ratings.update((question, trial.item, condition) for condition in shown)
            positions.update((question, condition, place) for place, condition in enumerate(shown))
            together.update((question, *pair) for pair in combinations(sorted(shown), 2))
            follows.update((question, one, after) for one, after in pairwise(shown))
    return Balance(ratings, _lists(positions), together, follows, _lists(places))


def _lists(counts: Mapping[tuple[str, str, int], int]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Counts by place -> one list of counts, as long as there are places in the question."""
    length: dict[str, int] = {}
    for question, _, place in counts:
        length[question] = max(length.get(question, 0), place + 1)
    keys = sorted({(question, what) for question, what, _ in counts})
    return {key: tuple(counts.get((*key, place), 0) for place in range(length[key[0]])) for key in keys}


_NOTHING: tuple[Any, ...] = (None, (), {})


def dump_plan(plan: Plan) -> str:
    """The JSON of a plan; what goes without saying is left out."""
    said = asdict(plan)
    for slot in said["slots"]:
        slot["trials"] = [
            {name: value for name, value in trial.items() if value not in _NOTHING} for trial in slot["trials"]
        ]
    return json.dumps({"format": FORMAT, **said}, ensure_ascii=False, separators=(",", ":"))


def parse_plan(text: str) -> Plan:
    """The plan in a JSON text: ``parse_plan(dump_plan(p)) == p``. Raises `StudyError` for anything else."""
    try:
        data = json.loads(text)
        if data.pop("format") != FORMAT:
            raise ValueError("it is of another version")
        slots = tuple(Slot(slot["index"], tuple(map(_planned, slot["trials"]))) for slot in data.pop("slots"))
        return Plan(slots=slots, **data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            "Read a plan", f"{type(error).__name__}: {error}", "Make the plan again from the study"
        ) from error


def _planned(data: dict[str, Any]) -> Planned:
    return Planned(**data | {name: tuple(data.get(name, ())) for name in ("conditions", "fields")})
