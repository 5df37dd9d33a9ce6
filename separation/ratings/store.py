"""The store of trials and events. What it acknowledges is on disk; what it has, it never changes.

Many processes may use one database at once. A trial is addressed by its capability token, which only the listener's page has;
the database holds the token's hash, so that reading it lets nobody answer in another's name.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError, OperationalError

from separation.errors import DiskFull, RatingConflict, RatingError, RatingsBusy, UnknownTrial
from separation.ratings.database import BUSY_SECONDS, open_engine, reading, scrub, writing
from separation.ratings.records import Event, Trial, canonical, parse_event
from separation.ratings.schema import CLIPS, EVENTS, TOMBSTONES, TRIALS
from separation.ratings.views import rating_of

MAX_EVENTS = 2000
"""Events of one trial; a listener who rates by hand makes a few dozen."""

AT_ONCE = 500
"""Trials that `Store.snapshot` fetches at a time."""

Status = Literal["saved", "known"]
Delete = Callable[[str], object]
"""Deletes the audio of a clip."""
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
        clips: its clips that nobody else lets be kept; their audio is deleted.
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
            RatingsBusy: not now.
            DiskFull: there is no room.
        """
        _require_listener(listener)
        token = secrets.token_urlsafe(16)
        trial = Trial(trial_id(token), listener, kind, self._clock(), dict(served), dict(clips))
        with self.writing() as connection:
            insert_trial(connection, trial)
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
            RatingConflict: an id was used before for something else, or the trial holds `MAX_EVENTS` already.
            RatingsBusy: not now; nothing was saved.
            DiskFull: there is no room; nothing was saved.
        """
        trial = trial_id(token)
        try:
            return self._save(trial, events)
        except IntegrityError:  # another process saved one of these ids between our look and our insert
            return self._save(trial, events)

    def events(self, trial: str) -> list[Event]:
        """The events of a trial in the order in which they were made; equal times in the order of their ids."""
        with self._engine.connect() as connection:
            return _events(connection, trial)

    def stored(self, trial: str) -> list[Stored]:
        """The same events, each with when it arrived."""
        query = select(EVENTS).where(EVENTS.c.trial == trial).order_by(EVENTS.c.made, EVENTS.c.id)
        with self._engine.connect() as connection:
            return [Stored(_event(row), row.received) for row in connection.execute(query)]

    def snapshot(
        self, kind: str | None = None, *, of: Iterable[str] | None = None
    ) -> Iterator[tuple[Trial, list[Stored]]]:
        """All trials, oldest first, with their events in order, as they were at one moment: a withdrawal meanwhile does not
        leave half a trial. What has been withdrawn is not among them. Of one kind if named, of some listeners if `of` is."""
        query = select(TRIALS).order_by(TRIALS.c.made, TRIALS.c.id)
        if kind is not None:
            query = query.where(TRIALS.c.kind == kind)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            if of is not None:
                wanted = frozenset(of)
                rows = [row for row in rows if row.listener in wanted]
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
            RatingConflict: this trial, or one of the events, is here with other content.
            DiskFull: there is no room; nothing was saved.
        """
        _require_listener(trial.listener)
        with self.writing() as connection:
            if connection.execute(select(TOMBSTONES.c.trial).where(TOMBSTONES.c.trial == trial.id)).first():
                return "withdrawn"
            row = connection.execute(select(TRIALS).where(TRIALS.c.id == trial.id)).one_or_none()
            if row is None:
                insert_trial(connection, trial)
            elif _trial(connection, row) != trial:
                raise RatingConflict(
                    f"Put back the trial {trial.id}", "another one of that id is here", "Import into an empty database"
                )
            new, _ = sort_events([stored.event for stored in events], known_events(connection, trial.id))
            received = {stored.event.id: stored.received for stored in events}
            add_events(connection, trial.id, [Stored(event, received[event.id]) for event in new])
            allowed = rating_of(_events(connection, trial.id)).training is True
            connection.execute(update(CLIPS).where(CLIPS.c.trial == trial.id).values(kept=allowed))
        return "known" if row is not None and not new else "restored"

    def count(self, kind: str | None = None) -> dict[str, int]:
        """How many trials, events, listeners and withdrawals there are; of one kind of trial if named."""
        queries = {
            "trials": select(func.count()).select_from(TRIALS),
            "events": select(func.count()).select_from(EVENTS),
            "listeners": select(func.count(func.distinct(TRIALS.c.listener))),
            "withdrawn": select(func.count()).select_from(TOMBSTONES),
        }
        if kind is not None:
            queries["events"] = queries["events"].join(TRIALS, EVENTS.c.trial == TRIALS.c.id)
            queries = {
                name: query.where((TOMBSTONES if name == "withdrawn" else TRIALS).c.kind == kind)
                for name, query in queries.items()
            }
        with self._engine.connect() as connection:
            return {name: int(connection.execute(query).scalar_one()) for name, query in queries.items()}

    def raters(self, subjects: Iterable[str]) -> dict[str, frozenset[str]]:
        """Who has answered something about each of `subjects` (`Trial.subject`)."""
        wanted = list(subjects)
        found: dict[str, set[str]] = {subject: set() for subject in wanted}
        query = select(TRIALS.c.subject, TRIALS.c.listener).distinct().join(EVENTS, EVENTS.c.trial == TRIALS.c.id)
        with self._engine.connect() as connection:
            for first in range(0, len(wanted), AT_ONCE):
                some = TRIALS.c.subject.in_(wanted[first : first + AT_ONCE])
                for row in connection.execute(query.where(some, TRIALS.c.kind == "rating", EVENTS.c.kind == "answer")):
                    found[row.subject].add(row.listener)
        return {subject: frozenset(listeners) for subject, listeners in found.items()}

    # The audio of clips: it lies elsewhere, but who lets it be kept is said here, so that nobody has to search.

    def keep(self, trial: str) -> None:
        """The listener of a trial lets its clips be kept. Say so before their audio is written."""
        with self.writing() as connection:
            connection.execute(update(CLIPS).where(CLIPS.c.trial == trial).values(kept=True))

    def kept(self, trial: str) -> bool:
        """Whether the listener of a trial lets its clips be kept."""
        query = select(CLIPS.c.clip).where(CLIPS.c.trial == trial, CLIPS.c.kept)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def drop(self, trial: str, delete: Delete) -> None:
        """The listener of a trial lets its clips be kept no longer: `delete` those that nobody else does.

        It is called while nobody else can `keep` one: whoever does so later writes the audio again.
        """
        with self.writing() as connection:
            clips = connection.execute(select(CLIPS.c.clip).where(CLIPS.c.trial == trial)).scalars().all()
            connection.execute(update(CLIPS).where(CLIPS.c.trial == trial).values(kept=False))
            for clip in _nobodys(connection, clips):
                delete(clip)

    def withdraw(self, token: str, *, delete: Delete | None = None) -> Withdrawn:
        """Delete a trial and all of its events, and its clips by `delete`; a tombstone stays. Raises as `trial`."""
        return self.remove(trial_id(token), delete=delete)

    def remove(self, trial: str, *, delete: Delete | None = None) -> Withdrawn:
        """As `withdraw`, of a trial by its public id: for who owns the store."""
        with self.writing() as connection:
            if connection.execute(select(TRIALS.c.id).where(TRIALS.c.id == trial)).one_or_none() is None:
                raise _unknown()
            gone = self.delete_trials(connection, [trial], delete)
        self.scrub()
        return gone

    def forget(self, listener: str, *, delete: Delete | None = None) -> Withdrawn:
        """Delete everything of one listener; tombstones stay."""
        with self.writing() as connection:
            query = select(TRIALS.c.id).where(TRIALS.c.listener == listener)
            gone = self.delete_trials(connection, list(connection.execute(query).scalars()), delete)
        self.scrub()
        return gone

    def _save(self, trial: str, events: Sequence[Event]) -> list[Status]:
        with self.writing() as connection:
            if connection.execute(select(TRIALS.c.id).where(TRIALS.c.id == trial)).one_or_none() is None:
                raise _unknown()
            known = known_events(connection, trial)
            new, statuses = sort_events(events, known)
            if len(known) > MAX_EVENTS:
                raise RatingConflict(
                    "Save a rating",
                    f"this rating would have {len(known)} changes, more than {MAX_EVENTS}",
                    "Separate the recording again to rate it anew",
                )
            received = self._clock()
            add_events(connection, trial, [Stored(event, received) for event in new])
        return statuses

    def delete_trials(
        self, connection: Connection, trials: Sequence[str], delete_clip: Delete | None = None
    ) -> Withdrawn:
        """Delete trials and all of theirs in a transaction of the caller's, who has to `scrub` after it."""
        events, clips = 0, set[str]()
        for trial in trials:
            mine = EVENTS.c.trial == trial
            count = connection.execute(select(func.count()).select_from(EVENTS).where(mine)).scalar_one()
            clips.update(connection.execute(select(CLIPS.c.clip).where(CLIPS.c.trial == trial)).scalars())
            connection.execute(delete(EVENTS).where(mine))
            connection.execute(delete(CLIPS).where(CLIPS.c.trial == trial))
            kind = connection.execute(select(TRIALS.c.kind).where(TRIALS.c.id == trial)).scalar_one()
            connection.execute(delete(TRIALS).where(TRIALS.c.id == trial))
            connection.execute(insert(TOMBSTONES).values(trial=trial, made=self._clock(), events=count, kind=kind))
            events += count
        gone = _nobodys(connection, clips)
        if delete_clip is not None:
            for clip in gone:
                delete_clip(clip)
        return Withdrawn(len(trials), events, gone)

    def scrub(self) -> None:
        """Fold SQLite's log into the file, so that what was deleted is on disk no more."""
        scrub(self._engine)

    def looking(self) -> AbstractContextManager[Connection]:
        """A connection for reading: for what shares this database (`sessions`)."""
        return self._engine.connect()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write: on disk when the ``with`` block ends, undone if it raises.

        Raises:
            RatingsBusy: not now.
            DiskFull: there is no room.
        """
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
                raise RatingsBusy("Save a rating", found, "Try again; nothing that was saved is lost") from error
            raise


def trial_id(token: str) -> str:
    """The public id of the trial that `token` opens."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()[:32]


def insert_trial(connection: Connection, trial: Trial) -> None:
    """Add a trial in a transaction of the caller's."""
    row = {"id": trial.id, "listener": trial.listener, "kind": trial.kind, "made": trial.made}
    connection.execute(insert(TRIALS).values(**row, subject=trial.subject, served=canonical(trial.served)))
    if trial.clips:
        rows = [{"trial": trial.id, "role": role, "clip": clip, "kept": False} for role, clip in trial.clips.items()]
        connection.execute(insert(CLIPS), rows)


def known_events(connection: Connection, trial: str, *, ids: Iterable[str] | None = None) -> dict[str, tuple[int, str]]:
    """Time and content of the events of a trial, by their ids; of those in `ids` only if given."""
    query = select(EVENTS.c.id, EVENTS.c.made, EVENTS.c.payload).where(EVENTS.c.trial == trial)
    if ids is not None:
        query = query.where(EVENTS.c.id.in_(list(ids)))
    return {row.id: (row.made, row.payload) for row in connection.execute(query)}


def add_events(connection: Connection, trial: str, events: Sequence[Stored]) -> None:
    """Add events that are new (`sort_events`) in a transaction of the caller's."""
    rows = [
        {
            "id": e.event.id, "trial": trial, "made": e.event.made, "received": e.received, "kind": e.event.payload.kind,
            "payload": e.event.content,
        }
        for e in events
    ]  # fmt: skip
    if rows:
        connection.execute(insert(EVENTS), rows)


def _nobodys(connection: Connection, clips: Iterable[str]) -> tuple[str, ...]:
    """Those of `clips` that no trial lets be kept; none can be until this transaction ends."""
    rows = connection.execute(select(CLIPS).where(CLIPS.c.clip.in_(wanted := set(clips))).with_for_update())
    return tuple(sorted(wanted - {row.clip for row in rows if row.kept}))


def _require_listener(listener: str) -> None:
    if not _LISTENER.fullmatch(listener):
        found = f"the listener's id is {listener[:80]!r}"
        raise RatingError("Serve what is to be rated", found, "Use 1 to 64 letters, digits, _ or -")


def sort_events(events: Sequence[Event], known: dict[str, tuple[int, str]]) -> tuple[list[Event], list[Status]]:
    """The events that are new, and the status of each; `known` gets the new ones too.

    Raises:
        RatingConflict: an id was used before for something else.
    """
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
            raise RatingConflict(
                "Save a rating", f"the id {event.id} was used before for something else", "Give it a new id"
            )
    return new, statuses


def _trial(connection: Connection, row: Row[Any]) -> Trial:
    clips = connection.execute(select(CLIPS.c.role, CLIPS.c.clip).where(CLIPS.c.trial == row.id))
    return Trial(row.id, row.listener, row.kind, row.made, json.loads(row.served), {r.role: r.clip for r in clips})


def _events(connection: Connection, trial: str) -> list[Event]:
    query = select(EVENTS).where(EVENTS.c.trial == trial).order_by(EVENTS.c.made, EVENTS.c.id)
    return [_event(row) for row in connection.execute(query)]


def _event(row: Row[Any]) -> Event:
    return parse_event({"id": row.id, "made": row.made, "payload": json.loads(row.payload)})


def _unknown() -> UnknownTrial:
    return UnknownTrial(
        "Find what was rated", "it is not here: it was withdrawn, or the link is wrong", "Separate the recording again"
    )
