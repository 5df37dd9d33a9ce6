"""webMUSHRA's file in by `earshot study new --from`, and out by `earshot study webmushra`, audio and all."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import Result
from typer.testing import CliRunner

from separation import cli
from separation.errors import StudyError
from separation.listening.study import read_study
from separation.listening.webmushra import from_webmushra

THEIRS = """\
testname: Codecs
testId: codecs
showButtonPreviousPage: true
pages:
  - random
  - {type: mushra, id: Harp, name: Harp, content: How good?, reference: audio/ref.wav, createAnchor35: true,
     createAnchor70: true, stimuli: {C1: audio/c1.wav, C2: audio/c2.wav}}
  - {type: finish, name: Bye, content: ""}
""".replace("How good?", '"How good?"')


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["study", *map(str, words)])


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path / "data"))
    (tmp_path / "audio").mkdir()
    for number, name in enumerate(("ref", "c1", "c2")):
        sf.write(tmp_path / "audio" / f"{name}.wav", 0.1 * np.random.default_rng(number).standard_normal(24000), 24000)
    path = tmp_path / "configs" / "codecs.yaml"  # where it lies in webMUSHRA's folder, from which its paths count
    path.parent.mkdir()
    path.write_text(THEIRS, encoding="utf-8")
    return path


def test_theirs_comes_in_with_what_is_different_and_goes_out_again(theirs: Path, tmp_path: Path) -> None:
    made = invoke("new", "codecs", "--from", theirs)
    assert made.exit_code == 0, made.output
    assert "page `Harp` is the item `harp`" in made.output and "cannot go back" in made.output
    study = read_study(tmp_path / "data" / "studies" / "codecs" / "study.yaml")
    assert [question.kind for question in study.questions] == ["mushra"]

    written = invoke("webmushra", "codecs", "--output", tmp_path / "out.yaml")
    assert written.exit_code == 0, written.output
    again = from_webmushra((tmp_path / "out.yaml").read_text(encoding="utf-8")).study
    assert again is not None and again.items == study.items and again.systems == study.systems
    assert invoke("webmushra", "codecs").output == (tmp_path / "out.yaml").read_text(encoding="utf-8")
    with pytest.raises(StudyError, match="there is such a file already"):
        CliRunner().invoke(
            cli.app, ["study", "webmushra", "codecs", "--output", str(tmp_path / "out.yaml")], catch_exceptions=False
        )
