"""The arena: what a vote is, what looks careless, which pair comes next, and whether the leaderboard finds the truth."""

import json
import math
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_votes import SYSTEMS, said, vote

from separation.errors import RatingError
from separation.listening.arena import (
    KIND,
    MANY_A_MINUTE,
    RANDOM_SHARE,
    SAME_SIDE,
    Choice,
    How,
    Verdict,
    Vote,
    checked,
    draw_pair,
    expected_gain,
    pairs_of,
    pseudonym,
    read_votes,
    vote_of,
    votes_of,
    write_votes,
)
from separation.ratings import Event, Stored, Trial, parse_event

# What a vote is


def trial(**more: Any) -> Trial:
    served = {
        "job": "song", "task": "vocals", "name": "Song", "how": "random", "probability": 0.25,
        "left": {"id": "ant", "title": "Ant"}, "right": {"id": "bee", "title": "Bee"}, **more,
    }  # fmt: skip
    return Trial("trial-1", "the-id-of-a-browser", KIND, 100.0, served, {})


def stored(*payloads: dict[str, Any], received: float = 130.0) -> list[Stored]:
    return [
        Stored(parse_event({"id": f"event-{number:03}", "made": number, "payload": payload}), received)
        for number, payload in enumerate(payloads)
    ]


def heard(**seconds: float) -> dict[str, Any]:
    named = {name.replace("_", ":"): value for name, value in seconds.items()}
    return {"kind": "heard", "seconds": named, "saw_model": False, "saw_metrics": False, "saw_views": False}


def given_(field: str, value: Any) -> dict[str, Any]:
    return {"kind": "given", "field": field, "value": value}


FINISHED = {"kind": "finished"}


def test_a_vote_holds_the_last_word_before_the_names_were_shown() -> None:
    mark = {
        "kind": "mark",
        "mark": "mark-0001",
        "stem": "left:vocals",
        "start": 1.0,
        "end": 2.0,
        "label": "bleed",
        "severity": 2,
    }
    events = stored(
        heard(left_vocals=3.0, right_vocals=1.0),
        given_("vote", "left"),
        given_("target:vocals", "tie"),
        given_("others:vocals", "left"),
        given_("others:vocals", None),
        heard(right_residual=4.0, mixture=2.0),
        mark,
        given_("vote", "right"),
        FINISHED,
        given_("vote", "tie"),
    )
    found = vote_of(trial(), events)
    assert found is not None
    assert (found.choice, found.winner, found.reasons) == ("right", "bee", {"target:vocals": "tie"})
    assert found.heard == {"left": 3.0, "right": 5.0, "mixture": 2.0}
    assert (found.seconds, found.probability, found.recording) == (30.0, 0.25, "song")
    assert [(one["stem"], one["label"]) for one in found.marks] == [("left:vocals", "bleed")]
    assert "browser" not in found.listener and found.listener == pseudonym("the-id-of-a-browser")


NO_VOTES = {
    "nothing": [],
    "unfinished": [given_("vote", "left")],
    "no answer": [FINISHED],
    "taken back": [given_("vote", "left"), given_("vote", None), FINISHED],
    "no such answer": [given_("vote", "maybe"), FINISHED],
}


@pytest.mark.parametrize("payloads", NO_VOTES.values(), ids=NO_VOTES)
def test_what_is_no_vote(payloads: list[dict[str, Any]]) -> None:
    assert vote_of(trial(), stored(*payloads)) is None


def test_trials_of_other_kinds_are_no_votes() -> None:
    events = stored(given_("vote", "left"), FINISHED)
    assert votes_of([(replace(trial(), kind="rating"), events)]) == []
    assert len(votes_of([(trial(), events)])) == 1


# What looks careless


def test_flags_of_one_vote() -> None:
    votes = [
        vote(0, heard={"left": 2.9, "right": 9.0, "mixture": 9.0}),
        vote(1, seconds=4.9),
        vote(2, heard={"left": 3.0, "right": 3.0, "mixture": 0.0}, seconds=5.0),
    ]
    assert [one.flags for one in checked(votes)] == [("heard too little",), ("too fast",), ()]


@pytest.mark.parametrize(("count", "flagged"), [(SAME_SIDE - 1, 0), (SAME_SIDE, SAME_SIDE)])
def test_the_same_side_again_and_again(count: int, flagged: int) -> None:
    votes = [vote(number, listener="one", choice="left") for number in range(count)]
    votes += [vote(100 + number, listener="one", choice="right") for number in range(3)]
    found = checked(votes)
    assert sum("always the same side" in one.flags for one in found) == flagged


def test_ties_are_no_side() -> None:
    votes = [vote(number, listener="one", choice="tie") for number in range(2 * SAME_SIDE)]
    assert all(one.flags == () for one in checked(votes))


@pytest.mark.parametrize(("count", "flagged"), [(MANY_A_MINUTE, 0), (MANY_A_MINUTE + 1, MANY_A_MINUTE + 1)])
def test_too_many_in_a_minute(count: int, flagged: int) -> None:
    choices: tuple[Choice, ...] = ("left", "right")
    votes = [vote(n, listener="one", made=1000.0 + 60 * n / MANY_A_MINUTE, choice=choices[n % 2]) for n in range(count)]
    assert sum("too many" in one.flags for one in checked(votes)) == flagged


def test_a_flag_changes_nothing_else() -> None:
    votes = [vote(number, seconds=1.0) for number in range(5)]
    assert [replace(one, flags=()) for one in checked(votes)] == votes


# Files

NAMES = st.text(min_size=1, max_size=8)
VOTES = st.builds(
    Vote,
    trial=NAMES, listener=NAMES, made=st.floats(0, 2e9), task=NAMES, recording=NAMES, name=st.text(max_size=8), left=NAMES,
    right=NAMES, titles=st.dictionaries(NAMES, NAMES, max_size=2), how=st.sampled_from(get_args(How)),
    probability=st.floats(0.01, 1), choice=st.sampled_from(get_args(Choice)),
    reasons=st.dictionaries(NAMES, st.sampled_from(get_args(Verdict)), max_size=3),
    heard=st.fixed_dictionaries({"left": st.floats(0, 99), "right": st.floats(0, 99)}), seconds=st.floats(0, 1e6),
    marks=st.just(({"stem": "left:vocals", "start": 0.5, "end": 1.5, "label": "gap", "severity": 2, "band_hz": None},)),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(VOTES, max_size=4))
def test_the_export_gives_back_the_very_same_votes(votes: list[Vote]) -> None:
    votes = checked(votes)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "votes.jsonl"
        assert write_votes(votes, path) == len(votes)
        assert [asdict(one) for one in read_votes(path)] == [asdict(one) for one in votes]


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        '{"format": "earshot-ratings/1"}',
        json.dumps({"format": "earshot-compare/1", "vote": {"choice": "left"}}),
    ],
)
def test_what_is_no_export_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "votes.jsonl"
    write_votes([vote()], path)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RatingError, match="line 2"):
        read_votes(path)


@pytest.mark.parametrize("change", [{"choice": "perhaps"}, {"probability": 0.0}, {"how": "by hand"}])
def test_impossible_votes_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps({"format": "earshot-compare/1", "vote": {**asdict(vote()), **change}}))
    with pytest.raises(RatingError, match="line 1"):
        read_votes(path)


# Which pair next


def test_a_share_of_pairs_is_drawn_uniformly_and_the_probability_is_the_frequency() -> None:
    rng = np.random.default_rng(0)
    votes = said(60, rng)
    pairs = pairs_of(SYSTEMS)
    drawn = [draw_pair(pairs, votes, rng) for _ in range(600)]
    how = Counter(one.how for one in drawn)
    assert abs(how["random"] / 600 - RANDOM_SHARE) < 4 * math.sqrt(RANDOM_SHARE * (1 - RANDOM_SHARE) / 600)
    uniform = Counter(one.pair for one in drawn if one.how == "random")
    assert set(uniform) == set(pairs)
    told = {one.pair: one.probability for one in drawn}
    assert sum(told.values()) == pytest.approx(1)
    counts = Counter(one.pair for one in drawn)
    for pair, probability in told.items():
        assert abs(counts[pair] / 600 - probability) < 4 * math.sqrt(probability * (1 - probability) / 600)


def test_before_any_vote_every_pair_is_as_good() -> None:
    drawn = [draw_pair(pairs_of(SYSTEMS), [], np.random.default_rng(seed)) for seed in range(40)]
    assert [one.probability for one in drawn] == pytest.approx([1 / 6] * 40)
    assert len({one.pair for one in drawn}) == 6


def test_a_system_without_votes_comes_next() -> None:
    votes = [one for one in said(200, np.random.default_rng(1)) if "dog" not in (one.left, one.right)]
    gains = dict(zip(pairs_of(SYSTEMS), expected_gain(pairs_of(SYSTEMS), votes), strict=True))
    best = max(gains, key=lambda pair: gains[pair])
    assert "dog" in best
    assert gains[("ant", "bee")] < gains[("ant", "dog")]


def test_drawing_where_votes_say_most_shrinks_the_uncertainty_faster_than_chance() -> None:
    def left_over(share: float) -> float:
        rng = np.random.default_rng(7)
        names = [f"system-{number}" for number in range(8)]
        strength = dict(zip(names, np.linspace(-3, 3, 8), strict=True))
        votes: list[Vote] = []
        for number in range(120):
            one, other = draw_pair(pairs_of(names), votes, rng, share=share).pair
            wins = rng.random() < 1 / (1 + math.exp(strength[other] - strength[one]))
            votes.append(vote(number, one, other, "left" if wins else "right"))
        return float(expected_gain(pairs_of(names), votes).sum())  # grows with the variances of all differences

    assert left_over(0.0) < 0.9 * left_over(1.0)


def test_the_winner_who_stays_is_said_and_never_called_random() -> None:
    drawn = [draw_pair([("ant", "bee"), ("ant", "cat")], [], np.random.default_rng(n), winner=True) for n in range(20)]
    assert {one.how for one in drawn} == {"winner"}


def test_nobody_to_meet() -> None:
    with pytest.raises(RatingError, match="no two of them"):
        draw_pair(pairs_of(["ant"]), [], np.random.default_rng(0))


def test_events_of_an_event_log_in_any_order_give_the_same_vote() -> None:
    events = stored(given_("vote", "left"), heard(left_vocals=4.0, right_vocals=4.0), given_("vote", "right"), FINISHED)
    assert vote_of(trial(), events[::-1]) == vote_of(trial(), events)
    assert isinstance(events[0].event, Event)
