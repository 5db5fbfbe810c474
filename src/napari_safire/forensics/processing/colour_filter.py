"""Whether colours were interpolated from one colour filter, and on which of its four grids.

Of a Bayer sensor's green, every second pixel was measured and the others interpolated, which
smooths them: their residual against the mean of four neighbours is smaller. P. Ferrara, T. Bianchi,
A. De Rosa, A. Piva, "Image forgery localization via fine-grained analysis of CFA artifacts", IEEE
TIFS 7 (2012). Only pictures at the sensor's own size show it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.types import FloatImage

_LEAST_VARIANCE = 0.05


def green_phase(rgb: npt.NDArray[np.uint8], cell: int = 16) -> FloatImage:
    """Compare the residuals of green on both diagonals of the filter.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    cell : int
        Pixels a side, even.

    Returns
    -------
    (h, w) float32 array
        Natural logarithm of the variance where row + col is even over that where it is odd: near 0
        without a filter's traces, the same sign all over with one; ``nan`` where nothing varies.
    """
    green = rgb[..., 1].astype(np.float32)
    predicted = np.zeros_like(green)
    predicted[1:-1, 1:-1] = (
        green[:-2, 1:-1] + green[2:, 1:-1] + green[1:-1, :-2] + green[1:-1, 2:]
    ) / 4
    error = (green - predicted) ** 2
    error[[0, -1]] = 0
    error[:, [0, -1]] = 0
    height, width = (n // cell * cell for n in green.shape)
    error = error[:height, :width]
    rows, cols = np.ogrid[:height, :width]
    even = (rows + cols) % 2 == 0
    shape = height // cell, cell, width // cell, cell
    on_even = (error * even).reshape(shape).mean(axis=(1, 3))
    on_odd = (error * ~even).reshape(shape).mean(axis=(1, 3))
    phase = np.log((on_even + 1e-6) / (on_odd + 1e-6)).astype(np.float32)
    phase[on_even + on_odd < _LEAST_VARIANCE] = np.nan
    return phase
