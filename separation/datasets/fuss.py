"""FUSS: ten seconds of one background and up to three foreground sounds of any kind, 16 kHz mono.

Layout: ``[ssdata|ssdata_reverb/]train|validation|eval/exampleNNNNN.wav`` beside
``exampleNNNNN_sources/{background0_sound,foregroundN_sound}.wav`` (or in ``background/`` and ``foreground/`` below it, as the
authors' scripts write them). Wisdom et al., "What's All the FUSS About Free Universal Sound Separation Data?", ICASSP 2021.
The number of sources varies. The clips that an example is made of are in ``exampleNNNNN.jams``; where it is there they are
the track's material, so that a split that shares a clip is refused.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from separation.datasets.tracks import (
    MIXTURE,
    Found,
    Problem,
    Track,
    below,
    by_side,
    check_split,
    complete,
    missing,
    nothing,
    stems_in,
)

PARTS = {"train": "train", "validation": "validation", "eval": "test"}
LAYOUT = "FUSS (train|validation|eval/exampleNNNNN.wav beside exampleNNNNN_sources/*.wav)"
_SOURCES = "_sources"
_NUMBERED = re.compile(r"(background|foreground)(\d+)_\w+")


def recognises(folder: Path) -> bool:
    """Whether a part holds a folder ``example…_sources``."""
    return bool(_roots(folder))


def find(folder: Path) -> Found:
    """Examples with all their sources; what is missing, file by file."""
    roots = _roots(folder)
    if len(roots) != 1:
        several = f"several versions are in this folder: {', '.join(below(folder, root) for root in roots)}; pass one"
        return Found([], [Problem("ambiguous", "", several)] if roots else nothing("example with its sources"))
    tracks: list[Track] = []
    problems: list[Problem] = []
    for part in PARTS:
        place = roots[0] / part
        entries = [entry.name for entry in place.iterdir()] if place.is_dir() else []
        examples = {n.removesuffix(_SOURCES) for n in entries if n.startswith("example") and n.endswith(_SOURCES)}
        examples |= {Path(n).stem for n in entries if re.fullmatch(r"example\w+\.wav", n)}
        for example in sorted(examples):
            track, wrong = _example(folder, place, example)
            problems += wrong
            if not wrong:
                tracks.append(track)
    return Found(tracks, problems)


def read(folder: Path) -> list[Track]:
    """Tracks of ``mixture``, ``background0_sound`` and up to three ``foregroundN_sound``. Raises `DataError`."""
    return complete(folder, LAYOUT, find(folder))


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """The published split (``eval`` is the test side). Raises `DataError` if two sides share a clip."""
    sides = by_side(tracks)
    check_split(sides)
    return sides


def _roots(folder: Path) -> list[Path]:
    roots = (folder, folder / "ssdata", folder / "ssdata_reverb")
    return [r for r in roots if any(next((r / part).glob(f"example*{_SOURCES}"), None) for part in PARTS)]


def _example(folder: Path, place: Path, example: str) -> tuple[Track, list[Problem]]:
    mixture, sources = place / f"{example}.wav", place / f"{example}{_SOURCES}"
    problems = [] if mixture.is_file() else [missing(folder, mixture)]
    stems = stems_in(sources)[0] or {**stems_in(sources / "background")[0], **stems_in(sources / "foreground")[0]}
    problems += [Problem("missing", below(folder, path), "is missing") for path in _gaps(sources, stems)]
    material, wrong = _clips(folder, place / f"{example}.jams")
    name = f"{place.name}/{example}"
    labels = {"side": PARTS[place.name], "sources": str(len(stems))}
    return Track(name, {MIXTURE: mixture, **stems}, material, labels), problems + wrong


def _gaps(sources: Path, stems: dict[str, Path]) -> list[Path]:
    """The background if it is not there, and foregrounds below the highest number."""
    matches = [match for match in map(_NUMBERED.fullmatch, stems) if match]
    numbers = {kind: {int(m[2]) for m in matches if m[1] == kind} for kind in ("background", "foreground")}
    wanted = {"background": range(1), "foreground": range(max(numbers["foreground"], default=-1) + 1)}
    return [sources / f"{kind}{i}_sound.wav" for kind in wanted for i in wanted[kind] if i not in numbers[kind]]


def _clips(folder: Path, table: Path) -> tuple[frozenset[str], list[Problem]]:
    """The Freesound clips of an example, from scaper's annotation; nothing where there is none."""
    if not table.is_file():
        return frozenset(), []
    try:
        events: Any = json.loads(table.read_text(encoding="utf-8"))["annotations"][0]["data"]
        paths = [event["value"]["source_file"] for event in events]
    except (ValueError, LookupError, TypeError) as error:
        return frozenset(), [Problem("unreadable", below(folder, table), f"does not tell its clips ({error!r})")]
    return frozenset(f"clip:{PurePosixPath(path).name}" for path in paths), []
