"""The stems that a model's sources should sound like, opened as readers, so that the engine can take them block by block.

Which stems belong to which source is decided by name in `datasets.names`.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from separation.audio import Reader
from separation.datasets import Track, open_mixture, open_stem
from separation.datasets.names import match
from separation.datasets.tracks import MIXTURE
from separation.errors import DataError


def references_of(
    track: Track, sources: Sequence[str], *, in_order: bool = False, scratch: Path | None = None
) -> dict[str, Reader]:
    """The stems of `track` that `sources` should sound like.

    A stem of that name (or of one that means the same). For ``accompaniment``, where no stem is called so: the sum of all
    stems that no other source claims.

    Args:
        in_order: the sources' names mean nothing (a permutation-invariant model): if names do not fit and there are as
            many stems as sources, they are taken in order.
        scratch: folder for decoded copies; see `audio.open_reader`.

    Returns:
        A reader a source, open; closing them is the caller's business.

    Raises:
        DataError: a source has no stem; names the stems that are there.
    """
    stems = stems_of(track)
    matched = match(sources, stems)
    if in_order and len(matched) < len(sources) == len(stems):
        matched = {source: (stem,) for source, stem in zip(sources, stems, strict=True)}
    lacking = [source for source in sources if source not in matched]
    if lacking:
        raise DataError(
            f"Compare {', '.join(sources)} with the stems of {track.name}",
            f"it has no stem for {', '.join(lacking)}; its stems are {', '.join(stems) or 'none'}",
            "Name the stems after the sources, or choose a model that separates these",
        )
    with ExitStack() as opened:
        readers = {source: opened.enter_context(_open(track, matched[source], scratch)) for source in sources}
        opened.pop_all()
    return readers


def stems_of(track: Track) -> list[str]:
    """Names of the stems of a track, without its mixture."""
    return [name for name in track.stems if name.casefold() != MIXTURE]


def _open(track: Track, stems: Sequence[str], scratch: Path | None) -> Reader:
    if len(stems) == 1:
        return open_stem(track, stems[0], scratch=scratch)
    return open_mixture(replace(track, stems={name: track.stems[name] for name in stems}), scratch=scratch)
