"""A study to begin with, from a folder of recordings, or from a study's file that lies elsewhere.

    RECORDINGS/song a/mixture.wav        an item: its mixture, and the true source where there is one
    RECORDINGS/song a/vocals.wav
    RECORDINGS/song b.flac               or a mixture alone

Recordings are copied into the study's folder, so that it stays what it is and can be moved; of long ones the study takes the
seconds in which the most happens. What comes out is a study file like any other, to be read and changed.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from separation.audio import BLOCK, open_reader
from separation.errors import StudyError
from separation.listening.study import Anchor, Assignment, Item, Question, Screening, Study, System

FILES = "files"
"""Folder of a study's own audio."""
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aif", ".aiff")
SECONDS = 10.0
"""Of an item: BS.1534-3 asks for about ten."""
STEP = 0.5
"""Seconds between the places that are looked at."""


def slug(text: str) -> str:
    """An id out of any name.

    >>> slug("AC/DC – Let there be…")
    'ac-dc-let-there-be'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64] or "one"


def study_of_folder(
    name: str,
    recordings: Path,
    folder: Path,
    *,
    questions: Sequence[Question],
    anchors: Sequence[Anchor] = (),
    screening: Sequence[Screening] = (),
    source: str = "vocals",
    models: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    listeners: int = 20,
    targets: bool = False,
) -> Study:
    """A study of what lies in a folder; the audio is copied into ``folder/files``.

    Args:
        name: of the study.
        recordings: see above.
        folder: of the study.
        questions, anchors, screening: what is asked, of a template for instance.
        source: what is under test: a model's source, and the name of the true one's file.
        models: systems: names for `hub.load`.
        files: systems: name -> pattern of files, with ``{item}`` for the name of a recording's folder or file.
        seconds: of an item at most.
        listeners: how many are invited.
        targets: leave out recordings without a true source: the questions need one.

    Raises:
        StudyError: there are no recordings, no systems, or a system has no file of an item.
        AudioError: a recording cannot be read.
    """
    asked = f"Make the study {name}"
    there = _recordings(recordings, source)
    found = {id: one for id, one in there.items() if one[2] is not None or not targets}
    patterns = files or {}
    if not found:
        what = f"of {len(there)} recordings in {recordings} none has its {source} beside it"
        if not there:
            what = f"there is no recording in {recordings}"
        raise StudyError(
            asked, what, f"Put each mixture into a folder of its own, with {source}.wav beside it if you have it"
        )
    if not models and not patterns:
        raise StudyError(asked, "nothing is to be compared", "Name models, or files of other systems")
    (folder / FILES).mkdir(parents=True, exist_ok=True)
    items = tuple(_item(id, mixture, target, folder, source, seconds) for id, (_, mixture, target) in found.items())
    own = (System(id=slug(model.rpartition("/")[2]), label=model, model=model) for model in models)
    others = (_copied_system(asked, label, pattern, found, folder) for label, pattern in patterns.items())
    return Study(
        name=name,
        title=name.replace("-", " ").capitalize(),
        systems=(*own, *others),
        anchors=tuple(anchors),
        items=items,
        questions=tuple(questions),
        screening=tuple(screening),
        assignment=Assignment(listeners=listeners),
    )


def brought_home(study: Study, base: Path, folder: Path) -> Study:
    """The study with the audio that it names copied into ``folder/files``.

    Args:
        study: of a file in `base`, webMUSHRA's perhaps, whose paths count from the folder above its own.
        base: what its paths are relative to.
        folder: of the study from now on.

    Raises:
        StudyError: a file is missing.
    """
    (folder / FILES).mkdir(parents=True, exist_ok=True)
    taken: dict[Path, str] = {}

    def home(path: str) -> str:
        found = next((one for one in (base / path, base.parent / path) if one.is_file()), None)
        if found is None:
            what = f"there is no {path} in {base} or the folder above"
            raise StudyError(
                f"Copy the audio of {study.name}", what, "Put the files where the study says, and try again"
            )
        if found not in taken:
            stem = slug(str(Path(path).with_suffix("")))
            number = sum(name.startswith(f"{FILES}/{stem}") for name in taken.values())
            taken[found] = _copy(found, folder, f"{stem}-{number + 1}" if number else stem)
        return taken[found]

    items = tuple(
        item.model_copy(update={part: home(path) for part in ("mixture", "target") if (path := getattr(item, part))})
        for item in study.items
    )
    systems = tuple(
        system.model_copy(update={"files": {id: home(path) for id, path in _by_item(system, study).items()}})
        if system.files
        else system
        for system in study.systems
    )
    return study.model_copy(update={"items": items, "systems": systems})


def _by_item(system: System, study: Study) -> Mapping[str, str]:
    pattern = system.files
    if isinstance(pattern, str):
        return {item.id: pattern.replace("{item}", item.id) for item in study.items}
    return pattern


def _recordings(folder: Path, source: str) -> dict[str, tuple[str, Path, Path | None]]:
    """By id: the name, the mixture, and the true source or None."""
    found: dict[str, tuple[str, Path, Path | None]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        mixture = _named(path, "mixture") if path.is_dir() else path if path.suffix.lower() in SUFFIXES else None
        if mixture is not None:
            name = path.name if path.is_dir() else path.stem
            found[slug(name)] = name, mixture, _named(path, source) if path.is_dir() else None
    return found


def _named(folder: Path, name: str) -> Path | None:
    """The audio file of that name, whatever its format, case and signs: ``Speaker_1.flac`` is ``speaker 1``."""
    audio = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES)
    return next((path for path in audio if slug(path.stem) == slug(name)), None)


def _item(id: str, mixture: Path, target: Path | None, folder: Path, source: str, seconds: float) -> Item:
    start, length = loudest(target or mixture, seconds)
    return Item(
        id=id,
        mixture=_copy(mixture, folder, f"{id}-mixture"),
        target=_copy(target, folder, f"{id}-{slug(source)}") if target is not None else "",
        source=source,
        start=round(start, 2),
        duration=round(length, 2),
        group=id,
    )


def _copied_system(
    asked: str, label: str, pattern: str, found: Mapping[str, tuple[str, Path, Path | None]], folder: Path
) -> System:
    paths = {id: Path(pattern.replace("{item}", name)) for id, (name, _, _) in found.items()}
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        what = f"{label} has no file for {len(missing)} of {len(paths)} items, first {missing[0]}"
        raise StudyError(asked, what, "Write {item} in the pattern where the name of the recording's folder stands")
    return System(
        id=slug(label),
        label=label,
        files={id: _copy(path, folder, f"{slug(label)}-{id}") for id, path in paths.items()},
    )


def _copy(path: Path, folder: Path, name: str) -> str:
    target = Path(FILES) / f"{name}{path.suffix.lower()}"
    shutil.copyfile(path, folder / target)
    return target.as_posix()


def loudest(path: Path, seconds: float) -> tuple[float, float]:
    """Start and duration, in seconds, of the stretch with the most energy, on steps of half a second."""
    with open_reader(path) as reader:
        step, energies, rest = round(STEP * reader.sample_rate), [], np.zeros((reader.channels, 0), np.float32)
        for first in range(0, reader.length, BLOCK):
            rest = np.concatenate([rest, reader.read(first, min(BLOCK, reader.length - first))], axis=1)
            whole = rest.shape[1] // step * step
            steps = rest[:, :whole].astype(np.float64) ** 2
            energies.extend(steps.reshape(reader.channels, -1, step).sum(axis=(0, 2)))
            rest = rest[:, whole:]
        duration = reader.length / reader.sample_rate
    width = round(seconds / STEP)
    if duration <= seconds or len(energies) <= width:
        return 0.0, min(duration, seconds)
    sums = np.convolve(energies, np.ones(width), "valid")
    return float(np.argmax(sums)) * STEP, seconds
