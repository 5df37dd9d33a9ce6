"""Do listeners rate two conditions differently, or any of several? Every test takes one mean a listener, never single ratings.

The main test is `sign_flip`: it needs no distribution, only that a listener without a preference errs to either side alike.
Beside it stand what standards and reviewers ask for: the permutation of BS.1534-3, Wilcoxon with Holm, Friedman with Nemenyi.
What it is not: a search for a test that says yes. Name the family of comparisons before the data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.multitest import multipletests

from separation.statistics.paired import DECIMALS, Paired, holm, paired
from separation.statistics.ratings import AT_ONCE, Numbers, Ratings, t_interval

DRAWS = 10_000
EXACT = 16
"""Listeners up to which all patterns of signs are tried."""
FEWEST_LISTENERS = 6
"""From which on a sign-flip test can come below 0.05: with five, the rarest outcome has 2 / 32."""


@dataclass(frozen=True)
class SignFlip:
    """A paired comparison of one mean a listener.

    Args:
        difference: mean of a − b.
        low, high: its 95 % t interval over listeners; NaN for one.
        deviation: standard deviation of the differences, which `power` wants; NaN for one.
        listeners: who have both.
        p: two-sided; None below `FEWEST_LISTENERS`.
        least: the smallest p that so many listeners can give.
        exact: all patterns of signs were tried.
        reason: why there is no p-value; empty if there is one.
    """

    difference: float
    low: float
    high: float
    deviation: float
    listeners: int
    p: float | None
    least: float
    exact: bool
    reason: str = ""


@dataclass(frozen=True)
class Permutation:
    """What BS.1534-3, attachment 3, finds.

    Args:
        difference: of the medians, a − b.
        exceedances: draws with at least this difference, of `draws`.
        p: two-sided, with the observed one counted as a draw.
    """

    difference: float
    exceedances: int
    draws: int
    p: float


@dataclass(frozen=True)
class PairTest:
    """Two conditions by Wilcoxon's signed-rank test.

    Args:
        a, b: the conditions.
        difference: median of a − b over listeners, with its bootstrap interval `low`, `high`.
        listeners: who have both.
        p: two-sided; None below ten listeners (`paired`).
        corrected: for the family; None likewise.
        rank_biserial: effect of the pairs in [-1, 1], positive where a is greater; None likewise.
        cliff: Cliff's delta in [-1, 1], of the two samples without their pairs: how often a's listener is above b's, less how
            often below.
        reason: why there is no p-value; empty if there is one.
    """

    a: int
    b: int
    difference: float
    low: float
    high: float
    listeners: int
    p: float | None
    corrected: float | None
    rank_biserial: float | None
    cliff: float
    reason: str = ""


@dataclass(frozen=True)
class Friedman:
    """Is any condition different? By ranks within each listener.

    Args:
        statistic, p: chi-square; None below three conditions or two listeners.
        agreement: Kendall's W in [0, 1]; None likewise.
        ranks: mean rank of each condition, 1 is the lowest rated.
        nemenyi: ``[condition, condition]`` p-values of all pairs by Nemenyi's test, corrected; empty without `p`.
        listeners: who have all conditions; the others cannot be ranked.
        reason: why there is no p-value; empty if there is one.
    """

    statistic: float | None
    p: float | None
    agreement: float | None
    ranks: tuple[float, ...]
    nemenyi: tuple[tuple[float, ...], ...]
    listeners: int
    reason: str = ""


@dataclass(frozen=True)
class Shape:
    """How the ratings of one condition lie, as far as tests care.

    Args:
        condition: its number.
        ratings: how many.
        variance: of them.
        skew: 0 for symmetric; beyond ±0.5 worth a notice, beyond ±1 no test that needs a normal distribution.
        bimodality: Sarle's coefficient; above 5/9 there may be two camps.
    """

    condition: int
    ratings: int
    variance: float
    skew: float
    bimodality: float


@dataclass(frozen=True)
class Notices:
    """What to know before a parametric test is believed.

    Args:
        shapes: of the conditions that have four ratings or more.
        variance_ratio: greatest over smallest variance; above 4 the conditions are not alike. None if it cannot be said.
        texts: in words, with the numbers; empty if nothing is remarkable.
    """

    shapes: tuple[Shape, ...]
    variance_ratio: float | None
    texts: tuple[str, ...]


def sign_flip(a: ArrayLike, b: ArrayLike, *, draws: int = DRAWS, confidence: float = 0.95, seed: int = 0) -> SignFlip:
    """Compare two conditions by one mean a listener: how often would random signs give so great a mean difference?

    Fisher, The Design of Experiments, 1935, chapter 3. All patterns of signs up to `EXACT` listeners, else `draws` random ones,
    with the observed one counted among them (Phipson and Smyth, 2010), so that p is never 0.

    Args:
        a, b: ``[listener]``; a pair with NaN is left out.

    Raises:
        ValueError: the lists differ in length, or no listener has both.

    >>> sign_flip([60, 70, 55, 80, 62, 71, 66], [50, 62, 54, 70, 57, 60, 61]).p
    0.015625
    """
    differences = _differences(a, b)
    count = len(differences)
    mean = t_interval(differences, confidence=confidence)
    deviation = float(differences.std(ddof=1)) if count > 1 else float("nan")
    least = max(2 / 2**count, 0.0 if count <= EXACT else 1 / (draws + 1))
    if count < FEWEST_LISTENERS:
        reason = f"{count} listener{'s' if count != 1 else ''}; below {FEWEST_LISTENERS} no outcome has p < 0.05"
        return SignFlip(*mean, deviation, count, None, least, True, reason)
    sums = np.round(_flipped(differences, draws, seed), DECIMALS)
    hits = int((np.abs(sums) >= round(abs(float(differences.sum())), DECIMALS)).sum())
    exact = count <= EXACT
    p = hits / len(sums) if exact else (hits + 1) / (draws + 1)
    return SignFlip(*mean, deviation, count, float(p), least, exact)


def _flipped(differences: Numbers, draws: int, seed: int) -> Numbers:
    """Sums of the differences under all patterns of signs, or under random ones."""
    count = len(differences)
    if count <= EXACT:
        signs = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return np.asarray((2.0 * signs - 1) @ differences)
    rng = np.random.default_rng(seed)
    together = max(1, AT_ONCE // count)
    parts = [
        (2.0 * rng.integers(2, size=(min(together, draws - start), count)) - 1) @ differences
        for start in range(0, draws, together)
    ]
    return np.concatenate(parts)


def bs1534_permutation(a: ArrayLike, b: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Permutation:
    """The test of BS.1534-3, attachment 3: scores of two conditions pooled and dealt out anew; difference of the medians.

    It takes the two lists for different people's, although the same listeners gave both, so it sees less than `sign_flip`
    where listeners agree on the difference, and is far too sure if several ratings of one listener are given: give it one
    a listener (of one item, or their mean).

    Args:
        a, b: ``[n]`` and ``[m]``.

    Raises:
        ValueError: a list is empty or has a value that is not finite.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not len(one) or not len(other) or not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError(f"{len(one)} and {len(other)} scores: there must be some, all finite")
    pooled = np.concatenate([one, other])
    rng = np.random.default_rng(seed)
    observed = float(np.median(one) - np.median(other))
    hits, together = 0, max(1, AT_ONCE // len(pooled))
    for start in range(0, draws, together):
        dealt = rng.permuted(np.broadcast_to(pooled, (min(together, draws - start), len(pooled))), axis=1)
        gaps = np.median(dealt[:, : len(one)], axis=1) - np.median(dealt[:, len(one) :], axis=1)
        hits += int((np.round(np.abs(gaps), DECIMALS) >= round(abs(observed), DECIMALS)).sum())
    return Permutation(observed, hits, draws, (hits + 1) / (draws + 1))


def wilcoxon_holm(
    means: ArrayLike,
    pairs: Sequence[tuple[int, int]] | None = None,
    *,
    correction: Literal["holm", "hochberg"] = "holm",
    seed: int = 0,
) -> tuple[PairTest, ...]:
    """Wilcoxon's signed-rank test of each pair of conditions, corrected for their number.

    Holm (1979) needs nothing; Hochberg, Biometrika 75, 1988 (attachment 4 of BS.1534-3), rejects a little more, and needs tests
    that are not opposed to each other. Effects: Kerby's (2014) rank-biserial correlation and Cliff's (1993) delta.

    Args:
        means: ``[listener, condition]`` (`listener_means`), NaN where there is none.
        pairs: the family, declared beforehand; None: all pairs.
    """
    table = np.asarray(means, np.float64)
    family = list(combinations(range(table.shape[1]), 2)) if pairs is None else list(pairs)
    found = []
    for a, b in family:
        both = np.isfinite(table[:, [a, b]]).all(1)
        found.append(_pair(table[both, a], table[both, b], seed))
    p_values = [result.p for result, _ in found]
    corrected = holm(p_values) if correction == "holm" else _hochberg(p_values)
    return tuple(
        PairTest(a, b, r.difference, r.low, r.high, r.count, r.p, fixed, r.effect, cliff, r.reason)
        for (a, b), (r, cliff), fixed in zip(family, found, corrected, strict=True)
    )


def _pair(one: Numbers, other: Numbers, seed: int) -> tuple[Paired, float]:
    """Wilcoxon's test and Cliff's delta."""
    if not len(one):
        return Paired(math.nan, math.nan, math.nan, 0, None, None, "no listener has both"), math.nan
    return paired(one.tolist(), other.tolist(), seed=seed), float(np.sign(one[:, None] - other).mean())


def _hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    asked = [p for p in p_values if p is not None]
    corrected = iter(multipletests(asked, method="simes-hochberg")[1].tolist() if asked else [])
    return [None if p is None else float(next(corrected)) for p in p_values]


def friedman(means: ArrayLike) -> Friedman:
    """Friedman's test over conditions, with Nemenyi's test of all pairs after it.

    Friedman, JASA 32, 1937; Nemenyi, 1963, as in Demšar, JMLR 7, 2006, section 3.2.2: mean ranks differ by more than the
    studentised range allows. It cannot see that systems differ on some items only.

    Args:
        means: ``[listener, condition]``; listeners with NaN are left out.
    """
    table = np.asarray(means, np.float64)
    table = table[np.isfinite(table).all(1)]
    count, conditions = table.shape
    if count < 2 or conditions < 3:
        reason = f"{conditions} conditions by {count} listeners who have all; three by two are needed"
        ranks = stats.rankdata(table, axis=1).mean(0) if count else np.full(conditions, np.nan)
        return Friedman(None, None, None, tuple(ranks.tolist()), (), count, reason)
    ranks = stats.rankdata(np.round(table, DECIMALS), axis=1).mean(0)
    if (np.ptp(np.round(table, DECIMALS), axis=1) == 0).all():
        statistic, p = 0.0, 1.0  # everybody rates everything alike
    else:
        statistic, p = (float(x) for x in stats.friedmanchisquare(*np.round(table, DECIMALS).T))
    error = np.sqrt(conditions * (conditions + 1) / (6 * count))
    range_of = np.abs(ranks[:, None] - ranks) / error * np.sqrt(2)
    nemenyi = stats.studentized_range.sf(range_of, conditions, np.inf)
    return Friedman(
        statistic,
        p,
        statistic / (count * (conditions - 1)),
        tuple(ranks.tolist()),
        tuple(tuple(float(x) for x in row) for row in np.clip(nemenyi, 0, 1)),
        count,
    )


def notices(ratings: Ratings) -> Notices:
    """Unequal variances, skew and two camps in the ratings of each condition.

    The limits are those that BS.1534-3 gives: ratio 4, skew 0.5 and 1, bimodality 5/9.
    """
    shapes = tuple(
        _shape(k, ratings.values[ratings.condition == k])
        for k in range(ratings.conditions)
        if (ratings.condition == k).sum() >= 4
    )
    variances = [shape.variance for shape in shapes]
    ratio = max(variances) / min(variances) if len(variances) > 1 and min(variances) > 0 else None
    texts = []
    if ratio is not None and ratio > 4:
        texts.append(f"The greatest variance of a condition is {ratio:.1f} times the smallest (4 is the limit)")
    for shape in shapes:
        if abs(shape.skew) > 0.5:
            what = "go by the tests without a distribution" if abs(shape.skew) > 1 else "look at the distribution"
            texts.append(f"Ratings of condition {shape.condition} are skewed by {shape.skew:.2f}: {what}")
        if shape.bimodality > 5 / 9 + 1e-12 and abs(shape.skew) < 1:
            texts.append(
                f"Ratings of condition {shape.condition} may be of two camps (bimodality {shape.bimodality:.2f})"
            )
    return Notices(shapes, ratio, tuple(texts))


def _shape(condition: int, values: Numbers) -> Shape:
    count = len(values)
    if np.ptp(values) == 0:
        return Shape(condition, count, 0.0, 0.0, 0.0)
    skew = float(stats.skew(values, bias=False))
    kurtosis = float(stats.kurtosis(values, bias=False))
    bimodality = (skew**2 + 1) / (kurtosis + 3 * (count - 1) ** 2 / ((count - 2) * (count - 3)))
    return Shape(condition, count, float(values.var(ddof=1)), skew, bimodality)


def _differences(a: ArrayLike, b: ArrayLike) -> Numbers:
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(f"{one.shape} and {other.shape} values: one of each a listener")
    differences = np.round(one - other, DECIMALS)
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        raise ValueError("no listener has both")
    return np.asarray(differences)
