"""Local noise level: regions from another camera or with another history have other noise.

Mahdian and Saic, "Using noise inconsistencies for blind image forensics", Image and Vision
Computing 27(10), 2009: diagonal wavelet coefficients of the finest scale, a robust deviation of
each block. Their merging of neighbouring blocks is replaced by a mixture of Gaussians. That noise
depends on brightness is taken out first, as in Lyu, Pan and Zhang, "Exposing region splicing
forgeries with blind local noise estimation", IJCV 110(2), 2014 (there by the level of neighbouring
segments, here by a parabola over the picture).
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt
from scipy.ndimage import convolve1d

from baselines.description import BlockFeatures, require_side, saturated
from napari_safire.types import FloatImage

_MOMENTS = 8  # "db8"
_BLOCK = 8  # coefficients a side: 16 pixels
_NORMAL_MEDIAN = 0.6745  # median of |x| for standard normal x
_LEAST = 1 / 12  # variance of rounding: less noise than this cannot be seen
_BLOCKS_FOR_TREND = 20
_SIDE = 64


def noise_level(luma: FloatImage) -> BlockFeatures:
    """Logarithm of the noise in blocks of 16 x 16 pixels, relative to what their brightness has.

    ``luma`` is (H, W), 0 to 255.

    Raises
    ------
    SafireError
        Less than 64 pixels a side.
    """
    require_side(luma, _SIDE, "noise level")
    high = daubechies_high_pass(_MOMENTS)
    residual = convolve1d(luma.astype(np.float64), high, axis=0, mode="reflect")[::2]
    residual = convolve1d(residual, high, axis=1, mode="reflect")[:, ::2]
    side = 2 * _BLOCK
    height, width = luma.shape[0] // side, luma.shape[1] // side
    # Of an odd number of pixels one coefficient more is left: it may fill a block that they do not
    coefficients = _blocks(residual, _BLOCK)[:height, :width]
    deviation = np.median(np.abs(coefficients), axis=2) / _NORMAL_MEDIAN
    level = 0.5 * np.log(deviation**2 + _LEAST)
    brightness = _blocks(luma, side).mean(axis=2)
    usable = _blocks(saturated(luma), side).mean(axis=2) < 0.5
    return BlockFeatures(
        (level - _trend(level, brightness, usable))[..., None],
        usable,
        np.arange(height) * side + (side - 1) / 2,
        np.arange(width) * side + (side - 1) / 2,
        luma.shape,
    )


def daubechies_high_pass(moments: int) -> npt.NDArray[np.float64]:
    """High-pass filter of the Daubechies wavelet with so many vanishing moments.

    By spectral factorisation (Daubechies, "Ten lectures on wavelets", 1992, chapter 6): the roots
    inside the unit circle of the polynomial that makes the filter orthonormal.

    Returns
    -------
    (2 * moments,) float array of norm 1
    """
    halves = np.roots([comb(moments - 1 + k, k) for k in reversed(range(moments))]).astype(complex)
    middle = 1 - 2 * halves
    offset = np.sqrt(middle**2 - 1)
    roots = np.where(np.abs(middle - offset) < 1, middle - offset, middle + offset)
    low = np.poly(np.concatenate([-np.ones(moments), roots])).real
    low /= np.linalg.norm(low)
    return low[::-1] * (-1.0) ** np.arange(2 * moments)


def _trend(
    level: npt.NDArray[np.float64],
    brightness: npt.NDArray[np.float64],
    usable: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Noise that is usual at each block's brightness; (h, w)."""
    if usable.sum() < _BLOCKS_FOR_TREND or np.ptp(brightness[usable]) < 1:
        return np.zeros_like(level)
    scaled = brightness / 255
    return np.polyval(np.polyfit(scaled[usable], level[usable], 2), scaled)


def _blocks(values: npt.NDArray[np.generic], side: int) -> npt.NDArray[np.generic]:
    """(h, w, side * side) blocks, without what is left over at the right and below."""
    height, width = values.shape[0] // side, values.shape[1] // side
    cut = values[: height * side, : width * side].reshape(height, side, width, side)
    return cut.swapaxes(1, 2).reshape(height, width, side * side)
