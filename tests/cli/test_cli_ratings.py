"""`earshot ratings`, run as an owner runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import Result
from fakes import Splitter
from typer.testing import CliRunner

from separation import cli, hub
from separation.engine.jobs import JobStore
from separation.errors import RatingError, UnknownJob
from separation.ratings import Store
from separation.ui.rating_trials import subject_of
from tests.ratings.made_ratings import event


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one rating, as the page leaves it."""
    folder = tmp_path / "data"
    monkeypatch.setenv("EARSHOT_DATA", str(folder))
    monkeypatch.delenv("EARSHOT_DATABASE_URL", raising=False)
    store = Store(f"sqlite:///{folder / 'ratings.db'}")
    _, token = store.serve("listener", "rating", {"model": "vocals"}, {"stem:vocals": "a" * 64})
    store.save(token, [event(1, stem="vocals", scale="overall", value=4), event(2, kind="consent", training=True)])
    store.close()
    return folder


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["ratings", *(str(word) for word in words)])


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet", "datasets"])
def test_every_format_is_written(data: Path, tmp_path: Path, format: str) -> None:
    done = invoke("export", "--format", format, "--output", tmp_path / "out", "--only-consented")
    assert done.exit_code == 0, done.output
    assert ("1 trials" if format == "jsonl" else "1 ratings") in done.stderr
    assert ("1 clips have no audio" in done.stderr) == (format == "datasets")
    again = invoke("export", "--format", format, "--output", tmp_path / "out")
    assert isinstance(again.exception, RatingError) and "there already" in str(again.exception)


def test_an_export_moves_to_another_database(data: Path, tmp_path: Path) -> None:
    invoke("export", "--output", tmp_path / "all.jsonl")
    other = f"sqlite:///{tmp_path / 'other' / 'ratings.db'}"
    assert "1 trials read, 0 were here already" in invoke("import", tmp_path / "all.jsonl", "--database", other).stderr
    assert "0 trials read, 1 were here already" in invoke("import", tmp_path / "all.jsonl", "--database", other).stderr
    assert json.loads(invoke("stats", "--json", "--database", other).stdout)["trials"] == 1


def test_stats(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = json.loads(invoke("stats", "--json").stdout)
    assert told["scales"]["overall"] == {"answers": 1, "listeners": 1, "mean": 4.0, "low": None, "high": None}
    shown = invoke("stats").stdout
    assert "1 served, 1 rated, 0 withdrawn" in shown and "overall" in shown and "4.00" in shown
    monkeypatch.setenv("EARSHOT_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    assert "0 served" in invoke("stats").stdout


def test_recordings_and_separations_are_put_up_for_rating_and_taken_down(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "load", lambda name, **_: Splitter(0.25, 0.75))
    (tmp_path / "songs" / "two").mkdir(parents=True)
    for name in ("[b]one.wav", "two/mixture.wav"):
        sf.write(tmp_path / "songs" / name, 0.1 * np.random.default_rng(1).standard_normal(8000), 8000)
    done = invoke("want", tmp_path / "songs", "--device", "cpu")
    assert done.exit_code == 0, done.output
    rows = json.loads(invoke("wanted", "--json").stdout)
    assert sorted(row.pop("name") for row in rows) == ["[b]one.wav", "two"], "a mixture is called as its folder"
    assert all(row["model"] == "vocals" and row["raters"] == 0 for row in rows)
    assert "[b]one.wav" in invoke("wanted").stdout
    jobs = JobStore(data / "jobs")
    job = jobs.get(rows[0]["job"])
    assert set(job.tracks("full")) == {"mixture", "source0", "source1", "residual"} and job.expires is None
    store = Store(f"sqlite:///{data / 'ratings.db'}")
    _, token = store.serve("listener", "rating", {"job": subject_of(job)}, {})
    store.save(token, [event(1, stem="source0", scale="overall", value=4)])
    store.close()
    assert "1" in next(line for line in invoke("wanted").stdout.splitlines() if job.id in line).split()
    assert invoke("enough", f"https://example.org/?job={job.id}&__theme=dark").exit_code == 0
    assert [other.id for other in jobs.wanted()] == [rows[1]["job"]]
    assert invoke("want", job.id).exit_code == 0 and len(jobs.wanted()) == 2
    assert invoke("enough", "all").exit_code == 0 and jobs.wanted() == [] and job.expires is not None
    assert invoke("wanted").stdout == "" and "No ratings are asked for" in invoke("wanted").stderr


def test_what_cannot_be_put_up_for_rating_says_why_and_the_rest_goes_on(data: Path, tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(b"nothing")
    done = invoke("want", "A" * 22, tmp_path / "song.wav")
    assert done.exit_code == 1 and "it has expired" in done.stderr and "song.wav" in done.stderr
    assert JobStore(data / "jobs").all() == [], "what could not be separated is not left behind"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert "folder of this machine" in invoke("want", tmp_path / "song.wav", "--model", tmp_path / "model").stderr
    assert isinstance(invoke("enough", "A" * 22).exception, UnknownJob)
