"""The constant-Q filters: what librosa's transform says of the same signal, and what the definition says."""

import numpy as np
import pytest

from separation.transforms.cqt import constant_q_octaves

RATE = 22050
LOWEST_HZ = 65.4064  # C2


def semitones(count: int) -> np.ndarray:
    return LOWEST_HZ * 2 ** (np.arange(count) / 12)


def filtered(samples: np.ndarray, centre: int, frequencies: np.ndarray, per_octave: float = 12) -> np.ndarray:
    """What each filter says of the frame around a sample."""
    values = np.zeros(len(frequencies), np.complex64)
    for octave in constant_q_octaves(frequencies, RATE, per_octave=per_octave):
        first = centre - octave.filters.shape[1] // 2
        values[octave.rows] = octave.filters @ samples[first : first + octave.filters.shape[1]]
    return values


def test_a_row_is_what_librosa_says() -> None:
    import librosa

    rng = np.random.default_rng(0)
    t = np.arange(2 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * hz * t + hz) for hz in (110, 330, 1047, 3000))
    samples = (0.2 * tones + 0.02 * rng.standard_normal(len(t))).astype(np.float32)
    frequencies, hop = semitones(72), 512
    theirs = np.abs(librosa.cqt(samples, sr=RATE, hop_length=hop, fmin=LOWEST_HZ, n_bins=72, tuning=0, sparsity=0))
    # Theirs makes the energy of white noise the same in every row; ours, that of a sine.
    lengths, _ = librosa.filters.wavelet_lengths(freqs=frequencies, sr=RATE)
    frame = 43
    expected = 2 * theirs[:, frame] / np.sqrt(lengths)
    assert expected.max() > 20 * np.median(expected)
    # Theirs halves the rate for each lower octave; the filters there are sampled more coarsely.
    assert np.abs(filtered(samples, frame * hop, frequencies)) == pytest.approx(expected, abs=0.02 * expected.max())


def test_a_full_scale_sine_is_one_in_its_row_whatever_its_frequency() -> None:
    t = np.arange(2 * RATE) / RATE
    for row in (0, 13, 40, 80):
        frequencies = semitones(84)
        values = np.abs(filtered(np.cos(2 * np.pi * frequencies[row] * t), RATE, frequencies))
        assert np.argmax(values) == row and values[row] == pytest.approx(1, abs=0.01)
        assert values[max(0, row - 4)] < 0.02 or row < 4, "four semitones below there is nothing of it"


def test_every_window_holds_as_many_periods() -> None:
    frequencies = semitones(48)
    periods = []
    for octave in constant_q_octaves(frequencies, RATE):
        used = np.count_nonzero(np.abs(octave.filters) > 1e-9, axis=1)
        periods += list(used * frequencies[octave.rows] / RATE)
    assert len(periods) == 48 and periods == pytest.approx([17.3] * 48, abs=0.1)  # Q of a semitone


def test_wider_filters_are_shorter() -> None:
    longest = [next(constant_q_octaves(semitones(12), RATE, per_octave=wide)).filters.shape[1] for wide in (12, 6)]
    assert longest[0] / longest[1] == pytest.approx(2, abs=0.05)


def test_frequencies_may_lie_anywhere_as_long_as_they_rise() -> None:
    octaves = list(constant_q_octaves(np.array([40.0, 50.0, 1000.0, 1001.0, 9000.0]), RATE))
    assert [(octave.rows.start, octave.rows.stop) for octave in octaves] == [(0, 2), (2, 4), (4, 5)]
