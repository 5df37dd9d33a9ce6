"""What a separator is: a `Spec`, one method, and for latent separators the inside.

A Protocol, not a base class: anything that answers these calls can be separated with, viewed and edited. Shapes: B
batch, S source, C channel, T sample, N basis function (or frequency bin), K frame.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from separation.errors import ShapeError

State = Any


@dataclass(frozen=True)
class Spec:
    """What the engine must know to run a separator on any file.

    Args:
        sample_rate: Hz of the audio the model hears.
        channels: 1 or 2; None if any number will do.
        sources: names of the outputs, in order.
        segment: seconds of audio per chunk, context included.
        context: seconds on each side of a chunk that are computed and thrown away.
        multiple_of: a chunk's length in samples must be a multiple of this.
        align: chunks begin at multiples of this many samples, so that frames lie where those of one pass would lie.
        permutation_invariant: the order of the outputs is arbitrary, and may flip from chunk to chunk unless a state keeps it.
        normalise: the engine divides the input by the whole file's standard deviation and undoes it on the output.
        needs: side information without which the model cannot run, e.g. ``("pitch",)``.
        stateful: chunks must be run in order, one by one, passing the state on.
        silent_ends: beyond the ends of a recording is silence for the model; else the recording backwards. For what follows a
            voice by what it hears of it: speech that runs backwards is a third voice.
        partial: some of the mixture is meant to be in no source: the engine does not make the estimates add up.
    """

    sample_rate: int
    channels: int | None
    sources: tuple[str, ...]
    segment: float
    context: float
    multiple_of: int = 1
    permutation_invariant: bool = False
    normalise: bool = False
    needs: tuple[str, ...] = ()
    stateful: bool = False
    align: int = 1
    silent_ends: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        object.__setattr__(self, "needs", tuple(self.needs))
        problems = []
        if self.sample_rate <= 0:
            problems.append(f"a sample rate of {self.sample_rate} Hz")
        if self.channels not in (None, 1, 2):
            problems.append(f"{self.channels} channels")
        if len(self.sources) < 1 or len(set(self.sources)) != len(self.sources):
            problems.append(f"sources {self.sources}")
        if not 0 <= 2 * self.context < self.segment:
            problems.append(f"a context of {self.context} s in a segment of {self.segment} s")
        if problems:
            raise ShapeError("Describe a separator", ", ".join(problems), "See models/protocol.py for what is allowed")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@runtime_checkable
class Separator(Protocol):
    """Anything that turns a mixture into estimates."""

    @property
    def spec(self) -> Spec: ...

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        """Mixture ``[B, C, T]`` -> estimates ``[B, S, C, T]`` and the state for the next chunk (None if stateless)."""
        ...


@runtime_checkable
class LatentSeparator(Separator, Protocol):
    """A separator that masks a latent. Law: ``separate(x) == refine(decode(masks(encode(x)) * encode(x)))``."""

    def encode(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` -> latent ``[B, C, N, K]`` (real or complex), any number of channels, each on its own."""
        ...

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        """Latent ``[B, C, N, K]`` -> real masks ``[B, S, C or 1, N, K]``."""
        ...

    def decode(self, latents: Tensor, length: int) -> Tensor:
        """Masked latents ``[B, S, C, N, K]`` -> ``[B, S, C, T]`` with T = `length`."""
        ...

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        """A stage after the mask; the identity for most models. ``[B, S, C, T]`` -> ``[B, S, C, T]``."""
        ...


class Inside(NamedTuple):
    """What a latent separator made on its way.

    Args:
        masks: ``[B, S, C or 1, N, K]``.
        state: for the next chunk; None if stateless.
        seen: what else there is to look at, by name, each ``[B, S, *, K']`` in the order of the masks, K' any number of steps
            over the length of the chunk.
    """

    masks: Tensor
    state: State
    seen: Mapping[str, Tensor]


@runtime_checkable
class InsideSeparator(LatentSeparator, Protocol):
    """A latent separator with more to look at than masks, or one that is stateful: one call gives the masks and the state."""

    def inside(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Inside:
        """Latent ``[B, C, N, K]`` -> what `masks` gives, and what was made on the way."""
        ...


def separate_by_masks(model: LatentSeparator, mixture: Tensor, side: Mapping[str, Tensor], state: State) -> Tensor:
    """The law of latent separators, written once: ``[B, C, T]`` -> ``[B, S, C, T]``."""
    z = model.encode(mixture)
    masked = model.masks(z, side, state) * z.unsqueeze(1)
    return model.refine(model.decode(masked, mixture.shape[-1]), mixture)
