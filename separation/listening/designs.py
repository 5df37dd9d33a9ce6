"""Designs of experiments as tables of numbers: orders that balance places and neighbours, and blocks that balance company.

Pure combinatorics; `plans` says what the numbers are. E. J. Williams, "Experimental designs balanced for the estimation of
residual effects of treatments", Australian Journal of Scientific Research 2 (1949). Cyclic blocks: R. C. Bose, "On the
construction of balanced incomplete block designs", Annals of Eugenics 9 (1939).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
MOST_BLOCKS = 300
MOST_BASES = 20_000
TRIES = 400


def latin(n: int) -> Rows:
    """The cyclic Latin square ``[n, n]``: in every column each of 0 … n − 1 once.

    >>> latin(3).tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    return (np.arange(n)[:, None] + np.arange(n)) % n


def williams(n: int) -> Rows:
    """Williams' design ``[n or 2 n, n]``: equally often in every column, and equally often right after each other.

    An odd n needs each row backwards too.

    >>> williams(4).tolist()
    [[0, 3, 1, 2], [1, 0, 2, 3], [2, 1, 3, 0], [3, 2, 0, 1]]
    """
    zigzag = np.array([place // 2 if place % 2 == 0 else n - 1 - place // 2 for place in range(n)])
    rows = (zigzag + np.arange(n)[:, None]) % n
    return np.concatenate([rows, rows[:, ::-1]]) if n % 2 and n > 1 else rows


@dataclass(frozen=True)
class Blocks:
    """Sets of k of n things.

    Args:
        sets: each sorted.
        together: in how many sets two things are together: fewest and most. The same: a balanced incomplete block design.
    """

    sets: tuple[tuple[int, ...], ...]
    together: tuple[int, int]


@lru_cache(maxsize=32)
def blocks(n: int, k: int) -> Blocks:
    """Few sets of `k` of `n` things in which each is equally often, and each pair as equally often as can be.

    Cyclic designs of up to three base blocks if there is one, else all sets if they are few (balanced too), else the most even
    of seeded draws of base blocks.

    >>> blocks(7, 3)
    Blocks(sets=((0, 1, 3), (1, 2, 4), (2, 3, 5), (3, 4, 6), (0, 4, 5), (1, 5, 6), (0, 2, 6)), together=(1, 1))
    """
    if not 1 <= k <= n:
        raise ValueError(f"{k} of {n}")
    if k == n:
        return Blocks((tuple(range(n)),), (1, 1))
    bases = _difference_family(n, k)
    if bases is None and comb(n, k) > MOST_BLOCKS:
        bases = _even_family(n, k)
    if bases is not None and len(bases) * n >= comb(n, k):
        bases = None
    sets = _developed(bases, n) if bases is not None else tuple(combinations(range(n), k))
    inside = np.array([[thing in one for thing in range(n)] for one in sets], np.int64)
    pairs = (inside.T @ inside)[np.triu_indices(n, 1)]
    return Blocks(sets, (int(pairs.min()), int(pairs.max())))


def _developed(bases: tuple[tuple[int, ...], ...], n: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(sorted((thing + shift) % n for thing in base)) for base in bases for shift in range(n))


def _difference_family(n: int, k: int) -> tuple[tuple[int, ...], ...] | None:
    """At most three base blocks whose differences, taken together, are each number equally often."""
    if comb(n - 1, k - 1) > MOST_BASES:
        return None
    bases = [(0, *rest) for rest in combinations(range(1, n), k - 1)]
    counts = [_differences(base, n) for base in bases]
    at = {count: place for place, count in reversed(list(enumerate(counts)))}
    for many in (1, 2, 3):
        often, rest = divmod(many * k * (k - 1), n - 1)
        if rest or n * many > MOST_BLOCKS:
            continue
        for places in _families(counts, at, many, often):
            return tuple(bases[place] for place in places)
    return None


def _families(
    counts: list[tuple[int, ...]], at: dict[tuple[int, ...], int], many: int, often: int
) -> Iterator[tuple[int, ...]]:
    """Places of base blocks that add up to `often` of every difference."""
    if many == 3 and len(counts) > 600:
        return
    for chosen in combinations(range(len(counts)), many - 1):
        left = tuple(often - sum(counts[place][at_] for place in chosen) for at_ in range(len(counts[0])))
        if left in at and at[left] not in chosen:
            yield (*chosen, at[left])


def _differences(base: tuple[int, ...], n: int) -> tuple[int, ...]:
    """How often each of 1 … n // 2 is the (cyclic) difference of two; that of n / 2 is counted twice, as it is met twice."""
    found = [0] * (n // 2)
    for one, other in combinations(base, 2):
        apart = min((other - one) % n, (one - other) % n)
        found[apart - 1] += 2 if 2 * apart == n else 1
    return tuple(found)


def _even_family(n: int, k: int) -> tuple[tuple[int, ...], ...]:
    generator = np.random.default_rng([n, k])
    many = max(1, MOST_BLOCKS // (2 * n))

    def draw() -> tuple[tuple[int, ...], ...]:
        drawn = (generator.choice(np.arange(1, n), k - 1, replace=False) for _ in range(many))
        return tuple((0, *sorted(int(thing) for thing in one)) for one in drawn)

    def uneven(bases: tuple[tuple[int, ...], ...]) -> float:
        return float(np.var(np.sum([_differences(base, n) for base in bases], axis=0)))

    return min((draw() for _ in range(TRIES)), key=uneven)
