"""What is kept of a rating: the trial that was served, and the events that say what a listener did.

There are three kinds of trial: "rating" (of a separation), "study" (a page of a listening test) and "compare" (a blind
comparison). A trial never changes and is made when it is *served*, so that it records what was really heard. Events are only
ever added; their ids are made by the client, so that sending one twice is harmless. Everything people see of ratings is
computed from events (`views`). There are no names and no addresses: a listener is a random id that a browser keeps.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from separation.errors import RatingError

SCALES = ("overall", "target", "others", "artefacts")
"""Overall quality; the target is preserved; other sounds are suppressed; no artefacts. 1 (bad) to 5 (excellent)."""
LABELS = ("bleed", "musical noise", "muffled", "gap", "phasey", "wrong source", "other")
MAX_PAYLOAD = 16 * 1024  # bytes of JSON
_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
_LATEST = 4_102_444_800_000  # ms: the year 2100; a clock beyond it is broken

Seconds = Annotated[float, Field(ge=0, le=360_000, allow_inf_nan=False)]
Hertz = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Token = Annotated[str, Field(pattern=_ID.pattern)]


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(_Payload):
    """A value on a scale for one stem; None takes it back."""

    kind: Literal["answer"] = "answer"
    stem: Name
    scale: Literal["overall", "target", "others", "artefacts"]
    value: Annotated[int, Field(ge=1, le=5)] | None


class Mark(_Payload):
    """Something heard in a region: seconds from the start of what was served, and Hz if it is in one band."""

    kind: Literal["mark"] = "mark"
    mark: Annotated[str, Field(pattern=_ID.pattern)]
    stem: Name
    start: Seconds
    end: Seconds
    label: Literal["bleed", "musical noise", "muffled", "gap", "phasey", "wrong source", "other"]
    severity: Annotated[int, Field(ge=1, le=3)]
    band_hz: tuple[Hertz, Hertz] | None = None

    @model_validator(mode="before")
    @classmethod
    def _band_from_json(cls, value: Any) -> Any:
        """JSON has no tuples, and strict validation would refuse a list."""
        if isinstance(value, dict) and isinstance(value.get("band_hz"), list):
            return {**value, "band_hz": tuple(value["band_hz"])}
        return value

    @model_validator(mode="after")
    def _in_order(self) -> "Mark":
        if self.end <= self.start:
            raise ValueError(f"a mark from {self.start} s to {self.end} s holds nothing")
        if self.band_hz is not None and self.band_hz[1] <= self.band_hz[0]:
            raise ValueError(f"a band from {self.band_hz[0]} Hz to {self.band_hz[1]} Hz holds nothing")
        return self


class Unmark(_Payload):
    """Take a mark back."""

    kind: Literal["unmark"] = "unmark"
    mark: Annotated[str, Field(pattern=_ID.pattern)]


class Comment(_Payload):
    """Words about a stem, or about all if it is None."""

    kind: Literal["comment"] = "comment"
    stem: Name | None = None
    text: Annotated[str, Field(max_length=4000)]


class Consent(_Payload):
    """May the audio and the rating be kept, and used to train models?"""

    kind: Literal["consent"] = "consent"
    training: bool


class Heard(_Payload):
    """How long each track sounded since the last such event, in which mode, and what could be seen of the model meanwhile.

    Modes overlap: ``solo`` while nothing else sounded, ``loop`` while a region was looped. ``other take`` is not part of
    `seconds`: it is how long the same track of the other version sounded that the page offered for comparison.
    """

    kind: Literal["heard"] = "heard"
    seconds: Annotated[dict[Name, Seconds], Field(max_length=64)]
    modes: dict[Literal["solo", "loop", "other take"], Annotated[dict[Name, Seconds], Field(max_length=64)]] = {}
    saw_model: bool
    saw_metrics: bool
    saw_views: bool

    @model_serializer(mode="wrap")
    def _without_empty_modes(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Pages of an earlier version send none: what they sent is what is stored."""
        fields: dict[str, Any] = serialise(self)
        return fields if self.modes else {name: value for name, value in fields.items() if name != "modes"}


class Given(_Payload):
    """What was put into a field of a page: the last one counts, and None takes it back.

    Args:
        field: its name on that page.
        of: token of the sound it is about; None where it is about the page.
        value: whatever the field takes.
    """

    kind: Literal["given"] = "given"
    field: Name
    of: Token | None = None
    value: JsonValue = None

    @model_validator(mode="after")
    def _finite(self) -> "Given":
        if not _is_plain(self.value):
            raise ValueError("a value holds what JSON does not know, or is nested too deep")
        return self


class Did(_Payload):
    """Something a listener did that is no answer: what screening and audits read.

    Args:
        what: ``heard`` (``detail.seconds``: how long the sound `of` sounded since the last such event; what rules about
            playing and `Answer.played` count), ``play``, ``pause``, ``switch`` (to `of`), ``seek``, ``loop``, ``move`` (a
            control of `of`), ``blur``, ``focus``, ``underrun``, ``device``, ``level``, ``view``, or another word.
        of: token of a sound.
        at: seconds from the start of the sound.
        detail: more of it, by name.
    """

    kind: Literal["did"] = "did"
    what: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    of: Token | None = None
    at: Seconds | None = None
    detail: Annotated[dict[Name, str | float | int | bool | None], Field(max_length=32)] = {}

    @model_validator(mode="after")
    def _finite(self) -> "Did":
        if not _is_plain(dict(self.detail)):
            raise ValueError("a detail is none that JSON knows")
        return self


class Finished(_Payload):
    """The listener went on from this page: what comes later does not count."""

    kind: Literal["finished"] = "finished"


Payload = Answer | Mark | Unmark | Comment | Consent | Heard | Given | Did | Finished
_PAYLOAD: TypeAdapter[Payload] = TypeAdapter(Annotated[Payload, Field(discriminator="kind")])


@dataclass(frozen=True)
class Event:
    """What a listener did.

    Args:
        id: made by the client, 8 to 64 letters, digits, ``_`` or ``-``.
        made: milliseconds since 1970 by the client's clock; it only orders the events of a trial.
        payload: what was done.

    Raises:
        RatingError: the id or the time is impossible.
    """

    id: str
    made: int
    payload: Payload

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise RatingError("Save a rating", f"its id is {self.id[:80]!r}", "Use 8 to 64 letters, digits, _ or -")
        if not 0 <= self.made <= _LATEST:
            raise RatingError("Save a rating", f"it was made at {self.made} ms", "Check the clock of this computer")

    @property
    def content(self) -> str:
        """The payload as canonical JSON: equal for equal payloads."""
        return canonical(self.payload.model_dump(mode="json"))


@dataclass(frozen=True)
class Trial:
    """What was served to one listener, once.

    Args:
        id: hash of the capability token; public.
        listener: a random id that the browser keeps.
        kind: "rating", "study" or "compare".
        made: seconds since 1970, by the server.
        served: everything needed to serve it again: model, weights hash, edits, gains, seed, version, what was hidden.
        clips: ids of the audio by role (``mixture``, ``stem:vocals``, …).
    """

    id: str
    listener: str
    kind: str
    made: float
    served: Mapping[str, Any]
    clips: Mapping[str, str]

    @property
    def subject(self) -> str | None:
        """What it is a trial of, the same for every listener: ``job`` of what was served."""
        job = self.served.get("job")
        return job[:64] if isinstance(job, str) else None


def parse_event(data: object) -> Event:
    """An event from what a client sent: ``{"id", "made", "payload": {"kind": …}}``.

    Raises:
        RatingError: it is not one; every problem is named.
    """
    asked = "Save a rating"
    if not isinstance(data, dict) or set(data) != {"id", "made", "payload"}:
        raise RatingError(asked, "an event has an id, a time (made) and a payload, and nothing else", "Reload the page")
    if not isinstance(data["id"], str) or not isinstance(data["made"], int) or isinstance(data["made"], bool):
        raise RatingError(asked, "the id must be text and the time a whole number of milliseconds", "Reload the page")
    try:
        payload = _PAYLOAD.validate_python(data["payload"])
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise RatingError(asked, problems, "Correct it and send it again; nothing was saved") from error
    event = Event(data["id"], data["made"], payload)
    if len(event.content.encode()) > MAX_PAYLOAD:
        raise RatingError(asked, f"it holds more than {MAX_PAYLOAD // 1024} kB", "Shorten the comment")
    return event


def _is_plain(value: object, depth: int = 8) -> bool:
    """Whether JSON and a database can say it: numbers that are some, whole characters, not deeper than `depth`."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(each, depth - 1) for each in inner)
    if isinstance(value, str):
        return not any("\ud800" <= each <= "\udfff" for each in value)
    return not isinstance(value, float) or math.isfinite(value)


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
