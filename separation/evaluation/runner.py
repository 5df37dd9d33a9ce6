"""Models x tracks -> one table, in parts that survive a kill.

Layout of the folder:

    run.json          the settings behind every number, and what was asked for last
    parts/            one Parquet file a (model, weights, track), written under a temporary name and renamed
    failures.json     tracks that could not be measured, with the reason
    table.parquet, table.csv      what this call asked for, in its order, once all of it is there
    scratch/, stop    decoded copies while it runs; exists: workers stop

Whoever starts again with the same folder goes on where it stopped; with other settings it is refused. A part is known by its
model's weights and its track's files, so a retrained model or an exchanged recording is measured anew, and models and tracks
may be added. Nothing is drawn at random; every process uses one thread, so that how many there are does not change a number.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from separation import __version__
from separation.audio import safe_name
from separation.datasets import Track
from separation.datasets.stems import parts as files_of
from separation.engine import Options, Progress, resolve_device
from separation.errors import Cancelled, DataError, JobError, SeparationError
from separation.evaluation.protocols import Protocol
from separation.evaluation.references import stems_of
from separation.evaluation.scoring import Scored, score
from separation.evaluation.tables import (
    FLOOR,
    PARTS,
    TABLE,
    WHOLE,
    Results,
    empty_rows,
    is_yardstick,
    joined,
    read_table,
    table_of,
    write_table,
)
from separation.hub import describe, load
from separation.models import Separator
from separation.models.oracles import PREFIX, build_oracle, oracle_name

RUN = "run.json"
FAILURES = "failures.json"
SCRATCH = "scratch"
STOP = "stop"
DIGITS = 12
POLL = 0.5  # seconds between two looks at whether to stop

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Failure:
    """A track that a model could not be measured on."""

    model: str
    track: str
    asked: str
    found: str
    advice: str

    def __str__(self) -> str:
        return f"{self.model} on {self.track}: {self.asked}: {self.found}. {self.advice}."


@dataclass(frozen=True)
class _Model:
    """A model as it was named, what opens exactly it again, and its weights' SHA-256 ("" for oracles and the floor)."""

    name: str
    opens: str
    weights: str
    sources: tuple[str, ...] | None


@dataclass(frozen=True)
class _Task:
    """One part: everything that a process needs to make it."""

    model: _Model
    track: Track
    protocol: Protocol
    device: str
    settings: str
    part: Path
    folder: Path


def benchmark(
    models: Sequence[str],
    tracks: Sequence[Track],
    protocol: Protocol,
    folder: Path,
    *,
    processes: int = 1,
    device: str = "cpu",
    sources: Sequence[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Stop | None = None,
) -> Results:
    """Measure every model on every track, or what of it `folder` does not hold yet.

    A track that cannot be measured does not stop the others; see `failures`.

    Args:
        models: names that the hub understands, ``oracle:NAME``, or ``mixture`` (the floor, ``oracle:mixture``).
        tracks: with different names.
        protocol: one of `PROTOCOLS`.
        folder: made if it is not there.
        processes: at once, each with one thread and its own copy of the model.
        device: where models run; see `engine.Options`.
        sources: what oracles and the floor give, where neither the protocol nor a model among `models` says so; None: the
            stems of each track.
        progress: told after every part, in parts. What was there already counts as done.
        cancelled: asked between and within tracks.

    Returns:
        The table, see `tables.SCHEMA`; also written into `folder`.

    Raises:
        ModelError, HubError: a model cannot be used.
        DataError: no tracks, or two of one name.
        JobError: the folder holds results with other settings; names what differs.
        Cancelled: `cancelled` said so. The parts that are there stay.
        DeviceError: the device is not there.
    """
    _check_names(models, tracks)
    settings = {
        "version": __version__,
        "protocol": protocol.to_dict(),
        "device": resolve_device(device).type,
        "options": {key: value for key, value in asdict(Options()).items() if key != "device"},
    }
    opened = _open(models, sources)
    folder.mkdir(parents=True, exist_ok=True)
    _hold_to(folder, settings, opened, tracks)
    digest = _digest(settings)
    tasks = [
        _Task(m, t, protocol, device, digest, folder / PARTS / _part_name(m, t, digest), folder)
        for m in opened
        for t in tracks
    ]
    (folder / PARTS).mkdir(exist_ok=True)
    _tidy(folder)
    failed: list[Failure] = []
    try:
        for failure in _work(
            [t for t in tasks if not t.part.exists()], len(tasks), processes, progress, cancelled, folder
        ):
            failed.append(failure)
    finally:
        _write_json(folder / FAILURES, [asdict(failure) for failure in failed])
        _tidy(folder)
    done = [read_table(task.part) for task in tasks if task.part.exists()]
    table = joined(done)
    write_table(table, folder / TABLE)
    write_table(table, (folder / TABLE).with_suffix(".csv"))
    return table


def failures(folder: Path) -> list[Failure]:
    """The tracks that the last call of `benchmark` with this folder could not measure."""
    path = folder / FAILURES
    return [Failure(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _work(
    tasks: Sequence[_Task],
    total: int,
    processes: int,
    progress: Callable[[Progress], None] | None,
    cancelled: Stop | None,
    folder: Path,
) -> Iterator[Failure]:
    """Do all tasks; gives the failures as they come, and tells `progress`."""
    started, there = time.perf_counter(), total - len(tasks)
    asked = cancelled or _never
    run = _in_processes(tasks, processes, asked, folder) if processes > 1 else _here(tasks, asked)
    for count, failure in enumerate(run, 1):
        if failure is not None:
            yield failure
        if progress is not None:
            elapsed = time.perf_counter() - started
            progress(Progress(there + count, total, elapsed, elapsed / count * (len(tasks) - count)))
    if progress is not None and not tasks:
        progress(Progress(total, total, 0.0, 0.0))


def _here(tasks: Sequence[_Task], cancelled: Stop) -> Iterator[Failure | None]:
    try:
        for task in tasks:
            if cancelled():
                raise _cancelled()
            with _one_thread():
                outcome = _measure(task, cancelled)
            yield outcome
    finally:
        _loaded.cache_clear()


def _in_processes(tasks: Sequence[_Task], processes: int, cancelled: Stop, folder: Path) -> Iterator[Failure | None]:
    stop = folder / STOP
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_start_process)
    try:
        waiting: set[Future[Failure | None]] = {pool.submit(_measure_until, task, stop) for task in tasks}
        while waiting:
            finished, waiting = wait(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            if waiting and cancelled():
                raise _cancelled()
    except BrokenProcessPool as error:
        raise JobError(
            f"Measure in {processes} processes",
            "one of them was ended from outside, most often because memory was short",
            "Start again with fewer processes; what is done is kept",
        ) from error
    finally:
        stop.touch()
        pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    """One thread; and nobody goes on measuring for a parent that was killed."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _measure_until(task: _Task, stop: Path) -> Failure | None:
    return _measure(task, stop.exists)


def _measure(task: _Task, cancelled: Stop) -> Failure | None:
    """Make one part. Whatever is wrong with this model on this track is reported, not raised."""
    try:
        scored = score(
            lambda rate: _separator(task, rate),
            task.track,
            task.protocol,
            options=Options(device=task.device, consistency=not is_yardstick(task.model.name)),
            scratch=task.folder / SCRATCH,
            cancelled=cancelled,
        )
        rows = _rows(task, scored)
    except Cancelled:
        raise
    except SeparationError as error:
        return Failure(task.model.name, task.track.name, error.asked, error.found, error.advice)
    except Exception as error:  # a stranger's model may raise anything, and the other tracks are worth having
        found = f"{type(error).__name__}: {error}"
        return Failure(
            task.model.name, task.track.name, "Measure this track", found, "Report this, or leave the track out"
        )
    write_table(table_of(rows), task.part)
    return None


def _separator(task: _Task, sample_rate: int) -> Separator:
    model = task.model
    if not is_yardstick(model.name):
        return _loaded(model.opens, task.device)
    sources = task.protocol.sources or model.sources or tuple(stems_of(task.track))
    return build_oracle(model.opens, sources=sources, sample_rate=sample_rate)


@lru_cache(maxsize=1)
def _loaded(opens: str, device: str) -> Separator:
    """Tasks come model by model, so one at a time is enough."""
    return load(opens, device="cpu")


def _rows(task: _Task, scored: Scored) -> list[dict[str, Any]]:
    segments: dict[tuple[str, str], int] = {}
    rows = []
    for value in scored.values:
        key = (value.source, value.metric)
        segment = WHOLE if value.start is None else segments.get(key, 0)
        segments[key] = segment + 1
        rows.append(
            empty_rows(
                model=task.model.name,
                weights=task.model.weights[:DIGITS],
                track=task.track.name,
                source=value.source,
                segment=segment,
                start=0.0 if value.start is None else value.start,
                duration=value.duration,
                metric=value.metric,
                value=value.value,
                reason=value.reason,
                protocol=task.protocol.name,
                sample_rate=scored.sample_rate,
                settings=task.settings,
                seconds=scored.seconds,
            )
        )
    return rows


def _open(models: Sequence[str], sources: Sequence[str] | None) -> list[_Model]:
    """Every model by name, and what oracles give: the sources of the first that is no oracle, unless told.

    Raises:
        ModelError, HubError: one cannot be used.
    """
    cards = {name: describe(name) for name in models if not is_yardstick(name)}
    given = tuple(sources) if sources else next((card.sources for card in cards.values()), None)
    opened = []
    for name in models:
        if name in cards:
            weights = cards[name].weights
            opened.append(_Model(name, cards[name].origin.name, weights.sha256 if weights else "", cards[name].sources))
        else:
            full = _full_name(name)
            opened.append(_Model(full, full.removeprefix(PREFIX), "", given))
            oracle_name(opened[-1].name)  # an unknown one is said now
    return opened


def _full_name(name: str) -> str:
    """The floor has one name in tables."""
    return FLOOR if name == FLOOR.removeprefix(PREFIX) else name


def _hold_to(folder: Path, settings: dict[str, Any], models: Sequence[_Model], tracks: Sequence[Track]) -> None:
    """Write `run.json`, or refuse if the folder's says something else.

    Raises:
        JobError: names every setting that differs.
    """
    path = folder / RUN
    wanted = json.loads(json.dumps(settings))
    if path.exists():
        try:
            held = json.loads(path.read_text(encoding="utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"Go on in {folder}", f"its {RUN} cannot be read", "Choose another folder") from error
        there, here = _flat(held), _flat(wanted)
        differs = [
            f"{key} was {there.get(key)!r} and is now {here.get(key)!r}"
            for key in {**there, **here}
            if there.get(key) != here.get(key)
        ]
        if differs:
            raise JobError(
                f"Go on with the results in {folder}",
                "they were made with other settings: " + "; ".join(differs),
                "Use the same settings, or another folder",
            )
    elif any(folder.iterdir()):
        raise JobError(
            f"Write results into {folder}", "it holds other files, but no results", "Choose a new or empty folder"
        )
    _write_json(
        path,
        {
            "settings": wanted,
            "models": {m.name: {"weights": m.weights, "opens": m.opens, "sources": m.sources} for m in models},
            "tracks": [track.name for track in tracks],
        },
    )


def _flat(settings: Any, before: str = "") -> dict[str, Any]:
    """``{"protocol": {"window": 1}}`` -> ``{"protocol.window": 1}``."""
    if not isinstance(settings, dict):
        return {before.removesuffix("."): settings}
    return {key: value for name, part in settings.items() for key, value in _flat(part, f"{before}{name}.").items()}


def _part_name(model: _Model, track: Track, settings: str) -> str:
    """Readable, and different for other weights, sources, recordings or settings."""
    stems = {
        name: [[str(part.file.name), part.file.stat().st_size if part.file.exists() else -1] for part in files_of(path)]
        for name, path in track.stems.items()
    }
    identity = [model.name, model.weights, model.sources, track.name, stems, settings]
    return f"{safe_name(model.name)[:40]}-{safe_name(track.name)[:60]}-{_digest(identity)}.parquet"


def _digest(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _check_names(models: Sequence[str], tracks: Sequence[Track]) -> None:
    names = [_full_name(name) for name in models]
    for what, given in (("models", names), ("tracks", [track.name for track in tracks])):
        twice = sorted({name for name in given if given.count(name) > 1})
        if not given or twice:
            found = f"{', '.join(twice)} is named twice" if twice else "there are none"
            raise DataError(
                f"Measure {len(names)} models on {len(tracks)} tracks: the {what}", found, f"Name {what} once each"
            )


def _tidy(folder: Path) -> None:
    """Remove what only a run in progress needs, also one that was killed."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    (folder / STOP).unlink(missing_ok=True)
    for partial in (folder / PARTS).glob(".*.partial"):
        partial.unlink()


def _write_json(path: Path, data: Any) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _cancelled() -> Cancelled:
    return Cancelled("Measure models on tracks", "it was cancelled", "Start again when you like; what is done is kept")


def _never() -> bool:
    return False


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
