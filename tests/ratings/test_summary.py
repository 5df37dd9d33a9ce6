"""Counts, means over listeners, and agreement."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from separation.ratings import Store
from separation.ratings.summary import summarise
from separation.statistics import cluster_bootstrap, ordinal_alpha
from tests.ratings.made_ratings import event


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'ratings.db'}")
    yield opened
    opened.close()


def rate(store: Store, listener: str, clip: str, value: int, *, model: str = "vocals", blind: bool = False) -> str:
    _, token = store.serve(listener, "rating", {"model": model}, {"stem:vocals": clip * 64})
    heard = event(1, kind="heard", seconds={"vocals": 3.0}, saw_model=not blind, saw_metrics=False, saw_views=False)
    store.save(token, [heard, event(2, stem="vocals", scale="overall", value=value)])
    return token


def test_an_empty_store(store: Store) -> None:
    found = summarise(store)
    assert (found.trials, found.raters, found.scales, found.agreement, found.blind) == (0, 0, {}, {}, None)
    assert set(found.marks.values()) == {0}


def test_counts_means_and_agreement(store: Store) -> None:
    rate(store, "anna", "a", 4, blind=True)
    rate(store, "anna", "a", 2)  # later: counts for agreement
    rate(store, "bert", "a", 3)
    last = rate(store, "cora", "b", 5, model="other")
    mark = {"mark": "mark-001", "stem": "vocals", "start": 0.0, "end": 1.0, "label": "gap", "severity": 1}
    store.save(last, [event(3, kind="mark", **mark), event(4, kind="consent", training=True)])
    store.withdraw(rate(store, "dora", "b", 1))
    store.serve("emil", "rating", {}, {})
    found = summarise(store)
    assert (found.trials, found.rated, found.raters, found.withdrawn, found.consented) == (5, 4, 3, 1, 1)
    assert found.seconds == 12.0 and found.blind == 0.25 and found.marks["gap"] == 1
    expected = cluster_bootstrap([4.0, 2.0, 3.0, 5.0], ["anna", "anna", "bert", "cora"])
    line = found.scales["overall"]
    assert (line.answers, line.listeners, line.mean) == (4, 3, 3.5)
    assert (line.low, line.high) == pytest.approx((expected.low, expected.high))
    assert found.models["other"]["overall"].low is None, "one listener has no interval"
    (agreement,) = found.agreement.values()
    assert agreement.alpha == ordinal_alpha([[2, 3], [5]]).alpha
    assert (agreement.clips, agreement.pairs, agreement.difference, agreement.within_one) == (1, 1, 1.0, 1.0)
    assert found.to_json()["scales"]["overall"]["answers"] == 4
