"""What a model has learned of a source, as numbers to draw and as sound: the patches of its components.

A patch is a picture of sound, ``[F, L]``: the magnitudes of L frames (`separation.models.components`). Drawn, its rows are
spread evenly on the mel scale, and all components share one scale of levels, so that a loud one looks loud beside a faint one.
Heard, a patch of several frames comes every `PERIOD` seconds, and one of a single frame is struck once and dies away; its
phases are made up (`separation.transforms.griffin_lim`). That is the component by itself: in a separation it sounds when and
as loud as its activations say, with the phases of the mixture.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from separation.signals import Signal
from separation.transforms import STFT
from separation.transforms.griffin_lim import griffin_lim
from separation.visualisation.spectrogram import frequency_edges, row_weights

ROWS = 128
"""Of a picture."""
RANGE_DB = 60.0
"""What lies this far below the loudest cell of all components is drawn as nothing."""
SECONDS = 1.6
"""A component is heard for."""
PERIOD = 0.4
"""Seconds between two beginnings of a patch."""
DECAY = 0.35
"""Seconds in which a single frame dies away to 1 / e."""
PEAK = 0.5
"""Greatest sample of what is heard, however loud the component is in its model."""

Patches = NDArray[np.floating]


def component_cells(patches: Patches, sample_rate: int, rows: int = ROWS) -> NDArray[np.uint8]:
    """Pictures.

    Args:
        patches: ``[K, F, L]``, non-negative.
        sample_rate: Hz.
        rows: of a picture.

    Returns:
        uint8 ``[K, rows, L]``, the lowest frequency first: 255 is the loudest cell of all, 0 `RANGE_DB` below it or less.
    """
    edges = frequency_edges(rows, sample_rate, "mel")
    weights = row_weights(edges, 2 * (patches.shape[1] - 1), sample_rate)
    power = np.einsum("rf,kfl->krl", weights, np.square(patches, dtype=np.float32), optimize=True)
    loudest = max(float(power.max(initial=0.0)), np.finfo(np.float32).tiny)
    decibels = 10 * np.log10(np.maximum(power / loudest, 1e-12))
    cells: NDArray[np.uint8] = np.round(255 * np.clip(1 + decibels / RANGE_DB, 0, 1)).astype(np.uint8)
    return cells


def peak_hz(patches: Patches, sample_rate: int) -> list[float]:
    """The frequency of the strongest bin of each of ``[K, F, L]``; 0 for an empty one."""
    strongest = patches.sum(axis=2).argmax(axis=1)
    return [float(index) * sample_rate / (2 * (patches.shape[1] - 1)) for index in strongest]


def component_sound(patch: Patches, stft: STFT, sample_rate: int) -> Signal:
    """One component, alone.

    Args:
        patch: ``[F, L]``, non-negative.
        stft: the transform of the model's front end.
        sample_rate: Hz.

    Returns:
        mono, `SECONDS` long; silence for an empty patch.
    """
    frames = round(SECONDS * sample_rate / stft.hop_length)
    at = np.arange(frames) * stft.hop_length / sample_rate
    magnitudes = np.zeros((len(patch), frames + 1), np.float32)
    if patch.shape[1] == 1:
        magnitudes[:, 1:] = patch * np.exp(-at / DECAY)
    else:
        every = max(patch.shape[1], round(PERIOD * sample_rate / stft.hop_length))
        for start in range(1, frames - patch.shape[1], every):
            magnitudes[:, start : start + patch.shape[1]] = patch
    samples = griffin_lim(torch.from_numpy(magnitudes), stft).numpy()
    peak = float(np.abs(samples).max())
    gain = np.float32(PEAK / peak if peak > 0 else 1.0)
    return Signal(samples[None] * gain, sample_rate)
