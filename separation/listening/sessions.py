"""One listener's way through one study: enter, see a page, say something, go on, listen, withdraw. No HTTP.

A session is opened by a capability token. Whoever comes with a panel's id (``pid``) always gets the same token, made from the
id and a secret of this installation, so that the same link leads to the same session from any computer; the database has
neither. A page is drawn when it is served and is the same whenever it is asked for again; `go_on` closes it once nothing is
missing. What is acknowledged is on disk (`ratings.sessions`), and the completion code is told only when every page of the
slot is closed there.
"""

import base64
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from separation.errors import RatingConflict, RatingError, UnknownTrial
from separation.listening import headphones
from separation.listening.pages import Shown, draw, fields, heard_of, missing, notice, standing, told
from separation.listening.studies import Opened, Studies
from separation.ratings.records import Did, Event, Finished, Given
from separation.ratings.sessions import NoSlot, Page, Said, Session
from separation.ratings.store import Store

SECRET_BYTES = 32
END = "end"
"""The token of the last page, on which nothing can be said."""


class Missing(RatingError):
    """A page is not complete.

    Args:
        missing: ``"FIELD TOKEN"`` (``"FIELD"``; ``"play TOKEN"``: not heard) -> why.
    """

    def __init__(self, missing: Mapping[str, str]) -> None:
        self.missing = dict(missing)
        count = len(self.missing)
        found = f"{count} {'thing is' if count == 1 else 'things are'} missing on this page"
        super().__init__("Go to the next page", found, "Fill in what is marked, and listen to every sound")

    def __reduce__(self) -> Any:
        return Missing, (self.missing,)


@dataclass(frozen=True)
class Entry:
    """Who comes to a study.

    Args:
        study: its name.
        session: the token of their own link, or "".
        pid: what a panel calls them, or "".
        language: wanted; "" for the study's first one, or for the one they have.
        device: what the browser says of itself; kept with a new session.
    """

    study: str
    session: str = ""
    pid: str = ""
    language: str = ""
    device: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Sound:
    """What a token stands for: interleaved 16-bit little-endian samples, in a file or at hand."""

    path: Path | None
    content: bytes = b""


class Listening:
    """The listener's side of all studies.

    Args:
        store: the ratings.
        studies: what is asked, and who takes it.
        secret: of this installation (`read_secret`).
    """

    def __init__(self, store: Store, studies: Studies, *, secret: bytes) -> None:
        self._store = store
        self._studies = studies
        self._sessions = studies.sessions
        self._secret = secret

    def enter(self, entry: Entry) -> tuple[str, dict[str, Any]]:
        """Begin or go on: the token of the session, and the page where it stands. "" if nobody can begin now.

        Raises:
            UnknownTrial: there is no such study, or the link leads to no session of it.
            StudyError: its files are not those that it was launched with.
            RatingError: the panel's id is none.
            RatingsBusy, DiskFull: not now.
        """
        opened = self._studies.open(entry.study)
        language = _nearest(entry.language, opened.study.languages)
        if entry.session:
            session, token = self._sessions.get(entry.session), entry.session
            if session.study != entry.study:
                raise UnknownTrial("Go on with a listening test", "this link leads to another one", "Check the link")
        else:
            token = self._token(entry.study, entry.pid)
            try:
                session = self._sessions.open(
                    entry.study, token, pid=entry.pid or None, language=language, device=entry.device or {}
                )
            except NoSlot as error:
                return "", notice(opened.study, error.state, language=language)
        if entry.language and language != session.language and session.state != "withdrawn":
            session = self._sessions.speak(session, language)
        return token, self._page(opened, session)

    def page(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The page where a session stands, and how it stands.

        Raises:
            UnknownTrial: there is no such session.
            StudyError, RatingsBusy, DiskFull: as `enter`.
        """
        session = self._sessions.touch(self._sessions.get(token))
        opened = self._studies.open(session.study)
        page = self._page(opened, session)
        state = {
            "state": session.state,
            "place": page["index"],
            "of": page["of"],
            "study": session.study,
            "language": session.language,
        }
        return page, state

    def save(self, token: str, page: str, events: Sequence[Event]) -> list[Said]:
        """Save what was said and done on a page; when this returns it is on disk.

        Raises:
            UnknownTrial: there is no such session, or no such page of it.
            RatingError: it speaks of a field or a sound that the page does not have.
            Gone: the page was closed before.
            RatingConflict, RatingsBusy, DiskFull: as `Sessions.save`.
        """
        session = self._sessions.get(token)
        found = self._sessions.find(session, page)
        shown = self._shown(self._studies.open(session.study), session, found.place)
        for event in events:
            _require_fits(shown, found.trial.served, event)
        return self._sessions.save(session, page, events)

    def go_on(self, token: str, page: str) -> dict[str, Any]:
        """Close a page and get the next one. From a page that was closed before, it only gets where the session stands.

        Raises:
            UnknownTrial: there is no such session, or no such page of it.
            Missing: the page is not complete.
        """
        session = self._sessions.get(token)
        opened = self._studies.open(session.study)
        if page != END and session.state == "open":
            found = self._sessions.find(session, page)
            if found.finished is None:
                self._close(opened, session, found)
            session = self._sessions.get(token)  # another tab may have gone on since it was looked up
        return self._page(opened, session)

    def sound(self, token: str, sound: str) -> Sound:
        """A sound of the page where the session stands.

        Raises:
            UnknownTrial: it is not on that page.
        """
        session = self._sessions.get(token)
        page = self._sessions.page(session, session.place) if session.state == "open" else None
        served = {} if page is None else page.trial.served
        for each in (*served.get("stimuli", ()), *served.get("references", ())):
            if hmac.compare_digest(each["token"], sound):
                if "tones" in each:
                    return Sound(None, headphones.pcm(tuple(each["tones"])))
                prepared = self._studies.open(session.study).prepared
                return Sound(prepared.path(prepared.find(each["item"], each["condition"])))
        raise UnknownTrial("Play a sound", "it is not on the page where the test stands", "Reload the page")

    def withdraw(self, token: str) -> int:
        """Delete everything that a listener said. Returns how many pages it was. Raises `UnknownTrial`."""
        return self._sessions.withdraw(self._sessions.get(token)).trials

    # Inside

    def _token(self, study: str, pid: str) -> str:
        """The capability of a new session; the same for the same listener of a panel."""
        if not pid:
            return secrets.token_urlsafe(16)
        digest = hmac.new(self._secret, f"{study}\n{pid}".encode(errors="surrogatepass"), "sha256").digest()
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")

    def _shown(self, opened: Opened, session: Session, place: int) -> Shown:
        way, trials = opened.way(session.slot), opened.plan.slots[session.slot].trials
        return Shown(opened.study, opened.prepared, way[place], place, len(way) - 1, trials[0] if trials else None)

    def _page(self, opened: Opened, session: Session) -> dict[str, Any]:
        """The page where a session stands, drawn if it is served for the first time."""
        last = len(opened.way(session.slot)) - 1
        if session.state == "withdrawn":
            return notice(opened.study, "withdrawn", language=session.language)
        if session.state == "finished" or session.place >= last:
            shown = self._shown(opened, session, last)
            code = self._code(opened, session, last)
            return told(shown, _NOTHING, token=END, language=session.language, given={}, code=code)
        shown = self._shown(opened, session, session.place)
        page = self._sessions.page(session, session.place)
        if page is None:
            if self._sessions.study(session.study).state == "paused":
                return notice(opened.study, "paused", language=session.language, of=last)
            served = draw(shown, token=lambda: secrets.token_urlsafe(12), random=Random(secrets.randbits(64)))
            page = self._sessions.serve(session, session.place, served)
        given = standing(self._store.events(page.trial.id))
        return told(shown, page.trial.served, token=page.trial.id, language=session.language, given=given)

    def _close(self, opened: Opened, session: Session, page: Page) -> None:
        shown, events = self._shown(opened, session, page.place), self._store.events(page.trial.id)
        lacking = missing(shown, page.trial.served, standing(events), heard_of(events))
        if lacking:
            raise Missing(lacking)
        made = max((event.made for event in events), default=0)
        event = Event(f"finished-{page.trial.id}", made, Finished())
        self._sessions.finish(session, page, event=event, last=page.place == shown.of - 1)

    def _code(self, opened: Opened, session: Session, last: int) -> str | None:
        """The completion code, if every page before the end was counted."""
        counted = self._sessions.counted(session)
        return self._sessions.study(opened.study.name).code if counted == last else None


def read_secret(path: Path) -> bytes:
    """The secret of an installation in a file that only its owner can read, drawn if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
    except FileExistsError:
        pass
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        found = f"{path} holds {len(secret)} bytes instead of {SECRET_BYTES}"
        raise RatingConflict("Read the secret of the listening tests", found, "Restore it from a backup, or delete it")
    return secret


_NOTHING: Mapping[str, Any] = {"stimuli": [], "references": []}


def _nearest(wanted: str, languages: Sequence[str]) -> str:
    """The study's language that is meant by a code such as ``de-AT``; its first one if there is none."""
    short = wanted.lower().partition("-")[0]
    return next((each for each in languages if each.lower() in (wanted.lower(), short)), languages[0])


def _require_fits(shown: Shown, served: Mapping[str, Any], event: Event) -> None:
    """An event may only speak of what is on the page."""
    said = event.payload
    if isinstance(said, Given):
        here = {(field.name, field.of) for field in fields(shown, served, shown.study.languages[0])}
        if (said.field, said.of) not in here:
            raise RatingError("Save an answer", "it is for a field that this page does not have", "Reload the page")
    elif isinstance(said, Did):
        sounds = {each["token"] for each in (*served["stimuli"], *served["references"])}
        if said.of is not None and said.of not in sounds:
            raise RatingError("Save what was done", "it names a sound that this page does not have", "Reload the page")
    else:
        raise RatingError("Save an answer", "a page takes what was given and what was done", "Reload the page")
