"""The researcher's side over HTTP: writing, building, trying, launching, watching and reading a study; and that nobody but the
owner gets any of it, nor anything out of a study's folder."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from made_studies import BEARER, OWNER, TEXT, TOKEN, Lab, sounds, wav
from page_services import card, example
from starlette.testclient import TestClient
from study_takers import take

from separation.errors import UnknownTrial
from separation.listening.exports import FORMATS
from separation.listening.parts import KINDS, Anchor, Assignment, Item, Page, Question, System
from separation.listening.screening import RULES
from separation.statistics import FEWEST
from separation.ui.listen_routes import listen_routes
from separation.ui.study_metrics import read_metrics
from separation.ui.study_routes import FOLDER, LARGEST, MAX_BODY, STATIC
from separation.ui.study_templates import TEMPLATES

ROUTES = [
    ("GET", "study-choices"), ("GET", "study-power?listeners=20&sd=15&difference=10"), ("GET", "studies"), ("POST", "studies"),
    ("GET", "studies/voices"), ("DELETE", "studies/voices"), ("PUT", "studies/voices/text"), ("PUT", "studies/voices/form"),
    ("POST", "studies/voices/files?file=a.wav"), ("DELETE", "studies/voices/files/a.wav"), ("GET", "studies/voices/try"),
    ("POST", "studies/voices/metrics"), ("POST", "studies/voices/build"), ("POST", "studies/voices/dry-run"),
    ("POST", "studies/voices/cancel"),
    ("GET", "studies/voices/preview?page=0"), ("POST", "studies/voices/launch"), ("POST", "studies/voices/turn"),
    ("POST", "studies/voices/extend"), ("GET", "studies/voices/live"), ("GET", "studies/voices/results"),
    ("GET", "studies/voices/figures/box.json"), ("GET", "studies/voices/report.html"),
    ("GET", "studies/voices/export?format=csv"), ("GET", "preview/abcdefghijklmnopqrstuv/listen/voices"),
    ("POST", "preview/abcdefghijklmnopqrstuv/listen/voices/session"),
]  # fmt: skip
"""Everything that needs the token."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A study that three listeners have finished and one has left; for tests that change nothing."""
    made = Lab(tmp_path_factory.mktemp("taken"))
    made.write()
    made.launch()
    for number in range(3):
        assert take(made.stranger, "voices", number)["kind"] == "end"
    take(made.stranger, "voices", 3, pages=2)
    yield made
    made.close()


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


# -- who gets in


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_but_the_owner_gets_anything(taken: Lab, method: str, path: str) -> None:
    refused = taken.stranger.request(method, f"{OWNER}/{path}")
    assert is_error(refused, 401) and refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] != "GET"])
def test_another_site_changes_nothing(taken: Lab, method: str, path: str) -> None:
    before = taken.ask("GET", "studies/voices")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert is_error(taken.owner.request(method, f"{OWNER}/{path}", headers=headers), 403)
    assert taken.ask("GET", "studies/voices") == before


def test_wrong_tokens_and_no_token_at_all(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "a")
    refused = lab.stranger.get(f"{OWNER}/studies", headers={"Authorization": "Bearer a-guess"})
    assert is_error(refused, 403) and TOKEN not in refused.text
    lab.close()
    closed = Lab(tmp_path / "b", token="")
    refused = closed.stranger.get(f"{OWNER}/studies", headers={"Authorization": "Bearer "})
    assert is_error(refused, 403) and "EARSHOT_OWNER_TOKEN" in refused.json()["advice"]
    page = closed.stranger.get("/studies")
    assert page.status_code == 200 and "EARSHOT_OWNER_TOKEN" in page.text
    closed.close()


def test_the_page_and_its_files_hold_no_data_and_run_no_other_script(taken: Lab) -> None:
    page = taken.stranger.get("/studies")
    assert "script-src 'self'" in page.headers["content-security-policy"] and "{{" not in page.text
    assert "voices" not in page.text and "<script>" not in page.text
    for name in STATIC:
        assert taken.stranger.get(f"{OWNER}/studies/-/{name}").status_code == 200
    assert {path.name for path in FOLDER.iterdir()} == {*STATIC, "studies.html"} - {"evaluate.css"}
    for name in ("studies.html", "..%2Fratings.py", "%2e%2e/ratings.py"):
        assert taken.stranger.get(f"{OWNER}/studies/-/{name}").status_code in (401, 404)


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "..%2f..", "Voices", "-x", "voices%00", "a" * 65, "nothing", ".making"]
)
def test_no_name_leads_out_of_the_studies(taken: Lab, name: str) -> None:
    for path in (f"studies/{name}", f"studies/{name}/try", f"studies/{name}/live", f"studies/{name}/export?format=csv"):
        assert taken.owner.get(f"{OWNER}/{path}").status_code in (404, 405)
    assert taken.owner.delete(f"{OWNER}/studies/{name}").status_code in (404, 405)


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"[]", b'{"from": 7}', b'{"from": "text"}', b'{"from": "text", "text": 7}', b"[" * 9999]
)
def test_requests_that_make_no_sense(taken: Lab, sent: bytes) -> None:
    assert is_error(taken.owner.post(f"{OWNER}/studies", content=sent), 400)
    assert is_error(taken.owner.put(f"{OWNER}/studies/voices/text", content=sent), 400)


def test_what_is_too_large_is_not_read(taken: Lab) -> None:
    before = taken.ask("GET", "studies/voices")
    refused = taken.owner.put(f"{OWNER}/studies/voices/text", content=b" " * (MAX_BODY + 1))
    assert is_error(refused, 413)
    assert taken.ask("GET", "studies/voices") == before


# -- writing


@pytest.mark.parametrize("key", TEMPLATES)
def test_a_template_makes_a_study_without_a_problem(lab: Lab, key: str) -> None:
    lab.hub.cards["speakers"] = card("speakers", "Another", ("guitar", "vocals"))
    models = ["vocals", "speakers"]
    body = {"from": "template", "template": key, "name": key, "title": "A test", "items": ["swell"], "models": models}
    assert lab.ask("POST", "studies", 201, json=body) == {"name": key}
    study = lab.ask("GET", f"studies/{key}")
    assert study["problems"] == [] and study["title"] == "A test" and study["state"] == "draft"
    assert [one["name"] for one in study["files"]] == ["swell-mixture.flac", "swell-part.flac"] and not study["absent"]
    assert [one["source"] for one in study["study"]["items"]] == ["vocals"], "what both models give"
    assert [field["name"] for page in study["study"]["pages"] for field in page["fields"]] == ["training"]
    assert lab.ask("GET", f"studies/{key}/try")["plan_error"] is None
    again = lab.owner.post(f"{OWNER}/studies", json=body)
    assert is_error(again, 422) and "one of that name" in again.json()["found"]


def test_what_a_template_needs(lab: Lab) -> None:
    body = {"from": "template", "template": "ab", "name": "x", "title": "X", "items": [], "models": ["vocals"]}
    assert is_error(lab.owner.post(f"{OWNER}/studies", json=body), 422)
    assert is_error(lab.owner.post(f"{OWNER}/studies", json={**body, "items": ["swell"], "template": "z"}), 422)
    assert is_error(lab.owner.post(f"{OWNER}/studies", json={**body, "items": ["swell"], "name": "../x"}), 422)
    assert lab.ask("GET", "studies") == {"studies": []}
    assert not list(lab.desk.folder.glob("*"))


def test_recordings_and_models_of_a_template_fit_together(lab: Lab) -> None:
    example(lab.folder / "examples" / "band", "A band", "vocals", 2, 6.0)  # of its true sources none is the model's
    body = {
        "from": "template",
        "template": "mushra",
        "name": "x",
        "title": "X",
        "items": ["swell"],
        "models": ["vocals"],
    }
    refused = lab.owner.post(f"{OWNER}/studies", json={**body, "models": ["vocals", "speakers"]})
    assert is_error(refused, 422) and "Voice & music: vocals, accompaniment" in refused.json()["found"]
    refused = lab.owner.post(f"{OWNER}/studies", json={**body, "items": ["swell", "band"]})
    assert is_error(refused, 422) and "“A band” has no true vocals" in refused.json()["found"]
    needs = {one["key"]: one["target"] for one in lab.ask("GET", "study-choices")["templates"]}
    assert needs["mushra"] and not needs["ab"]
    lab.ask("POST", "studies", 201, json={**body, "items": ["swell", "band"], "template": "ab"})
    assert lab.ask("GET", "studies/x")["problems"] == []


def test_form_and_text_say_the_same(lab: Lab) -> None:
    lab.write()
    study = lab.ask("GET", "studies/voices")
    assert study["text"] == TEXT and study["problems"] == []
    form = {**study["study"], "contact": "a@b.example"}
    answer = lab.ask("PUT", "studies/voices/form", json={"study": form, "was": study["was"]})
    assert answer["study"] == form and "contact: a@b.example" in answer["text"]
    again = lab.ask("PUT", "studies/voices/text", json={"text": answer["text"], "was": answer["was"]})
    assert again["study"] == form and again["was"] == answer["was"]
    assert (lab.desk.folder / "voices" / "study.yaml").read_text(encoding="utf-8") == answer["text"]


def test_two_tabs_do_not_overwrite_each_other(lab: Lab) -> None:
    lab.write()
    was = lab.ask("GET", "studies/voices")["was"]
    lab.ask("PUT", "studies/voices/text", json={"text": f"{TEXT}# mine\n", "was": was})
    late = lab.owner.put(f"{OWNER}/studies/voices/text", json={"text": f"{TEXT}# theirs\n", "was": was})
    assert is_error(late, 409)
    assert lab.ask("GET", "studies/voices")["text"].endswith("# mine\n")


def test_problems_are_told_at_their_lines_and_the_text_is_kept(lab: Lab) -> None:
    lab.write()
    was = lab.ask("GET", "studies/voices")["was"]
    wrong = TEXT.replace("kind: scale", "kind: scael")
    answer = lab.ask("PUT", "studies/voices/text", json={"text": wrong, "was": was})
    line = next(i for i, each in enumerate(wrong.splitlines(), 1) if "scael" in each)
    assert [(one["line"], one["field"]) for one in answer["problems"]] == [(line, "questions.0.kind")]
    assert answer["study"] is None and lab.ask("GET", "studies/voices")["text"] == wrong
    assert lab.ask("GET", "studies/voices/try")["missing"] == ["The text has 1 problem: mend them."]
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/build"), 422)
    renamed = TEXT.replace("name: voices", "name: other")
    (problem,) = lab.ask("PUT", "studies/voices/text", json={"text": renamed, "was": answer["was"]})["problems"]
    assert problem["line"] == 2 and "voices" in problem["found"]


def test_a_form_that_cannot_be_is_told_at_its_fields(lab: Lab) -> None:
    lab.write()
    study = lab.ask("GET", "studies/voices")
    form = study["study"]
    form["items"][1]["id"] = "Not an id"
    answer = lab.ask("PUT", "studies/voices/form", json={"study": form, "was": study["was"]})
    assert "items.1.id" in [one["field"] for one in answer["problems"]]
    form["items"][1]["id"] = "talk"
    mended = lab.ask("PUT", "studies/voices/form", json={"study": form, "was": answer["was"]})
    assert mended["problems"] == [] and mended["study"] == study["study"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../secret.wav", "files/../../x.wav", "C:/x.wav", "..\\x.wav"])
def test_no_path_in_a_text_leads_out_of_the_study(lab: Lab, path: str) -> None:
    lab.write()
    was = lab.ask("GET", "studies/voices")["was"]
    for old in ("files/mixture-song.wav", "files/first-{item}.wav"):
        text = TEXT.replace(old, f"'{path}'")
        answer = lab.ask("PUT", "studies/voices/text", json={"text": text, "was": was})
        line = next(i for i, each in enumerate(text.splitlines(), 1) if path in each)
        assert {one["line"] for one in answer["problems"]} == {line}
        assert any("not in the study's folder" in one["found"] for one in answer["problems"])
        assert is_error(lab.owner.post(f"{OWNER}/studies/voices/build"), 422)
        was = answer["was"]


def test_one_of_webmushras_loads_as_it_is(lab: Lab) -> None:
    text = (
        "testname: Old test\ntestId: old_test\npages:\n- type: mushra\n  id: trial1\n  reference: configs/ref.wav\n"
        "  createAnchor35: true\n  createAnchor70: true\n  stimuli:\n    C1: configs/c1.wav\n    C2: configs/c2.wav\n"
    )
    name = lab.ask("POST", "studies", 201, json={"from": "text", "text": text, "name": "x"})["name"]
    study = lab.ask("GET", f"studies/{name}")["study"]
    assert study["questions"][0]["kind"] == "mushra" and {one["kind"] for one in study["anchors"]} == {"low_pass"}
    assert study["items"][0]["target"] == "files/ref.wav", "uploads go there by their own names"
    assert [one["files"] for one in study["systems"]] == [{study["items"][0]["id"]: f"files/c{i}.wav"} for i in (1, 2)]


def test_files_of_one_name_in_folders_of_webmushras_get_their_folders_names(lab: Lab) -> None:
    pages = "".join(
        f"- {{type: mushra, id: {item}, reference: {item}/ref.wav, createAnchor35: true, createAnchor70: true, "
        f"stimuli: {{C1: {item}/c1.wav}}}}\n"
        for item in ("a", "b")
    )
    text = f"testname: Old test\ntestId: old_test\npages:\n{pages}"
    name = lab.ask("POST", "studies", 201, json={"from": "text", "text": text, "name": "x"})["name"]
    study = lab.ask("GET", f"studies/{name}")
    assert [one["target"] for one in study["study"]["items"]] == ["files/a-ref.wav", "files/b-ref.wav"]
    assert study["absent"] == [f"files/{one}.wav" for one in ("a-ref", "b-ref", "a-c1", "b-c1")]
    content = wav(lab.folder / "made.wav", sounds()["first-song.wav"])
    added = lab.ask("POST", f"studies/{name}/files", 201, params={"file": "b-ref.wav"}, content=content)
    assert added["absent"] == [f"files/{one}.wav" for one in ("a-ref", "a-c1", "b-c1")]


def test_a_study_that_comes_with_the_app_is_copied(lab: Lab) -> None:
    shipped = lab.folder / "shipped" / "voices"
    shipped.mkdir(parents=True)
    (shipped / "study.yaml").write_text(TEXT, encoding="utf-8")
    assert lab.ask("GET", "study-choices")["shipped"] == [{"name": "voices", "title": "Voices"}]
    names = [lab.ask("POST", "studies", 201, json={"from": "example", "example": "voices"})["name"] for _ in range(2)]
    assert names == ["voices", "voices-2"]
    assert lab.ask("GET", "studies/voices-2")["problems"] == []
    assert is_error(lab.owner.post(f"{OWNER}/studies", json={"from": "example", "example": "../data"}), 404)


# -- audio


@pytest.mark.parametrize(
    "name", ["../../evil.wav", "..%2F..%2Fevil.wav", "/etc/evil.wav", ".hidden.wav", "a\\b.wav", "x" * 290]
)
def test_an_upload_stays_in_its_folder(lab: Lab, name: str) -> None:
    lab.ask("POST", "studies", 201, json={"from": "text", "text": TEXT, "name": "voices"})
    before = {path for path in lab.folder.rglob("*") if path.is_file()}
    content = wav(lab.folder / "made.wav", sounds()["first-song.wav"])
    (file,) = lab.ask("POST", "studies/voices/files", 201, params={"file": name}, content=content)["files"]
    folder = lab.desk.folder / "voices" / "files"
    new = {path for path in lab.folder.rglob("*") if path.is_file()} - before - {lab.folder / "made.wav"}
    assert new == {folder / file["name"]} and file["seconds"] == 1.0
    assert lab.ask("DELETE", f"studies/voices/files/{quote(file['name'])}")["files"] == []


def test_what_is_no_audio_leaves_nothing(lab: Lab) -> None:
    lab.ask("POST", "studies", 201, json={"from": "text", "text": TEXT, "name": "voices"})
    refused = lab.owner.post(f"{OWNER}/studies/voices/files?file=a.wav", content=b"<script>alert(1)</script>")
    assert is_error(refused, 422)
    too_large = {"Content-Length": str(LARGEST + 1)}
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/files?file=a.wav", content=b"x", headers=too_large), 413)
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/files", content=b"x"), 400)
    assert lab.ask("GET", "studies/voices")["files"] == []
    assert [path.name for path in (lab.desk.folder / "voices").rglob("*") if path.is_file()] == ["study.yaml"]
    assert is_error(lab.owner.delete(f"{OWNER}/studies/voices/files/study.yaml"), 404)


# -- trying and launching


def test_from_a_text_to_an_open_study(lab: Lab) -> None:
    lab.write()
    start = lab.ask("GET", "studies/voices/try")
    assert start["built"] == "none" and start["missing"] == ["Build the audio."]
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/launch", json={"was": start["was"]}), 422)
    assert is_error(lab.owner.get(f"{OWNER}/studies/voices/preview?page=0"), 422)
    ready = lab.build()
    assert ready["tasks"]["build"]["status"] == "done" and ready["audio"]["items"] == 2 and ready["missing"] == []
    assert ready["plan"]["listeners"] == 4 and ready["pages"][0]["title"] == "1. Consent" and ready["matched"]
    assert ["No dry run was done" in one for one in ready["doubts"]] == [True], (
        "a launch is not kept from, but warned of"
    )
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/launch", json={"was": "another"}), 422)
    assert lab.ask("POST", "studies/voices/launch", json={"was": ready["was"]})["state"] == "open"
    assert lab.stranger.get("/listen/voices").status_code == 200

    was = ready["was"]  # from now on it stays as it is
    changes = (
        ("PUT", "text", {"text": "x", "was": was}),
        ("PUT", "form", {"study": {}, "was": was}),
        ("POST", "build", {}),
    )
    for method, path, body in changes:
        assert is_error(lab.owner.request(method, f"{OWNER}/studies/voices/{path}", json=body), 422), path
    assert lab.owner.post(f"{OWNER}/studies/voices/files?file=a.wav", content=b"x").status_code == 422
    assert is_error(lab.owner.delete(f"{OWNER}/studies/voices/files/first-song.wav"), 422)
    assert is_error(lab.owner.delete(f"{OWNER}/studies/voices"), 422)
    assert lab.ask("GET", "studies/voices")["text"] == TEXT and lab.ask("GET", "studies/voices")["locked"]

    copy = lab.ask("POST", "studies", 201, json={"from": "copy", "of": "voices"})["name"]
    copied = lab.ask("GET", f"studies/{copy}")
    assert copy == "voices-2" and not copied["locked"] and len(copied["files"]) == 8
    assert {path.name for path in (lab.desk.folder / copy).iterdir()} == {"study.yaml", "files"}
    lab.ask("DELETE", f"studies/{copy}")
    assert [one["name"] for one in lab.ask("GET", "studies")["studies"]] == ["voices"]


def test_the_dry_run_tells_whether_the_truth_is_found(lab: Lab) -> None:
    lab.write(TEXT.replace("listeners: 4", "listeners: 12"))
    lab.ask("POST", "studies/voices/dry-run", 202, json={})
    task = lab.done()["tasks"]["dry-run"]
    assert task["status"] == "done", task["error"]
    result = task["result"]
    assert sum(result["listeners"].values()) == 12 and result["verdicts"]
    told = lab.ask("GET", "studies/voices/try")
    assert told["doubts"] == ([] if result["ok"] else ["In the dry run the report did not recover the truth."])
    lab.ask("PUT", "studies/voices/text", json={"text": f"{TEXT}# changed\n", "was": told["was"]})
    assert lab.ask("GET", "studies/voices/try")["doubts"] == ["The study was changed since its dry run."]
    assert {(one["a"], one["b"]) for one in result["recovered"]} >= {("first", "second")}


def test_a_preview_is_the_listeners_page_and_leaves_no_trace(lab: Lab) -> None:
    lab.write()
    pages = lab.build()["pages"]
    kinds = []
    for place in range(len(pages)):
        response = lab.owner.get(f"{OWNER}/studies/voices/preview?page={place}", follow_redirects=False)
        assert response.status_code == 303
        address = response.headers["location"].replace("../../", f"{OWNER}/")
        page = lab.owner.get(address)
        assert page.status_code == 200 and "listen.js" in page.text
        assert lab.stranger.get(address).status_code == 401
        base, session = re.fullmatch(r"(.*/listen)/voices\?s=(.*)", address).groups()  # type: ignore[union-attr]
        told = lab.owner.get(f"{base}/s/{session}").json()["page"]
        kinds.append(told["kind"])
        if told["stimuli"]:
            sound = lab.owner.get(f"{base}/s/{session}/audio/{told['stimuli'][0]['token']}.pcm")
            assert len(sound.content) == 2 * told["audio"]["length"]
    assert kinds == ["consent", "trial", "trial", "end"]
    assert lab.store.count()["trials"] == 0
    with pytest.raises(UnknownTrial):
        lab.studies.sessions.study("voices")
    assert is_error(lab.owner.get(f"{OWNER}/studies/voices/preview?page=4"), 400)
    assert is_error(lab.owner.get(f"{OWNER}/studies/voices/preview?page=x"), 400)
    assert is_error(lab.owner.get(f"{OWNER}/preview/abcdefghijklmnopqrstuv/listen/voices"), 404)
    answers = take(lab.owner, "voices", 1, base=f"{base}")
    assert answers["kind"] in ("full", "end")


def test_pause_extend_and_close(lab: Lab) -> None:
    lab.write()
    lab.launch()
    assert lab.ask("POST", "studies/voices/turn", json={"state": "paused"})["state"] == "paused"
    assert take(lab.stranger, "voices", 1)["kind"] == "paused"
    assert lab.ask("POST", "studies/voices/turn", json={"state": "open"})["state"] == "open"
    assert take(lab.stranger, "voices", 1)["kind"] == "end"
    assert lab.ask("POST", "studies/voices/extend", json={"listeners": 8})["slots"] == 8
    for bad in (4, 10**9, "8", True, None):
        assert lab.owner.post(f"{OWNER}/studies/voices/extend", json={"listeners": bad}).status_code in (400, 422)
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/turn", json={"state": "deleted"}), 400)
    assert lab.ask("POST", "studies/voices/turn", json={"state": "closed"})["state"] == "closed"
    live = lab.ask("GET", "studies/voices/live")
    assert live["state"] == "closed" and live["listeners"]["planned"] == 8


# -- what was said


def test_who_is_where(taken: Lab) -> None:
    live = taken.ask("GET", "studies/voices/live")
    assert live["listeners"]["done"] == 3 and live["listeners"]["planned"] == 4 and live["listeners"]["free"] == 0
    assert [one["state"] for one in live["sessions"]] == ["active", "finished", "finished", "finished"]
    assert live["sessions"][0]["page"] == 2 and live["sessions"][0]["panel"] == "listener-3"
    excluded = taken.ask("GET", "studies/voices/results")["analysis"]["screening"]["excluded"]
    assert {one["name"] for one in live["sessions"]} == {name[:10] for name in excluded}, "called alike on both pages"
    (counts,) = live["counts"]
    assert counts["title"] == "How good is it?"
    assert {one["label"]: one["ratings"] for one in counts["conditions"]} == {
        "The first": 7,
        "The second": 7,
        "reference": 7,
    }
    assert {one["planned"] for one in counts["conditions"]} == {8}, "two recordings, four places"
    assert live["screened"]["listeners"] == 4


def test_results_with_and_without_each_rule(taken: Lab) -> None:
    own = taken.ask("GET", "studies/voices/results")
    assert {one["name"] for one in own["rules"] if one["on"]} == {"too_fast"} and len(own["rules"]) == len(RULES)
    assert own["analysis"]["kept"] == 0, "they took no time at all"
    alone = {one["name"]: one["alone"] for one in own["rules"]}
    assert alone["too_fast"] == 4 and alone["never_played"] == 0
    lacking = {one["name"] for one in own["rules"] if not one["applies"]}
    assert lacking >= {"gold", "traps", "headphones", "jnd", "retest"} and "too_fast" not in lacking
    free = taken.ask("GET", "studies/voices/results?rules=")
    assert free["analysis"]["kept"] == 4 and free["analysis"]["screening"]["excluded"] == {}
    (judged,) = free["analysis"]["questions"]
    assert {line["label"] for line in judged["lines"]} >= {"The first", "The second"} and judged["answers"] == 21
    assert is_error(taken.owner.get(f"{OWNER}/studies/voices/results?rules=nonsense"), 400)
    assert is_error(taken.owner.get(f"{OWNER}/studies/voices/results?rules={'a' * 500}"), 400)


def test_figures_for_the_page_and_for_print(taken: Lab) -> None:
    about = "question=opinion&attribute=overall&rules="
    kinds = taken.ask("GET", "studies/voices/results?rules=")["figures"]["opinion.overall"]
    assert set(kinds) >= {"box", "violin", "interval", "forest"}
    for kind in kinds:
        figure = taken.ask("GET", f"studies/voices/figures/{kind}.json?{about}")
        assert figure["data"] and figure["rows"]
    svg = taken.owner.get(f"{OWNER}/studies/voices/figures/box.svg?{about}")
    assert (
        svg.headers["content-type"].startswith("image/svg+xml") and "attachment" in svg.headers["content-disposition"]
    )
    for path in (f"pie.json?{about}", f"box.exe?{about}", "box.json?question=none&attribute=overall&rules="):
        assert is_error(taken.owner.get(f"{OWNER}/studies/voices/figures/{path}"), 404)


def test_reports(taken: Lab) -> None:
    page = taken.owner.get(f"{OWNER}/studies/voices/report.html?rules=")
    assert page.text.startswith("<!doctype html>") and "The first" in page.text
    assert "script" not in page.headers["content-security-policy"] and "content-disposition" not in page.headers
    text = taken.owner.get(f"{OWNER}/studies/voices/report.md?rules=&download=1")
    assert "The first" in text.text and "attachment" in text.headers["content-disposition"]
    assert is_error(taken.owner.get(f"{OWNER}/studies/voices/report.exe"), 404)


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_can_be_fetched_and_is_gone(taken: Lab, format: str) -> None:
    formats = {one["name"]: one["lacks"] for one in taken.ask("GET", "studies/voices/results")["formats"]}
    response = taken.owner.get(f"{OWNER}/studies/voices/export?format={format}")
    assert (response.status_code == 200) == (formats[format] == ""), "the page knows which cannot be fetched"
    exports = taken.services.settings.exports
    assert not [path for path in exports.rglob("*") if path.is_file()]
    if response.status_code == 422:  # a format may not be able to say what this study asks
        assert set(response.json()) == {"asked", "found", "advice"}
        return
    assert response.status_code == 200 and "attachment" in response.headers["content-disposition"]
    if ".zip" in response.headers["content-disposition"]:
        assert zipfile.ZipFile(io.BytesIO(response.content)).namelist()
    if format == "events":
        assert all(json.loads(line)["study"] == "voices" for line in response.text.splitlines())


def test_an_export_that_is_none(taken: Lab) -> None:
    assert is_error(taken.owner.get(f"{OWNER}/studies/voices/export?format=../x"), 400)
    assert is_error(taken.owner.get(f"{OWNER}/studies/voices/export"), 400)


def test_metrics_beside_the_answers(lab: Lab) -> None:
    lab.write()
    assert is_error(lab.owner.post(f"{OWNER}/studies/voices/metrics"), 422)
    lab.launch()
    take(lab.stranger, "voices", 1)
    assert lab.ask("GET", "studies/voices/results?rules=")["measured"] == []
    lab.ask("POST", "studies/voices/metrics", 202, json={})
    task = lab.done()["tasks"]["metrics"]
    assert task["status"] == "done" and task["result"] == {"sounds": 4}, task["error"]
    found = lab.ask("GET", "studies/voices/results?rules=")
    assert "si_sdr" in found["measured"] and "bss_eval_v4.SDR" in found["measured"]
    (judged,) = found["analysis"]["questions"]
    assert {one["cells"] for one in judged["correlations"] if one["metric"] == "si_sdr"} == {4}
    whole, seconds = read_metrics(lab.desk.path("voices"), lab.findings.said("voices").opened.prepared)
    assert whole["si_sdr"]["song", "first"] > whole["si_sdr"]["song", "second"] + 6, "it holds a quarter of the rest"
    assert seconds["song", "first"]["si_sdr"][0][:2] == (0.0, 1.0)


def test_before_the_launch_there_is_nothing_to_see(lab: Lab) -> None:
    lab.write()
    for path in ("live", "results", "report.html", "export?format=csv"):
        assert is_error(lab.owner.get(f"{OWNER}/studies/voices/{path}"), 404)


# -- planning


def test_twenty_listeners_see_about_ten_points(taken: Lab) -> None:
    found = taken.ask("GET", "study-power?listeners=20&sd=15&difference=10")
    assert found["smallest_80"] == pytest.approx(10, abs=0.5) and found["needed_80"] == 20 and found["needed_90"] == 26
    assert {one["difference"]: one["needed_80"] for one in found["table"]}[5] == 73
    for bad in (
        "listeners=1&sd=15&difference=10",
        "listeners=20&sd=0&difference=10",
        "listeners=20&sd=nan&difference=10",
        "",
    ):
        assert is_error(taken.owner.get(f"{OWNER}/study-power?{bad}"), 400)


# -- the page's words


def words_in(name: str, start: str) -> set[str]:
    """The keys of an object in one of the page's modules."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    body = text[text.index(start) :]
    return set(re.findall(r"^  (\w+):", body[: body.index("};")], re.MULTILINE))


def test_the_page_knows_every_word_of_a_study() -> None:
    assert words_in("shared.js", "const KINDS") == set(KINDS)
    assert words_in("shared.js", "const PAGES") == set(Page.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]
    assert words_in("form.js", "const ANCHORS") == set(Anchor.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]
    assert f"const FEWEST = {FEWEST};" in (FOLDER / "results.js").read_text(encoding="utf-8")
    assert words_in("form.js", "const DESIGNS") == set(Assignment.model_fields["design"].annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize("part", [System, Anchor, Item, Page, Question, Assignment])
def test_the_form_leaves_no_field_of_a_study_out(part: Any) -> None:
    text = (FOLDER / "form.js").read_text(encoding="utf-8")
    assert {name for name in part.model_fields if not re.search(rf"\b{name}\b", text)} == set()


def test_listeners_routes_are_those_of_the_preview(lab: Lab) -> None:
    """A listener's page that were served in another way would be no preview."""
    lab.write()
    lab.build()
    lab.previews.open("voices", 0)
    (look,) = lab.previews._looks.values()
    assert {route.path for route in look.app.routes} == {  # type: ignore[attr-defined]
        route.path
        for route in listen_routes(None, None)  # type: ignore[arg-type]
    }
    client = TestClient(lab.app, headers=BEARER)
    assert client.get(f"{OWNER}/preview/nothing").status_code == 404
