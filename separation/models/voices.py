"""What models have in common that are told the pitch of every voice: the side information, and voices by any name.

Such a model knows nothing of a voice but its pitch. So the same weights serve any number of voices under any names, and what
it separates is decided by whoever brings the pitch tracks. A track is a value in Hz a frame, 0 where the voice is unvoiced;
frame k is centred at sample ``k * pitch_hop`` at the model's rate, so that T samples have ``1 + ceil(T / pitch_hop)`` frames.
Where tracks come from is not decided here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from separation.errors import ShapeError
from separation.models.protocol import LatentSeparator

PITCH = "pitch"
"""What `Spec.needs` names and the side information holds: Hz ``[S, K]`` (``[B, S, K]`` in a batch), as the sources go."""


@runtime_checkable
class PitchSeparator(LatentSeparator, Protocol):
    """A latent separator that is told the pitch of every source."""

    @property
    def pitch_hop(self) -> int:
        """Samples between the frames of a pitch track, at the model's rate."""
        ...


Model = TypeVar("Model", bound=Any)


def with_voices(model: Model, sources: Sequence[str], **arguments: Any) -> Model:
    """The same model, with the same weights, for other voices; in the same mode, on the same device.

    Args:
        model: a `PitchSeparator`, none of whose parameters is about a voice.
        sources: names of the voices, in the order in which their pitch will be given.
        arguments: other than the model's, such as ``seed``.

    Raises:
        ShapeError: no voices, or one twice.
    """
    other: Model = type(model)(**{**model.arguments, "sources": list(sources), **arguments})
    assert other.spec is not None  # made from the arguments on each call, which checks them
    other.load_state_dict(model.state_dict())
    parameter = next(model.parameters(), None)
    other = other if parameter is None else other.to(parameter.device)
    other.train(model.training)
    return other


def pitch_of(model: PitchSeparator, side: Mapping[str, Tensor], batch: int, frames: int) -> Tensor:
    """The pitch ``[B, S, K]`` in the side information.

    Raises:
        ShapeError: there is none, or not of every voice and frame.
    """
    given, expected = side.get(PITCH), (batch, len(model.spec.sources), frames)
    if given is None or tuple(given.shape) != expected:
        raise ShapeError(
            f"Separate with {type(model).__name__}",
            "no pitch" if given is None else f"pitch of shape {tuple(given.shape)}",
            f"Give the pitch of {', '.join(model.spec.sources)} as side['pitch'] in Hz, [batch, voice, frame], a frame every "
            f"{model.pitch_hop} samples: here {expected}",
        )
    return given
