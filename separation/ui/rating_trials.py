"""What the rating routes do, without HTTP: serve a trial of a job, save events, keep clips with consent, withdraw.

A trial records what was served: it names the audio by the hashes of its clips, at most a minute of the mixture and every
stem, from the day it is made. The audio itself is kept only from the moment at which its listener allows it, and goes as soon
as they take that back, unless somebody else who heard the very same has allowed it too.

The token of a trial lies in the folder of its job, under the hash of who asked for it, so that the same browser gets the
same trial again; it goes with the job. The database has only its hash.
"""

import filecmp
import hashlib
import logging
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import separation
from separation.audio import open_reader
from separation.engine.jobs import Job, Request
from separation.errors import DiskFull, RatingConflict, RatingError, SeparationError, UnknownJob, UnknownTrial
from separation.ratings import Event, Rating, Trial, clip_id, rating_of
from separation.ratings.clips import MAX_SECONDS
from separation.ratings.marks import Records
from separation.ratings.records import Answer, Comment, Consent, Heard, Mark
from separation.ratings.store import Status, trial_id
from separation.signals import Signal
from separation.ui.examples import Example, read_examples
from separation.ui.frame import Services

KIND = "rating"
CLIPS_QUOTA = 5_000_000_000
"""Bytes of clips that are kept; beyond, ratings are still saved, without audio."""
RESERVE = 50_000_000
"""Bytes that saving a rating leaves free on the disk."""
TRIALS_OF_A_JOB = 500
"""Browsers that may rate one separation: far more than share a link, far fewer than fill a disk."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_EXPORT = re.compile(r"[A-Za-z0-9_-]{22}\.(jsonl|zip)")
_LISTENER = re.compile(r"[A-Za-z0-9_-]{16,64}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What a listener is about to rate.

    Args:
        stage: of the job.
        listener: the random id that the browser keeps.
        hidden: whether the page hides the names of models, metrics and views.
        around: seconds from the start of the stage; of a long one, the clip is laid around it.
    """

    stage: str
    listener: str
    hidden: bool
    around: float = 0.0

    @property
    def key(self) -> str:
        """The same for everything that must lead to the same trial."""
        return hashlib.sha256(f"{self.listener} {self.stage} {self.hidden}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Standing:
    """A trial and its rating as it stands.

    Args:
        kept: whether its clips are here.
    """

    trial: Trial
    rating: Rating
    kept: bool


class Trials:
    """The trials of the jobs of one installation.

    Args:
        services: the jobs, the models, and where ratings and clips go.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._jobs, self._ratings, self._clips = services.store, services.ratings, services.clips
        self._records = Records(services.settings.marked)
        self._lock = threading.Lock()  # one at a time makes trials, and keeps or deletes clips

    def serve(self, job_id: str, asked: Asked) -> tuple[Standing, str]:
        """The trial of this listener, made if there is none, and its token.

        Raises:
            UnknownJob: there is no such job, or it has no such stage.
            RatingError: what is asked for cannot be rated.
            RatingConflict: enough have rated it.
            RatingsBusy: not now.
            DiskFull: there is no room.
        """
        job = self._jobs.get(job_id)
        if not _LISTENER.fullmatch(asked.listener):
            raise RatingError("Rate a separation", "the listener's id is not one", "Reload the page")
        described = job.stage(asked.stage) if asked.stage in ("preview", "full") else None
        if described is None:
            raise UnknownJob("Rate a separation", "it has no such result (yet)", "Wait until it is ready")
        folder = job.folder / "trials"
        with self._lock:
            token = _read(folder / asked.key)
            if token is not None:
                try:
                    return self.standing(token), token
                except UnknownTrial:  # withdrawn: what comes now is a new one
                    (folder / asked.key).unlink(missing_ok=True)
            self._require_room()
            try:
                token = self._serve(job, asked, described, folder)
            except FileNotFoundError:  # the job was deleted under us
                raise UnknownJob("Rate a separation", "it was deleted a moment ago", "Separate it again") from None
        return self.standing(token), token

    def standing(self, token: str) -> Standing:
        """How a rating stands.

        Raises:
            UnknownTrial: there is none, or it was withdrawn.
        """
        trial = self._trial(token)
        rating = rating_of(self._ratings.events(trial.id))
        return Standing(trial, rating, self._ratings.kept(trial.id) and self._here(trial))

    def save(self, token: str, events: Sequence[Event]) -> list[Status]:
        """Save events; when this returns they are on disk, and the clips are where consent puts them.

        Raises:
            UnknownTrial: there is no such trial, or it was withdrawn.
            RatingConflict: an id was used for something else, or the trial is full.
            RatingError: an event speaks of what was not served.
            RatingsBusy: not now.
            DiskFull: there is no room; nothing was saved.
        """
        trial = self._trial(token)
        for event in events:
            _require_served(trial, event)
        self._require_room()
        statuses = self._ratings.save(token, events)
        if any(isinstance(event.payload, Consent) for event in events):
            self._follow_consent(token)
        return statuses

    def withdraw(self, token: str) -> int:
        """Delete a trial, its events, its audio, and what was made of them. Returns how many events there were.

        Raises:
            UnknownTrial: there is none, or it was withdrawn before.
        """
        with self._lock:
            gone = self._ratings.withdraw(_possible(token), delete=self._clips.delete)
        self._records.delete(trial_id(token))
        drop_exports(self._services.settings.exports)
        return gone.events

    # Making a trial

    def _serve(self, job: Job, asked: Asked, described: dict[str, Any], folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) >= TRIALS_OF_A_JOB:
            raise RatingConflict(
                "Rate a separation",
                f"{TRIALS_OF_A_JOB} browsers have rated this one already",
                "Separate the recording again to rate it",
            )
        stage = {name: described[name] for name in ("sample_rate", "channels", "length", "start", "gain", "tracks")}
        start, length = _window(stage["length"], stage["sample_rate"], asked.around)
        request = job.request
        served = {
            "job": subject_of(job),
            "name": request.name,
            **self._origin(job),
            **self._model(request.model),
            **_edited(request),
            "stage": asked.stage,
            **stage,
            "stems": stems_of(stage["tracks"]),
            "references": list(request.references),
            "options": asdict(request.options),
            "hidden": asked.hidden,
            "clip": {"start": start, "length": length},
            "version": separation.__version__,
        }
        clips = {role: clip_id(_clip(job, served, track)) for role, track in _roles(served).items()}
        _, token = self._ratings.serve(asked.listener, KIND, served, clips)
        (folder / asked.key).write_text(token, encoding="utf-8")
        return token

    def _model(self, name: str) -> dict[str, Any]:
        """What a trial says of the model: enough to load the very same again."""
        try:
            card = self._services.card(name)
        except SeparationError:  # an oracle, or a repository that is out of reach now
            return {"model": name, "weights": None, "origin": None, "revision": None}
        weights = None if card.weights is None else card.weights.sha256
        return {"model": name, "weights": weights, "origin": card.origin.name, "revision": card.origin.revision}

    def _origin(self, job: Job) -> dict[str, str]:
        """Where a recording comes from and under which licence: known of the examples only."""
        for example in self._examples:
            if example.title == job.request.name and filecmp.cmp(example.mixture, job.input, shallow=False):
                sources = sorted({f"{credit.what} by {credit.author}, {credit.source}" for credit in example.credits})
                licences = sorted({credit.licence for credit in example.credits})
                return {
                    "provenance": f"Example “{example.title}”: {'; '.join(sources)}",
                    "licence": ", ".join(licences),
                }
        return {}

    @cached_property
    def _examples(self) -> list[Example]:
        return read_examples(self._services.examples)

    # Clips

    def _follow_consent(self, token: str) -> None:
        """Bring the clips of a trial to where its listener's last word on them wants them."""
        with self._lock:
            standing = self.standing(token)
            if standing.rating.training and not standing.kept:
                self._keep(standing.trial)
            elif not standing.rating.training:
                self._ratings.drop(standing.trial.id, self._clips.delete)

    def _keep(self, trial: Trial) -> None:
        """Keep the clips of a trial while its job is here; without it, only what was said is kept."""
        job = self._job(trial)
        if job is None:
            return
        self._ratings.keep(trial.id)
        try:
            require_quota(self._services.settings.clips)
            for role, track in _roles(trial.served).items():
                if self._clips.put(_clip(job, trial.served, track)) != trial.clips[role]:
                    raise RatingError("Keep what was rated", f"{track} is not what was served", "Rate it again")
        except SeparationError:
            _log.exception("The audio of the trial %s could not be kept", trial.id)
            self._ratings.drop(trial.id, self._clips.delete)

    def _here(self, trial: Trial) -> bool:
        return all(clip in self._clips for clip in trial.clips.values())

    # Finding and guarding

    def _trial(self, token: str) -> Trial:
        trial = self._ratings.trial(_possible(token))
        if trial.kind != KIND:
            raise UnknownTrial("Rate a separation", "this is no trial of a separation", "Open the separation again")
        return trial

    def _job(self, trial: Trial) -> Job | None:
        """The job that a trial was served from, while it is here. The database does not have its id, which is a key."""
        for folder in self._jobs.folder.iterdir():
            if _hash(folder.name) == trial.subject:
                try:
                    return self._jobs.get(folder.name)
                except UnknownJob:
                    return None
        return None

    def _require_room(self) -> None:
        free = shutil.disk_usage(self._services.settings.data).free
        if free < RESERVE:
            raise DiskFull(
                "Save a rating",
                f"{free / 1e6:.0f} MB are free where this page keeps ratings",
                "Leave the page open: it tries again. The owner has to make room",
            )


def stems_of(tracks: Iterable[str]) -> list[str]:
    """The tracks that are rated: all but the mixture, the residual and the references."""
    return [name for name in tracks if name not in ("mixture", "residual") and not name.startswith("reference-")]


def drop_exports(folder: Path) -> None:
    """Delete the exports that wait to be fetched: what was just withdrawn may be in them. One that is being written stays."""
    for path in folder.glob("*"):
        if _EXPORT.fullmatch(path.name):
            path.unlink(missing_ok=True)


def subject_of(job: Job) -> str:
    """What the trials of a job have in common. Not its id, which is a key to it."""
    return _hash(job.id)


def _edited(request: Request) -> dict[str, Any]:
    """What was changed inside the model, or in what it was told; and whose trials have what it was before."""
    if request.edit is None and not request.corrects:
        return {}
    changed = {"pitch": "corrected"} if request.edit is None else request.edit.to_dict()
    return {"edit": changed, "edit_of": None if request.edit_of is None else _hash(request.edit_of)}


def _window(length: int, sample_rate: int, around: float) -> tuple[int, int]:
    """Start and length in samples of the clip: all of it, or the longest allowed around a time in seconds."""
    longest = int(MAX_SECONDS * sample_rate)
    if length <= longest:
        return 0, length
    return min(max(round(around * sample_rate) - longest // 2, 0), length - longest), longest


def _roles(served: Any) -> dict[str, str]:
    """Tracks by the role in which a trial names their clips."""
    return {"mixture": "mixture", **{f"stem:{name}": name for name in served["stems"]}}


def _clip(job: Job, served: Any, track: str) -> Signal:
    """What could be heard of a track: its part of the clip, with the stage's gain."""
    path = job.tracks(served["stage"]).get(track)
    if path is None or not path.is_file():
        raise UnknownJob("Rate a separation", "it was deleted a moment ago", "Separate the recording again")
    with open_reader(path) as reader:
        samples = reader.read(served["clip"]["start"], served["clip"]["length"])
        return Signal((samples * served["gain"]).astype("float32"), reader.sample_rate)


def _require_served(trial: Trial, event: Event) -> None:
    """An event may only speak of the tracks and the seconds that were served."""
    served, said = trial.served, event.payload
    named: Sequence[str | None] = ()
    allowed = served["stems"]
    if isinstance(said, Answer | Mark | Comment):
        named = (said.stem,)
    elif isinstance(said, Heard):
        heard = {*said.seconds, *(name for seconds in said.modes.values() for name in seconds)}
        # True sources may come later than the trial.
        named, allowed = [name for name in heard if not name.startswith("reference-")], served["tracks"]
    for name in named:
        if name is not None and name not in allowed:
            raise RatingError("Save a rating", "it names a track that was not served", f"Name one of {_list(allowed)}")
    duration = served["length"] / served["sample_rate"]
    if isinstance(said, Mark) and said.end > duration + 0.01:
        raise RatingError(
            "Save a mark", f"it ends at {said.end:g} s of {duration:g} s", "Mark a part of what was heard"
        )


def require_quota(folder: Path) -> None:
    used = sum(path.stat().st_size for path in _files(folder))
    if used > CLIPS_QUOTA:
        raise DiskFull(
            "Keep what was rated",
            f"the clips take {used / 1e9:.1f} GB of the {CLIPS_QUOTA / 1e9:.0f} GB that they may",
            "Export the ratings, and delete clips that are not needed",
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.flac") if path.is_file())


def _possible(token: str) -> str:
    """The token, or one that no trial has."""
    return token if _TOKEN.fullmatch(token) else ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:12])
