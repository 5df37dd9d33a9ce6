"""The routes of ratings: what a listener's browser gets, and what a hostile client does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from page_services import SmallHub
from page_services import services as full_services
from player_jobs import GAIN, RATE, done_job, make_job, recording, write_stage
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.edits import Edit, Rows
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.workers import Workers
from separation.errors import DiskFull, JobError, RatingsBusy
from separation.ratings import store
from separation.ratings.export import export
from separation.ratings.marks import Records
from separation.ratings.store import trial_id
from separation.ratings.summary import summarise
from separation.settings import Settings
from separation.ui import rating_trials
from separation.ui.frame import Services, open_ratings
from separation.ui.rating_routes import EVENTS_A_MINUTE, MAX_BODY, TRIALS_A_MINUTE, rating_routes
from separation.ui.rating_trials import Asked, Trials

SECONDS = 3
LISTENER = "listener-0123456789ab"
OTHER = "listener-abcdefghijkl"
HEARD = {"kind": "heard", "saw_model": True, "saw_metrics": False, "saw_views": False}


class Clock:
    """A clock that the test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def open_services(tmp_path: Path, **more: Any) -> Services:
    settings = Settings(data=tmp_path / "data", **more)
    store, hub = JobStore(settings.jobs), SmallHub()
    workers = Workers(store, hub.load, devices=("cpu",))
    return Services(settings, store, workers, hub, tmp_path, *open_ratings(settings))


@pytest.fixture
def client(given: Services, clock: Clock) -> TestClient:
    return TestClient(Starlette(routes=rating_routes(given, clock=clock)))


@pytest.fixture
def job(given: Services, tmp_path: Path) -> Job:
    return done_job(given.store, tmp_path, SECONDS)


@pytest.fixture
def given(tmp_path: Path) -> Services:
    return open_services(tmp_path)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestClient, Services, Job, str]:
    """One set for all tests whose requests must change nothing."""
    folder = tmp_path_factory.mktemp("calm")
    given = open_services(folder)
    client, job = TestClient(Starlette(routes=rating_routes(given))), done_job(given.store, folder, 1)
    return client, given, job, str(serve(client, job).json()["token"])


def serve(client: TestClient, job: Job, listener: str = LISTENER, *, hidden: bool = False, **more: Any) -> Any:
    body = {"stage": "full", "listener": listener, "hidden": hidden, **more}
    return client.post(f"/earshot/jobs/{job.id}/trial", json=body)


@pytest.fixture
def token(client: TestClient, job: Job) -> str:
    return str(serve(client, job).json()["token"])


def event(number: int, **payload: Any) -> dict[str, Any]:
    return {"id": f"event-{number:04}", "made": number, "payload": payload}


def star(number: int, value: int | None, stem: str = "vocals") -> dict[str, Any]:
    return event(number, kind="answer", stem=stem, scale="overall", value=value)


def mark(number: int, start: float = 0.5, end: float = 1.5, **more: Any) -> dict[str, Any]:
    fields = {"mark": "mark-0001", "stem": "vocals", "label": "bleed", "severity": 2, "band_hz": None, **more}
    return event(number, kind="mark", start=start, end=end, **fields)


def consent(number: int, training: bool) -> dict[str, Any]:
    return event(number, kind="consent", training=training)


def send(client: TestClient, token: str, *events: Any, **more: Any) -> Any:
    return client.post(f"/earshot/trials/{token}/events", json=list(events), **more)


def standing(client: TestClient, token: str) -> Any:
    return client.get(f"/earshot/trials/{token}").json()


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


def clips(given: Services) -> list[Path]:
    return sorted(given.settings.clips.rglob("*.flac"))


# -- what a listener gets


def test_a_trial_says_what_is_to_be_rated_and_never_which_model(client: TestClient, job: Job) -> None:
    response = serve(client, job)
    body = response.json()
    assert body["stems"] == ["vocals", "accompaniment"] and body["stage"] == "full"
    assert body["duration"] == SECONDS and body["clip"] == [0, SECONDS]
    assert body["rating"]["answers"] == [] and body["rating"]["training"] is None and not body["kept"]
    assert response.headers["cache-control"] == "private, no-store"
    hidden = serve(client, job, OTHER, hidden=True).json()
    assert hidden["hidden"] is True and "model" not in hidden


def test_the_trial_records_what_was_served_but_not_the_key_to_the_job(
    client: TestClient, given: Services, job: Job, token: str
) -> None:
    trial = given.ratings.trial(token)
    served = trial.served
    assert trial.kind == "rating" and trial.listener == LISTENER
    assert (served["name"], served["model"], served["stage"]) == ("song.wav", "vocals", "full")
    assert (served["sample_rate"], served["length"], served["gain"]) == (RATE, SECONDS * RATE, GAIN)
    assert served["options"]["consistency"] is True and served["version"] and served["hidden"] is False
    assert served["origin"] == "vocals" and "weights" in served
    assert job.id not in json.dumps(served)
    assert set(trial.clips) == {"mixture", "stem:vocals", "stem:accompaniment"}
    assert clips(given) == [], "without consent no audio is kept"


def test_the_same_listener_gets_the_same_trial_and_another_one_another(
    client: TestClient, job: Job, token: str
) -> None:
    assert serve(client, job).json()["token"] == token
    others = {serve(client, job, OTHER).json()["token"], serve(client, job, hidden=True).json()["token"]}
    assert len(others | {token}) == 3


def test_what_is_sent_is_saved_once_and_stands_as_it_was_sent(client: TestClient, token: str) -> None:
    events = [
        star(1, 4),
        star(2, 2, "accompaniment"),
        star(3, 5),
        mark(4),
        event(5, kind="comment", stem="vocals", text="a „hiss“ & 50 %"),
        event(6, seconds={"mixture": 1.5, "vocals": 2.0}, **HEARD),
        event(7, seconds={"vocals": 1.0}, **HEARD),
    ]
    assert send(client, token, *events).json() == {"events": ["saved"] * 7, "kept": False}
    assert send(client, token, events[0], star(8, 1, "accompaniment")).json()["events"] == ["known", "saved"]
    rating = standing(client, token)["rating"]
    assert {(a["stem"], a["scale"]): a["value"] for a in rating["answers"]} == {
        ("vocals", "overall"): 5,
        ("accompaniment", "overall"): 1,
    }
    assert rating["marks"] == [{key: value for key, value in mark(4)["payload"].items() if key != "kind"}]
    assert rating["comments"] == [{"stem": "vocals", "text": "a „hiss“ & 50 %"}]
    assert rating["seconds"] == {"mixture": 1.5, "vocals": 3.0}
    assert rating["saw_model"] and not rating["saw_views"] and rating["events"] == 8


def test_what_was_rated_is_found_again_by_the_same_browser(client: TestClient, job: Job, token: str) -> None:
    send(client, token, star(1, 3), mark(2))
    send(client, token, event(3, kind="unmark", mark="mark-0001"))
    rating = serve(client, job).json()["rating"]
    assert rating["answers"] == [{"stem": "vocals", "scale": "overall", "value": 3}] and rating["marks"] == []


def test_how_something_was_heard_is_saved_with_how_long(client: TestClient, token: str) -> None:
    assert send(client, token, event(9, seconds={"reference-vocals": 0.0}, **HEARD)).status_code == 200, "it came later"
    modes = {"solo": {"vocals": 0.5}, "loop": {"vocals": 1.0, "mixture": 1.0}, "other take": {"vocals": 2.0}}
    seconds = {"vocals": 2.0, "mixture": 1.0}
    first = event(1, seconds=seconds, modes=modes, **HEARD)
    old_page = event(2, seconds=seconds, **HEARD)
    assert send(client, token, first, old_page, event(3, seconds={}, modes=modes, **HEARD)).status_code == 200
    rating = standing(client, token)["rating"]
    assert rating["seconds"] == {"vocals": 4.0, "mixture": 2.0, "reference-vocals": 0.0}
    assert rating["modes"] == {mode: {n: 2 * s for n, s in heard.items()} for mode, heard in modes.items()}


def test_whether_a_rating_outlives_a_restart_is_said(tmp_path: Path) -> None:
    for data, database, lasting in (("a", "", True), ("b", "", False), ("c", f"sqlite:///{tmp_path / 'x.db'}", False)):
        given = open_services(tmp_path / data, lasting=lasting, database=database)
        client = TestClient(Starlette(routes=rating_routes(given)))
        said = serve(client, done_job(given.store, tmp_path, 1)).json()["lasting"]
        assert said == {"answers": lasting, "audio": lasting}
    elsewhere = Settings(database="postgresql+psycopg://host/ratings", lasting=False)
    assert elsewhere.ratings_last and not elsewhere.lasting


def test_an_edit_is_rated_as_an_edit(client: TestClient, given: Services, job: Job, tmp_path: Path) -> None:
    edit = Edit(threshold_db=12, muted=(Rows("vocals", (3, 1)),))
    request = Request(model="vocals", name="song.wav", edit=edit, edit_of=job.id)
    edited = given.store.create(job.input, request)
    write_stage(edited, "full", recording(1))
    token = serve(client, edited).json()["token"]
    served = given.ratings.trial(token).served
    assert served["edit"] == json.loads(json.dumps(edit.to_dict())) and Edit.from_dict(served["edit"]) == edit
    original = given.ratings.trial(serve(client, job).json()["token"])
    assert served["edit_of"] == original.subject and "edit" not in original.served
    assert job.id not in json.dumps(served)
    send(client, token, star(1, 4))
    export(given.ratings, tmp_path / "rated", "parquet")
    (row,) = pq.read_table(tmp_path / "rated" / "ratings.parquet").to_pylist()
    assert row["edit_of"] == original.subject and Edit.from_dict(json.loads(row["edit"])) == edit
    assert list(summarise(given.ratings).models) == ["vocals, edited"]


# -- what there is to rate


def after(client: TestClient, listener: str | None, job: str = "") -> Any:
    return client.post("/earshot/ratings/next", json={"listener": listener, "after": job}).json()


def test_what_is_wanted_comes_one_after_the_other_with_the_fewest_raters_first(
    client: TestClient, given: Services, tmp_path: Path
) -> None:
    assert after(client, None) == {"job": None, "left": 0, "wanted": 0}
    jobs = [done_job(given.store, tmp_path, 1) for _ in range(4)]
    for job in jobs[:3]:
        job.want(True)
    for number, job in enumerate(jobs[:2]):
        for rater in range(number + 1):
            send(client, serve(client, job, f"listener-number-{rater:04}").json()["token"], star(1, 4))
    seen = []
    current = ""
    while (found := after(client, LISTENER, current))["job"]:
        current = found["job"]
        seen.append(current)
        assert found["wanted"] == 3 and found["left"] == 4 - len(seen)
        token = serve(client, given.store.get(current)).json()["token"]
        send(client, token, event(1, seconds={"vocals": 3}, **HEARD), event(2, kind="consent", training=False))
        assert after(client, LISTENER)["left"] == 4 - len(seen), "who only listened has not rated"
        send(client, token, star(3, 2))
    assert seen == [jobs[2].id, jobs[0].id, jobs[1].id]
    assert after(client, LISTENER) == {"job": None, "left": 0, "wanted": 3}
    assert after(client, None)["left"] == 3
    jobs[0].want(False)
    assert after(client, None)["wanted"] == 2


def test_another_one_can_be_asked_for_without_rating(client: TestClient, given: Services, tmp_path: Path) -> None:
    jobs = [done_job(given.store, tmp_path, 1) for _ in range(2)]
    for job in jobs:
        job.want(True)
    first = after(client, LISTENER)["job"]
    second = after(client, LISTENER, first)
    assert {first, second["job"]} == {job.id for job in jobs} and second["left"] == 1
    assert after(client, LISTENER, second["job"])["job"] == first


def test_listeners_who_come_together_begin_with_different_ones(
    client: TestClient, given: Services, tmp_path: Path
) -> None:
    for _ in range(4):
        done_job(given.store, tmp_path, 1).want(True)
    firsts = {after(client, f"listener-number-{number:04}")["job"] for number in range(40)}
    assert len(firsts) == 4


def test_what_is_wanted_stays_and_no_visitor_deletes_it(given: Services, tmp_path: Path) -> None:
    store = JobStore(given.settings.jobs, clock=lambda: 1e10)
    wanted, other = (done_job(given.store, tmp_path, 1) for _ in range(2))
    wanted.want(True)
    assert wanted.expires is None and store.expire() == [other.id]
    with pytest.raises(JobError, match="collects ratings"):
        store.delete(wanted.id)
    with pytest.raises(JobError, match="not complete"):
        make_job(given.store, tmp_path).want(True)
    wanted.want(False)
    wanted.want(False)
    assert store.expire() == [wanted.id]


@pytest.mark.parametrize(
    "body",
    [{}, [], 7, {"listener": 7}, {"after": "x"}, {"listener": None, "after": None}, {"listener": "x", "more": 1}],
)
def test_who_asks_for_the_next_one_must_say_so_properly(calm: Any, body: Any) -> None:
    client, *_ = calm
    assert is_error(client.post("/earshot/ratings/next", json=body), 400)
    foreign = client.post("/earshot/ratings/next", json={"listener": None}, headers={"sec-fetch-site": "cross-site"})
    assert is_error(foreign, 403)
    hostile = client.post("/earshot/ratings/next", json={"listener": "../" * 100, "after": "\x00" * 50})
    assert hostile.json() == {"job": None, "left": 0, "wanted": 0}


# -- consent


def test_with_consent_the_clips_outlive_the_job_and_are_what_was_heard(
    client: TestClient, given: Services, job: Job, token: str
) -> None:
    assert send(client, token, consent(1, True)).json()["kept"] is True
    job.delete()
    trial = given.ratings.trial(token)
    for role, track in (("mixture", "mixture"), ("stem:vocals", "vocals")):
        kept = given.clips.get(trial.clips[role])
        heard = recording(SECONDS)[track].astype(np.float64) * GAIN
        assert kept.sample_rate == RATE and np.abs(kept.samples - heard).max() <= 1 / 32768
    assert standing(client, token)["kept"] is True


def test_taking_consent_back_deletes_the_clips_and_leaves_the_rating(
    client: TestClient, given: Services, token: str
) -> None:
    send(client, token, star(1, 4), consent(2, True))
    assert len(clips(given)) == 3
    assert send(client, token, consent(3, False)).json()["kept"] is False
    assert clips(given) == [] and standing(client, token)["rating"]["answers"]


def test_the_last_word_on_consent_counts_also_if_it_comes_first(
    client: TestClient, given: Services, token: str
) -> None:
    send(client, token, consent(9, False))
    send(client, token, consent(5, True))
    assert clips(given) == [] and standing(client, token)["rating"]["training"] is False


def test_clips_that_another_listener_allowed_stay(client: TestClient, given: Services, job: Job, token: str) -> None:
    other = serve(client, job, OTHER).json()["token"]
    silent = serve(client, job, "listener-without-consent").json()["token"]
    for each in (token, other):
        send(client, each, consent(1, True))
    client.delete(f"/earshot/trials/{token}")
    assert len(clips(given)) == 3
    send(client, other, consent(2, False))
    assert clips(given) == [], "who never allowed it keeps nothing"
    assert standing(client, silent)["kept"] is False


def test_without_the_job_consent_is_saved_and_nothing_kept(
    client: TestClient, given: Services, job: Job, token: str
) -> None:
    job.delete()
    assert send(client, token, consent(1, True)).json() == {"events": ["saved"], "kept": False}
    assert clips(given) == []


def test_beyond_the_quota_the_rating_is_saved_without_audio(
    client: TestClient, given: Services, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rating_trials, "CLIPS_QUOTA", -1)
    assert send(client, token, consent(1, True)).json() == {"events": ["saved"], "kept": False}
    assert clips(given) == []


def test_of_a_long_recording_a_minute_around_where_it_was_heard(
    client: TestClient, given: Services, tmp_path: Path
) -> None:
    long = done_job(given.store, tmp_path, 100)
    for around, clip in ((0, [0, 60]), (50, [20, 80]), (99.5, [40, 100]), (-3, [0, 60])):
        listener = f"listener-at-{around}-seconds".replace(".", "_")
        assert serve(client, long, listener, around=around).json()["clip"] == clip
    token = serve(client, long, around=50).json()["token"]
    send(client, token, consent(1, True))
    mixture = given.clips.get(given.ratings.trial(token).clips["mixture"])
    expected = recording(100)["mixture"][:, 20 * RATE : 80 * RATE] * GAIN
    assert mixture.duration == 60 and np.abs(mixture.samples - expected).max() <= 1 / 32768


# -- withdrawal


def test_withdrawal_removes_all_and_leaves_a_tombstone(
    client: TestClient, given: Services, job: Job, token: str
) -> None:
    send(client, token, star(1, 4), consent(2, True))
    records, exports = Records(given.settings.marked), given.settings.exports
    records.put(trial_id(token), {"source": "stage", "start": 0.0, "hop": 1.0, "series": []})
    exports.mkdir(parents=True)
    (exports / f"{'e' * 22}.zip").touch()
    assert client.delete(f"/earshot/trials/{token}").json() == {"withdrawn": 2}
    assert records.get(trial_id(token)) is None and list(exports.iterdir()) == []
    assert clips(given) == [] and given.ratings.count() == {"trials": 0, "events": 0, "listeners": 0, "withdrawn": 1}
    for response in (
        client.get(f"/earshot/trials/{token}"),
        client.delete(f"/earshot/trials/{token}"),
        send(client, token, star(3, 1)),
    ):
        assert is_error(response, 404)
    again = serve(client, job).json()
    assert again["token"] != token and again["rating"]["events"] == 0


# -- hostile clients


@pytest.mark.parametrize(
    "wrong", ["A" * 22, "short", "%2e%2e", "..%2f..%2fetc", "A" * 21 + "%00", "ä" * 22, "A" * 5000, "A" * 21 + "%0a"]
)
def test_wrong_tokens_and_path_tricks_find_nothing(calm: Any, wrong: str) -> None:
    client, given, _, _ = calm
    address = f"/earshot/trials/{wrong}"
    responses = [client.get(address), client.delete(address), client.post(f"{address}/events", json=[star(1, 4)])]
    assert {response.status_code for response in responses} <= {404}
    assert all(str(given.settings.data) not in response.text for response in responses)
    assert client.get(f"/earshot/rating/{wrong}").status_code == 404
    assert client.post(f"/earshot/jobs/{wrong}/trial", json={}).status_code in (400, 404)


def test_a_public_id_is_no_token(client: TestClient, given: Services, token: str) -> None:
    assert is_error(client.get(f"/earshot/trials/{given.ratings.trial(token).id}"), 404)


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}])
def test_other_sites_change_nothing(calm: Any, headers: dict[str, str]) -> None:
    client, _, job, token = calm
    body = {"stage": "full", "listener": OTHER, "hidden": False}
    refused = [
        client.post(f"/earshot/jobs/{job.id}/trial", json=body, headers=headers),
        send(client, token, star(1, 4), headers=headers),
        client.delete(f"/earshot/trials/{token}", headers=headers),
    ]
    assert all(is_error(response, 403) for response in refused)
    assert standing(client, token)["rating"]["events"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"7", b'"text"', b"{}", b"[" * 9_000, b"\xff\xfe", b"9" * 6000,
        b'{"events": [{"id": "event-0001"}]}',
    ],
)  # fmt: skip
def test_unreadable_bodies(calm: Any, body: bytes) -> None:
    client, _, job, token = calm
    assert is_error(client.post(f"/earshot/trials/{token}/events", content=body), 400)
    assert is_error(client.post(f"/earshot/jobs/{job.id}/trial", content=body), 400)


@pytest.mark.parametrize(
    "wrong",
    [
        7, None, [], {}, {"id": "event-0001", "made": 1}, {**star(1, 4), "more": 1},
        star(1, 6), star(1, 0), star(1, 4, "x" * 300), star(1, 4, "drums"), star(1, 4, "mixture"),
        {**star(1, 4), "id": "short"}, {**star(1, 4), "id": "../../etc/passwd"}, {**star(1, 4), "id": 7},
        {**star(1, 4), "made": -1}, {**star(1, 4), "made": True}, {**star(1, 4), "made": 1e999}, {**star(1, 4), "made": 10**30},
        mark(1, 2.0, 1.0), mark(1, 0, 4000), mark(1, -1.0, 1.0), mark(1, label="nonsense"), mark(1, severity=9),
        mark(1, mark="no id!"), mark(1, stem="residual"), mark(1, band_hz=[5, 1]), mark(1, 0.0, float("nan")),
        event(1, kind="comment", stem="vocals", text="x" * 5000), event(1, kind="comment", stem="vocals", text="\ud800"),
        event(1, kind="consent", training="yes"), event(1, kind="nothing"), event(1),
        event(1, seconds={"drums": 1.0}, **HEARD), event(1, seconds={}, modes={"solo": {"drums": 1.0}}, **HEARD),
        event(1, seconds={}, modes={"upside down": {"vocals": 1.0}}, **HEARD), event(1, seconds={"vocals": -1}, **HEARD),
        event(1, seconds={str(i): 1.0 for i in range(100)}, **HEARD), event(1, seconds=[], **HEARD),
    ],
)  # fmt: skip
def test_what_is_no_rating_is_refused_and_takes_nothing_along(calm: Any, wrong: Any) -> None:
    client, _, _, token = calm
    content = json.dumps([star(99, 4), wrong])
    response = client.post(f"/earshot/trials/{token}/events", content=content)
    assert is_error(response, 422)
    assert standing(client, token)["rating"]["events"] == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"stage": 7}, {"stage": "../full"}, {"stage": "preview"}, {"listener": "short"}, {"listener": "x" * 500},
        {"listener": 7}, {"listener": "../../../../etc/passwd"}, {"hidden": "no"}, {"hidden": 1}, {"around": "here"},
        {"around": True}, {"around": float("nan")}, {"around": float("inf")}, {"around": -1e300}, {"more": 1},
    ],
)  # fmt: skip
def test_trials_of_what_is_none_are_refused(calm: Any, changed: dict[str, Any]) -> None:
    client, given, job, _ = calm
    body = {"stage": "full", "listener": LISTENER, "hidden": False, **changed}
    response = client.post(f"/earshot/jobs/{job.id}/trial", content=json.dumps(body))
    assert response.status_code in (400, 404, 422) and set(response.json()) == {"asked", "found", "advice"}
    assert given.ratings.count()["trials"] == 1


def test_a_job_without_results_has_no_trial(client: TestClient, given: Services, tmp_path: Path) -> None:
    assert is_error(serve(client, make_job(given.store, tmp_path)), 404)


def test_large_bodies_are_413_and_not_saved(client: TestClient, token: str) -> None:
    assert is_error(client.post(f"/earshot/trials/{token}/events", content=b"x" * (MAX_BODY + 1)), 413)
    seconds = {"x" * 17_000: 1.0}
    assert is_error(send(client, token, event(1, seconds=seconds, **HEARD)), 413)
    assert standing(client, token)["rating"]["events"] == 0


def test_an_id_used_for_something_else_is_409(client: TestClient, token: str) -> None:
    send(client, token, star(1, 4))
    assert is_error(send(client, token, star(2, 4), star(1, 3)), 409)
    assert is_error(send(client, token, star(3, 4), {**star(3, 5), "made": 3}), 409)
    assert standing(client, token)["rating"]["events"] == 1


def test_a_full_trial_is_409(client: TestClient, token: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_EVENTS", 3)
    assert send(client, token, *(star(i, 4) for i in range(3))).status_code == 200
    assert is_error(send(client, token, star(3, 4)), 409)
    assert send(client, token, star(2, 4)).json()["events"] == ["known"]


def test_who_is_too_fast_is_told_how_long_to_wait(client: TestClient, token: str, clock: Clock) -> None:
    for start in range(0, EVENTS_A_MINUTE, 40):
        assert send(client, token, *(star(i, 4) for i in range(start, start + 40))).status_code == 200
    refused = send(client, token, star(9000, 4))
    assert is_error(refused, 429)
    clock.now += int(refused.headers["retry-after"])
    assert send(client, token, star(9000, 4)).status_code == 200


def test_a_flood_of_trials_is_stopped(client: TestClient, given: Services, job: Job, monkeypatch: Any) -> None:
    monkeypatch.setattr(rating_trials, "TRIALS_OF_A_JOB", 2)
    statuses = [serve(client, job, f"listener-{i:020}").status_code for i in range(TRIALS_A_MINUTE + 1)]
    assert statuses[:2] == [200, 200] and set(statuses[2:-1]) == {409} and statuses[-1] == 429
    assert given.ratings.count()["trials"] == 2


def test_a_full_disk_is_507_and_nothing_is_saved(
    client: TestClient, given: Services, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rating_trials, "RESERVE", 10**18)
    assert is_error(send(client, token, star(1, 4)), 507)
    with pytest.raises(DiskFull):
        Trials(given)._require_room()
    assert standing(client, token)["rating"]["events"] == 0


def test_a_job_that_goes_while_it_is_served(given: Services, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = Trials(given)
    monkeypatch.setattr(type(job), "stage", lambda self, stage: _described_then_deleted(self, stage))
    with pytest.raises(Exception, match="deleted"):
        trials.serve(job.id, Asked("full", LISTENER, False))


def _described_then_deleted(job: Job, stage: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((job.folder / stage / "stage.json").read_text(encoding="utf-8"))
    job.delete()
    return described


def test_a_busy_database_is_no_reason_to_give_a_rating_up(
    client: TestClient, given: Services, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(token: str, events: Any) -> Any:
        raise RatingsBusy("Save a rating", "the database was busy for 30 s", "Try again")

    with monkeypatch.context() as patched:
        patched.setattr(given.ratings, "save", busy)
        assert is_error(send(client, token, star(1, 4)), 503)
    assert send(client, token, star(1, 4)).json()["events"] == ["saved"]


def test_of_an_example_the_licence_is_recorded(tmp_path: Path) -> None:
    given = full_services(tmp_path)
    trials = Trials(given)
    for name, licence in (("A swell", "CC0"), ("something else", None)):
        job = given.store.create(given.examples / "swell" / "mixture.flac", Request(model="vocals", name=name))
        write_stage(job, "full", recording(1))
        standing, _ = trials.serve(job.id, Asked("full", LISTENER, False))
        assert standing.trial.served.get("licence") == licence
