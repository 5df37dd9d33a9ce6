"""Gather what a Hugging Face Space, or any Docker host, needs into one folder.

    python -m tools.space OUTPUT

The folder is complete: upload it as it is (``hf upload OWNER/NAME OUTPUT . --repo-type space``) or build its Dockerfile.
`spaces/` itself never gets there as a folder, and holds no Python: it would hide Hugging Face's own package `spaces`.
"""

import argparse
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHOLE = ("app.py", "requirements.txt", "LICENSE", "CREDITS.md", "separation", "assets")
RENAMED = {
    "spaces/README.md": "README.md",
    "spaces/packages.txt": "packages.txt",
    "spaces/Dockerfile": "Dockerfile",
}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
MAX_FILE = 100_000_000  # bytes; a larger file belongs in a model repository, to be loaded by name
MAX_TOTAL = 1_000_000_000  # bytes; what a Space's repository may hold


class SpaceError(Exception):
    """The folder cannot be made, with the reason."""


def assemble(root: Path, output: Path, *, max_file: int = MAX_FILE, max_total: int = MAX_TOTAL) -> list[Path]:
    """Copy the files; returns them, relative to `output`.

    Args:
        root: of the project.
        output: new or empty.
        max_file: bytes of one file.
        max_total: bytes of all.

    Raises:
        SpaceError: `output` holds something, a part of the project is missing, or a file or the sum is too large;
            nothing was written then.
    """
    if output.exists() and any(output.iterdir()):
        raise SpaceError(f"{output} is not empty: choose a new folder")
    pairs = {source: root / source for source in WHOLE} | {name: root / source for source, name in RENAMED.items()}
    missing = [str(source.relative_to(root)) for source in pairs.values() if not source.exists()]
    if missing:
        raise SpaceError(f"missing in {root}: {', '.join(missing)}")
    sizes = {file: file.stat().st_size for source in pairs.values() for file in _files(source)}
    large = [f"{file.relative_to(root)} ({size / 1e6:.0f} MB)" for file, size in sizes.items() if size > max_file]
    if large:
        raise SpaceError(f"larger than {max_file / 1e6:.0f} MB: {', '.join(large)}")
    if sum(sizes.values()) > max_total:
        raise SpaceError(f"{sum(sizes.values()) / 1e6:.0f} MB in all, but {max_total / 1e6:.0f} MB is the limit")
    output.mkdir(parents=True, exist_ok=True)
    for name, source in pairs.items():
        if source.is_dir():
            shutil.copytree(source, output / name, ignore=LEFT_OUT)
        else:
            shutil.copy2(source, output / name)
    return sorted(file.relative_to(output) for file in _files(output))


def _files(source: Path) -> Iterator[Path]:
    """The files that are copied from `source`."""
    if source.is_file():
        yield source
        return
    ignored = LEFT_OUT(str(source), [path.name for path in source.iterdir()])
    for path in sorted(source.iterdir()):
        if path.name not in ignored:
            yield from _files(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Gather what a Hugging Face Space or a Docker host needs.")
    parser.add_argument("output", type=Path, help="a new or empty folder")
    output: Path = parser.parse_args().output
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        files = assemble(ROOT, output)
    except SpaceError as error:
        raise SystemExit(f"make space: {error}") from error
    size = sum((output / file).stat().st_size for file in files)
    logging.getLogger(__name__).info("%s: %d files, %.1f MB", output, len(files), size / 1e6)


if __name__ == "__main__":
    main()
