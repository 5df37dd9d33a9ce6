"""Two processes on one data folder: every job runs in one of them, and none is lost when one of them dies."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from separation.audio import Writer
from separation.engine.claims import Claims
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.workers import Workers
from tests.fakes import Splitter

ROOT = Path(__file__).parents[2]
RATE = 8000


class Signing(Splitter):
    """Two halves, slowly; writes down which process made every call."""

    def __init__(self, path: Path, pause: float) -> None:
        super().__init__(0.5, 0.5)
        self.path, self.pause = path, pause

    def split(self, mixture: Tensor) -> Tensor:
        with self.path.open("a") as signatures:
            signatures.write(f"{os.getpid()}\n")
        time.sleep(self.pause)
        return super().split(mixture)


def workers_in(folder: Path, pause: float) -> Workers:
    return Workers(JobStore(folder), lambda name, **_: Signing(folder.parent / f"{name}.pids", pause), devices=("cpu",))


def serve() -> None:
    """The other process: takes what there is to do in a folder, and never ends by itself."""
    workers_in(Path(sys.argv[1]), 0.05).start()
    time.sleep(600)


def until(true: Callable[[], bool], what: str) -> None:
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError(f"never happened: {what}")


def signatures(folder: Path, model: str) -> list[int]:
    path = folder.parent / f"{model}.pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def other(folder: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    started = []

    def start() -> "subprocess.Popen[bytes]":
        code = "from tests.engine.test_claims import serve; serve()"
        started.append(subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def job_of(folder: Path, model: str, seconds: float) -> Job:
    path = folder.parent / "song.wav"
    with Writer(path, RATE, 1, bit_depth="32f") as writer:
        writer.write(np.full((1, round(seconds * RATE)), 0.1, np.float32))
    return JobStore(folder).create(path, Request(model=model, name="song.wav"))


def test_two_processes_share_a_folder_and_the_survivor_takes_over(
    folder: Path, other: Callable[[], "subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("separation.engine.workers._ADOPT_EVERY", 0.05)
    monkeypatch.setattr("separation.engine.workers._HOUSE_EVERY", 0.02)
    long, waiting = job_of(folder, "long", 400.0), job_of(folder, "waiting", 2.0)
    first = other()
    until(lambda: len(signatures(folder, "long")) > 2, "the other process begins")
    ours = workers_in(folder, 0.02)
    ours.start()
    try:
        own = job_of(folder, "own", 2.0)
        ours.submit(own)
        until(lambda: own.state().finished, "our own job ends while the other process is busy")
        before = len(signatures(folder, "long"))
        until(lambda: len(signatures(folder, "long")) > before + 5, "the other process goes on")
        assert set(signatures(folder, "long")) == {first.pid} and not signatures(folder, "waiting")
        assert set(signatures(folder, "own")) == {os.getpid()}

        first.kill()
        first.wait()
        until(lambda: os.getpid() in signatures(folder, "long"), "what it left is taken over")
        long.cancel()
        until(lambda: waiting.state().finished, "the rest of its queue too")
        assert [job.state().status for job in (long, waiting, own)] == ["cancelled", "done", "done"]
        runs = signatures(folder, "long")
        assert runs == sorted(runs, key=lambda pid: pid != first.pid), "one after the other, never both at once"
    finally:
        ours.stop()


def test_a_job_is_given_back_when_it_has_ended(folder: Path) -> None:
    ours, theirs = Claims(folder), Claims(folder)
    assert ours.take("a") and ours.take("b") and not theirs.take("a")
    ours.give_back("a")
    ours.give_back("a")
    assert theirs.take("a") and not theirs.take("b")
    theirs.give_back("b")
    assert not theirs.take("b"), "what is not held cannot be given back"
    ours.give_all_back()
    theirs.give_all_back()
    assert list(folder.iterdir()) == []


def test_without_locks_there_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Lockless:
        def __init__(self, *_: object, **__: object) -> None: ...

        def acquire(self) -> None:
            raise OSError(37, "No locks available")

        def release(self) -> None: ...

    monkeypatch.setattr("separation.engine.claims.FileLock", Lockless)
    claims = Claims(folder)
    assert claims.take("a") and not claims.take("a")
    assert "one Earshot only" in caplog.text
    claims.give_all_back()


def test_stopped_workers_leave_their_queue_to_others(folder: Path) -> None:
    job = job_of(folder, "own", 100.0)
    first = workers_in(folder, 0.01)
    first.start()
    until(lambda: len(signatures(folder, "own")) > 2, "it begins")
    first.stop()
    assert job.state().status == "waiting"
    assert Claims(folder / "claims").take(job.id)
