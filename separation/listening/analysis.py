"""What the answers of a study say, and how sure that is: `analyse` computes all that the report prints.

One `Judged` a question and attribute. It leads with medians and quartiles and with t intervals of listener means (BS.1534-3
asks for the first); its main test is the paired sign-flip permutation of listener means, corrected by Holm over one family of
pairs that is declared before: all pairs of systems, or, with ``against`` in the study's `statistics`, those with one of them.
All else is a second opinion, and where it differs there is a notice. A listener is the unit everywhere: their answers are no
more independent than they are. Repeated trials measure reliability and are in no mean.

Whose answers count is decided in `screening`, how numbers are computed in `separation.statistics`, how they look in `report`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from separation import statistics
from separation.errors import StudyError
from separation.listening import findings as found
from separation.listening.answers import Answer
from separation.listening.findings import Analysis as Analysis
from separation.listening.findings import Judged, Line, Pair, Span
from separation.listening.scales import P835, SCALES
from separation.listening.screening import (
    FIVE_POINT,
    Checks,
    Screened,
    anchors_of,
    flag_outliers,
    oriented,
    repeats_of,
    screen,
)
from separation.listening.study import MIXTURE, REFERENCE, Question, Screening, Study, study_hash, words
from separation.statistics.agreement import Level
from separation.statistics.differences import FEWEST_LISTENERS
from separation.statistics.ratings import Kind

Metrics = Mapping[str, Mapping[tuple[str, str], float]]
"""Objective metrics of what was heard: metric -> (item, condition) -> value."""

Seconds = Mapping[tuple[str, str], Mapping[str, Sequence[tuple[float, float, float]]]]
"""Metrics by second: (item, condition) -> metric -> (start, stop, value), seconds from the start of the item."""

_BESIDE = ("comment", "marks")
"""Attributes of what is said beside an answer."""
ALPHA = 0.05
FEW = 15
"""Listeners below which the coverage of intervals is simulated and shown."""
TITLES = {"reference": "Hidden reference", "mixture": "Mixture"}
_OPINION = "opinion score, 1 to 5"
UNITS = {
    "mushra": "points, 0 to 100",
    "scale": "points, 0 to 100",
    "bs1116": "difference grade, -4 to 0",
    "acr": _OPINION,
    "dcr": "degradation score, 1 to 5",
    "ccr": "comparison score, -3 to 3",
    "p835": _OPINION,
    "ranking": "rank, 1 is best",
    "ab": "preference",
    "abx": "told apart",
    "text": "words",
    "marks": "regions",
}
MOS = (
    "An opinion score belongs to its test: never compare it with one of another test (P.800.2, 7). Identical audio fell from "
    "3.81 to 2.62 eight years later (Le Maguer 2022), and one system moved by 1.28 points only because others stood beside it "
    "(Cooper and Yamagishi 2023).",
    "A crowd complements a laboratory and does not replace it (P.808, 1): scores shift.",
)
VOTES_A_CLIP, VOTES_A_CONDITION = 8, 96
"""That P.808 (6.3.1.3) asks for at least."""


@dataclass(frozen=True)
class _Graded:
    """Answers of one question as numbers by condition, and the names behind the codes."""

    ratings: statistics.Ratings
    conditions: tuple[str, ...]
    items: tuple[str, ...]
    groups: tuple[str, ...]
    """Of the items."""


@dataclass(frozen=True)
class _Setting:
    """What all questions of an analysis share."""

    study: Study
    seed: int
    draws: int
    metrics: Metrics
    seconds: Seconds

    def label(self, condition: str) -> str:
        """As people call it."""
        for system in self.study.systems:
            if system.id == condition:
                return system.label or system.id
        for anchor in self.study.anchors:
            if anchor.id == condition and anchor.kind == "low_pass" and anchor.cut_hz:
                return f"{anchor.id} ({anchor.cut_hz / 1000:g} kHz)"
        return TITLES.get(condition, condition)

    def role(self, condition: str) -> str:
        if condition in (REFERENCE, MIXTURE):
            return condition
        return "system" if any(system.id == condition for system in self.study.systems) else "anchor"

    def order(self, conditions: Iterable[str]) -> tuple[str, ...]:
        """The reference, systems and anchors as the study has them, the mixture."""
        known = (REFERENCE, *_ids(self.study), MIXTURE)
        return tuple(sorted(set(conditions), key=known.index))


def analyse(
    study: Study,
    answers: Sequence[Answer],
    *,
    rules: Sequence[Screening] | None = None,
    checks: Checks = {},
    seed: int = 0,
    draws: int = 10_000,
    metrics: Metrics = {},
    seconds: Seconds = {},
) -> Analysis:
    """Analyse a study.

    Args:
        study: as the listeners had it.
        answers: everybody's, raw.
        rules: screening; None: as the study says; empty: nobody is left out.
        checks: what is known of listeners beside their answers (`screening.Checks`).
        seed: of everything drawn.
        draws: of every bootstrap and permutation.
        metrics: objective metrics to correlate with ratings.
        seconds: metrics by second to join to marked regions.

    Raises:
        StudyError: a rule is not known, or an answer is about something that the study does not have.
    """
    check_answers(study, answers)
    applied = study.screening if rules is None else tuple(rules)
    anchors = anchors_of(study)
    screened = screen(answers, applied, checks, anchors=anchors)
    alone = {one.rule: len(screen(answers, [one], checks, anchors=anchors).excluded) for one in applied}
    setting = _Setting(study, seed, draws, metrics, seconds)
    order = [question.id for question in study.questions]
    attributes = {one.id: P835[-1] if one.kind == "p835" else one.attribute for one in study.questions}
    by_place: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in screened.kept:
        if answer.purpose in ("test", "repeat"):
            by_place[answer.question, _about(answer, attributes[answer.question])].append(answer)
    judged = tuple(
        _judge(setting, next(one for one in study.questions if one.id == place[0]), place[1], by_place[place])
        for place in sorted(by_place, key=lambda place: (order.index(place[0]), place[1]))
    )
    return Analysis(
        study=study.name,
        title=words(study.title, study.languages[0]),
        hash=study_hash(study),
        seed=seed,
        listeners=len(screened.listeners),
        kept=len(screened.listeners) - len(screened.excluded),
        screening=screened.to_json(),
        alone=alone,
        questions=judged,
        warnings=tuple(_warnings(screened, judged)),
    )


def _about(answer: Answer, attribute: str) -> str:
    """What an answer belongs to; remarks and marks are told with the question's own (or last) attribute."""
    return attribute if answer.attribute in _BESIDE else answer.attribute


def check_answers(study: Study, answers: Sequence[Answer]) -> None:
    """Are these answers of this study?

    Raises:
        StudyError: one is about a question, item or condition that the study does not have.
    """
    known = {
        "question": {question.id for question in study.questions},
        "item": {item.id for item in study.items},
        "condition": {"", REFERENCE, MIXTURE, *_ids(study)},
    }
    for answer in answers:
        said = {"question": answer.question, "item": answer.item, "condition": answer.condition}
        for what, name in (*said.items(), ("condition", answer.other)):
            if name not in known[what]:
                raise StudyError(
                    f"Analyse the study {study.name}",
                    f"an answer of listener {answer.listener} is about the {what} {name!r}, which the study does not have",
                    "Analyse answers with the study that they were given in",
                )


def _ids(study: Study) -> tuple[str, ...]:
    return (*(system.id for system in study.systems), *(anchor.id for anchor in study.anchors))


def _warnings(screened: Screened, judged: Sequence[Judged]) -> Iterable[str]:
    kept = len(screened.listeners) - len(screened.excluded)
    if screened.rate > 0.2:
        yield f"{len(screened.excluded)} of {len(screened.listeners)} listeners are left out; look for what they share."
    if 0 < kept < FEWEST_LISTENERS:
        yield f"{kept} listeners: below {FEWEST_LISTENERS} no difference can have p < 0.05, however large."
    if screened.listeners and not kept:
        yield "Nobody is left after screening: turn a rule off to see the answers."
    elif not judged:
        yield "There are no answers."


def _judge(setting: _Setting, question: Question, attribute: str, answers: list[Answer]) -> Judged:
    """One question and attribute. Repeats are in `answers` for reliability alone."""
    first = [answer for answer in answers if answer.purpose == "test"]
    low, high = SCALES.get(question.kind, (0.0, 0.0))
    base = Judged(
        question=question.id,
        kind=question.kind,
        attribute=attribute,
        title=words(question.title, setting.study.languages[0]) or question.id,
        scale=UNITS[question.kind],
        lowest=-4.0 if question.kind == "bs1116" else low,
        highest=0.0 if question.kind == "bs1116" else high,
        better="lower" if question.kind == "ranking" else "higher",
        listeners=len({answer.listener for answer in first}),
        trials=len({(answer.listener, answer.trial) for answer in first}),
        answers=sum(answer.attribute not in _BESIDE or answer.attribute == question.kind for answer in first),
        texts=tuple(_texts(setting, first)),
        marks=tuple(_marks(setting, first)),
        outliers=tuple(flag_outliers(first)),
    )
    if question.kind == "abx":
        return replace(base, told=tuple(_told(first)))
    grades = list(_grades(question, first))
    if question.kind == "ranking" and grades:
        base = replace(base, highest=float(max(value for *_, value in grades)))
    if grades:
        base = _rated(setting, question, base, _coded(setting, grades))
    if question.kind in ("ab", "ccr", "ranking"):
        base = replace(base, votes=_votes(setting, first))
    return replace(base, agreement=_agreement(question, first, answers), cautions=tuple(_cautions(question, base)))


# Answers as numbers


def _grades(question: Question, answers: Iterable[Answer]) -> Iterable[tuple[str, str, str, str, float]]:
    """(listener, condition, item, group, value). BS.1116: differences to the hidden reference; CCR: against the reference."""
    if question.kind in ("ab", "abx", "text", "marks"):
        return
    references = {
        (answer.listener, answer.trial): answer.value
        for answer in answers
        if answer.condition == REFERENCE and answer.value is not None
    }
    for answer in answers:
        value, condition = answer.value, answer.condition
        if value is None:
            continue
        if question.kind == "bs1116":
            reference = references.get((answer.listener, answer.trial))
            if condition == REFERENCE or reference is None:
                continue
            value -= reference
        if question.kind == "ccr":
            if REFERENCE not in (condition, answer.other):
                continue
            if condition == REFERENCE:
                value, condition = -value, answer.other
        yield answer.listener, condition, answer.item, answer.group or answer.item, value


def _coded(setting: _Setting, grades: Sequence[tuple[str, str, str, str, float]]) -> _Graded:
    listeners = sorted({grade[0] for grade in grades})
    conditions = setting.order(grade[1] for grade in grades)
    items = sorted({grade[2] for grade in grades})
    group_of = {grade[2]: grade[3] for grade in grades}
    columns = [
        (listeners.index(listener), conditions.index(condition), items.index(item), value)
        for listener, condition, item, _, value in grades
    ]
    listener, condition, item = (np.array([row[k] for row in columns], np.int64) for k in range(3))
    values = np.array([row[3] for row in columns], np.float64)
    ratings = statistics.Ratings(values, listener, condition, item)
    return _Graded(ratings, conditions, tuple(items), tuple(group_of[item] for item in items))


# Grades


def _rated(setting: _Setting, question: Question, judged: Judged, graded: _Graded) -> Judged:
    means = statistics.listener_means(graded.ratings)
    lines = tuple(_line(setting, graded, k, None, means) for k in range(len(graded.conditions)))
    cells = tuple(
        _line(setting, graded, k, i, None)
        for i in range(len(graded.items))
        for k in range(len(graded.conditions))
        if ((graded.ratings.condition == k) & (graded.ratings.item == i)).any()
    )
    family, declared = _family(setting, graded.conditions)
    models = tuple(_models(setting, question, graded))
    judged = replace(
        judged,
        lines=lines,
        cells=cells,
        family=declared,
        pairs=tuple(_pairs(setting, graded, family)),
        friedman=statistics.friedman(means).p,
        models=models,
        interaction=_interaction(models),
        correlations=tuple(_correlations(setting, graded)),
    )
    return replace(
        judged, coverage=tuple(_coverage(setting, judged, means)), power=_power(setting, judged, graded, family)
    )


def _line(setting: _Setting, graded: _Graded, condition: int, item: int | None, means: Any) -> Line:
    chosen = graded.ratings.condition == condition
    if item is not None:
        chosen = chosen & (graded.ratings.item == item)
    told = statistics.describe(graded.ratings.where(chosen))
    line = Line(
        condition=graded.conditions[condition],
        label=setting.label(graded.conditions[condition]),
        role=setting.role(graded.conditions[condition]),
        item="" if item is None else graded.items[item],
        listeners=told.listeners,
        ratings=told.ratings,
        median=told.median,
        q1=told.low_quartile,
        q3=told.high_quartile,
        deviation=_finite(told.deviation),
        mean=told.mean,
        low=_finite(told.low),
        high=_finite(told.high),
    )
    if means is None:
        return line
    own = means[np.isfinite(means[:, condition]), condition]
    return replace(
        line,
        studentised=_span(statistics.bootstrap_interval(own, "studentised", draws=setting.draws, seed=setting.seed)),
        bca=_span(statistics.bootstrap_interval(own, "bca", draws=setting.draws, seed=setting.seed)),
        values=tuple(graded.ratings.values[chosen].tolist()),
    )


def _family(setting: _Setting, conditions: Sequence[str]) -> tuple[list[tuple[int, int]], str]:
    """The declared family of pairs, and how to call it."""
    systems = [k for k, name in enumerate(conditions) if setting.role(name) == "system"]
    against = setting.study.statistics.get("against")
    if against in conditions:
        one = conditions.index(str(against))
        return [(k, one) for k in systems if k != one], f"every system against {setting.label(str(against))}"
    if len(systems) > 1:
        return list(combinations(systems, 2)), "all pairs of systems"
    return list(combinations(range(len(conditions)), 2)), "all pairs of conditions"


def _pairs(setting: _Setting, graded: _Graded, family: Sequence[tuple[int, int]]) -> Iterable[Pair]:
    songs = _over_songs(setting, graded)
    tests = []
    for a, b in family:
        one, other = statistics.paired_means(graded.ratings, a, b)
        if len(one):
            flip = statistics.sign_flip(one, other, draws=setting.draws, seed=setting.seed)
            ranks = statistics.paired(one.tolist(), other.tolist(), seed=setting.seed)
            dealt = statistics.bs1534_permutation(one, other, draws=setting.draws, seed=setting.seed)
            tests.append((a, b, flip, ranks, dealt))
    fixed = statistics.holm([flip.p for _, _, flip, _, _ in tests])
    ranked = statistics.holm([ranks.p for _, _, _, ranks, _ in tests])
    for (a, b, flip, ranks, dealt), p_holm, wilcoxon_holm in zip(tests, fixed, ranked, strict=True):
        yield Pair(
            a=graded.conditions[a],
            b=graded.conditions[b],
            listeners=flip.listeners,
            difference=Span(flip.difference, _finite(flip.low), _finite(flip.high)),
            p=flip.p,
            p_holm=p_holm,
            wilcoxon=ranks.p,
            wilcoxon_holm=wilcoxon_holm,
            bs1534=dealt.p,
            effect=ranks.effect,
            songs=songs.get((a, b)),
            significant=None if p_holm is None else p_holm <= ALPHA,
            notice=_notice(flip.p, p_holm, wilcoxon_holm, dealt.p, songs.get((a, b))),
        )


def _notice(p: float | None, p_holm: float | None, wilcoxon: float | None, bs1534: float, songs: Span | None) -> str:
    """Where second opinions differ from the main test at 5 %; each is compared with what it can be compared with."""
    told = []
    if p_holm is not None and wilcoxon is not None and (p_holm <= ALPHA) != (wilcoxon <= ALPHA):
        told.append(f"Wilcoxon with Holm says otherwise (p = {wilcoxon:.3f})")
    if p is not None and (p <= ALPHA) != (bs1534 <= ALPHA):
        told.append(f"the permutation of BS.1534-3, which ignores who said what, says otherwise (p = {bs1534:.3f})")
    if p_holm is not None and p_holm <= ALPHA and songs is not None and not songs.decided:
        told.append("it holds for these items; over other songs the interval includes zero")
    return "; ".join(told)


def _over_songs(setting: _Setting, graded: _Graded) -> dict[tuple[int, int], Span]:
    """Differences with intervals over listeners and songs; empty with a single song."""
    names = sorted(set(graded.groups))
    if len(names) < 2:
        return {}
    group = np.array([names.index(name) for name in graded.groups], np.int64)
    ratings = replace(graded.ratings, item=group[graded.ratings.item])
    two_way = statistics.two_way_bootstrap(ratings, draws=min(setting.draws, 4000), seed=setting.seed)
    spans = {pair: _span(interval) for pair, interval in two_way.differences.items()}
    mirrored = {(b, a): None if span is None else _mirrored(span) for (a, b), span in spans.items()}
    return {pair: span for pair, span in (spans | mirrored).items() if span is not None}


def _mirrored(span: Span) -> Span:
    return Span(-span.value, None if span.high is None else -span.high, None if span.low is None else -span.low)


def _models(setting: _Setting, question: Question, graded: _Graded) -> Iterable[found.Model]:
    """Second opinions for large samples; none where they cannot be fitted."""
    labels = [setting.label(name) for name in graded.conditions]
    if len(labels) < 2 or graded.ratings.listeners < 2:
        return
    try:
        mixed = statistics.mixed_model(graded.ratings)
        if mixed.converged:
            yield found.Model(
                mixed.formula,
                tuple(_term(label, interval) for label, interval in zip(labels, mixed.means, strict=True)),
                None if mixed.systems is None else _finite(mixed.systems.p),
                None if mixed.interaction is None else _finite(mixed.interaction.p),
                "; ".join((mixed.label, *mixed.messages)),
            )
    except (ValueError, np.linalg.LinAlgError):
        pass  # too few ratings, or no spread: nothing to say
    if question.kind not in (*FIVE_POINT, "ccr"):
        return
    try:
        ordinal = statistics.ordinal_model(graded.ratings)
    except (ValueError, np.linalg.LinAlgError):
        return
    if ordinal.converged:
        yield found.Model(
            "cumulative link: answer ~ system + item, log odds against the mean of all",
            tuple(_term(label, interval) for label, interval in zip(labels, ordinal.effects, strict=True)),
            None if ordinal.systems is None else _finite(ordinal.systems.p),
            None,
            "; ".join((ordinal.label, *ordinal.messages)),
        )


def _term(label: str, interval: statistics.Interval) -> found.Term:
    return found.Term(label, interval.mean, _finite(interval.low), _finite(interval.high))


def _interaction(models: Sequence[found.Model]) -> str:
    p = next((model.interaction for model in models if model.interaction is not None), None)
    if p is None or p > ALPHA:
        return ""
    return (
        f"Systems differ otherwise from item to item (mixed model, p = {p:.3g}): a mean over items hides that. "
        "Read the table by item."
    )


def _coverage(setting: _Setting, judged: Judged, means: Any) -> Iterable[found.Coverage]:
    """Of the condition whose listener means spread most: what its intervals are worth with so few listeners."""
    columns = [means[np.isfinite(means[:, k]), k] for k in range(means.shape[1])]
    columns = [column for column in columns if 3 <= len(column) < FEW and np.ptp(column) > 0]
    if not columns:
        return
    widest = max(columns, key=lambda column: float(column.std()))
    kinds: tuple[Kind, ...] = ("t", "studentised", "bca", "percentile")
    for kind in kinds:
        held = statistics.coverage(
            widest, kind, scale=(judged.lowest, judged.highest), trials=500, draws=500, seed=setting.seed
        )
        yield found.Coverage(kind, held.share, held.error)


def _power(setting: _Setting, judged: Judged, graded: _Graded, family: Sequence[tuple[int, int]]) -> found.Power | None:
    """What this many listeners could see, by the median deviation of the family's paired differences."""
    deviations, counts = [], []
    for a, b in family:
        one, other = statistics.paired_means(graded.ratings, a, b)
        if len(one) > 1 and np.ptp(one - other) > 0:
            deviations.append(float((one - other).std(ddof=1)))
            counts.append(len(one))
    if not deviations:
        return None
    deviation, listeners = float(np.median(deviations)), int(np.median(counts))
    reference = (judged.highest - judged.lowest) / 10
    return found.Power(
        listeners=listeners,
        deviation=deviation,
        smallest_80=statistics.smallest_difference(deviation, listeners),
        smallest_90=statistics.smallest_difference(deviation, listeners, power=0.9),
        reference=reference,
        needed=statistics.listeners_needed(deviation, reference),
    )


def _correlations(setting: _Setting, graded: _Graded) -> Iterable[found.Correlation]:
    for name, values in setting.metrics.items():
        table = np.full((len(graded.conditions), len(graded.items)), np.nan)
        for (item, condition), value in values.items():
            if item in graded.items and condition in graded.conditions:
                table[graded.conditions.index(condition), graded.items.index(item)] = value
        if not np.isfinite(table).any():
            continue
        told = statistics.correlate(graded.ratings, table, seed=setting.seed)
        yield found.Correlation(
            name,
            told.cells,
            _coefficient(told.spearman),
            _coefficient(told.kendall),
            _coefficient(told.within),
            told.reason,
        )


def _coefficient(told: statistics.Coefficient) -> Span | None:
    return None if told.value is None else Span(told.value, told.low, told.high)


# Choices


def _told(answers: Iterable[Answer]) -> Iterable[found.Told]:
    right: dict[tuple[str, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.value is not None:
            first, second = sorted((answer.condition, answer.other))
            right[first, second][answer.listener].append(answer.value == 1)
    for (condition, other), listeners in sorted(right.items()):
        told = statistics.abx_panel(
            [sum(given) for given in listeners.values()], [len(given) for given in listeners.values()]
        )
        share = Span(told.share, _finite(told.low), _finite(told.high))
        yield found.Told(condition, other, told.correct, told.count, told.listeners, share, told.p)


def _votes(setting: _Setting, answers: Sequence[Answer]) -> found.Votes | None:
    """A ranking from pairs; of ranked lists all pairs of a list are votes."""
    bad = sum(answer.text == "both_bad" for answer in answers if answer.attribute not in _BESIDE)
    votes = list(_ballots(answers))
    if not votes:
        return found.Votes((), bad, 0, 0, None, True) if bad else None
    names = setting.order(name for _, left, right, _ in votes for name in (left, right))
    listeners = sorted({listener for listener, *_ in votes})
    served = answers[0].kind != "ranking"
    ranking = statistics.bradley_terry(
        statistics.Comparisons(
            np.array([names.index(left) for _, left, _, _ in votes], np.int64),
            np.array([names.index(right) for _, _, right, _ in votes], np.int64),
            [outcome for *_, outcome in votes],
            np.array([listeners.index(listener) for listener, *_ in votes], np.int64),
        ),
        side=served,
        draws=min(setting.draws, 1000),
        seed=setting.seed,
    )
    strengths = []
    for k in ranking.order:
        standing, mine = ranking.standings[k], [vote for vote in votes if names[k] in vote[1:3]]
        ties = sum(vote[3] == "tie" for vote in mine)
        wins = sum(vote[3] == ("left" if vote[1] == names[k] else "right") for vote in mine)
        strengths.append(
            found.Strength(
                names[k], setting.label(names[k]), Span(standing.strength, _finite(standing.low), _finite(standing.high)),
                standing.best_rank, standing.worst_rank, wins, len(mine) - wins - ties, ties,
            )
        )  # fmt: skip
    side = _span(ranking.side_bias) if served else None
    return found.Votes(tuple(strengths), bad, ranking.ties, ranking.votes, side, ranking.connected)


def _ballots(answers: Iterable[Answer]) -> Iterable[tuple[str, str, str, str]]:
    """(listener, left, right, outcome)."""
    lists: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.value is None:
            continue
        if answer.kind == "ranking":
            lists[answer.listener, answer.trial].append(answer)
        elif answer.other:
            yield answer.listener, answer.condition, answer.other, _outcome(answer.value)
    for (listener, _), ranked in lists.items():
        for one, other in combinations(ranked, 2):
            assert one.value is not None and other.value is not None
            yield listener, one.condition, other.condition, _outcome(other.value - one.value)


def _outcome(ahead: float) -> str:
    return "left" if ahead > 0 else "right" if ahead < 0 else "tie"


# Beside the numbers


def _agreement(question: Question, first: Sequence[Answer], answers: Sequence[Answer]) -> found.Agreement | None:
    rated = [answer for answer in first if answer.value is not None]
    if not rated:
        return None
    level: Level = (
        "nominal"
        if question.kind == "ab"
        else "ordinal"
        if question.kind in (*FIVE_POINT, "ccr", "ranking")
        else "interval"
    )
    names = sorted({answer.listener for answer in rated})
    things = sorted({tuple(sorted((answer.condition, answer.other))) for answer in rated})
    items = sorted({answer.item for answer in rated})
    ratings = statistics.Ratings(
        np.array([oriented(answer) for answer in rated], np.float64),
        np.array([names.index(answer.listener) for answer in rated], np.int64),
        np.array([things.index(tuple(sorted((answer.condition, answer.other)))) for answer in rated], np.int64),
        np.array([items.index(answer.item) for answer in rated], np.int64),
    )
    told = statistics.alpha(ratings, level=level)
    pairs = [pair for pair in repeats_of(answers) if pair[1].listener in names]
    retest = None
    if pairs:
        retest = statistics.test_retest(
            [oriented(before) for before, _ in pairs],
            [oriented(after) for _, after in pairs],
            [names.index(after.listener) for _, after in pairs],
        )[0]
    return found.Agreement(
        told.alpha,
        told.low,
        told.high,
        level,
        len(pairs),
        len({after.listener for _, after in pairs}),
        None if retest is None else retest.difference,
        None if retest is None else retest.correlation,
    )


def _texts(setting: _Setting, answers: Iterable[Answer]) -> Iterable[tuple[str, str]]:
    for answer in answers:
        if answer.text and (answer.kind == "text" or answer.attribute == "comment"):
            about = setting.label(answer.condition) if answer.condition else "all sounds"
            yield f"{answer.item}, {about}", answer.text


def _marks(setting: _Setting, answers: Iterable[Answer]) -> Iterable[found.Marked]:
    """Marked regions by condition and label, each with what a metric says inside and outside of them."""
    places: dict[tuple[str, str], list[tuple[Answer, float, float]]] = defaultdict(list)
    for answer in answers:
        for region in _regions(answer) or ():
            key = answer.condition, str(region.get("label", ""))
            places[key].append((answer, float(region["start"]), float(region["end"])))
    for (condition, label), regions in sorted(places.items()):
        count, listeners = len(regions), len({answer.listener for answer, _, _ in regions})
        total = sum(end - start for _, start, end in regions)
        metrics = sorted(
            {name for answer, _, _ in regions for name in setting.seconds.get((answer.item, condition), {})}
        )
        for name in metrics or [""]:
            inside, outside = _split(setting, condition, name, regions)
            yield found.Marked(condition, label, count, listeners, total, name, inside, outside)


def _split(
    setting: _Setting, condition: str, metric: str, regions: Sequence[tuple[Answer, float, float]]
) -> tuple[float | None, float | None]:
    """Mean of a metric over seconds whose middle lies in a region that somebody marked, and over the others."""
    inside: list[float] = []
    outside: list[float] = []
    for item in sorted({answer.item for answer, _, _ in regions}):
        marked = [(start, end) for answer, start, end in regions if answer.item == item]
        for start, stop, value in setting.seconds.get((item, condition), {}).get(metric, ()):
            middle = (start + stop) / 2
            (inside if any(low <= middle < high for low, high in marked) else outside).append(value)
    return (float(np.mean(inside)) if inside else None, float(np.mean(outside)) if outside else None)


def _regions(answer: Answer) -> list[Mapping[str, Any]] | None:
    """Marks in an answer's text; None if it is words."""
    if answer.text is None or answer.attribute != "marks":
        return None
    regions = json.loads(answer.text)
    return [region for region in regions if {"start", "end"} <= set(region)]


def _cautions(question: Question, judged: Judged) -> Iterable[str]:
    systems = [line for line in judged.lines if line.role == "system"]
    if question.kind in (*FIVE_POINT, "ccr"):
        yield from MOS
        cells = [line for line in judged.cells if line.role == "system"]
        few = [line.ratings for line in systems if line.ratings < VOTES_A_CONDITION]
        if few or any(cell.ratings < VOTES_A_CLIP for cell in cells):
            least = min((cell.ratings for cell in cells), default=0)
            fewest = min((line.ratings for line in systems), default=0)
            yield (
                f"P.808 asks for {VOTES_A_CLIP} votes a clip and {VOTES_A_CONDITION} a condition; here the fewest are {least} "
                f"and {fewest}."
            )
    if question.kind in ("mushra", "scale") and systems:
        edge = judged.lowest + 0.8 * (judged.highest - judged.lowest)
        if sum(line.q1 >= edge for line in systems) > len(systems) / 2:
            yield (
                "Most scores of most systems lie in the top fifth of the scale: the test may be too easy to tell systems apart "
                "(BS.1534-3, p. 3)."
            )
    votes = judged.votes
    if votes is not None and votes.side is not None and votes.side.decided:
        side = "first or left" if votes.side.value > 0 else "second or right"
        yield f"The {side} one is preferred whatever it is; the ranking takes that into account."
    if votes is not None and not votes.connected:
        yield "Some systems were never compared, not even through others: strengths of different groups cannot be compared."
    if judged.friedman is not None and judged.friedman > ALPHA and any(pair.significant for pair in judged.pairs):
        yield f"Friedman's test over all conditions sees no difference (p = {judged.friedman:.3f}), the main test does."


def _span(interval: statistics.Interval) -> Span:
    return Span(interval.mean, _finite(interval.low), _finite(interval.high))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
