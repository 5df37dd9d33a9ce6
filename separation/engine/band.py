"""From the model's rate back to the recording's, with what the model could not hear.

Going to another rate and back loses the top of the band: all that a model at a lower rate cannot hold, and the filter's
slope. Each source gets its share of that, over time: the share of the energy that it has in the highest octave heard,
in the same moment and channel. Consonants and cymbals reach over that border, so that the top band follows whoever
sounds there. The shares sum to one; a lone source shares with what it left of the mixture. Nothing is invented: no
sound that is not in the mixture.

With x the mixture, x' what the model heard of it, g a source's share, e its estimate and ``up`` the way back, the
source is ``g x + up(e - g x')``: its share of the mixture, and what the model heard otherwise. Because shares move
slowly that is ``up(e) + g (x - up(x'))``, with less to resample, and the mixture itself where e is x'.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separation.audio import grid, resample, resample_margin
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
ADDS_UP = 1e-6
"""Of the mixture's peak: what a sum of float32 estimates may miss by rounding."""


def to_recording(estimates: Samples, heard: Samples, wide: Samples, layout: Plan, *, full_band: bool) -> Samples:
    """Bring the estimates of one chunk to the recording's rate and cut off the context.

    Args:
        estimates: ``[S, C, model_length]``.
        heard: the mixture as the model heard it, ``[C, model_length]``.
        wide: the mixture at the recording's rate, ``[C, span]``.
        layout: says which part is kept.
        full_band: share what lies above the model's band; otherwise leave it out.

    Returns:
        float32 ``[S, C, stride + fade]``.
    """
    if layout.model_rate == layout.sample_rate:
        return estimates[..., layout.kept]
    needed, back = _ways(layout)
    if not full_band:
        return back(estimates[..., needed])
    share = torch.from_numpy(top_octave_shares(estimates, heard, layout)).float()
    # Sources that add up to what was heard add up to the mixture: then the last needs no way back of its own.
    adds_up = len(estimates) > 1 and np.abs(heard - estimates.sum(0)).max() <= ADDS_UP * np.abs(heard).max()
    own = slice(0, -1) if adds_up else slice(None)
    mixture = torch.from_numpy(wide[:, layout.kept])
    expected = _between(share[own], needed, layout.model_rate, layout.model_rate) * torch.from_numpy(heard[:, needed])
    stems = torch.from_numpy(back(estimates[own][..., needed] - expected.numpy()))
    stems.addcmul_(_between(share[own], layout.kept, layout.sample_rate, layout.model_rate), mixture)
    return (torch.cat([stems, (mixture - stems.sum(0))[None]]) if adds_up else stems).numpy()


def _ways(layout: Plan) -> tuple[slice, Callable[[Samples], Samples]]:
    """The samples at the model's rate that what is kept depends on, and the way from these to what is kept."""
    step_in, step_out = grid(layout.model_rate, layout.sample_rate)
    pad = -(-resample_margin(layout.model_rate, layout.sample_rate) // step_in)  # in steps; the context has as many
    kept = layout.stride + layout.fade
    first = layout.to_model(layout.context) - pad * step_in
    last = min(first + (2 * pad + -(-kept // step_out)) * step_in, layout.model_length)

    def back(x: Samples) -> Samples:
        return resample(x, layout.model_rate, layout.sample_rate)[..., pad * step_out :][..., :kept]

    return slice(first, last), back


def top_octave_shares(estimates: Samples, heard: Samples, layout: Plan) -> NDArray[np.float64]:
    """Each source's part of the energy in the highest octave heard, ``[S, C, K]`` in [0, 1], a frame every 16 ms."""
    stft = _frames(layout.model_rate)
    nyquist = round(stft.n_fft * min(layout.model_rate, layout.sample_rate) / (2 * layout.model_rate))
    octave = slice(nyquist // 2, nyquist + 1)

    def energy(x: Samples) -> Tensor:
        top = torch.view_as_real(stft(torch.from_numpy(np.ascontiguousarray(x)))[..., octave, :])
        power = top.square().sum((-1, -3)).double()
        width = 2 * SMOOTHING + 1
        flat = power.reshape(-1, 1, power.shape[-1])
        smooth = torch.nn.functional.avg_pool1d(flat, width, 1, SMOOTHING, count_include_pad=False)
        return smooth.reshape(1, *power.shape)

    rest = energy(heard - estimates[0])[:, None] if len(estimates) == 1 else None
    share: NDArray[np.float64] = shares(energy(estimates), rest, QUIET * stft.n_fft**2)[0].numpy()
    return share


def _between(share: Tensor, samples: slice, sample_rate: int, model_rate: int) -> Tensor:
    """The shares at these samples of the chunk, on straight lines between the frames; float32 ``[S, C, T]``."""
    frame, part = _places(samples.start, samples.stop, sample_rate, model_rate, share.shape[-1])
    flat = share.reshape(-1, share.shape[-1])
    return flat.index_select(1, frame).lerp_(flat.index_select(1, frame + 1), part).reshape(*share.shape[:-1], -1)


@lru_cache(maxsize=4)
def _places(start: int, stop: int, sample_rate: int, model_rate: int, frames: int) -> tuple[Tensor, Tensor]:
    """The frame at or before each sample, and how far the sample is on the way to the next."""
    place = torch.arange(start, stop, dtype=torch.float64) * (model_rate / sample_rate / _frames(model_rate).hop_length)
    frame = place.floor().clamp_(max=frames - 2)
    return frame.long(), (place - frame).float()


@lru_cache(maxsize=8)
def _frames(sample_rate: int) -> STFT:
    n_fft = max(16, 4 * round(FRAME * sample_rate / 4))
    return STFT(n_fft, n_fft // 2)
