"""The numbers of every second of a stage: what the strip under the player shows, and where the worst seconds are.

Without references: the level of each stem, how alike the stems are, the residual, and for models with masks how undecided they
were. With references, for the stems, for the mixture as every stem (what doing nothing scores) and, if asked for, for an oracle
told the references: SI-SDR, and SDR, SIR and SAR of BSS-eval v4.

BSS-eval's filters are of the whole stage, as museval's are, so that the numbers are those of the Evaluate page's SiSEC tables.
Filters of each second would need no second pass, but cost a factorisation a second (seven times the time for two stereo stems,
more for four) and forgive more. So the passes go by what is cheapest: first what needs no filter, with the correlations; then
the filters, once; then the rest. After each block the record so far is on disk. What is held is a block, whatever the length.

Windows are BSS-eval's: one second, end to end, what does not fill the last one is dropped, less than a second is one window.
A record belongs to the stage as it was: references that are added later make another stage of it, and the record stale
(`is_current`). This is no judgement of a model: that takes many recordings (`evaluation`). Who measures when somebody looks is
`segment_queue`.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import ceil, inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from separation.audio import BaseReader, Reader, Writer, open_reader, require_disk
from separation.audio.files import temporary_name
from separation.datasets.names import match
from separation.engine.latents import LatentGrid, read_grid
from separation.engine.options import RESIDUAL, Options
from separation.engine.references import reference_side
from separation.engine.run import run
from separation.engine.stages import LATENTS
from separation.errors import Cancelled, JobError, UnknownJob
from separation.metrics import METRICS, Value, measure, windows
from separation.metrics.bss_eval.scores import TAPS
from separation.metrics.bss_eval.streamed import StreamedBssEval
from separation.models import build_oracle, oracle_name
from separation.signals import Samples

FILE = "segments.json"
VERSION = 2
WINDOW = 1.0
"""Seconds."""
BLOCK = 15
"""Windows that are read at once, and after which the record is written."""
DECIMALS = 3
CEILING_DB = 100.0
"""From here on a ratio is the rounding of files and sums, such as the SAR of a mixture that is its references: no error."""
QUIET_DB = 40.0
"""How far below its loudest second a source is out of hearing beside the others: `worst` looks for no faults there."""
BLIND = ("estimate_db", "stem_similarity", "residual_db")
BSS = ("bss_eval_v4.SDR", "bss_eval_v4.SIR", "bss_eval_v4.SAR")
COMPARISONS = ("si_sdr", *BSS)
"""What needs references."""
ENTROPY = "mask_entropy"
REST = "everything else"
"""The source that stands for what no reference covers, where somebody has to interfere."""
STRETCHES = 10
"""Stretches that `worst_stretches` looks for at most."""

_BOUND_DB = 200.0
_REFERENCE = "reference-"
_SCRATCH = ".oracle-"
Record = dict[str, Any]
Estimates = Callable[[int, int], Tensor]


def measure_stage(
    folder: Path,
    *,
    permutation: bool | None = None,
    oracle: str | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Record:
    """Measure every second of a complete stage; the record grows in ``folder/segments.json`` while this runs.

    References belong to sources by name, as in `datasets.names.match`. If not every source has one, or there is only one, what
    the mixture holds beside them is one more source, so that SIR and SAR mean something.

    Args:
        folder: of the stage, with its `stage.json`.
        permutation: the names of the sources mean nothing (`Spec.permutation_invariant`): one order for the whole stage, the
            one with the greatest sum of SI-SDR, says which reference belongs to which. None: as `stage.json` says.
        oracle: name such as ``oracle:irm2`` to measure beside the stems; ignored without references. Takes as much disk as the
            stems while it is measured.
        progress: gets the fraction done, 0 to 1.
        cancelled: asked before every block.

    Returns:
        The record: ``version``, ``window`` and ``hop`` (s), ``count`` of windows, ``duration`` (s), ``sources``, ``compared``
            and ``masks`` (whether there are, or will be, numbers that need references, or masks), ``references`` (names by
            source), ``missing`` (sources without), ``oracle``, ``stamp`` (of the stage that was measured), ``complete``,
            ``fraction`` and ``series``: each with ``source`` ("" for all together), ``metric`` (a name of `METRICS`), ``of``
            ("estimate", "mixture", "oracle" or "reference"), ``values`` (a number or None each second; shorter than ``count``
            while it grows) and ``reasons`` (of `REASONS`: the places in ``values`` that are None for it).

    Raises:
        UnknownJob: the stage is not there, or was deleted meanwhile.
        UnknownModel: no such oracle.
        Cancelled: `cancelled` said so; what was measured so far stays on disk, not complete.
        DiskFull: there is no room for the oracle's stems.
    """
    name = None if oracle is None else oracle_name(oracle)
    with ExitStack() as stack:
        stage = _Stage(folder, stack)
        permutation = stage.permutation if permutation is None else permutation
        matched = stage.matched_by_name() if not permutation else {}
        passes = 1 + (4 + 3 * (name is not None) + permutation if stage.references else 0)
        book = _Book(stage, name and oracle, passes, progress, cancelled)
        if permutation and stage.references:
            matched = _assigned(stage, book)
        book.match(matched)
        _blind(stage, book)
        _undecided(stage, book)
        if matched:
            truths = stage.truths(matched)
            _compare(stage, book, truths, stage.stems_of(truths), "estimate")
            _compare(stage, book, truths, stage.mixture_as(truths), "mixture")
            if name is not None:
                _compare_oracle(stage, book, truths, name)
        return book.finish()


def read_record(folder: Path) -> Record | None:
    """The record of a stage as far as it is, None if nobody has begun to measure."""
    try:
        record: Record = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record


def stamp(folder: Path) -> int | None:
    """What a record remembers of the stage it was made from; another one when the stage is made again or gets references.

    None if the stage is not there.
    """
    try:
        return (folder / "stage.json").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def is_current(folder: Path, record: Record | None) -> bool:
    """Whether a record is of the stage as it is now, in a form that this version reads; it may still be growing."""
    return record is not None and record["version"] == VERSION and record["stamp"] == stamp(folder)


def worst(
    record: Record, source: str, metric: str, seconds: float = 5.0, *, of: str = "estimate"
) -> tuple[float, float] | None:
    """The first of `worst_stretches`, None if there is none."""
    return next(iter(worst_stretches(record, source, metric, seconds, of=of)), None)


def worst_stretches(
    record: Record, source: str, metric: str, seconds: float = 5.0, *, of: str = "estimate"
) -> list[tuple[float, float]]:
    """The stretches in which a source fares worst by a metric: (start, stop) in seconds from the stage's start.

    Worst first, by the mean over their windows; none shares a window with one before it. Left out are windows without a value,
    and those in which the source is too quiet to matter: more than `QUIET_DB` below the loudest window of its reference, or of
    the stem where there is none. A stretch counts if half of its windows are left; if there is none, the fullest do.

    Args:
        source: "" for metrics of all together.
        seconds: length of a stretch; the whole stage if it is shorter.

    Returns:
        At most `STRETCHES`; none if no window is left.

    Raises:
        JobError: the record has no such series, or its values are neither good nor bad.
    """
    asked = f"Find the worst seconds of {source or 'all'} by {metric}"
    found = _series(record, source, metric, of)
    if found is None:
        known = sorted({f"{s['source'] or 'all'}: {s['metric']} of the {s['of']}" for s in record["series"]})
        raise JobError(asked, f"there is {', '.join(known) or 'nothing yet'}", "Choose one of these")
    if METRICS[metric].direction == "neither":
        raise JobError(asked, "it is a fact about the sound, neither good nor bad", "Choose another metric")
    values = np.array([np.nan if x is None else x for x in found["values"]], np.float64)
    values[_quiet(record, source, len(values))] = np.nan
    there = ~np.isnan(values)
    if not there.any():
        return []
    size = min(max(1, round(seconds / record["hop"])), len(values))
    badness = np.where(there, values if METRICS[metric].direction == "lower" else -values, 0.0)
    counts = np.convolve(there, np.ones(size), "valid")
    means = np.convolve(badness, np.ones(size), "valid") / np.maximum(counts, 1)
    means[counts < min(ceil(size / 2), counts.max())] = -inf
    stretches: list[tuple[float, float]] = []
    while len(stretches) < STRETCHES and means.max() > -inf:
        first = int(means.argmax())
        means[max(0, first - size + 1) : first + size] = -inf
        start = first * record["hop"]
        stretches.append((start, min(record["duration"], start + size * record["hop"])))
    return stretches


def record_of(values: Sequence[Value]) -> Record:
    """What `measure` said of one recording as a record, as far as `worst_stretches` needs it.

    With the windows of ``reference_db``, which must have been measured; metrics with windows of their own are left out.
    """
    rows: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        if value.start is not None:
            rows.setdefault((value.source, value.metric), []).append(value)
    (first, *_) = levels = next(found for (_, metric), found in rows.items() if metric == "reference_db")
    starts = [value.start for value in levels]
    return {
        "hop": first.duration if len(levels) < 2 else (levels[1].start or 0.0) - (first.start or 0.0),
        "duration": max((value.start or 0.0) + value.duration for value in values),
        "series": [
            {
                "source": source,
                "metric": metric,
                "of": "reference" if metric == "reference_db" else "estimate",
                "values": [value.value for value in found],
            }
            for (source, metric), found in rows.items()
            if [value.start for value in found] == starts
        ],
    }


class _Block(NamedTuple):
    """A stretch that is read at once, in samples; the last also holds what fills no window."""

    start: int
    length: int
    windows: int


class _Stage:
    """The open tracks of a stage, and where its windows lie."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.stamp = stamp(folder)  # before anything else: what changes from now on makes the record stale
        try:
            described = json.loads((folder / "stage.json").read_text(encoding="utf-8"))
            readers = {name: stack.enter_context(open_reader(folder / f"{name}.wav")) for name in described["tracks"]}
        except FileNotFoundError:
            raise _gone() from None
        self.folder = folder
        self.permutation = bool(described.get("permutation_invariant"))
        self.grid = _grid(folder) if described.get("latents") else None
        self.mixture = readers.pop("mixture")
        self.residual = readers.pop(RESIDUAL, None)
        self.references = {
            name.removeprefix(_REFERENCE): readers.pop(name) for name in list(readers) if name.startswith(_REFERENCE)
        }
        self.stems: dict[str, Reader] = readers
        self.sample_rate, self.length = self.mixture.sample_rate, self.mixture.length
        spans = windows(self.length, round(WINDOW * self.sample_rate))
        self.window, self.count = spans[0][1], len(spans)

    def blocks(self) -> Iterator[_Block]:
        for first in range(0, self.count, BLOCK):
            count = min(BLOCK, self.count - first)
            start = first * self.window
            last = first + count == self.count
            yield _Block(start, self.length - start if last else count * self.window, count)

    def matched_by_name(self) -> dict[str, tuple[str, ...]]:
        return match(list(self.stems), list(self.references))

    def truths(self, matched: Mapping[str, Sequence[str]]) -> dict[str, Reader]:
        """What each matched source should sound like, and `REST` if these do not make up the mixture."""
        truths: dict[str, Reader] = {
            source: _Combined([self.references[name] for name in names]) for source, names in matched.items()
        }
        used = {name for names in matched.values() for name in names}
        if len(truths) == 1 or len(truths) < len(self.stems) or used != set(self.references):
            truths[REST] = _Combined([self.mixture], list(truths.values()))
        return truths

    def stems_of(self, truths: Mapping[str, Reader]) -> Estimates:
        own = [self.stems[source] for source in truths if source != REST]
        if REST in truths:
            own.append(_Combined([self.mixture], own))
        return lambda start, length: _stacked(own, start, length)

    def mixture_as(self, truths: Mapping[str, Reader]) -> Estimates:
        return lambda start, length: _tensor(self.mixture, start, length).expand(len(truths), -1, -1)


def _grid(folder: Path) -> LatentGrid | None:
    """The picture of the masks; None where it is damaged, because the other numbers do not need it."""
    try:
        return read_grid(folder / LATENTS)
    except JobError:
        return None


class _Combined(BaseReader):
    """The sum of readers of one form, less some others. Closing it leaves them open."""

    def __init__(self, plus: Sequence[Reader], minus: Sequence[Reader] = ()) -> None:
        super().__init__(replace(plus[0].info, name=" + ".join(reader.info.name for reader in plus)))
        self._plus, self._minus = tuple(plus), tuple(minus)

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`. In float64, so that the order does not matter."""
        total = np.zeros((self.channels, length), np.float64)
        for reader in self._plus:
            total += reader.read(start, length)
        for reader in self._minus:
            total -= reader.read(start, length)
        return total.astype(np.float32)


class _Book:
    """The record while it grows: what is known goes to disk after every block."""

    def __init__(
        self,
        stage: _Stage,
        oracle: str | None,
        passes: int,
        progress: Callable[[float], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._stage, self._progress, self._cancelled = stage, progress, cancelled
        self._blocks, self._done = passes * ceil(stage.count / BLOCK), 0
        self._record: Record = {
            "version": VERSION,
            "window": stage.window / stage.sample_rate,
            "hop": stage.window / stage.sample_rate,
            "count": stage.count,
            "duration": stage.length / stage.sample_rate,
            "sources": list(stage.stems),
            "compared": bool(stage.references),
            "masks": stage.grid is not None,
            "references": {},
            "missing": [],
            "oracle": oracle if stage.references else None,
            "taps": TAPS,
            "stamp": stage.stamp,
            "complete": False,
            "fraction": 0.0,
            "series": [],
        }

    def match(self, matched: Mapping[str, Sequence[str]]) -> None:
        self._record["references"] = {source: list(names) for source, names in matched.items()}
        self._record["missing"] = [source for source in self._record["sources"] if source not in matched]
        if not matched:
            self._record |= {"compared": False, "oracle": None}

    def blocks(self) -> Iterator[_Block]:
        """The blocks of a pass; after each the record is written and the progress told."""
        for block in self._stage.blocks():
            if self.cancelled():
                raise Cancelled("Measure every second", "it was stopped", "Open the view again to start anew")
            yield block
            self.step(1)

    def cancelled(self) -> bool:
        return self._cancelled is not None and self._cancelled()

    def values(self, source: str, metric: str, of: str) -> list[float | None]:
        """What is known so far of a series; empty if nothing is."""
        series = _series(self._record, source, metric, of)
        return [] if series is None else series["values"]

    def step(self, blocks: int) -> None:
        self._done += blocks
        self._record["fraction"] = min(0.999, round(self._done / self._blocks, 3))
        self._save()

    def add(self, source: str, metric: str, of: str, values: Sequence[float | None], reasons: Sequence[str]) -> None:
        """The next values of a series; a reason each, "" where there is a value."""
        series = _series(self._record, source, metric, of)
        if series is None:
            series = {"source": source, "metric": metric, "of": of, "values": [], "reasons": {}}
            self._record["series"].append(series)
        for value, reason in zip(values, reasons, strict=True):
            if value is not None and value >= CEILING_DB:
                value, reason = None, "no error"
            if value is None:
                series["reasons"].setdefault(reason, []).append(len(series["values"]))
            series["values"].append(None if value is None else round(value, DECIMALS))

    def add_values(self, values: Sequence[Value], of: str, count: int) -> None:
        """What `measure` said of a block; a metric that has no windows for these signals is missing in all `count`."""
        for source, metric in dict.fromkeys((value.source, value.metric) for value in values):
            mine = [value for value in values if (value.source, value.metric) == (source, metric)]
            told = [value for value in mine if value.start is not None] or [mine[0]] * count
            self.add(source, metric, of, [value.value for value in told], [value.reason for value in told])

    def finish(self) -> Record:
        self._record |= {"complete": True, "fraction": 1.0}
        self._save()
        return self._record

    def _save(self) -> None:
        path = self._stage.folder / FILE
        temporary = temporary_name(path)
        try:
            temporary.write_text(json.dumps(self._record, separators=(",", ":"), allow_nan=False), encoding="utf-8")
            temporary.replace(path)
        except FileNotFoundError:  # the job was deleted under us: nothing of it may come back
            raise _gone() from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        if self._progress is not None:
            self._progress(self._record["fraction"])


def _blind(stage: _Stage, book: _Book) -> None:
    """What needs no reference: one pass."""
    for block in book.blocks():
        length = block.windows * stage.window
        mixture = _tensor(stage.mixture, block.start, length)
        stems = {name: _tensor(reader, block.start, length) for name, reader in stage.stems.items()}
        residual = {} if stage.residual is None else {RESIDUAL: _tensor(stage.residual, block.start, length)}
        seconds = stage.window / stage.sample_rate
        values = measure(
            {}, stems | residual, stage.sample_rate, mixture=mixture, metrics=BLIND, window=seconds, hop=None
        )
        book.add_values(values, "estimate", block.windows)
        level = measure({}, {"": mixture}, stage.sample_rate, metrics=("estimate_db",), window=seconds, hop=None)
        book.add_values(level, "mixture", block.windows)


def _undecided(stage: _Stage, book: _Book) -> None:
    """How undecided the masks were, from the picture that was kept of them; weighted by energy, as `MaskEntropy` has it."""
    grid = stage.grid
    if grid is None:
        return
    energy = (10 ** (grid.activations_db().astype(np.float64) / 10)).sum(0) * np.isfinite(grid.entropy)
    edges = np.linspace(0, grid.duration, len(energy) + 1)
    times = np.arange(stage.count + 1) * stage.window / stage.sample_rate

    def total(columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each window, where a column counts with the part of it that lies inside."""
        return np.diff(np.interp(times, edges, np.concatenate([[0.0], columns.cumsum()])))

    weight, spread = total(energy), total(energy * np.nan_to_num(grid.entropy))
    values = [float(s / w) if w > 0 else None for s, w in zip(spread, weight, strict=True)]
    levels = book.values("", "estimate_db", "mixture")

    def reason(window: int) -> str:
        if values[window] is not None:
            return ""
        if len(grid.sources) < 2:
            return "one source only"
        return "silent mixture" if levels[window] is None else "undefined"

    book.add("", ENTROPY, "estimate", values, [reason(window) for window in range(stage.count)])


def _compare(stage: _Stage, book: _Book, truths: Mapping[str, Reader], estimates: Estimates, of: str) -> None:
    """What needs references: SI-SDR and the correlations in a first pass, BSS-eval in a second."""
    sources = [source for source in truths if source != REST]
    metrics = ("si_sdr", "reference_db") if of == "estimate" else ("si_sdr",)
    bss = StreamedBssEval()
    for block in book.blocks():
        reference = _stacked(list(truths.values()), block.start, block.length)
        estimate = estimates(block.start, block.length)
        bss.fit(reference, estimate)
        heard = slice(0, block.windows * stage.window)
        values = measure(
            {name: reference[i, :, heard] for i, name in enumerate(sources)},
            {name: estimate[i, :, heard] for i, name in enumerate(sources)},
            stage.sample_rate,
            metrics=metrics,
            window=stage.window / stage.sample_rate,
            hop=None,
        )
        book.add_values([value for value in values if value.metric == "si_sdr"], of, block.windows)
        book.add_values([value for value in values if value.metric == "reference_db"], "reference", block.windows)
    for block in book.blocks():
        length = block.windows * stage.window
        reference = _stacked(list(truths.values()), block.start, length)
        estimate = estimates(block.start, length)
        scores = bss.scores(reference, estimate, stage.window)
        silent = [_silent(signal, stage.window) for signal in (reference, estimate)]
        for metric, table in zip(BSS, (scores.sdr, scores.sir, scores.sar), strict=True):
            for i, source in enumerate(sources):
                row = table[i].tolist()
                why = [
                    _reason(x, *quiet) for x, quiet in zip(row, zip(*(s[i] for s in silent), strict=True), strict=True)
                ]
                book.add(source, metric, of, [x if isfinite(x) else None for x in row], why)


def _compare_oracle(stage: _Stage, book: _Book, truths: Mapping[str, Reader], name: str) -> None:
    """Run the oracle over the stage into scratch files, raw as oracles are, and compare those."""
    require_disk(stage.folder, 4 * stage.mixture.channels * stage.length * len(truths))
    separator = build_oracle(name, sources=list(truths), sample_rate=stage.sample_rate)
    for left in stage.folder.glob(f"{_SCRATCH}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory(prefix=_SCRATCH, dir=stage.folder, ignore_cleanup_errors=True))
        files = [Path(scratch) / f"{i}.wav" for i in range(len(truths))]
        with ExitStack() as writing:
            form = (stage.sample_rate, stage.mixture.channels)
            sinks = {
                source: writing.enter_context(Writer(file, *form, bit_depth="32f", length=stage.length))
                for source, file in zip(truths, files, strict=True)
            }
            run(
                separator,
                stage.mixture,
                sinks,
                options=Options(device="cpu", consistency=False),
                cancelled=book.cancelled,
                side=reference_side(truths, separator.spec, mixture=stage.mixture),
            )
        book.step(ceil(stage.count / BLOCK))
        stems = [stack.enter_context(open_reader(file)) for file in files]
        _compare(stage, book, truths, lambda start, length: _stacked(stems, start, length), "oracle")


def _assigned(stage: _Stage, book: _Book) -> dict[str, tuple[str, ...]]:
    """Which reference belongs to which source: the order with the greatest sum of SI-SDR, from sums over the whole stage."""
    references, stems = list(stage.references), list(stage.stems)
    sums = [torch.zeros(())] * 5
    for block in book.blocks():
        r = _stacked(list(stage.references.values()), block.start, block.length).double()
        s = _stacked(list(stage.stems.values()), block.start, block.length).double()
        new = (torch.einsum("rct,sct->rs", r, s), r.square().sum((1, 2)), s.square().sum((1, 2)), r.sum(-1), s.sum(-1))
        sums = [total + part for total, part in zip(sums, new, strict=True)]
    product, energy_r, energy_s, sum_r, sum_s = sums
    product = product - sum_r @ sum_s.T / stage.length
    energy_r, energy_s = (e - m.square().sum(-1) / stage.length for e, m in ((energy_r, sum_r), (energy_s, sum_s)))
    alike = product.square() / (energy_r[:, None] * energy_s[None])  # the squared cosine: SI-SDR is c / (1 - c)
    score = (10 * torch.log10(alike / (1 - alike).clamp(min=0))).nan_to_num(-_BOUND_DB, _BOUND_DB, -_BOUND_DB)
    rows, columns = linear_sum_assignment(score.clamp(-_BOUND_DB, _BOUND_DB).numpy(), maximize=True)
    found = {stems[column]: (references[row],) for row, column in zip(rows, columns, strict=True)}
    return {source: found[source] for source in stems if source in found}


def _series(record: Record, source: str, metric: str, of: str) -> dict[str, Any] | None:
    wanted = (source, metric, of)
    found: dict[str, Any] | None = next(
        (s for s in record["series"] if (s["source"], s["metric"], s["of"]) == wanted), None
    )
    return found


def _quiet(record: Record, source: str, count: int) -> Any:
    """Bool ``[count]``: windows in which a source is silent or too quiet to matter."""
    series = _series(record, source, "reference_db", "reference")
    if series is None:
        series = _series(record, source, "estimate_db", "estimate" if source else "mixture")
    levels = np.array([-inf if x is None else x for x in (series or {"values": []})["values"]][:count])
    levels = np.concatenate([levels, np.full(count - len(levels), inf)])  # not measured yet: nothing is left out
    known = levels[np.isfinite(levels)]
    return levels < known.max() - QUIET_DB if known.size else levels < 0


def _silent(signal: Tensor, window: int) -> list[list[bool]]:
    """``[S, C, W * window]`` -> a list of windows a source: is it exactly zero?"""
    found: list[list[bool]] = (~(signal.unfold(-1, window, window) != 0).any(-1).any(1)).tolist()
    return found


def _reason(score: float, silent_reference: bool, silent_estimate: bool) -> str:
    """Why a score of BSS-eval is no number, in the words of `REASONS`; "" if it is one."""
    if isfinite(score):
        return ""
    if score == inf:
        return "no error"
    if score == -inf:
        return "nothing of the reference"
    return (
        "silent reference" if silent_reference else "silent estimate" if silent_estimate else "another source is silent"
    )


def _tensor(reader: Reader, start: int, length: int) -> Tensor:
    return torch.from_numpy(reader.read(start, length))


def _stacked(readers: Sequence[Reader], start: int, length: int) -> Tensor:
    """float32 ``[S, C, length]``."""
    return torch.stack([_tensor(reader, start, length) for reader in readers])


def _gone() -> UnknownJob:
    return UnknownJob("Measure every second", "the separation is not here any more", "Separate the recording again")
