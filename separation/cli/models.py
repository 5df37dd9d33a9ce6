"""`earshot models`: what is here, one model's card, what the Hub's cache holds, and taking a model out of it."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from separation.cli.shared import Json, app, talk
from separation.errors import ConfigError

if TYPE_CHECKING:
    from separation.hub import Card, Installed, LearningCurves

BLOCKS = "▁▂▃▄▅▆▇█"


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="Show this model's card: a bundled name, a folder, or owner/name[@revision].")
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="List what was fetched from the Hub as well, with sizes.")
    ] = False,
    remove: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Delete a repository, or owner/name@COMMIT, from the Hub's cache."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    paper_sizes: Annotated[
        bool,
        typer.Option("--paper-sizes", help="List architectures at their papers' sizes instead, with parameter counts."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models that are here, or show one model's card."""
    if paper_sizes:
        _sizes(as_json)
    elif remove is not None:
        _remove(remove, yes, as_json)
    elif name is not None:
        _card(name, as_json)
    else:
        _list(installed, as_json)


def _list(with_hub: bool, as_json: bool) -> None:
    from separation import hub
    from separation.hub.facts import megabytes

    cards = hub.bundled()
    fetched = hub.installed() if with_hub else []
    if as_json:
        found = [card.model_dump(mode="json") for card in cards]
        found += [{**one.card.model_dump(mode="json"), "cached": _cached(one)} for one in fetched]
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table("name", "what it does", "sources", "rate", "size", "licence", *(["last read"] if with_hub else []))
    for card in cards:
        table.add_row(*_row(card, card.name))
    for one in fetched:
        name = f"{one.repo}@{(one.card.origin.revision or '')[:12]}"
        used = datetime.fromtimestamp(one.used).strftime("%Y-%m-%d")
        table.add_row(*_row(one.card, name, megabytes(one.bytes)), used)
    Console(markup=False).print(table)


def _row(card: "Card", name: str, size: str | None = None) -> list[str]:
    from separation.hub.facts import megabytes

    if size is None:
        size = megabytes(card.weights.bytes) if card.weights else ""
    return [name, card.title, ", ".join(card.sources), f"{card.sample_rate / 1000:g} kHz", size, card.licence]


def _cached(one: "Installed") -> dict[str, Any]:
    return {
        "name": one.card.origin.name,
        "repo": one.repo,
        "commit": one.card.origin.revision,
        "refs": one.refs,
        "bytes": one.bytes,
        "used": one.used,
    }


def _card(name: str, as_json: bool) -> None:
    """The facts of the Models page: of a repository also its files, and whether it would be refused."""
    from separation import hub

    if hub.resolve(name).kind != "hub":
        _show(hub.describe(name), [], as_json)
        return
    found = hub.survey(name)
    if found.refusal is not None:
        raise found.refusal
    assert found.card is not None, "a repository without a readable card is refused"
    files = [{"name": file, "bytes": size, "verdict": verdict} for file, size, verdict in found.files]
    if as_json:
        shown = {**found.card.model_dump(mode="json"), "files": files, "missing": found.missing}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    from separation.hub.facts import megabytes

    left = ", ".join(f"{file} ({verdict})" for file, _, verdict in found.files if verdict != "taken")
    more = [("To fetch", megabytes(found.missing) if found.missing else "nothing, it is here already")]
    _show(found.card, [*more, *([("Left there", left)] if left else [])], as_json)


def _show(card: "Card", more: list[tuple[str, str]], as_json: bool) -> None:
    from separation.hub.facts import facts

    if as_json:
        curves = _curves(card)
        learnt = None if curves is None else curves.model_dump(mode="json")
        print(json.dumps({**card.model_dump(mode="json"), "learning": learnt}, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    console.print(f"{card.title} ({card.origin.name})", style="bold")
    console.print(card.summary)
    for note in card.origin.notes:
        console.print(note)
    lines = Table.grid(padding=(0, 2))
    for term, text in (*facts(card), *more):
        lines.add_row(term, text)
    console.print("", lines)
    for score in card.scores:
        sure = f" ({score.interval[0]:.1f} to {score.interval[1]:.1f})" if score.interval else ""
        console.print(f"\n{score.metric}: {score.value:.1f} {score.unit}{sure}")
        console.print(f"  {score.data}{f'; {score.note}' if score.note else ''}")
    for line in _learnt(card):
        console.print(line, soft_wrap=True)
    for title, items in (("Weak at", card.weaknesses), ("Trained on", card.trained_on)):
        if items:
            console.print(f"\n{title}", *(f"- {item}" for item in items), sep="\n")
    console.print(f"\nCite: {card.citation}")


def _curves(card: "Card") -> "LearningCurves | None":
    from separation import hub

    try:
        return hub.read_curves(card)
    except ConfigError as error:  # the file is optional: a broken one hides no card
        talk.print(str(error), soft_wrap=True, markup=False)
        return None


def _learnt(card: "Card") -> list[str]:
    """The learning curve of the Models page in a line of blocks, and what it says in figures; nothing where there is none."""
    curves = _curves(card)
    known = [] if curves is None else [value for value in curves.validation.values if value is not None]
    if curves is None or not known:
        return []
    validation, low, high = curves.validation, min(known), max(known)
    step = (high - low) / (len(BLOCKS) - 1) or 1.0
    bars = "".join(" " if value is None else BLOCKS[round((value - low) / step)] for value in validation.values)
    unit = f" {validation.unit}" if validation.unit else ""
    taken = dict(zip(validation.steps, validation.values, strict=True)).get(curves.step)
    these = f", {taken:.1f}{unit} with these weights (step {curves.step:,})" if taken is not None else ""
    span = f"steps {validation.steps[0]:,} to {validation.steps[-1]:,}"
    return [
        f"\nHow it learnt: {validation.name} on examples that it was not trained on, {span}",
        f"  {bars}  from {low:.1f} to {high:.1f}{unit}{these}",
    ]


def _remove(name: str, yes: bool, as_json: bool) -> None:
    from separation import hub
    from separation.hub.facts import megabytes

    if not yes:
        typer.confirm(f"Delete {name} from the Hub's cache of this machine?", abort=True, err=True)
    freed = hub.remove(name)
    if as_json:
        print(json.dumps({"removed": name, "freed": freed}))
    else:
        talk.print(f"{name} was removed: {megabytes(freed)} are free again")


def _sizes(as_json: bool) -> None:
    from separation.models.sizes import PAPER_SIZES, parameters

    counts = {name: parameters(name) for name in PAPER_SIZES}
    if as_json:
        print(json.dumps(counts, indent=2))
        return
    table = Table("name", "architecture", "parameters")
    for name, count in counts.items():
        table.add_row(name, PAPER_SIZES[name][0], f"{count:,}")
    Console(markup=False).print(table)
