"""The report names what is needed to do it again, says the same in HTML and Markdown, and lets nobody write into it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from separation import __version__
from separation.listening.analysis import analyse
from separation.listening.answers import Answer
from separation.listening.findings import Analysis
from separation.listening.plans import make_plan
from separation.listening.prepared import ItemAudio, Prepared, Stimulus
from separation.listening.report import blocks, charts, html, markdown, write_report
from separation.listening.simulated import dry_run
from separation.listening.study import Assignment, Question, Screening, Study, study_hash
from tests.listening.made_answers import answer, study

EVIL = "<script>alert(1)</script> | *a* [b](http://c)\nnew line"
OF = study(
    Question(id="q", kind="mushra", comment=True),
    Question(id="v", kind="ab"),
    screening=(Screening(rule="hidden_reference", numbers={"below": 91}), Screening(rule="too_fast")),
)


def answers() -> list[Answer]:
    rng = np.random.default_rng(1)
    rows = [
        answer(f"l{k}", f"i{i}", name, float(np.clip(rng.normal(mean, 6), 0, 100).round()) if mean < 99 else 100.0)
        for k in range(8)
        for i in range(4)
        for name, mean in (("reference", 99), ("one", 70), ("two", 50), ("three", 30), ("low", 20), ("mid", 45))
    ]
    rows += [answer("bad", f"i{i}", "reference", 10.0) for i in range(4)]
    rows += [answer(f"l{k}", "i0", "one", 1.0, question="v", kind="ab", other="two", trial=f"v{k}") for k in range(8)]
    return [*rows, answer("l0", "i0", "", None, attribute="comment", text=EVIL)]


def prepared() -> Prepared:
    stimuli = tuple(
        Stimulus(item.id, name, f"x{name}", -2.25, -23.04, 12, 7900.0, f"{name}{item.id}" * 8, ("quiet",))
        for item in OF.items
        for name in ("one", "two")
    )
    items = {item.id: ItemAudio(44100, 2, 441000) for item in OF.items}
    anchors = {"low": "low-passed at 3.5 kHz by 511 taps", "mid": "low-passed at 7 kHz by 511 taps"}
    return Prepared(OF.name, study_hash(OF), stimuli, items, {"one": "rev abc123", "two": "sha 99"}, -1.75, anchors)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(OF, answers(), draws=300, seed=42)


class Reader(HTMLParser):
    """Counts elements, and what is fetched from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.links += [
            value for name, value in attrs if name in ("src", "href") and value and not value.startswith("#")
        ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_names_rules_anchors_gains_versions_hash_and_seeds(analysis: Analysis) -> None:
    plan = make_plan(OF)
    for text in (
        html(OF, analysis, prepared=prepared(), plan=plan),
        markdown(OF, analysis, prepared=prepared(), plan=plan),
    ):
        for fact in (
            study_hash(OF), study_hash(OF)[:12], __version__, "42", "rev abc123", "sha 99", "low-passed at 3.5 kHz by 511 taps",
            "-2.25", "-1.75 dB", "-23.0", "7900", "quiet", "below 91", "15 %", "12 orders", "numpy", "statsmodels", "Holm",
            "all pairs of systems", "Krippendorff", "Bradley-Terry",
        ):  # fmt: skip
            assert fact in text, fact


def test_who_was_left_out_stands_with_the_reason_and_every_rule_alone(analysis: Analysis) -> None:
    text = markdown(OF, analysis)
    assert "8 of 9 listeners count" in text
    assert re.search(r"\| bad \| Hidden reference: the hidden reference below 91 on 4 of 4 items", text)
    assert re.search(r"\| too\\_fast \|.*\| 0 \| nobody \|", text)
    assert "No rule: every listener counts." in markdown(OF, analyse(OF, answers(), rules=[], draws=100))


def test_the_html_is_one_file_with_its_pictures_and_no_script(analysis: Analysis) -> None:
    read = Reader(html(OF, analysis, prepared=prepared()))
    assert not read.open and "script" not in read.count and "img" not in read.count
    assert read.count["svg"] == 4 and read.links == []  # box, interval, forest; strength
    ids = re.findall(r'\bid="([^"]+)"', html(OF, analysis))
    assert len(ids) == len(set(ids))


def test_what_listeners_write_is_words_in_either(analysis: Analysis) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html(OF, analysis)
    text = markdown(OF, analysis)
    assert "\\<script\\>alert(1)\\</script\\> | \\*a\\* \\[b\\](http://c) new line" in text


def test_tables_of_markdown_have_as_many_cells_in_every_row(analysis: Analysis) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", markdown(OF, analysis, prepared=prepared()), re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}
        assert len(widths) == 1 and len(table.splitlines()) >= 2


def test_numbers_are_the_analysis(analysis: Analysis) -> None:
    line = next(one for one in analysis.questions[0].lines if one.condition == "one")
    quartiles, ends = f"{line.q1:.1f} to {line.q3:.1f}", f"{line.low:.1f} to {line.high:.1f}"
    row = f"| One | 8 | 32 | {line.median:.1f} | {quartiles} | {line.mean:.1f} | {ends} |"
    assert row in markdown(OF, analysis)


def test_the_folder_has_everything(analysis: Analysis, tmp_path: Path) -> None:
    written = write_report(tmp_path / "out", OF, analysis)
    assert all(path.stat().st_size > 100 for path in written)
    there = {str(path.relative_to(tmp_path / "out")) for path in written}
    assert {
        "report.html",
        "report.md",
        "analysis.json",
        "figures/q-overall-violin.pdf",
        "figures/v-overall-strength.png",
    } <= there
    assert json.loads((tmp_path / "out/analysis.json").read_text("utf-8"))["hash"] == study_hash(OF)
    text = (tmp_path / "out/report.md").read_text("utf-8")
    for name in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert name in there
    assert text.count("](figures/") == 4


@pytest.mark.parametrize("kind", ["acr", "bs1116", "abx", "ranking", "text", "marks"])
def test_every_kind_of_question_can_be_reported(kind: str) -> None:
    of: Study = study(Question(id="q", kind=kind, comment=True), items=2, assignment=Assignment(listeners=6, repeats=0))  # type: ignore[arg-type]
    analysis = dry_run(of, draws=100, listeners={"attentive": 6}).analysis
    assert not Reader(html(of, analysis)).open
    assert (list(blocks(of, analysis)) and f"({kind}, overall quality)" in markdown(of, analysis)) or kind == "p835"
    assert all(chart.rows for judged in analysis.questions for chart in charts(judged).values())


def test_no_answers_are_a_report_too() -> None:
    text = markdown(OF, analyse(OF, [], draws=100))
    assert "There are no answers." in text and "0 of 0 listeners count" in text
