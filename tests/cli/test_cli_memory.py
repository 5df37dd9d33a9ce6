"""The same voices in several recordings, from the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from click.testing import Result
from safetensors.torch import load_file
from typer.testing import CliRunner

from separation import cli
from separation.hub import save
from separation.models import build
from tests.contract import SMALL


def saved(folder: Path, **more: Any) -> Path:
    torch.manual_seed(0)
    about = {"title": "Tiny", "summary": "Random weights.", "task": "speakers", "licence": "MIT", "citation": "none"}
    save(
        folder,
        build("disentangled", {**SMALL["disentangled"]["memory"], **more}),
        architecture="disentangled",
        trained_on=(),
        scores=(),
        weaknesses=("It knows nothing.",),
        training=None,
        **about,
    )
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("in")
    paths = [folder / f"talk-{number}.wav" for number in range(2)]
    for number, path in enumerate(paths):
        sf.write(path, 0.1 * np.random.default_rng(number).standard_normal(8000), 8000, subtype="FLOAT")
    return paths


def invoke(paths: list[Path], model: Path, output: Path, memory: Path) -> Result:
    words = [
        "separate",
        *paths,
        "--model",
        model,
        "--output",
        output,
        "--memory",
        memory,
        "--bit-depth",
        "32f",
        "--json",
    ]
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_a_memory_is_begun_and_gone_on_with(talks: list[Path], model: Path, tmp_path: Path) -> None:
    memory = tmp_path / "voices.safetensors"
    first = invoke(talks[:1], model, tmp_path / "a", memory)
    assert first.exit_code == 0, first.output
    begun = load_file(memory)
    assert memory.stat().st_size < 4000
    second = invoke(talks[1:], model, tmp_path / "a", memory)
    assert second.exit_code == 0, second.output
    together = tmp_path / "together.safetensors"
    assert invoke(talks, model, tmp_path / "b", together).exit_code == 0
    apart, joined = load_file(memory), load_file(together)
    assert all(torch.equal(apart[name], value) for name, value in joined.items())
    assert float(apart["seconds"].sum()) > float(begun["seconds"].sum()) > 0
    files = [json.loads(done.stdout)[0]["output"]["speaker 1"] for done in (first, second)]
    for path, name in zip(files, ("talk-0", "talk-1"), strict=True):
        assert Path(path).read_bytes() == (tmp_path / "b" / name / "speaker 1.wav").read_bytes()


def test_a_model_without_a_memory_is_told_so_before_anything_runs(talks: list[Path], tmp_path: Path) -> None:
    plain = saved(tmp_path / "plain", memory=False)
    done = invoke(talks, plain, tmp_path / "out", tmp_path / "voices.safetensors")
    assert done.exit_code != 0
    assert "passes nothing from chunk to chunk" in str(done.exception or done.output)
    assert not (tmp_path / "voices.safetensors").exists() and not (tmp_path / "out").exists()
