"""`training.json` of a model folder: how the loss and the validation went, step by step. Optional, small, and only numbers.

The figure on a model's card is drawn from it. It is no part of `config.json`, which people read and write; and not the
log of a run, which has more (`separation.training.loop`).
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from separation.errors import ConfigError
from separation.hub.card import Card, Text

TRAINING = "training.json"
LIMIT = 1_000_000
"""Bytes of the file."""
MOST_POINTS = 5000
"""Of one curve: more than any screen shows."""

Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MOST_POINTS)]
Values = tuple[float | None, ...]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Curve(_Part):
    """Values at rising steps.

    Args:
        name: what is measured, for people, e.g. ``"SI-SDR gain"``.
        unit: ``""`` if it has none.
        steps: of the optimiser, rising.
        values: one a step; None where there was no finite one.
        errors: standard errors of the values, or None where they are not known.
    """

    name: Text
    unit: str
    steps: Steps
    values: Values
    errors: Values | None = None

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps must rise")
        if len(self.values) != len(self.steps):
            raise ValueError(f"{len(self.values)} values for {len(self.steps)} steps")
        if self.errors is not None and len(self.errors) != len(self.steps):
            raise ValueError(f"{len(self.errors)} errors for {len(self.steps)} steps")
        return self


class LearningCurves(_Part):
    """The file.

    Args:
        loss: of training; lower is better.
        validation: on examples that were not trained on; higher is better.
        step: at which the weights of the folder were taken.
    """

    format: Literal["earshot-training/1"] = "earshot-training/1"
    loss: Curve
    validation: Curve
    step: Annotated[int, Field(ge=0)]


def read_curves(card: Card) -> LearningCurves | None:
    """The learning curves of a model on this disk; None where the folder holds none.

    Raises:
        ConfigError: the file is too large, or breaks the schema; says where.
    """
    path = card.origin.folder / TRAINING
    if not path.is_file():
        return None
    asked = f"Read {TRAINING} of {card.origin.name}"
    if path.stat().st_size > LIMIT:
        raise ConfigError(asked, f"it has {path.stat().st_size:,} bytes", f"Write at most {LIMIT:,}")
    return parse_curves(path, asked)


def parse_curves(path: Path, asked: str) -> LearningCurves:
    """Check a file.

    Args:
        asked: what somebody wanted, for messages.

    Raises:
        ConfigError: not JSON, or not of this schema.
    """
    try:
        return LearningCurves.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        rest = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ConfigError(
            asked, "; ".join(problems[:3]) + rest, "Export the run again, or delete the file: it is optional"
        ) from error
