"""Looking inside a small random model in a real browser: the maps, a basis function, and that it is heard alone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fakes import MaskedSTFT
from page_services import RATE, Services, running, services
from player_jobs import done_job

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PLAYER = "document.querySelector('.earshot-result earshot-player')"
VIEW = "document.querySelector('earshot-view-masks')"
PAINTED = f"""() => [...{VIEW}.content.querySelectorAll(".heat canvas")].every((canvas) => {{
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 20;
}})"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    given = services(tmp_path_factory.mktemp("masks"))
    model = MaskedSTFT(("vocals", "accompaniment"), sample_rate=RATE, segment=2.0, align=64)
    cast(Any, given.hub).separators["vocals"] = model
    return given


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(30_000)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    assert broken == []


def test_from_an_example_to_a_basis_function_heard_alone(page: Any) -> None:
    expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"))
    page.get_by_role("button", name="Separate", exact=True).click()
    page.wait_for_function("new URLSearchParams(location.search).get('job')")
    page.get_by_role("button", name="Inside the model").click()
    view = page.locator("earshot-view-masks")
    expect(view.locator("figure")).to_have_count(3)
    maps = view.locator(".lane.heat")
    expect(maps).to_have_count(3)
    page.wait_for_function(PAINTED)
    maps.nth(1).scroll_into_view_if_needed()
    box = maps.nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(view.locator(".tip")).to_contain_text(
        re.compile(
            r"0:0[23]\.\d\d · bin 6\d of 129, 4\.\d\d kHz\s+mask of vocals: [01]\.\d\d · accompaniment: [01]\.\d\d"
        )
    )
    page.mouse.down()
    page.mouse.up()
    expect(view.locator("h3")).to_have_text(re.compile(r"Bin 6\d of 129, \d\.\d\d kHz"))
    expect(view.get_by_role("button", name="accompaniment")).to_have_attribute("aria-pressed", "true")
    first = int(re.search(r"Bin (\d+)", view.locator("h3").inner_text())[1])
    maps.nth(1).press("ArrowUp")
    expect(view.locator("h3")).to_contain_text(f"Bin {first + 1} of")
    maps.nth(1).press("Shift+ArrowUp")
    expect(view.locator("h3")).to_contain_text(f"Bins {first + 1} to {first + 2} of")

    maps.nth(1).press("Enter")
    expect(view.locator(".note")).to_contain_text("2 bins of accompaniment alone", timeout=60_000)
    page.wait_for_function(f"{PLAYER}.side === 'B' && {PLAYER}.debug.sounding")
    edit = page.evaluate(f"fetch({PLAYER}.urlOf({PLAYER}.take)).then(answer => answer.json())")
    assert edit["state"]["status"] == "done"

    before = page.evaluate(f"{PLAYER}.visible")
    page.evaluate(f"{PLAYER}.zoom(2)")
    assert page.evaluate(f"{PLAYER}.visible") != before
    lanes = page.evaluate(
        f"""[...{VIEW}.content.querySelectorAll('.lane')].map(lane => {{
            const own = lane.getBoundingClientRect(), its = {PLAYER}.lane, player = {PLAYER}.getBoundingClientRect();
            return Math.abs(own.left - player.left - its.left) + Math.abs(own.width - its.width) }})"""
    )
    assert len(lanes) == 4 and max(lanes) < 1.5, "under the player's lanes, to the pixel"


def test_the_maps_are_in_the_order_of_the_tracks(page: Any) -> None:
    def turned(route: Any) -> None:
        """A model with exchangeable outputs may have them in any order."""
        answer = route.fetch()
        record = answer.json()
        assert record["sources"] == ["vocals", "accompaniment"]
        for name in ("sources", "histograms"):
            record[name].reverse()
        route.fulfill(response=answer, json=record)

    page.route("**/full/latents", turned)
    expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"))
    page.get_by_role("button", name="Separate", exact=True).click()
    page.get_by_role("button", name="Inside the model").click()
    view = page.locator("earshot-view-masks")
    expect(view.locator(".maps .label")).to_have_text(["vocals", "accompaniment", "mixture", "Undecided?"])
    expect(view.locator(".sources button")).to_have_text(["vocals", "accompaniment"])
    expect(view.locator("figcaption").last).to_contain_text(re.compile("^vocals *accompaniment"))


def test_a_model_without_masks_says_so_kindly(page: Any, given: Services, address: str, tmp_path: Path) -> None:
    job = done_job(given.store, tmp_path, 2)
    page.goto(f"{address}/?job={job.id}")
    page.get_by_role("button", name="Inside the model").click()
    view = page.locator("earshot-view-masks")
    expect(view.locator(".none")).to_contain_text("without masks")
    expect(view.locator(".none")).to_contain_text("vocals or speakers")
    expect(view.locator(".all")).to_be_hidden()
    expect(view.locator(".failure")).to_be_hidden()
