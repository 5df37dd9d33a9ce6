"""`make space`: the assembled folder holds all the app needs and nothing that would hide a package."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.space import RENAMED, WHOLE, SpaceError, assemble

ROOT = Path(__file__).resolve().parents[2]
FIELDS = dict(
    re.findall(r"^(\w+): (.+)$", (ROOT / "spaces/README.md").read_text(encoding="utf-8").split("---")[1], re.MULTILINE)
)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("space") / "earshot"
    assemble(ROOT, folder)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in miniature, to be spoilt."""
    root = tmp_path / "project"
    for name in (*WHOLE, *RENAMED):
        path = root / (f"{name}/part" if name in ("separation", "assets") else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def test_it_holds_what_a_space_needs(space: Path) -> None:
    assert sorted(path.name for path in space.iterdir()) == sorted([*WHOLE, *RENAMED.values()])
    assert (space / "README.md").read_text(encoding="utf-8").startswith("---\ntitle: Earshot\n")
    assert [path for path in space.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"] == []


def test_every_file_of_the_package_is_there(space: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}

    assert files(space / "separation") == files(ROOT / "separation")
    assert files(space / "assets") == files(ROOT / "assets")


def test_it_imports_from_its_own_folder(space: Path) -> None:
    code = (
        "import app, separation, spaces; from pathlib import Path; here = Path.cwd();"
        "assert Path(separation.__file__).is_relative_to(here), separation.__file__;"
        "assert Path(app.__file__).parent == here; assert hasattr(spaces, 'GPU');"
        "from separation.hub import bundled; assert bundled(), 'no model came along'"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=space, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_front_matter_agrees_with_the_project() -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert f"gradio=={FIELDS['sdk_version']}\n" in requirements
    assert FIELDS["sdk"] == "gradio" and (ROOT / FIELDS["app_file"]).is_file()
    assert FIELDS["license"] == "mit" and FIELDS["python_version"] == '"3.11"'
    assert len(FIELDS["short_description"]) <= 60
    assert {FIELDS["colorFrom"], FIELDS["colorTo"]} <= {
        "red",
        "yellow",
        "green",
        "blue",
        "indigo",
        "purple",
        "pink",
        "gray",
    }


def test_packages_are_names_only() -> None:
    lines = (ROOT / "spaces/packages.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", line)] == []


def test_the_dockerfile_listens_to_everyone_as_user_1000() -> None:
    text = (ROOT / "spaces/Dockerfile").read_text(encoding="utf-8")
    assert "--uid 1000" in text and text.index("USER user") < text.index("pip install")
    assert "EARSHOT_HOST=0.0.0.0" in text and "EARSHOT_PORT=7860" in text and "EXPOSE 7860" in text
    settings = (ROOT / "separation/settings.py").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"EARSHOT_\w+", text) if f"`{name}`" not in settings] == []
    command = ast.literal_eval(re.findall(r"^CMD (.+)$", text, re.MULTILINE)[0])
    assert command == ["python", "app.py"]


def test_a_folder_with_something_in_it_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "precious").touch()
    with pytest.raises(SpaceError, match="not empty"):
        assemble(project, tmp_path / "output")
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"max_file": 20}, r"larger than 0 MB: assets/part"), ({"max_total": 200}, r"in all, but 0 MB is the limit")],
)
def test_what_is_too_large_is_refused(project: Path, tmp_path: Path, limits: dict[str, int], message: str) -> None:
    (project / "assets" / "part").write_bytes(bytes(150))
    with pytest.raises(SpaceError, match=message):
        assemble(project, tmp_path / "output", **limits)
    assert not (tmp_path / "output").exists()


def test_what_is_missing_is_named(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(project / "assets")
    with pytest.raises(SpaceError, match=r"missing in .*: assets"):
        assemble(project, tmp_path / "output")


def test_caches_stay_behind(project: Path, tmp_path: Path) -> None:
    for name in ("__pycache__/a.pyc", ".hidden/b", "kept/c"):
        path = project / "separation" / name
        path.parent.mkdir()
        path.touch()
    files = assemble(project, tmp_path / "output")
    assert {path.as_posix() for path in files if path.parts[0] == "separation"} == {
        "separation/part",
        "separation/kept/c",
    }
