"""What the Learn page asks over HTTP: clips, lessons, their components as pictures and as sound, surgery, and separations.

Plain Starlette routes under the rules of `separation.ui.routes`: ids are unguessable and the only keys, what changes something
must come from this very site, everything a client sends is taken for hostile, and nothing lists the lessons of others.

    POST   earshot/lessons/clips?file=NAME          one audio file as the body -> {clip, seconds, sample_rate}
    POST   earshot/lessons/clips                    {draft | job, start, stop, stage?, track?}: seconds of what its player shows
    GET    earshot/lessons/clips/CLIP.wav · CLIP.peaks?points=
    POST   earshot/lessons                          {system, components?, steps?, sources: [{name, clips: [CLIP]} |
                                                    {name, from: LESSON, source}]} -> {id}
    GET    earshot/lessons/ID                       state, sources, losses, version, surgery, and the card once it is done
    GET    earshot/lessons/ID/components            owners, peaks and activity
    GET    earshot/lessons/ID/components.cells      uint8 [K, rows, L], the lowest row first
    GET    earshot/lessons/ID/components/INDEX.wav  one component alone
    PUT    earshot/lessons/ID/surgery               {moved: {INDEX: source name}, muted: [INDEX]} -> {version}
    POST   earshot/lessons/ID/separate              {draft: ID} | {job: ID} -> {job}: for `<earshot-player>`
    GET    earshot/lessons/ID/download.zip          the model folder, surgery included
    POST   earshot/lessons/ID/cancel · DELETE earshot/lessons/ID

A source of NMF or convolutive NMF may come with no clips: then it is what the others do not explain in a mixture. A clip of a
job is cut from the stage that its player shows (``full``, or ``preview``), from the mixture or any other track of it.

On ZeroGPU lessons and their separations run on the CPU: the GPU is there only inside the page's own calls.
"""

import contextlib
import gzip
import io
import json
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from separation.audio import Writer, peaks_of, require_disk, safe_name
from separation.engine.jobs import STAGES, Job
from separation.engine.jobs import Request as JobRequest
from separation.errors import Busy, SeparationError, UnknownJob
from separation.models.components import HOP_LENGTH, N_FFT, SAMPLE_RATE
from separation.signals import Signal
from separation.training.learning import check_plan, check_source_names, system_named
from separation.transforms import STFT
from separation.ui import gpu
from separation.ui.answers import (
    PRIVATE,
    BadQuery,
    Endpoint,
    NotHere,
    finite,
    require_same_site,
    threaded,
    with_body,
)
from separation.ui.examples import read_examples
from separation.ui.frame import Services
from separation.ui.lesson_clips import LARGEST, Clip
from separation.ui.lessons import Lesson, LessonRequest, Lessons, Pictures, Source
from separation.visualisation.components import RANGE_DB, ROWS, component_cells, component_sound, peak_hz

MAX_BODY = 64 * 1024
"""Bytes of a request that is no clip."""
MAX_POINTS = 4096
"""Of a clip's outline."""
MOST_CLIPS = 24
"""Of a source."""
UNFINISHED = 3
"""Separations by one lesson that wait or run at once."""

_PATIENCE = 4  # times as much as is allowed is read of an upload that is refused
_JOBS = "jobs"  # the folder of a lesson with the ids of its separations


def learn_routes(services: Services, lessons: Lessons) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs, their models, and who runs them.
        lessons: who teaches.
    """
    pages = _Pages(services, lessons)
    plain, heavy, reading = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2), anyio.CapacityLimiter(2)
    lesson, clips = "/earshot/lessons/{lesson}", "/earshot/lessons/clips"
    cut = with_body(pages.cut, reading, MAX_BODY)
    return [
        Route("/earshot/lessons", with_body(pages.create, plain, MAX_BODY), methods=["POST"]),
        Route(clips, pages.receiving(cut, plain, reading), methods=["POST"]),
        Route(f"{clips}/{{clip}}.wav", threaded(pages.clip_sound, plain)),
        Route(f"{clips}/{{clip}}.peaks", threaded(pages.clip_peaks, plain)),
        Route(lesson, threaded(pages.lesson, plain), methods=["GET"]),
        Route(lesson, threaded(pages.delete, plain), methods=["DELETE"]),
        Route(f"{lesson}/cancel", threaded(pages.cancel, plain), methods=["POST"]),
        Route(f"{lesson}/components", threaded(pages.components, plain)),
        Route(f"{lesson}/components.cells", threaded(pages.cells, heavy)),
        Route(f"{lesson}/components/{{index}}.wav", threaded(pages.component_sound, heavy)),
        Route(f"{lesson}/surgery", with_body(pages.operate, heavy, MAX_BODY), methods=["PUT"]),
        Route(f"{lesson}/separate", with_body(pages.separate, heavy, MAX_BODY), methods=["POST"]),
        Route(f"{lesson}/download.zip", threaded(pages.download, heavy)),
    ]


@dataclass(frozen=True)
class _Recording:
    """What is to be separated, as a job takes it."""

    path: Path
    name: str
    references: Mapping[str, Path] = field(default_factory=dict)
    offset: float | None = None
    duration: float | None = None
    draft: str = ""


class _Pages:
    """The answers. All but `receiving` run in threads and may block."""

    def __init__(self, services: Services, lessons: Lessons) -> None:
        self._services = services
        self._store = services.store
        self._lessons = lessons
        self._clips = lessons.clips
        self._start: Callable[[Job], object] = services.workers.submit
        if gpu.zero_gpu():
            pool = ThreadPoolExecutor(1, thread_name_prefix="earshot-learned")
            self._start = lambda job: pool.submit(services.workers.run, job, "cpu")

    # -- clips

    def receiving(self, cut: Endpoint, plain: anyio.CapacityLimiter, reading: anyio.CapacityLimiter) -> Endpoint:
        """An endpoint that takes an upload where the address names a file, and asks `cut` where it does not."""

        async def endpoint(request: Request) -> Response:
            if "file" not in request.query_params:
                return await cut(request)
            received = self._clips.folder / f".{secrets.token_hex(8)}.part"
            try:
                allowed = await threaded(lambda _: self._may_upload(request), plain)(request)
                if allowed.status_code != HTTPStatus.NO_CONTENT:
                    await _received(request, None)
                    return allowed
                if not await _received(request, received):
                    return JSONResponse(_too_large(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PRIVATE)
                name = safe_name(request.query_params["file"][:300], "clip")
                return await threaded(lambda _: _described(self._clips.upload(received, name)), reading)(request)
            except ClientDisconnect:
                return Response(None, HTTPStatus.BAD_REQUEST)
            finally:
                received.unlink(missing_ok=True)

        return endpoint

    def _may_upload(self, request: Request) -> Response:
        require_same_site(request)
        self._clips.require_room()
        require_disk(self._clips.folder, LARGEST)
        said = request.headers.get("content-length", "")
        if said.isdigit() and int(said) > LARGEST:
            return JSONResponse(_too_large(), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PRIVATE)
        self._clips.folder.mkdir(parents=True, exist_ok=True)
        return Response(None, HTTPStatus.NO_CONTENT)

    def cut(self, request: Request) -> Response:
        """A clip of a recording that this page plays."""
        require_same_site(request)
        asked = _fields(request)
        start, stop = _seconds(asked, "start"), _seconds(asked, "stop")
        return _described(self._clips.cut(self._played(asked), start, stop))

    def _played(self, asked: Mapping[str, Any]) -> Path:
        """The file behind what a player shows."""
        if "draft" in asked:
            draft = self._store.drafts.get(_text(asked, "draft"))
            if draft.stage() is None and draft.bundled is None:
                raise NotHere("Cut a clip out of the recording", "it has not been read yet", "Wait a moment")
            return draft.sound
        job = self._store.get(_text(asked, "job"))
        stage, track = (_text({"stage": "full", "track": "mixture", **asked}, name) for name in ("stage", "track"))
        tracks = job.tracks(stage) if stage in STAGES else {}
        if track not in tracks:
            raise NotHere("Cut a clip out of a separation", "it has no such track (yet)", "Wait until it is ready")
        return tracks[track]

    def clip_sound(self, request: Request) -> Response:
        return _wav(self._clip(request).read(), "clip")

    def clip_peaks(self, request: Request) -> Response:
        """Least and greatest value of each of N stretches, as pairs of int8."""
        samples = self._clip(request).read().samples
        text = request.query_params.get("points", "256")
        if not (text.isascii() and text.isdigit() and len(text) < 9):
            raise BadQuery("Read points", "it is not a whole number", f"Give one from 1 to {MAX_POINTS}")
        points = min(max(1, int(text)), MAX_POINTS, samples.shape[1])
        return Response(peaks_of(samples, points).tobytes(), headers=PRIVATE, media_type="application/octet-stream")

    def _clip(self, request: Request) -> Clip:
        return self._clips.get(request.path_params["clip"])

    # -- lessons

    def create(self, request: Request) -> Response:
        """Check everything that was asked for, and queue it."""
        require_same_site(request)
        asked = _fields(request)
        system = system_named(_text(asked, "system"))
        told = {"components": system.components, "steps": system.steps} | {
            name: value for name, value in asked.items() if value is not None
        }
        components, steps, sources = told["components"], told["steps"], told.get("sources")
        if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
            raise _unreadable()
        if not (_is_whole(components) or _is_by_name(components)) or not _is_whole(steps):
            raise _unreadable()
        names = [_text(source, "name") for source in sources]
        check_source_names(names)  # while there may be two of one name
        clips = {
            name: self._named_clips(source) for name, source in zip(names, sources, strict=True) if "from" not in source
        }
        taken = {
            name: (self._lessons.get(_text(source, "from")), _text(source, "source"))
            for name, source in zip(names, sources, strict=True)
            if "from" in source
        }
        numbers = {name: len(clips[name]) if name in clips else None for name in names}
        check_plan(system.name, numbers, components, steps)
        wanted = LessonRequest(system.name, components, steps, tuple(map(Source, names)))
        lesson = self._lessons.create(wanted, clips, taken)
        self._lessons.submit(lesson)
        return JSONResponse({"id": lesson.id}, headers=PRIVATE)

    def _named_clips(self, source: Mapping[str, Any]) -> list[Clip]:
        ids = source.get("clips", [])
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise _unreadable()
        if len(ids) > MOST_CLIPS:
            found = f"{source['name']} has {len(ids)} clips"
            raise BadQuery("Learn", found, f"Keep to {MOST_CLIPS}: a few longer ones do as well")
        return [self._clips.get(each) for each in ids]

    def lesson(self, request: Request) -> Response:
        lesson = self._lesson(request)
        state, surgery, wanted = lesson.state(), lesson.surgery(), lesson.request
        losses = lesson.losses()
        card = lesson.card() if state.status == "done" else None
        body = {
            "id": lesson.id,
            "state": asdict(state),
            "system": wanted.system,
            "components": wanted.components,
            "steps": wanted.steps,
            "sources": [
                {
                    "name": source.name,
                    "seconds": source.seconds,
                    "learned": source.taken is not None
                    or state.status == "done"
                    or _is_learned(losses, source.name, wanted),
                    "taken": source.taken,
                }
                for source in wanted.sources
            ],
            "losses": losses,
            "version": state.version + surgery.version,
            "surgery": {"moved": surgery.moved, "muted": surgery.muted},
            "card": None if card is None else card.model_dump(mode="json", exclude={"arguments", "format"}),
            "expires": lesson.expires,
        }
        return JSONResponse(finite(body), headers=PRIVATE)

    def cancel(self, request: Request) -> Response:
        require_same_site(request)
        self._lesson(request).cancel()
        return JSONResponse({"cancelling": True}, headers=PRIVATE)

    def delete(self, request: Request) -> Response:
        require_same_site(request)
        self._lesson(request).delete()
        return JSONResponse({"deleted": True}, headers=PRIVATE)

    # -- components

    def components(self, request: Request) -> Response:
        """What is known of each component by now; none before the first second."""
        lesson = self._lesson(request)
        pictures, surgery = lesson.pictures(), lesson.surgery()
        body: dict[str, Any] = {"sources": lesson.names, "components": [], "frames": 0, "bins": 0, "rows": 0}
        if pictures is not None:
            homes = [lesson.names[home] for home in pictures.homes]
            peaks = peak_hz(pictures.patches, SAMPLE_RATE)
            body["components"] = [
                {
                    "index": index,
                    "source": surgery.moved.get(index, home),
                    "home": home,
                    "muted": index in surgery.muted,
                    "peak_hz": peak,
                    "activity": float(active),
                }
                for index, (home, peak, active) in enumerate(zip(homes, peaks, pictures.activity, strict=True))
            ]
            _, body["bins"], body["frames"] = pictures.patches.shape
            body["rows"] = ROWS
        return JSONResponse(finite({**body, "range_db": RANGE_DB, "version": lesson.version}), headers=PRIVATE)

    def cells(self, request: Request) -> Response:
        """The pictures; compressed for whoever can read that."""
        packed = component_cells(self._pictures(request).patches, SAMPLE_RATE).tobytes()
        headers = {**PRIVATE, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            packed, headers["Content-Encoding"] = gzip.compress(packed, 6, mtime=0), "gzip"
        return Response(packed, headers=headers, media_type="application/octet-stream")

    def component_sound(self, request: Request) -> Response:
        pictures, text = self._pictures(request), request.path_params["index"]
        count = len(pictures.patches)
        if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) < count):
            raise NotHere("Hear a component", "there is none of that number", f"Choose from 0 to {count - 1}")
        stft = STFT(N_FFT, HOP_LENGTH, root=True)
        return _wav(component_sound(pictures.patches[int(text)], stft, SAMPLE_RATE), f"component {text}")

    def operate(self, request: Request) -> Response:
        """Move and mute; what was moved and muted before is forgotten."""
        require_same_site(request)
        lesson, asked = self._lesson(request), _fields(request)
        moved, muted = asked.get("moved", {}), asked.get("muted", [])
        whole = isinstance(muted, list) and all(map(_is_whole, muted))
        if not whole or not isinstance(moved, dict) or not all(_is_index(key) for key in moved):
            raise _unreadable()
        if not all(isinstance(name, str) for name in moved.values()):
            raise _unreadable()
        version = self._lessons.operate(lesson, {int(key): name for key, name in moved.items()}, muted)
        return JSONResponse({"version": version}, headers=PRIVATE)

    def _pictures(self, request: Request) -> Pictures:
        pictures = self._lesson(request).pictures()
        if pictures is None:
            raise NotHere("Show the components", "there are none yet", "Wait a moment")
        return pictures

    # -- what was learned

    def separate(self, request: Request) -> Response:
        """A job with the model as it is now."""
        require_same_site(request)
        lesson, asked = self._lesson(request), _fields(request)
        lesson.card()  # raises unless it is learned
        self._require_turn(lesson)
        with self._recording(asked) as recording:
            wanted = JobRequest(
                self._lessons.model_name(lesson),
                recording.name,
                offset=recording.offset,
                duration=recording.duration,
                preview_at=0.0,
            )
            job = self._store.create(recording.path, wanted, references=recording.references, draft=recording.draft)
        with contextlib.suppress(FileNotFoundError):  # the lesson was deleted under us: the job does not need it
            (lesson.folder / _JOBS).mkdir(exist_ok=True)
            (lesson.folder / _JOBS / job.id).touch()
        self._start(job)
        return JSONResponse({"job": job.id}, headers=PRIVATE)

    def _require_turn(self, lesson: Lesson) -> None:
        running = 0
        for entry in (lesson.folder / _JOBS).glob("*"):
            try:
                running += not self._store.get(entry.name).state().finished
            except UnknownJob:
                entry.unlink(missing_ok=True)
        if running >= UNFINISHED:
            found = f"{running} separations by this lesson wait or run"
            raise Busy("Separate by what was learned", found, "Wait until one is ready, or cancel one")

    @contextmanager
    def _recording(self, asked: Mapping[str, Any]) -> Iterator[_Recording]:
        """The recording of a draft, or of an earlier job with the part that was separated."""
        if "job" in asked:
            job = self._store.get(_text(asked, "job"))
            part = job.request.offset, job.request.duration
            yield _Recording(job.input, job.request.name, job.references, *part)
            return
        draft = self._store.drafts.get(_text(asked, "draft"))
        if draft.mixed:
            mix = self._store.mixes.settled(draft.id)
            with self._store.mixes.references(mix) as references:
                names = " + ".join(stem.name for stem in mix.audible)
                yield _Recording(mix.draft.input, names[:80] or draft.name, references, draft=draft.id)
        elif draft.bundled is not None:
            examples = read_examples(self._services.examples)
            known = [each.references for each in examples if each.mixture.absolute() == draft.bundled]
            yield _Recording(draft.input, draft.name, known[0] if known else {})
        else:
            yield _Recording(draft.input, draft.name, draft=draft.id)

    def download(self, request: Request) -> Response:
        """The model folder as a zip archive."""
        lesson = self._lesson(request)
        title = f"learned-{lesson.request.system}"
        with TemporaryDirectory(prefix="earshot-") as scratch:
            folder = Path(scratch) / title
            self._lessons.write_model(lesson, folder)
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:  # a folder in it: three loose files get lost
                for path in sorted(folder.iterdir()):
                    archive.write(path, f"{title}/{path.name}")
        headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="{title}.zip"'}
        return Response(content.getvalue(), headers=headers, media_type="application/zip")

    def _lesson(self, request: Request) -> Lesson:
        return self._lessons.get(request.path_params["lesson"])


async def _received(request: Request, path: Path | None) -> bool:
    """Write the body to a file, if one is named; False if it is larger than allowed.

    What is refused is read on for a while: a browser that is still sending when the connection ends hears no reason.
    """
    read = 0
    async with contextlib.AsyncExitStack() as stack:
        file = None if path is None else await stack.enter_async_context(await anyio.open_file(path, "wb"))
        async for block in request.stream():
            read += len(block)
            if read > _PATIENCE * LARGEST:
                break
            if file is not None and read <= LARGEST:
                await file.write(block)
    return read <= LARGEST


def _described(clip: Clip) -> Response:
    signal = clip.read()
    body = {"clip": clip.id, "seconds": signal.duration, "sample_rate": signal.sample_rate}
    return JSONResponse(body, headers=PRIVATE)


def _wav(signal: Signal, name: str) -> Response:
    """A few seconds as a 16-bit WAV file."""
    with TemporaryDirectory(prefix="earshot-") as folder:
        path = Path(folder) / "sound.wav"
        peak = max(1.0, float(np.abs(signal.samples).max(initial=0.0)))
        with Writer(path, signal.sample_rate, signal.channels, bit_depth="16", gain=1 / peak) as writer:
            writer.write(signal.samples)
        content = path.read_bytes()
    headers = {**PRIVATE, "Content-Disposition": f'inline; filename="{name}.wav"'}
    return Response(content, headers=headers, media_type="audio/wav")


def _is_learned(losses: Mapping[str, list[list[float]]], source: str, request: LessonRequest) -> bool:
    """Whether the last step of a source was taken."""
    return losses.get(source, [[0]])[-1][0] == request.steps


def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = json.loads(request.state.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadQuery("Read what is asked", "it is no JSON object", "Send one, in UTF-8")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadQuery("Read what is asked", f"{name} is missing, or no text", "Reload the page")
    return value


def _seconds(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    raise BadQuery("Cut a clip out of the recording", f"{name} is no time in seconds", "Drag over the waveform again")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1_000_000


def _is_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_whole, value.values()))


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9


def _unreadable() -> SeparationError:
    return BadQuery("Read what is asked", "a field is missing or of the wrong kind", "Reload the page")


def _too_large() -> dict[str, str]:
    found = f"it has more than the {LARGEST / 1e6:g} MB that are allowed"
    return {"asked": "Take a clip", "found": found, "advice": "Cut out ten to thirty seconds, or use FLAC or MP3"}
