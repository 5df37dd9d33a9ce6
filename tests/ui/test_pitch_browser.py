"""The view *Pitch* in a real browser: tracks over the picture, a correction by hand and by keys, and that it is heard as B."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from page_services import Services, running, services
from pitched_voices import RATE, CombMask, sung

from separation.engine.jobs import Job, Request
from separation.engine.pitches import GRID, Pitches
from separation.transforms import PitchTrack

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PLAYER = "document.querySelector('.earshot-result earshot-player')"
VIEW = "document.querySelector('earshot-view-pitch')"
SECONDS = 6.0
PAINTED = f"""() => [...{VIEW}.content.querySelectorAll(".lane.pitch canvas")].every((canvas) => {{
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size > 1;
}})"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    given = services(tmp_path_factory.mktemp("pitch"))
    given.hub.separators["choir"] = CombMask()  # type: ignore[attr-defined]
    return given


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture(scope="module")
def job(given: Services, address: str, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A duet whose low voice was taken for one an octave higher, from two seconds to four."""
    path = tmp_path_factory.mktemp("song") / "duet.wav"
    sf.write(path, sung(349.0, SECONDS) + sung(131.0, SECONDS, seed=1), RATE)
    at = np.arange(0, SECONDS, GRID)
    low = np.where((at >= 2) & (at < 4), 262.0, 131.0)
    pitches = Pitches({"high": PitchTrack(at, np.full(len(at), 349.0)), "low": PitchTrack(at, low)}, "mixture")
    made = given.store.create(path, Request("choir", "duet.wav"), pitches=pitches)
    given.workers.submit(made)
    return made


@pytest.fixture
def page(browser: Any, address: str, job: Job) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(60_000)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(f"{address}/?job={job.id}")
    page.get_by_role("button", name="Pitch", exact=True).click()
    expect(page.locator("earshot-view-pitch .voices button")).to_have_text(["high", "low"], timeout=60_000)
    yield page
    page.close()
    assert broken == []


def test_an_octave_is_put_right_and_heard(page: Any, given: Services, job: Job) -> None:
    view = page.locator("earshot-view-pitch")
    page.wait_for_function(PAINTED, timeout=60_000)
    expect(view.get_by_role("button", name="Hear the change")).to_be_disabled()
    view.get_by_role("button", name="low").click()
    page.evaluate(f"{PLAYER}.select([2, 4])")
    expect(view.locator(".where")).to_have_text("Change low from 0:02.0 – 0:04.0:")
    view.get_by_role("button", name="Octave down").click()
    changes = page.evaluate(f"{VIEW}.changes")
    assert len(changes) == 1 and changes[0]["voice"] == "low" and changes[0]["first"] == 125
    assert set(changes[0]["hz"]) == {131}
    view.get_by_role("button", name="Undo").click()
    assert page.evaluate(f"{VIEW}.changes") == []
    view.get_by_role("button", name="Redo").click()
    view.get_by_role("button", name="Hear the change").click()
    expect(view.locator(".note")).to_contain_text("Now B in the player", timeout=60_000)
    page.wait_for_function(f"{PLAYER}.side === 'B' && {PLAYER}.debug.sounding")
    take = given.store.get(page.evaluate(f"{PLAYER}.take"))
    assert take.request.corrects and take.request.edit_of == job.id
    assert (take.request.offset, take.request.duration) == (2.0, 2.0)


def of_high(page: Any) -> list[dict[str, Any]]:
    """What is changed of the high voice."""
    return [change for change in page.evaluate(f"{VIEW}.changes") if change["voice"] == "high"]


def test_a_line_is_drawn_and_keys_do_the_rest(page: Any) -> None:
    view = page.locator("earshot-view-pitch")
    view.get_by_role("button", name="high").click()
    view.get_by_role("button", name="Draw").click()
    lane = view.locator(".lane.pitch")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    start = page.evaluate(f"{PLAYER}.visible")[0]
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.25 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=4)
    page.mouse.up()
    drawn = of_high(page)
    assert len(drawn) == 1, "one stroke is one stretch"
    assert drawn[0]["first"] * GRID == pytest.approx(start + 0.25 * SECONDS, abs=0.1)
    assert len(drawn[0]["hz"]) * GRID == pytest.approx(0.25 * SECONDS, abs=0.1)
    assert set(np.round(np.array(drawn[0]["hz"]) / np.sqrt(60 * 1250), 1)) == {1.0}, "where the pointer was"

    lane.press("r")
    assert of_high(page) == []
    before = page.evaluate(f"{PLAYER}.selection")
    lane.press("ArrowUp")
    up = of_high(page)[0]
    assert up["hz"][0] == pytest.approx(349 * 2 ** (20 / 1200), abs=0.1)
    lane.press("m")
    assert set(of_high(page)[0]["hz"]) == {0}
    lane.press("Control+z")
    lane.press("Control+z")
    lane.press("2")
    expect(view.get_by_role("button", name="low")).to_have_attribute("aria-pressed", "true")
    lane.press("d")
    expect(view.get_by_role("button", name="Select", exact=True)).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(f"{PLAYER}.selection") == before
    lanes = page.evaluate(
        f"""[...{VIEW}.content.querySelectorAll('.lane')].map(lane => {{
            const own = lane.getBoundingClientRect(), its = {PLAYER}.lane, player = {PLAYER}.getBoundingClientRect();
            return Math.abs(own.left - player.left - its.left) + Math.abs(own.width - its.width) }})"""
    )
    assert len(lanes) == 3 and max(lanes) < 1.5, "under the player's lanes, to the pixel"


def test_other_models_have_no_such_view(browser: Any, address: str, given: Services, tmp_path: Path) -> None:
    sf.write(tmp_path / "song.wav", sung(349.0, 2.0), RATE)
    plain = given.store.create(tmp_path / "song.wav", Request("vocals", "song.wav"))
    given.workers.submit(plain)
    page = browser.new_page()
    page.goto(f"{address}/?job={plain.id}")
    expect(page.get_by_role("button", name="Every second")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("button", name="Pitch", exact=True)).to_be_hidden()
    page.close()
