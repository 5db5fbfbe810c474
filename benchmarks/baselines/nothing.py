"""The map that says nothing: the zero of every scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_safire.types import FloatImage


@dataclass(frozen=True, slots=True)
class OneSource:
    """The whole picture is one source.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the picture.
    """

    shape: tuple[int, int]

    def memberships(self, n_sources: int, seed: int) -> FloatImage:
        """One source, whatever was asked; see `baselines.description.Description`."""
        return np.ones((1, *self.shape), np.float32)


def blank_map(luma: FloatImage) -> OneSource:
    """See nothing in an (H, W) picture of any size."""
    height, width = luma.shape
    return OneSource((height, width))
