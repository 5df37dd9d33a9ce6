"""Comparisons as one listener meets them: a *bout* is two systems on one recording, left and right, served once.

What a listener may know of a bout before voting is here and nowhere else: `Bouts.seen`. Sides and the order of the two jobs
are drawn; sounds have tokens drawn for this bout alone, equal lengths and one format; no name, id, size, time or message tells
which system is on which side. The trial is made when both can be heard, and says everything needed to hear the same again.

    bouts/ID/bout.json      systems, sides, tokens, gains, and the trial's token; the id is the listener's key to it
"""

import json
import logging
import math
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, get_args

import numpy as np
import torch

import separation
from separation.engine.uploads import alone
from separation.errors import Busy, RatingConflict, RatingError, SeparationError, UnknownJob
from separation.listening.arena import (
    ATTRIBUTES,
    KIND,
    RANDOM_SHARE,
    SHORTEST_HEARD,
    Choice,
    Drawn,
    Side,
    System,
    Verdict,
    Vote,
    draw_pair,
    pairs_of,
    vote_of,
    votes_of,
)
from separation.metrics import measure
from separation.ratings import Event, Stored, Trial, clip_id, rating_of
from separation.ratings.records import Comment, Consent, Did, Finished, Given, Heard, Mark, Payload, Unmark
from separation.ratings.store import Status
from separation.signals import Signal
from separation.ui.contenders import BASELINE, Task, hub_name, tasks
from separation.ui.examples import Example, read_examples
from separation.ui.frame import Services
from separation.ui.matched import Prepared, levelled, prepare, samples_16
from separation.ui.rating_trials import drop_exports, require_quota
from separation.ui.takes import Making, Recording, Takes, read_sound, tracks_of

FRESH = 5.0
"""Seconds for which votes once read are good enough to draw a pair or to show a leaderboard."""
METRICS = {"si_sdr": "SI-SDR", "snr": "SNR"}
"""What is shown of a side after the vote, where the true sources are known."""
MOST_SOUNDS = 32
"""Sounds that are held as samples: at most 2 MB each."""
MOST_MEASURED = 256
"""Sides whose measures are remembered."""

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_LISTENER = re.compile(r"[A-Za-z0-9_-]{16,64}")
_SIDES: tuple[Side, ...] = get_args(Side)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What a listener wants to hear.

    Args:
        listener: the random id that the browser keeps.
        example: id of an example.
        draft: id of a recording of the listener's own; with `task`.
        task: what systems do with it.
        shared: others may hear the excerpt of `draft`.
        after: id of a bout whose recording is wanted again.
        stay: the winner of `after` stays and meets another system.
    """

    listener: str
    example: str = ""
    draft: str = ""
    task: str = ""
    shared: bool = False
    after: str = ""
    stay: bool = False


@dataclass(frozen=True)
class Bout:
    """One comparison of one listener.

    Args:
        id: the key to it.
        listener: whose.
        recording: id.
        left, right: the systems.
        how, probability: the pair was drawn.
        permuted: the order of sources means nothing.
        sounds: token -> {role, file, gain}, once it can be heard. Roles: ``mixture``, ``left:SOURCE``, ``right:residual``, …
        trial: token of the trial, once it was served; "" before.
    """

    id: str
    listener: str
    recording: str
    left: System
    right: System
    how: str
    probability: float
    permuted: bool
    sounds: Mapping[str, Mapping[str, Any]]
    trial: str = ""

    def system(self, side: Side) -> System:
        return self.left if side == "left" else self.right


class Bouts:
    """The comparisons of an installation.

    Args:
        services: the models, the jobs, the examples and the ratings.
        generator: draws pairs and sides.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        services: Services,
        *,
        generator: np.random.Generator | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.takes = Takes(services, services.settings.compare / "recordings", clock=clock)
        self._services, self._ratings, self._clips = services, services.ratings, services.clips
        self._folder = services.settings.compare / "bouts"
        self._clock = clock
        self._generator = generator or np.random.default_rng(secrets.randbits(128))
        self._lock = threading.Lock()
        self._votes: tuple[float, list[Vote]] = (-math.inf, [])
        self._sound = lru_cache(MOST_SOUNDS)(samples_16)
        self._measure = lru_cache(MOST_MEASURED)(_measured)

    # Drawing

    @cached_property
    def examples(self) -> list[Example]:
        """The bundled recordings."""
        return read_examples(self._services.examples)

    def tasks(self) -> dict[str, Task]:
        """What can be compared here, by task."""
        return tasks(self._services)

    def draw(self, wish: Wish) -> Bout:
        """A new bout for a listener: recording, pair and sides.

        Raises:
            UnknownJob: the draft or the bout before is not here any more.
            RatingError: the listener's id is none, or nothing can be compared.
            Busy: too much is being separated; what is there already can still be voted on.
        """
        if not _LISTENER.fullmatch(wish.listener):
            raise RatingError("Compare two systems", "the listener's id is not one", "Reload the page")
        with self._lock:  # generators are not for several threads
            generator = self._generator.spawn(1)[0]
        uniform = bool(generator.random() < RANDOM_SHARE)
        try:
            return self._draw(wish, generator, uniform=uniform)
        except Busy:
            if not uniform or wish.example or wish.draft or wish.after:
                raise
            return self._draw(wish, generator, uniform=False)  # one that is there already

    def _draw(self, wish: Wish, generator: np.random.Generator, *, uniform: bool) -> Bout:
        recording, task, pairs = self._chosen(wish, generator, uniform=uniform)
        votes = [vote for vote in self.votes() if vote.task == task.name]
        drawn = draw_pair(pairs, votes, generator, share=float(uniform), winner=wish.stay)
        order, first = ([int(index) for index in generator.permutation(2)] for _ in range(2))
        left, right = (task.systems[drawn.pair[index]] for index in order)
        for index in first:  # neither the order of jobs nor of sides says anything of the other
            self.takes.make(recording, (left, right)[index])
        return self._kept(wish.listener, recording, task, left, right, drawn)

    def _chosen(
        self, wish: Wish, generator: np.random.Generator, *, uniform: bool
    ) -> tuple[Recording, Task, list[tuple[str, str]]]:
        """The recording and the pairs that may be drawn on it. What was made before must not decide what is drawn uniformly."""
        known = self.tasks()
        if wish.after:
            before = self.get(wish.after)
            recording = self.takes.get(before.recording)
            task = _task(known, recording.task)
            pairs = self._able(recording, task)
            return recording, task, self._staying(before, pairs) if wish.stay else self._unheard(wish, recording, pairs)
        if wish.draft:
            recording, task = self._own(wish, known)
        elif wish.example:
            recording, task = self._of_example(wish.example, known)
        else:
            there = None if uniform else self._there(wish, known, generator)
            if there is not None:
                return there
            recording, task = self._any_example(known, generator)
        return recording, task, self._unheard(wish, recording, self._able(recording, task))

    def _own(self, wish: Wish, known: Mapping[str, Task]) -> tuple[Recording, Task]:
        task = _task(known, wish.task)
        draft = self._services.store.drafts.get(wish.draft)
        owner = wish.listener
        return self.takes.of_upload(draft.input, draft.name, task.name, owner, shared=wish.shared), task

    def _of_example(self, name: str, known: Mapping[str, Task]) -> tuple[Recording, Task]:
        for example in self.examples:
            if example.id == name:
                sources = set(self._services.card(example.model).sources)
                for task in known.values():
                    if set(task.sources) == sources:
                        return self.takes.of_example(example, task.name, task.sources), task
        raise RatingError("Compare on an example", "there is none of that name to compare on", "Choose another one")

    def _any_example(self, known: Mapping[str, Task], generator: np.random.Generator) -> tuple[Recording, Task]:
        """One on which something is left to be made, drawn."""
        examples = [one.id for one in self.examples]
        for index in generator.permutation(len(examples)):
            try:
                return self._of_example(examples[index], known)
            except RatingError:  # nobody does that task
                continue
        raise RatingError("Compare two systems", "there is nothing to compare here", "Upload a recording")

    def _there(
        self, wish: Wish, known: Mapping[str, Task], generator: np.random.Generator
    ) -> tuple[Recording, Task, list[tuple[str, str]]] | None:
        """A pair that can be heard at once and that this listener has not heard; None if there is no such."""
        heard = self._heard(wish.listener)
        found = []
        for recording in self.takes.all():
            task = known.get(recording.task)
            if task is None or not (recording.shared or recording.owner == wish.listener):
                continue
            done = [name for name, system in task.systems.items() if self._status(recording, system) == "complete"]
            pairs = [pair for pair in pairs_of(done) if (recording.id, frozenset(pair)) not in heard]
            if pairs:
                found.append((recording, task, pairs))
        return found[int(generator.integers(len(found)))] if found else None

    def _able(self, recording: Recording, task: Task) -> list[tuple[str, str]]:
        """Pairs of systems that have not failed on this recording."""
        return pairs_of([name for name, one in task.systems.items() if self._status(recording, one) != "failed"])

    def _unheard(self, wish: Wish, recording: Recording, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that the listener has not met on this recording; when all were met, all again."""
        heard = self._heard(wish.listener)
        return [pair for pair in pairs if (recording.id, frozenset(pair)) not in heard] or pairs

    def _staying(self, before: Bout, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        vote = self._vote(before)
        winner = None if vote is None else vote.winner
        if winner is None:
            raise RatingConflict("Let the winner stay", "nobody won", "Draw the next pair instead")
        return [pair for pair in pairs if winner in pair and set(pair) != {before.left.id, before.right.id}]

    def _heard(self, listener: str) -> set[tuple[str, frozenset[str]]]:
        """What a listener was served before: recordings and pairs."""
        return {
            (str(trial.subject), frozenset((trial.served["left"]["id"], trial.served["right"]["id"])))
            for trial in self._ratings.trials(listener=listener, kind=KIND)
        }

    def _status(self, recording: Recording, system: System) -> str:
        return self.takes.look(recording, system).status

    # Hearing

    def get(self, bout_id: str) -> Bout:
        """A bout by its id.

        Raises:
            UnknownJob: there is none, or it has expired.
        """
        path = self._folder / bout_id / "bout.json"
        if not _ID.fullmatch(bout_id) or not path.is_file():
            raise UnknownJob("Open a comparison", "it is not here any more, or never was", "Draw another pair")
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Bout(**{**fields, "left": System(**fields["left"]), "right": System(**fields["right"])})

    def seen(self, bout_id: str) -> dict[str, Any]:
        """What the listener of a bout may know of it now: nothing that tells the two apart, until the vote is saved."""
        bout = self.get(bout_id)
        recording = self.takes.get(bout.recording)
        sides = [self.takes.look(recording, bout.system(side)) for side in _SIDES]
        about = {"bout": bout.id, "recording": _about(recording, bout.listener)}
        if any(one.status in ("failed", "none") for one in sides):
            parts = {
                "asked": "Compare two systems",
                "found": "one of the two could not separate this recording",
                "advice": "Draw another pair",
            }
            return {**about, "state": "failed", "error": parts}
        if any(one.status == "making" for one in sides):
            return {**about, "state": "making", **_progress(sides)}
        bout = self._served(bout, recording)
        stored = self._ratings.stored(self._trial(bout).id)
        done = any(isinstance(one.event.payload, Finished) for one in stored)
        ready = {**about, "state": "voted" if done else "ready", **self._audible(bout, recording)}
        ready["given"] = _given(stored)
        return {**ready, "revealed": self._revealed(bout, recording)} if done else ready

    def sound(self, bout_id: str, token: str) -> tuple[bytes, Recording]:
        """The samples behind a token: interleaved 16-bit, little-endian.

        Raises:
            UnknownJob: the bout has no such sound (yet).
        """
        bout = self.get(bout_id)
        entry = bout.sounds.get(token)
        if entry is None:
            raise UnknownJob("Play a sound", "this comparison has none of that name", "Reload the page")
        recording = self.takes.get(bout.recording)
        return self._sound(recording.folder / entry["file"], float(entry["gain"])), recording

    def _served(self, bout: Bout, recording: Recording) -> Bout:
        """The bout with its trial and its sounds, made when it is first asked for."""
        if bout.trial:
            return bout
        with alone(self._folder / bout.id):
            bout = self.get(bout.id)
            if bout.trial:
                return bout
            task = _task(self.tasks(), recording.task)
            prepared = prepare(
                recording, {side: bout.system(side) for side in _SIDES}, task.sources, permuted=bout.permuted
            )
            served = _describe(bout, recording, task, prepared)
            clips = {role: clip_id(levelled(one.sound, one.gain)) for role, one in prepared.items()}
            _, token = self._ratings.serve(bout.listener, KIND, served, clips)
            sounds = {
                secrets.token_urlsafe(16): {"role": role, "file": one.file, "gain": one.gain, "flag": one.flag}
                for role, one in prepared.items()
            }
            bout = replace(bout, trial=token, sounds=dict(sorted(sounds.items())))
            self._write(bout)
        return bout

    def _audible(self, bout: Bout, recording: Recording) -> dict[str, Any]:
        sources = [entry["role"][5:] for entry in bout.sounds.values() if entry["role"].startswith("left:")]
        ordered = [name for name in self._trial(bout).served["sources"] if name in sources]
        return {
            "audio": {
                "sample_rate": recording.sample_rate, "channels": recording.channels, "length": recording.length,
            },
            "stems": ordered,
            "sounds": [
                {"token": token, "side": side, "stem": stem}
                for token, entry in bout.sounds.items()
                for side, _, stem in [entry["role"].rpartition(":")]
            ],
            "attributes": list(ATTRIBUTES),
            "least": min(SHORTEST_HEARD, recording.length / recording.sample_rate),
        }  # fmt: skip

    # Saying

    def save(self, bout_id: str, events: Sequence[Event]) -> list[Status]:
        """Add events; when this returns they are on disk. After the vote is finished nothing new is taken.

        Raises:
            UnknownJob, UnknownTrial: there is no such bout, it cannot be heard yet, or it was withdrawn.
            RatingError: an event speaks of what was not served, or there is no answer to finish with.
            RatingConflict: the vote is finished, or an id was used for something else.
        """
        bout = self.get(bout_id)
        if not bout.trial:
            raise UnknownJob("Save a vote", "the two cannot be heard yet", "Wait until both are ready")
        trial = self._trial(bout)
        roles = {entry["role"] for entry in bout.sounds.values()}
        for event in events:
            _require_served(event.payload, trial, roles)
        before = self._ratings.stored(trial.id)
        known = {one.event.id for one in before}
        if any(isinstance(one.event.payload, Finished) for one in before):
            late = [event for event in events if event.id not in known]
            if late:
                raise RatingConflict("Save a vote", "this vote was cast and the names are shown", "Draw the next pair")
        _require_answer(before, events)
        statuses = self._ratings.save(bout.trial, events)
        if any(isinstance(event.payload, Finished) for event in events):
            self._follow_consent(bout, trial)
            self._votes = (-math.inf, [])
        return statuses

    def withdraw(self, bout_id: str) -> int:
        """Delete a bout, its vote and its clips, and the recording if this listener brought it. Returns the events deleted.

        Raises:
            UnknownJob: there is none.
        """
        bout = self.get(bout_id)
        events = 0
        if bout.trial:
            try:
                events = self._ratings.withdraw(bout.trial, delete=self._clips.delete).events
            except RatingError:  # withdrawn by the owner of the page meanwhile
                _log.info("A comparison was withdrawn before")
            drop_exports(self._services.settings.exports)
        shutil.rmtree(self._folder / bout.id, ignore_errors=True)
        self._votes = (-math.inf, [])
        try:
            recording = self.takes.get(bout.recording)
        except UnknownJob:
            return events
        if recording.owner == bout.listener:
            self.takes.delete(recording)
        return events

    def votes(self) -> list[Vote]:
        """All votes, oldest first; at most `FRESH` seconds old."""
        read, votes = self._votes
        if self._clock() - read > FRESH:
            votes = votes_of(self._ratings.snapshot(KIND))
            self._votes = (self._clock(), votes)
        return votes

    # Revealing

    def _revealed(self, bout: Bout, recording: Recording) -> dict[str, Any]:
        """The names and what is known of both sides."""
        vote = self._vote(bout)
        others = {one.trial: one for one in self.votes()}
        flags = others[vote.trial].flags if vote is not None and vote.trial in others else ()
        return {
            "choice": None if vote is None else vote.choice,
            "flags": list(flags),
            "how": bout.how,
            "stay": vote is not None and vote.winner is not None and self._others(bout, recording),
            "sides": {side: self._side(bout, recording, side) for side in _SIDES},
        }

    def _others(self, bout: Bout, recording: Recording) -> bool:
        """Whether a winner finds somebody else to meet."""
        task = self.tasks().get(recording.task)
        return task is not None and len(self._able(recording, task)) > 1

    def _side(self, bout: Bout, recording: Recording, side: Side) -> dict[str, Any]:
        system = bout.system(side)
        try:
            card = self._services.hub.describe(hub_name(self._services, system.model))
            about = {"summary": card.summary, "licence": card.licence, "card": card.title}
        except SeparationError:  # a repository that is out of reach now
            about = {"summary": "", "licence": "", "card": system.title}
        by_role = {one["role"]: one for one in bout.sounds.values() if one["role"].startswith(f"{side}:")}
        gains = {role.partition(":")[2]: round(20 * math.log10(one["gain"]), 2) for role, one in by_role.items()}
        files = tuple(by_role[f"{side}:{name}"]["file"] for name in recording.references)
        flags = [f"{role.partition(':')[2]}: {one['flag']}" for role, one in sorted(by_role.items()) if one["flag"]]
        return {
            "system": system.id,
            "title": system.title,
            "listed": not system.model.startswith(BASELINE),
            **about,
            "gains_db": gains,
            "unmatched": flags,
            "metrics": self._measure(recording, files),
        }

    # Keeping

    def _kept(self, listener: str, recording: Recording, task: Task, left: System, right: System, drawn: Drawn) -> Bout:
        bout = Bout(
            secrets.token_urlsafe(16), listener, recording.id, left, right, drawn.how, drawn.probability,
            task.permuted, {},
        )  # fmt: skip
        self._expire()
        (self._folder / bout.id).mkdir(parents=True)
        self._write(bout)
        return bout

    def _write(self, bout: Bout) -> None:
        path = self._folder / bout.id / "bout.json"
        temporary = path.with_name(f".{secrets.token_hex(4)}")
        temporary.write_text(json.dumps(asdict(bout)), encoding="utf-8")
        temporary.replace(path)

    def _expire(self) -> None:
        """Remove bouts past their time; their trials stay."""
        oldest = self._clock() - self._services.settings.keep_hours * 3600
        for path in self._folder.glob("*/bout.json"):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path.parent, ignore_errors=True)

    def _trial(self, bout: Bout) -> Trial:
        return self._ratings.trial(bout.trial)

    def _vote(self, bout: Bout) -> Vote | None:
        trial = self._trial(bout)
        return vote_of(trial, self._ratings.stored(trial.id))

    def _follow_consent(self, bout: Bout, trial: Trial) -> None:
        """Keep the clips of a vote whose listener allows it; what cannot be kept does not undo the vote."""
        given = [one.event.payload for one in self._ratings.stored(trial.id)]
        wishes = [payload.training for payload in given if isinstance(payload, Consent)]
        if not wishes or not wishes[-1]:
            return
        recording = self.takes.get(bout.recording)
        self._ratings.keep(trial.id)
        try:
            require_quota(self._services.settings.clips)
            for entry in bout.sounds.values():
                self._clips.put(levelled(read_sound(recording.folder / entry["file"]), float(entry["gain"])))
        except SeparationError:
            _log.exception("The audio of the trial %s could not be kept", trial.id)
            self._ratings.drop(trial.id, self._clips.delete)


# How it is told


def _measured(recording: Recording, files: tuple[str, ...]) -> list[dict[str, Any]]:
    """How close a side is to the true sources, where they are known: `files` are its estimates of them, in order."""
    if not files:
        return []
    references = {name: _tensor(read_sound(recording.reference(name))) for name in recording.references}
    estimates = {
        name: _tensor(read_sound(recording.folder / file))
        for name, file in zip(recording.references, files, strict=True)
    }
    values = measure(references, estimates, recording.sample_rate, metrics=tuple(METRICS), window=None)
    return [
        {"stem": one.source, "metric": METRICS[one.metric], "value": round(one.value, 2), "unit": "dB"}
        for one in values
        if one.value is not None
    ]


def _tensor(sound: Signal) -> torch.Tensor:
    return torch.from_numpy(sound.samples)


def _describe(bout: Bout, recording: Recording, task: Task, prepared: Prepared) -> dict[str, Any]:
    """What the trial says: everything needed to serve the very same again."""
    return {
        "job": recording.id,
        "task": task.name,
        "name": recording.name if recording.example else "",
        "example": recording.example,
        **({"licence": recording.licence, "provenance": recording.provenance} if recording.example else {}),
        "left": asdict(bout.left),
        "right": asdict(bout.right),
        "how": bout.how,
        "probability": bout.probability,
        "sources": list(tracks_of(task.sources)),
        "start": recording.start,
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
        "length": recording.length,
        "gains_db": {role: 20 * math.log10(one.gain) for role, one in prepared.items()},
        "flags": {role: one.flag for role, one in prepared.items() if one.flag},
        "matched": "target component" if recording.references else "BS.1770",
        "hidden": True,
        "version": separation.__version__,
    }


def _about(recording: Recording, listener: str) -> dict[str, Any]:
    own = recording.owner == listener
    return {
        "name": recording.name if recording.example or own else "A visitor's recording",
        "task": recording.task,
        "start": recording.start,
        "duration": recording.length / recording.sample_rate,
        "own": own,
        "credits": recording.provenance,
        "licence": recording.licence,
    }


def _progress(sides: Sequence[Making]) -> dict[str, Any]:
    """How far both together are: nothing of either alone."""
    making = [one for one in sides if one.status == "making"]
    known = [one.remaining for one in making if one.remaining is not None]
    return {
        "fraction": round(sum(one.fraction for one in sides) / len(sides), 2),
        "remaining": round(sum(known)) if len(known) == len(making) else None,
        "position": max(0, max(one.position for one in making) - len(making) + 1),
    }


def _given(stored: Sequence[Stored]) -> dict[str, Any]:
    """The last word on every field, for who comes back."""
    ordered = sorted(stored, key=lambda one: (one.event.made, one.event.id))
    payloads = [one.event.payload for one in ordered]
    rating = rating_of(one.event for one in ordered)
    marks = [
        mark.model_dump(mode="json", include={"mark", "stem", "start", "end", "label"})
        for mark in rating.marks.values()
    ]
    fields = {payload.field: payload.value for payload in payloads if isinstance(payload, Given)}
    return {"fields": fields, "heard": dict(rating.seconds), "marks": marks}


def _require_served(payload: Payload, trial: Trial, roles: set[str]) -> None:
    """An event may only speak of the sounds and the seconds that were served."""
    asked, advice = "Save a vote", "Reload the page"
    stems = {role.partition(":")[2] for role in roles if ":" in role}
    duration = trial.served["length"] / trial.served["sample_rate"]
    if isinstance(payload, Given):
        attribute, _, stem = payload.field.partition(":")
        vote = payload.field == "vote" and payload.value in (*get_args(Choice), None)
        reason = attribute in ATTRIBUTES and stem in stems and payload.value in (*get_args(Verdict), None)
        if not (vote or reason):
            raise RatingError(asked, f"there is no such answer to {payload.field[:80]!r}", advice)
    elif isinstance(payload, Mark):
        if payload.stem not in roles or payload.end > duration + 0.01:
            raise RatingError(asked, "a mark lies where nothing was served", advice)
    elif isinstance(payload, Heard):
        named = {*payload.seconds, *(role for seconds in payload.modes.values() for role in seconds)}
        if not named <= roles or sum(payload.seconds.values()) > 36_000:
            raise RatingError(asked, "it names a sound that was not served, or ten hours of it", advice)
    elif not isinstance(payload, Unmark | Comment | Consent | Did | Finished):
        raise RatingError(asked, "this is no answer that a comparison takes", advice)


def _require_answer(before: Sequence[Stored], events: Sequence[Event]) -> None:
    """A vote is finished with an answer."""
    if not any(isinstance(event.payload, Finished) for event in events):
        return
    said = sorted([*(one.event for one in before), *events], key=lambda event: (event.made, event.id))
    votes = [
        event.payload.value for event in said if isinstance(event.payload, Given) and event.payload.field == "vote"
    ]
    if not votes or votes[-1] is None:
        raise RatingError("Cast a vote", "there is no answer in it", "Choose A, B, a tie or both bad")


def _task(known: Mapping[str, Task], name: str) -> Task:
    if name not in known:
        found = f"no two systems here do {name!r}" if name else "it was not said what systems should do with it"
        raise RatingError("Compare two systems", found, f"Choose from {', '.join(known)}")
    return known[name]
