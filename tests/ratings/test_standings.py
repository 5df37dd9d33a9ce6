"""What listeners say of each model: order, intervals, agreement, blind ones only."""

from typing import Any

import numpy as np

from separation.ratings import Said, Trial
from separation.ratings.browse import Line
from separation.ratings.records import Answer
from separation.ratings.standings import standings


def line(number: int, model: str, listener: str, clip: str, *answers: tuple[str, int], blind: bool = True) -> Line:
    """A trial in which these values were given on these scales."""
    clips = {"mixture": f"mixture {clip}", "stem:vocals": f"{model} {clip}"}
    trial = Trial(f"{number:032x}", listener, "rating", float(number), {"model": model}, clips)
    said = tuple(Said(Answer(stem="vocals", scale=scale, value=value), number, blind) for scale, value in answers)  # type: ignore[arg-type]
    return Line(trial, said, {}, None, {}, len(said))


def crowd(
    model: str, quality: float, listeners: int = 8, clips: int = 6, spread: float = 0.4, **more: Any
) -> list[Line]:
    rng = np.random.default_rng(3)
    worth = rng.normal(0, 0.8, clips)
    values = [
        (i, j, int(np.clip(round(quality + worth[j] + rng.normal(0, spread)), 1, 5)))
        for i in range(listeners)
        for j in range(clips)
    ]
    return [
        line(100 * i + j, model, f"listener {i}", f"clip {j}", ("overall", value), **more) for i, j, value in values
    ]


def test_models_are_put_in_order_with_what_supports_it() -> None:
    found = standings([*crowd("good", 4.4, spread=0.1), *crowd("bad", 1.6, spread=0.1)])
    first, second = found["overall"]
    assert list(found) == ["overall"] and (first.model, second.model) == ("good", "bad")
    assert (first.answers, first.listeners, first.recordings) == (48, 8, 6)
    assert first.low is not None and first.low < first.mean < first.high
    assert second.apart and not first.apart
    assert first.agreement.units == 6 and first.agreement.answers == 48
    assert first.agreement.alpha is not None and first.agreement.alpha > 0.6, "the clips are told apart alike"


def test_alike_models_are_not_told_apart() -> None:
    found = standings([*crowd("one", 3.2), *crowd("two", 3.1)])["overall"]
    assert not any(one.apart for one in found)


def test_few_listeners_tell_nothing_apart() -> None:
    found = standings([*crowd("good", 5, listeners=2, spread=0), *crowd("bad", 1, listeners=2, spread=0)])["overall"]
    assert [one.model for one in found] == ["good", "bad"] and not found[1].apart


def test_only_blind_answers_count_unless_asked() -> None:
    lines = [line(1, "m", "anna", "a", ("overall", 5)), line(2, "m", "bert", "a", ("overall", 1), blind=False)]
    (blind,), (every,) = standings(lines)["overall"], standings(lines, only_blind=False)["overall"]
    assert (blind.mean, blind.answers, every.mean, every.answers) == (5, 1, 3, 2)
    assert standings([lines[1]]) == {}


def test_of_somebody_who_rated_a_clip_twice_the_later_answer_counts() -> None:
    lines = [line(1, "m", "anna", "a", ("overall", 1)), line(2, "m", "anna", "a", ("overall", 4))]
    (found,) = standings(lines)["overall"]
    assert (found.mean, found.answers, found.low) == (4, 1, None)


def test_scales_are_apart_and_it_is_json() -> None:
    lines = [line(i, "m", f"l{i}", "a", ("overall", 3), ("artefacts", 1 + i % 5)) for i in range(6)]
    found = standings(lines)
    assert list(found) == ["overall", "artefacts"]
    told = found["overall"][0].to_json()
    assert (
        told["agreement"] == {"alpha": None, "low": None, "high": None, "units": 1, "answers": 6} and told["low"] == 3
    )
