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

from separation.audio import (
    PeakBuilder,
    Reader,
    RegionReader,
    Writer,
    grid,
    open_reader,
    resample,
    resample_margin,
)
from separation.engine.delivery import common_gain, null_db
from separation.engine.jobs import Job, Request
from separation.engine.options import RESIDUAL, Options, Progress, Report
from separation.engine.run import run
from separation.errors import Cancelled
from separation.models.protocol import Separator, Spec
from separation.signals import Samples

BLOCK = 1 << 17
"""Samples per channel that are copied or compared at a time."""


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

    Raises:
        Cancelled: `cancelled` said so; nothing of the stage is left.
        SeparationError: whatever the engine or the files raise.
    """
    folder = job.folder / stretch.stage
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier process left half done
    region = RegionReader(recording, stretch.start, stretch.length)
    sources = chosen_sources(job.request, separator.spec)
    separated = (*sources, RESIDUAL)
    references = {f"reference-{name}": path for name, path in job.references.items()}
    with ExitStack() as stack:
        tracks = {
            name: stack.enter_context(
                TrackFile(folder / f"{name}.wav", region.sample_rate, region.channels, region.length)
            )
            for name in ("mixture", *separated, *references)
        }
        _copy(region, tracks["mixture"], cancelled)
        for name, path in references.items():
            with open_reader(path, scratch=job.scratch, cancelled=cancelled) as reference:
                _copy(AlignedReader(reference, region, stretch.start), tracks[name], cancelled)
        report = run(
            separator,
            region,
            {name: tracks[name] for name in separated},
            options=replace(job.request.options, device=device),
            progress=progress,
            cancelled=cancelled,
        )
    complete = sources == tuple(separator.spec.sources)
    job.write_stage(
        stretch.stage,
        {
            "sample_rate": region.sample_rate,
            "channels": region.channels,
            "length": region.length,
            "start": stretch.start,
            "gain": common_gain(max(track.peak for track in tracks.values())),
            "tracks": list(tracks),
            "null_db": _null_db(folder, sources, job.request.options, cancelled) if complete else None,
            "uncertain_boundaries": list(report.uncertain_boundaries),
        },
    )
    return report


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


class AlignedReader:
    """A reference as the mixture would hold it: same rate, channels, start and length; silent where it has ended.

    Channels are copied from one and averaged to one where the counts differ.
    """

    def __init__(self, reference: Reader, mixture: Reader, start: int) -> None:
        self._reference = reference
        self._start = start
        self.sample_rate, self.channels, self.length = mixture.sample_rate, mixture.channels, mixture.length

    def read(self, start: int, length: int) -> Samples:
        """Samples `start` to `start` + `length` of the aligned reference, float32 ``[C, length]``."""
        step_in, step_out = grid(self._reference.sample_rate, self.sample_rate)
        margin = -(-resample_margin(self._reference.sample_rate, self.sample_rate) // step_in)  # in grid steps
        first = (self._start + start) // step_out - margin
        last = -(-(self._start + start + length) // step_out) + margin
        block = _read_padded(self._reference, first * step_in, last * step_in)
        skip = self._start + start - first * step_out
        aligned = resample(block, self._reference.sample_rate, self.sample_rate)[:, skip : skip + length]
        if len(aligned) != self.channels:
            aligned = np.repeat(aligned.mean(axis=0, keepdims=True), self.channels, axis=0)
        return np.ascontiguousarray(aligned, dtype=np.float32)


def _null_db(folder: Path, sources: Sequence[str], options: Options, cancelled: Callable[[], bool]) -> float | None:
    """Measured on the written files. The residual is part of the sum where it was not shared among the sources."""
    shared = options.consistency and len(sources) > 1
    with ExitStack() as stack:
        mixture, *tracks = (
            stack.enter_context(open_reader(folder / f"{name}.wav"))
            for name in ("mixture", *sources, *(() if shared else (RESIDUAL,)))
        )
        return null_db(mixture, tracks, cancelled=cancelled)


def _copy(reader: Reader | AlignedReader, sink: TrackFile, cancelled: Callable[[], bool]) -> None:
    for start, length in _blocks(reader.length):
        if cancelled():
            raise Cancelled("Separate the recording", "it was stopped", "Start it again when you like")
        sink.write(reader.read(start, length))


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    return ((start, min(BLOCK, length - start)) for start in range(0, length, BLOCK))


def _read_padded(reader: Reader, start: int, stop: int) -> Samples:
    """Samples `start` to `stop`, zero outside the recording."""
    block = np.zeros((reader.channels, stop - start), np.float32)
    inside = max(0, min(start, reader.length)), max(0, min(stop, reader.length))
    block[:, inside[0] - start : inside[1] - start] = reader.read(inside[0], inside[1] - inside[0])
    return block
