"""Where the chunks of a recording lie, and the audio of each at the model's rate.

A chunk is ``[context | kept | context]``. Chunks start a *stride* apart and each keeps ``stride + fade`` samples, so
that neighbours share a fade; the contexts are computed and thrown away. All lengths are samples at the *recording's*
rate and starts lie on the resampling grid, where a sample of one rate falls on a sample of the other. Every chunk of a
recording has the same shape; the chunks are spread evenly, so that the last is padded by little.
"""

from dataclasses import dataclass
from math import ceil, lcm

import numpy as np

from separation.audio import Reader, grid, resample, resample_margin
from separation.engine.options import Options
from separation.errors import JobError, NonFiniteAudio
from separation.models.protocol import Spec
from separation.signals import Samples

MATCHED = 1.0
"""Seconds that neighbouring chunks of a permutation-invariant model have in common at least."""

SHORTEST = 1.0
"""Seconds of a chunk at least, or the segment if that is less: models need something to go by."""


@dataclass(frozen=True)
class Plan:
    """The chunks of one recording.

    Args:
        sample_rate: Hz of the recording.
        model_rate: Hz of the model.
        length: samples of the recording.
        count: chunks.
        stride: samples from one chunk to the next, on the grid.
        fade: samples shared by neighbours, at most `stride`.
        context: samples computed and thrown away on each side, on the grid.
        margin: samples read beyond the chunk on each side so that its resampled edges are right, on the grid.
        model_length: samples of a chunk at the model's rate.
        minimal: chunks needed if only the model's own context overlapped.
        mirrored: what lies beyond the ends is the recording backwards; else silence.
    """

    sample_rate: int
    model_rate: int
    length: int
    count: int
    stride: int
    fade: int
    context: int
    margin: int
    model_length: int
    minimal: int
    mirrored: bool = True

    def start(self, index: int) -> int:
        """First sample of a chunk, context included: negative for the first chunk."""
        return index * self.stride - self.context

    def to_model(self, length: int) -> int:
        """A length on the grid, in samples at the model's rate."""
        return length * self.model_rate // self.sample_rate

    @property
    def span(self) -> int:
        """Samples of the recording under a chunk."""
        return -(-self.model_length * self.sample_rate // self.model_rate)

    @property
    def kept(self) -> slice:
        """What is kept of a chunk, in samples of the recording from the chunk's start."""
        return slice(self.context, self.context + self.stride + self.fade)


def plan(spec: Spec, sample_rate: int, length: int, options: Options) -> Plan:
    """Lay out the chunks of a recording of `length` > 0 samples.

    A permutation-invariant model gets enough context for neighbours to have `MATCHED` seconds in common, and at least
    twice that as its segment. Where rates differ the context also covers the resampling filter. A model that is `Spec.align`ed
    has a coarser grid.

    Raises:
        JobError: the segment leaves nothing beside the context.
    """
    segment, context = options.segment or spec.segment, spec.context
    if segment <= 2 * context:
        raise JobError(
            f"Separate in chunks of {segment:g} s",
            f"the model needs {context:g} s of context on each side",
            f"Use a segment above {2 * context:g} s; the model's own is {spec.segment:g} s",
        )
    minimal = ceil(length / ((segment - 2 * context) * sample_rate))
    if spec.permutation_invariant:
        segment, context = max(segment, 2 * MATCHED), max(context, (MATCHED - options.fade) / 2)
    step, model_step = grid(sample_rate, spec.sample_rate)
    aligned = lcm(model_step, spec.align) // model_step
    step, model_step = step * aligned, model_step * aligned
    edge = resample_margin(spec.sample_rate, sample_rate) * sample_rate / spec.sample_rate
    whole_context = _round_up(max(ceil(context * sample_rate), ceil(edge)), step)
    kept = max(round(segment * sample_rate) - 2 * whole_context, step)
    fade = min(round(options.fade * sample_rate), kept // 2)
    stride = max((kept - fade) // step, 1) * step
    count = max(1, ceil((length - fade) / stride))
    # Spread evenly. The second term is for fades that would be longer than the stride, and become as long.
    even = max(ceil((length - fade) / count), ceil(length / (count + 1))) if count > 1 else length
    stride = _round_up(even, step)
    fade = min(fade, stride) if count > 1 else 0
    count = max(1, ceil((length - fade) / stride))
    needed = ceil((2 * whole_context + stride + fade) * model_step / step)
    model_length = max(needed, ceil(min(segment, SHORTEST) * spec.sample_rate))
    return Plan(
        sample_rate=sample_rate,
        model_rate=spec.sample_rate,
        length=length,
        count=count,
        stride=stride,
        fade=fade,
        context=whole_context,
        margin=_round_up(resample_margin(sample_rate, spec.sample_rate), step),
        model_length=_round_up(model_length, spec.multiple_of),
        minimal=minimal,
        mirrored=not spec.silent_ends,
    )


class ChunkReader:
    """Reads the chunks of a recording; what a chunk shares with the one before is read and resampled once.

    Args:
        reader: the recording.
        layout: of its chunks.
    """

    def __init__(self, reader: Reader, layout: Plan) -> None:
        self._reader, self._layout = reader, layout
        self._before: tuple[int, Samples, Samples] | None = None

    def read(self, index: int) -> tuple[Samples, Samples]:
        """The audio of a chunk: at the recording's rate ``[C, span]`` and at the model's ``[C, model_length]``.

        Raises:
            NonFiniteAudio: a sample is NaN or infinite.
        """
        layout, margin = self._layout, self._layout.margin
        wide, heard = np.zeros((2, self._reader.channels, 0), np.float32)
        if self._before is not None and self._before[0] == index - 1:
            _, wide, heard = self._before
            wide, heard = wide[:, layout.stride :], heard[:, layout.to_model(layout.stride) :]
        wide = np.concatenate([wide, self._read(index, wide.shape[1])], axis=1)
        step, model_step = grid(layout.sample_rate, layout.model_rate)
        steps = heard.shape[1] // model_step  # what is not resampled again
        fresh = resample(wide[:, steps * step :], layout.sample_rate, layout.model_rate)[:, layout.to_model(margin) :]
        heard = np.concatenate([heard[:, : steps * model_step], fresh], axis=1)[:, : layout.model_length]
        self._before = index, wide, heard
        return wide[:, margin : margin + layout.span], heard

    def _read(self, index: int, known: int) -> Samples:
        """A chunk and its margins, without the first `known` samples."""
        start = self._layout.start(index) - self._layout.margin + known
        count = self._layout.span + 2 * self._layout.margin - known
        fresh = read_beyond(self._reader, start, count, mirrored=self._layout.mirrored)
        if not np.isfinite(fresh).all():
            raise _non_finite(self._reader, fresh, start)
        return fresh


def read_beyond(reader: Reader, start: int, length: int, *, mirrored: bool = True) -> Samples:
    """Samples `start` to `start` + `length`, also outside the recording.

    Beyond an end the recording is reflected about its last sample if `mirrored`; all else out there is zero.

    Returns:
        float32 ``[C, length]``.
    """
    end = reader.length
    block = np.zeros((reader.channels, length), np.float32)
    outside = ((1 - end, 0, 0), (end, 2 * end - 1, 2 * end - 2)) if mirrored else ()
    for low, high, mirror in ((0, end, None), *outside):
        first, last = max(low, start), min(high, start + length)
        if last <= first:
            continue
        # Position p outside holds sample `mirror` - p, so that a stretch comes backwards.
        stretch = (
            reader.read(first, last - first)
            if mirror is None
            else reader.read(mirror - last + 1, last - first)[:, ::-1]
        )
        block[:, first - start : last - start] = stretch
    return block


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _non_finite(reader: Reader, block: Samples, start: int) -> NonFiniteAudio:
    bad = int(np.flatnonzero(~np.isfinite(block).all(axis=0))[0])
    seconds = max(0, start + bad) / reader.sample_rate
    return NonFiniteAudio(
        "Separate a recording",
        f"it holds NaN or infinity near {seconds:.3f} s",
        "Export it again, as 24-bit WAV for instance, or select a part without it",
    )
