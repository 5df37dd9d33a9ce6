"""Let spoken words sing: their voice on other notes, by the WORLD vocoder (Morise et al., IEICE 2016, in `pyworld`).

What a voice sounds like (its spectral envelope, its breath) is kept frame by frame; its pitch is replaced by notes with a
little glide and vibrato, and its vowels are held for as long as the notes last.
"""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pyworld
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Note = tuple[int, float]
"""MIDI number and beats."""

FRAME = 0.005  # s
ATTACK, RELEASE = 0.12, 0.06  # s of a word around its vowel that are not held
GLIDE = 0.05  # s from one note to the next
VIBRATO_HZ, VIBRATO_CENTS, VIBRATO_AFTER = 5.4, 22.0, 0.25
ATTACK_LEVEL = 0.5  # of the vowel's amplitude at most: consonants shall not stand out of a held note


def sing(words: Sequence[Samples], rate: int, line: Sequence[Note], beat: float, *, seed: int = 0) -> Samples:
    """A voice ``[T, 1]`` that sings `line`, one word after the other, a note each.

    Args:
        words: spoken, mono ``[T, 1]``, each with one clear vowel.
        rate: Hz.
        line: what is sung.
        beat: seconds of one.
        seed: of the vibrato's phase and of how exact the notes begin.
    """
    rng = np.random.default_rng(seed)
    held = [_analysed(word[:, 0], rate) for word in words]
    parts = [_hold(next_, beats * beat) for next_, (_, beats) in zip(cycle(held), line, strict=False)]
    pitch = _melody(line, beat, [len(voiced) for voiced, _, _ in parts], rng)
    voiced = np.concatenate([part[0] for part in parts])
    envelope, breath = (np.ascontiguousarray(np.concatenate([part[i] for part in parts])) for i in (1, 2))
    sung = pyworld.synthesize(np.where(voiced, pitch, 0.0), envelope, breath, rate, FRAME * 1000)
    length = round(sum(beats for _, beats in line) * beat * rate)
    late = int(rng.uniform(0, 0.02) * rate)
    return np.pad(sung, (late, length))[:length, None]


def _analysed(word: Samples, rate: int) -> tuple[Samples, Samples, Samples]:
    """Pitch ``[K]`` (0 = unvoiced), spectral envelope and aperiodicity ``[K, F]`` of a word."""
    pitch, times = pyworld.harvest(word, rate, frame_period=FRAME * 1000)
    pitch = pyworld.stonemask(word, pitch, times, rate)
    return pitch, pyworld.cheaptrick(word, pitch, times, rate), pyworld.d4c(word, pitch, times, rate)


def vowel(pitch: Samples) -> tuple[int, int]:
    """First and last frame + 1 of the longest voiced stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (pitch > 0).astype(int), [0]])))
    stretches = edges.reshape(-1, 2)
    first, last = max(stretches.tolist(), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    return first, last


def _hold(word: tuple[Samples, Samples, Samples], seconds: float) -> tuple[NDArray[np.bool_], Samples, Samples]:
    """The frames of one note: the word's beginning and end as they are, its vowel as long as it takes."""
    pitch, envelope, breath = word
    frames = round(seconds / FRAME)
    first, last = vowel(pitch)
    begin, end = max(first - round(ATTACK / FRAME), 0), min(last + round(RELEASE / FRAME), len(pitch))
    # The middle of the vowel is held; its own beginning and end stay, or notes sound like sirens.
    inner = (first + (last - first) // 3, first + 2 * (last - first) // 3)
    held = max(frames - (inner[0] - begin) - (end - inner[1]), 1)
    toward = np.clip(np.arange(held) / max(held - 1, 1), 0, 1)  # through the middle of the vowel once, slowly
    middle = inner[0] + toward * (inner[1] - inner[0] - 1)
    order = np.concatenate([np.arange(begin, inner[0]), np.round(middle), np.arange(inner[1], end)]).astype(int)[
        :frames
    ]
    loud = np.sqrt(envelope[order].sum(1))
    level = np.median(loud[(pitch > 0)[order]])
    gain = np.minimum(1.0, np.where(pitch[order] > 0, 1.4, ATTACK_LEVEL) * level / np.maximum(loud, 1e-12)) / level
    gain *= np.minimum(1.0, (np.arange(len(order))[::-1] + 1) * FRAME / RELEASE)
    return (pitch > 0)[order], envelope[order] * (gain**2)[:, None], breath[order]


def _melody(line: Sequence[Note], beat: float, frames: Sequence[int], rng: np.random.Generator) -> Samples:
    """Hz of every frame."""
    cents = np.concatenate([np.full(count, 100.0 * (midi - 69)) for (midi, _), count in zip(line, frames, strict=True)])
    since = np.concatenate([np.arange(count) * FRAME for count in frames])
    glide = np.hanning(2 * round(GLIDE / FRAME) + 1)
    edge = len(glide) // 2
    cents = np.convolve(np.pad(cents, edge, mode="edge"), glide / glide.sum(), mode="valid")
    depth = VIBRATO_CENTS * np.clip((since - VIBRATO_AFTER) / VIBRATO_AFTER, 0, 1)
    phase = rng.uniform(0, 2 * np.pi)
    cents += depth * np.sin(2 * np.pi * VIBRATO_HZ * FRAME * np.arange(len(cents)) + phase)
    return np.asarray(440.0 * 2 ** (cents / 1200))
