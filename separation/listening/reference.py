"""The reference of the study file (docs/study-file.md), made from the records themselves, so that it cannot be behind them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from separation.listening.parts import (
    Anchor,
    Ask,
    Assignment,
    Gold,
    Item,
    Kind,
    Page,
    Question,
    Screening,
    Study,
    System,
)

TITLE = "# The study file, field by field"
INTRODUCTION = """A study is one YAML file. `earshot study check` reads it and says, line by line, what does not fit. A file of
webMUSHRA's can be given as it is. [studies.md](studies.md) is the way from nothing to a launched test.

Ids (of systems, anchors, items, questions, fields) have small letters, digits, `-` and `_`, at most 64 of them. Texts for
listeners are one text, or one a language, as the title in the example; an empty line parts paragraphs. `no` and `0012` are
words, not truth and number."""
EXAMPLE = """format: earshot-study/1
name: vocals-2026
title:
  en: How good are these voices?
  de: Wie gut sind diese Stimmen?
languages: [en, de]
seed: 7
systems:
  - {id: ours, model: vocals}
  - {id: theirs, label: "Theirs, 2025", files: "theirs/{item}.wav"}
anchors:
  - {id: low, kind: low_pass, cut_hz: 3500}
  - {id: mid, kind: low_pass, cut_hz: 7000}
items:
  - {id: song1, mixture: mixtures/1.wav, target: vocals/1.wav, source: vocals, start: 30, duration: 10, group: singer-a}
  - {id: song2, mixture: mixtures/2.wav, target: vocals/2.wav, source: vocals, start: 12, duration: 10, group: singer-b}
questions:
  - {id: quality, kind: mushra}
  - {id: bleed, kind: scale, attribute: others, references: [target, mixture]}
assignment: {design: williams, listeners: 20}
screening:
  - {rule: hidden-reference}
"""
KINDS: Mapping[Kind, tuple[str, str, str]] = {
    "mushra": (
        "all at once",
        "0 to 100 against the open target, hidden reference and low-passed anchors among them",
        "BS.1534-3",
    ),
    "scale": ("all at once", "0 to 100, one attribute a question, target and mixture open", "PEASS, CAQE"),
    "ranking": ("all at once", "a place for each, 1 the best", ""),
    "bs1116": ("a system and the hidden reference", "1.0 to 5.0 in 41 steps; one of them gets 5.0", "BS.1116-3"),
    "ab": ("pairs", "which one; also no difference, both are bad", ""),
    "abx": ("pairs, with the reference where it is among the conditions", "which one X is", ""),
    "ccr": (
        "pairs, with the reference where it is among the conditions",
        "−3 to 3: the second against the first, order by turns",
        "P.808",
    ),
    "acr": ("one", "1 to 5, bad to excellent", "P.808"),
    "dcr": ("one, after the open target", "1 to 5, how annoying the difference is", "P.808"),
    "p835": ("one", "1 to 5 for speech, background and all; the first two change places between listeners", "P.835"),
    "text": ("one", "words", ""),
    "marks": ("one", "regions of the waveform, each with what is wrong there", ""),
}
"""Of each kind: what a page shows, what is answered, and whose it is."""
PARTS: Mapping[str, type[BaseModel]] = {
    "The file": Study,
    "systems": System,
    "anchors": Anchor,
    "items": Item,
    "questions": Question,
    "pages": Page,
    "fields of a page": Ask,
    "assignment": Assignment,
    "gold": Gold,
    "screening": Screening,
}
_REFERENCES = {
    f"#/$defs/{part.__name__}": f"[{title}](#{title.lower().replace(' ', '-')})" for title, part in PARTS.items()
}


def reference() -> str:
    """The page, in Markdown."""
    sections = [TITLE, INTRODUCTION, "## An example", f"```yaml\n{EXAMPLE}```", "## Kinds of question", _kinds()]
    for title, part in PARTS.items():
        sections += [f"## {title}", " ".join((part.__doc__ or "").split()), "\n".join(_table(part))]
    return "\n\n".join(sections) + "\n"


def _kinds() -> str:
    rows = [f"| `{kind}` | {shows} | {asked} | {source} |" for kind, (shows, asked, source) in KINDS.items()]
    return "\n".join(["| kind | a page shows | the answer | after |", "|---|---|---|---|", *rows])


def _table(part: type[BaseModel]) -> Iterator[str]:
    schema = part.model_json_schema()
    yield "| field | what it can be | without it | what it is |"
    yield "|---|---|---|---|"
    for name, field in schema["properties"].items():
        default = "needed" if name in schema.get("required", ()) else _default(field.get("default"))
        about = " ".join(field.get("description", "").split())
        yield f"| `{name}` | {_type(field)} | {default} | {about} |"


def _default(value: Any) -> str:
    if value in (None, "", [], {}) and value is not False:
        return "empty"
    if isinstance(value, dict):
        return "as below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return (
        f"`{', '.join(value)}`"
        if isinstance(value, list)
        else f"`{value:g}`"
        if isinstance(value, float)
        else f"`{value}`"
    )


def _type(field: Mapping[str, Any]) -> str:
    """The type of a JSON schema in words."""
    if "$ref" in field:
        return _REFERENCES[field["$ref"]]
    if "enum" in field or "const" in field:
        return ", ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        kinds = [_type(one) for one in field["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = field.get("type")
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if kind == "object":
        inside = field.get("additionalProperties")
        return f"name: {_type(inside)}" if isinstance(inside, dict) else "fields"
    return _NAMES.get(str(kind), str(kind)) + _limits(field) if "pattern" not in field else _pattern(field["pattern"])


_NAMES = {"string": "text", "number": "number", "integer": "whole number", "boolean": "`true` or `false`"}


def _pattern(pattern: str) -> str:
    return "address" if "http" in pattern else "id"


def _limits(field: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    said = [f"{word} {field[key]:g}" for key, word in words.items() if key in field and abs(field[key]) < 2**62]
    return f", {' and '.join(said)}" if said else ""
