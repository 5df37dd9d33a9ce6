"""Measures the seconds of recordings in which listeners marked something, while the separation is still there.

A separation is deleted after a day, a rating stays. So that marks can be compared with metrics later, a thread looks now and
then for rated trials with marks and has every second of their stage measured, as the strip under the player does; only the
numbers are kept (`ratings.marks.Records`). Of a trial whose separation is gone but whose audio was allowed to be kept, what
needs no reference is measured from the clips; of any other there is nothing to measure.

It only adds numbers, and deletes those of ratings that were withdrawn. What they mean is in `ratings.marks`.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from separation.engine.claims import Claims
from separation.engine.jobs import STAGES, Job
from separation.engine.segment_queue import SegmentQueue
from separation.errors import Busy, SeparationError
from separation.metrics import Value, measure
from separation.ratings import ClipStore
from separation.ratings.browse import Catalogue, Line, clip_start
from separation.ratings.marks import Records
from separation.ui.frame import Services
from separation.ui.rating_trials import subject_of

BLIND = ("estimate_db", "stem_similarity")
"""What is measured of clips: there is neither a reference nor a residual among them."""
LOOKS = 4
"""How often the thread looks while a separation is kept."""
POLL = 2.0
"""Seconds between looks at what is being measured."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Coverage:
    """Of how many marked trials there are numbers.

    Args:
        stage: measured with everything that the separation had.
        clips: measured from what was kept, without references.
        waiting: still to be measured.
        nothing: neither the separation nor the audio is here.
        failed: could not be measured; the log says why.
    """

    stage: int = 0
    clips: int = 0
    waiting: int = 0
    nothing: int = 0
    failed: int = 0

    def to_json(self) -> dict[str, int]:
        return asdict(self)


class MarkedSeconds:
    """The numbers of marked trials, and the thread that gathers them.

    Args:
        services: the jobs, the clips, the settings.
        catalogue: the ratings.
        queue: who measures; None makes one with a single thread.
    """

    def __init__(self, services: Services, catalogue: Catalogue, queue: SegmentQueue | None = None) -> None:
        self._jobs, self._clips = services.store, services.clips
        self.catalogue = catalogue
        self._queue = queue or SegmentQueue(Claims(services.store.folder / "claims"), threads=1)
        self._records = Records(services.settings.marked)
        self._every = min(3600.0, services.settings.keep_hours * 3600 / LOOKS)
        self._failed: set[str] = set()
        self._look = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Look from time to time until the process ends."""
        self._thread = threading.Thread(target=self._watch, name="earshot-marked", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._look.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Look now rather than at the next time."""
        self._look.set()

    def measured(self) -> Iterator[tuple[Line, dict[str, Any]]]:
        """Marked trials with their numbers."""
        for line in self._marked():
            record = self._records.get(line.trial.id)
            if record is not None:
                yield line, record

    def coverage(self) -> Coverage:
        """How far it is."""
        counts, jobs = asdict(Coverage()), self._here()
        for line in self._marked():
            counts[self._state(line, jobs)] += 1
        return Coverage(**counts)

    def sweep(self) -> None:
        """Delete the numbers of ratings that are no more."""
        self._records.keep_only(line.trial.id for line in self.catalogue.lines())

    def gather(self) -> bool:
        """Take what has been measured and ask for what has not. Returns whether something is still to come."""
        with self._lock:  # the thread, and a test or a page that does not wait for it
            jobs = self._here()
            try:
                return sum(self._gather(line, jobs) for line in self._marked()) > 0
            finally:
                self.sweep()  # last, because a rating may be withdrawn while it is measured

    def _here(self) -> dict[str, Job]:
        """The jobs that are here, by what trials say of them."""
        return {subject_of(job): job for job in self._jobs.all()}

    def _gather(self, line: Line, jobs: dict[str, Job]) -> bool:
        trial = line.trial.id
        record = self._records.get(trial)
        if trial in self._failed or (record is not None and _has_references(record)):
            return False
        try:
            job = self._job(line, jobs)
            if job is not None:
                return self._from_stage(line, job, record)
            if record is None and _is_kept(line, self._clips):
                self._records.put(trial, self._from_clips(line))
        except Busy:
            return True
        except SeparationError:
            _log.exception("The marked seconds of the trial %s could not be measured", trial)
            self._failed.add(trial)
        return False

    def _from_stage(self, line: Line, job: Job, known: dict[str, Any] | None) -> bool:
        """Whether the numbers are still to come. A stage may get references later, and is measured anew then."""
        stage = line.trial.served["stage"]
        standing = self._queue.look(job, stage)
        if standing.state == "complete" and standing.record is not None:
            if known is None or known["source"] == "clips" or _has_references(standing.record):
                self._records.put(line.trial.id, {**standing.record, "source": "stage", "start": 0.0})
            return False
        if standing.error is not None:
            raise standing.error
        self._queue.ask(job, stage)
        return True

    def _from_clips(self, line: Line) -> dict[str, Any]:
        """What the kept audio tells; raises as `ClipFolder.get` and `measure`."""
        clips = line.trial.clips
        mixture = self._clips.get(clips["mixture"])
        stems = {role.removeprefix("stem:"): self._clips.get(clip) for role, clip in clips.items() if role != "mixture"}
        values = measure(
            {},
            {name: torch.from_numpy(signal.samples) for name, signal in stems.items()},
            mixture.sample_rate,
            mixture=torch.from_numpy(mixture.samples),
            metrics=BLIND,
            window=1.0,
            hop=None,
        )
        start = clip_start(line.trial) or 0.0
        return {"source": "clips", "start": start, "hop": min(1.0, mixture.duration), "series": _series(values)}

    def _job(self, line: Line, jobs: dict[str, Job]) -> Job | None:
        """The job that a trial was served from, while it and the stage are here."""
        job, stage = jobs.get(line.trial.subject or ""), line.trial.served.get("stage")
        return job if job is not None and stage in STAGES and job.stage(stage) is not None else None

    def _state(self, line: Line, jobs: dict[str, Job]) -> str:
        record = self._records.get(line.trial.id)
        if record is not None:
            return str(record["source"])
        if line.trial.id in self._failed:
            return "failed"
        return "waiting" if self._job(line, jobs) is not None or _is_kept(line, self._clips) else "nothing"

    def _marked(self) -> list[Line]:
        return [line for line in self.catalogue.lines() if line.marks]

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._look.clear()
            try:
                more = self.gather()
            except Exception:  # a full disk, a database that is away: no rating is at stake, and the next look may do
                _log.exception("Marked seconds could not be gathered")
                more = False
            if more:
                self._stopped.wait(POLL)
            else:
                self._look.wait(self._every)


def _has_references(record: dict[str, Any]) -> bool:
    return any(series["of"] == "reference" for series in record["series"])


def _is_kept(line: Line, clips: ClipStore) -> bool:
    """Whether the audio can be measured: a trial of another kind may have no mixture."""
    return "mixture" in line.trial.clips and line.has_audio(clips)


def _series(values: Sequence[Value]) -> list[dict[str, Any]]:
    """Windows of each source and metric, in order."""
    found: dict[tuple[str, str], list[float | None]] = {}
    for value in values:
        if value.start is not None:
            found.setdefault((value.source, value.metric), []).append(value.value)
    return [{"source": s, "metric": m, "of": "estimate", "values": list(each)} for (s, m), each in found.items()]
