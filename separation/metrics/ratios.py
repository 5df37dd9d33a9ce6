"""Energy ratios without filters: SI-SDR with its two parts, SNR, and SI-SDR on latents; in float64.

Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019 (arXiv:1811.02508). These are not
the SDR of BSS-eval: that one forgives (v3) or compares against (v4) a filter of 512 taps.

The channels of a source are one signal: energies and products are summed over channels and samples, means are removed
from each channel. Silence is no score: NaN, and who averages must say what was left out. A perfect estimate is
infinite.

Sums run over blocks of samples, so that what grows with the signal is the input alone; errors are summed as they are,
in a second pass, because the difference of large energies would end at some 150 dB.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from typing import NamedTuple

import torch
from torch import Tensor

from separation.errors import ShapeError

BLOCK = 1 << 20
"""Samples summed at once, over all channels and sources."""
ROUNDING = 1e-26
"""What projections leave of nothing, relative to the estimate's energy."""
CONSTANT = 1e-24
"""A signal whose energy falls to this fraction without its mean was constant: what is left is rounding."""


class SiBss(NamedTuple):
    """Scores in dB ``[*, S]``, higher is better: ``10^(-sdr/10) = 10^(-sir/10) + 10^(-sar/10)``."""

    si_sdr: Tensor
    si_sir: Tensor
    si_sar: Tensor


def si_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant SDR ``[*, S]`` in dB of ``[*, S, C, T]`` twice; higher is better.

    ``|a s|^2 / |e - a s|^2`` with ``a = <e, s> / |s|^2``: level is forgiven, delay and colouration are not. NaN for a
    silent (or constant) reference or estimate, infinite for a perfect estimate.

    Raises:
        ShapeError: not two real tensors of one shape with sources, channels and samples.

    >>> si_sdr(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]]), torch.tensor([[[2.0, -2.0, 2.0, -2.0]]])).item()
    inf
    """
    _require_same(reference, estimate, "SI-SDR")
    return _si_sdr(Blocks(reference, centred=True), Blocks(estimate, centred=True))


def latent_si_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """SI-SDR ``[*, S]`` in dB of latents ``[*, S, N, K]``, real or complex; their means stay.

    Tzinis et al., "Two-step sound source separation", ICASSP 2020 (arXiv:1910.09804), eq. 4. A complex latent counts as
    twice as many real numbers. NaN, infinity and errors as in `si_sdr`.
    """
    if reference.is_complex() and estimate.is_complex():
        reference, estimate = (torch.view_as_real(z.resolve_conj()).flatten(-2) for z in (reference, estimate))
    _require_same(reference, estimate, "SI-SDR of latents")
    return _si_sdr(Blocks(reference), Blocks(estimate))


def snr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Signal-to-noise ratio ``[*, S]`` in dB of ``[*, S, C, T]`` twice: ``|s|^2 / |e - s|^2``; gain errors count.

    NaN for a silent reference, 0 dB for a silent estimate, infinite for a perfect one. Elsewhere it is called plain,
    new or utterance-level SDR; the SDR of BSS-eval v4 is this number too. Errors as in `si_sdr`.

    >>> round(snr(torch.ones(1, 1, 4), 3 * torch.ones(1, 1, 4)).item(), 2)
    -6.02
    """
    _require_same(reference, estimate, "SNR")
    s, e = Blocks(reference), Blocks(estimate)
    energy = s.energy()
    noise = total(energy_of(b - a) for a, b in zip(s, e, strict=True))
    return _decibels(energy, noise, energy == 0)


def si_bss(reference: Tensor, estimate: Tensor) -> SiBss:
    """SI-SDR and its two parts ``[*, S]`` of ``[*, S, C, T]`` twice: how much is other sources (SIR), how much neither
    (SAR).

    The estimate's projection on the span of all references, less its target ``a s``, is interference; the rest is
    artefacts (section 2 of the paper: both are compared with the target, so that the parts add up). No filters: a delay
    is an artefact.

    A silent reference interferes with nobody; its own scores are NaN. SIR is infinite where no other source sounds.
    Errors as in `si_sdr`.
    """
    _require_same(reference, estimate, "SI-SIR and SI-SAR")
    s, e = Blocks(reference, centred=True), Blocks(estimate, centred=True)
    gram = total(torch.einsum("...jct,...kct->...jk", a, a) for a in s)
    products = total(torch.einsum("...jct,...kct->...jk", a, b) for a, b in zip(s, e, strict=True))
    weights = torch.linalg.pinv(gram, hermitian=True) @ products  # [*, reference, estimate]
    energy = gram.diagonal(dim1=-2, dim2=-1)
    scale = products.diagonal(dim1=-2, dim2=-1) / energy
    interference, artefacts = torch.zeros_like(energy), torch.zeros_like(energy)
    for a, b in zip(s, e, strict=True):
        inside = torch.einsum("...jk,...jct->...kct", weights, a)
        interference += energy_of(inside - scale[..., None, None] * a)
        artefacts += energy_of(b - inside)
    power, undefined = scale.square() * energy, s.silent() | e.silent()
    rounding = ROUNDING * e.energy()
    parts = (noise.where(noise > rounding, 0.0) for noise in (interference, artefacts))
    return SiBss(_si_sdr(s, e), *(_decibels(power, part, undefined) for part in parts))


class Blocks:
    """A signal ``[*, S, C, T]`` as float64 blocks of samples, without its channels' means if `centred`."""

    def __init__(self, x: Tensor, *, centred: bool = False) -> None:
        self.x = x
        self._mean = x.new_zeros((*x.shape[:-1], 1), dtype=torch.float64)
        if centred:
            self._mean = total(b.sum(-1, keepdim=True) for b in self) / x.shape[-1]

    def __iter__(self) -> Iterator[Tensor]:
        return (block.double() - self._mean for block in torch.split(self.x, block_length(self.x), -1))

    def energy(self) -> Tensor:
        return total(energy_of(b) for b in self)

    def silent(self) -> Tensor:
        """Bool ``[*, S]``: nothing there, or nothing but a constant."""
        return self.energy() <= CONSTANT * energy_of(self._mean) * self.x.shape[-1]


def block_length(x: Tensor) -> int:
    """Samples of a block of ``[*, T]``."""
    return max(1, BLOCK // max(1, x.shape[:-1].numel()))


def _si_sdr(s: Blocks, e: Blocks) -> Tensor:
    energy = s.energy()
    scale = total((a * b).sum((-2, -1)) for a, b in zip(s, e, strict=True)) / energy
    error = total(energy_of(b - scale[..., None, None] * a) for a, b in zip(s, e, strict=True))
    return _decibels(scale.square() * energy, error, s.silent() | e.silent())


def energy_of(x: Tensor) -> Tensor:
    """``[*, C, T]`` -> ``[*]``."""
    return x.square().sum((-2, -1))


def total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    return reduce(add, parts)


def _decibels(power: Tensor, noise: Tensor, undefined: Tensor) -> Tensor:
    return torch.where(undefined, torch.nan, 10 * torch.log10(power / noise))


def _require_same(reference: Tensor, estimate: Tensor, what: str) -> None:
    shapes = tuple(reference.shape), tuple(estimate.shape)
    if (
        shapes[0] != shapes[1]
        or reference.ndim < 3
        or 0 in shapes[0][-3:]
        or reference.is_complex()
        or estimate.is_complex()
    ):
        kinds = f"{reference.dtype} {list(shapes[0])} and {estimate.dtype} {list(shapes[1])}"
        raise ShapeError(
            f"Compute {what}", kinds, "Pass reference and estimate as [sources, channels, samples] of one shape"
        )
