"""Answers and studies made by hand, for tests of screening, analysis and exports."""

from collections.abc import Mapping, Sequence
from typing import Any

from separation.listening.answers import Answer
from separation.listening.study import Anchor, Assignment, Item, Question, Study, System

SYSTEMS = ("one", "two", "three")


def study(*questions: Question, items: int = 4, **more: Any) -> Study:
    """Three systems, both anchors, items in pairs of a song."""
    given = {
        "name": "tiny",
        "title": "A tiny study",
        "systems": tuple(System(id=name, label=name.capitalize(), files=f"{name}/{{item}}.wav") for name in SYSTEMS),
        "anchors": (
            Anchor(id="low", kind="low_pass", cut_hz=3500),
            Anchor(id="mid", kind="low_pass", cut_hz=7000),
        ),
        "items": tuple(
            Item(id=f"i{k}", mixture=f"m{k}.wav", target=f"t{k}.wav", duration=5, group=f"song{k // 2}")
            for k in range(items)
        ),
        "questions": questions or (Question(id="q", kind="mushra"),),
        "assignment": Assignment(listeners=12, repeats=0.2),
    }
    return Study(**(given | more))


def answer(listener: str, item: str, condition: str, value: float | None, **more: Any) -> Answer:
    """One grade; the trial is the listener's on this item unless told otherwise."""
    given: dict[str, Any] = {
        "listener": listener, "trial": f"{listener}/{item}", "index": 0, "question": "q", "kind": "mushra", "item": item,
        "group": item, "attribute": "overall", "condition": condition, "other": "", "value": value, "text": None,
        "position": 0, "purpose": "test", "repeat_of": None, "expected": None, "tolerance": 0.0, "seconds": 30.0,
        "played": 10.0, "switches": 3, "moved": True, "made": 1.7e9,
    }  # fmt: skip
    return Answer(**(given | more))


def table(grades: Mapping[str, Mapping[str, Sequence[float]]], **more: Any) -> list[Answer]:
    """listener -> condition -> grades of i0, i1, …"""
    return [
        answer(listener, f"i{k}", condition, value, **more)
        for listener, conditions in grades.items()
        for condition, values in conditions.items()
        for k, value in enumerate(values)
    ]
