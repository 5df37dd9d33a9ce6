"""Alpha of any level, intraclass correlation, the others, the second time: by the packages, by published tables, by hand."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statistics_listeners import study

from separation import statistics
from separation.statistics import Ratings, alpha, icc, leave_one_out, ordinal_alpha
from separation.statistics.agreement import Level, weighted_alphas

LEVELS: tuple[Level, ...] = ("interval", "ordinal", "nominal")
quick = settings(max_examples=30, deadline=None, derandomize=True)

# Krippendorff, Computing Krippendorff's alpha-reliability, 2011, section C: four observers, twelve units, holes.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, np.nan, np.nan, np.nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, np.nan, 3],
        [np.nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, np.nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, np.nan],
    ]
)
# Shrout and Fleiss 1979, table 2: six targets, four judges.
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]).T


def of(table: np.ndarray) -> Ratings:
    """A table ``[listener, unit]`` as one condition on as many items."""
    listener, item = np.nonzero(np.isfinite(table))
    return Ratings(table[listener, item], listener, np.zeros_like(item), item)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_the_published_one(level: Level, published: float) -> None:
    found = alpha(of(OBSERVERS), level=level)
    assert found.alpha == pytest.approx(published, abs=5e-4)
    assert (found.units, found.answers) == (11, 40)  # the last unit has a single observer
    assert found.low is not None and found.high is not None and found.low < published < found.high


@quick
@given(st.integers(0, 10_000), st.sampled_from(LEVELS), st.floats(0, 0.5))
def test_alpha_is_the_packages(seed: int, level: Level, missing: float) -> None:
    rng = np.random.default_rng(seed)
    table = np.clip(np.round(rng.normal(3, 1, 15) + rng.normal(0, 0.8, (5, 15))), 1, 5)
    table[rng.random(table.shape) < missing] = np.nan
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement=level)
    assert alpha(of(table), level=level, draws=2).alpha == pytest.approx(expected)


@pytest.mark.parametrize("level", LEVELS)
def test_a_drawn_unit_counts_as_often_as_it_is_drawn(level: Level) -> None:
    weights = np.array([[0, 2, 1, 0, 3, 1, 1, 1, 0, 1, 1]])
    table = OBSERVERS[:, :11]
    repeated = np.repeat(table, weights[0], axis=1)
    expected = krippendorff.alpha(reliability_data=repeated, level_of_measurement=level)
    assert weighted_alphas(table, np.ones((1, 4)), weights.astype(float), level)[0] == pytest.approx(expected)


@pytest.mark.parametrize("level", LEVELS)
def test_two_copies_of_a_listener_do_not_agree_with_each_other(level: Level) -> None:
    # Observed: pairs of different people only, each unit with the weight of its answers. All by counting.
    rng = np.random.default_rng(3)
    table = rng.integers(1, 5, (3, 6)).astype(float)
    people = [0, 0, 1, 2]  # the first one is drawn twice
    drawn = table[people]
    totals = {value: int((drawn == value).sum()) for value in np.unique(drawn)}
    below = {value: sum(n for v, n in totals.items() if v < value) for value in totals}

    def distance(a: float, b: float) -> float:
        if level == "interval":
            return (a - b) ** 2
        if level == "nominal":
            return float(a != b)
        return (below[a] + totals[a] / 2 - below[b] - totals[b] / 2) ** 2

    observed = 0.0
    for unit in range(6):
        pairs = [(i, j) for i in range(4) for j in range(4) if people[i] != people[j]]
        observed += 4 / len(pairs) * sum(distance(drawn[i, unit], drawn[j, unit]) for i, j in pairs)
    expected = sum(distance(a, b) * totals[a] * totals[b] for a in totals for b in totals) / (drawn.size - 1)
    found = weighted_alphas(table, np.array([[2.0, 1, 1]]), np.ones((1, 6)), level)
    assert found[0] == pytest.approx(1 - observed / expected)


def test_an_interval_over_other_people_does_not_rise_because_people_are_drawn_twice() -> None:
    found = alpha(study(10, 5, 4, step=6, seed=1), over="listeners")
    assert found.alpha is not None and found.low is not None and found.high is not None
    assert found.low < found.alpha < found.high
    assert (found.low + found.high) / 2 == pytest.approx(found.alpha, abs=0.1)


def test_items_are_drawn_with_all_their_conditions() -> None:
    # Agreement is perfect on half of the items and none on the others: what items come counts, so the interval is wide.
    rng = np.random.default_rng(0)
    items, conditions = 6, 10
    good = np.repeat(rng.uniform(0, 100, (1, conditions, items)), 6, 0)
    values = np.where(np.arange(items) < 3, good, rng.uniform(0, 100, good.shape))
    listener, condition, item = np.indices(values.shape).reshape(3, -1)
    by_item = alpha(Ratings(values.ravel(), listener, condition, item))
    by_unit = alpha(Ratings(values.ravel(), listener, 0 * condition, condition * items + item))
    assert by_item.alpha == pytest.approx(by_unit.alpha)
    assert by_item.high - by_item.low > 1.8 * (by_unit.high - by_unit.low)  # type: ignore[operator]


def test_repeats_are_one_opinion() -> None:
    twice = Ratings(np.array([10.0, 30, 20, 60]), *np.array([[0, 0, 1, 1], [0] * 4, [0, 0, 0, 1]]))
    assert alpha(twice).answers == 2
    nominal = Ratings(np.array([1.0, 2, 1, 2, 2]), *np.array([[0, 0, 1, 0, 1], [0] * 5, [0, 0, 0, 1, 1]]))
    assert alpha(nominal, level="nominal").alpha == 1.0  # the first answers: 1 and 1, 2 and 2


@pytest.mark.parametrize("values", [[5.0, 5.0], [5.0, 1.0]])
def test_without_two_opinions_there_is_no_alpha(values: list[float]) -> None:
    same = values[0] == values[1]
    ratings = Ratings(np.array(values), np.array([0, 1]), np.array([0, 0]), np.array([0, 0 if same else 1]))
    assert alpha(ratings)[:3] == (None, None, None)


def test_five_points_agree_with_what_the_ratings_page_says() -> None:
    units = [[1, 2, 1], [4, 4], [5, 4, 5], [2, 2, 3], [3, 3]]
    rows = [(value, k, unit) for unit, said in enumerate(units) for k, value in enumerate(said)]
    value, who, what = (np.array(column) for column in zip(*rows, strict=True))
    found = alpha(Ratings(value.astype(float), who, 0 * who, what), level="ordinal")
    assert found.alpha == pytest.approx(ordinal_alpha(units).alpha)


def test_icc_is_shrout_and_fleiss() -> None:
    found = icc(of(JUDGES.astype(float)))
    assert (round(found.single or 0, 2), round(found.average or 0, 2)) == (0.29, 0.62)
    # McGraw and Wong's interval of the same table, as R's psych::ICC prints it: 0.0429 to 0.7109 of one judge.
    low, high = (4 * x / (1 + 3 * x) for x in (0.01879, 0.76108))
    assert (found.low, found.high) == (pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3))
    assert (found.listeners, found.units) == (4, 6)


def test_icc_leaves_out_who_left_things_out_and_says_why_there_is_none() -> None:
    table = np.vstack([JUDGES.astype(float), [1, np.nan, 2, 3, 4, 5]])
    assert icc(of(table)) == icc(of(JUDGES.astype(float)))
    assert icc(of(JUDGES[:1].astype(float))).reason.startswith("1 listeners")
    assert "do not vary" in icc(of(np.full((3, 4), 50.0))).reason


def test_the_others_are_all_but_the_listener() -> None:
    table = np.random.default_rng(0).normal(50, 10, (4, 12)) + np.linspace(0, 40, 12)
    found, ranks = leave_one_out(of(table)), leave_one_out(of(table), method="spearman")
    for k in range(4):
        rest = np.delete(table, k, 0).mean(0)
        assert found[k] == pytest.approx(stats.pearsonr(table[k], rest).statistic)
        assert ranks[k] == pytest.approx(stats.spearmanr(table[k], rest).statistic)
    flat = np.vstack([table[:2], np.full(12, 50.0)])
    assert np.isnan(leave_one_out(of(flat))[2])
    lonely = np.full((2, 12), np.nan)
    lonely[0], lonely[1, :2] = table[0], table[1, :2]
    assert np.isnan(leave_one_out(of(lonely))).all()


def test_the_second_time_by_hand() -> None:
    first, second = [10.0, 20, 30, 80, 90], [14.0, 20, 26, 90, 70]
    everybody, one, other = statistics.test_retest(first, second, [0, 0, 0, 1, 1])
    assert (one.listener, one.count, one.drift) == (0, 3, 0.0)
    assert one.difference == pytest.approx(8 / 3)
    assert one.error == pytest.approx(4 / np.sqrt(2))
    assert one.correlation == pytest.approx(1.0)
    assert (other.count, other.correlation, other.drift) == (2, None, -5.0)
    assert (everybody.listener, everybody.count, everybody.drift) == (None, 5, -2.0)
    # Without each listener's mean of both times: (-10, 0, 10, -2.5, 7.5) and (-6, 0, 6, 7.5, -12.5).
    assert everybody.correlation == pytest.approx(np.corrcoef([-10, 0, 10, -2.5, 7.5], [-6, 0, 6, 7.5, -12.5])[0, 1])


def test_parts_of_the_scale_are_no_consistency() -> None:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(10), 12)
    level = rng.uniform(0, 100, 10)[who]
    first, second = level + rng.normal(0, 5, (2, 120))
    assert np.corrcoef(first, second)[0, 1] > 0.9
    found = statistics.test_retest(first, second, who)[0]
    assert found.correlation is not None and abs(found.correlation) < 0.3
    assert found.error == pytest.approx(5, rel=0.2)


def test_columns_that_do_not_fit_are_refused() -> None:
    for columns in (([1.0], [1.0, 2.0], [0]), ([], [], [])):
        with pytest.raises(ValueError, match="columns as long"):
            statistics.test_retest(*columns)
    with pytest.raises(ValueError, match="finite"):
        statistics.test_retest([1.0], [np.nan], [0])
