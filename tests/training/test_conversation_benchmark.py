"""The benchmark of conversations: what is said in them, how a swap is counted, and the lines that it writes."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.conversation import (
    CONDITIONS,
    LONGEST_PAUSE,
    SETS,
    Unstitched,
    conversation,
    judged,
    section,
    swapped,
    variant,
)
from separation.models import build
from tests.contract import SMALL

RATE = 8000


def voices(seconds: float = 2.0) -> dict[str, list[np.ndarray[Any, Any]]]:
    random = np.random.default_rng(0)
    return {name: [random.standard_normal(round(seconds * RATE)).astype(np.float32) for _ in range(5)] for name in "ab"}


def test_both_talk_overlap_and_pause() -> None:
    sources = conversation(voices(), 300, RATE, np.random.default_rng(1))
    assert sources.shape == (2, 300 * RATE)
    speaks = np.abs(sources.reshape(2, -1, RATE // 10)).max(-1) > 0
    assert 0.2 < speaks[0].mean() < 0.8 and 0.2 < speaks[1].mean() < 0.8
    assert 0.03 < speaks.all(0).mean() < 0.4
    silent = "".join("0" if any(now) else "1" for now in speaks.T)
    pauses = [len(pause) / 10 for pause in silent.strip("1").split("0") if pause]
    assert max(pauses) > 2 and max(pauses) < LONGEST_PAUSE + 0.2
    again = conversation(voices(), 300, RATE, np.random.default_rng(1))
    assert np.array_equal(sources, again)


def test_swaps_are_counted_by_second_whatever_order_is_the_usual_one() -> None:
    sources = conversation(voices(), 60, RATE, np.random.default_rng(2))
    perfect = swapped(sources, sources, RATE)
    assert perfect == swapped(sources[::-1], sources, RATE)
    assert perfect["swapped"] == perfect["changes"] == 0 and perfect["spoken"] > 30 and perfect["unclear"] < 8
    turned = sources.copy()
    turned[:, 20 * RATE : 30 * RATE] = sources[::-1, 20 * RATE : 30 * RATE]
    found = swapped(turned, sources, RATE)
    assert 4 <= found["swapped"] <= 10 and found["changes"] == 2


def test_a_mixture_in_both_tracks_is_unclear() -> None:
    sources = conversation(voices(), 30, RATE, np.random.default_rng(3))
    found = swapped(np.stack([sources.sum(0)] * 2), sources, RATE)
    assert found["unclear"] == found["spoken"] and found["swapped"] == 0


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_runs_through_the_engine(condition: str) -> None:
    memory, stitched = CONDITIONS[condition]
    torch.manual_seed(0)
    model: Any = build("disentangled", SMALL["disentangled"]["memory"]).eval()
    separator = variant(model, memory=memory, stitched=stitched)
    assert separator.spec.stateful == memory
    assert isinstance(separator, Unstitched) != stitched == separator.spec.permutation_invariant
    found = judged(separator, conversation(voices(), 12, RATE, np.random.default_rng(4)))
    assert set(found) == {"spoken", "unclear", "swapped", "changes"} and found["spoken"] > 4


def test_the_section_has_a_line_for_everything_and_survives_json() -> None:
    said = {"spoken": 100, "unclear": 10, "swapped": 9, "changes": 4}
    rows = {name: [["a + b", 4.0 + seed] for seed in range(2)] for name in SETS}
    kept = {
        "conversations": {f"tiny | a with b | {told} | memory": said for told in range(2)},
        "sets": {
            f"disentangled/{name}@conversations | {seed}": rows for name in ("full", "pit") for seed in range(3)
        },
    }  # fmt: skip
    lines = section(json.loads(json.dumps(kept)))
    assert "| tiny | a with b | memory | 200 | 20 | 10.0 % (10.0 to 10.0) |" in lines
    assert any(line.startswith("| all of it | 3 | 4.50 [") and line.endswith("| 0.00 |") for line in lines)
    assert any(line.startswith("| plain PIT | 0.00 [") for line in lines)
    assert section({"conversations": {}, "sets": {}})[-1] == ""
