"""JPEG grids: a region pasted from another JPEG file has a grid of another origin.

Nikoukhah, Anger, Colom, Morel and Grompone von Gioi, "ZERO: a local JPEG grid origin detector based
on the number of DCT zeros and its applications in image forensics", IPOL 11, 2021. Every pixel
votes for the grid whose 8 x 8 block around it has the most DCT coefficients that round to zero; a
grid is there where its votes cannot be chance (expected false alarms below one). The paper grows
regions of foreign votes; here windows of 64 x 64 pixels are tested. Its second test, regions that
have lost their grid, is not made: what is found here is a second grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn
from scipy.ndimage import uniform_filter1d
from scipy.stats import binom

from baselines.description import require_side, spread
from baselines.nothing import OneSource
from napari_safire.types import FloatImage

_SIDE = 8
_PHASES = _SIDE * _SIDE
_ZERO = 0.5  # a coefficient below this rounds to zero
_WINDOW = 8  # blocks of 8 x 8 pixels a side


@dataclass(frozen=True, slots=True, eq=False)
class GridVotes:
    """Votes for grids in windows over a picture that has a grid.

    Parameters
    ----------
    votes : (h, w, 64) float array
        Of each window, by origin 8 row + col.
    found : (h, w, 64) bool array
        Where these votes cannot be chance.
    main : int
        Origin of the picture's own grid.
    shape : (int, int)
        Rows and columns of the picture.
    """

    votes: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    main: int
    shape: tuple[int, int]

    def memberships(self, n_sources: int, seed: int) -> FloatImage:
        """Shares of the picture's own grid and of the foreign ones found most often."""
        area = self.found.sum(axis=(0, 1))
        area[self.main] = 0
        strongest = np.argsort(-area, kind="stable")[: n_sources - 1]
        kept = [self.main, *(int(grid) for grid in strongest if area[grid])]
        votes = np.where(self.found, self.votes, 0)[..., kept]
        votes[..., 0] = self.votes[..., self.main]
        totals = votes.sum(axis=2)
        votes[totals == 0] = np.eye(len(kept))[0]
        shares = votes / votes.sum(axis=2, keepdims=True)
        rows, cols = (_SIDE * (np.arange(n) + _WINDOW / 2) - 0.5 for n in totals.shape)
        return spread(np.moveaxis(shares, 2, 0), rows, cols, self.shape)


def jpeg_grid(luma: FloatImage) -> GridVotes | OneSource:
    """Find the grids of a picture; one source where it has none.

    Parameters
    ----------
    luma : (H, W) float array, 0 to 255

    Returns
    -------
    GridVotes or OneSource

    Raises
    ------
    SafireError
        Less than 72 pixels a side.
    """
    require_side(luma, _SIDE * (_WINDOW + 1), "JPEG grid")
    counts = _vote_counts(_votes(luma))
    whole = counts.sum(axis=(0, 1))
    main = int(whole.argmax())
    if not _beyond_chance(whole, n_windows=1)[main]:
        return OneSource((luma.shape[0], luma.shape[1]))
    votes = counts
    for axis in (0, 1):
        sums = uniform_filter1d(votes, _WINDOW, axis=axis) * _WINDOW
        kept = range(_WINDOW // 2, votes.shape[axis] - _WINDOW // 2 + 1)
        votes = np.take(sums, kept, axis=axis)
    votes = np.rint(votes)
    found = _beyond_chance(votes, n_windows=votes.shape[0] * votes.shape[1])
    return GridVotes(votes, found, main, (luma.shape[0], luma.shape[1]))


def _beyond_chance(votes: npt.NDArray[np.float64], n_windows: int) -> npt.NDArray[np.bool_]:
    """Whether so many votes for one of 64 grids are expected less than once by chance.

    The 64 blocks around a pixel overlap, so 64 votes count as one that is independent (paper,
    section 3).
    """
    hits = np.floor(votes / _PHASES)
    trials = np.ceil(votes.sum(axis=-1, keepdims=True) / _PHASES)
    return _PHASES * n_windows * binom.sf(hits - 1, trials, 1 / _PHASES) < 1


def _vote_counts(votes: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """(H // 8, W // 8, 64) counts of the votes in each cell of 8 x 8 pixels."""
    height, width = votes.shape[0] // _SIDE, votes.shape[1] // _SIDE
    cut = votes[: height * _SIDE, : width * _SIDE].reshape(height, _SIDE, width, _SIDE)
    cells = cut.swapaxes(1, 2).reshape(height * width, _PHASES)
    codes = cells + (_PHASES + 1) * np.arange(height * width)[:, None] + 1
    counts = np.bincount(codes.ravel(), minlength=(_PHASES + 1) * height * width)
    return counts.reshape(height, width, _PHASES + 1)[..., 1:].astype(np.float64)


def _votes(luma: FloatImage) -> npt.NDArray[np.int16]:
    """Origin that each pixel votes for, 8 row + col; -1 where two are as good or none is."""
    zeros = _zeros_of_blocks(luma)
    height, width = luma.shape
    best = np.full((height, width), -1, np.int8)
    vote = np.full((height, width), -1, np.int16)
    for row in range(_SIDE):
        for col in range(_SIDE):
            # The block of this origin that holds the pixel begins at its last grid line.
            rows = np.arange(height) - (np.arange(height) - row) % _SIDE
            cols = np.arange(width) - (np.arange(width) - col) % _SIDE
            inside = (rows >= 0)[:, None] & (cols >= 0)[None, :]
            here = np.where(inside, zeros[np.ix_(rows, cols)], -1)
            better = here > best
            vote[(here == best) & inside] = -1
            vote[better] = _SIDE * row + col
            best[better] = here[better]
    return vote


def _zeros_of_blocks(luma: FloatImage) -> npt.NDArray[np.int8]:
    """Number of zeros among the 63 alternating DCT coefficients of the block at each pixel.

    -1 where no block begins, or where it is constant along rows or columns and so says nothing.
    """
    height, width = luma.shape
    zeros = np.full((height, width), -1, np.int8)
    for row in range(_SIDE):
        for col in range(_SIDE):
            rows, cols = (height - row) // _SIDE, (width - col) // _SIDE
            cut = luma[row : row + rows * _SIDE, col : col + cols * _SIDE].astype(np.float32)
            blocks = cut.reshape(rows, _SIDE, cols, _SIDE).swapaxes(1, 2)
            small = np.abs(dctn(blocks, axes=(2, 3), norm="ortho")) < _ZERO
            small[..., 0, 0] = False
            constant = small[..., 1:, :].all(axis=(2, 3)) | small[..., 1:].all(axis=(2, 3))
            count = np.where(constant, -1, small.sum(axis=(2, 3)))
            zeros[row : row + rows * _SIDE : _SIDE, col : col + cols * _SIDE : _SIDE] = count
    return zeros
