"""The composite that ships with the package; CREDITS.md names its photographs and licences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_safire.images.masks import decode_sources
from napari_safire.images.reading import read_image

_FOLDER = Path(__file__).parent


def demo_path() -> Path:
    """Where the composite lies: a PNG file of 768 x 1024 pixels."""
    return _FOLDER / "composite.png"


def demo_composite() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Read the composite and its true sources.

    Returns
    -------
    image : (768, 1024, 3) uint8 array
    labels : (768, 1024) uint8 array
        0 the street, 1 the sky, 2 the statues.

    Raises
    ------
    ImageReadError
        The files of the package are damaged.
    """
    image = read_image(demo_path()).pixels
    labels = decode_sources(read_image(_FOLDER / "mask.png").pixels)
    return image, labels


def credits() -> str:
    """Read whose photographs the composite is made of, and under which licences (Markdown)."""
    return (_FOLDER / "CREDITS.md").read_text(encoding="utf-8")
