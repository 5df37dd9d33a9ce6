"""`measure`: references and estimates of one recording -> a flat list of values, each a number or the reason for none.

A value is of the whole signal (`start` None) or of one window. Metrics that make sense a window give both, so that a
table, a plot over time and the player speak of the same numbers. Whoever averages takes one kind, through `summarise`,
which counts what it leaves out. There is never a NaN or an infinity in a value: a ratio without an error is a "no
error".

Windows are cut by the rule of BSS-eval (`windows`): what does not fill the last one is dropped, and a signal shorter
than a window is one window. The energies at silence have published windows of their own.

What grows with the recording is the input; metrics go over it in blocks. It may lie on a GPU; STOI, PESQ and voice
detection run on the CPU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from separation.errors import EmptyAudio, NonFiniteAudio, ShapeError
from separation.metrics import blind, perceptual, silence
from separation.metrics.bss_eval import TAPS, BssEval, Filters, bss_eval_v3, bss_eval_v4, windows, with_rest
from separation.metrics.catalogue import DEFAULT, METRICS, resolve
from separation.metrics.ratios import si_bss, si_sdr, snr

Audio = Tensor | NDArray[np.floating]
"""``[C, T]``."""

RESIDUAL = "residual"
"""Among the estimates: the product's own track of what no source got; a source if there is a reference of that name."""
SAMPLES = 1 << 22
"""Held at once, over windows, sources and channels, for values a window."""
BOUND_DB = 1e6
"""What infinity counts for when orders are compared."""
SHARE_SECONDS = 1.0
"""Windows of `silent_share` where no window is given."""


class Value(NamedTuple):
    """One number, or why there is none.

    Attributes:
        source: the reference's name; "" for what concerns the mixture and all stems together.
        metric: a name of `METRICS`.
        start: seconds; None for the whole signal.
        duration: seconds.
        value: finite, in the metric's unit; None where there is none.
        reason: one of `REASONS`, "" where there is a value.
    """

    source: str
    metric: str
    start: float | None
    duration: float
    value: float | None
    reason: str


def measure(
    reference: Mapping[str, Audio],
    estimate: Mapping[str, Audio],
    sample_rate: int,
    *,
    mixture: Audio | None = None,
    metrics: Sequence[str] = DEFAULT,
    window: float | None = 1.0,
    hop: float | None = 1.0,
    permutation: bool = False,
    taps: int = TAPS,
    filters: Filters = "whole",
) -> list[Value]:
    """Compare estimates with references.

    Args:
        reference: ``{source: [C, T]}``; may be empty for metrics that need none. With one reference and a mixture,
            BSS-eval and SI-SIR/SI-SAR take the rest of the mixture as the other source.
        estimate: ``{source: [C, T]}``, one for each reference and possibly more, all of the references' length and
            channels. A track called "residual" that has no reference is the residual.
        sample_rate: Hz.
        mixture: ``[C, T]``.
        metrics: names of `METRICS`, or families such as "bss_eval_v4".
        window, hop: seconds; `window` None: no values a window, BSS-eval v4 over the whole signal. `hop` None is `window`.
        permutation: names of the estimates mean nothing. One order for the whole signal, see `assign`, goes for every
            metric and every window; values carry the references' names.
        taps, filters: of BSS-eval, the latter of v4; see `bss_eval_v4`. HTMD-Net's tables have filters="window".

    Returns:
        In the order of `metrics`; for each, the whole signal before its windows; source by source.

    Raises:
        ShapeError: lengths or channels differ, an estimate is missing, or no metric has such a name.
        EmptyAudio, NonFiniteAudio: no samples; NaN or infinity.
        MissingExtra: PESQ without its package.

    >>> tone = torch.sin(torch.arange(8000.0))[None]
    >>> measure({"a": tone}, {"a": 2 * tone}, 8000, metrics=["snr"], window=None)[0].value
    0.0
    """
    names = resolve(metrics)
    signals = _Signals(reference, estimate, mixture, sample_rate, permutation)
    cut = _Cut.of(signals.length, sample_rate, window, hop)
    bss = _Bss(signals, cut, taps, filters)
    values: list[Value] = []
    for name in names:
        reason = _why_not(name, signals)
        if reason:
            duration = signals.length / sample_rate
            values += [Value(source, name, None, duration, None, reason) for source in signals.concerned(name)]
        elif name.startswith("bss_eval"):
            values += bss.values(name)
        elif name in _AT_SILENCE:
            values += _at_silence(name, signals, series=window is not None)
        else:
            values += _plain(name, signals, cut)
    return values


def assign(reference: Mapping[str, Audio], estimate: Mapping[str, Audio]) -> dict[str, str]:
    """Which estimate belongs to which reference: ``{reference: estimate}``, the order with the greatest sum of SI-SDR.

    Of the whole signal, by the Hungarian algorithm (Crouse 2016, in SciPy). Silence fits everything equally badly.
    Estimates may be more than references.

    Raises:
        ShapeError: fewer estimates than references, or other lengths or channels.
    """
    if len(estimate) < len(reference):
        found = f"{len(estimate)} estimates of {len(reference)} references"
        raise ShapeError(
            "Find which estimate belongs to which reference", found, "Pass as many estimates as references"
        )
    guesses = torch.stack([_tensor(x) for x in estimate.values()])
    table = [si_sdr(_tensor(x).expand_as(guesses), guesses).cpu() for x in reference.values()]
    scores = torch.stack(table).nan_to_num(-BOUND_DB, BOUND_DB, -BOUND_DB) if table else torch.zeros(0, 0)
    rows, columns = linear_sum_assignment(scores.numpy(), maximize=True)
    sources, stems = list(reference), list(estimate)
    return {sources[row]: stems[column] for row, column in zip(rows, columns, strict=True)}


class _Signals:
    """What was given, checked, stacked and in one order: references first, then estimates without one."""

    def __init__(
        self,
        reference: Mapping[str, Audio],
        estimate: Mapping[str, Audio],
        mixture: Audio | None,
        sample_rate: int,
        permutation: bool,
    ) -> None:
        references = {name: _tensor(x) for name, x in reference.items()}
        estimates = {name: _tensor(x) for name, x in estimate.items()}
        heard = None if mixture is None else _tensor(mixture)
        _require_comparable(references, estimates, heard, sample_rate)
        residual = None if RESIDUAL in references else estimates.pop(RESIDUAL, None)
        if permutation:
            estimates = _in_order(references, estimates)
        missing = [name for name in references if name not in estimates]
        if missing or not estimates:
            raise ShapeError(
                f"Measure {', '.join(references) or 'estimates'}",
                f"no estimate of {', '.join(missing)}; there is {', '.join(estimates) or 'none'}"
                if missing
                else "none given",
                "Name estimates as their references are named, or pass permutation=True if their names mean nothing",
            )
        self.sources = list(references)
        self.stems = self.sources + [name for name in estimates if name not in references]
        self.sample_rate = sample_rate
        self.mixture = heard
        self.estimates = torch.stack([estimates[name] for name in self.stems])
        """``[E, C, T]``"""
        self.reference = torch.stack(list(references.values())) if references else None
        """``[S, C, T]``"""
        self._residual = residual
        self.length = int(self.estimates.shape[-1])

    @property
    def estimate(self) -> Tensor:
        """``[S, C, T]``: those that have a reference."""
        return self.estimates[: len(self.sources)]

    @cached_property
    def residual(self) -> Tensor:
        """``[C, T]``: the residual track, or what the stems leave of the mixture."""
        assert self.mixture is not None
        return self.mixture - self.estimates.sum(0) if self._residual is None else self._residual

    def concerned(self, metric: str) -> list[str]:
        """The sources that a metric has values for."""
        if metric in _ALL_TOGETHER:
            return [""]
        return self.sources if "reference" in METRICS[metric].needs and self.sources else self.stems

    def interfering(self) -> tuple[Tensor, Tensor]:
        """References and estimates ``[S or 2, C, T]``; a lone source gets the rest of the mixture beside it."""
        assert self.reference is not None
        if len(self.sources) == 1 and self.mixture is not None:
            return with_rest(self.reference, self.estimate, self.mixture)
        return self.reference, self.estimate


@dataclass(frozen=True)
class _Cut:
    """The windows of one call, in samples; `stretches` are (start, stop), none if there are no windows."""

    sample_rate: int
    length: int
    window: int | None
    hop: int | None
    stretches: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, length: int, sample_rate: int, window: float | None, hop: float | None) -> "_Cut":
        seconds = [x for x in (window, hop) if x is not None]
        if any(not isfinite(x) or round(x * sample_rate) < 1 for x in seconds):
            raise ShapeError(
                "Measure windows",
                f"a window of {window} s every {hop} s",
                "Pass at least one sample's time, or window=None",
            )
        if window is None:
            return cls(sample_rate, length, None, None, ())
        size = round(window * sample_rate)
        step = size if hop is None else round(hop * sample_rate)
        return cls(sample_rate, length, size, step, tuple(windows(length, size, step)))

    @property
    def whole(self) -> list[tuple[float | None, float]]:
        """The one stretch without windows, as `times`."""
        return [(None, self.length / self.sample_rate)]

    @property
    def times(self) -> list[tuple[float | None, float]]:
        """(start, duration) of each window in seconds."""
        return [(a / self.sample_rate, (b - a) / self.sample_rate) for a, b in self.stretches]

    def over(self, function: Callable[..., Tensor], *signals: Tensor) -> Tensor:
        """`function` of signals ``[*, T]``, which takes leading axes, a window: ``[S, W]``."""
        (start, stop), many = self.stretches[0], sum(x.shape[:-1].numel() for x in signals)
        step = max(1, SAMPLES // (many * (stop - start)))
        parts = []
        for first in range(0, len(self.stretches), step):
            part = self.stretches[first : first + step]
            parts.append(function(*(torch.stack([x[..., a:b] for a, b in part]) for x in signals)))
        return torch.cat(parts).T


def _plain(name: str, signals: _Signals, cut: _Cut) -> list[Value]:
    """Metrics that are a function of signals, and of their windows if their card says so."""
    function, given = _PLANS[name](signals, cut)
    inputs = [x for x in given if x is not None]  # what a metric needs is there: `_why_not` has looked
    count = len(signals.concerned(name))
    values = _values(name, signals, function(*inputs)[:count, None], cut.whole)
    if METRICS[name].per_window and cut.stretches:
        values += _values(name, signals, cut.over(function, *inputs)[:count], cut.times)
    return values


class _Bss:
    """BSS-eval, each version computed once however many of its parts are asked for."""

    def __init__(self, signals: _Signals, cut: _Cut, taps: int, filters: Filters) -> None:
        self._signals, self._cut, self._taps, self._filters = signals, cut, taps, filters

    def values(self, name: str) -> list[Value]:
        part, v4 = name.partition(".")[2].lower(), name.startswith("bss_eval_v4")
        table = self._v3_gain if part == "nsdr" else getattr(self._v4 if v4 else self._v3, part)
        times = self._cut.times if v4 and self._cut.stretches else self._cut.whole
        return _values(name, self._signals, table[: len(self._signals.sources)], times)

    @cached_property
    def _v4(self) -> BssEval:
        reference, estimate = self._signals.interfering()
        window, hop = self._cut.window, self._cut.hop
        return bss_eval_v4(reference, estimate, window=window, hop=hop, taps=self._taps, filters=self._filters)

    @cached_property
    def _v3(self) -> BssEval:
        return bss_eval_v3(*self._signals.interfering(), taps=self._taps)

    @cached_property
    def _v3_gain(self) -> Tensor:
        reference, _ = self._signals.interfering()
        assert self._signals.mixture is not None
        return self._v3.sdr - bss_eval_v3(reference, self._signals.mixture.expand_as(reference), taps=self._taps).sdr


def _at_silence(name: str, signals: _Signals, *, series: bool) -> list[Value]:
    """Energies in windows of the metric's own; the whole signal's value is the mean or median of those there are."""
    rule = _AT_SILENCE[name]
    size = max(1, round(rule.seconds * signals.sample_rate))
    assert signals.reference is not None
    table = rule.function(signals.reference, signals.estimate, signals.sample_rate, size).cpu()
    times: list[tuple[float | None, float]] = [
        (i * size / signals.sample_rate, size / signals.sample_rate) for i in range(table.shape[-1])
    ]
    values = []
    for source, row in zip(signals.sources, table, strict=True):
        found = row[~row.isnan()].numpy()
        value = float(rule.average(found)) if found.size else None
        reason = "" if found.size else rule.otherwise if times else "shorter than one window"
        values.append(Value(source, name, None, signals.length / signals.sample_rate, value, reason))
    return values + _values(name, signals, table, times) if series else values


def _values(name: str, signals: _Signals, table: Tensor, times: Sequence[tuple[float | None, float]]) -> list[Value]:
    """Numbers ``[S, W]`` of the sources that the metric concerns -> values, with a reason for each that is none."""
    values = []
    for i, (source, row) in enumerate(zip(signals.concerned(name), table.tolist(), strict=True)):
        for (start, duration), number in zip(times, row, strict=True):
            reason = "" if isfinite(number) else _why_missing(name, signals, i, start, duration, number)
            values.append(Value(source, name, start, duration, None if reason else number, reason))
    return values


def _why_not(name: str, signals: _Signals) -> str:
    """Why a metric has no value for these signals at all; "" if it may have."""
    needs = METRICS[name].needs
    if "masks" in needs:
        return "needs masks"
    if "reference" in needs and signals.reference is None:
        return "no reference"
    if "mixture" in needs and signals.mixture is None:
        return "no mixture"
    alone = len(signals.sources) < 2 and signals.mixture is None if "sources" in needs else len(signals.stems) < 2
    return "one source only" if alone and ("sources" in needs or name == "stem_similarity") else ""


def _why_missing(name: str, signals: _Signals, i: int, start: float | None, duration: float, number: float) -> str:
    """Why the number of source `i` from `start` on is not finite."""
    if name in _AT_SILENCE:
        return _AT_SILENCE[name].otherwise
    gain = name.endswith(("_gain", "NSDR"))
    if number == inf:
        return "no error"
    if number == -inf:
        return "perfect mixture" if gain else "nothing of the reference"
    first = round((start or 0.0) * signals.sample_rate)
    here = slice(first, first + round(duration * signals.sample_rate))
    mixture = None if signals.mixture is None else signals.mixture[:, here]
    if name in _ALL_TOGETHER or ("mixture" in METRICS[name].needs and mixture is not None and not mixture.any()):
        return "silent mixture"
    if "reference" in METRICS[name].needs and signals.reference is not None:
        reference = signals.reference[i, :, here]
        if not reference.any():
            return "silent reference"
        if gain and mixture is not None and torch.equal(mixture, reference):
            return "perfect mixture"
    if not signals.estimates[i, :, here].any():
        return "silent estimate"
    return _OTHERWISE.get(name.partition(".")[0], "undefined")


@dataclass(frozen=True)
class _AtSilence:
    """How an energy at silence is asked for, and how its windows become one number."""

    function: Callable[[Tensor, Tensor, int, int], Tensor]
    seconds: float
    average: Callable[[NDArray[np.float64]], np.floating]
    otherwise: str


_AT_SILENCE = {
    "pes_wiass": _AtSilence(
        lambda r, e, rate, size: silence.pes_wiass(r, e, size), silence.WIASS_SECONDS, np.mean, "reference sounds"
    ),
    "eps_wiass": _AtSilence(
        lambda r, e, rate, size: silence.eps_wiass(r, e, size), silence.WIASS_SECONDS, np.mean, "estimate sounds"
    ),
    "pes_htmd": _AtSilence(silence.pes_htmd, silence.HTMD_SECONDS, np.median, "reference sounds"),
}
_ALL_TOGETHER = ("residual_db", "null_db", "mask_entropy")
_OTHERWISE = {
    "si_sdr": "constant signal",
    "si_sir": "constant signal",
    "si_sar": "constant signal",
    "bss_eval_v3": "another source is silent",
    "bss_eval_v4": "another source is silent",
    "stem_similarity": "another source is silent",
    "stoi": "too little speech",
    "pesq": "no utterance",
}

Plan = tuple[Callable[..., Tensor], Sequence[Tensor | None]]


def _gain(metric: Callable[[Tensor, Tensor], Tensor], reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
    return metric(reference, estimate) - metric(reference, mixture.unsqueeze(-3).expand_as(reference))


def _share(reference: Tensor, *, cut: _Cut) -> Tensor:
    window = cut.window or max(1, round(SHARE_SECONDS * cut.sample_rate))
    return silence.silent_share(reference, window, cut.hop)


_PLANS: dict[str, Callable[[_Signals, _Cut], Plan]] = {
    "si_sdr": lambda x, cut: (si_sdr, (x.reference, x.estimate)),
    "si_sir": lambda x, cut: (lambda r, e: si_bss(r, e).si_sir, x.interfering()),
    "si_sar": lambda x, cut: (lambda r, e: si_bss(r, e).si_sar, x.interfering()),
    "si_sdr_gain": lambda x, cut: (partial(_gain, si_sdr), (x.reference, x.estimate, x.mixture)),
    "snr": lambda x, cut: (snr, (x.reference, x.estimate)),
    "snr_gain": lambda x, cut: (partial(_gain, snr), (x.reference, x.estimate, x.mixture)),
    "vad_agreement": lambda x, cut: (
        partial(silence.vad_agreement, sample_rate=cut.sample_rate),
        (x.reference, x.estimate),
    ),
    "silent_share": lambda x, cut: (partial(_share, cut=cut), (x.reference,)),
    "stoi": lambda x, cut: (partial(perceptual.stoi, sample_rate=cut.sample_rate), (x.reference, x.estimate)),
    "pesq": lambda x, cut: (partial(perceptual.pesq, sample_rate=cut.sample_rate), (x.reference, x.estimate)),
    "log_spectral_distance": lambda x, cut: (perceptual.log_spectral_distance, (x.reference, x.estimate)),
    "multi_resolution_spectral_distance": lambda x, cut: (
        perceptual.multi_resolution_spectral_distance,
        (x.reference, x.estimate),
    ),
    "logwmse": lambda x, cut: (
        partial(perceptual.logwmse, sample_rate=cut.sample_rate),
        (x.mixture, x.reference, x.estimate),
    ),
    "reference_db": lambda x, cut: (blind.level_db, (x.reference,)),
    "estimate_db": lambda x, cut: (blind.level_db, (x.estimates,)),
    "stem_similarity": lambda x, cut: (blind.stem_similarity, (x.estimates,)),
    "residual_db": lambda x, cut: (lambda m, r: blind.residual_db(m, r)[..., None], (x.mixture, x.residual)),
    "null_db": lambda x, cut: (lambda m, e: blind.null_db(m, e)[..., None], (x.mixture, x.estimates)),
}
"""For each metric that is a function of signals: that function, and the signals, the last axis of which is time."""


def _in_order(references: Mapping[str, Tensor], estimates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Estimates by the names of the references that they belong to; one that belongs to none must not bear such a name."""
    owners = {stem: source for source, stem in assign(references, estimates).items()}
    over = {name: f"{name} (left over)" if name in references else name for name in estimates}
    return {owners.get(name, over[name]): x for name, x in estimates.items()}


def _tensor(x: Audio) -> Tensor:
    return x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))


def _require_comparable(
    references: Mapping[str, Tensor], estimates: Mapping[str, Tensor], mixture: Tensor | None, sample_rate: int
) -> None:
    """Everything finite audio of one shape."""
    named = {f"reference {name}": x for name, x in references.items()}
    named |= {f"estimate {name}": x for name, x in estimates.items()}
    named |= {} if mixture is None else {"mixture": mixture}
    shapes = {name: list(x.shape) for name, x in named.items()}
    if len(set(map(tuple, shapes.values()))) > 1 or any(x.ndim != 2 or x.shape[0] < 1 for x in named.values()):
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ShapeError(
            "Measure a separation",
            found,
            "Pass recordings as [channels, samples] of one length and one number of channels",
        )
    if sample_rate <= 0 or not all(x.is_floating_point() for x in named.values()):
        kinds = ", ".join(sorted({str(x.dtype) for x in named.values()}))
        raise ShapeError(
            "Measure a separation", f"{kinds} at {sample_rate} Hz", "Pass real floating point samples and a rate"
        )
    for name, x in named.items():
        if x.shape[-1] == 0:
            raise EmptyAudio("Measure a separation", f"{name} holds no samples", "Pass at least one sample")
        finite = torch.isfinite(x).all(0)
        if not finite.all():
            time = finite.logical_not().nonzero()[0].item() / sample_rate
            raise NonFiniteAudio(
                "Measure a separation", f"{name} holds NaN or infinity at {time:.3f} s", "Find out where it comes from"
            )
