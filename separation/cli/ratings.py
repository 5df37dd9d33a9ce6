"""`earshot ratings`: what people said, as files and as figures."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from separation.cli.shared import Json, app, talk
from separation.settings import Settings

if TYPE_CHECKING:
    from separation.ratings import Store
    from separation.ratings.summary import Scale, Summary

ratings = typer.Typer(
    help="What people said: export it, import it, count it.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(ratings, name="ratings")

Database = Annotated[str | None, typer.Option(help="SQLAlchemy URL; otherwise EARSHOT_DATABASE_URL.")]


class Format(StrEnum):
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    datasets = "datasets"


@ratings.command()
def export(
    output: Annotated[Path, typer.Option(help="File for jsonl, otherwise a folder; must not be there yet.")],
    format: Annotated[Format, typer.Option(help="Tables, everything, or a folder for `datasets`.")] = Format.jsonl,
    database: Database = None,
    clips: Annotated[Path | None, typer.Option(help="Folder of the clips; otherwise in EARSHOT_DATA.")] = None,
    only_consented: Annotated[
        bool, typer.Option("--only-consented", help="Only what may be used for training; `datasets` always does.")
    ] = False,
) -> None:
    """Write what people said to files; docs/ratings.md has every column. Withdrawn ratings are never in it."""
    from separation.ratings import ClipFolder
    from separation.ratings.export import export as write

    folder = clips or Settings.from_environment().clips
    store = _open(database)
    try:
        done = write(store, output, format.value, clips=ClipFolder(folder), only_consented=only_consented)
    finally:
        store.close()
    talk.print(f"{output}: " + ", ".join(f"{count:,} {name}" for name, count in done.rows.items()), soft_wrap=True)
    if done.missing:
        talk.print(f"{len(done.missing)} clips have no audio in {folder}: their ratings are there without it.")


@ratings.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A jsonl export.")],
    database: Database = None,
) -> None:
    """Read a jsonl export back. Twice does no harm; what was withdrawn here stays withdrawn."""
    from separation.ratings.export import import_jsonl

    store = _open(database)
    try:
        done = import_jsonl(store, file)
    finally:
        store.close()
    talk.print(
        f"{done.restored:,} trials read, {done.known:,} were here already, {done.withdrawn:,} were withdrawn here"
    )


@ratings.command()
def stats(database: Database = None, as_json: Json = False) -> None:
    """Count what people said, with means over listeners and how far these agree."""
    from separation.ratings.summary import summarise

    store = _open(database)
    try:
        found = summarise(store)
    finally:
        store.close()
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(found)


def _open(database: str | None) -> "Store":
    from separation.ratings import Store

    return Store(database or Settings.from_environment().database_url)


def _show(found: "Summary") -> None:
    console = Console()
    facts = Table(show_header=False, box=SIMPLE_HEAD)
    facts.add_row("trials", f"{found.trials:,} served, {found.rated:,} rated, {found.withdrawn:,} withdrawn")
    facts.add_row("raters", f"{found.raters:,}")
    facts.add_row("may be used for training", f"{found.consented:,} of {found.rated:,}")
    facts.add_row("heard", f"{found.seconds / 60:,.1f} min")
    facts.add_row("answers given blind", "–" if found.blind is None else f"{100 * found.blind:.0f} %")
    facts.add_row("marks", ", ".join(f"{label} {count:,}" for label, count in found.marks.items() if count) or "none")
    console.print(facts)
    if found.scales:
        heads = [Column(head, justify="right") for head in ("answers", "raters", "mean", "low", "high")]
        table = Table("", "scale", *heads, title="95 % intervals over raters", title_justify="left", box=SIMPLE_HEAD)
        for name, scales in {"all": found.scales, **found.models}.items():
            for scale, line in scales.items():
                table.add_row(name, scale, *_cells(line))
        console.print(table)
    for scale, alike in found.agreement.items():
        alpha = "–" if alike.alpha is None else f"{alike.alpha:.2f}"
        console.print(
            f"{scale}: {alike.pairs:,} pairs of answers on {alike.clips:,} clips, {alike.difference:.2f} points apart, "
            f"{100 * alike.within_one:.0f} % within one; Krippendorff's alpha {alpha}",
            soft_wrap=True,
            highlight=False,
        )


def _cells(line: "Scale") -> list[str]:
    numbers = ("–" if value is None else f"{value:.2f}" for value in (line.mean, line.low, line.high))
    return [f"{line.answers:,}", f"{line.listeners:,}", *numbers]
