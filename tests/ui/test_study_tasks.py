"""Long work for studies: how far it is can be read at any time, also after a restart; it is stopped by a file."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from separation.errors import Busy, Cancelled, StudyError
from separation.ui.study_tasks import Report, Tasks, TaskState

WAIT = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "voices"
    made.mkdir()
    return made


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    made = Tasks()
    yield made
    made.stop()


def ended(tasks: Tasks, folder: Path, kind: str = "build") -> TaskState:
    """How it stands once nothing is at work."""
    done = threading.Event()
    for _ in range(3000):
        if not tasks.busy(folder):
            return tasks.look(folder, kind)
        done.wait(0.01)
    raise AssertionError("it never ended")


def ask(tasks: Tasks, folder: Path, work: Callable[..., Mapping[str, Any]]) -> None:
    tasks.ask(folder, "build", work, version="v1", asked="Build it")


def test_nothing_was_asked_for(tasks: Tasks, folder: Path) -> None:
    assert tasks.look(folder, "build") == TaskState()
    assert not tasks.busy(folder)
    tasks.cancel(folder, "build")  # of nothing


def test_how_far_it_is_and_what_came_of_it(tasks: Tasks, folder: Path) -> None:
    reached, go = threading.Event(), threading.Event()

    def work(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        report(0.5, "the second half")
        reached.set()
        assert go.wait(WAIT)
        return {"made": 3, "mean": float("nan")}

    ask(tasks, folder, work)
    assert reached.wait(WAIT)
    seen = tasks.look(folder, "build")
    assert (seen.status, seen.part, seen.doing, seen.version) == ("running", 0.5, "the second half", "v1")
    assert Tasks().look(folder, "build").status == "failed", "another process has lost it"
    with pytest.raises(Busy, match="at work already"):
        ask(tasks, folder, work)
    go.set()
    done = ended(tasks, folder)
    assert (done.status, done.part, done.result) == ("done", 1.0, {"made": 3, "mean": None})
    assert Tasks().look(folder, "build") == done, "it outlives the process"


def test_what_goes_wrong_is_told_in_three_parts(tasks: Tasks, folder: Path) -> None:
    def refused(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        raise StudyError("Build it", "a file is missing", "Upload it")

    def broken(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        raise ZeroDivisionError("secret")

    ask(tasks, folder, refused)
    state = ended(tasks, folder)
    assert state.status == "failed"
    assert state.error == {"asked": "Build it", "found": "a file is missing", "advice": "Upload it"}
    ask(tasks, folder, broken)
    error = ended(tasks, folder).error
    assert error is not None and "ZeroDivisionError" in error["found"] and "secret" not in str(error)


def test_it_is_stopped_by_a_file(tasks: Tasks, folder: Path) -> None:
    reached = threading.Event()

    def work(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        reached.set()
        for _ in range(3000):
            if cancelled():
                raise Cancelled("Build it", "it was stopped", "Start it again")
            threading.Event().wait(0.01)
        raise AssertionError("nobody stopped it")

    ask(tasks, folder, work)
    assert reached.wait(WAIT)
    Tasks().cancel(folder, "build")  # by whichever process
    state = ended(tasks, folder)
    assert state.status == "cancelled" and state.error is None
    ask(tasks, folder, lambda report, cancelled: {"again": cancelled()})
    assert ended(tasks, folder).result == {"again": False}


def test_what_waits_can_be_cancelled(tasks: Tasks, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    go = threading.Event()
    tasks.ask(other, "build", lambda report, cancelled: {"ok": go.wait(WAIT)}, version="", asked="Build")
    ask(tasks, folder, lambda report, cancelled: {"ran": True})
    assert tasks.look(folder, "build").status == "waiting"
    tasks.cancel(folder, "build")
    go.set()
    assert ended(tasks, folder).status == "cancelled"
    assert ended(tasks, other).result == {"ok": True}


def test_a_study_that_is_deleted_meanwhile(tasks: Tasks, folder: Path) -> None:
    reached, go = threading.Event(), threading.Event()

    def work(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
        reached.set()
        assert go.wait(WAIT)
        report(1.0, "too late")
        return {}

    ask(tasks, folder, work)
    assert reached.wait(WAIT)
    folder.rename(folder.with_name("gone"))
    go.set()
    assert ended(tasks, folder) == TaskState()


def test_a_damaged_file_is_no_reason_to_fail(tasks: Tasks, folder: Path) -> None:
    (folder / "tasks").mkdir()
    (folder / "tasks" / "build.json").write_text("{", encoding="utf-8")
    assert tasks.look(folder, "build").status == "none"
