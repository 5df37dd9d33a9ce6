"""What listeners say of each model on each scale, how far that can be trusted, and whether they agree.

Intervals are over listeners and recordings at once, because answers of one person are not independent, and neither are
answers about one recording. Models are put in order, but nobody made listeners rate the same recordings with each: a
difference between two of them may be one of recordings. A fair comparison is a listening test.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import Any

from separation.ratings.browse import Line
from separation.ratings.records import SCALES
from separation.statistics import Alpha, crossed_bootstrap, ordinal_alpha

FEWEST = 5
"""Listeners from which on models are told apart: an interval of fewer is far too sure."""


@dataclass(frozen=True)
class Standing:
    """One model on one scale.

    Args:
        model, scale: which.
        mean: of the answers, 1 to 5.
        low, high: its 95 % interval over listeners and recordings; None where there is one of each.
        answers, listeners, recordings: how many.
        agreement: of those who rated the same stem of the same clip.
        apart: its interval lies wholly below that of the model before it, and both were rated by `FEWEST` listeners or more.
    """

    model: str
    scale: str
    mean: float
    low: float | None
    high: float | None
    answers: int
    listeners: int
    recordings: int
    agreement: Alpha
    apart: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"agreement": self.agreement._asdict()}


def standings(lines: Iterable[Line], *, only_blind: bool = True) -> dict[str, list[Standing]]:
    """By scale, the models that have answers on it, best mean first.

    Args:
        lines: the ratings, oldest first: of somebody who rated a clip twice, the later answer counts.
        only_blind: only answers that were given blind.
    """
    given: dict[tuple[str, str], dict[tuple[str, str], tuple[int, str]]] = {}
    for line in lines:
        for answer, blind in line.answers:
            if answer.value is None or (only_blind and not blind):
                continue
            trial = line.trial
            clip = trial.clips.get(f"stem:{answer.stem}", f"{trial.id}/{answer.stem}")
            recording = trial.clips.get("mixture", trial.id)
            mine = given.setdefault((answer.scale, line.model), {})
            mine[clip, trial.listener] = answer.value, recording
    return {
        scale: _ranked([_standing(model, scale, answers) for (on, model), answers in given.items() if on == scale])
        for scale in SCALES
        if any(on == scale for on, _ in given)
    }


def _standing(model: str, scale: str, answers: dict[tuple[str, str], tuple[int, str]]) -> Standing:
    listeners = [listener for _, listener in answers]
    recordings = [recording for _, recording in answers.values()]
    interval = crossed_bootstrap([float(value) for value, _ in answers.values()], listeners, recordings)
    low, high = (edge if isfinite(edge) else None for edge in interval[1:])
    by_clip: dict[str, list[int]] = {}
    for (clip, _), (value, _) in answers.items():
        by_clip.setdefault(clip, []).append(value)
    return Standing(
        model,
        scale,
        interval.mean,
        low,
        high,
        len(answers),
        len(set(listeners)),
        len(set(recordings)),
        ordinal_alpha(list(by_clip.values())),
    )


def _ranked(found: list[Standing]) -> list[Standing]:
    ordered = sorted(found, key=lambda one: (-one.mean, one.model))
    ranked = ordered[:1]
    for before, one in pairwise(ordered):
        enough = min(before.listeners, one.listeners) >= FEWEST
        apart = enough and before.low is not None and one.high is not None and one.high < before.low
        ranked.append(replace(one, apart=apart))
    return ranked
