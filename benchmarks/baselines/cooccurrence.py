"""Co-occurrences of a high-pass residual: every camera and processing leaves its own.

Cozzolino, Poggi and Verdoliva, "Splicebuster: a new blind image splicing detector", WIFS 2015:
third-order residual, quantised and truncated to three values, co-occurrences of four neighbours
along both directions in blocks of 128 x 128 pixels, square roots, principal components, EM. Of the
paper's two models of the forged region the Gaussian one is taken, because it extends to any number
of sources; the other, a uniform density of outliers, does not.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from baselines.description import BlockFeatures, require_side, saturated
from napari_safire.types import FloatImage

_BLOCK = 128
_STRIDE = 8
_STEP = 2.0  # of the quantiser, in grey levels
_NEIGHBOURS = 4
_COMPONENTS = 25
_BLOCKS_PER_COMPONENT = 10  # small pictures: a covariance needs more blocks than it has rows
_LOST = 6  # pixels that residual and neighbours take at the right and below
_SIDE = _BLOCK + _LOST + 2 * _STRIDE


def residual_cooccurrences(luma: FloatImage) -> BlockFeatures:
    """Principal components of the co-occurrences around every eighth pixel.

    Parameters
    ----------
    luma : (H, W) float array, 0 to 255

    Returns
    -------
    BlockFeatures

    Raises
    ------
    SafireError
        Less than 150 pixels a side.
    """
    require_side(luma, _SIDE, "residual co-occurrences")
    upright = _neighbour_classes(luma)
    lying = tuple(classes.T for classes in _neighbour_classes(np.ascontiguousarray(luma.T)))
    # Along the filter and across it; either pools both orientations, which have the same statistics
    shares = [_shares(a) + _shares(b) for a, b in zip(upright, lying, strict=True)]
    features = np.sqrt(np.concatenate(shares, axis=2))
    lost = _cell_sums(saturated(luma)[: -_LOST or None, : -_LOST or None].astype(np.float64))
    usable = _of_blocks(lost)[: features.shape[0], : features.shape[1]] < 0.5 * _BLOCK**2
    height, width = usable.shape
    first = (_BLOCK + _LOST - 1) / 2
    return BlockFeatures(
        _principal(features, usable),
        usable,
        first + _STRIDE * np.arange(height),
        first + _STRIDE * np.arange(width),
        luma.shape,
    )


def _neighbour_classes(luma: FloatImage) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Class of four neighbouring residuals along and across the filter, both (H - 6, W - 6)."""
    residual = luma[:, :-3] - 3 * luma[:, 1:-2] + 3 * luma[:, 2:-1] - luma[:, 3:]
    levels = np.clip(np.rint(residual / _STEP), -1, 1).astype(np.intp) + 1
    height, width = luma.shape[0] - _LOST, luma.shape[1] - _LOST
    along = sum(3**k * levels[:height, k : k + width] for k in range(_NEIGHBOURS))
    across = sum(3**k * levels[k : k + height, :width] for k in range(_NEIGHBOURS))
    return _CLASSES[along], _CLASSES[across]


def _classes() -> npt.NDArray[np.intp]:
    """Class of each of the 81 words: mirrored and negated ones mean the same."""
    first: dict[tuple[int, ...], int] = {}
    table = np.zeros(3**_NEIGHBOURS, np.intp)
    for word in product(range(3), repeat=_NEIGHBOURS):
        negated = tuple(2 - level for level in word)
        alike = min(word, word[::-1], negated, negated[::-1])
        code = sum(level * 3**k for k, level in enumerate(word))
        table[code] = first.setdefault(alike, len(first))
    return table


_CLASSES = _classes()
N_CLASSES = int(_CLASSES.max()) + 1


def _shares(classes: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Share of each class in each block, (h, w, classes)."""
    counts = [_of_blocks(_cell_sums(classes == k)) for k in range(N_CLASSES)]
    return np.stack(counts, axis=2) / (2 * _BLOCK**2)


def _cell_sums(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Sums over cells of 8 x 8 pixels."""
    height, width = values.shape[0] // _STRIDE, values.shape[1] // _STRIDE
    cut = values[: height * _STRIDE, : width * _STRIDE]
    return cut.reshape(height, _STRIDE, width, _STRIDE).sum(axis=(1, 3), dtype=np.float64)


def _of_blocks(cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over all blocks that lie in the picture."""
    length = _BLOCK // _STRIDE
    for axis in (0, 1):
        # A filter of even length looks half of it back.
        sums = uniform_filter1d(cells, length, axis=axis) * length
        kept = range(length // 2, cells.shape[axis] - length // 2 + 1)
        cells = np.take(sums, kept, axis=axis)
    return np.rint(cells)


def _principal(
    features: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """(h, w, C) projections on the main directions of the usable blocks."""
    known = features[usable]
    if not len(known):
        return np.zeros((*usable.shape, 1))
    mean = known.mean(axis=0)
    covariance = (known - mean).T @ (known - mean) / len(known)
    wanted = max(1, min(_COMPONENTS, len(known) // _BLOCKS_PER_COMPONENT))
    _, directions = np.linalg.eigh(covariance)  # ascending
    main = directions[:, ::-1][:, :wanted]
    # Either sign of an eigenvector is right: choose one, or two machines might differ.
    main = main * np.where(main[np.abs(main).argmax(axis=0), np.arange(wanted)] < 0, -1.0, 1.0)
    return (features - mean) @ main
