"""The picture redrawn so that an eye sees more: high frequencies, gradients, sharpness.

All go through the picture strip by strip (`napari_safire.forensics.tiles`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.ndimage import laplace, sobel, uniform_filter

from napari_safire.forensics.picture import Picture
from napari_safire.forensics.tiles import by_strips, sampled, strips
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.types import FloatImage

_DARK, _BRIGHT = 2, 253


def high_pass(
    picture: Picture,
    removed: float = 0.25,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Take the low frequencies away, as SAFIRE does for its second input (paper, section 3.2).

    A square of frequencies is low along both axes, so that what it holds is found along one axis
    after the other, without a spectrum of the whole.

    Parameters
    ----------
    picture : Picture
    removed : float
        Share of all frequencies that goes, in the middle.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between strips.

    Returns
    -------
    (H, W) float32 array
        Absolute value of what is left.

    Raises
    ------
    Cancelled
    """
    height, width = picture.shape
    stage = "filtering"
    low = by_strips(
        lambda rows: _low_pass(picture.grey(rows), 1, removed),
        picture.shape,
        progress=within(progress, 0, 50),
        cancel=cancel,
        stage=stage,
    )
    columns = strips((width, height))
    for number, part in enumerate(columns):
        report(within(progress, 50, 90), cancel, number, len(columns), stage)
        low[:, part.rows] = _low_pass(low[:, part.rows], 0, removed)
    for part in strips((height, width)):
        low[part.rows] = np.abs(picture.grey(part.rows) - low[part.rows])
    return low


def _low_pass(values: FloatImage, axis: int, removed: float) -> FloatImage:
    """Keep the frequencies along an axis that lie in the square's middle."""
    count = values.shape[axis]
    spectrum = np.moveaxis(rfft(values, axis=axis), axis, -1)
    first = round(count * (0.5 - np.sqrt(removed) / 2))
    spectrum[..., max(1, (count - 1) // 2 - first + 1) :] = 0
    low = irfft(np.moveaxis(spectrum, -1, axis), count, axis=axis)
    return np.asarray(low, np.float32)


def gradients(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> FloatImage:
    """Direction of the gradient in red and green, its strength in blue.

    Parameters
    ----------
    picture : Picture
    progress, cancel : callable, optional
        As of `high_pass`.

    Returns
    -------
    (H, W, 3) float32 array in [0, 1]

    Raises
    ------
    Cancelled
    """

    def of_rows(rows: slice) -> FloatImage:
        luminance = picture.grey(rows)
        down, across = sobel(luminance, 0), sobel(luminance, 1)
        strength = np.hypot(down, across)
        unit = np.maximum(strength, 1e-6)
        return np.stack([0.5 + 0.5 * across / unit, 0.5 + 0.5 * down / unit, strength], axis=-1)

    colours = by_strips(of_rows, picture.shape, overlap=1, progress=progress, cancel=cancel)
    strength = colours[..., 2]
    high = max(1e-6, float(np.quantile(sampled(strength), 0.98)))
    np.minimum(np.divide(strength, high, out=strength), 1, out=strength)
    return colours


def colour_component(
    picture: Picture,
    number: int,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Project colours on one of their principal components.

    Parameters
    ----------
    picture : Picture
    number : int
        0 for the one along which colours vary most, to 2.
    progress, cancel : callable, optional
        As of `high_pass`.

    Returns
    -------
    (H, W) float32 array
        Between 0 and 1: the extreme hundredths are clipped.

    Raises
    ------
    Cancelled
    """
    rgb, parts = picture.rgb, strips(picture.shape)
    count = rgb.shape[0] * rgb.shape[1]
    near = rgb[::64, ::64].reshape(-1, 3).mean(axis=0, dtype=np.float32)  # keeps sums exact
    total, squares = np.zeros(3), np.zeros((3, 3))
    for at, part in enumerate(parts):
        report(within(progress, 0, 50), cancel, at, len(parts), "adding up colours")
        values = rgb[part.rows].reshape(-1, 3) - near
        total += values.sum(axis=0, dtype=np.float64)
        squares += values.T @ values
    mean = total / count
    _, axes = np.linalg.eigh(squares / count - np.outer(mean, mean))
    axis = axes[:, 2 - number].astype(np.float32)
    projected = by_strips(
        lambda rows: (rgb[rows] - near) @ axis,
        picture.shape,
        progress=within(progress, 50, 100),
        cancel=cancel,
        stage="projecting colours",
    )
    low, high = np.quantile(sampled(projected), (0.01, 0.99))
    projected -= np.float32(low)
    projected /= np.float32(max(high - low, 1e-6))
    return np.clip(projected, 0, 1, out=projected)


def sharpness(
    picture: Picture,
    window: int = 16,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Share of local variation that lies in fine detail, by squares.

    Parameters
    ----------
    picture : Picture
    window : int
        Pixels a side.
    progress, cancel : callable, optional
        As of `high_pass`.

    Returns
    -------
    (h, w) float32 array
        Root mean square of the Laplacian over that of the gradient; ``nan`` where nothing varies.

    Raises
    ------
    Cancelled
    """
    middles = slice(window // 2, None, window)

    def of_rows(rows: slice) -> FloatImage:
        luminance = picture.grey(rows)
        fine = uniform_filter(laplace(luminance) ** 2, window)[middles, middles]
        energy = sobel(luminance, 0) ** 2 + sobel(luminance, 1) ** 2
        coarse = uniform_filter(energy, window)[middles, middles]
        # a running mean of what is zero may come out below it
        ratio = np.sqrt(np.maximum(fine, 0) / np.maximum(coarse, 1e-6))
        return np.where(coarse > 1, ratio, np.nan).astype(np.float32)

    return by_strips(
        of_rows, picture.shape, cell=window, overlap=window, progress=progress, cancel=cancel
    )


def clipped(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> FloatImage:
    """Mark channels at the end of their range.

    Parameters
    ----------
    picture : Picture
    progress, cancel : callable, optional
        As of `high_pass`.

    Returns
    -------
    (H, W) float32 array
        1 bright, -1 dark in any channel, 0 between.

    Raises
    ------
    Cancelled
    """

    def of_rows(rows: slice) -> FloatImage:
        rgb: npt.NDArray[np.uint8] = picture.rgb[rows]
        bright, dark = (rgb >= _BRIGHT).any(axis=2), (rgb <= _DARK).any(axis=2)
        return np.asarray(bright.astype(np.float32) - (dark & ~bright), np.float32)

    return by_strips(of_rows, picture.shape, progress=progress, cancel=cancel)
