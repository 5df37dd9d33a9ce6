"""The listener's routes: what they answer, what they refuse, and that nothing in an answer tells a listener what is what."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import CliRunner

from separation.cli import app as cli
from separation.cli import main
from separation.errors import DiskFull, StudyError
from separation.ratings import Store
from separation.ratings import sessions as ratings_sessions
from separation.settings import Settings
from separation.ui import listen_routes as module
from separation.ui import study_server
from separation.ui.listen_files import FILES
from separation.ui.listen_routes import listen_routes, open_listening
from separation.ui.study_server import ready_study, study_app
from tests.listening.small_study import House, events_of, gold, small_study, write_study

STUDY = "small-ears"
MOST_SESSIONS = 20


class Site:
    """An installation with one study and a browser."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.house = House(folder, small_study(**more), listeners=MOST_SESSIONS)
        self.seconds = 0.0
        routes = listen_routes(self.house.listening, self.house.studies, clock=lambda: self.seconds)
        self.client = TestClient(Starlette(routes=routes), follow_redirects=False)

    def begin(self, **sent: Any) -> tuple[str, dict[str, Any]]:
        answer = self.client.post(f"/listen/{STUDY}/session", json=sent)
        assert answer.status_code == 200, answer.text
        return answer.json()["session"], answer.json()["page"]

    def said(self, session: str, page: dict[str, Any]) -> None:
        if events := events_of(page):
            answer = self.client.post(f"/listen/s/{session}/events", json={"page": page["token"], "events": events})
            assert answer.status_code == 200 and set(answer.json()["events"]) <= {"saved", "known"}, answer.text

    def next(self, session: str, page: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(f"/listen/s/{session}/next", json={"page": page["token"]})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["page"])

    def to(self, kind: str, **sent: Any) -> tuple[str, dict[str, Any]]:
        session, page = self.begin(**sent)
        while page["kind"] != kind:
            self.said(session, page)
            page = self.next(session, page)
        return session, page


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.house.store.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str, dict[str, Any]]]:
    """A session on a trial page, for tests that change nothing."""
    made = Site(tmp_path_factory.mktemp("standing"))
    yield made, *made.to("trial")
    made.house.store.close()


Standing = tuple[Site, str, dict[str, Any]]


def test_a_whole_test_over_http(site: Site) -> None:
    answer = site.client.post(f"/listen/{STUDY}/session", json={"pid": "P1", "device": {"rate": 48000}}).json()
    session = answer["session"]
    assert answer["link"] == f"listen/{STUDY}?s={session}"
    assert site.client.get(f"/listen/s/{session}").json()["page"] == answer["page"]
    session, page = site.to("end", pid="P1")
    assert page["code"] == "CODE-OF-ALL-CODES"
    state = site.client.get(f"/listen/s/{session}").json()["state"]
    assert state == {"state": "finished", "place": 14, "of": 14, "study": STUDY, "language": "en"}
    (one,) = site.house.studies.sessions.all(STUDY)
    assert one.pid == "P1" and one.device == {"rate": 48000} and one.state == "finished"


def test_the_pages_and_their_files(site: Site) -> None:
    page = site.client.get(f"/listen/{STUDY}")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    index = site.client.get("/listen").text
    assert "Small ears" in index and re.search(r"about \d+ min", index)
    for name in FILES:
        assert site.client.get(f"/listen/-/{name}").status_code == 200
    for name in ("nothing.js", "..%2Fserver.py", "%2e%2e%2fanswers.py"):
        assert site.client.get(f"/listen/-/{name}").status_code == 404
    assert site.client.get("/listen/another-study").status_code == 404
    site.house.studies.pause(STUDY)
    assert "Small ears" not in site.client.get("/listen").text


@pytest.mark.parametrize(
    ("query", "pid"),
    [
        ("PROLIFIC_PID=5f1&STUDY_ID=a&SESSION_ID=b", "5f1"),
        ("workerId=A1B&assignmentId=x&hitId=y", "A1B"),
        ("PROLIFIC_PID=a%26b+c", "a%26b+c"),
    ],
)
def test_addresses_of_panels_are_understood(standing: Standing, query: str, pid: str) -> None:
    site, _, _ = standing
    answer = site.client.get(f"/listen/{STUDY}?{query}")
    assert answer.status_code == 303 and answer.headers["location"] == f"{STUDY}?pid={pid}"
    assert site.client.get(f"/listen/{STUDY}?pid={pid}").status_code == 200


def test_who_only_looks_at_a_task_takes_no_slot(site: Site) -> None:
    answer = site.client.get(f"/listen/{STUDY}?workerId=A1&assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
    assert answer.status_code == 200 and "Accept the task" in answer.text
    assert site.house.studies.sessions.all(STUDY) == []


def test_what_is_missing_is_named(site: Site) -> None:
    session, page = site.to("trial")
    answer = site.client.post(f"/listen/s/{session}/next", json={"page": page["token"]})
    assert answer.status_code == 422 and set(answer.json()) == {"asked", "found", "advice", "missing", "why"}
    sounds = [each["token"] for each in page["stimuli"]]
    assert answer.json()["missing"] == sorted(f"{what} {sound}" for what in ("overall", "play") for sound in sounds)


def test_events_are_saved_once_and_refused_after_the_page(site: Site) -> None:
    session, page = site.to("trial")
    body = {"page": page["token"], "events": events_of(page)}
    first, second = (site.client.post(f"/listen/s/{session}/events", json=body).json() for _ in range(2))
    assert set(first["events"]) == {"saved"} and set(second["events"]) == {"known"}
    again = site.next(session, page)
    assert site.next(session, page) == again, "another tab clicks too"
    assert set(site.client.post(f"/listen/s/{session}/events", json=body).json()["events"]) == {"known"}
    late = {"page": page["token"], "events": [{**body["events"][-1], "id": "late-event"}]}
    refused = site.client.post(f"/listen/s/{session}/events", json=late)
    assert refused.status_code == 409 and "finished before" in refused.json()["found"]


def test_sounds_come_whole_and_in_ranges(site: Site) -> None:
    session, page = site.to("trial")
    address = f"/listen/s/{session}/audio/{page['stimuli'][0]['token']}.pcm"
    whole = site.client.get(address)
    assert whole.status_code == 200 and len(whole.content) == 2 * page["audio"]["length"]
    part = site.client.get(address, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert site.client.get(address, headers={"Range": "bytes=999999-"}).status_code == 416
    assert np.frombuffer(whole.content, "<i2").any()
    for token in ("x" * 16, page["token"], "..%2Fprepared"):
        assert site.client.get(f"/listen/s/{session}/audio/{token}.pcm").status_code == 404


def test_withdrawal(site: Site) -> None:
    session, page = site.to("trial", pid="P1")
    answer = site.client.post(f"/listen/s/{session}/withdraw", json={})
    assert answer.status_code == 200 and answer.json() == {"deleted": page["index"] + 1}
    assert site.client.get(f"/listen/s/{session}").json()["page"]["kind"] == "withdrawn"
    assert site.house.store.count("study")["events"] == 0


def test_a_full_study_answers_with_a_page(site: Site) -> None:
    for _ in range(MOST_SESSIONS):
        site.begin()
    answer = site.client.post(f"/listen/{STUDY}/session", json={}).json()
    assert (answer["session"], answer["link"], answer["page"]["kind"]) == (None, None, "full")


# Nothing is told


def secrets_of(site: Site) -> set[str]:
    """Everything that no listener may see."""
    study, prepared, plan = site.house.study, site.house.opened.prepared, site.house.opened.plan
    words = {"91.5", "13.25", "7.75", "-1.2345", "-23.4567", "3999.5", "wavebox", "maskoff", "gold", "expected"}
    words |= {one.id for one in (*study.systems, *study.anchors, *study.items, *study.questions)}
    words |= {word for one in study.systems for word in (one.label, one.model) if word}
    words |= {word for item in study.items for word in (item.mixture, item.target, item.source, item.group)}
    words |= {word for one in prepared.stimuli for word in (one.audio, one.sha256)}
    words |= {*prepared.versions.values(), prepared.hash, str(site.house.home), "prepared", "study.yaml", ".wav"}
    words |= {f'"{planned.id}"' for planned in plan.slots[0].trials} | {"repeat_of", "condition", "gain", "antiphase"}
    return words


class Watcher:
    """Asks like a listener and keeps everything that comes back."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.texts: list[str] = []

    def ask(self, method: str, address: str, **more: Any) -> Any:
        answer = self.site.client.request(method, address, **more)
        body = "" if address.endswith(".pcm") and answer.status_code in (200, 206) else answer.text
        head = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.texts.append(f"{address}\n{head}\n{body}".casefold())
        return answer

    def sounds(self, session: str, page: dict[str, Any]) -> None:
        """The sounds of a page: equally many bytes, and the same headers."""
        tokens = [each["token"] for each in (*page["stimuli"], *page["references"])]
        answers = [self.ask("GET", f"/listen/s/{session}/audio/{token}.pcm") for token in tokens]
        assert len({len(answer.content) for answer in answers}) <= 1
        heads = [{name: value for name, value in answer.headers.items() if name != "date"} for answer in answers]
        assert all(head == heads[0] for head in heads)
        assert not any({"etag", "last-modified", "content-disposition"} & set(head) for head in heads)
        assert all(head["cache-control"] == "private, no-store" for head in heads)


def test_no_answer_tells_a_listener_what_is_what(tmp_path: Path) -> None:
    site = Site(tmp_path, gold=(gold(),))
    watcher = Watcher(site)
    watcher.ask("GET", "/listen")
    watcher.ask("GET", f"/listen/{STUDY}")
    begun = watcher.ask("POST", f"/listen/{STUDY}/session", json={"pid": "P1"}).json()
    session, page = begun["session"], begun["page"]
    shapes: set[str] = set()
    before_the_end = 0
    while page["kind"] != "end":
        before_the_end = len(watcher.texts)
        watcher.ask("GET", f"/listen/s/{session}")
        watcher.ask("POST", f"/listen/s/{session}/next", json={"page": page["token"]}) if page["fields"] else None
        watcher.sounds(session, page)
        if page["kind"] == "trial" and page["layout"] == "mushra":
            size = len(json.dumps({**page, "index": 0}))
            shapes.add(json.dumps([sorted(page), page["rules"], page["title"], len(page["stimuli"]), size]))
        wrong = {"page": page["token"], "events": [{"id": "wrong-0001", "made": 1, "payload": {"kind": "finished"}}]}
        watcher.ask("POST", f"/listen/s/{session}/events", json=wrong)
        if events := events_of(page):
            watcher.ask("POST", f"/listen/s/{session}/events", json={"page": page["token"], "events": events})
        page = watcher.ask("POST", f"/listen/s/{session}/next", json={"page": page["token"]}).json()["page"]
    assert len(shapes) == 1, "a trial whose answer is known looks like the others"
    assert any(planned.purpose == "gold" for planned in site.house.opened.plan.slots[0].trials)
    watcher.ask("POST", f"/listen/s/{session}/withdraw", json={})
    for secret in secrets_of(site):
        told = [text for text in watcher.texts if secret.casefold() in text]
        assert told == [], f"{secret} was told"
    assert not any("code-of-all-codes" in text for text in watcher.texts[:before_the_end])
    site.house.store.close()


def test_what_is_wrong_with_the_files_of_a_study_is_not_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    session, _ = site.to("trial")
    (site.house.home / "prepared.json").write_text("{}", encoding="utf-8")
    answer = site.client.get(f"/listen/s/{session}")
    assert answer.status_code == 503 and "prepared" not in answer.text and "prepared.json" in caplog.text
    assert "Small ears" not in site.client.get("/listen").text


# Hostile clients


@pytest.mark.parametrize("token", ["x", "x" * 65, "a b" * 8, "%00" * 20, "..%2F" * 6, "é" * 20])
def test_odd_tokens_lead_nowhere(standing: Standing, token: str) -> None:
    site, _, _ = standing
    assert site.client.get(f"/listen/s/{token}").status_code == 404
    assert site.client.post(f"/listen/s/{token}/next", json={"page": "x"}).status_code in (404, 405)


BAD_BODIES: list[bytes] = [
    b"{", b"[]", b"null", b'"text"', b"[" * 5000, b'{"page": 3, "events": []}', b'{"page": "x"}', b"\xff\xfe",
    b'{"page": "x", "events": {}}', b'{"page": "x", "events": [], "more": 1}', b'{"page": "x", "events": []}',
    json.dumps({"page": "x", "events": [{}] * 201}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:30]))
def test_bodies_that_are_none_are_refused(standing: Standing, body: bytes) -> None:
    site, session, _ = standing
    assert site.client.post(f"/listen/s/{session}/events", content=body).status_code == 400


@pytest.mark.parametrize(
    "payload",
    [
        {"kind": "given", "field": "overall", "of": "TOKEN", "value": "NaN"},
        {"kind": "given", "field": "overall", "of": "TOKEN", "value": [[[[[[[[[[1]]]]]]]]]]},
        {"kind": "given", "field": "", "value": 1},
        {"kind": "given", "field": "overall", "of": {"a": 1}, "value": 1},
        {"kind": "given", "field": "overall", "value": "\ud800"},
        {"kind": "given", "field": "\ud800", "value": 1},
        {"kind": "did", "what": "DROP TABLE trials"},
        {"kind": "did", "what": "heard", "at": -1},
        {"kind": "did", "what": "heard", "detail": {"a": [1]}},
        {"kind": "did", "what": "heard", "detail": {"\udfff": "\ud800"}},
        {"kind": "did", "what": "heard", "detail": {str(number): 1 for number in range(33)}},
        {"kind": "finished"},
        {"kind": "comment", "text": "x"},
        {"kind": "unheard of"},
        [],
    ],
)
def test_events_that_are_none_are_refused(standing: Standing, payload: Any) -> None:
    site, session, page = standing
    text = json.dumps({"page": page["token"], "events": [{"id": "event-0001", "made": 1, "payload": payload}]})
    text = text.replace("TOKEN", page["stimuli"][0]["token"]).replace('"NaN"', "NaN")
    answer = site.client.post(f"/listen/s/{session}/events", content=text.encode())
    assert answer.status_code == 422 and set(answer.json()) == {"asked", "found", "advice"}
    assert site.house.store.events(page["token"]) == []


def test_values_of_another_kind_are_no_answer(site: Site) -> None:
    session, page = site.to("trial")
    events = events_of(page)
    for event in events:
        if event["payload"]["kind"] == "given":
            event["payload"]["value"] = {"a": ["text", True]}
    body = {"page": page["token"], "events": events}
    assert site.client.post(f"/listen/s/{session}/events", json=body).status_code == 200
    assert site.client.post(f"/listen/s/{session}/next", json={"page": page["token"]}).status_code == 422


def test_seconds_of_listening_that_are_none_do_no_harm(site: Site) -> None:
    session, page = site.to("trial")
    events = events_of(page)
    odd: list[Any] = ["many", None, True, -5, 10**400]
    for event, seconds in zip(events, odd, strict=False):
        event["payload"]["detail"] = {"seconds": seconds}
    body = {"page": page["token"], "events": events}
    answer = site.client.post(f"/listen/s/{session}/events", json=body)
    assert answer.status_code == 200 and site.next(session, page)["index"] == page["index"] + 1


def test_a_body_that_is_too_large_is_not_read(standing: Standing) -> None:
    site, session, _ = standing
    answer = site.client.post(f"/listen/s/{session}/events", content=b" " * (module.MAX_BODY + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("headers", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_other_sites_change_nothing(site: Site, headers: dict[str, str]) -> None:
    session, page = site.begin()
    for address, body in (
        (f"/listen/{STUDY}/session", {}),
        (f"/listen/s/{session}/events", {"page": page["token"], "events": events_of(page)}),
        (f"/listen/s/{session}/next", {"page": page["token"]}),
        (f"/listen/s/{session}/withdraw", {}),
    ):
        assert site.client.post(address, json=body, headers=headers).status_code == 403
    assert len(site.house.studies.sessions.all(STUDY)) == 1


@pytest.mark.parametrize(
    "sent",
    [{"pid": 3}, {"pid": "a\nb"}, {"pid": "x" * 201}, {"s": 5}, {"device": []}, {"more": 1}, {"language": {}}],
)
def test_odd_beginnings_are_refused(standing: Standing, sent: dict[str, Any]) -> None:
    site, _, _ = standing
    assert site.client.post(f"/listen/{STUDY}/session", json=sent).status_code in (400, 422)
    assert len(site.house.studies.sessions.all(STUDY)) == 1


def test_what_a_browser_says_of_itself_is_cut_to_what_is_plain(site: Site) -> None:
    device = {
        "agent": "x" * 5000,
        "list": [1],
        "rate": 48000,
        "odd": "\ud800",
        "\udfff": 1,
        "huge": 10**400,
        "none": None,
    }
    body = json.dumps({"device": device}).replace("48000", '48000, "nan": NaN')
    assert site.client.post(f"/listen/{STUDY}/session", content=body.encode()).status_code == 200
    (session,) = site.house.studies.sessions.all(STUDY)
    assert session.device == {"agent": "x" * 300, "rate": 48000, "odd": "?", "?": 1}


def test_a_session_of_another_study_or_of_nobody_is_refused(standing: Standing) -> None:
    site, session, _ = standing
    assert site.client.post("/listen/other/session", json={"s": session}).status_code == 404
    assert site.client.post(f"/listen/{STUDY}/session", json={"s": "n" * 22}).status_code == 404
    assert site.client.post(f"/listen/{STUDY}/session", json={"s": "short"}).status_code == 404


# Limits


def test_too_much_waits_and_says_for_how_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    session, page = site.to("trial")
    deeds = [
        {"id": f"deed-{number:05}", "made": number, "payload": {"kind": "did", "what": "move"}} for number in range(200)
    ]
    answers = []
    for first in range(0, 1000, 200):
        some = [{**deed, "id": f"deed-{first + number:05}"} for number, deed in enumerate(deeds)]
        body = {"page": page["token"], "events": some}
        answers.append(site.client.post(f"/listen/s/{session}/events", json=body))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    wait = int(answers[-1].headers["retry-after"])
    site.seconds += wait
    assert site.client.post(f"/listen/s/{session}/events", json=body).status_code == 200


def test_deeds_beyond_what_is_kept_are_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    session, page = site.to("trial")
    monkeypatch.setattr(ratings_sessions, "MOST_DEEDS", 1)
    body = {"page": page["token"], "events": events_of(page)}
    told = site.client.post(f"/listen/s/{session}/events", json=body).json()["events"]
    assert told == ["saved"] + ["full"] * 6 + ["saved"] * 5


def test_a_full_disk_is_said_and_nothing_is_acknowledged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    session, page = site.to("trial")

    def full(*_: object) -> None:
        raise DiskFull("Save a rating", "the disk that holds the ratings is full", "Make room")

    monkeypatch.setattr(site.house.studies.sessions, "save", full)
    body = {"page": page["token"], "events": events_of(page)}
    assert site.client.post(f"/listen/s/{session}/events", json=body).status_code == 507


def test_one_study_alone_serves_no_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    alone = TestClient(study_app(site.house.listening, site.house.studies, "another"), follow_redirects=False)
    assert alone.get("/").headers["location"] == "listen/another"
    assert "Small ears" not in alone.get("/listen").text
    assert alone.get(f"/listen/{STUDY}").status_code == 404
    assert alone.post(f"/listen/{STUDY}/session", json={}).status_code == 404
    alone = TestClient(study_app(site.house.listening, site.house.studies, STUDY))
    assert "Small ears" in alone.get("/listen").text and alone.get("/").status_code == 200
    site.house.store.close()


def test_a_study_that_the_check_refuses_is_launched_only_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path)
    write_study(settings.studies, small_study())
    store = Store(settings.database_url)
    _, studies = open_listening(settings, store)
    with pytest.raises(StudyError, match=r"riverside: It has 0.10 s: too short to loop .* mountaintop: .*--anyway"):
        ready_study(settings, STUDY)
    assert studies.launched(STUDY) is None
    served: list[object] = []
    monkeypatch.setattr(study_server, "serve_app", lambda _, app: served.append(app))
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["earshot", "serve", "--study", STUDY])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2 and not served and studies.launched(STUDY) is None
    assert CliRunner().invoke(cli, ["serve", "--study", STUDY, "--anyway"]).exit_code == 0
    assert len(served) == 1 and studies.launched(STUDY) is not None
    ready_study(settings, STUDY)  # what was launched is served as it is
    store.close()
