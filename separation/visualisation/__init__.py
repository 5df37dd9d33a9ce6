"""Numbers to pictures: heat-map images of spectrograms and of masks. Knows no page, no job and no model.

`spectrogram_db` measures, `heat_map` paints; `spectrogram_png` does both. Axes are drawn by whoever shows the image.
"""

from separation.visualisation.heatmap import MAGMA, heat_map
from separation.visualisation.latents import activations_png, basis_record, entropy_record, histogram_record, mask_png
from separation.visualisation.spectrogram import (
    CEILING_DB,
    FLOOR_DB,
    SCALES,
    frequency_edges,
    spectrogram_db,
    spectrogram_png,
)

__all__ = [
    "CEILING_DB",
    "FLOOR_DB",
    "MAGMA",
    "SCALES",
    "activations_png",
    "basis_record",
    "entropy_record",
    "frequency_edges",
    "heat_map",
    "histogram_record",
    "mask_png",
    "spectrogram_db",
    "spectrogram_png",
]
