"""Small connected pieces of sources go to the label that they share the longest border with."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import measure

from napari_safire.annotation.checked_labels import Mask, checked, region_of
from napari_safire.types import LabelImage

_Borders = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]


def remove_islands(
    labels: LabelImage,
    smaller_than: int,
    source: int | None = None,
    *,
    protected: Mask | None = None,
) -> LabelImage:
    """Give small connected pieces to the label that they share the longest border with.

    The smallest piece goes first and counts as part of its new label from then on, so pieces that
    touch each other only may together be large enough to stay. Where 0 has the longest border, the
    piece becomes 0; on a tie a source wins over 0 and a smaller number over a larger one. Pieces of
    0 are holes, not islands: they stay. A piece that holds a protected pixel stays whole.

    Parameters
    ----------
    labels : (H, W) int array
    smaller_than : int
        Pieces of fewer pixels go.
    source : int, optional
        Look at the pieces of this source only; default: of every source.
    protected : (H, W) bool array, optional
        Pieces that hold such a pixel stay.

    Returns
    -------
    (H, W) array of the same dtype
        Without the small pieces.

    Raises
    ------
    ValueError
        If the source does not occur or `smaller_than` is negative.
    """
    labels, free = checked(labels, protected)
    if smaller_than < 0:
        raise ValueError(f"No piece has fewer than {smaller_than} pixels: give 0 or more.")
    if source is not None:
        region_of(labels, source)
    result = labels.copy()
    pieces = measure.label(labels, connectivity=2, background=0)  # (H, W), 0 where labels is 0
    sizes = np.bincount(pieces.ravel(), minlength=1)
    values = np.zeros(len(sizes), labels.dtype)
    values[pieces] = labels
    is_island = (sizes < smaller_than) & (values > 0 if source is None else values == source)
    if free is not None:
        is_island[pieces[~free]] = False
    rows, cols = np.nonzero(is_island[pieces])
    if not len(rows):
        return result
    borders = _borders(pieces, rows, cols)
    settled = _settle(sizes, values, is_island, borders, smaller_than)
    result[rows, cols] = settled[pieces[rows, cols]]
    return result


def _borders(
    pieces: npt.NDArray[np.integer], rows: npt.NDArray[np.intp], cols: npt.NDArray[np.intp]
) -> _Borders:
    """Count the borders of the pieces that the given pixels belong to.

    Returns
    -------
    starts : (n_pieces + 2,) int array
        The neighbours of piece p are ``starts[p]:starts[p + 1]`` of the next two.
    neighbours : (N,) int array
        Pieces that touch it, over edges or corners.
    lengths : (N,) int array
        Pixel edges in common; 0 for those that touch at corners only.
    """
    height, width = pieces.shape
    n_pieces = int(pieces.max())
    own = pieces[rows, cols].astype(np.int64)
    keys, lengths = [], []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            row, col = rows + down, cols + right
            within = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            here, there = own[within], pieces[row[within], col[within]]
            differs = here != there
            key, count = np.unique(
                here[differs] * (n_pieces + 1) + there[differs], return_counts=True
            )
            keys.append(key)
            lengths.append(count if down == 0 or right == 0 else np.zeros_like(count))
    pairs, index = np.unique(np.concatenate(keys), return_inverse=True)
    totals = np.zeros(len(pairs), np.intp)
    np.add.at(totals, index, np.concatenate(lengths))
    starts = np.searchsorted(pairs // (n_pieces + 1), np.arange(n_pieces + 2))
    return starts, pairs % (n_pieces + 1), totals


def _neighbours(borders: _Borders, piece: int) -> Iterator[tuple[int, int]]:
    """Pieces that touch a piece, and pixel edges in common."""
    starts, neighbours, lengths = borders
    around = slice(starts[piece], starts[piece + 1])
    return zip(neighbours[around].tolist(), lengths[around].tolist(), strict=True)


def _whole(piece: int, joined: dict[int, int]) -> int:
    while piece in joined:
        piece = joined[piece]
    return piece


def _longest_border(around: list[tuple[int, int]], label_of: list[int]) -> tuple[int, list[int]]:
    """The label with the longest border, and its pieces: sorted, a set has no order to rest on."""
    border: dict[int, int] = defaultdict(int)
    for other, length in around:
        border[label_of[other]] += length
    label = max(border, key=lambda label: (border[label], label != 0, -label))
    return label, sorted({other for other, _ in around if label_of[other] == label})


def _settle(
    sizes: npt.NDArray[np.intp],
    values: npt.NDArray[Any],
    is_island: Mask,
    borders: _Borders,
    smaller_than: int,
) -> npt.NDArray[Any]:
    """Decide which label each piece ends with: the smallest island joins its neighbours first.

    Parameters
    ----------
    sizes, values, is_island : (n_pieces + 1,) array
        Pixels and label of each piece, and whether it must go.
    borders : tuple of array
    smaller_than : int

    Returns
    -------
    (n_pieces + 1,) array
    """
    islands: list[int] = np.flatnonzero(is_island).tolist()
    n_pixels = dict(zip(islands, sizes[islands].tolist(), strict=True))  # of islands still to go
    label_of: list[int] = values.tolist()
    members: dict[int, list[int]] = {}  # pieces of an island that others have joined
    joined: dict[int, int] = {}
    queue = [(size, piece) for piece, size in n_pixels.items()]
    heapq.heapify(queue)
    while queue:
        size, island = heapq.heappop(queue)
        if island not in n_pixels:  # it has joined another
            continue
        del n_pixels[island]
        around = [
            (_whole(other, joined), length)
            for member in members.get(island, [island])
            for other, length in _neighbours(borders, member)
        ]
        around = [(other, length) for other, length in around if other != island]
        if not around:  # the image is one piece
            continue
        label, group = _longest_border(around, label_of)
        staying = next((piece for piece in group if piece not in n_pixels), None)
        if staying is not None:
            for piece in (island, *group):
                n_pixels.pop(piece, None)
                if piece != staying:
                    joined[piece] = staying
            continue
        label_of[island] = label
        size += sum(n_pixels.pop(piece) for piece in group)
        joined.update(dict.fromkeys(group, island))
        members[island] = [
            member for piece in (island, *group) for member in members.pop(piece, [piece])
        ]
        if size < smaller_than:
            n_pixels[island] = size
            heapq.heappush(queue, (size, island))
    settled = values.copy()
    settled[islands] = [label_of[_whole(island, joined)] for island in islands]
    return settled
