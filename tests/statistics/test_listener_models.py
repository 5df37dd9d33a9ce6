"""Models of ratings: against the analysis of variance by hand, logistic regression, and studies whose truth is known."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statistics_listeners import study
from statsmodels.discrete.discrete_model import Logit

from separation.statistics import (
    Ratings,
    TwoWay,
    crossed_bootstrap,
    mixed_model,
    ordinal_model,
    sign_flip,
    two_way_bootstrap,
)
from separation.statistics.ratings import expanded_tails


def points(ratings: Ratings) -> Ratings:
    """On five points, twelve apart."""
    stars = np.clip(np.round((ratings.values - 50) / 12) + 3, 1, 5)
    return Ratings(stars, ratings.listener, ratings.condition, ratings.item)


def squares(ratings: Ratings) -> dict[str, float]:
    """Mean squares of a complete table of listeners by systems by items, one rating each."""
    x = ratings.cells()
    people, systems, items = x.shape
    mean = x.mean()
    by_person, by_system, by_taste = x.mean((1, 2)), x.mean((0, 2)), x.mean(2)
    taste = by_taste - by_person[:, None] - by_system + mean
    fitted = x.mean(0)  # systems and items with their interaction
    rest = x - fitted - by_taste[:, :, None] + by_system[None, :, None]
    return {
        "system": items * people * ((by_system - mean) ** 2).sum() / (systems - 1),
        "taste": items * (taste**2).sum() / ((people - 1) * (systems - 1)),
        "rest": (rest**2).sum() / (people * systems * items - people * systems - systems * items + systems),
        "pooled": ((x - fitted - by_person[:, None, None] + mean) ** 2).sum()
        / (people * systems * items - people - systems * items + 1),
    }


def test_a_balanced_study_is_the_analysis_of_variance() -> None:
    ratings = study(10, 4, 5, step=3, tastes=5, seed=1)
    mean, systems = squares(ratings), 4
    found = mixed_model(ratings)
    assert found.converged and found.formula.endswith("(1 | listener) + (1 | listener:system)")
    assert found.systems is not None and found.interaction is not None
    assert found.systems.statistic == pytest.approx((systems - 1) * mean["system"] / mean["taste"], rel=1e-2)
    assert found.systems.freedom == 3 and found.interaction.freedom == 12
    assert found.systems.p == pytest.approx(stats.chi2.sf(found.systems.statistic, 3))
    assert found.residual_deviation == pytest.approx(math.sqrt(mean["rest"]), rel=1e-2)
    assert found.taste_deviation == pytest.approx(math.sqrt((mean["taste"] - mean["rest"]) / 5), rel=1e-2)
    assert [m.mean for m in found.means] == pytest.approx(ratings.cells().mean((0, 2)).tolist(), abs=1e-3)


def test_the_formula_of_the_books_takes_shared_tastes_for_a_difference() -> None:
    ratings = study(10, 4, 5, step=3, tastes=5, seed=1)
    mean = squares(ratings)
    found = mixed_model(ratings, slopes=False)
    assert found.formula == "rating ~ system * item + (1 | listener)" and found.taste_deviation is None
    assert found.systems is not None
    assert found.systems.statistic == pytest.approx(3 * mean["system"] / mean["pooled"], rel=1e-2)
    assert found.residual_deviation == pytest.approx(math.sqrt(mean["pooled"]), rel=1e-2)
    assert found.systems.statistic > 1.5 * mixed_model(ratings).systems.statistic  # type: ignore[union-attr]


def test_false_alarms_of_the_two_formulas() -> None:
    # Eight listeners whose tastes differ, no difference of systems: the large-sample test with tastes is a little too sure,
    # the one without is wrong half of the time.
    alarms = np.zeros(2)
    for trial in range(30):
        ratings = study(8, 3, 4, tastes=6, noise=4, seed=trial)
        for k, slopes in enumerate((True, False)):
            systems = mixed_model(ratings, slopes=slopes).systems
            assert systems is not None
            alarms[k] += systems.p <= 0.05
    assert alarms[0] <= 30 * 0.1 + 3 * math.sqrt(30 * 0.1 * 0.9)
    assert alarms[1] >= 9


def test_a_hole_takes_the_interaction_and_says_so() -> None:
    ratings = study(8, 3, 3, step=4, seed=2)
    holed = ratings.where(~((ratings.condition == 0) & (ratings.item == 2)))
    found = mixed_model(holed)
    assert found.interaction is None and found.formula.startswith("rating ~ system + item")
    assert any("no interaction" in message for message in found.messages)
    one = mixed_model(ratings.where(ratings.item == 0))
    assert one.interaction is None and one.taste_deviation is None and one.converged


def test_a_condition_without_ratings_has_no_mean() -> None:
    ratings = study(8, 4, 3, seed=3)
    found = mixed_model(ratings.where(ratings.condition != 1))
    assert math.isnan(found.means[1].mean) and len(found.means) == 4
    assert found.systems is not None and found.systems.freedom == 2


def test_unbalanced_ratings_give_the_means_of_the_same_items() -> None:
    # Condition 2 was hardly rated on the easy item; its raw mean is too low, the model's is not.
    ratings = study(24, 3, 2, songs=0, noise=2, people=2, seed=4)
    easy = ratings.item == 1
    ratings = Ratings(ratings.values + 40 * easy, ratings.listener, ratings.condition, ratings.item)
    kept = ~(easy & (ratings.condition == 2) & (ratings.listener > 3))
    found = mixed_model(ratings.where(kept))
    raw = ratings.where(kept & (ratings.condition == 2)).values.mean()
    assert raw < 62 < found.means[2].low
    assert found.means[2].mean == pytest.approx(70, abs=2)


def test_two_of_each_are_needed() -> None:
    ratings = study(4, 3, 2)
    for less in (ratings.where(ratings.condition == 0), ratings.where(ratings.listener == 0)):
        with pytest.raises(ValueError, match="two of each"):
            mixed_model(less)


def test_ratings_that_are_all_equal_have_no_model_and_few_have_none_either() -> None:
    equal = Ratings(np.full(4, 100.0), *np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]]))
    with pytest.raises(ValueError, match="all ratings are 100"):
        mixed_model(equal)
    with pytest.raises(ValueError, match="3 ratings have no mixed model"):
        mixed_model(Ratings(np.array([3.0, 2, 4]), *np.array([[2, 0, 3], [0, 0, 1], [0, 0, 0]])))
    few = Ratings(np.array([1.0, 2, 3, 1]), *np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]]))
    with pytest.raises(ValueError, match="too few"):
        ordinal_model(few)


def test_on_two_points_it_is_logistic_regression_with_clustered_errors() -> None:
    ratings = study(20, 2, 3, step=6, seed=5)
    yes = (ratings.values > 53).astype(float)
    found = ordinal_model(Ratings(yes, ratings.listener, ratings.condition, ratings.item))
    coded = np.where(ratings.condition == 0, 1.0, -1.0)
    songs = np.array([[1, 0], [0, 1], [-1, -1]])[ratings.item]
    design = np.column_stack([np.ones(len(yes)), coded, songs])
    theirs = Logit(yes, design).fit(disp=0, cov_type="cluster", cov_kwds={"groups": ratings.listener})
    assert found.converged and found.messages == ()
    assert found.effects[0].mean == pytest.approx(theirs.params[1], abs=1e-3)
    reach = (found.effects[0].high - found.effects[0].mean) / stats.t.ppf(0.975, 19)
    assert reach == pytest.approx(theirs.bse[1], rel=0.02)
    assert found.effects[1].mean == pytest.approx(-found.effects[0].mean)


def test_a_scale_turned_round_turns_the_effects() -> None:
    ratings = points(study(15, 3, 4, step=5, seed=6))
    turned = Ratings(6 - ratings.values, ratings.listener, ratings.condition, ratings.item)
    one, other = ordinal_model(ratings), ordinal_model(turned)
    assert [e.mean for e in other.effects] == pytest.approx([-e.mean for e in one.effects], abs=2e-3)
    assert one.systems is not None and one.systems.freedom == 2 and one.systems.p < 0.01
    assert one.effects[0].mean < one.effects[1].mean < one.effects[2].mean


def test_errors_are_clustered_by_listener() -> None:
    # Half of the listeners like system 1, half dislike it, each four times: four votes of one are not four listeners.
    rng = np.random.default_rng(7)
    listener, condition, item = np.indices((20, 2, 8)).reshape(3, -1)
    taste = np.where(listener % 2, 1.5, -1.5) * (condition == 1)
    values = np.clip(np.round(3 + taste + rng.normal(0, 0.7, len(taste))), 1, 5)
    clustered = ordinal_model(Ratings(values, listener, condition, item)).effects[1]
    alone = ordinal_model(Ratings(values, np.arange(len(values)), condition, item)).effects[1]
    assert clustered.high - clustered.low > 1.8 * (alone.high - alone.low)


def test_what_is_not_ordinal_is_refused() -> None:
    with pytest.raises(ValueError, match="different answers"):
        ordinal_model(study())
    with pytest.raises(ValueError, match="1 different answers"):
        ordinal_model(Ratings(np.ones(4), *np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]])))


def test_a_condition_that_always_gets_the_best_is_left_out_and_named() -> None:
    ratings = points(study(12, 4, 3, step=4, seed=8))
    top = ratings.condition == 2
    values = np.where(top, 5.0, np.minimum(ratings.values, 4))
    found = ordinal_model(Ratings(values, ratings.listener, ratings.condition, ratings.item))
    assert found.messages == ("condition 2 always got the best answer and is left out",)
    assert math.isnan(found.effects[2].mean) and found.converged and found.ratings == 108
    rest = Ratings(values[~top], ratings.listener[~top], ratings.condition[~top], ratings.item[~top])
    assert found.effects[0] == ordinal_model(rest).effects[0]
    with pytest.raises(ValueError, match="that are left are the same"):
        ordinal_model(Ratings(np.where(top, 5.0, 3.0), ratings.listener, ratings.condition, ratings.item))


def test_answers_that_the_system_alone_tells_are_no_converged_model() -> None:
    listener, condition, item = np.indices((10, 3, 2)).reshape(3, -1)
    values = np.where(condition == 1, 3.0, np.where(condition == 0, 1.0, 5.0)) - (item * (condition == 1))
    found = ordinal_model(
        Ratings(
            np.append(values, [2.0, 4.0]),
            *(np.append(x, k) for x, k in ((listener, [0, 1]), (condition, [0, 2]), (item, [0, 0]))),
        )
    )
    assert not found.converged and any("log-odds" in message for message in found.messages)


def test_the_joint_test_with_few_listeners_is_not_too_sure() -> None:
    alarms, trials = 0, 25
    for trial in range(trials):
        systems = ordinal_model(points(study(10, 4, 3, tastes=8, seed=trial))).systems
        assert systems is not None
        alarms += systems.p <= 0.05
    assert alarms / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    assert (
        ordinal_model(points(study(3, 4, 6, noise=15, seed=0))).systems is None
    )  # three coefficients, three listeners


def test_listeners_and_items_at_once_as_in_the_older_function() -> None:
    ratings = study(12, 3, 6, step=4, tastes=3, seed=9)
    found = two_way_bootstrap(ratings)
    low, high = expanded_tails(6)
    for condition in range(3):
        some = ratings.where(ratings.condition == condition)
        people, songs = ([str(k) for k in codes] for codes in (some.listener, some.item))
        older = crossed_bootstrap(some.values.tolist(), people, songs, confidence=high - low)
        width = older.high - older.low
        assert found.means[condition].mean == pytest.approx(older.mean)
        assert found.means[condition].low == pytest.approx(older.low, abs=0.1 * width)
        assert found.means[condition].high == pytest.approx(older.high, abs=0.1 * width)
    assert (found.listeners, found.items, list(found.differences)) == (12, 6, list(combinations(range(3), 2)))
    cells = ratings.cells()
    assert found.differences[0, 2].mean == pytest.approx((cells[:, 0] - cells[:, 2]).mean())


def test_nobody_said_nothing() -> None:
    nothing = Ratings(np.empty(0), *(np.empty(0, np.int64),) * 3)
    assert two_way_bootstrap(nothing) == TwoWay((), {}, 0, 0)


def test_with_one_of_each_there_is_no_interval_and_with_one_item_only_listeners_are_drawn() -> None:
    ratings = study(12, 2, 1, seed=11)
    only = two_way_bootstrap(ratings.where(ratings.listener == 0)).means[0]
    assert math.isnan(only.low)
    assert two_way_bootstrap(ratings).means[0].high > two_way_bootstrap(ratings).means[0].low


def test_a_difference_that_only_these_songs_have_does_not_hold_for_others() -> None:
    # System 1 is better by 30 on one song of four and worse by 6 on the rest; listeners agree.
    ratings = study(16, 2, 4, noise=3, songs=0, seed=10)
    gain = np.where(ratings.item == 0, 30.0, -6.0) * (ratings.condition == 1)
    ratings = Ratings(ratings.values + gain, ratings.listener, ratings.condition, ratings.item)
    means = ratings.cells().mean(2)
    assert (sign_flip(means[:, 0], means[:, 1]).p or 1) < 0.05
    found = two_way_bootstrap(ratings).differences[0, 1]
    assert found.low < 0 < found.high


def test_differences_are_over_the_cells_that_both_have() -> None:
    # One listener rated only condition 0, and low: that is no difference.
    cells = np.array([[[50.0, 60], [55, 65]], [[40, 50], [45, 55]], [[0, 0], [np.nan, np.nan]]])
    listener, condition, item = np.nonzero(np.isfinite(cells))
    found = two_way_bootstrap(Ratings(cells[listener, condition, item], listener, condition, item), draws=500)
    assert found.differences[0, 1] == (-5.0, -5.0, -5.0)
    assert found.means[0].mean == pytest.approx(200 / 6)


@pytest.mark.parametrize("listeners", [10, 20, 40])
def test_the_two_way_interval_is_on_the_safe_side(listeners: int) -> None:
    held, trials = 0, 200
    for trial in range(trials):
        ratings = study(listeners, 2, 12, people=8, tastes=4, songs=8, seed=trial)
        interval = two_way_bootstrap(ratings, draws=500, seed=trial).means[0]
        held += interval.low <= 50 <= interval.high
    assert held / trials >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)
