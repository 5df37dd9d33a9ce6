"""What is compared with what in a training step: estimates with references, or latents with latent targets.

An objective runs the model on one batch and gives one number to minimise. Most models are trained on their estimates; a
model that needs the true sources (an oracle in a learned space) is handed them; HTMD-Net may be corrected at its intermediate
output too; the second of the two steps never leaves the latent space; decoders that share an encoder learn in turn.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from separation.errors import DataError
from separation.training import losses
from separation.training.disentangling import Disentangling

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
NEEDED = "references"
KINDS = (
    "estimates", "latent", "magnitudes", "interleaved", "disentangled", "resynthesis", "resynthesis_each",
)  # fmt: skip


class Objective(Protocol):
    """``references [B, S, C, T]``, ``mixture [B, C, T]``, which step of the run this is, and what else is told -> a scalar."""

    def __call__(
        self, model: Any, references: Tensor, mixture: Tensor, step: int = 0, side: Mapping[str, Tensor] = {}
    ) -> Tensor: ...


def estimates(model: Any, mixture: Tensor, references: Tensor, side: Mapping[str, Tensor] = {}) -> Tensor:
    """The model's estimates ``[B, S, C, T]``; the true sources go along only if it says that it needs them."""
    told = {**side, NEEDED: references} if NEEDED in model.spec.needs else side
    out: Tensor = model.separate(mixture, told)[0]
    return out


def build(kind: str, terms: Mapping[str, float], intermediate: Mapping[str, float], *, pit: bool) -> Objective:
    """The objective of a recipe.

    Args:
        kind: one of `KINDS`.
        terms: weights of the losses (`losses.LOSSES`) for "estimates", of `disentangling.TERMS` for "disentangled": the others
            have one of their own.
        intermediate: weights of losses at the model's intermediate output (deep supervision), or none.
        pit: the order of the sources is open.

    Raises:
        DataError: the kind is unknown, or the combination makes no sense.
    """
    problem = None
    if kind not in KINDS:
        problem = f"there is no objective {kind!r}; use one of {', '.join(KINDS)}"
    elif kind != "estimates" and (intermediate or (terms and kind != "disentangled")):
        problem = f"the objective {kind!r} has one loss of its own, but others are named too"
    elif kind == "estimates" and not (terms or intermediate):
        problem = "no loss is named"
    elif intermediate and pit:
        problem = "an intermediate loss is defined for sources in a fixed order"
    if problem:
        raise DataError("Choose what to train on", problem, "Correct the recipe's objective and losses")
    if kind == "latent":
        return Latent(pit)
    if kind == "disentangled":
        return Disentangling(terms)
    if kind.startswith("resynthesis"):
        return Resynthesis(each=kind == "resynthesis_each")
    if kind != "estimates":
        return Magnitudes(interleaved=kind == "interleaved")
    return Estimates(
        losses.build(dict(terms), pit=pit), losses.build(dict(intermediate), pit=False), bool(intermediate)
    )


class Estimates:
    """Losses on the final estimates, and on the first source after the mask if there are any for it.

    Deep supervision: Garoufis et al., HTMD-Net, EUSIPCO 2021, ``alpha L1(final) + beta L2(intermediate)``; both are about the
    first source only, as there, so that a weight means the same.
    """

    def __init__(self, final: Loss, intermediate: Loss, supervised: bool) -> None:
        self._final, self._intermediate, self._supervised = final, intermediate, supervised

    def __call__(
        self, model: Any, references: Tensor, mixture: Tensor, step: int = 0, side: Mapping[str, Tensor] = {}
    ) -> Tensor:
        if not self._supervised:
            return self._final(references, estimates(model, mixture, references, side).float(), mixture)
        masked, final = (output.unsqueeze(1).float() for output in model.probe(mixture))
        first = references[:, :1]
        return self._final(first, final, mixture) + self._intermediate(first, masked, mixture)


class Latent:
    """SI-SDR between masked latents and latent targets, means not removed (Two-Step, section 2.2)."""

    def __init__(self, pit: bool) -> None:
        self._loss = losses.permutation_invariant(losses.latent_si_sdr) if pit else losses.latent_si_sdr

    def __call__(
        self, model: Any, references: Tensor, mixture: Tensor, step: int = 0, side: Mapping[str, Tensor] = {}
    ) -> Tensor:
        with torch.no_grad():
            z = model.encode(mixture)
            targets = model.targets(references, z)
        latents = model.masks(z) * z.unsqueeze(1)
        return self._loss(targets.flatten(2), latents.float().flatten(2), z.flatten(1)).mean()


class Magnitudes:
    """Mean absolute difference of magnitudes a source, ``|| |s_j| - m_j |x| ||_1``, summed over the sources that learn.

    Interleaved (Doire and Okubadejo, arXiv 1908.05182): at step n the one source n mod S learns, so that the truth of the
    others is never looked at, and their decoders get no gradient. AdamW keeps its moments and its count of steps a parameter,
    and leaves alone what has no gradient: it is one optimiser a decoder, and one for the encoder. Otherwise all sources learn
    at once (the paper's simultaneous baseline; with one source, the independent one).
    """

    def __init__(self, *, interleaved: bool) -> None:
        self._interleaved = interleaved

    def __call__(
        self, model: Any, references: Tensor, mixture: Tensor, step: int = 0, side: Mapping[str, Tensor] = {}
    ) -> Tensor:
        sources = model.spec.sources
        learning = [step % len(sources)] if self._interleaved else list(range(len(sources)))
        z = model.encode(mixture)
        masks = model.masks_of([sources[i] for i in learning], z)
        truth = model.encode(references[:, learning].flatten(1, 2)).abs()
        estimate = masks * z.abs().unsqueeze(1)
        error = (truth.reshape(estimate.shape) - estimate).abs()
        total: Tensor = error.mean((0, 2, 3, 4)).sum()
        return total


class Resynthesis:
    """How much what the source models make sounds like what there is: `losses.multi_scale_spectral`.

    The sum of the sources like the mixture, whose parts nobody need know (Schulze-Forster et al., "Unsupervised music source
    separation using differentiable parametric source models", TASLP 2023, arXiv 2201.09592, eq. 1); or, with `each`, every
    source like its reference, which is the paper's supervised variant.
    """

    def __init__(self, *, each: bool) -> None:
        self._each = each

    def __call__(
        self, model: Any, references: Tensor, mixture: Tensor, step: int = 0, side: Mapping[str, Tensor] = {}
    ) -> Tensor:
        made = model.synthesise(mixture, side)
        if self._each:
            return losses.multi_scale_spectral(references, made, mixture.unsqueeze(1)).mean()
        return losses.multi_scale_spectral(mixture, made.sum(1), mixture).mean()
