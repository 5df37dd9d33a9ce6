"""A study's pages as a listener gets them, before there are listeners: the very same pages, on answers that are thrown away.

Each look has a database of its own, in a temporary folder, and a listener of its own who stands at the page that was asked for:
the pages before it count as done. Only the owner gets there; nothing of it is in the ratings, and it is gone when a few more
looks were taken, or the server stops.
"""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any
from urllib.parse import quote, urlencode

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from separation.errors import SeparationError
from separation.listening.pages import Step, steps
from separation.listening.sessions import SECRET_BYTES, Listening
from separation.listening.studies import Studies
from separation.listening.study import Study, study_hash, words
from separation.ratings import Event
from separation.ratings.records import Finished
from separation.ratings.sessions import Sessions
from separation.ratings.store import Store
from separation.ui.answers import PRIVATE, BadQuery, NotHere
from separation.ui.listen_routes import listen_routes
from separation.ui.owner_access import Access
from separation.ui.ratings import owners_only
from separation.ui.study_desk import Desk

MOST = 8
"""Looks that are open at once; the oldest is closed for a new one."""
_LEASE = 24 * 3600.0

KINDS = {
    "consent": "Consent",
    "demographics": "About the listener",
    "level": "Set the level",
    "headphones": "Headphone check",
    "instructions": "Instructions",
    "training": "Training",
    "trial": "Trial",
    "questionnaire": "Questions at the end",
    "end": "The end",
}


@dataclass(frozen=True)
class _Look:
    """One listener of nobody's."""

    folder: "TemporaryDirectory[str]"
    store: Store
    app: Starlette

    def close(self) -> None:
        self.store.close()
        self.folder.cleanup()


class Previews:
    """The looks that are open.

    Args:
        desk: the studies.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._looks: OrderedDict[str, _Look] = OrderedDict()
        self._lock = threading.Lock()

    def pages(self, name: str) -> list[dict[str, str]]:
        """The pages of the first listener: title, and what is on it. Raises `StudyError`: there is no plan."""
        study = self._desk.draft(name).require(f"Preview the study {name}")
        way = steps(study, self._desk.plan(name).slots[0])
        return [
            {"title": f"{place}. {KINDS[step.kind]}", "about": _about(study, step)} for place, step in enumerate(way, 1)
        ]

    def open(self, name: str, place: int) -> str:
        """Make a listener who stands at a page.

        Args:
            name: of the study; its audio is built.
            place: of the page, from 0.

        Returns:
            Where the page is, relative to ``earshot/owner/``.

        Raises:
            BadQuery: there is no such page.
            StudyError: the study is not built as it is.
        """
        desk = self._desk
        study, plan = desk.draft(name).require(f"Preview the study {name}"), desk.keep_plan(name)
        if not 0 <= place < len(steps(study, plan.slots[0])):
            raise BadQuery(f"Preview the study {name}", "it has no such page", "Go back to the list of pages")
        folder = TemporaryDirectory(prefix="earshot-preview-")
        store = Store(f"sqlite:///{Path(folder.name) / 'preview.db'}")
        sessions = Sessions(store, clock=time)
        studies = Studies([desk.folder], sessions, clock=time)
        code = study.completion_code or "PREVIEW"
        sessions.launch(name, hash=study_hash(study), slots=1, lease=_LEASE, code=code)
        listening = Listening(store, studies, secret=secrets.token_bytes(SECRET_BYTES))
        session = secrets.token_urlsafe(16)
        sessions.open(name, session, language=study.languages[0])
        _skip(listening, sessions, session, place, len(steps(study, plan.slots[0])) - 1)
        look, token = (
            _Look(folder, store, Starlette(routes=listen_routes(listening, studies))),
            secrets.token_urlsafe(16),
        )
        with self._lock:
            self._looks[token] = look
            old = [self._looks.popitem(last=False)[1] for _ in range(len(self._looks) - MOST)]
        for one in old:
            one.close()
        return f"preview/{token}/listen/{quote(name)}?{urlencode({'s': session})}"

    def close(self) -> None:
        """Throw everything away."""
        with self._lock:
            looks = list(self._looks.values())
            self._looks.clear()
        for one in looks:
            one.close()

    def app(self, access: Access) -> ASGIApp:
        """Answers below ``preview/TOKEN``, to the owner alone."""
        allow = owners_only(access, lambda request: Response(None, 204))

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            request = Request(scope)
            allowed = await anyio.to_thread.run_sync(_answered, allow, request)
            with self._lock:
                look = self._looks.get(request.path_params["token"])
            if allowed.status_code != 204:
                await allowed(scope, receive, send)
            elif look is None:
                gone = NotHere("Look at a study", "this preview was closed", "Open it again from the Studies page")
                await _refusal(gone, 404)(scope, receive, send)
            else:
                await look.app(scope, receive, send)

        return answer


def _skip(listening: Listening, sessions: Sessions, token: str, place: int, last: int) -> None:
    """Go on from page to page with nothing said, as no listener can."""
    for before in range(place):
        page, _ = listening.page(token)
        session = sessions.get(token)
        found = sessions.find(session, page["token"])
        event = Event(f"finished-{found.trial.id}", 0, Finished())
        sessions.finish(session, found, event=event, last=before == last - 1)


def _about(study: Study, step: Step) -> str:
    if step.planned is None:
        return words(step.page.title, study.languages[0])
    question = study.question(step.planned.question)
    title = words(question.title, study.languages[0]) or question.id
    purpose = "" if step.planned.purpose in ("test", "training") else f", {step.planned.purpose}"
    return f"{title}: {step.planned.item}{purpose}"


def _answered(allow: Any, request: Request) -> Response:
    try:
        answer: Response = allow(request)
    except SeparationError as error:  # from another site
        return _refusal(error, 403)
    return answer


def _refusal(error: SeparationError, status: int) -> Response:
    parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
    return JSONResponse(parts, status, PRIVATE)
