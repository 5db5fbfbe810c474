"""Whether every pixel of a picture has a source, and where those are that have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is missing in labels.

    Parameters
    ----------
    n_unassigned : int
        Pixels without a source.
    n_sources : int
    row, col : float
        A pixel of the largest connected place without a source, as far from its edge as can be.
    free_number : int
        The smallest number that no source has.
    """

    n_unassigned: int
    n_sources: int
    row: float = 0.0
    col: float = 0.0
    free_number: int = 1


def completeness(labels: npt.NDArray[np.uint8]) -> Completeness:
    """Find out what is missing in labels.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Sources from 1, 0 where there is none.

    Returns
    -------
    Completeness

    Examples
    --------
    >>> completeness(np.array([[1, 3, 3, 0, 0, 0]], np.uint8))
    Completeness(n_unassigned=3, n_sources=2, row=0.0, col=3.0, free_number=2)
    """
    counts = np.bincount(labels.ravel(), minlength=2)
    n_unassigned = int(counts[0])
    n_sources = int(np.count_nonzero(counts[1:]))
    free = np.flatnonzero(counts[1:] == 0)
    number = int(free[0]) + 1 if len(free) else min(len(counts), np.iinfo(np.uint8).max)
    if not n_unassigned:
        return Completeness(0, n_sources, free_number=number)
    from scipy import ndimage

    pieces, n_pieces = ndimage.label(labels == 0)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:]))
    # A border around: the edge of the picture is an edge of the place as well.
    depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Completeness(n_unassigned, n_sources, float(row), float(col), number)
