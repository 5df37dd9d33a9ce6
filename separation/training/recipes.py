"""Recipes: everything that decides a training run, in one frozen record that is saved with the weights.

`earshot train NAME --data DIR --output DIR` runs one. The data folder has a subfolder a corpus (see docs/training.md).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from separation.datasets import Track, check_split, mir1k, packages, speech
from separation.errors import DataError
from separation.training.mixing import Mixer, SpeakerMixer, VocalMixer
from separation.training.pools import load_pool

PRECISIONS = ("no", "bf16")
KEPT_FOR_TEST = frozenset({"librispeech:2609", "librispeech:367"})  # a low and a high voice of the validation part


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Args:
        name: also the bundled model's name.
        architecture, arguments: what is built (see `models.ARCHITECTURES`).
        data: which mixers (see `DATA`).
        losses: weights by name (see `training.losses.LOSSES`).
        intermediate: the same for the model's intermediate output (deep supervision).
        objective: "estimates", or "latent" for the second of the two steps (see `training.objectives`).
        frozen: beginnings of the names of parameters that stay as they are.
        length: samples of an example.
        batch: examples a step.
        steps: optimiser steps in all.
        decay: steps of linear decay to zero at the end; the rate is constant before (and warmed up at the start), so
            that a run can be made longer without having spent its decay.
        rate: peak learning rate of AdamW.
        ema: decay of the averaged weights; those are validated and shipped.
        precision: "no" or "bf16".
    """

    name: str
    architecture: str
    arguments: dict[str, Any]
    data: str
    losses: dict[str, float]
    length: int
    batch: int
    steps: int
    decay: int
    rate: float = 1e-3
    warmup: int = 200
    weight_decay: float = 1e-2
    clip: float = 5.0
    ema: float = 0.999
    seed: int = 0
    precision: str = "no"
    validate_every: int = 500
    validation_examples: int = 48
    mixing: dict[str, Any] = field(default_factory=dict)
    intermediate: dict[str, float] = field(default_factory=dict)
    objective: str = "estimates"
    frozen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise DataError(
                f"Train in precision {self.precision!r}", "it is not known", f"Use one of {', '.join(PRECISIONS)}"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def with_changes(self, **changes: Any) -> "Recipe":
        return replace(self, **{key: value for key, value in changes.items() if value is not None})


RECIPES = {
    "vocals": Recipe(
        name="vocals",
        architecture="unet",
        arguments={
            "sources": ["vocals", "accompaniment"],
            "sample_rate": 16000,
            "n_fft": 1024,
            "hop_length": 256,
            "channels": [16, 32, 64, 96, 128],
            "hidden": 192,
            "segment": 8.0,
            "context": 1.0,
        },
        data="vocals",
        losses={"snr": 1.0, "snr_windows": 0.3},
        length=255 * 256,
        batch=8,
        steps=16000,
        decay=4000,
        rate=1.5e-3,
        precision="bf16",
    ),
    "speakers": Recipe(
        name="speakers",
        architecture="conv_tasnet",
        arguments={
            "sources": ["speaker 1", "speaker 2"],
            "sample_rate": 8000,
            "basis": 256,
            "kernel": 32,
            "bottleneck": 128,
            "hidden": 256,
            "skip": 0,
            "width": 3,
            "blocks": 8,
            "repeats": 2,
            "mask": "relu",
            "encoder_relu": True,
            "segment": 8.0,
            "context": 1.0,
        },
        data="speakers",
        losses={"si_sdr": 1.0},
        length=32000 - 256,
        batch=4,
        steps=30000,
        decay=6000,
        rate=1e-3,
        precision="bf16",
    ),
}

MixerPair = tuple[Mixer, Mixer]


def vocals_data(recipe: Recipe, folder: Path, cache: Path) -> MixerPair:
    """MIR-1K (5 singers), 251 LibriSpeech speakers and package music for training; a sixth singer to validate on."""
    singers = mir1k.split(mir1k.read(folder / "mir1k"))
    spoken = speech.read_librispeech(folder / "librispeech")["train"]
    music = packages.read_music(folder / "debian")
    check_split({"train": [*singers["train"], *music["train"]], "test": [*singers["test"], *music["test"]]})

    def pool(tracks: list[Track], group: str) -> Any:
        return load_pool(tracks, sample_rate=recipe.arguments["sample_rate"], group=group, cache=cache)

    train = VocalMixer(
        pool(singers["train"], "song"), pool(spoken, "speaker"), pool(music["train"], "file"), recipe.length,
        **recipe.mixing,
    )  # fmt: skip
    validation = VocalMixer(pool(singers["validation"], "song"), None, None, recipe.length, aligned=1.0, voiceless=0.0)
    return train, validation


def speakers_data(recipe: Recipe, folder: Path, cache: Path) -> MixerPair:
    """LibriSpeech, a woman and a man of TSP, and the prompt voices for training; three other speakers to validate on."""
    libri = speech.read_librispeech(folder / "librispeech")
    tsp = speech.read_speakers(folder / "tsp", "tsp")
    prompts = packages.read_prompts(folder / "debian")
    train = [*libri["train"], *tsp["FA"], *tsp["MC"], *(t for tracks in prompts.values() for t in tracks)]
    held_out = [t for t in libri["validation"] if t.labels["speaker"] not in KEPT_FOR_TEST]
    test = [t for t in libri["validation"] if t.labels["speaker"] in KEPT_FOR_TEST] + tsp["FB"] + tsp["MD"]
    check_split({"train": train, "validation": held_out, "test": test})
    train_pool, held_out_pool = (
        load_pool(tracks, sample_rate=recipe.arguments["sample_rate"], group="speaker", cache=cache)
        for tracks in (train, held_out)
    )
    return (
        SpeakerMixer(train_pool, recipe.length, **recipe.mixing),
        SpeakerMixer(held_out_pool, recipe.length, high_low=1.0, level_db=2.5),
    )


DATA: dict[str, Callable[[Recipe, Path, Path], MixerPair]] = {"vocals": vocals_data, "speakers": speakers_data}


def get(name: str) -> Recipe:
    if name not in RECIPES:
        raise DataError(f"Train {name!r}", "there is no such recipe", f"Use one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
