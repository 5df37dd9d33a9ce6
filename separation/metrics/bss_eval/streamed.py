"""BSS-eval v4 of recordings that are too long to hold: the same filters and scores as `bss_eval_v4`, block by block.

The filters are of the whole signal, so that every block has to pass twice: once for the correlations, which add up, and once
for the scores of its windows. What is held is a block and the filters, whatever the length.
"""

import torch
from torch import Tensor

from separation.errors import ShapeError
from separation.metrics.bss_eval.filters import solve
from separation.metrics.bss_eval.frames import SAMPLES, chunks, fft_size, frames, workers
from separation.metrics.bss_eval.scores import TAPS, BssEval, _audible, _Plan, _ratios


class StreamedBssEval:
    """`bss_eval_v4` with filters of the whole signal, in two passes.

    `fit` takes the blocks in order; then `scores` takes windows, in any order. The values are those of `bss_eval_v4` up to
    the rounding of sums.

    Args:
        taps: length of the filters, in samples.

    >>> reference = torch.randn(2, 1, 6000, generator=torch.Generator().manual_seed(1))
    >>> streamed = StreamedBssEval(taps=4)
    >>> for block in torch.split(reference, 2500, dim=-1):
    ...     streamed.fit(block, block + 0.1 * block.flip(0))
    >>> scores = streamed.scores(reference, reference + 0.1 * reference.flip(0), window=3000)
    >>> scores.sdr.shape, scores.sir.round().tolist()
    (torch.Size([2, 2]), [[20.0, 20.0], [20.0, 20.0]])
    """

    def __init__(self, taps: int = TAPS) -> None:
        self._taps = taps
        self._sums: Tensor | None = None
        self._before: Tensor | None = None
        self._sources = 0
        self._filters: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def fit(self, reference: Tensor, estimate: Tensor) -> None:
        """Add the next block ``[S, C, T]`` of both to the correlations.

        Raises:
            ShapeError: the two differ, or from the blocks before.
        """
        if reference.shape != estimate.shape or reference.ndim != 3 or 0 in reference.shape:
            found = f"references of shape {list(reference.shape)}, estimates of shape {list(estimate.shape)}"
            raise ShapeError("Score a recording block by block", found, "Pass both as [sources, channels, samples]")
        heard, taps = reference.flatten(0, 1), self._taps
        if self._before is None:
            self._before, self._sources = heard.new_zeros((heard.shape[0], taps - 1)), reference.shape[0]
        extended = torch.cat([self._before, heard], -1)
        both = torch.cat([heard, estimate.flatten(0, 1)])
        length = heard.shape[-1]
        size = fft_size(length, taps)
        spans = chunks(len(both), length, taps, size)

        def summed(some: list[tuple[int, int]]) -> Tensor:
            """As in `filters`: spectra of frames with the samples before them times those of frames without."""
            total = heard.new_zeros((len(heard), len(both), size // 2 + 1), dtype=torch.complex128)
            for start, stop in some:
                shifted = (start + taps - 1, stop + taps - 1)  # in `extended`, which holds the samples before
                context = torch.fft.rfft(frames(extended, shifted, taps, size)).conj_physical_()
                alone = torch.fft.rfft(frames(both, (start, stop), taps, size)[..., taps - 1 :], n=size)
                for k in range(alone.shape[-2]):
                    total.addcmul_(context[:, None, k], alone[None, :, k])
            return total

        with workers(heard.device) as (spread, parts):
            spectra = sum(spread(summed, [spans[i::parts] for i in range(parts)]))
        circle = torch.fft.irfft(spectra, n=size)
        lags = torch.cat([circle[..., size - taps + 1 :], circle[..., :1]], -1)
        self._sums = lags if self._sums is None else self._sums + lags
        self._before = extended[:, extended.shape[-1] - (taps - 1) :]
        self._filters = None

    @torch.no_grad()
    def scores(self, reference: Tensor, estimate: Tensor, window: int) -> BssEval:
        """Scores ``[S, W]`` of windows of `window` samples that lie end to end in ``[S, C, W * window]``, both alike.

        Raises:
            ShapeError: nothing was fitted, or the samples are no whole number of windows.
        """
        if self._sums is None or reference.shape != estimate.shape or reference.shape[-1] % window:
            found = f"{list(reference.shape)} and {list(estimate.shape)} in windows of {window} samples"
            raise ShapeError("Score windows of a recording", found, "Fit all blocks first, then pass whole windows")
        cut = [signal.unfold(-1, window, window).movedim(2, 0) for signal in (reference, estimate)]
        audible = torch.stack([_audible(r) & _audible(e) for r, e in zip(*cut, strict=True)])
        table = reference.new_full((4, len(audible), self._sources), torch.nan, dtype=torch.float64)
        rows = audible.nonzero()[:, 0]
        if len(rows):
            plan = _Plan([], self._taps, True, True, False, map, 1)
            own, joint = (torch.fft.rfft(x, n=fft_size(window, self._taps)) for x in self._solved(plan.ridge))

            def ratios(some: Tensor) -> Tensor:
                return _ratios(cut[0][some], cut[1][some], own, joint, plan)[..., 0]

            at_once = max(1, SAMPLES // (reference.shape[0] * reference.shape[1] * window))
            groups = torch.split(rows, at_once)
            with workers(reference.device) as (spread, _):
                for some, found in zip(groups, spread(ratios, groups), strict=True):
                    table[:, some] = found
        sdr, isr, sir, sar = table.mT
        return BssEval(sdr, isr, sir, sar, torch.arange(self._sources, device=reference.device))

    def _solved(self, ridge: float) -> tuple[Tensor, Tensor]:
        if self._filters is None:
            assert self._sums is not None
            late, cross = self._sums[:, : len(self._sums)], self._sums[:, len(self._sums) :]
            auto = torch.cat([late.flip(-1), late.transpose(0, 1)[..., 1:]], -1)
            self._filters = solve(auto[None], cross[None], self._sources, pairwise=False, ridge=ridge)
        return self._filters
