"""Cluster bootstrap: means, widths, refusals."""

import numpy as np
import pytest

from separation.statistics import cluster_bootstrap


def test_the_mean_is_the_weighted_mean():
    interval = cluster_bootstrap([1.0, 2.0, 9.0], ["a", "a", "b"], weights=[1.0, 1.0, 2.0])
    assert interval.mean == pytest.approx(21 / 4)
    assert interval.low <= interval.mean <= interval.high


def test_clusters_make_the_interval_wider_than_clips_would():
    rng = np.random.default_rng(0)
    song_means = rng.normal(0, 3, 10)
    values = [float(v) for mean in song_means for v in mean + rng.normal(0, 0.1, 20)]
    songs = [str(i) for i in range(10) for _ in range(20)]
    by_song = cluster_bootstrap(values, songs)
    by_clip = cluster_bootstrap(values, [str(i) for i in range(200)])
    assert by_song.high - by_song.low > 2 * (by_clip.high - by_clip.low)


def test_coverage_is_near_what_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(100):
        values = rng.normal(5, 2, 40)
        interval = cluster_bootstrap(list(values), [str(i) for i in range(40)], seed=trial)
        hits += interval.low <= 5 <= interval.high
    assert 85 <= hits <= 100


def test_the_same_seed_gives_the_same_interval():
    values, clusters = [1.0, 4.0, 2.0, 8.0], ["a", "b", "c", "d"]
    assert cluster_bootstrap(values, clusters, seed=3) == cluster_bootstrap(values, clusters, seed=3)


def test_one_cluster_has_no_interval():
    assert np.isnan(cluster_bootstrap([1.0, 2.0], ["a", "a"]).low)


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0], ["a", "b"]), ([float("nan"), 1.0], ["a", "b"])])
def test_bad_input_is_refused(values, clusters):
    with pytest.raises(ValueError, match=r"values|finite"):
        cluster_bootstrap(values, clusters)
