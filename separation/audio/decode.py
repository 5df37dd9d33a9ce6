"""Files in: from a path to a `Reader`, by libsndfile or by FFmpeg, or to a message that says why not.

Uncompressed files and FLAC are read in place by libsndfile, which seeks in them exactly (in MP3 and Vorbis it does not:
15 of 60 random Vorbis reads differed). Everything else is decoded once, from start to end, into a float32 WAV in a
scratch folder, by FFmpeg (PyAV) and, where that fails, by libsndfile; that file is then read.

A file that is cut short is used as far as its samples are sound, with a note in `AudioInfo.notes`: a user would rather
have the first hour of a recording than a message. Damage inside a file that is read in place raises when it is read,
since leaving a piece out would shift everything behind it; `scan` meets it before any work is done.

A file here is anything that a stranger uploaded. FFmpeg is given an open file, a list of formats and no protocols: an
uploaded playlist would otherwise make it open other files of this machine.
"""

import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import soundfile as sf

from separation.audio.readers import BLOCK, AudioInfo, BaseReader, Reader
from separation.audio.writers import Writer
from separation.errors import AudioError, Cancelled, EmptyAudio, SeparationError, UnreadableAudio
from separation.signals import Samples

RATES = 100, 1_536_000
"""Hz that a header may claim; recorders go up to 768,000, twice that is certainly damage."""
MOST_CHANNELS = 256

_IN_PLACE = {b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"fLaC"}
_SUBTYPES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
_DEPTHS = {"PCM_24": "24", "PCM_32": "32f", "FLOAT": "32f", "DOUBLE": "32f"}
_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta", "ape", "mlp", "truehd", "shorten", "als", "mp4als")
_FFMPEG_OPTIONS = {
    "format_whitelist": "aac,ac3,eac3,aiff,amr,ape,asf,au,avi,caf,dts,flac,flv,matroska,webm,mov,mp4,m4a,mp3,mpeg,"
    "mpegts,ogg,shn,tta,w64,wav,wv",
    "protocol_whitelist": "none",
}
_HEADERLESS = {"aac", "ac3", "eac3", "amr", "dts", "mpeg", "mpegts"}
"""Containers whose length FFmpeg can only guess."""

_Decode = Callable[[Path, AudioInfo, list[str]], Iterator[Samples]]
_ADVICE = "Convert it to WAV, FLAC or MP3 with a player or editor that opens it, and try again"


def probe(path: Path | str, *, stream: int | None = None) -> AudioInfo:
    """What a file says of itself, without decoding it: its `length` may be a claim (`AudioInfo.exact`).

    Args:
        path: see `open_reader`.
        stream: see `open_reader`.

    Raises:
        UnreadableAudio: missing, not audio, or damaged; lists every way tried with its reason.
        EmptyAudio: no bytes, or no samples.
    """
    path = Path(path)
    attempts = _Attempts(path)
    if attempts.in_place and stream is None:
        with attempts.trying("libsndfile"):
            return _probe_soundfile(path)
    with attempts.trying("FFmpeg"):
        return _probe_ffmpeg(path, stream)
    if stream is None:
        with attempts.trying("libsndfile"):
            return _probe_soundfile(path)
    raise attempts.failure()


def open_reader(
    path: Path | str,
    *,
    stream: int | None = None,
    scratch: Path | None = None,
    max_duration: float | None = None,
    cancelled: Callable[[], bool] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Reader:
    """Open a recording for exact reads at any position.

    Args:
        path: any file that libsndfile or FFmpeg reads, with any rate and number of channels; of a video, the sound.
        stream: which of a container's sound streams, counted from 0 (a ``stem.mp4`` has five); None for the one that
            a player would choose. Only FFmpeg knows of streams.
        scratch: folder for the decoded copy of files that cannot be read in place (float32: 4 bytes a sample and
            channel); None for the system's temporary folder. The copy goes when the reader is closed.
        max_duration: seconds that are allowed; None for any.
        cancelled: asked while decoding.
        progress: told while decoding which part (0 to 1, by the length that the file claims) is done.

    Raises:
        UnreadableAudio: missing, not audio, or damaged; lists every way tried with its reason.
        EmptyAudio: no bytes, or no samples.
        AudioError: longer than `max_duration`.
        DiskFull: the decoded copy would not fit.
        Cancelled: `cancelled` said so.
    """
    path = Path(path)
    attempts = _Attempts(path)

    def decoded(info: AudioInfo, decode: _Decode) -> Reader:
        _check_duration(info, max_duration)
        return DecodedReader(path, info, decode, scratch, max_duration, cancelled, progress)

    if attempts.in_place and stream is None:
        with attempts.trying("libsndfile, in place"):
            return SoundFileReader(path, max_duration)
    with attempts.trying("FFmpeg"):
        return decoded(_probe_ffmpeg(path, stream), partial(_blocks_ffmpeg, index=stream))
    if stream is None:
        with attempts.trying("libsndfile"):
            return decoded(_probe_soundfile(path), _blocks_soundfile)
    raise attempts.failure()


class _Attempts:
    """The ways tried to read a file, each with the reason why it failed."""

    def __init__(self, path: Path) -> None:
        self._asked = f"Read {path.name}"
        self._failed: dict[str, str] = {}
        self._empty: EmptyAudio | None = None
        if not path.is_file():
            raise UnreadableAudio(self._asked, "there is no such file", "Check the name, or upload the file again")
        if path.stat().st_size == 0:
            raise EmptyAudio(self._asked, "the file is empty (0 bytes)", "Record, export or upload it again")
        try:
            with path.open("rb") as file:
                self.in_place = file.read(4) in _IN_PLACE
        except OSError as error:
            raise UnreadableAudio(self._asked, _reason(error), "Change the file's permissions") from error

    @contextmanager
    def trying(self, way: str) -> Iterator[None]:
        """Go on after what only this way cannot do; let everything else (too long, disk full, cancelled) pass."""
        try:
            yield
        except EmptyAudio as error:
            self._empty = error
        except (av.error.FFmpegError, sf.LibsndfileError, UnreadableAudio, OSError) as error:
            self._failed[way] = _reason(error)

    def failure(self) -> AudioError:
        if self._empty is not None:
            return self._empty
        tried = "; ".join(f"{way}: {reason}" for way, reason in self._failed.items())
        return UnreadableAudio(self._asked, f"it cannot be read as audio. Tried {tried}", _ADVICE)


class SoundFileReader(BaseReader):
    """Reads in place what libsndfile seeks in exactly: uncompressed files and FLAC.

    Raises:
        UnreadableAudio: a coding that it does not seek in exactly, or an end that cannot be read.
        EmptyAudio: no samples.
        AudioError: longer than `max_duration`.
    """

    def __init__(self, path: Path, max_duration: float | None = None) -> None:
        self._file = sf.SoundFile(path)
        self._lock = threading.Lock()
        try:
            super().__init__(_soundfile_info(path, self._file))
            if self._file.subtype not in _SUBTYPES:
                raise UnreadableAudio(f"Read {path.name} in place", f"it is coded as {self._file.subtype}", "Decode it")
            _check_duration(self.info, max_duration)
            self.read(self.length - 1, 1)
        except Exception:
            self._file.close()
            raise

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`. `UnreadableAudio` where the file is damaged."""
        self._check_range(start, length)
        try:
            with self._lock:
                self._file.seek(start)
                block = self._file.read(length, dtype="float32", always_2d=True)
            reason = f"only {len(block):,} of {length:,} samples could be read"
        except sf.LibsndfileError as error:
            block, reason = np.zeros((0, self.channels), np.float32), _reason(error)
        if len(block) != length:
            begin, end = start / self.sample_rate, (start + length) / self.sample_rate
            raise UnreadableAudio(
                f"Read {self.info.name} from {begin:.2f} s to {end:.2f} s",
                f"the file is damaged there ({reason})",
                "Export or download the file again, or select a part before the damage",
            )
        return np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


class DecodedReader(BaseReader):
    """A file decoded once into a float32 WAV, which is deleted on `close`."""

    def __init__(
        self,
        path: Path,
        info: AudioInfo,
        decode: _Decode,
        scratch: Path | None,
        max_duration: float | None,
        cancelled: Callable[[], bool] | None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix="decoded-", dir=scratch, ignore_cleanup_errors=True)
        try:
            notes = list(info.notes)
            decoded = Path(self._folder.name) / "decoded.wav"
            with Writer(decoded, info.sample_rate, info.channels, bit_depth="32f", length=info.length) as writer:
                for block in decode(path, info, notes):
                    if cancelled is not None and cancelled():
                        raise Cancelled(f"Read {path.name}", "it was cancelled", "Start again when you like")
                    writer.write(block)
                    if progress is not None:
                        progress(min(1.0, writer.length / info.length))
                    _check_duration(replace(info, length=writer.length), max_duration)
            if not writer.length:
                raise _empty(path)
            super().__init__(replace(info, length=writer.length, exact=True, notes=tuple(notes)))
            self._reader = SoundFileReader(decoded)
        except BaseException:
            self._folder.cleanup()
            raise

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`."""
        self._check_range(start, length)
        return self._reader.read(start, length)

    def close(self) -> None:
        """Close and delete the decoded copy."""
        self._reader.close()
        self._folder.cleanup()


def _check_duration(info: AudioInfo, max_duration: float | None) -> None:
    if max_duration is not None and info.duration > max_duration:
        raise AudioError(
            f"Read {info.name}",
            f"it lasts {'' if info.exact else 'about '}{info.duration:,.1f} s; {max_duration:,.1f} s are allowed here",
            f"Cut it to {max_duration:,.1f} s or less, or run the app on your own machine",
        )


def _check_header(path: Path, sample_rate: int, channels: int) -> None:
    if not (RATES[0] <= sample_rate <= RATES[1] and 1 <= channels <= MOST_CHANNELS):
        raise UnreadableAudio(
            f"Read {path.name}",
            f"its header is damaged: it claims {channels:,} channels at {sample_rate:,} Hz",
            f"Use 1 to {MOST_CHANNELS} channels at {RATES[0]:,} to {RATES[1]:,} Hz",
        )


def _empty(path: Path) -> EmptyAudio:
    return EmptyAudio(f"Read {path.name}", "it has a header but holds no samples", "Record or export it again")


def _reason(error: Exception) -> str:
    if isinstance(error, SeparationError):
        return error.found
    if isinstance(error, (av.error.FFmpegError, OSError)):
        return str(error.strerror)
    reason = str(getattr(error, "error_string", error)).removeprefix("Error : ").strip().rstrip(".")
    return "not a format it knows" if "regular file" in reason else reason  # libsndfile's words for any stranger


# libsndfile


def _probe_soundfile(path: Path) -> AudioInfo:
    with sf.SoundFile(path) as file:
        return _soundfile_info(path, file)


def _soundfile_info(path: Path, file: sf.SoundFile) -> AudioInfo:
    if file.frames < 1:
        raise EmptyAudio(
            f"Read {path.name}", "its header is there, but it holds no samples", "Record or export it again"
        )
    exact = file.subtype in _SUBTYPES
    # libsndfile mends a wrong length of the sample data and says so only in its log.
    wrong = re.search(r"^\s*(data|SSND)\s*: \d+ \(should be", file.extra_info, re.MULTILINE) is not None
    return AudioInfo(
        name=path.name,
        container=file.format.lower(),
        codec=file.subtype.lower(),
        sample_rate=file.samplerate,
        channels=file.channels,
        length=file.frames,
        bit_depth=_DEPTHS.get(file.subtype, "16") if exact else "24",
        lossy=not exact,
        exact=exact,
        notes=(_cut_note(file.frames / file.samplerate),) if wrong else (),
    )


def _cut_note(duration: float) -> str:
    return f"The file is cut short or its header is wrong; the {duration:,.2f} s of sound in it are used."


def _blocks_soundfile(path: Path, info: AudioInfo, notes: list[str]) -> Iterator[Samples]:
    with sf.SoundFile(path) as file:
        length = 0
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
            length += len(block)
            yield np.ascontiguousarray(block.T)
    if length < info.length:
        notes.append(_cut_note(length / info.sample_rate))


# FFmpeg


def _av_open(file: BinaryIO) -> Any:
    # Old tags are in any encoding; they are not used, and must not stop us.
    return av.open(file, container_options=_FFMPEG_OPTIONS, metadata_errors="replace")


@contextmanager
def _opened_ffmpeg(path: Path, index: int | None = None) -> Iterator[tuple[Any, Any]]:
    """The container and its sound stream `index`; None for its best one."""
    try:
        with path.open("rb") as file, _av_open(file) as container:
            stream = container.streams.best("audio")
            if stream is None:
                kinds = " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise UnreadableAudio(f"Read {path.name}", f"it holds {kinds}, but no sound", _ADVICE)
            if index is not None:
                count = len(container.streams.audio)
                if not 0 <= index < count:
                    held = "one sound stream, 0" if count == 1 else f"{count} sound streams, 0 to {count - 1}"
                    raise UnreadableAudio(
                        f"Read stream {index} of {path.name}", f"it holds {held}", "Ask for one of these"
                    )
                stream = container.streams.audio[index]
            yield container, stream
    except av.error.ArgumentError as error:
        raise UnreadableAudio(f"Read {path.name}", "it is no kind of file that is read here", _ADVICE) from error


def _probe_ffmpeg(path: Path, index: int | None = None) -> AudioInfo:
    with _opened_ffmpeg(path, index) as (container, stream):
        context = stream.codec_context
        if context is None or not context.sample_rate or not context.channels or context.format is None:
            raise UnreadableAudio(f"Read {path.name}", "its sound has a coding that FFmpeg does not know", _ADVICE)
        _check_header(path, context.sample_rate, context.channels)
        lossy = not context.name.startswith(_LOSSLESS)
        bits = {"u8": "16", "s16": "16"}.get(context.format.name.rstrip("p"), "24")
        return AudioInfo(
            name=path.name if index is None else f"{path.name}#{index}",
            container=container.format.name,
            codec=context.name.removesuffix("float"),
            sample_rate=context.sample_rate,
            channels=context.channels,
            length=max(1, round(_claimed_duration(path, container, stream) * context.sample_rate)),
            bit_depth=bits,
            lossy=lossy,
            exact=False,
        )


def _claimed_duration(path: Path, container: Any, stream: Any) -> float:
    """Seconds, from the header, or from the last packet where the header has none (a browser's recording)."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return float(container.duration / av.time_base)
    packets = (packet for packet in _packets(container, stream) if packet.size)
    end = max(((packet.pts or 0) + (packet.duration or 0) for packet in packets), default=None)
    if end is None:
        raise _empty(path)
    return float(end * stream.time_base)


def _blocks_ffmpeg(path: Path, info: AudioInfo, notes: list[str], *, index: int | None = None) -> Iterator[Samples]:
    """Frames joined to blocks: coders' frames are a few milliseconds."""
    frames: list[Samples] = []
    length = 0
    for frame in _frames_ffmpeg(path, info, notes, index):
        frames.append(frame)
        length += frame.shape[1]
        if length >= BLOCK:
            yield np.concatenate(frames, axis=1)
            frames, length = [], 0
    if frames:
        yield np.concatenate(frames, axis=1)


def _frames_ffmpeg(path: Path, info: AudioInfo, notes: list[str], index: int | None) -> Iterator[Samples]:
    length, damaged, damaged_since = 0, 0, 0
    with _opened_ffmpeg(path, index) as (container, stream):
        for packet in _packets(container, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                damaged_since += 1
                continue
            for frame in frames:
                rate, channels = frame.sample_rate, frame.layout.nb_channels
                if (rate, channels) != (info.sample_rate, info.channels):
                    change = (
                        f"At {length / info.sample_rate:,.2f} s the file changes to {channels} channels at {rate} Hz"
                    )
                    if not length:
                        raise UnreadableAudio(f"Read {path.name}", f"{change}, against its header", _ADVICE)
                    notes.append(f"{change}; what comes before is used.")
                    return
                damaged, damaged_since = damaged + damaged_since, 0
                length += frame.samples
                yield _frame_to_samples(frame)
    if damaged_since and not length:
        raise UnreadableAudio(f"Read {path.name}", f"all of its {damaged_since} packets are damaged", _ADVICE)
    if damaged:
        notes.append(f"{damaged} damaged pieces of the file were left out; what follows them comes earlier.")
    claimed = 0.0 if info.container in _HEADERLESS else info.length * (0.95 if info.lossy else 1.0)
    if damaged_since or length < claimed:
        notes.append(_cut_note(length / info.sample_rate))


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets up to the end, or up to where the file is cut."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _frame_to_samples(frame: Any) -> Samples:
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        values = values.astype(np.int16) * 256 - 32768
    scale = 1.0 if values.dtype.kind == "f" else -float(np.iinfo(values.dtype).min)
    return np.ascontiguousarray(values / scale, np.float32)
