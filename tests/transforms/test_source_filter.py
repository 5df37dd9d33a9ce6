"""Sources and filters against what they stand for: sums of sines, plain recursions, roots of polynomials."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz, lfilter
from torch import Tensor

from separation.errors import ShapeError
from separation.transforms import source_filter as sf

RATE = 16000
HOP = 64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filters(*shape: int, order: int = 20, seed: int = 0) -> Tensor:
    return sf.coefficients(sf.line_spectral_frequencies(noise(*shape, order + 1, seed=seed)))


def by_sample(x: Tensor, a: Tensor) -> Tensor:
    """The recursion as it is written down, a sample at a time, under autograd."""
    made: list[Tensor] = []
    for n in range(x.shape[-1]):
        y = x[..., n]
        for k in range(1, min(a.shape[-1], n) + 1):
            y = y - a[..., k - 1] * made[n - k]
        made.append(y)
    return torch.stack(made, -1)


@settings(max_examples=60, deadline=None)
@given(
    y=st.lists(st.floats(-8, 8), min_size=5, max_size=25).filter(lambda y: len(y) % 2 == 1),
)
def test_any_free_numbers_become_a_stable_filter(y: list[float]) -> None:
    frequencies = sf.line_spectral_frequencies(torch.tensor(y, dtype=torch.float64))
    assert frequencies.shape == (len(y) - 1,)
    assert (frequencies.diff() > 0).all()
    assert frequencies[0] > 0 and frequencies[-1] < np.pi
    roots = np.roots(np.r_[1, sf.coefficients(frequencies).numpy()])
    # numpy's own roots of a cluster are off by the n-th root of its rounding
    assert np.abs(roots).max() < 1 + 1e-2
    if frequencies.diff().min() > 0.02 and len(y) < 15:
        assert np.abs(roots).max() < 1


def test_roots_of_twenty_poles_lie_inside_the_unit_circle() -> None:
    for a in filters(200):
        assert np.abs(np.roots(np.r_[1, a.numpy()])).max() < 1


def test_frequencies_are_where_the_two_palindromes_vanish() -> None:
    frequencies = sf.line_spectral_frequencies(noise(11))
    a = torch.cat([torch.ones(1), sf.coefficients(frequencies), torch.zeros(1)])
    zeros = [np.angle(np.roots((a + sign * a.flip(0)).numpy())) for sign in (1, -1)]
    for first in (0, 1):
        found = np.sort(zeros[first][(zeros[first] > 1e-6) & (zeros[first] < np.pi - 1e-6)])
        np.testing.assert_allclose(found, frequencies[first::2], atol=1e-9)


def test_even_steps_are_no_filter_at_all() -> None:
    np.testing.assert_allclose(sf.coefficients(sf.line_spectral_frequencies(torch.zeros(21))), np.zeros(20), atol=1e-11)


def test_an_odd_order_is_refused() -> None:
    with pytest.raises(ShapeError, match="5 line spectral frequencies"):
        sf.coefficients(torch.linspace(0.1, 3, 5))


@pytest.mark.parametrize(("length", "order"), [(512, 20), (100, 4), (33, 6), (5, 8), (64, 2)])
def test_the_filter_is_the_recursion(length: int, order: int) -> None:
    x, a = noise(2, 3, length), filters(2, 3, order=order)
    made = sf.all_pole(x, a)
    assert made.shape == x.shape
    plain = by_sample(x, a)
    np.testing.assert_allclose(made, plain, rtol=0, atol=1e-10 * float(plain.abs().max()))
    for one, coefficients, heard in zip(x.flatten(0, 1), a.flatten(0, 1), made.flatten(0, 1), strict=True):
        theirs = lfilter([1], np.r_[1, coefficients.numpy()], one.numpy())
        np.testing.assert_allclose(heard, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max())


def test_its_gradients_are_those_of_the_recursion() -> None:
    x, y, weight = noise(2, 96), noise(2, 21, seed=1), noise(2, 96, seed=2)
    gradients = []
    for way in (sf.all_pole, by_sample):
        given_x, given_y = x.clone().requires_grad_(), y.clone().requires_grad_()
        a = sf.coefficients(sf.line_spectral_frequencies(given_y))
        (way(given_x, a) * weight).sum().backward()
        gradients.append((given_x.grad, given_y.grad))
    for fast, plain in zip(*gradients, strict=True):
        assert fast is not None and plain is not None
        np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-7 * float(plain.abs().max()))


def test_frames_are_filtered_from_silence_and_overlap_added() -> None:
    x, a = noise(HOP * 4), filters(5)
    window = np.hanning(2 * HOP + 1)[:-1]
    around = np.r_[np.zeros(HOP), x.numpy(), np.zeros(HOP)]
    plain = np.zeros(HOP * 6)
    for k in range(5):
        frame = around[k * HOP : (k + 2) * HOP]
        plain[k * HOP : (k + 2) * HOP] += window * lfilter([1], np.r_[1, a[k].numpy()], frame)
    np.testing.assert_allclose(sf.vocal_tract(x, a, HOP), plain[HOP:-HOP], atol=1e-9)


def test_a_flat_tract_changes_nothing_and_the_type_stays() -> None:
    x = noise(2, HOP * 3).float()
    made = sf.vocal_tract(x, torch.zeros(2, 4, 20, dtype=torch.float64), HOP)
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made, x, atol=1e-6)


def test_controls_reach_their_frames_and_constants_stay() -> None:
    controls = noise(3, 5)
    samples = sf.upsample(controls, HOP)
    assert samples.shape == (3, 4 * HOP)
    np.testing.assert_allclose(samples[:, ::HOP], controls[:, :-1], atol=1e-12)
    np.testing.assert_allclose(sf.upsample(torch.ones(4), HOP), np.ones(3 * HOP), atol=1e-6)
    np.testing.assert_allclose(samples[:, HOP // 2 :: HOP], (controls[:, 1:] + controls[:, :-1]) / 2, atol=1e-6)


def test_a_minute_of_a_pitch_drifts_by_nothing() -> None:
    hop = 256
    frames = 60 * RATE // hop + 1
    angle = sf.phases(torch.full((frames,), 441.7), hop, RATE)
    cycles = np.float64(np.float32(441.7)) * np.arange(1, len(angle) + 1) / RATE
    assert len(angle) == (frames - 1) * hop
    error = np.angle(np.exp(1j * (angle.numpy() - 2 * np.pi * cycles)))
    assert np.abs(error).max() < 1e-5


def test_the_buzz_is_the_sum_of_sines_under_hann_windows() -> None:
    hop, frames, most = 64, 6, 30
    f0 = torch.tensor([150.0, 160, 300, 0, 2500, 2400], dtype=torch.float64)
    amplitude = torch.tensor([0.5, 1, 2, 3, 1, 0.3], dtype=torch.float64)
    made = sf.voiced(sf.buzz(f0, hop, RATE, most), amplitude)
    angle = sf.phases(f0, hop, RATE).numpy()
    plain = np.zeros((frames - 1) * hop)
    for k in range(1, most + 1):
        there = (k * f0 < RATE / 2) & (f0 > 0)
        count = np.minimum(np.ceil(RATE / 2 / np.maximum(f0.numpy(), 1)) - 1, most)
        gain = torch.where(there, amplitude / torch.from_numpy(count), 0)
        plain += sf.upsample(gain, hop).numpy() * np.sin(k * angle)
    np.testing.assert_allclose(made, plain, atol=1e-9)


def test_an_unvoiced_frame_is_silent_and_the_pitch_goes_on_behind_it() -> None:
    f0 = torch.tensor([0.0, 0, 200, 200, 0, 0])
    parts = sf.buzz(f0, HOP, RATE)
    made = sf.voiced(parts, torch.ones(6))
    assert not made[:HOP].any() and not made[-HOP:].any()
    assert made[HOP:-HOP].abs().max() > 0.1
    steps = sf.phases(f0, HOP, RATE).diff() % (2 * np.pi)
    np.testing.assert_allclose(steps, np.full(len(steps), 2 * np.pi * 200 / RATE), atol=1e-9)
    assert not sf.voiced(sf.buzz(torch.zeros(6), HOP, RATE), torch.ones(6)).any()


def test_nothing_sounds_above_half_the_rate() -> None:
    f0 = torch.full((65,), 3100.0)
    spectrum = torch.fft.rfft(sf.voiced(sf.buzz(f0, HOP, RATE), torch.ones(65)) * torch.hann_window(64 * HOP)).abs()
    peaks = torch.nonzero(spectrum > 0.1 * spectrum.max()).flatten() * RATE / (64 * HOP)
    assert set(((peaks / 3100).round()).int().tolist()) == {1, 2}
    assert not sf.voiced(sf.buzz(torch.full((4,), 9000.0), HOP, RATE), torch.ones(4)).any()


def test_a_zero_phase_filter_has_the_gains_and_no_delay() -> None:
    gains = sf.roll_off(65, RATE)
    taps = sf.impulse_response(gains)
    assert taps.shape == (129,)
    np.testing.assert_allclose(taps, taps.flip(-1), atol=1e-8)
    _, response = freqz(taps.numpy(), worN=[0.1, 0.5, 1, 2, 3])
    expected = np.minimum(1, 200 / (np.array([0.1, 0.5, 1, 2, 3]) * RATE / 2 / np.pi))
    np.testing.assert_allclose(np.abs(response), expected, atol=0.03)
    click = torch.zeros(400)
    click[200] = 1
    np.testing.assert_allclose(sf.filtered(click, taps)[136:265], taps, atol=1e-7)


def test_the_roll_off_is_one_and_then_six_decibels_an_octave() -> None:
    gains = sf.roll_off(81, RATE)  # 100 Hz apart
    np.testing.assert_allclose(gains[:3], [1, 1, 1])
    np.testing.assert_allclose(20 * np.log10(gains[[4, 8, 16]]), [-6, -12, -18], atol=1e-4)


def test_flat_gains_pass_everything() -> None:
    x = noise(2, 300).float()
    np.testing.assert_allclose(sf.filtered(x, sf.impulse_response(torch.ones(40))), x, atol=1e-5)


def test_the_envelope_is_the_response_of_the_filter() -> None:
    a = filters(1)[0]
    _, response = freqz([1], np.r_[1, a.numpy()], worN=np.linspace(0, np.pi, 33))
    np.testing.assert_allclose(sf.envelope(a, 33), np.abs(response), rtol=1e-6)


def test_controls_are_positive_and_bounded() -> None:
    y = torch.linspace(-50, 50, 11)
    assert (sf.exp_sigmoid(y) >= sf.FLOOR).all()
    assert (sf.exp_sigmoid(y).diff() >= 0).all()
    assert float(sf.exp_sigmoid(y, 1.0).max()) == pytest.approx(1)
