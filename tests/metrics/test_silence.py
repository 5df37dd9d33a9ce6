"""Energy at silence in both definitions, voice activity, silent share: unit values from the papers' code, laws, edges."""

import math
from functools import partial

import pytest
import torch

from separation.errors import ShapeError
from separation.metrics import eps_wiass, pes_htmd, pes_wiass, silent_share, vad_agreement, voice_activity
from tests.metrics.metric_signals import noise, speech_like

RATE = 16000


def test_pes_of_wiass_has_its_published_values():
    silence, steady = torch.zeros(1, 1, 10), torch.full((1, 1, 10), -3.0)
    assert pes_wiass(silence, steady, 10).item() == pytest.approx(10 * math.log10(90 + 1e-12))
    assert pes_wiass(silence, silence, 10).item() == pytest.approx(-120)
    assert eps_wiass(steady, silence, 10).item() == pytest.approx(10 * math.log10(90 + 1e-12))


def test_pes_of_wiass_counts_windows_that_are_exactly_silent_only():
    reference = torch.zeros(1, 2, 35)
    reference[0, 1, 12] = 1e-30  # the second of three whole windows
    found = pes_wiass(reference, torch.ones(1, 2, 35), 10)
    assert found.shape == (1, 3)
    assert found[0].isnan().tolist() == [False, True, False]
    assert found[0, 0].item() == pytest.approx(10 * math.log10(20)), "energies of channels add up"


def test_eps_is_pes_with_the_parts_exchanged():
    a, b = noise(2, 1, 50), noise(2, 1, 50, seed=1)
    a[0, :, :20], b[1, :, 20:40] = 0, 0
    assert torch.allclose(eps_wiass(a, b, 10), pes_wiass(b, a, 10), equal_nan=True)
    assert eps_wiass(a, b, 10)[1].isnan().tolist() == [True, True, False, False, True]


def test_pes_of_htmd_is_the_rms_level_where_no_voice_is_heard():
    voice = speech_like(3, RATE)
    reference = torch.cat([torch.zeros(1, 2 * RATE), voice.float()], -1)[None]
    estimate = torch.full_like(reference, 0.01)
    found = pes_htmd(reference, estimate, RATE)[0]
    window = round(4096 / 22050 * RATE)
    assert found.numel() == reference.shape[-1] // window
    silent = found[: 2 * RATE // window - 1]
    assert silent.tolist() == pytest.approx([-40.0] * len(silent), abs=1e-3)
    assert found[2 * RATE // window + 1 :].isnan().float().mean() > 0.7


def test_pes_of_htmd_of_exact_silence_is_its_floor():
    silence = torch.zeros(1, 1, 22050)
    found = pes_htmd(silence, silence, 22050)
    assert found.shape == (1, 22050 // 4096)
    assert (found == -2000).all()


def test_the_two_definitions_are_not_one_number():
    silence, steady = torch.zeros(1, 1, RATE), torch.full((1, 1, RATE), 0.01)
    assert pes_wiass(silence, steady, RATE).item() - pes_htmd(silence, steady, RATE, RATE).item() == pytest.approx(
        10 * math.log10(RATE), abs=1e-3
    )


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_voice_is_heard_where_it_is(rate):
    quiet = torch.zeros(1, 2 * rate)
    both = torch.cat([quiet, speech_like(3, rate).float()], -1)
    active = voice_activity(both, rate)
    assert active.shape == (250,)
    assert not active[:98].any() and active[105:].float().mean() > 0.7


def test_a_voice_agrees_with_itself_and_not_with_silence():
    voice = torch.stack([speech_like(2, RATE, seed=1), speech_like(2, RATE, seed=2)]).float()
    assert vad_agreement(voice, voice, RATE).tolist() == [100, 100]
    missed = vad_agreement(voice, torch.zeros_like(voice), RATE)
    active = voice_activity(voice, RATE).double().mean(-1)
    assert torch.allclose(missed, 100 * (1 - active)) and (missed < 40).all()


def test_full_scale_is_clipped_and_nothing_wraps_around():
    voice = speech_like(2, RATE).float()[None]
    loud = 30 * voice
    assert torch.equal(voice_activity(loud, RATE), voice_activity(loud.clamp(-1, 1), RATE))


def test_silent_share_counts_windows():
    reference = torch.ones(2, 2, 100)
    reference[0, :, :30] = 0
    reference[1, 0] = 0  # the other channel sounds
    assert silent_share(reference, 10).tolist() == [30, 0]
    assert silent_share(reference, 20, 10)[0].item() == pytest.approx(100 * 2 / 9)
    assert silent_share(reference, 1000).tolist() == [0, 0], "a signal below one window is one window"


def test_a_signal_below_one_window_has_no_window():
    short = torch.zeros(1, 1, 99)
    assert pes_wiass(short, short, 100).shape == (1, 0)
    assert pes_htmd(short, short, RATE).shape == (1, 0)


@pytest.mark.parametrize(
    "metric",
    [partial(pes_wiass, window=5), partial(pes_htmd, sample_rate=RATE), partial(vad_agreement, sample_rate=RATE)],
)
def test_wrong_shapes_are_named(metric):
    with pytest.raises(ShapeError, match=r"\[sources, channels, samples\]"):
        metric(torch.zeros(1, 1, 10), torch.zeros(1, 1, 11))
