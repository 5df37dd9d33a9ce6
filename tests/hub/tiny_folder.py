"""A random model small enough for any test, and the card fields to save it with."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from separation.models import build

ARGUMENTS: dict[str, Any] = {
    "basis": 16,
    "kernel": 8,
    "bottleneck": 8,
    "hidden": 16,
    "skip": 8,
    "blocks": 2,
    "repeats": 1,
}
FIELDS: dict[str, Any] = {
    "architecture": "conv_tasnet",
    "title": "Two speakers, tiny",
    "summary": "A random model for tests.",
    "task": "speakers",
    "licence": "MIT",
    "citation": "Nobody, Nowhere, 2020",
    "trained_on": ["nothing"],
    "scores": [],
    "weaknesses": ["It separates nothing at all."],
    "training": None,
}


def tiny(seed: int = 0, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build("conv_tasnet", {**ARGUMENTS, **arguments}).eval()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
