"""What the page's tests run on: two small models without weights, two short examples, and the real workers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Any, cast

import numpy as np
import torch
from fakes import Fake

from separation.audio import Writer
from separation.engine.jobs import JobStore
from separation.engine.workers import Workers
from separation.errors import UnknownModel
from separation.hub import Card, Installed, LearningCurves, Origin, Survey
from separation.settings import Settings
from separation.ui.frame import Hub, Services, open_ratings
from separation.ui.server import launch
from separation.ui.taught import Taught

RATE = 16000


class Halves(Fake):
    """A quarter and three quarters of the mixture; waits before every chunk while `gate` is closed."""

    def __init__(self, *sources: str) -> None:
        super().__init__(sources, sample_rate=RATE, segment=2.0)
        self.gate = threading.Event()
        self.gate.set()

    def split(self, mixture: torch.Tensor) -> torch.Tensor:
        assert self.gate.wait(60)
        return torch.stack([mixture * 0.25, mixture * 0.75], 1)


class SmallHub:
    """As much of `separation.hub` as the pages use."""

    def __init__(self) -> None:
        self.separators = {"vocals": Halves("vocals", "accompaniment"), "speakers": Halves("speaker 1", "speaker 2")}
        self.cards = {
            name: card(name, title, separator.spec.sources)
            for (name, separator), title in zip(
                self.separators.items(), ("Voice & music", "Two <speakers>"), strict=True
            )
        }
        self.cards["someone/model"] = card("someone/model", "From the Hub", ("one", "two"))
        self.separators["someone/model"] = Halves("one", "two")

    def bundled(self) -> list[Card]:
        return [self.cards["speakers"], self.cards["vocals"]]

    def describe(self, name: str) -> Card:
        if name not in self.cards:
            raise UnknownModel(f"Open {name}", "the Hub has no such repository", "Check the name")
        return self.cards[name]

    def fetch_size(self, name: str) -> int:
        return 12_300_000

    def survey(self, name: str) -> Survey:
        files = (("config.json", 3_000, "taken"), ("model.safetensors", 12_297_000, "taken"))
        return Survey(self.describe(name), files, 12_300_000, None)

    def installed(self) -> list[Installed]:
        return []

    def remove(self, name: str) -> int:
        raise UnknownModel(f"Remove {name}", "there is no copy of it", "Nothing of the Hub is here")

    def read_curves(self, card: Card) -> LearningCurves | None:
        return None

    def load(self, name: str, *, device: str = "cpu", progress: Any = None) -> Halves:
        return self.separators[name]


def card(name: str, title: str, sources: tuple[str, ...]) -> Card:
    return Card(
        format="earshot/1",
        architecture="conv_tasnet",
        arguments={},
        name=name.rpartition("/")[2],
        title=title,
        summary="It splits.",
        task="vocals",
        sources=sources,
        sample_rate=RATE,
        licence="MIT",
        citation="Nobody (2026)",
        trained_on=("Nothing",),
        scores=(),
        weaknesses=("Everything",),
        training=None,
        weights=None,
    ).with_origin(Origin(name, Path("models") / name))


def noise(path: Path, seconds: float, *, rate: int = RATE, channels: int = 1, bit_depth: str = "16") -> Path:
    """A recording with a swelling noise."""
    time = np.arange(round(seconds * rate)) / rate
    swell = 0.2 * np.random.default_rng(5).normal(0, 1, (channels, len(time))) * np.sin(time) ** 2
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, rate, channels, format=path.suffix[1:], bit_depth=bit_depth) as writer:
        writer.write(np.clip(swell, -0.9, 0.9).astype(np.float32))
    return path


def example(folder: Path, title: str, model: str, order: int, seconds: float) -> None:
    noise(folder / "mixture.flac", seconds, channels=2)
    noise(folder / "part.flac", seconds)
    credit = {
        "what": "all",
        "author": "Nobody",
        "licence": "CC0",
        "licence_url": "https://example.org",
        "source": "here",
    }
    fields = {
        "title": title,
        "summary": "Noise that `swells` ${and} {{falls}}.",
        "model": model,
        "mixture": "mixture.flac",
        "references": {"part": "part.flac"},
        "order": order,
        "credits": [credit],
    }
    (folder / "example.json").write_text(json.dumps(fields), encoding="utf-8")


def services(folder: Path, **settings: Any) -> Services:
    """Everything the pages need, with its data in `folder`; nothing is started."""
    example(folder / "examples" / "swell", "A swell", "vocals", 1, 6.0)
    example(folder / "examples" / "talk", "A talk", "speakers", 2, 30.0)
    hub = SmallHub()
    store = JobStore(folder / "data" / "jobs")
    chosen = replace(Settings(data=folder / "data", port=free_port()), **settings)
    taught = Taught(hub, chosen.taught)
    workers = Workers(store, taught.load, devices=("cpu",))
    return Services(chosen, store, workers, cast(Hub, taught), folder / "examples", *open_ratings(chosen))


@contextmanager
def running(given: Services) -> Iterator[str]:
    """The page's address while it is served."""
    app = launch(given.settings, given, block=False)
    try:
        yield app.local_url
    finally:
        given.workers.stop()
        app.close(verbose=False)


def free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
