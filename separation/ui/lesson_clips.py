"""Clips to learn from: seconds of one source alone, uploaded or cut out of a recording, kept as the models hear them.

A clip is one channel at 16 kHz, 32-bit floats, under an id that nobody guesses. It lasts as long as a job would, or an hour
where there are too many; a lesson takes its own copy, so that neither can break the other. What is uploaded is taken for
hostile: it is read in blocks, never whole, and refused beyond `LONGEST` seconds. No address of a visitor is looked at: the
limits count for the whole page.

    clips/ID/clip.wav
"""

import contextlib
import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separation.audio import BLOCK, Reader, RegionReader, StreamResampler, Writer, open_reader
from separation.errors import AudioError, Busy, NonFiniteAudio, UnknownJob
from separation.models.components import SAMPLE_RATE
from separation.signals import Signal

LARGEST = 25_000_000
"""Bytes of an upload."""
LONGEST = 120.0
"""Seconds of a clip: many times what these models need."""
MOST = 400
"""Clips at once, of all visitors: 3 GB at worst."""

SAFE = 3600.0
"""Seconds that a clip stays even when there are too many: then older ones make room."""

_CLIP = "clip.wav"
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_SILENT = 1e-6  # greatest sample of what is called silent: -120 dB


@dataclass(frozen=True)
class Clip:
    """Seconds of sound.

    Args:
        id: the capability.
        path: where it lies.
    """

    id: str
    path: Path

    def read(self) -> Signal:
        """All of it.

        Raises:
            UnknownJob: it has been deleted.
        """
        return read_clip(self.path)


class Clips:
    """The clips of an installation.

    Args:
        folder: made when the first comes.
        keep_hours: hours until a clip is removed.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, *, keep_hours: float = 24, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._keep = keep_hours * 3600
        self._clock = clock

    def upload(self, file: Path, name: str) -> Clip:
        """Take a file, which is gone afterwards.

        Args:
            file: what was sent.
            name: what the visitor calls it, for messages.

        Raises:
            AudioError: no audio, damaged, silent or too long.
            Busy: there are too many clips.
            DiskFull: no room.
        """
        self.require_room()
        scratch = file.with_name(f"{file.name}.scratch")
        try:
            with open_reader(file, scratch=scratch, max_duration=LONGEST) as reader:
                return self._keep_reader(reader, f"Use {name}")
        except AudioError as error:  # readers name the file as it is called here: say it as the visitor calls it
            raise type(error)(f"Use {name}", error.found, error.advice) from error
        finally:
            file.unlink(missing_ok=True)
            shutil.rmtree(scratch, ignore_errors=True)

    def cut(self, recording: Path, start: float, stop: float) -> Clip:
        """Seconds `start` to `stop` of a recording that can be read in place.

        Raises:
            AudioError: the part is empty, silent, too long, or outside the recording.
            Busy: there are too many clips.
            DiskFull: no room.
        """
        self.require_room()
        asked = f"Use {start:.1f} to {stop:.1f} s of the recording"
        with open_reader(recording) as reader:
            first, last = (min(max(0, round(at * reader.sample_rate)), reader.length) for at in (start, stop))
            if last <= first:
                found = f"it has {reader.length / reader.sample_rate:.1f} s"
                raise AudioError(asked, found, "Drag over a part in which the source sounds alone")
            if last - first > LONGEST * reader.sample_rate:
                raise AudioError(asked, f"that is more than {LONGEST:g} s", "Choose a shorter part: ten seconds do")
            return self._keep_reader(RegionReader(reader, first, last - first), asked)

    def get(self, clip_id: str) -> Clip:
        """The clip with this id.

        Raises:
            UnknownJob: it has expired, or never was.
        """
        path = self.folder / clip_id / _CLIP
        if not _ID.fullmatch(clip_id) or not path.is_file():
            raise _unknown()
        return Clip(clip_id, path)

    def require_room(self) -> None:
        """Refuse before anything is read.

        Raises:
            Busy: there are too many clips.
        """
        if sum(1 for _ in self.folder.glob("*")) < MOST:
            return
        self.expire(keep=min(self._keep, SAFE))
        count = sum(1 for _ in self.folder.glob("*"))
        if count >= MOST:
            raise Busy("Take a clip", f"this page holds {count} clips of all its visitors", "Try again in an hour")

    def expire(self, *, keep: float | None = None) -> None:
        """Remove clips past their time, and what a killed process left.

        Args:
            keep: seconds; None for the hours that clips are kept.
        """
        keep = self._keep if keep is None else keep
        for entry in self.folder.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime + keep <= self._clock():
                    shutil.rmtree(entry, ignore_errors=True)
                    entry.unlink(missing_ok=True)

    def _keep_reader(self, reader: Reader, asked: str) -> Clip:
        """One channel at the models' rate."""
        clip_id = secrets.token_urlsafe(16)
        building = self.folder / f".{secrets.token_hex(8)}"
        building.mkdir(parents=True)
        try:
            resampler = StreamResampler(reader.sample_rate, SAMPLE_RATE, 1)
            with Writer(building / _CLIP, SAMPLE_RATE, 1, bit_depth="32f") as writer:
                for start in range(0, reader.length, BLOCK):
                    block = reader.read(start, min(BLOCK, reader.length - start))
                    if not np.isfinite(block).all():
                        raise NonFiniteAudio(asked, "it holds NaN or infinity", "Export it again")
                    writer.write(resampler.push(block.mean(axis=0, keepdims=True)))
                writer.write(resampler.finish())
            if writer.peak < _SILENT:
                raise AudioError(asked, "it is silent from start to end", "Choose seconds in which the source sounds")
            building.rename(self.folder / clip_id)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return self.get(clip_id)


def read_clip(path: Path) -> Signal:
    """A clip as audio in memory.

    Raises:
        UnknownJob: it has been deleted.
    """
    try:
        with open_reader(path) as reader:
            return Signal(reader.read(0, reader.length), reader.sample_rate)
    except AudioError:
        if path.is_file():
            raise
        raise _unknown() from None


def _unknown() -> UnknownJob:
    return UnknownJob("Use a clip", "it is not here any more: it has expired, or was deleted", "Choose it again")
