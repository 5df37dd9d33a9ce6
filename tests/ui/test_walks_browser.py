"""What visitors do, in a real browser, from the first press to the reload. Models are small fakes; everything else is real."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import ARGUMENTS, CHROMIUM, MICROPHONE
from page_services import Services, noise, running, services

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
UPLOADING = "Method not implemented."
"""Gradio's own client says this on every upload."""
GONE = "Failed to load resource: the server responded with a status of 404 (Not Found)"
"""Chromium says this of any address that answers 404, also where that is the news that was asked for."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: install the package `chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *MICROPHONE])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("walks"))


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; at the end the console must be empty."""
    contexts, said, asked, allowed = [], [], [], [UPLOADING]

    def visitor(path: str = "/", *, width: int = 1440, allow: str = "") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, permissions=["microphone"])
        context.set_default_timeout(20_000)
        contexts.append(context)
        allowed.append(allow)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}{path}")
        return page

    yield visitor
    for context in contexts:
        context.close()
    assert [text for text in said if text not in allowed] == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == [], "nothing from elsewhere"


def ready(page: Any) -> Any:
    expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"))
    return page


def separate(page: Any) -> str:
    """Press the button; returns the job's id once the address has it."""
    page.get_by_role("button", name="Separate", exact=True).click()
    page.wait_for_function("new URLSearchParams(location.search).get('job')")
    return str(page.evaluate("new URLSearchParams(location.search).get('job')"))


def track(page: Any, name: str) -> Any:
    return page.locator(f"earshot-player li[data-track='{name}']")


def player(page: Any) -> Any:
    return page.locator("earshot-player")


def test_example_separate_solo_loop_reload_still_there(visit: Callable[..., Any], given: Services) -> None:
    page = ready(visit())
    expect(page.get_by_role("button", name=re.compile("A swell"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".earshot-result")).to_be_hidden()
    job = separate(page)
    for name in ("mixture", "vocals", "accompaniment", "residual", "reference-part"):
        expect(track(page, name)).to_be_visible()
    solo = page.get_by_role("button", name="Solo vocals", exact=True)
    solo.click()
    expect(solo).to_have_attribute("aria-pressed", "true")
    player(page).evaluate("element => element.loop(1, 3)")
    expect(page.get_by_role("button", name="Loop the selection")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("document.querySelector('earshot-player').cursor > 1.2")
    assert 1 <= player(page).evaluate("element => element.cursor") <= 3.05
    page.reload()
    expect(track(page, "vocals")).to_be_visible()
    assert page.evaluate("new URLSearchParams(location.search).get('job')") == job
    assert given.store.get(job).request.name == "A swell"
    expect(page.get_by_label("Link to this separation")).to_have_value(re.compile(f"job={job}$"))
    expect(page.get_by_label("My earlier separations").get_by_role("link", name="A swell")).to_be_visible()


def test_upload_cancel_and_again(visit: Callable[..., Any], given: Services, tmp_path: Path) -> None:
    page = ready(visit())
    page.locator("#earshot-file input[type=file]").set_input_files(noise(tmp_path / "my song.wav", 40.0))
    expect(page.locator(".earshot-chosen")).to_contain_text("my song.wav0:40 · 16 kHz · mono")
    expect(page.get_by_role("button", name=re.compile("A swell"))).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#earshot-preview")).to_be_visible()
    model = given.hub.load("vocals")
    model.gate.clear()  # type: ignore[attr-defined]
    try:
        job = given.store.get(separate(page))
        page.get_by_role("button", name="Cancel").click()
    finally:
        model.gate.set()  # type: ignore[attr-defined]
    expect(player(page)).to_contain_text(re.compile("cancel|stopped", re.I))
    page.wait_for_function(
        f"fetch('earshot/jobs/{job.id}').then(r => r.json()).then(j => j.state.status === 'cancelled')"
    )
    expect(page.locator(".earshot-chosen")).to_contain_text("my song.wav"), "nothing is lost"
    separate(page)
    expect(track(page, "accompaniment")).to_be_visible()


def test_a_bad_file_is_explained_and_the_page_goes_on(visit: Callable[..., Any], tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"this is no music" * 100)
    page = ready(visit())
    page.locator("#earshot-file input[type=file]").set_input_files(bad)
    toast = page.locator(".earshot-toast")
    expect(toast.locator("b")).to_have_text("Read bad.mp3.")
    expect(toast).to_contain_text("cannot be read as audio")
    expect(toast).to_contain_text("Convert it to WAV")
    expect(page.locator("#earshot-file")).not_to_contain_text("bad")
    page.get_by_label("Close").click()
    expect(page.locator(".earshot-chosen")).to_contain_text("A swell")
    separate(page)
    expect(track(page, "vocals")).to_be_visible()


def test_the_microphone_is_separated(visit: Callable[..., Any]) -> None:
    page = ready(visit())
    page.get_by_role("tab", name="Microphone").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".earshot-chosen")).to_contain_text("Microphone recording0:0")
    separate(page)
    expect(track(page, "vocals")).to_be_visible()


def test_keyboard_only(visit: Callable[..., Any]) -> None:
    page = ready(visit())

    def to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText ?? ''").startswith(name):
                return
        raise AssertionError(f"the Tab key never comes to {name}")

    to("A talk")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    page.keyboard.press("Enter")
    expect(page.locator(".earshot-chosen")).to_contain_text("A talk0:30")
    expect(page.get_by_role("radio", name="Two <speakers>")).to_be_checked()
    to("Separate")
    page.keyboard.press("Enter")
    expect(track(page, "speaker 1")).to_be_visible()


def test_karaoke_and_only_what_is_ticked(visit: Callable[..., Any]) -> None:
    page = ready(visit())
    page.get_by_role("button", name="Karaoke").click()
    expect(page.get_by_role("checkbox", name="Vocals")).not_to_be_checked()
    separate(page)
    expect(track(page, "accompaniment")).to_be_visible()
    expect(track(page, "vocals")).to_have_count(0)


def test_deleting_forgets_it_everywhere(visit: Callable[..., Any], given: Services) -> None:
    page = ready(visit(allow=GONE))
    job = given.store.get(separate(page))
    expect(track(page, "vocals")).to_be_visible()
    player(page).get_by_role("button", name=re.compile("^Delete")).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_function("!location.search.includes('job=')")
    assert not job.folder.exists()
    expect(page.locator(".earshot-earlier")).to_be_hidden()
    expect(page.locator(".earshot-share")).to_be_hidden()


def test_visitors_see_only_their_own_and_links_are_shared(visit: Callable[..., Any]) -> None:
    page = ready(visit())
    job = separate(page)
    other = ready(visit())
    expect(other.locator(".earshot-earlier")).to_be_hidden()
    shared = visit(f"/?job={job}")
    expect(track(shared, "vocals")).to_be_visible()
    expect(shared.locator(".earshot-earlier")).to_be_hidden()


def test_models_page_to_separate(visit: Callable[..., Any]) -> None:
    page = visit("/models")
    expect(page.get_by_role("heading", name="Voice & music")).to_be_visible()
    page.get_by_label("Repository").fill("someone/model")
    page.get_by_role("button", name="Show its card").click()
    card = page.locator("article", has_text="From the Hub")
    expect(card).to_contain_text("12.3 MB")
    card.get_by_role("link", name="Use it").click()
    expect(page.get_by_role("radio", name="someone/model")).to_be_checked()
    expect(page.get_by_role("checkbox", name="One")).to_be_checked()


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_window(visit: Callable[..., Any], width: int) -> None:
    page = ready(visit(width=width))
    separate(page)
    expect(track(page, "residual")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, select, a")]
        .filter((one) => one.offsetParent && !one.closest("[aria-hidden=true]"))
        .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.title))
        .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert unnamed == [], "every control has a name"
