"""Up to where a sound goes: how much of its energy lies above a frequency, and above which there is next to nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft, rfftfreq
from scipy.signal.windows import hann

NOTHING = 1e-5
"""Share of the energy that counts as nothing: -50 dB."""

Samples = NDArray[np.floating[Any]]


def energy_above(samples: Samples, sample_rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much of the energy lies at and above each frequency.

    Args:
        samples: ``[C, T]``; short audio (it is transformed at once).
        sample_rate: Hz.

    Returns:
        Hz ``[F]``, from 0, and shares ``[F]``, falling from 1; all 0 for silence.
    """
    length = samples.shape[-1]
    spectrum = rfft(np.asarray(samples, np.float64) * hann(length, sym=False), axis=-1)
    energy = (np.abs(spectrum) ** 2).sum(axis=0)
    above = np.cumsum(energy[::-1])[::-1]
    return rfftfreq(length, 1 / sample_rate), above / above[0] if above[0] > 0 else np.zeros_like(above)


def bandwidth(samples: Samples, sample_rate: int, nothing: float = NOTHING) -> float:
    """The frequency in Hz above which less than `nothing` of the energy lies; 0 for silence. ``[C, T]``.

    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)[None]
    >>> round(bandwidth(tone, 8000), -1)
    1000.0
    """
    hertz, share = energy_above(samples, sample_rate)
    return float(hertz[np.flatnonzero(share > nothing)[-1]]) if share[0] > 0 else 0.0
