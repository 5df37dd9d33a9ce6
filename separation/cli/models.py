"""`earshot models`: what is bundled."""

import json

from rich.console import Console
from rich.table import Table

from separation.cli.shared import Json, app


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
