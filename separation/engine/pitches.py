"""Pitch tracks beside a recording: kept in a folder, checked against it, found in it, and told to models that need them.

    FOLDER/NAME.csv      a voice each, as `transforms.pitch` writes them; times are seconds of the recording
    FOLDER/pitch.json    the voices in order, and where their tracks are from; written last

The voices are whoever has a track: a model that goes by pitch separates as many as there are (`models.voices`).
"""

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from separation.audio import Reader, StreamResampler
from separation.engine.options import SideInformation
from separation.engine.references import check_names
from separation.errors import Cancelled, JobError
from separation.models import ARCHITECTURES, PITCH, PitchSeparator, Separator, with_voices
from separation.signals import Signal
from separation.transforms.multipitch import MixtureTracker, voice_names
from separation.transforms.pitch import HOP, LIMIT_HZ, RATE, PitchTrack, read_track, track_stem, write_track

Source = Literal["file", "mixture", "stem"]
GRID = HOP / RATE
"""Seconds between the values that a person corrects."""
VOICES = 4
"""That are looked for in a mixture if nobody says how many: a choir's."""
BEYOND = 1.0
"""Seconds by which a track may go on after the recording has ended."""

_BLOCK = 1 << 18  # samples that are read at a time
_READ = 0.85  # part of the finding that is reading; the rest is following


@dataclass(frozen=True)
class Change:
    """Other values for some moments of a voice.

    Args:
        voice: its name.
        first: the first moment, which is ``first * GRID`` seconds into the recording.
        hz: the values from there on; 0 where the voice is silent.

    Raises:
        JobError: a value is none, or there is none.
    """

    voice: str
    first: int
    hz: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.first < 0 or not self.hz or not all(0 <= value <= LIMIT_HZ for value in self.hz):
            raise JobError(
                f"Correct the pitch of {self.voice}",
                "a value is no pitch" if self.hz else "no value is given",
                f"Give 0 (silent) to {LIMIT_HZ:g} Hz",
            )


@dataclass(frozen=True)
class Pitches:
    """The pitch of every voice of a recording.

    Args:
        tracks: by name, in the order in which the voices are to be separated.
        source: of a ``"file"`` that somebody has brought, found in the ``"mixture"``, or in each voice's own ``"stem"``.

    Raises:
        JobError: no voice, or names that cannot be those of tracks (`references.check_names`).
    """

    tracks: Mapping[str, PitchTrack]
    source: Source

    def __post_init__(self) -> None:
        if not self.tracks:
            raise JobError("Use pitch tracks", "there is none", "Give one for every voice")
        check_names(self.tracks)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.tracks)

    def check(self, recording: str, duration: float) -> None:
        """Refuse what cannot be about this recording.

        Args:
            recording: what it is called.
            duration: its seconds.

        Raises:
            JobError: a track goes on long after it, or nobody sings.
        """
        asked = f"Use the pitch of {', '.join(self.tracks)} for {recording}"
        for name, track in self.tracks.items():
            if track.times[-1] > duration + BEYOND:
                found = (
                    f"the track of {name} goes on to {track.times[-1]:.1f} s and the recording lasts {duration:.1f} s"
                )
                raise JobError(asked, found, "Give tracks of this recording, in seconds from its start")
        if not any(np.any(track.hz[track.times <= duration] > 0) for track in self.tracks.values()):
            raise JobError(asked, "no track has a pitch anywhere in it", "Give a track for each voice, in Hz")

    def changed(self, changes: Sequence[Change]) -> "Pitches":
        """The same with other values at some moments; tracks that are changed lie on `GRID` from then on.

        Raises:
            JobError: nothing is changed, there is no such voice, or a change lies outside of the tracks.
        """
        asked, tracks = "Correct the pitch", dict(self.tracks)
        for change in changes:
            track = tracks.get(change.voice)
            if track is None:
                found = f"there is no voice called {change.voice}"
                raise JobError(asked, found, f"Choose from {', '.join(self.tracks)}")
            last = max(each.times[-1] for each in self.tracks.values())
            hz = on_grid(track, last)
            if change.first + len(change.hz) > len(hz):
                found = f"the change of {change.voice} goes on to {(change.first + len(change.hz)) * GRID:.1f} s"
                raise JobError(asked, found, f"Stay before {last:.1f} s, where the tracks end")
            hz[change.first : change.first + len(change.hz)] = change.hz
            tracks[change.voice] = PitchTrack(GRID * np.arange(len(hz), dtype=np.float64), hz)
        if not changes:
            raise JobError(asked, "nothing is changed", "Draw, move or mute a part of a voice first")
        return replace(self, tracks=tracks)

    def write(self, folder: Path) -> None:
        """Keep them in `folder`, instead of what is there."""
        building = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        try:
            building.mkdir(parents=True)
            for name, track in self.tracks.items():
                write_track(building / f"{name}.csv", track)
            described = {"voices": list(self.tracks), "source": self.source}
            (building / "pitch.json").write_text(json.dumps(described), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def on_grid(track: PitchTrack, duration: float) -> NDArray[np.float64]:
    """The values of a track on `GRID`, from 0 s to `duration` and one beyond: ``[K]``."""
    return track.on_grid(GRID, 0.0, 1 + ceil(duration / GRID)).astype(np.float64)


def read_pitches(folder: Path) -> Pitches | None:
    """What `Pitches.write` has kept there; None if nothing."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        described = json.loads((folder / "pitch.json").read_text(encoding="utf-8"))
        tracks = {name: read_track(folder / f"{name}.csv") for name in described["voices"]}
        return Pitches(tracks, described["source"])
    return None


def goes_by_pitch(architecture: str) -> bool:
    """Whether models of an architecture have to be told the pitch of every voice."""
    return hasattr(ARCHITECTURES.get(architecture), "pitch_hop")


def told(separator: Separator, pitches: Pitches | None, recording: str) -> Separator:
    """A separator for the voices that have a track; an ordinary one as it is.

    Raises:
        JobError: it has to be told and nobody tells.
    """
    if PITCH not in separator.spec.needs:
        return separator
    if pitches is None:
        raise JobError(
            f"Separate {recording}",
            "this model needs the pitch of each voice, and no tracks came along",
            "Give a track a voice (time,f0), or have them found in the recording",
        )
    return with_voices(separator, pitches.names)


def pitch_side(separator: PitchSeparator, pitches: Pitches, *, start: float, duration: float) -> SideInformation:
    """The side information of models that go by pitch: ``side(start, length)["pitch"]`` is float32 ``[S, K]`` in Hz.

    Beyond the ends of what is separated the pitch goes as the sound does there: backwards, or there is none
    (`Spec.silent_ends`).

    Args:
        separator: which has the voices of `pitches` for sources.
        pitches: their tracks.
        start: seconds of the recording at which begins what is separated.
        duration: its seconds.
    """
    spec, hop = separator.spec, separator.pitch_hop
    tracks = [pitches.tracks[name] for name in spec.sources]

    def side(first: int, length: int) -> dict[str, torch.Tensor]:
        at = (first + hop * np.arange(1 + ceil(length / hop))) / spec.sample_rate
        mirrored = np.where(at > duration, 2 * duration - at, np.abs(at))
        inside = (mirrored >= 0) & (mirrored <= duration) & ((mirrored == at) | (not spec.silent_ends))
        hz = np.stack([np.where(inside, track.at(start + mirrored), 0) for track in tracks])
        return {PITCH: torch.from_numpy(hz.astype(np.float32))}

    return side


def find_pitches(
    reader: Reader,
    voices: int = VOICES,
    *,
    start: float = 0.0,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Pitches:
    """The pitch of every voice, as it is found in the mixture.

    Args:
        reader: the mixture, of any length.
        voices: how many.
        start: seconds of the recording at which `reader` begins, if it is a part of one.
        progress: told the part that is done, 0 to 1.
        cancelled: asked all along.

    Raises:
        ShapeError: so many voices cannot be told apart.
        Cancelled: `cancelled` said so.
    """
    tell = progress or (lambda fraction: None)
    stop = cancelled or (lambda: False)
    tracker, heard = MixtureTracker(voices), StreamResampler(reader.sample_rate, RATE, 1)
    for first in range(0, reader.length, _BLOCK):
        if stop():
            raise Cancelled("Find the pitch of every voice", "it was stopped", "Start it again when you like")
        block = reader.read(first, min(_BLOCK, reader.length - first))
        tracker.push(heard.push(block.mean(0, keepdims=True))[0])
        tell(_READ * (first + block.shape[1]) / reader.length)
    tracker.push(heard.finish()[0])
    found = tracker.finish(cancelled=stop)
    tell(1.0)
    names = voice_names(voices)
    return Pitches({name: PitchTrack(t.times + start, t.hz) for name, t in zip(names, found, strict=True)}, "mixture")


def pitches_of_stems(
    readers: Mapping[str, Reader],
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Pitches:
    """The pitch of every voice, as it is found in its own stem; the highest voice first.

    Args:
        readers: the stems by name, of any length.
        progress: told the part that is done, 0 to 1.
        cancelled: asked all along.

    Raises:
        Cancelled: `cancelled` said so.
    """
    tell, tracks = progress or (lambda fraction: None), {}
    for number, (name, reader) in enumerate(readers.items()):

        def part(fraction: float, number: int = number) -> None:
            tell((number + fraction) / len(readers))

        tracks[name] = track_stem(_at_rate(reader), progress=part, cancelled=cancelled)
    return Pitches(dict(sorted(tracks.items(), key=lambda entry: -_middle(entry[1]))), "stem")


def _at_rate(reader: Reader) -> Signal:
    """One voice for its tracker: an hour of it is 230 MB."""
    heard, blocks = StreamResampler(reader.sample_rate, RATE, 1), []
    for first in range(0, reader.length, _BLOCK):
        block = reader.read(first, min(_BLOCK, reader.length - first))
        blocks.append(heard.push(block.mean(0, keepdims=True)))
    return Signal(np.concatenate([*blocks, heard.finish()], axis=1), RATE)


def _middle(track: PitchTrack) -> float:
    voiced = track.hz[track.hz > 0]
    return float(np.median(voiced)) if len(voiced) else 0.0
