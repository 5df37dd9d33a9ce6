"""Speech mixed by a script: WSJ0-2mix and -3mix, WHAM!, Libri2Mix and Libri3Mix; one file name in every folder.

Layout: ``[…/]wav8k|wav16k/min|max/SIDE/{MIXTURE,s1,s2,[s3],[noise]}/NAME.wav``.

- WSJ0-2mix (Hershey et al., ICASSP 2016): ``mix``; names like ``050a0501_1.7783_442o030z_-1.7783``, whose first three letters
  of each utterance are its speaker. ``tr`` and ``cv`` come from the same speakers, ``tt`` from others.
- WHAM! (Wichern et al., Interspeech 2019): the same utterances with noise; ``mix_both`` = s1 + s2 + noise, ``mix_clean`` = s1 +
  s2, ``mix_single`` = s1 + noise. All levels differ from WSJ0-2mix by one gain a mixture; within WHAM! the sums hold.
- LibriMix (Cosentino et al., arXiv 2005.11262): the same three mixtures; ``SPEAKER-CHAPTER-UTTERANCE_…`` of LibriSpeech.

The folder must hold one version: one rate, one of ``min`` and ``max``, one number of speakers. Noise recordings are not
told apart by the names, so nothing is claimed about sharing them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from separation.datasets.tracks import (
    MIXTURE,
    Found,
    Known,
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
)

WSJ0 = {"tr": "train", "cv": "validation", "tt": "test"}
LIBRI = {"train-100": "train", "train-360": "train", "dev": "validation", "test": "test"}
KNOWN = (
    Known(
        ("train", "validation"),
        ("speaker:wsj0:*",),
        "WSJ0-2mix draws its validation mixtures from the training speakers; only the test speakers are new",
    ),
)
_VERSION = re.compile(r"wav\d+k|min|max|\dspeakers(_\w+)?|Libri\dMix", re.IGNORECASE)
_UTTERANCE = re.compile(r"[0-9a-z]{8}", re.IGNORECASE)
_GAIN = re.compile(r"-?\d+(\.\d+)?")
_LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")


class Task(NamedTuple):
    """Which mixture of a set, and what it is the sum of.

    Args:
        title: for messages.
        sides: ``{folder: side}``.
        mixture: folder of the mixture.
        single: of the speakers only ``s1``.
        noise: ``noise`` is one of the stems.
    """

    title: str
    sides: Mapping[str, str]
    mixture: str
    single: bool = False
    noise: bool = False


WSJ0_MIX = Task("WSJ0-2mix", WSJ0, "mix")
WHAM = Task("WHAM!, speakers in noise", WSJ0, "mix_both", noise=True)
WHAM_CLEAN = Task("WHAM!, speakers without noise", WSJ0, "mix_clean")
WHAM_SINGLE = Task("WHAM!, one speaker in noise", WSJ0, "mix_single", single=True, noise=True)
LIBRIMIX = Task("LibriMix, speakers in noise", LIBRI, "mix_both", noise=True)
LIBRIMIX_CLEAN = Task("LibriMix, speakers without noise", LIBRI, "mix_clean")
LIBRIMIX_SINGLE = Task("LibriMix, one speaker in noise", LIBRI, "mix_single", single=True, noise=True)


def recognises(folder: Path, task: Task) -> bool:
    """Whether a side below `folder` has the task's mixture beside ``s1``."""
    return bool(_versions(folder, task))


def find(folder: Path, task: Task) -> Found:
    """Tracks whose files are all there; the others, file by file; all folders but one version refused."""
    versions = _versions(folder, task)
    wanted = f"SIDE/{task.mixture} beside SIDE/s1, where SIDE is one of {', '.join(task.sides)},"
    if len(versions) > 1:
        held = ", ".join(below(folder, root) for root in versions)
        return Found([], [Problem("ambiguous", "", f"several versions are in this folder: {held}; pass one of them")])
    if not versions:
        return Found([], nothing(wanted))
    (root,) = versions
    parts = {part: side for part, side in task.sides.items() if (root / part).is_dir()}
    speakers = sorted({sub.name for part in parts for sub in folders(root / part) if re.fullmatch(r"s\d", sub.name)})
    names = (*(("s1",) if task.single else speakers), *(("noise",) if task.noise else ()))
    tracks: list[Track] = []
    problems: list[Problem] = []
    for part, side in parts.items():
        places = {MIXTURE: root / part / task.mixture} | {name: root / part / name for name in names}
        files = {name: set(audio_names(place)) for name, place in places.items()}
        for file in sorted(set().union(*files.values())):
            lacking = [missing(folder, place / file) for name, place in places.items() if file not in files[name]]
            title = file.rpartition(".")[0]
            heard = _speakers(title, task)
            if len(heard) != len(speakers):
                where = below(folder, places[MIXTURE] / file)
                lacking.append(Problem("unexpected", where, f"is not named after {len(speakers)} utterances"))
            problems += lacking
            if not lacking:
                stems = {name: place / file for name, place in places.items()}
                tracks.append(_track(part, side, title, stems, heard[:1] if task.single else heard))
    return Found(tracks, problems or ([] if tracks else nothing(f"{task.mixture}/*.wav")))


def read(folder: Path, task: Task) -> list[Track]:
    """Tracks of ``mixture``, ``s1``, ``s2``, … and, as the task says, ``noise``. Raises `DataError`."""
    return complete(folder, task.title, find(folder, task))


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """The published split. WSJ0-2mix shares speakers between train and validation, see `KNOWN`; nothing else may.

    Raises:
        DataError: a speaker is on two sides beyond that.
    """
    sides = by_side(tracks)
    check_split(sides, KNOWN)
    return sides


def _versions(folder: Path, task: Task) -> list[Path]:
    """The folders at or below `folder` that hold sides: four levels, and only through names that versions have."""
    level, found = [folder], []
    for _ in range(4):
        held = [
            d for d in level if any((d / s / task.mixture).is_dir() and (d / s / "s1").is_dir() for s in task.sides)
        ]
        found += held
        level = [sub for d in level if d not in held for sub in folders(d) if _VERSION.fullmatch(sub.name)]
    return found


def _speakers(name: str, task: Task) -> list[str]:
    """The speakers that a file name tells; none if it is not named as the set's script names it."""
    fields = name.split("_")
    if task.sides is LIBRI:
        matches = [_LIBRISPEECH.fullmatch(field) for field in fields]
        return [f"librispeech:{match[1]}" for match in matches if match] if all(matches) else []
    utterances, gains = fields[::2], fields[1::2]
    sound = len(utterances) == len(gains) and all(map(_GAIN.fullmatch, gains))
    if not (sound and all(map(_UTTERANCE.fullmatch, utterances))):
        return []
    return [f"wsj0:{utterance[:3].lower()}" for utterance in utterances]


def _track(part: str, side: str, name: str, stems: dict[str, Path], speakers: list[str]) -> Track:
    return Track(
        name=f"{part}/{name}",
        stems=stems,
        material=frozenset(f"speaker:{speaker}" for speaker in speakers),
        labels={"side": side, "part": part, "speakers": " ".join(speakers)},
    )
