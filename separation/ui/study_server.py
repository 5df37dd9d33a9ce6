"""One listening test alone, without Gradio and without models: `earshot serve --study NAME`.

The same routes as beside the pages (`listen_routes`), in a server that starts in a second and has nothing that could tell a
listener what is compared. The database and the folder of studies are those of the installation, so that the owner's pages may
run beside it.
"""

from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from separation.listening.sessions import Listening
from separation.listening.studies import Studies
from separation.ratings import Store
from separation.settings import Settings
from separation.ui.listen_routes import listen_routes, open_listening


def study_app(listening: Listening, studies: Studies, name: str) -> Starlette:
    """The application of one study; its root leads to it."""

    async def root(request: Request) -> Response:
        return RedirectResponse(f"listen/{name}", HTTPStatus.SEE_OTHER)

    return Starlette(routes=[Route("/", root), *listen_routes(listening, studies, only=name)])


def serve_study(settings: Settings, name: str) -> None:
    """Serve a study until the process is stopped; one that was not launched yet is launched.

    Raises:
        SeparationError: there is none of that name, or it cannot be launched.
        SystemExit: the port is taken, with what to do about it.
    """
    listening, studies = open_listening(settings, Store(settings.database_url))
    if studies.launched(name) is None:
        studies.launch(name)
    studies.open(name)
    app = study_app(listening, studies, name)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning", ws="none", lifespan="off")
