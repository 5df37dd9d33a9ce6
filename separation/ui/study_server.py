"""One listening test alone, without Gradio and without models: `earshot serve --study NAME`.

The same routes as beside the pages (`listen_routes`), in a server that starts in a second and has nothing that could tell a
listener what is compared. The database and the folder of studies are those of the installation, so that the owner's pages may
run beside it.
"""

from http import HTTPStatus
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from separation.errors import StudyError
from separation.listening.prepared import STUDY_FILE, read_prepared
from separation.listening.sessions import Listening
from separation.listening.studies import Studies
from separation.listening.study import read_study
from separation.ratings import Store
from separation.settings import Settings
from separation.ui.listen_routes import listen_routes, open_listening


def study_app(listening: Listening, studies: Studies, name: str) -> Starlette:
    """The application of one study; its root leads to it."""

    async def root(request: Request) -> Response:
        return RedirectResponse(f"listen/{name}", HTTPStatus.SEE_OTHER)

    return Starlette(routes=[Route("/", root), *listen_routes(listening, studies, only=name)])


def ready_study(settings: Settings, name: str, *, anyway: bool = False) -> Starlette:
    """The application of one study of the installation; a study that was not launched yet is launched.

    Args:
        settings: where it lies.
        name: of the study.
        anyway: launch it with what the check calls errors.

    Raises:
        SeparationError: there is none of that name, or it cannot be launched.
        StudyError: the check found errors, with all of them.
    """
    listening, studies = open_listening(settings, Store(settings.database_url))
    if studies.launched(name) is None:
        if not anyway:
            _require_sound(studies.folder(name), name)
        studies.launch(name)
    studies.open(name)
    return study_app(listening, studies, name)


def _require_sound(folder: Path, name: str) -> None:
    """What the page asks before a launch (`Desk.missing`); for a plan `Studies.launch` asks itself."""
    from separation.listening.checks import check  # brings scipy.signal, which a restart need not wait for

    findings = check(read_study(folder / STUDY_FILE), read_prepared(folder))
    wrong = [f"{one.where}: {one.text}" if one.where else one.text for one in findings if one.level == "error"]
    if wrong:
        advice = f"Mend it and build again, or launch it all the same: earshot serve --study {name} --anyway"
        raise StudyError(f"Launch the study {name}", " ".join(wrong), advice)


def serve_app(settings: Settings, app: Starlette) -> None:
    """Serve an application until the process is stopped.

    Raises:
        SystemExit: the port is taken, with what to do about it.
    """
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", ws="none", lifespan="off")
