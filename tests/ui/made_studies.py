"""A small study with audio files of its own, and the routes of its owner and of its listeners around it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from page_services import SmallHub, example
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.audio import Writer
from separation.engine.jobs import JobStore
from separation.engine.workers import Workers
from separation.ratings import ClipFolder, Store
from separation.settings import Settings
from separation.ui.frame import Hub, Services
from separation.ui.listen_routes import listen_routes, open_listening
from separation.ui.owner_access import Access
from separation.ui.study_desk import Desk
from separation.ui.study_preview import Previews
from separation.ui.study_results import Findings
from separation.ui.study_routes import study_routes

TOKEN = "the-token-of-the-owner"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWNER = "/earshot/owner"
RATE = 16000
TEXT = """\
format: earshot-study/1
name: voices
title: Voices
systems:
- id: first
  label: The first
  files: files/first-{item}.wav
- id: second
  label: The second
  files: files/second-{item}.wav
items:
- id: song
  target: files/target-song.wav
  mixture: files/mixture-song.wav
- id: talk
  target: files/target-talk.wav
  mixture: files/mixture-talk.wav
questions:
- id: opinion
  kind: scale
  title: How good is it?
pages:
- kind: consent
- kind: trials
- kind: end
assignment:
  listeners: 4
  repeats: 0
screening:
- rule: too_fast
"""


def sounds() -> dict[str, Any]:
    """File name -> float32 [1, T]: of two items the target, the mixture, and two systems' takes of it."""
    rng = np.random.default_rng(3)
    found = {}
    for item in ("song", "talk"):
        target, rest = (rng.normal(0, 0.1, (1, RATE)).astype(np.float32) for _ in range(2))
        found[f"target-{item}.wav"] = target
        found[f"mixture-{item}.wav"] = target + rest
        found[f"first-{item}.wav"] = target + 0.1 * rest
        found[f"second-{item}.wav"] = target + 0.4 * rest
    return found


def wav(path: Path, samples: Any) -> bytes:
    with Writer(path, RATE, 1, bit_depth="16") as writer:
        writer.write(samples)
    return path.read_bytes()


class Lab:
    """An installation with its owner and anybody else."""

    def __init__(self, folder: Path, *, token: str = TOKEN) -> None:
        self.folder = folder
        example(folder / "examples" / "swell", "A swell", "vocals", 1, 6.0)
        described = folder / "examples" / "swell" / "example.json"
        described.write_text(described.read_text(encoding="utf-8").replace('"part":', '"vocals":'), encoding="utf-8")
        settings = replace(Settings(data=folder / "data"), owner_token=token)
        jobs, hub = JobStore(settings.jobs), SmallHub()
        self.hub = hub
        self.store = Store(settings.database_url, clock=time.time)
        workers = Workers(jobs, hub.load, devices=("cpu",))
        self.services = Services(
            settings, jobs, workers, cast(Hub, hub), folder / "examples", self.store, ClipFolder(settings.clips)
        )
        listening, self.studies = open_listening(settings, self.store)
        self.desk = Desk(self.services, self.studies, shipped=folder / "shipped")
        self.previews = Previews(self.desk)
        self.findings = Findings(self.studies, self.store)
        mine = study_routes(self.desk, self.findings, self.previews, Access(token))
        self.app = Starlette(routes=[*mine, *listen_routes(listening, self.studies)])
        self.owner = TestClient(self.app, headers=BEARER)
        self.stranger = TestClient(self.app)

    def close(self) -> None:
        self.desk.tasks.stop()
        self.previews.close()
        self.store.close()

    def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        response = self.owner.request(method, f"{OWNER}/{path}", **more)
        assert response.status_code == status, response.text
        return response.json()

    def write(self, text: str = TEXT, name: str = "voices") -> str:
        """The study, with its audio uploaded; returns its name."""
        made: str = self.ask("POST", "studies", 201, json={"from": "text", "text": text, "name": name})["name"]
        for file, samples in sounds().items():
            content = wav(self.folder / file, samples)
            self.ask("POST", f"studies/{made}/files?file={file}", 201, content=content)
        return made

    def done(self, name: str = "voices") -> Any:
        """What there is to try once nothing is at work."""
        end = time.monotonic() + 60
        while (found := self.ask("GET", f"studies/{name}/try"))["busy"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        return found

    def build(self, name: str = "voices") -> Any:
        self.ask("POST", f"studies/{name}/build", 202, json={})
        return self.done(name)

    def launch(self, name: str = "voices") -> Any:
        ready = self.build(name)
        assert ready["built"] == "current", ready["tasks"]["build"]
        return self.ask("POST", f"studies/{name}/launch", json={"was": ready["was"]})
