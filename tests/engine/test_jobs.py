"""Jobs as folders: what is on disk, who may open it, and what is left afterwards."""

import json
import re
from pathlib import Path

import pytest

from separation.engine.jobs import JobStore, Request, State
from separation.engine.options import Options
from separation.errors import DiskFull, JobError, UnknownJob

REQUEST = Request(
    model="vocals",
    name="My song.wav",
    sources=("vocals",),
    offset=1.5,
    duration=20.0,
    preview_at=3.0,
    options=Options(device="cpu", band="model", consistency=False),
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    path.write_bytes(b"not audio, which a store need not know")
    return path


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


def test_request_and_state_survive_json() -> None:
    assert Request.from_dict(json.loads(json.dumps(REQUEST.to_dict()))) == REQUEST
    state = State(status="failed", error={"asked": "a", "found": "b", "advice": "c"}, messages=("one",), created=5.0)
    assert State.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_a_new_store_on_the_same_folder_finds_the_job(store: JobStore, recording: Path) -> None:
    job = store.create(recording, REQUEST)
    again = JobStore(store.folder).get(job.id)
    assert (again.request, again.state(), again.input.read_bytes()) == (REQUEST, job.state(), recording.read_bytes())
    assert again.state().status == "waiting"


def test_the_recording_is_copied_or_moved(store: JobStore, recording: Path) -> None:
    store.create(recording, REQUEST)
    assert recording.exists()
    job = store.create(recording, REQUEST, move=True)
    assert not recording.exists()
    assert job.input.name == "song.wav"


def test_references_come_along(store: JobStore, recording: Path) -> None:
    job = store.create(recording, REQUEST, references={"vocals": recording})
    assert store.get(job.id).request.references == ("vocals",)
    assert job.references["vocals"].read_bytes() == recording.read_bytes()
    with pytest.raises(JobError, match="letters"):
        store.create(recording, REQUEST, references={"../vocals": recording})


def test_ids_are_unguessable_and_only_they_open_a_job(store: JobStore, recording: Path) -> None:
    ids = {store.create(recording, REQUEST).id for _ in range(20)}
    assert len(ids) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", one) for one in ids)
    one = sorted(ids)[0]
    for wrong in ("", "..", one[:-1], one + "A", "../" + one, "A" * 22, f"{one}/input", "calibration.json"):
        with pytest.raises(UnknownJob, match="not here any more"):
            store.get(wrong)


def test_two_visitors_share_nothing(store: JobStore, recording: Path) -> None:
    mine, yours = store.create(recording, REQUEST), store.create(recording, REQUEST)
    mine.cancel()
    assert (mine.state().status, yours.state().status) == ("cancelled", "waiting")
    mine.delete()
    assert yours.input.exists()


def test_the_state_is_replaced_in_one_step(store: JobStore, recording: Path) -> None:
    job = store.create(recording, REQUEST)
    before = {path.name for path in job.folder.iterdir()}
    job.write_state(status="running", fraction=0.5)
    assert {path.name for path in job.folder.iterdir()} == before
    assert (job.state().status, job.state().fraction) == ("running", 0.5)


def test_a_stage_exists_once_it_is_declared(store: JobStore, recording: Path) -> None:
    job = store.create(recording, REQUEST)
    (job.folder / "full").mkdir()
    assert (job.stage("full"), job.tracks("full")) == (None, {})
    job.write_stage("full", {"tracks": ["mixture", "residual"]})
    assert job.tracks("full") == {name: job.folder / "full" / f"{name}.wav" for name in ("mixture", "residual")}


def test_cancel_leaves_a_file_and_spares_finished_jobs(store: JobStore, recording: Path) -> None:
    job = store.create(recording, REQUEST)
    assert not job.cancelled
    job.cancel()
    assert job.cancelled
    assert (job.folder / "cancel").exists()
    done = store.create(recording, REQUEST)
    done.write_state(status="done")
    done.cancel()
    assert not done.cancelled


def test_delete_removes_everything_even_twice(store: JobStore, recording: Path) -> None:
    job = store.create(recording, REQUEST)
    store.delete(job.id)
    job.delete()
    job.cancel()
    assert list(store.folder.iterdir()) == []
    assert job.cancelled
    with pytest.raises(UnknownJob):
        job.state()
    with pytest.raises(UnknownJob):
        job.write_state(status="done")


def test_an_upload_goes_with_its_job(store: JobStore, recording: Path) -> None:
    kept, owned = store.create(recording, REQUEST), store.create(recording, REQUEST, owned=True)
    kept.delete()
    assert recording.exists()
    owned.delete()
    assert not recording.exists()


def test_finished_jobs_expire_by_the_clock(tmp_path: Path, recording: Path) -> None:
    now = [1000.0]
    store = JobStore(tmp_path / "jobs", keep_hours=2, clock=lambda: now[0])
    done, running = store.create(recording, REQUEST), store.create(recording, REQUEST)
    done.write_state(status="done")
    running.write_state(status="running")
    assert done.expires == 1000 + 2 * 3600
    now[0] = done.expires - 1
    assert store.expire() == []
    now[0] = done.expires
    assert store.expire() == [done.id]
    assert [job.id for job in store.all()] == [running.id]


def test_jobs_are_listed_in_order_and_strange_folders_are_harmless(tmp_path: Path, recording: Path) -> None:
    now = [0.0]
    store = JobStore(tmp_path / "jobs", clock=lambda: now[0])
    ids = []
    for now[0] in (3.0, 1.0, 2.0):
        ids.append((now[0], store.create(recording, REQUEST).id))
    (store.folder / "notes").mkdir()
    damaged = store.create(recording, REQUEST)
    (damaged.folder / "state.json").write_text("{", encoding="utf-8")
    assert [job.id for job in store.all()] == [one for _, one in sorted(ids)]


def test_a_full_disk_is_found_before_anything_is_written(
    store: JobStore, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, nbytes: int) -> None:
        raise DiskFull("Keep it", f"{nbytes} bytes do not fit", "Delete something")

    monkeypatch.setattr("separation.engine.jobs.require_disk", full)
    with pytest.raises(DiskFull, match="38 bytes"):
        store.create(recording, REQUEST)
    assert list(store.folder.iterdir()) == []
