"""Periods that enlarging and turning leave in a picture's second derivative.

An interpolated pixel's variance depends on where it lies between those it was made of, so the mean
of a second derivative repeats with the ratio of sizes: A. Gallagher, "Detection of linear and cubic
interpolation in JPEG compressed images" (2005); B. Mahdian, S. Saic, "Blind authentication using
periodic properties of interpolation", IEEE TIFS 3 (2008). JPEG's own periods (an eighth and its
multiples) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

_JPEG_PERIOD = 8
_BESIDE_JPEG = 2  # bins on either side
_LOWEST = 0.06  # cycles a pixel: below lie shapes
_WINDOW = 31  # bins around a peak that say what is usual


@dataclass(frozen=True, slots=True)
class Period:
    """The strongest period of one direction.

    Parameters
    ----------
    frequency : float
        Cycles a pixel, up to one half.
    strength : float
        Height over the median of the frequencies around it.
    """

    frequency: float
    strength: float


def second_derivative(luminance: FloatImage, axis: int) -> FloatImage:
    """Absolute second derivative of (H, W) luminance along an axis, where it is two shorter."""
    derivative: FloatImage = np.abs(np.diff(luminance, 2, axis=axis))
    return derivative


def spectrum(luminance: FloatImage, axis: int) -> npt.NDArray[np.float64]:
    """Strength of each frequency of the mean second derivative along an axis.

    Parameters
    ----------
    luminance : (H, W) float32 array
    axis : {0, 1}

    Returns
    -------
    (n,) float array
        From 0 to half a cycle a pixel, over the median around each; 0 where JPEG's own periods and
        shapes lie.
    """
    profile = second_derivative(luminance, axis).mean(axis=1 - axis).astype(np.float64)
    count = len(profile)
    if count < 2 * _WINDOW:
        return np.zeros(1)
    profile -= profile.mean()
    strengths = np.abs(np.fft.rfft(profile * np.hanning(count)))
    usual = median_filter(strengths, _WINDOW, mode="nearest")
    strengths /= np.maximum(usual, 1e-9 * max(1.0, float(strengths.max())))
    frequencies = np.fft.rfftfreq(count)
    strengths[frequencies < _LOWEST] = 0
    for multiple in range(1, _JPEG_PERIOD // 2 + 1):
        centre = round(multiple * count / _JPEG_PERIOD)
        strengths[max(0, centre - _BESIDE_JPEG) : centre + _BESIDE_JPEG + 1] = 0
    return np.asarray(strengths)


def strongest_period(luminance: FloatImage, axis: int) -> Period:
    """Find the period that stands out most along an axis.

    Parameters
    ----------
    luminance : (H, W) float32 array
    axis : {0, 1}
        Down, across.

    Returns
    -------
    Period
        Strength 0 for pictures too small to have any.
    """
    strengths = spectrum(luminance, axis)
    best = int(strengths.argmax())
    if len(strengths) == 1:
        return Period(0.0, 0.0)
    count = luminance.shape[axis] - 2
    return Period(best / count, float(strengths[best]))


def resampling_strengths(
    luminance: FloatImage,
    cell: int = 64,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Strength of the strongest period around each cell, of both directions together.

    Parameters
    ----------
    luminance : (H, W) float32 array
    cell : int
        Pixels between windows; each window is four cells a side.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between rows of windows.

    Returns
    -------
    (h, w) float32 array
        The lesser one of both directions, as a region is enlarged in both.

    Raises
    ------
    Cancelled
    """
    side = 4 * cell
    height, width = luminance.shape
    rows, cols = max(1, height // cell), max(1, width // cell)
    strengths = np.zeros((rows, cols), np.float32)
    for row in range(rows):
        report(progress, cancel, row, rows, "looking for periods")
        top = min(max(0, row * cell + cell // 2 - side // 2), max(0, height - side))
        for col in range(cols):
            left = min(max(0, col * cell + cell // 2 - side // 2), max(0, width - side))
            window = luminance[top : top + side, left : left + side]
            strengths[row, col] = min(
                strongest_period(window, 0).strength, strongest_period(window, 1).strength
            )
    return strengths
