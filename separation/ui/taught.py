"""Models that visitors taught, as the rest of the house sees them: names that only this installation knows.

A job's model must be there as long as the job is, for its edits and its ratings, whatever becomes of the lesson that made it.
So a model that a job uses lies in a folder of its own, named after what it holds: ``lesson:SYSTEM-HASH``, where HASH is of its
card, which has the hash of its weights. Who has the name may use the model and nothing else; it does not lead to the lesson.
Visitors still name no folders: this is the only place that turns such a name into one.

`Taught` is `separation.hub` with these names added, handed to the workers and the pages in its place.
"""

import base64
import contextlib
import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from separation.errors import UnknownModel
from separation.hub import Card, Origin
from separation.hub.card import CONFIG
from separation.hub.folder import Loaded, load_folder, read_card

PREFIX = "lesson:"
GRACE = 3600.0
"""Seconds that a model stays though no job uses it: one may be on its way."""

_NAME = re.compile(rf"{PREFIX}(?P<folder>(?P<system>[a-z-]{{1,20}})-(?P<hash>[A-Za-z0-9_-]{{22}}))")


def is_taught(name: str) -> bool:
    """Whether this is the name of a model that a visitor taught."""
    return name.startswith(PREFIX)


def spoken_name(name: str) -> str:
    """A model's name as people read it: any other name stays as it is.

    >>> spoken_name("lesson:conv-nmf-0123456789abcdefghijkl"), spoken_name("vocals")
    ('learned, conv-nmf 012345', 'vocals')
    """
    found = _NAME.fullmatch(name)
    return name if found is None else f"learned, {found['system']} {found['hash'][:6]}"


class Taught:
    """A hub that knows the models of lessons, too.

    Args:
        hub: `separation.hub`, or what tests use for it; everything else is asked there.
        folder: of the models; made when the first comes.
    """

    def __init__(self, hub: Any, folder: Path) -> None:
        self._hub = hub
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hub, name)

    def load(self, name: str, *, device: str = "cpu", progress: Callable[[int, int], None] | None = None) -> Loaded:
        """As `hub.load`."""
        if is_taught(name):
            return load_folder(self.describe(name), device)
        loaded: Loaded = self._hub.load(name, device=device, progress=progress)
        return loaded

    def describe(self, name: str) -> Card:
        """As `hub.describe`."""
        if is_taught(name):
            return read_card(Origin(name, self._existing(name)))
        card: Card = self._hub.describe(name)
        return card

    def keep(self, system: str, write: Callable[[Path], object]) -> str:
        """Take a model in, and return its name; the same model twice is one.

        Args:
            system: with which it was learned.
            write: makes the model folder that it is given; what it raises leaves nothing behind.
        """
        scratch = self._folder / f".{secrets.token_hex(8)}"
        scratch.mkdir(parents=True)
        building = scratch / f"learned-{system}"  # the card's name, the same each time
        try:
            write(building)
            digest = hashlib.sha256((building / CONFIG).read_bytes()).digest()
            hashed = base64.urlsafe_b64encode(digest).decode()[:22]
            folder = self._folder / f"{system}-{hashed}"
            if folder.is_dir():
                folder.touch()
            else:
                building.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return f"{PREFIX}{folder.name}"

    def forget(self, used: Collection[str], *, now: float | None = None) -> list[str]:
        """Delete the models that nobody uses any more, but for those of the last hour. Returns their names.

        Args:
            used: names of models that are needed.
            now: seconds since 1970; None for the clock of the file system.
        """
        before = (time.time() if now is None else now) - GRACE
        gone = []
        for folder in self._folder.glob("*"):
            name = f"{PREFIX}{folder.name}"
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if name not in used and folder.stat().st_mtime < before:
                    shutil.rmtree(folder, ignore_errors=True)
                    gone.append(name)
        return gone

    def _existing(self, name: str) -> Path:
        found = _NAME.fullmatch(name)
        folder = None if found is None else self._folder / found["folder"]
        if folder is None or not folder.is_dir():
            raise UnknownModel(
                "Open a model that was learned here",
                "it is not here any more, or the name is not complete",
                "Learn it again on the Learn page, or open the folder that you saved on your own machine",
            )
        return folder
