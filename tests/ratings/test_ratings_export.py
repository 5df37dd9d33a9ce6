"""Submitted = stored = exported = imported; what was withdrawn, and every token, stays out."""

import csv
import errno
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from separation.audio import open_reader
from separation.errors import DiskFull, RatingError
from separation.ratings import ClipFolder, Event, Store, rating_of
from separation.ratings.export import COMMENTS, FORMATS, MARKS, RATINGS, TABLES, export, import_jsonl
from separation.signals import Signal
from tests.ratings.made_ratings import EVENTS, event

SERVED = {
    "model": "vocals", "weights": "abc", "origin": "vocals", "version": "1.0", "sample_rate": 8000, "job": "hash",
    "clip": {"start": 4000, "length": 8000}, "licence": "CC0-1.0",
}  # fmt: skip
MARK = {"mark": "mark-001", "stem": "vocals", "start": 1.0, "end": 2.5, "label": "bleed", "severity": 2}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    seconds = count()
    opened = Store(f"sqlite:///{tmp_path / 'ratings.db'}", clock=lambda: 1_700_000_000.25 + next(seconds))
    yield opened
    opened.close()


@pytest.fixture
def clips(tmp_path: Path) -> ClipFolder:
    return ClipFolder(tmp_path / "clips")


def sound(seed: int) -> Signal:
    return Signal(np.random.default_rng(seed).uniform(-0.5, 0.5, (2, 8000)).astype(np.float32), 8000)


def answer(made: int, value: int | None = 3, **more: Any) -> Event:
    return event(made, **{"stem": "vocals", "scale": "overall", "value": value} | more)


def consent(made: int, training: bool = True) -> Event:
    return event(made, kind="consent", training=training)


def heard(made: int, **saw: bool) -> Event:
    seen = dict.fromkeys(("saw_model", "saw_metrics", "saw_views"), False) | saw
    seconds, modes = {"vocals": 2.0, "mixture": 1.0}, {"solo": {"vocals": 0.5}, "other take": {"vocals": 4.0}}
    return event(made, identity=f"heard-{made:04}", kind="heard", seconds=seconds, modes=modes, **seen)


def filled(store: Store, clips: ClipFolder) -> dict[str, str]:
    """Three trials: one consented, one not, one withdrawn. Returns their tokens by name."""
    tokens = {}
    mixture = clips.put(sound(0))
    for seed, name in enumerate(("consented", "refused", "withdrawn"), start=1):
        roles = {"mixture": mixture, "stem:vocals": clips.put(sound(seed))}
        _, tokens[name] = store.serve(f"listener-{name}", "rating", SERVED, roles)
        said = [heard(5), answer(10, seed), event(11, kind="mark", **MARK, band_hz=[200.0, 900.0])]
        said += [event(12, kind="comment", text=f"=secret-{name}"), consent(13, name == "consented")]
        store.save(tokens[name], said)
    store.withdraw(tokens["withdrawn"])
    return tokens


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(trials=st.lists(st.lists(EVENTS, max_size=5, unique_by=lambda made: made.id), max_size=3))
def test_submitted_is_stored_is_exported_is_imported(
    tmp_path_factory: pytest.TempPathFactory, trials: list[list[Event]]
) -> None:
    folder = tmp_path_factory.mktemp("ratings")
    stores = [Store(f"sqlite:///{folder / name}.db") for name in ("one", "two")]
    for number, events in enumerate(trials):
        served = SERVED | {"gain": 0.1 + number, "Ümlaut": [None, "\x00"]}
        _, token = stores[0].serve("listener", "rating", served, {"mixture": "a" * 64})
        stores[0].save(token, events)
    export(stores[0], folder / "one.jsonl", "jsonl")
    assert import_jsonl(stores[1], folder / "one.jsonl").restored == len(trials)
    before, after = (list(one.snapshot()) for one in stores)
    assert before == after
    submitted = sorted((e.id, e.made, e.content) for events in trials for e in events)
    assert sorted((s.event.id, s.event.made, s.event.content) for _, kept in after for s in kept) == submitted
    assert import_jsonl(stores[1], folder / "one.jsonl") == (0, len(trials), 0), "twice does no harm"
    export(stores[1], folder / "two.jsonl", "jsonl")
    assert (folder / "one.jsonl").read_bytes() == (folder / "two.jsonl").read_bytes()
    rows = export(stores[0], folder / "tables", "parquet").rows
    ratings = [rating_of(events) for events in trials]
    assert rows["ratings"] == sum(len(rating.answers) for rating in ratings)
    assert rows["marks"] == sum(len(rating.marks) for rating in ratings)
    assert rows["comments"] == sum(1 for rating in ratings for text in rating.comments.values() if text)
    assert export(stores[0], folder / "csv", "csv").rows == rows
    for name in TABLES:
        assert len(table(folder / "csv", name)) == pq.read_metadata(folder / "tables" / f"{name}.parquet").num_rows
    for one in stores:
        one.close()


@pytest.mark.parametrize("format", FORMATS)
def test_no_export_has_a_token_or_what_was_withdrawn(
    store: Store, clips: ClipFolder, tmp_path: Path, format: str
) -> None:
    tokens = filled(store, clips)
    output = tmp_path / "export"
    export(store, output, format, clips=clips)
    files = [output] if output.is_file() else [path for path in output.rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    for path in files:
        if path.suffix == ".parquet":
            content += str(pq.read_table(path).to_pylist()).encode()
    assert b"secret-consented" in content and b"secret-withdrawn" not in content
    assert not any(token.encode() in content for token in tokens.values())
    assert b"listener-withdrawn" not in content
    assert (b"secret-refused" in content) == (format != "datasets")
    with pytest.raises(RatingError, match="there already"):
        export(store, output, format, clips=clips)


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_only_consented_means_the_last_word(store: Store, clips: ClipFolder, tmp_path: Path, format: str) -> None:
    tokens = filled(store, clips)
    assert (
        export(store, tmp_path / "a", format, only_consented=True).rows["trials" if format == "jsonl" else "ratings"]
        == 1
    )
    store.save(tokens["consented"], [consent(99, False)])
    assert not any(export(store, tmp_path / "b", format, only_consented=True).rows.values())


def test_the_tables_say_what_was_said(store: Store, clips: ClipFolder, tmp_path: Path) -> None:
    filled(store, clips)
    export(store, tmp_path / "csv", "csv")
    first = table(tmp_path / "csv", "ratings")[0]
    assert list(first) == RATINGS.names
    expected = {
        "listener": "listener-consented", "kind": "rating", "served": "2023-11-14T22:13:20.250+00:00", "model": "vocals",
        "weights": "abc", "version": "1.0", "consent": "true", "stem": "vocals", "scale": "overall", "value": "1",
        "blind": "true", "made": "1970-01-01T00:00:00.010+00:00", "heard_stem": "2.0", "heard_solo": "0.5",
        "heard_loop": "0.0", "heard_other_take": "4.0", "heard_all": "3.0", "edit": "", "edit_of": "", "subject": "hash",
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert first["stem_clip"] in clips and first["mixture_clip"] in clips
    (mark, _) = table(tmp_path / "csv", "marks")
    assert list(mark) == MARKS.names
    expected = {"start": "1.0", "end": "2.5", "label": "bleed", "severity": "2", "low_hz": "200.0", "high_hz": "900.0"}
    assert {name: mark[name] for name in expected} == expected and mark["clip_start"] == "0.5"
    (comment, _) = table(tmp_path / "csv", "comments")
    assert list(comment) == COMMENTS.names
    assert (comment["stem"], comment["text"]) == ("", "'=secret-consented"), "a spreadsheet runs no stranger's formula"
    export(store, tmp_path / "parquet", "parquet")
    whole = pq.read_table(tmp_path / "parquet" / "ratings.parquet")
    assert whole.schema.equals(RATINGS) and whole["value"].to_pylist() == [1, 2]
    assert pq.read_table(tmp_path / "parquet" / "comments.parquet")["text"][0].as_py() == "=secret-consented"


@pytest.mark.parametrize(
    ("events", "blind"),
    [
        ([answer(10)], False),
        ([heard(5), answer(10)], True),
        ([heard(5), answer(10), heard(10), heard(20, saw_model=True)], True),
        ([heard(5), answer(10), heard(20, saw_model=True)], False),
        ([heard(5, saw_metrics=True), answer(10), heard(20)], False),
        ([heard(5), heard(7, saw_views=True), answer(10), heard(20)], False),
        ([heard(5), answer(4), heard(10), heard(20, saw_model=True), answer(30, 5)], False),
    ],
)
def test_blind_is_what_was_said_before_anything_was_seen(
    store: Store, tmp_path: Path, events: list[Event], blind: bool
) -> None:
    _, token = store.serve("listener", "rating", {}, {})
    store.save(token, events)
    export(store, tmp_path / "csv", "csv")
    (row,) = table(tmp_path / "csv", "ratings")
    assert row["blind"] == ("true" if blind else "false")


def test_the_folder_for_datasets_has_the_audio_that_was_allowed(
    store: Store, clips: ClipFolder, tmp_path: Path
) -> None:
    filled(store, clips)
    done = export(store, tmp_path / "set", "datasets", clips=clips)
    assert done.rows == {"ratings": 1, "marks": 1, "comments": 1, "clips": 2} and done.missing == ()
    whole = pq.read_table(tmp_path / "set" / "data" / "clips")
    told = json.loads(whole.schema.metadata[b"huggingface"])["info"]["features"]
    assert told["audio"] == {"_type": "Audio"} and told["seconds"] == {"dtype": "float64", "_type": "Value"}
    assert list(told) == whole.schema.names
    mixture, stem = sorted(whole.to_pylist(), key=lambda row: row["role"])
    assert (mixture["role"], mixture["model"], mixture["trials"]) == ("mixture", None, 1)
    assert (stem["role"], stem["model"], stem["licence"], stem["provenance"]) == (
        "stem:vocals",
        "vocals",
        "CC0-1.0",
        "unknown",
    )
    assert stem["consent"] is True
    for row, seed in ((mixture, 0), (stem, 1)):
        (tmp_path / row["audio"]["path"]).write_bytes(row["audio"]["bytes"])
        with open_reader(tmp_path / row["audio"]["path"]) as reader:
            heard = Signal(reader.read(0, reader.length), reader.sample_rate)
        assert clips.put(heard) == row["clip"] == clips.put(sound(seed)), "the audio as it was served"
    (rating,) = pq.read_table(tmp_path / "set" / "data" / "ratings").to_pylist()
    assert (rating["stem_clip"], rating["mixture_clip"]) == (stem["clip"], mixture["clip"])
    card = (tmp_path / "set" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and all(f"config_name: {name}" in card for name in ("clips", *TABLES))
    assert [path.name for path in tmp_path.glob(".*")] == [], "nothing half-made is left"


def test_a_clip_that_was_never_kept_is_counted(store: Store, clips: ClipFolder, tmp_path: Path) -> None:
    _, token = store.serve("listener", "rating", {}, {"mixture": "a" * 64})
    store.save(token, [consent(1)])
    done = export(store, tmp_path / "set", "datasets", clips=clips)
    assert (done.rows["clips"], done.missing) == (0, ("a" * 64,))


def test_a_damaged_clip_leaves_no_half_export(store: Store, clips: ClipFolder, tmp_path: Path) -> None:
    filled(store, clips)
    for path in (tmp_path / "clips").rglob("*.flac"):
        other = ClipFolder(tmp_path / "other")
        wrong = other.put(sound(9))
        path.write_bytes(other._path(wrong).read_bytes())
    with pytest.raises(RatingError, match="changed on disk"):
        export(store, tmp_path / "set", "datasets", clips=clips)
    assert not (tmp_path / "set").exists() and list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("comment", ["a\rb", "a\nb", 'a,"b"', "\r", "=1\r\n2", "\x00", "\u2028"])
def test_a_comment_is_one_cell_whatever_it_holds(store: Store, tmp_path: Path, comment: str) -> None:
    _, token = store.serve("listener", "rating", {}, {})
    store.save(token, [event(1, kind="comment", text=comment)])
    export(store, tmp_path / "csv", "csv")
    (row,) = table(tmp_path / "csv", "comments")
    assert row["text"].removeprefix("'") == comment


def test_a_full_disk_leaves_no_half_export(store: Store, tmp_path: Path) -> None:
    class Full(ClipFolder):
        def get(self, clip: str) -> Signal:
            raise OSError(errno.ENOSPC, "No space left on device")

    clips = Full(tmp_path / "clips")
    filled(store, clips)
    with pytest.raises(DiskFull, match="disk is full"):
        export(store, tmp_path / "set", "datasets", clips=clips)
    assert not (tmp_path / "set").exists() and list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("format", "name"), [("csv", "all.csv"), ("parquet", "all.parquet"), ("xlsx", "all"), ("datasets", "all")]
)
def test_what_cannot_be_written_is_refused(store: Store, tmp_path: Path, format: str, name: str) -> None:
    with pytest.raises(RatingError, match=r"Name a folder|Choose from|folder of clips"):
        export(store, tmp_path / name, format)
    assert not (tmp_path / name).exists()


def test_an_import_brings_back_nothing_that_was_withdrawn(store: Store, tmp_path: Path) -> None:
    _, token = store.serve("listener", "rating", {}, {})
    store.save(token, [answer(1)])
    export(store, tmp_path / "all.jsonl", "jsonl")
    store.withdraw(token)
    assert import_jsonl(store, tmp_path / "all.jsonl") == (0, 0, 1)
    assert list(store.snapshot()) == []


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda data: data.update(format="other/1"), "format 'other/1'"),
        (lambda data: data.pop("events"), "KeyError"),
        (lambda data: data["trial"].update(made="now"), "other types"),
        (lambda data: data["trial"].update(extra=1), "TypeError"),
        (lambda data: data["trial"].update(listener="../x"), "listener's id"),
        (lambda data: data["events"][0]["payload"].update(value=9), "less than or equal to 5"),
        (lambda data: data["events"][0]["payload"].update(value=4), "used before"),
        (lambda data: data["trial"]["served"].update(model="other"), "another one of that id"),
    ],
)
def test_what_is_no_export_is_refused(
    store: Store, tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    _, token = store.serve("listener", "rating", {}, {})
    store.save(token, [answer(1)])
    path = tmp_path / "all.jsonl"
    export(store, path, "jsonl")
    change(path, edit)
    before = list(store.snapshot())
    with pytest.raises(RatingError, match=said):
        import_jsonl(store, path)
    assert list(store.snapshot()) == before


def test_every_column_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ratings.md").read_text(encoding="utf-8")
    explained = {
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].replace("`", "").replace(" ", "").split(",")
    }
    for schema in TABLES.values():
        assert set(schema.names) - explained <= {"text"}
