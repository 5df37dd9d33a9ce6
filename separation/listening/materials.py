"""Makes the audio of a study, once, before anybody listens: equally long, aligned, matched in loudness, without names.

What every condition of an item goes through: cut to the item's seconds, brought to the study's rate and channels, moved by the
few samples that its system added or dropped, turned up or down to match; then, if any of the whole study would clip, all by
one gain; then 16 bits. Everything that was done is written down (`prepared`). The steps for one item are in `sounds`.

No model runs here: `prepare` is handed the function that separates. Nothing judges here: `checks` does.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from math import inf, log10
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from separation import __version__
from separation.audio import Reader, probe, require_disk
from separation.audio import anchors as made_up
from separation.audio.bandwidth import bandwidth
from separation.audio.files import appearing
from separation.audio.loudness import loudness
from separation.errors import Cancelled, DataError, StudyError
from separation.listening.parts import MIXTURE, REFERENCE, Item, Study, System, conditions_of, references_of
from separation.listening.prepared import (
    AUDIO_FOLDER,
    MADE_FOLDER,
    PLAN_FILE,
    PREPARED_FILE,
    STUDY_FILE,
    ItemAudio,
    Prepared,
    Stimulus,
    find_studies,
    read_prepared,
)
from separation.listening.sounds import Frame, ItemSounds, Sound, file_of, matched, numbers
from separation.listening.study import study_hash
from separation.signals import Signal

__all__ = [
    "PLAN_FILE", "PREPARED_FILE", "STUDY_FILE", "ItemAudio", "Prepared", "Separate", "Stimulus", "find_studies", "needed",
    "prepare", "read_prepared",
]  # fmt: skip

FULL_SCALE = 32767


class Separate(Protocol):
    """What runs a model for `prepare`; `ui.study_models.StudyModels` is one."""

    def __call__(self, model: str, mixture: Path, source: str, start: float, duration: float) -> Signal:
        """The source (``""``: the model's first) in the seconds `start` to `start` + `duration`, at the mixture's rate."""
        ...


def needed(study: Study) -> dict[str, tuple[str, ...]]:
    """What somebody may hear of each item: all that is judged, and the open references."""
    trained = {item for page in study.pages for item in page.items}
    golden = {(gold.question, gold.item) for gold in study.gold}
    heard: dict[str, tuple[str, ...]] = {}
    for item in study.items:
        names: dict[str, None] = {}
        for question in study.questions:
            if question.items and item.id not in (*question.items, *trained) and (question.id, item.id) not in golden:
                continue
            roles = references_of(question, item)
            names |= dict.fromkeys(REFERENCE if role == "target" else MIXTURE for role in roles)
            names |= dict.fromkeys(conditions_of(study, question, item))
        heard[item.id] = tuple(names)
    return heard


def prepare(
    study: Study,
    base: Path,
    folder: Path,
    *,
    separate: Separate,
    version: Callable[[str], str] | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Prepared:
    """Make the audio of a study.

    What was made before of the very same study, files and models is kept as it is. What models gave is kept for a next time,
    also when this one is cancelled. Until everything is done, an earlier `prepared.json` and its audio stay in force.

    Args:
        study: what was asked for.
        base: folder that its paths are relative to.
        folder: of the study; gets ``audio/`` and ``prepared.json``.
        separate: runs a model.
        version: what pins a model of that name: its revision or weights.
        progress: told the part that is done, 0 to 1, and what comes next.
        cancelled: asked before every condition.

    Raises:
        StudyError: a file is missing or too short, or a condition cannot be made of what the item has; with numbers.
        AudioError: a file cannot be read.
        ModelError: a model cannot be run, or has no such source.
        DiskFull: the audio would not fit.
        Cancelled: `cancelled` said so.
    """
    inputs = _inputs(study, base, version)
    done = _made_before(folder, inputs["inputs"])
    if done is not None:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".making-", dir=folder) as scratch:
        making = _Making(study, base, folder, Path(scratch), inputs, separate)
        prepared = making.all(progress or _nobody, cancelled or _never)
        _commit(prepared, Path(scratch), making.used)
    return prepared


def _inputs(study: Study, base: Path, version: Callable[[str], str] | None) -> dict[str, str]:
    """What the audio depends on, see `Prepared.versions`."""
    files = {}
    for path in _files_of(study, base):
        if not path.is_file():
            raise StudyError(
                f"Prepare the study {study.name}",
                f"there is no file {path}",
                "Correct the path; it counts from the folder of the study's file",
            )
        files[path] = _sha256(path)
    versions = {"earshot": __version__}
    for system in study.systems:
        if system.model:
            pinned = version(system.model) if version is not None else ""
            versions[system.id] = f"{system.model} {pinned}".strip()
        else:
            own = [files[path] for path in (file_of(system, item, base) for item in study.items) if path is not None]
            versions[system.id] = f"files sha256:{_digest(own)}"
    versions["inputs"] = _digest([study_hash(study), versions, list(files.values())])
    return versions


def _files_of(study: Study, base: Path) -> Iterator[Path]:
    for item in study.items:
        yield from (base / path for path in (item.mixture, item.target) if path)
        yield from filter(None, (file_of(system, item, base) for system in study.systems))


def _made_before(folder: Path, inputs: str) -> Prepared | None:
    try:
        prepared = read_prepared(folder)
    except DataError:
        return None
    return prepared if prepared.versions.get("inputs") == inputs else None


def _commit(prepared: Prepared, scratch: Path, used: set[Path]) -> None:
    """Put the audio in its place, then say so, then remove what is no longer named."""
    audio = prepared.folder / AUDIO_FOLDER
    audio.mkdir(exist_ok=True)
    named = {prepared.path(stimulus) for stimulus in prepared.stimuli}
    for path in named:
        (scratch / path.name).replace(path)
    with appearing(prepared.folder / PREPARED_FILE) as temporary:
        temporary.write_text(json.dumps(prepared.to_json(), indent=1, ensure_ascii=False), encoding="utf-8")
    for path in {*audio.iterdir(), *(prepared.folder / MADE_FOLDER).glob("*")} - named - used:
        path.unlink(missing_ok=True)


class _Making:
    """One run of `prepare`."""

    def __init__(
        self, study: Study, base: Path, folder: Path, scratch: Path, versions: Mapping[str, str], separate: Separate
    ) -> None:
        self._study, self._folder, self._scratch = study, folder, scratch
        self._versions, self._separate = versions, separate
        self.used: set[Path] = set()
        own = [path for item in study.items for path in (item.mixture, item.target) if path]
        infos = [probe(path) for path in ([base / path for path in own] or _files_of(study, base))]
        rate = study.sample_rate or max(info.sample_rate for info in infos)
        self._frame = Frame(study, base, rate, min(2, max(info.channels for info in infos)), scratch, self._separated)

    def all(self, progress: Callable[[float, str], None], cancelled: Callable[[], bool]) -> Prepared:
        wanted = needed(self._study)
        total, done, peak = sum(map(len, wanted.values())), 0, 0.0
        items: dict[str, ItemAudio] = {}
        stimuli: list[Stimulus] = []
        for item in self._study.items:
            with ExitStack() as stack:
                one = ItemSounds(self._frame, item, stack)
                items[item.id] = one.form
                require_disk(self._folder, 8 * len(wanted[item.id]) * one.form.length * one.form.channels)
                sounds = {}
                for name in wanted[item.id]:
                    if cancelled():
                        raise Cancelled(
                            f"Prepare the study {self._study.name}",
                            f"it was cancelled after {done} of {total} sounds",
                            "Start again when you like; what models gave by now is kept",
                        )
                    progress(done / total, f"{item.id}: {name}")
                    sounds[name] = one.sound(name)
                    done += 1
            for name, sound in matched(self._study, sounds, one.target, self._frame.sample_rate).items():
                stimuli.append(self._keep(item, name, sound))
                peak = max(peak, float(np.abs(sound.samples).max(initial=0.0)))
        gain = min(1.0, FULL_SCALE / 32768 / peak) if peak > 0 else 1.0
        progress(1.0, "")
        return Prepared(
            self._study.name,
            study_hash(self._study),
            tuple(self._finished(stimulus, gain) for stimulus in stimuli),
            items,
            self._versions,
            20 * log10(gain),
            {anchor.id: made_up.describe(anchor.kind, **numbers(anchor)) for anchor in self._study.anchors},
            self._folder,
        )

    def _keep(self, item: Item, name: str, sound: Sound) -> Stimulus:
        """Set a sound aside until the common gain is known."""
        audio = secrets.token_hex(16)
        np.save(self._scratch / f"{audio}.npy", sound.samples)
        gain_db, flag = (sound.gain.db, sound.gain.flag) if sound.gain is not None else (0.0, "")
        flags = (*sound.flags, flag) if flag else sound.flags
        return Stimulus(item.id, name, audio, round(gain_db, 3), None, sound.lag, 0.0, "", flags)

    def _finished(self, stimulus: Stimulus, gain: float) -> Stimulus:
        """Apply the common gain, write 16 bits, and measure what is served."""
        path = self._scratch / f"{stimulus.audio}.npy"
        samples = np.load(path) * np.float32(gain)
        path.unlink()
        whole = np.rint(samples * 32768).clip(-FULL_SCALE - 1, FULL_SCALE).astype("<i2")
        data = np.ascontiguousarray(whole.T).tobytes()
        (self._scratch / f"{stimulus.audio}.pcm").write_bytes(data)
        level = loudness(samples, self._frame.sample_rate)
        return replace(
            stimulus,
            lufs=round(level, 2) if level > -inf else None,
            bandwidth_hz=round(bandwidth(whole / 32768, self._frame.sample_rate)),
            sha256=hashlib.sha256(data).hexdigest(),
        )

    def _separated(self, system: System, item: Item, mixture: Reader, first: int, stop: int) -> Signal:
        """What a model gives of the samples `first` to `stop` of the mixture; kept under a name of all that it depends on."""
        path, rate = self._frame.base / item.mixture, mixture.sample_rate
        known = [_sha256(self._frame.base / name) for name in (item.mixture, item.target) if name]
        key = _digest([self._versions[system.id], known, item.source, first, stop])
        kept = self._folder / MADE_FOLDER / f"{key}.npy"
        self.used.add(kept)
        if kept.is_file():
            return Signal(np.load(kept), rate)
        signal = self._separate(system.model, path, item.source, first / rate, (stop - first) / rate)
        if (signal.sample_rate, signal.length) != (rate, stop - first):
            found = (
                f"it gave {signal.length:,} samples at {signal.sample_rate:,} Hz, not {stop - first:,} at {rate:,} Hz"
            )
            raise StudyError(f"Separate the item {item.id} with {system.model}", found, "Correct what runs the models")
        with appearing(kept) as temporary, temporary.open("wb") as file:
            np.save(file, signal.samples)
        return signal


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _nobody(part: float, what: str) -> None: ...


def _never() -> bool:
    return False
