"""`earshot ratings standings`: models with intervals and agreement, and marks against metrics.

The same figures as the owner's Ratings page; `earshot ratings stats` counts. Marks can be compared where that page has had
their seconds measured; this measures nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from separation.cli.ratings import Database, ratings
from separation.cli.shared import Json
from separation.settings import Settings

if TYPE_CHECKING:
    from separation.ratings import ClipStore, Store
    from separation.ratings.marks import Found
    from separation.ratings.standings import Standing


@ratings.command()
def standings(
    database: Database = None,
    every: Annotated[bool, typer.Option("--all", help="Also what was not said blind.")] = False,
    as_json: Json = False,
) -> None:
    """Compare models by what listeners said, and marks with the metrics of the seconds they lie on."""
    from separation.ratings import ClipFolder, Store

    settings = Settings.from_environment()
    store = Store(database or settings.database_url)
    try:
        found = tables(store, ClipFolder(settings.clips), settings.marked, only_blind=not every)
    finally:
        store.close()
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(found)


@dataclass(frozen=True)
class Tables:
    """Both, of one moment.

    Args:
        standings: models by scale, best first.
        marks: kinds of marks against metrics.
        measured: trials of which there are numbers.
        marked: trials with marks.
        only_blind: what was not said blind is left out.
    """

    standings: "dict[str, list[Standing]]"
    marks: "list[Found]"
    measured: int
    marked: int
    only_blind: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "only_blind": self.only_blind,
            "standings": {scale: [one.to_json() for one in ranked] for scale, ranked in self.standings.items()},
            "marks_and_metrics": {
                "marked": self.marked, "measured": self.measured, "found": [one.to_json() for one in self.marks],
            },
        }  # fmt: skip


def tables(store: "Store", clips: "ClipStore", folder: Path, *, only_blind: bool) -> Tables:
    """Compute both.

    Args:
        store, clips: the ratings.
        folder: of what was measured (`Settings.marked`).
        only_blind: only answers and marks that were given blind.
    """
    from separation.ratings.browse import Catalogue
    from separation.ratings.marks import Records, compare
    from separation.ratings.standings import standings as stand

    lines, records = Catalogue(store, clips).lines(), Records(folder)
    marked = [(line, records.get(line.trial.id)) for line in lines if line.marks]
    measured = [(line, record) for line, record in marked if record is not None]
    ranked = stand(lines, only_blind=only_blind)
    return Tables(ranked, compare(measured, only_blind=only_blind), len(measured), len(marked), only_blind)


def show(found: Tables) -> None:
    """To standard output, for people."""
    console = Console()
    if not found.standings:
        console.print(
            "No answer was given blind yet; --all counts the others, too." if found.only_blind else "No answers yet."
        )
    elif found.only_blind:
        console.print("Only what was said blind; --all counts the rest, too.")
    for scale, ranked in found.standings.items():
        console.print(_ranking(scale, ranked))
    if found.marks:
        console.print(f"Marks against metrics, {found.measured:,} of {found.marked:,} marked trials measured:")
        for one in sorted(found.marks, key=lambda one: not one.expected):
            console.print(f"  {one.verdict}", soft_wrap=True, highlight=False, markup=False)
    elif found.marked:
        console.print(f"Of {found.marked:,} trials with marks none is measured: the Ratings page has that done.")


def _ranking(scale: str, ranked: "list[Standing]") -> Table:
    heads = [
        Column(head, justify="right") for head in ("answers", "raters", "mean", "low", "high", "alpha", "of clips")
    ]
    title = f"{scale}: models by mean, 95 % intervals over raters and recordings"
    table = Table("", *heads, title=title, title_justify="left", box=SIMPLE_HEAD)
    for one in ranked:
        numbers = (_number(value) for value in (one.mean, one.low, one.high, one.agreement.alpha))
        table.add_row(escape(one.model), f"{one.answers:,}", f"{one.listeners:,}", *numbers, f"{one.agreement.units:,}")
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"  # adding zero takes the sign off a zero
