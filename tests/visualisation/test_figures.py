"""Figures hold the numbers they were given, name what they show, and leave colours to the page."""

import json
import re
from typing import Any

import numpy as np
import pytest

from separation.visualisation.figures import (
    SERIES,
    Axis,
    Figure,
    differences,
    distribution,
    plotly_script,
    scatter,
    track_by_second,
)

SDR = Axis("SDR", "dB")
VALUES = {"good": {"a": 9.0, "b": 7.0}, "bad <i>": {"a": 2.0, "b": 1.0}}


def every(value: Any) -> list[Any]:
    """All leaves of a JSON-able value."""
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in every(each)]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in every(each)]
    return [value]


def figures() -> dict[str, Figure]:
    values = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.inf]])
    return {
        "box": distribution(VALUES, SDR, lines={"Floor": -1.0}),
        "violin": distribution(VALUES, SDR, kind="violin"),
        "heat": track_by_second(["a", "b"], [0, 1, 2], values, SDR, reasons={(0, 1): "silent reference"}),
        "scatter": scatter({"good": {"a": (1.0, 2.0)}}, SDR, Axis("PES", better="lower")),
        "pair": differences("one", "other", {"a": 1.0, "b": -2.0}, SDR),
    }


@pytest.mark.parametrize("name", ["box", "violin", "heat", "scatter", "pair"])
def test_every_figure_is_json_with_words_a_table_and_no_colours_of_its_own(name: str) -> None:
    made = figures()[name].to_dict()
    assert json.loads(json.dumps(made, allow_nan=False))["layout"]["height"] >= 150
    assert made["label"] and all(len(row) == len(made["columns"]) for row in made["rows"])
    colours = [leaf for leaf in every(made["data"]) + every(made["layout"]) if isinstance(leaf, str)]
    assert not [text for text in colours if re.fullmatch(r"#[0-9a-fA-F]{3,8}", text) and name != "heat"]
    assert any("var(--earshot-" in text for text in colours)


@pytest.mark.parametrize("name", ["box", "violin", "scatter"])
def test_names_are_text_and_never_markup(name: str) -> None:
    made = scatter({"<img src=x>": {"<b>": (1.0, 2.0)}}, SDR, SDR) if name == "scatter" else None
    made = made or distribution({"<img src=x>": {"<b>": 1.0}}, SDR, kind=name)  # type: ignore[arg-type]
    assert not [t for t in every(made.spec) if isinstance(t, str) and ("<img" in t or t == "<b>")]
    assert made.rows[0][:2] == ("<img src=x>", "<b>"), "the table is text, and stays as it is"


def test_a_spread_shows_every_track_and_lines_for_bounds() -> None:
    made = figures()["box"]
    assert [trace["type"] for trace in made.spec["data"]] == ["box", "box"]
    assert list(made.spec["data"][0]["x"]) == [9.0, 7.0] and list(made.spec["data"][0]["text"]) == ["a", "b"]
    assert made.spec["layout"]["shapes"][0]["x0"] == -1.0
    assert made.spec["layout"]["annotations"][0]["text"] == "Floor -1.0"
    low, high = made.spec["layout"]["xaxis"]["range"]
    assert low < -1.0 and high > 9.0, "the floor and the best are inside"
    assert ("good", "a", 9.0) in made.rows and ("Floor", "median over tracks", -1.0) in made.rows


def test_a_map_says_why_there_is_no_value_and_resists_outliers() -> None:
    made = figures()["heat"]
    (trace,) = made.spec["data"]
    assert list(map(list, trace["z"])) == [[1.0, None, 3.0], [4.0, 5.0, None]]
    assert trace["text"][0][1] == "no value: silent reference" and trace["text"][1][2] == "infinite"
    assert made.rows[1] == ("a", 1, None, "silent reference")
    values = np.ones((1, 200))
    values[0, 0] = -60.0
    scale = track_by_second(["a"], list(range(200)), values + np.arange(200) / 100, SDR).spec["data"][0]
    assert scale["zmin"] > 0, "one silent second does not flatten all others"


def test_an_empty_map_is_still_a_figure() -> None:
    made = track_by_second(["a"], [0.0], np.array([[np.nan]]), SDR)
    assert made.spec["data"][0]["zmin"] < made.spec["data"][0]["zmax"]


def test_where_lower_is_better_the_colours_turn_round() -> None:
    made = track_by_second(["a"], [0, 1], np.array([[1.0, 2.0]]), Axis("PES", better="lower"))
    assert made.spec["data"][0]["reversescale"] is True


def test_differences_are_sorted_and_the_leader_has_the_first_colour() -> None:
    bar = differences("one", "other", {"a": 1.0, "b": -2.0, "c": 3.0}, SDR).spec["data"][0]
    assert list(bar["x"]) == [-2.0, 1.0, 3.0]
    assert [colour[-2] for colour in bar["marker"]["color"]] == ["2", "1", "1"]
    lower = differences("one", "other", {"a": 1.0}, Axis("PES", better="lower")).spec["data"][0]
    assert lower["marker"]["color"][0].endswith("-2)"), "a smaller number is the better one"


def test_models_beyond_the_colours_get_other_marks() -> None:
    made = distribution({f"m{i}": {"a": 1.0} for i in range(2 * SERIES)}, SDR).spec["data"]
    looks = {(trace["marker"]["color"], trace["marker"]["symbol"]) for trace in made}
    assert len(looks) == 2 * SERIES


def test_the_script_is_plotlys_own() -> None:
    script, version = plotly_script()
    assert b"plotly.js v" in script[:400] and version[0].isdigit()
