"""Looking over the engine's shoulder: an observer sees every chunk once, in order, and keeps what it wants.

The engine keeps nothing (five minutes of masks are gigabytes): an observer pools or draws, then lets go. Without
observers no latent is computed apart, and with them the tracks are the same by the law of latent separators.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class ChunkView:
    """One chunk as the model saw it; everything at the model's rate, on the CPU, not to be changed.

    Args:
        start: sample of the chunk's first one at the model's rate, context included: negative for the first chunk.
        kept: the part that belongs to this chunk alone or fades into the next; the rest is context.
        mixture: ``[C, T]``, not normalised.
        estimates: ``[S, C, T]``, raw, in the order of the tracks.
        latent: ``[C, N, K]`` of the (normalised) mixture; None if the separator is not a latent one.
        masks: ``[S, C or 1, N, K]`` in the order of the tracks, or None.
        seen: what else the model shows (`models.protocol.Inside`), by name, ``[S, *, K']`` in the order of the tracks.
    """

    start: int
    kept: slice
    mixture: Tensor
    estimates: Tensor
    latent: Tensor | None
    masks: Tensor | None
    seen: Mapping[str, Tensor] = field(default_factory=dict)


class Observer(Protocol):
    """Whoever wants to see the chunks."""

    def chunk(self, view: ChunkView) -> None: ...
