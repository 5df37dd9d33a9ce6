"""Runs as folders: they outlive pages and processes, stop when asked, and expire."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from separation.errors import DataError, UnknownJob
from separation.ui.runs import Run, RunRequest, Runs

REQUEST = RunRequest(("vocals",), "examples", "The examples", "sisec", 3)


class Counting:
    """Measures four parts, waiting before each while `gate` is closed, and goes on with the parts that are there."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.made: list[str] = []

    def __call__(
        self, run: Run, *, progress: Callable[[int, int, float], None], cancelled: Callable[[], bool]
    ) -> tuple[str, ...]:
        for part in range(4):
            path = run.table / str(part)
            if not path.exists():
                while not self.gate.wait(0.01):
                    if cancelled():
                        return ()
                path.touch()
                self.made.append(path.name)
            progress(part + 1, 4, 3.0 - part)
        return ("a message",)


@contextmanager
def started(folder: Path, measure: Any, **more: Any) -> Iterator[Runs]:
    runs = Runs(folder, measure, **more)
    runs.start()
    try:
        yield runs
    finally:
        runs.stop()


def until(happened: Callable[[], bool]) -> None:
    for _ in range(2000):
        if happened():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def test_a_run_is_measured_and_says_how_far_it_is(tmp_path: Path) -> None:
    measure = Counting()
    with started(tmp_path, measure) as runs:
        run = runs.create(REQUEST)
        assert run.state().status == "waiting" and runs.get(run.id).request == REQUEST
        runs.submit(run)
        until(lambda: run.state().finished)
    state = run.state()
    assert (state.status, state.done, state.total, state.messages) == ("done", 4, 4, ("a message",))
    assert measure.made == ["0", "1", "2", "3"] and state.seconds > 0


def test_what_a_process_left_is_taken_up_by_the_next_and_nothing_is_made_twice(tmp_path: Path) -> None:
    first = Counting()
    first.gate.clear()
    with started(tmp_path, first) as runs:
        run = runs.create(REQUEST)
        (run.table / "0").touch()
        (run.table / "1").touch()
        runs.submit(run)
        until(lambda: run.state().done == 2)
    assert run.state().status == "waiting", "stopping the process is no cancellation"
    second = Counting()
    with started(tmp_path, second):
        until(lambda: run.state().finished)
    assert run.state().status == "done" and second.made == ["2", "3"]


@pytest.mark.parametrize("when", ["running", "waiting"])
def test_cancelling_stops_a_run_and_keeps_what_it_measured(tmp_path: Path, when: str) -> None:
    measure = Counting()
    measure.gate.clear()
    with started(tmp_path, measure) as runs:
        ahead, run = runs.create(REQUEST), runs.create(REQUEST)
        (run.table / "0").touch()
        if when == "waiting":
            runs.submit(ahead)
        runs.submit(run)
        until(lambda: (ahead if when == "waiting" else run).state().status == "running")
        assert run.state().position == (1 if when == "waiting" else 0)
        run.cancel()
        measure.gate.set()
        until(lambda: run.state().finished and (when == "running" or ahead.state().finished))
    assert run.state().status == "cancelled" and (run.table / "0").exists()


def test_an_error_is_told_in_three_parts_and_never_with_its_inside(tmp_path: Path) -> None:
    def broken(run: Run, **_: Any) -> tuple[str, ...]:
        raise (
            DataError("Read songs", "a stem is missing", "Restore it") if run.request.tracks else ValueError("/secret")
        )

    with started(tmp_path, broken) as runs:
        known, unknown = runs.create(REQUEST), runs.create(RunRequest(("m",), "examples", "Examples", "sisec"))
        for run in (known, unknown):
            runs.submit(run)
        until(lambda: known.state().finished and unknown.state().finished)
    assert known.state().error == {"asked": "Read songs", "found": "a stem is missing", "advice": "Restore it"}
    assert unknown.state().status == "failed" and "secret" not in str(unknown.state().error)


def test_finished_runs_expire_and_others_do_not(tmp_path: Path) -> None:
    now = [1000.0]
    runs = Runs(tmp_path, Counting(), keep_hours=1, clock=lambda: now[0])
    old, unfinished = runs.create(REQUEST), runs.create(REQUEST)
    runs.run(old)
    now[0] += 3601
    fresh = runs.create(REQUEST)
    runs.run(fresh)
    assert runs.expire() == [old.id]
    assert {run.id for run in runs.all()} == {unfinished.id, fresh.id}


def test_ids_are_unguessable_and_lead_nowhere_else(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", Counting())
    (tmp_path / "request.json").write_text("{}", encoding="utf-8")
    made = runs.create(REQUEST)
    assert len(made.id) == 22 and made.id != runs.create(REQUEST).id
    for wrong in ("", "..", "../runs", made.id[:-1], made.id + "x", "A" * 22, f"../runs/{made.id}"):
        with pytest.raises(UnknownJob, match="not here any more"):
            runs.get(wrong)
    made.delete()
    with pytest.raises(UnknownJob):
        made.state()


def test_data_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    runs = Runs(tmp_path, Counting())

    def refuse(folder: Path) -> None:
        (folder / "half").touch()
        raise DataError("Unpack", "it is bad", "Mend it")

    with pytest.raises(DataError):
        runs.create(REQUEST, refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_run_deleted_while_it_is_measured_ends_quietly(tmp_path: Path) -> None:
    measure = Counting()
    measure.gate.clear()
    with started(tmp_path, measure) as runs:
        run = runs.create(REQUEST)
        runs.submit(run)
        until(lambda: run.state().status == "running")
        run.delete()
        measure.gate.set()
        after = runs.create(REQUEST)
        runs.submit(after)
        until(lambda: after.state().finished)
    assert after.state().status == "done"
