"""The Learn page without a browser: its files, what it begins with, a mixture that comes in, and its examples."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_lessons import sounds, until, write
from page_services import services
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.audio import probe
from separation.errors import DataError
from separation.training.learning import SYSTEMS
from separation.ui.frame import PAGES, Services, header_html
from separation.ui.learn import EXAMPLES, FOLDER, STATIC, learn_files, read_lesson_examples
from separation.ui.server import build

LESSON: dict[str, Any] = {
    "title": "strings and hiss", "summary": "Both at once.", "order": 1, "system": "nmf", "components": 4,
    "mixture": "mixture.wav",
    "sources": [{"name": "strings", "clips": ["strings.wav"]}, {"name": "hiss", "clips": ["hiss.wav"]}],
    "credits": [{"what": "all", "author": "Nobody", "licence": "CC0", "licence_url": "https://example.org", "source": "here"}],
}  # fmt: skip


def lesson_in(folder: Path, name: str = "one", **changes: Any) -> Path:
    """A folder with one example."""
    (folder / name).mkdir(parents=True)
    made = sounds()
    for source, samples in made.items():
        write(folder / name / f"{source}.wav", samples)
    write(folder / name / "mixture.wav", made["strings"] + made["hiss"])
    (folder / name / "lesson.json").write_text(json.dumps({**LESSON, **changes}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("learn"))


def client_of(given: Services, examples: Path, **settings: Any) -> TestClient:
    chosen = replace(given, settings=replace(given.settings, **settings))
    return TestClient(Starlette(routes=learn_files(chosen, examples)))


@pytest.fixture(scope="module")
def client(given: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(given, lesson_in(tmp_path_factory.mktemp("examples"))) as client:
        yield client


# What is there


def test_the_page_stands_beside_the_others(given: Services) -> None:
    assert ("Learn", "./learn", "learn") in PAGES
    assert '<a href="./learn" aria-current=page>Learn</a>' in header_html("Learn")
    app = build(given)
    config = app.get_config_file()
    assert any(list(page)[:2] == ["learn", "Learn"] for page in config["pages"])
    assert "<earshot-learn>" in str(config), "the element that draws it"


def test_every_file_of_the_page_is_served_and_nothing_else(client: TestClient) -> None:
    assert set(STATIC) == {path.name for path in FOLDER.glob("*.js")}
    for name in STATIC:
        answer = client.get(f"/earshot/learn/{name}")
        assert (
            answer.headers["content-type"].startswith("text/javascript")
            and answer.headers["cache-control"] == "no-cache"
        )
    for name in ("learn.css", "learn.py", "..%2Flearn.py", "nothing.js"):
        assert client.get(f"/earshot/learn/{name}").status_code == 404, name


def test_the_start_says_what_can_be_learned_with_and_tried(client: TestClient, given: Services) -> None:
    body = client.get("/earshot/learn/start").json()
    assert [system["name"] for system in body["systems"]] == list(SYSTEMS)
    assert all(system["about"] and system["steps"] and system["components"] for system in body["systems"])
    assert [system["name"] for system in body["systems"] if system["finds_unknown"]] == ["nmf", "conv-nmf"]
    (example,) = body["examples"]
    assert [source["name"] for source in example["sources"]] == ["strings", "hiss"]
    clips = [clip for source in example["sources"] for clip in source["clips"]]
    assert [clip["seconds"] for clip in clips] == [2.0, 2.0]
    for draft in (example["mixture"]["draft"], *(clip["draft"] for clip in clips)):
        assert given.store.drafts.get(draft).bundled is not None
    assert body["credits"][0]["author"] == "Nobody" and "/" not in example["mixture"]["name"]


# A mixture


def send(client: TestClient, content: bytes, **headers: str) -> Any:
    return client.post("/earshot/learn/mixture", params={"file": "../my song.wav"}, content=content, headers=headers)


def test_a_mixture_becomes_a_draft(client: TestClient, given: Services, tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", sounds(1.0)["strings"])
    answer = send(client, path.read_bytes()).json()
    draft = given.store.drafts.get(answer["draft"])
    until(lambda: draft.state().finished)
    assert draft.state().status == "done" and draft.name == answer["name"] and "/" not in draft.name
    assert draft.name.endswith("my song.wav") and draft.longest == 60 * given.settings.max_minutes
    assert probe(draft.input).duration == 1.0, "the recording itself, whole"


def test_what_is_no_audio_is_refused_at_once(client: TestClient, given: Services) -> None:
    before = set(given.store.drafts.folder.glob("*"))
    answer = send(client, b"these are words")
    assert answer.status_code == 422 and set(answer.json()) == {"asked", "found", "advice"}
    assert set(given.store.drafts.folder.glob("*")) == before


def test_what_is_too_large_is_refused_whether_it_says_so_or_not(given: Services, tmp_path: Path) -> None:
    client = client_of(given, tmp_path, max_upload_mb=0.01)
    said = send(client, b"x" * 20_000)
    assert said.status_code == 422 and "0.01 MB" in said.json()["found"]
    unsaid = client.post("/earshot/learn/mixture", params={"file": "a.wav"}, content=iter([b"x" * 9_000] * 3))
    assert unsaid.status_code == 422 and "0.01 MB" in unsaid.json()["found"]


def test_other_sites_send_nothing(client: TestClient, tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", sounds(1.0)["strings"])
    assert send(client, path.read_bytes(), **{"sec-fetch-site": "cross-site"}).status_code == 403


# Examples


def test_a_broken_example_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"example lesson one.*no far\.wav"):
        read_lesson_examples(lesson_in(tmp_path / "missing", mixture="far.wav"))
    with pytest.raises(DataError, match="no system magic"):
        read_lesson_examples(lesson_in(tmp_path / "system", system="magic"))
    with pytest.raises(DataError, match=r"lesson\.json is broken"):
        read_lesson_examples(lesson_in(tmp_path / "broken", sources="two"))


def test_examples_come_in_their_order(tmp_path: Path) -> None:
    lesson_in(tmp_path, "a", order=2, title="second")
    lesson_in(tmp_path, "b", order=1, title="first")
    assert [one.title for one in read_lesson_examples(tmp_path)] == ["first", "second"]
    assert read_lesson_examples(tmp_path / "nowhere") == []


def test_the_bundled_examples_are_small_enough_to_learn_at_once_and_credited() -> None:
    examples = read_lesson_examples(EXAMPLES)
    assert [one.title for one in examples] == ["two voices", "a voice and music"]
    for one in examples:
        clips = [clip for clips in one.sources.values() for clip in clips]
        assert all(10 <= probe(clip).duration <= 20 for clip in clips) and one.mixture not in clips
        assert one.credits and all(credit.licence_url.startswith("https://") for credit in one.credits)
    for folder in EXAMPLES.iterdir():
        told = (folder / "lesson.json").read_text(encoding="utf-8")
        assert all(path.name in told for path in folder.glob("*.flac")), "every file is used and credited"
        assert (folder / "LICENCE.txt").is_file()
        assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
