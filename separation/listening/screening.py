"""Whose answers count: rules that name listeners to leave out, each with its reason. A view, never a deletion.

Every rule looks at everybody's answers, not at what other rules left, so that their order does not matter and every figure
can be had with and without each. Single grades that lie far from the others are flagged (`flag_outliers`) and stay:
BS.1534-3 lets nobody remove a grade whose error is not proven.

Numbers of the standards come from BS.1534-3, BS.1116-3 and P.808 as they are quoted by others (the texts themselves are not
free to copy); every rule says its source.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from separation.errors import StudyError
from separation.listening.answers import Answer
from separation.listening.scales import SCALES
from separation.listening.study import REFERENCE, Screening, Study, pages_of
from separation.statistics import quartiles

Checks = Mapping[str, Mapping[str, float]]
"""What is known of listeners beside their answers: listener -> check -> right answers. Checks that rules read:
``headphones`` (of six antiphase trials) and ``jnd`` (of four pairs). Whoever did not take a check is not in it."""

FIVE_POINT = ("acr", "dcr", "p835")
"""Kinds that are answered on a scale of five words."""

SCALED = ("mushra", "scale", "bs1116", "ccr", *FIVE_POINT)
"""Kinds whose answers are grades."""


@dataclass(frozen=True)
class Anchors:
    """Which conditions are BS.1534's low-passed anchors; webMUSHRA's names unless the study says otherwise."""

    low: str = "anchor35"
    mid: str = "anchor70"


@dataclass(frozen=True)
class Found:
    """What a rule found.

    Args:
        excluded: listener -> why, with the numbers.
        guards: what the rule left out of account, or could not judge, and why.
    """

    excluded: dict[str, str]
    guards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule of screening.

    Args:
        name: as a study names it.
        title: as people read it.
        about: what it excludes, in one sentence; ``{name}`` stands for its numbers.
        numbers: what can be set, and what it is otherwise. Shares are fractions.
        kinds: of questions that it judges; empty: it does not depend on them.
        source: where it comes from.
        find: answers, numbers, checks and anchors -> what it finds.
    """

    name: str
    title: str
    about: str
    numbers: Mapping[str, float]
    kinds: tuple[str, ...]
    source: str
    find: Callable[[Sequence[Answer], Mapping[str, float], Checks, Anchors], Found]

    def said(self, numbers: Mapping[str, float]) -> str:
        """What the rule excludes, with these numbers in place."""
        shares = ("share", "guard", "confidence")
        return self.about.format(
            **{
                name: f"{100 * value:g} %" if name in shares else f"{value:g}"
                for name, value in {**self.numbers, **numbers}.items()
            }
        )


@dataclass(frozen=True)
class Screened:
    """Answers seen through some rules.

    Args:
        kept: answers of those who stay, in the order they came.
        listeners: everybody who answered, sorted; who only took a check is not among them, and is never excluded.
        excluded: listener -> reasons, one a rule.
        per_rule: rule -> whom it names, sorted; a listener may be named by several.
        guards: rule -> what it left out of account.
        said: rule -> what it excludes, in words.
    """

    kept: tuple[Answer, ...]
    listeners: tuple[str, ...]
    excluded: dict[str, list[str]]
    per_rule: dict[str, list[str]]
    guards: dict[str, list[str]]
    said: dict[str, str]

    @property
    def rate(self) -> float:
        """Share of the listeners who are left out."""
        return len(self.excluded) / len(self.listeners) if self.listeners else 0.0

    def to_json(self) -> dict[str, Any]:
        """All but the answers."""
        return {
            "listeners": len(self.listeners),
            "kept": len(self.listeners) - len(self.excluded),
            "excluded": self.excluded,
            "per_rule": self.per_rule,
            "guards": self.guards,
            "said": self.said,
        }


@dataclass(frozen=True)
class Outlier:
    """A grade far from the others of its condition and item: look for the cause, and keep it unless an error is proven."""

    listener: str
    question: str
    attribute: str
    item: str
    condition: str
    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def screen(
    answers: Sequence[Answer],
    rules: Iterable[Screening],
    checks: Checks = {},
    *,
    anchors: Anchors = Anchors(),
) -> Screened:
    """See answers through rules.

    Args:
        answers: everybody's, of all purposes.
        rules: which, with their numbers; none keeps everybody.
        checks: what is known of listeners beside.
        anchors: of the study (`anchors_of`).

    Raises:
        StudyError: there is no such rule, or it has no such number.
    """
    listeners = sorted({answer.listener for answer in answers})
    reasons: dict[str, list[str]] = defaultdict(list)
    per_rule: dict[str, list[str]] = {}
    guards: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    for screening in rules:
        rule = rule_of(screening)
        found = rule.find(answers, {**rule.numbers, **screening.numbers}, checks, anchors)
        named = {listener: why for listener, why in found.excluded.items() if listener in listeners}
        per_rule[rule.name], said[rule.name] = sorted(named), rule.said(screening.numbers)
        guards[rule.name] = list(found.guards)
        for listener, why in named.items():
            reasons[listener].append(f"{rule.title}: {why}")
    excluded = {listener: sorted(reasons[listener]) for listener in sorted(reasons)}
    kept = tuple(answer for answer in answers if answer.listener not in excluded)
    return Screened(kept, tuple(listeners), excluded, per_rule, guards, said)


def rule_of(screening: Screening) -> Rule:
    """The rule that a study names.

    Raises:
        StudyError: there is no such rule, or it has no such number.
    """
    asked = f"Screen listeners by the rule {screening.rule!r}"
    if screening.rule not in RULES:
        raise StudyError(asked, "there is no such rule", f"Choose from {', '.join(RULES)}")
    rule = RULES[screening.rule]
    unknown = sorted(set(screening.numbers) - set(rule.numbers))
    if unknown:
        known = ", ".join(f"{name} ({value:g})" for name, value in rule.numbers.items())
        raise StudyError(asked, f"it has no number called {', '.join(unknown)}", f"It has {known or 'no numbers'}")
    return rule


def anchors_of(study: Study) -> Anchors:
    """The study's low-passed anchors, the lowest and the highest; webMUSHRA's names where it has none."""
    cuts = sorted(
        (anchor.cut_hz, anchor.id)
        for anchor in study.anchors
        if anchor.kind == "low_pass" and anchor.cut_hz is not None
    )
    return Anchors(cuts[0][1], cuts[-1][1]) if len(cuts) > 1 else Anchors(mid=cuts[0][1]) if cuts else Anchors()


def suggested(study: Study) -> tuple[Screening, ...]:
    """Rules that fit a study's questions, for a form to offer; a study must name the ones that it uses."""
    kinds = {question.kind for question in study.questions}
    anchors = {anchor.kind for anchor in study.anchors}
    names = ["never_played", "too_fast"]
    if "mushra" in kinds:
        names.append("hidden_reference")
        if "low_pass" in anchors:
            names.append("mid_anchor")
    if "bs1116" in kinds:
        names.append("difference_grades")
    if kinds & set(FIVE_POINT):
        names.append("variance")
    names += [name for name, trap in (("gold", False), ("traps", True)) if any(one.trap == trap for one in study.gold)]
    if any(page.kind == "headphones" for page in pages_of(study)):
        names.append("headphones")
    if study.assignment.repeats and kinds & set(SCALED):
        names.append("retest")
    return tuple(Screening(rule=name) for name in RULES if name in names)


def flag_outliers(answers: Iterable[Answer]) -> list[Outlier]:
    """Grades outside Q1 - 1.5 IQR to Q3 + 1.5 IQR of their question, attribute, condition and item.

    BS.1534-3, pp. 5 and 6: quartiles are the medians of the two halves, and the middle value of an odd number belongs to both.
    """
    cells: dict[tuple[str, str, str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.kind in SCALED and answer.purpose == "test" and answer.value is not None:
            cells[answer.question, answer.attribute, answer.item, answer.condition].append(answer)
    found = []
    for (question, attribute, item, condition), given in sorted(cells.items()):
        values = [_value(answer) for answer in given]
        first, third = quartiles(values)
        low, high = first - 1.5 * (third - first), third + 1.5 * (third - first)
        found += [
            Outlier(answer.listener, question, attribute, item, condition, value, low, high)
            for answer, value in zip(given, values, strict=True)
            if not low <= value <= high
        ]
    return found


# Rules


def _hidden_reference(
    answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors
) -> Found:
    seen: dict[str, list[bool]] = defaultdict(list)
    for answer in _tested(answers, ("mushra",)):
        if answer.condition == REFERENCE:
            seen[answer.listener].append(_value(answer) < numbers["below"])
    guards = () if seen else ("nobody graded a hidden reference",)
    return Found(_too_often(seen, numbers["share"], f"the hidden reference below {numbers['below']:g}"), guards)


def _mid_anchor(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    above: dict[tuple[str, str, str], dict[str, bool]] = defaultdict(dict)
    for answer in _tested(answers, ("mushra",)):
        if answer.condition == anchors.mid:
            place = answer.question, answer.attribute, answer.item
            above[place][answer.listener] = _value(answer) > numbers["above"]
    seen: dict[str, list[bool]] = defaultdict(list)
    guards = [] if above else [f"nobody graded the anchor {anchors.mid}"]
    for (question, _, item), listeners in sorted(above.items()):
        high, count = sum(listeners.values()), len(listeners)
        if high > numbers["guard"] * count:
            guards.append(
                f"{item} ({question}): {high} of {count} listeners grade the anchor above {numbers['above']:g}, more than "
                f"{100 * numbers['guard']:g} %; it excludes nobody"
            )
            continue
        for listener, bad in listeners.items():
            seen[listener].append(bad)
    found = _too_often(seen, numbers["share"], f"the anchor {anchors.mid} above {numbers['above']:g}")
    return Found(found, tuple(guards))


def _strict(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    trials: dict[tuple[str, str, str, str], dict[str, float]] = defaultdict(dict)
    for answer in _tested(answers, ("mushra",)):
        trials[answer.listener, answer.question, answer.attribute, answer.item][answer.condition] = _value(answer)
    excluded: dict[str, str] = {}
    judged = False
    for (listener, _, _, item), grades in sorted(trials.items()):
        order = [grades.get(name) for name in (REFERENCE, anchors.mid, anchors.low)]
        known = [grade for grade in order if grade is not None]
        judged |= len(known) > 1
        low_reference = order[0] is not None and order[0] < numbers["below"]
        if low_reference or known != sorted(known, reverse=True):
            told = ", ".join("not asked" if grade is None else f"{grade:g}" for grade in order)
            excluded.setdefault(listener, f"on {item} reference, mid and low anchor got {told}")
    return Found(excluded, () if judged else ("no trial has both a hidden reference and an anchor",))


def _difference_grades(
    answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors
) -> Found:
    trials: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for answer in _tested(answers, ("bs1116",)):
        trials[answer.listener, answer.trial][answer.condition] = _value(answer)
    differences: dict[str, list[float]] = defaultdict(list)
    for (listener, _), grades in trials.items():
        if REFERENCE in grades:
            differences[listener] += [grades[name] - grades[REFERENCE] for name in grades if name != REFERENCE]
    excluded = {}
    for listener, found in differences.items():
        p = _below_zero(found)
        if p > 1 - numbers["confidence"]:
            mean = float(np.mean(found))
            excluded[listener] = (
                f"the mean of {len(found)} difference grades, {mean:.2f}, is not below zero (one-sided t-test, p = {p:.2f})"
            )
    guards = () if differences else ("no trial has a grade of the hidden reference",)
    if differences and len(excluded) == len(differences):
        guards = ("nobody tells the systems from the reference: they may be transparent, which is a result",)
    return Found(excluded, guards)


def _below_zero(differences: Sequence[float]) -> float:
    """p of the one-sided t-test that the mean is below zero; without spread it is 0 or 1, as the mean says."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return 0.0 if len(differences) > 1 and differences[0] < 0 else 1.0
    return float(stats.ttest_1samp(differences, 0, alternative="less").pvalue)


def _variance(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    values: dict[str, list[float]] = defaultdict(list)
    for answer in _tested(answers, FIVE_POINT):
        values[answer.listener].append(_value(answer))
    excluded = {
        listener: f"the variance of {len(given)} votes is {np.var(given):.3f}"
        for listener, given in values.items()
        if len(given) > 1 and np.var(given) < numbers["least"]
    }
    return Found(excluded, () if values else ("nobody voted on a scale of five words",))


def _known(answers: Sequence[Answer], numbers: Mapping[str, float], purpose: str, what: str) -> Found:
    wrong: dict[str, set[str]] = defaultdict(set)
    asked: dict[str, set[str]] = defaultdict(set)
    for answer in answers:
        if answer.purpose == purpose and answer.expected is not None:
            asked[answer.listener].add(answer.trial)
            if answer.value is None or abs(answer.value - answer.expected) > answer.tolerance:
                wrong[answer.listener].add(answer.trial)
    excluded = {
        listener: f"{len(trials)} of {len(asked[listener])} {what} answered wrongly"
        for listener, trials in wrong.items()
        if len(trials) > numbers["wrong"]
    }
    return Found(excluded, () if asked else (f"there are no {what}",))


def _gold(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    return _known(answers, numbers, "gold", "gold questions")


def _traps(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    return _known(answers, numbers, "trap", "traps")


def _check(answers: Sequence[Answer], least: float, checks: Checks, name: str, words: str) -> Found:
    taken = {listener: checks[listener][name] for listener in checks if name in checks[listener]}
    missing = {answer.listener for answer in answers} - set(taken)
    excluded = {listener: f"{right:g} {words}" for listener, right in taken.items() if right < least}
    return Found(excluded, (f"{len(missing)} listeners did not take it, and stay",) if missing else ())


def _headphones(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    return _check(answers, numbers["least"], checks, "headphones", "of six right")


def _jnd(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    return _check(answers, numbers["least"], checks, "jnd", "of four pairs right")


def _too_fast(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    trials = {(answer.listener, answer.trial): answer.seconds for answer in answers if answer.purpose != "training"}
    seen: dict[str, list[bool]] = defaultdict(list)
    for (listener, _), seconds in trials.items():
        seen[listener].append(seconds < numbers["seconds"])
    return Found(_too_often(seen, numbers["share"], f"less than {numbers['seconds']:g} s", things="trials"))


def _never_played(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    seen: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        if answer.purpose != "training" and answer.value is not None:
            seen[answer.listener].append(answer.played < numbers["seconds"])
    words = f"something that had played for less than {numbers['seconds']:g} s"
    return Found(_too_often(seen, numbers["share"], words, things="answers"))


def _retest(answers: Sequence[Answer], numbers: Mapping[str, float], checks: Checks, anchors: Anchors) -> Found:
    apart: dict[str, list[float]] = defaultdict(list)
    for before, after in repeats_of(answers):
        low, high = SCALES[after.kind]  # type: ignore[index]
        apart[after.listener].append(100 * abs(oriented(after) - oriented(before)) / (high - low))
    excluded = {
        listener: f"{len(given)} answers given twice are {np.mean(given):.0f} % of the scale apart on average"
        for listener, given in apart.items()
        if len(given) >= numbers["pairs"] and np.mean(given) > numbers["apart"]
    }
    return Found(excluded, () if apart else ("nothing was asked twice",))


def repeats_of(answers: Iterable[Answer]) -> list[tuple[Answer, Answer]]:
    """Numbers that were given twice, first and second; of pairs the sides may have changed (`oriented`)."""
    numbers = [answer for answer in answers if answer.value is not None and answer.kind != "abx"]
    first = {(answer.listener, answer.trial, *_what(answer)): answer for answer in numbers if answer.purpose == "test"}
    pairs = []
    for answer in numbers:
        before = first.get((answer.listener, answer.repeat_of or "", *_what(answer)))
        if answer.purpose == "repeat" and before is not None:
            pairs.append((before, answer))
    return pairs


def oriented(answer: Answer) -> float:
    """The number as if the pair had been served in the order of its names, so that two servings can be compared."""
    return -_value(answer) if answer.other and answer.other < answer.condition else _value(answer)


def _what(answer: Answer) -> tuple[str, frozenset[str]]:
    return answer.attribute, frozenset((answer.condition, answer.other))


def _tested(answers: Iterable[Answer], kinds: Sequence[str]) -> Iterable[Answer]:
    """First answers of these kinds; an item counts once, however often it is repeated."""
    return (one for one in answers if one.purpose == "test" and one.kind in kinds and one.value is not None)


def _value(answer: Answer) -> float:
    assert answer.value is not None
    return answer.value


def _too_often(seen: Mapping[str, Sequence[bool]], share: float, what: str, *, things: str = "items") -> dict[str, str]:
    """Who did it on more than this share; exactly the share stays (15.0 % of BS.1534-3 is allowed)."""
    return {
        listener: f"{what} on {sum(bad)} of {len(bad)} {things} ({100 * sum(bad) / len(bad):.1f} %)"
        for listener, bad in seen.items()
        if sum(bad) > share * len(bad) + 1e-9
    }


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "hidden_reference",
            "Hidden reference",
            "Grades the hidden reference below {below} on more than {share} of the items.",
            {"below": 90, "share": 0.15},
            ("mushra",),
            "BS.1534-3, 4.1.2 (p. 5)",
            _hidden_reference,
        ),
        Rule(
            "mid_anchor",
            "Mid anchor",
            "Grades the mid anchor above {above} on more than {share} of the items; items on which more than {guard} of all "
            "listeners do so are left out of account.",
            {"above": 90, "share": 0.15, "guard": 0.25},
            ("mushra",),
            "BS.1534-3, 4.1.2 (p. 5)",
            _mid_anchor,
        ),
        Rule(
            "strict",
            "Order of reference and anchors",
            "Grades the hidden reference below {below}, or an anchor above what should be better, on any item.",
            {"below": 90},
            ("mushra",),
            "MPEG-H verification test, N16584",
            _strict,
        ),
        Rule(
            "difference_grades",
            "Difference grades",
            "Does not grade systems below the hidden reference: one-sided t-test of the difference grades at {confidence}.",
            {"confidence": 0.95},
            ("bs1116",),
            "BS.1116-3, post-screening",
            _difference_grades,
        ),
        Rule(
            "variance",
            "Variance of votes",
            "The variance of all votes is below {least}: the listener nearly always says the same.",
            {"least": 0.1},
            FIVE_POINT,
            "P.808 toolkit",
            _variance,
        ),
        Rule(
            "gold",
            "Gold questions",
            "Answers more than {wrong} gold questions wrongly.",
            {"wrong": 0},
            (),
            "P.808 toolkit",
            _gold,
        ),
        Rule(
            "traps",
            "Traps",
            "Answers more than {wrong} traps, whose audio says what to answer, wrongly.",
            {"wrong": 0},
            (),
            "P.808, 6.3",
            _traps,
        ),
        Rule(
            "headphones",
            "Headphone check",
            "Got fewer than {least} of six antiphase trials right.",
            {"least": 5},
            (),
            "Woods et al. 2017, doi:10.3758/s13414-017-1361-2",
            _headphones,
        ),
        Rule(
            "jnd",
            "Just noticeable differences",
            "Got fewer than {least} of four pairs right in the check of the environment.",
            {"least": 2},
            (),
            "P.808 toolkit",
            _jnd,
        ),
        Rule(
            "too_fast",
            "Too fast",
            "Spends less than {seconds} s on more than {share} of the trials.",
            {"seconds": 5, "share": 0.25},
            (),
            "own",
            _too_fast,
        ),
        Rule(
            "never_played",
            "Never played",
            "Judges what had not played for {seconds} s, in more than {share} of the answers.",
            {"seconds": 0.5, "share": 0.1},
            (),
            "own",
            _never_played,
        ),
        Rule(
            "retest",
            "Not consistent",
            "Of at least {pairs} answers given twice, first and second are more than {apart} % of the scale apart on average.",
            {"apart": 25, "pairs": 5},
            (*SCALED, "ab"),
            "own; BS.1534-3 asks for replicated grades",
            _retest,
        ),
    )
}
"""By name, in the order in which people read them."""
