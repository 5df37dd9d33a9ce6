"""What a listener's page shows: drawn once when it is served, told as JSON whenever it is asked for.

`steps` lays a study and a slot out as pages; `draw` makes what is kept of a page that is served (`Trial.served`): which
sounds are on it, under tokens that were drawn for this page alone; `told` is what the listener's browser gets of it. Only
`told` leaves the server, and of a sound it knows its token and its length: no condition, item, file, gain, or right answer.

    {token, kind, layout, index, of, title, text, language, languages, audio {sample_rate, channels, length} | null,
     references [{token, role}], stimuli [{token, label}], fields [Field], rules {…}, given {"FIELD TOKEN" | "FIELD": value},
     study {title, contact}, code | null, redirect | null}

It plays nothing, saves nothing and knows no browser: `sessions` keeps, `ui.listen_routes` answers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, NamedTuple

import separation
from separation.listening import headphones
from separation.listening.parts import MIXTURE, REFERENCE, Item, Page, Question, Study, pages_of, references_of, words
from separation.listening.plans import Planned, Slot
from separation.listening.prepared import Prepared
from separation.listening.questions import (
    Fault,
    Field,
    Option,
    fields_of,
    fields_of_form,
    problems,
    problems_of_form,
)
from separation.listening.wording import words_in
from separation.ratings.records import Did, Event, Given

Stands = Mapping[tuple[str, str | None], Any]
"""What stands on a page: (name of the field, token or None) -> value."""

MIN_LOOP, FADE = 0.5, 0.005
"""Seconds: the shortest loop, and of the fades at its ends and between sounds (BS.1534-3, pp. 8 and 9)."""
LAYOUTS = {"ab": "pair", "ccr": "pair", "abx": "abx", "ranking": "rank"}
"""Of kinds of question whose page does not follow from the number of its sounds."""
GRADED_ALONE = ("mushra", "bs1116")
"""Kinds of which only the control of the sound that is heard can be moved (BS.1534-3, p. 24)."""
OPEN = {"target": REFERENCE, "mixture": MIXTURE}
"""Which condition an open reference is."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Step(NamedTuple):
    """One page of a listener's way.

    Args:
        kind: as in the page's JSON.
        page: of the study.
        planned: the trial, on pages of kind ``training`` and ``trial``.
    """

    kind: str
    page: Page
    planned: Planned | None = None


def steps(study: Study, slot: Slot) -> tuple[Step, ...]:
    """The pages of a slot, in order; the last one is the end."""
    found: list[Step] = []
    for page in pages_of(study):
        if page.kind in ("training", "trials"):
            training = page.kind == "training"
            kind = "training" if training else "trial"
            found += [Step(kind, page, one) for one in slot.trials if (one.purpose == "training") == training]
        else:
            found.append(Step(page.kind, page))
    return tuple(found)


@dataclass(frozen=True)
class Shown:
    """Everything that a page needs to be drawn or told.

    Args:
        study, prepared: what it is a page of.
        step: which.
        place: from 0; `of` pages there are.
        first: the first trial of the slot, whose sound the level is set with.
    """

    study: Study
    prepared: Prepared
    step: Step
    place: int
    of: int
    first: Planned | None = None

    @property
    def question(self) -> Question | None:
        """Of a trial."""
        if self.step.planned is None:
            return None
        return next(each for each in self.study.questions if each.id == self.step.planned.question)

    @property
    def item(self) -> Item | None:
        """Of a trial, or of the sound that sets the level."""
        planned = self.step.planned or (self.first if self.step.kind == "level" else None)
        return None if planned is None else next(each for each in self.study.items if each.id == planned.item)


def draw(shown: Shown, *, token: Callable[[], str], random: Random) -> dict[str, Any]:
    """What is kept of a page that is about to be served.

    Args:
        shown: which page.
        token: draws a token that says nothing.
        random: what decides on the tones of a headphone check.
    """
    step, planned = shown.step, shown.step.planned
    served: dict[str, Any] = {
        "study": shown.study.name,
        "hash": shown.prepared.hash,
        "place": shown.place,
        "page": step.kind,
        "planned": None if planned is None else planned.id,
        "references": [],
        "stimuli": [],
        "version": separation.__version__,
    }

    def sound(condition: str) -> dict[str, Any]:
        assert shown.item is not None
        stimulus = shown.prepared.find(shown.item.id, condition)
        return {"token": token(), "item": shown.item.id, "condition": condition, "audio": stimulus.audio}

    if planned is not None:
        question = shown.question
        assert question is not None and shown.item is not None
        served["references"] = [{**sound(OPEN[role]), "role": role} for role in references_of(question, shown.item)]
        if planned.x is not None:
            served["references"].append({**sound(planned.conditions[planned.x]), "role": "x"})
        served["stimuli"] = [sound(condition) for condition in planned.conditions]
    elif step.kind == "level" and shown.first is not None:
        served["stimuli"] = [sound(_level_condition(shown.prepared, shown.first))]
    elif step.kind == "headphones":
        served["stimuli"] = [{"token": token(), "tones": list(order)} for order in headphones.draw(random)]
    return served


def told(
    shown: Shown,
    served: Mapping[str, Any],
    *,
    token: str,
    language: str,
    given: Stands,
    code: str | None = None,
) -> dict[str, Any]:
    """A page as the listener's browser gets it.

    Args:
        shown: which page.
        served: what was drawn of it.
        token: of the page.
        language: of its words.
        given: what stands on it.
        code: of completion: only once everything was counted.
    """
    step = shown.step
    end = step.kind == "end"
    redirect = step.page.redirect.replace("{code}", code) if end and code and step.page.redirect else None
    return {
        "token": token,
        "kind": step.kind,
        "layout": layout_of(shown),
        "index": shown.place,
        "of": shown.of,
        **texts_of(shown, language),
        "language": language,
        "languages": list(shown.study.languages),
        "audio": _audio(shown, served),
        "references": [{"token": each["token"], "role": each["role"]} for each in served["references"]],
        "stimuli": [
            {"token": each["token"], "label": label}
            for each, label in zip(served["stimuli"], _labels(shown, served), strict=True)
        ],
        "fields": [_field(field) for field in fields(shown, served, language)],
        "rules": _rules(shown),
        "given": {name if of is None else f"{name} {of}": value for (name, of), value in given.items()},
        "study": {"title": words(shown.study.title, language), "contact": shown.study.contact},
        "code": code,
        "redirect": redirect,
    }


def notice(study: Study, kind: str, *, language: str, of: int = 0, token: str = "") -> dict[str, Any]:
    """A page that only says something: ``paused``, ``full``, ``closed`` or ``withdrawn``."""
    say = words_in(language)
    return {
        "token": token or kind, "kind": kind, "layout": "end", "index": of, "of": of, "title": say(f"{kind}.title"),
        "text": say(f"{kind}.text"), "language": language, "languages": list(study.languages), "audio": None,
        "references": [], "stimuli": [], "fields": [], "rules": _NO_RULES, "given": {},
        "study": {"title": words(study.title, language), "contact": study.contact}, "code": None, "redirect": None,
    }  # fmt: skip


def fields(shown: Shown, served: Mapping[str, Any], language: str) -> tuple[Field, ...]:
    """What there is to fill in."""
    step, say = shown.step, words_in(language)
    if step.planned is not None:
        assert shown.question is not None
        tokens = [each["token"] for each in served["stimuli"]]
        return fields_of(shown.question, tokens, say, language, order=step.planned.fields)
    if step.kind in ("demographics", "questionnaire"):
        return fields_of_form(step.page.fields, language)
    if step.kind == "consent":
        label = say("consent.field")
        return (Field("consent", None, "check", label, required=step.page.required),)
    if step.kind == "headphones":
        options = tuple(Option(number, say(f"headphones.option{number}")) for number in (1, 2, 3))
        label = say("headphones.field")
        return tuple(
            Field("quietest", each["token"], "choice", label, options=options, required=step.page.required)
            for each in served["stimuli"]
        )
    return ()


def missing(shown: Shown, served: Mapping[str, Any], given: Stands, heard: Iterable[str]) -> dict[str, str]:
    """What keeps the listener on a page: ``"FIELD TOKEN"`` (or ``"FIELD"``; ``"play TOKEN"``: not heard) -> why.

    Args:
        shown, served: the page.
        given: what stands on it.
        heard: tokens of sounds that were played.
    """
    found = {_key(served, fault): fault.text for fault in _faults(shown, served, given)}
    if _must_play(shown):
        judged = [*served["stimuli"], *(each for each in served["references"] if each["role"] == "x")]
        unheard = [each["token"] for each in judged if each["token"] not in set(heard)]
        found |= {f"play {token}": "it has not been played yet" for token in unheard}
    return found


def standing(events: Iterable[Event]) -> dict[tuple[str, str | None], Any]:
    """What stands of everything that was given on a page: the last one of each field counts, and None takes it back."""
    found: dict[tuple[str, str | None], Any] = {}
    for event in sorted(events, key=lambda event: (event.made, event.id)):
        if isinstance(event.payload, Given):
            found.pop((event.payload.field, event.payload.of), None)
            if event.payload.value is not None:
                found[event.payload.field, event.payload.of] = event.payload.value
    return found


def by_position(served: Mapping[str, Any], given: Stands) -> dict[tuple[str, int | None], Any]:
    """The same with the position of the sound on the page for its token, as `questions` has it."""
    places = {each["token"]: position for position, each in enumerate(served["stimuli"])}
    return {(name, None if of is None else places[of]): value for (name, of), value in given.items()}


def heard_of(events: Iterable[Event]) -> dict[str, float]:
    """Seconds that each sound was heard, by token; 0.0 for one that was only started."""
    found: dict[str, float] = {}
    for event in events:
        did = event.payload
        if isinstance(did, Did) and did.of is not None and did.what in ("heard", "play", "switch"):
            seconds = did.detail.get("seconds") if did.what == "heard" else 0.0
            usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds <= 86_400
            found[did.of] = found.get(did.of, 0.0) + (float(seconds) if usable and seconds is not None else 0.0)
    return found


def layout_of(shown: Shown) -> str:
    """Which of the forms of page it is."""
    question, planned = shown.question, shown.step.planned
    if question is None or planned is None:
        return "end" if shown.step.kind == "end" else "form"
    return LAYOUTS.get(question.kind) or ("mushra" if len(planned.conditions) > 1 else "single")


def texts_of(shown: Shown, language: str) -> dict[str, str]:
    """Title and text: the study's own, or those that go without saying; a page of practice says first that it is one."""
    say, page, question = words_in(language), shown.step.page, shown.question
    own, key = (page, shown.step.kind) if question is None else (question, question.kind)
    title = words(own.title, language) or say(f"{key}.title")
    text = words(own.text, language) or say(f"{key}.text")
    if shown.step.kind == "training":
        title = f"{words(page.title, language) or say('training.title')} · {title}"
        text = f"{words(page.text, language) or say('training.text')}\n\n{text}"
    return {"title": title, "text": text}


def _faults(shown: Shown, served: Mapping[str, Any], given: Stands) -> Sequence[Fault]:
    step, placed = shown.step, by_position(served, given)
    if step.planned is not None:
        assert shown.question is not None
        return problems(shown.question, step.planned, placed)
    if step.kind in ("demographics", "questionnaire"):
        return problems_of_form(step.page.fields, placed)
    if step.kind == "consent" and step.page.required and placed.get(("consent", None)) is not True:
        return [Fault("consent", None, "it needs your consent")]
    if step.kind == "headphones" and step.page.required:
        answered = [placed.get(("quietest", place)) for place in range(len(served["stimuli"]))]
        return [
            Fault("quietest", place, "one of the three")
            for place, answer in enumerate(answered)
            if answer not in (1, 2, 3) or isinstance(answer, bool)
        ]
    return []


def _key(served: Mapping[str, Any], fault: Fault) -> str:
    return fault.field if fault.position is None else f"{fault.field} {served['stimuli'][fault.position]['token']}"


def _field(field: Field) -> dict[str, Any]:
    options = [{"value": option.value, "label": option.label} for option in field.options]
    return {**asdict(field), "bands": list(field.bands), "options": options}


_NO_RULES: dict[str, Any] = {
    "must_play": False, "must_move": False, "min_loop": MIN_LOOP, "fade": FADE, "switching": "bs1534", "only_heard": False,
    "plays": None, "views": False,
}  # fmt: skip


def _rules(shown: Shown) -> dict[str, Any]:
    question = shown.question
    if question is None:
        return {**_NO_RULES, "must_play": _must_play(shown)}
    return {
        **_NO_RULES,
        "must_play": question.must_play,
        "must_move": question.must_move,
        "switching": question.switching,
        "only_heard": question.kind in GRADED_ALONE,
        "plays": question.plays,
        "views": question.views,
    }


def _must_play(shown: Shown) -> bool:
    if shown.question is not None:
        return shown.question.must_play
    return shown.step.kind in ("level", "headphones") and shown.step.page.required


def _audio(shown: Shown, served: Mapping[str, Any]) -> dict[str, int] | None:
    if shown.step.kind == "headphones":
        return {"sample_rate": headphones.SAMPLE_RATE, "channels": 2, "length": headphones.LENGTH}
    if not served["stimuli"] or shown.item is None:
        return None
    audio = shown.prepared.items[shown.item.id]
    return {"sample_rate": audio.sample_rate, "channels": audio.channels, "length": audio.length}


def _labels(shown: Shown, served: Mapping[str, Any]) -> list[str]:
    count = len(served["stimuli"])
    if layout_of(shown) in ("pair", "abx"):
        return list(LETTERS[:count])
    return [str(number) for number in range(1, count + 1)] if count > 1 else [""] * count


def _level_condition(prepared: Prepared, planned: Planned) -> str:
    """What the level is set with: the target itself, else the mixture, else what comes first."""
    here = {one.condition for one in prepared.stimuli if one.item == planned.item}
    return next((name for name in (REFERENCE, MIXTURE) if name in here), planned.conditions[0])
