"""docs/models.md: the table names every field, and the example makes a folder."""

import re
from pathlib import Path

import pytest
import typer

from separation import hub
from separation.cli import app
from separation.hub.card import Score, Training, Weights
from separation.models import build

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_table_names_every_field_in_order_and_no_other() -> None:
    table = TEXT.partition("## config.json")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(hub.Card.model_fields)
    assert all(f"`{name}`" in table for part in (Score, Training, Weights) for name in part.model_fields)


def test_the_table_of_the_learning_curves_names_every_field() -> None:
    table = TEXT.partition("## training.json")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert rows == list(hub.LearningCurves.model_fields)
    assert all(f"`{name}`" in table for name in hub.Curve.model_fields)


def test_every_option_of_the_command_is_explained() -> None:
    command = typer.main.get_command(app).commands["models"]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert options == set(re.findall(r"--[a-z][a-z-]+", TEXT.partition("On the command line")[2].partition("## ")[0]))


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = TEXT.partition("## Make one")[2].partition("```python")[2].partition("```")[0]
    exec(example, {"model": build("unet", {"n_fft": 64, "hop_length": 16, "channels": [2, 2], "hidden": 4})})
    assert hub.load("./my-vocals").card.title == "Vocals, small"
