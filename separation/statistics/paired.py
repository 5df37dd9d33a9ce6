"""Two models on the same tracks: by how much they differ, how sure that is, and what many such questions cost.

A track is the unit, never a segment: the seconds of one song are not independent, and ten thousand of them are no more
evidence than the songs they come from. Below `FEWEST` pairs no p-value is given, because hardly any outcome could be called
surprising. A p-value is not the size of a difference; that is what `difference` and `effect` are for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from separation.statistics.intervals import bootstrap_median

ENUMERATED = 13
"""Pairs up to which every pattern of signs is tried."""
FEWEST = 10
"""Pairs from which on a p-value and an effect size are given."""

DECIMALS = 9
"""To which differences are rounded, so that what is equal in exact arithmetic is a tie or a zero here."""


@dataclass(frozen=True)
class Paired:
    """What pairs of numbers say.

    Args:
        difference: the median of a - b, in their unit.
        low, high: its 95 % interval (`bootstrap_median`); NaN for a single pair.
        count: pairs.
        p: two-sided Wilcoxon signed-rank test: how surprising these differences would be if they lay symmetrically about
            zero. None below `FEWEST` pairs.
        effect: matched-pairs rank-biserial correlation in [-1, 1], positive where a is greater; None likewise.
        reason: why there is no p-value; empty if there is one.
    """

    difference: float
    low: float
    high: float
    count: int
    p: float | None
    effect: float | None
    reason: str = ""


@dataclass(frozen=True)
class PairedAnswers:
    """What pairs of yes and no say.

    Args:
        difference: share of yes in a minus share of yes in b, in [-1, 1].
        only_a, only_b: pairs in which only this one says yes. All else tells nothing about the difference.
        count: pairs.
        p: two-sided exact McNemar test; None below `FEWEST` pairs.
        reason: why there is no p-value; empty if there is one.
    """

    difference: float
    only_a: int
    only_b: int
    count: int
    p: float | None
    reason: str = ""


def paired(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Paired:
    """Compare two models by one number a track.

    The test is Wilcoxon's (1945) with his own rule for zeros, which is also that of R and of scipy: tracks without a difference
    favour neither model and are left out. Ties share their mean rank. The distribution is exact up to 50 pairs without ties,
    enumerated up to 13 pairs with them, and otherwise normal with the variance corrected for ties (`scipy.stats.wilcoxon`).
    The effect size is Kerby's (2014) simple difference, (sum of positive ranks - sum of negative ranks) / their sum.

    Args:
        a, b: in the same order of tracks.
        seed: of the bootstrap.

    Raises:
        ValueError: the lists differ in length or are empty, or a value is not finite (leave such tracks out by a stated rule).

    >>> result = paired([5.1, 6.3, 4.0], [4.9, 5.8, 4.1])
    >>> round(result.difference, 3), result.p, result.reason
    (0.2, None, '3 pairs; below 10 there is no p-value')
    """
    _check_lengths(a, b)
    differences = np.round(np.asarray(a, np.float64) - np.asarray(b, np.float64), DECIMALS)
    middle = bootstrap_median(differences.tolist(), seed=seed)
    if len(a) < FEWEST:
        return Paired(*middle, len(a), None, None, _too_few(len(a)))
    if not differences.any():
        return Paired(*middle, len(a), 1.0, 0.0)
    p = signed_rank(differences[differences != 0])
    return Paired(*middle, len(a), p, rank_biserial(differences))


def signed_rank(differences: NDArray[np.float64]) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test of differences that are not zero, as `scipy.stats.wilcoxon` has it.

    Few pairs are enumerated here: scipy does it by its general permutation test, which takes a second where there are ties.
    """
    if len(differences) > ENUMERATED:
        return float(stats.wilcoxon(differences).pvalue)
    ranks = stats.rankdata(np.abs(differences))
    signs = (np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks))) & 1
    sums, seen = signs @ ranks, ranks[differences > 0].sum()
    near = 1e-9  # sums of half ranks are not exact
    return min(1.0, 2 * float(min((sums >= seen - near).mean(), (sums <= seen + near).mean())))


def rank_biserial(differences: NDArray[np.float64]) -> float:
    """Sum of positive minus sum of negative ranks of the differences, over their sum; zeros are left out.

    >>> rank_biserial(np.array([1.0, 2.0, -3.0, 4.0]))
    0.4
    """
    differences = differences[differences != 0]
    ranks = stats.rankdata(np.abs(differences))
    return float((np.sign(differences) * ranks).sum() / ranks.sum()) if len(ranks) else 0.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for being many: with all at most 0.05 the chance of even one false alarm is 5 %.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979. None stays None
    and is not counted: that question was not asked.

    Raises:
        ValueError: a value is not in [0, 1].

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    asked = [p for p in p_values if p is not None]
    if not all(0 <= p <= 1 for p in asked):
        raise ValueError(f"p-values lie between 0 and 1, not {asked}")
    corrected = iter(multipletests(asked, method="holm")[1].tolist() if asked else [])
    return [None if p is None else float(next(corrected)) for p in p_values]


def paired_answers(a: Sequence[bool], b: Sequence[bool]) -> PairedAnswers:
    """Compare two models by one yes or no a track, e.g. "did it hear when the voice is silent?".

    McNemar (1947), with the exact binomial distribution of the pairs that disagree. The pairs must be independent: of frames
    that follow each other in one track this test is far too sure.

    Raises:
        ValueError: the lists differ in length or are empty.

    >>> paired_answers([True] * 9 + [False], [False] * 8 + [True] * 2)
    PairedAnswers(difference=0.7, only_a=8, only_b=1, count=10, p=0.0390625, reason='')
    """
    _check_lengths(a, b)
    one, other = np.asarray(a, bool), np.asarray(b, bool)
    only_a, only_b = int((one & ~other).sum()), int((~one & other).sum())
    difference = (only_a - only_b) / len(one)
    if len(one) < FEWEST:
        return PairedAnswers(difference, only_a, only_b, len(one), None, _too_few(len(one)))
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    p = float(mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue)
    return PairedAnswers(difference, only_a, only_b, len(one), p)


def _too_few(count: int) -> str:
    return f"{count} pair{'s' if count != 1 else ''}; below {FEWEST} there is no p-value"


def _check_lengths(a: Sequence[object], b: Sequence[object]) -> None:
    if len(a) != len(b) or len(a) == 0:
        raise ValueError(f"{len(a)} and {len(b)} values: pairs must be as many, and not none")
