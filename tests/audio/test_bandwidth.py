"""Up to where a sound goes."""

import numpy as np
import pytest

from separation.audio.anchors import low_pass
from separation.audio.bandwidth import bandwidth, energy_above

RATE = 16000


@pytest.mark.parametrize("hertz", [100.0, 1000.0, 7000.0])
def test_a_tone_goes_up_to_where_it_is(hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)[None]
    assert bandwidth(tone, RATE) == pytest.approx(hertz, abs=2)


@pytest.mark.parametrize("cut_hz", [1000.0, 3500.0])
@pytest.mark.parametrize("gain", [1.0, 1e-3])
def test_low_passed_noise_goes_a_little_beyond_the_cut_off(cut_hz: float, gain: float) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 2 * RATE)) * gain
    assert cut_hz < bandwidth(low_pass(noise, RATE, cut_hz), RATE) < cut_hz * 8 / 7
    assert bandwidth(noise, RATE) > 0.99 * RATE / 2


def test_the_shares_fall_from_one_and_are_those_of_the_energy() -> None:
    hertz, share = energy_above(np.random.default_rng(1).standard_normal((1, 4 * RATE)), RATE)
    assert share[0] == 1 and np.all(np.diff(share) <= 0) and hertz[-1] == RATE / 2
    assert share[np.searchsorted(hertz, RATE / 4)] == pytest.approx(0.5, abs=0.02)


def test_silence_goes_nowhere() -> None:
    assert bandwidth(np.zeros((2, RATE)), RATE) == 0 and not energy_above(np.zeros((2, RATE)), RATE)[1].any()
