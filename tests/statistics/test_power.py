"""The planner: its tables, and what happens when the study is really run."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.statistics import listeners_needed, power, simulated_power, smallest_difference, votes_needed

quick = settings(max_examples=15, deadline=None, derandomize=True)
TABLE = {  # deviation: (3 points, 5 points, 10 points), each at 80 and 90 %
    10: ((90, 119), (34, 44), (10, 13)),
    15: ((199, 265), (73, 97), (20, 26)),
    20: ((351, 469), (128, 171), (34, 44)),
}


def test_listeners_as_in_the_table() -> None:
    found = {
        sd: tuple((listeners_needed(sd, points), listeners_needed(sd, points, power=0.9)) for points in (3, 5, 10))
        for sd in TABLE
    }
    assert found == TABLE


def test_votes_as_in_the_table() -> None:
    assert {share: votes_needed(share) for share in (0.55, 0.6, 0.65, 0.7)} == {0.55: 783, 0.6: 194, 0.65: 85, 0.7: 47}
    assert votes_needed(0.3) == votes_needed(0.7)
    assert votes_needed(0.6, per_listener=10, correlation=0.2) == math.ceil(193.8 * 2.8)


@quick
@given(st.floats(1, 40), st.integers(3, 60), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_smallest_difference_is_the_one_with_that_power(sd: float, count: int, wanted: float) -> None:
    difference = smallest_difference(sd, count, power=wanted)
    assert power(sd, count, difference) == pytest.approx(wanted, abs=1e-6)
    assert listeners_needed(sd, difference * (1 + 1e-6), power=wanted) <= count
    assert power(sd, count, -difference) == power(sd, count, difference)


def test_without_a_difference_power_is_the_rate_of_false_alarms() -> None:
    assert power(10, 12, 0.0) == pytest.approx(0.05)


def test_power_is_what_studies_show() -> None:
    trials = 4000
    for sd, count, difference in ((15, 20, 10), (10, 12, 5)):
        expected = power(sd, count, difference)
        off = 3 * math.sqrt(expected * (1 - expected) / trials)
        assert simulated_power(sd, count, difference, test="t", trials=trials) == pytest.approx(expected, abs=off)


def test_the_main_test_sees_as_much_as_the_planner_says() -> None:
    expected = power(15, 14, 12)
    off = 3 * math.sqrt(expected * (1 - expected) / 200) + 0.02  # signs see a hundredth or two less than t
    assert simulated_power(15, 14, 12, trials=200) == pytest.approx(expected, abs=off)


def test_votes_are_enough_when_they_are_counted() -> None:
    rng = np.random.default_rng(0)
    wins = rng.binomial(194, 0.6, 20_000)
    z = np.abs(wins - 97) / math.sqrt(194 / 4)
    assert (z > 1.959964).mean() == pytest.approx(0.8, abs=0.02)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        power(0, 10, 5)
    for wrong in (lambda: listeners_needed(10, 0), lambda: listeners_needed(10, 5, power=1.0)):
        with pytest.raises(ValueError, match="nothing can be planned"):
            wrong()
    with pytest.raises(ValueError, match="over 1000000"):
        listeners_needed(1000, 0.01)
    with pytest.raises(ValueError, match="nothing can be planned"):
        smallest_difference(10, 1)
    for share in (0.5, 0.0, 1.0):
        with pytest.raises(ValueError, match="nothing can be planned"):
            votes_needed(share)
