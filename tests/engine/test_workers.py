"""Workers: from a waiting job to its tracks, and every way this can end."""

import errno
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Failing, Fake, NotFinite, Splitter, Swapping

from separation.audio import AudioInfo, Peaks, Writer, open_reader
from separation.engine.calibration import Calibration, Speed
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.options import Options
from separation.engine.workers import Workers, explain, stretches_of
from separation.errors import DeviceError, DiskFull, EmptyAudio, UnknownModel

RATE = 8000


class Gated(Fake):
    """Halves; every chunk waits until the test lets it go on, and says that it has begun."""

    def __init__(self) -> None:
        super().__init__(("left", "right"))
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def split(self, mixture: torch.Tensor) -> torch.Tensor:
        self.begun.release()
        assert self.go.acquire(timeout=30)
        return mixture.unsqueeze(1).repeat(1, 2, 1, 1) / 2


class Loader:
    """`hub.load` over separators that the test made."""

    def __init__(self, **separators: Any) -> None:
        self.separators = separators
        self.calls: list[tuple[str, str]] = []

    def __call__(self, name: str, *, device: str = "cpu", progress: Any = None) -> Any:
        self.calls.append((name, device))
        if name not in self.separators:
            raise UnknownModel(f"Open the model {name}", "there is none", "Choose another")
        return self.separators[name]


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def start(store: JobStore) -> Iterator[Callable[..., Workers]]:
    """Starts workers that are stopped at the end, whatever happens."""
    started: list[Workers] = []

    def starter(loader: Loader, **options: Any) -> Workers:
        workers = Workers(store, loader, **({"devices": ("cpu",)} | options))
        started.append(workers)
        workers.start()
        return workers

    yield starter
    for workers in started:
        workers.stop()


def record(path: Path, seconds: float, *, rate: int = RATE, channels: int = 2, level: float = 0.1) -> Path:
    noise = np.random.default_rng(3).normal(0, level, (channels, round(seconds * rate))).astype(np.float32)
    with Writer(path, rate, channels, bit_depth="32f") as writer:
        writer.write(noise)
    return path


def read(path: Path) -> np.ndarray[Any, Any]:
    with open_reader(path) as reader:
        return reader.read(0, reader.length)


def request(model: str = "halves", **fields: Any) -> Request:
    return Request(**({"model": model, "name": "song.wav"} | fields))


def finish(job: Job) -> Job:
    """Wait until a job has ended."""
    return until(job, lambda: job.state().finished)


def until(job: Job, true: Callable[[], bool]) -> Job:
    for _ in range(3000):
        if true():
            return job
        time.sleep(0.01)
    raise AssertionError(f"the job is stuck: {job.state()}")


def test_a_short_recording_becomes_tracks(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    workers = start(Loader(halves=Splitter(0.25, 0.5)))
    job = store.create(record(tmp_path / "song.wav", 3.0), request(preview_at=1.0))
    workers.submit(job)
    state = finish(job).state()
    assert (state.status, state.fraction, state.remaining, state.error) == ("done", 1.0, 0.0, None)
    assert state.device == "cpu"
    assert state.report is not None and state.report["length"] == 3 * RATE
    assert job.stage("preview") is None, "3 s need no preview"
    stage = job.stage("full")
    assert stage is not None
    assert stage["tracks"] == ["mixture", "source0", "source1", "residual"]
    assert (stage["sample_rate"], stage["channels"], stage["length"], stage["start"]) == (RATE, 2, 3 * RATE, 0)
    tracks = {name: read(path) for name, path in job.tracks("full").items()}
    mixture = read(job.input)
    np.testing.assert_array_equal(tracks["mixture"], mixture)
    np.testing.assert_allclose(tracks["source0"], mixture * 0.25, atol=1e-6)
    np.testing.assert_allclose(tracks["source0"] + tracks["source1"], mixture, atol=1e-6)
    assert stage["null_db"] < -120
    assert stage["gain"] == 1.0
    for path in job.tracks("full").values():
        assert Peaks.load(path.with_suffix(".peaks")).length == 3 * RATE
    assert not (job.folder / "scratch").exists()


def test_a_long_recording_gets_a_preview_first(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    gate = Gated()
    workers = start(Loader(halves=gate))
    job = store.create(record(tmp_path / "song.wav", 30.0, channels=1), request(preview_at=20.0))
    workers.submit(job)
    gate.begun.acquire(timeout=30)
    assert job.state().stage == "preview"
    while job.stage("preview") is None:
        gate.go.release()
        assert gate.begun.acquire(timeout=30)
    assert (job.state().stage, job.stage("full")) == ("separate", None)
    between = job.state()
    assert 0.3 <= between.fraction < 0.4, "15 of 45 s"
    assert between.remaining is not None and between.remaining > 0
    gate.go.release(10_000)
    finish(job)
    preview = job.stage("preview")
    assert preview is not None
    assert (preview["start"], preview["length"]) == (round(12.5 * RATE), 15 * RATE)
    np.testing.assert_array_equal(read(job.tracks("preview")["mixture"]), read(job.input)[:, 100_000:220_000])


def test_stretches() -> None:
    class Thirty:
        sample_rate, length = RATE, 30 * RATE

    def of(**fields: Any) -> list[tuple[str, float, float]]:
        return [(s.stage, s.start / RATE, s.length / RATE) for s in stretches_of(request(**fields), Thirty())]  # type: ignore[arg-type]

    assert of() == [("full", 0, 30)]
    assert of(preview_at=0.0) == [("preview", 0, 15), ("full", 0, 30)]
    assert of(preview_at=99.0) == [("preview", 15, 15), ("full", 0, 30)]
    assert of(preview_at=5.0, duration=20.0) == [("full", 0, 20)]
    assert of(offset=2.0, preview_at=0.0) == [("preview", 2, 15), ("full", 2, 28)]
    assert of(offset=20.0, duration=99.0) == [("full", 20, 10)]
    with pytest.raises(EmptyAudio, match=r"30\.00 s"):
        of(offset=30.0)


def test_only_the_chosen_sources(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    workers = start(Loader(halves=Splitter(0.25, 0.5)))
    job = store.create(record(tmp_path / "song.wav", 2.0), request(sources=("source1",)))
    workers.submit(job)
    assert list(finish(job).tracks("full")) == ["mixture", "source1", "residual"]
    stage = job.stage("full")
    assert stage is not None and stage["null_db"] is None, "what was not written cannot be added up"
    wrong = store.create(record(tmp_path / "song.wav", 2.0), request(sources=("drums",)))
    workers.submit(wrong)
    error = finish(wrong).state().error
    assert error is not None and "drums" in error["found"] and "source0, source1" in error["advice"]


def test_without_consistency_the_residual_is_part_of_the_sum(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    workers = start(Loader(halves=Splitter(0.25, 0.5)))
    job = store.create(record(tmp_path / "song.wav", 2.0), request(options=Options(consistency=False)))
    workers.submit(job)
    stage = finish(job).stage("full")
    assert stage is not None and stage["null_db"] < -120
    np.testing.assert_allclose(read(job.tracks("full")["residual"]), read(job.input) * 0.25, atol=1e-6)


def test_one_gain_keeps_every_track_below_full_scale(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    workers = start(Loader(halves=Splitter(3.0, 0.5)))
    job = store.create(record(tmp_path / "song.wav", 2.0, level=0.5), request())
    workers.submit(job)
    stage = finish(job).stage("full")
    assert stage is not None
    peaks = [np.abs(read(path)).max() for path in job.tracks("full").values()]
    assert max(peaks) > 1
    assert max(peaks) * stage["gain"] == pytest.approx(1 - 2**-15)


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 2), (16000, 1), (11025, 2)])
def test_references_are_aligned_with_the_mixture(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers], rate: int, channels: int
) -> None:
    def tone(rate: int, seconds: float) -> np.ndarray[Any, Any]:
        time = np.arange(round(seconds * rate)) / rate
        return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)

    for path, one, count, seconds in (("mix.wav", RATE, 2, 4.0), ("ref.wav", rate, channels, 3.0)):
        with Writer(tmp_path / path, one, count, bit_depth="32f") as writer:
            writer.write(np.tile(tone(one, seconds), (count, 1)))
    workers = start(Loader(halves=Splitter(0.5, 0.5)))
    job = store.create(
        tmp_path / "mix.wav", request(offset=1.0, duration=2.5), references={"guitar": tmp_path / "ref.wav"}
    )
    workers.submit(job)
    reference = read(finish(job).tracks("full")["reference-guitar"])
    assert reference.shape == (2, round(2.5 * RATE))
    expected = tone(RATE, 3.5)[RATE:]
    np.testing.assert_allclose(reference[0, 100 : 2 * RATE - 200], expected[100 : 2 * RATE - 200], atol=2e-3)
    assert np.abs(reference[:, 2 * RATE + 200 :]).max() < 1e-3, "the reference ends after 3 s"


@pytest.mark.parametrize("seed", range(4))
def test_voices_are_named_as_their_references_are(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers], seed: int
) -> None:
    time = np.arange(3 * RATE) / RATE
    tones = {"one": 0.3 * np.sin(2 * np.pi * 2500 * time), "two": 0.2 * np.sin(2 * np.pi * 300 * time)}
    for name, samples in {**tones, "mix": tones["one"] + tones["two"]}.items():
        with Writer(tmp_path / f"{name}.wav", RATE, 1, bit_depth="32f") as writer:
            writer.write(samples[None].astype(np.float32))
    workers = start(Loader(halves=Swapping(seed=seed)))
    references = {name: tmp_path / f"{name}.wav" for name in tones}
    known, unknown = (store.create(tmp_path / "mix.wav", request(), references=given) for given in (references, {}))
    for job in (known, unknown):
        workers.submit(job)
        finish(job)
    for name in tones:
        estimate, truth = (read(known.tracks("full")[f"{prefix}{name}"])[0] for prefix in ("", "reference-"))
        assert float(np.corrcoef(estimate, truth)[0, 1]) > 0.9, name
        outline = Peaks.load(known.tracks("full")[name].with_suffix(".peaks")).read(0, 3 * RATE, 1)
        assert abs(outline[0, 1] / 127 - np.abs(estimate).max()) < 0.02, "the outline goes with its track"
    assert set(unknown.tracks("full")) == {"mixture", "one", "two", "residual"}


def test_cancel_while_running_stops_within_a_chunk(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    gate = Gated()
    workers = start(Loader(halves=gate))
    job = store.create(record(tmp_path / "song.wav", 20.0), request())
    workers.submit(job)
    gate.begun.acquire(timeout=30)
    calls = gate.calls
    job.cancel()
    gate.go.release(10_000)
    assert finish(job).state().status == "cancelled"
    assert gate.calls == calls
    assert job.stage("full") is None
    assert list((job.folder / "full").glob("*")) == []


def test_queue_positions_cancel_while_waiting_and_delete(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    gate = Gated()
    workers = start(Loader(halves=gate))
    path = record(tmp_path / "song.wav", 2.0)
    jobs = [store.create(path, request()) for _ in range(4)]
    for job in jobs:
        workers.submit(job)
    gate.begun.acquire(timeout=30)
    until(jobs[3], lambda: [job.state().position for job in jobs] == [0, 1, 2, 3])
    jobs[1].cancel()
    assert jobs[1].state().status == "cancelled", "at once, not when its turn comes"
    jobs[2].delete()
    until(jobs[3], lambda: jobs[3].state().position == 1)
    gate.go.release(10_000)
    assert [finish(job).state().status for job in (jobs[0], jobs[1], jobs[3])] == ["done", "cancelled", "done"]
    assert not jobs[2].folder.exists()


def test_delete_while_running_leaves_nothing(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    gate = Gated()
    workers = start(Loader(halves=gate))
    path = record(tmp_path / "song.wav", 10.0)
    job, after = store.create(path, request()), store.create(path, request())
    workers.submit(job)
    workers.submit(after)
    gate.begun.acquire(timeout=30)
    job.delete()
    gate.go.release(10_000)
    assert finish(after).state().status == "done", "the worker lives on"
    assert {folder.name for folder in store.folder.iterdir() if folder.is_dir()} - {"claims"} == {after.id}


def test_a_job_of_a_killed_process_runs_again(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    job = store.create(record(tmp_path / "song.wav", 2.0), request())
    job.write_state(status="running", stage="separate", fraction=0.6)
    (job.folder / "full").mkdir()
    (job.folder / "full" / ".half.part").write_bytes(b"left by the dead process")
    start(Loader(halves=Splitter(0.5, 0.5)))
    assert finish(job).state().status == "done"
    assert not list((job.folder / "full").glob(".*"))


def test_stopping_the_workers_queues_the_job_for_the_next(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    gate = Gated()
    first = start(Loader(halves=gate))
    job = store.create(record(tmp_path / "song.wav", 30.0, channels=1), request(preview_at=5.0))
    first.submit(job)
    gate.begun.acquire(timeout=30)
    while job.stage("preview") is None:
        gate.go.release()
        gate.begun.acquire(timeout=30)
    stopper = threading.Thread(target=first.stop)
    stopper.start()
    until(job, first._stopping.is_set)
    gate.go.release(10_000)
    stopper.join()
    assert job.state().status == "waiting"
    made = (job.folder / "preview" / "stage.json").stat().st_mtime_ns
    start(Loader(halves=Splitter(0.5, 0.5, segment=5.0)))
    # the name of the sources differs between the two fakes; what counts is that the preview was kept
    assert finish(job).state().status == "done"
    assert (job.folder / "preview" / "stage.json").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("separator", "found"),
    [
        (Failing(good=1), "something unexpected went wrong inside the program"),
        (NotFinite(), "NaN"),
    ],
)
def test_a_failing_model_ends_in_three_parts_and_the_next_job_runs(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers], separator: Any, found: str
) -> None:
    workers = start(Loader(bad=separator, halves=Splitter(0.5, 0.5)))
    path = record(tmp_path / "song.wav", 4.0)
    bad, good, unknown = (store.create(path, request(model)) for model in ("bad", "halves", "absent"))
    for job in (bad, good, unknown):
        workers.submit(job)
    state = finish(bad).state()
    assert state.status == "failed"
    assert state.error is not None and set(state.error) == {"asked", "found", "advice"}
    assert found in state.error["found"]
    assert "Traceback" not in json.dumps(state.to_dict()) and "on purpose" not in json.dumps(state.to_dict())
    assert finish(good).state().status == "done"
    error = finish(unknown).state().error
    assert error == {"asked": "Open the model absent", "found": "there is none", "advice": "Choose another"}


def test_a_disk_without_room_is_found_before_the_model_runs(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def full(folder: Path, nbytes: int) -> None:
        asked.append(nbytes)
        raise DiskFull("Write the stems", "the disk is full", "Delete something")

    monkeypatch.setattr("separation.engine.workers.require_disk", full)
    separator = Splitter(0.5, 0.5)
    workers = start(Loader(halves=separator))
    job = store.create(record(tmp_path / "song.wav", 30.0), request(preview_at=0.0))
    workers.submit(job)
    state = finish(job).state()
    assert state.error == {"asked": "Write the stems", "found": "the disk is full", "advice": "Delete something"}
    assert asked == [4 * 2 * 4 * 45 * RATE], "4 bytes, 2 channels, 4 tracks, 15 + 30 s"
    assert separator.calls == 0


def test_errors_of_the_machine_are_explained() -> None:
    asked = request()
    assert "disk" in explain(OSError(errno.ENOSPC, "No space left on device"), asked)["found"]
    assert "memory" in explain(MemoryError(), asked)["found"]
    assert "secret" not in " ".join(explain(RuntimeError("secret path"), asked).values())


def test_models_are_loaded_once_and_only_a_few_are_kept(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    loader = Loader(**{name: Splitter(0.5, 0.5) for name in "abcd"})
    workers = start(loader)
    path = record(tmp_path / "song.wav", 1.0)
    for name in "aabcda":
        job = store.create(path, request(name))
        workers.submit(job)
        assert finish(job).state().status == "done"
    assert [name for name, _ in loader.calls] == ["a", "b", "c", "d", "a"]


def test_jobs_go_to_the_device_they_ask_for(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    workers = Workers(store, Loader(), devices=("cuda:0", "cuda:1", "cpu"))
    assert workers.device_for("auto") == "cuda:0"
    assert [workers.device_for(name) for name in ("cuda", "cuda:1", "cpu")] == ["cuda:0", "cuda:1", "cpu"]
    with pytest.raises(DeviceError, match="cuda:0, cuda:1, cpu"):
        workers.device_for("mps")
    cpu = start(Loader(halves=Splitter(0.5, 0.5)))
    job = store.create(record(tmp_path / "song.wav", 1.0), request(options=Options(device="cuda")))
    cpu.submit(job)
    error = job.state().error
    assert error is not None and error["found"] == "this installation runs on cpu"


def test_two_cpu_workers_run_two_jobs_at_once(tmp_path: Path, store: JobStore, start: Callable[..., Workers]) -> None:
    gate = Gated()
    workers = start(Loader(halves=gate), cpu_workers=2)
    path = record(tmp_path / "song.wav", 1.0)
    jobs = [store.create(path, request()) for _ in range(2)]
    for job in jobs:
        workers.submit(job)
    assert gate.begun.acquire(timeout=30) and gate.begun.acquire(timeout=30)
    assert [job.state().status for job in jobs] == ["running", "running"]
    gate.go.release(100)
    assert [finish(job).state().status for job in jobs] == ["done", "done"]


def test_the_download_of_a_model_is_shown_and_can_be_stopped(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    seen: list[tuple[str, ...]] = []

    def load(name: str, *, device: str = "cpu", progress: Any = None) -> Any:
        progress(5_000_000, 20_000_000)
        seen.append(job.state().messages)
        job.cancel()
        progress(6_000_000, 20_000_000)
        raise AssertionError("the download went on")

    workers = start(load)  # type: ignore[arg-type]
    job = store.create(record(tmp_path / "song.wav", 1.0), request())
    workers.submit(job)
    assert finish(job).state().status == "cancelled"
    assert seen == [("Fetching the model: 5 of 20 MB",)]


def test_estimates_are_honest_about_what_was_measured(
    tmp_path: Path, store: JobStore, start: Callable[..., Workers]
) -> None:
    workers = start(Loader(halves=Splitter(0.5, 0.5), other=Splitter(0.5, 0.5)))
    info = AudioInfo("song.wav", "wav", "pcm_16", RATE, 2, 60 * RATE, "16", lossy=False)
    before = workers.estimate("halves", info)
    assert (before.seconds, before.calibrated, before.device) == (75.0, False, "cpu")
    speed = workers.calibrate("halves")
    assert speed.chunk > 0 and speed.hop == pytest.approx(0.8)
    assert workers.calibrate("halves") == speed, "remembered"
    after = workers.estimate("halves", info)
    assert after.calibrated
    assert after.seconds == pytest.approx((75 + 19) * speed.chunk), "60 and 15 s in steps of 0.8 s"
    assert workers.estimate("halves", replace(info, length=RATE), preview=True).seconds == pytest.approx(
        2 * speed.chunk
    )
    assert not workers.estimate("other", info).calibrated
    job = store.create(record(tmp_path / "song.wav", 2.0), request("other"))
    workers.submit(job)
    finish(job)
    assert workers.estimate("other", info).calibrated, "a finished job is a measurement"
    with pytest.raises(DeviceError):
        workers.estimate("halves", info, device="mps")


def test_on_zero_gpu_jobs_run_in_the_calling_thread(tmp_path: Path, store: JobStore) -> None:
    path = record(tmp_path / "song.wav", 1.0)
    left = store.create(path, request())
    workers = Workers(store, Loader(halves=Splitter(0.5, 0.5)), devices=("cpu",))
    workers.start(running=False)
    try:
        error = left.state().error
        assert error is not None and "restarted" in error["found"]
        job = store.create(path, request())
        workers.run(job, "cpu")
        assert job.state().status == "done"
    finally:
        workers.stop()


def test_measurements_are_remembered_and_damage_means_measuring_again(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    Calibration(path).put("vocals", "cpu", Speed(0.5, 4.0))
    Calibration(path).put("vocals", "cuda:0", Speed(0.1, 4.0, 1000))
    assert Calibration(path).get("vocals", "cpu") == Speed(0.5, 4.0)
    assert Calibration(path).get("vocals", "cuda:0") == Speed(0.1, 4.0, 1000)
    path.write_text("{", encoding="utf-8")
    assert Calibration(path).get("vocals", "cpu") is None


def test_housekeeping_removes_expired_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separation.engine.workers._EXPIRE_EVERY", 0.0)
    monkeypatch.setattr("separation.engine.workers._HOUSE_EVERY", 0.01)
    now = [0.0]
    store = JobStore(tmp_path / "jobs", keep_hours=1, clock=lambda: now[0])
    job = store.create(record(tmp_path / "song.wav", 1.0), request())
    job.write_state(status="done")
    workers = Workers(store, Loader(), devices=("cpu",))
    workers.start()
    try:
        now[0] = 3600.0
        until(job, lambda: not job.folder.exists())
    finally:
        workers.stop()
    assert list(store.all()) == []
