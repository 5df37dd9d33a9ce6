"""The masks changed from the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from click.testing import Result
from typer.testing import CliRunner

from separation import cli
from separation.hub import save
from separation.models import build

TINY = {
    "sources": ["vocals", "accompaniment"],
    "sample_rate": 8000,
    "n_fft": 64,
    "hop_length": 16,
    "channels": [2, 2],
    "hidden": 4,
    "segment": 1.0,
    "context": 0.1,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    about = {"title": "Tiny", "summary": "Random weights.", "task": "vocals", "licence": "MIT", "citation": "none"}
    save(
        folder,
        build("unet", TINY),
        architecture="unet",
        trained_on=(),
        scores=(),
        weaknesses=("It knows nothing.",),
        training=None,
        **about,
    )
    return folder


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "song.wav"
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 8000, subtype="FLOAT")
    return path


def invoke(song: Path, model: Path, output: Path, *words: str) -> Result:
    fixed = ["separate", song, "--model", model, "--output", output, "--residual", "--bit-depth", "32f", "--json"]
    return CliRunner().invoke(cli.app, [str(word) for word in (*fixed, *words)])


def stems(song: Path, model: Path, output: Path, *words: str) -> tuple[dict[str, np.ndarray[Any, Any]], Any]:
    done = invoke(song, model, output, *words)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    return {name: sf.read(path)[0] for name, path in result["output"].items()}, result


def test_a_threshold_of_nothing_gives_all_to_the_strongest(song: Path, model: Path, tmp_path: Path) -> None:
    plain, _ = stems(song, model, tmp_path / "plain")
    strict, result = stems(song, model, tmp_path / "strict", "--threshold-db", "0")
    same, _ = stems(song, model, tmp_path / "same", "--sharpness", "1")
    assert np.abs(strict["vocals"] - plain["vocals"]).max() > 1e-3
    assert result["null_db"] < -100, "the stems still add up"
    np.testing.assert_array_equal(same["vocals"], plain["vocals"])


def test_what_is_muted_is_in_the_residual(song: Path, model: Path, tmp_path: Path) -> None:
    low, high = "vocals:0-1000Hz", "vocals:9-32"  # bins of 125 Hz: all of them
    found, result = stems(song, model, tmp_path, "--mute", low, "--mute", high)
    assert not found["vocals"].any() and found["accompaniment"].any()
    np.testing.assert_allclose(found["accompaniment"] + found["residual"], sf.read(song)[0], atol=1e-5)
    assert result["null_db"] < -100


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--mute", "drums:0-5"), "no source called 'drums'"),
        (("--mute", "vocals:5-1"), "33 basis functions"),
        (("--sharpness", "100"), "0 to 64"),
        (("--intermediate",), "no stage after its masks"),
    ],
)
def test_what_cannot_be_edited_says_so(
    song: Path, model: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    done = invoke(song, model, tmp_path, *words)
    assert done.exit_code == 1 and why in str(done.exception)
