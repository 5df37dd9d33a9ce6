"""A small study with audio of its own, ready for listeners, and a listener who answers whatever is asked."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from separation.listening.parts import Anchor, Ask, Assignment, Gold, Item, Page, Question, Study, System
from separation.listening.prepared import AUDIO_FOLDER, PREPARED_FILE, STUDY_FILE, ItemAudio, Prepared, Stimulus
from separation.listening.sessions import Listening
from separation.listening.studies import Studies
from separation.listening.study import dump_study, study_hash
from separation.ratings import Event, Store, parse_event
from separation.ratings.sessions import Sessions

RATE, LENGTH = 8000, 800
SECRET = b"s" * 32
ASKS = (
    Ask(name="years-of-music", kind="number", label="Years of music", minimum=0, maximum=99),
    Ask(name="ears-ok", kind="choice", label="Do you hear well?", options=("yes", "no"), required=True),
)
PAGES = (
    Page(kind="consent"),
    Page(kind="demographics", fields=ASKS),
    Page(kind="level"),
    Page(kind="headphones"),
    Page(kind="instructions"),
    Page(kind="training"),
    Page(kind="trials"),
    Page(kind="questionnaire", fields=(Ask(name="remarks-at-end", kind="text", label="Remarks?"),)),
    Page(kind="end", redirect="https://panel.example/done?cc={code}"),
)
SYSTEMS = (
    System(id="wavebox", label="Wavebox Nine", model="wavebox-model"),
    System(id="maskoff", model="maskoff-model"),
)
ANCHORS = (
    Anchor(id="lowanchor", kind="low_pass", cut_hz=1000),
    Anchor(id="midanchor", kind="low_pass", cut_hz=2000),
)
ITEMS = tuple(
    Item(id=name, mixture=f"{name}-mixture.wav", target=f"{name}-target.wav", source="vocals", group=group)
    for name, group in (("riverside", "songofone"), ("mountaintop", "songoftwo"), ("seashore", "songofthree"))
)
QUESTIONS = (
    Question(id="quality-of-all", kind="mushra", references=("target", "mixture")),
    Question(id="which-is-better", kind="ab", conditions=("wavebox", "maskoff"), references=("mixture",), comment=True),
)
EVERY_KIND = tuple(
    Question(id=f"asks-{kind}", kind=kind, conditions=conditions)  # type: ignore[arg-type]
    for kind, conditions in (
        ("mushra", ()),
        ("bs1116", ("wavebox",)),
        ("ab", ("wavebox", "maskoff")),
        ("abx", ("wavebox", "maskoff")),
        ("acr", ("wavebox", "maskoff")),
        ("dcr", ("wavebox", "maskoff")),
        ("ccr", ("wavebox", "maskoff")),
        ("p835", ("wavebox", "maskoff")),
        ("ranking", ("wavebox", "maskoff")),
        ("scale", ("wavebox", "maskoff")),
        ("text", ("wavebox",)),
        ("marks", ("wavebox",)),
    )
)


def small_study(**more: Any) -> Study:
    """Two questions about three items, with every page that there is."""
    given: dict[str, Any] = {
        "name": "small-ears",
        "title": {"en": "Small ears", "de": "Kleine Ohren"},
        "contact": "lab@example.org",
        "languages": ("en", "de"),
        "systems": SYSTEMS,
        "anchors": ANCHORS,
        "items": ITEMS,
        "questions": QUESTIONS,
        "pages": PAGES,
        "assignment": Assignment(listeners=4, repeats=0.0),
        "completion_code": "CODE-OF-ALL-CODES",
    }
    return Study(**(given | more))


def gold(question: str = "quality-of-all") -> Gold:
    """A trial whose right answer must never leave the server."""
    return Gold(item="seashore", question=question, expect={"reference": 91.5, "lowanchor": 13.25}, tolerance=7.75)


def write_study(folder: Path, study: Study) -> Path:
    """A folder as `prepare` leaves it, with noise for every condition of every item."""
    home = folder / study.name
    (home / AUDIO_FOLDER).mkdir(parents=True)
    (home / STUDY_FILE).write_text(dump_study(study), encoding="utf-8")
    random = np.random.default_rng(7)
    stimuli = []
    conditions = ("reference", "mixture", *(one.id for one in (*study.systems, *study.anchors)))
    for item in study.items:
        for condition in conditions:
            pcm = random.integers(-3000, 3000, LENGTH, dtype="<i2").tobytes()
            audio = sha256(pcm).hexdigest()[:22]
            (home / AUDIO_FOLDER / f"{audio}.pcm").write_bytes(pcm)
            found = Stimulus(item.id, condition, audio, -1.2345, -23.4567, 3, 3999.5, sha256(pcm).hexdigest())
            stimuli.append(found)
    items = {item.id: ItemAudio(RATE, 1, LENGTH) for item in study.items}
    prepared = Prepared(study.name, study_hash(study), tuple(stimuli), items, {"wavebox": "weights-of-wavebox"})
    (home / PREPARED_FILE).write_text(json.dumps(prepared.to_json()), encoding="utf-8")
    return home


class Clock:
    """Seconds since 1970, as a test wants them."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class House:
    """An installation with one launched study.

    Args:
        folder: where everything is written.
        study: None for `small_study`.
    """

    def __init__(self, folder: Path, study: Study | None = None, *, listeners: int | None = None) -> None:
        self.study = study or small_study()
        self.clock = Clock()
        self.home = write_study(folder / "studies", self.study)
        self.store = Store(f"sqlite:///{folder / 'ratings.db'}", clock=self.clock)
        self.studies = Studies((folder / "studies",), Sessions(self.store, clock=self.clock), clock=self.clock)
        self.studies.launch(self.study.name, listeners=listeners)
        self.listening = Listening(self.store, self.studies, secret=SECRET)
        self.opened = self.studies.open(self.study.name)


Json = Mapping[str, Any]


def answer_of(field: Mapping[str, Any], page: Json) -> Any:
    """A proper answer to a field of a page."""
    kind = field["kind"]
    if kind == "slider":
        return field["min"] + field["step"] * 3
    if kind == "rank":
        return [each["token"] for each in page["stimuli"]].index(field["of"]) + 1
    if kind == "number":
        return field["min"]
    if kind == "text":
        return "words of a listener"
    if kind == "check":
        return True
    if kind == "marks":
        return [{"start": 0.01, "end": 0.05, "label": field["options"][0]["value"]}]
    first = field["options"][0]["value"]
    return [first] if kind == "choices" else first


def events_of(page: Json, start: int = 0) -> list[dict[str, Any]]:
    """All that a careful listener says and does on a page, as a browser sends it."""
    sounds = [each["token"] for each in (*page["references"], *page["stimuli"])]
    said = [{"kind": "did", "what": "heard", "of": token, "detail": {"seconds": 2.5}} for token in sounds]
    said += [
        {"kind": "given", "field": field["name"], "of": field["of"], "value": answer_of(field, page)}
        for field in page["fields"]
    ]
    return [
        {"id": f"{page['token'][:20]}-{number:04}", "made": 1_700_000_000_000 + number, "payload": payload}
        for number, payload in enumerate(said, start=start)
    ]


def parsed(events: list[dict[str, Any]]) -> list[Event]:
    """The same as the store takes it."""
    return [parse_event(event) for event in events]


def walk(
    listening: Listening, token: str, page: dict[str, Any], *, look: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Take the whole test; returns the last page."""
    while page["kind"] != "end":
        if look is not None:
            look(page)
        if events := events_of(page):
            listening.save(token, page["token"], parsed(events))
        page = listening.go_on(token, page["token"])
    return page
