"""Free music and speech from Debian packages, and which of it is for training and which for testing.

`root` is where the packages are unpacked (``dpkg -x PACKAGE.deb root``), or ``/`` where they are installed. The split is
by file and fixed here: of Hedgewars and Wesnoth every second piece (by name) is for testing, the songs of Frets on Fire
are for testing only, the other packages for training only.
"""

from pathlib import Path

from separation.datasets.tracks import Track, audio_files, refuse

TRAIN_ONLY = {
    "hyperrogue-music": "usr/share/hyperrogue/music",
    "planetblupi-music-ogg": "usr/share/planetblupi/music",
    "asc-music": "usr/share/games/asc/music",
}
SHARED = {
    "hedgewars-data": "usr/share/games/hedgewars/Data/Music",
    "wesnoth-1.16-music": "usr/share/games/wesnoth/1.16/data/core/music",
}
TWO_STEM = {
    "fretsonfire-songs-sectoid": "usr/share/games/fretsonfire/data/songs/sectoid",
    "fretsonfire-songs-muldjord": "usr/share/games/fretsonfire/data/songs/muldjord",
}
PROMPTS = {
    "asterisk-core-sounds-en-wav": "usr/share/asterisk/sounds/en_US_f_Allison",
    "asterisk-core-sounds-fr-wav": "usr/share/asterisk/sounds/fr_CA_f_June",
    "asterisk-core-sounds-it-wav": "usr/share/asterisk/sounds/it_IT_m_Carlo",
    "asterisk-core-sounds-ru-wav": "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU",
}
CHARACTERS = "usr/share/games/hedgewars/Data/Sounds/voices"
SPEAKING = (
    "British", "Classic", "Default", "Default_es", "Default_pl", "Default_ru", "Default_uk", "HillBilly", "Mobster",
    "Pirate", "Russian", "Russian_pl", "Surfer",
)  # fmt: skip
VOICED = frozenset({"nunc_dimittis"})  # sung: not an accompaniment
HEADER_ONLY = 64  # bytes; the package ships a prompt or two without samples
NOT_SPEECH = frozenset({"beep", "beeperr", "tt-monkeys", "tt-weasels", "ascending-2tone", "descending-2tone"})


def read_music(root: Path) -> dict[str, list[Track]]:
    """``{"train": …, "test": …}``, tracks of the one stem ``music`` (Frets on Fire: ``guitar`` and ``song`` too).

    Raises:
        DataError: a package is missing.
    """
    _require(root, TRAIN_ONLY | SHARED | TWO_STEM)
    sides: dict[str, list[Track]] = {"train": [], "test": []}
    for package, folder in TRAIN_ONLY.items():
        sides["train"] += [_music(package, path) for path in audio_files(root / folder)]
    for package, folder in SHARED.items():
        for i, path in enumerate(p for p in audio_files(root / folder) if p.stem not in VOICED):
            sides["train" if i % 2 else "test"].append(_music(package, path))
    for package, folder in TWO_STEM.items():
        for song in sorted(p.parent for p in (root / folder).glob("*/guitar.ogg")):
            sides["test"].append(
                Track(
                    name=f"{package}/{song.name}",
                    stems={"guitar": song / "guitar.ogg", "song": song / "song.ogg"},
                    material=frozenset({f"music:{package}/{song.name}"}),
                )
            )
    return sides


def read_prompts(root: Path) -> dict[str, list[Track]]:
    """Telephone prompts, 8 kHz: ``{voice: tracks}`` with the one stem ``speech``."""
    _require(root, PROMPTS)
    return {
        folder.rpartition("/")[2]: [
            Track(
                name=f"{package}/{path.stem}",
                stems={"speech": path},
                material=frozenset({f"speaker:{package}"}),
                labels={"speaker": f"prompts:{package}", "voice": "low" if "_m_" in folder else "high"},
            )
            for path in audio_files(root / folder)
            if path.stem not in NOT_SPEECH and "silence" not in path.parts and path.stat().st_size > HEADER_ONLY
        ]
        for package, folder in PROMPTS.items()
    }


def read_voices(root: Path) -> dict[str, list[Track]]:
    """Short sentences of Hedgewars' characters, 44.1 kHz, for testing: ``{character: tracks}`` of the stem ``speech``."""
    _require(root, {"hedgewars-data": CHARACTERS})
    return {
        name: [
            Track(f"{name}/{path.stem}", {"speech": path}, frozenset({f"speaker:hedgewars/{name}"}), {"speaker": name})
            for path in audio_files(root / CHARACTERS / name)
        ]
        for name in SPEAKING
    }


def _music(package: str, path: Path) -> Track:
    name = f"{package}/{path.stem}"
    return Track(name=name, stems={"music": path}, material=frozenset({f"music:{name}"}))


def _require(root: Path, packages: dict[str, str]) -> None:
    refuse(
        root,
        "unpacked Debian packages",
        (f"{package} is missing ({folder})" for package, folder in packages.items() if not audio_files(root / folder)),
    )
