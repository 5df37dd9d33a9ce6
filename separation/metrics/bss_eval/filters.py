"""The filters that bring references closest to estimates: correlations, their Gram matrix, and its solution.

Vincent, Gribonval and Fevotte 2006, eq. 11 to 15, by the correlations of the signals instead of the signals themselves.
"""

import torch
from torch import Tensor

from separation.metrics.bss_eval.frames import Spread, chunks, fft_size, frames

REFINEMENTS = 10


def fit(
    reference: Tensor,
    estimate: Tensor,
    taps: int,
    *,
    pairwise: bool,
    ridge: float,
    spread: Spread = map,
    parts: int = 1,
) -> tuple[Tensor, Tensor]:
    """``[V, S, C, T]`` twice -> filters of each source alone ``[V, S, C, K * C, taps]`` and of all ``[V, S * C, S * C, taps]``.

    From an axis of reference channels to one of estimate channels. A source alone is fitted to its own estimate (K = 1) or,
    `pairwise`, to every one (K = S). `ridge` is added to the diagonal of the Gram matrices.
    """
    auto, cross = _correlations(reference.flatten(1, 2), estimate.flatten(1, 2), taps, spread, parts)
    return solve(auto, cross, reference.shape[1], pairwise=pairwise, ridge=ridge, spread=spread)


def solve(
    auto: Tensor, cross: Tensor, sources: int, *, pairwise: bool, ridge: float, spread: Spread = map
) -> tuple[Tensor, Tensor]:
    """The filters of `fit` from correlations ``[V, N, N, 2 * taps - 1]`` of references, ``[V, N, N, taps]`` with estimates."""
    taps = cross.shape[-1]
    gram, right = _gram(auto, ridge), cross.transpose(-1, -2).flatten(1, 2)  # [V, N * taps, N * taps], [V, N * taps, N]
    systems = [(gram, right)]
    if sources > 1:
        blocks, paired = (
            torch.unflatten(torch.unflatten(x, 2, (sources, -1)), 1, (sources, -1)) for x in (gram, right)
        )
        alone, own = (x.diagonal(dim1=1, dim2=3).movedim(-1, 1) for x in (blocks, paired))
        systems.append((alone, paired.flatten(3, 4) if pairwise else own))
    joint, *rest = (torch.unflatten(x, -2, (-1, taps)).transpose(-1, -2) for x in spread(_solve, systems))
    return (rest[0] if rest else joint[:, None]), joint


def _correlations(reference: Tensor, estimate: Tensor, taps: int, spread: Spread, parts: int) -> tuple[Tensor, Tensor]:
    """``[V, N, T]`` twice -> the sums of ``reference[n, t - lag] * other[m, t]``: with the references at lags from
    ``taps - 1`` down to ``1 - taps``, ``[V, N, N, 2 * taps - 1]``, with the estimates from lag 0 up, ``[V, N, N, taps]``."""
    count, channels, length = reference.shape
    size = fft_size(length, taps)
    spans = chunks(count * channels, length, taps, size)

    def summed(some: list[tuple[int, int]]) -> Tensor:
        """Spectra of frames with the `taps - 1` samples before them times those of frames without."""
        total = reference.new_zeros((2, count, channels, channels, size // 2 + 1), dtype=torch.complex128)
        for span in some:
            both = [frames(signal, span, taps, size) for signal in (reference, estimate)]
            context = torch.fft.rfft(both[0]).conj_physical_()
            for part, framed in zip(total, both, strict=True):
                alone = torch.fft.rfft(framed[..., taps - 1 :], n=size)
                for k in range(alone.shape[-2]):
                    part.addcmul_(context[:, :, None, k], alone[:, None, :, k])
        return total

    spectra = sum(spread(summed, [spans[i::parts] for i in range(parts)]))
    circle = torch.fft.irfft(spectra, n=size)
    # a frame without them begins taps - 1 samples late: lag 0 lies at 1 - taps, that is before the end of the circle
    late, cross = torch.cat([circle[..., size - taps + 1 :], circle[..., :1]], -1)
    return torch.cat([late.flip(-1), late.transpose(1, 2)[..., 1:]], -1), cross


def _gram(auto: Tensor, ridge: float) -> Tensor:
    """``[V, N, N, 2 * taps - 1]`` -> the inner products of all delays of all N signals, ``[V, N * taps, N * taps]``."""
    taps = (auto.shape[-1] + 1) // 2
    blocks = auto.unfold(-1, taps, 1).transpose(2, 3).flip(2)  # [V, N, delay, N, delay], each block Toeplitz
    gram = blocks.flatten(3, 4).flatten(1, 2)
    gram.diagonal(dim1=-2, dim2=-1).add_(ridge)
    return gram


def _solve(system: tuple[Tensor, Tensor]) -> Tensor:
    """Gram matrices ``[*, N, N]`` and right sides ``[*, N, M]`` -> filters ``[*, N, M]``, by Cholesky.

    What rounding leaves indefinite is solved with some multiple of that rounding on the diagonal, and refined (Riley's method;
    Golub and Van Loan, "Matrix Computations", 2.7.3 and 6.1): what lies below stays out of the projection, the rest is exact.
    """
    gram, right = system
    filters, failed = _by_cholesky(gram, right)
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    lift = torch.finfo(torch.float64).eps * (diagonal.sum(-1, keepdim=True) / 10 + 2 * diagonal.amax(-1, keepdim=True))
    lift += torch.finfo(torch.float64).tiny
    while failed.any():
        filters[failed], still = _by_cholesky(gram[failed], right[failed], lift[failed])
        failed[failed.clone()] = still
        lift = 10 * lift
    return filters


def _by_cholesky(gram: Tensor, right: Tensor, lift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The solution, refined if the diagonal is lifted, and ``[*]`` where there is none."""
    factor = torch.empty_like(gram, memory_format=torch.contiguous_format).mT  # LAPACK's layout saves two copies
    failed = gram.new_empty(gram.shape[:-2], dtype=torch.int32)
    torch.linalg.cholesky_ex(
        gram if lift is None else gram + torch.diag_embed(lift.expand(gram.shape[:-1])), out=(factor, failed)
    )

    def solve(side: Tensor) -> Tensor:
        halfway = torch.linalg.solve_triangular(factor, side, upper=False)
        solution: Tensor = torch.linalg.solve_triangular(factor.mT, halfway, upper=True)
        return solution

    filters = solve(right)
    for _ in range(0 if lift is None else REFINEMENTS):
        filters += solve(right - gram @ filters)
    return filters, failed > 0
