"""Any folder of ``TRACK/STEM.EXT``, with or without ``train``, ``validation`` and ``test`` above the tracks.

A stem that more than half of the tracks have is expected in all of them, and named where it is missing; a ``mixture`` is
what the stems add up to, or their plain sum where there is none. Nothing is known about singers or songs, so the only
material of a track is its name.
"""

from collections import Counter
from pathlib import Path

from separation.datasets.tracks import (
    MIXTURE,
    SIDES,
    Found,
    Problem,
    Track,
    audio_names,
    below,
    by_side,
    check_split,
    complete,
    folders,
    missing,
    nothing,
    some,
    stems_in,
)

LAYOUT = "a folder of TRACK/STEM.EXT"
_OF_MIXTURES = frozenset({"mix", "mix_both", "mix_clean", "mix_single", "s1", "s2"})
"""Folders that `mixtures` reads: there a folder is a stem and a file is a track, the other way round."""


def recognises(folder: Path) -> bool:
    """Whether tracks have stems of the same names, or the only track has two."""
    paths = list(some(path for _, path in _tracks(folder)))
    if any(path.name in _OF_MIXTURES for path in paths):
        return False
    named = [stems for stems in (set(stems_in(path)[0]) for path in paths) if stems]
    counts = Counter(name for stems in named for name in stems)
    return len(counts) > 1 and max(counts.values()) >= min(2, len(named))


def find(folder: Path) -> Found:
    """Tracks with every stem that most tracks have; what is missing, file by file."""
    named = {path: (side, *stems_in(path)) for side, path in _tracks(folder)}
    named = {path: found for path, found in named.items() if found[1]}
    counts = Counter(name for _, stems, _ in named.values() for name in stems)
    expected = [name for name, count in sorted(counts.items()) if 2 * count > len(named)]
    tracks: list[Track] = []
    problems: list[Problem] = []
    for path, (side, stems, twice) in named.items():
        lacking = [
            _lacking(folder, path, name, stems, counts[name], len(named)) for name in expected if name not in stems
        ]
        lacking += [Problem("ambiguous", below(folder, p), "is there in two formats") for p in twice]
        if set(stems) == {MIXTURE}:
            lacking.append(Problem("missing", below(folder, path), "has a mixture and no stem"))
        problems += lacking
        if not lacking:
            labels = {"side": side} if side else {}
            tracks.append(Track(below(folder, path), stems, frozenset({f"track:{path.name}"}), labels))
    problems += _neither(folder)
    return Found(tracks, problems or ([] if tracks else nothing("TRACK/STEM.EXT")))


def read(folder: Path) -> list[Track]:
    """Tracks with the stems that their folders have. Raises `DataError`."""
    return complete(folder, LAYOUT, find(folder))


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """The sides that the folders say; none without them. Raises `DataError` if a track's name is on two sides."""
    sides = by_side(tracks)
    check_split(sides)
    return sides


def _tracks(folder: Path) -> list[tuple[str, Path]]:
    """``(side, track)``; the side is empty where the folders do not say one."""
    return [
        (top.name if top.name in SIDES else "", track)
        for top in folders(folder)
        for track in (folders(top) if top.name in SIDES else [top])
    ]


def _neither(folder: Path) -> list[Problem]:
    """Folders that hold tracks and are no side, e.g. ``valid``: left out in silence, they would be missed."""
    tops = (top for top in folders(folder) if top.name not in SIDES and not audio_names(top))
    what = f"holds folders with audio, but is no track and none of {', '.join(SIDES)}"
    return [Problem("unexpected", top.name, what) for top in tops if any(audio_names(sub) for sub in folders(top))]


def _lacking(folder: Path, path: Path, name: str, stems: dict[str, Path], count: int, of: int) -> Problem:
    suffix = next(iter(stems.values())).suffix
    gone = missing(folder, path / f"{name}{suffix}")
    return gone._replace(what=f"is missing ({count} of {of} tracks have {name})")
