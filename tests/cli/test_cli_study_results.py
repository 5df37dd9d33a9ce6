"""`earshot study dry-run | report | export | import | power`, as people type them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from separation.cli import app
from separation.listening.exports import FORMATS, READABLE, export, read
from separation.listening.plans import dump_plan, make_plan
from separation.listening.prepared import PREPARED_FILE
from separation.listening.simulated import likely_truth, simulate
from separation.listening.study import Assignment, Screening, Study, dump_study
from tests.listening.made_answers import study
from tests.listening.small_study import small_study, write_study

RUN = CliRunner()
TRUTH = {"reference": 100.0, "one": 80.0, "two": 60.0, "three": 40.0, "low": 22.0, "mid": 50.0}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one study, without its audio."""
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "studies" / "tiny"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(dump_study(tiny()), encoding="utf-8")
    (folder / "plan.json").write_text(dump_plan(make_plan(tiny())), encoding="utf-8")
    return tmp_path


def tiny() -> Study:
    rules = (Screening(rule="hidden_reference"), Screening(rule="never_played"), Screening(rule="headphones"))
    return study(screening=rules, assignment=Assignment(listeners=20, repeats=0.2))


def earshot(*arguments: object, code: int = 0) -> str:
    """Standard output and error of a command that ends like this."""
    done = RUN.invoke(app, ["study", *map(str, arguments)])
    if code == 2:
        assert done.exception is not None
        return str(done.exception)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.output


def answers(home: Path) -> Path:
    """A table of simulated answers, made by `import` from a folder as webMUSHRA writes it."""
    rows = simulate(tiny(), make_plan(tiny()), {"attentive": 8, "lazy": 1}, TRUTH, 1)
    export(tiny(), rows, home / "results", "webmushra")
    told = earshot("import", "tiny", home / "results", "--format", "webmushra", "--output", home / "a.parquet")
    assert "of 9 listeners" in told
    return home / "a.parquet"


def test_a_dry_run_says_whether_to_launch(home: Path) -> None:
    told = earshot("dry-run", "tiny", "--seed", 1)
    assert "The report finds what was put in." in told and "always-100" in told
    done = json.loads(earshot("dry-run", home / "data/studies/tiny/study.yaml", "--listeners", 10, "--json"))
    assert done["ok"] and sum(done["listeners"].values()) == 10
    lax = tiny().model_copy(update={"name": "lax", "screening": (Screening(rule="retest", numbers={"apart": 100}),)})
    (home / "lax.yaml").write_text(dump_study(lax), encoding="utf-8")
    assert "Do not launch it like this." in earshot("dry-run", home / "lax.yaml", code=1)


def test_results_of_webmushra_become_a_report(home: Path) -> None:
    table = answers(home)
    metrics = home / "m.csv"
    lines = [f"i{k},{name},sdr,{value}" for k in range(4) for name, value in (("one", 9), ("two", 6), ("three", k))]
    metrics.write_text("\n".join(["item,condition,metric,value", *lines]), encoding="utf-8")
    told = earshot("report", "tiny", "--output", home / "out", "--answers", table, "--metrics", metrics)
    assert "8 of 9 listeners, 1 questions" in told and (home / "out/figures/q-overall-forest.svg").is_file()
    assert "sdr" in (home / "out/report.md").read_text("utf-8")
    given = ("--without", "hidden_reference", "--without", "never_played")
    assert "9 of 9 listeners" in earshot("report", "tiny", "--output", home / "raw", "--answers", table, *given)


def test_a_report_is_drawn_and_measured_as_on_the_page(home: Path) -> None:
    """By the study's own seed, with the metrics that were measured there beside those that are given."""
    page = small_study(seed=7)
    folder = write_study(home / "data" / "page", page)
    prepared = json.loads((folder / PREPARED_FILE).read_text("utf-8"))
    prepared["versions"]["inputs"] = "of-these-sounds"
    (folder / PREPARED_FILE).write_text(json.dumps(prepared), encoding="utf-8")
    names = [*(one.id for one in page.systems), *(one.id for one in page.anchors)]
    kept = [
        {"item": item.id, "condition": name, "metric": "si_sdr", "start": None, "duration": None, "value": value}
        for item in page.items
        for value, name in enumerate(names)
    ]
    (folder / "metrics.json").write_text(json.dumps({"inputs": "of-these-sounds", "rows": kept}), encoding="utf-8")
    export(page, simulate(page, make_plan(page), {"attentive": 4}, likely_truth(page), 1), home / "page.csv", "csv")
    lines = [f"{row['item']},{row['condition']},sdr,{row['value']}" for row in kept]
    (home / "m.csv").write_text("\n".join(["item,condition,metric,value", *lines]), encoding="utf-8")
    given = ("report", folder / "study.yaml", "--answers", home / "page.csv", "--metrics", home / "m.csv")
    earshot(*given, "--output", home / "out")
    earshot(*given, "--output", home / "other", "--seed", 3)
    found = [json.loads((home / name / "analysis.json").read_text("utf-8")) for name in ("out", "other")]
    assert [one["seed"] for one in found] == [7, 3]
    assert {line["metric"] for one in found[0]["questions"] for line in one["correlations"]} == {"si_sdr", "sdr"}


def test_answers_go_from_table_to_table_unchanged(home: Path) -> None:
    table = answers(home)
    rows = read(table, "parquet", tiny()).answers
    told = earshot("export", "tiny", "--answers", table, "--format", "csv", "--output", home / "b.csv")
    assert f"{len(rows)} answers" in told and read(home / "b.csv", "csv", tiny()).answers == rows
    p808 = ("--format", "p808", "--output", home / "p")
    refused = earshot("export", "tiny", "--answers", table, *p808, code=2)
    assert "no answers to questions of the kinds acr, dcr, p835" in refused and not (home / "p").exists()
    other = replace(rows[0], question="votes", kind="acr", value=3.0, purpose="test")
    export(tiny(), [*rows, other], home / "c.parquet", "parquet")
    assert "cannot say" in earshot("export", "tiny", "--answers", home / "c.parquet", *p808)


def test_a_study_without_answers_has_an_empty_report(home: Path) -> None:
    assert "There are no answers." in earshot("report", "tiny", "--output", home / "out")
    assert "0 events" in earshot("export", "tiny", "--format", "events", "--output", home / "e.jsonl")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("dry-run", "nothing"), "Choose from tiny"),
        (("report", "tiny", "--output", "OUT", "--answers", "a.txt"), "its name ends in .txt"),
        (("report", "tiny", "--output", "OUT", "--without", "gold"), "It screens by headphones, hidden_reference"),
        (("export", "tiny", "--output", "OUT", "--format", "preferences"), "its audio was not handed in"),
    ],
)
def test_what_cannot_be_done_says_what_can(home: Path, arguments: tuple[str, ...], match: str) -> None:
    given = [str(home / "out") if part == "OUT" else part for part in arguments]
    assert match in earshot(*given, code=2) and not (home / "out").exists()


def test_metrics_are_refused_by_line(home: Path) -> None:
    (home / "m.csv").write_text("item,condition,metric,value\ni0,one,sdr,loud\n", encoding="utf-8")
    told = earshot("report", "tiny", "--output", home / "out", "--metrics", home / "m.csv", code=2)
    assert "line 2 is none of item, condition, metric, value" in told


def test_power_is_planned_before_anybody_comes() -> None:
    told = json.loads(earshot("power", "--json"))
    assert told["smallest_80"] == pytest.approx(9.9, abs=0.05) and (told["needed_80"], told["needed_90"]) == (20, 26)
    assert "20 listeners see 9.91 points" in earshot("power")
    text = earshot("power", "--deviation", 12)
    for figure in ("90 / 119", "199 / 265", "351 / 469", "12 "):
        assert figure in text


def test_the_commands_offer_every_format() -> None:
    from separation.cli.study_results import Exports, Imports

    assert [one.value for one in Exports] == list(FORMATS) and [one.value for one in Imports] == list(READABLE)
