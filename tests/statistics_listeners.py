"""Listeners made by rule, for the tests of this room: their ratings and their votes."""

import numpy as np
from numpy.typing import NDArray

from separation.statistics import Comparisons, Ratings


def study(
    listeners: int = 12,
    conditions: int = 4,
    items: int = 5,
    *,
    step: float = 0.0,
    people: float = 8.0,
    tastes: float = 0.0,
    songs: float = 4.0,
    noise: float = 6.0,
    missing: float = 0.0,
    seed: int = 0,
) -> Ratings:
    """Everybody rates everything once; each condition is `step` above the one before, and the rest are standard deviations."""
    rng = np.random.default_rng(seed)
    shape = (listeners, conditions, items)
    values = (
        50
        + step * np.arange(conditions)[:, None]
        + rng.normal(0, people, (listeners, 1, 1))
        + rng.normal(0, tastes, (listeners, conditions, 1))
        + rng.normal(0, songs, (1, 1, items))
        + rng.normal(0, noise, shape)
    )
    kept = rng.random(shape) >= missing
    listener, condition, item = np.nonzero(kept)
    return Ratings(values[kept], listener, condition, item)


def votes(
    strengths: list[float],
    *,
    tie: float = -1.0,
    side: float = 0.0,
    listeners: int = 40,
    each: int = 20,
    tastes: float = 0.0,
    seed: int = 0,
) -> Comparisons:
    """Random pairs, judged by Davidson's model; `tastes` is how far listeners' own strengths deviate."""
    rng = np.random.default_rng(seed)
    count, systems = listeners * each, len(strengths)
    who = np.repeat(np.arange(listeners), each)
    left = rng.integers(systems, size=count)
    right = (left + rng.integers(1, systems, size=count)) % systems
    own = np.array(strengths) + rng.normal(0, tastes, (listeners, systems))
    lean = own[who, left] - own[who, right] + side
    chance = np.exp(np.stack([lean / 2, -lean / 2, np.full(count, tie)], 1))
    chance /= chance.sum(1, keepdims=True)
    drawn: NDArray[np.int64] = (rng.random(count)[:, None] > chance.cumsum(1)).sum(1)
    return Comparisons(left, right, np.array(["left", "right", "tie"])[drawn], who)
