"""Edits of label images: merge, split, absorb, fill holes; `islands` removes small pieces.

All take an (H, W) integer array, where 0 is "no source" and sources count from 1, and return a new
one of the same dtype. Pixels of `protected` keep their value. A source is connected over edges and
corners (8 neighbours), so what encloses it or is enclosed by it is connected over edges (4).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_safire.annotation.checked_labels import Mask, checked, region_of
from napari_safire.types import LabelImage

Box = tuple[slice, slice]
_WITH_CORNERS = np.ones((3, 3), np.bool_)


def merge(
    labels: LabelImage,
    sources: Sequence[int],
    into: int | None = None,
    *,
    protected: Mask | None = None,
) -> LabelImage:
    """Make several sources one.

    Parameters
    ----------
    labels : (H, W) int array
    sources : sequence of int
        One at least; all of them occur.
    into : int, optional
        The number that they get, in use or not; default: the first of `sources`.
    protected : (H, W) bool array, optional

    Returns
    -------
    (H, W) array of the same dtype
        The sources have one number.

    Raises
    ------
    ValueError
        If a source does not occur or `into` is no number for a source.
    """
    labels, free = checked(labels, protected)
    if not len(sources):
        raise ValueError("There is nothing to merge: name at least one source.")
    target = index(sources[0] if into is None else into)
    if not 1 <= target <= np.iinfo(labels.dtype).max:
        raise ValueError(
            f"Sources cannot be merged into {target}: give a number from 1 to "
            f"{np.iinfo(labels.dtype).max}."
        )
    chosen = np.zeros(labels.shape, np.bool_)
    for source in sources:
        chosen |= region_of(labels, source)
    return _assigned(labels, chosen, target, free)


def split(labels: LabelImage, source: int, *, protected: Mask | None = None) -> LabelImage:
    """Make each connected piece of a source a source of its own.

    The largest piece keeps the number; the others get the smallest numbers not in use, the larger
    piece the smaller number. A piece without an unprotected pixel takes no number.

    Parameters
    ----------
    labels : (H, W) int array
    source : int
        One that occurs.
    protected : (H, W) bool array, optional

    Returns
    -------
    (H, W) array
        Of the same dtype, with a number for each piece.

    Raises
    ------
    ValueError
        If the source does not occur, or there are more pieces than the dtype has numbers for.
    """
    labels, free = checked(labels, protected)
    region = region_of(labels, source)
    box = _box(region)
    pieces, n_pieces = ndimage.label(region[box], _WITH_CORNERS)
    result = labels.copy()
    if n_pieces == 1:
        return result
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:]
    order = 1 + np.argsort(-sizes, kind="stable")
    if free is not None:
        movable = np.zeros(n_pieces + 1, np.bool_)
        movable[pieces[free[box]]] = True
        order = np.concatenate([order[:1], order[1:][movable[order[1:]]]])
    numbers = np.zeros(n_pieces + 1, labels.dtype)
    numbers[order[1:]] = _unused_numbers(labels, len(order) - 1, source)
    changing = numbers[pieces]
    moved = changing > 0
    if free is not None:
        moved &= free[box]
    np.copyto(result[box], changing, where=moved)
    return result


def absorb(labels: LabelImage, source: int, *, protected: Mask | None = None) -> LabelImage:
    """Let a source vanish into its neighbours.

    Each of its pixels takes the label of the nearest pixel of another source (0 is none), as the
    crow flies; without another source it becomes 0.

    Parameters
    ----------
    labels : (H, W) int array
    source : int
        The one that vanishes.
    protected : (H, W) bool array, optional
        Stays what it is.

    Returns
    -------
    (H, W) array of the same dtype

    Raises
    ------
    ValueError
        If the source does not occur.
    """
    labels, free = checked(labels, protected)
    region = region_of(labels, source)
    others = (labels != 0) & ~region
    if not others.any():
        return _assigned(labels, region, 0, free)
    if free is not None:
        region &= free
    result = labels.copy()
    if not region.any():
        return result
    box = _box(region)
    # What is nearest mostly lies beside the region. Where a window ends within the image, its rim
    # stands for all beyond: if the rim is nearest to no pixel of the region, nothing beyond is.
    reach = 1
    while True:
        window = _grown(box, reach, labels.shape)
        targets = others[window].copy()
        _mark_rim(targets, window, labels.shape)
        inside = region[window]
        nearest = ndimage.distance_transform_edt(
            ~targets, return_distances=False, return_indices=True
        )
        rows, cols = nearest[:, inside]
        if others[window][rows, cols].all():
            break
        reach = 2 * reach + 64
    result[window][inside] = labels[window][rows, cols]
    return result


def fill_holes(labels: LabelImage, source: int, *, protected: Mask | None = None) -> LabelImage:
    """Give a source all pixels that it encloses, whatever source they were.

    Enclosed is what cannot reach the border of the image over edges without crossing the source.

    Parameters
    ----------
    labels : (H, W) int array
    source : int
        The one that encloses.
    protected : (H, W) bool array, optional
        Is not filled.

    Returns
    -------
    (H, W) array of the same dtype
        The source has no holes but for protected pixels.

    Raises
    ------
    ValueError
        The source does not occur in the labels.
    """
    labels, free = checked(labels, protected)
    region = region_of(labels, source)
    box = _box(region)
    # scipy's binary_fill_holes gives the same in four times the time.
    outside, n_pieces = ndimage.label(~region[box])
    is_hole = np.ones(n_pieces + 1, np.bool_)
    is_hole[0] = False
    for edge in (outside[0], outside[-1], outside[:, 0], outside[:, -1]):
        is_hole[edge] = False
    holes = np.zeros(labels.shape, np.bool_)
    holes[box] = is_hole[outside]
    return _assigned(labels, holes, source, free)


def _assigned(labels: LabelImage, where: Mask, number: int, free: Mask | None) -> LabelImage:
    result = labels.copy()
    result[where if free is None else where & free] = number
    return result


def _box(mask: Mask) -> Box:
    rows = np.flatnonzero(mask.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    cols = np.flatnonzero(mask[top:bottom].any(axis=0))
    return slice(top, bottom), slice(int(cols[0]), int(cols[-1]) + 1)


def _grown(box: Box, reach: int, shape: tuple[int, ...]) -> Box:
    rows, cols = box
    return (
        slice(max(0, rows.start - reach), min(shape[0], rows.stop + reach)),
        slice(max(0, cols.start - reach), min(shape[1], cols.stop + reach)),
    )


def _mark_rim(targets: Mask, window: Box, shape: tuple[int, ...]) -> None:
    for sides, along, length in zip((targets, targets.T), window, shape, strict=True):
        if along.start > 0:
            sides[0] = True
        if along.stop < length:
            sides[-1] = True


def _unused_numbers(labels: LabelImage, count: int, source: int) -> npt.NDArray[Any]:
    used = np.unique(labels)
    used = used[used > 0]
    most = int(np.iinfo(labels.dtype).max)
    if len(used) + count > most:
        raise ValueError(
            f"Source {source} falls into {count + 1} pieces, but {len(used)} of the {most} numbers "
            f"that {labels.dtype} labels can hold are in use: remove islands first."
        )
    # Among the first len(used) + count numbers at least `count` are not in use.
    return np.setdiff1d(np.arange(1, len(used) + count + 1), used)[:count]
