"""The patches of a picture: squares of 16 pixels of the model's frame, a feature each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.geometry import Geometry
from napari_safire.partitioning.uninformative import INFORMATIVE
from napari_safire.types import Embedding, FloatImage, PointPrompt

STRIDE = 16  # pixels of the model's frame to a patch
_MOST_COMPARED = 1024  # patches; the others are placed among them
_FEWEST_INFORMATIVE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Where patches lie, and what the model sees in them.

    Parameters
    ----------
    shape : (int, int)
        Rows h and columns w of patches; N = h * w, row by row.
    features : (N, C) float32 array
        Directions of their features, of length 1.
    centres : (N, 2) float32 array
        Row and column in pixels of the picture, inside it.
    compared : (n,) int array
        Those that are informative and, of a large picture, a regular sample of them: what the
        partition rests on, the others are placed among them.
    """

    shape: tuple[int, int]
    features: FloatImage
    centres: FloatImage
    compared: npt.NDArray[np.int64]

    def values_at(self, image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """(N,): what an (H, W) image of the picture's size holds at the centres."""
        rows, cols = self.centres.round().astype(np.int64).T
        return np.asarray(image[rows, cols])


def patches_of(embedding: Embedding) -> Patches:
    """Give the patches of an embedding."""
    channels, height, width = embedding.features.shape
    down = (patch_centre(embedding.geometry, row, 0).row for row in range(height))
    across = (patch_centre(embedding.geometry, 0, col).col for col in range(width))
    rows, cols = np.meshgrid(list(down), list(across), indexing="ij")
    centres = np.stack([rows.ravel(), cols.ravel()], axis=1).astype(np.float32)
    features = directions(embedding.features.reshape(channels, -1).T)
    compared = sampled(informative_patches(embedding))
    return Patches((height, width), features, centres, compared)


def patch_centre(geometry: Geometry, row: int, col: int) -> PointPrompt:
    """Centre of a patch, in the picture."""
    centre = STRIDE / 2 - 0.5
    down, across = geometry.to_image_rc(STRIDE * col + centre, STRIDE * row + centre)
    height, width = geometry.image_shape
    return PointPrompt(min(float(down), height - 1.0), min(float(across), width - 1.0))


def patch_at(geometry: Geometry, shape: tuple[int, ...], point: PointPrompt) -> tuple[int, int]:
    """Row and column of the patch that holds a point of the picture.

    Parameters
    ----------
    geometry : Geometry
    shape : (int, int)
        Rows and columns of patches.
    point : PointPrompt

    Returns
    -------
    (int, int)
    """
    x, y = geometry.to_model_xy(point.row, point.col)
    row, col = (int((at + 0.5) // STRIDE) for at in (y, x))
    return min(max(row, 0), shape[0] - 1), min(max(col, 0), shape[1] - 1)


def informative_patches(embedding: Embedding) -> npt.NDArray[np.bool_]:
    """(h, w): all patches where next to none can be read, so that there is something to compare."""
    everything = np.ones(embedding.features.shape[1:], dtype=bool)
    if embedding.uninformative is None:
        return everything
    informative = np.asarray(embedding.uninformative == INFORMATIVE)
    return informative if informative.sum() >= _FEWEST_INFORMATIVE else everything


def sampled(informative: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Indices of informative patches on a slanted lattice: no row and no column is left out."""
    every = -(-int(informative.sum()) // _MOST_COMPARED)
    rows, cols = np.indices(informative.shape)
    chosen = (rows * _slope(every) + cols) % every == 0
    return np.flatnonzero(chosen & informative)


def _slope(every: int) -> int:
    """Shift of the lattice from row to row: the number coprime to it that is nearest its root."""
    root = max(1, round(every**0.5))
    return next(k for k in range(root, every + 2) if np.gcd(k, every) == 1)


def directions(features: FloatImage) -> FloatImage:
    """Scale (P, C) vectors to length one; zeros stay zeros."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(norms, 1e-12), dtype=np.float32)
