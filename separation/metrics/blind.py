"""Numbers that need no reference: do the stems add up, do they repeat each other, how undecided were the masks.

None of them says that a separation is good: stems that are all the same mixture, scaled, add up perfectly. They find
what is wrong.
"""

from math import isnan, log, nan
from typing import Protocol

import torch
from torch import Tensor

from separation.errors import ShapeError
from separation.metrics.ratios import Blocks, block_length, energy_of, total

NULL_FLOOR_DB = -200.0
"""Nothing is left: what the engine's null test says of written files, too."""
MIXTURE_SHAPES = "Pass the mixture as [channels, samples] and signals of its length and channels"


def residual_db(mixture: Tensor, residual: Tensor) -> Tensor:
    """Energy of a residual relative to its mixture ``[*]`` in dB, of ``[*, C, T]`` twice; lower is better.

    At least -200; NaN for a silent mixture. Of the product's residual track (mixture - raw estimates) it is what the
    model assigned to nobody.

    Raises:
        ShapeError: not two tensors of one shape with channels and samples.
    """
    if mixture.shape != residual.shape or mixture.ndim < 2 or 0 in mixture.shape[-2:]:
        raise ShapeError(
            "Compare a residual with its mixture", f"{list(residual.shape)} and {list(mixture.shape)}", MIXTURE_SHAPES
        )
    return _relative_db(Blocks(residual).energy(), Blocks(mixture).energy())


def null_db(mixture: Tensor, estimate: Tensor) -> Tensor:
    """How far below a mixture ``[*, C, T]`` lies what is left after subtracting stems ``[*, S, C, T]``: ``[*]`` in dB.

    At least -200; NaN for a silent mixture. Rounding to 24 bits leaves some -140 dB, to 16 bits some -90 dB.

    Raises:
        ShapeError: the stems have another length or other channels than the mixture.
    """
    if estimate.ndim < 3 or (*estimate.shape[:-3], *estimate.shape[-2:]) != mixture.shape or 0 in estimate.shape[-3:]:
        raise ShapeError(
            "Measure how well stems add up", f"{list(estimate.shape)} for {list(mixture.shape)}", MIXTURE_SHAPES
        )
    step = block_length(estimate)
    blocks = zip(torch.split(mixture, step, -1), torch.split(estimate, step, -1), strict=True)
    left = total(energy_of(x.double() - e.double().sum(-3)) for x, e in blocks)
    return _relative_db(left, Blocks(mixture).energy())


def stem_similarity(estimate: Tensor) -> Tensor:
    """The largest correlation of each stem with another one: 0 to 1 ``[*, S]`` of ``[*, S, C, T]``; lower is better.

    ``max over k of |<e_j, e_k>| / (|e_j| |e_k|)`` without means: 1 for a stem that is another one scaled. Sources that
    play the same notes are alike too, so compare with the value of the references where they are known. NaN for a
    silent stem, and where there is no other stem that sounds.

    Raises:
        ShapeError: not ``[*, S, C, T]`` with samples.
    """
    if estimate.ndim < 3 or 0 in estimate.shape[-3:]:
        raise ShapeError("Compare stems", f"{list(estimate.shape)}", "Pass [sources, channels, samples]")
    stems = Blocks(estimate, centred=True)
    gram = total(torch.einsum("...jct,...kct->...jk", b, b) for b in stems)
    silent = stems.silent()
    length = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    alike = gram.abs() / (length[..., :, None] * length[..., None, :])
    others = ~torch.eye(gram.shape[-1], dtype=torch.bool, device=gram.device)
    comparable = others & ~silent[..., :, None] & ~silent[..., None, :]
    best = torch.where(comparable, alike, -1.0).amax(-1)
    return torch.where(best < 0, torch.nan, best.clamp(max=1.0))


def level_db(signal: Tensor) -> Tensor:
    """Mean square ``[*]`` in dB relative to full scale of ``[*, C, T]``, channels averaged; NaN for silence.

    Raises:
        ShapeError: no channels or samples.

    >>> round(level_db(torch.full((2, 100), 0.1)).item(), 3)
    -20.0
    """
    if signal.ndim < 2 or 0 in signal.shape[-2:]:
        raise ShapeError("Measure a level", f"{list(signal.shape)}", "Pass [channels, samples]")
    energy = Blocks(signal).energy()
    return torch.where(energy > 0, 10 * torch.log10(energy / signal.shape[-2:].numel()), torch.nan)


def mask_entropy(masks: Tensor, latent: Tensor) -> Tensor:
    """How undecided masks are: 0 (each basis function to one source) to 1 (equal shares) ``[*]``.

    The entropy over sources of each basis function's shares ``|m_s| / sum |m|``, divided by ``log S``, averaged over
    basis functions, frames and channels with the latent's energy as weight. Energy that no mask takes has no shares and
    does not count.

    Args:
        masks: ``[*, S, C or 1, N, K]``.
        latent: ``[*, C, N, K]``, real or complex.

    Returns:
        float64 ``[*]``; NaN for fewer than two sources, and where no latent energy is taken.

    Raises:
        ShapeError: masks and latent do not belong together.

    >>> mask_entropy(torch.full((2, 1, 4, 3), 0.5), torch.ones(1, 4, 3)).item()
    1.0
    """
    spread, weight = _entropy(masks, latent)
    return spread.sum((-3, -2, -1)) / weight.sum((-3, -2, -1))


class Chunk(Protocol):
    """As much of the engine's view of a chunk as `MaskEntropy` needs; see `ChunkView`."""

    @property
    def kept(self) -> slice: ...
    @property
    def mixture(self) -> Tensor: ...
    @property
    def latent(self) -> Tensor | None: ...
    @property
    def masks(self) -> Tensor | None: ...


class MaskEntropy:
    """`mask_entropy` of a whole job: an observer for `engine.run`, which keeps two numbers and no mask.

    A chunk counts with the frames of its kept part; the short stretch in which two chunks fade into each other counts
    twice.
    """

    def __init__(self) -> None:
        self._spread = self._weight = 0.0

    def chunk(self, view: Chunk) -> None:
        if view.masks is None or view.latent is None:
            return
        frames_a_sample = view.latent.shape[-1] / view.mixture.shape[-1]
        kept = slice(round(view.kept.start * frames_a_sample), round(view.kept.stop * frames_a_sample))
        spread, weight = _entropy(view.masks[..., kept], view.latent[..., kept])
        self._spread += spread.sum().item()
        self._weight += weight.sum().item()

    @property
    def value(self) -> float | None:
        """0 to 1; None for a model without masks, with one source, or in silence."""
        return self._spread / self._weight if self._weight > 0 and not isnan(self._spread) else None


def _relative_db(energy: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, (10 * torch.log10(energy / whole)).clamp(min=NULL_FLOOR_DB), torch.nan)


def _entropy(masks: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised entropy times weight, and weight, both float64 ``[*, C, N, K]``."""
    sources, shape = masks.shape[-4] if masks.ndim > 3 else 0, latent.shape
    if sources < 1 or masks.shape[-3] not in (1, shape[-3]) or masks.shape[-2:] != shape[-2:]:
        raise ShapeError(
            "Measure the entropy of masks",
            f"masks {list(masks.shape)} for a latent {list(shape)}",
            "Pass masks as [sources, channels or 1, basis functions, frames] and the latent they belong to",
        )
    size = masks.abs().double()
    whole = size.sum(-4, keepdim=True)
    entropy = torch.special.entr(size / whole.where(whole > 0, 1.0)).sum(-4)
    weight = latent.abs().double().square() * (whole > 0).squeeze(-4)
    return entropy / (log(sources) or nan) * weight, weight
