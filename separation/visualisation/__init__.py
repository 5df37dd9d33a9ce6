"""Numbers to pictures: heat-map images of spectrograms and of masks. Knows no page, no job and no model.

`spectrogram_levels` and `LatentGrid`s measure, `levels_png` and `heat_map` paint. Axes are drawn by whoever shows the image.
"""

from separation.visualisation.heatmap import DIVERGING, MAGMA, heat_map
from separation.visualisation.latents import (
    activations_cells,
    activations_png,
    basis_record,
    entropy_record,
    histogram_record,
    latents_record,
    mask_cells,
    mask_png,
)
from separation.visualisation.spectrogram import (
    CEILING_DB,
    FLOOR_DB,
    SCALES,
    frequency_edges,
    levels_png,
    spectrogram_db,
    spectrogram_levels,
)

__all__ = [
    "CEILING_DB",
    "DIVERGING",
    "FLOOR_DB",
    "MAGMA",
    "SCALES",
    "activations_cells",
    "activations_png",
    "basis_record",
    "entropy_record",
    "frequency_edges",
    "heat_map",
    "histogram_record",
    "latents_record",
    "levels_png",
    "mask_cells",
    "mask_png",
    "spectrogram_db",
    "spectrogram_levels",
]
