"""What saving a picture again changes: ghosts of an earlier quality, and error levels."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter

from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage


def resaved(rgb: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """Save as a JPEG without subsampling and read back.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    quality : int
        1 to 100, in libjpeg's scale.

    Returns
    -------
    (H, W, 3) uint8 array
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file).convert("RGB"))


def error_level(rgb: npt.NDArray[np.uint8], quality: int) -> FloatImage:
    """Mean absolute change of the channels when saved again, in grey levels (Krawetz 2007).

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    quality : int

    Returns
    -------
    (H, W) float32 array
    """
    change = np.abs(rgb.astype(np.int16) - resaved(rgb, quality))
    return change.mean(axis=2, dtype=np.float32)


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
        Asked between qualities.

    Returns
    -------
    (len(qualities), h, w) float32 array in [0, 1]
        1 is the place's largest change over the qualities, 0 its least.

    Raises
    ------
    Cancelled
    """
    changes = []
    for number, quality in enumerate(qualities):
        report(progress, cancel, number, len(qualities), "saving again")
        change = (rgb.astype(np.float32) - resaved(rgb, quality)) ** 2
        changes.append(
            uniform_filter(change.mean(axis=2), window)[
                window // 2 :: window, window // 2 :: window
            ]
        )
    stack = np.stack(changes)
    low, high = stack.min(axis=0), stack.max(axis=0)
    scaled: FloatImage = (stack - low) / np.maximum(high - low, 1e-6)
    return scaled.astype(np.float32, copy=False)
