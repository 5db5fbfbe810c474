"""Moves made exact by the pixels, and moves of smooth places, which have no keypoints.

A keypoint's place is known to half a pixel; noise that was copied agrees only when both ends lie
on each other to a tenth (B. Lucas, T. Kanade, IJCAI 1981, with affine maps). Copies that were only
shifted show as sharp peaks of the autocorrelation of what is left when shapes are taken away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter, uniform_filter

from napari_safire.forensics.copy_move.geometry import Affine, moved
from napari_safire.types import FloatImage

_ITERATIONS = 6
_MOST_SAMPLES = 12_000
_LEAST_SAMPLES = 60
_MOST_STEP = 3.0  # pixels that a map may go in one iteration
_NEAREST = 16  # pixels: nearer shifts are one texture
LEAST_PEAK = 5.5
"""Standard deviations of the autocorrelation from which on a shift is looked at."""
_MOST_SHIFTS = 6


def aligned(image: FloatImage, affine: Affine, places: npt.NDArray[np.int64]) -> Affine:
    """Make an affine map more exact.

    Parameters
    ----------
    image : (H, W) float32 array
        Without slow changes of brightness.
    affine : (2, 3) float array
    places : (N, 2) int array
        Pixels that are compared with what lies where the map sends them.

    Returns
    -------
    (2, 3) float array
        The given one where no better one was found.
    """
    places = places[:: max(1, len(places) // _MOST_SAMPLES)]
    target = image[places[:, 0], places[:, 1]].astype(np.float64)
    at = places.astype(np.float64)
    best, most = affine, _agreement(image, affine, at, target)
    centre = at.mean(axis=0)
    design = np.column_stack([at - centre, np.ones(len(at))])
    current = affine
    for _ in range(_ITERATIONS):
        step = _step(image, current, at, target, design)
        if step is None:
            break
        moved_linear = current[:, :2] + step[:, :2]
        shift = current[:, 2] + step[:, 2] - step[:, :2] @ centre
        current = np.column_stack([moved_linear, shift])
        now = _agreement(image, current, at, target)
        if now > most:
            best, most = current, now
        elif now < most - 0.05:
            break
    return best


def _step(
    image: FloatImage,
    affine: Affine,
    at: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    design: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64] | None:
    """One Gauss-Newton step; places that disagree count less."""
    to = moved(affine, at)
    low, high = np.array([1.0, 1.0]), np.array(image.shape) - 2.0
    inside = ((to >= low) & (to <= high)).all(axis=1)
    if inside.sum() < _LEAST_SAMPLES:
        return None
    to, wanted, known = to[inside], target[inside], design[inside]

    def look(row: float, col: float) -> npt.NDArray[np.float64]:
        values = map_coordinates(image, [to[:, 0] + row, to[:, 1] + col], order=1)
        return np.asarray(values, np.float64)

    value = look(0, 0)
    gain = float(value @ wanted) / max(float(value @ value), 1e-9)
    if gain <= 0:
        return None
    off = wanted - gain * value
    down, right = gain * (look(0.5, 0) - look(-0.5, 0)), gain * (look(0, 0.5) - look(0, -0.5))
    weight = 1 / (1 + (off / (2 * np.median(np.abs(off)) + 0.05)) ** 2)
    jacobian = np.concatenate([known * down[:, None], known * right[:, None]], axis=1)
    normal = (jacobian * weight[:, None]).T @ jacobian
    normal[np.diag_indices(6)] *= 1 + 1e-4
    normal[np.diag_indices(6)] += 1e-9
    solution = np.linalg.solve(normal, (jacobian * weight[:, None]).T @ off).reshape(2, 3)
    size = float(np.abs(known @ solution.T).max())
    return np.asarray(solution * min(1.0, _MOST_STEP / max(size, 1e-9)))


def _agreement(
    image: FloatImage,
    affine: Affine,
    at: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
) -> float:
    to = moved(affine, at)
    value = map_coordinates(image, to.T, order=1, mode="nearest").astype(np.float64)
    spread = float(np.sqrt((value @ value) * (target @ target)))
    return float(value @ target) / spread if spread > 1e-9 else 0.0


def find_shifts(residual: FloatImage) -> list[tuple[npt.NDArray[np.float64], float]]:
    """Shifts by which much of a picture looks like itself.

    Parameters
    ----------
    residual : (H, W) float32 array
        Of about the same contrast everywhere.

    Returns
    -------
    list of ((2,) float array, float)
        Rows and columns, and height of the peak in standard deviations of the autocorrelation;
        highest first, 6 at most. Of a shift and its opposite one is given.
    """
    size = [next_fast_len(int(1.5 * n), real=True) for n in residual.shape]
    spectrum = rfft2(residual, size, workers=1)
    power = spectrum.real**2 + spectrum.imag**2
    together = irfft2(power, size, workers=1).astype(np.float32)
    height, width = (int(0.48 * n) for n in size)
    together = np.roll(together, width, axis=1)[:height, : 2 * width + 1]
    peaks = together - uniform_filter(together, 5)
    rows, cols = np.mgrid[:height, -width : width + 1]
    far = (np.hypot(rows, cols) > _NEAREST) & ~((rows == 0) & (cols < 0))
    spread = float(peaks[far].std())
    if spread == 0:
        return []
    # edges lie on themselves all along a line: a peak has to rise from its own surroundings
    peaks /= np.sqrt(uniform_filter(peaks * peaks, 41) + (0.5 * spread) ** 2)
    spread = float(peaks[far].std())
    tops = (peaks == maximum_filter(peaks, 5)) & far & (peaks > LEAST_PEAK * spread)
    at = np.nonzero(tops)
    order = np.argsort(-peaks[at], kind="stable")[:_MOST_SHIFTS]
    return [
        (np.array([at[0][n], at[1][n] - width], float), float(peaks[at][n] / spread))
        for n in order.tolist()
    ]


def evened(image: FloatImage, sigma: float = 1.0) -> FloatImage:
    """Take shapes away and bring what is left to about one contrast.

    Parameters
    ----------
    image : (H, W) float32 array in 0 .. 255
    sigma : float
        Pixels; what is broader is a shape.

    Returns
    -------
    (H, W) float32 array
    """
    fine = image - gaussian_filter(image, sigma)
    strength = np.sqrt(gaussian_filter(fine * fine, 4.0) + 0.1)
    return np.asarray(np.clip(fine / strength, -3, 3), np.float32)
