"""How our own routes answer: in threads, with errors as JSON of three parts, and to changes only from this very site.

What is served is private: never stored by caches, which would outlive a deletion.
"""

import gzip
import json
import math
import re
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from separation.errors import Busy, DiskFull, JobError, SeparationError, UnknownJob, UnknownTrial

COMMON = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
PRIVATE = {**COMMON, "Cache-Control": "private, no-store"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script but our own files, whatever people wrote; and no other site may put the page into a frame, under its buttons."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

Endpoint = Callable[[Request], Awaitable[Response]]


def own_page(html: str) -> Response:
    """A page of ours that is none of Gradio's."""
    headers = {**PRIVATE, "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Response(html, headers=headers, media_type="text/html")


class NotHere(JobError): ...


class BadQuery(JobError): ...


class Refused(JobError): ...


_STATUS: tuple[tuple[type[SeparationError], HTTPStatus], ...] = (
    (UnknownJob, HTTPStatus.NOT_FOUND),
    (UnknownTrial, HTTPStatus.NOT_FOUND),
    (NotHere, HTTPStatus.NOT_FOUND),
    (BadQuery, HTTPStatus.BAD_REQUEST),
    (Refused, HTTPStatus.FORBIDDEN),
    (DiskFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (SeparationError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def threaded(answer: Callable[[Request], Response], limiter: anyio.CapacityLimiter) -> Endpoint:
    """Run in a thread (so that no visitor waits for another's disk), turn expected errors into JSON."""

    @wraps(answer)
    async def endpoint(request: Request) -> Response:
        try:
            return await anyio.to_thread.run_sync(answer, request, limiter=limiter)
        except SeparationError as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            return JSONResponse(parts, status, PRIVATE)

    return endpoint


def with_body(answer: Callable[[Request], Response], limiter: anyio.CapacityLimiter, most: int) -> Endpoint:
    """As `threaded`, with the request's body in `request.state.body`; one of more than `most` bytes is not read to its end."""
    answered = threaded(answer, limiter)

    async def endpoint(request: Request) -> Response:
        body = b""
        try:
            async for block in request.stream():
                body += block
                if len(body) > most:
                    found, advice = f"it has more than {most // 1024} kB", "Reload the page"
                    parts = {"asked": "Read the request", "found": found, "advice": advice}
                    return JSONResponse(parts, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PRIVATE)
        except ClientDisconnect:
            return Response(None, HTTPStatus.BAD_REQUEST)
        request.state.body = body
        return await answered(request)

    return endpoint


def packed_json(request: Request, body: dict[str, Any]) -> Response:
    """A record as JSON, compressed for whoever can read that."""
    text = json.dumps(finite(body), allow_nan=False, separators=(",", ":"))
    return packed(request, text.encode(), "application/json")


def packed(request: Request, content: bytes, media_type: str) -> Response:
    """Compressed for whoever can read that."""
    headers = {**PRIVATE, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            gzip.compress(content, 6), headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type
        )
    return Response(content, headers=headers, media_type=media_type)


def byte_range(request: Request, size: int) -> tuple[HTTPStatus, int, int]:
    """The one range of bytes that is asked for (RFC 9110 section 14): status, first and last + 1; all if it is none."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    first, last = asked.groups() if asked else ("", "")
    if not first and not last:  # "bytes=-" is no range at all, and is ignored
        return HTTPStatus.OK, 0, size
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return HTTPStatus.OK, 0, size
    if start >= size or start >= stop:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0
    return HTTPStatus.PARTIAL_CONTENT, start, stop


def finite(value: Any) -> Any:
    """JSON knows no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def require_same_site(request: Request) -> None:
    """Another site's page must not stop or delete a job through its visitor's browser.

    Browsers say where a request comes from: `Sec-Fetch-Site` (https and localhost only) or `Origin` (always, for what
    is not a GET). Programs other than browsers send neither, and need no protection from themselves.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        # A proxy may have put its own name into Host; a foreign page cannot set X-Forwarded-Host without our consent.
        hosts = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
        allowed = origin is None or urlsplit(origin).netloc in hosts
    if not allowed:
        raise Refused("Change a separation", "the request comes from another site", "Use this site's own page")
