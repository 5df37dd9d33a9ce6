"""Wave-U-Net: a U-Net on the waveform, by decimation and interpolation, without any masking.

D. Stoller, S. Ewert, S. Dixon, "Wave-U-Net: A multi-scale neural network for end-to-end audio source separation", ISMIR
2018, arXiv 1806.03185. The paper's variants are one argument away from the baseline M1: M2 ``difference=True``, M3
``input_context=True`` as well, M4 ``channels=2`` as well, M5 ``upsampling="learned"`` as well.

The authors cut the signal into outputs of 16,384 samples; here any length will do (`Spec.multiple_of`), and where
``input_context`` is off the borders of a chunk are computed from zeros, which is why the engine's context is thrown away.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from separation.models.protocol import Spec, State

SLOPE = 0.2  # of the leaky ReLU, as TensorFlow's default, which the authors used
Upsampling = Literal["linear", "learned"]


class WaveUNet(nn.Module):
    """Wave-U-Net.

    Args:
        sources: names of the outputs (K).
        sample_rate: Hz.
        channels: 1 or 2 (M4).
        levels: how often the signal is decimated by two (L).
        growth: features of level i: ``growth * i`` (F_c).
        kernel_down, kernel_up: filter lengths (f_d, f_u), odd.
        difference: the last source is the mixture minus the others (M2, section 3.2.1).
        input_context: convolutions without padding, so that no output is computed from zeros (M3, section 3.2.2).
        upsampling: linear, or weights between neighbours learned for each feature (M5, section 3.2.3).
        segment, context: seconds, see `Spec`; with ``input_context`` the context should cover `reach` samples.

    Shape:
        mixture ``[B, channels, T]`` -> ``[B, S, channels, T]``. Inputs and outputs lie in [-1, 1].
    """

    citation = "D. Stoller, S. Ewert, S. Dixon, Wave-U-Net, ISMIR 2018, arXiv 1806.03185"

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("vocals", "accompaniment"),
        sample_rate: int = 22050,
        channels: int = 1,
        levels: int = 12,
        growth: int = 24,
        kernel_down: int = 15,
        kernel_up: int = 5,
        difference: bool = False,
        input_context: bool = False,
        upsampling: Upsampling = "linear",
        segment: float = 12.0,
        context: float = 2.0,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "channels": channels, "levels": levels, "growth": growth,
            "kernel_down": kernel_down, "kernel_up": kernel_up, "difference": difference, "input_context": input_context,
            "upsampling": upsampling, "segment": segment, "context": context,
        }  # fmt: skip
        if kernel_down % 2 == 0 or kernel_up % 2 == 0:
            raise ValueError(f"filters must be odd to stay aligned, not {kernel_down} and {kernel_up}")
        if difference and len(sources) < 2:
            raise ValueError(
                "one source leaves nothing for the difference; name two or more, or set difference to false"
            )
        if upsampling not in ("linear", "learned"):
            raise ValueError(f"upsampling {upsampling!r} is not known; use linear or learned")
        padded = not input_context
        widths = [growth * level for level in range(1, levels + 2)]
        self.down = nn.ModuleList(
            _convolution(before, after, kernel_down, padded)
            for before, after in zip([channels, *widths], widths[:-1], strict=False)
        )
        self.bottom = _convolution(widths[-2], widths[-1], kernel_down, padded)
        up = list(reversed(widths))  # from the bottom to the top
        self.interpolate = nn.ModuleList(
            Interpolation(width, learned=upsampling == "learned", extend=padded) for width in up[:-1]
        )
        self.up = nn.ModuleList(_convolution(below + here, here, kernel_up, padded) for below, here in pairwise(up))
        outputs = len(sources) - difference
        self.leave = nn.Conv1d(widths[0] + channels, outputs * channels, 1)

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=a["channels"], sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=1 if a["input_context"] else 2 ** a["levels"], align=2 ** a["levels"],
        )  # fmt: skip

    @property
    def reach(self) -> int:
        """Samples of input that an output depends on at most, on each side of it."""
        size_in, size_out = self._sizes(1)
        step = 1 << int(self.arguments["levels"])  # of the coarsest samples; what lies between them depends on both
        return (size_in - size_out) // 2 + step - 1

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        batch, channels, length = mixture.shape
        if self.arguments["input_context"]:
            size_in, size_out = self._sizes(length)
            before = (size_in - size_out) // 2
            x = nn.functional.pad(mixture, (before, size_in - length - before))
        else:
            x = nn.functional.pad(mixture, (0, -length % 2 ** self.arguments["levels"]))
        estimates = self.forward(x)[..., :length].reshape(batch, -1, channels, length)
        if self.arguments["difference"]:
            rest = mixture.unsqueeze(1) - estimates.sum(1, keepdim=True)
            estimates = torch.cat([estimates, rest], 1)
        return estimates, None

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` of a size that fits -> the predicted sources ``[B, S C, T]``, shorter with ``input_context``."""
        h, skips = x, []
        for convolution in self.down:
            h = _leaky(convolution(h))
            skips.append(h)
            h = h[..., ::2]
        h = _leaky(self.bottom(h))
        for interpolate, convolution in zip(self.interpolate, self.up, strict=True):
            h = interpolate(h)
            h = _leaky(convolution(torch.cat([_centre(skips.pop(), h.shape[-1]), h], 1)))
        out: Tensor = self.leave(torch.cat([_centre(x, h.shape[-1]), h], 1))
        return torch.tanh(out)

    def _sizes(self, length: int) -> tuple[int, int]:
        """Samples in and out of the unpadded network for the fewest outputs that are at least `length`."""
        levels, down, up = (self.arguments[name] for name in ("levels", "kernel_down", "kernel_up"))
        # With n samples at the bottom, 2^L (n - 1) + 1 of them at the top are left after interpolation alone; each
        # convolution at level i takes (kernel - 1) 2^i away.
        taken = (up - 1) * (2**levels - 1) + 2**levels - 1  # 2^L n - taken outputs
        n = max(2, -(-(length + taken) // 2**levels))
        size_in = n + down - 1
        for _ in range(levels):
            size_in = 2 * size_in - 1 + down - 1
        return size_in, 2**levels * n - taken


class Interpolation(nn.Module):
    """Twice as many samples: between two neighbours lies a weighted mean of them.

    Args:
        channels: features.
        learned: a weight for each feature, through a sigmoid (M5); else one half.
        extend: the last sample is repeated, ``[*, K]`` -> ``[*, 2K]``; else ``[*, 2K - 1]``.
    """

    def __init__(self, channels: int, *, learned: bool, extend: bool) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(channels, 1)) if learned else None
        self.extend = extend

    def forward(self, x: Tensor) -> Tensor:
        if self.extend:
            x = torch.cat([x, x[..., -1:]], -1)
        weight = 0.5 if self.logit is None else torch.sigmoid(self.logit)
        between = weight * x[..., :-1] + (1 - weight) * x[..., 1:]
        pairs = torch.stack([x[..., :-1], between], -1).flatten(-2)
        return pairs if self.extend else torch.cat([pairs, x[..., -1:]], -1)


def _convolution(before: int, after: int, kernel: int, padded: bool) -> nn.Conv1d:
    return nn.Conv1d(before, after, kernel, padding=kernel // 2 if padded else 0)


def _leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, SLOPE)


def _centre(x: Tensor, length: int) -> Tensor:
    start = (x.shape[-1] - length) // 2
    return x[..., start : start + length]
