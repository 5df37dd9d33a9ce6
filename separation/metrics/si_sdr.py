"""Scale-invariant SDR and plain SNR, in float64.

Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019. Where the reference is silent both are undefined and returned
as NaN: whoever averages must say what was left out.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> Values:
    """``[*, T]``, ``[*, T]`` -> ``[*]`` in dB; means are removed; infinite for a perfect estimate, NaN for a silent reference.

    >>> float(si_sdr([1.0, -1.0, 1.0, -1.0], [2.0, -2.0, 2.0, -2.0]))
    inf
    """
    s, e = _centred(reference), _centred(estimate)
    energy = np.square(s).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        target = ((s * e).sum(-1) / energy)[..., None] * s
        return _ratio_db(target, e - target)


def snr(reference: ArrayLike, estimate: ArrayLike) -> Values:
    """``[*, T]``, ``[*, T]`` -> ``[*]`` in dB; gain errors count; NaN for a silent reference."""
    s, e = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    return np.where(np.square(s).sum(-1) > 0, _ratio_db(s, e - s), np.nan)


def _centred(x: ArrayLike) -> Values:
    values: Values = np.asarray(x, np.float64)
    centred: Values = values - values.mean(-1, keepdims=True)
    return centred


def _ratio_db(signal: Values, error: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10 * np.log10(np.square(signal).sum(-1) / np.square(error).sum(-1)), np.float64)
