"""A chart is drawn twice from the same numbers: for the page in its colours, for paper in SVG, PDF and PNG."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest

from separation.statistics import quartiles
from separation.visualisation.figures import Axis
from separation.visualisation.rating_figures import FORMATS, Chart, ChartKind, Row, inline_svg, interactive, picture

POINTS = Axis("rating", "points")
KINDS: tuple[ChartKind, ...] = ("box", "violin", "interval", "forest")


def chart(kind: ChartKind) -> Chart:
    if kind in ("box", "violin"):
        rows = (
            Row("Hidden reference", (100.0, 100.0, 100.0), systematic=False),
            Row("Model <A> & Co", (40.0, 55.0, 60.0, 62.0, 99.0)),
            Row("never rated"),
            Row("rated once", (30.0,)),
        )
    else:
        rows = (
            Row("A − B", point=10.0, low=4.0, high=16.0, note="p = 0.010"),
            Row("A − C", point=-3.0),
            Row("nothing"),
        )
    ends = (0.0, 100.0) if kind != "forest" else None
    return Chart(kind, "Overall", POINTS, rows, ends, ("Bad", "Good") if ends else ())


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_gets_json_a_table_and_no_colours_of_its_own(kind: ChartKind) -> None:
    figure = interactive(chart(kind))
    text = json.dumps(figure.to_dict(), allow_nan=False)
    assert figure.label.startswith("Overall") and all(len(row) == len(figure.columns) for row in figure.rows)
    assert len(figure.rows) == len(chart(kind).rows)
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", text) and "<A>" not in json.dumps(figure.spec)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("format", "magic"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_paper_gets_the_same_bytes_for_the_same_chart(kind: ChartKind, format: str, magic: bytes) -> None:
    made = picture(chart(kind), format)  # type: ignore[arg-type]
    assert made.startswith(magic) and made == picture(chart(kind), format)  # type: ignore[arg-type]
    assert format in FORMATS


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="pictures are svg, pdf, png, not gif"):
        picture(chart("box"), "gif")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_inside_a_page_are_well_formed_labelled_and_do_not_share_names(kind: ChartKind) -> None:
    one, other = (inline_svg(chart(kind), name) for name in ("first", "second"))
    root = ElementTree.fromstring(one)
    assert root.get("role") == "img" and root.get("aria-label") == chart(kind).label
    names = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert names[0] and not names[0] & names[1]
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', one)) <= {(name, "") for name in names[0]} | {
        ("", name) for name in names[0]
    }


def test_boxes_have_the_quartiles_of_the_standard_in_either_drawing() -> None:
    figure = interactive(chart("box"))
    row = dict(zip(figure.columns, figure.rows[1], strict=True))
    assert (row["first quartile"], row["third quartile"]) == quartiles((40, 55, 60, 62, 99)) == (55.0, 62.0)
    assert (row["median"], row["ratings"]) == (60.0, 5)
    assert all(trace["quartilemethod"] == "inclusive" for trace in figure.spec["data"])
    assert figure.rows[2] == ("never rated", 0, None, None, None, None, None)


def test_intervals_and_notes_are_in_the_table_and_zero_is_in_sight() -> None:
    forest = interactive(chart("forest"))
    assert forest.rows[0] == ("A − B", 10.0, 4.0, 16.0, "p = 0.010") and forest.rows[2][1] is None
    low, high = chart("forest").limits()
    assert low < -3 < 0 < 16 < high
    assert b"p = 0.010" in picture(chart("forest")) and len(forest.spec["data"]) == 2


def test_words_of_the_scale_stand_over_its_parts() -> None:
    drawn = picture(chart("interval")).decode()
    assert ">Bad<" in drawn and ">Good<" in drawn and b">Bad<" not in picture(chart("forest"))


def test_pictures_drawn_at_once_are_the_same_as_one_after_another() -> None:
    alone = {kind: picture(chart(kind)) for kind in KINDS}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda kind: (kind, picture(chart(kind))), KINDS * 2))
    assert all(drawn == alone[kind] for kind, drawn in together)
