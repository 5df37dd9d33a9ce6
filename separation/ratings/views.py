"""What a trial's events add up to. Events are never changed; this is where the last word counts.

The result depends on the set of events alone, not on the order in which they arrived.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import singledispatchmethod

from separation.ratings.records import (
    Answer,
    Comment,
    Consent,
    Did,
    Event,
    Finished,
    Given,
    Heard,
    Mark,
    Payload,
    Unmark,
)


@dataclass(frozen=True)
class Rating:
    """What one listener says about one trial, as it stands.

    Args:
        answers: value by ``(stem, scale)``.
        marks: by their id.
        comments: text by stem, None for all of it.
        training: consent to training use; None if never asked or answered.
        seconds: heard seconds by track.
        modes: seconds by mode and track; see `Heard`.
        saw_model, saw_metrics, saw_views: seen at any time before or while rating.
        events: how many there are.
    """

    answers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    comments: Mapping[str | None, str] = field(default_factory=dict)
    training: bool | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    modes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    saw_model: bool = False
    saw_metrics: bool = False
    saw_views: bool = False
    events: int = 0

    @property
    def empty(self) -> bool:
        """Nothing was said yet, whatever was heard."""
        return not (self.answers or self.marks or any(self.comments.values()))


@dataclass(frozen=True)
class Said:
    """An answer or a mark as it stands.

    Args:
        payload: the last word.
        made: when it was said, in milliseconds since 1970 by the client's clock.
        blind: see `said`.
    """

    payload: Answer | Mark
    made: int
    blind: bool


def said(events: Iterable[Event]) -> list[Said]:
    """What stands of the answers and marks of one trial, each with whether it was given blind.

    Blind: something was heard, and no stretch of listening that began before the answer showed the name of the model, a metric
    or a view. A stretch reaches from one ``heard`` event to the next, whatever lies between: a client that wants its answers to
    count as blind sends one before it reveals anything. What was changed after the names were seen is not blind.
    """
    ordered = sorted({event.id: event for event in events}.values(), key=lambda event: (event.made, event.id))
    heard = [event for event in ordered if isinstance(event.payload, Heard)]
    starts = [-1, *(event.made for event in heard)]
    seen = [start for start, event in zip(starts, heard, strict=False) if _saw(event.payload)]
    revealed = min(seen) if seen else None
    standing: dict[tuple[str, str], Said] = {}
    for event in ordered:
        payload = event.payload
        if isinstance(payload, Answer | Mark):
            key = (
                ("answer", f"{payload.stem}/{payload.scale}") if isinstance(payload, Answer) else ("mark", payload.mark)
            )
            blind = bool(heard) and (revealed is None or event.made <= revealed)
            standing.pop(key, None)
            if isinstance(payload, Mark) or payload.value is not None:
                standing[key] = Said(payload, event.made, blind)
        elif isinstance(payload, Unmark):
            standing.pop(("mark", payload.mark), None)
    return list(standing.values())


def _saw(payload: Payload) -> bool:
    return isinstance(payload, Heard) and (payload.saw_model or payload.saw_metrics or payload.saw_views)


def rating_of(events: Iterable[Event]) -> Rating:
    """The rating that `events` of one trial make, in any order; the same event twice counts once."""
    unique = {event.id: event for event in events}
    ordered = sorted(unique.values(), key=lambda event: (event.made, event.id))
    fold = _Fold()
    for event in ordered:
        fold.add(event.payload)
    saw_model, saw_metrics, saw_views = fold.saw
    return Rating(
        fold.answers,
        fold.marks,
        fold.comments,
        fold.training,
        fold.seconds,
        fold.modes,
        saw_model,
        saw_metrics,
        saw_views,
        len(ordered),
    )


class _Fold:
    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], int] = {}
        self.marks: dict[str, Mark] = {}
        self.comments: dict[str | None, str] = {}
        self.training: bool | None = None
        self.seconds: dict[str, float] = {}
        self.modes: dict[str, dict[str, float]] = {}
        self.saw = [False, False, False]

    @singledispatchmethod
    def add(self, payload: Payload) -> None:
        raise TypeError(f"{type(payload).__name__} is no payload")

    @add.register(Given | Did | Finished)
    def _(self, payload: Given | Did | Finished) -> None:
        """Of pages of a study, which are no ratings: `separation.listening.results` reads them."""

    @add.register
    def _(self, payload: Answer) -> None:
        if payload.value is None:
            self.answers.pop((payload.stem, payload.scale), None)
        else:
            self.answers[payload.stem, payload.scale] = payload.value

    @add.register
    def _(self, payload: Mark) -> None:
        self.marks[payload.mark] = payload

    @add.register
    def _(self, payload: Unmark) -> None:
        self.marks.pop(payload.mark, None)

    @add.register
    def _(self, payload: Comment) -> None:
        self.comments[payload.stem] = payload.text

    @add.register
    def _(self, payload: Consent) -> None:
        self.training = payload.training

    @add.register
    def _(self, payload: Heard) -> None:
        _sum(self.seconds, payload.seconds)
        for mode, seconds in payload.modes.items():
            _sum(self.modes.setdefault(mode, {}), seconds)
        now = (payload.saw_model, payload.saw_metrics, payload.saw_views)
        self.saw = [before or seen for before, seen in zip(self.saw, now, strict=True)]


def _sum(total: dict[str, float], more: Mapping[str, float]) -> None:
    for track, seconds in more.items():
        total[track] = total.get(track, 0.0) + seconds
