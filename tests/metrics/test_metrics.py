"""Metrics: perfect, silent, worse; gain; agreement with an independent implementation."""

import numpy as np
import pytest
from mir_eval.separation import bss_eval_sources

from separation.metrics import bss_eval_v3_sdr, si_sdr, snr


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("metric", [si_sdr, snr])
def test_a_perfect_estimate_is_infinite_and_a_silent_reference_undefined(metric, rng):
    s = rng.standard_normal((2, 1000))
    assert np.isinf(metric(s, s)).all()
    assert np.isnan(metric(np.zeros(1000), s[0]))


@pytest.mark.parametrize("metric", [si_sdr, snr, bss_eval_v3_sdr])
def test_more_noise_never_scores_higher(metric, rng):
    s, n = rng.standard_normal((2, 8000))
    scores = [float(metric(s, s + level * n)) for level in (0.01, 0.1, 0.5, 1.0, 3.0)]
    assert scores == sorted(scores, reverse=True)


def test_gain_is_forgiven_by_si_sdr_and_bss_eval_but_not_by_snr(rng):
    s, n = rng.standard_normal((2, 8000))
    e = s + 0.3 * n
    assert si_sdr(s, 3 * e) == pytest.approx(float(si_sdr(s, e)))
    assert bss_eval_v3_sdr(s, 3 * e) == pytest.approx(bss_eval_v3_sdr(s, e))
    assert snr(s, 3 * s) == pytest.approx(-20 * np.log10(2))


def test_si_sdr_of_known_noise(rng):
    s = rng.standard_normal(100_000)
    n = rng.standard_normal(100_000)
    n -= n @ s / (s @ s) * s  # orthogonal, so that the answer is exact
    n *= np.linalg.norm(s) / np.linalg.norm(n) / 10
    assert si_sdr(s, s + n) == pytest.approx(20, abs=1e-2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("delay", [0, 7, 200])
def test_bss_eval_v3_is_mir_evals(delay, rng):
    sources = rng.standard_normal((2, 12_000))
    estimates = np.roll(sources, delay, axis=1) + 0.4 * sources[::-1] + 0.2 * rng.standard_normal(sources.shape)
    expected, _, _, _ = bss_eval_sources(sources, estimates, compute_permutation=False)
    found = [bss_eval_v3_sdr(s, e) for s, e in zip(sources, estimates, strict=True)]
    # mir_eval allows both sources' filters in the target of none but its own: the SDRs are the same number
    assert found == pytest.approx(list(expected), abs=0.01)


def test_bss_eval_v3_of_silence_is_undefined(rng):
    s = rng.standard_normal(2000)
    assert np.isnan(bss_eval_v3_sdr(np.zeros(2000), s))
    assert np.isnan(bss_eval_v3_sdr(s, np.zeros(2000)))
