"""What is measured of each cell, by the functions that the views use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.compression.grid import N_GRIDS, grid_votes
from napari_safire.forensics.compression.kept import known_ghosts, known_votes
from napari_safire.forensics.compression.resaving import ghosts
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.processing.appearance import clipped, sharpness
from napari_safire.forensics.processing.noise import noise_levels, residual
from napari_safire.forensics.processing.resampling import spectrum
from napari_safire.review.regions.cells import CELL, Places, Tile, cells_of, mean_of, windows_of
from napari_safire.review.regions.values import RegionMeasure
from napari_safire.types import FloatImage

WINDOW, STEP = 128, 64
"""Pixels of a window in which periods are looked for, and between two."""
_QUALITIES = tuple(range(50, 96, 5))
_MOST_CLIPPED = 0.5  # of a cell: more leaves no residual
_BLACK = 16  # grey levels: colours of darker pixels are chance
_FORCED = " Of authentic photographs that a model is made to cut, one in five is marked."

MEASURES: tuple[RegionMeasure, ...] = (
    RegionMeasure(
        "noise",
        "Standard deviation of the noise, from the finest wavelet's diagonal.",
        "grey levels", "less noisy than the rest", "noisier than the rest", 0.7,
        "Fine texture counts as noise; denoising, blur and lost focus lower it." + _FORCED,
        "Mahdian and Saic 2009",
    ),
    RegionMeasure(
        "residual",
        "Energy of what a median filter takes away.",
        "grey levels", "smoother than the rest", "rougher than the rest", 0.75,
        "Fine texture and edges count as residual." + _FORCED,
        "Mahdian and Saic 2009",
    ),
    RegionMeasure(
        "sharpness",
        "Share of local variation that lies in fine detail.",
        "", "less sharp than the rest", "sharper than the rest", 0.5,
        "Focus and motion change it in every photograph." + _FORCED,
        "Laplacian over gradient energy; common practice",
    ),
    RegionMeasure(
        "saturation",
        "Strength of colours: the range of the channels over the strongest.",
        "%", "paler than the rest", "more colourful than the rest", 1.0,
        "Things have colours of their own; it is for the eye.",
        "common practice",
    ),
    RegionMeasure(
        "clipping",
        "Share of pixels with a channel at the end of its range.",
        "%", "less clipped than the rest", "more clipped than the rest", 1.0,
        "Light sources and shadows are clipped in authentic pictures.",
        "common practice",
    ),
    RegionMeasure(
        "JPEG grid",
        "Share of votes for the leading grid of 8 x 8 blocks that is not the rest's.",
        "%", "less on another grid of blocks than the rest",
        "more on another grid of blocks than the rest", 0.15,
        "Flat places do not vote; a paste lies on the same grid by chance once in 64 times.",
        "ZERO: Nikoukhah et al. 2022",
    ),
    RegionMeasure(
        "JPEG history",
        "How much speaks for blocks that lack the former compression of the others.",
        "log ratio", "more like blocks compressed before than the rest",
        "more like blocks never compressed before than the rest", 0.45,
        "The last quality has to be clearly above the first; flat places tell nothing.",
        "Bianchi and Piva 2012; Fridrich, Goljan and Du 2001",
    ),
    RegionMeasure(
        "JPEG ghosts",
        "Quality at which a place changes least when it is saved again.",
        "quality", "more like saved at a lower quality before than the rest",
        "less like saved at a lower quality before than the rest", 0.3,
        "Only lower qualities than the last leave a ghost; smooth places may look like one.",
        "Farid 2009",
    ),
    RegionMeasure(
        "resampling",
        "Strength of the period that enlarging or turning leaves.",
        "times the usual", "weaker periods of resampling than the rest",
        "stronger periods of resampling than the rest", 0.2,
        "Fences, fabric and screens are periodic; JPEG hides it.",
        "Gallagher 2005; Mahdian and Saic 2008",
    ),
)  # fmt: skip
"""In the order of the table."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Cells and windows, with what was measured of them.

    Parameters
    ----------
    cells : Places
    values : mapping of str to (n,) float array
        By measure; ``nan`` where it says nothing.
    votes : (n, 65) int array
        Pixels of each cell that vote for each grid; the last column has those that do not.
    windows : Places
    periods : (m, 2, f) float32 array
        Strength of each period in each window, down and across
        (`napari_safire.forensics.processing.resampling.spectrum`).
    """

    cells: Places
    values: Mapping[str, npt.NDArray[np.float64]]
    votes: npt.NDArray[np.int64]
    windows: Places
    periods: FloatImage


def measured(picture: Picture, tile: Tile) -> Measured:
    """Measure the cells of one tile.

    Parameters
    ----------
    picture : Picture
    tile : Tile

    Returns
    -------
    Measured
    """
    part = Picture(np.ascontiguousarray(picture.rgb[tile.seen_rows, tile.seen_cols]))
    luminance = part.luminance
    cells = cells_of(tile, luminance)
    noise, _ = noise_levels(luminance, CELL)
    ends = mean_of(clipped(part) != 0)
    maps: dict[str, FloatImage] = {
        "noise": noise,
        "residual": np.where(
            ends < _MOST_CLIPPED, np.sqrt(mean_of(residual(luminance) ** 2)), np.nan
        ),
        "sharpness": sharpness(part, CELL),
        "saturation": _saturation(part.rgb),
        "clipping": 100 * ends,
    }
    own = {name: tile.own(drawn) for name, drawn in maps.items()}
    own["JPEG ghosts"] = _ghosts(picture, tile, part)
    windows = windows_of(tile, cells, WINDOW, STEP)
    return Measured(
        cells,
        {name: drawn.ravel().astype(np.float64) for name, drawn in own.items()},
        _votes(picture, tile, luminance),
        windows,
        _periods(luminance, tile, windows),
    )


def _saturation(rgb: npt.NDArray[np.uint8]) -> FloatImage:
    red, green, blue = (rgb[..., channel] for channel in range(3))  # ten times as fast as axis=2
    most = np.maximum(np.maximum(red, green), blue).astype(np.float32)
    range_ = most - np.minimum(np.minimum(red, green), blue)
    told = most > _BLACK
    share = np.where(told, range_ / np.maximum(most, 1), 0)
    of_cell = mean_of(told)
    mean = mean_of(share) / np.maximum(of_cell, 1e-6)
    saturation: FloatImage = np.where(of_cell >= 0.5, 100 * mean, np.nan).astype(np.float32)
    return saturation


def _ghosts(picture: Picture, tile: Tile, part: Picture) -> FloatImage:
    """Quality of least change; the highest for places that only change less and less.

    Blocks of 8 do not depend on each other, so a tile's cells are those of the whole picture.
    """
    whole = known_ghosts(picture, _QUALITIES)
    if whole is None:
        seen = ghosts(part.rgb, _QUALITIES, CELL)
        changes = np.stack([tile.own(change) for change in seen])
    else:
        rows, cols = (slice(n.start // CELL, n.stop // CELL) for n in (tile.rows, tile.cols))
        changes = whole[:, rows, cols]
    best: FloatImage = np.array(_QUALITIES, np.float32)[changes.argmin(axis=0)]
    best[np.isnan(changes).any(axis=0) | (changes.max(axis=0) <= 0)] = np.nan  # nothing changes
    return best


def _votes(picture: Picture, tile: Tile, luminance: FloatImage) -> npt.NDArray[np.int64]:
    """(cells, 65): votes begin where the picture's rows and columns begin, not the tile's."""
    whole = known_votes(picture)
    # what is seen begins at multiples of a cell, so of a block: grids need no shift
    votes = tile.own(grid_votes(luminance), 1) if whole is None else whole[tile.rows, tile.cols]
    own = votes.astype(np.int64)
    down, across = own.shape[0] // CELL, own.shape[1] // CELL
    by_cell = own.reshape(down, CELL, across, CELL).transpose(0, 2, 1, 3).reshape(-1, CELL**2)
    n_bins = N_GRIDS + 1
    bins = by_cell + n_bins * np.arange(len(by_cell))[:, None]
    return np.bincount(bins.ravel(), minlength=n_bins * len(by_cell)).reshape(-1, n_bins)


def _periods(luminance: FloatImage, tile: Tile, windows: Places) -> FloatImage:
    found = []
    for row, col in zip(windows.rows, windows.cols, strict=True):
        top = row - WINDOW // 2 - tile.seen_rows.start
        left = col - WINDOW // 2 - tile.seen_cols.start
        window = luminance[top : top + WINDOW, left : left + WINDOW]
        found.append([spectrum(window, axis) for axis in (0, 1)])
    return np.array(found, np.float32).reshape(-1, 2, WINDOW // 2)
