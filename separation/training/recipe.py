"""A recipe: everything that decides a training run, in one frozen record that is saved with the weights."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from separation.errors import DataError

PRECISIONS = ("no", "bf16")


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Args:
        name: also the bundled model's name.
        architecture, arguments: what is built (see `models.ARCHITECTURES`).
        data: which mixers (see `DATA`).
        losses: weights by name (see `training.losses.LOSSES`).
        intermediate: the same for the model's intermediate output (deep supervision).
        objective: "estimates", or "latent" for the second of the two steps (see `training.objectives`).
        frozen: beginnings of the names of parameters that stay as they are.
        length: samples of an example.
        batch: examples a step.
        steps: optimiser steps in all.
        decay: steps of linear decay to zero at the end; the rate is constant before (and warmed up at the start), so
            that a run can be made longer without having spent its decay.
        rate: peak learning rate of AdamW.
        ema: decay of the averaged weights; those are validated and shipped.
        precision: "no" or "bf16".
    """

    name: str
    architecture: str
    arguments: dict[str, Any]
    data: str
    losses: dict[str, float]
    length: int
    batch: int
    steps: int
    decay: int
    rate: float = 1e-3
    warmup: int = 200
    weight_decay: float = 1e-2
    clip: float = 5.0
    ema: float = 0.999
    seed: int = 0
    precision: str = "no"
    validate_every: int = 500
    validation_examples: int = 48
    mixing: dict[str, Any] = field(default_factory=dict)
    intermediate: dict[str, float] = field(default_factory=dict)
    objective: str = "estimates"
    frozen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise DataError(
                f"Train in precision {self.precision!r}", "it is not known", f"Use one of {', '.join(PRECISIONS)}"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def with_changes(self, **changes: Any) -> "Recipe":
        return replace(self, **{key: value for key, value in changes.items() if value is not None})
