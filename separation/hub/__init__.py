"""Names -> ready separators. A name is a bundled model, a folder, or ``owner/name[@revision]`` on the Hub.

`resolve` tells which, `describe` reads the card, `fetch_size` says how many bytes a download would take, `survey` what a
repository holds and whether it would be refused, `load` gives the separator, `save` writes a folder that all of these
understand. `installed` lists what was fetched, `remove` deletes it. Weights are safetensors only, architectures those of
`separation.models`; nothing that could run a stranger's code is ever opened.
"""

from pathlib import Path

import torch

from separation.errors import UnknownModel
from separation.hub.cache import Installed as Installed
from separation.hub.cache import installed as installed
from separation.hub.cache import remove as remove
from separation.hub.card import Card as Card
from separation.hub.card import Origin as Origin
from separation.hub.card import Score as Score
from separation.hub.card import Training as Training
from separation.hub.curves import Curve as Curve
from separation.hub.curves import LearningCurves as LearningCurves
from separation.hub.curves import read_curves as read_curves
from separation.hub.folder import Loaded as Loaded
from separation.hub.folder import load_folder, read_card
from separation.hub.folder import save as save
from separation.hub.names import Name as Name
from separation.hub.names import bundled_folders
from separation.hub.names import resolve as resolve
from separation.hub.remote import MAX_BYTES, Progress, Repository
from separation.hub.remote import Survey as Survey


def load(
    name: str | Path,
    *,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
    cache_dir: Path | None = None,
    max_bytes: int = MAX_BYTES,
) -> Loaded:
    """A separator, ready to run.

    Args:
        name: a bundled model, a folder, or ``owner/name[@revision]`` on the Hub.
        device: where it will run.
        progress: called with (bytes fetched, bytes in total) while files come from the Hub, first with (0, total); what
            it raises ends the download.
        cache_dir: of the Hub's files; None for the Hub client's own.
        max_bytes: a larger download is refused before it begins.

    Returns:
        The model in eval mode. Its card is the attribute ``card``; ``card.origin`` has the commit used and notes.

    Raises:
        ModelError: `UnknownModel`, `ConfigError` or `WeightsError`.
        HubError: missing, private, gated, too large, or out of reach and not in the cache.
        DiskFull, DeviceError: no room for it here.
    """
    found = resolve(name)
    if found.kind == "hub":
        card = _repository(found, cache_dir).fetch(weights=True, progress=progress, max_bytes=max_bytes)
    else:
        card = _local_card(found)
    return load_folder(card, device)


def describe(name: str | Path, *, cache_dir: Path | None = None) -> Card:
    """The card of a model, without its weights; of a repository only config.json is fetched.

    Raises:
        UnknownModel, ConfigError, HubError: see `load`.
    """
    found = resolve(name)
    return _repository(found, cache_dir).fetch(weights=False) if found.kind == "hub" else _local_card(found)


def fetch_size(name: str | Path, *, cache_dir: Path | None = None) -> int:
    """Bytes that `load` would download; 0 for what is here already.

    Raises:
        UnknownModel, HubError: see `load`.
    """
    found = resolve(name)
    return _repository(found, cache_dir).missing_bytes() if found.kind == "hub" else 0


def survey(name: str, *, cache_dir: Path | None = None, max_bytes: int = MAX_BYTES) -> Survey:
    """What a repository of the Hub holds, what of it would be fetched, and why it would be refused if so.

    Raises:
        UnknownModel: not of the form ``owner/name`` or ``owner/name@revision``.
        HubError: missing, private, gated, or out of reach and not in the cache.
    """
    found = resolve(name)
    if found.kind != "hub":
        raise UnknownModel(f"Look for {name} on the Hub", "it is a model of this machine", "Open it by this name")
    return _repository(found, cache_dir).survey(max_bytes)


def bundled() -> list[Card]:
    """The cards of the models that come with this app, by name.

    Raises:
        ConfigError: a bundled config.json breaks the schema.
    """
    return [read_card(Origin(name, folder)) for name, folder in bundled_folders().items()]


def _repository(name: Name, cache_dir: Path | None) -> Repository:
    assert name.repo is not None
    return Repository(name.repo, name.revision, cache_dir)


def _local_card(name: Name) -> Card:
    assert name.folder is not None
    return read_card(Origin(name.text, name.folder))
