"""Two hundred raters of a real server that is killed again and again: nothing acknowledged is lost, nothing is there twice."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from page_services import free_port
from player_jobs import done_job

from separation.engine.jobs import Job, JobStore
from separation.ratings import ClipFolder, Store, parse_event
from separation.settings import Settings
from tests.ui.rating_server import Servers, servers

JOBS = 8  # so many raters of one job a minute are let in
KILLS = 5
LATER = (429, 503)


@dataclass
class Rater:
    """One of the raters: what was said, and what the server has answered."""

    number: int
    job: Job
    events: list[dict[str, Any]]
    consent: bool
    token: str = ""
    acknowledged: set[str] = field(default_factory=set)
    saved: Counter[str] = field(default_factory=Counter)
    cut: int = 0  # requests that never got an answer


def rater(number: int, job: Job, dice: random.Random) -> Rater:
    def event(kind: str, **payload: Any) -> dict[str, Any]:
        made = dice.randrange(1_800_000_000_000)
        return {"id": f"rater-{number:03}-{len(said):02}", "made": made, "payload": {"kind": kind, **payload}}

    said: list[dict[str, Any]] = []
    consent = number % 4 == 0
    for stem in ("vocals", "accompaniment"):
        for scale in ("overall", "target"):
            said.append(event("answer", stem=stem, scale=scale, value=dice.randint(1, 5)))
    mark = {"mark": f"mark-{number:04}", "stem": "vocals", "label": "bleed", "severity": 2, "band_hz": [200.0, 900.5]}
    said.append(event("mark", start=0.1, end=0.2 + 0.5 * dice.random(), **mark))
    said.append(event("comment", stem="vocals", text=f"„{number}“ " * dice.randint(1, 100)))
    seen = dict.fromkeys(("saw_model", "saw_metrics", "saw_views"), False)
    said.append(event("heard", seconds={"vocals": 1.5}, modes={"solo": {"vocals": 0.5}}, **seen))
    said.append(event("consent", training=consent))
    return Rater(number, job, said, consent)


async def ask(client: httpx2.AsyncClient, who: Rater, address: str, body: Any, dice: random.Random) -> Any:
    """Ask until there is an answer, as a page does: the same again after a dead connection or a busy server."""
    while True:
        try:
            response = await client.post(address, json=body)
        except httpx2.TransportError:
            who.cut += 1
        else:
            if response.status_code == 200:
                return response.json()
            assert response.status_code in LATER, response.text
        await asyncio.sleep(0.05 + 0.1 * dice.random())


async def rate(client: httpx2.AsyncClient, who: Rater, dice: random.Random) -> None:
    """Say everything, in any order, in small parts, and some of it twice."""
    body = {"stage": "full", "listener": f"listener-number-{who.number:04}", "hidden": False}
    who.token = (await ask(client, who, f"/earshot/jobs/{who.job.id}/trial", body, dice))["token"]
    left = dice.sample(who.events, len(who.events))
    while left:
        part = left[: dice.randint(1, 3)]
        del left[: len(part)]
        for _ in range(dice.choice((1, 1, 2))):
            answer = await ask(client, who, f"/earshot/trials/{who.token}/events", part, dice)
            for event, status in zip(part, answer["events"], strict=True):
                who.acknowledged.add(event["id"])
                who.saved[event["id"]] += status == "saved"
            if any(event["payload"]["kind"] == "consent" for event in part):
                assert answer["kept"] is who.consent, "the audio is there when it is acknowledged"


def require_nothing_lost(store: Store, raters: list[Rater]) -> None:
    for who in raters:
        if who.token:
            kept = [event.id for event in store.events(store.trial(who.token).id)]
            assert who.acknowledged <= set(kept), "something acknowledged was lost"
            assert len(kept) == len(set(kept)), "something is there twice"


async def crash(server: Servers, store: Store, raters: list[Rater]) -> None:
    """Kill the server whenever another part of everything has been acknowledged, look, and start it again."""
    everything = sum(len(who.events) for who in raters)
    for number in range(1, KILLS + 1):
        while sum(len(who.acknowledged) for who in raters) < everything * number / (KILLS + 2):
            await asyncio.sleep(0.002)
        server.kill()
        await asyncio.to_thread(require_nothing_lost, store, raters)
        server.start()


async def run(port: int, server: Servers, store: Store, raters: list[Rater], seed: int) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
        dice = [random.Random(seed + who.number) for who in raters]
        rating = [rate(client, who, die) for who, die in zip(raters, dice, strict=True)]
        await asyncio.gather(crash(server, store, raters), *rating)


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine needs minutes for what takes a quiet one seconds
@pytest.mark.parametrize(("count", "seed"), [(200, 1)])
def test_no_rating_is_lost_or_doubled_when_the_server_is_killed(tmp_path: Path, count: int, seed: int) -> None:
    settings, port = Settings(data=tmp_path / "data"), free_port()
    jobs = [done_job(JobStore(settings.jobs), tmp_path, 1) for _ in range(JOBS)]
    raters = [rater(number, jobs[number % JOBS], random.Random(number)) for number in range(count)]
    store, clips = Store(settings.database_url), ClipFolder(settings.clips)
    with servers(settings.data, port) as server:
        asyncio.run(run(port, server, store, raters, seed))
        assert server.kills == KILLS
    assert sum(who.cut for who in raters) >= KILLS, "the server died while it was asked"
    require_nothing_lost(store, raters)
    for who in raters:
        trial = store.trial(who.token)
        sent = sorted((parse_event(event) for event in who.events), key=lambda event: event.id)
        assert sorted(store.events(trial.id), key=lambda event: event.id) == sent
        assert max(who.saved.values()) <= 1, "the same event was called new twice"
        assert store.kept(trial.id) is who.consent
    allowed = [clip for who in raters if who.consent for clip in store.trial(who.token).clips.values()]
    assert allowed and all(clips.get(clip).duration == 1 for clip in set(allowed)), "none is half written"
    counted = store.count()
    assert counted["events"] == sum(len(who.events) for who in raters) and counted["listeners"] == count
    store.close()
