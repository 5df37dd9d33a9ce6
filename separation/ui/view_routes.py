"""The routes of what stands under the player: the views' own files, and what each view asks the server.

GET    earshot/views/FILE                       scripts and styles of the views, from a fixed table
"""

from http import HTTPStatus
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from separation.ui.answers import COMMON, NotHere, threaded
from separation.ui.block_routes import block_routes
from separation.ui.edit_routes import edit_routes
from separation.ui.frame import Services
from separation.ui.latent_routes import latent_routes
from separation.ui.pitch_routes import pitch_routes
from separation.ui.segment_routes import segment_routes

FOLDER = Path(__file__).parent / "views"
TYPES = {".js": "text/javascript", ".css": "text/css"}
STATIC = (
    "views.js",
    "views.css",
    "view.js",
    "segments.js",
    "segments.css",
    "cells.js",
    "masks.js",
    "painting.js",
    "plots.js",
    "masks.css",
    "edits.js",
    "edits.css",
    "blocks.js",
    "blocks.css",
    "pitch.js",
    "pitch.css",
    "tracks.js",
)


def view_routes(services: Services) -> list[Route]:
    """The routes of all views.

    Args:
        services: the jobs and who works on them.
    """
    plain = anyio.CapacityLimiter(8)
    return [
        Route("/earshot/views/{file}", threaded(_static, plain)),
        *latent_routes(services),
        *segment_routes(services),
        *edit_routes(services),
        *block_routes(services),
        *pitch_routes(services),
    ]


def _static(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in STATIC:
        raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
    headers = {**COMMON, "Cache-Control": "no-cache"}
    path = FOLDER / name
    return FileResponse(path, HTTPStatus.OK, headers, TYPES[path.suffix])
