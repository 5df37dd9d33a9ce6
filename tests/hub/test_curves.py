"""`training.json`: written with a model, fetched with it, and read strictly."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub
from pydantic import ValidationError
from tiny_folder import FIELDS, contents, tiny

from separation import hub
from separation.errors import ConfigError
from separation.hub import Curve, LearningCurves

CURVES = LearningCurves(
    loss=Curve(name="loss", unit="", steps=(1, 2, 3), values=(3.0, None, 1.0)),
    validation=Curve(name="SI-SDR gain", unit="dB", steps=(2, 3), values=(0.5, 1.5), errors=(0.1, 0.2)),
    step=3,
)


def test_saved_with_a_model_and_read_again(tmp_path: Path) -> None:
    card = hub.save(tmp_path / "taught", tiny(), curves=CURVES, **FIELDS)
    assert hub.read_curves(card) == CURVES
    assert hub.load(tmp_path / "taught").card.name == "taught"
    untold = hub.save(tmp_path / "taught", tiny(), **FIELDS)  # replaces the folder, curves and all
    assert hub.read_curves(untold) is None


def test_a_repository_brings_them_along(fake: FakeHub, cache: Path, tmp_path: Path) -> None:
    hub.save(tmp_path / "taught", tiny(), curves=CURVES, **FIELDS)
    fake.add("owner/taught", contents(tmp_path / "taught"))
    card = hub.load("owner/taught", cache_dir=cache).card
    assert hub.read_curves(card) == CURVES
    assert sorted(fake.fetched()) == ["README.md", "config.json", "model.safetensors", "training.json"]


def test_a_giant_one_is_left_where_it_is(fake: FakeHub, files: dict[str, bytes], cache: Path) -> None:
    fake.add("owner/tiny", {**files, "training.json": b" " * 1_000_001})
    card = hub.load("owner/tiny", cache_dir=cache).card
    assert hub.read_curves(card) is None and "training.json" not in fake.fetched()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other/1"}, "format"),
        ({"step": "3"}, "step"),
        ({"extra": 1}, "extra"),
        ({"loss": None}, "loss"),
        ({"loss": {**CURVES.loss.model_dump(mode="json"), "steps": [1, 1, 2]}}, "steps must rise"),
        ({"loss": {**CURVES.loss.model_dump(mode="json"), "values": [1.0]}}, "1 values for 3 steps"),
        ({"loss": {**CURVES.loss.model_dump(mode="json"), "errors": [1.0]}}, "1 errors for 3 steps"),
        ({"loss": {**CURVES.loss.model_dump(mode="json"), "values": [1.0, "x", 2.0]}}, "loss.values"),
    ],
)
def test_what_breaks_the_schema_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    card = hub.save(tmp_path / "taught", tiny(), curves=CURVES, **FIELDS)
    path = tmp_path / "taught" / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        hub.read_curves(card)
    assert "taught" in caught.value.asked
    assert hub.load(tmp_path / "taught").card.name == "taught", "a model runs without its curves"


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe", b"1" * 1_000_001])
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: bytes) -> None:
    card = hub.save(tmp_path / "taught", tiny(), **FIELDS)
    (tmp_path / "taught" / "training.json").write_bytes(text)
    with pytest.raises(ConfigError):
        hub.read_curves(card)


def test_no_more_points_than_a_screen_shows() -> None:
    steps = tuple(range(5001))
    with pytest.raises(ValidationError, match="5000"):
        Curve(name="loss", unit="", steps=steps, values=tuple(map(float, steps)))


@pytest.mark.parametrize("name", ["vocals", "speakers"])
def test_the_bundled_models_say_how_they_were_trained(name: str) -> None:
    card = hub.describe(name)
    curves = hub.read_curves(card)
    assert curves is not None and card.training is not None and card.training.recipe is not None
    recipe: Any = card.training.recipe
    assert max(curves.loss.steps) == max(curves.validation.steps) == recipe["steps"]
    best = max(value for value in curves.validation.values if value is not None)
    assert curves.validation.values[curves.validation.steps.index(curves.step)] == best
