"""Runs the models of a study for `listening.materials`, which knows none: a few seconds of a mixture, one source of a model.

As everywhere, the engine separates; here is only which seconds it is given, and which of its tracks is asked for.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from separation import hub
from separation.audio import RegionReader, open_reader
from separation.audio.aligned import AlignedReader
from separation.audio.loudness import component
from separation.engine import Options, run
from separation.errors import ModelError
from separation.hub.folder import Loaded
from separation.listening.study import Study
from separation.signals import Samples, Signal

CONTEXT = 10.0
"""Seconds of the recording on each side that a model hears besides, so that an excerpt sounds as it does in the whole."""


def targets_of(study: Study, base: Path) -> dict[tuple[Path, str], Path]:
    """The true sources of a study by mixture and source, for models whose sources have no order."""
    return {
        (base / item.mixture, item.source): base / item.target for item in study.items if item.mixture and item.target
    }


def names_of(study: Study, base: Path) -> dict[tuple[Path, str], str]:
    """What a study calls its items, by mixture and source: for errors."""
    return {(base / item.mixture, item.source): item.id for item in study.items if item.mixture}


class StudyModels:
    """The `Separate` of `materials.prepare`; keeps the last model that it used.

    Args:
        device: where models run, as `Options.device`.
        targets: see `targets_of`. A model whose sources have no order (two people talking) calls none of them by a name that
            means something: of its tracks the one is taken that holds most of the target.
        names: see `names_of`.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        targets: Mapping[tuple[Path, str], Path] | None = None,
        names: Mapping[tuple[Path, str], str] | None = None,
    ) -> None:
        self._options = Options(device=device)
        self._targets, self._items = targets or {}, names or {}
        self._name, self._model = "", None  # type: tuple[str, Loaded | None]

    def __call__(self, model: str, mixture: Path, source: str, start: float, duration: float) -> Signal:
        """The source in these seconds, at the mixture's rate and channels.

        Raises:
            ModelError: no such source, or the model needs to be told more than a mixture.
            SeparationError: whatever loading, reading or running raises.
        """
        separator = self._loaded(model)
        spec = separator.spec
        with open_reader(mixture) as reader:
            rate = reader.sample_rate
            first, length = round(start * rate), round(duration * rate)
            # A model that remembers has heard everything before.
            begin = 0 if spec.stateful else max(0, first - round(CONTEXT * rate))
            end = min(reader.length, first + length + round(CONTEXT * rate))
            target = self._targets.get((mixture, source)) if spec.permutation_invariant else None
            names = spec.sources if target is not None else (self._source(separator, model, mixture, source),)
            sinks = {name: _Excerpt(first - begin, length) for name in names}
            run(separator, RegionReader(reader, begin, end - begin), sinks, options=self._options)
            tracks = [Signal(sink.samples(), rate) for sink in sinks.values()]
        return tracks[0] if target is None else _closest(tracks, target, first)

    def version(self, model: str) -> str:
        """What pins a model: the Hub's revision, the hash of its weights."""
        card = hub.describe(model)
        weights = f"sha256:{card.weights.sha256}" if card.weights is not None else "without weights"
        return f"{card.origin.revision} {weights}" if card.origin.revision else weights

    def _loaded(self, name: str) -> Loaded:
        if self._model is None or self._name != name:
            self._model, self._name = None, ""  # let go of one before the next is fetched
            self._model, self._name = hub.load(name), name
        return self._model

    def _source(self, separator: Loaded, model: str, mixture: Path, source: str) -> str:
        sources = separator.spec.sources
        if source and source not in sources:
            raise ModelError(
                f"Take {source} from {model} for {self._items.get((mixture, source), mixture.name)}",
                f"it gives {', '.join(sources)}",
                "Write one of these as the item's source, or take this system out of the study",
            )
        return source or sources[0]


class _Excerpt:
    """A sink that keeps the samples `start` to `start` + `length`."""

    def __init__(self, start: int, length: int) -> None:
        self._start, self._stop, self._seen = start, start + length, 0
        self._kept: list[Samples] = []

    def write(self, block: Samples) -> None:
        kept = block[:, max(0, self._start - self._seen) : max(0, self._stop - self._seen)]
        self._seen += block.shape[1]
        if kept.size:
            self._kept.append(kept)

    def samples(self) -> Samples:
        return np.concatenate(self._kept, axis=1)


def _closest(tracks: list[Signal], target: Path, first: int) -> Signal:
    """The track that holds most of the target for its own energy."""

    def held(track: Signal) -> float:
        wanted = aligned.read(0, track.length)
        return abs(component(wanted, track.samples)) * float(np.linalg.norm(wanted)) / norm(track)

    def norm(track: Signal) -> float:
        return float(np.linalg.norm(track.samples)) or 1.0

    with open_reader(target) as reader:
        aligned = AlignedReader(reader, tracks[0], first)
        return max(tracks, key=held)
