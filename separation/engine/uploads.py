"""Stems that a visitor hands over: looked at once, from start to end, and kept so that any part of them can be read again.

What is read in place stays as it is; anything else is decoded once. Names are only suggested here: what a file is called says
more about a stem than what it sounds like, except for speakers, whose order nobody knows.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from separation.audio import AudioInfo, export, open_reader, scan
from separation.datasets.names import canonical
from separation.engine.references import RESERVED
from separation.errors import AudioError

MOST_STEMS = 16
"""Stems of one recording; a stem player has four, a mixing desk's groups rarely more than this."""

_LONGEST_NAME = 40


@dataclass(frozen=True)
class Kept:
    """An upload that can be read again.

    Args:
        path: where it is now.
        info: what is known of it; counted, not claimed.
        peak: its greatest magnitude; 1.0 is full scale.
    """

    path: Path
    info: AudioInfo
    peak: float


def keep(
    upload: Path,
    folder: Path,
    name: str,
    *,
    longest: float | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Kept:
    """Move an upload into `folder`, under a name of our own, decoded where it cannot be read in place.

    Args:
        upload: taken for hostile; it is gone afterwards, whatever happens.
        folder: made if it is not there.
        name: what the visitor calls it, for messages.
        longest: seconds that are allowed.
        cancelled: asked between blocks.

    Raises:
        AudioError: it is no audio, damaged, too long, or silent throughout.
        DiskFull: there is no room for the decoded copy.
        Cancelled: `cancelled` said so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = upload.rename(upload.with_name(f"{upload.name}.upload"))  # no suffix of a visitor's decides how it is read
    scratch = folder / "scratch"
    try:
        with open_reader(named, scratch=scratch, max_duration=longest, cancelled=cancelled) as reader:
            found = scan(reader, cancelled=cancelled)
            if found.silent:
                raise AudioError("Use the stem", "it is silent from start to end", "Choose another file")
            decoded = scratch.exists()
            path = folder / f"stem.{'wav' if decoded else reader.info.container}"
            if decoded:
                export(reader, path, format="wav", bit_depth="32f", gain=1.0)
            info = reader.info
        if not decoded:
            named.replace(path)
    except AudioError as error:
        # The messages of readers name the file as it is called here: say it as the visitor calls it.
        raise type(error)(f"Use {name}", error.found, error.advice) from error
    finally:
        named.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return Kept(path, info, found.peak)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One at a time in `folder`, whatever thread or process.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    with FileLock(folder / ".lock"):
        yield


def plain_name(file: str, taken: Sequence[str] = ()) -> str:
    """A file's own name, as the name of a stem that none of the others has.

    >>> plain_name("03_Lead-Guitar (final).wav"), plain_name("Some Band - Some Song - Drums.flac"), plain_name("...")
    ('Lead-Guitar final', 'Drums', 'stem')
    >>> plain_name("drums.wav", ["Drums"]), plain_name("mixture.wav")
    ('drums 2', 'mixture stem')
    """
    stem = file.rpartition(".")[0] or file
    last = re.split(r"\s[-–—]\s", stem)[-1]
    words = re.sub(r"[^\w -]+|_", " ", last)
    name = " ".join(re.sub(r"^\d+\W+(?=\w)", "", words).split())[:_LONGEST_NAME].strip(" -") or "stem"
    if name.casefold() in RESERVED or name.casefold().startswith("reference-"):
        name = f"{name} stem"
    lower, number = {other.casefold() for other in taken}, 2
    unique = name
    while unique.casefold() in lower:
        unique, number = f"{name} {number}", number + 1
    return unique


def suggest(sources: Sequence[str], files: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """A name for each file: the source that it is called after, by the rule of data sets, else its own.

    Args:
        sources: of the model.
        files: as the visitor calls them.
        taken: names that are given already.

    >>> suggest(["vocals", "accompaniment"], ["01 Voice.wav", "My Song (Instrumental).mp3", "drums.wav"])
    ['vocals', 'accompaniment', 'drums']
    """
    names: list[str] = []
    free = [source for source in sources if source not in taken]
    for file in files:
        source = next((found for word in _words(file) if (found := _source_called(word, free)) is not None), None)
        if source is not None:
            free.remove(source)
        names.append(source or plain_name(file, [*taken, *names, *sources]))
    return names


def _words(file: str) -> list[str]:
    """What of a file's name may say what it is: all of it, then two words and one, the last first."""
    stem = file.rpartition(".")[0] or file
    words = re.findall(r"[^\W_]+", stem)
    pairs = [" ".join(words[i : i + 2]) for i in range(len(words) - 2, -1, -1)]
    return [stem, *pairs, *reversed(words)]


def _source_called(word: str, sources: Sequence[str]) -> str | None:
    named = [source for source in sources if canonical(source) == canonical(word)]
    return named[0] if len(named) == 1 else None
