"""What the commands share: the application they join, the console that people read, and common options."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Hear, see and rate sound separation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
talk = Console(stderr=True, highlight=False)


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
