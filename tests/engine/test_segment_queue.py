"""Who measures when somebody looks: once a stage, bounded, ended by a deletion, begun anew by new references."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separation.audio import Writer
from separation.engine.claims import Claims
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.segment_queue import ORACLE, SegmentQueue, Standing
from separation.engine.segments import FILE, VERSION, stamp
from separation.errors import Busy, Cancelled, DataError, UnknownJob


def made(folder: Path, model: str = "vocals") -> Job:
    """A job with a stage of which nothing but its `stage.json` is there."""
    source = folder / "song.wav"
    with Writer(source, 8000, 1) as writer:
        writer.write(np.zeros((1, 80), np.float32))
    job = JobStore(folder / "jobs").create(source, Request(model=model, name="song"))
    (job.folder / "full").mkdir()
    job.write_stage("full", {"tracks": ["mixture"]})
    return job


def write(folder: Path, *, complete: bool) -> dict[str, Any]:
    record = {
        "version": VERSION,
        "stamp": stamp(folder),
        "complete": complete,
        "fraction": float(complete),
        "series": [],
    }
    unfinished = folder / "record.part"
    unfinished.write_text(json.dumps(record))
    unfinished.replace(folder / FILE)  # as `measure_stage` does: who looks meanwhile never reads half of it
    return record


class Measure:
    """Stands for `measure_stage`: waits until it is let go, and writes down how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, folder: Path, *, oracle: str | None, cancelled: Callable[[], bool]) -> dict[str, Any]:
        self.calls.append((folder.parent.name, oracle))
        self.begun.release()
        while not self.go.wait(0.01):
            if cancelled():
                raise Cancelled("Measure", "it was stopped", "Start anew")
        return write(folder, complete=True)


def eventually(said: Callable[[], Any], expected: Any) -> None:
    """Wait until it is so; a machine may be loaded."""
    until = time.monotonic() + 30
    while said() != expected:
        assert time.monotonic() < until, f"{said()} is not {expected}"
        time.sleep(0.01)


@pytest.fixture
def measure() -> Measure:
    return Measure()


@pytest.fixture
def queue(tmp_path: Path, measure: Measure) -> SegmentQueue:
    return SegmentQueue(Claims(tmp_path / "claims"), threads=1, waiting=2, measure=measure)


def test_a_stage_is_measured_once_however_many_ask(tmp_path: Path, queue: SegmentQueue, measure: Measure) -> None:
    job = made(tmp_path)
    assert queue.look(job, "full") == Standing("idle")
    threads = [threading.Thread(target=queue.ask, args=(job, "full")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert measure.begun.acquire(timeout=30)
    assert queue.look(job, "full").state == "measuring"
    write(job.folder / "full", complete=False)
    assert queue.look(job, "full").record is not None, "the numbers so far"
    measure.go.set()
    eventually(lambda: queue.look(job, "full").state, "complete")
    queue.ask(job, "full")
    assert measure.calls == [(job.id, ORACLE)], "what is there is not measured again"


def test_few_at_once_few_wait_and_more_are_refused(tmp_path: Path, queue: SegmentQueue, measure: Measure) -> None:
    jobs = [made(tmp_path) for _ in range(4)]
    queue.ask(jobs[0], "full")
    assert measure.begun.acquire(timeout=30)
    for job in jobs[1:3]:
        queue.ask(job, "full")
    assert [queue.look(job, "full").state for job in jobs] == ["measuring", "waiting", "waiting", "idle"]
    assert [queue.look(job, "full").position for job in jobs] == [0, 1, 2, 0]
    with pytest.raises(Busy, match="2 other recordings wait"):
        queue.ask(jobs[3], "full")
    queue.ask(jobs[2], "full")  # is in the queue already, and not refused
    measure.go.set()
    eventually(lambda: [queue.look(job, "full").state for job in jobs[:3]], ["complete"] * 3)
    queue.ask(jobs[3], "full")  # by a new thread: the first has ended, or takes it along
    eventually(lambda: queue.look(jobs[3], "full").state, "complete")
    assert [job for job, _ in measure.calls] == [job.id for job in jobs]


def test_an_oracle_is_not_measured_beside_itself(tmp_path: Path, queue: SegmentQueue, measure: Measure) -> None:
    measure.go.set()
    for model in (ORACLE, "oracle:ibm1"):
        job = made(tmp_path, model)
        queue.ask(job, "full")
        eventually(lambda job=job: queue.look(job, "full").state, "complete")  # type: ignore[misc]
    assert [oracle for _, oracle in measure.calls] == [None, ORACLE]


def test_a_deleted_job_ends_the_measuring(tmp_path: Path, queue: SegmentQueue, measure: Measure) -> None:
    job, other = made(tmp_path), made(tmp_path)
    queue.ask(job, "full")
    queue.ask(other, "full")
    assert measure.begun.acquire(timeout=30)
    job.delete()
    assert measure.begun.acquire(timeout=30), "the next one begins although nobody let the first one go"
    assert not job.folder.exists() and queue.look(job, "full").state in ("measuring", "idle")
    measure.go.set()
    eventually(lambda: queue.look(other, "full").state, "complete")
    eventually(lambda: queue.look(job, "full"), Standing("idle"))


def test_new_references_make_the_numbers_stale_and_begin_anew(
    tmp_path: Path, queue: SegmentQueue, measure: Measure
) -> None:
    job = made(tmp_path)

    def change() -> None:
        job.write_stage("full", {"tracks": ["mixture", "reference-vocals"]})
        os.utime(job.folder / "full" / "stage.json", ns=(1, (stamp(job.folder / "full") or 0) + 1))

    queue.ask(job, "full")
    assert measure.begun.acquire(timeout=30)
    change()
    assert measure.begun.acquire(timeout=30), "it begins anew by itself"
    measure.go.set()
    eventually(lambda: queue.look(job, "full").state, "complete")
    change()
    assert queue.look(job, "full") == Standing("idle"), "numbers of another stage are not shown"
    queue.ask(job, "full")
    eventually(lambda: queue.look(job, "full").state, "complete")
    assert len(measure.calls) == 3


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (DataError("Open", "it is broken", "Mend it"), "it is broken"),
        (ValueError("a secret"), "something unexpected went wrong inside the program"),
        (MemoryError(), "this machine ran out of memory"),
        (OSError(28, "No space left on device"), "the disk of this machine is full"),
    ],
)
def test_a_failure_is_told_and_can_be_tried_again(
    tmp_path: Path, error: Exception, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    job, calls = made(tmp_path), []

    def measure(folder: Path, *, oracle: str | None, cancelled: Callable[[], bool]) -> dict[str, Any]:
        calls.append(folder)
        if len(calls) == 1:
            raise error
        return write(folder, complete=True)

    queue = SegmentQueue(Claims(tmp_path / "claims"), measure=measure)
    queue.ask(job, "full")
    eventually(lambda: queue.look(job, "full").state, "failed")
    told = queue.look(job, "full").error
    assert told is not None and told.found == found
    queue.ask(job, "full")
    eventually(lambda: queue.look(job, "full").state, "complete")


@pytest.mark.parametrize("error", [UnknownJob("Measure", "it is gone", "Start again"), FileNotFoundError("0.wav")])
def test_a_stage_that_vanishes_is_no_failure(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    job = made(tmp_path)

    def measure(folder: Path, *, oracle: str | None, cancelled: Callable[[], bool]) -> dict[str, Any]:
        job.delete()
        raise error

    queue = SegmentQueue(Claims(tmp_path / "claims"), measure=measure)
    queue.ask(job, "full")
    eventually(job.folder.exists, False)
    eventually(lambda: queue.look(job, "full"), Standing("idle"))
    assert not caplog.records


def test_two_processes_measure_a_stage_once(tmp_path: Path, queue: SegmentQueue, measure: Measure) -> None:
    job = made(tmp_path)
    theirs = Measure()
    other = SegmentQueue(Claims(tmp_path / "claims"), measure=theirs)
    queue.ask(job, "full")
    assert measure.begun.acquire(timeout=30)
    other.ask(job, "full")
    eventually(lambda: other.look(job, "full").state, "idle")
    measure.go.set()
    eventually(lambda: other.look(job, "full").state, "complete")
    assert theirs.calls == [], "it sees what the first one has found"
