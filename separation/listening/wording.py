"""What pages say where a study has no words of its own: titles, instructions and scales, by key, in five languages.

The words of buttons and states are the page's (`ui/listen/texts`).
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "de", "fr", "es", "zh")
TEXTS = Path(__file__).parent / "texts"


def words_in(language: str) -> Callable[[str], str]:
    """Key -> words. Keys are those of texts/en.json, which every language has. Raises `KeyError` for any other.

    >>> words_in("de")("quality.4")
    'Gut'
    """
    return _texts(language if language in LANGUAGES else LANGUAGES[0]).__getitem__


@cache
def _texts(language: str) -> dict[str, str]:
    texts: dict[str, str] = json.loads((TEXTS / f"{language}.json").read_text(encoding="utf-8"))
    return texts
