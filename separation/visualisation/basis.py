"""The basis functions of a learned transform, as a sheet of small waveforms and a picture of their spectra.

They stand in the order of their centroids, so that a look tells how a model divides the frequencies. Bounded: of very many
or very long basis functions, an even choice is shown.

Not what a model did with a recording (`separation.visualisation.latents`): these are the same for every recording.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from separation.visualisation.heatmap import heat_map

MOST_SAMPLES = 40_000
"""Of all waveforms of a sheet together."""
MOST_SHOWN = 512
"""Basis functions of a sheet."""
FLOOR_DB = -50.0
"""The darkest colour of the spectra, below each basis function's own peak."""
SPECTRUM_POINTS = 129
"""Frequencies at which a spectrum is given, from 0 to half the sample rate."""

Floats = NDArray[np.float32]


class Basis(Protocol):
    """What is needed of an `engine.latents.Basis`: its encoder is ``[N, L]``, its decoder ``[S or 1, N, L]``."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def centroid_hz(self) -> Floats: ...
    @property
    def order(self) -> NDArray[np.int64]: ...
    @property
    def encoder(self) -> Floats: ...
    @property
    def decoder(self) -> Floats: ...


def basis_sheet(basis: Basis) -> dict[str, Any]:
    """Waveforms and spectra as small whole numbers, for whoever draws them.

    Returns:
        ``{count, sample_rate, length, shown [{index, hz}], encoder, decoder, encoder_db, decoder_db}``: the waveforms of
        those shown from -100 to 100, each by its own peak, and their spectra in dB below their own peak
        (`SPECTRUM_POINTS` from 0 to half the rate). Of decoders that differ by source, the first.
    """
    chosen = _chosen(basis)
    waves = {"encoder": basis.encoder[chosen], "decoder": basis.decoder[0][chosen]}
    return {
        "count": len(basis.order),
        "sample_rate": basis.sample_rate,
        "length": int(basis.encoder.shape[1]),
        "shown": [{"index": int(index), "hz": round(float(basis.centroid_hz[index]), 1)} for index in chosen],
        **{side: [_whole(100 * wave / (np.abs(wave).max() or 1)) for wave in waves[side]] for side in waves},
        **{f"{side}_db": [_whole(row) for row in _spectra(waves[side])] for side in waves},
    }


def spectra_png(basis: Basis, *, decoder: bool = False) -> bytes:
    """The spectra of all basis functions that the sheet shows: a column each, low frequencies below.

    Returns:
        A PNG as wide as basis functions are shown and `SPECTRUM_POINTS` high; the colours of `heat_map` from `FLOOR_DB`
        to 0 dB, each column's own peak.
    """
    chosen = _chosen(basis)
    waves = basis.decoder[0][chosen] if decoder else basis.encoder[chosen]
    return heat_map(_spectra(waves).T[::-1], FLOOR_DB, 0)


def _chosen(basis: Basis) -> NDArray[np.int64]:
    """The basis functions that are shown, from low to high."""
    length = max(1, basis.encoder.shape[1])
    count = max(1, min(len(basis.order), MOST_SHOWN, MOST_SAMPLES // length))
    places = np.linspace(0, len(basis.order) - 1, count).round().astype(np.int64)
    return np.asarray(basis.order)[places]


def _spectra(waves: Floats) -> Floats:
    """``[n, L]`` -> dB below each one's peak, float32 ``[n, SPECTRUM_POINTS]``; the highest of the bins between points."""
    n_fft = 2 * (SPECTRUM_POINTS - 1)
    while n_fft < waves.shape[1]:
        n_fft *= 2
    magnitude = np.abs(np.fft.rfft(waves.astype(np.float64), n_fft))
    step = n_fft // 2 // (SPECTRUM_POINTS - 1)
    if step > 1:
        inner = magnitude[:, 1:].reshape(len(waves), SPECTRUM_POINTS - 1, step).max(-1)
        magnitude = np.concatenate([magnitude[:, :1], inner], axis=1)
    peak = magnitude.max(-1, keepdims=True)
    level = np.where(peak > 0, magnitude / np.where(peak > 0, peak, 1), 0)
    return (20 * np.log10(np.maximum(level, 10 ** (FLOOR_DB / 20)))).astype(np.float32)


def _whole(values: NDArray[np.floating]) -> list[int]:
    return [int(value) for value in np.round(values)]
