"""The routes of stems: what the page gets, what a hostile client does not, and that nothing is lost on bad input."""

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray
from page_services import Services, services
from player_jobs import RATE, make_job, recording, write_stage
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.jobs import Job
from separation.engine.offers import Fit
from separation.engine.uploads import MOST_STEMS
from separation.errors import DiskFull
from separation.ui import reference_routes as module
from separation.ui.reference_routes import STATIC, judge, reference_routes, wanted
from separation.ui.routes import routes

SECONDS = 3
FOREIGN = {"origin": "https://evil.example"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    made = services(tmp_path_factory.mktemp("stems"), max_upload_mb=1.0, max_minutes=0.2)
    yield made
    end = time.monotonic() + 30
    while made.store.mixes._rendering:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def client(given: Services) -> TestClient:
    return TestClient(Starlette(routes=[*routes(given.store), *reference_routes(given)]))


@pytest.fixture
def job(given: Services, tmp_path: Path) -> Job:
    """A job that is done, without references."""
    made = make_job(given.store, tmp_path)
    write_stage(made, "full", {name: x for name, x in recording(SECONDS).items() if not name.startswith("reference-")})
    made.write_state(status="done", stage="write", fraction=1.0)
    return made


@pytest.fixture
def drafts(given: Services) -> Callable[[], set[str]]:
    """Names of all drafts there are now."""
    return lambda: {path.name for path in given.store.drafts.folder.glob("*") if not path.name.startswith("deleted-")}


def sound(samples: NDArray[np.float32], *, kind: str = "FLAC", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples.T, rate, format=kind)
    return file.getvalue()


def part(name: str) -> bytes:
    return sound(recording(SECONDS)[name])


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


def offered(client: TestClient, job: Job, **files: bytes) -> dict[str, str]:
    """Ids of offers, by name."""
    ids = {}
    for name, content in files.items():
        response = client.post(f"/earshot/jobs/{job.id}/references", params={"file": f"{name}.flac"}, content=content)
        assert response.status_code == 200, response.text
        assert response.json()["name"] == name
        ids[name] = response.json()["id"]
    return ids


# -- references of a job


def test_two_stems_become_tracks_and_go_again(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/references"
    first = client.get(url).json()
    assert first["sources"] == ["vocals", "accompaniment"] and first["used"] == first["offered"] == []
    keys = offered(client, job, vocals=part("vocals"), accompaniment=part("accompaniment"))
    assert [one["file"] for one in client.get(url).json()["offered"]] == ["accompaniment.flac", "vocals.flac"]
    said = client.get(f"{url}/sum", params={"offers": ",".join(keys.values())}).json()
    assert said["fits"] and said["says"].startswith("They add up nearly: what is left lies 36 dB below it.")
    assert said["null_db"] == pytest.approx(-36, abs=1) and said["names"] == {key: name for name, key in keys.items()}
    before = client.get(f"/earshot/jobs/{job.id}/full/mixture.pcm").headers["etag"]
    answer = client.post(f"{url}/use", json={"names": {key: name for name, key in keys.items()}})
    assert answer.json() == {"used": ["vocals", "accompaniment"]}
    stage = client.get(f"/earshot/jobs/{job.id}").json()["stages"]["full"]
    assert stage["tracks"][-2:] == ["reference-vocals", "reference-accompaniment"] and stage["renewed"] > 0
    for name in stage["tracks"][-2:]:
        assert len(client.get(f"/earshot/jobs/{job.id}/full/{name}.pcm").content) == SECONDS * RATE * 4
        assert client.get(f"/earshot/jobs/{job.id}/full/{name}.peaks?points=10").status_code == 200
    assert client.get(f"/earshot/jobs/{job.id}/full/mixture.pcm").headers["etag"] != before
    assert client.delete(f"{url}/named/accompaniment").json() == {"used": ["vocals"]}
    assert "reference-accompaniment" not in client.get(f"/earshot/jobs/{job.id}").json()["stages"]["full"]["tracks"]
    assert is_error(client.delete(f"{url}/named/accompaniment"), 422)


def test_an_offer_can_be_withdrawn(client: TestClient, job: Job) -> None:
    keys = offered(client, job, vocals=part("vocals"))
    assert client.delete(f"/earshot/jobs/{job.id}/references/offered/{keys['vocals']}").status_code == 200
    assert client.get(f"/earshot/jobs/{job.id}/references").json()["offered"] == []
    assert client.delete(f"/earshot/jobs/{job.id}/references/offered/..%2f..%2finput").status_code in (200, 404)
    assert job.input.is_file()
    assert is_error(client.get(f"/earshot/jobs/{job.id}/references/sum", params={"offers": keys["vocals"]}), 422)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.wav", bytes(50_000_000))
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"plain words", archive(), b"#EXTM3U\nfile:///etc/passwd\n", b"RIFF" + bytes(100)]
)
def test_what_is_no_audio_is_refused_in_three_parts(client: TestClient, job: Job, content: bytes) -> None:
    keys = offered(client, job, vocals=part("vocals"))
    url = f"/earshot/jobs/{job.id}/references"
    response = client.post(url, params={"file": "drums.wav"}, content=content)
    assert is_error(response, 422) and response.json()["asked"] == "Use drums.wav"
    assert str(job.folder) not in response.text
    assert [one["id"] for one in client.get(url).json()["offered"]] == list(keys.values()), "what was there stays"
    assert not list(job.folder.glob(".*.part*"))


STRANGE = [
    "../../../etc/passwd",
    "a/b\\c.wav",
    "ünï çødé 名前.wav",
    "x" * 5000,
    "",
    "mixture.wav",
    "con.wav",
    "\u202egnp.wav",
]


@pytest.mark.parametrize("file", STRANGE)
def test_any_file_name_is_only_a_name(client: TestClient, job: Job, file: str) -> None:
    jobs = job.folder.parent
    before = {path for path in jobs.parent.rglob("*") if job.folder not in path.parents}
    url = f"/earshot/jobs/{job.id}/references"
    response = client.post(url, params={"file": file}, content=part("vocals"))
    assert response.status_code == 200
    made = response.json()
    assert not set("/\\") & set(made["file"]) and len(made["file"].encode()) <= 120
    assert client.post(f"{url}/use", json={"names": {made["id"]: made["name"]}}).status_code == 200, (
        "the suggestion works"
    )
    assert made["name"].casefold() != "mixture"
    assert {path for path in jobs.parent.rglob("*") if job.folder not in path.parents} == before


@pytest.mark.parametrize("names", [{}, [], None, {"k": 3}, {"k": None}, "x"])
def test_names_that_are_none_are_refused(client: TestClient, job: Job, names: Any) -> None:
    assert is_error(client.post(f"/earshot/jobs/{job.id}/references/use", json={"names": names}), 400)
    for body in (b"", b"{", b"[]", b"\xff"):
        assert is_error(client.post(f"/earshot/jobs/{job.id}/references/use", content=body), 400)
    assert is_error(client.post(f"/earshot/jobs/{job.id}/references/use", content=b" " * 70_000), 400)


def test_a_reference_called_mixture_is_refused(client: TestClient, job: Job) -> None:
    keys = offered(client, job, vocals=part("vocals"), accompaniment=part("accompaniment"))
    for first, second in (("mixture", "a"), ("Vocals", "vocals"), ("../x", "y"), ("", "b")):
        names = dict(zip(keys.values(), (first, second), strict=True))
        response = client.post(f"/earshot/jobs/{job.id}/references/use", json={"names": names})
        assert is_error(response, 422) and response.json()["asked"] == "Name the stems"
    assert not any(name.startswith("reference-") for name in job.tracks("full"))
    assert len(client.get(f"/earshot/jobs/{job.id}/references").json()["offered"]) == 2


def test_too_large_is_refused_whatever_it_says_of_itself(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/references"
    noise = sound(np.random.default_rng(0).normal(0, 0.2, (2, SECONDS * RATE)).astype(np.float32), kind="WAV")
    assert client.post(url, params={"file": "a.wav"}, content=noise).status_code == 200
    # Nine such files have more than a megabyte together; without a length nobody knows before.
    answers = [client.post(url, params={"file": "b.wav"}, content=iter([noise])) for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused and all(is_error(answer, 422) and "1 MB" in answer.json()["found"] for answer in refused)
    assert is_error(client.post(url, params={"file": "c.wav"}, content=bytes(1_000_001)), 422)
    assert not list(job.folder.glob(".*.part*"))


def test_other_sites_and_unfinished_jobs_are_refused(
    client: TestClient, job: Job, given: Services, tmp_path: Path
) -> None:
    key = offered(client, job, vocals=part("vocals"))["vocals"]
    url = f"/earshot/jobs/{job.id}/references"
    for call in (
        lambda: client.post(url, params={"file": "a.wav"}, content=part("vocals"), headers=FOREIGN),
        lambda: client.post(f"{url}/use", json={"names": {key: "vocals"}}, headers=FOREIGN),
        lambda: client.delete(f"{url}/offered/{key}", headers=FOREIGN),
        lambda: client.delete(f"{url}/named/vocals", headers=FOREIGN),
    ):
        assert is_error(call(), 403)
    assert len(client.get(url).json()["offered"]) == 1
    waiting = make_job(given.store, tmp_path)
    response = client.post(f"/earshot/jobs/{waiting.id}/references", params={"file": "a.wav"}, content=part("vocals"))
    assert is_error(response, 422) and "not done" in response.json()["found"]
    assert not (waiting.folder / "offered").exists()
    for unknown in ("A" * 22, "..", "x"):
        assert client.get(f"/earshot/jobs/{unknown}/references").status_code == 404
        assert client.post(f"/earshot/jobs/{unknown}/references", content=b"x").status_code == 404


def test_too_many_are_refused(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/references"
    tiny = sound(np.full((1, SECONDS * 100), 0.1, np.float32), rate=100)
    answers = [client.post(url, params={"file": "a.flac"}, content=tiny) for _ in range(MOST_STEMS + 1)]
    assert [answer.status_code for answer in answers] == [200] * MOST_STEMS + [422]
    assert len({one["name"] for one in client.get(url).json()["offered"]}) == MOST_STEMS


# -- mixtures


def rendered(client: TestClient, mix: str) -> dict[str, Any]:
    end = time.monotonic() + 30
    while not (body := client.get(f"/earshot/mixes/{mix}").json())["rendered"]:
        assert time.monotonic() < end and body["state"]["status"] != "failed"
        time.sleep(0.02)
    return dict(body)


def begun(client: TestClient) -> dict[str, Any]:
    """A mixture of two stems."""
    first = client.post("/earshot/mixes", params={"file": "Lead Voice.flac"}, content=part("vocals")).json()
    url = f"/earshot/mixes/{first['id']}/stems"
    client.post(url, params={"file": "band.flac"}, content=part("accompaniment"))
    return rendered(client, first["id"])


def test_a_mixture_is_played_as_a_draft_and_follows_the_levels(client: TestClient) -> None:
    mix = begun(client)
    url = f"/earshot/mixes/{mix['id']}"
    assert [(stem["name"], stem["level_db"], stem["duration"]) for stem in mix["stems"]] == [
        ("vocals", 0, 3),
        ("band", 0, 3),
    ]
    assert "nothing clips" in mix["says"]
    draft = client.get(f"/earshot/drafts/{mix['id']}").json()
    assert draft["state"]["status"] == "done"
    assert draft["stages"]["draft"]["renewed"] >= mix["stage"]["renewed"], "each stem that comes makes it anew"
    before = client.get(f"/earshot/drafts/{mix['id']}/draft/mixture.pcm")
    stems = [{key: stem[key] for key in ("id", "name", "level_db", "muted")} for stem in mix["stems"]]
    stems[0]["level_db"], stems[1]["level_db"] = 12.0, 12.0
    assert client.put(url, json={"stems": stems}).status_code == 200
    louder = rendered(client, mix["id"])
    assert "beyond full scale" in louder["says"] and louder["stage"]["gain"] < 1
    after = client.get(f"/earshot/drafts/{mix['id']}/draft/mixture.pcm")
    assert after.content != before.content and after.headers["etag"] != before.headers["etag"]
    for stem in stems:
        stem["muted"] = True
    silent = client.put(url, json={"stems": stems}).json()
    assert silent["audible"] == 0 and "nothing to hear" in silent["says"]
    assert len(client.delete(f"{url}/stems/{stems[0]['id']}").json()["stems"]) == 1
    assert client.delete(url).status_code == 200
    assert client.get(url).status_code == 404 and client.get(f"/earshot/drafts/{mix['id']}").status_code == 404


def test_a_first_stem_that_is_none_leaves_no_mixture(client: TestClient, drafts: Callable[[], set[str]]) -> None:
    before = drafts()
    assert is_error(client.post("/earshot/mixes", params={"file": "a.wav"}, content=b"words"), 422)
    assert drafts() == before
    long = sound(np.full((1, 13 * 1000), 0.1, np.float32), rate=1000)
    assert is_error(client.post("/earshot/mixes", params={"file": "a.flac"}, content=long), 422)
    too_large = client.post("/earshot/mixes", params={"file": "a.wav"}, content=bytes(1_000_001))
    assert is_error(too_large, 422) and "1 MB" in too_large.json()["found"]
    assert drafts() == before


def test_bad_wishes_change_nothing(client: TestClient) -> None:
    mix = begun(client)
    good = [{key: stem[key] for key in ("id", "name", "level_db", "muted")} for stem in mix["stems"]]
    url = f"/earshot/mixes/{mix['id']}"
    for wrong in (
        {"name": 3},
        {"level_db": "loud"},
        {"level_db": None},
        {"level_db": True},
        {"muted": "no"},
        {"id": 5},
    ):
        assert is_error(client.put(url, json={"stems": [{**good[0], **wrong}, good[1]]}), 400)
    infinite = f'{{"stems": [{{"id": "{good[0]["id"]}", "name": "a", "level_db": Infinity, "muted": false}}]}}'
    assert is_error(client.put(url, content=infinite.encode()), 400)
    for name in ("mixture", "band", "a/b"):
        assert is_error(client.put(url, json={"stems": [{**good[0], "name": name}]}), 422)
    for body in (b"", b"[]", b'{"stems": 3}', b'{"stems": [3]}'):
        assert is_error(client.put(url, content=body), 400)
    assert client.put(url, json={"stems": [{**good[0], "id": "f" * 16}]}).status_code == 200, (
        "an unknown one says nothing"
    )
    assert client.get(url).json()["stems"] == mix["stems"]


def test_other_sites_cannot_touch_mixtures(client: TestClient, drafts: Callable[[], set[str]]) -> None:
    mix = begun(client)
    url = f"/earshot/mixes/{mix['id']}"
    before = drafts()
    for call in (
        lambda: client.post("/earshot/mixes", params={"file": "a.flac"}, content=part("vocals"), headers=FOREIGN),
        lambda: client.post(f"{url}/stems", params={"file": "a.flac"}, content=part("vocals"), headers=FOREIGN),
        lambda: client.put(url, json={"stems": []}, headers=FOREIGN),
        lambda: client.delete(f"{url}/stems/{mix['stems'][0]['id']}", headers=FOREIGN),
        lambda: client.delete(url, headers=FOREIGN),
    ):
        assert is_error(call(), 403)
    assert drafts() == before
    assert len(client.get(url).json()["stems"]) == 2
    for unknown in ("A" * 22, "..", "x"):
        assert client.get(f"/earshot/mixes/{unknown}").status_code == 404
        assert client.post(f"/earshot/mixes/{unknown}/stems", content=b"x").status_code == 404


def test_disk_full_is_said_before_anything_is_written(
    client: TestClient, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, nbytes: int) -> None:
        raise DiskFull("Write it", "the disk is full", "Free some")

    monkeypatch.setattr(module, "require_disk", full)
    url = f"/earshot/jobs/{job.id}/references"
    assert is_error(client.post(url, params={"file": "a.flac"}, content=part("vocals")), 507)
    assert client.get(url).json()["offered"] == []


# -- words and files


def fit(null: float | None, best: float | None = None, **levels: float | None) -> tuple[bool, str]:
    names = levels or {"vocals": 0.0, "drums": 0.0}
    return judge(Fit(null, null if best is None else best, dict(names), {}), {name: name for name in names})


def test_every_verdict_in_words() -> None:
    assert fit(-62.0) == (
        True,
        "They add up to the recording: what is left lies 62 dB below it. These are the true stems.",
    )
    assert fit(-200.0)[1] == "They add up to the recording: nothing is left of it. These are the true stems."
    assert fit(-150.0, vocals=0.0)[1] == "It adds up to the recording: nothing is left of it. This is the true stem."
    assert fit(-25.0)[0] and "nearly" in fit(-25.0)[1]
    right, words = fit(-3.0, -60.0, vocals=-6.0, drums=0.1)
    assert not right and "vocals 6.0 dB quieter. Is it another mix" in words
    assert fit(-3.0, -3.1, vocals=0.2) == (
        True,
        "Part of the recording is missing here, but it is in it at just this level: that fits.",
    )
    right, words = fit(2.0, 0.0, vocals=None, drums=-20.0)
    assert not right and "vocals and drums are not in it" in words and "same take" in words
    assert fit(None)[0] is False and "silent" in fit(None)[1]


def test_what_is_wanted_is_read_strictly() -> None:
    assert wanted([{"id": "a", "name": "x", "level_db": -3, "muted": True}]) == {"a": ("x", -3.0, True)}
    assert wanted([]) == {}


def test_only_the_elements_own_files_are_served(client: TestClient) -> None:
    for name, kind in STATIC.items():
        response = client.get(f"/earshot/stems/{name}")
        assert response.status_code == 200 and response.headers["content-type"].startswith(kind)
        assert response.headers["x-content-type-options"] == "nosniff"
    for name in ("../separate.py", "%2e%2e%2fseparate.py", "nothing.js"):
        assert client.get(f"/earshot/stems/{name}").status_code == 404
