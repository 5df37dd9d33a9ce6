"""The strip of every second in a real browser: measured, pointed at, looped, and the worst of it played."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from page_services import Services, running, services
from player_jobs import make_job, recording, write_stage

from separation.audio import PeakBuilder
from separation.engine.jobs import JobStore

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
RATE = 4000
SECONDS = 14
"""The voice of `recording` sounds from 0 to 3.5 s and from 7 to 10.5 s."""
NOISY = 8
"""The second in which the stem is worst."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("segments"))


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def opened(browser: Any, given: Services, address: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the view of a new job with or without references; at the end the console must be empty."""
    contexts, said = [], []

    def opener(*, references: bool, width: int = 1440) -> Any:
        tracks = recording(SECONDS, rate=RATE, channels=1)
        loudness = np.where(np.arange(SECONDS * RATE) // RATE == NOISY, 0.1, 0.003)
        tracks["vocals"] += (loudness * np.random.default_rng(3).normal(size=SECONDS * RATE)).astype(np.float32)
        if not references:
            del tracks["reference-vocals"]
        job = make_job(JobStore(tmp_path / "elsewhere"), tmp_path)  # or the workers would take it up at once
        write_stage(job, "full", tracks, rate=RATE)
        job.write_state(status="done", stage="write", fraction=1.0)
        job.folder.rename(given.store.folder / job.id)
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/?job={job.id}")
        page.evaluate("addEventListener('earshot-saw', ({ detail }) => (window.saw = detail))")
        page.locator("earshot-views").get_by_role("button", name="Every second").click()
        expect(view(page).get_by_text("Median", exact=False).first).to_be_visible(timeout=30_000)
        expect(view(page).locator(".progress")).to_be_hidden(timeout=60_000)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert said == []


def view(page: Any) -> Any:
    return page.locator("earshot-view-segments")


def player(page: Any) -> Any:
    return page.locator(".earshot-result earshot-player")


def selection(page: Any) -> Any:
    return player(page).evaluate("element => element.selection")


def looped(page: Any) -> None:
    expect(player(page).get_by_role("button", name="Loop the selection")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("document.querySelector('.earshot-result earshot-player').debug.playing")


def test_click_a_second_and_it_loops_then_the_worst_and_the_next_worst(opened: Callable[..., Any]) -> None:
    page = opened(references=True)
    assert page.evaluate("window.saw") == "metrics"
    expect(view(page).get_by_role("radio", name="SI-SDR")).to_be_checked()
    lane = view(page).locator(".lane")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    page.mouse.move(box["x"] + box["width"] * (NOISY + 0.5) / SECONDS, box["y"] + box["height"] / 2)
    expect(view(page).locator(".reading")).to_contain_text(
        re.compile(r"0:08 to 0:09: SI-SDR .* below .* the oracle reaches")
    )
    page.mouse.down()
    page.mouse.up()
    looped(page)
    assert selection(page) == [NOISY, NOISY + 1]
    expect(player(page).get_by_role("button", name="Solo vocals", exact=True)).to_have_attribute("aria-pressed", "true")
    view(page).get_by_role("button", name="Play the worst five seconds").click()
    expect(view(page).locator(".told")).to_contain_text("The worst: ")
    looped(page)
    first = selection(page)
    assert first[0] <= NOISY < first[1] and first[1] - first[0] == 5
    view(page).get_by_role("button", name="Next worst").click()
    expect(view(page).locator(".told")).to_contain_text("Number 2 of")
    second = selection(page)
    assert second[1] <= first[0] or second[0] >= first[1]


def test_the_keyboard_moves_between_seconds_and_reads_why_one_has_no_number(opened: Callable[..., Any]) -> None:
    page = opened(references=True)
    seconds = view(page).get_by_role("listbox", name="SI-SDR of vocals, second by second")
    seconds.focus()
    page.keyboard.press("End")
    option = view(page).get_by_role("option")
    expect(option).to_have_text(re.compile("^0:13 to 0:14: no SI-SDR, because the reference is exactly zero"))
    expect(option).to_have_attribute("aria-setsize", str(SECONDS))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(option).to_have_text(re.compile("^0:01 to 0:02: SI-SDR"))
    page.keyboard.press("Enter")
    looped(page)
    assert selection(page) == [1, 2]
    view(page).get_by_role("radio", name="SIR", exact=True).check()
    expect(view(page).locator(".meaning")).to_contain_text("How little of the other sources is left in the stem")
    expect(view(page).get_by_role("listbox", name="SIR of vocals, second by second")).to_be_visible()


def test_without_references_there_is_what_needs_none_on_a_phone_too(opened: Callable[..., Any]) -> None:
    page = opened(references=False, width=390)
    metrics = view(page).get_by_role("radiogroup", name="What is measured").get_by_role("radio")
    assert metrics.evaluate_all("all => all.map(({ value }) => value)") == [
        "stem_similarity",
        "residual_db",
        "estimate_db",
    ]
    expect(view(page).locator(".note")).to_contain_text("The true sources of this recording are not known")
    lane, theirs = view(page).locator(".lane").bounding_box(), player(page).locator(".ruler").bounding_box()
    assert abs(lane["x"] - theirs["x"]) <= 1 and abs(lane["width"] - theirs["width"]) <= 1, "one time axis"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    view(page).get_by_role("radio", name="Level").check()
    expect(view(page).get_by_role("button", name="Play the worst five seconds")).to_be_disabled()


def test_references_that_come_later_appear_in_the_open_view(opened: Callable[..., Any], given: Services) -> None:
    page = opened(references=False)
    expect(view(page).get_by_role("radio", name="Similarity")).to_be_checked()
    job = given.store.get(page.evaluate("new URLSearchParams(location.search).get('job')"))
    reference = recording(SECONDS, rate=RATE, channels=1)["reference-vocals"]
    sf.write(job.folder / "full" / "reference-vocals.wav", reference.T, RATE, "FLOAT")
    outline = PeakBuilder()
    outline.add(reference)
    outline.save(job.folder / "full" / "reference-vocals.peaks")
    described = job.stage("full")
    assert described is not None
    job.write_stage("full", {**described, "tracks": [*described["tracks"], "reference-vocals"], "renewed": 1.0})
    player(page).evaluate("element => element.look()")
    expect(view(page).get_by_role("radio", name="SI-SDR")).to_be_checked()
    expect(view(page).locator(".progress")).to_be_hidden(timeout=60_000)
    expect(view(page).locator(".summary")).to_contain_text("the oracle has")
    expect(view(page).locator(".note")).to_contain_text("No true source was given for accompaniment")
