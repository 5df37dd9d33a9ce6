"""Submitted = stored = exported = imported, for every kind of question, from the listener's page to the researcher's file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from separation.cli import app
from separation.listening import results
from separation.listening.analysis import analyse
from separation.listening.answers import Answer
from separation.listening.exports import export, read, read_events
from separation.listening.report import markdown
from separation.listening.sessions import Entry
from separation.listening.simulated import value_of
from separation.listening.study import Ask, Assignment, Page
from separation.ratings.sessions import Sessions
from tests.listening.small_study import EVERY_KIND, House, parsed, small_study

CONSENT = Page(kind="questionnaire", fields=(Ask(name="training", kind="check", label="May it be used for training?"),))
PAGES = (Page(kind="consent"), Page(kind="trials"), CONSENT, Page(kind="end"))


def take(house: House, pid: str, rng: np.random.Generator) -> list[tuple[str, Any]]:
    """One listener through the whole test; the number or words of every field of a trial, as they were entered."""
    token, page = house.listening.enter(Entry(house.study.name, pid=pid))
    entered = []
    while page["kind"] != "end":
        heard = {each["token"]: float(rng.uniform(0, 100)) for each in page["stimuli"]}
        heard |= {"x": float(rng.uniform(0, 100))} if page["layout"] == "abx" else {}
        sounds = [each["token"] for each in (*page["references"], *page["stimuli"])]
        payloads = [{"kind": "did", "what": "heard", "of": sound, "detail": {"seconds": 2.5}} for sound in sounds]
        for field in page["fields"]:
            value = value_of(field, heard, rng)
            value = {"comment": f"=words of {pid}", "training": pid != "p0"}.get(field["name"], value)
            if value is None:
                continue
            payloads.append({"kind": "given", "field": field["name"], "of": field["of"], "value": value})
            if page["kind"] == "trial":
                entered.append((field["name"], value))
        events = [
            {"id": f"{page['token'][:20]}-{number:04}", "made": 1_700_000_000_000 + number, "payload": payload}
            for number, payload in enumerate(payloads)
        ]
        house.listening.save(token, page["token"], parsed(events))
        page = house.listening.go_on(token, page["token"])
    return entered


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    questions = tuple(
        one.model_copy(update={"comment": True, "marks": one.kind != "marks"}) for one in EVERY_KIND
    )  # fmt: skip
    study = small_study(
        questions=questions,
        pages=PAGES,
        assignment=Assignment(listeners=4, repeats=0.2, repeat_gap=1),
        completion_code="",
    )
    return House(tmp_path_factory.mktemp("house"), study)


@pytest.fixture(scope="module")
def entered(house: House) -> list[tuple[str, Any]]:
    rng = np.random.default_rng(5)
    return [one for k in range(3) for one in take(house, f"p{k}", rng)]


def stored(house: House) -> list[Answer]:
    sessions = Sessions(house.store, clock=house.clock)
    return results.answers(house.study, house.opened.plan, sessions, house.store)


def test_every_field_that_was_entered_is_an_answer(house: House, entered: list[tuple[str, Any]]) -> None:
    rows = stored(house)
    empty = sum(one.attribute == "marks" and one.kind == "marks" and one.text == "[]" for one in rows)
    assert len(rows) - empty == len(entered)  # a question of marks that was left empty says so
    numbers = sorted(value for name, value in entered if name in ("overall", "sig", "bak", "ovrl", "rank"))
    kept = sorted(one.value for one in rows if one.value is not None and one.kind not in ("ab", "abx", "ccr"))
    assert kept == numbers
    compared = sorted(-value for name, value in entered if name == "comparison")
    assert sorted(one.value for one in rows if one.kind == "ccr" and one.value is not None) == compared
    left = {"left": 1.0, "right": -1.0, "tie": 0.0, "both_bad": None}
    chosen = [left[value] for name, value in entered if name == "preference"]
    assert sorted(map(str, chosen)) == sorted(
        str(one.value) for one in rows if one.kind == "ab" and one.attribute == "overall"
    )
    assert {one.text for one in rows if one.attribute == "comment"} == {f"=words of p{k}" for k in range(3)}


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_what_is_stored_is_exported_and_imported(
    house: House, entered: list[tuple[str, Any]], format: str, tmp_path: Path
) -> None:
    rows = stored(house)
    assert rows and entered
    export(house.study, rows, tmp_path / f"a.{format}", format)
    assert read(tmp_path / f"a.{format}", format, house.study).answers == rows


def test_webmushra_gets_all_grades_of_its_kinds(house: House, entered: list[tuple[str, Any]], tmp_path: Path) -> None:
    rows = [one for one in stored(house) if one.purpose in ("test", "repeat")]
    done = export(house.study, rows, tmp_path / "w", "webmushra")
    back = read(tmp_path / "w", "webmushra", house.study).answers
    kinds = ("mushra", "bs1116", "abx", "acr", "dcr", "p835", "scale")
    mine = [one for one in rows if one.kind in kinds and one.value is not None]
    about = ("listener", "question", "item", "group", "attribute", "condition", "other", "value", "purpose")
    said = [
        sorted(tuple(getattr(one, name) for name in about) for one in some)
        for some in (mine, [b for b in back if not b.text])
    ]
    assert said[0] == said[1] and entered
    assert any(text.endswith("of ranking") for text in done.missing)


def test_the_report_and_the_commands_read_the_database(
    house: House, entered: list[tuple[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = analyse(house.study, stored(house), draws=100)
    assert analysis.listeners == 3 and entered
    assert {judged.kind for judged in analysis.questions} == {one.kind for one in EVERY_KIND}
    text = markdown(house.study, analysis, prepared=house.opened.prepared, plan=house.opened.plan)
    assert "weights-of-wavebox" in text and "=words of p2" in text
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    (tmp_path / "studies").symlink_to(house.home.parent)
    database = f"sqlite:///{house.home.parents[1] / 'ratings.db'}"
    for format, name, told in (
        ("events", "e.jsonl", "events"), ("parquet", "a.parquet", "answers"), ("preferences", "pairs", "train"),
    ):  # fmt: skip
        given = ["study", "export", house.study.name, "--format", format, "--output", str(tmp_path / name)]
        done = CliRunner().invoke(app, [*given, "--database", database])
        assert done.exit_code == 0 and told in done.output, done.output + repr(done.exception)
    assert read(tmp_path / "a.parquet", "parquet", house.study).answers == stored(house)
    assert sum(event["event"] == "given" for event in read_events(tmp_path / "e.jsonl")) >= len(entered)
