"""Edits over HTTP: what can be changed, an edit as a job, its effect, and what is refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import MaskedSTFT
from page_services import RATE, noise, services
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.jobs import Job, Request
from separation.ui import edit_routes as module
from separation.ui import gpu
from separation.ui.edit_routes import edit_routes
from separation.ui.frame import Services
from separation.ui.routes import routes

PART = {"stage": "full", "edit": {"sharpness": 3}, "start": 1.0, "end": 3.0}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    made = services(tmp_path_factory.mktemp("edits"))
    made.hub.separators["vocals"] = MaskedSTFT(("vocals", "accompaniment"), sample_rate=RATE)  # type: ignore[attr-defined]
    made.workers.start()
    yield made
    made.workers.stop()


@pytest.fixture
def client(given: Services) -> TestClient:
    return TestClient(Starlette(routes=[*edit_routes(given), *routes(given.store)]))


def separated(given: Services, folder: Path, *, model: str = "vocals", seconds: float = 4.0, known: bool = True) -> Job:
    parts = {name: noise(folder / f"{name}.wav", seconds) for name in ("vocals", "accompaniment")}
    job = given.store.create(parts["vocals"], Request(model, "song.wav"), references=parts if known else {})
    given.workers.submit(job)
    return done(job)


def done(job: Job) -> Job:
    for _ in range(3000):
        if job.state().finished:
            assert job.state().status == "done", job.state().error
            return job
        time.sleep(0.01)
    raise AssertionError(job.state())


@pytest.fixture(scope="module")
def original(given: Services, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return separated(given, tmp_path_factory.mktemp("song"))


def is_error(response: Any, status: int, said: str = "") -> bool:
    parts = response.json()
    return response.status_code == status and set(parts) == {"asked", "found", "advice"} and said in json.dumps(parts)


def test_says_what_can_be_changed(client: TestClient, original: Job) -> None:
    said = client.get(f"/earshot/jobs/{original.id}/edits?stage=full").json()
    assert said["editable"] and said["why"] == "" and said["sources"] == ["vocals", "accompaniment"]
    assert (said["count"], said["bins"], said["staged"], said["whole"]) == (129, True, False, True)
    assert said["oracle"] == ["vocals", "accompaniment"] and said["longest"] == 15
    assert is_error(client.get(f"/earshot/jobs/{original.id}/edits?stage=preview"), 404)
    assert is_error(client.get(f"/earshot/jobs/{'x' * 22}/edits"), 404)


def test_an_edit_runs_and_is_heard_like_any_job(client: TestClient, given: Services, original: Job) -> None:
    answer = client.post(f"/earshot/jobs/{original.id}/edits", json=PART)
    assert answer.status_code == 200 and answer.json()["known"] is False
    edit = given.store.get(answer.json()["job"])
    done(edit)
    body = client.get(f"/earshot/jobs/{edit.id}").json()
    assert body["edited"] is True and body["stages"]["full"]["start"] == RATE
    assert len(client.get(f"/earshot/jobs/{edit.id}/full/vocals.pcm").content) == 2 * 2 * RATE
    kept = client.get(f"/earshot/jobs/{edit.id}/full/download/vocals")
    assert "song%20%28edited%29%20-%20vocals.wav" in kept.headers["content-disposition"]
    assert client.post(f"/earshot/jobs/{original.id}/edits", json=PART).json() == {"job": edit.id, "known": True}
    effect = client.get(f"/earshot/jobs/{edit.id}/effect").json()
    assert effect["unit"] == "dB" and set(effect["sources"]) == {"vocals", "accompaniment"}
    assert all(isinstance(each["after"], float) for each in effect["sources"].values())
    said = client.get(f"/earshot/jobs/{edit.id}/edits").json()
    assert not said["editable"] and said["why"] == "It is an edit itself"
    assert is_error(client.post(f"/earshot/jobs/{edit.id}/edits", json=PART), 422, "an edit itself")
    assert is_error(client.get(f"/earshot/jobs/{original.id}/effect"), 422)
    assert client.get(f"/earshot/jobs/{original.id}").json()["edited"] is False


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "no JSON"),
        (b"[" * 5000, 400, "no JSON"),
        (b"[]", 422, "what is to be edited"),
        (json.dumps(PART | {"edit": {}}).encode(), 422, "nothing is changed"),
        (json.dumps(PART | {"edit": {"threshold_db": 500}}).encode(), 422, "0 to 120"),
        (json.dumps(PART | {"end": 90}).encode(), 422, "that are separated"),
        (b" " * 70_000, 413, "64 kB"),
    ],
)
def test_bad_wishes_are_refused_in_three_parts(
    client: TestClient, original: Job, body: bytes, status: int, said: str
) -> None:
    assert is_error(client.post(f"/earshot/jobs/{original.id}/edits", content=body), status, said)


def test_other_sites_may_not_edit(client: TestClient, original: Job) -> None:
    foreign = {"origin": "https://elsewhere.example"}
    assert is_error(client.post(f"/earshot/jobs/{original.id}/edits", json=PART, headers=foreign), 403)


def test_without_masks_or_references_the_view_is_told_why(client: TestClient, given: Services, tmp_path: Path) -> None:
    plain = separated(given, tmp_path / "plain", model="speakers", known=False)
    said = client.get(f"/earshot/jobs/{plain.id}/edits").json()
    assert not said["editable"] and said["why"] == "The model speakers has no masks"
    alone = separated(given, tmp_path / "alone", known=False)
    said = client.get(f"/earshot/jobs/{alone.id}/edits").json()
    assert said["editable"] and said["oracle"] == [] and said["references"] == []


def test_on_zero_gpu_parts_run_on_the_cpu_and_long_wholes_are_refused(
    given: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = separated(given, tmp_path, seconds=16.0)
    monkeypatch.setattr(gpu, "zero_gpu", lambda: True)
    client = TestClient(Starlette(routes=edit_routes(given)))
    assert client.get(f"/earshot/jobs/{long.id}/edits").json()["whole"] is False
    refused = client.post(f"/earshot/jobs/{long.id}/edits", json=PART | {"end": None})
    assert is_error(refused, 422, f"parts of up to {module.LONGEST:g} s")
    monkeypatch.setattr(given.workers, "submit", lambda job: pytest.fail("there is no queue"))
    answer = client.post(f"/earshot/jobs/{long.id}/edits", json=PART)
    assert done(given.store.get(answer.json()["job"])).state().device == "cpu"
