"""The Models page in a real browser, on a small Hub of our own: figures, a look, fetching, stopping, using, removing."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from fake_hub import FakeHub, client_on
from huggingface_hub import constants
from page_services import running, services

from separation import hub
from separation.engine.workers import Workers
from separation.hub import Curve, LearningCurves, Score
from separation.models import build
from separation.ui.frame import Hub, Services
from separation.ui.taught import Taught

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PATIENCE = 40_000
"""Milliseconds: plotly.js alone is 5 MB to parse, and tests run beside each other."""
SCORE = Score(
    metric="SI-SDRi, tests", value=7.0, unit="dB", interval=(6.5, 7.5), data="made up", command=None, note=None
)
FIELDS: dict[str, Any] = {
    "title": "Duet, <tiny>", "summary": "Two voices.", "task": "speakers", "licence": "CC0-1.0", "citation": "Nobody, 2020",
    "trained_on": ["nothing"], "weaknesses": ["It separates nothing at all."], "training": None,
    "scores": [SCORE.model_dump()],
}  # fmt: skip
CURVES = LearningCurves(
    loss=Curve(name="loss", unit="", steps=(1, 2), values=(3.0, 2.0)),
    validation=Curve(name="SI-SDR gain", unit="dB", steps=(1, 2), values=(0.2, 0.5), errors=(0.1, 0.1)),
    step=2,
)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    folder = tmp_path_factory.mktemp("hub")
    model = build("conv_tasnet", dict(basis=16, kernel=8, bottleneck=8, hidden=16, skip=8, blocks=2, repeats=1, segment=2.0,
                                      context=0.5))  # fmt: skip
    hub.save(folder / "duet", model, architecture="conv_tasnet", curves=CURVES, **FIELDS)
    files = {path.name: path.read_bytes() for path in (folder / "duet").iterdir()}
    with client_on(folder) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # the client's own is larger than this file
        server.add("someone/duet", {**files, "train.py": b"import os"})
        bare = {name: content for name, content in files.items() if name != "model.safetensors"}
        server.add("someone/pickled", {**bare, "pytorch_model.bin": b"x" * 5000})
        yield server


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, fake: FakeHub) -> Services:
    made = services(tmp_path_factory.mktemp("models"))
    taught = Taught(hub, made.settings.taught)
    return replace(made, hub=cast(Hub, taught), workers=Workers(made.store, taught.load, devices=("cpu",)))


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; at the end the console must be empty."""
    contexts, said, asked = [], [], []

    def visitor(path: str = "/models", *, width: int = 1440) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}{path}")
        return page

    yield visitor
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == [], "nothing from elsewhere"


def look(page: Any, name: str) -> Any:
    page.get_by_label("Repository").fill(name)
    page.get_by_role("button", name="Show its card").click()
    return page.locator(".look")


def test_look_fetch_see_inside_time_use_and_remove(visit: Callable[..., Any], fake: FakeHub, given: Services) -> None:
    page = visit()
    expect(page.locator(".cards .model-card")).to_have_count(2)
    found = look(page, "https://huggingface.co/someone/duet")
    expect(found.get_by_role("heading", name="Duet, <tiny>")).to_be_visible()
    expect(found.locator(".look-files .code")).to_contain_text("train.py")
    expect(found.locator(".look-acts")).to_contain_text("CC0-1.0")
    assert fake.fetched() == ["config.json"]

    fake.repos["someone/duet"].hold = gate = threading.Event()  # the Hub stops in the middle of the weights
    found.get_by_role("button", name=re.compile("^Fetch")).click()
    expect(found.locator(".card-progress")).to_contain_text(re.compile(r"[\d.]+ kB of [\d.]+ kB"))
    found.get_by_role("button", name="Cancel").click()
    gate.set()
    expect(found.locator(".look-acts")).to_contain_text("Stopped.")
    assert hub.installed() == []
    found.get_by_role("button", name=re.compile("^Fetch")).click()
    expect(found.get_by_role("link", name="Use it")).to_be_visible()

    card = page.locator(".cards .model-card", has_text="from the Hub")
    expect(card).to_have_count(1)
    expect(card.get_by_role("img", name="tests: 7.0 dB, between 6.5 and 7.5 dB")).to_be_visible()
    card.get_by_text("Learning curve").click()
    expect(card.locator("earshot-figure .main-svg").first).to_be_visible()
    card.get_by_text("Inside: basis functions").click()
    told = card.locator(".inside-told")
    expect(told).to_contain_text("number 9 of 16 from below")
    card.get_by_role("slider", name="Basis function").press("ArrowRight")
    expect(told).to_contain_text("number 10 of 16 from below")
    expect(card.locator(".inside-picture img")).to_have_js_property("naturalWidth", 16)

    card.get_by_role("button", name="Time it now").click()
    expect(card.get_by_role("button", name="Time it again")).to_be_visible()
    expect(card.locator(".card-speed")).to_contain_text("A minute of audio takes")
    assert not list(given.store.all()), "what it was timed with is deleted"
    expect(told).to_contain_text("number 10 of 16")  # what was open stays open

    card.get_by_role("button", name="Remove…").click()
    page.get_by_role("button", name="Keep it").click()
    expect(card).to_have_count(1)
    card.get_by_role("button", name="Remove…").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(card).to_have_count(0)
    expect(page.locator(".cards-note")).to_contain_text("someone/duet was removed")
    expect(found.get_by_role("button", name=re.compile("^Fetch"))).to_be_visible()
    assert hub.installed() == []


def test_a_link_opens_a_card_and_what_is_refused_says_why(visit: Callable[..., Any]) -> None:
    page = visit("/models?model=speakers")
    expect(page.locator(".model-card.asked-for")).to_have_attribute("data-model", "speakers")
    expect(page.locator(".model-card.asked-for")).to_be_focused()
    linked = visit("/models?model=someone/pickled")
    expect(linked.locator(".look .card-problem")).to_contain_text("It is not fetched.")
    expect(linked.locator(".look .card-problem")).to_contain_text("pytorch_model.bin")
    expect(linked.get_by_role("button", name=re.compile("^Fetch"))).to_have_count(0)
    found = look(linked, "someone/missing")
    expect(found.locator(".card-problem")).to_contain_text("It does not exist, or it is private")
    expect(found.get_by_role("button", name="Try again")).to_be_visible()


def test_using_a_model_opens_it_on_the_first_page(visit: Callable[..., Any]) -> None:
    page = visit()
    page.locator(".model-card[data-model=speakers]").get_by_role("link", name="Use it").click()
    expect(page.get_by_role("radio", name="Two people talking at once")).to_be_checked()
    expect(page.get_by_text("Takes two voices apart")).to_be_visible()
    back = page.get_by_role("link", name="Scores, speed and its inside")
    expect(back).to_have_attribute("href", "./models?model=speakers")


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_window(visit: Callable[..., Any], width: int) -> None:
    page = visit(width=width)
    card = page.locator(".model-card[data-model=speakers]")
    card.get_by_text("Inside: basis functions").click()
    expect(card.locator(".inside-told")).to_contain_text("of 256 from below")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, select, a, summary")]
        .filter((one) => one.offsetParent && !one.closest("[aria-hidden=true]"))
        .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.title))
        .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert unnamed == [], "every control has a name"


def test_a_server_that_is_gone_is_said(browser: Any, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/earshot/models", lambda route: route.abort())
    page.goto(f"{address}/models")
    expect(page.locator(".cards .card-problem")).to_contain_text("cannot be reached")
    page.unroute("**/earshot/models")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".cards .model-card")).to_have_count(2)
    context.close()
