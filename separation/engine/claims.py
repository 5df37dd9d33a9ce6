"""Who runs a job when several processes share a data folder: whoever holds its lock.

The locks are the operating system's, so that a process that dies leaves none behind: another one with the same folder
takes over what was unfinished, and no job ever runs twice. Where the file system has no locks (some network drives)
there is a warning in the log, and only one process may use the folder.
"""

import contextlib
import logging
import threading
from pathlib import Path

from filelock import FileLock, Timeout

_log = logging.getLogger(__name__)


class Claims:
    """The locks that this process holds, one a job.

    Args:
        folder: where the lock files are; made when it is needed.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> ours, theirs = Claims(folder), Claims(folder)
    >>> ours.take("job"), ours.take("job"), theirs.take("job")
    (True, False, False)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}
        self._mutex = threading.Lock()

    def take(self, job_id: str) -> bool:
        """Claim a job; False if it is taken, by us or by another process."""
        with self._mutex:
            if job_id in self._held:
                return False
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / job_id, timeout=0, thread_local=False)  # another thread gives it back
            try:
                lock.acquire()
            except Timeout:
                return False
            except OSError as error:
                _log.warning("No locks in %s (%s): use this data folder with one Earshot only", self._folder, error)
            self._held[job_id] = lock
            return True

    def give_back(self, job_id: str) -> None:
        """Let go of a job, if it is ours."""
        with self._mutex:
            lock = self._held.pop(job_id, None)
            if lock is None:
                return
            with contextlib.suppress(OSError):  # Windows keeps a file that is open; the next claim uses it again
                (self._folder / job_id).unlink(missing_ok=True)
            lock.release()

    def give_all_back(self) -> None:
        for job_id in list(self._held):
            self.give_back(job_id)
