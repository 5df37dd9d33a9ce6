"""Songs of the game Frets on Fire: the guitar, the rhythm guitar or bass in some, and the rest of the band.

Layout: ``[PACK/]SONG/{song.ini,guitar.ogg,song.ogg[,rhythm.ogg]}``; ``song.ini`` says name and artist. ``song.ogg`` is
everything that is not in another file. Packs for later games split the band further (``drums.ogg``, …); they are refused,
because the sum of what is read here would not be the song.
"""

import configparser
from pathlib import Path

from separation.datasets.tracks import Found, Problem, Track, below, complete, is_audio, missing, nothing

LAYOUT = "songs of Frets on Fire ([PACK/]SONG/{song.ini,guitar.ogg,song.ogg})"
NEEDED = ("guitar", "song")
OPTIONAL = ("rhythm",)
NOT_SOUNDING = ("preview",)
"""Excerpts that the menu plays."""


def recognises(folder: Path) -> bool:
    """Whether a song's folder has ``guitar.ogg`` and ``song.ogg``."""
    return any(all((song / f"{name}.ogg").is_file() for name in NEEDED) for song in _songs(folder))


def find(folder: Path) -> Found:
    """Songs with all they need; what is missing or cannot be read, file by file."""
    tracks: list[Track] = []
    problems: list[Problem] = []
    for song in _songs(folder):
        track, wrong = _song(folder, song)
        problems += wrong
        if not wrong:
            tracks.append(track)
    return Found(tracks, problems or ([] if tracks else nothing("SONG/guitar.ogg")))


def read(folder: Path) -> list[Track]:
    """Tracks of ``guitar``, ``song`` (the rest) and, where it is there, ``rhythm``. Raises `DataError`."""
    return complete(folder, LAYOUT, find(folder))


def _songs(folder: Path) -> list[Path]:
    levels = ("", "*/", "*/*/")
    return sorted({path.parent for level in levels for name in NEEDED for path in folder.glob(f"{level}{name}.ogg")})


def _song(folder: Path, song: Path) -> tuple[Track, list[Problem]]:
    stems = {name: song / f"{name}.ogg" for name in (*NEEDED, *OPTIONAL) if (song / f"{name}.ogg").is_file()}
    problems = [missing(folder, song / f"{name}.ogg") for name in NEEDED if name not in stems]
    others = (p for p in sorted(song.iterdir()) if is_audio(p) and p.stem not in (*NEEDED, *OPTIONAL, *NOT_SOUNDING))
    problems += [Problem("unexpected", below(folder, p), "is a part of the song that is not read here") for p in others]
    facts, wrong = _facts(folder, song / "song.ini")
    artist, title = facts.get("artist", ""), facts.get("name", song.name)
    return Track(
        name=below(folder, song) if song != folder else song.name,
        stems=stems,
        material=frozenset({f"song:{artist} - {title}"} | ({f"artist:{artist}"} if artist else set())),
        labels={"artist": artist, "title": title},
    ), problems + wrong


def _facts(folder: Path, table: Path) -> tuple[dict[str, str], list[Problem]]:
    if not table.is_file():
        return {}, [missing(folder, table)]
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(table.read_text(encoding="utf-8-sig", errors="replace"))
        return dict(parser["song"]), []
    except (configparser.Error, KeyError) as error:
        reason = str(error).splitlines()[0]
        return {}, [Problem("unreadable", below(folder, table), f"has no readable section [song] ({reason})")]
