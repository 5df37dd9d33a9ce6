"""Rating in a real browser: said, saved and still there, also without a network, after a restart, and in two tabs."""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_services import Services, running, services
from player_jobs import done_job

from separation.ratings import Rating, Trial, rating_of

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
AWAY = re.compile(
    r"^Failed to load resource: net::ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED|NETWORK_CHANGED|EMPTY_RESPONSE)"
)
GONE = re.compile(r"^Failed to load resource: the server responded with a status of 404")
# What Gradio says when its page is left while it still connects.
LEFT = re.compile(r"AbortError: signal is aborted|.*errored out", re.DOTALL)
HOLD = "element => element.select([1.5, 2.5])"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("ratings"))


@pytest.fixture(scope="module")
def address(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture
def visitor(browser: Any) -> Iterator[Callable[..., Any]]:
    """A new browser profile; at the end its console must be empty, but for what the test has caused."""
    contexts, said, allowed = [], [], [LEFT]

    def visit(*, width: int = 1440, allow: re.Pattern[str] | None = None) -> Any:
        # No smooth scrolling: a click must not find its star on the move.
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        context.set_default_timeout(20_000)
        contexts.append(context)
        allowed.extend([] if allow is None else [allow])
        context.on(
            "console", lambda message: said.append(message.text) if message.type in ("warning", "error") else None
        )
        context.on("weberror", lambda error: said.append(str(error.error)))
        return context

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in said if not any(pattern.match(text) for pattern in allowed)] == []


def separated(context: Any, address: str) -> Any:
    """A page on which the first example has been separated."""
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"))
    page.get_by_role("button", name="Separate", exact=True).click()
    expect(opener(page)).to_be_enabled()
    return page


def player(page: Any) -> Any:
    return page.locator(".earshot-result earshot-player")


def rating(page: Any) -> Any:
    return page.locator("earshot-rating")


def opener(page: Any) -> Any:
    return rating(page).get_by_role("button", name="How does it sound?")


def star(page: Any, stem: str, title: str) -> None:
    group = rating(page).get_by_role("radiogroup", name=f"Overall: {stem}", exact=True)
    label = group.get_by_role("radio", name=re.compile(title)).locator("xpath=..")
    label.click()  # the star is drawn in the label: Playwright waits until it has stopped moving


def mark(page: Any, label: str) -> None:
    player(page).evaluate(HOLD)
    rating(page).get_by_role("button", name="Mark what you hear").click()
    rating(page).get_by_text(label, exact=True).click()
    rating(page).get_by_role("button", name="Save the mark").click()


def expect_state(page: Any, text: str) -> None:
    expect(rating(page).locator(".state")).to_have_text(text)


def until(done: Callable[[], bool], page: Any) -> None:
    """Wait for the server: an outbox that is empty may be one that has not got it yet."""
    for _ in range(200):
        if done():
            return
        page.wait_for_timeout(100)
    assert done()


def job_of(page: Any) -> str:
    return str(page.evaluate("new URLSearchParams(location.search).get('job')"))


def stored(given: Services, page: Any) -> list[tuple[Trial, Rating]]:
    """The trials of this page's browser, with their ratings."""
    listener = page.evaluate("JSON.parse(localStorage.getItem('earshot.listener'))")
    return [(t, rating_of(given.ratings.events(t.id))) for t in given.ratings.trials(listener=listener)]


def test_separate_star_mark_saved_reload_still_there(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    page = separated(visitor(), address)
    before = given.ratings.count()
    expect(rating(page).locator(".body")).to_be_hidden()
    assert given.ratings.count() == before, "nothing is sent before somebody rates"
    opener(page).click()
    star(page, "vocals", "Good")
    mark(page, "musical noise")
    expect_state(page, "Saved")
    ((trial, saved),) = stored(given, page)
    assert saved.answers == {("vocals", "overall"): 4} and saved.saw_model
    (one,) = saved.marks.values()
    assert (one.stem, one.label, one.severity, one.start, one.end) == ("vocals", "musical noise", 2, 1.5, 2.5)
    assert trial.served["name"] == "A swell" and trial.served["hidden"] is False
    page.reload()
    expect(rating(page).locator(".summary")).to_have_text(re.compile("vocals ★★★★☆.*1 mark"))
    expect_state(page, "Saved")
    opener(page).click()
    expect(rating(page).get_by_role("radio", name="4: Good").first).to_be_checked()
    expect(rating(page).get_by_label("What you have marked").locator("li")).to_contain_text("musical noise in vocals")
    mine = page.get_by_label("My ratings")
    expect(mine.get_by_role("link", name="A swell")).to_have_attribute("href", re.compile(f"job={job_of(page)}"))
    assert len(stored(given, page)) == 1


def test_marks_are_on_the_lanes_loop_and_can_be_changed_and_removed(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    page = separated(visitor(), address)
    opener(page).click()
    mark(page, "gap")
    region = player(page).locator("li[data-track=vocals] .region")
    expect(region).to_be_visible()
    player(page).evaluate("element => { element.select(null); element.pause() }")
    region.click(force=True)
    page.wait_for_function("document.querySelector('.earshot-result earshot-player').debug.playing")
    assert player(page).evaluate("element => element.selection") == [1.5, 2.5]
    rating(page).get_by_role("button", name=re.compile("^Edit: gap")).click()
    player(page).evaluate("element => element.select([1.0, 3.0])")
    rating(page).get_by_text("strong", exact=True).click()
    rating(page).get_by_role("button", name="Save the mark").click()
    expect(region).to_have_attribute("data-strength", "3")
    expect_state(page, "Saved")
    (one,) = stored(given, page)[0][1].marks.values()
    assert (one.label, one.severity, one.start, one.end) == ("gap", 3, 1.0, 3.0)
    rating(page).get_by_role("button", name=re.compile("^Remove: gap")).click()
    expect(region).to_have_count(0)
    expect_state(page, "")
    page.wait_for_function("!document.querySelector('earshot-rating').ui.state.textContent")
    assert not stored(given, page)[0][1].marks


def test_a_mark_can_be_of_a_band_of_frequencies(visitor: Callable[..., Any], address: str, given: Services) -> None:
    draw = "element => element.selectBand({track: 'accompaniment', start: 1, end: 2, low_hz: 1204.25, high_hz: 3377})"
    page = separated(visitor(), address)
    opener(page).click()
    player(page).evaluate(HOLD)
    rating(page).get_by_role("button", name="Mark what you hear").click()
    band = rating(page).locator(".band")
    expect(band).to_contain_text("Draw a box on a spectrogram")
    player(page).evaluate(draw)
    expect(band).to_contain_text("1.2 – 3.4 kHz")
    expect(rating(page).locator(".hint")).to_have_text("0:01.0 – 0:02.0, 1.2 – 3.4 kHz, is selected.")
    rating(page).get_by_role("button", name="Save the mark").click()
    expect(rating(page).get_by_label("What you have marked").locator("li")).to_contain_text("clear, 1.2 – 3.4 kHz")
    expect_state(page, "Saved")
    until(lambda: bool(stored(given, page)[0][1].marks), page)
    (one,) = stored(given, page)[0][1].marks.values()
    assert (one.start, one.end, one.band_hz) == (1.0, 2.0, (1204.3, 3377.0))
    page.reload()
    opener(page).click()
    rating(page).get_by_role("button", name=re.compile("^Edit: bleed")).click()
    expect(band).to_contain_text("1.2 – 3.4 kHz")
    assert player(page).evaluate("element => element.band.high_hz") == 3377
    player(page).evaluate("element => element.pause()")
    band.get_by_role("button", name="Mark all frequencies").click()
    expect(band).to_contain_text("Draw a box on a spectrogram")
    rating(page).get_by_role("button", name="Save the mark").click()
    expect(rating(page).get_by_label("What you have marked").locator("li")).not_to_contain_text("kHz")
    until(lambda: [m.band_hz for m in stored(given, page)[0][1].marks.values()] == [None], page)


def test_a_new_mark_is_in_the_stem_whose_band_was_drawn(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    page = separated(visitor(), address)
    opener(page).click()
    draw = "element => element.selectBand({track: 'accompaniment', start: 1, end: 2, low_hz: 80, high_hz: 950})"
    player(page).evaluate(draw)
    rating(page).get_by_role("button", name="Mark what you hear").click()
    expect(rating(page).locator(".band")).to_contain_text("80 – 950 Hz")
    expect(rating(page).get_by_role("radio", name="accompaniment", exact=True)).to_be_checked()


def test_collectors_go_from_one_to_the_next_and_are_told_when_nothing_is_left(
    visitor: Callable[..., Any], tmp_path: Path
) -> None:
    given = services(tmp_path)
    jobs = {job.id for job in (done_job(given.store, tmp_path, 2) for _ in range(2))}
    for job in jobs:
        given.store.get(job).want(True)
    page = visitor().new_page()
    with running(given) as address:
        page.goto(address)
        invitation = page.get_by_label("Rate for us")
        expect(invitation).to_contain_text("2 separations wait")
        assert page.evaluate("localStorage.getItem('earshot.listener')") is None, "nobody is numbered for looking"
        page.goto(f"{address}?rate")
        seen = set()
        for left in (1, 0):
            expect(rating(page).locator(".body")).to_be_visible()
            seen.add(job_of(page))
            expect(player(page).locator(".job-text")).to_have_text("Ready")
            expect(player(page).get_by_role("button", name="Delete my audio now")).to_be_hidden()
            for stem in ("vocals", "accompaniment"):
                star(page, stem, "Good")
            expect_state(page, "Saved")
            more = rating(page).get_by_role("button", name="Rate the next one")
            if left:
                before = page.url
                more.click()
                page.wait_for_function("url => location.href !== url", arg=before)
        expect(rating(page).locator(".next span")).to_have_text("Thank you. Nothing else waits to be rated.")
        assert seen == jobs and "rate" not in page.url.partition("?")[2]
        until(lambda: all(len(found) == 1 for found in given.ratings.raters(map(subject, jobs)).values()), page)
        page.goto(address)
        expect(invitation).to_be_hidden()
        page.goto(f"{address}?rate")
        expect(invitation).to_contain_text("You have rated everything that waited")
        page.close()


def subject(job: str) -> str:
    return hashlib.sha256(job.encode()).hexdigest()[:32]


def test_where_the_disk_does_not_last_the_page_says_so(visitor: Callable[..., Any], tmp_path: Path) -> None:
    given = services(tmp_path, lasting=False)
    page = visitor().new_page()
    with running(given) as address:
        page.goto(f"{address}?job={done_job(given.store, tmp_path, 2).id}")
        opener(page).click()
        expect(rating(page).locator(".kept")).to_contain_text("kept with your answers until this demo restarts")
        star(page, "vocals", "Good")
        expect_state(page, "Saved until this demo restarts")
        page.close()


def test_without_a_network_it_waits_and_is_saved_exactly_once(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    context = visitor(allow=AWAY)
    page = separated(context, address)
    opener(page).click()
    star(page, "vocals", "Fair")
    expect_state(page, "Saved")
    context.set_offline(True)
    star(page, "vocals", "Poor")
    star(page, "accompaniment", "Excellent")
    expect_state(page, "Waiting for the network: kept in this browser, 2 left")
    assert stored(given, page)[0][1].answers == {("vocals", "overall"): 3}
    context.set_offline(False)
    expect_state(page, "Saved")
    ((trial, saved),) = stored(given, page)
    assert saved.answers == {("vocals", "overall"): 2, ("accompaniment", "overall"): 5}
    answers = [e for e in given.ratings.events(trial.id) if e.payload.kind == "answer"]
    assert len(answers) == 3


def test_what_an_answer_was_lost_of_is_not_saved_twice(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    """The server saves, and the network dies before the browser hears of it."""
    context = visitor(allow=re.compile("^Failed to load resource: net::ERR_FAILED"))
    page = separated(context, address)
    opener(page).click()
    star(page, "vocals", "Fair")
    expect_state(page, "Saved")
    lost = []

    def lose(route: Any) -> None:
        route.fetch()
        lost.append(route.request.url)
        route.abort()

    page.route("**/events", lose, times=1)
    star(page, "vocals", "Bad")
    expect_state(page, "Saved")
    ((trial, saved),) = stored(given, page)
    assert lost and saved.answers == {("vocals", "overall"): 1}
    assert sum(e.payload.kind == "answer" for e in given.ratings.events(trial.id)) == 2


def test_the_outbox_outlives_the_page_and_the_server(visitor: Callable[..., Any], tmp_path: Path) -> None:
    given = services(tmp_path)
    context = visitor(allow=AWAY)
    with running(given) as address:
        page = separated(context, address)
        opener(page).click()
        star(page, "vocals", "Fair")
        expect_state(page, "Saved")
        context.set_offline(True)
        star(page, "vocals", "Excellent")
        expect_state(page, "Waiting for the network: kept in this browser, 1 left")
        job = job_of(page)
        page.close()
    context.set_offline(False)
    again = services(tmp_path, port=given.settings.port)
    with running(again) as address:
        page = context.new_page()
        page.goto(f"{address}?job={job}")
        expect(rating(page).locator(".summary")).to_have_text("vocals ★★★★★")
        expect_state(page, "Saved")
        ((_, saved),) = stored(again, page)
        assert saved.answers == {("vocals", "overall"): 5}


def test_without_indexeddb_the_outbox_outlives_the_page_too(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    context = visitor(allow=AWAY)
    context.add_init_script("Object.defineProperty(window, 'indexedDB', { get() { throw new Error('switched off') } })")
    page = separated(context, address)
    job = job_of(page)
    opener(page).click()
    expect_state(page, "")
    context.set_offline(True)
    star(page, "vocals", "Excellent")
    expect_state(page, "Waiting for the network: kept in this browser, 1 left")
    page.close()
    context.set_offline(False)
    page = context.new_page()
    page.goto(f"{address}?job={job}")
    expect(rating(page).locator(".summary")).to_have_text("vocals ★★★★★")
    expect_state(page, "Saved")
    assert stored(given, page)[0][1].answers == {("vocals", "overall"): 5}


def test_two_tabs_share_one_rating(visitor: Callable[..., Any], address: str, given: Services) -> None:
    context = visitor()
    first = separated(context, address)
    second = context.new_page()
    second.goto(f"{address}?job={job_of(first)}")
    expect(opener(second)).to_be_enabled()
    opener(first).click()
    opener(second).click()
    star(first, "vocals", "Good")
    star(second, "accompaniment", "Poor")
    for page in (first, second):
        expect(rating(page).locator(".summary")).to_have_text(re.compile("vocals ★★★★☆.*accompaniment ★★☆☆☆"))
        expect_state(page, "Saved")
    ((_, saved),) = stored(given, first)
    assert saved.answers == {("vocals", "overall"): 4, ("accompaniment", "overall"): 2}


def test_names_are_hidden_until_every_stem_has_its_stars(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    job = job_of(separated(visitor(), address))
    page = visitor().new_page()  # a listener who was sent the link
    page.add_init_script("localStorage.setItem('earshot.hide', 'true')")
    page.goto(f"{address}?job={job}")
    expect(opener(page)).to_be_enabled()
    facts = player(page).locator(".facts")
    expect(facts).to_contain_text("16 kHz")
    expect(facts).not_to_contain_text("model")
    expect(player(page).locator(".notes li")).to_have_count(0)
    opener(page).click()
    star(page, "vocals", "Good")
    expect_state(page, "Saved")
    assert not stored(given, page)[0][1].saw_model and stored(given, page)[0][0].served["hidden"] is True
    star(page, "accompaniment", "Good")
    expect(facts).to_contain_text("model vocals")
    star(page, "accompaniment", "Fair")
    until(lambda: stored(given, page)[0][1].answers.get(("accompaniment", "overall")) == 3, page)
    assert stored(given, page)[0][1].answers["accompaniment", "overall"] == 3
    assert stored(given, page)[0][1].saw_model, "from now on it knows"
    assert len(stored(given, page)) == 1


def test_consent_keeps_the_audio_and_withdrawal_removes_everything(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    page = separated(visitor(), address)
    opener(page).click()
    star(page, "vocals", "Good")
    rating(page).get_by_label(re.compile("may be used to train models")).check()
    expect_state(page, "Saved")
    ((trial, saved),) = stored(given, page)
    assert saved.training is True and all(clip in given.clips for clip in trial.clips.values())
    mine = page.get_by_label("My ratings")
    mine.get_by_role("button", name=re.compile("Withdraw")).click()
    mine.get_by_role("button", name=re.compile("Withdraw")).click()
    expect(page.get_by_label("My ratings")).to_be_hidden()
    expect(rating(page).locator(".summary")).not_to_contain_text("★")
    assert stored(given, page) == []
    assert not list(given.settings.clips.rglob("*.flac"))


def test_what_was_heard_counts_what_sounds_and_nothing_else(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    page = separated(visitor(), address)
    opener(page).click()
    rating(page).get_by_role("button", name="Hear vocals alone").click()
    page.wait_for_function("document.querySelector('.earshot-result earshot-player').cursor > 1")
    player(page).evaluate("element => element.pause()")
    star(page, "vocals", "Good")
    expect_state(page, "Saved")
    ((_, saved),) = stored(given, page)
    assert set(saved.seconds) == {"vocals"} and 0.5 < saved.seconds["vocals"] < 5
    assert saved.modes == {"solo": saved.seconds}
    player(page).evaluate("element => element.solo('vocals', false)")
    player(page).evaluate("element => element.loop(2, 3)")
    page.wait_for_function("document.querySelector('earshot-rating').sounded.modes.loop?.accompaniment > 0.3")
    player(page).evaluate("element => element.pause()")
    star(page, "vocals", "Bad")
    rating(page).evaluate("element => element.sayHeard()")
    page.wait_for_function("document.querySelector('earshot-rating').sounded.modes.loop === undefined")
    until(lambda: "loop" in stored(given, page)[0][1].modes, page)
    modes = stored(given, page)[0][1].modes
    assert modes["loop"]["vocals"] == pytest.approx(modes["loop"]["accompaniment"], abs=0.05)
    assert set(modes["solo"]) == {"vocals"} and set(modes) == {"solo", "loop"}


def test_an_edit_that_is_compared_with_counts_apart(visitor: Callable[..., Any], address: str, given: Services) -> None:
    """These models cannot be edited: what the player says of an edit is made up here."""
    page = separated(visitor(), address)
    opener(page).click()
    star(page, "vocals", "Good")
    expect_state(page, "Saved")
    player(page).evaluate(
        """element => {
            Object.defineProperty(element, "take", { value: "an edit" });
            const heard = { "an edit": { vocals: 2.5, mixture: 2.5 } };
            element.takeHeard = (job) => { const now = heard[job] ?? {}; delete heard[job]; return now };
        }"""
    )
    rating(page).evaluate("element => element.sayHeard()")
    until(lambda: "other take" in stored(given, page)[0][1].modes, page)
    ((_, saved),) = stored(given, page)
    assert saved.modes == {"other take": {"vocals": 2.5, "mixture": 2.5}} and not saved.seconds


def test_a_comment_is_saved_also_if_the_page_is_closed_while_typing(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    context = visitor()
    page = separated(context, address)
    opener(page).click()
    rating(page).get_by_role("button", name="More detail on vocals").click()
    rating(page).get_by_label("Comment on vocals").fill("dull „s“")
    job = job_of(page)
    page.goto("about:blank")
    page.goto(f"{address}?job={job}")
    expect(opener(page)).to_be_enabled()
    opener(page).click()
    rating(page).get_by_role("button", name="More detail on vocals").click()
    expect(rating(page).get_by_label("Comment on vocals")).to_have_value("dull „s“")
    expect_state(page, "Saved")
    assert stored(given, page)[0][1].comments == {"vocals": "dull „s“"}


def test_the_keyboard_alone_is_enough(visitor: Callable[..., Any], address: str, given: Services) -> None:
    page = separated(visitor(width=390), address)
    opener(page).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(rating(page).get_by_role("radio", name="1: Bad").first).to_be_checked()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect_state(page, "Saved")
    expect(rating(page).locator(".summary")).to_contain_text("vocals ★★★☆☆")
    assert not player(page).evaluate("element => element.debug.playing"), "its keys are not the player's"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_rating_of_a_deleted_separation_goes_with_it_from_the_page(
    visitor: Callable[..., Any], address: str, given: Services
) -> None:
    page = separated(visitor(allow=GONE), address)
    opener(page).click()
    star(page, "vocals", "Good")
    expect_state(page, "Saved")
    player(page).get_by_role("button", name="Delete my audio now").click()
    player(page).get_by_role("button", name="Delete", exact=True).click()
    expect(rating(page)).to_be_hidden()
    assert stored(given, page)[0][1].answers, "what was said stays, without audio"
    expect(page.get_by_label("My ratings")).to_contain_text("vocals ★★★★☆")
