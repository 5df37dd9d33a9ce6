"""What the Evaluate page measures on: the bundled examples, a folder that the owner offers, or an uploaded zip.

A visitor names an offer by its key, never a folder of this machine. An upload is taken for hostile: nothing is written
that is not `TRACK/STEM.EXT` with harmless names below the run's own folder, and bytes are counted while they are written,
not believed from the archive's directory.
"""

import hashlib
import re
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from separation.audio import require_disk, safe_name
from separation.datasets import Track
from separation.datasets.tracks import AUDIO_SUFFIXES, MIXTURE
from separation.errors import DataError
from separation.ui.examples import Example

MAX_FILES = 2000
"""Files that an uploaded archive may hold."""

MOST_UNPACKED = 4.0
"""An archive may unpack to this many times the largest upload; audio never shrinks more than that, short of silence."""

_BLOCK = 1 << 20
_WINDOWS_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class Offer:
    """A folder of recordings that the owner lets visitors measure on.

    Args:
        key: names it in requests; says nothing about where it is.
        title: its own name, without the folders above.
        folder: where it is; never shown.
    """

    key: str
    title: str
    folder: Path


def offers(folders: Sequence[Path]) -> dict[str, Offer]:
    """The owner's folders by key, in order; those that are not there now are left out.

    >>> offers([Path("/nowhere/at/all")])
    {}
    """
    keyed = ((hashlib.sha256(str(folder).encode()).hexdigest()[:12], folder) for folder in folders)
    return {key: Offer(key, folder.name, folder) for key, folder in keyed if folder.is_dir()}


def example_tracks(examples: Sequence[Example]) -> list[Track]:
    """The bundled examples that have references, as tracks."""
    return [
        Track(example.title, {MIXTURE: example.mixture, **example.references})
        for example in examples
        if example.references
    ]


def unpack(archive: Path, folder: Path, *, max_bytes: float) -> None:
    """Unpack an uploaded zip of ``TRACK/STEM.EXT`` (or ``SET/TRACK/STEM.EXT``) into `folder`.

    Args:
        max_bytes: that all files together may have.

    Raises:
        DataError: not a zip archive, not such a tree, too much, or a name that leads elsewhere; nothing is left to use.
        DiskFull: there is no room.
    """
    asked = f"Unpack {safe_name(archive.name)}"
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = _wanted(asked, zipped.infolist(), max_bytes)
            require_disk(folder, sum(member.file_size for member in members.values()))
            left = int(max_bytes)
            for path, member in members.items():
                target = folder.joinpath(*path.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                left -= _write(asked, zipped, member, target, left)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        found = f"it is not a zip archive that can be read ({_first_line(error)})"
        raise DataError(asked, found, "Make it again: a zip of folders, one a track, each with its stems") from error


def _wanted(asked: str, infos: Sequence[zipfile.ZipInfo], max_bytes: float) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The archive's recordings under harmless names; everything else in it is refused or, if it is clutter, ignored."""
    files = [info for info in infos if not info.is_dir() and not _clutter(info.filename)]
    if len(files) > MAX_FILES:
        raise DataError(asked, f"it holds {len(files)} files", f"Keep to {MAX_FILES} recordings at once")
    total = sum(info.file_size for info in files)
    if total > max_bytes:
        found = f"it unpacks to {total / 1e6:.0f} MB; this page takes {max_bytes / 1e6:.0f} MB"
        raise DataError(asked, found, "Measure fewer tracks at once, or run Earshot on your own machine")
    for info in files:
        _refuse_dangerous(asked, info)
    recordings = [info for info in files if PurePosixPath(info.filename).suffix.lower() in AUDIO_SUFFIXES]
    if not recordings:
        found = "it holds no recording"
        raise DataError(asked, found, "Put in a folder a track, each with a file a stem: TRACK/vocals.wav and so on")
    paths: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in recordings:
        parts = PurePosixPath(info.filename).parts
        if not 2 <= len(parts) <= 3:
            found = f"{info.filename[:80]} is not TRACK/STEM"
            raise DataError(
                asked, found, "Put in a folder a track, each with a file a stem: TRACK/vocals.wav and so on"
            )
        path = PurePosixPath(safe_name(parts[-2]), safe_name(parts[-1]))
        if path in paths:
            raise DataError(asked, f"two files would be {path}", "Give every track a folder of its own name")
        paths[path] = info
    return paths


def _refuse_dangerous(asked: str, info: zipfile.ZipInfo) -> None:
    name = info.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or ".." in parts or _WINDOWS_DRIVE.match(name) or "\0" in name:
        raise DataError(
            asked, "a file in it is named so that it would land outside its folder", "Make the archive again"
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(asked, "it holds a link instead of a file", "Put the recordings themselves into the archive")
    if info.flag_bits & 0x1:
        raise DataError(asked, "it is encrypted", "Make it again without a password")


def _write(asked: str, zipped: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Unpack one file, at most `left` bytes; returns how many it has."""
    written = 0
    with zipped.open(member) as source, target.open("xb") as sink:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > left:
                raise DataError(asked, "it unpacks to more than it says", "Make the archive again")
            sink.write(block)
    return written


def _clutter(name: str) -> bool:
    """What computers put into archives by themselves."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "__MACOSX" in parts or (
        bool(parts) and (parts[-1].startswith("._") or parts[-1] in (".DS_Store", "Thumbs.db"))
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
