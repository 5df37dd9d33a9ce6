"""How loud audio is, and the gain that makes two pieces equally loud for listeners.

Two ways, because they answer different questions:

- *BS.1770* (integrated loudness, by pyloudnorm): how loud a piece is as a whole. It stands in for the skilled listeners who
  match excerpts in BS.1116-3 and BS.1534-3; these name no number.
- *The target's component*: how loud the wanted source is inside an estimate of it. BS.1770 on a stem with bleed counts the
  bleed, so that matching by it plays the better suppressor's target louder; matching the component does not.

Gains only, no limiter and no compressor: nothing else of the sound changes.
"""

from dataclasses import dataclass
from math import inf, log10
from typing import Any

import numpy as np
import pyloudnorm
from numpy.typing import NDArray

from separation.errors import ShapeError

BLOCK = 0.4
"""Seconds of a gating block of BS.1770: less audio than that has no integrated loudness."""
MOST_CHANNELS = 5
"""BS.1770 weighs channels by where their loudspeakers stand: left, right, centre, and two surrounds."""
QUIETEST_LUFS = -60.0
"""Below this a piece counts as silent and gets no gain: it would only be made a noise of its own."""
MOST_GAIN_DB = 12.0

Samples = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Gain:
    """What a piece is multiplied by, and why.

    Args:
        db: the gain.
        wanted_db: what would match exactly; differs from `db` where that is more than is allowed.
        flag: a sentence for the researcher; empty if all is well.
    """

    db: float
    wanted_db: float
    flag: str = ""


def loudness(samples: Samples, sample_rate: int) -> float:
    """Integrated loudness, ITU-R BS.1770-4.

    Args:
        samples: ``[C, T]``.
        sample_rate: Hz.

    Returns:
        LUFS; ``-inf`` where every block is below the gate of -70 LUFS, and for less than 0.4 s.

    Raises:
        ShapeError: more channels than the standard has weights for.
    """
    channels, length = samples.shape
    if channels > MOST_CHANNELS:
        found = f"{channels} channels; BS.1770 says how to weigh {MOST_CHANNELS} at most"
        raise ShapeError("Measure loudness", found, "Mix the recording down to stereo first")
    if length < BLOCK * sample_rate or not np.any(samples):
        return -inf
    # As float64: the meter filters in the precision it is given.
    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(np.asarray(samples, np.float64).T))


def component(target: Samples, estimate: Samples) -> float:
    """The factor a for which a · `target` comes closest to `estimate`: ``<target, estimate> / <target, target>``.

    All channels are one signal. It is the scale of SI-SDR's target part (Le Roux et al., SDR: half-baked or well done?,
    ICASSP 2019, eq. 4); what the estimate holds besides, bleed and artefacts, does not change it as far as it is
    uncorrelated with the target. 0 for a silent target.

    Args:
        target: ``[C, T]``.
        estimate: ``[C, T]``.
    """
    one, other = np.asarray(target, np.float64), np.asarray(estimate, np.float64)
    energy = float(np.vdot(one, one))
    return float(np.vdot(one, other)) / energy if energy > 0 else 0.0


def component_gain(target: Samples, estimate: Samples, sample_rate: int) -> Gain:
    """The gain after which the target is as loud in `estimate` as it is alone.

    Args:
        target: ``[C, T]``.
        estimate: ``[C, T]``, aligned with `target`.
        sample_rate: Hz.
    """
    level = loudness(target, sample_rate)
    if level < QUIETEST_LUFS:
        return Gain(0.0, 0.0, f"no gain: the target is silent here ({_said(level)})")
    factor = abs(component(target, estimate))
    if 20 * log10(max(factor, 1e-20)) + level < QUIETEST_LUFS:
        return Gain(0.0, 0.0, f"no gain: next to nothing of the target is in it ({_said(level + _db(factor))})")
    return _limited(-_db(factor), "the target in it")


def loudness_gain(wanted_lufs: float, samples: Samples, sample_rate: int) -> Gain:
    """The gain that brings a piece to a loudness by BS.1770.

    Args:
        wanted_lufs: what it shall have.
        samples: ``[C, T]``.
        sample_rate: Hz.
    """
    level = loudness(samples, sample_rate)
    if level < QUIETEST_LUFS:
        return Gain(0.0, 0.0, f"no gain: it is silent ({_said(level)})")
    if wanted_lufs < QUIETEST_LUFS:
        return Gain(0.0, 0.0, f"no gain: what it should match is silent ({_said(wanted_lufs)})")
    return _limited(wanted_lufs - level, "it")


def _limited(wanted_db: float, what: str) -> Gain:
    given = max(-MOST_GAIN_DB, min(MOST_GAIN_DB, wanted_db))
    if given == wanted_db:
        return Gain(given, wanted_db)
    return Gain(
        given, wanted_db, f"{what} would need {wanted_db:+.1f} dB; {given:+.0f} dB is the most, so it does not match"
    )


def _db(factor: float) -> float:
    return 20 * log10(factor) if factor > 0 else -inf


def _said(lufs: float) -> str:
    return f"{lufs:.0f} LUFS" if lufs > -inf else "digital silence, or under 0.4 s"
