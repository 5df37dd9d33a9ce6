"""What the pages of a study add up to: answers, what is known of listeners beside them, and everything they did.

All of it is a view of the trials and events in the database; nothing is counted twice and nothing is changed. A page counts
once its listener has gone on from it. Pages of people who have not finished, or whose place was given to somebody else
meanwhile, are here too, and `people` says which: leaving them out is the researcher's decision.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from separation.listening import headphones
from separation.listening.answers import Answer
from separation.listening.pages import by_position, heard_of, standing
from separation.listening.parts import Study
from separation.listening.plans import Plan, Planned
from separation.listening.questions import Behaviour, answers_of
from separation.ratings.records import Did
from separation.ratings.sessions import KIND, Page, Session, Sessions
from separation.ratings.store import Store, Stored

LONGEST_PAUSE = 300.0
"""Seconds without any event that count towards the time of a trial; a night in between does not."""


@dataclass(frozen=True)
class Person:
    """What is known of a listener beside the answers.

    Args:
        listener: pseudonym, as in `Answer`.
        pid: what a panel calls them, or None.
        slot: the planned order; `seat` whether it counts for them (a spare's counts for somebody else).
        state: "open", "finished" or "withdrawn".
        language: of the pages.
        made, finished: seconds since 1970, or None.
        trials: that were finished, training not counted.
        device: what the browser said of itself.
        headphones: right answers of six, or None.
        said: demographics and questionnaires: name -> value.
        underruns, blurs: times that the sound broke off, and that the page lost the focus.
    """

    listener: str
    pid: str | None
    slot: int
    seat: bool
    state: str
    language: str
    made: float
    finished: float | None
    trials: int
    device: Mapping[str, Any]
    headphones: int | None
    said: Mapping[str, Any]
    underruns: int
    blurs: int

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def answers(study: Study, plan: Plan, sessions: Sessions, store: Store) -> list[Answer]:
    """The rows of every trial that was finished, listener by listener and in the order of their pages.

    Args:
        study, plan: as they were launched.
        sessions: of the database.
        store: that database.
    """
    trials = [{planned.id: planned for planned in slot.trials} for slot in plan.slots]
    found: list[Answer] = []
    counts: dict[tuple[str, bool], int] = {}
    for session, page, stored in _log(study.name, sessions, store):
        served = page.trial.served
        if served["planned"] is None or page.finished is None:
            continue
        planned = trials[session.slot][served["planned"]]
        count = (session.id, planned.purpose == "training")
        index = counts[count] = counts.get(count, -1) + 1
        found += _answers_of(study, planned, session, page, stored, index)
    return found


def checks(study: str, sessions: Sessions, store: Store) -> dict[str, dict[str, float]]:
    """What screening reads beside answers: listener -> check -> right answers. Who did not take one is not in it."""
    found: dict[str, dict[str, float]] = {}
    for session, page, stored in _log(study, sessions, store):
        if page.trial.served["page"] == "headphones" and page.finished is not None:
            right = _right_tones(page, stored)
            if right is not None:
                found.setdefault(session.id, {})["headphones"] = float(right)
    return found


def people(study: str, sessions: Sessions, store: Store) -> list[Person]:
    """Everybody who came to a study, in the order in which they came."""
    logged: dict[str, list[tuple[Page, list[Stored]]]] = {}
    for session, page, stored in _log(study, sessions, store):
        logged.setdefault(session.id, []).append((page, stored))
    return [_person(session, logged.get(session.id, [])) for session in sessions.all(study)]


def events(study: str, sessions: Sessions, store: Store) -> Iterator[dict[str, Any]]:
    """Everything that was served, said and done, as JSON, in order: first the page, then its events."""
    for session, page, stored in _log(study, sessions, store):
        about = {"study": study, "listener": session.id, "trial": page.trial.id}
        yield {**about, "event": "served", "received": page.trial.made, "served": dict(page.trial.served)}
        for one in stored:
            said = one.event
            what = {"id": said.id, "made": said.made, "received": one.received}
            yield {**about, "event": said.payload.kind, **what, "payload": said.payload.model_dump(mode="json")}


def _log(study: str, sessions: Sessions, store: Store) -> Iterator[tuple[Session, Page, list[Stored]]]:
    """Everything of a study, session by session and page by page, with its events in the order in which they were made."""
    here = {session.id: session for session in sessions.all(study)}
    pages = {page.trial.id: page for served in sessions.pages(study).values() for page in served}
    order = {session: number for number, session in enumerate(here)}
    taken = [
        (here[trial.listener], pages[trial.id], stored)
        for trial, stored in store.snapshot(KIND, of=here)
        if trial.id in pages
    ]
    yield from sorted(taken, key=lambda each: (order[each[0].id], each[1].place))


def _answers_of(
    study: Study, planned: Planned, session: Session, page: Page, stored: Sequence[Stored], index: int
) -> list[Answer]:
    """The rows of one finished page."""
    assert page.finished is not None
    served, said = page.trial.served, [one.event for one in stored]
    given, heard = standing(said), heard_of(said)
    tokens = [each["token"] for each in served["stimuli"]]
    touched = {of for _, of in given}
    switches = sum(isinstance(one.payload, Did) and one.payload.what == "switch" for one in said)
    behaviour = Behaviour(
        _seconds(page, stored),
        tuple(heard.get(token, 0.0) for token in tokens),
        tuple(token in touched or None in touched for token in tokens),
        switches,
    )
    placed = by_position(served, given)
    return answers_of(study, planned, placed, listener=session.id, index=index, made=page.finished, behaviour=behaviour)


def _seconds(page: Page, stored: Sequence[Stored]) -> float:
    """How long a listener spent on a page, by the server's clock."""
    assert page.finished is not None
    times = sorted([page.trial.made, *(min(one.received, page.finished) for one in stored), page.finished])
    return sum(min(later - earlier, LONGEST_PAUSE) for earlier, later in pairwise(times))


def _right_tones(page: Page, stored: Sequence[Stored]) -> int | None:
    """How many of the six trials of a headphone check are right; None if it was left out."""
    given = standing(one.event for one in stored)
    right = {each["token"]: headphones.right_answer(tuple(each["tones"])) for each in page.trial.served["stimuli"]}
    answered = {token: given[name, token] for name, token in given if name == "quietest" and token is not None}
    return sum(answered[token] == right[token] for token in answered) if answered else None


def _person(session: Session, pages: Sequence[tuple[Page, list[Stored]]]) -> Person:
    said: dict[str, Any] = {}
    tones: int | None = None
    deeds = {"underrun": 0, "blur": 0}
    trials = 0
    for page, stored in pages:
        kind = page.trial.served["page"]
        for one in stored:
            if isinstance(one.event.payload, Did) and one.event.payload.what in deeds:
                deeds[one.event.payload.what] += 1
        if page.finished is None:
            continue
        trials += kind == "trial"
        if kind in ("demographics", "questionnaire"):
            said |= {name: value for (name, _), value in standing(one.event for one in stored).items()}
        elif kind == "headphones":
            tones = _right_tones(page, stored)
    return Person(
        session.id, session.pid, session.slot, session.seat, session.state, session.language, session.made,
        session.finished, trials, session.device, tones, said, deeds["underrun"], deeds["blur"],
    )  # fmt: skip
