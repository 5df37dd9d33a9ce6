"""Choirs: singers recorded one by one in the same piece, mixed at will, with the pitch of each; and the recipes of UMSS.

The pitch is that of the singer alone (`transforms.pitch.track_stem`): what a model could be told at best. It is tracked once
and kept beside the decoded audio, for tracking takes about as long as listening. Not here: pitch found in a mixture.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from separation.datasets.choral import VOICES
from separation.models import PITCH
from separation.signals import Signal
from separation.training.mixing import normalise
from separation.training.pools import Audio, Pool
from separation.training.recipe import Recipe
from separation.transforms.pitch import track_stem

TRAIN_SINGERS, TEST_SINGERS = frozenset({"1", "2"}), frozenset({"3", "4"})
"""Of each voice, by their number in the data set."""
LEARNT_PART, CHOSEN_PART = (0.0, 0.8), (0.8, 1.0)
"""Of the piece: what the training singers are learnt from, and where weights are chosen."""

_SMALL: dict[str, Any] = {
    "sources": list(VOICES), "sample_rate": 16000, "hop_length": 256, "n_fft": 2048, "latent": 64, "encoder": 128,
    "decoder": 192,
}  # fmt: skip
_HOUR = Recipe(
    name="umss", architecture="umss", arguments=_SMALL, data="choir", losses={}, objective="resynthesis", length=250 * 256,
    batch=4, steps=2400, decay=1600, warmup=100, weight_decay=1e-5, validate_every=200, validation_examples=12,
)  # fmt: skip
"""A fifth of the paper's parameters, so that a run takes an hour on one core: there, 8,000 epochs of 100 steps on a GPU."""
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _HOUR,
        _HOUR.with_changes(name="umss-supervised", objective="resynthesis_each"),
        _HOUR.with_changes(name="umss-one-quartet", data="one_quartet", mixing={"level_db": 0.0}),
    )
}
"""From mixtures alone; from the singers apart, everything else equal; and from 84 s of one quartet's one mixture."""


class _Drawn(NamedTuple):
    voice: str
    recording: int
    frame: int


@dataclass(frozen=True)
class ChoirMixer:
    """Singers of one piece together: any singer of a voice with any of the other voices, at the same place of the piece.

    Args:
        singers: a pool whose stems are the `VOICES`.
        pitch: of each recording of each voice, Hz ``[K]``, a frame every `hop` samples.
        length: samples of an example.
        hop: samples.
        sources: their names; four are all voices, fewer are some of them in their order.
        part: of the piece, as fractions.
        level_db: each voice is louder or quieter by up to this.
    """

    singers: Pool
    pitch: Mapping[str, Sequence[Audio]]
    length: int
    hop: int
    sources: tuple[str, ...] = VOICES
    part: tuple[float, float] = (0.0, 1.0)
    level_db: float = 0.0

    def example(self, seed: int, step: int, index: int) -> Audio:
        rng = np.random.default_rng([seed, step, index])
        drawn = self._drawn(rng)
        gains = 10 ** (rng.uniform(-self.level_db, self.level_db, len(drawn)) / 20)
        sung = [self.singers.read(one.voice, one.recording, one.frame * self.hop, self.length) for one in drawn]
        return normalise(np.stack(sung) * gains[:, None].astype(np.float32), rng)

    def side(self, seed: int, step: int, index: int) -> dict[str, Audio]:
        """The pitch ``[S, K]`` of the singers of an example, 0 where they do not sing."""
        drawn = self._drawn(np.random.default_rng([seed, step, index]))
        pitch = np.zeros((len(drawn), 1 + ceil(self.length / self.hop)), np.float32)
        for row, one in zip(pitch, drawn, strict=True):
            track = self.pitch[one.voice][one.recording][one.frame : one.frame + len(row)]
            row[: len(track)] = track
        return {PITCH: pitch}

    def _drawn(self, rng: np.random.Generator) -> list[_Drawn]:
        voices = sorted(rng.choice(len(VOICES), len(self.sources), replace=False))
        members = [member for group in self.singers.groups.values() for member in group]
        chosen = [(VOICES[voice], members[int(rng.integers(len(members)))]) for voice in voices]
        shortest = min(len(self.singers.stems[voice][recording]) for voice, recording in chosen)
        first, last = (int(place * shortest / self.hop) for place in self.part)
        frame = first + int(rng.integers(max(last - first - self.length // self.hop, 0) + 1))
        return [_Drawn(voice, recording, frame) for voice, recording in chosen]


def pitch_of(singers: Pool, sample_rate: int, hop: int, cache: Path) -> dict[str, list[Audio]]:
    """The pitch of every recording of every voice, Hz ``[K]``, a frame every `hop` samples.

    Args:
        cache: folder for what was tracked; safe to delete.
    """
    return {
        voice: [_tracked(recording, sample_rate, hop, cache) for recording in recordings]
        for voice, recordings in singers.stems.items()
    }


def _tracked(recording: NDArray[np.int16], sample_rate: int, hop: int, cache: Path) -> Audio:
    key = hashlib.sha256(recording.tobytes() + f"{sample_rate} {hop}".encode()).hexdigest()
    kept = cache / f"{key[:32]}.pitch.npy"
    if kept.exists():
        return np.asarray(np.load(kept), np.float32)
    signal = Signal(np.asarray(recording[None] / 32768, np.float32), sample_rate)
    pitch = track_stem(signal).on_grid(hop / sample_rate, 0.0, 1 + ceil(signal.length / hop)).astype(np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(".part.npy")
    np.save(unfinished, pitch)
    unfinished.rename(kept)
    return pitch
