"""The layouts that are known, and which of them a folder follows.

To add one: write its reader in a file of its own (`find`, `recognises`, `read` and, if the set has sides, `split`) and
enter it in `LAYOUTS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from separation.datasets import choral, frets_on_fire, fuss, mir1k, mixtures, moisesdb, musdb18, speech, stem_folders
from separation.datasets.tracks import Found, Known, Track, by_side, complete
from separation.errors import DataError

Sides = Callable[[list[Track]], dict[str, list[Track]]]
SEEN = 12  # entries of a folder that a message shows


@dataclass(frozen=True)
class Layout:
    """How one data set, or one task of it, lies on disk.

    Args:
        name: what ``--layout`` takes.
        title: the data set.
        about: a sentence on what the tracks are.
        tree: the layout in one line.
        recognises: whether a folder follows it; cheap, nothing is decoded.
        find: what is there and what is wrong, file by file.
        split: the published split, or ours; None if the set has none. Raises `DataError` if its sides share material.
        sides: the same sides unchecked.
        known: what the split is known to share.
        refines: layouts that the same folder also follows, of which this is the more specific.
        length_tolerance: seconds by which the stems of a track may differ in length.
        errata: ``{song: sentence}``, the data set's own list of errors.
    """

    name: str
    title: str
    about: str
    tree: str
    recognises: Callable[[Path], bool]
    find: Callable[[Path], Found]
    split: Sides | None = None
    sides: Sides = by_side
    known: tuple[Known, ...] = ()
    refines: frozenset[str] = frozenset({"folder"})
    length_tolerance: float = 0.1
    errata: Mapping[str, str] = field(default_factory=dict)

    def read(self, folder: Path) -> list[Track]:
        """The tracks below `folder`.

        Raises:
            DataError: names everything that is missing or wrong, file by file.
        """
        return complete(folder, f"{self.title} ({self.tree})", self.find(folder))


def detect(folder: Path) -> Layout:
    """The layout that a folder follows: the only one, or the one that is more specific than all others.

    Raises:
        DataError: no folder, no layout, or several of which none is the more specific.
    """
    if not folder.is_dir():
        raise DataError(f"Read the data set {folder}", "there is no such folder", "Check the path")
    found = [layout for layout in LAYOUTS.values() if layout.recognises(folder)]
    specific = [one for one in found if all(one is other or other.name in one.refines for other in found)]
    if len(specific) == 1:
        return specific[0]
    if found:
        raise DataError(
            f"Recognise the data set in {folder}",
            f"it follows several layouts: {'; '.join(f'{layout.name} ({layout.tree})' for layout in found)}",
            "Say which one with --layout, or pass the folder of one of them",
        )
    entries = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir() if not p.name.startswith("."))
    seen = ", ".join(entries[:SEEN]) + (f" and {len(entries) - SEEN} more" if len(entries) > SEEN else "")
    tried = "; ".join(f"{layout.name} ({layout.tree})" for layout in LAYOUTS.values())
    raise DataError(
        f"Recognise the data set in {folder}",
        f"it holds {seen or 'nothing'}, which is none of these layouts: {tried}",
        "Pass the folder that the layout starts in, or arrange your recordings as TRACK/STEM.EXT",
    )


def get(name: str) -> Layout:
    """A layout by name. Raises `DataError` for a name that is not there."""
    if name not in LAYOUTS:
        raise DataError(f"Use the layout {name}", f"the layouts are {', '.join(LAYOUTS)}", "Choose one of these")
    return LAYOUTS[name]


def _mixtures(name: str, task: mixtures.Task, about: str, top: str, refines: tuple[str, ...] = ()) -> Layout:
    names = ["s1"] + ([] if task.single else ["s2", "…"]) + (["noise"] if task.noise else [])
    return Layout(
        name=name,
        title=task.title,
        about=about,
        tree=f"{top}{'|'.join(task.sides)}/{{{','.join((task.mixture, *names))}}}/NAME.wav",
        recognises=partial(mixtures.recognises, task=task),
        find=partial(mixtures.find, task=task),
        split=mixtures.split,
        known=mixtures.KNOWN if task.sides is mixtures.WSJ0 else (),
        refines=frozenset({"folder", *refines}),
    )


def _original_mir1k(name: str, part: str, about: str, tree: str, refines: tuple[str, ...] = ()) -> Layout:
    return Layout(
        name=name,
        title="the original MIR-1K",
        about=about,
        tree=tree,
        recognises=partial(mir1k.recognises_original, part=part),
        find=partial(mir1k.find_original, part=part),
        split=mir1k.published_split,
        sides=mir1k.published_sides,
        known=mir1k.KNOWN,
        refines=frozenset({"folder", *refines}),
    )


_VERSION = "[wav8k|wav16k/min|max/]"
_ALL = (
    Layout(
        name="musdb18",
        title="MUSDB18",
        about="150 songs in drums, bass, other, vocals; the streams of a stem.mp4.",
        tree="train|test/ARTIST - TITLE.stem.mp4",
        recognises=musdb18.recognises_stems,
        find=musdb18.find_stems,
        split=musdb18.split,
        known=musdb18.KNOWN,
        errata=musdb18.ERRATA,
    ),
    Layout(
        name="musdb18_hq",
        title="MUSDB18-HQ",
        about="The same 150 songs, uncompressed.",
        tree="train|test/ARTIST - TITLE/{mixture,drums,bass,other,vocals}.wav",
        recognises=musdb18.recognises_wav,
        find=musdb18.find_wav,
        split=musdb18.split,
        known=musdb18.KNOWN,
        errata=musdb18.ERRATA,
    ),
    Layout(
        name="moisesdb",
        title="MoisesDB",
        about="240 songs in up to eleven stems, several files a stem.",
        tree="[moisesdb_v0.1/]UUID/{data.json,STEM/ID.wav}",
        recognises=moisesdb.recognises,
        find=moisesdb.find,
    ),
    Layout(
        name="mir1k",
        title="MIR-1K",
        about="Singing over karaoke music in two files a clip; split by singer and backing track.",
        tree="SINGER/CLIP.{voice,music}.EXT",
        recognises=mir1k.recognises,
        find=mir1k.find,
        split=mir1k.split,
        sides=mir1k.sides,
        refines=frozenset({"folder", "speakers"}),
    ),
    _original_mir1k(
        "mir1k_original",
        "Wavfile",
        "1,000 clips, music left and voice right; the published protocol trains on abjones and amy.",
        "[MIR-1K/]Wavfile/SINGER_SONG_CLIP.wav",
        refines=("mir1k_undivided",),
    ),
    _original_mir1k(
        "mir1k_undivided",
        "UndividedWavfile",
        "The 110 songs that the clips of MIR-1K were cut from, music left and voice right.",
        "[MIR-1K/]UndividedWavfile/SINGER_SONG.wav",
    ),
    _mixtures("wsj0_mix", mixtures.WSJ0_MIX, "mix = s1 + s2 (+ s3).", f"[2speakers/]{_VERSION}"),
    _mixtures(
        "wham",
        mixtures.WHAM,
        "mix_both = s1 + s2 + noise.",
        _VERSION,
        refines=("wham_clean", "wham_single", "wsj0_mix"),
    ),
    _mixtures("wham_clean", mixtures.WHAM_CLEAN, "mix_clean = s1 + s2.", _VERSION, ("wham_single",)),
    _mixtures("wham_single", mixtures.WHAM_SINGLE, "mix_single = s1 + noise, for enhancement.", _VERSION),
    _mixtures(
        "librimix",
        mixtures.LIBRIMIX,
        "mix_both = s1 + s2 (+ s3) + noise.",
        f"[Libri2Mix/]{_VERSION}",
        refines=("librimix_clean", "librimix_single"),
    ),
    _mixtures(
        "librimix_clean",
        mixtures.LIBRIMIX_CLEAN,
        "mix_clean = s1 + s2 (+ s3).",
        f"[Libri2Mix/]{_VERSION}",
        refines=("librimix_single",),
    ),
    _mixtures(
        "librimix_single",
        mixtures.LIBRIMIX_SINGLE,
        "mix_single = s1 + noise, for enhancement.",
        f"[Libri2Mix/]{_VERSION}",
    ),
    Layout(
        name="fuss",
        title="FUSS",
        about="One background and up to three foreground sounds of any kind.",
        tree="[ssdata|ssdata_reverb/]train|validation|eval/{exampleN.wav,exampleN_sources/*.wav}",
        recognises=fuss.recognises,
        find=fuss.find,
        split=fuss.split,
    ),
    Layout(
        name="choral",
        title="Choral Singing Dataset",
        about="Sixteen singers, each alone, as quartets of soprano, alto, tenor and bass.",
        tree="CSD_PIECE_VOICE_SINGER.wav",
        recognises=choral.recognises,
        find=choral.find,
        length_tolerance=choral.LENGTH_TOLERANCE,
    ),
    Layout(
        name="frets_on_fire",
        title="Frets on Fire",
        about="Songs as guitar, song (the rest) and, in some, rhythm (guitar or bass).",
        tree="[PACK/]SONG/{song.ini,guitar.ogg,song.ogg,[rhythm.ogg]}",
        recognises=frets_on_fire.recognises,
        find=frets_on_fire.find,
    ),
    Layout(
        name="librispeech",
        title="LibriSpeech",
        about="One speaker a file: material to mix, not mixtures.",
        tree="train…|dev…|test…/[SPEAKER/[CHAPTER/]]SPEAKER-CHAPTER-UTTERANCE.EXT",
        recognises=speech.recognises_librispeech,
        find=speech.find_librispeech,
        split=speech.split,
    ),
    Layout(
        name="speakers",
        title="speech by speaker",
        about="One folder a speaker, as in TSP: material to mix, not mixtures.",
        tree="SPEAKER/SPEAKER….EXT",
        recognises=speech.recognises_speakers,
        find=speech.find_speakers,
    ),
    Layout(
        name="folder",
        title="a folder of stems",
        about="Your own recordings: a folder a track, a file a stem, a mixture if you have one.",
        tree="[train|validation|test/]TRACK/STEM.EXT",
        recognises=stem_folders.recognises,
        find=stem_folders.find,
        split=stem_folders.split,
        refines=frozenset(),
    ),
)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _ALL}
