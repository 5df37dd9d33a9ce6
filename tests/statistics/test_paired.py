"""Two models on the same tracks: against scipy, statsmodels and counting by hand; and what is refused."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from separation.statistics import FEWEST, bootstrap_median, holm, paired, paired_answers, rank_biserial
from separation.statistics.paired import signed_rank

quick = settings(max_examples=60, deadline=None, derandomize=True)
Columns = tuple[list[float], list[float]]


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Scores of two models in dB, one a little better or worse."""
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    count, shift = draw(st.integers(FEWEST, 70)), draw(st.floats(-2, 2))
    b = random.normal(5, 4, count)
    return (b + random.normal(shift, 1.5, count)).tolist(), b.tolist()


@quick
@given(columns(), st.integers(0, 20))
def test_p_is_scipys_and_equal_tracks_change_nothing(two: Columns, equal: int) -> None:
    a, b = two
    found = paired(a + [1.0] * equal, b + [1.0] * equal)
    assert found.p == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert found.effect == pytest.approx(rank_biserial(np.subtract(a, b)))
    assert found.count == len(a) + equal
    assert found.reason == ""


@quick
@given(columns())
def test_turning_the_pair_round_turns_the_signs(two: Columns) -> None:
    a, b = two
    one, other = paired(a, b), paired(b, a)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p == pytest.approx(other.p)
    assert one.effect == pytest.approx(-other.effect)
    assert one.low <= one.difference <= one.high


def test_p_is_the_share_of_sign_patterns_as_extreme() -> None:
    differences = [1.2, -0.4, 2.5, 3.1, 0.9, -0.2, 1.7, 0.6, 2.2, 1.1]
    ranks = stats.rankdata(np.abs(differences))
    observed = abs(sum(np.sign(differences) * ranks))
    patterns = [abs(np.dot(signs, ranks)) for signs in product((-1, 1), repeat=len(ranks))]
    expected = np.mean([pattern >= observed for pattern in patterns])
    assert paired(differences, [0.0] * 10).p == pytest.approx(expected)


def test_equal_differences_are_ties_whatever_the_rounding_of_floats() -> None:
    b = [k / 10 for k in range(12)]
    a = [x + 0.1 for x in b]  # the differences are 0.1 but for the last bits
    assert len(set(np.subtract(a, b).tolist())) > 1
    found = paired(a, b)
    assert found.p == paired([1.0] * 12, [0.0] * 12).p == pytest.approx(2 / 2**12)
    assert found.effect == 1.0


def test_many_ties_have_a_corrected_normal_distribution() -> None:
    random = np.random.default_rng(1)
    differences = random.choice([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5], 60)
    ranked = differences[differences != 0]
    ranks = stats.rankdata(np.abs(ranked))
    n, (_, ties) = len(ranked), np.unique(ranks, return_counts=True)
    variance = n * (n + 1) * (2 * n + 1) / 24 - (ties**3 - ties).sum() / 48
    z = (ranks[ranked > 0].sum() - n * (n + 1) / 4) / math.sqrt(variance)
    assert paired(differences.tolist(), [0.0] * 60).p == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_models_that_are_the_same_do_not_differ() -> None:
    same = [float(k) for k in range(12)]
    found = paired(same, same)
    assert (found.difference, found.low, found.high, found.p, found.effect) == (0.0, 0.0, 0.0, 1.0, 0.0)


def test_the_effect_is_the_difference_of_the_shares_of_ranks() -> None:
    assert rank_biserial(np.arange(1.0, 11)) == 1.0
    assert rank_biserial(-np.arange(1.0, 11)) == -1.0
    # Ranks 1 to 5; positive 1 + 4 + 5 = 10, negative 2 + 3 = 5.
    assert rank_biserial(np.array([0.5, -1.0, -2.0, 4.0, 9.0])) == pytest.approx(5 / 15)
    assert rank_biserial(np.array([0.0, 1.0, 2.0, -5.0])) == 0.0
    assert rank_biserial(np.zeros(3)) == 0.0


@pytest.mark.parametrize("count", [1, 2, 9])
def test_below_ten_tracks_there_is_no_p_value(count: int) -> None:
    found = paired([float(k + 1) for k in range(count)], [0.0] * count)
    assert (found.p, found.effect, found.count) == (None, None, count)
    assert found.reason.startswith(f"{count} pair") and "below 10" in found.reason
    assert found.difference == (count + 1) / 2
    assert math.isnan(found.low) == (count == 1)


def test_false_alarms_are_as_rare_as_promised() -> None:
    random = np.random.default_rng(0)
    alarms = sum(paired(random.normal(size=20).tolist(), [0.0] * 20, seed=k).p <= 0.05 for k in range(200))
    assert alarms <= 18, "5 % of 200 are 10; 18 or fewer with a chance of 99 %"


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([float("nan")] * 12, [0.0] * 12)])
def test_bad_pairs_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="values"):
        paired(a, b)


@pytest.mark.parametrize("seed", range(4))
def test_holm_is_its_definition_and_leaves_open_what_was_not_asked(seed: int) -> None:
    random = np.random.default_rng(seed)
    asked = random.random(12) ** 4
    order = np.argsort(asked)
    steps = np.minimum(1, np.maximum.accumulate(asked[order] * np.arange(12, 0, -1)))
    expected = np.empty(12)
    expected[order] = steps
    with_gaps: list[float | None] = [None, *asked.tolist()[:5], None, None, *asked.tolist()[5:]]
    found = holm(with_gaps)
    assert [p is None for p in found] == [p is None for p in with_gaps]
    assert [p for p in found if p is not None] == pytest.approx(expected.tolist())
    assert holm([None, None]) == [None, None] and holm([]) == []


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04: times 3, 2, 1, and never below the one before.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.5])


@quick
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=FEWEST, max_size=80))
def test_mcnemar_is_a_sign_test_of_those_that_disagree(rows: list[tuple[bool, bool]]) -> None:
    a, b = [x for x, _ in rows], [y for _, y in rows]
    found = paired_answers(a, b)
    assert found.only_a == sum(x and not y for x, y in rows)
    assert found.only_b == sum(y and not x for x, y in rows)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    disagree = found.only_a + found.only_b
    expected = stats.binomtest(found.only_a, disagree).pvalue if disagree else 1.0
    assert found.p == pytest.approx(expected)


def test_few_answers_have_no_p_value() -> None:
    found = paired_answers([True, True], [False, True])
    assert (found.difference, found.only_a, found.only_b, found.p) == (0.5, 1, 0, None)
    assert found.reason == "2 pairs; below 10 there is no p-value"
    with pytest.raises(ValueError, match="2 and 1 values"):
        paired_answers([True, False], [True])


def test_the_interval_of_a_median_holds_it_and_is_seeded() -> None:
    values = np.random.default_rng(5).lognormal(size=40).tolist()
    one = bootstrap_median(values, seed=7)
    assert one == bootstrap_median(values, seed=7)
    assert len({bootstrap_median(values, seed=seed) for seed in range(5)}) > 1
    assert one.median == float(np.median(values))
    assert one.low < one.median < one.high


def test_the_interval_of_a_median_is_near_the_one_by_order_statistics() -> None:
    values = np.sort(np.random.default_rng(2).normal(size=101))
    # The median lies between two order statistics with a probability that is binomial.
    low, high = values[int(stats.binom.ppf(0.025, 101, 0.5))], values[int(stats.binom.ppf(0.975, 101, 0.5))]
    found = bootstrap_median(values.tolist())
    assert found.low == pytest.approx(low, abs=0.06)
    assert found.high == pytest.approx(high, abs=0.06)


def test_the_interval_of_a_median_covers_as_promised() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for trial in range(100):
        found = bootstrap_median(random.exponential(size=30).tolist(), seed=trial)
        hits += found.low <= math.log(2) <= found.high
    assert 88 <= hits <= 100


@pytest.mark.parametrize("values", [[], [1.0, float("inf")]])
def test_medians_of_nothing_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        bootstrap_median(values)
    assert math.isnan(bootstrap_median([3.0]).high)


@pytest.mark.parametrize("count", [1, 4, 10, 13])
@pytest.mark.parametrize("levels", [2, 6, 1000])
def test_enumerating_signs_is_scipys_test(count: int, levels: int) -> None:
    """With ties (few levels) scipy enumerates too, slowly; without, it has the exact distribution."""
    rng = np.random.default_rng(count * levels)
    differences = rng.integers(1, levels + 1, count) * rng.choice([-1.0, 1.0, 1.0], count)
    assert signed_rank(differences) == pytest.approx(float(stats.wilcoxon(differences).pvalue), abs=1e-9)
