"""Do several people say the same of the same thing, and does one person say the same twice?

Krippendorff's alpha, on points by the package `krippendorff`, whose only keeper is this room; the draws of intervals, and alpha
of numbers without points, are computed here all at once (a hundred times as fast, and tests hold them to the package). Beside
it the intraclass correlation, a listener's agreement with the others, and with themselves. All are about the judges, not about
what they judged: low agreement does not make a mean wrong, it says how many answers a mean needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import krippendorff
import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from separation.statistics.ratings import AT_ONCE, Numbers, Ratings, expanded_tails

Level = Literal["interval", "ordinal", "nominal"]
DRAWS = 1000
POINTS = (1, 2, 3, 4, 5)


class Alpha(NamedTuple):
    """How far judges agree.

    Args:
        alpha: 1 is perfect agreement, 0 what chance gives, below it systematic disagreement; None where nothing can be
            compared, or all answers are the same.
        low, high: its 95 % interval over units; None with fewer than two of them, or where too many draws have no alpha.
        units: things that two people or more judged.
        answers: on those.
    """

    alpha: float | None
    low: float | None
    high: float | None
    units: int
    answers: int


@dataclass(frozen=True)
class Icc:
    """How reliable ratings are, by the shares of variance (two-way random effects, absolute agreement).

    Args:
        average: ICC(2,k): of the mean of all these listeners; with its 95 % interval `low`, `high`.
        single: ICC(2,1): of one listener.
        listeners, units: of the complete table.
        reason: why there is none; empty if there is one.
    """

    average: float | None
    low: float | None
    high: float | None
    single: float | None
    listeners: int
    units: int
    reason: str = ""


@dataclass(frozen=True)
class Retest:
    """How well a listener repeats what they said.

    Args:
        listener: its number; None for all together.
        count: of repeated things.
        correlation: Pearson's; None for fewer than three, or where nothing varies.
        difference: mean of |second − first|, in the scale's unit.
        drift: mean of second − first.
        error: standard error of measurement, the deviation of the differences over √2; None for one.
    """

    listener: int | None
    count: int
    correlation: float | None
    difference: float
    drift: float
    error: float | None


def ordinal_alpha(
    units: Sequence[Sequence[int]], *, points: Sequence[int] = POINTS, confidence: float = 0.95, seed: int = 0
) -> Alpha:
    """Krippendorff's alpha of answers on an ordered scale, with a percentile bootstrap over units.

    Krippendorff, Computing Krippendorff's alpha-reliability, 2011 (ordinal metric). Whole units are drawn, as in
    `cluster_bootstrap`: the answers to one clip hang together. A draw in which all answers are the same has no alpha and is
    left out; if more than one in twenty are, there is no interval.

    Args:
        units: for each thing the answers of those who judged it, one a person; a single one says nothing.
        points: of the scale, in order.

    Raises:
        ValueError: an answer is not on the scale.

    >>> ordinal_alpha([[1, 1], [5, 5], [3]])[0]
    1.0
    """
    judged = [list(unit) for unit in units if len(unit) > 1]
    if not {answer for unit in judged for answer in unit} <= set(points):
        raise ValueError(f"some answers are none of {tuple(points)}")
    table = np.full(
        (max(map(len, judged), default=0), len(judged)), np.nan
    )  # whose answer is in which row does not matter
    for column, unit in zip(table.T, judged, strict=True):
        column[: len(unit)] = unit
    answers = int(np.isfinite(table).sum())
    if answers == 0 or np.nanmin(table) == np.nanmax(table):
        return Alpha(None, None, None, len(judged), answers)
    value = float(krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal"))
    low = high = None
    if len(judged) > 1:
        share = np.full(len(judged), 1 / len(judged))
        drawn = np.random.default_rng(seed).multinomial(len(judged), share, size=DRAWS).astype(np.float64)
        alphas = weighted_alphas(table, np.ones((1, len(table))), drawn, "ordinal")
        known = alphas[np.isfinite(alphas)]
        if len(known) >= 0.95 * DRAWS:
            tail = (1 - confidence) / 2
            low, high = (float(edge) for edge in np.quantile(known, [tail, 1 - tail]))
    return Alpha(value, low, high, len(judged), answers)


def alpha(
    ratings: Ratings,
    *,
    level: Level = "interval",
    over: Literal["items", "listeners"] = "items",
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Alpha:
    """Krippendorff's alpha of ratings, a unit being a condition on an item, with a bootstrap interval (`expanded_tails`).

    Krippendorff (2011), as in `ordinal_alpha`. Repeats of one listener are averaged first
    (``nominal``: the first counts), because a listener does not agree with themselves here.

    Args:
        level: ``interval`` for 0 to 100, ``ordinal`` for five points, ``nominal`` for choices.
        over: what the interval generalises to. Items: each with all its conditions, for "would it be so with other music?".
            Listeners: for other people; two copies of one listener are never compared with each other.

    >>> alpha(Ratings(np.array([1.0, 1, 5, 5]), *np.array([[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]]))).alpha
    1.0
    """
    cells = _first(ratings) if level == "nominal" else ratings.cells()
    table = _table(cells[np.isfinite(cells).any((1, 2))])
    item = np.tile(np.arange(ratings.items), ratings.conditions)
    judged = np.isfinite(table).sum(0) > 1
    table, item = table[:, judged], item[judged]
    answers = int(np.isfinite(table).sum())
    if table.shape[1] == 0 or np.nanmin(table) == np.nanmax(table):
        return Alpha(None, None, None, table.shape[1], answers)
    once = np.ones((1, len(table))), np.ones((1, table.shape[1]))
    value = float(weighted_alphas(table, *once, level)[0])
    clusters = len(np.unique(item)) if over == "items" else len(table)
    if clusters < 2:
        return Alpha(value, None, None, table.shape[1], answers)
    rng = np.random.default_rng(seed)
    chosen = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    if over == "items":
        units = chosen[:, np.unique(item, return_inverse=True)[1]].astype(np.float64)
        people = np.ones((1, len(table)))
    else:
        units, people = np.ones((draws, table.shape[1])), chosen.astype(np.float64)
    drawn = weighted_alphas(table, people, units, level)
    known = drawn[np.isfinite(drawn)]
    if len(known) < 0.95 * draws:
        return Alpha(value, None, None, table.shape[1], answers)
    low, high = np.quantile(known, expanded_tails(clusters, confidence))
    return Alpha(value, float(low), float(high), table.shape[1], answers)


def weighted_alphas(table: Numbers, people: Numbers, units: Numbers, level: Level) -> Numbers:
    """Alpha of many weightings of the same table ``[draw]``; NaN where all answers that count are the same.

    A unit's pairs of answers count in all as much as it has answers; two copies of one listener are no pair.

    Args:
        table: ``[listener, unit]``, NaN where there is no answer.
        people: how often each listener counts ``[draw or 1, listener]``.
        units: how often each unit counts ``[draw or 1, unit]``.
    """
    known = np.isfinite(table)
    present = people @ known
    pairs = present**2 - people**2 @ known
    units = units * (pairs > 0)
    scale = np.divide(units * present, pairs, out=np.zeros_like(units), where=pairs > 0)
    sums = _squares if level == "interval" else _categories
    observed, expected = sums(table, people, units, scale, level)
    count = (units * present).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 1e-9, 1 - observed * (count - 1) / expected, np.nan))


def _squares(table: Numbers, people: Numbers, units: Numbers, scale: Numbers, level: Level) -> tuple[Numbers, Numbers]:
    """Sums of squared differences ``[draw]``, over pairs within units and over all pairs, from two moments of each unit."""
    known = np.isfinite(table)
    centred = np.where(known, table - np.nanmean(table), 0.0)
    present, first, second = people @ known, people @ centred, people @ centred**2
    within = 2 * ((present * second - first**2) * scale).sum(1)
    count, first, second = ((units * moment).sum(1) for moment in (present, first, second))
    return np.asarray(within), np.asarray(2 * (count * second - first**2))


def _categories(
    table: Numbers, people: Numbers, units: Numbers, scale: Numbers, level: Level
) -> tuple[Numbers, Numbers]:
    """As `_squares`, with the distance of two answers 1 (``nominal``) or that of their mean ranks (``ordinal``)."""
    known = np.isfinite(table)
    values, code = np.unique(table[known], return_inverse=True)
    shown = np.zeros((*table.shape, len(values)))
    shown[(*np.nonzero(known), code)] = 1.0
    together = max(1, AT_ONCE // (table.shape[1] * len(values)))
    sums = []
    for start in range(0, len(units), together):
        some = slice(start, start + together)
        counts = np.tensordot(people[some] if len(people) > 1 else people, shown, 1)
        within = np.swapaxes(counts * scale[some, :, None], 1, 2) @ counts
        total = (counts * units[some, :, None]).sum(1)
        distance = np.broadcast_to(1.0 - np.eye(len(values)), within.shape)
        if level == "ordinal":
            rank = total.cumsum(1) - total / 2
            distance = (rank[:, :, None] - rank[:, None, :]) ** 2
        sums.append(np.stack([(within * distance).sum((1, 2)), np.einsum("di,dj,dij->d", total, total, distance)]))
    observed, expected = np.concatenate(sums, 1)
    return observed, expected


def icc(ratings: Ratings, *, confidence: float = 0.95) -> Icc:
    """Intraclass correlation of a complete table of listeners by units (a unit is a condition on an item).

    Shrout and Fleiss, Psychological Bulletin 86 (2), 1979, ICC(2,1) and ICC(2,k); the interval is McGraw and Wong's (1996,
    table 7, case 2A). Listeners who left anything out are left out.
    """
    table = _table(ratings.cells())
    table = table[:, np.isfinite(table).any(0)]
    table = table[np.isfinite(table).all(1)].T
    units, listeners = table.shape
    if units < 2 or listeners < 2:
        return Icc(
            None, None, None, None, listeners, units, f"{listeners} listeners rated all {units} units; two by two"
        )
    rows, columns = table.mean(1), table.mean(0)
    between = listeners * rows.var(ddof=1)
    people = units * columns.var(ddof=1)
    rest = table - rows[:, None] - columns + table.mean()
    error = (rest**2).sum() / ((units - 1) * (listeners - 1))
    base = between + (listeners - 1) * error + listeners * (people - error) / units
    if base <= 0 or error <= 1e-12:
        return Icc(None, None, None, None, listeners, units, "the ratings do not vary, or hold no error at all")
    single = (between - error) / base
    low, high = _icc_bounds(single, between, people, error, listeners, units, confidence)
    average, low, high = (listeners * x / (1 + (listeners - 1) * x) for x in (single, low, high))
    return Icc(float(average), float(low), float(high), float(single), listeners, units)


def _icc_bounds(
    single: float, between: float, people: float, error: float, listeners: int, units: int, confidence: float
) -> tuple[float, float]:
    """Interval of ICC(2,1)."""
    a = listeners * single / (units * (1 - single))
    b = 1 + listeners * single * (units - 1) / (units * (1 - single))
    freedom = (a * people + b * error) ** 2 / (
        (a * people) ** 2 / (listeners - 1) + (b * error) ** 2 / ((units - 1) * (listeners - 1))
    )
    tail = (1 + confidence) / 2
    lower, upper = stats.f.ppf(tail, units - 1, freedom), stats.f.ppf(tail, freedom, units - 1)
    noise = listeners * people + (listeners * units - listeners - units) * error
    return (
        float(units * (between - lower * error) / (lower * noise + units * between)),
        float(units * (upper * between - error) / (noise + units * upper * between)),
    )


def leave_one_out(ratings: Ratings, *, method: Literal["pearson", "spearman"] = "pearson") -> Numbers:
    """Correlation of each listener with the mean of the others ``[listener]``, over the units that they share.

    NaN for a listener who shares fewer than three units, or where one side does not vary.
    """
    table = _table(ratings.cells())
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)
    found = np.full(len(table), np.nan)
    for k, row in enumerate(table):
        others = known.sum(0) - known[k]
        shared = known[k] & (others > 0)
        if shared.sum() < 3:
            continue
        rest = (filled.sum(0) - filled[k])[shared] / others[shared]
        found[k] = _correlation(row[shared], rest, method)
    return found


def test_retest(first: ArrayLike, second: ArrayLike, listener: ArrayLike) -> tuple[Retest, ...]:
    """What listeners said of a thing the first and the second time: all together, then each listener.

    The correlation of all together is that of what is left when each listener's mean is taken away: otherwise listeners who use
    different parts of the scale would pass for consistent.

    Args:
        first, second: ``[n]``.
        listener: ``[n]``, counted from 0.

    Raises:
        ValueError: the columns differ in length or are empty, or hold values that are not finite.
    """
    one, two, who = np.asarray(first, np.float64), np.asarray(second, np.float64), np.asarray(listener)
    if not one.shape == two.shape == who.shape or one.ndim != 1 or not len(one):
        raise ValueError(f"{one.shape}, {two.shape} and {who.shape} values: columns as long, and not none")
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise ValueError("some ratings are not finite; leave them out by a stated rule first")
    centre = one.copy(), two.copy()
    for k in np.unique(who):
        middle = np.concatenate([one[who == k], two[who == k]]).mean()
        for column in centre:
            column[who == k] -= middle
    people = (_retest(int(k), one[who == k], two[who == k], *(c[who == k] for c in centre)) for k in np.unique(who))
    return (_retest(None, one, two, *centre), *people)


def _retest(listener: int | None, first: Numbers, second: Numbers, a: Numbers, b: Numbers) -> Retest:
    change = second - first
    found = _correlation(a, b, "pearson") if len(a) > 2 else float("nan")
    return Retest(
        listener,
        len(change),
        found if np.isfinite(found) else None,
        float(np.abs(change).mean()),
        float(change.mean()),
        float(change.std(ddof=1) / np.sqrt(2)) if len(change) > 1 else None,
    )


def _correlation(a: Numbers, b: Numbers, method: str) -> float:
    if method == "spearman":
        a, b = stats.rankdata(a), stats.rankdata(b)
    if np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _table(cells: Numbers) -> Numbers:
    """``[listener, condition, item]`` as ``[listener, unit]``."""
    return cells.reshape(cells.shape[0], cells.shape[1] * cells.shape[2])


def _first(ratings: Ratings) -> Numbers:
    """As `Ratings.cells`, with the first of repeats instead of their mean."""
    cells = np.full((ratings.listeners, ratings.conditions, ratings.items), np.nan)
    place = np.ravel_multi_index((ratings.listener, ratings.condition, ratings.item), cells.shape)
    filled, first = np.unique(place, return_index=True)
    cells.flat[filled] = ratings.values[first]
    return cells
