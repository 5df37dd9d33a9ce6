"""What recipes are trained, validated and tested on: folders of recordings -> mixers, the sides of each split kept apart.

The test side has a mixer for each cluster (a song, a pair of speakers), over which intervals are taken. It is for comparing
recipes with each other (`claims`); the figures of a shipped model come from `evaluation.published`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any

from separation.datasets import Track, check_split, choral, mir1k, packages, speech
from separation.training.choir import CHOSEN_PART, LEARNT_PART, TEST_SINGERS, TRAIN_SINGERS, ChoirMixer, pitch_of
from separation.training.conversations import ConversationMixer
from separation.training.mixing import SOUND, InTurn, Mixer, OverMixer, SoundMixer, SpeakerMixer, VocalMixer
from separation.training.pools import Pool, load_pool, one_stem
from separation.training.recipe import Recipe

ENGLISH_PROMPTS = "-en-wav"
KEPT_FOR_TEST = frozenset({"librispeech:2609", "librispeech:367"})  # a low and a high voice of the validation part


@dataclass(frozen=True)
class Sides:
    """Mixers of one kind of data.

    Args:
        train, validation: one each.
        test: one for each cluster, by its name.
    """

    train: Mixer
    validation: Mixer
    test: dict[str, Mixer]


def vocals(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """MIR-1K (5 singers), 251 LibriSpeech speakers and package music for training; a sixth singer to validate on.

    The test clusters are songs of two further singers.
    """
    singers = mir1k.split(mir1k.read(folder / "mir1k"))
    spoken = speech.read_librispeech(folder / "librispeech")["train"]
    music = packages.read_music(folder / "debian")
    check_split({"train": [*singers["train"], *music["train"]], "test": [*singers["test"], *music["test"]]})
    load = _loader(recipe, cache)
    train = VocalMixer(
        load(singers["train"], "song"), load(spoken, "speaker"), load(music["train"], "file"), recipe.length,
        **recipe.mixing,
    )  # fmt: skip
    return Sides(
        train,
        _as_recorded(load(singers["validation"], "song"), recipe),
        {song: _as_recorded(pool, recipe) for song, pool in _apart(load(singers["test"], "song")).items()},
    )


def vocals_in_turn(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """As `vocals`, but the two sources are learnt from different singers: two data bases that know one source each."""
    sides = vocals(recipe, folder, cache)
    assert isinstance(sides.train, VocalMixer)
    whole = sides.train.pairs
    songs = sorted(whole.groups)
    halves = [_only(whole, songs[::2]), _only(whole, songs[1::2])]
    mixers = tuple(
        VocalMixer(half, sides.train.speech, sides.train.music, recipe.length, **recipe.mixing) for half in halves
    )
    return Sides(InTurn(mixers), sides.validation, sides.test)


def speakers(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """LibriSpeech, a woman and a man of TSP, and the prompt voices for training; three other speakers to validate on.

    The test clusters are the six pairs of four further speakers.
    """
    libri = speech.read_librispeech(folder / "librispeech")
    tsp = speech.read_speakers(folder / "tsp", "tsp")
    prompts = packages.read_prompts(folder / "debian")
    train = [*libri["train"], *tsp["FA"], *tsp["MC"], *(t for tracks in prompts.values() for t in tracks)]
    held_out = [t for t in libri["validation"] if t.labels["speaker"] not in KEPT_FOR_TEST]
    test = [t for t in libri["validation"] if t.labels["speaker"] in KEPT_FOR_TEST] + tsp["FB"] + tsp["MD"]
    check_split({"train": train, "validation": held_out, "test": test})
    load = _loader(recipe, cache)
    unheard = load(test, "speaker")
    return Sides(
        SpeakerMixer(load(train, "speaker"), recipe.length, **recipe.mixing),
        SpeakerMixer(load(held_out, "speaker"), recipe.length, high_low=1.0, level_db=2.5),
        {
            " + ".join(pair): SpeakerMixer(_only(unheard, pair), recipe.length, level_db=2.5, speed=0.0)
            for pair in combinations(sorted(unheard.groups), 2)
        },
    )


def conversations(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """As `speakers`, but in English only, and in most training examples the voices take turns.

    The prompts in other languages are left for a test out of distribution.
    """
    sides = speakers(recipe.with_changes(mixing={}), folder, cache)
    assert isinstance(sides.train, SpeakerMixer)
    known = sides.train.speech.groups
    english = [name for name in known if not name.startswith("prompts:") or name.endswith(ENGLISH_PROMPTS)]
    voices, rate = _only(sides.train.speech, english), recipe.arguments["sample_rate"]
    train = ConversationMixer(voices, recipe.length, sample_rate=rate, **recipe.mixing)
    return Sides(train, sides.validation, sides.test)


def speech_music(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """LibriSpeech over music without voices; the test clusters are pieces of music, under four speakers never heard."""
    libri = speech.read_librispeech(folder / "librispeech")
    music = _music(folder)
    held_out = [t for t in libri["validation"] if t.labels["speaker"] not in KEPT_FOR_TEST]
    kept = [t for t in libri["validation"] if t.labels["speaker"] in KEPT_FOR_TEST]
    voices = {"train": libri["train"], "validation": held_out, "test": kept}
    check_split({side: [*voices[side], *music[side]] for side in voices})
    load = _loader(recipe, cache)

    def over(voice: Pool, piece: Pool, **how: Any) -> OverMixer:
        pools = one_stem([(voice, "speech")], SOUND), one_stem([(piece, "music")], SOUND)
        return OverMixer(*pools, recipe.length, ("speech", "music"), **how)

    speaking = {side: load(tracks, "speaker") for side, tracks in voices.items()}
    playing = {side: load(tracks, "file") for side, tracks in music.items()}
    return Sides(
        over(speaking["train"], playing["train"], **recipe.mixing),
        over(speaking["validation"], playing["validation"], level_db=2.5),
        {name: over(speaking["test"], pool, level_db=2.5, speed=0.0) for name, pool in _apart(playing["test"]).items()},
    )


def sounds(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """Singing, karaoke, rock guitar and game music against each other; the test clusters are pairs of classes."""
    singers = mir1k.split(mir1k.read(folder / "mir1k"))
    music, guitar = _music(folder), _guitar(folder)
    sides = {side: [*singers[side], *music[side], *guitar[side]] for side in music}
    check_split(sides)
    load = _loader(recipe, cache)

    def classes(side: str) -> Pool:
        pairs = load(singers[side], "song")
        pools = [(pairs, "vocals"), (pairs, "accompaniment"), (load(guitar[side], "song"), "guitar")]
        pools.append((load(music[side], "file"), "music"))
        return one_stem(pools, SOUND, ["singing", "karaoke", "guitar", "game music"])

    test = classes("test")
    return Sides(
        SoundMixer(classes("train"), recipe.length, **recipe.mixing),
        SoundMixer(classes("validation"), recipe.length, level_db=2.5),
        {
            " + ".join(pair): SoundMixer(_only(test, pair), recipe.length, level_db=2.5, speed=0.0)
            for pair in combinations(sorted(test.groups), 2)
        },
    )


def guitar(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """Frets on Fire's guitars over their bands and over other music without voices; the test clusters are songs."""
    songs, music = _guitar(folder), _music(folder)
    check_split({side: [*songs[side], *music[side]] for side in songs})
    load = _loader(recipe, cache)
    names = ("guitar", "accompaniment")

    def as_recorded(pairs: Pool) -> VocalMixer:
        return VocalMixer(pairs, None, None, recipe.length, names, aligned=1.0, voiceless=0.0)

    train = VocalMixer(
        load(songs["train"], "song"), None, load(music["train"], "file"), recipe.length, names, **recipe.mixing
    )
    test: dict[str, Mixer] = {song: as_recorded(pool) for song, pool in _apart(load(songs["test"], "song")).items()}
    return Sides(train, as_recorded(load(songs["validation"], "song")), test)


def choir(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """The Choral Singing Dataset: singers 1 and 2 of each voice for training, 3 and 4 for the test.

    All sing one piece, so that training and test share the song. Weights are chosen on bars of the training singers that were
    not learnt from. The test clusters are the two quartets.
    """
    return _choir(recipe, folder, cache, TRAIN_SINGERS)


def one_quartet(recipe: Recipe, folder: Path, cache: Path) -> Sides:
    """As `choir`, but learnt from one quartet alone: under a minute and a half of music."""
    return _choir(recipe, folder, cache, frozenset({min(TRAIN_SINGERS)}))


DATA: dict[str, Callable[[Recipe, Path, Path], Sides]] = {
    "vocals": vocals,
    "vocals_in_turn": vocals_in_turn,
    "speakers": speakers,
    "conversations": conversations,
    "speech_music": speech_music,
    "sounds": sounds,
    "guitar": guitar,
    "choir": choir,
    "one_quartet": one_quartet,
}


def _choir(recipe: Recipe, folder: Path, cache: Path, training: frozenset[str]) -> Sides:
    quartets = choral.read(folder / "csd_nino_dios")
    sides = {
        side: [track for track in quartets if track.labels["singer"] in singers]
        for side, singers in (("train", training), ("test", TEST_SINGERS))
    }
    check_split(sides)
    rate, hop = recipe.arguments["sample_rate"], recipe.arguments["hop_length"]
    load = _loader(recipe, cache)

    def mixer(pool: Pool, **how: Any) -> ChoirMixer:
        known = pitch_of(pool, rate, hop, cache)
        return ChoirMixer(pool, known, recipe.length, hop, tuple(recipe.arguments["sources"]), **how)

    train, test = (load(sides[side], "singer") for side in ("train", "test"))
    return Sides(
        mixer(train, part=LEARNT_PART, **{"level_db": 3.0, **recipe.mixing}),
        mixer(train, part=CHOSEN_PART),
        {f"quartet {singer}": mixer(pool) for singer, pool in _apart(test).items()},
    )


def _loader(recipe: Recipe, cache: Path) -> Callable[[Sequence[Track], str], Pool]:
    rate = recipe.arguments["sample_rate"]
    return lambda tracks, group: load_pool(tracks, sample_rate=rate, group=group, cache=cache)


def _as_recorded(pairs: Pool, recipe: Recipe) -> VocalMixer:
    return VocalMixer(pairs, None, None, recipe.length, aligned=1.0, voiceless=0.0)


def _music(folder: Path) -> dict[str, list[Track]]:
    """Music without voices on three sides; Frets on Fire is left out, see `_guitar`."""
    music = packages.read_music(folder / "debian")
    unheard = [track for track in music["test"] if "music" in track.stems]
    return {"train": music["train"], "validation": unheard[::2], "test": unheard[1::2]}


def _guitar(folder: Path) -> dict[str, list[Track]]:
    """The songs of Frets on Fire, its two bands in turn: half for training, one to validate on, the rest for the test."""
    songs = [track for track in packages.read_music(folder / "debian")["test"] if "guitar" in track.stems]
    bands: dict[str, list[Track]] = {}
    for song in songs:
        bands.setdefault(song.name.partition("/")[0], []).append(song)
    ordered = [song for some in zip_longest(*bands.values()) for song in some if song is not None]
    tracks = [
        Track(t.name, {"guitar": t.stems["guitar"], "accompaniment": t.stems["song"]}, t.material, {"song": t.name})
        for t in ordered
    ]
    half = len(tracks) // 2
    return {"train": tracks[:half], "validation": tracks[half : half + 1], "test": tracks[half + 1 :]}


def _apart(pool: Pool) -> dict[str, Pool]:
    return {name: _only(pool, [name]) for name in pool.groups}


def _only(pool: Pool, groups: Sequence[str]) -> Pool:
    """The same recordings, of which only some groups are drawn."""
    return Pool(pool.stems, {name: pool.groups[name] for name in groups}, pool.labels)
