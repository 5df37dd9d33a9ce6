"""The Studies page in a real browser: from a template to a launched study, and what the page says of it then."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from made_studies import RATE, TEXT, TOKEN, Lab, wav
from starlette.applications import Starlette
from study_takers import take

from separation.ratings.browse import Catalogue
from separation.ui.evaluate_routes import evaluation_routes
from separation.ui.marked import MarkedSeconds
from separation.ui.measuring import Measuring
from separation.ui.owner_access import Access
from separation.ui.ratings import owner_routes

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
REFUSED = re.compile(r"^Failed to load resource: the server responded with a status of (401|403)")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("lab"))
    made.write()
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(lab: Lab) -> Iterator[str]:
    marked = MarkedSeconds(lab.services, Catalogue(lab.store, lab.services.clips))
    more = [*owner_routes(lab.services, marked, Access(TOKEN)), *evaluation_routes(Measuring(lab.services))]
    app = Starlette(routes=[*more, *lab.app.routes])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def visitor(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page of a new profile; at the end its console must be empty."""
    contexts, said = [], []

    def visit(*, width: int = 1440) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(30_000)
        contexts.append(context)
        context.on("console", lambda one: said.append(one.text) if one.type in ("warning", "error") else None)
        context.on("weberror", lambda error: said.append(str(error.error)))
        return context.new_page()

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in said if not REFUSED.match(text)] == []


def enter(page: Any, address: str, part: str = "") -> Any:
    """Signed in, at a part of the page."""
    page.goto(f"{address}/studies{part}")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll(".page *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => `${one.tagName}.${one.className}`)"""


def fits(page: Any) -> None:
    """Nothing is wider than the window."""
    assert page.evaluate(WIDER) == []


def test_nothing_is_shown_without_the_token(visitor: Callable[..., Any], address: str) -> None:
    page = visitor()
    page.goto(f"{address}/studies#write?study=voices")
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.locator(".view > *")).to_have_count(0)
    enter(page, address, "#write?study=voices")
    expect(page.get_by_label("The study's YAML")).to_have_value(re.compile("name: voices"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("The study's YAML")).to_have_count(0)


def test_a_template_and_its_form_and_text(visitor: Callable[..., Any], address: str) -> None:
    page = enter(visitor(), address, "#new")
    expect(page.get_by_role("checkbox", name=re.compile("^Two <speakers>"))).to_be_disabled()
    page.get_by_role("checkbox", name=re.compile("^Voice & music")).uncheck()
    page.get_by_role("checkbox", name=re.compile("^Two <speakers>")).check()
    recording = page.get_by_role("checkbox", name=re.compile("^A swell"))
    expect(recording).to_be_disabled()  # MUSHRA needs what this model gives
    expect(page.get_by_text("Has no true speaker 1 or speaker 2, which MUSHRA needs.")).to_be_visible()
    page.get_by_role("radio", name="A/B preference").check()
    recording.check()
    page.get_by_role("checkbox", name=re.compile("^Two <speakers>")).uncheck()
    page.get_by_role("checkbox", name=re.compile("^Voice & music")).check()
    page.get_by_label("Title", exact=True).fill("Two of a kind")
    expect(page.get_by_label("Name in the listeners' link")).to_have_value("two-of-a-kind")
    page.get_by_role("button", name="Make the study").click()
    text = page.get_by_label("The study's YAML")
    expect(text).to_have_value(re.compile("kind: ab"))

    page.get_by_label("Contact").fill("someone@example.org")  # the form writes the text
    expect(text).to_have_value(re.compile("contact: someone@example.org"))
    expect(page.locator(".saved")).to_have_text("Saved")
    text.fill(text.input_value().replace("someone@", "other@"))  # and the text the form
    expect(page.get_by_label("Contact")).to_have_value("other@example.org")

    text.fill(text.input_value().replace("kind: ab", "kind: xy"))
    problem = page.locator(".problems li").first
    expect(problem).to_contain_text("xy")
    problem.get_by_role("button").click()
    assert text.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)").strip() == "kind: xy"
    expect(page.get_by_text("The text cannot be read as a form")).to_be_visible()
    text.fill(text.input_value().replace("kind: xy", "kind: ab"))
    expect(page.get_by_label("Contact")).to_have_value("other@example.org")
    page.reload()
    expect(text).to_have_value(re.compile("other@example.org"))


def test_from_building_to_results(visitor: Callable[..., Any], address: str, lab: Lab) -> None:
    page = enter(visitor(), address, "#try?study=voices")
    page.get_by_role("button", name="Build", exact=True).click()
    expect(page.locator(".build")).to_contain_text("6 sounds of 2 recordings")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="2. Trial").click()
    preview = opened.value
    expect(preview.get_by_role("heading", name="How good is it?")).to_be_visible()
    preview.close()
    expect(page.locator(".planned .big")).to_contain_text("4 listeners see about")
    page.get_by_label("Listeners", exact=True).fill("20")
    expect(page.locator(".planned .big")).to_have_text("20 listeners see about 9.9 points.")

    page.get_by_role("button", name="Launch the study").click()
    expect(page.get_by_role("dialog")).to_contain_text("No dry run was done")
    page.get_by_role("button", name="Launch it").click()
    expect(page.locator(".people")).to_have_count(0)
    expect(page.get_by_text("Nobody has come yet")).to_be_visible()
    take(lab.stranger, "voices", 1)
    take(lab.stranger, "voices", 2, pages=2)
    expect(page.locator(".people tbody tr")).to_have_count(2)  # by itself
    expect(page.locator(".live-tiles")).to_contain_text("of 4 places")

    page.get_by_role("link", name="Results").click()
    expect(page.get_by_text("0 of 2 listeners")).to_be_visible()
    page.get_by_role("checkbox", name=re.compile("^Too fast")).uncheck()
    expect(page.get_by_text("2 of 2 listeners")).to_be_visible()
    expect(page.locator(".judged .numbers").first).to_contain_text("The second")
    expect(page.locator("earshot-figure .main-svg").first).to_be_visible()
    page.get_by_role("button", name="Violin").click()
    expect(page.locator(".kinds [aria-pressed=true]")).to_have_text("Violin")
    expect(page.get_by_role("button", name="Download P.808")).to_be_disabled()
    expect(page.get_by_text("it has no answers to questions of the kinds acr, dcr, p835")).to_be_visible()
    with page.expect_download() as fetched:
        page.get_by_role("link", name="Download CSV").click()
    assert fetched.value.suggested_filename == "earshot-voices-csv.csv"

    page.goto(f"{address}/studies#write?study=voices")
    expect(page.get_by_label("The study's YAML")).to_have_attribute("readonly", "")
    expect(page.get_by_label("Contact")).to_be_disabled()


def test_the_cut_offs_that_the_check_proposes_can_be_taken(visitor: Callable[..., Any], address: str, lab: Lab) -> None:
    """A target without any treble, of which the standard's anchors take nothing away."""
    text = TEXT.replace("name: voices", "name: dark").replace("kind: scale", "kind: mushra")
    anchors = "anchors:\n- {id: low, kind: low_pass, cut_hz: 3500}\n- {id: mid, kind: low_pass, cut_hz: 7000}\nitems:"
    lab.write(text.replace("items:", anchors), "dark")
    tones = sum(np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE) for hertz in (200, 700, 1900)) / 20
    for item in ("song", "talk"):
        content = wav(lab.folder / "dark.wav", tones[None].astype(np.float32))
        lab.ask("POST", f"studies/dark/files?file=target-{item}.wav", 201, content=content)
    cuts = next(one["cuts"] for one in lab.build("dark")["findings"] if one["cuts"])
    page = enter(visitor(), address, "#try?study=dark")
    page.get_by_role("button", name=f"Use {cuts[0]:g} and {cuts[1]:g} Hz").click()
    expect(page.locator(".build")).to_contain_text("changed since its audio was built")
    study = lab.ask("GET", "studies/dark")["study"]
    assert [one["cut_hz"] for one in study["anchors"]] == cuts
    assert not [one for one in lab.build("dark")["findings"] if one["level"] == "error"]


@pytest.mark.parametrize(
    "part", ["list", "new", "write?study=voices", "try?study=voices", "live?study=voices", "results?study=voices"]
)
def test_it_fits_a_phone(visitor: Callable[..., Any], address: str, part: str) -> None:
    page = enter(visitor(width=390), address, f"#{part}")
    expect(page.locator(".view .card").first).to_be_visible()
    fits(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(visitor: Callable[..., Any], address: str, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = enter(visitor(), address, f"?__theme={theme}")
    for part in ("list", "new", "write?study=voices", "try?study=voices", "live?study=voices", "results?study=voices"):
        page.goto(f"{address}/studies?__theme={theme}#{part}")
        expect(page.locator(f'.view[data-at="#{part}"] .card').first).to_be_visible()
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        found = axe.run(page).response
        assert found["passes"] and [(part, one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def test_words_of_others_stay_words(visitor: Callable[..., Any], address: str, lab: Lab, tmp_path: Path) -> None:
    evil = "<img src=x onerror=document.title='hacked'>"
    text = (lab.desk.folder / "voices" / "study.yaml").read_text(encoding="utf-8")
    text = text.replace("name: voices", "name: evil").replace("title: Voices", f'title: "{evil}"')
    lab.ask("POST", "studies", 201, json={"from": "text", "text": text, "name": "evil"})
    page = enter(visitor(), address)
    expect(page.get_by_role("link", name=evil)).to_be_visible()
    page.get_by_role("link", name=evil).click()
    expect(page.get_by_label("Title, for listeners")).to_have_value(evil)
    assert "hacked" not in page.title() and page.locator(".view img").count() == 0
