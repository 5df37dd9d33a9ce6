"""From a track to samples: a stem in whatever form its data set keeps it, and the mixture, block by block.

Nothing is held in memory. What libsndfile cannot read in place is decoded into a scratch file while it is open.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from separation.audio import AudioInfo, BaseReader, Reader, open_reader, probe
from separation.datasets.tracks import MIXTURE, Track, audio_names
from separation.errors import DataError
from separation.signals import Samples

_FRAGMENT = re.compile(r"(?P<file>.+\.\w+)#(?:(?P<stream>\d+)|(?P<channel>left|right))")
_CHANNELS = {"left": 0, "right": 1}


class Part(NamedTuple):
    """One file of a stem, which of its sound streams (None: the only one), which of its channels (None: all)."""

    file: Path
    stream: int | None = None
    channel: int | None = None


def parts(path: Path) -> list[Part]:
    """The files that a stem is made of; see `Track` for its forms. A folder without audio has none.

    >>> parts(Path("song.stem.mp4#4"))[0].stream, parts(Path("clip.wav#right"))[0].channel
    (4, 1)
    """
    if path.is_dir():
        return [Part(path / name) for name in audio_names(path)]
    match = _FRAGMENT.fullmatch(path.name)
    if match is None or path.exists():
        return [Part(path)]
    file = path.with_name(match["file"])
    if match["stream"] is not None:
        return [Part(file, stream=int(match["stream"]))]
    return [Part(file, channel=_CHANNELS[match["channel"]])]


def probe_part(part: Part) -> AudioInfo:
    """What a part's file says of itself; see `audio.probe`.

    Raises:
        AudioError: it cannot be read.
        DataError: it has no such channel.
    """
    info = probe(part.file, stream=part.stream)
    if part.channel is None:
        return info
    _check_channel(info, part.channel)
    return replace(info, channels=1)


def open_path(path: Path, *, scratch: Path | None = None) -> Reader:
    """A stem by its path, in any of the forms that `Track` names.

    Args:
        path: a value of `Track.stems`.
        scratch: folder for decoded copies; see `audio.open_reader`.

    Raises:
        AudioError: a file cannot be read.
        DataError: a folder without audio, files that cannot be summed, or a channel that is not there.
    """
    found = parts(path)
    if not found:
        raise DataError(f"Read {path}", "no audio file is in this folder", "Restore its files")
    return _sum([(part.file.name, part) for part in found], path.name, scratch)


def open_stem(track: Track, name: str, *, scratch: Path | None = None) -> Reader:
    """One stem of a track. Raises as `open_path`, and `DataError` for a stem that the track has not."""
    if name not in track.stems:
        raise DataError(
            f"Read {name} of {track.name}", f"its stems are {', '.join(track.stems)}", "Ask for one of these"
        )
    return open_path(track.stems[name], scratch=scratch)


def open_mixture(track: Track, *, scratch: Path | None = None) -> Reader:
    """The mixture of a track: its file if the data set has one, else the plain sum of its stems.

    The sum lasts as long as its longest stem; shorter ones are silent after their end. Mono stems go to every channel.

    Raises:
        AudioError: a file cannot be read.
        DataError: the stems have different rates, or channels that cannot be matched.
    """
    if MIXTURE in track.stems:
        return open_stem(track, MIXTURE, scratch=scratch)
    named = [(name, part) for name, path in track.stems.items() for part in parts(path)]
    if not named:
        raise DataError(f"Mix {track.name}", "it has no stems", "Check the data set with `earshot datasets check`")
    return _sum(named, f"the mixture of {track.name}", scratch)


class ChannelReader(BaseReader):
    """One channel of another reader. Closing it closes the other."""

    def __init__(self, reader: Reader, channel: int) -> None:
        _check_channel(reader.info, channel)
        super().__init__(replace(reader.info, channels=1))
        self._reader, self._channel = reader, channel

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`."""
        return self._reader.read(start, length)[self._channel : self._channel + 1]

    def close(self) -> None:
        """Close the reader that the channel is of."""
        self._reader.close()


class SumReader(BaseReader):
    """The plain sum of readers of one rate, as long as the longest. Closing it closes them.

    Args:
        readers: at least one; mono ones are added to every channel.
        name: for messages.
        names: of the readers, for messages.

    Raises:
        DataError: rates differ, or channels that are neither one nor the same.
    """

    def __init__(self, readers: Sequence[Reader], name: str, names: Sequence[str] = ()) -> None:
        called = names or [reader.info.name for reader in readers]
        for what, values in {
            "Hz": [r.sample_rate for r in readers],
            "channels": [r.channels for r in readers if r.channels > 1],
        }.items():
            if len(set(values)) > 1:
                odd = [n for n, r in zip(called, readers, strict=True) if what == "Hz" or r.channels > 1]
                shown = ", ".join(f"{n} has {value:,} {what}" for n, value in zip(odd, values, strict=True))
                raise DataError(f"Sum {name}", shown, "Bring them to one rate and one number of channels first")
        infos = [reader.info for reader in readers]
        super().__init__(
            AudioInfo(
                name=name,
                container="sum",
                codec="+".join(sorted({info.codec for info in infos})),
                sample_rate=infos[0].sample_rate,
                channels=max(info.channels for info in infos),
                length=max(info.length for info in infos),
                bit_depth="32f",
                lossy=any(info.lossy for info in infos),
                exact=all(info.exact for info in infos),
                notes=tuple(note for info in infos for note in info.notes),
            )
        )
        self._readers = list(readers)

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`. Summed in float64, so that the order of the stems does not matter."""
        self._check_range(start, length)
        total = np.zeros((self.channels, length), np.float64)
        for reader in self._readers:
            take = min(length, reader.length - start)
            if take > 0:
                total[:, :take] += reader.read(start, take)
        return total.astype(np.float32)

    def close(self) -> None:
        """Close the readers that are summed."""
        for reader in self._readers:
            reader.close()


def _sum(named: Sequence[tuple[str, Part]], name: str, scratch: Path | None) -> Reader:
    with ExitStack() as opened:
        readers: list[Reader] = []
        for _, part in named:
            reader = opened.enter_context(open_reader(part.file, stream=part.stream, scratch=scratch))
            readers.append(reader if part.channel is None else ChannelReader(reader, part.channel))
        whole = readers[0] if len(readers) == 1 else SumReader(readers, name, [called for called, _ in named])
        opened.pop_all()
    return whole


def _check_channel(info: AudioInfo, channel: int) -> None:
    if channel >= info.channels:
        side = {number: name for name, number in _CHANNELS.items()}[channel]
        raise DataError(
            f"Read the {side} channel of {info.name}",
            f"it has {info.channels} channel{'s' if info.channels > 1 else ''}",
            "Use the stereo file that the data set came with",
        )
