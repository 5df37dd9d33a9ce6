"""Edits as jobs: an edit of a part of a separation, or of all of it, is a job of its own that belongs to the one it changes.

Who asks twice for the same gets the same job. The ids lie in the original's folder, `ID/edits/KEY`, under a key of what was
asked for, so that edits go when their original goes (`Job.delete`). What can be known without the model is checked here, before
anything waits in a queue; the rest (does its latent have ideal masks?) the model says itself, in the job's state.

Another separation with corrected pitches (`engine.pitches`) is made in the same way and heard beside the original likewise.

Another separation with corrected pitches (`engine.pitches`) is made and heard beside its original in the same way.

Not what an edit does: that is `engine.edits`.
"""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from separation.audio import open_reader
from separation.engine.edits import Edit, Rows
from separation.engine.jobs import EDITS, STAGES, Job, JobStore, Request
from separation.engine.latents import LatentGrid, basis, read_grid
from separation.engine.pitches import Change, Pitches
from separation.engine.stages import LATENTS
from separation.errors import Busy, JobError, ModelError, UnknownJob
from separation.metrics import si_sdr
from separation.models.protocol import LatentSeparator, Separator

LONGEST = 15.0
"""Seconds of a part: what is edited and heard at once."""
SHORTEST = 0.25
"""Seconds of a part at least."""
UNFINISHED = 3
"""Edits of one separation that wait or run at once."""
A_MINUTE = 20
"""Edits of one separation that are begun in a minute."""
KEPT = 24
"""Edits of one separation that are kept; older ones make room, those last that somebody has rated. All can be made again."""
LONG_KEPT = 2
"""Of those, edits of more than a part: each may be as large as the separation."""
MEASURED = 60.0
"""Seconds of an edit whose effect is measured at once; longer ones have their figures second by second."""

_RANGES = re.compile(r"(?P<ranges>\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*)(?P<hz>Hz)?", re.IGNORECASE)
_ASKED = "Edit this separation"
_SLACK = 0.05  # seconds by which the browser's times may miss the stage's


@dataclass(frozen=True)
class Wish:
    """What is to be edited, and where.

    Args:
        stage: of the original: ``preview`` or ``full``.
        edit: what to change.
        region: from and to in seconds of the recording; None for the whole stage.
    """

    stage: str
    edit: Edit
    region: tuple[float, float] | None = None

    @classmethod
    def from_dict(cls, fields: Any) -> "Wish":
        """What a page asks for: ``{stage, edit, start, end}``; ``end`` null for the whole stage.

        Raises:
            JobError: it is not that.
        """
        found = ""
        if not isinstance(fields, dict) or not {"stage", "edit"} <= set(fields) <= {"stage", "edit", "start", "end"}:
            found = "the request does not say what is to be edited"
        elif fields["stage"] not in STAGES:
            found = "the stage is neither preview nor full"
        elif not isinstance(fields["edit"], dict):
            found = "the edit is not an object"
        if found:
            raise JobError(_ASKED, found, "Reload the page")
        if fields.get("end") is None:
            return cls(fields["stage"], Edit.from_dict(fields["edit"]))
        region = (fields.get("start"), fields["end"])
        if not all(type(value) in (int, float) and isfinite(value) for value in region):
            raise JobError(_ASKED, f"from {region[0]!r} to {region[1]!r}", "Give both in seconds of the recording")
        return cls(fields["stage"], Edit.from_dict(fields["edit"]), (float(region[0]), float(region[1])))


class Editing:
    """Makes the edits of the jobs of a store. Nothing is started: that is for who asks.

    Args:
        store: where the jobs are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lock = threading.Lock()

    def ask(self, job_id: str, wish: Wish, *, staged: bool) -> tuple[Job, bool]:
        """The job of an edit, and whether it was made just now.

        Args:
            job_id: of the separation.
            wish: what to change, and where.
            staged: its model has a stage after the masks.

        Raises:
            UnknownJob: there is no such separation, or no such stage of it.
            JobError, ModelError: it cannot be edited like this.
            Busy: too many edits at once.
            DiskFull: there is no room.
        """
        job, described = self._editable(job_id, wish.stage)
        _check(job, wish, grid_of(job, wish.stage), staged=staged)
        return self._take(job, _stretch(described, wish.region), edit=wish.edit, pitches=job.pitches)

    def correct(
        self, job_id: str, stage: str, region: tuple[float, float] | None, changes: Sequence[Change]
    ) -> tuple[Job, bool]:
        """The job of a separation with other pitches, and whether it was made just now.

        Args:
            job_id: of the separation.
            stage: of it: ``preview`` or ``full``.
            region: from and to in seconds of the recording; None for the whole stage.
            changes: to the pitches that it was made with.

        Raises:
            UnknownJob, JobError, ModelError, Busy, DiskFull: as in `ask`.
        """
        job, described = self._editable(job_id, stage)
        pitches = job.pitches
        if pitches is None:
            found = f"the model {job.request.model} does not go by the pitch of voices"
            raise ModelError("Correct the pitch", found, "Choose a model that does")
        other = pitches.changed(changes)
        other.check(job.request.name, (described["start"] + described["length"]) / described["sample_rate"])
        return self._take(job, _stretch(described, region), edit=None, pitches=other)

    def _editable(self, job_id: str, stage: str) -> tuple[Job, dict[str, Any]]:
        """A separation, and a stage of it that is there."""
        job = self._store.get(job_id)
        if job.request.edit_of is not None:
            raise JobError(_ASKED, "it is an edit itself", "Edit the separation that it was made from")
        described = job.stage(stage)
        if described is None:
            raise UnknownJob(_ASKED, "it has no such result (yet)", "Wait until it is ready")
        return job, described

    def _take(
        self, job: Job, stretch: tuple[int, int, int], *, edit: Edit | None, pitches: Pitches | None
    ) -> tuple[Job, bool]:
        """A job beside this one for a stretch of it: rate, first sample and samples."""
        rate, start, length = stretch
        folder = job.folder / EDITS
        key = _key(job, edit, pitches, start, length)
        with self._lock:
            known = self._known(folder / key)
            if known is not None:
                return known, False
            self._make_room(folder, is_long=length > LONGEST * rate)
            made = self._store.create(
                job.input,
                Request(
                    model=job.request.model,
                    name=job.request.name,
                    sources=job.request.sources,
                    offset=start / rate,
                    duration=length / rate,
                    options=job.request.options,
                    edit=edit,
                    edit_of=job.id,
                ),
                references=job.references,
                pitches=pitches,
            )
            try:
                folder.mkdir(exist_ok=True)
                (folder / key).write_text(made.id, encoding="utf-8")
            except FileNotFoundError:  # the original was deleted under us
                made.delete()
                raise UnknownJob(_ASKED, "it was deleted a moment ago", "Separate the recording again") from None
        return made, True

    def _known(self, entry: Path) -> Job | None:
        """The job that was made for the same wish, unless it has failed, was stopped or is gone."""
        with contextlib.suppress(FileNotFoundError, UnknownJob):
            job = self._store.get(entry.read_text(encoding="utf-8"))
            if job.state().status not in ("failed", "cancelled"):
                return job
        return None

    def _make_room(self, folder: Path, *, is_long: bool) -> None:
        """Refuse what would be too much at once; let old edits go that nobody waits for."""
        states = [(entry, job, job.state()) for entry, job in self._edits(folder)]
        now = self._store.clock()
        if sum(not state.finished for _, _, state in states) >= UNFINISHED:
            found = f"{UNFINISHED} edits of it are being made"
            raise Busy(_ASKED, found, "Wait until one of them is ready, or cancel one")
        if sum(now - state.created < 60 for _, _, state in states) >= A_MINUTE:
            raise Busy(_ASKED, f"{A_MINUTE} edits of it were begun in the last minute", "Wait a minute, then go on")
        states.sort(key=lambda each: ((each[1].folder / "trials").exists(), each[2].created))
        spare = [(entry, job) for entry, job, state in states if state.finished]
        going = spare[: max(0, len(states) + 1 - KEPT)]
        if is_long:
            long = [each for each in spare if _is_long(each[1])]
            going += long[: max(0, len(long) + 1 - LONG_KEPT)]
        for entry, job in going:
            job.delete()
            entry.unlink(missing_ok=True)

    def _edits(self, folder: Path) -> Iterator[tuple[Path, Job]]:
        for entry in folder.glob("*"):
            try:
                job = self._store.get(entry.read_text(encoding="utf-8"))
                job.state()
            except UnknownJob:
                entry.unlink(missing_ok=True)
            else:
                yield entry, job


def rows_of(text: str, separator: Separator) -> Rows:
    """Basis functions as a person writes them: ``vocals:0-40,55`` by their numbers, ``vocals:0-200Hz`` by their centroids.

    Args:
        text: a source, a colon, and numbers or ranges (both ends count).
        separator: whose source and basis functions they are.

    Raises:
        JobError: it does not read like that, or there is nothing there.
        ModelError: the model has no masks, or no such source or basis function.
    """
    if not isinstance(separator, LatentSeparator):
        raise ModelError(f"Mute {text}", f"{type(separator).__name__} has no masks", "Choose a model that masks")
    source, _, rest = text.rpartition(":")
    if source not in separator.spec.sources:
        found, known = f"the model has no source called {source!r}", ", ".join(separator.spec.sources)
        raise ModelError(f"Mute {text}", found, f"Write one of {known}, a colon, and what to mute")
    read = _RANGES.fullmatch(rest.replace(" ", ""))
    if read is None:
        raise JobError(f"Mute {text}", f"{rest!r} is no list of ranges", f"Write {source}:0-40,55 or {source}:0-200Hz")
    hz = basis(separator, waveforms=False).centroid_hz
    ranges = [[float(end) for end in part.split("-")] for part in read["ranges"].split(",")]
    if read["hz"]:
        chosen = [index for index, at in enumerate(hz) if any(low <= at <= high for low, high in map(_ends, ranges))]
    else:
        chosen = [index for low, high in map(_ends, ranges) for index in range(int(low), int(high) + 1)]
    if not chosen or max(chosen) >= len(hz):
        found = f"there are {len(hz)} basis functions, from {hz.min():.0f} to {hz.max():.0f} Hz"
        raise ModelError(f"Mute {text}", found, "Choose some of these")
    return Rows(source, tuple(chosen))


def _ends(part: Sequence[float]) -> tuple[float, float]:
    return part[0], part[-1]


def grid_of(job: Job, stage: str) -> LatentGrid | None:
    """What the model did inside; None if it has no masks."""
    described = job.stage(stage)
    if described is None or not described.get("latents"):
        return None
    try:
        return read_grid(job.folder / stage / LATENTS)
    except FileNotFoundError:
        raise UnknownJob(_ASKED, "it was deleted a moment ago", "Separate the recording again") from None


def oracle_sources(job: Job, grid: LatentGrid) -> tuple[str, ...]:
    """The sources that an oracle can be swapped in for: all, where every one of them has its reference, else none."""
    references, sources = set(job.request.references), grid.sources
    # Exchangeable sources are called what the model calls them, their references what a visitor calls them.
    return sources if set(sources) <= references or len(references) == len(sources) else ()


def effect(job: Job) -> dict[str, tuple[float, float]]:
    """SI-SDR in dB of each source before and after an edit, against its reference, over the edited part.

    Empty where there is no reference of a source's name, or more than `MEASURED` seconds. NaN and infinity as in
    `metrics.si_sdr`.

    Raises:
        JobError: the original has gone.
        UnknownJob: one of them was deleted just now.
    """
    original, after = job.original, job.stage("full")
    assert original is not None, "of an edit only"
    rate = 0 if after is None else after["sample_rate"]
    if after is None or after["length"] > MEASURED * rate:
        return {}
    first, length = after["start"], after["length"]
    names = [name for name in after["tracks"] if f"reference-{name}" in after["tracks"]]
    for stage in reversed(STAGES):
        before = original.stage(stage)
        if before and before["start"] <= first and first + length <= before["start"] + before["length"] and names:
            old, new = original.tracks(stage), job.tracks("full")
            truth = _samples([new[f"reference-{name}"] for name in names], 0, length)
            was = _samples([old[name] for name in names], first - before["start"], length)
            now = _samples([new[name] for name in names], 0, length)
            pairs = zip(names, si_sdr(truth, was).tolist(), si_sdr(truth, now).tolist(), strict=True)
            return {name: (a, b) for name, a, b in pairs}
    return {}


def _samples(paths: Sequence[Path], start: int, length: int) -> torch.Tensor:
    blocks = []
    for path in paths:
        try:
            with open_reader(path) as reader:
                blocks.append(reader.read(start, length))
        except FileNotFoundError:
            raise UnknownJob(_ASKED, "it was deleted a moment ago", "Separate the recording again") from None
    return torch.from_numpy(np.stack(blocks))


def _is_long(job: Job) -> bool:
    return (job.request.duration or inf) > LONGEST


def _key(job: Job, edit: Edit | None, pitches: Pitches | None, start: int, length: int) -> str:
    wish: list[Any] = [None if edit is None else edit.to_dict(), start, length, sorted(job.request.references)]
    if edit is None and pitches is not None:
        wish += [[name, hashlib.sha256(track.hz.tobytes()).hexdigest()] for name, track in pitches.tracks.items()]
    return hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).hexdigest()[:32]


def _stretch(described: dict[str, Any], region: tuple[float, float] | None) -> tuple[int, int, int]:
    """Rate, first sample in the recording and number of samples of what is to be edited.

    Raises:
        JobError: it is too short, too long, or not inside the stage.
    """
    rate, first, length = described["sample_rate"], described["start"], described["length"]
    if region is None:
        return rate, first, length
    last = first + length
    start, stop = (round(seconds * rate) for seconds in region)
    found = ""
    if start < first - _SLACK * rate or stop > last + _SLACK * rate:
        found = (
            f"{region[0]:.2f} s to {region[1]:.2f} s of {first / rate:.2f} s to {last / rate:.2f} s that are separated"
        )
    start, stop = max(start, first), min(stop, last)
    if not found and not SHORTEST <= (stop - start) / rate <= LONGEST + _SLACK:
        found = f"a part of {(stop - start) / rate:.2f} s"
    if found:
        advice = f"Choose {SHORTEST:g} to {LONGEST:g} s inside what is separated, or apply the edit to the whole of it"
        raise JobError(_ASKED, found, advice)
    return rate, start, min(stop - start, round(LONGEST * rate))


def _check(job: Job, wish: Wish, grid: LatentGrid | None, *, staged: bool) -> None:
    """What can be known without the model.

    Raises:
        ModelError: the model has nothing of the kind.
        JobError: there is nothing to change, or no reference for the oracle.
    """
    edit = wish.edit
    if grid is None:
        raise ModelError(_ASKED, f"the model {job.request.model} has no masks", "Choose a model that masks")
    if edit == Edit():
        raise JobError(_ASKED, "nothing is changed", "Move a slider, mute something, or swap in an oracle")
    unknown = [name for name in edit.sources if name not in grid.sources]
    if unknown:
        found = f"there is no source called {', '.join(unknown)}"
        raise ModelError(_ASKED, found, f"Choose from {', '.join(grid.sources)}")
    if edit.intermediate and not staged:
        raise ModelError(_ASKED, "the model has no stage after its masks", "Leave that part of the edit out")
    for rows in (*edit.muted, *((edit.solo,) if edit.solo else ())):
        if rows.basis[-1] >= len(grid.order):
            found = f"there is no basis function {rows.basis[-1]} of {rows.source}"
            raise ModelError(_ASKED, found, f"Choose from 0 to {len(grid.order) - 1}")
    if edit.oracle and not oracle_sources(job, grid):
        has = ", ".join(job.request.references) or "none"
        found = f"an oracle needs the true {', '.join(grid.sources)}; the references here are {has}"
        raise JobError(_ASKED, found, "Give the separation its references, or edit without the oracle")
