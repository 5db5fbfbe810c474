"""Where each pixel of a picture lies in another picture of the same scene.

A shift is found by phase correlation, anything else by keypoints (SIFT, D. Lowe 2004; RANSAC). Both
are found in small copies; then grey levels themselves are fitted at full size, with gain and offset
(G. Evangelidis, E. Psarakis, "Parametric image alignment using enhanced correlation coefficient
maximization", IEEE TPAMI 30 (2008), here by robust least squares, so that what was changed between
the pictures does not count).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter
from skimage.feature import SIFT, match_descriptors
from skimage.measure import ransac
from skimage.transform import AffineTransform, ProjectiveTransform

from napari_safire.forensics.picture import LUMINANCE, Picture
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

_SEARCHED = 600_000  # pixels of the small copies
_MOST_KEYPOINTS = 3000
_RATIO = 0.8
_TOLERANCE = 2.0  # pixels of the small copies
_LEAST_MATCHES = 12
_TRIALS = 1000
_PERSPECTIVE = 1.15  # times as many matches: else the map stays affine
_CERTAIN, _ENOUGH = 0.9, 0.5  # median correlation of windows
_LEAST_VARIANCE = 9.0
_TILES, _TILE = 12, 48  # a side; pixels
_BLURS = (4.0, 2.0, 1.0, 1.0, 1.0, 1.0)
_WHOLE = 0.02  # pixels: a shift this near to whole pixels, over all of the picture, is one

Matrix = npt.NDArray[np.float64]
"""(3, 3), of (row, column, 1): from the picture to the reference."""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where a picture lies in a reference.

    Parameters
    ----------
    matrix : (3, 3) float array
        (row, column, 1) of the picture to that of the reference, up to a factor.
    mirrored : bool
        The reference was mirrored, left to right, before.
    how : str
        "phase correlation", or "212 matches".
    """

    matrix: Matrix
    mirrored: bool
    how: str

    @property
    def whole_shift(self) -> tuple[int, int] | None:
        """Rows and columns, where the picture was only shifted by whole pixels; else None."""
        plain = np.eye(3)
        plain[:2, 2] = np.rint(self.matrix[:2, 2])
        if np.array_equal(plain, self.matrix):
            return int(plain[0, 2]), int(plain[1, 2])
        return None


def placed(matrix: Matrix, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply a matrix to (…, 2) rows and columns."""
    sent = places @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(sent[..., :2] / sent[..., 2:])


def register(
    picture: Picture,
    reference: Picture,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Registration | None:
    """Find where a picture lies in a reference.

    Parameters
    ----------
    picture, reference : Picture
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between steps.

    Returns
    -------
    Registration or None
        None where no part of the reference is in the picture, or none could be found.

    Raises
    ------
    Cancelled
    """
    largest = max(one.shape[0] * one.shape[1] for one in (picture, reference))
    zoom = max(1.0, (largest / _SEARCHED) ** 0.5)
    small, other = _smaller(picture, zoom), _smaller(reference, zoom)
    best: tuple[float, Matrix, bool, str] | None = None
    for number, (matrix, mirrored, how) in enumerate(_candidates(small, other)):
        report(progress, cancel, number, 8, "registering")
        sure = _agreement(small, other[:, ::-1] if mirrored else other, matrix)
        if best is None or sure > best[0]:
            best = sure, matrix, mirrored, how
        if best[0] >= _CERTAIN:
            break
    if best is None or best[0] < _ENOUGH:
        return None
    _, matrix, mirrored, how = best
    scaled = np.diag([zoom, zoom, 1.0])
    moved = np.eye(3)
    moved[:2, 2] = (zoom - 1) / 2  # centres of pixels of the small copies
    full = moved @ scaled @ matrix @ np.linalg.inv(moved @ scaled)
    looked_at = Picture(reference.rgb[:, ::-1]) if mirrored else reference
    for number, blur in enumerate(_BLURS):
        report(progress, cancel, 40 + 10 * number, 100, "registering")
        full = _refined(picture, looked_at, full, blur)
    return Registration(_rounded(full, picture.shape), mirrored, how)


def _smaller(picture: Picture, zoom: float) -> FloatImage:
    height, width = (max(1, round(n / zoom)) for n in picture.shape)
    image = Image.fromarray(picture.rgb).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image.convert("L"), np.float32)


def _candidates(small: FloatImage, other: FloatImage) -> Iterator[tuple[Matrix, bool, str]]:
    """Possible maps, cheapest first."""
    for mirrored in (False, True):
        yield _shift(small, other[:, ::-1] if mirrored else other), mirrored, "phase correlation"
    here = _keypoints(small)
    for mirrored in (False, True):
        there = _keypoints(other[:, ::-1] if mirrored else other)
        for matrix, matches in _maps(here, there):
            yield matrix, mirrored, f"{matches} matches"


def _shift(small: FloatImage, other: FloatImage) -> Matrix:
    """The strongest shift, by the phases of both spectra."""
    shape = tuple(max(a, b) * 2 for a, b in zip(small.shape, other.shape, strict=True))
    spectra = [rfft2(one - one.mean(), shape) for one in (other, small)]
    product = spectra[0] * np.conj(spectra[1])
    peaks = irfft2(product / np.maximum(np.abs(product), 1e-6), shape)
    peak = np.unravel_index(int(peaks.argmax()), shape)
    matrix = np.eye(3)
    matrix[:2, 2] = [at if at < n // 2 else at - n for at, n in zip(peak, shape, strict=True)]
    return matrix


def _keypoints(small: FloatImage) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    sift = SIFT(upsampling=1)
    try:
        sift.detect_and_extract(np.ascontiguousarray(small) / 255)
    except (RuntimeError, ValueError):  # no features: a wall, or a few pixels
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    largest = np.argsort(-np.asarray(sift.sigmas), kind="stable")[:_MOST_KEYPOINTS]
    root = np.sqrt(np.asarray(sift.descriptors, np.float32)[largest])
    return np.asarray(sift.positions, np.float64)[largest], root


def _maps(
    here: tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]],
    there: tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]],
) -> Iterator[tuple[Matrix, int]]:
    """The affine map that most matches follow; one with perspective if clearly more do."""
    if min(len(here[0]), len(there[0])) < _LEAST_MATCHES:
        return
    pairs = match_descriptors(here[1], there[1], max_ratio=_RATIO)
    starts, ends = here[0][pairs[:, 0]], there[0][pairs[:, 1]]
    least, reached = 3, 0
    for kind in (AffineTransform, ProjectiveTransform):
        if len(pairs) < _LEAST_MATCHES:
            return
        model, agree = ransac(
            (starts, ends), kind, least, _TOLERANCE, max_trials=_TRIALS, rng=0,
            stop_probability=0.999,
        )  # fmt: skip
        count = 0 if agree is None else int(agree.sum())
        if count >= max(_LEAST_MATCHES, _PERSPECTIVE * reached):
            yield np.asarray(model.params, np.float64), count
        least, reached = least + 1, count


def _agreement(small: FloatImage, other: FloatImage, matrix: Matrix) -> float:
    """Median correlation of windows that hold something, where both pictures are."""
    places = np.moveaxis(np.indices(small.shape, np.float64), 0, -1)
    sent = placed(matrix, places)
    inside = ((sent >= 0) & (sent <= np.array(other.shape) - 1)).all(axis=-1)
    if inside.sum() < max(64, 0.02 * inside.size):
        return 0.0
    warped = map_coordinates(other, np.moveaxis(sent, -1, 0), order=1, output=np.float32)
    a, b = (one - uniform_filter(one, 15) for one in (small, warped))
    spread = [uniform_filter(one * one, 15) for one in (a, b)]
    told = inside & (np.maximum(*spread) > _LEAST_VARIANCE)
    if not told.any():
        return 0.0
    product = np.maximum(spread[0] * spread[1], 1e-3)
    return float(np.median((uniform_filter(a * b, 15) / np.sqrt(product))[told]))


def _refined(picture: Picture, reference: Picture, matrix: Matrix, blur: float) -> Matrix:
    """Fit the grey levels of squares all over the picture: a step of Gauss and Newton."""
    shape = np.array(picture.shape)
    side = int(min(_TILE, *shape))
    counts = (min(_TILES, -(-n // side)) for n in picture.shape)
    starts = [
        np.unique(np.linspace(0, n - side, count).astype(int))
        for n, count in zip(shape, counts, strict=True)
    ]
    square = np.moveaxis(np.indices((side, side)), 0, -1)
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 1, 1, 2)
    places = (corners + square).astype(np.float64)
    at = places.astype(int)
    own = np.asarray(picture.rgb[at[..., 0], at[..., 1]] @ LUMINANCE)
    sent = placed(matrix, places)
    within = (sent >= 0) & (sent <= np.array(reference.shape) - 1)
    inside = within.reshape(len(places), -1).all(axis=1)  # squares that lie whole in both
    if not inside.any():
        return matrix
    own, sent, places = own[inside], sent[inside], places[inside]
    channels = (
        map_coordinates(reference.rgb[..., n], np.moveaxis(sent, -1, 0), np.float32, order=1)
        for n in range(3)
    )
    other = np.asarray(np.stack(list(channels), axis=-1) @ LUMINANCE)
    own, other = (gaussian_filter(one, (0, blur, blur)) for one in (own, other))
    down, across = np.gradient(own, axis=(1, 2))
    off = (places - shape / 2) / shape.max()
    ones = np.ones(own.shape)
    factors = ones, off[..., 0], off[..., 1]
    columns = [
        *(-slope * factor for slope in (down, across) for factor in factors),
        other, ones,
    ]  # fmt: skip
    keep = np.s_[:, 4:-4:2, 4:-4:2] if side > 16 else np.s_[:, ::, ::]
    design = np.stack([column[keep].ravel() for column in columns], axis=-1)
    found = robust_fit(design, own[keep].ravel().astype(np.float64))
    linear = found[:6].reshape(2, 3)  # (shift, by row, by column) down and across
    step = np.eye(3)
    step[:2, :2] -= linear[:, 1:] / shape.max()
    step[:2, 2] -= linear[:, 0] - linear[:, 1:] @ (shape / 2) / shape.max()
    if not np.isfinite(step).all() or np.abs(step - np.eye(3))[:2, :2].max() > 0.2:
        return matrix
    return np.asarray(matrix @ step)


def robust_fit(
    design: npt.NDArray[np.float64], values: npt.NDArray[np.float64], steps: int = 6
) -> npt.NDArray[np.float64]:
    """Least squares in which what lies far off does not count (Tukey's weights).

    Parameters
    ----------
    design : (N, K) array
    values : (N,) array
    steps : int

    Returns
    -------
    (K,) float array
    """
    weights: npt.NDArray[Any] = np.ones(len(values))
    found = np.zeros(design.shape[1])
    for _ in range(steps):
        weighted = design * weights[:, None]
        found = np.linalg.lstsq(weighted.T @ design, weighted.T @ values, rcond=None)[0]
        off = np.abs(values - design @ found)
        reach = max(0.5, 4.685 * 1.4826 * float(np.median(off)))
        weights = np.asarray(np.maximum(0, 1 - (off / reach) ** 2) ** 2, np.float64)
    return found


def _rounded(matrix: Matrix, shape: tuple[int, int]) -> Matrix:
    """Take a shift by whole pixels for one, so that pixels can be compared as they are."""
    matrix = matrix / matrix[2, 2]
    corners = np.array([[row, col] for row in (0, shape[0]) for col in (0, shape[1])], float)
    moves = placed(matrix, corners) - corners
    whole = np.rint(moves.mean(axis=0))
    if np.abs(moves - whole).max() > max(_WHOLE, _WHOLE * max(shape) / 1000):
        return matrix
    plain = np.eye(3)
    plain[:2, 2] = whole
    return plain
