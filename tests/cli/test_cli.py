"""The command line, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from typer.testing import CliRunner

from separation import cli
from separation.hub import save
from separation.models import build

TINY = dict(sources=["vocals", "accompaniment"], sample_rate=8000, n_fft=64, hop_length=16, channels=[2, 2], hidden=4,
            segment=1.0, context=0.1)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(
        folder, build("unet", TINY), architecture="unet", title="Tiny", summary="Random weights.", task="vocals",
        licence="MIT", citation="none", trained_on=(), scores=(), weaknesses=("It knows nothing.",), training=None,
    )  # fmt: skip
    return folder


@pytest.fixture
def recordings(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sf.write(folder / "stereo.wav", 0.1 * rng.standard_normal((22050, 2)), 22050, subtype="PCM_24")
    sf.write(folder / "mono.flac", 0.1 * rng.standard_normal(8000), 8000)
    sf.write(folder / "mono.wav", 0.1 * rng.standard_normal(4000), 8000)
    return folder


def invoke(*words: object):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_a_folder_gives_a_folder_of_stems_each(model, recordings, tmp_path):
    done = invoke("separate", recordings, "--model", model, "--output", tmp_path / "out", "--json", "--device", "cpu")
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert [Path(r["input"]).name for r in results] == ["mono.flac", "mono.wav", "stereo.wav"]
    folders = {Path(r["output"]["vocals"]).parent for r in results}
    assert len(folders) == 3  # mono.flac and mono.wav do not overwrite each other
    assert (tmp_path / "out" / "stereo" / "accompaniment.wav").exists()
    for result in results:
        before, after = sf.info(result["input"]), sf.info(result["output"]["vocals"])
        assert (after.samplerate, after.channels, after.frames) == (before.samplerate, before.channels, before.frames)
        assert result["null_db"] < -100
        assert result["report"]["device"] == "cpu"


def test_a_bad_file_does_not_stop_the_others(model, recordings, tmp_path):
    (recordings / "broken.wav").write_text("not audio")
    done = invoke("separate", recordings, "--model", model, "--output", tmp_path / "out", "--json")
    assert done.exit_code == 1
    results = json.loads(done.stdout)
    assert len(results) == 4
    (bad,) = [r for r in results if "error" in r]
    assert bad["input"].endswith("broken.wav")
    assert set(bad["error"]) == {"asked", "found", "advice"}
    assert "1 of 4" in done.stderr
    assert not list((tmp_path / "out").rglob(".*"))  # nothing half-written stays


@pytest.mark.parametrize(
    ("format", "bit_depth", "subtype"),
    [("wav", "16", "PCM_16"), ("wav", "24", "PCM_24"), ("wav", "32f", "FLOAT"), ("flac", "24", "PCM_24")],
)
def test_formats_and_depths(format, bit_depth, subtype, model, recordings, tmp_path):
    words = ("--model", model, "--output", tmp_path / "out", "--format", format, "--bit-depth", bit_depth)
    assert invoke("separate", recordings / "mono.flac", *words).exit_code == 0
    assert sf.info(tmp_path / "out" / "mono" / f"vocals.{format}").subtype == subtype


def test_what_precision_was_really_used_is_said(model, recordings, tmp_path):
    words = "separate", recordings / "mono.wav", "--model", model, "--output", tmp_path, "--device", "cpu", "--json"
    done = invoke(*words, "--precision", "fast")
    (result,) = json.loads(done.stdout)
    assert result["report"]["precision"] == "fp32"
    assert any("needs a CUDA device" in message for message in result["report"]["messages"])
    assert "needs a CUDA device" in " ".join(done.stderr.split())  # for people too


def test_mp3(model, recordings, tmp_path):
    words = ("--model", model, "--output", tmp_path / "out", "--format", "mp3")
    assert invoke("separate", recordings / "stereo.wav", *words).exit_code == 0
    assert sf.info(tmp_path / "out" / "stereo" / "vocals.mp3").frames > 20_000


def test_one_source_and_the_residual(model, recordings, tmp_path):
    words = ("--model", model, "--output", tmp_path, "--source", "vocals", "--residual")
    assert invoke("separate", recordings / "mono.wav", *words).exit_code == 0
    assert sorted(p.name for p in (tmp_path / "mono").iterdir()) == ["residual.wav", "vocals.wav"]


def test_loud_audio_gets_one_common_gain(model, tmp_path):
    rng = np.random.default_rng(0)
    sf.write(tmp_path / "loud.wav", 3 * rng.uniform(-1, 1, 16000), 8000, subtype="FLOAT")
    done = invoke("separate", tmp_path / "loud.wav", "--model", model, "--output", tmp_path / "out", "--json")
    (result,) = json.loads(done.stdout)
    assert 0 < result["gain"] < 1
    assert "quieter" in done.stderr
    stems = sum(sf.read(path)[0] for path in result["output"].values())
    mixture = sf.read(tmp_path / "loud.wav")[0]
    assert np.abs(stems - result["gain"] * mixture).max() < 1e-5  # the same gain on every stem


def test_an_unknown_source_names_the_known_ones(model, recordings, tmp_path):
    words = ("--model", model, "--output", tmp_path / "out", "--source", "drums")
    done = invoke("separate", recordings / "mono.wav", *words)
    assert done.exit_code == 1
    assert "vocals, accompaniment" in " ".join(done.stderr.split())


def test_paper_sizes_as_json_are_counts():
    counts = json.loads(invoke("models", "--paper-sizes", "--json").stdout)
    assert counts["two-step-tdcn"] == 8_628_038 and counts["htmd-net/masking"] == 1_962_881


def test_models_as_json_is_a_list():
    done = invoke("models", "--json")
    assert done.exit_code == 0
    assert isinstance(json.loads(done.stdout), list)


def test_python_dash_m_separation_is_earshot_and_errors_are_one_line(tmp_path):
    run = [sys.executable, "-m", "separation"]
    version = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("earshot ")
    words = ["separate", str(tmp_path), "--output", str(tmp_path / "out"), "--model", "no-such-model"]
    failed = subprocess.run([*run, *words], capture_output=True, text=True)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    assert failed.stderr.startswith("earshot:")
    (tmp_path / "some.wav").write_bytes(b"RIFF")
    assert "no-such-model" in subprocess.run([*run, *words], capture_output=True, text=True).stderr


def test_training_needs_a_known_recipe_and_whole_data(tmp_path):
    run = [sys.executable, "-m", "separation", "train"]
    for recipe, words in (("opera", "vocals"), ("vocals", "MIR-1K")):
        failed = subprocess.run(
            [*run, recipe, "--data", str(tmp_path), "--output", str(tmp_path / "run")], capture_output=True, text=True
        )
        assert failed.returncode == 2
        assert words in failed.stderr
