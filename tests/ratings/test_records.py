"""What a client may send, and what events add up to."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from separation.errors import RatingError
from separation.ratings import Event, parse_event, rating_of
from separation.ratings.records import LABELS, SCALES, Mark
from tests.ratings.made_ratings import EVENTS, event


@given(EVENTS)
def test_an_event_survives_json_and_its_own_parser(made: Event) -> None:
    sent = json.loads(json.dumps({"id": made.id, "made": made.made, "payload": made.payload.model_dump(mode="json")}))
    again = parse_event(sent)
    assert again == made
    assert again.content == made.content
    assert json.loads(made.content) == sent["payload"]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"id": "event-001", "made": 1},
        {"id": "event-001", "made": 1, "payload": {}, "admin": True},
        {"id": "event-001", "made": True, "payload": {"kind": "consent", "training": True}},
        {"id": "event-001", "made": "1", "payload": {"kind": "consent", "training": True}},
        {"id": "short", "made": 1, "payload": {"kind": "consent", "training": True}},
        {"id": "x" * 65, "made": 1, "payload": {"kind": "consent", "training": True}},
        {"id": "../../etc", "made": 1, "payload": {"kind": "consent", "training": True}},
        {"id": "event-001\n", "made": 1, "payload": {"kind": "consent", "training": True}},
        {"id": "event-001", "made": -1, "payload": {"kind": "consent", "training": True}},
        {"id": "event-001", "made": 10**13, "payload": {"kind": "consent", "training": True}},
    ],
)
def test_what_is_no_event_is_refused(data: object) -> None:
    with pytest.raises(RatingError):
        parse_event(data)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"kind": "drop table"}, "drop table"),
        ({"kind": "answer", "stem": "vocals", "scale": "overall", "value": 6}, "less than or equal to 5"),
        ({"kind": "answer", "stem": "vocals", "scale": "overall", "value": 0}, "greater than or equal to 1"),
        ({"kind": "answer", "stem": "vocals", "scale": "overall", "value": 3.5}, "valid integer"),
        ({"kind": "answer", "stem": "vocals", "scale": "overall", "value": True}, "valid integer"),
        ({"kind": "answer", "stem": "", "scale": "overall", "value": 3}, "at least 1 character"),
        ({"kind": "answer", "stem": "vocals", "scale": "loudness", "value": 3}, "'overall', 'target'"),
        ({"kind": "answer", "stem": "vocals", "scale": "overall", "value": 3, "by": "me"}, "Extra inputs"),
        ({"kind": "consent", "training": "yes"}, "valid boolean"),
        ({"kind": "given", "field": "", "value": 1}, "at least 1 character"),
        ({"kind": "given", "field": "a", "value": float("nan")}, "JSON does not know"),
        ({"kind": "given", "field": "a", "value": [[[[[[[[[1]]]]]]]]]}, "nested too deep"),
        ({"kind": "given", "field": "a", "of": "short", "value": 1}, "match pattern"),
        ({"kind": "did", "what": "Play it"}, "match pattern"),
        ({"kind": "did", "what": "heard", "detail": {"seconds": float("inf")}}, "JSON knows"),
        ({"kind": "did", "what": "heard", "detail": {"a": [1]}}, "valid string"),
        ({"kind": "finished", "really": True}, "Extra inputs"),
        ({"kind": "comment", "text": "x" * 4001}, "at most 4000"),
        ({"kind": "heard", "seconds": {"a": float("nan")}, "saw_model": 1}, "finite"),
    ],
)
def test_payloads_that_make_no_sense_say_why(payload: dict[str, object], said: str) -> None:
    with pytest.raises(RatingError) as caught:
        parse_event({"id": "event-001", "made": 1, "payload": payload})
    assert said in caught.value.found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"end": 1.0, "start": 1.0}, "holds nothing"),
        ({"band_hz": [500.0, 100.0]}, "holds nothing"),
        ({"severity": 4}, "less than or equal to 3"),
        ({"label": "bad"}, "'bleed'"),
        ({"mark": "1"}, "pattern"),
        ({"start": -1.0}, "greater than or equal to 0"),
    ],
)
def test_marks_that_make_no_sense_say_why(change: dict[str, object], said: str) -> None:
    mark = {
        "kind": "mark",
        "mark": "mark-001",
        "stem": "vocals",
        "start": 0.5,
        "end": 1.5,
        "label": "bleed",
        "severity": 2,
    }
    assert parse_event({"id": "event-001", "made": 1, "payload": mark})
    with pytest.raises(RatingError) as caught:
        parse_event({"id": "event-001", "made": 1, "payload": {**mark, **change}})
    assert said in caught.value.found


@given(st.lists(EVENTS, max_size=12, unique_by=lambda made: made.id), st.randoms(use_true_random=False))
def test_a_rating_depends_on_the_set_of_events_alone(events: list[Event], chance: random.Random) -> None:
    shuffled = events + events[: len(events) // 2]  # some arrive twice
    chance.shuffle(shuffled)
    assert rating_of(shuffled) == rating_of(events)


def test_the_last_word_counts_and_can_be_taken_back() -> None:
    answer = {"kind": "answer", "stem": "vocals", "scale": "overall"}
    said = [event(1, **answer, value=2), event(3, **answer, value=5), event(2, **answer, value=1)]
    assert rating_of(said).answers == {("vocals", "overall"): 5}
    assert rating_of([*said, event(4, **answer, value=None)]).empty
    mark = {"mark": "mark-001", "stem": "vocals", "start": 1.0, "end": 2.0, "label": "bleed"}
    marked = [event(1, kind="mark", **mark, severity=1), event(2, kind="mark", **mark, severity=3)]
    assert rating_of(marked).marks == {"mark-001": Mark(**mark, severity=3)}
    assert rating_of([*marked, event(3, kind="unmark", mark="mark-001")]).empty
    comments = [event(1, kind="comment", text="good"), event(2, kind="comment", stem="vocals", text="harsh")]
    assert rating_of(comments).comments == {None: "good", "vocals": "harsh"}
    assert (
        rating_of(
            [*comments, event(5, kind="consent", training=True), event(6, kind="consent", training=False)]
        ).training
        is False
    )


def test_what_was_heard_adds_up_and_what_was_seen_once_was_seen() -> None:
    seen = [
        event(1, kind="heard", seconds={"vocals": 2.0}, saw_model=False, saw_metrics=True, saw_views=False),
        event(
            2,
            kind="heard",
            seconds={"vocals": 1.5, "mixture": 4.0},
            saw_model=False,
            saw_metrics=False,
            saw_views=False,
        ),
    ]
    rating = rating_of(seen)
    assert rating.seconds == {"vocals": 3.5, "mixture": 4.0}
    assert (rating.saw_model, rating.saw_metrics, rating.saw_views) == (False, True, False)
    assert rating.empty and rating.events == 2


def test_the_lists_that_pages_show_are_those_that_are_accepted() -> None:
    for scale in SCALES:
        answered = event(1, kind="answer", stem="vocals", scale=scale, value=3)
        assert rating_of([answered]).answers == {("vocals", scale): 3}
    for label in LABELS:
        marked = event(1, kind="mark", mark="mark-001", stem="v", start=0.0, end=1.0, label=label, severity=1)
        assert rating_of([marked]).marks["mark-001"].label == label
