"""Training runs of a second: recipes, data in memory, and a program that is killed in the middle of one.

``python -m tests.training.tiny_run NAME FOLDER STEP`` starts the recipe NAME in FOLDER and ends itself with SIGKILL when
the data for STEP is asked for: no clean-up runs, as when the machine goes down.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from separation.training import Recipe
from separation.training.loop import Paths, Run

UNET = Recipe(
    name="tiny-unet",
    architecture="unet",
    arguments={"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "channels": [4, 6], "hidden": 8},
    data="tiny",
    losses={"snr": 1.0, "l1": 0.1},
    length=1600,
    batch=2,
    steps=12,
    decay=4,
    rate=3e-3,
    warmup=3,
    validate_every=4,
    validation_examples=3,
)
CONV_TASNET = UNET.with_changes(
    name="tiny-conv-tasnet",
    architecture="conv_tasnet",
    arguments={"basis": 32, "kernel": 16, "bottleneck": 12, "hidden": 24, "skip": 0, "blocks": 3, "repeats": 1},
    losses={"si_sdr": 1.0},
)
RECIPES = {recipe.name: recipe for recipe in (UNET, CONV_TASNET)}


@dataclass(frozen=True)
class LowAndHigh:
    """A low tone and a high one, of random pitch and phase: easy to tell apart.

    Args:
        fixed: every step sees the same batch.
        before: called with each step before its first example is made.
    """

    length: int = UNET.length
    sources: tuple[str, ...] = ("low", "high")
    fixed: bool = False
    before: Callable[[int], None] = lambda step: None

    def example(self, seed: int, step: int, index: int) -> NDArray[np.float32]:
        if index == 0:
            self.before(step)
        rng = np.random.default_rng([seed, 0 if self.fixed else step, index])
        t = np.arange(self.length) / 8000
        tones = [np.sin(2 * np.pi * rng.uniform(*band) * t + rng.uniform(0, 6)) for band in ((150, 600), (1500, 3500))]
        return np.stack(tones).astype(np.float32)


def run(recipe: Recipe, folder: Path, mixer: LowAndHigh | None = None) -> Path:
    """Train on the CPU; validation is on the same kind of data."""
    folder.mkdir(parents=True, exist_ok=True)
    training = mixer or LowAndHigh(recipe.length)
    return Run(recipe, training, LowAndHigh(recipe.length), Paths(folder), device="cpu").go()


def die_at(step: int) -> Callable[[int], None]:
    def before(now: int) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return before


if __name__ == "__main__":
    torch.set_num_threads(1)
    chosen = RECIPES[sys.argv[1]]
    run(chosen, Path(sys.argv[2]), LowAndHigh(chosen.length, before=die_at(int(sys.argv[3]))))
