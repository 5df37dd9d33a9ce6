"""What an analysis finds, as records: everything that the report of a study prints, and that its JSON holds.

Computed in `analysis`, printed in `report`. Numbers that cannot be said are None, never NaN.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from separation.listening.screening import Outlier


@dataclass(frozen=True)
class Span:
    """A number and its 95 % interval; None where there is none."""

    value: float
    low: float | None
    high: float | None

    @property
    def decided(self) -> bool:
        """The interval is there and has no zero in it."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Line:
    """One condition, of all items or of one.

    Args:
        condition: id; `label` as people call it; `role` "system", "anchor", "reference" or "mixture".
        item: id, or "" for all.
        listeners, ratings: how many.
        median, q1, q3: over ratings.
        deviation: standard deviation over listener means.
        mean: over listener means, with its t interval; without an interval below two listeners.
        studentised, bca: bootstrap intervals of the same mean over listeners, of all items only.
        values: every rating, of all items only, for a picture.
    """

    condition: str
    label: str
    role: str
    item: str
    listeners: int
    ratings: int
    median: float
    q1: float
    q3: float
    deviation: float | None
    mean: float
    low: float | None
    high: float | None
    studentised: Span | None = None
    bca: Span | None = None
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two conditions as the same listeners heard them; differences are `a` minus `b`.

    Args:
        listeners: who rated both.
        difference: the mean of paired differences of listener means, with its t interval.
        p: sign-flip permutation, two-sided; `p_holm` corrected over the declared family, None outside it.
        wilcoxon, wilcoxon_holm: the signed-rank test of the same differences.
        bs1534: the permutation of pooled scores that BS.1534-3 describes; it ignores who said what.
        effect: rank-biserial correlation, in [-1, 1].
        songs: interval of the difference over listeners and items both, to speak of other songs; None with one item.
        significant: whether `p_holm` is at most 0.05; None outside the family.
        notice: where another test says otherwise; "" if none does.
    """

    a: str
    b: str
    listeners: int
    difference: Span
    p: float | None
    p_holm: float | None
    wilcoxon: float | None
    wilcoxon_holm: float | None
    bs1534: float | None
    effect: float | None
    songs: Span | None
    significant: bool | None
    notice: str


@dataclass(frozen=True)
class Strength:
    """A condition in a ranking from pairs (Bradley-Terry).

    Args:
        strength: log odds against the mean condition, with its interval over listeners.
        best, worst: the ranks that the interval allows, 1 is best.
        wins, losses, ties: votes.
    """

    condition: str
    label: str
    strength: Span
    best: int
    worst: int
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Votes:
    """What pairs say.

    Args:
        ranking: best first; empty if conditions are not connected by votes.
        both_bad: answers "both bad", told apart and in no ranking.
        ties: votes without a winner.
        votes: all that count for the ranking.
        side: log odds of the left or first one beyond its quality, with its interval.
        connected: whether every condition can be compared with every other.
    """

    ranking: tuple[Strength, ...]
    both_bad: int
    ties: int
    votes: int
    side: Span | None
    connected: bool


@dataclass(frozen=True)
class Told:
    """ABX of one condition: can it be told from the other?"""

    condition: str
    other: str
    correct: int
    trials: int
    listeners: int
    share: Span
    p: float


@dataclass(frozen=True)
class Correlation:
    """Ratings against a metric, a dot an item and condition.

    Args:
        cells: dots.
        spearman, kendall: with intervals over listeners and items.
        within: mean over items of Spearman's over the systems of one item: does the metric rank systems on one song?
        reason: why there is no value; "" if there is one.
    """

    metric: str
    cells: int
    spearman: Span | None
    kendall: Span | None
    within: Span | None
    reason: str


@dataclass(frozen=True)
class Marked:
    """Regions that listeners marked on the waveform.

    Args:
        label: what was said of them.
        count, listeners: how many.
        seconds: their summed duration.
        inside, outside: mean of a metric in marked and in other seconds of the same sound; None without a table of metrics.
    """

    condition: str
    label: str
    count: int
    listeners: int
    seconds: float
    metric: str
    inside: float | None
    outside: float | None


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha over (item, condition), and of those who were asked twice the distance of both answers."""

    alpha: float | None
    low: float | None
    high: float | None
    level: str
    retest_pairs: int
    retest_listeners: int
    retest_difference: float | None
    retest_correlation: float | None


@dataclass(frozen=True)
class Power:
    """What this many listeners can see: the smallest difference found with 80 and with 90 % chance.

    Args:
        deviation: of paired differences of listener means, the median over pairs.
        smallest_80, smallest_90: in units of the scale.
        needed: listeners who would see a difference of `reference` with 80 %.
    """

    listeners: int
    deviation: float
    smallest_80: float
    smallest_90: float
    reference: float
    needed: int


@dataclass(frozen=True)
class Term:
    """What a model says of one condition: a mean, or log odds against the mean of all, with its interval."""

    label: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Model:
    """A mixed or ordinal model, which is for large samples.

    Args:
        formula: what was fitted.
        terms: of the conditions.
        systems: p that no system differs; None if it cannot be asked.
        interaction: p that systems differ alike on every item; likewise.
        note: what to beware of, and what the fit said.
    """

    formula: str
    terms: tuple[Term, ...]
    systems: float | None
    interaction: float | None
    note: str


@dataclass(frozen=True)
class Coverage:
    """How often an interval of that kind holds the truth with so many listeners, by simulation; it should be 0.95."""

    kind: str
    share: float
    error: float


@dataclass(frozen=True)
class Judged:
    """All about one question and attribute. What does not fit its kind is empty or None.

    Args:
        question, kind, attribute, title: what was asked.
        scale: what the numbers are, in words; they go from `lowest` to `highest`, and `better` says which are good.
        listeners, trials, answers: after screening, without repeats.
        lines: a condition each, of all items; `cells` of one item each.
        pairs: of the declared `family`, in words.
        friedman: p of the omnibus test.
        models: second opinions for large samples.
        interaction: a notice that means over items hide something; "" if not.
        coverage: of kinds of intervals, below fifteen listeners.
        votes, told, correlations, marks, texts: of the kinds that have them; a text with the condition or item it is about.
        cautions: what to know before these numbers are used.
    """

    question: str
    kind: str
    attribute: str
    title: str
    scale: str
    lowest: float
    highest: float
    better: str
    listeners: int
    trials: int
    answers: int
    lines: tuple[Line, ...] = ()
    cells: tuple[Line, ...] = ()
    pairs: tuple[Pair, ...] = ()
    family: str = ""
    friedman: float | None = None
    models: tuple[Model, ...] = ()
    interaction: str = ""
    coverage: tuple[Coverage, ...] = ()
    votes: Votes | None = None
    told: tuple[Told, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    marks: tuple[Marked, ...] = ()
    agreement: Agreement | None = None
    power: Power | None = None
    outliers: tuple[Outlier, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """All about a study.

    Args:
        study: its name; `title`, `hash`, `seed` of the analysis.
        listeners: who finished at least one trial; `kept` after screening.
        screening: as `Screened.to_json`.
        alone: rule -> how many it leaves out if it is the only one.
        questions: one a question and attribute, in the study's order.
        warnings: about the study as a whole.
    """

    study: str
    title: str
    hash: str
    seed: int
    listeners: int
    kept: int
    screening: dict[str, Any]
    alone: dict[str, int]
    questions: tuple[Judged, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, with None where there is no number."""
        told: dict[str, Any] = _plain(asdict(self))
        return told


def _plain(value: Any) -> Any:
    """As JSON holds it: no tuples, no NaN."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
