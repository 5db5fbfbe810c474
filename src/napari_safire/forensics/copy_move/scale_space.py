"""Places that stand out at some scale: extrema of differences of Gaussians.

D. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60 (2004), section 3.
Written here because smooth places need a contrast threshold so low that their keypoints must be
chosen evenly over the picture before they are described; libraries describe all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from napari_safire.types import FloatImage

_SCALES = 3  # for each doubling
_SIGMA = 1.6  # of an octave's first level, in its own pixels
_BLUR_OF_A_PICTURE = 0.5
_LEAST_SIDE = 24  # of the smallest octave
_BORDER = 5
_MOST_EDGE = 10.0  # ratio of curvatures: along an edge a place is not fixed


@dataclass(frozen=True, slots=True, eq=False)
class Octave:
    """Levels of one size.

    Parameters
    ----------
    levels : (6, h, w) float32 array
        Blurred more and more.
    step : float
        Pixels of the picture for one of this octave.
    """

    levels: FloatImage
    step: float


@dataclass(frozen=True, slots=True, eq=False)
class Extrema:
    """Where an octave's differences of Gaussians are larger or smaller than all around.

    Parameters
    ----------
    octave : (N,) int array
    rows, cols, levels : (N,) float32 array
        In pixels and levels of their octave.
    contrast : (N,) float32 array
        Grey levels.
    """

    octave: npt.NDArray[np.int64]
    rows: npt.NDArray[np.float32]
    cols: npt.NDArray[np.float32]
    levels: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: npt.NDArray[np.int64]) -> Extrema:
        """Those of some indices, in their order."""
        return Extrema(
            self.octave[chosen],
            self.rows[chosen],
            self.cols[chosen],
            self.levels[chosen],
            self.contrast[chosen],
        )


def sigma_of(levels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Blur of a level, in pixels of its octave."""
    return np.asarray(_SIGMA * 2 ** (levels / _SCALES), np.float32)


def octaves(luminance: FloatImage, *, zoom: float) -> list[Octave]:
    """Blur a picture more and more, halving it whenever the blur has doubled.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    zoom : float
        1 to 2: begin with the picture enlarged so much, for finer keypoints.

    Returns
    -------
    list of Octave
        From fine to coarse.
    """
    step = 1 / zoom
    image = luminance
    if zoom > 1:
        for axis in (0, 1):
            image = _enlarged(image, zoom, axis)
    image = gaussian_filter(image, np.sqrt(max(_SIGMA**2 - (_BLUR_OF_A_PICTURE * zoom) ** 2, 0.01)))
    found = []
    while min(image.shape) >= _LEAST_SIDE:
        levels = [image]
        for number in range(1, _SCALES + 3):
            before, after = (_SIGMA * 2 ** (n / _SCALES) for n in (number - 1, number))
            levels.append(gaussian_filter(levels[-1], np.sqrt(after**2 - before**2), truncate=3.0))
        found.append(Octave(np.stack(levels), step))
        image, step = levels[_SCALES][::2, ::2], 2 * step
    return found


def _enlarged(image: FloatImage, zoom: float, axis: int) -> FloatImage:
    """Interpolate along an axis; pixel n comes to lie at zoom x n."""
    size = image.shape[axis]
    at = np.arange(int((size - 1) * zoom) + 1) / zoom
    before = np.minimum(at.astype(np.int64), size - 2)
    part = (at - before).astype(np.float32)
    part = part[:, None] if axis == 0 else part
    first, second = np.take(image, before, axis), np.take(image, before + 1, axis)
    return np.asarray(first + part * (second - first), np.float32)


def find_extrema(pyramid: list[Octave], least_contrast: float) -> Extrema:
    """Find places that stand out, to a fraction of a pixel and level.

    Parameters
    ----------
    pyramid : list of Octave
    least_contrast : float
        Grey levels of the difference of Gaussians.

    Returns
    -------
    Extrema
    """
    parts = [_of_octave(octave.levels, least_contrast) for octave in pyramid]
    return Extrema(
        np.concatenate([np.full(len(part[0]), n, np.int64) for n, part in enumerate(parts)]),
        *(np.concatenate([part[i] for part in parts]).astype(np.float32) for i in range(4)),
    )


def _of_octave(levels: FloatImage, least_contrast: float) -> tuple[npt.NDArray[np.floating], ...]:
    differences = np.diff(levels, axis=0)
    found = []
    ranges = [_around(level) for level in differences[:2]]
    for at in range(1, len(differences) - 1):
        ranges = [*ranges[-2:], _around(differences[at + 1])]
        middle = differences[at, 1:-1, 1:-1]
        high = np.maximum(np.maximum(ranges[0][0], ranges[1][0]), ranges[2][0])
        low = np.minimum(np.minimum(ranges[0][1], ranges[1][1]), ranges[2][1])
        most = (middle >= high) & (middle > 0.5 * least_contrast)
        most |= (middle <= low) & (middle < -0.5 * least_contrast)
        inner = most[_BORDER:-_BORDER, _BORDER:-_BORDER]
        rows, cols = np.nonzero(inner)
        found.append((np.full(len(rows), at), rows + _BORDER + 1, cols + _BORDER + 1))
    places = [np.concatenate([part[axis] for part in found]) for axis in range(3)]
    return _refined(differences, places[0], places[1], places[2], least_contrast)


def _around(level: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Largest and smallest of each pixel and its eight neighbours, without the outermost pixels."""
    result = []
    for choose in (np.maximum, np.minimum):
        down = choose(choose(level[:-2], level[1:-1]), level[2:])
        result.append(choose(choose(down[:, :-2], down[:, 1:-1]), down[:, 2:]))
    return result[0], result[1]


def _refined(
    d: FloatImage,
    s: npt.NDArray[np.int64],
    r: npt.NDArray[np.int64],
    c: npt.NDArray[np.int64],
    least_contrast: float,
) -> tuple[npt.NDArray[np.floating], ...]:
    """Fit a quadratic around each extremum; leave out weak ones and those along edges."""
    value = d[s, r, c].astype(np.float64)
    slope = np.stack(
        [
            d[s + 1, r, c] - d[s - 1, r, c],
            d[s, r + 1, c] - d[s, r - 1, c],
            d[s, r, c + 1] - d[s, r, c - 1],
        ],
        axis=-1,
    ) / np.float64(2)
    ss = d[s + 1, r, c] + d[s - 1, r, c] - 2 * value
    rr = d[s, r + 1, c] + d[s, r - 1, c] - 2 * value
    cc = d[s, r, c + 1] + d[s, r, c - 1] - 2 * value
    sr = (d[s + 1, r + 1, c] - d[s + 1, r - 1, c] - d[s - 1, r + 1, c] + d[s - 1, r - 1, c]) / 4
    sc = (d[s + 1, r, c + 1] - d[s + 1, r, c - 1] - d[s - 1, r, c + 1] + d[s - 1, r, c - 1]) / 4
    rc = (d[s, r + 1, c + 1] - d[s, r + 1, c - 1] - d[s, r - 1, c + 1] + d[s, r - 1, c - 1]) / 4
    curvature = np.stack([ss, sr, sc, sr, rr, rc, sc, rc, cc], axis=-1).reshape(-1, 3, 3)
    curvature = curvature + 1e-9 * np.eye(3) * np.sign(ss)[:, None, None]
    offset = -np.linalg.solve(curvature, slope[..., None])[..., 0] if len(s) else slope
    offset = np.clip(offset, -0.6, 0.6)
    contrast = value + 0.5 * (slope * offset).sum(axis=-1)
    trace, determinant = rr + cc, rr * cc - rc * rc
    good = (
        (np.abs(contrast) >= least_contrast)
        & (determinant > 0)
        & (trace**2 * _MOST_EDGE < (_MOST_EDGE + 1) ** 2 * determinant)
    )
    return (
        (r + offset[:, 1])[good],
        (c + offset[:, 2])[good],
        (s + offset[:, 0])[good],
        np.abs(contrast)[good],
    )
