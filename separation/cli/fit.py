"""`earshot fit`: a model of the voices in one recording, learnt from that mixture alone."""

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from separation.cli.shared import Device, Json, app, talk
from separation.errors import DataError

if TYPE_CHECKING:
    from separation.models.umss import UMSS
    from separation.training.per_file import Step


@app.command()
def fit(
    file: Annotated[Path, typer.Argument(help="The recording: voices that sing together.")],
    output: Annotated[Path, typer.Option(help="Model folder to write; the pitch tracks go to OUTPUT-pitch.")],
    pitch: Annotated[
        list[str] | None,
        typer.Option(help="VOICE=F0.csv, the pitch of a voice (time,f0); may be repeated. Without it they are found."),
    ] = None,
    voices: Annotated[int | None, typer.Option(help="How many voices to find without --pitch (1 to 6).")] = None,
    model: Annotated[
        str | None, typer.Option(help="A source-filter model to start from; random weights if not said.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of learning.")] = 300,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    device: Annotated[Device, typer.Option(help="Where it learns.")] = Device.auto,
    as_json: Json = False,
) -> None:
    """Learn the voices of one recording from its mixture and their pitch: no training data at all.

    `earshot separate FILE --model OUTPUT --pitch …` then takes it apart; the last line printed is that command.
    """
    from separation.audio import open_reader
    from separation.engine import resolve_device
    from separation.engine.pitches import VOICES, Pitches, find_pitches
    from separation.training.per_file import fit as learn
    from separation.training.per_file import save_fitted
    from separation.transforms import read_track

    if pitch and voices is not None:
        raise DataError(f"Learn from {file}", "both tracks and a number of voices are given", "Give one of them")
    tracks = _files(pitch or [])
    start = None if model is None else _start(model)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"), TimeRemainingColumn()
    with ExitStack() as stack:
        bar = stack.enter_context(Progress(*columns, console=talk, transient=True))
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="earshot-")))
        reader = stack.enter_context(open_reader(file, scratch=scratch))
        if tracks:
            pitches = Pitches({name: read_track(path) for name, path in tracks.items()}, "file")
        else:
            finding = bar.add_task("Finding the pitch", total=1.0, loss="")
            found = lambda fraction: bar.update(finding, completed=fraction)  # noqa: E731
            pitches = find_pitches(reader, VOICES if voices is None else voices, progress=found)
        learning = bar.add_task("Learning", total=steps, loss="")

        def show(at: "Step") -> None:
            bar.update(learning, completed=at.step, loss=f"loss {at.loss:.3g}")

        made = learn(
            reader, pitches, start=start, steps=steps, seed=seed, progress=show, device=resolve_device(device.value)
        )
        seconds = reader.length / reader.sample_rate
    card = save_fitted(output, made, file.name, seconds, steps=steps, seed=seed)
    beside = output.with_name(f"{output.name}-pitch")
    pitches.write(beside)
    names = list(pitches.names)
    if as_json:
        record = {"output": str(output), "pitch": str(beside), "voices": names, "title": card.title, "steps": steps}
        print(json.dumps(record, indent=2, ensure_ascii=False))
    told = " ".join(f'--pitch "{name}={beside / name}.csv"' for name in names)
    talk.print(f"{card.title} -> {output}", soft_wrap=True)
    talk.print(f"Use it: earshot separate {file} --model {output} --output stems {told}", soft_wrap=True)


def _files(words: list[str]) -> dict[str, Path]:
    """Tracks by voice.

    Raises:
        DataError: a word is not VOICE=FILE, or a voice comes twice.
    """
    files: dict[str, Path] = {}
    for text in words:
        name, given, path = text.partition("=")
        if not (name and given and path) or name in files:
            found = "it is no VOICE=FILE, or the second one"
            raise DataError(f"Take the pitch track {text}", found, "Write VOICE=F0.csv")
        files[name] = Path(path)
    return files


def _start(name: str) -> "UMSS":
    """The model of that name.

    Raises:
        ModelError: it is no source-filter model.
    """
    from separation.errors import ModelError
    from separation.hub import load
    from separation.models.umss import UMSS

    model = load(name)
    if not isinstance(model, UMSS):
        raise ModelError(f"Start from {name}", f"it is a {type(model).__name__}", "Name a source-filter model")
    return model
