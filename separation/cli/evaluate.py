"""`earshot evaluate`: estimates that are there already; `earshot benchmark`: models on a data set."""

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from itertools import combinations
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

from separation.cli.shared import Device, Json, app, talk
from separation.errors import DataError, SeparationError

if TYPE_CHECKING:
    from separation.datasets import Track
    from separation.engine import Progress as Step
    from separation.evaluation import Evaluated, Ranked, Results
    from separation.metrics import Value

LEVEL = "reference_db"
"""Says where a source is too quiet for its faults to matter."""


class ProtocolName(StrEnum):
    htmd = "htmd"
    sisec = "sisec"
    mir1k = "mir1k"
    whole = "whole"


@app.command()
def evaluate(
    reference: Annotated[Path, typer.Option(help="Folder of the true sources: SOURCE.wav, or TRACK/SOURCE.wav.")],
    estimate: Annotated[Path, typer.Option(help="Folder of what is to be measured, laid out and named alike.")],
    metrics: Annotated[str | None, typer.Option(help="Metrics or families, separated by commas.")] = None,
    window: Annotated[float, typer.Option(min=0.001, help="Seconds of a window of BSS-eval v4 and of series.")] = 1.0,
    hop: Annotated[float | None, typer.Option(min=0.001, help="Seconds from window to window; the window's.")] = None,
    segments: Annotated[bool, typer.Option("--segments", help="Give the value of every window, too.")] = False,
    worst: Annotated[
        float | None, typer.Option(min=0.001, help="Say which stretch of so many seconds is worst, silence left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare estimates with the references of the same names."""
    from separation.evaluation import document, evaluated

    chosen = None if metrics is None else _listed(metrics, "metrics")
    with Progress(TextColumn("Measuring"), BarColumn(), MofNCompleteColumn(), console=talk, transient=True) as bar:
        task = bar.add_task("", total=None)
        result = evaluated(
            reference,
            estimate,
            metrics=chosen,
            window=window,
            hop=hop,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    for note in result.notes:
        talk.print(f"  {note}", soft_wrap=True, markup=False)
    stretches = {}
    if worst is not None:
        levels = evaluated(reference, estimate, metrics=[LEVEL], window=window, hop=hop).values
        stretches = {track: _worst([*values, *levels[track]], worst) for track, values in result.values.items()}
    if as_json:
        found = document(result, segments=segments)
        for track, of_track in stretches.items():
            (found if result.single else found["tracks"][track])["worst"] = of_track
        print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show_evaluation(result, segments, stretches)


@app.command()
def benchmark(
    models: Annotated[str, typer.Option(help="Models, oracle:NAME and mixture (the floor), separated by commas.")],
    data: Annotated[Path, typer.Option(help="Folder of a data set; see `earshot datasets list`.")],
    protocol: Annotated[ProtocolName, typer.Option(help="How is measured; see docs/evaluation.md.")],
    layout: Annotated[str | None, typer.Option(help="The folder's layout, if it is not recognised.")] = None,
    split: Annotated[str | None, typer.Option(help="Side of the split: test where there is one; all.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many tracks.")] = None,
    sources: Annotated[str | None, typer.Option(help="What oracles give; otherwise as the first model.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the results; a run found there goes on.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Tracks at once, a model and a thread each.")] = 1,
    device: Annotated[Device, typer.Option(help="Where models run.")] = Device.cpu,
    museval: Annotated[Path | None, typer.Option(help="Write museval's JSON: DIR/MODEL/test/TRACK.json.")] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="museval's JSON of another system; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure models on a data set. Stop it at any time; the same command goes on. Exit status 1 if a track failed."""
    from separation.evaluation import PROTOCOLS, failures, joined, read_museval, write_museval
    from separation.evaluation import benchmark as run

    names = _listed(models, "models")
    chosen = PROTOCOLS[protocol.value]
    if museval is not None and not any(metric.startswith("bss_eval_v4.") for metric in chosen.metrics):
        raise DataError("Write museval's JSON", f"{chosen.name} measures no BSS-eval v4", "Use the protocol sisec")
    if beside and chosen.name != "sisec":
        raise DataError(
            "Rank other systems beside ours", f"they were not measured by {chosen.name}", "Use the protocol sisec"
        )
    tracks, about = _tracks(data, layout, split, limit)
    others = [read_museval(folder) for folder in beside or ()]
    flags = _flags(names, about, tracks)
    with ExitStack() as stack:
        if output is None:
            talk.print("Nothing is kept, because no --output is given.")
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        talk.print(f"{len(names)} models on {len(tracks)} tracks of {about}", soft_wrap=True, markup=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        bar = stack.enter_context(Progress(*columns, console=talk, transient=True))
        task = bar.add_task("Measuring", total=len(names) * len(tracks), left="")

        def show(step: "Step") -> None:
            bar.update(task, completed=step.done, left=f"{_time(step.remaining)} left")

        table = run(
            names,
            tracks,
            chosen,
            folder,
            processes=processes,
            device=device.value,
            sources=None if sources is None else _listed(sources, "sources"),
            progress=show,
        )
        failed = failures(folder)
    if museval is not None and len(table):
        written = write_museval(table, museval)
        talk.print(f"Wrote {len(written)} files below {museval}", soft_wrap=True, markup=False)
    table = joined([table, *others])
    if as_json:
        ranking = _ranking(table)
        print(
            json.dumps(
                {
                    "protocol": chosen.name,
                    "data": about,
                    "tracks": len(tracks),
                    "ranking": {
                        source: {metric: [_plain(line) for line in lines] for metric, lines in of.items()}
                        for source, of in ranking.items()
                    },
                    "comparisons": _comparisons(table, chosen.metrics[0]),
                    "trained_on_it": flags,
                    "failures": [asdict(failure) for failure in failed],
                    "table": None if output is None else str(output / "table.parquet"),
                },
                indent=2,
                ensure_ascii=False,
                allow_nan=False,
            )
        )
    else:
        _show_ranking(_ranking(table), chosen.average)
    for name, reasons in flags.items():
        for reason in reasons:
            talk.print(f"[yellow]{name}[/yellow]: {reason}", soft_wrap=True)
    if failed:
        for failure in failed:
            talk.print(str(failure), soft_wrap=True, markup=False, style="red")
        talk.print(f"[red]{len(failed)} of {len(names) * len(tracks)} could not be measured[/red]")
        raise typer.Exit(1)


def _listed(text: str, what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise DataError(f"Read the list of {what}", "it is empty", "Separate names by commas")
    return names


def _tracks(data: Path, layout: str | None, split: str | None, limit: int | None) -> tuple[list["Track"], str]:
    """The tracks to measure, and in words what they are.

    Raises:
        DataError: the folder is broken, or has no such side.
    """
    from separation.datasets import detect
    from separation.datasets.layouts import get

    chosen = detect(data) if layout is None else get(layout)
    tracks = chosen.read(data)
    sides = {} if chosen.split is None else chosen.split(tracks)
    wanted = split or ("test" if sides.get("test") else "all")
    if wanted != "all":
        if not sides.get(wanted):
            known = ", ".join(side for side, part in sides.items() if part) or "no sides"
            raise DataError(
                f"Take the side {wanted} of {data}", f"{chosen.title} has {known}", "Choose one, or --split all"
            )
        tracks = sides[wanted]
    about = chosen.title if wanted == "all" else f"{chosen.title}, {wanted}"
    return tracks[:limit], about


def _flags(names: Sequence[str], about: str, tracks: Sequence["Track"]) -> dict[str, list[str]]:
    """By model: why it may have been trained on this."""
    from separation.evaluation import is_yardstick, leaks
    from separation.hub import describe

    found = {name: leaks(describe(name), [about], tracks) for name in names if not is_yardstick(name)}
    return {name: reasons for name, reasons in found.items() if reasons}


def _ranking(table: "Results") -> dict[str, dict[str, list["Ranked"]]]:
    """``{source: {metric: lines}}``, each metric by its own order."""
    from separation.evaluation import metrics_in, rank

    return {
        str(source): {metric: rank(table, metric, str(source)) for metric in metrics_in(table, str(source))}
        for source in table["source"].unique()
    }


def _comparisons(table: "Results", metric: str) -> list[dict[str, Any]]:
    """Every two models head to head, by the protocol's first metric."""
    from separation.evaluation import compare, is_yardstick

    found = []
    for source in table["source"].unique():
        rows = table[(table["source"] == source) & (table["metric"] == metric)]
        models = [str(model) for model in rows["model"].unique() if not is_yardstick(str(model))]
        for a, b in combinations(models, 2):
            try:
                result = compare(table, a, b, metric, str(source))
            except SeparationError:
                continue  # no track has a number of both
            found.append({"models": [a, b], "source": str(source), "metric": metric} | _plain(result))
    return found


def _worst(values: Sequence["Value"], seconds: float) -> list[dict[str, Any]]:
    """Where each source fares worst, by every metric that has windows and a better and a worse."""
    from separation.engine.segments import record_of, worst
    from separation.metrics import METRICS

    record, found = record_of(values), []
    for series in record["series"]:
        source, metric = series["source"], series["metric"]
        if METRICS[metric].direction == "neither":
            continue
        stretch = worst(record, source, metric, seconds)
        if stretch is not None:
            found.append({"source": source, "metric": metric, "start": stretch[0], "end": stretch[1]})
    return found


def _show_evaluation(result: "Evaluated", segments: bool, stretches: dict[str, list[dict[str, Any]]]) -> None:
    from separation.evaluation import track_numbers
    from separation.metrics import METRICS

    console = Console()
    for track, values in result.values.items():
        numbers = track_numbers(values)
        sources = list(numbers)
        table = Table("metric", *(Column(source or "all", justify="right") for source in sources), title=track)
        for metric in dict.fromkeys(value.metric for value in values):
            unit = f" ({METRICS[metric].unit})" if METRICS[metric].unit else ""
            table.add_row(f"{METRICS[metric].title}{unit}", *(_number(numbers[s].get(metric)) for s in sources))
        console.print(table)
        if segments:
            _show_segments(console, track, values)
        if track in stretches:
            _show_worst(console, track, stretches[track])
    missing = sum(value.value is None for values in result.values.values() for value in values)
    if missing:
        talk.print(f"{missing} values do not exist, e.g. in silent windows, and are left out; --json says why.")


def _show_worst(console: Console, track: str, found: Sequence[dict[str, Any]]) -> None:
    from separation.metrics import METRICS

    table = Table(
        "source", "metric", Column("from", justify="right"), Column("to", justify="right"), title=f"{track}: worst"
    )
    for one in found:
        table.add_row(
            one["source"] or "all", METRICS[one["metric"]].title, f"{one['start']:.2f} s", f"{one['end']:.2f} s"
        )
    console.print(table)


def _show_segments(console: Console, track: str, values: Sequence[Any]) -> None:
    windows = [value for value in values if value.start is not None]
    columns = list(dict.fromkeys((v.source, v.metric) for v in windows))
    table = Table("start", *(Column(f"{source} {metric}", justify="right") for source, metric in columns), title=track)
    rows: dict[float, dict[tuple[str, str], float | None]] = {}
    for value in windows:
        rows.setdefault(value.start, {})[value.source, value.metric] = value.value
    for start, found in sorted(rows.items()):
        table.add_row(f"{start:.2f} s", *(_number(found.get(column)) for column in columns))
    console.print(table)


def _show_ranking(ranking: dict[str, dict[str, list["Ranked"]]], average: str) -> None:
    """Two tables a source: the ranking by the protocol's first metric, and the other metrics in the same order."""
    from separation.metrics import METRICS

    console = Console()
    for source, by_metric in ranking.items():
        first, *rest = by_metric
        title = METRICS[first].title if first in METRICS else first
        heads = ("median", "mean", "low", "high", "tracks", "silent")
        table = _table(f"{source}: {title}; 95 % interval of the {average} over tracks", heads)
        for line in by_metric[first]:
            numbers = (line.median, line.mean, line.low, line.high)
            table.add_row(line.model, *map(_number, numbers), str(line.tracks), str(line.silent_segments))
        console.print(table)
        if rest:
            of = {metric: {line.model: getattr(line, average) for line in by_metric[metric]} for metric in rest}
            table = _table(
                f"{source}: other metrics, {average} over tracks", [m.removeprefix("bss_eval_") for m in rest]
            )
            for line in by_metric[first]:
                table.add_row(line.model, *(_number(of[metric].get(line.model)) for metric in rest))
            console.print(table)


def _table(title: str, heads: Sequence[str]) -> Table:
    columns = [Column(head, justify="right") for head in heads]
    return Table(Column("", no_wrap=True), *columns, title=title, title_justify="left", box=SIMPLE_HEAD)


def _plain(line: Any) -> dict[str, Any]:
    """A named tuple as JSON-able data; what is no number is None."""
    return {
        key: None if isinstance(value, float) and not isfinite(value) else value
        for key, value in line._asdict().items()
    }


def _number(value: float | None) -> str:
    return "–" if value is None or not isfinite(value) else f"{value:.2f}"


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
