"""STOI, PESQ, spectral distances, logWMSE: physics, laws, edges. Where a package computes, only our side of it is tested."""

import math
import sys

import pystoi
import pytest
import torch

from separation.errors import MissingExtra, ShapeError
from separation.metrics import log_spectral_distance, logwmse, multi_resolution_spectral_distance, pesq, stoi
from tests.metrics.metric_signals import noise, speech_like

RATE = 10000


@pytest.fixture
def voice() -> torch.Tensor:
    return torch.stack([speech_like(3, RATE, seed=1), speech_like(3, RATE, seed=2)])


def noisy(x: torch.Tensor, level: float) -> torch.Tensor:
    return x + level * x.square().mean().sqrt() * noise(*x.shape, seed=7)


def test_stoi_is_pystois_of_the_mean_of_the_channels(voice):
    stereo = torch.cat([voice, 0.5 * voice], 1)
    found = stoi(stereo, noisy(stereo, 0.5), RATE)
    expected = pystoi.stoi(stereo[1].mean(0).numpy(), noisy(stereo, 0.5)[1].mean(0).numpy(), RATE)
    assert found[1].item() == pytest.approx(expected)


def test_stoi_falls_with_noise_and_forgives_level(voice):
    scores = torch.stack([stoi(voice, noisy(voice, level), RATE) for level in (0, 0.5, 2, 8)])
    assert (scores.diff(dim=0) < 0).all() and scores[0].tolist() == pytest.approx([1, 1])
    assert stoi(voice, 0.1 * voice, RATE).tolist() == pytest.approx([1, 1])


def test_stoi_without_speech_has_no_value(voice):
    silence = torch.zeros_like(voice)
    assert stoi(silence, voice, RATE).isnan().all() and stoi(voice, silence, RATE).isnan().all()
    assert stoi(voice[..., :3000], voice[..., :3000], RATE).isnan().all(), "0.3 s"
    click = silence.clone()
    click[..., 15000:15300] = voice[..., 15000:15300]
    assert stoi(click, click, RATE).isnan().all(), "30 ms of speech in 3 s"


def test_pesq_without_its_package_says_what_to_install(voice, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(MissingExtra, match=r"pip install pesq"):
        pesq(voice, voice, RATE)


@pytest.mark.parametrize(("rate", "best"), [(8000, 4.549), (16000, 4.644)])
def test_pesq_of_a_perfect_estimate_is_its_maximum_and_noise_lowers_it(rate, best):
    pytest.importorskip("pesq")
    voice = speech_like(3, rate)[None]
    scores = [pesq(voice, noisy(voice, level), rate).item() for level in (0, 0.1, 1)]
    assert scores[0] == pytest.approx(best, abs=1e-2) and scores == sorted(scores, reverse=True)


def test_pesq_of_long_speech_is_the_mean_of_its_pieces():
    pytest.importorskip("pesq")
    rate = 8000
    voice = speech_like(20, rate)[None]
    voice[..., 10 * rate :] = 0
    degraded = noisy(voice, 0.5)
    # the second piece is silent and does not count
    assert pesq(voice, degraded, rate).item() == pytest.approx(
        pesq(voice[..., : 10 * rate], degraded[..., : 10 * rate], rate).item(), abs=0.05
    )


def test_pesq_of_silence_or_a_click_has_no_value():
    pytest.importorskip("pesq")
    voice = speech_like(3, 8000)[None]
    assert pesq(torch.zeros_like(voice), voice, 8000).isnan().all() and pesq(voice, voice * 0, 8000).isnan().all()
    assert pesq(voice[..., :1000], voice[..., :1000], 8000).isnan().all()


@pytest.mark.parametrize("distance", [log_spectral_distance, multi_resolution_spectral_distance])
def test_distances_are_zero_for_the_same_and_grow(distance, voice):
    found = torch.stack([distance(voice, noisy(voice, level)) for level in (0, 0.01, 0.1, 1)])
    assert found[0].tolist() == [0, 0] and (found.diff(dim=0) > 0).all()


@pytest.mark.parametrize("distance", [log_spectral_distance, multi_resolution_spectral_distance])
def test_distances_ignore_sign_and_joint_gain(distance, voice):
    estimate = noisy(voice, 0.1)
    assert distance(voice, -voice).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert distance(100 * voice, 100 * estimate) == pytest.approx(distance(voice, estimate))


def test_log_spectral_distance_of_a_gain_is_that_gain():
    x = noise(2, 2, 20000)
    assert log_spectral_distance(x, 0.5 * x).tolist() == pytest.approx([6.0206] * 2, abs=1e-3)


def test_multi_resolution_distance_of_a_gain_is_known():
    x = noise(1, 1, 20000)
    assert multi_resolution_spectral_distance(x, 0.5 * x).item() == pytest.approx(0.5 + math.log(2), abs=1e-3)


@pytest.mark.parametrize("distance", [log_spectral_distance, multi_resolution_spectral_distance])
def test_distances_of_silence(distance):
    x, silence = noise(1, 1, 5000), torch.zeros(1, 1, 5000)
    assert distance(silence, x).isnan().all()
    assert distance(x, silence).isfinite().all() and distance(x, silence) > distance(x, noise(1, 1, 5000, seed=2))


def test_a_signal_below_one_frame_is_one_frame():
    x = noise(1, 2, 100)
    assert log_spectral_distance(x, 2 * x).item() == pytest.approx(6.0206, abs=0.05)


def test_distances_do_not_depend_on_how_frames_are_grouped(monkeypatch):
    x, y = noise(2, 1, 30000), noise(2, 1, 30000, seed=1)
    expected = log_spectral_distance(x, y)
    monkeypatch.setattr("separation.metrics.perceptual.FRAMES", 7)
    assert log_spectral_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_logwmse_is_defined_for_silence_and_worse_with_noise(rate):
    reference = torch.stack([noise(1, rate), torch.zeros(1, rate)])
    mixture = reference.sum(0)
    best = logwmse(mixture, reference, reference, rate)
    assert best.tolist() == pytest.approx([-4 * math.log(1e-8)] * 2, abs=1e-3)
    levels = torch.stack(
        [logwmse(mixture, reference, reference + g * noise(2, 1, rate, seed=3), rate) for g in (0.01, 0.1, 1)]
    )
    assert (levels.diff(dim=0) < 0).all() and (levels < best).all()
    # ten times the error is 4 ln 100 less
    assert (levels[1] - levels[2]).tolist() == pytest.approx([4 * math.log(100)] * 2, abs=1e-3)


def test_logwmse_is_joint_gain_invariant_and_undefined_without_a_mixture():
    reference, estimate = noise(2, 2, 8000), noise(2, 2, 8000, seed=1)
    mixture = reference.sum(0)
    louder = logwmse(10 * mixture, 10 * reference, 10 * estimate, 8000)
    assert louder == pytest.approx(logwmse(mixture, reference, estimate, 8000))
    assert logwmse(torch.zeros(2, 8000), reference, estimate, 8000).isnan().all()


@pytest.mark.parametrize(
    "metric",
    [
        lambda r, e: stoi(r, e, RATE),
        log_spectral_distance,
        multi_resolution_spectral_distance,
        lambda r, e: logwmse(r[0], r, e, RATE),
        lambda r, e: logwmse(r[0, :, 1:], r, r, RATE),
    ],
)
def test_wrong_shapes_are_named(metric):
    with pytest.raises(ShapeError, match=r"channels, samples\]"):
        metric(torch.zeros(1, 1, 10), torch.zeros(1, 1, 11))
