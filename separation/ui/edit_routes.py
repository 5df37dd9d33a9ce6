"""What the view *Edit* asks over HTTP: what can be changed, an edit as a job, and what it did.

Plain Starlette routes under the rules of `separation.ui.routes`. The edit itself is an ordinary job: it is watched, heard,
downloaded, rated, stopped and deleted as such.

    GET  earshot/jobs/ID/edits?stage=         {editable, why, sources, oracle, references, staged, whole, longest, ...}
    POST earshot/jobs/ID/edits                {stage, edit, start, end | null: the whole stage} -> {job, known}
    GET  earshot/jobs/EDIT/effect             {sources: {name: {before, after}}}: SI-SDR in dB, where there are references

On ZeroGPU the GPU is there only inside the page's own calls; a part is short enough for the CPU, and the whole of a long
recording is refused.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from separation.engine.editing import LONGEST, MEASURED, SHORTEST, Editing, Wish, effect, grid_of, oracle_sources
from separation.engine.jobs import STAGES, Job
from separation.errors import JobError, SeparationError, UnknownJob
from separation.models import ARCHITECTURES
from separation.ui import gpu
from separation.ui.answers import PRIVATE, BadQuery, finite, require_same_site, threaded, with_body
from separation.ui.frame import Services

MAX_BODY = 64 * 1024
"""Bytes of a request's body: every one of a few thousand basis functions may be muted by its number."""


def edit_routes(services: Services) -> list[Route]:
    """The routes above.

    Args:
        services: the jobs, their models, and who runs them.
    """
    pages = _Pages(services)
    plain = anyio.CapacityLimiter(4)
    job = "/earshot/jobs/{job}"
    return [
        Route(f"{job}/edits", threaded(pages.possible, plain), methods=["GET"]),
        Route(f"{job}/edits", with_body(pages.ask, plain, MAX_BODY), methods=["POST"]),
        Route(f"{job}/effect", threaded(pages.effect, plain), methods=["GET"]),
    ]


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._editing = Editing(services.store)
        self._start: Callable[[Job], object] = services.workers.submit
        if gpu.zero_gpu():
            pool = ThreadPoolExecutor(1, thread_name_prefix="earshot-edits")
            self._start = lambda job: pool.submit(services.workers.run, job, "cpu")

    def possible(self, request: Request) -> Response:
        """What can be changed in a stage, for the view's controls."""
        job = self._services.store.get(request.path_params["job"])
        stage = request.query_params.get("stage", "full")
        if stage not in STAGES or job.stage(stage) is None:
            raise UnknownJob("Edit this separation", "it has no such result (yet)", "Wait until it is ready")
        grid = grid_of(job, stage)
        why = advice = ""
        if grid is None:
            why, advice = f"The model {job.request.model} has no masks", "Separate it with a model that masks"
        elif job.request.edit_of is not None:
            why, advice = "It is an edit itself", "Edit the separation that it was made from"
        body = {
            "editable": not why,
            "why": why,
            "advice": advice,
            "sources": [] if grid is None else grid.sources,
            "bins": grid is not None and grid.bins,
            "count": 0 if grid is None else len(grid.order),
            "oracle": () if grid is None else oracle_sources(job, grid),
            "references": job.request.references,
            "staged": self._staged(job),
            "whole": not gpu.zero_gpu(),
            "shortest": SHORTEST,
            "longest": LONGEST,
        }
        return JSONResponse(body, headers=PRIVATE)

    def ask(self, request: Request) -> Response:
        """The job of an edit: made and begun, or the one that is there already."""
        require_same_site(request)
        try:
            wish = Wish.from_dict(json.loads(request.state.body))
        except (ValueError, RecursionError):
            raise BadQuery("Edit this separation", "the request is no JSON", "Reload the page") from None
        if wish.region is None and gpu.zero_gpu() and not self._short(request.path_params["job"], wish.stage):
            raise JobError(
                "Apply the edit to the whole recording",
                "this page has a GPU only while it separates, and its CPU is too slow for a long recording",
                f"Edit parts of up to {LONGEST:g} s, or run Earshot on your own machine",
            )
        staged = self._staged(self._services.store.get(request.path_params["job"]))
        job, made = self._editing.ask(request.path_params["job"], wish, staged=staged)
        if made:
            self._start(job)
        return JSONResponse({"job": job.id, "known": not made}, headers=PRIVATE)

    def effect(self, request: Request) -> Response:
        """What an edit did to the SI-SDR of the part."""
        job = self._services.store.get(request.path_params["job"])
        if job.request.edit_of is None or job.stage("full") is None:
            raise JobError("Measure an edit", "this is none, or it is not ready", "Open an edit that is ready")
        sources = {name: {"before": before, "after": after} for name, (before, after) in effect(job).items()}
        body: dict[str, Any] = {"metric": "si_sdr", "unit": "dB", "longest": MEASURED, "sources": sources}
        return JSONResponse(finite(body), headers=PRIVATE)

    def _staged(self, job: Job) -> bool:
        """Whether the model has a stage after its masks, by its card."""
        try:
            card = self._services.card(job.request.model)
        except SeparationError:  # an oracle, or a repository that is out of reach now
            return False
        return hasattr(ARCHITECTURES.get(card.architecture), "probe")

    def _short(self, job_id: str, stage: str) -> bool:
        described = self._services.store.get(job_id).stage(stage)
        return described is not None and described["length"] <= LONGEST * described["sample_rate"]
