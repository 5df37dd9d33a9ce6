"""Making two takes comparable: the same sources by the same name, equally loud, none clipping.

Gains: where a source is known, each side's estimate of it is brought to the true level of that source inside it (least
squares), because BS.1770 counts bleed and would play the better suppressor's target louder; else the louder side is brought
down to the loudness of the other by BS.1770. The residual is played as it is. One common gain keeps everything from clipping.

Nothing here knows who is on which side, or what anybody voted.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from separation.audio.loudness import Gain, component_gain, loudness, loudness_gain
from separation.engine.options import RESIDUAL
from separation.listening.arena import Side, System
from separation.signals import Samples, Signal
from separation.ui.takes import Recording, read_sound, tracks_of

PEAK = 0.99
"""Of full scale, that the loudest sample may reach."""

_SIDES: tuple[Side, ...] = get_args(Side)


class Played(NamedTuple):
    """A sound of a pair.

    Args:
        sound: as the system gave it.
        file: it lies here, below the recording's folder.
        gain: the factor with which it is played.
        flag: why it could not be matched; empty if it was.
    """

    sound: Signal
    file: str
    gain: float
    flag: str = ""


Prepared = dict[str, Played]
"""By role: ``mixture``, ``left:vocals``, ``right:residual``, …"""


def prepare(
    recording: Recording, systems: Mapping[Side, System], sources: tuple[str, ...], *, permuted: bool = False
) -> Prepared:
    """All sounds of a pair with their gains.

    Args:
        recording: whose takes by both systems are complete.
        systems: who is on which side.
        sources: of the task.
        permuted: the order of a system's outputs means nothing: they are put in the order of the true sources, else of the left
            side's.

    Raises:
        UnknownJob: a take was deleted.
    """
    references = {name: read_sound(recording.reference(name)) for name in recording.references}
    folders = {side: recording.take(systems[side]) for side in _SIDES}
    tracks = {side: {name: read_sound(folders[side] / f"{name}.wav") for name in tracks_of(sources)} for side in _SIDES}
    order = {side: dict(zip(sources, sources, strict=True)) for side in _SIDES}
    if permuted:
        anchor = references if set(sources) <= set(references) else tracks["left"]
        order = {side: _order(anchor, tracks[side], sources) for side in _SIDES}
    prepared: Prepared = {"mixture": Played(read_sound(recording.mixture), "mixture.wav", 1.0)}
    for name in tracks_of(sources):
        pair = {side: order[side].get(name, name) for side in _SIDES}
        sounds = {side: tracks[side][pair[side]] for side in _SIDES}
        gains = _gains(references.get(name), sounds) if name != RESIDUAL else dict.fromkeys(_SIDES, Gain(0.0, 0.0))
        for side in _SIDES:
            file = (folders[side] / f"{pair[side]}.wav").relative_to(recording.folder)
            gain = gains[side]
            prepared[f"{side}:{name}"] = Played(sounds[side], str(file), 10 ** (gain.db / 20), gain.flag)
    peak = max(float(np.abs(one.sound.samples).max()) * one.gain for one in prepared.values())
    common = min(1.0, PEAK / peak) if peak > 0 else 1.0
    return {role: one._replace(gain=one.gain * common) for role, one in prepared.items()}


def _order(anchor: Mapping[str, Signal], tracks: Mapping[str, Signal], sources: tuple[str, ...]) -> dict[str, str]:
    """Which track is which source, by correlation: systems whose outputs have no order must mean the same by one name."""
    likeness = np.array(
        [[_correlation(anchor[one].samples, tracks[other].samples) for other in sources] for one in sources]
    )
    _, columns = linear_sum_assignment(-likeness)
    return {source: sources[column] for source, column in zip(sources, columns, strict=True)}


def _correlation(one: Samples, other: Samples) -> float:
    energy = float(np.vdot(one, one)) * float(np.vdot(other, other))
    return abs(float(np.vdot(one, other))) / math.sqrt(energy) if energy > 0 else 0.0


def _gains(reference: Signal | None, sounds: Mapping[Side, Signal]) -> dict[Side, Gain]:
    """Gains with which both sides of a stem are equally loud."""
    rate = sounds["left"].sample_rate
    if reference is not None:
        return {side: component_gain(reference.samples, sounds[side].samples, rate) for side in _SIDES}
    quieter = min(loudness(sounds[side].samples, rate) for side in _SIDES)
    return {side: loudness_gain(quieter, sounds[side].samples, rate) for side in _SIDES}


def levelled(sound: Signal, gain: float) -> Signal:
    """As it is played."""
    return Signal((sound.samples * gain).astype(np.float32), sound.sample_rate)


def samples_16(path: Path, gain: float) -> bytes:
    """What the page plays: interleaved, little-endian; `clip_id` hashes the same samples."""
    scaled = np.rint(levelled(read_sound(path), gain).samples * 32768.0)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").T.tobytes())
