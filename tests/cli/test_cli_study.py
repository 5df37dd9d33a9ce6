"""`earshot study new | check | build | plan`, run as a researcher runs them."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import Result
from typer.testing import CliRunner

from separation import cli
from separation.errors import SeparationError
from separation.listening.plans import parse_plan
from separation.listening.prepared import read_prepared
from separation.listening.studies import Studies
from separation.listening.study import read_study
from separation.ratings import Store
from separation.ratings.sessions import Sessions
from separation.settings import Settings

RATE = 24000


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["study", *map(str, words)])


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "studies"


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Six songs with bright voices, and what two systems made of them."""
    drawn = np.random.default_rng(0)
    for number in range(6):
        voice, band = 0.05 * drawn.standard_normal((2, 2 * RATE))
        made = {
            "songs/s{}/mixture": voice + band,
            "songs/s{}/vocals": voice,
            "a/s{}": voice + band / 2,
            "b/s{}": voice * 0.7 + band / 9,
        }
        for name, samples in made.items():
            path = tmp_path / f"{name.format(number)}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sf.write(path, samples, RATE, subtype="FLOAT")
    return tmp_path / "songs"


def begun(songs: Path, name: str = "mine", *more: object) -> Result:
    files = [word for system in "ab" for word in ("--files", f"{system}={songs.parent}/{system}/{{item}}.wav")]
    return invoke("new", name, "--recordings", songs, *files, *more)


def test_from_nothing_to_a_study_that_can_be_launched(studies: Path, songs: Path) -> None:
    done = begun(songs, "mine", "--listeners", 8)
    assert done.exit_code == 0, done.output
    assert "items 6, systems 2, anchors 2, questions 1" in done.output
    study = read_study(studies / "mine" / "study.yaml")
    assert study.assignment.listeners == 8 and (studies / "mine" / "study.yaml").read_text().startswith(
        "# docs/studies.md"
    )

    done = invoke("check", "mine")
    assert done.exit_code == 0 and "The file is sound" in done.output

    done = invoke("build", "mine", "--device", "cpu", "--json")
    assert done.exit_code == 0, done.output
    assert {finding["level"] for finding in json.loads(done.stdout)["findings"]} == {"note"}
    assert len(read_prepared(studies / "mine").stimuli) == 6 * 5
    assert len(parse_plan((studies / "mine" / "plan.json").read_text()).slots) == 8

    done = invoke("plan", "mine", "--listeners", 10)
    assert done.exit_code == 0 and "places: 10" in done.output
    assert json.loads(invoke("plan", "mine", "--json").stdout)["listeners"] == 10  # those that there are stay
    for named in (studies / "mine", studies / "mine" / "study.yaml"):
        assert invoke("check", named).exit_code == 0


def test_what_was_launched_is_not_changed(studies: Path, songs: Path) -> None:
    assert (
        begun(songs, "mine", "--listeners", 4).exit_code == 0
        and invoke("build", "mine", "--device", "cpu").exit_code == 0
    )
    store = Store(Settings.from_environment().database_url)
    Studies([studies], Sessions(store, clock=time.time), clock=time.time).launch("mine")
    store.close()
    for words in (("build", "mine"), ("plan", "mine", "--listeners", 9)):
        done = invoke(*words)
        assert isinstance(done.exception, SeparationError) and "it was launched, and is open" in str(done.exception)
    assert invoke("plan", "mine").exit_code == invoke("check", "mine").exit_code == 0


def test_errors_are_told_and_end_with_status_1(studies: Path, songs: Path) -> None:
    assert begun(songs).exit_code == 0
    path = studies / "mine" / "study.yaml"
    path.write_text(path.read_text().replace("files/b-s0", "files/a-s0"))
    done = invoke("build", "mine", "--device", "cpu")
    assert done.exit_code == 1 and "error s0: a and b are the same to the bit" in done.output
    done = invoke("check", "mine", "--json")
    assert done.exit_code == 1 and json.loads(done.stdout)["findings"][0]["where"] == "s0"


def test_a_broken_file_is_told_by_its_line(studies: Path, songs: Path) -> None:
    assert begun(songs).exit_code == 0
    path = studies / "mine" / "study.yaml"
    path.write_text(path.read_text().replace("kind: mushra", "kind: mushroom"))
    line = path.read_text().splitlines().index("  kind: mushroom") + 1
    done = invoke("check", "mine")
    assert isinstance(done.exception, SeparationError) and f"line {line}" in str(done.exception)


def test_other_kinds_and_other_peoples_files(studies: Path, songs: Path) -> None:
    assert begun(songs, "pairs", "--kind", "ab", "--seconds", 1).exit_code == 0
    study = read_study(studies / "pairs" / "study.yaml")
    assert {question.kind for question in study.questions} == {"ab"} and study.items[0].duration == 1
    done = invoke("new", "again", "--from", studies / "pairs" / "study.yaml")
    assert done.exit_code == 0, done.output
    again = read_study(studies / "again" / "study.yaml")
    assert again.name == "again" and len(again.items) == 6
    assert (studies / "again" / again.items[0].mixture).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("new", "mine"), "it is not said from what"),
        (("new", "../Mine"), "no name for a link"),
        (("new", "mine", "--recordings", "SONGS"), "nothing is to be compared"),
        (("new", "mine", "--recordings", "SONGS", "--files", "a"), "LABEL=PATTERN"),
        (("new", "mine", "--recordings", "SONGS", "--kind", "vote"), "there is no kind vote"),
        (("new", "mine", "--from", "SONGS/lost.yaml"), "lost.yaml"),
        (("build", "nothing"), "here are none"),
    ],
)
def test_refusals_leave_nothing_behind(studies: Path, songs: Path, words: tuple[str, ...], said: str) -> None:
    done = invoke(*(word.replace("SONGS", str(songs)) for word in words))
    assert isinstance(done.exception, SeparationError) and said in str(done.exception)
    assert not (studies / "mine").exists()


def test_a_name_that_is_taken_is_refused(studies: Path, songs: Path) -> None:
    assert begun(songs).exit_code == 0
    before = (studies / "mine" / "study.yaml").read_text()
    done = begun(songs)
    assert isinstance(done.exception, SeparationError) and "there already" in str(done.exception)
    assert (studies / "mine" / "study.yaml").read_text() == before
