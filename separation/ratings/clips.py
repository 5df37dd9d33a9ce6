"""Clips: the audio that was rated, each kept once under the hash of its samples.

A clip is what could be heard: 16-bit samples, at most a minute. Its id depends on the samples and how they are laid out, not
on a file, so that the same sound rated twice is one clip, and a clip that was changed on disk is found out.
"""

import hashlib
import struct
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from separation.audio import Writer, open_reader, require_disk
from separation.errors import RatingError
from separation.signals import Signal

MAX_SECONDS = 60.0
_SCALE = 32768.0


class ClipStore(Protocol):
    """Where clips are kept: a folder now, a bucket later."""

    def put(self, signal: Signal) -> str: ...

    def get(self, clip: str) -> Signal: ...

    def delete(self, clip: str) -> None: ...

    def __contains__(self, clip: str) -> bool: ...


def clip_id(signal: Signal) -> str:
    """SHA-256 of ``<III`` rate, channels, length and the 16-bit little-endian samples, channels interleaved."""
    header = struct.pack("<III", signal.sample_rate, signal.channels, signal.length)
    return hashlib.sha256(header + _to_16_bit(signal).T.astype("<i2").tobytes()).hexdigest()


class ClipFolder:
    """Clips as FLAC files in a folder, two levels deep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, signal: Signal) -> str:
        """Keep a clip; returns its id. A clip that is here already is not written again.

        Raises:
            RatingError: it is longer than a minute, or empty.
            DiskFull: there is no room.
        """
        if not 0 < signal.duration <= MAX_SECONDS:
            raise RatingError(
                "Keep what was rated",
                f"it lasts {signal.duration:.1f} s",
                f"Choose a part of at most {MAX_SECONDS:.0f} s",
            )
        clip = clip_id(signal)
        path = self._path(clip)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            require_disk(path.parent, signal.samples.size * 2)
            with Writer(path, signal.sample_rate, signal.channels, format="flac", bit_depth="16") as writer:
                writer.write((_to_16_bit(signal) / _SCALE).astype(np.float32))
        return clip

    def get(self, clip: str) -> Signal:
        """A clip's audio, at the rate and in the channels in which it was heard.

        Raises:
            RatingError: it is not here, or what is here is not what was kept.
        """
        path = self._path(clip)
        if not path.exists():
            raise RatingError(
                "Open a clip", f"{clip[:12]}… is not kept here", "It was withdrawn, or never consented to"
            )
        with open_reader(path) as reader:
            signal = Signal(reader.read(0, reader.length), reader.sample_rate)
        if clip_id(signal) != clip:
            raise RatingError("Open a clip", f"{path.name} was changed on disk", "Restore it from a backup")
        return signal

    def delete(self, clip: str) -> None:
        """Remove a clip if it is here."""
        self._path(clip).unlink(missing_ok=True)

    def __contains__(self, clip: str) -> bool:
        return self._path(clip).exists()

    def _path(self, clip: str) -> Path:
        if len(clip) != 64 or not set(clip) <= set("0123456789abcdef"):
            raise RatingError("Open a clip", f"{clip[:80]!r} is not the id of one", "Use an id from the export")
        return self._folder / clip[:2] / f"{clip}.flac"


def _to_16_bit(signal: Signal) -> NDArray[np.int16]:
    """Full scale clips; the rounding is what every 16-bit player hears."""
    return np.asarray(np.clip(np.rint(signal.samples * _SCALE), -_SCALE, _SCALE - 1), np.int16)
