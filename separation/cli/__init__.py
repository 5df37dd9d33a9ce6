"""`earshot`: the command line; one file a group of commands.

Results go to standard output (with ``--json`` as one JSON document), everything else to standard error.
"""

import sys
from typing import Annotated

import typer
from rich.markup import escape

from separation import __version__
from separation.cli import (
    claims,
    datasets,
    evaluate,
    fit,
    leaderboard,
    learn,
    mix,
    models,
    pitch,
    ratings,
    separate,
    serve,
    standings,
    study,
    study_results,
    study_webmushra,
    train,
)
from separation.cli.shared import app, talk
from separation.errors import SeparationError

__all__ = [
    "app",
    "claims",
    "datasets",
    "evaluate",
    "fit",
    "leaderboard",
    "learn",
    "main",
    "mix",
    "models",
    "pitch",
    "ratings",
    "separate",
    "serve",
    "standings",
    "study",
    "study_results",
    "study_webmushra",
    "train",
]  # importing a file of commands adds them to `app`


def main() -> None:
    """Run the command line; errors of ours become one line and exit status 2."""
    try:
        app()
    except SeparationError as error:
        talk.print(f"[red]earshot:[/red] {escape(str(error))}", soft_wrap=True)
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
