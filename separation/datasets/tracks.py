"""What a data set is made of: tracks with named stems, and splits that may be trusted.

A split is refused when its sides share *material*: a singer, a speaker, or a backing track, whatever the files are
called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from separation.errors import DataError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aiff", ".aif"})
LISTED = 20  # problems named in one message; the rest is counted


@dataclass(frozen=True)
class Track:
    """One recording.

    Args:
        name: unique in its data set.
        stems: what it is made of, by name; the mixture is their plain sum unless ``"mixture"`` is among them.
        material: everything that must not be on both sides of a split, e.g. ``{"singer:amy", "backing:amy_4"}``.
        labels: further facts a recipe may use, e.g. ``{"voice": "high"}``.
    """

    name: str
    stems: Mapping[str, Path]
    material: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


def check_split(sides: Mapping[str, Sequence[Track]]) -> None:
    """Refuse a split whose sides share material.

    Raises:
        DataError: names the shared material and one track on each side.
    """
    owner: dict[str, tuple[str, str]] = {}
    for side, tracks in sides.items():
        for track in tracks:
            for item in sorted(track.material):
                first_side, first_track = owner.setdefault(item, (side, track.name))
                if first_side != side:
                    raise DataError(
                        f"Split the data into {', '.join(sides)}",
                        f"{item} is in {first_side} ({first_track}) and in {side} ({track.name})",
                        "Put everything that shares a singer, speaker or backing track on one side",
                    )


def refuse(folder: Path, layout: str, problems: Iterable[str]) -> None:
    """Raise one `DataError` that names every problem, file by file, if there is any."""
    found = list(problems)
    if found:
        shown = "; ".join(found[:LISTED]) + (f"; and {len(found) - LISTED} more" if len(found) > LISTED else "")
        raise DataError(f"Read {folder} as {layout}", shown, "Restore these files, or pass the folder that holds them")


def audio_files(folder: Path) -> list[Path]:
    """The audio files below `folder`, sorted, hidden ones left out."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith("."))
