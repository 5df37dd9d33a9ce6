"""Choral Singing Dataset: 16 singers, four of each voice, each recorded alone, in three pieces.

Layouts: ``CSD_PIECE_{soprano,alto,tenor,bass}_N.wav`` (pieces ``ER`` El Rossinyol, ``LI`` Locus Iste, ``ND`` Niño Dios), and
the names before that, ``PIECE_{Soprano,ContraAlt,tenor,Bajos}…`` with the singer as the first digit. Cuesta, Gómez, Martorell
and Loáiciga, ICMPC 2018, CC BY 4.0. A track is a quartet: singer N of each voice in one piece. The same sixteen people sing
every piece, so a split is by singer, never by piece; none is published.
"""

import re
from pathlib import Path

from separation.datasets.tracks import Found, Problem, Track, audio_names, below, complete, nothing

VOICES = ("soprano", "alto", "tenor", "bass")
SINGERS = (1, 2, 3, 4)
LENGTH_TOLERANCE = 2.0
"""Seconds; each singer's file was cut by itself, and those of Niño Dios end up to 1.1 s apart."""
LAYOUT = "the Choral Singing Dataset (CSD_PIECE_VOICE_SINGER.wav)"
_NAMED = re.compile(r"(?P<piece>CSD_[A-Z]{2})_(?P<voice>soprano|alto|tenor|bass)_(?P<singer>[1-4])")
_EARLIER = re.compile(r"(?P<piece>[^_]+)_(?P<voice>Soprano|ContraAlt|tenor|Bajos)_?(?P<singer>[1-4])(\d\d|-\d+-\d+)")
_SPANISH = {"contraalt": "alto", "bajos": "bass"}


def recognises(folder: Path) -> bool:
    """Whether a file is named as the set names its singers."""
    return any(_parse(path) for path in _files(folder))


def find(folder: Path) -> Found:
    """A quartet for each piece and number; every singer of a piece who is missing."""
    pieces: dict[str, dict[tuple[str, int], Path]] = {}
    problems: list[Problem] = []
    for path in _files(folder):
        if parsed := _parse(path):
            piece, voice, singer = parsed
            if pieces.setdefault(piece, {}).setdefault((voice, singer), path) != path:
                problems.append(Problem("ambiguous", below(folder, path), f"is a second {voice} {singer} of {piece}"))
    problems += [
        Problem("missing", piece, f"has no {voice} {singer}")
        for piece, found in pieces.items()
        for voice in VOICES
        for singer in SINGERS
        if (voice, singer) not in found
    ]
    tracks = [
        _quartet(piece, singer, {voice: found[voice, singer] for voice in VOICES})
        for piece, found in pieces.items()
        for singer in SINGERS
        if all((voice, singer) in found for voice in VOICES)
    ]
    return Found(tracks, problems if pieces else nothing("CSD_PIECE_VOICE_SINGER.wav"))


def read(folder: Path) -> list[Track]:
    """Quartets of ``soprano``, ``alto``, ``tenor`` and ``bass``. Raises `DataError`."""
    return complete(folder, LAYOUT, find(folder))


def _files(folder: Path) -> list[Path]:
    return [folder / name for name in audio_names(folder)]


def _parse(path: Path) -> tuple[str, str, int] | None:
    match = _NAMED.fullmatch(path.stem) or _EARLIER.fullmatch(path.stem)
    if match is None:
        return None
    voice = match["voice"].lower()
    return match["piece"], _SPANISH.get(voice, voice), int(match["singer"])


def _quartet(piece: str, singer: int, stems: dict[str, Path]) -> Track:
    return Track(
        name=f"{piece}/singer_{singer}",
        stems=stems,
        material=frozenset(f"singer:csd:{voice}_{singer}" for voice in VOICES),
        labels={"piece": piece, "singer": str(singer)},
    )
