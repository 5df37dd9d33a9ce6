"""The Learn page in a real browser: two clips, a lesson, a separation, a component that moves, and coming back to all of it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_lessons import Held, sounds, write
from page_services import running, services

from separation.ui import server
from separation.ui.frame import Services
from separation.ui.lessons import Lessons

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PATIENCE = 120_000
"""Milliseconds: a lesson and a separation, on a machine that does other things."""
PLAYER = "document.querySelector('.learn-result earshot-player')"


@pytest.fixture(scope="module")
def teach() -> Held:
    return Held()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, teach: Held) -> Iterator[str]:
    opened = server.open_lessons

    def held(given: Services) -> Lessons:
        lessons = opened(given)
        lessons._teach = teach
        return lessons

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "open_lessons", held)
        with running(services(tmp_path_factory.mktemp("learn"))) as url:
            yield url.rstrip("/")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; at the end the console must be empty."""
    contexts, said, asked = [], [], []

    def visitor(*, width: int = 1280) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/learn")
        expect(page.get_by_role("heading", name="Teach it your own sounds")).to_be_visible(timeout=PATIENCE)
        return page

    yield visitor
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == [], "nothing from elsewhere"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sounds")
    learned, mixed = sounds(), sounds(3.0, seed=7)
    made = {name: write(folder / f"{name}.wav", samples) for name, samples in learned.items()}
    return {**made, "mixture": write(folder / "both.wav", mixed["strings"] + mixed["hiss"])}


def step(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def bring(page: Any, files: dict[str, Path]) -> None:
    """Both sources with a clip, few components and few steps."""
    for number, name in enumerate(("strings", "hiss"), 1):
        page.get_by_label(f"Name of source {number}").fill(name)
        page.get_by_label(f"Choose clips of source {number}").set_input_files(files[name])
    expect(page.get_by_role("button", name=re.compile(r"^Play \w+\.wav"))).to_have_count(2, timeout=PATIENCE)
    learn = step(page, "Learn")
    learn.get_by_label("Components of each source").fill("5")
    learn.get_by_text("More settings").click()
    learn.get_by_label("Steps of learning").fill("20")


def tiles(page: Any, source: str) -> Any:
    return page.get_by_role("listbox", name=f"Components of {source}").get_by_role("option")


def wait_until(page: Any, condition: str) -> None:
    page.wait_for_function(f"() => {{ const p = {PLAYER}; return {condition}; }}")


def test_learn_separate_move_a_component_and_hear_it(visit: Callable[..., Any], files: dict[str, Path]) -> None:
    page = visit()
    learn, separate = step(page, "Learn"), step(page, "Separate")
    expect(learn.get_by_text("Bring a clip of source 1 and of source 2 first.")).to_be_visible()
    bring(page, files)
    separate.get_by_label("Choose the mixture").set_input_files(files["mixture"])
    learn.get_by_role("button", name="Learn, then separate").click()

    expect(tiles(page, "strings")).to_have_count(5, timeout=PATIENCE)
    expect(learn.get_by_text("Learned. Its components are below.")).to_be_visible(timeout=PATIENCE)
    expect(learn.get_by_role("img", name=re.compile(r"still gets wrong.*strings \d+ %, hiss \d+ %"))).to_be_visible()
    wait_until(page, "p.stageName === 'full' && p.record.state.status === 'done'")
    assert page.evaluate(f"{PLAYER}.stage.tracks") == ["mixture", "strings", "hiss", "residual"]

    with page.expect_response(re.compile(r"/components/\d+\.wav")) as heard:
        tiles(page, "strings").nth(1).click()
    assert heard.value.ok
    page.keyboard.press("2")  # to the second source
    expect(tiles(page, "strings")).to_have_count(4)
    expect(tiles(page, "hiss")).to_have_count(6)
    expect(page.get_by_role("heading", name="hiss 6 components, 1 from elsewhere")).to_be_visible()
    expect(page.locator(".learn-tile:focus")).to_have_attribute(
        "aria-label", re.compile(r"^Component \d+, .*from strings")
    )
    page.keyboard.press("m")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="strings 4 components, 4 muted")).to_be_visible()
    page.keyboard.press("s")  # what was muted before the solo is muted after it
    expect(page.get_by_role("heading", name="hiss 6 components, 1 muted, 1 from elsewhere")).to_be_visible()
    for _ in range(2):
        learn.get_by_role("button", name="Undo", exact=True).click()
    again = learn.get_by_role("button", name="Separate again")
    again.click()
    wait_until(page, "p.side === 'B'")
    expect(separate.get_by_text("A: as it was learned. B: 1 moved, 1 muted.")).to_be_visible()
    expect(again).to_be_disabled()
    learn.get_by_role("button", name="A before").click()
    wait_until(page, "p.side === 'A' && p.debug.sounding")
    learn.get_by_role("button", name="Undo", exact=True).click()
    learn.get_by_role("button", name="Undo", exact=True).click()
    expect(tiles(page, "strings")).to_have_count(5)
    again.click()  # nothing is made anew: it is A
    expect(learn.get_by_role("button", name="B after")).to_be_hidden()
    learn.get_by_role("button", name="Redo").click()
    expect(tiles(page, "hiss")).to_have_count(6)

    link = page.get_by_role("link", name="Download the model")
    answer = page.request.get(page.evaluate("(link) => link.href", link.element_handle()))
    assert answer.ok and answer.body().startswith(b"PK")
    page.reload()  # the surgery, the clips, the mixture and what was separated last are here again
    expect(tiles(page, "hiss")).to_have_count(6, timeout=PATIENCE)
    expect(page.get_by_role("button", name=re.compile(r"^Play \w+\.wav"))).to_have_count(2)
    wait_until(page, "p.stageName === 'full'")
    expect(separate.get_by_text("both.wav").first).to_be_visible()

    page.get_by_role("button", name="Start afresh").click()  # a source serves again, and another does without clips
    page.get_by_role("button", name="Learned before").first.click()
    page.get_by_role("menuitem", name=re.compile("^hiss")).click()
    page.get_by_role("button", name="Without clips").click()
    expect(learn.get_by_role("button", name="Learn", exact=True)).to_be_enabled()
    learn.get_by_role("button", name="Learn", exact=True).click()
    expect(learn.get_by_text("Ready: every source was known.")).to_be_visible(timeout=PATIENCE)
    expect(learn.get_by_text("it is found anew in every mixture")).to_be_visible()
    earlier = page.get_by_role("region", name="My earlier lessons")
    expect(earlier.get_by_role("listitem")).to_have_count(2)
    earlier.get_by_role("button", name=re.compile("^Delete the lesson hiss")).click()
    expect(earlier.get_by_role("listitem")).to_have_count(1)
    assert "lesson=" not in page.url


def test_a_reload_finds_the_lesson_again_and_it_can_be_cancelled(
    visit: Callable[..., Any], files: dict[str, Path], teach: Held
) -> None:
    page = visit()
    bring(page, files)
    learn = step(page, "Learn")
    teach.gate.clear()
    try:
        learn.get_by_role("button", name="Learn", exact=True).click()
        expect(learn.get_by_text(re.compile("Learning strings: step 1 of 20"))).to_be_visible(timeout=PATIENCE)
        expect(step(page, "Separate").get_by_text("It is still learning.")).to_be_visible()
        page.reload()
        expect(learn.get_by_text(re.compile("Learning strings: step 1 of 20"))).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_label("Name of source 2")).to_have_value("hiss")
        expect(page.get_by_role("button", name=re.compile(r"^Play \w+\.wav"))).to_have_count(2)
        learn.get_by_role("button", name="Cancel").click()
        expect(learn.get_by_text("Cancelled. Nothing was kept")).to_be_visible(timeout=PATIENCE)
    finally:
        teach.gate.set()
    assert "lesson=" not in page.url
    expect(learn.get_by_role("button", name="Learn", exact=True)).to_be_enabled()


def test_a_part_of_the_mixture_is_a_clip(visit: Callable[..., Any], files: dict[str, Path]) -> None:
    page = visit(width=390)
    page.get_by_role("button", name="From the mixture").first.click()
    sources = step(page, "Sources")
    sources.get_by_label("Choose the mixture").set_input_files(files["mixture"])
    sources.locator("li[data-track=mixture]").wait_for()
    mine = sources.get_by_role("button", name="This is source 2 alone")
    expect(mine).to_be_disabled()
    page.wait_for_function(
        "() => { const p = document.querySelector('.learn-cutting earshot-player'); p.select([0.5, 2]); return p.selection; }"
    )
    mine.click()
    expect(sources.get_by_role("button", name="Play 0:00.5 to 0:02.0 of the mixture")).to_be_visible()
    expect(sources.get_by_text("1.5 s: 10 s teach more")).to_be_visible()
    page.get_by_label("Name of source 1").fill("source 2")
    expect(page.get_by_text("Two sources are called “source 2”")).to_be_visible()
    page.get_by_label("Name of source 1").fill("<b>")
    expect(page.get_by_text("“<b>” cannot be a name")).to_be_visible()
    page.get_by_label("Name of source 1").fill("first")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.reload()  # nothing was learned yet: what was brought lies here still
    expect(page.get_by_role("button", name="Play 0:00.5 to 0:02.0 of the mixture")).to_be_visible()
    expect(page.get_by_label("Name of source 1")).to_have_value("first")
    expect(step(page, "Separate").get_by_text("both.wav").first).to_be_visible()


def test_the_example_works_on_the_first_press(visit: Callable[..., Any]) -> None:
    page = visit()
    page.get_by_role("button", name="Try it: two voices").click()
    wait_until(page, "p?.stageName === 'full' && p.record.state.status === 'done'")
    assert page.evaluate(f"{PLAYER}.stage.tracks") == ["mixture", "woman", "man", "residual"]
    expect(tiles(page, "woman")).to_have_count(20)
