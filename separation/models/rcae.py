"""Recurrent-convolutive auto-encoders: every component has a small recurrent network of its own that listens for it.

    H(k, t) = g(Σ_j Z_k(j, t)),    Z_k = LSTM_k(X) with J = 9 hidden units,    Λ as in `ccae`

(RNN-CNN auto-encoder of section 2.3 of Venkataramani, Subakan and Smaragdis, Neural network alternatives to convolutive audio
models for source separation, MLSP 2017, arXiv:1709.07908: the inverse of a filter is recursive, and so may undo a decoder of
filters better than other filters can.) The K networks read the same frames and know nothing of each other: their recurrence is
block-diagonal. As in the paper's code frames come in sequences of 100 (1.6 s), each begun from nothing, and the forget gate
has no bias of its own. All that is said in `nae` of objective, separation, scale and components holds here.

The hidden units of a network lie in ±1, so that their sum before g lies in ±J: latents end at J, where they saturate.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from separation.models.ccae import FRAMES
from separation.models.components import CONTEXT, HOP_LENGTH, N_FFT, SAMPLE_RATE, SEGMENT
from separation.models.nae import MOMENTUM, RATE, RESTRAINT, STEPS, AutoEncoder, AutoEncoderModel, Terms, draw, glorot

HIDDEN = 9
SEQUENCE = 100


class Recurrence(torch.autograd.Function):
    """What every time step hands to the next, for K LSTMs at once, with its gradient written out (autograd's is slower by 2.5).

    Gates lie in the order enter, forget, leave (sigmoids), candidate (a tangent); the state begins as zeros.

    Shape:
        drive ``[T, K, B, 4 J]``, weight ``[K, J, 4 J]`` -> hidden units ``[T, K, B, J]``.
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, weight: Tensor) -> Tensor:
        length, count, batch, _ = drive.shape
        hidden = weight.shape[1]
        gates = torch.empty_like(drive)
        cells = drive.new_zeros(length + 1, count, batch, hidden)
        units = torch.zeros_like(cells)
        for t in range(length):
            torch.baddbmm(drive[t], units[t], weight, out=gates[t])
            gates[t, ..., : 3 * hidden].sigmoid_()
            enter, forget, leave, candidate = torch.split(gates[t], hidden, -1)
            torch.mul(forget, cells[t], out=cells[t + 1]).addcmul_(enter, candidate.tanh_())
            torch.mul(leave, torch.tanh(cells[t + 1]), out=units[t + 1])
        ctx.save_for_backward(gates, cells, units, weight)
        return units[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gates, cells, units, weight = ctx.saved_tensors
        enter, forget, leave, candidate = gates.split(weight.shape[1], -1)
        heard = torch.tanh(cells[1:])
        through = leave * (1 - heard * heard)  # of a cell to its unit
        slopes = torch.stack(  # of every gate to what it changes: the cell, but for the gate that lets out
            [
                candidate * enter * (1 - enter), cells[:-1] * forget * (1 - forget), heard * leave * (1 - leave),
                enter * (1 - candidate * candidate),
            ],
            -2,
        )  # fmt: skip
        back, cell, unit = weight.transpose(1, 2), torch.zeros_like(gradient[0]), gradient[-1]
        for t in reversed(range(len(gates))):
            cell = torch.addcmul(cell, unit, through[t])
            slopes[t].mul_(torch.stack([cell, cell, unit, cell], -2))
            if t:
                unit = torch.baddbmm(gradient[t - 1], slopes[t].flatten(-2), back)
                cell = cell * forget[t]
        drive = slopes.flatten(-2)
        return drive, torch.einsum("tkbj,tkbg->kjg", units[:-1], drive)


class IndependentLSTMs(nn.Module):
    """K LSTMs on one input, without peepholes: what drives all gates is one product of matrices, the rest a `Recurrence`.

    Args:
        count: of networks (K).
        inputs: features that each reads (F).
        hidden: units of each (J).
        bias: of the gates.

    Shape:
        ``[T, B, F]`` -> ``[T, K, B, J]``, from a state of zeros.
    """

    def __init__(self, count: int, inputs: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.drive = nn.Parameter(torch.empty(count, 4 * hidden, inputs))
        self.recurrence = nn.Parameter(torch.empty(count, hidden, 4 * hidden))
        self.bias = nn.Parameter(torch.empty(count * 4 * hidden)) if bias else None

    def begin(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew, those of each network after Glorot and Bengio; biases are zero."""
        for matrix in (*self.drive, *self.recurrence):
            glorot(matrix, generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        count, gates, _ = self.drive.shape
        driven = nn.functional.linear(x, self.drive.flatten(0, 1), self.bias)
        driven = driven.view(*x.shape[:2], count, gates).transpose(1, 2).contiguous()
        units: Tensor = Recurrence.apply(driven, self.recurrence)  # type: ignore[no-untyped-call]
        return units


class Recurrent(AutoEncoder):
    """With independent LSTMs as the encoder.

    Args:
        hidden: units of each.
        sequence: frames after which their state is forgotten.
        components, frames, bins, bias, terms: see `AutoEncoder`.
    """

    def __init__(
        self, components: int, frames: int, bins: int, *, hidden: int, sequence: int, bias: bool, terms: Terms
    ) -> None:
        super().__init__(components, frames, bins, bias=bias, terms=terms)
        self.encoder = IndependentLSTMs(components, bins, hidden, bias=bias)
        self.sequence = sequence
        self.begin(None)

    def begin(self, generator: torch.Generator | None) -> None:
        draw(self.decoder, generator)
        self.encoder.begin(generator)

    def listen(self, observed: Tensor) -> Tensor:
        batch, bins, length = observed.shape
        sequence = min(self.sequence, length)
        padded = nn.functional.pad(observed, (0, -length % sequence))
        apart = padded.reshape(batch, bins, -1, sequence).permute(3, 0, 2, 1)  # [U, B, N, F]: N sequences of U frames
        heard: Tensor = self.encoder(apart.flatten(1, 2)).sum(-1)  # [U, K, B N]
        joined = heard.reshape(sequence, self.components, batch, -1).permute(2, 1, 3, 0)
        return joined.flatten(-2)[..., :length]


class RCAE(AutoEncoderModel):
    """Recurrent-convolutive auto-encoders. See the file's docstring.

    Args:
        sources: names.
        components: of every source, or one number a source.
        frames: of the decoder's filters.
        hidden: units of the LSTM of each component.
        sequence: frames after which their state is forgotten.
        steps: of the descent in a mixture.
        descend, restraint, bias, sparsity, basis_sparsity, rate, momentum: see `AutoEncoderModel`.
        moved, muted, sample_rate, n_fft, hop_length, segment, context: see `ComponentModel`.
    """

    citation = (
        "S. Venkataramani, Y. C. Subakan, P. Smaragdis, Neural network alternatives to convolutive audio models for source "
        "separation, MLSP 2017"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("voice", "other"),
        components: int | Sequence[int] = 40,
        frames: int = FRAMES,
        hidden: int = HIDDEN,
        sequence: int = SEQUENCE,
        steps: int = STEPS,
        descend: str = "inputs",
        restraint: float = RESTRAINT,
        bias: bool = True,
        sparsity: float = 0.0,
        basis_sparsity: float = 0.0,
        rate: float = RATE,
        momentum: float = MOMENTUM,
        moved: Mapping[str, int] = {},
        muted: Sequence[int] = (),
        sample_rate: int = SAMPLE_RATE,
        n_fft: int = N_FFT,
        hop_length: int = HOP_LENGTH,
        segment: float = SEGMENT,
        context: float = CONTEXT,
    ) -> None:
        super().__init__(
            sources=sources, components=components, frames=frames, hidden=hidden, sequence=sequence, steps=steps,
            descend=descend, restraint=restraint, bias=bias, sparsity=sparsity, basis_sparsity=basis_sparsity,
            rate=rate, momentum=momentum, moved=moved, muted=muted, sample_rate=sample_rate, n_fft=n_fft,
            hop_length=hop_length, segment=segment, context=context,
        )  # fmt: skip
        self.parts = nn.ModuleList(
            Recurrent(count, frames, self.bins, hidden=hidden, sequence=sequence, bias=bias, terms=self.terms)
            for count in self.counts
        )
