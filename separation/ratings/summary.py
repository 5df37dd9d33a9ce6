"""Counts and means of what people said: how much there is, what it says, and whether listeners agree.

Intervals are over listeners: answers of one person are not independent. This ranks nothing: which clips somebody rated was
up to them, so that the means of two models are of different clips.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from separation.ratings.export import Entry, entries
from separation.ratings.records import LABELS, SCALES, Answer
from separation.ratings.store import Store
from separation.ratings.views import said
from separation.statistics import cluster_bootstrap, ordinal_alpha


@dataclass(frozen=True)
class Scale:
    """Answers on one scale.

    Args:
        answers: how many stand.
        listeners: by how many people.
        mean: of all answers.
        low, high: its 95 % interval over listeners; None for a single one.
    """

    answers: int
    listeners: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """How alike several listeners answered on the same scale for the same clip.

    Args:
        clips: with answers of two listeners or more.
        pairs: of such answers.
        difference: mean absolute difference of a pair, in points.
        within_one: share of pairs that are at most one point apart.
        alpha: `statistics.ordinal_alpha`; None where all answers are the same.
    """

    clips: int
    pairs: int
    difference: float
    within_one: float
    alpha: float | None


@dataclass(frozen=True)
class Summary:
    """What a store holds.

    Args:
        trials: served and not withdrawn.
        rated: of them, with at least one answer, mark or comment.
        raters: listeners of those.
        withdrawn: trials that are no more.
        consented: rated ones whose listener allows training.
        seconds: heard, over all tracks.
        scales: answers by scale; those without any are left out.
        models: the same by model.
        marks: by label, all labels.
        blind: share of answers that were given blind; None without answers.
        agreement: by scale, where there are two listeners to a clip.
    """

    trials: int
    rated: int
    raters: int
    withdrawn: int
    consented: int
    seconds: float
    scales: dict[str, Scale]
    models: dict[str, dict[str, Scale]]
    marks: dict[str, int]
    blind: float | None
    agreement: dict[str, Agreement]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summarise(store: Store) -> Summary:
    """Count what is in a store now."""
    trials = consented = blind = 0
    seconds, raters, rated = 0.0, set[str](), 0
    marks: Counter[str] = Counter()
    answers: list[tuple[str, str, str, int]] = []  # scale, model, listener, value
    by_clip: dict[str, dict[str, dict[str, int]]] = {scale: defaultdict(dict) for scale in SCALES}
    for entry in entries(store):
        trials += 1
        seconds += sum(entry.rating.seconds.values())
        if entry.rating.empty:
            continue
        rated += 1
        consented += entry.rating.training is True
        raters.add(entry.trial.listener)
        for one in said(stored.event for stored in entry.stored):
            if not isinstance(one.payload, Answer):
                marks[one.payload.label] += 1
                continue
            value = one.payload.value
            assert value is not None, "what was taken back does not stand"
            blind += one.blind
            answers.append((one.payload.scale, _model(entry), entry.trial.listener, value))
            clip = entry.trial.clips.get(f"stem:{one.payload.stem}")
            if clip is not None:  # of somebody who heard it twice, the later trial counts
                by_clip[one.payload.scale][clip][entry.trial.listener] = value
    models = sorted({model for _, model, _, _ in answers})
    agreement = {scale: _agreement(clips.values()) for scale, clips in by_clip.items()}
    return Summary(
        trials=trials,
        rated=rated,
        raters=len(raters),
        withdrawn=store.count("rating")["withdrawn"],
        consented=consented,
        seconds=seconds,
        scales=_scales(answers),
        models={model: _scales([answer for answer in answers if answer[1] == model]) for model in models},
        marks={label: marks[label] for label in LABELS},
        blind=blind / len(answers) if answers else None,
        agreement={scale: found for scale, found in agreement.items() if found is not None},
    )


def _model(entry: Entry) -> str:
    """What is compared: an edited model is not the model."""
    model = entry.trial.served.get("model")
    name = model if isinstance(model, str) else "unknown"
    return f"{name}, edited" if entry.trial.served.get("edit") else name


def _scales(answers: Sequence[tuple[str, str, str, int]]) -> dict[str, Scale]:
    found = {}
    for scale in SCALES:
        mine = [(listener, value) for name, _, listener, value in answers if name == scale]
        if mine:
            listeners = [listener for listener, _ in mine]
            interval = cluster_bootstrap([float(value) for _, value in mine], listeners)
            low, high = (x if isfinite(x) else None for x in (interval.low, interval.high))
            found[scale] = Scale(len(mine), len(set(listeners)), interval.mean, low, high)
    return found


def _agreement(clips: Iterable[Mapping[str, int]]) -> Agreement | None:
    units = [list(values.values()) for values in clips if len(values) > 1]
    apart = [abs(a - b) for unit in units for i, a in enumerate(unit) for b in unit[i + 1 :]]
    if not apart:
        return None
    within = sum(difference <= 1 for difference in apart) / len(apart)
    return Agreement(len(units), len(apart), sum(apart) / len(apart), within, ordinal_alpha(units).alpha)
