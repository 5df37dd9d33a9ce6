"""What the browser tests share: a browser, a page with nothing but the player, and patience, because machines may be busy."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from chromium import ARGUMENTS, CHROMIUM, MICROPHONE
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from separation.engine.jobs import JobStore
from separation.ui.routes import routes

PLAYER = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Player</title><body>
<script type="module" src="/earshot/static/player.js"></script>
<earshot-player base="/earshot/" job="{job}"></earshot-player></body></html>"""

with suppress(ImportError):  # the tests that need it say so themselves
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One a module: while Playwright runs, its thread can run no other event loop."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: install the package `chromium`")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *MICROPHONE])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(store: JobStore) -> Iterator[str]:
    """Where the player alone plays the jobs of the module's `store`: ``?job=ID``."""

    def page(request: Request) -> Response:
        return HTMLResponse(PLAYER.format(job=re.sub(r"[^\w-]", "", request.query_params.get("job", ""))))

    app = Starlette(routes=[Route("/", page), *routes(store)])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
