"""Speech by many speakers, one file an utterance.

Two layouts: LibriSpeech as ``PART/[SPEAKER/]SPEAKER-CHAPTER-UTTERANCE.EXT`` (Panayotov et al., ICASSP 2015), and one
folder a speaker, ``SPEAKER/*.EXT`` (TSP: Kabal, McGill 2002, whose women are named F…, men M…). An ``utterances.csv`` with
``utterance,median_f0_hz`` is read if it is there: recipes use it to pair low with high voices.
"""

import csv
from pathlib import Path
from statistics import median

from separation.datasets.tracks import Track, audio_files, refuse

HIGH_HZ = 165.0  # most women's median is above, most men's below
NAMED = {"F": "high", "M": "low"}


def read_librispeech(folder: Path) -> dict[str, list[Track]]:
    """``{part: tracks}``; each track has the one stem ``speech`` and the speaker as its material."""
    voices = _voices(folder / "utterances.csv")
    parts: dict[str, list[Track]] = {}
    for path in audio_files(folder):
        part, speaker = path.relative_to(folder).parts[0], path.stem.split("-")[0]
        parts.setdefault(part, []).append(_track(f"librispeech:{speaker}", path, voices.get(speaker, "")))
    if not parts:
        refuse(folder, "LibriSpeech (PART/SPEAKER-CHAPTER-UTTERANCE.EXT)", ["no utterance was found"])
    return parts


def read_speakers(folder: Path, corpus: str) -> dict[str, list[Track]]:
    """``{speaker: tracks}`` from one folder a speaker."""
    speakers = {
        sub.name: [_track(f"{corpus}:{sub.name}", path, NAMED.get(sub.name[0], "")) for path in audio_files(sub)]
        for sub in sorted(p for p in folder.glob("*") if p.is_dir())
    }
    speakers = {name: tracks for name, tracks in speakers.items() if tracks}
    if not speakers:
        refuse(folder, "speech (SPEAKER/UTTERANCE.EXT)", ["no utterance was found"])
    return speakers


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
