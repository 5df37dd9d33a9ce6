"""A draft is a recording that somebody has chosen and not separated yet: what it takes to see and to hear it beforehand.

Like a job it is a folder with an unguessable id, so it outlives the page and the process, expires, and can be deleted
at once. A thread reads the recording once, in blocks: what seeks in place (WAV, FLAC) is played where it lies, anything
else is decoded to 16 bit for listening, while the visitor goes on. A separation never waits for that and never uses the
16-bit copy: it reads the recording itself.

    ID/draft.json               what it is called, and where it lies if it comes with the app
    ID/state.json               how far the reading is; written under another name and renamed
    ID/input/FILE               a visitor's recording: another name of the upload where the disk allows, else a copy
    ID/original                 where the upload lies that goes when the draft goes
    ID/draft/mixture.wav        the decoded recording, where it cannot be played in place
    ID/draft/mixture.peaks      its outline
    ID/draft/stage.json         rate, channels, length, gain as in a job's stage; written last

What comes with the app (the examples) is a draft too, with an id made from the file, and does not expire. So is a mixture that
a visitor builds from stems: `engine.mixes` writes its `input`, state and stage.
"""

import base64
import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from separation.audio import (
    BaseReader,
    PeakBuilder,
    Reader,
    export,
    open_reader,
    require_disk,
    safe_name,
    scan,
)
from separation.engine.delivery import common_gain
from separation.errors import Cancelled, SeparationError, UnknownJob
from separation.signals import Samples

STAGE = "draft"
TRACK = "mixture"
READERS = 2
"""Recordings that are read at the same time; more wait."""

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_GONE = "deleted-"
_STATE_EVERY = 0.25  # seconds between two writes of the progress
_DECODING = 0.8  # part of the reading that is decoding, where there is any
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """How far a draft is.

    Args:
        status: waiting, running, done or failed.
        fraction: of the reading, 0 to 1.
        error: what was asked, what was found and what to do; None unless failed.
    """

    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    fraction: float = 0.0
    error: dict[str, str] | None = None

    @property
    def finished(self) -> bool:
        return self.status in ("done", "failed")


@dataclass(frozen=True)
class Draft:
    """A handle on one draft folder. Reading is always from disk, so any process sees the same.

    Args:
        id: the capability.
        folder: where everything of this draft is.
        name: what the recording is called on the page.
        bundled: where it lies if it comes with the app; None for a visitor's.
        longest: seconds it may last; None for any.
        created: seconds since 1970.
        mixed: it is a mixture of stems, and is not read but rendered.
    """

    id: str
    folder: Path
    name: str
    bundled: Path | None = None
    longest: float | None = None
    created: float = 0.0
    mixed: bool = False

    @property
    def input(self) -> Path:
        """The recording as it was chosen.

        Raises:
            UnknownJob: the draft has been deleted.
        """
        if self.bundled is not None:
            return self.bundled
        for path in (self.folder / "input").glob("*"):
            return path
        raise _unknown()

    @property
    def sound(self) -> Path:
        """What can be played: the recording itself where it seeks exactly, else its decoded copy."""
        decoded = self.folder / STAGE / f"{TRACK}.wav"
        return decoded if decoded.exists() else self.input

    def state(self) -> Reading:
        """How far the reading is now.

        Raises:
            UnknownJob: the draft has been deleted.
        """
        return Reading(**_read_json(self.folder / "state.json"))

    def write_state(self, reading: Reading) -> None:
        """Only who reads or renders the draft may call this.

        Raises:
            UnknownJob: the draft has been deleted.
        """
        _write_json(self.folder / "state.json", asdict(reading))

    def write_stage(self, description: Mapping[str, Any]) -> None:
        """Declare that it can be played; everything else must be on disk already."""
        _write_json(self.folder / STAGE / "stage.json", description)

    def stage(self, stage: str = STAGE) -> dict[str, Any] | None:
        """What the draft holds, as `Job.stage` would say it; None as long as it has not been read to its end."""
        try:
            return _read_json(self.folder / stage / "stage.json") if stage == STAGE else None
        except UnknownJob:
            return None

    def delete(self) -> None:
        """Remove everything it holds, the upload included; what comes with the app stays where it lies."""
        delete_draft(self.folder)


class Drafts:
    """The folder that holds the drafts.

    Args:
        folder: made when the first draft is.
        keep_hours: how long a visitor's draft is kept after it was made.
        clock: the time now in seconds since 1970.
    """

    def __init__(self, folder: Path, *, keep_hours: float = 24, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._keep = keep_hours * 3600
        self._clock = clock
        self._slots = threading.BoundedSemaphore(READERS)
        self._lock = threading.Lock()
        self._reading: set[str] = set()
        self._bundled: set[str] = set()

    def create(self, source: Path, name: str, *, longest: float | None = None) -> Draft:
        """A visitor's recording; reading it begins at once, in a thread.

        Args:
            source: the upload. It is not copied where the disk can give it a second name, and deleted with the draft.
            name: what it is called on the page.
            longest: seconds it may last.

        Raises:
            DiskFull: there is no room for a copy.
        """
        draft_id = secrets.token_urlsafe(16)
        building = self._building()
        try:
            (building / "input").mkdir()
            link_or_copy(source, building / "input" / safe_name(source.name))
            (building / "original").write_text(str(source.absolute()), encoding="utf-8")
            return self._begin(building, Draft(draft_id, self.folder / draft_id, name, None, longest, self._clock()))
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise

    def mixture(self, name: str, *, longest: float | None = None) -> Draft:
        """An empty draft for a mixture of stems, see `engine.mixes`.

        Args:
            name: what it is called on the page.
            longest: seconds it may last.
        """
        draft_id, building = secrets.token_urlsafe(16), self._building()
        draft = Draft(draft_id, self.folder / draft_id, name, None, longest, self._clock(), mixed=True)
        return self._begin(building, draft)

    def bundled(self, source: Path, name: str) -> Draft:
        """The draft of a recording that comes with the app; made once, and again when the file has changed."""
        stat = source.stat()
        made_of = f"{source.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode()
        draft_id = base64.urlsafe_b64encode(hashlib.sha256(made_of).digest()).decode()[:22]
        self._bundled.add(draft_id)
        with contextlib.suppress(UnknownJob):
            return self.get(draft_id)
        draft = Draft(draft_id, self.folder / draft_id, name, source.absolute(), None, self._clock())
        return self._begin(self._building(), draft)

    def get(self, draft_id: str) -> Draft:
        """The draft with this id. If an earlier process has not read it to its end, that begins again.

        Raises:
            UnknownJob: it has expired, was deleted or replaced, or never was.
        """
        if not _ID.fullmatch(draft_id):
            raise _unknown()
        folder = self.folder / draft_id
        fields = _read_json(folder / "draft.json")
        bundled = None if fields["bundled"] is None else Path(fields["bundled"])
        mixed = fields.get("mixed", False)
        draft = Draft(draft_id, folder, fields["name"], bundled, fields["longest"], fields["created"], mixed)
        if not draft.mixed and not draft.state().finished:
            self._read_aside(draft)
        return draft

    def delete(self, draft_id: str) -> None:
        """Remove a visitor's draft; harmless if it is gone, or comes with the app."""
        if _ID.fullmatch(draft_id) and draft_id not in self._bundled:
            delete_draft(self.folder / draft_id)

    def expire(self) -> list[str]:
        """Remove drafts past their time, and what earlier deletions could not remove. Returns the ids."""
        removed = []
        for folder in self.folder.glob("*"):
            if folder.name.startswith(_GONE):
                with contextlib.suppress(FileNotFoundError):
                    if folder.stat().st_mtime < time.time() - 3600:
                        shutil.rmtree(folder, ignore_errors=True)
            elif _ID.fullmatch(folder.name) and folder.name not in self._bundled:
                with contextlib.suppress(UnknownJob):
                    if _read_json(folder / "draft.json")["created"] + self._keep <= self._clock():
                        delete_draft(folder)
                        removed.append(folder.name)
        return removed

    def _building(self) -> Path:
        building = self.folder / f"{_GONE}{secrets.token_hex(8)}"
        building.mkdir(parents=True)
        return building

    def _begin(self, building: Path, draft: Draft) -> Draft:
        fields = {"name": draft.name, "longest": draft.longest, "created": draft.created}
        bundled = None if draft.bundled is None else str(draft.bundled)
        _write_json(building / "draft.json", {**fields, "bundled": bundled, "mixed": draft.mixed})
        _write_json(building / "state.json", asdict(Reading()))
        building.rename(draft.folder)
        if not draft.mixed:
            self._read_aside(draft)
        return draft

    def _read_aside(self, draft: Draft) -> None:
        with self._lock:
            if draft.id in self._reading:
                return
            self._reading.add(draft.id)
        threading.Thread(target=self._read, args=(draft,), name="earshot-draft", daemon=True).start()

    def _read(self, draft: Draft) -> None:
        """Whatever happens is in the draft's state; nothing is raised."""
        try:
            with self._slots:
                _Read(draft).through()
        except (UnknownJob, Cancelled):
            _log.info("Draft %s… was deleted while it was read", draft.id[:4])
        except Exception as error:
            if not isinstance(error, SeparationError):
                _log.exception("Draft %s… could not be read", draft.id[:4])
            with contextlib.suppress(UnknownJob):
                draft.write_state(Reading("failed", 0.0, explain(error, draft)))
        finally:
            # Deleted meanwhile: files written since then have made the folder anew.
            deleted = not (draft.folder / "draft.json").exists()
            shutil.rmtree(draft.folder if deleted else draft.folder / "scratch", ignore_errors=True)
            with self._lock:
                self._reading.discard(draft.id)


@dataclass
class _Read:
    """One recording on its way from a file to a stage."""

    draft: Draft
    said: float = field(default=0.0)

    def through(self) -> None:
        draft, scratch = self.draft, self.draft.folder / "scratch"
        folder = draft.folder / STAGE
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed process left
        self._tell(0.0)
        outline = PeakBuilder()
        with open_reader(
            draft.input,
            scratch=scratch,
            max_duration=draft.longest,
            cancelled=self._gone,
            progress=lambda fraction: self._tell(_DECODING * fraction),
        ) as reader:
            decoded = scratch.exists()
            begin = _DECODING if decoded else 0.0
            watched = _Watched(reader, outline, lambda fraction: self._tell(begin + (0.95 - begin) * fraction))
            gain = common_gain(scan(watched, cancelled=self._gone).peak)
            if self._gone():
                raise _unknown()
            folder.mkdir(exist_ok=True)
            outline.save(folder / f"{TRACK}.peaks")
            if decoded:
                export(reader, folder / f"{TRACK}.wav", format="wav", bit_depth="16", gain=gain)
            stage = {
                "sample_rate": reader.sample_rate,
                "channels": reader.channels,
                "length": reader.length,
                "start": 0,
                "gain": 1.0 if decoded else gain,
                "tracks": [TRACK],
            }
        draft.write_stage(stage)
        draft.write_state(Reading("done", 1.0))

    def _gone(self) -> bool:
        return not (self.draft.folder / "draft.json").exists()

    def _tell(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self.said >= _STATE_EVERY:
            self.said = now
            self.draft.write_state(Reading("running", min(fraction, 1.0)))


class _Watched(BaseReader):
    """A reader that is read from start to end, and tells an outline and a listener of it."""

    def __init__(self, reader: Reader, outline: PeakBuilder, tell: Callable[[float], None]) -> None:
        super().__init__(reader.info)
        self._reader, self._outline, self._tell = reader, outline, tell

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`."""
        block = self._reader.read(start, length)
        self._outline.add(block)
        self._tell((start + length) / self.length)
        return block


def link_or_copy(source: Path, target: Path) -> None:
    """The same bytes under another name: without copying them where both are on one disk that can do that.

    Raises:
        DiskFull: a copy does not fit.
    """
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links, or not our file
        require_disk(target.parent, source.stat().st_size)
        shutil.copyfile(source, target)


def delete_draft(folder: Path) -> None:
    """Remove a draft's folder and the upload it came from. Harmless if it is gone."""
    with contextlib.suppress(FileNotFoundError):
        Path((folder / "original").read_text(encoding="utf-8")).unlink(missing_ok=True)
    # Whoever reads it opens files by their path: after the rename it can neither find nor make any.
    gone = folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def explain(error: Exception, draft: Draft) -> dict[str, str]:
    """Any error in three parts that a visitor can use."""
    if isinstance(error, SeparationError):
        return {"asked": error.asked, "found": error.found, "advice": error.advice}
    found = "something unexpected went wrong inside the program"
    return {"asked": f"Read {draft.name}", "found": found, "advice": "Separate it all the same, or choose it again"}


def _unknown() -> UnknownJob:
    return UnknownJob(
        "Show a recording", "it is not here any more: it has expired, or was deleted or replaced", "Choose it again"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise _unknown() from None
    return fields


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(value), encoding="utf-8")
        temporary.replace(path)
    except FileNotFoundError:  # the folder was deleted under us
        raise _unknown() from None
