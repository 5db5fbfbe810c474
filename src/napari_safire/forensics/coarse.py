"""A first picture of what a view shows, while the whole is made.

Making a picture smaller would take away the traces that views look for. So of every n x n squares
one is kept as it is, the view is made of these, and each is drawn over its neighbours as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.compression.coefficients import BLOCK, JpegCoefficients
from napari_safire.forensics.evidence import Evidence, EvidenceMap
from napari_safire.forensics.picture import Picture

LEAST_PIXELS = 1_500_000
"""Smaller pictures have no coarse view: the whole is as quick."""
_MOST_PIXELS = 1_000_000  # of all squares together
_SEAM = 4  # pixels beside another square: what filters make of them is drawn nowhere


@dataclass(frozen=True, eq=False)
class Reduced(Picture):
    """Squares of a picture, laid side by side.

    Parameters
    ----------
    whole : Picture
    side : int
        Pixels of a square, a multiple of 8.
    step : int
        One square of this many is taken, down and across.
    rows, cols : (n,) int arrays
        Where the squares' pixels lie in the picture.
    """

    whole: Picture | None = None
    side: int = 0
    step: int = 1
    rows: npt.NDArray[np.int64] | None = None
    cols: npt.NDArray[np.int64] | None = None

    @cached_property
    def coefficients(self) -> JpegCoefficients:
        """Blocks of the squares; squares begin where blocks begin."""
        if self.whole is None or self.rows is None or self.cols is None:
            return super().coefficients
        found = self.whole.coefficients
        down, across = self.rows[::BLOCK] // BLOCK, self.cols[::BLOCK] // BLOCK
        return replace(found, blocks=found.blocks[down[:, None], across], shape=self.shape)


def reduced(picture: Picture, side: int) -> Reduced | None:
    """Take squares from all over a picture.

    Parameters
    ----------
    picture : Picture
    side : int
        Pixels of a square, a multiple of 8.

    Returns
    -------
    Reduced or None
        None for pictures that are small or narrow.
    """
    height, width = picture.shape
    if height * width < LEAST_PIXELS or min(height, width) < side:
        return None
    step = math.ceil(math.sqrt(height * width / _MOST_PIXELS))
    rows, cols = _places(height, side, step), _places(width, side, step)
    rgb = picture.rgb[rows[:, None], cols]
    return Reduced(
        rgb,
        picture.file,
        picture.why_no_file,
        whole=picture,
        side=side,
        step=step,
        rows=rows,
        cols=cols,
    )


def _places(length: int, side: int, step: int) -> npt.NDArray[np.int64]:
    """Pixels of the middle square of each `step` squares along an axis."""
    last = (length - side) // BLOCK * BLOCK
    starts = np.minimum(np.arange(0, length, side * step) + step // 2 * side, last)
    return (starts[:, None] + np.arange(side)).ravel()


def coarse(make: Callable[[Picture], Evidence], picture: Picture, side: int) -> Evidence | None:
    """Make a view of squares of a picture.

    Parameters
    ----------
    make : callable
        ``make(picture) -> Evidence``.
    picture : Picture
    side : int
        Pixels of a square, a multiple of 8.

    Returns
    -------
    Evidence or None
        A map alone, with a caveat that begins with "coarse: "; None where the view has none, or
        whose cells do not fit into squares, or for pictures that are small or narrow.
    """
    few = reduced(picture, side)
    if few is None:
        return None
    drawn = make(few).map
    if drawn is None or side % drawn.cell:
        return None
    height, width = (math.ceil(n / (drawn.cell * few.step)) for n in picture.shape)
    values = drawn.values[:height, :width]
    if drawn.cell == 1:
        down, across = (_without_seams(n, side) for n in values.shape[:2])
        values = values[down[:, None], across]
    spread = EvidenceMap(
        values,
        drawn.cell * few.step,
        (drawn.origin[0] * few.step, drawn.origin[1] * few.step),
        drawn.limits,
        drawn.means,
        drawn.unit,
    )
    caveat = (
        f"coarse: one of {few.step} x {few.step} squares of {side} pixels was looked at, "
        "and is drawn over the others."
    )
    return Evidence(spread, caveats=(caveat,))


def _without_seams(length: int, side: int) -> npt.NDArray[np.int64]:
    """Places of a map whose squares' edges repeat what lies further in."""
    at = np.arange(length)
    within = np.clip(at % side, _SEAM, side - 1 - _SEAM)
    return np.minimum(at // side * side + within, length - 1)
