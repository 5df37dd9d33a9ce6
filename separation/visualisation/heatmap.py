"""A matrix as an image: every value becomes one pixel of a perceptually uniform colour map.

The map is matplotlib's magma (Stéfan van der Walt and Nathaniel Smith, 2015, CC0), tabulated at every fifteenth of its
256 colours and interpolated between them, which is within 3 of 255 of the original. Its lightness rises evenly, so it
reads the same in grey and with any colour blindness. Differences have a map of their own, `DIVERGING`: blue below zero,
orange above, dark where there is none; both arms are equally light at equal distance, and the colour-blind tell them
apart. Images are PNGs with a palette: one byte a pixel, then compressed.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_KNOTS = bytes.fromhex(
    "0000040907201a10423111654a1079621980792282912b81aa337dc23b75d9466bec5860f7725cfc8e64feaa74fec68afde2a3fcfdbf"
)

_DIVERGING_KNOTS = bytes.fromhex("b9d9ff76b0f03d84c91f5585122b450a0b10472408864008c36425f0975bffd0ae")


def _interpolated(colours: bytes) -> NDArray[np.uint8]:
    knots = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    at = np.linspace(0, 255, len(knots))
    channels = [np.interp(np.arange(256), at, knots[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


MAGMA = _interpolated(_KNOTS)
"""The colour map, uint8 ``[256, 3]`` (red, green, blue), from dark to light."""

DIVERGING = _interpolated(_DIVERGING_KNOTS)
"""The colour map of differences, uint8 ``[256, 3]``: light blue, dark in the middle, light orange."""


def heat_map(values: NDArray[np.floating], low: float, high: float, *, colours: NDArray[np.uint8] = MAGMA) -> bytes:
    """Paint a matrix.

    Args:
        values: ``[H, W]``; row 0 is the top of the image. NaN is painted as `low`.
        low, high: the values of the first and the last colour; beyond them it stays the same.
        colours: ``[256, 3]``.

    Returns:
        A PNG file of W by H pixels.

    >>> heat_map(np.eye(2), 0, 1)[:4]
    b'\\x89PNG'
    """
    assert values.ndim == 2 and high > low
    parts = (np.clip(np.nan_to_num(values, nan=low), low, high) - low) / (high - low)
    image = Image.fromarray(np.round(parts * 255).astype(np.uint8))
    image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
