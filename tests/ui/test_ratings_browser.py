"""The Ratings page in a real browser: signing in, finding, listening again, forgetting; and that hostile words stay words."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_trials import BLEED, bleeding_job, fill
from page_services import Services, running, services

from separation.ratings import Store
from separation.ratings.browse import Catalogue
from separation.ui.marked import MarkedSeconds

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
TOKEN = "the-token-of-the-owner"
REFUSED = re.compile(r"^Failed to load resource: the server responded with a status of (401|403)")
GONE = re.compile(r"^Failed to load resource: the server responded with a status of 404")
"""Of a sound that was asked for while it was deleted."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    folder = tmp_path_factory.mktemp("owner")
    made = services(folder, owner_token=TOKEN)
    now = [time.time()]
    store = Store(made.settings.database_url, clock=lambda: now[0])
    jobs = [bleeding_job(made.store, folder, number, 6, channels=1) for number in range(3)]
    fill(store, made.clips, jobs, 60, lambda seconds: now.__setitem__(0, seconds))
    store.close()
    return made


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")
        end = time.monotonic() + 90  # no thread may be at work in a library when the process ends
        while MarkedSeconds(given, Catalogue(given.ratings, given.clips)).coverage().waiting:
            assert time.monotonic() < end
            time.sleep(0.2)


@pytest.fixture
def visitor(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page of a new profile; at the end its console must be empty, but for what the test has caused."""
    contexts, said, allowed = [], [], [REFUSED]

    def visit(*, width: int = 1440, allow: re.Pattern[str] = REFUSED) -> Any:
        allowed.append(allow)
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(30_000)
        contexts.append(context)
        context.on("console", lambda one: said.append(one.text) if one.type in ("warning", "error") else None)
        context.on("weberror", lambda error: said.append(str(error.error)))
        return context.new_page()

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in said if not any(pattern.match(text) for pattern in allowed)] == []


def enter(page: Any, address: str, part: str = "") -> Any:
    """Signed in, at a part of the page."""
    page.goto(f"{address}/ratings{part}")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("link", name="Export")).to_be_visible()
    return page


def harmless(page: Any) -> None:
    """Nothing that people wrote was run or became an element."""
    assert "hacked" not in page.title()
    assert page.locator(".view img:not(.wave img), .view script").count() == 0


def test_the_token_opens_the_page_and_signing_out_closes_it(visitor: Callable[..., Any], address: str) -> None:
    home = visitor()
    home.goto(address)
    expect(home.get_by_role("link", name="Ratings")).to_have_attribute("href", "./ratings")
    home.close()
    page = visitor()
    page.goto(f"{address}/ratings")
    page.get_by_label("Token").fill("not-the-owner's-token")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_contain_text("not the token of this installation")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Open").click()
    expect(page.locator(".tiles")).to_contain_text("rated trials")
    page.reload()
    expect(page.locator(".tiles")).to_contain_text("54")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.locator(".tiles")).to_have_count(0)


def test_from_a_mark_to_the_sound_it_was_made_on(visitor: Callable[..., Any], address: str) -> None:
    page = enter(visitor(), address)
    page.locator(".bars").get_by_role("link", name="bleed").click()
    expect(page).to_have_url(re.compile("label=bleed"))
    page.get_by_label("With audio").check()
    expect(page.locator(".trials tbody tr").first).to_contain_text("bleed")
    harmless(page)
    page.locator(".trials tbody tr").first.get_by_role("link").click()
    player = page.locator("earshot-player")
    expect(player.locator(".track")).to_have_count(3)
    expect(player.locator("button.delete, .foot .group, .get").filter(visible=True)).to_have_count(0)
    expect(player.locator(".region").first).to_be_attached()
    page.locator(".marks li", has_text="bleed").get_by_role("button").click()
    page.wait_for_function("document.querySelector('earshot-player').debug.playing")
    start, end = page.evaluate("document.querySelector('earshot-player').selection")
    assert start < BLEED[1] and end > BLEED[0]
    harmless(page)
    page.get_by_role("link", name="← Trials").click()
    expect(page.get_by_label("With audio")).to_be_checked()


def test_the_list_follows_the_filter_and_keeps_the_field(visitor: Callable[..., Any], address: str) -> None:
    page = enter(visitor(), address, "#trials")
    heading = page.locator(".list h2")
    expect(heading).to_have_text("54 trials")
    search = page.get_by_label("Search")
    search.press_sequentially("hollow")
    expect(heading).not_to_have_text("54 trials")
    expect(search).to_be_focused()
    page.get_by_role("link", name="Show all").click()
    expect(heading).to_have_text("54 trials")
    page.get_by_label("Search").fill("no such word anywhere")
    expect(page.locator(".list")).to_contain_text("No trial fits")


def test_marks_are_measured_and_compared(visitor: Callable[..., Any], address: str) -> None:
    page = enter(visitor(), address, "#marks")
    verdict = page.locator(".verdicts li", has_text="Bleed").or_(page.locator(".verdicts li", has_text="bleed"))
    button = page.get_by_role("button", name="Measure now")
    expect(verdict.or_(button).first).to_be_visible()
    if button.is_visible():
        button.click()
    expect(verdict).to_contain_text("SIR is", timeout=90_000)
    page.get_by_role("link", name="Models").last.click()
    expect(page.locator(".ranking").first).to_contain_text("<script>alert(1)</script>")
    harmless(page)


def test_an_export_is_downloaded(visitor: Callable[..., Any], address: str) -> None:
    page = enter(visitor(), address, "#export")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert download.value.suggested_filename.endswith(".zip") and Path(download.value.path()).stat().st_size > 1000
    expect(page.locator(".notice")).to_contain_text("ratings")


def test_a_listener_is_forgotten_after_a_question(visitor: Callable[..., Any], address: str, given: Services) -> None:
    page = enter(visitor(allow=GONE), address, "#trials?empty=1")
    page.locator(".trials tbody tr").last.get_by_role("link").click()
    listener = page.locator(".view code").first.inner_text()
    page.get_by_role("button", name="Forget this listener…").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    assert list(given.ratings.trials(listener=listener))
    page.get_by_role("button", name="Forget this listener…").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(page.get_by_role("heading", name="Forgotten")).to_be_visible()
    assert not list(given.ratings.trials(listener=listener))


def test_one_trial_is_deleted_after_a_question(visitor: Callable[..., Any], address: str, given: Services) -> None:
    page = enter(visitor(allow=GONE), address, "#trials")
    page.locator(".trials .name a").first.click()
    name = page.get_by_role("button", name="Delete this trial…")
    name.click()
    trial = page.url.split("id=")[1]
    expect(page.get_by_role("dialog").get_by_role("button", name="Keep")).to_be_focused()
    page.keyboard.press("Escape")
    expect(name).to_be_focused()
    assert trial in {one.id for one in given.ratings.trials()}
    before = given.ratings.count()
    name.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Deleted")).to_be_focused()
    assert trial not in {one.id for one in given.ratings.trials()}
    assert given.ratings.count()["trials"] == before["trials"] - 1


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(visitor: Callable[..., Any], address: str, width: int) -> None:
    page = enter(visitor(width=width), address)
    for part in ("overview", "trials", "models", "marks", "export"):
        page.goto(f"{address}/ratings#{part}")
        expect(page.locator(".tabs [aria-current]")).to_have_attribute("href", f"#{part}")
        expect(page.locator(".view .card").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, part
