"""Masks whose values are numbers or colours of sources, from anywhere, as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.reading import first_line, read_image
from napari_safire.palette import source_colour
from napari_safire.project.formats.labelled import Labels
from napari_safire.text import printable

_FEW_COLOURS = 32  # more that are none of the palette were smoothed, not painted


def read_label_mask(path: Path, shape: tuple[int, int]) -> tuple[Labels, tuple[str, ...]]:
    """Read a mask whose values are labels: 0 for no source, sources from 1.

    Parameters
    ----------
    path : Path
        PNG or TIFF of 8 or 16 bits, indexed PNG (its indices count), floats that are whole
        numbers, or colours: those of the palette are its sources; any other colours, if they are
        few, are sources in the order of their size, which is told.
    shape : (int, int)
        Rows and columns of the picture.

    Returns
    -------
    labels : (H, W) uint8 array
    sentences : tuple of str
        What was assumed.

    Raises
    ------
    DatasetError
        It has another size, was saved as JPEG, or its values are no labels.
    ImageReadError
        It cannot be read.
    """
    image = read_image(path)
    shown = printable(path)
    if image.format == "JPEG":
        raise DatasetError(
            f"The mask {shown} is a JPEG, which changes the numbers of sources: save it as PNG."
        )
    if image.pixels.shape[:2] != tuple(shape):
        raise DatasetError(_other_size(path, image.pixels.shape, shape))
    indices = _indices(path) if image.format == "PNG" else None
    if indices is not None:
        return indices, ()
    if image.pixels.ndim == 3:
        labels, said = _of_colours(image.pixels, shown)
        return labels, (*image.warnings, *said)
    return _of_numbers(image.pixels, shown), image.warnings


def _other_size(path: Path, have: tuple[int, ...], want: tuple[int, int]) -> str:
    swapped = (have[1], have[0]) == tuple(want)
    turned = ", as if one of them were turned" if swapped else ""
    return (
        f"The mask {printable(path)} has {have[0]} x {have[1]} pixels, its picture {want[0]} x "
        f"{want[1]}{turned}: make them the same size."
    )


def _indices(path: Path) -> Labels | None:
    """Indices of an indexed PNG, None for any other."""
    try:
        with Image.open(path) as image:
            return np.asarray(image, np.uint8) if image.mode == "P" else None
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageReadError(f"{printable(path)} cannot be read: {first_line(error)}.") from error


def _of_numbers(values: npt.NDArray[Any], shown: str) -> Labels:
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise DatasetError(
            f"The mask {shown} has {values.dtype} values that are no whole numbers: they cannot "
            "be numbers of sources."
        )
    low, high = values.min(), values.max()
    if low < 0 or high > MOST_SOURCES:
        n_values = len(np.unique(values))
        raise DatasetError(
            f"The mask {shown} has {n_values} different values from {low:g} to {high:g}: sources "
            f"are numbered from 1 to {MOST_SOURCES}, so number them anew."
        )
    return values.astype(np.uint8)


def _of_colours(pixels: npt.NDArray[Any], shown: str) -> tuple[Labels, tuple[str, ...]]:
    if pixels.dtype != np.uint8:
        raise DatasetError(
            f"The mask {shown} has colours of {pixels.dtype}: save it with 8 bits, or as numbers."
        )
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    codes = (red << 16) | (green << 8) | blue
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    places = places.reshape(codes.shape)
    if (red == green).all() and (green == blue).all():
        return red.astype(np.uint8), ()
    known = {0: 0, **{_code(number): number for number in range(MOST_SOURCES, 0, -1)}}
    if all(code in known for code in found.tolist()):
        return np.array([known[code] for code in found.tolist()], np.uint8)[places], ()
    if len(found) > _FEW_COLOURS:
        raise DatasetError(
            f"The mask {shown} has {len(found)} colours, as smoothing makes them: save it with one "
            "colour for each source."
        )
    order = np.empty(len(found), np.uint8)
    order[np.argsort(-counts, kind="stable")] = np.arange(1, len(found) + 1)
    said = f"The mask {shown} has {len(found)} colours: each is a source, the largest is number 1."
    return order[places], (said,)


def _code(number: int) -> int:
    red, green, blue = source_colour(number - 1)
    return red << 16 | green << 8 | blue
