"""The Ratings page: what people said, for the owner of this installation alone.

A plain page of our own beside Gradio's, because Gradio tells every visitor what its pages hold. The page itself has no data in
it; everything it shows it asks for here, and every answer but the page and its files needs the owner's token (`owner_access`).
What changes something must come from this very site. Ids, filters and formats are checked, nothing that a client sends leads to
a file, and what listeners wrote is sent as JSON only.

    GET    ratings                                 the page
    GET    earshot/owner/files/FILE                its module and styles
    POST   earshot/owner/session                   {"token"}: sign in · DELETE: sign out · GET: {"open", "signed_in"}
    GET    earshot/owner/overview                  how much there is, and what filters can name
    GET    earshot/owner/trials?…                  a page of trials: model kind listener stem scale low high label blind
                                                   consented audio empty since until text (`browse.Filter`), sort descending
                                                   start count
    GET    earshot/owner/trials/ID                 one, with its history
    GET    earshot/owner/jobs/ID                   what was kept of it, as `<earshot-player>` wants a job; its sound below
    DELETE earshot/owner/trials/ID                 delete one trial
    DELETE earshot/owner/listeners/ID              forget a listener
    GET    earshot/owner/standings?blind=          models, intervals, agreement
    GET    earshot/owner/marks?blind=              marks against metrics · POST: look for more to measure
    POST   earshot/owner/exports                   {"format", "only_consented"} -> {"file", "rows", "missing"}
    GET    earshot/owner/exports/FILE              fetch it, once

Errors have the three parts of a `SeparationError`: 401 not signed in, 403 a wrong token, another site, or no token is set here,
404 unknown, 429 too many wrong tokens, and as everywhere (`answers`).
"""

import hashlib
import json
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZipFile

import anyio
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.audio import ArrayReader, PeakBuilder, Peaks, Reader, require_disk
from separation.errors import SeparationError, UnknownTrial
from separation.ratings import ClipStore, Trial
from separation.ratings.browse import Filter, Line, clip_start, overview, text_of
from separation.ratings.export import FORMATS, export
from separation.ratings.marks import EXPECTED, MEANINGS, TITLES, compare
from separation.ratings.records import LABELS, SCALES
from separation.ratings.standings import standings
from separation.ratings.store import Stored, Withdrawn
from separation.signals import Signal
from separation.ui.answers import (
    COMMON,
    PRIVATE,
    BadQuery,
    Endpoint,
    NotHere,
    own_page,
    require_same_site,
    threaded,
    with_body,
)
from separation.ui.frame import Services, header_html
from separation.ui.marked import MarkedSeconds
from separation.ui.owner_access import Access, Locked, SignedOut, TooManyGuesses, Wrong
from separation.ui.rating_trials import drop_exports
from separation.ui.routes import LEGEND, _deleted, _Sounds, _Stage
from separation.ui.theme import STYLE

FOLDER = Path(__file__).parent / "owner"
SCRIPTS = ("ratings", "parts", "gate", "overview", "trials", "trial", "models", "marks", "exports", "dark")
STATIC = {
    **{f"{name}.js": (FOLDER, "text/javascript") for name in SCRIPTS},
    "ratings.css": (FOLDER, "text/css"),
    "theme.css": (STYLE.parent, "text/css"),
}
MAX_BODY = 4096
MOST = 200
"""Trials on one page."""
SOUNDS = 6
"""Clips that are held in memory while somebody listens: at most a minute each."""
KEPT = "full"
"""The name of the stage under which the player finds what was kept."""

_TRIAL = re.compile(r"[0-9a-f]{32}")
_LISTENER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXPORT = re.compile(r"[A-Za-z0-9_-]{22}")
_REFUSALS = (Locked, SignedOut, Wrong, TooManyGuesses)
_STATUS: dict[type[SeparationError], HTTPStatus] = {
    Locked: HTTPStatus.FORBIDDEN,
    SignedOut: HTTPStatus.UNAUTHORIZED,
    Wrong: HTTPStatus.FORBIDDEN,
    TooManyGuesses: HTTPStatus.TOO_MANY_REQUESTS,
}
Answering = Callable[[Request], Response]


def owner_routes(services: Services, marked: MarkedSeconds, access: Access | None = None) -> list[Route]:
    """The routes above.

    Args:
        services: the ratings, the clips and the settings.
        marked: the numbers of marked seconds, and the ratings as they are read for them.
        access: the lock; None makes the one of the settings.
    """
    access = access or Access(services.settings.owner_token)
    pages = _Pages(services, marked, access)
    sounds = _KeptSounds(services)
    plain, heavy, exporting = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2), anyio.CapacityLimiter(1)

    def guarded(answer: Answering, limiter: anyio.CapacityLimiter = plain) -> Endpoint:
        return with_body(owners_only(access, answer), limiter, MAX_BODY)

    def open_to_all(answer: Answering) -> Endpoint:
        return with_body(_refusing(answer), plain, MAX_BODY)

    owner, job = "/earshot/owner", "/earshot/owner/jobs/{job}"
    return [
        Route("/ratings", threaded(pages.page, plain)),
        Route(f"{owner}/files/{{file}}", threaded(pages.static, plain)),
        Route(f"{owner}/session", open_to_all(pages.session), methods=["GET"]),
        Route(f"{owner}/session", open_to_all(pages.sign_in), methods=["POST"]),
        Route(f"{owner}/session", open_to_all(pages.sign_out), methods=["DELETE"]),
        Route(f"{owner}/overview", guarded(pages.overview)),
        Route(f"{owner}/trials", guarded(pages.trials)),
        Route(f"{owner}/trials/{{trial}}", guarded(pages.trial), methods=["GET"]),
        Route(f"{owner}/trials/{{trial}}", guarded(pages.delete), methods=["DELETE"]),
        Route(f"{owner}/listeners/{{listener}}", guarded(pages.forget), methods=["DELETE"]),
        Route(f"{owner}/standings", guarded(pages.standings, heavy)),
        Route(f"{owner}/marks", guarded(pages.marks, heavy), methods=["GET"]),
        Route(f"{owner}/marks", guarded(pages.measure), methods=["POST"]),
        Route(f"{owner}/exports", guarded(pages.export, exporting), methods=["POST"]),
        Route(f"{owner}/exports/{{file}}", guarded(pages.exported), methods=["GET"]),
        Route(job, guarded(sounds.job)),
        Route(f"{job}/{{stage}}/{{track}}.pcm", guarded(sounds.pcm)),
        Route(f"{job}/{{stage}}/{{track}}.peaks", guarded(sounds.outline)),
        Route(f"{job}/{{stage}}/{{track}}.levels", guarded(sounds.levels)),
    ]


def owner_page(path: Path, title: str, commands: Sequence[str]) -> str:
    """A page of the owner's: its file with the header, and with the form that asks for the token.

    Args:
        path: of the file.
        title: in the header.
        commands: that do the same without a page.
    """
    gate = (FOLDER / "gate.html").read_text(encoding="utf-8").rstrip()
    gate = gate.replace("{{commands}}", " and ".join(f"<code>{command}</code>" for command in commands))
    text = path.read_text(encoding="utf-8")
    return text.replace("{{header}}", header_html(title, owner=True)).replace("{{gate}}", gate)


def owners_only(access: Access, answer: Answering) -> Answering:
    """Answer only who has the token, and changes only from this very site."""

    def locked(request: Request) -> Response:
        access.require(request)
        if request.method not in ("GET", "HEAD"):
            require_same_site(request)
        return answer(request)

    return _refusing(locked)


def _refusing(answer: Answering) -> Answering:
    """With the answers that only these routes give."""

    def refusing(request: Request) -> Response:
        try:
            return answer(request)
        except _REFUSALS as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            more = {"WWW-Authenticate": "Bearer"} if isinstance(error, SignedOut) else {}
            more |= {"Retry-After": str(error.wait)} if isinstance(error, TooManyGuesses) else {}
            return JSONResponse(parts, _STATUS[type(error)], {**PRIVATE, **more})

    return refusing


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services, marked: MarkedSeconds, access: Access) -> None:
        self._store, self._clips, self._settings = services.ratings, services.clips, services.settings
        self._catalogue, self._marked, self._access = marked.catalogue, marked, access
        self._cookie_path = f"{urlsplit(services.settings.root_path).path}/earshot/owner"
        self._standings: dict[bool, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._lock = threading.Lock()

    # The page, and who may use it

    def page(self, request: Request) -> Response:
        page = owner_page(FOLDER / "ratings.html", "Ratings", ("earshot ratings stats", "earshot ratings export"))
        return own_page(page)

    def static(self, request: Request) -> Response:
        """The page's own files, from a fixed table."""
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        folder, media_type = STATIC[name]
        return FileResponse(folder / name, media_type=media_type, headers={**COMMON, "Cache-Control": "no-cache"})

    def session(self, request: Request) -> Response:
        """Whether there is a token, and whether this browser is signed in."""
        try:
            self._access.require(request)
            signed_in = True
        except (Locked, SignedOut, Wrong):
            signed_in = False
        return JSONResponse({"open": self._access.open, "signed_in": signed_in}, headers=PRIVATE)

    def sign_in(self, request: Request) -> Response:
        require_same_site(request)
        token = _body(request).get("token")
        if not isinstance(token, str):
            raise BadQuery("Open the ratings", "there is no token in the request", "Enter it")
        self._access.check(token)
        response = JSONResponse({"signed_in": True}, headers=PRIVATE)
        response.set_cookie(**self._access.cookie(request, self._cookie_path))
        return response

    def sign_out(self, request: Request) -> Response:
        require_same_site(request)
        response = JSONResponse({"signed_in": False}, headers=PRIVATE)
        response.delete_cookie(**self._access.place(request, self._cookie_path))
        return response

    # What people said

    def overview(self, request: Request) -> Response:
        lines = self._catalogue.lines()
        counted = overview(lines, self._clips, withdrawn=self._store.count("rating")["withdrawn"])
        return JSONResponse({**counted.to_json(), "choices": self._catalogue.choices()}, headers=PRIVATE)

    def trials(self, request: Request) -> Response:
        start, count = _whole(request, "start", 0, 10**9), _whole(request, "count", 50, MOST)
        sort, descending = request.query_params.get("sort", "served"), _switch(request, "descending", True)
        total, lines = self._catalogue.find(
            _filter(request), sort=sort, descending=descending, start=start, count=count
        )
        rows = [_row(line, line.has_audio(self._clips)) for line in lines]
        return JSONResponse({"total": total, "start": start, "trials": rows}, headers=PRIVATE)

    def trial(self, request: Request) -> Response:
        """Everything about one trial."""
        line = self._line(request.path_params["trial"])
        trial = line.trial
        others = [other for other in self._catalogue.lines() if other.trial.listener == trial.listener]
        stored = self._store.stored(trial.id)
        body = {
            **_row(line, line.has_audio(self._clips)),
            "served": dict(trial.served),
            "start": _start(trial),
            "clip": _clip(trial),
            "comments": [{"stem": stem, "text": text} for stem, text in line.comments.items()],
            "marks": [{**mark.model_dump(mode="json", exclude={"kind"}), "blind": blind} for mark, blind in line.marks],
            "seconds": dict(line.seconds),
            "history": [_event(one) for one in stored],
            "clips": dict(trial.clips),
            "of_listener": len(others),
        }
        return JSONResponse(body, headers=PRIVATE)

    def forget(self, request: Request) -> Response:
        """Delete everything of one listener: it cannot be brought back."""
        listener = request.path_params["listener"]
        if not _LISTENER.fullmatch(listener):
            raise _unknown_listener()
        gone = self._store.forget(listener, delete=self._clips.delete)
        if not gone.trials:
            raise _unknown_listener()
        return self._gone(gone)

    def delete(self, request: Request) -> Response:
        """Delete one trial: as if its listener had withdrawn it."""
        trial = request.path_params["trial"]
        if not _TRIAL.fullmatch(trial):
            raise _unknown()
        try:
            gone = self._store.remove(trial, delete=self._clips.delete)
        except UnknownTrial:
            raise _unknown() from None
        return self._gone(gone)

    def _gone(self, gone: Withdrawn) -> Response:
        """What was made of ratings goes with them."""
        self._marked.sweep()
        drop_exports(self._settings.exports)
        return JSONResponse({"trials": gone.trials, "events": gone.events, "clips": len(gone.clips)}, headers=PRIVATE)

    # What it means

    def standings(self, request: Request) -> Response:
        only_blind = _switch(request, "blind", True)
        version = self._catalogue.version()
        with self._lock:
            known = self._standings.get(only_blind)
        if known is None or known[0] != version:
            found = standings(self._catalogue.lines(), only_blind=only_blind)
            known = version, {scale: [one.to_json() for one in ranked] for scale, ranked in found.items()}
            with self._lock:
                self._standings[only_blind] = known
        return JSONResponse({"blind": only_blind, "scales": known[1]}, headers=PRIVATE)

    def marks(self, request: Request) -> Response:
        only_blind = _switch(request, "blind", False)
        self._marked.sweep()
        found = compare(self._marked.measured(), only_blind=only_blind)
        body = {
            "blind": only_blind,
            "coverage": self._marked.coverage().to_json(),
            "found": [one.to_json() for one in found],
            "metrics": {
                name: {"title": title, "unit": unit, "about": MEANINGS[name]} for name, (title, unit) in TITLES.items()
            },
            "expected": dict(EXPECTED),
        }
        return JSONResponse(body, headers=PRIVATE)

    def measure(self, request: Request) -> Response:
        self._marked.look()
        return JSONResponse({"coverage": self._marked.coverage().to_json()}, headers=PRIVATE)

    # Taking it out

    def export(self, request: Request) -> Response:
        """Write a file with the code of ``earshot ratings export``; it waits to be fetched once."""
        sent = _body(request)
        format, only_consented = sent.get("format"), sent.get("only_consented", False)
        if format not in FORMATS or not isinstance(only_consented, bool):
            raise BadQuery("Export the ratings", "there is no such format", f"Choose from {', '.join(FORMATS)}")
        folder = self._settings.exports
        shutil.rmtree(folder, ignore_errors=True)  # what nobody has fetched by now nobody will
        folder.mkdir(parents=True)
        file = secrets.token_urlsafe(16)
        path = folder / f"{file}.{'jsonl' if format == 'jsonl' else 'zip'}"
        if format == "jsonl":
            done = export(self._store, path, format, only_consented=only_consented)
        else:
            with TemporaryDirectory(dir=folder) as scratch:
                written = Path(scratch) / "ratings"
                done = export(self._store, written, format, clips=self._clips, only_consented=only_consented)
                packed = Path(scratch) / path.name
                _pack(written, packed)
                packed.replace(path)  # whole from the moment it is there
        body = {"file": file, "rows": done.rows, "missing": len(done.missing), "bytes": path.stat().st_size}
        return JSONResponse(body, headers=PRIVATE)

    def exported(self, request: Request) -> Response:
        file = request.path_params["file"]
        found = list(self._settings.exports.glob(f"{file}.*")) if _EXPORT.fullmatch(file) else []
        if not found:
            raise NotHere("Fetch an export", "it is not here any more", "Make it again")
        path = found[0]
        name = f"earshot-ratings-{datetime.now(UTC):%Y-%m-%d}{path.suffix}"
        gone = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, filename=name, headers=PRIVATE, background=gone)

    def _line(self, trial: str) -> Line:
        found = next((line for line in self._catalogue.lines() if line.trial.id == trial), None)
        if found is None:
            raise _unknown()
        return found


# Listening


@dataclass(frozen=True)
class _Kept(_Stage):
    """What was kept of a trial: sixteen bits, the gain of its stage in them, as it was heard."""

    job: Trial  # type: ignore[assignment]  # has an id like a job; nothing here lies in a folder of its own
    clips: ClipStore
    load: Callable[[str], tuple[Signal, Peaks]]

    def require(self, track: str) -> None:
        self._check(track)
        if self._clip(track) not in self.clips:
            raise _deleted()

    def open(self, track: str) -> Reader:
        self.require(track)
        return ArrayReader(self.load(self._clip(track))[0])

    def peaks(self, track: str) -> Peaks:
        self.require(track)
        return self.load(self._clip(track))[1]

    def tag(self, *more: object) -> str:
        return hashlib.sha256(repr((self.job.id, sorted(self.job.clips.items()), *more)).encode()).hexdigest()[:32]

    def _clip(self, track: str) -> str:
        return self.job.clips["mixture" if track == "mixture" else f"stem:{track}"]


class _KeptSounds(_Sounds):
    """The kept audio of trials, answered as the sound of a job."""

    def __init__(self, services: Services) -> None:
        self._store, self._clips = services.ratings, services.clips
        self._load = lru_cache(SOUNDS)(self._read)  # by hash: what is found there never changes

    def job(self, request: Request) -> Response:
        """As `routes` describes a finished job."""
        kept = self._kept(request)
        trial = kept.job
        body = {
            "id": trial.id,
            "name": text_of(trial, "name") or "Without a name",
            "model": text_of(trial, "model") or "unknown",
            "edited": trial.served.get("edit") is not None,
            "state": {"status": "done", "stage": "write", "fraction": 1.0, "messages": []},
            "stages": {KEPT: kept.described},
            "expires": None,
            "legend": LEGEND,
        }
        return JSONResponse(body, headers=PRIVATE)

    def outline(self, request: Request) -> Response:
        """`peaks`, under the name that the routes give it."""
        return self.peaks(request)

    def _stage(self, request: Request) -> _Stage:
        kept = self._kept(request)
        if request.path_params["stage"] != KEPT:
            raise NotHere("Open a result", "there is no such stage", f"Ask for {KEPT}")
        return kept

    def _kept(self, request: Request) -> _Kept:
        trial = self._trial(request.path_params["job"])
        if "mixture" not in trial.clips or not all(clip in self._clips for clip in trial.clips.values()):
            found = "its audio is not kept: the listener did not allow it, took that back, or it was not to be had"
            raise NotHere("Listen to a trial", found, "What was said of it is all there is")
        mixture = self._load(trial.clips["mixture"])[0]
        described = {
            "sample_rate": mixture.sample_rate,
            "channels": mixture.channels,
            "length": mixture.length,
            "start": round(_clip(trial)[0] * mixture.sample_rate),
            "gain": 1.0,
            "tracks": _kept_tracks(trial),
            "null_db": None,
            "uncertain_boundaries": [],
        }
        return _Kept(trial, KEPT, described, self._clips, self._load)

    def _trial(self, trial: str) -> Trial:
        if not _TRIAL.fullmatch(trial):
            raise _unknown()
        try:
            return self._store.get(trial)
        except UnknownTrial:
            raise _unknown() from None

    def _read(self, clip: str) -> tuple[Signal, Peaks]:
        signal = self._clips.get(clip)
        builder = PeakBuilder()
        builder.add(signal.samples)
        with TemporaryDirectory() as folder:
            return signal, Peaks.load(builder.save(Path(folder) / "outline"))


# How it is told


def _row(line: Line, audio: bool) -> dict[str, Any]:
    """A trial as the list shows it."""
    trial = line.trial
    return {
        "id": trial.id,
        "listener": trial.listener,
        "kind": trial.kind,
        "made": trial.made,
        "name": text_of(trial, "name"),
        "model": line.model,
        "edited": trial.served.get("edit") is not None,
        "hidden": trial.served.get("hidden") is True,
        "answers": [
            {"stem": answer.stem, "scale": answer.scale, "value": answer.value, "blind": blind}
            for answer, blind in line.answers
        ],
        "labels": [mark.label for mark, _ in line.marks],
        "commented": len(line.comments),
        "consent": line.training,
        "audio": audio,
        "heard": sum(line.seconds.values()),
        "events": line.events,
    }


def _event(one: Stored) -> dict[str, Any]:
    payload = one.event.payload.model_dump(mode="json")
    return {"id": one.event.id, "made": one.event.made, "received": one.received, "payload": payload}


def _pack(folder: Path, path: Path) -> None:
    """A folder with its folders as a zip file."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    require_disk(path.parent, sum(each.stat().st_size for each in files))
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for each in files:
            archive.write(each, each.relative_to(folder))


def _kept_tracks(trial: Trial) -> list[str]:
    """The tracks of which there are clips, in the order in which they were served."""
    order = trial.served.get("tracks")
    names = [role.removeprefix("stem:") for role in trial.clips]
    return sorted(
        names, key=lambda name: order.index(name) if isinstance(order, list) and name in order else len(names)
    )


def _start(trial: Trial) -> float:
    """Where what was served begins, in seconds of the recording: marks count from there."""
    start, rate = trial.served.get("start"), trial.served.get("sample_rate")
    return start / rate if isinstance(start, int) and rate else 0.0


def _clip(trial: Trial) -> list[float]:
    """What is kept at most, from and to in seconds of the recording."""
    first = _start(trial) + (clip_start(trial) or 0.0)
    clip, rate = trial.served.get("clip"), trial.served.get("sample_rate")
    return [first, first + (clip["length"] / rate if isinstance(clip, Mapping) and rate else 0.0)]


def _filter(request: Request) -> Filter:
    """From the query.

    Raises:
        BadQuery: something there is not what a filter knows.
    """
    asked = request.query_params

    def named(name: str) -> str | None:
        return asked.get(name) or None

    return Filter(
        model=named("model"),
        kind=named("kind"),
        listener=named("listener"),
        stem=named("stem"),
        scale=_choice(request, "scale", SCALES),
        label=_choice(request, "label", LABELS),
        low=_whole(request, "low", 1, 5),
        high=_whole(request, "high", 5, 5),
        blind=_switch(request, "blind", False),
        consented=_switch(request, "consented", False),
        audio=_switch(request, "audio", False),
        empty=_switch(request, "empty", False),
        since=_day(request, "since", 0),
        until=_day(request, "until", 1),
        text=asked.get("text", "")[:200],
    )


def _choice(request: Request, name: str, allowed: tuple[str, ...]) -> str | None:
    value = request.query_params.get(name) or None
    if value is not None and value not in allowed:
        raise BadQuery(f"Filter by {name}", "it is none of those known", f"Give one of {', '.join(allowed)}")
    return value


def _whole(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not re.fullmatch(r"\d{1,9}", text):
        raise BadQuery(f"Read {name}", "it is not a whole number", f"Give one of at most {most}")
    return min(int(text), most)


def _switch(request: Request, name: str, default: bool) -> bool:
    text = request.query_params.get(name) or str(int(default))
    if text not in ("0", "1"):
        raise BadQuery(f"Read {name}", "it is neither 0 nor 1", "Give one of them")
    return text == "1"


def _day(request: Request, name: str, later: int) -> float | None:
    """The beginning of a day (UTC), or of a later one, in seconds since 1970."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return (datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=later)).timestamp()
    except (ValueError, OverflowError):
        raise BadQuery(f"Read {name}", "it is not a day", "Write it as 2026-05-31") from None


def _body(request: Request) -> dict[str, Any]:
    try:
        sent = json.loads(request.state.body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        raise BadQuery("Read the request", "it is no JSON object", "Reload the page")
    return sent


def _unknown() -> SeparationError:
    return UnknownTrial("Open a trial", "it is not here: it was withdrawn, or the link is wrong", "Go back to the list")


def _unknown_listener() -> SeparationError:
    return UnknownTrial("Forget a listener", "there is nothing of a listener of that id", "Go back to the list")
