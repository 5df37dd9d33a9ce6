"""Blind comparison of two systems at a time: votes, their files, and which pair to draw next.

A vote is a trial of kind `KIND` in `ratings.Store` and its events: which of two anonymous systems sounds better on one
recording, left and right drawn by the server, and why. Here a trial becomes a `Vote` (one flat record, which is also a line of
the export), and votes draw the next pair; `leaderboard` says what they mean. All of it can be recomputed from the export.

Pairs are drawn in two ways, and every trial says in which and how likely it was: a fixed share (`RANDOM_SHARE`) uniformly among
all pairs, so that estimates from these alone do not depend on what was thought before; the others where one more vote is
expected to shrink the intervals most. Systems stand in no order and no answer is ever dropped: what looks careless is flagged,
and the leaderboard can be seen with and without it.

This file runs no model and knows no page: `ui.bouts` and `ui.compare_routes` do.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from separation.errors import RatingError
from separation.ratings import Stored, Trial, rating_of
from separation.ratings.records import Finished, Given, canonical
from separation.statistics import Comparisons, bradley_terry

KIND = "compare"
"""Of the trials."""
FORMAT = "earshot-compare/1"
"""What every line of the export begins with."""

Side = Literal["left", "right"]
Choice = Literal["left", "right", "tie", "bad"]
"""``bad``: both are. It says nothing about the order of the two and is reported apart."""
Verdict = Literal["left", "right", "tie"]
How = Literal["random", "expected", "winner"]
"""How a pair was drawn: uniformly; where a vote is expected to say most; the winner of the vote before, with another."""
ATTRIBUTES = ("target", "others", "artefacts")
"""Reasons, for each stem: the target is preserved; the others are suppressed; there are no artefacts."""

RANDOM_SHARE = 0.3
"""Share of pairs that are drawn uniformly."""
SHORTEST_HEARD = 3.0
"""Seconds that each side should have sounded before a vote."""
QUICKEST = 5.0
"""Seconds from the moment at which a pair is served, below which nobody has compared anything."""
SAME_SIDE = 12
"""Votes in a row for the same side by one listener, beyond which they are flagged: 1 in 2,048 by chance."""
MANY_A_MINUTE = 10
"""Votes of one listener within a minute, beyond which they are flagged."""

FLAGS = {
    "heard too little": f"one side sounded for less than {SHORTEST_HEARD:g} s",
    "too fast": f"the vote came within {QUICKEST:g} s",
    "always the same side": f"{SAME_SIDE} votes or more in a row for the same side",
    "too many": f"more than {MANY_A_MINUTE} votes within a minute",
}
"""What a vote can be flagged for. A flag removes nothing."""

_PRIOR = 1.5  # standard deviation of a strength before any vote, in log-odds: from 5 to 95 % of wins, nearly


@dataclass(frozen=True)
class System:
    """A separator with its settings, as it takes part.

    Args:
        id: model, weights and settings in one word: another version of a model is another system.
        title: for people.
        model: a name for `hub.load`.
        settings: what is not as the model comes; empty for nothing.
        weights: SHA-256 of its weights, or None if nobody knows.
    """

    id: str
    title: str
    model: str
    settings: Mapping[str, Any]
    weights: str | None = None


@dataclass(frozen=True)
class Vote:
    """One comparison, complete: a line of the export.

    Args:
        trial: public id of the trial.
        listener: a pseudonym that leads to nobody.
        made: when the pair was served, seconds since 1970.
        task: what both are for; systems of one task can meet.
        recording: the same for all votes on one recording.
        name: of the recording, where it comes with the app; else "".
        left, right: ids of the systems.
        titles: the same for people, by id.
        how: the pair was drawn.
        probability: with which this pair was drawn, given how and what could be drawn at that moment; whichever side.
        choice: the answer.
        reasons: ``ATTRIBUTE:STEM`` -> which is better in that.
        heard: seconds that each side sounded: ``left``, ``right``, and ``mixture``.
        seconds: from serving to the answer, by the server's clock.
        marks: ``{stem: "left:vocals", start, end, label, severity}``, seconds of the excerpt.
        flags: what looks careless about it (`FLAGS`), by `checked`.
    """

    trial: str
    listener: str
    made: float
    task: str
    recording: str
    name: str
    left: str
    right: str
    titles: Mapping[str, str]
    how: How
    probability: float
    choice: Choice
    reasons: Mapping[str, Verdict]
    heard: Mapping[str, float]
    seconds: float
    marks: tuple[Mapping[str, Any], ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def winner(self) -> str | None:
        """The better system, if one is."""
        return {"left": self.left, "right": self.right}.get(self.choice)


# What was said


def votes_of(entries: Iterable[tuple[Trial, Sequence[Stored]]]) -> list[Vote]:
    """The votes among trials and their events, oldest first and checked. Trials without an answer are none."""
    found = [vote for trial, stored in entries if (vote := vote_of(trial, stored)) is not None]
    return checked(found)


def vote_of(trial: Trial, stored: Sequence[Stored]) -> Vote | None:
    """What a listener said in one trial; None while there is no finished answer, or for a trial of another kind.

    What came after the first ``finished`` does not count: by then the names are known. The last word on every field counts.
    """
    if trial.kind != KIND:
        return None
    ordered = sorted(stored, key=lambda one: (one.event.made, one.event.id))
    ends = [index for index, one in enumerate(ordered) if isinstance(one.event.payload, Finished)]
    if not ends:
        return None
    before, end = [one.event for one in ordered[: ends[0]]], ordered[ends[0]]
    given = {event.payload.field: event.payload.value for event in before if isinstance(event.payload, Given)}
    choice = given.get("vote")
    if choice not in get_args(Choice):
        return None
    rating, served = rating_of(before), trial.served
    heard = {
        side: round(sum(seconds for role, seconds in rating.seconds.items() if role.split(":")[0] == side), 3)
        for side in ("left", "right", "mixture")
    }
    return Vote(
        trial=trial.id,
        listener=pseudonym(trial.listener),
        made=trial.made,
        task=served["task"],
        recording=trial.subject or "",
        name=served["name"],
        left=served["left"]["id"],
        right=served["right"]["id"],
        titles={served[side]["id"]: served[side]["title"] for side in get_args(Side)},
        how=served["how"],
        probability=served["probability"],
        choice=cast(Choice, choice),
        reasons={
            field: cast(Verdict, value)
            for field, value in given.items()
            if field.partition(":")[0] in ATTRIBUTES and value in get_args(Verdict)
        },
        heard=heard,
        seconds=round(end.received - trial.made, 3),
        marks=tuple(mark.model_dump(mode="json", exclude={"kind", "mark"}) for mark in rating.marks.values()),
    )


def pseudonym(listener: str) -> str:
    """What stands for a listener in votes: the same for all of them, and no way back. The id itself, 128 random bits that only
    the listener's browser has, is a key to what was said."""
    return hashlib.sha256(f"{KIND} {listener}".encode()).hexdigest()[:16]


def checked(votes: Iterable[Vote]) -> list[Vote]:
    """The same votes, oldest first, each with what looks careless about it. Nothing else of a vote is changed."""
    ordered = sorted(votes, key=lambda vote: (vote.made, vote.trial))
    of_listener: dict[str, list[int]] = defaultdict(list)
    for index, vote in enumerate(ordered):
        of_listener[vote.listener].append(index)
    flags: dict[int, set[str]] = {index: _flags(vote) for index, vote in enumerate(ordered)}
    for indices in of_listener.values():
        for index in _in_a_row([(index, ordered[index].choice) for index in indices]):
            flags[index].add("always the same side")
        for index in _at_once([(index, ordered[index].made) for index in indices]):
            flags[index].add("too many")
    return [
        replace(vote, flags=tuple(flag for flag in FLAGS if flag in flags[index])) for index, vote in enumerate(ordered)
    ]


def _flags(vote: Vote) -> set[str]:
    """What one vote alone shows."""
    found = set()
    if min(vote.heard.get("left", 0.0), vote.heard.get("right", 0.0)) < SHORTEST_HEARD:
        found.add("heard too little")
    if vote.seconds < QUICKEST:
        found.add("too fast")
    return found


def _in_a_row(choices: Sequence[tuple[int, Choice]]) -> Iterator[int]:
    """Indices of the votes in runs of `SAME_SIDE` or more for one side."""
    run: list[int] = []
    before = ""
    for index, choice in [*choices, (-1, "bad")]:
        if choice != before:
            if len(run) >= SAME_SIDE:
                yield from run
            run, before = [], choice
        if choice in get_args(Side):
            run.append(index)


def _at_once(times: Sequence[tuple[int, float]]) -> Iterator[int]:
    """Indices of the votes that stand with more than `MANY_A_MINUTE` within a minute."""
    for first in range(len(times) - MANY_A_MINUTE):
        if times[first + MANY_A_MINUTE][1] - times[first][1] <= 60:
            yield from (index for index, _ in times[first : first + MANY_A_MINUTE + 1])


# Files


def write_votes(votes: Iterable[Vote], path: Path) -> int:
    """Write votes as JSON lines, one a vote, which `read_votes` gives back exactly. Returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for vote in votes:
            file.write(line_of(vote))
            count += 1
    return count


def line_of(vote: Vote) -> str:
    """A vote as a line of the export."""
    return canonical({"format": FORMAT, "vote": asdict(vote)}) + "\n"


def read_votes(path: Path) -> list[Vote]:
    """The votes of an export, checked.

    Raises:
        RatingError: a line is none.
    """
    votes: list[Vote] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                data = json.loads(line)
                if data["format"] != FORMAT:
                    raise ValueError(f"the format {data['format']!r}")
                votes.append(_vote(data["vote"]))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise RatingError(
                    f"Read the votes in {path.name}",
                    f"line {number} is none ({type(error).__name__}: {error})",
                    "Use the votes that the Compare page offers, or `earshot leaderboard --save FILE`",
                ) from error
    return checked(votes)


def _vote(fields: Mapping[str, Any]) -> Vote:
    vote = Vote(**{**fields, "marks": tuple(fields["marks"]), "flags": tuple(fields["flags"])})
    if vote.choice not in get_args(Choice) or vote.how not in get_args(How) or not 0 < vote.probability <= 1:
        raise ValueError(f"a choice of {vote.choice!r} of a pair drawn {vote.how!r} with {vote.probability!r}")
    return vote


# Which pair next


@dataclass(frozen=True)
class Drawn:
    """A pair that was drawn.

    Args:
        pair: ids of two systems; which of them is on the left is drawn later.
        how: it was drawn.
        probability: that this pair was drawn, given the pairs there were.
    """

    pair: tuple[str, str]
    how: How
    probability: float


def pairs_of(systems: Sequence[str]) -> list[tuple[str, str]]:
    """Every two of them."""
    return list(combinations(sorted(systems), 2))


def draw_pair(
    pairs: Sequence[tuple[str, str]],
    votes: Sequence[Vote],
    generator: np.random.Generator,
    *,
    share: float = RANDOM_SHARE,
    winner: bool = False,
) -> Drawn:
    """Draw a pair: with the probability `share` any, else one where a vote is expected to say most.

    Args:
        pairs: that can be served now.
        votes: so far, of this task.
        generator: draws.
        share: of uniform draws; 0 or 1 where that is decided already.
        winner: all pairs are of the winner of a vote before: then no draw is uniform over the task.

    Raises:
        RatingError: there are no pairs.
    """
    if not pairs:
        raise RatingError(
            "Compare two systems", "no two of them can meet here", "Install another model of the same task"
        )
    gains = expected_gain(pairs, votes)
    best = np.flatnonzero(gains >= gains.max() * (1 - 1e-9))
    uniform = bool(generator.random() < share)
    index = int(generator.integers(len(pairs)) if uniform else generator.choice(best))
    probability = share / len(pairs) + (1 - share) * (index in best) / len(best)
    return Drawn(pairs[index], "winner" if winner else "random" if uniform else "expected", probability)


def expected_gain(pairs: Sequence[tuple[str, str]], votes: Sequence[Vote]) -> NDArray[np.float64]:
    """How much one more vote on each pair is expected to say of the strengths, in nats: ``log(1 + p (1 - p) v) / 2``.

    p is the chance that the one beats the other and v the variance of their difference, by the curvature of the Bradley-Terry
    likelihood with a normal prior of standard deviation `_PRIOR` (D-optimal design; after Glickman and Jensen, "Adaptive paired
    comparison design", Journal of Statistical Planning and Inference 127, 2005). A tie counts as half a win, both bad as
    nothing. All votes are taken for independent here, which is good enough to choose a pair and nothing else.
    """
    names = sorted(
        {*(name for pair in pairs for name in pair), *(name for vote in votes for name in (vote.left, vote.right))}
    )
    place = {name: index for index, name in enumerate(names)}
    left, right = (np.array([place[pair[side]] for pair in pairs], dtype=int) for side in (0, 1))
    decided = [vote for vote in votes if vote.choice != "bad"]
    if not decided:
        return np.full(len(pairs), math.log1p(_PRIOR**2 / 2) / 2)  # p = 1/2, v = 2 variances
    comparisons = comparisons_of(decided, place, alone=True)
    fitted = bradley_terry(comparisons, systems=len(names), ties="half", side=False, penalty=_PRIOR**-2)
    strengths, covariance = np.array(fitted.strengths), np.array(fitted.covariance)
    chance = 0.5 * (1 + np.tanh((strengths[left] - strengths[right]) / 2))
    variance = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
    return np.asarray(np.log1p(chance * (1 - chance) * variance) / 2)


def comparisons_of(votes: Sequence[Vote], place: Mapping[str, int], *, alone: bool = False) -> Comparisons:
    """Votes as the statistics take them, none of them "both bad".

    Args:
        place: of each system.
        alone: as if one listener had given all.
    """
    listeners = {name: index for index, name in enumerate(sorted({vote.listener for vote in votes}))}
    return Comparisons(
        np.array([place[vote.left] for vote in votes], dtype=np.int64),
        np.array([place[vote.right] for vote in votes], dtype=np.int64),
        [vote.choice for vote in votes],
        np.array([0 if alone else listeners[vote.listener] for vote in votes], dtype=np.int64),
    )
