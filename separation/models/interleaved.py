"""Shared encoder, one decoder a source, each trained on its own data base: interleaved multitask learning.

C. S. J. Doire, O. Okubadejo, "Interleaved multitask learning for audio source separation with independent databases",
arXiv 1908.05182, 2019. What the public record says is kept: an encoder that all sources share, a decoder for each, sub-tasks
optimised one after the other so that a recording needs the truth of only one of its sources (`training.objectives.Interleaved`
has the schedule), a frozen encoder that serves a new source, and no more decoders at inference than are asked for.

What it does not say is *our proposal*: a magnitude-spectrogram U-Net after Jansson et al. (ISMIR 2017) with skips from the
shared encoder; group normalisation, because running averages would drift between data bases; a sigmoid mask a source, which
need not add up with the others', because no decoder knows of the others. No published figures exist to compare with.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separation.models.protocol import Spec, State, separate_by_masks
from separation.transforms import STFT

COMPRESSION = 0.3
MAGNITUDE_FLOOR = 1e-6  # keeps the gradient of the power finite at digital silence
SLOPE = 0.2


class SharedEncoder(nn.Module):
    """A U-Net whose way down is shared by all sources.

    Args:
        sources: names of the outputs, a decoder each; one alone is the independent baseline.
        known: names of all sources that it has decoders for, None for no others; those that are not asked for are not run.
        sample_rate: Hz.
        n_fft, hop_length: of the STFT, in samples; ``n_fft // 2`` must be divisible by ``2 ** len(channels)``.
        channels: feature maps of each level, from the top; each level halves time and frequency.
        narrow: decoders have ``channels`` divided by this many maps, so that another source costs little.
        groups: of the normalisation.
        segment, context: seconds, see `Spec`.

    Shape:
        `encode`: ``[B, C, T]`` -> complex ``[B, C, F, K]``.
        `masks`: ``[B, C, F, K]`` -> ``[B, S, 1, F, K]`` in [0, 1], a source on its own; made from the channels' mean power.
    """

    citation = (
        "C. S. J. Doire, O. Okubadejo, Interleaved multitask learning with independent databases, arXiv 1908.05182"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("vocals", "accompaniment"),
        known: Sequence[str] | None = None,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        channels: Sequence[int] = (16, 32, 64, 96, 128),
        narrow: int = 1,
        groups: int = 8,
        segment: float = 8.0,
        context: float = 1.0,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "known": None if known is None else list(known), "sample_rate": sample_rate,
            "n_fft": n_fft, "hop_length": hop_length, "channels": list(channels), "narrow": narrow, "groups": groups,
            "segment": segment, "context": context,
        }  # fmt: skip
        depth, bins = len(channels), n_fft // 2
        if bins % 2**depth or bins // 2**depth < 2:
            raise ValueError(f"{bins} bins cannot be halved {depth} times; use fewer channels or a longer n_fft")
        if any(width % (narrow * groups) for width in channels):
            raise ValueError(f"{list(channels)} maps, divided by {narrow}, do not form {groups} groups")
        names = tuple(sources if known is None else known)
        if not set(sources) <= set(names):
            raise ValueError(f"there are decoders for {', '.join(names)}, not for all of {', '.join(sources)}")
        self.depth, self.bins = depth, bins
        self.stft = STFT(n_fft, hop_length)
        self.encoder = Encoder(bins, channels, groups)
        self.decoders = nn.ModuleDict({name: Decoder(channels, narrow, groups) for name in names})

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"], context=a["context"],
            multiple_of=a["hop_length"], normalise=True, align=a["hop_length"],
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.stft(x)
        return z

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        return self.masks_of(self.arguments["sources"], z)

    def masks_of(self, sources: Sequence[str], z: Tensor) -> Tensor:
        """The masks of these sources only, ``[B, C, F, K]`` -> ``[B, S, 1, F, K]``; the other decoders are not touched."""
        frames = z.shape[-1]
        power = z.real.square().mean(1) + z.imag.square().mean(1)
        h = (power + MAGNITUDE_FLOOR**2) ** (COMPRESSION / 2)
        h = nn.functional.pad(h[:, : self.bins], (0, -frames % 2**self.depth))
        features = self.encoder(h)
        logits = torch.cat([self.decoders[name](features)[..., :frames] for name in sources], 1).float()
        logits = torch.cat([logits, logits[:, :, -1:]], 2)  # the Nyquist bin follows its neighbour
        return torch.sigmoid(logits).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None


class Encoder(nn.Module):
    """The way down. ``[B, F, K]`` (F = bins) -> the features of every level, ``[B, C, F / 2, K / 2]`` first."""

    def __init__(self, bins: int, channels: Sequence[int], groups: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(bins, 1))
        self.shift = nn.Parameter(torch.zeros(bins, 1))
        widths = [1, *channels]
        self.levels = nn.ModuleList(
            Level(nn.Conv2d(widths[i], widths[i + 1], 5, stride=2, padding=2), bins >> (i + 1), groups)
            for i in range(len(channels))
        )

    def forward(self, h: Tensor) -> list[Tensor]:
        h = (h * self.scale + self.shift).unsqueeze(1)
        features = []
        for level in self.levels:
            h = level(h)
            features.append(h)
        return features


class Decoder(nn.Module):
    """The way up of one source. The encoder's features -> mask logits ``[B, 1, F, K]``."""

    def __init__(self, channels: Sequence[int], narrow: int, groups: int) -> None:
        super().__init__()
        widths = [width // narrow for width in channels]
        self.levels = nn.ModuleList()
        before = channels[-1]
        for i in range(len(channels) - 1, 0, -1):
            up = nn.ConvTranspose2d(before, widths[i - 1], 5, stride=2, padding=2, output_padding=1)
            self.levels.append(Level(up, None, groups))
            before = widths[i - 1] + channels[i - 1]
        self.out = nn.ConvTranspose2d(before, 1, 5, stride=2, padding=2, output_padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        h = features[-1]
        for level, skip in zip(self.levels, reversed(features[:-1]), strict=True):
            h = torch.cat([level(h), skip], 1)
        out: Tensor = self.out(h)
        return out


class Level(nn.Module):
    """A convolution, group norm, leaky ReLU, and on the way down a residual bottleneck along all of frequency."""

    def __init__(self, conv: nn.Module, bins: int | None, groups: int) -> None:
        super().__init__()
        width = int(conv.out_channels)  # type: ignore[arg-type]
        self.conv, self.norm = conv, nn.GroupNorm(groups, width)
        self.narrow = None if bins is None else nn.Linear(bins, max(bins // 4, 8))
        self.widen = None if bins is None else nn.Linear(max(bins // 4, 8), bins)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.norm(self.conv(x)), SLOPE)
        if self.narrow is None or self.widen is None:
            return x
        along = torch.relu(self.narrow(x.transpose(2, 3)))  # one layer sees a whole harmonic series
        out: Tensor = x + self.widen(along).transpose(2, 3)
        return out
