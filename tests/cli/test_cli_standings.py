"""`earshot ratings standings`: the figures of the Ratings page, without a page."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from separation import cli
from separation.ratings import Store
from separation.ratings.marks import Records
from separation.settings import Settings
from tests.ratings.made_ratings import event

HEARD = {"kind": "heard", "seconds": {"vocals": 3.0}, "saw_metrics": False, "saw_views": False}
MARK = {"kind": "mark", "mark": "mark-001", "stem": "vocals", "start": 1.0, "end": 2.0, "label": "bleed", "severity": 2}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data folder in which six listeners rated six recordings blind, and one saw the name."""
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("EARSHOT_DATABASE_URL", raising=False)
    settings = Settings.from_environment()
    store, records = Store(settings.database_url), Records(settings.marked)
    for number in range(7):
        clips = {"mixture": f"{number}" * 64, "stem:vocals": "a" * 64}
        trial, token = store.serve(f"listener-{number}", "rating", {"model": "[b]vocals"}, clips)
        answer = event(2, stem="vocals", scale="overall", value=1 if number == 6 else 4 + number % 2)
        store.save(token, [event(1, **HEARD, saw_model=number == 6), answer, event(3, **MARK)])
        series = {
            "source": "vocals",
            "metric": "bss_eval_v4.SIR",
            "of": "estimate",
            "values": [9.0, 3.0 + number / 10, 9.0],
        }
        if number < 5:
            records.put(trial.id, {"source": "stage", "start": 0.0, "hop": 1.0, "series": [series]})
    store.close()
    return settings


def invoke(*words: str) -> Result:
    done = CliRunner().invoke(cli.app, ["ratings", "standings", *words])
    assert done.exit_code == 0, done.output
    return done


def told(*words: str) -> Any:
    return json.loads(invoke("--json", *words).stdout)


def test_json(settings: Settings) -> None:
    found = told()
    (model,) = found["standings"]["overall"]
    assert (model["model"], model["mean"], model["answers"]) == ("[b]vocals", 4.5, 6)
    assert model["agreement"]["answers"] == 6 and model["low"] < 4.5 < model["high"]
    joined = found["marks_and_metrics"]
    assert (joined["marked"], joined["measured"]) == (7, 5)
    assert joined["found"][0]["verdict"].startswith("bleed: SIR is 5.8 dB lower inside")
    assert told("--all")["standings"]["overall"][0]["mean"] == 4


def test_for_people(settings: Settings) -> None:
    shown = invoke().stdout
    assert "--all counts the rest" in shown and "--all" not in invoke("--all").stdout
    assert "[b]vocals" in shown and "4.50" in shown and "5 of 7 marked trials measured" in shown
    assert "bleed: SIR is 5.8 dB lower inside" in shown


def test_without_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    assert "No answer was given blind yet" in invoke().stdout and told()["standings"] == {}
    assert invoke("--all").stdout.strip() == "No answers yet."
