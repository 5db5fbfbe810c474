"""Whether two regions show the same pixels, or only things that look alike.

A keypoint describes shapes; windows of one facade have the same. The pixels themselves are compared
after the map: zero-mean normalised cross-correlation in small windows, and the correlation of what
a median filter takes away, where two photographs of like things differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    binary_closing,
    binary_dilation,
    binary_opening,
    label,
    map_coordinates,
    median_filter,
    uniform_filter,
)
from scipy.spatial import ConvexHull, QhullError
from skimage.draw import polygon2mask

from napari_safire.forensics.copy_move.geometry import Affine, Move, moved
from napari_safire.types import FloatImage

_WINDOW = 9
_LEAST_VARIANCE = 4.0  # grey levels squared: below, windows hold hardly more than rounding
_SAME = 0.95
_GROWN_FROM = 0.8
_LEAST_HELD = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the pixels of two regions agree.

    Parameters
    ----------
    n_matches : int
    area : float
        Pixels of the region that was grown.
    same : float
        Share of the matches' hull whose windows correlate above .95.
    correlation : float
        Mean of the windows' correlation in the hull.
    residual_correlation : float
        Correlation of high-pass residuals in the hull.
    difference : float
        Mean absolute difference in the hull, in grey levels, after gain and offset.
    density : float
        Matches for each 1,000 pixels of the hull.
    """

    n_matches: int
    area: float
    same: float
    correlation: float
    residual_correlation: float
    difference: float
    density: float


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """A move with the regions that show the same.

    Parameters
    ----------
    move : Move
    agreement : Agreement
    starts, ends : (H, W) bool array
        Both regions, in pixels of the picture that was compared.
    """

    move: Move
    agreement: Agreement
    starts: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.bool_]


def verify(luminance: FloatImage, residual: FloatImage, move: Move) -> Verified:
    """Compare the pixels of both ends of a move.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    residual : (H, W) float32 array
        From `high_pass`.
    move : Move
        In pixels of this array.

    Returns
    -------
    Verified
    """
    other, inside = _warped(luminance, move.affine)
    zncc, difference = _correlations(luminance, other)
    zncc[~inside] = -1
    region, held = _grown(zncc, move.starts)
    if held.sum() >= _LEAST_HELD:  # the others are chance agreements somewhere else
        move = Move(move.affine, move.starts[held], move.ends[held])
    hull = _hull(move.starts, luminance.shape) & inside
    if not hull.any():
        hull = _discs(move.starts, luminance.shape) & inside
    other_residual, _ = _warped(residual, move.affine)
    agreement = _agreement(move, hull, region, zncc, difference, residual, other_residual)
    return Verified(move, agreement, region, _pushed(region, move))


def high_pass(luminance: FloatImage) -> FloatImage:
    """What a median filter of 3 x 3 takes away: noise and fine traces, little of the shapes."""
    residual: FloatImage = luminance - median_filter(luminance, 3)
    return residual


def _warped(image: FloatImage, affine: Affine) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """For each pixel, what lies where the map sends it; and whether that is in the picture."""
    height, width = image.shape
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    to_row = affine[0, 0] * rows + affine[0, 1] * cols + affine[0, 2]
    to_col = affine[1, 0] * rows + affine[1, 1] * cols + affine[1, 2]
    inside = (to_row >= 0) & (to_row <= height - 1) & (to_col >= 0) & (to_col <= width - 1)
    values = map_coordinates(image, [to_row, to_col], order=1, mode="nearest", output=np.float32)
    return values, inside


def _correlations(first: FloatImage, second: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Windows' correlation, and absolute difference once both have the same mean."""
    mean_a, mean_b = uniform_filter(first, _WINDOW), uniform_filter(second, _WINDOW)
    a, b = first - mean_a, second - mean_b
    var_a, var_b = uniform_filter(a * a, _WINDOW), uniform_filter(b * b, _WINDOW)
    zncc = uniform_filter(a * b, _WINDOW) / np.sqrt(
        np.maximum(var_a, _LEAST_VARIANCE) * np.maximum(var_b, _LEAST_VARIANCE)
    )
    return zncc.astype(np.float32), np.abs(a - b)


def _hull(places: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    try:
        corners = places[ConvexHull(places).vertices]
    except QhullError:  # on one line
        return np.zeros(shape, bool)
    return np.asarray(polygon2mask(shape, corners), bool)


def _discs(places: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, np.float32)
    rows, cols = _indices(places, shape)
    mask[rows, cols] = 1
    return uniform_filter(mask, 2 * _WINDOW + 1) > 0


def _indices(
    places: npt.NDArray[np.float64], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    at = np.rint(places).astype(np.int64)
    return np.clip(at[:, 0], 0, shape[0] - 1), np.clip(at[:, 1], 0, shape[1] - 1)


def _grown(
    zncc: FloatImage, starts: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The connected places that correlate and hold most matches, and which matches these are."""
    alike = binary_opening(zncc > _GROWN_FROM, iterations=2)
    alike = binary_closing(alike, iterations=3)
    # matches lie on edges of regions as well: they belong to what is near
    numbers, _ = label(binary_dilation(alike, iterations=_WINDOW // 2))
    at = numbers[_indices(starts, zncc.shape)]
    counts = np.bincount(at)
    counts[0] = 0
    if not counts.any():
        return np.zeros(zncc.shape, bool), np.zeros(len(starts), bool)
    most = int(counts.argmax())
    return alike & (numbers == most), at == most


def _agreement(
    move: Move,
    hull: npt.NDArray[np.bool_],
    region: npt.NDArray[np.bool_],
    zncc: FloatImage,
    difference: FloatImage,
    residual: FloatImage,
    other_residual: FloatImage,
) -> Agreement:
    if not hull.any():  # both ends at the very edge
        return Agreement(len(move), float(region.sum()), 0.0, 0.0, 0.0, 255.0, 0.0)
    a, b = residual[hull], other_residual[hull]
    spread = float(a.std() * b.std())
    together = float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread > 1e-6 else 0.0
    values = zncc[hull]
    return Agreement(
        n_matches=len(move),
        area=float(region.sum()),
        same=float((values > _SAME).mean()),
        correlation=float(values.mean()),
        residual_correlation=together,
        difference=float(difference[hull].mean()),
        density=1000 * len(move) / float(hull.sum()),
    )


def _pushed(region: npt.NDArray[np.bool_], move: Move) -> npt.NDArray[np.bool_]:
    """Where the map sends a region."""
    height, width = region.shape
    rows, cols = np.mgrid[:height, :width]
    back = moved(move.inverse(), np.stack([rows, cols], axis=-1).reshape(-1, 2))
    at = np.rint(back).astype(np.int64)
    inside = (at[:, 0] >= 0) & (at[:, 0] < height) & (at[:, 1] >= 0) & (at[:, 1] < width)
    sent = np.zeros(height * width, bool)
    sent[inside] = region[at[inside, 0], at[inside, 1]]
    return sent.reshape(height, width)
