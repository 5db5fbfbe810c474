"""What a model in training makes of some pictures, drawn for people who watch the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

_MOST_PICTURES = 4
_LARGEST_SIDE = 256
_GAP = 4
# Paul Tol's "bright" scheme: told apart by colour-blind people too.
_COLOURS = np.array(
    [(187, 187, 187), (68, 119, 170), (238, 102, 119), (34, 136, 51), (204, 187, 68),
     (102, 204, 238), (170, 51, 119)], np.uint8,
)  # fmt: skip


def contact_sheet(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Lay out one row of tiles for each picture, the first four pictures.

    Parameters
    ----------
    rows : sequence of sequences of (h, w, 3) uint8 arrays
        As many tiles in each row; brought to one size, at most 256 pixels a side.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    side = min(_LARGEST_SIDE, max(rows[0][0].shape[:2]))
    tiles = [[_resized(tile, side) for tile in row] for row in rows[:_MOST_PICTURES]]
    sheet = np.full(
        ((side + _GAP) * len(tiles) - _GAP, (side + _GAP) * len(tiles[0]) - _GAP, 3), 255, np.uint8
    )
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            top, left = i * (side + _GAP), j * (side + _GAP)
            sheet[top : top + side, left : left + side] = tile
    return sheet


def coloured(labels: npt.NDArray[np.integer]) -> Pixels:
    """Give each region of (H, W) labels a colour."""
    return _COLOURS[labels % len(_COLOURS)]


def masked(picture: Pixels, inside: npt.NDArray[np.bool_], point: tuple[float, float]) -> Pixels:
    """Show a region in a picture, and the prompt that gave it.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    inside : (h, w) bool array
        Of any size.
    point : (float, float)
        Row and column of the prompt, in pixels of the picture.

    Returns
    -------
    (H, W, 3) uint8 array
        Dark outside the region, a red cross at the prompt.
    """
    height, width = picture.shape[:2]
    mask = np.asarray(Image.fromarray(inside).resize((width, height), Image.Resampling.NEAREST))
    drawn = np.where(mask[..., None], picture, picture // 4)
    arm = max(2, height // 32)
    row, col = (int(np.clip(p, 0, n - 1)) for p, n in zip(point, (height, width), strict=True))
    drawn[max(0, row - arm) : row + arm + 1, col] = (255, 0, 0)
    drawn[row, max(0, col - arm) : col + arm + 1] = (255, 0, 0)
    return drawn


def principal_colours(features: npt.NDArray[np.floating]) -> Pixels:
    """Show (h, w, C) features: their three principal components as red, green and blue."""
    height, width, channels = features.shape
    flat = features.reshape(-1, channels).astype(np.float64)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-12
    flat -= flat.mean(axis=0)
    axes = np.linalg.svd(flat, full_matrices=False)[2][:3]
    shown = np.zeros((len(flat), 3))
    shown[:, : len(axes)] = flat @ axes.T
    # The sign of a component is arbitrary: the same one at each step, as far as that goes.
    shown *= np.sign(np.abs(shown).max(axis=0) - np.abs(shown.min(axis=0)) + 1e-12)
    low, high = np.quantile(shown, [0.01, 0.99], axis=0)
    scaled = 255 * (shown - low) / np.maximum(high - low, 1e-9)
    return np.clip(scaled, 0, 255).astype(np.uint8).reshape(height, width, 3)


def _resized(tile: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.NEAREST))
