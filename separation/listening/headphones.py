"""Does the listener wear headphones? Six antiphase trials of K. Woods, M. Siegel, J. Traer and J. McDermott, "Headphone
screening to facilitate web-based auditory experiments", Attention, Perception & Psychophysics 79 (2017).

Each trial plays three tones of 200 Hz and asks which is the quietest. One is 6 dB below the others; another has its two
channels in antiphase, which loudspeakers cancel in the room, so that it seems the quietest, and headphones do not. Five of six
right are a pass (chance: 1.8 %). It is no hearing test, and Bluetooth speakers that sum to mono fail it too.

The tones are made here, and which was which stays here.
"""

from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

TRIALS = 6
PASS = 5
TONES = ("plain", "quiet", "antiphase")
"""The three tones of a trial, in an order of its own."""
SAMPLE_RATE = 44100
"""Hz."""
FREQUENCY_HZ, TONE, GAP, RAMP = 200.0, 1.0, 0.5, 0.1
"""Of a tone: its pitch, and seconds of sound, of silence after it, and of its ends."""
LEVEL_DB, QUIET_DB = -20.0, -6.0
"""Peak below full scale, and how much lower the quiet one is."""
LENGTH = round((3 * TONE + 2 * GAP) * SAMPLE_RATE)
"""Samples of a trial."""


def draw(random: Random) -> list[tuple[str, ...]]:
    """The order of the tones in each trial; every tone comes first, second and third twice as the quiet one."""
    places = [0, 1, 2] * (TRIALS // 3)
    random.shuffle(places)
    orders = []
    for place in places:
        others = [tone for tone in TONES if tone != "quiet"]
        random.shuffle(others)
        orders.append((*others[:place], "quiet", *others[place:]))
    return orders


def right_answer(order: tuple[str, ...]) -> int:
    """Which tone is the quietest, from 1.

    >>> right_answer(("antiphase", "plain", "quiet"))
    3
    """
    return order.index("quiet") + 1


@lru_cache(maxsize=6)
def pcm(order: tuple[str, ...]) -> bytes:
    """A trial as interleaved stereo, 16-bit little-endian, `LENGTH` samples a channel.

    >>> len(pcm(("plain", "quiet", "antiphase"))) == 4 * LENGTH
    True
    """
    samples = np.zeros((LENGTH, 2))
    tone = _tone()
    for number, name in enumerate(order):
        start = round(number * (TONE + GAP) * SAMPLE_RATE)
        gain = 10 ** (QUIET_DB / 20) if name == "quiet" else 1.0
        samples[start : start + len(tone), 0] = gain * tone
        samples[start : start + len(tone), 1] = gain * (-tone if name == "antiphase" else tone)
    return np.rint(samples * 32767).astype("<i2").tobytes()


def _tone() -> NDArray[np.float64]:
    """A tone with raised-cosine ends."""
    time = np.arange(round(TONE * SAMPLE_RATE)) / SAMPLE_RATE
    ends = np.clip(np.minimum(time, TONE - time) / RAMP, 0, 1)
    ramp: NDArray[np.float64] = 0.5 - 0.5 * np.cos(np.pi * ends)
    return 10 ** (LEVEL_DB / 20) * ramp * np.sin(2 * np.pi * FREQUENCY_HZ * time)
