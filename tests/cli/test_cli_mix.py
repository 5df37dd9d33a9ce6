"""`earshot mix`, run as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from typer.testing import CliRunner

from separation import cli
from separation.datasets import detect
from separation.errors import SeparationError

RATE = 8000


def invoke(*words: object):
    return CliRunner().invoke(cli.app, ["mix", *map(str, words)])


@pytest.fixture
def stems(tmp_path: Path) -> Path:
    folder = tmp_path / "stems"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sf.write(folder / "a.wav", 0.2 * rng.standard_normal((RATE, 2)).clip(-3, 3), RATE, subtype="FLOAT")
    sf.write(folder / "b@home.flac", 0.1 * rng.standard_normal(2 * RATE).clip(-3, 3), RATE)
    sf.write(folder / "c@-6", 0.1 * rng.standard_normal(RATE).clip(-3, 3), RATE, format="WAV")
    return folder


def samples(path: Path) -> np.ndarray:
    return sf.read(path, always_2d=True)[0]


def test_a_mixture_with_its_stems_is_a_track_of_a_data_set(stems: Path, tmp_path: Path) -> None:
    song = tmp_path / "data" / "song"
    done = invoke(song, f"vocals={stems}/a.wav@-6", f"drums={stems}/b@home.flac", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert sorted(path.name for path in song.iterdir()) == ["drums.wav", "mixture.wav", "vocals.wav"]
    assert said["gain"] == 1 and said["null_db"] < -100
    assert samples(song / "mixture.wav").shape == (2 * RATE, 2)
    expected = 10 ** (-6 / 20) * samples(stems / "a.wav")
    np.testing.assert_allclose(samples(song / "vocals.wav")[:RATE], expected, atol=2e-7)
    found = detect(tmp_path / "data").find(tmp_path / "data")
    assert [sorted(track.stems) for track in found.tracks] == [["drums", "mixture", "vocals"]]


def test_one_gain_for_all_where_it_would_clip(stems: Path, tmp_path: Path) -> None:
    done = invoke(tmp_path / "out", f"a={stems}/a.wav@12", f"{stems}/b@home.flac@+3dB", "--format", "flac", "--json")
    assert done.exit_code == 0 and "dB quieter, because something would have clipped" in " ".join(done.stderr.split())
    said = json.loads(done.stdout)
    assert said["gain"] < 0.5 and said["null_db"] < -90
    assert list(said["output"]) == ["mixture", "a", "b home"]
    assert np.abs(samples(tmp_path / "out" / "mixture.flac")).max() <= 1


def test_a_file_that_ends_like_a_level_is_a_file(stems: Path, tmp_path: Path) -> None:
    assert invoke(tmp_path / "out", f"c={stems}/c@-6", f"a={stems}/a.wav").exit_code == 0
    np.testing.assert_allclose(samples(tmp_path / "out" / "c.wav")[:, :1], samples(stems / "c@-6"), atol=2e-7)


@pytest.mark.parametrize(
    "words", [("mixture=A",), ("a=A", "a=A"), ("a=",), ("a/b=A",), ("a=A", "A=A"), ("a=nowhere.wav",)]
)
def test_what_cannot_be_mixed_is_said(stems: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = invoke(tmp_path / "out", *(word.replace("=A", f"={stems}/a.wav") for word in words))
    assert isinstance(done.exception, SeparationError)
    assert not (tmp_path / "out").exists()


def test_an_oracle_separates_what_was_mixed(stems: Path, tmp_path: Path) -> None:
    invoke(tmp_path / "song", f"a={stems}/a.wav", f"b={stems}/b@home.flac")
    words = [
        "separate",
        tmp_path / "song" / "mixture.wav",
        "--output",
        tmp_path / "out",
        "--model",
        "oracle:irm1",
        "--json",
    ]
    told = [f"--reference=a={tmp_path}/song/a.wav", f"--reference=b={stems}/b@home.flac"]
    done = CliRunner().invoke(cli.app, [*map(str, words), *told])
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    assert list(result["output"]) == ["a", "b"]
    truth, guess = samples(tmp_path / "song" / "a.wav"), samples(tmp_path / "out" / "mixture" / "a.wav")
    mixture = samples(tmp_path / "song" / "mixture.wav")
    assert np.square(truth - guess).sum() < 0.5 * np.square(truth - mixture).sum()
    for wrong, why in (
        ([], "none came along"),
        (["--reference=a"], "no name, or no file"),
        ([*told, str(stems)], "recordings"),
    ):
        failed = CliRunner().invoke(cli.app, [*map(str, words), *wrong])
        assert isinstance(failed.exception, SeparationError) and why in str(failed.exception)
    ordinary = [str(word).replace("oracle:irm1", "vocals") for word in words]
    failed = CliRunner().invoke(cli.app, [*ordinary, *told])
    assert isinstance(failed.exception, SeparationError) and "needs none" in str(failed.exception)
