"""Masks of every kind that people have, and what becomes of each.

The tests read them (`tests/unit/test_masks.py`), and the table in ``docs/formats.md`` is made of
them
(``docs/mask_table.py``), so that both say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image

from napari_safire.images.lists import ListEntry

SHAPE = (24, 32)
SHARE = 0.25  # forged


@dataclass(frozen=True)
class Outcome:
    """What reading a mask leads to.

    Parameters
    ----------
    how : {"read", "told", "refused"}
        "told": read, with a warning.
    why : str
        For the table.
    words : str
        Part of the warning or error.
    """

    how: Literal["read", "told", "refused"]
    why: str = ""
    words: str = ""

    def __str__(self) -> str:
        return ": ".join(
            filter(None, ({"told": "read with a warning"}.get(self.how, self.how), self.why))
        )


@dataclass(frozen=True)
class MaskCase:
    """One kind of mask.

    Parameters
    ----------
    what : str
        For the table.
    write : callable
        Writes picture and mask into a folder.
    binary, sources : Outcome
        Of the two kinds that a plain list may be read as.
    """

    what: str
    write: Callable[[Path], ListEntry]
    binary: Outcome
    sources: Outcome


def truth() -> np.ndarray:
    """Bool; a quarter is forged."""
    mask = np.zeros(SHAPE, bool)
    mask[6:18, 8:24] = True
    return mask


def two_sources() -> np.ndarray:
    """0, 1 and 2; where the truth is forged, and nowhere else, it is not 0."""
    labels = truth().astype(np.uint8)
    labels[6:12] *= 2
    return labels


def picture(folder: Path, orientation: int = 1, shape: tuple[int, int] = SHAPE) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(1).integers(40, 200, (*shape, 3), dtype=np.uint8)
    path = folder / "picture.jpg"
    Image.fromarray(pixels).save(path, exif=exif if orientation != 1 else Image.Exif())
    return path


def saved(values: Any, name: str = "mask.png", **options: Any) -> Callable[[Path], ListEntry]:
    """A case's writer: these values, as a file of this name."""

    def write(folder: Path) -> ListEntry:
        path = folder / name
        pixels = np.asarray(values)
        if name.endswith(".tif"):
            tifffile.imwrite(path, pixels, **options)
        else:
            Image.fromarray(pixels).save(path, **options)
        return ListEntry(picture(folder), path)

    return write


def smoothed() -> np.ndarray:
    image = Image.fromarray(white())
    small = image.resize((13, 10), Image.Resampling.BILINEAR)
    return np.asarray(small.resize(SHAPE[::-1], Image.Resampling.BILINEAR))


def white(high: int = 255) -> np.ndarray:
    return truth().astype(np.uint8) * np.uint8(high)


def _jpeg_called_png(folder: Path) -> ListEntry:
    path = folder / "mask.jpg"
    Image.fromarray(white()).save(path, "PNG")
    return ListEntry(picture(folder), path)


def _turned_picture(folder: Path) -> ListEntry:
    Image.fromarray(white()).save(folder / "mask.png")
    return ListEntry(picture(folder, 6, SHAPE[::-1]), folder / "mask.png")


def _upside_down_picture(values: np.ndarray) -> Callable[[Path], ListEntry]:
    def write(folder: Path) -> ListEntry:
        Image.fromarray(values).save(folder / "mask.png")
        return ListEntry(picture(folder, 3), folder / "mask.png")

    return write


def _orientation_of_mask(values: np.ndarray) -> Callable[[Path], ListEntry]:
    return saved(values, "mask.tif", extratags=[(274, 3, 1, 3, True)])


def _authentic(folder: Path) -> ListEntry:
    return ListEntry(picture(folder))


_BLACK_AND_WHITE = Outcome("refused", "read it as binary", "--kind binary")
_LEVELS = Outcome(
    "refused", "save it as black and white, or choose a limit", "grey levels, as JPEG"
)
_STRAY = Outcome("refused", "save it again", "without smoothing, resizing or JPEG")
_UNASSIGNED = Outcome("refused", "finish the annotation", "no source was given yet")
_READ = Outcome("read")

CASES = (
    MaskCase("0 and 255", saved(white()), _READ, _BLACK_AND_WHITE),
    MaskCase("0 and 1", saved(white(1)), _READ, _BLACK_AND_WHITE),
    MaskCase(
        "0, 50, 100 … 250 (SafireMS)",
        saved(two_sources() * np.uint8(50)),
        Outcome("read", "all but source 0 is forged"),
        Outcome("read", "grey 50 x k is source k, always"),
    ),
    MaskCase(
        "the same with 255: pixels that no source was given yet",
        saved(np.where(two_sources() == 2, 255, two_sources() * 50).astype(np.uint8)),
        _UNASSIGNED,
        _UNASSIGNED,
    ),
    MaskCase(
        "numbers 0, 1, 2 …",
        saved(two_sources()),
        Outcome("told", "all above 0 is forged", "multiply them by 50"),
        Outcome("refused", "multiply them by 50", "multiply them by 50"),
    ),
    MaskCase(
        "a few grey levels, as 0, 128, 255",
        saved(np.where(two_sources() == 2, 128, white()).astype(np.uint8)),
        Outcome("told", "all above 0 is forged", "has 3 grey levels (0, 128, 255)"),
        _STRAY,
    ),
    MaskCase("JPEG", saved(white(), "mask.jpg", quality=75), _LEVELS, _STRAY),
    MaskCase("smoothed or resized", saved(smoothed()), _LEVELS, _STRAY),
    MaskCase(
        "16 bits, 0 and 65535", saved(white().astype(np.uint16) * 257), _READ, _BLACK_AND_WHITE
    ),
    MaskCase(
        "float, 0 and 1 (TIFF)",
        saved(white(1).astype(np.float32), "mask.tif"),
        _READ,
        Outcome("refused", "save it with 8 bits, or read it as binary", "--kind binary"),
    ),
    MaskCase(
        "three equal channels, palette, opacity",
        saved(np.dstack([two_sources() * np.uint8(50)] * 3 + [white() + np.uint8(7)])),
        Outcome("read", "by its grey, opacity left out"),
        Outcome("read", "by its grey, opacity left out"),
    ),
    MaskCase(
        "coloured",
        saved(np.dstack([white(), white(0), white(0)])),
        Outcome("read", "by its grey"),
        Outcome("refused", "masks with sources are grey", "is coloured"),
    ),
    MaskCase(
        "true and false in a TIFF of tifffile, napari, imageio",
        saved(truth(), "mask.tif"),
        Outcome("told", "true is forged", "true is read as white"),
        _BLACK_AND_WHITE,
    ),
    MaskCase(
        "several pages",
        saved(np.stack([two_sources() * np.uint8(50)] * 2), "mask.tif", photometric="minisblack"),
        Outcome("told", "the first page", "2 pages"),
        Outcome("told", "the first page", "2 pages"),
    ),
    MaskCase(
        "named otherwise than it is",
        _jpeg_called_png,
        Outcome("told", "by its content", "is a PNG file"),
        _BLACK_AND_WHITE,
    ),
    MaskCase(
        "another size than the picture",
        saved(white()[::2, ::2]),
        Outcome("refused", "make them the same size", "12 x 16 pixels, its image 24 x 32"),
        Outcome("refused", "make them the same size", "12 x 16 pixels, its image 24 x 32"),
    ),
    MaskCase(
        "the size of the turned picture (EXIF 5 to 8)",
        _turned_picture,
        Outcome("refused", "turn the mask", "EXIF orientation 6"),
        Outcome("refused", "turn the mask", "EXIF orientation 6"),
    ),
    MaskCase(
        "its size, and the picture asks to be shown turned or mirrored",
        _upside_down_picture(two_sources() * np.uint8(50)),
        Outcome("told", "both as stored", "painted on what was shown"),
        Outcome("told", "both as stored", "painted on what was shown"),
    ),
    MaskCase(
        "its size, and the mask asks to be shown turned or mirrored",
        _orientation_of_mask(two_sources() * np.uint8(50)),
        Outcome("told", "as stored", "orientation 3"),
        Outcome("told", "as stored", "orientation 3"),
    ),
    MaskCase(
        "`None` in the list",
        _authentic,
        Outcome("read", "nothing is forged"),
        Outcome("read", "one source"),
    ),
)  # fmt: skip
