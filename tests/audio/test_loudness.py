"""Loudness: the standard's own reference tone, and gains that match what they say."""

from math import inf

import numpy as np
import pytest

from separation.audio.loudness import MOST_GAIN_DB, component, component_gain, loudness, loudness_gain
from separation.errors import ShapeError
from separation.signals import Samples

RATE = 48000


def _noise(seed: int, *, channels: int = 2, seconds: float = 2.0, scale: float = 0.1) -> Samples:
    return (np.random.default_rng(seed).standard_normal((channels, int(seconds * RATE))) * scale).astype(np.float32)


def test_a_full_scale_tone_at_997_hz_has_minus_three_lufs() -> None:
    """BS.1770-4: 997 Hz at 0 dB FS in the left channel reads -3.01."""
    time = np.arange(5 * RATE) / RATE
    samples = np.stack([np.sin(2 * np.pi * 997 * time), np.zeros_like(time)]).astype(np.float32)
    assert loudness(samples, RATE) == pytest.approx(-3.01, abs=0.1)  # EBU Tech 3341 allows 0.1


def test_ten_db_less_is_ten_lu_less() -> None:
    noise = _noise(0)
    assert loudness(noise, RATE) - loudness(noise * 10**-0.5, RATE) == pytest.approx(10, abs=1e-3)


@pytest.mark.parametrize("samples", [np.zeros((2, RATE), np.float32), _noise(1, seconds=0.3)])
def test_silence_and_very_short_audio_have_no_loudness(samples: Samples) -> None:
    assert loudness(samples, RATE) == -inf


def test_more_channels_than_the_standard_weighs_are_refused() -> None:
    with pytest.raises(ShapeError, match="8 channels"):
        loudness(np.zeros((8, RATE), np.float32), RATE)


def test_the_component_does_not_count_bleed_but_bs1770_does() -> None:
    target, others = _noise(2), _noise(3)
    estimate = 0.5 * target + others
    assert component(target, estimate) == pytest.approx(0.5, abs=0.02)
    assert component_gain(target, estimate, RATE).db == pytest.approx(6.02, abs=0.3)
    # By loudness as a whole, the bleeding estimate would be turned down.
    assert loudness_gain(loudness(target, RATE), estimate, RATE).db < 0


def test_an_inverted_estimate_is_matched_in_level() -> None:
    target = _noise(4)
    assert component_gain(target, -0.5 * target, RATE).db == pytest.approx(6.02, abs=0.01)


def test_loudness_gain_reaches_what_was_asked_for() -> None:
    noise = _noise(5)
    gain = loudness_gain(-23.0, noise, RATE)
    assert gain.flag == ""
    assert loudness(noise * 10 ** (gain.db / 20), RATE) == pytest.approx(-23.0, abs=0.01)


def test_gains_stop_at_twelve_db_with_a_flag() -> None:
    target = _noise(6)
    gain = component_gain(target, 0.01 * target, RATE)
    assert gain.db == MOST_GAIN_DB and gain.wanted_db == pytest.approx(40, abs=0.1) and "+40.0 dB" in gain.flag
    gain = loudness_gain(-50.0, target, RATE)
    assert gain.db == -MOST_GAIN_DB and gain.flag


@pytest.mark.parametrize("quiet", [0.0, 1e-5])
def test_silence_gets_no_gain_but_a_flag(quiet: float) -> None:
    target, silent = _noise(7), _noise(8) * np.float32(quiet)
    for gain in (
        component_gain(silent, target, RATE),
        component_gain(target, silent, RATE),
        loudness_gain(-23.0, silent, RATE),
        loudness_gain(loudness(silent, RATE), target, RATE),
    ):
        assert gain.db == 0 and "no gain" in gain.flag
