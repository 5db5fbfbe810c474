"""What a classical method finds in a picture, and the answers that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture

from napari_safire.errors import SafireError
from napari_safire.types import FloatImage

# Of the features' mean variance: features that are the same everywhere tell nothing.
_REGULARISATION = 1e-4
_STARTS = 3
_ITERATIONS = 300


class Description(Protocol):
    """What the pixels say of their sources."""

    def memberships(self, n_sources: int, seed: int) -> FloatImage:
        """Share of each source in each pixel.

        Parameters
        ----------
        n_sources : int
            Wanted; the description may give fewer.
        seed : int

        Returns
        -------
        (K, H, W) float32 array
            Sums to 1 over the K sources; the largest source first.
        """


Describe = Callable[[FloatImage], Description]
"""From (H, W) luma, 0 to 255, to a description; a SafireError if it is too small."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockFeatures:
    """Features of blocks, divided among sources by a mixture of Gaussians.

    Parameters
    ----------
    features : (h, w, C) float array
    usable : (h, w) bool array
        Blocks that say something; the others go with the largest source.
    rows, cols : (h,), (w,) float array
        Centres of the blocks in pixels.
    shape : (int, int)
        Rows and columns of the picture.
    """

    features: npt.NDArray[np.floating]
    usable: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.float64]
    cols: npt.NDArray[np.float64]
    shape: tuple[int, int]

    def memberships(self, n_sources: int, seed: int) -> FloatImage:
        """Posteriors of a mixture that EM fits to the usable blocks; see `Description`."""
        of_blocks = _posteriors(self.features[self.usable], n_sources, seed)
        whole = np.zeros((of_blocks.shape[1], *self.usable.shape))
        whole[0] = 1
        whole[:, self.usable] = of_blocks.T
        return spread(whole, self.rows, self.cols, self.shape)


def _posteriors(features: npt.NDArray[np.floating], n_sources: int, seed: int) -> FloatImage:
    """(N, K) posteriors, the heaviest component first; one component where all are alike."""
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0) if len(centred) else 0
    scale = np.sqrt(np.mean(centred**2)) if centred.size else 0.0
    n_components = min(n_sources, len(np.unique(centred, axis=0)))
    if n_components < 2 or scale < 1e-9:
        return np.ones((len(features), 1), np.float32)
    mixture = GaussianMixture(
        n_components,
        reg_covar=_REGULARISATION,
        n_init=_STARTS,
        max_iter=_ITERATIONS,
        random_state=seed,
    ).fit(centred / scale)
    order = np.argsort(-mixture.weights_, kind="stable")
    return np.asarray(mixture.predict_proba(centred / scale)[:, order], np.float32)


def spread(
    values: npt.NDArray[np.floating],
    rows: npt.NDArray[np.float64],
    cols: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> FloatImage:
    """Bring (K, h, w) values at block centres to all pixels: bilinear, constant outside.

    Returns
    -------
    (K, H, W) float32 array
    """
    along_rows = _interpolation(rows, shape[0])
    along_cols = _interpolation(cols, shape[1])
    return np.stack([along_rows @ value.astype(np.float32) @ along_cols.T for value in values])


def _interpolation(centres: npt.NDArray[np.float64], length: int) -> FloatImage:
    """(length, n) weights of the centres in each pixel of a row or column."""
    units = np.eye(len(centres))
    places = np.arange(length)
    return np.stack([np.interp(places, centres, unit) for unit in units], axis=1).astype(np.float32)


def forgery_heatmap(description: Description, seed: int = 0) -> FloatImage:
    """Share of the smaller of two sources in each pixel.

    Returns
    -------
    (H, W) float32 array in [0, 1]
        Zero where the method sees one source only.
    """
    shares = description.memberships(2, seed)
    return np.clip(shares[1], 0, 1) if len(shares) > 1 else np.zeros_like(shares[0])


def source_labels(description: Description, n_sources: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Source of each pixel, (H, W); fewer than `n_sources` where the method sees fewer."""
    return description.memberships(n_sources, seed).argmax(axis=0).astype(np.uint8)


def require_side(luma: FloatImage, side: int, method: str) -> None:
    """Refuse a picture that is too small.

    Raises
    ------
    SafireError
    """
    if luma.ndim != 2 or min(luma.shape) < side:
        size = " x ".join(map(str, luma.shape))
        raise SafireError(
            f"A picture of {size} pixels is too small for the method {method!r}: it needs {side} "
            "pixels a side."
        )


def saturated(luma: FloatImage) -> npt.NDArray[np.bool_]:
    """Pixels at either end of the scale, which have lost their noise."""
    return (luma < 1) | (luma > 254)
