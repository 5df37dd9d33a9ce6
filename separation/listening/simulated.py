"""Simulated listeners: they take a study's pages as people would, so that its report can be tried before anybody comes.

A listener hears a quality in [0, 100] of every sound: what is true of its condition, blurred by person, item and moment. From
that comes what they enter in each field of a page (`value_of`), and from there on everything is as with people. Five kinds:

    attentive    hears well, finds the hidden reference, answers gold and traps as they should be
    biased       attentive, but ten points kinder than others and fond of the left or first one
    lazy         listens to half of it for a few seconds and stays near the middle of the scale
    random       enters anything
    always-100   enters the best, whatever it is

`dry_run` lets them loose on a study and asks whether the report finds what was put in: a study whose report cannot should not
be launched. It proves nothing about people.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from scipy import stats

from separation.errors import StudyError
from separation.listening.analysis import analyse
from separation.listening.answers import Answer
from separation.listening.findings import Analysis, Judged
from separation.listening.plans import Plan, Planned, make_plan
from separation.listening.questions import Behaviour, Field, Option, answers_of, fields_of
from separation.listening.screening import Checks, suggested
from separation.listening.study import MIXTURE, REFERENCE, Question, Study, pages_of

Mood = Literal["attentive", "biased", "lazy", "random", "always-100"]
MOODS: tuple[Mood, ...] = get_args(Mood)
GOOD: tuple[Mood, ...] = ("attentive", "biased")
"""Kinds whose answers a study should keep; the others it should catch."""

Heard = Mapping[str, float]
"""What a listener thinks of the sounds of a page: token -> quality in [0, 100], in the order of the page; ``x``: ABX's X."""

KINDER, FOND = 10.0, 12.0
"""Points that a biased listener adds to everything, and to the left or first of a pair."""
NOTICED = 6.0
"""Points below which two sounds of a pair are called alike."""
STEP = 20.0
"""Points that one step of a scale of comparison is worth."""
BAD = 18.0
"""Points below which both sounds of a pair are called bad."""
SURPRISE = 0.001
"""How likely so many intervals without the truth would have to be."""


@dataclass(frozen=True)
class Recovered:
    """One true difference, and what the report says of it.

    Args:
        truth: of `a` minus `b`, in the unit of the report.
        estimate, low, high: what the report says; None where it has no interval.
        covered: the interval holds the truth; None without one.
        order: ``right`` or ``wrong`` if the report decides, else ``undecided``.
    """

    question: str
    attribute: str
    a: str
    b: str
    truth: float | None
    estimate: float | None
    low: float | None
    high: float | None
    covered: bool | None
    order: Literal["right", "wrong", "undecided"]


@dataclass(frozen=True)
class DryRun:
    """What became of a study with simulated listeners.

    Args:
        listeners: of each kind.
        caught: of each kind, how many screening left out.
        recovered: true differences.
        verdicts: sentences, what is wrong first.
        ok: nothing is wrong.
        analysis: what the report would say.
    """

    listeners: dict[Mood, int]
    caught: dict[Mood, int]
    recovered: tuple[Recovered, ...]
    verdicts: tuple[str, ...]
    ok: bool
    analysis: Analysis

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "listeners": dict(self.listeners),
            "caught": dict(self.caught),
            "recovered": [asdict(one) for one in self.recovered],
            "verdicts": list(self.verdicts),
            "ok": self.ok,
            "analysis": self.analysis.to_json(),
        }


class Simulated:
    """One simulated listener.

    Args:
        mood: what kind.
        truth: condition -> quality in [0, 100]; the hidden reference is 100 unless it says otherwise.
        seed: of everything about this listener.
    """

    def __init__(self, mood: Mood, truth: Mapping[str, float], seed: int) -> None:
        self.mood, self.truth = mood, truth
        self._rng = np.random.default_rng(seed)
        self._offset = float(self._rng.normal(0, 4))
        self._tastes: dict[str, float] = {}

    def hear(self, conditions: Sequence[str]) -> list[float]:
        """What they think of sounds, in [0, 100]."""
        return [self._quality(condition) for condition in conditions]

    def page(self, question: Question, planned: Planned) -> tuple[dict[tuple[str, int | None], Any], Behaviour]:
        """Everything that they enter on a page, as `questions.answers_of` takes it, and how they behave there."""
        tokens = [str(place) for place in range(len(planned.conditions))]
        heard = dict(zip(tokens, self.hear(planned.conditions), strict=True))
        if self.mood == "biased" and question.kind in ("ab", "ccr"):
            heard["0"] += FOND
        if planned.x is not None:
            heard["x"] = self._quality(planned.conditions[planned.x])
        known = self._known(question, planned)
        given = {}
        for field in fields_of(question, tokens, str, order=planned.fields):
            place = None if field.of is None else int(field.of)
            value = known.get((field.name, place), value_of(field, heard, self._rng))
            if value is not None:
                given[field.name, place] = value
        return given, self._behaviour(len(tokens))

    def checks(self) -> dict[str, float]:
        """How they do in the headphone check: right answers of six."""
        return {"headphones": 6.0 if self.mood in GOOD else float(self._rng.binomial(6, 1 / 3))}

    def _quality(self, condition: str) -> float:
        if self.mood == "random":
            return float(self._rng.uniform(0, 100))
        if self.mood == "always-100":
            return 100.0
        truth = self.truth.get(condition, 100.0 if condition == REFERENCE else 50.0)
        if self.mood == "lazy":
            return float(np.clip(0.3 * truth + 40 + self._rng.normal(0, 10), 0, 100))
        # What is as good or as bad as can be is told for sure; only between is there room for opinion.
        room = 0.15 + 0.85 * min(1.0, truth / 25, (100 - truth) / 25)
        taste = self._tastes.setdefault(condition, float(self._rng.normal(0, 4)))
        kinder = KINDER if self.mood == "biased" else 0.0
        return float(np.clip(truth + room * (self._offset + taste + kinder + self._rng.normal(0, 8)), 0, 100))

    def _known(self, question: Question, planned: Planned) -> dict[tuple[str, int | None], Any]:
        """What gold and traps want, as field values; only those who pay attention know."""
        if self.mood not in GOOD or not planned.expected:
            return {}
        expected, known = planned.expected, dict[tuple[str, int | None], Any]()
        if question.kind == "text":
            return {("words", 0): expected[""]} if "" in expected else {}
        for place, condition in enumerate(planned.conditions):
            if condition not in expected:
                continue
            value = expected[condition]
            if question.kind in ("ab", "ccr"):
                first = float(value) if place == 0 else -float(value)
                if question.kind == "ab":
                    known["preference", None] = {1.0: "left", 0.0: "tie", -1.0: "right"}[first]
                else:
                    known["comparison", None] = 0 - int(first)
            else:
                names = {"ranking": ("rank",), "p835": ("sig", "bak", "ovrl")}.get(question.kind, (question.attribute,))
                known |= {(name, place): value for name in names}
        return known

    def _behaviour(self, count: int) -> Behaviour:
        """Seconds, plays and switches. The lazy do not play every second sound at all."""
        if self.mood in (*GOOD, "random"):
            played = tuple(float(seconds) for seconds in self._rng.uniform(4, 12, count).round(1))
            return Behaviour(
                round(sum(played) + 10, 1), played, (True,) * count, int(self._rng.integers(count, 4 * count + 1))
            )
        played = tuple(0.0 if place % 2 else 1.0 for place in range(count))
        return Behaviour(round(float(self._rng.uniform(2, 4)), 1), played, (True,) * count, count)


def value_of(field: Field | Mapping[str, Any], heard: Heard, rng: np.random.Generator) -> Any:
    """What somebody who hears this enters in a field; None for what they leave empty. Always something that the field takes.

    Args:
        field: of a page, as a record or as its JSON.
        heard: of the page's sounds.
        rng: for what sounds do not decide.
    """
    if not isinstance(field, Field):
        options = tuple(Option(one["value"], one["label"]) for one in field.get("options") or ())
        field = Field(**{**field, "options": options, "bands": tuple(field.get("bands") or ())})
    makers: dict[str, Callable[[Field, Heard, np.random.Generator], Any]] = {
        "slider": _slider,
        "scale": _scale,
        "choice": _choice,
        "choices": lambda field, heard, rng: [option.value for option in field.options[:1]],
        "text": lambda field, heard, rng: "simulated" if field.required else None,
        "number": _number,
        "check": lambda field, heard, rng: True,
        "rank": _rank,
        "marks": _marks,
    }
    return makers[field.kind](field, heard, rng)


def _slider(field: Field, heard: Heard, rng: np.random.Generator) -> float:
    assert field.of is not None and field.min is not None and field.max is not None
    step = field.step or 1.0
    steps = round(heard[field.of] / 100 * (field.max - field.min) / step)
    return float(min(field.max, round(field.min + steps * step, 6)))


def _scale(field: Field, heard: Heard, rng: np.random.Generator) -> float | int | str:
    values = [option.value for option in field.options]
    numbers = [float(value) for value in values]
    if field.of is None:  # the second compared with the first
        first, second = list(heard.values())[:2]
        wanted = (second - first) / STEP
    else:
        wanted = min(numbers) + heard[field.of] / 100 * (max(numbers) - min(numbers))
    return values[int(np.argmin([abs(number - wanted) for number in numbers]))]


def _choice(field: Field, heard: Heard, rng: np.random.Generator) -> str | float | int:
    values = [option.value for option in field.options]
    if "x" in heard and values == ["a", "b"]:
        first, second = (abs(heard[token] - heard["x"]) for token in list(heard)[:2])
        return "a" if first < second else "b" if second < first else values[int(rng.integers(2))]
    if not {"left", "right"} <= set(values):
        return values[int(rng.integers(len(values)))]
    left, right = list(heard.values())[:2]
    if "both_bad" in values and max(left, right) < BAD:
        return "both_bad"
    if abs(left - right) < NOTICED:
        return "tie" if "tie" in values else ("left", "right")[int(rng.integers(2))]
    return "left" if left > right else "right"


def _number(field: Field, heard: Heard, rng: np.random.Generator) -> float:
    low = 0.0 if field.min is None else field.min
    high = low + 100 if field.max is None else field.max
    return float(np.clip(round(low + float(rng.uniform(0, 1)) * (high - low)), low, high))


def _rank(field: Field, heard: Heard, rng: np.random.Generator) -> int:
    """Places by quality; of equals the one that comes first on the page."""
    order = sorted((token for token in heard if token != "x"), key=lambda token: -heard[token])
    assert field.of is not None
    return order.index(field.of) + 1


def _marks(field: Field, heard: Heard, rng: np.random.Generator) -> list[dict[str, Any]] | None:
    """The first half second of whatever is not good."""
    assert field.of is not None
    if heard[field.of] >= 70:
        return None
    return [{"start": 0.0, "end": 0.5, "label": field.options[int(rng.integers(len(field.options)))].value}]


def likely_truth(study: Study) -> dict[str, float]:
    """Qualities to try a study with: the reference best, systems from 80 to 40 in the study's order, anchors as they are."""
    spread = np.linspace(80, 40, len(study.systems)).tolist() if len(study.systems) > 1 else [65.0] * len(study.systems)
    anchors = {"mixture": 12.0, "interference": 30.0, "artefacts": 38.0, "distorted": 25.0, "ratio_mask": 88.0}
    truth = {REFERENCE: 100.0, MIXTURE: 10.0} | dict(zip((one.id for one in study.systems), spread, strict=True))
    for anchor in study.anchors:
        cut = anchor.cut_hz or 0.0
        truth[anchor.id] = (22.0 if cut < 5000 else 50.0) if anchor.kind == "low_pass" else anchors[anchor.kind]
    return truth


def likely_listeners(count: int) -> dict[Mood, int]:
    """A panel as a crowd has it: of ten one biased and two who do not listen; at least one of each bad kind from ten on.

    >>> likely_listeners(20)
    {'attentive': 14, 'biased': 2, 'lazy': 2, 'random': 1, 'always-100': 1}
    """
    bad = max(3, round(0.2 * count)) if count >= 10 else min(3, count // 3)
    biased = count // 10
    kinds: dict[Mood, int] = {"lazy": 0, "random": 0, "always-100": 0}
    for place in range(bad):
        kinds[("lazy", "random", "always-100")[place % 3]] += 1
    return {"attentive": count - bad - biased, "biased": biased, **kinds}


def simulate(
    study: Study, plan: Plan, listeners: Mapping[Mood, int], truth: Mapping[str, float], seed: int = 0
) -> list[Answer]:
    """Let listeners take a study. Their ids begin with their kind.

    Args:
        study, plan: what they take; each takes one slot.
        listeners: how many of each kind; they take slots in an order that is drawn.
        truth: condition -> quality in [0, 100].
        seed: the same seed gives the same answers.

    Raises:
        StudyError: there are more listeners than slots.
    """
    answers, _ = _take(study, plan, listeners, truth, seed)
    return answers


def _take(
    study: Study, plan: Plan, listeners: Mapping[Mood, int], truth: Mapping[str, float], seed: int
) -> tuple[list[Answer], Checks]:
    count = sum(listeners.values())
    if count > len(plan.slots):
        raise StudyError(
            f"Simulate {count} listeners of {study.name}",
            f"the plan has {len(plan.slots)} slots",
            "Extend the plan, or simulate fewer",
        )
    moods = [mood for mood, number in listeners.items() for _ in range(number)]
    order = np.random.default_rng(seed).permutation(count)
    checks: dict[str, dict[str, float]] = {}
    answers: list[Answer] = []
    asked = any(page.kind == "headphones" for page in pages_of(study))
    for slot, place in zip(plan.slots, order, strict=False):
        mood = moods[place]
        name = f"{mood}-{slot.index:03}"
        listener = Simulated(mood, truth, seed * 100_003 + slot.index)
        if asked:
            checks[name] = listener.checks()
        index, made = -1, 1.7e9 + 86_400 * slot.index
        for planned in slot.trials:
            index += planned.purpose != "training"
            given, behaviour = listener.page(study.question(planned.question), planned)
            made += behaviour.seconds
            answers += answers_of(
                study, planned, given, listener=name, index=max(index, 0), made=made, behaviour=behaviour
            )
    return answers, checks


def dry_run(
    study: Study,
    *,
    plan: Plan | None = None,
    listeners: Mapping[Mood, int] | None = None,
    truth: Mapping[str, float] | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> DryRun:
    """Simulate, screen and analyse a study, and say whether the report finds what was put in.

    Screening is the study's own; a study that names no rules is tried with those that fit it (`screening.suggested`).

    Args:
        plan: None: it is made.
        listeners: None: as many as the study wants, as a crowd has them (`likely_listeners`).
        truth: None: `likely_truth`.
        seed: of listeners and analysis.
        draws: of every bootstrap and permutation.

    Raises:
        StudyError: the plan cannot be made, or has too few slots.
    """
    made = plan or make_plan(study)
    people = dict(listeners or likely_listeners(len(made.slots)))
    qualities = dict(truth or likely_truth(study))
    answers, checks = _take(study, made, people, qualities, seed)
    rules = study.screening or suggested(study)
    analysis = analyse(study, answers, rules=rules, checks=checks, seed=seed, draws=draws)
    caught = {mood: sum(name.startswith(f"{mood}-") for name in analysis.screening["excluded"]) for mood in people}
    recovered = tuple(one for judged in analysis.questions for one in _recovered(judged, qualities))
    wrong, told = _verdicts(study, people, caught, recovered, analysis)
    return DryRun(dict(people), dict(caught), recovered, (*wrong, *told), not wrong, analysis)


def _recovered(judged: Judged, truth: Mapping[str, float]) -> list[Recovered]:
    sign = -1 if judged.better == "lower" else 1
    found = []
    for pair in judged.pairs:
        points = sign * (truth[pair.a] - truth[pair.b])
        # A rank or a comparison says who is better; how many points that is worth is the listener's.
        real = None if judged.kind in ("ranking", "ccr") else points / 100 * (judged.highest - judged.lowest)
        span = pair.difference
        covered = None
        if real is not None and span.low is not None and span.high is not None:
            covered = span.low <= real <= span.high
        decided = bool(pair.significant)
        found.append(
            Recovered(
                judged.question, judged.attribute, pair.a, pair.b, real, span.value, span.low, span.high, covered,
                _order(points, span.value, decided),
            )
        )  # fmt: skip
    if judged.votes is not None and not judged.pairs:
        ranking = judged.votes.ranking
        for above, below in pairwise(ranking):
            apart = above.strength.value - below.strength.value
            decided = above.worst <= below.best
            found.append(
                Recovered(
                    judged.question, judged.attribute, above.condition, below.condition, None, apart, None, None, None,
                    _order(truth[above.condition] - truth[below.condition], apart, decided),
                )
            )  # fmt: skip
    for told in judged.told:
        apart = abs(truth[told.condition] - truth[told.other])
        heard = told.p <= 0.05
        order: Literal["right", "wrong", "undecided"] = "undecided"
        if heard:
            order = "right" if apart > 0 else "wrong"
        found.append(
            Recovered(
                judged.question, judged.attribute, told.condition, told.other, None, told.share.value, told.share.low,
                told.share.high, None, order,
            )
        )  # fmt: skip
    return found


def _order(truth: float, estimate: float, decided: bool) -> Literal["right", "wrong", "undecided"]:
    if not decided:
        return "undecided"
    return "right" if truth * estimate > 0 else "wrong"


def _verdicts(
    study: Study,
    people: Mapping[Mood, int],
    caught: Mapping[Mood, int],
    recovered: Sequence[Recovered],
    analysis: Analysis,
) -> tuple[list[str], list[str]]:
    """What is wrong, and what is well, in sentences."""
    wrong, told = [], []
    if not study.screening and analysis.screening["said"]:
        told.append(f"The study names no screening; tried with {', '.join(analysis.screening['said'])}.")
    bad = {mood: count for mood, count in people.items() if mood not in GOOD and count}
    missed = {mood: count - caught[mood] for mood, count in bad.items() if caught[mood] < count}
    if missed:
        names = ", ".join(f"{number} of {bad[mood]} {mood}" for mood, number in missed.items())
        wrong.append(f"Screening keeps listeners who do not listen: {names}. Add gold questions, traps or a rule.")
    elif bad:
        told.append(f"Screening catches all {sum(bad.values())} listeners who do not listen.")
    good, lost = sum(people.get(mood, 0) for mood in GOOD), sum(caught.get(mood, 0) for mood in GOOD)
    if lost > 0.1 * good:
        wrong.append(f"Screening leaves out {lost} of {good} listeners who do listen. Make its rules less strict.")
    elif good:
        told.append(f"Screening keeps {good - lost} of {good} listeners who do listen.")
    asked = Counter(one.question for one in analysis.questions)

    def named(one: Recovered | Judged) -> str:
        """A question, with the attribute where it has several."""
        return f"{one.question}, {one.attribute}" if asked[one.question] > 1 else one.question

    mistaken = [one for one in recovered if one.order == "wrong"]
    wrong += [f"{named(one)}: the report puts {one.a} and {one.b} in the wrong order." for one in mistaken]
    right = sum(one.order == "right" for one in recovered)
    open_ = [one for one in recovered if one.order == "undecided"]
    if recovered:
        told.append(f"Of {len(recovered)} true differences the report finds {right}.")
    if recovered and not right:
        wrong.append("The report finds none of the true differences: there are too few listeners or items.")
    if open_:
        told.append("It does not decide " + ", ".join(f"{one.a} and {one.b} ({named(one)})" for one in open_) + ".")
    judged = [one for one in recovered if one.covered is not None]
    covered = sum(bool(one.covered) for one in judged)
    if judged:
        sentence = f"{covered} of {len(judged)} intervals hold the true difference (95 % should)."
        surprising = stats.binom.sf(len(judged) - covered - 1, len(judged), 0.05) < SURPRISE
        (wrong if surprising else told).append(sentence)
    for question in analysis.questions:
        if question.power is not None:
            power = question.power
            told.append(
                f"{named(question)}: {power.listeners} listeners see differences from {power.smallest_80:.3g} "
                f"({question.scale}) on with 80 % chance; {power.reference:g} would need {power.needed}."
            )
    return wrong, told
