"""Asking a grid of prompts once; partition and forgery map both start from the answers.

Nothing of the picture's own size is made here: 256 full-size float masks of one image take 1 GiB
in the published code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from napari_safire.engine.decoding import decode_points
from napari_safire.engine.memory import MemoryGuard
from napari_safire.engine.response import Spread
from napari_safire.partitioning.prompt_grid import PromptGrid, grid_points
from napari_safire.progress import Cancel, Progress
from napari_safire.types import Embedding, PointPrompt

_STRIDE = 16


def run_grid(
    memory: MemoryGuard,
    embedding: Embedding,
    points_per_side: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    with_logits: bool = True,
) -> PromptGrid:
    """Ask every point of a grid over the picture."""
    geometry = embedding.geometry
    prompts, points = grid_points(geometry, points_per_side)
    features = np.empty((len(points), len(embedding.features)), np.float32)
    mean_inside = RegionMeans(embedding, corners=not with_logits)
    spread = Spread()

    def read(chosen: slice, logits: torch.Tensor) -> None:
        spread.add(logits)
        features[chosen] = mean_inside(logits).cpu().numpy()

    logits, confidence = decode_points(
        memory, embedding.features, points, progress, cancel, read, keep=with_logits
    )
    responds = len(prompts) < 2 or not spread.none
    held = logits if with_logits else None
    return PromptGrid(prompts, held, confidence, features, geometry, responds)


class RegionMeans:
    """Mean embedding inside masks.

    The published code upsamples every logit map to S x S, thresholds it and reads it at
    ``[::16, ::16]``. The 2-D bilinear value at a fixed position is a fixed combination of logits,
    so only those positions are computed: ``rows @ logits @ cols.T``.

    Parameters
    ----------
    embedding : Embedding
        With (C, h, w) features.
    corners : bool
        The logits are those of the patches' corners only. A sample position lies between the last
        row (column) of one patch and the first of the next: nothing else is needed.
    """

    def __init__(self, embedding: Embedding, corners: bool = False) -> None:
        geometry = embedding.geometry
        shape = embedding.features.shape[1:]
        places = [np.arange(length) * _STRIDE for length in shape]
        self._rows, self._cols = (
            torch.from_numpy(geometry.interpolation(axis, 4 * shape[axis], places[axis]).toarray())
            for axis in (0, 1)
        )
        if corners:
            self._rows, self._cols = (
                weights.view(len(weights), -1, 4)[:, :, ::3].flatten(1)
                for weights in (self._rows, self._cols)
            )
        # Patches that begin in the padding say nothing about the picture.
        tall, wide = geometry.content_shape
        self._heard = torch.from_numpy((places[0] < tall)[:, None] & (places[1] < wide))  # (h, w)
        self._features = torch.from_numpy(embedding.features).flatten(1).T

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Map (P, 4 h, 4 w) logits (corners: 2) to (P, C), NaN for masks without a sample."""
        rows, cols, heard, features = (
            part.to(logits.device) for part in (self._rows, self._cols, self._heard, self._features)
        )
        with torch.autocast(logits.device.type, enabled=False):
            masks = (((rows @ logits @ cols.T) > 0) & heard).flatten(1).float()
            return (masks @ features) / masks.sum(dim=1, keepdim=True)  # 0 / 0 is NaN


def points_in_model(
    embedding: Embedding, prompts: Sequence[PointPrompt]
) -> npt.NDArray[np.float64]:
    """(N, 2) x/y in model pixels; refuses prompts that lie outside the picture.

    Raises
    ------
    ValueError
        A prompt lies outside the picture.
    """
    height, width = embedding.image_shape
    for prompt in prompts:
        if not prompt.lies_in(embedding.image_shape):
            raise ValueError(
                f"The prompt at row {prompt.row:g}, column {prompt.col:g} lies outside the picture "
                f"of {height} rows and {width} columns: move it inside."
            )
    points = [embedding.geometry.to_model_xy(p.row, p.col) for p in prompts]
    return np.array(points, dtype=np.float64).reshape(-1, 2)
