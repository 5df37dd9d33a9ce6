"""Conv-TasNet: masks on a learned basis, from a stack of dilated convolutions.

Y. Luo and N. Mesgarani, "Conv-TasNet: Surpassing ideal time-frequency magnitude masking for speech separation",
IEEE/ACM TASLP 27(8), 2019, arXiv 1809.07454. The paper's letters stand beside the arguments. Section and equation
numbers are the paper's. Variants: causal or not (II-D), masks by softmax, sigmoid or ReLU, with or without the skip path
(Fig. 1c).

The encoder and decoder extend the signal by one hop on both sides, so that every sample is covered by the same number
of frames (as torchaudio does; asteroid extends the end only).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from separation.models.protocol import Spec, State, separate_by_masks

NORM_EPSILON = 1e-8
FRAMES_MULTIPLE = 16  # depthwise convolutions are several times slower at other frame counts on CPUs

MaskActivation = Literal["softmax", "sigmoid", "relu"]


class ConvTasNet(nn.Module):
    """Conv-TasNet.

    Args:
        sources: names of the outputs (C in the paper: how many).
        sample_rate: Hz.
        basis: number of basis functions (N).
        kernel: their length in samples (L); the hop is half of it.
        bottleneck: channels between blocks (B).
        hidden: channels inside a block (H).
        skip: channels of the skip path (Sc); 0 for none: the mask is then taken from the last block's output.
        width: kernel of the depthwise convolutions (P).
        blocks: blocks per repeat, of dilation 1, 2, … 2^(X - 1) (X).
        repeats: (R).
        causal: look only back, with cumulative instead of global normalisation.
        mask: how mask logits become masks.
        encoder_relu: ReLU after the encoder (the paper's best model has none).
        permutation_invariant: the order of the sources is arbitrary (speakers), not learned (instruments).
        segment, context: seconds, see `Spec`.
        gains: one constant factor a source, applied to the outputs: a loss such as SI-SDR leaves their level and sign open
            (see `training.levels`). None for 1.

    Shape:
        `encode`: ``[B, C, T]`` -> ``[B, C, N, K]``; `masks`: -> ``[B, S, 1, N, K]``.
    """

    citation = "Y. Luo, N. Mesgarani, Conv-TasNet, IEEE/ACM TASLP 27(8), 2019, arXiv 1809.07454"

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("speaker 1", "speaker 2"),
        sample_rate: int = 8000,
        basis: int = 512,
        kernel: int = 16,
        bottleneck: int = 128,
        hidden: int = 512,
        skip: int = 128,
        width: int = 3,
        blocks: int = 8,
        repeats: int = 3,
        causal: bool = False,
        mask: MaskActivation = "sigmoid",
        encoder_relu: bool = False,
        permutation_invariant: bool = True,
        segment: float = 8.0,
        context: float = 1.0,
        gains: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "basis": basis, "kernel": kernel,
            "bottleneck": bottleneck, "hidden": hidden, "skip": skip, "width": width, "blocks": blocks,
            "repeats": repeats, "causal": causal, "mask": mask, "encoder_relu": encoder_relu,
            "permutation_invariant": permutation_invariant, "segment": segment, "context": context,
            "gains": None if gains is None else list(gains),
        }  # fmt: skip
        if kernel < 2 or kernel % 2:
            raise ValueError(f"the basis functions overlap by half, so their length must be even, not {kernel}")
        if width % 2 == 0:
            raise ValueError(f"depthwise kernels must be odd to stay aligned, not {width}")
        if mask not in ("softmax", "sigmoid", "relu"):
            raise ValueError(f"masks by {mask!r} are not known; use softmax, sigmoid or relu")
        if gains is not None and len(gains) != len(sources):
            raise ValueError(f"{len(gains)} gains for {len(sources)} sources; give one a source, or none")
        self.hop_length = kernel // 2
        self.encoder = nn.Conv1d(1, basis, kernel, stride=self.hop_length, padding=self.hop_length, bias=False)
        self.norm = _norm(basis, causal)
        self.enter = Pointwise(basis, bottleneck)
        count = blocks * repeats
        self.tcn = nn.ModuleList(
            # the last block's residual feeds nothing when masks come from skips
            TemporalBlock(
                bottleneck, hidden, skip, width, 2 ** (i % blocks), causal, residual=skip == 0 or i < count - 1
            )
            for i in range(count)
        )
        self.activation = PReLU()
        self.leave = Pointwise(skip or bottleneck, len(sources) * basis)
        self.decoder = nn.ConvTranspose1d(basis, 1, kernel, stride=self.hop_length, padding=self.hop_length, bias=False)

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=self.hop_length * FRAMES_MULTIPLE,
            permutation_invariant=a["permutation_invariant"], silent_ends=a["permutation_invariant"], normalise=True,
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        batch, channels, length = x.shape
        x = nn.functional.pad(x.reshape(-1, 1, length), (0, -length % self.hop_length))
        z: Tensor = self.encoder(x)
        if self.arguments["encoder_relu"]:
            z = torch.relu(z)
        return z.reshape(batch, channels, *z.shape[-2:])

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        h = z.mean(1)
        logits = self.separator(h).reshape(z.shape[0], -1, *z.shape[-2:])
        match self.arguments["mask"]:
            case "softmax":
                mask = torch.softmax(logits, 1)
            case "sigmoid":
                mask = torch.sigmoid(logits)
            case _:
                mask = torch.relu(logits)
        return mask.unsqueeze(2)

    def separator(self, h: Tensor) -> Tensor:
        """Latent ``[B, N, K]`` -> mask logits ``[B, S N, K]`` (section II-C)."""
        frames = h.shape[-1]
        h = self.enter(self.norm(h))
        quick = _quick(h) and not self.arguments["causal"]
        if quick:  # rows that start on a cache line make the products up to 1.5 times faster
            h = nn.functional.pad(h, (0, -frames % FRAMES_MULTIPLE))
        total: Tensor | None = None
        for block in self.tcn:
            assert isinstance(block, TemporalBlock)
            h, skip = block.infer(h, frames) if quick else block(h)
            if skip is not None:
                total = skip if total is None else total + skip
        logits: Tensor = self.leave(self.activation(h if total is None else total))
        return logits[..., :frames].float()

    def decode(self, latents: Tensor, length: int) -> Tensor:
        lead = latents.shape[:-2]
        x: Tensor = self.decoder(latents.reshape(-1, *latents.shape[-2:]))
        return x[..., :length].reshape(*lead, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        gains = self.arguments["gains"]
        return stems if gains is None else stems * stems.new_tensor(gains).view(-1, 1, 1)

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None


class TemporalBlock(nn.Module):
    """1x1, PReLU, norm, depthwise, PReLU, norm, then residual and skip (Fig. 1c).

    ``[B, bottleneck, K]`` -> (``[B, bottleneck, K]``, ``[B, skip, K]`` or None).
    """

    def __init__(
        self, channels: int, hidden: int, skip: int, width: int, dilation: int, causal: bool, *, residual: bool
    ) -> None:
        super().__init__()
        reach = (width - 1) * dilation
        self.dilation = dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach // 2)
        self.widen = Pointwise(channels, hidden)
        self.activation_in, self.norm_in = PReLU(), _norm(hidden, causal)
        self.depthwise = nn.Conv1d(hidden, hidden, width, dilation=dilation, groups=hidden)
        self.activation_out, self.norm_out = PReLU(), _norm(hidden, causal)
        self.residual = Pointwise(hidden, channels) if residual else None
        self.skip = Pointwise(hidden, skip) if skip else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        h = self.norm_in(self.activation_in(self.widen(x)))
        h = self.norm_out(self.activation_out(self.convolve(h)))
        skip = self.skip(h) if self.skip is not None else None
        return (x + self.residual(h) if self.residual is not None else x), skip

    @torch.no_grad()
    def infer(self, x: Tensor, frames: int) -> tuple[Tensor, Tensor | None]:
        """`forward` for CPUs without gradients: the same numbers with half the passes over memory.

        ``[B, bottleneck, K]``, of which only the first `frames` frames count: the rest is padding, which takes part in no
        statistic and reaches no frame before it. The norms become a scale and a shift; the second one goes into the
        weights of the 1x1 convolutions, which are one product.
        """
        h = nn.functional.leaky_relu_(self.widen(x), self.activation_in.weight.item())
        scale, shift = scale_and_shift(self.norm_in, h, frames)
        before, after = self.padding
        padded = h.new_empty(*h.shape[:-1], before + h.shape[-1] + after)
        inner = padded[..., before : before + h.shape[-1]]
        torch.mul(h, scale, out=inner).add_(shift)  # one addcmul would be slower: it broadcasts badly
        padded[..., :before] = 0
        padded[..., before + frames :] = 0
        h = nn.functional.leaky_relu_(self.taps(padded, h.shape[-1]), self.activation_out.weight.item())
        scale, shift = scale_and_shift(self.norm_out, h, frames)
        heads = [head for head in (self.residual, self.skip) if head is not None]
        weight = torch.cat([head.weight for head in heads])[..., 0]
        bias = torch.cat([head.bias for head in heads if head.bias is not None])
        out = torch.baddbmm(bias.unsqueeze(-1) + weight @ shift, weight * scale.mT, h)
        parts = list(torch.split(out, [head.out_channels for head in heads], 1))
        return (x + parts.pop(0) if self.residual is not None else x), (parts[0] if parts else None)

    def convolve(self, h: Tensor) -> Tensor:
        """The depthwise convolution."""
        return self.taps(nn.functional.pad(h, self.padding), h.shape[-1])

    def taps(self, padded: Tensor, frames: int) -> Tensor:
        weight, bias = self.depthwise.weight[:, 0].to(padded.dtype), self.depthwise.bias
        assert bias is not None
        out: Tensor = Taps.apply(padded, weight, bias.to(padded.dtype), self.dilation, frames)  # type: ignore[no-untyped-call]
        return out


class Taps(torch.autograd.Function):
    """A depthwise convolution, one multiply-add a tap: on CPUs four times as fast to train as PyTorch's, the same numbers.

    ``[B, C, K + (W - 1) dilation]``, weight ``[C, W]``, bias ``[C]`` -> ``[B, C, K]``. The way back is written out, because
    autograd would keep and zero a whole tensor a tap.
    """

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor, bias: Tensor, dilation: int, frames: int) -> Tensor:
        ctx.save_for_backward(padded, weight)
        ctx.dilation = dilation
        out = (
            bias.unsqueeze(-1).expand(*padded.shape[:-1], frames).contiguous()
        )  # added to in place: eight times as fast
        for tap in range(weight.shape[1]):
            out.addcmul_(padded[..., tap * dilation :][..., :frames], weight[:, tap : tap + 1])
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        padded, weight = ctx.saved_tensors
        frames = slope.shape[-1]
        to_padded, to_weight = torch.zeros_like(padded), torch.empty_like(weight)
        for tap in range(weight.shape[1]):
            reach = slice(tap * ctx.dilation, tap * ctx.dilation + frames)
            to_padded[..., reach].addcmul_(slope, weight[:, tap : tap + 1])
            to_weight[:, tap] = (slope * padded[..., reach]).sum((0, 2))
        return to_padded, to_weight, slope.sum((0, 2)), None, None


class Pointwise(nn.Conv1d):
    """A 1x1 convolution as a matrix product: on CPUs up to twice as fast for a batch of one, and a fifth faster to train."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return torch.baddbmm(self.bias.unsqueeze(-1), self.weight[..., 0].expand(len(x), -1, -1), x)


def scale_and_shift(norm: nn.Module, x: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Global layer norm of ``[B, C, K]`` over its first `frames` frames as ``scale x + shift``, each ``[B, C, 1]``.

    Sets the other frames of `x` to zero, so that sums over all are sums over these.
    """
    assert isinstance(norm, nn.GroupNorm)
    x[..., frames:] = 0
    count = x.shape[1] * frames
    mean = x.sum((1, 2)) / count
    # By channel first: one float32 sum over millions of squares would lose digits.
    square = torch.linalg.vector_norm(x, dim=-1).square().sum(1) / count
    inverse = torch.rsqrt((square - mean.square()).clamp_min(0) + norm.eps)
    scale = norm.weight * inverse.unsqueeze(1)
    return scale.unsqueeze(-1), (norm.bias - mean.unsqueeze(1) * scale).unsqueeze(-1)


class PReLU(nn.PReLU):
    """The same numbers; PyTorch's own backward pass is three times slower on CPUs, and a quarter of a training step."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        slope = self.weight.to(x.dtype)
        return slope * x + (1 - slope) * torch.relu(x)


class CumulativeNorm(nn.Module):
    """Cumulative layer norm (section II-D, eq. 9 to 11): statistics over channels and all frames so far."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels, 1)), nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        x64 = x.double()  # sums over minutes of frames lose float32's digits
        count = torch.arange(1, x.shape[-1] + 1, device=x.device) * x.shape[1]
        mean = x64.sum(1, keepdim=True).cumsum(-1) / count
        square = x64.square().sum(1, keepdim=True).cumsum(-1) / count
        deviation = (square - mean.square()).clamp_min(0).add(NORM_EPSILON).sqrt()
        return ((x64 - mean) / deviation).to(x.dtype) * self.weight + self.bias


def _quick(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()


def _norm(channels: int, causal: bool) -> nn.Module:
    """Global layer norm is a group norm of one group (eq. 7, 8)."""
    return CumulativeNorm(channels) if causal else nn.GroupNorm(1, channels, eps=NORM_EPSILON)
