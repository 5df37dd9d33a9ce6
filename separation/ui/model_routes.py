"""What the Models page asks over HTTP: what is installed, a look at a repository, fetching, timing, figures, and removal.

Plain Starlette routes under the same rules as all of ours (`separation.ui.routes`): what changes something must come from
this very site, names are looked up among what is installed, and folders of this machine are never opened.

    GET    earshot/cards/FILE                       the page's own files
    GET    earshot/models                           everything installed, with its figures' numbers
    DELETE earshot/owner/models?name=OWNER/NAME[@COMMIT]       from the Hub's cache: the owner only
    GET    earshot/models/look?name=OWNER/NAME[@REVISION]      a repository before it is fetched
    POST   earshot/models/fetch?name=               -> {id}: GET earshot/models/fetch/ID, POST earshot/models/fetch/ID/cancel
    POST   earshot/models/time?name=                -> {job}: a short separation of noise; follow it at earshot/jobs/ID
    GET    earshot/models/learning?name=            the learning curves, for <earshot-figure>
    GET    earshot/models/inside?name=              basis functions, or a sentence where there are none to show
    GET    earshot/models/spectra.png?name=&side=encoder|decoder

Removing needs the owner: with the token that the owner has set (`owner_access`), or, where none is set, from a browser on
this very machine.
"""

import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import numpy as np
from starlette.requests import Request as Asked
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from separation.audio import Writer
from separation.engine.jobs import Request
from separation.engine.latents import Basis, basis
from separation.errors import DiskFull, HubError, SeparationError, UnknownJob, UnknownModel
from separation.hub import Card, Installed, Survey, resolve
from separation.hub.curves import TRAINING
from separation.hub.facts import facts
from separation.models.oracles import ORACLES, PREFIX
from separation.models.protocol import LatentSeparator, Separator
from separation.ui import gpu
from separation.ui.answers import COMMON, PRIVATE, BadQuery, NotHere, Refused, finite, require_same_site, threaded
from separation.ui.fetching import Fetches
from separation.ui.frame import Services
from separation.ui.owner_access import Access, SignedOut, TooManyGuesses, Wrong
from separation.visualisation.basis import basis_sheet, spectra_png
from separation.visualisation.figures import learning

FOLDER = Path(__file__).parent / "cards"
STATIC = {
    "cards.js": "text/javascript",
    "look.js": "text/javascript",
    "inside.js": "text/javascript",
    "ask.js": "text/javascript",
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via", "cf-ray")
"""Headers that proxies put into a request."""
LONGEST = 300
"""Characters of a name."""
LOOKS = 8
"""Models whose insides are remembered."""
NO_LATENT = (
    "It works on the waveform itself, without a transform and masks in between: there are no basis functions to show."
)
NOISE = 20.0
"""Seconds of the recording that a model is timed with: a few chunks of any model."""


def model_routes(services: Services, access: Access | None = None) -> list[Route]:
    """The routes above.

    Args:
        services: where models come from, and who runs them.
        access: the owner's lock, shared with the Ratings page so that wrong tokens are counted once; None makes one.
    """
    pages = _Pages(services, access or Access(services.settings.owner_token))
    # Looking at a repository waits for the network and looking inside a model computes: neither may take all threads.
    plain, network, heavy = anyio.CapacityLimiter(8), anyio.CapacityLimiter(4), anyio.CapacityLimiter(1)
    models = "/earshot/models"
    return [
        Route("/earshot/cards/{file}", threaded(pages.static, plain)),
        Route(models, threaded(pages.installed, plain), methods=["GET"]),
        Route(
            "/earshot/owner/models", threaded(pages.remove, plain), methods=["DELETE"]
        ),  # where the owner's cookie goes
        Route(f"{models}/look", threaded(pages.look, network)),
        Route(f"{models}/fetch", threaded(pages.fetch, plain), methods=["POST"]),
        Route(f"{models}/fetch/{{fetch}}", threaded(pages.fetched, plain)),
        Route(f"{models}/fetch/{{fetch}}/cancel", threaded(pages.cancel, plain), methods=["POST"]),
        Route(f"{models}/time", threaded(pages.time, plain), methods=["POST"]),
        Route(f"{models}/learning", threaded(pages.learning, plain)),
        Route(f"{models}/inside", threaded(pages.inside, heavy)),
        Route(f"{models}/spectra.png", threaded(pages.spectra, heavy)),
    ]


@dataclass(frozen=True)
class _Inside:
    """What a card shows of a model's inside; a model without basis functions to draw has a record only."""

    record: dict[str, Any]
    basis: Basis | None = None


class _Pages:
    """The answers. Every method runs in a thread and may block."""

    def __init__(self, services: Services, access: Access) -> None:
        self._services = services
        self._fetches = Fetches(services.hub.load)
        self._access = access
        self._lock = threading.Lock()
        self._insides: OrderedDict[str, _Inside] = OrderedDict()
        self._timed: dict[str, str] = {}  # model -> its last job

    def static(self, request: Asked) -> Response:
        """The page's own files, from a fixed table."""
        name = request.path_params["file"]
        if name not in STATIC:
            raise NotHere("Open a file of the page", "there is none of that name", "Reload the page")
        return FileResponse(FOLDER / name, media_type=STATIC[name], headers={**COMMON, "Cache-Control": "no-cache"})

    # -- what is here

    def installed(self, request: Asked) -> Response:
        bundled = [self._described(card, name) for name, card in self._services.bundled().items()]
        fetched = [
            {**self._described(one.card, one.card.origin.name), "cached": _cached(one)}
            for one in self._services.hub.installed()
        ]
        oracles = [{"name": f"{PREFIX}{name}", "about": about} for name, about in ORACLES.items()]
        body = {"models": [*bundled, *fetched], "oracles": oracles, "removal": self._removal(request)}
        return _json(body)

    def remove(self, request: Asked) -> Response:
        require_same_site(request)
        self._require_owner(request)
        name = _name(request)
        freed = self._services.hub.remove(name)
        with self._lock:
            for known in [known for known in self._insides if known.partition("@")[0] == name.partition("@")[0]]:
                del self._insides[known]
        return _json({"removed": name, "freed": freed})

    def _described(self, card: Card, name: str) -> dict[str, Any]:
        """A card with what this machine knows of the model."""
        workers = self._services.workers
        speeds = [
            {"device": device, "seconds": speed.chunk / speed.hop, "memory": speed.memory}
            for device in workers.devices
            if (speed := workers.speed(name, device)) is not None
        ]
        return {
            "name": name,
            "title": card.title,
            "summary": card.summary,
            "facts": facts(card),
            "licence": card.licence,
            "scores": [score.model_dump() for score in card.scores],
            "weaknesses": card.weaknesses,
            "trained_on": card.trained_on,
            "citation": card.citation,
            "notes": card.origin.notes,
            "learning": (card.origin.folder / TRAINING).is_file(),
            "speeds": speeds,
            "timing": not gpu.zero_gpu(),  # there, jobs run in the visitor's own share of time
        }

    # -- a repository

    def look(self, request: Asked) -> Response:
        require_same_site(request)
        name = _name(request)
        try:
            self._require_repository(name)
            survey = self._services.hub.survey(name)
        except (HubError, UnknownModel, DiskFull) as error:
            return _json({"failed": _parts(error)})  # a misspelt name is an answer, not a failure of this server
        card = survey.card
        body = {
            "name": name,
            "model": None if card is None else self._described(card, card.origin.name),
            "files": [{"name": file, "bytes": size, "verdict": verdict} for file, size, verdict in survey.files],
            "missing": survey.missing,
            "refusal": _parts(survey.refusal),
            "opens": _opens(survey),
        }
        return _json(body)

    def fetch(self, request: Asked) -> Response:
        require_same_site(request)
        name = _name(request)
        self._require_repository(name)
        return _json(self._fetches.start(name).to_dict())

    def fetched(self, request: Asked) -> Response:
        return _json(self._fetches.get(request.path_params["fetch"]).to_dict())

    def cancel(self, request: Asked) -> Response:
        require_same_site(request)
        self._fetches.cancel(request.path_params["fetch"])
        return _json({"cancelling": True})

    def _require_repository(self, name: str) -> None:
        """A visitor names repositories, never folders of this machine."""
        if name in self._services.bundled() or name[:1] in "./~" or not _is_repository(name):
            raise UnknownModel(
                f"Look for {name or 'nothing'} on the Hub",
                "it is not of the form owner/name or owner/name@revision",
                "Copy the name from the top of the model's page on the Hugging Face Hub",
            )

    # -- how fast

    def time(self, request: Asked) -> Response:
        """A job on noise: it waits its turn, so that nothing else runs beside it on its device."""
        require_same_site(request)
        name, card = self._known(request)
        if gpu.zero_gpu():
            raise NotHere(f"Time {name}", "this Space runs jobs only for a visitor's recording", "Separate something")
        with self._lock:
            if (running := self._running(self._timed.get(name))) is not None:
                return _json({"job": running})
            self._timed[name] = self._start_timing(name, card)
            return _json({"job": self._timed[name]})

    def _running(self, job: str | None) -> str | None:
        try:
            return None if job is None or self._services.store.get(job).state().finished else job
        except UnknownJob:
            return None

    def _start_timing(self, name: str, card: Card) -> str:
        length = round(NOISE * card.sample_rate)
        noise = np.random.default_rng(0).normal(0, 0.1, (1, length)).clip(-0.9, 0.9).astype(np.float32)
        with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
            path = Path(folder) / "noise.wav"
            with Writer(path, card.sample_rate, 1, bit_depth="16", length=length) as writer:
                writer.write(noise)
            job = self._services.store.create(path, Request(name, f"Noise, to time {card.title}"), move=True)
        self._services.workers.submit(job)
        return job.id

    # -- figures

    def learning(self, request: Asked) -> Response:
        name, card = self._known(request)
        curves = self._services.hub.read_curves(card)
        if curves is None:
            raise NotHere(f"Draw how {name} learnt", f"its folder has no {TRAINING}", "Ask its author for the file")
        return _json(learning(curves.loss, curves.validation, curves.step).to_dict())

    def inside(self, request: Asked) -> Response:
        return _json(self._inside(request).record)

    def spectra(self, request: Asked) -> Response:
        found = self._inside(request).basis
        side = request.query_params.get("side", "encoder")
        if found is None or side not in ("encoder", "decoder"):
            raise BadQuery("Draw spectra", "there are none", "Choose what the card shows")
        return Response(spectra_png(found, decoder=side == "decoder"), headers=PRIVATE, media_type="image/png")

    def _inside(self, request: Asked) -> _Inside:
        """Found out once a model; one at a time, by the routes' limiter."""
        name, card = self._known(request)
        key = f"{name} {card.weights.sha256 if card.weights else ''}"
        with self._lock:
            if key in self._insides:
                self._insides.move_to_end(key)
                return self._insides[key]
        found = _look_inside(self._services.hub.load(name))
        with self._lock:
            self._insides[key] = found
            while len(self._insides) > LOOKS:
                self._insides.popitem(last=False)
        return found

    # -- who and what

    def _known(self, request: Asked) -> tuple[str, Card]:
        """The name and card of an installed model: nothing else is opened here."""
        name = _name(request)
        here = self._services.bundled() | {one.card.origin.name: one.card for one in self._services.hub.installed()}
        if name not in here:
            raise UnknownModel(f"Open {name}", "it is not installed here", "Open it from the Hub first, or reload")
        return name, here[name]

    def _removal(self, request: Asked) -> str:
        """Who may remove: ``"token"``: whoever has the owner's; ``"here"``: this browser; ``"nobody"``: not over HTTP."""
        settings = self._services.settings
        if self._access.open:
            return "token"
        alone = settings.host in LOOPBACK and not settings.root_path
        return "here" if alone and _from_this_machine(request) else "nobody"

    def _require_owner(self, request: Asked) -> None:
        removal = self._removal(request)
        if removal == "here":
            return
        asked = "Remove a model from this machine"
        if removal == "nobody":
            raise Refused(
                asked,
                "only the owner may, and this installation has no EARSHOT_OWNER_TOKEN",
                "Use `earshot models --remove NAME` on the machine itself",
            )
        try:
            self._access.require(request)
        except (SignedOut, Wrong, TooManyGuesses) as error:
            raise Refused(asked, error.found, error.advice) from error


def _is_repository(name: str) -> bool:
    """Whether a name has the form of a repository, and is no folder of this machine."""
    try:
        return resolve(name).kind == "hub"
    except UnknownModel:
        return False


def _look_inside(separator: Separator) -> _Inside:
    if not isinstance(separator, LatentSeparator):
        return _Inside({"kind": "none", "about": NO_LATENT})
    found = basis(separator, waveforms=False)  # those of learned bases come all the same
    if found.bins:
        return _Inside({"kind": "bins", "about": _about_bins(found)})
    return _Inside({"kind": "basis", "hop_length": found.hop_length, **basis_sheet(found)}, found)


def _about_bins(found: Basis) -> str:
    count, nyquist = len(found.order), found.sample_rate / 2
    hop = 1000 * found.hop_length / found.sample_rate
    return (
        f"It masks a spectrogram: {count} frequencies from 0 to {nyquist / 1000:g} kHz, {nyquist / (count - 1):.1f} Hz apart, "
        f"looked at every {hop:.1f} ms. Its basis functions are sines under a window, the same for every model of this kind; "
        "what it learnt is how much of each to keep. Its masks are shown under a result on the Separate page."
    )


def _from_this_machine(request: Asked) -> bool:
    """Whether nothing hints at a visitor from elsewhere: not the address, not the names, no proxy on the way.

    The names count because a foreign page may give its own name this machine's address (DNS rebinding).
    """
    headers = request.headers
    names = [urlsplit(f"//{headers.get('host', '')}").hostname, request.client.host if request.client else None]
    names += [urlsplit(headers["origin"]).hostname] if "origin" in headers else []
    return all(name in LOOPBACK for name in names) and not any(name in headers for name in PROXIED)


def _cached(one: Installed) -> dict[str, Any]:
    return {
        "repo": one.repo,
        "commit": one.card.origin.revision,
        "refs": one.refs,
        "bytes": one.bytes,
        "used": one.used,
    }


def _opens(survey: Survey) -> str | None:
    """The name that opens a repository which is here already."""
    if survey.card is None or survey.refusal is not None or survey.missing:
        return None
    return survey.card.origin.name


def _name(request: Asked) -> str:
    name = request.query_params.get("name", "").strip()
    if len(name) > LONGEST:
        raise BadQuery("Open a model", f"its name has {len(name)} characters", f"Use at most {LONGEST}")
    return name


def _parts(error: SeparationError | None) -> dict[str, str] | None:
    return None if error is None else {"asked": error.asked, "found": error.found, "advice": error.advice}


def _json(body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(finite(body), HTTPStatus.OK, PRIVATE)
