"""Fetching models of the Hub while somebody watches: how many bytes are here, stopping, and what came out.

Fetches live as long as the process: what is whole lies in the Hub's cache, and what is not is begun again. A model counts as
fetched once it was loaded: then "Use it" works.
"""

import logging
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from separation.engine.workers import Load
from separation.errors import Busy, Cancelled, SeparationError, UnknownJob
from separation.hub import Card
from separation.models import Separator

AT_ONCE = 2
"""Fetches that run at the same time."""
REMEMBERED = 50
"""Fetches whose end can still be asked for."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetch:
    """How far a fetch is.

    Args:
        id: with which it is asked for; unguessable.
        name: of the repository.
        status: ``checking`` once all bytes are here.
        done, total: bytes; `total` is 0 until the Hub has said it.
        seconds: since it began.
        opens: name that opens exactly what was fetched; only when done.
        error: ``{asked, found, advice}`` when it failed.
    """

    id: str
    name: str
    status: Literal["fetching", "checking", "done", "failed", "cancelled"] = "fetching"
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    opens: str | None = None
    error: dict[str, str] | None = None

    @property
    def finished(self) -> bool:
        return self.status in ("done", "failed", "cancelled")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


class Fetches:
    """The fetches of this process; every method may be called from any thread.

    Args:
        load: gives a ready model for a name, with progress in bytes.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Fetch] = OrderedDict()
        self._stopped: set[str] = set()

    def start(self, name: str) -> Fetch:
        """Begin; or join the fetch of that name that runs already.

        Raises:
            Busy: enough others run.
        """
        with self._lock:
            running = [fetch for fetch in self._known.values() if not fetch.finished]
            for fetch in running:
                if fetch.name == name and fetch.id not in self._stopped:
                    return fetch
            if len(running) >= AT_ONCE:
                others = ", ".join(fetch.name for fetch in running)
                raise Busy(f"Fetch {name}", f"{others} are being fetched", "Try again when one of them is done")
            fetch = Fetch(secrets.token_urlsafe(16), name)
            self._known[fetch.id] = fetch
            self._forget()
        threading.Thread(target=self._run, args=(fetch,), name="earshot-fetch", daemon=True).start()
        return fetch

    def get(self, id: str) -> Fetch:
        """How far it is.

        Raises:
            UnknownJob: there is none of that id.
        """
        with self._lock:
            if id not in self._known:
                found = "it is not known here; the page may have been restarted"
                raise UnknownJob("Follow the fetching of a model", found, "Open the model again")
            return self._known[id]

    def cancel(self, id: str) -> None:
        """Stop after the running block; nothing happens to one that has finished.

        Raises:
            UnknownJob: there is none of that id.
        """
        self.get(id)
        with self._lock:
            self._stopped.add(id)

    def _run(self, fetch: Fetch) -> None:
        began = time.monotonic()

        def progress(done: int, total: int) -> None:
            if fetch.id in self._stopped:
                raise Cancelled(f"Fetch {fetch.name}", "it was stopped", "Fetch it again when you like")
            status: Literal["fetching", "checking"] = "checking" if done >= total else "fetching"
            self._put(fetch.id, status=status, done=done, total=total, seconds=time.monotonic() - began)

        try:
            model = self._load(fetch.name, device="cpu", progress=progress)
            self._put(fetch.id, status="done", opens=_name_of(model, fetch.name))
        except Cancelled:
            self._put(fetch.id, status="cancelled")
        except SeparationError as error:
            parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
            self._put(fetch.id, status="failed", error=parts)
        except Exception:
            _log.exception("Fetching %s failed", fetch.name)
            parts = {
                "asked": f"Fetch {fetch.name}",
                "found": "something unexpected went wrong inside the program",
                "advice": "Try again; the owner's log has the details",
            }
            self._put(fetch.id, status="failed", error=parts)

    def _put(self, id: str, **changes: Any) -> None:
        with self._lock:
            self._known[id] = replace(self._known[id], **changes)

    def _forget(self) -> None:
        finished = [id for id, fetch in self._known.items() if fetch.finished]
        for id in finished[: max(0, len(self._known) - REMEMBERED)]:
            del self._known[id]
            self._stopped.discard(id)


def _name_of(model: Separator, asked: str) -> str:
    """The name that opens these very weights again; what was asked for where a model has no card."""
    card = getattr(model, "card", None)
    return card.origin.name if isinstance(card, Card) else asked
