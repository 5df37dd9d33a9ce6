"""What the Compare page plays: seconds of a recording, and what each system made of them.

A *recording* is at most `EXCERPT` seconds, cut once (the loudest of what was chosen), with the true sources where an example
has them. A *take* is what one system made of it: an ordinary job, whose tracks are taken over and which is then deleted, so
that neither a job's address nor its name leads from a pair to its systems. A take is made once, whoever meets whom on it.

    recordings/ID/recording.json · mixture.wav · reference-SOURCE.wav
    recordings/ID/takes/KEY/job               the id of the job, while it is being made
    recordings/ID/takes/KEY/take.json         it is complete, or failed; then SOURCE.wav and residual.wav lie beside it

Everything is 32-bit float at the recording's own rate and without any gain. No page and no vote is known here.
"""

import hashlib
import json
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from separation.audio import Reader, RegionReader, export, open_reader, require_disk
from separation.engine.edits import Edit
from separation.engine.jobs import Job
from separation.engine.jobs import Request as JobRequest
from separation.engine.options import RESIDUAL, Options
from separation.engine.references import AlignedReader
from separation.engine.uploads import alone
from separation.errors import AudioError, Busy, UnknownJob
from separation.listening.arena import System
from separation.signals import Signal
from separation.ui import gpu
from separation.ui.contenders import hub_name
from separation.ui.examples import Example
from separation.ui.frame import Services

EXCERPT = 12.0
"""Seconds: as long as BS.1534-3 lets a sequence be."""
SHORTEST = 1.0
"""Seconds."""
MOST_CHANNELS = 2
UNFINISHED = 4
"""Takes that wait or run at once, of all visitors."""
FORGIVEN = 3600.0
"""Seconds after which a system that failed on a recording may try again."""
QUOTA = 3_000_000_000
"""Bytes of recordings and takes."""

_ID_LENGTH = 22
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """Seconds of a recording.

    Args:
        id: the folder's name; unguessable, or made from an example's.
        folder: where it lies.
        task: what systems do with it.
        name: for people.
        example: id of the example; "" for a visitor's own.
        owner: hash of the listener who brought it; "" for an example.
        shared: others may hear it, too.
        start: seconds into the whole recording.
        sample_rate, channels, length: of everything in it.
        references: true sources, by name.
        licence, provenance: of an example; else "".
        made: seconds since 1970.
    """

    id: str
    folder: Path
    task: str
    name: str
    example: str
    owner: str
    shared: bool
    start: float
    sample_rate: int
    channels: int
    length: int
    references: tuple[str, ...]
    licence: str
    provenance: str
    made: float

    @property
    def mixture(self) -> Path:
        return self.folder / "mixture.wav"

    def reference(self, source: str) -> Path:
        return self.folder / f"reference-{source}.wav"

    def take(self, system: System) -> Path:
        """The folder of what this system made of it."""
        return self.folder / "takes" / hashlib.sha256(system.id.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Making:
    """How far a take is.

    Args:
        status: ``complete``, ``making``, ``failed`` or ``none``.
        fraction: 0 to 1.
        remaining: seconds, or None.
        position: jobs ahead.
    """

    status: str
    fraction: float = 0.0
    remaining: float | None = None
    position: int = 0


class Takes:
    """The recordings of an installation and what systems made of them.

    Args:
        services: the jobs and who runs them.
        folder: made when the first recording comes.
        clock: seconds since 1970.
    """

    def __init__(self, services: Services, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._services, self._store, self._folder, self._clock = services, services.store, folder, clock
        self._keep = services.settings.keep_hours * 3600
        self._start: Callable[[Job], object] = services.workers.submit
        if gpu.zero_gpu():  # the GPU is there only inside the page's own calls
            pool = ThreadPoolExecutor(1, thread_name_prefix="earshot-takes")
            self._start = lambda job: pool.submit(services.workers.run, job, "cpu")

    # Recordings

    def get(self, recording_id: str) -> Recording:
        """A recording by its id.

        Raises:
            UnknownJob: it has expired or was deleted.
        """
        folder = self._folder / recording_id
        try:
            fields = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise _unknown() from None
        return Recording(**{**fields, "folder": folder, "references": tuple(fields["references"])})

    def all(self) -> Iterator[Recording]:
        """Every recording; never shown to a visitor as such."""
        for path in sorted(self._folder.glob("*/recording.json")):
            try:
                yield self.get(path.parent.name)
            except UnknownJob:  # deleted while we looked
                continue

    def of_example(self, example: Example, task: str, sources: tuple[str, ...]) -> Recording:
        """The excerpt of an example: cut once.

        Raises:
            DiskFull, Busy: no room.
        """
        digest = hashlib.sha256(f"{example.id} {task} {example.mixture.stat().st_size}".encode()).hexdigest()
        try:
            return self.get(digest[:_ID_LENGTH])
        except UnknownJob:
            pass
        references = {name: path for name, path in example.references.items() if name in sources}
        credits = "; ".join(sorted({f"{one.what} by {one.author}, {one.source}" for one in example.credits}))
        described = Recording(
            id=digest[:_ID_LENGTH], folder=Path(), task=task, name=example.title, example=example.id, owner="", shared=True,
            start=0.0, sample_rate=0, channels=0, length=0, references=tuple(references),
            licence=", ".join(sorted({one.licence for one in example.credits})),
            provenance=f"Example “{example.title}”: {credits}", made=self._clock(),
        )  # fmt: skip
        return self._cut(example.mixture, references, described)

    def of_upload(self, path: Path, name: str, task: str, owner: str, *, shared: bool) -> Recording:
        """The excerpt of a visitor's recording.

        Raises:
            AudioError: it is too short, silent, or has more than two channels.
            DiskFull, Busy: no room.
        """
        described = Recording(
            id=_new_id(), folder=Path(), task=task, name=name, example="", owner=owner, shared=shared, start=0.0,
            sample_rate=0, channels=0, length=0, references=(), licence="", provenance="", made=self._clock(),
        )  # fmt: skip
        return self._cut(path, {}, described)

    def delete(self, recording: Recording) -> None:
        """Remove a recording with everything made of it."""
        for path in recording.folder.glob("takes/*/job"):
            self._drop(path)
        shutil.rmtree(recording.folder, ignore_errors=True)

    def expire(self) -> None:
        """Remove visitors' own recordings past their time."""
        for one in self.all():
            if not one.shared and one.made + self._keep <= self._clock():
                self.delete(one)

    def _cut(self, path: Path, references: Mapping[str, Path], described: Recording) -> Recording:
        self._require_room()
        building = self._folder / f".{secrets.token_hex(8)}"
        building.mkdir(parents=True)
        try:
            with open_reader(path, scratch=building / "scratch") as reader:
                _check(reader, described.name)
                start, length = loudest(reader, EXCERPT)
                cut = RegionReader(reader, start, length)
                export(cut, building / "mixture.wav", bit_depth="32f")
                for name, file in references.items():
                    with open_reader(file, scratch=building / f"scratch-{name}") as reference:
                        aligned = AlignedReader(reference, cut, start)
                        export(aligned, building / f"reference-{name}.wav", bit_depth="32f")
                rate, channels = reader.sample_rate, reader.channels
            made = replace(
                described, start=start / rate, sample_rate=rate, channels=channels, length=length,
                folder=self._folder / described.id,
            )  # fmt: skip
            for scratch in building.glob("scratch*"):
                shutil.rmtree(scratch, ignore_errors=True)
            fields = {key: value for key, value in asdict(made).items() if key != "folder"}
            (building / "recording.json").write_text(json.dumps(fields), encoding="utf-8")
            if not made.folder.exists():  # else somebody cut the same example meanwhile
                building.rename(made.folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return self.get(described.id)

    def _require_room(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.expire()
        require_disk(self._folder, 50_000_000)
        used = sum(path.stat().st_size for path in self._folder.rglob("*.wav") if path.is_file())
        if used > QUOTA:
            raise Busy(
                "Compare on a new recording",
                f"recordings take {used / 1e9:.1f} GB of the {QUOTA / 1e9:.0f} GB that they may",
                "Vote on a pair that is there already",
            )

    # Takes

    def look(self, recording: Recording, system: System) -> Making:
        """How far a take is; what is complete as a job is taken over first."""
        folder = recording.take(system)
        job = self._job(folder)
        known = self._known(folder)  # only now: somebody may have just taken the job over
        if known is not None or job is None:
            return _made(known)
        try:
            state = job.state()
        except UnknownJob:
            return _made(_read(folder / "take.json"))
        if not state.finished:
            return Making("making", state.fraction, state.remaining, state.position)
        with alone(recording.folder):
            if not (folder / "take.json").exists():
                self._take_over(folder, job, system)
        return _made(_read(folder / "take.json"))

    def make(self, recording: Recording, system: System) -> None:
        """See that a take is made, unless it is there or on its way.

        Raises:
            Busy: too many are being made.
            UnknownJob: the recording was deleted.
        """
        if self.look(recording, system).status != "none":
            return
        try:
            with alone(recording.folder):
                folder = recording.take(system)
                if (folder / "take.json").exists() or self._job(folder) is not None:  # somebody was faster
                    return
                self._require_turn()
                job = self._store.create(recording.mixture, _request(system, hub_name(self._services, system.model)))
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "job").write_text(job.id, encoding="utf-8")
        except FileNotFoundError:
            raise _unknown() from None
        self._start(job)

    def _known(self, folder: Path) -> dict[str, Any] | None:
        """What is written of a take; a failure is forgotten after a while, so that it can be tried again."""
        known = _read(folder / "take.json")
        if known is None or known["status"] != "failed" or self._clock() < known["made"] + FORGIVEN:
            return known
        (folder / "take.json").unlink(missing_ok=True)
        return None

    def _require_turn(self) -> None:
        jobs = [self._job(path.parent) for path in self._folder.glob("*/takes/*/job")]
        if sum(job is not None and not job.state().finished for job in jobs) >= UNFINISHED:
            raise Busy(
                "Compare on this recording",
                f"{UNFINISHED} separations for comparisons wait or run already",
                "Vote on a pair that is there already, or try again in a minute",
            )

    def _take_over(self, folder: Path, job: Job, system: System) -> None:
        """Move the tracks of a finished job here, and delete it."""
        try:
            status, tracks = job.state().status, job.tracks("full")
        except UnknownJob:  # it expired a moment ago
            return
        if status == "done" and tracks:
            for name, path in tracks.items():
                if name != "mixture":
                    shutil.move(path, folder / f"{name}.wav")
            permuted = bool((job.stage("full") or {}).get("permutation_invariant"))
            _write(folder / "take.json", {"status": "complete", "system": asdict(system), "permuted": permuted})
        elif status == "failed":
            _log.error("The system %s failed on a comparison: %s", system.id, job.state().error)
            _write(folder / "take.json", {"status": "failed", "system": asdict(system), "made": self._clock()})
        (folder / "job").unlink(missing_ok=True)
        job.delete()

    def _job(self, folder: Path) -> Job | None:
        try:
            return self._store.get((folder / "job").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, UnknownJob):
            return None

    def _drop(self, path: Path) -> None:
        job = self._job(path.parent)
        if job is not None:
            job.delete()


def _made(known: Mapping[str, Any] | None) -> Making:
    return Making("none") if known is None else Making(str(known["status"]), 1.0)


def read_sound(path: Path) -> Signal:
    """A file of a recording or a take.

    Raises:
        UnknownJob: it was deleted.
    """
    try:
        with open_reader(path) as reader:
            return Signal(reader.read(0, reader.length), reader.sample_rate)
    except AudioError:
        if path.is_file():
            raise
        raise _unknown() from None


def loudest(reader: Reader, seconds: float) -> tuple[int, int]:
    """Start and length in samples of the stretch with the most energy, to a tenth of a second: read once, in blocks."""
    length = min(reader.length, round(seconds * reader.sample_rate))
    step = max(1, reader.sample_rate // 10)
    energies = np.array(
        [
            float(np.square(reader.read(at, min(step, reader.length - at)), dtype=np.float64).sum())
            for at in range(0, reader.length, step)
        ]
    )
    total = np.concatenate([[0.0], np.cumsum(energies)])
    width = length // step
    starts = np.arange(0, (reader.length - length) // step + 1)
    best = int(np.argmax(total[starts + width] - total[starts]))
    return best * step, length


def _check(reader: Reader, name: str) -> None:
    asked = f"Compare on {name}"
    if reader.length < SHORTEST * reader.sample_rate:
        raise AudioError(asked, f"it lasts {reader.length / reader.sample_rate:.1f} s", "Choose a second or more")
    if reader.channels > MOST_CHANNELS:
        raise AudioError(asked, f"it has {reader.channels} channels", "Mix it down to stereo first")


def _request(system: System, model: str) -> JobRequest:
    settings = dict(system.settings)
    edit = settings.get("edit")
    options = Options(band=settings.get("band", "full"))
    return JobRequest(model, "A comparison", options=options, edit=None if edit is None else Edit.from_dict(edit))


def tracks_of(sources: tuple[str, ...]) -> tuple[str, ...]:
    """What each side of a pair has to hear."""
    return (*sources, RESIDUAL)


def _new_id() -> str:
    return secrets.token_urlsafe(16)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found


def _write(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.replace(path)


def _unknown() -> UnknownJob:
    return UnknownJob("Open a comparison", "its recording is not here any more", "Draw another pair")
