"""True sources beside a recording: as the recording would hold them, and as side information for separators that need them.

Nothing here measures anything; the references are cut, resampled and reflected exactly as the mixture is, so that what adds up
in the files adds up in every chunk.
"""

import re
from collections.abc import Collection, Mapping

import numpy as np
import torch

from separation.audio import Reader
from separation.audio.aligned import AlignedReader as AlignedReader
from separation.engine.chunks import read_beyond
from separation.engine.options import SideInformation
from separation.errors import JobError, ModelError
from separation.models import Spec, oracle_name

REFERENCES = "references"
"""What `Spec.needs` names and the side information holds: ``[S, C, T]``, in the order of the sources."""


RESERVED = frozenset({"mixture", "residual"})
"""Names of tracks that no source can have."""

_NAME = re.compile(r"[\w -]{1,60}")


def check_names(names: Collection[str]) -> None:
    """Refuse what cannot be the names of true sources side by side: they become files and tracks.

    Raises:
        JobError: a name has other characters than letters, digits, spaces, - and _, belongs to another track, or two are one to
            a system that ignores case.
    """
    taken: set[str] = set()
    for name in names:
        found = ""
        if not _NAME.fullmatch(name) or name != name.strip():
            found = f"the name {name!r} cannot be used"
        elif name.casefold() in RESERVED or name.casefold().startswith("reference-"):
            found = f"{name} is the name of a track that every separation has"
        elif name.casefold() in taken:
            found = f"two of them are called {name}"
        if found:
            raise JobError("Name the stems", found, "Use letters, digits, spaces, - and _ only, and each name once")
        taken.add(name.casefold())


def check_told(model: str, recording: str, references: Collection[str]) -> None:
    """Refuse an oracle for a recording whose true sources nobody knows.

    Args:
        model: its name; ordinary models always pass.
        recording: what it is called.
        references: names of the true sources that are known.

    Raises:
        UnknownModel: there is no such oracle.
        JobError: an oracle, and no references.
    """
    if oracle_name(model) is not None and not references:
        raise JobError(
            f"Separate {recording} with {model}",
            "an oracle has to be told the true sources, and none came along with this recording",
            "Choose an ordinary model, or a recording with references, such as the examples",
        )


def reference_side(
    readers: Mapping[str, Reader], spec: Spec, *, mixture: Reader | None = None, start: int = 0
) -> SideInformation:
    """The side information of oracles: ``side(start, length)["references"]`` is float32 ``[S, C, length]``.

    Args:
        readers: the true sources by name; they stay open as long as the engine runs. More than the model's do no harm.
        spec: of the oracle.
        mixture: what is separated. References of another rate, channel count or length are brought to its own. None: the
            references have these in common already.
        start: first sample of the mixture in the recording, and so in the references.

    Raises:
        ModelError: a source has no reference, or the oracle was built for another rate.
    """
    asked = f"Tell an oracle the true {', '.join(spec.sources)}"
    missing = [name for name in spec.sources if name not in readers]
    if missing:
        raise ModelError(
            asked,
            f"there is no reference for {', '.join(missing)}; there are {', '.join(readers) or 'none'}",
            "Build the oracle for the sources that have references, or give all of them",
        )
    like = mixture or readers[spec.sources[0]]
    if like.sample_rate != spec.sample_rate:
        raise ModelError(
            asked,
            f"it was built for {spec.sample_rate} Hz and the recording has {like.sample_rate} Hz",
            "Build the oracle for the recording's own rate",
        )
    aligned = [AlignedReader(readers[name], like, start) for name in spec.sources]

    def side(start: int, length: int) -> dict[str, torch.Tensor]:
        chunk = np.stack([read_beyond(reader, start, length) for reader in aligned])
        return {REFERENCES: torch.from_numpy(chunk)}

    return side
