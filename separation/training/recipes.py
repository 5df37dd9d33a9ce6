"""Recipes: everything that decides a training run, in one frozen record that is saved with the weights.

`earshot train NAME --data DIR --output DIR` runs one. The data folder has a subfolder a corpus (see docs/training.md).
"""

from typing import Any

from separation.errors import DataError
from separation.training import choir
from separation.training.recipe import Recipe

_UNET: dict[str, Any] = {
    "n_fft": 1024,
    "hop_length": 256,
    "channels": [16, 32, 64, 96, 128],
    "hidden": 192,
    "segment": 8.0,
    "context": 1.0,
}
_TRANSFORM: dict[str, Any] = {
    "sources": ["speaker 1", "speaker 2"],
    "sample_rate": 8000,
    "basis": 256,
    "kernel": 41,
}
"""Both steps have it: the second starts from the weights of the first."""
DISENTANGLED: dict[str, float] = {"mixture": 0.1, "kl": 0.01, "dependence": 0.05, "memory": 3.0}
"""Weights of `disentangling.TERMS`."""

RECIPES = {
    "vocals": Recipe(
        name="vocals",
        architecture="unet",
        arguments={
            "sources": ["vocals", "accompaniment"],
            "sample_rate": 16000,
            **_UNET,
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
    "disentangled": Recipe(
        name="disentangled",
        architecture="disentangled",
        arguments={
            "sources": ["speaker 1", "speaker 2"],
            "sample_rate": 8000,
            "basis": 256,
            "kernel": 32,
            "dimensions": 48,
            "decoder": 128,
            "bottleneck": 128,
            "hidden": 256,
            "blocks": 8,
            "repeats": 2,
        },
        data="conversations",
        losses=DISENTANGLED,
        objective="disentangled",
        length=2 * (16000 - 256),
        batch=4,
        steps=30000,
        decay=10000,
        precision="bf16",
    ),
    "guitar": Recipe(
        name="guitar",
        architecture="unet",
        arguments={
            "sources": ["guitar", "accompaniment"],
            "sample_rate": 22050,
            **_UNET,
        },
        data="guitar",
        losses={"snr": 1.0, "snr_windows": 0.3},
        length=255 * 256,
        batch=8,
        steps=8000,
        decay=3000,
        rate=1.5e-3,
        precision="bf16",
        mixing={"aligned": 0.4, "foreign_music": 0.3, "second_voice": 0.0, "voiceless": 0.1},
    ),
    "two-step-transform": Recipe(
        name="two-step-transform",
        architecture="learned_transform",
        arguments=_TRANSFORM,
        data="speakers",
        losses={"si_sdr": 1.0},
        length=24000,
        batch=4,
        steps=8000,
        decay=4000,
        precision="bf16",
    ),
    "two-step": Recipe(
        name="two-step",
        architecture="two_step",
        arguments={
            **_TRANSFORM,
            "bottleneck": 128,
            "hidden": 256,
            "blocks": 8,
            "repeats": 2,
            "norm": "global",
        },
        data="speakers",
        losses={},
        objective="latent",
        frozen=["transform."],
        length=24000,
        batch=4,
        steps=20000,
        decay=8000,
        precision="bf16",
    ),
    "htmd-net": Recipe(
        name="htmd-net",
        architecture="htmd_net",
        arguments={
            "sources": ["vocals", "accompaniment"],
            "sample_rate": 16000,
            "basis": 256,
            "kernel": 32,
            "bottleneck": 96,
            "hidden": 256,
            "blocks": 9,
            "levels": 10,
            "recurrent": 96,
        },
        data="vocals",
        losses={"mse": 1.0},
        intermediate={"mse": 0.5},
        length=32768,
        batch=4,
        steps=20000,
        decay=8000,
        precision="bf16",
    ),
    **choir.RECIPES,
}


def get(name: str) -> Recipe:
    if name not in RECIPES:
        raise DataError(f"Train {name!r}", "there is no such recipe", f"Use one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
