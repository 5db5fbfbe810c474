"""How clearly the edges of 8 x 8 blocks show, place by place.

W. Li, Y. Yuan, N. Yu, "Passive detection of doctored JPEG image via block artifact grid
extraction", Signal Processing 89 (2009): second differences, cut off where the picture itself has
edges, are compared between the lines on which blocks meet and those between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

_MOST_DIFFERENCE = 50.0  # grey levels: more is an edge of what is shown
_NOISE = 0.25  # grey levels, so that places without any difference are 0
_MEETING = (0, BLOCK - 1)  # lines on both sides of where two blocks meet


@dataclass(frozen=True, slots=True, eq=False)
class Blockiness:
    """Where block edges show.

    Parameters
    ----------
    grid : (int, int)
        Row and column, 0 to 7, where the blocks begin whose edges show most.
    values : (h, w) float32 array
        Differences on the edges of blocks over those between, less one: 0 shows no edges.
    """

    grid: tuple[int, int]
    values: FloatImage


def blockiness(
    luminance: FloatImage,
    window: int,
    grid: tuple[int, int] | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Blockiness:
    """Compare differences on and between the edges of blocks.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    window : int
        Blocks a side.
    grid : (int, int), optional
        Where blocks begin, if it is known.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between the two directions.

    Returns
    -------
    Blockiness

    Raises
    ------
    Cancelled
    """
    by_phase = []
    for number, picture in enumerate((luminance, luminance.T)):
        report(progress, cancel, number, 2, "comparing lines")
        by_phase.append(_by_phase(picture))
    # across the picture's rows lie the edges that tell where blocks begin downwards
    top = _phase(by_phase[0]) if grid is None else grid[0]
    left = _phase(by_phase[1]) if grid is None else grid[1]
    down = _edges(by_phase[0], top, window)
    across = _edges(by_phase[1], left, window).T
    return Blockiness((top, left), ((down + across) / 2).astype(np.float32, copy=False))


def _by_phase(luminance: FloatImage) -> FloatImage:
    """(h, w, 8): mean second difference, downwards, of each of the 8 lines of each cell."""
    height, width = (n // BLOCK * BLOCK for n in luminance.shape)
    differences = np.zeros((height, width), np.float32)
    part = luminance[:height, :width]
    bent = differences[1:-1]
    np.add(part[:-2], part[2:], out=bent)
    bent -= 2 * part[1:-1]
    np.abs(bent, out=bent)
    np.minimum(bent, _MOST_DIFFERENCE, out=bent)
    cells = differences.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    means: FloatImage = cells.mean(axis=3, dtype=np.float32).transpose(0, 2, 1)
    return means


def _phase(by_phase: FloatImage) -> int:
    """Line of a cell at which blocks begin: it and the one before differ most from their like."""
    lines = by_phase[1:-1].mean(axis=(0, 1)) if len(by_phase) > 2 else by_phase.mean(axis=(0, 1))
    return int((lines + np.roll(lines, 1)).argmax())


def _edges(by_phase: FloatImage, start: int, window: int) -> FloatImage:
    meeting = np.isin((np.arange(BLOCK) - start) % BLOCK, _MEETING)
    on: npt.NDArray[np.float32] = uniform_filter(by_phase[..., meeting].mean(axis=2), window)
    between = uniform_filter(by_phase[..., ~meeting].mean(axis=2), window)
    ratio: FloatImage = (on + _NOISE) / (between + _NOISE) - 1
    return ratio.astype(np.float32, copy=False)
