"""HTMD-Net: a masking network makes a first estimate of the voice, a denoising network on the waveform cleans it.

C. Garoufis, A. Zlatintsi, P. Maragos, "HTMD-Net: A hybrid masking-denoising approach to time-domain monaural singing voice
separation", EUSIPCO 2021. The masking network is a light Conv-TasNet with batch normalisation, leaky ReLUs and a linear
encoder; the denoising network is half a Wave-U-Net with average pooling and two recurrent layers at the bottom. Both
outputs can be trained (deep supervision), seen and heard: `probe` gives the intermediate one.

The authors cut the signal into windows of 16,384 samples, side by side (``segment=16384 / 22050, context=0``, and no fade in
the engine); here any length will do. ``denoiser=False`` with ``repeats=3`` is their re-implementation of Conv-TasNet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separation.models.protocol import Spec, State, separate_by_masks

SLOPE = 0.3  # of the leaky ReLU: the default of Keras, which the authors used
NORM_EPSILON = 1e-3  # likewise
NORM_MOMENTUM = 0.01  # likewise (Keras counts from the other side: 0.99)


class HTMDNet(nn.Module):
    """HTMD-Net.

    Args:
        sources: the first is predicted, the other is the mixture minus it.
        sample_rate: Hz.
        basis, kernel: basis functions of the masking network and their length; the hop is half of it.
        bottleneck, hidden, width, blocks, repeats: of its dilated convolutions, as in Conv-TasNet (B, H, P, X, R).
        denoiser: the denoising network follows; False for the masking network alone.
        levels: how often it halves the signal.
        growth: its features at level i: ``growth * i``.
        recurrent: units of each direction of its two recurrent layers.
        idle_residual: build the last block's residual convolution too. It feeds nothing, but the published number of parameters
            counts it.
        segment, context: seconds, see `Spec`.

    Shape:
        `encode`: ``[B, C, T]`` -> ``[B, C, N, K]``; `masks`: -> ``[B, 2, 1, N, K]``, which sum to one.
    """

    citation = "C. Garoufis, A. Zlatintsi, P. Maragos, HTMD-Net, EUSIPCO 2021"

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("vocals", "accompaniment"),
        sample_rate: int = 22050,
        basis: int = 512,
        kernel: int = 16,
        bottleneck: int = 128,
        hidden: int = 512,
        width: int = 3,
        blocks: int = 9,
        repeats: int = 1,
        denoiser: bool = True,
        levels: int = 11,
        growth: int = 12,
        recurrent: int = 168,
        idle_residual: bool = False,
        segment: float = 8.0,
        context: float = 1.0,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "basis": basis, "kernel": kernel,
            "bottleneck": bottleneck, "hidden": hidden, "width": width, "blocks": blocks, "repeats": repeats,
            "denoiser": denoiser, "levels": levels, "growth": growth, "recurrent": recurrent,
            "idle_residual": idle_residual, "segment": segment, "context": context,
        }  # fmt: skip
        if len(sources) != 2:
            raise ValueError(f"it predicts one source and leaves the rest to another: two names, not {len(sources)}")
        if kernel % 4:
            raise ValueError(
                f"half of the overlap goes to each side, so the kernel must be a multiple of 4, not {kernel}"
            )
        self.hop_length = kernel // 2
        self.encoder = nn.Conv1d(1, basis, kernel, stride=self.hop_length, padding=kernel // 4)
        self.norm = _norm(basis)
        self.enter = nn.Conv1d(basis, bottleneck, 1)
        count = blocks * repeats
        self.tcn = nn.ModuleList(
            MaskingBlock(bottleneck, hidden, width, 2 ** (i % blocks), residual=idle_residual or i < count - 1)
            for i in range(count)
        )
        self.leave = nn.Conv1d(bottleneck, basis, 1)
        self.decoder = nn.ConvTranspose1d(basis, 1, kernel, stride=self.hop_length, padding=kernel // 4)
        self.denoiser = Denoiser(levels, growth, recurrent) if denoiser else None

    @property
    def spec(self) -> Spec:
        a = self.arguments
        step = max(self.hop_length, 2 ** a["levels"] if a["denoiser"] else 1)
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=step, align=step,
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        batch, channels, length = x.shape
        x = nn.functional.pad(x.reshape(-1, 1, length), (0, -length % self.hop_length))
        z: Tensor = self.encoder(x)
        return z.reshape(batch, channels, *z.shape[-2:])

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        h = self.enter(self.norm(z.mean(1)))
        total = torch.zeros_like(h)
        for block in self.tcn:
            h, skip = block(h)
            total = total + skip
        mask = torch.sigmoid(self.leave(_leaky(total)).float())
        return torch.stack([mask, 1 - mask], 1).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        lead = latents.shape[:-2]
        x: Tensor = self.decoder(latents.reshape(-1, *latents.shape[-2:]))
        return x[..., :length].reshape(*lead, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        first = stems[:, 0]
        if self.denoiser is not None:
            batch, channels, length = first.shape
            first = self.denoiser(first.reshape(-1, 1, length)).reshape(batch, channels, length)
        return torch.stack([first, mixture - first], 1)

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def probe(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """The first source at both points of deep supervision: ``[B, C, T]`` -> after the mask, and final, each alike."""
        z = self.encode(mixture)
        stems = self.decode(self.masks(z) * z.unsqueeze(1), mixture.shape[-1])
        return stems[:, 0], self.refine(stems, mixture)[:, 0]


class MaskingBlock(nn.Module):
    """1x1, leaky ReLU, norm, depthwise, leaky ReLU, norm, then residual and skip. ``[B, C, K]`` -> two alike."""

    def __init__(self, channels: int, hidden: int, width: int, dilation: int, *, residual: bool) -> None:
        super().__init__()
        self.widen = nn.Conv1d(channels, hidden, 1)
        self.norm_in, self.norm_out = _norm(hidden), _norm(hidden)
        padding = dilation * (width - 1) // 2
        self.depthwise = nn.Conv1d(hidden, hidden, width, dilation=dilation, padding=padding, groups=hidden)
        self.skip = nn.Conv1d(hidden, channels, 1)
        self.residual = nn.Conv1d(hidden, channels, 1) if residual else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.norm_in(_leaky(self.widen(x)))
        h = self.norm_out(_leaky(self.depthwise(h)))
        return (x if self.residual is None else x + self.residual(h)), self.skip(h)


class Denoiser(nn.Module):
    """The second network: from a first estimate of a source to a cleaner one. ``[B, 1, T]`` -> ``[B, 1, T]`` in [-1, 1]."""

    def __init__(self, levels: int, growth: int, recurrent: int) -> None:
        super().__init__()
        widths = [growth * level for level in range(1, levels + 1)]
        self.down = nn.ModuleList(
            _same(before, after, 5 if level == 0 else 15)
            for level, (before, after) in enumerate(zip([1, *widths], widths, strict=False))
        )
        self.recurrent = nn.ModuleList([BothWays(widths[-1], recurrent), BothWays(recurrent, recurrent)])
        below = [recurrent, *reversed(widths)]
        self.up = nn.ModuleList(
            _same(under + here, here, 5) for under, here in zip(below, reversed(widths), strict=False)
        )
        self.leave = _same(widths[0] + 1, 1, 5)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        x = nn.functional.pad(x, (0, -length % 2 ** len(self.down)))
        h, skips = x, []
        for convolution in self.down:
            h = _leaky(convolution(h))
            skips.append(h)
            h = nn.functional.avg_pool1d(h, 2)
        for layer in self.recurrent:
            h = layer(h)
        h = _leaky(h)
        for convolution in self.up:
            h = h.repeat_interleave(2, -1)
            h = _leaky(convolution(torch.cat([skips.pop(), h], 1)))
        out: Tensor = torch.tanh(self.leave(torch.cat([x, h], 1)))
        return out[..., :length]


class BothWays(nn.Module):
    """A recurrent layer that reads in both directions; their outputs are averaged. ``[B, C, K]`` -> ``[B, units, K]``."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.ahead, self.back = LinearLSTM(channels, units), LinearLSTM(channels, units)

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = (self.ahead(x) + self.back(x.flip(-1)).flip(-1)) / 2
        return mean


class LinearLSTM(nn.Module):
    """An LSTM without tanh, as Keras builds it with a linear activation. ``[B, C, K]`` -> ``[B, units, K]``."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.weight_input = nn.Parameter(nn.init.xavier_uniform_(torch.empty(4 * units, channels)))
        self.weight_state = nn.Parameter(nn.init.orthogonal_(torch.empty(4 * units, units)))
        bias = torch.zeros(4 * units)
        bias[units : 2 * units] = 1  # remember, to begin with
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        inputs = torch.einsum("gc,bck->kbg", self.weight_input, x) + self.bias
        state = memory = x.new_zeros(len(x), self.units)
        outputs = []
        for at in inputs:
            admit, keep, value, show = (at + state @ self.weight_state.T).chunk(4, -1)
            memory = torch.sigmoid(keep) * memory + torch.sigmoid(admit) * value
            state = torch.sigmoid(show) * memory
            outputs.append(state)
        return torch.stack(outputs, -1)


def _same(before: int, after: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(before, after, kernel, padding=kernel // 2)


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm1d(channels, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)


def _leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, SLOPE)
