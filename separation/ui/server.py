"""Builds the pages, starts the workers and serves both: everything `app.py` and `earshot serve` need.

Our own routes (the player's files, its audio) are served beside Gradio's by `launch`, not by mounting Gradio into
another app: Hugging Face's ZeroGPU hooks into `launch`.
"""

import logging
import threading
import time
from functools import partial
from pathlib import Path
from typing import cast

import gradio as gr
import torch
from gradio.components import Navbar
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from separation import hub
from separation.engine import resolve_device
from separation.engine.jobs import JobStore
from separation.engine.workers import Workers
from separation.errors import SeparationError
from separation.ratings.browse import Catalogue
from separation.ratings.sessions import Sessions
from separation.settings import Settings
from separation.ui import gpu
from separation.ui.compare_routes import compare_routes
from separation.ui.evaluate import STYLE as EVALUATE_STYLE
from separation.ui.evaluate import EvaluatePage
from separation.ui.evaluate_routes import evaluation_routes
from separation.ui.frame import DEFAULT_MODEL, Hub, Services, header, header_html, open_ratings
from separation.ui.learn import STYLE as LEARN_STYLE
from separation.ui.learn import LearnPage, learn_files
from separation.ui.learn_routes import learn_routes
from separation.ui.lessons import Lessons
from separation.ui.listen_routes import listen_routes, open_listening
from separation.ui.marked import MarkedSeconds
from separation.ui.measuring import Measuring
from separation.ui.model_routes import model_routes
from separation.ui.models import STYLE as MODELS_STYLE
from separation.ui.models import ModelsPage
from separation.ui.owner_access import Access
from separation.ui.rating_routes import rating_routes
from separation.ui.ratings import owner_routes
from separation.ui.reference_routes import reference_routes
from separation.ui.routes import routes
from separation.ui.separate import SeparatePage
from separation.ui.shipped_studies import offer_shipped, shipped_hashes
from separation.ui.study_desk import Desk
from separation.ui.study_guard import StudyGuard
from separation.ui.study_preview import Previews
from separation.ui.study_results import Findings
from separation.ui.study_routes import study_routes
from separation.ui.taught import Taught
from separation.ui.theme import STYLE, Theme
from separation.ui.view_routes import view_routes

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
_log = logging.getLogger(__name__)


def build(services: Services, measuring: Measuring | None = None) -> gr.Blocks:
    """All pages. Nothing is started.

    Args:
        services: what the pages work with.
        measuring: what the Evaluate page works with; None makes one.
    """
    kept = round(services.settings.keep_hours * 3600)
    owner = bool(services.settings.owner_token)
    app: gr.Blocks
    with gr.Blocks(title="Earshot", analytics_enabled=False, delete_cache=(600, kept)) as app:
        Navbar(visible=False)
        header("Separate", owner=owner)
        SeparatePage(services).build(app)
    with app.route("Learn", "learn"):
        Navbar(visible=False)
        header("Learn", owner=owner)
        LearnPage().build()
    with app.route("Evaluate", "evaluate") as page:
        Navbar(visible=False)
        header("Evaluate", owner=owner)
        EvaluatePage(services, measuring or Measuring(services)).build(page)
    with app.route("Models", "models"):
        Navbar(visible=False)
        header("Models", owner=owner)
        ModelsPage().build()
    app.queue(default_concurrency_limit=16)
    return app


def open_services(settings: Settings) -> Services:
    """The store and the workers of an installation, not started yet.

    Raises:
        DeviceError: the device that the settings name is not there.
        RatingError: the database of ratings cannot be opened.
        OSError: the data folder cannot be written.
    """
    store = JobStore(settings.jobs, keep_hours=settings.keep_hours)
    taught = Taught(hub, settings.taught)
    workers = Workers(store, taught.load, devices=devices(settings.device), cpu_workers=settings.cpu_workers)
    return Services(settings, store, workers, cast(Hub, taught), EXAMPLES, *open_ratings(settings))


def open_lessons(services: Services) -> Lessons:
    """What the Learn page teaches with, not started yet."""
    assert isinstance(services.hub, Taught), "what was learned is loaded by the hub, like every model"
    return Lessons(services.settings.lessons, services.store, services.hub)


def launch(settings: Settings | None = None, services: Services | None = None, *, block: bool = True) -> gr.Blocks:
    """Serve the pages until the process is stopped.

    Args:
        settings: None for those of the environment.
        services: None for the real ones.
        block: wait; False returns as soon as the page answers.

    Returns:
        The running app; `local_url` is where it answers.

    Raises:
        SystemExit: a setting is wrong or the port is taken, with what to do about it.
    """
    handed = services is not None
    try:
        settings = settings or Settings.from_environment()
        services = services or open_services(settings)
    except SeparationError as error:
        raise SystemExit(str(error)) from error
    measuring = Measuring(services)
    marked = MarkedSeconds(services, Catalogue(services.ratings, services.clips))
    lessons = open_lessons(services)
    app = build(services, measuring)
    try:
        app.launch(
            server_name=settings.host,
            server_port=settings.port,
            root_path=settings.root_path,
            prevent_thread_lock=True,
            quiet=True,
            theme=Theme(),
            css_paths=[STYLE, EVALUATE_STYLE, MODELS_STYLE, LEARN_STYLE],
            app_kwargs={
                "routes": own_routes(services, measuring, marked, lessons),
                "middleware": [study_guard(services)],
            },
            ssr_mode=False,
            show_error=False,
            max_file_size=f"{settings.max_upload_mb:g}mb",
            footer_links=[],
            run_history=False,
            share=False,
        )
    except OSError as error:
        taken = f"Serve the page: port {settings.port} of {settings.host} cannot be used ({error})."
        raise SystemExit(f"{taken} Stop what uses it, or set EARSHOT_PORT to another port.") from error
    # Only now: a second process on the same port has stopped by itself and has not taken over the first one's jobs.
    services.workers.start(running=not gpu.zero_gpu())
    measuring.runs.start()
    lessons.start()
    if settings.owner_token:  # else nobody looks
        marked.start()
    _log.warning("Earshot answers at %s", app.local_url)
    if not gpu.zero_gpu():
        threading.Thread(target=_calibrate, args=(services,), name="earshot-calibration", daemon=True).start()
    if not handed:
        threading.Thread(target=_offer, args=(services,), name="earshot-studies", daemon=True).start()
    if block:
        app.block_thread()
    return app


def own_routes(services: Services, measuring: Measuring, marked: MarkedSeconds, lessons: Lessons) -> list[BaseRoute]:
    """What is served beside Gradio's pages."""
    access = Access(services.settings.owner_token)
    listening, studies = open_listening(services.settings, services.ratings)
    desk = Desk(services, studies)
    return [
        *routes(services.store),
        *view_routes(services),
        *reference_routes(services),
        *evaluation_routes(measuring),
        *rating_routes(services),
        *owner_routes(services, marked, access),
        *model_routes(services, access),
        *learn_files(services),
        *learn_routes(services, lessons),
        *compare_routes(services),
        *listen_routes(listening, studies, header=header_html("Listen", owner=bool(services.settings.owner_token))),
        *study_routes(desk, Findings(studies, services.ratings), Previews(desk), access),
    ]


def study_guard(services: Services) -> Middleware:
    """What keeps the names of models from listeners while a listening test is open."""
    sessions = Sessions(services.ratings, clock=time.time)
    access = Access(services.settings.owner_token)
    return Middleware(StudyGuard, studying=partial(sessions.studying, besides=shipped_hashes()), access=access)


def _offer(services: Services) -> None:
    """The studies that come with the app, once their audio is made."""
    _, studies = open_listening(services.settings, services.ratings)
    offer_shipped(studies, services.settings.studies)


def devices(wanted: str) -> tuple[str, ...]:
    """What to run on, best first; the CPU is always there to fall back on.

    >>> devices("cpu")
    ('cpu',)
    """
    best = resolve_device(wanted)
    if best.type == "cuda" and best.index is None:
        return (*(f"cuda:{index}" for index in range(torch.cuda.device_count())), "cpu")
    return ("cpu",) if best.type == "cpu" else (str(best), "cpu")


def _calibrate(services: Services) -> None:
    """Time the model that a first visitor uses, so that the page can say how long it will take."""
    if DEFAULT_MODEL not in services.bundled():
        return
    try:
        services.workers.calibrate(DEFAULT_MODEL)
    except Exception:  # an estimate is a kindness; whatever is wrong with the model shows when it is used
        _log.exception("The model %s could not be timed", DEFAULT_MODEL)
