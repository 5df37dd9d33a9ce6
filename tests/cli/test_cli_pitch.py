"""`earshot pitch` and `earshot separate --pitch`, run as a user runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from pitched_voices import RATE, sung
from typer.testing import CliRunner

from separation import cli
from separation.errors import SeparationError
from separation.hub import save
from separation.models import build
from separation.transforms import read_track

SMALL = {
    "sample_rate": RATE,
    "n_fft": 1024,
    "hop_length": 256,
    "bumps": 8,
    "shapes": 2,
    "steps": 4,
    "segment": 2.0,
    "context": 0.1,
}


def invoke(*words: object) -> Any:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choir")
    high, low = sung(np.array([349, 415.0]), 2.0), sung(131.0, 2.0, seed=1)
    for name, voice in (("high", high), ("low", low), ("choir", high + low)):
        sf.write(folder / f"{name}.wav", voice, RATE)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "by-pitch"
    save(
        folder, build("pitch_nmf", SMALL), architecture="pitch_nmf", title="By pitch", summary="No weights.", task="vocals",
        licence="MIT", citation="none", trained_on=(), scores=(), weaknesses=("Unisons.",), training=None,
    )  # fmt: skip
    return folder


def test_stems_give_a_track_each_and_a_mixture_as_many_as_asked(choir: Path, tmp_path: Path) -> None:
    done = invoke("pitch", choir / "high.wav", choir / "low.wav", "--output", tmp_path / "stems", "--json")
    assert done.exit_code == 0, done.output
    assert [each["voice"] for each in json.loads(done.stdout)] == ["high", "low"]
    done = invoke("pitch", choir / "choir.wav", "--voices", 2, "--output", tmp_path / "mixture")
    assert done.exit_code == 0, done.output
    for folder, names in (("stems", ("high", "low")), ("mixture", ("voice 1", "voice 2"))):
        high, low = (read_track(tmp_path / folder / f"{name}.csv") for name in names)
        np.testing.assert_allclose(high.at(np.array([0.5, 1.5])), [349, 415], rtol=0.01)
        np.testing.assert_allclose(low.at(np.array([0.5, 1.5])), 131, rtol=0.01)
    with pytest.raises(SeparationError, match="there are 2 files"):
        CliRunner().invoke(
            cli.app,
            ["pitch", str(choir / "high.wav"), str(choir / "low.wav"), "--voices", "2", "--output", str(tmp_path)],
            catch_exceptions=False,
        )


def test_a_choir_is_separated_by_tracks_from_files_or_found(choir: Path, model: Path, tmp_path: Path) -> None:
    assert invoke("pitch", choir / "high.wav", choir / "low.wav", "--output", tmp_path).exit_code == 0
    tracks = [word for name in ("high", "low") for word in ("--pitch", f"{name}={tmp_path / name}.csv")]
    common = ("separate", choir / "choir.wav", "--model", model, "--device", "cpu", "--json", "--output")
    done = invoke(*common, tmp_path / "told", *tracks)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    assert set(result["output"]) == {"high", "low"} and result["null_db"] < -100
    done = invoke(*common, tmp_path / "found", "--voices", 2)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    assert set(result["output"]) == {"voice 1", "voice 2"}
    assert read_track(tmp_path / "found" / "choir" / "pitch" / "voice 2.csv").voiced > 0.9
    told, found = (sf.read(tmp_path / path)[0] for path in ("told/choir/low.wav", "found/choir/voice 2.wav"))
    assert np.corrcoef(told, found)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--pitch", "high"), "no VOICE=FILE"),
        (("--pitch", "a={csv}", "--pitch", "a={csv}"), "the second one"),
        (("--pitch", "a={csv}", "--voices", "2"), "2 voices are asked for as well"),
        (("--pitch", "a={csv}", "{more}"), "there are 2 recordings"),
        (("--pitch", "a={none}"), "cannot be opened"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    choir: Path, model: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    (tmp_path / "a.csv").write_text("0,220\n0.1,220\n", encoding="utf-8")
    given = [w.format(csv=tmp_path / "a.csv", none=tmp_path / "b.csv", more=choir / "low.wav") for w in words]
    line = ["separate", str(choir / "choir.wav"), "--model", str(model), "--output", str(tmp_path / "out"), *given]
    with pytest.raises(SeparationError, match=says):
        CliRunner().invoke(cli.app, line, catch_exceptions=False)


def test_an_ordinary_model_takes_no_pitch(choir: Path, tmp_path: Path) -> None:
    tiny = {
        "sample_rate": 8000,
        "n_fft": 64,
        "hop_length": 16,
        "channels": [2, 2],
        "hidden": 4,
        "segment": 1.0,
        "context": 0.1,
    }
    save(
        tmp_path / "tiny", build("unet", tiny), architecture="unet", title="Tiny", summary="Random.", task="vocals",
        licence="MIT", citation="none", trained_on=(), scores=(), weaknesses=("It knows nothing.",), training=None,
    )  # fmt: skip
    line = [
        "separate",
        str(choir / "choir.wav"),
        "--model",
        str(tmp_path / "tiny"),
        "--output",
        str(tmp_path),
        "--voices",
        "2",
    ]
    with pytest.raises(SeparationError, match="does not go by it"):
        CliRunner().invoke(cli.app, line, catch_exceptions=False)
