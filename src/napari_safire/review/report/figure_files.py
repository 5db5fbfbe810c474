"""The bytes of figures: which of them are pictures that a page can show, and how large."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

_MEDIA = {"PNG": ("image/png", "png"), "JPEG": ("image/jpeg", "jpg")}
_MOST_PIXELS = 50_000_000  # a figure is made for a page; more is an attack on the reader's memory


@dataclass(frozen=True, slots=True)
class FigureFile:
    """A picture that can be drawn.

    Parameters
    ----------
    data : bytes
    media : {"image/png", "image/jpeg"}
    suffix : {"png", "jpg"}
    size : (int, int)
        Rows and columns.
    """

    data: bytes
    media: str
    suffix: str
    size: tuple[int, int]


def drawable(figures: Mapping[str, bytes]) -> dict[str, FigureFile]:
    """Return those of the figures that are PNG or JPEG pictures and can be decoded.

    Parameters
    ----------
    figures : mapping of str to bytes
        By their ids.

    Returns
    -------
    dict of str to FigureFile
        Whatever is no picture is left out: a report says that it is not at hand.
    """
    found = {name: _figure_file(data) for name, data in figures.items()}
    return {name: file for name, file in found.items() if file is not None}


def _figure_file(data: bytes) -> FigureFile | None:
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_MEDIA)) as picture:
            media, suffix = _MEDIA[picture.format or ""]
            cols, rows = picture.size
            if rows * cols > _MOST_PIXELS:
                return None
            picture.load()
    except (OSError, ValueError, SyntaxError, KeyError, Image.DecompressionBombError):
        return None
    return FigureFile(data, media, suffix, (rows, cols))
