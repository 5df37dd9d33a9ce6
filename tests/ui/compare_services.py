"""What the tests of the Compare page run on: four systems of one task, two of another, short examples, and the real workers."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from fakes import Fake
from page_services import RATE, SmallHub, card, example, free_port, noise

from separation.engine.jobs import JobStore
from separation.engine.workers import Workers
from separation.settings import Settings
from separation.ui.frame import Hub, Services, open_ratings
from separation.ui.taught import Taught

NAMES = ("vocals", "heron", "magpie", "nightjar")
"""Systems of one task; no name but the first is part of a word on the page."""
SHARES = dict(zip(NAMES, (0.5, 0.25, 0.7, 0.1), strict=True))
"""Of the mixture, that they take for vocals."""
LISTENER = "listener-0123456789ab"
OTHER = "listener-abcdefghijkl"


class Shares(Fake):
    """A share of the mixture, and the rest."""

    def __init__(self, share: float, *sources: str, **more: Any) -> None:
        super().__init__(sources, sample_rate=RATE, segment=2.0, **more)
        self.share = share

    def split(self, mixture: torch.Tensor) -> torch.Tensor:
        first = mixture * self.share
        return torch.stack([first, mixture - first], 1)


class Failing(Fake):
    """Breaks in the first chunk."""

    def __init__(self, *sources: str) -> None:
        super().__init__(sources, sample_rate=RATE, segment=2.0)

    def split(self, mixture: torch.Tensor) -> torch.Tensor:
        raise ValueError("heron broke")


class FourHub(SmallHub):
    """Four models that take voices out of music."""

    def __init__(self) -> None:
        super().__init__()
        self.separators = {name: Shares(share, "vocals", "accompaniment") for name, share in SHARES.items()}
        self.cards = {name: card(name, name.title(), ("vocals", "accompaniment")) for name in NAMES}

    def bundled(self) -> list[Any]:
        return list(self.cards.values())


def compare_services(folder: Path, hub: SmallHub | None = None, **settings: Any) -> Services:
    """Everything the page needs, with its data in `folder`; nothing is started."""
    example(folder / "examples" / "swell", "A swell", "vocals", 1, 4.0)
    hub = hub or FourHub()
    store = JobStore(folder / "data" / "jobs")
    chosen = replace(Settings(data=folder / "data", port=free_port()), **settings)
    taught = Taught(hub, chosen.taught)
    workers = Workers(store, taught.load, devices=("cpu",))
    return Services(chosen, store, workers, cast(Hub, taught), folder / "examples", *open_ratings(chosen))


def recording(folder: Path, seconds: float = 3.0, channels: int = 1) -> Path:
    """A visitor's own."""
    return noise(folder / "mine.wav", seconds, channels=channels)


def decoded(content: bytes, channels: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """What the page plays, ``[T, C]``."""
    return np.frombuffer(content, "<i2").reshape(-1, channels)
