"""Quantisation tables: the quality they stand for, and whether they are libjpeg's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.compression.coefficients import ZIGZAG

# ITU-T T.81, tables K.1 and K.2, in zigzag order: what libjpeg scales by quality.
_LUMINANCE = np.array(
    [
        16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49,
        35, 37, 29, 40, 58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56,
        80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
    ]
)  # fmt: skip
_CHROMINANCE = np.array(
    [
        17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, *([99] * 48),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableQuality:
    """The nearest table of libjpeg.

    Parameters
    ----------
    quality : int
        1 to 100.
    exact : bool
        The table is that very one.
    """

    quality: int
    exact: bool


def standard_table(quality: int, *, chrominance: bool = False) -> npt.NDArray[np.int64]:
    """Return libjpeg's table of a quality.

    Parameters
    ----------
    quality : int
        1 to 100.
    chrominance : bool

    Returns
    -------
    (8, 8) int array
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.clip(((_CHROMINANCE if chrominance else _LUMINANCE) * scale + 50) // 100, 1, 255)
    table = np.empty((8, 8), np.int64)
    rows, cols = zip(*ZIGZAG, strict=True)
    table[rows, cols] = steps
    return table


def quality_of(table: npt.NDArray[np.int64], *, chrominance: bool = False) -> TableQuality:
    """Find the quality whose table of libjpeg is nearest, by relative differences of steps.

    Parameters
    ----------
    table : (8, 8) int array
    chrominance : bool

    Returns
    -------
    TableQuality
    """
    distances = {
        quality: float(
            np.abs(
                np.log(standard_table(quality, chrominance=chrominance) / np.maximum(table, 1))
            ).sum()
        )
        for quality in range(1, 101)
    }
    best = max(distances, key=lambda quality: (-distances[quality], quality))
    return TableQuality(best, distances[best] == 0)
