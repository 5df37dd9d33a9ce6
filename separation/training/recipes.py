"""Recipes: everything that decides a training run, in one frozen record that is saved with the weights.

`earshot train NAME --data DIR --output DIR` runs one. The data folder has a subfolder a corpus (see docs/training.md).
"""

from separation.errors import DataError
from separation.training.recipe import Recipe

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


def get(name: str) -> Recipe:
    if name not in RECIPES:
        raise DataError(f"Train {name!r}", "there is no such recipe", f"Use one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
