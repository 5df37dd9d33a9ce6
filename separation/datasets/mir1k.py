"""MIR-1K: amateur singing over karaoke music, voice and music apart, 16 kHz.

Layouts: ``SINGER/CLIP.{voice,music}.EXT``, and the original ``Wavfile/SINGER_SONG_CLIP.wav`` and
``UndividedWavfile/SINGER_SONG.wav``, stereo with the music left and the voice right. C.-L. Hsu and J.-S. R. Jang, "On the
improvement of singing voice separation for monaural recordings using the MIR-1K dataset", IEEE TASLP 2010. The mixture is
the plain sum (the 0 dB protocol).

Singers share backing tracks, so a split by singer alone leaks; `SHARED_BACKINGS` was found by cross-correlation among eight
of the 19 singers, and says nothing about the other eleven.
"""

from pathlib import Path

from separation.datasets.tracks import (
    AUDIO_SUFFIXES,
    Found,
    Known,
    Problem,
    Track,
    audio_files,
    check_split,
    complete,
    some,
)
from separation.datasets.tracks import nothing as nothing_found

SHARED_BACKINGS = (
    ("Kenshin_5", "fdps_3", "davidson_3"),
    ("davidson_2", "fdps_5"),
    ("annar_4", "fdps_4"),
    ("geniusturtle_4", "fdps_2"),
    ("Kenshin_3", "amy_4"),
)
TRAIN_SINGERS = ("abjones", "amy", "davidson", "fdps", "Kenshin")
VALIDATION_SINGERS = ("geniusturtle",)
TEST_SINGERS = ("bug", "annar")
LEFT_OUT = frozenset({"geniusturtle_4", "annar_4"})  # their backings are on the training side
PUBLISHED_TRAIN_SINGERS = ("abjones", "amy")
KNOWN = (
    Known(
        ("train", "test"),
        ("backing:Kenshin_3",),
        "the published protocol trains on amy_4 and tests on Kenshin_3, which have one backing track; the backings of "
        "eleven test singers were never compared",
    ),
)
"""What the published protocol (`published_split`) shares."""
LAYOUT = "MIR-1K (SINGER/CLIP.voice.EXT beside SINGER/CLIP.music.EXT)"
ORIGINAL = {"Wavfile": "clips", "UndividedWavfile": "songs"}


def recognises(folder: Path) -> bool:
    """Whether a singer's folder has a ``CLIP.voice.EXT`` or ``CLIP.music.EXT``."""
    return any(_half(path)[1] for path in some(folder.glob("*/*")))


def find(folder: Path) -> Found:
    """All clips below `folder` whose two halves are there; those without the other half, one by one."""
    halves: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.glob("*/*")):
        clip, half = _half(path)
        if half:
            halves.setdefault((path.parent.name, clip), {})[half] = path
    problems = [
        Problem("missing", f"{singer}/{clip}", f"has no {half} file")
        for (singer, clip), found in halves.items()
        for half in ("voice", "music")
        if half not in found
    ]
    tracks = [
        _track(singer, clip, found["voice"], found["music"])
        for (singer, clip), found in halves.items()
        if len(found) == 2
    ]
    return Found(tracks, problems if halves else nothing_found("clip"))


def read(folder: Path) -> list[Track]:
    """All clips below `folder` as tracks of ``vocals`` and ``accompaniment``.

    Raises:
        DataError: no clips, or clips without their other half, named one by one.
    """
    return complete(folder, LAYOUT, find(folder))


def sides(tracks: list[Track]) -> dict[str, list[Track]]:
    """Our split by singer *and* backing: ``train``, ``validation``, ``test``; other singers are on no side."""
    singers = {"train": TRAIN_SINGERS, "validation": VALIDATION_SINGERS, "test": TEST_SINGERS}
    return {
        side: [t for t in tracks if t.labels["singer"] in names and t.labels["song"] not in LEFT_OUT]
        for side, names in singers.items()
    }


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """`sides`, checked. Raises `DataError` if they share a singer or a backing."""
    parts = sides(tracks)
    check_split(parts)
    return parts


def recognises_original(folder: Path, part: str = "Wavfile") -> bool:
    """Whether `folder` is, or holds, the folder ``Wavfile`` (or ``UndividedWavfile``)."""
    return bool(_original_files(folder, part))


def find_original(folder: Path, part: str = "Wavfile") -> Found:
    """The stereo files, whose channels are the stems; names that do not tell singer and song, one by one."""
    tracks: list[Track] = []
    problems: list[Problem] = []
    for path in _original_files(folder, part):
        fields = path.stem.split("_")
        if len(fields) != (3 if part == "Wavfile" else 2) or not all(fields):
            pattern = "SINGER_SONG_CLIP" if part == "Wavfile" else "SINGER_SONG"
            problems.append(Problem("unexpected", f"{part}/{path.name}", f"is not named {pattern}"))
            continue
        tracks.append(_track(fields[0], path.stem, Path(f"{path}#right"), Path(f"{path}#left")))
    return Found(tracks, problems or ([] if tracks else nothing_found(f"{part}/*.wav")))


def read_original(folder: Path, part: str = "Wavfile") -> list[Track]:
    """The original clips (or, with ``UndividedWavfile``, whole songs) as tracks of ``vocals`` and ``accompaniment``.

    Raises:
        DataError: no file, or names that do not tell singer and song.
    """
    return complete(folder, f"the original MIR-1K ({part}/*.wav)", find_original(folder, part))


def published_sides(tracks: list[Track]) -> dict[str, list[Track]]:
    """The published protocol: train on abjones and amy, test on all others."""
    train = [t for t in tracks if t.labels["singer"] in PUBLISHED_TRAIN_SINGERS]
    return {"train": train, "test": [t for t in tracks if t not in train]}


def published_split(tracks: list[Track]) -> dict[str, list[Track]]:
    """`published_sides`, checked. Raises `DataError` if they share more than `KNOWN`."""
    parts = published_sides(tracks)
    check_split(parts, KNOWN)
    return parts


def _half(path: Path) -> tuple[str, str]:
    """``(clip, voice | music)``; the latter is empty for other files."""
    clip, _, half = path.stem.rpartition(".")
    return clip, half if path.suffix.lower() in AUDIO_SUFFIXES and half in ("voice", "music") else ""


def _original_files(folder: Path, part: str) -> list[Path]:
    return audio_files(folder if folder.name == part else folder / part)


def _track(singer: str, clip: str, voice: Path, music: Path) -> Track:
    song = "_".join(clip.split("_")[:2])
    backing = next((group[0] for group in SHARED_BACKINGS if song in group), song)
    return Track(
        name=f"{singer}/{clip}",
        stems={"vocals": voice, "accompaniment": music},
        material=frozenset({f"singer:{singer}", f"backing:{backing}"}),
        labels={"singer": singer, "song": song},
    )
