"""Files that results go to: safe names, free disk, names that appear only when complete, and zip archives.

Nothing here knows what a sample is.
"""

import errno
import shutil
import unicodedata
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from separation.errors import DiskFull

SPARE = 64 << 20
"""Bytes left free beside every result, so that the app itself (state files, ratings) can go on writing."""

NAME_BYTES = 120
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}
)


def safe_name(name: str, default: str = "audio") -> str:
    """Turn anything a user calls a file into one path component that every system accepts.

    Folders are dropped; control, invisible and reserved characters become ``_``; hidden files, Windows device names
    and overlong names (more than 120 bytes of UTF-8; the extension stays) are mended. Idempotent.

    >>> safe_name("../../etc/passwd"), safe_name("AC/DC: live?.mp3"), safe_name("...")
    ('passwd', 'DC_ live_.mp3', 'audio')
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    clean = "".join("_" if c in _FORBIDDEN or unicodedata.category(c).startswith("C") else c for c in last)
    clean = clean.strip(" .")
    stem, dot, suffix = clean.rpartition(".")
    if not dot or len(suffix.encode()) > 16:
        stem, dot, suffix = clean, "", ""
    stem = stem.encode()[: NAME_BYTES - len((dot + suffix).encode())].decode(errors="ignore").strip(" .")
    if stem.partition(".")[0].strip().lower() in _DEVICES:
        stem = f"_{stem}"
    return f"{stem or default}{dot}{suffix}"


def require_disk(folder: Path | str, nbytes: int) -> None:
    """Raise before anything is written if it would not fit.

    Args:
        folder: where the result goes; it need not exist yet.
        nbytes: bytes the result needs.

    Raises:
        DiskFull: less than `nbytes` and a spare 64 MB are free.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < nbytes + SPARE:
        raise DiskFull(
            f"Write {_megabytes(nbytes)} MB",
            f"{_megabytes(free)} MB are free on the disk, and {_megabytes(SPARE)} MB of them are kept for the app",
            f"Free {_megabytes(nbytes + SPARE - free)} MB, or choose a shorter selection or a smaller format",
        )


def _megabytes(nbytes: int) -> str:
    return f"{-(-nbytes // 1_000_000):,}"


def is_disk_full(error: OSError) -> bool:
    """Whether the system refused to write for want of room (or of quota)."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def temporary_name(path: Path) -> Path:
    """A fresh hidden name beside `path`: on the same disk, so that the rename to `path` is atomic."""
    return path.with_name(f".{uuid.uuid4().hex}.part")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary name to write to; renamed to `path` at the end, removed if the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"Write {path.name}", "the disk is full", "Free some space and try again") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_zip(path: Path | str, files: Mapping[str, Path]) -> Path:
    """Pack files, uncompressed (audio does not shrink) and of any size (zip64), without holding one in memory.

    Args:
        path: the archive; it appears when it is complete.
        files: name in the archive -> file. Names are made safe, and unique where two would be the same file on a
            system that ignores case (``"voice.wav"``, ``"voice (2).wav"``).

    Raises:
        DiskFull: the archive would not fit.
    """
    path = Path(path)
    require_disk(path.parent, sum(Path(file).stat().st_size + 1024 for file in files.values()))
    taken: set[str] = set()
    with appearing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, file in files.items():
            archive.write(file, _unique_name(safe_name(name), taken))
    return path


def _unique_name(name: str, taken: set[str]) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    unique, count = name, 1
    while unique.casefold() in taken:
        count += 1
        unique = f"{stem} ({count}){suffix}"
    taken.add(unique.casefold())
    return unique
