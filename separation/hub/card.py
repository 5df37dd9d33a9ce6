"""`config.json` of a model folder, as a schema: what a model is, what it may be used for, and what it is bad at.

Strict on purpose: a misspelt field, a licence left out or a score without its data set is an error that names the field
and what is allowed there. The schema describes; it builds nothing and reads no weights (`separation.hub.folder` does).
"""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from separation.errors import ConfigError
from separation.models import ARCHITECTURES

FORMAT = "earshot/1"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
README = "README.md"

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Score(_Part):
    """One measured number; `interval` is its low and high end, e.g. of a 95 % bootstrap over clips."""

    metric: Text
    value: float
    unit: Text
    interval: tuple[float, float] | None
    data: Text
    command: Text | None
    note: Text | None

    @field_validator("interval")
    @classmethod
    def _ordered(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        if interval is not None and interval[0] > interval[1]:
            raise ValueError("the low end comes first")
        return interval


class Training(_Part):
    """How the weights came about, so that they can be made again."""

    recipe: dict[str, JsonValue] | None
    commit: Text | None
    seconds_of_audio: Annotated[float, Field(ge=0)] | None


class Weights(_Part):
    """The one weights file: always safetensors, which holds numbers and nothing that runs."""

    file: Literal["model.safetensors"]
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    parameters: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Origin:
    """Where a card was read from.

    Args:
        name: opens exactly this model again, e.g. ``"vocals"`` or ``"owner/name@COMMIT"``.
        folder: holds the files.
        revision: the commit hash on the Hub that was used; None for folders and bundled models.
        notes: what the user should know, e.g. that the Hub was out of reach and a cached copy serves.
    """

    name: str
    folder: Path
    revision: str | None = None
    notes: tuple[str, ...] = ()


class Card(_Part):
    """A model's `config.json`, field by field. `origin` is not part of the file; it is set by whoever read it."""

    format: Literal["earshot/1"]
    architecture: Text
    arguments: dict[str, JsonValue]
    name: ModelName
    title: Text
    summary: Text
    task: Literal["vocals", "instruments", "speakers", "speech", "sounds"]
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    sample_rate: Annotated[int, Field(gt=0)]
    licence: Text
    citation: Text
    authors: tuple[Text, ...] = ()
    trained_on: tuple[Text, ...]
    scores: tuple[Score, ...]
    weaknesses: tuple[Text, ...]
    training: Training | None
    weights: Weights | None
    _origin: Origin | None = PrivateAttr(default=None)

    @field_validator("architecture")
    @classmethod
    def _on_the_list(cls, architecture: str) -> str:
        if architecture not in ARCHITECTURES:
            raise ValueError(f"only {', '.join(sorted(ARCHITECTURES))} may be built")
        return architecture

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if self.weights is not None and not self.weaknesses:
            raise ValueError("weaknesses: weights need at least one sentence on what they are bad at")
        return self

    @property
    def origin(self) -> Origin:
        assert self._origin is not None, "cards outside this room always have an origin"
        return self._origin

    def with_origin(self, origin: Origin) -> Self:
        card = self.model_copy()
        card._origin = origin
        return card


_PARTS: dict[str, type[BaseModel]] = {"scores": Score, "training": Training, "weights": Weights}


def parse(text: str, where: str) -> Card:
    """Check the text of a `config.json`.

    Args:
        where: names the file in messages.

    Raises:
        ConfigError: not JSON, not ours, or fields that break the schema: all of them, by name, with what is allowed.
    """
    asked = f"Read {where}"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(asked, f"it is not JSON ({error})", "Compare it with docs/models.md") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        label = found.get("format") if isinstance(found, dict) else None
        raise ConfigError(
            asked,
            f"its format is {_short(label)}, not {FORMAT!r}: it is not a model for this app",
            "Choose a model made for Earshot, or write its config.json as docs/models.md says",
        )
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors(include_url=False))
        raise ConfigError(asked, problems, "Correct these fields; docs/models.md lists them all") from error


def _problem(detail: Any) -> str:
    """One line a field: its name, what is wrong, what is allowed, what was there."""
    field = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{field}: missing"
    if detail["type"] == "extra_forbidden":
        part = _PARTS.get(str(detail["loc"][0]), Card) if len(detail["loc"]) > 1 else Card
        allowed = sorted(part.model_fields)
        near = difflib.get_close_matches(str(detail["loc"][-1]), allowed, n=1)
        return f"{field}: not a field" + (f" (is {near[0]} meant?)" if near else f" (allowed: {', '.join(allowed)})")
    message = detail["msg"].removeprefix("Value error, ")
    return f"{field}: {message} (found {_short(detail['input'])})" if field else message


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
