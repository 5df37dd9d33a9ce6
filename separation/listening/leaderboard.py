"""What the votes of the arena say: systems in order, with intervals over listeners and what a reader should know.

Computed from `arena.Vote`s alone, so that anybody gets the same numbers from the export: same votes, same seed, same table. The
statistics are `statistics.bradley_terry`; which votes are counted is said by a `Board`, and nothing else is left out.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from separation.errors import RatingError
from separation.listening.arena import ATTRIBUTES, Vote, comparisons_of
from separation.statistics import Ranking, bradley_terry

PRELIMINARY = 30
"""Votes below which a system's place is called preliminary (Music Arena lists from 30 votes on)."""


@dataclass(frozen=True)
class Board:
    """Which votes make a leaderboard.

    Args:
        task: of the systems.
        attribute: one of `ATTRIBUTES`, or "" for the vote itself.
        stem: whose reasons; "" for those of all stems. Without an attribute it changes nothing.
        only_random: only pairs that were drawn uniformly.
        flagged: votes that look careless, too.
    """

    task: str
    attribute: str = ""
    stem: str = ""
    only_random: bool = False
    flagged: bool = True


@dataclass(frozen=True)
class Place:
    """A system on a leaderboard.

    Args:
        system: its id; `title` for people.
        strength: log-odds, 0 the mean of the systems it can be compared with.
        low, high: 95 % interval over listeners; None with fewer than two.
        chance: of beating the average system, by its strength.
        best_rank, worst_rank: its place is surely no better and no worse than these.
        group: systems of different groups were never compared, not even through others.
        votes: that it took part in, both bad included; `wins`, `losses`, `ties`, `bad` add up to it.
        preliminary: fewer than `PRELIMINARY` votes.
    """

    system: str
    title: str
    strength: float
    low: float | None
    high: float | None
    chance: float
    best_rank: int
    worst_rank: int
    group: int
    votes: int
    wins: int
    losses: int
    ties: int
    bad: int
    preliminary: bool


@dataclass(frozen=True)
class Leaderboard:
    """What votes say of the systems of a task.

    Args:
        board: which votes were counted.
        places: by group, the strongest first, but preliminary ones after the others.
        votes, listeners, recordings: counted.
        ties, bad: of the votes.
        flagged: votes with a flag, by flag, whether they were counted or not.
        how: votes by how their pair was drawn.
        side: log-odds by which the left side is preferred, whoever it is; with its interval, None with fewer than two
            listeners.
        notes: what a reader should know, in sentences.
    """

    board: Board
    places: tuple[Place, ...]
    votes: int
    listeners: int
    recordings: int
    ties: int
    bad: int
    flagged: Mapping[str, int]
    how: Mapping[str, int]
    side: tuple[float, float | None, float | None] | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def tasks_of(votes: Iterable[Vote]) -> list[str]:
    """Tasks with votes, those with most first."""
    return [task for task, _ in Counter(vote.task for vote in votes).most_common()]


def leaderboard(votes: Sequence[Vote], board: Board, *, draws: int = 1000, seed: int = 0) -> Leaderboard:
    """Rank the systems of a task by its votes; the same votes, seed and draws give the same numbers everywhere.

    Strengths are those of the Bradley-Terry model with Davidson's ties and a bias for one side; intervals draw whole
    listeners. With an attribute each reason counts as a vote of its own, left, right or alike.

    Raises:
        RatingError: there is no such attribute.
    """
    if board.attribute not in ("", *ATTRIBUTES):
        raise RatingError(
            "Rank systems", f"there is no reason {board.attribute!r}", f"Choose from {', '.join(ATTRIBUTES)}, or none"
        )
    of_task = [vote for vote in votes if vote.task == board.task]
    able = [vote for vote in of_task if not board.only_random or vote.how == "random"]
    said = _said([vote for vote in able if board.flagged or not vote.flags], board)
    titles = {name: title for vote in able for name, title in vote.titles.items()}
    decided = [vote for vote in said if vote.choice != "bad"]
    names = sorted({name for vote in said for name in (vote.left, vote.right)})
    ranking = None
    if decided:
        place = {name: index for index, name in enumerate(names)}
        comparisons = comparisons_of(decided, place)
        ranking = bradley_terry(comparisons, systems=len(names), fewest_votes=PRELIMINARY, draws=draws, seed=seed)
    places = [] if ranking is None else _places(names, titles, said, ranking)
    return Leaderboard(
        board=board,
        places=tuple(sorted(places, key=lambda one: (one.group, one.preliminary, -one.strength, one.system))),
        votes=len(said),
        listeners=len({vote.listener for vote in said}),
        recordings=len({vote.recording for vote in said}),
        ties=sum(vote.choice == "tie" for vote in said),
        bad=sum(vote.choice == "bad" for vote in said),
        flagged=dict(Counter(flag for vote in able for flag in vote.flags)),
        how=dict(Counter(vote.how for vote in said)),
        side=None
        if ranking is None
        else _finite(ranking.side_bias.mean, ranking.side_bias.low, ranking.side_bias.high),
        notes=tuple(_notes(board, able, said, ranking)),
    )


def _said(votes: Sequence[Vote], board: Board) -> list[Vote]:
    """The votes, or with an attribute their reasons, each as a vote."""
    if not board.attribute:
        return list(votes)
    found = []
    for vote in votes:
        for field, verdict in vote.reasons.items():
            attribute, _, stem = field.partition(":")
            if attribute == board.attribute and board.stem in ("", stem):
                found.append(replace(vote, choice=verdict))
    return found


def _places(names: Sequence[str], titles: Mapping[str, str], said: Sequence[Vote], ranking: Ranking) -> Iterator[Place]:
    for name, one in zip(names, ranking.standings, strict=True):
        own = [vote for vote in said if name in (vote.left, vote.right)]
        won = sum(vote.winner == name for vote in own)
        ties, bad = (sum(vote.choice == choice for vote in own) for choice in ("tie", "bad"))
        strength, low, high = _finite(one.strength, one.low, one.high)
        yield Place(
            system=name,
            title=titles.get(name, name),
            strength=strength,
            low=low,
            high=high,
            chance=1 / (1 + math.exp(-strength)),
            best_rank=one.best_rank,
            worst_rank=one.worst_rank,
            group=one.group,
            votes=len(own),
            wins=won,
            losses=len(own) - won - ties - bad,
            ties=ties,
            bad=bad,
            preliminary=not one.enough,
        )


def _finite(value: float, low: float, high: float) -> tuple[float, float | None, float | None]:
    """JSON knows no NaN: what is unknown is None."""
    known_low, known_high = (float(end) if math.isfinite(end) else None for end in (low, high))
    return float(value), known_low, known_high


def _notes(board: Board, able: Sequence[Vote], said: Sequence[Vote], ranking: Ranking | None) -> Iterator[str]:
    flagged = sum(bool(vote.flags) for vote in able)
    if flagged:
        yield f"{flagged} of {len(able)} votes are flagged and {'counted' if board.flagged else 'left out'}."
    bad = sum(vote.choice == "bad" for vote in said)
    if bad:
        yield f"{bad} of {len(said)} votes say that both are bad; they do not order the two and count in no strength."
    if ranking is None:
        return
    if ranking.listeners < 2:
        yield "One listener has voted: there are no intervals, because they are taken over listeners."
    elif ranking.listeners < 10:
        yield f"Only {ranking.listeners} listeners have voted: intervals over so few are too short."
    if not ranking.connected:
        groups = len({one.group for one in ranking.standings})
        yield f"The systems fall into {groups} groups that were never compared with each other: their strengths cannot be."
    if ranking.separated:
        yield "Some systems never lost to some others: how far they are apart is not known, only that they are."
    if not ranking.converged:
        yield "The fit did not settle; take the numbers with care."
