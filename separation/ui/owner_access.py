"""Who may see what people said: whoever has the owner's token. There are no accounts and no roles.

A browser sends the token once and gets a cookie: until when it is good, signed with the token. So it outlives a restart, ends
by itself, and is worth nothing once the token is changed. Scripts of a page cannot read it, and browsers do not send it with
requests that other sites cause. Programs send the token itself: ``Authorization: Bearer TOKEN``.

Wrong tokens are counted, for everybody together because no addresses are kept: past a few a minute all of them wait, and
only who is signed in already goes on. Comparisons take the same time however much is right.
"""

import hashlib
import hmac
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Any

from starlette.requests import Request

from separation.errors import SeparationError

COOKIE = "earshot-owner"
DAYS = 7
"""For which a browser stays signed in."""
GUESSES_A_MINUTE = 10
_ASKED = "Open the ratings"
_VALUE = re.compile(r"(\d{1,12})\.([0-9a-f]{64})")


class Locked(SeparationError):
    """This installation has no owner's token."""

    def __init__(self) -> None:
        super().__init__(_ASKED, "no token is set here", "Set EARSHOT_OWNER_TOKEN and start Earshot again")


class SignedOut(SeparationError):
    """Nobody said who asks, or the cookie has run out."""

    def __init__(self) -> None:
        super().__init__(_ASKED, "you are not signed in, or no longer", "Enter the owner's token")


class Wrong(SeparationError):
    """That is not the token."""

    def __init__(self) -> None:
        super().__init__(
            _ASKED, "this is not the token of this installation", "Look up EARSHOT_OWNER_TOKEN where it is set"
        )


class TooManyGuesses(SeparationError):
    """Too many wrong tokens in the last minute."""

    def __init__(self, wait: float) -> None:
        self.wait = max(1, ceil(wait))
        found = f"more than {GUESSES_A_MINUTE} wrong tokens were sent in the last minute"
        super().__init__(_ASKED, found, f"Wait {self.wait} s and enter it again")


class Access:
    """The one lock of the owner's routes.

    Args:
        token: of the owner; empty: nobody gets in.
        clock: seconds since 1970.
    """

    def __init__(self, token: str, *, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._clock = clock
        self._wrong: deque[float] = deque()
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._token)

    def require(self, request: Request) -> None:
        """Let a request in, or raise.

        Raises:
            Locked, SignedOut, Wrong, TooManyGuesses: why not.
        """
        if not self.open:
            raise Locked
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self.check(sent.strip())
        elif not self._is_good(request.cookies.get(COOKIE, "")):
            raise SignedOut

    def check(self, token: str) -> None:
        """Compare a token that was sent; wrong ones are counted.

        Raises:
            Locked, Wrong, TooManyGuesses: why not.
        """
        if not self.open:
            raise Locked
        with self._lock:  # one at a time, so that none slips past the count
            now = self._clock()
            while self._wrong and self._wrong[0] <= now - 60:
                self._wrong.popleft()
            if len(self._wrong) >= GUESSES_A_MINUTE:
                raise TooManyGuesses(self._wrong[0] + 60 - now)
            if not hmac.compare_digest(_digest(token), _digest(self._token)):
                self._wrong.append(now)
                raise Wrong

    def cookie(self, request: Request, path: str) -> dict[str, Any]:
        """The cookie for a browser that has sent the token, as arguments of `Response.set_cookie`."""
        until = int(self._clock()) + DAYS * 24 * 3600
        return {"value": f"{until}.{self._signed(until)}", "max_age": DAYS * 24 * 3600, **self.place(request, path)}

    def place(self, request: Request, path: str) -> dict[str, Any]:
        """Where the cookie lies: what is needed to delete it."""
        secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        return {"key": COOKIE, "path": path, "secure": secure, "httponly": True, "samesite": "strict"}

    def _is_good(self, value: str) -> bool:
        parts = _VALUE.fullmatch(value)
        if parts is None or int(parts[1]) <= self._clock():
            return False
        return hmac.compare_digest(parts[2], self._signed(int(parts[1])))

    def _signed(self, until: int) -> str:
        return hmac.new(_digest(self._token), f"{COOKIE} until {until}".encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    """Of one length, so that a comparison does not tell how long the token is."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
