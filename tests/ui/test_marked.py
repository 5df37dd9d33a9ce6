"""Marked seconds are measured while the separation is there, kept when it is gone, and deleted with the rating."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_trials import BLEED, bleeding_job, heard_clips, served
from page_services import SmallHub
from player_jobs import write_stage

from separation.engine.claims import Claims
from separation.engine.jobs import JobStore
from separation.engine.segment_queue import SegmentQueue
from separation.engine.segments import Record, measure_stage
from separation.engine.workers import Workers
from separation.errors import JobError
from separation.ratings import ClipFolder, Store, clip_id, parse_event
from separation.ratings.browse import Catalogue
from separation.ratings.marks import compare
from separation.settings import Settings
from separation.ui.frame import Services
from separation.ui.marked import Coverage, MarkedSeconds

MARK = {"kind": "mark", "mark": "mark-0001", "stem": "vocals", "label": "bleed", "severity": 2, "band_hz": None}


def without_oracle(folder: Path, *, oracle: str | None, cancelled: Callable[[], bool]) -> Record:
    """Nothing here asks for the bound, and it takes most of the time."""
    return measure_stage(folder, cancelled=cancelled)


class House:
    """One separation that bleeds, and trials of it."""

    def __init__(self, folder: Path, **queue: Any) -> None:
        settings = Settings(data=folder / "data")
        jobs, hub = JobStore(settings.jobs), SmallHub()
        ratings = Store(settings.database_url)
        self.services = Services(
            settings, jobs, Workers(jobs, hub.load, devices=("cpu",)), hub, folder, ratings, ClipFolder(settings.clips)
        )
        self.job, self.tracks = bleeding_job(jobs, folder, 1, 7, channels=1)
        self.queue = SegmentQueue(Claims(jobs.folder / "claims"), threads=1, **{"measure": without_oracle, **queue})
        self.marked = MarkedSeconds(self.services, Catalogue(ratings, self.services.clips), self.queue)

    def rate(self, *marks: dict[str, Any], keep: bool = False, listener: str = "anna-listener") -> str:
        """The token of a new trial with these marks."""
        sounds = heard_clips(self.tracks)
        ids = {role: clip_id(signal) for role, signal in sounds.items()}
        _, token = self.services.ratings.serve(listener, "rating", served(self.job, self.tracks), ids)
        payloads = [*marks, *([{"kind": "consent", "training": True}] if keep else [])]
        events = [parse_event({"id": f"event-{i:04}", "made": i, "payload": each}) for i, each in enumerate(payloads)]
        self.services.ratings.save(token, events)
        for signal in sounds.values() if keep else ():
            self.services.clips.put(signal)
        return token

    def gather(self) -> None:
        """Until nothing more is to come."""
        wait_for(lambda: not self.marked.gather())


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.services.ratings.close()


def bleed(start: float = BLEED[0], end: float = BLEED[1]) -> dict[str, Any]:
    return {**MARK, "start": start, "end": end}


def sources(house: House) -> list[str]:
    return [record["source"] for _, record in house.marked.measured()]


def test_a_mark_of_bleed_lies_where_the_metrics_are_low(house: House) -> None:
    house.rate(bleed())
    assert house.marked.coverage().waiting == 1
    house.gather()
    assert house.marked.coverage() == replace(house.marked.coverage(), stage=1, waiting=0)
    found = {one.metric: one for one in compare(house.marked.measured()) if one.label == "bleed"}
    assert found["si_sdr"].difference < -5 and found["bss_eval_v4.SDR"].difference < -5
    assert found["stem_similarity"].difference > 0 and found["bss_eval_v4.SIR"].expected


def test_trials_without_marks_are_not_measured(house: House) -> None:
    house.rate({"kind": "answer", "stem": "vocals", "scale": "overall", "value": 3})
    house.gather()
    assert sources(house) == [] and house.queue.look(house.job, "full").state == "idle"


def test_the_numbers_outlive_the_separation(house: House) -> None:
    house.rate(bleed())
    house.gather()
    before = list(house.marked.measured())
    house.services.store.delete(house.job.id)
    house.gather()
    assert list(house.marked.measured()) == before and house.marked.coverage().stage == 1


def test_references_that_come_later_are_measured_too(house: House) -> None:
    house.rate(bleed())
    blind = {name: sound for name, sound in house.tracks.items() if not name.startswith("reference-")}
    for tracks, measured in ((blind, {"estimate_db"}), (house.tracks, {"estimate_db", "si_sdr"})):
        shutil.rmtree(house.job.folder / "full")
        write_stage(house.job, "full", tracks)
        house.gather()
        found = {one.metric for one in compare(house.marked.measured())}
        assert found & {"estimate_db", "si_sdr"} == measured


def test_of_kept_audio_only_what_needs_no_reference_is_measured(house: House) -> None:
    house.rate(bleed(), keep=True)
    house.services.store.delete(house.job.id)
    assert house.marked.coverage().waiting == 1
    house.gather()
    assert sources(house) == ["clips"] and house.marked.coverage().clips == 1
    found = {one.metric: one for one in compare(house.marked.measured())}
    assert set(found) == {"estimate_db", "stem_similarity"} and found["stem_similarity"].difference > 0


def test_where_nothing_is_left_it_says_so(house: House) -> None:
    house.rate(bleed())
    house.services.store.delete(house.job.id)
    house.gather()
    assert sources(house) == [] and house.marked.coverage().nothing == 1


def test_withdrawn_ratings_take_their_numbers_along(house: House) -> None:
    token = house.rate(bleed())
    house.rate(bleed(), listener="bert-listener")
    house.gather()
    assert len(sources(house)) == 2
    house.services.ratings.withdraw(token)
    house.marked.sweep()
    assert len(list(house.services.settings.marked.iterdir())) == 1 and len(sources(house)) == 1


def test_what_cannot_be_measured_is_said_once_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise JobError("Measure every second", "it is broken on purpose", "Nothing")

    house = House(tmp_path, measure=broken)
    house.rate(bleed())
    house.gather()
    assert house.marked.coverage().failed == 1 and sources(house) == []
    house.services.ratings.close()


def test_a_full_queue_is_tried_again(tmp_path: Path) -> None:
    house = House(tmp_path, waiting=0)
    house.rate(bleed())
    assert house.marked.gather(), "still to come"
    assert house.marked.coverage().waiting == 1
    house.services.ratings.close()


def test_a_trial_of_another_kind_is_no_rating(house: House) -> None:
    _, token = house.services.ratings.serve("anna-listener", "study", {}, {"stem:vocals": "ab" * 32})
    house.services.ratings.save(token, [parse_event({"id": "event-0001", "made": 1, "payload": bleed()})])
    house.gather()
    assert house.marked.coverage() == Coverage()


def test_the_thread_looks_when_it_is_told(house: House) -> None:
    house.marked.start()
    try:
        house.rate(bleed())
        house.marked.look()
        wait_for(lambda: house.marked.coverage().stage == 1)
    finally:
        house.marked.stop()
