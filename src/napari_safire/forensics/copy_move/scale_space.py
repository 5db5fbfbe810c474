"""Places that stand out at some scale: extrema of differences of Gaussians.

D. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60 (2004), section 3.
Written here because smooth places need a contrast threshold so low that their keypoints must be
chosen evenly over the picture before they are described; libraries describe all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter1d, minimum_filter1d

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


def octaves(luminance: FloatImage, *, doubled: bool) -> list[Octave]:
    """Blur a picture more and more, halving it whenever the blur has doubled.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    doubled : bool
        Begin with the picture at twice its size, for finer keypoints.

    Returns
    -------
    list of Octave
        From fine to coarse.
    """
    image, step = (_twice(luminance), 0.5) if doubled else (luminance, 1.0)
    blur = _BLUR_OF_A_PICTURE / step
    image = gaussian_filter(image, np.sqrt(max(_SIGMA**2 - blur**2, 0.01)))
    found = []
    while min(image.shape) >= _LEAST_SIDE:
        levels = [image]
        for number in range(1, _SCALES + 3):
            before, after = (_SIGMA * 2 ** (n / _SCALES) for n in (number - 1, number))
            levels.append(gaussian_filter(levels[-1], np.sqrt(after**2 - before**2), truncate=3.5))
        found.append(Octave(np.stack(levels), step))
        image, step = levels[_SCALES][::2, ::2], 2 * step
    return found


def _twice(image: FloatImage) -> FloatImage:
    """Twice the size by linear interpolation; pixel (r, c) stays at (2 r, 2 c)."""
    height, width = image.shape
    large = np.empty((2 * height - 1, 2 * width - 1), np.float32)
    large[::2, ::2] = image
    large[1::2, ::2] = (image[1:] + image[:-1]) / 2
    large[:, 1::2] = (large[:, :-1:2] + large[:, 2::2]) / 2
    return large


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
    parts = [_of_octave(n, octave.levels, least_contrast) for n, octave in enumerate(pyramid)]
    return Extrema(
        np.concatenate([np.full(len(part[0]), n, np.int64) for n, part in enumerate(parts)]),
        *(np.concatenate([part[i] for part in parts]).astype(np.float32) for i in range(4)),
    )


def _of_octave(
    number: int, levels: FloatImage, least_contrast: float
) -> tuple[npt.NDArray[np.floating], ...]:
    differences = np.diff(levels, axis=0)
    most, least = differences, differences
    for axis in (1, 2):
        most = maximum_filter1d(most, 3, axis=axis)
        least = minimum_filter1d(least, 3, axis=axis)
    middle = differences[1:-1]
    high = np.maximum(np.maximum(most[:-2], most[2:]), most[1:-1])
    low = np.minimum(np.minimum(least[:-2], least[2:]), least[1:-1])
    stands_out = ((middle >= high) & (middle > 0.5 * least_contrast)) | (
        (middle <= low) & (middle < -0.5 * least_contrast)
    )
    inner = np.zeros(stands_out.shape[1:], bool)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    at = np.nonzero(stands_out & inner)
    return _refined(differences, at[0] + 1, at[1], at[2], least_contrast)


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
