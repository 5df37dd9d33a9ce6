"""What the page asks about stems: true ones for a separation that is done, and those that a mixture is built from.

Plain Starlette routes under the rules of `separation.ui.routes`: the id of the job or the mixture is the only key, what changes
something must come from this very site, and every file is taken for hostile. A file is the body of its own request, named in
the query; it is written to the folder of what it belongs to, and goes with it.

    GET    earshot/stems/FILE                             the elements' modules and their style
    GET    earshot/jobs/ID/references                     {"sources", "used", "offered": [{"id", "file", "name", …}], …}
    POST   earshot/jobs/ID/references?file=NAME           one more offer, which changes nothing yet
    GET    earshot/jobs/ID/references/sum?offers=KEY,KEY&replaced=NAME    do they add up? {"null_db", "fits", "says", "names"}
    POST   earshot/jobs/ID/references/use                 {"names": {KEY: NAME}}: from now on these are references
    DELETE earshot/jobs/ID/references/offered/KEY · earshot/jobs/ID/references/named/NAME
    POST   earshot/mixes?file=NAME · earshot/mixes/ID/stems?file=NAME     the first stem of a new mixture, another stem
    GET    earshot/mixes/ID                               {"id", "stems", "rendered", "state", "stage", "says"}
    PUT    earshot/mixes/ID                               {"stems": [{"id", "name", "level_db", "muted"}]}
    DELETE earshot/mixes/ID/stems/KEY · earshot/mixes/ID
"""

import contextlib
import json
import math
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.audio import require_disk, safe_name
from separation.engine.jobs import Job
from separation.engine.mixes import Mix
from separation.engine.offers import Fit, compare, forget, names_for, offer, offers, sources_of, use, withdraw
from separation.engine.uploads import MOST_STEMS
from separation.errors import AudioError, JobError, SeparationError, UnknownJob
from separation.ui.answers import COMMON, PRIVATE, BadQuery, Endpoint, NotHere, finite, require_same_site, threaded
from separation.ui.frame import Services

FOLDER = Path(__file__).parent / "stems"
STATIC = {
    "references.js": "text/javascript",
    "mixer.js": "text/javascript",
    "uploads.js": "text/javascript",
    "stems.css": "text/css",
}
MAX_BODY = 64 * 1024
"""Bytes of a request that is no file."""
TRUE_DB, NEAR_DB = -40.0, -20.0
"""What may be left of a mixture without its true stems; and where only coding, a fade or an effect lies between them."""
CLOSE_DB = 1.5
"""How far the level that fits a stem best may be from its own, if it is in the mixture just so."""

SILENT_DB = -90.0
"""What is left of a mixture is called nothing from here on: less than the noise of 16 bit."""

_DISK_EVERY = 32 << 20  # bytes between two looks at the room that is left


def reference_routes(services: Services) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs, and how large an upload may be.
    """
    pages = _Pages(services)
    plain, reading = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2)  # reading whole recordings: two at a time
    job, mix = "/earshot/jobs/{job}/references", "/earshot/mixes/{mix}"
    return [
        Route("/earshot/stems/{file}", threaded(_static, plain)),
        Route(job, threaded(pages.references, plain), methods=["GET"]),
        Route(job, pages.receiving(pages.may_offer, pages.offer, plain, reading), methods=["POST"]),
        Route(f"{job}/sum", threaded(pages.sum, reading), methods=["GET"]),
        Route(f"{job}/use", _with_body(pages.use, reading), methods=["POST"]),
        Route(f"{job}/offered/{{key}}", threaded(pages.withdraw, plain), methods=["DELETE"]),
        Route(f"{job}/named/{{name}}", threaded(pages.forget, plain), methods=["DELETE"]),
        Route("/earshot/mixes", pages.receiving(pages.may_mix, pages.add, plain, reading), methods=["POST"]),
        Route(f"{mix}/stems", pages.receiving(pages.may_mix, pages.add, plain, reading), methods=["POST"]),
        Route(mix, threaded(pages.mix, plain), methods=["GET"]),
        Route(mix, _with_body(pages.set, plain), methods=["PUT"]),
        Route(mix, threaded(pages.drop, plain), methods=["DELETE"]),
        Route(f"{mix}/stems/{{key}}", threaded(pages.remove, plain), methods=["DELETE"]),
    ]


class _Pages:
    """The answers. All but `receiving` run in threads and may block."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._largest = round(services.settings.max_upload_mb * 1e6)
        self._longest = services.settings.max_minutes * 60

    # -- files

    def receiving(
        self,
        may: Callable[[Request], Path],
        take: Callable[[Request, Path, str], Response],
        plain: anyio.CapacityLimiter,
        reading: anyio.CapacityLimiter,
    ) -> Endpoint:
        """An endpoint that writes a body to a file, block by block, and hands it on.

        Args:
            may: raises if nothing is taken; else the folder to write to, whose files count together.
            take: what is done with the file, and its name; it moves or deletes it.
            plain, reading: threads for the one and the other.
        """

        async def endpoint(request: Request) -> Response:
            received: Path | None = None
            taken = False
            try:
                folder = await anyio.to_thread.run_sync(may, request, limiter=plain)
                file = _file_name(request)
                received = folder / f".{secrets.token_hex(8)}.part"
                await self._receive(request, received)
                answer = await anyio.to_thread.run_sync(take, request, received, file, limiter=reading)
                taken = True
                return answer
            except ClientDisconnect:
                return Response(None, HTTPStatus.BAD_REQUEST)
            except SeparationError as error:
                return await threaded(_raising(error), plain)(request)
            finally:
                if received is not None:
                    received.unlink(missing_ok=True)
                if not taken and (begun := getattr(request.state, "begun", None)):
                    self._store.drafts.delete(begun)  # nobody has heard of it

        return endpoint

    async def _receive(self, request: Request, path: Path) -> None:
        """The body as a file.

        Raises:
            AudioError: it is larger than allowed, together with what is in the folder.
            DiskFull: no room.
            UnknownJob: the folder was deleted meanwhile.
        """
        folder, said = path.parent, request.headers.get("content-length", "")
        held = await anyio.to_thread.run_sync(_bytes_in, folder)
        if said.isdigit():
            self._check_size(held + int(said))
            require_disk(folder, int(said))
        try:
            async with await anyio.open_file(path, "wb") as file:
                written = 0
                async for block in _blocks(request):
                    self._check_size(held + written + len(block))
                    if written // _DISK_EVERY != (written + len(block)) // _DISK_EVERY:
                        require_disk(folder, _DISK_EVERY)
                    await file.write(block)
                    written += len(block)
        except FileNotFoundError:
            raise UnknownJob(
                "Take the file", "what it belongs to is not here any more", "Start again, then choose it again"
            ) from None

    def _check_size(self, nbytes: int) -> None:
        if nbytes > self._largest:
            raise AudioError(
                "Take the file",
                f"with it the stems have more than the {self._largest / 1e6:g} MB that are allowed here",
                "Use FLAC or MP3, shorter stems, or Earshot on your own machine",
            )

    # -- references of a job

    def references(self, request: Request) -> Response:
        job = self._job(request)
        names = names_for(job)
        body = {
            "sources": sources_of(job),
            "used": list(job.references),
            "offered": [{**asdict(one), "name": names[key]} for key, one in offers(job).items()],
            "most": MOST_STEMS,
            "largest": self._largest,
        }
        return JSONResponse(body, headers=PRIVATE)

    def may_offer(self, request: Request) -> Path:
        require_same_site(request)
        job = self._job(request)
        sources_of(job)  # raises unless it is done
        return job.folder

    def offer(self, request: Request, received: Path, file: str) -> Response:
        job = self._job(request)
        made = offer(job, received, file)
        return JSONResponse({**asdict(made), "name": names_for(job)[made.id]}, headers=PRIVATE)

    def sum(self, request: Request) -> Response:
        """Whether the chosen offers, with what is there, add up."""
        job = self._job(request)
        keys = [key for key in request.query_params.get("offers", "").split(",") if key]
        replaced = request.query_params.get("replaced", "").split(",")
        waiting = offers(job)
        if len(keys) > MOST_STEMS or not set(keys) <= set(waiting):
            raise JobError("Compare the stems", "one of them is not here any more", "Choose the files again")
        fit = compare(job, keys, replaced=replaced)
        titles = {key: waiting[key].file for key in keys} | {name: name for name in job.references}
        fits, says = judge(fit, titles)
        names = names_for(job, fit) if set(keys) == set(waiting) else {}
        body = {"null_db": fit.null_db, "best_db": fit.best_db, "fits": fits, "says": says, "names": names}
        return JSONResponse(finite(body), headers=PRIVATE)

    def use(self, request: Request) -> Response:
        require_same_site(request)
        names = _fields(request).get("names")
        if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
            raise BadQuery("Use the stems", "there are no names", 'Send {"names": {ID: NAME}}')
        job = use(self._job(request), names)
        return JSONResponse({"used": list(job.references)}, headers=PRIVATE)

    def withdraw(self, request: Request) -> Response:
        require_same_site(request)
        withdraw(self._job(request), request.path_params["key"])
        return JSONResponse({"deleted": True}, headers=PRIVATE)

    def forget(self, request: Request) -> Response:
        require_same_site(request)
        job = forget(self._job(request), request.path_params["name"])
        return JSONResponse({"used": list(job.references)}, headers=PRIVATE)

    def _job(self, request: Request) -> Job:
        return self._store.get(request.path_params["job"])

    # -- mixtures

    def may_mix(self, request: Request) -> Path:
        """A new mixture where the address names none."""
        require_same_site(request)
        mix_id = request.path_params.get("mix")
        if mix_id is None:
            mix = self._store.mixes.begin(longest=self._longest)
            request.state.begun = mix.draft.id
        else:
            mix = self._store.mixes.get(mix_id)
        return mix.draft.folder

    def add(self, request: Request, received: Path, file: str) -> Response:
        mix_id = request.path_params.get("mix") or request.state.begun
        return _described(self._store.mixes.add(mix_id, received, file))

    def mix(self, request: Request) -> Response:
        return _described(self._store.mixes.get(request.path_params["mix"]))

    def set(self, request: Request) -> Response:
        require_same_site(request)
        return _described(self._store.mixes.set(request.path_params["mix"], wanted(_fields(request).get("stems"))))

    def remove(self, request: Request) -> Response:
        require_same_site(request)
        return _described(self._store.mixes.remove(request.path_params["mix"], request.path_params["key"]))

    def drop(self, request: Request) -> Response:
        require_same_site(request)
        self._store.drafts.delete(self._store.mixes.get(request.path_params["mix"]).draft.id)
        return JSONResponse({"deleted": True}, headers=PRIVATE)


def judge(fit: Fit, titles: Mapping[str, str]) -> tuple[bool, str]:
    """Whether stems are those of the recording, and that in words.

    Args:
        fit: what was measured.
        titles: what each stem is called.
    """
    if fit.null_db is None:
        return False, "The recording is silent: nothing can be compared with it."
    few = len(fit.levels_db) == 1
    they, left = "It adds up" if few else "They add up", _left(fit.null_db)
    if fit.null_db <= TRUE_DB:
        return (
            True,
            f"{they} to the recording: {left}. {'This is the true stem' if few else 'These are the true stems'}.",
        )
    if fit.null_db <= NEAR_DB:
        return True, f"{they} nearly: {left}. An MP3, a fade or an effect on the whole mix may lie between."
    wrong = {key: level for key, level in fit.levels_db.items() if level is None or abs(level) > CLOSE_DB}
    if fit.best_db is not None and fit.best_db <= NEAR_DB:
        changes = [
            f"{titles[key]} {_db(abs(level))} {'louder' if level > 0 else 'quieter'}"
            for key, level in wrong.items()
            if level is not None
        ]
        return False, f"{they} only at other levels: {_listed(changes)}. Is it another mix of them?"
    if not wrong:
        each = "it is" if few else "each is"
        return True, f"Part of the recording is missing here, but {each} in it at just this level: that fits."
    strange = [titles[key] for key in wrong]
    verb = "is" if len(strange) == 1 else "are"
    rest = f"{_listed(strange)} {verb} not in it as {'it stands' if verb == 'is' else 'they stand'}"
    return False, f"They do not add up to the recording: {rest}. Is it the same take, from the same start?"


def _left(null_db: float) -> str:
    return f"what is left lies {_db(-null_db)} below it" if null_db > SILENT_DB else "nothing is left of it"


def wanted(stems: Any) -> dict[str, tuple[str, float, bool]]:
    """What the page says of the stems of a mixture, by id: name, level in dB, muted.

    Raises:
        BadQuery: it cannot be read.
    """
    found: dict[str, tuple[str, float, bool]] = {}
    for stem in stems if isinstance(stems, list) else [None]:
        fields = stem if isinstance(stem, dict) else {}
        key, name = fields.get("id"), fields.get("name")
        level, muted = fields.get("level_db"), fields.get("muted")
        number = isinstance(level, int | float) and not isinstance(level, bool) and math.isfinite(level)
        if not (isinstance(key, str) and isinstance(name, str) and number and isinstance(muted, bool)):
            raise BadQuery(
                "Mix the stems", "what they shall be cannot be read", 'Send {"id", "name", "level_db", "muted"} of each'
            )
        found[key] = (name, float(level), muted)  # type: ignore[arg-type]
    return found


def _described(mix: Mix) -> Response:
    stage, state = mix.draft.stage(), mix.draft.state()
    body = {
        "id": mix.draft.id,
        "stems": [{**asdict(stem), "duration": stem.duration} for stem in mix.stems],
        "most": MOST_STEMS,
        "rendered": mix.rendered,
        "audible": len(mix.audible),
        "state": asdict(state),
        "stage": stage,
        "says": _says(mix, stage),
    }
    return JSONResponse(finite(body), headers=PRIVATE)


def _says(mix: Mix, stage: Mapping[str, Any] | None) -> str:
    """How loud the mixture is, once it is there."""
    if not mix.audible:
        return "Every stem is muted: there is nothing to hear." if mix.stems else ""
    if stage is None or not mix.rendered or stage["peak_db"] is None:
        return ""
    over = float(stage["peak_db"])
    if over <= 0:
        return f"The mixture reaches {_db(over)} of full scale: nothing clips."
    return f"Together they go {_db(over)} beyond full scale, so everything is played {_db(over)} quieter. The balance stays."


def _db(value: float) -> str:
    text = f"{abs(value):.0f}" if abs(value) >= 10 else f"{abs(value):.1f}"
    return f"{'−' if value < 0 and float(text) else ''}{text} dB"


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _file_name(request: Request) -> str:
    """What the visitor calls the file: shown, and looked at for a source's name; never a path."""
    return safe_name(request.query_params.get("file", "")[:300], "stem")


def _bytes_in(folder: Path) -> int:
    """Bytes of the stems in a folder, those that are on their way included."""
    total = 0
    for path in (*folder.glob("*/*/stem.*"), *folder.glob("references/*"), *folder.glob(".*.part")):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about a megabyte: a thread is asked to write each."""
    gathered = bytearray()
    async for block in request.stream():
        gathered += block
        if len(gathered) >= 1 << 20:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _with_body(answer: Callable[[Request], Response], limiter: anyio.CapacityLimiter) -> Endpoint:
    """As `threaded`, with a small body read before."""
    answered = threaded(answer, limiter)

    async def endpoint(request: Request) -> Response:
        body = b""
        try:
            async for block in request.stream():
                body += block
                if len(body) > MAX_BODY:
                    too_large = BadQuery("Read what is asked", f"it has more than {MAX_BODY // 1024} kB", "Send less")
                    return await threaded(_raising(too_large), limiter)(request)
        except ClientDisconnect:
            return Response(None, HTTPStatus.BAD_REQUEST)
        request.state.body = body
        return await answered(request)

    return endpoint


def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = json.loads(request.state.body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise BadQuery("Read what is asked", "it is no JSON object", "Send one, in UTF-8")
    return fields


def _raising(error: SeparationError) -> Callable[[Request], Response]:
    """An answer that is this error, told as all errors are."""

    def answer(request: Request) -> Response:
        raise error

    return answer


def _static(request: Request) -> Response:
    """The elements' own files, from a fixed table."""
    name = request.path_params["file"]
    if name not in STATIC:
        raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
    return FileResponse(FOLDER / name, media_type=STATIC[name], headers={**COMMON, "Cache-Control": "no-cache"})
