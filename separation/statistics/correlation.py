"""Does a metric say what listeners say? Correlation of ratings with a metric, and an interval over listeners and items at once.

Each cell is a condition on an item: the mean rating of its listeners beside the metric's value. The cells are no sample of
independent things, and their means are not certain; so listeners and items are both drawn anew (Owen's pigeonhole bootstrap,
see `crossed_bootstrap`). Correlation is about order over these items and systems; it says nothing of the next system.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from separation.statistics.ratings import AT_ONCE, Codes, Numbers, Ratings, expanded_tails, ratio

DRAWS = 1000
FEWEST_CELLS = 4


@dataclass(frozen=True)
class Coefficient:
    """A correlation in [-1, 1] with its bootstrap interval (`expanded_tails`).

    None where one side does not vary; no ends where more than one draw in twenty has none.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Correlation:
    """How ratings go with a metric.

    Args:
        spearman, kendall, pearson: Spearman's rank correlation, Kendall's tau-b, Pearson's correlation.
        within: mean over items of Spearman's correlation over the conditions of one item: does it rank systems on one song?
        cells, listeners, items: that were used.
        reason: why there is no value; empty if there is one.
    """

    spearman: Coefficient
    kendall: Coefficient
    pearson: Coefficient
    within: Coefficient
    cells: int
    listeners: int
    items: int
    reason: str = ""


def correlate(
    ratings: Ratings, metric: ArrayLike, *, draws: int = DRAWS, confidence: float = 0.95, seed: int = 0
) -> Correlation:
    """Correlate mean ratings with a metric of the same conditions and items.

    Args:
        metric: ``[condition, item]``; NaN where it has no value (that cell is left out).

    Raises:
        ValueError: the table does not have a place for every condition and item.
    """
    table = np.asarray(metric, np.float64)
    if table.ndim != 2 or table.shape[0] < ratings.conditions or table.shape[1] < ratings.items:
        raise ValueError(
            f"a metric of {table.shape}; {ratings.conditions} conditions by {ratings.items} items have ratings"
        )
    rated = ratings.cells()
    rated = rated[np.isfinite(rated).any((1, 2))]
    table = table[: ratings.conditions, : ratings.items]
    table = np.where(np.isfinite(rated).any(0), table, np.nan)
    used = np.isfinite(table)
    keep = used.any(0)
    rated, table = rated[:, :, keep], table[:, keep]
    counts = (int(used.sum()), len(rated), int(keep.sum()))
    if counts[0] < FEWEST_CELLS:
        none = Coefficient(None, None, None)
        return Correlation(none, none, none, none, *counts, f"{counts[0]} cells; {FEWEST_CELLS} are needed")
    once = np.ones((1, len(rated))), np.arange(counts[2])[None]
    values = _coefficients(rated, table, *once)[:, 0]
    drawn = _drawn(rated, table, draws, seed)
    tails = expanded_tails(min((count for count in counts[1:] if count > 1), default=2), confidence)
    spearman, kendall, pearson, within = (
        _coefficient(value, column, tails) for value, column in zip(values, drawn, strict=True)
    )
    reason = "" if spearman.value is not None else "the ratings or the metric do not vary"
    return Correlation(spearman, kendall, pearson, within, *counts, reason)


def _drawn(rated: Numbers, table: Numbers, draws: int, seed: int) -> Numbers:
    """``[coefficient, draw]``"""
    listeners, conditions, items = rated.shape
    rng = np.random.default_rng(seed)
    together = max(1, AT_ONCE // (conditions * items) ** 2)
    parts = []
    for start in range(0, draws, together):
        count = min(together, draws - start)
        weights = rng.multinomial(listeners, np.full(listeners, 1 / listeners), size=count).astype(np.float64)
        parts.append(_coefficients(rated, table, weights, rng.integers(items, size=(count, items))))
    return np.concatenate(parts, 1)


def _coefficients(rated: Numbers, table: Numbers, weights: Numbers, chosen: Codes) -> Numbers:
    """Spearman, Kendall, Pearson, within: ``[4, draw]``; weights ``[draw, listener]``, chosen items ``[draw, item]``."""
    known = np.isfinite(rated)
    flat = rated.shape[1] * rated.shape[2]
    count = weights @ known.reshape(-1, flat)
    total = weights @ np.where(known, rated, 0.0).reshape(-1, flat)
    means = ratio(total, count).reshape(-1, *rated.shape[1:])
    x = np.take_along_axis(means, chosen[:, None], 2)
    y = np.moveaxis(table[:, chosen], 1, 0)
    missing = np.isnan(x) | np.isnan(y)
    x, y = np.where(missing, np.nan, x), np.where(missing, np.nan, y)
    per_item = _pearson(_ranks(np.swapaxes(x, 1, 2)), _ranks(np.swapaxes(y, 1, 2)))
    within = ratio(np.nansum(per_item, 1), np.isfinite(per_item).sum(1))
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    return np.stack([_pearson(_ranks(x), _ranks(y)), _kendall(x, y), _pearson(x, y), within])


def _ranks(values: Numbers) -> Numbers:
    """Mean ranks along the last axis; NaN stays NaN and has no rank."""
    missing = np.isnan(values)
    ranks = stats.rankdata(np.where(missing, np.inf, np.round(values, 9)), axis=-1)
    return np.where(missing, np.nan, ranks)


def _pearson(x: Numbers, y: Numbers) -> Numbers:
    """Pearson's correlation along the last axis, without the pairs with NaN; NaN where one side does not vary."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(-1, keepdims=True), 1)
    x, y = (np.where(known, v - np.where(known, v, 0.0).sum(-1, keepdims=True) / count, 0.0) for v in (x, y))
    spread = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return ratio((x * y).sum(-1), np.where(spread > 1e-9, spread, 0.0))


def _kendall(x: Numbers, y: Numbers) -> Numbers:
    """Kendall's tau-b along the last axis of ``[draw, n]``; pairs with NaN count for nothing."""
    a, b = (np.nan_to_num(np.sign(np.round(v[:, :, None] - v[:, None, :], 9))) for v in (x, y))
    spread = np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2)))
    return ratio((a * b).sum((1, 2)), spread)


def _coefficient(value: float, drawn: Numbers, tails: tuple[float, float]) -> Coefficient:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or len(known) < 0.95 * len(drawn):
        return Coefficient(float(value) if np.isfinite(value) else None, None, None)
    low, high = np.quantile(known, tails)
    return Coefficient(float(value), float(low), float(high))
