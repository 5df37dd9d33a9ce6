"""Ratings of listeners: means, quartiles, intervals; by hand, by scipy, and by drawing many samples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statistics_listeners import study

from separation.statistics import (
    Ratings,
    bootstrap_interval,
    coverage,
    describe,
    far_out,
    listener_means,
    paired_means,
    quartiles,
    t_interval,
)
from separation.statistics.ratings import Kind, Numbers, expanded_tails, interval_bounds, population

TRIALS = 1500
quick = settings(max_examples=40, deadline=None, derandomize=True)


def test_a_mean_is_over_things_not_over_repeats() -> None:
    ratings = Ratings(np.array([10.0, 20.0, 60.0, 5.0]), *np.array([[0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 1, 0]]))
    means = listener_means(ratings)
    assert means.shape == (3, 2)
    assert means[0, 0] == (15 + 60) / 2
    assert means[2, 1] == 5.0
    assert np.isnan(means[1]).all() and np.isnan([means[0, 1], means[2, 0]]).all()


def test_a_pair_of_means_is_over_the_items_that_have_both() -> None:
    # Listener 0 rated condition 1 on an item that condition 0 lacks, listener 1 has nothing in common.
    columns = [(10.0, 0, 0, 0), (20.0, 0, 1, 0), (90.0, 0, 1, 1), (50.0, 1, 0, 0), (60.0, 1, 1, 1)]
    values, listener, condition, item = (np.array(column) for column in zip(*columns, strict=True))
    one, other = paired_means(Ratings(values, listener, condition, item), 0, 1)
    assert (one.tolist(), other.tolist()) == ([10.0], [20.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2, 3, 4], (1.5, 3.5)), ([5, 1, 4, 2, 3], (2.0, 4.0)), ([7], (7.0, 7.0)), ([1, 2, 3, 4, 5, 6, 7], (2.5, 5.5))],
)
def test_quartiles_are_medians_of_halves_with_an_odd_one_out_in_both(
    values: list[int], expected: tuple[float, float]
) -> None:
    assert quartiles(values) == expected


def test_far_out_is_beyond_one_and_a_half_ranges() -> None:
    # Quartiles 12 and 16, reach 6: 22 lies on the fence, 22.5 beyond it, 6 on the other, 5.9 beyond.
    inside = [10, 12, 12, 14, 16, 16, 18]
    low, high = quartiles(inside)
    assert (low, high) == (12.0, 16.0)
    assert not far_out(inside).any()
    assert far_out([*inside, 30]).tolist() == [False] * 7 + [True]


def test_a_description_holds_what_the_standard_wants() -> None:
    ratings = Ratings(np.array([10.0, 20, 30, 80]), *np.array([[0, 0, 1, 1], [2, 2, 2, 2], [0, 1, 0, 1]]))
    found = describe(ratings)
    assert (found.ratings, found.listeners, found.median) == (4, 2, 25.0)
    assert (found.low_quartile, found.high_quartile, found.iqr) == (15.0, 55.0, 40.0)
    assert (found.mean, found.deviation) == (35.0, pytest.approx(math.sqrt(800)))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(800 / 2))
    with pytest.raises(ValueError, match="2 conditions"):
        describe(Ratings(np.array([1.0, 2.0]), *np.array([[0, 0], [0, 1], [0, 0]])))


def test_t_intervals_are_scipys_and_wider_than_normal_ones_as_the_tables_say() -> None:
    values = np.random.default_rng(0).normal(60, 12, 15)
    low, high = stats.t.interval(0.95, 14, values.mean(), stats.sem(values))
    assert t_interval(values) == (pytest.approx(values.mean()), pytest.approx(low), pytest.approx(high))
    wider = [round(100 * (stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975) - 1)) for n in (8, 10, 15, 20)]
    assert wider == [21, 15, 9, 7]
    assert math.isnan(t_interval([3.0]).low)


@pytest.mark.parametrize("kind", ["percentile", "bca"])
def test_bootstrap_intervals_are_scipys(kind: Kind) -> None:
    values = 100 * np.random.default_rng(1).beta(6, 1.5, 18)
    names = {"percentile": "percentile", "bca": "BCa"}
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method=names[kind], rng=np.random.default_rng(2)
    ).confidence_interval
    ours = bootstrap_interval(values, kind, draws=20_000)
    spread = values.std() / math.sqrt(18)
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * spread)  # two sets of 20 000 draws
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * spread)


def test_the_studentised_bootstrap_is_the_long_way_round() -> None:
    values = 100 * np.random.default_rng(3).beta(6, 1.5, 12)
    rng = np.random.default_rng(9)
    ratios = []
    for _ in range(20_000):
        drawn = rng.choice(values, 12)
        ratios.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / math.sqrt(12)))
    error = values.std(ddof=1) / math.sqrt(12)
    low, high = np.quantile(ratios, [0.025, 0.975])
    found = bootstrap_interval(values, "studentised", draws=20_000)
    assert found.low == pytest.approx(values.mean() - high * error, abs=0.08 * error)
    assert found.high == pytest.approx(values.mean() - low * error, abs=0.08 * error)


@pytest.mark.parametrize("kind", ["percentile", "bca", "studentised"])
def test_listeners_who_all_say_the_same_leave_no_doubt(kind: Kind) -> None:
    assert bootstrap_interval([70.0] * 8, kind, draws=500) == (70.0, 70.0, 70.0)
    assert math.isnan(bootstrap_interval([70.0], kind).low)


@quick
@given(st.lists(st.floats(0, 100), min_size=3, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_listeners_is_nothing_and_a_mirrored_scale_mirrors(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for one, other in (
        (t_interval(values), t_interval(shuffled)),
        (t_interval(values), t_interval([-v for v in values])),
    ):
        assert other.high - other.low == pytest.approx(one.high - one.low, abs=1e-6)
    mirrored = t_interval([100 - v for v in values])
    assert (mirrored.low, mirrored.high) == (
        pytest.approx(100 - t_interval(values).high, abs=1e-6),
        pytest.approx(100 - t_interval(values).low, abs=1e-6),
    )


def skewed(size: tuple[int, int], rng: np.random.Generator) -> Numbers:
    """Ratings near the upper end of 0 to 100; their skew is −1.3."""
    return 100 * rng.beta(8, 1.2, size)


SKEWED_MEAN = 100 * 8 / 9.2


def held(kind: Kind, samples: Numbers, truth: float) -> float:
    low, high = interval_bounds(samples, kind, 0.95, 600, np.random.default_rng(1))
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize("count", [10, 20, 40])
def test_what_the_intervals_promise_of_normal_listeners(count: int) -> None:
    samples = np.random.default_rng(count).normal(50, 10, (TRIALS, count))
    off = 3 * math.sqrt(0.95 * 0.05 / TRIALS)
    assert held("t", samples, 50.0) == pytest.approx(0.95, abs=off)
    assert held("studentised", samples, 50.0) == pytest.approx(0.95, abs=off)


@pytest.mark.parametrize("count", [10, 20, 40])
def test_what_they_promise_near_the_end_of_the_scale(count: int) -> None:
    # The studentised bootstrap holds; t, made for symmetric ones, holds 92 to 94 of 100 and comes nearer with more listeners.
    samples = skewed((TRIALS, count), np.random.default_rng(count))
    assert held("studentised", samples, SKEWED_MEAN) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / TRIALS))
    expected = {10: 0.924, 20: 0.936, 40: 0.942}[count]
    assert held("t", samples, SKEWED_MEAN) == pytest.approx(expected, abs=3 * math.sqrt(0.93 * 0.07 / TRIALS))


def test_a_percentile_interval_of_ten_listeners_holds_nine_in_ten() -> None:
    # Its width is that of t with z for t and n for n - 1: P(|t9| < 1.96 sqrt(0.9)) = 0.904.
    expected = 1 - 2 * stats.t.sf(stats.norm.ppf(0.975) * math.sqrt(0.9), 9)
    samples = np.random.default_rng(5).normal(50, 10, (TRIALS, 10))
    off = 3 * math.sqrt(0.9 * 0.1 / TRIALS)
    assert expected == pytest.approx(0.904, abs=0.001)
    assert held("percentile", samples, 50.0) == pytest.approx(expected, abs=off)
    assert held("bca", samples, 50.0) == pytest.approx(expected, abs=off)


def test_expanded_tails_bring_a_percentile_interval_back() -> None:
    samples = np.random.default_rng(6).normal(50, 10, (TRIALS, 10))
    low, high = expanded_tails(10)
    kept = interval_bounds(samples, "percentile", high - low, 2000, np.random.default_rng(1))
    share = ((kept[0] <= 50) & (kept[1] >= 50)).mean()
    assert share == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / TRIALS))


def test_simulated_coverage_says_the_same_of_ten_listeners() -> None:
    values = np.random.default_rng(7).normal(50, 10, 10)
    percentile, t = coverage(values, "percentile", trials=TRIALS), coverage(values, "t", trials=TRIALS)
    assert percentile.share == pytest.approx(0.904, abs=3 * percentile.error)
    assert t.share == pytest.approx(0.95, abs=3 * t.error)
    assert (percentile.listeners, percentile.error) == (10, pytest.approx(math.sqrt(0.9 * 0.1 / TRIALS), rel=0.1))
    with pytest.raises(ValueError, match="2 listeners"):
        coverage([1.0, 2.0])


@pytest.mark.parametrize("values", [[50.0, 60, 70, 65], [97.0, 99, 100, 92, 99], [0.0, 100, 0, 100]])
def test_the_population_is_like_the_listeners_and_on_the_scale(values: list[float]) -> None:
    numbers = np.array(values)
    mean, samples = population(numbers, (0.0, 100.0), (4000, 10), np.random.default_rng(0))
    assert mean == numbers.mean()
    assert samples.mean() == pytest.approx(mean, abs=1.0)
    assert samples.min() >= 0 and samples.max() <= 100
    assert samples.std() == pytest.approx(min(numbers.std(ddof=1), math.sqrt(mean * (100 - mean))), rel=0.05)


def test_ten_thousand_draws_of_a_whole_study_are_few_numbers() -> None:
    means = listener_means(study(20, 10, 10, step=3))
    intervals = [bootstrap_interval(column, "studentised") for column in means.T]
    assert all(interval.low < interval.mean < interval.high for interval in intervals)
    assert intervals[9].mean - intervals[0].mean == pytest.approx(27, abs=6)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (([1.0], [0, 1], [0], [0]), "as long"),
        (([float("nan")], [0], [0], [0]), "finite"),
        (([1.0], [-1], [0], [0]), "from 0"),
        (([1.0], [0.5], [0], [0]), "from 0"),
    ],
)
def test_columns_that_cannot_be_ratings_are_refused(columns: tuple[list[float], ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Ratings(*map(np.array, columns))  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[], [1.0, float("inf")], [[1.0]]])
def test_values_without_a_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        t_interval(values)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval(values)
