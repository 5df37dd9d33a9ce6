"""True stems that come after the separation: offered, compared with the recording, then tracks like all others.

An offer is an upload that waits for its owner's word. Whether the offers are the recording's stems is a question of one pass:
the products of all signals with one another say what is left of the mixture without them, at which levels they would fit best,
and which estimate each is most like.

    ID/offered/KEY/{stem.EXT,offer.json}     an offer
    ID/references/NAME.EXT                   a reference, once its owner said so
    ID/STAGE/reference-NAME.{wav,peaks}      as the stage's other tracks; `stage.json` is renewed last
"""

import contextlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from separation.audio import Reader, open_reader, probe, require_disk
from separation.datasets.names import canonical
from separation.engine.delivery import NULL_FLOOR_DB, common_gain
from separation.engine.jobs import STAGES, Job
from separation.engine.options import RESIDUAL
from separation.engine.references import AlignedReader, check_names
from separation.engine.segments import FILE as SEGMENTS
from separation.engine.stages import BLOCK, TrackFile, track_of
from separation.engine.uploads import MOST_STEMS, alone, keep, suggest
from separation.errors import AudioError, Cancelled, JobError, UnknownJob

LENGTH_TOLERANCE = 0.5
"""Seconds by which a stem may be longer or shorter than the recording: coders add and drop some tens of milliseconds."""

_KEY = re.compile(r"[0-9a-f]{16}")
_OFFERED = "offered"
_RIDGE = 1e-9  # of a signal's own energy: two equal stems still have one answer


@dataclass(frozen=True)
class Offer:
    """An upload that may become a reference.

    Args:
        id: it is known by this.
        file: what its owner calls the file.
        sample_rate: Hz.
        channels: how many.
        length: samples.
    """

    id: str
    file: str
    sample_rate: int
    channels: int
    length: int


@dataclass(frozen=True)
class Fit:
    """How stems and a recording belong together.

    Args:
        null_db: what is left of the recording without the stems, in dB below it; None for a silent recording.
        best_db: the same if each stem had the level that fits best.
        levels_db: those levels by stem; None where the recording holds nothing of the stem.
        alike: squared correlation of each stem with each estimate, 0 to 1.
    """

    null_db: float | None
    best_db: float | None
    levels_db: dict[str, float | None]
    alike: dict[str, dict[str, float]]


def sources_of(job: Job) -> tuple[str, ...]:
    """The sources that the whole result holds."""
    described = _done(job)
    return tuple(
        name for name in described["tracks"] if name not in ("mixture", RESIDUAL) and not name.startswith(track_of(""))
    )


def offer(job: Job, upload: Path, file: str, *, cancelled: Callable[[], bool] | None = None) -> Offer:
    """Take a file that its owner says is a stem of the job's recording. Nothing changes for the job yet.

    Args:
        upload: a file inside the job's folder; it is moved or deleted.
        file: what its owner calls it.

    Raises:
        JobError: the job is not done, or has as many stems as it can hold.
        AudioError: no audio, silent, or of another length than the recording.
        DiskFull: no room.
    """
    duration = _duration(job)
    key = secrets.token_hex(8)
    folder = job.folder / _OFFERED / key
    try:
        kept = keep(upload, folder, file, longest=duration + 3600, cancelled=cancelled)
        if abs(kept.info.duration - duration) > LENGTH_TOLERANCE:
            raise AudioError(
                f"Use {file}",
                f"it lasts {kept.info.duration:.2f} s and the recording {duration:.2f} s",
                f"Export it from the recording's start to its end; up to {LENGTH_TOLERANCE:g} s more or less is accepted",
            )
        made = Offer(key, file, kept.info.sample_rate, kept.info.channels, kept.info.length)
        with _alone(job):
            if len(offers(job)) + len(job.references) >= MOST_STEMS:
                raise JobError(f"Use {file}", f"there are {MOST_STEMS} stems already", "Remove one first")
            (folder / "offer.json").write_text(json.dumps(asdict(made)), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        _sweep(job)
    return made


def offers(job: Job) -> dict[str, Offer]:
    """What is offered and not used yet, by id, in the order of the files' names."""
    found = []
    for path in (job.folder / _OFFERED).glob("*/offer.json"):
        with contextlib.suppress(FileNotFoundError):  # withdrawn meanwhile
            found.append(Offer(**json.loads(path.read_text(encoding="utf-8"))))
    return {one.id: one for one in sorted(found, key=lambda one: (one.file.casefold(), one.id))}


def withdraw(job: Job, key: str) -> None:
    """Delete an offer; harmless if it is gone."""
    if _KEY.fullmatch(key):
        shutil.rmtree(job.folder / _OFFERED / key, ignore_errors=True)


def compare(
    job: Job,
    keys: Sequence[str],
    *,
    replaced: Collection[str] = (),
    cancelled: Callable[[], bool] | None = None,
) -> Fit:
    """Whether these offers, with the references that are there already, are the stems of the whole result.

    Args:
        keys: of the offers.
        replaced: references that are not counted, because an offer is to take their place.
        cancelled: asked between blocks.

    Raises:
        JobError: the job is not done, or there is no such offer.
        Cancelled: `cancelled` said so.
    """
    described, sources = _done(job), sources_of(job)
    tracks = job.tracks("full")
    used = [track_of(name) for name in job.references if name not in replaced]
    with ExitStack() as stack:
        mixture = stack.enter_context(open_reader(tracks["mixture"]))
        readers: list[Reader] = [mixture]
        readers += [stack.enter_context(open_reader(tracks[name])) for name in (*sources, *used)]
        for key in keys:
            stem = stack.enter_context(open_reader(_file(job, key)))
            readers.append(AlignedReader(stem, mixture, described["start"]))
        products = _products(readers, cancelled)
    count = 1 + len(sources)
    names = [*(name.removeprefix(track_of("")) for name in used), *keys]
    levels = _levels(products, count)
    energy = products.diagonal()
    pairs = np.maximum(np.outer(energy, energy), 1e-30)
    alike = np.square(products) / pairs
    return Fit(
        null_db=_left_db(products, count, np.ones(len(names))),
        best_db=_left_db(products, count, levels),
        levels_db={
            name: 20 * log10(level) if level > 1e-3 else None
            for name, level in zip(names, levels.tolist(), strict=True)
        },
        alike={
            name: {source: float(alike[count + i, 1 + s]) for s, source in enumerate(sources)}
            for i, name in enumerate(names)
        },
    )


def names_for(job: Job, fit: Fit | None = None) -> dict[str, str]:
    """A name for each offer: the source it is called after, else its own.

    The order of speakers is the model's whim, whatever the files are called: they go by the estimate that each is most like.
    """
    waiting = offers(job)
    sources = [name for name in sources_of(job) if name not in job.references]
    speakers = [source for source in sources if re.fullmatch(r"s\d+", canonical(source))]
    if fit is not None and len(speakers) == len(sources) == len(waiting) > 1:
        likeness = np.array([[fit.alike[key][source] for source in speakers] for key in waiting])
        rows, columns = linear_sum_assignment(likeness, maximize=True)
        keys = list(waiting)
        return {keys[row]: speakers[column] for row, column in zip(rows, columns, strict=True)}
    named = suggest(sources, [one.file for one in waiting.values()], list(job.references))
    return dict(zip(waiting, named, strict=True))


def use(job: Job, names: Mapping[str, str], *, cancelled: Callable[[], bool] | None = None) -> Job:
    """Make offers references of the job, and tracks of its stages. One of the same name is replaced.

    Args:
        names: by id of the offer.

    Raises:
        JobError: the job is not done, an offer is not there, or a name cannot be used.
        DiskFull: the tracks do not fit; then nothing has changed.
        Cancelled: `cancelled` said so; then nothing has changed.
    """
    sources = sources_of(job)
    check_names(list(names.values()))
    with _alone(job):
        files = {name: _file(job, key) for key, name in names.items()}
        replaced = {name.casefold() for name in files}
        kept = {name: path for name, path in job.references.items() if name.casefold() not in replaced}
        check_names([*kept, *files])
        stages = {stage: described for stage in STAGES if (described := job.stage(stage)) is not None}
        require_disk(job.folder, sum(4 * d["channels"] * d["length"] * len(files) for d in stages.values()))
        peaks = {stage: _write_tracks(job, stage, described, files, cancelled) for stage, described in stages.items()}
        (job.folder / "references").mkdir(exist_ok=True)
        for name, path in job.references.items():
            if name not in kept:
                path.unlink()
        for name, path in files.items():
            path.rename(job.folder / "references" / f"{name}{path.suffix}")
        renewed = job.write_references(_in_order([*kept, *files], sources))
        for stage, described in stages.items():
            _renew(renewed, stage, described, min(described["gain"], common_gain(peaks[stage])))
        for key in names:
            withdraw(job, key)
    return renewed


def forget(job: Job, name: str) -> Job:
    """Take a reference away from the job, with its tracks.

    Raises:
        JobError: the job is not done, or has none of that name.
    """
    _done(job)
    with _alone(job):
        if name not in job.references:
            raise JobError(f"Remove the reference {name}", "there is none of that name", "Reload the page")
        path = job.references[name]
        renewed = job.write_references([other for other in job.references if other != name])
        for stage in STAGES:
            if (described := job.stage(stage)) is not None:
                _renew(renewed, stage, described, described["gain"])
                for suffix in (".wav", ".peaks"):
                    (job.folder / stage / f"{track_of(name)}{suffix}").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return renewed


def _in_order(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """As the sources, then what is none of them."""
    return [name for name in sources if name in names] + [name for name in names if name not in sources]


def _write_tracks(
    job: Job, stage: str, described: Mapping[str, Any], files: Mapping[str, Path], cancelled: Callable[[], bool] | None
) -> float:
    """The references as the stage would hold them; all appear or none. Returns the greatest magnitude."""
    with ExitStack() as stack:
        mixture = stack.enter_context(open_reader(job.tracks(stage)["mixture"]))
        sinks = []
        for name, path in files.items():
            stem = AlignedReader(stack.enter_context(open_reader(path)), mixture, described["start"])
            track = TrackFile(
                job.folder / stage / f"{track_of(name)}.wav", mixture.sample_rate, mixture.channels, mixture.length
            )
            sinks.append(stack.enter_context(track))
            for start, length in _blocks(mixture.length):
                if (cancelled is not None and cancelled()) or not (job.folder / "request.json").exists():
                    raise Cancelled("Take the stems", "it was stopped", "Start it again when you like")
                sinks[-1].write(stem.read(start, length))
    return max(track.peak for track in sinks)


def _renew(job: Job, stage: str, described: Mapping[str, Any], gain: float) -> None:
    """Say which references the stage has now; what was measured without them says nothing any more."""
    own = [name for name in described["tracks"] if not name.startswith(track_of(""))]
    tracks = [*own, *map(track_of, job.request.references)]
    (job.folder / stage / SEGMENTS).unlink(missing_ok=True)
    job.write_stage(stage, {**described, "gain": gain, "tracks": tracks, "renewed": job.clock()})


def _done(job: Job) -> dict[str, Any]:
    """The whole result of a job that is done."""
    described = job.stage("full")
    if job.state().status != "done" or described is None:
        raise JobError(
            f"Add stems to {job.request.name}", "its separation is not done", "Wait for it, then add them again"
        )
    return described


def _duration(job: Job) -> float:
    """Seconds of the whole recording, of which a part may have been separated."""
    described, request = _done(job), job.request
    if request.offset is None and request.duration is None:
        return float(described["length"] / described["sample_rate"])
    return probe(job.input).duration


def _file(job: Job, key: str) -> Path:
    if _KEY.fullmatch(key):
        for path in (job.folder / _OFFERED / key).glob("stem.*"):
            return path
    raise JobError("Use a stem", "it is not here any more", "Choose the file again")


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """One change of a job's references at a time, whatever process makes it."""
    try:
        with alone(job.folder):
            if job.wanted:
                raise JobError(
                    "Change the references",
                    "the owner of this page collects ratings of this separation, which must stay as it is",
                    "Separate the recording yourself",
                )
            yield
    except FileNotFoundError:
        raise _gone() from None
    finally:
        _sweep(job)


def _sweep(job: Job) -> None:
    """Deleted meanwhile: files written since then have made the folder anew."""
    if not (job.folder / "request.json").exists():
        shutil.rmtree(job.folder, ignore_errors=True)


def _gone() -> UnknownJob:
    return UnknownJob("Add stems", "the separation is not here any more", "Separate the recording again")


def _products(readers: Sequence[Reader], cancelled: Callable[[], bool] | None) -> NDArray[np.float64]:
    """``[N, N]``: the sum of the products of all samples, all channels, of each two signals of one form."""
    products = np.zeros((len(readers), len(readers)))
    for start, length in _blocks(readers[0].length):
        if cancelled is not None and cancelled():
            raise Cancelled("Compare the stems", "it was stopped", "Start it again when you like")
        block = np.stack([reader.read(start, length).ravel() for reader in readers]).astype(np.float64)
        products += block @ block.T
    return products


def _levels(products: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """The factors of the signals from `first` on whose sum is nearest to signal 0 (least squares)."""
    own = products[first:, first:]
    ridge = np.diag(_RIDGE * own.diagonal() + 1e-30)
    return np.asarray(np.linalg.solve(own + ridge, products[first:, 0]), np.float64)


def _left_db(products: NDArray[np.float64], first: int, factors: NDArray[np.float64]) -> float | None:
    """Energy of signal 0 minus the others, each with its factor, in dB below that of signal 0."""
    whole = float(products[0, 0])
    if whole == 0:
        return None
    left = whole - 2 * factors @ products[first:, 0] + factors @ products[first:, first:] @ factors
    return max(NULL_FLOOR_DB, 10 * log10(left / whole)) if left > 0 else NULL_FLOOR_DB


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    return ((start, min(BLOCK, length - start)) for start in range(0, length, BLOCK))
