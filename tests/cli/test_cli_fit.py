"""`earshot fit`: from one mixture of voices to a model that takes it apart, run as a user runs it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from pitched_voices import RATE, sung
from typer.testing import CliRunner

from separation import cli
from separation.errors import DataError, JobError, ModelError
from separation.hub import load, save
from separation.models import build
from separation.training import per_file


def invoke(*words: object) -> Any:
    return CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choir")
    high, low = sung(np.array([349, 415.0]), 2.0), sung(131.0, 2.0, seed=1)
    for name, voice in (("high", high), ("low", low), ("choir", high + low)):
        sf.write(folder / f"{name}.wav", voice, RATE)
    assert invoke("pitch", folder / "high.wav", folder / "low.wav", "--output", folder).exit_code == 0
    return folder


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    projected = reference * (reference @ estimate) / (reference @ reference)
    return float(10 * np.log10((projected**2).sum() / ((estimate - projected) ** 2).sum()))


def test_a_fitted_model_takes_its_own_recording_apart(choir: Path, tmp_path: Path) -> None:
    told = [word for voice in ("high", "low") for word in ("--pitch", f"{voice}={choir / voice}.csv")]
    done = invoke("fit", choir / "choir.wav", "--output", tmp_path / "mine", "--steps", 30, "--json", *told)
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["voices"] == ["high", "low"] and Path(record["pitch"], "high.csv").exists()
    assert load(str(tmp_path / "mine")).card.trained_on == ("choir.wav: the mixture alone, 2 s",)
    done = invoke("separate", choir / "choir.wav", "--model", tmp_path / "mine", "--output", tmp_path / "stems", *told)
    assert done.exit_code == 0, done.output
    mixture, _ = sf.read(choir / "choir.wav")
    for voice in ("high", "low"):
        truth, _ = sf.read(choir / f"{voice}.wav")
        stem, _ = sf.read(tmp_path / "stems" / "choir" / f"{voice}.wav")
        assert si_sdr(truth, stem) > si_sdr(truth, mixture) + 6


def test_without_tracks_they_are_found_and_kept(choir: Path, tmp_path: Path) -> None:
    done = invoke("fit", choir / "choir.wav", "--output", tmp_path / "mine", "--steps", 1, "--voices", 2, "--json")
    assert done.exit_code == 0, done.output
    kept = Path(json.loads(done.stdout)["pitch"])
    assert sorted(path.name for path in kept.iterdir()) == ["pitch.json", "voice 1.csv", "voice 2.csv"]


def test_what_cannot_be_learnt_from_is_refused(choir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["--pitch", f"low={choir / 'low.csv'}"]
    output = ["--output", tmp_path / "mine", "--steps", 1]
    with pytest.raises(DataError, match="both tracks and a number"):
        invoke("fit", choir / "choir.wav", *output, *told, "--voices", 2)
    with pytest.raises(DataError, match="no VOICE=FILE"):
        invoke("fit", choir / "choir.wav", *output, "--pitch", choir / "low.csv")
    sf.write(tmp_path / "short.wav", sung(131.0, 0.5), RATE)
    with pytest.raises(JobError, match=r"goes on to 2\.0 s"):
        invoke("fit", tmp_path / "short.wav", *output, *told)
    sf.write(tmp_path / "silent.wav", np.zeros(2 * RATE), RATE)
    with pytest.raises(DataError, match="it is silent"):
        invoke("fit", tmp_path / "silent.wav", *output, *told)
    save(
        tmp_path / "factors", build("pitch_nmf", {}), architecture="pitch_nmf", title="t", summary="s", task="vocals",
        licence="MIT", citation="none", trained_on=(), scores=(), weaknesses=("w",), training=None,
    )  # fmt: skip
    with pytest.raises(ModelError, match="it is a PitchNMF"):
        invoke("fit", choir / "choir.wav", *output, *told, "--model", tmp_path / "factors")
    monkeypatch.setattr(per_file, "LONGEST", 1.0)
    with pytest.raises(DataError, match="more than 1 s"):
        invoke("fit", choir / "choir.wav", *output, *told)
    assert not (tmp_path / "mine").exists()
