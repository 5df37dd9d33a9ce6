"""Edits as jobs of their own: found again, bounded, measured, gone with their original."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import MaskedSTFT, Splitter

from separation.audio import Writer
from separation.engine import editing
from separation.engine.editing import Editing, Wish, effect, rows_of
from separation.engine.edits import Edit, Rows
from separation.engine.jobs import EDITS, Job, JobStore, Request
from separation.engine.workers import Workers
from separation.errors import Busy, JobError, SeparationError, UnknownJob

RATE = 8000
SHARP = Wish("full", Edit(sharpness=3.0), (1.0, 2.0))


class Desk:
    """A store with a clock that is set by hand, and one separation of two seconds whose sources are known."""

    def __init__(self, folder: Path, separator: Any, *, references: bool = True, seconds: float = 3.0) -> None:
        self.now = 1e9
        self.store = JobStore(folder / "jobs", clock=self.clock)
        self.workers = Workers(self.store, lambda name, **_: separator, devices=("cpu",))
        self.editing = Editing(self.store)
        rng = np.random.default_rng(7)
        parts = {name: rng.normal(0, 0.1, (1, round(seconds * RATE))).astype(np.float32) for name in ("one", "two")}
        paths = {name: write(folder / f"{name}.wav", samples) for name, samples in parts.items()}
        mixture = write(folder / "song.wav", parts["one"] + parts["two"])
        asked = Request("model", "song.wav", offset=0.5)
        self.original = self.run(self.store.create(mixture, asked, references=paths if references else {}))

    def clock(self) -> float:
        self.now += 1e-3  # no two moments are one
        return self.now

    def run(self, job: Job) -> Job:
        self.workers.run(job, "cpu")
        assert job.state().status == "done", job.state().error
        return job

    def ask(self, wish: Wish, *, staged: bool = False) -> tuple[Job, bool]:
        return self.editing.ask(self.original.id, wish, staged=staged)


def write(path: Path, samples: np.ndarray[Any, Any]) -> Path:
    with Writer(path, RATE, 1, bit_depth="32f") as writer:
        writer.write(samples)
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """For tests that leave nothing behind."""
    return Desk(tmp_path_factory.mktemp("editing"), MaskedSTFT())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, MaskedSTFT())


def test_an_edit_is_a_job_of_the_part_that_was_asked_for(desk: Desk) -> None:
    job, made = desk.ask(SHARP)
    stage = desk.run(job).stage("full")
    assert made and stage is not None
    assert (stage["start"], stage["length"]) == (RATE, RATE)
    assert job.request.edit == SHARP.edit and job.request.edit_of == desk.original.id
    assert job.references.keys() == {"one", "two"}
    whole, _ = desk.ask(replace(SHARP, region=None))
    described = desk.run(whole).stage("full")
    assert described is not None and (described["start"], described["length"]) == (RATE // 2, 5 * RATE // 2)


def test_the_same_wish_gives_the_same_job_while_it_is_good(desk: Desk) -> None:
    first, _ = desk.ask(SHARP)
    assert desk.ask(SHARP) == (first, False), "also while it waits"
    same_samples = replace(SHARP, region=(1.00002, 2.0))
    assert desk.ask(same_samples) == (first, False)
    others = [replace(SHARP, region=(1.0, 2.1)), replace(SHARP, edit=Edit(sharpness=2.0))]
    assert len({first.id, *(desk.ask(wish)[0].id for wish in others)}) == 3
    first.cancel()
    again, made = desk.ask(SHARP)
    assert made and again.id != first.id
    again.delete()
    third, made = desk.ask(SHARP)
    assert made and third.id not in (first.id, again.id)


def test_edits_go_with_their_original(desk: Desk) -> None:
    job, _ = desk.ask(SHARP)
    stranger = desk.store.create(desk.original.input, Request("model", "song.wav"))
    desk.original.delete()
    assert not job.folder.exists() and stranger.folder.exists()
    with pytest.raises(UnknownJob):
        desk.ask(SHARP)


def test_edits_expire_with_their_original(desk: Desk) -> None:
    desk.now += 23 * 3600
    job, _ = desk.ask(SHARP)
    desk.run(job)
    desk.now += 2 * 3600
    assert desk.store.expire() == [desk.original.id]
    assert desk.store.all() == []


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Wish("full", Edit(), (1, 2)), "nothing is changed"),
        (Wish("full", Edit(muted=(Rows("three", (1,)),)), (1, 2)), "no source called three"),
        (Wish("full", Edit(muted=(Rows("one", (129,)),)), (1, 2)), "no basis function 129"),
        (Wish("full", Edit(solo=Rows("one", (500,))), (1, 2)), "no basis function 500"),
        (Wish("full", Edit(intermediate=True), (1, 2)), "no stage after its masks"),
        (Wish("full", Edit(sharpness=2), (0.2, 1)), "0.50 s to 3.00 s"),
        (Wish("full", Edit(sharpness=2), (2, 3.2)), "0.50 s to 3.00 s"),
        (Wish("full", Edit(sharpness=2), (2, 2.1)), "0.10 s"),
        (Wish("full", Edit(sharpness=2), (2, 1)), "-1.00 s"),
        (Wish("preview", Edit(sharpness=2)), "no such result"),
    ],
)
def test_what_cannot_be_is_refused_before_it_waits(shared: Desk, wish: Wish, why: str) -> None:
    with pytest.raises(SeparationError, match=why):
        shared.ask(wish)
    assert [job.id for job in shared.store.all()] == [shared.original.id]


def test_a_part_is_bounded(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MaskedSTFT(), seconds=17.0)
    with pytest.raises(JobError, match=r"a part of 16\.00 s.*apply the edit to the whole"):
        desk.ask(replace(SHARP, region=(0.5, 16.5)))
    job, _ = desk.ask(replace(SHARP, region=(1.0, 16.04)))  # a browser's times are not exact
    assert job.request.duration == editing.LONGEST


def test_edits_of_edits_and_of_models_without_masks(desk: Desk, tmp_path: Path) -> None:
    job, _ = desk.ask(SHARP)
    desk.run(job)
    with pytest.raises(JobError, match="it is an edit itself"):
        desk.editing.ask(job.id, SHARP, staged=False)
    (tmp_path / "plain").mkdir()
    plain = Desk(tmp_path / "plain", Splitter(0.5, 0.5))
    with pytest.raises(SeparationError, match="has no masks"):
        plain.ask(SHARP)


def test_the_oracle_needs_every_reference(shared: Desk, tmp_path: Path) -> None:
    wish = replace(SHARP, edit=Edit(oracle=("one",)))
    with pytest.raises(JobError, match="the references here are none"):
        Desk(tmp_path, MaskedSTFT(), references=False).ask(wish)
    job, _ = shared.ask(wish)
    job.delete()


def test_too_many_edits_at_once_are_refused(desk: Desk) -> None:
    def wish(number: int) -> Wish:
        return replace(SHARP, edit=Edit(sharpness=2.0 + number / 100))

    jobs = [desk.ask(wish(number))[0] for number in range(editing.UNFINISHED)]
    with pytest.raises(Busy, match="3 edits of it are being made"):
        desk.ask(wish(50))
    for number in range(editing.UNFINISHED, editing.A_MINUTE):
        jobs[-1].write_state(status="done")
        jobs.append(desk.ask(wish(number))[0])
    jobs[-1].write_state(status="done")
    with pytest.raises(Busy, match="20 edits of it were begun in the last minute"):
        desk.ask(wish(51))
    assert desk.ask(wish(0))[0] == jobs[0], "what is there costs nothing"
    desk.now += 61
    assert desk.ask(wish(51))[1]


def made(desk: Desk, count: int, *, region: tuple[float, float] | None = SHARP.region, rated: int = -1) -> list[Job]:
    """Edits that are done, one after the other."""
    jobs = []
    for number in range(count):
        desk.now += 10
        jobs.append(desk.ask(Wish("full", Edit(sharpness=2.0 + number), region))[0])
        jobs[-1].write_state(status="done")
        if number == rated:
            (jobs[-1].folder / "trials").mkdir()
    return jobs


def test_old_edits_make_room_rated_ones_last(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "KEPT", 3)
    jobs = made(desk, 5, rated=0)
    assert [job.folder.exists() for job in jobs] == [True, False, False, True, True]
    assert len(list((desk.original.folder / EDITS).iterdir())) == 3


def test_of_long_edits_fewer_are_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MaskedSTFT(), seconds=16.0)
    part, whole = made(desk, 1), made(desk, 4, region=None)
    assert [job.folder.exists() for job in (*part, *whole)] == [True, False, False, True, True]


def test_the_effect_is_measured_against_the_references(desk: Desk) -> None:
    job, _ = desk.ask(replace(SHARP, edit=Edit(oracle=("one", "two"))))
    found = effect(desk.run(job))
    assert found.keys() == {"one", "two"}
    assert all(after > before + 3 for before, after in found.values()), found
    again, _ = desk.ask(replace(SHARP, edit=Edit(sharpness=1.0, threshold_db=0.0)))
    assert effect(desk.run(again))["one"][0] == pytest.approx(found["one"][0]), "the original is the same"


def test_without_references_there_is_no_effect_to_measure(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MaskedSTFT(), references=False)
    job, _ = desk.ask(SHARP)
    assert effect(desk.run(job)) == {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([], "does not say"),
        ({"stage": "full"}, "does not say"),
        ({"stage": "full", "edit": {}, "more": 1}, "does not say"),
        ({"stage": "../full", "edit": {}}, "neither preview nor full"),
        ({"stage": "full", "edit": []}, "not an object"),
        ({"stage": "full", "edit": {"sharpness": -1}, "start": 0, "end": 1}, "sharpness of -1"),
        ({"stage": "full", "edit": {"volume": 1}}, "no edit"),
        ({"stage": "full", "edit": {}, "start": "0", "end": 1}, "from '0'"),
        ({"stage": "full", "edit": {}, "end": 1}, "from None"),
        ({"stage": "full", "edit": {}, "start": float("nan"), "end": 1}, "from nan"),
        ({"stage": "full", "edit": {}, "start": True, "end": 1}, "from True"),
    ],
)
def test_a_wish_that_is_none_is_refused(fields: Any, why: str) -> None:
    with pytest.raises(JobError, match=why):
        Wish.from_dict(fields)


def test_a_wish_of_a_page() -> None:
    wish = Wish.from_dict(
        {"stage": "full", "edit": {"muted": [{"source": "a", "basis": [3, 1]}]}, "start": 1, "end": 2}
    )
    assert wish == Wish("full", Edit(muted=(Rows("a", (1, 3)),)), (1.0, 2.0))
    assert Wish.from_dict({"stage": "full", "edit": {"sharpness": 2}, "start": 4, "end": None}).region is None


def test_edits_of_a_part_go_before_what_waits(desk: Desk) -> None:
    waiting = [desk.store.create(desk.original.input, Request("model", "song.wav")) for _ in range(2)]
    edits = [desk.ask(replace(SHARP, edit=Edit(sharpness=sharp)))[0] for sharp in (2.0, 3.0)]
    for job in (*waiting, *edits):
        desk.workers.submit(job)  # not started: all wait
    assert [job.state().position for job in edits] == [0, 1]
    desk.workers.start()
    for _ in range(3000):
        if all(job.state().finished for job in (*waiting, *edits)):
            break
        time.sleep(0.01)
    desk.workers.stop()
    assert all(job.state().status == "done" for job in (*waiting, *edits))
    assert max(job.state().updated for job in edits) < min(job.state().updated for job in waiting)


@pytest.mark.parametrize(
    ("text", "basis"),
    [
        ("one:0-2,7", (0, 1, 2, 7)),
        ("two:128", (128,)),
        ("one: 0 - 100 Hz", (0, 1, 2, 3)),  # bins of 31.25 Hz
        ("one:3990-4000hz", (128,)),
        ("one:0-40Hz,100-130", None),
    ],
)
def test_basis_functions_as_a_person_writes_them(text: str, basis: tuple[int, ...] | None) -> None:
    if basis is None:
        with pytest.raises(JobError, match="no list of ranges"):
            rows_of(text, MaskedSTFT())
    else:
        assert rows_of(text, MaskedSTFT()) == Rows(text[:3], basis)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("three:1", "no source called 'three'"),
        ("0-40", "no source called ''"),
        ("one:", "no list of ranges"),
        ("one:5-2", "129 basis functions, from 0 to 4000 Hz"),
        ("one:128-129", "129 basis functions"),
        ("one:5000-6000Hz", "129 basis functions"),
    ],
)
def test_basis_functions_that_nobody_has(text: str, why: str) -> None:
    with pytest.raises(SeparationError, match=why):
        rows_of(text, MaskedSTFT())


def test_only_models_with_masks_have_basis_functions() -> None:
    with pytest.raises(SeparationError, match="has no masks"):
        rows_of("source0:1", Splitter(0.5, 0.5))
