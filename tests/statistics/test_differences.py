"""Tests between conditions: by counting, by scipy, and how often each cries wolf."""

import math
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statistics_listeners import study

from separation.statistics import (
    Ratings,
    bs1534_permutation,
    friedman,
    listener_means,
    notices,
    sign_flip,
    wilcoxon_holm,
)
from separation.statistics.differences import EXACT, FEWEST_LISTENERS

quick = settings(max_examples=40, deadline=None, derandomize=True)
means = st.lists(st.floats(0, 100), min_size=FEWEST_LISTENERS, max_size=9)


def test_p_is_the_share_of_sign_patterns_as_extreme() -> None:
    differences = np.array([4.0, -1.0, 2.5, 3.0, 0.5, -2.0, 6.0])
    patterns = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=7)]
    expected = np.mean([pattern >= abs(differences.sum()) - 1e-9 for pattern in patterns])
    found = sign_flip(differences + 50, np.full(7, 50.0))
    assert found.p == pytest.approx(expected)
    assert (found.exact, found.listeners, found.least) == (True, 7, 2 / 2**7)
    assert found.difference == pytest.approx(differences.mean())
    assert found.deviation == pytest.approx(differences.std(ddof=1))
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 6, differences.mean(), stats.sem(differences))
    )


def test_random_signs_come_near_all_signs() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(2, 5, EXACT)
    exact = sign_flip(differences, np.zeros(EXACT))
    # One listener without a difference makes it one too many to try all patterns, and changes no sum.
    drawn = sign_flip(np.append(differences, 0.0), np.zeros(EXACT + 1))
    assert (exact.exact, drawn.exact) == (True, False)
    assert exact.p is not None and drawn.p == pytest.approx(exact.p, abs=4 * math.sqrt(exact.p / 10_000))


def test_p_is_never_zero() -> None:
    assert sign_flip(np.arange(1.0, 31), np.zeros(30)).p == 1 / 10_001


@quick
@given(means, st.integers(0, 100))
def test_turning_the_pair_turns_the_sign_and_the_order_of_listeners_is_nothing(a: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = rng.uniform(0, 100, len(a))
    one, other = sign_flip(a, b), sign_flip(b, a)
    assert (one.p, one.difference) == (other.p, pytest.approx(-other.difference, abs=1e-7))
    assert (one.low, one.high) == (pytest.approx(-other.high, abs=1e-7), pytest.approx(-other.low, abs=1e-7))
    order = rng.permutation(len(a))
    assert sign_flip(np.array(a)[order], b[order]).p == one.p
    assert one.p is not None and one.least <= one.p <= 1


@pytest.mark.parametrize("count", [1, 5])
def test_five_listeners_cannot_surprise(count: int) -> None:
    found = sign_flip(np.arange(1.0, count + 1), np.zeros(count))
    assert found.p is None and found.reason.startswith(f"{count} listener") and found.difference == (count + 1) / 2
    assert math.isnan(found.low) == (count == 1)


def test_listeners_without_one_of_the_two_are_left_out() -> None:
    a, b = [5.0, 6, 7, 8, 9, 10, np.nan, 3], [1.0, 1, 1, 1, 1, 1, 2, np.nan]
    assert sign_flip(a, b) == sign_flip(a[:6], b[:6])
    with pytest.raises(ValueError, match="no listener"):
        sign_flip([np.nan], [1.0])
    with pytest.raises(ValueError, match="one of each"):
        sign_flip([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("count", "trials"), [(10, 1000), (20, 500), (40, 500)])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_false_alarms_of_the_main_test_are_as_rare_as_promised(shape: str, count: int, trials: int) -> None:
    # Both conditions from one skewed population, with a taste for the scale that is each listener's own.
    rng = np.random.default_rng(count)
    alarms = 0
    for trial in range(trials):
        if shape == "normal":
            person = rng.normal(0, 15, count)
            a, b = 50 + person + rng.normal(0, 8, (2, count))
        else:
            severity = rng.uniform(4, 12, count)
            a, b = 100 * rng.beta(severity, 1.2, (2, count))
        p = sign_flip(a, b, draws=999, seed=trial).p
        assert p is not None
        alarms += p <= 0.05
    assert alarms / trials == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / trials))


def test_the_standards_permutation_counts_deals() -> None:
    a, b = [60.0, 65.0, 72.0], [50.0, 58.0, 61.0]
    gaps = [abs(np.median(deal[:3]) - np.median(deal[3:])) for deal in permutations([*a, *b])]
    expected = np.mean([gap >= 7 for gap in gaps])
    found = bs1534_permutation(a, b, draws=20_000)
    assert (found.difference, found.draws) == (7.0, 20_000)
    assert found.p == pytest.approx(expected, abs=0.015)
    assert found.p == (found.exceedances + 1) / 20_001


def test_the_standards_permutation_wastes_what_listeners_agree_on() -> None:
    rng = np.random.default_rng(1)
    person = rng.normal(50, 20, 20)
    a, b = person + 5 + rng.normal(0, 3, 20), person + rng.normal(0, 3, 20)
    paired = sign_flip(a, b).p
    assert paired is not None and paired < 0.001 < 0.1 < bs1534_permutation(a, b).p


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], [float("nan")])])
def test_scores_that_cannot_be_dealt_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="all finite"):
        bs1534_permutation(a, b)


def test_wilcoxon_of_all_pairs_is_scipys_and_its_correction_is_holms() -> None:
    table = listener_means(study(14, 3, 4, step=4, seed=3))
    found = wilcoxon_holm(table)
    assert [(test.a, test.b) for test in found] == [(0, 1), (0, 2), (1, 2)]
    p_values = [stats.wilcoxon(table[:, a], table[:, b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [test.p for test in found] == pytest.approx(p_values)
    order, running = np.argsort(p_values), 0.0
    for place, k in enumerate(order):  # Holm: the smallest times three, the next times two, never falling
        running = max(running, min(1.0, p_values[k] * (3 - place)))
        assert found[k].corrected == pytest.approx(running)
    above = np.sign(table[:, 0][:, None] - table[:, 1]).mean()
    assert found[0].cliff == pytest.approx(above)
    assert found[0].difference == pytest.approx(np.median(table[:, 0] - table[:, 1]))


def test_hochberg_goes_from_the_largest_down() -> None:
    table = listener_means(study(14, 3, 4, step=3, seed=4))
    pairs = [(0, 2), (1, 2)]
    raw = [test.p for test in wilcoxon_holm(table, pairs)]
    assert all(p is not None for p in raw)
    small, large = sorted(p for p in raw if p is not None)
    found = sorted(test.corrected or 0.0 for test in wilcoxon_holm(table, pairs, correction="hochberg"))
    assert found == pytest.approx([min(2 * small, large), large])


def test_a_pair_with_few_listeners_has_no_p_and_is_not_counted() -> None:
    table = listener_means(study(12, 3, 2, step=5, seed=5))
    table[2:, 2] = np.nan
    found = wilcoxon_holm(table)
    assert [test.p is None for test in found] == [False, True, True]
    assert found[1].reason.startswith("2 pairs") and found[1].listeners == 2
    assert found[0].corrected == found[0].p
    table[:, 2] = np.nan
    alone = wilcoxon_holm(table)[1]
    assert (alone.listeners, alone.reason) == (0, "no listener has both") and math.isnan(alone.difference)


@pytest.mark.parametrize("seed", range(6))
def test_swapping_labels_flips_the_effects(seed: int) -> None:
    table = listener_means(study(11, 2, 2, step=3, seed=seed))
    (one,), (other,) = wilcoxon_holm(table, [(0, 1)]), wilcoxon_holm(table, [(1, 0)])
    assert one.p == pytest.approx(other.p)
    assert (one.cliff, one.rank_biserial) == (pytest.approx(-other.cliff), pytest.approx(-(other.rank_biserial or 0)))


def test_with_ten_pairs_the_family_cries_wolf_as_rarely_as_one_test() -> None:
    alarms = {"raw": 0, "holm": 0}
    for trial in range(40):
        found = wilcoxon_holm(listener_means(study(12, 5, 1, seed=trial)))
        alarms["raw"] += any((test.p or 1) <= 0.05 for test in found)
        alarms["holm"] += any((test.corrected or 1) <= 0.05 for test in found)
    assert alarms["raw"] / 40 > 0.15
    assert alarms["holm"] / 40 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 40)


def test_friedman_by_hand() -> None:
    # Four listeners, three conditions, no ties. Ranks: (1,2,3) thrice and (2,1,3); sums 5, 7, 12.
    table = np.array([[10.0, 20, 30], [40, 50, 60], [5, 6, 7], [9, 8, 30]])
    found = friedman(table)
    statistic = 12 / (4 * 3 * 4) * (25 + 49 + 144) - 3 * 4 * 4
    assert found.ranks == pytest.approx((5 / 4, 7 / 4, 3.0))
    assert found.statistic == pytest.approx(statistic)
    assert found.p == pytest.approx(math.exp(-statistic / 2))  # chi-square with two degrees of freedom
    assert found.agreement == pytest.approx(statistic / (4 * 2))
    assert found.listeners == 4


def test_nemenyis_critical_difference_is_the_published_one() -> None:
    # Demšar 2006, table 5: q at 0.05 is 2.343 for three classifiers and 2.850 for six. Ranks that differ by
    # q sqrt(k (k + 1) / (6 n)) have p = 0.05.
    for conditions, q in ((3, 2.343), (6, 2.850)):
        table = np.argsort(np.random.default_rng(0).random((30, conditions)), 1).astype(float)
        found = friedman(table)
        error = math.sqrt(conditions * (conditions + 1) / (6 * 30))
        for a, b in ((0, 1), (1, 2)):
            away = abs(found.ranks[a] - found.ranks[b]) / error
            assert (found.nemenyi[a][b] < 0.05) == (away > q)
        assert stats.studentized_range.sf(q * math.sqrt(2), conditions, np.inf) == pytest.approx(0.05, abs=2e-4)
        assert found.nemenyi[0][0] == pytest.approx(1.0)


def test_friedman_says_why_it_cannot() -> None:
    two = friedman(listener_means(study(10, 2, 2)))
    assert two.p is None and "2 conditions by 10 listeners" in two.reason and len(two.ranks) == 2
    holes = listener_means(study(3, 3, 1))
    holes[1:, 0] = np.nan
    assert friedman(holes).p is None and friedman(holes).listeners == 1
    same = friedman(np.full((5, 3), 70.0))
    assert (same.p, same.statistic, same.ranks) == (1.0, 0.0, (2.0, 2.0, 2.0))


def test_notices_see_variance_skew_and_two_camps() -> None:
    rng = np.random.default_rng(0)
    calm, wild = rng.normal(50, 3, 60), rng.normal(50, 12, 60)
    skewed = 100 - rng.exponential(3, 60)
    camps = np.concatenate([rng.normal(20, 3, 30), rng.normal(80, 3, 30)])

    def of(*columns: np.ndarray) -> Ratings:
        codes = np.repeat(np.arange(len(columns)), 60)
        return Ratings(np.concatenate(columns), np.tile(np.arange(60), len(columns)), codes, np.zeros_like(codes))

    quiet = notices(of(calm, calm[::-1]))
    assert quiet.texts == () and quiet.variance_ratio == pytest.approx(1.0)
    loud = notices(of(calm, wild))
    assert loud.variance_ratio == pytest.approx(wild.var() / calm.var()) and "4 is the limit" in loud.texts[0]
    assert any("skewed by -" in text and "without a distribution" in text for text in notices(of(calm, skewed)).texts)
    assert any("condition 1 may be of two camps" in text for text in notices(of(calm, camps)).texts)
    assert notices(of(np.full(60, 100.0), calm)).shapes[0].variance == 0.0
