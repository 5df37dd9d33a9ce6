"""Save ratings on a small disk until it is full, make room, go on; prints how many were refused and saved.

    unshare --user --map-root-user --mount sh -c 'mount … && python -m tests.ratings.full_disk FOLDER'

A program of its own, because the disk is mounted where only one process sees it.
"""

import errno
import sys
from pathlib import Path

from separation.errors import DiskFull
from separation.ratings import Store
from tests.ratings.made_ratings import event

ROOM = 200_000  # bytes that are left for ratings
ENOUGH = 5  # refusals until there is room again


def fill(path: Path) -> None:
    """Take all of the disk but `ROOM`."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(file.tell() - ROOM)


def main() -> None:
    disk = Path(sys.argv[1])
    url, filler = f"sqlite:///{disk / 'ratings.db'}", disk / "filler"
    store = Store(url)
    trial, token = store.serve("listener", "rating", {}, {})
    fill(filler)
    saved, refused = [], 0
    for number in range(400):
        made = event(number, kind="comment", text=f"{number} " * 300)
        try:
            store.save(token, [made])
        except DiskFull:
            refused += 1
            if refused == ENOUGH:
                filler.unlink()
        else:
            saved.append(made.id)
    store.close()
    again = Store(url)
    kept = [one.id for one in again.events(trial.id)]
    assert kept == saved, f"{len(kept)} of {len(saved)} are there"
    sys.stdout.write(f"{refused} {len(saved)}\n")


if __name__ == "__main__":
    main()
