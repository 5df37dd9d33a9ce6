"""What the page asks about the pitch of voices: tracks for a recording beforehand, those of a separation, and others instead.

Plain Starlette routes under the rules of `separation.ui.routes`. A corrected separation is an ordinary job, a take beside its
original as an edit is (`separation.ui.edit_routes`); what it is asked for are the moments that are different.

    GET    earshot/drafts/ID/pitch?voices=N|stems|files    {state, fraction, error, source, voices: [{name, low_hz, …}]}
    POST   earshot/drafts/ID/pitch                         {voices: N | "stems"}: find them in the background
    POST   earshot/drafts/ID/pitch/cancel · DELETE earshot/drafts/ID/pitch        stop; forget the tracks that were brought
    POST   earshot/drafts/ID/pitch/files?voice=NAME        a CSV as the body: one more track
    GET    earshot/jobs/ID/pitch?stage=                    {voices: [{name, hz}], first, hop, source, corrected, ...}
    POST   earshot/jobs/ID/pitch                           {stage, changes: [{voice, first, hz}], start, end | null} -> {job}
    GET    earshot/jobs/ID/pitch/VOICE.csv                 the track as a file
    GET    earshot/jobs/ID/STAGE/inside · inside.cells     what the model says of each voice (`engine.voices`)
"""

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import ceil, floor, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import anyio
import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.engine.drafts import Draft
from separation.engine.editing import LONGEST, SHORTEST, Editing
from separation.engine.jobs import PITCHES, STAGES, Job
from separation.engine.pitch_finding import Finding, PitchFinding, Where, known_pitches
from separation.engine.pitches import GRID, Change, Pitches, on_grid
from separation.engine.references import check_names
from separation.engine.stages import VOICES
from separation.engine.voices import LEVEL_FLOOR_DB, TRACT_FLOOR_DB, VoiceGrid, read_voices
from separation.errors import JobError, UnknownJob
from separation.transforms import MOST_VOICES, read_track
from separation.transforms.pitch import HIGHEST_HZ, LIMIT_HZ, LOWEST_HZ, MOST_BYTES, PitchTrack
from separation.ui import gpu
from separation.ui.answers import (
    PRIVATE,
    BadQuery,
    NotHere,
    packed,
    packed_json,
    require_same_site,
    threaded,
    with_body,
)
from separation.ui.frame import Services
from separation.visualisation import MAGMA

MAX_BODY = 2 << 20
"""Bytes of a correction: all moments of four voices over ten minutes."""
MOST_CHANGES = 2000
GRIDS = 4
"""Stages whose picture of the voices is kept in memory."""
COLOURS = [bytes(colour).hex() for colour in MAGMA[::15]]
"""The colours of the cells from 0 to 255, at every fifteenth."""

_ASKED = "Correct the pitch"


def pitch_routes(services: Services) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs and drafts, and who runs them.
    """
    pages = _Pages(services)
    plain, reading = anyio.CapacityLimiter(8), anyio.CapacityLimiter(2)
    draft, job, stage = (
        "/earshot/drafts/{draft}/pitch",
        "/earshot/jobs/{job}/pitch",
        "/earshot/jobs/{job}/{stage}/inside",
    )
    return [
        Route(draft, threaded(pages.look, plain), methods=["GET"]),
        Route(draft, with_body(pages.find, plain, 1024), methods=["POST"]),
        Route(draft, threaded(pages.forget, plain), methods=["DELETE"]),
        Route(f"{draft}/cancel", threaded(pages.cancel, plain), methods=["POST"]),
        Route(f"{draft}/files", with_body(pages.bring, reading, MOST_BYTES), methods=["POST"]),
        Route(job, threaded(pages.tracks, plain), methods=["GET"]),
        Route(job, with_body(pages.correct, plain, MAX_BODY), methods=["POST"]),
        Route(f"{job}/{{voice}}.csv", threaded(pages.file, plain)),
        Route(stage, threaded(pages.inside, plain)),
        Route(f"{stage}.cells", threaded(pages.cells, plain)),
    ]


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._finding = PitchFinding(services.store)
        self._editing = Editing(services.store)
        self._read = lru_cache(maxsize=GRIDS)(_read)
        self._start: Callable[[Job], object] = services.workers.submit
        if gpu.zero_gpu():
            pool = ThreadPoolExecutor(1, thread_name_prefix="earshot-pitches")
            self._start = lambda job: pool.submit(services.workers.run, job, "cpu")

    # -- drafts

    def look(self, request: Request) -> Response:
        draft = self._store.drafts.get(request.path_params["draft"])
        return self._answer(draft, _where(request.query_params.get("voices", "")))

    def find(self, request: Request) -> Response:
        require_same_site(request)
        draft = self._store.drafts.get(request.path_params["draft"])
        where = _where(str(_fields(request).get("voices", "")))
        self._finding.ask(draft, where)
        return self._answer(draft, where)

    def cancel(self, request: Request) -> Response:
        require_same_site(request)
        self._finding.cancel(self._store.drafts.get(request.path_params["draft"]))
        return JSONResponse({"cancelling": True}, headers=PRIVATE)

    def forget(self, request: Request) -> Response:
        """The tracks that were brought; what was found stays, for nobody has chosen it."""
        require_same_site(request)
        self._finding.bring(self._store.drafts.get(request.path_params["draft"]), None)
        return JSONResponse({"deleted": True}, headers=PRIVATE)

    def bring(self, request: Request) -> Response:
        """One more track, or another one of the same voice."""
        require_same_site(request)
        draft = self._store.drafts.get(request.path_params["draft"])
        voice = request.query_params.get("voice", "")[:100].strip()
        check_names([voice])
        with TemporaryDirectory(prefix="earshot-") as folder:
            path = Path(folder) / f"{voice}.csv"
            path.write_bytes(request.state.body)
            track = read_track(path)
        there = known_pitches(draft, "files")
        tracks = {**({} if there is None else there.tracks), voice: track}
        if len(tracks) > MOST_VOICES:
            found = f"with {voice} there would be {len(tracks)} voices"
            raise JobError(f"Bring tracks for {draft.name}", found, f"Bring {MOST_VOICES} at most")
        self._finding.bring(draft, Pitches(tracks, "file"))
        return self._answer(draft, "files")

    def _answer(self, draft: Draft, where: Where) -> Response:
        found = self._finding.look(draft, where)
        return JSONResponse(_described(found), headers=PRIVATE)

    # -- jobs

    def tracks(self, request: Request) -> Response:
        """The tracks that a separation was made with, at the moments of a stage."""
        job, pitches = self._pitches(request)
        stage = request.query_params.get("stage", "full")
        described = job.stage(stage) if stage in STAGES else None
        if described is None:
            raise UnknownJob(_ASKED, "it has no such result (yet)", "Wait until it is ready")
        rate = described["sample_rate"]
        start, stop = (described["start"] / rate, (described["start"] + described["length"]) / rate)
        first, last = floor(start / GRID), ceil(stop / GRID)
        voices = []
        for name, track in pitches.tracks.items():
            hz = on_grid(track, last * GRID)[first : last + 1]
            voices.append({"name": name, "hz": [round(float(value), 1) for value in hz]})
        body = {
            "voices": voices,
            "first": first,
            "hop": GRID,
            "source": pitches.source,
            "corrected": job.request.corrects,
            "editable": job.request.edit_of is None,
            "whole": not gpu.zero_gpu(),
            "shortest": SHORTEST,
            "longest": LONGEST,
            "lowest_hz": LOWEST_HZ,
            "highest_hz": HIGHEST_HZ,
        }
        return packed_json(request, body)

    def correct(self, request: Request) -> Response:
        """The separation with other pitches: made and begun, or the one that is there already."""
        require_same_site(request)
        stage, region, changes = _correction(_fields(request))
        job = self._store.get(request.path_params["job"])
        described = job.stage(stage)
        length = 0.0 if described is None else described["length"] / described["sample_rate"]
        if region is None and gpu.zero_gpu() and length > LONGEST:
            raise JobError(
                "Apply the correction to the whole recording",
                "this page has a GPU only while it separates, and its CPU is too slow for a long recording",
                f"Correct parts of up to {LONGEST:g} s, or run Earshot on your own machine",
            )
        take, made = self._editing.correct(job.id, stage, region, changes)
        if made:
            self._start(take)
        return JSONResponse({"job": take.id, "known": not made}, headers=PRIVATE)

    def file(self, request: Request) -> Response:
        job, pitches = self._pitches(request)
        voice = request.path_params["voice"]
        if voice not in pitches.names:
            raise NotHere("Save a pitch track", "there is no such voice", f"Choose from {', '.join(pitches.names)}")
        said = f"attachment; filename*=UTF-8''{quote(f'{voice}.csv')}"
        path = job.folder / PITCHES / f"{voice}.csv"
        return FileResponse(path, headers={**PRIVATE, "Content-Disposition": said}, media_type="text/csv")

    def inside(self, request: Request) -> Response:
        grid = self._grid(request)
        body = {
            "voices": grid.sources,
            "duration": grid.duration,
            "rows": grid.cells.shape[1],
            "columns": grid.cells.shape[2],
            "hz": [round(float(hz), 1) for hz in grid.hz],
            "level_floor_db": LEVEL_FLOOR_DB,
            "tract_floor_db": TRACT_FLOOR_DB,
            "colours": COLOURS,
        }
        return packed_json(request, body)

    def cells(self, request: Request) -> Response:
        """``[S, rows, columns]``: harmonics, breath, and the vocal tract, its lowest row first."""
        return packed(request, self._grid(request).cells.tobytes(), "application/octet-stream")

    def _pitches(self, request: Request) -> tuple[Job, Pitches]:
        job = self._store.get(request.path_params["job"])
        pitches = job.pitches
        if pitches is None:
            found = f"the model {job.request.model} does not go by the pitch of voices, or it is not known yet"
            raise NotHere("Show the pitch of every voice", found, "Choose a model that does, such as umss")
        return job, pitches

    def _grid(self, request: Request) -> VoiceGrid:
        job, stage = self._store.get(request.path_params["job"]), request.path_params["stage"]
        asked = "Show what the model says of each voice"
        if stage not in STAGES or job.stage(stage) is None:
            raise NotHere(asked, "it is not there (yet)", "Wait until the separation has got that far")
        path = job.folder / stage / VOICES
        try:
            made = path.stat().st_mtime_ns
        except FileNotFoundError:
            raise NotHere(asked, "this model says nothing of the kind", "Choose one that does, such as umss") from None
        return self._read(path, made)


def _read(path: Path, made: int) -> VoiceGrid:
    """The picture of a file that was made at this time: `made` tells a cache when it was made again."""
    return read_voices(path)


def _described(found: Finding) -> dict[str, Any]:
    pitches = found.pitches
    tracks = {} if pitches is None else pitches.tracks
    return {
        "state": found.state,
        "fraction": found.fraction,
        "error": found.error,
        "source": None if pitches is None else pitches.source,
        "voices": [{"name": name, **_range(track)} for name, track in tracks.items()],
    }


def _range(track: PitchTrack) -> dict[str, float | None]:
    """Where a voice sings: the frequencies between which nine tenths of it lie."""
    voiced = track.hz[track.hz > 0]
    low, high = np.percentile(voiced, [5, 95]) if len(voiced) else (math.nan, math.nan)
    ends = {name: round(float(hz), 1) if len(voiced) else None for name, hz in (("low_hz", low), ("high_hz", high))}
    return {**ends, "voiced": round(track.voiced, 4)}


def _where(text: str) -> Where:
    if text in ("stems", "files"):
        return text  # type: ignore[return-value]
    if not (text.isascii() and text.isdigit() and len(text) < 3):
        raise BadQuery("Find the pitch of every voice", "nothing says how many voices", "Send a number, or stems")
    return int(text)


def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = json.loads(request.state.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadQuery(_ASKED, "the request is no JSON object", "Reload the page")
    return fields


def _correction(fields: dict[str, Any]) -> tuple[str, tuple[float, float] | None, list[Change]]:
    """What is asked for: the stage, from and to in seconds (None: all of it), and the moments that are different.

    Raises:
        BadQuery: it cannot be read.
        JobError: a value is no pitch.
    """
    changes = fields.get("changes")
    if fields.get("stage") not in STAGES or not isinstance(changes, list) or len(changes) > MOST_CHANGES:
        raise BadQuery(_ASKED, "the request does not say what is to be corrected", "Reload the page")
    region = None
    if fields.get("end") is not None:
        start, end = fields.get("start"), fields["end"]
        if not all(isinstance(value, int | float) and isfinite(value) for value in (start, end)):
            raise BadQuery(_ASKED, f"from {start!r} to {end!r}", "Give both in seconds of the recording")
        region = float(start), float(end)  # type: ignore[arg-type]
    return fields["stage"], region, [_change(change) for change in changes]


def _change(fields: Any) -> Change:
    fields = fields if isinstance(fields, dict) else {}
    voice, first, hz = fields.get("voice"), fields.get("first"), fields.get("hz")
    numbers = isinstance(hz, list) and all(type(value) in (int, float) for value in hz)
    if not isinstance(voice, str) or type(first) is not int or not numbers:
        raise BadQuery(_ASKED, "a change cannot be read", f'Send {{"voice", "first", "hz": [0 to {LIMIT_HZ:g}]}}')
    return Change(voice, first, tuple(float(value) for value in hz))
