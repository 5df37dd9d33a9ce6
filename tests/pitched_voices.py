"""Voices of harmonics whose pitch is known, and a separator of a few lines that goes by it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from separation.models.protocol import Inside, Spec, State, separate_by_masks
from separation.models.voices import PITCH, pitch_of
from separation.transforms import STFT

RATE = 16000


def sung(hz: np.ndarray | float, seconds: float, *, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """A voice ``[T]``: ten falling harmonics of a pitch that is constant, or even parts of the time each; 0 Hz is a rest."""
    steps = np.atleast_1d(np.asarray(hz, float))
    length = round(seconds * rate)
    pitch = steps[np.minimum(np.arange(length) * len(steps) // length, len(steps) - 1)]
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    random = np.random.default_rng(seed).uniform(0, 2 * np.pi, 10)
    voice = sum(np.sin(k * phase + random[k - 1]) / k for k in range(1, 11))
    return (0.1 * voice * (pitch > 0)).astype(np.float32)


class CombMask(nn.Module):
    """Gives a bin to the voice whose harmonic is nearest; shows all that a model of voices shows (`engine.voices`)."""

    pitch_hop = 256

    def __init__(
        self, *, sources: Sequence[str] = ("high", "low"), segment: float = 2.0, silent_ends: bool = False
    ) -> None:
        super().__init__()
        self.arguments = {"sources": list(sources), "segment": segment, "silent_ends": silent_ends}
        self.stft = STFT(1024, 256)
        self.eval()

    @property
    def spec(self) -> Spec:
        return Spec(
            RATE, 1, tuple(self.arguments["sources"]), self.arguments["segment"], 0.1, multiple_of=256, needs=(PITCH,),
            align=256, silent_ends=self.arguments["silent_ends"],
        )  # fmt: skip

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def encode(self, x: Tensor) -> Tensor:
        return self.stft(x)

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        return self.inside(z, side, state).masks

    def inside(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Inside:
        hz = pitch_of(self, side, len(z), z.shape[-1]).unsqueeze(2)
        bins = torch.linspace(0, RATE / 2, z.shape[-2]).view(-1, 1)
        away = (bins - hz * (bins / hz.clamp_min(1)).round().clamp_min(1)).abs()
        near = torch.exp(-((away / 30) ** 2)) * (hz > 0) + 1e-4
        voiced = (hz > 0).float()
        seen = {"amplitude": voiced.squeeze(2), "noise": 0.1 * voiced.squeeze(2), "envelope": 20 * near[..., ::8, :]}
        return Inside((near / near.sum(1, keepdim=True)).unsqueeze(2), None, seen)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems
