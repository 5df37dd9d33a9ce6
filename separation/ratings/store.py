"""The store of trials and events. What it acknowledges is on disk; what it has, it never changes.

Many processes may use one database at once. A trial is addressed by its capability token, which only the listener's page has;
the database holds the token's hash, so that reading it lets nobody answer in another's name.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError, OperationalError

from separation.errors import DiskFull, RatingError, UnknownTrial
from separation.ratings.database import BUSY_SECONDS, open_engine, reading, scrub, writing
from separation.ratings.records import Event, Trial, canonical, parse_event
from separation.ratings.schema import CLIPS, EVENTS, TOMBSTONES, TRIALS

MAX_EVENTS = 2000
"""Events of one trial; a listener who rates by hand makes a few dozen."""

AT_ONCE = 500
"""Trials that `Store.snapshot` fetches at a time."""

Status = Literal["saved", "known"]
_LISTENER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_ROOM = ("full", "no space")
"""What SQLite and PostgreSQL say of a full disk."""


@dataclass(frozen=True)
class Stored:
    """An event and when it arrived.

    Args:
        event: as it was sent.
        received: seconds since 1970, by the server.
    """

    event: Event
    received: float


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal removed.

    Args:
        trials: how many trials.
        events: how many events.
        clips: ids of clips that no remaining trial refers to: delete their audio too.
    """

    trials: int
    events: int
    clips: tuple[str, ...]


class Store:
    """Trials and events in one database.

    Args:
        url: of SQLAlchemy, e.g. ``sqlite:////srv/earshot/ratings.db``.
        clock: seconds since 1970.

    Raises:
        RatingError: the database cannot be opened.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = open_engine(url)
        self._clock = clock

    def close(self) -> None:
        self._engine.dispose()

    def serve(self, listener: str, kind: str, served: Mapping[str, Any], clips: Mapping[str, str]) -> tuple[Trial, str]:
        """Make a trial of what is being served now. Returns it and its capability token, which is not kept.

        Raises:
            RatingError: the listener's id is none: 1 to 64 letters, digits, ``_`` or ``-``.
            DiskFull: there is no room.
        """
        _require_listener(listener)
        token = secrets.token_urlsafe(16)
        trial = Trial(trial_id(token), listener, kind, self._clock(), dict(served), dict(clips))
        with self._writing() as connection:
            _insert(connection, trial)
        return trial, token

    def trial(self, token: str) -> Trial:
        """The trial that the token opens.

        Raises:
            UnknownTrial: there is none, or it was withdrawn.
        """
        return self.get(trial_id(token))

    def get(self, trial: str) -> Trial:
        """A trial by its public id; raises as `trial`."""
        with self._engine.connect() as connection:
            row = connection.execute(select(TRIALS).where(TRIALS.c.id == trial)).one_or_none()
            if row is None:
                raise _unknown()
            return _trial(connection, row)

    def trials(self, *, listener: str | None = None, kind: str | None = None) -> Iterator[Trial]:
        """All trials, oldest first; of one listener or kind if named."""
        query = select(TRIALS).order_by(TRIALS.c.made, TRIALS.c.id)
        if listener is not None:
            query = query.where(TRIALS.c.listener == listener)
        if kind is not None:
            query = query.where(TRIALS.c.kind == kind)
        with self._engine.connect() as connection:
            for row in connection.execute(query).all():
                yield _trial(connection, row)

    def save(self, token: str, events: Sequence[Event]) -> list[Status]:
        """Add events to a trial, all or none. When this returns they are on disk.

        Returns:
            For each event "saved", or "known" if the very same one was here before.

        Raises:
            UnknownTrial: no such trial, or it was withdrawn.
            RatingError: an id was used before for something else, or the trial holds `MAX_EVENTS` already.
            DiskFull: there is no room; nothing was saved.
        """
        trial = trial_id(token)
        try:
            return self._save(trial, events)
        except IntegrityError:  # another process saved one of these ids between our look and our insert
            return self._save(trial, events)

    def events(self, trial: str) -> list[Event]:
        """The events of a trial in the order in which they were made; equal times in the order of their ids."""
        query = select(EVENTS).where(EVENTS.c.trial == trial).order_by(EVENTS.c.made, EVENTS.c.id)
        with self._engine.connect() as connection:
            return [_event(row) for row in connection.execute(query)]

    def snapshot(self) -> Iterator[tuple[Trial, list[Stored]]]:
        """All trials, oldest first, with their events in order, as they were at one moment: a withdrawal meanwhile does not
        leave half a trial. What has been withdrawn is not among them."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(TRIALS).order_by(TRIALS.c.made, TRIALS.c.id)).all()
            for first in range(0, len(rows), AT_ONCE):
                some = rows[first : first + AT_ONCE]
                names = [row.id for row in some]
                clips: dict[str, dict[str, str]] = {name: {} for name in names}
                events: dict[str, list[Stored]] = {name: [] for name in names}
                for row in connection.execute(select(CLIPS).where(CLIPS.c.trial.in_(names))):
                    clips[row.trial][row.role] = row.clip
                query = select(EVENTS).where(EVENTS.c.trial.in_(names)).order_by(EVENTS.c.made, EVENTS.c.id)
                for row in connection.execute(query):
                    events[row.trial].append(Stored(_event(row), row.received))
                for row in some:
                    served = json.loads(row.served)
                    yield Trial(row.id, row.listener, row.kind, row.made, served, clips[row.id]), events[row.id]

    def restore(self, trial: Trial, events: Sequence[Stored]) -> Literal["restored", "known", "withdrawn"]:
        """Put back a trial and events of an export. Twice does no harm, and what was withdrawn here stays withdrawn.

        Raises:
            RatingError: this trial, or one of the events, is here with other content.
            DiskFull: there is no room; nothing was saved.
        """
        _require_listener(trial.listener)
        with self._writing() as connection:
            if connection.execute(select(TOMBSTONES.c.trial).where(TOMBSTONES.c.trial == trial.id)).first():
                return "withdrawn"
            row = connection.execute(select(TRIALS).where(TRIALS.c.id == trial.id)).one_or_none()
            if row is None:
                _insert(connection, trial)
            elif _trial(connection, row) != trial:
                raise RatingError(
                    f"Put back the trial {trial.id}", "another one of that id is here", "Import into an empty database"
                )
            new, _ = _sort([stored.event for stored in events], _known(connection, trial.id))
            received = {stored.event.id: stored.received for stored in events}
            _add(connection, trial.id, [Stored(event, received[event.id]) for event in new])
        return "known" if row is not None and not new else "restored"

    def count(self) -> dict[str, int]:
        """How many trials, events, listeners and withdrawals there are."""
        queries = {
            "trials": select(func.count()).select_from(TRIALS),
            "events": select(func.count()).select_from(EVENTS),
            "listeners": select(func.count(func.distinct(TRIALS.c.listener))),
            "withdrawn": select(func.count()).select_from(TOMBSTONES),
        }
        with self._engine.connect() as connection:
            return {name: int(connection.execute(query).scalar_one()) for name, query in queries.items()}

    def withdraw(self, token: str) -> Withdrawn:
        """Delete a trial and all of its events; a tombstone stays. Raises as `trial`."""
        trial = trial_id(token)
        with self._writing() as connection:
            if connection.execute(select(TRIALS.c.id).where(TRIALS.c.id == trial)).one_or_none() is None:
                raise _unknown()
            gone = self._delete(connection, [trial])
        scrub(self._engine)
        return gone

    def forget(self, listener: str) -> Withdrawn:
        """Delete everything of one listener; tombstones stay."""
        with self._writing() as connection:
            query = select(TRIALS.c.id).where(TRIALS.c.listener == listener)
            gone = self._delete(connection, list(connection.execute(query).scalars()))
        scrub(self._engine)
        return gone

    def _save(self, trial: str, events: Sequence[Event]) -> list[Status]:
        with self._writing() as connection:
            if connection.execute(select(TRIALS.c.id).where(TRIALS.c.id == trial)).one_or_none() is None:
                raise _unknown()
            known = _known(connection, trial)
            new, statuses = _sort(events, known)
            if len(known) > MAX_EVENTS:
                raise RatingError(
                    "Save a rating",
                    f"this trial would hold {len(known)} events, more than {MAX_EVENTS}",
                    "Separate the recording again to rate it anew",
                )
            received = self._clock()
            _add(connection, trial, [Stored(event, received) for event in new])
        return statuses

    def _delete(self, connection: Connection, trials: list[str]) -> Withdrawn:
        events, clips = 0, set[str]()
        for trial in trials:
            mine = EVENTS.c.trial == trial
            count = connection.execute(select(func.count()).select_from(EVENTS).where(mine)).scalar_one()
            clips.update(connection.execute(select(CLIPS.c.clip).where(CLIPS.c.trial == trial)).scalars())
            connection.execute(delete(EVENTS).where(mine))
            connection.execute(delete(CLIPS).where(CLIPS.c.trial == trial))
            connection.execute(delete(TRIALS).where(TRIALS.c.id == trial))
            connection.execute(insert(TOMBSTONES).values(trial=trial, made=self._clock(), events=count))
            events += count
        still = set(connection.execute(select(CLIPS.c.clip).where(CLIPS.c.clip.in_(clips))).scalars())
        return Withdrawn(len(trials), events, tuple(sorted(clips - still)))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with writing(self._engine) as connection:
                yield connection
        except OperationalError as error:
            said = str(error.orig).lower()
            if any(words in said for words in _NO_ROOM):
                found, advice = "the disk that holds the ratings is full", "Make room; nothing that was saved is lost"
                raise DiskFull("Save a rating", found, advice) from error
            if "locked" in said:
                found = f"the database was busy for {BUSY_SECONDS} s"
                raise RatingError("Save a rating", found, "Try again; nothing that was saved is lost") from error
            raise


def trial_id(token: str) -> str:
    """The public id of the trial that `token` opens."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()[:32]


def _insert(connection: Connection, trial: Trial) -> None:
    row = {"id": trial.id, "listener": trial.listener, "kind": trial.kind, "made": trial.made}
    connection.execute(insert(TRIALS).values(**row, served=canonical(trial.served)))
    if trial.clips:
        rows = [{"trial": trial.id, "role": role, "clip": clip} for role, clip in trial.clips.items()]
        connection.execute(insert(CLIPS), rows)


def _known(connection: Connection, trial: str) -> dict[str, tuple[int, str]]:
    """Time and content of the events of a trial, by their ids."""
    query = select(EVENTS.c.id, EVENTS.c.made, EVENTS.c.payload).where(EVENTS.c.trial == trial)
    return {row.id: (row.made, row.payload) for row in connection.execute(query)}


def _add(connection: Connection, trial: str, events: Sequence[Stored]) -> None:
    rows = [
        {"id": e.event.id, "trial": trial, "made": e.event.made, "received": e.received, "payload": e.event.content}
        for e in events
    ]
    if rows:
        connection.execute(insert(EVENTS), rows)


def _require_listener(listener: str) -> None:
    if not _LISTENER.fullmatch(listener):
        found = f"the listener's id is {listener[:80]!r}"
        raise RatingError("Serve what is to be rated", found, "Use 1 to 64 letters, digits, _ or -")


def _sort(events: Sequence[Event], known: dict[str, tuple[int, str]]) -> tuple[list[Event], list[Status]]:
    """The events that are new, and the status of each; `known` gets the new ones too."""
    new: list[Event] = []
    statuses: list[Status] = []
    for event in events:
        content = (event.made, event.content)
        if event.id not in known:
            known[event.id] = content
            new.append(event)
            statuses.append("saved")
        elif known[event.id] == content:
            statuses.append("known")
        else:
            raise RatingError(
                "Save a rating", f"the id {event.id} was used before for something else", "Give it a new id"
            )
    return new, statuses


def _trial(connection: Connection, row: Row[Any]) -> Trial:
    clips = connection.execute(select(CLIPS.c.role, CLIPS.c.clip).where(CLIPS.c.trial == row.id))
    return Trial(row.id, row.listener, row.kind, row.made, json.loads(row.served), {r.role: r.clip for r in clips})


def _event(row: Row[Any]) -> Event:
    return parse_event({"id": row.id, "made": row.made, "payload": json.loads(row.payload)})


def _unknown() -> UnknownTrial:
    return UnknownTrial(
        "Find what was rated", "it is not here: it was withdrawn, or the link is wrong", "Separate the recording again"
    )
