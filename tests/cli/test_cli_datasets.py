"""`earshot datasets`, run as a user runs it."""

import json
import re
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from separation import cli
from separation.datasets import LAYOUTS
from tests.datasets.tiny_sets import make_folder, make_wham

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["datasets", *(str(word) for word in words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "my [songs]")


@pytest.mark.parametrize("words", [(), ("list",)])
def test_the_list_names_every_layout(words: tuple[str, ...]) -> None:
    done = invoke(*words)
    assert done.exit_code == 0
    assert all(name in done.stdout for name in LAYOUTS)


def test_the_list_as_json() -> None:
    told = json.loads(invoke("list", "--json").stdout)
    assert [row["name"] for row in told] == list(LAYOUTS)
    assert {row["name"] for row in told if not row["split"]} == {"moisesdb", "choral", "frets_on_fire", "speakers"}
    assert all(set(row) == {"name", "title", "about", "tree", "split"} for row in told)


def test_a_whole_set_passes(folder: Path) -> None:
    done = invoke("check", folder)
    assert done.exit_code == 0, done.output
    assert "a folder of stems (folder)" in done.stdout and "train 2, test 1" in done.stdout
    assert "problem" not in done.output and "--deep decodes the audio too" in done.stdout
    deep = invoke("check", folder, "--deep")
    assert "median -200.0 dB" in deep.stdout and "--deep" not in deep.stdout


def test_a_broken_set_is_told_line_by_line_and_fails(folder: Path) -> None:
    (folder / "train" / "a" / "vocals.wav").unlink()
    (folder / "test" / "c" / "mixture.wav").write_text("not audio")
    done = invoke("check", folder)
    assert done.exit_code == 1
    assert "problem: train/a/vocals.wav is missing (2 of 3 tracks have vocals)" in done.stdout.splitlines()
    assert any(line.startswith("problem: test/c/mixture.wav cannot be read: ") for line in done.stdout.splitlines())
    assert f"2 problems in {folder}." in done.stderr.replace("\n", "")


def test_json_goes_to_standard_output_and_fails_too(folder: Path) -> None:
    done = invoke("check", folder, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["problems"] == []
    (folder / "train" / "a" / "vocals.wav").unlink()
    done = invoke("check", folder, "--json", "--deep")
    told = json.loads(done.stdout)
    assert done.exit_code == 1 and told["deep"] is True
    assert told["problems"][0]["where"] == "train/a/vocals.wav"


def test_a_layout_can_be_named(tmp_path: Path) -> None:
    make_wham(tmp_path)
    assert "(wham)" in invoke("check", tmp_path).stdout
    assert "(wham_clean)" in invoke("check", tmp_path, "--layout", "wham_clean").stdout


@pytest.mark.parametrize(("words", "said"), [((), "none of these layouts"), (("--layout", "x"), "the layouts are")])
def test_what_is_no_data_set_is_one_line(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layouts are written with brackets, which the console must not take for its markup."""
    monkeypatch.setattr("sys.argv", ["earshot", "datasets", "check", str(tmp_path), *words])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told
    assert words or "[moisesdb_v0.1/]UUID" in told


def test_the_page_documents_every_layout_command_and_option() -> None:
    group = typer.main.get_command(cli.app).commands["datasets"]  # type: ignore[attr-defined]
    for name, command in group.commands.items():
        assert f"earshot datasets {name}" in PAGE
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or f"`{parameter.opts[0]}" in PAGE, parameter.opts
    options = {option for command in group.commands.values() for p in command.params for option in p.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) <= options
    assert set(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) == set(LAYOUTS)
