"""What differs between a picture and a registered reference, once both are exposed alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    binary_closing,
    binary_erosion,
    find_objects,
    gaussian_filter,
    label,
    map_coordinates,
    uniform_filter,
)

from napari_safire.forensics.comparison.registration import (
    Matrix,
    Registration,
    placed,
    robust_fit,
)
from napari_safire.forensics.picture import LUMINANCE, Picture
from napari_safire.forensics.tiles import by_strips, sampled, strips
from napari_safire.progress import Cancel, Progress
from napari_safire.types import FloatImage

_SAMPLES = 200  # rows and columns that exposures are compared on
_WINDOW = 5  # pixels: noise of compression evens out over it
_SLACK = 0.3  # pixels that edges may lie beside each other where pixels were interpolated
_AT_EDGE = 0.05  # pixels: rounding puts no pixel outside
_REACH = 8  # rows that all filters reach
_LEAST = 6.0  # grey levels
_OUTSTANDING = 6.0  # standard deviations
_CELL = 4
_LEAST_CELLS = 4
_CLIPPED = (3.0, 252.0)


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """What is left between two pictures.

    Parameters
    ----------
    values : (H, W) float32 array
        Grey levels; ``nan`` where the reference shows nothing.
    gains, offsets : (3,) float arrays
        What a channel of the reference was multiplied by, and what was added.
    limit : float
        Grey levels above which a difference stands out.
    same : float or None
        Share of shared pixels with the same three values; None where pixels were interpolated.
    shared : float
        Share of the picture that the reference shows.
    regions : (H, W) bool array
        Where differences stand out.
    boxes : tuple of (slice, slice)
        Rows and columns of each region, the largest first.
    """

    values: FloatImage
    gains: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]
    limit: float
    same: float | None
    shared: float
    regions: npt.NDArray[np.bool_]
    boxes: tuple[tuple[slice, slice], ...]


def difference(
    picture: Picture,
    reference: Picture,
    registration: Registration,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Difference:
    """Compare a picture with what a reference shows at the same places.

    Parameters
    ----------
    picture, reference : Picture
    registration : Registration
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between strips.

    Returns
    -------
    Difference

    Raises
    ------
    Cancelled
    """
    width = picture.shape[1]
    looked_at = reference.rgb[:, ::-1] if registration.mirrored else reference.rgb
    gains, offsets = _exposure(picture, looked_at, registration.matrix)
    shift = registration.whole_shift

    def of_rows(rows: slice) -> FloatImage:
        own = picture.rgb[rows].astype(np.float32)
        if shift is None:
            other, inside = _warped(looked_at, registration.matrix, rows, width)
        else:
            other, inside = _shifted(looked_at, shift, rows, width)
        expected = np.clip(other * gains + offsets, 0, 255).astype(np.float32)
        off = uniform_filter(own - expected, (_WINDOW, _WINDOW, 1))
        values = np.abs(off).max(axis=2)
        if shift is None:
            slopes = np.gradient(gaussian_filter(own @ LUMINANCE, 1))
            values -= _SLACK * uniform_filter(np.hypot(*slopes), _WINDOW)
        known = binary_erosion(inside, iterations=_WINDOW // 2, border_value=1)
        return np.where(known, np.maximum(values, 0), np.nan).astype(np.float32)

    values = by_strips(
        of_rows, picture.shape, overlap=_REACH, progress=progress, cancel=cancel,
        stage="comparing",
    )  # fmt: skip
    limit = _limit(sampled(values))
    regions, boxes = _regions(values, limit)
    return Difference(
        values, gains, offsets, limit,
        None if shift is None else _same(picture, looked_at, shift),
        float(np.isfinite(values).mean()), regions, boxes,
    )  # fmt: skip


def _limit(few: npt.NDArray[np.float32]) -> float:
    """Grey levels that hardly a place reaches where nothing was changed."""
    if not few.size:
        return _LEAST
    middle = float(np.median(few))
    spread = 1.4826 * float(np.median(np.abs(few - middle)))
    return max(_LEAST, middle + _OUTSTANDING * spread)


def _warped(
    reference: npt.NDArray[np.uint8], matrix: Matrix, rows: slice, width: int
) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """Values of a reference for some rows of the picture, and which of them lie in it."""
    down, across = np.arange(rows.start, rows.stop)[:, None], np.arange(width)
    scale = matrix[2, 0] * down + matrix[2, 1] * across + matrix[2, 2]
    to_row, to_col = (
        (one[0] * down + one[1] * across + one[2]) / scale for one in (matrix[0], matrix[1])
    )
    height, length = reference.shape[:2]
    inside = (to_row > -_AT_EDGE) & (to_row < height - 1 + _AT_EDGE)
    inside &= (to_col > -_AT_EDGE) & (to_col < length - 1 + _AT_EDGE)
    zoom = abs(float(np.linalg.det(matrix[:2, :2]))) ** 0.5
    part, at = _part(reference, (to_row, to_col), int(np.ceil(4 * zoom)) + 2)
    if zoom > 1:  # the picture was made smaller: what lies between its pixels was averaged
        blur = 0.5 * (zoom**2 - 1) ** 0.5
        part = gaussian_filter(part, (blur, blur, 0))
    values = np.empty((*inside.shape, 3), np.float32)
    for channel in range(3):
        map_coordinates(
            part[..., channel], at, order=1, mode="nearest", output=values[..., channel]
        )
    return values, np.asarray(inside)


def _shifted(
    reference: npt.NDArray[np.uint8], shift: tuple[int, int], rows: slice, width: int
) -> tuple[FloatImage, npt.NDArray[np.bool_]]:
    """As `_warped`, of pixels as they are."""
    down, across = np.arange(rows.start, rows.stop) + shift[0], np.arange(width) + shift[1]
    last = np.array(reference.shape[:2]) - 1
    values = reference[np.clip(down, 0, last[0])[:, None], np.clip(across, 0, last[1])]
    there = [(at >= 0) & (at <= end) for at, end in zip((down, across), last, strict=True)]
    return values.astype(np.float32), there[0][:, None] & there[1]


def _part(
    reference: npt.NDArray[np.uint8], to: tuple[npt.NDArray[np.float64], ...], beyond: int
) -> tuple[FloatImage, list[npt.NDArray[np.float32]]]:
    """The part of a reference in which places lie, and the places in it."""
    slices, at = [], []
    for places, size in zip(to, reference.shape, strict=False):
        first = int(np.clip(np.floor(places.min()) - beyond, 0, size - 1))
        last = int(np.clip(np.ceil(places.max()) + beyond, 0, size - 1))
        slices.append(slice(first, last + 1))
        at.append((places - first).astype(np.float32))
    return reference[tuple(slices)].astype(np.float32), at


def _exposure(
    picture: Picture, reference: npt.NDArray[np.uint8], matrix: Matrix
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gain and offset of each channel that bring the reference nearest to the picture."""
    rows, cols = (np.unique(np.linspace(0, n - 1, _SAMPLES).astype(int)) for n in picture.shape)
    sent = placed(matrix, np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).astype(float))
    at = np.rint(sent).astype(int)
    inside = ((at >= 0) & (at < reference.shape[:2])).all(axis=-1)
    own = picture.rgb[rows[:, None], cols][inside].astype(np.float64)
    other = reference[at[inside][:, 0], at[inside][:, 1]].astype(np.float64)
    low, high = _CLIPPED
    gains, offsets = np.ones(3), np.zeros(3)
    for channel in range(3):
        a, b = own[:, channel], other[:, channel]
        free = (a > low) & (a < high) & (b > low) & (b < high)
        if free.sum() < 64 or b[free].std() < 1:
            continue
        gains[channel], offsets[channel] = robust_fit(
            np.column_stack([b[free], np.ones(free.sum())]), a[free]
        )
    return gains, offsets


def _same(picture: Picture, reference: npt.NDArray[np.uint8], shift: tuple[int, int]) -> float:
    """Share of shared pixels with the same values, of pictures shifted by whole pixels."""
    own, other = [], []
    for n, size, by in zip(picture.shape, reference.shape, shift, strict=False):
        first, last = max(0, -by), min(n, size - by)
        own.append(slice(first, last))
        other.append(slice(first + by, last + by))
    mine, theirs = picture.rgb[tuple(own)], reference[tuple(other)]
    count = sum(
        int((mine[part.rows] == theirs[part.rows]).all(axis=2).sum())
        for part in strips((mine.shape[0], mine.shape[1]))
    )
    return count / (mine.shape[0] * mine.shape[1])


def _regions(
    values: FloatImage, limit: float
) -> tuple[npt.NDArray[np.bool_], tuple[tuple[slice, slice], ...]]:
    """Places that stand out, of four cells of 4 x 4 pixels at least."""
    height, width = values.shape
    down, across = height // _CELL, width // _CELL
    whole = np.nan_to_num(values[: down * _CELL, : across * _CELL])
    cells = whole.reshape(down, _CELL, across, _CELL).mean(axis=(1, 3)) > limit
    numbers, _ = label(binary_closing(np.pad(cells, 2), iterations=2)[2:-2, 2:-2])
    sizes = np.bincount(numbers.ravel())
    chosen = [int(n) for n in np.argsort(-sizes) if n and sizes[n] >= _LEAST_CELLS]
    found = find_objects(numbers)
    boxes = tuple(
        (
            slice(found[n - 1][0].start * _CELL, found[n - 1][0].stop * _CELL),
            slice(found[n - 1][1].start * _CELL, found[n - 1][1].stop * _CELL),
        )
        for n in chosen
    )
    regions = np.zeros((height, width), bool)
    kept = np.isin(numbers, chosen)
    regions[: down * _CELL, : across * _CELL] = kept.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
    return regions, boxes
