"""Who measures every second of a stage when somebody looks: a few threads, each stage once however many ask.

Nothing lives here but the queue: the numbers grow in the stage's own folder (`segments`), so that they outlive the page, and
a process that dies leaves what it had measured; the next look begins anew. The measuring ends when the job is deleted, and
begins anew when it gets references meanwhile. Locks keep processes that share a data folder from measuring the same stage.

Not for models: what is run here, at most, is an oracle, on the CPU. The separations of other visitors go on beside it.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from separation.audio.files import is_disk_full
from separation.engine.claims import Claims
from separation.engine.jobs import Job
from separation.engine.segments import Record, is_current, measure_stage, read_record, stamp
from separation.errors import Busy, Cancelled, JobError, SeparationError, UnknownJob

ORACLE = "oracle:irm2"
"""The bound beside every model: the ideal ratio mask of powers on the STFT of the SiSEC 2018 oracles. One yardstick for all,
rather than a mask in the latent of the model at hand: so the strips of two models compare, and the bound is the one that
published tables have. It keeps the mixture's phases, as most models here do."""

FAILURES = 64
"""Failures that are remembered, so that who asks is told why."""

_log = logging.getLogger(__name__)
_Stage = tuple[Job, str]


@dataclass(frozen=True)
class Standing:
    """How far the measuring of a stage is.

    Args:
        state: complete, measuring, waiting (for other stages), failed, or idle: nobody has asked, or who measured was stopped.
        position: stages ahead, while waiting.
        error: why it failed.
        record: what is known so far, see `segments.measure_stage`; None before the first numbers.
    """

    state: Literal["complete", "measuring", "waiting", "failed", "idle"]
    position: int = 0
    error: SeparationError | None = None
    record: Record | None = None


class _Key(NamedTuple):
    job: str
    stage: str


class SegmentQueue:
    """The stages that are being measured, and those that wait.

    Args:
        claims: locks that no other process has while it measures the same.
        threads: stages at once. They are started when needed and end when nothing waits.
        waiting: stages that may wait; who asks for more is refused.
        measure: for tests.
    """

    def __init__(
        self, claims: Claims, *, threads: int = 2, waiting: int = 16, measure: Callable[..., Record] = measure_stage
    ) -> None:
        self._claims = claims
        self._threads, self._most = threads, waiting
        self._measure = measure
        self._waiting: deque[_Stage] = deque()
        self._running: set[_Key] = set()
        self._failed: OrderedDict[_Key, SeparationError] = OrderedDict()
        self._alive = 0
        self._lock = threading.Lock()

    def ask(self, job: Job, stage: str) -> None:
        """Have a complete stage measured, unless it is or will be.

        Raises:
            Busy: too many wait already.
        """
        folder = job.folder / stage
        record = read_record(folder)
        if record is not None and record["complete"] and is_current(folder, record):
            return
        with self._lock:
            key = _Key(job.id, stage)
            if key in self._running or key in map(_key, self._waiting):
                return
            if len(self._waiting) >= self._most:
                found = f"{len(self._waiting)} other recordings wait to be measured"
                raise Busy("Measure every second", found, "Try again in a minute")
            self._failed.pop(key, None)
            self._waiting.append((job, stage))
            if self._alive < self._threads:
                self._alive += 1
                threading.Thread(target=self._work, name="earshot-segments", daemon=True).start()

    def look(self, job: Job, stage: str) -> Standing:
        """How far a stage is, and its numbers so far. Never starts anything."""
        key, folder = _Key(job.id, stage), job.folder / stage
        with self._lock:
            running, failed = key in self._running, self._failed.get(key)
            position = next((i for i, other in enumerate(self._waiting) if _key(other) == key), None)
        found = read_record(folder)  # after the question who measures: it may just have become complete
        record = found if is_current(folder, found) else None
        if record is not None and record["complete"]:
            return Standing("complete", record=record)
        if running:
            return Standing("measuring", record=record)
        if position is not None:
            return Standing("waiting", position=position + 1, record=record)
        return Standing("idle" if failed is None else "failed", error=failed, record=record)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._alive -= 1
                    return
                job, stage = self._waiting.popleft()
                key = _key((job, stage))
                self._running.add(key)
            error = self._run(job, stage)
            with self._lock:
                self._running.discard(key)
                if error is not None:
                    self._failed[key] = error
                while len(self._failed) > FAILURES:
                    self._failed.popitem(last=False)

    def _run(self, job: Job, stage: str) -> SeparationError | None:
        """Measure one stage to its end. Never raises: returns what went wrong, if anything did."""
        name = f"{job.id}-{stage}"
        if not self._claims.take(name):  # another process is at it; its numbers are in the same folder
            return None
        try:
            while True:
                try:
                    self._once(job, stage)
                    return None
                except Cancelled:
                    if stamp(job.folder / stage) is None:
                        return None
                    # else: it has got references meanwhile, or was made again
        except UnknownJob:
            return None
        except Exception as error:
            if stamp(job.folder / stage) is None:  # deleted under us: files are missing, and nobody will ask why
                return None
            if isinstance(error, SeparationError):
                return error
            _log.exception("The seconds of job %s… could not be measured", job.id[:4])
            return _explained(error)
        finally:
            self._claims.give_back(name)

    def _once(self, job: Job, stage: str) -> None:
        folder = job.folder / stage
        begun = stamp(folder)
        oracle = None if job.request.model == ORACLE else ORACLE  # which is not measured beside itself
        self._measure(folder, oracle=oracle, cancelled=lambda: stamp(folder) != begun)


def _key(stage: _Stage) -> _Key:
    return _Key(stage[0].id, stage[1])


def _explained(error: Exception) -> SeparationError:
    asked = "Measure every second"
    if isinstance(error, OSError) and is_disk_full(error):
        return JobError(asked, "the disk of this machine is full", "Delete separations that are no longer needed")
    if isinstance(error, MemoryError):
        return JobError(asked, "this machine ran out of memory", "Try again later")
    advice = "Try again; if it happens again, tell the owner of this page, whose log has the details"
    return JobError(asked, "something unexpected went wrong inside the program", advice)
