"""What the Hub's cache on this disk holds for this app: which repositories, how large, last used when; and taking one out.

The cache belongs to all programs of the user that use the Hub. Only revisions with a `config.json` of ours are listed, and
only these can be removed: a language model beside them is none of our business. Nothing is fetched here.
"""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CachedRevisionInfo, HFCacheInfo, constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from separation.errors import ConfigError, HubError, UnknownModel
from separation.hub.card import CONFIG, WEIGHTS, Card, Origin
from separation.hub.folder import read_card


@dataclass(frozen=True)
class Installed:
    """A repository at one commit, fetched earlier.

    Args:
        card: `card.origin.name` opens exactly this copy, without the network.
        repo: ``"owner/name"``.
        refs: branches and tags that this disk believes to be at this commit.
        bytes: on the disk.
        used: seconds since 1970 at which the weights were last read, as far as the disk keeps count.
    """

    card: Card
    repo: str
    refs: tuple[str, ...]
    bytes: int
    used: float


def installed(cache_dir: Path | None = None) -> list[Installed]:
    """The models of the Hub that are complete on this disk, by name; the newest copy of each first.

    Args:
        cache_dir: None for the Hub client's own (``HF_HUB_CACHE``).
    """
    found = [
        (revision.last_modified, one)
        for repo, revision in _revisions(_scan(cache_dir))
        if (one := _complete(repo, revision)) is not None
    ]
    return [one for _, one in sorted(found, key=lambda entry: (entry[1].repo.lower(), -entry[0]))]


def remove(name: str, *, cache_dir: Path | None = None) -> int:
    """Delete the copies of a repository, or one of them, from this disk.

    Args:
        name: ``"owner/name"`` for all commits, or ``"owner/name@COMMIT"`` (a branch or tag counts as the commit it is at).

    Returns:
        Bytes that this freed; files that other commits share stay.

    Raises:
        UnknownModel: no copy of that name is here.
        HubError: the files cannot be deleted.
    """
    asked = f"Remove {name} from this machine"
    repo, _, revision = name.partition("@")
    scan = _scan(cache_dir)
    copies = [
        found
        for owner, found in _revisions(scan)
        if owner == repo and (not revision or revision == found.commit_hash or revision in found.refs)
    ]
    if scan is None or not copies:
        here = sorted({owner for owner, _ in _revisions(scan)})
        known = f"Here are: {', '.join(here)}" if here else "Nothing of the Hub is here"
        raise UnknownModel(asked, "there is no copy of it in the Hub's cache", known)
    strategy = scan.delete_revisions(*(found.commit_hash for found in copies))
    strategy.execute()
    if any(found.snapshot_path.exists() for found in copies):  # the client logs what it cannot delete, and goes on
        raise HubError(asked, f"{copies[0].snapshot_path} cannot be deleted", "Check whose files these are (HF_HOME)")
    return int(strategy.expected_freed_size)


def _scan(cache_dir: Path | None) -> HFCacheInfo | None:
    try:
        return scan_cache_dir(cache_dir or constants.HF_HUB_CACHE)
    except (CacheNotFound, ValueError):  # nothing was ever fetched, or a file lies where the folder should be
        return None


def _revisions(scan: HFCacheInfo | None) -> list[tuple[str, CachedRevisionInfo]]:
    """The revisions that hold a model of ours, whole or not."""
    if scan is None:
        return []
    every = ((repo.repo_id, found) for repo in scan.repos if repo.repo_type == "model" for found in repo.revisions)
    return [(repo, found) for repo, found in every if _card(repo, found) is not None]


def _complete(repo: str, found: CachedRevisionInfo) -> Installed | None:
    card = _card(repo, found)
    weights = next((file for file in found.files if file.file_name == WEIGHTS), None)
    if card is None or (card.weights is not None and weights is None):
        return None
    config = next(file for file in found.files if file.file_name == CONFIG)
    used = (weights or config).blob_last_accessed
    return Installed(card, repo, tuple(sorted(found.refs)), found.size_on_disk, used)


def _card(repo: str, found: CachedRevisionInfo) -> Card | None:
    """The card of a revision; None for other people's formats, and for a card that is damaged."""
    try:
        origin = Origin(f"{repo}@{found.commit_hash}", found.snapshot_path, found.commit_hash)
        return read_card(origin)
    except (UnknownModel, ConfigError, OSError):
        return None
