"""`earshot ratings`: what people said, as files and as figures, and what they are asked to rate."""

import json
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs, urlsplit

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from separation.cli.shared import Device, Json, app, talk
from separation.errors import DataError, JobError, ModelError, SeparationError
from separation.settings import Settings

if TYPE_CHECKING:
    from separation.engine.jobs import Job, JobStore
    from separation.ratings import Store
    from separation.ratings.summary import Scale, Summary

ratings = typer.Typer(
    help="What people said: ask for it, export it, import it, count it.", no_args_is_help=True, rich_markup_mode=None
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
    rows = ", ".join(f"{count:,} {name}" for name, count in done.rows.items())
    talk.print(f"{output}: {rows}", soft_wrap=True, markup=False)
    if done.missing:
        talk.print(
            f"{len(done.missing)} clips have no audio in {folder}: their ratings are there without it.", markup=False
        )


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


@ratings.command()
def want(
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT...", help="Links or ids of separations, recordings, or folders of them."),
    ],
    model: Annotated[str, typer.Option(help="What separates recordings: a bundled model or owner/name.")] = "vocals",
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.auto,
) -> None:
    """Ask everybody who comes to rate for ratings of these: the page offers the one with the fewest. They do not expire."""
    store = _jobs()
    failed = 0
    for name in what:
        for one in _recordings(Path(name)) if Path(name).exists() else [name]:
            try:
                job = _separated(store, one, model, device.value) if isinstance(one, Path) else store.get(_id_of(one))
                job.want(True)
            except SeparationError as error:
                failed += 1
                talk.print(f"{one}: {error}", soft_wrap=True, markup=False)
            else:
                talk.print(f"{job.request.name}: ?job={job.id}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(1)


@ratings.command()
def wanted(database: Database = None, as_json: Json = False) -> None:
    """List what ratings are wanted of, and how many people have rated each."""
    from separation.ui.rating_trials import subject_of

    jobs = _jobs().wanted()
    store = _open(database)
    try:
        raters = store.raters(subject_of(job) for job in jobs)
    finally:
        store.close()
    rows = [
        {"job": job.id, "name": job.request.name, "model": job.request.model, "raters": len(raters[subject_of(job)])}
        for job in jobs
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        talk.print("No ratings are asked for: `earshot ratings want` does that.")
        return
    table = Table("job", "name", "model", Column("raters", justify="right"), box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(markup=False).print(table)  # names are whatever people called their files


@ratings.command()
def enough(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Links or ids of separations; `all` for all.")],
) -> None:
    """Ask for no more ratings of these: they are deleted when their time is up, as any other. What was said stays."""
    store = _jobs()
    chosen = store.wanted() if jobs == ["all"] else [store.get(_id_of(job)) for job in jobs]
    for job in chosen:
        job.want(False)
        talk.print(f"{job.request.name}: no more ratings are asked for", soft_wrap=True, markup=False)


def _jobs() -> "JobStore":
    from separation.engine.jobs import JobStore

    settings = Settings.from_environment()
    return JobStore(settings.jobs, keep_hours=settings.keep_hours)


def _id_of(text: str) -> str:
    """The id in a link to a separation, or the text itself."""
    return parse_qs(urlsplit(text).query).get("job", [text])[0]


def _recordings(path: Path) -> Sequence[Path]:
    from separation.datasets.tracks import audio_files

    found = audio_files(path) if path.is_dir() else [path]
    if not found:
        raise DataError(f"Separate the recordings in {path}", "no audio file is in it", "Choose another folder")
    return found


def _separated(store: "JobStore", path: Path, model: str, device: str) -> "Job":
    """A recording, separated as the page would. A page that runs on the same data folder may do it for us.

    Raises:
        SeparationError: it cannot be separated; then it is not here.
    """
    from separation.engine import resolve_device
    from separation.engine.jobs import Request
    from separation.engine.workers import Workers
    from separation.hub import load, resolve

    if resolve(model).kind == "folder":
        found = f"the model {model} is a folder of this machine, which the page does not open to visitors"
        raise ModelError(
            f"Ask for ratings of {path.name}", found, "Name a bundled model, or publish it and use owner/name"
        )
    chosen = str(resolve_device(device))
    # In data sets every mixture is called that: there the folder tells them apart.
    name = path.resolve().parent.name if path.stem.casefold() == "mixture" else path.name
    job = store.create(path, Request(model=model, name=name))
    Workers(store, load, devices=(chosen,)).run(job, chosen)
    while not job.state().finished:
        time.sleep(0.5)
    state = job.state()
    if state.status != "done":
        job.delete()
        if state.error is None:
            raise JobError(f"Separate {path}", "somebody has cancelled it", "Try again")
        raise SeparationError(**state.error)
    return job


def _open(database: str | None) -> "Store":
    from separation.ratings import Store

    return Store(database or Settings.from_environment().database_url)


def _show(found: "Summary") -> None:
    console = Console(markup=False)
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
        alpha = "–" if alike.alpha is None else f"{round(alike.alpha, 2) + 0.0:.2f}"
        console.print(
            f"{scale}: {alike.pairs:,} pairs of answers on {alike.clips:,} clips, {alike.difference:.2f} points apart, "
            f"{100 * alike.within_one:.0f} % within one; Krippendorff's alpha {alpha}",
            soft_wrap=True,
            highlight=False,
        )


def _cells(line: "Scale") -> list[str]:
    numbers = ("–" if value is None else f"{value:.2f}" for value in (line.mean, line.low, line.high))
    return [f"{line.answers:,}", f"{line.listeners:,}", *numbers]
