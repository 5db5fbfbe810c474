"""Noise: the residual that is left when shapes are taken away, and how strong it is where.

The level follows B. Mahdian, S. Saic, "Using noise inconsistencies for blind image forensics",
Image and Vision Computing 27 (2009): the median of a wavelet's diagonal coefficients over .6745,
for each cell. A camera's noise grows with brightness, so what is compared is the level over what
is usual at that brightness in this very picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from napari_safire.types import FloatImage

_MEDIAN_OF_NORMAL = 0.6745
_LEVELS = 12  # of brightness, each with as many cells
_DARK, _BRIGHT = 8.0, 247.0  # clipped cells hold no noise
_LEAST_NOISE = 0.05  # grey levels: of rounding alone, or of a drawn surface


def residual(luminance: FloatImage, size: int = 3) -> FloatImage:
    """Take away what a median filter keeps.

    Parameters
    ----------
    luminance : (H, W) float32 array
    size : int
        Pixels a side of the filter.

    Returns
    -------
    (H, W) float32 array
    """
    difference: FloatImage = luminance - median_filter(luminance, size)
    return difference


def noise_levels(luminance: FloatImage, cell: int = 32) -> tuple[FloatImage, FloatImage]:
    """Estimate the standard deviation of noise in each cell, and its mean brightness.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    cell : int
        Pixels a side, even.

    Returns
    -------
    levels, brightness : (h, w) float32 arrays
        In grey levels. Of whole cells; ``nan`` where all is clipped or nothing varies.
    """
    height, width = (n // cell * cell for n in luminance.shape)
    even = luminance[:height, :width]
    diagonal = (even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]) / 2  # Haar
    half = cell // 2
    blocks = diagonal.reshape(height // cell, half, width // cell, half)
    flat = np.abs(blocks.transpose(0, 2, 1, 3).reshape(height // cell, width // cell, half**2))
    levels = (np.median(flat, axis=2) / _MEDIAN_OF_NORMAL).astype(np.float32)
    brightness = even.reshape(height // cell, cell, width // cell, cell).mean(axis=(1, 3))
    levels[(brightness < _DARK) | (brightness > _BRIGHT) | (levels < _LEAST_NOISE)] = np.nan
    return levels, brightness.astype(np.float32)


def relative_noise(levels: FloatImage, brightness: FloatImage) -> FloatImage:
    """Compare each cell's noise with what cells of its brightness have.

    Parameters
    ----------
    levels, brightness : (h, w) float32 arrays
        From `noise_levels`.

    Returns
    -------
    (h, w) float32 array
        Binary logarithm: 1 is twice as noisy as usual, -1 half as much; ``nan`` as in `levels`.
    """
    told = np.isfinite(levels)
    relative = np.full(levels.shape, np.nan, np.float32)
    if told.sum() < _LEVELS:
        return relative
    logs = np.log2(levels[told])
    usual = _usual(brightness[told], logs)
    relative[told] = logs - usual
    return relative


def _usual(
    brightness: npt.NDArray[np.floating], logs: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """Median of the logarithms at each brightness, between the middles of equal shares."""
    order = np.argsort(brightness, kind="stable")
    parts = np.array_split(order, min(_LEVELS, max(1, len(order) // 8)))
    middles = np.array([float(np.median(brightness[part])) for part in parts])
    medians = np.array([float(np.median(logs[part])) for part in parts])
    middles, first = np.unique(middles, return_index=True)
    return np.interp(brightness, middles, medians[first])
