"""Which stems of a track belong to which source of a model: by name, never by guess.

`references_of` opens them as readers, so that the engine can take them block by block (oracles do).
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from separation.audio import Reader
from separation.datasets import Track, open_mixture, open_stem
from separation.datasets.tracks import MIXTURE
from separation.errors import DataError

VOCALS = "vocals"
ACCOMPANIMENT = "accompaniment"
ALIASES = {
    VOCALS: frozenset({VOCALS, "vocal", "voice", "voices", "singing"}),
    ACCOMPANIMENT: frozenset({ACCOMPANIMENT, "music", "instrumental", "backing", "karaoke"}),
}
"""Other names under which a source is known. Capitals, blanks and dashes never matter; ``speaker 1`` is also ``s1``."""


def references_of(
    track: Track, sources: Sequence[str], *, in_order: bool = False, scratch: Path | None = None
) -> dict[str, Reader]:
    """The stems of `track` that `sources` should sound like.

    A stem of that name (or of one of its `ALIASES`). For ``accompaniment``, where no stem is called so: the sum of all
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
    claimed = {source: found for source in sources if (found := _stem_called(source, stems)) is not None}
    missing = [source for source in sources if source not in claimed]
    if missing and in_order and len(stems) == len(sources):
        claimed, missing = dict(zip(sources, stems, strict=True)), []
    rest = [name for name in stems if name not in claimed.values()]
    lacking = [source for source in missing if source != ACCOMPANIMENT or not rest]
    if lacking:
        raise DataError(
            f"Compare {', '.join(sources)} with the stems of {track.name}",
            f"it has no stem for {', '.join(lacking)}; its stems are {', '.join(stems) or 'none'}",
            "Name the stems after the sources, or choose a model that separates these",
        )
    summed = replace(track, stems={name: track.stems[name] for name in rest})
    with ExitStack() as opened:
        readers = {
            source: opened.enter_context(
                open_stem(track, claimed[source], scratch=scratch)
                if source in claimed
                else open_mixture(summed, scratch=scratch)
            )
            for source in sources
        }
        opened.pop_all()
    return readers


def stems_of(track: Track) -> list[str]:
    """Names of the stems of a track, without its mixture."""
    return [name for name in track.stems if name.casefold() != MIXTURE]


def canonical(name: str) -> str:
    """The one word for what a source or stem is called.

    >>> canonical("Voice"), canonical("Music"), canonical("Speaker 1"), canonical("s1"), canonical("Lead-Guitar")
    ('vocals', 'accompaniment', 's1', 's1', 'leadguitar')
    """
    word = re.sub(r"[\W_]+", "", name.casefold())
    for source, aliases in ALIASES.items():
        if word in aliases:
            return source
    speaker = re.fullmatch(r"(?:s|spk|speaker)(\d+)", word)
    return f"s{int(speaker[1])}" if speaker else word


def _stem_called(source: str, stems: Sequence[str]) -> str | None:
    """The stem of exactly that name, else the only one that means the same."""
    if source in stems:
        return source
    same = [name for name in stems if canonical(name) == canonical(source)]
    return same[0] if len(same) == 1 else None
