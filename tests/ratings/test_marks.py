"""Marks against metrics: the seconds inside against those outside, by hand and on made-up recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separation.ratings import Said, Trial
from separation.ratings.browse import Line
from separation.ratings.marks import EXPECTED, FEWEST, MEANINGS, TITLES, Found, Records, compare
from separation.ratings.records import LABELS, Mark

SIR = "bss_eval_v4.SIR"


def mark(start: float, end: float, label: str = "bleed", name: str = "mark-001", stem: str = "vocals") -> Mark:
    return Mark(mark=name, stem=stem, start=start, end=end, label=label, severity=2)  # type: ignore[arg-type]


def line(*marks: Mark, recording: str = "a", number: int = 0, blind: bool = True) -> Line:
    trial = Trial(f"{number:032x}", "anna", "rating", 0.0, {}, {"mixture": recording})
    return Line(trial, tuple(Said(one, 0, blind) for one in marks), {}, None, {}, len(marks))


def series(metric: str, values: list[float | None], source: str = "vocals", of: str = "estimate") -> dict[str, Any]:
    return {"source": source, "metric": metric, "of": of, "values": values}


def record(*every: dict[str, Any], start: float = 0.0) -> dict[str, Any]:
    return {"source": "stage", "start": start, "hop": 1.0, "series": list(every)}


def only(found: list[Found], label: str = "bleed", metric: str = SIR) -> Found:
    (one,) = [each for each in found if (each.label, each.metric) == (label, metric)]
    return one


def test_the_mean_inside_minus_the_mean_outside() -> None:
    numbers = record(series(SIR, [9.0, 9.0, 3.0, 5.0, 9.0, 9.0]))
    found = only(compare([(line(mark(2, 4)), numbers)]))
    assert found.difference == pytest.approx(-5) and (found.marks, found.recordings, found.expected) == (1, 1, True)
    assert found.low is None, "one recording says nothing of others"


@pytest.mark.parametrize(
    ("region", "difference"),
    [
        ((2.0, 3.0), -6.0),  # exactly a window
        ((2.4, 3.1), -6.0),  # mostly one window; the next is touched, and so neither inside nor outside
        ((2.45, 2.55), -6.0),  # far shorter than a window
        ((1.6, 3.4), -6.0),  # covers less than half of its neighbours
        ((1.4, 3.0), -3.0),  # covers more than half of one
    ],
)
def test_which_seconds_are_inside(region: tuple[float, float], difference: float) -> None:
    numbers = record(series(SIR, [9.0, 9.0, 3.0, 9.0, 9.0, 9.0]))
    assert only(compare([(line(mark(*region)), numbers)])).difference == pytest.approx(difference)


def test_other_marks_of_the_kind_are_not_outside() -> None:
    numbers = record(series(SIR, [9.0, 1.0, 9.0, 1.0, 9.0]))
    both = line(mark(1, 2), mark(3, 4, name="mark-002"))
    found = only(compare([(both, numbers)]))
    assert found.difference == pytest.approx(-8) and found.marks == 2
    other = line(mark(1, 2), mark(3, 4, "gap", name="mark-002"))
    assert only(compare([(other, numbers)])).difference == pytest.approx(1 - (9 + 9 + 1 + 9) / 4)


def test_seconds_without_a_value_or_out_of_hearing_are_left_out() -> None:
    sir = series(SIR, [9.0, -50.0, 3.0, None, 9.0])
    levels = series("reference_db", [-20.0, -70.0, -20.0, -20.0, -20.0], of="reference")
    assert only(compare([(line(mark(2, 3)), record(sir, levels))])).difference == pytest.approx(-6)
    blind = series("estimate_db", [-20.0, -70.0, -20.0, -20.0, -20.0])
    found = compare([(line(mark(2, 3)), record(sir, blind))])
    assert only(found).difference == pytest.approx(-6)
    assert only(found, metric="estimate_db").difference == pytest.approx(-20 - (-130 / 4)), "a level is told as it is"
    silent = record(sir, series("estimate_db", [None] * 5))
    assert [one for one in compare([(line(mark(2, 3)), silent)]) if one.metric == SIR] == []


def test_a_mark_over_everything_has_nothing_outside() -> None:
    assert compare([(line(mark(0, 5)), record(series(SIR, [1.0] * 5)))]) == []


def test_clips_may_begin_later_than_what_was_served() -> None:
    numbers = record(series("stem_similarity", [0.1, 0.1, 0.9, 0.1]), start=10.0)
    found = only(compare([(line(mark(12, 13)), numbers)]), metric="stem_similarity")
    assert found.difference == pytest.approx(0.8)


def test_what_is_of_all_together_counts_for_every_stem() -> None:
    numbers = record(series("residual_db", [-40.0, -10.0, -40.0], source=""))
    assert only(compare([(line(mark(1, 2)), numbers)]), metric="residual_db").difference == pytest.approx(30)


def test_blind_marks_only() -> None:
    numbers = record(series(SIR, [9.0, 3.0, 9.0]))
    seen = line(mark(1, 2), blind=False)
    assert compare([(seen, numbers)], only_blind=True) == [] and len(compare([(seen, numbers)])) == 1


def test_intervals_are_over_recordings() -> None:
    rng = np.random.default_rng(0)
    rated = []
    for number in range(3 * FEWEST):
        outside = rng.normal(10, 1, 8)
        values = [float(x) for x in [*outside[:4], outside[0] - 4 + rng.normal(0, 0.5), *outside[4:]]]
        rated.append((line(mark(4, 5), recording=str(number % FEWEST), number=number), record(series(SIR, values))))
    found = only(compare(rated))
    assert (found.marks, found.recordings) == (3 * FEWEST, FEWEST)
    assert found.low is not None and found.high is not None
    assert found.low < found.difference < found.high < 0
    assert found.verdict.startswith("bleed: SIR is ") and f"15 marks of {FEWEST} recordings" in found.verdict
    fewer = [each for each in rated if each[0].trial.clips["mixture"] != "0"]
    assert only(compare(fewer)).low is None and "too few" in only(compare(fewer)).verdict


def test_verdicts_in_words() -> None:
    unsure = Found("gap", "estimate_db", -1.04, -3.0, 0.96, 12, 6, True)
    assert unsure.verdict == (
        "gap: level of the stem is 1.0 dB lower inside, [−3.0, 1.0], 12 marks of 6 recordings: "
        "no difference that could be told from none"
    )
    one = Found("other", "stem_similarity", 0.123, None, None, 1, 1, False)
    assert one.verdict.startswith("other: similarity of stems is 0.12 higher inside, 1 mark of 1 recording")
    assert unsure.to_json()["verdict"] == unsure.verdict and unsure.to_json()["unit"] == "dB"


def test_every_kind_of_mark_is_known() -> None:
    assert set(EXPECTED) | {"other"} == set(LABELS) and set(EXPECTED.values()) <= set(TITLES)
    assert set(MEANINGS) == set(TITLES)


def test_no_difference_is_neither_lower_nor_higher() -> None:
    assert Found("bleed", SIR, -0.04, None, None, 1, 1, True).verdict.startswith(
        "bleed: SIR is the same inside, 1 mark"
    )


@pytest.mark.parametrize(("high", "sure"), [(-0.06, True), (-0.04, False), (0.04, False)])
def test_an_interval_that_is_written_as_ending_at_zero_is_not_sure(high: float, sure: bool) -> None:
    found = Found("bleed", SIR, -2.0, -4.0, high, 9, 6, True)
    assert found.sure is sure and found.to_json()["sure"] is sure
    assert ("told from none" not in found.verdict) is sure


# -- what is kept


def test_records_keep_what_is_compared_and_nothing_else(tmp_path: Path) -> None:
    records, trial = Records(tmp_path / "marked"), "ab" * 16
    assert records.get(trial) is None
    full = record(
        series(SIR, [1.0, None]), series(SIR, [0.0, 0.0], of="mixture"), series("reference_db", [-9.0], of="reference")
    )
    records.put(trial, {**full, "sources": ["vocals"], "complete": True})
    found = records.get(trial)
    assert found is not None and set(found) == {"source", "start", "hop", "series"}
    assert [(one["metric"], one["of"]) for one in found["series"]] == [(SIR, "estimate"), ("reference_db", "reference")]
    assert found["series"][0]["values"] == [1.0, None]


def test_records_of_withdrawn_trials_go(tmp_path: Path) -> None:
    records = Records(tmp_path / "marked")
    assert records.keep_only([]) == 0, "there is no folder yet"
    for number in range(3):
        records.put(f"{number:032x}", record(series(SIR, [1.0])))
    assert records.keep_only([f"{1:032x}"]) == 2
    assert [path.stem for path in (tmp_path / "marked").iterdir()] == [f"{1:032x}"]
