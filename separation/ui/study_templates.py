"""Studies to begin with: a kind of test, filled with recordings that come with the app and with models that are here.

What a template leaves out is the study's own default. Nothing here is special: what comes out is a study file like any other,
and every word of it can be changed.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separation.audio import safe_name
from separation.errors import StudyError
from separation.hub import Card
from separation.listening.from_folder import FILES, SECONDS, slug
from separation.listening.preferences import CONSENT
from separation.listening.study import MIXTURE, Anchor, Ask, Assignment, Item, Page, Question, Screening, Study, System
from separation.ui.examples import Example

_SCALES = ("overall", "target", "others", "artefacts")


@dataclass(frozen=True)
class Template:
    """A kind of test.

    Args:
        key: its name in requests.
        title: as people call it.
        about: when to take it.
        questions: that are asked.
        anchors: that are made.
        screening: rules that its report applies.
        headphones: whether a headphone check belongs to it.
        target: whether every recording needs its true source.
    """

    key: str
    title: str
    about: str
    questions: tuple[Question, ...]
    anchors: tuple[Anchor, ...] = ()
    screening: tuple[Screening, ...] = ()
    headphones: bool = True
    target: bool = False


def _scale(attribute: str) -> Question:
    return Question.model_validate(
        {"id": attribute, "kind": "scale", "attribute": attribute, "references": ("target", "mixture")}
    )


_LOW_PASS = (
    Anchor(id="anchor35", kind="low_pass", cut_hz=3500.0),
    Anchor(id="anchor70", kind="low_pass", cut_hz=7000.0),
)
_SEPARATION = (
    Anchor(id="interference", kind="interference", level_db=6.0),
    Anchor(id="artefacts", kind="artefacts", share=0.3),
    Anchor(id="distorted", kind="distorted", cut_hz=3500.0),
)
_TOO_FAST = Screening(rule="too_fast")
_NEVER_PLAYED = Screening(rule="never_played")

TEMPLATES: Mapping[str, Template] = {
    one.key: one
    for one in (
        Template(
            "mushra",
            "MUSHRA",
            "Several systems side by side on sliders of 0 to 100, with a hidden reference and the anchors of BS.1534-3.",
            (Question(id="quality", kind="mushra"),),
            _LOW_PASS,
            (Screening(rule="hidden_reference"), Screening(rule="mid_anchor")),
            target=True,
        ),
        Template(
            "ab",
            "A/B preference",
            "Which of two is better? Quick for listeners, needs no reference; “no difference” and “both bad” are answers.",
            (Question(id="preference", kind="ab", references=("mixture",), comment=True),),
            (),
            (_TOO_FAST, _NEVER_PLAYED),
        ),
        Template(
            "scales",
            "Separation scales",
            "Overall, target preserved, others suppressed, no artefacts: one a trial, mixture and target both open (PEASS).",
            tuple(map(_scale, _SCALES)),
            _SEPARATION,
            (_TOO_FAST, _NEVER_PLAYED),
            target=True,
        ),
        Template(
            "p835",
            "P.835",
            "For speech: the voice, the background and the whole, each from 1 to 5, in counterbalanced order.",
            (Question(id="speech", kind="p835", references=()),),
            (Anchor(id="mixture-anchor", kind="mixture"),),
            (Screening(rule="variance"), _TOO_FAST),
        ),
        Template(
            "mos",
            "MOS (P.808 ACR)",
            "One sound, one grade from 1 (bad) to 5 (excellent). Compare only systems of the same study.",
            (Question(id="opinion", kind="acr", references=()),),
            (Anchor(id="mixture-anchor", kind="mixture"),),
            (Screening(rule="variance"), _TOO_FAST),
        ),
        Template(
            "abx",
            "ABX",
            "Can a system be told from the original at all? X is one of the two; the answers are right or wrong.",
            (Question(id="told", kind="abx", references=()),),
            (),
            (_TOO_FAST,),
            target=True,
        ),
    )
}


def from_template(
    key: str,
    name: str,
    title: str,
    folder: Path,
    *,
    examples: Sequence[Example],
    models: Sequence[Card],
) -> Study:
    """A study of a kind; the audio of its recordings is copied into the study's folder.

    Args:
        key: of `TEMPLATES`.
        name, title: of the study.
        folder: of the study; its audio goes into `FILES` there.
        examples: recordings that come with the app.
        models: bundled models, as systems.

    Raises:
        StudyError: there is no such template, no recording or model was chosen, or they do not fit together.
        OSError: the files cannot be copied.
    """
    asked = f"Make the study {name}"
    if key not in TEMPLATES:
        raise StudyError(asked, "there is no such template", f"Choose one of {', '.join(TEMPLATES)}")
    if not examples or not models:
        lacks = "recording" if not examples else "model"
        raise StudyError(asked, f"no {lacks} is chosen", f"Tick at least one {lacks}; you can exchange it afterwards")
    template = TEMPLATES[key]
    sources = _shared(models, asked)
    without = next((one for one in examples if template.target and not set(sources) & set(one.references)), None)
    if without is not None:
        found = f"“{without.title}” has no true {' or '.join(sources)}, which {template.title} needs"
        raise StudyError(asked, found, "Leave this recording out, or take another template")
    items = tuple(item for example in examples for item in _items(example, sources, folder))
    questions = template.questions
    if key == "ab" and len(models) == 1:  # nothing to compare it with, until another one is added
        against = {"conditions": (slug(models[0].name), MIXTURE), "references": ()}
        questions = tuple(question.model_copy(update=against) for question in questions)
    return Study(
        name=name,
        title=title,
        systems=tuple(System(id=slug(card.name), label=card.title, model=card.origin.name) for card in models),
        anchors=template.anchors,
        items=items,
        questions=questions,
        pages=_pages(template),
        assignment=Assignment(listeners=20),
        screening=(*template.screening, *((Screening(rule="headphones"),) if template.headphones else ())),
    )


_ALLOWED = "My answers may be used to train models (you may leave this open)"
"""What a listener ticks who allows training; in the language that a new study has."""


def _pages(template: Template) -> tuple[Page, ...]:
    kinds = [
        "consent",
        "level",
        "headphones" if template.headphones else "",
        "instructions",
        "training",
        "trials",
        "questionnaire",
        "end",
    ]
    asked = (Ask(name=CONSENT, kind="check", label=_ALLOWED),)
    return tuple(
        Page.model_validate({"kind": kind, "fields": asked if kind == "questionnaire" else ()})
        for kind in kinds
        if kind
    )


def _shared(models: Sequence[Card], asked: str) -> list[str]:
    """The sources that every one of these models gives, in the order of the first: an item is heard in every system."""
    shared = [source for source in models[0].sources if all(source in card.sources for card in models)]
    if not shared:
        given = "; ".join(f"{card.title}: {', '.join(card.sources)}" for card in models)
        raise StudyError(
            asked, f"the models give no source that all of them have ({given})", "Tick models that separate the same"
        )
    return shared


def _items(example: Example, sources: Sequence[str], folder: Path) -> list[Item]:
    """One item a true source that the models separate; if the recording has none, their first."""
    copied = _copier(folder / FILES, example)
    mixture = copied(example.mixture)
    wanted = [source for source in example.references if source in sources]
    start = max(0.0, min(2.0, example.duration - SECONDS))
    common: dict[str, Any] = {
        "start": start,
        "duration": min(SECONDS, example.duration - start),
        "group": slug(example.id),
    }
    if not wanted:
        return [Item(id=slug(example.id), mixture=mixture, source=sources[0], **common)]
    return [
        Item(
            id=slug(example.id if len(wanted) == 1 else f"{example.id}-{source}"),
            mixture=mixture,
            target=copied(example.references[source]),
            source=source,
            **common,
        )
        for source in wanted
    ]


def _copier(folder: Path, example: Example) -> Callable[[Path], str]:
    """Copies a file of an example once; returns its path as the study names it."""
    folder.mkdir(parents=True, exist_ok=True)

    def copied(path: Path) -> str:
        name = safe_name(f"{example.id}-{path.name}", "sound")
        if not (folder / name).exists():
            shutil.copyfile(path, folder / name)
        return f"{FILES}/{name}"

    return copied
