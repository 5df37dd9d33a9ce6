"""ABX and Bradley-Terry: by hand, by a published league, and by votes whose truth is known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from statistics_listeners import votes

from separation.statistics import Comparisons, abx, abx_needed, abx_panel, bradley_terry

# American League 1987 (Agresti, Categorical Data Analysis, 1990, table 10.5): home team, away team, wins at home, wins away.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
LEAGUE = (
    "0-1 4 3, 0-2 4 2, 0-3 4 3, 0-4 6 1, 0-5 4 2, 0-6 6 0, 1-0 3 3, 1-2 4 2, 1-3 4 3, 1-4 6 0, 1-5 6 1, 1-6 4 3, "
    "2-0 2 5, 2-1 4 3, 2-3 2 4, 2-4 4 3, 2-5 4 2, 2-6 6 0, 3-0 3 3, 3-1 5 1, 3-2 2 5, 3-4 4 3, 3-5 4 2, 3-6 6 1, "
    "4-0 5 1, 4-1 2 5, 4-2 3 3, 4-3 4 2, 4-5 5 2, 4-6 6 0, 5-0 2 5, 5-1 3 3, 5-2 3 4, 5-3 4 3, 5-4 4 2, 5-6 2 4, "
    "6-0 2 5, 6-1 1 5, 6-2 1 6, 6-3 2 4, 6-4 1 6, 6-5 3 4"
)


def of(counts: Sequence[tuple[int, int, str, int]], listeners: int = 1) -> Comparisons:
    """Votes from (left, right, outcome, how many), dealt to listeners in turn."""
    rows = [(left, right, outcome) for left, right, outcome, number in counts for _ in range(number)]
    left, right, outcome = zip(*rows, strict=True)
    return Comparisons(np.array(left), np.array(right), outcome, np.arange(len(rows)) % listeners)


def league() -> Comparisons:
    games = []
    for game in LEAGUE.split(","):
        teams, home, away = game.split()
        one, other = map(int, teams.split("-"))
        games += [(one, other, "left", int(home)), (one, other, "right", int(away))]
    return of(games)


def test_the_fewest_correct_are_those_of_the_tables() -> None:
    assert [abx_needed(count) for count in (10, 16, 20, 30)] == [9, 12, 15, 20]
    assert abx_needed(4) is None
    for count in (10, 16, 20, 30):
        needed = abx_needed(count)
        assert needed is not None
        assert abx(needed, count).p <= 0.05 < abx(needed - 1, count).p


def test_abx_is_exact() -> None:
    found = abx(9, 10)
    assert found.p == pytest.approx(11 / 1024)
    assert (found.share, found.listeners) == (0.9, 1)
    # Clopper and Pearson: the ends at which 9 of 10 has a tail of 2.5 %.
    assert stats.binom.sf(8, 10, found.low) == pytest.approx(0.025)
    assert stats.binom.cdf(9, 10, found.high) == pytest.approx(0.025)


def test_a_panel_is_no_single_listener() -> None:
    # Four who hear everything and four who guess: together far from chance, and the share far from certain.
    found = abx_panel([16, 16, 16, 16, 8, 8, 8, 8], [16] * 8)
    assert (found.correct, found.count, found.listeners) == (96, 128, 8)
    assert found.p < 1e-7
    pooled = abx(96, 128)
    assert found.high - found.low > 2 * (pooled.high - pooled.low)
    assert abx_panel([12], [16]) == abx(12, 16)


@pytest.mark.parametrize(("correct", "counts"), [([1], [0]), ([3], [2]), ([1, 2], [4]), ([], [])])
def test_counts_that_cannot_be_are_refused(correct: list[int], counts: list[int]) -> None:
    with pytest.raises(ValueError, match="correct of"):
        abx_panel(correct, counts)


def test_the_baseball_league_is_ranked_as_published() -> None:
    # Turner and Firth, Bradley-Terry Models in R, JSS 48 (9), 2012, section 3.1, with Baltimore at 0.
    found = bradley_terry(league(), penalty=1e-9)
    published = {"Milwaukee": 1.6196, "Detroit": 1.4754, "Toronto": 1.3271, "New York": 1.2813, "Boston": 1.1438}
    published |= {"Cleveland": 0.7047, "Baltimore": 0.0}
    base = found.strengths[TEAMS.index("Baltimore")]
    assert {team: round(s - base, 4) for team, s in zip(TEAMS, found.strengths, strict=True)} == published
    assert found.side_bias.mean == pytest.approx(0.3023, abs=5e-5)
    assert found.converged and found.connected and not found.separated


def test_two_systems_by_hand() -> None:
    counts = [(0, 1, "left", 40), (0, 1, "right", 20), (0, 1, "tie", 30)]
    found = bradley_terry(of(counts), side=False, penalty=1e-9)
    assert found.strengths[0] - found.strengths[1] == pytest.approx(math.log(2), abs=1e-6)
    assert found.tie == pytest.approx(math.log(30 / math.sqrt(40 * 20)), abs=1e-6)
    assert (found.votes, found.ties, found.side_bias) == (90, 30, (0, 0, 0))
    half = bradley_terry(of(counts), ties="half", side=False, penalty=1e-9)
    assert half.strengths[0] - half.strengths[1] == pytest.approx(math.log(55 / 35), abs=1e-6)
    assert half.tie is None


def test_the_side_is_told_from_the_system() -> None:
    # Whoever is left wins three of four times, whatever it is.
    counts = [(0, 1, "left", 30), (0, 1, "right", 10), (1, 0, "left", 30), (1, 0, "right", 10)]
    found = bradley_terry(of(counts, listeners=8), penalty=1e-9)
    assert found.strengths == pytest.approx((0, 0), abs=1e-6)
    assert found.side_bias.mean == pytest.approx(math.log(3), abs=1e-6)
    assert found.standings[0].best_rank == 1 and found.standings[0].worst_rank == 2


def test_strengths_ties_and_side_come_back() -> None:
    truth = [1.0, 0.5, 0.0, -0.5, -1.0]
    found = bradley_terry(votes(truth, tie=-0.7, side=0.4, listeners=60, each=60, seed=1))
    assert found.strengths == pytest.approx(truth, abs=0.18)  # three standard errors
    assert found.tie == pytest.approx(-0.7, abs=0.15)
    assert found.side_bias.low < 0.4 < found.side_bias.high and found.side_bias.low > 0
    assert found.order == (0, 1, 2, 3, 4)
    assert [(s.best_rank, s.worst_rank) for s in found.standings] == [(k, k) for k in range(1, 6)]
    assert found.converged and found.listeners == 60 and found.votes == 3600
    assert sum(s.votes for s in found.standings) == 7200


@pytest.fixture(scope="module")
def population() -> tuple[float, ...]:
    """What the votes of all people say: mixed tastes leave less of a difference than a single person's."""
    found = bradley_terry(votes([0.5, 0.0, -0.5], listeners=20_000, each=15, tastes=0.6, seed=99), draws=2)
    assert found.strengths == pytest.approx((0.445, 0.0, -0.445), abs=0.02)
    return found.strengths


@pytest.mark.parametrize("listeners", [10, 20, 40])
def test_intervals_hold_the_truth_when_listeners_differ(listeners: int, population: tuple[float, ...]) -> None:
    held, apart, trials = [], [], 120
    for trial in range(trials):
        drawn = votes([0.5, 0.0, -0.5], listeners=listeners, each=15, tastes=0.6, seed=trial)
        found = bradley_terry(drawn, draws=300, seed=trial)
        held += [s.low <= t <= s.high for s, t in zip(found.standings, population, strict=True)]
        if trial < 30:  # as if every vote were another listener's
            alone = Comparisons(drawn.left, drawn.right, drawn.outcome, np.arange(len(drawn.left)))
            single = bradley_terry(alone, draws=300, seed=trial)
            apart.append(
                [(s.high - s.low) / (t.high - t.low) for s, t in zip(found.standings, single.standings, strict=True)]
            )
    # Three strengths that sum to zero are worth two.
    assert np.mean(held) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / (2 * trials)))
    assert np.mean(apart) > 1.15  # votes that are taken for independent look surer than they are


def test_permuting_listeners_and_naming_systems_anew_changes_nothing_else() -> None:
    drawn = votes([0.6, 0.0, -0.6], listeners=12, each=10, seed=1)
    found = bradley_terry(drawn)
    new = np.array([2, 0, 1])
    named = bradley_terry(Comparisons(new[drawn.left], new[drawn.right], drawn.outcome, drawn.listener))
    assert [named.strengths[k] for k in new] == pytest.approx(list(found.strengths), abs=1e-6)
    assert [named.standings[k].low for k in new] == pytest.approx([s.low for s in found.standings], abs=1e-6)
    order = np.random.default_rng(0).permutation(len(drawn.left))
    shuffled = Comparisons(
        drawn.left[order], drawn.right[order], np.asarray(drawn.outcome)[order], drawn.listener[order]
    )
    assert bradley_terry(shuffled).strengths == pytest.approx(found.strengths, abs=1e-6)


def test_turning_every_pair_turns_the_side_bias_only() -> None:
    drawn = votes([0.6, 0.0, -0.6], side=0.5, listeners=12, each=20, seed=2)
    turned = [{"left": "right", "right": "left", "tie": "tie"}[str(word)] for word in drawn.outcome]
    one, other = bradley_terry(drawn), bradley_terry(Comparisons(drawn.right, drawn.left, turned, drawn.listener))
    assert other.strengths == pytest.approx(one.strengths, abs=1e-6)
    assert other.side_bias.mean == pytest.approx(-one.side_bias.mean, abs=1e-6)


def test_a_system_that_never_lost_stays_finite_and_is_reported() -> None:
    counts = [(0, 1, "left", 10), (1, 0, "right", 10), (1, 2, "left", 5), (2, 1, "left", 5)]
    found = bradley_terry(of(counts, listeners=5))
    assert found.connected and found.separated and found.converged
    assert 1 < found.strengths[0] < 10 and found.order[0] == 0


def test_what_was_never_compared_is_not_ranked_together() -> None:
    counts = [(0, 1, "left", 6), (1, 0, "left", 4), (2, 3, "left", 9), (3, 2, "left", 3)]
    found = bradley_terry(of(counts, listeners=4), systems=5, fewest_votes=11)
    assert [s.group for s in found.standings] == [0, 0, 1, 1, 2]
    assert not found.connected and not found.separated
    for a, b in ((0, 1), (2, 3)):
        assert found.strengths[a] == pytest.approx(-found.strengths[b])
        assert {found.standings[a].worst_rank, found.standings[b].worst_rank} <= {1, 2}
    lonely = found.standings[4]
    assert (lonely.strength, lonely.votes, lonely.enough) == (0.0, 0, False) and math.isnan(lonely.low)
    assert found.covariance[4][4] == pytest.approx(10)  # what the penalty of 0.1 leaves open
    assert [s.enough for s in found.standings] == [False, False, True, True, False]


def test_one_listener_has_no_interval_and_surely_beats_nobody() -> None:
    found = bradley_terry(of([(0, 1, "left", 50)]))
    assert all(math.isnan(s.low) and (s.best_rank, s.worst_rank) == (1, 2) for s in found.standings)
    assert found.listeners == 1 and found.covariance[0][0] > 0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (([0], [0], ["left"], [0]), "meet itself"),
        (([0], [1], ["both"], [0]), "not \\['both'\\]"),
        (([0, 1], [1], ["left"], [0]), "as long"),
        (([-1], [1], ["left"], [0]), "from 0"),
    ],
)
def test_votes_that_cannot_be_are_refused(columns: tuple[list[int], ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Comparisons(*columns)  # type: ignore[arg-type]


def test_a_ranking_needs_votes_and_room() -> None:
    with pytest.raises(ValueError, match="no votes"):
        bradley_terry(Comparisons(*(np.empty(0, np.int64),) * 2, [], np.empty(0, np.int64)))
    with pytest.raises(ValueError, match="system 1 of only 1"):
        bradley_terry(of([(0, 1, "left", 1)]), systems=1)
