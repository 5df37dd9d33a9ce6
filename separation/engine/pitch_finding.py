"""Finding the pitch of the voices of a draft, before it is separated: in the background, one recording at a time.

What was found lies in the draft's folder and goes with it: `pitch-N` for N voices of the mixture, `pitch-stems` for those of
the stems that it was mixed from. Tracks that a visitor brings lie beside, in `pitch`. A draft that comes with the app is
everybody's, so nobody brings tracks for it; what is found in it is the same for all.

Not needed to separate: a job whose tracks did not come along finds them itself (`Request.voices`).
"""

import logging
import shutil
import threading
from collections import OrderedDict, deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from separation.audio import open_reader
from separation.engine.drafts import Draft, explain
from separation.engine.jobs import PITCHES, JobStore
from separation.engine.pitches import Pitches, find_pitches, pitches_of_stems, read_pitches
from separation.errors import Busy, Cancelled, JobError, UnknownJob
from separation.transforms import MOST_VOICES

Where = int | Literal["stems", "files"]
"""Of so many voices in the mixture, of the stems it was mixed from, or of files that somebody has brought."""

WAITING = 8
"""Drafts that may wait."""
FAILURES = 32
"""Failures that are remembered, so that who asks is told why."""

_ASKED = "Find the pitch of every voice"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """How far it is.

    Args:
        state: idle (nobody has asked), waiting, running, done or failed.
        fraction: 0 to 1.
        error: what was asked, what was found and what to do; None unless failed.
        pitches: once they are there.
    """

    state: Literal["idle", "waiting", "running", "done", "failed"]
    fraction: float = 0.0
    error: dict[str, str] | None = None
    pitches: Pitches | None = None


@dataclass
class _Search:
    draft: Draft
    where: Where
    fraction: float = 0.0
    stopped: bool = False

    @property
    def cancelled(self) -> bool:
        return self.stopped or not self.draft.folder.exists()


class PitchFinding:
    """The drafts whose voices are being found, and those that wait.

    Args:
        store: where the drafts and the mixtures are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._waiting: deque[_Search] = deque()
        self._running: _Search | None = None
        self._failed: OrderedDict[tuple[str, Where], dict[str, str]] = OrderedDict()
        self._alive = False
        self._lock = threading.Lock()

    def ask(self, draft: Draft, where: Where) -> None:
        """Have them found, unless they are or will be.

        Raises:
            JobError: there are no such voices to find.
            Busy: too many wait already.
        """
        self._check(draft, where)
        if read_pitches(_folder(draft, where)) is not None:
            return
        with self._lock:
            if self._search(draft, where) is not None:
                return
            if len(self._waiting) >= WAITING:
                raise Busy(
                    _ASKED, f"{WAITING} other recordings wait", "Try again in a minute, or separate it all the same"
                )
            self._failed.pop((draft.id, where), None)
            self._waiting.append(_Search(draft, where))
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._work, name="earshot-pitch", daemon=True).start()

    def look(self, draft: Draft, where: Where) -> Finding:
        """How far it is. Never starts anything."""
        with self._lock:
            search, error = self._search(draft, where), self._failed.get((draft.id, where))
            running = search is not None and search is self._running
        found = read_pitches(_folder(draft, where))
        if found is not None:
            return Finding("done", 1.0, pitches=found)
        if search is not None:
            return Finding("running" if running else "waiting", search.fraction)
        return Finding("idle" if error is None else "failed", error=error)

    def cancel(self, draft: Draft) -> None:
        """Stop looking in this draft; harmless if nobody does."""
        with self._lock:
            for search in [*self._waiting, self._running]:
                if search is not None and search.draft.id == draft.id:
                    search.stopped = True
            self._waiting = deque(search for search in self._waiting if not search.stopped)

    def bring(self, draft: Draft, pitches: Pitches | None) -> None:
        """Keep tracks that a visitor has for this draft, instead of those before; None takes them away.

        Raises:
            JobError: the draft is everybody's, or they are not about it.
        """
        if draft.bundled is not None:
            found = "it comes with this page and is everybody's"
            raise JobError(f"Bring tracks for {draft.name}", found, "Choose a recording of your own")
        if pitches is None:
            shutil.rmtree(_folder(draft, "files"), ignore_errors=True)
            return
        described = draft.stage()
        if described is not None:
            pitches.check(draft.name, described["length"] / described["sample_rate"])
        pitches.write(_folder(draft, "files"))
        if not (draft.folder / "draft.json").exists():  # deleted meanwhile: the folder has been made anew
            shutil.rmtree(draft.folder, ignore_errors=True)

    def _check(self, draft: Draft, where: Where) -> None:
        if where == "stems" and not draft.mixed:
            raise JobError(_ASKED, "this recording was not mixed from stems", "Say how many voices sing in it")
        if where == "files" or (isinstance(where, int) and not 2 <= where <= MOST_VOICES):
            found = "nothing says how many there are" if where == "files" else f"{where} voices were asked for"
            raise JobError(_ASKED, found, f"Ask for 2 to {MOST_VOICES} voices")

    def _search(self, draft: Draft, where: Where) -> _Search | None:
        each = [*self._waiting, *([] if self._running is None else [self._running])]
        return next((s for s in each if (s.draft.id, s.where) == (draft.id, where) and not s.stopped), None)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._alive = False
                    return
                search = self._running = self._waiting.popleft()
            error = self._run(search)
            with self._lock:
                self._running = None
                if error is not None:
                    self._failed[(search.draft.id, search.where)] = error
                while len(self._failed) > FAILURES:
                    self._failed.popitem(last=False)

    def _run(self, search: _Search) -> dict[str, str] | None:
        """Find them. Never raises: returns what went wrong, if anything did."""
        draft, scratch = search.draft, search.draft.folder / "scratch-pitch"
        try:
            found = self._find(search, scratch)
            if not search.cancelled:
                found.write(_folder(draft, search.where))
            return None
        except (Cancelled, UnknownJob):
            return None
        except Exception as error:
            if not isinstance(error, JobError):
                _log.exception("The pitch of draft %s… could not be found", draft.id[:4])
            return explain(error, draft)
        finally:
            deleted = not (draft.folder / "draft.json").exists()  # under us: files have made the folder anew
            shutil.rmtree(draft.folder if deleted else scratch, ignore_errors=True)

    def _find(self, search: _Search, scratch: Path) -> Pitches:
        def progress(fraction: float) -> None:
            search.fraction = fraction

        def cancelled() -> bool:
            return search.cancelled

        with ExitStack() as stack:
            if isinstance(search.where, int):
                reader = stack.enter_context(open_reader(search.draft.sound, scratch=scratch, cancelled=cancelled))
                return find_pitches(reader, search.where, progress=progress, cancelled=cancelled)
            mix = self._store.mixes.get(search.draft.id)
            stems = {
                stem.name: stack.enter_context(open_reader(mix.path(stem), scratch=scratch, cancelled=cancelled))
                for stem in mix.audible
            }
            return pitches_of_stems(stems, progress=progress, cancelled=cancelled)


def known_pitches(draft: Draft, where: Where) -> Pitches | None:
    """The tracks of a draft, as far as they are there."""
    return read_pitches(_folder(draft, where))


def _folder(draft: Draft, where: Where) -> Path:
    return draft.folder / (PITCHES if where == "files" else f"{PITCHES}-{where}")
