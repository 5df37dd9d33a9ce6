"""The studies of an installation: what lies in their folders, and whether listeners may come.

A study is a folder (`materials`, `plans`), and, once it was launched, a line in the database with its hash and its slots
(`ratings.sessions`). What was launched must not change any more: a study whose file has another hash than the one that it was
launched with is refused to listeners until the file is put back, because answers name the hash.

    FOLDER/NAME/{study.yaml, prepared.json, plan.json, audio/}
"""

import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from separation.errors import StudyError, UnknownTrial
from separation.listening.pages import Step, steps
from separation.listening.parts import Study
from separation.listening.plans import Plan, dump_plan, extend_plan, make_plan, parse_plan
from separation.listening.prepared import PLAN_FILE, PREPARED_FILE, STUDY_FILE, Prepared, find_studies, read_prepared
from separation.listening.study import read_study, study_hash
from separation.ratings.sessions import Launched, Session, Sessions

CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Of a completion code: none that look alike."""
IDLE = 300.0
"""Seconds without a sign of life after which a listener counts as away."""

State = Literal["draft", "open", "paused", "closed"]


@dataclass(frozen=True)
class Opened:
    """A study that is ready for listeners.

    Args:
        study, plan, prepared: what its folder holds.
        hash: of the study.
        folder: where it is.
    """

    study: Study
    plan: Plan
    prepared: Prepared
    hash: str
    folder: Path

    def way(self, slot: int) -> tuple[Step, ...]:
        """The pages of a slot."""
        return steps(self.study, self.plan.slots[slot])


@dataclass(frozen=True)
class Status:
    """How a study stands.

    Args:
        name: of its folder.
        state: "draft" before it is launched.
        hash: that it was launched with, or None.
        slots: how many there are, 0 for a draft.
        taken: slots that somebody holds, finished ones too.
        finished: sessions that are through; `spare` of them without a slot of their own.
        under_way: sessions that began and have not finished.
        withdrawn: sessions whose listener took everything back.
        code: of completion; "" for a draft.
    """

    name: str
    state: State
    hash: str | None
    slots: int
    taken: int
    finished: int
    spare: int
    under_way: int
    withdrawn: int
    code: str


class Studies:
    """The studies in some folders.

    Args:
        folders: where studies lie; what is launched or extended is written to the first.
        sessions: who takes which.
        clock: seconds since 1970.
    """

    def __init__(self, folders: Sequence[Path], sessions: Sessions, *, clock: Callable[[], float]) -> None:
        self._folders = tuple(folders)
        self.sessions = sessions
        self.clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[tuple[Any, ...], Opened]] = {}

    def names(self) -> list[str]:
        """All that lie here, drafts too."""
        return sorted(find_studies(self._folders))

    def folder(self, name: str) -> Path:
        """Where a study lies.

        Raises:
            UnknownTrial: there is none of that name.
        """
        found = find_studies(self._folders).get(name)
        if found is None:
            raise UnknownTrial("Open a listening test", "there is none of that name here", "Check the link")
        return found

    def open(self, name: str) -> Opened:
        """A launched study with all that its listeners need, read again only when a file has changed.

        Raises:
            UnknownTrial: there is none of that name, or it was not launched.
            StudyError: its files are not those that it was launched with.
        """
        launched = self.sessions.study(name)
        opened = self._read(self.folder(name))
        asked, advice = f"Serve the study {name}", "Put back the files that it was launched with"
        for what, hash in (
            (STUDY_FILE, opened.hash),
            (PREPARED_FILE, opened.prepared.hash),
            (PLAN_FILE, opened.plan.hash),
        ):
            if hash != launched.hash:
                raise StudyError(asked, f"its {what} is not of the version that was launched", advice)
        if len(opened.plan.slots) < launched.slots:
            found = f"its {PLAN_FILE} has {len(opened.plan.slots)} slots, and {launched.slots} were launched"
            raise StudyError(asked, found, advice)
        return opened

    def status(self, name: str) -> Status:
        """How a study stands. Raises as `folder`."""
        self.folder(name)
        launched = self.launched(name)
        if launched is None:
            return Status(name, "draft", None, 0, 0, 0, 0, 0, 0, "")
        sessions = self.sessions.all(name)
        states = Counter(session.state for session in sessions)
        return Status(
            name,
            launched.state,
            launched.hash,
            launched.slots,
            sum(session.seat for session in sessions),
            states["finished"],
            sum(session.state == "finished" and not session.seat for session in sessions),
            states["open"],
            states["withdrawn"],
            launched.code,
        )

    def list(self) -> list[Status]:
        """How all of them stand, by name."""
        return [self.status(name) for name in self.names()]

    def launched(self, name: str) -> Launched | None:
        """What was launched under a name, or None."""
        try:
            return self.sessions.study(name)
        except UnknownTrial:
            return None

    # What the researcher does

    def launch(self, name: str, *, listeners: int | None = None) -> Status:
        """Let listeners come: the study's hash is written down, its slots are made. Twice does no harm.

        Args:
            name: of the study.
            listeners: slots; None for as many as the study or its plan says.

        Raises:
            UnknownTrial: there is none of that name.
            StudyError: it is wrong, its audio is not that of this version, or no plan is possible.
            RatingConflict: another version was launched before.
        """
        folder = self._home(self.folder(name))
        study = read_study(folder / STUDY_FILE)
        hash, prepared = study_hash(study), read_prepared(folder)
        asked = f"Launch the study {name}"
        if study.name != name:
            raise StudyError(asked, f"its file says that its name is {study.name}", "Name the folder like the study")
        if prepared.hash != hash:
            found = "its audio was made from another version of its file"
            raise StudyError(asked, found, f"Build it again: earshot study build {name}")
        plan = self._plan(folder, study, hash, listeners)
        code = study.completion_code or "".join(secrets.choice(CODE_LETTERS) for _ in range(8))
        lease = 60 * study.assignment.lease_minutes
        self.sessions.launch(name, hash=hash, slots=len(plan.slots), lease=lease, code=code)
        self.sessions.turn(name, "open")
        return self.status(name)

    def pause(self, name: str) -> Status:
        """Nobody begins or goes on; answers to pages that are open are still saved. Raises `UnknownTrial`."""
        self.sessions.turn(name, "paused")
        return self.status(name)

    def resume(self, name: str) -> Status:
        """Go on after a pause or a close. Raises `UnknownTrial`."""
        self.sessions.turn(name, "open")
        return self.status(name)

    def close(self, name: str) -> Status:
        """Nobody begins any more; who is under way may finish. Raises `UnknownTrial`."""
        self.sessions.turn(name, "closed")
        return self.status(name)

    def extend(self, name: str, listeners: int) -> Status:
        """Have slots for so many listeners in all; those that there are stay as they are.

        Raises:
            UnknownTrial: it was not launched.
            StudyError: its files are not those that it was launched with, or no such plan is possible.
        """
        opened = self.open(name)
        plan = extend_plan(opened.plan, opened.study, listeners)
        _write(self._home(opened.folder) / PLAN_FILE, dump_plan(plan))
        self.sessions.extend(name, len(plan.slots))
        return self.status(name)

    def live(self, name: str) -> dict[str, Any]:
        """Who is where now, and how often each condition was judged: JSON for the researcher.

        Raises:
            UnknownTrial, StudyError: as `open`.
        """
        opened, now = self.open(name), self.clock()
        launched = self.sessions.study(name)
        pages = self.sessions.pages(name)
        judged: Counter[str] = Counter()
        trials: Counter[str] = Counter()
        for served in pages.values():
            for page in served:
                planned = page.trial.served.get("planned")
                if planned is not None and page.finished is not None and page.trial.served["page"] == "trial":
                    trials[page.trial.listener] += 1
                    judged.update(each["condition"] for each in page.trial.served["stimuli"])
        return {
            "now": now,
            "state": launched.state,
            "slots": launched.slots,
            "lease": launched.lease,
            "sessions": [
                {**self._where(opened, session, now), "trials": trials[session.id]}
                for session in self.sessions.all(name)
            ],
            "conditions": dict(sorted(judged.items())),
        }

    # Inside

    def _where(self, opened: Opened, session: Session, now: float) -> dict[str, Any]:
        """One listener's line of the live view."""
        way = opened.way(session.slot)
        here = session.state == "open" and now - session.seen < IDLE
        return {
            "listener": session.id,
            "pid": session.pid,
            "slot": session.slot,
            "seat": session.seat,
            "state": session.state,
            "place": session.place,
            "of": len(way) - 1,
            "page": way[min(session.place, len(way) - 1)].kind,
            "language": session.language,
            "made": session.made,
            "seen": session.seen,
            "here": here,
            "finished": session.finished,
        }

    def _home(self, folder: Path) -> Path:
        """The folder that may be written: a study of another place is copied to the first."""
        home = self._folders[0] / folder.name
        if folder != home:
            building = home.parent.with_name(f"{home.name}-{secrets.token_hex(4)}")
            home.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, building)
            building.rename(home)
        return home

    def _plan(self, folder: Path, study: Study, hash: str, listeners: int | None) -> Plan:
        """The plan of a folder, made if there is none of this version."""
        path = folder / PLAN_FILE
        plan = parse_plan(path.read_text(encoding="utf-8")) if path.is_file() else None
        if plan is None or plan.hash != hash:
            plan = make_plan(study, listeners=listeners)
        elif listeners is not None and listeners > len(plan.slots):
            plan = extend_plan(plan, study, listeners)
        else:
            return plan
        _write(path, dump_plan(plan))
        return plan

    def _read(self, folder: Path) -> Opened:
        stamp = tuple(
            (stat.st_mtime_ns, stat.st_size)
            for stat in ((folder / name).stat() for name in (STUDY_FILE, PREPARED_FILE, PLAN_FILE))
        )
        with self._lock:
            known = self._opened.get(folder.name)
            if known is not None and known[0] == stamp:
                return known[1]
            study = read_study(folder / STUDY_FILE)
            plan = parse_plan((folder / PLAN_FILE).read_text(encoding="utf-8"))
            opened = Opened(study, plan, read_prepared(folder), study_hash(study), folder)
            self._opened[folder.name] = stamp, opened
            return opened


def _write(path: Path, text: str) -> None:
    """Under a temporary name, renamed when it is complete: a crash leaves the old one."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
