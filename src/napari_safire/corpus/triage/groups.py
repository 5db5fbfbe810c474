"""Pictures of a selection that are the same, or look alike, as one with a count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_safire.corpus.triage.ahead import ahead
from napari_safire.corpus.triage.places import PictureFiles, PicturePlace, place_of
from napari_safire.corpus.triage.selection import Selection
from napari_safire.datasets.near_duplicates import ALIKE_BITS, AlikeGroups, Hash, perceptual_hash
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.thumbnails import picture_thumbnail
from napari_safire.progress import Cancel, Progress, report

Grouping = Literal["none", "same", "alike"]
_AT_ONCE = 256  # rows of which it is looked up where they lie


@dataclass(frozen=True, slots=True)
class Groups:
    """Which pictures of a selection belong together.

    Parameters
    ----------
    of : (n,) int array
        The group of each picture of the selection, from 0, in the order of their first pictures;
        as many as there are groups where it belongs to none that is wanted.
    first : (k,) int array
        The place in the selection of the first picture of each group.
    n_looked_at : int or None
        How many different files were compared by their looks; None: nothing was.
    n_unread : int
        How many of these could not be read; each is a group by itself.
    """

    of: npt.NDArray[np.intp] = field(repr=False)
    first: npt.NDArray[np.intp] = field(repr=False)
    n_looked_at: int | None = None
    n_unread: int = 0

    def __len__(self) -> int:
        return len(self.first)

    def members(self, group: int) -> npt.NDArray[np.intp]:
        """Return the places of the pictures of a group in the selection, the first one first."""
        return np.flatnonzero(self.of == group)

    def sizes(self) -> npt.NDArray[np.intp]:
        """Return how many pictures each group has."""
        return np.bincount(self.of, minlength=len(self) + 1)[: len(self)]


def group_pictures(
    selection: Selection,
    grouping: Grouping = "none",
    top: int | None = None,
    *,
    alike_bits: int = ALIKE_BITS,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Groups:
    """Put pictures of a selection together.

    Parameters
    ----------
    selection : Selection
    grouping : {"none", "same", "alike"}
        "none": each is by itself. "same": those whose files have the same bytes, by the manifest.
        "alike": also those that look alike, for which the pictures are read, in their order.
    top : int, optional
        Groups that are wanted, at most; default: all.
    alike_bits : int
        Of 64 bits of their perceptual hashes, in which a picture differs from the first of its
        group at most.
    progress, cancel : callable, optional

    Returns
    -------
    Groups

    Raises
    ------
    DatasetError
        The manifest does not say which files are the same.
    """
    if grouping == "none":
        number = len(selection) if top is None else min(top, len(selection))
        return Groups(np.minimum(np.arange(len(selection)), number), np.arange(number))
    if "file_sha256" not in selection.source.schema.names:
        raise DatasetError("The manifest has no column file_sha256: nothing can be grouped by it.")
    of, first = _same(selection)
    if grouping == "same":
        number = len(first) if top is None else min(top, len(first))
        return Groups(np.minimum(of, number), first[:number])
    return _Alike(selection, of, first, alike_bits).grouped(top, progress, cancel)


def _same(selection: Selection) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Group of each picture by the hash of its file, and the first picture of each group."""
    import pyarrow.compute as pc

    column = pc.fill_null(selection.table(["file_sha256"])["file_sha256"], "").combine_chunks()
    numbers = np.asarray(column.dictionary_encode().indices, np.intp)
    # What could not be read is like nothing else.
    unknown = np.asarray(pc.equal(column, ""))
    numbers = np.where(unknown, len(numbers) + np.arange(len(numbers)), numbers)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first)
    ranks = np.empty(len(order), np.intp)
    ranks[order] = np.arange(len(order))
    return ranks[inverse.reshape(-1)], first[order].astype(np.intp)


class _Alike:
    """Reads pictures in their order, and joins groups of same files that look alike."""

    def __init__(
        self,
        selection: Selection,
        same: npt.NDArray[np.intp],
        first: npt.NDArray[np.intp],
        alike_bits: int,
    ) -> None:
        self._selection, self._same, self._first = selection, same, first
        self._groups = AlikeGroups(alike_bits)

    def grouped(self, top: int | None, progress: Progress | None, cancel: Cancel | None) -> Groups:
        joined = np.full(len(self._first), -1, np.intp)  # of each group of same files
        leaders: list[int] = []
        n_looked_at = n_unread = 0
        for number, (looks, is_read) in enumerate(self._looks()):
            report(progress, cancel, number, len(self._first), "looking at the pictures")
            group = None if looks is None else self._groups.find(looks)
            if group is None:
                if top is not None and len(leaders) >= top:
                    break
                group = len(leaders)
                leaders.append(int(self._first[number]))
                if looks is not None:
                    self._groups.begin(looks, group)
            joined[number] = group
            n_looked_at += 1
            n_unread += not is_read
        of = joined[self._same]
        # Copies of a picture that was looked at count wherever they stand, others do not.
        of = np.where(of < 0, len(leaders), of)
        return Groups(of, np.array(leaders, np.intp), n_looked_at, n_unread)

    def _looks(self) -> Iterator[tuple[Hash | None, bool]]:
        """Hash of the first picture of each group of same files, and whether it was read."""
        for start in range(0, len(self._first), _AT_ONCE):
            some = self._selection.at(self._first[start : start + _AT_ONCE])
            corpus = some.source.corpus
            places = [place_of(p, corpus) for p in some.table(["place"])["place"].to_pylist()]
            with PictureFiles(places) as files:
                yield from ahead(partial(_look, files), places)


def _look(files: PictureFiles, place: PicturePlace) -> tuple[Hash | None, bool]:
    try:
        with files.opened(place) as path:
            return perceptual_hash(picture_thumbnail(path)), True
    except (SafireError, OSError):  # told where it is shown
        return None, False
