"""One stage of a job: a stretch of the recording becomes a folder of tracks that can be heard together.

All tracks have one rate, one channel count and one length and are kept as 32-bit float without any gain, so that what
is downloaded later is exact; the one common gain that keeps every track below full scale is only written down. The null
figure is measured on the written files, not on what should have been written.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from scipy.optimize import linear_sum_assignment

from separation.audio import PeakBuilder, Reader, RegionReader, Writer, open_reader
from separation.engine.blocks import BlockPool, save_blocks
from separation.engine.delivery import common_gain, null_db
from separation.engine.edits import GUIDE, Edited, edit_sides
from separation.engine.jobs import STAGES, Job, Request
from separation.engine.latents import LatentPool, save_grid
from separation.engine.memory import Carried, write_memory
from separation.engine.options import RESIDUAL, Options, Progress, Report, SideInformation, together
from separation.engine.pitches import pitch_side
from separation.engine.references import REFERENCES, AlignedReader, reference_side
from separation.engine.run import run
from separation.engine.voices import VoicePool, save_voices
from separation.errors import Cancelled, JobError
from separation.models import PitchSeparator
from separation.models.protocol import InsideSeparator, LatentSeparator, Separator, Spec
from separation.signals import Samples

BLOCK = 1 << 17
"""Samples per channel that are copied or compared at a time."""

LATENTS = "latents.npz"
"""The file of a stage that holds what the model did inside (`latents.read_grid`), for models with masks."""

BLOCKS = "blocks.npz"
"""The same for models with blocks (`blocks.read_blocks`)."""

VOICES = "voices.npz"
"""The same for models of voices (`voices.read_voices`)."""

MEMORY = "memory.safetensors"
"""The file of a stage that holds what a model with a memory ended with (`memory.read_memory`)."""

TOLD = "This oracle was told the true sources: a bound to measure models by. Nobody can separate a new recording so."
"""What everybody must know of a job whose separator saw the references."""


@dataclass(frozen=True)
class Stretch:
    """What a stage covers.

    Args:
        stage: ``preview`` or ``full``.
        start: first sample in the recording.
        length: samples.
    """

    stage: str
    start: int
    length: int


def chosen_sources(request: Request, spec: Spec) -> tuple[str, ...]:
    """The sources a request wants, in the model's order."""
    return tuple(name for name in spec.sources if request.sources is None or name in request.sources)


def bytes_needed(request: Request, spec: Spec, channels: int, stretches: Sequence[Stretch]) -> int:
    """Bytes of disk that all tracks of all stages take."""
    tracks = 2 + len(chosen_sources(request, spec)) + len(request.references)
    return 4 * channels * tracks * sum(stretch.length for stretch in stretches)


def write_stage(
    job: Job,
    stretch: Stretch,
    separator: Separator,
    recording: Reader,
    *,
    device: str,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Report:
    """Separate one stretch of a recording into the stage's folder; `stage.json` is written last.

    A separator that needs the references gets the job's own, and is written as it is: making an oracle's estimates add up
    would improve on it. So is a partial one, and what an edit takes something away from (`Edit.delivered`).

    Raises:
        Cancelled: `cancelled` said so; nothing of the stage is left.
        SeparationError: whatever the engine or the files raise.
    """
    folder = job.folder / stretch.stage
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier process left half done
    region = RegionReader(recording, stretch.start, stretch.length)
    sources = chosen_sources(job.request, separator.spec)
    separated = (*sources, RESIDUAL)
    told = REFERENCES in separator.spec.needs
    whole = not told and not separator.spec.partial
    options = replace(job.request.options, device=device, consistency=job.request.options.consistency and whole)
    if job.request.edit is not None:
        options = job.request.edit.delivered(options)
    length = -(-region.length * separator.spec.sample_rate // region.sample_rate)
    pool = LatentPool(separator, length) if isinstance(separator, LatentSeparator) else None
    blocks = BlockPool(separator, length) if isinstance(separator, InsideSeparator) else None
    inner = separator.separator if isinstance(separator, Edited) else separator
    voices = VoicePool(inner, length) if isinstance(inner, PitchSeparator) else None
    carried = Carried()
    with ExitStack() as stack:
        references = {
            name: stack.enter_context(open_reader(path, scratch=job.scratch, cancelled=cancelled))
            for name, path in job.references.items()
        }
        tracks = {
            name: stack.enter_context(
                TrackFile(folder / f"{name}.wav", region.sample_rate, region.channels, region.length)
            )
            for name in ("mixture", *separated, *map(track_of, references))
        }
        _copy(region, tracks["mixture"], cancelled)
        for name, reference in references.items():
            _copy(AlignedReader(reference, region, stretch.start), tracks[track_of(name)], cancelled)
        side: SideInformation | None = None
        if isinstance(separator, Edited):
            tracks_known, start = _known_tracks(job, stretch, stack) if GUIDE in separator.spec.needs else ({}, 0)
            starts = stretch.start, stretch.start - start
            side = edit_sides(separator, region, references=references, tracks=tracks_known, starts=starts)
        elif told:
            side = reference_side(references, separator.spec, mixture=region, start=stretch.start)
        pitches = job.pitches
        if isinstance(inner, PitchSeparator) and pitches is not None:
            begins, lasts = (samples / region.sample_rate for samples in (stretch.start, region.length))
            side = together(side, pitch_side(inner, pitches, start=begins, duration=lasts))
        report = run(
            separator,
            region,
            {name: tracks[name] for name in separated},
            options=options,
            observers=[each for each in (pool, blocks, voices) if each is not None],
            progress=progress,
            cancelled=cancelled,
            side=side,
            carried=carried,
        )
    complete = sources == tuple(separator.spec.sources)
    names = {source: source for source in sources}
    if (
        complete
        and separator.spec.permutation_invariant
        and set(references) == set(sources)
        and job.request.edit is None
    ):
        names = _name_after_references(folder, sources, cancelled)
    grid = None if pool is None else pool.grid()
    if grid is not None:
        grid = replace(grid, sources=tuple(names.get(source, source) for source in grid.sources))
        save_grid(folder / LATENTS, grid)
    inside = None if blocks is None else blocks.grid()
    if inside is not None:
        inside = replace(inside, sources=tuple(names.get(source, source) for source in inside.sources))
        save_blocks(folder / BLOCKS, inside)
        if inside.kept:
            write_memory(folder / MEMORY, separator, carried.state)
    of_voices = None if voices is None else voices.grid()
    if of_voices is not None:
        save_voices(folder / VOICES, of_voices)
    job.write_stage(
        stretch.stage,
        {
            "sample_rate": region.sample_rate,
            "channels": region.channels,
            "length": region.length,
            "start": stretch.start,
            "gain": common_gain(max(track.peak for track in tracks.values())),
            "tracks": list(tracks),
            "null_db": _null_db(folder, sources, options, cancelled) if complete else None,
            "uncertain_boundaries": list(report.uncertain_boundaries),
            "latents": grid is not None,
            "blocks": inside is not None,
            "pitch": isinstance(inner, PitchSeparator),
            "voices": of_voices is not None,
            "permutation_invariant": separator.spec.permutation_invariant,
        },
    )
    return replace(report, messages=(TOLD, *report.messages)) if told else report


def _known_tracks(job: Job, stretch: Stretch, stack: ExitStack) -> tuple[dict[str, Reader], int]:
    """The tracks of the job that this one edits, open, and where they start in the recording."""
    original = job.original
    for stage in reversed(STAGES):
        described = None if original is None else original.stage(stage)
        if original is None or described is None:
            continue
        start, stop = described["start"], described["start"] + described["length"]
        if start <= stretch.start and stretch.start + stretch.length <= stop:
            return {
                name: stack.enter_context(open_reader(path)) for name, path in original.tracks(stage).items()
            }, start
    raise JobError(
        f"Edit {job.request.name}",
        "this part of it is not separated yet",
        "Wait for it, or choose a part that is there",
    )


def track_of(reference: str) -> str:
    """The name of a reference's track."""
    return f"reference-{reference}"


class TrackFile:
    """A sink that writes a track and its outline; both appear when all went well, none if something raised."""

    def __init__(self, path: Path, sample_rate: int, channels: int, length: int) -> None:
        self._path = path
        self._writer = Writer(path, sample_rate, channels, format="wav", bit_depth="32f", length=length)
        self._peaks = PeakBuilder()

    @property
    def peak(self) -> float:
        """Largest magnitude written so far; 1.0 is full scale."""
        return float(self._writer.peak)

    def write(self, block: Samples) -> None:
        self._writer.write(block)
        self._peaks.add(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._writer.close()
            self._peaks.save(self._path.with_suffix(".peaks"))
        else:
            self._writer.abort()


def _name_after_references(folder: Path, sources: Sequence[str], cancelled: Callable[[], bool]) -> dict[str, str]:
    """Give each estimate the name of the reference that it is most like; ``{name so far: new name}``.

    The order of a permutation-invariant model's outputs is arbitrary. Where the truth is there, what is heard as *speaker 1*,
    what is scored as *speaker 1* and the reference of that name must be one person: the order with the greatest sum of squared
    correlations over the whole stage.
    """
    with ExitStack() as stack:
        truth, guess = (
            [stack.enter_context(open_reader(folder / f"{prefix}{name}.wav")) for name in sources]
            for prefix in (track_of(""), "")
        )
        products, energies = np.zeros((len(sources), len(sources))), np.zeros((2, len(sources), 1))
        for start, length in _blocks(truth[0].length):
            if cancelled():
                raise Cancelled("Separate the recording", "it was stopped", "Start it again when you like")
            r, e = (
                np.stack([x.read(start, length).ravel() for x in readers]).astype(np.float64)
                for readers in (truth, guess)
            )
            products += r @ e.T
            energies += [np.square(x).sum(1, keepdims=True) for x in (r, e)]
    likeness = np.square(products) / np.maximum(energies[0] * energies[1].T, 1e-30)
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    names = {sources[column]: sources[row] for row, column in zip(rows, columns, strict=True)}
    for suffix in (".wav", ".peaks"):
        for old in sources:
            (folder / f"{old}{suffix}").rename(folder / f"{old}{suffix}.moving")
        for old, new in names.items():
            (folder / f"{old}{suffix}.moving").rename(folder / f"{new}{suffix}")
    return names


def _null_db(folder: Path, sources: Sequence[str], options: Options, cancelled: Callable[[], bool]) -> float | None:
    """Measured on the written files. The residual is part of the sum where it was not shared among the sources."""
    shared = options.consistency and len(sources) > 1
    with ExitStack() as stack:
        mixture, *tracks = (
            stack.enter_context(open_reader(folder / f"{name}.wav"))
            for name in ("mixture", *sources, *(() if shared else (RESIDUAL,)))
        )
        return null_db(mixture, tracks, cancelled=cancelled)


def _copy(reader: Reader, sink: TrackFile, cancelled: Callable[[], bool]) -> None:
    for start, length in _blocks(reader.length):
        if cancelled():
            raise Cancelled("Separate the recording", "it was stopped", "Start it again when you like")
        sink.write(reader.read(start, length))


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    return ((start, min(BLOCK, length - start)) for start in range(0, length, BLOCK))
