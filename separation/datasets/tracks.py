"""What a data set is made of: tracks with named stems, what is wrong with a folder, and splits that may be trusted.

A split is refused when its sides share *material*: a singer, a speaker, a song or a backing track, whatever the files are
called. Some published splits do share material; then it is written down beside the reader as `Known`, exactly, and
anything beyond it is refused all the same.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from separation.errors import DataError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aiff", ".aif"})
LISTED = 20  # problems named in one message; the rest is counted
LOOKED_AT = 200  # files or folders that a layout is recognised by
MIXTURE = "mixture"
SIDES = ("train", "validation", "test")
_SUFFIXES = tuple(AUDIO_SUFFIXES)


@dataclass(frozen=True)
class Track:
    """One recording.

    Args:
        name: unique in its data set.
        stems: what it is made of, by name; the mixture is their plain sum unless ``"mixture"`` is among them. A stem is
            a file, a folder whose files are summed, ``FILE#N`` (the sound stream N of a container), or ``FILE#left``,
            ``FILE#right`` (a channel); `stems.open_stem` opens any of them.
        material: everything that must not be on both sides of a split, e.g. ``{"singer:amy", "backing:amy_4"}``.
        labels: further facts a recipe may use, e.g. ``{"voice": "high"}``; ``"side"`` where the folder says it.
    """

    name: str
    stems: Mapping[str, Path]
    material: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


class Problem(NamedTuple):
    """One thing that is wrong with one file or track.

    Args:
        kind: ``missing unexpected ambiguous unreadable damaged rate channels length silent mixture duplicate shared``.
        where: path below the data set's folder, or a track's name; empty if it concerns the folder.
        what: the rest of the sentence, e.g. ``"is missing"``.
    """

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}".strip()


class Found(NamedTuple):
    """What a reader found below a folder: the tracks that are whole, and what is wrong with the others."""

    tracks: list[Track]
    problems: list[Problem]


class Known(NamedTuple):
    """Material that a published split is known to share.

    Args:
        sides: the two sides.
        material: items, or patterns of `fnmatch`, e.g. ``"speaker:*"``.
        why: a sentence for the user.
    """

    sides: tuple[str, str]
    material: tuple[str, ...]
    why: str

    def covers(self, shared: "Shared") -> bool:
        """Whether this is what was known."""
        return set(self.sides) == set(shared.sides) and any(fnmatchcase(shared.item, m) for m in self.material)


class Shared(NamedTuple):
    """One item of material on two sides, with the first track on each."""

    item: str
    sides: tuple[str, str]
    tracks: tuple[str, str]

    def __str__(self) -> str:
        (one, other), (first, second) = self.sides, self.tracks
        return f"{self.item} is in {one} ({first}) and in {other} ({second})"


def shared_material(sides: Mapping[str, Sequence[Track]]) -> Iterator[Shared]:
    """Every item of material that is on more than one side, once for each pair of sides."""
    owners: dict[str, dict[str, str]] = {}
    for side, tracks in sides.items():
        for track in tracks:
            for item in sorted(track.material):
                owner = owners.setdefault(item, {})
                if side not in owner:
                    yield from (Shared(item, (s, side), (name, track.name)) for s, name in owner.items())
                    owner[side] = track.name


def check_split(sides: Mapping[str, Sequence[Track]], known: Sequence[Known] = ()) -> None:
    """Refuse a split whose sides share material.

    Args:
        sides: ``{side: tracks}``.
        known: what a published split is known to share.

    Raises:
        DataError: names the shared material and one track on each side.
    """
    for shared in shared_material(sides):
        if not any(k.covers(shared) for k in known):
            raise DataError(
                f"Split the data into {', '.join(sides)}",
                str(shared),
                "Put everything that shares a singer, speaker, song or backing track on one side",
            )


def by_side(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """The sides that the folders say (the label ``side``), those without tracks left out."""
    sides = {side: [t for t in tracks if t.labels.get("side") == side] for side in SIDES}
    return {side: part for side, part in sides.items() if part}


def refuse(folder: Path, layout: str, problems: Iterable[Problem | str]) -> None:
    """Raise one `DataError` that names every problem, file by file, if there is any."""
    found = [str(problem) for problem in problems]
    if found:
        shown = "; ".join(found[:LISTED]) + (f"; and {len(found) - LISTED} more" if len(found) > LISTED else "")
        raise DataError(f"Read {folder} as {layout}", shown, "Restore these files, or pass the folder that holds them")


def complete(folder: Path, layout: str, found: Found) -> list[Track]:
    """The tracks, if nothing is wrong.

    Raises:
        DataError: names every problem, file by file.
    """
    refuse(folder, layout, found.problems)
    return found.tracks


def nothing(what: str) -> list[Problem]:
    """The problem of a folder in which nothing of the layout was found."""
    return [Problem("missing", "", f"no {what} was found")]


def missing(folder: Path, path: Path) -> Problem:
    """The problem of a file that ought to be there."""
    return Problem("missing", below(folder, path), "is missing")


def below(folder: Path, path: Path) -> str:
    """A path as the user sees it: below the data set's folder, with ``/``."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def is_audio(path: Path) -> bool:
    """Whether a file's name says audio; hidden files do not count."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def audio_names(folder: Path) -> list[str]:
    """Names of the audio files directly in `folder`, sorted; none if it is no folder. Fast: sets have 300,000 files."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(n for n in names if n.lower().endswith(_SUFFIXES) and not n.startswith("."))


def audio_files(folder: Path) -> list[Path]:
    """The audio files below `folder`, sorted, hidden ones left out."""
    return sorted(p for p in folder.rglob("*") if is_audio(p))


def some(paths: Iterable[Path]) -> Iterator[Path]:
    """The first of many: enough to recognise a layout without listing a set of 20,000 examples."""
    return islice(paths, LOOKED_AT)


def folders(folder: Path) -> list[Path]:
    """The folders directly in `folder`, sorted, hidden ones left out; none if it is no folder."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")) if folder.is_dir() else []


def stems_in(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The audio files directly in a folder by their name without suffix, and those whose name is taken already."""
    stems: dict[str, Path] = {}
    twice: list[Path] = []
    for path in (folder / name for name in audio_names(folder)):
        if stems.setdefault(path.stem, path) != path:
            twice.append(path)
    return stems, twice
