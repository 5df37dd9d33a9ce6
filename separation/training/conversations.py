"""Voices that take turns, as people do who talk with each other, instead of two that speak all the time.

A model that has only heard full overlap splits a lone voice between its outputs, and never meets the question that a memory
answers: who of the two goes on after a pause.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separation.training.mixing import SpeakerMixer, normalise
from separation.training.pools import Audio

SHORTEST = 0.3
"""Seconds of a turn or a pause at least."""
FADE = 0.02
"""Seconds in which a voice comes and goes."""
HEARD = 0.01
"""Part of an example's energy that must be left, or it stays as it is."""
_STREAM = 1  # of the generator: the numbers of `SpeakerMixer` must stay what they are


@dataclass(frozen=True)
class ConversationMixer(SpeakerMixer):
    """Two people, in some examples both all the time, in the others each in turns.

    Args:
        sample_rate: Hz.
        turns: part of the examples with turns.
        spoken, pause: seconds that a turn, and the silence after it, last in the middle.
    """

    sample_rate: int = 8000
    turns: float = 0.6
    spoken: float = 3.0
    pause: float = 2.5

    def example(self, seed: int, step: int, index: int) -> Audio:
        stems = super().example(seed, step, index)
        rng = np.random.default_rng([seed, step, index, _STREAM])
        if rng.random() >= self.turns:
            return stems
        gates = np.stack([gate(rng, self.length, self.sample_rate, self.spoken, self.pause) for _ in stems])
        gated = (stems * gates).astype(np.float32)
        return normalise(gated, rng) if np.square(gated).sum() > HEARD * np.square(stems).sum() else stems


def gate(rng: np.random.Generator, length: int, sample_rate: int, spoken: float, pause: float) -> NDArray[np.float64]:
    """1 while a voice has its turn and 0 while it pauses, with soft edges; ``[length]``.

    Turns and pauses are drawn from exponential distributions of these means in seconds, none shorter than `SHORTEST`; it begins
    anywhere in one of them.
    """
    edges: list[float] = []
    at, on = 0.0, bool(rng.random() < spoken / (spoken + pause))
    first = on
    while at < length / sample_rate:
        mean = spoken if on else pause
        lasts = SHORTEST + float(rng.exponential(max(mean - SHORTEST, 0.05)))
        at += lasts * float(rng.random()) if not edges else lasts
        edges.append(at)
        on = not on
    open_ = np.searchsorted(np.array(edges), np.arange(length) / sample_rate, side="right") % 2 == (0 if first else 1)
    fade = max(1, round(FADE * sample_rate))
    ramp = np.hanning(fade + 2)[1:-1]
    return np.convolve(open_.astype(np.float64), ramp / ramp.sum(), "same")
