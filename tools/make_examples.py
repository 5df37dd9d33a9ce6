"""Make the bundled examples again from the Debian packages they come from.

    python -m tools.make_examples --packages ROOT [--output assets/examples] [--lessons assets/lessons]

ROOT is where the packages are unpacked (``dpkg -x PACKAGE.deb ROOT``), or ``/`` where they are installed. Each example is
a folder with the mixture, its true stems (FLAC, 16 bit) and `example.json`; the mixture is the sum of the stems, sample by
sample, after one common gain. The licence texts beside them are kept by hand: this command leaves them alone.

Lessons, for the Learn page, are folders with `lesson.json` and clips of each source; the mixture holds other seconds of them.
"""

import argparse
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from separation.audio import resample

Samples = NDArray[np.float64]

PEAK_DB = -3.0  # of the mixture, full scale: leaves room for players that resample
EDGE = 0.02  # s, fade at both ends of an excerpt
AUDIBLE = 0.02  # of a word's peak: what lies before and after is silence
GPL_2 = ("GPL-2.0-or-later", "https://www.gnu.org/licenses/old-licenses/gpl-2.0.html")
MIT = ("MIT", "https://opensource.org/license/mit")

KTUBERLING = "usr/share/ktuberling/sounds"
WESNOTH = "usr/share/games/wesnoth/1.16/data/core/music"
SECTOID = "usr/share/games/fretsonfire/data/songs/sectoid"
PHRASES = (
    "umbrella sunglasses shoe",
    "moon_astronaut moon_rocket moon_planet",
    "flower skirt",
    "egypt_camel egypt_donkey egypt_palmtree",
    "mouth nose eye eyebrow",
    "moon_earth moon_star moon_moonwalker",
)
MOON = "astronaut monster rocket planet star hotel sign radar satellite robot earth ufo alien fallingstar moonwalker"
LESSON_RATE = 16000  # Hz, what models that learn from clips hear
LESSON_CLIP = 12.0  # s, of each source
PIZZA = "anchovy bacon cheese cucumber mushroom olive onion oregano pepper pepperoni pineapple salami tomato broccolli"


@dataclass(frozen=True)
class Credit:
    """Who made a part, what may be done with it, and what was changed."""

    what: str
    author: str
    licence: str
    licence_url: str
    source: str


@dataclass(frozen=True)
class Example:
    """One folder of `assets/examples`: what `example.json` says, and the stems it is made of.

    Args:
        name: of the folder.
        order: place in the list; 1 waits on the first visit.
        title: a few words.
        summary: one sentence: what to listen for.
        model: name of the bundled model that separates it.
        sample_rate: Hz.
        stems: source name -> samples ``[T, C]``, at any common scale.
        credits: one for each part, and one for the mixture.
    """

    name: str
    order: int
    title: str
    summary: str
    model: str
    sample_rate: int
    stems: dict[str, Samples] = field(repr=False)
    credits: tuple[Credit, ...]


@dataclass(frozen=True)
class Lesson:
    """One folder of `assets/lessons`: what `lesson.json` says, and the audio that it names.

    Args:
        name: of the folder.
        fields: of `lesson.json`, but for the credits.
        audio: file -> samples ``[T, 1]`` at `LESSON_RATE`.
        credits: of everything in the folder.
    """

    name: str
    fields: dict[str, object]
    audio: dict[str, Samples] = field(repr=False)
    credits: tuple[Credit, ...]


def write_lesson(lesson: Lesson, folder: Path) -> None:
    """Write the FLAC files and `lesson.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in lesson.audio.items():
        scaled = samples * (10 ** (PEAK_DB / 20) / np.abs(samples).max() * 32767)
        integers = np.round(scaled).astype(np.int16)
        sf.write(folder / name, integers, LESSON_RATE, subtype="PCM_16", compression_level=1.0)
    description = {**lesson.fields, "credits": [asdict(credit) for credit in lesson.credits]}
    text = json.dumps(description, indent=2, ensure_ascii=False)
    (folder / "lesson.json").write_text(text + "\n", encoding="utf-8")


def write(example: Example, folder: Path) -> None:
    """Write the FLAC files and `example.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    peak = float(np.max(np.abs(sum(example.stems.values()))))
    gain = 10 ** (PEAK_DB / 20) / peak * 32767
    integers = {name: np.round(stem * gain).astype(np.int32) for name, stem in example.stems.items()}
    mixture = sum(integers.values(), np.zeros((1, 1), np.int32))
    references = {name: f"{name.replace(' ', '-')}.flac" for name in integers}
    for samples, name in [(mixture, "mixture.flac"), *((integers[k], v) for k, v in references.items())]:
        assert np.abs(samples).max() <= 32767, f"{example.name}/{name} would clip"
        sf.write(folder / name, samples.astype(np.int16), example.sample_rate, subtype="PCM_16", compression_level=1.0)
    description = {
        "title": example.title,
        "summary": example.summary,
        "model": example.model,
        "mixture": "mixture.flac",
        "references": references,
        "sample_rate": example.sample_rate,
        "credits": [asdict(credit) for credit in example.credits],
        "order": example.order,
    }
    text = json.dumps(description, indent=2, ensure_ascii=False)
    (folder / "example.json").write_text(text + "\n", encoding="utf-8")


def voice_over_music(root: Path) -> Example:
    """Words of one speaker, joined to phrases, over an excerpt of orchestral music that begins alone."""
    rate, duration = 44100, 18.0
    voice = np.zeros((round(duration * rate), 1))
    at = 2.0
    for phrase in PHRASES:
        for word in phrase.split():
            spoken = _read(root / KTUBERLING / "en" / f"{word}.ogg", rate).mean(axis=1, keepdims=True)
            at = _place(voice, _level(_trim(spoken, rate), 0.1), at, rate) + 0.07
        at += 0.3
    music = _level(_read(root / WESNOTH / "silvan_sanctuary.ogg", rate, 48.0, duration), 0.085)
    return Example(
        name="voice-over-music",
        order=1,
        title="A voice over music",
        summary="A woman says words over lute and flute; for the first two seconds nobody speaks, and the vocals should "
        "be silent.",
        model="vocals",
        sample_rate=rate,
        stems={"vocals": np.repeat(voice, 2, axis=1), "accompaniment": music},
        credits=(
            Credit(
                "vocals.flac: single English words, cut, levelled and joined to phrases",
                "KTuberling contributors (KDE): Albert Astals Cid, Éric Bischoff, Meni Livne and others",
                *GPL_2,
                "Debian package ktuberling-data, sounds/en",
            ),
            Credit(
                "accompaniment.flac: 18 seconds of “Silvan Sanctuary”, level changed, faded at the ends",
                "The Battle for Wesnoth contributors: David White and others",
                *GPL_2,
                "Debian package wesnoth-1.16-music, silvan_sanctuary.ogg",
            ),
            Credit("mixture.flac: the sum of both", "Earshot", *GPL_2, "the two above"),
        ),
    )


def two_speakers(root: Path) -> Example:
    """Two people who name things, equally loud, the second a little later; neither is in the training data."""
    rate, duration = 44100, 14.0
    moon = _words(root / KTUBERLING / "sl", [f"moon_{word}" for word in MOON.split()], rate, 0.0, duration)
    pizza = _words(root / KTUBERLING / "de", [f"pizzeria_{word}" for word in PIZZA.split()], rate, 0.6, duration)
    of_ktuberling = "KTuberling contributors (KDE): Albert Astals Cid, Éric Bischoff, Meni Livne and others", *GPL_2
    return Example(
        name="two-speakers",
        order=2,
        title="Two people at once",
        summary="One names what is on the moon, in Slovenian, the other what is on a pizza, in German. The model has heard "
        "neither voice before.",
        model="speakers",
        sample_rate=rate,
        stems={"speaker 1": moon, "speaker 2": pizza},
        credits=(
            Credit(
                "speaker-1.flac: single Slovenian words, cut, levelled and joined",
                *of_ktuberling,
                "Debian package ktuberling-data, sounds/sl",
            ),
            Credit(
                "speaker-2.flac: single German words, cut, levelled and joined",
                *of_ktuberling,
                "Debian package ktuberling-data, sounds/de",
            ),
            Credit("mixture.flac: the sum of both", "Earshot", *GPL_2, "the two above"),
        ),
    )


def guitar_and_band(root: Path) -> Example:
    """A rock song without a singer, with the lead guitar recorded apart."""
    rate, offset, duration = 44100, 80.0, 16.0
    song = root / SECTOID / "Feelings"
    return Example(
        name="guitar-and-band",
        order=3,
        title="A guitar with its band",
        summary="Nobody sings here: the vocals should stay silent, and the band with its lead guitar untouched.",
        model="vocals",
        sample_rate=rate,
        stems={
            "guitar": _read(song / "guitar.ogg", rate, offset, duration),
            "band": _read(song / "song.ogg", rate, offset, duration),
        },
        credits=(
            Credit(
                "guitar.flac, band.flac and their sum mixture.flac: 16 seconds of “Feelings”, level changed, faded at the ends",
                "Sectoid (Carlos Viola Iborra)",
                *MIT,
                "Debian package fretsonfire-songs-sectoid, Feelings",
            ),
        ),
    )


def two_voices(root: Path) -> Lesson:
    """A woman and a man: other words of both to learn from, and both at once."""
    woman, man = root / KTUBERLING / "en", root / KTUBERLING / "wa"
    moon = [f"moon_{word}" for word in MOON.split()]
    pizza = [f"pizzeria_{word}" for word in PIZZA.split()]
    phrases = " ".join(PHRASES).split()
    audio = {
        "mixture.flac": _lesson_words(woman, moon, 10.0) + _lesson_words(man, pizza, 10.0),
        "woman.flac": _lesson_words(woman, _others(woman, {*moon, *phrases}), LESSON_CLIP),
        "man.flac": _lesson_words(man, _others(man, set(pizza)), LESSON_CLIP),
    }
    of_ktuberling = "KTuberling contributors (KDE): Albert Astals Cid, Éric Bischoff, Meni Livne and others", *GPL_2
    return Lesson(
        "two-voices",
        {
            "title": "two voices",
            "summary": "A woman says what is on the moon, in English, and a man what is on a pizza, in Walloon. Learned from "
            "other words of both.",
            "order": 1,
            "system": "nmf",
            "components": 20,
            "mixture": "mixture.flac",
            "sources": [{"name": "woman", "clips": ["woman.flac"]}, {"name": "man", "clips": ["man.flac"]}],
        },
        audio,
        (
            Credit(
                "woman.flac, and the woman in mixture.flac: single English words, cut, levelled and joined",
                *of_ktuberling,
                "Debian package ktuberling-data, sounds/en",
            ),
            Credit(
                "man.flac, and the man in mixture.flac: single Walloon words, cut, levelled and joined",
                *of_ktuberling,
                "Debian package ktuberling-data, sounds/wa",
            ),
        ),
    )


def voice_and_music(root: Path) -> Lesson:
    """The example with a voice over music: learned from other words of the voice, and a later part of the music."""
    music = _read(root / WESNOTH / "silvan_sanctuary.ogg", 44100, 80.0, LESSON_CLIP).mean(axis=1, keepdims=True)
    return Lesson(
        "voice-and-music",
        {
            "title": "a voice and music",
            "summary": "Words over lute and flute. Learned from other words of the voice, and from a later part of the music.",
            "order": 2,
            "system": "nmf",
            "components": 20,
            "mixture": "../../examples/voice-over-music/mixture.flac",
            "sources": [
                {"name": "vocals", "clips": ["../two-voices/woman.flac"]},
                {"name": "accompaniment", "clips": ["music.flac"]},
            ],
        },
        {"music.flac": _lesson_rate(music, 44100)},
        (
            Credit(
                "music.flac: 12 seconds of “Silvan Sanctuary”, level changed, faded at the ends",
                "The Battle for Wesnoth contributors: David White and others",
                *GPL_2,
                "Debian package wesnoth-1.16-music, silvan_sanctuary.ogg",
            ),
        ),
    )


def _others(folder: Path, without: set[str]) -> list[str]:
    """The words of a voice that are not in `without`."""
    return [path.stem for path in sorted(folder.glob("*.ogg")) if path.stem not in without]


def _lesson_words(folder: Path, words: Iterable[str], duration: float) -> Samples:
    return _lesson_rate(_words(folder, words, 44100, 0.0, duration), 44100)


def _lesson_rate(samples: Samples, rate: int) -> Samples:
    """Samples ``[T, 1]`` at the rate of lessons."""
    return resample(samples.T.astype(np.float32), rate, LESSON_RATE).T.astype(np.float64)


def _words(folder: Path, words: Iterable[str], rate: int, at: float, duration: float) -> Samples:
    """Words one after the other from `at` seconds, as often as it takes, cut at `duration`; mono."""
    result = np.zeros((round(duration * rate), 1))
    for word in cycle([word for word in words if (folder / f"{word}.ogg").exists()]):
        if at >= duration:
            break
        spoken = _read(folder / f"{word}.ogg", rate).mean(axis=1, keepdims=True)
        at = _place(result, _level(_trim(spoken, rate), 0.1), at, rate) + 0.1
    return _fade(result, rate)


def _place(track: Samples, samples: Samples, at: float, rate: int) -> float:
    """Add `samples` to `track` from `at` seconds, as far as it reaches; returns the second they end at."""
    start = round(at * rate)
    part = track[start : start + len(samples)]
    part += samples[: len(part)]
    return at + len(samples) / rate


def _read(path: Path, rate: int, offset: float = 0.0, duration: float | None = None) -> Samples:
    """Samples ``[T, C]``; an excerpt is faded at its ends."""
    frames = -1 if duration is None else round(duration * rate)
    samples, found = sf.read(path, frames=frames, start=round(offset * rate), always_2d=True)
    assert found == rate, f"{path} is at {found} Hz, not {rate}"
    return np.asarray(samples if duration is None else _fade(samples, rate), dtype=np.float64)


def _trim(samples: Samples, rate: int) -> Samples:
    """Cut the silence at both ends, leaving 30 ms."""
    loud = np.flatnonzero(np.abs(samples).max(axis=1) > AUDIBLE * np.abs(samples).max())
    margin = round(0.03 * rate)
    return _fade(samples[max(loud[0] - margin, 0) : loud[-1] + margin], rate)


def _level(samples: Samples, level: float) -> Samples:
    """Scale to a root mean square of `level`."""
    return np.asarray(samples * (level / np.sqrt(np.mean(samples**2))))


def _fade(samples: Samples, rate: int) -> Samples:
    ramp = np.linspace(0.0, 1.0, round(EDGE * rate))[:, None]
    samples = samples.copy()
    samples[: len(ramp)] *= ramp
    samples[-len(ramp) :] *= ramp[::-1]
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled examples from Debian packages.")
    parser.add_argument("--packages", type=Path, required=True, help="folder with the unpacked packages, or /")
    parser.add_argument("--output", type=Path, default=Path("assets/examples"))
    parser.add_argument("--lessons", type=Path, default=Path("assets/lessons"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for make in (voice_over_music, two_speakers, guitar_and_band):
        example = make(arguments.packages)
        write(example, arguments.output / example.name)
        logging.getLogger(__name__).info("%s", arguments.output / example.name)
    for teach in (two_voices, voice_and_music):
        lesson = teach(arguments.packages)
        write_lesson(lesson, arguments.lessons / lesson.name)
        logging.getLogger(__name__).info("%s", arguments.lessons / lesson.name)


if __name__ == "__main__":
    main()
