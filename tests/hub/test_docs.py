"""docs/models.md: the table names every field, and the example makes a folder."""

import re
from pathlib import Path

import pytest

from separation import hub
from separation.hub.card import Score, Training, Weights
from separation.models import build

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_table_names_every_field_in_order_and_no_other() -> None:
    table = TEXT.partition("## config.json")[2]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(hub.Card.model_fields)
    assert all(f"`{name}`" in table for part in (Score, Training, Weights) for name in part.model_fields)


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = TEXT.partition("## Make one")[2].partition("```python")[2].partition("```")[0]
    exec(example, {"model": build("unet", {"n_fft": 64, "hop_length": 16, "channels": [2, 2], "hidden": 4})})
    assert hub.load("./my-vocals").card.title == "Vocals, small"
