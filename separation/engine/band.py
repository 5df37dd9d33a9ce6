"""From the model's rate back to the recording's, with what the model could not hear.

Going to another rate and back loses the top of the band: all that a model at a lower rate cannot hold, and the filter's
slope. With x the mixture and ``there(x)`` what is left of it, ``x - there(x)`` is exactly what the model never heard.
Each source gets its share of it, over time: the share of the energy that it has in the highest octave heard, in the
same moment and channel. Consonants and cymbals reach over that border, so that the top band follows whoever sounds
there. The shares sum to one; a lone source shares with what it left of the mixture. Nothing is invented: no sound that
is not in the mixture.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from separation.audio import resample
from separation.engine.adapt import shares
from separation.engine.chunks import Plan
from separation.signals import Samples
from separation.transforms import STFT

FRAME = 0.032
"""Seconds of the frames that shares are measured in."""
SMOOTHING = 3
"""Frames to each side that a share is averaged over, 16 ms apart."""
QUIET = 1e-10
"""Mean square per sample below which shares become equal: -100 dB of full scale."""


def to_recording(
    estimates: Samples, heard: Samples, wide: Samples, layout: Plan, *, full_band: bool
) -> NDArray[np.float64]:
    """Bring the estimates of one chunk to the recording's rate and cut off the context.

    Args:
        estimates: ``[S, C, model_length]``.
        heard: the mixture as the model heard it, ``[C, model_length]``.
        wide: the mixture at the recording's rate, ``[C, span]``.
        layout: says which part is kept.
        full_band: share what lies above the model's band; otherwise leave it out.

    Returns:
        float64 ``[S, C, stride + fade]``.
    """
    kept = layout.kept
    if layout.model_rate == layout.sample_rate:
        return estimates[..., kept].astype(np.float64)
    up = resample(estimates, layout.model_rate, layout.sample_rate)[..., kept].astype(np.float64)
    if not full_band:
        return up
    unheard = wide[:, kept] - resample(heard, layout.model_rate, layout.sample_rate)[:, kept].astype(np.float64)
    return up + unheard * top_octave_shares(estimates, heard, layout)


def top_octave_shares(estimates: Samples, heard: Samples, layout: Plan) -> NDArray[np.float64]:
    """Each source's part of the energy in the highest octave heard, ``[S, C, stride + fade]`` in [0, 1]."""
    stft = _frames(layout.model_rate)
    nyquist = round(stft.n_fft * min(layout.model_rate, layout.sample_rate) / (2 * layout.model_rate))
    octave = slice(nyquist // 2, nyquist + 1)

    def energy(x: Samples) -> torch.Tensor:
        power = stft(torch.from_numpy(np.ascontiguousarray(x))).abs().square()[..., octave, :].sum(-2).double()
        width = 2 * SMOOTHING + 1
        flat = power.reshape(-1, 1, power.shape[-1])
        smooth = torch.nn.functional.avg_pool1d(flat, width, 1, SMOOTHING, count_include_pad=False)
        return smooth.reshape(1, *power.shape)

    rest = energy(heard - estimates[0])[:, None] if len(estimates) == 1 else None
    share = shares(energy(estimates), rest, QUIET * stft.n_fft**2)[0].numpy()
    frames = np.arange(share.shape[-1]) * (stft.hop_length / layout.model_rate)
    kept = layout.kept
    times = np.arange(kept.start, kept.stop) / layout.sample_rate
    flat = [np.interp(times, frames, row) for row in share.reshape(-1, len(frames))]
    return np.stack(flat).reshape(*share.shape[:-1], len(times))


def _frames(sample_rate: int) -> STFT:
    n_fft = max(16, 4 * round(FRAME * sample_rate / 4))
    return STFT(n_fft, n_fft // 2)
