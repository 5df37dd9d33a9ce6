"""The routes of the Ratings page: what the owner gets, and that nobody else gets any of it."""

import io
import json
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_trials import NAME, bleeding_job, fill, heard_clips, served
from page_services import SmallHub
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.jobs import JobStore
from separation.engine.workers import Workers
from separation.ratings import ClipFolder, Store, clip_id, parse_event
from separation.ratings.browse import Catalogue
from separation.ratings.export import import_jsonl
from separation.ratings.marks import Records
from separation.settings import Settings
from separation.ui.frame import Services
from separation.ui.lessons import Lessons
from separation.ui.marked import MarkedSeconds
from separation.ui.measuring import Measuring
from separation.ui.owner_access import COOKIE, GUESSES_A_MINUTE
from separation.ui.ratings import MAX_BODY, STATIC, owner_routes
from separation.ui.server import own_routes
from separation.ui.taught import Taught

TOKEN = "the-token-of-the-owner"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWNER = "/earshot/owner"
ID = "ab" * 16

ROUTES = [
    ("GET", "overview"), ("GET", "trials"), ("GET", f"trials/{ID}"), ("DELETE", f"trials/{ID}"),
    ("DELETE", "listeners/somebody"), ("GET", "standings"),
    ("GET", "marks"), ("POST", "marks"), ("POST", "exports"), ("GET", "exports/abcdefghijklmnopqrstuv"), ("GET", f"jobs/{ID}"),
    ("GET", f"jobs/{ID}/full/vocals.pcm"), ("GET", f"jobs/{ID}/full/vocals.peaks"), ("GET", f"jobs/{ID}/full/vocals.levels"),
]  # fmt: skip
"""Everything that needs the token."""


class House:
    """An installation with ratings, and clients of it."""

    def __init__(self, folder: Path, *, count: int = 0, token: str = TOKEN, **settings: Any) -> None:
        self.now = time.time()
        chosen = replace(Settings(data=folder / "data", owner_token=token), **settings)
        jobs, hub = JobStore(chosen.jobs), SmallHub()
        ratings = Store(chosen.database_url, clock=lambda: self.now)
        workers = Workers(jobs, hub.load, devices=("cpu",))
        self.services = Services(chosen, jobs, workers, hub, folder, ratings, ClipFolder(chosen.clips))
        self.jobs = [bleeding_job(jobs, folder, number, 6) for number in range(2)] if count else []
        fill(ratings, self.services.clips, self.jobs, count, self.set_clock)
        self.marked = MarkedSeconds(self.services, Catalogue(ratings, self.services.clips))
        self.app = Starlette(routes=owner_routes(self.services, self.marked))
        self.owner = TestClient(self.app, headers=BEARER)
        self.stranger = TestClient(self.app)

    def set_clock(self, seconds: float) -> None:
        self.now = seconds

    def get(self, path: str) -> Any:
        response = self.owner.get(f"{OWNER}/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    def listen(self, allowed: bool | None = True, name: str = "a.wav") -> str:
        """The id of a new trial of the first job; its clips are kept if that is allowed."""
        job, tracks = self.jobs[0]
        sounds = heard_clips(tracks)
        ids = {role: clip_id(signal) for role, signal in sounds.items()}
        trial, token = self.services.ratings.serve("eve-listener", "rating", {**served(job, tracks), "name": name}, ids)
        payloads: list[dict[str, Any]] = [{"kind": "comment", "stem": None, "text": "a word"}]
        payloads += [] if allowed is None else [{"kind": "consent", "training": allowed}]
        events = [parse_event({"id": f"event-{i:04}", "made": i, "payload": each}) for i, each in enumerate(payloads)]
        self.services.ratings.save(token, events)
        if allowed:
            self.services.ratings.keep(trial.id)
            for signal in sounds.values():
                self.services.clips.put(signal)
        return trial.id


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One for all tests that change nothing."""
    return House(tmp_path_factory.mktemp("calm"), count=40)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, count=6)


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


# -- who gets in


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_the_token_nothing_is_served(calm: House, method: str, path: str) -> None:
    refused = calm.stranger.request(method, f"{OWNER}/{path}")
    assert is_error(refused, 401) and refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["cache-control"] == "private, no-store"
    forged = {"Cookie": f"{COOKIE}=9999999999.{'a' * 64}"}
    assert is_error(calm.stranger.request(method, f"{OWNER}/{path}", headers=forged), 401)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_wrong_token_is_refused(
    tmp_path_factory: pytest.TempPathFactory, calm: House, method: str, path: str
) -> None:
    app = Starlette(routes=owner_routes(calm.services, calm.marked))  # with no guesses counted yet
    refused = TestClient(app).request(method, f"{OWNER}/{path}", headers={"Authorization": "Bearer not-the-token"})
    assert is_error(refused, 403) and TOKEN not in refused.text


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("POST", "session")])
def test_without_a_token_set_nothing_opens_at_all(calm: House, method: str, path: str) -> None:
    closed = replace(calm.services, settings=replace(calm.services.settings, owner_token=""))
    client = TestClient(Starlette(routes=owner_routes(closed, calm.marked)), headers={"Authorization": "Bearer "})
    refused = client.request(method, f"{OWNER}/{path}", json={"token": ""} if method == "POST" else None)
    assert is_error(refused, 403) and "EARSHOT_OWNER_TOKEN" in refused.json()["advice"]
    assert client.get(f"{OWNER}/session").json() == {"open": False, "signed_in": False}
    assert client.get("/ratings").status_code == 200


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] != "GET"])
def test_another_site_changes_nothing(calm: House, method: str, path: str) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused = calm.owner.request(method, f"{OWNER}/{path}", headers=headers)
        assert is_error(refused, 403) and "another site" in refused.json()["found"]


def test_wrong_tokens_are_counted_together_on_both_pages(calm: House, tmp_path: Path) -> None:
    lessons = Lessons(tmp_path, calm.services.store, Taught(calm.services.hub, tmp_path / "taught"))
    client = TestClient(Starlette(routes=own_routes(calm.services, Measuring(calm.services), calm.marked, lessons)))
    wrong = {"Authorization": "Bearer a-guess"}
    for _ in range(GUESSES_A_MINUTE):
        assert client.get(f"{OWNER}/overview", headers=wrong).status_code == 403
    refused = client.delete(f"{OWNER}/models?name=owner/tiny", headers=BEARER)
    assert is_error(refused, 403) and "wrong tokens" in refused.json()["found"]


def test_another_site_signs_nobody_in_or_out(calm: House) -> None:
    for method in ("POST", "DELETE"):
        foreign = {"Origin": "https://evil.example"}
        assert is_error(calm.stranger.request(method, f"{OWNER}/session", headers=foreign, json={"token": TOKEN}), 403)


def test_signing_in_and_out(calm: House) -> None:
    client = TestClient(calm.app)
    assert client.get(f"{OWNER}/session").json() == {"open": True, "signed_in": False}
    assert is_error(client.post(f"{OWNER}/session", json={"token": "a-wrong-one"}), 403)
    answer = client.post(f"{OWNER}/session", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and f"Path={OWNER}" in cookie and TOKEN not in cookie
    assert client.get(f"{OWNER}/session").json()["signed_in"] is True
    assert client.get(f"{OWNER}/overview").status_code == 200
    client.delete(f"{OWNER}/session")
    assert client.get(f"{OWNER}/overview").status_code == 401


def test_the_cookie_knows_the_prefix(tmp_path: Path) -> None:
    house = House(tmp_path, root_path="https://example.org/deep/earshot")
    answer = house.stranger.post(f"{OWNER}/session", json={"token": TOKEN})
    assert "Path=/deep/earshot/earshot/owner" in answer.headers["set-cookie"]


def test_guessing_ends_soon(calm: House) -> None:
    client = TestClient(Starlette(routes=owner_routes(calm.services, calm.marked)))
    for guess in range(GUESSES_A_MINUTE):
        assert is_error(client.post(f"{OWNER}/session", json={"token": f"guess-{guess}"}), 403)
    refused = client.post(f"{OWNER}/session", json={"token": TOKEN})
    assert is_error(refused, 429) and 1 <= int(refused.headers["retry-after"]) <= 60
    assert is_error(client.get(f"{OWNER}/overview", headers={"Authorization": "Bearer guess"}), 429)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"token": 3}', b"[" * 3000, b"\xff"])
def test_signing_in_with_nonsense(calm: House, body: bytes) -> None:
    assert is_error(calm.stranger.post(f"{OWNER}/session", content=body), 400)


def test_a_large_body_is_not_read(calm: House) -> None:
    assert is_error(calm.stranger.post(f"{OWNER}/session", content=b"x" * (MAX_BODY + 1)), 413)


# -- the page


def test_the_page_holds_no_data_and_runs_no_foreign_script(calm: House) -> None:
    response = calm.stranger.get("/ratings")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert "listener-" not in response.text and "song" not in response.text and TOKEN not in response.text
    assert response.text.count("<script") == 2 and "onclick" not in response.text
    assert "aria-current=page>Ratings</a>" in response.text and "{{" not in response.text


def test_every_file_of_the_page_is_served_and_nothing_else(calm: House) -> None:
    for name, (_, media_type) in STATIC.items():
        response = calm.stranger.get(f"{OWNER}/files/{name}")
        assert response.status_code == 200 and response.headers["content-type"].startswith(media_type)
    for name in ("ratings.html", "..%2fserver.py", "%2e%2e/server.py", "nothing.js"):
        assert calm.stranger.get(f"{OWNER}/files/{name}").status_code == 404


# -- what people said


def test_the_overview_counts(calm: House) -> None:
    found = calm.get("overview")
    assert found["trials"] == 40 and found["rated"] == 36 and sum(found["days"].values()) == 36
    assert found["choices"]["stems"] == ["accompaniment", "vocals"] and len(found["choices"]["models"]) == 3


def test_the_list_is_filtered_sorted_and_paged(calm: House) -> None:
    first, second = calm.get("trials?count=5"), calm.get("trials?count=5&start=5")
    assert first["total"] == 36 and len(first["trials"]) == len(second["trials"]) == 5
    made = [trial["made"] for trial in (*first["trials"], *second["trials"])]
    assert made == sorted(made, reverse=True) and len(set(made)) == 10
    assert calm.get("trials?empty=1")["total"] == 40
    for query, holds in {
        "model=vocals": lambda one: one["model"] == "vocals",
        "label=bleed": lambda one: "bleed" in one["labels"],
        "scale=overall&low=5": lambda one: any(a["scale"] == "overall" and a["value"] == 5 for a in one["answers"]),
        "blind=1": lambda one: one["hidden"],
        "consented=1": lambda one: one["consent"] is True,
        "text=HOLLOW": lambda one: one["commented"] > 0,
    }.items():
        trials = calm.get(f"trials?{query}&count=200")["trials"]
        assert 0 < len(trials) < 36 and all(map(holds, trials)), query
    up = calm.get("trials?sort=overall&descending=0&scale=overall")["trials"]
    assert up[0]["made"] != first["trials"][0]["made"]
    day = time.strftime("%Y-%m-%d", time.gmtime(made[0]))
    assert 0 < calm.get(f"trials?since={day}&until={day}")["total"] < 36


@pytest.mark.parametrize(
    "query",
    [
        "scale=loudness", "label=<b>", "low=x", "high=-1", "blind=yes", "since=yesterday", "until=2026-02-30", "start=-1",
        "count=1e9", "since=9999-12-31&until=9999-12-31",
    ],
)  # fmt: skip
def test_a_bad_filter_is_refused(calm: House, query: str) -> None:
    assert is_error(calm.owner.get(f"{OWNER}/trials?{query}"), 400)


def test_an_unknown_order_is_refused(calm: House) -> None:
    assert is_error(calm.owner.get(f"{OWNER}/trials?sort=id;drop"), 422)


def test_a_trial_says_everything(calm: House) -> None:
    row = next(one for one in calm.get("trials?label=bleed&count=200")["trials"] if one["commented"])
    trial = calm.get(f"trials/{row['id']}")
    assert {name: trial[name] for name in row} == row
    assert trial["served"]["weights"] == "ab" * 32 and trial["served"]["gain"] == 0.8 and trial["clip"] == [0, 6]
    assert {mark["label"] for mark in trial["marks"]} >= {"bleed"} and trial["comments"][0]["text"]
    assert [event["made"] for event in trial["history"]] == sorted(event["made"] for event in trial["history"])
    assert len(trial["history"]) == row["events"] and trial["history"][0]["received"] > 0
    assert trial["of_listener"] >= 1 and "token" not in json.dumps(trial)


HOSTILE = [
    "nothing",
    "AB" * 16,
    "ab" * 15,
    "../../etc/passwd",
    "..%2f..%2fratings.db",
    "ab" * 16 + "%00",
    "' OR 1=1 --",
    "%2e%2e",
]


@pytest.mark.parametrize("trial", [*HOSTILE, ID])
@pytest.mark.parametrize("path", ["trials/{}", "jobs/{}", "jobs/{}/full/vocals.pcm", "jobs/{}/full/vocals.peaks"])
def test_ids_lead_nowhere_else(calm: House, trial: str, path: str) -> None:
    response = calm.owner.get(f"{OWNER}/{path.format(trial)}")
    assert response.status_code == 404 and b"root:" not in response.content


# -- listening again


def test_the_kept_audio_is_what_was_heard_bit_by_bit(calm: House) -> None:
    trial = next(one for one in calm.get("trials?audio=1&count=200")["trials"])
    job = calm.get(f"jobs/{trial['id']}")
    stage = job["stages"]["full"]
    assert job["state"]["status"] == "done" and stage["tracks"] == ["mixture", "vocals", "accompaniment"]
    assert stage["gain"] == 1 and stage["start"] == 0 and job["name"] == trial["name"]
    record = calm.services.ratings.get(trial["id"])
    for track, role in (("mixture", "mixture"), ("vocals", "stem:vocals")):
        sound = calm.owner.get(f"{OWNER}/jobs/{trial['id']}/full/{track}.pcm")
        kept = calm.services.clips.get(record.clips[role])
        heard = np.frombuffer(sound.content, "<i2").reshape(-1, 2).T
        assert np.array_equal(heard, np.rint(kept.samples * 32768).astype(np.int16))
        part = calm.owner.get(f"{OWNER}/jobs/{trial['id']}/full/{track}.pcm", headers={"Range": "bytes=400-799"})
        assert part.status_code == 206 and part.content == sound.content[400:800]
    peaks = calm.owner.get(f"{OWNER}/jobs/{trial['id']}/full/vocals.peaks?points=100")
    assert len(peaks.content) == 200 and np.abs(np.frombuffer(peaks.content, np.int8)).max() > 5
    levels = calm.owner.get(f"{OWNER}/jobs/{trial['id']}/full/vocals.levels?width=50&height=20")
    assert levels.status_code == 200 and len(levels.content) == 1000


def test_only_tracks_that_were_kept_can_be_heard(calm: House) -> None:
    trial = next(one for one in calm.get("trials?audio=1")["trials"])["id"]
    for path in ("full/residual.pcm", "full/reference-vocals.pcm", "preview/vocals.pcm", "full/..%2fvocals.pcm"):
        assert calm.owner.get(f"{OWNER}/jobs/{trial}/{path}").status_code == 404


@pytest.mark.parametrize("allowed", [None, False])
def test_what_was_not_kept_cannot_be_heard_although_its_job_is_here(tmp_path: Path, allowed: bool | None) -> None:
    house = House(tmp_path, count=1)
    trial = house.listen(allowed)
    assert house.get(f"trials/{trial}")["audio"] is False
    refused = house.owner.get(f"{OWNER}/jobs/{trial}")
    assert is_error(refused, 404) and "not kept" in refused.json()["found"]
    assert house.owner.get(f"{OWNER}/jobs/{trial}/full/vocals.pcm").status_code == 404


def test_consent_taken_back_silences_the_player_at_once(tmp_path: Path) -> None:
    house = House(tmp_path, count=1)
    trial = house.listen()
    url = f"{OWNER}/jobs/{trial}/full/vocals.pcm"
    assert house.owner.get(url).status_code == 200
    house.services.ratings.drop(trial, house.services.clips.delete)
    assert house.owner.get(url).status_code == 404, "what is held in memory is not served either"


# -- forgetting


def test_a_listener_is_forgotten_with_everything(house: House) -> None:
    trial = house.listen()
    clips = set(house.services.ratings.get(trial).clips.values())
    listener = house.get(f"trials/{trial}")["listener"]
    waiting = house.owner.post(f"{OWNER}/exports", json={"format": "jsonl"}).json()["file"]
    gone = house.owner.delete(f"{OWNER}/listeners/{listener}").json()
    assert gone["trials"] == 1 and gone["events"] == 2
    assert house.owner.get(f"{OWNER}/trials/{trial}").status_code == 404
    assert house.get("overview")["withdrawn"] == 1
    assert is_error(house.owner.get(f"{OWNER}/exports/{waiting}"), 404), "it holds what was forgotten"
    others = {
        clip
        for other in house.services.ratings.trials()
        if house.services.ratings.kept(other.id)
        for clip in other.clips.values()
    }
    assert all((clip in house.services.clips) == (clip in others) for clip in clips)
    assert is_error(house.owner.delete(f"{OWNER}/listeners/{listener}"), 404)


def test_one_trial_is_deleted_and_no_other(house: House) -> None:
    gone, stays = house.listen(), house.listen()
    clips = set(house.services.ratings.get(gone).clips.values())
    records = Records(house.services.settings.marked)
    for trial in (gone, stays):
        records.put(trial, {"source": "stage", "start": 0.0, "hop": 1.0, "series": []})
    waiting = house.owner.post(f"{OWNER}/exports", json={"format": "csv"}).json()["file"]
    answer = house.owner.delete(f"{OWNER}/trials/{gone}").json()
    assert (answer["trials"], answer["events"], answer["clips"]) == (1, 2, 0), "another one lets the same audio be kept"
    assert all(clip in house.services.clips for clip in clips)
    assert house.owner.get(f"{OWNER}/trials/{gone}").status_code == 404 and house.get(f"trials/{stays}")["audio"]
    assert records.get(gone) is None and records.get(stays) is not None
    assert is_error(house.owner.get(f"{OWNER}/exports/{waiting}"), 404)
    assert house.get("overview")["withdrawn"] == 1
    assert is_error(house.owner.delete(f"{OWNER}/trials/{gone}"), 404)


@pytest.mark.parametrize("trial", [ID, "..", "%25", "a" * 31, "A" * 32, "a" * 5000])
def test_trials_that_are_not_here_are_not_deleted(calm: House, trial: str) -> None:
    refused = calm.owner.delete(f"{OWNER}/trials/{trial}")
    assert refused.status_code in (404, 405) and calm.get("overview")["trials"] == 40


@pytest.mark.parametrize("listener", ["nobody-of-that-id", "%25", "..", "a b", "x" * 65])
def test_nobody_else_is_forgotten(calm: House, listener: str) -> None:
    assert calm.owner.delete(f"{OWNER}/listeners/{listener}").status_code in (404, 405)
    assert calm.get("overview")["trials"] == 40


# -- what it means


def test_standings_are_of_blind_answers_unless_asked(calm: House) -> None:
    blind, every = calm.get("standings"), calm.get("standings?blind=0")
    assert blind["blind"] is True and [one["model"] for one in blind["scales"]["overall"]][-1].startswith("<script>")
    count = {
        name: sum(one["answers"] for one in found["scales"]["overall"])
        for name, found in (("blind", blind), ("all", every))
    }
    assert 0 < count["blind"] < count["all"]
    assert calm.get("standings") == blind, "the same ratings give the same figures"


def test_standings_follow_the_store(house: House) -> None:
    before = house.get("standings?blind=0")
    token = house.services.ratings.serve("eve-listener", "rating", {"model": "newcomer"}, {})[1]
    said = {"kind": "answer", "stem": "vocals", "scale": "overall", "value": 5}
    house.services.ratings.save(token, [parse_event({"id": "event-0001", "made": 1, "payload": said})])
    after = house.get("standings?blind=0")
    assert after != before and "newcomer" in {one["model"] for one in after["scales"]["overall"]}


def test_marks_say_how_far_the_measuring_is(house: House) -> None:
    found = house.get("marks")
    assert found["found"] == [] and found["coverage"]["waiting"] > 0 and found["expected"]["bleed"] == "bss_eval_v4.SIR"
    assert house.owner.post(f"{OWNER}/marks").json()["coverage"] == found["coverage"]


# -- taking it out


@pytest.mark.parametrize("format", ["csv", "parquet", "datasets"])
def test_exports_are_those_of_the_command_line(calm: House, format: str) -> None:
    made = calm.owner.post(f"{OWNER}/exports", json={"format": format}).json()
    fetched = calm.owner.get(f"{OWNER}/exports/{made['file']}")
    names = zipfile.ZipFile(io.BytesIO(fetched.content)).namelist()
    assert len(fetched.content) == made["bytes"] and made["rows"]["ratings"] > 0 and made["missing"] == 0
    expected = {"csv": "ratings.csv", "parquet": "marks.parquet", "datasets": "data/clips/train-00000-of-00001.parquet"}
    assert expected[format] in names and "attachment" in fetched.headers["content-disposition"]
    assert calm.owner.get(f"{OWNER}/exports/{made['file']}").status_code == 404, "it is fetched once"
    assert list(calm.services.settings.exports.iterdir()) == []


def test_a_lossless_export_can_be_read_back(calm: House, tmp_path: Path) -> None:
    made = calm.owner.post(f"{OWNER}/exports", json={"format": "jsonl"}).json()
    file = tmp_path / "ratings.jsonl"
    file.write_bytes(calm.owner.get(f"{OWNER}/exports/{made['file']}").content)
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    assert import_jsonl(other, file).restored == made["rows"]["trials"] == 40
    assert list(other.snapshot()) == list(calm.services.ratings.snapshot())
    other.close()


def test_an_export_of_consented_ones_leaves_out_the_others(calm: House) -> None:
    made = calm.owner.post(f"{OWNER}/exports", json={"format": "jsonl", "only_consented": True}).json()
    assert made["rows"]["trials"] == calm.get("trials?consented=1&empty=1")["total"] < 40


@pytest.mark.parametrize(
    "body", [{}, {"format": "exe"}, {"format": ["csv"]}, {"format": "csv", "only_consented": "no"}, []]
)
def test_an_export_of_nonsense_is_refused(calm: House, body: Any) -> None:
    assert is_error(calm.owner.post(f"{OWNER}/exports", json=body), 400)


@pytest.mark.parametrize("file", ["..%2f..%2fratings", "*", "%3f" * 22, "a" * 22])
def test_files_of_exports_lead_nowhere_else(calm: House, file: str) -> None:
    assert calm.owner.get(f"{OWNER}/exports/{file}").status_code == 404


def test_hostile_names_are_sent_as_text(calm: House) -> None:
    response = calm.owner.get(f"{OWNER}/trials?text=onerror&count=1")
    assert (
        response.headers["content-type"] == "application/json"
        and response.headers["x-content-type-options"] == "nosniff"
    )
    assert NAME in {one["name"] for one in calm.get("trials?count=200")["trials"]}
