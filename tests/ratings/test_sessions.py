"""Sessions of listening tests: slots, leases, pages, withdrawal. What is told to a listener is on disk, and there once."""

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from separation.errors import RatingConflict, RatingError, UnknownTrial
from separation.ratings import Event, Store, parse_event
from separation.ratings import sessions as module
from separation.ratings.sessions import Gone, NoSlot, Page, Session, Sessions

LEASE = 3600.0
NAMES = st.sampled_from(["anna", "ben", "carl", "dora", "emil"])


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class House:
    """A store with one launched study."""

    def __init__(self, folder: Path, slots: int = 3) -> None:
        self.clock = Clock()
        self.store = Store(f"sqlite:///{folder / 'ratings.db'}", clock=self.clock)
        self.sessions = Sessions(self.store, clock=self.clock)
        self.sessions.launch("ears", hash="h1", slots=slots, lease=LEASE, code="CODE")

    def come(self, name: str, **more: Any) -> Session:
        return self.sessions.open("ears", f"token-of-{name}", **more)

    def serve(self, session: Session, place: int = 0) -> Page:
        return self.sessions.serve(session, place, {"page": "trial", "place": place})

    def finish(self, session: Session, *, last: bool = False) -> Session:
        page = self.serve(session, session.place)
        return self.sessions.finish(session, page, event=finished(page), last=last)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def given(number: int, value: Any = 50, field: str = "rating") -> Event:
    payload = {"kind": "given", "field": field, "of": None, "value": value}
    return parse_event({"id": f"event-{number:04}", "made": number, "payload": payload})


def did(number: int, what: str = "heard") -> Event:
    return parse_event({"id": f"deed-{number:05}", "made": number, "payload": {"kind": "did", "what": what}})


def finished(page: Page) -> Event:
    return parse_event({"id": f"finished-{page.trial.id}", "made": 0, "payload": {"kind": "finished"}})


def test_every_session_gets_a_slot_of_its_own_and_keeps_it(house: House) -> None:
    first, second = house.come("anna", pid="P1", language="de", device={"rate": 48000}), house.come("ben")
    assert (first.slot, second.slot) == (0, 1) and first.seat and second.seat
    assert (first.pid, first.language, first.device) == ("P1", "de", {"rate": 48000})
    assert house.come("anna", pid="P1") == first, "the same link leads to the same session"
    assert house.sessions.get("token-of-anna") == first and house.sessions.by_id(first.id) == first
    house.come("carl")
    with pytest.raises(NoSlot, match="every place in it is taken") as refused:
        house.come("dora")
    assert refused.value.state == "full"
    assert house.come("ben").slot == 1, "who has begun is let in"
    with pytest.raises(UnknownTrial):
        house.sessions.get("token-of-dora")


def test_a_token_opens_its_own_study_only(house: House) -> None:
    house.come("anna")
    house.sessions.launch("eyes", hash="h2", slots=1, lease=LEASE, code="C")
    with pytest.raises(UnknownTrial):
        house.sessions.open("eyes", "token-of-anna")
    with pytest.raises(UnknownTrial):
        house.sessions.open("nose", "token-of-anna")


@pytest.mark.parametrize("pid", ["", "a\nb", "x" * 201, "\x00"])
def test_an_odd_id_of_a_panel_is_refused(house: House, pid: str) -> None:
    with pytest.raises(RatingError, match="the id in the link"):
        house.come("anna", pid=pid)


def test_one_person_of_a_panel_has_one_session(house: House) -> None:
    anna = house.come("anna", pid="P1")
    with pytest.raises(RatingConflict, match="by another link"):
        house.come("anna-from-elsewhere", pid="P1")
    house.sessions.withdraw(anna)
    assert house.come("anna-from-elsewhere", pid="P1").state == "open", "nothing is known of who withdrew"


def test_studies_that_may_have_listeners_are_known(house: House) -> None:
    assert house.sessions.studying()
    house.sessions.turn("ears", "paused")
    assert house.sessions.studying(), "their answers may still come"
    house.sessions.turn("ears", "closed")
    assert not house.sessions.studying()


def test_the_token_is_not_in_the_database(house: House, tmp_path: Path) -> None:
    house.come("anna")
    house.store.close()
    assert all(b"token-of-anna" not in path.read_bytes() for path in tmp_path.iterdir())


def test_two_hundred_at_once_get_two_hundred_slots(tmp_path: Path) -> None:
    house = House(tmp_path, slots=200)
    start = threading.Barrier(8)

    def come(number: int) -> int:
        if number < 8:
            start.wait()
        return house.come(f"listener-{number}").slot

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(come, range(200))) == list(range(200))
    house.store.close()


def test_a_slot_whose_holder_is_gone_for_the_lease_goes_to_the_next(house: House) -> None:
    gone, _, _ = (house.come(name) for name in ("anna", "ben", "carl"))
    house.clock.now += LEASE - 1
    house.sessions.touch(house.come("ben"))
    house.sessions.touch(house.come("carl"))
    with pytest.raises(NoSlot):
        house.come("dora")
    house.clock.now += 2
    heir = house.come("dora")
    assert heir.slot == gone.slot and heir.seat
    late = house.come("anna")
    assert late.slot == gone.slot and not late.seat, "a spare: everything is kept, and counts beside"
    late = house.finish(late, last=True)
    assert late.state == "finished" and not late.seat
    heir = house.finish(house.come("dora"), last=True)
    assert heir.state == "finished" and heir.seat
    holders = [one for one in house.sessions.all("ears") if one.slot == gone.slot and one.seat]
    assert [one.id for one in holders] == [heir.id]


def test_a_late_listener_holds_the_slot_again_if_nobody_took_it(house: House) -> None:
    house.come("anna")
    house.clock.now += 10 * LEASE
    assert house.come("anna").seat and house.finish(house.come("anna"), last=True).seat


def test_a_spare_gets_the_slot_when_its_heir_withdraws(house: House) -> None:
    for name in ("anna", "ben", "carl"):
        house.come(name)
    house.clock.now += LEASE + 1
    house.sessions.touch(house.come("ben"))
    house.sessions.touch(house.come("carl"))
    heir = house.come("dora")
    assert not house.come("anna").seat
    house.sessions.withdraw(heir)
    assert house.sessions.touch(house.sessions.get("token-of-anna")).seat


def test_a_finished_slot_is_never_given_away(house: House) -> None:
    for name in ("anna", "ben", "carl"):
        house.finish(house.come(name), last=True)
    house.clock.now += 100 * LEASE
    with pytest.raises(NoSlot):
        house.come("dora")


def test_signs_of_life_are_written_now_and_then(house: House) -> None:
    session = house.come("anna")
    house.clock.now += module.PULSE - 1
    assert house.sessions.touch(session) is session
    house.clock.now += 2
    assert house.sessions.touch(session).seen == house.clock.now


def test_paused_and_closed_studies_let_nobody_begin(house: House) -> None:
    anna = house.come("anna")
    for state in ("paused", "closed"):
        house.sessions.turn("ears", state)  # type: ignore[arg-type]
        with pytest.raises(NoSlot) as refused:
            house.come("ben")
        assert refused.value.state == state and house.come("anna").id == anna.id
    assert house.sessions.turn("ears", "open").state == "open" and house.come("ben").slot == 1


def test_an_extended_study_has_more_slots_and_never_fewer(house: House) -> None:
    assert house.sessions.extend("ears", 5).slots == 5
    assert house.sessions.extend("ears", 2).slots == 5
    assert [house.come(name).slot for name in "abcde"] == [0, 1, 2, 3, 4]
    with pytest.raises(UnknownTrial):
        house.sessions.extend("nose", 5)


def test_a_launched_study_keeps_its_file(house: House) -> None:
    again = house.sessions.launch("ears", hash="h1", slots=3, lease=1.0, code="OTHER")
    assert (again.code, again.lease, again.slots) == ("CODE", LEASE, 3)
    with pytest.raises(RatingConflict, match="another version"):
        house.sessions.launch("ears", hash="h2", slots=3, lease=LEASE, code="CODE")
    assert [one.name for one in house.sessions.studies()] == ["ears"]


def test_a_page_is_served_once_whoever_asks(house: House) -> None:
    session = house.come("anna")
    page = house.sessions.serve(session, 0, {"order": [1, 2]})
    assert house.sessions.serve(session, 0, {"order": [2, 1]}) == page == house.sessions.page(session, 0)
    assert page.trial.kind == "study" and page.trial.listener == session.id and page.trial.served == {"order": [1, 2]}
    assert house.sessions.page(session, 1) is None
    with pytest.raises(RatingConflict, match="gone on"):
        house.sessions.serve(session, 1, {})
    with pytest.raises(UnknownTrial):
        house.sessions.find(house.come("ben"), page.trial.id)


def test_two_tabs_that_ask_at_once_see_one_page(house: House) -> None:
    session, start = house.come("anna"), threading.Barrier(8)

    def ask(number: int) -> str:
        start.wait()
        return house.sessions.serve(session, 0, {"order": number}).trial.id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


def test_going_on_twice_counts_once(house: House) -> None:
    session = house.come("anna")
    page = house.serve(session)
    for _ in range(2):
        session = house.sessions.finish(session, page, event=finished(page), last=False)
        assert session.place == 1
    assert house.sessions.counted(session) == 1
    assert [one.payload.kind for one in house.store.events(page.trial.id)] == ["finished"]


def test_answers_after_the_end_of_a_page_are_refused_and_deeds_are_kept(house: House) -> None:
    session = house.come("anna")
    page = house.serve(session)
    trial = page.trial.id
    assert house.sessions.save(session, trial, [given(1), did(1)]) == ["saved", "saved"]
    session = house.sessions.finish(session, page, event=finished(page), last=False)
    assert house.sessions.save(session, trial, [given(1), did(1), did(2)]) == ["known", "known", "saved"]
    with pytest.raises(Gone):
        house.sessions.save(session, trial, [did(3), given(2)])
    assert len(house.store.events(trial)) == 4, "all of a request or none of it"
    with pytest.raises(RatingConflict, match="used before"):
        house.sessions.save(session, trial, [given(1, value=3)])


def test_deeds_never_take_the_room_of_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DEEDS", 5)
    monkeypatch.setattr(module, "MOST_EVENTS", 7)
    session = house.come("anna")
    trial = house.serve(session).trial.id
    assert house.sessions.save(session, trial, [did(n) for n in range(4)]) == ["saved"] * 4
    assert house.sessions.save(session, trial, [did(4), given(1), did(5), did(0)]) == [
        "saved",
        "saved",
        "full",
        "known",
    ]
    assert house.sessions.save(session, trial, [did(6), given(2)]) == ["full", "saved"]
    with pytest.raises(RatingConflict, match="more than 7 changes"):
        house.sessions.save(session, trial, [given(3)])
    assert len(house.store.events(trial)) == 7


def test_withdrawal_deletes_what_was_said_and_gives_the_slot_back(house: House, tmp_path: Path) -> None:
    session = house.come("anna", pid="PANEL-ID-OF-ANNA", device={"browser": "strange-browser"})
    page = house.serve(session)
    house.sessions.save(session, page.trial.id, [given(1, value="words-of-anna")])
    other = house.serve(house.come("ben"))
    gone = house.sessions.withdraw(session)
    assert (gone.trials, gone.events) == (1, 1)
    left = house.sessions.get("token-of-anna")
    assert (left.state, left.pid, left.device, left.seat) == ("withdrawn", None, {}, False)
    with pytest.raises(UnknownTrial):
        house.store.get(page.trial.id)
    assert house.store.get(other.trial.id) == other.trial
    assert house.store.count("study") == {"trials": 1, "events": 0, "listeners": 1, "withdrawn": 1}
    assert house.store.count("rating")["withdrawn"] == 0
    with pytest.raises(RatingConflict):
        house.serve(left)
    assert house.come("carl").slot == session.slot, "the slot is free again"
    assert house.sessions.withdraw(left).trials == 0, "twice does no harm"
    house.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(word in kept for word in (b"PANEL-ID-OF-ANNA", b"words-of-anna", b"strange-browser"))


def test_everything_of_a_study_in_order(house: House) -> None:
    anna, ben = house.come("anna"), house.come("ben")
    anna = house.finish(anna)
    house.serve(anna, 1)
    house.finish(ben)
    pages = house.sessions.pages("ears")
    assert [page.place for page in pages[anna.id]] == [0, 1]
    assert [page.finished is not None for page in pages[anna.id]] == [True, False]
    assert [one.id for one in house.sessions.all("ears")] == sorted([anna.id, ben.id])


class AnyLife(RuleBasedStateMachine):
    """Listeners who come, go on, stay away, come back and withdraw in any order: what holds after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.house = House(Path(self.folder.name), slots=3)
        self.finished: dict[str, bool] = {}

    @rule(name=NAMES)
    def come(self, name: str) -> None:
        known = self.house.sessions.all("ears")
        try:
            session = self.house.come(name)
        except NoSlot:
            held = [one for one in known if one.seat]
            late = [one for one in held if one.state == "open" and one.seen < self.house.clock.now - LEASE]
            assert len(held) == 3 and not late, "there was no place"
        else:
            assert 0 <= session.slot < 3

    @rule(name=NAMES, last=st.booleans())
    def go_on(self, name: str, last: bool) -> None:
        session = self._known(name)
        if session is not None and session.state == "open":
            after = self.house.finish(session, last=last)
            assert after.place == session.place + 1
            if last:
                self.finished[after.id] = after.seat

    @rule(name=NAMES)
    def withdraw(self, name: str) -> None:
        session = self._known(name)
        if session is not None:
            self.house.sessions.withdraw(session)
            self.finished.pop(session.id, None)
            assert self.house.sessions.pages("ears").get(session.id) is None

    @rule(hours=st.sampled_from([0.01, 0.5, 1.5]))
    def wait(self, hours: float) -> None:
        self.house.clock.now += 3600 * hours

    @invariant()
    def a_slot_is_held_by_one_and_a_finished_one_stays(self) -> None:
        sessions = self.house.sessions.all("ears")
        seats = [one.slot for one in sessions if one.seat]
        assert len(seats) == len(set(seats))
        by_id = {one.id: one for one in sessions}
        assert all(by_id[name].state == "finished" and by_id[name].seat >= seat for name, seat in self.finished.items())
        counted = {one.id: self.house.sessions.counted(one) for one in sessions}
        assert all(counted[one.id] == one.place for one in sessions)

    def _known(self, name: str) -> Session | None:
        try:
            return self.house.sessions.get(f"token-of-{name}")
        except UnknownTrial:
            return None

    def teardown(self) -> None:
        self.house.store.close()
        self.folder.cleanup()


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
