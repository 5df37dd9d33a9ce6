"""Two-Step separation: first a learned transform in which oracle masks work best, then a separator in that frozen space.

E. Tzinis, S. Venkataramani, Z. Wang, C. Subakan, P. Smaragdis, "Two-step sound source separation: Training on learned
latent targets", ICASSP 2020, arXiv 1910.09804. Step 1 is `LearnedTransform`: encoder, oracle masks from the true sources,
decoder. It is a separator itself (it needs the references) and its score is the ceiling of any mask in this space. Step 2 is
`TwoStep`: the same transform under a separator that has to find the masks. The joint baseline is `TwoStep` with
``joint=True``, trained end to end.

Not like the authors' code: the decoder of a source may be shared by all (``decoders="shared"``), because which decoder belongs
to which estimate is arbitrary when sources are exchangeable; and the normalisation around the separator may be global
instead of batch normalisation, which is fragile for small batches.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from separation.models.conv_tasnet import FRAMES_MULTIPLE, Pointwise, PReLU, TemporalBlock
from separation.models.protocol import Spec, State, separate_by_masks

NORM_EPSILON = 1e-7
RATIO_EPSILON = 1e-8
SHORTCUT_PHASES = (0, 3)
"""Blocks 0, X, 2X, … and 3, X + 3, 2X + 3, … of the residual separator are joined by long-range connections."""

Decoders = Literal["per source", "shared"]
OracleMask = Literal["softmax", "ratio"]
Separation = Literal["tdcn", "residual"]
OuterNorm = Literal["batch", "global"]


class Transform(nn.Module):
    """The learned transform and its inverse: ``ReLU(conv)`` and one linear decoder a source, or one for all.

    Args:
        sources: how many.
        basis: number of basis functions (N).
        kernel: their length in samples, odd (L); the hop is the half, rounded down.
        decoders: "per source" as the authors, or "shared".
    """

    def __init__(self, sources: int, basis: int, kernel: int, decoders: Decoders) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"basis functions must have a centre, so an odd length, not {kernel}")
        if decoders not in ("per source", "shared"):
            raise ValueError(f"decoders {decoders!r} are not known; use 'per source' or 'shared'")
        self.hop_length = hop = kernel // 2
        self.sources, self.groups = sources, sources if decoders == "per source" else 1
        self.encoder = nn.Conv1d(1, basis, kernel, stride=hop, padding=hop)
        self.decoder = nn.ConvTranspose1d(
            basis * self.groups,
            self.groups,
            kernel,
            stride=hop,
            padding=hop,
            output_padding=hop - 1,
            groups=self.groups,
        )

    def encode(self, x: Tensor) -> Tensor:
        """``[*, T]`` -> ``[*, N, K]``, not negative."""
        lead, length = x.shape[:-1], x.shape[-1]
        x = nn.functional.pad(x.reshape(-1, 1, length), (0, -length % self.hop_length))
        z = torch.relu(self.encoder(x))
        return z.reshape(*lead, *z.shape[-2:])

    def decode(self, latents: Tensor, length: int) -> Tensor:
        """``[B, S, C, N, K]`` -> ``[B, S, C, T]``."""
        batch, sources, channels, basis, frames = latents.shape
        if self.groups == 1:
            x = self.decoder(latents.reshape(-1, basis, frames))
        else:
            x = self.decoder(latents.transpose(1, 2).reshape(-1, sources * basis, frames))
            x = x.reshape(batch, channels, sources, -1).transpose(1, 2)
        stems: Tensor = x.reshape(batch, sources, channels, -1)[..., :length]
        return stems


class LearnedTransform(nn.Module):
    """Step 1: the transform with oracle masks (section 2.1). It needs the true sources.

    Args:
        sources: names of the outputs.
        sample_rate: Hz.
        basis, kernel, decoders: see `Transform`.
        oracle: softmax over the sources' latents (the paper's models), or their ratio.
        segment, context: seconds, see `Spec`.
        gains: one constant factor a source, applied to the outputs (`training.levels`). None for 1.

    Shape:
        `encode`: ``[B, C, T]`` -> ``[B, C, N, K]``; `masks`: -> ``[B, S, C, N, K]`` from ``side["references"]``
        ``[B, S, C, T]``.
    """

    citation = "E. Tzinis et al., Two-step sound source separation, ICASSP 2020, arXiv 1910.09804"

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("speaker 1", "speaker 2"),
        sample_rate: int = 8000,
        basis: int = 256,
        kernel: int = 21,
        decoders: Decoders = "per source",
        oracle: OracleMask = "softmax",
        segment: float = 8.0,
        context: float = 0.1,
        gains: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "basis": basis, "kernel": kernel, "decoders": decoders,
            "oracle": oracle, "segment": segment, "context": context,
            "gains": None if gains is None else list(gains),
        }  # fmt: skip
        _check_oracle(oracle)
        self.transform = Transform(len(sources), basis, kernel, decoders)

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=self.transform.hop_length, normalise=True, needs=("references",),
            align=self.transform.hop_length,
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        return self.transform.encode(x)

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        return oracle_masks(self.transform.encode(side["references"]), self.arguments["oracle"])

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.transform.decode(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return _with_gains(stems, self.arguments["gains"])

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None


class TwoStep(nn.Module):
    """Step 2: a separator in the space of a `LearnedTransform` (sections 2.2 and 3.3).

    Args:
        sources, sample_rate, basis, kernel, decoders, oracle: as the transform's.
        separator: "tdcn", blocks one after the other, or "residual" with long-range connections.
        bottleneck: channels between blocks (B).
        hidden: channels inside a block (H).
        width: kernel of the depthwise convolutions (P).
        blocks: per repeat, of dilation 1, 2, … 2^(X - 1) (X).
        repeats: (R).
        norm: around the separator: "batch" as the authors, or "global".
        joint: the end-to-end baseline: ReLU after the mask layer instead of before it.
        permutation_invariant: the order of the sources is arbitrary.
        segment, context: seconds, see `Spec`.
        gains: one constant factor a source, applied to the outputs (`training.levels`). None for 1.

    Shape:
        `encode`: ``[B, C, T]`` -> ``[B, C, N, K]``; `masks`: -> ``[B, S, 1, N, K]``, which sum to one over the sources.
    """

    citation = LearnedTransform.citation

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("speaker 1", "speaker 2"),
        sample_rate: int = 8000,
        basis: int = 256,
        kernel: int = 21,
        decoders: Decoders = "per source",
        oracle: OracleMask = "softmax",
        separator: Separation = "tdcn",
        bottleneck: int = 256,
        hidden: int = 512,
        width: int = 3,
        blocks: int = 8,
        repeats: int = 4,
        norm: OuterNorm = "batch",
        joint: bool = False,
        permutation_invariant: bool = True,
        segment: float = 8.0,
        context: float = 1.0,
        gains: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "basis": basis, "kernel": kernel, "decoders": decoders,
            "oracle": oracle, "separator": separator, "bottleneck": bottleneck, "hidden": hidden, "width": width,
            "blocks": blocks, "repeats": repeats, "norm": norm, "joint": joint,
            "permutation_invariant": permutation_invariant, "segment": segment, "context": context,
            "gains": None if gains is None else list(gains),
        }  # fmt: skip
        if basis % 2:
            raise ValueError(
                f"the mask layer is centred on the basis axis, so there must be an even number, not {basis}"
            )
        _check_oracle(oracle)
        if separator not in ("tdcn", "residual"):
            raise ValueError(f"the separator {separator!r} is not known; use tdcn or residual")
        if norm not in ("batch", "global"):
            raise ValueError(f"{norm!r} normalisation is not known; use batch or global")
        self.transform = Transform(len(sources), basis, kernel, decoders)
        self.norm_in, self.norm_out = _outer_norm(norm, basis), _outer_norm(norm, basis)
        self.enter = Pointwise(basis, bottleneck)
        body = TDCN if separator == "tdcn" else ResidualTDCN
        self.body = body(bottleneck, hidden, width, blocks, repeats)
        self.leave = Pointwise(bottleneck, basis) if bottleneck != basis else None
        self.mask_layer = BasisConvolution(len(sources), basis)

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=self.transform.hop_length * FRAMES_MULTIPLE,
            permutation_invariant=a["permutation_invariant"], silent_ends=a["permutation_invariant"], normalise=True,
            align=self.transform.hop_length,
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        return self.transform.encode(x)

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        h = self.body(self.enter(self.norm_in(z.mean(1))))
        h = self.norm_out(h if self.leave is None else self.leave(h))
        logits = torch.relu(self.mask_layer(h)) if self.arguments["joint"] else self.mask_layer(torch.relu(h))
        return torch.softmax(logits.float(), 1).unsqueeze(2)

    def targets(self, references: Tensor, z: Tensor) -> Tensor:
        """What the masked latents should be, ``[B, S, C, N, K]``: oracle masks of ``[B, S, C, T]`` on the mixture's z."""
        return oracle_masks(self.transform.encode(references), self.arguments["oracle"]) * z.unsqueeze(1)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.transform.decode(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return _with_gains(stems, self.arguments["gains"])

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None


class TDCN(nn.Module):
    """R repeats of X blocks of growing dilation, without a skip path. ``[B, bottleneck, K]`` -> the same."""

    def __init__(self, bottleneck: int, hidden: int, width: int, blocks: int, repeats: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TemporalBlock(bottleneck, hidden, 0, width, 2 ** (i % blocks), False, residual=True)
            for i in range(blocks * repeats)
        )

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[-1]
        quick = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()
        if quick:  # rows that start on a cache line make the products faster, see ConvTasNet.separator
            x = nn.functional.pad(x, (0, -frames % FRAMES_MULTIPLE))
        for block in self.blocks:
            assert isinstance(block, TemporalBlock)
            x, _ = block.infer(x, frames) if quick else block(x)
        return x[..., :frames]


class ResidualTDCN(nn.Module):
    """TDCN with normalisation over time alone, and connections over whole repeats.

    With X blocks a repeat, block kX also receives the input and the outputs of blocks X, 2X, … (k - 1)X; block kX + 3 receives
    those of blocks 3, X + 3, … (k - 1)X + 3. Each is normalised, all are concatenated and brought back by a 1x1 convolution.
    """

    def __init__(self, bottleneck: int, hidden: int, width: int, blocks: int, repeats: int) -> None:
        super().__init__()
        count = blocks * repeats
        self.blocks = nn.ModuleList(TimeNormBlock(bottleneck, hidden, width, 2 ** (i % blocks)) for i in range(count))
        self.origins = {
            k * blocks + phase: [phase + j * blocks for j in range(k)]
            for k in range(1, repeats)
            for phase in SHORTCUT_PHASES
            if phase < blocks
        }
        self.shortcuts = nn.ModuleDict(
            {str(block): Shortcut(bottleneck, len(origins)) for block, origins in self.origins.items()}
        )

    def forward(self, x: Tensor) -> Tensor:
        outputs: dict[int, Tensor] = {0: x}  # where block 0 would stand, the connections take the separator's input
        for i, block in enumerate(self.blocks):
            if i in self.origins:
                x = x + self.shortcuts[str(i)]([outputs[j] for j in self.origins[i]])
            x = block(x)
            outputs.setdefault(i, x)
        return x


class TimeNormBlock(nn.Module):
    """1x1, PReLU, norm over time, depthwise, PReLU, norm over time, 1x1, residual. ``[B, C, K]`` -> the same."""

    def __init__(self, channels: int, hidden: int, width: int, dilation: int) -> None:
        super().__init__()
        self.widen, self.narrow = Pointwise(channels, hidden), Pointwise(hidden, channels)
        self.activation_in, self.norm_in = PReLU(), _time_norm(hidden)
        self.depthwise = nn.Conv1d(
            hidden, hidden, width, dilation=dilation, padding=dilation * (width - 1) // 2, groups=hidden
        )
        self.activation_out, self.norm_out = PReLU(), _time_norm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm_in(self.activation_in(self.widen(x)))
        h = self.norm_out(self.activation_out(self.depthwise(h)))
        out: Tensor = x + self.narrow(h)
        return out


class Shortcut(nn.Module):
    """Outputs of earlier blocks, each ``[B, C, K]``, to one addition for a later block's input."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(_time_norm(channels) for _ in range(count))
        self.join = Pointwise(channels * count, channels)

    def forward(self, outputs: list[Tensor]) -> Tensor:
        normed = [norm(x) for norm, x in zip(self.norms, outputs, strict=True)]
        joined: Tensor = self.join(torch.cat(normed, 1))
        return joined


class BasisConvolution(nn.Module):
    """The mask layer: per frame, each source's logits are a convolution along the basis axis.

    A ``Conv2d(1, S, (N + 1, 1))`` over ``[B, 1, N, K]``; written as one product with its (Toeplitz) matrix, which is many
    times faster. ``[B, N, K]`` -> ``[B, S, N, K]``.
    """

    def __init__(self, sources: int, basis: int) -> None:
        super().__init__()
        like = nn.Conv2d(1, sources, (basis + 1, 1))
        self.weight, self.bias = nn.Parameter(like.weight.detach()[:, 0, :, 0]), like.bias
        self.reach = basis // 2

    def forward(self, x: Tensor) -> Tensor:
        basis = torch.arange(x.shape[1], device=x.device)
        tap = (
            basis - basis.unsqueeze(1) + self.reach
        )  # of input m for output n; beyond the kernel where |m - n| > N / 2
        inside = (tap >= 0) & (tap < self.weight.shape[1])
        matrix = torch.where(inside, self.weight[:, tap.clamp(0, self.weight.shape[1] - 1)], 0)
        assert self.bias is not None
        return torch.einsum("snm,bmk->bsnk", matrix, x) + self.bias.view(-1, 1, 1)


def oracle_masks(latents: Tensor, kind: OracleMask) -> Tensor:
    """Masks from the true sources' latents ``[B, S, *]`` -> the same shape, summing to one over the sources."""
    if kind == "softmax":
        return torch.softmax(latents, 1)
    return latents / (latents.sum(1, keepdim=True) + RATIO_EPSILON)


def _check_oracle(kind: str) -> None:
    if kind not in ("softmax", "ratio"):
        raise ValueError(f"oracle masks by {kind!r} are not known; use softmax or ratio")


def _outer_norm(kind: OuterNorm, channels: int) -> nn.Module:
    return nn.BatchNorm1d(channels) if kind == "batch" else nn.GroupNorm(1, channels, eps=NORM_EPSILON)


def _time_norm(channels: int) -> nn.Module:
    """Mean and variance over time for each channel ("CepstralNorm" in the authors' code)."""
    return nn.GroupNorm(channels, channels, eps=NORM_EPSILON)


def _with_gains(stems: Tensor, gains: Sequence[float] | None) -> Tensor:
    return stems if gains is None else stems * stems.new_tensor(gains).view(-1, 1, 1)
