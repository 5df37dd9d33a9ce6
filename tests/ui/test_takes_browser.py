"""Two takes of one recording in the player: changed over at the same instant, to the sample, and told apart."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from player_jobs import GAIN, RATE, done_job, make_job, recording, write_stage

from separation.engine.jobs import Job, JobStore

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
FIRST, LAST = 4, 11  # seconds that the edit holds of the recording's twelve


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> JobStore:
    return JobStore(tmp_path_factory.mktemp("takes") / "jobs")


@pytest.fixture(scope="module")
def song(store: JobStore, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return done_job(store, tmp_path_factory.mktemp("song"), 12)


def edit_of(
    store: JobStore, folder: Path, *, start: int = FIRST * RATE, stop: int = LAST * RATE, gain: float = GAIN
) -> Job:
    """A finished edit: the same recording, its parts other ones, from sample to sample."""
    job = make_job(store, folder)
    write_edit(job, start, stop, gain=gain)
    job.write_state(status="done", fraction=1.0)
    return job


def write_edit(job: Job, start: int, stop: int, **more: Any) -> None:
    tracks = {name: samples[:, start:stop] for name, samples in recording(12).items()}
    tracks["vocals"], tracks["accompaniment"] = tracks["accompaniment"], tracks["vocals"]
    write_stage(job, "full", tracks, start=start, **more)


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    contexts, said = [], []

    def opener(job: Job, *, allow: str | None = None) -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append((message.text, allow)))
        page.on("pageerror", lambda error: said.append((str(error), None)))
        page.goto(f"{address}/?job={job.id}")
        page.locator("li[data-track=mixture]").wait_for()
        page.evaluate(
            """() => {
                window.told = [];
                for (const name of ['side', 'stage', 'take']) {
                    addEventListener(`earshot-${name}`, ({ detail }) => told.push([name, detail]));
                }
            }"""
        )
        return page

    yield opener
    for context in contexts:
        context.close()
    assert [text for text, allow in said if allow is None or not re.search(allow, text)] == []


def player(page: Any, code: str, argument: Any = None) -> Any:
    """Run `code` with the element as `p` and `argument` as `a`."""
    return page.evaluate(
        f"async (a) => {{ const p = document.querySelector('earshot-player'); return {code}; }}", argument
    )


def wait_until(page: Any, condition: str) -> None:
    page.wait_for_function(f"() => {{ const p = document.querySelector('earshot-player'); return {condition}; }}")


STEADY = "p.debug.sounding && new Set(p.debug.scheduled.map(({ at, start }) => start - at)).size === 1"
"""It sounds, and what was stopped before is gone."""


def take(page: Any, job: Job) -> None:
    player(page, "(p.take = a)", job.id)
    page.get_by_role("group", name="Which is heard").wait_for()


def shift(page: Any) -> set[int]:
    """How far samples of the recording lie from the context's clock, of everything that is scheduled; one figure."""
    code = "(() => { const o = Math.round(p.transport.library.origin * p.transport.rate);"
    code += " return p.debug.scheduled.map(({ at, start }) => o + start - at); })()"
    return set(player(page, code))


def test_changes_over_to_the_same_sample_and_back(open_page: Any, store: JobStore, song: Job, tmp_path: Path) -> None:
    page = open_page(song)
    edit = edit_of(store, tmp_path, start=FIRST * RATE + 321)
    take(page, edit)
    assert player(page, "[p.side, p.stage.length, p.part]") == ["A", 12 * RATE, [FIRST + 321 / RATE, LAST]]
    player(page, "(p.solo('vocals', false), p.setGain('vocals', -6), p.seek(4.2), p.play())")
    wait_until(page, f"p.cursor > 4.4 && {STEADY}")
    before = shift(page)
    player(page, "(window.at = p.cursor, p.side = 'B')")
    wait_until(page, "p.side === 'B'")
    assert player(page, "p.cursor - at") < 1.5 and player(page, "p.debug.underruns") == 0
    assert shift(page) == before, "the same samples at the same instants"
    assert player(page, "[p.transport.levels.vocals, p.transport.levels.accompaniment]") == pytest.approx([10**-0.3, 0])
    expect(page.get_by_role("button", name="B edited")).to_have_attribute("aria-pressed", "true")
    wait_until(page, "p.cursor > at + 0.3")
    page.keyboard.press("b")
    wait_until(page, "p.side === 'A'")
    assert shift(page) == before
    assert page.evaluate("told.map(([name, detail]) => name === 'side' ? detail : name)") == ["take", "B", "A"]
    assert player(page, "p.debug.playing") and player(page, "p.view") == [0, 12]


def test_says_which_side_was_heard(open_page: Any, store: JobStore, song: Job, tmp_path: Path) -> None:
    page = open_page(song)
    edit = edit_of(store, tmp_path)
    take(page, edit)
    player(page, "(p.seek(4.5), p.play())")
    wait_until(page, "p.cursor > 5")
    player(page, "(p.side = 'B')")
    wait_until(page, "p.side === 'B' && p.cursor > 5.8")
    player(page, "p.pause()")
    own = player(page, "p.takeHeard()")
    other = player(page, "p.takeHeard(a)", edit.id)
    assert set(own) == set(other) == {"vocals", "accompaniment"}
    assert 0.3 < own["vocals"] < 2 and 0.3 < other["vocals"] < 2
    assert player(page, "[p.takeHeard(), p.takeHeard(a)]", edit.id) == [{}, {}]


def test_a_part_keeps_playing_in_it(open_page: Any, store: JobStore, song: Job, tmp_path: Path) -> None:
    page = open_page(song)
    take(page, edit_of(store, tmp_path))
    expect(page.get_by_text("B is the edit of 0:04.0 – 0:11.0")).to_be_visible()
    player(page, "(p.seek(11.4), p.play())")
    wait_until(page, "p.debug.sounding")
    player(page, "(p.side = 'B')")
    wait_until(page, f"p.side === 'B' && p.debug.sounding && p.cursor < {LAST}")
    player(page, "p.pause()")
    player(page, "p.seek(11.8)")
    assert player(page, "p.cursor") == pytest.approx(LAST)
    expect(page.get_by_text("turn to A to go elsewhere")).to_be_visible()
    player(page, "(p.seek(10.6), p.play())")
    wait_until(page, "!p.debug.playing")
    assert player(page, "p.cursor") == pytest.approx(LAST)
    player(page, "p.loop(5, 5.4)")
    wait_until(page, "p.debug.sounding")
    shifts = [shift(page) for _ in range(3)]
    player(page, "(p.side = 'A')")
    wait_until(page, "p.side === 'A' && p.debug.sounding")
    assert 5 <= player(page, "p.cursor") <= 5.41 and all(shifts)


def test_both_are_played_with_one_gain(open_page: Any, store: JobStore, song: Job, tmp_path: Path) -> None:
    page = open_page(song)
    assert player(page, "p.transport.library.trim") == 1
    take(page, edit_of(store, tmp_path, gain=0.4))
    assert player(page, "[p.transport.library.trim, p.transport.aside.library.trim]") == pytest.approx([0.5, 1])
    expect(page.get_by_text("A and B are played with one gain")).to_be_visible()
    player(page, "(p.side = 'B')")
    wait_until(page, "p.side === 'B'")
    assert player(page, "[p.transport.library.trim, p.transport.aside.library.trim]") == pytest.approx([1, 0.5])
    player(page, "(p.take = null)")
    wait_until(page, "p.side === 'A'")
    assert player(page, "[p.transport.library.trim, p.transport.aside]") == [1, None]
    expect(page.get_by_role("group", name="Which is heard")).to_be_hidden()


def test_waits_for_an_edit_and_keeps_the_one_before(open_page: Any, store: JobStore, song: Job, tmp_path: Path) -> None:
    page = open_page(song)
    first = edit_of(store, tmp_path)
    take(page, first)
    player(page, "(p.seek(5), p.play())")
    player(page, "(p.side = 'B')")
    wait_until(page, "p.side === 'B' && p.cursor > 5.2")
    coming = make_job(store, tmp_path)
    coming.write_state(status="running", stage="separate", fraction=0.5)
    player(page, "(p.take = a)", coming.id)
    page.wait_for_function("told.some(([name, detail]) => name === 'take' && detail.state.status === 'running')")
    assert player(page, "[p.side, p.resultOf(a) !== null]", first.id) == ["B", True]
    write_edit(coming, FIRST * RATE, LAST * RATE)
    coming.write_state(status="done", fraction=1.0)
    wait_until(page, f"p.transport.base.includes('{coming.id}')")
    assert player(page, "[p.side, p.take]") == ["B", coming.id]
    failing = make_job(store, tmp_path)
    error = {"asked": "Edit", "found": "nothing", "advice": "Go on"}
    failing.write_state(status="failed", error=error)
    player(page, "(p.take = a)", failing.id)
    wait_until(page, f"p.take === '{coming.id}'")
    assert page.evaluate("told.at(-1)[1].state.error") == error
    assert player(page, "p.side") == "B"


def test_the_whole_result_may_come_while_the_edit_is_heard(open_page: Any, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    tracks = recording(12)
    cut = {name: samples[:, 2 * RATE : 10 * RATE] for name, samples in tracks.items()}
    write_stage(job, "preview", cut, start=2 * RATE)
    job.write_state(status="running", stage="separate")
    page = open_page(job)
    take(page, edit_of(store, tmp_path))
    player(page, "(p.seek(5), p.play())")
    wait_until(page, "p.debug.sounding && p.cursor > 5.1")
    player(page, "(p.side = 'B')")
    wait_until(page, "p.side === 'B'")
    write_stage(job, "full", tracks)
    job.write_state(status="done", fraction=1.0)
    wait_until(page, "p.stageName === 'full'")
    assert player(page, "[p.side, p.stage.length, p.bounds]") == ["B", 12 * RATE, [0, 12]]
    player(page, "(p.seek(5), p.play())")
    wait_until(page, STEADY)
    before = shift(page)
    player(page, "(p.side = 'A')")
    wait_until(page, f"p.side === 'A' && {STEADY}")
    assert shift(page) == before
    assert player(page, "p.transport.stage.length") == 12 * RATE


def test_an_edit_that_is_deleted_leaves_the_original(
    open_page: Any, store: JobStore, song: Job, tmp_path: Path
) -> None:
    page = open_page(song, allow="404|ERR_CONTENT_LENGTH_MISMATCH")
    edit = edit_of(store, tmp_path)
    take(page, edit)
    player(page, "(p.side = 'B')")
    wait_until(page, "p.side === 'B'")
    edit.delete()
    player(page, "p.takeWatch.poll()")
    wait_until(page, "p.take === null && p.side === 'A'")
    assert page.evaluate("told.at(-1)[1].state.status") == "gone"
