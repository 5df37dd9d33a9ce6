"""What was said over the routes is what comes out as answers; what is known of listeners beside; the log of everything."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from separation.listening import headphones, results
from separation.listening.pages import heard_of, standing
from separation.listening.parts import Assignment, Page
from separation.listening.sessions import Entry
from separation.ratings import parse_event
from tests.listening.small_study import EVERY_KIND, House, Json, answer_of, events_of, parsed, small_study, walk

FEW = (Page(kind="consent"), Page(kind="trials"))


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A study with every kind of question, for many listeners."""
    study = small_study(questions=EVERY_KIND, pages=FEW, assignment=Assignment(listeners=40, repeats=0.0))
    made = House(tmp_path_factory.mktemp("every"), study)
    yield made
    made.store.close()


def answers_of(house: House, listener: str) -> list[Any]:
    found = results.answers(house.study, house.opened.plan, house.studies.sessions, house.store)
    return [answer for answer in found if answer.listener == listener]


def value_of(field: Json, page: Json, draw: Any) -> Any:
    """Any proper answer to a field; None leaves out what may be left out."""
    kind = field["kind"]
    if kind == "slider":
        return field["min"] + field["step"] * draw(st.integers(0, round((field["max"] - field["min"]) / field["step"])))
    if kind in ("choice", "scale"):
        return draw(st.sampled_from([option["value"] for option in field["options"]]))
    if kind == "text":
        return draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip))
    return answer_of(field, page)


@settings(suppress_health_check=list(HealthCheck), max_examples=6, deadline=None)
@given(st.data())
def test_what_is_submitted_is_what_comes_out(every: House, data: st.DataObject) -> None:
    """For every kind of question, by condition and item: from the page that was served to the rows."""
    token, page = every.listening.enter(Entry(every.study.name))
    expected: list[tuple[str, str, str, Any]] = []
    while page["kind"] != "end":
        events = events_of(page)
        session = every.studies.sessions.get(token)
        served = every.studies.sessions.page(session, session.place)
        assert served is not None
        conditions = {each["token"]: each["condition"] for each in served.trial.served["stimuli"]}
        fields = {(field["name"], field["of"]): field for field in page["fields"]}
        for event in events:
            said = event["payload"]
            if said["kind"] == "given" and page["kind"] == "trial":
                said["value"] = value_of(fields[said["field"], said["of"]], page, data.draw)
                about = conditions.get(said["of"], "")
                expected.append((served.trial.served["planned"], said["field"], about, said["value"]))
        every.listening.save(token, page["token"], parsed(data.draw(st.permutations(events))))
        page = every.listening.go_on(token, page["token"])
    rows = answers_of(every, every.studies.sessions.get(token).id)
    assert len(rows) == len(expected)
    planned = {one.id: one for one in every.opened.plan.slots[every.studies.sessions.get(token).slot].trials}
    for (trial, field, condition, value), row in zip(expected, rows, strict=True):
        assert row.trial == trial and row.item == planned[trial].item and row.question == planned[trial].question
        assert not condition or row.condition == condition
        if row.kind == "ab":
            assert (row.value, row.text) == {
                "left": (1.0, None), "right": (-1.0, None), "tie": (0.0, None), "both_bad": (None, "both_bad"),
            }[value]  # fmt: skip
        elif row.kind == "abx":
            assert row.value == float(["a", "b"].index(value) == planned[trial].x)
        elif row.kind == "ccr":
            assert row.value == -value and (row.condition, row.other) == planned[trial].conditions
        elif field in ("words", "comment"):
            assert row.text == value
        elif field == "marks":
            assert '"start": 0.01' in row.text
        else:
            assert row.value == value and row.text is None


def test_time_play_and_switches_come_from_the_events(tmp_path: Path) -> None:
    house = House(tmp_path, small_study(pages=FEW))
    token, page = house.listening.enter(Entry(house.study.name))
    house.listening.save(token, page["token"], parsed(events_of(page)))
    page = house.listening.go_on(token, page["token"])
    first, second = (each["token"] for each in page["stimuli"][:2])
    deeds = [
        {"kind": "did", "what": "switch", "of": second, "detail": {"from": first}},
        {"kind": "did", "what": "switch", "of": first, "detail": {"from": second}},
        {"kind": "did", "what": "heard", "of": first, "detail": {"seconds": 4.0}},
    ]
    for number, deed in enumerate(deeds):
        house.clock.now += 10
        event = parse_event({"id": f"more-{number:04}", "made": 5 + number, "payload": deed})
        house.listening.save(token, page["token"], [event])
    house.clock.now += 36_000  # a night
    house.listening.save(token, page["token"], parsed(events_of(page)))
    house.clock.now += 20
    house.listening.go_on(token, page["token"])
    rows = answers_of(house, house.studies.sessions.get(token).id)
    assert {row.seconds for row in rows} == {30 + results.LONGEST_PAUSE + 20} and {row.switches for row in rows} == {2}
    assert [row.played for row in rows] == [6.5, *[2.5] * (len(rows) - 1)] and all(row.moved for row in rows)
    assert {row.made for row in rows} == {house.clock.now} and [row.position for row in rows] == list(range(len(rows)))
    house.store.close()


def test_a_page_counts_once_it_is_finished(tmp_path: Path) -> None:
    house = House(tmp_path, small_study(pages=FEW))
    token, page = house.listening.enter(Entry(house.study.name))
    while page["kind"] != "trial":
        house.listening.save(token, page["token"], parsed(events_of(page)))
        page = house.listening.go_on(token, page["token"])
    house.listening.save(token, page["token"], parsed(events_of(page)))
    assert answers_of(house, house.studies.sessions.get(token).id) == []
    house.listening.go_on(token, page["token"])
    rows = answers_of(house, house.studies.sessions.get(token).id)
    assert len(rows) == len(page["stimuli"]) and {row.index for row in rows} == {0}
    house.listening.withdraw(token)
    assert answers_of(house, house.studies.sessions.get(token).id) == []
    house.store.close()


def answered_by(ears: str) -> Any:
    """How somebody answers a trial of the headphone check: over headphones, or over loudspeakers that cancel antiphase."""

    def answer(order: tuple[str, ...]) -> int:
        return order.index("quiet" if ears == "headphones" else "antiphase") + 1

    return answer


@pytest.mark.parametrize(("ears", "right"), [("headphones", 6), ("loudspeakers", 0)])
def test_who_wears_headphones_is_found_out(tmp_path: Path, ears: str, right: int) -> None:
    house = House(tmp_path, small_study(pages=(Page(kind="headphones"), Page(kind="trials"))))
    token, page = house.listening.enter(Entry(house.study.name, pid="P1", device={"rate": 48000}))
    session = house.studies.sessions.get(token)
    served = house.studies.sessions.page(session, 0)
    assert served is not None
    orders = {each["token"]: tuple(each["tones"]) for each in served.trial.served["stimuli"]}
    events = events_of(page)
    for event in events:
        if event["payload"]["kind"] == "given":
            event["payload"]["value"] = answered_by(ears)(orders[event["payload"]["of"]])
    blur = {"id": "blur-0001", "made": 9, "payload": {"kind": "did", "what": "blur"}}
    house.listening.save(token, page["token"], [*parsed(events), parse_event(blur)])
    assert results.checks(house.study.name, house.studies.sessions, house.store) == {}, "not before it is finished"
    house.listening.go_on(token, page["token"])
    assert results.checks(house.study.name, house.studies.sessions, house.store) == {session.id: {"headphones": right}}
    (person,) = results.people(house.study.name, house.studies.sessions, house.store)
    assert (person.headphones, person.blurs, person.underruns, person.trials) == (right, 1, 0, 0)
    assert (person.pid, person.device, person.state, person.seat) == ("P1", {"rate": 48000}, "open", True)
    house.store.close()


def test_forms_are_kept_beside_the_answers(tmp_path: Path) -> None:
    house = House(tmp_path)
    token, page = house.listening.enter(Entry(house.study.name))
    walk(house.listening, token, page)
    (person,) = results.people(house.study.name, house.studies.sessions, house.store)
    assert person.said == {"years-of-music": 0, "ears-ok": "yes", "remarks-at-end": "words of a listener"}
    assert person.trials == 6 and person.finished == house.clock.now and person.to_json()["state"] == "finished"
    house.store.close()


def test_the_log_has_everything_in_order(tmp_path: Path) -> None:
    house = House(tmp_path, small_study(pages=FEW))
    for _ in range(2):
        token, page = house.listening.enter(Entry(house.study.name))
        walk(house.listening, token, page)
    log = list(results.events(house.study.name, house.studies.sessions, house.store))
    listeners = [line["listener"] for line in log]
    assert listeners == sorted(listeners, key=listeners.index), "one listener after the other"
    places = [line["served"]["place"] for line in log if line["event"] == "served"]
    assert places == [*range(7), *range(7)]
    assert sum(line["event"] == "finished" for line in log) == 14
    assert len(log) == 14 + house.store.count("study")["events"]
    house.store.close()


def test_the_last_word_stands_in_whatever_order_it_comes() -> None:
    payloads = [{"kind": "given", "field": "a", "of": None, "value": value} for value in (1, 2, None, 4)]
    events = [parse_event({"id": f"event-{n:04}", "made": n, "payload": p}) for n, p in enumerate(payloads)]
    assert standing(reversed(events)) == {("a", None): 4} and standing(events[:3]) == {}


def test_seconds_that_are_none_count_nothing() -> None:
    details = [{"seconds": 2.0}, {"seconds": "x"}, {"seconds": True}, {"seconds": -1.0}, {"seconds": 1e9}, {}]
    events = [
        parse_event(
            {"id": f"event-{n:04}", "made": n, "payload": {"kind": "did", "what": "heard", "of": "t" * 16, "detail": d}}
        )
        for n, d in enumerate(details)
    ]
    assert heard_of(events) == {"t" * 16: 2.0}


def test_the_quiet_tone_is_quieter_and_antiphase_is_silent_in_mono() -> None:
    sound = np.frombuffer(headphones.pcm(("plain", "quiet", "antiphase")), "<i2").reshape(-1, 2).astype(float)
    second = headphones.SAMPLE_RATE
    tones = [sound[round(1.5 * number * second) :][:second] for number in range(3)]
    levels = [20 * np.log10(np.sqrt((tone[:, 0] ** 2).mean())) for tone in tones]
    assert levels[1] - levels[0] == pytest.approx(-6, abs=0.01) and levels[2] == pytest.approx(levels[0], abs=0.01)
    assert np.abs(tones[2].sum(axis=1)).max() <= 1 and np.abs(tones[0].sum(axis=1)).max() > 6000
    spectrum = np.abs(np.fft.rfft(tones[0][:, 0]))
    assert spectrum.argmax() == 200 and np.abs(sound[second : round(1.5 * second)]).max() == 0
    assert np.abs(np.diff(tones[0][:, 0])).max() < 110, "no click at the ends"


def test_every_place_of_the_quiet_tone_comes_twice() -> None:
    for seed in range(20):
        orders = headphones.draw(Random(seed))
        assert Counter(headphones.right_answer(order) for order in orders) == {1: 2, 2: 2, 3: 2}
        assert all(sorted(order) == sorted(headphones.TONES) for order in orders)
