"""Intervals for means of clustered values.

Clips of one song, or mixtures of one pair of speakers, are not independent; resampling them one by one would make every
interval too narrow. So whole clusters are drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 2000


class Interval(NamedTuple):
    """A mean and the percentile interval around it."""

    mean: float
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
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(low), float(high))
