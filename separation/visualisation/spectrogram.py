"""The spectrogram of any stretch of any recording as a small picture, from a bounded amount of work.

A picture has far fewer columns than an hour has frames, so each column looks at no more than four frames spread evenly
over its time (the frames are the same length at any zoom). A column's value in a row is the mean power there, over
frames, channels and frequencies. 0 dB is a sine of full scale; the colours always span `FLOOR_DB` to `CEILING_DB`, so
pictures of different tracks and of different stretches can be compared.

Not a transform: nothing can be computed back from it, and no model sees it.
"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from separation.errors import ShapeError
from separation.signals import Samples
from separation.visualisation.heatmap import heat_map

Scale = Literal["mel", "linear", "log"]
SCALES: tuple[Scale, ...] = ("mel", "linear", "log")

FLOOR_DB = -90.0
CEILING_DB = -18.0
LOWEST_LOG_HZ = 30.0
"""Where a logarithmic axis starts."""

FRAME_SECONDS = 0.046
FRAMES_PER_COLUMN = 4
FRAMES_AT_ONCE = 256

Floats = NDArray[np.float64]


class Readable(Protocol):
    """What is needed of an `audio.Reader`."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def length(self) -> int: ...

    def read(self, start: int, length: int) -> Samples: ...


def spectrogram_png(
    reader: Readable, start: int, length: int, width: int, height: int, *, scale: Scale = "mel", gain: float = 1.0
) -> bytes:
    """`spectrogram_db` painted on the common scale: a PNG of `width` by `height` pixels, low frequencies below."""
    values = spectrogram_db(reader, start, length, width, height, scale=scale)
    return heat_map(values[::-1] + 20 * np.log10(max(gain, 1e-9)), FLOOR_DB, CEILING_DB)


def spectrogram_db(
    reader: Readable, start: int, length: int, width: int, height: int, *, scale: Scale = "mel"
) -> NDArray[np.float32]:
    """Mean power by time and frequency.

    Args:
        reader: the recording.
        start, length: the stretch, in samples; what lies outside the recording is silence.
        width, height: columns (time) and rows (frequency) of the result.
        scale: how the rows divide 0 Hz (`LOWEST_LOG_HZ` for ``"log"``) to half the sample rate.

    Returns:
        dB relative to a full-scale sine, float32 ``[height, width]``, the lowest frequency first; -200 is silence.

    Raises:
        ShapeError: an empty stretch or an empty picture.
    """
    if length < 1 or width < 1 or height < 1:
        raise ShapeError(
            "Draw a spectrogram", f"{length} samples on {width} x {height} pixels", "Ask for at least one of each"
        )
    n_fft = _frame_length(reader.sample_rate)
    per_column = int(np.clip(-(-2 * length // (width * n_fft)), 1, FRAMES_PER_COLUMN))
    centres = start + (np.arange(width * per_column) + 0.5) * length / (width * per_column)
    starts = np.round(centres - n_fft / 2).astype(np.int64)
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    rows = _row_weights(frequency_edges(height, reader.sample_rate, scale), n_fft, reader.sample_rate)
    power = np.empty((height, len(starts)), np.float32)
    for first in range(0, len(starts), FRAMES_AT_ONCE):
        frames = _frames(reader, starts[first : first + FRAMES_AT_ONCE], n_fft)
        spectra = np.fft.rfft(frames * window, axis=-1)
        mean = (spectra.real**2 + spectra.imag**2).mean(axis=0)
        power[:, first : first + FRAMES_AT_ONCE] = rows @ mean.T
    power = power.reshape(height, width, per_column).mean(axis=2) * (2 / window.sum()) ** 2
    decibels: NDArray[np.float32] = 10 * np.log10(np.maximum(power, np.float32(1e-20)))
    return decibels


def frequency_edges(height: int, sample_rate: int, scale: Scale) -> Floats:
    """Hz at the ``height + 1`` edges of the rows, rising. Mel is O'Shaughnessy's: 2595 log10(1 + f / 700)."""
    top = sample_rate / 2
    if scale == "linear":
        return np.linspace(0, top, height + 1)
    if scale == "log":
        return np.geomspace(min(LOWEST_LOG_HZ, top / 2), top, height + 1)
    mel = np.linspace(0, 2595 * np.log10(1 + top / 700), height + 1)
    return 700 * (10 ** (mel / 2595) - 1)


def _frame_length(sample_rate: int) -> int:
    """Samples a frame: the power of two nearest to `FRAME_SECONDS`."""
    return int(2 ** np.clip(np.round(np.log2(FRAME_SECONDS * sample_rate)), 6, 14))


def _row_weights(edges: Floats, n_fft: int, sample_rate: int) -> NDArray[np.float32]:
    """How much of each bin a row averages, ``[height, n_fft // 2 + 1]``; a bin is as wide as the gap to the next."""
    position = edges[:, None] * n_fft / sample_rate
    below = np.clip(position - np.arange(n_fft // 2 + 1) + 0.5, 0, 1)
    weights = np.diff(below, axis=0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _frames(reader: Readable, starts: NDArray[np.int64], n_fft: int) -> Samples:
    """Frames ``[C, K, n_fft]``: read in one go where they lie close together, one by one where they do not."""
    first, last = int(starts[0]), int(starts[-1]) + n_fft
    if last - first <= 2 * n_fft * len(starts):
        block = _read_padded(reader, first, last)
        return np.asarray(np.lib.stride_tricks.sliding_window_view(block, n_fft, axis=-1)[:, starts - first])
    return np.stack([_read_padded(reader, int(at), int(at) + n_fft) for at in starts], axis=1)


def _read_padded(reader: Readable, start: int, stop: int) -> Samples:
    """Samples `start` to `stop`, zero outside the recording."""
    block = np.zeros((reader.channels, stop - start), np.float32)
    inside = max(0, min(start, reader.length)), max(0, min(stop, reader.length))
    if inside[1] > inside[0]:
        block[:, inside[0] - start : inside[1] - start] = reader.read(inside[0], inside[1] - inside[0])
    return block
