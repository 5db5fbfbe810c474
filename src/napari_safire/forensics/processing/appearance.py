"""The picture redrawn so that an eye sees more: high frequencies, gradients, sharpness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import laplace, sobel, uniform_filter

from napari_safire.types import FloatImage

_DARK, _BRIGHT = 2, 253


def high_pass(luminance: FloatImage, removed: float = 0.25) -> FloatImage:
    """Take the low frequencies away, as SAFIRE does for its second input (paper, section 3.2).

    Parameters
    ----------
    luminance : (H, W) float32 array
    removed : float
        Share of all frequencies that goes, in the middle.

    Returns
    -------
    (H, W) float32 array
        Absolute value of what is left.
    """
    height, width = luminance.shape
    spectrum = np.fft.fftshift(np.fft.fft2(luminance))
    side = np.sqrt(removed) / 2
    top, left = round(height * (0.5 - side)), round(width * (0.5 - side))
    spectrum[top : height - top, left : width - left] = 0
    return np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum))).astype(np.float32)


def gradients(luminance: FloatImage) -> FloatImage:
    """Direction of the gradient in red and green, its strength in blue.

    Parameters
    ----------
    luminance : (H, W) float32 array

    Returns
    -------
    (H, W, 3) float32 array in [0, 1]
    """
    down, across = sobel(luminance, 0), sobel(luminance, 1)
    strength = np.hypot(down, across)
    unit = np.maximum(strength, 1e-6)
    high = max(1e-6, float(np.quantile(strength, 0.98)))
    colours = [0.5 + 0.5 * across / unit, 0.5 + 0.5 * down / unit, np.minimum(strength / high, 1)]
    return np.stack(colours, axis=-1).astype(np.float32)


def colour_component(rgb: npt.NDArray[np.uint8], number: int) -> FloatImage:
    """Project colours on one of their principal components.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    number : int
        0 for the one along which colours vary most, to 2.

    Returns
    -------
    (H, W) float32 array
        Between 0 and 1: the extreme hundredths are clipped.
    """
    values = rgb.reshape(-1, 3).astype(np.float32)
    values = values - values.mean(axis=0)
    _, axes = np.linalg.eigh(values.T @ values / len(values))
    projected = (values @ axes[:, 2 - number]).reshape(rgb.shape[:2])
    low, high = np.quantile(projected, (0.01, 0.99))
    scaled: FloatImage = np.clip((projected - low) / max(high - low, 1e-6), 0, 1)
    return scaled.astype(np.float32, copy=False)


def sharpness(luminance: FloatImage, window: int = 16) -> FloatImage:
    """Share of local variation that lies in fine detail, by squares.

    Parameters
    ----------
    luminance : (H, W) float32 array
    window : int
        Pixels a side.

    Returns
    -------
    (h, w) float32 array
        Root mean square of the Laplacian over that of the gradient; ``nan`` where nothing varies.
    """
    fine = uniform_filter(laplace(luminance) ** 2, window)[
        window // 2 :: window, window // 2 :: window
    ]
    coarse = uniform_filter(sobel(luminance, 0) ** 2 + sobel(luminance, 1) ** 2, window)
    coarse = coarse[window // 2 :: window, window // 2 :: window]
    ratio = np.sqrt(fine / np.maximum(coarse, 1e-6))
    return np.where(coarse > 1, ratio, np.nan).astype(np.float32)


def clipped(rgb: npt.NDArray[np.uint8]) -> FloatImage:
    """Mark channels at the end of their range.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array

    Returns
    -------
    (H, W) float32 array
        1 bright, -1 dark in any channel, 0 between.
    """
    bright, dark = (rgb >= _BRIGHT).any(axis=2), (rgb <= _DARK).any(axis=2)
    return np.asarray(bright.astype(np.float32) - (dark & ~bright), np.float32)
