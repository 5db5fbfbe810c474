"""A grid of prompts and the answers to it; partition and forgery map both start from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.geometry import Geometry
from napari_safire.types import FloatImage, PointPrompt, SourceRegion


@dataclass(frozen=True, slots=True, eq=False)
class PromptGrid:
    """The answers to a grid of prompts.

    Parameters
    ----------
    prompts : tuple of PointPrompt
        Row by row, columns fastest.
    low_res_logits : (P, h4, w4) float32 array or None
        None where only the features were asked for.
    confidence : (P,) float32 array
        As in `SourceRegion`.
    features : (P, C) float32 array
        Mean embedding inside each mask, NaN where the mask is empty.
    geometry : Geometry
    responds : bool
        Whether the answers differ from each other at all.
    """

    prompts: tuple[PointPrompt, ...]
    low_res_logits: FloatImage | None
    confidence: FloatImage
    features: FloatImage
    geometry: Geometry
    responds: bool = True

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(P,) bool: prompts that have a feature."""
        return np.asarray(np.isfinite(self.features).all(axis=1))

    def region(self, index: int) -> SourceRegion:
        """Return the region of one prompt.

        Raises
        ------
        ValueError
            Only the features were asked for.
        """
        if self.low_res_logits is None:
            raise ValueError("This grid holds features only: ask Engine.grid for the whole one.")
        return SourceRegion(
            self.prompts[index],
            self.low_res_logits[index],
            self.geometry,
            float(self.confidence[index]),
        )


def grid_points(
    geometry: Geometry, points_per_side: int
) -> tuple[tuple[PointPrompt, ...], npt.NDArray[np.float64]]:
    """Spread prompts evenly over the picture: point (i, j) lies at ((i + .5) / n, (j + .5) / n).

    Returns
    -------
    prompts : tuple of n * n PointPrompt
    points_xy : (n * n, 2) array
        The same in model pixels; for a picture that fills its frame exactly the published grid
        ``(i + .5) * S / n``.
    """
    steps = (np.arange(points_per_side) + 0.5) / points_per_side
    points, prompts = [], []
    for down in steps:
        for across in steps:
            x, y = across * geometry.content_shape[1], down * geometry.content_shape[0]
            points.append((x, y))
            # Rounding must not put a prompt of a tiny picture outside it.
            row, col = geometry.to_image_rc(x, y)
            height, width = geometry.image_shape
            prompts.append(PointPrompt(min(float(row), height - 0.5), min(float(col), width - 0.5)))
    return tuple(prompts), np.array(points)
