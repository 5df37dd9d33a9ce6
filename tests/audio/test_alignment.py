"""Lags are found to the sample, under bleed, filters and polarity; and none is seen where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.audio.alignment import find_lag, shifted
from separation.audio.anchors import low_pass
from separation.signals import Samples

RATE = 16000


def _voice(seed: int, *, channels: int = 1, length: int = 2 * RATE) -> Samples:
    """Noise with the slope of music: most of it low."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal((channels, length)))
    spectrum /= 1 + np.fft.rfftfreq(length, 1 / RATE) / 300
    return (np.fft.irfft(spectrum, length) * 0.3).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(lag=st.integers(-2000, 2000), channels=st.integers(1, 2), seed=st.integers(0, 5))
def test_a_shift_is_found_to_the_sample(lag: int, channels: int, seed: int) -> None:
    target = _voice(seed, channels=channels)
    late = shifted(target, -lag)
    found = find_lag(target, late, RATE)
    assert found.samples == lag and not found.inverted and found.correlation > 0.8
    if lag == 0:
        np.testing.assert_array_equal(late, target)


@pytest.mark.parametrize("lag", [-37, -1, 0, 1, 2, 64, 1105])
def test_bleed_and_a_low_pass_do_not_move_it(lag: int) -> None:
    target, bleed = _voice(1), _voice(2)
    late = shifted(low_pass(target, RATE, 3500.0), -lag) + bleed * np.float32(0.5)
    assert find_lag(target, late, RATE).samples == lag


def test_an_estimate_of_the_mixture_is_found_in_it() -> None:
    target, others = _voice(3), _voice(4)
    assert find_lag(target + others, shifted(target, -5), RATE).samples == 5


def test_polarity_is_told() -> None:
    target = _voice(5)
    found = find_lag(target, shifted(-target, -12), RATE)
    assert found.inverted and found.samples == 12
    assert find_lag(target, -target, RATE).inverted


def test_a_delay_of_half_a_sample_is_left_and_seen() -> None:
    target = _voice(6)
    spectrum = np.fft.rfft(target) * np.exp(-1j * np.pi * 0.5 * np.linspace(0, 1, target.shape[-1] // 2 + 1))
    found = find_lag(target, np.fft.irfft(spectrum, target.shape[-1]), RATE)
    assert found.samples + found.fraction == pytest.approx(0.5, abs=0.1)


def test_what_is_not_in_it_has_no_lag() -> None:
    found = find_lag(_voice(7), _voice(8), RATE)
    assert found.samples == 0 and not found.found
    silent = find_lag(_voice(7), np.zeros((1, 2 * RATE), np.float32), RATE)
    assert silent.samples == 0 and silent.correlation == 0 and not silent.found


@settings(max_examples=20, deadline=None)
@given(lag=st.integers(-30, 30))
def test_shifting_keeps_the_length_and_fills_with_silence(lag: int) -> None:
    samples = np.arange(1.0, 21.0)[None]
    moved = shifted(samples, lag)
    assert moved.shape == samples.shape
    assert np.count_nonzero(moved) == max(0, 20 - abs(lag))
    if abs(lag) < 20:
        kept = slice(0, 20 - lag) if lag >= 0 else slice(-lag, 20)
        np.testing.assert_array_equal(moved[:, kept], samples[:, max(0, lag) : 20 + min(0, lag)])
