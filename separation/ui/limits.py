"""How much may be asked for in a minute. What is too much is refused for a while and said so; nothing is dropped or shadowed.

No address of a visitor is looked at: a lab of two hundred listeners behind one address is no attack.
"""

import math
import threading
from collections.abc import Callable

from separation.errors import RatingError


class TooFast(RatingError):
    """More than is taken in a minute; `wait` says for how many seconds."""

    def __init__(self, wait: float) -> None:
        self.wait = max(1, math.ceil(wait))
        found = "more was sent in the last minute than this page takes"
        super().__init__("Save a rating", found, f"Wait {self.wait} s; the page tries again by itself")


class Rate:
    """So many a minute of each key: a level that rises with what is taken and falls with time.

    Args:
        a_minute: how many.
        clock: seconds.
    """

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._most = a_minute
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, count: int) -> None:
        """Count what is asked for, or refuse it.

        Raises:
            TooFast: wait; nothing was counted.
        """
        now = self._clock()
        with self._lock:
            if len(self._levels) > 10_000:
                self._levels = {key: entry for key, entry in self._levels.items() if self._level(entry, now) > 0}
            level = self._level(self._levels.get(key, (0.0, now)), now)
            over = level + count - self._most
            if level > 0 and over > 0:
                raise TooFast(over * 60 / self._most)
            self._levels[key] = level + count, now

    def _level(self, entry: tuple[float, float], now: float) -> float:
        level, then = entry
        return max(0.0, level - (now - then) * self._most / 60)
