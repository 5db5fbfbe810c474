"""How many coefficients are nearly zero in the block that begins at each pixel.

The transform is done at every pixel, not at every eighth: rows first, which the eight columns of a
block share, in the steps of Y. Arai, T. Agui, M. Nakajima, "A fast DCT-SQ scheme for images",
Transactions of the IEICE E71 (1988), whose outputs are the coefficients times constants. Blocks
with a coefficient so near the limit that rounding could decide are transformed again in double
precision: what is counted hangs on no processor and no number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct

from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.types import FloatImage

_N = BLOCK * BLOCK
_ZERO_BELOW = float(np.float32(0.499))  # not one half: coefficients of grey pixels are
_UNSURE = 1e-3  # more than three times what rounding did to any coefficient of noise
_MIDDLE = np.float32(128)  # of the pixels: the less they are, the less is rounded
_PART = 2**15  # pixels at once: all of their planes stay in a processor's cache
_AGAIN = 2**15  # blocks at once in double precision
_HALF, _SIXTH = np.float32(np.cos(np.pi / 4)), np.float32(np.sin(np.pi / 8))
_LESS, _MORE = (
    np.float32(np.cos(np.pi / 8) - np.sin(np.pi / 8)),
    np.float32(np.cos(np.pi / 8) + np.sin(np.pi / 8)),
)
Plane = npt.NDArray[np.float32]


def block_zeros(luminance: FloatImage) -> npt.NDArray[np.uint8]:
    """Count AC coefficients that are nearly zero.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
        At least 8 pixels a side.

    Returns
    -------
    (H - 7, W - 7) uint8 array
        Of the block that begins at each pixel, 0 to 62; 0 for blocks where nothing varies at all.
    """
    height, width = luminance.shape[0] - BLOCK + 1, luminance.shape[1]
    centred = np.ascontiguousarray(luminance - _MIDDLE, np.float32)
    zeros = np.empty((height, width - BLOCK + 1), np.uint8)
    step = max(1, _PART // width)
    for top in range(0, height, step):
        rows = slice(top, min(height, top + step))
        least, most = _counted(centred[top : rows.stop + BLOCK - 1])
        unsure = (least != most).nonzero()
        seen = sliding_window_view(centred[top : rows.stop + BLOCK - 1], (BLOCK, BLOCK))
        for first in range(0, len(unsure[0]), _AGAIN):
            at = tuple(axis[first : first + _AGAIN] for axis in unsure)
            least[at] = _counted_exactly(seen[at])
        zeros[rows] = least
    zeros[zeros == _N - 1] = 0  # a constant block lies on every grid
    return zeros


def _counted(pixels: Plane) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Coefficients that are surely, and that may be, below the limit, for each block."""
    height, width = pixels.shape[0] - BLOCK + 1, pixels.shape[1]
    # rows lie one after the other: what begins in the last columns runs into the next one, and is
    # cut off in the end
    count = height * width
    flat = pixels.reshape(-1)
    least, most = np.zeros((2, count), np.uint8)
    small = np.empty(count - BLOCK + 1, bool)
    down = _transformed([flat[k * width : k * width + count] for k in range(BLOCK)])
    inner = count - BLOCK + 1
    for row, plane in enumerate(down):
        across = _transformed([plane[k : k + inner] for k in range(BLOCK)])
        for col, values in enumerate(across):
            if row == col == 0:
                continue
            np.abs(values, out=values)
            for limit, counts in zip(_LIMITS[row, col], (least, most), strict=True):
                np.less(values, limit, out=small)
                np.add(counts[:inner], small.view(np.uint8), out=counts[:inner])
    shape = height, width
    return tuple(n.reshape(shape)[:, : width - BLOCK + 1] for n in (least, most))


def _transformed(x: Sequence[Plane]) -> list[Plane]:
    """Eight samples to their eight frequencies, each times a constant."""
    near = [x[k] + x[7 - k] for k in range(4)]
    far = [x[k] - x[7 - k] for k in range(4)]
    outer, inner = near[0] + near[3], near[1] + near[2]
    bent, turned = near[0] - near[3], near[1] - near[2]
    turned += bent
    turned *= _HALF
    steep, middle, gentle = far[3] + far[2], far[2] + far[1], far[1] + far[0]
    shared = (steep - gentle) * _SIXTH
    steep *= _LESS
    steep += shared
    gentle *= _MORE
    gentle += shared
    middle *= _HALF
    high, low = far[0] - middle, far[0] + middle
    return [
        outer + inner, low + gentle, bent + turned, high - steep,
        outer - inner, high + steep, bent - turned, low - gentle,
    ]  # fmt: skip


def _counted_exactly(blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Coefficients below the limit in some (n, 8, 8) blocks, by the transform as it is defined."""
    found = blocks.reshape(-1, _N).astype(np.float64) @ _TRANSFORM
    return np.count_nonzero(np.abs(found) < _ZERO_BELOW, axis=1)


def _limits() -> npt.NDArray[np.float32]:
    """(8, 8, 2): the limit, less and more what is unsure, times the constants of `_transformed`."""
    waves = _transformed(list(np.eye(BLOCK, dtype=np.float32)))
    # waves have length 1
    constants = np.array([np.dot(*pair) for pair in zip(waves, _ONE_WAY, strict=True)])
    limits = np.array([_ZERO_BELOW - _UNSURE, _ZERO_BELOW + _UNSURE])
    return np.asarray(np.outer(constants, constants)[..., None] * limits, np.float32)


_ONE_WAY = dct(np.eye(BLOCK), axis=0, norm="ortho")
_TRANSFORM = np.kron(_ONE_WAY, _ONE_WAY).T[:, 1:].copy()
"""(64, 63): pixels of a block to all its coefficients but the mean."""
_LIMITS = _limits()
