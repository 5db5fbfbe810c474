"""A window of a large picture, at full resolution: where most of its sources meet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.types import LabelImage

Window = tuple[int, int, int, int]
"""First row and column, and those after the last: ``[top, left, bottom, right]``."""

SIDE = 1024  # pixels: one tile of safire-lite
_STEP = 32  # pixels between two places that are looked at
_ENOUGH = 0.2  # of the window: more of a source does not make it better known


def window_of(labels: LabelImage, side: int = SIDE) -> Window:
    """Choose a window in which as many sources as possible have as much room as possible.

    Parameters
    ----------
    labels : (H, W) int array
        Source of each pixel, from 0.
    side : int
        Of a square of the size that is wanted; pictures that are narrower give a longer window of
        the same area.

    Returns
    -------
    Window
        Of several that are as good, the one nearest the middle.
    """
    height, width = labels.shape
    tall = min(height, side)
    wide = min(width, side * side // tall)
    tall = min(height, side * side // wide)
    coarse = np.asarray(labels[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP])
    rows, cols = max(1, tall // _STEP), max(1, wide // _STEP)
    known: npt.NDArray[np.float64] | float = 0.0
    for source in np.unique(coarse):
        sums = np.pad((coarse == source).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        inside = (
            sums[rows:, cols:] - sums[:-rows, cols:] - sums[rows:, :-cols] + sums[:-rows, :-cols]
        )
        known = known + np.minimum(inside / (rows * cols), _ENOUGH)
    known = np.atleast_2d(np.asarray(known).round(6))
    tops, lefts = np.nonzero(known == known.max())
    from_middle = np.hypot(
        tops * _STEP + tall / 2 - height / 2, lefts * _STEP + wide / 2 - width / 2
    )
    best = int(from_middle.argmin())
    top = min(int(tops[best]) * _STEP, height - tall)
    left = min(int(lefts[best]) * _STEP, width - wide)
    return top, left, top + tall, left + wide
