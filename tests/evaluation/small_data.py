"""Tracks of a second or two and models of a few weights, made in the test's own folder."""

from pathlib import Path

import numpy as np
import soundfile as sf

from separation.datasets import Track
from separation.hub import save
from separation.models import build

RATE = 8000
TINY = dict(sources=["vocals", "accompaniment"], sample_rate=RATE, n_fft=64, hop_length=16, channels=[2, 2], hidden=4,
            segment=1.0, context=0.1)  # fmt: skip


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """``[T]`` or ``[C, T]`` as float WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.atleast_2d(samples).T, rate, subtype="FLOAT")
    return path


def noise(name: str, seconds: float = 2.0, *, channels: int = 1, rate: int = RATE) -> np.ndarray:
    """``[C, T]``, the same for the same name."""
    rng = np.random.default_rng(list(name.encode()))
    return 0.1 * rng.standard_normal((channels, round(seconds * rate))).astype(np.float32)


def make_tracks(folder: Path, count: int = 3, *, stems: tuple[str, ...] = ("vocals", "accompaniment")) -> list[Track]:
    """Tracks of noise, each a little longer than the one before."""
    return [
        Track(
            f"song {i}",
            {s: write(folder / f"song {i}" / f"{s}.wav", noise(f"{i} {s}", 1.5 + 0.25 * i)) for s in stems},
            frozenset({f"singer:someone{i}"}),
        )
        for i in range(count)
    ]


def make_model(folder: Path, **fields: object) -> str:
    """A bundled-looking model folder with random weights; gives its name."""
    card = dict(
        architecture="unet", title="Tiny", summary="Random weights.", task="vocals", licence="MIT", citation="none",
        trained_on=(), scores=(), weaknesses=("It knows nothing.",), training=None,
    )  # fmt: skip
    save(folder, build("unet", TINY), **(card | fields))
    return str(folder)
