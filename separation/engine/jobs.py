"""A job is a folder: what was asked for, how far it is, and the tracks it made.

Because everything is in files, a job outlives the page that asked for it, the browser tab and the process: whoever
has the folder can read its state, a *file* named `cancel` stops it, and a new process finds what an earlier one left.
The id is an unguessable capability (128 random bits): who has it has the job, and nothing ever lists the jobs to a
visitor. This file knows nothing about models or threads; `engine.workers` does the work.

    ID/request.json          what was asked for
    ID/state.json            how far it is; written under another name and renamed, so it is never half there
    ID/cancel                exists: stop
    ID/input/FILE            the recording
    ID/references/NAME.EXT   true sources, where the visitor has them
    ID/offered/              uploads that may become references (`engine.offers`)
    ID/pitch/                the pitch of every voice (`engine.pitches`), for models that go by it
    ID/scratch/              decoded copies, while the job runs
    ID/original              where the upload lies that goes when the job goes, if it was handed over with one
    ID/from                  the id of the draft that it was made of (`engine.drafts`), which goes when the job goes
    ID/wanted                exists: the owner wants ratings of it from everybody, so it stays and no visitor deletes it
    ID/edits/KEY             the id of the job of an edit of this one (`engine.editing`), which goes when this one goes
    ID/preview/ ID/full/     a stage each: TRACK.wav, TRACK.peaks, and stage.json, which is written last
"""

import contextlib
import json
import logging
import math
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from separation.audio import require_disk, safe_name
from separation.engine.drafts import Drafts, delete_draft, link_or_copy
from separation.engine.edits import Edit
from separation.engine.mixes import Mixes
from separation.engine.options import Options
from separation.engine.pitches import Pitches, read_pitches
from separation.engine.references import check_names
from separation.errors import JobError, UnknownJob

Status = Literal["waiting", "running", "done", "failed", "cancelled"]
Phase = Literal["read", "preview", "separate", "write"]

STAGES = ("preview", "full")
DRAFTS = "drafts"
"""The folder of the drafts, beside the jobs."""
PITCHES = "pitch"
"""The folder of a job, or of a draft, that has the pitch of every voice."""
EDITS = "edits"
"""The folder of a job that has the ids of its edits."""
UNFINISHED: frozenset[str] = frozenset({"waiting", "running"})

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_GONE = "deleted-"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a visitor asks for; JSON-able, and never changed, but for references and pitches, which may come later.

    Args:
        model: a name that `hub.load` understands.
        name: what the recording is called on the page and in downloads, without a folder.
        sources: the sources to write; None for all.
        offset: seconds into the recording where the separation starts; None for its start.
        duration: seconds to separate; None for the rest.
        preview_at: seconds (in the recording) that the preview is laid around; None for no preview.
        options: how the engine runs.
        references: names of the true sources that came along.
        edit: what to change inside the model; None for the model as it is.
        edit_of: id of the job whose tracks an edit means by the names of sources; None if it is of none.
        pitches: names of the voices whose pitch is known, for models that go by it.
        voices: how many to find in the recording where no pitches came along; None: in the references.
    """

    model: str
    name: str
    sources: tuple[str, ...] | None = None
    offset: float | None = None
    duration: float | None = None
    preview_at: float | None = None
    options: Options = field(default_factory=Options)
    references: tuple[str, ...] = ()
    edit: Edit | None = None
    edit_of: str | None = None
    pitches: tuple[str, ...] = ()
    voices: int | None = None

    @property
    def corrects(self) -> bool:
        """It is another one's separation with other pitches."""
        return self.edit_of is not None and self.edit is None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Request":
        sources = fields["sources"]
        return cls(
            **{
                **fields,
                "sources": None if sources is None else tuple(sources),
                "references": tuple(fields["references"]),
                "pitches": tuple(fields.get("pitches", ())),
                "options": Options(**fields["options"]),
                "edit": None if fields.get("edit") is None else Edit.from_dict(fields["edit"]),
            }
        )


@dataclass(frozen=True)
class State:
    """How far a job is.

    Args:
        status: waiting, running, done, failed or cancelled.
        stage: what is being done: read, preview, separate or write.
        fraction: of the whole job, 0 to 1.
        remaining: seconds still needed, or None while that cannot be said.
        position: jobs ahead in the queue.
        error: what was asked, what was found and what to do; None unless failed.
        report: the engine's report on the whole separation, once there is one.
        device: where the job really runs, once known.
        precision: the number format really used, once known.
        messages: what the visitor should know about this run.
        created: when the job was made, seconds since 1970.
        updated: when this state was written.
    """

    status: Status = "waiting"
    stage: Phase = "read"
    fraction: float = 0.0
    remaining: float | None = None
    position: int = 0
    error: dict[str, str] | None = None
    report: dict[str, Any] | None = None
    device: str | None = None
    precision: str | None = None
    messages: tuple[str, ...] = ()
    created: float = 0.0
    updated: float = 0.0

    @property
    def finished(self) -> bool:
        return self.status not in UNFINISHED

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "State":
        return cls(**{**fields, "messages": tuple(fields["messages"])})


@dataclass(frozen=True)
class Job:
    """A handle on one job folder. Reading is always from disk, so any process sees the same.

    Args:
        id: the capability.
        folder: where everything of this job is.
        request: what was asked for.
        keep: seconds from its making until it may be removed.
        clock: the time now, in seconds since 1970.
    """

    id: str
    folder: Path
    request: Request
    keep: float
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    @property
    def input(self) -> Path:
        """The recording."""
        return _only_file(self.folder / "input")

    @property
    def scratch(self) -> Path:
        """Where a compressed recording is decoded while the job runs."""
        return self.folder / "scratch"

    @property
    def references(self) -> dict[str, Path]:
        """The true sources that came along, by name."""
        return {name: _only_file(self.folder / "references", f"{name}.*") for name in self.request.references}

    @property
    def pitches(self) -> Pitches | None:
        """The pitch of every voice, where that is known.

        Raises:
            DataError: somebody has changed the files, and they cannot be read.
        """
        return read_pitches(self.folder / PITCHES) if self.request.pitches else None

    @property
    def original(self) -> "Job | None":
        """The job that this one edits.

        Raises:
            JobError: it has expired or was deleted.
        """
        name = self.request.edit_of
        if name is None:
            return None
        folder = self.folder.with_name(name)
        if not _ID.fullmatch(name) or not (folder / "request.json").is_file():
            raise JobError(  # not UnknownJob: that would mean this one
                f"Edit {self.request.name}",
                "the separation it belongs to is not here any more: it has expired or was deleted",
                "Separate the recording again, then edit",
            )
        fields = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        return replace(self, id=name, folder=folder, request=Request.from_dict(fields))

    @property
    def cancelled(self) -> bool:
        """Somebody wants this job to stop, or has deleted it."""
        return (self.folder / "cancel").exists() or not self.folder.exists()

    @property
    def wanted(self) -> bool:
        """Whether the owner wants ratings of it: whoever comes to rate may be given it."""
        return (self.folder / "wanted").exists()

    def want(self, wanted: bool) -> None:
        """Want ratings of it, or no longer; then it expires like any other.

        Raises:
            JobError: there is nothing to rate yet.
            UnknownJob: the job has been deleted.
        """
        if not wanted:
            (self.folder / "wanted").unlink(missing_ok=True)
        elif self.state().status == "done" and self.stage("full") is not None:
            (self.folder / "wanted").touch()
        else:
            raise JobError(
                f"Ask for ratings of {self.request.name}",
                f"its separation is not complete: it is {self.state().status}",
                "Separate it first",
            )

    @property
    def expires(self) -> float | None:
        """When a finished job is removed, seconds since 1970; None for never."""
        return None if self.wanted else self.state().created + self.keep

    def state(self) -> State:
        """How far the job is now.

        Raises:
            UnknownJob: the job has been deleted.
        """
        # First the wish, then the state: the other way round a job that begins in between would seem cancelled while it runs.
        asked = (self.folder / "cancel").exists()
        try:
            state = State.from_dict(json.loads((self.folder / "state.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise _unknown() from None
        if state.status == "waiting" and asked:
            return replace(state, status="cancelled", position=0)
        return state

    def write_state(self, **changes: Any) -> State:
        """Change the state on disk in one step, and return it. Only the worker that runs the job may call this.

        Raises:
            UnknownJob: the job has been deleted.
        """
        state = replace(self.state(), **changes, updated=self.clock())
        _write_json(self.folder / "state.json", state.to_dict())
        return state

    def stage(self, stage: str) -> dict[str, Any] | None:
        """What is in ``preview`` or ``full``, or None as long as that stage is not complete."""
        try:
            described: dict[str, Any] = json.loads((self.folder / stage / "stage.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return described

    def write_stage(self, stage: str, description: Mapping[str, Any]) -> None:
        """Declare a stage complete; everything it names must be on disk already."""
        _write_json(self.folder / stage / "stage.json", description)

    def write_references(self, names: Sequence[str]) -> "Job":
        """Say which true sources there are now, and return the job that has them; their files must be on disk already.

        Raises:
            UnknownJob: the job has been deleted.
        """
        request = replace(self.request, references=tuple(names))
        _write_json(self.folder / "request.json", request.to_dict())
        return replace(self, request=request)

    def write_pitches(self, pitches: Pitches) -> "Job":
        """Keep the pitch of every voice, and return the job that has it. Only the worker that runs the job may call this.

        Raises:
            UnknownJob: the job has been deleted.
        """
        if not self.folder.exists():
            raise _unknown()
        pitches.write(self.folder / PITCHES)
        request = replace(self.request, pitches=pitches.names)
        _write_json(self.folder / "request.json", request.to_dict())
        return replace(self, request=request)

    def tracks(self, stage: str) -> dict[str, Path]:
        """The tracks of a complete stage, in order; empty while there is none."""
        described = self.stage(stage)
        return {} if described is None else {name: self.folder / stage / f"{name}.wav" for name in described["tracks"]}

    def cancel(self) -> None:
        """Ask whoever runs this job to stop; it does within one chunk. Harmless on a finished or deleted job."""
        with contextlib.suppress(UnknownJob, FileNotFoundError):
            if not self.state().finished:
                (self.folder / "cancel").touch()

    def delete(self) -> None:
        """Stop the job and remove everything it holds, the recording included."""
        with contextlib.suppress(FileNotFoundError):
            Path((self.folder / "original").read_text(encoding="utf-8")).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            delete_draft(self.folder.parent / DRAFTS / (self.folder / "from").read_text(encoding="utf-8"))
        # A running worker opens files by their path: after the rename it can neither find nor make any.
        gone = self.folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
        with contextlib.suppress(FileNotFoundError):
            self.folder.rename(gone)
            for entry in (gone / EDITS).glob("*"):
                name = entry.read_text(encoding="utf-8")
                edit = replace(self, id=name, folder=self.folder.with_name(name))
                if _ID.fullmatch(name) and not edit.wanted:
                    edit.delete()
            shutil.rmtree(gone, ignore_errors=True)


class JobStore:
    """The folder that holds the jobs.

    Args:
        folder: made if it is not there.
        keep_hours: how long a job is kept after it was made.
        clock: the time now in seconds since 1970.

    >>> import tempfile
    >>> store = JobStore(Path(tempfile.mkdtemp()), keep_hours=1)
    >>> store.all()
    []
    """

    def __init__(self, folder: Path, *, keep_hours: float = 24, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.keep_hours = keep_hours
        self.clock = clock
        folder.mkdir(parents=True, exist_ok=True)
        self.drafts = Drafts(folder / DRAFTS, keep_hours=keep_hours, clock=clock)
        self.mixes = Mixes(self.drafts)

    def create(
        self,
        source: Path,
        request: Request,
        *,
        references: Mapping[str, Path] | None = None,
        pitches: Pitches | None = None,
        move: bool = False,
        owned: bool = False,
        draft: str = "",
    ) -> Job:
        """A new job, waiting. It is not started: hand it to `Workers.submit`.

        Args:
            source: the recording; the job takes a copy, or gives it a second name where the disk can.
            request: what to do with it; its `references` are set from the argument below.
            references: true sources to hear and score beside the estimates, by name.
            pitches: the pitch of every voice.
            move: take the recording itself instead of a copy.
            owned: `source` is a visitor's upload: it stays for other jobs, and is deleted with this one.
            draft: id of the visitor's draft that `source` belongs to, which is deleted with this job.

        Raises:
            DiskFull: there is no room for the copies.
            JobError: a reference's name cannot be used (`check_names`).
        """
        references = dict(references or {})
        check_names(references)
        request = replace(request, references=tuple(references), pitches=() if pitches is None else pitches.names)
        require_disk(self.folder, sum(path.stat().st_size for path in (source, *references.values())))
        job_id = _new_id()
        # Built under a name that is not an id, then renamed: no other process ever sees half a job.
        building = self.folder / f"{_GONE}{secrets.token_hex(8)}"
        try:
            (building / "input").mkdir(parents=True)
            (shutil.move if move else link_or_copy)(source, building / "input" / safe_name(source.name))
            for name, path in references.items():
                (building / "references").mkdir(exist_ok=True)
                link_or_copy(path, building / "references" / f"{name}{path.suffix}")
            if pitches is not None:
                pitches.write(building / PITCHES)
            if owned:
                (building / "original").write_text(str(source.absolute()), encoding="utf-8")
            if draft:
                (building / "from").write_text(draft, encoding="utf-8")
            now = self.clock()
            _write_json(building / "request.json", request.to_dict())
            _write_json(building / "state.json", State(created=now, updated=now).to_dict())
            building.rename(self.folder / job_id)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        return self._job(job_id, request)

    def get(self, job_id: str) -> Job:
        """The job with this id.

        Raises:
            UnknownJob: it has expired, was deleted, or never was.
        """
        if not _ID.fullmatch(job_id):
            raise _unknown()
        try:
            fields = json.loads((self.folder / job_id / "request.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _unknown() from None
        return self._job(job_id, Request.from_dict(fields))

    def delete(self, job_id: str) -> None:
        """Stop a job and remove everything it holds.

        Raises:
            UnknownJob: there is no such job.
            JobError: its owner wants ratings of it.
        """
        job = self.get(job_id)
        if job.wanted:
            raise JobError(
                "Delete a separation",
                "the owner of this page collects ratings of it",
                "Withdraw your rating if you do not want it to be kept",
            )
        job.delete()

    def wanted(self) -> list[Job]:
        """The jobs whose owner wants ratings of them."""
        found = []
        for mark in sorted(self.folder.glob("*/wanted")):
            with contextlib.suppress(UnknownJob):  # deleted while we looked
                found.append(self.get(mark.parent.name))
        return found

    def all(self) -> list[Job]:
        """Every job, oldest first. For the owner and the workers; never shown to a visitor."""
        jobs = []
        for folder in self.folder.iterdir():
            if not _ID.fullmatch(folder.name):
                continue
            try:
                job = self.get(folder.name)
                jobs.append((job.state().created, job.id, job))
            except UnknownJob:  # deleted while we looked
                continue
            except (ValueError, TypeError, KeyError):  # of another version, or damaged by hand: say so, harm nobody
                _log.exception("The job folder %s cannot be read", folder)
        return [job for _, _, job in sorted(jobs, key=lambda entry: entry[:2])]

    def expire(self) -> list[str]:
        """Remove finished jobs and drafts past their time, and what earlier deletions left. Returns the jobs' ids."""
        removed = []
        for job in self.all():
            with contextlib.suppress(UnknownJob):  # another process was faster
                if job.state().finished and (job.expires or math.inf) <= self.clock():
                    job.delete()
                    removed.append(job.id)
        for rest in self.folder.glob(f"{_GONE}*"):
            if rest.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(rest, ignore_errors=True)
        self.drafts.expire()
        return removed

    def _job(self, job_id: str, request: Request) -> Job:
        return Job(job_id, self.folder / job_id, request, self.keep_hours * 3600, self.clock)


def _new_id() -> str:
    """128 bits that nobody guesses; not with a dash in front, which a command line would take for an option."""
    while (made := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return made


def _only_file(folder: Path, pattern: str = "*") -> Path:
    try:
        return next(path for path in sorted(folder.glob(pattern)) if path.is_file())
    except StopIteration:
        raise _unknown() from None


def _unknown() -> UnknownJob:
    return UnknownJob(
        "Open a separation",
        "it is not here any more: it has expired, was deleted, or the link is not complete",
        "Separate the recording again",
    )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
        temporary.replace(path)
    except FileNotFoundError:  # the folder was deleted under us
        raise _unknown() from None
