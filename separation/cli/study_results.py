"""`earshot study dry-run | report | export | import | power`: is a study good enough, what did it find, its answers as files.

Answers come from this installation's database, or with ``--answers`` from a table that `import` or `export` wrote.
"""

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from separation.cli.ratings import Database
from separation.cli.shared import Json, talk
from separation.cli.study import study_app
from separation.errors import DataError, StudyError
from separation.settings import Settings

if TYPE_CHECKING:
    from separation.listening.answers import Answer
    from separation.listening.plans import Plan
    from separation.listening.prepared import Prepared
    from separation.listening.screening import Checks
    from separation.listening.simulated import DryRun
    from separation.listening.study import Screening, Study


class Exports(StrEnum):
    csv = "csv"
    parquet = "parquet"
    events = "events"
    webmushra = "webmushra"
    pymushra = "pymushra"
    p808 = "p808"
    preferences = "preferences"


class Imports(StrEnum):
    csv = "csv"
    parquet = "parquet"
    webmushra = "webmushra"
    pymushra = "pymushra"
    p808 = "p808"


Name = Annotated[str, typer.Argument(metavar="STUDY", help="A study of this installation, or its file.")]
Answers = Annotated[
    Path | None,
    typer.Option("--answers", help="A .csv or .parquet of `import` or `export`; otherwise the database's."),
]
Seed = Annotated[int | None, typer.Option(help="Of everything that is drawn; otherwise as the study says.")]


@study_app.command(name="dry-run")
def dry_run(
    name: Name,
    listeners: Annotated[int | None, typer.Option(min=1, help="How many; otherwise as the study says.")] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Let simulated listeners take a study, and see whether its report finds what was put in. Status 1 if not."""
    from separation.listening import simulated
    from separation.listening.plans import make_plan

    study, _ = _study(name)
    done = simulated.dry_run(study, plan=make_plan(study, listeners=listeners), seed=_seed(study, seed))
    if as_json:
        print(json.dumps(done.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(done)
    if not done.ok:
        raise typer.Exit(1)


@study_app.command()
def report(
    name: Name,
    output: Annotated[Path, typer.Option(help="Folder for report.html, report.md, analysis.json and figures.")],
    answers: Answers = None,
    without: Annotated[list[str] | None, typer.Option(help="Do not screen by this rule; may be repeated.")] = None,
    unscreened: Annotated[bool, typer.Option("--unscreened", help="Screen by no rule at all.")] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV with the columns item, condition, metric, value; beside what was measured on the page.",
        ),
    ] = None,
    seed: Seed = None,
    database: Database = None,
) -> None:
    """Screen and analyse the answers of a study, and write its report."""
    from separation.listening.analysis import analyse
    from separation.listening.report import write_report
    from separation.ui.study_metrics import read_metrics

    study, folder = _study(name)
    found = _answers(study, folder, answers, database)
    rules = _rules(study, without or [], unscreened)
    whole, seconds = ({}, {}) if found.prepared is None else read_metrics(folder, found.prepared)
    given = {} if metrics is None else _metrics(metrics)
    analysis = analyse(
        study,
        found.answers,
        rules=rules,
        checks=found.checks,
        seed=_seed(study, seed),
        metrics={**whole, **given},
        seconds=seconds,
    )
    write_report(output, study, analysis, prepared=found.prepared, plan=found.plan)
    for warning in analysis.warnings:
        talk.print(warning, markup=False, soft_wrap=True)
    talk.print(
        f"{output / 'report.html'}: {analysis.kept} of {analysis.listeners} listeners, {len(analysis.questions)} questions",
        soft_wrap=True, markup=False,
    )  # fmt: skip


@study_app.command()
def export(
    name: Name,
    output: Annotated[Path, typer.Option(help="File, or folder for webmushra, p808, preferences; not there yet.")],
    format: Annotated[Exports, typer.Option(help="What it is for; docs/study-results.md.")] = Exports.parquet,
    answers: Answers = None,
    licence: Annotated[str, typer.Option(help="Of the recordings, for `preferences`.")] = "unknown",
    provenance: Annotated[str, typer.Option(help="Where they come from, for `preferences`.")] = "unknown",
    database: Database = None,
) -> None:
    """Write raw answers to files: nobody is left out but who withdrew."""
    from separation.listening import exports

    study, folder = _study(name)
    found = _answers(study, folder, answers, database)
    done = exports.export(
        study,
        found.answers,
        output,
        format.value,
        events=found.events,
        forms=found.forms,
        prepared=found.prepared,
        consented=found.consented,
        provenance={"licence": licence, "provenance": provenance},
    )
    rows = ", ".join(f"{count:,} {what}" for what, count in done.rows.items())
    talk.print(f"{output}: {rows or 'nothing'}", soft_wrap=True, markup=False)
    if done.missing:
        talk.print(f"{format.value} cannot say {', '.join(done.missing)}.", soft_wrap=True, markup=False)


@study_app.command(name="import")
def import_(
    name: Name,
    source: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="A file, or a folder of results.")],
    format: Annotated[Imports, typer.Option(help="What wrote it.")],
    output: Annotated[Path, typer.Option(help="A .csv or .parquet for `report --answers`; must not be there yet.")],
) -> None:
    """Turn the results of another program into a table of answers, and check that they fit the study."""
    from separation.listening import exports
    from separation.listening.analysis import check_answers

    study, _ = _study(name)
    done = exports.read(source, format.value, study)
    check_answers(study, done.answers)
    exports.export(study, done.answers, output, _table(output))
    listeners = len({answer.listener for answer in done.answers})
    talk.print(f"{output}: {len(done.answers):,} answers of {listeners:,} listeners", soft_wrap=True, markup=False)


@study_app.command()
def power(
    deviation: Annotated[
        float, typer.Option(min=0.001, help="Of paired differences of listeners' means; 15 of 100 points is usual.")
    ] = 15.0,
    listeners: Annotated[int, typer.Option(min=2, help="How many there will be.")] = 20,
    difference: Annotated[float, typer.Option(min=0.001, help="That should be seen.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Plan how many listeners a study needs, before anybody comes."""
    from separation import statistics

    told = {
        "listeners": listeners,
        "deviation": deviation,
        "difference": difference,
        "power": statistics.power(deviation, listeners, difference),
        "smallest_80": statistics.smallest_difference(deviation, listeners),
        "smallest_90": statistics.smallest_difference(deviation, listeners, power=0.9),
        "needed_80": statistics.listeners_needed(deviation, difference),
        "needed_90": statistics.listeners_needed(deviation, difference, power=0.9),
    }
    if as_json:
        print(json.dumps(told, indent=2))
        return
    table = Table("deviation", *(f"see {size:g}, 80 / 90 %" for size in (3, 5, 10)), box=SIMPLE_HEAD)
    for spread in sorted({10.0, 15.0, 20.0, deviation}):
        needed = [[statistics.listeners_needed(spread, size, power=p) for p in (0.8, 0.9)] for size in (3, 5, 10)]
        table.add_row(f"{spread:g}", *(f"{low} / {high}" for low, high in needed))
    console = Console(highlight=False)
    console.print(
        f"{listeners} listeners see {told['smallest_80']:.3g} points with 80 % chance, {told['smallest_90']:.3g} with 90 %. "
        f"A difference of {difference:g} is seen with {100 * told['power']:.0f} %; {told['needed_80']} listeners see it with "
        f"80 %, {told['needed_90']} with 90 %.",
        soft_wrap=True,
    )
    console.print("Listeners needed, by the deviation of paired differences:")
    console.print(table)


@dataclass(frozen=True)
class _Found:
    """What is known of a study's answers; from a table only the answers are."""

    answers: "list[Answer]"
    checks: "Checks"
    events: list[dict[str, Any]]
    forms: Mapping[str, Mapping[str, str]]
    consented: frozenset[str]
    prepared: "Prepared | None"
    plan: "Plan | None"


def _study(name: str) -> "tuple[Study, Path]":
    """A study by its file or its name, and its folder."""
    from separation.listening.prepared import STUDY_FILE, find_studies
    from separation.listening.study import read_study

    path = Path(name)
    if not path.is_file():
        home = Settings.from_environment().studies
        here = find_studies([home])
        if name not in here:
            raise StudyError(
                f"Open the study {name}",
                f"{home} has no folder of that name, and there is no such file",
                f"Choose from {', '.join(sorted(here)) or 'none yet: earshot study new'}",
            )
        path = here[name] / STUDY_FILE
    return read_study(path), path.parent


def _seed(study: "Study", given: int | None) -> int:
    """The study's own unless another is given, as on the page."""
    return study.seed if given is None else given


def _answers(study: "Study", folder: Path, table: Path | None, database: str | None) -> _Found:
    from separation.listening import exports, results
    from separation.listening.plans import parse_plan
    from separation.listening.preferences import consented
    from separation.listening.prepared import PLAN_FILE, read_prepared
    from separation.ratings import Store
    from separation.ratings.sessions import Sessions

    try:
        prepared = read_prepared(folder)
    except DataError:
        prepared = None  # a study of another program's results has no audio here
    path = folder / PLAN_FILE
    plan = parse_plan(path.read_text(encoding="utf-8")) if path.is_file() else None
    if table is not None:
        return _Found(exports.read(table, _table(table), study).answers, {}, [], {}, frozenset(), prepared, plan)
    if plan is None:
        raise StudyError(f"Read the answers of {study.name}", f"{folder} has no {PLAN_FILE}", "Launch it first")
    store = Store(database or Settings.from_environment().database_url)
    try:
        sessions = Sessions(store, clock=time.time)
        people = results.people(study.name, sessions, store)
        return _Found(
            results.answers(study, plan, sessions, store),
            results.checks(study.name, sessions, store),
            list(results.events(study.name, sessions, store)),
            {person.listener: {field: _words(value) for field, value in person.said.items()} for person in people},
            consented({person.listener: person.said for person in people}),
            prepared,
            plan,
        )
    finally:
        store.close()


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(path: Path) -> str:
    """The format of a table by its name."""
    if path.suffix not in (".csv", ".parquet"):
        raise StudyError(
            f"Use {path.name} as a table of answers",
            f"its name ends in {path.suffix or 'nothing'}",
            "Use .csv or .parquet",
        )
    return path.suffix[1:]


def _rules(study: "Study", without: Sequence[str], unscreened: bool) -> "tuple[Screening, ...]":
    known = {screening.rule for screening in study.screening}
    unknown = sorted(set(without) - known)
    if unknown:
        raise StudyError(
            f"Screen {study.name} without {', '.join(unknown)}",
            "the study does not screen by it",
            f"It screens by {', '.join(sorted(known)) or 'no rule'}",
        )
    return () if unscreened else tuple(screening for screening in study.screening if screening.rule not in without)


def _metrics(path: Path) -> dict[str, dict[tuple[str, str], float]]:
    """A table of objective metrics: metric -> (item, condition) -> value."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                found.setdefault(row["metric"], {})[row["item"], row["condition"]] = float(row["value"])
            except (KeyError, TypeError, ValueError) as error:
                told = f"line {reader.line_num} is none of item, condition, metric, value: {error}"
                raise StudyError(f"Read metrics from {path.name}", told, "Write these four columns") from error
    return found


def _show(done: "DryRun") -> None:
    console = Console(highlight=False)
    people = Table("listeners", *(Column(head, justify="right") for head in ("how many", "left out")), box=SIMPLE_HEAD)
    for mood, count in done.listeners.items():
        people.add_row(mood, str(count), str(done.caught[mood]))
    console.print(people)
    heads = [Column(head, justify="right") for head in ("truth", "found", "95 %", "order")]
    table = Table("question", "pair", *heads, box=SIMPLE_HEAD)
    for one in done.recovered:
        ends = "–" if one.low is None or one.high is None else f"{one.low:.2f} to {one.high:.2f}"
        truth, estimate = ("–" if value is None else f"{value:.2f}" for value in (one.truth, one.estimate))
        table.add_row(f"{one.question} ({one.attribute})", f"{one.a} − {one.b}", truth, estimate, ends, one.order)
    console.print(table)
    for verdict in done.verdicts:
        console.print(verdict, soft_wrap=True, markup=False)
    console.print("The report finds what was put in." if done.ok else "Do not launch it like this.")
