"""Which source of one division of a picture is which of another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.types import LabelImage


def match_sources(known: LabelImage, labels: LabelImage, n_sources: int) -> npt.NDArray[np.int64]:
    """Match sources one to one with known ones so that as many pixels as possible agree.

    Parameters
    ----------
    known : (H, W) int array
        Sources from 1; 0 is no source.
    labels : (H, W) int array
        Sources 0 .. K-1.
    n_sources : int
        K.

    Returns
    -------
    (K,) int64 array
        For each source the known one it is; 0 where none is left that it shares a pixel with.
    """
    from napari_safire.metrics import confusion_matrix

    overlap = confusion_matrix(known, labels, n_clusters=n_sources)[1:]
    rows, sources = matched_pairs(overlap)
    matched = np.zeros(n_sources, dtype=np.int64)
    matched[sources] = rows + 1
    return matched


def matched_pairs(
    overlap: npt.NDArray[np.number],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Match rows with columns so that the sum of what they share is largest.

    Parameters
    ----------
    overlap : (n, K) array
        What each row shares with each column, 0 or more.

    Returns
    -------
    rows, columns : (M,) int array
        Pairs that share something, by row.
    """
    from scipy.optimize import linear_sum_assignment  # slow to load: not before a viewer opens

    rows, columns = linear_sum_assignment(overlap, maximize=True)
    shared = overlap[rows, columns] > 0
    return rows[shared], columns[shared]
