"""A mixture that is built from stems: each at its level, rendered aside whenever a level changes, and played as a draft.

The mixture is the sum of the audible stems at the highest of their rates, as long as the longest, with as many channels as the
widest; a reference of the separation is its stem at its level, so that the references add up to the mixture. It is kept in
floats without any other gain: if it goes beyond full scale, the stage says the one common gain with which it is played, as in a
job. Levels change faster than a song can be rendered: only the newest matter.

    drafts/ID/stems/KEY/stem.EXT       a stem, readable in place
    drafts/ID/mix.json                 the stems with names and levels, as they are wanted
    drafts/ID/input/mixture.wav        the mixture, and ID/draft/ as of any draft; `stage.json` says of which levels it is
"""

import contextlib
import json
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from math import log10
from pathlib import Path

import numpy as np

from separation.audio import (
    BLOCK,
    AudioInfo,
    BaseReader,
    PeakBuilder,
    Reader,
    Writer,
    export,
    open_reader,
    resampled_length,
    scan,
)
from separation.datasets.names import ALIASES
from separation.engine.delivery import common_gain, null_db
from separation.engine.drafts import STAGE, TRACK, Draft, Drafts, Reading, explain
from separation.engine.references import AlignedReader, check_names
from separation.engine.uploads import MOST_STEMS, alone, keep, suggest
from separation.errors import JobError, SeparationError, UnknownJob
from separation.signals import Samples

QUIETEST_DB, LOUDEST_DB = -40.0, 12.0
"""How far a stem's level goes; silent is to mute it."""

RENDERERS = 2
"""Mixtures that are rendered at the same time; more wait."""

_MIX = "mix.json"
_STATE_EVERY = 0.25  # seconds between two writes of the progress
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stem:
    """One stem of a mixture.

    Args:
        id: it is known by this.
        file: what its owner calls the file.
        name: the source that it is.
        sample_rate: Hz.
        channels: how many.
        length: samples.
        level_db: what it is changed by.
        muted: it is not in the mixture, and no reference.
    """

    id: str
    file: str
    name: str
    sample_rate: int
    channels: int
    length: int
    level_db: float = 0.0
    muted: bool = False

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.length / self.sample_rate

    @property
    def factor(self) -> float:
        """Its level as a factor; exactly 1 for 0 dB."""
        return float(10 ** (self.level_db / 20))


@dataclass(frozen=True)
class Mix:
    """A mixture of stems as it is wanted.

    Args:
        draft: where it lies, and what the page plays.
        stems: in the order in which they came.
    """

    draft: Draft
    stems: tuple[Stem, ...]

    @property
    def audible(self) -> tuple[Stem, ...]:
        return tuple(stem for stem in self.stems if not stem.muted)

    @property
    def levels(self) -> dict[str, float]:
        """What the samples of the mixture depend on: the level of each audible stem."""
        return {stem.id: stem.level_db for stem in self.audible}

    @property
    def rendered(self) -> bool:
        """Whether what can be played is this mixture."""
        stage = self.draft.stage()
        return stage is not None and stage["levels"] == self.levels

    def path(self, stem: Stem) -> Path:
        """The file of a stem.

        Raises:
            UnknownJob: it is gone.
        """
        for path in (self.draft.folder / "stems" / stem.id).glob("stem.*"):
            return path
        raise _gone()


class MixReader(BaseReader):
    """The sum of readers of one form, each with its own factor. Closing it closes them."""

    def __init__(self, info: AudioInfo, parts: Sequence[tuple[Reader, float]]) -> None:
        super().__init__(info)
        self.parts = tuple(parts)

    def read(self, start: int, length: int) -> Samples:
        """See `Reader.read`. In float64, so that the order does not matter."""
        self._check_range(start, length)
        total = np.zeros((self.channels, length), np.float64)
        for reader, factor in self.parts:
            total += factor * reader.read(start, length)
        return total.astype(np.float32)

    def close(self) -> None:
        for reader, _ in self.parts:
            reader.close()


def mix_reader(stems: Sequence[tuple[Path, float]]) -> MixReader:
    """The mixture of files, each with its own factor, at the highest rate, the greatest length and the most channels.

    Raises:
        JobError: no file.
        AudioError: a file cannot be read.
    """
    if not stems:
        raise JobError("Mix the stems", "there is none, or every one is muted", "Choose a stem, or turn one on")
    with ExitStack() as stack:
        readers = [stack.enter_context(open_reader(path)) for path, _ in stems]
        rate = max(reader.sample_rate for reader in readers)
        channels = max(reader.channels for reader in readers)
        length = max(resampled_length(reader.length, reader.sample_rate, rate) for reader in readers)
        form = AudioInfo("mixture", "memory", "pcm_f32", rate, channels, length, "32f", lossy=False)
        parts = [(AlignedReader(reader, form), factor) for reader, (_, factor) in zip(readers, stems, strict=True)]
        stack.pop_all()
    return MixReader(form, parts)


@dataclass(frozen=True)
class Written:
    """A mixture on disk.

    Args:
        files: the mixture and its stems by name, all of one rate, length and channel count.
        gain: the common gain that was applied to all; 1.0 if none was needed.
        null_db: level of the mixture minus its stems below the mixture, of the written files; None for lossy ones.
    """

    files: dict[str, Path]
    gain: float
    null_db: float | None


def write_mix(
    stems: Mapping[str, tuple[Path, float]], folder: Path, *, format: str = "wav", bit_depth: str = "24"
) -> Written:
    """Write ``folder/mixture.EXT`` and beside it every stem as it is in there: a track of a data set.

    If anything would clip, everything gets quieter by one common gain, so that the stems still add up to the mixture.

    Args:
        stems: file and level (dB) by name.

    Raises:
        JobError: no stem, or names that cannot stand side by side.
        AudioError: a file cannot be read, or the format cannot hold this.
        DiskFull: no room.
    """
    check_names(list(stems))
    with mix_reader([(path, float(10 ** (level / 20))) for path, level in stems.values()]) as mixture:
        alone = {name: MixReader(mixture.info, [part]) for name, part in zip(stems, mixture.parts, strict=True)}
        tracks = {TRACK: mixture, **alone}
        fits = format == "wav" and bit_depth == "32f"  # floats hold what lies beyond full scale
        gain = 1.0 if fits else common_gain(max(scan(track).peak for track in tracks.values()))
        files = {
            name: export(track, folder / f"{name}.{format}", format=format, bit_depth=bit_depth, gain=gain)
            for name, track in tracks.items()
        }
    level = None
    if format != "mp3":
        with ExitStack() as stack:
            whole, *rest = (stack.enter_context(open_reader(path)) for path in files.values())
            level = null_db(whole, rest)
    return Written(files, gain, level)


class Mixes:
    """The mixtures that visitors build.

    Args:
        drafts: where they are kept, and expire.
    """

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._slots = threading.BoundedSemaphore(RENDERERS)
        self._changed = threading.Condition()
        self._rendering: set[str] = set()

    def begin(self, *, longest: float | None = None) -> Mix:
        """A mixture without stems.

        Args:
            longest: seconds that a stem may last.
        """
        mix = Mix(self._drafts.mixture("Mixture of stems", longest=longest), ())
        _write(mix)
        return mix

    def get(self, mix_id: str) -> Mix:
        """The mixture with this id.

        Raises:
            UnknownJob: there is none.
        """
        draft = self._drafts.get(mix_id)
        try:
            stems = json.loads((draft.folder / _MIX).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _gone() from None
        return Mix(draft, tuple(Stem(**fields) for fields in stems))

    def add(self, mix_id: str, upload: Path, file: str, *, cancelled: Callable[[], bool] | None = None) -> Mix:
        """Take a file as one more stem, and render.

        Args:
            upload: a file inside the mixture's folder; it is moved or deleted.
            file: what its owner calls it.

        Raises:
            AudioError: no audio, silent or too long.
            JobError: there are as many stems as there can be.
            DiskFull: no room.
        """
        draft = self.get(mix_id).draft
        key = secrets.token_hex(8)
        folder = draft.folder / "stems" / key
        try:
            kept = keep(upload, folder, file, longest=draft.longest, cancelled=cancelled)
            with self._changing(mix_id) as mix:
                if len(mix.stems) >= MOST_STEMS:
                    raise JobError(f"Use {file}", f"there are {MOST_STEMS} stems already", "Remove one first")
                (name,) = suggest(tuple(ALIASES), [file], [stem.name for stem in mix.stems])
                stem = Stem(key, file, name, kept.info.sample_rate, kept.info.channels, kept.info.length)
                return self._want(replace(mix, stems=(*mix.stems, stem)))
        except FileNotFoundError:  # deleted meanwhile
            raise _gone() from None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            _sweep(draft)

    def remove(self, mix_id: str, key: str) -> Mix:
        """Take a stem out, and delete it; harmless if it is gone."""
        with self._changing(mix_id) as mix:
            if any(stem.id == key for stem in mix.stems):
                mix = self._want(replace(mix, stems=tuple(stem for stem in mix.stems if stem.id != key)))
                shutil.rmtree(mix.draft.folder / "stems" / key, ignore_errors=True)
        return mix

    def set(self, mix_id: str, wanted: Mapping[str, tuple[str, float, bool]]) -> Mix:
        """Name, level (dB) and muted by a stem's id; those not named stay as they are. Rendering begins where it has to.

        Raises:
            JobError: names that cannot stand side by side.
        """
        with self._changing(mix_id) as mix:
            stems = []
            for stem in mix.stems:
                name, level, muted = wanted.get(stem.id, (stem.name, stem.level_db, stem.muted))
                level = round(min(LOUDEST_DB, max(QUIETEST_DB, level)), 2)
                stems.append(replace(stem, name=name, level_db=level, muted=muted))
            check_names([stem.name for stem in stems])
            return self._want(replace(mix, stems=tuple(stems)))

    def settled(self, mix_id: str, *, patience: float = 600.0) -> Mix:
        """Wait until what can be played is what is wanted.

        Raises:
            SeparationError: the mixture could not be rendered.
        """
        self._render_aside(self.get(mix_id))
        with self._changed:
            self._changed.wait_for(lambda: mix_id not in self._rendering, patience)
        mix = self.get(mix_id)
        if mix.rendered and mix.audible:
            return mix
        error = mix.draft.state().error or {
            "asked": "Mix the stems",
            "found": "there is none that is audible" if not mix.audible else "it takes longer than expected",
            "advice": "Choose a stem, or turn one on" if not mix.audible else "Try again in a moment",
        }
        raise SeparationError(**error)

    @contextmanager
    def references(self, mix: Mix) -> Iterator[dict[str, Path]]:
        """The audible stems by name, each as a file at its level; the files go at the end.

        Raises:
            DiskFull: no room.
            UnknownJob: a stem is gone.
        """
        folder = mix.draft.folder / f"levels-{secrets.token_hex(4)}"
        folder.mkdir()
        try:
            yield {stem.name: self._at_level(mix, stem, folder) for stem in mix.audible}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _at_level(self, mix: Mix, stem: Stem, folder: Path) -> Path:
        path = mix.path(stem)
        if stem.level_db == 0:
            return path
        target = folder / f"{stem.id}.wav"
        with (
            open_reader(path) as reader,
            Writer(
                target,
                reader.sample_rate,
                reader.channels,
                bit_depth="32f",
                gain=stem.factor,
                length=reader.length,
            ) as writer,
        ):
            for start in range(0, reader.length, BLOCK):
                writer.write(reader.read(start, min(BLOCK, reader.length - start)))
        return target

    @contextmanager
    def _changing(self, mix_id: str) -> Iterator[Mix]:
        """One change at a time, each of the mixture as it is then."""
        draft = self.get(mix_id).draft
        try:
            with alone(draft.folder):
                yield self.get(mix_id)
        finally:
            _sweep(draft)

    def _want(self, mix: Mix) -> Mix:
        _write(mix)
        self._render_aside(mix)
        return mix

    def _render_aside(self, mix: Mix) -> None:
        with self._changed:
            if mix.draft.id in self._rendering or not mix.audible or mix.rendered:
                return
            self._rendering.add(mix.draft.id)
        threading.Thread(target=self._render, args=(mix.draft,), name="earshot-mix", daemon=True).start()

    def _render(self, draft: Draft) -> None:
        """Render until what is wanted is there. Whatever happens is in the draft's state; nothing is raised."""
        try:
            while True:
                # Whoever wants something else after this look finds nobody at work, and begins anew (`_render_aside`).
                with self._changed:
                    mix = self.get(draft.id)
                    if mix.rendered or not mix.audible:
                        self._rendering.discard(draft.id)
                        break
                with self._slots:
                    self._render_once(mix)
        except UnknownJob:
            _log.info("Mixture %s… was deleted while it was rendered", draft.id[:4])
        except Exception as error:
            if not isinstance(error, SeparationError):
                _log.exception("Mixture %s… could not be rendered", draft.id[:4])
            with contextlib.suppress(UnknownJob):
                draft.write_state(Reading("failed", 0.0, explain(error, draft)))
        finally:
            _sweep(draft)
            with self._changed:
                self._rendering.discard(draft.id)
                self._changed.notify_all()

    def _render_once(self, mix: Mix) -> None:
        """Give up at once when other levels are wanted."""
        draft, told = mix.draft, time.monotonic()
        first = draft.stage() is None
        folder = draft.folder / STAGE
        folder.mkdir(exist_ok=True)
        outline = PeakBuilder()
        with mix_reader([(mix.path(stem), stem.factor) for stem in mix.audible]) as reader:
            rate, channels, length = reader.sample_rate, reader.channels, reader.length
            with Writer(
                draft.folder / "input" / "mixture.wav", rate, channels, bit_depth="32f", length=length
            ) as writer:
                for start in range(0, length, BLOCK):
                    if self.get(draft.id).levels != mix.levels:
                        writer.abort()
                        return
                    block = reader.read(start, min(BLOCK, length - start))
                    writer.write(block)
                    outline.add(block)
                    if first and time.monotonic() - told >= _STATE_EVERY:
                        told = time.monotonic()
                        draft.write_state(Reading("running", start / length))
        outline.save(folder / f"{TRACK}.peaks")
        draft.write_stage(
            {
                "sample_rate": rate,
                "channels": channels,
                "length": length,
                "start": 0,
                "gain": common_gain(writer.peak),
                "tracks": [TRACK],
                "levels": mix.levels,
                "peak_db": None if writer.peak == 0 else 20 * log10(writer.peak),
                "renewed": time.time(),
            }
        )
        draft.write_state(Reading("done", 1.0))


def _write(mix: Mix) -> None:
    path = mix.draft.folder / _MIX
    temporary = path.with_name(f".{_MIX}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps([asdict(stem) for stem in mix.stems]), encoding="utf-8")
        temporary.replace(path)
    except FileNotFoundError:  # the folder was deleted under us
        raise _gone() from None


def _sweep(draft: Draft) -> None:
    """Deleted meanwhile: files written since then have made the folder anew."""
    if not (draft.folder / "draft.json").exists():
        shutil.rmtree(draft.folder, ignore_errors=True)


def _gone() -> UnknownJob:
    return UnknownJob(
        "Mix the stems", "they are not here any more: they have expired, or were replaced", "Choose them again"
    )
