"""Non-negative auto-encoders: NMF whose activations are computed from what is heard, and whose patches may be negative.

    H = g(V X + c),    Λ = g(W H + b),    g(a) = ln(1 + e^a)

(Smaragdis and Venkataramani, A neural network alternative to non-negative audio models, ICASSP 2017, arXiv:1609.03296; section
2.1 of Venkataramani, Subakan and Smaragdis, Neural network alternatives to convolutive audio models for source separation,
MLSP 2017, arXiv:1709.07908.) One auto-encoder a source, learned from that source alone: what it gives back is what it takes for
that source. The objective is a mean over bins and frames,

    KL(X ‖ Λ) = X ln(X / Λ) - X + Λ,    and `sparsity` mean |H|,  `basis_sparsity` (mean |V| + mean |W|),

over all of the clip in each step. The same file serves the convolutive auto-encoders, which have filters of several frames
(`ccae`) or another encoder (`rcae`).

Separation (section 3.2 of the second paper): with all weights frozen, the unknowns are one *input* a source, of any sign, and
a gradient descent looks for those whose outputs add up to the mixture, KL(X ‖ Σ_s Λ_s). Or, as in the first paper, the unknowns
are the *latents*: what the encoders give before g. Either begins at the mixture, as quiet as `START` says. What the papers do
not have is `restraint`, a price on latents, of one frame `restraint` Σ_k H_k beside Σ_f KL: latents that nothing has ever
called for let each source explain a good deal of the other, and a descent goes there in the end. With 0 it is the paper's.

Scale. Clips and chunks come with unit deviation. Inside, magnitudes are divided by the norm of the window, √(n_fft / 2), so
that the mean power of a bin is one: with weights of the size that Glorot's rule gives, g then is neither flat nor saturated,
and the steps of RMSProp, which know nothing of scale, are small beside what they change. A mixture of S sources is brought to
the deviation √S that it has in the paper, where S clips of unit deviation are added.

Components. A patch is what a row of latents adds, in the order of time, with what it would take away left out (`patches`); a
matched filter is what it listens for (`matched`). What a component gives alone is what the decoder gives with its row only,
less what it gives in silence, and no less than zero.

Not here: clips, and when to stop learning; see `separation.training`.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from separation.models.components import (
    CONTEXT,
    HOP_LENGTH,
    N_FFT,
    SAMPLE_RATE,
    SEGMENT,
    ComponentModel,
    Part,
    Step,
    shared,
)  # fmt: skip

DESCENTS = ("inputs", "latents")
STEPS = 200
RATE, MOMENTUM = 1e-3, 0.7
"""Of RMSProp."""
SHORT, LONG = 0.9, 0.99
"""Decays of RMSProp's averages, which the paper does not tell: of TensorFlow, where its experiments ran, for learning, and of
PyTorch, which go more slowly to the bottom, for the descent in a mixture."""
START = 0.3
"""The unknowns of a descent begin as this times the mixture. Louder ones begin with what belongs to the other sources."""
RESTRAINT = 0.5
LEAST = 1e-4
"""Of the mean square that a variance is: no step is longer than a hundred times the rate."""
FLOOR = 1e-7
"""What is added to magnitudes before a logarithm; also in the paper's code."""


class Terms(NamedTuple):
    """On what terms an auto-encoder learns.

    Args:
        sparsity, basis_sparsity: prices of latents and weights, see the file's docstring.
        rate, momentum: of RMSProp.
    """

    sparsity: float = 0.0
    basis_sparsity: float = 0.0
    rate: float = RATE
    momentum: float = MOMENTUM


class RMSProp:
    """Steps of a gradient over the deviation of late gradients, with momentum (Graves, arXiv:1308.0850, equations 38 to 42).

    Like `torch.optim.RMSprop(centered=True)`, but the variance, a difference of averages, is never taken for less than `LEAST`
    of the mean square: where a gradient has not changed for 150 steps at a decay of 0.9, rounding alone would decide how large
    a step is, and could make the variance negative and its root NaN.

    Args:
        unknowns: changed in place by `step`.
        terms: for the rate and the momentum of the steps.
        decay: of the averages.
    """

    def __init__(self, unknowns: Sequence[Tensor], terms: Terms, decay: float) -> None:
        self._unknowns, self._terms, self._decay = list(unknowns), terms, decay
        self._kept = [tuple(torch.zeros_like(unknown) for _ in range(3)) for unknown in self._unknowns]

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`."""
        gradients = torch.autograd.grad(loss, self._unknowns)
        for unknown, gradient, (square, mean, speed) in zip(self._unknowns, gradients, self._kept, strict=True):
            square.mul_(self._decay).addcmul_(gradient, gradient, value=1 - self._decay)
            mean.lerp_(gradient, 1 - self._decay)
            variance = torch.maximum(square.addcmul(mean, mean, value=-1), LEAST * square)
            speed.mul_(self._terms.momentum).addcdiv_(gradient, variance.sqrt_().add_(1e-8), value=self._terms.rate)
            unknown.sub_(speed)


class AutoEncoder(Part):
    """An auto-encoder of one source: some encoder, and a decoder of full-height causal filters.

    Args:
        components: rows of latents (K).
        frames: of the decoder's filters (L).
        bins: F.
        bias: add biases in both layers.
        terms: of learning.
    """

    def __init__(self, components: int, frames: int, bins: int, *, bias: bool, terms: Terms) -> None:
        super().__init__(components, frames)
        self.level = (bins - 1) ** 0.5
        self.decoder = nn.Conv1d(components, bins, frames, bias=bias)
        self.terms = terms

    def begin(self, generator: torch.Generator | None) -> None:
        """Draw all weights anew."""
        draw(self, generator)

    @abstractmethod
    def listen(self, observed: Tensor) -> Tensor:
        """The encoder before g: ``[B, F, T]`` in units of the level, of any sign -> ``[B, K, T]``."""

    def encode(self, observed: Tensor) -> Tensor:
        """``[B, F, T]`` in units of the level -> latents ``[B, K, T]``."""
        return softplus(self.listen(observed))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, K, T]`` -> ``[B, F, T]`` in units of the level."""
        return softplus(causal(self.decoder, latents))

    def render(self, activations: Tensor) -> Tensor:
        whole = self.level * self.decode(activations.reshape(-1, *activations.shape[-2:]))
        rendered: Tensor = whole.reshape(*activations.shape[:-2], *whole.shape[-2:])
        return rendered

    def each(self, activations: Tensor) -> Tensor:
        padded = nn.functional.pad(activations, (self.frames - 1, 0))
        delayed = padded.unfold(-1, activations.shape[-1], 1)  # [*, K, L, T], the longest delay first
        weight, bias = self.decoder.weight.transpose(0, 1), self.decoder.bias
        silence = weight.new_zeros(1, 1) if bias is None else bias.unsqueeze(-1)
        alone = softplus(weight @ delayed + silence) - softplus(silence)
        return shared(alone.clamp_min(0), self.render(activations))

    def patches(self) -> Tensor:
        """``[K, F, L]``: what a component adds, frame by frame after it sets in, with what it takes away left out."""
        return self.decoder.weight.transpose(0, 1).flip(-1).clamp_min(0)

    def learn(self, magnitudes: Tensor, *, steps: int, generator: torch.Generator) -> Iterator[Step]:
        """See `Part`. It begins anew, from random weights."""
        self.begin(generator)
        observed = magnitudes.detach().unsqueeze(0) / self.level
        descent = RMSProp(list(self.parameters()), self.terms, SHORT)
        for step in range(1, steps + 1):
            with torch.enable_grad():
                loss = self.objective(observed)
            descent.step(loss)
            yield Step(step, steps, float(loss.detach()) * self.level)

    def objective(self, observed: Tensor) -> Tensor:
        """What learning makes small: ``[B, F, T]`` in units of the level -> one number in these units."""
        latents = self.encode(observed)
        loss = divergence(observed, self.decode(latents)).mean()
        if self.terms.sparsity:
            loss = loss + self.terms.sparsity * latents.mean()
        if self.terms.basis_sparsity:
            weights = (weight for weight in self.parameters() if weight.ndim > 1)
            loss = loss + self.terms.basis_sparsity * sum(weight.abs().mean() for weight in weights)
        return loss


class FeedForward(AutoEncoder):
    """With an encoder of filters as long as the decoder's."""

    def __init__(self, components: int, frames: int, bins: int, *, bias: bool, terms: Terms) -> None:
        super().__init__(components, frames, bins, bias=bias, terms=terms)
        self.encoder = nn.Conv1d(bins, components, frames, bias=bias)

    def listen(self, observed: Tensor) -> Tensor:
        return causal(self.encoder, observed)

    def matched(self) -> Tensor:
        """``[K, F, L]``: what each component listens for, frames in order of time, with what it listens against left out."""
        return self.encoder.weight.clamp_min(0)


class AutoEncoderModel(ComponentModel):
    """Auto-encoders side by side, and the descent that fits them to a mixture. Subclasses fill `parts` with `AutoEncoder`.

    Args:
        descend: what is unknown in a mixture, one of `DESCENTS`.
        restraint: price of latents in a mixture.
        bias: see `AutoEncoder`.
        sparsity, basis_sparsity, rate, momentum: see `Terms`; the last two hold for the descent, too.
        **more: see `ComponentModel`.
    """

    def __init__(
        self, *, descend: str, restraint: float, sparsity: float, basis_sparsity: float, rate: float, momentum: float,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            descend=descend, restraint=restraint, sparsity=sparsity, basis_sparsity=basis_sparsity, rate=rate,
            momentum=momentum, **more,
        )  # fmt: skip
        self.terms = Terms(sparsity, basis_sparsity, rate, momentum)
        if descend not in DESCENTS:
            raise ValueError(f"a descent to {descend!r} is not known; choose from {', '.join(DESCENTS)}")
        if min(restraint, sparsity, basis_sparsity) < 0:
            raise ValueError(f"prices of {restraint}, {sparsity} and {basis_sparsity}, which must be 0 or more")
        if rate <= 0 or not 0 <= momentum < 1:
            raise ValueError(f"a rate of {rate} (above 0), a momentum of {momentum} (0 or more, and below 1)")

    def fit(self, magnitudes: Tensor) -> list[Tensor]:
        """One mixture after the other: steps of a sign's size would carry the rounding of a batch into the result."""
        observed = magnitudes * (len(self.counts) ** 0.5 / self._coders[0].level)
        found = [self._descend(mixture) for mixture in observed.split(1)]
        return [torch.cat(rows) for rows in zip(*found, strict=True)]

    @property
    def _coders(self) -> list[AutoEncoder]:
        return cast(list[AutoEncoder], list(self.parts))

    def _descend(self, mixture: Tensor) -> list[Tensor]:
        """Latents of every source in a mixture ``[1, F, T]`` in units of the level; gradients reach the encoders only."""
        quiet = START * mixture
        inputs = self.arguments["descend"] == "inputs"
        start = [quiet if inputs else coder.listen(quiet) for coder in self._coders]
        change = [torch.zeros_like(begun).requires_grad_() for begun in start]

        def latents(begun: Sequence[Tensor]) -> list[Tensor]:
            places = [one + other for one, other in zip(begun, change, strict=True)]
            if not inputs:
                return [softplus(place) for place in places]
            return [coder.encode(place) for coder, place in zip(self._coders, places, strict=True)]

        descent, fixed = RMSProp(change, self.terms, LONG), [begun.detach() for begun in start]
        for _ in range(self.arguments["steps"]):
            with torch.enable_grad():
                found = latents(fixed)
                model = sum(coder.decode(rows) for coder, rows in zip(self._coders, found, strict=True))
                loss = divergence(mixture, torch.as_tensor(model)).sum()
                if self.arguments["restraint"]:
                    loss = loss + self.arguments["restraint"] * sum(rows.sum() for rows in found)
            descent.step(loss)
        change = [moved.detach() for moved in change]
        return latents(start)


class NAE(AutoEncoderModel):
    """Non-negative auto-encoders of one frame. See the file's docstring.

    Args:
        sources: names.
        components: of every source, or one number a source.
        steps: of the descent in a mixture.
        descend, restraint, bias, sparsity, basis_sparsity, rate, momentum: see `AutoEncoderModel`.
        moved, muted, sample_rate, n_fft, hop_length, segment, context: see `ComponentModel`.
    """

    citation = (
        "P. Smaragdis, S. Venkataramani, A neural network alternative to non-negative audio models, ICASSP 2017; "
        "S. Venkataramani, Y. C. Subakan, P. Smaragdis, Neural network alternatives to convolutive audio models, MLSP 2017"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("voice", "other"),
        components: int | Sequence[int] = 40,
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
            sources=sources, components=components, steps=steps, descend=descend, restraint=restraint, bias=bias,
            sparsity=sparsity, basis_sparsity=basis_sparsity, rate=rate, momentum=momentum, moved=moved, muted=muted,
            sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, segment=segment, context=context,
        )  # fmt: skip
        self.parts = nn.ModuleList(
            FeedForward(count, 1, self.bins, bias=bias, terms=self.terms) for count in self.counts
        )


def divergence(observed: Tensor, model: Tensor) -> Tensor:
    """Kullback-Leibler's, bin by bin: zero where they agree, otherwise positive."""
    return observed * torch.log((observed + FLOOR) / (model + FLOOR)) - observed + model


def causal(filters: nn.Conv1d, x: Tensor) -> Tensor:
    """Filters along time, with silence before the first frame: ``[B, I, T]`` -> ``[B, O, T]``."""
    y: Tensor = filters(nn.functional.pad(x, (filters.kernel_size[0] - 1, 0)))
    return y


def draw(module: nn.Module, generator: torch.Generator | None) -> None:
    """All weights of a module anew, after Glorot and Bengio (AISTATS 2010); biases are zero."""
    for tensor in module.parameters():
        if tensor.ndim > 1:
            glorot(tensor, generator)
        else:
            nn.init.zeros_(tensor)


@torch.no_grad()
def glorot(weight: Tensor, generator: torch.Generator | None) -> None:
    """A weight ``[O, I, *]`` anew, with numbers that are the same on every device."""
    weight.copy_(nn.init.xavier_uniform_(torch.empty(weight.shape, device="cpu"), generator=generator))
