"""Votes as the tests of the arena make them: four systems of known strengths, and listeners who follow them."""

import math
from typing import Any

import numpy as np

from separation.listening.arena import Choice, Vote

SYSTEMS = ("ant", "bee", "cat", "dog")
STRENGTHS = {"ant": 1.5, "bee": 0.5, "cat": -0.5, "dog": -1.5}


def vote(number: int = 0, left: str = "ant", right: str = "bee", choice: Choice = "left", **more: Any) -> Vote:
    fields: dict[str, Any] = {
        "trial": f"trial-{number:05}", "listener": f"listener-{number % 20:02}", "made": 1000.0 + 60 * number, "task": "vocals",
        "recording": "song", "name": "Song", "left": left, "right": right, "titles": {left: left.title(), right: right.title()},
        "how": "random", "probability": 0.5, "choice": choice, "reasons": {}, "seconds": 40.0,
        "heard": {"left": 9.0, "right": 8.0, "mixture": 0.0},
    }  # fmt: skip
    return Vote(**{**fields, **more})


def said(count: int, rng: np.random.Generator, *, side: float = 0.0, **more: Any) -> list[Vote]:
    """Votes by a Bradley-Terry listener with a favourite side."""
    votes = []
    for number in range(count):
        left, right = (str(name) for name in rng.choice(SYSTEMS, 2, replace=False))
        chance = 1 / (1 + math.exp(STRENGTHS[right] - STRENGTHS[left] - side))
        votes.append(vote(number, left, right, "left" if rng.random() < chance else "right", **more))
    return votes
