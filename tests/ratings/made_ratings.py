"""Events for the tests of ratings: one by hand, and a strategy for any."""

from typing import Any

from hypothesis import strategies as st

from separation.ratings import Event, parse_event
from separation.ratings.records import LABELS, SCALES

_IDS = st.text("abcdefgh0123_-", min_size=8, max_size=12)
_STEMS = st.sampled_from(["vocals", "accompaniment", "Stimme 1 – „Ö“"])
_SECONDS = st.floats(0, 3600)
_HEARD = st.dictionaries(_STEMS, _SECONDS, max_size=3)
_REGIONS = st.tuples(_SECONDS, st.floats(0.01, 60)).map(lambda r: {"start": r[0], "end": r[0] + r[1]})
_BANDS = st.none() | st.tuples(st.floats(0, 1000), st.floats(1, 20000)).map(lambda b: [b[0], b[0] + b[1]])
_FIELDS = st.text(min_size=1, max_size=8)
_PLAIN = st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | st.text(max_size=20)
_VALUES = st.recursive(
    _PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=3), max_leaves=6
)


def event(made: int, identity: str | None = None, **payload: Any) -> Event:
    """An event as a client would send it; its id is made from the time unless given."""
    payload.setdefault("kind", "answer")
    return parse_event({"id": identity or f"event-{made:04}", "made": made, "payload": payload})


_PAYLOADS = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("answer"), "stem": _STEMS, "scale": st.sampled_from(SCALES), "value": st.none() | st.integers(1, 5)}
    ),
    st.builds(
        lambda region, rest: {**region, **rest},
        _REGIONS,
        st.fixed_dictionaries(
            {
                "kind": st.just("mark"), "mark": st.sampled_from(["mark-001", "mark-002"]), "stem": _STEMS,
                "label": st.sampled_from(LABELS), "severity": st.integers(1, 3), "band_hz": _BANDS,
            }
        ),
    ),
    st.fixed_dictionaries({"kind": st.just("unmark"), "mark": st.sampled_from(["mark-001", "mark-002"])}),
    st.fixed_dictionaries({"kind": st.just("comment"), "stem": st.none() | _STEMS, "text": st.text(max_size=50)}),
    st.fixed_dictionaries({"kind": st.just("consent"), "training": st.booleans()}),
    st.fixed_dictionaries(
        {
            "kind": st.just("heard"), "seconds": _HEARD, "saw_model": st.booleans(), "saw_metrics": st.booleans(),
            "saw_views": st.booleans(),
        },
        optional={"modes": st.dictionaries(st.sampled_from(["solo", "loop", "other take"]), _HEARD)},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("given"), "field": _FIELDS, "of": st.none() | _IDS, "value": _VALUES}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("did"), "what": st.sampled_from(["heard", "switch", "underrun"]), "of": st.none() | _IDS,
            "at": st.none() | _SECONDS, "detail": st.dictionaries(_FIELDS, _PLAIN, max_size=3),
        }
    ),
    st.just({"kind": "finished"}),
)  # fmt: skip
EVENTS = st.builds(
    lambda identity, made, payload: parse_event({"id": identity, "made": made, "payload": payload}),
    _IDS,
    st.integers(0, 2_000_000_000_000),
    _PAYLOADS,
)
