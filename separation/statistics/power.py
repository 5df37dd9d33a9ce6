"""How many listeners does a difference need? Asked before a study, and again after it says "no difference".

Two-sided. For means: Student's t on the paired differences of the listeners' means, so `sd` is the standard deviation of those
differences, not of ratings. For votes: the normal approximation of the binomial, for votes that are independent; those of one
listener are not, which `per_listener` and `correlation` pay for.
"""

import math
from typing import Literal

import numpy as np
from scipy import optimize, stats

from separation.statistics.differences import sign_flip

MOST = 1_000_000
"""Listeners beyond which a question is called hopeless."""


def power(sd: float, n: int, difference: float, *, alpha: float = 0.05) -> float:
    """The chance that `n` listeners show a true `difference`, in [0, 1]: the paired t-test's, by the noncentral t.

    Raises:
        ValueError: `sd` is not positive, or there are fewer than two listeners.

    >>> round(power(10, 10, 10), 2)
    0.8
    """
    if not sd > 0 or n < 2:
        raise ValueError(f"a deviation of {sd} over {n} listeners: it must be positive, over two or more")
    return _chance(sd, n, difference, alpha)


def listeners_needed(sd: float, difference: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest listeners who show `difference` with at least this `power`.

    Raises:
        ValueError: `sd` or the difference is not positive, `power` is not between `alpha` and 1, or a million are too few.

    >>> listeners_needed(15, 10), listeners_needed(15, 5, power=0.9)
    (20, 97)
    """
    if not (sd > 0 and difference > 0 and alpha < power < 1):
        raise ValueError(f"deviation {sd}, difference {difference}, power {power}: nothing can be planned")
    low, high = 1, 2
    while _chance(sd, high, difference, alpha) < power:
        low, high = high, 2 * high
        if low > MOST:
            raise ValueError(f"a difference of {difference} at a deviation of {sd} needs over {MOST} listeners")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance(sd, middle, difference, alpha) >= power else (middle, high)
    return high


def smallest_difference(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference that `n` listeners show with this `power`, in the unit of `sd`.

    Raises:
        ValueError: as `power`, or `power` is not between `alpha` and 1.

    >>> round(smallest_difference(15, 20), 1)
    9.9
    """
    if not sd > 0 or n < 2 or not alpha < power < 1:
        raise ValueError(f"deviation {sd}, {n} listeners, power {power}: nothing can be planned")
    most = 1.0
    while _chance(1.0, n, most, alpha) < power:
        most *= 2
    return sd * float(optimize.brentq(lambda x: _chance(1.0, n, x, alpha) - power, 0.0, most, xtol=1e-9))


def votes_needed(
    share: float, *, power: float = 0.8, alpha: float = 0.05, per_listener: int = 1, correlation: float = 0.0
) -> int:
    """Votes that show that a true `share` of preferences is not one half.

    Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 2003, section 2.4, without continuity correction;
    times Kish's (1965) design effect 1 + (votes a listener − 1) · correlation of one listener's votes.

    Args:
        share: of those who prefer one over the other; ties count for neither.

    Raises:
        ValueError: the share is one half or not between 0 and 1, or the rest is out of range.

    >>> [votes_needed(share) for share in (0.55, 0.6, 0.65, 0.7)]
    [783, 194, 85, 47]
    """
    if not 0 < share < 1 or share == 0.5 or not alpha < power < 1 or per_listener < 1 or not 0 <= correlation <= 1:
        raise ValueError(f"share {share}, power {power}, {per_listener} votes a listener: nothing can be planned")
    guess, truth = 0.5, math.sqrt(share * (1 - share))
    votes = float(((stats.norm.isf(alpha / 2) * guess + stats.norm.ppf(power) * truth) / (share - 0.5)) ** 2)
    return math.ceil(votes * (1 + (per_listener - 1) * correlation))


def simulated_power(
    sd: float,
    n: int,
    difference: float,
    *,
    test: Literal["sign_flip", "t"] = "sign_flip",
    alpha: float = 0.05,
    trials: int = 500,
    seed: int = 0,
) -> float:
    """As `power`, by drawing `trials` studies with normal differences and counting those whose test says yes."""
    studies = np.random.default_rng(seed).normal(difference, sd, (trials, n))
    if test == "t":
        p_values = stats.ttest_1samp(studies, 0.0, axis=1).pvalue
        return float((p_values <= alpha).mean())
    found = [sign_flip(study, np.zeros(n), draws=2000, seed=seed).p for study in studies]
    return sum(p is not None and p <= alpha for p in found) / trials


def _chance(sd: float, n: int, difference: float, alpha: float) -> float:
    edge = stats.t.isf(alpha / 2, n - 1)
    away = abs(difference) / sd * math.sqrt(n)
    # On the wrong side lies less than the normal distribution has below −away; scipy has no number for it far out.
    wrong = stats.nct.cdf(-edge, n - 1, away) if away < 8 else 0.0
    return float(stats.nct.sf(edge, n - 1, away) + wrong)
