"""What the player asks the server over HTTP: the state of a job, its samples, pictures and downloads.

Plain Starlette routes that stand beside Gradio's. The id of a job is the only key: who has it may hear, download, stop
and delete that job and no other, and nothing lists ids. The same holds for a draft, a recording that is not separated yet,
which can only be looked at and heard. Everything a client sends is taken for hostile: ids are checked
by the store, stages and tracks are looked up in what the job itself wrote, numbers are capped, work is bounded and done
in threads, and what changes something must come from this very site.

Errors are JSON with the three parts of a `SeparationError`. Nothing here knows Gradio.

What is served is private: samples, pictures and states are never stored by caches (they would outlive a deletion).
"""

import gzip
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, get_args

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from separation.audio import (
    BIT_DEPTHS,
    BLOCK,
    FORMATS,
    AudioInfo,
    BaseReader,
    Peaks,
    Reader,
    estimated_bytes,
    export,
    open_reader,
    read_peaks,
    require_disk,
    safe_name,
    scan,
    write_zip,
)
from separation.engine.drafts import STAGE, Draft
from separation.errors import UnknownJob
from separation.signals import Samples
from separation.ui.answers import (
    COMMON,
    PRIVATE,
    BadQuery,
    NotHere,
    byte_range,
    finite,
    require_same_site,
    threaded,
)
from separation.ui.taught import spoken_name
from separation.visualisation import CEILING_DB, DIVERGING, FLOOR_DB, MAGMA, levels_png, spectrogram_levels
from separation.visualisation.spectrogram import DIFFERENCE_END_DB, LOWEST_HZ, NO_DIFFERENCE, STEP_DB, Scale

if TYPE_CHECKING:
    from separation.engine.drafts import Drafts
    from separation.engine.jobs import Job, JobStore

PLAYER = Path(__file__).parent / "player"
STATIC = {
    **dict.fromkeys(("player.css", "tokens.css"), "text/css"),
    **dict.fromkeys(
        ("player.js", "times.js", "samples.js", "transport.js", "watch.js", "scales.js", "lanes.js", "parts.js"),
        "text/javascript",
    ),
}

MAX_POINTS = 8192
MAX_WIDTH = 2048
MAX_HEIGHT = 512
MAX_MIX_GAIN = 16.0
DOWNLOADS_KEPT = 6
"""Finished downloads that a job keeps for a second request; older ones are made again."""

FULL_SCALE = 1 - 2**-15
"""The greatest positive value of 16 bit."""

LEGEND = {
    "step_db": STEP_DB,
    "lowest_hz": LOWEST_HZ,
    "level": {
        "zero_byte": -FLOOR_DB / STEP_DB,
        "low_db": FLOOR_DB,
        "high_db": CEILING_DB,
        "colours": [bytes(c).hex() for c in MAGMA],
    },
    "difference": {
        "zero_byte": NO_DIFFERENCE,
        "low_db": -DIFFERENCE_END_DB,
        "high_db": DIFFERENCE_END_DB,
        "colours": [bytes(c).hex() for c in DIVERGING],
    },
}
"""What the bytes of `TRACK.levels` mean, and in which colours the player shows them."""


def routes(store: "JobStore", *, exports_at_once: int = 2, pictures_at_once: int = 4) -> list[Route]:
    """The routes of ARCHITECTURE.md, below ``/earshot``.

    Args:
        store: where the jobs are.
        exports_at_once: downloads being made at the same time; more wait.
        pictures_at_once: peaks and spectrograms being computed at the same time; more wait.
    """
    pages = _Pages(store)
    plain = anyio.CapacityLimiter(16)
    exports = anyio.CapacityLimiter(exports_at_once)
    pictures = anyio.CapacityLimiter(pictures_at_once)
    job, stage = "/earshot/jobs/{job}", "/earshot/jobs/{job}/{stage}"
    drafts = _DraftPages(store.drafts)
    draft, drafted = "/earshot/drafts/{job}", "/earshot/drafts/{job}/{stage}"
    return [
        Route("/earshot/static/{file}", threaded(pages.static, plain)),
        Route(job, threaded(pages.job, plain), methods=["GET"]),
        Route(job, threaded(pages.delete, plain), methods=["DELETE"]),
        Route(f"{job}/cancel", threaded(pages.cancel, plain), methods=["POST"]),
        Route(f"{stage}/download.zip", threaded(pages.archive, exports)),
        Route(f"{stage}/download/{{track}}", threaded(pages.download, exports)),
        Route(f"{stage}/mix", threaded(pages.mix, exports)),
        Route(f"{stage}/{{track}}.pcm", threaded(pages.pcm, plain)),
        Route(f"{stage}/{{track}}.peaks", threaded(pages.peaks, pictures)),
        Route(f"{stage}/{{track}}.levels", threaded(pages.levels, pictures)),
        Route(f"{stage}/{{track}}.png", threaded(pages.spectrogram, pictures)),
        Route(draft, threaded(drafts.draft, plain)),
        Route(f"{drafted}/{{track}}.pcm", threaded(drafts.pcm, plain)),
        Route(f"{drafted}/{{track}}.peaks", threaded(drafts.peaks, pictures)),
        Route(f"{drafted}/{{track}}.levels", threaded(drafts.levels, pictures)),
        Route(f"{drafted}/{{track}}.png", threaded(drafts.spectrogram, pictures)),
    ]


@dataclass(frozen=True)
class _Stage:
    """A complete stage of a job or a draft, as `stage.json` describes it."""

    job: "Job | Draft"
    name: str
    described: dict[str, Any]

    @property
    def gain(self) -> float:
        return float(self.described["gain"])

    @property
    def tracks(self) -> list[str]:
        return list(self.described["tracks"])

    @property
    def length(self) -> int:
        return int(self.described["length"])

    def path(self, track: str) -> Path:
        """The track's file; only names that the job itself wrote down lead to one."""
        self._check(track)
        return self.job.folder / self.name / f"{track}.wav"

    def outline(self, track: str) -> Path:
        """The file of the track's outline."""
        self._check(track)
        return self.job.folder / self.name / f"{track}.peaks"

    def _check(self, track: str) -> None:
        if track not in self.tracks:
            raise NotHere(
                "Open a track", "this separation has no track of that name", f"Choose one of {', '.join(self.tracks)}"
            )

    def require(self, track: str) -> None:
        """Raise if there is nothing to open."""
        if not self.path(track).is_file():
            raise _deleted()

    def open(self, track: str) -> Reader:
        self.require(track)
        return open_reader(self.path(track))

    def peaks(self, track: str) -> Peaks:
        """The track's outline."""
        try:
            return Peaks.load(self.outline(track))
        except FileNotFoundError:
            raise _deleted() from None

    def tag(self, *more: object) -> str:
        """Changes when the stage is made again, or anything in `more` does."""
        try:
            made = (self.job.folder / self.name / "stage.json").stat().st_mtime_ns
        except FileNotFoundError:
            raise _deleted() from None
        return hashlib.sha256(repr((self.job.id, self.name, made, self.gain, *more)).encode()).hexdigest()[:32]


class _Heard(_Stage):
    """A draft's only stage: what is played may lie elsewhere."""

    job: Draft

    def path(self, track: str) -> Path:
        self._check(track)
        return self.job.sound


class _Mix(BaseReader):
    """Several tracks added up, each with its own gain."""

    def __init__(self, parts: list[tuple[Reader, float]]) -> None:
        first = parts[0][0]
        super().__init__(
            AudioInfo("mix", "memory", "float", first.sample_rate, first.channels, first.length, "32f", lossy=False)
        )
        self._parts = parts

    def read(self, start: int, length: int) -> Samples:
        """The sum of samples `start` to `start` + `length`, float32 ``[C, length]``; added up in float64."""
        total = np.zeros((self.channels, length), np.float64)
        for reader, gain in self._parts:
            total += gain * reader.read(start, length)
        return total.astype(np.float32)


class _Sounds(ABC):
    """Samples and pictures of whatever has stages. Every method runs in a thread and may block."""

    @abstractmethod
    def _stage(self, request: Request) -> _Stage:
        """The complete stage that the address names."""

    def pcm(self, request: Request) -> Response:
        """Interleaved 16-bit little-endian samples with the stage's gain; one byte range at a time."""
        stage = self._stage(request)
        track = request.path_params["track"]
        stage.require(track)
        frame = 2 * int(stage.described["channels"])
        size = stage.length * frame
        tag = f'"{stage.tag(track)}"'
        headers = {**PRIVATE, "Accept-Ranges": "bytes", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        status, first, last = HTTPStatus.OK, 0, size
        if request.headers.get("if-range", tag) == tag:
            status, first, last = byte_range(request, size)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return Response(None, status, {**headers, "Content-Range": f"bytes */{size}"})
        headers["Content-Length"] = str(last - first)
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        media_type = "application/octet-stream"
        if request.method == "HEAD":
            return Response(None, status, headers, media_type)
        return StreamingResponse(
            _samples_16(partial(stage.open, track), stage.gain, frame, first, last), status, headers, media_type
        )

    def peaks(self, request: Request) -> Response:
        """Least and greatest value of each of N stretches, as pairs of int8, with the stage's gain."""
        stage = self._stage(request)
        start, length = _stretch(request, stage)
        points = min(_whole(request, "points", 1024, 1, MAX_POINTS), length)
        with stage.open(request.path_params["track"]) as reader:
            peaks = stage.peaks(request.path_params["track"])
            pairs = read_peaks(peaks, reader, start, length, points)
        scaled = np.clip(np.round(pairs * stage.gain), -127, 127).astype(np.int8)
        return Response(scaled.tobytes(), headers=PRIVATE, media_type="application/octet-stream")

    def levels(self, request: Request) -> Response:
        """The spectrogram of the same stretch that `peaks` would show, as numbers: `LEGEND` says what a byte means.

        Rows from the highest frequency down, `width` bytes each. With `minus`, how much louder the track is than that one.
        """
        levels, _ = self._levels(request)
        headers = {**PRIVATE, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            packed = gzip.compress(levels.tobytes(), 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        else:
            packed = levels.tobytes()
        return Response(packed, headers=headers, media_type="application/octet-stream")

    def spectrogram(self, request: Request) -> Response:
        """The same numbers as a picture, in the colours of `LEGEND`."""
        levels, difference = self._levels(request)
        return Response(levels_png(levels, difference=difference), headers=PRIVATE, media_type="image/png")

    def _levels(self, request: Request) -> tuple[NDArray[np.uint8], bool]:
        stage = self._stage(request)
        start, length = _stretch(request, stage)
        width = _whole(request, "width", 800, 1, MAX_WIDTH)
        height = _whole(request, "height", 128, 1, MAX_HEIGHT)
        scale: Scale = _choice(request, "scale", get_args(Scale))
        other = request.query_params.get("minus")
        with ExitStack() as stack:
            reader = stack.enter_context(stage.open(request.path_params["track"]))
            minus = None if other is None else stack.enter_context(stage.open(other))
            levels = spectrogram_levels(reader, start, length, width, height, scale=scale, gain=stage.gain, minus=minus)
        return levels, minus is not None


class _Pages(_Sounds):
    """The answers about jobs."""

    def __init__(self, store: "JobStore") -> None:
        self._store = store

    # -- the job

    def static(self, request: Request) -> Response:
        """The player's own files, from a fixed table."""
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        path = PLAYER / name
        tag = f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"'
        headers = {**COMMON, "Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        return FileResponse(path, media_type=STATIC[name], headers=headers)

    def job(self, request: Request) -> Response:
        job = self._store.get(request.path_params["job"])
        state = job.state()
        found = {stage: job.stage(stage) for stage in ("preview", "full")}
        body = {
            "id": job.id,
            "name": job.request.name,
            "model": spoken_name(job.request.model),
            "edited": job.request.edit_of is not None,
            "state": state.to_dict(),
            "stages": {stage: described for stage, described in found.items() if described is not None},
            "expires": job.expires,
            "legend": LEGEND,
        }
        return JSONResponse(finite(body), headers=PRIVATE)

    def cancel(self, request: Request) -> Response:
        require_same_site(request)
        self._store.get(request.path_params["job"]).cancel()
        return JSONResponse({"cancelling": True}, headers=PRIVATE)

    def delete(self, request: Request) -> Response:
        require_same_site(request)
        self._store.delete(request.path_params["job"])
        return JSONResponse({"deleted": True}, headers=PRIVATE)

    # -- downloads

    def download(self, request: Request) -> Response:
        """One track as a file."""
        stage = self._stage(request)
        track = request.path_params["track"]
        format, bit_depth = _format(request)
        stage.path(track)

        def make(path: Path) -> None:
            with stage.open(track) as reader:
                export(reader, path, format=format, bit_depth=bit_depth, gain=stage.gain)

        return _made(stage, make, f"{track}.{format}", format, (track, format, bit_depth))

    def archive(self, request: Request) -> Response:
        """Several tracks as files in a zip archive; all of them if none is named."""
        stage = self._stage(request)
        format, bit_depth = _format(request)
        asked = request.query_params.get("tracks")
        tracks = stage.tracks if asked is None else list(dict.fromkeys(asked.split(",")))
        for track in tracks:
            stage.path(track)
        rate, channels = int(stage.described["sample_rate"]), int(stage.described["channels"])

        def make(path: Path) -> None:
            each = estimated_bytes(stage.length, rate, channels, format, bit_depth)
            require_disk(path.parent, 2 * each * len(tracks))  # the files, and the archive they go into
            with TemporaryDirectory(dir=path.parent) as folder:
                files = {f"{_stem(stage)} - {track}.{format}": Path(folder) / f"{i}" for i, track in enumerate(tracks)}
                for track, file in zip(tracks, files.values(), strict=True):
                    with stage.open(track) as reader:
                        export(reader, file, format=format, bit_depth=bit_depth, gain=stage.gain)
                write_zip(path, files)

        return _made(stage, make, "tracks.zip", "zip", ("zip", tracks, format, bit_depth))

    def mix(self, request: Request) -> Response:
        """The tracks added up with the gains that the player has now; one more common gain if the sum would clip."""
        stage = self._stage(request)
        format, bit_depth = _format(request)
        gains = _gains(request, stage)

        def make(path: Path) -> None:
            with ExitStack() as stack:
                mix = _Mix([(stack.enter_context(stage.open(track)), gain) for track, gain in gains.items()])
                peak = scan(mix).peak * stage.gain
                export(
                    mix,
                    path,
                    format=format,
                    bit_depth=bit_depth,
                    gain=stage.gain * min(1.0, FULL_SCALE / max(peak, 1e-9)),
                )

        return _made(stage, make, f"mix.{format}", format, ("mix", sorted(gains.items()), format, bit_depth))

    def _stage(self, request: Request) -> _Stage:
        job = self._store.get(request.path_params["job"])
        name = request.path_params["stage"]
        described = job.stage(name) if name in ("preview", "full") else None
        if described is None:
            raise NotHere("Open a result", "it is not there (yet)", "Wait until the separation has got that far")
        return _Stage(job, name, described)


class _DraftPages(_Sounds):
    """The answers about recordings that are not separated yet."""

    def __init__(self, drafts: "Drafts") -> None:
        self._drafts = drafts

    def draft(self, request: Request) -> Response:
        draft = self._drafts.get(request.path_params["job"])
        described = draft.stage()
        body = {
            "id": draft.id,
            "name": draft.name,
            "state": asdict(draft.state()),
            "stages": {} if described is None else {STAGE: described},
            "legend": LEGEND,
        }
        return JSONResponse(body, headers=PRIVATE)

    def _stage(self, request: Request) -> _Stage:
        draft, name = self._drafts.get(request.path_params["job"]), request.path_params["stage"]
        described = draft.stage(name)
        if described is None:
            raise NotHere("Open a recording", "it has not been read yet", "Wait a moment")
        return _Heard(draft, name, described)


def _deleted() -> UnknownJob:
    return UnknownJob("Open a track", "it was deleted a moment ago", "Separate the recording again")


def _samples_16(open: Callable[[], Reader], gain: float, frame: int, first: int, last: int) -> Iterator[bytes]:
    """Bytes `first` to `last` of the track as 16-bit samples, a block at a time."""
    with open() as reader:
        stop = -(-last // frame)
        for start in range(first // frame, stop, BLOCK):
            block = reader.read(start, min(BLOCK, stop - start)).astype(np.float64) * (gain * 32768)
            data = np.clip(np.round(block), -32768, 32767).astype("<i2").T.tobytes()
            yield data[max(0, first - start * frame) : last - start * frame]


def _whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A number from the query, taken to the nearest that is allowed."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,15}", text):
        raise BadQuery(f"Read {name}", "it is not a whole number", f"Give one from {low} to {high}")
    return max(low, min(high, int(text)))


def _choice(request: Request, name: str, allowed: tuple[Any, ...]) -> Any:
    value = request.query_params.get(name, allowed[0])
    if value not in allowed:
        raise BadQuery(f"Read {name}", "it is none of those known", f"Give one of {', '.join(allowed)}")
    return value


def _stretch(request: Request, stage: _Stage) -> tuple[int, int]:
    start = _whole(request, "start", 0, 0, stage.length - 1)
    return start, _whole(request, "length", stage.length - start, 1, stage.length - start)


def _format(request: Request) -> tuple[str, str]:
    format = _choice(request, "format", FORMATS)
    depths = ("24", *(depth for depth in BIT_DEPTHS if depth != "24"))
    return format, _choice(request, "bit_depth", depths)


def _gains(request: Request, stage: _Stage) -> dict[str, float]:
    """``a:0.5,b:1`` -> gains by track; silent ones are left out."""
    gains: dict[str, float] = {}
    for item in request.query_params.get("gains", "").split(","):
        track, colon, text = item.rpartition(":")
        if not colon or not re.fullmatch(r"\d{1,4}(\.\d{1,9})?", text) or float(text) > MAX_MIX_GAIN:
            raise BadQuery(
                "Mix the tracks",
                "the gains cannot be read",
                f"Write track:gain,track:gain with gains of 0 to {MAX_MIX_GAIN:g}",
            )
        stage.path(track)
        gains[track] = float(text)
    heard = {track: gain for track, gain in gains.items() if gain > 0}
    if not heard:
        raise BadQuery("Mix the tracks", "every track is silent", "Turn at least one track on")
    return heard


def _stem(stage: _Stage) -> str:
    if isinstance(stage.job, Draft):
        return Path(safe_name(stage.job.name)).stem
    request = stage.job.request
    return Path(safe_name(request.name)).stem + (" (edited)" if request.edit_of else "")


def _made(stage: _Stage, make: Callable[[Path], None], title: str, suffix: str, key: tuple[object, ...]) -> Response:
    """Send a file that is made on first demand and kept in the job's folder, which takes it along when it goes."""
    folder = stage.job.folder / "downloads"
    path = folder / f"{stage.tag(*key)}.{suffix}"
    try:
        folder.mkdir(exist_ok=True)
        if path.exists():
            path.touch()
        else:
            make(path)
            _prune(folder, path)
        status = path.stat()
    except FileNotFoundError:
        raise _deleted() from None
    headers = {**PRIVATE, "ETag": f'"{path.stem}"'}
    name = safe_name(f"{_stem(stage)} - {title}")
    return FileResponse(path, filename=name, headers=headers, stat_result=status)


def _prune(folder: Path, newest: Path) -> None:
    """Keep the downloads asked for last. One that is being sent is sent to its end: it is open already."""
    others = [path for path in folder.iterdir() if path.is_file() and path != newest and not path.name.startswith(".")]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in others[DOWNLOADS_KEPT - 1 :]:
        path.unlink(missing_ok=True)
