"""Magnitudes -> a signal that has them, nearly, where nobody knows the phases.

D. W. Griffin and J. S. Lim, Signal estimation from modified short-time Fourier transform, IEEE TASSP 32(2), 1984: go back and
forth between signal and spectrum, keep the wanted magnitudes and the phases that came out. It starts from random phases of its
own seed; torchaudio's draws them from the process's one generator, or starts from phases of zero, where a held sound ends up
as a buzz at the frame rate.

For listening to what a model has learned. Nothing is separated with it: a mixture has phases of its own.
"""

import math

import torch
from torch import Tensor

from separation.transforms.stft import STFT

ROUNDS = 40


def griffin_lim(magnitudes: Tensor, stft: STFT, *, rounds: int = ROUNDS, seed: int = 0) -> Tensor:
    """A signal whose magnitudes are nearly these.

    Args:
        magnitudes: ``[F, K]``, non-negative.
        stft: the transform that they are of.
        rounds: how often to go back and forth.
        seed: of the phases that it starts from.

    Returns:
        ``[T]`` with T = (K - 1) * stft.hop_length.

    >>> griffin_lim(torch.ones(33, 8), STFT(64, 16)).shape
    torch.Size([112])
    """
    generator = torch.Generator().manual_seed(seed)
    phases = 2 * math.pi * torch.rand(magnitudes.shape, generator=generator)
    length = (magnitudes.shape[-1] - 1) * stft.hop_length
    tiny = torch.finfo(magnitudes.dtype).tiny
    x = stft.inverse(torch.polar(magnitudes, phases), length)
    for _ in range(rounds):
        z = stft(x)
        x = stft.inverse(magnitudes * z / z.abs().clamp_min(tiny), length)
    return x
