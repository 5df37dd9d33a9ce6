"""Finding ratings again: every trial as it stands, filtered, sorted and counted, for whoever owns the store.

The lines are read once and kept until the store has changed. Everything here looks and nothing changes: what listeners may do
is in `store`, what the numbers mean in `standings` and `marks`.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from separation.errors import RatingError
from separation.ratings.clips import ClipStore
from separation.ratings.export import UNKNOWN, entries
from separation.ratings.records import LABELS, SCALES, Answer, Mark, Trial
from separation.ratings.store import Store
from separation.ratings.views import Said, said


@dataclass(frozen=True)
class Line:
    """A trial and what stands of it.

    Args:
        trial: as it was served.
        said: answers and marks, each with whether it was given blind.
        comments: text by stem, None for all of it; no empty ones.
        training: consent to training use; None if not answered.
        seconds: heard, by track.
        events: how many there are.
    """

    trial: Trial
    said: tuple[Said, ...]
    comments: Mapping[str | None, str]
    training: bool | None
    seconds: Mapping[str, float]
    events: int

    @property
    def model(self) -> str:
        return text_of(self.trial, "model") or UNKNOWN

    @property
    def answers(self) -> list[tuple[Answer, bool]]:
        """Each with whether it was given blind."""
        return [(one.payload, one.blind) for one in self.said if isinstance(one.payload, Answer)]

    @property
    def marks(self) -> list[tuple[Mark, bool]]:
        """Each with whether it was made blind."""
        return [(one.payload, one.blind) for one in self.said if isinstance(one.payload, Mark)]

    @property
    def empty(self) -> bool:
        """Nothing was said, whatever was heard."""
        return not (self.said or self.comments)

    def has_audio(self, clips: ClipStore) -> bool:
        """Whether all that was heard is kept."""
        return bool(self.trial.clips) and all(clip in clips for clip in self.trial.clips.values())


@dataclass(frozen=True)
class Filter:
    """What is looked for; what is left out does not matter. All that is given must hold.

    Args:
        model, kind, listener: of the trial.
        stem: one that something was said of.
        scale: with an answer on it.
        low, high: with an answer (on that scale, of that stem) from `low` to `high`.
        label: with such a mark (on that stem).
        blind: with an answer or a mark of those that was given blind.
        consented: may be used for training.
        audio: what was heard is kept.
        empty: those in which nothing was said, too.
        since, until: served from then on, and before then; seconds since 1970.
        text: in a comment or the name of the recording, in whatever case.
    """

    model: str | None = None
    kind: str | None = None
    listener: str | None = None
    stem: str | None = None
    scale: str | None = None
    low: int = 1
    high: int = 5
    label: str | None = None
    blind: bool = False
    consented: bool = False
    audio: bool = False
    empty: bool = False
    since: float | None = None
    until: float | None = None
    text: str = ""

    def holds(self, line: Line, clips: ClipStore) -> bool:
        """Whether a line is looked for. Whether audio is kept is asked last, because that looks at files."""
        return (
            (self.empty or not line.empty)
            and self._trial_fits(line)
            and self._said_fits(line)
            and self._text_fits(line)
            and (line.training is True or not self.consented)
            and (not self.audio or line.has_audio(clips))
        )

    def _trial_fits(self, line: Line) -> bool:
        trial = line.trial
        wanted = (self.model, line.model), (self.kind, trial.kind), (self.listener, trial.listener)
        return (
            all(asked is None or asked == found for asked, found in wanted)
            and (self.since is None or trial.made >= self.since)
            and (self.until is None or trial.made < self.until)
        )

    def _said_fits(self, line: Line) -> bool:
        answers = [
            (answer, blind)
            for answer, blind in line.answers
            if self._of_stem(answer.stem)
            and self.scale in (None, answer.scale)
            and self.low <= (answer.value or 0) <= self.high
        ]
        marks = [(mark, b) for mark, b in line.marks if self._of_stem(mark.stem) and self.label in (None, mark.label)]
        by_answer, by_mark = self.scale is not None or (self.low, self.high) != (1, 5), self.label is not None
        if (by_answer and not answers) or (by_mark and not marks):
            return False
        if self.blind:
            said = [*(answers if by_answer or not by_mark else ()), *(marks if by_mark or not by_answer else ())]
            return any(blind for _, blind in said)
        return self.stem is None or bool(answers or marks or self.stem in line.comments)

    def _of_stem(self, stem: str) -> bool:
        return self.stem in (None, stem)

    def _text_fits(self, line: Line) -> bool:
        wanted = self.text.casefold()
        texts = (*line.comments.values(), text_of(line.trial, "name") or "")
        return not wanted or any(wanted in text.casefold() for text in texts)


SORTS: Mapping[str, Callable[[Line], Any]] = {
    "served": lambda line: line.trial.made,
    "model": lambda line: line.model.casefold(),
    "name": lambda line: (text_of(line.trial, "name") or "").casefold(),
    "overall": lambda line: _mean(answer.value for answer, _ in line.answers if answer.scale == "overall"),
    "marks": lambda line: len(line.marks),
    "heard": lambda line: sum(line.seconds.values()),
}
"""What a list can be sorted by. A line without an overall answer is below all others."""


class Catalogue:
    """All lines of a store, oldest first.

    Args:
        store: where they are.
        clips: the audio that is kept.
    """

    def __init__(self, store: Store, clips: ClipStore) -> None:
        self._store, self._clips = store, clips
        self._lock = threading.Lock()
        self._at: Mapping[str, int] = {}
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        """As the store is now. Trials and events are only added, and withdrawals are counted: equal counts, nothing changed."""
        with self._lock:
            now = self._store.count("rating")
            if now != self._at:
                self._lines = [_line(*entry) for entry in entries(self._store)]
                self._at = now  # the counts were taken before: what came in between is read again next time
            return self._lines

    def version(self) -> tuple[int, ...]:
        """Changes when the store has."""
        return tuple(self._store.count("rating").values())

    def find(
        self, wanted: Filter, *, sort: str = "served", descending: bool = True, start: int = 0, count: int = 50
    ) -> tuple[int, list[Line]]:
        """How many lines there are, and some of them from `start` on.

        Raises:
            RatingError: there is no such order.
        """
        if sort not in SORTS:
            raise RatingError("Sort the ratings", f"there is no order {sort[:40]!r}", f"Choose from {', '.join(SORTS)}")
        found = [line for line in self.lines() if wanted.holds(line, self._clips)]
        found.sort(key=SORTS[sort], reverse=descending)
        return len(found), found[start : start + count]

    def choices(self) -> dict[str, list[str]]:
        """What a filter can name."""
        lines = self.lines()
        stems = {one.payload.stem for line in lines for one in line.said}
        return {
            "models": sorted({line.model for line in lines}),
            "kinds": sorted({line.trial.kind for line in lines}),
            "stems": sorted(stems | {stem for line in lines for stem in line.comments if stem is not None}),
            "scales": list(SCALES),
            "labels": list(LABELS),
        }


@dataclass(frozen=True)
class Overview:
    """How much there is.

    Args:
        trials: served and not withdrawn.
        rated: with something said.
        listeners: who said it.
        events: of all trials.
        withdrawn: trials that are no more.
        consented, declined: rated ones whose listener said yes, or no, to training use; the others did not answer.
        audio: rated ones whose audio is kept.
        blind: share of answers that were given blind, None without any.
        hours: heard, over all tracks.
        scales: answers from 1 to 5 on each scale.
        marks: by label.
        comments: how many stand.
        days: rated trials by the day (UTC) on which they were served, from the first to the last, gaps left out.
    """

    trials: int
    rated: int
    listeners: int
    events: int
    withdrawn: int
    consented: int
    declined: int
    audio: int
    blind: float | None
    hours: float
    scales: dict[str, list[int]]
    marks: dict[str, int]
    comments: int
    days: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def overview(lines: Sequence[Line], clips: ClipStore, *, withdrawn: int) -> Overview:
    """Count lines."""
    rated = [line for line in lines if not line.empty]
    answers = [one for line in rated for one in line.answers]
    values = Counter[tuple[str, int | None]]((answer.scale, answer.value) for answer, _ in answers)
    marks = Counter[str](mark.label for line in rated for mark, _ in line.marks)
    days = Counter(datetime.fromtimestamp(line.trial.made, UTC).date().isoformat() for line in rated)
    return Overview(
        trials=len(lines),
        rated=len(rated),
        listeners=len({line.trial.listener for line in rated}),
        events=sum(line.events for line in lines),
        withdrawn=withdrawn,
        consented=sum(line.training is True for line in rated),
        declined=sum(line.training is False for line in rated),
        audio=sum(line.has_audio(clips) for line in rated),
        blind=sum(blind for _, blind in answers) / len(answers) if answers else None,
        hours=sum(sum(line.seconds.values()) for line in lines) / 3600,
        scales={scale: [values[scale, value] for value in range(1, 6)] for scale in SCALES},
        marks={label: marks[label] for label in LABELS},
        comments=sum(len(line.comments) for line in rated),
        days=dict(sorted(days.items())),
    )


def text_of(trial: Trial, name: str) -> str | None:
    """What a trial says under a name, if that is text."""
    value = trial.served.get(name)
    return value if isinstance(value, str) else None


def clip_start(trial: Trial) -> float | None:
    """Where the clips of a trial begin, in seconds from the start of what was served; None if it does not say."""
    clip, rate = trial.served.get("clip"), trial.served.get("sample_rate")
    return clip["start"] / rate if isinstance(clip, Mapping) and rate else None


def _line(trial: Trial, stored: Any, rating: Any) -> Line:
    comments = {stem: text for stem, text in rating.comments.items() if text}
    standing = tuple(said(one.event for one in stored))
    return Line(trial, standing, comments, rating.training, rating.seconds, rating.events)


def _mean(values: Iterable[int | None]) -> float:
    given = [value for value in values if value is not None]
    return sum(given) / len(given) if given else 0.0
