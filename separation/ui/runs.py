"""Evaluations as folders: what was asked for, how far it is, and the table so far.

As with the engine's jobs, everything is in files, so that an evaluation outlives the page that asked for it, the tab and
the process; a *file* named `cancel` stops it; its id is an unguessable capability and nothing lists them to a visitor.
What measures is handed in (`Measure`); it puts a part for every model and track into the run's `table` folder and goes on
with what is there, so an evaluation that a restart cut off is queued again and repeats nothing.

    ID/request.json     what was asked for
    ID/state.json       how far it is
    ID/cancel           exists: stop
    ID/data/            an upload, unpacked
    ID/table/           the parts, as the evaluation keeps them
    ID/tracks.json      what is measured: names and lengths
    ID/jobs.json        jobs made to listen to a second, by model and track
"""

import contextlib
import json
import logging
import re
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from separation.audio.files import is_disk_full
from separation.errors import Cancelled, JobError, SeparationError, UnknownJob

Status = Literal["waiting", "running", "done", "failed", "cancelled"]

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_GONE = "deleted-"
_EXPIRE_EVERY = 600.0  # seconds between two searches for expired runs
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunRequest:
    """What is to be measured; JSON-able, and never changed.

    Args:
        models: names that the hub understands, oracles among them.
        data: ``examples``, ``upload``, or the key of a folder that the owner offers.
        title: what the data is called on the page.
        protocol: a name of `evaluation.PROTOCOLS`.
        tracks: at most this many; None for all.
    """

    models: tuple[str, ...]
    data: str
    title: str
    protocol: str
    tracks: int | None = None

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "RunRequest":
        return cls(**{**fields, "models": tuple(fields["models"])})


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Args:
        status: waiting, running, done, failed or cancelled.
        done: models x tracks that are measured.
        total: models x tracks; 0 while that is not known.
        remaining: seconds still needed, or None while that cannot be said.
        position: runs ahead in the queue.
        error: what was asked, what was found and what to do; None unless failed.
        messages: what the visitor should know, e.g. tracks that could not be measured.
        seconds: that the measuring has taken so far.
        created, updated: seconds since 1970.
    """

    status: Status = "waiting"
    done: int = 0
    total: int = 0
    remaining: float | None = None
    position: int = 0
    error: dict[str, str] | None = None
    messages: tuple[str, ...] = ()
    seconds: float = 0.0
    created: float = 0.0
    updated: float = 0.0

    @property
    def finished(self) -> bool:
        return self.status not in ("waiting", "running")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "RunState":
        return cls(**{**fields, "messages": tuple(fields["messages"])})


@dataclass(frozen=True)
class Run:
    """A handle on one run's folder. Reading is always from disk.

    Args:
        id: the capability.
        folder: where everything of it is.
        request: what was asked for.
        keep: seconds from its making until it may be removed.
        clock: the time now, in seconds since 1970.
    """

    id: str
    folder: Path
    request: RunRequest
    keep: float
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    @property
    def table(self) -> Path:
        return self.folder / "table"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def cancelled(self) -> bool:
        """Somebody wants it to stop, or has deleted it."""
        return (self.folder / "cancel").exists() or not self.folder.exists()

    @property
    def expires(self) -> float:
        return self.state().created + self.keep

    def state(self) -> RunState:
        """How far it is now.

        Raises:
            UnknownJob: it has been deleted.
        """
        asked = (self.folder / "cancel").exists()
        try:
            state = RunState.from_dict(json.loads((self.folder / "state.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise _unknown() from None
        return replace(state, status="cancelled", position=0) if state.status == "waiting" and asked else state

    def write_state(self, **changes: Any) -> RunState:
        """Change the state on disk in one step. Only whoever runs it may call this."""
        state = replace(self.state(), **changes, updated=self.clock())
        write_json(self.folder / "state.json", asdict(state))
        return state

    def cancel(self) -> None:
        """Ask it to stop; what is measured stays."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "cancel").touch()

    def delete(self) -> None:
        """Stop it and remove everything it holds."""
        self.cancel()
        gone = self.folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
        try:
            self.folder.rename(gone)
        except FileNotFoundError:
            raise _unknown() from None
        shutil.rmtree(gone, ignore_errors=True)


class Measure(Protocol):
    """What measures a run: reads its data, and fills its table until it is full or `cancelled` says stop."""

    def __call__(
        self, run: Run, *, progress: Callable[[int, int, float], None], cancelled: Callable[[], bool]
    ) -> tuple[str, ...]: ...


class Runs:
    """The runs of an installation, and the one thread that measures them, one after the other.

    Args:
        folder: where they are; made if it is not there.
        measure: what measures; returns what the visitor should know.
        keep_hours: hours until a run is removed.
        clock: the time now, in seconds since 1970.
    """

    def __init__(
        self, folder: Path, measure: Measure, *, keep_hours: float = 24, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.keep_hours = keep_hours
        self.clock = clock
        self._measure = measure
        self._queue: deque[Run] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="earshot-evaluation", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Queue what an earlier process left unfinished, and begin."""
        for run in self.all():
            if not run.state().finished:
                self.submit(run)
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Stop after the running part. What is unfinished stays for the next process."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def create(self, request: RunRequest, fill: Callable[[Path], None] | None = None) -> Run:
        """A new run, waiting; hand it to `submit`.

        Args:
            fill: puts the data into the run's data folder; whatever it raises leaves nothing behind.
        """
        run_id = secrets.token_urlsafe(16)
        building = self.folder / f"{_GONE}{secrets.token_hex(8)}"
        try:
            (building / "data").mkdir(parents=True)
            (building / "table").mkdir()
            if fill is not None:
                fill(building / "data")
            now = self.clock()
            write_json(building / "request.json", asdict(request))
            write_json(building / "state.json", asdict(RunState(created=now, updated=now)))
            building.rename(self.folder / run_id)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        return self._run(run_id, request)

    def submit(self, run: Run) -> None:
        """Queue a run."""
        with self._changed:
            run.write_state(status="waiting", remaining=None, position=len(self._queue) + self._busy)
            self._queue.append(run)
            self._changed.notify_all()

    def get(self, run_id: str) -> Run:
        """The run with this id.

        Raises:
            UnknownJob: it has expired, was deleted, or never was.
        """
        if not _ID.fullmatch(run_id):
            raise _unknown()
        try:
            fields = json.loads((self.folder / run_id / "request.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _unknown() from None
        return self._run(run_id, RunRequest.from_dict(fields))

    def all(self) -> list[Run]:
        """Every run, oldest first. For the owner and the thread; never shown to a visitor."""
        runs = []
        for folder in self.folder.iterdir():
            if _ID.fullmatch(folder.name):
                try:
                    run = self.get(folder.name)
                    runs.append((run.state().created, run.id, run))
                except UnknownJob:
                    continue
                except (ValueError, TypeError, KeyError):  # of another version, or damaged by hand
                    _log.exception("The run folder %s cannot be read", folder)
        return [run for _, _, run in sorted(runs, key=lambda entry: entry[:2])]

    def expire(self) -> list[str]:
        """Remove finished runs past their time. Returns their ids."""
        old = [run for run in self.all() if run.state().finished and run.expires <= self.clock()]
        for run in old:
            run.delete()
        for rest in self.folder.glob(f"{_GONE}*"):
            if rest.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(rest, ignore_errors=True)
        return [run.id for run in old]

    def run(self, run: Run) -> None:
        """Measure in this thread. Whatever happens is in the run's state; nothing is raised."""
        try:
            run.write_state(status="running", position=0, error=None)
            messages = _Watch(run, self._measure, self._stopping).through()
            run.write_state(status="done", remaining=0.0, messages=messages)
        except UnknownJob:
            _log.info("Run %s… was deleted while it was measured", run.id[:4])
        except BaseException as error:
            with contextlib.suppress(UnknownJob):
                self._end(run, error)
            if not isinstance(error, Exception):
                raise

    def _end(self, run: Run, error: BaseException) -> None:
        if self._stopping.is_set() and not run.cancelled:
            run.write_state(status="waiting", remaining=None)
        elif run.cancelled or isinstance(error, Cancelled):
            run.write_state(status="cancelled", remaining=None, position=0)
        else:
            if not isinstance(error, SeparationError):
                _log.error("Run %s… failed", run.id[:4], exc_info=error)
            run.write_state(status="failed", remaining=None, position=0, error=_explain(error, run.request))

    def _work(self) -> None:
        expired = time.monotonic()
        while not self._stopping.is_set():
            with self._changed:
                if not self._queue:
                    self._changed.wait(60)
                run = self._queue.popleft() if self._queue and not self._stopping.is_set() else None
                self._busy = run is not None
                for ahead, other in enumerate(self._queue, 1):
                    with contextlib.suppress(UnknownJob):
                        other.write_state(position=ahead)
            if run is not None and not self._stopping.is_set():
                self._take(run)
            if time.monotonic() - expired > _EXPIRE_EVERY:
                expired = time.monotonic()
                self.expire()

    def _take(self, run: Run) -> None:
        try:
            if run.cancelled:
                with contextlib.suppress(UnknownJob):
                    run.write_state(status="cancelled", position=0)
            else:
                self.run(run)
        finally:
            self._busy = False

    def _run(self, run_id: str, request: RunRequest) -> Run:
        return Run(run_id, self.folder / run_id, request, self.keep_hours * 3600, self.clock)


class _Watch:
    """One run on its way, and the bookkeeping of how far it is."""

    def __init__(self, run: Run, measure: Measure, stopping: threading.Event) -> None:
        self._run = run
        self._measure = measure
        self._stopping = stopping
        self._began = time.monotonic()
        self._before = run.state().seconds  # that earlier processes have spent on it

    def through(self) -> tuple[str, ...]:
        messages = self._measure(self._run, progress=self._on_progress, cancelled=self._cancelled)
        if self._cancelled():
            raise Cancelled("Measure the models", "it was stopped", "Start it again when you like")
        return messages

    def _cancelled(self) -> bool:
        return self._stopping.is_set() or self._run.cancelled

    def _on_progress(self, done: int, total: int, remaining: float) -> None:
        seconds = self._before + time.monotonic() - self._began
        self._run.write_state(done=done, total=total, remaining=remaining, seconds=seconds)


def write_json(path: Path, value: Any) -> None:
    """In one step: under another name, then renamed.

    Raises:
        UnknownJob: the folder was deleted under us.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
        temporary.replace(path)
    except FileNotFoundError:
        raise _unknown() from None


def _explain(error: BaseException, request: RunRequest) -> dict[str, str]:
    """Any error in three parts that a visitor can use; never a traceback."""
    asked = f"Measure {len(request.models)} models on {request.title}"
    if isinstance(error, SeparationError):
        return {"asked": error.asked, "found": error.found, "advice": error.advice}
    if isinstance(error, OSError) and is_disk_full(error):
        found, advice = (
            "the disk of this machine is full",
            "Delete evaluations that are no longer needed, then try again",
        )
    elif isinstance(error, MemoryError):
        found, advice = "this machine ran out of memory", "Choose shorter tracks or a smaller model"
    else:
        found = "something unexpected went wrong inside the program"
        advice = "Try again; if it happens again, tell the owner of this page, whose log has the details"
    wrong = JobError(asked, found, advice)
    return {"asked": wrong.asked, "found": wrong.found, "advice": wrong.advice}


def _unknown() -> UnknownJob:
    return UnknownJob(
        "Open an evaluation",
        "it is not here any more: it has expired, was deleted, or the link is not complete",
        "Run it again",
    )
