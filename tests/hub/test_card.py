"""config.json: what is accepted, and that every problem is named by its field."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_folder import FIELDS, tiny

from separation import hub
from separation.errors import ConfigError
from separation.hub.card import parse


@pytest.fixture
def config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


SCORE: dict[str, Any] = {
    "metric": "si_sdr",
    "value": 6.5,
    "unit": "dB",
    "interval": [6.0, 7.0],
    "data": "test",
    "command": None,
    "note": None,
}
RECIPE = {"recipe": {"steps": 10}, "commit": "abc", "seconds_of_audio": 3600.5}


def test_a_full_card_is_read(config: dict[str, Any]) -> None:
    card = parse(json.dumps({**config, "scores": [SCORE], "training": RECIPE, "authors": ["A", "B"]}), "x")
    assert card.scores[0].interval == (6.0, 7.0)
    assert card.training is not None and card.training.recipe == {"steps": 10}
    assert card.authors == ("A", "B") and card.weights is not None and card.weights.file == "model.safetensors"


@pytest.mark.parametrize("field", ["licence", "citation", "architecture", "weaknesses", "weights", "scores", "task"])
def test_a_missing_field_is_named(config: dict[str, Any], field: str) -> None:
    del config[field]
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps(config), "x")
    assert caught.value.found == f"{field}: missing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"licence": " "}, ["licence", "at least 1 character"]),
        ({"sample_rate": "8000"}, ["sample_rate", "valid integer", "'8000'"]),
        ({"sample_rate": 0}, ["sample_rate", "greater than 0"]),
        ({"task": "drums"}, ["task", "'vocals'", "'speakers'", "'drums'"]),
        ({"architecture": "os.system"}, ["architecture", "only ", "conv_tasnet", "unet"]),
        ({"licens": "MIT"}, ["licens: not a field", "is licence meant?"]),
        ({"zzz": 1}, ["zzz: not a field", "allowed: architecture, arguments"]),
        ({"weaknesses": []}, ["weaknesses", "at least one sentence"]),
        ({"sources": []}, ["sources", "at least 1 item"]),
        ({"name": "../up"}, ["name", "'../up'"]),
        ({"scores": [{**SCORE, "interval": [7, 6]}]}, ["scores.0.interval", "low end comes first"]),
        ({"scores": [{**SCORE, "value": float("nan")}]}, ["scores.0.value", "finite"]),
        ({"scores": [{**SCORE, "valeu": 1}]}, ["scores.0.valeu: not a field", "is value meant?"]),
        ({"training": {**RECIPE, "seconds_of_audio": -1}}, ["training.seconds_of_audio", "greater than or equal to 0"]),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(
    config: dict[str, Any], change: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps({**config, **change}), "x")
    assert all(word in caught.value.found for word in words), caught.value.found


def test_all_problems_come_at_once(config: dict[str, Any]) -> None:
    weights = {**config["weights"], "sha256": "abc", "file": "model.bin"}
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps({**config, "weights": weights, "sample_rate": -1}), "x")
    assert [field in caught.value.found for field in ("weights.sha256", "weights.file", "sample_rate")] == [True] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "format is None"),
        ('{"model_type": "bert"}', "not a model for this app"),
        ('{"format": "earshot/9"}', "format is 'earshot/9', not 'earshot/1'"),
    ],
)
def test_a_foreign_file_is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "x")
    assert words in caught.value.found and len(caught.value.found) < 200


def test_the_readme_says_what_the_config_says(tmp_path: Path) -> None:
    fields = {
        **FIELDS,
        "licence": "For study only: ask us",
        "scores": [{**SCORE, "data": "a|b", "command": "earshot x"}],
    }
    hub.save(tmp_path / "m", tiny(), **fields)
    text = (tmp_path / "m" / "README.md").read_text()
    front = text.split("---")[1]
    assert 'license: "other"' in front and 'license_name: "For study only: ask us"' in front
    assert 'library_name: "earshot"' in front and '"source-separation"' in front
    assert "It separates nothing at all." in text and "| si_sdr | 6.5 dB | 6 to 7 | a\\|b |  |" in text
    assert "`earshot x`" in text and "Nobody, Nowhere, 2020" in text


def test_a_known_licence_becomes_the_hubs_identifier(folder: Path) -> None:
    assert 'license: "mit"' in (folder / "README.md").read_text()
