"""A reverse proxy as people put in front of a page: it serves a prefix, takes it off and passes everything on."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx2
import uvicorn
from page_services import free_port
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"}


@contextmanager
def proxy(target: str, prefix: str, *, tell: bool) -> Iterator[str]:
    """Serve `target` under ``http://127.0.0.1:PORT`` + `prefix`; the address, without a slash at the end.

    Args:
        tell: send X-Forwarded-Host and X-Forwarded-Proto; otherwise the original name is in Host, as nginx does it with
            ``proxy_set_header Host $http_host``.
    """
    port = free_port()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(base_url=target, timeout=None, trust_env=False) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        path = request.url.path.removeprefix(prefix)
        if path == request.url.path or not path.startswith("/"):
            return PlainTextResponse("not below the prefix", 404)
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        host = request.headers["host"]
        headers |= {"x-forwarded-host": host, "x-forwarded-proto": "http"} if tell else {"host": host}
        client: httpx2.AsyncClient = request.app.state.client
        url = httpx2.URL(path=path, query=request.url.query.encode())
        passed = client.build_request(request.method, url, headers=headers, content=await request.body())
        answer = await client.send(passed, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP - {"content-length"}}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
    app = Starlette(routes=[Route("/{path:path}", forward, methods=methods)], lifespan=lifespan)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive(), "the proxy could not start"
    try:
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        server.should_exit = True
        thread.join(10)
