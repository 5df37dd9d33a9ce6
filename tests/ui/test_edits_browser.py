"""The view *Edit* on the real page: turn a slider, hear it as B, compare, undo; and what it says when it cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import pytest
from fakes import MaskedSTFT
from page_services import RATE, Halves, noise, running, services

from separation.engine.jobs import Request
from separation.ratings import Stored, Trial
from separation.ratings.records import Answer, Heard, Mark
from separation.ui.frame import Services

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PLAYER = "document.querySelector('.earshot-result earshot-player')"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    made = services(tmp_path_factory.mktemp("edits"))
    made.hub.separators["vocals"] = MaskedSTFT(("vocals", "accompaniment"), sample_rate=RATE)  # type: ignore[attr-defined]
    return made


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as address:
        yield address


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def separated(given: Services, folder: Path, *, model: str = "vocals", known: bool = True) -> str:
    """The id of a separation of twenty seconds."""
    parts = {name: noise(folder / f"{name}.wav", 20.0) for name in ("vocals", "accompaniment")}
    job = given.store.create(parts["vocals"], Request(model, "song.wav"), references=parts if known else {})
    given.workers.submit(job)
    return job.id


def open_view(page: Any, address: str, job: str) -> Any:
    page.goto(f"{address}?job={job}")
    page.locator(".earshot-result li[data-track=mixture]").wait_for()
    page.get_by_role("button", name="Edit", exact=True).click()
    view = page.locator("earshot-view-edits")
    view.get_by_text("What am").or_(view.get_by_role("heading", name="Edit", exact=True)).first.wait_for()
    return view


def turn(view: Any, name: str, value: float) -> None:
    """Move a slider as the arrow keys would."""
    slider = view.get_by_label(name, exact=True)
    expect(slider).to_be_visible()  # not before the view knows the separation
    slider.evaluate("(e, value) => { e.value = value; e.dispatchEvent(new Event('input', { bubbles: true })); }", value)


def wait_until(page: Any, condition: str) -> None:
    page.wait_for_function(f"() => {{ const p = {PLAYER}; return {condition}; }}")


def test_threshold_hear_compare_undo(page: Any, address: str, given: Services, tmp_path: Path) -> None:
    view = open_view(page, address, separated(given, tmp_path))
    hear = view.get_by_role("button", name="Hear it")
    expect(view.get_by_text("The next edit is of 0:00.0 – 0:15.0: around the cursor")).to_be_visible()
    expect(hear).to_be_disabled()
    page.evaluate(f"{PLAYER}.select([4, 8])")
    expect(view.get_by_text("0:04.0 – 0:08.0: your selection")).to_be_visible()
    page.evaluate(f"({PLAYER}.seek(5), {PLAYER}.play())")
    turn(view, "Threshold", 48)
    expect(view.get_by_text("more than 12 dB below the strongest")).to_be_visible()
    hear.click()
    wait_until(page, "p.side === 'B'")
    assert page.evaluate(f"{PLAYER}.part") == [4, 8]
    side_b = view.get_by_role("button", name="B edited")
    expect(side_b).to_have_attribute("aria-pressed", "true")
    expect(view.get_by_text("dB SI-SDR")).to_have_count(2)
    expect(view.get_by_role("button", name="threshold 12 dB")).to_have_attribute("aria-current", "true")
    view.get_by_role("button", name="A original").click()
    wait_until(page, "p.side === 'A'")
    side_b.click()
    wait_until(page, "p.side === 'B'")

    view.get_by_label("Frequency in Hz").fill("400")
    view.get_by_role("button", name="Mute", exact=True).click()
    expect(view.get_by_text("vocals, below 400 Hz")).to_be_visible()
    turn(view, "Sharpness", 1)
    hear.click()
    second = view.get_by_role("button", name="sharpness 2.0, threshold 12 dB, vocals muted below 400 Hz")
    expect(second).to_have_attribute("aria-current", "true")
    expect(view.get_by_role("button", name="Stop")).to_be_hidden()
    turn(view, "Sharpness", 3)
    undo = view.get_by_role("button", name="Undo")
    undo.click()
    expect(view.get_by_text("to the power of 2.0")).to_be_visible()
    expect(second).to_have_attribute("aria-current", "true")
    undo.click()
    expect(view.get_by_role("button", name="threshold 12 dB").first).to_have_attribute("aria-current", "true")
    expect(view.get_by_role("button", name="Stop")).to_be_hidden()
    wait_until(page, "p.side === 'B'")
    undo.click()
    wait_until(page, "p.side === 'A'")
    expect(view.get_by_text("1, as it is")).to_be_visible()
    view.get_by_role("button", name="Redo").click()
    wait_until(page, "p.side === 'B'")
    edits = [job for job in given.store.all() if job.request.edit is not None]
    assert len(edits) == 2, "going back and forth makes nothing anew"


def test_the_whole_file_and_what_can_be_done_with_it(page: Any, address: str, given: Services, tmp_path: Path) -> None:
    job = separated(given, tmp_path, known=False)
    view = open_view(page, address, job)
    expect(view.get_by_text("this recording has none")).to_be_visible()
    turn(view, "Sharpness", 2)
    view.get_by_role("button", name="Apply to the whole file").click()
    wait_until(page, "p.side === 'B' && p.part[1] - p.part[0] === 20")
    expect(view.get_by_text("dB SI-SDR")).to_have_count(0)
    link = view.get_by_role("link", name="Download B").get_attribute("href")
    answer = page.request.get(urljoin(address, link))
    assert answer.ok and "song (edited)" in unquote(answer.headers["content-disposition"])
    rate = view.get_by_role("link", name="Rate B").get_attribute("href")
    assert rate and job not in rate
    page.goto(rate)
    expect(page.get_by_text("model vocals, edited")).to_be_visible()
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.get_by_text("It is an edit itself")).to_be_visible()


def test_an_edit_is_rated_beside_the_original(page: Any, address: str, given: Services, tmp_path: Path) -> None:
    job = separated(given, tmp_path)
    view = open_view(page, address, job)
    rating = page.locator("earshot-rating")
    rating.get_by_role("button", name="How does it sound?").click()

    def star(title: str) -> None:
        group = rating.get_by_role("radiogroup", name="Overall: vocals", exact=True)
        group.get_by_role("radio", name=title).check(force=True)
        expect(rating.locator(".state")).to_have_text("Saved")

    star("Good")
    page.evaluate("localStorage.setItem('earshot.hide', 'true')")  # from the next one on: this one is known
    chip = rating.locator(".stem .chip").first
    wait_until(page, "p.colourOf('vocals')")
    assert chip.evaluate("chip => chip.style.background"), "as coloured as the track"
    page.evaluate(f"{PLAYER}.select([4, 8])")
    turn(view, "Threshold", 48)
    view.get_by_role("button", name="Hear it").click()
    wait_until(page, "p.side === 'B'")
    view.get_by_role("link", name="Rate B").click()
    expect(rating.get_by_role("button", name="How does B sound?")).to_be_enabled()
    expect(rating.get_by_role("radio", name="Good").first).not_to_be_checked()
    star("Poor")
    page.evaluate(f"{PLAYER}.select([10, 12])")
    expect(rating.get_by_text("Only 0:04.0 – 0:08.0 is rated here")).to_be_visible()
    expect(rating.get_by_role("button", name="Mark what you hear")).to_be_disabled()
    page.evaluate(f"{PLAYER}.select([5, 10])")
    rating.get_by_role("button", name="Mark what you hear").click()
    rating.get_by_role("button", name="Save the mark").click()
    expect(rating.locator(".summary")).to_have_text("vocals ★★☆☆☆  ·  1 mark")
    expect(rating.locator(".state")).to_have_text("Saved")
    rating.get_by_role("button", name="Rate A, the original").click()
    expect(rating.locator(".summary")).to_have_text("vocals ★★★★☆")
    assert page.evaluate(f"[Boolean({PLAYER}.take), {PLAYER}.blind]") == [True, False], "B stays while A is rated"
    view.get_by_role("link", name="Rate B").click()
    turn(view, "Threshold", 40)
    view.get_by_role("button", name="Hear it").click()
    expect(rating.get_by_role("button", name="How does it sound?")).to_be_visible()

    def told(trial: Trial, events: list[Stored]) -> dict[str, Any]:
        payloads = [each.event.payload for each in events]
        (answer,) = [payload.value for payload in payloads if isinstance(payload, Answer)]
        marks = [(payload.start, payload.end) for payload in payloads if isinstance(payload, Mark)]
        edit = (trial.served.get("edit") or {}).get("threshold_db")
        saw = any(payload.saw_views for payload in payloads if isinstance(payload, Heard))
        return {"answer": answer, "marks": marks, "edit": edit, "saw": saw}

    mine = [told(*each) for each in given.ratings.snapshot()]
    assert mine == [
        {"answer": 4, "marks": [], "edit": None, "saw": True},
        {"answer": 2, "marks": [(1.0, 4.0)], "edit": 12, "saw": True},
    ]


def test_what_fails_is_said_and_can_be_tried_again(page: Any, address: str, given: Services, tmp_path: Path) -> None:
    view = open_view(page, address, separated(given, tmp_path))
    turn(view, "Threshold", 30)
    page.route("**/edits", lambda route: route.abort())
    hear = view.get_by_role("button", name="Hear it")
    hear.click()
    expect(view.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    expect(view.get_by_role("button", name="threshold 30 dB")).to_have_count(0)
    page.unroute("**/edits")
    hear.click()
    wait_until(page, "p.side === 'B'")
    expect(view.get_by_role("alert").filter(has_text="cannot be reached")).to_have_count(0)


def test_a_model_without_masks_says_so(page: Any, address: str, given: Services, tmp_path: Path) -> None:
    assert isinstance(given.hub.separators["speakers"], Halves)  # type: ignore[attr-defined]
    view = open_view(page, address, separated(given, tmp_path, model="speakers", known=False))
    expect(view.get_by_role("alert")).to_contain_text("has no masks")
    expect(view.get_by_role("button", name="Hear it")).to_be_hidden()
