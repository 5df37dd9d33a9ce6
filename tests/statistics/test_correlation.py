"""Ratings beside a metric: coefficients by scipy, intervals by drawing studies."""

import math

import numpy as np
import pytest
from scipy import stats
from statistics_listeners import study

from separation.statistics import Ratings, correlate


def test_the_coefficients_are_scipys() -> None:
    ratings = study(8, 5, 6, step=4, seed=0)
    metric = np.random.default_rng(1).normal(0, 2, (5, 6)) + np.arange(5)[:, None]
    metric[2, 3] = metric[1, 3]  # a tie
    found = correlate(ratings, metric, draws=200)
    means = ratings.cells().mean(0)
    x, y = means.ravel(), metric.ravel()
    assert found.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.kendall.value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic)
    within = [stats.spearmanr(means[:, k], metric[:, k]).statistic for k in range(6)]
    assert found.within.value == pytest.approx(np.mean(within))
    assert (found.cells, found.listeners, found.items, found.reason) == (30, 8, 6, "")
    for part in (found.spearman, found.kendall, found.pearson):
        assert part.low is not None and part.value is not None and part.high is not None
        assert part.low < part.value < part.high


def test_cells_without_a_rating_or_a_value_are_left_out() -> None:
    ratings = study(6, 4, 5, step=5, missing=0.3, seed=2)
    keep = ~((ratings.condition == 1) & (ratings.item == 2))
    ratings = ratings.where(keep)
    metric = np.random.default_rng(3).normal(0, 1, (4, 5)) + np.arange(4)[:, None]
    metric[3, 4] = np.nan
    found = correlate(ratings, metric, draws=100)
    used = np.isfinite(metric)
    used[1, 2] = False
    means = np.nanmean(np.where(used, ratings.cells(), 0.0), 0)
    assert found.cells == 18
    assert found.spearman.value == pytest.approx(stats.spearmanr(means[used], metric[used]).statistic)
    assert found.kendall.value == pytest.approx(stats.kendalltau(means[used], metric[used]).statistic)


def test_turning_the_metric_round_turns_the_signs() -> None:
    ratings, metric = study(6, 4, 5, step=5, seed=4), np.random.default_rng(5).normal(0, 1, (4, 5))
    one, other = correlate(ratings, metric, draws=200), correlate(ratings, -metric, draws=200)
    assert one.spearman.value == pytest.approx(-(other.spearman.value or 0))
    assert one.spearman.low == pytest.approx(-(other.spearman.high or 0))


def test_a_song_that_is_easy_for_all_is_no_merit_of_the_metric() -> None:
    # The metric knows which song is easy and nothing of the systems.
    ratings = study(10, 4, 8, songs=25, noise=2, people=2, seed=6)
    easy = ratings.cells().mean((0, 1))
    metric = np.broadcast_to(easy, (4, 8)) + np.random.default_rng(7).normal(0, 0.01, (4, 8))
    found = correlate(ratings, metric, draws=100)
    assert found.spearman.value is not None and found.spearman.value > 0.9
    assert found.within.value is not None and abs(found.within.value) < 0.4


def test_few_cells_or_no_variation_have_no_value() -> None:
    few = correlate(study(5, 3, 1), np.ones((3, 1)))
    assert few.spearman.value is None and few.reason == "3 cells; 4 are needed"
    flat = correlate(study(5, 3, 2), np.ones((3, 2)), draws=20)
    assert flat.kendall.value is None and "do not vary" in flat.reason
    with pytest.raises(ValueError, match="4 conditions by 5 items"):
        correlate(study(), np.ones((3, 5)))


def test_the_interval_covers_what_other_people_and_songs_would_say() -> None:
    # The truth is that of ever so many songs and people: quality is the metric's plus what it cannot hear.
    rng = np.random.default_rng(8)
    truth, held, trials = 1 / math.sqrt(2), 0, 60
    for trial in range(trials):
        metric = rng.normal(0, 10, (5, 12))
        quality = metric + rng.normal(0, 10, (5, 12))
        values = quality + rng.normal(0, 10, (10, 1, 1)) + rng.normal(0, 4, (10, 5, 12))
        listener, condition, item = np.indices(values.shape).reshape(3, -1)
        found = correlate(Ratings(values.ravel(), listener, condition, item), metric, draws=200, seed=trial).pearson
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert held / trials >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)
