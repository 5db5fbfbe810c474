"""Whether two partitions draw their boundaries in the same places."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.types import LabelImage

BoolArray = npt.NDArray[np.bool_]


def boundary_f(
    first: LabelImage,
    second: LabelImage,
    *,
    tolerance: float = 2.0,
    where: BoolArray | None = None,
) -> float:
    """F score of the boundaries of two partitions, of which neither is the truth.

    A pixel is on a boundary if its right or its lower neighbour is of another source. It is matched
    if the other partition has a boundary pixel within `tolerance`. The score is the harmonic mean
    of the matched shares of both, and so the same in either order; how the sources are numbered
    plays no part.

    Parameters
    ----------
    first, second : (H, W) int array
        Labels of any numbers.
    tolerance : float
        In pixels, between the centres of pixels.
    where : (H, W) bool array, optional
        The pixels that count: a boundary is one between two of them.

    Returns
    -------
    float
        In [0, 1]: 1 where neither has a boundary, 0 where only one has.

    Raises
    ------
    ValueError
        The shapes differ, or the tolerance is below 0.

    Notes
    -----
    Source: Martin, Fowlkes and Malik, "Learning to detect natural image boundaries using local
    brightness, color, and texture cues", PAMI 26 (2004); for label images Csurka, Larlus and
    Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013. Boundary
    pixels are matched by distance alone, not one to one.
    """
    if first.shape != second.shape or (where is not None and where.shape != first.shape):
        raise ValueError(
            f"The partitions have shapes {first.shape} and {second.shape}: give two of one picture."
        )
    if not tolerance >= 0:
        raise ValueError(f"The tolerance is {tolerance} pixels: give 0 or more.")
    edges = _boundary(first, where), _boundary(second, where)
    n_first, n_second = (int(np.count_nonzero(edge)) for edge in edges)
    if not n_first or not n_second:
        return 1.0 if n_first == n_second else 0.0
    precision = np.count_nonzero(edges[0] & _grown(edges[1], tolerance)) / n_first
    recall = np.count_nonzero(edges[1] & _grown(edges[0], tolerance)) / n_second
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _boundary(labels: LabelImage, where: BoolArray | None) -> BoolArray:
    edge = np.zeros(labels.shape, np.bool_)
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        differs = labels[here] != labels[there]
        if where is not None:
            differs &= where[here] & where[there]
        edge[here] |= differs
    return edge


def _grown(edge: BoolArray, reach: float) -> BoolArray:
    """All pixels within some distance of marked ones.

    Shifted copies: for two pixels a tenth of the time of a distance transform.
    """
    grown = edge.copy()
    height, width = edge.shape
    whole = int(reach)
    for down in range(-min(whole, height - 1), min(whole, height - 1) + 1):
        widest = min(int(np.sqrt(reach**2 - down**2)), width - 1)
        for right in range(-widest, widest + 1):
            target = grown[max(down, 0) : height + min(down, 0)]
            source = edge[max(-down, 0) : height - max(down, 0)]
            target[:, max(right, 0) : width + min(right, 0)] |= source[
                :, max(-right, 0) : width - max(right, 0)
            ]
    return grown
