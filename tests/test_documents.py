"""What is written agrees with what is there: targets, commands, settings, links, versions."""

import ast
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

import separation
from separation.cli import app

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (".ci", "assets", "benchmarks", "docs", "separation", "spaces", "tests", "tools")
TEXTS = {".cfg", ".css", ".html", ".ini", ".js", ".json", ".md", ".py", ".sh", ".svg", ".toml", ".txt", ".yml", ""}
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
# Things that exist on one machine only. Written in parts, so that this file does not find itself.
PRIVATE = [
    r"/wo" + r"rk/(main|shared|\.library)",
    r"\bshared/" + r"(reference|data|DESIGN)",
    r"--(extra-)?index" + r"-url|PIP_INDEX" + r"_URL|trusted" + r"-host|registry" + r"=http",
    r"https?://(?!127\.0\.0\.1|0\.0\.0\.0)\d+\.\d+\.\d+\.\d+",
]
IMPORT_NAMES = {
    "huggingface-hub": "huggingface_hub",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "torch-log-wmse": "torch_log_wmse",
    "webrtcvad-wheels": "webrtcvad",
}
OPTIONAL = {"pesq"}  # imported where it is used, with an error that says what to install
PINNED_FOR_LATER = {"plotly", "torchaudio"}  # parts that ARCHITECTURE.md gives to a room


def texts() -> list[Path]:
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    return [
        path for path in (*inside, *ROOT.iterdir()) if path.is_file() and path.suffix in TEXTS and path.name != ".git"
    ]


def markdown() -> list[Path]:
    return [path for path in texts() if path.suffix == ".md"]


def test_readme_opens_with_the_two_commands_and_a_picture() -> None:
    top = README.partition("## ")[0]
    assert top.index("make run") < top.index("make test") < top.index("![")
    assert (ROOT / re.findall(r"!\[.+?\]\((.+?)\)", top)[0]).is_file()


def test_readme_names_the_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", " ".join(re.findall(r"`+[^`]+`+", README))))
    assert named == targets


def test_readme_names_every_command_and_no_option_that_is_not_there() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `earshot (\w+).*$", README, re.MULTILINE)}
    assert set(rows) == set(commands)
    for name, row in rows.items():
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", row)) <= options


def test_readme_has_the_same_table_of_settings_as_the_code() -> None:
    def rows(text: str) -> list[str]:
        return re.findall(r"^\| `EARSHOT_.*$", text, re.MULTILINE)

    source = (ROOT / "separation" / "settings.py").read_text(encoding="utf-8")
    assert rows(README) == rows(source)
    used = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and re.fullmatch(r"EARSHOT_\w+", str(node.value))
    }
    assert used == {row.split("`")[1] for row in rows(README)} != set()


def test_readme_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = README.partition("```python\n")[2].partition("```")[0]
    recording = ROOT / "assets" / "examples" / "voice-over-music" / "mixture.flac"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stems").mkdir()
    code = example.replace('"song.mp3"', repr(str(recording))).replace("print(", "shown = (")
    names: dict[str, object] = {}
    exec(code, names)
    assert names["shown"] == ((2, 441000), 44100)
    assert {path.name for path in (tmp_path / "stems").iterdir()} == {"vocals.wav", "accompaniment.wav"}


@pytest.mark.parametrize("page", markdown(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_point_at_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_changelog_begins_with_this_version() -> None:
    entries = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert entries[0] == separation.__version__


@pytest.mark.parametrize("pattern", PRIVATE)
def test_nothing_names_what_only_one_machine_has(pattern: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts()
        for match in re.finditer(pattern, path.read_text(encoding="utf-8"))
    ]
    assert found == []


def imported_packages() -> set[str]:
    names: set[str] = set()
    for path in (ROOT / "separation").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


def test_requirements_are_what_is_imported_each_pinned() -> None:
    lines = [line for line in REQUIREMENTS.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)] == []
    assert lines == sorted(lines)
    pinned = {IMPORT_NAMES.get(name, name) for name in (line.partition("==")[0] for line in lines)}
    imported = imported_packages() - set(sys.stdlib_module_names) - {"separation"}
    assert imported - pinned - OPTIONAL == set(), "imported but not in requirements.txt"
    assert pinned - imported - PINNED_FOR_LATER == set(), "in requirements.txt but not imported"


def test_the_environment_has_the_pinned_versions() -> None:
    both = REQUIREMENTS + (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    pins = dict(line.split("==") for line in both.splitlines() if "==" in line)
    assert {name: version(name).partition("+")[0] for name in pins} == pins


def test_the_licence_is_mit_everywhere() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "MIT" and project["scripts"] == {"earshot": "separation.cli:main"}
