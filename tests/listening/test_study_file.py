"""The study file: what is read, what is refused and at which line, and that nothing is lost on the way."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.errors import StudyError
from separation.listening import yaml_lines
from separation.listening.parts import Anchor, Assignment, Gold, Item, Page, Question, Study, System
from separation.listening.reference import EXAMPLE, KINDS, reference
from separation.listening.rules import texts_of
from separation.listening.study import (
    KINDS as ALL_KINDS,
)
from separation.listening.study import (
    conditions_of,
    dump_study,
    examine,
    items_of,
    pages_of,
    parse_study,
    read_study,
    references_of,
    study_hash,
    words,
)
from separation.listening.wording import LANGUAGES, TEXTS, words_in

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASE = """\
name: voices
title: Voices
systems:
  - {id: one, files: "one/{item}.wav"}
  - {id: two, model: vocals}
anchors:
  - {id: low, kind: low_pass, cut_hz: 3500}
  - {id: mid, kind: low_pass, cut_hz: 7000}
items:
  - {id: a, mixture: a.wav, target: ta.wav}
  - {id: b, mixture: b.wav, target: tb.wav}
questions:
  - {id: quality, kind: mushra}
"""


def problems(text: str) -> list[tuple[int | None, str, str]]:
    return [tuple(one) for one in examine(text)[1]]


def test_a_file_is_read_and_what_goes_without_saying_is_there(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("\ufeff" + BASE, encoding="utf-8")
    study = read_study(path)
    assert study == parse_study(BASE)
    assert conditions_of(study, study.question("quality"), study.item("a")) == ("one", "two", "low", "mid", "reference")
    assert [page.kind for page in pages_of(study)] == [
        "consent", "instructions", "level", "headphones", "training", "trials", "end",
    ]  # fmt: skip


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No such file"):
        read_study(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: ä".encode("latin-1"))
    with pytest.raises(StudyError, match="not UTF-8"):
        read_study(tmp_path / "latin.yaml")


def test_several_problems_come_at_once_each_with_its_line() -> None:
    text = (
        BASE.replace("kind: mushra", "kind: mushr, plays: 0")
        .replace("title:", "titel:")
        .replace("name: voices", "name: 12")
    )
    with pytest.raises(StudyError) as error:
        parse_study(text, name="study.yaml")
    assert error.value.asked == "Read the study study.yaml"
    for part in ("line 1: `name` should be words, found 12; put it in quotes", "line 1: `title` is missing"):
        assert part in error.value.found
    assert "line 2: `titel` is no field here; is `title` meant?" in error.value.found
    assert "line 13: `kind` is 'mushr'; is mushra meant?" in error.value.found
    assert "line 13: `plays` should be greater than or equal to 1, found 0" in error.value.found


@pytest.mark.parametrize(
    ("old", "new", "line", "where", "said"),
    [
        ("id: two, model", "id: one, model", 5, "systems[1].id", "the id of two systems"),
        ("id: two, model: vocals", "id: reference, model: vocals", 5, "systems[1].id", "choose another id"),
        ("model: vocals", "model: vocals, files: x", 5, "systems[1]", "both `model` and `files`"),
        (", model: vocals", "", 5, "systems[1]", "neither `model` nor `files`"),
        ("one/{item}.wav", "one.wav", 4, "systems[0].files", "one file for 2 items"),
        ('"one/{item}.wav"', "{a: x.wav, c: y.wav}", 4, "systems[0].files.c", "`c` is no item; there are `a`, `b`"),
        ('"one/{item}.wav"', "{a: x.wav}", 13, "questions[0]", "`one` is missing for `b`"),
        ("cut_hz: 7000", "level_db: 3", 8, "anchors[1].level_db", "means nothing to an anchor of kind `low_pass`"),
        (", target: tb.wav", "", 13, "questions[0]", "needs the `target` of every item; `b` has none"),
        ("mixture: b.wav, ", "", 13, "questions[0]", "`two` is missing for `b`"),
        (
            "cut_hz: 7000",
            "cut_hz: 3500",
            13,
            "questions[0]",
            "two low-passed anchors, 3500 and 7000 Hz; found `3500 Hz`",
        ),
        ("kind: mushra", "kind: mushra, hidden_reference: false", 13, "questions[0]", "needs the hidden reference"),
        ("kind: mushra", "kind: mushra, switching: crossfade", 13, "questions[0].switching", "forbids a crossfade"),
        ("kind: mushra", "kind: ab, conditions: [one, tow]", 13, "questions[0].conditions[1]", "is `two` meant?"),
        (
            "kind: mushra",
            "kind: ab, conditions: [one]",
            13,
            "questions[0]",
            "compares at least 2 conditions; a has `one`",
        ),
        ("kind: low_pass, cut_hz: 7000", "kind: ratio_mask", 13, "questions[0]", "two low-passed anchors"),
        ("kind: mushra", "kind: ab, items: [a, a]", 13, "questions[0].items[1]", "stands here twice"),
    ],
)
def test_what_does_not_fit_together_is_refused(old: str, new: str, line: int, where: str, said: str) -> None:
    assert BASE.count(old) == 1
    found = problems(BASE.replace(old, new))
    assert [(at, part) for at, part, text in found if said in text] == [(line, where)], found


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        ("pages: [{kind: consent}]", 14, "no page of kind `trials`"),
        ("pages: [{kind: trials}, {kind: training}]", 14, "training after the trials"),
        ("pages: [{kind: end}, {kind: trials}]", 14, "the end must be the last page"),
        ("pages: [{kind: trials}, {kind: trials}]", 14, "a second page of kind `trials`"),
        ("pages: [{kind: trials, items: [a]}]", 14, "`items` belongs on a page of kind `training`"),
        ("pages:\n  - kind: trials\n  - kind: questionnaire", 16, "without `fields` asks nothing"),
        ("pages: [{kind: trials}, {kind: end, redirect: 'javascript:x'}]", 14, "begins with https://"),
        (
            "pages: [{kind: trials}, {kind: questionnaire, fields: [{name: x, kind: choice, label: x}]}]",
            14,
            "among 0 options",
        ),
        ("languages: [en, xx]", 14, "`xx` is no language; there are `en`"),
        ("languages: [de, de]", 14, "`de` stands here twice"),
        ("assignment: {design: incomplete}", 14, "incomplete blocks need `systems_per_trial`"),
        ("assignment: {systems_per_trial: 3}", 14, "3 systems a trial, but there are 2"),
        ("gold: [{item: a, question: q, expect: {one: 5}}]", 14, "`q` is no question"),
        ("gold: [{item: a, question: quality, expect: {one: 101}}]", 14, "a number from 0 to 100"),
        ("gold: [{item: a, question: quality, expect: {three: 1}}]", 14, "`three` is no condition"),
        ("gold: [{item: a, question: quality, expect: {}}]", 14, "nothing is expected"),
        ("statistics: {x: .inf}\nseed: -1", 15, "`seed` should be greater than or equal to 0"),
        ("name: twice", 14, "`name` stands here twice, first in line 1"),
        ("contact: !!python/object/apply:os.system [ls]", 14, "is not allowed"),
        ("contact: a: b", 14, "not YAML"),
        ("contact: {en: why?, de: so}", 14, "put the text in quotes"),
        ("\tcontact: a", 14, "a tab"),
    ],
)
def test_pages_languages_gold_and_yaml_itself_are_checked(more: str, line: int, said: str) -> None:
    found = problems(BASE + more + "\n")
    assert [at for at, _, text in found if said in text] == [line], found


def test_what_an_anchor_needs_is_named() -> None:
    text = BASE.replace("kind: low_pass, cut_hz: 7000", "kind: interference").replace("kind: mushra", "kind: scale")
    text = text.replace("{id: two, model: vocals}", '{id: two, files: "two/{item}.wav"}').replace(
        "mixture: b.wav, ", ""
    )
    assert [tuple(one) for one in problems(text)] == [
        (13, "questions[0]", "`mid` is missing for `b`: it needs their mixture; add it, or name other `items`")
    ]


def test_signals_on_a_page_of_mushra_are_counted() -> None:
    systems = "".join(f"  - {{id: s{number}, model: vocals}}\n" for number in range(8))
    text = BASE.replace("  - {id: two, model: vocals}\n", systems)
    assert examine(text)[1] == []  # 9 systems, 2 anchors and the reference are 12
    text = text.replace("systems:\n", "systems:\n  - {id: ten, model: vocals}\n")
    assert [text for *_, text in problems(text)] == [
        "13 sounds on a page; BS.1534-3 allows 12 with reference and anchors."
        " Set assignment.systems_per_trial to 9 or less, or ask in two questions"
    ]
    assert examine(text + "assignment: {systems_per_trial: 9}\n")[1] == []


def test_yaml_cannot_be_made_to_grow_or_to_nest() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{other}: &{other} [{', '.join([f'*{one}'] * 9)}]\n"
    for text in (bomb, "a: &a [*a]", "[" * 10_000, "a: '" + "x" * yaml_lines.LARGEST + "'", "a: \x00"):
        study, found = examine(text)
        assert study is None and len(found) == 1
    assert examine("")[1][0].text == "it is empty"
    assert examine("- a")[1][0].text.startswith("it is no list of")


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, len(EXAMPLE)), st.integers(0, 40), st.text("ab :-{}[]'\"&*!?#\n\t0", max_size=6))
def test_whatever_is_broken_in_a_file_is_told_and_never_raised(start: int, length: int, put: str) -> None:
    text = EXAMPLE[:start] + put + EXAMPLE[start + length :]
    study, found = examine(text)
    assert study is not None or found
    assert all(problem.line is None or 1 <= problem.line <= text.count("\n") + 1 for problem in found)
    assert all(problem.text for problem in found)


def test_words_stay_words() -> None:
    data = yaml_lines.load("[no, 0012, 12:30, 1_000, 0x10, 2024-01-01, 1e3, -4, .5, true, ~, '7']").data
    assert data == ["no", "0012", "12:30", "1_000", "0x10", "2024-01-01", 1000.0, -4, 0.5, True, None, "7"]


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30), st.sampled_from(["no", "0012", "1e3", "12:30", "~", "", " x", "a\nb\n", "- a", "#", "é：中"]),
)  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    )
)
def test_what_is_written_is_read_back(data: object) -> None:
    document = yaml_lines.load(yaml_lines.dump(data))
    assert document.data == data and not document.problems


texts = st.text("ab 0:-#{}'\"\n\t\x85\u2028é中", max_size=12)


@st.composite
def studies(draw: st.DrawFn) -> Study:
    ids = draw(st.permutations(["a", "0", "0012", "no", "x_y-z", "7e3"]))
    items = [
        Item(id=id, target=draw(texts) + "t", mixture="m", start=draw(st.floats(0, 100)), group=draw(texts))
        for id in ids[:3]
    ]
    files = draw(st.one_of(st.just("x/{item}.wav"), st.just({item.id: f"{item.id}.wav" for item in items})))
    systems = [System(id=ids[3], files=files, label=draw(texts)), System(id=ids[4], model="vocals")]
    title = draw(st.one_of(texts, st.just({"en": "a", "de": "b\n\nc"})))
    questions = [
        Question(
            id="q",
            kind=draw(st.sampled_from(["ab", "acr", "scale", "ranking"])),
            text=title,
            comment=draw(st.booleans()),
        )
    ]
    return Study(
        name=ids[0], title=title, languages=("en", "de"), seed=draw(st.integers(0, 2**63 - 1)), systems=tuple(systems),
        anchors=(Anchor(id=ids[5], kind="interference", level_db=draw(st.floats(-60, 60))),), items=tuple(items),
        questions=tuple(questions), pages=(Page(kind="trials", text=draw(texts)),),
        gold=(), statistics=draw(st.dictionaries(texts, st.one_of(st.booleans(), texts, st.floats(-9, 9)), max_size=3)),
        assignment=Assignment(repeats=draw(st.floats(0, 0.5)), listeners=draw(st.integers(1, 2000))),
    )  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(studies())
def test_a_study_is_the_same_after_it_was_written(study: Study) -> None:
    again = parse_study(dump_study(study))
    assert again == study and study_hash(again) == study_hash(study)


def test_the_hash_is_of_what_is_said_not_of_how() -> None:
    study = parse_study(BASE)
    said = BASE.replace(
        "{id: quality, kind: mushra}", "\n    kind: mushra  # as always\n    id: quality\n    tie: true"
    )
    assert study_hash(parse_study(said)) == study_hash(study)
    assert study_hash(parse_study(BASE + "seed: 1\n")) != study_hash(study)


def test_conditions_are_those_that_fit_the_kind_and_that_an_item_has() -> None:
    study = parse_study(BASE)
    expected = {
        "mushra": ("one", "two", "low", "mid", "reference"),
        "bs1116": ("one", "two", "reference"),
        "ab": ("one", "two"),
        "abx": ("reference", "one", "two"),
        "ccr": ("reference", "one", "two"),
        "acr": ("one", "two", "low", "mid"),
    }
    for kind, conditions in expected.items():
        assert conditions_of(study, Question.model_validate({"id": "q", "kind": kind}), study.items[0]) == conditions
    bare = Item(id="c", mixture="c.wav")
    assert conditions_of(study, Question(id="q", kind="ccr"), bare) == ("one", "two")
    assert conditions_of(study, Question(id="q", kind="acr", conditions=("mixture", "low", "two")), bare) == (
        "mixture",
        "two",
    )


def test_gold_items_are_no_test_items_and_closed_kinds_show_no_target() -> None:
    text = BASE + "gold: [{item: b, question: quality, expect: {reference: 100}}]\n"
    study = parse_study(text)
    assert [item.id for item in items_of(study, study.questions[0])] == ["a"]
    assert study.gold == (Gold(item="b", question="quality", expect={"reference": 100.0}),)
    both = ("target", "mixture")
    assert references_of(Question(id="q", kind="scale", references=both), study.items[0]) == both
    assert references_of(Question(id="q", kind="acr", references=both), study.items[0]) == ("mixture",)
    assert references_of(Question(id="q", kind="scale", references=both), Item(id="x", mixture="m")) == ("mixture",)
    with pytest.raises(StudyError, match="cannot be a test item"):
        parse_study(text.replace("kind: mushra", "kind: mushra, items: [a, b]"))
    with pytest.raises(KeyError):
        study.item("c")


def test_texts_in_the_languages_of_a_study() -> None:
    text = BASE.replace("title: Voices", "title: {de: Stimmen, en: Voices}").replace(
        "name:", "languages: [de, en]\nname:"
    )
    study = parse_study(text)
    assert [words(study.title, language) for language in ("de", "en", "fr")] == ["Stimmen", "Voices", "Stimmen"]
    assert "no text in `de`" in problems(text.replace("de: Stimmen, ", ""))[0][2]
    assert "`de` is no language of the study" in problems(text.replace("[de, en]", "[en]"))[0][2]
    assert [path for path, _ in texts_of(study)] == [("title",), ("questions", 0, "title"), ("questions", 0, "text")]


def test_every_language_says_everything_in_words_of_its_own() -> None:
    english = {
        line.split('"')[1] for line in (TEXTS / "en.json").read_text(encoding="utf-8").splitlines() if '":' in line
    }
    assert {path.stem for path in TEXTS.glob("*.json")} == set(LANGUAGES)
    for language in LANGUAGES:
        say = words_in(language)
        said = {key: say(key) for key in english}
        assert all(said.values())
        if language != "en":
            same = {key for key in said if said[key] == words_in("en")(key)}
            assert same <= {"place", "quality.5"}, same  # Place and Excellent are French, too
    with pytest.raises(KeyError):
        words_in("en")("nothing")


def test_the_page_on_the_study_file_is_that_of_the_records() -> None:
    page = (DOCS / "study-file.md").read_text(encoding="utf-8")
    assert page == reference(), "write it again: Path('docs/study-file.md').write_text(reference())"
    assert set(KINDS) == set(ALL_KINDS)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows and not [
        row for row in rows if row.endswith("|  |") and not row.startswith(tuple(f"| `{kind}`" for kind in KINDS))
    ]
    assert parse_study(EXAMPLE).languages == ("en", "de")
