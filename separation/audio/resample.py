"""Resampling that can be done block by block: stateless, zero-phase, one fixed filter per pair of rates.

Streaming resamplers (soxr, FFmpeg) carry state from block to block, so a block's samples depend on how the blocks were
cut. Here sample n of the output is the input, convolved with a windowed sinc, at time n · from / to, and nothing else:
any block with enough input around it equals the same region of the whole file.

The filter is a Kaiser-windowed sinc (J. F. Kaiser, 1974; its length from attenuation = 7.95 + 14.36 · taps · Δf) that
passes up to 0.45 of the lower rate and stops, at -100 dB or less, from 0.5 of it: nothing folds back. Common ratios run
as matrix products, ratios of large coprime numbers (44,099 Hz to 16,000 Hz) through SciPy's polyphase `upfirdn`.
Computed in the precision of the input: float32 sums leave noise 125 dB below the signal, float64 none.
"""

from functools import lru_cache
from itertools import pairwise
from math import ceil, floor, gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.signal import kaiser_beta, upfirdn
from scipy.special import i0

from separation.errors import ShapeError
from separation.signals import Samples

PASS = 0.45
"""Upper edge of the pass band, as a fraction of the lower rate."""
STOP = 0.5
ATTENUATION_DB = 104.0
HALF = ceil((ATTENUATION_DB - 7.95) / (14.36 * (STOP - PASS) * 2))
"""Samples of the lower rate on each side of the filter's centre."""
LARGEST_MATRIX = 1 << 21
LARGEST_STEP = 200_000
"""Of the grid, in samples: a larger one needs a filter of more than 200 MB."""

Array = NDArray[np.floating]


def grid(from_rate: int, to_rate: int) -> tuple[int, int]:
    """The shortest stretch that is whole in both rates: ``(step_in, step_out)`` in samples.

    A block may start at any multiple of `step_in`; its output starts at the same multiple of `step_out`.

    >>> grid(44100, 16000)
    (441, 160)
    """
    if from_rate < 1 or to_rate < 1:
        raise ShapeError("Resample audio", f"from {from_rate} Hz to {to_rate} Hz", "Pass positive rates")
    common = gcd(from_rate, to_rate)
    steps = from_rate // common, to_rate // common
    if max(steps) > LARGEST_STEP:
        raise ShapeError(
            f"Resample audio from {from_rate:,} Hz to {to_rate:,} Hz",
            f"the rates meet only every {max(steps):,} samples; {LARGEST_STEP:,} are allowed",
            "Convert the file to a common rate, such as 48,000 Hz, first",
        )
    return steps


def resample_margin(from_rate: int, to_rate: int) -> int:
    """Input samples on each side that have a part in an output sample; 0 for equal rates.

    Law: for `start` on the grid, and `pad` a multiple of ``step_in`` that is at least the margin,
    ``resample(x[start - pad : stop + pad])`` without its first ``pad * to / from`` samples is ``resample(x)`` from
    ``start * to / from`` on, up to `stop`.

    >>> resample_margin(44100, 16000), resample_margin(16000, 16000)
    (185, 0)
    """
    return 0 if from_rate == to_rate else max(HALF, -(-HALF * from_rate // to_rate))


def resampled_length(length: int, from_rate: int, to_rate: int) -> int:
    """Output samples for `length` input samples: ``ceil(length * to / from)``."""
    return -(-length * to_rate // from_rate)


def resample(x: ArrayLike, from_rate: int, to_rate: int) -> Samples:
    """Change the sample rate without shifting anything in time.

    Args:
        x: ``[*, T]``; beyond its ends it counts as zero. float32 is computed in float32, all else in float64.
        from_rate: Hz of `x`.
        to_rate: Hz of the result.

    Returns:
        float32 ``[*, ceil(T * to_rate / from_rate)]``; an unchanged copy for equal rates.

    Raises:
        ShapeError: `x` has no axis; a rate is not positive; or the rates, without their common factor, exceed 200,000.
    """
    samples = np.asarray(x)
    if samples.dtype != np.float32:
        samples = samples.astype(np.float64)
    step_in, step_out = grid(from_rate, to_rate)
    if samples.ndim == 0:
        raise ShapeError("Resample audio", "a single number", "Pass an array whose last axis is time")
    if step_in == step_out:
        return samples.astype(np.float32)
    length = resampled_length(samples.shape[-1], from_rate, to_rate)
    result = np.zeros((*samples.shape[:-1], length), np.float32)
    if samples.size:
        width = step_in + 2 * resample_margin(from_rate, to_rate)
        one = _by_matrix if width * step_out <= LARGEST_MATRIX else _by_upfirdn
        for index in np.ndindex(samples.shape[:-1]):
            one(samples[index], step_in, step_out, result[index])
    return result


class StreamResampler:
    """`resample` for audio that arrives block by block: the joined results are the resample of the joined blocks.

    Args:
        from_rate: Hz of what comes in.
        to_rate: Hz of what goes out.
        channels: of both.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._rates = from_rate, to_rate
        self._step_in, self._step_out = grid(from_rate, to_rate)
        self._margin = resample_margin(from_rate, to_rate)
        self._pad = -(-self._margin // self._step_in) * self._step_in
        # Zeros stand for what was before the start; the buffer always starts `pad` before the next output.
        self._buffer = np.zeros((channels, self._pad), np.float32)

    def push(self, block: Samples) -> Samples:
        """Take ``[C, T]``, give what is complete by now (perhaps nothing)."""
        self._buffer = np.concatenate([self._buffer, block], axis=1)
        steps = max(0, (self._buffer.shape[1] - self._pad - self._margin) // self._step_in)
        if steps == 0:
            return self._buffer[:, :0]
        used = steps * self._step_in
        result = resample(self._buffer[:, : self._pad + used + self._margin], *self._rates)
        self._buffer = self._buffer[:, used:]
        first = self._pad // self._step_in * self._step_out
        return result[:, first : first + steps * self._step_out]

    def finish(self) -> Samples:
        """What is left, up to the last sample."""
        return resample(self._buffer, *self._rates)[:, self._pad // self._step_in * self._step_out :]


def _by_matrix(x: Array, step_in: int, step_out: int, out: Samples) -> None:
    """Stretches of input times a matrix a part, many stretches at a time."""
    margin = resample_margin(step_in, step_out)
    stretch_in, stretch_out, parts = _parts(step_in, step_out, x.dtype.name)
    count = -(-len(out) // stretch_out)
    rows = max(1, (1 << 20) // (stretch_in + 2 * margin))
    for first in range(0, count, rows):
        last = min(first + rows, count)
        start, stop = first * stretch_in - margin, last * stretch_in + margin
        block = np.zeros(stop - start, x.dtype)
        inside = x[max(0, start) : max(0, stop)]
        block[max(0, -start) : max(0, -start) + len(inside)] = inside
        piece = np.empty((last - first, stretch_out), x.dtype)
        for offset, outputs, matrix in parts:
            windows = sliding_window_view(block[offset:], len(matrix))[::stretch_in]
            piece[:, outputs] = np.ascontiguousarray(windows[: last - first]) @ matrix
        target = out[first * stretch_out : last * stretch_out]
        target[:] = piece.ravel()[: len(target)]


@lru_cache(maxsize=16)
def _parts(step_in: int, step_out: int, precision: str) -> tuple[int, int, list[tuple[int, slice, Array]]]:
    """The filter for a stretch of whole grid steps: its input and output samples, and the parts that cover it.

    A part is the first input sample it needs (from a margin before the stretch), the outputs it makes, and the filter
    as ``[input, output]``. A matrix is mostly zeros if its outputs lie far apart and slow if it has few: parts two
    thirds of a margin long were fastest.
    """
    margin = resample_margin(step_in, step_out)
    stretch_in = step_in * max(1, round(2 / 3 * margin / step_in))
    stretch_out = stretch_in // step_in * step_out
    count = max(1, round(1.5 * stretch_in / margin))
    edges = [stretch_out * index // count for index in range(count + 1)]
    parts = []
    for first, last in pairwise(edges):
        times = np.arange(first, last) * (step_in / step_out)
        inputs = np.arange(ceil(times[0] - margin), floor(times[-1] + margin) + 1)
        matrix = _kernel(times[None, :] - inputs[:, None], step_in, step_out).astype(precision)
        parts.append((int(inputs[0]) + margin, slice(first, last), matrix))
    return stretch_in, stretch_out, parts


def _by_upfirdn(x: Array, step_in: int, step_out: int, out: Samples) -> None:
    margin = resample_margin(step_in, step_out)
    # `upfirdn` starts at the filter's first tap: zeros in front put the first output on the input's first sample.
    lead = -(-margin * step_out // step_in) * step_in - margin * step_out
    taps = np.concatenate([np.zeros(lead), _taps(step_in, step_out)])
    skip = (margin * step_out + lead) // step_in
    padded = np.concatenate([x.astype(np.float64), np.zeros(margin)])
    out[:] = upfirdn(taps, padded, step_out, step_in)[skip : skip + len(out)]


@lru_cache(maxsize=2)
def _taps(step_in: int, step_out: int) -> Array:
    reach = resample_margin(step_in, step_out) * step_out
    pieces = (np.arange(first, min(first + (1 << 18), reach + 1)) for first in range(-reach, reach + 1, 1 << 18))
    return np.concatenate([_kernel(piece / step_out, step_in, step_out) for piece in pieces])


def _kernel(time: Array, step_in: int, step_out: int) -> Array:
    """The filter at `time` in input samples from its centre."""
    low = min(1.0, step_out / step_in)
    inside = np.maximum(0.0, 1.0 - (time * low / HALF) ** 2)
    window = i0(kaiser_beta(ATTENUATION_DB) * np.sqrt(inside)) / i0(kaiser_beta(ATTENUATION_DB))
    cutoff = (PASS + STOP) * low
    values: Array = np.where(inside > 0, cutoff * np.sinc(cutoff * time) * window, 0.0)
    return values
