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
from numpy.lib.stride_tricks import sliding_window_view

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
    profile = second_derivative(luminance, axis).mean(axis=1 - axis)
    found: npt.NDArray[np.float64] = _spectra(profile[None])[0]
    return found


def _spectra(profiles: FloatImage) -> npt.NDArray[np.float64]:
    """(n, f): spectra of (n, m) mean second derivatives, as of `spectrum`; (n, 1) of short ones."""
    count = profiles.shape[1]
    if count < 2 * _WINDOW:
        return np.zeros((len(profiles), 1))
    values = profiles.astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    strengths = np.abs(np.fft.rfft(values * np.hanning(count)))
    beyond = np.pad(strengths, ((0, 0), (_WINDOW // 2, _WINDOW // 2)), mode="edge")
    around = sliding_window_view(beyond, _WINDOW, axis=1)
    usual = np.partition(around, _WINDOW // 2, axis=2)[..., _WINDOW // 2]
    strongest = np.maximum(1.0, strengths.max(axis=1, keepdims=True))
    strengths /= np.maximum(usual, 1e-9 * strongest)
    strengths[:, np.fft.rfftfreq(count) < _LOWEST] = 0
    for multiple in range(1, _JPEG_PERIOD // 2 + 1):
        centre = round(multiple * count / _JPEG_PERIOD)
        strengths[:, max(0, centre - _BESIDE_JPEG) : centre + _BESIDE_JPEG + 1] = 0
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
    tops, lefts = (
        np.clip(np.arange(n) * cell + cell // 2 - side // 2, 0, max(0, length - side)).tolist()
        for n, length in ((rows, height), (cols, width))
    )
    strengths = np.zeros((rows, cols), np.float32)
    for row, top in enumerate(tops):
        report(progress, cancel, row, rows, "looking for periods")
        band = luminance[top : top + side]  # its windows overlap: each derivative is made once
        down, across = second_derivative(band, 0), second_derivative(band, 1).mean(axis=0)
        found = [
            _spectra(np.stack(profiles)).max(axis=1)
            for profiles in (
                [down[:, left : left + side].mean(axis=1) for left in lefts],
                [across[left : left + min(side, width) - 2] for left in lefts],
            )
        ]
        strengths[row] = np.minimum(*found)
    return strengths
