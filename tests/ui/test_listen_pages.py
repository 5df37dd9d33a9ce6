"""The listener's pages in a real browser: every layout, by mouse and by keys, on a phone, and with the server away.

The server is a small one of their own (`fake_listen`); the switch between sounds is measured sample by sample in an
OfflineAudioContext, which runs the same code as the page.
"""

import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from fake_listen import CODE, LENGTH, SESSION, FakeListen, app, pages

from separation.ui.listen_files import FILES, LANGUAGES, OpenStudy, index_html, words

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
TRIALS = {page["stimuli"][0]["token"].split("-")[0]: at for at, page in enumerate(pages()) if page["kind"] == "trial"}
PLACES = {page["kind"]: place for place, page in enumerate(pages()) if page["kind"] != "trial"}
AWAY = re.compile(r"^Failed to load resource: the server responded with a status of (503|404|422)")
RATE, FADE = 48_000, 240


def test_every_language_has_every_text() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path, kind in FILES.values() if kind == "text/javascript")
    sources += "".join(path.read_text(encoding="utf-8") for path in Path(FILES["listen.js"][0]).parent.glob("*.html"))
    english = words("en")
    for language in LANGUAGES:
        texts = words(language)
        assert list(texts) == list(english)
        for key, text in texts.items():
            assert text.strip(), (language, key)
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), (language, key)
    composed = re.compile(
        r"sound\.(target|mixture|x|a|b)|state\.\w+|loop\.(start|end)|marks\.(start|end)-of|index\.none"
    )
    unused = [key for key in english if f'"{key}"' not in sources and not composed.fullmatch(key)]
    assert unused == []
    asked = set(re.findall(r'say\(\s*"([\w.-]+)"', sources)) | set(re.findall(r'data-text="([\w.-]+)"', sources))
    assert asked - set(english) == set()


def test_the_index_names_open_studies_and_nothing_else() -> None:
    page = index_html([OpenStudy("ears", "Voices & <noise>", 12, ("en", "de"))])
    assert 'href="listen/ears"' in page and "Voices &amp; &lt;noise&gt;" in page
    assert "{{" not in page
    assert 'data-text="index.none"' in index_html([])


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, FakeListen]]:
    fake = FakeListen()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(app(fake), log_level="critical", ws="none", lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/listen", fake
        running.should_exit = True
        thread.join()


@pytest.fixture
def fake(server: tuple[str, FakeListen]) -> FakeListen:
    """The server as it begins, before any listener."""
    vars(server[1]).update(vars(FakeListen()))
    return server[1]


@pytest.fixture
def visitor(browser: Any, server: tuple[str, FakeListen], fake: FakeListen) -> Iterator[Callable[..., Any]]:
    """Opens the test at a page, in a new profile; at the end the console must be empty, but for a server that was away."""
    contexts, said = [], []

    def visit(place: int = 0, *, width: int = 1280, dark: bool = False, context: Any = None, query: str = "") -> Any:
        fake.place = max(fake.place, place)
        if context is None:
            scheme = "dark" if dark else "light"
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en")
            context.set_default_timeout(30_000)
            context.on("console", lambda one: said.append(one.text) if one.type in ("warning", "error") else None)
            context.on("weberror", lambda error: said.append(str(error.error)))
            contexts.append(context)
        page = context.new_page()
        page.goto(f"{server[0]}/ears{query}")
        expect(page.locator("h1")).not_to_be_empty()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in said if not AWAY.match(text)] == []


def loaded(page: Any) -> Any:
    """The sounds are here."""
    expect(page.locator(".bar .play")).to_be_enabled()
    return page


def enough(page: Any) -> None:
    """Half a second has to sound, and no state says when it has."""
    page.wait_for_timeout(650)


def hear(page: Any, name: str) -> None:
    """Press the button of a sound and listen long enough."""
    button = page.locator(".sound", has=page.locator(".name", has_text=re.compile(f"^{name}$")))
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    enough(page)


def waiting(page: Any) -> int:
    """How many answers are kept in the browser because they are not known to be saved."""
    kept = "Object.entries(localStorage).filter(([key, value]) => key.includes('.out.') && value.includes('\"given\"'))"
    return int(page.evaluate(f"{kept}.length"))


def onward(page: Any) -> None:
    """Next, and wait until the next page is there."""
    count = page.locator(".count").inner_text()
    page.locator(".next").click()
    expect(page.locator(".count")).not_to_have_text(count)


def rendered(page: Any, script: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What an OfflineAudioContext hears of `script`, which has `make`, `side` and `when`: two channels of a second."""
    samples = page.evaluate(
        f"""async () => {{
          const {{ Switcher }} = await import("/listen/-/switcher.js");
          const context = new OfflineAudioContext(2, {RATE}, {RATE});
          const when = (time, act) => context.suspend(time).then(act).finally(() => context.resume());
          const make = (options = {{}}, length = 2 * {RATE}) =>
            new Switcher(context, context.destination, {{ sampleRate: {RATE}, channels: 2, length }}, options);
          const side = (left, right, length = 2 * {RATE}) => {{
            const pcm = new Int16Array(2 * length);
            for (let i = 0; i < length; i++) {{ pcm[2 * i] = left(i); pcm[2 * i + 1] = right(i); }}
            return pcm;
          }};
          {script}
          const buffer = await context.startRendering();
          return [0, 1].map((channel) => Array.from(buffer.getChannelData(channel)));
        }}"""
    )
    return np.array(samples)


def fall() -> np.ndarray[Any, np.dtype[np.float64]]:
    return 0.5 + 0.5 * np.cos(np.pi * np.arange(FADE) / FADE)


@pytest.mark.browser
def test_a_switch_fades_out_and_then_in(visitor: Callable[..., Any]) -> None:
    left, right = rendered(
        visitor(),
        """const s = make(); const full = () => 16384, none = () => 0;
           s.add("a", side(full, none)); s.add("b", side(none, full)); s.play("a"); when(0.25, () => s.switchTo("b"));""",
    )
    start = int(np.ceil(0.25 * RATE / 128)) * 128 + 960  # suspended at a block of 128, and 20 ms later
    assert left[2000:start] == pytest.approx(0.5)
    assert left[start : start + FADE] == pytest.approx(0.5 * fall(), abs=2e-4)
    assert np.all(left[start + FADE + 1 :] == 0)
    assert np.all(right[: start + FADE] == 0)
    assert right[start + FADE : start + 2 * FADE] == pytest.approx(0.5 * (1 - fall()), abs=2e-4)
    assert right[start + 2 * FADE + 1 :] == pytest.approx(0.5)
    assert np.minimum(left, right).max() < 1e-6
    assert (
        np.sum((left < 1e-6) & (right < 1e-6) & (np.arange(RATE) > 2000)) <= 8
    )  # the bottoms of two cosines, no pause


@pytest.mark.browser
def test_a_cross_fade_keeps_the_sum_of_what_both_share(visitor: Callable[..., Any]) -> None:
    left, right = rendered(
        visitor(),
        """const s = make({ switching: "crossfade" }); const full = () => 16384, none = () => 0;
           s.add("a", side(full, none)); s.add("b", side(none, full)); s.play("a"); when(0.25, () => s.switchTo("b"));""",
    )
    assert (left + right)[2000:] == pytest.approx(0.5, abs=1e-4)
    assert left[-1] == 0 and right[-1] == pytest.approx(0.5)


@pytest.mark.browser
def test_a_switch_keeps_the_place_to_the_sample_and_fast_ones_never_overlap(visitor: Callable[..., Any]) -> None:
    left, right = rendered(
        visitor(),
        """const s = make(); const count = (i) => 1 + (i % 30000), none = () => 0;
           s.add("a", side(count, none)); s.add("b", side(none, count)); s.play("a");
           when(0.3, () => { s.switchTo("b"); s.switchTo("a"); s.switchTo("b"); });""",
    )
    assert np.minimum(left, right).max() < 1e-6
    place = np.round(32768 * (left + right))
    frames = np.arange(RATE)
    steady = (frames > 2000) & ((frames < 0.3 * RATE) | (frames > 0.3 * RATE + 960 + 128 + 8 * FADE))
    starts = np.unique((frames[steady] - (place[steady] - 1)) % 30000)
    assert starts.tolist() == [960]  # every sample is where it would have been without a switch


@pytest.mark.browser
def test_a_loop_is_faded_at_its_ends_and_at_least_half_a_second(visitor: Callable[..., Any]) -> None:
    left, _ = rendered(
        visitor(),
        """const s = make(); const full = () => 16384;
           s.add("a", side(full, full)); s.setLoop([0.2, 0.3]); s.seek(0.2); s.play("a");""",
    )
    end = 960 + RATE // 2
    rise = np.sin(np.pi * (np.arange(FADE) + 0.5) / (2 * FADE)) ** 2
    assert left[end : end + FADE] == pytest.approx(0.5 * rise, abs=1e-3)
    assert left[end - FADE : end] == pytest.approx(0.5 * rise[::-1], abs=1e-3)
    assert left[1300 : end - FADE] == pytest.approx(0.5)


@pytest.mark.browser
def test_pause_and_seek_leave_no_edge(visitor: Callable[..., Any]) -> None:
    left, _ = rendered(
        visitor(),
        """const s = make(); const full = () => 16384;
           s.add("a", side(full, full)); s.seek(0.5); s.play("a");
           when(0.3, () => s.seek(1.5)); when(0.6, () => s.pause()); when(0.8, () => s.play());""",
    )
    assert np.abs(np.diff(left)).max() < 0.5 * np.pi / (2 * FADE) * 1.05  # no steeper than a fade
    assert np.all(left[round(0.6 * RATE) + 1500 : round(0.8 * RATE) + 800] == 0)
    assert left[-1] == pytest.approx(0.5)


@pytest.mark.browser
def test_a_clock_that_stands_still_is_an_underrun(visitor: Callable[..., Any]) -> None:
    page = visitor()
    page.clock.install()  # the page's clock stands still between the steps below, that of the sound does not
    page.evaluate(
        """async () => {
          const { Switcher } = await import("/listen/-/switcher.js");
          const context = new AudioContext({ sampleRate: 16000 });
          await context.resume();
          window.tested = new Switcher(context, context.destination, { sampleRate: 16000, channels: 1, length: 16000 });
          tested.add("a", new Int16Array(16000));
          tested.play("a");
        }"""
    )
    page.clock.run_for(2000)
    assert page.evaluate("tested.underruns") == 0
    page.clock.run_for(2000)
    assert page.evaluate("tested.underruns") == 1
    page.evaluate("tested.pause()")
    page.clock.run_for(4000)
    assert page.evaluate("tested.underruns") == 1


@pytest.mark.slow
@pytest.mark.browser
def test_a_whole_test_from_consent_to_the_code(visitor: Callable[..., Any], fake: FakeListen) -> None:
    page = visitor()
    page.locator(".next").click()
    expect(page.locator(".lacks")).to_contain_text("still open")
    page.get_by_label("I have read this").check()
    onward(page)
    page.get_by_label("Your age").fill("7")
    page.get_by_text("Headphones").click()
    page.locator(".next").click()
    expect(page.locator(".lacks")).to_contain_text("18 – 120")
    page.get_by_label("Your age").fill("31")
    onward(page)
    onward(page)
    loaded(page).locator(".play").click()
    page.get_by_label("Level of the test").fill("80")
    enough(page)
    onward(page)
    loaded(page)
    for number in (1, 2):
        hear(page, str(number))
        page.locator(".sound-group").nth(number - 1).get_by_role("radio", name="2").check()
    onward(page)
    for place, count in ((PLACES["training"], 2), (TRIALS["mushra"], 6)):
        loaded(page)
        for number in range(1, count + 1):
            hear(page, str(number))
            page.get_by_label(f"Sound {number}").get_by_role("slider").fill(str(100 - 10 * number))
        onward(page)
        assert fake.given(f"page-{place}")["quality mushra-sound-1"] == 80
    loaded(page).locator(".play").click()
    for scale in ("The voice alone", "The background alone"):
        page.get_by_role("radiogroup", name=scale).get_by_text("Good").click()
    enough(page)
    onward(page)
    for name in ("A", "B"):
        hear(loaded(page), name)
    page.get_by_text("B is better").click()
    page.get_by_text("clearer voice").click()
    onward(page)
    for name in ("X", "A", "B"):
        hear(loaded(page), name)
    page.get_by_role("radiogroup").get_by_text("A", exact=True).click()
    onward(page)
    for name in ("1", "2", "3"):
        hear(loaded(page), name)
    page.get_by_role("button", name="Move Sound 1 down").click()
    onward(page)
    hear(loaded(page), "The sound")
    page.get_by_label("How well are other sounds suppressed").fill("33")
    onward(page)
    page.get_by_text("Hard", exact=True).click()
    onward(page)
    expect(page.locator(".code")).to_have_text(CODE)
    expect(page.get_by_role("link", name="Back to where you came from")).to_have_attribute(
        "href", re.compile("crowd.example")
    )
    given = [fake.given(f"page-{place}") for place in range(13)]
    assert given[0] == {"consent": True}
    assert given[1] == {"age": 31, "device": "headphones"}
    assert given[4] == {"quietest headphones-sound-0": "2", "quietest headphones-sound-1": "2"}
    assert given[7] == {"sig single-sound-0": 4, "bak single-sound-0": 4}
    assert given[8] == {"preference": "b", "reasons": ["clearer"]}
    assert given[9] == {"same": "a"}
    assert given[10] == {"rank rank-sound-0": 2, "rank rank-sound-1": 1, "rank rank-sound-2": 3}
    assert given[11] == {"others scale-sound-0": 33}
    assert given[12] == {"hard": 1}
    assert [did["detail"]["percent"] for did in fake.did("level")] == [80]
    heard = Counter[str]()
    for did in fake.did("heard"):
        heard[did["of"]] += did["detail"]["seconds"]
    assert all(heard[f"mushra-sound-{place}"] > 0.5 for place in range(6))
    assert {did["detail"]["rate"] for did in fake.did("audio")} == {16000}


@pytest.mark.browser
def test_only_the_slider_of_the_heard_sound_can_be_moved_and_keys_do_it(
    visitor: Callable[..., Any], fake: FakeListen
) -> None:
    page = loaded(visitor(TRIALS["mushra"]))
    sliders = page.locator(".strip").get_by_role("slider")
    assert [sliders.nth(place).is_disabled() for place in range(6)] == [True] * 6
    page.keyboard.press("3")
    expect(sliders.nth(2)).to_be_focused()
    assert [sliders.nth(place).is_disabled() for place in range(6)] == [True, True, False, True, True, True]
    assert page.locator(".strip").nth(2).bounding_box()["height"] > 378  # CSS pixels: 10 cm
    expect(sliders.nth(2)).to_have_attribute("aria-valuetext", "not rated yet")
    for _ in range(3):
        page.keyboard.press("PageUp")
    page.keyboard.press("ArrowDown")
    expect(sliders.nth(2)).to_have_attribute("aria-valuetext", re.compile(r"^\d+, Poor$"))
    enough(page)
    page.keyboard.press("1")
    expect(sliders.nth(0)).to_be_focused()
    enough(page)
    page.keyboard.press("Home")  # it stands there already: that is an answer too
    expect(sliders.nth(0)).to_have_attribute("aria-valuetext", "0, Bad")
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Reference")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".spoken")).to_contain_text("Reference")
    assert all(sliders.nth(place).is_disabled() for place in range(6))
    page.locator("h1").focus()
    page.keyboard.press(" ")
    expect(page.locator(".play")).to_have_attribute("aria-label", "Play")
    page.get_by_role("slider", name="End of the loop").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.get_by_role("slider", name="End of the loop")).to_have_attribute("aria-valuenow", "0.5")
    page.get_by_role("button", name="Repeat all of it").click()
    expect(page.get_by_role("slider", name="End of the loop")).to_have_attribute(
        "aria-valuenow", f"{LENGTH / 16000:.1f}"
    )
    page.locator(".next").click()
    expect(page.locator(".lacks")).to_contain_text("Not heard yet: Sound 2, Sound 4, Sound 5, Sound 6")
    expect(page.locator(".lacks")).to_contain_text("Not rated yet: Sound 2, Sound 4, Sound 5, Sound 6")
    expect(page.locator(".state")).to_have_text("Saved")
    assert fake.given(f"page-{TRIALS['mushra']}")["quality mushra-sound-0"] == 0
    assert [did["of"] for did in fake.did("switch")] == ["mushra-sound-0", "mushra-target"]
    loaded(page).reload()
    expect(sliders.nth(0)).to_have_attribute("aria-valuetext", "0, Bad")
    loaded(page).locator(".next").click()
    expect(page.locator(".lacks")).to_contain_text("Not heard yet: Sound 2, Sound 4, Sound 5, Sound 6")


@pytest.mark.browser
def test_nothing_is_lost_while_the_server_is_away(visitor: Callable[..., Any], fake: FakeListen) -> None:
    page = visitor(PLACES["demographics"])
    page.get_by_label("Your age").fill("40")
    expect(page.locator(".state")).to_have_text("Saved")
    fake.dead = True
    page.get_by_text("Loudspeakers").click()
    page.get_by_text("Piano").click()
    page.get_by_label("Anything we should know?").fill("I hear well & <b>bold</b>")
    expect(page.locator(".state")).to_have_text("Not saved yet, trying again")
    expect(page.locator(".banner")).to_contain_text("Not everything has been saved yet")
    assert waiting(page) >= 2
    page.reload()  # the server does not even give the page
    expect(page.locator(".banner")).to_contain_text("The server does not answer")
    fake.dead = False
    expect(page.get_by_label("Loudspeakers")).to_be_visible()
    expect(page.locator(".banner")).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Loudspeakers")).to_be_checked()
    expect(page.get_by_label("Anything we should know?")).to_have_value("I hear well & <b>bold</b>")
    expect(page.get_by_label("Your age")).to_have_value("40")
    given = [payload for _, payload in fake.events.values() if payload["kind"] == "given"]
    assert [each["value"] for each in given if each["field"] == "device"] == ["loudspeakers"]
    fake.dead = True
    page.locator(".next").click()
    expect(page.locator(".banner")).to_be_visible()
    fake.dead = False
    expect(page.locator("h1")).to_have_text("How it works")
    assert fake.sessions == 1
    assert waiting(page) == 0


@pytest.mark.browser
def test_the_older_of_two_tabs_steps_aside(visitor: Callable[..., Any], fake: FakeListen) -> None:
    first = visitor(PLACES["demographics"])
    first.get_by_label("Anything we should know?").fill("typed but not yet sent")
    second = visitor(context=first.context)
    expect(first.locator("h1")).to_have_text("The test goes on in another tab")
    expect(first.locator(".next")).to_be_hidden()
    second.reload()
    expect(second.get_by_label("Anything we should know?")).to_have_value("typed but not yet sent")
    first.get_by_role("button", name="Go on here instead").click()
    expect(first.get_by_label("Your age")).to_be_visible()
    expect(second.locator("h1")).to_have_text("The test goes on in another tab")
    assert fake.sessions == 1


@pytest.mark.browser
def test_withdrawing_deletes_here_and_there(visitor: Callable[..., Any], fake: FakeListen) -> None:
    page = visitor(PLACES["demographics"])
    page.get_by_label("Your age").fill("50")
    page.get_by_role("button", name="Withdraw and delete my answers").click()
    page.get_by_role("button", name="Go on with the test").click()
    expect(page.get_by_label("Your age")).to_have_value("50")
    page.get_by_role("button", name="Withdraw and delete my answers").click()
    page.get_by_role("button", name="Delete everything").click()
    expect(page.locator("h1")).to_have_text("Your answers are deleted")
    assert fake.withdrawn
    kept = page.evaluate("Object.keys(localStorage)")
    assert [key for key in kept if SESSION in key or "study." in key] == []


@pytest.mark.browser
def test_a_refusal_says_what_is_missing_and_where(visitor: Callable[..., Any], fake: FakeListen) -> None:
    page = visitor(PLACES["questionnaire"])
    page.get_by_text("Easy").click()
    fake.refusal = {
        "asked": "Go on", "found": "one answer is missing", "advice": "Fill it in", "missing": ["hard"],
    }  # fmt: skip
    page.locator(".next").click()
    expect(page.locator(".lacks")).to_contain_text("one answer is missing. Fill it in")
    expect(page.get_by_label("Easy")).to_be_focused()
    onward(page)


@pytest.mark.browser
def test_a_pause_ends_by_itself_and_a_dead_link_says_so(visitor: Callable[..., Any], fake: FakeListen) -> None:
    fake.paused = True
    page = visitor()
    expect(page.locator("h1")).to_have_text("A break")
    fake.paused = False
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h1")).to_have_text("Welcome")
    fake.withdrawn = True
    page.reload()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("this test was deleted")


@pytest.mark.browser
def test_who_comes_during_a_pause_begins_after_it(visitor: Callable[..., Any], fake: FakeListen) -> None:
    fake.paused = True
    page = visitor(query="?pid=new")
    expect(page.locator("h1")).to_have_text("A break")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h1")).to_have_text("A break")
    fake.paused = False
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h1")).to_have_text("Welcome")
    assert page.evaluate("Object.values(localStorage)").count(f'"{SESSION}"') == 1


@pytest.mark.browser
def test_what_was_said_of_a_sound_is_gone_on_the_next_page(visitor: Callable[..., Any], fake: FakeListen) -> None:
    page = loaded(visitor(TRIALS["pair"]))
    hear(page, "A")
    expect(page.locator(".spoken")).to_have_text("Playing: A")
    fake.place = PLACES["end"]
    page.get_by_label("Language").select_option("de")  # asks for the page anew
    expect(page.locator("h1")).to_have_text("Thank you")
    expect(page.locator(".spoken")).to_be_empty()


@pytest.mark.browser
def test_marks_are_made_with_and_without_a_mouse(visitor: Callable[..., Any], fake: FakeListen) -> None:
    page = loaded(visitor(TRIALS["single"]))
    lane = page.locator(".field.marks .lane")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20, steps=4)
    page.mouse.up()
    page.get_by_label("What is heard at mark 1").select_option("gap")
    page.get_by_label("End of mark 1 in seconds").fill("1.5")
    page.get_by_label("End of mark 1 in seconds").press("Tab")
    expect(page.locator(".state")).to_have_text("Saved")
    [mark] = fake.given(f"page-{TRIALS['single']}")["marks single-sound-0"]
    assert mark["label"] == "gap" and mark["end"] == 1.5 and mark["start"] == pytest.approx(0.5, abs=0.02)
    page.get_by_role("button", name="A mark starts here").press("Enter")
    page.get_by_role("button", name="It ends here").press("Enter")
    expect(page.locator(".marks > li")).to_have_count(2)
    page.get_by_role("button", name="Remove mark 1").click()
    expect(page.locator(".marks > li")).to_have_count(1)


@pytest.mark.browser
def test_pictures_are_there_only_where_they_are_allowed_and_say_so(
    visitor: Callable[..., Any], fake: FakeListen
) -> None:
    page = loaded(visitor(TRIALS["single"]))
    page.get_by_text("Show waveform and spectrogram").click()
    drawn = """(canvas) => {
      const { width, height } = canvas;
      const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
      const rows = Array.from({ length: height }, (_, y) => {
        let sum = 0;
        for (let x = 100; x < width; x++) sum += data[4 * (y * width + x) + 3];
        return sum;
      });
      return rows.indexOf(Math.max(...rows)) / height;
    }"""
    pitch = 200 + sum(b"single-sound-0") % 400  # of the only tone, as the server makes it
    place = 1 - np.log(pitch / 60) / np.log(8000 / 60)
    assert page.locator(".spectrogram").evaluate(drawn) == pytest.approx(place, abs=0.04)
    assert page.locator(".waveform").evaluate(drawn) == pytest.approx(0.5, abs=0.05)
    page.get_by_text("Good").first.click()  # an answer is sent at once, and what was done goes with it
    expect(page.locator(".state")).to_have_text("Saved")
    assert [did["detail"]["shown"] for did in fake.did("view")] == [True]
    other = loaded(visitor(TRIALS["pair"], context=page.context))
    expect(other.get_by_text("Show waveform and spectrogram")).to_have_count(0)


@pytest.mark.browser
def test_the_language_changes_on_the_page(visitor: Callable[..., Any]) -> None:
    page = visitor(PLACES["demographics"])
    page.get_by_label("Language").select_option("de")
    expect(page.locator(".study")).to_have_text("Was hörst du?")
    expect(page.locator(".next")).to_have_text("Weiter")
    assert page.locator("html").get_attribute("lang") == "de"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (320, True)])
def test_no_page_is_cut_off_or_hard_to_read(
    visitor: Callable[..., Any], fake: FakeListen, width: int, dark: bool
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visitor(width=width, dark=dark)
    found = []
    for place, shown in enumerate(pages()):
        fake.place = place
        page.reload()
        expect(page.locator("h1")).to_have_text(shown["title"])
        expect(page.locator(".sheet")).to_have_class(re.compile(shown["kind"]))
        if page.locator(".bar").count():
            loaded(page).locator(".play").click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
        results = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [each for each in results if each["impact"] in ("serious", "critical")]
        found += [(place, each["id"], each["nodes"][0]["html"][:200]) for each in serious]
    assert found == []
