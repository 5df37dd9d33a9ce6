"""Every sound of an item of a study: cut, brought to the study's form, aligned, and how loud it is to be.

The steps that `materials` takes for each item; nothing here is kept or written, and no file is named.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median

import numpy as np

from separation.audio import ArrayReader, Reader, grid, open_reader, resample_margin, resampled_length
from separation.audio import anchors as made_up
from separation.audio.aligned import AlignedReader
from separation.audio.alignment import find_lag
from separation.audio.loudness import QUIETEST_LUFS, Gain, component_gain, loudness, loudness_gain
from separation.errors import StudyError
from separation.listening.parts import REFERENCE, Anchor, Item, Study, System
from separation.listening.prepared import ItemAudio
from separation.signals import Samples, Signal

MOVED = 0.005
"""Seconds of lag that are removed; a larger one is not a system's own delay but another file or another cut."""
PART, SURE = 0.25, 0.5
"""Of a sample, and the correlation from which on so little can be told."""
SAME = 0.05
"""Seconds by which a file may differ from an item in length and still count as the item, already cut."""
LONGEST = 300.0
"""Seconds of an item: all of its conditions are in memory at once, and nobody compares minutes."""


@dataclass(frozen=True)
class Take:
    """Where a condition comes from: a recording, and the sample at the study's rate where the item begins in it."""

    reader: Reader
    start: int

    def read(self, form: ItemAudio, lag: int = 0) -> Samples:
        return AlignedReader(self.reader, form, self.start + lag).read(0, form.length)


@dataclass(frozen=True)
class Sound:
    """A condition before the common gain, and what was done to it; `aligned` is what to measure where a lag was left."""

    samples: Samples
    aligned: Samples | None = None
    gain: Gain | None = None
    lag: int = 0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What the items of a study share while their sounds are made.

    Args:
        study: what was asked for.
        base: folder that its paths are relative to.
        sample_rate: Hz of all sounds.
        channels: of all sounds.
        scratch: folder for decoded copies of compressed files.
        separated: what a system's model gives of the samples from the first up to the second of an item's mixture.
    """

    study: Study
    base: Path
    sample_rate: int
    channels: int
    scratch: Path
    separated: Callable[[System, Item, Reader, int, int], Signal]

    def open(self, path: Path, stack: ExitStack) -> Reader:
        return stack.enter_context(open_reader(path, scratch=self.scratch))


class ItemSounds:
    """An item: where it lies in its recordings, and every sound of it."""

    def __init__(self, frame: Frame, item: Item, stack: ExitStack) -> None:
        self._frame, self._item, self._stack = frame, item, stack
        self._systems = {system.id: system for system in frame.study.systems}
        self._anchors = {anchor.id: anchor for anchor in frame.study.anchors}
        self._mixture = frame.open(frame.base / item.mixture, stack) if item.mixture else None
        target = frame.open(frame.base / item.target, stack) if item.target else None
        longest = [reader for reader in (self._mixture, target) if reader is not None] or self._own_files()
        rate = frame.sample_rate
        # On a sample of both rates, so that models are given exactly the seconds that are compared.
        step = grid(longest[0].sample_rate, rate)[1]
        self._start = round(item.start * rate / step) * step
        ends = {reader.info.name: resampled_length(reader.length, reader.sample_rate, rate) for reader in longest}
        name, end = min(ends.items(), key=lambda one: one[1])
        length = end - self._start if item.duration is None else round(item.duration * rate)
        if not 0 < length <= end - self._start + 1 or length > LONGEST * rate:
            raise StudyError(
                f"Cut the item {item.id}",
                f"it goes from {item.start:.2f} s to {(self._start + length) / rate:.2f} s, and {name} has {end / rate:.2f} s",
                f"Change its start or duration; {LONGEST:g} s is the longest",
            )
        self.form = ItemAudio(rate, frame.channels, min(length, end - self._start))
        self._heard = None if self._mixture is None else Take(self._mixture, self._start).read(self.form)
        self.target = None if target is None else Take(target, self._start).read(self.form)

    def sound(self, name: str) -> Sound:
        """A condition that the item has (`conditions_of`), aligned, at its own loudness."""
        if name in self._systems:
            return self._aligned(self._take(self._systems[name]))
        if name in self._anchors:
            return Sound(self._anchor(self._anchors[name]))
        samples = self.target if name == REFERENCE else self._heard
        assert samples is not None, name
        return Sound(samples)

    def _anchor(self, anchor: Anchor) -> Samples:
        there = [samples for samples in (self.target, self._heard) if samples is not None]
        return made_up.make(
            anchor.kind,
            target=there[0],
            mixture=there[-1],
            sample_rate=self.form.sample_rate,
            seed=self._seed(anchor),
            **numbers(anchor),
        )

    def _seed(self, anchor: Anchor) -> int:
        """Of what an anchor draws; the same in every build."""
        text = json.dumps([self._frame.study.seed, self._item.id, anchor.id])
        return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)

    def _take(self, system: System) -> Take:
        path = file_of(system, self._item, self._frame.base)
        if path is not None:
            return self._from_file(system, self._frame.open(path, self._stack))
        assert self._mixture is not None, system.id
        rate, total = self._mixture.sample_rate, self._mixture.length
        step_in, step_out = grid(rate, self.form.sample_rate)
        margin = -(-resample_margin(rate, self.form.sample_rate) // step_in) + 1
        first = max(0, self._start // step_out - margin) * step_in
        stop = min(total, (-(-(self._start + self.form.length) // step_out) + margin) * step_in)
        signal = self._frame.separated(system, self._item, self._mixture, first, stop)
        return Take(ArrayReader(signal, system.id), self._start - first // step_in * step_out)

    def _from_file(self, system: System, reader: Reader) -> Take:
        """A file that has the whole mixture's time, or just the item's."""
        rate = self.form.sample_rate
        length = resampled_length(reader.length, reader.sample_rate, rate)
        if abs(length - self.form.length) <= SAME * rate:
            return Take(reader, 0)
        if length >= self._start + self.form.length - SAME * rate:
            return Take(reader, self._start)
        whole = (self._start + self.form.length) / rate
        raise StudyError(
            f"Take {system.id} of the item {self._item.id} from {reader.info.name}",
            f"it has {length / rate:.2f} s; the item has {self.form.duration:.2f} s, its recording {whole:.2f} s or more",
            "Give a file as long as the item or as its recording",
        )

    def _aligned(self, take: Take) -> Sound:
        samples = take.read(self.form)
        against = self._heard if self.target is None else self.target
        flags = [] if np.any(samples) else ["it is silent"]
        if take.reader.channels != self.form.channels:
            flags.append(f"its {take.reader.channels} channels were made {self.form.channels}, by their mean")
        if against is None or flags[:1] == ["it is silent"] or not np.any(against):
            return Sound(samples, flags=tuple(flags))
        what = "mixture" if self.target is None else "target"
        lag, rate = find_lag(against, samples, self.form.sample_rate), self.form.sample_rate
        moved = lag.samples if abs(lag.samples) <= MOVED * rate else 0
        if not lag.found:
            flags.append(f"it holds next to nothing of the {what} (correlation {lag.correlation:.2f})")
        elif moved != lag.samples:
            flags.append(
                f"it comes {abs(lag.samples):,} samples ({1000 * abs(lag.samples) / rate:.1f} ms) too "
                f"{'late' if lag.samples > 0 else 'early'} against the {what}; more than {1000 * MOVED:g} ms are not removed: "
                "shift the file"
            )
        elif lag.inverted:
            flags.append(f"it is upside down against the {what} (inverted polarity)")
        elif abs(lag.fraction) > PART and lag.correlation > SURE:
            late = "late" if lag.fraction > 0 else "early"
            flags.append(f"it comes {abs(lag.fraction):.1f} samples too {late}; parts of a sample are not removed")
        aligned = take.read(self.form, lag.samples) if lag.samples else samples
        return Sound(aligned if moved else samples, aligned, lag=moved, flags=tuple(flags))

    def _own_files(self) -> list[Reader]:
        """The systems' files, where there is neither mixture nor target."""
        paths = [file_of(system, self._item, self._frame.base) for system in self._systems.values()]
        readers = [self._frame.open(path, self._stack) for path in paths if path is not None]
        if not readers:
            found = "it has neither a mixture, nor a target, nor a file of any system"
            raise StudyError(f"Prepare the item {self._item.id}", found, "Name its recordings, or leave it out")
        return readers


def matched(study: Study, sounds: Mapping[str, Sound], target: Samples | None, sample_rate: int) -> dict[str, Sound]:
    """Every sound of an item with its gain.

    ``target``: systems and ideal masks, so that the target in them is as loud as it is alone; all else holds the target at its
    own level as it is made. Where nobody knows the target, ``bs1770``: systems and anchors as loud as the target, or as the
    median of the systems. The reference and the mixture stay as they are.
    """
    if study.loudness == "none":
        return dict(sounds)
    matched = {system.id for system in study.systems}
    if study.loudness == "target" and target is not None:
        matched |= {anchor.id for anchor in study.anchors if anchor.kind == "ratio_mask"}
        heard = {name: sounds[name] for name in matched & sounds.keys()}
        gains = {
            name: component_gain(target, sound.samples if sound.aligned is None else sound.aligned, sample_rate)
            for name, sound in heard.items()
        }
    else:
        wanted = _wanted_loudness(
            target, [sounds[name].samples for name in sorted(matched & sounds.keys())], sample_rate
        )
        matched |= {anchor.id for anchor in study.anchors}
        gains = {name: loudness_gain(wanted, sounds[name].samples, sample_rate) for name in matched & sounds.keys()}
    return {
        name: replace(sound, samples=sound.samples * np.float32(10 ** (gains[name].db / 20)), gain=gains[name])
        if name in gains
        else sound
        for name, sound in sounds.items()
    }


def _wanted_loudness(target: Samples | None, systems: Sequence[Samples], sample_rate: int) -> float:
    """The target's, or the median of the systems that sound; ``-inf`` where nothing does."""
    if target is not None:
        return loudness(target, sample_rate)
    levels = [loudness(samples, sample_rate) for samples in systems]
    return median([level for level in levels if level >= QUIETEST_LUFS] or [-inf])


def numbers(anchor: Anchor) -> dict[str, float | None]:
    return {"cut_hz": anchor.cut_hz, "level_db": anchor.level_db, "share": anchor.share}


def file_of(system: System, item: Item, base: Path) -> Path | None:
    """A system's file of an item; None where a model makes it, or where none is named."""
    if isinstance(system.files, str):
        return base / system.files.replace("{item}", item.id) if system.files else None
    return base / system.files[item.id] if item.id in system.files else None
