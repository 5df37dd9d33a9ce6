"""The kinds of question: which fields a page shows, what is a proper answer, and the rows that are kept of it.

Values travel as the field's kind has them: a number for sliders and scales, an option's value for choices, 1 for the best place
of a ranking, a list of ``{start, end, label}`` in seconds for marks. What was not touched was not given, and has no row. Pages
do not force a grade: that the hidden reference should get 100 is an instruction (BS.1534-3, attachment 1), not a rule here.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from separation.listening.answers import Answer
from separation.listening.parts import Ask, Question, Study, Text, words
from separation.listening.planned import Planned
from separation.listening.scales import P835, SCALES
from separation.ratings.records import LABELS

FieldKind = Literal["slider", "scale", "choice", "choices", "text", "number", "check", "rank", "marks"]
WordsOf = Callable[[str], str]
"""The words of an interface text by its key (`wording.words_in`)."""
Given = Mapping[tuple[str, int | None], Any]
"""What was given: (name of the field, position of the stimulus on the page from 0 or None) -> value."""
LONGEST_TEXT = 4000  # characters
MOST_MARKS = 200
LONGEST_SOUND = 86_400.0  # seconds


class Option(NamedTuple):
    value: str | int | float
    label: str


@dataclass(frozen=True)
class Field:
    """A thing to fill in, as the page's JSON has it (`dataclasses.asdict`).

    Args:
        name: unique on the page together with `of`.
        of: token of the stimulus it is about; None: the page.
        kind: a slider (`min`, `max`, `step`, `bands`), a scale or choice among `options`, and so on.
        label: what is asked.
        help: more of it.
        min, max, step: of numbers.
        bands: words of equal parts of the scale, from the lowest up.
        options: what can be chosen, as it is listed.
        required: the page cannot be left without.
    """

    name: str
    of: str | None
    kind: FieldKind
    label: str
    help: str = ""
    min: float | None = None
    max: float | None = None
    step: float | None = None
    bands: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    required: bool = True


class Fault(NamedTuple):
    """Why an answer is not one yet."""

    field: str
    position: int | None
    text: str


@dataclass(frozen=True)
class Behaviour:
    """What the listener did on a page; `played` (seconds) and `moved` are by position of the stimulus."""

    seconds: float = 0.0
    played: tuple[float, ...] = ()
    moved: tuple[bool, ...] = ()
    switches: int = 0


def fields_of(
    question: Question,
    stimuli: Sequence[str],
    words_of: WordsOf,
    language: str = "en",
    *,
    order: Sequence[str] = (),
) -> tuple[Field, ...]:
    """The fields of a trial's page.

    Args:
        question: what is asked. Its own title, if it has one, is the label of what is judged.
        stimuli: tokens in the order of the page; of a pair the left or first one first.
        words_of: the default words in the language of the page.
        language: of the page, for the question's own words.
        order: `Planned.fields`.
    """
    fields = _judged(question, stimuli, words_of, order)
    if question.title and question.kind != "p835":
        fields = [replace(field, label=words(question.title, language)) for field in fields]
    if question.marks and question.kind != "marks":
        fields += [_marks(token, words_of) for token in stimuli]
    if question.comment:
        fields.append(Field("comment", None, "text", words_of("comment"), required=False))
    return tuple(fields)


def _judged(question: Question, stimuli: Sequence[str], say: WordsOf, order: Sequence[str]) -> list[Field]:
    kind, name = question.kind, question.attribute
    if kind in ("mushra", "scale", "bs1116"):
        low, high = SCALES[kind]
        bands = _steps("impairment" if kind == "bs1116" else "quality", say)
        step = 0.1 if kind == "bs1116" else 1.0
        return [
            Field(name, of, "slider", say(name), "", low, high, step, bands, required=question.must_move)
            for of in stimuli
        ]
    if kind == "ranking":
        label = say(f"ranking.{name}")
        return [Field("rank", of, "rank", label, say("place"), 1, len(stimuli), 1) for of in stimuli]
    if kind == "ab":
        values = ["left", *["tie"] * question.tie, "right", *["both_bad"] * question.both_bad]
        return [Field("preference", None, "choice", say(f"ab.{name}"), options=_options("ab", values, say))]
    if kind == "abx":
        return [Field("x", None, "choice", say("abx.title"), options=_options("abx", ["a", "b"], say))]
    if kind == "ccr":
        options = _options("ccr", range(3, -4, -1), say)
        return [Field("comparison", None, "scale", say("ccr.label"), "", -3, 3, 1, options=options)]
    of = stimuli[0]
    if kind == "text":
        return [Field("words", of, "text", say("words"))]
    if kind == "marks":
        return [_marks(of, say)]
    if kind == "p835":
        scales = {"sig": "sig", "bak": "bak", "ovrl": "quality"}
        return [_five(each, of, say(each), scales[each], say) for each in order or P835]
    return [_five(name, of, say(name), "quality" if kind == "acr" else "impairment", say)]


def _five(name: str, of: str, label: str, scale: str, say: WordsOf) -> Field:
    return Field(name, of, "scale", label, "", 1, 5, 1, options=_options(scale, range(5, 0, -1), say))


def _marks(of: str, say: WordsOf) -> Field:
    return Field("marks", of, "marks", say("marks"), options=_options("mark", LABELS, say), required=False)


def _steps(scale: str, say: WordsOf) -> tuple[str, ...]:
    return tuple(say(f"{scale}.{value}") for value in range(1, 6))


def _options(scale: str, values: Sequence[str] | range, say: WordsOf) -> tuple[Option, ...]:
    return tuple(Option(value, say(f"{scale}.{value}")) for value in values)


def problems(question: Question, planned: Planned, given: Given) -> list[Fault]:
    """What is missing or impossible in an answer; empty if it can be taken."""
    fields = _fields(question, planned)
    faults = _faults(fields, given)
    if question.kind == "ranking" and not faults:
        places = {given[field.name, _place(field)] for field in fields if field.kind == "rank"}
        if len(places) < len(planned.conditions):
            all = ", ".join(str(place) for place in range(1, len(planned.conditions) + 1))
            faults.append(Fault("rank", None, f"every sound needs a place of its own: {all}"))
    return faults


def answers_of(
    study: Study,
    planned: Planned,
    given: Given,
    *,
    listener: str,
    index: int,
    made: float,
    behaviour: Behaviour | None = None,
) -> list[Answer]:
    """The rows of one trial: one a field that was given, in the order of the page.

    A remark has the attribute ``comment``, marks beside another answer have ``marks`` (JSON in `text`; ``[]`` if a question of
    kind ``marks`` was left empty). Of pairs the row is about the left or first one; ccr is turned round, because the page asks
    for the second. An expected text gives a value of 1 or 0 beside the words.

    Args:
        study, planned, given: what was asked and answered, free of `problems`.
        listener, index, made: as in `Answer`.
        behaviour: what the listener did meanwhile.
    """
    did, question, item = behaviour or Behaviour(), study.question(planned.question), study.item(planned.item)
    rows = []
    for field in _fields(question, planned):
        value = given.get(
            (field.name, _place(field)), [] if question.kind == "marks" and field.name == "marks" else None
        )
        if value is None:
            continue
        place = _place(field)
        about = field.name != "comment"
        condition = planned.conditions[place or 0] if about else ""
        other = planned.conditions[1] if about and place is None else ""
        number, text = _value(question, planned, field, value)
        expected = planned.expected.get(condition) if about and field.name != "marks" else None
        if about and question.kind == "text" and "" in planned.expected:
            number, expected = float(_same(value, planned.expected[""])), 1.0
        rows.append(
            Answer(
                listener, planned.id, index, question.id, question.kind, item.id, item.group or item.id,
                question.attribute if field.name in ("preference", "x", "comparison", "rank", "words") else field.name,
                condition, other, number, text, place or 0, planned.purpose, planned.repeat_of,
                None if isinstance(expected, str) else expected, planned.tolerance, did.seconds,
                _at(did.played, place or 0, 0.0), did.switches, _at(did.moved, place or 0, True), made,
            )
        )  # fmt: skip
    return rows


def _value(question: Question, planned: Planned, field: Field, value: Any) -> tuple[float | None, str | None]:
    if field.kind == "marks":
        return None, json.dumps(value, ensure_ascii=False, sort_keys=True)
    if field.kind == "text":
        return None, str(value)
    if question.kind == "ab":
        return {"left": 1.0, "tie": 0.0, "right": -1.0}.get(value), "both_bad" if value == "both_bad" else None
    if question.kind == "abx":
        return float("ab".index(value) == planned.x), None
    return 0.0 - value if question.kind == "ccr" else float(value), None


def _same(words: str, expected: float | str) -> bool:
    return " ".join(words.split()).casefold() == " ".join(str(expected).split()).casefold()


def _at(values: Sequence[Any], place: int, otherwise: Any) -> Any:
    return values[place] if place < len(values) else otherwise


def fields_of_form(asks: Sequence[Ask], language: str) -> tuple[Field, ...]:
    """The fields of a demographics or questionnaire page. An option's value is its text as it stands first in the file."""
    return tuple(
        Field(
            ask.name,
            None,
            ask.kind,
            words(ask.label, language),
            min=ask.minimum,
            max=ask.maximum,
            options=tuple(Option(_first(option), words(option, language)) for option in ask.options),
            required=ask.required,
        )
        for ask in asks
    )


def _first(text: Text) -> str:
    return text if isinstance(text, str) else next(iter(text.values()))


def problems_of_form(asks: Sequence[Ask], given: Given) -> list[Fault]:
    """What is missing or impossible in a form."""
    return _faults(fields_of_form(asks, ""), given)


def _fields(question: Question, planned: Planned) -> tuple[Field, ...]:
    """The fields with positions for tokens and keys for words."""
    return fields_of(question, [str(place) for place in range(len(planned.conditions))], str, order=planned.fields)


def _place(field: Field) -> int | None:
    return None if field.of is None else int(field.of)


def _faults(fields: Sequence[Field], given: Given) -> list[Fault]:
    faults = []
    known = {(field.name, _place(field)): field for field in fields}
    for at, field in known.items():
        value = given.get(at)
        empty = value is False or value == "" or value == []
        if value is None or (empty and field.required):
            found = "an answer is needed" if field.required else None
        else:
            found = _fault(field, value)
        if found:
            faults.append(Fault(*at, found))
    return faults + [Fault(*at, "the page does not ask for it") for at in given if at not in known]


def _fault(field: Field, value: Any) -> str | None:
    """Why a value is none of the field's; None if it is."""
    if field.kind in ("slider", "number", "rank"):
        return _fault_of_number(field, value)
    if field.kind == "check":
        return None if isinstance(value, bool) else f"found {value!r}; it is ticked or not"
    if field.kind == "text":
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            return f"it should be words, at most {LONGEST_TEXT} characters"
        return "an answer is needed" if field.required and not value.strip() else None
    if field.kind == "marks":
        return _fault_of_marks(field, value)
    chosen, values = value if field.kind == "choices" else [value], [option.value for option in field.options]
    if not isinstance(chosen, list) or any(isinstance(one, bool) or one not in values for one in chosen):
        return f"found {value!r}; it can be {', '.join(str(each) for each in values)}"
    return "an option was chosen twice" if len(chosen) > len({*chosen}) else None


def _fault_of_number(field: Field, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"found {value!r}; it should be a number"
    low, high = -math.inf if field.min is None else field.min, math.inf if field.max is None else field.max
    if not low <= value <= high:
        return f"found {value:g}; it should lie between {low:g} and {high:g}"
    steps = (value - low) / field.step if field.step else 0.0
    return None if abs(steps - round(steps)) < 1e-6 else f"found {value:g}; it moves in steps of {field.step:g}"


def _fault_of_marks(field: Field, value: Any) -> str | None:
    labels = [option.value for option in field.options]
    if not isinstance(value, list) or len(value) > MOST_MARKS:
        return f"it should be a list of at most {MOST_MARKS} marks"
    for mark in value:
        if not isinstance(mark, dict) or set(mark) != {"start", "end", "label"} or mark["label"] not in labels:
            return f"a mark has start, end and a label: {', '.join(str(label) for label in labels)}"
        times = [mark["start"], mark["end"]]
        if any(isinstance(time, bool) or not isinstance(time, int | float) for time in times):
            return "start and end of a mark are seconds"
        if not 0 <= times[0] < times[1] <= LONGEST_SOUND:
            return f"a mark from {times[0]:g} to {times[1]:g} s; it should end after it begins"
    return None
