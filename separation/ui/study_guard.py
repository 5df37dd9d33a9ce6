"""While a listening test is open, Gradio's own descriptions of the pages are for the owner only.

They list every choice of every menu, model names included, to whoever asks: a listener with a curious browser would find the
systems under test (the listener's own pages are none of Gradio's and say nothing, `listen_routes`). Pages that are open go on
to work: they carry what they need.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from separation.errors import SeparationError
from separation.ui.answers import PRIVATE
from separation.ui.owner_access import Access

TELLING = ("/config", "/gradio_api/info", "/gradio_api/openapi.json", "/openapi.json")
"""Addresses that name models, whatever stands before them."""


class StudyGuard:
    """Middleware.

    Args:
        app: what is guarded.
        studying: whether a listening test is open or paused.
        access: who is let through all the same.
    """

    def __init__(self, app: ASGIApp, *, studying: Callable[[], bool], access: Access) -> None:
        self._app = app
        self._studying = studying
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith(TELLING) and self._studying():
            try:
                self._access.require(Request(scope))
            except SeparationError:
                found = "a listening test is open here, and this names its systems"
                parts = {"asked": "Read how the pages are made", "found": found, "advice": "Send the owner's token"}
                await JSONResponse(parts, 401, PRIVATE)(scope, receive, send)
                return
        await self._app(scope, receive, send)
