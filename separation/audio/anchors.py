"""Sounds of known badness, made from the target and its mixture: what the scale of a listening test is held by.

`low_pass` is the anchor of ITU-R BS.1534-3. The others are ours, for separation, after the anchors of Emiya, Vincent, Harlander
and Hohmann (Subjective and Objective Quality Assessment of Audio Source Separation, IEEE TASLP 19(7), 2011): interference,
artefacts, a distorted target; and an ideal ratio mask, which a good separator may come near to. BS.1534-3 allows anchors of
one's own beside its two, if the report describes them: `describe` does, in a sentence with the numbers.

Every anchor is as long as the target, aligned with it to the sample (no filter delays anything), all its channels changed
alike, and the same for the same seed. All hold the target at its own level, except where a filter or a mask takes of it.

Not a model of what separators do wrong: none of them should be used to scale grades between tests.
"""

from collections.abc import Callable
from math import log2
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, firwin, kaiserord, oaconvolve
from scipy.signal.windows import hann

from separation.audio.loudness import component

Kind = Literal["low_pass", "mixture", "interference", "artefacts", "distorted", "ratio_mask"]
Samples = NDArray[np.floating[Any]]
Spectrum = NDArray[np.complex128]

CUTS_HZ = 3500.0, 7000.0
"""The low and the mid anchor of BS.1534-3."""
STOP = 8 / 7
"""Where the low-pass stops, as a multiple of its cut-off: 4 kHz for 3.5 kHz, where the standard's mask asks for 25 dB. (At
4.5 kHz it asks for 50 dB, and up to 3.5 kHz for a ripple of at most 0.1 dB.) The mask is the standard's for 3.5 kHz; that for
any other cut-off is ours, the same in proportion."""
ATTENUATION_DB = 60.0
"""Of the low-pass from there on; a Kaiser window's ripple is then 0.01 dB."""
NEAREST = 0.99
"""A cut-off above this part of the Nyquist frequency takes nothing away that could be heard, and would need a long filter."""

NOTHING = 1e-5
"""Of the target's amplitude: what is weaker than this is not there."""
LEVEL_DB = 0.0
"""Target to what is added, where nothing else is asked for."""
ZEROED = 0.99
"""Part of the time-frequency points that the artefacts lack (Emiya et al.: what is left are short tones, musical noise)."""
HOLES = 0.2
"""Part of them that the distorted target lacks (Emiya et al.)."""
WINDOW = 2048 / 44100
"""Seconds of the analysis window: 46 ms."""


def low_pass(samples: Samples, sample_rate: int, cut_hz: float = CUTS_HZ[0]) -> Samples:
    """All up to `cut_hz`, nothing from 8/7 of it on; a linear-phase FIR whose delay is taken back to the sample.

    Where 8/7 of the cut-off is beyond the Nyquist frequency, the filter stops there instead; where the cut-off itself nearly
    is, nothing is taken away.

    Args:
        samples: ``[C, T]``.
        sample_rate: Hz.
        cut_hz: upper edge of what passes.

    Returns:
        ``[C, T]``.
    """
    taps = low_pass_taps(sample_rate, cut_hz)
    if len(taps) == 1:
        return samples.copy()
    half = len(taps) // 2
    passed: Samples = oaconvolve(samples, taps[None], axes=1)[:, half : half + samples.shape[-1]].astype(samples.dtype)
    return passed


def low_pass_taps(sample_rate: int, cut_hz: float) -> NDArray[np.float64]:
    """The filter of `low_pass`: an odd number of symmetric taps around its centre; one where nothing is taken away."""
    nyquist = sample_rate / 2
    if cut_hz >= NEAREST * nyquist:
        return np.ones(1)
    stop = min(STOP * cut_hz, nyquist)
    taps, beta = kaiserord(ATTENUATION_DB, (stop - cut_hz) / nyquist)
    return np.asarray(firwin(taps | 1, (cut_hz + stop) / 2, window=("kaiser", beta), fs=sample_rate), np.float64)


def interference(target: Samples, mixture: Samples, level_db: float = LEVEL_DB) -> Samples:
    """The target and everything else in the mixture, this so many dB (energy over the item) below the target.

    What is silent cannot be brought to a level and is not added. ``[C, T]`` each.
    """
    return _with(target, mixture - target, level_db)


def artefacts(
    target: Samples, sample_rate: int, generator: np.random.Generator, level_db: float = LEVEL_DB, share: float = ZEROED
) -> Samples:
    """The target and musical noise: itself with a `share` of its time-frequency points set to zero, at a level below it.

    What of that is the target still (its projection on it) is taken out of the noise, so that nothing is added but noise, and
    the target stays as loud as it is.

    Args:
        target: ``[C, T]``.
        sample_rate: Hz.
        generator: draws the points; all channels lose the same.
        level_db: energy of the target to that of the noise, over the item.
        share: part of the points, 0 to 1.
    """
    holed = _with_holes(target, sample_rate, generator, share)
    return _with(target, holed - np.asarray(component(target, holed), target.dtype) * target, level_db)


def distorted(
    target: Samples,
    sample_rate: int,
    generator: np.random.Generator,
    cut_hz: float = CUTS_HZ[0],
    share: float = HOLES,
) -> Samples:
    """The target, low-passed, with a `share` of its time-frequency points set to zero. ``[C, T]``."""
    return low_pass(_with_holes(target, sample_rate, generator, share), sample_rate, cut_hz)


def ratio_mask(target: Samples, mixture: Samples, sample_rate: int) -> Samples:
    """What a separator gives that knows the target and may only turn the mixture down, point by point.

    The mask is the target's share ``|T|² / (|T|² + |M - T|²)`` in every channel, bin and frame. ``[C, T]``.
    """

    def mask(of_target: Spectrum, of_mixture: Spectrum) -> Spectrum:
        wanted, rest = np.abs(of_target) ** 2, np.abs(of_mixture - of_target) ** 2
        masked: Spectrum = of_mixture * (wanted / np.maximum(wanted + rest, np.finfo(np.float64).tiny))
        return masked

    return _in_time_and_frequency(sample_rate, mask, target, mixture)


def make(
    kind: Kind,
    *,
    target: Samples,
    mixture: Samples,
    sample_rate: int,
    seed: int = 0,
    cut_hz: float | None = None,
    level_db: float | None = None,
    share: float | None = None,
) -> Samples:
    """An anchor by the name of its kind; None for the numbers named above.

    Args:
        kind: which.
        target: ``[C, T]``.
        mixture: ``[C, T]``; not looked at by ``low_pass``, ``artefacts`` and ``distorted``.
        sample_rate: Hz.
        seed: of what is drawn.
        cut_hz: of ``low_pass`` and ``distorted``.
        level_db: of ``interference`` and ``artefacts``.
        share: of ``artefacts`` and ``distorted``.

    Returns:
        ``[C, T]``.
    """
    cut, level = CUTS_HZ[0] if cut_hz is None else cut_hz, LEVEL_DB if level_db is None else level_db
    drawn = np.random.default_rng(seed)
    if kind == "low_pass":
        return low_pass(target, sample_rate, cut)
    if kind == "mixture":
        return mixture.copy()
    if kind == "interference":
        return interference(target, mixture, level)
    if kind == "artefacts":
        return artefacts(target, sample_rate, drawn, level, ZEROED if share is None else share)
    if kind == "distorted":
        return distorted(target, sample_rate, drawn, cut, HOLES if share is None else share)
    return ratio_mask(target, mixture, sample_rate)


def describe(
    kind: Kind, *, cut_hz: float | None = None, level_db: float | None = None, share: float | None = None
) -> str:
    """An anchor in one sentence with its numbers, for the report of a study."""
    cut = CUTS_HZ[0] if cut_hz is None else cut_hz
    level = LEVEL_DB if level_db is None else level_db
    window = f"windows of {1000 * WINDOW:.0f} ms"
    if kind == "low_pass":
        standard = "as BS.1534-3 asks" if cut in CUTS_HZ else "not BS.1534-3"
        return (
            f"The target, low-passed at {cut:,.0f} Hz ({standard}): linear-phase FIR, Kaiser window, {ATTENUATION_DB:g} dB "
            f"down from {STOP * cut:,.0f} Hz on, aligned to the sample."
        )
    if kind == "mixture":
        return "The mixture itself: no separation at all."
    if kind == "interference":
        return f"The target with everything else of the mixture, this {level:g} dB below the target in energy."
    if kind == "artefacts":
        kept = 100 * (1 - (ZEROED if share is None else share))
        return (
            f"The target with musical noise {level:g} dB below it in energy: the target with all but a random {kept:g} % of "
            f"its time-frequency points ({window}) set to zero, without what of it is the target still."
        )
    if kind == "distorted":
        lost = 100 * (HOLES if share is None else share)
        return (
            f"The target with a random {lost:g} % of its time-frequency points ({window}) set to zero, low-passed at "
            f"{cut:,.0f} Hz."
        )
    return f"The mixture through the ideal ratio mask of powers ({window}): what a mask can do that knows the target."


def _with(target: Samples, added: Samples, level_db: float) -> Samples:
    wanted, there = np.linalg.norm(target), np.linalg.norm(added)
    if wanted == 0 or there < NOTHING * wanted:  # rounding must not be raised to a level
        return target.copy()
    return (target + added * (wanted / there * 10 ** (-level_db / 20))).astype(target.dtype)


def _with_holes(target: Samples, sample_rate: int, generator: np.random.Generator, share: float) -> Samples:
    def holed(points: Spectrum) -> Spectrum:
        return np.where(generator.random(points.shape[1:]) < share, 0.0, points)

    return _in_time_and_frequency(sample_rate, holed, target)


def _in_time_and_frequency(sample_rate: int, change: Callable[..., Spectrum], *signals: Samples) -> Samples:
    """What `change` makes of the short-time spectra ``[C, F, K]`` of signals ``[C, T]``, as samples, as many."""
    length = signals[0].shape[-1]
    size = max(16, 2 ** round(log2(WINDOW * sample_rate)))
    transform = ShortTimeFFT(hann(size, sym=False), size // 4, sample_rate)
    # The transform wants at least half a window: silence behind does no harm.
    padded = [np.pad(signal, ((0, 0), (0, max(0, size - length)))) for signal in signals]
    changed = change(*(transform.stft(signal) for signal in padded))
    heard: Samples = transform.istft(changed, 0, max(size, length))[:, :length].astype(signals[0].dtype)
    return heard
