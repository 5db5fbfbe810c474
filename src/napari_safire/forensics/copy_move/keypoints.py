"""Keypoints of a picture and pairs of them that look alike.

SIFT with a very low threshold of contrast, evenly over the picture, and the generalised
second-neighbour test, which finds several copies of one region (I. Amerini et al., "A SIFT-based
forensic method for copy-move attack detection and transformation recovery", IEEE TIFS 6 (2011)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_safire.forensics.copy_move.descriptors import describe, orientations
from napari_safire.forensics.copy_move.scale_space import (
    Extrema,
    find_extrema,
    octaves,
    sigma_of,
)
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

_MOST_PIXELS = 3_200_000  # that are searched; smaller pictures are enlarged, twofold at most
_MOST_KEYPOINTS = 6_000  # all pairs are compared
_LEAST_CONTRAST = 0.15  # grey levels: noise of smooth places, which a copy takes along
_CELL = 24.0  # pixels: keypoints are chosen evenly over such cells
_RATIO = 0.6  # of the distance to the next neighbour
_LEAST_COSINE = 1 - _RATIO**2  # farther ones cannot be nearer than a ratio of the most, sqrt(2)
_NEIGHBOURS = 6
_LEAST_KEYPOINTS = 3  # fewer have no second neighbour
_LEAST_DISTANCE = 16.0  # pixels: nearer ones are one structure
_CHUNK = 512
_GROUP = 16  # columns of a group
_MOST_ASKED = 300
_RESEMBLES = 0.9  # cosine of descriptors


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
    """

    places: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]
    angles: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]

    def resembling(self, affine: npt.NDArray[np.float64], which: npt.NDArray[np.bool_]) -> float:
        """Share of keypoints that look like a third place, beside the one a map sends them to.

        Parameters
        ----------
        affine : (2, 3) float array
        which : (N,) bool array
            The keypoints that are asked.

        Returns
        -------
        float
            0 if there are none.
        """
        chosen = np.nonzero(which)[0]
        chosen = chosen[:: max(1, len(chosen) // _MOST_ASKED)]
        if not len(chosen):
            return 0.0
        cosines = self.descriptors[chosen] @ self.descriptors.T
        here = self.places[chosen]
        sent = here @ affine[:, :2].T + affine[:, 2]
        tree = cKDTree(self.places)
        for places in (here, sent):
            near = tree.query_ball_point(places, _LEAST_DISTANCE)
            rows = np.repeat(np.arange(len(near)), [len(numbers) for numbers in near])
            cosines[rows, np.concatenate(near).astype(int)] = -1
        return float((cosines.max(axis=1) > _RESEMBLES).mean())


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


def find_keypoints(
    image: FloatImage, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Keypoints:
    """Find keypoints, as many in smooth places as elsewhere, and describe their surroundings.

    Parameters
    ----------
    image : (H, W) float32 array in 0 .. 255
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between parts.

    Returns
    -------
    Keypoints
        None for pictures where nothing varies.

    Raises
    ------
    Cancelled
    """
    report(progress, cancel, 0, 3, "finding keypoints")
    zoom = float(np.clip(np.sqrt(_MOST_PIXELS / image.size), 1, 2))
    pyramid = octaves(image, zoom=zoom)
    found = find_extrema(pyramid, _LEAST_CONTRAST)
    report(progress, cancel, 1, 3, "choosing keypoints")
    steps = np.array([octave.step for octave in pyramid])
    found = found.take(_evenly(found, steps))
    numbers, angles = orientations(pyramid, found)
    found = found.take(numbers)
    report(progress, cancel, 2, 3, "describing keypoints")
    step = steps[found.octave] if len(found) else np.empty(0)
    places = np.stack([found.rows, found.cols], axis=-1).astype(np.float64) * step[:, None]
    sizes = np.asarray(sigma_of(found.levels) * step, np.float64)
    return Keypoints(places, sizes, angles, describe(pyramid, found, angles))


def _evenly(found: Extrema, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The strongest of each cell, then the second of each, until there are enough."""
    if not len(found):
        return np.empty(0, np.int64)
    at = np.stack([found.rows, found.cols], axis=-1) * steps[found.octave][:, None] // _CELL
    cell = (at[:, 0] * 100_000 + at[:, 1]).astype(np.int64)
    order = np.lexsort((-found.contrast, cell))
    begins = np.r_[True, np.diff(cell[order]) > 0]
    rank = np.arange(len(order)) - np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    chosen = np.lexsort((-found.contrast[order], rank))[:_MOST_KEYPOINTS]
    return np.sort(order[chosen])


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
    if count < _LEAST_KEYPOINTS:
        nothing = np.empty((0, 2))
        return Matches(nothing, nothing, nothing[:, 0], nothing[:, 0])
    pairs: set[tuple[int, int]] = set()
    # several keypoints of one structure (turned ones, two scales) are no neighbours of each other
    near = cKDTree(found.places).query_pairs(_LEAST_DISTANCE, output_type="ndarray")
    near = np.concatenate([near, near[:, ::-1], np.repeat(np.arange(count)[:, None], 2, axis=1)])
    for start in range(0, count, _CHUNK):
        report(progress, cancel, start, count, "matching keypoints")
        part = slice(start, min(start + _CHUNK, count))
        pairs |= _pairs_of(found, part, near[(near[:, 0] >= start) & (near[:, 0] < part.stop)])
    numbers = np.array(sorted(pairs), int).reshape(-1, 2)
    first, second = numbers[:, 0], numbers[:, 1]
    return Matches(
        found.places[first],
        found.places[second],
        found.angles[second] - found.angles[first],
        found.sizes[second] / found.sizes[first],
    )


def _pairs_of(found: Keypoints, part: slice, near: npt.NDArray[np.int64]) -> set[tuple[int, int]]:
    """Pairs of the keypoints of one part with any other, lower number first; not with near ones."""
    neighbours = min(_NEIGHBOURS + 1, len(found.places))
    unused = np.zeros((-len(found.places) % _GROUP, found.descriptors.shape[1]), np.float32)
    cosines = found.descriptors[part] @ np.concatenate([found.descriptors, unused]).T
    cosines[near[:, 0] - part.start, near[:, 1]] = -1
    cosines[:, len(found.places) :] = -2
    able, nearest, values = _largest(cosines, neighbours)
    distances = np.sqrt(np.maximum(2 - 2 * values, 1e-9))
    last = _last_step(distances)
    taken = np.arange(neighbours - 1) <= last[:, None]
    rows, ranks = np.nonzero(taken)
    ends = nearest[rows, ranks]
    return {
        (min(a, b), max(a, b))
        for a, b in zip((able[rows] + part.start).tolist(), ends.tolist(), strict=True)
    }


def _largest(
    cosines: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Find rows with a cosine that is large enough, and columns and values of their largest ones.

    Columns are taken in groups first: the largest lie in the groups with the largest members, and
    groups are fewer to sort.
    """
    n_groups = cosines.shape[1] // _GROUP
    tops = cosines.reshape(-1, _GROUP, n_groups).max(axis=1)  # column n is in group n % n_groups
    able = np.nonzero(tops.max(axis=1) > _LEAST_COSINE)[0]
    groups = _last(tops[able], min(count, n_groups))
    members = np.arange(_GROUP) * n_groups
    columns = (groups[:, :, None] + members).reshape(len(able), groups.shape[1] * _GROUP)
    values = cosines[able[:, None], columns]
    chosen = _last(values, count)
    columns, values = (np.take_along_axis(array, chosen, axis=1) for array in (columns, values))
    order = np.argsort(-values, axis=1, kind="stable")
    columns, values = (np.take_along_axis(array, order, axis=1) for array in (columns, values))
    return able, columns, values


def _last(values: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Columns of the largest values of each row, in no order."""
    return np.argpartition(values, -count, axis=1)[:, -count:]


def _last_step(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rank of the last neighbour before the first large step; -1 where there is none."""
    large = distances[:, :-1] < _RATIO * distances[:, 1:]
    return np.where(large.any(axis=1), large.argmax(axis=1), -1)
