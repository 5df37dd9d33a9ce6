"""A study: the YAML file that says what is asked about which recordings, of whom, in which order.

Written by a person or by the page's form, never changed by a program once listeners have come: results name its hash. What it
is made of is in `parts`, what must fit together in `rules`; a file of webMUSHRA's is understood too (`webmushra`). It reads no
audio: `checks` does, once the audio is made.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from separation.errors import StudyError
from separation.listening import yaml_lines
from separation.listening.parts import (
    KINDS,
    MIXTURE,
    REFERENCE,
    Anchor,
    Ask,
    Assignment,
    Gold,
    Item,
    Kind,
    Page,
    Question,
    Screening,
    Slug,
    Study,
    System,
    Text,
    conditions_of,
    items_of,
    pages_of,
    references_of,
    words,
)
from separation.listening.rules import inconsistencies
from separation.listening.webmushra import is_webmushra, to_study

__all__ = [
    "KINDS", "MIXTURE", "REFERENCE", "Anchor", "Ask", "Assignment", "Gold", "Item", "Kind", "Page", "Problem", "Question",
    "Screening", "Slug", "Study", "System", "Text", "conditions_of", "dump_study", "examine", "items_of", "pages_of",
    "parse_study", "read_study", "references_of", "study_hash", "words",
]  # fmt: skip
MOST_SHOWN = 20
_PARTS: Mapping[str, type[BaseModel]] = {
    "systems": System,
    "anchors": Anchor,
    "items": Item,
    "questions": Question,
    "pages": Page,
    "fields": Ask,
    "assignment": Assignment,
    "gold": Gold,
    "screening": Screening,
}


class Problem(NamedTuple):
    """What is wrong with a study's file.

    Args:
        line: of the text, from 1; None where it concerns no line.
        where: which part, e.g. ``questions[0].kind``; "" for the whole.
        text: what was found and what to do.
    """

    line: int | None
    where: str
    text: str


def read_study(path: Path) -> Study:
    """The study in a file. Raises `StudyError` with every problem and its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror or str(error) if isinstance(error, OSError) else f"it is not UTF-8: {error}"
        raise StudyError(f"Read the study {path}", found, "Give the path of a study file, saved as UTF-8") from error
    return parse_study(text, name=path.name)


def parse_study(text: str, *, name: str = "") -> Study:
    """The study in a text; `name` is what messages call it. Raises `StudyError` with every problem and its line."""
    study, problems = examine(text)
    if study is None or problems:
        shown = [f"line {line}: {text}" if line else text for line, _, text in problems[:MOST_SHOWN]]
        more = [f"and {len(problems) - MOST_SHOWN} more problems"] if len(problems) > MOST_SHOWN else []
        advice = (
            f"Correct {'this line' if len(problems) == 1 else 'these lines'}; docs/study-file.md describes every field"
        )
        raise StudyError(f"Read the study {name}".strip(), "; ".join(shown + more), advice)
    return study


def examine(text: str) -> tuple[Study | None, list[Problem]]:
    """The study if the text is one, and all that is wrong with it, by line. Raises nothing.

    A study with problems is given too if its parts can be understood, so that a form can show what is there.
    """
    document = yaml_lines.load(text)
    if document.problems:
        return None, [Problem(line, yaml_lines.path_text(path), text) for line, path, text in document.problems]
    if not isinstance(document.data, dict):
        return None, [Problem(None, "", "it is empty" if document.data is None else "it is no list of `field: value`")]
    if is_webmushra(document.data):
        return _of_webmushra(document)
    try:
        study = Study.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        inner = [detail for detail in details if not _follows(detail, details)]
        return None, sorted({_problem(document, detail) for detail in inner}, key=_by_line)
    found = {Problem(document.line(path), yaml_lines.path_text(path), text) for path, text in inconsistencies(study)}
    return study, sorted(found, key=_by_line)


def dump_study(study: Study) -> str:
    """The YAML of a study, without what goes without saying: ``parse_study(dump_study(s)) == s``."""
    return yaml_lines.dump(_plain(_said(study)))


def study_hash(study: Study) -> str:
    """SHA-256 of what a study says, whatever its file looks like; results name it."""
    said = json.dumps(_said(study), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def _said(study: Study) -> dict[str, Any]:
    return {"format": study.format, **study.model_dump(mode="json", exclude_defaults=True)}


def _plain(value: Any) -> Any:
    """Whole numbers without a point, as people write them."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _of_webmushra(document: yaml_lines.Document) -> tuple[Study | None, list[Problem]]:
    study, wrong, _ = to_study(document.data)
    found = [Problem(document.line(path), yaml_lines.path_text(path), text) for path, text in wrong]
    if study is not None:
        found += [Problem(None, yaml_lines.path_text(path), text) for path, text in inconsistencies(study)]
    return study, sorted(found, key=_by_line)


def _by_line(problem: Problem) -> tuple[int, str, str]:
    return problem.line or 0, problem.where, problem.text


def _follows(detail: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is only too short because its entries are wrong."""
    return detail["type"] == "too_short" and any(
        len(one["loc"]) > len(detail["loc"]) and one["loc"][: len(detail["loc"])] == detail["loc"] for one in details
    )


def _problem(document: yaml_lines.Document, detail: Mapping[str, Any]) -> Problem:
    """One of pydantic's errors in our words. Behind a path of the file it names members of unions, which are left out."""
    location: tuple[str | int, ...] = tuple(detail["loc"])
    path = next(location[:end] for end in range(len(location), -1, -1) if location[:end] in document.lines)
    line = document.line(path)
    if detail["type"] == "missing":
        where = yaml_lines.path_text(path)
        return Problem(line, where, f"`{location[-1]}` is missing" + (f" in {where}" if where else ""))
    return Problem(line, yaml_lines.path_text(path), _wrong(location, path, detail))


def _wrong(location: tuple[str | int, ...], path: tuple[str | int, ...], detail: Mapping[str, Any]) -> str:
    name, kind, found = path[-1] if path else "", detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return _unknown_field(location)
    if len(location) > len(path) and not isinstance(found, dict | list):
        return f"`{name}` should be words, {_short(found)} is not; put it in quotes"
    if kind == "string_type":
        quotes = "; put it in quotes" if isinstance(found, int | float) else ""
        return f"`{name}` should be words, found {_short(found)}{quotes}"
    if kind == "string_pattern_mismatch" and name == "redirect":
        return f"`redirect` should be an address that begins with https://, found {_short(found)}"
    if kind == "string_pattern_mismatch":
        return f"found {_short(found)}; an id has small letters, digits, - and _ (at most 64), and no - or _ in front"
    if kind == "literal_error":
        near = difflib.get_close_matches(str(found), _options(detail), n=1)
        hint = f"is {near[0]} meant?" if near else f"it can be {detail['ctx']['expected']}"
        return f"`{name}` is {_short(found)}; {hint}"
    if kind in ("tuple_type", "list_type"):
        return f"`{name}` should be a list, found {_short(found)}; write each entry on a line that begins with -"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"`{name}` should be fields with values, found {_short(found)}"
    message = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"`{name}` {message[:1].lower()}{message[1:]}, found {_short(found)}"


def _options(detail: Mapping[str, Any]) -> list[str]:
    return [option.strip("' ") for option in detail["ctx"]["expected"].replace(" or ", ",").split(",")]


def _unknown_field(location: tuple[str | int, ...]) -> str:
    owner = next((_PARTS[part] for part in reversed(location[:-1]) if isinstance(part, str) and part in _PARTS), Study)
    allowed = sorted(owner.model_fields)
    near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    hint = f"is `{near[0]}` meant?" if near else f"there are {', '.join(allowed)}"
    return f"`{location[-1]}` is no field here; {hint}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
