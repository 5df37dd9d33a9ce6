"""What visitors do, in a real browser, from the first press to the reload. Models are small fakes; everything else is real."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from page_services import RATE, Services, noise, running, services

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
UPLOADING = "Method not implemented."
"""Gradio's own client says this on every upload."""
GONE = "Failed to load resource: the server responded with a status of 404 (Not Found)"
"""Chromium says this of any address that answers 404, also where that is the news that was asked for."""


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
    return player(page).locator(f"li[data-track='{name}']")


def player(page: Any) -> Any:
    return page.locator(".earshot-result earshot-player")


def recording(page: Any) -> Any:
    """The player of what is chosen, with its waveform there."""
    found = page.locator(".earshot-recording earshot-player")
    expect(found.locator("li[data-track=mixture]")).to_be_visible()
    return found


def drag(page: Any, begin: float, end: float) -> None:
    """Select a part of the chosen recording; both as parts (0 to 1) of its length."""
    box = recording(page).locator("li[data-track=mixture] .lane").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + begin * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=5)
    page.mouse.up()


def to(page: Any, name: str, *, backwards: bool = False) -> None:
    """Press Tab until the focus is on the control of this name."""
    code = """() => {
        let one = document.activeElement;
        while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
        return one ? one.ariaLabel || one.labels?.[0]?.innerText || one.innerText || "" : "";
    }"""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        if page.evaluate(code).strip().startswith(name):
            return
    raise AssertionError(f"the Tab key never comes to {name}")


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
    expect(player(page).get_by_role("button", name="Loop the selection")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("document.querySelector('.earshot-result earshot-player').cursor > 1.2")
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
    expect(recording(page).locator(".ahead")).to_be_visible()
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


def test_keyboard_only_from_the_example_to_the_download(visit: Callable[..., Any], given: Services) -> None:
    """No mouse at all: choose, listen, select, separate, play, solo, loop, and open a download."""
    page = ready(visit())
    page.mouse.move = page.mouse.down = page.mouse.click = None
    to(page, "A talk")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    page.keyboard.press("Enter")
    expect(page.locator(".earshot-chosen")).to_contain_text("A talk0:30")
    expect(page.get_by_role("radio", name="Two <speakers>")).to_be_checked()
    before = recording(page)
    to(page, "Play")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.earshot-recording earshot-player').debug.sounding")
    page.keyboard.press("Enter")
    to(page, "From")
    page.keyboard.type("2")
    to(page, "to")
    page.keyboard.type("0:06.5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="Only the selection")).to_be_checked()
    assert before.evaluate("p => p.selection") == [2, 6.5]
    expect(page.locator("#earshot-estimate")).to_contain_text("for 0:02 to 0:06")
    to(page, "Separate")
    page.keyboard.press("Enter")
    expect(track(page, "speaker 1")).to_be_visible()
    result = "document.querySelector('.earshot-result earshot-player')"
    page.keyboard.press("Space")
    page.wait_for_function(f"{result}.debug.sounding"), "the focus has gone to the result"
    assert not before.evaluate("p => p.debug.playing")
    page.keyboard.press("2")
    expect(page.get_by_role("button", name="Solo speaker 1", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")  # past the end of 4.5 s: the start of the next round is the end
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("o")
    page.keyboard.press("l")
    expect(player(page).get_by_role("button", name="Loop the selection")).to_have_attribute("aria-pressed", "true")
    to(page, "Download speaker 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="WAV, 16 bit")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="WAV, 24 bit")).to_be_focused()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "A talk - speaker 1.wav"
    job = given.store.get(str(page.evaluate("new URLSearchParams(location.search).get('job')")))
    assert (job.request.offset, job.request.duration) == (2.0, 4.5)


def test_the_recording_is_seen_and_heard_before_anything_is_separated(visit: Callable[..., Any]) -> None:
    page = ready(visit())
    height = page.locator(".earshot-steps").bounding_box()["height"]
    before = recording(page)
    assert before.evaluate("p => p.bounds") == [0, 6]
    page.wait_for_function(
        """() => { const canvas = document.querySelector('earshot-player').shadowRoot.querySelector('li canvas');
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, i) => i % 4 === 3 && value).length > 2000; }"""
    )
    before.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("document.querySelector('earshot-player').cursor > 0.3")
    assert abs(page.locator(".earshot-steps").bounding_box()["height"] - height) < 1
    page.get_by_role("button", name=re.compile("A talk")).click()
    page.wait_for_function("document.querySelector('earshot-player').bounds?.[1] === 30")
    assert abs(page.locator(".earshot-steps").bounding_box()["height"] - height) < 1, "nothing jumps"
    assert not before.evaluate("p => p.debug.playing"), "the recording before is not heard any more"
    expect(before.locator(".ahead")).to_be_visible()


def test_a_dragged_selection_is_separated_alone_or_looped_in_everything(
    visit: Callable[..., Any], given: Services
) -> None:
    page = ready(visit())
    only = page.get_by_role("radio", name="Only the selection")
    expect(only).to_be_disabled()
    drag(page, 0.25, 0.75)
    expect(only).to_be_checked()
    expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("for 0:0[12] to 0:0[45]"))
    request = given.store.get(separate(page)).request
    assert (request.offset, request.duration) == pytest.approx((1.5, 3.0), abs=0.05)
    expect(track(page, "vocals")).to_be_visible()
    whole = "(p) => [p.bounds[0], p.bounds[1], p.selection]"
    begin, end, selection = player(page).evaluate(whole)
    assert [begin, end] == pytest.approx([1.5, 4.5], abs=0.05) and selection is None, "all of it is no selection"

    page.get_by_role("radio", name="Everything").check()
    expect(page.locator("#earshot-estimate")).not_to_contain_text("for 0:0")
    request = given.store.get(separate_again(page)).request
    assert (request.offset, request.duration) == (None, None)
    page.wait_for_function("document.querySelector('.earshot-result earshot-player').bounds?.[1] === 6")
    assert player(page).evaluate("(p) => p.selection") == pytest.approx([1.5, 4.5], abs=0.05)
    page.get_by_role("button", name="Clear the selection").click()
    expect(only).to_be_disabled()
    expect(page.get_by_role("radio", name="Everything")).to_be_checked()


def separate_again(page: Any) -> str:
    """Press the button on a page that shows a job already; returns the new one's id."""
    before = page.evaluate("new URLSearchParams(location.search).get('job')")
    page.get_by_role("button", name="Separate", exact=True).click()
    page.wait_for_function("(before) => new URLSearchParams(location.search).get('job') !== before", arg=before)
    return str(page.evaluate("new URLSearchParams(location.search).get('job')"))


def test_a_time_that_is_none_is_explained(visit: Callable[..., Any]) -> None:
    page = ready(visit())
    recording(page)
    begin, end = page.get_by_role("textbox", name="From"), page.get_by_role("textbox", name="to", exact=True)
    for text, words in (("soon", "Type a time"), ("9", "Choose a start before the end"), ("1:2:3:4", "Type a time")):
        begin.fill(text)
        begin.press("Enter")
        expect(page.locator(".earshot-tip")).to_contain_text(words)
        expect(begin).to_have_attribute("aria-invalid", "true")
    begin.fill("")
    end.fill("2,5")
    end.press("Enter")
    expect(begin).to_have_value("0:00.00")
    expect(end).to_have_value("0:02.50")
    expect(page.locator(".earshot-tip")).to_contain_text("Drag over")


def test_separating_does_not_wait_for_the_waveform(visit: Callable[..., Any], given: Services, tmp_path: Path) -> None:
    page = ready(visit())
    recording(page)
    slots = given.store.drafts._slots
    with slots, slots:  # nothing can be read now
        page.locator("#earshot-file input[type=file]").set_input_files(noise(tmp_path / "slow.mp3", 30.0))
        expect(page.locator(".earshot-chosen")).to_contain_text("slow.mp3")
        expect(page.locator(".earshot-recording")).to_contain_text("Reading your file")
        page.get_by_role("textbox", name="to", exact=True).fill("4")
        page.get_by_role("textbox", name="to", exact=True).press("Enter")
        expect(page.get_by_role("radio", name="Only the selection")).to_be_checked()
        request = given.store.get(separate(page)).request
        expect(track(page, "vocals")).to_be_visible()
    assert (request.name, request.offset, request.duration) == ("slow.mp3", None, 4.0)
    assert recording(page).evaluate("(p) => p.selection") == [0, 4], "and then the waveform is there"


def test_a_damaged_file_says_so_and_nothing_is_lost(visit: Callable[..., Any], tmp_path: Path) -> None:
    sound = np.zeros((4 * RATE, 1), np.float32)
    sound[3 * RATE] = np.nan
    sf.write(tmp_path / "damaged.wav", sound, RATE, "FLOAT")
    page = ready(visit())
    recording(page)
    page.locator("#earshot-file input[type=file]").set_input_files(tmp_path / "damaged.wav")
    alert = page.locator(".earshot-recording").get_by_role("alert")
    for words in ("damaged.wav", "3.000 s in channel 1 is NaN", "select a part without it"):
        expect(alert).to_contain_text(words)
    page.get_by_role("textbox", name="to", exact=True).fill("2")
    page.get_by_role("textbox", name="to", exact=True).press("Enter")
    separate(page)
    expect(track(page, "vocals")).to_be_visible()
    page.get_by_role("button", name=re.compile("A swell")).click()
    recording(page)


def test_nothing_chosen_is_said(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = ready(visit(allow=GONE))  # the player may just be asking for what is deleted
    page.locator("#earshot-file input[type=file]").set_input_files(noise(tmp_path / "mine.wav", 2.0))
    expect(page.locator(".earshot-chosen")).to_contain_text("mine.wav")
    recording(page)
    page.get_by_role("button", name=re.compile("Clear|Remove", re.I)).first.click()
    expect(page.locator(".earshot-chosen")).to_contain_text("Nothing is chosen yet")
    expect(page.locator(".earshot-recording")).to_contain_text("Choose a recording: its waveform will be here.")
    page.get_by_role("button", name="Separate", exact=True).click()
    toast = page.locator(".earshot-toast")
    expect(toast).to_contain_text("No recording is chosen")
    expect(toast).to_contain_text("Choose an example, a file, or record something")


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


def test_deleting_takes_the_chosen_upload_along(visit: Callable[..., Any], given: Services, tmp_path: Path) -> None:
    page = ready(visit(allow=GONE))
    page.locator("#earshot-file input[type=file]").set_input_files(noise(tmp_path / "mine.wav", 2.0))
    expect(page.locator(".earshot-chosen")).to_contain_text("mine.wav")
    page.wait_for_function("document.querySelector('earshot-player').bounds?.[1] === 2")
    draft = given.store.drafts.get(page.locator(".earshot-recording earshot-player").get_attribute("draft"))
    separate(page)
    expect(track(page, "vocals")).to_be_visible()
    player(page).get_by_role("button", name=re.compile("^Delete")).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".earshot-recording").get_by_role("alert")).to_contain_text("not here any more")
    assert not draft.folder.exists()
    page.get_by_role("button", name="Separate", exact=True).click()
    expect(page.locator(".earshot-toast")).to_contain_text("The upload is gone")
    page.get_by_role("button", name=re.compile("A swell")).click()
    recording(page)


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
    look = page.locator(".look")
    expect(look.get_by_role("heading", name="From the Hub")).to_be_visible()
    look.get_by_role("button", name="Fetch 12.3 MB").click()
    look.get_by_role("link", name="Use it").click()
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
