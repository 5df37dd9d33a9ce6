"""What a model of voices says of each: how strong its harmonics are, how much it breathes, and the shape of its vocal tract.

Pictures, pooled while a job runs, as those of `latents`: at most `COLUMNS` over the whole stretch, however long. A column is
the mean of the frames in it (powers for levels, decibels for the tract), a cell one byte on a scale in decibels, so that a
person may compare voices and moments. Numbers to compute with are the model's own (`models.protocol.Inside.seen`).
"""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from separation.engine.observe import ChunkView
from separation.errors import JobError
from separation.models import PitchSeparator

COLUMNS = 2000
ROWS = 48
"""Of the vocal tract: even on the mel scale from 0 to half the model's rate."""
LEVEL_FLOOR_DB = -50.0
"""Of harmonics and breath, below the loudest moment of all voices."""
TRACT_FLOOR_DB = -40.0
"""Of the vocal tract, below its peak at that moment."""

_SEEN = ("amplitude", "noise", "envelope")
_SILENT = 1e-10


@dataclass(frozen=True)
class VoiceGrid:
    """The picture of all voices of a stretch.

    Args:
        sources: the voices.
        duration: seconds it covers.
        hz: middles of the tract's rows ``[ROWS]``.
        cells: uint8 ``[S, 2 + ROWS, columns]``: harmonics, breath, then the tract from its lowest row on. 0 is a floor or less
            (`LEVEL_FLOOR_DB`, `TRACT_FLOOR_DB`), 255 is 0 dB.
    """

    sources: tuple[str, ...]
    duration: float
    hz: NDArray[np.float64]
    cells: NDArray[np.uint8]


class VoicePool:
    """An observer that keeps the picture.

    Args:
        separator: which says all that is shown; of any other nothing is kept.
        length: samples that will pass, at the model's rate.
    """

    def __init__(self, separator: PitchSeparator, length: int) -> None:
        self._spec, self._hop, self._length = separator.spec, separator.pitch_hop, length
        self._columns = max(1, min(COLUMNS, -(-length // self._hop)))
        voices = len(self._spec.sources)
        self._sums = np.zeros((voices, 2 + ROWS, self._columns))
        self._counts = np.zeros(self._columns)
        self._reached = 0
        self._hz = _mel_middles(self._spec.sample_rate / 2)

    def chunk(self, view: ChunkView) -> None:
        """See `observe.Observer`."""
        if any(name not in view.seen for name in _SEEN):
            return
        amplitude, noise, envelope = (view.seen[name].double().numpy() for name in _SEEN)
        at = view.start + self._hop * np.arange(amplitude.shape[-1])
        first, last = max(self._reached, view.start + view.kept.start), min(self._length, view.start + view.kept.stop)
        inside = np.flatnonzero((at >= first) & (at < last))
        self._reached = max(self._reached, last)
        if not len(inside):
            return
        places = np.linspace(0, self._spec.sample_rate / 2, envelope.shape[1])
        low = np.searchsorted(places, self._hz, side="right") - 1
        weight = ((self._hz - places[low]) / (places[low + 1] - places[low]))[:, None]
        tract = (1 - weight) * envelope[:, low][..., inside] + weight * envelope[:, low + 1][..., inside]
        values = np.concatenate([amplitude[:, None, inside] ** 2, noise[:, None, inside] ** 2, tract], axis=1)
        columns = at[inside] * self._columns // self._length
        for column, value in zip(columns, values.transpose(2, 0, 1), strict=True):
            self._sums[..., column] += value
            self._counts[column] += 1

    def grid(self) -> VoiceGrid | None:
        """All that was seen; None if it was nothing."""
        if not self._counts.any():
            return None
        filled = np.flatnonzero(self._counts)
        nearest = filled[np.minimum(np.searchsorted(filled, np.arange(self._columns)), len(filled) - 1)]
        means = (self._sums / np.maximum(self._counts, 1))[..., nearest]
        level = 10 * np.log10(np.maximum(means[:, :2], _SILENT))
        level -= level.max((0, 2), keepdims=True)
        tract = means[:, 2:] - means[:, 2:].max(1, keepdims=True)
        cells = np.concatenate([_bytes(level, LEVEL_FLOOR_DB), _bytes(tract, TRACT_FLOOR_DB)], axis=1)
        return VoiceGrid(self._spec.sources, self._length / self._spec.sample_rate, self._hz, cells)


def save_voices(path: Path, grid: VoiceGrid) -> None:
    """Keep a picture; it comes into being complete."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        np.savez_compressed(file, sources=grid.sources, duration=grid.duration, hz=grid.hz, cells=grid.cells)
    temporary.replace(path)


def read_voices(path: Path) -> VoiceGrid:
    """What `save_voices` has kept.

    Raises:
        FileNotFoundError: nothing is there.
        JobError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            sources = tuple(str(name) for name in kept["sources"])
            return VoiceGrid(sources, float(kept["duration"]), kept["hz"], kept["cells"])
    except (BadZipFile, ValueError, KeyError, EOFError):
        raise JobError("Show the voices", "what was kept of them is damaged", "Separate the recording again") from None


def _mel_middles(top: float) -> NDArray[np.float64]:
    mel = (np.arange(ROWS) + 0.5) / ROWS * np.log1p(top / 700)
    middles: NDArray[np.float64] = 700 * np.expm1(mel)
    return middles


def _bytes(db: NDArray[np.float64], floor: float) -> NDArray[np.uint8]:
    cells: NDArray[np.uint8] = np.clip(np.round(255 * (1 - db / floor)), 0, 255).astype(np.uint8)
    return cells
