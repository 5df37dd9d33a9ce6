"""Separators of a few lines, used instead of mocks: each does one thing that the code around a model must stand. And a sink.

None is trained and none pretends to be; `MaskedSTFT` alone has weights, random ones.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from separation.models.protocol import Spec, State, separate_by_masks
from separation.signals import Samples
from separation.transforms import STFT


class Track:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.blocks: list[Samples] = []

    def write(self, block: Samples) -> None:
        assert block.dtype == np.float32 and block.ndim == 2 and block.size
        self.blocks.append(block)

    @property
    def samples(self) -> Samples:
        """float32 ``[C, T]``."""
        return np.concatenate(self.blocks, axis=1)


class Fake:
    """What all share: a spec, and a count of calls."""

    def __init__(
        self,
        sources: tuple[str, ...] = ("all",),
        *,
        sample_rate: int = 8000,
        channels: int | None = None,
        segment: float = 1.0,
        context: float = 0.1,
        **more: object,
    ) -> None:
        self.spec = replace(Spec(sample_rate, channels, sources, segment, context), **more)
        self.calls = 0
        self.shapes: list[tuple[int, ...]] = []

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        self.calls += 1
        self.shapes.append(tuple(mixture.shape))
        return self.split(mixture), None

    def split(self, mixture: Tensor) -> Tensor:
        """``[B, C, T]`` -> ``[B, S, C, T]``: the mixture as the only source."""
        return mixture.unsqueeze(1).clone()


class Identity(Fake):
    """One source: the mixture."""


class Splitter(Fake):
    """Each source is the mixture times a fixed gain."""

    def __init__(self, *gains: float, **more: object) -> None:
        super().__init__(tuple(f"source{i}" for i in range(len(gains))), **more)
        self.gains = torch.tensor(gains)

    def split(self, mixture: Tensor) -> Tensor:
        return mixture.unsqueeze(1) * self.gains.to(mixture.device)[:, None, None]


class EdgeDamaging(Fake):
    """The mixture, but loud nonsense within `edge` seconds of both ends of a chunk."""

    def __init__(self, edge: float, **more: object) -> None:
        super().__init__(**more)
        self.edge = round(edge * self.spec.sample_rate)

    def split(self, mixture: Tensor) -> Tensor:
        estimate = mixture.unsqueeze(1).clone()
        if self.edge:
            estimate[..., : self.edge] = 1.0
            estimate[..., -self.edge :] = -1.0
        return estimate


class Failing(Fake):
    """Two halves of the mixture for `good` calls, then an error."""

    def __init__(self, good: int = 0, **more: object) -> None:
        super().__init__(("left", "right"), **more)
        self.good = good

    def split(self, mixture: Tensor) -> Tensor:
        if self.calls > self.good:
            raise ValueError("this separator fails on purpose")
        return mixture.unsqueeze(1).repeat(1, 2, 1, 1) / 2


class NotFinite(Fake):
    """The mixture, with one NaN `at` seconds into the chunk of call number `call` (from 0)."""

    def __init__(self, call: int = 0, at: float = 0.5, **more: object) -> None:
        super().__init__(**more)
        self.call, self.at = call, round(at * self.spec.sample_rate)

    def split(self, mixture: Tensor) -> Tensor:
        estimate = mixture.unsqueeze(1).clone()
        if self.calls == self.call + 1:
            estimate[..., self.at] = torch.nan
        return estimate


class OutOfMemory(Fake):
    """Two parts of the mixture; out of memory above `batch` chunks at once. If `big`, always, until it is moved."""

    def __init__(self, batch: int = 1, *, big: bool = False, **more: object) -> None:
        super().__init__(("low", "high"), **more)
        self.batch, self.big = batch, big
        self.failures = 0

    def to(self, device: torch.device) -> "OutOfMemory":
        self.big = self.big and self.calls == 0
        return self

    def split(self, mixture: Tensor) -> Tensor:
        if self.big or len(mixture) > self.batch:
            self.failures += 1
            raise torch.OutOfMemoryError(f"no memory for {len(mixture)} chunks, on purpose")
        return torch.stack([mixture * 0.25, mixture * 0.75], 1)


class Swapping(Fake):
    """Splits at a frequency into low and high, and gives them in a random order in every chunk."""

    def __init__(self, border_hz: float = 1000.0, *, seed: int = 0, sample_rate: int = 8000, **more: object) -> None:
        defaults = {"segment": 2.0, "context": 0.1, "channels": 1, "permutation_invariant": True}
        super().__init__(("one", "two"), sample_rate=sample_rate, **(defaults | more))
        self.border_hz = border_hz
        self.random = torch.Generator().manual_seed(seed)
        self.flips: list[bool] = []

    def split(self, mixture: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(mixture)
        frequency = torch.fft.rfftfreq(mixture.shape[-1], 1 / self.spec.sample_rate)
        low = torch.fft.irfft(spectrum * (frequency < self.border_hz), mixture.shape[-1])
        pairs = []
        for item, below in zip(mixture, low, strict=True):
            flip = bool(torch.rand((), generator=self.random) < 0.5)
            self.flips.append(flip)
            pairs.append(torch.stack([item - below, below] if flip else [below, item - below]))
        return torch.stack(pairs)


class Remembering(Fake):
    """Stateful: its estimate is the mixture times the number of chunks seen, which it knows only from its state."""

    def __init__(self, **more: object) -> None:
        super().__init__(stateful=True, **more)

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        self.shapes.append(tuple(mixture.shape))
        seen = (torch.zeros(()) if state is None else state["seen"]) + 1
        return mixture.unsqueeze(1) * seen, {"seen": seen}


class Guided(Fake):
    """Its estimate is the mixture times a gain per sample that comes as side information."""

    def __init__(self, **more: object) -> None:
        super().__init__(needs=("gain",), **more)

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return (mixture * side["gain"][:, None]).unsqueeze(1), None


class MaskedSTFT(nn.Module):
    """A latent separator: masks of an STFT from a tiny random convolution."""

    def __init__(
        self,
        sources: tuple[str, ...] = ("one", "two"),
        *,
        sample_rate: int = 8000,
        channels: int | None = 1,
        segment: float = 1.0,
        context: float = 0.1,
        seed: int = 0,
        **more: object,
    ) -> None:
        super().__init__()
        self.spec = replace(Spec(sample_rate, channels, sources, segment, context), **more)
        self.stft = STFT(256, 64)
        bins = 129
        self.net = nn.Conv1d(bins, len(sources) * bins, 3, padding=1)
        weights = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=weights) * 0.2)
        self.eval()

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def encode(self, x: Tensor) -> Tensor:
        return self.stft(x)

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        loudness = torch.log1p(100 * z.abs().mean(1))
        logits = self.net(loudness).unflatten(1, (len(self.spec.sources), -1))
        return logits.softmax(1).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems
