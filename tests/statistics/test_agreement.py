"""Krippendorff's alpha, its interval, and the bootstrap over judges and clips at once."""

import krippendorff
import numpy as np
import pytest

from separation.statistics import cluster_bootstrap, crossed_bootstrap, ordinal_alpha
from separation.statistics.agreement import weighted_alphas


def test_the_published_example():
    """Krippendorff (2011), example C: four observers of twelve units, ordinal alpha 0.815."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[value for value in unit if value is not None] for unit in zip(*table, strict=True)]
    found = ordinal_alpha(units)
    assert found.alpha == pytest.approx(0.815, abs=5e-4)
    assert (found.units, found.answers) == (11, 40)
    assert found.low is not None and found.low < found.alpha < found.high <= 1


def test_draws_are_those_of_the_package():
    rng = np.random.default_rng(4)
    table = rng.integers(1, 6, (5, 30)).astype(float)
    table[np.arange(5)[:, None] >= rng.integers(2, 6, 30)] = np.nan
    drawn = rng.integers(30, size=(20, 30))
    weights = np.stack([np.bincount(columns, minlength=30) for columns in drawn]).astype(float)
    expected = [
        krippendorff.alpha(reliability_data=table[:, columns], level_of_measurement="ordinal") for columns in drawn
    ]
    everybody = np.ones((1, 5))
    assert weighted_alphas(table, everybody, weights, "ordinal") == pytest.approx(expected, abs=1e-12)
    same = np.array([[3.0, 1.0], [3.0, 1.0]])
    alone = weighted_alphas(same, np.ones((1, 2)), np.array([[2.0, 0.0]]), "ordinal")
    assert np.isnan(alone).all(), "all answers that count are the same"


def test_chance_agreement_is_near_zero_and_opposition_below():
    rng = np.random.default_rng(0)
    chance = ordinal_alpha(rng.integers(1, 6, (300, 2)).tolist())
    assert abs(chance.alpha) < 0.12 and chance.low < 0 < chance.high
    assert ordinal_alpha([[1, 5], [5, 1], [1, 5]]).alpha < -0.1


def test_order_counts():
    """To be one point apart is less of a disagreement than four."""
    near = [[1, 2], [2, 1], [5, 4], [4, 5], [3, 3]]
    far = [[1, 5], [2, 1], [5, 1], [4, 5], [3, 3]]
    assert ordinal_alpha(near).alpha > ordinal_alpha(far).alpha + 0.3


@pytest.mark.parametrize("units", [[], [[3], [4]], [[3, 3], [3, 3, 3]]])
def test_where_nothing_can_be_compared_there_is_no_alpha(units):
    found = ordinal_alpha(units)
    assert (found.alpha, found.low, found.high) == (None, None, None)


def test_one_unit_has_no_interval():
    found = ordinal_alpha([[1, 5]])
    assert found.alpha is not None and found.low is None


def test_the_same_seed_gives_the_same_interval():
    units = [[1, 2], [4, 4], [3, 5], [2, 2]]
    assert ordinal_alpha(units, seed=4) == ordinal_alpha(units, seed=4)


def test_an_answer_off_the_scale_is_refused():
    with pytest.raises(ValueError, match="none of"):
        ordinal_alpha([[1, 6]])


def judged(judge_spread: float, thing_spread: float) -> tuple[list[float], list[str], list[str]]:
    rng = np.random.default_rng(2)
    judges, things = rng.normal(0, judge_spread, 12), rng.normal(0, thing_spread, 12)
    pairs = [(i, j) for i in range(12) for j in range(12)]
    values = [float(judges[i] + things[j] + rng.normal(0, 0.1)) for i, j in pairs]
    return values, [f"judge {i}" for i, _ in pairs], [f"thing {j}" for _, j in pairs]


@pytest.mark.parametrize("spread", [(2.0, 0.0), (0.0, 2.0), (1.0, 1.0)])
def test_crossed_intervals_cover_what_either_one_does(spread):
    values, judges, things = judged(*spread)
    both = crossed_bootstrap(values, judges, things)
    width = both.high - both.low
    assert both.mean == pytest.approx(np.mean(values))
    for clusters in (judges, things):
        one = cluster_bootstrap(values, clusters)
        assert width > 0.9 * (one.high - one.low)


def test_with_one_judge_the_interval_is_over_things():
    values = [1.0, 4.0, 2.0, 5.0, 3.0]
    things = list("abcde")
    crossed, one = crossed_bootstrap(values, ["x"] * 5, things), cluster_bootstrap(values, things)
    assert crossed[1:] == pytest.approx(one[1:], abs=0.3)
    assert np.isnan(crossed_bootstrap([2.0, 3.0], ["x"] * 2, ["a"] * 2).low)


@pytest.mark.parametrize(
    ("values", "judges", "things"), [([], [], []), ([1.0], ["a"], []), ([float("nan")], ["a"], ["b"])]
)
def test_crossed_bootstrap_refuses_bad_input(values, judges, things):
    with pytest.raises(ValueError, match="values"):
        crossed_bootstrap(values, judges, things)
