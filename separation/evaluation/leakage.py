"""Was a model trained on what it is measured on? What its card says, held against what is known of the recordings.

A flag is a reason to look, not a proof: the parts that were used may be others (a split keeps them apart), and a card can
forget. No flag is no proof either.
"""

import re
from collections.abc import Sequence

from separation.datasets import Track
from separation.hub import Card

SHORTEST = 4
"""Letters of a name that tells a data set."""
_WORD = re.compile(r"[\w.+-]*\w")


def leaks(card: Card, described: Sequence[str], tracks: Sequence[Track] = ()) -> list[str]:
    """Sentences on what the model was trained on that may be among these recordings; none if nothing is known.

    Args:
        card: its `trained_on` is what is read.
        described: what is known of the recordings, e.g. the data set's title: names with a digit or a hyphen, or in capitals
            (``MIR-1K``, ``MUSDB18``) tell it.
        tracks: their material (singers, speakers, backing tracks) is looked for by name.
    """
    here = {name for text in described for name in _telling(text)}
    flags = []
    for line in card.trained_on:
        if any(one.startswith(other) or other.startswith(one) for one in _telling(line) for other in here):
            flags.append(f"trained on this data set, says its card: {line}")
            continue
        words = {word.casefold() for word in _WORD.findall(line)}
        named = sorted({item for track in tracks for item in track.material if set(_parts(item)) <= words})
        if named:
            flags.append(f"trained on {', '.join(named)}, which is in this data, says its card: {line}")
    return flags


def _telling(text: str) -> set[str]:
    return {
        word.casefold()
        for word in _WORD.findall(text)
        if len(word) >= SHORTEST
        and (word.isupper() or re.search(r"[A-Za-z].*\d|\w-\w", word))
        and not word.startswith("CC-")
    }


def _parts(item: str) -> list[str]:
    """``"speaker:tsp:FA"`` -> ``["tsp", "fa"]``."""
    return [part.casefold() for part in re.split(r"[:/]", item.partition(":")[2]) if part] or [item]
