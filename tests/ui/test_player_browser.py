"""The player in a real browser, against the real routes: what it plays, measured; and what a visitor can do with it.

Sound is measured on `render`, which sends a stretch through the same blocks, schedule and gains into an offline context.
"""

import base64
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from player_jobs import GAIN, RATE, done_job, make_job, recording, write_stage

from separation.audio import PeakBuilder
from separation.engine.jobs import Job, JobStore

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

BLOCK = 1 << 16
LSB = 2**-15


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> JobStore:
    return JobStore(tmp_path_factory.mktemp("player") / "jobs")


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens a job and returns the page; complains about anything the console says, unless told what to expect."""
    contexts, said = [], []

    def opener(job: Job | str, *, width: int = 1280, allow: str | None = None, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append((message.text, allow)))
        page.on("pageerror", lambda error: said.append((str(error), None)))
        page.goto(f"{address}/?job={job if isinstance(job, str) else job.id}")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert [text for text, allow in said if allow is None or not re.search(allow, text)] == []


@pytest.fixture(scope="module")
def song(store: JobStore, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Twelve seconds: three blocks."""
    return done_job(store, tmp_path_factory.mktemp("song"), 12, uncertain_boundaries=[5.0])


def ready(page: Any) -> Any:
    page.locator("li[data-track=mixture]").wait_for()
    return page


def player(page: Any, code: str, argument: Any = None) -> Any:
    """Run `code` with the element as `p` and `argument` as `a`."""
    return page.evaluate(
        f"async (a) => {{ const p = document.querySelector('earshot-player'); return {code}; }}", argument
    )


def render(page: Any, **options: Any) -> np.ndarray:
    """float32 ``[C, T]`` as the player would send it to the loudspeakers."""
    code = """(await p.render(a)).map((x) => {
        const bytes = new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
        let text = '';
        for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
        return btoa(text);
    })"""
    return np.stack([np.frombuffer(base64.b64decode(text), "<f4") for text in player(page, code, options)])


def wait_until(page: Any, condition: str) -> None:
    page.wait_for_function(f"() => {{ const p = document.querySelector('earshot-player'); return {condition}; }}")


def only(*names: str) -> dict[str, float]:
    every = ("mixture", "vocals", "accompaniment", "residual", "reference-vocals")
    return {name: float(name in names) for name in every}


# -- what is heard


def test_plays_the_file_sample_by_sample_across_block_borders(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    heard = render(page, start=0, duration=11.5, levels=only("mixture"))
    expected = GAIN * recording(12)["mixture"][:, : heard.shape[1]]
    assert heard.shape[1] > 2 * BLOCK
    faded_in = RATE // 20
    assert np.abs(heard - expected)[:, faded_in:].max() < 0.51 * LSB
    assert np.abs(heard[:, 0]).max() < 1e-3


def test_starts_anywhere_inside_a_block(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    first = BLOCK + 777
    heard = render(page, start=first / RATE, duration=1.0, levels=only("vocals"))
    expected = GAIN * recording(12)["vocals"][:, first : first + RATE]
    assert np.abs(heard - expected)[:, RATE // 20 :].max() < 0.51 * LSB


def test_tracks_stay_together_to_the_sample(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    mixture = render(page, start=1.23, duration=9, levels=only("mixture"))
    parts = render(page, start=1.23, duration=9, levels=only("vocals", "accompaniment", "residual"))
    assert np.abs(mixture).max() > 0.3
    # Four tracks, each rounded to 16 bit: half a step each, and float32 sums.
    assert np.abs(mixture - parts).max() < 2.1 * LSB


def test_the_ends_of_a_loop_are_faded_and_it_repeats_exactly(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    start, end = 2.0, 2.5
    heard = render(page, start=start, duration=3, loop=[start, end], levels=only("accompaniment"))
    period = round((end - start) * RATE)
    second, third = heard[:, period : 2 * period], heard[:, 2 * period : 3 * period]
    assert np.abs(second - third).max() < 1e-6  # the ramps are float32 of another time
    seam = round(0.005 * RATE)
    expected = GAIN * recording(12)["accompaniment"][:, 2 * RATE : 2 * RATE + period]
    assert np.abs(second - expected)[:, seam + 1 : -seam - 1].max() < 0.51 * LSB
    assert np.abs(second[:, 0]).max() < 1e-4
    ramp = np.arange(seam) / seam
    assert np.abs(second[:, :seam] - expected[:, :seam] * ramp).max() < 1e-3
    assert np.abs(second[:, -seam:] - expected[:, -seam:] * (1 - ramp)).max() < 2e-3


def test_gains_change_without_a_click(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    write_stage(job, "full", {"mixture": np.full((1, 3 * RATE), 0.5, np.float32)}, gain=1.0)
    job.write_state(status="done")
    page = ready(open_page(job))
    changes = [{"time": 1.0, "track": "mixture", "gain": 0.0}, {"time": 2.0, "track": "mixture", "gain": 1.0}]
    heard = render(page, start=0, duration=3, levels={"mixture": 1.0}, changes=changes)[0]
    assert heard[RATE - 1] == pytest.approx(0.5, abs=LSB)
    assert abs(heard[RATE + round(0.02 * RATE)]) < 1e-3
    assert heard[2 * RATE + round(0.03 * RATE)] == pytest.approx(0.5, abs=1e-3)
    # A constant shows every click as a step: the steepest change is that of the ramps (3 ms time constant; the end of
    # the recording is faded too, in 5 ms).
    assert np.abs(np.diff(heard[RATE // 2 :])).max() < 1.05 * 0.5 / (0.003 * RATE)


@pytest.mark.parametrize("rate", [48000, 11025])
def test_a_refused_rate_is_converted_without_seams(open_page: Any, store: JobStore, tmp_path: Path, rate: int) -> None:
    """The context has another rate than the recording: the same sine comes out, also across the borders of blocks."""
    job = make_job(store, tmp_path)
    t = np.arange(10 * RATE) / RATE
    sine = (0.5 * np.sin(2 * np.pi * 997 * t)).astype(np.float32)[None]
    write_stage(job, "full", {"mixture": sine}, gain=1.0)
    job.write_state(status="done")
    page = ready(open_page(job))
    heard = render(page, start=0, duration=9.9, levels={"mixture": 1.0}, rate=rate)[0]
    expected = 0.5 * np.sin(2 * np.pi * 997 * np.arange(len(heard)) / rate)
    assert len(heard) / rate > 2 * BLOCK / RATE
    assert np.abs(heard - expected)[rate // 10 :].max() < 1e-3


# -- what a visitor does


def test_plays_pauses_and_goes_where_it_is_told(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    page.get_by_role("button", name="Play", exact=True).click()
    wait_until(page, "p.debug.position > 0.5 && p.debug.sounding")
    debug = player(page, "p.debug")
    assert debug["sampleRate"] == RATE and debug["underruns"] == 0
    # Whatever is scheduled, of whichever track, puts one sample of the recording at one instant of the clock.
    assert {node["track"] for node in debug["scheduled"]} == set(only())
    assert len({node["at"] - node["start"] for node in debug["scheduled"]}) == 1
    player(page, "p.seek(9)")
    wait_until(page, "p.debug.position > 9.2 && p.debug.sounding")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert not player(page, "p.debug.playing") and player(page, "p.cursor") > 9.2


def test_stops_at_the_end_and_starts_again_from_the_start(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    player(page, "p.seek(11.5)")
    page.keyboard.press("Space")
    wait_until(page, "!p.debug.playing && p.cursor > 11.9")
    page.keyboard.press("Space")
    wait_until(page, "p.debug.sounding && p.cursor > 0.1 && p.cursor < 5")
    assert player(page, "p.debug.playing")


def test_mixture_and_stems_do_not_sound_at_once(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    muted = page.locator(".mute[aria-pressed=true]").evaluate_all("(all) => all.map((b) => b.ariaLabel)")
    assert muted == ["Mute mixture", "Mute residual", "Mute vocals (reference)"]
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="Solo mixture")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    expect(page.locator(".solo[aria-pressed=true]")).to_have_count(1)
    page.keyboard.press("Shift+Digit3")
    expect(page.locator(".solo[aria-pressed=true]")).to_have_count(2)
    assert player(page, "p.transport.levels") == only("vocals", "accompaniment")
    page.get_by_role("button", name="Mute vocals", exact=True).click()
    page.keyboard.press("m")
    expect(page.get_by_role("button", name="Mute vocals", exact=True)).to_have_attribute("aria-pressed", "false")


def test_gain_slider_says_decibels(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    slider = page.get_by_role("slider", name="Gain of vocals", exact=True)
    slider.fill("-6")
    assert slider.get_attribute("aria-valuetext") == "−6.0 dB"
    assert player(page, "p.transport.levels.vocals") == pytest.approx(10 ** (-6 / 20))
    slider.fill("-48")
    assert player(page, "p.transport.levels.vocals") == 0


def test_click_seeks_and_drag_selects_and_l_loops(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    events = "a => { window.seen = []; addEventListener('earshot-selection', (e) => seen.push(e.detail)); }"
    page.evaluate(events)
    box = page.locator("li[data-track=vocals] .lane").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.click(box["x"] + box["width"] / 2, y)
    assert player(page, "p.cursor") == pytest.approx(6, abs=0.05)
    page.mouse.move(box["x"] + box["width"] / 4, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, y, steps=4)
    page.mouse.up()
    assert player(page, "p.selection") == pytest.approx([3, 4], abs=0.05)
    assert page.evaluate("seen.at(-1)") == pytest.approx([3, 4], abs=0.05)
    page.keyboard.press("l")
    page.keyboard.press("Space")
    wait_until(page, "p.debug.sounding && p.cursor > 3.5")
    wait_until(page, "p.cursor < 3.4")  # round the loop
    assert player(page, "p.debug.underruns") == 0
    page.keyboard.press("Escape")
    assert player(page, "p.selection") is None


def test_the_page_around_it_can_loop_a_stretch(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    player(page, "p.loop(7, 7.5)")
    wait_until(page, "p.debug.sounding && p.cursor > 7.3")
    wait_until(page, "p.cursor < 7.2")
    assert player(page, "p.selection") == [7, 7.5]


def test_zoom_by_key_wheel_and_button(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    player(page, "p.seek(6)")
    page.keyboard.press("+")
    assert player(page, "p.view") == pytest.approx([3, 9], abs=0.01)
    box = page.locator("li[data-track=vocals] .lane").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -60)
    page.keyboard.up("Control")
    wait_until(page, "p.view[1] - p.view[0] < 5")
    page.get_by_role("button", name="Show everything").click()
    assert player(page, "p.view") == pytest.approx([0, 12])


def test_zooming_in_fetches_a_finer_outline(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    with page.expect_response(lambda response: ".peaks?" in response.url and "start=0&" not in response.url) as info:
        player(page, "p.setView([5, 5.2])")
    assert info.value.ok


def test_two_players_take_turns(open_page: Any, song: Job, store: JobStore, tmp_path: Path) -> None:
    other = done_job(store, tmp_path, 6)
    page = ready(open_page(song))
    second = (
        """p.insertAdjacentHTML("afterend", `<earshot-player id="b" base="/earshot/" job="${a}"></earshot-player>`)"""
    )
    player(page, second, other.id)
    page.wait_for_function("() => document.querySelector('#b').bounds")
    both = "() => [...document.querySelectorAll('earshot-player')].map((p) => [p.debug.playing, p.cursor > 0])"
    page.keyboard.press("Space")
    wait_until(page, "p.debug.sounding")
    assert [playing for playing, _ in page.evaluate(both)] == [True, False], "the keys are for the first one"
    page.locator("#b").get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => document.querySelector('#b').debug.sounding")
    assert [playing for playing, _ in page.evaluate(both)] == [False, True], "one sounds at a time"
    page.keyboard.press("Space")
    assert [playing for playing, _ in page.evaluate(both)] == [False, False], "the keys are for the one used last"
    page.evaluate("document.querySelector('#b').seek(0)")
    page.evaluate("document.querySelector('#b').remove()")
    page.keyboard.press("Space")
    wait_until(page, "p.debug.sounding")


def test_i_and_o_select_without_a_mouse(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    player(page, "p.seek(3)")
    page.keyboard.press("i")
    assert player(page, "p.selection") == pytest.approx([3, 12])
    player(page, "p.seek(4.5)")
    page.keyboard.press("o")
    assert player(page, "p.selection") == pytest.approx([3, 4.5])
    player(page, "p.seek(6)")
    page.keyboard.press("i")
    assert player(page, "p.selection") == pytest.approx([6, 12]), "a start behind the end drops the end"


def test_place_and_selection_may_be_said_before_there_is_anything(
    open_page: Any, store: JobStore, tmp_path: Path
) -> None:
    job = make_job(store, tmp_path)
    page = open_page(job)
    page.get_by_text("You are next").wait_for()
    player(page, "[p.seek(14), p.select([12, 22])]")
    tracks = {name: samples for name, samples in recording(30).items() if name != "reference-vocals"}
    cut = {name: samples[:, 10 * RATE : 20 * RATE] for name, samples in tracks.items()}
    write_stage(job, "preview", cut, start=10 * RATE)
    job.write_state(status="running", stage="separate")
    ready(page)
    assert player(page, "[p.cursor, ...p.selection]") == pytest.approx([14, 12, 20]), "as much as the preview holds"
    write_stage(job, "full", tracks)
    job.write_state(status="done")
    wait_until(page, "p.transport.stage.start === 0")
    assert player(page, "[p.cursor, ...p.selection]") == pytest.approx([14, 12, 22])


def test_help_lists_the_keys(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard and mouse")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("loop the selection")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_uncertain_boundaries_are_marked(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    mark = page.get_by_role("button", name="the sources may have changed places")
    mark.click()
    assert player(page, "p.cursor") == pytest.approx(4)


def test_every_control_has_a_name(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    nameless = page.locator("button:visible, input:visible").evaluate_all(
        "(all) => all.filter((e) => !(e.ariaLabel || e.textContent.trim())).map((e) => e.className)"
    )
    assert nameless == []


def test_downloads_a_track_and_the_mix(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    page.get_by_role("button", name="Download vocals", exact=True).click()
    with page.expect_download() as info:
        page.get_by_role("menuitem", name="WAV, 16 bit").click()
    assert info.value.suggested_filename == "song - vocals.wav"
    page.get_by_role("button", name="Download the mix").click()
    with page.expect_download() as info:
        page.get_by_role("menuitem", name="FLAC").click()
    assert info.value.suggested_filename == "song - mix.flac"


def test_touch_taps_seek_and_a_phone_shows_everything(open_page: Any, song: Job) -> None:
    page = ready(open_page(song, width=390, has_touch=True, is_mobile=True))
    lane = page.locator("li[data-track=vocals] .lane")
    box = lane.bounding_box()
    lane.tap(position={"x": box["width"] / 4, "y": 20})
    assert player(page, "p.cursor") == pytest.approx(3, abs=0.1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_two_fingers_zoom(open_page: Any, song: Job) -> None:
    page = ready(open_page(song, width=390, has_touch=True, is_mobile=True))
    lane = page.locator("li[data-track=vocals] .lane")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 30
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *offsets: float) -> None:
        points = [{"x": x + offset, "y": y, "id": i} for i, offset in enumerate(offsets)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20)
    touch("touchStart", -20, 20)
    for spread in (30, 40, 60, 80):
        touch("touchMove", -spread, spread)
    touch("touchEnd")
    assert player(page, "p.view") == pytest.approx([4.5, 7.5], abs=0.2)
    assert player(page, "[p.cursor, p.selection]") == [0, None]


# -- length and network


def an_hour(job: Job, rate: int = 8000) -> None:
    """An hour of mono: every second its own level, so that it can be told from what is played where one is."""
    length = 3600 * rate
    folder = job.folder / "full"
    folder.mkdir()
    second = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    outline = PeakBuilder()
    with sf.SoundFile(folder / "mixture.wav", "w", rate, 1, "PCM_16") as file:
        for minute in range(60):
            levels = 0.1 + 0.8 * (60 * minute + np.arange(60)) / 3600
            block = (levels[:, None] * second).reshape(-1).astype(np.float32)
            file.write(block)
            outline.add(block[None])
    outline.save(folder / "mixture.peaks")
    stage = {"sample_rate": rate, "channels": 1, "length": length, "start": 0, "gain": 1.0, "tracks": ["mixture"]}
    job.write_stage("full", {**stage, "null_db": None, "uncertain_boundaries": []})
    job.write_state(status="done")


def test_an_hour_plays_without_loading_it(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    an_hour(job)
    whole = (job.folder / "full" / "mixture.wav").stat().st_size
    assert whole > 57_000_000
    page = ready(open_page(job))
    fetched: list[int] = []

    def count(response: Any) -> None:
        if ".pcm" in response.url:
            fetched.append(int(response.headers["content-length"]))

    page.on("response", count)
    expect(page.get_by_text("1:00:00", exact=False).first).to_be_visible()
    page.keyboard.press("Space")
    places = [1800, 5, 3540, 600, 2700, 1234, 3000, 60, 2222]
    for seconds in places:
        player(page, "p.seek(a)", seconds)
        wait_until(page, f"p.debug.sounding && p.cursor > {seconds}.2")
        assert player(page, "p.debug.blocks.mixture") <= 8, "blocks that are held, of 440"
    player(page, "p.loop(3500, 3500.6)")
    wait_until(page, "p.debug.sounding && p.cursor > 3500.4")
    wait_until(page, "p.cursor >= 3500 && p.cursor < 3500.3")
    player(page, "p.setView([1799, 1801])")
    heard = render(page, start=1800.0, duration=0.5, levels={"mixture": 1.0})[0]
    assert np.abs(heard).max() == pytest.approx(0.1 + 0.8 * 1800 / 3600, abs=2e-3), "it is the right second"
    player(page, "p.seek(3599)")
    page.keyboard.press("Escape")
    wait_until(page, "!p.debug.playing && p.cursor > 3599.9")
    # Eight seconds ahead of every place, in blocks of 8.2 s, is at most three blocks a place.
    assert sum(fetched) <= 3 * (len(places) + 4) * 2 * BLOCK < whole / 8
    assert player(page, "p.debug.blocks.mixture") <= 8
    assert player(page, "p.debug.underruns") == 0


def test_waits_for_the_network_and_goes_on(open_page: Any, song: Job) -> None:
    page = ready(open_page(song, allow="Failed to load resource"))
    page.route("**/*.pcm", lambda route: route.abort())
    player(page, "p.seek(9)")
    page.keyboard.press("Space")
    expect(page.locator(".hint")).to_have_text("waiting for the network…")
    assert player(page, "[p.debug.playing, p.debug.sounding]") == [True, False]
    page.unroute("**/*.pcm")
    wait_until(page, "p.debug.sounding && p.cursor > 9.2")
    expect(page.locator(".hint")).to_have_text("")


# -- the job


def test_shows_the_queue_then_the_preview_then_the_result_at_the_same_place(
    open_page: Any, store: JobStore, tmp_path: Path
) -> None:
    job = make_job(store, tmp_path)
    job.write_state(position=2)
    page = open_page(job)
    expect(page.get_by_text("2 jobs ahead of you")).to_be_visible()
    height = page.locator(".deck").evaluate("(e) => e.getBoundingClientRect().height")
    job.write_state(status="running", stage="preview", fraction=0.4, remaining=130.0, position=0)
    expect(page.get_by_text("Separating a preview")).to_be_visible()
    expect(page.get_by_text("about 3 min left")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "40")

    tracks = {name: samples for name, samples in recording(30).items() if name != "reference-vocals"}
    cut = {name: samples[:, 10 * RATE : 25 * RATE] for name, samples in tracks.items()}
    write_stage(job, "preview", cut, start=10 * RATE)
    job.write_state(stage="separate")
    expect(page.get_by_text("separating, about 3 min left")).to_be_visible()
    ready(page)
    assert abs(page.locator(".deck").evaluate("(e) => e.getBoundingClientRect().height") - height) < 60
    assert player(page, "p.cursor") == pytest.approx(10)
    player(page, "p.seek(13)")
    page.keyboard.press("Space")
    wait_until(page, "p.debug.sounding && p.cursor > 13.2")

    code = "a => { window.seen = []; addEventListener('earshot-cursor', (e) => seen.push([performance.now(), e.detail])); }"
    page.evaluate(code)
    write_stage(job, "full", tracks)
    job.write_state(status="done", fraction=1.0, remaining=0.0)
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    wait_until(page, "p.transport.stage.start === 0 && p.debug.sounding")
    page.wait_for_timeout(400)
    seen = np.array(page.evaluate("seen"))
    # The playhead never jumps: it has moved on by as much as time has passed.
    assert np.abs(np.diff(seen[:, 1]) - np.diff(seen[:, 0]) / 1000).max() < 0.25
    assert player(page, "p.debug.underruns") == 0


def test_cancel_says_stopping_until_it_has_stopped(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    job.write_state(status="running", stage="separate", fraction=0.2)
    page = open_page(job)
    with page.expect_response("**/cancel"):
        page.get_by_role("button", name="Cancel").click()
    assert job.cancelled
    expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
    job.write_state(status="cancelled")
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stopping…")).to_be_hidden()


def test_failure_is_told_in_three_parts(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    error = {"asked": "Read song.mp3", "found": "the file holds no samples", "advice": "Export it again"}
    job.write_state(status="failed", error=error)
    alert = open_page(job).get_by_role("alert")
    for part in error.values():
        expect(alert).to_contain_text(part)


def test_a_deleted_job_says_so(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 3)
    page = ready(open_page(job, allow="404"))
    page.get_by_role("button", name="Delete my audio now").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not here any more")
    assert not job.folder.exists()


def test_lost_connection_is_shown_and_mended(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    job.write_state(status="running", stage="separate", fraction=0.2)
    page = open_page(job, allow="Failed to load resource")
    expect(page.get_by_text("Separating", exact=True)).to_be_visible()
    page.route("**/earshot/jobs/**", lambda route: route.abort())
    expect(page.get_by_text("Connection lost, retrying")).to_be_visible()
    page.unroute("**/earshot/jobs/**")
    expect(page.get_by_text("Separating", exact=True)).to_be_visible()


def test_leaving_the_page_stops_everything(open_page: Any, song: Job) -> None:
    page = ready(open_page(song))
    page.keyboard.press("Space")
    wait_until(page, "p.debug.sounding")
    code = "window.gone = p, window.audio = p.transport.audio, p.remove(), true"
    player(page, code)
    page.wait_for_function("() => window.audio.state === 'closed'")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert asked == []
