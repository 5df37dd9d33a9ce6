"""The Learn page over HTTP: from two clips to a job, its pictures and sounds, and clients that mean harm."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile as sf
from made_lessons import NAMES, Held, done, sounds, until, write
from page_services import services
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation import hub
from separation.engine.jobs import Job, Request
from separation.errors import JobError
from separation.ui import gpu, lesson_clips
from separation.ui import learn_routes as learn_routes_module
from separation.ui import lessons as lessons_module
from separation.ui.edit_routes import edit_routes
from separation.ui.frame import Services
from separation.ui.latent_routes import latent_routes
from separation.ui.learn_routes import UNFINISHED, learn_routes
from separation.ui.lessons import Lesson, Lessons
from separation.ui.measuring import Measuring
from separation.ui.rating_trials import Asked, Trials
from separation.ui.routes import routes
from separation.ui.server import open_lessons
from tests.training.learning_sounds import hiss, strings

RATE = 16000


class House:
    """An installation that teaches and separates, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: Services = services(folder)
        self.teach = Held()
        self.lessons: Lessons = open_lessons(self.services)
        self.lessons._teach = self.teach
        made = [*learn_routes(self.services, self.lessons), *routes(self.services.store)]
        views = [*latent_routes(self.services), *edit_routes(self.services)]
        self.client = TestClient(Starlette(routes=[*made, *views]))

    def clip(self, name: str, seed: int = 1) -> str:
        path = write(self.folder / "clip.wav", sounds(seed=seed)[name])
        answer = self.client.post("/earshot/lessons/clips", params={"file": f"{name}.wav"}, content=path.read_bytes())
        assert answer.status_code == 200, answer.text
        return str(answer.json()["clip"])

    def wish(self, **more: Any) -> dict[str, Any]:
        sources = [{"name": name, "clips": [self.clip(name)]} for name in NAMES]
        return {"system": "nmf", "components": 4, "steps": 15, "sources": sources, **more}

    def begin(self, **more: Any) -> Lesson:
        answer = self.client.post("/earshot/lessons", json=self.wish(**more))
        assert answer.status_code == 200, answer.text
        return self.lessons.get(answer.json()["id"])

    def draft(self) -> str:
        """A visitor's recording that holds both, read to its end."""
        mixture = strings(2.0, 11, RATE) + hiss(2.0, 12, RATE)
        draft = self.services.store.drafts.create(write(self.folder / "song.wav", mixture), "song.wav")
        until(lambda: draft.state().finished)
        return draft.id

    def ready(self, job_id: str) -> Job:
        job = self.services.store.get(job_id)
        until(lambda: job.state().finished)
        assert job.state().status == "done", job.state()
        return job


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("learn"))
    made.services.workers.start()
    made.lessons.start()
    yield made
    made.lessons.stop()
    made.services.workers.stop()


@pytest.fixture(scope="module")
def lesson(house: House) -> Lesson:
    return done(house.begin())


@pytest.fixture(scope="module")
def job(house: House, lesson: Lesson) -> Job:
    answer = house.client.post(f"/earshot/lessons/{lesson.id}/separate", json={"draft": house.draft()})
    assert answer.status_code == 200, answer.text
    return house.ready(answer.json()["job"])


def is_error(response: Any, status: int, said: str = "") -> bool:
    parts = response.json()
    assert response.status_code == status, response.text
    return set(parts) == {"asked", "found", "advice"} and said in json.dumps(parts, ensure_ascii=False)


# -- clips


def test_a_clip_is_heard_and_drawn_again(house: House) -> None:
    clip = house.clip("strings")
    sound = house.client.get(f"/earshot/lessons/clips/{clip}.wav")
    assert sound.headers["content-type"] == "audio/wav" and sound.headers["cache-control"] == "private, no-store"
    samples, rate = sf.read(io.BytesIO(sound.content))
    assert (rate, samples.shape) == (RATE, (2 * RATE,)) and np.allclose(samples, sounds()["strings"][0], atol=1e-3)
    outline = house.client.get(f"/earshot/lessons/clips/{clip}.peaks?points=64").content
    assert len(outline) == 128 and np.frombuffer(outline, np.int8).max() > 5
    assert len(house.client.get(f"/earshot/lessons/clips/{clip}.peaks?points=99999999").content) == 2 * 4096
    assert is_error(house.client.get(f"/earshot/lessons/clips/{clip}.peaks?points=-4"), 400)


def test_seconds_of_a_draft_or_of_a_separation_are_clips(house: House, job: Job) -> None:
    asked = {"draft": house.draft(), "start": 0.25, "stop": 1.5}
    answer = house.client.post("/earshot/lessons/clips", content=json.dumps(asked))  # as browsers send it: plain text
    assert answer.json() == {"clip": answer.json()["clip"], "seconds": 1.25, "sample_rate": RATE}
    for more in ({}, {"track": "hiss"}, {"stage": "full", "track": "residual"}):
        body = {"job": job.id, "start": 0, "stop": 1, **more}
        answer = house.client.post("/earshot/lessons/clips", json=body)
        assert answer.status_code == 200 or "silent" in answer.text
    for wrong in ({"stage": "preview"}, {"track": "../../input/song"}, {"track": ["mixture"]}, {"stage": {}}):
        body = {"job": job.id, "start": 0, "stop": 1, **wrong}
        assert house.client.post("/earshot/lessons/clips", json=body).status_code in (400, 404)


# -- a lesson


def test_a_lesson_says_everything_the_page_shows(house: House, lesson: Lesson) -> None:
    said = house.client.get(f"/earshot/lessons/{lesson.id}").json()
    assert said["state"]["status"] == "done" and (said["system"], said["components"], said["steps"]) == ("nmf", 4, 15)
    assert said["sources"] == [{"name": name, "seconds": 2.0, "learned": True, "taken": None} for name in NAMES]
    assert list(said["losses"]) == list(NAMES) and len(said["losses"]["hiss"]) == 15
    assert said["card"]["title"] == "Strings and hiss, learned by NMF" and said["card"]["weaknesses"]
    assert said["expires"] > said["state"]["created"]
    components = house.client.get(f"/earshot/lessons/{lesson.id}/components").json()
    assert components["version"] == said["version"] and (components["bins"], components["frames"]) == (513, 1)
    assert [one["home"] for one in components["components"]] == ["strings"] * 4 + ["hiss"] * 4
    assert all(one["peak_hz"] > 1900 for one in components["components"][4:])
    cells = house.client.get(f"/earshot/lessons/{lesson.id}/components.cells?version={said['version']}")
    assert len(cells.content) == 8 * components["rows"] and max(cells.content) == 255
    sound = house.client.get(f"/earshot/lessons/{lesson.id}/components/5.wav")
    samples, rate = sf.read(io.BytesIO(sound.content))
    assert 0.5 < len(samples) / rate <= 2 and 0.1 < np.abs(samples).max() <= 1
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum[: len(spectrum) // 5].sum() < 0.1 * spectrum.sum(), "it sounds like what it was learned from"


def test_defaults_are_those_of_the_system_and_waiting_lessons_say_so(house: House) -> None:
    house.teach.gate.clear()
    try:
        first, second = house.begin(), house.begin(components=None, steps=20)
    except AssertionError:
        house.teach.gate.set()
        raise
    said = house.client.get(f"/earshot/lessons/{second.id}").json()
    components = house.client.get(f"/earshot/lessons/{second.id}/components").json()
    assert said["state"]["status"] == "waiting" and said["card"] is None and components["components"] == []
    assert is_error(house.client.get(f"/earshot/lessons/{second.id}/components.cells"), 404)
    assert is_error(house.client.get(f"/earshot/lessons/{second.id}/components/0.wav"), 404)
    for path, body in (("separate", {"draft": "x"}), ("surgery", {"muted": [1]})):
        method = "PUT" if path == "surgery" else "POST"
        answer = house.client.request(method, f"/earshot/lessons/{second.id}/{path}", json=body)
        assert is_error(answer, 422, "the lesson is waiting")
    assert is_error(house.client.get(f"/earshot/lessons/{second.id}/download.zip"), 422, "the lesson is waiting")
    assert house.client.post(f"/earshot/lessons/{second.id}/cancel").json() == {"cancelling": True}
    assert house.client.get(f"/earshot/lessons/{second.id}").json()["state"]["status"] == "cancelled"
    house.teach.gate.set()
    done(first)
    assert house.client.delete(f"/earshot/lessons/{first.id}").json() == {"deleted": True}
    assert is_error(house.client.get(f"/earshot/lessons/{first.id}"), 404, "not here any more")


def test_surgery_over_http(house: House) -> None:
    lesson = done(house.begin())
    url = f"/earshot/lessons/{lesson.id}"
    before = house.client.get(f"{url}/components").json()["version"]
    answer = house.client.put(f"{url}/surgery", json={"moved": {"1": "hiss"}, "muted": [6]})
    assert answer.json() == {"version": before + 1}
    after = house.client.get(f"{url}/components").json()
    assert (after["components"][1]["source"], after["components"][1]["home"]) == ("hiss", "strings")
    assert after["components"][6]["muted"] and after["version"] == before + 1
    said = house.client.get(url).json()
    assert said["surgery"] == {"moved": {"1": "hiss"}, "muted": [6]} and said["version"] == before + 1
    for wrong in (
        {"moved": {"9": "hiss"}}, {"moved": {"1": "drums"}}, {"muted": [8]}, {"muted": [-1]},
    ):  # fmt: skip
        assert is_error(house.client.put(f"{url}/surgery", json=wrong), 422)
    for wrong in (
        {"moved": {"x": "hiss"}}, {"moved": {"1": 1}}, {"moved": []}, {"muted": "1"}, {"muted": [1.5]}, {"muted": [True]},
        [], {"moved": {"1" * 50: "hiss"}},
    ):  # fmt: skip
        assert is_error(house.client.put(f"{url}/surgery", json=wrong), 400)
    assert house.client.get(f"{url}/components").json()["version"] == before + 1
    house.client.delete(url)


def test_a_learned_source_serves_in_another_lesson(house: House, lesson: Lesson) -> None:
    sources = [
        {"name": "air", "from": lesson.id, "source": "hiss"},
        {"name": "strings", "clips": [house.clip("strings")]},
        {"name": "rest", "clips": []},
    ]
    again = done(house.begin(sources=sources, components={"strings": 3, "rest": 2}))
    said = house.client.get(f"/earshot/lessons/{again.id}").json()
    assert [(one["name"], one["seconds"], one["taken"]) for one in said["sources"]] == [
        ("air", None, "hiss"), ("strings", 2.0, None), ("rest", 0.0, None),
    ]  # fmt: skip
    assert said["components"] == {"strings": 3, "rest": 2}
    assert len(house.client.get(f"/earshot/lessons/{again.id}/components").json()["components"]) == 9
    for wrong in ({"source": "drums"}, {"from": "A" * 22}, {"from": "../x"}, {"source": None}):
        body = house.wish(sources=[{**sources[0], **wrong}, sources[1]])
        assert house.client.post("/earshot/lessons", json=body).status_code in (400, 404, 422)


def test_the_model_folder_is_downloaded_with_its_surgery(house: House, tmp_path: Path) -> None:
    lesson = done(house.begin())
    house.client.put(f"/earshot/lessons/{lesson.id}/surgery", json={"moved": {"0": "hiss"}})
    answer = house.client.get(f"/earshot/lessons/{lesson.id}/download.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="learned-nmf.zip"'
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path / "mine")
    model: Any = hub.load(tmp_path / "mine" / "learned-nmf")
    assert model.spec.sources == NAMES and model.arguments["moved"] == {"0": 1}
    assert "Strings and hiss" in (tmp_path / "mine" / "learned-nmf" / "README.md").read_text(encoding="utf-8")
    house.client.delete(f"/earshot/lessons/{lesson.id}")


# -- separations


def test_a_separation_by_a_lesson_is_a_job_like_any_other(house: House, lesson: Lesson, job: Job) -> None:
    said = house.client.get(f"/earshot/jobs/{job.id}").json()
    assert said["model"].startswith("learned, nmf ") and lesson.id not in json.dumps(said)
    assert said["stages"]["full"]["tracks"] == ["mixture", *NAMES, "residual"]
    truth = hiss(2.0, 12, RATE)[0]
    samples = sf.read(job.tracks("full")["hiss"])[0]
    assert np.square(samples - truth).sum() < 0.1 * np.square(truth).sum()
    assert house.client.get(f"/earshot/jobs/{job.id}/full/latents").status_code == 200
    assert house.client.get(f"/earshot/jobs/{job.id}/edits").json()["editable"]
    again = house.client.post(f"/earshot/lessons/{lesson.id}/separate", json={"job": job.id}).json()["job"]
    assert house.ready(again).request.model == job.request.model


def test_its_rating_names_the_very_weights(house: House, job: Job) -> None:
    standing, _ = Trials(house.services).serve(job.id, Asked("full", "a-listener-of-16", hidden=False))
    served = standing.trial.served
    card = house.services.card(job.request.model)
    assert card.weights is not None and served["weights"] == card.weights.sha256
    assert served["model"] == served["origin"] == job.request.model


def test_a_muted_component_goes_to_the_residual(house: House) -> None:
    lesson = done(house.begin())
    house.client.put(f"/earshot/lessons/{lesson.id}/surgery", json={"muted": [4, 5, 6, 7]})
    made = house.client.post(f"/earshot/lessons/{lesson.id}/separate", json={"draft": house.draft()}).json()["job"]
    tracks = {name: sf.read(path)[0] for name, path in house.ready(made).tracks("full").items()}
    assert np.square(tracks["residual"]).sum() > 10 * np.square(tracks["hiss"]).sum()
    house.client.delete(f"/earshot/lessons/{lesson.id}")


def test_on_zero_gpu_the_cpu_separates(house: House, lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "zero_gpu", lambda: True)
    monkeypatch.setattr(house.services.workers, "submit", lambda job: pytest.fail("there are no workers there"))
    client = TestClient(Starlette(routes=learn_routes(house.services, house.lessons)))
    made = client.post(f"/earshot/lessons/{lesson.id}/separate", json={"draft": house.draft()}).json()["job"]
    assert house.ready(made).state().device == "cpu"


def test_a_finished_job_outlives_its_lesson(house: House) -> None:
    lesson = done(house.begin())
    made = house.client.post(f"/earshot/lessons/{lesson.id}/separate", json={"draft": house.draft()}).json()["job"]
    job = house.ready(made)
    house.client.delete(f"/earshot/lessons/{lesson.id}")
    edit = {"stage": "full", "edit": {"sharpness": 3}, "start": 0.0, "end": 1.0}
    answer = house.client.post(f"/earshot/jobs/{job.id}/edits", json=edit)
    assert house.ready(answer.json()["job"]).request.model == job.request.model


def test_an_example_comes_with_its_true_sources(house: House, lesson: Lesson) -> None:
    draft = house.services.store.drafts.bundled(house.services.examples / "swell" / "mixture.flac", "A swell")
    made = house.client.post(f"/earshot/lessons/{lesson.id}/separate", json={"draft": draft.id}).json()["job"]
    assert list(house.services.store.get(made).request.references) == ["part"]
    house.ready(made)


# -- clients that mean harm


def test_a_huge_clip_is_refused_and_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn_routes_module, "LARGEST", 50_000)

    def endless() -> Iterator[bytes]:  # no length is said beforehand
        for _ in range(50):
            yield b"x" * 10_000

    url = "/earshot/lessons/clips?file=big.wav"
    assert is_error(house.client.post(url, content=endless()), 413, "that are allowed")
    assert is_error(house.client.post(url, content=b"x" * 60_000), 413)
    assert not list(house.lessons.clips.folder.glob(".*.part"))


def test_bodies_that_are_too_large_or_unreadable(house: House) -> None:
    for method, path in (("POST", "lessons"), ("POST", "lessons/clips"), ("PUT", f"lessons/{'A' * 22}/surgery")):
        assert is_error(house.client.request(method, f"/earshot/{path}", content=b" " * 70_000), 413, "64 kB")
    for body in (b"{", b"[" * 9000, b"[]", b"\xff\xfe", b'{"system": 3}', b"null"):
        assert is_error(house.client.post("/earshot/lessons", content=body), 400)
        assert is_error(house.client.post("/earshot/lessons/clips", content=body), 400)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"system": "gan"}, 422, "no such system"),
        ({"sources": []}, 422, "there are 0 sources"),
        ({"sources": [1]}, 400, ""),
        ({"sources": "all"}, 400, ""),
        ({"components": 0}, 422, "0 components"),
        ({"components": 1e9}, 400, ""),
        ({"components": 10**30}, 400, ""),
        ({"components": {"hiss": "4"}}, 400, ""),
        ({"steps": 99_999}, 422, "99999 steps"),
        ({"steps": True}, 400, ""),
        ({"sources": [{"name": "a"}, {"name": "b"}]}, 422, "no clip"),
        ({"sources": [{"name": "../../x", "clips": []}]}, 422, "cannot be used"),
        ({"sources": [{"name": "mixture", "clips": []}]}, 422, "every separation has"),
        ({"sources": [{"name": "a", "clips": ["A" * 22]}]}, 404, "not here any more"),
        ({"sources": [{"name": "a", "clips": ["../" * 7 + "x"]}]}, 404, "not here any more"),
        ({"sources": [{"name": "a", "clips": [7]}]}, 400, ""),
        ({"sources": [{"name": "a", "clips": ["A" * 22] * 25}]}, 400, "25 clips"),
        ({"sources": [{"name": "a" * 61, "clips": []}, {"name": "b", "clips": []}]}, 422, "cannot be used"),
    ],
)
def test_wishes_that_cannot_be_met(house: House, changes: dict[str, Any], status: int, said: str) -> None:
    before = len(house.lessons.all())
    bare = [{"name": name, "clips": []} for name in "ab"]
    body = json.loads(json.dumps({"system": "nmf", "sources": bare, **changes}))
    assert is_error(house.client.post("/earshot/lessons", json=body), status, said)
    assert len(house.lessons.all()) == before


def test_two_sources_of_one_name_are_refused(house: House) -> None:
    clip = house.clip("hiss")
    sources = [{"name": "a", "clips": [clip]}, {"name": "a", "clips": [clip]}]
    assert is_error(house.client.post("/earshot/lessons", json=house.wish(sources=sources)), 422, "two of them")


def test_foreign_sites_change_nothing(house: House, lesson: Lesson) -> None:
    url = f"/earshot/lessons/{lesson.id}"
    tries = [
        ("POST", "/earshot/lessons", house.wish()),
        ("POST", "/earshot/lessons/clips?file=a.wav", {}),
        ("POST", "/earshot/lessons/clips", {"draft": "x", "start": 0, "stop": 1}),
        ("PUT", f"{url}/surgery", {"muted": [0]}),
        ("POST", f"{url}/separate", {"draft": "x"}),
        ("POST", f"{url}/cancel", {}),
        ("DELETE", url, {}),
    ]
    for method, path, body in tries:
        for headers in ({"origin": "https://elsewhere.example"}, {"sec-fetch-site": "cross-site"}):
            answer = house.client.request(method, path, json=body, headers=headers)
            assert is_error(answer, 403, "another site"), path
    assert lesson.surgery().muted == () and lesson.state().status == "done"


@pytest.mark.parametrize(
    "path",
    [
        "lessons/{id}", "lessons/{id}/components", "lessons/{id}/components.cells", "lessons/{id}/components/0.wav",
        "lessons/{id}/download.zip", "lessons/clips/{id}.wav", "lessons/clips/{id}.peaks",
    ],
)  # fmt: skip
def test_unknown_ids_and_paths_lead_nowhere(house: House, path: str) -> None:
    for wrong in ("A" * 22, "clips", "..%2f..%2fjobs", "x" * 500, "%00"):
        answer = house.client.get(f"/earshot/{path.format(id=wrong)}")
        assert answer.status_code == 404, (path, wrong)


def test_component_numbers_are_taken_for_hostile(house: House, lesson: Lesson) -> None:
    for wrong in ("8", "-1", "1e3", "٣", "9" * 40, "..%2f0"):
        assert house.client.get(f"/earshot/lessons/{lesson.id}/components/{wrong}.wav").status_code == 404


def test_twenty_lessons_at_once_wait_or_are_told_to_come_back(house: House) -> None:
    wish = house.wish()
    house.teach.gate.clear()
    try:
        answers = [house.client.post("/earshot/lessons", json=wish) for _ in range(20)]
    finally:
        house.teach.gate.set()
    taken = [house.lessons.get(answer.json()["id"]) for answer in answers if answer.status_code == 200]
    assert len(taken) == lessons_module.MOST_WAITING
    assert all(is_error(answer, 503, "of all visitors") for answer in answers if answer.status_code != 200)
    for each in taken[::2]:
        house.client.delete(f"/earshot/lessons/{each.id}")  # one of them is being learned
    for each in taken[1::2]:
        done(each)
        house.client.delete(f"/earshot/lessons/{each.id}")


def test_clips_have_a_limit_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_clips, "MOST", 0)
    assert is_error(house.client.post("/earshot/lessons/clips?file=a.wav", content=b"x"), 503, "clips")
    body = {"draft": house.draft(), "start": 0, "stop": 1}
    assert is_error(house.client.post("/earshot/lessons/clips", json=body), 503, "clips")


def test_separations_by_one_lesson_take_turns(house: House, lesson: Lesson) -> None:
    halves = cast(Any, house.services.hub).separators["vocals"]
    halves.gate.clear()  # a job of it holds up the queue
    try:
        ahead = house.services.store.create(
            write(house.folder / "ahead.wav", sounds()["hiss"]), Request("vocals", "ahead")
        )
        house.services.workers.submit(ahead)
        draft, url = house.draft(), f"/earshot/lessons/{lesson.id}/separate"
        answers = [house.client.post(url, json={"draft": draft}) for _ in range(UNFINISHED + 1)]
    finally:
        halves.gate.set()
    assert [answer.status_code for answer in answers] == [200] * UNFINISHED + [503]
    for answer in answers[:-1]:
        house.ready(answer.json()["job"])


def test_a_taught_model_is_not_measured_by_visitors(house: House, job: Job) -> None:
    with pytest.raises(JobError, match="learned from clips on this page"):
        Measuring(house.services).check_model(job.request.model)


@pytest.mark.parametrize("body", [{}, {"draft": 3}, {"draft": "A" * 22}, {"job": "A" * 22}, {"job": ".."}])
def test_what_is_not_there_is_not_separated(house: House, lesson: Lesson, body: dict[str, Any]) -> None:
    answer = house.client.post(f"/earshot/lessons/{lesson.id}/separate", json=body)
    assert answer.status_code in (400, 404) and set(answer.json()) == {"asked", "found", "advice"}
