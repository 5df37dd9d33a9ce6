"""Compare over HTTP: two systems meet, are heard blind, get a vote, and only then have names."""

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_services import LISTENER, NAMES, OTHER, SHARES, Failing, FourHub, compare_services, decoded, recording
from page_services import card
from starlette.applications import Starlette
from starlette.testclient import TestClient

import separation
from separation.audio import ArrayReader
from separation.audio.loudness import MOST_GAIN_DB, loudness
from separation.hub import Installed, Origin
from separation.listening.arena import read_votes
from separation.listening.leaderboard import Board, leaderboard
from separation.ratings.store import trial_id
from separation.signals import Signal
from separation.ui.bouts import Bouts
from separation.ui.compare_routes import ALL_A_MINUTE, BOUTS_A_MINUTE, MAX_BODY, STATIC, compare_routes
from separation.ui.contenders import BASELINE, hub_name, tasks
from separation.ui.frame import Services
from separation.ui.server import EXAMPLES
from separation.ui.takes import FORGIVEN, UNFINISHED, Takes, loudest, tracks_of

BOUTS = "/earshot/compare/bouts"
PATIENCE = 60.0


class Clock:
    """A clock that the test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Visitor:
    """A browser, as far as the server knows one."""

    def __init__(self, client: TestClient, listener: str = LISTENER) -> None:
        self.client, self.listener, self.made = client, listener, 0

    def draw(self, **wish: Any) -> Any:
        return self.client.post(BOUTS, json={"listener": self.listener, **wish})

    def bout(self, **wish: Any) -> str:
        """A pair that can be heard."""
        drawn = self.draw(**wish)
        assert drawn.status_code == 200, drawn.text
        bout = str(drawn.json()["bout"])
        end = time.monotonic() + PATIENCE
        while self.seen(bout)["state"] == "making":
            assert time.monotonic() < end
            time.sleep(0.05)
        return bout

    def seen(self, bout: str) -> dict[str, Any]:
        answer = self.client.get(f"{BOUTS}/{bout}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def event(self, **payload: Any) -> dict[str, Any]:
        self.made += 1
        return {"id": f"event-{self.made:04}-{self.listener[-6:]}", "made": self.made, "payload": payload}

    def heard(self, **seconds: float) -> dict[str, Any]:
        named = {role.replace("_", ":"): value for role, value in seconds.items()}
        return self.event(kind="heard", seconds=named, saw_model=False, saw_metrics=False, saw_views=False)

    def say(self, bout: str, *events: dict[str, Any]) -> Any:
        return self.client.post(f"{BOUTS}/{bout}/events", json=list(events))

    def vote(self, bout: str, choice: str, *more: dict[str, Any]) -> Any:
        heard = self.heard(left_vocals=5.0, right_vocals=5.0)
        answer = self.event(kind="given", field="vote", value=choice)
        return self.say(bout, heard, *more, answer, self.event(kind="finished"))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """One installation for all: pairs are made once."""
    services = compare_services(tmp_path_factory.mktemp("compare"))
    services.workers.start()
    yield services
    services.workers.stop()


@pytest.fixture(scope="module")
def bouts(given: Services) -> Bouts:
    return Bouts(given, generator=np.random.default_rng(5))


@pytest.fixture
def client(given: Services, bouts: Bouts) -> TestClient:
    return TestClient(Starlette(routes=compare_routes(given, bouts=bouts)))


@pytest.fixture
def visitor(client: TestClient) -> Visitor:
    return Visitor(client)


# Blindness


def test_nothing_that_is_served_before_the_vote_tells_the_two_apart(visitor: Visitor, client: TestClient) -> None:
    """Every route as a listener may fetch it, while it is made and when it can be heard: bodies, headers and addresses."""
    drawn = visitor.draw(example="swell")
    answers = [drawn]
    bout = drawn.json()["bout"]
    while True:
        answers.append(client.get(f"{BOUTS}/{bout}"))
        if answers[-1].json()["state"] != "making":
            break
        time.sleep(0.02)
    seen = answers[-1].json()
    assert seen["state"] == "ready" and "revealed" not in seen
    sounds = [client.get(f"{BOUTS}/{bout}/audio/{sound['token']}.pcm") for sound in seen["sounds"]]
    answers += [*sounds, client.get("/compare"), *(client.get(f"/earshot/compare/{name}") for name in STATIC)]
    answers += [
        visitor.say(bout, visitor.heard(left_vocals=1.0), visitor.event(kind="given", field="vote", value="left"))
    ]
    others = [name for name in NAMES if name != "vocals"]  # which is also what a stem is called
    for answer in answers:
        assert answer.status_code == 200
        said = f"{answer.url} {dict(answer.headers)} {answer.text if 'octet' not in answer.headers['content-type'] else ''}"
        assert not any(name in said.lower() for name in others), str(answer.url)
    assert len({len(sound.content) for sound in sounds}) == 1
    assert len({tuple(sorted(sound.headers.items())) for sound in sounds}) == 1
    assert sounds[0].headers["cache-control"] == "private, no-store"


def test_the_two_sides_are_told_alike(visitor: Visitor) -> None:
    """What is said of one side is said of the other, but for the tokens."""
    seen = visitor.seen(visitor.bout(example="swell"))
    of = {
        side: sorted(sound["stem"] for sound in seen["sounds"] if sound["side"] == side) for side in ("left", "right")
    }
    assert of["left"] == of["right"] == ["accompaniment", "residual", "vocals"]
    assert set(seen) == {"bout", "recording", "state", "audio", "stems", "sounds", "attributes", "least", "given"}
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", sound["token"]) for sound in seen["sounds"])


def test_progress_is_of_both_together(given: Services, tmp_path: Path) -> None:
    slow = compare_services(tmp_path)  # its workers are not started: everything waits
    visitor = Visitor(TestClient(Starlette(routes=compare_routes(slow))))
    seen = visitor.seen(visitor.draw(example="swell").json()["bout"])
    assert seen["state"] == "making" and set(seen) == {
        "bout",
        "recording",
        "state",
        "fraction",
        "remaining",
        "position",
    }


def test_no_job_of_a_pair_can_be_found_afterwards(visitor: Visitor, given: Services) -> None:
    visitor.bout(example="swell")
    assert [job.id for job in given.store.all() if job.state().finished] == []


def test_tokens_are_drawn_anew_for_every_bout(visitor: Visitor) -> None:
    one, other = (visitor.seen(visitor.bout(example="swell")) for _ in range(2))
    tokens = [sound["token"] for seen in (one, other) for sound in seen["sounds"]]
    assert len(set(tokens)) == len(tokens)


def test_sides_are_drawn(bouts: Bouts, visitor: Visitor) -> None:
    """Whatever pair is drawn, neither system has a side of its own."""
    visitor.bout(example="swell")
    drawn = [bouts.get(visitor.draw(example="swell").json()["bout"]) for _ in range(24)]
    orders = {(bout.left.id, bout.right.id) for bout in drawn}
    assert any((right, left) in orders for left, right in orders)


# Making both comparable


def test_both_sides_of_a_stem_are_equally_loud(visitor: Visitor, client: TestClient, bouts: Bouts) -> None:
    """The systems give shares of one noise, from a tenth to seven tenths: alike after matching, which is at most 12 dB."""
    bout = visitor.bout(example="swell")
    seen, levels = visitor.seen(bout), {}
    audio = seen["audio"]
    for sound in seen["sounds"]:
        content = client.get(f"{BOUTS}/{bout}/audio/{sound['token']}.pcm").content
        assert len(content) == audio["length"] * audio["channels"] * 2
        if sound["stem"] != "residual":
            samples = decoded(content, audio["channels"]).T / 32768
            levels[sound["side"], sound["stem"]] = loudness(samples, audio["sample_rate"])
    shares = [SHARES[bouts.get(bout).system(side).id] for side in ("left", "right")]
    for stem, parts in {"vocals": shares, "accompaniment": [1 - share for share in shares]}.items():
        apart = abs(20 * math.log10(parts[0] / parts[1]))
        left = abs(levels["left", stem] - levels["right", stem])
        assert left == pytest.approx(max(0.0, apart - MOST_GAIN_DB), abs=0.1)


def test_a_range_of_a_sound(visitor: Visitor, client: TestClient) -> None:
    bout = visitor.bout(example="swell")
    address = f"{BOUTS}/{bout}/audio/{visitor.seen(bout)['sounds'][0]['token']}.pcm"
    whole, part = client.get(address), client.get(address, headers={"Range": "bytes=100-299"})
    assert part.status_code == 206 and part.content == whole.content[100:300]
    assert client.get(address, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416


def test_the_loudest_stretch_is_found() -> None:
    samples = np.full((1, 16000 * 20), 0.01, np.float32)
    samples[:, 16000 * 7 : 16000 * 12] = 0.5
    start, length = loudest(ArrayReader(Signal(samples, 16000)), 5.0)
    assert (start, length) == (16000 * 7, 16000 * 5)
    assert loudest(ArrayReader(Signal(samples[:, :100], 16000)), 5.0) == (0, 100)


# Voting


def test_a_vote_is_kept_as_it_was_given_and_then_has_names(
    visitor: Visitor, client: TestClient, given: Services, bouts: Bouts
) -> None:
    bout = visitor.bout(example="swell")
    reason = visitor.event(kind="given", field="target:vocals", value="left")
    mark = {"mark": "mark-0001", "stem": "right:vocals", "start": 0.5, "end": 1.5, "label": "gap", "severity": 2}
    saved = visitor.vote(bout, "left", reason, visitor.event(kind="mark", **mark))
    assert saved.json() == {"events": ["saved"] * 5}
    revealed = visitor.seen(bout)["revealed"]
    left, right = (revealed["sides"][side] for side in ("left", "right"))
    assert {left["system"], right["system"]} < set(NAMES) and revealed["choice"] == "left"
    assert left["card"] == left["title"].title() and left["licence"] == "MIT"
    lines = client.get("/earshot/compare/votes.jsonl").text.splitlines()
    vote = next(
        found for line in lines if (found := json.loads(line)["vote"])["trial"] == trial_id(bouts.get(bout).trial)
    )
    assert (vote["left"], vote["right"], vote["choice"]) == (left["system"], right["system"], "left")
    assert vote["reasons"] == {"target:vocals": "left"} and vote["marks"][0]["label"] == "gap"
    assert LISTENER not in json.dumps(lines)


def test_the_trial_says_what_is_needed_to_hear_it_again(visitor: Visitor, given: Services, bouts: Bouts) -> None:
    bout = visitor.bout(example="swell")
    trial = given.ratings.trial(bouts.get(bout).trial)
    assert trial.kind == "compare" and trial.listener == LISTENER
    assert {"left", "right", "how", "probability", "gains_db", "start", "version", "licence"} <= set(trial.served)
    assert set(trial.clips) == {
        "mixture",
        *(f"{side}:{track}" for side in ("left", "right") for track in tracks_of(("vocals", "accompaniment"))),
    }


def test_the_audio_is_kept_with_consent_only(visitor: Visitor, given: Services, bouts: Bouts) -> None:
    for allowed in (False, True):
        bout = visitor.bout(example="swell")
        more = [visitor.event(kind="consent", training=True)] if allowed else []
        visitor.vote(bout, "tie", *more)
        trial = given.ratings.trial(bouts.get(bout).trial)
        assert all(clip in given.clips for clip in trial.clips.values()) == allowed


def test_the_same_events_again_are_known_and_other_ones_too_late(visitor: Visitor) -> None:
    bout = visitor.bout(example="swell")
    events = [
        visitor.heard(left_vocals=4.0),
        visitor.event(kind="given", field="vote", value="bad"),
        visitor.event(kind="finished"),
    ]
    assert visitor.say(bout, *events).json() == {"events": ["saved"] * 3}
    assert visitor.say(bout, *events).json() == {"events": ["known"] * 3}
    late = visitor.say(bout, visitor.event(kind="given", field="vote", value="left"))
    assert late.status_code == 409 and visitor.seen(bout)["revealed"]["choice"] == "bad"


def test_a_reload_finds_what_was_said_so_far(visitor: Visitor) -> None:
    bout = visitor.bout(example="swell")
    visitor.say(
        bout,
        visitor.heard(left_vocals=1.5),
        visitor.heard(left_vocals=1.0),
        visitor.event(kind="given", field="vote", value="right"),
    )
    assert visitor.seen(bout)["given"] == {"fields": {"vote": "right"}, "heard": {"left:vocals": 2.5}, "marks": []}


def test_a_vote_after_too_little_listening_is_kept_and_flagged(visitor: Visitor, client: TestClient) -> None:
    bout = visitor.bout(example="swell")
    answer = visitor.event(kind="given", field="vote", value="left")
    assert visitor.say(bout, answer, visitor.event(kind="finished")).status_code == 200
    assert "heard too little" in visitor.seen(bout)["revealed"]["flags"]
    board = client.get("/earshot/compare/leaderboard").json()
    assert board["flagged"]["heard too little"] >= 1
    careful = client.get("/earshot/compare/leaderboard?flagged=no").json()
    assert careful["votes"] < board["votes"]


def test_a_vote_needs_an_answer(visitor: Visitor) -> None:
    bout = visitor.bout(example="swell")
    assert visitor.say(bout, visitor.event(kind="finished")).status_code == 422
    assert visitor.seen(bout)["state"] == "ready"


def test_a_vote_can_be_withdrawn(visitor: Visitor, client: TestClient, given: Services, bouts: Bouts) -> None:
    bout = visitor.bout(example="swell")
    visitor.vote(bout, "left", visitor.event(kind="consent", training=True))
    trial = given.ratings.trial(bouts.get(bout).trial)
    before = client.get("/earshot/compare/votes.jsonl").text
    assert trial.id in before
    assert client.delete(f"{BOUTS}/{bout}").json() == {"deleted": 4}
    assert trial.id not in client.get("/earshot/compare/votes.jsonl").text
    assert client.get(f"{BOUTS}/{bout}").status_code == 404


# Pairs that are there, tournaments, one's own recordings


def test_pairs_that_are_there_are_voted_on_without_separating_anew(
    client: TestClient, given: Services, bouts: Bouts
) -> None:
    """But for those that are drawn uniformly: what was made before must not decide them."""
    Visitor(client).bout(example="swell")
    made = len(list(given.settings.compare.glob("recordings/*/takes/*")))
    drawn = []
    for number in range(12):
        newcomer = Visitor(client, f"{OTHER}-{number}")
        bout = newcomer.draw().json()["bout"]
        drawn.append(bouts.get(bout).how)
        if drawn[-1] == "expected":
            assert newcomer.seen(bout)["state"] == "ready"
            assert len(list(given.settings.compare.glob("recordings/*/takes/*"))) == made
        made = len(list(given.settings.compare.glob("recordings/*/takes/*")))
    assert set(drawn) == {"expected", "random"}


def test_when_too_much_is_made_what_is_there_can_still_be_heard(tmp_path: Path) -> None:
    services = compare_services(tmp_path)
    services.workers.start()
    visitor = Visitor(TestClient(Starlette(routes=compare_routes(services))))
    visitor.bout(example="swell")
    services.workers.stop()  # from now on everything waits
    drafts = [services.store.drafts.create(recording(tmp_path / str(n)), f"{n}.wav") for n in range(UNFINISHED // 2)]
    assert [visitor.draw(draft=draft.id, task="vocals").status_code for draft in drafts] == [200] * len(drafts)
    newcomers = [Visitor(visitor.client, f"{OTHER}-{number}") for number in range(8)]
    assert [newcomer.draw().status_code for newcomer in newcomers] == [200] * 8


def test_the_winner_stays_and_meets_somebody_else(visitor: Visitor) -> None:
    first = visitor.bout(example="swell")
    visitor.vote(first, "right")
    before = visitor.seen(first)["revealed"]
    assert before["stay"]
    second = visitor.bout(after=first, stay=True)
    visitor.vote(second, "tie")
    after = visitor.seen(second)["revealed"]
    sides = {after["sides"][side]["system"] for side in ("left", "right")}
    assert before["sides"]["right"]["system"] in sides and after["how"] == "winner"
    assert before["sides"]["left"]["system"] not in sides
    assert visitor.draw(after=second, stay=True).status_code == 409


def test_a_recording_of_ones_own_is_heard_by_oneself_only(client: TestClient, given: Services, tmp_path: Path) -> None:
    mine, yours = Visitor(client), Visitor(client, OTHER)
    draft = given.store.drafts.create(recording(tmp_path), "My song.wav")
    bout = mine.bout(draft=draft.id, task="vocals")
    assert mine.seen(bout)["recording"]["name"] == "My song.wav"
    recordings = {bout_of(yours) for _ in range(6)}
    assert "A visitor's recording" not in recordings and "My song.wav" not in recordings
    mine.vote(bout, "left")
    assert "My song" not in client.get("/earshot/compare/votes.jsonl").text
    assert client.delete(f"{BOUTS}/{bout}").status_code == 200  # and the recording goes with it
    assert not [one for one in Takes(given, given.settings.compare / "recordings").all() if one.owner]


def bout_of(visitor: Visitor) -> str:
    return str(visitor.seen(visitor.bout())["recording"]["name"])


def test_bad_recordings_are_refused(client: TestClient, given: Services, tmp_path: Path) -> None:
    visitor = Visitor(client)
    short = given.store.drafts.create(recording(tmp_path, 0.5), "short.wav")
    wide = given.store.drafts.create(recording(tmp_path / "wide", 2.0, channels=3), "wide.wav")
    for draft, found in ((short, "it lasts 0.5 s"), (wide, "it has 3 channels")):
        answer = visitor.draw(draft=draft.id, task="vocals")
        assert answer.status_code == 422 and answer.json()["found"] == found
    assert visitor.draw(draft=short.id, task="juggling").status_code == 422
    assert visitor.draw(draft="0123456789012345678901", task="vocals").status_code == 404


def test_a_system_that_fails_is_said_without_a_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub = FourHub()
    hub.separators = {name: Failing("vocals", "accompaniment") for name in NAMES}
    services = compare_services(tmp_path, hub)
    services.workers.start()
    clock = Clock()
    bouts = Bouts(services, clock=clock)
    try:
        visitor = Visitor(TestClient(Starlette(routes=compare_routes(services, bouts=bouts))))
        seen = visitor.seen(bout := visitor.bout(example="swell"))
    finally:
        services.workers.stop()
    drawn = bouts.get(bout)
    takes = {bouts.takes.look(bouts.takes.get(drawn.recording), one).status for one in (drawn.left, drawn.right)}
    clock.now += FORGIVEN
    later = {bouts.takes.look(bouts.takes.get(drawn.recording), one).status for one in (drawn.left, drawn.right)}
    assert takes == {"failed"} and later == {"none"}
    assert seen["state"] == "failed" and not any(name in json.dumps(seen) for name in NAMES if name != "vocals")
    assert any("failed on a comparison" in record.message for record in caplog.records)


def test_too_many_separations_at_once(tmp_path: Path) -> None:
    services = compare_services(tmp_path)  # not started: everything waits
    visitor = Visitor(TestClient(Starlette(routes=compare_routes(services))))
    drafts = [services.store.drafts.create(recording(tmp_path / str(n)), f"{n}.wav") for n in range(UNFINISHED)]
    answers = [visitor.draw(draft=draft.id, task="vocals").status_code for draft in drafts]
    assert answers == [200] * (UNFINISHED // 2) + [503] * (UNFINISHED - UNFINISHED // 2)


# Hostile clients


NO_WISHES = (
    b"",
    b"[]",
    b"{}",
    b"[" * 9000,
    b'{"listener": 5}',
    b'{"listener": "x", "drafts": "y"}',
    b'{"listener": "short"}',
    b'{"listener": "' + b"x" * 300 + b'"}',
)


@pytest.mark.parametrize("body", NO_WISHES)
def test_what_is_no_wish(client: TestClient, body: bytes) -> None:
    assert client.post(BOUTS, content=body).status_code in (400, 422)


UNSEEN = {"saw_model": False, "saw_metrics": False, "saw_views": False}
MARK = {"kind": "mark", "mark": "mark-0001", "label": "gap", "severity": 1}
HOSTILE: dict[str, dict[str, Any]] = {
    "a stem that was not served": {"kind": "given", "field": "target:drums", "value": "left"},
    "an answer there is not": {"kind": "given", "field": "vote", "value": "A"},
    "a field there is not": {"kind": "given", "field": "winner", "value": "left"},
    "a side there is not": {"kind": "heard", "seconds": {"middle:vocals": 1.0}, **UNSEEN},
    "a mark outside": {**MARK, "stem": "left:vocals", "start": 90, "end": 91},
    "a mark on nothing": {**MARK, "stem": "left:drums", "start": 0, "end": 1},
    "a star": {"kind": "answer", "stem": "vocals", "scale": "overall", "value": 5},
    "nothing known": {"kind": "elephant"},
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_an_event_may_only_speak_of_what_was_served(visitor: Visitor, payload: dict[str, Any]) -> None:
    bout = visitor.bout(example="swell")
    assert visitor.say(bout, visitor.event(**payload)).status_code == 422
    assert visitor.seen(bout)["given"] == {"fields": {}, "heard": {}, "marks": []}


def test_another_site_may_change_nothing(client: TestClient, visitor: Visitor) -> None:
    bout = visitor.bout(example="swell")
    foreign = {"Origin": "https://elsewhere.example"}
    assert client.post(BOUTS, json={"listener": LISTENER}, headers=foreign).status_code == 403
    assert client.post(f"{BOUTS}/{bout}/events", json=[], headers=foreign).status_code == 403
    assert client.delete(f"{BOUTS}/{bout}", headers=foreign).status_code == 403


NOWHERE = (
    "/earshot/compare/compare.html",
    "/earshot/compare/..%2Fbouts.py",
    f"{BOUTS}/nothing",
    f"{BOUTS}/0123456789012345678901",
    f"{BOUTS}/..%2F..%2Fjobs",
)


@pytest.mark.parametrize("address", NOWHERE)
def test_what_is_not_here(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_a_sound_of_another_bout(visitor: Visitor, client: TestClient) -> None:
    one, other = visitor.bout(example="swell"), visitor.bout(example="swell")
    token = visitor.seen(one)["sounds"][0]["token"]
    assert client.get(f"{BOUTS}/{other}/audio/{token}.pcm").status_code == 404


def test_bodies_and_rates_are_limited(given: Services, bouts: Bouts) -> None:
    clock = Clock()
    client = TestClient(Starlette(routes=compare_routes(given, bouts=bouts, clock=clock)))
    assert client.post(BOUTS, content=b"x" * (MAX_BODY + 1)).status_code == 413
    answers = [client.post(BOUTS, json={"listener": LISTENER, "example": "none"}) for _ in range(BOUTS_A_MINUTE + 1)]
    assert [answer.status_code for answer in answers] == [422] * BOUTS_A_MINUTE + [429]
    assert answers[-1].headers["retry-after"] == "1"
    clock.now += 2
    assert client.post(BOUTS, json={"listener": LISTENER, "example": "none"}).status_code == 422
    assert ALL_A_MINUTE > 10 * BOUTS_A_MINUTE


@pytest.mark.parametrize("query", ["task=cooking", "attribute=beauty", "random=maybe", "attribute=target&stem=made+up"])
def test_boards_that_are_not(client: TestClient, visitor: Visitor, query: str) -> None:
    assert client.get(f"/earshot/compare/leaderboard?{query}").status_code == 400


# The leaderboard


def test_the_page_and_the_export_say_the_same(client: TestClient, visitor: Visitor, tmp_path: Path) -> None:
    for choice in ("left", "right", "tie", "bad"):
        visitor.vote(visitor.bout(example="swell"), choice)
    path = tmp_path / "votes.jsonl"
    path.write_bytes(client.get("/earshot/compare/votes.jsonl").content)
    again = leaderboard(read_votes(path), Board("vocals")).to_json()
    shown = client.get("/earshot/compare/leaderboard?task=vocals").json()
    assert {name: shown[name] for name in again} == json.loads(json.dumps(again))


def test_the_page_has_no_script_of_others(client: TestClient) -> None:
    page = client.get("/compare")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "aria-current=page>Compare" in page.text and not re.search(r"(src|href)=\"(https?:)?//", page.text)


def test_start_says_what_there_is(client: TestClient) -> None:
    start = client.get("/earshot/compare/start").json()
    assert start["tasks"] == [{"name": "vocals", "sources": ["vocals", "accompaniment"], "systems": 4}]
    assert [one["id"] for one in start["examples"]] == ["swell"]


# Who may meet


def test_settings_take_part_where_models_are_few(tmp_path: Path) -> None:
    hub = FourHub()
    del hub.cards["heron"], hub.cards["magpie"]
    found = tasks(compare_services(tmp_path, hub))["vocals"]
    assert list(found.systems) == ["vocals", "nightjar", "vocals+sharper-masks", "vocals+hard-masks"]
    assert found.systems["vocals+hard-masks"].title == "vocals, hard masks"


def test_models_of_the_hub_that_are_here_take_part(tmp_path: Path) -> None:
    """The newest copy of each, at the commit that it is here in; what gives other sources does another task."""
    hub = FourHub()
    copies = [("someone/owl@2222", ("accompaniment", "vocals")), ("someone/owl@1111", ("vocals", "accompaniment"))]
    copies.append(("someone/drums@3333", ("drums", "bass")))
    made = [card(name.partition("@")[0], "Owl", sources) for name, sources in copies]
    cards = [one.with_origin(Origin(name, tmp_path)) for one, (name, _) in zip(made, copies, strict=True)]
    found = [Installed(one, one.origin.name.partition("@")[0], (), 1, 0.0) for one in cards]
    hub.installed = lambda: found  # type: ignore[method-assign]
    known = tasks(compare_services(tmp_path, hub))
    assert list(known["vocals"].systems) == [*NAMES, "someone/owl"]
    owl = known["vocals"].systems["someone/owl"]
    assert (owl.title, owl.model) == ("someone/owl", "someone/owl@2222")
    assert "drums" in json.dumps([task.sources for task in known.values()])


def test_the_baselines_of_the_page_can_be_loaded_and_are_on_no_other(tmp_path: Path) -> None:
    given = replace(compare_services(tmp_path), examples=EXAMPLES)
    found = tasks(given)["vocals"].systems
    [baseline] = [system for system in found.values() if system.model.startswith(BASELINE)]
    assert baseline.title == "nmf-vocals" and baseline.id == f"nmf-vocals@{str(baseline.weights)[:8]}"
    model = separation.load(hub_name(given, baseline.model))
    assert set(model.spec.sources) == {"vocals", "accompaniment"} and model.card.licence == "GPL-2.0-or-later"
    assert baseline.title not in given.bundled()


def test_settings_stay_out_where_models_are_many(given: Services) -> None:
    assert list(tasks(given)["vocals"].systems) == list(NAMES)
