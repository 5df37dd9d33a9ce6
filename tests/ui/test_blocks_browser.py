"""Blocks and memory of a small random model in a real browser: maps, matrix, what is remembered; and models that have none."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from page_services import RATE, Services, running, services
from player_jobs import done_job

from separation.models import build
from tests.contract import SMALL

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PLAYER = "document.querySelector('.earshot-result earshot-player')"
VIEW = "document.querySelector('earshot-view-blocks')"
PAINTED = f"""() => [...{VIEW}.content.querySelectorAll("canvas")].every((canvas) => {{
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 8;
}})"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    given = services(tmp_path_factory.mktemp("blocks"))
    torch.manual_seed(0)
    small = {**SMALL["disentangled"]["memory"], "sample_rate": RATE, "sources": ["vocals", "accompaniment"]}
    cast(Any, given.hub).separators["vocals"] = build("disentangled", {**small, "segment": 2.0, "context": 0.2}).eval()
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


def test_blocks_memory_and_dependence_are_shown_and_can_be_saved(page: Any) -> None:
    expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"))
    page.get_by_role("button", name="Separate", exact=True).click()
    page.wait_for_function("new URLSearchParams(location.search).get('job')")
    page.get_by_role("button", name="Blocks and memory").click(timeout=60_000)
    view = page.locator("earshot-view-blocks")
    expect(view.locator(".maps .label")).to_have_text(["vocals", "accompaniment"])
    expect(view.locator(".facts p")).to_contain_text("a block of 6 numbers a frame")
    page.wait_for_function(PAINTED)
    expect(view.locator(".square span.below")).to_have_text(["vocals", "accompaniment"])
    expect(view.locator(".matrix figcaption")).to_contain_text("nats of each other")
    maps = view.locator(".lane.heat")
    maps.first.scroll_into_view_if_needed()
    maps.first.hover()
    expect(view.locator(".tip")).to_contain_text(
        re.compile(r"vocals, row [34] of 6 \(dimension \d\)\s+blocks: vocals:")
    )
    view.get_by_role("button", name="Memory: mean").click()
    expect(view.locator(".maps .mean").first).to_contain_text("remembered in the end")
    page.wait_for_function(PAINTED)

    first = view.locator(".profile figcaption").inner_text()
    page.evaluate(f"{PLAYER}.seek({VIEW}.bounds[1] - 0.1)")
    expect(view.locator(".profile figcaption")).not_to_have_text(first)
    with page.expect_download() as download:
        view.get_by_role("link", name="Save what is remembered").click()
    assert 0 < Path(download.value.path()).stat().st_size < 4000
    lanes = page.evaluate(
        f"""[...{VIEW}.content.querySelectorAll('.lane')].map(lane => {{
            const own = lane.getBoundingClientRect(), its = {PLAYER}.lane, player = {PLAYER}.getBoundingClientRect();
            return Math.abs(own.left - player.left - its.left) + Math.abs(own.width - its.width) }})"""
    )
    assert len(lanes) == 2 and max(lanes) < 1.5, "under the player's lanes, to the pixel"


def test_there_is_no_button_for_models_without_blocks(page: Any, given: Services, address: str, tmp_path: Path) -> None:
    job = done_job(given.store, tmp_path, 2)
    page.goto(f"{address}/?job={job.id}")
    expect(page.get_by_role("button", name="Inside the model")).to_be_visible()
    expect(page.get_by_role("button", name="Blocks and memory")).to_be_hidden()
