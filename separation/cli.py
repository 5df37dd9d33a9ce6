"""`earshot`: the command line. What the page does with one recording, this does with a folder; and it trains.

Results go to standard output (with ``--json`` as one JSON document), everything else to standard error.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from separation import __version__
from separation.errors import DataError, SeparationError

app = typer.Typer(
    help="Hear, see and rate sound separation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_talk = Console(stderr=True, highlight=False)


class Format(StrEnum):
    wav = "wav"
    flac = "flac"
    mp3 = "mp3"


class BitDepth(StrEnum):
    sixteen = "16"
    twenty_four = "24"
    float32 = "32f"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Band(StrEnum):
    full = "full"
    model = "model"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]


@app.command()
def separate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, or folders of them.")],
    output: Annotated[Path, typer.Option(help="Folder for the stems: OUTPUT/FILE-STEM/SOURCE.EXT.")],
    model: Annotated[str, typer.Option(help="A bundled model, a folder, or owner/name[@revision].")] = "vocals",
    format: Annotated[Format, typer.Option(help="Format of the stems.")] = Format.wav,
    bit_depth: Annotated[BitDepth, typer.Option(help="16, 24, or 32f (float, WAV only).")] = BitDepth.twenty_four,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.auto,
    source: Annotated[list[str] | None, typer.Option(help="Write only this source; may be repeated.")] = None,
    residual: Annotated[bool, typer.Option(help="Write the mixture minus the raw estimates too.")] = False,
    band: Annotated[Band, typer.Option(help="full, or only what the model itself hears.")] = Band.full,
    consistency: Annotated[bool, typer.Option(help="Make the stems add up to the mixture.")] = True,
    as_json: Json = False,
) -> None:
    """Separate recordings. A bad file is reported and the rest goes on; the exit status is then 1."""
    from separation.engine import Options, separate_file
    from separation.hub import load

    options = Options(device=device.value, band=band.value, consistency=consistency)
    results: list[dict[str, Any]] = []
    recordings = _recordings(files, output)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=_talk,
        transient=True,
    ) as bar:
        separator = load(model, progress=_download_bar(bar, model))
        for path, folder in recordings.items():
            task = bar.add_task(path.name)
            try:
                done = separate_file(
                    separator,
                    path,
                    folder,
                    format=format.value,
                    bit_depth=bit_depth.value,
                    sources=source,
                    residual=residual,
                    options=options,
                    progress=lambda p, task=task: bar.update(task, completed=p.done, total=p.total),  # type: ignore[misc]
                )
            except (SeparationError, OSError) as error:
                results.append(_failure(path, error))
                _talk.print(f"[red]{path}[/red]: {error}", soft_wrap=True)
            else:
                results.append(
                    {
                        "input": str(path),
                        "output": {name: str(file) for name, file in done.files.items()},
                        "gain": done.gain,
                        "null_db": done.null_db,
                        "notes": list(done.notes),
                        "report": asdict(done.report),
                    }
                )
                _say_done(path, folder, results[-1])
            bar.remove_task(task)
    _finish(results, as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """List the bundled models."""
    from separation.hub import bundled

    cards = bundled()
    if as_json:
        print(json.dumps([card.model_dump(mode="json") for card in cards], indent=2, ensure_ascii=False))
        return
    table = Table("name", "what it does", "sources", "rate", "size", "licence")
    for card in cards:
        size = f"{card.weights.bytes / 1e6:.1f} MB" if card.weights else ""
        rate = f"{card.sample_rate / 1000:g} kHz"
        table.add_row(card.name, card.title, ", ".join(card.sources), rate, size, card.licence)
    Console().print(table)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; EARSHOT_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; EARSHOT_PORT, else 7860.")] = None,
) -> None:
    """Serve the page."""
    from dataclasses import replace

    from separation.settings import Settings
    from separation.ui.server import launch

    settings = Settings.from_environment()
    launch(replace(settings, host=host or settings.host, port=port or settings.port))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, see docs/training.md.")],
    data: Annotated[Path, typer.Option(help="Folder with a subfolder a corpus.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; a run found there goes on.")],
    steps: Annotated[int | None, typer.Option(help="Optimiser steps in all.")] = None,
    decay: Annotated[int | None, typer.Option(help="Steps of linear decay at the end.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and mixtures.")] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    initial: Annotated[Path | None, typer.Option(help="Weights to start from (model.safetensors).")] = None,
    as_json: Json = False,
) -> None:
    """Train a model, or go on with a run. Stop it at any time; the same command goes on."""
    from separation.training import recipes
    from separation.training import train as run

    chosen = recipes.get(recipe).with_changes(steps=steps, decay=decay, seed=seed)

    def report(entry: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(entry), flush=True)
        else:
            rest = "  ".join(f"{k} {v:.4g}" for k, v in entry.items() if isinstance(v, float) and k != "seconds")
            _talk.print(f"{entry['event']:8s} step {entry['step']}/{chosen.steps}  {entry['seconds']:.0f} s  {rest}")

    best = run(chosen, data, output, device=device.value, initial=initial, report=report)
    _talk.print(f"Best weights: {best}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    output: Annotated[Path, typer.Option(help="Model folder to write: config.json, model.safetensors, README.md.")],
) -> None:
    """Turn the best weights of a run into a model folder that the page, `separate` and the Hub can load."""
    from separation.training.export import export as write

    card = write(run, output)
    _talk.print(f"Wrote {output}: {card.title}, {card.weights.parameters if card.weights else 0:,} parameters")


def main() -> None:
    """Run the command line; errors of ours become one line and exit status 2."""
    try:
        app()
    except SeparationError as error:
        _talk.print(f"[red]earshot:[/red] {error}", soft_wrap=True)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"earshot {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hear, see and rate sound separation."""


def _recordings(files: list[Path], output: Path) -> dict[Path, Path]:
    """Every recording with the folder for its stems; names that meet are told apart by suffix, then by number.

    Raises:
        DataError: a folder without audio.
    """
    from separation.audio import safe_name
    from separation.datasets.tracks import audio_files

    found: list[Path] = []
    for path in files:
        inside = audio_files(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"Separate the recordings in {path}", "no audio file is in it", "Choose another folder")
        found += [p for p in inside if p not in found]
    folders: dict[Path, Path] = {}
    for path in found:
        names = [safe_name(path.stem), safe_name(path.name), *(safe_name(f"{path.name}-{i}") for i in range(2, 10_000))]
        taken = set(folders.values())
        folders[path] = next(output / name for name in names if output / name not in taken)
    return folders


def _download_bar(bar: Progress, model: str) -> Callable[[int, int], None]:
    tasks: list[Any] = []

    def show(done: int, total: int) -> None:
        if not tasks:
            tasks.append(bar.add_task(f"Fetching {model} ({total / 1e6:.1f} MB)", total=total))
        bar.update(tasks[0], completed=done, total=total)

    return show


def _failure(path: Path, error: SeparationError | OSError) -> dict[str, Any]:
    if isinstance(error, SeparationError):
        parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
    else:
        parts = {"asked": f"Separate {path}", "found": str(error), "advice": "Check the file and the folder's rights"}
    return {"input": str(path), "error": parts}


def _say_done(path: Path, folder: Path, result: dict[str, Any]) -> None:
    report = result["report"]
    where = f"{report['device']}, {report['precision']}, {report['seconds']:.1f} s"
    _talk.print(f"{path} -> {folder} ({where})", soft_wrap=True)
    if result["gain"] != 1.0:
        _talk.print(f"  all stems {-_to_db(result['gain']):.1f} dB quieter, because something would have clipped")
    for note in result["notes"]:
        _talk.print(f"  {note}", soft_wrap=True)


def _to_db(gain: float) -> float:
    from math import log10

    return 20 * log10(gain)


def _finish(results: list[dict[str, Any]], as_json: bool) -> None:
    failed = [result for result in results if "error" in result]
    if as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    if failed:
        names = ", ".join(result["input"] for result in failed)
        _talk.print(f"[red]{len(failed)} of {len(results)} could not be separated:[/red] {names}", soft_wrap=True)
        raise typer.Exit(1)
