"""Recordings in memory at one rate, as 16-bit mono: hours of training audio in a few hundred megabytes.

Decoded once and kept in a cache folder, because decoding Vorbis every time would cost more than training on it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separation.audio import resample
from separation.datasets import Track, open_path
from separation.datasets.stems import parts
from separation.errors import AudioError, DataError

LISTED = 20
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Pool:
    """Stems of the same kind, grouped so that a mixer can draw a group first (a speaker, a song), then a recording.

    Args:
        stems: ``{stem: [recording, …]}``, each an int16 array; recordings of the same index belong together.
        groups: for each group the indices of its recordings.
        labels: one mapping a recording.
    """

    stems: dict[str, list[NDArray[np.int16]]]
    groups: dict[str, list[int]]
    labels: list[dict[str, str]]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def drawn(self) -> list[int]:
        """The recordings that are in a group; the others are never drawn."""
        return sorted(index for members in self.groups.values() for index in members)

    def read(self, stem: str, index: int, start: int, length: int) -> Audio:
        """float32 ``[length]``; zeros where the recording has ended."""
        piece = self.stems[stem][index][start : start + length]
        out = np.zeros(length, np.float32)
        out[: piece.size] = piece / np.float32(32768)
        return out


def load_pool(tracks: Sequence[Track], *, sample_rate: int, group: str, cache: Path) -> Pool:
    """Decode, mix to mono, resample and keep.

    Args:
        group: the label by which recordings are grouped; the track's name where it has none.
        cache: folder for the decoded audio; safe to delete.

    Raises:
        DataError: names every file that could not be read, before any training starts.
    """
    names = sorted({stem for track in tracks for stem in track.stems})
    stems: dict[str, list[NDArray[np.int16]]] = {name: [] for name in names}
    problems: list[str] = []
    for track in tracks:
        for name in names:
            try:
                stems[name].append(_decode(track.stems[name], sample_rate, cache))
            except (AudioError, DataError, OSError) as error:
                problems.append(f"{track.stems[name]}: {error}")
    if problems:
        more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise DataError(
            f"Read {len(tracks)} recordings for training", "; ".join(problems[:LISTED]) + more, "Replace these files"
        )
    groups: dict[str, list[int]] = {}
    for i, track in enumerate(tracks):
        groups.setdefault(track.labels.get(group, track.name), []).append(i)
    return Pool(stems, groups, [dict(track.labels) for track in tracks])


def _decode(path: Path, sample_rate: int, cache: Path) -> NDArray[np.int16]:
    states = [(part.file.resolve(), part.file.stat()) for part in parts(path)]
    told = " ".join(f"{file} {state.st_size} {state.st_mtime_ns}" for file, state in states)
    key = hashlib.sha256(f"{path.name} {told} {sample_rate}".encode()).hexdigest()
    kept = cache / f"{key[:32]}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), np.int16)
    with open_path(path) as reader:
        samples = reader.read(0, reader.length).mean(0)
    if reader.sample_rate != sample_rate:
        samples = resample(samples, reader.sample_rate, sample_rate)
    audio: NDArray[np.int16] = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(".part.npy")
    np.save(unfinished, audio)
    unfinished.rename(kept)
    return audio


def one_stem(pools: Sequence[tuple[Pool, str]], name: str, groups: Sequence[str] | None = None) -> Pool:
    """One pool of the one stem `name` from a stem of each of several pools.

    Args:
        pools: each with the stem that is taken from it.
        groups: one for each pool, in which all of its recordings are; None keeps theirs.
    """
    recordings: list[NDArray[np.int16]] = []
    labels: list[dict[str, str]] = []
    joined: dict[str, list[int]] = {}
    for number, (pool, stem) in enumerate(pools):
        for group, members in pool.groups.items():
            place = joined.setdefault(group if groups is None else groups[number], [])
            place.extend(len(recordings) + member for member in members)
        recordings.extend(pool.stems[stem])
        labels.extend(pool.labels)
    return Pool({name: recordings}, joined, labels)
