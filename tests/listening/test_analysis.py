"""The analysis of a study against numbers worked out by hand or by scipy, and the notices that it must give."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from separation.errors import StudyError
from separation.listening.analysis import analyse
from separation.listening.answers import Answer
from separation.listening.findings import Analysis, Judged
from separation.listening.study import KINDS, Question, Screening, Study
from tests.listening.made_answers import answer, study, table


def one(analysis: Analysis) -> Judged:
    """The only question."""
    [judged] = analysis.questions
    return judged


def graded(values: dict[str, list[list[float]]], **more: object) -> list[Answer]:
    """condition -> listener -> grades of items."""
    listeners = len(next(iter(values.values())))
    return table({f"l{k:02}": {name: grades[k] for name, grades in values.items()} for k in range(listeners)}, **more)


def run(answers: list[Answer], of: Study | None = None, **more: object) -> Analysis:
    return analyse(of or study(), answers, rules=[], draws=500, **more)  # type: ignore[arg-type]


# Grades


def test_a_line_has_the_numbers_of_the_standard_and_the_t_interval_of_listener_means() -> None:
    answers = graded({"one": [[10, 20], [30, 60], [50, 40]], "two": [[0, 0], [0, 0], [0, 0]]})
    line = one(run(answers)).lines[0]
    means = [15.0, 45.0, 45.0]
    low, high = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    assert (line.condition, line.label, line.role) == ("one", "One", "system")
    assert (line.listeners, line.ratings, line.median) == (3, 6, 35.0)
    assert (line.q1, line.q3) == (20.0, 50.0)  # 10 20 30 | 40 50 60
    assert line.mean == pytest.approx(35) and (line.low, line.high) == pytest.approx((low, high))
    assert line.deviation == pytest.approx(np.std(means, ddof=1)) and sorted(line.values) == [10, 20, 30, 40, 50, 60]
    assert line.studentised is not None and line.bca is not None and line.bca.low is not None


def test_lines_stand_in_the_order_of_the_study_with_roles_and_cells_by_item() -> None:
    answers = graded({name: [[50, 60]] * 3 for name in ("mid", "two", "reference", "one", "mixture")})
    judged = one(run(answers))
    assert [line.condition for line in judged.lines] == ["reference", "one", "two", "mid", "mixture"]
    assert [line.role for line in judged.lines] == ["reference", "system", "system", "anchor", "mixture"]
    assert judged.lines[3].label == "mid (7 kHz)"
    assert {(cell.item, cell.ratings) for cell in judged.cells} == {("i0", 3), ("i1", 3)}


def test_the_main_test_flips_signs_and_holm_corrects_the_family() -> None:
    """Seven listeners who all say the same order: p is 2 of 128, three pairs of systems make it 6 of 128."""
    steps = range(7)
    answers = graded(
        {"one": [[60 + k] for k in steps], "two": [[50 + k / 2] for k in steps], "three": [[20 - k] for k in steps]}
    )
    judged = one(run(answers))
    assert judged.family == "all pairs of systems" and [(p.a, p.b) for p in judged.pairs] == [
        ("one", "two"), ("one", "three"), ("two", "three"),
    ]  # fmt: skip
    for pair in judged.pairs:
        assert pair.p == pytest.approx(2 / 128) and pair.p_holm == pytest.approx(6 / 128) and pair.significant
        assert pair.wilcoxon is None and pair.songs is None  # below ten listeners; one song
    difference = judged.pairs[0].difference
    expected = [10 + k / 2 for k in steps]
    assert difference.value == pytest.approx(np.mean(expected))
    assert (difference.low, difference.high) == pytest.approx(
        stats.t.interval(0.95, 6, np.mean(expected), stats.sem(expected))
    )


def test_a_study_may_declare_a_smaller_family() -> None:
    answers = graded(
        {name: [[float(v + k)] for k in range(7)] for name, v in (("one", 60), ("two", 50), ("three", 40))}
    )
    judged = one(run(answers, study(statistics={"against": "two"})))
    assert judged.family == "every system against Two" and [(p.a, p.b) for p in judged.pairs] == [
        ("one", "two"),
        ("three", "two"),
    ]
    assert judged.pairs[0].p_holm == pytest.approx(4 / 128)


def test_a_consistent_small_difference_is_seen_by_the_paired_test_and_the_disagreement_is_told() -> None:
    """Listeners who use the scale differently hide it from the standard's unpaired permutation."""
    spread = np.linspace(10, 85, 12)
    answers = graded({"one": [[s + 3 + 0.1 * k] for k, s in enumerate(spread)], "two": [[s] for s in spread]})
    [pair] = one(run(answers)).pairs
    assert pair.p is not None and pair.p < 0.01 and pair.bs1534 is not None and pair.bs1534 > 0.5
    assert "ignores who said what" in pair.notice and pair.significant


def test_a_difference_that_hangs_on_one_song_does_not_reach_other_songs() -> None:
    rng = np.random.default_rng(2)
    bonus = [30, 0, 0, 0]
    answers = graded(
        {
            "one": [[50 + b + rng.normal(0, 2) for b in bonus] for _ in range(12)],
            "two": [[50 + rng.normal(0, 2) for _ in bonus] for _ in range(12)],
        }
    )
    answers = [replace(a, group=a.item) for a in answers]
    judged = one(run(answers))
    [pair] = judged.pairs
    assert pair.significant and pair.songs is not None and not pair.songs.decided
    assert "over other songs" in pair.notice and "item to item" in judged.interaction


def test_equal_systems_on_all_items_have_no_notice() -> None:
    rng = np.random.default_rng(4)
    answers = graded({name: [rng.normal(50, 5, 4).tolist() for _ in range(12)] for name in ("one", "two")})
    judged = one(run(answers))
    assert judged.interaction == "" and not judged.pairs[0].significant and judged.pairs[0].notice == ""


@pytest.mark.parametrize(("listeners", "shown"), [(14, True), (15, False)])
def test_coverage_is_simulated_below_fifteen_listeners(listeners: int, shown: bool) -> None:
    rng = np.random.default_rng(6)
    answers = graded({name: [[v] for v in rng.normal(60, 9, listeners)] for name in ("one", "two")})
    judged = one(run(answers))
    assert bool(judged.coverage) == shown
    if shown:
        share = {told.kind: told.share for told in judged.coverage}
        assert set(share) == {"t", "studentised", "bca", "percentile"}
        assert share["percentile"] < share["studentised"] + 0.02 and share["t"] > 0.9


def test_power_says_what_so_many_listeners_could_see() -> None:
    rng = np.random.default_rng(8)
    differences = rng.normal(0, 1, 20)
    differences = 15 * (differences - differences.mean()) / differences.std(ddof=1)
    answers = graded({"one": [[50 + d] for d in differences], "two": [[50.0]] * 20})
    power = one(run(answers)).power
    assert power is not None and power.listeners == 20 and power.deviation == pytest.approx(15)
    assert power.smallest_80 == pytest.approx(9.9, abs=0.05) and (power.reference, power.needed) == (10.0, 20)


def test_repeats_measure_reliability_and_are_in_no_mean_and_training_is_nowhere() -> None:
    answers = graded({"one": [[50.0], [70.0], [60.0]], "two": [[10.0], [20.0], [30.0]]})
    repeats = [
        replace(a, trial=f"{a.trial}/again", purpose="repeat", repeat_of=a.trial, value=(a.value or 0) + 4)
        for a in answers
    ]
    training = [replace(a, trial="training", purpose="training", value=0.0) for a in answers]
    plain, full = one(run(answers)), one(run([*answers, *repeats, *training]))
    assert full.lines == plain.lines and full.answers == plain.answers == 6
    assert full.agreement is not None and full.agreement.retest_pairs == 6
    assert full.agreement.retest_difference == pytest.approx(4)


def test_outliers_are_flagged_and_stay() -> None:
    answers = graded({"one": [[v] for v in (50.0, 52, 54, 56, 99)]})
    judged = one(run(answers))
    assert [outlier.value for outlier in judged.outliers] == [99.0] and 99.0 in judged.lines[0].values


def test_scores_at_the_top_of_the_scale_are_suspicious() -> None:
    high = graded({name: [[90.0 + k] for k in range(8)] for name in ("one", "two")})
    assert any("too easy" in caution for caution in one(run(high)).cautions)
    usual = graded({name: [[50.0 + k] for k in range(8)] for name in ("one", "two")})
    assert not one(run(usual)).cautions


def test_opinion_scores_come_with_their_cautions_and_an_ordinal_model() -> None:
    rng = np.random.default_rng(9)
    of = study(Question(id="q", kind="acr"))
    answers = graded(
        {
            name: [np.clip(np.round(rng.normal(mean, 0.8, 4)), 1, 5).tolist() for _ in range(16)]
            for name, mean in (("one", 4.0), ("two", 2.5))
        },
        kind="acr",
    )
    judged = one(run(answers, of))
    assert any("never compare" in caution for caution in judged.cautions)
    assert any("here the fewest are 16 and 64" in caution for caution in judged.cautions)
    assert any(model.formula.startswith("cumulative link") for model in judged.models)
    ordinal = next(model for model in judged.models if model.formula.startswith("cumulative link"))
    assert (
        ordinal.terms[0].value > 0 > ordinal.terms[1].value and ordinal.systems is not None and ordinal.systems < 0.01
    )


def test_p835_is_three_tables_and_remarks_go_with_the_last() -> None:
    of = study(Question(id="q", kind="p835", comment=True))
    answers = [
        answer(f"l{k}", "i0", "one", float(value), kind="p835", attribute=name)
        for k in range(3)
        for name, value in (("sig", 4), ("bak", 2), ("ovrl", 3))
    ]
    answers.append(answer("l0", "i0", "", None, kind="p835", attribute="comment", text="hum"))
    analysis = run(answers, of)
    assert [(j.attribute, j.lines[0].mean, j.answers) for j in analysis.questions] == [
        ("bak", 2.0, 3), ("ovrl", 3.0, 3), ("sig", 4.0, 3),
    ]  # fmt: skip
    assert [j.texts for j in analysis.questions] == [(), (("i0, all sounds", "hum"),), ()]


def test_bs1116_is_analysed_by_difference_grades() -> None:
    of = study(Question(id="q", kind="bs1116"))
    answers = [
        answer(f"l{k}", "i0", name, value, kind="bs1116", trial=f"l{k}/{system}")
        for k in range(3)
        for system, grade in (("one", 4.0), ("two", 3.0))
        for name, value in ((system, grade), ("reference", 5.0 - k / 10))
    ]
    judged = one(run(answers, of))
    assert [(line.condition, round(line.mean, 6)) for line in judged.lines] == [("one", -0.9), ("two", -1.9)]
    assert (judged.lowest, judged.highest) == (-4, 0)


def test_ccr_is_turned_towards_the_system_whatever_came_first() -> None:
    of = study(Question(id="q", kind="ccr"))
    answers = [
        answer("a", "i0", "one", -2.0, kind="ccr", other="reference"),
        answer("b", "i0", "reference", 2.0, kind="ccr", other="one"),
    ]
    [line] = one(run(answers, of)).lines
    assert (line.condition, line.mean, line.ratings) == ("one", -2.0, 2)


# Choices


def test_pairs_are_ranked_with_ties_sides_and_both_bad_apart() -> None:
    of = study(Question(id="q", kind="ab"))
    rng = np.random.default_rng(1)
    strength = {"one": 1.5, "two": 0.0, "three": -1.5}
    answers = []
    for k in range(30):
        for item in ("i0", "i1"):
            for pair in (("one", "two"), ("three", "one"), ("two", "three")):
                left, right = pair if item == "i0" else pair[::-1]
                wins = rng.random() < 1 / (1 + math.exp(-(strength[left] - strength[right] + 0.8)))
                about = {"kind": "ab", "other": right, "trial": f"{k}/{item}/{left}"}
                answers.append(answer(f"l{k}", item, left, 1.0 if wins else -1.0, **about))
    answers.append(answer("l0", "i2", "one", None, kind="ab", other="two", text="both_bad"))
    judged = one(run(answers, of))
    assert judged.votes is not None and judged.votes.both_bad == 1 and judged.votes.votes == 180
    assert [one.condition for one in judged.votes.ranking] == ["one", "two", "three"]
    assert judged.votes.ranking[0].best == 1 and judged.votes.ranking[0].wins > judged.votes.ranking[0].losses
    assert judged.votes.side is not None and judged.votes.side.low is not None and judged.votes.side.low > 0
    assert any("first or left one is preferred" in caution for caution in judged.cautions) and not judged.lines


def test_systems_that_never_met_are_not_ranked_against_each_other() -> None:
    of = study(Question(id="q", kind="ab"))
    answers = [
        answer(f"l{k}", "i0", left, 1.0, kind="ab", other=right, trial=f"{k}/{left}")
        for k in range(3)
        for left, right in (("one", "two"), ("three", "mid"))
    ]
    judged = one(run(answers, of))
    assert judged.votes is not None and not judged.votes.connected
    assert any("never compared" in caution for caution in judged.cautions)


def test_ranked_lists_are_ranks_and_votes() -> None:
    of = study(Question(id="q", kind="ranking"))
    answers = graded({"one": [[1.0]] * 8, "two": [[2.0]] * 8, "three": [[3.0]] * 8}, kind="ranking")
    judged = one(run(answers, of))
    assert judged.better == "lower" and [line.mean for line in judged.lines] == [1, 2, 3]
    assert judged.votes is not None and [one.condition for one in judged.votes.ranking] == ["one", "two", "three"]
    assert judged.votes.side is None and judged.votes.votes == 24


def test_abx_is_counted_by_pair_and_tested_by_the_binomial() -> None:
    of = study(Question(id="q", kind="abx"))
    answers = [
        answer(f"l{k}", "i0", *pair, kind="abx", trial=f"{k}")
        for k, pair in enumerate([("one", 1.0)] * 12 + [("one", 0.0)] * 4)
    ]
    answers = [
        replace(a, other="two") if k % 2 else replace(a, condition="two", other="one") for k, a in enumerate(answers)
    ]
    [told] = one(run(answers, of)).told
    assert (told.condition, told.other, told.correct, told.trials, told.listeners) == ("one", "two", 12, 16, 16)
    assert told.p == pytest.approx(0.0384, abs=1e-4)


# Beside


def test_ratings_are_correlated_with_metrics_of_what_was_heard() -> None:
    rng = np.random.default_rng(7)
    quality = {(f"i{k}", name): q + 3 * k for k in range(4) for name, q in (("one", 70), ("two", 50), ("three", 30))}
    answers = [
        answer(f"l{who}", item, name, q + rng.normal(0, 3)) for who in range(8) for (item, name), q in quality.items()
    ]
    sdr = {place: q / 10 for place, q in quality.items()}
    noise = {place: float(rng.normal()) for place in quality}
    found = {
        told.metric: told for told in one(run(answers, metrics={"sdr": sdr, "noise": noise, "other": {}})).correlations
    }
    assert set(found) == {"sdr", "noise"} and found["sdr"].cells == 12
    assert found["sdr"].spearman is not None and found["sdr"].spearman.value > 0.95
    assert found["noise"].spearman is not None and not found["noise"].spearman.decided


def test_marked_regions_are_joined_to_metrics_of_their_seconds() -> None:
    of = study(Question(id="q", kind="mushra", marks=True))
    regions = json.dumps([{"start": 1.0, "end": 3.0, "label": "bleed"}])
    answers = [
        answer("a", "i0", "one", 40.0),
        answer("a", "i0", "one", None, attribute="marks", text=regions),
        answer("b", "i0", "one", None, attribute="marks", text="[]"),
    ]
    sir = [(float(k), k + 1.0, 2.0 if k in (1, 2) else 10.0) for k in range(5)]
    judged = one(run(answers, of, seconds={("i0", "one"): {"sir": sir}}))
    [marked] = judged.marks
    assert (marked.condition, marked.label, marked.count, marked.listeners, marked.seconds) == (
        "one",
        "bleed",
        1,
        1,
        2.0,
    )
    assert (marked.metric, marked.inside, marked.outside) == ("sir", 2.0, 10.0)
    assert judged.texts == () and judged.answers == 1
    [plain] = one(run(answers, of)).marks
    assert (plain.metric, plain.inside) == ("", None)


# The whole


def test_every_figure_can_be_had_with_and_without_a_rule() -> None:
    answers = graded({"reference": [[100.0], [100.0], [10.0]], "one": [[60.0], [70.0], [0.0]]})
    of = study(screening=(Screening(rule="hidden_reference"), Screening(rule="too_fast")))
    screened, raw = analyse(of, answers, draws=200), analyse(of, answers, rules=[], draws=200)
    assert (screened.kept, raw.kept, raw.listeners) == (2, 3, 3) and screened.alone == {
        "hidden_reference": 1,
        "too_fast": 0,
    }
    assert (one(screened).lines[1].mean, one(raw).lines[1].mean) == (pytest.approx(65), pytest.approx(130 / 3))
    assert any("1 of 3 listeners are left out" in warning for warning in screened.warnings)


def test_the_same_seed_gives_the_same_json_without_nan() -> None:
    rng = np.random.default_rng(3)
    answers = graded(
        {name: [rng.uniform(0, 100, 3).tolist() for _ in range(7)] for name in ("one", "two", "reference")}
    )
    first, again = (run(answers, seed=5).to_json() for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(again, allow_nan=False)
    assert first["hash"] and first["seed"] == 5


@pytest.mark.parametrize("kind", KINDS)
def test_one_answer_is_little_but_no_crash(kind: str) -> None:
    of = study(Question(id="q", kind=kind))  # type: ignore[arg-type]
    pair = kind in ("ab", "abx", "ccr")
    value = None if kind in ("text", "marks") else 1.0
    text = {"text": "fine", "marks": "[]"}.get(kind)
    about = {
        "kind": kind,
        "other": "two" if pair else "",
        "text": text,
        "attribute": "marks" if kind == "marks" else "overall",
    }
    analysis = run([answer("a", "i0", "one", value, **about)], of)
    assert json.dumps(analysis.to_json(), allow_nan=False)
    assert any("no difference can have p < 0.05" in warning for warning in analysis.warnings)
    assert one(analysis).power is None and not any(pair.significant for pair in one(analysis).pairs)


def test_no_answers_are_said_so() -> None:
    analysis = run([])
    assert analysis.questions == () and analysis.warnings == ("There are no answers.",)


def test_answers_that_are_all_screened_away_are_not_called_missing() -> None:
    answers = table({name: {"reference": [10.0, 10.0], "one": [50.0, 60.0]} for name in ("a", "b")})
    analysis = analyse(study(), answers, rules=[Screening(rule="hidden_reference")], draws=200)
    assert (analysis.kept, analysis.listeners) == (0, 2)
    assert analysis.warnings[-1] == "Nobody is left after screening: turn a rule off to see the answers."
    assert not any("There are no answers" in warning for warning in analysis.warnings)


@pytest.mark.parametrize(
    ("what", "name"), [("question", "r"), ("item", "i9"), ("condition", "four"), ("other", "four")]
)
def test_an_answer_about_something_else_is_refused(what: str, name: str) -> None:
    with pytest.raises(StudyError, match=f"'{name}', which the study does not have"):
        run([replace(answer("a", "i0", "one", 1.0), **{what: name})])
