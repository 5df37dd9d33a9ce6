"""What the engine is told and what it tells: `Options`, `Sink`, `Progress`, `Report`.

Small frozen records without behaviour; they can be written as JSON. Nothing here knows a model or a file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from torch import Tensor

from separation.errors import JobError
from separation.signals import Samples

Precision = Literal["auto", "fp32", "fp16", "fast"]
Band = Literal["full", "model"]

RESIDUAL = "residual"
"""The track of mixture minus the sum of the raw estimates."""

SideInformation = Callable[[int, int], Mapping[str, Tensor]]
"""``side(start, length)``, in samples at the *model's* rate, start may be negative and the end lie past the recording:
what the model needs for that stretch, by name, without a batch axis."""


def together(one: SideInformation | None, other: SideInformation) -> SideInformation:
    """What both tell."""
    if one is None:
        return other
    return lambda start, length: {**one(start, length), **other(start, length)}


@dataclass(frozen=True)
class Options:
    """How the engine runs; how a model sounds is not decided here, but for `consistency` and `band`.

    Args:
        device: ``"auto"`` (CUDA, else MPS, else CPU) or a name that torch knows.
        precision: ``"fp32"``; ``"fp16"`` (autocast, CUDA only); ``"fast"``: fp16 and compiled by `torch.compile`, which
            takes its time at a model's first chunk; ``"auto"``: fp32, with TF32 products where CUDA has them.
        batch: chunks per model call; None: 1 on CPU and MPS, 8 on CUDA, fewer when its memory is short.
        consistency: the delivered stems add up to the mixture. False: the estimates as the model gave them.
        band: ``"full"``: what lies above the model's band is shared among the sources; ``"model"``: it is left to the
            residual.
        segment: seconds of audio per chunk, context included, instead of the model's own.
        fade: seconds over which two chunks are cross-faded.

    Raises:
        JobError: a value is out of its range.
    """

    device: str = "auto"
    precision: Precision = "auto"
    batch: int | None = None
    consistency: bool = True
    band: Band = "full"
    segment: float | None = None
    fade: float = 0.1

    def __post_init__(self) -> None:
        problems = []
        if self.precision not in get_args(Precision):
            problems.append(f"a precision of {self.precision!r} ({', '.join(get_args(Precision))})")
        if self.batch is not None and self.batch < 1:
            problems.append(f"a batch of {self.batch} (1 or more)")
        if self.band not in ("full", "model"):
            problems.append(f"a band of {self.band!r} (full or model)")
        if self.segment is not None and not 0 < self.segment < float("inf"):
            problems.append(f"a segment of {self.segment} s (more than 0)")
        if not 0 <= self.fade < float("inf"):
            problems.append(f"a fade of {self.fade} s (0 or more)")
        if problems:
            raise JobError("Set up a separation", ", ".join(problems), "Use values in the ranges given in brackets")


class Sink(Protocol):
    """Where a track goes. The engine writes in order and without gaps; it neither opens nor closes."""

    def write(self, block: Samples) -> None:
        """Take the next samples, float32 ``[C, T]``."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a run is; told after every model call.

    Args:
        done: chunks finished.
        total: chunks in all.
        elapsed: seconds since the start.
        remaining: seconds still to go at the pace so far.
    """

    done: int
    total: int
    elapsed: float
    remaining: float

    @property
    def fraction(self) -> float:
        """Finished part in [0, 1]."""
        return self.done / self.total


@dataclass(frozen=True)
class Report:
    """What happened in a run.

    Args:
        tracks: names of the tracks that were written.
        sample_rate: Hz of the tracks; the recording's.
        channels: of every track; the recording's.
        length: samples per channel; the recording's.
        chunks: how many the recording was cut into.
        calls: model calls that gave a result.
        minimal_calls: calls that chunks of the model's segment and context would need if nothing else overlapped:
            ``ceil(ceil(length / (segment - 2 context)) / batch)``. `calls` over this is the price of fades and of
            everything that made the batch smaller.
        hop: seconds of audio that one chunk added.
        device: where the last call ran.
        precision: ``"fp32"``, ``"tf32"`` or ``"fp16"``, as used by the last call.
        seconds: the run took.
        peak: greatest absolute sample of the written tracks; 1.0 is full scale.
        gain: at most 1; with this one common gain no written track clips. It was not applied.
        uncertain_boundaries: seconds at which the order of a permutation-invariant model's sources could not be told.
        messages: sentences for the user: what was done differently from what was asked, and why.
    """

    tracks: tuple[str, ...]
    sample_rate: int
    channels: int
    length: int
    chunks: int
    calls: int
    minimal_calls: int
    hop: float
    device: str
    precision: str
    seconds: float
    peak: float
    gain: float
    uncertain_boundaries: tuple[float, ...]
    messages: tuple[str, ...]
