"""The public functions of BSS-eval: windows, silence, energies of projections, order of estimates."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from separation.errors import NonFiniteAudio, ShapeError
from separation.metrics.bss_eval.filters import fit
from separation.metrics.bss_eval.frames import SAMPLES, Spread, chunks, fft_size, filtered, frames, workers

Filters = Literal["window", "whole"]

TAPS = 512
MATRIX = 1 << 24  # entries of Gram matrices that a worker holds at a time: 128 MB
BOUND_DB = 1e6  # what infinity counts for when orders are compared


class BssEval(NamedTuple):
    """Scores in dB, higher is better; NaN where a window has none.

    Attributes:
        sdr: signal to distortion ``[*, S, W]``.
        isr: image to spatial distortion ``[*, S, W]``; None in v3, which has no such thing.
        sir: signal to interference ``[*, S, W]``; infinite for a source without others.
        sar: signal to artefacts ``[*, S, W]``.
        permutation: ``permutation[j]`` is the estimate that belongs to reference j; ``[*, S]`` with filters of the whole
            signal or without windows, ``[*, W, S]`` with filters of each window. The given order if none was asked for.
    """

    sdr: Tensor
    isr: Tensor | None
    sir: Tensor
    sar: Tensor
    permutation: Tensor


def windows(length: int, window: int | None, hop: int | None = None) -> list[tuple[int, int]]:
    """Where windows start and stop, in samples: museval's rule, which drops what does not fill the last one.

    A window as long as the signal or longer, or None, is one window of the whole signal; `hop` None is `window`.

    >>> windows(10, 4, 3)
    [(0, 4), (3, 7), (6, 10)]
    """
    hop = window if hop is None else hop
    if min(length, length if window is None else window, length if hop is None else hop) < 1:
        asked = f"Cut {length} samples into windows of {window}, one every {hop}"
        raise ShapeError(asked, "a length below one sample", "Give at least one sample of each")
    if window is None or hop is None or window >= length:
        return [(0, length)]
    return [(start, start + window) for start in range(0, length - window + 1, hop)]


def with_rest(reference: Tensor, estimate: Tensor, mixture: Tensor) -> tuple[Tensor, Tensor]:
    """``[*, S, C, T]`` twice and ``[*, C, T]`` -> ``[*, S + 1, C, T]`` twice: what else the mixture holds as one more source.

    SIR and SAR need somebody who interferes; a lone source gets the rest of the mixture. The last reference becomes
    ``mixture - sum of references``, the last estimate ``mixture - sum of estimates``.
    """
    both = [torch.cat([x, (mixture - x.sum(-3)).unsqueeze(-3)], dim=-3) for x in (reference, estimate)]
    return both[0], both[1]


def bss_eval_v3(
    reference: Tensor,
    estimate: Tensor,
    *,
    window: int | None = None,
    hop: int | None = None,
    taps: int = TAPS,
    filters: Filters = "window",
    permutation: bool = False,
) -> BssEval:
    """``[*, S, C, T]`` twice -> SDR, SIR, SAR: `bss_eval_sources` of mir_eval and fast_bss_eval.

    Args:
        window, hop: samples, see `windows`; None is the whole signal, and no overlap. With filters of each window it is
            mir_eval's `bss_eval_sources_framewise`, but for signals that do not fill two windows: mir_eval scores those whole.
        taps: length of the filters that are forgiven, in samples.
        filters: fitted to each ``"window"``, or once to the ``"whole"`` signal.
        permutation: give each reference the estimate that makes the mean SIR largest: the mean over the sources of a window
            with filters of each window, over all windows that have a value too with filters of the whole.

    The channels of a source are one source: every channel of the reference may be filtered into every one of the estimate, as
    in museval's `bsseval_sources_version`; mir_eval takes one channel.

    A window in which the channels of any reference or estimate sum to zero throughout is NaN for all sources. (The peers refuse
    a signal that is silent as a whole; here each of its windows is NaN.) A ratio to nothing is infinite.

    Raises:
        ShapeError: not ``[*, S, C, T]`` alike, no samples, counts below one.
        NonFiniteAudio: a sample is NaN or infinite.

    >>> reference = torch.tensor([[[1.0, 0, 0, 0, 0, 0]], [[0, 0, 0, 1.0, 0, 0]]])
    >>> estimate = 0.5 * reference + 0.125 * reference.flip(0)
    >>> bss_eval_v3(reference, estimate, taps=1).sir.flatten()
    tensor([12.0412, 12.0412], dtype=torch.float64)
    """
    return _bss_eval(reference, estimate, window, hop, taps, filters, permutation, images=False)


def bss_eval_v4(
    reference: Tensor,
    estimate: Tensor,
    *,
    window: int | None = None,
    hop: int | None = None,
    taps: int = TAPS,
    filters: Filters = "whole",
    permutation: bool = False,
) -> BssEval:
    """``[*, S, C, T]`` twice -> SDR, ISR, SIR, SAR: `museval.metrics.bss_eval`; with filters of each window its mode "v3".

    Arguments, silence and errors are those of `bss_eval_v3`. museval keeps the given order if a single window is NaN; here the
    order is that of the others. museval adds 2.2e-16 to the diagonal of the Gram matrix, which tells in signals near -150 dB
    only; so does this. Its JSON files store infinity as NaN. Of one source alone SIR is infinite: see `with_rest`.

    >>> reference = torch.tensor([[[1.0, 0, 0, 0, 0, 0]], [[0, 0, 0, 1.0, 0, 0]]])
    >>> bss_eval_v4(reference, 3 * reference, taps=1).sdr.flatten()
    tensor([-6.0206, -6.0206], dtype=torch.float64)
    """
    return _bss_eval(reference, estimate, window, hop, taps, filters, permutation, images=True)


@dataclass(frozen=True)
class _Plan:
    spans: list[tuple[int, int]]
    taps: int
    images: bool
    whole: bool
    permutation: bool
    spread: Spread
    parts: int

    @property
    def ridge(self) -> float:
        """museval's; mir_eval has none."""
        return torch.finfo(torch.float64).eps if self.images else 0.0


@torch.no_grad()
def _bss_eval(
    reference: Tensor,
    estimate: Tensor,
    window: int | None,
    hop: int | None,
    taps: int,
    filters: Filters,
    permutation: bool,
    *,
    images: bool,
) -> BssEval:
    _check(reference, estimate, taps, filters)
    spans = windows(reference.shape[-1], window, hop)
    leading, signal = reference.shape[:-3], reference.shape[-3:]
    with workers(reference.device) as (spread, parts):
        plan = _Plan(spans, taps, images, filters == "whole" or window is None, permutation, spread, parts)
        items = zip(reference.detach().reshape(-1, *signal), estimate.detach().reshape(-1, *signal), strict=True)
        scores, orders = zip(*(_scores(r, e, plan) for r, e in items), strict=True)
    sdr, isr, sir, sar = torch.stack(scores, 1).reshape(4, *leading, *scores[0].shape[1:])
    order = torch.stack(orders).reshape(*leading, *orders[0].shape)
    return BssEval(sdr, isr if images else None, sir, sar, order)


def _check(reference: Tensor, estimate: Tensor, taps: int, filters: str) -> None:
    asked = "Score estimates against references by BSS-eval"
    if reference.shape != estimate.shape or reference.ndim < 3 or 0 in reference.shape:
        found = f"references of shape {list(reference.shape)}, estimates of shape {list(estimate.shape)}"
        raise ShapeError(asked, found, "Pass both as [..., sources, channels, samples], alike and not empty")
    if taps < 1 or filters not in ("window", "whole"):
        found = f'{taps} taps and filters of "{filters}"'
        raise ShapeError(asked, found, 'Ask for at least one tap, and for filters of "window" or "whole"')
    for name, signal in (("references", reference), ("estimates", estimate)):
        if not torch.stack(torch.aminmax(signal)).isfinite().all():
            raise NonFiniteAudio(asked, f"NaN or infinity in the {name}", "Check what made them")


def _scores(reference: Tensor, estimate: Tensor, plan: _Plan) -> tuple[Tensor, Tensor]:
    """``[S, C, T]`` twice -> SDR, ISR, SIR, SAR ``[4, S, W]`` and the order ``[S]`` or ``[W, S]``."""
    sources, many = len(reference), len(plan.spans)
    table, audible = _table(reference, estimate, plan)
    if not plan.permutation:
        order = torch.arange(sources, device=reference.device)
        return table[..., 0].mT, order if plan.whole else order.expand(many, sources)
    order = _order(table[2], audible, plan.whole)
    return table.gather(3, order.expand(many, sources)[None, ..., None].expand(4, -1, -1, 1))[..., 0].mT, order


def _table(reference: Tensor, estimate: Tensor, plan: _Plan) -> tuple[Tensor, Tensor]:
    """``[S, C, T]`` twice -> ``[4, W, S, K]``, for each reference with its own estimate (K = 1) or every one (K = S), and
    which windows ``[W]`` have values."""
    sources, channels, _ = reference.shape
    many, window = len(plan.spans), plan.spans[0][1]
    hop = plan.spans[1][0] if many > 1 else window
    cut = [
        signal.unfold(-1, window, hop).movedim(2, 0)[:many] for signal in (reference, estimate)
    ]  # views [W, S, C, window]
    audible = torch.stack([_audible(r) & _audible(e) for r, e in zip(*cut, strict=True)])
    pairs = sources if plan.permutation else 1
    table = reference.new_full((4, many, sources, pairs), torch.nan, dtype=torch.float64)
    if not audible.any():
        return table, audible
    at_once = max(1, SAMPLES // (sources * channels * window))
    if plan.whole:
        common = _responses(reference[None], estimate[None], window, plan, plan.spread, plan.parts)
    else:
        at_once = max(1, min(at_once, MATRIX // (sources * channels * plan.taps) ** 2))

    def ratios(rows: Tensor) -> Tensor:
        r, e = (x[rows] if len(rows) > 1 else x[int(rows) :][:1] for x in cut)  # a single window is not copied
        return _ratios(r, e, *(common if plan.whole else _responses(r, e, window, plan)), plan)

    groups = torch.split(audible.nonzero()[:, 0], at_once)
    for rows, found in zip(groups, plan.spread(ratios, groups), strict=True):
        table[:, rows] = found
    return table, audible


def _audible(signal: Tensor) -> Tensor:
    """``[S, C, T]``: is there no source whose channels sum to zero throughout? As in museval, a pure side signal is silent."""
    return signal.sum(1).any(-1).all()


def _order(sir: Tensor, audible: Tensor, whole: bool) -> Tensor:
    """Pairwise SIR ``[W, S, S]`` -> the order ``[S]`` that is best on average, or that of each window ``[W, S]``."""
    bounded = sir.nan_to_num(nan=0.0).clamp(-BOUND_DB, BOUND_DB)  # all zeros give the given order
    tables = bounded[audible].sum(0, keepdim=True) if whole else bounded
    best = np.stack([linear_sum_assignment(table, maximize=True)[1] for table in tables.cpu().numpy()])
    order = torch.from_numpy(best).to(sir.device)
    return order[0] if whole else order


def _responses(
    reference: Tensor, estimate: Tensor, window: int, plan: _Plan, spread: Spread = map, parts: int = 1
) -> tuple[Tensor, Tensor]:
    """The filters of `fit`, as spectra of the frames of a window."""
    fitted = fit(
        reference, estimate, plan.taps, pairwise=plan.permutation, ridge=plan.ridge, spread=spread, parts=parts
    )
    own, joint = (torch.fft.rfft(filters, n=fft_size(window, plan.taps)) for filters in fitted)
    return own, joint


def _ratios(reference: Tensor, estimate: Tensor, own: Tensor, joint: Tensor, plan: _Plan) -> Tensor:
    """``[V, S, C, T]`` twice and `_responses`, of each window or of all -> SDR, ISR, SIR, SAR ``[4, V, S, K]``."""
    (count, sources, channels, length), taps = reference.shape, plan.taps
    size, total, pairs = fft_size(length, taps), length + taps - 1, own.shape[3] // channels
    axis = 1 if pairs > 1 else 2  # an estimate beside all references, or beside its own
    above, below = reference.new_zeros((2, 4, count, sources, pairs), dtype=torch.float64)
    for span in chunks(count * sources * channels, total, taps, size):
        framed, heard = frames(reference, span, taps, size), frames(estimate, span, taps, size)[..., taps - 1 :]
        spectrum = torch.fft.rfft(framed)
        p = torch.unflatten(filtered(spectrum, own, taps), 2, (pairs, channels))
        q = p if sources == 1 else filtered(spectrum.flatten(1, 2), joint, taps)
        q = q if sources == 1 else torch.unflatten(q, 1, (sources, channels)).unsqueeze(axis)
        e = heard.unsqueeze(axis)
        target = framed[..., taps - 1 :].unsqueeze(2) if plan.images else p
        of_target = _energy(target)
        for i, energy in enumerate((of_target, of_target, _energy(p), _energy(q))):
            above[i] += energy
        for i, error in enumerate((e - target, p - target, q - p, e - q)):
            below[i] += _energy(error)
    return torch.where(below == 0, torch.inf, 10 * torch.log10(above / below))


def _energy(signal: Tensor) -> Tensor:
    """``[*, C, K, T]`` -> ``[*]``, without a copy of the signal."""
    norms: Tensor = torch.linalg.vector_norm(signal, dim=-1)
    return norms.square().sum((-2, -1))
