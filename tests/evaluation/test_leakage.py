"""What a card says it was trained on is held against what is measured."""

from pathlib import Path

import pytest
from small_data import make_model

from separation.datasets import Track
from separation.evaluation import leaks
from separation.hub import describe


@pytest.fixture
def card(tmp_path):
    lines = (
        "MIR-1K, five of its singers (research use)",
        "TSP speech, speakers FA and MC (CC-BY-4.0)",
        "Own recordings",
    )
    return describe(make_model(tmp_path / "tiny", trained_on=lines))


def track(*material: str) -> Track:
    return Track("t", {"vocals": Path("v.wav")}, frozenset(material))


def test_the_data_set_is_named(card):
    assert leaks(card, ["the original MIR-1K"]) == [
        "trained on this data set, says its card: MIR-1K, five of its singers (research use)"
    ]


def test_material_is_named(card):
    found = leaks(card, ["speech by speaker"], [track("speaker:tsp:FA"), track("speaker:tsp:FB")])
    assert found == [
        "trained on speaker:tsp:FA, which is in this data, says its card: TSP speech, speakers FA and MC (CC-BY-4.0)"
    ]


@pytest.mark.parametrize("described", ["MUSDB18", "a folder of stems", "recordings", "CC-BY-4.0 songs"])
def test_no_flag_for_what_is_not_named(described, card):
    assert leaks(card, [described], [track("speaker:other:FA", "singer:amy")]) == []
