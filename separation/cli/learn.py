"""`earshot learn` and `earshot rearrange`: from clean clips of each source to a model folder, and surgery on its components."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from separation.cli.shared import Json, app, talk
from separation.errors import DataError, ModelError

if TYPE_CHECKING:
    from separation.hub import Card
    from separation.models.components import ComponentModel
    from separation.signals import Signal
    from separation.training.learning import Given, LearningStep

LONGEST = 600.0
"""Seconds of a clip: all of it is held in memory, and a minute teaches nearly as much."""


@app.command()
def learn(
    output: Annotated[Path, typer.Option(help="Model folder to write.")],
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=CLIP.wav, a clean recording of that source alone; again with a NAME for more clips of it."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="nmf, conv-nmf, nae, ccae or rcae.")] = "nmf",
    components: Annotated[int | None, typer.Option(help="Components of each source.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of learning each source.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    reuse: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER:SOURCE, a source of a model that was learned before; may be repeated."),
    ] = None,
    unknown: Annotated[
        str | None, typer.Option(help="NAME of one more source without clips: what the others do not explain.")
    ] = None,
    blind: Annotated[
        Path | None,
        typer.Option(
            help="Instead of clips: the recording to be separated, divided by what sounds alike (nmf, conv-nmf)."
        ),
    ] = None,
    parts: Annotated[int, typer.Option(min=1, max=8, help="With --blind: how many parts to make.")] = 2,
    as_json: Json = False,
) -> None:
    """Learn a separator from clean clips of each source. `earshot separate MIX.wav --model OUTPUT` then uses it."""
    from separation.training.learning import Learned, divide, save_learned, system_named
    from separation.training.learning import learn as teach

    system = system_named(model)
    _require_free(output)
    _require_one_origin(source or [], reuse or [], unknown)
    if blind is not None and (source or reuse or unknown is not None):
        found = "sources are named as well"
        raise DataError(f"Divide {blind}", found, "Give --blind alone, or leave it out")
    given: dict[str, Given] = {**_clips(source or []), **_reused(reuse or [])}
    if unknown is not None:
        given[unknown] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=talk,
        transient=True,
    ) as bar:
        tasks: dict[str, Any] = {}

        def show(at: "LearningStep") -> None:
            if at.source not in tasks:
                tasks[at.source] = bar.add_task(f"Learning {at.source}", total=at.steps, loss="")
            bar.update(tasks[at.source], completed=at.step, loss=f"loss {at.loss:.4g}")

        if blind is None:
            made = teach(model, given, components=components, steps=steps, seed=seed, progress=show)
            seconds = {
                name: None if isinstance(held, Learned) else sum(clip.duration for clip in held)
                for name, held in given.items()
            }
        else:
            heard = _read(blind)
            made = divide(model, heard, parts, components=components, steps=steps, seed=seed, progress=show)
            seconds = dict.fromkeys(made.spec.sources, heard.duration)
    card = save_learned(output, made, model, seconds, steps=steps or system.steps, seed=seed)
    if as_json:
        print(json.dumps({"output": str(output), "title": card.title, **_record(made)}, indent=2, ensure_ascii=False))
    talk.print(f"{card.title} -> {output}", soft_wrap=True)
    talk.print(f"Use it: earshot separate MIX.wav --model {output} --output stems", soft_wrap=True)


@app.command()
def rearrange(
    folder: Annotated[Path, typer.Argument(help="A model folder that was learned from clips.")],
    output: Annotated[
        Path | None, typer.Option(help="Model folder to write; without it the components are listed.")
    ] = None,
    move: Annotated[
        list[str] | None,
        typer.Option(help="INDEX=SOURCE, a component that shall belong to another source; repeatable."),
    ] = None,
    mute: Annotated[list[int] | None, typer.Option(help="INDEX of a component that counts in no source.")] = None,
    unmute: Annotated[list[int] | None, typer.Option(help="INDEX of a component that counts again.")] = None,
    as_json: Json = False,
) -> None:
    """Move components of a learned model between its sources, or mute them; what was done to it before stays."""
    from separation.training.learning import save_rearranged

    model, card = _opened(folder)
    names, owners = model.spec.sources, model.components().sources.tolist()
    moved = {index: names[owner] for index, owner in enumerate(owners) if owner != int(model.homes[index])}
    muted = set(model.arguments["muted"])
    if output is None:
        if move or mute or unmute:
            raise DataError(f"Rearrange {folder}", "there is no folder to write to", "Name one with --output")
        _list(model, as_json)
        return
    moved |= dict(map(_move, move or []))
    homes = {index: names[int(home)] for index, home in enumerate(model.homes)}
    moved = {index: name for index, name in moved.items() if homes.get(index) != name}  # back home is not moved
    muted = muted.union(mute or []).difference(unmute or [])
    save_rearranged(output, model, card, moved, sorted(muted))
    again, _ = _opened(output)
    if as_json:
        print(json.dumps({"output": str(output), **_record(again)}, indent=2, ensure_ascii=False))
    talk.print(f"{len(again.arguments['moved'])} moved, {len(muted)} muted -> {output}", soft_wrap=True)


def _require_free(folder: Path) -> None:
    """Refuse a place that no model can be written to, before minutes are spent on learning one.

    Raises:
        DataError: it is a file, or a folder with something else in it.
    """
    from separation.hub.card import CONFIG

    if folder.is_dir():
        if any(folder.iterdir()) and not (folder / CONFIG).exists():
            raise DataError(
                f"Write a model to {folder}", "the folder holds other files", "Choose a new or empty folder"
            )
    elif folder.exists():
        raise DataError(f"Write a model to {folder}", "it is a file", "Choose a new or empty folder")


def _require_one_origin(sources: list[str], reused: list[str], unknown: str | None) -> None:
    """Refuse a source that comes in two ways, one of which would be lost.

    Raises:
        DataError: there is one.
    """
    ways = [{text.partition("=")[0] for text in sources}, *({text.partition("=")[0]} for text in reused)]
    ways += [] if unknown is None else [{unknown}]
    seen: set[str] = set()
    for names in ways:
        for name in sorted(names & seen):
            found = "it comes in two ways: from clips, from a model, or unknown"
            raise DataError(f"Learn {name}", found, "Give it in one of them, or give the other another name")
        seen |= names


def _clips(words: list[str]) -> "dict[str, list[Any]]":
    """Clips by source.

    Raises:
        DataError: one is not NAME=FILE.
        AudioError: a file cannot be read, or is too long.
    """
    found: dict[str, list[Any]] = {}
    for text in words:
        name, given, path = text.partition("=")
        if not (name and given and path):
            raise DataError(f"Learn from {text}", "it has no name, or no file", "Write NAME=CLIP.wav")
        found.setdefault(name, []).append(_read(Path(path)))
    return found


def _read(path: Path) -> "Signal":
    """A recording of `LONGEST` at most; raises as `open_reader`."""
    from separation.audio import open_reader
    from separation.signals import Signal

    with open_reader(path, max_duration=LONGEST) as reader:
        return Signal(reader.read(0, reader.length), reader.sample_rate)


def _reused(words: list[str]) -> "dict[str, Given]":
    """Sources that were learned before.

    Raises:
        DataError: one is not NAME=FOLDER:SOURCE.
        ModelError: the folder holds no model that was learned from clips.
    """
    from separation.training.learning import Learned

    found: dict[str, Given] = {}
    for text in words:
        name, given, rest = text.partition("=")
        folder, colon, source = rest.rpartition(":")
        if not (name and given and folder and colon and source):
            raise DataError(f"Reuse {text}", "it is not of that form", "Write NAME=FOLDER:SOURCE")
        found[name] = Learned(_opened(Path(folder))[0], source)
    return found


def _opened(folder: Path) -> "tuple[ComponentModel, Card]":
    """A model that was learned from clips, and its card.

    Raises:
        ModelError: it is something else.
    """
    from separation.hub import load
    from separation.models.components import ComponentModel

    loaded = load(folder)
    if not isinstance(loaded, ComponentModel):
        found = f"its architecture, {loaded.card.architecture}, has no components"
        raise ModelError(f"Open {folder}", found, "Choose a folder that `earshot learn` has written")
    return cast(ComponentModel, loaded), loaded.card


def _move(text: str) -> tuple[int, str]:
    index, given, source = text.partition("=")
    if not (index.isascii() and index.isdigit() and given and source):
        raise DataError(f"Move {text}", "it is not of that form", "Write INDEX=SOURCE, such as 3=voice")
    return int(index), source


def _record(model: "ComponentModel") -> dict[str, Any]:
    """Sources and components, as JSON holds them."""
    from separation.visualisation.components import peak_hz

    names, found = list(model.spec.sources), model.components()
    peaks = peak_hz(found.patches.numpy(), model.spec.sample_rate)
    return {
        "sources": names,
        "components": [
            {"index": index, "source": names[owner], "home": names[home], "muted": bool(muted), "peak_hz": peak}
            for index, (owner, home, muted, peak) in enumerate(
                zip(found.sources.tolist(), model.homes.tolist(), found.muted.tolist(), peaks, strict=True)
            )
        ],
    }


def _list(model: "ComponentModel", as_json: bool) -> None:
    record = _record(model)
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return
    for one in record["components"]:
        was = "" if one["source"] == one["home"] else f", learned for {one['home']}"
        print(f"{one['index']:4d}  {one['source']}{was}{', muted' if one['muted'] else ''}, {one['peak_hz']:.0f} Hz")
