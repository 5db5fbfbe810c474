"""Keypoints of a picture and pairs of them that look alike.

SIFT (D. Lowe 2004) by scikit-image, compared as RootSIFT (R. Arandjelovic, A. Zisserman 2012), with
the generalised second-neighbour test, which finds several copies of one region (I. Amerini et al.,
"A SIFT-based forensic method for copy-move attack detection", IEEE TIFS 6 (2011)). scikit-image's
SIFT is slower than OpenCV's, but what is found must not depend on which of them is installed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from skimage.feature import SIFT
from skimage.transform import resize

from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

_UPSAMPLE_BELOW = 1_000_000  # pixels: small pictures have few keypoints otherwise
_MOST_PIXELS = 2_000_000  # larger pictures are made smaller: SIFT's cost grows with them
_MOST_KEYPOINTS = 8_000  # all pairs are compared
_C_DOG = 0.004  # contrast of a keypoint: smooth places have weak ones
_RATIO = 0.6  # of the distance to the next neighbour
_NEIGHBOURS = 6
_LEAST_DISTANCE = 16.0  # pixels of the compared picture: nearer ones are one structure
_CHUNK = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Places with their surroundings.

    Parameters
    ----------
    places : (N, 2) float array
        Row and column in pixels of the picture.
    sizes : (N,) float array
        Scale, in pixels of the picture.
    angles : (N,) float array
        Radians.
    descriptors : (N, 128) float32 array
        Of length one; their product is the cosine.
    scale : float
        Pixels of the picture for one of the picture that was searched.
    """

    places: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]
    angles: npt.NDArray[np.float64]
    descriptors: npt.NDArray[np.float32]
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Pairs of keypoints that look alike; each pair stands once.

    Parameters
    ----------
    starts, ends : (N, 2) float array
        Row and column.
    turns : (N,) float array
        Radians by which the end is turned against the start.
    ratios : (N,) float array
        Size of the end over that of the start.
    """

    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    turns: npt.NDArray[np.float64]
    ratios: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.starts)


def find_keypoints(luminance: FloatImage) -> Keypoints:
    """Find keypoints and describe their surroundings.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255

    Returns
    -------
    Keypoints
        The 8,000 largest at most; none for pictures where nothing varies.
    """
    height, width = luminance.shape
    scale = max(1.0, np.sqrt(height * width / _MOST_PIXELS))
    image = luminance / 255
    if scale > 1:
        size = round(height / scale), round(width / scale)
        image = resize(image, size, order=1, anti_aliasing=True)
    sift = SIFT(upsampling=2 if image.size < _UPSAMPLE_BELOW else 1, c_dog=_C_DOG)
    try:
        sift.detect_and_extract(image)
    except (RuntimeError, ValueError):  # "SIFT found no features": a wall, or a few pixels
        nothing = np.empty((0, 2))
        return Keypoints(nothing, nothing[:, 0], nothing[:, 0], np.empty((0, 128), np.float32), 1.0)
    sizes = np.asarray(sift.sigmas, np.float64)
    largest = np.argsort(-sizes, kind="stable")[:_MOST_KEYPOINTS]
    root = np.sqrt(np.asarray(sift.descriptors, np.float32)[largest])
    root /= np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-9)
    return Keypoints(
        np.asarray(sift.positions, np.float64)[largest] * scale,
        sizes[largest] * scale,
        np.asarray(sift.orientations, np.float64)[largest],
        root,
        scale,
    )


def match_keypoints(
    found: Keypoints, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Matches:
    """Pair keypoints whose surroundings look alike and that lie apart.

    Parameters
    ----------
    found : Keypoints
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between parts.

    Returns
    -------
    Matches

    Raises
    ------
    Cancelled
    """
    count = len(found.places)
    pairs: set[tuple[int, int]] = set()
    for start in range(0, count, _CHUNK):
        report(progress, cancel, start, count, "matching keypoints")
        pairs |= _pairs_of(found, slice(start, min(start + _CHUNK, count)))
    numbers = np.array(sorted(pairs), int).reshape(-1, 2)
    first, second = numbers[:, 0], numbers[:, 1]
    return Matches(
        found.places[first],
        found.places[second],
        found.angles[second] - found.angles[first],
        found.sizes[second] / found.sizes[first],
    )


def _pairs_of(found: Keypoints, part: slice) -> set[tuple[int, int]]:
    """Pairs of the keypoints of one part with any other, lower number first."""
    neighbours = min(_NEIGHBOURS + 1, len(found.places))
    if neighbours < 3:
        return set()
    cosines = found.descriptors[part] @ found.descriptors.T
    places = found.places / found.scale
    # several keypoints of one structure (turned ones, two scales) are no neighbours of each other
    near = cKDTree(places).query_ball_point(places[part], _LEAST_DISTANCE)
    rows = np.repeat(np.arange(len(near)), [len(numbers) for numbers in near])
    cosines[rows, np.concatenate(near).astype(int)] = -1
    nearest = np.argpartition(-cosines, neighbours - 1, axis=1)[:, :neighbours]
    values = np.take_along_axis(cosines, nearest, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    distances = np.sqrt(np.maximum(2 - 2 * values, 1e-9))
    last = _last_step(distances)
    taken = np.arange(neighbours - 1) <= last[:, None]
    rows, ranks = np.nonzero(taken)
    ends = nearest[rows, ranks]
    return {
        (min(a, b), max(a, b))
        for a, b in zip((rows + part.start).tolist(), ends.tolist(), strict=True)
    }


def _last_step(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rank of the last neighbour before the first large step; -1 where there is none."""
    large = distances[:, :-1] < _RATIO * distances[:, 1:]
    return np.where(large.any(axis=1), large.argmax(axis=1), -1)
