"""`earshot datasets`: which layouts can be read, and what is wrong with a folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table

from separation.cli.shared import Json, app, talk

if TYPE_CHECKING:
    from separation.datasets import Check

datasets = typer.Typer(help="Read data sets: list the layouts, check a folder.", rich_markup_mode=None)
app.add_typer(datasets, name="datasets")


@datasets.callback(invoke_without_command=True)
def _list_without_a_command(context: typer.Context) -> None:
    """Which data sets can be read, and what is wrong with a folder. Without a command: the list."""
    if context.invoked_subcommand is None:
        layouts()


@datasets.command(name="list")
def layouts(as_json: Json = False) -> None:
    """List the layouts that can be read."""
    from separation.datasets import LAYOUTS

    if as_json:
        facts = ("name", "title", "about", "tree")
        rows = [{f: getattr(one, f) for f in facts} | {"split": one.split is not None} for one in LAYOUTS.values()]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("name", "tracks", Column("layout", overflow="fold"), "split")
    for one in LAYOUTS.values():
        table.add_row(one.name, f"{one.title}. {one.about}", escape(one.tree), "yes" if one.split else "")
    Console().print(table)


@datasets.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the data set.")],
    layout: Annotated[str | None, typer.Option(help="Its layout, if it is not recognised: see `list`.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every file: silence, sums, duplicates, damage.")] = False,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a data set, file by file. Exit status 1 if there is anything."""
    from separation.datasets import check as look

    with Progress(console=talk, transient=True) as bar:
        task = bar.add_task("Checking", total=None)
        found = look(folder, layout, deep=deep, progress=lambda done, of: bar.update(task, completed=done, total=of))
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    if found.problems:
        talk.print(f"{len(found.problems)} problem{'s' if len(found.problems) > 1 else ''} in {escape(str(folder))}.")
        raise typer.Exit(1)


def _print(found: "Check") -> None:
    table = Table(show_header=False)
    table.add_row("data set", f"{found.title} ({found.layout})")
    table.add_row("tracks", f"{found.tracks:,}, {found.hours:.2f} h")
    table.add_row("sides", ", ".join(f"{side} {count:,}" for side, count in found.sides.items()) or "no split")
    table.add_row("stems", ", ".join(f"{stem} {count:,}" for stem, count in sorted(found.stems.items())))
    table.add_row("rates", ", ".join(f"{rate:,} Hz ({count:,})" for rate, count in found.sample_rates.items()))
    table.add_row("channels", ", ".join(f"{channels} ({count:,})" for channels, count in found.channels.items()))
    if found.null_db is not None:
        worst, median = found.null_db["worst"], found.null_db["median"]
        table.add_row("mixture - sum", f"median {median:.1f} dB, worst {worst:.1f} dB of the mixture")
    if not found.deep:
        table.add_row("checked", "names and headers; --deep decodes the audio too")
    console = Console()
    console.print(table)
    for problem in found.problems:
        console.print(f"problem: {escape(str(problem))}", soft_wrap=True, highlight=False)
    for note in found.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True, highlight=False)
