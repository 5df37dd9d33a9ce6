"""One listener takes a study of every kind of question in a real browser: what the results hold is what was said."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from separation.listening.answers import Answer
from separation.listening.results import answers, checks
from separation.ui.listen_routes import listen_routes
from tests.listening.small_study import EVERY_KIND, ITEMS, PAGES, House, small_study

pytestmark = [pytest.mark.browser, pytest.mark.slow]

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
KINDS = ("consent", "demographics", "level", "headphones", "trials", "questionnaire", "end")
HEADPHONES = 650  # milliseconds of its tones; the study's own sounds last a tenth of a second
SOUND = 250


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    pages = tuple(page for page in PAGES if page.kind in KINDS)
    made = House(tmp_path, small_study(questions=EVERY_KIND, items=ITEMS[:1], pages=pages), listeners=2)
    yield made
    made.store.close()


@pytest.fixture
def address(house: House) -> Iterator[str]:
    app = Starlette(routes=listen_routes(house.listening, house.studies))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/listen/{house.study.name}"
        server.should_exit = True
        thread.join()


def listen(page: Any) -> None:
    """Hear every sound of the page; where it has sliders, the n-th gets its n-th step from below."""
    if not page.locator(".bar").count():
        return
    expect(page.locator(".play")).to_be_enabled()
    for button in page.locator(".sound").all() or [page.locator(".play")]:
        button.click()
        page.wait_for_timeout(HEADPHONES if page.locator(".sheet.headphones").count() else SOUND)
    for number, strip in enumerate(page.locator(".strip").all(), start=1):
        strip.locator(".sound").click()
        slider = strip.get_by_role("slider")
        slider.press("Home")
        for _ in range(number):
            slider.press("ArrowUp")


def answer(page: Any) -> None:
    """The first of all options, a tick, words, and the order as it is."""
    for group in page.get_by_role("radiogroup").all():
        group.get_by_role("radio").first.check()
    for box in page.locator(".field.check input").all():
        box.check()
    for words in page.locator("textarea").all():
        words.fill("words & <b>marks</b>, “quoted”")
    for number in page.get_by_label("Years of music").all():
        number.fill("12")
    for lying in page.locator(".fields .field.slider input").all():
        lying.fill("40")
    for keep in page.locator(".fine").all():
        keep.click()


def test_what_a_browser_says_of_every_kind_is_what_the_results_hold(browser: Any, house: House, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en")
    context.set_default_timeout(30_000)
    said: list[str] = []
    context.on("console", lambda one: said.append(one.text) if one.type in ("warning", "error") else None)
    context.on("weberror", lambda error: said.append(str(error.error)))
    page = context.new_page()
    page.goto(address)
    expect(page.locator("h1")).not_to_be_empty()
    while not page.locator(".completion").count():
        count = page.locator(".count").inner_text()
        listen(page)
        answer(page)
        page.locator(".next").click()
        expect(page.locator(".count")).not_to_have_text(count)
        expect(page.locator(".lacks")).to_be_hidden()
    expect(page.locator(".code")).to_have_text("CODE-OF-ALL-CODES")
    redirect = page.get_by_role("link", name="Back to where you came from")
    expect(redirect).to_have_attribute("href", "https://panel.example/done?cc=CODE-OF-ALL-CODES")
    assert not re.search("wavebox|maskoff|riverside|anchor", page.content())
    context.close()
    assert said == []

    sessions = house.studies.sessions
    rows = answers(house.study, house.opened.plan, sessions, house.store)
    assert {row.kind for row in rows} == {question.kind for question in EVERY_KIND}
    assert all(row.played > 0.09 for row in rows if row.condition)
    of: dict[str, list[Answer]] = {}
    for row in rows:
        of.setdefault(row.kind, []).append(row)
    assert [row.value for row in of["mushra"]] == [row.position + 1 for row in of["mushra"]]
    assert [row.value for row in of["bs1116"]] == pytest.approx([1 + 0.1 * (row.position + 1) for row in of["bs1116"]])
    assert [row.value for row in of["ranking"]] == [row.position + 1 for row in of["ranking"]]
    assert {row.value for kind in ("acr", "dcr", "p835") for row in of[kind]} == {5}
    assert [row.value for row in of["ab"]] == [1.0]
    assert [abs(row.value or 0) for row in of["ccr"]] == [3]
    assert {row.text for row in of["text"]} == {"words & <b>marks</b>, “quoted”"}
    assert {row.text for row in of["marks"]} == {"[]"}
    assert len(checks(house.study.name, sessions, house.store)) == 1
