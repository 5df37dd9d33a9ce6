"""Files of webMUSHRA's (YAML), read as they are, and written where a study can be said in them.

A page with stimuli becomes an item, pages that ask the same become one question, names of stimuli become systems. What works
differently here is told in notes; what cannot be done at all (spatial pages, scales that are not of five) names its page. Paths
stay as they are: webMUSHRA counts them from its own folder, so that is where the study's file belongs.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, NamedTuple

from pydantic import ValidationError

from separation.errors import StudyError
from separation.listening.parts import (
    REFERENCE,
    Anchor,
    Ask,
    Assignment,
    Item,
    Kind,
    Page,
    Question,
    Study,
    System,
    conditions_of,
    items_of,
    pages_of,
    words,
)
from separation.listening.wording import LANGUAGES, words_in
from separation.listening.yaml_lines import Path, dump, load

KINDS: Mapping[str, Kind] = {
    "mushra": "mushra",
    "bs1116": "bs1116",
    "paired_comparison": "abx",
    "likert_single_stimulus": "acr",
    "likert_multi_stimulus": "acr",
}
ANCHORS = {"createAnchor35": ("anchor35", 3500.0), "createAnchor70": ("anchor70", 7000.0)}
_FORMS = {"text": "text", "long_text": "text", "number": "number", "likert": "choice"}


class Converted(NamedTuple):
    """A study made of a file of webMUSHRA's.

    Args:
        study: None if something cannot be done.
        wrong: what cannot be done, by place in the file.
        notes: what works differently here, in sentences.
    """

    study: Study | None
    wrong: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...]


def from_webmushra(text: str) -> Converted:
    """The study in a text of webMUSHRA's. Raises nothing."""
    document = load(text)
    if document.problems or not isinstance(document.data, dict):
        wrong = tuple((path, text) for _, path, text in document.problems) or (((), "it is no list of `field: value`"),)
        return Converted(None, wrong, ())
    return to_study(document.data)


def differences(text: str) -> tuple[str, ...]:
    """What of a file of webMUSHRA's works differently here; nothing of other files."""
    return from_webmushra(text).notes if is_theirs(text) else ()


def is_theirs(text: str) -> bool:
    """Whether a text is a file of webMUSHRA's."""
    data = load(text).data
    return isinstance(data, dict) and is_webmushra(data)


def root_of(file: pathlib.Path, study: Study) -> pathlib.Path:
    """The folder that the paths of a file of webMUSHRA's count from: the nearest one above it that has a sound of the study.

    webMUSHRA's own folder has the file in ``configs/``; where no sound is found, the file's folder.
    """
    sounds = [item.target for item in study.items if item.target]
    sounds += [sound for system in study.systems if isinstance(system.files, dict) for sound in system.files.values()]
    folders = [file.parent, *file.absolute().parent.parents]
    return next((folder for folder in folders if any((folder / sound).is_file() for sound in sounds)), file.parent)


def is_webmushra(data: Mapping[str, Any]) -> bool:
    """Whether a file is one of webMUSHRA's and none of ours."""
    return "format" not in data and "questions" not in data and ("testId" in data or "testname" in data)


def to_study(data: Mapping[str, Any]) -> Converted:
    """The study of a file's data."""
    reading = _Reading()
    pages = data.get("pages")
    if not isinstance(pages, list) or not pages:
        return Converted(None, ((("pages",), "webMUSHRA's file has no list of `pages`"),), ())
    reading.pages(pages, ("pages",))
    if not reading.asked and not reading.wrong:
        reading.wrong.append((("pages",), "no page with stimuli: nothing is asked"))
    if reading.wrong:
        return Converted(None, tuple(reading.wrong), tuple(reading.notes))
    return reading.study(data)


@dataclass
class _Asked:
    """A page with stimuli."""

    item: str
    kind: Kind
    target: str
    stimuli: dict[str, str]
    anchors: tuple[str, ...]
    title: str
    text: str

    def group(self) -> tuple[object, ...]:
        """Pages of the same group are one question."""
        return self.kind, self.anchors, tuple(self.stimuli), self.text


@dataclass
class _Reading:
    """Goes through the pages of a file and collects."""

    asked: list[_Asked] = field(default_factory=list)
    before: list[Page] = field(default_factory=list)
    after: list[Page] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)  # name of a stimulus -> id of a system
    wrong: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shuffled: bool = False

    def pages(self, pages: Sequence[Any], path: Path) -> None:
        for place, page in enumerate(pages):
            at: Path = (*path, place)
            if page == "random" and place == 0:
                self.shuffled = True
            elif isinstance(page, list):
                self.pages(page, at)
            elif isinstance(page, dict):
                self.page(page, at)
            else:
                self.wrong.append((at, f"found {page!r}; a page has fields, or is a list of pages"))

    def page(self, page: Mapping[str, Any], path: Path) -> None:
        kind, name = str(page.get("type")), str(page.get("id") or page.get("name") or "without id")
        if kind in KINDS:
            self.ask(page, path, KINDS[kind])
        elif kind == "finish":
            self.finish(page, path)
        elif kind in ("generic", "volume", "consent"):
            made = {"generic": "instructions", "volume": "level", "consent": "consent"}[kind]
            if any(one.kind == made for one in (*self.before, *self.after)) and made != "instructions":
                self.notes.append(f"page `{name}`: a second {kind} page is left out")
                return
            required = page.get("mustConsent", True) is not False
            self.add(Page.model_validate({"kind": made, **_heading(page), "required": required}), path, name)
        else:
            can = ", ".join([*KINDS, "generic", "volume", "consent", "finish"])
            self.wrong.append((path, f"page `{name}` has the type `{kind}`, which cannot be done here; {can} can"))

    def add(self, page: Page, path: Path, name: str) -> None:
        """A page that asks nothing: before the first that does, or after it, where it comes after the last."""
        if self.asked:
            self.after.append(page)
            self.notes.append(
                f"page `{name}` comes after all trials: here they follow each other without pages between"
            )
        else:
            self.before.append(page)

    def ask(self, page: Mapping[str, Any], path: Path, kind: Kind) -> None:
        name = str(page.get("id") or f"trial-{len(self.asked) + 1}")
        stimuli = page.get("stimuli")
        if not isinstance(stimuli, dict) or not all(isinstance(one, str) for one in stimuli.values()) or not stimuli:
            self.wrong.append((path, f"page `{name}` has no `stimuli` with a file each"))
            return
        if kind == "acr" and not _five(page.get("response")):
            found = f"{len(page['response'])} answers" if isinstance(page.get("response"), list) else "no `response`"
            self.wrong.append((path, f"page `{name}` has a scale of {found}; here a scale has five"))
            return
        if kind != "acr" and not isinstance(page.get("reference"), str):
            self.wrong.append((path, f"page `{name}` has no `reference`"))
            return
        for stimulus in stimuli:
            self.ids.setdefault(stimulus, _free(_slug(stimulus), [*self.ids.values(), "anchor35", "anchor70"]))
        target = str(page.get("reference") or "")
        anchors = tuple(
            id for key, (id, _) in ANCHORS.items() if page.get(key) is True and kind in ("mushra", "bs1116")
        )
        if kind == "mushra" and len(anchors) < 2:
            kind = "scale"
            self.notes.append(
                f"page `{name}`: without both anchors it is not BS.1534; it is asked in the same way as `scale`"
            )
        self.differences(page, name, kind)
        item = _free(_slug(name), [one.item for one in self.asked])
        if item != name:
            self.notes.append(f"page `{name}` is the item `{item}`")
        heading = _heading(page)
        self.asked.append(_Asked(item, kind, target, dict(stimuli), anchors, heading["title"], heading["text"]))

    def differences(self, page: Mapping[str, Any], name: str, kind: Kind) -> None:
        if page.get("randomize") is False:
            self.notes.append(f"page `{name}`: the order of its sounds is balanced here, not fixed")
        if page.get("showConditionNames"):
            self.notes.append(f"page `{name}`: names of conditions are never shown here")
        if kind == "abx":
            unforced = "" if page.get("unforced") is None else "; there is no third answer, who cannot tell guesses"
            self.notes.append(f"page `{name}`: X is the reference or the other here, whichever the lot says{unforced}")
        if kind == "acr":
            self.notes.append(f"page `{name}`: its five answers are ACR's here, from bad (1) to excellent (5)")
        if page.get("type") == "likert_multi_stimulus":
            self.notes.append(f"page `{name}`: its sounds are judged one by one")

    def finish(self, page: Mapping[str, Any], path: Path) -> None:
        asks, questionnaire = [], page.get("questionnaire") or []
        for place, ask in enumerate(questionnaire if isinstance(questionnaire, list) else [questionnaire]):
            made = _ask(ask)
            if made is None:
                self.wrong.append(((*path, "questionnaire", place), "a field of a type that is not known here"))
            else:
                asks.append(made)
        if asks:
            self.after.append(Page(kind="questionnaire", fields=tuple(asks)))
        if page.get("showResults"):
            self.notes.append("results are not shown to listeners")
        self.after.append(Page.model_validate({"kind": "end", **_heading(page)}))

    def study(self, data: Mapping[str, Any]) -> Converted:
        language = str(data.get("language") or "en")
        if language not in LANGUAGES:
            self.notes.append(f"the pages are in English; there are none in `{language}`")
        if not self.shuffled:
            self.notes.append("the order of pages is balanced over listeners here, not fixed")
        if data.get("showButtonPreviousPage"):
            self.notes.append("listeners cannot go back to earlier pages")
        used = [id for id, _ in ANCHORS.values() if any(id in one.anchors for one in self.asked)]
        cuts = dict(ANCHORS.values())
        ends = [page for page in self.after if page.kind == "end"]
        rest = [page for page in self.after if page.kind != "end"]
        try:
            study = Study(
                name=_slug(str(data.get("testId") or data.get("testname"))),
                title=str(data.get("testname") or data.get("testId")),
                languages=(language if language in LANGUAGES else "en",),
                systems=tuple(self.systems()),
                anchors=tuple(Anchor(id=id, kind="low_pass", cut_hz=cuts[id]) for id in used),
                items=tuple(Item(id=one.item, target=one.target) for one in self.asked),
                questions=tuple(self.questions(len(used))),
                pages=(*self.before, Page(kind="trials"), *rest, *ends[-1:]),
                loudness="none",
                assignment=Assignment(repeats=0),
            )
        except ValidationError as error:
            wrong = tuple(((), str(detail["msg"])) for detail in error.errors())
            return Converted(None, wrong, tuple(self.notes))
        return Converted(study, (), tuple(dict.fromkeys(self.notes)))

    def systems(self) -> Iterator[System]:
        for name, id in self.ids.items():
            files = {one.item: one.stimuli[name] for one in self.asked if name in one.stimuli}
            yield System(id=id, label=name, files=files)

    def questions(self, anchors: int) -> Iterator[Question]:
        groups: dict[tuple[object, ...], list[_Asked]] = {}
        for one in self.asked:
            groups.setdefault(one.group(), []).append(one)
        ids: list[str] = []
        for group in groups.values():
            first, titles = group[0], {one.title for one in group}
            ids.append(_free(first.kind, ids))
            named = tuple(self.ids[name] for name in first.stimuli)
            closed = () if first.kind == "acr" else (REFERENCE,)
            yield Question(
                id=ids[-1],
                kind=first.kind,
                title=titles.pop() if len(titles) == 1 else "",
                text=first.text,
                conditions=(*((REFERENCE,) if first.kind == "abx" else ()), *named, *first.anchors)
                + (closed if first.kind != "abx" else ()),
                items=() if len(groups) == 1 else tuple(one.item for one in group),
            )


def to_webmushra(study: Study) -> str:
    """webMUSHRA's YAML of a study; what is lost in it is said in comments on top.

    Raises `StudyError` with all that would make it another test: kinds of question, anchors or models that webMUSHRA does not
    have, items that are parts of files.
    """
    wrong = list(_unsayable(study))
    if wrong:
        advice = "Change this, or keep the study here: its results can be exported in webMUSHRA's CSV all the same"
        raise StudyError(f"Write {study.name} for webMUSHRA", "; ".join(wrong), advice)
    language = study.languages[0]
    trials = [page for question in study.questions for page in _pages_of_question(study, question, language)]
    pages: list[Any] = []
    for page in pages_of(study):
        if page.kind == "trials":
            pages.append(["random", *trials])
        elif page.kind in ("consent", "instructions", "level"):
            pages.append(_plain_page(page, language, trials))
    pages.append(_finish(study, language))
    data = {
        "testname": words(study.title, language),
        "testId": study.name,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
        "language": language,
        "pages": pages,
    }
    return "".join(f"# {line}\n" for line in _lost(study)) + dump(data)


def _unsayable(study: Study) -> Iterator[str]:
    for system in study.systems:
        if system.model:
            yield f"system `{system.id}` is a model; webMUSHRA needs files"
    for anchor in study.anchors:
        if anchor.kind != "low_pass" or (anchor.cut_hz or 3500.0) not in (3500.0, 7000.0):
            yield f"anchor `{anchor.id}` is none of webMUSHRA's, which are low-passed at 3500 and 7000 Hz"
    for item in study.items:
        if item.start or item.duration is not None:
            yield f"item `{item.id}` is a part of its files; webMUSHRA plays whole files"
    for question in study.questions:
        kind = question.kind
        if kind not in ("mushra", "scale", "bs1116", "abx", "acr"):
            yield f"question `{question.id}` is of kind `{kind}`, which webMUSHRA does not have"
        elif kind != "acr" and any(
            REFERENCE not in conditions_of(study, question, item) for item in items_of(study, question)
        ):
            yield f"question `{question.id}` has no reference among its conditions; webMUSHRA always has"


def _lost(study: Study) -> Iterator[str]:
    assignment = study.assignment
    if assignment != Assignment(repeats=0):
        yield "Lost: who gets what (repeats, subsets, balance). webMUSHRA shows all pages to everybody in random order."
    if study.gold:
        yield "Lost: gold trials."
    if study.loudness != "none":
        yield "Lost: matched loudness. The files are played as they are."
    if len(study.languages) > 1:
        yield f"Lost: {', '.join(study.languages[1:])}."
    left = sorted({page.kind for page in pages_of(study)} & {"headphones", "training", "demographics"})
    if left:
        yield f"Lost: pages of kind {', '.join(left)}."
    if any(ask.kind in ("check", "choices") for page in study.pages for ask in page.fields):
        yield "Lost: ticks and choices of several in the questionnaire."


def _pages_of_question(study: Study, question: Question, language: str) -> Iterator[dict[str, Any]]:
    say = words_in(language)
    title = words(question.title, language) or say(f"{question.kind}.title")
    text = words(question.text, language) or say(f"{question.kind}.text")
    kind = {"scale": "mushra", "abx": "paired_comparison", "acr": "likert_single_stimulus"}.get(
        question.kind, question.kind
    )
    cuts = {anchor.id: anchor.cut_hz or 3500.0 for anchor in study.anchors}
    systems = {system.id: system for system in study.systems}
    elsewhere = {item.id for other in study.questions if other is not question for item in items_of(study, other)}
    for item in items_of(study, question):
        conditions = conditions_of(study, question, item)
        page: dict[str, Any] = {
            "type": kind,
            "id": f"{question.id}-{item.id}" if item.id in elsewhere else item.id,
            "name": title,
            "content": _html(text),
        }
        if question.kind in ("mushra", "scale", "bs1116"):
            here = {cuts[one] for one in conditions if one in cuts}
            page |= {"showWaveform": question.views, "enableLooping": True, "strict": question.kind == "mushra"}
            page |= {"reference": item.target} | {key: cut in here for key, (_, cut) in ANCHORS.items()}
        elif question.kind == "abx":
            page |= {"showWaveform": question.views, "enableLooping": True, "reference": item.target}
        else:
            page |= {"mustRate": True, "mustPlayback": "processUpdate" if question.must_play else False}
            page["response"] = [{"value": value, "label": say(f"quality.{value}")} for value in range(1, 6)]
        judged = [systems[one] for one in conditions if one in systems]
        page["stimuli"] = {system.label or system.id: _file(system, item) for system in judged}
        yield page


def _file(system: System, item: Item) -> str:
    return system.files[item.id] if isinstance(system.files, dict) else system.files.replace("{item}", item.id)


def _plain_page(page: Page, language: str, trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    say = words_in(language)
    made: dict[str, Any] = {
        "type": {"consent": "consent", "instructions": "generic", "level": "volume"}[page.kind],
        "id": page.kind,
        "name": words(page.title, language) or say(f"{page.kind}.title"),
        "content": _html(words(page.text, language) or say(f"{page.kind}.text")),
    }
    if page.kind == "level":
        first = trials[0]
        made |= {"stimulus": first.get("reference") or next(iter(first["stimuli"].values())), "defaultVolume": 0.5}
    return made | ({"mustConsent": page.required} if page.kind == "consent" else {})


def _finish(study: Study, language: str) -> dict[str, Any]:
    end, say = pages_of(study)[-1], words_in(language)
    types = {"choice": "likert", "number": "number", "text": "long_text"}
    asks = []
    for ask in (ask for page in study.pages for ask in page.fields if ask.kind in types):
        made: dict[str, Any] = {"type": types[ask.kind], "name": ask.name, "label": words(ask.label, language)}
        made |= {"optional": not ask.required}
        made |= {key: value for key, value in (("min", ask.minimum), ("max", ask.maximum)) if value is not None}
        if ask.options:
            options = [(words(one, ""), words(one, language)) for one in ask.options]
            made["response"] = [{"value": value, "label": label} for value, label in options]
        asks.append(made)
    heading = {"name": words(end.title, language) or say("end.title"), "content": _html(words(end.text, language))}
    questions = {"questionnaire": asks} if asks else {}
    return {"type": "finish", **heading, "showResults": False, "writeResults": True, **questions}


def _ask(data: Any) -> Ask | None:
    kind = _FORMS.get(str(data.get("type"))) if isinstance(data, dict) else None
    if kind is None:
        return None
    response = data.get("response")
    options = [one for one in response if isinstance(one, dict)] if isinstance(response, list) else []
    found = {
        "name": _slug(str(data.get("name") or data.get("label"))),
        "kind": kind,
        "label": str(data.get("label") or data.get("name")),
        "options": [str(one.get("label") or one.get("value")) for one in options] if kind == "choice" else [],
        "required": data.get("optional") is False,
        "minimum": data.get("min") if kind == "number" else None,
        "maximum": data.get("max") if kind == "number" else None,
    }
    try:
        return Ask.model_validate(found)
    except ValidationError:
        return None


def _five(response: Any) -> bool:
    return isinstance(response, list) and len(response) == 5


def _heading(page: Mapping[str, Any]) -> dict[str, str]:
    return {"title": _text(page.get("name")), "text": _text(page.get("content"))}


def _slug(name: str) -> str:
    """
    >>> _slug("Trial 1"), _slug("C1"), _slug("é")
    ('trial-1', 'c1', 'x')
    """
    made = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "-" for one in name.lower())
    return made.strip("-_")[:60].rstrip("-_") or "x"


def _free(id: str, taken: Sequence[str]) -> str:
    """The id, with a number behind it if it is taken or means something."""
    number, made = 2, id
    while made in (*taken, REFERENCE, "mixture"):
        made, number = f"{id}-{number}", number + 1
    return made


class _Plain(HTMLParser):
    """The text of HTML: paragraphs are parted by empty lines."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append({"br": "\n", "li": "\n- ", "p": "\n\n", "div": "\n\n", "ul": "\n", "h1": "\n\n"}.get(tag, ""))

    def handle_endtag(self, tag: str) -> None:
        self.parts.append({"p": "\n\n", "div": "\n\n", "ul": "\n\n", "h1": "\n\n"}.get(tag, ""))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def _text(html: object) -> str:
    """
    >>> _text("<p>Please <b>listen</b>.</p><p>Then rate.</p>")
    'Please listen.\\n\\nThen rate.'
    """
    plain = _Plain()
    plain.feed(" ".join(str(html or "").split()))
    plain.close()
    lines = [" ".join(line.split()) for line in "".join(plain.parts).splitlines()]
    return "\n".join(line for place, line in enumerate(lines) if line or (place and lines[place - 1])).strip()


def _html(text: str) -> str:
    """Paragraphs of HTML of a text."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    parts = [part.strip().replace("\n", "<br>") for part in safe.split("\n\n") if part.strip()]
    return "".join(f"<p>{part}</p>" for part in parts)
