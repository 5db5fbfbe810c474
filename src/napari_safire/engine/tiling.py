"""Overlapping tiles of equal size, on the 16-pixel raster of the embedding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_safire.types import FloatImage


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles along one axis, in patches.

    Parameters
    ----------
    starts : tuple of int
        First patch of each tile.
    size : int
        Patches in a tile.
    """

    starts: tuple[int, ...]
    size: int

    def weights(self, index: int) -> FloatImage:
        """Blending weights of a tile's patches: they fall linearly where neighbours overlap."""
        weights = np.ones(self.size, dtype=np.float32)
        start, end = self.starts[index], self.starts[index] + self.size
        if index > 0:
            overlap = self.starts[index - 1] + self.size - start
            weights[:overlap] = _ramp(overlap)
        if index + 1 < len(self.starts):
            overlap = end - self.starts[index + 1]
            weights[self.size - overlap :] = _ramp(overlap)[::-1]
        return weights


def tile_axis(patches: int, largest: int, overlap: int) -> Tiles:
    """Cover an axis with as few tiles as possible, all of one size.

    Parameters
    ----------
    patches : int
        Length of the axis.
    largest : int
        Largest tile.
    overlap : int
        Least overlap of neighbours.

    Returns
    -------
    Tiles
    """
    if patches <= largest:
        return Tiles((0,), patches)
    count = math.ceil((patches - overlap) / (largest - overlap))
    size = math.ceil((patches + (count - 1) * overlap) / count)
    starts = np.rint(np.linspace(0, patches - size, count)).astype(int)
    return Tiles(tuple(starts.tolist()), size)


def _ramp(length: int) -> FloatImage:
    return ((np.arange(length) + 1) / (length + 1)).astype(np.float32)
