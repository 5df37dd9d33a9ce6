"""What is read back is what was written, for every format that reads; what a format cannot say it names."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from separation.audio import open_reader
from separation.errors import StudyError
from separation.listening import exports
from separation.listening.answers import Answer
from separation.listening.exports import FOLDERS, FORMATS, READABLE, export, read, read_events
from separation.listening.other_tools import names_of
from separation.listening.preferences import preferences
from separation.listening.prepared import AUDIO_FOLDER, ItemAudio, Prepared, Stimulus
from separation.listening.study import Question, Study
from tests.listening.made_answers import SYSTEMS, answer, study

QUIET = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
NAME = st.text("abcXYZ-_0189é", min_size=1, max_size=8)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Any answer: a number, words, or (a text with a known answer) both."""
    value = draw(st.none() | NUMBER)
    text = draw(TEXT) if value is None else draw(st.none() | TEXT.filter(bool))
    return Answer(
        draw(TEXT), draw(TEXT), draw(st.integers(0, 2**40)), draw(NAME), "mushra", draw(NAME), draw(TEXT), draw(NAME),
        draw(TEXT), draw(TEXT), value, text, draw(st.integers(0, 99)),
        draw(st.sampled_from(["training", "test", "repeat", "gold", "trap"])), draw(st.none() | TEXT.filter(bool)),
        draw(st.none() | NUMBER), draw(NUMBER), draw(NUMBER), draw(NUMBER), draw(st.integers(0, 999)), draw(st.booleans()),
        draw(NUMBER),
    )  # fmt: skip


@QUIET
@pytest.mark.parametrize("format", ["csv", "parquet"])
@given(rows=st.lists(answers(), max_size=5))
def test_tidy_tables_come_back_to_the_last_bit(format: str, rows: list[Answer], tmp_path: Path) -> None:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.{format}"
    assert export(study(), rows, path, format).rows == {"answers": len(rows)}
    assert read(path, format, study()).answers == rows


def test_text_of_strangers_is_no_formula(tmp_path: Path) -> None:
    rows = [answer("a", "i0", "", None, text=text) for text in ("=1+1", "'quoted", "-", "plain", "line\r\nline")]
    export(study(), rows, tmp_path / "a.csv", "csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        cells = [row["text"] for row in csv.DictReader(file)]
    assert cells == ["'=1+1", "''quoted", "'-", "plain", "line\r\nline"]
    assert read(tmp_path / "a.csv", "csv", study()).answers == rows


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXT, each, max_size=3),
    max_leaves=8,
)


@QUIET
@given(events=st.lists(st.dictionaries(TEXT, JSON, max_size=4), max_size=4))
def test_events_come_back(events: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
    assert export(study(), [], path, "events", events=events).rows == {"events": len(events)}
    assert list(read_events(path)) == events


WIDE = study(
    Question(id="q", kind="mushra"),
    Question(id="again", kind="mushra"),
    Question(id="b", kind="bs1116"),
    Question(id="x", kind="abx"),
    Question(id="v", kind="acr"),
    Question(id="d", kind="dcr"),
    Question(id="p", kind="p835"),
    Question(id="s", kind="scale", attribute="target"),
)
SAID = ("listener", "question", "kind", "item", "group", "attribute", "condition", "other", "value", "text", "purpose")


def said(rows: list[Answer]) -> list[tuple[Any, ...]]:
    """What webMUSHRA's files can say of answers: times in milliseconds, no order but that of the rows of one trial."""
    first = {(one.listener, one.question, one.item): one.trial for one in rows if one.purpose == "test"}
    return sorted(
        (
            *(getattr(one, name) for name in SAID),
            round(1000 * one.seconds),
            one.repeat_of is not None and first.get((one.listener, one.question, one.item)) == one.repeat_of,
        )
        for one in rows
    )  # fmt: skip


@st.composite
def sessions(draw: st.DrawFn) -> list[Answer]:
    """Some trials of some listeners, with remarks and repeats, of every kind that webMUSHRA has."""
    rows: list[Answer] = []
    for listener in draw(st.lists(NAME, min_size=1, max_size=3, unique=True)):
        places = st.tuples(st.sampled_from(WIDE.questions), st.sampled_from(WIDE.items))
        unique = st.lists(places, min_size=1, max_size=4, unique_by=lambda place: (place[0].id, place[1].id))
        for question, item in draw(unique):
            for again in (False, True) if draw(st.booleans()) else (False,):
                trial = f"{listener}/{question.id}/{item.id}/{again}"
                about = {
                    "trial": trial, "question": question.id, "kind": question.kind, "group": item.group,
                    "attribute": question.attribute, "seconds": draw(st.integers(0, 10**7)) / 1000,
                    "purpose": "repeat" if again else "test",
                    "repeat_of": f"{listener}/{question.id}/{item.id}/False" if again else None,
                }  # fmt: skip
                rows += _trial(draw, listener, item.id, question.kind, about)
                if question.kind in ("mushra", "bs1116", "abx") and draw(st.booleans()):
                    text = draw(TEXT.filter(bool))
                    rows.append(answer(listener, item.id, "", None, **(about | {"attribute": "comment", "text": text})))
    return rows


def _trial(draw: st.DrawFn, listener: str, item: str, kind: str, about: dict[str, Any]) -> list[Answer]:
    grade = st.integers(1, 5).map(float) | st.integers(10, 50).map(lambda tenth: tenth / 10)
    if kind == "abx":
        return [answer(listener, item, "one", float(draw(st.booleans())), **(about | {"other": "two"}))]
    if kind == "bs1116":
        return [answer(listener, item, name, draw(grade), **about) for name in ("two", "reference")]
    if kind == "p835":
        names = ("sig", "bak", "ovrl")
        return [answer(listener, item, "one", draw(grade), **(about | {"attribute": name})) for name in names]
    chosen = ("reference", "low", "mid", *SYSTEMS) if kind == "mushra" else ("three",)
    return [answer(listener, item, name, draw(grade), **about) for name in chosen]


FORMS = st.dictionaries(NAME, TEXT, max_size=2)


@QUIET
@given(rows=sessions(), form=FORMS)
def test_webmushra_files_come_back(rows: list[Answer], form: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    forms = {one.listener: form for one in rows}
    done = export(WIDE, rows, folder, "webmushra", forms=forms)
    assert done.missing == ()
    back = read(folder, "webmushra", WIDE)
    assert said(back.answers) == said(rows)
    assert all(back.forms[listener] == form for listener in forms)
    again = tmp_path / f"{folder.name}-again"
    export(WIDE, back.answers, again, "webmushra", forms=back.forms)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


@QUIET
@given(rows=sessions(), form=FORMS)
def test_the_table_of_pymushra_comes_back(rows: list[Answer], form: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
    forms = {one.listener: form for one in rows}
    theirs = [one for one in rows if one.kind == "mushra"]
    if not any(one.value is not None for one in theirs):
        with pytest.raises(StudyError, match="no answers to questions of the kinds mushra"):
            export(WIDE, rows, path, "pymushra", forms=forms)
        return
    done = export(WIDE, rows, path, "pymushra", forms=forms)
    back = read(path, "pymushra", WIDE)
    assert said(back.answers) == said(theirs)
    assert done.rows["mushra"] == sum(one.value is not None for one in theirs)
    assert bool(done.missing) == (len(theirs) < len(rows))


@QUIET
@given(rows=sessions())
def test_votes_of_p808_come_back(rows: list[Answer], tmp_path: Path) -> None:
    votes = [
        one for one in rows if one.kind in ("acr", "dcr", "p835") and one.purpose == "test" and one.value is not None
    ]
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    if not votes:
        with pytest.raises(StudyError, match="no answers to questions of the kinds acr, dcr, p835"):
            export(WIDE, rows, folder, "p808")
        return
    export(WIDE, rows, folder, "p808")
    back = read(folder, "p808", WIDE).answers
    assert sorted(map(_vote, back)) == sorted(map(_vote, votes))


def _vote(one: Answer) -> tuple[Any, ...]:
    return one.listener, one.trial, one.question, one.attribute, one.item, one.condition, one.value


def test_webmushra_calls_anchors_by_its_names_and_has_its_columns(tmp_path: Path) -> None:
    assert names_of(WIDE) == {"low": "anchor35", "mid": "anchor70"}
    rows = [answer("u1", "i0", name, 50.0, seconds=1.5) for name in ("reference", "low", "one")]
    export(WIDE, rows, tmp_path / "out", "webmushra", forms={"u1": {"age": "30"}})
    lines = (tmp_path / "out" / "mushra.csv").read_text(encoding="utf-8").splitlines()
    head = "session_test_id,age,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment"
    assert lines == [head, *(f"tiny,30,u1,q::i0,{name},50,1500," for name in ("reference", "anchor35", "one"))]


def test_a_file_of_webmushra_itself_is_read_by_its_pages(tmp_path: Path) -> None:
    """As its server writes them: older ones have no session_uuid in other files; ratings may stand between spaces."""
    (tmp_path / "mushra.csv").write_text(
        "session_test_id,email,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
        "t,a@b.c,uuid,i1,anchor70,55,2500,ok\nt,a@b.c,uuid,i1,reference,100,2500,ok\n",
        encoding="utf-8",
    )
    (tmp_path / "lss.csv").write_text(
        'session_test_id,email,trial_id,stimuli_rating,stimuli,rating_time\nt,a@b.c,i0," 4 ",one,900\n',
        encoding="utf-8",
    )
    back = read(tmp_path, "webmushra", WIDE)
    assert [(one.kind, one.item, one.condition, one.value) for one in back.answers if one.value is not None] == [
        ("mushra", "i1", "mid", 55.0), ("mushra", "i1", "reference", 100.0), ("acr", "i0", "one", 4.0),
    ]  # fmt: skip
    assert [one.text for one in back.answers if one.text] == ["ok"]
    assert back.forms == {"uuid": {"email": "a@b.c"}, "a@b.c": {"email": "a@b.c"}}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("i1,", "i9,"), "line 2: the study has no item 'i9'"),
        ((",55,", ",much,"), "'much' is no number"),
        (("rating_score", "score"), "column rating_score is missing"),
        ((",ok", ""), "line 2 has another number of cells"),
    ],
)
def test_broken_files_of_webmushra_are_refused_by_line(change: tuple[str, str], match: str, tmp_path: Path) -> None:
    text = (
        "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"
        "t,uuid,i1,anchor70,55,2500,ok\n"
    )
    (tmp_path / "mushra.csv").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(StudyError, match=match):
        read(tmp_path, "webmushra", WIDE)


def test_a_format_names_what_it_cannot_say(tmp_path: Path) -> None:
    rows = [
        answer("a", "i0", "one", 1.0, kind="ab", other="two"),
        answer("a", "i0", "one", 50.0),
        answer("a", "i0", "one", None, attribute="marks", text="[]"),
        answer("a", "i1", "one", 50.0, purpose="gold", expected=50.0),
    ]
    assert export(study(), rows, tmp_path / "a", "webmushra").missing == ("1 of ab", "1 of marks")


def test_votes_have_the_toolkits_figures(tmp_path: Path) -> None:
    rows = [answer(f"l{k}", "i0", "one", float(vote), kind="acr", question="v") for k, vote in enumerate([2, 3, 5, 4])]
    export(WIDE, rows, tmp_path / "p", "p808")
    with (tmp_path / "p" / "v_votes_per_cond.csv").open(encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    deviation = float(np.std([2, 3, 5, 4], ddof=1))
    assert (row["condition"], float(row["MOS"]), row["n"]) == ("one", 3.5, "4")
    assert float(row["std"]) == pytest.approx(deviation, abs=1e-6)
    assert float(row["95%CI"]) == pytest.approx(1.96 * deviation / 2, abs=1e-6)
    with (tmp_path / "p" / "v_votes_per_clip.csv").open(encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert row["file"] == "i0/one" and [row[f"vote_{k}"] for k in range(1, 5)] == ["2", "3", "5", "4"]


def test_what_cannot_be_done_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("x", encoding="utf-8")
    with pytest.raises(StudyError, match="there already"):
        export(study(), [], there, "csv")
    with pytest.raises(StudyError, match="no such format"):
        export(study(), [], tmp_path / "a", "xlsx")
    with pytest.raises(StudyError, match="audio was not handed in"):
        export(study(), [], tmp_path / "a", "preferences")
    with pytest.raises(StudyError, match="cannot be read"):
        read(there, "preferences", study())
    with pytest.raises(StudyError, match="line 1: its columns are x"):
        read(there, "csv", study())
    with pytest.raises(StudyError, match="Parquet"):
        read(there, "parquet", study())
    with pytest.raises(StudyError, match="it is a file"):
        read(there, "webmushra", study())
    with pytest.raises(StudyError, match="line 1 is no JSON object"):
        list(read_events(there))
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]
    assert set(READABLE) < set(FORMATS) > set(FOLDERS)


@pytest.mark.parametrize(
    ("cells", "match"),
    [({"purpose": "fun"}, "'fun' is no purpose"), ({"index": "x"}, "line 2"), ({"moved": "yes"}, "line 2")],
)
def test_a_line_that_is_no_answer_is_named(cells: dict[str, str], match: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    export(study(), [answer("a", "i0", "one", 1.0)], path, "csv")
    with path.open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row | cells)
    with pytest.raises(StudyError, match=match):
        read(path, "csv", study())


# Preference pairs


def prepared(of: Study, folder: Path, *, mixture: bool = True) -> Prepared:
    """Noise for every system of every item, and the mixture."""
    rng, stimuli = np.random.default_rng(1), []
    (folder / AUDIO_FOLDER).mkdir(parents=True)
    for item in of.items:
        for name in (*SYSTEMS, *(("mixture",) if mixture else ())):
            audio = f"{item.id}-{name}"
            rng.integers(-32768, 32768, 2 * 400, dtype="<i2").tofile(folder / AUDIO_FOLDER / f"{audio}.pcm")
            stimuli.append(Stimulus(item.id, name, audio, -1.5, -23.0, 0, 4000.0, f"sha-{audio}"))
    items = {item.id: ItemAudio(8000, 2, 400) for item in of.items}
    return Prepared(of.name, "hash" * 16, tuple(stimuli), items, {"one": "files abc"}, folder=folder)


def votes() -> list[Answer]:
    """Of three listeners two prefer one on i0; i1 is a tie; a fourth does not allow training."""
    said = {"i0": (1.0, 1.0, -1.0, -1.0), "i1": (1.0, -1.0, 0.0, 1.0)}
    rows = [
        answer(f"l{k}", item, "one", value, kind="ab", other="two")
        for item, values in said.items()
        for k, value in enumerate(values)
    ]
    return [*rows, answer("l0", "i2", "one", None, kind="ab", other="two", text="both_bad")]


def test_preferences_are_a_folder_of_metadata_and_audio(tmp_path: Path) -> None:
    tiny = study(Question(id="q", kind="ab"))
    audio = prepared(tiny, tmp_path / "study")
    done = export(
        tiny, votes(), tmp_path / "out", "preferences", prepared=audio, consented={"l0", "l1", "l2"},
        provenance={"licence": "CC0-1.0"},
    )  # fmt: skip
    assert done.rows == {"train": 1, "ties": 1}
    [row] = [json.loads(line) for line in (tmp_path / "out/train/metadata.jsonl").read_text("utf-8").splitlines()]
    assert (row["votes"], row["chosen_votes"], row["rejected_votes"], row["tied_votes"]) == (3, 2, 1, 0)
    assert row["margin"] == pytest.approx(1 / 3) and row["agreement"] == pytest.approx(2 / 3)
    assert (row["chosen_model"], row["rejected_model"]) == ("one@files abc", "two")
    assert (row["licence"], row["provenance"], row["consent_training"]) == ("CC0-1.0", "unknown", True)
    assert json.loads(row["prompt"])["item"] == "i0" and row["chosen_sha256"] == "sha-i0-one"
    for role, name in (("chosen", "one"), ("rejected", "two"), ("mixture", "mixture")):
        with open_reader(tmp_path / "out/train" / row[f"{role}_file_name"]) as reader:
            heard = reader.read(0, reader.length)
            assert (reader.sample_rate, reader.channels, reader.info.bit_depth) == (8000, 2, "16")
        assert np.array_equal(heard, audio.samples(audio.find("i0", name)))
    [tie] = [json.loads(line) for line in (tmp_path / "out/ties/metadata.jsonl").read_text("utf-8").splitlines()]
    assert (tie["chosen_votes"], tie["rejected_votes"], tie["tied_votes"], tie["margin"]) == (1, 1, 1, 0.0)
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert "split: train\n    path: train/**" in card and "split: ties\n    path: ties/**" in card


def test_preferences_without_a_mixture_or_a_tie_have_no_place_for_them(tmp_path: Path) -> None:
    tiny = study(Question(id="q", kind="ab"))
    audio = prepared(tiny, tmp_path / "study", mixture=False)
    export(tiny, votes()[:3], tmp_path / "out", "preferences", prepared=audio, consented={"l0", "l1", "l2"})
    [row] = (tmp_path / "out/train/metadata.jsonl").read_text("utf-8").splitlines()
    assert "mixture_file_name" not in json.loads(row) and not (tmp_path / "out/ties").exists()


def test_nobody_is_in_preferences_without_consent(tmp_path: Path) -> None:
    tiny = study(Question(id="q", kind="ab"))
    with pytest.raises(StudyError, match="none of the 0 listeners who allow training"):
        export(tiny, votes(), tmp_path / "out", "preferences", prepared=prepared(tiny, tmp_path / "study"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "first", "second"), [("mushra", 80.0, 60.0), ("acr", 4.0, 2.0), ("ranking", 1.0, 3.0)]
)
def test_grades_are_votes_for_the_better_system_of_an_item(kind: str, first: float, second: float) -> None:
    rows = [
        answer("a", "i0", name, value, kind=kind) for name, value in (("one", first), ("two", second), ("low", 0.0))
    ]
    [pair] = preferences(study(), rows, {"a"})
    assert (pair.chosen, pair.rejected, pair.margin, pair.votes) == ("one", "two", abs(first - second), 1)


def test_a_listener_has_one_vote_however_often_they_were_asked_and_on_whatever_side() -> None:
    rows = [
        answer("a", "i0", "one", 1.0, kind="ab", other="two"),
        answer("a", "i0", "two", -1.0, kind="ab", other="one", trial="b", purpose="repeat"),
        answer("b", "i0", "two", 1.0, kind="ab", other="one"),
    ]
    [pair] = preferences(study(), rows, {"a", "b"})
    assert (pair.chosen_votes, pair.rejected_votes, pair.margin, pair.tie) == (1, 1, 0.0, True)
    [pair] = preferences(study(), rows[:2], {"a"})
    assert (pair.chosen, pair.votes, pair.margin) == ("one", 1, 1.0)


def test_a_majority_that_says_less_than_the_rest_is_a_tie() -> None:
    grades = {"a": (51.0, 50.0), "b": (51.0, 50.0), "c": (0.0, 100.0)}
    rows = [
        answer(name, "i0", s, v) for name, values in grades.items() for s, v in zip(("one", "two"), values, strict=True)
    ]
    [pair] = preferences(study(), rows, set(grades))
    assert pair.chosen == "one" and pair.margin < 0 and pair.tie


def test_the_row_of_an_answer_is_the_table() -> None:
    assert tuple(exports.ANSWERS.names) == tuple(Answer.__dataclass_fields__)
    one = replace(answer("a", "i0", "one", 0.1 + 0.2), made=math.pi)
    assert exports._value("made", exports._cell(one.made)) == math.pi
