"""A small server of a listening test with a page of every layout, for the listener's pages alone; it keeps what it is told.

It follows the page's JSON of `separation.listening.pages` and knows nothing of studies. Tests turn it off and on (`dead`), and
read what was saved.
"""

import math
from array import array
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from separation.ui.listen_files import FILES, POLICY, OpenStudy, index_html, page_html

RATE, CHANNELS, LENGTH = 16000, 1, 32000
SESSION = "session-of-the-only-listener"
CODE = "C0DE-4711"
QUALITY = ["Bad", "Poor", "Fair", "Good", "Excellent"]
RULES: dict[str, Any] = {
    "must_play": True, "must_move": True, "min_loop": 0.5, "fade": 0.005, "switching": "bs1534", "only_heard": False,
    "plays": None, "views": False,
}  # fmt: skip
TITLES = {
    "en": "What do you hear?", "de": "Was hörst du?", "fr": "Qu’entendez-vous ?", "es": "¿Qué oyes?", "zh": "您听到了什么？",
}  # fmt: skip


def one(name: str, kind: str, label: str, of: str | None = None, **more: Any) -> dict[str, Any]:
    """A field."""
    empty = {"help": "", "min": None, "max": None, "step": None, "bands": [], "options": [], "required": True}
    return {"name": name, "of": of, "kind": kind, "label": label, **empty, **more}


def options(*labels: str, numbered: bool = False) -> list[dict[str, Any]]:
    count = len(labels)
    return [
        {"value": count - place if numbered else label.lower().split()[0], "label": label}
        for place, label in enumerate(labels)
    ]


def _sounds(page: str, labels: str) -> list[dict[str, str]]:
    return [{"token": f"{page}-sound-{place}", "label": label} for place, label in enumerate(labels.split())]


def _mushra(labels: str = "1 2 3 4 5 6") -> dict[str, Any]:
    stimuli = _sounds("mushra", labels)
    sliders = [
        one("quality", "slider", "How good is the sound?", each["token"], min=0, max=100, step=1, bands=QUALITY)
        for each in stimuli
    ]
    return {
        "kind": "trial", "layout": "mushra", "title": "Basic audio quality", "stimuli": stimuli, "fields": sliders,
        "references": [{"token": "mushra-target", "role": "target"}, {"token": "mushra-mixture", "role": "mixture"}],
        "text": "Compare each sound with the reference. At least one of them is the reference itself and gets 100.",
        "rules": {**RULES, "only_heard": True},
    }  # fmt: skip


def _single() -> dict[str, Any]:
    token = "single-sound-0"
    votes = options("Excellent", "Good", "Fair", "Poor", "Bad", numbered=True)
    labels = options("bleed", "muffled", "gap")
    return {
        "kind": "trial", "layout": "single", "title": "The voice, the background, and all of it",
        "stimuli": [{"token": token, "label": ""}], "rules": {**RULES, "views": True},
        "fields": [
            one("sig", "scale", "The voice alone", token, options=votes),
            one("bak", "scale", "The background alone", token, options=votes),
            one("marks", "marks", "Where do you hear something wrong?", token, options=labels, required=False),
            one("comment", "text", "Anything else?", required=False),
        ],
    }  # fmt: skip


def _pair() -> dict[str, Any]:
    answers = options("A is better", "About the same", "B is better", "Both are bad")
    return {
        "kind": "trial", "layout": "pair", "title": "Which one is better?", "stimuli": _sounds("pair", "A B"),
        "references": [{"token": "pair-mixture", "role": "mixture"}], "rules": {**RULES, "switching": "crossfade"},
        "fields": [
            one("preference", "choice", "Your choice", options=answers),
            one("reasons", "choices", "Why?", options=options("less bleed", "clearer voice"), required=False),
        ],
    }  # fmt: skip


def _abx() -> dict[str, Any]:
    return {
        "kind": "trial", "layout": "abx", "title": "Is X the same as A or as B?", "stimuli": _sounds("abx", "A B"),
        "references": [{"token": "abx-x", "role": "x"}],
        "fields": [one("same", "choice", "X is", options=options("A", "B"))],
    }  # fmt: skip


def _rank() -> dict[str, Any]:
    stimuli = _sounds("rank", "1 2 3")
    return {
        "kind": "trial", "layout": "rank", "title": "Put them in order", "stimuli": stimuli,
        "fields": [one("rank", "rank", "From the best to the worst", each["token"], min=1, max=3, step=1) for each in stimuli],
    }  # fmt: skip


def _scale() -> dict[str, Any]:
    token = "scale-sound-0"
    slider = one(
        "others", "slider", "How well are other sounds suppressed?", token, min=0, max=100, step=1, bands=QUALITY
    )
    return {
        "kind": "trial", "layout": "single", "title": slider["label"], "stimuli": [{"token": token, "label": ""}],
        "references": [{"token": "scale-target", "role": "target"}, {"token": "scale-mixture", "role": "mixture"}],
        "fields": [slider],
    }  # fmt: skip


def pages() -> list[dict[str, Any]]:
    """A page of every kind and layout, in an order that a test would have."""
    tones = _sounds("headphones", "1 2")
    return [
        {"kind": "consent", "title": "Welcome", "text": "We ask how good sounds are.\n\nYou may stop at any time.",
         "fields": [one("consent", "check", "I have read this and take part of my own will.")]},
        {"kind": "demographics", "title": "About you", "fields": [
            one("age", "number", "Your age", min=18, max=120, help="In years."),
            one("device", "choice", "What do you listen with?", options=options("Headphones", "Loudspeakers")),
            one("plays", "choices", "What do you play?", options=options("Piano", "Voice", "Nothing"), required=False),
            one("words", "text", "Anything we should know?", required=False)]},
        {"kind": "instructions", "title": "How it works", "text": "Listen to each sound and rate it.\n\nTake your time."},
        {"kind": "level", "title": "Set the level", "text": "Set a comfortable level. It stays as it is for the whole test.",
         "stimuli": [{"token": "level-sound-0", "label": ""}], "rules": {**RULES, "must_move": False}},
        {"kind": "headphones", "title": "Headphones", "text": "Which of the three tones is the quietest?", "stimuli": tones,
         "fields": [one("quietest", "choice", "The quietest tone is", each["token"], options=options("1", "2", "3"))
                    for each in tones]},
        {**_mushra("1 2"), "kind": "training", "title": "Training"},
        _mushra(), _single(), _pair(), _abx(), _rank(), _scale(),
        {"kind": "questionnaire", "title": "At the end", "fields": [
            one("hard", "scale", "How hard was it?", options=options("Easy", "Fair", "Hard", numbered=True))]},
        {"kind": "end", "layout": "end", "title": "Thank you", "text": "That was everything.", "code": CODE,
         "redirect": "https://crowd.example/complete?cc=C0DE-4711"},
    ]  # fmt: skip


@dataclass
class FakeListen:
    """The only session, as the server knows it."""

    pages: list[dict[str, Any]] = field(default_factory=pages)
    place: int = 0
    dead: bool = False
    paused: bool = False
    withdrawn: bool = False
    sessions: int = 0
    refusal: dict[str, Any] | None = None
    events: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    language: str = "en"

    def given(self, page: str) -> dict[str, Any]:
        """What stands on a page."""
        found: dict[str, Any] = {}
        for at, payload in self.events.values():
            if at == page and payload["kind"] == "given":
                found[f"{payload['field']} {payload['of']}" if payload["of"] else payload["field"]] = payload["value"]
        return found

    def did(self, what: str) -> list[dict[str, Any]]:
        return [payload for _, payload in self.events.values() if payload.get("what") == what]

    def page(self) -> dict[str, Any]:
        token = f"page-{self.place}"
        page = {
            "layout": "form", "text": "", "references": [], "stimuli": [], "fields": [], "rules": {**RULES, "must_play": False},
            "code": None, "redirect": None, **self.pages[self.place],
        }  # fmt: skip
        sounds = [*page["references"], *page["stimuli"]]
        if self.paused:
            page = {
                **page,
                "kind": "paused",
                "layout": "end",
                "title": "A break",
                "text": "It goes on soon.",
                "fields": [],
            }
        return {
            **page, "token": token, "index": self.place, "of": len(self.pages), "language": self.language,
            "languages": list(TITLES), "study": {"title": TITLES[self.language], "contact": "ears@example.org"},
            "audio": {"sample_rate": RATE, "channels": CHANNELS, "length": LENGTH} if sounds else None,
            "given": self.given(token),
        }  # fmt: skip

    def session(self, body: dict[str, Any]) -> Response:
        self.sessions += "s" not in body
        wanted = str(body.get("language", "en")).split("-")[0]
        self.language = wanted if wanted in TITLES else "en"
        token = None if self.paused and "s" not in body else SESSION  # nobody begins during a pause
        return JSONResponse({"session": token, "page": self.page(), "link": f"?s={token}"})

    def save(self, body: dict[str, Any]) -> Response:
        answers = []
        for event in body["events"]:
            answers.append("known" if event["id"] in self.events else "saved")
            self.events.setdefault(event["id"], (body["page"], event["payload"]))
        return JSONResponse({"events": answers})

    def onward(self, body: dict[str, Any]) -> Response:
        if self.refusal:
            answer, self.refusal = self.refusal, None
            return JSONResponse(answer, 422)
        if body["page"] == f"page-{self.place}":
            self.place += 1
        return JSONResponse({"page": self.page()})


def app(fake: FakeListen) -> Starlette:
    """The routes of `ui.listen_routes`, as far as a listener's page asks them."""

    async def html(_: Request) -> Response:
        return HTMLResponse(page_html(), headers={"Content-Security-Policy": POLICY})

    async def index(_: Request) -> Response:
        studies = [OpenStudy("ears", "What do you hear?", 12, ("en", "de")), OpenStudy("b", "<b>Voices</b> & noise")]
        return HTMLResponse(index_html(studies), headers={"Content-Security-Policy": POLICY})

    async def file(request: Request) -> Response:
        path, media_type = FILES[request.path_params["file"]]
        return FileResponse(path, media_type=media_type)

    async def audio(request: Request) -> Response:
        pitch = 200 + sum(request.path_params["token"].encode()) % 400
        loudness = [6000 * math.sin(math.pi * 3 * i / LENGTH) ** 2 for i in range(LENGTH)]
        samples = array(
            "h", (round(loud * math.sin(2 * math.pi * pitch * i / RATE)) for i, loud in enumerate(loudness))
        )
        return Response(samples.tobytes(), media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    async def asked(request: Request) -> Response:
        if fake.dead:
            return JSONResponse({}, 503)
        if fake.withdrawn or request.path_params.get("session", SESSION) != SESSION:
            return JSONResponse({"asked": "Go on", "found": "this test was deleted", "advice": "Begin anew"}, 404)
        body = await request.json() if request.method == "POST" else {}
        what = request.url.path.rsplit("/", 1)[1]
        if what == "withdraw":
            fake.withdrawn = True
            return JSONResponse({"deleted": len(fake.events)})
        answers = {"session": fake.session, "events": fake.save, "next": fake.onward}
        return answers[what](body) if what in answers else JSONResponse({"page": fake.page(), "state": "running"})

    return Starlette(
        routes=[
            Route("/listen", index),
            Route("/listen/-/{file}", file),
            Route("/listen/s/{session}/audio/{token}.pcm", audio),
            Route("/listen/s/{session}/{what}", asked, methods=["POST"]),
            Route("/listen/s/{session}", asked),
            Route("/listen/{study}/session", asked, methods=["POST"]),
            Route("/listen/{study}", html),
        ]
    )
