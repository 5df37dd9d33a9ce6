"""Do several people say the same of the same thing? Krippendorff's alpha, with an interval over the things.

The value comes from the package `krippendorff`, whose only keeper is this room; the draws of the interval are computed here all
at once (a hundred times as fast, and a test holds them to the package). Alpha is about the judges, not about what they judged:
low agreement does not make a mean wrong, it says how many answers a mean needs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import krippendorff
import numpy as np
from numpy.typing import NDArray

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
    counts = np.array([[unit.count(point) for point in points] for unit in judged], np.int64).reshape(-1, len(points))
    if (counts.sum(0) > 0).sum() < 2:
        return Alpha(None, None, None, len(judged), int(counts.sum()))
    value = krippendorff.alpha(value_counts=counts, value_domain=list(points), level_of_measurement="ordinal")
    low = high = None
    if len(judged) > 1:
        share = np.full(len(judged), 1 / len(judged))
        drawn = np.random.default_rng(seed).multinomial(len(judged), share, size=DRAWS)
        alphas = alphas_of(counts, drawn)
        known = alphas[np.isfinite(alphas)]
        if len(known) >= 0.95 * DRAWS:
            tail = (1 - confidence) / 2
            low, high = (float(edge) for edge in np.quantile(known, [tail, 1 - tail]))
    return Alpha(float(value), low, high, len(judged), int(counts.sum()))


def alphas_of(counts: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ordinal alpha of many weightings of the same units ``[draw]``; NaN where all answers that count are the same.

    Krippendorff (2011): one minus observed over expected disagreement, both sums over the coincidences of two points times
    their squared distance. On an ordered scale that distance is the difference of the points' mean ranks.

    Args:
        counts: answers of each unit on each point ``[unit, point]``, two or more a unit.
        weights: how often each unit counts ``[draw, unit]``.
    """
    judges = counts.sum(1)
    pairs = counts[:, :, None] * counts[:, None, :] - np.eye(counts.shape[1]) * counts[:, :, None]
    observed = np.tensordot(weights, pairs / (judges - 1)[:, None, None], 1)
    total = observed.sum(2)
    rank = total.cumsum(1) - total / 2
    distance = (rank[:, :, None] - rank[:, None, :]) ** 2
    expected = np.einsum("di,dj,dij->d", total, total, distance) / (total.sum(1) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (observed * distance).sum((1, 2)) / expected, np.nan)
