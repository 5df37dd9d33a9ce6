"""Who takes which listening test, and how far they are: studies that were launched, sessions, slots, pages.

A session is one listener's way through one study, addressed by a capability token whose hash is its id; the hash is also the
listener of its trials. A slot is a planned order. Slots are taken in one transaction and belong to at most one session; one
whose holder gave no sign of life for the study's lease is given to the next who comes. Who returns after that gets it back
if nobody took it, and otherwise goes on with the same order as a spare: everything they say is kept, but the slot counts for
the other (`Session.seat`).

This knows nothing of what a page shows: that is `separation.listening`.
"""

import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.engine import Connection, Row

from separation.errors import RatingConflict, RatingError, UnknownTrial
from separation.ratings.records import Did, Event, Finished, Trial, canonical
from separation.ratings.schema import EVENTS, PAGES, SESSIONS, SLOTS, STUDIES, TRIALS
from separation.ratings.store import (
    Status,
    Store,
    Stored,
    Withdrawn,
    add_events,
    insert_trial,
    known_events,
    sort_events,
    trial_id,
)

KIND = "study"
MOST_EVENTS = 4000
"""Of one page. A listener who moves twelve sliders for ten minutes makes a few hundred."""
MOST_DEEDS = 3000
"""Events of one page that are no answers: what is done beyond is not kept, so that answers always find room."""
PULSE = 15.0
"""Seconds between two signs of life that are written down."""

State = Literal["open", "paused", "closed"]
Said = Literal["saved", "known", "full"]
"""What became of an event: "full" was not kept, because the page holds enough of its kind."""

_PID = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class NoSlot(RatingError):
    """Nobody can begin now.

    Args:
        state: why: "paused", "closed", or "full" (every slot is taken).
    """

    def __init__(self, state: Literal["paused", "closed", "full"]) -> None:
        self.state = state
        found, advice = {
            "paused": ("it is paused", "Come back later: the link stays good"),
            "closed": ("it is over", "Thank you for your interest"),
            "full": ("every place in it is taken", "Come back later: places of people who left become free"),
        }[state]
        super().__init__("Take a listening test", found, advice)

    def __reduce__(self) -> Any:
        return NoSlot, (self.state,)


class Gone(RatingConflict):
    """This page was finished before: what is said of it now does not count."""


@dataclass(frozen=True)
class Launched:
    """A study that listeners may come to.

    Args:
        name: of its folder.
        hash: of its file when it was launched.
        state: "open"; "paused": nobody begins, and nobody gets another page; "closed": nobody begins any more.
        code: what a listener gets at the end.
        lease: seconds without a sign of life after which a slot is given to somebody else.
        made: seconds since 1970.
        slots: how many there are.
    """

    name: str
    hash: str
    state: State
    code: str
    lease: float
    made: float
    slots: int


@dataclass(frozen=True)
class Session:
    """One listener's way through one study.

    Args:
        id: hash of the capability token; the listener of its trials.
        study: its name.
        pid: what a panel calls the listener, or None.
        slot: the planned order that it follows.
        language: of the pages.
        device: what the browser said of itself.
        made, seen: when it began, and the last sign of life; seconds since 1970.
        place: the page where the listener is, from 0.
        state: "open", "finished" or "withdrawn".
        finished: when, or None.
        seat: whether it holds its slot: without, it is a spare, because the slot was given away meanwhile.
    """

    id: str
    study: str
    pid: str | None
    slot: int
    language: str
    device: Mapping[str, Any]
    made: float
    seen: float
    place: int
    state: Literal["open", "finished", "withdrawn"]
    finished: float | None
    seat: bool


@dataclass(frozen=True)
class Page:
    """A page that was served to a session.

    Args:
        place: from 0.
        trial: what was served.
        finished: when the listener went on, in seconds since 1970, or None.
    """

    place: int
    trial: Trial
    finished: float | None


class Sessions:
    """The sessions of all studies, in the database of the ratings.

    Args:
        store: the ratings.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    # Studies

    def launch(self, name: str, *, hash: str, slots: int, lease: float, code: str) -> Launched:
        """Open a study with so many slots. Once launched, its hash stays.

        Raises:
            RatingConflict: it was launched before, with another file.
        """
        with self._store.writing() as connection:
            found = _launched(connection, name)
            if found is None:
                row = {"hash": hash, "state": "open", "code": code, "lease": lease, "made": self._clock()}
                connection.execute(insert(STUDIES).values(name=name, **row))
            elif found.hash != hash:
                raise RatingConflict(
                    f"Launch the study {name}",
                    "another version of it was launched before, and has or may have listeners",
                    "Give the new version a name of its own",
                )
            _add_slots(connection, name, slots)
            return _require_launched(connection, name)

    def extend(self, name: str, slots: int) -> Launched:
        """Have so many slots from now on; there are never fewer than before. Raises as `study`."""
        with self._store.writing() as connection:
            _require_launched(connection, name)
            _add_slots(connection, name, slots)
            return _require_launched(connection, name)

    def turn(self, name: str, state: State) -> Launched:
        """Open, pause or close a study. Raises as `study`."""
        with self._store.writing() as connection:
            _require_launched(connection, name)
            connection.execute(update(STUDIES).where(STUDIES.c.name == name).values(state=state))
            return _require_launched(connection, name)

    def study(self, name: str) -> Launched:
        """A launched study.

        Raises:
            UnknownTrial: it was never launched.
        """
        with self._store.looking() as connection:
            return _require_launched(connection, name)

    def studies(self) -> list[Launched]:
        """All that were launched, oldest first."""
        with self._store.looking() as connection:
            names = connection.execute(select(STUDIES.c.name).order_by(STUDIES.c.made, STUDIES.c.name)).scalars().all()
            return [_require_launched(connection, name) for name in names]

    def studying(self, *, besides: Collection[str] = ()) -> bool:
        """Whether any study may have listeners: one that is open or paused, and of none of these hashes."""
        query = select(STUDIES.c.name).where(STUDIES.c.state != "closed", STUDIES.c.hash.not_in(besides)).limit(1)
        with self._store.looking() as connection:
            return connection.execute(query).first() is not None

    # A listener's way

    def open(
        self, study: str, token: str, *, pid: str | None = None, language: str = "en", device: Mapping[str, Any] = {}
    ) -> Session:
        """The session that a token opens, made with a slot of its own if there is none.

        Raises:
            UnknownTrial: the study was never launched.
            NoSlot: it is paused, closed or full. A session that exists is found all the same.
            RatingConflict: another session has this id of the panel.
            RatingError: the listener's id of the panel is none.
        """
        if pid is not None and not _PID.fullmatch(pid):
            raise RatingError("Take a listening test", "the id in the link is none", "Use the link as it was given")
        with self._store.writing() as connection:
            connection.execute(select(STUDIES.c.name).where(STUDIES.c.name == study).with_for_update())
            launched = _require_launched(connection, study)
            known = _session(connection, trial_id(token))
            if known is not None:
                return self._alive(connection, known) if known.study == study else _unknown_session()
            if launched.state != "open":
                raise NoSlot(launched.state)
            _require_new(connection, study, pid)
            now = self._clock()
            slot = _free_slot(connection, study, now - launched.lease)
            row = {
                "id": trial_id(token), "study": study, "pid": pid, "slot": slot, "language": language,
                "device": canonical(device), "made": now, "seen": now, "place": 0, "state": "open", "finished": None,
            }  # fmt: skip
            connection.execute(insert(SESSIONS).values(**row))
            mine = (SLOTS.c.study == study, SLOTS.c.slot == slot)
            connection.execute(update(SLOTS).where(*mine).values(session=row["id"]))
            return _require_session(connection, trial_id(token))

    def get(self, token: str) -> Session:
        """The session that a token opens; raises as `by_id`."""
        return self.by_id(trial_id(token))

    def by_id(self, session: str) -> Session:
        """A session by its public id.

        Raises:
            UnknownTrial: there is none.
        """
        with self._store.looking() as connection:
            return _require_session(connection, session)

    def touch(self, session: Session) -> Session:
        """A sign of life: written down now and then. A slot that ran out and that nobody took is held again."""
        if not self._due(session):
            return session
        with self._store.writing() as connection:
            return self._alive(connection, _require_session(connection, session.id))

    def speak(self, session: Session, language: str) -> Session:
        """Change the language of the pages."""
        with self._store.writing() as connection:
            connection.execute(update(SESSIONS).where(SESSIONS.c.id == session.id).values(language=language))
            return _require_session(connection, session.id)

    def page(self, session: Session, place: int) -> Page | None:
        """What was served at a place, or None if nothing was yet."""
        with self._store.looking() as connection:
            return _page(connection, session.id, place)

    def serve(self, session: Session, place: int, served: Mapping[str, Any]) -> Page:
        """Serve a page; if one was served there before, in whichever tab, it is that one, and `served` is forgotten.

        Raises:
            RatingConflict: the session has not come to this place, or is over.
        """
        with self._store.writing() as connection:
            now = _held(connection, session.id)
            found = _page(connection, session.id, place)
            if found is not None:
                return found
            if now.state != "open" or place != now.place:
                raise RatingConflict("Open a page", "the test has gone on meanwhile, in another tab", "Reload the page")
            trial = Trial(_new_id(), session.id, KIND, self._clock(), dict(served), {})
            insert_trial(connection, trial)
            connection.execute(insert(PAGES).values(session=session.id, place=place, trial=trial.id, finished=None))
            return Page(place, trial, None)

    def counted(self, session: Session) -> int:
        """How many pages of a session are finished."""
        query = (
            select(func.count()).select_from(PAGES).where(PAGES.c.session == session.id, PAGES.c.finished.is_not(None))
        )
        with self._store.looking() as connection:
            return int(connection.execute(query).scalar_one())

    def find(self, session: Session, trial: str) -> Page:
        """The page of a session by the id of its trial.

        Raises:
            UnknownTrial: it was served to nobody, to somebody else, or was withdrawn.
        """
        with self._store.looking() as connection:
            return _require_page(connection, session.id, trial)

    def save(self, session: Session, trial: str, events: Sequence[Event]) -> list[Said]:
        """Add events to a page, all or none. When this returns they are on disk.

        What is sent again after the page is finished is "known"; new answers are refused then, new deeds are kept.

        Raises:
            UnknownTrial: no such page of this session, or it was withdrawn.
            Gone: the page is finished.
            RatingConflict: an id was used before for something else, or the page holds `MOST_EVENTS`.
            RatingsBusy, DiskFull: nothing was saved.
        """
        with self._store.writing() as connection:
            _held(connection, session.id)
            page = _require_page(connection, session.id, trial)
            said = self._add(connection, page, events)
            if self._due(session):
                self._alive(connection, session)
        return said

    def finish(self, session: Session, page: Page, *, event: Event, last: bool) -> Session:
        """Go on from a page. Twice, from two tabs, is once; behind the last page the session is finished.

        Raises:
            UnknownTrial: the page was withdrawn.
        """
        with self._store.writing() as connection:
            now = self._clock()
            _held(connection, session.id)
            stands = _require_page(connection, session.id, page.trial.id)
            if stands.finished is None:
                assert isinstance(event.payload, Finished)
                add_events(connection, page.trial.id, [Stored(event, now)])
                mine = (PAGES.c.session == session.id, PAGES.c.place == page.place)
                connection.execute(update(PAGES).where(*mine).values(finished=now))
                over = {"state": "finished", "finished": now} if last else {}
                ahead = update(SESSIONS).where(SESSIONS.c.id == session.id)
                connection.execute(ahead.values(place=page.place + 1, seen=now, **over))
            return self._alive(connection, _require_session(connection, session.id), held=last)

    def withdraw(self, session: Session) -> Withdrawn:
        """Delete everything that a listener said and what a panel calls them, and give the slot back. Twice does no harm."""
        with self._store.writing() as connection:
            _held(connection, session.id)
            trials = connection.execute(select(PAGES.c.trial).where(PAGES.c.session == session.id)).scalars().all()
            connection.execute(delete(PAGES).where(PAGES.c.session == session.id))
            gone = self._store.delete_trials(connection, trials)
            connection.execute(update(SLOTS).where(SLOTS.c.session == session.id).values(session=None))
            nothing = {"state": "withdrawn", "pid": None, "device": "{}", "finished": None, "place": 0}
            connection.execute(update(SESSIONS).where(SESSIONS.c.id == session.id).values(**nothing))
        self._store.scrub()
        return gone

    # For the researcher

    def all(self, study: str) -> list[Session]:
        """The sessions of a study in the order in which they began, withdrawn ones too."""
        with self._store.looking() as connection:
            rows = connection.execute(_sessions().where(SESSIONS.c.study == study))
            return [_read(row) for row in rows]

    def pages(self, study: str) -> dict[str, list[Page]]:
        """Every page that was served in a study, by session, in order."""
        found: dict[str, list[Page]] = {}
        with self._store.looking() as connection:
            query = _pages().join(SESSIONS, SESSIONS.c.id == PAGES.c.session).where(SESSIONS.c.study == study)
            for row in connection.execute(query.order_by(PAGES.c.session, PAGES.c.place)):
                found.setdefault(row.session, []).append(_read_page(row))
        return found

    # Inside a transaction

    def _due(self, session: Session) -> bool:
        """Whether a sign of life has to be written down."""
        return session.state == "open" and (not session.seat or self._clock() - session.seen >= PULSE)

    def _alive(self, connection: Connection, session: Session, *, held: bool = False) -> Session:
        """Write down a sign of life, and hold the slot again if nobody has it."""
        if session.state == "open":
            mine = update(SESSIONS).where(SESSIONS.c.id == session.id)
            connection.execute(mine.values(seen=self._clock()))
        if not session.seat and (session.state == "open" or held):
            empty = (SLOTS.c.study == session.study, SLOTS.c.slot == session.slot, SLOTS.c.session.is_(None))
            connection.execute(update(SLOTS).where(*empty).values(session=session.id))
        return _require_session(connection, session.id)

    def _add(self, connection: Connection, page: Page, events: Sequence[Event]) -> list[Said]:
        trial = page.trial.id
        known = known_events(connection, trial, ids=[event.id for event in events])
        new, statuses = sort_events(events, known)
        if page.finished is not None and any(not isinstance(event.payload, Did) for event in new):
            raise Gone(
                "Save an answer",
                "this page was finished before, perhaps in another tab",
                "Reload the page to go on where the test stands",
            )
        count = (
            select(EVENTS.c.kind, func.count().label("number")).where(EVENTS.c.trial == trial).group_by(EVENTS.c.kind)
        )
        counts = {row.kind: int(row.number) for row in connection.execute(count)}
        kept, room = [], MOST_DEEDS - counts.get("did", 0)
        for event in new:
            if isinstance(event.payload, Did):
                room -= 1
            if not isinstance(event.payload, Did) or room >= 0:
                kept.append(event)
        if sum(counts.values()) + len(kept) > MOST_EVENTS:
            found = f"this page would have more than {MOST_EVENTS} changes"
            raise RatingConflict("Save an answer", found, "Go on to the next page")
        received = self._clock()
        add_events(connection, trial, [Stored(event, received) for event in kept])
        dropped = {event.id for event in new} - {event.id for event in kept}
        return [_said(event, status, dropped) for event, status in zip(events, statuses, strict=True)]


def _said(event: Event, status: Status, dropped: set[str]) -> Said:
    return "full" if event.id in dropped else status


def _new_id() -> str:
    """The id of a trial that no token opens: the session's does."""
    return trial_id(secrets.token_urlsafe(32))


def _launched(connection: Connection, name: str) -> Launched | None:
    row = connection.execute(select(STUDIES).where(STUDIES.c.name == name)).one_or_none()
    if row is None:
        return None
    slots = connection.execute(select(func.count()).select_from(SLOTS).where(SLOTS.c.study == name)).scalar_one()
    return Launched(row.name, row.hash, row.state, row.code, row.lease, row.made, slots)


def _require_launched(connection: Connection, name: str) -> Launched:
    found = _launched(connection, name)
    if found is None:
        raise UnknownTrial("Open a listening test", "there is none of that name here", "Check the link")
    return found


def _add_slots(connection: Connection, name: str, count: int) -> None:
    here = connection.execute(select(func.count()).select_from(SLOTS).where(SLOTS.c.study == name)).scalar_one()
    rows = [{"study": name, "slot": slot, "session": None} for slot in range(here, count)]
    if rows:
        connection.execute(insert(SLOTS), rows)


def _free_slot(connection: Connection, study: str, since: float) -> int:
    """The first slot that nobody has, else that of the listener who gave no sign of life for longest."""
    mine = select(SLOTS.c.slot).where(SLOTS.c.study == study)
    free = connection.execute(
        mine.where(SLOTS.c.session.is_(None)).order_by(SLOTS.c.slot).limit(1)
    ).scalar_one_or_none()
    if free is None:
        left = mine.join(SESSIONS, SESSIONS.c.id == SLOTS.c.session)
        left = left.where(SESSIONS.c.state == "open", SESSIONS.c.seen < since)
        free = connection.execute(left.order_by(SESSIONS.c.seen, SLOTS.c.slot).limit(1)).scalar_one_or_none()
    if free is None:
        raise NoSlot("full")
    return int(free)


def _require_new(connection: Connection, study: str, pid: str | None) -> None:
    """Two sessions of one person would count twice."""
    mine = (SESSIONS.c.study == study, SESSIONS.c.pid == pid)
    if pid is not None and connection.execute(select(SESSIONS.c.id).where(*mine)).first() is not None:
        raise RatingConflict(
            "Take a listening test",
            "somebody with this id has begun it by another link",
            "Use the link of then, or ask whoever invited you",
        )


def _sessions() -> Select[Any]:
    query = select(SESSIONS, SLOTS.c.session.label("holder")).outerjoin(SLOTS, SLOTS.c.session == SESSIONS.c.id)
    return query.order_by(SESSIONS.c.made, SESSIONS.c.id)


def _session(connection: Connection, session: str) -> Session | None:
    row = connection.execute(_sessions().where(SESSIONS.c.id == session)).one_or_none()
    return None if row is None else _read(row)


def _require_session(connection: Connection, session: str) -> Session:
    return _session(connection, session) or _unknown_session()


def _held(connection: Connection, session: str) -> Session:
    """A session that no other transaction writes to until this one ends (SQLite lets only one write at all)."""
    connection.execute(select(SESSIONS.c.id).where(SESSIONS.c.id == session).with_for_update())
    return _require_session(connection, session)


def _unknown_session() -> Session:
    raise UnknownTrial("Go on with a listening test", "this link leads to none", "Use the link as it was given to you")


def _read(row: Row[Any]) -> Session:
    return Session(
        row.id, row.study, row.pid, row.slot, row.language, json.loads(row.device), row.made, row.seen, row.place,
        row.state, row.finished, row.holder is not None,
    )  # fmt: skip


def _pages() -> Select[Any]:
    return select(PAGES, TRIALS).join(TRIALS, TRIALS.c.id == PAGES.c.trial)


def _page(connection: Connection, session: str, place: int) -> Page | None:
    query = _pages().where(PAGES.c.session == session, PAGES.c.place == place)
    row = connection.execute(query).one_or_none()
    return None if row is None else _read_page(row)


def _require_page(connection: Connection, session: str, trial: str) -> Page:
    query = _pages().where(PAGES.c.session == session, PAGES.c.trial == trial)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownTrial("Open a page of a listening test", "there is none under this link", "Reload the page")
    return _read_page(row)


def _read_page(row: Row[Any]) -> Page:
    trial = Trial(row.trial, row.listener, row.kind, row.made, json.loads(row.served), {})
    return Page(row.place, trial, row.finished)
