"""Workers run jobs: one thread a GPU, a few for the CPU, and one that keeps house.

Everything a visitor sees goes through the state file of a job, so this file holds only what dies with the process: the
queues, the loaded models and the threads. It is not a scheduler: jobs run in the order they came, on the best device there
is, and what another process left unfinished is queued again; only edits of a few seconds, for which somebody waits with an ear
at the loudspeaker, go before all others. Processes may share a data folder: see `claims`.
"""

import contextlib
import logging
import math
import shutil
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Protocol

import torch

from separation.audio import AudioInfo, Reader, RegionReader, open_reader, require_disk
from separation.audio.files import is_disk_full
from separation.engine.calibration import Calibration, Estimate, Speed, time_chunk
from separation.engine.claims import Claims
from separation.engine.edits import Edited
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.options import Progress, Report
from separation.engine.pitches import Pitches, find_pitches, pitches_of_stems, told
from separation.engine.references import check_told
from separation.engine.stages import Stretch, bytes_needed, write_stage
from separation.errors import Cancelled, DeviceError, EmptyAudio, JobError, SeparationError, UnknownJob
from separation.models import PITCH, Separator, build_oracle, oracle_name

PREVIEW = 15.0
"""Seconds of the preview."""

PREVIEW_FROM = 25.0
"""Seconds from which on a recording gets a preview; a shorter one is done as fast as its preview."""

MODELS_KEPT = 3
"""Loaded models that are kept per device."""

_STATE_EVERY = 0.25  # seconds between two writes of the progress
_HOUSE_EVERY = 1.0  # seconds between two looks at the queue
_ADOPT_EVERY = 10.0  # seconds between two searches for what another process left
_EXPIRE_EVERY = 600.0  # seconds between two searches for expired jobs
_log = logging.getLogger(__name__)


class Load(Protocol):
    """`hub.load`, handed down."""

    def __call__(
        self, name: str, *, device: str = ..., progress: Callable[[int, int], None] | None = ...
    ) -> Separator: ...


class Workers:
    """The threads that run the jobs of a store.

    Args:
        store: where the jobs are; measurements of this machine are kept beside it.
        load: gives a ready separator for a model's name and a device.
        devices: what to run on, best first, e.g. ``("cuda:0", "cpu")``.
        cpu_workers: jobs at once on the CPU.
    """

    def __init__(self, store: JobStore, load: Load, *, devices: Sequence[str], cpu_workers: int = 1) -> None:
        if not devices:
            raise JobError("Start the workers", "no device to run on", "Name at least one, such as cpu")
        self.store = store
        self.devices = tuple(devices)
        self._models = _Models(load)
        self._calibration = Calibration(store.folder / "calibration.json")
        self._queues: dict[str, deque[Job]] = {_kind(device): deque() for device in devices}
        self._running: dict[str, str] = {}
        self._claims = Claims(store.folder / "claims")
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._adopting = False
        self._threads = [threading.Thread(target=self._keep_house, name="earshot-house", daemon=True)]
        for device in devices:
            for number in range(cpu_workers if device == "cpu" else 1):
                name = f"earshot-{device}-{number}"
                self._threads.append(threading.Thread(target=self._work, args=(device,), name=name, daemon=True))

    def start(self, *, running: bool = True) -> None:
        """Queue what an earlier process left unfinished, and begin.

        Args:
            running: False on ZeroGPU, where jobs run inside the page's own calls: then there is only the housekeeping,
                and what an earlier process left unfinished has failed.
        """
        self._adopting = running
        if running:
            self._adopt()
        else:
            for job in self._unclaimed():
                self._end(job, _restarted(job.request))
        for thread in self._threads if running else self._threads[:1]:
            thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Stop after the running chunks. What is unfinished stays queued on disk for the next process."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout)
        self._claims.give_all_back()

    def submit(self, job: Job) -> None:
        """Queue a job. Where it waits, and how many are ahead of it, is in its state.

        Nothing happens if it is queued already, here or in another process.
        """
        if self._claims.take(job.id):
            self._queue(job)

    def _queue(self, job: Job) -> None:
        with self._changed:
            try:
                queue = self._queues[_kind(self.device_for(job.request.options.device))]
            except DeviceError as error:
                self._end(job, error)
                return
            brief = sum(_is_brief(other) for other in queue)  # they stand in front
            queue.insert(brief if _is_brief(job) else len(queue), job)
            job.write_state(status="waiting", fraction=0.0, remaining=None, position=self._ahead(job))
            self._changed.notify_all()

    def device_for(self, wanted: str) -> str:
        """The device a job that asks for `wanted` runs on: ``auto`` is the best there is.

        Raises:
            DeviceError: this installation does not run on that device.
        """
        if wanted == "auto":
            return self.devices[0]
        for device in self.devices:
            if device == wanted or _kind(device) == wanted:
                return device
        raise DeviceError(
            f"Run on {wanted}", f"this installation runs on {', '.join(self.devices)}", "Choose one of these, or auto"
        )

    def estimate(self, model: str, info: AudioInfo, *, device: str = "auto", preview: bool = True) -> Estimate:
        """How long `model` takes for the recording `info`, by what was measured on this machine.

        Args:
            device: ``auto`` or one of this installation's devices.
            preview: count the preview that long recordings get first.

        Raises:
            DeviceError: no such device here.
        """
        device = self.device_for(device)
        duration = info.length / info.sample_rate
        extra = PREVIEW if preview and duration > PREVIEW_FROM else 0.0
        speed = self._calibration.get(model, device)
        if speed is None:
            return Estimate(duration + extra, None, False, device)
        seconds = speed.seconds(duration) + (speed.seconds(extra) if extra else 0.0)
        return Estimate(seconds, speed.memory, True, device)

    def speed(self, model: str, device: str = "auto") -> Speed | None:
        """What this machine remembers of a model; None if it never ran here.

        Raises:
            DeviceError: no such device here.
        """
        return self._calibration.get(model, self.device_for(device))

    def calibrate(self, model: str, device: str = "auto") -> Speed:
        """Load a model and time one chunk, unless this machine remembers it. Takes as long as two chunks."""
        device = self.device_for(device)
        separator = self._models.get(model, device)
        known = self._calibration.get(model, device)
        if known is None:
            known = time_chunk(separator, device)
            self._calibration.put(model, device, known)
        return known

    def run(self, job: Job, device: str) -> None:
        """Run a job to its end in this thread. Whatever happens is in the job's state; nothing is raised.

        For who does without the queue, as the page does on ZeroGPU inside the function that holds the GPU. Nothing happens
        if the job is queued already, here or in another process.
        """
        if self._claims.take(job.id):
            self._run(job, device)

    def _run(self, job: Job, device: str) -> None:
        try:
            if job.cancelled:
                raise _cancelled()
            _Run(job, device, self._models, self._calibration, self._stopping).through()
        except BaseException as error:
            if isinstance(error, UnknownJob) and not job.folder.exists():  # it may also be about another job
                _log.info("Job %s… was deleted while it ran", job.id[:4])
                return
            self._end(job, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._claims.give_back(job.id)

    def _end(self, job: Job, error: BaseException) -> None:
        try:
            if isinstance(error, Cancelled) and self._stopping.is_set() and not job.cancelled:
                job.write_state(status="waiting", stage="read", fraction=0.0, remaining=None)
            elif isinstance(error, Cancelled) or job.cancelled:
                job.write_state(status="cancelled", remaining=None, position=0)
            else:
                if not isinstance(error, SeparationError):
                    _log.error("Job %s… failed", job.id[:4], exc_info=error)
                job.write_state(status="failed", remaining=None, position=0, error=explain(error, job.request))
        except UnknownJob:
            _log.info("Job %s… was deleted while it ran", job.id[:4])
        finally:
            self._claims.give_back(job.id)

    def _unclaimed(self) -> Iterator[Job]:
        """Unfinished jobs that no process has, claimed."""
        for job in self.store.all():
            with contextlib.suppress(UnknownJob):  # deleted just now
                if job.state().finished or not self._claims.take(job.id):
                    continue
                if job.state().finished:  # while we looked
                    self._claims.give_back(job.id)
                else:
                    yield job

    def _adopt(self) -> None:
        for job in self._unclaimed():
            self._queue(job)

    def _work(self, device: str) -> None:
        queue = self._queues[_kind(device)]
        while True:
            with self._changed:
                while not queue and not self._stopping.is_set():
                    self._changed.wait()
                if self._stopping.is_set():
                    return
                job = queue.popleft()
                self._running[job.id] = _kind(device)
            try:
                self._run(job, device)
            finally:
                with self._changed:
                    del self._running[job.id]

    def _keep_house(self) -> None:
        expired = adopted = time.monotonic()
        while not self._stopping.wait(_HOUSE_EVERY):
            try:
                self._tidy_queues()
                if self._adopting and time.monotonic() - adopted > _ADOPT_EVERY:
                    adopted = time.monotonic()
                    self._adopt()
                if time.monotonic() - expired > _EXPIRE_EVERY:
                    expired = time.monotonic()
                    self.store.expire()
            except Exception:  # a broken folder must not end the housekeeping of all others
                _log.exception("Keeping house failed")

    def _tidy_queues(self) -> None:
        """Drop what was cancelled or deleted while it waited, and tell the others how many are ahead."""
        with self._changed:
            for queue in self._queues.values():
                for job in [job for job in queue if job.cancelled]:
                    queue.remove(job)
                    self._end(job, _cancelled())
                for job in queue:
                    try:
                        if job.state().position != self._ahead(job):
                            job.write_state(position=self._ahead(job))
                    except UnknownJob:  # deleted just now; the next round drops it
                        continue

    def _ahead(self, job: Job) -> int:
        kind = _kind(self.device_for(job.request.options.device))
        return self._queues[kind].index(job) + sum(other == kind for other in self._running.values())


class _Run:
    """One job on its way through its stages, and the bookkeeping of how far it is."""

    def __init__(
        self, job: Job, device: str, models: "_Models", calibration: Calibration, stopping: threading.Event
    ) -> None:
        self._job = job
        self._device = device
        self._models = models
        self._calibration = calibration
        self._stopping = stopping
        self._durations: list[float] = []  # seconds of audio in each stage
        self._index = 0  # of the stage that is being made
        self._began = 0.0  # monotonic time at which that stage began
        self._said = 0.0  # monotonic time of the last progress on disk

    def through(self) -> None:
        """From the first state to the last."""
        job, request = self._job, self._job.request
        job.write_state(status="running", stage="read", position=0, device=self._device, error=None)
        oracle = oracle_name(request.model) or ""
        model = None if oracle else self._models.get(request.model, self._device, self._on_download)
        job.write_state(messages=())
        shutil.rmtree(job.scratch, ignore_errors=True)  # what a killed process left
        with open_reader(job.input, scratch=job.scratch, cancelled=self._cancelled) as recording:
            separator = _oracle_for(request, oracle, recording) if model is None else self._told(model, recording)
            if request.edit is not None:
                separator = Edited(separator, request.edit, guided=request.edit_of is not None)
            _check_sources(request, separator)
            stretches = stretches_of(request, recording, preview_there=job.stage("preview") is not None)
            require_disk(job.folder, bytes_needed(request, separator.spec, recording.channels, stretches))
            self._durations = [stretch.length / recording.sample_rate for stretch in stretches]
            reports = [self._separate(separator, recording, stretch) for stretch in stretches]
        shutil.rmtree(job.scratch, ignore_errors=True)
        job.write_state(
            status="done",
            fraction=1.0,
            remaining=0.0,
            report=asdict(reports[-1]),
            device=reports[-1].device,
            precision=reports[-1].precision,
            messages=(*recording.info.notes, *reports[-1].messages),
        )

    def _told(self, model: Separator, recording: Reader) -> Separator:
        """The model for the voices of this job, whose pitch is found in the recording where it did not come along."""
        if PITCH not in model.spec.needs:
            return model
        request = self._job.request
        pitches = self._job.pitches
        if pitches is None and (request.voices is not None or self._job.references):
            pitches = self._find_pitches(recording)
            self._job = self._job.write_pitches(pitches)
            self._job.write_state(messages=())
        if pitches is not None:
            pitches.check(request.name, recording.length / recording.sample_rate)
        return told(model, pitches, request.name)

    def _find_pitches(self, recording: Reader) -> Pitches:
        """In the part that is separated; or where nobody says how many voices sing, in the true sources."""
        job, request = self._job, self._job.request
        if request.voices is None:
            with ExitStack() as stack:
                stems = {
                    name: stack.enter_context(open_reader(path, scratch=job.scratch, cancelled=self._cancelled))
                    for name, path in job.references.items()
                }
                return pitches_of_stems(stems, progress=self._on_pitch, cancelled=self._cancelled)
        part = stretches_of(request, recording, preview_there=True)[0]
        region, start = RegionReader(recording, part.start, part.length), part.start / recording.sample_rate
        return find_pitches(region, request.voices, start=start, progress=self._on_pitch, cancelled=self._cancelled)

    def _separate(self, separator: Separator, recording: Reader, stretch: Stretch) -> Report:
        self._began = time.monotonic()
        phase = "preview" if stretch.stage == "preview" else "separate"
        self._job.write_state(stage=phase, **self._how_far(0.0))
        report = write_stage(
            self._job,
            stretch,
            separator,
            recording,
            device=self._device,
            progress=self._on_progress,
            cancelled=self._cancelled,
        )
        speed = Speed(report.seconds / report.chunks, report.hop, accelerator_memory(report.device))
        self._calibration.put(self._job.request.model, report.device, speed)
        self._index += 1
        return report

    def _cancelled(self) -> bool:
        return self._stopping.is_set() or self._job.cancelled

    def _on_download(self, fetched: int, total: int) -> None:
        """Show the fetching of a model; raising ends it."""
        if self._cancelled():
            raise _cancelled()
        now = time.monotonic()
        if now - self._said >= _STATE_EVERY:
            self._said = now
            self._job.write_state(messages=(f"Fetching the model: {fetched / 1e6:.0f} of {total / 1e6:.0f} MB",))

    def _on_pitch(self, done: float) -> None:
        now = time.monotonic()
        if now - self._said >= _STATE_EVERY:
            self._said = now
            voices = self._job.request.voices or len(self._job.references)
            self._job.write_state(messages=(f"Finding the pitch of {voices} voices: {100 * done:.0f} %",))

    def _on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        last = progress.done >= progress.total
        if last or now - self._said >= _STATE_EVERY:
            self._said = now
            phase = {"stage": "write"} if last and self._index == len(self._durations) - 1 else {}
            self._job.write_state(**phase, **self._how_far(progress.fraction))

    def _how_far(self, done: float) -> dict[str, float | None]:
        """Fraction and remaining seconds of the whole job when `done` (0 to 1) of the running stage is."""
        audio_done = sum(self._durations[: self._index]) + done * self._durations[self._index]
        return {"fraction": audio_done / sum(self._durations), "remaining": self._remaining(done)}

    def _remaining(self, done: float) -> float | None:
        """By the pace of this stage once some of it is done, before that by what this machine remembers."""
        left = [(1 - done) * self._durations[self._index], *self._durations[self._index + 1 :]]
        if done > 0:
            pace = (time.monotonic() - self._began) / (done * self._durations[self._index])
            return sum(left) * pace
        speed = self._calibration.get(self._job.request.model, self._device)
        return None if speed is None else sum(speed.seconds(duration) for duration in left)


def stretches_of(request: Request, recording: Reader, *, preview_there: bool = False) -> list[Stretch]:
    """The stages of a job: a preview where one was asked for and is worth it, then everything that was asked for.

    Raises:
        EmptyAudio: the request lies outside the recording.
    """
    rate = recording.sample_rate
    start = min(round((request.offset or 0.0) * rate), recording.length)
    stop = recording.length if request.duration is None else start + round(request.duration * rate)
    length = min(stop, recording.length) - start
    if length < 1:
        raise EmptyAudio(
            f"Separate {request.name} from {request.offset or 0:.2f} s on",
            f"the recording has {recording.length / rate:.2f} s",
            "Choose a part inside the recording",
        )
    full = Stretch("full", start, length)
    if request.preview_at is None or preview_there or length <= PREVIEW_FROM * rate:
        return [full]
    preview = round(PREVIEW * rate)
    middle = round(request.preview_at * rate) - preview // 2
    return [Stretch("preview", min(max(middle, start), start + length - preview), preview), full]


def explain(error: BaseException, request: Request) -> dict[str, str]:
    """Any error in three parts that a visitor can use; never a traceback."""
    asked = f"Separate {request.name}"
    if isinstance(error, SeparationError):
        return {"asked": error.asked, "found": error.found, "advice": error.advice}
    if isinstance(error, OSError) and is_disk_full(error):
        found, advice = (
            "the disk of this machine is full",
            "Delete separations that are no longer needed, then try again",
        )
    elif isinstance(error, MemoryError):
        found, advice = "this machine ran out of memory", "Choose a shorter part or a smaller model, or try again later"
    else:
        found, advice = (
            "something unexpected went wrong inside the program",
            "Try again; if it happens again, tell the owner of this page, whose log has the details",
        )
    return {"asked": asked, "found": found, "advice": advice}


def accelerator_memory(device: str) -> int | None:
    """Bytes of CUDA memory used at most so far; None on other devices, where it is not measured."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


def _oracle_for(request: Request, oracle: str, recording: Reader) -> Separator:
    """An oracle for the references that came along and the recording's own rate."""
    check_told(request.model, request.name, request.references)
    return build_oracle(oracle, sources=request.references, sample_rate=recording.sample_rate)


def _check_sources(request: Request, separator: Separator) -> None:
    unknown = set(request.sources or ()) - set(separator.spec.sources)
    if unknown or request.sources == ():
        raise JobError(
            f"Separate {request.name} with {request.model}",
            f"no source called {', '.join(sorted(unknown))}" if unknown else "no source was chosen",
            f"Choose from {', '.join(separator.spec.sources)}",
        )


def _is_brief(job: Job) -> bool:
    """An edit of a part: over in seconds, and too few at once (`engine.editing`) to keep others waiting."""
    return job.request.edit_of is not None and (job.request.duration or math.inf) <= PREVIEW


def _kind(device: str) -> str:
    """Devices of one kind share a queue."""
    return device.partition(":")[0]


def _restarted(request: Request) -> JobError:
    return JobError(f"Separate {request.name}", "the page was restarted while it ran", "Separate it again")


def _cancelled() -> Cancelled:
    return Cancelled("Separate the recording", "it was stopped", "Start it again when you like")


class _Models:
    """Loaded models, the last few per device. Two jobs that want the same model wait for one loading."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._kept: dict[str, OrderedDict[str, Separator]] = defaultdict(OrderedDict)
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def get(self, name: str, device: str, progress: Callable[[int, int], None] | None = None) -> Separator:
        with self._locks[device]:
            kept = self._kept[device]
            if name not in kept:
                kept[name] = self._load(name, device=device, progress=progress)
            kept.move_to_end(name)
            while len(kept) > MODELS_KEPT:
                kept.popitem(last=False)
            return kept[name]
