"""MUSDB18 and MUSDB18-HQ: 150 songs in drums, bass, other and vocals, 44.1 kHz stereo.

Layouts: ``train|test/ARTIST - TITLE.stem.mp4`` (Native Instruments' format: five stereo AAC streams, the mixture first) and
``train|test/ARTIST - TITLE/{mixture,drums,bass,other,vocals}.EXT``. Rafii, Liutkus, Stöter, Mimilakis and Bittner, doi
10.5281/zenodo.1117372 and 10.5281/zenodo.3338373. The validation songs are those of the authors' package (``mus.yaml``).

The published split shares artists; `KNOWN` lists them, from the published list of tracks. The mixture of the AAC version is
coded by itself, so it is not exactly the sum of its stems. `ERRATA` are the data set's own
(https://sigsep.github.io/datasets/musdb.html).
"""

import re
from pathlib import Path

from separation.datasets.tracks import (
    MIXTURE,
    Found,
    Known,
    Problem,
    Track,
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

STREAMS = (MIXTURE, "drums", "bass", "other", "vocals")
"""The streams of a ``stem.mp4``, in their order."""
VALIDATION = frozenset(
    {
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "ANiMAL - Rockshow",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
KNOWN = (
    Known(
        ("train", "validation"),
        tuple(sorted(f"artist:{name.partition(' - ')[0]}" for name in VALIDATION)),
        "the published validation songs are by artists of the training songs",
    ),
    Known(
        ("train", "test"),
        ("artist:Hollow Ground", "artist:Skelpolu", "artist:The Long Wait", "artist:Triviul"),
        "four artists of the published test songs are in the training folder too",
    ),
    Known(
        ("validation", "test"),
        ("artist:Skelpolu", "artist:Triviul"),
        "two artists of the published test songs are among the validation songs too",
    ),
)
ERRATA = {
    "Chris Durban - Celebrate": "other instruments bleed into the vocals",
    "Detsky Sad - Walkie Talkie": "other is mixed into the drums",
    "Enda Reilly - Cur An Long Ag Seol": "there is speech at the start of other",
    "Hop Along - Sister Cities": "other instruments bleed into the vocals",
    "Leaf - Wicked": "an electric guitar is mixed into the drums at 2:20 and 3:02",
    "PR - Oh No": "the stems do not add up to the mixture in the left channel",
}
OTHER_SIDES = ("dev", "val", "valid", "validation")
"""Folders that other tools make for validation; the published songs for it are in ``train``."""
STEMS_LAYOUT = "MUSDB18 (train|test/ARTIST - TITLE.stem.mp4)"
WAV_LAYOUT = "MUSDB18-HQ (train|test/ARTIST - TITLE/{mixture,drums,bass,other,vocals}.wav)"
_SUFFIX = ".stem.mp4"


def recognises_stems(folder: Path) -> bool:
    """Whether ``train`` or ``test`` holds a ``stem.mp4``."""
    return any(_stem_files(folder / side) for side in ("train", "test"))


def find_stems(folder: Path) -> Found:
    """Tracks whose stems are the streams of a ``stem.mp4``; nothing is decoded."""
    tracks = [
        _track(path.name.removesuffix(_SUFFIX), side, {n: Path(f"{path}#{i}") for i, n in enumerate(STREAMS)})
        for side in ("train", "test")
        for path in _stem_files(folder / side)
    ]
    return Found(tracks, _other_sides(folder) if tracks else nothing("train|test/*.stem.mp4"))


def read_stems(folder: Path) -> list[Track]:
    """MUSDB18 as tracks of ``mixture``, ``drums``, ``bass``, ``other`` and ``vocals``. Raises `DataError`."""
    return complete(folder, STEMS_LAYOUT, find_stems(folder))


def recognises_wav(folder: Path) -> bool:
    """Whether a track below ``train`` or ``test`` has at least three of the five files."""
    tracks = (track for side in ("train", "test") for track in some(folders(folder / side)))
    return any(len(set(STREAMS) & set(stems_in(track)[0])) >= 3 for track in tracks)


def find_wav(folder: Path) -> Found:
    """Tracks of five files each; what is missing is named file by file."""
    tracks: list[Track] = []
    problems = _other_sides(folder)
    for side in ("train", "test"):
        for path in folders(folder / side):
            stems, twice = stems_in(path)
            lacking = [missing(folder, path / f"{name}.wav") for name in STREAMS if name not in stems]
            lacking += [Problem("ambiguous", below(folder, p), "is there in two formats") for p in twice]
            problems += lacking
            if not lacking:
                tracks.append(_track(path.name, side, {name: stems[name] for name in STREAMS}))
    return Found(tracks, problems or ([] if tracks else nothing("train|test/TRACK folder")))


def read_wav(folder: Path) -> list[Track]:
    """MUSDB18-HQ as tracks of ``mixture``, ``drums``, ``bass``, ``other`` and ``vocals``. Raises `DataError`."""
    return complete(folder, WAV_LAYOUT, find_wav(folder))


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """The published split: 86 songs to train, 14 to validate, 50 to test. It shares artists, see `KNOWN`.

    Raises:
        DataError: it shares a song, or an artist beyond the known ones.
    """
    sides = by_side(tracks)
    check_split(sides, KNOWN)
    return sides


def _other_sides(folder: Path) -> list[Problem]:
    what = "is no folder of the published set, whose validation songs are in train; move its songs there"
    return [Problem("unexpected", name, what) for name in OTHER_SIDES if (folder / name).is_dir()]


def _stem_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob(f"*{_SUFFIX}") if not p.name.startswith("."))


def _track(name: str, folder: str, stems: dict[str, Path]) -> Track:
    artist, dash, title = name.partition(" - ")
    artist = re.split(r" feat\. | \(", artist)[0] if dash else ""
    side = "validation" if folder == "train" and name in VALIDATION else folder
    return Track(
        name=f"{folder}/{name}",
        stems=stems,
        material=frozenset({f"song:{name}"} | ({f"artist:{artist}"} if artist else set())),
        labels={"side": side, "artist": artist, "title": title, "song": name},
    )
