"""What surrounds a keypoint: orientation and RootSIFT descriptor.

D. Lowe, IJCV 60 (2004), sections 5 and 6; R. Arandjelovic and A. Zisserman, "Three things everyone
should know to improve object retrieval", CVPR 2012. Each window is sampled at one set of places,
turned and scaled, so that all keypoints of a level are described by a few matrix products.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.copy_move.scale_space import Extrema, Octave, sigma_of
from napari_safire.types import FloatImage

_BINS = 36
_SECOND_PEAK = 0.8  # of the highest: such keypoints are described twice
_CELLS, _ANGLES = 4, 8
_SAMPLES = 20  # a side of the window, which is five cells wide
_CELL = 3.0  # sigmas
_MOST_OF_ONE = 0.2
_CHUNK = 1024

Float = npt.NDArray[np.float32]


def orientations(
    pyramid: list[Octave], found: Extrema
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Main directions of the gradients around keypoints.

    Parameters
    ----------
    pyramid : list of Octave
    found : Extrema

    Returns
    -------
    numbers : (M,) int array
        Which keypoint; those with two directions stand twice.
    angles : (M,) float32 array
        Radians from columns to rows.
    """
    steps = np.linspace(-4.5, 4.5, 13, dtype=np.float32)
    across, along = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    disc = np.hypot(across, along) <= 4.5
    across, along = across[disc], along[disc]
    weights = np.exp(-(across**2 + along**2) / (2 * 1.5**2)).astype(np.float32)
    histograms = np.zeros((len(found), _BINS), np.float32)
    for part, levels in _groups(pyramid, found):
        sigma = sigma_of(found.levels[part])[:, None]
        size, angle = _gradients(
            levels, found.rows[part, None] + sigma * across, found.cols[part, None] + sigma * along
        )
        bins = np.rint(angle * (_BINS / (2 * np.pi))).astype(np.int64) % _BINS
        flat = (np.arange(len(part))[:, None] * _BINS + bins).ravel()
        counted = np.bincount(flat, (size * weights).ravel(), len(part) * _BINS)
        histograms[part] = counted.reshape(-1, _BINS)
    smooth: Float = histograms
    for _ in range(4):
        around = np.roll(smooth, 1, 1) + smooth + np.roll(smooth, -1, 1)
        smooth = (around / 3).astype(np.float32)
    return _peaks(smooth)


def _peaks(histograms: Float) -> tuple[npt.NDArray[np.int64], Float]:
    before, after = np.roll(histograms, 1, axis=1), np.roll(histograms, -1, axis=1)
    peak = (histograms > before) & (histograms >= after)
    peak &= histograms >= _SECOND_PEAK * histograms.max(axis=1, keepdims=True)
    numbers, bins = np.nonzero(peak)
    left, middle, right = before[numbers, bins], histograms[numbers, bins], after[numbers, bins]
    offset = 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-12)
    return numbers, ((bins + offset) * (2 * np.pi / _BINS)).astype(np.float32)


def describe(
    pyramid: list[Octave], found: Extrema, angles: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Describe the surroundings of keypoints.

    Parameters
    ----------
    pyramid : list of Octave
    found : Extrema
    angles : (N,) float32 array
        From `orientations`.

    Returns
    -------
    (N, 128) float32 array
        Square roots of the shares of gradients by place and direction; of length one.
    """
    half = (_CELLS + 1) / 2
    steps = ((np.arange(_SAMPLES) + 0.5) / _SAMPLES * 2 - 1).astype(np.float32) * np.float32(half)
    across, along = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    centres = np.arange(_CELLS) - (_CELLS - 1) / 2
    near_row = np.maximum(0, 1 - np.abs(across[:, None] - centres))
    near_col = np.maximum(0, 1 - np.abs(along[:, None] - centres))
    cells = (near_row[:, :, None] * near_col[:, None, :]).reshape(len(across), -1)
    cells *= np.exp(-(across**2 + along**2) / (2 * (_CELLS / 2) ** 2))[:, None]
    cells = cells.astype(np.float32)
    result = np.empty((len(found), _CELLS * _CELLS * _ANGLES), np.float32)
    for part, levels in _groups(pyramid, found):
        cell = _CELL * sigma_of(found.levels[part])[:, None]
        cosine, sine = np.cos(angles[part, None]), np.sin(angles[part, None])
        size, angle = _gradients(
            levels,
            found.rows[part, None] + cell * (across * cosine + along * sine),
            found.cols[part, None] + cell * (along * cosine - across * sine),
        )
        turned = (angle - angles[part, None]) * np.float32(_ANGLES / (2 * np.pi))
        by_angle = []
        for number in range(_ANGLES):
            off = turned - np.float32(number)
            off -= _ANGLES * np.rint(off / _ANGLES)
            by_angle.append((size * np.maximum(0, 1 - np.abs(off))) @ cells)
        result[part] = np.stack(by_angle, axis=-1).reshape(len(part), -1)
    return _rooted(result)


def _rooted(descriptors: Float) -> Float:
    for most in (_MOST_OF_ONE, np.inf):
        length = np.linalg.norm(descriptors, axis=1, keepdims=True)
        descriptors = np.minimum(descriptors / np.maximum(length, 1e-9), most)
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return np.sqrt(descriptors / total).astype(np.float32)


def _groups(
    pyramid: list[Octave], found: Extrema
) -> list[tuple[npt.NDArray[np.int64], FloatImage]]:
    """Keypoints that are described from one level, at most 1,024 at once."""
    groups = []
    nearest = np.clip(np.rint(found.levels).astype(int), 0, None)
    for number, octave in enumerate(pyramid):
        for level in range(len(octave.levels)):
            chosen = np.nonzero((found.octave == number) & (nearest == level))[0]
            groups += [
                (chosen[start : start + _CHUNK], octave.levels[level])
                for start in range(0, len(chosen), _CHUNK)
            ]
    return groups


def _gradients(level: FloatImage, rows: Float, cols: Float) -> tuple[Float, Float]:
    """Length and direction of the gradient at the nearest pixels."""
    height, width = level.shape
    at_row = np.clip(np.rint(rows).astype(np.int32), 1, height - 2)
    at_col = np.clip(np.rint(cols).astype(np.int32), 1, width - 2)
    flat = level.ravel()
    index = at_row * np.int32(width) + at_col
    down = flat[index + width] - flat[index - width]
    right = flat[index + 1] - flat[index - 1]
    return np.hypot(down, right), np.arctan2(down, right)
