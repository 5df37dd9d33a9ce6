"""`earshot ratings`, run as an owner runs it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from separation import cli
from separation.errors import RatingError
from separation.ratings import Store
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
