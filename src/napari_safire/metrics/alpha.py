"""Krippendorff's alpha: how far several people agree beyond what chance would give.

Source: Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), for nominal data with
missing values. It is a function of the coincidences of values alone, so that millions of pixels
cost one pass over each pair of label images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from napari_safire.types import LabelImage

FloatArray = npt.NDArray[np.float64]


def coincidence_matrix(values: Sequence[LabelImage]) -> FloatArray:
    """Count how often two people gave two values to one pixel.

    Parameters
    ----------
    values : sequence of (H, W) int array
        One of each person: labels 1 .. K of common meaning, 0 where it gave none.

    Returns
    -------
    (K, K) float64 array
        Symmetric. A pixel that m people gave a value to counts ``1 / (m - 1)`` for each ordered
        pair of them; one that fewer than two did is left out.
    """
    n_values = max(int(labels.max()) for labels in values)
    total = np.zeros((n_values, n_values))
    n_given = np.zeros(values[0].shape, np.uint8)
    for labels in values:
        n_given += labels > 0
    for number in np.flatnonzero(np.bincount(n_given.ravel(), minlength=3)):
        if number < 2:
            continue
        here = n_given == number
        chosen = [labels.ravel() if here.all() else labels[here] for labels in values]
        for first, second in combinations(chosen, 2):
            index = first * np.intp(n_values + 1) + second
            pairs = np.bincount(index, minlength=(n_values + 1) ** 2).reshape(n_values + 1, -1)
            total += (pairs + pairs.T)[1:, 1:] / (number - 1)
    return total


def alpha_of_coincidences(coincidences: npt.ArrayLike) -> float:
    """Krippendorff's alpha for nominal values.

    Parameters
    ----------
    coincidences : (K, K) array
        As `coincidence_matrix` gives it.

    Returns
    -------
    float
        1 for full agreement, about 0 for chance, negative below. ``nan`` where it is not defined:
        fewer than two values occur, so that nobody could have disagreed.

    Examples
    --------
    >>> alpha_of_coincidences([[4, 1], [1, 4]])
    0.64
    """
    counts = np.asarray(coincidences, dtype=np.float64)
    margins = counts.sum(axis=1)
    total = float(margins.sum())
    expected = total**2 - float((margins**2).sum())
    if not expected > 0:
        return math.nan
    observed = total - float(np.trace(counts))
    return 1.0 - (total - 1) * observed / expected
