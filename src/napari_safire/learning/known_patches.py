"""Patches of a picture whose true sources are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def overlap_with_truth(
    winners: npt.NDArray[np.integer], count: int, truth: npt.NDArray[np.integer]
) -> tuple[Indices, Indices]:
    """Count the patches that each part of a division shares with each true source.

    Parameters
    ----------
    winners : (h, w) integer array
        Part of each patch, 0 to ``count`` - 1.
    count : int
    truth : (H, W) integer array
        True sources of the picture; that of a patch is the one at its centre.

    Returns
    -------
    overlap : (T, count) int array
        Patches, for each of the T true sources at any patch's centre.
    there : (h * w,) int array
        Which of these each patch is of.
    """
    at = [
        ((np.arange(n) + 0.5) / n * size).astype(np.int64)
        for n, size in zip(winners.shape, truth.shape, strict=True)
    ]
    names, there = np.unique(truth[np.ix_(*at)].ravel(), return_inverse=True)
    overlap = np.zeros((len(names), count), dtype=np.int64)
    np.add.at(overlap, (there, winners.ravel()), 1)
    return overlap, there
