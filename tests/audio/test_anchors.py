"""Anchors meet the standard's mask, stay where the target is, and are the same for the same seed."""

import numpy as np
import pytest
from scipy.signal import freqz

from separation.audio import anchors
from separation.audio.alignment import find_lag
from separation.audio.loudness import component
from separation.signals import Samples

KINDS = ("low_pass", "mixture", "interference", "artefacts", "distorted", "ratio_mask")
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000)


def _sounds(sample_rate: int = 16000, *, channels: int = 2, length: int = 24001) -> tuple[Samples, Samples]:
    """A target that plays half of the time, and a mixture."""
    drawn = np.random.default_rng(0).standard_normal((2, channels, length)).astype(np.float32) * np.float32(0.1)
    target = drawn[0] * (np.arange(length) // 2000 % 2).astype(np.float32)
    return target, target + drawn[1]


def _gain_db(taps: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    hertz, response = freqz(taps, worN=1 << 15, fs=sample_rate)
    return hertz, 20 * np.log10(np.abs(response) + 1e-12)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("cut_hz", anchors.CUTS_HZ)
def test_the_low_pass_meets_the_mask(cut_hz: float, sample_rate: int) -> None:
    taps = anchors.low_pass_taps(sample_rate, cut_hz)
    if cut_hz >= 0.99 * sample_rate / 2:
        assert taps.tolist() == [1.0]
        return
    assert len(taps) % 2 == 1
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)  # linear phase: the delay is whole, and taken back
    hertz, gain_db = _gain_db(taps, sample_rate)
    assert np.abs(gain_db[hertz <= cut_hz]).max() <= 0.1
    for edge, least in ((8 / 7, 25), (9 / 7, 50)):  # 4 kHz and 4.5 kHz for 3.5 kHz
        beyond = hertz >= edge * cut_hz
        assert not beyond.any() or gain_db[beyond].max() <= -least


def test_the_low_pass_delays_nothing() -> None:
    impulse = np.zeros((1, 2001), np.float32)
    impulse[0, 1000] = 1
    for cut_hz in anchors.CUTS_HZ:
        passed = anchors.low_pass(impulse, 44100, cut_hz)
        assert int(np.argmax(passed)) == 1000
        np.testing.assert_allclose(passed, passed[:, ::-1], atol=1e-7)


def test_tones_below_pass_and_above_go() -> None:
    time = np.arange(16000) / 16000
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32)[None] for hertz in (3000, 5000))
    passed = anchors.low_pass(low + high, 16000)
    np.testing.assert_allclose(passed[:, 500:-500], low[:, 500:-500], atol=3e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [24001, 100])
def test_an_anchor_is_as_long_as_the_target_and_the_same_for_the_same_seed(kind: anchors.Kind, length: int) -> None:
    target, mixture = _sounds(length=length)
    made = [anchors.make(kind, target=target, mixture=mixture, sample_rate=16000, seed=seed) for seed in (3, 3, 4)]
    assert made[0].shape == target.shape and made[0].dtype == np.float32 and np.isfinite(made[0]).all()
    np.testing.assert_array_equal(made[0], made[1])
    if kind in ("artefacts", "distorted") and length > 1000:
        assert not np.array_equal(made[0], made[2])
    assert made[0] is not target and made[0] is not mixture


@pytest.mark.parametrize("kind", KINDS)
def test_an_anchor_is_aligned_with_the_target(kind: anchors.Kind) -> None:
    target, mixture = _sounds()
    made = anchors.make(kind, target=target, mixture=mixture, sample_rate=16000, seed=1)
    lag = find_lag(target, made, 16000)
    assert lag.samples == 0 and lag.correlation > 0.3 and not lag.inverted


@pytest.mark.parametrize("level_db", [-6.0, 0.0, 12.0])
def test_what_is_added_has_the_level_that_was_asked_for(level_db: float) -> None:
    target, mixture = _sounds()
    for made in (
        anchors.interference(target, mixture, level_db),
        anchors.artefacts(target, 16000, np.random.default_rng(0), level_db),
    ):
        added = np.linalg.norm(made - target)
        assert 20 * np.log10(np.linalg.norm(target) / added) == pytest.approx(level_db, abs=0.01)


def test_nothing_is_added_where_nothing_is_left_out() -> None:
    target, _ = _sounds()
    np.testing.assert_array_equal(anchors.artefacts(target, 16000, np.random.default_rng(1), -20.0, 0.0), target)
    np.testing.assert_array_equal(anchors.interference(target, target, -20.0), target)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_artefacts_leave_the_target_as_loud_as_it_is(share: float) -> None:
    target, _ = _sounds()
    made = anchors.artefacts(target, 16000, np.random.default_rng(1), 0.0, share)
    assert component(target, made) == pytest.approx(1, abs=1e-4)


def test_the_interference_is_what_the_mixture_holds_besides() -> None:
    target, mixture = _sounds()
    added = anchors.interference(target, mixture, 6.0) - target
    others = mixture - target
    assert np.corrcoef(added.ravel(), others.ravel())[0, 1] == pytest.approx(1, abs=1e-5)


def test_holes_take_about_their_share_of_the_energy_and_the_same_of_all_channels() -> None:
    target = np.repeat(_sounds(channels=1)[0], 2, axis=0)
    made = anchors.distorted(target, 16000, np.random.default_rng(2), 8000.0, 0.2)
    np.testing.assert_array_equal(made[0], made[1])
    # Of overlapping windows a zeroed point is in part given back by its neighbours.
    assert 0.6 < (made**2).sum() / (target**2).sum() < 0.85


def test_the_ratio_mask_gives_most_of_the_target() -> None:
    target, mixture = _sounds()
    made = anchors.ratio_mask(target, mixture, 16000)
    assert np.linalg.norm(made - target) < 0.7 * np.linalg.norm(mixture - target)
    np.testing.assert_allclose(anchors.ratio_mask(target, target, 16000), target, atol=1e-5)  # nothing else: all of it


@pytest.mark.parametrize("kind", KINDS)
def test_silence_gives_no_noise(kind: anchors.Kind) -> None:
    _, mixture = _sounds()
    silent = np.zeros_like(mixture)
    made = anchors.make(kind, target=silent, mixture=mixture, sample_rate=16000)
    np.testing.assert_allclose(made, mixture if kind == "mixture" else silent, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_anchor_is_described_in_a_sentence(kind: anchors.Kind) -> None:
    said = anchors.describe(kind, cut_hz=1750.0, level_db=5.0, share=0.5)
    assert said.endswith(".") and said.count(". ") == 0
    if kind == "low_pass":
        assert "1,750 Hz" in said and "not BS.1534-3" in said and "2,000 Hz" in said
        assert "as BS.1534-3 asks" in anchors.describe(kind)
