"""The study that comes with the app, offered to whoever starts it: its audio is made once, then listeners may come.

It becomes a study of the data folder like any other: its owner may look at its results, pause and close it, and once it is
closed, or another of its name is there, nothing here touches it again.
"""

import logging
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from separation.errors import SeparationError
from separation.listening.materials import prepare
from separation.listening.prepared import STUDY_FILE, find_studies
from separation.listening.studies import Studies
from separation.listening.study import Study, read_study, study_hash
from separation.ui.study_models import StudyModels, targets_of

SHIPPED = Path(__file__).parents[2] / "assets" / "studies"
_log = logging.getLogger(__name__)


def shipped_hashes(shipped: Path = SHIPPED) -> frozenset[str]:
    """What the shipped studies are known by: whoever reads which systems are in them learns nothing that is not public."""
    return frozenset(study_hash(read_study(folder / STUDY_FILE)) for folder in find_studies([shipped]).values())


def offer_shipped(
    studies: Studies,
    home: Path,
    *,
    models: Callable[[Study, Path], StudyModels] | None = None,
    shipped: Path = SHIPPED,
) -> list[str]:
    """Build and launch the shipped studies that are not here yet; a study that cannot be built is logged and left out.

    Args:
        studies: of the data folder.
        home: the folder where these lie.
        models: what runs the models of a study in a folder; None: on the CPU, where it takes seconds.
        shipped: where they come from.

    Returns:
        names of those that were launched now.
    """
    offered = []
    for name, folder in find_studies([shipped]).items():
        if studies.launched(name) is not None or (home / name).exists():
            continue
        try:
            _build(folder, home, models or _on_cpu)
            studies.launch(name)
        except (SeparationError, OSError):  # it is a kindness; the log says why it is not there
            _log.exception("The study %s could not be offered", name)
        else:
            offered.append(name)
    return offered


def _on_cpu(study: Study, folder: Path) -> StudyModels:
    return StudyModels(device="cpu", targets=targets_of(study, folder))


def _build(folder: Path, home: Path, models: Callable[[Study, Path], StudyModels]) -> None:
    """A copy with its audio; there whole or not at all."""
    making = home.with_name(f".{home.name}") / secrets.token_hex(8)  # on the same disk, and no study's folder
    try:
        shutil.copytree(folder, making)
        study = read_study(making / STUDY_FILE)
        runs = models(study, making)
        prepare(study, making, making, separate=runs, version=runs.version)
        home.mkdir(parents=True, exist_ok=True)
        making.rename(home / folder.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
