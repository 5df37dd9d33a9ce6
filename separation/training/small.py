"""The recipes of the *claims*: the papers' systems at a size that trains in minutes on one core, called ``small``.

They are for comparing one way of training with another, everything else equal; what ships is in `recipes`. Names are
``SYSTEM/VARIANT@DATA``; `AFTER` says which run another one starts from.

Every run ends with a long fall of the learning rate, so that its validation curve is flat in its last fifth (`claims.Curve`
looks).
"""

from typing import Any

from separation.training.recipe import Recipe
from separation.training.recipes import DISENTANGLED

SPEECH_RATE = 8000
MUSIC_RATE = 16000
SPACES: dict[str, list[str]] = {
    "speakers": ["speaker 1", "speaker 2"],
    "sounds": ["sound 1", "sound 2"],
    "speech_music": ["speech", "music"],
}
"""What the Two-Step claim is made on, and the names of the sources there."""
HTMD_LOSSES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "none-mse": ({"mse": 1.0}, {}),
    "none-mae": ({"l1": 1.0}, {}),
    "mse-mse": ({"mse": 1.0}, {"mse": 0.5}),
    "mae-mae": ({"l1": 1.0}, {"l1": 0.5}),
    "mae-mse": ({"mse": 1.0}, {"l1": 0.05}),
    "mse-mae": ({"l1": 0.1}, {"mse": 1.0}),
}
"""INTERMEDIATE-FINAL -> losses at the end, and at the intermediate output (Garoufis et al. 2021, the best weights of each)."""
DISENTANGLED_LOSSES: dict[str, dict[str, float]] = {
    "full": DISENTANGLED,
    **{
        f"no-{term}": {name: w for name, w in DISENTANGLED.items() if name != term}
        for term in ("kl", "dependence", "memory")
    },
}
"""Variant -> the weights of its terms."""

_FALL: dict[str, Any] = {"warmup": 100, "validation_examples": 32, "precision": "bf16", "ema": 0.998}


def _two_step() -> list[Recipe]:
    transform: dict[str, Any] = {"sample_rate": SPEECH_RATE, "basis": 128, "kernel": 41}
    separator: dict[str, Any] = {
        **transform, "bottleneck": 96, "hidden": 192, "blocks": 7, "repeats": 2, "norm": "global", "segment": 8.0,
    }  # fmt: skip
    sizes: dict[str, Any] = {"length": 24000, "batch": 4, **_FALL}
    made = []
    for data, sources in SPACES.items():
        shared: dict[str, Any] = {
            "sources": sources, **separator, "permutation_invariant": data != "speech_music",
        }  # fmt: skip
        made += [
            Recipe(
                name=f"two-step/transform@{data}", architecture="learned_transform",
                arguments={"sources": sources, **transform}, data=data, losses={"si_sdr": 1.0}, steps=2000, decay=1200,
                validate_every=400, **sizes,
            ),
            Recipe(
                name=f"two-step/latent@{data}", architecture="two_step", arguments=shared, data=data, losses={},
                objective="latent", frozen=["transform."], steps=3000, decay=1800, validate_every=300, **sizes,
            ),
            Recipe(
                name=f"two-step/joint@{data}", architecture="two_step", arguments={**shared, "joint": True}, data=data,
                losses={"si_sdr": 1.0}, steps=3000, decay=1800, validate_every=300, **sizes,
            ),
        ]  # fmt: skip
    return made


def _vocals() -> list[Recipe]:
    sources = {"sources": ["vocals", "accompaniment"], "sample_rate": MUSIC_RATE}
    masking: dict[str, Any] = {**sources, "basis": 192, "kernel": 32, "bottleneck": 64, "hidden": 128, "blocks": 8}
    sizes: dict[str, Any] = {
        "data": "vocals", "length": 16384, "batch": 4, "steps": 4000, "decay": 2400, "validate_every": 400, **_FALL,
    }  # fmt: skip
    htmd: dict[str, Any] = {**masking, "repeats": 1, "levels": 9, "growth": 8, "recurrent": 64}
    made = [
        Recipe(
            name=f"htmd-net/{variant}@vocals", architecture="htmd_net", arguments=htmd, losses=losses,
            intermediate=intermediate, **sizes,
        )
        for variant, (losses, intermediate) in HTMD_LOSSES.items()
    ]  # fmt: skip
    made.append(
        Recipe(
            name="conv-tasnet/htmd@vocals", architecture="htmd_net", losses={"mse": 1.0},
            arguments={**masking, "repeats": 3, "denoiser": False}, **sizes,
        )
    )  # fmt: skip
    made.append(
        Recipe(
            name="wave-u-net/m2@vocals", architecture="wave_u_net", losses={"mse": 1.0},
            arguments={**sources, "difference": True, "levels": 10, "growth": 12}, **sizes,
        )
    )  # fmt: skip
    return made


def _interleaved() -> list[Recipe]:
    shape = {"sample_rate": MUSIC_RATE, "channels": [8, 16, 32, 48, 64]}
    both = {"sources": ["vocals", "accompaniment"], **shape}
    sizes: dict[str, Any] = {"length": 128 * 256, "batch": 4, "losses": {}, **_FALL}
    whole: dict[str, Any] = {"steps": 6000, "decay": 3600, "validate_every": 600}
    half: dict[str, Any] = {
        "steps": 3000,
        "decay": 1800,
        "validate_every": 300,
    }  # as often as its decoder learns in turn
    made = [
        Recipe(
            name=f"interleaved/{name}@vocals", architecture="interleaved", arguments=both, data=data, objective=objective,
            **sizes, **whole,
        )
        for name, data, objective in (
            ("in-turn", "vocals", "interleaved"),
            ("simultaneous", "vocals", "magnitudes"),
            ("two-databases", "vocals_in_turn", "interleaved"),
        )
    ]  # fmt: skip
    made += [
        Recipe(
            name=f"interleaved/only-{source}@vocals", architecture="interleaved",
            arguments={"sources": [source], **shape}, data="vocals", objective="magnitudes", **sizes, **half,
        )
        for source in ("vocals", "accompaniment")
    ]  # fmt: skip
    made.append(
        Recipe(
            name="interleaved/transferred@speech_music", architecture="interleaved",
            arguments={"sources": ["speech"], **shape}, data="speech_music", objective="magnitudes",
            frozen=["encoder."], **sizes, **half,
        )
    )  # fmt: skip
    made.append(
        Recipe(
            name="interleaved/from-scratch@speech_music", architecture="interleaved",
            arguments={"sources": ["speech"], **shape}, data="speech_music", objective="magnitudes", **sizes, **half,
        )
    )  # fmt: skip
    return made


def _disentangled() -> list[Recipe]:
    arguments: dict[str, Any] = {
        "sources": SPACES["speakers"], "sample_rate": SPEECH_RATE, "basis": 128, "kernel": 40, "dimensions": 32,
        "decoder": 96, "bottleneck": 96, "hidden": 192, "blocks": 7, "repeats": 2,
    }  # fmt: skip
    sizes: dict[str, Any] = {
        "architecture": "disentangled", "data": "conversations", "length": 32000, "batch": 4, "steps": 3000, "decay": 1800,
        "validate_every": 300, **_FALL,
    }  # fmt: skip
    made = [
        Recipe(
            name=f"disentangled/{variant}@conversations", objective="disentangled", losses=losses,
            arguments={**arguments, "memory": "memory" in losses}, **sizes,
        )
        for variant, losses in DISENTANGLED_LOSSES.items()
    ]  # fmt: skip
    made.append(
        Recipe(
            name="disentangled/pit@conversations",
            losses={"snr": 1.0},
            arguments={**arguments, "memory": False},
            **sizes,
        )
    )
    return made


SMALL: dict[str, Recipe] = {
    recipe.name: recipe for recipe in [*_disentangled(), *_interleaved(), *_two_step(), *_vocals()]
}

AFTER: dict[str, tuple[str, str]] = {
    **{f"two-step/latent@{data}": (f"two-step/transform@{data}", "transform.") for data in SPACES},
    "interleaved/transferred@speech_music": ("interleaved/in-turn@vocals", "encoder."),
}
"""``{run: (the run whose best weights it starts from, the beginning of the names it takes of them)}``."""
