"""The spectrogram of any stretch of any recording as a small picture, from a bounded amount of work.

A picture has far fewer columns than an hour has frames, so each column looks at no more than four places spread evenly
over its time (frames are as long at any zoom). A column's value in a row is the mean power there, over frames and
channels. On the mel, linear and log scales a frame is 46 ms and a row the mean over its frequencies; on the constant-Q
scale (``"cqt"``) a row is a filter at its middle, a semitone wide or as wide as the rows are apart, whose window is the
longer the lower it is. 0 dB is a sine of full scale.

A *picture* is the numbers that are shown: levels in steps of `STEP_DB`, one byte each, on one scale for every track, stretch
and zoom, so that pictures can be compared. A *difference* is one track's level minus another's. Levels below
`DIFFERENCE_FLOOR_DB` count as that, so that where both are next to nothing there is no difference: the ratio of two
noise floors would drown what can be heard.

Not a transform: nothing can be computed back from it, and no model sees it.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from separation.errors import ShapeError
from separation.signals import Samples
from separation.transforms.cqt import Octave, constant_q_octaves
from separation.visualisation.heatmap import DIVERGING, heat_map

Scale = Literal["mel", "linear", "log", "cqt"]
SCALES: tuple[Scale, ...] = ("mel", "linear", "log", "cqt")

FLOOR_DB = -90.0
CEILING_DB = -18.0
"""The colours of a level span these two; a picture's numbers go on above."""

STEP_DB = 0.5
DIFFERENCE_FLOOR_DB = -70.0
DIFFERENCE_END_DB = 24.0
"""The colours of a difference span minus this to plus this."""

NO_DIFFERENCE = 128
"""The byte that says so; each step above or below is `STEP_DB`."""

LOWEST_HZ: dict[Scale, float] = {"mel": 0.0, "linear": 0.0, "log": 30.0, "cqt": 440 * 2 ** (-45 / 12)}
"""Where each axis starts; that of the constant-Q scale at the note C1."""

FRAME_SECONDS = 0.046
LOOKS_PER_COLUMN = 4
SAMPLES_AT_ONCE = 1 << 19
"""Samples a channel in memory at a time: 256 frames of 2,048."""

_NARROWEST, _WIDEST = 12.0, 6.0  # constant-Q filters to the octave

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


def spectrogram_levels(
    reader: Readable,
    start: int,
    length: int,
    width: int,
    height: int,
    *,
    scale: Scale = "mel",
    gain: float = 1.0,
    minus: Readable | None = None,
) -> NDArray[np.uint8]:
    """The numbers of a picture.

    Args:
        reader, start, length, width, height, scale: as in `spectrogram_db`.
        gain: what the samples are multiplied with, those of `minus` too.
        minus: show how much louder `reader` is than this.

    Returns:
        uint8 ``[height, width]``, the highest frequency first. A level of byte b is ``FLOOR_DB + b * STEP_DB``, where 0 is
        "or less" and 255 "or more"; a difference is ``(b - NO_DIFFERENCE) * STEP_DB``.
    """
    pictured = [
        spectrogram_db(each, start, length, width, height, scale=scale)[::-1] + 20 * np.log10(max(gain, 1e-9))
        for each in (reader, minus)
        if each is not None
    ]
    if minus is None:
        steps = (pictured[0] - FLOOR_DB) / STEP_DB
    else:
        ours, theirs = (np.maximum(each, DIFFERENCE_FLOOR_DB) for each in pictured)
        steps = NO_DIFFERENCE + (ours - theirs) / STEP_DB
    levels: NDArray[np.uint8] = np.clip(np.round(steps), 0, 255).astype(np.uint8)
    return levels


def levels_png(levels: NDArray[np.uint8], *, difference: bool = False) -> bytes:
    """The numbers of `spectrogram_levels` painted: a PNG of as many pixels."""
    if difference:
        decibels = (levels.astype(np.float32) - NO_DIFFERENCE) * STEP_DB
        return heat_map(decibels, -DIFFERENCE_END_DB, DIFFERENCE_END_DB, colours=DIVERGING)
    return heat_map(levels * np.float32(STEP_DB) + FLOOR_DB, FLOOR_DB, CEILING_DB)


def spectrogram_db(
    reader: Readable, start: int, length: int, width: int, height: int, *, scale: Scale = "mel"
) -> NDArray[np.float32]:
    """Mean power by time and frequency.

    Args:
        reader: the recording.
        start, length: the stretch, in samples; what lies outside the recording is silence.
        width, height: columns (time) and rows (frequency) of the result.
        scale: how the rows divide `LOWEST_HZ` to half the sample rate.

    Returns:
        dB relative to a full-scale sine, float32 ``[height, width]``, the lowest frequency first; -200 is silence.

    Raises:
        ShapeError: an empty stretch or an empty picture.
    """
    if length < 1 or width < 1 or height < 1:
        raise ShapeError(
            "Draw a spectrogram", f"{length} samples on {width} x {height} pixels", "Ask for at least one of each"
        )
    power = (_constant_q_power if scale == "cqt" else _band_power)(reader, start, length, width, height, scale)
    decibels: NDArray[np.float32] = 10 * np.log10(np.maximum(power, np.float32(1e-20)))
    return decibels


def frequency_edges(height: int, sample_rate: int, scale: Scale) -> Floats:
    """Hz at the ``height + 1`` edges of the rows, rising. Mel is O'Shaughnessy's: 2595 log10(1 + f / 700)."""
    top = sample_rate / 2
    if scale == "linear":
        return np.linspace(0, top, height + 1)
    if scale == "mel":
        mel = np.linspace(0, 2595 * np.log10(1 + top / 700), height + 1)
        return 700 * (10 ** (mel / 2595) - 1)
    return np.geomspace(min(LOWEST_HZ[scale], top / 2), top, height + 1)


def _band_power(reader: Readable, start: int, length: int, width: int, height: int, scale: Scale) -> Samples:
    """Mean power of the bins of each row, ``[height, width]``."""
    n_fft = _frame_length(reader.sample_rate)
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    rows = row_weights(frequency_edges(height, reader.sample_rate, scale), n_fft, reader.sample_rate)
    parts = []
    for frames in _looks(reader, start, length, width, n_fft):
        spectra = np.fft.rfft(frames * window, axis=-1)
        mean = (spectra.real**2 + spectra.imag**2).mean(axis=0)
        parts.append(rows @ mean.T)
    return _by_column(parts, width) * np.float32((2 / window.sum()) ** 2)


def _constant_q_power(reader: Readable, start: int, length: int, width: int, height: int, scale: Scale) -> Samples:
    """Mean power behind the filter of each row, ``[height, width]``."""
    edges = frequency_edges(height, reader.sample_rate, scale)
    per_octave = float(np.clip(height / np.log2(edges[-1] / edges[0]), _WIDEST, _NARROWEST))
    octaves = list(constant_q_octaves(np.sqrt(edges[:-1] * edges[1:]), reader.sample_rate, per_octave=per_octave))
    frame = _frame_length(reader.sample_rate)
    longer = [[octave] for octave in octaves if octave.length > frame]
    power = np.empty((height, width), np.float32)
    for together in (*longer, octaves[len(longer) :]):  # what is shorter than a frame looks at the same frames
        parts: list[list[Samples]] = [[] for _ in together]
        for frames in _looks(reader, start, length, width, max([frame, *(octave.length for octave in together)])):
            for octave, part in zip(together, parts, strict=True):
                part.append(_filtered(frames, octave))
        for octave, part in zip(together, parts, strict=True):
            power[octave.rows] = _by_column(part, width)
    return power


def _filtered(frames: Samples, octave: Octave) -> Samples:
    """Frames ``[C, K, size]`` -> mean power behind each filter, ``[R, K]``; a shorter filter is moved along the frame."""
    filters = np.concatenate([octave.filters.real, octave.filters.imag]).T
    inside = np.lib.stride_tricks.sliding_window_view(frames, octave.length, axis=-1)
    products = (inside[:, :, :: max(1, octave.length // 2)] @ filters) ** 2  # real and imaginary parts of every row
    mean: Samples = products.mean(axis=(0, 2)).reshape(frames.shape[1], 2, -1).sum(axis=1).T
    return mean


def _frame_length(sample_rate: int) -> int:
    """Samples a frame: the power of two nearest to `FRAME_SECONDS`."""
    return int(2 ** np.clip(np.round(np.log2(FRAME_SECONDS * sample_rate)), 6, 14))


def row_weights(edges: Floats, n_fft: int, sample_rate: int) -> NDArray[np.float32]:
    """How much of each bin a row averages, ``[height, n_fft // 2 + 1]``; a bin is as wide as the gap to the next."""
    position = edges[:, None] * n_fft / sample_rate
    below = np.clip(position - np.arange(n_fft // 2 + 1) + 0.5, 0, 1)
    weights = np.diff(below, axis=0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _looks(reader: Readable, start: int, length: int, width: int, size: int) -> Iterator[Samples]:
    """Blocks ``[C, K, size]`` of the frames that the columns look at: the same number for each, at most four."""
    per_column = int(np.clip(-(-2 * length // (width * size)), 1, LOOKS_PER_COLUMN))
    centres = start + (np.arange(width * per_column) + 0.5) * length / (width * per_column)
    starts = np.round(centres - size / 2).astype(np.int64)
    at_once = max(1, SAMPLES_AT_ONCE // size)
    for first in range(0, len(starts), at_once):
        yield _frames(reader, starts[first : first + at_once], size)


def _by_column(parts: list[Samples], width: int) -> Samples:
    """Values of all frames, ``[rows, frames]`` in parts -> the mean of each column, ``[rows, width]``."""
    values = np.concatenate(parts, axis=1)
    mean: Samples = values.reshape(len(values), width, -1).mean(axis=2)
    return mean


def _frames(reader: Readable, starts: NDArray[np.int64], size: int) -> Samples:
    """Frames ``[C, K, size]``: read in one go where they lie close together, one by one where they do not."""
    first, last = int(starts[0]), int(starts[-1]) + size
    if last - first <= 2 * size * len(starts):
        block = _read_padded(reader, first, last)
        return np.asarray(np.lib.stride_tricks.sliding_window_view(block, size, axis=-1)[:, starts - first])
    return np.stack([_read_padded(reader, int(at), int(at) + size) for at in starts], axis=1)


def _read_padded(reader: Readable, start: int, stop: int) -> Samples:
    """Samples `start` to `stop`, zero outside the recording."""
    block = np.zeros((reader.channels, stop - start), np.float32)
    inside = max(0, min(start, reader.length)), max(0, min(stop, reader.length))
    if inside[1] > inside[0]:
        block[:, inside[0] - start : inside[1] - start] = reader.read(inside[0], inside[1] - inside[0])
    return block
