"""The cells that a region table rests on: which are looked at, where they lie, what they show.

A picture is divided into squares (tiles). Of a large picture some tiles are looked at, so that the
time stays bounded: chosen by where sources lie, never by what the pixels show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from napari_safire.types import FloatImage, LabelImage

CELL = 16
"""Pixels a side of a cell."""
TILE = 256
"""Pixels a side of a square that is looked at."""
_MARGIN = CELL  # pixels around a tile that filters see
_MOST_TILES = 36  # 2.4 megapixels
_OF_EACH = 8  # tiles with most of a source's pixels that are always among them
_COARSE = 4  # pixels a side that are averaged before texture is measured: noise is no texture
_FLAT = 0.25  # grey levels

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the picture, in whole cells.

    Parameters
    ----------
    rows, cols : slice
        Its own pixels.
    seen_rows, seen_cols : slice
        With those around it that filters reach.
    """

    rows: slice
    cols: slice
    seen_rows: slice
    seen_cols: slice

    def own(self, values: npt.NDArray[np.generic], cell: int = CELL) -> npt.NDArray[np.generic]:
        """Cut a map of what is seen, one value for `cell` pixels, to the tile's own values."""
        at = [
            slice((own.start - seen.start) // cell, (own.stop - seen.start) // cell)
            for own, seen in ((self.rows, self.seen_rows), (self.cols, self.seen_cols))
        ]
        return values[tuple(at)]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Places that are compared: cells, or windows of several cells.

    Parameters
    ----------
    rows, cols : (n,) int arrays
        Of their centres, in pixels.
    brightness : (n,) float array
        Mean, in grey levels.
    texture : (n,) float array
        Binary logarithm of the contrast between squares of 4 pixels: noise and fine blur hardly
        change it.
    """

    rows: Ints
    cols: Ints
    brightness: Floats
    texture: Floats

    def __len__(self) -> int:
        return len(self.rows)


def tiles(labels: LabelImage, sources: Sequence[int], seed: int) -> tuple[Tile, ...]:
    """Choose the squares that are looked at.

    Parameters
    ----------
    labels : (H, W) int array
    sources : sequence of int
    seed : int
        Of the choice in large pictures.

    Returns
    -------
    tuple of Tile
        In the order of rows; all of the picture if they are few.
    """
    height, width = (n // CELL * CELL for n in labels.shape)
    corners = [(top, left) for top in range(0, height, TILE) for left in range(0, width, TILE)]
    if len(corners) > _MOST_TILES:
        chosen = _chosen(labels, corners, sources, seed)
        corners = [corner for number, corner in enumerate(corners) if number in chosen]
    return tuple(_tile(corner, (height, width)) for corner in corners)


def _tile(corner: tuple[int, int], shape: tuple[int, int]) -> Tile:
    own = [slice(at, min(at + TILE, n)) for at, n in zip(corner, shape, strict=True)]
    seen = [
        slice(max(0, part.start - _MARGIN), min(n, part.stop + _MARGIN))
        for part, n in zip(own, shape, strict=True)
    ]
    return Tile(*own, *seen)


def _chosen(
    labels: LabelImage, corners: Sequence[tuple[int, int]], sources: Sequence[int], seed: int
) -> set[int]:
    """Numbers of the tiles: some for each source, the rest drawn from all over the picture."""
    few = labels[CELL // 2 :: CELL, CELL // 2 :: CELL]
    side = TILE // CELL
    counts = np.array(
        [
            [(few[top // CELL :, left // CELL :][:side, :side] == s).sum() for s in sources]
            for top, left in corners
        ]
    )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(corners))
    chosen: set[int] = set()
    each = max(1, min(_OF_EACH, _MOST_TILES // max(1, len(sources))))
    for number in range(min(len(sources), _MOST_TILES)):
        has = order[counts[order, number] > 0]
        best = has[np.argsort(-counts[has, number], kind="stable")][:each]
        chosen.update(int(n) for n in best)
    for n in order:
        if len(chosen) >= _MOST_TILES:
            break
        chosen.add(int(n))
    return chosen


def cells_of(tile: Tile, luminance: FloatImage) -> Places:
    """Describe the cells of a tile.

    Parameters
    ----------
    tile : Tile
    luminance : (h, w) float32 array
        Of what is seen of the tile, in 0 .. 255.

    Returns
    -------
    Places
    """
    rows = np.arange(tile.rows.start, tile.rows.stop, CELL) + CELL // 2
    cols = np.arange(tile.cols.start, tile.cols.stop, CELL) + CELL // 2
    return Places(
        np.repeat(rows, len(cols)),
        np.tile(cols, len(rows)),
        tile.own(mean_of(luminance)).ravel().astype(np.float64),
        tile.own(_texture(luminance)).ravel().astype(np.float64),
    )


def _texture(luminance: FloatImage) -> FloatImage:
    """Binary logarithm of the contrast of each cell, at a scale that noise does not reach."""
    coarse = mean_of(luminance, _COARSE)
    squared = sum(np.gradient(coarse, axis=axis) ** 2 for axis in (0, 1))
    contrast = np.sqrt(mean_of(np.asarray(squared, np.float32), CELL // _COARSE))
    texture: FloatImage = np.log2(contrast + _FLAT)
    return texture


def mean_of(values: npt.NDArray[np.generic], cell: int = CELL) -> FloatImage:
    """Average over squares.

    Parameters
    ----------
    values : (h, w) array
    cell : int
        Pixels a side; what is less than a whole one is left out.

    Returns
    -------
    (h // cell, w // cell) float32 array
    """
    down, across = values.shape[0] // cell, values.shape[1] // cell
    whole = values[: down * cell, : across * cell].reshape(down, cell, across, cell)
    mean: FloatImage = whole.mean(axis=(1, 3), dtype=np.float32)
    return mean


def joined(parts: Sequence[Places]) -> Places:
    """Put places of several tiles into one."""
    names = ("rows", "cols", "brightness", "texture")
    empty = [Places(*(np.zeros(0, np.int64),) * 2, *(np.zeros(0),) * 2)]
    return Places(
        *(np.concatenate([getattr(part, name) for part in [*empty, *parts]]) for name in names)
    )


def windows_of(tile: Tile, cells: Places, side: int, step: int) -> Places:
    """Describe square windows of a tile by its cells.

    Parameters
    ----------
    tile : Tile
    cells : Places
        From `cells_of`, of this tile.
    side, step : int
        Pixels of a window, and between two; multiples of a cell.

    Returns
    -------
    Places
        Of windows that lie whole in the tile; none in tiles that are smaller.
    """
    shape = ((tile.rows.stop - tile.rows.start) // CELL, (tile.cols.stop - tile.cols.start) // CELL)
    n, by = side // CELL, step // CELL
    if min(shape) < n:
        return joined([])
    windows = [
        sliding_window_view(values.reshape(shape), (n, n))[::by, ::by]
        for values in (cells.rows, cells.cols, cells.brightness, cells.texture)
    ]
    rows, cols, brightness, texture = (w.mean(axis=(2, 3)).ravel() for w in windows)
    return Places(rows.astype(np.int64), cols.astype(np.int64), brightness, texture)


def quarters(cells: Places) -> Places:
    """Divide each cell in four squares, which look as the cell does.

    Parameters
    ----------
    cells : Places

    Returns
    -------
    Places
        Four times as many, of 8 pixels a side.
    """
    by = CELL // 4 * np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]])
    return Places(
        (cells.rows[:, None] + by[0]).ravel(),
        (cells.cols[:, None] + by[1]).ravel(),
        np.repeat(cells.brightness, 4),
        np.repeat(cells.texture, 4),
    )


def source_map(labels: LabelImage, cell: int = CELL) -> Ints:
    """Source of each cell of a picture.

    Parameters
    ----------
    labels : (H, W) int array
    cell : int
        Pixels a side.

    Returns
    -------
    (H // cell, W // cell) int array
        Value in the labels; -1 where several sources meet, or where nothing is to be looked at.
    """
    height, width = (n // cell * cell for n in labels.shape)
    blocks = labels[:height, :width].reshape(height // cell, cell, width // cell, cell)
    low, high = (np.asarray(of(axis=(1, 3)), np.int64) for of in (blocks.min, blocks.max))
    return np.where((low == high) & (low >= 0), low, -1)


def sources_of_windows(of_cells: Ints, windows: Places, side: int, least_share: float) -> Ints:
    """Source of each window.

    Parameters
    ----------
    of_cells : (h, w) int array
        From `source_map`.
    windows : Places
    side : int
        Pixels a side of a window.
    least_share : float
        Of its cells that have to be of one source.

    Returns
    -------
    (n,) int array
        -1 where several sources meet.
    """
    n = side // CELL
    found = np.full(len(windows), -1, np.int64)
    for number, (row, col) in enumerate(zip(windows.rows, windows.cols, strict=True)):
        top, left = (row - side // 2) // CELL, (col - side // 2) // CELL
        values, counts = np.unique(of_cells[top : top + n, left : left + n], return_counts=True)
        most = int(counts.argmax())
        if counts[most] >= least_share * n * n:
            found[number] = values[most]
    return found
