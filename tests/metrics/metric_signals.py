"""Small signals for the tests of metrics."""

import torch
from torch import Tensor


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(shape: tuple[int, int, int], *others: Tensor, seed: int = 9) -> Tensor:
    """Noise ``[S, C, T]`` without means, with nothing of `others` ``[S, C, T]`` in it: not of any of their sources."""
    x = noise(*shape, seed=seed)
    x -= x.mean(-1, keepdim=True)
    if others:
        span = torch.cat([other - other.mean(-1, keepdim=True) for other in others]).flatten(1)
        basis = torch.linalg.qr(span.T).Q
        flat = x.flatten(1)
        x = (flat - flat @ basis @ basis.T).view_as(x)
    return x


def at_level(x: Tensor, like: Tensor, level_db: float) -> Tensor:
    """`x` scaled, source by source, to `level_db` relative to the energy of `like`."""
    ratio = like.square().sum((-2, -1), keepdim=True) / x.square().sum((-2, -1), keepdim=True)
    return x * ratio.sqrt() * 10 ** (level_db / 20)


def speech_like(seconds: float, sample_rate: int, *, seed: int = 0) -> Tensor:
    """``[1, T]``: a buzz of 120 Hz with formants, in syllables of a quarter of a second; detectors take it for a voice."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * sample_rate), dtype=torch.float64) / sample_rate
    pitch = 120 * (1 + 0.1 * torch.sin(2 * torch.pi * 0.7 * time))
    phase = 2 * torch.pi * torch.cumsum(pitch, 0) / sample_rate
    syllable = (time * 4).long()
    formant = 300 + 500 * torch.rand(int(syllable.max()) + 1, generator=generator, dtype=torch.float64)[syllable]
    voice = torch.zeros_like(time)
    for k in range(1, int(min(3500, sample_rate / 2.2) / 120)):
        gain = torch.exp(-(((120 * k - formant) / 200) ** 2)) + 0.3 * torch.exp(
            -(((120 * k - 2.6 * formant) / 300) ** 2)
        )
        voice += gain * torch.sin(k * phase)
    loud = torch.sin(torch.pi * (time * 4 - syllable)).clamp(min=0)
    return (0.3 * voice * loud / voice.abs().max())[None]
