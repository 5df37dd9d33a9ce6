"""The SDR of BSS-eval v3 ("sources"): a 512-tap filter of the reference is forgiven, level and colouration with it.

Vincent, Gribonval and Fevotte, "Performance measurement in blind audio source separation", IEEE TASLP 14(4), 2006. This is the
definition behind the published MIR-1K figures (there called SDR; its gain over the mixture's own is NSDR).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import solve_toeplitz

TAPS = 512


def bss_eval_v3_sdr(reference: ArrayLike, estimate: ArrayLike, *, taps: int = TAPS) -> float:
    """``[T]``, ``[T]`` -> dB. The target is the projection of the estimate on `taps` delays of the reference.

    NaN for a silent reference or estimate. Other sources do not enter: SDR does not tell interference from artefacts.
    """
    s, e = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if not s.any() or not e.any():
        return float("nan")
    size = next_fast_len(s.size + taps - 1, real=True)
    spectrum = rfft(s, size)
    auto = irfft(np.abs(spectrum) ** 2, size)[:taps]
    cross = irfft(spectrum.conj() * rfft(e, size), size)[:taps]
    filters = solve_toeplitz(auto, cross)
    target = irfft(spectrum * rfft(filters, size), size)[: s.size + taps - 1]
    error = np.pad(e, (0, taps - 1)) - target
    return float(10 * np.log10(np.square(target).sum() / np.square(error).sum()))
