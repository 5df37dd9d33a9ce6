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

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import soundfile as sf

from separation.audio.readers import BLOCK, AudioInfo, BaseReader, Reader
from separation.audio.writers import Writer
from separation.errors import AudioError, Cancelled, EmptyAudio, SeparationError, UnreadableAudio
from separation.signals import Samples

_IN_PLACE = {b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"caff", b".snd", b"fLaC"}
_SUBTYPES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
_DEPTHS = {"PCM_24": "24", "PCM_32": "32f", "FLOAT": "32f", "DOUBLE": "32f"}
_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta", "ape", "mlp", "truehd", "shorten", "als", "mp4als")
_FFMPEG_OPTIONS = {
    "format_whitelist": "aac,ac3,eac3,aiff,amr,ape,asf,au,avi,caf,dts,flac,flv,matroska,webm,mov,mp4,m4a,mp3,mpeg,"
    "mpegts,ogg,shn,tta,w64,wav,wv",
    "protocol_whitelist": "none",
}
_ADVICE = "Convert it to WAV, FLAC or MP3 with a player or editor that opens it, and try again"


def probe(path: Path | str) -> AudioInfo:
    """What a file says of itself, without decoding it.

    Raises:
        UnreadableAudio: missing, not audio, or damaged.
        EmptyAudio: no bytes, or no samples.
    """
    path = Path(path)
    _check_file(path)
    if _first_bytes(path) in _IN_PLACE:
        try:
            return _probe_soundfile(path)
        except sf.LibsndfileError:
            pass  # FFmpeg may know better; if not, its message names both
    tried: list[str] = []
    for way, ask in (("FFmpeg", _probe_ffmpeg), ("libsndfile", _probe_soundfile)):
        try:
            return ask(path)
        except (av.error.FFmpegError, sf.LibsndfileError, UnreadableAudio) as error:
            tried.append(f"{way}: {_reason(error)}")
    raise _unreadable(path, tried)


def open_reader(
    path: Path | str,
    *,
    scratch: Path | None = None,
    max_duration: float | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Reader:
    """Open a recording for exact reads at any position.

    Args:
        path: any file that libsndfile or FFmpeg reads, with any rate and number of channels; of a video, the sound.
        scratch: folder for the decoded copy of files that cannot be read in place (float32: 4 bytes a sample and
            channel); None for the system's temporary folder. The copy goes when the reader is closed.
        max_duration: seconds that are allowed; None for any.
        cancelled: asked while decoding.

    Raises:
        UnreadableAudio: missing, not audio, or damaged; lists every way tried with its reason.
        EmptyAudio: no bytes, or no samples.
        AudioError: longer than `max_duration`.
        DiskFull: the decoded copy would not fit.
        Cancelled: `cancelled` said so.
    """
    path = Path(path)
    _check_file(path)
    tried: list[str] = []
    if _first_bytes(path) in _IN_PLACE:
        try:
            reader = SoundFileReader(path)
        except (sf.LibsndfileError, UnreadableAudio) as error:
            tried.append(f"libsndfile, in place: {_reason(error)}")
        else:
            try:
                _check_duration(reader.info, max_duration)
            except AudioError:
                reader.close()
                raise
            return reader
    for way, ask, decode in (
        ("FFmpeg", _probe_ffmpeg, _blocks_ffmpeg),
        ("libsndfile", _probe_soundfile, _blocks_soundfile),
    ):
        try:
            info = ask(path)
            _check_duration(info, max_duration)
            return DecodedReader(path, info, decode, scratch, max_duration, cancelled)
        except (av.error.FFmpegError, sf.LibsndfileError, UnreadableAudio) as error:
            tried.append(f"{way}: {_reason(error)}")
    raise _unreadable(path, tried)


class SoundFileReader(BaseReader):
    """Reads in place what libsndfile seeks in exactly: uncompressed files and FLAC.

    Raises:
        UnreadableAudio: a coding that it does not seek in exactly, or an end that cannot be read.
        EmptyAudio: no samples.
    """

    def __init__(self, path: Path) -> None:
        self._file = sf.SoundFile(path)
        self._lock = threading.Lock()
        try:
            super().__init__(_soundfile_info(path, self._file))
            if self._file.subtype not in _SUBTYPES:
                raise UnreadableAudio(f"Read {path.name} in place", f"it is coded as {self._file.subtype}", "Decode it")
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
            raise UnreadableAudio(
                f"Read {self.info.name} from {start / self.sample_rate:.2f} s to {(start + length) / self.sample_rate:.2f} s",
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
        decode: Callable[[Path, AudioInfo, list[str]], Iterator[Samples]],
        scratch: Path | None,
        max_duration: float | None,
        cancelled: Callable[[], bool] | None,
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
                    _check_duration(replace(info, length=writer.length), max_duration)
            if not writer.length:
                raise EmptyAudio(f"Read {path.name}", "it holds no samples", "Record or export it again")
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


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UnreadableAudio(f"Read {path.name}", "there is no such file", "Check the name, or upload the file again")
    if path.stat().st_size == 0:
        raise EmptyAudio(f"Read {path.name}", "the file is empty (0 bytes)", "Record, export or upload it again")


def _check_duration(info: AudioInfo, max_duration: float | None) -> None:
    if max_duration is not None and info.duration > max_duration:
        raise AudioError(
            f"Read {info.name}",
            f"it lasts {'' if info.exact else 'about '}{info.duration:,.1f} s; {max_duration:,.1f} s are allowed here",
            f"Cut it to {max_duration:,.1f} s or less, or run the app on your own machine",
        )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _unreadable(path: Path, tried: list[str]) -> UnreadableAudio:
    return UnreadableAudio(f"Read {path.name}", "it cannot be read as audio. Tried " + "; ".join(tried), _ADVICE)


def _reason(error: Exception) -> str:
    if isinstance(error, SeparationError):
        return error.found
    if isinstance(error, av.error.FFmpegError):
        return str(error.strerror)
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").strip().rstrip(".")


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
    # libsndfile mends a wrong length and says so only in its log.
    wrong = exact and file.format != "FLAC" and "(should be" in file.extra_info
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


@contextmanager
def _opened_ffmpeg(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its best sound stream."""
    try:
        with path.open("rb") as file, av.open(file, container_options=_FFMPEG_OPTIONS) as container:
            stream = container.streams.best("audio")
            if stream is None:
                kinds = " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise UnreadableAudio(f"Read {path.name}", f"the file holds {kinds}, but no sound", _ADVICE)
            yield container, stream
    except OSError as error:
        # FFmpeg seeks where there is nothing, in files that are not what they seem.
        raise UnreadableAudio(
            f"Read {path.name}", f"it ends where it should not ({error.strerror})", _ADVICE
        ) from error


def _probe_ffmpeg(path: Path) -> AudioInfo:
    with _opened_ffmpeg(path) as (container, stream):
        context = stream.codec_context
        if not context.sample_rate or not context.channels:
            raise UnreadableAudio(f"Read {path.name}", f"no {context.name} sound could be decoded", _ADVICE)
        lossy = not context.name.startswith(_LOSSLESS)
        bits = {"u8": "16", "s16": "16"}.get(context.format.name.rstrip("p"), "24")
        return AudioInfo(
            name=path.name,
            container=container.format.name,
            codec=context.name.removesuffix("float"),
            sample_rate=context.sample_rate,
            channels=context.channels,
            length=max(1, round(_claimed_duration(container, stream) * context.sample_rate)),
            bit_depth=bits,
            lossy=lossy,
            exact=False,
        )


def _claimed_duration(container: Any, stream: Any) -> float:
    """Seconds, from the header, or from the last packet where the header has none (a browser's recording)."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(container.duration / av.time_base)
    ends = [packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None]
    return float(max(ends, default=0) * stream.time_base)


def _blocks_ffmpeg(path: Path, info: AudioInfo, notes: list[str]) -> Iterator[Samples]:
    length, damaged = 0, 0
    with _opened_ffmpeg(path) as (container, stream):
        for packet in _packets(container, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                if (frame.sample_rate, frame.layout.nb_channels) != (info.sample_rate, info.channels):
                    raise UnreadableAudio(
                        f"Read {path.name}",
                        f"at {length / info.sample_rate:.2f} s it changes from {info.channels} channels at"
                        f" {info.sample_rate} Hz to {frame.layout.nb_channels} at {frame.sample_rate} Hz",
                        _ADVICE,
                    )
                length += frame.samples
                yield _frame_to_samples(frame)
    if damaged and not length:
        raise UnreadableAudio(f"Read {path.name}", f"all of its {damaged} packets are damaged", _ADVICE)
    if damaged:
        notes.append(f"{damaged} damaged pieces of the file were left out; what follows them comes earlier.")
    if length < 0.95 * info.length:
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
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values, np.float32)
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    return (values / -float(np.iinfo(values.dtype).min)).astype(np.float32)
