"""`earshot serve`: the page."""

from typing import Annotated

import typer

from separation.cli.shared import app


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; EARSHOT_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; EARSHOT_PORT, else 7860.")] = None,
) -> None:
    """Serve the page."""
    from dataclasses import replace

    from separation.settings import Settings
    from separation.ui.server import launch

    settings = Settings.from_environment()
    launch(replace(settings, host=host or settings.host, port=port or settings.port))
