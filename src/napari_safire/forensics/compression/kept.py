"""What several views, and copies of a picture, rest on: made once, kept by the pixels.

A JPEG, and the same picture saved as a PNG, have the same votes for grids and the same ghosts; so
have the squares that a region table looks at.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.cache import BASES
from napari_safire.forensics.compression.grid import Grids, find_grids, grid_votes, seen_grid
from napari_safire.forensics.compression.resaving import ghosts
from napari_safire.forensics.picture import Picture
from napari_safire.progress import Cancel, Progress, within
from napari_safire.types import FloatImage


def grids_of(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Grids:
    """Find a picture's grid and the regions on another one.

    Parameters
    ----------
    picture : Picture
        Of a JPEG file the grid is known.
    progress, cancel : callable, optional
        As of `napari_safire.forensics.compression.grid.grid_votes`.

    Returns
    -------
    Grids

    Raises
    ------
    Cancelled
    """

    def vote() -> npt.NDArray[np.uint8]:
        found = grid_votes(picture.luminance, progress=within(progress, 0, 70), cancel=cancel)
        found.flags.writeable = False
        return found

    votes = BASES.obtain(_votes_key(picture), vote, cancel)
    # what the file says counts for nothing where the votes say the same
    main = (0, 0) if picture.is_jpeg else seen_grid(votes)
    return BASES.obtain(
        (picture.pixels_sha256, "grids", main),
        lambda: find_grids(votes, main, progress=within(progress, 70, 100), cancel=cancel),
        cancel,
    )


def known_votes(picture: Picture) -> npt.NDArray[np.uint8] | None:
    """Return a picture's votes for grids, if they are kept."""
    found: npt.NDArray[np.uint8] | None = BASES.known(_votes_key(picture))
    return found


def ghosts_of(
    picture: Picture,
    qualities: Sequence[int],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FloatImage:
    """Change of each place when saved at each quality, in cells of 16 pixels.

    Parameters
    ----------
    picture : Picture
    qualities : sequence of int
    progress, cancel : callable, optional
        As of `napari_safire.forensics.compression.resaving.ghosts`.

    Returns
    -------
    (len(qualities), h, w) float32 array in [0, 1]

    Raises
    ------
    Cancelled
    """
    return BASES.obtain(
        _ghosts_key(picture, qualities),
        lambda: ghosts(picture.rgb, qualities, progress=progress, cancel=cancel),
        cancel,
    )


def known_ghosts(picture: Picture, qualities: Sequence[int]) -> FloatImage | None:
    """Return what `ghosts_of` gave, if it is kept."""
    found: FloatImage | None = BASES.known(_ghosts_key(picture, qualities))
    return found


def _votes_key(picture: Picture) -> Hashable:
    return picture.pixels_sha256, "votes for grids"


def _ghosts_key(picture: Picture, qualities: Sequence[int]) -> Hashable:
    return picture.pixels_sha256, "ghosts", tuple(qualities)
