"""MoisesDB: 240 songs by 47 artists in up to eleven stems, several files a stem.

Layout: ``moisesdb_v0.1/UUID/data.json`` beside ``UUID/STEM/ID.wav``; `data.json` says artist, song, genre, and for each stem
its files. Pereira, Araújo, Korzeniowski and Vogl, ISMIR 2023, arXiv 2307.15913. A stem is the sum of its files, the mixture
the sum of the stems; there is no published split.
"""

import json
from pathlib import Path
from typing import Any

from separation.datasets.tracks import Found, Problem, Track, audio_files, below, complete, folders, missing, nothing

LAYOUT = "MoisesDB (moisesdb_v0.1/UUID/data.json beside UUID/STEM/ID.wav)"
TABLE = "data.json"


def recognises(folder: Path) -> bool:
    """Whether there is a ``data.json`` one or two folders down."""
    return next(_tables(folder), None) is not None


def find(folder: Path) -> Found:
    """One track a ``data.json``; what it names and is not there, and what is there and not named, file by file."""
    tracks: list[Track] = []
    problems: list[Problem] = []
    for table in sorted(_tables(folder)):
        track, wrong = _song(folder, table)
        problems += wrong
        if track is not None and not wrong:
            tracks.append(track)
    return Found(tracks, problems or ([] if tracks else nothing(f"UUID/{TABLE}")))


def read(folder: Path) -> list[Track]:
    """Tracks with the stems that each song has. Raises `DataError`."""
    return complete(folder, LAYOUT, find(folder))


def _tables(folder: Path) -> Any:
    yield from folder.glob(f"*/{TABLE}")
    yield from folder.glob(f"*/*/{TABLE}")


def _song(folder: Path, table: Path) -> tuple[Track | None, list[Problem]]:
    where = below(folder, table)
    try:
        facts = json.loads(table.read_text(encoding="utf-8"))
        listed = [
            table.parent / stem["stemName"] / f"{file['id']}.{file['extension']}"
            for stem in facts["stems"]
            for file in stem["tracks"]
        ]
        artist, title = str(facts["artist"]), str(facts["song"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        return None, [Problem("unreadable", where, f"does not say artist, song and stems ({_reason(error)})")]
    problems = [missing(folder, path) for path in listed if not path.is_file()]
    present = [path for sub in folders(table.parent) for path in audio_files(sub)]
    problems += [Problem("unexpected", below(folder, p), f"is not in {TABLE}") for p in present if p not in set(listed)]
    files: dict[str, list[Path]] = {}
    for path in listed:
        files.setdefault(path.parent.name, []).append(path)
    if not files:
        problems.append(Problem("missing", where, "names no stem"))
    bleeding = sorted(s["stemName"] for s in facts["stems"] if any(f.get("has_bleed") for f in s["tracks"]))
    return Track(
        name=table.parent.name,
        stems={stem: paths[0] if len(paths) == 1 else paths[0].parent for stem, paths in files.items()},
        material=frozenset({f"artist:{artist}", f"song:{artist} - {title}"}),
        labels={"artist": artist, "title": title, "genre": str(facts.get("genre", "")), "bleed": " ".join(bleeding)},
    ), problems


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
