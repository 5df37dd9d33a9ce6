"""Rules name the listeners that hand-made tables say, at their exact boundaries, in any order, and delete nothing."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from separation.errors import StudyError
from separation.listening.answers import Answer
from separation.listening.screening import (
    RULES,
    Anchors,
    anchors_of,
    flag_outliers,
    oriented,
    repeats_of,
    screen,
    suggested,
)
from separation.listening.study import Gold, Question, Screening
from tests.listening.made_answers import answer, study, table

ANCHORS = Anchors("low", "mid")


def names(answers: Sequence[Answer], rule: str, checks: dict[str, dict[str, float]] = {}, **numbers: float) -> set[str]:
    """Whom a rule leaves out."""
    screened = screen(answers, [Screening(rule=rule, numbers=numbers)], checks, anchors=ANCHORS)
    assert set(screened.per_rule[rule]) == set(screened.excluded)
    assert {one.listener for one in screened.kept} == set(screened.listeners) - set(screened.excluded)
    return set(screened.excluded)


def test_who_only_took_a_check_is_nobody_to_leave_out() -> None:
    checks = {"a": {"headphones": 6.0}, "b": {"headphones": 1.0}, "gone": {"headphones": 0.0}}
    answers = [answer("a", "i0", "one", 50.0), answer("b", "i0", "one", 50.0)]
    screened = screen(answers, [Screening(rule="headphones")], checks, anchors=ANCHORS)
    assert screened.listeners == ("a", "b") and screened.rate == 0.5
    assert set(screened.excluded) == {"b"} and screened.per_rule == {"headphones": ["b"]}


def with_low(count: int, of: int, low: float, usual: float) -> list[float]:
    return [low] * count + [usual] * (of - count)


@pytest.mark.parametrize(
    ("bad", "of", "out"), [(0, 20, False), (3, 20, False), (4, 20, True), (1, 6, True), (1, 7, False)]
)
def test_the_hidden_reference_may_be_missed_on_exactly_15_percent(bad: int, of: int, out: bool) -> None:
    answers = table({"a": {"reference": with_low(bad, of, 89.9, 100)}})
    assert names(answers, "hidden_reference") == ({"a"} if out else set())


def test_a_hidden_reference_at_90_is_found() -> None:
    assert not names(table({"a": {"reference": [90.0] * 20}}), "hidden_reference")
    assert names(table({"a": {"reference": [80.0] * 20}}), "hidden_reference", below=80) == set()


@pytest.mark.parametrize(("bad", "out"), [(3, False), (4, True)])
def test_the_mid_anchor_may_be_overrated_on_exactly_15_percent(bad: int, out: bool) -> None:
    others = {f"l{k}": {"mid": [50.0] * 20} for k in range(7)}
    answers = table({"a": {"mid": with_low(bad, 20, 90.1, 90.0)}, **others})
    assert names(answers, "mid_anchor") == ({"a"} if out else set())


@pytest.mark.parametrize(("high", "guarded"), [(1, False), (2, True)])
def test_an_item_counts_while_at_most_a_quarter_of_all_overrate_its_anchor(high: int, guarded: bool) -> None:
    """Of four listeners one is exactly 25 %: the item counts, and on this one item it is over 15 %."""
    answers = table({f"l{k}": {"mid": [95.0 if k < high else 40.0]} for k in range(4)})
    screened = screen(answers, [Screening(rule="mid_anchor")], anchors=ANCHORS)
    assert bool(screened.guards["mid_anchor"]) == guarded
    assert set(screened.excluded) == (set() if guarded else {"l0"})


def test_a_guarded_item_is_in_no_share() -> None:
    """Six items of which one is guarded: one bad one of the other five is 20 %, of six it would be 16.7 %."""
    grades = {"a": [95.0, 95.0, 40, 40, 40, 40]} | {f"l{k}": [95.0 if k < 2 else 40.0] + [40.0] * 5 for k in range(4)}
    answers = table({name: {"mid": values} for name, values in grades.items()})
    screened = screen(answers, [Screening(rule="mid_anchor")], anchors=ANCHORS)
    assert "on 1 of 5 items (20.0 %)" in screened.excluded["a"][0] and list(screened.excluded) == ["a"]


@pytest.mark.parametrize(
    ("reference", "mid", "low", "out"),
    [(100, 60, 30, False), (90, 90, 90, False), (89, 60, 30, True), (95, 96, 30, True), (95, 30, 31, True)],
)
def test_the_strict_rule_wants_the_order_on_every_item(reference: float, mid: float, low: float, out: bool) -> None:
    good = {"reference": [100.0], "mid": [60.0], "low": [30.0]}
    values = {"reference": reference, "mid": mid, "low": low}
    answers = table({"a": {name: [good[name][0], values[name]] for name in good}})
    assert names(answers, "strict") == ({"a"} if out else set())


def test_difference_grades_are_tested_as_scipy_does() -> None:
    rng = np.random.default_rng(3)
    answers = []
    for listener, mean in (("hears", -1.0), ("deaf", 0.3), ("doubt", -0.15)):
        grades = np.round(rng.normal(mean, 0.6, 12), 1)
        for k, difference in enumerate(grades):
            more = {"kind": "bs1116", "trial": f"{listener}/{k}"}
            answers += [
                answer(listener, f"i{k}", "reference", 4.5, **more),
                answer(listener, f"i{k}", "one", 4.5 + difference, **more),
            ]
        p = stats.ttest_1samp(grades, 0, alternative="less").pvalue
        assert (listener in names(answers, "difference_grades")) == (p > 0.05)
    assert "deaf" in names(answers, "difference_grades") and "hears" not in names(answers, "difference_grades")


def test_systems_that_nobody_tells_from_the_reference_are_named_transparent() -> None:
    answers = [
        answer(name, f"i{k}", condition, 5.0, kind="bs1116")
        for name in "ab" for k in range(3) for condition in ("reference", "one")
    ]  # fmt: skip
    screened = screen(answers, [Screening(rule="difference_grades")])
    assert set(screened.excluded) == {"a", "b"} and "transparent" in screened.guards["difference_grades"][0]


@pytest.mark.parametrize(("votes", "out"), [([3, 3, 3, 3], True), ([3, 3, 3, 4], False), ([3] * 9 + [4], True)])
def test_votes_need_a_variance_of_a_tenth(votes: list[float], out: bool) -> None:
    answers = table({"a": {"one": votes}}, kind="acr")
    assert names(answers, "variance") == ({"a"} if out else set())


@pytest.mark.parametrize(("rule", "purpose"), [("gold", "gold"), ("traps", "trap")])
@pytest.mark.parametrize(("value", "out"), [(4.0, False), (3.0, False), (2.9, True), (None, True)])
def test_known_answers_may_be_off_by_their_tolerance(rule: str, purpose: str, value: float | None, out: bool) -> None:
    asked = {
        "kind": "acr",
        "purpose": purpose,
        "expected": 4.0,
        "tolerance": 1.0,
        "text": "" if value is None else None,
    }
    answers = [answer("a", "i0", "one", value, **asked), answer("b", "i0", "one", 4.0, **asked)]
    assert names(answers, rule) == ({"a"} if out else set())
    assert names(answers, "traps" if rule == "gold" else "gold") == set()


def test_one_wrong_answer_on_a_page_makes_one_wrong_question() -> None:
    asked = {"purpose": "gold", "expected": 100.0, "trial": "page"}
    answers = [answer("a", "i0", condition, 10.0, **asked) for condition in ("one", "two")]
    assert names(answers, "gold", wrong=1) == set() and names(answers, "gold", wrong=0) == {"a"}


@pytest.mark.parametrize(
    ("rule", "right", "out"), [("headphones", 5, False), ("headphones", 4, True), ("jnd", 1, True)]
)
def test_checks_of_the_environment(rule: str, right: float, out: bool) -> None:
    answers = table({"a": {"one": [50.0]}, "never took it": {"one": [50.0]}})
    checks = {"a": {rule: right}}
    assert names(answers, rule, checks) == ({"a"} if out else set())
    assert "1 listeners did not take it" in screen(answers, [Screening(rule=rule)], checks).guards[rule][0]


def test_too_fast_counts_trials_and_never_played_counts_answers() -> None:
    hasty = [answer("a", f"i{k}", c, 50.0, seconds=4.9 if k < 2 else 30.0) for k in range(4) for c in ("one", "two")]
    assert names(hasty, "too_fast") == {"a"} and names(hasty, "too_fast", share=0.5) == set()
    deaf = [answer("a", f"i{k}", "one", 50.0, played=0.4 if k < 2 else 9.0) for k in range(10)]
    assert names(deaf, "never_played") == {"a"} and names(deaf, "never_played", share=0.2) == set()
    assert not names([answer("a", "i0", "one", 50.0, purpose="training", played=0.0)], "never_played")


def test_repeats_are_compared_with_what_was_said_first_whatever_the_side() -> None:
    first = answer("a", "i0", "one", 1.0, kind="ab", other="two", trial="t")
    again = answer("a", "i0", "two", -1.0, kind="ab", other="one", trial="u", purpose="repeat", repeat_of="t")
    [(before, after)] = repeats_of([again, first])
    assert oriented(before) == oriented(after) == 1.0
    wild = [
        one
        for k in range(5)
        for one in (
            answer("b", f"i{k}", "one", 10.0),
            answer("b", f"i{k}", "one", 90.0, trial=f"again{k}", purpose="repeat", repeat_of=f"b/i{k}"),
        )
    ]
    assert names(wild, "retest") == {"b"} and names(wild, "retest", pairs=6) == set()


def test_rules_see_everybody_so_their_order_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    answers = table(
        {f"l{k}": {name: rng.uniform(0, 100, 4).tolist() for name in ("reference", "mid", "low")} for k in range(8)}
        | {
            f"g{k}": {"reference": [99.0] * 4, "mid": [95.0 if k == 0 else 50.0] * 4, "low": [10.0] * 4}
            for k in range(8)
        }
    )
    found = []
    for order in permutations(("hidden_reference", "mid_anchor", "strict")):
        mixed = [answers[k] for k in rng.permutation(len(answers))]
        screened = screen(mixed, [Screening(rule=rule) for rule in order], anchors=ANCHORS)
        found.append((screened.excluded, {rule: screened.per_rule[rule] for rule in sorted(order)}))
        alone = [names(answers, rule) for rule in order]
        assert set(screened.excluded) == set.union(*alone)
    assert all(one == found[0] for one in found) and found[0][0]


def test_nothing_is_deleted_and_no_rule_keeps_everybody() -> None:
    answers = table({"a": {"reference": [0.0] * 4}, "b": {"reference": [100.0] * 4}})
    before = list(answers)
    screened = screen(answers, [Screening(rule="hidden_reference")])
    assert answers == before and screened.rate == 0.5 and {one.listener for one in screened.kept} == {"b"}
    assert list(screen(answers, []).kept) == answers
    assert screened.to_json()["kept"] == 1 and "15 %" in screened.said["hidden_reference"]


@pytest.mark.parametrize(
    ("rule", "numbers", "match"),
    [("hidden-reference", {}, "no such rule"), ("gold", {"most": 1.0}, "no number called most")],
)
def test_unknown_rules_and_numbers_are_refused(rule: str, numbers: dict[str, float], match: str) -> None:
    with pytest.raises(StudyError, match=match):
        screen([], [Screening(rule=rule, numbers=numbers)])


def test_grades_far_out_are_flagged_by_the_standards_quartiles() -> None:
    answers = table({f"l{k}": {"one": [value]} for k, value in enumerate([50.0, 52, 54, 56, 99])})
    [outlier] = flag_outliers(answers)
    # Halves with the middle value in both: 50 52 54 | 54 56 99, so Q1 = 52, Q3 = 56.
    assert (outlier.listener, outlier.low, outlier.high) == ("l4", 46.0, 62.0)
    assert outlier.to_json()["value"] == 99.0


def test_every_rule_says_what_it_does_and_fits_its_study() -> None:
    for rule in RULES.values():
        assert "{" not in rule.said({}) and rule.title and rule.source
        assert screen([], [Screening(rule=rule.name)], anchors=ANCHORS).excluded == {}
    tiny = study(Question(id="q", kind="mushra"))
    assert anchors_of(tiny) == ANCHORS
    fitting = {screening.rule for screening in suggested(tiny)}
    assert {"hidden_reference", "mid_anchor", "retest", "headphones"} <= fitting
    assert not {"variance", "gold", "traps", "difference_grades"} & fitting
    votes = study(
        Question(id="v", kind="acr"),
        anchors=(),
        gold=(Gold(item="i0", question="v", expect={"one": 1.0}),),
        items=1,
    )
    assert {"variance", "gold"} <= {screening.rule for screening in suggested(votes)}
    assert anchors_of(votes) == Anchors()
