"""Hugging Face Hub repositories -> folders in the Hub's own cache. The only file that speaks to the network.

The transfer, the cache, retries and the resuming of a dropped connection are `huggingface_hub`'s. What is decided
here: which files may be fetched (`ALLOWED`), that the size is known and capped before the first byte, that one commit
is pinned for all files, that a file is what the Hub's record and the card say it is, and what a person reads when
something fails. A process that is killed begins a file anew: the client keeps no partial files between calls.

Messages are made of names, numbers and status codes, never of requests: a token cannot appear in them.
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from separation.audio import require_disk
from separation.errors import ConfigError, DiskFull, HubError, SeparationError, WeightsError
from separation.hub.card import CONFIG, README, WEIGHTS, Card, Origin
from separation.hub.curves import LIMIT as CURVES_LIMIT
from separation.hub.curves import TRAINING
from separation.hub.folder import CONFIG_LIMIT, PICKLES, read_card, require_weights, sha256

Progress = Callable[[int, int], None]
"""Called with (bytes fetched, bytes in total); first with (0, total), before anything is fetched."""

ALLOWED = (CONFIG, README, TRAINING, WEIGHTS)
MAX_BYTES = 2_000_000_000
NOT_NEEDED = {README: 1_000_000, TRAINING: CURVES_LIMIT}
"""Bytes up to which a file is fetched that nothing depends on; a larger one is left where it is."""
CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".sh", ".js", ".ipynb", ".jar", ".exe")
TIMEOUT = 10.0  # seconds until the Hub counts as out of reach

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Listing:
    """What the Hub says a repository holds at one commit. `sha256` has the files in large-file storage only."""

    commit: str
    sizes: dict[str, int]
    sha256: dict[str, str]


Verdict = Literal["taken", "too large", "pickle", "code", "not needed"]


@dataclass(frozen=True)
class Survey:
    """What is known of a repository before anything but its config.json is fetched.

    Args:
        card: None where there is no readable one.
        files: name, bytes and what happens to it: fetched, or left where it is and why. Empty where a copy stands in.
        missing: bytes that `Repository.fetch` would download; 0 for what is here already.
        refusal: why it is not fetched; None if it may be.
    """

    card: Card | None
    files: tuple[tuple[str, int, Verdict], ...]
    missing: int
    refusal: SeparationError | None


class _Unreachable(HubError):
    """No usable answer came: a cached copy may stand in."""


@dataclass(frozen=True)
class Repository:
    """A repository on the Hub.

    Args:
        repo: ``"owner/name"``, already checked for form.
        revision: branch, tag or commit; None for the main branch.
        cache_dir: None for the Hub client's own (``HF_HUB_CACHE``).
    """

    repo: str
    revision: str | None = None
    cache_dir: Path | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"

    def fetch(self, *, weights: bool, progress: Progress | None = None, max_bytes: int = MAX_BYTES) -> Card:
        """Bring the files into the cache and check them.

        Args:
            weights: False to fetch config.json only.

        Raises:
            HubError: missing, private, gated, too large, or out of reach with nothing in the cache.
            ConfigError, WeightsError, DiskFull: found before the weights are fetched, but for a damaged transfer.
        """
        if self.revision is not None and _COMMIT.fullmatch(self.revision):
            card = self._cached_card(weights)
            if card is not None:  # a commit never changes: no need to ask
                return self._verified(card, weights)
        try:
            listing = self._look_up()
        except _Unreachable as error:
            card = self._stand_in(error, weights)
            return self._verified(card, weights, notes=(_noted(error, card),))
        return self._fetch(listing, weights, progress, max_bytes)

    def missing_bytes(self) -> int:
        """Bytes that `fetch` would download; nothing but the listing is read.

        Raises:
            HubError: see `fetch`.
        """
        try:
            listing = self._look_up()
        except _Unreachable as error:
            self._stand_in(error, weights=True)
            return 0
        return sum(listing.sizes[file] for file in self._wanted(listing, ALLOWED))

    def survey(self, max_bytes: int = MAX_BYTES) -> Survey:
        """Look at a repository: its card, its files, and whether it would be fetched. One look-up, and config.json.

        Raises:
            HubError: missing, private, gated, or out of reach with nothing in the cache.
            DiskFull: not even config.json fits.
        """
        try:
            listing = self._look_up()
        except _Unreachable as error:
            card = self._stand_in(error, weights=True)
            return Survey(card.with_origin(replace(card.origin, notes=(_noted(error, card),))), (), 0, None)
        files = tuple((file, size, _verdict(file, size)) for file, size in sorted(listing.sizes.items()))
        missing = sum(listing.sizes[file] for file in self._wanted(listing, ALLOWED))
        found: Card | None = None
        try:
            found = self._fetch(listing, False, None, max_bytes)
            if found.weights is not None:
                self._require(listing, found, max_bytes)
        except (ConfigError, WeightsError, HubError, DiskFull) as error:
            return Survey(found, files, missing, error)
        return Survey(found, files, missing, None)

    @property
    def _asked(self) -> str:
        return f"Fetch {self} from the Hub"

    @property
    def _api(self) -> HfApi:
        return HfApi(library_name="earshot")

    def _look_up(self) -> Listing:
        with _explained(self._asked):
            info = self._api.model_info(self.repo, revision=self.revision, files_metadata=True, timeout=TIMEOUT)
        assert info.sha is not None, "the Hub names the commit of every repository"
        files = info.siblings or []
        return Listing(
            commit=info.sha,
            sizes={file.rfilename: file.size or 0 for file in files},
            sha256={file.rfilename: file.lfs.sha256 for file in files if file.lfs is not None},
        )

    def _fetch(self, listing: Listing, weights: bool, progress: Progress | None, max_bytes: int) -> Card:
        if CONFIG not in listing.sizes:
            raise ConfigError(
                self._asked, f"the repository holds no {CONFIG}", "Choose one made for Earshot, as docs/models.md says"
            )
        if listing.sizes[CONFIG] > CONFIG_LIMIT:
            raise ConfigError(
                self._asked, f"its {CONFIG} has {listing.sizes[CONFIG]:,} bytes", "Choose a model made for Earshot"
            )
        self._require_disk(listing.sizes[CONFIG])
        config = self._download(CONFIG, listing.commit)
        card = read_card(Origin(f"{self.repo}@{listing.commit}", config.parent, listing.commit))
        if not weights or card.weights is None:
            if self._cached(CONFIG, self.revision) is None:
                self._remember(listing.commit)
            return card
        wanted = self._require(listing, card, max_bytes)
        bar = _bar(progress, sum(listing.sizes[file] for file in wanted))
        for file in wanted:
            self._download(file, listing.commit, bar)
        card = self._verified(card, weights)
        self._remember(listing.commit)
        return card

    def _require(self, listing: Listing, card: Card, max_bytes: int) -> list[str]:
        """The files that the weights take to be fetched, unless something speaks against it."""
        require_weights(self._asked, listing.sizes)
        self._agree(listing, card)
        wanted = self._wanted(listing, (README, TRAINING, WEIGHTS))
        total = sum(listing.sizes[file] for file in wanted)
        if total > max_bytes:
            raise HubError(
                self._asked,
                f"{_gigabytes(total)} would be fetched, more than the limit of {_gigabytes(max_bytes)}",
                "Choose a smaller model, or raise the limit (max_bytes) if the disk and memory can hold it",
            )
        self._require_disk(total)
        return wanted

    def _wanted(self, listing: Listing, files: tuple[str, ...]) -> list[str]:
        """Those of `files` that are there, not in the cache, and worth fetching."""
        return [
            file
            for file in files
            if file in listing.sizes
            and self._cached(file, listing.commit) is None
            and listing.sizes[file] <= NOT_NEEDED.get(file, listing.sizes[file])
        ]

    def _remember(self, commit: str) -> None:
        """Note in the cache that the branch is at `commit`, for later without the Hub.

        Only once the files are there, so that a failed update leaves the earlier copy in use. Best effort.
        """
        config = self._cached(CONFIG, self.revision)
        if config is None or config.parent.name != commit:
            with suppress(HubError), _explained(self._asked):
                self._api.resolve_revision(self.repo, revision=self.revision, cache_dir=self.cache_dir)

    def _agree(self, listing: Listing, card: Card) -> None:
        """Raise if the card describes another weights file than the one in the repository."""
        assert card.weights is not None
        recorded = listing.sha256.get(WEIGHTS, card.weights.sha256)
        if (listing.sizes[WEIGHTS], recorded) != (card.weights.bytes, card.weights.sha256):
            raise WeightsError(
                self._asked,
                f"{WEIGHTS} on the Hub ({listing.sizes[WEIGHTS]:,} bytes, SHA-256 {recorded[:12]}…) is not the file "
                f"that {CONFIG} describes ({card.weights.bytes:,} bytes, {card.weights.sha256[:12]}…)",
                "Ask the author to publish the whole folder again; nothing was fetched",
            )

    def _verified(self, card: Card, weights: bool, notes: tuple[str, ...] = ()) -> Card:
        """Check the SHA-256 of the cached weights; a damaged file is deleted, so that the next try is a fresh one."""
        origin = card.origin
        if weights and card.weights is not None:
            path = origin.folder / WEIGHTS
            digest = sha256(path)
            if digest != card.weights.sha256:
                _delete(path)
                raise WeightsError(
                    self._asked,
                    f"{WEIGHTS} is damaged (SHA-256 {digest[:12]}… instead of {card.weights.sha256[:12]}…); "
                    "the copy was deleted",
                    "Try again; if it happens twice, something between here and the Hub changes files",
                )
        return card.with_origin(Origin(origin.name, origin.folder, origin.revision, notes))

    def _cached(self, file: str, revision: str | None) -> Path | None:
        found = try_to_load_from_cache(self.repo, file, cache_dir=self.cache_dir, revision=revision)
        return Path(found) if isinstance(found, str) else None

    def _cached_card(self, weights: bool) -> Card | None:
        """The card of a copy in the cache; None if a needed file is not there."""
        config = self._cached(CONFIG, self.revision)
        if config is None:
            return None
        commit = config.parent.name
        card = read_card(Origin(f"{self.repo}@{commit}", config.parent, commit))
        complete = not weights or card.weights is None or self._cached(WEIGHTS, commit) is not None
        return card if complete else None

    def _stand_in(self, error: _Unreachable, weights: bool) -> Card:
        card = self._cached_card(weights)
        if card is None:
            raise _Unreachable(
                error.asked, f"{error.found}, and no complete copy is in the cache", error.advice
            ) from error
        return card

    def _download(self, file: str, commit: str, bar: type | None = None) -> Path:
        assert file in ALLOWED, "nothing else is ever fetched"
        with _explained(self._asked):
            path = self._api.hf_hub_download(
                self.repo, file, revision=commit, cache_dir=self.cache_dir, tqdm_class=bar or _bar(None, 0)
            )
        return Path(path)

    def _require_disk(self, nbytes: int) -> None:
        folder = Path(self.cache_dir or constants.HF_HUB_CACHE)
        try:
            require_disk(folder, nbytes)
        except DiskFull as error:
            raise DiskFull(
                self._asked,
                f"it needs {nbytes / 1e6:,.0f} MB on the disk of {folder}; {error.found}",
                "Free some space, or move the cache to another disk (HF_HOME)",
            ) from error


def _bar(progress: Progress | None, total: int) -> type:
    """A class that the Hub client takes for a progress bar; one count goes on over all files."""
    done = 0
    if progress is not None:
        progress(0, total)

    class Bar:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None: ...

        def update(self, n: float | None = 1) -> None:
            nonlocal done
            done += int(n or 0)
            if progress is not None:
                progress(min(done, total), total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire, which the client counts beside those of the file."""

        def set_postfix_str(self, *_: Any, **__: Any) -> None: ...

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None: ...

        def refresh(self) -> None: ...

        def close(self) -> None: ...

    return Bar


def _verdict(file: str, size: int) -> Verdict:
    """What happens to a file of a repository."""
    if file in ALLOWED:
        return "taken" if size <= NOT_NEEDED.get(file, size) else "too large"
    if file.lower().endswith(PICKLES):
        return "pickle"
    return "code" if file.lower().endswith(CODE) else "not needed"


def _noted(error: SeparationError, card: Card) -> str:
    note = f"{error.found}; the copy fetched earlier is used (commit {card.origin.folder.name[:12]})"
    return note[0].upper() + note[1:]


def _delete(path: Path) -> None:
    """Remove a file of the cache with the chain of links that leads to it."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink()
        path = target
    path.unlink(missing_ok=True)


@contextmanager
def _explained(asked: str) -> Iterator[None]:
    try:
        yield
    except SeparationError:
        raise
    except (OSError, HTTPError, EntryNotFoundError, RevisionResolutionError) as error:
        raise _explain(asked, error) from error
    except (ValueError, TypeError, KeyError) as error:  # the client could not make sense of the answer
        raise _Unreachable(
            asked,
            f"what answers at {constants.ENDPOINT} is not the Hub",
            "Log in to this network first if it has a sign-in page, and check HF_ENDPOINT",
        ) from error


def _explain(asked: str, error: Exception) -> SeparationError:
    """The client's exception -> what was found and what to do."""
    if isinstance(error, LocalEntryNotFoundError | RevisionResolutionError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    match error:
        case GatedRepoError():
            return HubError(
                asked,
                "the repository is gated: its owner wants to be asked first",
                f"Accept the terms on the model's page at {constants.ENDPOINT}, then log in with `hf auth login`",
            )
        case RepositoryNotFoundError() if error.response.status_code == 401:
            return HubError(
                asked,
                "it does not exist, or it is private (the Hub answers 401 to both)",
                "Check the spelling; for a private repository log in with `hf auth login`",
            )
        case RepositoryNotFoundError():
            return HubError(asked, "there is no such repository, or your account may not see it", "Check the spelling")
        case RevisionNotFoundError():
            return HubError(
                asked, "the repository has no such branch, tag or commit", "Leave out @revision, or use one that it has"
            )
        case EntryNotFoundError():
            return HubError(asked, "a file that the repository lists is gone", "Try again in a minute")
        case HfHubHTTPError():
            return _explain_status(asked, error)
        case OfflineModeIsEnabled():
            return _Unreachable(
                asked,
                "the Hub is switched off (HF_HUB_OFFLINE)",
                "Unset HF_HUB_OFFLINE and fetch it once; bundled models and local folders work without it",
            )
        case HTTPError():
            return _Unreachable(
                asked,
                f"the Hub at {constants.ENDPOINT} cannot be reached or broke off ({type(error).__name__})",
                "Check the network and try again; bundled models and local folders work without it",
            )
        case OSError(errno=errno.ENOSPC):
            return DiskFull(asked, "the disk of the cache is full", "Free some space, or move the cache (HF_HOME)")
        case _:
            return HubError(
                asked,
                f"the file could not be stored whole ({type(error).__name__})",
                "Try again; if it happens twice, check that the cache folder can be written (HF_HOME)",
            )


def _explain_status(asked: str, error: HfHubHTTPError) -> SeparationError:
    status = error.response.status_code
    if status == 401:
        return HubError(asked, "the Hub refuses the access token", "Log in again (`hf auth login`) or remove HF_TOKEN")
    if status == 403:
        return HubError(asked, "access is forbidden (403)", "Log in with an account or a token that may read it")
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        when = f"in {wait} s" if wait.isdigit() else "in a few minutes"
        return _Unreachable(asked, "the Hub has had too many requests from here (429)", f"Try again {when}, or log in")
    if status >= 500:
        return _Unreachable(asked, f"the Hub is out of order ({status})", "Try again in a few minutes")
    return HubError(asked, f"the Hub answers {status}", "Check the name, then try again")


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 1e9:,.2f} GB"
