"""A model for so many channels on a recording of any number of channels.

- The model takes any number, or just this one: as it is.
- A stereo model on mono: the channel twice, the estimates averaged back.
- A mono latent model on several channels: masks from the *mid* signal (the mean of the channels), applied to each
  channel's own latent, then decoded and refined channel by channel. Where the sources lie in the stereo picture is
  kept.
- Any other model on several channels (a stereo model on more than two gets the mid signal twice): the estimates of the
  mid signal become a ratio mask, each source's share ``|E_s| / Σ |E|`` in a short-time spectrum, applied to each
  channel. The shares sum to one, so that the stems sum to every channel; a lone source shares with what it left of the
  mid signal.

What is in the channels but not in their mean (opposite phases) follows the masks; where the mid signal is silent, the
shares are equal. The model's rate and the recording's play no part here; see `band.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import log2

import torch
from torch import Tensor

from separation.models.protocol import Inside, InsideSeparator, LatentSeparator, Separator, State
from separation.transforms import STFT

RATIO_WINDOW = 0.046
"""Seconds of the ratio mask's analysis window: 2048 samples at 44.1 kHz."""
QUIET = 1e-7
"""Magnitude below which shares become equal; about -140 dB of full scale per sample."""


@dataclass(frozen=True)
class Estimate:
    """What a model call gave.

    Args:
        stems: ``[B, S, C, T]`` float32.
        state: for the next chunk.
        latent: ``[B, C, N, K]``, or None if nobody looks or the model has none.
        masks: ``[B, S, C or 1, N, K]``, or None likewise.
        seen: what else an `InsideSeparator` shows; nothing likewise.
    """

    stems: Tensor
    state: State = None
    latent: Tensor | None = None
    masks: Tensor | None = None
    seen: Mapping[str, Tensor] = field(default_factory=dict)


def estimate(
    separator: Separator, mixture: Tensor, side: Mapping[str, Tensor], state: State, *, inside: bool = False
) -> Estimate:
    """Run a separator on ``[B, C, T]`` with any C.

    Args:
        separator: the model.
        mixture: at the model's rate and on its device.
        side: what the model needs besides, each with a batch axis.
        state: of the chunk before.
        inside: also give the latent and the masks of a latent separator; the stems are then put together from them,
            which by the law of latent separators is what `separate` does.
    """
    channels, takes = mixture.shape[1], separator.spec.channels
    if takes is None or takes == channels:
        return _direct(separator, mixture, side, state, inside)
    if channels == 1:
        twice = _direct(separator, mixture.expand(-1, 2, -1), side, state, inside)
        return Estimate(twice.stems.float().mean(2, keepdim=True), twice.state, twice.latent, twice.masks)
    mid = mixture.mean(1, keepdim=True)
    if takes == 1 and isinstance(separator, LatentSeparator) and _in_one_call(separator):
        return _masks_of_mid(separator, mixture, mid, side, state, inside)
    of_mid = estimate(separator, mid, side, state)
    return Estimate(by_ratio(of_mid.stems, mid, mixture, separator.spec.sample_rate), of_mid.state)


def _direct(separator: Separator, mixture: Tensor, side: Mapping[str, Tensor], state: State, inside: bool) -> Estimate:
    if not inside or not isinstance(separator, LatentSeparator):
        stems, after = separator.separate(mixture, side, state)
        return Estimate(stems, after)
    latent = separator.encode(mixture)
    if not _in_one_call(separator):  # only `separate` gives the state for the next chunk
        stems, after = separator.separate(mixture, side, state)
        return Estimate(stems, after, latent, separator.masks(latent, side, state))
    masks, after, seen = _look(separator, latent, side, state)
    decoded = separator.decode(masks * latent.unsqueeze(1), mixture.shape[-1])
    return Estimate(separator.refine(decoded, mixture), after, latent, masks, seen)


def _in_one_call(separator: LatentSeparator) -> bool:
    """Whether the masks can be had together with the state for the next chunk, where there is one."""
    return isinstance(separator, InsideSeparator) or not separator.spec.stateful


def _look(separator: LatentSeparator, latent: Tensor, side: Mapping[str, Tensor], state: State) -> Inside:
    if isinstance(separator, InsideSeparator):
        return separator.inside(latent, side, state)
    return Inside(separator.masks(latent, side, state), None, {})


def _masks_of_mid(
    model: LatentSeparator, mixture: Tensor, mid: Tensor, side: Mapping[str, Tensor], state: State, inside: bool
) -> Estimate:
    batch, channels, length = mixture.shape
    latent = model.encode(mixture)
    masks, after, seen = _look(model, model.encode(mid), side, state)
    decoded = model.decode(masks * latent.unsqueeze(1), length)
    # A mono model's refinement knows one channel: channels pass as items of the batch.
    alone = decoded.transpose(1, 2).reshape(batch * channels, -1, 1, length)
    refined = model.refine(alone, mixture.reshape(batch * channels, 1, length))
    stems = refined.reshape(batch, channels, -1, length).transpose(1, 2)
    return Estimate(stems, after, latent, masks, seen) if inside else Estimate(stems, after)


def by_ratio(estimates: Tensor, mid: Tensor, mixture: Tensor, sample_rate: int) -> Tensor:
    """Split every channel of a mixture as its mid signal was split.

    Args:
        estimates: ``[B, S, 1, T]`` of the mid signal.
        mid: ``[B, 1, T]``.
        mixture: ``[B, C, T]``.
        sample_rate: Hz.

    Returns:
        ``[B, S, C, T]``; with two sources or more they sum to `mixture`.
    """
    stft = _stft(sample_rate, mixture.device)
    estimates = estimates.float()
    rest = (mid - estimates.sum(1)).unsqueeze(1) if estimates.shape[1] == 1 else None
    share = shares(stft(estimates).abs(), None if rest is None else stft(rest).abs(), QUIET * stft.n_fft)
    return stft.inverse(share * stft(mixture).unsqueeze(1), mixture.shape[-1])


def shares(amounts: Tensor, rest: Tensor | None, quiet: float) -> Tensor:
    """Each source's part of the sum over sources (axis 1), equal parts where all amounts are far below `quiet`.

    With `rest`, the amount that belongs to no source, the parts sum to less than one.
    """
    total = amounts.sum(1, keepdim=True) + quiet
    return (amounts + quiet / amounts.shape[1]) / (total if rest is None else total + rest)


@lru_cache(maxsize=8)
def _stft(sample_rate: int, device: torch.device) -> STFT:
    n_fft = max(16, 2 ** round(log2(RATIO_WINDOW * sample_rate)))
    return STFT(n_fft, n_fft // 4).to(device)
