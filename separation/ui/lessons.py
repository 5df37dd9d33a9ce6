"""Lessons as folders: what a model is learned from, how far that is, what its components look like so far, and the model.

As with the engine's jobs and with evaluations (`separation.ui.runs`), everything is in files, so that a lesson outlives the
page that asked for it, the tab and the process; a *file* named `cancel` stops it; its id is an unguessable capability and
nothing lists them to a visitor. What teaches is handed in (`Teach`). A lesson that a restart cut off is taken up again, from
its start: learning takes a minute or two. No address of a visitor is looked at: the limits count for the whole page.

    ID/lesson.json       what was asked for
    ID/state.json        how far it is
    ID/cancel            exists: stop
    ID/clips/S/N.wav     the clips of source S, its own copies
    ID/given/S/          the model folder that source S is taken from, where it was learned before
    ID/losses.json       the objective by source, step by step
    ID/patches.npz       the components as they are now
    ID/model/            the model folder, once it is learned
    ID/surgery.json      what was moved and muted since

Surgery changes nothing of that: a model with it is written when somebody separates or downloads (`model_name`, `write_model`).
A separation does not need the lesson any more: see `separation.ui.taught`.
"""

import contextlib
import json
import logging
import math
import re
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from separation.audio import open_reader, require_disk
from separation.audio.files import is_disk_full
from separation.engine.claims import Claims
from separation.engine.drafts import link_or_copy
from separation.engine.jobs import JobStore
from separation.errors import Busy, Cancelled, JobError, SeparationError, UnknownJob
from separation.hub import Card, Origin
from separation.hub.folder import load_folder, read_card
from separation.models.components import ComponentModel, with_surgery
from separation.signals import Signal
from separation.training.learning import (
    Given,
    Learned,
    LearningStep,
    activity,
    learn,
    save_learned,
    save_rearranged,
    source_index,
)
from separation.ui.lesson_clips import Clip, Clips, read_clip
from separation.ui.runs import write_json
from separation.ui.taught import Taught

Status = Literal["waiting", "running", "done", "failed", "cancelled"]

MOST_WAITING = 8
"""Lessons that wait or run at once, of all visitors."""
MOST_KEPT = 300
"""Lessons that are here at once, of all visitors."""
MOST_SECONDS = 120.0
"""Seconds of clips of one source."""
LONGEST = 900.0
"""Seconds that learning may take: others wait for it."""
POINTS = 200
"""Of a curve of losses, at most."""

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_GONE = "deleted-"
_ROOM = 100_000_000  # bytes that a lesson and its models need at most
_STATE_EVERY = 0.25  # seconds between two writes of the progress
_PICTURES_EVERY = 1.0  # seconds between two pictures of the components
_ADOPT_EVERY = 10.0  # seconds between two searches for what another process left, while there is nothing to do
_EXPIRE_EVERY = 600.0  # seconds between two searches for what has expired
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A source of a lesson.

    Args:
        name: what it is called.
        seconds: of its clips; None if it was learned before.
        taken: if it was learned before, its name in the model that it is taken from.
        activity: if it was learned before, how much each of its components counted there; empty where that is not known.
    """

    name: str
    seconds: float | None = None
    taken: str | None = None
    activity: tuple[float, ...] = ()


@dataclass(frozen=True)
class LessonRequest:
    """What is to be learned; JSON-able, and never changed.

    Args:
        system: a name of `training.learning.SYSTEMS`.
        components: of every source, or by source.
        steps: of learning.
        sources: in order.
        seed: of all that is random.
    """

    system: str
    components: int | dict[str, int]
    steps: int
    sources: tuple[Source, ...]
    seed: int = 0

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "LessonRequest":
        sources = (Source(**{**each, "activity": tuple(each["activity"])}) for each in fields["sources"])
        return cls(**{**fields, "sources": tuple(sources)})


@dataclass(frozen=True)
class LessonState:
    """How far a lesson is.

    Args:
        status: waiting, running, done, failed or cancelled.
        source: the one that is learned now, or was last.
        step, steps: of that source.
        remaining: seconds still needed, or None while that cannot be said.
        position: lessons ahead in the queue.
        error: what was asked, what was found and what to do; None unless failed.
        version: grows with every picture.
        created, updated: seconds since 1970.
    """

    status: Status = "waiting"
    source: str | None = None
    step: int = 0
    steps: int = 0
    remaining: float | None = None
    position: int = 0
    error: dict[str, str] | None = None
    version: int = 0
    created: float = 0.0
    updated: float = 0.0

    @property
    def finished(self) -> bool:
        return self.status not in ("waiting", "running")


@dataclass(frozen=True)
class Surgery:
    """What was changed since a lesson was learned.

    Args:
        moved: the source that owns a component now, by the component's index.
        muted: indices of components that count in no source, rising.
        version: how often it was changed.
    """

    moved: Mapping[int, str] = field(default_factory=dict)
    muted: tuple[int, ...] = ()
    version: int = 0


@dataclass(frozen=True)
class Pictures:
    """The components as they are now, of the sources that have some: the first ones of a lesson, while it learns.

    Args:
        patches: ``[K, F, L]``, non-negative.
        homes: ``[K]``, index of the source that each was learned for.
        activity: ``[K]``, each one's part of what its source's clips hold, 0 to 1; NaN while that is not known.
    """

    patches: NDArray[np.float32]
    homes: NDArray[np.int64]
    activity: NDArray[np.float32]


@dataclass(frozen=True)
class Lesson:
    """A handle on one lesson's folder. Reading is always from disk.

    Args:
        id: the capability.
        folder: where everything of it is.
        request: what was asked for.
        keep: seconds from its making until it may be removed.
        clock: the time now, in seconds since 1970.
    """

    id: str
    folder: Path
    request: LessonRequest
    keep: float
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    @property
    def names(self) -> list[str]:
        """Of the sources, in order."""
        return [source.name for source in self.request.sources]

    @property
    def cancelled(self) -> bool:
        """Somebody wants it to stop, or has deleted it."""
        return (self.folder / "cancel").exists() or not self.folder.exists()

    @property
    def expires(self) -> float:
        return self.state().created + self.keep

    @property
    def version(self) -> int:
        """Grows whenever pictures or owners of components change."""
        return self.state().version + self.surgery().version

    def state(self) -> LessonState:
        """How far it is now.

        Raises:
            UnknownJob: it has been deleted.
        """
        asked = (self.folder / "cancel").exists()
        state = LessonState(**self._read("state.json"))
        return replace(state, status="cancelled", position=0) if state.status == "waiting" and asked else state

    def write_state(self, **changes: Any) -> LessonState:
        """Change the state on disk in one step. Only whoever runs it may call this."""
        state = replace(LessonState(**self._read("state.json")), **changes, updated=self.clock())
        write_json(self.folder / "state.json", asdict(state))
        return state

    def losses(self) -> dict[str, list[list[float]]]:
        """By source, ``[step, loss]`` at rising steps; empty before the first."""
        try:
            losses: dict[str, list[list[float]]] = self._read("losses.json")
        except UnknownJob:
            return {}
        return losses

    def pictures(self) -> Pictures | None:
        """What there is to see by now; None before the first second."""
        try:
            with np.load(self.folder / "patches.npz") as stored:
                return Pictures(stored["patches"], stored["homes"], stored["activity"])
        except FileNotFoundError:
            return None

    def write_pictures(self, pictures: Pictures) -> None:
        """Replace what there is to see, in one step."""
        temporary = self.folder / f".{secrets.token_hex(4)}.npz"
        np.savez(temporary, patches=pictures.patches, homes=pictures.homes, activity=pictures.activity)
        temporary.replace(self.folder / "patches.npz")

    def surgery(self) -> Surgery:
        """What was changed since it was learned."""
        try:
            fields = self._read("surgery.json")
        except UnknownJob:
            return Surgery()
        moved = {int(index): name for index, name in fields["moved"].items()}
        return Surgery(moved, tuple(fields["muted"]), fields["version"])

    def cancel(self) -> None:
        """Ask it to stop. Harmless on a finished or deleted lesson."""
        with contextlib.suppress(UnknownJob, FileNotFoundError):
            if not self.state().finished:
                (self.folder / "cancel").touch()

    def delete(self) -> None:
        """Stop it and remove everything it holds, the clips included.

        Raises:
            UnknownJob: it is gone already.
        """
        gone = self.folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
        try:
            self.folder.rename(gone)
        except FileNotFoundError:
            raise _unknown() from None
        shutil.rmtree(gone, ignore_errors=True)

    def clips(self, number: int) -> list[Signal]:
        """The clips of a source."""
        folder = self.folder / "clips" / str(number)
        return [read_clip(path) for path in sorted(folder.glob("*.wav"), key=lambda path: int(path.stem))]

    def card(self) -> Card:
        """The card of what was learned.

        Raises:
            JobError: it is not learned yet.
        """
        if self.state().status != "done":
            raise JobError("Use what was learned", f"the lesson is {self.state().status}", "Wait until it is done")
        return read_card(Origin("a lesson", self.folder / "model"))

    def model(self) -> ComponentModel:
        """What was learned, without surgery.

        Raises:
            JobError: it is not learned yet.
        """
        return cast(ComponentModel, load_folder(self.card()))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            fields: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _unknown() from None
        return fields


class Teach(Protocol):
    """`training.learning.learn`, handed down."""

    def __call__(
        self,
        system: str,
        clips: Mapping[str, Given],
        *,
        components: int | Mapping[str, int] | None = ...,
        steps: int | None = ...,
        seed: int = ...,
        progress: Callable[[LearningStep], None] | None = ...,
        cancelled: Callable[[], bool] | None = ...,
    ) -> ComponentModel: ...


class Lessons:
    """The lessons of an installation, and the one thread that teaches, one after the other.

    Args:
        folder: where they are; made if it is not there.
        store: the jobs, which may need the models that were learned; it has the hours and the clock.
        taught: where those models go.
        teach: what learns.
    """

    def __init__(self, folder: Path, store: JobStore, taught: Taught, *, teach: Teach = learn) -> None:
        self.folder = folder
        self.store = store
        self.taught = taught
        self._teach = teach
        self.clips = Clips(folder / "clips", keep_hours=store.keep_hours, clock=store.clock)
        self._queue: deque[Lesson] = deque()
        self._claims = Claims(folder / "claims")
        self._lock = threading.Lock()  # one at a time creates, or changes the surgery of a lesson
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="earshot-lessons", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Queue what an earlier process left unfinished, and begin."""
        self._adopt()
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Stop after the running step. What is unfinished stays for the next process."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._claims.give_all_back()

    # -- lessons

    def create(
        self, request: LessonRequest, clips: Mapping[str, Sequence[Clip]], taken: Mapping[str, tuple[Lesson, str]]
    ) -> Lesson:
        """A new lesson, waiting; hand it to `submit`.

        Args:
            request: of its sources only the names count; the rest follows from what comes with them.
            clips: by source.
            taken: sources that were learned before, by their names here: the lesson, and their names there.

        Raises:
            Busy: too many lessons wait, or are here.
            DiskFull: no room.
            JobError, DataError, UnknownJob: a source has no clips, too many, or ones that are gone.
        """
        require_disk(self.folder, _ROOM)
        with self._lock:
            self._require_turn()
            building = self.folder / f"{_GONE}{secrets.token_hex(8)}"
            try:
                sources = tuple(
                    _laid_out(building, number, source.name, clips.get(source.name, ()), taken.get(source.name))
                    for number, source in enumerate(request.sources)
                )
                whole = replace(request, sources=sources)
                lesson_id, now = secrets.token_urlsafe(16), self.store.clock()
                write_json(building / "lesson.json", asdict(whole))
                write_json(building / "state.json", asdict(LessonState(created=now, updated=now)))
                building.rename(self.folder / lesson_id)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
        return self._lesson(lesson_id, whole)

    def submit(self, lesson: Lesson) -> None:
        """Queue a lesson. Nothing happens if it is finished, or queued already, here or in another process."""
        if not self._claims.take(lesson.id):
            return
        with contextlib.ExitStack() as stack:
            stack.callback(self._claims.give_back, lesson.id)
            if lesson.state().finished:
                return
            with self._changed:
                lesson.write_state(status="waiting", remaining=None, position=len(self._queue) + self._busy)
                self._queue.append(lesson)
                self._changed.notify_all()
            stack.pop_all()

    def get(self, lesson_id: str) -> Lesson:
        """The lesson with this id.

        Raises:
            UnknownJob: it has expired, was deleted, or never was.
        """
        if not _ID.fullmatch(lesson_id):
            raise _unknown()
        try:
            fields = json.loads((self.folder / lesson_id / "lesson.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _unknown() from None
        return self._lesson(lesson_id, LessonRequest.from_dict(fields))

    def all(self) -> list[Lesson]:
        """Every lesson, oldest first. For the thread; never shown to a visitor."""
        lessons = []
        for folder in self.folder.iterdir():
            if _ID.fullmatch(folder.name):
                try:
                    lesson = self.get(folder.name)
                    lessons.append((lesson.state().created, lesson.id, lesson))
                except UnknownJob:
                    continue
                except (ValueError, TypeError, KeyError):  # of another version, or damaged by hand
                    _log.exception("The lesson folder %s cannot be read", folder)
        return [lesson for _, _, lesson in sorted(lessons, key=lambda entry: entry[:2])]

    def expire(self) -> list[str]:
        """Remove finished lessons past their time, and models that no job uses. Returns the lessons' ids."""
        removed = []
        for lesson in self.all():
            with contextlib.suppress(UnknownJob):
                if lesson.state().finished and lesson.expires <= self.store.clock():
                    lesson.delete()
                    removed.append(lesson.id)
        for rest in self.folder.glob(f"{_GONE}*"):
            with contextlib.suppress(FileNotFoundError):
                if rest.stat().st_mtime < time.time() - 3600:
                    shutil.rmtree(rest, ignore_errors=True)
        self.clips.expire()
        self.taught.forget({job.request.model for job in self.store.all()})
        return removed

    # -- what was learned

    def operate(self, lesson: Lesson, moved: Mapping[int, str], muted: Sequence[int]) -> int:
        """Say which components belong to another source and which to none, instead of what was said before.

        Returns:
            the lesson's new version.

        Raises:
            JobError: it is not learned yet.
            ModelError: there is no such component or source, or none that can be moved.
        """
        model = lesson.model()
        with_surgery(model, {index: source_index(model, name) for index, name in moved.items()}, muted)
        homes = [lesson.names[home] for home in model.homes]
        away = {index: name for index, name in sorted(moved.items()) if homes[index] != name}
        with self._lock:
            kept = {"moved": away, "muted": sorted(set(muted)), "version": lesson.surgery().version + 1}
            write_json(lesson.folder / "surgery.json", kept)
        return lesson.version

    def model_name(self, lesson: Lesson) -> str:
        """The name of the model as it is now, surgery included: for a job, which keeps it.

        Raises:
            JobError: it is not learned yet.
            ModelError: there is no such model: its surgery cannot be done.
        """
        lesson.card()
        return self.taught.keep(lesson.request.system, lambda folder: self.write_model(lesson, folder))

    def write_model(self, lesson: Lesson, folder: Path) -> Card:
        """The model as it is now, surgery included, as a model folder.

        Raises:
            JobError: it is not learned yet.
        """
        surgery = lesson.surgery()
        return save_rearranged(folder, lesson.model(), lesson.card(), surgery.moved, surgery.muted)

    # -- teaching

    def run(self, lesson: Lesson) -> None:
        """Learn in this thread. Whatever happens is in the lesson's state; nothing is raised."""
        try:
            lesson.write_state(status="running", position=0, error=None, source=None, step=0, steps=0)
            _Watch(lesson, self._teach, self._stopping).through()
            lesson.write_state(status="done", remaining=0.0)
        except BaseException as error:
            if lesson.folder.joinpath("lesson.json").exists():
                with contextlib.suppress(UnknownJob):
                    self._end(lesson, error)
            else:
                _log.info("Lesson %s… was deleted while it was learned", lesson.id[:4])
                shutil.rmtree(lesson.folder, ignore_errors=True)  # what was written since then made it anew
            if not isinstance(error, Exception):
                raise

    def _end(self, lesson: Lesson, error: BaseException) -> None:
        if self._stopping.is_set() and not lesson.cancelled:
            lesson.write_state(status="waiting", remaining=None)
        elif lesson.cancelled or isinstance(error, Cancelled):
            lesson.write_state(status="cancelled", remaining=None, position=0)
        else:
            if not isinstance(error, SeparationError):
                _log.error("Lesson %s… failed", lesson.id[:4], exc_info=error)
            lesson.write_state(status="failed", remaining=None, position=0, error=_explain(error, lesson))

    def _adopt(self) -> None:
        """Queue what no process has: what a dead one left."""
        for lesson in self.all():
            with contextlib.suppress(UnknownJob):  # deleted just now
                if not lesson.state().finished:
                    self.submit(lesson)

    def _work(self) -> None:
        expired = time.monotonic()
        while not self._stopping.is_set():
            with self._changed:
                called = self._changed.wait_for(lambda: self._queue or self._stopping.is_set(), _ADOPT_EVERY)
            if not called:
                self._quietly(self._adopt)
            with self._changed:
                lesson = self._queue.popleft() if self._queue and not self._stopping.is_set() else None
                self._busy = lesson is not None
                for ahead, other in enumerate(self._queue, 1):
                    with contextlib.suppress(UnknownJob):
                        other.write_state(position=ahead)
            if lesson is not None:
                self._take(lesson)
            if time.monotonic() - expired > _EXPIRE_EVERY:
                expired = time.monotonic()
                self._quietly(self.expire)

    def _take(self, lesson: Lesson) -> None:
        try:
            if lesson.cancelled:
                with contextlib.suppress(UnknownJob):
                    lesson.write_state(status="cancelled", position=0)
            else:
                self.run(lesson)
        finally:
            self._busy = False
            self._claims.give_back(lesson.id)

    def _quietly(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # a broken folder must not end the teaching of all others
            _log.exception("Keeping house among the lessons failed")

    def _require_turn(self) -> None:
        states = []
        for lesson in self.all():
            with contextlib.suppress(UnknownJob):  # deleted just now
                states.append(lesson.state())
        waiting = sum(not state.finished for state in states)
        if waiting >= MOST_WAITING:
            found = f"{waiting} lessons of all visitors are waiting or being learned"
            raise Busy("Learn", found, "Try again in a minute or two")
        if len(states) >= MOST_KEPT:
            found = f"this page holds {len(states)} lessons of all its visitors"
            raise Busy("Learn", found, "Delete one of yours, or try again later")

    def _lesson(self, lesson_id: str, request: LessonRequest) -> Lesson:
        return Lesson(lesson_id, self.folder / lesson_id, request, self.store.keep_hours * 3600, self.store.clock)


class _Watch:
    """One lesson on its way, and the bookkeeping of how far it is."""

    def __init__(self, lesson: Lesson, teach: Teach, stopping: threading.Event) -> None:
        self._lesson = lesson
        self._teach = teach
        self._stopping = stopping
        self._patches: dict[str, NDArray[np.float32]] = {}
        self._losses: dict[str, list[list[float]]] = {}
        self._version = lesson.state().version
        self._began = time.monotonic()
        self._said = self._drawn = -math.inf  # the first step is told at once
        self._done = 0  # steps of all sources

    def through(self) -> None:
        """From the first step to the model folder."""
        lesson, request = self._lesson, self._lesson.request
        for rest in ("losses.json", "patches.npz", "surgery.json"):  # what a killed process left
            (lesson.folder / rest).unlink(missing_ok=True)
        shutil.rmtree(lesson.folder / "model", ignore_errors=True)
        clips: dict[str, Given] = {}
        for number, source in enumerate(request.sources):
            if source.taken is None:
                clips[source.name] = lesson.clips(number)
            else:
                known = _given(lesson, number)
                clips[source.name] = Learned(known, source.taken)
                self._patches[source.name] = _patches_of(known, source.taken)
        model = self._teach(
            request.system,
            clips,
            components=request.components,
            steps=request.steps,
            seed=request.seed,
            progress=self._on_step,
            cancelled=self._cancelled,
        )
        self._draw(self._finished(model, clips))
        seconds = {source.name: source.seconds for source in request.sources}
        save_learned(lesson.folder / "model", model, request.system, seconds, steps=request.steps, seed=request.seed)
        if self._cancelled():
            raise Cancelled("Learn", "it was stopped", "Start it again when you like")

    def _cancelled(self) -> bool:
        return self._stopping.is_set() or self._lesson.cancelled

    def _on_step(self, at: LearningStep) -> None:
        self._done += 1
        curve, stride = self._losses.setdefault(at.source, []), -(-at.steps // (POINTS - 1))
        last = at.step == at.steps
        if (at.step - 1) % stride == 0 or last:
            curve.append([at.step, at.loss])
        now = time.monotonic()
        if now - self._began > LONGEST:
            found = f"it takes longer than {LONGEST / 60:g} minutes, and others wait"
            raise JobError(
                f"Learn {at.source}", found, "Choose fewer components or steps, shorter clips, or your own machine"
            )
        if last or now - self._drawn >= _PICTURES_EVERY or at.source not in self._patches:
            self._patches[at.source] = np.asarray(at.part.patches().detach().cpu().numpy(), np.float32)
            self._draw(self._so_far())
            self._drawn = now
        if last or now - self._said >= _STATE_EVERY:
            self._said = now
            write_json(self._lesson.folder / "losses.json", self._losses)
            self._tell(at, now)

    def _tell(self, at: LearningStep, now: float) -> None:
        total = at.steps * sum(source.taken is None for source in self._lesson.request.sources)
        remaining = (now - self._began) / self._done * (total - self._done)
        self._lesson.write_state(
            source=at.source, step=at.step, steps=at.steps, remaining=remaining, version=self._version
        )

    def _draw(self, pictures: Pictures) -> None:
        self._lesson.write_pictures(pictures)
        self._version += 1
        self._lesson.write_state(version=self._version)

    def _so_far(self) -> Pictures:
        """Of the first sources, as far as there are any: so the indices of components never change."""
        known: list[NDArray[np.float32]] = []
        for name in self._lesson.names:
            if name not in self._patches:
                break
            known.append(self._patches[name])
        return _pictures(known, [np.full(len(patches), np.nan, np.float32) for patches in known])

    def _finished(self, model: ComponentModel, clips: Mapping[str, Given]) -> Pictures:
        activities = []
        for source, count in zip(self._lesson.request.sources, model.counts, strict=True):
            given = clips[source.name]
            shares: Sequence[float] = source.activity
            if not isinstance(given, Learned) and given:
                shares = activity(model, source.name, given)
            activities.append(np.array(shares or [np.nan] * count, np.float32))
            if self._cancelled():
                raise Cancelled("Learn", "it was stopped", "Start it again when you like")
        return _pictures([_patches_of(model, name) for name in self._lesson.names], activities)


def _pictures(patches: Sequence[NDArray[np.float32]], activities: Sequence[NDArray[np.float32]]) -> Pictures:
    homes = np.repeat(np.arange(len(patches)), [len(each) for each in patches])
    return Pictures(np.concatenate(patches), homes, np.concatenate(activities))


def _patches_of(model: ComponentModel, source: str) -> NDArray[np.float32]:
    """The components that a source was learned with, ``[K, F, L]``."""
    mine = model.homes == model.arguments["sources"].index(source)
    return np.asarray(model.components().patches[mine].numpy(), np.float32)


def _given(lesson: Lesson, number: int) -> ComponentModel:
    """The model that a source is taken from."""
    folder = lesson.folder / "given" / str(number)
    return cast(ComponentModel, load_folder(read_card(Origin("a source that was learned before", folder))))


def _laid_out(folder: Path, number: int, name: str, clips: Sequence[Clip], taken: tuple[Lesson, str] | None) -> Source:
    """Put what a source is learned from into a lesson's folder: its own copies.

    Raises:
        JobError: it has nothing, or too much; the other lesson is not done, or has no such source.
        UnknownJob: a clip has expired.
    """
    asked = f"Learn {name}"
    if taken is not None:
        return _taken_over(folder / "given" / str(number), name, *taken)
    target = folder / "clips" / str(number)
    target.mkdir(parents=True)
    seconds = 0.0
    for index, clip in enumerate(clips):
        try:
            link_or_copy(clip.path, target / f"{index}.wav")
        except FileNotFoundError:
            raise UnknownJob(asked, "one of its clips is not here any more", "Choose it again") from None
        with open_reader(target / f"{index}.wav") as reader:
            seconds += reader.length / reader.sample_rate
    if seconds > MOST_SECONDS:
        found = f"its clips have {seconds:.0f} s"
        raise JobError(asked, found, f"Keep to {MOST_SECONDS:g} s: twenty seconds teach nearly as much")
    return Source(name, seconds)


def _taken_over(folder: Path, name: str, lesson: Lesson, source: str) -> Source:
    if source not in lesson.names:
        found = f"that lesson has no source called {source!r}"
        raise JobError(f"Take over {name}", found, f"Choose from {', '.join(lesson.names)}")
    lesson.card()
    pictures = lesson.pictures()
    try:
        shutil.copytree(lesson.folder / "model", folder)
    except (FileNotFoundError, shutil.Error):
        pictures = None
    if pictures is None:
        raise UnknownJob(f"Take over {name}", "that lesson was deleted just now", "Choose another one, or bring clips")
    shares = pictures.activity[pictures.homes == lesson.names.index(source)]
    return Source(name, None, source, tuple(map(float, shares)) if np.isfinite(shares).all() else ())


def _explain(error: BaseException, lesson: Lesson) -> dict[str, str]:
    """Any error in three parts that a visitor can use; never a traceback."""
    if isinstance(error, SeparationError):
        return {"asked": error.asked, "found": error.found, "advice": error.advice}
    if isinstance(error, OSError) and is_disk_full(error):
        found, advice = "the disk of this machine is full", "Delete what is no longer needed, then try again"
    elif isinstance(error, MemoryError):
        found, advice = "this machine ran out of memory", "Choose fewer components or shorter clips"
    else:
        found = "something unexpected went wrong inside the program"
        advice = "Try again; if it happens again, tell the owner of this page, whose log has the details"
    return {"asked": f"Learn {' and '.join(lesson.names)}", "found": found, "advice": advice}


def _unknown() -> UnknownJob:
    return UnknownJob(
        "Open a lesson",
        "it is not here any more: it has expired, was deleted, or the link is not complete",
        "Learn it again",
    )
