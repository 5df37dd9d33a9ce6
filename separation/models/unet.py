"""A U-Net that masks the magnitude spectrogram.

The shape is that of Jansson et al., "Singing voice separation with deep U-Net convolutional networks", ISMIR 2017: 5x5
convolutions of stride 2 down, transposed ones up, skips by concatenation, a sigmoid mask on the mixture's magnitude,
the mixture's phase. Three things are newer, each because it buys quality per second on a CPU:

* a residual block a level: a 3x3 convolution, and a bottleneck along the whole *frequency* axis, which lets one layer see
  a harmonic series (the "TDF" of Choi et al., "Investigating U-Nets with various intermediate blocks for
  spectrogram-based singing voice separation", ISMIR 2020);
* a bidirectional GRU over time at the bottom (as Open-Unmix), which sees the whole segment;
* magnitudes are compressed by a power, so that quiet partials count.

Not here: phase estimation, multichannel filtering. A mask on the mixture's phase cannot pass the ratio-mask oracle.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separation.models.protocol import Spec, State, separate_by_masks
from separation.transforms import STFT

COMPRESSION = 0.3
MAGNITUDE_FLOOR = 1e-6  # keeps the gradient of the power finite at digital silence


class UNet(nn.Module):
    """Spectrogram-mask U-Net.

    Args:
        sources: names; the masks of two sources are m and 1 - m, those of more a softmax.
        sample_rate: Hz.
        n_fft, hop_length: of the STFT, in samples; ``n_fft // 2`` must be divisible by ``2 ** len(channels)``.
        channels: feature maps of each level, from the top; each level halves time and frequency.
        hidden: units of each direction of the GRU at the bottom.
        segment, context: seconds, see `Spec`.

    Shape:
        `encode`: ``[B, C, T]`` -> complex ``[B, C, F, K]``.
        `masks`: ``[B, C, F, K]`` -> ``[B, S, 1, F, K]`` in [0, 1], summing to one over S; made from the channels' mean
        power.
    """

    citation = (
        "A. Jansson et al., Singing voice separation with deep U-Net convolutional networks, ISMIR 2017; "
        "W. Choi et al., Investigating U-Nets with various intermediate blocks, ISMIR 2020"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("vocals", "accompaniment"),
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        channels: Sequence[int] = (24, 48, 64, 96, 128),
        hidden: int = 192,
        segment: float = 8.0,
        context: float = 1.0,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop_length,
            "channels": list(channels), "hidden": hidden, "segment": segment, "context": context,
        }  # fmt: skip
        if len(sources) < 2:
            raise ValueError("the masks share the mixture out, so there must be two sources or more")
        depth, bins = len(channels), n_fft // 2
        if depth < 2:
            raise ValueError(f"a U-Net needs two levels or more for its skips, not {depth}")
        if bins % 2**depth or bins // 2**depth < 2:
            raise ValueError(f"{bins} bins cannot be halved {depth} times; use fewer channels or a longer n_fft")
        self.depth, self.bins = depth, bins
        self.stft = STFT(n_fft, hop_length)
        outputs = 1 if len(sources) == 2 else len(sources)
        self.scale = nn.Parameter(torch.ones(bins, 1))
        self.shift = nn.Parameter(torch.zeros(bins, 1))
        widths = [1, *channels]
        self.down = nn.ModuleList(Down(widths[i], widths[i + 1], bins >> (i + 1)) for i in range(depth))
        self.bottom = Bottom(channels[-1], bins >> depth, hidden)
        self.up = nn.ModuleList(
            Up(channels[i] * (1 if i == depth - 1 else 2), channels[i - 1], bins >> i) for i in range(depth - 1, 0, -1)
        )
        self.out = nn.ConvTranspose2d(2 * channels[0], outputs, 5, stride=2, padding=2, output_padding=1)

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=a["hop_length"], normalise=True,
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.stft(x)
        return z

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        power = z.real.square().mean(1) + z.imag.square().mean(1)
        h = (power + MAGNITUDE_FLOOR**2) ** (COMPRESSION / 2)
        logits = self.network(h[:, : self.bins])
        logits = torch.cat([logits, logits[:, :, -1:]], 2)  # the Nyquist bin follows its neighbour
        if len(self.arguments["sources"]) == 2:
            mask = torch.sigmoid(logits)
            return torch.stack([mask, 1 - mask], 1)
        return torch.softmax(logits, 1).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def network(self, h: Tensor) -> Tensor:
        """Compressed magnitudes ``[B, F, K]`` (F = bins) -> mask logits ``[B, S or 1, F, K]``."""
        frames = h.shape[-1]
        h = h * self.scale + self.shift
        h = nn.functional.pad(h, (0, -frames % 2**self.depth)).unsqueeze(1)
        h = h.contiguous(memory_format=torch.channels_last)
        skips = []
        for down in self.down:
            h = down(h)
            skips.append(h)
        h = self.bottom(h)
        skips.pop()
        for up in self.up:
            h = torch.cat([up(h), skips.pop()], 1)
        logits: Tensor = self.out(h)[..., :frames].float()
        return logits


class Block(nn.Module):
    """Residual 3x3 convolution, then a residual bottleneck along frequency. ``[B, C, F, K]`` -> the same."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        width = max(bins // 4, 8)
        self.narrow = nn.Linear(bins, width, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.widen = nn.Linear(width, bins, bias=False)
        self.norm_out = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + torch.relu(self.local(x))
        wide = x.transpose(2, 3)  # frequency last: the linear layers run along it
        wide = torch.relu(self.norm(self.narrow(wide)))
        wide = torch.relu(self.norm_out(self.widen(wide)))
        return x + wide.transpose(2, 3)


class Down(nn.Module):
    """Halve time and frequency. ``[B, C, F, K]`` -> ``[B, C', F / 2, K / 2]``."""

    def __init__(self, channels_in: int, channels_out: int, bins_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.block = Block(channels_out, bins_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(nn.functional.leaky_relu(self.norm(self.conv(x)), 0.2))
        return out


class Up(nn.Module):
    """Double time and frequency. ``[B, C, F, K]`` -> ``[B, C', 2 F, 2 K]``."""

    def __init__(self, channels_in: int, channels_out: int, bins_out: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels_in, channels_out, 5, stride=2, padding=2, output_padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.block = Block(channels_out, bins_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(torch.relu(self.norm(self.conv(x))))
        return out


class Bottom(nn.Module):
    """A bidirectional GRU over time on all that is left of frequency. ``[B, C, F, K]`` -> the same."""

    def __init__(self, channels: int, bins: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Linear(channels * bins, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.leave = nn.Linear(2 * hidden, channels * bins)

    def forward(self, x: Tensor) -> Tensor:
        b, c, f, k = x.shape
        h = x.permute(0, 3, 1, 2).reshape(b, k, c * f)
        h = torch.relu(self.enter(h))
        h, _ = self.gru(h)
        h = self.leave(h).reshape(b, k, c, f).permute(0, 2, 3, 1)
        out: Tensor = x + h.to(x.dtype)
        return out
