"""Colours of sources: told apart by eyes of any colour vision, up to the number the dock offers."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_safire.palette import GLOW, LEAST_DISTANCE, MUTED, PALETTE, source_colour

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
VISIONS = {
    "all colours": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colours, vision: str) -> np.ndarray:
    """(N, 3) CIELAB values of colours as somebody sees them."""
    rgb = np.asarray(colours) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(VISIONS[vision]).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb[None])[0]


def least_distance(colours, vision: str) -> float:
    lab = seen(colours, vision)
    distances = deltaE_ciede2000(lab[:, None], lab[None])
    return float(distances[~np.eye(len(lab), dtype=bool)].min())


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_colours_are_told_apart_by_everybody(vision: str) -> None:
    assert len(PALETTE) >= 20  # as many as the dock lets one ask for
    assert least_distance(PALETTE[:12], vision) >= 10
    assert least_distance(PALETTE, vision) >= LEAST_DISTANCE


def test_no_two_of_all_numbers_look_the_same() -> None:
    assert len({source_colour(k) for k in range(255)}) == 255
    assert [source_colour(k) for k in range(len(PALETTE))] == list(PALETTE)


@pytest.mark.parametrize("vision", VISIONS)
def test_a_muted_map_is_not_taken_for_a_glowing_one(vision: str) -> None:
    assert least_distance([GLOW, MUTED], vision) > 25
