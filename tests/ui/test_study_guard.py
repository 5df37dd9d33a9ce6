"""While a listening test is open, what names models is for the owner only."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from separation.ui.owner_access import Access
from separation.ui.study_guard import TELLING, StudyGuard

TOKEN = "a-token-of-the-owner"


def client(*, studying: bool, token: str = TOKEN) -> TestClient:
    async def everything(request: Request) -> Response:
        return PlainTextResponse("vocals, speech")

    guard = Middleware(StudyGuard, studying=lambda: studying, access=Access(token))
    app = Starlette(middleware=[guard])
    app.add_route("/{path:path}", everything)
    return TestClient(app)


@pytest.mark.parametrize("address", [*TELLING, *(f"/prefix{each}/" for each in TELLING)])
def test_descriptions_are_for_the_owner_while_a_test_is_open(address: str) -> None:
    assert client(studying=False).get(address).text == "vocals, speech"
    refused = client(studying=True).get(address)
    assert refused.status_code == 401 and "vocals" not in refused.text
    assert "a listening test is open" in refused.json()["found"]
    for sent, status in ((TOKEN, 200), ("wrong-token-entirely", 401)):
        answer = client(studying=True).get(address, headers={"Authorization": f"Bearer {sent}"})
        assert answer.status_code == status


def test_without_a_token_nobody_is_let_in() -> None:
    assert client(studying=True, token="").get("/config", headers={"Authorization": "Bearer "}).status_code == 401


@pytest.mark.parametrize("address", ["/", "/models", "/earshot/static/player.js", "/configure"])
def test_everything_else_goes_on(address: str) -> None:
    assert client(studying=True).get(address).text == "vocals, speech"
