"""Places that stand out at some scale: extrema of differences of Gaussians.

D. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60 (2004), section 3.
Written here because smooth places need a contrast threshold so low that their keypoints must be
chosen evenly over the picture before they are described; libraries describe all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d

from napari_safire.forensics.tiles import by_strips, of_each, strips
from napari_safire.types import FloatImage

_SCALES = 3  # for each doubling
_SIGMA = 1.6  # of an octave's first level, in its own pixels
_BLUR_OF_A_PICTURE = 0.5
_LEAST_SIDE = 24  # of the smallest octave
_BORDER = 5
_MOST_EDGE = 10.0  # ratio of curvatures: along an edge a place is not fixed
_CACHED = 32_768  # pixels that go through all steps together: they fit into a processor's cache
Numbers = npt.NDArray[np.int64]


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
    first = float(np.sqrt(max(_SIGMA**2 - (_BLUR_OF_A_PICTURE * zoom) ** 2, 0.01)))
    image = blurred(image, first, 4.0)
    found = []
    while min(image.shape) >= _LEAST_SIDE:
        levels = np.empty((_SCALES + 3, *image.shape), np.float32)
        levels[0] = image
        for number in range(1, _SCALES + 3):
            before, after = (_SIGMA * 2 ** (n / _SCALES) for n in (number - 1, number))
            blurred(levels[number - 1], float(np.sqrt(after**2 - before**2)), 3.0, levels[number])
        found.append(Octave(levels, step))
        image, step = levels[_SCALES][::2, ::2], 2 * step
    return found


def blurred(
    image: FloatImage, sigma: float, truncate: float, into: FloatImage | None = None
) -> FloatImage:
    """Blur a picture; what `scipy.ndimage.gaussian_filter` gives, in half its time.

    That goes down one column after the other, each far apart in memory. Here a few rows go through
    both directions together, while the processor's cache holds them.

    Parameters
    ----------
    image : (H, W) float32 array
        Of more rows and columns than the kernel reaches to one side.
    sigma : float
        Pixels.
    truncate : float
        The kernel reaches so many sigmas.
    into : (H, W) float32 array, optional
        Takes the result.

    Returns
    -------
    (H, W) float32 array
    """
    reach = int(truncate * sigma + 0.5)
    kernel = np.exp(-0.5 / sigma**2 * np.arange(-reach, reach + 1) ** 2)
    kernel = kernel / kernel.sum()
    shape = image.shape[0], image.shape[1]
    return by_strips(
        lambda rows: _blurred_rows(image[rows], kernel), shape, overlap=reach, into=into
    )


def _blurred_rows(image: FloatImage, kernel: npt.NDArray[np.float64]) -> FloatImage:
    height, width = image.shape
    reach = len(kernel) // 2
    result = np.empty(image.shape, np.float32)
    step = max(8, _CACHED // width)
    for top in range(0, height, step):
        end = min(top + step, height)
        rows = np.arange(top - reach, end + reach)
        rows = np.where(rows < 0, -1 - rows, rows)  # mirrored at the edges
        rows = np.where(rows >= height, 2 * height - 1 - rows, rows)
        near = image[rows].astype(np.float64)
        down = near[reach : reach + end - top] * kernel[reach]
        pair = np.empty_like(down)
        for off in range(reach, 0, -1):
            np.add(near[reach - off :][: end - top], near[reach + off :][: end - top], out=pair)
            pair *= kernel[reach - off]
            down += pair
        correlate1d(down.astype(np.float32), kernel, axis=1, output=result[top:end])
    return result


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
    height, width = levels.shape[1:]
    inner = height - 2 * _BORDER - 2, width - 2 * _BORDER - 2
    parts = strips(inner, pixels=_CACHED)
    found = of_each(lambda part: _outstanding(levels, part.rows, least_contrast), parts)
    by_level = [places for number in range(_SCALES) for places in (part[number] for part in found)]
    level, row, col = (np.concatenate([places[axis] for places in by_level]) for axis in range(3))
    return _refined(levels, level, row, col, least_contrast)


def _outstanding(
    levels: FloatImage, rows: slice, least_contrast: float
) -> list[tuple[Numbers, ...]]:
    """Level, row and column of extrema in some rows (counted from within the border), by level."""
    differences = np.diff(levels[:, rows.start + _BORDER : rows.stop + _BORDER + 2], axis=0)
    ranges = [_around(level) for level in differences]
    found: list[tuple[Numbers, ...]] = []
    for at in range(1, len(differences) - 1):
        middle = differences[at, 1:-1, 1:-1]
        before, here, after = ranges[at - 1 : at + 2]
        high = np.maximum(np.maximum(before[0], here[0]), after[0])
        low = np.minimum(np.minimum(before[1], here[1]), after[1])
        most = (middle >= high) & (middle > 0.5 * least_contrast)
        most |= (middle <= low) & (middle < -0.5 * least_contrast)
        row, col = np.nonzero(most[:, _BORDER:-_BORDER])
        first = rows.start + _BORDER + 1
        found.append((np.full(len(row), at), row + first, col + _BORDER + 1))
    return found


def _around(level: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Largest and smallest of each pixel and its eight neighbours, without the outermost pixels."""
    result = []
    for choose in (np.maximum, np.minimum):
        down = choose(choose(level[:-2], level[1:-1]), level[2:])
        result.append(choose(choose(down[:, :-2], down[:, 1:-1]), down[:, 2:]))
    return result[0], result[1]


def _refined(
    levels: FloatImage,
    s: Numbers,
    r: Numbers,
    c: Numbers,
    least_contrast: float,
) -> tuple[npt.NDArray[np.floating], ...]:
    """Fit a quadratic around each extremum; leave out weak ones and those along edges."""

    def d(s: Numbers, r: Numbers, c: Numbers) -> npt.NDArray[np.float32]:
        return np.asarray(levels[s + 1, r, c] - levels[s, r, c])

    value = d(s, r, c).astype(np.float64)
    slope = np.stack(
        [
            d(s + 1, r, c) - d(s - 1, r, c),
            d(s, r + 1, c) - d(s, r - 1, c),
            d(s, r, c + 1) - d(s, r, c - 1),
        ],
        axis=-1,
    ) / np.float64(2)
    ss = d(s + 1, r, c) + d(s - 1, r, c) - 2 * value
    rr = d(s, r + 1, c) + d(s, r - 1, c) - 2 * value
    cc = d(s, r, c + 1) + d(s, r, c - 1) - 2 * value
    sr = (d(s + 1, r + 1, c) - d(s + 1, r - 1, c) - d(s - 1, r + 1, c) + d(s - 1, r - 1, c)) / 4
    sc = (d(s + 1, r, c + 1) - d(s + 1, r, c - 1) - d(s - 1, r, c + 1) + d(s - 1, r, c - 1)) / 4
    rc = (d(s, r + 1, c + 1) - d(s, r + 1, c - 1) - d(s, r - 1, c + 1) + d(s, r - 1, c - 1)) / 4
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
