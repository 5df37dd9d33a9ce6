"""Dynamic mixing: every training example is a pure function of (seed, step, index).

So a run that was killed goes on exactly where it was, two runs of one seed see the same audio, and "seconds of audio
seen" is steps x batch x segment. Examples are float32 ``[S, T]``; the mixture is their sum.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.signal import lfilter, resample_poly

from separation.errors import DataError
from separation.training.pools import Audio, Pool

SPEEDS = tuple(Fraction(f) for f in ("4/5", "5/6", "7/8", "9/10", "15/16", "16/15", "10/9", "8/7", "6/5", "5/4"))
QUIET = 1e-4  # root mean square below which a crop is not worth scaling
SOUND = "sound"
LEVEL_JITTER_DB = 3.0  # the engine normalises whole files, training normalises segments


class Mixer(Protocol):
    """What the loop needs to know about data."""

    @property
    def sources(self) -> tuple[str, ...]: ...

    @property
    def length(self) -> int: ...

    def example(self, seed: int, step: int, index: int) -> Audio: ...


@runtime_checkable
class TellingMixer(Mixer, Protocol):
    """A mixer that knows what models are told besides the mixture, such as the pitch of each source."""

    def side(self, seed: int, step: int, index: int) -> dict[str, Audio]:
        """Of the example of the same numbers, by the names of `Spec.needs`."""
        ...


def side_of(mixer: Mixer, seed: int, step: int, index: int) -> dict[str, Audio]:
    """What a model is told with an example; most mixers have nothing to tell."""
    return mixer.side(seed, step, index) if isinstance(mixer, TellingMixer) else {}


@dataclass(frozen=True)
class VocalMixer:
    """Voices over music: aligned pairs, remixes across songs, several voices at once, and music alone.

    Any other instrument will do as the voice.

    Args:
        pairs: a pool whose stems are called as the two `sources`, and belong together.
        speech: speakers (stem ``speech``), or None.
        music: pieces without voices (stem ``music``), or None.
        length: samples of an example.
    """

    pairs: Pool
    speech: Pool | None
    music: Pool | None
    length: int
    sources: tuple[str, ...] = ("vocals", "accompaniment")
    aligned: float = 0.3
    voiceless: float = 0.15
    second_voice: float = 0.15
    spoken: float = 0.35
    foreign_music: float = 0.55
    level_db: float = 5.0

    def example(self, seed: int, step: int, index: int) -> Audio:
        rng = np.random.default_rng([seed, step, index])
        if rng.random() < self.aligned:
            voice, music = self._aligned(rng)
            level_db = rng.normal(0, 2.0)
        else:
            voice, music = self._voice(rng), self._music(rng)
            voice, music = _level(voice), _level(music)
            level_db = float(np.clip(rng.normal(0, self.level_db), -12, 12))
        if rng.random() < self.voiceless:
            voice = np.zeros_like(voice)
        voice = voice * np.float32(10 ** (level_db / 20))
        if rng.random() < 0.5:
            voice = -voice
        return normalise(np.stack([voice, music]), rng)

    def _aligned(self, rng: np.random.Generator) -> tuple[Audio, Audio]:
        among = self.pairs.drawn
        i = among[int(rng.integers(len(among)))]
        speed = _speed(rng, 0.4)
        start, length = _crop(rng, len(self.pairs.stems[self.sources[0]][i]), self.length, speed)
        return tuple(  # type: ignore[return-value]
            _at_speed(self.pairs.read(stem, i, start, length), speed, self.length) for stem in self.sources
        )

    def _voice(self, rng: np.random.Generator) -> Audio:
        voice = self._one_voice(rng)
        if rng.random() < self.second_voice:
            voice = _level(voice) + np.float32(rng.uniform(0.3, 1)) * _level(self._one_voice(rng))
        return _tilt(voice, rng)

    def _one_voice(self, rng: np.random.Generator) -> Audio:
        if self.speech is not None and rng.random() < self.spoken:
            return draw(self.speech, "speech", rng, self.length, speed=0.6)
        return draw(self.pairs, self.sources[0], rng, self.length, speed=0.6)

    def _music(self, rng: np.random.Generator) -> Audio:
        music = self._one_music(rng)
        if rng.random() < 0.1:
            music = _level(music) + np.float32(rng.uniform(0.2, 1)) * _level(self._one_music(rng))
        return _tilt(music, rng)

    def _one_music(self, rng: np.random.Generator) -> Audio:
        if self.music is not None and rng.random() < self.foreign_music:
            return draw(self.music, "music", rng, self.length, speed=0.3)
        return draw(self.pairs, self.sources[1], rng, self.length, speed=0.3)


@dataclass(frozen=True)
class SpeakerMixer:
    """Two people at once.

    Args:
        speech: speakers (stem ``speech``, label ``voice``: high, low, or empty where it is not known).
        length: samples of an example.
        high_low: share of pairs made of one high and one low voice; the rest are any two speakers.
        level_db: the second is louder or quieter by up to this.
        speed: share of the recordings that are played faster or slower.
    """

    speech: Pool
    length: int
    sources: tuple[str, ...] = ("speaker 1", "speaker 2")
    high_low: float = 0.6
    level_db: float = 5.0
    speed: float = 0.5

    def __post_init__(self) -> None:
        if len(self.speech.groups) < 2:
            raise DataError(
                "Mix two speakers", f"{len(self.speech.groups)} in the data", "Add recordings of more speakers"
            )

    def example(self, seed: int, step: int, index: int) -> Audio:
        rng = np.random.default_rng([seed, step, index])
        speakers = list(self.speech.groups)
        first = speakers[int(rng.integers(len(speakers)))]
        others = [s for s in speakers if s != first]
        if rng.random() < self.high_low:
            others = [s for s in others if self._voices[s] != self._voices[first]] or others
        second = others[int(rng.integers(len(others)))]
        voices = [draw(self.speech, "speech", rng, self.length, speed=self.speed, group=g) for g in (first, second)]
        return normalise(_balanced([_level(voice) for voice in voices], rng, self.level_db), rng)

    @cached_property
    def _voices(self) -> Mapping[str, str]:
        return {group: self.speech.labels[members[0]].get("voice", "") for group, members in self.speech.groups.items()}


@dataclass(frozen=True)
class OverMixer:
    """One kind of sound over another, such as speech over music.

    Args:
        first, second: pools of the one stem ``sound`` each.
        length: samples of an example.
        sources: what the two are called.
    """

    first: Pool
    second: Pool
    length: int
    sources: tuple[str, ...]
    level_db: float = 5.0
    speed: float = 0.4

    def example(self, seed: int, step: int, index: int) -> Audio:
        rng = np.random.default_rng([seed, step, index])
        sounds = [_level(draw(pool, SOUND, rng, self.length, speed=self.speed)) for pool in (self.first, self.second)]
        return normalise(_balanced(sounds, rng, self.level_db), rng)


@dataclass(frozen=True)
class SoundMixer:
    """Two sounds of different classes, in any order.

    Args:
        sounds: a pool of the stem ``sound`` whose groups are the classes.
        length: samples of an example.
    """

    sounds: Pool
    length: int
    sources: tuple[str, ...] = ("sound 1", "sound 2")
    level_db: float = 5.0
    speed: float = 0.4

    def __post_init__(self) -> None:
        if len(self.sounds.groups) < 2:
            found = f"{len(self.sounds.groups)} in the data"
            raise DataError("Mix sounds of two classes", found, "Add recordings of another class")

    def example(self, seed: int, step: int, index: int) -> Audio:
        rng = np.random.default_rng([seed, step, index])
        classes = list(self.sounds.groups)
        pair = [classes[int(i)] for i in rng.permutation(len(classes))[:2]]
        sounds = [_level(draw(self.sounds, SOUND, rng, self.length, speed=self.speed, group=name)) for name in pair]
        return normalise(_balanced(sounds, rng, self.level_db), rng)


@dataclass(frozen=True)
class InTurn:
    """Data bases in turn: step n draws from number n mod their count, whose source n mod S alone is looked at.

    What `objectives.Magnitudes` needs when it is interleaved: each data base need only know one source.
    """

    mixers: tuple[Mixer, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return self.mixers[0].sources

    @property
    def length(self) -> int:
        return self.mixers[0].length

    def example(self, seed: int, step: int, index: int) -> Audio:
        return self.mixers[step % len(self.mixers)].example(seed, step, index)


def draw(
    pool: Pool, stem: str, rng: np.random.Generator, length: int, *, speed: float = 0.0, group: str | None = None
) -> Audio:
    """A crop of one group: a random recording from a random place, joined with more of the group until it is full."""
    names = list(pool.groups)
    members = pool.groups[group if group is not None else names[int(rng.integers(len(names)))]]
    rate = _speed(rng, speed)
    needed = math.ceil(length * rate) + 1
    out, filled = np.zeros(needed, np.float32), 0
    while filled < needed:
        i = members[int(rng.integers(len(members)))]
        size = len(pool.stems[stem][i])
        start = int(rng.integers(max(size - needed, 0) + 1)) if filled == 0 else 0
        take = min(size - start, needed - filled)
        out[filled : filled + take] = pool.read(stem, i, start, take)
        filled += take + int(rng.integers(1, 8000))  # a pause between recordings
    return _at_speed(out, rate, length)


def normalise(stems: Audio, rng: np.random.Generator) -> Audio:
    """Bring the mixture to unit deviation, then jitter its level. ``[S, T]`` -> ``[S, T]``."""
    deviation = max(float(stems.sum(0).std()), QUIET)
    return (stems * np.float32(10 ** (rng.normal(0, LEVEL_JITTER_DB) / 20) / deviation)).astype(np.float32)


def _balanced(sounds: list[Audio], rng: np.random.Generator, most_db: float) -> Audio:
    """``[2, T]``, the second louder or quieter than the first by up to `most_db`."""
    return np.stack([sounds[0], sounds[1] * np.float32(10 ** (rng.uniform(-most_db, most_db) / 20))])


def _level(x: Audio) -> Audio:
    """Unit root mean square over what is not silent, so that pauses do not make a voice loud."""
    power = np.square(x[: x.size // 400 * 400].reshape(-1, 400)).mean(1)
    active = power > 1e-3 * power.max(initial=0)
    level = float(np.sqrt(power[active].mean())) if active.any() else 0.0
    return x / np.float32(level) if level > QUIET else x


def _speed(rng: np.random.Generator, probability: float) -> Fraction:
    return SPEEDS[int(rng.integers(len(SPEEDS)))] if rng.random() < probability else Fraction(1)


def _crop(rng: np.random.Generator, size: int, length: int, speed: Fraction) -> tuple[int, int]:
    needed = math.ceil(length * speed) + 1
    return int(rng.integers(max(size - needed, 0) + 1)), needed


def _at_speed(x: Audio, speed: Fraction, length: int) -> Audio:
    """Play faster (pitch and tempo together) by resampling, cut to `length`."""
    if speed != 1:
        x = resample_poly(x, speed.denominator, speed.numerator).astype(np.float32)
    return np.pad(x[:length], (0, max(length - x.size, 0)))


def _tilt(x: Audio, rng: np.random.Generator) -> Audio:
    """A first-order shelf of random direction: other rooms, other microphones."""
    if rng.random() > 0.4:
        return x
    zero, pole = rng.uniform(-0.6, 0.6, 2)
    return np.asarray(lfilter([1.0, zero], [1.0, pole], x), np.float32)
