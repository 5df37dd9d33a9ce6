"""Resampling: tones stay, aliases go, and blocks with margins are the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.audio import StreamResampler, grid, resample, resample_margin, resampled_length
from separation.errors import ShapeError
from separation.signals import Samples

RATES = [(44100, 16000), (16000, 44100), (44100, 22050), (48000, 44100), (8000, 8000), (11025, 48000), (44099, 16000)]


def _tone(frequency: float, sample_rate: int, length: int) -> Samples:
    return np.sin(2 * np.pi * frequency * np.arange(length) / sample_rate + 0.3).astype(np.float32)


def _inside(x: Samples, from_rate: int, to_rate: int) -> slice:
    """Output samples that do not reach beyond the ends of the input."""
    edge = -(-resample_margin(from_rate, to_rate) * to_rate // from_rate) + 1
    return slice(edge, len(x) - edge)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("part", [0.01, 0.2, 0.449])
def test_a_tone_in_the_pass_band_stays_as_it_is(from_rate: int, to_rate: int, part: float) -> None:
    frequency = part * min(from_rate, to_rate)
    output = resample(_tone(frequency, from_rate, from_rate // 4), from_rate, to_rate)
    inside = _inside(output, from_rate, to_rate)
    # Zero phase: the very same tone, sampled at the other rate. 2e-5 is -94 dB (ripple, and what remains of images).
    np.testing.assert_allclose(output[inside], _tone(frequency, to_rate, len(output))[inside], atol=2e-5)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 16000), (44100, 22050), (48000, 44100), (44099, 16000)])
@pytest.mark.parametrize("part", [0.501, 0.6, 1.0])
def test_what_the_lower_rate_cannot_hold_is_gone(from_rate: int, to_rate: int, part: float) -> None:
    frequency = min(part * to_rate, 0.499 * from_rate)
    if frequency <= 0.5 * to_rate:
        frequency = 0.501 * to_rate
    output = resample(_tone(frequency, from_rate, from_rate // 4), from_rate, to_rate)
    assert np.abs(output[_inside(output, from_rate, to_rate)]).max() < 10 ** (-90 / 20)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("length", [0, 1, 2, 441, 1000, 44101])
def test_length_type_and_axes(from_rate: int, to_rate: int, length: int) -> None:
    output = resample(np.zeros((3, 1, length)), from_rate, to_rate)
    assert output.shape == (3, 1, -(-length * to_rate // from_rate)) and output.dtype == np.float32
    assert resampled_length(length, from_rate, to_rate) == output.shape[-1]


def test_equal_rates_give_a_copy() -> None:
    sound = _tone(440, 8000, 100)
    output = resample(sound, 8000, 8000)
    output[:] = 0
    assert sound.any() and resample_margin(8000, 8000) == 0 and grid(8000, 8000) == (1, 1)


def test_channels_do_not_mix_and_the_input_is_untouched() -> None:
    sound = np.stack([_tone(440, 44100, 3000), _tone(660, 44100, 3000)])
    before = sound.copy()
    output = resample(sound, 44100, 16000)
    np.testing.assert_array_equal(sound, before)
    np.testing.assert_array_equal(output[1], resample(sound[1], 44100, 16000))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    rates=st.sampled_from(
        [(44100, 16000), (16000, 44100), (48000, 44100), (2, 1), (1, 3), (1009, 1000), (44099, 16000)]
    ),
    data=st.data(),
)
def test_a_block_with_margins_is_the_same_region_of_the_whole(rates: tuple[int, int], data: st.DataObject) -> None:
    step_in, step_out = grid(*rates)
    margin = resample_margin(*rates)
    pad = -(-margin // step_in) * step_in
    steps = max(2, 4000 // step_in)
    sound = np.random.default_rng(0).standard_normal((steps + 2) * step_in + data.draw(st.integers(0, 50)))
    whole = resample(sound, *rates)
    start = data.draw(st.integers(0, steps - 1)) * step_in
    stop = data.draw(st.integers(start + 1, len(sound)))

    begin, end = max(0, start - pad), min(len(sound), stop + margin)
    block = resample(sound[begin:end], *rates)
    first, count = (start - begin) // step_in * step_out, resampled_length(stop - start, *rates)
    expected = whole[start // step_in * step_out :][:count]
    # Float64 inside: what differs is the order of a sum, at most the last bit of a float32.
    np.testing.assert_allclose(block[first:][:count], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 16000), (16000, 44100), (96000, 48000), (8000, 8000)])
def test_the_margin_is_all_that_matters_and_not_too_much(from_rate: int, to_rate: int) -> None:
    margin = resample_margin(from_rate, to_rate)
    impulse = np.zeros(20_000)
    impulse[10_000] = 1.0
    times = np.flatnonzero(resample(impulse, from_rate, to_rate)) * from_rate / to_rate
    reach = np.abs(times - 10_000).max()
    assert 0.9 * margin - 1 <= reach <= margin


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    rates=st.sampled_from([(44100, 48000), (96000, 48000), (1009, 1000), (8000, 8000)]),
    sizes=st.lists(st.integers(0, 3000), max_size=6),
)
def test_a_stream_of_blocks_gives_the_whole(rates: tuple[int, int], sizes: list[int]) -> None:
    sound = np.random.default_rng(1).standard_normal((2, sum(sizes))).astype(np.float32)
    stream = StreamResampler(*rates, channels=2)
    pieces = [stream.push(block) for block in np.split(sound, np.cumsum(sizes)[:-1], axis=1)] if sizes else []
    joined = np.concatenate([*pieces, stream.finish()], axis=1)
    # Sums of some hundred float32 products, in an order that is the processor's business.
    np.testing.assert_allclose(joined, resample(sound, *rates), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 16000), (16000, 44100), (96000, 48000), (1009, 1000)])
def test_sums_in_float32_leave_noise_120_db_below_the_signal(from_rate: int, to_rate: int) -> None:
    sound = np.random.default_rng(2).standard_normal(50_000).astype(np.float32)
    exact = resample(sound.astype(np.float64), from_rate, to_rate)
    error = resample(sound, from_rate, to_rate) - exact.astype(np.float64)
    assert np.square(error).mean() < 1e-12 * np.square(exact).mean()


@pytest.mark.parametrize(("from_rate", "to_rate"), [(0, 8000), (8000, -1), (999_983, 16_000)])
def test_rates_that_cannot_be_are_refused(from_rate: int, to_rate: int) -> None:
    with pytest.raises(ShapeError, match="Resample"):
        resample(np.zeros(10), from_rate, to_rate)


def test_a_number_is_no_audio() -> None:
    with pytest.raises(ShapeError, match="single number"):
        resample(1.0, 8000, 16000)
