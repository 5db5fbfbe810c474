"""Where annotators disagree: connected regions that can be named, jumped to and decided.

In one region every annotator says one thing: it is a connected set of pixels (over edges or
corners) on which the annotators' sources, under common numbers, are the same tuple, not all equal.
A region is named by its pixels alone, so that its name is the same whenever it is found again,
however the sources are numbered and whatever changed elsewhere; a picture's hash and this name are
its address. Pixels that nobody gave a source are no disagreement: they are simply not done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import Labels
from napari_safire.errors import DatasetError
from napari_safire.project.team.alignment import Alignment, align, checked_works

IndexArray = npt.NDArray[np.int64]
_NAME_LENGTH = 16  # hexadecimal digits: in a million regions two share one with odds of 1 in 10^7


@dataclass(frozen=True, slots=True)
class Region:
    """A connected place about which annotators disagree.

    Parameters
    ----------
    name : str
        Of its pixels; see the module.
    area : int
        Pixels.
    row, col : int
        A pixel of the region: the middle of its longest run in a row.
    top, left, bottom, right : int
        The box around it; the last two are one beyond it.
    sources : tuple of int
        What each annotator says, in their own numbers; 0 is no source.
    """

    name: str
    area: int
    row: int
    col: int
    top: int
    left: int
    bottom: int
    right: int
    sources: tuple[int, ...]

    def address(self, picture_sha256: str) -> str:
        """Return what it is known by in the whole project, whatever is in front of it in a list."""
        return f"{picture_sha256}/{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Disagreements:
    """All places about which the annotators of a picture disagree.

    Parameters
    ----------
    shape : (int, int)
    alignment : Alignment
        Which sources of the annotators are the same.
    regions : tuple of Region
        Largest first; of equally large ones the upper left one.
    n_small, small_area : int
        Regions below the smallest area that was asked for, and their pixels.
    starts, lengths : (R,) int64 array
        Runs of pixels in the rows of the picture, by flat index; first those of the first region,
        and so on, the small ones last.
    ends : (N + 1,) int64 array
        The runs of region k are ``ends[k]:ends[k + 1]``.
    """

    shape: tuple[int, int]
    alignment: Alignment
    regions: tuple[Region, ...]
    n_small: int
    small_area: int
    starts: IndexArray = field(repr=False)
    lengths: IndexArray = field(repr=False)
    ends: IndexArray = field(repr=False)
    _places: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = {region.name: k for k, region in enumerate(self.regions)}
        object.__setattr__(self, "_places", places)

    @property
    def area(self) -> int:
        """Pixels about which the annotators disagree."""
        return int(self.lengths.sum())

    def __contains__(self, name: object) -> bool:
        """Whether a region of this name is listed."""
        return name in self._places

    def number_of(self, name: str) -> int:
        """Return the place of a region in the list, from 0.

        Raises
        ------
        DatasetError
            There is none of this name.
        """
        found = self._places.get(name)
        if found is None:
            raise DatasetError(
                f"There is no region {name} in which these annotations disagree: it was settled, "
                "or one of them was revised. Compare their present revisions."
            )
        return found

    def pixels(self, number: int) -> IndexArray:
        """Return the pixels of a region, by flat index.

        Parameters
        ----------
        number : int
            Its place in the list, from 0.

        Returns
        -------
        (area,) int64 array
            Ascending.
        """
        runs = slice(self.ends[number], self.ends[number + 1])
        return _pixels(self.starts[runs], self.lengths[runs])

    def map(self) -> npt.NDArray[np.int32]:
        """Draw the regions.

        Returns
        -------
        (H, W) int32 array
            0 where there is no disagreement, else the region's place in the list, from 1; those
            that are too small to be listed have the numbers after the last.
        """
        drawn = np.zeros(self.shape, np.int32)
        n_runs = np.diff(self.ends)
        of_run = np.repeat(np.arange(1, len(n_runs) + 1, dtype=np.int32), n_runs)
        drawn.ravel()[_pixels(self.starts, self.lengths)] = np.repeat(of_run, self.lengths)
        return drawn


def disagreements(works: Sequence[Labels], *, smallest: int = 1) -> Disagreements:
    """Find the places about which annotators disagree.

    Parameters
    ----------
    works : sequence of (H, W) uint8 array
        Labels of two or more annotators; 0 is no source.
    smallest : int
        Regions of fewer pixels are counted, not listed.

    Returns
    -------
    Disagreements

    Raises
    ------
    DatasetError
        They cannot be of one picture, or there are fewer than two.
    """
    checked = checked_works(works)
    if len(checked) < 2:
        raise DatasetError("Only one annotation is there: two are needed to compare them.")
    alignment = align(checked)
    pieces = _pieces(alignment.renumbered(checked))
    starts, lengths, piece = _runs(pieces)
    areas = np.bincount(piece, weights=lengths, minlength=1).astype(np.int64)[1:]
    # Pieces are numbered from the upper left, and the order of equal areas is kept.
    order = np.argsort(-areas, kind="stable")
    rank = np.empty(len(areas) + 1, np.int64)
    rank[order + 1] = np.arange(len(areas))
    rank[0] = -1
    by_rank = np.argsort(rank[piece], kind="stable")
    starts, lengths = starts[by_rank], lengths[by_rank]
    n_runs = np.bincount(rank[piece], minlength=len(areas)) if len(areas) else np.zeros(0, int)
    ends = np.concatenate([[0], np.cumsum(n_runs)]).astype(np.int64)
    sorted_areas = areas[order]
    n_listed = int(np.count_nonzero(sorted_areas >= smallest))
    shape = (checked[0].shape[0], checked[0].shape[1])
    regions = tuple(
        _region(checked, starts[ends[k] : ends[k + 1]], lengths[ends[k] : ends[k + 1]])
        for k in range(n_listed)
    )
    return Disagreements(
        shape,
        alignment,
        regions,
        len(areas) - n_listed,
        int(sorted_areas[n_listed:].sum()),
        starts,
        lengths,
        ends,
    )


def _pieces(works: Sequence[Labels]) -> npt.NDArray[np.integer]:
    """Number the connected pieces of equal tuples that are not all equal, 0 elsewhere."""
    from skimage import measure  # slow to load

    codes: npt.NDArray[np.integer] = works[0]
    differs = np.zeros(codes.shape, np.bool_)
    for labels in works[1:]:
        unlike = labels != works[0]
        differs |= unlike
        if labels is not works[1]:
            # Three or more: number the tuples so far anew, so that they fit beside the next; from
            # 1, for 0 is where all agree.
            codes = np.unique(codes, return_inverse=True)[1].reshape(codes.shape) + 1
        codes = codes.astype(np.int64) * 256 + labels
    codes[~differs] = 0
    return measure.label(codes, background=0, connectivity=2)


def _runs(pieces: npt.NDArray[np.integer]) -> tuple[IndexArray, IndexArray, IndexArray]:
    """Cut the pieces into runs along rows: flat starts, lengths, and whose they are."""
    height, width = pieces.shape
    begins = np.ones((height, width), np.bool_)
    begins[:, 1:] = pieces[:, 1:] != pieces[:, :-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=pieces.size)
    piece = pieces.ravel()[starts]
    kept = piece > 0
    return starts[kept], lengths[kept], piece[kept].astype(np.int64)


def _pixels(starts: IndexArray, lengths: IndexArray) -> IndexArray:
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    total = int(lengths.sum())
    return np.repeat(starts - before, lengths) + np.arange(total, dtype=np.int64)


def _region(works: Sequence[Labels], starts: IndexArray, lengths: IndexArray) -> Region:
    height, width = works[0].shape
    rows, cols = np.divmod(starts, width)
    longest = int(np.argmax(lengths))
    row, col = int(rows[longest]), int(cols[longest] + lengths[longest] // 2)
    named = hashlib.sha256(f"{height} x {width} ".encode())
    named.update(np.stack([starts, lengths]).astype("<i8").tobytes())
    return Region(
        name=named.hexdigest()[:_NAME_LENGTH],
        area=int(lengths.sum()),
        row=row,
        col=col,
        top=int(rows[0]),
        left=int(cols.min()),
        bottom=int(rows[-1]) + 1,
        right=int((cols + lengths).max()),
        sources=tuple(int(labels[row, col]) for labels in works),
    )
