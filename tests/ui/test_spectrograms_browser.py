"""The player's spectrograms in a real browser: what is drawn is what is read, in every scale; differences; bands."""

import io
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image
from player_jobs import GAIN, RATE, make_job, write_stage

from separation.audio import ArrayReader
from separation.engine.jobs import Job, JobStore
from separation.signals import Signal
from separation.visualisation import SCALES, frequency_edges, spectrogram_levels
from separation.visualisation.spectrogram import Scale

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
SECONDS, TONE_HZ = 12, 1000.0


def tracks() -> dict[str, np.ndarray]:
    """A tone over hiss; the hiss is the accompaniment; the voice's reference is half as loud as the voice."""
    tone = 0.2 * np.sin(2 * np.pi * TONE_HZ * np.arange(SECONDS * RATE) / RATE)[None]
    hiss = 0.01 * np.random.default_rng(0).standard_normal(tone.shape)
    found = {"mixture": tone + hiss, "vocals": tone, "accompaniment": hiss, "reference-vocals": tone / 2}
    return {name: samples.astype(np.float32) for name, samples in found.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> JobStore:
    return JobStore(tmp_path_factory.mktemp("spectrograms") / "jobs")


@pytest.fixture(scope="module")
def song(store: JobStore, tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = make_job(store, tmp_path_factory.mktemp("song"))
    write_stage(job, "full", tracks())
    job.write_state(status="done")
    return job


@pytest.fixture
def open_page(browser: Any, address: str, song: Job) -> Iterator[Callable[..., Any]]:
    """Opens the song with all spectrograms shown; complains about anything that the console says."""
    contexts, said = [], []

    def opener(width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/?job={song.id}")
        page.get_by_role("button", name="Spectrogram", exact=True).click()
        painted(page)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert said == []


def player(page: Any, code: str, argument: Any = None) -> Any:
    """Run `code` with the element as `p` and `argument` as `a`."""
    return page.evaluate(
        f"async (a) => {{ const p = document.querySelector('earshot-player'); return {code}; }}", argument
    )


def painted(page: Any, scale: str = "mel", minus: str | None = None) -> None:
    """Wait until the lane of the vocals shows this."""
    condition = """([scale, minus]) => {
        const shown = document.querySelector('earshot-player').rows?.get('vocals')?.lane.shown;
        return shown?.axis.scale === scale && shown.minus === minus;
    }"""
    page.wait_for_function(condition, arg=[scale, minus])


def choose(page: Any, scale: str) -> None:
    title = {"mel": "Mel", "log": "Logarithmic", "cqt": "Constant-Q", "linear": "Linear"}[scale]
    page.get_by_role("button", name="Frequency axis").click()
    page.get_by_role("menuitem", name=title).click()
    painted(page, scale)


def lane(page: Any, name: str = "vocals") -> dict[str, float]:
    box: dict[str, float] = page.locator(f"li[data-track={name}] .lane").bounding_box()
    return box


def drag(page: Any, start: tuple[float, float], stop: tuple[float, float], name: str = "vocals") -> None:
    """From one point of a lane to another, given as parts of its width (from the left) and its height (from below)."""
    box = lane(page, name)
    (x0, y0), (x1, y1) = [
        (box["x"] + part * box["width"], box["y"] + (1 - height) * box["height"]) for part, height in (start, stop)
    ]
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x0 + (x1 - x0) / 2, y0 + (y1 - y0) / 2, steps=5)
    page.mouse.move(x1, y1, steps=5)
    page.mouse.up()


LISTEN = "() => { window.told = []; addEventListener('earshot-band', (event) => told.push(event.detail)); }"


def test_what_is_under_the_pointer_is_read_in_every_scale(open_page: Callable[..., Any]) -> None:
    page = open_page()
    for scale in SCALES:
        choose(page, scale)
        reads_what_is_drawn(page, scale)
    page.mouse.move(5, 5)
    expect(page.locator(".readout")).to_be_hidden()


def reads_what_is_drawn(page: Any, scale: Scale) -> None:
    width, height = player(page, "(({ width, height }) => [width, height])(p.rows.get('vocals').lane.shown)")
    reader = ArrayReader(Signal(tracks()["vocals"], RATE))
    levels = spectrogram_levels(reader, 0, reader.length, width, height, scale=scale, gain=GAIN)
    column, row = width // 4, int(np.argmax(levels[:, width // 4]))
    low, high = frequency_edges(height, RATE, scale)[height - row - 1 :][:2]
    assert low - 16 <= TONE_HZ <= high + 16
    box = lane(page)
    for at, expected in ((row, levels[row, column]), (max(0, row - 20), levels[max(0, row - 20), column])):
        x, y = (
            box["x"] + (column + 0.5) * box["width"] / width,
            box["y"] + (at + 0.5) * box["height"] / height,
        )
        page.mouse.move(x, y)
        text = page.locator(".readout").inner_text()
        time, hz, level = text.split(" · ")
        assert time == f"0:{SECONDS * (column + 0.5) / width:04.1f}"
        low, high = frequency_edges(height, RATE, scale)[height - at - 1 :][:2]
        number, unit = hz.split()
        assert 0.99 * low <= float(number) * (1000 if unit == "kHz" else 1) <= 1.01 * high
        shown = float(re.match(r"−?\d+", level)[0].replace("−", "-"))  # type: ignore[index]
        assert shown == pytest.approx(expected / 2 - 90, abs=0.51)
        assert ("or less" in level) == (expected == 0)


def test_what_is_painted_is_the_servers_picture(open_page: Callable[..., Any], address: str) -> None:
    page = open_page()
    with page.expect_response(lambda response: re.search(r"mixture\.levels.*scale=log", response.url)) as info:
        choose(page, "log")
    assert info.value.headers["content-encoding"] == "gzip"
    query = parse_qs(urlsplit(info.value.url).query)
    page.wait_for_function(
        "() => document.querySelector('earshot-player').rows.get('mixture').lane.shown.axis.scale === 'log'"
    )
    code = """((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.width, canvas.height, [...new Uint32Array(data.buffer)].filter((_, i) => i % 13 === 0)];
    })(p.rows.get('mixture').picture)"""
    width, height, pixels = player(page, code)
    assert [width, height] == [int(query[name][0]) for name in ("width", "height")]
    ours = np.array(pixels, "<u4").view(np.uint8).reshape(-1, 4).astype(int)
    with urlopen(info.value.url.replace(".levels?", ".png?")) as response:
        picture = np.asarray(Image.open(io.BytesIO(response.read())).convert("RGBA"))
    assert picture.shape == (height, width, 4)
    theirs = picture.reshape(-1, 4)[::13]
    assert len(np.unique(theirs, axis=0)) > 20
    # Where half a step of the colours is met exactly, the two languages round differently: to the next colour.
    assert np.abs(ours - theirs).max() <= 8 and (ours != theirs).any(axis=1).mean() < 0.1


def test_pictures_are_of_the_view(open_page: Callable[..., Any]) -> None:
    page = open_page()
    heat = page.locator("li[data-track=vocals] .heat")
    expect(heat).to_be_visible()
    assert heat.evaluate("(canvas) => canvas.width") > 500
    assert heat.evaluate("(canvas) => [canvas.style.left, canvas.style.width]") == ["0%", "100%"]
    player(page, "p.setView([3, 9])")
    page.wait_for_function("() => document.querySelector('earshot-player').rows.get('vocals').lane.shown.start === 3")
    assert heat.evaluate("(canvas) => [canvas.style.left, canvas.style.width]") == ["0%", "100%"]
    page.get_by_role("button", name="Waveform", exact=True).click()
    expect(heat).to_be_hidden()


def test_frequencies_are_written_where_they_are_in_every_scale(open_page: Callable[..., Any]) -> None:
    page = open_page()
    marks: dict[Scale, tuple[str, float]] = {
        "linear": ("4 kHz", 4000),
        "log": ("2 kHz", 2000),
        "cqt": ("C5 523 Hz", 523.25),
        "mel": ("5 kHz", 5000),
    }
    for scale, (mark, hz) in marks.items():
        choose(page, scale)
        is_written_where_it_is(page, scale, mark, hz)


def is_written_where_it_is(page: Any, scale: Scale, mark: str, hz: float) -> None:
    axis = page.locator("li[data-track=vocals] .axis span")
    expect(page.locator("li[data-track=vocals] .axis span", has_text=mark)).to_be_visible()
    boxes, box = [one.bounding_box() for one in axis.all()], lane(page)
    shown = dict(zip(axis.all_text_contents(), boxes, strict=True))
    # How high it lies on the server's own rows, of which there are enough.
    edges = frequency_edges(10_000, RATE, scale)
    part = float(np.searchsorted(edges, hz)) / 10_000
    middle = shown[mark]["y"] + shown[mark]["height"] / 2
    assert middle == pytest.approx(box["y"] + (1 - part) * box["height"], abs=1)
    ordered = sorted(boxes, key=lambda one: one["y"])
    assert len(shown) >= 2
    assert all(above["y"] + above["height"] <= below["y"] for above, below in itertools.pairwise(ordered))
    assert ordered[0]["y"] >= box["y"] - 1
    assert ordered[-1]["y"] + ordered[-1]["height"] <= box["y"] + box["height"] + 1


def test_the_scale_is_remembered_and_the_same_for_all_players(open_page: Callable[..., Any], store: JobStore) -> None:
    page = open_page()
    choose(page, "cqt")
    assert player(page, "[...p.rows.values()].map(({ lane }) => lane.asked.picture.includes('scale=cqt'))") == 4 * [
        True
    ]
    page.reload()
    expect(page.get_by_role("button", name="Frequency axis: Constant-Q")).to_be_hidden()  # nothing needs it yet
    page.get_by_role("button", name="Spectrogram of vocals", exact=True).click()
    painted(page, "cqt")
    player(
        page,
        "p.insertAdjacentHTML('afterend', `<earshot-player id=b base=/earshot/ job=${p.subject}></earshot-player>`)",
    )
    page.locator("#b").get_by_role("button", name="Spectrogram", exact=True).click()
    page.locator("#b").get_by_role("button", name="Frequency axis").click()
    page.locator("#b").get_by_role("menuitem", name="Linear").click()
    painted(page, "linear")


def test_legends_are_there_while_they_mean_something(open_page: Callable[..., Any]) -> None:
    page = open_page()
    level, difference = page.locator(".legend.level"), page.locator(".legend.difference")
    expect(level).to_have_text("−90 dB−18 dB")
    expect(difference).to_be_hidden()
    page.get_by_role("button", name="Difference from the references").click()
    expect(difference).to_have_text("−24 dB+24 dB")
    expect(level).to_be_visible()  # of the tracks that have no reference
    page.get_by_role("button", name="Waveform", exact=True).click()
    expect(level).to_be_hidden()
    expect(difference).to_be_hidden()
    page.get_by_role("button", name="Spectrogram", exact=True).click()
    page.get_by_role("button", name="What am I looking at?").click()
    card = page.get_by_role("dialog", name="What am I looking at?")
    expect(card).to_contain_text("For example")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_a_stem_is_compared_with_its_reference_and_with_any_track(open_page: Callable[..., Any]) -> None:
    page = open_page()
    whole = page.get_by_role("button", name="Difference from the references")
    whole.click()
    painted(page, minus="reference-vocals")
    expect(whole).to_have_attribute("aria-pressed", "true")
    assert player(page, "p.settings.get('mixture').minus") is None
    box, place = lane(page), player(page, "p.axis.place(1000)")
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + (1 - place) * box["height"])
    expect(page.locator(".readout")).to_have_text(re.compile(r"^0:04\.0 · .* · \+6 dB$"))  # twice as loud
    against = page.get_by_role("button", name="vocals: minus vocals (reference). Compare with another track")
    against.click()
    items = page.get_by_role("menuitem")
    assert [text.splitlines()[0] for text in items.all_inner_texts()] == [
        "Level", "minus vocals (reference)", "minus mixture", "minus accompaniment"
    ]  # fmt: skip
    page.get_by_role("menuitem", name="minus mixture").click()
    painted(page, minus="mixture")
    expect(whole).to_have_attribute("aria-pressed", "false")
    player(page, "p.toggleAttribute('blind', true)")  # a difference from the truth would say how good it is
    painted(page)
    expect(whole).to_be_hidden()
    expect(page.locator("li[data-track=vocals] .against")).to_be_hidden()


def test_dragging_up_selects_a_band_and_dragging_across_does_not(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.evaluate(LISTEN)
    drag(page, (0.5, 0.25), (0.52, 0.75))
    band = player(page, "p.band")
    assert band["track"] == "vocals" and page.evaluate("told") == [band]
    assert (band["start"], band["end"]) == pytest.approx((6, 6.24), abs=0.03)
    hz = [player(page, "p.axis.hz(a)", place) for place in (0.25, 0.75)]
    assert (band["low_hz"], band["high_hz"]) == pytest.approx(hz, rel=0.05)
    assert player(page, "p.selection") == [band["start"], band["end"]]
    expect(page.locator(".hint")).to_contain_text("kHz")
    drawn, box = page.locator("li[data-track=vocals] .band").bounding_box(), lane(page)
    assert drawn["height"] == pytest.approx(box["height"] / 2, abs=3)
    assert drawn["y"] == pytest.approx(box["y"] + box["height"] / 4, abs=3)
    assert page.locator(".band:visible").count() == 1
    drag(page, (0.2, 0.5), (0.4, 0.6))  # mostly across: times only
    assert player(page, "p.selection") == pytest.approx([2.4, 4.8], abs=0.05)
    assert player(page, "p.band") is None and page.evaluate("told.at(-1)") is None
    assert page.locator(".band:visible").count() == 0


def test_a_band_drawn_straight_up_in_a_selection_has_its_times(open_page: Callable[..., Any]) -> None:
    page = open_page()
    player(page, "p.select([3, 9])")
    drag(page, (0.5, 0.2), (0.5, 0.9))
    assert player(page, "[p.band.start, p.band.end, ...p.selection]") == [3, 9, 3, 9]
    page.keyboard.press("Escape")
    assert player(page, "[p.band, p.selection]") == [None, None]
    drag(page, (0.5, 0.9), (0.5, 0.2))  # without a selection it is narrow, not empty
    start, end = player(page, "p.selection")
    assert 0.05 <= end - start < 0.3 and start < 6 < end


def test_shift_or_the_button_makes_any_drag_a_band(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.keyboard.down("Shift")
    drag(page, (0.25, 0.5), (0.5, 0.6))
    page.keyboard.up("Shift")
    assert player(page, "[p.band.start, p.band.end]") == pytest.approx([3, 6], abs=0.05)
    page.get_by_role("button", name="Select bands").click()
    drag(page, (0.5, 0.5), (0.75, 0.6), "mixture")
    assert player(page, "[p.band.start, p.band.end]") == pytest.approx([6, 9], abs=0.05)
    assert player(page, "p.band.track") == "mixture"
    page.get_by_role("button", name="Spectrogram of mixture", exact=True).click()  # its waveform has no frequencies
    assert page.locator(".band:visible").count() == 0
    drag(page, (0.1, 0.2), (0.2, 0.9), "mixture")
    assert player(page, "p.band") is None
    assert player(page, "p.selection") == pytest.approx([1.2, 2.4], abs=0.05)


def test_marks_with_frequencies_are_boxes_on_a_spectrogram(open_page: Callable[..., Any]) -> None:
    page = open_page()
    mark = {"id": 7, "track": "vocals", "start": 3, "end": 6, "low_hz": 500, "high_hz": 4000, "title": "bleed"}
    player(page, "(p.regions = [{ ...a, strength: 2 }], null)", mark)
    region, box = page.locator(".region"), lane(page)
    low, high = (player(page, "p.axis.place(a)", hz) for hz in (500, 4000))
    drawn = region.bounding_box()
    assert drawn["height"] == pytest.approx((high - low) * box["height"], abs=1.5)
    assert drawn["y"] == pytest.approx(box["y"] + (1 - high) * box["height"], abs=1.5)
    page.get_by_role("button", name="Waveform", exact=True).click()
    expect(region).not_to_have_class(re.compile("banded"))
    assert region.bounding_box()["height"] == 14


def test_the_arrows_read_a_spectrogram_without_a_mouse(open_page: Callable[..., Any]) -> None:
    page = open_page()
    player(page, "p.seek(3)")
    page.keyboard.press("Shift")  # from here on the focus is one of the keyboard
    probe = page.get_by_role("slider", name="Frequency to read in the spectrogram of vocals", exact=True)
    probe.focus()
    expect(page.locator(".readout")).to_contain_text("0:03.0")
    before = float(probe.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowUp")
    assert float(probe.get_attribute("aria-valuenow")) > before
    assert re.fullmatch(r"0:03\.0, [\d.]+ k?Hz, −\d+ dB( or less)?", probe.get_attribute("aria-valuetext"))
    page.keyboard.press("ArrowRight")  # the time is the cursor's
    expect(page.locator(".readout")).to_contain_text("0:08.0")


def test_a_spectrogram_can_be_had_as_a_picture(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.get_by_role("button", name="Download vocals", exact=True).click()
    with page.expect_download() as info:
        page.get_by_role("menuitem", name="PNG").click()
    assert Image.open(info.value.path()).size == (1600, 400)


def test_a_phone_shows_everything_and_a_finger_reads(open_page: Callable[..., Any]) -> None:
    page = open_page(390, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    row = page.locator("li[data-track=vocals] .lane")
    row.tap(position={"x": lane(page)["width"] / 4, "y": 60})
    expect(page.locator(".readout")).to_contain_text("0:03")
    assert player(page, "p.cursor") == pytest.approx(3, abs=0.1)
    page.get_by_role("button", name="Select bands").tap()
    assert row.evaluate("(e) => getComputedStyle(e).touchAction") == "none"
