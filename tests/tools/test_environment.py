"""The two scripts behind `make run` and `make test`, with a stand-in for Python: what they install, when, and what they say."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A base Python and the environment's own: writes down what it is asked to do, and fails where the test says so.
PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) exit ${OLD:-0} ;;
    *ensurepip*) exit ${NO_VENV:-0} ;;
    "-m venv --clear "*)
        echo "venv" >>log
        rm -rf "$4"
        mkdir -p "$4/bin"
        cp "$0" "$4/bin/python" ;;
    "-m pip install"*)
        shift 4
        echo "pip $*" >>log
        exit ${NO_NETWORK:-0} ;;
esac
"""
TOOLS = ("sh", "id", "env", "cat", "cmp", "touch", "rm", "basename", "mkdir", "cp")
INSTALLED = ["pip --disable-pip-version-check -r needs.txt", "pip --disable-pip-version-check --no-deps --editable ."]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project with nothing but a requirement file, and a PATH with nothing but what a bare system has."""
    (tmp_path / "needs.txt").write_text("one==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "path").mkdir()
    for tool in TOOLS:
        (tmp_path / "path" / tool).symlink_to(str(shutil.which(tool)))
    program(tmp_path, "python3", PYTHON)
    return tmp_path


def program(clone: Path, name: str, text: str) -> None:
    (clone / "path" / name).write_text(text)
    (clone / "path" / name).chmod(0o755)


def call(clone: Path, script: str, *arguments: str, **environment: str) -> tuple[int, str]:
    command = [str(clone / "path" / "sh"), str(ROOT / "tools" / script), *arguments]
    variables = {"PATH": str(clone / "path"), **environment}
    done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True)
    return done.returncode, done.stderr


def install(clone: Path, **environment: str) -> tuple[int, str]:
    return call(clone, "environment.sh", "run", "needs.txt", **environment)


def log(clone: Path) -> list[str]:
    path = clone / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_the_first_run_installs_and_the_second_does_nothing(clone: Path) -> None:
    assert install(clone)[0] == 0
    assert log(clone) == ["venv", *INSTALLED]
    assert install(clone) == (0, "")
    assert log(clone) == []


def test_changed_requirements_are_installed_into_the_same_environment(clone: Path) -> None:
    install(clone)
    log(clone)
    (clone / "needs.txt").write_text("one==2\n")
    assert install(clone)[0] == 0
    assert log(clone) == INSTALLED


def test_an_interrupted_install_is_done_again_from_the_start(clone: Path) -> None:
    assert install(clone, NO_NETWORK="1")[0] != 0
    assert log(clone) == ["venv", INSTALLED[0]]
    assert install(clone)[0] == 0
    assert log(clone) == ["venv", *INSTALLED]


def test_a_broken_environment_is_made_again(clone: Path) -> None:
    install(clone)
    log(clone)
    (clone / ".venv" / "bin" / "python").unlink()
    assert install(clone)[0] == 0
    assert log(clone) == ["venv", *INSTALLED]


def test_without_venv_the_one_line_is_named(clone: Path) -> None:
    code, said = install(clone, NO_VENV="1")
    assert code == 1 and "apt-get install -y python3-venv\n" in said
    assert log(clone) == [] and not (clone / ".venv").exists()


def test_an_old_python_is_passed_over_for_a_newer_one(clone: Path) -> None:
    program(clone, "python3", "#!/bin/sh\nexit 1\n")
    program(clone, "python3.12", PYTHON)
    assert install(clone)[0] == 0
    code, said = install(clone, NO_VENV="1", VENV="other")
    assert code == 1 and "apt-get install -y python3.12-venv\n" in said


def test_without_a_new_python_the_one_line_is_named(clone: Path) -> None:
    code, said = install(clone, OLD="1")
    assert code == 1 and "apt-get install -y python3.11 python3.11-venv\n" in said
    (clone / "path" / "python3").unlink()
    code, said = install(clone)
    assert code == 1 and "apt-get install -y python3 python3-venv\n" in said


def test_a_chromium_that_is_there_is_used(clone: Path) -> None:
    program(clone, "chromium-browser", "#!/bin/sh\n")
    assert call(clone, "chromium.sh") == (0, "")


@pytest.mark.parametrize("user", ["0", "1000"])
def test_chromium_is_installed_where_that_is_allowed(clone: Path, user: str) -> None:
    (clone / "path" / "id").unlink()
    program(clone, "id", f"#!/bin/sh\necho {user}\n")
    program(clone, "apt-get", '#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >>log\n')
    if user != "0":
        code, said = call(clone, "chromium.sh")
        assert code == 1 and "sudo apt-get install -y chromium\n" in said
        program(clone, "sudo", '#!/bin/sh\nshift\n"$@"\n')
    assert call(clone, "chromium.sh")[0] == 0
    assert "noninteractive install --quiet --yes chromium fonts-liberation" in log(clone)


def test_make_run_and_make_test_do_what_the_readme_says() -> None:
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }  # `make test` is a make too

    def plan(target: str) -> str:
        command = ["make", "--dry-run", target]
        return subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout

    assert plan("run").splitlines()[0] == "sh tools/environment.sh run requirements.txt"
    assert plan("run").splitlines()[-1].endswith(".venv/bin/python app.py")
    assert "sh tools/chromium.sh" in plan("test") and ".venv/bin/python -m pytest" in plan("test")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in ci and ci.rstrip().endswith("make test")
