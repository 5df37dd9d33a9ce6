"""What listeners gave to conditions on items, as arrays; its description, and intervals that know who said what.

The listener is the unit: ten ratings by one person are one person's opinion, not ten. So every interval and test here works on
one mean a listener (`listener_means`), and the bootstrap draws listeners, never ratings. What it is not: screening, which
decides whose ratings these are, and the store that holds them.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from separation.statistics.intervals import Interval

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]
Kind = Literal["t", "percentile", "bca", "studentised"]
DRAWS = 10_000
AT_ONCE = 4_000_000
"""Numbers that are drawn together, to bound the memory."""


@dataclass(frozen=True)
class Ratings:
    """Ratings as four columns; a listener may have left things out, and may have rated a thing twice.

    Args:
        values: ``[n]``, finite.
        listener, condition, item: ``[n]``, who rated what where, counted from 0.

    Raises:
        ValueError: the columns differ in length, a value is not finite, or a code is negative.
    """

    values: Numbers
    listener: Codes
    condition: Codes
    item: Codes

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float64)
        codes = {name: np.asarray(getattr(self, name)) for name in ("listener", "condition", "item")}
        if values.ndim != 1 or any(code.shape != values.shape for code in codes.values()):
            raise ValueError(f"{values.shape} values and {[c.shape for c in codes.values()]} codes: columns as long")
        if not np.isfinite(values).all():
            raise ValueError("some ratings are not finite; leave them out by a stated rule first")
        if any(len(code) and (code.min() < 0 or code.dtype.kind not in "iu") for code in codes.values()):
            raise ValueError("listeners, conditions and items are whole numbers from 0")
        object.__setattr__(self, "values", values)
        for name, code in codes.items():
            object.__setattr__(self, name, code.astype(np.int64))

    @property
    def listeners(self) -> int:
        """One more than the greatest code, so that results have a place for each."""
        return int(self.listener.max(initial=-1)) + 1

    @property
    def conditions(self) -> int:
        return int(self.condition.max(initial=-1)) + 1

    @property
    def items(self) -> int:
        return int(self.item.max(initial=-1)) + 1

    def where(self, kept: NDArray[np.bool_]) -> "Ratings":
        """Those where `kept` ``[n]`` is true; the codes stay as they are."""
        return Ratings(self.values[kept], self.listener[kept], self.condition[kept], self.item[kept])

    def cells(self) -> Numbers:
        """``[listener, condition, item]``: the mean of a listener's ratings of one thing, NaN where there is none."""
        shape = (self.listeners, self.conditions, self.items)
        place = np.ravel_multi_index((self.listener, self.condition, self.item), shape)
        size = int(np.prod(shape))
        counts = np.bincount(place, minlength=size)
        sums = np.bincount(place, self.values, size)
        return ratio(sums, counts).reshape(shape)


@dataclass(frozen=True)
class Description:
    """What BS.1534-3 wants of every condition, and the mean beside it.

    Args:
        ratings, listeners: how many.
        median, low_quartile, high_quartile, iqr: of all ratings; quartiles as `quartiles` says.
        mean: of the listeners' means, which is the mean of all ratings where everybody gave as many.
        deviation: standard deviation of the listeners' means; NaN for one listener.
        low, high: t interval of `mean` over listeners (`t_interval`).
    """

    ratings: int
    listeners: int
    median: float
    low_quartile: float
    high_quartile: float
    iqr: float
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Coverage:
    """How often an interval holds the truth when samples of this size are drawn from a population that looks like this one.

    Args:
        share: in [0, 1]; at 95 % confidence it should be 0.95.
        error: standard error of that share, from the number of simulated samples.
        listeners: in each sample.
    """

    share: float
    error: float
    listeners: int


def listener_means(ratings: Ratings) -> Numbers:
    """``[listener, condition]``: one mean a listener, over items, repeats averaged first; NaN where nothing was rated.

    >>> listener_means(Ratings(np.array([10.0, 30.0, 80.0]), *np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1]]))).tolist()
    [[50.0]]
    """
    cells = ratings.cells()
    return ratio(np.nansum(cells, 2), np.isfinite(cells).sum(2))


def ratio(sums: ArrayLike, counts: ArrayLike) -> Numbers:
    """Sums over counts of the same shape, NaN where the count is 0."""
    above, below = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def paired_means(ratings: Ratings, a: int, b: int) -> tuple[Numbers, Numbers]:
    """Means of conditions `a` and `b` of each listener who rated both, over the items on which they rated both.

    With an incomplete design the means of two conditions may be over different items; their difference would then be that of
    the items.
    """
    cells = ratings.cells()[:, [a, b]]
    both = np.isfinite(cells).all(1)
    counts = both.sum(1)
    one, other = (np.where(both, cells[:, k], 0.0).sum(1)[counts > 0] / counts[counts > 0] for k in (0, 1))
    return one, other


def quartiles(values: ArrayLike) -> tuple[float, float]:
    """First and third quartile as BS.1534-3 takes them: medians of the lower and the upper half, an odd one out in both.

    >>> quartiles([1, 2, 3, 4, 5])
    (2.0, 4.0)
    """
    ordered = np.sort(np.asarray(values, np.float64))
    half = (len(ordered) + 1) // 2
    return float(np.median(ordered[:half])), float(np.median(ordered[-half:]))


def far_out(values: ArrayLike) -> NDArray[np.bool_]:
    """Which values lie more than 1.5 IQR outside the quartiles (BS.1534-3 4.1.2): to be looked at, not thrown away.

    >>> far_out([50, 52, 54, 56, 99]).tolist()
    [False, False, False, False, True]
    """
    numbers = np.asarray(values, np.float64)
    low, high = quartiles(numbers)
    reach = 1.5 * (high - low)
    return (numbers < low - reach) | (numbers > high + reach)


def describe(ratings: Ratings, *, confidence: float = 0.95) -> Description:
    """Describe ratings of one condition (and of one item, if only those are given: `Ratings.where`).

    Raises:
        ValueError: there are none, or they are of several conditions.
    """
    if len(np.unique(ratings.condition)) != 1:
        raise ValueError(
            f"{len(ratings.values)} ratings of {len(np.unique(ratings.condition))} conditions: one at a time"
        )
    means = listener_means(ratings)[:, ratings.condition[0]]
    means = means[np.isfinite(means)]
    low, high = quartiles(ratings.values)
    mean = t_interval(means, confidence=confidence)
    return Description(
        ratings=len(ratings.values),
        listeners=len(means),
        median=float(np.median(ratings.values)),
        low_quartile=low,
        high_quartile=high,
        iqr=high - low,
        mean=mean.mean,
        deviation=float(means.std(ddof=1)) if len(means) > 1 else float("nan"),
        low=mean.low,
        high=mean.high,
    )


def t_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of one value a listener with Student's interval; NaN ends for a single one.

    Student, The probable error of a mean, Biometrika 6 (1), 1908. Not 1.96 standard errors: with ten listeners those hold
    the mean in 92 samples of 100, not in 95.

    >>> [round(x, 2) for x in t_interval([60.0, 70.0, 80.0])]
    [70.0, 45.16, 94.84]
    """
    numbers = _finite(values)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return Interval(mean, float("nan"), float("nan"))
    low, high = interval_bounds(numbers[None], "t", confidence, 0, np.random.default_rng(0))
    return Interval(mean, float(low[0]), float(high[0]))


def bootstrap_interval(
    values: ArrayLike, kind: Kind = "studentised", *, draws: int = DRAWS, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of one value a listener with a bootstrap interval over listeners.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993: ``percentile`` (chapter 13), ``bca`` (14.3, corrected for
    bias and skew), ``studentised`` (12.5, the bootstrap-t). A percentile interval of ten listeners holds the truth in about
    90 samples of 100, BCa in little more; the bootstrap-t keeps what it says and pays in width. `coverage` shows it.

    Args:
        values: one a listener (a column of `listener_means` without NaN).

    Returns:
        NaN ends for fewer than two listeners, and for ``studentised`` with fewer than three.

    Raises:
        ValueError: there are no values, or some are not finite.
    """
    numbers = _finite(values)
    mean = float(numbers.mean())
    if len(numbers) < (3 if kind == "studentised" else 2):
        return Interval(mean, float("nan"), float("nan"))
    low, high = interval_bounds(numbers[None], kind, confidence, draws, np.random.default_rng(seed))
    return Interval(mean, float(low[0]), float(high[0]))


def expanded_tails(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Which quantiles of bootstrap draws make up for `count` listeners being few; for those that are not means.

    Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (4), 2015 (the expanded
    percentile interval): draws spread too little by the factor sqrt(1 − 1 / count), and their tails are normal, not t.

    >>> [round(tail, 4) for tail in expanded_tails(10)]
    [0.0086, 0.9914]
    """
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * math.sqrt(count / (count - 1))
    return float(special.ndtr(-reach)), float(special.ndtr(reach))


def coverage(
    values: ArrayLike,
    kind: Kind = "t",
    *,
    scale: tuple[float, float] | None = None,
    trials: int = 1000,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Coverage:
    """How often the interval `kind` would hold the truth with as many listeners as there are values.

    Samples are drawn from a population with the mean and the deviation of `values`: normal, or, where `scale` gives the ends
    of the scale, a beta distribution between them, which is skewed near an end as such ratings are.

    Raises:
        ValueError: fewer than three values (nothing to learn a population from), or some are not finite.
    """
    numbers = _finite(values)
    count = len(numbers)
    if count < 3:
        raise ValueError(f"{count} listeners say too little about how listeners differ; there must be three")
    rng = np.random.default_rng(seed)
    mean, samples = population(numbers, scale, (trials, count), rng)
    low, high = interval_bounds(samples, kind, confidence, draws, rng)
    share = float(((low <= mean) & (mean <= high)).mean())
    return Coverage(share, float(np.sqrt(share * (1 - share) / trials)), count)


def population(
    numbers: Numbers, scale: tuple[float, float] | None, size: tuple[int, int], rng: np.random.Generator
) -> tuple[float, Numbers]:
    """Mean and samples ``[trial, listener]`` of a population like these numbers."""
    mean, deviation = float(numbers.mean()), float(numbers.std(ddof=1))
    if scale is None or not scale[0] < mean < scale[1]:
        return mean, np.asarray(rng.normal(mean, deviation, size))
    width = scale[1] - scale[0]
    share = (mean - scale[0]) / width
    strength = share * (1 - share) / max((deviation / width) ** 2, 1e-12) - 1
    if strength <= 0:  # more spread than any beta has: half the people at either end
        return mean, np.asarray(scale[0] + width * (rng.random(size) < share))
    return mean, np.asarray(scale[0] + width * rng.beta(share * strength, (1 - share) * strength, size))


def interval_bounds(
    samples: Numbers, kind: Kind, confidence: float, draws: int, rng: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """Ends of the interval of each sample's mean: ``[trial, n]`` -> two of ``[trial]``."""
    if kind == "t":
        count = samples.shape[1]
        error = samples.std(1, ddof=1) / np.sqrt(count) * stats.t.ppf((1 + confidence) / 2, count - 1)
        return samples.mean(1) - error, samples.mean(1) + error
    together = max(1, AT_ONCE // (draws * samples.shape[1]))
    parts = [
        _bootstrap_bounds(samples[start : start + together], kind, confidence, draws, rng)
        for start in range(0, len(samples), together)
    ]
    low, high = np.concatenate(parts, axis=1)
    return low, high


def _bootstrap_bounds(samples: Numbers, kind: Kind, confidence: float, draws: int, rng: np.random.Generator) -> Numbers:
    trials, count = samples.shape
    chosen = rng.integers(count, size=(trials, draws * count))
    drawn = np.take_along_axis(samples, chosen, 1).reshape(trials, draws, count)
    means = drawn.mean(2)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    mean = samples.mean(1)
    if kind == "studentised":
        error = drawn.std(2, ddof=1) / np.sqrt(count)
        scaled = ratio(means - mean[:, None], error)
        scaled[np.isnan(scaled).all(1)] = 0.0  # all listeners said the same
        low, high = np.nanquantile(scaled, tails, axis=1)
        own = samples.std(1, ddof=1) / np.sqrt(count)
        return np.stack([mean - high * own, mean - low * own])
    levels = np.asarray(np.broadcast_to(tails[:, None], (2, trials)))
    if kind == "bca":
        levels = _bca_levels(samples, means, tails)
    ordered = np.sort(means, 1)
    place = levels * (draws - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, draws - 1)
    rows = np.arange(trials)
    return np.asarray(ordered[rows, below] * (1 - (place - below)) + ordered[rows, above] * (place - below))


def _bca_levels(samples: Numbers, means: Numbers, tails: Numbers) -> Numbers:
    """Which quantiles of the draws are the ends, ``[2, trial]`` (Efron and Tibshirani 1993, equations 14.10 and 14.15)."""
    mean = samples.mean(1, keepdims=True)
    below = ((means < mean).sum(1) + 0.5 * (means == mean).sum(1)) / means.shape[1]
    bias = special.ndtri(np.clip(below, 1e-6, 1 - 1e-6))
    off = samples - mean  # the jackknife of a mean: its deviations, reversed and scaled
    spread = (off**2).sum(1)
    skew = np.nan_to_num(ratio((off**3).sum(1), 6 * spread**1.5))
    z = bias + special.ndtri(tails)[:, None]
    return np.asarray(special.ndtr(bias + z / (1 - skew * z)))


def _finite(values: ArrayLike) -> Numbers:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(f"values of shape {numbers.shape}; one finite value a listener is needed")
    return numbers
