"""The engine: a recording of any length, a separator, and sinks that take the tracks block by block.

    read with reflection -> model's rate -> normalise -> model -> undo -> match sources -> recording's rate and band
    -> drop context -> fade -> deliver -> sinks

One chunk or one batch of them is in memory at a time. The engine opens, closes and names no file, knows no job and no
page.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from separation.audio import ArrayReader, Reader, scan
from separation.engine import adapt
from separation.engine.band import to_recording
from separation.engine.chunks import ChunkReader, Plan, plan
from separation.engine.delivery import common_gain, deliver
from separation.engine.device import Ladder, is_out_of_memory, to_device
from separation.engine.memory import Carried
from separation.engine.observe import ChunkView, Observer
from separation.engine.options import RESIDUAL, Options, SideInformation, Sink
from separation.engine.options import Progress as Progress
from separation.engine.options import Report as Report
from separation.engine.overlap import Joiner
from separation.engine.stitch import Piece, Stitcher, arranged
from separation.errors import Cancelled, EmptyAudio, ModelError
from separation.models.protocol import Separator, State
from separation.signals import Samples, Signal, Stems

SILENT = 1e-8
"""Deviation below which a recording is not normalised: it would only raise what is no sound."""


def run(
    separator: Separator,
    reader: Reader,
    sinks: Mapping[str, Sink],
    *,
    options: Options = Options(),  # noqa: B008  (frozen)
    observers: Sequence[Observer] = (),
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    side: SideInformation | None = None,
    carried: Carried | None = None,
) -> Report:
    """Separate a recording.

    Args:
        separator: in eval mode; moved to the device that is used.
        reader: the recording.
        sinks: by track: names of the separator's sources, or ``"residual"``. Only these are delivered, and
            `Report.peak` and `Report.gain` are about these. Each gets float32 ``[C, T]`` blocks at the recording's
            rate, in order, in all as long as the recording.
        options: how.
        observers: see every chunk.
        progress: told after every model call.
        cancelled: asked before every model call.
        side: gives what ``spec.needs`` names.
        carried: the state that a stateful separator begins with; afterwards the one that it ended with.

    Raises:
        Cancelled: `cancelled` said so. Sinks then hold the beginning; what becomes of it is the caller's business.
        EmptyAudio, NonFiniteAudio: the recording has no samples, or some that are no numbers.
        ModelError: no such track; side information is missing; the model gave a wrong shape, NaN or infinity.
        DeviceError: the device is not there, or memory is short even for one chunk.
        JobError: the segment leaves nothing beside the model's context.
    """
    started = time.perf_counter()
    _check(separator, reader, sinks, side)
    if separator.spec.partial:
        options = replace(options, consistency=False)
    layout = plan(separator.spec, reader.sample_rate, reader.length, options)
    ladder = Ladder.of(separator, options)
    minimal_calls = ceil(layout.minimal / ladder.batch)
    caller = _Caller(separator, ladder, layout, cancelled or _never, side, bool(observers))
    if carried is not None:
        caller.state = carried.state
    if separator.spec.normalise:
        deviation = scan(reader, cancelled=cancelled).deviation
        caller.scale = deviation if deviation > SILENT else 1.0
    source = ChunkReader(reader, layout)
    stream = _Stream(separator, reader, layout, sinks, options, observers)
    while stream.done < layout.count:
        chunks = [
            _Chunk(index, *source.read(index))
            for index in range(stream.done, min(stream.done + ladder.batch, layout.count))
        ]
        answers = caller(chunks)
        for chunk, answer in zip(chunks, answers, strict=False):  # no answers when memory was short
            stream.take(chunk, answer)
        if progress is not None and answers:
            elapsed = time.perf_counter() - started
            remaining = elapsed / stream.done * (layout.count - stream.done)
            progress(Progress(stream.done, layout.count, elapsed, remaining))
    stream.finish()
    if carried is not None:
        carried.state = to_device(caller.state, torch.device("cpu"))
    return Report(
        tracks=tuple(sinks),
        sample_rate=reader.sample_rate,
        channels=reader.channels,
        length=reader.length,
        chunks=layout.count,
        calls=caller.calls,
        minimal_calls=minimal_calls,
        hop=layout.stride / layout.sample_rate,
        device=str(ladder.device),
        precision=ladder.precision,
        seconds=time.perf_counter() - started,
        peak=stream.peak,
        gain=common_gain(stream.peak),
        uncertain_boundaries=tuple(stream.uncertain),
        messages=tuple(ladder.messages),
    )


def separate(
    separator: Separator,
    signal: Signal,
    options: Options = Options(),  # noqa: B008  (frozen)
    *,
    side: SideInformation | None = None,
) -> Stems:
    """Separate short audio in memory: the sources by name, at the rate, channels and length of `signal`.

    `side` is as in `run`. No gain is applied. For recordings of any length, and for the residual, use `run`.
    """
    collected = {name: _Collect() for name in separator.spec.sources}
    run(separator, ArrayReader(signal), collected, options=options, side=side)
    return {name: Signal(np.concatenate(sink.blocks, axis=1), signal.sample_rate) for name, sink in collected.items()}


class _Collect:
    def __init__(self) -> None:
        self.blocks: list[Samples] = []

    def write(self, block: Samples) -> None:
        self.blocks.append(block)


def _never() -> bool:
    return False


def _check(separator: Separator, reader: Reader, sinks: Mapping[str, Sink], side: SideInformation | None) -> None:
    spec = separator.spec
    if reader.length == 0:
        raise EmptyAudio("Separate a recording", "it has no samples", "Choose another recording")
    known = (*spec.sources, RESIDUAL)
    unknown = [name for name in sinks if name not in known]
    if unknown:
        raise ModelError(
            f"Write {', '.join(unknown)}", "the model has no such track", f"Choose from {', '.join(known)}"
        )
    if spec.needs and side is None:
        raise ModelError(
            f"Separate with {_name(separator)}",
            f"it needs {', '.join(spec.needs)} beside the recording, and none was given",
            "Pass `side`, or use a model that needs the recording alone",
        )


def _name(separator: Separator) -> str:
    return type(separator).__name__


@dataclass(frozen=True)
class _Chunk:
    index: int
    wide: Samples  # at the recording's rate, [C, span]
    heard: Samples  # at the model's rate, [C, model_length]


@dataclass(frozen=True)
class _Answer:
    """What the model gave for one chunk, on the CPU and no longer normalised."""

    stems: Samples  # [S, C, model_length]
    latent: Tensor | None
    masks: Tensor | None
    seen: Mapping[str, Tensor]


class _Caller:
    """Calls the model on chunks, on the best rung that works, and checks what comes back."""

    def __init__(
        self,
        separator: Separator,
        ladder: Ladder,
        layout: Plan,
        cancelled: Callable[[], bool],
        side: SideInformation | None,
        inside: bool,
    ) -> None:
        self._separator, self._ladder, self._layout = separator, ladder, layout
        self._cancelled, self._side, self._inside = cancelled, side, inside
        self.state: State = None
        self.scale = 1.0
        self.calls = 0

    def __call__(self, chunks: Sequence[_Chunk]) -> list[_Answer]:
        """The answers to all chunks, or none if another rung has to be tried with fewer."""
        if self._cancelled():
            raise Cancelled("Separate a recording", "it was cancelled", "Start again when you like")
        device = self._ladder.device
        mixture = torch.from_numpy(np.stack([chunk.heard for chunk in chunks]))
        try:
            with self._ladder.ready():
                estimate = adapt.estimate(
                    self._separator,
                    mixture.to(device) / self.scale,
                    to_device(self._side_of(chunks), device),
                    to_device(self.state, device),
                    inside=self._inside,
                )
            stems = (estimate.stems.float() * self.scale).cpu()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            estimate = None  # and leave the handler: the error's traceback holds the tensors of the failed call
        if estimate is None:
            self._ladder.down()
            return []
        if self._ladder.precision.startswith("fp16") and not torch.isfinite(stems).all():
            self._ladder.to_full_precision()
            return []
        self._check(stems, mixture, chunks)
        self.state = estimate.state if self._separator.spec.stateful else None
        self.calls += 1
        latent, masks, seen = to_device((estimate.latent, estimate.masks, estimate.seen), torch.device("cpu"))
        masks = None if masks is None else masks.float()
        return [
            _Answer(
                stem,
                None if latent is None else latent[i],
                None if masks is None else masks[i],
                {name: each[i].float() for name, each in seen.items()},
            )
            for i, stem in enumerate(stems.numpy())
        ]

    def _side_of(self, chunks: Sequence[_Chunk]) -> dict[str, Tensor]:
        if self._side is None:
            return {}
        layout, side = self._layout, self._side
        each = [side(layout.to_model(layout.start(chunk.index)), layout.model_length) for chunk in chunks]
        return {name: torch.stack([given[name] for given in each]) for name in each[0]}

    def _check(self, stems: Tensor, mixture: Tensor, chunks: Sequence[_Chunk]) -> None:
        batch, channels, length = mixture.shape
        expected = (batch, len(self._separator.spec.sources), channels, length)
        if stems.shape != expected:
            raise ModelError(
                f"Separate with {_name(self._separator)}",
                f"it gave {tuple(stems.shape)} instead of {expected}",
                "Correct the model: [batch, source, channel, sample], as long as its input",
            )
        if torch.isfinite(stems.sum()):
            return
        for chunk, stem in zip(chunks, stems, strict=True):
            finite = torch.isfinite(stem).all(dim=0).all(dim=0)
            if not finite.all():
                position = int((~finite).nonzero()[0])
                start = self._layout.to_model(self._layout.start(chunk.index))
                seconds = max(0.0, (start + position) / self._layout.model_rate)
                raise ModelError(
                    f"Separate with {_name(self._separator)}",
                    f"it gave NaN or infinity at {seconds:.2f} s",
                    "Try full precision, another segment length or another model",
                )


class _Stream:
    """What happens to the answers, in order: matched, brought back, joined, delivered, written."""

    def __init__(
        self,
        separator: Separator,
        reader: Reader,
        layout: Plan,
        sinks: Mapping[str, Sink],
        options: Options,
        observers: Sequence[Observer],
    ) -> None:
        spec = separator.spec
        self._layout, self._sinks, self._options, self._observers = layout, sinks, options, observers
        self._sources = spec.sources
        stitched = spec.permutation_invariant and not spec.stateful  # a state keeps the order
        self._stitcher = Stitcher(len(spec.sources), layout) if stitched else None
        self._joiner = Joiner(layout.fade)
        self._mixture_tail: Samples | None = None
        self._written = 0
        self.done = 0
        self.peak = 0.0
        self.uncertain: list[float] = []

    def take(self, chunk: _Chunk, answer: _Answer) -> None:
        pieces = self._pieces_of(chunk, answer)
        stems = arranged(answer.stems, pieces) if pieces else answer.stems
        for observer in self._observers:
            observer.chunk(self._view(chunk, answer, stems, pieces))
        raw = to_recording(stems, chunk.heard, chunk.wide, self._layout, full_band=self._options.band == "full")
        mixture = chunk.wide[:, self._layout.kept]
        self._write(self._joiner.push(raw), mixture[:, : self._layout.stride])
        self._mixture_tail = mixture[:, self._layout.stride :]
        self.done += 1

    def finish(self) -> None:
        assert self._mixture_tail is not None, "finish before take"
        self._write(self._joiner.flush(), self._mixture_tail)

    def _pieces_of(self, chunk: _Chunk, answer: _Answer) -> list[Piece]:
        if self._stitcher is None:
            return []
        layout = self._layout
        pieces = self._stitcher.pieces(answer.stems)
        for piece in pieces:
            if not piece.sure:
                into = max(0, piece.start - layout.to_model(layout.context)) / layout.model_rate
                self.uncertain.append(chunk.index * layout.stride / layout.sample_rate + into)
        return pieces

    def _view(self, chunk: _Chunk, answer: _Answer, stems: Samples, pieces: list[Piece]) -> ChunkView:
        layout = self._layout
        first = layout.to_model(layout.context)
        fade = layout.fade * layout.model_rate // layout.sample_rate
        masks, seen = answer.masks, answer.seen
        if pieces:
            masks = None if masks is None else torch.from_numpy(arranged(masks.numpy(), pieces))
            seen = {name: torch.from_numpy(arranged(each.numpy(), pieces)) for name, each in seen.items()}
        return ChunkView(
            layout.to_model(layout.start(chunk.index)),
            slice(first, first + layout.to_model(layout.stride) + fade),
            torch.from_numpy(chunk.heard),
            torch.from_numpy(stems),
            answer.latent,
            masks,
            seen,
        )

    def _write(self, raw: Samples, mixture: Samples) -> None:
        """Deliver the next samples; what the last chunk's padding gave is cut off."""
        count = min(raw.shape[-1], self._layout.length - self._written)
        if count <= 0:
            return
        tracks = deliver(raw[..., :count], mixture[:, :count], self._sources, consistency=self._options.consistency)
        for name, sink in self._sinks.items():
            self.peak = max(self.peak, float(tracks[name].max()), -float(tracks[name].min()))
            sink.write(tracks[name])
        self._written += count
