"""Two folders, references and estimates, compared file by file: what `earshot evaluate` does.

Files are matched by name without suffix. Either folder holds recordings (``SOURCE.wav``: one track) or folders of them
(``TRACK/SOURCE.wav``). ``mixture`` among the references is not a source: gains and lone sources are measured with it. Nothing
is resampled or mixed down: what does not fit together is an error that says so.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from separation.audio import Reader, open_reader
from separation.datasets.tracks import MIXTURE, folders, stems_in
from separation.errors import DataError
from separation.evaluation.scoring import SLACK, Audio
from separation.metrics import Value, measure, resolve, summarise

DEFAULT = ("si_sdr", "snr", "bss_eval_v4", "bss_eval_v3.SDR", "bss_eval_v3.SIR", "bss_eval_v3.SAR")
WITH_MIXTURE = ("si_sdr_gain", "snr_gain")
"""Measured too, by default, where the references hold a mixture."""

Progress = Callable[[int, int], None]


class Evaluated(NamedTuple):
    """What came of one pair of folders.

    Attributes:
        values: of every track; see `metrics.measure`.
        notes: what the user should know: files that were left out, lengths that were evened.
        single: the folders held recordings of one track, which has the reference folder's name.
    """

    values: dict[str, list[Value]]
    notes: list[str]
    single: bool


def evaluate_folders(
    reference: Path,
    estimate: Path,
    *,
    metrics: Sequence[str] | None = None,
    window: float | None = 1.0,
    hop: float | None = None,
) -> dict[str, list[Value]]:
    """``{track: values}`` of all recordings that are called the same in both folders. See `evaluated`."""
    return evaluated(reference, estimate, metrics=metrics, window=window, hop=hop).values


def evaluated(
    reference: Path,
    estimate: Path,
    *,
    metrics: Sequence[str] | None = None,
    window: float | None = 1.0,
    hop: float | None = None,
    progress: Progress | None = None,
) -> Evaluated:
    """Compare the estimates with the references of the same names.

    Args:
        reference, estimate: ``SOURCE.EXT`` in both, or ``TRACK/SOURCE.EXT`` in both.
        metrics: names or families of `METRICS`; None: `DEFAULT`, and the gains where there is a mixture.
        window, hop: seconds, of BSS-eval v4 and of series; `hop` None is `window`.
        progress: told (tracks done, tracks).

    Estimates and the mixture may differ from the references by `SLACK` seconds: then their ends are cut, or filled with
    silence, and a note says so.

    Raises:
        DataError: a folder is missing or empty, an estimate is missing, names are ambiguous, or rates, channels or lengths
            differ; names every file concerned.
        AudioError: a file cannot be read.
        ShapeError: no metric has such a name.
    """
    single, pairs, notes = _matched(reference, estimate)
    chosen = None if metrics is None else resolve(metrics)
    values = {}
    for done, (track, (references, estimates)) in enumerate(pairs.items()):
        if progress is not None:
            progress(done, len(pairs))
        where = "" if single else f"{track}/"
        truth, guesses, mixture, rate = _read(where, references, estimates, notes)
        names = chosen or resolve([*DEFAULT, *(WITH_MIXTURE if mixture is not None else ())])
        values[track] = measure(truth, guesses, rate, mixture=mixture, metrics=names, window=window, hop=hop)
    if progress is not None:
        progress(len(pairs), len(pairs))
    return Evaluated(values, notes, single)


def document(result: Evaluated, *, segments: bool = False) -> dict[str, Any]:
    """The result as JSON-able data; what has no value is None, and `left_out` counts why.

    One track: ``{"sources": {SOURCE: {"si_sdr": …, "bss_eval_v4": {"SDR": …}}}, "left_out": …}``. Several: ``{"tracks": {TRACK:
    the same}, "summary": {"sources": {SOURCE: {"si_sdr": {"median", "mean", "tracks"}}}}}``. Numbers are of the whole signal
    where a metric has one, else medians over windows. ``segments`` has the series: ``{SOURCE: {"start": […], "duration": […],
    "bss_eval_v4": {"SDR": […]}}}``.
    """
    tracks = {track: _track_document(values, segments) for track, values in result.values.items()}
    if result.single:
        (only,) = tracks.values()
        return only | {"notes": result.notes}
    return {"tracks": tracks, "summary": {"sources": _summary(result.values)}, "notes": result.notes}


def track_numbers(values: Sequence[Value]) -> dict[str, dict[str, float | None]]:
    """``{source: {metric: number}}``: of the whole signal where a metric has one, else the median over its windows."""
    numbers: dict[str, dict[str, float | None]] = {}
    for (source, metric), found in _grouped(values).items():
        numbers.setdefault(source, {})[metric] = summarise(_counting(found)).median
    return numbers


def _track_document(values: Sequence[Value], segments: bool) -> dict[str, Any]:
    sources: dict[str, Any] = {}
    left_out: dict[str, Any] = {}
    series: dict[str, Any] = {}
    for (source, metric), found in _grouped(values).items():
        summary = summarise(_counting(found))
        _put(sources.setdefault(source, {}), metric, summary.median)
        if summary.left_out:
            _put(left_out.setdefault(source, {}), metric, summary.left_out)
        windows = [value for value in found if value.start is not None]
        if segments and windows:
            _put(series.setdefault(source, {}), metric, _series(windows))
    mixture = sources.pop("", None)  # what concerns all stems together is of no source
    together = {} if mixture is None else {"together": mixture}
    return {"sources": sources} | together | {"left_out": left_out} | ({"segments": series} if segments else {})


def _series(windows: Sequence[Value]) -> list[dict[str, Any]]:
    return [
        {"start": v.start, "duration": v.duration, "value": v.value} | ({"reason": v.reason} if v.reason else {})
        for v in windows
    ]


def _summary(values: Mapping[str, Sequence[Value]]) -> dict[str, Any]:
    """Over tracks: ``{source: {metric: {"median", "mean", "tracks", "left_out"}}}``."""
    over: dict[tuple[str, str], list[float | None]] = {}
    for found in values.values():
        for source, numbers in track_numbers(found).items():
            for metric, number in numbers.items():
                over.setdefault((source, metric), []).append(number)
    sources: dict[str, Any] = {}
    for (source, metric), numbers_of_tracks in over.items():
        known = [number for number in numbers_of_tracks if number is not None]
        entry = {
            "median": float(np.median(known)) if known else None,
            "mean": float(np.mean(known)) if known else None,
            "tracks": len(known),
            "left_out": len(numbers_of_tracks) - len(known),
        }
        _put(sources.setdefault(source, {}), metric, entry)
    return sources


def _grouped(values: Sequence[Value]) -> dict[tuple[str, str], list[Value]]:
    groups: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        groups.setdefault((value.source, value.metric), []).append(value)
    return groups


def _counting(values: Sequence[Value]) -> list[Value]:
    """The value of the whole signal if there is one, else those of the windows."""
    whole = [value for value in values if value.start is None]
    return whole or list(values)


def _put(there: dict[str, Any], metric: str, what: Any) -> None:
    """``"bss_eval_v4.SDR"`` is kept as ``["bss_eval_v4"]["SDR"]``."""
    family, dot, part = metric.partition(".")
    if dot:
        there.setdefault(family, {})[part] = what
    else:
        there[metric] = what


def _matched(
    reference: Path, estimate: Path
) -> tuple[bool, dict[str, tuple[dict[str, Path], dict[str, Path]]], list[str]]:
    """Whether it is one track, ``{track: (references, estimates)}`` by source, and notes on what has no reference.

    Raises:
        DataError: see `evaluated`.
    """
    asked = f"Compare the estimates in {estimate} with the references in {reference}"
    for folder in (reference, estimate):
        if not folder.is_dir():
            raise DataError(asked, f"there is no folder {folder}", "Pass two folders")
    truth, guesses = _tracks(asked, reference), _tracks(asked, estimate)
    single = "" in truth
    if single != ("" in guesses):
        one, many = (reference, estimate) if single else (estimate, reference)
        raise DataError(
            asked,
            f"{one} holds recordings, {many} holds folders of recordings",
            "Lay both out alike: SOURCE.wav in both, or TRACK/SOURCE.wav in both",
        )
    problems, notes = [], []
    for track, references in truth.items():
        where = f"{track}/" if track else ""
        found = guesses.get(track, {})
        sources = [name for name in references if name != MIXTURE]
        if not sources:
            problems.append(f"{where or reference} has no reference beside the mixture")
        missing = [name for name in sources if name not in found]
        extra = [name for name in found if name not in sources and name != MIXTURE]
        if missing:
            spare = f" (there is {', '.join(where + found[name].name for name in extra)})" if extra else ""
            problems.append(f"no estimate of {', '.join(where + references[name].name for name in missing)}{spare}")
        elif extra:
            notes.append(f"left out, having no reference: {', '.join(where + found[name].name for name in extra)}")
    notes += [f"left out, having no references: {track}/" for track in guesses if track not in truth]
    if problems:
        raise DataError(
            asked, "; ".join(problems), "Name estimates as their references are named, and add what is missing"
        )
    name = reference.resolve().name
    return single, {track or name: (references, guesses[track]) for track, references in truth.items()}, notes


def _tracks(asked: str, folder: Path) -> dict[str, dict[str, Path]]:
    """``{track: {source: file}}``; the one track of a folder of recordings is called "".

    Raises:
        DataError: no recording, recordings beside folders of recordings, or two of one name.
    """
    inside = {"": folder} | {sub.name: sub for sub in folders(folder)}
    found: dict[str, dict[str, Path]] = {}
    for track, place in inside.items():
        stems, twice = stems_in(place)
        if twice:
            raise DataError(
                asked,
                f"{', '.join(str(path.relative_to(folder)) for path in twice)} is there in another format too",
                "Keep one file a source",
            )
        if stems:
            found[track] = stems
    if not found:
        raise DataError(
            asked, f"there is no recording in {folder}", "Pass a folder with SOURCE.wav or TRACK/SOURCE.wav"
        )
    if "" in found and len(found) > 1:
        others = ", ".join(f"{track}/" for track in found if track)
        raise DataError(
            asked,
            f"{folder} holds recordings and folders of recordings ({others})",
            "Keep one kind, or pass one track's folder",
        )
    return found


def _read(
    where: str, references: Mapping[str, Path], estimates: Mapping[str, Path], notes: list[str]
) -> tuple[Audio, Audio, Any, int]:
    """References and estimates ``[C, T]`` of one rate, length and number of channels, the mixture or None, and the rate.

    Raises:
        DataError: they do not fit together; names each file that differs from the first reference, with both figures.
        AudioError: one cannot be read.
    """
    sources = [name for name in references if name != MIXTURE]
    with ExitStack() as opened:
        readers: dict[str, Reader] = {}
        for kind, files in (("reference", references), ("estimate", estimates)):
            for name, path in files.items():
                if name in sources or (name == MIXTURE and kind == "reference"):
                    readers[f"{kind} {where}{path.name}"] = opened.enter_context(open_reader(path))
        first, standard = next((k, r) for k, r in readers.items() if Path(k).stem != MIXTURE)
        _require_alike(first, standard, readers)
        audio = {label: reader.read(0, reader.length) for label, reader in readers.items()}
    evened = {label: _evened(label, samples, standard, notes) for label, samples in audio.items()}
    truth = {name: evened[f"reference {where}{references[name].name}"] for name in sources}
    guesses = {name: evened[f"estimate {where}{estimates[name].name}"] for name in sources}
    mixture = evened[f"reference {where}{references[MIXTURE].name}"] if MIXTURE in references else None
    return truth, guesses, mixture, standard.sample_rate


def _require_alike(first: str, standard: Reader, readers: Mapping[str, Reader]) -> None:
    problems = []
    for label, reader in readers.items():
        apart = reader.length - standard.length
        if reader.sample_rate != standard.sample_rate:
            problems.append(f"{label} has {reader.sample_rate:,} Hz, {first} {standard.sample_rate:,} Hz")
        elif reader.channels != standard.channels:
            problems.append(f"{label} has {reader.channels} channels, {first} {standard.channels}")
        elif apart and (
            abs(apart) > SLACK * standard.sample_rate or (label.startswith("reference") and Path(label).stem != MIXTURE)
        ):
            problems.append(
                f"{label} has {reader.length:,} samples, {first} {standard.length:,} "
                f"({abs(apart) / standard.sample_rate:.3f} s {'more' if apart > 0 else 'fewer'})"
            )
    if problems:
        raise DataError(
            "Compare estimates with references",
            "; ".join(problems),
            f"Bring all to one rate, number of channels and length (estimates may be off by {SLACK} s, their ends only)",
        )


def _evened(label: str, samples: Any, standard: Reader, notes: list[str]) -> Any:
    apart = samples.shape[1] - standard.length
    if apart == 0:
        return samples
    what = (
        f"{apart:,} samples at its end are left out"
        if apart > 0
        else f"{-apart:,} samples of silence are added at its end"
    )
    notes.append(f"{label}: {what}")
    return samples[:, : standard.length] if apart > 0 else np.pad(samples, ((0, 0), (0, -apart)))
