"""Choices: is a difference heard at all (ABX), and who is preferred (Bradley-Terry with ties and a favourite side).

Votes of one listener hang together, so intervals draw whole listeners, never votes. "Both bad" is no vote between two systems:
count it apart (`Standing` has no place for it) or call it a tie, and say which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from separation.statistics.intervals import Interval
from separation.statistics.ratings import AT_ONCE, Codes, Numbers, expanded_tails, t_interval

Outcome = Literal["left", "right", "tie"]
OUTCOMES: tuple[Outcome, ...] = ("left", "right", "tie")
PENALTY = 0.1
"""A normal prior with a deviation of 3.2 log-odds: hardly felt, but strengths stay finite where somebody never lost."""
FEWEST_VOTES = 30
"""From which on a system is listed."""
STEPS = 100


@dataclass(frozen=True)
class Abx:
    """One listener's ABX trials, or a panel's.

    Args:
        correct, count: trials.
        share: correct of all.
        p: exact binomial, one-sided: the chance of so many right by guessing. For a panel it tests "nobody hears anything",
            for which the trials of all are independent.
        low, high: of the share. One listener: Clopper and Pearson's exact interval; a panel: `t_interval` of the listeners'
            shares, because those differ.
        listeners: how many.
    """

    correct: int
    count: int
    share: float
    p: float
    low: float
    high: float
    listeners: int = 1


@dataclass(frozen=True)
class Comparisons:
    """Votes between two systems.

    Args:
        left, right: ``[n]``, the systems on either side (or first and second), counted from 0.
        outcome: ``[n]``, which side was preferred: ``left``, ``right`` or ``tie``.
        listener: ``[n]``, who voted, counted from 0.

    Raises:
        ValueError: the columns differ in length, a system meets itself, or an outcome is none of the three.
    """

    left: Codes
    right: Codes
    outcome: Sequence[str] | NDArray[np.str_]
    listener: Codes

    def __post_init__(self) -> None:
        columns = {name: np.asarray(getattr(self, name)) for name in ("left", "right", "outcome", "listener")}
        if len({column.shape for column in columns.values()}) != 1 or columns["left"].ndim != 1:
            raise ValueError(f"columns of {[column.shape for column in columns.values()]}: they must be as long")
        unknown = set(columns["outcome"].tolist()) - set(OUTCOMES)
        if unknown:
            raise ValueError(f"outcomes are left, right or tie, not {sorted(map(str, unknown))}")
        codes = {name: columns[name].astype(np.int64) for name in ("left", "right", "listener")}
        if any((code < 0).any() for code in codes.values()) or (codes["left"] == codes["right"]).any():
            raise ValueError("systems and listeners are counted from 0, and a system does not meet itself")
        object.__setattr__(self, "outcome", columns["outcome"].astype(str))
        for name, code in codes.items():
            object.__setattr__(self, name, code)


@dataclass(frozen=True)
class Standing:
    """One system in a `Ranking`.

    Args:
        strength: log-odds scale, 0 the mean of its group: a system 1 above another wins e times as often as it loses.
        low, high: 95 % interval over listeners; NaN with fewer than two, or without votes.
        best_rank, worst_rank: 1 + how many are surely better; systems − how many are surely worse (each pair's interval over
            the same draws). Only within its group.
        votes: comparisons it took part in.
        group: systems that were never compared, not even through others, are in different groups, and their strengths
            cannot be compared.
        enough: at least as many votes as was asked for.
    """

    strength: float
    low: float
    high: float
    best_rank: int
    worst_rank: int
    votes: int
    group: int
    enough: bool


@dataclass(frozen=True)
class Ranking:
    """Systems by preference.

    Args:
        standings: one a system, by its number.
        tie: log of Davidson's ν: e to it is how often equals tie, over how often one of them wins; None with half ties.
        side_bias: log-odds by which the left one is preferred whoever it is, with its interval; all 0 without a side term.
        covariance: ``[system, system]`` of the strengths by the curvature of the penalised likelihood. For choosing what to
            ask next, not for reporting: it takes votes for independent.
        connected: all systems are in one group.
        separated: some systems never lost to some others, not even through a chain: only the penalty keeps them apart by a
            finite amount.
        listeners, votes, ties: how many.
        converged: of the fit and of all its draws.
    """

    standings: tuple[Standing, ...]
    tie: float | None
    side_bias: Interval
    covariance: tuple[tuple[float, ...], ...]
    connected: bool
    separated: bool
    listeners: int
    votes: int
    ties: int
    converged: bool

    @property
    def strengths(self) -> tuple[float, ...]:
        return tuple(standing.strength for standing in self.standings)

    @property
    def order(self) -> tuple[int, ...]:
        """Systems, the strongest first."""
        return tuple(sorted(range(len(self.standings)), key=lambda k: -self.standings[k].strength))


def abx(correct: int, count: int, *, confidence: float = 0.95) -> Abx:
    """Did one listener do better than guessing?

    Raises:
        ValueError: not 0 <= correct <= count, or no trial.

    >>> round(abx(12, 16).p, 4)
    0.0384
    """
    if not 0 <= correct <= count or count == 0:
        raise ValueError(f"{correct} correct of {count} trials")
    test = stats.binomtest(correct, count, 0.5, alternative="greater")
    interval = stats.binomtest(correct, count).proportion_ci(confidence, "exact")
    return Abx(correct, count, correct / count, float(test.pvalue), float(interval.low), float(interval.high))


def abx_panel(correct: Sequence[int], counts: Sequence[int], *, confidence: float = 0.95) -> Abx:
    """Did a panel, `correct` of `counts` trials each listener?

    Raises:
        ValueError: as `abx`, or the lists differ in length.
    """
    lists = len(correct) == len(counts) and len(counts) > 0
    if not lists or any(not 0 <= right <= count or count == 0 for right, count in zip(correct, counts, strict=True)):
        raise ValueError(f"{list(correct)} correct of {list(counts)} trials")
    whole = abx(sum(correct), sum(counts), confidence=confidence)
    if len(correct) == 1:
        return whole
    shares = t_interval(np.divide(correct, counts), confidence=confidence)
    low, high = max(shares.low, 0.0), min(shares.high, 1.0)
    return Abx(whole.correct, whole.count, whole.share, whole.p, low, high, len(correct))


def abx_needed(count: int, *, alpha: float = 0.05) -> int | None:
    """The fewest correct of `count` that guessing reaches at most `alpha` of the time; None if not even all are enough.

    >>> [abx_needed(n) for n in (10, 16, 20, 30)]
    [9, 12, 15, 20]
    """
    needed = int(stats.binom.isf(alpha, count, 0.5)) + 1
    return needed if needed <= count else None


def bradley_terry(
    comparisons: Comparisons,
    *,
    systems: int | None = None,
    ties: Literal["davidson", "half"] = "davidson",
    side: bool = True,
    penalty: float = PENALTY,
    fewest_votes: int = FEWEST_VOTES,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Ranking:
    """Strengths of systems from votes between two of them, with intervals over listeners.

    Bradley and Terry, Biometrika 39, 1952, with ties by Davidson, JASA 65, 1970, equation 2.4, and an order effect by Davidson
    and Beaver, Biometrics 33, 1977. With ``d = strength of left − strength of right + side``, log-odds of left, right and tie
    are ``d / 2``, ``−d / 2`` and ``log ν``. Half of `penalty` times the squared parameters is taken from the likelihood: that
    moves a strength little, and keeps it finite where a system never lost, or was never compared. Each draw takes as many
    listeners as there are, with all their votes, and is fitted anew; intervals are percentiles at `expanded_tails`.

    Args:
        systems: how many there are; None: those that have votes.
        ties: ``davidson``, or ``half`` a win to either, as other arenas count.
        side: fit that one side is preferred.

    Raises:
        ValueError: there are no votes, or one is for a system beyond `systems`.
    """
    if len(comparisons.left) == 0:
        raise ValueError("no votes; there is nothing to rank")
    count = int(max(comparisons.left.max(), comparisons.right.max())) + 1
    if systems is not None and systems < count:
        raise ValueError(f"a vote for system {count - 1} of only {systems}")
    model = _Model(comparisons, systems or count, ties == "davidson", side, penalty)
    best, sure = model.fit(model.counts[None])
    if model.listeners == 1:
        return _ranking(model, best[0], best, fewest_votes, confidence, sure)
    rng = np.random.default_rng(seed)
    share = np.full(model.listeners, 1 / model.listeners)
    parts = []
    together = max(1, AT_ONCE // model.design.size)
    for start in range(0, draws, together):
        weights = rng.multinomial(model.listeners, share, size=min(together, draws - start))
        drawn, all_sure = model.fit(model.weighted(weights), start=best)
        parts.append(drawn)
        sure = sure and all_sure
    return _ranking(model, best[0], np.concatenate(parts), fewest_votes, confidence, sure)


class _Model:
    """The likelihood of votes that are counted by pair and outcome; all draws are fitted at once by Newton's method."""

    def __init__(self, comparisons: Comparisons, systems: int, davidson: bool, side: bool, penalty: float) -> None:
        pairs, cell = np.unique(np.stack([comparisons.left, comparisons.right], 1), axis=0, return_inverse=True)
        people, who = np.unique(comparisons.listener, return_inverse=True)
        what = np.array([OUTCOMES.index(word) for word in comparisons.outcome])  # type: ignore[arg-type]
        place = (who.ravel(), cell.ravel() * 3 + what)
        self.by_listener = coo_array((np.ones(len(what)), place), shape=(len(people), len(pairs) * 3)).tocsr()
        self.counts = self.weighted(np.ones((1, len(people))))[0]
        self.listeners = len(people)
        self.pairs, self.systems, self.davidson, self.side, self.penalty = pairs, systems, davidson, side, penalty
        # A row a pair: how the difference d depends on the parameters (strengths, side, log ν).
        self.design = np.zeros((len(pairs), systems + 2))
        self.design[np.arange(len(pairs)), pairs[:, 0]] = 1.0
        self.design[np.arange(len(pairs)), pairs[:, 1]] = -1.0
        self.design[:, systems] = float(side)

    def weighted(self, weights: NDArray[np.float64] | Codes) -> Numbers:
        """Votes ``[draw, pair, outcome]`` with each listener's as often as `weights` ``[draw, listener]`` says."""
        return np.asarray((self.by_listener.T @ weights.T).T, np.float64).reshape(len(weights), -1, 3)

    def fit(self, counts: Numbers, start: Numbers | None = None) -> tuple[Numbers, bool]:
        """Parameters ``[draw, system + 2]`` of counts ``[draw, pair, outcome]``, and whether all converged."""
        counts = counts if self.davidson else _halved(counts)
        size = self.systems + 2
        theta = np.repeat(np.zeros((1, size)) if start is None else start, len(counts), 0)
        value = self._loss(theta, counts)
        for _ in range(STEPS):
            gradient, curvature = self._derivatives(theta, counts)
            step = np.asarray(np.linalg.solve(curvature, gradient[..., None])[..., 0], np.float64)
            if np.abs(step).max() < 1e-8:
                return theta, True
            theta, value = self._descend(theta, step, value, counts)
        return theta, False

    def _descend(self, theta: Numbers, step: Numbers, value: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
        """The step, halved in those draws where it would go uphill."""
        length = np.ones(len(theta))
        for _ in range(30):
            tried = theta - length[:, None] * step
            reached = self._loss(tried, counts)
            uphill = reached > value + 1e-10 * np.abs(value)
            if not uphill.any():
                break
            length[uphill] /= 2
        return tried, reached

    def _logits(self, theta: Numbers) -> Numbers:
        difference = theta @ self.design.T
        tie = np.broadcast_to(theta[:, -1:], difference.shape) if self.davidson else np.full(difference.shape, -np.inf)
        return np.stack([difference / 2, -difference / 2, tie], -1)

    def _loss(self, theta: Numbers, counts: Numbers) -> Numbers:
        logits = self._logits(theta)
        seen = np.where(counts > 0, logits, 0.0)
        total = np.logaddexp.reduce(logits, -1)
        return np.asarray(
            (total * counts.sum(-1) - (seen * counts).sum(-1)).sum(-1) + self.penalty / 2 * (theta**2).sum(-1)
        )

    def _derivatives(self, theta: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
        logits = self._logits(theta)
        chance = np.exp(logits - np.logaddexp.reduce(logits, -1)[..., None])
        votes = counts.sum(-1)
        lean = chance[..., 0] - chance[..., 1]
        by_d = (votes * lean - (counts[..., 0] - counts[..., 1])) / 2
        gradient = by_d @ self.design + self.penalty * theta
        gradient[:, -1] += (votes * chance[..., 2] - counts[..., 2]).sum(-1)
        curved = votes * (1 - chance[..., 2] - lean**2) / 4
        curvature = (self.design.T[None] * curved[:, None]) @ self.design
        mixed = (-votes * lean * chance[..., 2] / 2) @ self.design
        curvature[:, :, -1] += mixed
        curvature[:, -1, :] += mixed
        curvature[:, -1, -1] += (votes * chance[..., 2] * (1 - chance[..., 2])).sum(-1)
        diagonal = np.arange(curvature.shape[1])
        curvature[:, diagonal, diagonal] += self.penalty
        return gradient, curvature

    def covariance(self, theta: Numbers) -> Numbers:
        """Of the strengths by the likelihood's curvature, which takes votes for independent."""
        counts = self.counts[None]
        _, curvature = self._derivatives(theta[None], counts if self.davidson else _halved(counts))
        return np.linalg.inv(curvature[0])[: self.systems, : self.systems]

    def groups(self, strong: bool) -> tuple[int, Codes]:
        """Systems that are linked by votes; `strong`: by wins in either direction."""
        counts = self.counts
        left, right = self.pairs.T
        wins = [counts[:, 0] + counts[:, 2] > 0, counts[:, 1] + counts[:, 2] > 0]
        above = np.concatenate([left[wins[0]], right[wins[1]]])
        below = np.concatenate([right[wins[0]], left[wins[1]]])
        graph = coo_array((np.ones(len(above)), (above, below)), shape=(self.systems, self.systems))
        number, labels = connected_components(graph, directed=True, connection="strong" if strong else "weak")
        return int(number), labels.astype(np.int64)


def _halved(counts: Numbers) -> Numbers:
    """Ties as half a win to either side."""
    half = counts[..., 2:] / 2
    return np.concatenate([counts[..., :2] + half, np.zeros_like(half)], -1)


def _ranking(
    model: _Model, best: Numbers, drawn: Numbers, fewest_votes: int, confidence: float, converged: bool
) -> Ranking:
    number, group = model.groups(strong=False)
    listeners, systems = model.listeners, model.systems
    strength, draws = (_centred(values[..., :systems], group) for values in (best, drawn))
    tails = expanded_tails(listeners, confidence) if listeners > 1 else []
    unknown = np.full(systems + 1, np.nan)
    if listeners > 1:
        low, high = np.quantile(np.column_stack([draws, drawn[:, systems]]), tails, axis=0)
        between = np.quantile(draws[:, :, None] - draws[:, None, :], tails, axis=0)
    else:
        low = high = unknown
        between = np.stack([np.full((systems, systems), -np.inf), np.full((systems, systems), np.inf)])
    same = group[:, None] == group
    worse = (same & (between[0] > 0)).sum(1)  # systems that this one surely beats
    better = (same & (between[1] < 0)).sum(1)
    votes = np.bincount(model.pairs.ravel(), np.repeat(model.counts.sum(1), 2), systems).astype(int)
    standings = tuple(
        Standing(
            strength=float(strength[k]),
            low=float(low[k]) if votes[k] else float("nan"),
            high=float(high[k]) if votes[k] else float("nan"),
            best_rank=1 + int(better[k]),
            worst_rank=int(same[k].sum() - worse[k]),
            votes=int(votes[k]),
            group=int(group[k]),
            enough=bool(votes[k] >= fewest_votes),
        )
        for k in range(systems)
    )
    side = (
        Interval(float(best[systems]), float(low[systems]), float(high[systems])) if model.side else Interval(0, 0, 0)
    )
    return Ranking(
        standings=standings,
        tie=float(best[-1]) if model.davidson else None,
        side_bias=side,
        covariance=tuple(tuple(float(x) for x in row) for row in model.covariance(best)),
        connected=number == 1,
        separated=model.groups(strong=True)[0] > number,
        listeners=listeners,
        votes=int(model.counts.sum()),
        ties=int(model.counts[:, 2].sum()),
        converged=converged,
    )


def _centred(strengths: Numbers, group: Codes) -> Numbers:
    """Strengths ``[*, system]`` less the mean of their group."""
    member = (group[:, None] == group).astype(np.float64)
    return np.asarray(strengths - strengths @ (member / member.sum(1)).T)
