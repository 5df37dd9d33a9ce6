"""The Compare page in a real browser: hearing, voting, names, the next pair, a reload, and no barrier for a screen reader."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from compare_services import NAMES, compare_services, recording
from page_services import Services, running

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return compare_services(tmp_path_factory.mktemp("compare"))


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def visitor(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page of a new profile; at the end its console must be empty."""
    contexts, said = [], []

    def visit(*, width: int = 1440, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(30_000)
        contexts.append(context)
        context.on("console", lambda one: said.append(one.text) if one.type in ("warning", "error") else None)
        context.on("weberror", lambda error: said.append(str(error.error)))
        return context.new_page()

    yield visit
    for context in contexts:
        context.close()
    assert said == []


def hear_both(page: Any) -> None:
    """By the keyboard alone, until a vote may be cast."""
    expect(page.get_by_role("region", name="Listen")).to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name=re.compile("^A, playing"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".vote")).to_contain_text("of B first")
    page.keyboard.press("b")
    expect(page.get_by_role("button", name=re.compile("^B, playing"))).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Choose an answer.")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def names_on(page: Any) -> list[str]:
    """Names of systems anywhere in the page, but for the one that is a stem's, too."""
    return [name for name in NAMES if name != "vocals" and name in page.content().lower()]


def test_a_pair_from_the_first_sound_to_the_names(visitor: Callable[..., Any], address: str) -> None:
    page = visitor()
    page.goto(f"{address}/compare")
    expect(page.get_by_role("link", name="Compare", exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("button", name="A swell").click()
    hear_both(page)
    assert names_on(page) == []
    page.get_by_role("radio", name="B is better").check(force=True)
    page.get_by_text("Say why").click()
    reason = page.get_by_role("group", name=re.compile("^Vocals: which one has fewer artefacts"))
    reason.get_by_role("radio", name="alike").check(force=True)
    page.get_by_text("Mark what you hear").click()
    page.get_by_role("button", name="Mark this place").click()
    expect(page.locator(".marks li")).to_contain_text("B, vocals: bleed")
    page.reload()  # what was said is still there
    expect(page.get_by_role("radio", name="B is better")).to_be_checked()
    expect(page.locator(".marks li")).to_contain_text("B, vocals: bleed")
    page.get_by_role("button", name="Cast the vote and see the names").click()
    revealed = page.get_by_role("region", name="The names")
    expect(revealed).to_contain_text("You preferred B")
    assert len(names_on(page)) >= 1
    expect(page.locator(".board")).to_contain_text("1 vote of 1 listener")
    first = page.url
    page.get_by_role("button", name="Next pair").click()
    expect(page.get_by_role("heading", name="Which one is better?")).to_be_visible()
    assert page.url != first


def test_a_recording_of_ones_own_on_a_phone(
    visitor: Callable[..., Any], address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = visitor(width=390, scheme="dark")
    page.goto(f"{address}/compare")
    page.get_by_label("Choose a recording").set_input_files(recording(tmp_path_factory.mktemp("mine"), 4.0))
    expect(page.get_by_role("heading", name="mine.wav")).to_be_visible()
    hear_both(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("radio", name="Both are bad").check(force=True)
    page.get_by_role("button", name="Cast the vote and see the names").click()
    expect(page.get_by_role("region", name="The names")).to_contain_text("You found both bad")
    page.get_by_role("button", name="Withdraw this vote").click()
    expect(page.get_by_role("button", name="Hear a pair")).to_be_visible()
    assert "bout" not in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_a_screen_reader(visitor: Callable[..., Any], address: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visitor(scheme=scheme)
    page.goto(f"{address}/compare")
    expect(page.get_by_role("button", name="Hear a pair")).to_be_visible()
    expect(page.locator(".board")).to_be_visible()
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    page.get_by_role("button", name="A swell").click()
    expect(page.get_by_role("heading", name="Which one is better?")).to_be_visible()
    page.get_by_text("Say why").click()
    found += axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:2]) for one in found] == []
