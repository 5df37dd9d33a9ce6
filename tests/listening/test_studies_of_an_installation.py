"""Launching, pausing, extending and closing studies; what was launched stays as it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from separation.errors import DataError, RatingConflict, StudyError, UnknownTrial
from separation.listening.plans import parse_plan
from separation.listening.sessions import Entry
from separation.listening.studies import IDLE, Studies
from separation.listening.study import dump_study
from separation.ratings import Store
from separation.ratings.sessions import Sessions
from tests.listening.small_study import Clock, House, small_study, walk, write_study

NAME = "small-ears"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def test_a_draft_becomes_an_open_study(tmp_path: Path) -> None:
    store, clock = Store(f"sqlite:///{tmp_path / 'ratings.db'}"), Clock()
    studies = Studies((tmp_path / "studies",), Sessions(store, clock=clock), clock=clock)
    assert studies.list() == []
    home = write_study(tmp_path / "studies", small_study(completion_code=""))
    assert studies.status(NAME).state == "draft" and studies.launched(NAME) is None
    with pytest.raises(UnknownTrial):
        studies.open(NAME)
    launched = studies.launch(NAME)
    assert (launched.state, launched.slots, launched.taken, len(launched.code)) == ("open", 4, 0, 8)
    assert len(parse_plan((home / "plan.json").read_text(encoding="utf-8")).slots) == 4
    assert studies.launch(NAME) == launched, "twice does no harm, and the code stays"
    assert [one.name for one in studies.list()] == [NAME]
    assert studies.open(NAME) is studies.open(NAME), "read once"
    store.close()


def test_what_comes_with_the_app_is_copied_before_it_is_launched(tmp_path: Path) -> None:
    store, clock = Store(f"sqlite:///{tmp_path / 'ratings.db'}"), Clock()
    shipped = write_study(tmp_path / "shipped", small_study())
    before = sorted(path.name for path in shipped.rglob("*"))
    studies = Studies((tmp_path / "mine", tmp_path / "shipped"), Sessions(store, clock=clock), clock=clock)
    assert studies.names() == [NAME] and studies.launch(NAME).state == "open"
    assert studies.open(NAME).folder == tmp_path / "mine" / NAME
    assert sorted(path.name for path in shipped.rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["mine", "shipped"]
    store.close()


def test_a_study_whose_audio_is_of_another_version_is_not_launched(tmp_path: Path) -> None:
    store, clock = Store(f"sqlite:///{tmp_path / 'ratings.db'}"), Clock()
    studies = Studies((tmp_path / "studies",), Sessions(store, clock=clock), clock=clock)
    home = write_study(tmp_path / "studies", small_study())
    (home / "study.yaml").write_text(dump_study(small_study(seed=3)), encoding="utf-8")
    with pytest.raises(StudyError, match="its audio was made from another version"):
        studies.launch(NAME)
    (home / "prepared.json").unlink()
    with pytest.raises(DataError, match=r"there is no prepared\.json"):
        studies.launch(NAME)
    home.rename(home.with_name("other"))
    shutil.copytree(write_study(tmp_path / "again", small_study()), tmp_path / "studies" / "third")
    with pytest.raises(StudyError, match="its name is small-ears"):
        studies.launch("third")
    with pytest.raises(UnknownTrial):
        studies.launch("nobody")
    store.close()


def test_another_version_needs_another_name(house: House) -> None:
    shutil.rmtree(house.home)
    write_study(house.home.parent, small_study(seed=9))
    with pytest.raises(RatingConflict, match="another version of it was launched"):
        house.studies.launch(NAME)
    with pytest.raises(StudyError, match="not of the version"):
        house.studies.extend(NAME, 9)


def test_pause_close_and_go_on(house: House) -> None:
    assert house.studies.pause(NAME).state == "paused"
    assert house.studies.close(NAME).state == "closed"
    assert house.studies.resume(NAME).state == "open"
    for turn in (house.studies.pause, house.studies.close, house.studies.resume):
        with pytest.raises(UnknownTrial):
            turn("nobody")


def test_an_extended_study_keeps_the_slots_that_it_has(house: House) -> None:
    before = house.opened.plan.slots
    assert house.studies.extend(NAME, 9).slots == 9
    after = house.studies.open(NAME).plan.slots
    assert after[: len(before)] == before and len(after) == 9


def test_the_live_view_says_who_is_where(house: House) -> None:
    done, page = house.listening.enter(Entry(NAME, pid="P1"))
    walk(house.listening, done, page)
    house.listening.enter(Entry(NAME, pid="P2"))
    gone, _ = house.listening.enter(Entry(NAME, pid="P3"))
    house.listening.withdraw(gone)
    live = house.studies.live(NAME)
    by_state = {one["state"]: one for one in live["sessions"]}
    assert by_state["finished"]["trials"] == 6 and by_state["open"]["trials"] == 0 and by_state["open"]["here"]
    assert live["conditions"] == {"lowanchor": 3, "maskoff": 6, "midanchor": 3, "reference": 3, "wavebox": 6}
    status = house.studies.status(NAME)
    assert (status.taken, status.finished, status.under_way, status.withdrawn, status.spare) == (2, 1, 1, 1, 0)
    house.clock.now += IDLE + 1
    assert not any(one["here"] for one in house.studies.live(NAME)["sessions"])


def test_a_spare_is_counted_beside(house: House) -> None:
    late, page = house.listening.enter(Entry(NAME))
    for number in range(3):
        house.listening.enter(Entry(NAME, pid=f"P{number}"))
    house.clock.now += 61 * 60
    for number in range(3):
        house.listening.enter(Entry(NAME, pid=f"P{number}"))
    heir, theirs = house.listening.enter(Entry(NAME, pid="P9"))
    assert walk(house.listening, late, page)["code"] == "CODE-OF-ALL-CODES", "whoever did all of it gets the code"
    assert walk(house.listening, heir, theirs)["code"] == "CODE-OF-ALL-CODES"
    status = house.studies.status(NAME)
    assert (status.finished, status.spare, status.taken) == (2, 1, 4)
