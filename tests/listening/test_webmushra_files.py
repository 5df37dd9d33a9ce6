"""webMUSHRA's files: read as they are, written back, and refused page by page where they cannot be done."""

from collections import Counter
from typing import Any

import pytest

from separation.errors import StudyError
from separation.listening.parts import Assignment, Study, conditions_of, items_of
from separation.listening.plans import make_plan
from separation.listening.study import dump_study, examine, parse_study
from separation.listening.webmushra import from_webmushra, to_webmushra
from separation.listening.yaml_lines import load

CODECS = """\
testname: "Codecs & rooms"
testId: Codecs 2024
bufferSize: 2048
stopOnErrors: true
showButtonPreviousPage: true
remoteService: service/write.php
language: de
pages:
  - type: consent
    id: consent
    name: Einwilligung
    content: Ich bin einverstanden.
    mustConsent: true
  - type: generic
    id: welcome
    name: Willkommen
    content: "<h1>Hallo</h1><p>Bitte <b>genau</b> zuhören &amp; bewerten.</p><ul><li>ruhiger Raum</li><li>Kopfhörer</li></ul>"
  - type: volume
    id: volume
    name: Pegel
    content: Angenehm laut.
    stimulus: audio/harp/ref.wav
    defaultVolume: 0.5
  -
    - random
    - type: mushra
      id: Harp 1
      name: Harfe
      content: Wie gut?
      showWaveform: true
      enableLooping: true
      strict: true
      reference: audio/harp/ref.wav
      createAnchor35: true
      createAnchor70: true
      stimuli:
        C1: audio/harp/1.wav
        C2: audio/harp/2.wav
    - type: mushra
      id: voice
      name: Stimme
      content: Wie gut?
      reference: audio/voice/ref.wav
      createAnchor35: true
      createAnchor70: true
      randomize: false
      stimuli: {C1: audio/voice/1.wav, C2: audio/voice/2.wav}
  - type: finish
    name: Danke
    content: Das war's.
    showResults: true
    writeResults: true
    questionnaire:
      - {type: text, name: email, label: E-Mail, optional: true}
      - {type: number, name: age, label: Alter, min: 18, max: 99, default: 30, optional: false}
      - type: likert
        name: Hearing
        label: Gehör
        response:
          - {value: good, label: Gut}
          - {value: poor, label: Weniger gut}
      - {type: long_text, name: feedback, label: "Sonst noch?"}
"""
MIXED = """\
testname: Many kinds
testId: many
pages:
  - random
  - - {type: generic, id: a, content: One}
    - {type: bs1116, id: triple, name: T, content: x, reference: r.wav, createAnchor35: true,
       stimuli: {Old: o.wav, New: n.wav}}
  - {type: paired_comparison, id: pair, name: P, unforced: I don't know, content: y, reference: r.wav, stimuli: {New: n.wav}}
  - type: likert_single_stimulus
    id: single
    name: L
    content: z
    stimuli: {Old: o.wav, New: n.wav}
    response: [{value: 1, label: bad}, {value: 2, label: poor}, {value: 3, label: fair}, {value: 4, label: good},
               {value: 5, label: great}]
  - {type: mushra, id: loose, name: M, content: w, reference: r.wav, createAnchor35: true, strict: false,
     showConditionNames: true, stimuli: {reference: o.wav, New: n.wav}}
  - {type: generic, id: between, name: B, content: Two}
  - {type: finish, name: End, content: Bye}
"""


def study_of(text: str) -> Study:
    study, wrong, _ = from_webmushra(text)
    assert study is not None and not wrong
    return study


def test_a_file_is_read_as_it_is() -> None:
    study = parse_study(CODECS, name="codecs.yaml")
    assert (study.name, study.title, study.languages, study.loudness) == (
        "codecs-2024",
        "Codecs & rooms",
        ("de",),
        "none",
    )
    assert [(system.id, system.label, system.files) for system in study.systems] == [
        ("c1", "C1", {"harp-1": "audio/harp/1.wav", "voice": "audio/voice/1.wav"}),
        ("c2", "C2", {"harp-1": "audio/harp/2.wav", "voice": "audio/voice/2.wav"}),
    ]
    assert [(item.id, item.target) for item in study.items] == [
        ("harp-1", "audio/harp/ref.wav"), ("voice", "audio/voice/ref.wav"),
    ]  # fmt: skip
    (question,) = study.questions
    assert (question.kind, question.title, question.text) == ("mushra", "", "Wie gut?")
    assert conditions_of(study, question, study.items[0]) == ("c1", "c2", "anchor35", "anchor70", "reference")
    assert [(anchor.id, anchor.cut_hz) for anchor in study.anchors] == [("anchor35", 3500), ("anchor70", 7000)]
    assert [page.kind for page in study.pages] == ["consent", "instructions", "level", "trials", "questionnaire", "end"]
    assert study.pages[1].text == "Hallo\n\nBitte genau zuhören & bewerten.\n\n- ruhiger Raum\n- Kopfhörer"
    assert [(ask.name, ask.kind, ask.required, ask.minimum) for ask in study.pages[4].fields] == [
        ("email", "text", False, None), ("age", "number", True, 18), ("hearing", "choice", False, None),
        ("feedback", "text", False, None),
    ]  # fmt: skip
    assert parse_study(dump_study(study)) == study
    slot = make_plan(study).slots[0]
    assert Counter(trial.item for trial in slot.trials) == {"harp-1": 1, "voice": 1}


def test_what_works_differently_is_told() -> None:
    notes = "\n".join(from_webmushra(CODECS).notes)
    for said in (
        "page `Harp 1` is the item `harp-1`", "page `voice`: the order of its sounds is balanced", "go back",
        "results are not shown",
    ):  # fmt: skip
        assert said in notes


def test_all_kinds_of_pages_that_have_a_counterpart() -> None:
    study, wrong, notes = from_webmushra(MIXED)
    assert study is not None and not wrong and examine(MIXED)[1] == []
    kinds = {question.id: (question.kind, question.conditions, question.items) for question in study.questions}
    assert kinds == {
        "bs1116": ("bs1116", ("old", "new", "anchor35", "reference"), ("triple",)),
        "abx": ("abx", ("reference", "new"), ("pair",)),
        "acr": ("acr", ("old", "new"), ("single",)),
        "scale": ("scale", ("reference-2", "new", "anchor35", "reference"), ("loose",)),
    }
    assert [system.label for system in study.systems] == ["Old", "New", "reference"]
    assert [(page.kind, page.text) for page in study.pages] == [
        ("instructions", "One"), ("trials", ""), ("instructions", "Two"), ("end", "Bye"),
    ]  # fmt: skip
    for said in (
        "page `loose`: without both anchors it is not BS.1534", "page `pair`: X is the reference or the other",
        "who cannot tell guesses", "its five answers are ACR's", "names of conditions are never shown",
        "page `between` comes after all trials",
    ):  # fmt: skip
        assert any(said in note for note in notes), said


@pytest.mark.parametrize(
    ("page", "line", "said"),
    [
        ("{type: spatial_localization, id: where}", 4, "page `where` has the type `spatial_localization`"),
        ("{type: mushra, id: m, reference: r.wav}", 4, "page `m` has no `stimuli`"),
        ("{type: mushra, id: m, stimuli: {C1: a.wav}}", 4, "page `m` has no `reference`"),
        ("{type: likert_multi_stimulus, id: l, stimuli: {C1: a}, response: [{value: 1}]}", 4, "a scale of 1 answers"),
        ("{type: generic, id: g}", 3, "no page with stimuli"),
        ("5", 4, "found 5; a page has fields"),
        ("{type: generic, id: g}\n  - random", 5, "found 'random'"),
        ("{type: finish, questionnaire: [{type: slider, name: x}]}", 4, "a field of a type that is not known"),
    ],
)
def test_what_cannot_be_done_names_its_page_and_line(page: str, line: int, said: str) -> None:
    study, found = examine(f"testname: t\ntestId: t\npages:\n  - {page}\n")
    assert study is None and [problem.line for problem in found if said in problem.text] == [line], found
    with pytest.raises(StudyError, match="line"):
        parse_study(f"testname: t\ntestId: t\npages:\n  - {page}\n")


@pytest.mark.parametrize("text", [CODECS, MIXED])
def test_what_was_read_can_be_written_and_read_again(text: str) -> None:
    study = study_of(text)
    again = study_of(to_webmushra(study))
    assert (again.systems, again.anchors, again.items) == (study.systems, study.anchors, study.items)
    assert again.name == study.name and again.title == study.title
    for before, after in zip(study.questions, again.questions, strict=True):
        assert (before.kind, before.text, before.conditions, before.items) == (
            after.kind, after.text, after.conditions, after.items,
        )  # fmt: skip
    assert [page.text for page in again.pages if page.text] == [page.text for page in study.pages if page.text]
    assert to_webmushra(again) == to_webmushra(study_of(to_webmushra(again)))


def study(**more: Any) -> Study:
    return Study.model_validate(
        {
            "name": "s",
            "title": "S",
            "systems": [{"id": "a", "files": "a/{item}.wav"}],
            "anchors": [
                {"id": "lo", "kind": "low_pass", "cut_hz": 3500},
                {"id": "mid", "kind": "low_pass", "cut_hz": 7000},
            ],
            "items": [{"id": "i", "target": "i.wav"}],
            "questions": [{"id": "q", "kind": "mushra"}],
            **more,
        }
    )


def test_a_study_is_written_as_webmushra_wants_it() -> None:
    text = to_webmushra(study(loudness="none", assignment=Assignment(repeats=0)))
    data = load(text).data
    assert (data["testId"], data["remoteService"], data["language"]) == ("s", "service/write.php", "en")
    assert [page["type"] for page in data["pages"] if isinstance(page, dict)] == [
        "consent",
        "generic",
        "volume",
        "finish",
    ]
    (shuffled,) = [page for page in data["pages"] if isinstance(page, list)]
    assert (
        shuffled[0] == "random" and shuffled[1]["stimuli"] == {"a": "a/i.wav"} and shuffled[1]["reference"] == "i.wav"
    )
    assert shuffled[1]["createAnchor35"] is True and shuffled[1]["createAnchor70"] is True
    assert text.startswith("# Lost: pages of kind headphones, training.\n")
    assert "# Lost: who gets what" in to_webmushra(study())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"systems": [{"id": "a", "model": "vocals"}]}, "system `a` is a model"),
        ({"anchors": [{"id": "x", "kind": "mixture"}]}, "anchor `x` is none of webMUSHRA's"),
        ({"items": [{"id": "i", "target": "i.wav", "start": 3}]}, "item `i` is a part of its files"),
        ({"questions": [{"id": "q", "kind": "p835"}]}, "kind `p835`, which webMUSHRA does not have"),
        ({"questions": [{"id": "q", "kind": "scale", "hidden_reference": False}]}, "no reference among its conditions"),
    ],
)
def test_what_cannot_be_said_there_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        to_webmushra(study(**more))


def test_every_item_gets_a_page_of_every_question() -> None:
    both = study(questions=[{"id": "q", "kind": "mushra"}, {"id": "r", "kind": "acr", "conditions": ["a"]}])
    pages = next(page for page in load(to_webmushra(both)).data["pages"] if isinstance(page, list))[1:]
    assert [page["id"] for page in pages] == ["q-i", "r-i"]
    assert sum(len(items_of(both, question)) for question in both.questions) == 2
