"""Components as pictures and as sound: one scale of levels, the frequency that was learned, nothing for nothing."""

import numpy as np
import pytest

from separation.transforms import STFT
from separation.visualisation.components import PEAK, ROWS, SECONDS, component_cells, component_sound, peak_hz

RATE = 16000
STFT_ = STFT(1024, 256, root=True)


def lines(*bins: int, frames: int = 1) -> np.ndarray:
    """A patch a bin, ``[K, 513, L]``: that bin alone, in all frames."""
    patches = np.zeros((len(bins), 513, frames), np.float32)
    patches[np.arange(len(bins)), list(bins)] = 1.0
    return patches


def test_pictures_share_one_scale_and_rise_with_frequency() -> None:
    patches = lines(20, 100, 400)
    patches[1] *= 0.1
    cells = component_cells(patches, RATE)
    assert cells.shape == (3, ROWS, 1) and cells.dtype == np.uint8
    strongest = cells[..., 0].argmax(axis=1)
    assert list(strongest) == sorted(strongest) and cells[0].max() == 255
    mel = 2595 * np.log10(1 + np.array([20, 100, 400]) * 15.625 / 700)
    assert np.allclose(strongest / ROWS, mel / (2595 * np.log10(1 + 8000 / 700)), atol=0.02)
    wide = np.repeat(np.repeat([[[1.0]], [[0.1]]], 513, 1), 3, 2)  # flat ones: 20 dB of 60 below
    assert component_cells(wide, RATE, 32)[:, 5].tolist() == [[255] * 3, [170] * 3]


def test_nothing_is_drawn_as_nothing() -> None:
    assert component_cells(np.zeros((2, 65, 4)), RATE, 16).max() == 0
    assert peak_hz(np.zeros((1, 65, 4)), RATE) == [0.0]
    assert np.abs(component_sound(np.zeros((513, 8), np.float32), STFT_, RATE).samples).max() == 0


def test_the_peak_is_the_strongest_bin_of_all_frames() -> None:
    patches = lines(64, 128, frames=8)
    patches[0, 32, 3] = 2.0  # louder, and for one frame only
    assert peak_hz(patches, RATE) == [1000.0, 2000.0]


@pytest.mark.parametrize("frames", [1, 8])
def test_a_component_sounds_at_its_frequency(frames: int) -> None:
    sound = component_sound(lines(64, frames=frames)[0], STFT_, RATE)
    assert sound.duration == pytest.approx(SECONDS, abs=0.02) and sound.channels == 1
    assert np.abs(sound.samples).max() == pytest.approx(PEAK)
    power = np.square(np.abs(np.fft.rfft(sound.samples[0])))
    hz = np.fft.rfftfreq(sound.length, 1 / RATE)
    assert power[np.abs(hz - 1000) < 60].sum() > 0.9 * power.sum()
    again = component_sound(lines(64, frames=frames)[0], STFT_, RATE)
    assert np.array_equal(again.samples, sound.samples)


def test_a_patch_of_several_frames_comes_again_and_one_frame_dies_away() -> None:
    def envelope(frames: int) -> np.ndarray:
        samples = component_sound(lines(64, frames=frames)[0], STFT_, RATE).samples[0]
        return np.square(samples[: len(samples) // 800 * 800].reshape(-1, 800)).mean(axis=1)  # 50 ms each

    struck, patterned = envelope(1), envelope(4)
    assert struck[:4].mean() > 20 * struck[-4:].mean()
    loud = patterned > 0.25 * patterned.max()
    assert np.count_nonzero(np.diff(loud.astype(int)) == 1) + loud[0] >= 3
