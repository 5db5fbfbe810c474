"""Grid and history of JPEG compression, cell by cell."""

from __future__ import annotations

import numpy as np

from napari_safire.forensics.compression.coefficients import BLOCK
from napari_safire.forensics.compression.compatibility import out_of_range
from napari_safire.forensics.compression.compatibility_view import former_jpeg
from napari_safire.forensics.compression.double import double_compression
from napari_safire.forensics.compression.grid import N_GRIDS, votes_surprise
from napari_safire.forensics.picture import Picture
from napari_safire.progress import Cancel
from napari_safire.review.regions.cells import Floats, Ints, Places
from napari_safire.types import FloatImage

_LEAST_VOTES = 32  # pixels of a cell: fewer say nothing
_SIGNIFICANT = 1.0  # minus log10 of the grids that chance would show


def grid_values(votes: Ints, sources: Ints, source: int) -> tuple[Floats, str] | str:
    """Tell how much each cell votes for the grid that leads in a source beside the rest's own.

    How clearly a grid shows depends on texture; on which grid blocks lie does not.

    Parameters
    ----------
    votes : (n, 65) int array
        By cell and grid; the last column has pixels that do not vote.
    sources : (n,) int array
        Value in the labels; -1 where several meet.
    source : int

    Returns
    -------
    shares : (n,) float array
        Per cent of the cell's votes; ``nan`` where few pixels vote.
    detail : str
        Where blocks begin in both, if they surely differ. Or a str alone: why none can be compared.
    """
    of_grid = votes[:, :N_GRIDS]
    counts = of_grid[sources == source].sum(axis=0)
    of_rest = of_grid[(sources != source) & (sources >= 0)].sum(axis=0)
    main = int(of_rest.argmax())
    if not any(_shows(part, int(part.argmax())) for part in (counts, of_rest)):
        return "no grid of 8 x 8 blocks shows"
    foreign = int(np.where(np.arange(N_GRIDS) == main, -1, counts).argmax())
    total = of_grid.sum(axis=1)
    share = 100 * of_grid[:, foreign] / np.maximum(total, 1)
    shares = np.where(total >= _LEAST_VOTES, share, np.nan)
    if counts[foreign] <= counts[main] or not _shows(counts, foreign):
        return shares, ""
    theirs = f"at {_place(main)}" if _shows(of_rest, main) else "nowhere in particular"
    return shares, f"its blocks begin at {_place(foreign)}; those of the rest {theirs}"


def _shows(counts: Ints, grid: int) -> bool:
    """Whether chance does not give one of all grids so many votes."""
    tests = float(np.log10(N_GRIDS))
    return votes_surprise(int(counts[grid]), int(counts.sum()), tests) > _SIGNIFICANT


def _place(grid: int) -> str:
    return "row {}, column {}".format(*divmod(grid, BLOCK))


def history(picture: Picture, squares: Places, *, cancel: Cancel | None = None) -> Floats | str:
    """Tell how much speaks for each place lacking the former compression of the others.

    Parameters
    ----------
    picture : Picture
    squares : Places
        Of 8 pixels a side.
    cancel : callable, optional
        Asked in between.

    Returns
    -------
    (n,) float array or str
        Log-likelihood ratio of the block whose centre lies in each square, above 0 where it lacks
        it; or why there is none.

    Raises
    ------
    Cancelled
    """
    if picture.is_jpeg:
        try:
            jpeg = picture.coefficients
        except ValueError as error:
            return str(error).removesuffix(".")
        found = double_compression(jpeg, out_of_range(picture.rgb), cancel=cancel)
        if not found.first_steps:
            return "the file shows no compression before its last"
        return _on_squares(found.log_ratios, (0, 0), squares)
    former = former_jpeg(picture, cancel=cancel)
    if former is None:
        return "no JPEG file, and no traces of a former one"
    if not former.unchanged:
        return "a JPEG once, but brightness or colours were changed since"
    return _on_squares(former.ratios, former.grid, squares)


def _on_squares(ratios: FloatImage, grid: tuple[int, int], squares: Places) -> Floats:
    """Ratio of each square's block; ``nan`` where none has its centre in it."""
    at = [
        (places // BLOCK * BLOCK - start + BLOCK // 2) // BLOCK
        for places, start in zip((squares.rows, squares.cols), grid, strict=True)
    ]
    there = np.ones(len(squares), bool)
    for numbers, n in zip(at, ratios.shape, strict=True):
        there &= (numbers >= 0) & (numbers < n)
    found = np.full(len(squares), np.nan)
    found[there] = ratios[at[0][there], at[1][there]]
    return found
