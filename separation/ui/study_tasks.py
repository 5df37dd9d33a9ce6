"""Long work for studies: building the audio, dry runs. One after the other, in one thread; how far it is, is in a file.

The page may be closed, reloaded or opened twice meanwhile. A *file* stops a piece of work, as with jobs and lessons. What a
restart cut off is not taken up again by itself: the file then says that it was cut off, and the button is there again.

    STUDY/tasks/KIND.json      how far it is, and what came of it
    STUDY/tasks/KIND.cancel    exists: stop

Not a queue of visitors: only the owner asks for these, so there are no places and no limits but one of each kind a study.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from separation.audio.files import is_disk_full
from separation.errors import Busy, Cancelled, SeparationError, UnknownJob
from separation.ui.answers import finite
from separation.ui.runs import write_json

Status = Literal["none", "waiting", "running", "done", "failed", "cancelled"]

_WRITE_EVERY = 0.25  # seconds between two writes of the progress
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskState:
    """How far a piece of work is.

    Args:
        status: ``none`` if nobody has asked for it yet.
        part: that is done, 0 to 1; None while that is not known.
        doing: what is worked on now, in words.
        error: what was asked, what was found and what to do; None unless failed.
        result: what came of it; None unless done.
        version: of the study that it was asked for: its text's hash.
        updated: seconds since 1970.
    """

    status: Status = "none"
    part: float | None = None
    doing: str = ""
    error: dict[str, str] | None = None
    result: Mapping[str, Any] | None = None
    version: str = ""
    updated: float = 0.0

    @property
    def busy(self) -> bool:
        return self.status in ("waiting", "running")


Report = Callable[[float, str], None]
"""Told the part that is done, 0 to 1, and what comes next."""
Work = Callable[[Report, Callable[[], bool]], Mapping[str, Any]]
"""Does it: gets what to tell and what to ask whether to stop; returns what came of it, as JSON has it."""


@dataclass
class Tasks:
    """The work of an installation.

    Args:
        clock: the time now, in seconds since 1970.
    """

    clock: Callable[[], float] = time.time
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="earshot-study"))
    _mine: set[tuple[Path, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, folder: Path, kind: str, work: Work, *, version: str, asked: str) -> None:
        """Do it as soon as what was asked for before is done.

        Args:
            folder: of the study.
            kind: a name for files: ``build``, ``dry-run``.
            work: what to do.
            version: what of the study it is for.
            asked: for the error that says what went wrong.

        Raises:
            Busy: this study has one of that kind already.
        """
        key = folder, kind
        with self._lock:
            if key in self._mine:
                raise Busy(asked, "it is at work already", "Wait until it is ready, or cancel it")
            self._mine.add(key)
        try:
            (folder / "tasks").mkdir(exist_ok=True)
            _cancel_file(folder, kind).unlink(missing_ok=True)
            self._write(folder, kind, TaskState("waiting", version=version))
            self._pool.submit(self._through, folder, kind, work, version, asked)
        except BaseException:
            self._forget(key)
            raise

    def look(self, folder: Path, kind: str) -> TaskState:
        """How far it is."""
        with self._lock:
            mine = (folder, kind) in self._mine  # asked before the file is read: it may be done in between
        try:
            state = TaskState(**json.loads(_state_file(folder, kind).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return TaskState()
        except (ValueError, TypeError):  # of another version, or damaged by hand
            _log.exception("The file %s cannot be read", _state_file(folder, kind))
            return TaskState()
        if mine or not state.busy:
            return state
        error = {
            "asked": "Go on",
            "found": "Earshot was started again meanwhile",
            "advice": "Start it again; what is finished is kept where that is possible",
        }
        return replace(state, status="failed", error=error)

    def cancel(self, folder: Path, kind: str) -> None:
        """Ask it to stop; nothing happens if it is not at work."""
        with contextlib.suppress(FileNotFoundError):
            _cancel_file(folder, kind).touch()

    def busy(self, folder: Path) -> bool:
        """Whether there is any work for this study, waiting or running."""
        with self._lock:
            return any(of == folder for of, _ in self._mine)

    def stop(self) -> None:
        """Finish what runs; what waits is left out."""
        with self._lock:
            mine = list(self._mine)
        for folder, kind in mine:
            self.cancel(folder, kind)
        self._pool.shutdown(cancel_futures=True)

    def _through(self, folder: Path, kind: str, work: Work, version: str, asked: str) -> None:
        """Whatever happens is in the file; nothing is raised."""
        stop = _cancel_file(folder, kind)
        state = TaskState("running", version=version)
        written = 0.0

        def cancelled() -> bool:
            return stop.exists() or not folder.exists()

        def report(part: float, doing: str) -> None:
            nonlocal state, written
            state = replace(state, part=part, doing=doing)
            if time.monotonic() - written >= _WRITE_EVERY:
                written = time.monotonic()
                self._write(folder, kind, state)

        try:
            if cancelled():
                raise Cancelled(asked, "it was stopped", "Start it again when you like")
            self._write(folder, kind, state)
            result = work(report, cancelled)
            state = replace(state, status="done", part=1.0, doing="", result=result)
        except BaseException as error:
            ended: Status = "cancelled" if isinstance(error, Cancelled) or stop.exists() else "failed"
            state = replace(state, status=ended, doing="", error=_explain(error, asked) if ended == "failed" else None)
            if ended == "failed" and not isinstance(error, SeparationError):
                _log.exception("%s failed", asked)
        finally:
            with contextlib.suppress(UnknownJob):  # the study was deleted meanwhile
                self._write(folder, kind, state)
            self._forget((folder, kind))

    def _write(self, folder: Path, kind: str, state: TaskState) -> None:
        write_json(_state_file(folder, kind), finite(asdict(replace(state, updated=self.clock()))))

    def _forget(self, key: tuple[Path, str]) -> None:
        with self._lock:
            self._mine.discard(key)


def _state_file(folder: Path, kind: str) -> Path:
    return folder / "tasks" / f"{kind}.json"


def _cancel_file(folder: Path, kind: str) -> Path:
    return folder / "tasks" / f"{kind}.cancel"


def _explain(error: BaseException, asked: str) -> dict[str, str]:
    """Any error in three parts that the owner can use; never a traceback."""
    if isinstance(error, SeparationError):
        return {"asked": error.asked, "found": error.found, "advice": error.advice}
    if isinstance(error, OSError) and is_disk_full(error):
        found, advice = (
            "the disk of this machine is full",
            "Delete studies or jobs that are no longer needed, then try again",
        )
    elif isinstance(error, MemoryError):
        found, advice = "this machine ran out of memory", "Choose shorter items or smaller models"
    else:
        found = f"something unexpected went wrong inside the program ({type(error).__name__})"
        advice = "Try again; if it happens again, the log has the details"
    return {"asked": asked, "found": found, "advice": advice}
