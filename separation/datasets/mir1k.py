"""MIR-1K: amateur singing over karaoke music, voice and music apart, 16 kHz.

Layout: ``SINGER/CLIP.{voice,music}.EXT``. C.-L. Hsu and J.-S. R. Jang, "On the improvement of singing voice separation
for monaural recordings using the MIR-1K dataset", IEEE TASLP 2010. The mixture is the plain sum (the 0 dB protocol).

Singers share backing tracks, so a split by singer alone leaks; `SHARED_BACKINGS` was found by cross-correlation.
"""

from pathlib import Path

from separation.datasets.tracks import AUDIO_SUFFIXES, Track, check_split, refuse

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


def read(folder: Path) -> list[Track]:
    """All clips below `folder` as tracks of ``vocals`` and ``accompaniment``.

    Raises:
        DataError: no clips, or clips without their other half, named one by one.
    """
    halves: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.glob("*/*")):
        clip, _, half = path.stem.rpartition(".")
        if path.suffix.lower() in AUDIO_SUFFIXES and half in ("voice", "music"):
            halves.setdefault((path.parent.name, clip), {})[half] = path
    layout = "MIR-1K (SINGER/CLIP.voice.EXT beside SINGER/CLIP.music.EXT)"
    if not halves:
        refuse(folder, layout, ["no clip was found"])
    refuse(
        folder,
        layout,
        (
            f"{singer}/{clip} has no {half} file"
            for (singer, clip), found in halves.items()
            for half in ("voice", "music")
            if half not in found
        ),
    )
    return [_track(singer, clip, found) for (singer, clip), found in halves.items()]


def split(tracks: list[Track]) -> dict[str, list[Track]]:
    """The split by singer *and* backing: ``train``, ``validation``, ``test``."""
    singers = {"train": TRAIN_SINGERS, "validation": VALIDATION_SINGERS, "test": TEST_SINGERS}
    sides = {
        side: [t for t in tracks if t.labels["singer"] in names and t.labels["song"] not in LEFT_OUT]
        for side, names in singers.items()
    }
    check_split(sides)
    return sides


def _track(singer: str, clip: str, found: dict[str, Path]) -> Track:
    song = "_".join(clip.split("_")[:2])
    backing = next((group[0] for group in SHARED_BACKINGS if song in group), song)
    return Track(
        name=f"{singer}/{clip}",
        stems={"vocals": found["voice"], "accompaniment": found["music"]},
        material=frozenset({f"singer:{singer}", f"backing:{backing}"}),
        labels={"singer": singer, "song": song},
    )
