"""Finding ratings again: filters, order, pages, counts, and that a list is never older than the store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separation.errors import RatingError
from separation.ratings import ClipFolder, Store
from separation.ratings.browse import Catalogue, Filter, overview
from separation.ratings.export import entries
from separation.signals import Signal
from tests.ratings.made_ratings import event

BLIND: dict[str, Any] = {"seconds": {"vocals": 4.0}, "saw_model": False, "saw_metrics": False, "saw_views": False}


class House:
    """A store, its clips, and a clock that goes an hour a trial."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_700_000_000.0
        self.store = Store(f"sqlite:///{folder / 'ratings.db'}", clock=lambda: self.now)
        self.clips = ClipFolder(folder / "clips")
        self.catalogue = Catalogue(self.store, self.clips)

    def rate(
        self, name: str, *events: Any, model: str = "vocals", listener: str = "anna", clip: str | None = None
    ) -> str:
        """The token of a new trial in which this was said."""
        self.now += 3600
        served = {"name": name, "model": model, "hidden": True}
        _, token = self.store.serve(listener, "rating", served, {} if clip is None else {"stem:vocals": clip})
        self.store.save(token, [event(number, **fields) for number, fields in enumerate(events)])
        return token

    def found(self, **wanted: Any) -> list[str]:
        """The names that a filter finds, oldest first."""
        total, lines = self.catalogue.find(Filter(**wanted), descending=False)
        assert total == len(lines)
        return [str(line.trial.served["name"]) for line in lines]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


def answer(value: int, stem: str = "vocals", scale: str = "overall") -> dict[str, Any]:
    return {"kind": "answer", "stem": stem, "scale": scale, "value": value}


def mark(label: str, stem: str = "vocals", name: str = "mark-001") -> dict[str, Any]:
    return {"kind": "mark", "mark": name, "stem": stem, "start": 1.0, "end": 2.0, "label": label, "severity": 2}


@pytest.fixture
def mixed(house: House) -> House:
    return fill(house)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests that only look."""
    house = fill(House(tmp_path_factory.mktemp("calm")))
    yield house
    house.store.close()


def fill(house: House) -> House:
    signal = Signal(np.zeros((1, 100), np.float32), 8000)
    kept = house.clips.put(signal)
    house.rate(
        "first", {"kind": "heard", **BLIND}, answer(2), mark("bleed"), {"kind": "consent", "training": True}, clip=kept
    )
    house.rate(
        "second", answer(5, "drums"), answer(4, scale="artefacts"), {"kind": "comment", "text": "Like a TIN can"}
    )
    house.rate(
        "third", {"kind": "heard", **BLIND | {"saw_model": True}}, mark("gap", "drums"), model="other", listener="bert"
    )
    house.rate("silent", {"kind": "heard", **BLIND}, clip="ab" * 32)
    return house


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["first", "second", "third"]),
        ({"empty": True}, ["first", "second", "third", "silent"]),
        ({"model": "other"}, ["third"]),
        ({"model": "nobody's"}, []),
        ({"kind": "study"}, []),
        ({"listener": "bert"}, ["third"]),
        ({"stem": "drums"}, ["second", "third"]),
        ({"scale": "artefacts"}, ["second"]),
        ({"low": 5}, ["second"]),
        ({"scale": "overall", "high": 2}, ["first"]),
        ({"stem": "vocals", "low": 5}, []),
        ({"label": "bleed"}, ["first"]),
        ({"label": "gap", "stem": "vocals"}, []),
        ({"blind": True}, ["first"]),
        ({"blind": True, "label": "gap"}, []),
        ({"blind": True, "label": "bleed"}, ["first"]),
        ({"consented": True}, ["first"]),
        ({"audio": True}, ["first"]),
        ({"text": "tin"}, ["second"]),
        ({"text": "FIRS"}, ["first"]),
        ({"since": 1_700_000_000 + 2 * 3600}, ["second", "third"]),
        ({"until": 1_700_000_000 + 2 * 3600}, ["first"]),
    ],
)
def test_a_filter_finds_what_it_says(calm: House, wanted: dict[str, Any], names: list[str]) -> None:
    assert calm.found(**wanted) == names


def test_pages_and_orders(calm: House) -> None:
    def names(sort: str, **more: Any) -> list[str]:
        return [
            str(line.trial.served["name"]) for line in calm.catalogue.find(Filter(empty=True), sort=sort, **more)[1]
        ]

    assert names("served") == ["silent", "third", "second", "first"]
    assert names("overall")[:2] == ["second", "first"]
    assert names("model", descending=False)[0] == "third"
    assert names("name", descending=False) == ["first", "second", "silent", "third"]
    assert names("heard", descending=False)[0] == "second" and set(names("marks")[:2]) == {"first", "third"}
    assert names("served", start=1, count=2) == ["third", "second"]
    assert calm.catalogue.find(Filter(), start=0, count=1)[0] == 3
    with pytest.raises(RatingError, match=r"no order 'colour'.*served"):
        names("colour")


def test_the_list_follows_the_store(house: House) -> None:
    assert house.found() == []
    token = house.rate("new", answer(3))
    assert house.found(low=3, high=3) == ["new"]
    before = house.catalogue.version()
    house.store.save(token, [event(5, **answer(1))])
    assert house.found(low=3) == [] and house.catalogue.version() != before
    house.store.save(token, [event(6, kind="answer", stem="vocals", scale="overall", value=None)])
    assert house.found() == [] and house.found(empty=True) == ["new"]
    house.store.withdraw(token)
    assert house.found(empty=True) == []


def test_lines_are_read_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.rate("one", answer(3))
    first = house.catalogue.lines()
    monkeypatch.setattr(house.store, "snapshot", lambda *_: pytest.fail("nothing has changed"))
    assert house.catalogue.lines() is first


def test_an_overview_counts_what_stands(mixed: House) -> None:
    mixed.store.withdraw(mixed.rate("gone", answer(1)))
    mixed.now += 5 * 86400
    mixed.rate("later", {"kind": "heard", **BLIND}, answer(2), {"kind": "consent", "training": False}, listener="cora")
    lines = mixed.catalogue.lines()
    found = overview(lines, mixed.clips, withdrawn=mixed.store.count()["withdrawn"])
    assert (found.trials, found.rated, found.listeners, found.withdrawn) == (5, 4, 3, 1)
    assert (found.consented, found.declined, found.audio, found.comments) == (1, 1, 1, 1)
    assert found.scales["overall"] == [0, 2, 0, 0, 1] and found.scales["artefacts"] == [0, 0, 0, 1, 0]
    assert found.blind == 0.5 and found.hours == pytest.approx(16 / 3600)
    assert (found.marks["bleed"], found.marks["gap"], found.marks["other"]) == (1, 1, 0)
    assert found.days == {"2023-11-14": 1, "2023-11-15": 2, "2023-11-20": 1}
    assert found.events == sum(line.events for line in lines) and found.to_json()["trials"] == 5


def test_an_empty_store_has_no_shares(house: House) -> None:
    found = overview(house.catalogue.lines(), house.clips, withdrawn=0)
    assert (found.trials, found.blind, found.days) == (0, None, {})


def test_choices_name_what_there_is(calm: House) -> None:
    choices = calm.catalogue.choices()
    assert choices["models"] == ["other", "vocals"] and choices["stems"] == ["drums", "vocals"]
    assert choices["kinds"] == ["rating"] and "bleed" in choices["labels"] and "overall" in choices["scales"]


def test_a_trial_that_lacks_every_field_does_not_break_the_list(house: House) -> None:
    """Restored from elsewhere: it may lack all that this version writes."""
    trial, token = house.store.serve("anna", "rating", {"name": 3, "model": None}, {})
    house.store.save(token, [event(1, **answer(4))])
    assert house.catalogue.find(Filter(text="x"))[0] == 0
    (line,) = house.catalogue.find(Filter(listener="anna"))[1]
    assert line.model == "unknown" and replace(line.trial, served={}) == replace(trial, served={})


@pytest.mark.parametrize("kind", ["study", "compare"])
def test_trials_of_other_kinds_are_no_ratings(house: House, kind: str) -> None:
    lines = house.catalogue.lines()
    trial, token = house.store.serve("anna", kind, {"job": "j"}, {})
    house.store.save(token, [event(1, **answer(4))])
    assert house.catalogue.lines() == lines and kind not in house.catalogue.choices()["kinds"]
    assert house.store.raters(["j"]) == {"j": frozenset()}
    assert trial.id not in {entry.trial.id for entry in entries(house.store)}
    assert [entry.trial.id for entry in entries(house.store, kind=kind)] == [trial.id]
    before = house.store.count("rating")
    assert house.store.count(kind) == {"trials": 1, "events": 1, "listeners": 1, "withdrawn": 0}
    house.store.withdraw(token)
    assert house.store.count("rating") == before and house.store.count(kind)["withdrawn"] == 1
