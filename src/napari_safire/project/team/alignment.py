"""Common numbers for the sources of several people, who each numbered them in their own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES, Labels
from napari_safire.errors import DatasetError
from napari_safire.metrics import confusion_matrix
from napari_safire.partitioning.matching import matched_pairs

CountArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which sources of several people are the same.

    Parameters
    ----------
    numbers : tuple of dict of int to int
        For each person the common number of each of their sources, those without pixels left out.
        The first person's numbers stay; sources that are matched with none of theirs take the
        smallest free ones. 0, no source, is not among them.
    """

    numbers: tuple[dict[int, int], ...]

    @property
    def highest(self) -> int:
        """The highest common number, 0 where nobody has a source."""
        return max((max(own.values(), default=0) for own in self.numbers), default=0)

    def matched(self, first: int, second: int) -> tuple[tuple[int, int], ...]:
        """Sources of two people that are the same: theirs and the other's number, by the first."""
        others = {common: own for own, common in self.numbers[second].items()}
        return tuple(
            (own, others[common])
            for own, common in sorted(self.numbers[first].items())
            if common in others
        )

    def own_number(self, person: int, common: int) -> int:
        """Return a person's own number of a source, 0 where they have none like it."""
        return next((own for own, c in self.numbers[person].items() if c == common), 0)

    def renumbered(self, works: Sequence[Labels]) -> tuple[Labels, ...]:
        """Bring labels to the common numbers.

        Parameters
        ----------
        works : sequence of (H, W) uint8 array
            Those that were aligned, in the same order.

        Returns
        -------
        tuple of (H, W) uint8 array

        Raises
        ------
        DatasetError
            There are more sources than labels can hold.
        """
        if self.highest > MOST_SOURCES:
            raise DatasetError(
                f"Together the annotators have {self.highest} sources, and labels hold "
                f"{MOST_SOURCES}: merge sources, or remove islands, in one of the works first."
            )
        found = []
        for labels, own in zip(works, self.numbers, strict=True):
            table = np.zeros(MOST_SOURCES + 1, np.uint8)
            table[list(own)] = list(own.values())
            found.append(table[labels])
        return tuple(found)


def checked_works(works: Sequence[Labels]) -> tuple[Labels, ...]:
    """Check that label images can be of one picture.

    Parameters
    ----------
    works : sequence of (H, W) uint8 array

    Returns
    -------
    tuple of (H, W) uint8 array
        The same.

    Raises
    ------
    DatasetError
        There is none, or they are of different sizes or no labels of this project.
    """
    checked = tuple(np.asarray(labels) for labels in works)
    if not checked:
        raise DatasetError("There are no labels to compare: choose at least one annotator's.")
    for labels in checked:
        if labels.ndim != 2 or not labels.size or labels.dtype != np.uint8:
            raise DatasetError(
                f"Labels are {labels.dtype} of shape {labels.shape}: give whole numbers 0 to 255 "
                "in 8 bits, one for each pixel."
            )
        if labels.shape != checked[0].shape:
            sizes = [" x ".join(map(str, array.shape)) for array in (checked[0], labels)]
            raise DatasetError(
                f"One annotation has {sizes[0]} pixels, another one {sizes[1]}: they are of "
                "different pictures, or one was turned or resized. Annotate the picture again."
            )
    return checked


def align(works: Sequence[Labels]) -> Alignment:
    """Find out which sources of several people are the same.

    Sources of two people are matched one to one so that as many pixels as possible agree; a third
    one's with those of both before, and so on.

    Parameters
    ----------
    works : sequence of (H, W) uint8 array
        Labels of one person each; 0 is no source.

    Returns
    -------
    Alignment

    Raises
    ------
    DatasetError
        As of `checked_works`.
    """
    checked = checked_works(works)
    if len(checked) == 1:
        present = np.flatnonzero(np.bincount(checked[0].ravel()))
        return Alignment(({int(n): int(n) for n in present if n},))
    counts = {
        (i, j): confusion_matrix(checked[i], checked[j])
        for j in range(len(checked))
        for i in range(j)
    }
    return alignment_of_counts(len(checked), counts)


def alignment_of_counts(n_people: int, counts: dict[tuple[int, int], CountArray]) -> Alignment:
    """Align as `align` does, from how many pixels sources share.

    Parameters
    ----------
    n_people : int
        2 or more.
    counts : dict of (int, int) to (n, K) int array
        `confusion_matrix` of each two people, the lower one first; row and column 0 are pixels
        without a source.

    Returns
    -------
    Alignment
    """
    numbers: list[dict[int, int]] = []
    for person in range(n_people):
        before = range(person)
        sizes = counts[0, 1].sum(axis=1) if person == 0 else counts[0, person].sum(axis=0)
        present = [int(n) for n in np.flatnonzero(sizes) if n]
        if not numbers:
            numbers.append({n: n for n in present})
            continue
        taken = {common for own in numbers for common in own.values()}
        shared = np.zeros((max(taken, default=0) + 1, len(sizes)))
        chance = np.zeros_like(shared)
        for other in before:
            pairs = counts[other, person]
            for own, common in numbers[other].items():
                shared[common] += pairs[own]
                chance[common] += float(pairs[own].sum()) * sizes
        shared[:, 0] = 0
        own_number = {
            int(column): int(row) for row, column in zip(*_matched(shared, chance), strict=True)
        }
        free = iter([n for n in range(1, len(taken) + len(present) + 1) if n not in taken])
        numbers.append({n: own_number[n] if n in own_number else next(free) for n in present})
    return Alignment(tuple(numbers))


def _matched(
    shared: npt.NDArray[np.float64], chance: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Match so that most is shared; of equally good ways, so that chance would give most.

    Without the second rule the numbers of sources would settle which of equal ways is taken, and
    with it how much agreement chance is thought to give. What chance gives all pairs together
    weighs less than one pixel.
    """
    total = max(float(chance.sum()), 1.0)
    return matched_pairs(np.where(shared > 0, shared + 0.5 * chance / total, 0.0))
