"""Which stems belong to which source of a model: by name, never by guess."""

import re
from collections.abc import Sequence

VOCALS = "vocals"
ACCOMPANIMENT = "accompaniment"
ALIASES = {
    VOCALS: frozenset({VOCALS, "vocal", "voice", "voices", "singing"}),
    ACCOMPANIMENT: frozenset({ACCOMPANIMENT, "music", "instrumental", "backing", "karaoke"}),
}
"""Other names under which a source is known. Capitals, blanks and dashes never matter; ``speaker 1`` is also ``s1``."""


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


def match(sources: Sequence[str], stems: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The stems whose sum each source should sound like; a source that has none is left out.

    A stem of that name, or the only one that means the same. For ``accompaniment``, where no stem is called so: all stems that
    no other source claims.

    >>> match(["vocals", "accompaniment"], ["Voice", "drums", "bass"])
    {'vocals': ('Voice',), 'accompaniment': ('drums', 'bass')}
    """
    claimed = {source: found for source in sources if (found := _stem_called(source, stems)) is not None}
    rest = tuple(name for name in stems if name not in claimed.values())
    matched: dict[str, tuple[str, ...]] = {}
    for source in sources:
        if source in claimed:
            matched[source] = (claimed[source],)
        elif source == ACCOMPANIMENT and rest:
            matched[source] = rest
    return matched


def _stem_called(source: str, stems: Sequence[str]) -> str | None:
    if source in stems:
        return source
    same = [name for name in stems if canonical(name) == canonical(source)]
    return same[0] if len(same) == 1 else None
