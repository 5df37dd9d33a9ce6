"""The owner's lock: tokens, cookies, guesses."""

from typing import Any

import pytest
from starlette.requests import Request

from separation.ui.owner_access import (
    COOKIE,
    DAYS,
    GUESSES_A_MINUTE,
    Access,
    Locked,
    SignedOut,
    TooManyGuesses,
    Wrong,
)

TOKEN = "the-token-of-the-owner"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> Access:
    return Access(TOKEN, clock=clock)


def request(*, scheme: str = "http", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "scheme": scheme, "path": "/", "query_string": b""}
    return Request({**scope, "headers": raw, "server": ("localhost", 80)})


def signed_in(access: Access) -> Request:
    return request(cookie=f"{COOKIE}={access.cookie(request(), '/')['value']}")


def test_the_token_opens_as_a_header_and_as_a_cookie(access: Access) -> None:
    access.require(request(authorization=f"Bearer {TOKEN}"))
    access.require(request(authorization=f"bearer {TOKEN}"))
    access.require(signed_in(access))


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, SignedOut),
        ({"cookie": f"{COOKIE}="}, SignedOut),
        ({"cookie": f"{COOKIE}={TOKEN}"}, SignedOut),
        ({"cookie": f"{COOKIE}=1900000000.{'0' * 64}"}, SignedOut),
        ({"cookie": f"{COOKIE}=19000000000000000000.{'a' * 64}"}, SignedOut),
        ({"authorization": f"Basic {TOKEN}"}, SignedOut),
        ({"authorization": TOKEN}, SignedOut),
        ({"authorization": "Bearer"}, Wrong),
        ({"authorization": f"Bearer {TOKEN}x"}, Wrong),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, Wrong),
        ({"authorization": "Bearer \xfc"}, Wrong),
    ],
)
def test_nothing_else_does(access: Access, headers: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        access.require(request(**headers))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer "}, {"cookie": f"{COOKIE}=1900000000.{'0' * 64}"}])
def test_without_a_token_nothing_opens(headers: dict[str, str]) -> None:
    nobody = Access("")
    assert not nobody.open
    with pytest.raises(Locked, match="Set EARSHOT_OWNER_TOKEN"):
        nobody.require(request(**headers))
    with pytest.raises(Locked):
        nobody.check("")


def test_a_cookie_ends_by_itself_and_cannot_be_made_longer(access: Access, clock: Clock) -> None:
    value = access.cookie(request(), "/")["value"]
    until, signature = value.split(".")
    longer = request(cookie=f"{COOKIE}={int(until) + 1}.{signature}")
    clock.now += DAYS * 86400 - 1
    access.require(request(cookie=f"{COOKIE}={value}"))
    clock.now += 1
    for late in (request(cookie=f"{COOKIE}={value}"), longer):
        with pytest.raises(SignedOut):
            access.require(late)


def test_a_cookie_outlives_a_restart_but_not_the_token(access: Access, clock: Clock) -> None:
    Access(TOKEN, clock=clock).require(signed_in(access))
    with pytest.raises(SignedOut):
        Access("another-token-of-the-owner", clock=clock).require(signed_in(access))


def test_scripts_and_other_sites_do_not_get_the_cookie(access: Access) -> None:
    plain, safe = access.cookie(request(), "/a"), access.cookie(request(x_forwarded_proto="https"), "/a")
    assert plain["httponly"] and plain["samesite"] == "strict" and plain["path"] == "/a" and not plain["secure"]
    assert safe["secure"] and access.cookie(request(scheme="https"), "/a")["secure"]
    assert TOKEN not in plain["value"]


def test_guesses_are_few_and_who_is_signed_in_goes_on(access: Access, clock: Clock) -> None:
    inside = signed_in(access)
    for guess in range(GUESSES_A_MINUTE):
        clock.now += 1
        with pytest.raises(Wrong):
            access.check(f"guess number {guess}")
    with pytest.raises(TooManyGuesses) as refused:
        access.check(TOKEN)
    assert 1 <= refused.value.wait <= 60, "the right one waits, too: else the limit would tell which it is"
    access.require(inside)
    clock.now += refused.value.wait
    access.check(TOKEN)
