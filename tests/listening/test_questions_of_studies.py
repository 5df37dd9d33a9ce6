"""Questions: what a page shows, what is an answer, and that the rows say what the listener said. For all twelve kinds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.listening.answers import Answer
from separation.listening.parts import KINDS, Ask, Item, Question, Study, System
from separation.listening.planned import Planned
from separation.listening.questions import (
    Behaviour,
    Field,
    answers_of,
    fields_of,
    fields_of_form,
    problems,
    problems_of_form,
)
from separation.listening.scales import P835
from separation.listening.wording import LANGUAGES, words_in
from separation.ratings.records import LABELS

SHOWN = {
    "mushra": ("a", "reference", "b"), "scale": ("b", "a"), "ranking": ("c", "a", "b"), "bs1116": ("a", "reference"),
    "ab": ("b", "a"), "abx": ("a", "b"), "ccr": ("a", "reference"),
}  # fmt: skip


def made(kind: str, **more: Any) -> tuple[Study, Question, Planned]:
    question = Question.model_validate({"id": "q", "kind": kind, **more})
    study = Study(
        name="s",
        title="S",
        systems=tuple(System(id=id, files="x") for id in "abc"),
        items=(Item(id="i", target="t", mixture="m", group="song"),),
        questions=(question,),
    )
    fields = ("bak", "sig", "ovrl") if kind == "p835" else ()
    planned = Planned("0-1", "q", "i", SHOWN.get(kind, ("a",)), "test", fields=fields, x=1 if kind == "abx" else None)
    return study, question, planned


def rows(kind: str, given: dict[tuple[str, int | None], Any], **more: Any) -> list[Answer]:
    study, question, planned = made(kind, **more)
    assert problems(question, planned, given) == []
    return answers_of(study, planned, given, listener="l", index=3, made=1.0)


GOOD: dict[str, dict[tuple[str, int | None], Any]] = {
    "mushra": {("overall", 0): 40, ("overall", 1): 100, ("overall", 2): 0},
    "scale": {("overall", 0): 12, ("overall", 1): 13.0},
    "bs1116": {("overall", 0): 3.7, ("overall", 1): 5.0},
    "ab": {("preference", None): "left"},
    "abx": {("x", None): "b"},
    "acr": {("overall", 0): 4},
    "dcr": {("overall", 0): 1},
    "ccr": {("comparison", None): -2},
    "p835": {("sig", 0): 1, ("bak", 0): 5, ("ovrl", 0): 3},
    "ranking": {("rank", 0): 3, ("rank", 1): 1, ("rank", 2): 2},
    "text": {("words", 0): "a piano & <drums>\n中"},
    "marks": {("marks", 0): [{"start": 0.5, "end": 1.0, "label": "bleed"}]},
}
BAD: dict[str, list[tuple[tuple[str, int | None], Any, str]]] = {
    "mushra": [
        (("overall", 2), 100.5, "between 0 and 100"),
        (("overall", 2), 3.3, "steps of 1"),
        (("overall", 0), "4", "a number"),
    ],
    "scale": [
        (("overall", 0), True, "a number"),
        (("overall", 0), float("nan"), "a number"),
        (("overall", 7), 5, "does not ask"),
    ],
    "bs1116": [(("overall", 0), 0.9, "between 1 and 5"), (("overall", 0), 3.75, "steps of 0.1")],
    "ab": [
        (("preference", None), "up", "it can be left, tie, right, both_bad"),
        (("preference", 0), "left", "does not ask"),
    ],
    "abx": [(("x", None), "x", "it can be a, b"), (("x", None), 1, "it can be a, b")],
    "acr": [(("overall", 0), 0, "it can be 5, 4, 3, 2, 1"), (("overall", 0), 3.5, "it can be")],
    "dcr": [(("overall", 0), [3], "it can be"), (("target", 0), 3, "does not ask")],
    "ccr": [(("comparison", None), 4, "it can be 3, 2, 1, 0, -1, -2, -3"), (("comparison", None), True, "it can be")],
    "p835": [(("sig", 0), 6, "it can be"), (("overall", 0), 3, "does not ask")],
    "ranking": [
        (("rank", 0), 1, "a place of its own: 1, 2, 3"),
        (("rank", 0), 4, "between 1 and 3"),
        (("rank", 0), 1.5, "steps of 1"),
    ],
    "text": [
        (("words", 0), "  ", "an answer is needed"),
        (("words", 0), 5, "should be words"),
        (("words", 0), "x" * 4001, "4000"),
    ],
    "marks": [
        (("marks", 0), [{"start": 1, "end": 1, "label": "bleed"}], "end after it begins"),
        (("marks", 0), [{"start": 0, "end": 1, "label": "nice"}], "a label: bleed"),
        (("marks", 0), [{"start": 0, "end": float("inf"), "label": "gap"}], "end after it begins"),
        (("marks", 0), [{"start": "0", "end": 1, "label": "gap"}], "are seconds"),
        (("marks", 0), {"start": 0}, "a list"),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_good_answers_are_taken_and_bad_ones_refused(kind: str) -> None:
    _, question, planned = made(kind)
    assert problems(question, planned, GOOD[kind]) == []
    for at, value, said in BAD[kind]:
        faults = problems(question, planned, {**GOOD[kind], at: value})
        assert len(faults) == 1 and said in faults[0].text and faults[0].field == at[0], (at, value, faults)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "marks"])
def test_what_is_missing_is_named(kind: str) -> None:
    _, question, planned = made(kind)
    for at in GOOD[kind]:
        given = {key: value for key, value in GOOD[kind].items() if key != at}
        assert [(fault.field, fault.position) for fault in problems(question, planned, given)] == [at]
        assert [(fault.field, fault.position) for fault in problems(question, planned, {**given, at: None})] == [at]


def test_sliders_may_stay_if_the_study_says_so_and_are_then_missing() -> None:
    given = {("overall", 1): 90}
    (row,) = rows("mushra", given, must_move=False)
    assert (row.condition, row.position, row.value) == ("reference", 1, 90.0)


def test_zero_is_an_answer() -> None:
    assert [row.value for row in rows("ccr", {("comparison", None): 0})] == [0.0]
    assert str(rows("ccr", {("comparison", None): 0})[0].value) == "0.0"
    assert rows("mushra", {("overall", place): 0 for place in range(3)})[0].value == 0.0


def test_nobody_is_forced_to_give_100() -> None:
    assert len(rows("mushra", {("overall", place): 20 for place in range(3)})) == 3


def test_rows_of_every_kind_say_what_was_said() -> None:
    def said(kind: str, **more: Any) -> list[tuple[str, str, str, float | None, str | None, int]]:
        return [
            (row.attribute, row.condition, row.other, row.value, row.text, row.position)
            for row in rows(kind, GOOD[kind], **more)
        ]

    assert said("mushra") == [
        ("overall", "a", "", 40, None, 0), ("overall", "reference", "", 100, None, 1), ("overall", "b", "", 0, None, 2),
    ]  # fmt: skip
    assert said("bs1116") == [("overall", "a", "", 3.7, None, 0), ("overall", "reference", "", 5, None, 1)]
    assert said("ab") == [("overall", "b", "a", 1, None, 0)]
    assert said("abx") == [("overall", "a", "b", 1, None, 0)]
    assert said("acr") == [("overall", "a", "", 4, None, 0)]
    assert said("ccr") == [("overall", "a", "reference", 2, None, 0)]  # the second is worse, so the first is better
    assert said("p835") == [("bak", "a", "", 5, None, 0), ("sig", "a", "", 1, None, 0), ("ovrl", "a", "", 3, None, 0)]
    assert said("ranking") == [
        ("overall", "c", "", 3, None, 0),
        ("overall", "a", "", 1, None, 1),
        ("overall", "b", "", 2, None, 2),
    ]
    assert said("text") == [("overall", "a", "", None, "a piano & <drums>\n中", 0)]
    assert said("marks")[0][:4] == ("marks", "a", "", None)


def test_ab_answers_and_their_numbers() -> None:
    for value, number, text in (
        ("left", 1, None),
        ("tie", 0, None),
        ("right", -1, None),
        ("both_bad", None, "both_bad"),
    ):
        (row,) = rows("ab", {("preference", None): value})
        assert (row.value, row.text) == (number, text)
    _, question, planned = made("ab", tie=False, both_bad=False)
    assert problems(question, planned, {("preference", None): "tie"})
    assert [row.value for row in rows("abx", {("x", None): "a"})] == [0.0]


def test_rows_carry_the_trial_and_what_was_done() -> None:
    study, _, planned = made("scale", attribute="others", comment=True, marks=True)
    planned = Planned(**{**planned.__dict__, "purpose": "gold", "expected": {"a": 80.0}, "tolerance": 10.0})
    given = {("others", 0): 10, ("others", 1): 70, ("comment", None): "hm", ("marks", 1): []}
    did = Behaviour(seconds=30, played=(4.0, 5.0), moved=(True, False), switches=7)
    found = answers_of(study, planned, given, listener="l", index=3, made=9.0, behaviour=did)
    assert [(row.attribute, row.condition, row.value, row.text) for row in found] == [
        ("others", "b", 10.0, None), ("others", "a", 70.0, None), ("marks", "a", None, "[]"), ("comment", "", None, "hm"),
    ]  # fmt: skip
    first, second = found[:2]
    assert (first.expected, second.expected, second.tolerance, second.purpose) == (None, 80.0, 10.0, "gold")
    assert (second.played, second.moved, second.seconds, second.switches) == (5.0, False, 30, 7)
    assert (second.listener, second.trial, second.index, second.item, second.group, second.made) == (
        "l",
        "0-1",
        3,
        "i",
        "song",
        9,
    )
    assert {row.expected for row in found[2:]} == {None}


def test_expected_words_are_compared_whatever_their_case() -> None:
    study, _, planned = made("text")
    planned = Planned(**{**planned.__dict__, "purpose": "trap", "expected": {"": "Number seven"}})
    for words, value in (("  number   SEVEN ", 1.0), ("seven", 0.0)):
        (row,) = answers_of(study, planned, {("words", 0): words}, listener="l", index=0, made=0.0)
        assert (row.value, row.expected, row.text) == (value, 1.0, words)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 9), st.sampled_from(LABELS)), max_size=5),
    st.text(min_size=1, max_size=50),
)
def test_marks_and_words_come_back_as_they_were(marks: list[tuple[float, float, str]], remark: str) -> None:
    given = [{"start": start, "end": start + length, "label": label} for start, length, label in marks]
    found = rows("marks", {("marks", 0): given, ("comment", None): remark}, comment=True)
    assert json.loads(found[0].text or "") == given and found[1].text == remark
    assert json.loads(rows("marks", {})[0].text or "") == []  # nothing is wrong with it: an answer, too


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(KINDS), st.data())
def test_what_the_fields_allow_is_taken_and_said_once(kind: str, data: st.DataObject) -> None:
    """Values drawn from the fields themselves, as a page would: all are taken, and every field has its row."""
    _, question, planned = made(kind)
    tokens = [str(place) for place in range(len(planned.conditions))]
    fields = fields_of(question, tokens, words_in("en"), order=planned.fields)
    ranks = data.draw(st.permutations(range(1, len(tokens) + 1)))
    given = {(one.name, None if one.of is None else int(one.of)): data.draw(_value(one, ranks)) for one in fields}
    found = rows(kind, given)
    assert len(found) == len(fields) == len({(row.attribute, row.condition) for row in found})
    if kind in ("mushra", "scale", "bs1116", "acr", "dcr", "p835", "ranking"):
        assert [row.value for row in found] == [float(value) for value in given.values()]


def _value(field: Field, ranks: list[int]) -> st.SearchStrategy[Any]:
    if field.kind == "rank":
        return st.just(ranks[int(field.of or 0)])
    if field.kind == "slider":
        assert field.min is not None and field.max is not None and field.step
        low, step = field.min, field.step
        return st.integers(0, round((field.max - field.min) / field.step)).map(
            lambda steps: round(low + steps * step, 6)
        )
    if field.kind in ("scale", "choice"):
        return st.sampled_from([option.value for option in field.options])
    return st.text(min_size=1).filter(str.strip) if field.kind == "text" else st.just([])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_fields_in_every_language(kind: str, language: str) -> None:
    _, question, planned = made(kind, comment=True, marks=True)
    tokens = [f"t{place}" for place in range(len(planned.conditions))]
    fields = fields_of(question, tokens, words_in(language), language, order=planned.fields)
    assert all(field.label and all(option.label for option in field.options) for field in fields)
    assert {field.of for field in fields} <= {*tokens, None}
    assert len({(field.name, field.of) for field in fields}) == len(fields)
    shown = str(fields)
    assert not any(f"'{condition}'" in shown for condition in ("reference", "c"))  # names never reach the listener
    sliders = [field for field in fields if field.kind == "slider"]
    assert all(len(field.bands) == 5 for field in sliders)
    if kind == "bs1116":
        assert [(field.min, field.max, field.step) for field in sliders] == [(1, 5, 0.1)] * 2  # 41 steps
    if kind == "p835":
        assert [field.name for field in fields[:3]] == ["bak", "sig", "ovrl"]
        assert {field.name for field in fields_of(question, tokens, words_in(language))[:3]} == set(P835)


def test_a_title_of_the_studys_own_is_what_is_asked() -> None:
    _, question, _ = made("acr", title={"en": "How natural?", "de": "Wie natürlich?"})
    assert fields_of(question, ["t"], words_in("de"), "de")[0].label == "Wie natürlich?"


def test_forms() -> None:
    asks = (
        Ask(name="age", kind="number", label={"en": "Age", "de": "Alter"}, minimum=18, maximum=120, required=True),
        Ask(name="plays", kind="choices", label="Plays", options=({"en": "Piano", "de": "Klavier"}, "Oud")),
        Ask(name="ears", kind="check", label="Hears well", required=True),
        Ask(name="job", kind="choice", label="Job", options=("yes", "no")),
        Ask(name="more", kind="text", label="More"),
    )
    fields = fields_of_form(asks, "de")
    assert [field.label for field in fields] == ["Alter", "Plays", "Hears well", "Job", "More"]
    assert fields[1].options[0] == ("Piano", "Klavier")
    good: dict[tuple[str, int | None], Any] = {("age", None): 30, ("ears", None): True, ("plays", None): ["Piano"]}
    assert problems_of_form(asks, good) == []
    bad = {
        ("age", None): 17, ("ears", None): False, ("plays", None): ["Piano", "Piano"], ("job", None): "maybe",
        ("more", None): ["x"], ("name", None): "me",
    }  # fmt: skip
    assert [fault.field for fault in problems_of_form(asks, bad)] == ["age", "plays", "ears", "job", "more", "name"]
    assert [fault.field for fault in problems_of_form(asks, {})] == ["age", "ears"]
