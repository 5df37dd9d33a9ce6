"""Evaluate in a real browser: run the examples, click a cell of the map, hear that second; reload and it is all there.

The numbers are made up (measuring has its own tests); the page, its figures, the jobs and the player are real.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_tables import SECONDS, SILENT, MadeBenchmark
from page_services import Services, running, services

from separation.ui import server
from separation.ui.measuring import Measuring

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PATIENCE = 30_000
"""Milliseconds: plotly.js alone is 5 MB to parse, and tests run beside each other."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def made() -> MadeBenchmark:
    return MadeBenchmark(pause=0.2)


@pytest.fixture(scope="module")
def address(given: Services, made: MadeBenchmark) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(server, "Measuring", lambda services: Measuring(services, made))
        with running(given) as url:
            yield url.rstrip("/")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; at the end the console must be empty."""
    contexts, said, asked, allowed = [], [], [], []

    def visitor(path: str = "/evaluate", *, width: int = 1440, allow: str = "") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(PATIENCE)
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


def run(page: Any) -> Any:
    """Press Run and wait for the end."""
    expect(page.locator("#earshot-run-estimate")).to_contain_text("about")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".run-state")).to_contain_text("Done in")
    return page


def heat(page: Any) -> Any:
    plot = page.locator(".run-heat .figure-plot")
    plot.scroll_into_view_if_needed()
    expect(page.locator(".run-heat .heatmaplayer")).to_be_attached()
    return plot


def click_cell(page: Any, row: int, column: int, rows: int = 2) -> None:
    """Click in the middle of a cell of the map."""
    area = heat(page).locator(".nsewdrag").bounding_box()
    height = area["height"] / rows
    page.mouse.click(area["x"] + area["width"] * (column + 0.5) / SECONDS, area["y"] + height * (row + 0.5))


def looped(page: Any, start: float, end: float) -> Any:
    player = page.locator("earshot-player")
    expect(page.locator(".run-hear")).to_be_visible(timeout=60_000)
    page.wait_for_function(
        f"(() => {{ const s = document.querySelector('earshot-player').selection;"
        f" return s && Math.abs(s[0] - {start}) < 0.01 && Math.abs(s[1] - {end}) < 0.01; }})()"
    )
    return player


def test_examples_click_a_cell_hear_that_second_reload_still_there(visit: Callable[..., Any], given: Services) -> None:
    page = run(visit())
    ranking = page.locator(".run-ranking tbody tr")
    expect(ranking).to_have_count(3)
    expect(ranking.nth(0)).to_contain_text("Ideal ratio mask, powers")
    expect(ranking.nth(1)).to_contain_text(re.compile(r"1.*vocals.*8\.|vocals"))
    click_cell(page, 0, 4)
    player = looped(page, 4, 5)
    expect(page.locator(".run-heat .figure-note")).to_contain_text(re.compile(r"A swell, second 4: \d+\.\d\d dB"))
    job = given.store.get(player.get_attribute("job"))
    assert (job.request.model, job.request.name, job.request.preview_at) == (
        "vocals",
        "A swell, The bundled examples",
        4.0,
    )
    page.wait_for_function("document.querySelector('earshot-player').cursor > 4.1")
    assert 4 <= player.evaluate("element => element.cursor") <= 5.05, "it loops that second"
    expect(page.get_by_role("button", name="Estimate", exact=True)).to_have_attribute("aria-pressed", "true")
    assert player.evaluate("element => element.settings.get('vocals').solo")
    page.get_by_role("button", name="Mixture", exact=True).click()
    assert player.evaluate("element => element.settings.get('mixture').solo && !element.settings.get('vocals').solo")
    click_cell(page, 0, 1)
    looped(page, 1, 2)
    assert player.get_attribute("job") == job.id, "another second of the same track is the same job"
    address = page.url
    assert re.search(r"[?&]run=[\w-]{22}", address)
    page.reload()
    expect(page.locator(".run-state")).to_contain_text("Done in")
    expect(ranking).to_have_count(3)
    expect(page.get_by_label("My earlier evaluations").get_by_role("link")).to_have_count(1)


def test_the_map_can_be_used_with_the_keyboard_alone(visit: Callable[..., Any]) -> None:
    page = run(visit())
    plot = heat(page)
    expect(plot).to_have_attribute("aria-label", re.compile("Arrow keys"))
    plot.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator(".run-heat .figure-note")).to_contain_text("A talk, second 1: ")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".run-heat .figure-note")).to_contain_text(
        f"A talk, second {SILENT[0]}: no value: silent reference"
    )
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    looped(page, 1, 2)
    page.locator(".run-heat .figure-table summary").click()
    expect(page.locator(".run-heat .figure-rows tbody tr")).to_have_count(2 * SECONDS)


def test_figures_are_drawn_and_can_be_saved(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = run(visit())
    for name, kinds in {"track-by-second": ("svg", "png", "csv"), "spread": ("svg",), "scatter": ("csv",)}.items():
        figure = page.locator(f"earshot-figure[name='{name}']")
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".main-svg").first).to_be_visible()
        for kind in kinds:
            with page.expect_download() as download:
                figure.get_by_role("button", name=kind.upper(), exact=True).click()
            path = tmp_path / download.value.suggested_filename
            download.value.save_as(path)
            start = {"svg": b"<svg", "png": b"\x89PNG", "csv": b"track" if "by" in name else b"model"}[kind]
            assert path.name == f"{name}.{kind}" and path.read_bytes().startswith(start)
    colours = "getComputedStyle(document.querySelector('.run-spread .main-svg')).background"
    light = page.evaluate(colours)
    page.evaluate("document.body.classList.toggle('dark')")
    page.wait_for_function(f"{colours} !== {light!r}")


def test_choices_change_what_is_shown(visit: Callable[..., Any]) -> None:
    page = run(visit())
    duel = page.locator(".run-duel")
    duel.scroll_into_view_if_needed()
    expect(page.locator(".run-says")).to_contain_text("n = 2: too few tracks for a test")
    page.locator(".run-second").select_option("vocals")
    expect(duel.locator(".figure-note")).to_contain_text("both are the same model")
    page.locator(".run-metric").select_option("si_sdr")
    expect(page.locator(".run-ranking thead")).to_contain_text("Median (dB)")
    page.locator(".run-heat").scroll_into_view_if_needed()
    expect(page.locator(".run-heat .figure-note")).to_contain_text("Choose a metric of windows")
    page.get_by_text("What does this number mean?").click()
    expect(page.locator(".run-card")).to_contain_text("Higher is better")


def test_a_run_can_be_cancelled_and_deleted_and_a_dead_link_says_so(
    visit: Callable[..., Any], made: MadeBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "pause", 2.0)
    gone = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    page = visit(allow=gone)
    expect(page.locator("#earshot-run-estimate")).to_contain_text("about")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".run-state")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator(".run-ask").get_by_role("button", name="Delete").click()
    expect(page.locator(".run")).to_be_hidden()
    page.goto(page.url.partition("?")[0] + "?run=" + "A" * 22)
    expect(page.locator(".run-empty")).to_contain_text("not here any more")


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(visit: Callable[..., Any], width: int) -> None:
    page = run(visit(width=width))
    heat(page)
    for name in ("spread", "scatter", "head-to-head"):
        page.locator(f"earshot-figure[name='{name}']").scroll_into_view_if_needed()
        expect(page.locator(f"earshot-figure[name='{name}'] .main-svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
