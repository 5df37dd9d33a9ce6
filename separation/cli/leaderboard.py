"""`earshot leaderboard`: what the votes of the Compare page say, from its export or from this installation's database.

The same numbers as on the page: the ranking is `listening.leaderboard`, with the same seed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from separation.cli.ratings import Database
from separation.cli.shared import Json, app, talk
from separation.errors import RatingError
from separation.settings import Settings

if TYPE_CHECKING:
    from separation.listening.arena import Vote
    from separation.listening.leaderboard import Leaderboard


@app.command()
def leaderboard(
    export: Annotated[
        Path | None, typer.Argument(help="Votes as the Compare page gives them; none: the database.")
    ] = None,
    task: Annotated[str, typer.Option(help="Only this task.")] = "",
    attribute: Annotated[str, typer.Option(help="Rank by a reason: target, others or artefacts.")] = "",
    stem: Annotated[str, typer.Option(help="Only reasons for this stem.")] = "",
    only_random: Annotated[bool, typer.Option("--only-random", help="Only pairs that were drawn uniformly.")] = False,
    without_flagged: Annotated[
        bool, typer.Option("--without-flagged", help="Leave out votes that look careless.")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Write the votes to this file, too.")] = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Rank systems by blind votes, with intervals over listeners; docs/compare.md says how."""
    from separation.listening.arena import read_votes, write_votes
    from separation.listening.leaderboard import Board, tasks_of
    from separation.listening.leaderboard import leaderboard as rank

    votes = read_votes(_existing(export)) if export is not None else _stored(database)
    if save is not None:
        talk.print(f"{write_votes(votes, save):,} votes in {save}")
    tasks = tasks_of(votes)
    if task and task not in tasks:
        raise RatingError(
            f"Rank the systems of {task}", "no vote is about it", f"Choose from {', '.join(tasks) or 'none'}"
        )
    boards = [
        rank(votes, Board(one, attribute, stem, only_random, not without_flagged))
        for one in ([task] if task else tasks)
    ]
    if as_json:
        print(json.dumps([board.to_json() for board in boards], indent=2, ensure_ascii=False, allow_nan=False))
    elif boards:
        show(boards)
    else:
        talk.print("No votes yet.")


def show(boards: "list[Leaderboard]") -> None:
    """To standard output, for people."""
    console = Console(highlight=False)
    for board in boards:
        console.print(_table(board))
        for line in _below(board):
            console.print(f"  {line}", soft_wrap=True, markup=False)


def _table(board: "Leaderboard") -> Table:
    asked = board.board
    about = f", {asked.attribute}{f' of {asked.stem}' if asked.stem else ''}" if asked.attribute else ""
    title = f"{asked.task}{about}: {board.votes:,} votes of {board.listeners:,} listeners"
    heads = [
        Column(head, justify="right", no_wrap=True)
        for head in ("rank", "strength", "95 % interval", "won", "lost", "tie", "both bad")
    ]
    table = Table("", *heads, title=title, title_justify="left", box=SIMPLE_HEAD)
    for one in board.places:
        rank = str(one.best_rank) if one.best_rank == one.worst_rank else f"{one.best_rank}–{one.worst_rank}"
        interval = "–" if one.low is None or one.high is None else f"{one.low:+.2f} … {one.high:+.2f}"
        counts = (f"{count:,}" for count in (one.wins, one.losses, one.ties, one.bad))
        table.add_row(
            escape(f"{one.title}{' *' if one.preliminary else ''}"), rank, f"{one.strength:+.2f}", interval, *counts
        )
    return table


def _below(board: "Leaderboard") -> Iterator[str]:
    from separation.listening.leaderboard import PRELIMINARY

    if any(one.preliminary for one in board.places):
        yield f"* preliminary: fewer than {PRELIMINARY} votes."
    if board.side is not None:
        bias, low, high = board.side
        span = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
        yield f"Bias for the left side, in log-odds: {bias:+.2f}{span}."
    yield from board.notes
    yield f"Pairs drawn: {', '.join(f'{count:,} {how}' for how, count in board.how.items()) or 'none'}."


def _existing(export: Path) -> Path:
    if not export.is_file():
        raise RatingError(f"Read the votes in {export}", "there is no such file", "Save it from the Compare page")
    return export


def _stored(database: str | None) -> "list[Vote]":
    from separation.listening.arena import KIND, votes_of
    from separation.ratings import Store

    store = Store(database or Settings.from_environment().database_url)
    try:
        return votes_of(store.snapshot(KIND))
    finally:
        store.close()
