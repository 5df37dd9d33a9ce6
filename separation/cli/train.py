"""`earshot train` and `earshot export`: from a folder of recordings to a model folder."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from separation.cli.shared import Device, Json, app, talk


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
            talk.print(f"{entry['event']:8s} step {entry['step']}/{chosen.steps}  {entry['seconds']:.0f} s  {rest}")

    best = run(chosen, data, output, device=device.value, initial=initial, report=report)
    talk.print(f"Best weights: {best}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    output: Annotated[Path, typer.Option(help="Model folder to write: config.json, model.safetensors, README.md.")],
) -> None:
    """Turn the best weights of a run into a model folder that the page, `separate` and the Hub can load."""
    from separation.training.export import export as write

    card = write(run, output)
    talk.print(f"Wrote {output}: {card.title}, {card.weights.parameters if card.weights else 0:,} parameters")
