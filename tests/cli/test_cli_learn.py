"""`earshot learn` and `earshot rearrange`: from two clips to a separated mixture, reuse, surgery, and errors that help."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from typer.testing import CliRunner

from separation import cli, hub
from separation.errors import DataError, SeparationError
from tests.training.learning_sounds import hiss, strings

RATE = 16000


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, samples in {
        "strings": strings(2.0, 1, RATE),
        "hiss": hiss(2.0, 2, RATE),
        "mix": strings(2.0, 11, RATE) + hiss(2.0, 12, RATE),
    }.items():
        sf.write(folder / f"{name}.wav", samples.T, RATE)
    return folder


@pytest.fixture(scope="module")
def learned(heard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("models") / "duo"
    done = invoke(
        "learn", "--model", "nmf", "--components", 5, "--steps", 20, "--source", f"strings={heard}/strings.wav",
        "--source", f"hiss={heard}/hiss.wav", "--output", output, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["sources"] == ["strings", "hiss"] and len(record["components"]) == 10
    assert record["components"][7]["home"] == "hiss" and record["components"][7]["peak_hz"] > 1900
    assert "earshot separate MIX.wav --model" in done.stderr
    return output


def invoke(*words: object) -> Any:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def separated(heard: Path, model: Path, output: Path) -> dict[str, Any]:
    done = invoke(
        "separate", heard / "mix.wav", "--model", model, "--output", output, "--residual", "--bit-depth", "32f"
    )
    assert done.exit_code == 0, done.output
    return {path.stem: sf.read(path)[0] for path in (output / "mix").iterdir()}


def test_what_was_learned_separates(heard: Path, learned: Path, tmp_path: Path) -> None:
    stems = separated(heard, learned, tmp_path)
    truth = hiss(2.0, 12, RATE)[0]
    error = stems["hiss"] - truth
    assert np.square(error).sum() < 0.1 * np.square(truth).sum()
    assert set(stems) == {"strings", "hiss", "residual"}


def test_components_are_listed_moved_and_muted(heard: Path, learned: Path, tmp_path: Path) -> None:
    listed = invoke("rearrange", learned)
    assert listed.exit_code == 0 and len(listed.stdout.splitlines()) == 10
    changed = tmp_path / "changed"
    done = invoke("rearrange", learned, "--move", "2=hiss", "--mute", 7, "--mute", 8, "--output", changed, "--json")
    assert done.exit_code == 0, done.output
    after = json.loads(done.stdout)["components"]
    assert after[2] == {**after[2], "source": "hiss", "home": "strings"} and after[7]["muted"] and not after[6]["muted"]
    again = tmp_path / "again"
    done = invoke("rearrange", changed, "--move", "2=strings", "--unmute", 8, "--output", again)
    assert done.exit_code == 0, done.output
    model: Any = hub.load(again)
    assert (model.arguments["moved"], model.arguments["muted"]) == ({}, [7])
    assert "muted" in invoke("rearrange", again).stdout.splitlines()[7]
    stems = separated(heard, changed, tmp_path / "stems")
    assert np.square(stems["residual"]).sum() > 1e-3 * np.square(stems["hiss"]).sum(), "what is muted is left over"


def test_a_learned_source_serves_again_and_one_may_stay_unknown(heard: Path, learned: Path, tmp_path: Path) -> None:
    done = invoke(
        "learn", "--steps", 10, "--components", 4, "--reuse", f"air={learned}:hiss", "--unknown", "rest",
        "--output", tmp_path / "new", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["sources"] == ["air", "rest"] and len(record["components"]) == 9
    assert hub.describe(tmp_path / "new").trained_on[0] == "air: learned before"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["learn", "--source", "voice", "--output", "OUT"], "Write NAME=CLIP.wav"),
        (["learn", "--source", "voice=nowhere.wav", "--output", "OUT"], "nowhere.wav"),
        (["learn", "--output", "OUT"], "there are 0 sources"),
        (["learn", "--model", "gan", "--source", "a=CLIPS/hiss.wav", "--output", "OUT"], "Use one of nmf, conv-nmf"),
        (["learn", "--source", "a=CLIPS/hiss.wav", "--components", "0", "--output", "OUT"], "0 components"),
        (["learn", "--reuse", "a=LEARNED", "--output", "OUT"], "Write NAME=FOLDER:SOURCE"),
        (["learn", "--reuse", "a=LEARNED:drums", "--output", "OUT"], "Choose from strings, hiss"),
        (["learn", "--reuse", "a=vocals:vocals", "--output", "OUT"], "Find the model|has no components|does not exist"),
        (
            [
                "learn",
                "--source",
                "a=CLIPS/hiss.wav",
                "--source",
                "b=CLIPS/hiss.wav",
                "--unknown",
                "b",
                "--output",
                "OUT",
            ],
            "Learn b: it comes in two ways",
        ),
        (["learn", "--source", "a=CLIPS/hiss.wav", "--reuse", "a=LEARNED:hiss", "--output", "OUT"], "in two ways"),
        (["learn", "--reuse", "a=LEARNED:hiss", "--reuse", "a=LEARNED:strings", "--output", "OUT"], "in two ways"),
        (["learn", "--source", "a=nowhere.wav", "--output", "CLIPS"], "the folder holds other files"),
        (["learn", "--source", "a=nowhere.wav", "--output", "CLIPS/hiss.wav"], "it is a file"),
        (["rearrange", "LEARNED", "--move", "x=hiss", "--output", "OUT"], "Write INDEX=SOURCE"),
        (["rearrange", "LEARNED", "--move", "2=drums", "--output", "OUT"], "no source called drums"),
        (["rearrange", "LEARNED", "--mute", "10", "--output", "OUT"], "10 components"),
        (["rearrange", "LEARNED", "--mute", "1"], "Name one with --output"),
    ],
)
def test_mistakes_are_told_and_leave_no_folder(
    words: list[str], said: str, heard: Path, learned: Path, tmp_path: Path
) -> None:
    places = {"OUT": str(tmp_path / "out"), "CLIPS": str(heard), "LEARNED": str(learned)}
    for word, place in places.items():
        words = [each.replace(word, place) for each in words]
    done = invoke(*words)
    assert isinstance(done.exception, SeparationError)
    with pytest.raises(SeparationError, match=said):
        raise done.exception
    assert not (tmp_path / "out").exists()


def test_a_recording_is_divided_without_clips(heard: Path, tmp_path: Path) -> None:
    mixture = heard / "mix.wav"
    words = "learn", "--blind", mixture, "--parts", 3, "--components", 6, "--steps", 5, "--output", tmp_path / "parts"
    done = invoke(*words, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sources"] == ["part 1", "part 2", "part 3"]
    with pytest.raises(DataError, match="sources are named as well"):
        CliRunner().invoke(cli.app, [*map(str, words), "--unknown", "rest"], catch_exceptions=False)
