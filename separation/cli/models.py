"""`earshot models`: what is bundled, and how large every architecture is in its paper."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from separation.cli.shared import Json, app


@app.command()
def models(
    paper_sizes: Annotated[
        bool,
        typer.Option("--paper-sizes", help="List architectures at their papers' sizes instead, with parameter counts."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the bundled models."""
    if paper_sizes:
        _sizes(as_json)
    else:
        _bundled(as_json)


def _bundled(as_json: bool) -> None:
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


def _sizes(as_json: bool) -> None:
    from separation.models.sizes import PAPER_SIZES, parameters

    counts = {name: parameters(name) for name in PAPER_SIZES}
    if as_json:
        print(json.dumps(counts, indent=2))
        return
    table = Table("name", "architecture", "parameters")
    for name, count in counts.items():
        table.add_row(name, PAPER_SIZES[name][0], f"{count:,}")
    Console().print(table)
