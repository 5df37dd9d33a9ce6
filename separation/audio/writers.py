"""Files out: `Writer` takes blocks and writes WAV, FLAC or MP3.

A file has its name only when it is complete: it is written under a temporary name and renamed on `close`. Samples are
converted here and not by libsndfile, whose 16-bit scale for writing (32,767) is not its scale for reading (32,768):
what was read is written again bit for bit. Values beyond full scale are limited, never wrapped.

WAV headers are written here too: room for RF64's sizes is reserved in front and used only when the file has grown
beyond what RIFF can say (EBU Tech 3306), so that the length need not be known in advance.
"""

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from separation.audio.files import is_disk_full, require_disk, temporary_name
from separation.audio.readers import BLOCK, Reader
from separation.audio.resample import StreamResampler
from separation.errors import AudioError, DiskFull, NonFiniteAudio, ShapeError
from separation.signals import Samples

FORMATS = ("wav", "flac", "mp3")
BIT_DEPTHS = ("16", "24", "32f")
RIFF_LIMIT = 3_900_000_000
"""Bytes of samples beyond which a WAV file is RF64 (RIFF could say 2^32, but many programs stop a little earlier)."""

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MP3_QUALITY = 0.0
"""libsndfile's scale, 0 best to 1 smallest; 0 at a variable rate is LAME's V0, about 245 kbit/s for music."""


class Writer:
    """A recording being written, block by block.

    Args:
        path: where it appears on `close`; an older file there is replaced then.
        sample_rate: Hz.
        channels: how many.
        format: ``"wav"``, ``"flac"`` or ``"mp3"``. MP3 has its own few rates: others are resampled to the next higher.
        bit_depth: ``"16"``, ``"24"`` or ``"32f"``; FLAC has no ``"32f"``, MP3 has none at all.
        gain: every sample is multiplied by it.
        length: samples per channel if known: room on the disk is then checked before anything is written.
        riff_limit: bytes of samples beyond which a WAV is RF64.

    Raises:
        AudioError: the format cannot hold this.
        DiskFull: it would not fit, or did not.
        ShapeError: a block has other axes or another number of channels.
        NonFiniteAudio: a block holds NaN or infinity.
    """

    def __init__(
        self,
        path: Path | str,
        sample_rate: int,
        channels: int,
        *,
        format: str = "wav",
        bit_depth: str = "24",
        gain: float = 1.0,
        length: int | None = None,
        riff_limit: int = RIFF_LIMIT,
    ) -> None:
        self.path, self.sample_rate, self.channels, self.gain = Path(path), sample_rate, channels, gain
        _check_format(self.path.name, sample_rate, channels, format, bit_depth)
        if length is not None:
            require_disk(self.path.parent, estimated_bytes(length, sample_rate, channels, format, bit_depth))
        self.length, self.peak = 0, 0.0
        """Samples per channel, and greatest absolute value after `gain`, so far."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary_name(self.path)
        self._open = True
        self._sink: _Sink
        if format == "wav":
            self._sink = _WavSink(self._temporary, sample_rate, channels, bit_depth, riff_limit)
        elif format == "flac":
            self._sink = _FlacSink(self._temporary, sample_rate, channels, bit_depth)
        else:
            self._sink = _Mp3Sink(self._temporary, sample_rate, channels)

    def write(self, block: Samples) -> None:
        """Append float32 ``[C, T]``, T any number; the block is left as it is."""
        assert self._open, "write after close"
        block = np.asarray(block, np.float32)
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise ShapeError(
                f"Write {self.path.name}", f"a block of shape {block.shape}", f"Pass [{self.channels}, samples]"
            )
        if block.shape[1] == 0:
            return
        if self.gain != 1.0:
            block = block * np.float32(self.gain)
        peak = float(np.abs(block).max())
        if not np.isfinite(peak):
            raise NonFiniteAudio(
                f"Write {self.path.name}",
                f"NaN or infinity in the {block.shape[1] / self.sample_rate:.2f} s"
                f" from {self.length / self.sample_rate:.2f} s on",
                "Try another model or precision, and report this if it stays",
            )
        with self._disk_errors():
            self._sink.write(block)
        self.length += block.shape[1]
        self.peak = max(self.peak, peak)

    def close(self) -> None:
        """Complete the file and give it its name. Twice does no harm."""
        if self._open:
            with self._disk_errors():
                self._sink.close()
                self._temporary.replace(self.path)
            self._open = False

    def abort(self) -> None:
        """Leave nothing behind (and an older file of this name as it was). After `close` it does nothing."""
        if self._open:
            self._open = False
            self._sink.discard()
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """A failed write leaves nothing behind; a full disk gets its own message."""
        try:
            yield
        except (OSError, sf.LibsndfileError) as error:
            self.abort()
            # libsndfile only says "system error"; the free room tells what it meant.
            free = shutil.disk_usage(self.path.parent).free
            if free < 1 << 20 or (isinstance(error, OSError) and is_disk_full(error)):
                raise DiskFull(
                    f"Write {self.path.name}",
                    f"the disk is full after {self.length / self.sample_rate:.1f} s",
                    "Free some space and try again",
                ) from error
            raise


def export(reader: Reader, path: Path | str, *, format: str = "wav", bit_depth: str = "24", gain: float = 1.0) -> Path:
    """Write a whole recording as a file, in bounded memory. Arguments and errors as for `Writer`."""
    length = reader.length
    with Writer(
        path, reader.sample_rate, reader.channels, format=format, bit_depth=bit_depth, gain=gain, length=length
    ) as writer:
        for start in range(0, length, BLOCK):
            writer.write(reader.read(start, min(BLOCK, length - start)))
    return writer.path


def estimated_bytes(length: int, sample_rate: int, channels: int, format: str, bit_depth: str) -> int:
    """An upper bound of the file's size (FLAC counted as uncompressed, MP3 at its highest rate of 320 kbit/s)."""
    if format == "mp3":
        return 65536 + length * 40_000 // sample_rate
    return 65536 + length * channels * {"16": 2, "24": 3, "32f": 4}[bit_depth]


def _check_format(name: str, sample_rate: int, channels: int, format: str, bit_depth: str) -> None:
    asked = f"Write {name} as {format}, {bit_depth} bit, {channels} channels, {sample_rate} Hz"
    if format not in FORMATS or bit_depth not in BIT_DEPTHS:
        raise AudioError(
            asked, "there is no such format", f"Use one of {', '.join(FORMATS)} and one of {', '.join(BIT_DEPTHS)}"
        )
    if sample_rate < 1 or channels < 1:
        raise AudioError(asked, "a rate or a number of channels below 1", "Pass positive numbers")
    if format == "wav" and (channels > 1024 or sample_rate * channels * 4 > 0xFFFFFFFF):
        raise AudioError(asked, "that is more than a WAV header can say", "Write fewer channels to a file")
    if format == "flac" and bit_depth == "32f":
        raise AudioError(asked, "FLAC holds whole numbers only", "Choose 24 bit, or WAV for 32-bit float")
    if format == "flac" and (channels > 8 or sample_rate > 655_350):
        raise AudioError(asked, "FLAC holds up to 8 channels and 655,350 Hz", "Choose WAV")
    if format == "mp3" and channels > 2:
        raise AudioError(asked, "MP3 holds one or two channels", "Choose WAV or FLAC")


def _to_integers(block: Samples, bits: int) -> NDArray[np.int32]:
    """``[C, T]`` -> int32 ``[T, C]`` of that many bits: rounded to the nearest, limited at full scale."""
    scale = 2.0 ** (bits - 1)
    return np.clip(np.rint(block.T.astype(np.float64) * scale), -scale, scale - 1).astype(np.int32)


class _Sink(Protocol):
    def write(self, block: Samples) -> None: ...

    def close(self) -> None:
        """Complete the file."""
        ...

    def discard(self) -> None:
        """Let go of the file, complete or not."""
        ...


class _WavSink:
    """RIFF WAVE, or RF64 once the samples need it."""

    def __init__(self, path: Path, sample_rate: int, channels: int, bit_depth: str, riff_limit: int) -> None:
        self._rate, self._channels, self._depth, self._limit = sample_rate, channels, bit_depth, riff_limit
        self._bytes = 0
        self._file = path.open("wb")
        self._file.write(self._header())

    def write(self, block: Samples) -> None:
        if self._depth == "32f":
            data = np.ascontiguousarray(block.T, "<f4").tobytes()
        elif self._depth == "16":
            data = _to_integers(block, 16).astype("<i2").tobytes()
        else:
            # The three low bytes of each little-endian 32-bit number.
            data = _to_integers(block, 24).astype("<i4")[..., None].view(np.uint8)[..., :3].tobytes()
        self._file.write(data)
        self._bytes += len(data)

    def close(self) -> None:
        self._file.write(b"\0" * (self._bytes % 2))
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()

    def discard(self) -> None:
        # On a full disk closing fails too, for what is still buffered.
        with suppress(OSError):
            self._file.close()

    def _header(self) -> bytes:
        """RIFF, room for or contents of ds64, fmt, fact (for float), and the head of data: one length in all cases."""
        sample = {"16": 2, "24": 3, "32f": 4}[self._depth]
        width, tag = sample * self._channels, 3 if self._depth == "32f" else 1
        frames, padded = self._bytes // width, self._bytes + self._bytes % 2
        form = struct.pack("<HIIHH", self._channels, self._rate, self._rate * width, width, 8 * sample)
        if self._channels > 2:
            # WAVE_FORMAT_EXTENSIBLE without speaker positions, which we do not know.
            guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
            form = struct.pack("<H", 0xFFFE) + form + struct.pack("<HHI", 22, 8 * sample, 0) + guid
        else:
            form = struct.pack("<H", tag) + form + (bytes(2) if tag == 3 else b"")
        chunks = struct.pack("<4sI", b"fmt ", len(form)) + form
        if tag == 3:
            chunks += struct.pack("<4sII", b"fact", 4, min(frames, 0xFFFFFFFF))
        size = 4 + 36 + len(chunks) + 8 + padded
        if self._bytes > self._limit:
            head = struct.pack("<4sI4s4sI", b"RF64", 0xFFFFFFFF, b"WAVE", b"ds64", 28)
            return head + struct.pack("<QQQI", size, self._bytes, frames, 0) + chunks + b"data\xff\xff\xff\xff"
        head = struct.pack("<4sI4s4sI", b"RIFF", size, b"WAVE", b"JUNK", 28) + bytes(28)
        return head + chunks + struct.pack("<4sI", b"data", self._bytes)


class _FlacSink:
    def __init__(self, path: Path, sample_rate: int, channels: int, bit_depth: str) -> None:
        self._bits = int(bit_depth)
        self._file = sf.SoundFile(path, "w", sample_rate, channels, f"PCM_{bit_depth}", format="FLAC")

    def write(self, block: Samples) -> None:
        # libsndfile takes the upper bits of 32-bit numbers.
        self._file.write(_to_integers(block, self._bits) << (32 - self._bits))

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self._file.close()


class _Mp3Sink:
    """LAME, inside libsndfile; at a rate that MP3 has."""

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        rate = min((rate for rate in MP3_RATES if rate >= sample_rate), default=MP3_RATES[-1])
        self._resampler = StreamResampler(sample_rate, rate, channels)
        self._file = sf.SoundFile(
            path,
            "w",
            rate,
            channels,
            "MPEG_LAYER_III",
            format="MP3",
            compression_level=MP3_QUALITY,
            bitrate_mode="VARIABLE",
        )

    def write(self, block: Samples) -> None:
        self._file.write(np.clip(self._resampler.push(block), -1, 1).T)

    def close(self) -> None:
        self._file.write(np.clip(self._resampler.finish(), -1, 1).T)
        self._file.close()

    def discard(self) -> None:
        self._file.close()
