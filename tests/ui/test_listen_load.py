"""Two hundred listeners of `earshot serve --study`, which is killed again and again: nothing acknowledged is lost, nothing is
there twice, and no slot counts for two."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from separation.listening import results
from separation.listening.parts import Assignment, Page, Question
from separation.listening.studies import Studies
from separation.ratings import Store
from separation.ratings.sessions import Sessions
from separation.settings import Settings
from tests.listening.small_study import small_study, write_study

ROOT = Path(__file__).parents[2]
LISTENERS, LEAVING = 200, 20
SLOTS = LISTENERS - LEAVING  # who comes first leaves last: the others wait until somebody has left
KILLS = 3
LATER = (429, 503)
QUESTION = Question(id="how-good", kind="scale", conditions=("wavebox", "maskoff"), hidden_reference=False)
STUDY = small_study(
    questions=(QUESTION,),
    pages=(Page(kind="consent"), Page(kind="trials")),
    assignment=Assignment(listeners=SLOTS, items_per_listener=1, repeats=0.0, lease_minutes=600),
)


@dataclass
class Listener:
    """One of the listeners: what was said, and what the server has answered."""

    number: int
    leaving: bool
    session: str = ""
    said: dict[tuple[str, str], float] = field(default_factory=dict)  # (page, token) -> the last value
    acknowledged: dict[str, set[str]] = field(default_factory=dict)  # page -> events
    closed: set[str] = field(default_factory=set)  # pages
    saved: Counter[str] = field(default_factory=Counter)
    end: dict[str, Any] = field(default_factory=dict)
    cut: int = 0  # requests that never got an answer

    @property
    def done(self) -> int:
        return sum(map(len, self.acknowledged.values()))


class Server:
    """The command itself, on one port and data folder."""

    def __init__(self, data: Path, port: int) -> None:
        self._words = [sys.executable, "-m", "separation", "serve", "--study", STUDY.name, "--port", str(port)]
        self._words.append("--anyway")  # its sounds are shorter than the check allows
        self._environment = {**os.environ, "EARSHOT_DATA": str(data)}
        self._log = data / "server.log"
        self.kills = 0
        self.start()

    def start(self) -> None:
        """Returns at once; it answers a moment later."""
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._words, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    async def watch(self) -> None:
        """Until it ends by itself, which it must not."""
        while (self._running.poll() or -signal.SIGKILL) == -signal.SIGKILL:
            await asyncio.sleep(0.5)
        pytest.fail(f"the server ended: {self._log.read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """As a crash does: no warning, nothing is finished."""
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()
        self.kills += 1


async def ask(client: httpx2.AsyncClient, who: Listener, method: str, address: str, body: Any = None) -> Any:
    """Ask until there is an answer, as a page does: the same again, later and later, after a dead connection."""
    wait = 0.25
    while True:
        try:
            answer = await client.request(method, address, json=body)
        except httpx2.TransportError:
            who.cut += 1
        else:
            if answer.status_code == 200:
                return answer.content if address.endswith(".pcm") else answer.json()
            assert answer.status_code in LATER, answer.text
        await asyncio.sleep(wait * (0.5 + random.random()))
        wait = min(2 * wait, 2.0)


async def take(client: httpx2.AsyncClient, who: Listener, dice: random.Random) -> None:
    """Take the whole test; say some of it twice, and go on from two tabs."""
    while not who.session:
        begun = await ask(client, who, "POST", f"/listen/{STUDY.name}/session", {"pid": f"P{who.number:03}"})
        who.session, page = begun["session"] or "", begun["page"]
        if not who.session:
            assert page["kind"] == "full"
            await asyncio.sleep(1.0)
    way = f"/listen/s/{who.session}"
    while page["kind"] != "end":
        if who.leaving and page["index"] == 1:
            await ask(client, who, "POST", f"{way}/withdraw", {})
            who.said, who.acknowledged, who.closed = {}, {}, set()
            return
        if page["stimuli"]:
            sound = dice.choice(page["stimuli"])["token"]
            assert len(await ask(client, who, "GET", f"{way}/audio/{sound}.pcm")) == 2 * page["audio"]["length"]
        events = events_of(who, page, dice)
        for first in range(0, len(events), 3):
            part = events[first : first + 3]
            for _ in range(dice.choice((1, 1, 2))):
                answer = await ask(client, who, "POST", f"{way}/events", {"page": page["token"], "events": part})
                who.acknowledged.setdefault(page["token"], set()).update(event["id"] for event in part)
                for event, status in zip(part, answer["events"], strict=True):
                    who.saved[event["id"]] += status == "saved"
        went = [ask(client, who, "POST", f"{way}/next", {"page": page["token"]}) for _ in range(dice.choice((1, 1, 2)))]
        answers = await asyncio.gather(*went)
        assert all(answer == answers[0] for answer in answers), "both tabs see the same page"
        who.closed.add(page["token"])
        page = answers[0]["page"]
    who.end = page


def events_of(who: Listener, page: dict[str, Any], dice: random.Random) -> list[dict[str, Any]]:
    """What this listener does and says on a page; every value is changed once."""
    payloads: list[dict[str, Any]] = [
        {"kind": "did", "what": "heard", "of": each["token"], "detail": {"seconds": 1.5}} for each in page["stimuli"]
    ]
    for field_ in page["fields"]:
        for _ in range(2):
            value = True if field_["kind"] == "check" else float(dice.randint(0, 100))
            payloads.append({"kind": "given", "field": field_["name"], "of": field_["of"], "value": value})
        if field_["of"] is not None:
            who.said[page["token"], field_["of"]] = value
    start = 1_700_000_000_000
    return [
        {"id": f"{who.number:03}-{page['index']:02}-{number:03}", "made": start + number, "payload": payload}
        for number, payload in enumerate(payloads)
    ]


def require_nothing_lost(store: Store, listeners: list[Listener]) -> None:
    for who in listeners:
        for page, events in list(who.acknowledged.items()):
            if who.leaving:
                continue
            kept = [event.id for event in store.events(page)]
            assert events <= set(kept), "something acknowledged was lost"
            assert len(kept) == len(set(kept)), "something is there twice"
            assert page not in who.closed or f"finished-{page}" in kept, "a page that was closed is open again"


async def crash(server: Server, store: Store, listeners: list[Listener], everything: int) -> None:
    """Kill the server whenever another part of everything has been acknowledged, look, and start it again."""
    for number in range(1, KILLS + 1):
        while sum(who.done for who in listeners) < everything * number / (KILLS + 2):
            await asyncio.sleep(0.01)
        server.kill()
        await asyncio.to_thread(require_nothing_lost, store, listeners)
        server.start()


async def run(port: int, server: Server, store: Store, listeners: list[Listener]) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
        taking = [take(client, who, random.Random(who.number)) for who in listeners]
        # Of those who stay: 2 events of the consent, 2 sounds heard and 4 values on the trial.
        work = asyncio.gather(crash(server, store, listeners, everything=SLOTS * 8), *taking)
        watch = asyncio.ensure_future(server.watch())
        for done in (await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED))[0]:
            done.result()
        watch.cancel()


def quiet_port() -> int:
    """A free port below those that a system gives to clients.

    Whoever asks again and again for a port of theirs while nobody answers there is in the end connected to itself.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


@pytest.mark.slow
@pytest.mark.timeout(600)  # a busy machine needs minutes for what takes a quiet one seconds
def test_nothing_is_lost_or_counted_twice_when_the_server_is_killed(tmp_path: Path) -> None:
    settings, port = Settings(data=tmp_path / "data"), quiet_port()
    write_study(settings.studies, STUDY)
    listeners = [Listener(number, leaving=number < LEAVING) for number in range(LISTENERS)]
    store = Store(settings.database_url)
    server = Server(settings.data, port)
    try:
        asyncio.run(run(port, server, store, listeners))
    finally:
        server.kill()
    assert sum(who.cut for who in listeners) >= KILLS, "the server died while it was asked"
    require_nothing_lost(store, listeners)
    sessions = Sessions(store, clock=lambda: 0.0)
    require_every_slot_once(sessions)
    require_what_was_said(settings, sessions, store, listeners)
    store.close()


def require_every_slot_once(sessions: Sessions) -> None:
    all_ = sessions.all(STUDY.name)
    finished = [one for one in all_ if one.state == "finished"]
    assert Counter(one.state for one in all_) == {"finished": SLOTS, "withdrawn": LEAVING}
    assert all(one.seat for one in finished) and sorted(one.slot for one in finished) == list(range(SLOTS))
    assert sorted(one.pid or "" for one in finished) == [f"P{number:03}" for number in range(LEAVING, LISTENERS)]


def require_what_was_said(settings: Settings, sessions: Sessions, store: Store, listeners: list[Listener]) -> None:
    opened = Studies((settings.studies,), sessions, clock=lambda: 0.0).open(STUDY.name)
    by_pid = {one.pid: one for one in sessions.all(STUDY.name)}
    pages = sessions.pages(STUDY.name)
    said: Counter[tuple[str, str, str, float]] = Counter()
    for who in listeners:
        assert max(who.saved.values(), default=0) <= 1, "the same event was called new twice"
        if who.leaving:
            assert not who.end
            continue
        assert who.end["code"] == "CODE-OF-ALL-CODES"
        session = by_pid[f"P{who.number:03}"]
        for page in pages[session.id]:
            said.update(
                (session.id, page.trial.served["planned"], each["condition"], who.said[page.trial.id, each["token"]])
                for each in page.trial.served["stimuli"]
            )
        kinds = Counter(event.payload.kind for page in pages[session.id] for event in store.events(page.trial.id))
        assert kinds == {"did": 2, "given": 6, "finished": 2}
    rows = results.answers(opened.study, opened.plan, sessions, store)
    assert Counter((row.listener, row.trial, row.condition, row.value) for row in rows) == said
    assert len(rows) == SLOTS * 2 and store.count("study")["withdrawn"] == 2 * LEAVING, (
        "two pages each were seen and withdrawn"
    )


def test_a_study_alone_is_served_without_torch_and_gradio() -> None:
    code = (
        "import sys, separation.cli, separation.ui.study_server; sys.exit(bool({'torch', 'gradio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ).returncode == 0
