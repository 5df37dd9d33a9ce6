"""The pitch of voices over HTTP: found or brought beforehand, shown, corrected as a take, and what is refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from page_services import services
from pitched_voices import RATE, CombMask, sung
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine import pitch_finding
from separation.engine.drafts import Draft
from separation.engine.jobs import Job, Request
from separation.engine.pitches import GRID, Pitches
from separation.engine.voices import ROWS
from separation.transforms import PitchTrack, write_track
from separation.ui import gpu
from separation.ui import pitch_routes as module
from separation.ui.frame import Services
from separation.ui.pitch_routes import pitch_routes
from separation.ui.rating_routes import rating_routes
from separation.ui.routes import routes

SECONDS = 3.0
ELSEWHERE = {"origin": "https://elsewhere.example"}
LISTENER = {"stage": "full", "listener": "listener-0123456789ab", "hidden": False}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    made = services(tmp_path_factory.mktemp("pitches"))
    made.hub.separators["choir"] = CombMask()  # type: ignore[attr-defined]
    made.workers.start()
    yield made
    made.workers.stop()


@pytest.fixture
def client(given: Services) -> TestClient:
    return TestClient(Starlette(routes=[*pitch_routes(given), *routes(given.store)]))


def track(hz: float, seconds: float = SECONDS) -> PitchTrack:
    at = np.arange(0, seconds, GRID)
    return PitchTrack(at, np.full(len(at), hz))


def recording(folder: Path) -> Path:
    path = folder / "choir.wav"
    sf.write(path, sung(349.0, SECONDS) + sung(131.0, SECONDS, seed=1), RATE)
    return path


@pytest.fixture
def draft(given: Services, tmp_path: Path) -> Draft:
    made = given.store.drafts.create(recording(tmp_path), "choir.wav")
    waited(lambda: made.state().finished)
    return made


@pytest.fixture(scope="module")
def job(given: Services, tmp_path_factory: pytest.TempPathFactory) -> Job:
    pitches = Pitches({"high": track(349.0), "low": track(262.0)}, "mixture")
    made = given.store.create(
        recording(tmp_path_factory.mktemp("song")), Request("choir", "choir.wav"), pitches=pitches
    )
    given.workers.submit(made)
    waited(lambda: made.state().finished)
    assert made.state().error is None
    return made


def waited(condition: Any) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come")


def is_error(response: Any, status: int, said: str = "") -> bool:
    parts = response.json()
    return response.status_code == status and set(parts) == {"asked", "found", "advice"} and said in json.dumps(parts)


def test_voices_are_found_in_a_draft(client: TestClient, draft: Draft) -> None:
    path = f"/earshot/drafts/{draft.id}/pitch"
    assert client.get(f"{path}?voices=2").json()["state"] == "idle"
    assert client.post(path, json={"voices": 2}).json()["state"] in ("waiting", "running", "done")
    waited(lambda: client.get(f"{path}?voices=2").json()["state"] not in ("waiting", "running"))
    found = client.get(f"{path}?voices=2").json()
    assert found["state"] == "done" and found["source"] == "mixture"
    high, low = found["voices"]
    assert (high["name"], low["name"]) == ("voice 1", "voice 2")
    assert high["low_hz"] == pytest.approx(349, rel=0.02) and low["high_hz"] == pytest.approx(131, rel=0.02)
    assert low["voiced"] > 0.9
    assert client.post(path, json={"voices": 2}).json()["state"] == "done", "not twice"
    assert client.get(f"{path}?voices=3").json()["state"] == "idle"


def test_finding_can_be_stopped_and_fails_kindly(
    client: TestClient, given: Services, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/earshot/drafts/{draft.id}/pitch"

    def slow(reader: Any, voices: int, *, progress: Any, cancelled: Any) -> Pitches:
        progress(0.5)
        waited(cancelled)
        raise pitch_finding.Cancelled("Find", "stopped", "again")

    monkeypatch.setattr(pitch_finding, "find_pitches", slow)
    client.post(path, json={"voices": 2})
    waited(lambda: client.get(f"{path}?voices=2").json()["fraction"] == 0.5)
    client.post(path, json={"voices": 3})
    assert client.get(f"{path}?voices=3").json()["state"] == "waiting"
    assert client.post(f"{path}/cancel", headers=ELSEWHERE).status_code == 403
    assert client.post(f"{path}/cancel").json() == {"cancelling": True}
    waited(lambda: client.get(f"{path}?voices=2").json()["state"] == "idle")

    def broken(*_: Any, **__: Any) -> Pitches:
        raise OSError("on purpose")

    monkeypatch.setattr(pitch_finding, "find_pitches", broken)
    client.post(path, json={"voices": 4})
    waited(lambda: client.get(f"{path}?voices=4").json()["state"] == "failed")
    assert set(client.get(f"{path}?voices=4").json()["error"]) == {"asked", "found", "advice"}


def test_what_cannot_be_found_is_refused(client: TestClient, draft: Draft) -> None:
    path = f"/earshot/drafts/{draft.id}/pitch"
    assert is_error(client.post(path, json={"voices": 9}), 422, "2 to 6")
    assert is_error(client.post(path, json={"voices": 1}), 422, "2 to 6")
    assert is_error(client.post(path, json={"voices": "stems"}), 422, "not mixed from stems")
    assert is_error(client.post(path, json={"voices": "many"}), 400)
    assert is_error(client.post(path, content=b"no json"), 400)
    assert is_error(client.post(path, json={"voices": 2}, headers=ELSEWHERE), 403)
    assert is_error(client.get("/earshot/drafts/AAAAAAAAAAAAAAAAAAAAAA/pitch?voices=2"), 404)


def test_the_stems_of_a_mixture_have_their_own_pitch(client: TestClient, given: Services, tmp_path: Path) -> None:
    mix = given.store.mixes.begin()
    for name, hz in (("low", 131.0), ("high", 349.0)):
        sf.write(tmp_path / f"{name}.wav", sung(hz, SECONDS), RATE)
        mix = given.store.mixes.add(mix.draft.id, tmp_path / f"{name}.wav", f"{name}.wav")
    path = f"/earshot/drafts/{mix.draft.id}/pitch"
    client.post(path, json={"voices": "stems"})
    waited(lambda: client.get(f"{path}?voices=stems").json()["state"] == "done")
    found = client.get(f"{path}?voices=stems").json()
    assert [voice["name"] for voice in found["voices"]] == ["high", "low"] and found["source"] == "stem"


def test_tracks_are_brought_one_by_one(client: TestClient, given: Services, draft: Draft, tmp_path: Path) -> None:
    path = f"/earshot/drafts/{draft.id}/pitch"
    body = write_track(tmp_path / "a.csv", track(349.0)).read_bytes()
    assert is_error(client.post(f"{path}/files?voice=alto", content=body, headers=ELSEWHERE), 403)
    assert client.post(f"{path}/files?voice=alto", content=body).status_code == 200
    brought = client.post(f"{path}/files?voice=bass", content=body).json()
    assert [voice["name"] for voice in brought["voices"]] == ["alto", "bass"] and brought["source"] == "file"
    assert client.get(f"{path}?voices=files").json() == brought
    assert is_error(client.post(f"{path}/files?voice=bass", content=b"what?"), 422, "bass.csv")
    assert is_error(client.post(f"{path}/files?voice=../bass", content=body), 422, "cannot be used")
    assert is_error(client.post(f"{path}/files?voice=residual", content=body), 422)
    long = write_track(tmp_path / "b.csv", track(349.0, 9.0)).read_bytes()
    assert is_error(client.post(f"{path}/files?voice=bass", content=long), 422, "9.0 s and the recording lasts 3.0 s")
    assert client.post(f"{path}/files?voice=x", content=b"0" * (module.MOST_BYTES + 1)).status_code == 413
    for number in range(4):
        assert client.post(f"{path}/files?voice=more {number}", content=body).status_code == 200
    assert is_error(client.post(f"{path}/files?voice=one more", content=body), 422, "6 at most")
    assert client.delete(path).json() == {"deleted": True}
    assert client.get(f"{path}?voices=files").json()["state"] == "idle"


def test_an_example_is_everybodys(client: TestClient, given: Services, tmp_path: Path) -> None:
    shared = given.store.drafts.bundled(recording(tmp_path), "An example")
    body = write_track(tmp_path / "a.csv", track(349.0)).read_bytes()
    answer = client.post(f"/earshot/drafts/{shared.id}/pitch/files?voice=alto", content=body)
    assert is_error(answer, 422, "everybody's")


def test_the_tracks_of_a_separation(client: TestClient, job: Job) -> None:
    said = client.get(f"/earshot/jobs/{job.id}/pitch?stage=full").json()
    assert (said["source"], said["corrected"], said["editable"], said["first"]) == ("mixture", False, True, 0)
    assert said["hop"] == GRID and [voice["name"] for voice in said["voices"]] == ["high", "low"]
    assert len(said["voices"][0]["hz"]) == 1 + round(SECONDS / GRID + 0.5)
    assert said["voices"][0]["hz"][50] == 349
    csv = client.get(f"/earshot/jobs/{job.id}/pitch/low.csv")
    assert csv.text.startswith("time,f0\n") and "low.csv" in csv.headers["content-disposition"]
    assert is_error(client.get(f"/earshot/jobs/{job.id}/pitch/tenor.csv"), 404)
    assert is_error(client.get(f"/earshot/jobs/{job.id}/pitch?stage=preview"), 404)


def test_what_the_model_says_of_each_voice(client: TestClient, job: Job) -> None:
    said = client.get(f"/earshot/jobs/{job.id}/full/inside").json()
    assert said["voices"] == ["high", "low"] and said["rows"] == 2 + ROWS and said["duration"] == SECONDS
    cells = client.get(f"/earshot/jobs/{job.id}/full/inside.cells").content
    assert len(cells) == 2 * said["rows"] * said["columns"]
    assert is_error(client.get(f"/earshot/jobs/{job.id}/preview/inside"), 404)


def test_a_correction_is_a_take(client: TestClient, given: Services, job: Job) -> None:
    path = f"/earshot/jobs/{job.id}/pitch"
    wish = {"stage": "full", "changes": [{"voice": "low", "first": 40, "hz": [131.0] * 80}], "start": 0.5, "end": 2.5}
    assert is_error(client.post(path, json=wish, headers=ELSEWHERE), 403)
    first = client.post(path, json=wish).json()
    assert client.post(path, json=wish).json() == {"job": first["job"], "known": True} and not first["known"]
    take = given.store.get(first["job"])
    waited(lambda: take.state().finished)
    assert take.state().error is None and take.request.corrects
    assert client.get(f"/earshot/jobs/{take.id}").json()["edited"]
    said = client.get(f"/earshot/jobs/{take.id}/pitch").json()
    assert said["corrected"] and not said["editable"]
    assert said["voices"][1]["hz"][50 - said["first"]] == 131
    assert is_error(client.post(f"/earshot/jobs/{take.id}/pitch", json=wish), 422, "an edit itself")
    raters = TestClient(Starlette(routes=rating_routes(given)))
    served = [
        given.ratings.trial(raters.post(f"/earshot/jobs/{each.id}/trial", json=LISTENER).json()["token"])
        for each in (job, take)
    ]
    assert "edit" not in served[0].served and served[1].served["edit"] == {"pitch": "corrected"}
    assert served[1].served["edit_of"] == served[0].subject


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"changes": []}, 422, "nothing is changed"),
        ({"changes": "all"}, 400, ""),
        ({"changes": [{"voice": "low", "first": 0.5, "hz": [1]}]}, 400, "cannot be read"),
        ({"changes": [{"voice": "low", "first": 0, "hz": [1, "a"]}]}, 400, "cannot be read"),
        ({"changes": [{"voice": "low", "first": 0, "hz": [9000]}]}, 422, "no pitch"),
        ({"changes": [{"voice": "tenor", "first": 0, "hz": [100]}]}, 422, "high, low"),
        ({"changes": [{"voice": "low", "first": 10**6, "hz": [100]}]}, 422, "where the tracks end"),
        ({"stage": "draft"}, 400, ""),
        ({"start": None}, 400, ""),
        ({"start": 2.45}, 422, "0.05 s"),
        ({"end": 99}, 422, "separated"),
    ],
)
def test_corrections_that_make_no_sense(client: TestClient, job: Job, change: Any, status: int, says: str) -> None:
    wish = {
        "stage": "full",
        "changes": [{"voice": "low", "first": 40, "hz": [131.0]}],
        "start": 0.5,
        "end": 2.5,
        **change,
    }
    assert is_error(client.post(f"/earshot/jobs/{job.id}/pitch", json=wish), status, says)


def test_an_ordinary_separation_has_no_pitch(client: TestClient, given: Services, tmp_path: Path) -> None:
    plain = given.store.create(recording(tmp_path), Request("vocals", "song.wav"))
    given.workers.submit(plain)
    waited(lambda: plain.state().finished)
    assert is_error(client.get(f"/earshot/jobs/{plain.id}/pitch"), 404, "does not go by the pitch")
    assert is_error(client.get(f"/earshot/jobs/{plain.id}/full/inside"), 404)
    wish = {"stage": "full", "changes": [{"voice": "low", "first": 40, "hz": [131.0]}]}
    assert is_error(client.post(f"/earshot/jobs/{plain.id}/pitch", json=wish), 422, "does not go by the pitch")


def test_zero_gpu_corrects_parts_only(given: Services, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "zero_gpu", lambda: True)
    monkeypatch.setattr(module, "LONGEST", 1.0)
    client = TestClient(Starlette(routes=pitch_routes(given)))
    wish = {"stage": "full", "changes": [{"voice": "low", "first": 60, "hz": [140.0]}]}
    assert is_error(client.post(f"/earshot/jobs/{job.id}/pitch", json=wish), 422, "own machine")
    part = client.post(f"/earshot/jobs/{job.id}/pitch", json={**wish, "start": 0.0, "end": 1.0}).json()
    waited(lambda: given.store.get(part["job"]).state().status == "done")
