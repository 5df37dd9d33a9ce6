"""Intervals by the bootstrap: for means of clustered values, and for the median over tracks.

Clips of one song, or mixtures of one pair of speakers, are not independent; resampling them one by one would make every
interval too narrow. So whole clusters are drawn. A median has no clusters here: its values are one a track already.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
AT_ONCE = 100
"""Draws that are computed together."""


class Interval(NamedTuple):
    """A mean and the percentile interval around it."""

    mean: float
    low: float
    high: float


class MedianInterval(NamedTuple):
    """A median and the percentile interval around it."""

    median: float
    low: float
    high: float


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The (weighted) mean of `values` with a bootstrap interval over `clusters`.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval). With one cluster the
    interval is undefined and returned as NaN.

    Raises:
        ValueError: the lists differ in length or are empty, or a value is not finite (decide about those before).

    >>> cluster_bootstrap([1.0, 3.0], ["a", "b"]).mean
    2.0
    """
    if not values or len(values) != len(clusters) or (weights is not None and len(weights) != len(values)):
        raise ValueError(f"{len(values)} values, {len(clusters)} clusters: they must be as many, and not none")
    if not np.isfinite(values).all():
        raise ValueError("some values are not finite; leave them out by a stated rule first")
    names = sorted(set(clusters))
    place = np.array([names.index(c) for c in clusters])
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    sums = np.bincount(place, weight * np.asarray(values, np.float64), len(names))
    totals = np.bincount(place, weight, len(names))
    mean = float(sums.sum() / totals.sum())
    if len(names) < 2:
        return Interval(mean, float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).integers(len(names), size=(DRAWS, len(names)))
    means = sums[drawn].sum(1) / totals[drawn].sum(1)
    return Interval(mean, *_percentiles(means, confidence))


def crossed_bootstrap(
    values: Sequence[float],
    judges: Sequence[str],
    things: Sequence[str],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of `values` with an interval over those who judged and over what they judged, both at once.

    Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2), 2007: judges and things are drawn apart, and a value
    counts as often as its judge times its thing. That is the safe side: the interval is never narrower than that over either
    one. Where there is one judge, or one thing, only the other is drawn; with one of each the interval is NaN.

    Raises:
        ValueError: as `cluster_bootstrap`.

    >>> crossed_bootstrap([1.0, 3.0], ["a", "b"], ["x", "y"]).mean
    2.0
    """
    if not values or not len(values) == len(judges) == len(things) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values of {len(judges)} judges and {len(things)} things: as many, all finite")
    number = np.asarray(values, np.float64)
    (names_a, a), (names_b, b) = (np.unique(np.asarray(names), return_inverse=True) for names in (judges, things))
    mean = float(number.mean())
    if max(len(names_a), len(names_b)) < 2:
        return Interval(mean, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    means = np.empty(0)
    while len(means) < DRAWS:
        weight = _counts(rng, len(names_a))[:, a] * _counts(rng, len(names_b))[:, b]
        weight = weight[weight.any(1)]  # a draw may miss every pair of a sparse table
        means = np.concatenate([means, weight @ number / weight.sum(1)])
    return Interval(mean, *_percentiles(means[:DRAWS], confidence))


def _counts(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """``[AT_ONCE, count]``: how often each is drawn in `count` draws with replacement; a single one always once."""
    return rng.multinomial(count, np.full(count, 1 / count), size=AT_ONCE)


def bootstrap_median(values: Sequence[float], *, confidence: float = 0.95, seed: int = 0) -> MedianInterval:
    """The median of `values` with a bootstrap interval over them, for one number a track.

    As `cluster_bootstrap` with every value its own cluster: the same seed draws the same tracks. The interval can only begin
    and end at (the middle of two) values that are there, so that of few tracks it is coarse; with one it is NaN.

    Raises:
        ValueError: there are no values, or some are not finite (decide about those before).

    >>> bootstrap_median([1.0, 2.0, 9.0]).median
    2.0
    """
    if len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"{len(values)} values; there must be some, all finite: leave others out by a stated rule first"
        )
    numbers = np.asarray(values, np.float64)
    median = float(np.median(numbers))
    if len(numbers) < 2:
        return MedianInterval(median, float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).integers(len(numbers), size=(DRAWS, len(numbers)))
    return MedianInterval(median, *_percentiles(np.median(numbers[drawn], axis=1), confidence))


def _percentiles(draws: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
