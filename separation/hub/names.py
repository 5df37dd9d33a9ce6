"""What kind of thing a model's name is: bundled, a folder, or a repository on the Hub. Nothing is fetched here."""

import difflib
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from separation.errors import UnknownModel
from separation.hub.card import CONFIG
from separation.models.oracles import PREFIX as ORACLE

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(?<![.-])"
_REPO = re.compile(rf"(?!.*(?:--|\.\.|\.git$)){_PART}/{_PART}")  # the Hub's own rule, for names with an owner
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True)
class Name:
    """A name that was understood.

    Args:
        kind: which of the three.
        text: as it was given.
        folder: of bundled and local models.
        repo, revision: of repositories; `revision` is None for the main branch.
    """

    kind: Literal["bundled", "folder", "hub"]
    text: str
    folder: Path | None = None
    repo: str | None = None
    revision: str | None = None


def bundled_folders() -> dict[str, Path]:
    """The folders of the models that come with this app, by name; empty if there are none."""
    for root in _roots():
        if root.is_dir():
            return {path.name: path for path in sorted(root.iterdir()) if (path / CONFIG).is_file()}
    return {}


def resolve(name: str | Path) -> Name:
    """Tell what `name` is. A bundled name comes before a folder (but a `Path` is never one), a folder before a repository.

    Raises:
        UnknownModel: none of the three; the message lists near names and the allowed forms.

    >>> resolve("someone/choir@v2")
    Name(kind='hub', text='someone/choir@v2', folder=None, repo='someone/choir', revision='v2')
    """
    text = str(name)
    known = bundled_folders()
    if isinstance(name, str) and text in known:
        return Name("bundled", text, folder=known[text])
    try:
        folder = Path(text).expanduser()
        if text.strip() and folder.is_dir():
            return Name("folder", text, folder=folder.absolute())
    except (OSError, RuntimeError, ValueError):  # too long, a NUL, or no such home: no folder
        pass
    repo, at, revision = text.partition("@")
    if not _REPO.fullmatch(repo) or (at and not _REVISION.fullmatch(revision)):
        raise _unknown(text, list(known))
    return Name("hub", text, repo=repo, revision=revision or None)


def _roots() -> tuple[Path, ...]:
    """Where bundled models lie: in a checkout, else where an installed wheel puts its data files."""
    return (
        Path(__file__).parents[2] / "assets" / "models",
        Path(sysconfig.get_path("data")) / "share" / "earshot" / "models",
    )


def _unknown(text: str, known: list[str]) -> UnknownModel:
    shown = repr(text if len(text) <= 80 else text[:77] + "...")
    if text.startswith(ORACLE):
        return UnknownModel(
            f"Open the model {shown}",
            "an oracle is made from one recording's true sources, so that there is nothing to open",
            "Use it where these are known: in `earshot benchmark`, on the Evaluate page, or on the page's examples",
        )
    near = difflib.get_close_matches(text, known, n=1)
    advice = f"Is {near[0]!r} meant? " if near else ""
    names = ", ".join(known) if known else "none are installed"
    return UnknownModel(
        f"Find the model {shown}",
        "it is no bundled model, no folder, and not of the form owner/name or owner/name@revision",
        f"{advice}Bundled models: {names}",
    )
