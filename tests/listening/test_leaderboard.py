"""Whether the leaderboard finds the truth, and says what it does not know."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_votes import STRENGTHS, SYSTEMS, said, vote

from separation.errors import RatingError
from separation.listening.arena import FLAGS, checked, read_votes, write_votes
from separation.listening.leaderboard import PRELIMINARY, Board, leaderboard, tasks_of

TASK = Board("vocals")


def test_the_leaderboard_finds_the_order_and_the_bias_for_a_side() -> None:
    board = leaderboard(said(800, np.random.default_rng(3), side=0.8), TASK, draws=200)
    assert [one.system for one in board.places] == list(SYSTEMS)
    for one in board.places:
        assert one.low is not None and one.high is not None
        assert one.low < one.strength < one.high
        assert abs(one.strength - STRENGTHS[one.system]) < 2 * (one.high - one.low)  # eight standard errors
        assert one.wins + one.losses + one.ties + one.bad == one.votes
        assert not one.preliminary
    assert board.side is not None and board.side[1] is not None and board.side[2] is not None
    assert 0.4 < board.side[0] < 1.2 and board.side[1] > 0
    json.dumps(board.to_json(), allow_nan=False)


def test_anybody_gets_the_same_numbers_from_the_export(tmp_path: Path) -> None:
    votes = checked(said(90, np.random.default_rng(4)))
    write_votes(votes, tmp_path / "votes.jsonl")
    again = read_votes(tmp_path / "votes.jsonl")
    assert leaderboard(again, TASK, draws=50) == leaderboard(votes, TASK, draws=50)


def test_both_bad_is_reported_apart_and_orders_nobody() -> None:
    votes = said(80, np.random.default_rng(5))
    bad = [vote(1000 + number, "ant", "dog", "bad") for number in range(30)]
    alone, both = leaderboard(votes, TASK, draws=20), leaderboard([*votes, *bad], TASK, draws=20)
    assert {one.system: one.strength for one in alone.places} == {one.system: one.strength for one in both.places}
    assert {one.system: one.bad for one in both.places} == {"ant": 30, "bee": 0, "cat": 0, "dog": 30}
    assert both.bad == 30 and both.votes == 110
    assert any("30 of 110" in note and "both are bad" in note for note in both.notes)


def test_only_bad_votes_make_no_order() -> None:
    board = leaderboard([vote(number, choice="bad") for number in range(4)], TASK)
    assert board.places == () and board.side is None and board.bad == 4


def test_flagged_votes_are_counted_and_can_be_left_out() -> None:
    votes = checked([*said(60, np.random.default_rng(6)), *(vote(500 + number, seconds=1.0) for number in range(9))])
    every, careful = leaderboard(votes, TASK, draws=20), leaderboard(votes, replace(TASK, flagged=False), draws=20)
    assert (every.votes, careful.votes) == (69, 60)
    assert every.flagged == careful.flagged == {"too fast": 9}
    assert "9 of 69 votes are flagged and counted." in every.notes
    assert "9 of 69 votes are flagged and left out." in careful.notes
    assert set(every.flagged) <= set(FLAGS)


def test_only_random_pairs() -> None:
    votes = [*said(40, np.random.default_rng(8)), *said(30, np.random.default_rng(9), how="expected")]
    assert leaderboard(votes, replace(TASK, only_random=True), draws=20).votes == 40
    assert leaderboard(votes, TASK, draws=20).how == {"random": 40, "expected": 30}


def test_a_board_of_reasons_of_a_stem() -> None:
    votes = [
        vote(n, choice="left", reasons={"target:vocals": "right", "target:drums": "left", "others:vocals": "tie"})
        for n in range(40)
    ]
    of = {stem: leaderboard(votes, Board("vocals", "target", stem), draws=20) for stem in ("vocals", "drums", "")}
    assert of["vocals"].places[0].system == "bee" and of["drums"].places[0].system == "ant"
    assert of[""].votes == 80 and of["vocals"].votes == 40
    assert leaderboard(votes, Board("vocals", "artefacts"), draws=20).votes == 0
    with pytest.raises(RatingError, match="no reason"):
        leaderboard(votes, Board("vocals", "beauty"))


def test_groups_that_never_met_are_said() -> None:
    votes = [
        vote(number, *pair, "left" if number % 3 else "right")
        for number in range(60)
        for pair in (("ant", "bee"), ("cat", "dog"))
    ]
    board = leaderboard(votes, TASK, draws=20)
    assert len({one.group for one in board.places}) == 2
    assert any("2 groups" in note for note in board.notes)


def test_few_votes_are_preliminary_and_one_listener_has_no_interval() -> None:
    votes = [
        vote(number, choice="left" if number % 2 else "right", listener="one") for number in range(PRELIMINARY - 1)
    ]
    board = leaderboard(votes, TASK)
    assert all(one.preliminary and one.low is None for one in board.places)
    assert any("One listener" in note for note in board.notes)
    more = leaderboard([*votes, vote(99, listener="two")], TASK, draws=20)
    assert not any(one.preliminary for one in more.places)


def test_a_preliminary_system_does_not_lead() -> None:
    votes = [vote(number, choice="left" if number % 3 else "right") for number in range(PRELIMINARY)]
    votes += [vote(100 + number, "bee", "ant", "right" if number % 3 else "left") for number in range(PRELIMINARY)]
    votes += [vote(500, "cat", "ant", "left"), vote(501, "ant", "cat", "right")]
    board = leaderboard(votes, TASK, draws=20)
    assert [(one.system, one.preliminary) for one in board.places] == [("ant", False), ("bee", False), ("cat", True)]
    assert board.places[2].strength > board.places[0].strength


def test_tasks_are_kept_apart() -> None:
    votes = [vote(0), vote(1, task="speakers"), vote(2, task="speakers")]
    assert tasks_of(votes) == ["speakers", "vocals"]
    assert leaderboard(votes, Board("speakers"), draws=20).votes == 2


def test_no_votes_at_all() -> None:
    assert leaderboard([], TASK).places == ()
