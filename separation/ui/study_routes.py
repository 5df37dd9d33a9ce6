"""The Studies page: listening tests as their owner makes, tries, launches, watches and reads them.

A plain page of our own, like the Ratings page, behind the same token (`owner_access`) and form (`owner/gate.js`). The page
and its files hold no data; every other answer needs the token, and what changes something must come from this very site. Names
of studies and files are checked, and nothing that a client sends leads out of a study's folder.

    GET    studies                                  the page
    GET    earshot/owner/studies/-/FILE             its modules and styles
    GET    earshot/owner/study-choices              {templates, examples, models, shipped}
    GET    earshot/owner/study-power?listeners=&sd=&difference=
    GET    earshot/owner/studies                    {studies}: how each stands
    POST   earshot/owner/studies                    {from: "template" | "text" | "example" | "copy", …} -> {name}
    GET    earshot/owner/studies/NAME               text, what it says, its problems by line, files, models, rules
    DELETE earshot/owner/studies/NAME               a draft
    PUT    earshot/owner/studies/NAME/text          {text, was} · …/form {study, was} -> text, study, problems, was
    POST   earshot/owner/studies/NAME/files?file=   one audio file as the body -> {files} · DELETE …/files/FILE
    GET    earshot/owner/studies/NAME/try           tasks, findings, plan, what a launch still needs
    POST   earshot/owner/studies/NAME/build · dry-run · metrics · cancel {kind}: long work
    POST   earshot/owner/studies/NAME/launch {was} · turn {state} · extend {listeners}
    GET    earshot/owner/studies/NAME/preview?page= to that page as a listener gets it (`study_preview`)
    GET    earshot/owner/studies/NAME/live          who is where, counts, warnings, power so far
    GET    earshot/owner/studies/NAME/results?rules=a,b
    GET    earshot/owner/studies/NAME/figures/KIND.{json,svg,png,pdf}?question=&attribute=&rules=
    GET    earshot/owner/studies/NAME/report.{html,md,zip}?rules=&download= · …/export?format=
    *      earshot/owner/preview/TOKEN/listen/…      the listener's pages on throw-away answers

Errors have the three parts of a `SeparationError`, and the statuses of the Ratings page.
"""

import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from separation.errors import RatingConflict, SeparationError, StudyError
from separation.listening.plans import feasibility
from separation.listening.screening import RULES
from separation.listening.study import Problem, words
from separation.statistics import listeners_needed, power, smallest_difference
from separation.ui.answers import (
    COMMON,
    PRIVATE,
    BadQuery,
    Endpoint,
    NotHere,
    finite,
    own_page,
    packed_json,
    threaded,
    with_body,
)
from separation.ui.examples import read_examples
from separation.ui.owner_access import Access
from separation.ui.ratings import Answering, owner_page, owners_only
from separation.ui.study_desk import MOST_TEXT, TASKS, Desk, Draft
from separation.ui.study_preview import Previews
from separation.ui.study_results import Findings
from separation.ui.study_templates import TEMPLATES
from separation.visualisation.rating_figures import FORMATS as PICTURES
from separation.visualisation.rating_figures import interactive, picture

FOLDER = Path(__file__).parent / "studies"
SCRIPTS = ("studies", "shared", "list", "new", "write", "editor", "form", "try", "live", "results")
STATIC = {
    **{f"{name}.js": (FOLDER, "text/javascript") for name in SCRIPTS},
    "studies.css": (FOLDER, "text/css"),
    "evaluate.css": (FOLDER.parent / "figures", "text/css"),  # its figures
}
MAX_BODY = 4 * MOST_TEXT
"""Bytes of a request that is no audio: a text in UTF-8."""
LARGEST = 500_000_000
"""Bytes of one audio file."""
MOST_RULES = 400
"""Characters of a list of rules."""
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""A report has no scripts; whatever listeners wrote in it stays words."""

_NUMBER = re.compile(r"\d{1,6}(\.\d{1,6})?")
_PLANNED = (3.0, 5.0, 10.0, 15.0, 20.0)  # points that the planner's table is about


def study_routes(desk: Desk, findings: Findings, previews: Previews, access: Access) -> list[BaseRoute]:
    """The routes above.

    Args:
        desk: the studies as they are made.
        findings: what was said in them.
        previews: the listener's pages to look at.
        access: the lock.
    """
    pages = _Pages(desk, findings, previews)
    plain, heavy, receiving = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2), anyio.CapacityLimiter(2)

    def guarded(answer: Answering, limiter: anyio.CapacityLimiter = plain) -> Endpoint:
        return with_body(owners_only(access, _conflicts(answer)), limiter, MAX_BODY)

    owner = "/earshot/owner"
    study = f"{owner}/studies/{{study}}"
    return [
        Route("/studies", threaded(pages.page, plain)),
        Route(f"{owner}/studies/-/{{file}}", threaded(pages.static, plain)),
        Route(f"{owner}/study-choices", guarded(pages.choices)),
        Route(f"{owner}/study-power", guarded(pages.power)),
        Route(f"{owner}/studies", guarded(pages.studies), methods=["GET"]),
        Route(f"{owner}/studies", guarded(pages.create), methods=["POST"]),
        Route(study, guarded(pages.study), methods=["GET"]),
        Route(study, guarded(pages.delete), methods=["DELETE"]),
        Route(f"{study}/text", guarded(pages.write_text), methods=["PUT"]),
        Route(f"{study}/form", guarded(pages.write_form), methods=["PUT"]),
        Route(f"{study}/files", pages.receiving(access, plain, receiving), methods=["POST"]),
        Route(f"{study}/files/{{file}}", guarded(pages.delete_sound), methods=["DELETE"]),
        Route(f"{study}/try", guarded(pages.trying, heavy), methods=["GET"]),
        Route(f"{study}/build", guarded(pages.build), methods=["POST"]),
        Route(f"{study}/dry-run", guarded(pages.dry_run), methods=["POST"]),
        Route(f"{study}/metrics", guarded(pages.measure), methods=["POST"]),
        Route(f"{study}/cancel", guarded(pages.cancel), methods=["POST"]),
        Route(f"{study}/preview", guarded(pages.preview, heavy), methods=["GET"]),
        Route(f"{study}/launch", guarded(pages.launch, heavy), methods=["POST"]),
        Route(f"{study}/turn", guarded(pages.turn), methods=["POST"]),
        Route(f"{study}/extend", guarded(pages.extend, heavy), methods=["POST"]),
        Route(f"{study}/live", guarded(pages.live, heavy)),
        Route(f"{study}/results", guarded(pages.results, heavy)),
        Route(f"{study}/figures/{{kind}}.{{format}}", guarded(pages.figure, heavy)),
        Route(f"{study}/report.{{format}}", guarded(pages.report, heavy)),
        Route(f"{study}/export", guarded(pages.export, heavy)),
        Mount(f"{owner}/preview/{{token}}", previews.app(access)),
    ]


def _conflicts(answer: Answering) -> Answering:
    """With the status of what was changed elsewhere meanwhile."""

    def answered(request: Request) -> Response:
        try:
            return answer(request)
        except RatingConflict as error:
            return JSONResponse(_parts(error), HTTPStatus.CONFLICT, PRIVATE)

    return answered


class _Pages:
    """The answers. All but `receiving` run in threads and may block."""

    def __init__(self, desk: Desk, findings: Findings, previews: Previews) -> None:
        self._desk, self._findings, self._previews = desk, findings, previews
        self._exports = desk.services.settings.exports

    # The page

    def page(self, request: Request) -> Response:
        page = owner_page(FOLDER / "studies.html", "Studies", ("earshot study",))
        return own_page(page)

    def static(self, request: Request) -> Response:
        """The page's own files, from a fixed table."""
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        folder, media_type = STATIC[name]
        return FileResponse(folder / name, media_type=media_type, headers={**COMMON, "Cache-Control": "no-cache"})

    # Studies

    def choices(self, request: Request) -> Response:
        """What a new study can be made of."""
        examples = read_examples(self._desk.services.examples)
        body = {
            "templates": [
                {"key": one.key, "title": one.title, "about": one.about, "target": one.target}
                for one in TEMPLATES.values()
            ],
            "examples": [
                {"id": one.id, "title": one.title, "duration": one.duration, "sources": list(one.references)}
                for one in examples
            ],
            "models": self._models(),
            "shipped": [
                {"name": draft.study.name, "title": words(draft.study.title, draft.study.languages[0])}
                for draft in self._desk.examples()
                if draft.study is not None
            ],
        }
        return JSONResponse(body, headers=PRIVATE)

    def studies(self, request: Request) -> Response:
        return JSONResponse({"studies": [self._line(name) for name in self._desk.names()]}, headers=PRIVATE)

    def create(self, request: Request) -> Response:
        return JSONResponse({"name": self._desk.create(_body(request))}, HTTPStatus.CREATED, PRIVATE)

    def study(self, request: Request) -> Response:
        name = request.path_params["study"]
        draft, state = self._desk.draft(name), self._desk.state(name)
        body = {
            "name": name,
            "title": _title(draft, name),
            "state": state,
            "locked": state != "draft",
            **_described(draft),
            "files": self._files(name),
            "absent": self._desk.absent(name),
            "models": self._models(),
            "rules": [
                {"name": one.name, "title": one.title, "about": one.said({}), "numbers": dict(one.numbers)}
                for one in RULES.values()
            ],
        }
        return JSONResponse(body, headers=PRIVATE)

    def delete(self, request: Request) -> Response:
        self._desk.delete(request.path_params["study"])
        return JSONResponse({"deleted": True}, headers=PRIVATE)

    # Writing

    def write_text(self, request: Request) -> Response:
        sent = _body(request)
        draft = self._desk.write_text(request.path_params["study"], _text(sent, "text"), _text(sent, "was"))
        return self._wrote(request, draft)

    def write_form(self, request: Request) -> Response:
        sent = _body(request)
        fields = sent.get("study")
        if not isinstance(fields, dict):
            raise BadQuery("Save the study", "the form sent no study", "Reload the page")
        return self._wrote(request, self._desk.write_form(request.path_params["study"], fields, _text(sent, "was")))

    def _wrote(self, request: Request, draft: Draft) -> Response:
        body = {**_described(draft), "absent": self._desk.absent(request.path_params["study"])}
        return JSONResponse(body, headers=PRIVATE)

    def receiving(self, access: Access, plain: anyio.CapacityLimiter, reading: anyio.CapacityLimiter) -> Endpoint:
        """An endpoint that takes one audio file into a study's folder."""

        async def endpoint(request: Request) -> Response:
            allowed = await threaded(owners_only(access, self._may_upload), plain)(request)
            if allowed.status_code != HTTPStatus.NO_CONTENT:
                return allowed
            name = request.path_params["study"]
            received = self._desk.folder / name / f".upload-{secrets.token_hex(8)}"
            try:
                if not await _received(request, received):
                    return JSONResponse(_too_large(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PRIVATE)
                filename = request.query_params["file"][:300]
                return await threaded(lambda _: self._took(name, received, filename), reading)(request)
            except ClientDisconnect:
                return Response(None, HTTPStatus.BAD_REQUEST)
            finally:
                received.unlink(missing_ok=True)

        return endpoint

    def _may_upload(self, request: Request) -> Response:
        if not request.query_params.get("file"):
            raise BadQuery("Add audio", "the address names no file", "Reload the page")
        said = request.headers.get("content-length", "")
        if said.isdigit() and int(said) > LARGEST:
            return JSONResponse(_too_large(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PRIVATE)
        self._desk.require_room(request.path_params["study"], int(said) if said.isdigit() else LARGEST)
        return Response(None, HTTPStatus.NO_CONTENT)

    def _took(self, name: str, received: Path, filename: str) -> Response:
        self._desk.add_sound(name, received, filename)
        return JSONResponse(self._sounds(name), HTTPStatus.CREATED, PRIVATE)

    def delete_sound(self, request: Request) -> Response:
        name = request.path_params["study"]
        self._desk.delete_sound(name, request.path_params["file"])
        return JSONResponse(self._sounds(name), headers=PRIVATE)

    # Trying

    def trying(self, request: Request) -> Response:
        """Everything about a study before its launch."""
        name, desk = request.path_params["study"], self._desk
        draft, built, folder = desk.draft(name), desk.built(name), desk.path(name)
        tasks = {kind: desk.tasks.look(folder, kind) for kind in TASKS}
        state = desk.state(name)
        found = desk.findings(name)
        prepared = desk.prepared(name)
        body: dict[str, Any] = {
            "state": state,
            "locked": state != "draft",
            "was": draft.was,
            "problems": len(draft.problems),
            "built": built,
            "audio": None,
            "matched": draft.study is not None and draft.study.loudness != "none",
            "tasks": {kind: asdict(task) for kind, task in tasks.items()},
            "busy": any(task.busy for task in tasks.values()),
            "checked": found is not None,
            "findings": [asdict(one) for one in found or ()],
            "plan": None,
            "plan_error": None,
            "pages": [],
            "missing": desk.missing(name) if state == "draft" else [],
            "doubts": desk.doubts(name) if state == "draft" else [],
        }
        if prepared is not None:
            sizes = [prepared.path(one).stat().st_size for one in prepared.stimuli]
            body["audio"] = {"stimuli": len(sizes), "items": len(prepared.items), "bytes": sum(sizes)}
        if draft.study is not None and not draft.problems:
            try:
                body["plan"] = asdict(feasibility(draft.study, desk.plan(name)))
                body["pages"] = self._previews.pages(name)
            except StudyError as error:
                body["plan_error"] = _parts(error)
        return packed_json(request, body)

    def build(self, request: Request) -> Response:
        self._desk.build(request.path_params["study"])
        return _accepted()

    def dry_run(self, request: Request) -> Response:
        self._desk.dry_run(request.path_params["study"])
        return _accepted()

    def measure(self, request: Request) -> Response:
        self._desk.measure(request.path_params["study"])
        return _accepted()

    def cancel(self, request: Request) -> Response:
        kind = _text(_body(request), "kind")
        if kind not in TASKS:
            raise BadQuery("Cancel", "there is no such work", f"Give one of {', '.join(TASKS)}")
        self._desk.tasks.cancel(self._desk.path(request.path_params["study"]), kind)
        return _accepted()

    def preview(self, request: Request) -> Response:
        """To a page as a listener gets it."""
        name, place = request.path_params["study"], request.query_params.get("page", "0")
        self._desk.draft(name).require(f"Preview the study {name}")
        if self._desk.built(name) != "current":
            raise StudyError(f"Preview the study {name}", "its audio is not built of it as it is", "Build it first")
        if not (place.isascii() and place.isdigit() and len(place) < 6):
            raise BadQuery(f"Preview the study {name}", "it has no such page", "Go back to the list of pages")
        return RedirectResponse(f"../../{self._previews.open(name, int(place))}", HTTPStatus.SEE_OTHER, PRIVATE)

    def launch(self, request: Request) -> Response:
        status = self._desk.launch(request.path_params["study"], _text(_body(request), "was"))
        return JSONResponse({"state": status.state, "code": status.code}, headers=PRIVATE)

    # Listeners

    def turn(self, request: Request) -> Response:
        status = self._desk.turn(request.path_params["study"], _text(_body(request), "state"))
        return JSONResponse({"state": status.state}, headers=PRIVATE)

    def extend(self, request: Request) -> Response:
        listeners = _body(request).get("listeners")
        if not isinstance(listeners, int) or isinstance(listeners, bool):
            raise BadQuery("Extend the study", "the number of places is no whole number", "Enter one")
        status = self._desk.extend(request.path_params["study"], listeners)
        return JSONResponse({"slots": status.slots}, headers=PRIVATE)

    def live(self, request: Request) -> Response:
        return packed_json(request, self._findings.live(self._known(request)))

    # Results

    def results(self, request: Request) -> Response:
        return packed_json(request, self._findings.results(self._known(request), _rules(request)))

    def figure(self, request: Request) -> Response:
        kind, format, asked = request.path_params["kind"], request.path_params["format"], request.query_params
        if format != "json" and format not in PICTURES:
            raise NotHere("Draw a figure", "there is none of that format", f"Choose json, {', '.join(PICTURES)}")
        name, question = self._known(request), asked.get("question", "")
        chart = self._findings.chart(name, kind, question, asked.get("attribute", ""), _rules(request))
        if format == "json":
            return packed_json(request, interactive(chart).to_dict())
        headers = {
            **PRIVATE,
            "Content-Disposition": f'attachment; filename="{name}-{_plain(question)}-{kind}.{format}"',
        }
        return Response(picture(chart, format), headers=headers, media_type=PICTURES[format])  # type: ignore[arg-type]

    def report(self, request: Request) -> Response:
        format, name = request.path_params["format"], self._known(request)
        types = {"html": "text/html", "md": "text/markdown"}
        if format == "zip":
            with self._findings.packed_report(name, self._exports, _rules(request)) as path:
                return self._sent(path)
        if format not in types:
            raise NotHere("Write a report", "there is none of that format", "Choose html, md or zip")
        text = self._findings.report(name, format, _rules(request))
        headers = {**PRIVATE, "Content-Security-Policy": REPORT_POLICY}
        if request.query_params.get("download"):
            headers["Content-Disposition"] = f'attachment; filename="{name}-report.{format}"'
        return Response(text, headers=headers, media_type=types[format])

    def export(self, request: Request) -> Response:
        name, format = self._known(request), request.query_params.get("format", "")
        with self._findings.exported(name, format, self._exports) as path:
            return self._sent(path)

    def _sent(self, path: Path) -> Response:
        """A file that was made for this answer, and is gone once it was fetched."""
        kept = self._exports / f"{secrets.token_urlsafe(16)}{path.suffix}"
        path.replace(kept)
        return _FetchedOnce(kept, filename=path.name, headers=PRIVATE)

    # Shared

    def _known(self, request: Request) -> str:
        name: str = request.path_params["study"]
        self._desk.path(name)
        return name

    def _line(self, name: str) -> dict[str, Any]:
        desk = self._desk
        draft, status = desk.draft(name), desk.studies.status(name)
        study = draft.study
        conditions = 0 if study is None else len(study.systems) + len(study.anchors)
        return {
            "name": name,
            "title": _title(draft, name),
            "state": status.state,
            "kinds": [] if study is None else [question.kind for question in study.questions],
            "counts": None if study is None else {"items": len(study.items), "conditions": conditions},
            "problems": len(draft.problems),
            "built": desk.built(name),
            "listeners": {"done": status.finished, "active": status.under_way, "planned": status.slots},
            "changed": (desk.path(name) / "study.yaml").stat().st_mtime,
        }

    def _sounds(self, name: str) -> dict[str, Any]:
        """After an upload or a deletion."""
        return {"files": self._files(name), "absent": self._desk.absent(name)}

    def _files(self, name: str) -> list[dict[str, Any]]:
        return [asdict(one) for one in self._desk.sounds(name)]

    def _models(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "title": card.title, "sources": list(card.sources)}
            for name, card in self._desk.services.bundled().items()
        ]

    def power(self, request: Request) -> Response:
        """How small a difference so many listeners see, and how many one needs."""
        listeners, sd = round(_number(request, "listeners", 2, 5000)), _number(request, "sd", 0.1, 100)
        difference = _number(request, "difference", 0.1, 100)
        body = {
            "listeners": listeners,
            "difference": difference,
            "smallest_80": smallest_difference(sd, listeners),
            "smallest_90": smallest_difference(sd, listeners, power=0.9),
            "power": power(sd, listeners, difference),
            "needed_80": listeners_needed(sd, difference),
            "needed_90": listeners_needed(sd, difference, power=0.9),
            "table": [{"difference": one, "needed_80": listeners_needed(sd, one)} for one in _PLANNED],
        }
        return JSONResponse(finite(body), headers=PRIVATE)


class _FetchedOnce(FileResponse):
    """A file that is gone once it was sent, or could not be."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)


def _described(draft: Draft) -> dict[str, Any]:
    study = None if draft.study is None else draft.study.model_dump(mode="json")
    return {"text": draft.text, "was": draft.was, "study": study, "problems": [_problem(one) for one in draft.problems]}


def _problem(problem: Problem) -> dict[str, Any]:
    """`where` as the form's fields are called: questions[0].kind is questions.0.kind."""
    return {"line": problem.line, "field": problem.where.replace("[", ".").replace("]", ""), "found": problem.text}


def _title(draft: Draft, name: str) -> str:
    return (words(draft.study.title, draft.study.languages[0]) if draft.study is not None else "") or name


def _rules(request: Request) -> list[str] | None:
    """The rules that are switched on; None if the address names none at all."""
    text = request.query_params.get("rules")
    if text is None:
        return None
    if len(text) > MOST_RULES:
        raise BadQuery("Screen answers", "the list of rules is too long", "Reload the page")
    return [name for name in text.split(",") if name]


def _number(request: Request, name: str, least: float, most: float) -> float:
    text = request.query_params.get(name, "")
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not least <= value <= most:
        raise BadQuery(f"Read {name}", "it is no such number", f"Give one from {least:g} to {most:g}")
    return value


def _body(request: Request) -> dict[str, Any]:
    try:
        sent = json.loads(request.state.body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        raise BadQuery("Read the request", "it is no JSON object", "Reload the page")
    return sent


def _text(sent: Mapping[str, Any], name: str) -> str:
    value = sent.get(name)
    if not isinstance(value, str):
        raise BadQuery("Read the request", f"{name} is no text", "Reload the page")
    return value


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", text)[:64]


def _accepted() -> Response:
    return JSONResponse({"asked": True}, HTTPStatus.ACCEPTED, PRIVATE)


def _parts(error: SeparationError) -> dict[str, str]:
    return {"asked": error.asked, "found": error.found, "advice": error.advice}


def _too_large() -> dict[str, str]:
    found = f"it has more than {LARGEST // 1_000_000} MB"
    return {"asked": "Add audio", "found": found, "advice": "Cut out the part that listeners hear, or save it as FLAC"}


async def _received(request: Request, path: Path) -> bool:
    """Write the body to a file; False as soon as it is larger than allowed."""
    count = 0
    async with await anyio.open_file(path, "wb") as file:
        async for block in request.stream():
            count += len(block)
            if count > LARGEST:
                return False
            await file.write(block)
    return True
