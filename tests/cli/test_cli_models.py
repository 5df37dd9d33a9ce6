"""`earshot models`: a card, what was fetched, and removing it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub, client_on, commit_hash
from typer.testing import CliRunner

from separation import cli, hub
from separation.errors import UnknownModel, WeightsError
from separation.models import build

TINY = dict(sources=["vocals", "accompaniment"], sample_rate=8000, n_fft=64, hop_length=16, channels=[2, 2], hidden=4)
SCORE = dict(metric="SI-SDRi", value=7.04, unit="dB", interval=(6.5, 7.5), data="made up", command=None, note="3 clips")
FIELDS: dict[str, Any] = dict(
    architecture="unet", title="Tiny [bold]", summary="Random weights.", task="vocals", licence="MIT", citation="Nobody, 2020",
    trained_on=("nothing at all",), scores=(SCORE,), weaknesses=("It knows nothing.",), training=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    hub.save(path, build("unet", TINY), **FIELDS)
    return path


@pytest.fixture
def fake(tmp_path: Path, folder: Path) -> Iterator[FakeHub]:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with client_on(tmp_path / "client") as server:
        server.add("owner/tiny", {**files, "old.ckpt": b"x"})
        yield server


def invoke(*words: object, **more: Any) -> Any:
    return CliRunner(env={"COLUMNS": "160"}).invoke(cli.app, ["models", *map(str, words)], **more)


def test_a_card_says_what_the_page_says(folder: Path) -> None:
    shown = invoke(folder).stdout
    for words in ("Tiny [bold]", "Random weights.", "up to 4 kHz", "MIT", "SI-SDRi: 7.0 dB (6.5 to 7.5)", "made up; 3 clips",
                  "- It knows nothing.", "- nothing at all", "Cite: Nobody, 2020"):  # fmt: skip
        assert words in shown, words
    card = json.loads(invoke(folder, "--json").stdout)
    assert card["licence"] == "MIT" and card["scores"][0]["interval"] == [6.5, 7.5]
    assert "Vocals and accompaniment" in invoke("vocals").stdout


def test_a_folder_shows_how_it_learnt(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "trained"
    shutil.copytree(folder, copy)
    assert "How it learnt" not in invoke(copy).stdout and json.loads(invoke(copy, "--json").stdout)["learning"] is None
    curve = {"name": "SI-SDR gain", "unit": "dB", "steps": [10, 20, 30, 40], "values": [1.0, None, 4.5, 8.0]}
    loss = {"name": "loss", "unit": "", "steps": [10, 20], "values": [2.0, 1.0]}
    curves = {"format": "earshot-training/1", "loss": loss, "validation": curve, "step": 30}
    (copy / "training.json").write_text(json.dumps(curves))
    shown = invoke(copy).stdout
    assert "SI-SDR gain on examples that it was not trained on, steps 10 to 40" in shown
    assert "▁ ▅█  from 1.0 to 8.0 dB, 4.5 dB with these weights (step 30)" in shown
    assert json.loads(invoke(copy, "--json").stdout)["learning"]["validation"]["values"] == [1.0, None, 4.5, 8.0]
    (copy / "training.json").write_text("{}")
    broken = invoke(copy)
    assert broken.exit_code == 0 and "Cite: Nobody" in broken.stdout and "training.json" in broken.stderr


def test_a_repository_is_looked_at_and_not_fetched(fake: FakeHub) -> None:
    shown = invoke("owner/tiny").stdout
    size = sum(
        len(content)
        for name, content in next(iter(fake.repos["owner/tiny"].commits.values())).items()
        if name != "old.ckpt"
    )
    assert f"{size / 1e3:.1f} kB" in shown and "old.ckpt (pickle)" in shown
    assert json.loads(invoke("owner/tiny", "--json").stdout)["missing"] == size - _config_size(fake)
    assert set(fake.fetched()) == {"config.json"}
    hub.load("owner/tiny")
    assert "nothing, it is here already" in invoke("owner/tiny").stdout


def _config_size(fake: FakeHub) -> int:
    return len(next(iter(fake.repos["owner/tiny"].commits.values()))["config.json"])


def test_what_is_refused_is_an_error(fake: FakeHub, folder: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "model.safetensors"}
    fake.add("owner/pickled", {**files, "model.bin": b"x"})
    refused = invoke("owner/pickled")
    assert refused.exit_code != 0 and isinstance(refused.exception, WeightsError)


def test_what_was_fetched_is_listed_and_removed(fake: FakeHub) -> None:
    name = hub.load("owner/tiny").card.origin.name
    commit = commit_hash(next(iter(fake.repos["owner/tiny"].commits.values())))
    assert "owner/tiny" not in invoke().stdout
    assert f"owner/tiny@{commit[:12]}" in invoke("--installed").stdout
    listed = json.loads(invoke("--installed", "--json").stdout)
    assert [one["cached"]["name"] for one in listed if "cached" in one] == [name]
    kept = invoke("--remove", "owner/tiny", input="n\n")
    assert kept.exit_code == 1 and len(hub.installed()) == 1
    assert invoke("--remove", "owner/tiny", input="y\n").exit_code == 0
    assert hub.installed() == []
    hub.load("owner/tiny")
    removed = json.loads(invoke("--remove", name, "--yes", "--json").stdout)
    assert removed["removed"] == name and removed["freed"] > 0 and hub.installed() == []
    assert isinstance(invoke("--remove", "owner/tiny", "--yes").exception, UnknownModel)
