"""The STFT: physics first (a tone, a click, energy), then its laws for any length."""

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separation.transforms import STFT

few = settings(max_examples=60, deadline=None, derandomize=True)
sizes = st.sampled_from([(64, 16), (64, 32), (128, 32), (96, 24), (60, 20), (1024, 256), (2048, 1024)])
lengths = st.integers(1, 5000)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@few
@given(sizes, lengths)
def test_the_inverse_gives_back_every_sample(size: tuple[int, int], length: int) -> None:
    stft, x = STFT(*size), noise(2, length)
    torch.testing.assert_close(stft.inverse(stft(x), length), x, rtol=0, atol=1e-5)


@few
@given(sizes, lengths)
def test_the_shape_is_as_documented(size: tuple[int, int], length: int) -> None:
    n_fft, hop_length = size
    z = STFT(n_fft, hop_length)(torch.zeros(3, 1, length))
    assert z.shape == (3, 1, n_fft // 2 + 1, 1 + -(-length // hop_length))
    assert z.dtype == torch.complex64


@few
@given(sizes, lengths, st.floats(-3, 3), st.floats(-3, 3))
def test_it_is_linear(size: tuple[int, int], length: int, a: float, b: float) -> None:
    stft, x, y = STFT(*size), noise(length), noise(length, seed=1)
    expected = a * stft(x) + b * stft(y)
    torch.testing.assert_close(stft(a * x + b * y), expected, rtol=1e-4, atol=1e-3)


@few
@given(sizes, lengths)
def test_the_inverse_is_linear_too(size: tuple[int, int], length: int) -> None:
    """So that stems from masks that sum to one add up to the mixture."""
    stft, x = STFT(*size), noise(length)
    z = stft(x)
    mask = torch.rand(z.shape, generator=torch.Generator().manual_seed(1))
    parts = stft.inverse(mask * z, length) + stft.inverse((1 - mask) * z, length)
    torch.testing.assert_close(parts, x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("index", [1, 5, 20, 31])
def test_a_tone_lands_in_its_bin(index: int) -> None:
    """And in its two neighbours at half the height, which is the shape of a Hann window."""
    stft = STFT(64, 16)
    t = torch.arange(1600, dtype=torch.float64)
    magnitude = stft(torch.cos(2 * torch.pi * index / 64 * t).float()).abs()[:, 10:-10].mean(-1)
    assert int(magnitude.argmax()) == index
    assert float(magnitude[index]) == pytest.approx(64 / 4, rel=0.05)  # half the window's sum
    if index + 3 < 33:
        assert float(magnitude[index + 1] / magnitude[index]) == pytest.approx(0.5, abs=0.1)
        assert float(magnitude[index + 3 :].max() / magnitude[index]) < 1e-3 or index == 1


def test_a_click_is_seen_only_by_the_frames_around_it() -> None:
    x = torch.zeros(1000)
    x[500] = 1
    frames = STFT(64, 16)(x).abs().sum(0).nonzero().flatten()
    assert (int(frames.min()) - 1) * 16 >= 500 - 32 - 16
    assert int(frames.max()) * 16 <= 500 + 32


@pytest.mark.parametrize("at", [0, 1, 31, 32, 500, 967, 998, 999])
def test_energy_is_kept_and_no_sample_is_lost_at_the_ends(at: int) -> None:
    """Parseval: a click has n_fft times the squared windows over it, which are 1.5 in all, and over half that at the ends."""
    x = torch.zeros(1000)
    x[at] = 1
    z = STFT(64, 16)(x).abs().square()
    energy = float(z[0].sum() + z[-1].sum() + 2 * z[1:-1].sum())
    if 32 <= at < 1000 - 32:
        assert energy == pytest.approx(64 * 1.5, rel=1e-4)
    else:
        assert 64 * 0.75 < energy <= 64 * 1.5 * (1 + 1e-4)


def test_equals_scipy() -> None:
    x = noise(1000).numpy()
    window = scipy.signal.windows.hann(64, sym=False)
    theirs = scipy.signal.ShortTimeFFT(window, 16, fs=1, phase_shift=None).stft(np.pad(x, (0, 8)), p0=0, p1=64)
    ours = STFT(64, 16)(torch.from_numpy(x)).numpy()
    assert np.abs(ours - theirs).max() < 1e-4


def test_leading_axes_are_kept() -> None:
    stft, x = STFT(64, 16), noise(2, 3, 4, 500)
    z = stft(x)
    assert z.shape[:3] == (2, 3, 4)
    torch.testing.assert_close(z[1, 2, 3], stft(x[1, 2, 3]))
    assert stft.inverse(z, 500).shape == x.shape


def test_the_input_is_not_changed_and_gradients_pass() -> None:
    stft, x = STFT(64, 16), noise(500).requires_grad_()
    kept = x.detach().clone()
    stft.inverse(stft(x), 500).square().sum().backward()
    assert torch.equal(x.detach(), kept)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * kept, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("hop_length", [0, -16, 24, 64, 100])
def test_impossible_hops_say_why(hop_length: int) -> None:
    with pytest.raises(ValueError, match=f"64 samples needs a hop that divides it at least twice, not {hop_length}"):
        STFT(64, hop_length)
