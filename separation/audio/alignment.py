"""How late one recording is against another that it holds, to the sample: models and encoders add and drop samples.

A listener who switches between sounds that are a few milliseconds apart hears a jump, and knows by it which one is which.
Nothing here resamples: a drift, or a delay of parts of a sample, is reported and left.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

SEARCHED = 0.25
"""Seconds looked at on each side."""
EMPHASIS = 0.97
"""Part of the sample before that is taken away in both: low notes make a broad peak, whose top noise moves by some
samples."""
FAINTEST = 0.05
"""Correlation below which nothing was found: the one is not in the other."""
BETTER = 0.02
"""By how much of the best the correlation without a shift must fall short before a shift is believed: bleed that happens to
agree with the target moves a flat top by a sample; a real delay of one sample costs more than this in any sound with treble."""

Samples = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Lag:
    """Where a recording fits best.

    Args:
        samples: it comes so many samples late (negative: early); 0 too where a shift would not fit clearly better.
        fraction: what is left after that, in samples, from a parabola through the top; about 0 for a whole delay.
        correlation: at the best place, 0 to 1, of the signals with their treble raised.
        inverted: it fits upside down.
    """

    samples: int
    fraction: float
    correlation: float
    inverted: bool

    @property
    def found(self) -> bool:
        """Whether the one is in the other at all."""
        return self.correlation >= FAINTEST


def find_lag(reference: Samples, estimate: Samples, sample_rate: int, *, searched: float = SEARCHED) -> Lag:
    """How late `estimate` is against `reference`, by cross-correlation over all channels.

    Args:
        reference: ``[C, T]``: the target; or the mixture, where nobody knows the target.
        estimate: ``[C, T]``.
        sample_rate: Hz.
        searched: seconds on each side.

    Returns:
        the lag; ``Lag(0, 0.0, 0.0, False)`` where one of them is silent.
    """
    one, other = (lfilter([1.0, -EMPHASIS], [1.0], np.asarray(x, np.float64)) for x in (reference, estimate))
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    if scale == 0:
        return Lag(0, 0.0, 0.0, False)
    length = one.shape[-1]
    reach = max(1, min(round(searched * sample_rate), length - 1))
    size = next_fast_len(length + reach + 1, real=True)  # no wrap-around within reach
    spectrum = rfft(other, size) * rfft(one, size).conj()
    around = irfft(spectrum, size).sum(axis=0)
    correlation = np.concatenate([around[-reach:], around[: reach + 1]]) / scale
    best = int(np.argmax(np.abs(correlation)))
    top, level = correlation[best], abs(float(correlation[best]))
    if level < FAINTEST or abs(correlation[reach]) > (1 - BETTER) * level:
        here = float(correlation[reach])
        return Lag(0, _top(np.abs(correlation), reach), abs(here), here < 0 and abs(here) >= FAINTEST)
    return Lag(best - reach, _top(np.abs(correlation), best), level, bool(top < 0))


def shifted(samples: Samples, lag: int) -> Samples:
    """Without a lag: what comes `lag` samples late is moved ahead, silence fills the end. As long as before.

    >>> shifted(np.array([[0.0, 0.0, 1.0, 2.0]]), 2)
    array([[1., 2., 0., 0.]])
    """
    result = np.zeros_like(samples)
    length = samples.shape[-1]
    if lag >= 0:
        result[..., : max(0, length - lag)] = samples[..., lag:]
    else:
        result[..., -lag:] = samples[..., : max(0, length + lag)]
    return result


def _top(values: NDArray[np.float64], index: int) -> float:
    """Where the parabola through three points has its top, from `index`; -0.5 to 0.5."""
    if not 0 < index < len(values) - 1:
        return 0.0
    before, here, after = values[index - 1 : index + 2]
    bend = before - 2 * here + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
