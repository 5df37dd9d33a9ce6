"""Speech by many speakers, one file an utterance.

Two layouts: LibriSpeech as ``PART/[SPEAKER/]SPEAKER-CHAPTER-UTTERANCE.EXT`` (Panayotov et al., ICASSP 2015), and one
folder a speaker, ``SPEAKER/*.EXT`` (TSP: Kabal, McGill 2002, whose women are named F…, men M…). An ``utterances.csv`` with
``utterance,median_f0_hz`` is read if it is there: recipes use it to pair low with high voices.
"""

import csv
import re
from pathlib import Path
from statistics import median

from separation.datasets.tracks import (
    Found,
    Track,
    audio_files,
    by_side,
    check_split,
    folders,
    is_audio,
    nothing,
    refuse,
    some,
)
from separation.errors import DataError

HIGH_HZ = 165.0  # most women's median is above, most men's below
NAMED = {"F": "high", "M": "low"}
PARTS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
"""Sides by the first word of a LibriSpeech part, e.g. ``dev-clean``."""
LIBRISPEECH = "LibriSpeech (PART/SPEAKER-CHAPTER-UTTERANCE.EXT)"
SPEAKERS = "speech (SPEAKER/UTTERANCE.EXT)"
_UTTERANCE = re.compile(r"\d+-\d+-\d+")


def read_librispeech(folder: Path) -> dict[str, list[Track]]:
    """``{part: tracks}``; each track has the one stem ``speech`` and the speaker as its material."""
    voices = _voices(folder / "utterances.csv")
    parts: dict[str, list[Track]] = {}
    for path in audio_files(folder):
        part, speaker = path.relative_to(folder).parts[0], path.stem.split("-")[0]
        parts.setdefault(part, []).append(_track(f"librispeech:{speaker}", path, voices.get(speaker, "")))
    if not parts:
        refuse(folder, LIBRISPEECH, nothing("utterance"))
    return parts


def read_speakers(folder: Path, corpus: str) -> dict[str, list[Track]]:
    """``{speaker: tracks}`` from one folder a speaker."""
    speakers = {
        sub.name: [_track(f"{corpus}:{sub.name}", path, NAMED.get(sub.name[0], "")) for path in audio_files(sub)]
        for sub in sorted(p for p in folder.glob("*") if p.is_dir())
    }
    speakers = {name: tracks for name, tracks in speakers.items() if tracks}
    if not speakers:
        refuse(folder, SPEAKERS, nothing("utterance"))
    return speakers


def recognises_librispeech(folder: Path) -> bool:
    """Whether a part holds an utterance named as LibriSpeech names them."""
    parts = (part for part in folders(folder) if part.name.partition("-")[0] in PARTS)
    return any(_UTTERANCE.fullmatch(path.stem) for part in parts for path in some(part.rglob("*.*")))


def find_librispeech(folder: Path) -> Found:
    """`read_librispeech` as one list, with the sides that the parts say."""
    try:
        parts = read_librispeech(folder)
    except DataError:
        return Found([], nothing("utterance"))
    tracks = [
        Track(f"{part}/{t.name}", t.stems, t.material, {**t.labels, "part": part, "side": side})
        for part, found in parts.items()
        if (side := PARTS.get(part.partition("-")[0]))
        for t in found
    ]
    return Found(tracks, [] if tracks else nothing("part train…, dev…, validation or test…"))


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """The parts of LibriSpeech by their first word. Raises `DataError` if a speaker is on two sides."""
    sides = by_side(tracks)
    check_split(sides)
    return sides


def recognises_speakers(folder: Path) -> bool:
    """Whether every folder holds utterances that are named after it, as TSP's are: ``FA/FA01_01.wav``."""
    files = [(sub, list(some(filter(is_audio, sub.rglob("*"))))) for sub in some(folders(folder))]
    return any(found for _, found in files) and all(p.stem.startswith(sub.name) for sub, found in files for p in found)


def find_speakers(folder: Path) -> Found:
    """`read_speakers` as one list, the corpus named after the folder."""
    try:
        speakers = read_speakers(folder, folder.resolve().name)
    except DataError:
        return Found([], nothing("utterance"))
    return Found([track for tracks in speakers.values() for track in tracks], [])


def _track(speaker: str, path: Path, voice: str) -> Track:
    return Track(
        name=f"{speaker}/{path.stem}",
        stems={"speech": path},
        material=frozenset({f"speaker:{speaker}"}),
        labels={"speaker": speaker, "voice": voice},
    )


def _voices(table: Path) -> dict[str, str]:
    """``{speaker: high or low}`` by the median over the speaker's utterances, of which a single one can mislead."""
    if not table.is_file():
        return {}
    f0_hz: dict[str, list[float]] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if not row["median_f0_hz"]:  # nothing voiced was found in it
                continue
            f0_hz.setdefault(row["utterance"].split("-")[0], []).append(float(row["median_f0_hz"]))
    return {speaker: "high" if median(values) > HIGH_HZ else "low" for speaker, values in f0_hz.items()}
