"""Heat maps: the colours say what the numbers say."""

import io

import numpy as np
from PIL import Image

from separation.visualisation import DIVERGING, MAGMA, heat_map


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours."""
    linear = np.where(colours / 255 <= 0.04045, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def test_lightness_rises_evenly() -> None:
    steps = np.diff(lightness(MAGMA.astype(float))[::8])
    assert steps.min() > 0  # darker always means less, for every eye and in grey
    assert steps.max() < 2 * np.median(steps)


def test_differences_are_equally_light_on_both_sides_and_dark_in_the_middle() -> None:
    light = lightness(DIVERGING.astype(float))
    assert np.abs(light - light[::-1]).max() < 4
    assert np.diff(light[:120:8]).max() < 0 < np.diff(light[136::8]).min() and light[126:130].max() < 6
    red, _, blue = DIVERGING[[60, 195]].astype(int).T
    assert blue[0] - red[0] > 60 and red[1] - blue[1] > 60  # the pair that every colour blindness leaves apart


def test_every_value_is_one_pixel_of_its_colour() -> None:
    values = np.linspace(-3, 5, 12 * 7).reshape(7, 12)
    image = pixels(heat_map(values, -3, 5))
    assert image.shape == (7, 12, 3)
    expected = MAGMA[np.round(255 * (values + 3) / 8).astype(int)]
    assert np.array_equal(image, expected)


def test_other_colours_are_used_as_they_are() -> None:
    image = pixels(heat_map(np.array([[-24.0, 0.0, 24.0]]), -24, 24, colours=DIVERGING))
    assert np.array_equal(image[0], DIVERGING[[0, 128, 255]])


def test_values_beyond_the_scale_and_nan_are_painted() -> None:
    image = pixels(heat_map(np.array([[-9.0, 9.0, np.nan, np.inf, -np.inf]]), 0, 1))
    assert np.array_equal(image[0], MAGMA[[0, 255, 0, 255, 0]])
