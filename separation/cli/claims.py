"""`earshot claims`: what the papers claim, trained and judged here."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from separation.cli.shared import Device, Json, app, talk


@app.command()
def claims(
    output: Annotated[Path, typer.Argument(help="Folder of the runs; what is there is not trained again.")],
    names: Annotated[list[str] | None, typer.Argument(help="Claims to look at; all if none is named.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with a subfolder a corpus; without it nothing is trained.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds a side; fewer than three decide nothing.")] = 3,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    as_json: Json = False,
) -> None:
    """Train both sides of each claim, seed after seed, and say whether it holds. Stop it at any time; it goes on."""
    from separation.errors import DataError
    from separation.training import claims as room

    known = {claim.name: claim for claim in room.CLAIMS}
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        raise DataError(f"Judge {', '.join(unknown)}", "there is no such claim", f"Use {', '.join(known)}")
    chosen = [known[name] for name in names or known]
    if data is None:
        outcomes = room.judge(chosen, output, seeds=seeds)
    else:
        outcomes = room.check(chosen, data, output, seeds=seeds, device=device.value, report=talk.print)
    if as_json:
        print(json.dumps(room.as_record(outcomes), indent=2))
        return
    table = Table("Claim", "Metric", "First", "Second", "Difference", "Seeds", "Verdict")
    for outcome in outcomes:
        claim, gap, means = outcome.claim, outcome.difference, outcome.means
        table.add_row(
            claim.says,
            claim.metric,
            "" if means is None else f"{means[0]:.2f}",
            "" if means is None else f"{means[1]:.2f}",
            "" if gap is None else f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]",
            str(outcome.seeds),
            f"{outcome.verdict}{f': {outcome.why}' if outcome.why else ''}",
        )
    Console().print(table)
