"""Which of the 64 possible JPEG grids each place shows, also in pixels that are no JPEG any more.

In a block on the grid of a former compression, many coefficients are (nearly) zero; one pixel
beside it, fewer are. T. Nikoukhah, J. Anger, M. Colom, J.-M. Morel, R. Grompone von Gioi, "ZERO: a
local JPEG grid origin detector based on the number of DCT zeros", IPOL 12 (2022): each pixel votes
for the grid of the block with most zeros, and what is found is held against chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects, label
from scipy.stats import binom

from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.forensics.compression.zeros import block_zeros
from napari_safire.forensics.tiles import by_strips
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import FloatImage

N_GRIDS = BLOCK * BLOCK
NO_VOTE = N_GRIDS
"""Vote of a pixel whose blocks of several grids have the same number of zeros."""
_NEIGHBOUR = 12  # pixels: votes this near belong together
_LEAST_SIDE = 2 * BLOCK
_TILE = 64
_BESIDE = 2  # tiles around those that stand out
_OUTSTANDING = 4.0  # standard deviations
_MOST_SURPRISE = 300.0
_LEAST_VOTING = 0.2  # of the pixels beside a region, where the picture shows no grid
_MOST_ELSEWHERE = 2.0  # times as many votes as chance would give
_SIGNIFICANT = 1.0  # minus log10 of the false alarms expected by chance: a tenth of one
_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class ForeignGrid:
    """A region that votes for another grid than the picture.

    Parameters
    ----------
    rows, cols : (int, int)
        First, and one after the last, of its bounding box.
    grid : (int, int)
        Row and column, 0 to 7, where its blocks begin.
    surprise : float
        Minus log10 of how many such regions chance would give in a picture of this size.
    """

    rows: tuple[int, int]
    cols: tuple[int, int]
    grid: tuple[int, int]
    surprise: float


@dataclass(frozen=True, slots=True, eq=False)
class Grids:
    """Votes of all pixels and what follows.

    Parameters
    ----------
    votes : (H, W) uint8 array
        ``8 * row + col`` of the grid's origin, or `NO_VOTE`.
    main : (int, int) or None
        The picture's grid; None if there is none beyond chance.
    surprise : float
        Of the main grid, as of `ForeignGrid`.
    foreign : tuple of ForeignGrid
        Strongest first.
    mask : (H, W) bool array
        Pixels of the foreign regions.
    drifts : bool
        Regions of several grids lie in a picture that shows none of its own all over: so does a
        JPEG that was resized a little, and nobody pasted them.
    """

    votes: npt.NDArray[np.uint8]
    main: tuple[int, int] | None
    surprise: float
    foreign: tuple[ForeignGrid, ...]
    mask: npt.NDArray[np.bool_]
    drifts: bool = False


def grid_votes(
    luminance: FloatImage, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> npt.NDArray[np.uint8]:
    """Let each pixel vote for the grid whose block around it has most zeros.

    Parameters
    ----------
    luminance : (H, W) float32 array in 0 .. 255
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between strips.

    Returns
    -------
    (H, W) uint8 array
        ``8 * row + col`` of the grid's origin, or `NO_VOTE`: ties, flat blocks, the picture's edge.

    Raises
    ------
    Cancelled
    """
    shape = luminance.shape[0], luminance.shape[1]
    return by_strips(
        lambda rows: _votes(luminance[rows]),
        shape,
        overlap=BLOCK,
        multiple=BLOCK,
        progress=progress,
        cancel=cancel,
        stage="counting zeros",
    )


def _votes(luminance: FloatImage) -> npt.NDArray[np.uint8]:
    """Votes of some rows, by blocks that lie whole in them."""
    if min(luminance.shape) < BLOCK:
        return np.full(luminance.shape, NO_VOTE, np.uint8)
    zeros = block_zeros(luminance).astype(np.uint16) * N_GRIDS
    down, across = (np.arange(n, dtype=np.uint16) % BLOCK for n in zeros.shape)
    grids = BLOCK * down[:, None] + across
    # of the blocks around a pixel each lies on another grid: the largest number tells most zeros,
    # and which grid has them; where another one has as many, counting grids from the end tells it
    highest = _of_blocks_around(zeros + grids)
    lowest = N_GRIDS - 1 - _of_blocks_around(zeros + (N_GRIDS - 1 - grids)) % N_GRIDS
    voted = highest % N_GRIDS
    alone = (voted == lowest) & (highest >= N_GRIDS)
    return np.where(alone, voted, NO_VOTE).astype(np.uint8)


def _of_blocks_around(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """The largest value of the blocks that hold each pixel; values are where blocks begin."""
    for axis in (0, 1):
        beyond = [(0, 0), (0, 0)]
        beyond[axis] = (BLOCK - 1, BLOCK - 1)
        values = _running(np.pad(values, beyond), axis, np.maximum, BLOCK)
    return values


def find_grids(
    votes: npt.NDArray[np.uint8],
    own: tuple[int, int] | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Grids:
    """Find the picture's grid and regions that vote for another.

    Parameters
    ----------
    votes : (H, W) uint8 array
        From `grid_votes`.
    own : (int, int), optional
        Grid that the picture is known to have: a JPEG file's, whatever its blocks vote.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between grids.

    Returns
    -------
    Grids

    Raises
    ------
    Cancelled
    """
    by_tile = _votes_by_tile(votes)
    seen, surprise = _seen(by_tile)
    main = own or seen
    mask = np.zeros(votes.shape, bool)
    foreign = []
    for grid in range(N_GRIDS):
        report(progress, cancel, grid, N_GRIDS, "looking for regions")
        origin = divmod(grid, BLOCK)
        box = _worth_a_look(by_tile[:, grid], by_tile.sum(axis=1), votes.shape)
        if origin == main or box is None:
            continue
        # edges of blocks that it shares with the picture's grid draw votes
        shares = main is not None and (origin[0] == main[0] or origin[1] == main[1])
        for region, inside in _regions(votes, grid, box, 1 / BLOCK if shares else 1 / N_GRIDS):
            place = slice(*region.rows), slice(*region.cols)
            if main is None and not _is_alone(votes, grid, place):
                continue
            mask[place] |= inside
            foreign.append(region)
    foreign.sort(key=lambda region: -region.surprise)
    drifts = seen is None and len({region.grid for region in foreign}) > 1
    return Grids(votes, main, surprise, tuple(foreign), mask, drifts)


def seen_grid(votes: npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    """Row and column of the grid that most of a picture votes for; None if chance explains it."""
    return _seen(_votes_by_tile(votes))[0]


def _seen(by_tile: npt.NDArray[np.int64]) -> tuple[tuple[int, int] | None, float]:
    counts = by_tile.sum(axis=0)
    strongest = int(counts.argmax())
    surprise = votes_surprise(int(counts[strongest]), int(counts.sum()), np.log10(N_GRIDS))
    everywhere = _in_most_tiles(by_tile, strongest)
    return divmod(strongest, BLOCK) if surprise > _SIGNIFICANT and everywhere else None, surprise


def _votes_by_tile(votes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(tiles, 64) votes for each grid in squares of 64 pixels."""
    cols = np.arange(votes.shape[1]) // _TILE
    n_bins = int(cols[-1] + 1) * (N_GRIDS + 1)
    counts = [
        np.bincount((cols * (N_GRIDS + 1) + votes[top : top + _TILE]).ravel(), minlength=n_bins)
        for top in range(0, len(votes), _TILE)
    ]
    return np.concatenate(counts).reshape(-1, N_GRIDS + 1)[:, :N_GRIDS]


def _in_most_tiles(by_tile: npt.NDArray[np.int64], grid: int) -> bool:
    """Whether a grid leads in most tiles that vote at all: a pasted region has one of its own."""
    voting = by_tile[by_tile.sum(axis=1) >= N_GRIDS]
    return bool(len(voting)) and float((voting.argmax(axis=1) == grid).mean()) > 0.5


def _is_alone(votes: npt.NDArray[np.uint8], grid: int, place: tuple[slice, slice]) -> bool:
    """Whether the rest of the picture votes, and not for this grid.

    A picture whose grid shows in some places only has none elsewhere because smooth places do not
    vote: the one that is seen is then its own.
    """
    rest = np.ones(votes.shape, bool)
    rest[place] = False
    voted = votes[rest & (votes != NO_VOTE)]
    if not voted.size or voted.size < _LEAST_VOTING * rest.sum():  # or there is no rest
        return False
    return bool((voted == grid).mean() <= _MOST_ELSEWHERE / N_GRIDS)


def _worth_a_look(
    counts: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], shape: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """Box around tiles that hold more votes than one in a thousand would by chance, if any."""
    expected = totals / N_GRIDS
    spread = np.sqrt(expected * N_GRIDS)  # votes come in blocks of 64
    outstanding = counts > expected + _OUTSTANDING * spread
    if not outstanding.any():
        return None
    tiles = outstanding.reshape(-1, -(-shape[1] // _TILE)).nonzero()
    rows, cols = (
        slice(max(0, at.min() - _BESIDE) * _TILE, min(n, (at.max() + 1 + _BESIDE) * _TILE))
        for at, n in zip(tiles, shape, strict=True)
    )
    return rows, cols


def _regions(
    votes: npt.NDArray[np.uint8], grid: int, box: tuple[slice, slice], chance: float
) -> list[tuple[ForeignGrid, npt.NDArray[np.bool_]]]:
    """Find regions of one grid that chance does not give; first in a box, else all over."""
    tests = np.log10(N_GRIDS) + 2 * np.log10(votes.size)
    voted = votes[box] == grid
    numbers, _ = label(_closed(voted))
    found = []
    for number, at in enumerate(find_objects(numbers), 1):
        sides = [part.stop - part.start for part in at]
        if min(sides) < _LEAST_SIDE:
            continue
        inside = numbers[at] == number
        surprise = votes_surprise(int((voted[at] & inside).sum()), inside.size, tests, chance)
        if surprise <= _SIGNIFICANT:
            continue
        rows, cols = (
            (part.start + begin.start, part.stop + begin.start)
            for part, begin in zip(at, box, strict=True)
        )
        if _touches(rows, box[0], votes.shape[0]) or _touches(cols, box[1], votes.shape[1]):
            return _regions(
                votes, grid, (slice(0, votes.shape[0]), slice(0, votes.shape[1])), chance
            )
        found.append((ForeignGrid(rows, cols, divmod(grid, BLOCK), surprise), inside))
    return found


def _touches(ends: tuple[int, int], box: slice, length: int) -> bool:
    """Whether a region ends where its box does, and not the picture."""
    return (ends[0] == box.start and box.start > 0) or (ends[1] == box.stop and box.stop < length)


def _closed(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Join what lies near each other: grown by half the neighbourhood, then shrunk by it."""
    for combine, edge in ((np.logical_or, "constant"), (np.logical_and, "edge")):
        for axis in (0, 1):
            beyond = [(0, 0), (0, 0)]
            beyond[axis] = (_NEIGHBOUR // 2, _NEIGHBOUR // 2)
            padded = np.pad(mask, beyond, mode=edge)  # type: ignore[call-overload]
            mask = _running(padded, axis, combine, _NEIGHBOUR + 1)
    return mask


def _running(
    values: npt.NDArray[_Value], axis: int, combine: np.ufunc, wanted: int
) -> npt.NDArray[_Value]:
    """Combine each place with those that follow it, as many as are wanted together.

    Windows twice as long are made of two; whole arrays are combined, which is ten times as fast as
    a filter that goes from pixel to pixel.
    """
    values, length = np.moveaxis(values, axis, 0), 1
    while length < wanted:
        step = min(length, wanted - length)
        values, length = combine(values[:-step], values[step:]), length + step
    return np.moveaxis(values, 0, axis)


def votes_surprise(n_votes: int, n: int, log_tests: float, chance: float = 1 / N_GRIDS) -> float:
    """Tell how little chance explains so many votes for one grid.

    Parameters
    ----------
    n_votes, n : int
        Pixels that vote for it, of all; those of one block are counted once.
    log_tests : float
        log10 of how many places and grids were tried.
    chance : float
        Share of votes that it has by chance.

    Returns
    -------
    float
        Minus log10 of the false alarms expected.
    """
    tail = binom.logsf(n_votes // N_GRIDS - 1, max(1, n // N_GRIDS), chance)
    return float(min(-tail / np.log(10) - log_tests, _MOST_SURPRISE))
