"""Two voices that were never sung: sources and filters whose pitch is known, as short as a test can be."""

import torch
from torch import Tensor

from separation.metrics import si_sdr
from separation.transforms import source_filter as sf

RATE, HOP = 8000, 64


def duet(seconds: float = 1.5) -> tuple[Tensor, Tensor]:
    """Two gliding voices with two vowels ``[2, T]``, and their pitch ``[2, K]``; the low one ends early."""
    frames = 1 + int(seconds * RATE / HOP)
    frame = torch.arange(frames)
    pitch = torch.stack([330 * 2 ** (torch.sin(frame / 25) / 6), 140 * 2 ** (torch.cos(frame / 31) / 8)])
    pitch[1, int(0.8 * frames) :] = 0
    vowels = torch.tensor([[0.28, 0.35, 1.0, 1.1, 2.0, 2.5], [0.2, 0.25, 0.6, 0.66, 1.9, 2.0]])
    tract = sf.coefficients(vowels)[:, None].expand(-1, frames, -1)
    buzz = sf.voiced(sf.buzz(pitch, HOP, RATE), (pitch > 0).float())
    voices = sf.vocal_tract(sf.filtered(buzz, sf.impulse_response(sf.roll_off(65, RATE))), tract, HOP)
    return voices / voices.std(-1, keepdim=True), pitch


def scores(reference: Tensor, estimate: Tensor) -> Tensor:
    """SI-SDR in dB ``[S]`` of ``[S, T]`` twice."""
    return si_sdr(reference.unsqueeze(1), estimate.unsqueeze(1))
