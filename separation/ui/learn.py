"""The Learn page: a person brings seconds of each sound alone, presses Learn, and hears a mixture of them taken apart.

The page itself is drawn in the browser (`learn/learn.js`). Lessons are `separation.ui.learn_routes`; here are the page's own
files, what it begins with, and the mixture that a visitor brings:

    GET  earshot/learn/FILE                 the page's own files, from a fixed table
    GET  earshot/learn/start                {systems, examples, credits, keep_hours}: what can be learned with, and tried
    POST earshot/learn/mixture?file=NAME    the file is the body -> {draft, name}: a draft like any other

An example is a folder with `lesson.json`; files are named from there, so that it may use a mixture of `assets/examples`:

    {"title": "two voices", "summary": "One sentence.", "order": 1, "system": "nmf", "components": 20,
     "mixture": "mixture.flac", "sources": [{"name": "woman", "clips": ["woman.flac"]}, …],
     "credits": [{"what": "…", "author": "…", "licence": "…", "licence_url": "…", "source": "…"}]}
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread
import gradio as gr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.audio import probe, require_disk, safe_name
from separation.engine.drafts import Draft
from separation.errors import AudioError, DataError, SeparationError
from separation.training.learning import SYSTEMS
from separation.ui.answers import COMMON, PRIVATE, NotHere, require_same_site, threaded
from separation.ui.examples import Credit
from separation.ui.frame import Services

FOLDER = Path(__file__).parent / "learn"
STYLE = FOLDER / "learn.css"
EXAMPLES = Path(__file__).parents[2] / "assets" / "lessons"
STATIC = (
    "learn.js",
    "sources.js",
    "mixture.js",
    "learning.js",
    "curve.js",
    "components.js",
    "result.js",
    "kept.js",
    "sound.js",
    "microphone.js",
)

_SCRIPT = """
const address = new URL("earshot/learn/learn.js", new URL("./", document.baseURI));
import(address).catch(() => {
  const text = "This page's script could not be loaded. Check the connection and load the page again.";
  element.querySelector("earshot-learn").textContent = text;
});
"""
_BLOCK = 1 << 20  # bytes that are written at once
_DISK_EVERY = 32 << 20  # bytes between two looks at the room that is left


class LearnPage:
    """The page's one component."""

    def build(self) -> None:
        """Put it into the page that is being built."""
        gr.HTML(
            "",
            html_template="<earshot-learn></earshot-learn>",
            js_on_load=_SCRIPT,
            apply_default_css=False,
            elem_classes=["earshot-plain"],
        )


@dataclass(frozen=True)
class LessonExample:
    """Something to try: clips of each source, and a mixture of other seconds of them.

    Args:
        title: a few words, after "Try it:".
        summary: a sentence on what there is to hear.
        order: place on the page.
        system: a name of `SYSTEMS`.
        components: of each source.
        mixture: what is taken apart.
        sources: clips by name, in order.
        credits: who made what, under which licence.
    """

    title: str
    summary: str
    order: int
    system: str
    components: int
    mixture: Path
    sources: dict[str, tuple[Path, ...]]
    credits: tuple[Credit, ...]


def read_lesson_examples(folder: Path) -> list[LessonExample]:
    """All examples in `folder`, in the order they ask for; none if it is not there.

    Raises:
        DataError: a `lesson.json` is broken, or names a file or a system that is not there.
    """
    return sorted((_read(path.parent) for path in folder.glob("*/lesson.json")), key=lambda one: (one.order, one.title))


def learn_files(services: Services, examples: Path = EXAMPLES) -> list[Route]:
    """The routes above.

    Args:
        services: where drafts are made, and how large and long a recording may be.
        examples: folder of the examples.
    """
    pages = _Pages(services, read_lesson_examples(examples))
    plain = anyio.CapacityLimiter(8)
    return [
        Route("/earshot/learn/start", threaded(pages.start, plain)),
        Route("/earshot/learn/mixture", pages.mixture, methods=["POST"]),
        Route("/earshot/learn/{file}", threaded(pages.static, plain)),
    ]


class _Pages:
    """The answers. All but `mixture` run in threads and may block."""

    def __init__(self, services: Services, examples: list[LessonExample]) -> None:
        self._services = services
        self._examples = examples
        self._largest = round(services.settings.max_upload_mb * 1e6)
        self._reading = anyio.CapacityLimiter(4)

    def static(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        return FileResponse(
            FOLDER / name, media_type="text/javascript", headers={**COMMON, "Cache-Control": "no-cache"}
        )

    def start(self, request: Request) -> Response:
        systems = [
            {
                "name": system.name,
                "title": system.title,
                "about": system.about,
                "components": system.components,
                "steps": system.steps,
                "finds_unknown": system.finds_unknown,
            }
            for system in SYSTEMS.values()
        ]
        credits = [{"title": one.title, **asdict(credit)} for one in self._examples for credit in one.credits]
        body = {
            "systems": systems,
            "examples": [self._offered(one) for one in self._examples],
            "credits": credits,
            "keep_hours": self._services.settings.keep_hours,
        }
        return JSONResponse(body, HTTPStatus.OK, PRIVATE)

    async def mixture(self, request: Request) -> Response:
        """Take a recording, block by block, and make a draft of it."""
        file = safe_name(request.query_params.get("file", "")[:300], "recording")
        try:
            require_same_site(request)
            with TemporaryDirectory(prefix="earshot-") as folder:
                received = Path(folder) / file
                await self._receive(request, received)
                draft = await anyio.to_thread.run_sync(self._taken, received, file, limiter=self._reading)
        except ClientDisconnect:
            return Response(None, HTTPStatus.BAD_REQUEST)
        except SeparationError as error:
            return await threaded(_raising(error), self._reading)(request)
        return JSONResponse({"draft": draft.id, "name": draft.name}, HTTPStatus.OK, PRIVATE)

    async def _receive(self, request: Request, path: Path) -> None:
        """The body as a file.

        Raises:
            AudioError: it is larger than allowed.
            DiskFull: no room.
        """
        said = request.headers.get("content-length", "")
        if said.isdigit():
            self._check_size(int(said), path.name)
        async with await anyio.open_file(path, "wb") as file:
            written = 0
            async for block in _blocks(request):
                if written % _DISK_EVERY < _BLOCK:
                    require_disk(path.parent, len(block))
                written += len(block)
                self._check_size(written, path.name)
                await file.write(block)

    def _check_size(self, nbytes: int, name: str) -> None:
        if nbytes > self._largest:
            raise AudioError(
                f"Use {name}",
                f"it has {nbytes / 1e6:.0f} MB or more; this page takes up to {self._largest / 1e6:g} MB",
                "Use FLAC or MP3, or a part of it",
            )

    def _taken(self, path: Path, name: str) -> Draft:
        probe(path)  # what is no audio is refused here and now
        return self._services.store.drafts.create(path, name, longest=60 * self._services.settings.max_minutes)

    def _offered(self, example: LessonExample) -> dict[str, Any]:
        """An example as the page uses it: everything it plays is a draft."""
        drafts = self._services.store.drafts
        sources = [
            {"name": name, "clips": [self._clip(path) for path in clips]} for name, clips in example.sources.items()
        ]
        name = f"{example.title[:1].upper()}{example.title[1:]}"
        return {
            "title": example.title,
            "summary": example.summary,
            "system": example.system,
            "components": example.components,
            "mixture": {"draft": drafts.bundled(example.mixture, name).id, "name": name},
            "sources": sources,
        }

    def _clip(self, path: Path) -> dict[str, Any]:
        draft = self._services.store.drafts.bundled(path, path.stem)
        return {"draft": draft.id, "seconds": probe(path).duration, "name": path.name}


def _read(folder: Path) -> LessonExample:
    asked = f"Read the example lesson {folder.name}"
    try:
        fields = json.loads((folder / "lesson.json").read_text(encoding="utf-8"))
        sources = {
            str(source["name"]): tuple((folder / clip).resolve() for clip in source["clips"])
            for source in fields["sources"]
        }
        example = LessonExample(
            str(fields["title"]),
            str(fields["summary"]),
            int(fields["order"]),
            str(fields["system"]),
            int(fields["components"]),
            (folder / fields["mixture"]).resolve(),
            sources,
            tuple(Credit(**credit) for credit in fields["credits"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            asked, f"its lesson.json is broken ({error!r})", "Write it as separation/ui/learn.py says"
        ) from error
    paths = [example.mixture, *(clip for clips in sources.values() for clip in clips)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing or example.system not in SYSTEMS:
        found = f"there is no {', '.join(missing)}" if missing else f"there is no system {example.system}"
        raise DataError(asked, found, "Put the files beside lesson.json, and name a system of training/learning.py")
    return example


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about a megabyte: a thread is asked to write each."""
    gathered = bytearray()
    async for block in request.stream():
        gathered += block
        if len(gathered) >= _BLOCK:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _raising(error: SeparationError) -> Callable[[Request], Response]:
    """An answer that is this error, told as all errors are."""

    def answer(request: Request) -> Response:
        raise error

    return answer
