"""Stems in a real browser: true ones dropped on a separation, and a mixture that is built from them, then separated."""

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
ALLOWED = ("Method not implemented.", "Failed to load resource: the server responded with a status of 422")
"""Gradio's own client says the one on every upload; Chromium says the other of a file that was refused."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("stems"))


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[[], Any]]:
    """Opens the page as a new visitor; at the end the console must be empty."""
    contexts, said = [], []

    def visitor() -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/")
        expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"), timeout=30_000)
        return page

    yield visitor
    for context in contexts:
        context.close()
    assert [text for text in said if not text.startswith(ALLOWED)] == []


def separate(page: Any) -> str:
    """Press the button and wait until it is done; the job's id."""
    page.get_by_role("button", name="Separate", exact=True).click()
    page.wait_for_function("document.querySelector('.earshot-result earshot-player').record?.state.status === 'done'")
    return str(page.evaluate("new URLSearchParams(location.search).get('job')"))


def track(page: Any, name: str) -> Any:
    return page.locator(f".earshot-result earshot-player li[data-track='{name}']")


def test_true_stems_dropped_on_a_separation_become_its_references(
    visit: Callable[[], Any], given: Services, tmp_path: Path
) -> None:
    voice, band = noise(tmp_path / "My Song - Vocals.wav", 3.0), tmp_path / "My Song - Backing.flac"
    t = np.arange(3 * RATE) / RATE
    tone = (0.2 * np.sin(2 * np.pi * 330 * t)).astype(np.float32)
    sf.write(band, tone, RATE, subtype="PCM_24")
    sf.write(tmp_path / "mix.wav", sf.read(voice)[0] + tone, RATE, "FLOAT")
    (tmp_path / "notes.wav").write_text("no sound", encoding="utf-8")
    page = visit()
    page.locator("#earshot-file input[type=file]").set_input_files(tmp_path / "mix.wav")
    expect(page.locator(".earshot-chosen")).to_contain_text("mix.wav", timeout=30_000)
    job = separate(page)
    stems = page.locator("earshot-references")
    stems.get_by_role("button", name="Have the true stems?").click()
    expect(stems.get_by_role("button", name="Use these stems")).to_be_hidden()
    stems.locator("input[type=file]").set_input_files([voice, band, tmp_path / "notes.wav"])
    expect(stems.locator(".verdict")).to_contain_text("These are the true stems", timeout=30_000)
    expect(stems.get_by_role("alert")).to_contain_text("cannot be read as audio")
    expect(stems.get_by_label("What My Song - Vocals.wav is")).to_have_value("vocals")
    other = stems.get_by_label("What My Song - Backing.flac is")
    expect(other).to_have_value("accompaniment")
    other.select_option("vocals")
    expect(stems.get_by_role("button", name="Use these stems")).to_be_disabled()
    expect(stems.locator(".notice")).to_contain_text("Two files are “vocals”")
    other.select_option("accompaniment")
    stems.get_by_role("button", name="Use these stems").click()
    for name in ("reference-vocals", "reference-accompaniment"):
        expect(track(page, name)).to_be_visible(timeout=30_000)
    expect(stems.locator(".summary")).to_have_text("In use: vocals, accompaniment")
    assert given.store.get(job).request.references == ("vocals", "accompaniment")
    page.reload()
    expect(track(page, "reference-vocals")).to_be_visible(timeout=30_000)
    stems.get_by_role("button", name="True stems").click()
    stems.get_by_role("button", name="Remove the true vocals").click()
    expect(track(page, "reference-vocals")).to_have_count(0, timeout=30_000)
    expect(track(page, "reference-accompaniment")).to_be_visible()


def test_a_mixture_from_stems_is_heard_separated_and_has_its_references(
    visit: Callable[[], Any], given: Services, tmp_path: Path
) -> None:
    page = visit()
    page.get_by_role("tab", name="From stems").click()
    mixer = page.locator("earshot-mixer")
    mixer.locator("input[type=file]").set_input_files(
        [noise(tmp_path / "voice.wav", 4.0), noise(tmp_path / "band.flac", 3.0)]
    )
    expect(page.locator(".earshot-chosen")).to_contain_text("vocals + band0:04 · 16 kHz · mono", timeout=30_000)
    expect(page.get_by_role("radio", name="The ideal mask")).to_be_visible(timeout=30_000)
    recording = page.locator(".earshot-recording earshot-player")
    expect(recording.locator("li[data-track=mixture]")).to_be_visible()
    recording.evaluate("player => player.select([1, 3])")
    renewed = "document.querySelector('.earshot-recording earshot-player').record?.stages.draft?.renewed"
    before = page.evaluate(renewed)
    mixer.get_by_label("Level of voice.wav").fill("12")
    mixer.get_by_label("Level of band.flac").fill("6")
    expect(mixer.locator(".verdict")).to_contain_text("beyond full scale", timeout=30_000)
    page.wait_for_function(f"{renewed} > {before}")
    assert recording.evaluate("player => player.selection") == [1, 3], "the same recording goes on"
    page.get_by_label("Everything", exact=True).check()
    mixer.get_by_label("Name of band.flac").fill("accompaniment")
    mixer.get_by_label("Level of band.flac").fill("-3")  # and at once:
    job = given.store.get(separate(page))
    for name in ("vocals", "accompaniment", "reference-vocals", "reference-accompaniment"):
        expect(track(page, name)).to_be_visible(timeout=30_000)
    mix = given.store.mixes.get(job.folder.joinpath("from").read_text(encoding="utf-8"))
    assert [(stem.name, stem.level_db) for stem in mix.stems] == [("vocals", 12), ("accompaniment", -3)]
    page.get_by_role("button", name=re.compile("A swell")).click()
    expect(mixer.get_by_label("Name of voice.wav")).to_have_count(0, timeout=30_000)
    expect(page.locator(".earshot-chosen")).to_contain_text("A swell")
