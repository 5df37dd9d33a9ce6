"""Two sources that a few seconds teach: chords of a plucked string, and bursts of hiss. Seeded; nothing is read from disk."""

import numpy as np

from separation.signals import Samples, Signal

RATE = 8000
SMALL = {"sample_rate": RATE, "n_fft": 256, "hop_length": 64, "segment": 2.0, "context": 0.25}
"""Arguments that make every system quick."""


def strings(seconds: float, seed: int, rate: int = RATE) -> Samples:
    """Plucked tones of three pitches, ``[1, T]``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros_like(time)
    for start in np.arange(0, seconds, 0.25):
        since = np.clip(time - start, 0, None)
        pitch = rng.choice([220.0, 277.2, 329.6])
        tone = sum(np.sin(2 * np.pi * pitch * k * since) / k for k in range(1, 6))
        sound += tone * np.exp(-6 * since) * (time >= start)
    return (0.1 * sound[None]).astype(np.float32)


def hiss(seconds: float, seed: int, rate: int = RATE) -> Samples:
    """Bursts of noise above 2 kHz, ``[1, T]``."""
    rng = np.random.default_rng(seed)
    length = round(seconds * rate)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum[np.fft.rfftfreq(length, 1 / rate) < 2000] = 0
    bursts = np.sin(2 * np.pi * 1.7 * np.arange(length) / rate) > 0
    return (0.1 * np.fft.irfft(spectrum, length) * bursts)[None].astype(np.float32)


def signal(samples: Samples, rate: int = RATE) -> Signal:
    return Signal(samples, rate)


def clips(seconds: float = 3.0) -> dict[str, list[Signal]]:
    """One clip of each."""
    return {"strings": [signal(strings(seconds, 1))], "hiss": [signal(hiss(seconds, 2))]}
