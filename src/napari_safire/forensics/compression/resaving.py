"""What saving a picture again changes: ghosts of an earlier quality, and error levels."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter

from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.forensics.tiles import by_strips
from napari_safire.progress import Cancel, Progress
from napari_safire.types import FloatImage

_STAGE = "saving again"


def resaved(rgb: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """Save as a JPEG without subsampling and read back.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        Blocks do not depend on each other: strips of whole blocks give what the picture gives.
    quality : int
        1 to 100, in libjpeg's scale.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file).convert("RGB"))


def error_level(
    rgb: npt.NDArray[np.uint8],
    quality: int,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Mean absolute change of the channels when saved again, in grey levels (Krawetz 2007).

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    quality : int
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between strips.

    Returns
    -------
    (H, W) float32 array

    Raises
    ------
    Cancelled
    """

    def of_rows(rows: slice) -> FloatImage:
        change = np.abs(rgb[rows].astype(np.int16) - resaved(rgb[rows], quality))
        return change.mean(axis=2, dtype=np.float32)

    return by_strips(
        of_rows, _shape(rgb), multiple=BLOCK, progress=progress, cancel=cancel, stage=_STAGE
    )


def ghosts(
    rgb: npt.NDArray[np.uint8],
    qualities: Sequence[int],
    window: int = 16,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Squared change of each place when saved at each quality, from least to most over them.

    What was saved at a quality before changes little when saved at it again: H. Farid, "Exposing
    digital forgeries from JPEG ghosts", IEEE TIFS 4 (2009).

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    qualities : sequence of int
    window : int
        Pixels a side over which changes are averaged, and between two values.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between strips.

    Returns
    -------
    (len(qualities), h, w) float32 array in [0, 1]
        1 is the place's largest change over the qualities, 0 its least.

    Raises
    ------
    Cancelled
    """
    middles = slice(window // 2, None, window)

    def of_rows(rows: slice) -> FloatImage:
        before = rgb[rows].astype(np.int32)
        changes = []
        for quality in qualities:
            squares = (before - resaved(rgb[rows], quality)) ** 2
            summed = squares[..., 0] + squares[..., 1] + squares[..., 2]
            change = summed.astype(np.float32) / np.float32(3)
            changes.append(uniform_filter(change, window)[middles, middles])
        return np.stack(changes, axis=-1)

    stack = by_strips(
        of_rows,
        _shape(rgb),
        cell=window,
        overlap=window,
        multiple=BLOCK,
        progress=progress,
        cancel=cancel,
        stage=_STAGE,
    )
    low, high = stack.min(axis=-1, keepdims=True), stack.max(axis=-1, keepdims=True)
    scaled: FloatImage = (stack - low) / np.maximum(high - low, 1e-6)
    return np.moveaxis(scaled, -1, 0)


def _shape(rgb: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return rgb.shape[0], rgb.shape[1]
