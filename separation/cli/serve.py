"""`earshot serve`: the page."""

from typing import Annotated

import typer

from separation.cli.shared import app, talk


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; EARSHOT_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; EARSHOT_PORT, else 7860.")] = None,
    study: Annotated[
        str | None, typer.Option(help="Serve this listening test alone: no other page, no model is loaded.")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="With --study: launch it whatever the check says.")] = False,
) -> None:
    """Serve the page, or one listening test alone, which is launched if it was not."""
    from dataclasses import replace

    from separation.settings import Settings

    settings = Settings.from_environment()
    settings = replace(settings, host=host or settings.host, port=port or settings.port)
    if study is None:
        from separation.ui.server import launch

        launch(settings)
    else:
        from separation.ui.study_server import ready_study, serve_app

        app_of_study = ready_study(settings, study, anyway=anyway)
        talk.print(f"The listening test answers at http://{settings.host}:{settings.port}/listen/{study}", markup=False)
        serve_app(settings, app_of_study)
