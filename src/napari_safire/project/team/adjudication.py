"""From the works of several annotators to one: what all agree on, then decision by decision.

It begins with the pixels that all annotators gave the same source. Everything else is decided by
a list of steps, each by one adjudicator: a region goes to one of the annotators or to neither, all
that is still open goes to one of them, or pixels are painted. Of two steps on one pixel the later
one counts. Labels, and for every pixel where its decision came from, follow from the works and the
steps alone: `resolve` makes the same of the same, wherever and whenever.

Sources have the first annotator's numbers, those that only others have the smallest free ones
(`napari_safire.project.team.alignment`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES, Labels, Stroke
from napari_safire.errors import DatasetError
from napari_safire.project.team.alignment import checked_works
from napari_safire.project.team.disagreement import Disagreements, disagreements

Neither = Literal["neither"]
Choice = int | Neither
"""Place of the annotator in the list of works, from 0; or that none of them is right."""

UNDECIDED, AGREED, PAINTED, NEITHER = 0, 1, 2, 3
FIRST_WORK = 4
"""Where the decision of a pixel came from; from FIRST_WORK on the annotator of that place."""
NO_STEP = -1


@dataclass(frozen=True, slots=True)
class RegionStep:
    """A region of disagreement goes to an annotator, or to neither.

    Parameters
    ----------
    adjudicator : str
    at : str
        When, as ISO 8601 in UTC.
    region : str
        `Region.name`.
    choice : int or "neither"
    """

    adjudicator: str
    at: str
    region: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class RestStep:
    """All that is undecided at this moment, and has a source there, goes to one annotator.

    Parameters
    ----------
    adjudicator, at
        As of a `RegionStep`.
    choice : int
    """

    adjudicator: str
    at: str
    choice: int


@dataclass(frozen=True, slots=True, eq=False)
class PaintStep:
    """Pixels are painted by hand.

    Parameters
    ----------
    adjudicator, at
        As of a `RegionStep`.
    stroke : Stroke
        With the numbers of the resolution; 0 leaves the pixel undecided.
    """

    adjudicator: str
    at: str
    stroke: Stroke


Step = RegionStep | RestStep | PaintStep


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The works that an adjudication starts from.

    Parameters
    ----------
    works : tuple of (H, W) uint8 array
        Under common numbers.
    disagreements : Disagreements
    """

    works: tuple[Labels, ...]
    disagreements: Disagreements

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.disagreements.shape

    def free_number(self, used: Iterable[int] = ()) -> int:
        """Return the smallest number that no annotator's source has.

        Parameters
        ----------
        used : iterable of int
            Others that are taken, such as those painted with.

        Raises
        ------
        DatasetError
            All 255 are taken.
        """
        taken = {n for own in self.disagreements.alignment.numbers for n in own.values()}
        taken.update(used)
        free = next((n for n in range(1, MOST_SOURCES + 1) if n not in taken), None)
        if free is None:
            raise DatasetError(
                f"All {MOST_SOURCES} numbers of sources are taken: paint with one of them."
            )
        return free


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """What the steps so far make of the works.

    Parameters
    ----------
    labels : (H, W) uint8 array
        0 exactly where `origins` is UNDECIDED or NEITHER.
    origins : (H, W) uint8 array
        UNDECIDED, AGREED, PAINTED, NEITHER, or FIRST_WORK plus the place of the annotator.
    steps : (H, W) int32 array
        Which step decided the pixel, from 0; NO_STEP where none did.
    n_steps : int
    """

    labels: Labels
    origins: npt.NDArray[np.uint8]
    steps: npt.NDArray[np.int32] = field(repr=False)
    n_steps: int

    def counts(self) -> dict[int, int]:
        """Count the pixels of each origin that occurs."""
        found = np.bincount(self.origins.ravel())
        return {int(origin): int(found[origin]) for origin in np.flatnonzero(found)}

    @property
    def n_open(self) -> int:
        """Pixels that have no source yet."""
        return int(np.count_nonzero(self.labels == 0))

    def open_regions(self, comparison: Comparison) -> list[int]:
        """Places in the list of the regions in which something is still without a source."""
        listed = comparison.disagreements
        flat = self.labels.ravel()
        return [k for k in range(len(listed.regions)) if not flat[listed.pixels(k)].all()]


def compare(works: Sequence[Labels], *, smallest: int = 1) -> Comparison:
    """Prepare an adjudication.

    Parameters
    ----------
    works : sequence of (H, W) uint8 array
        Labels of two or more annotators; 0 is no source.
    smallest : int
        Regions of fewer pixels are not listed; they are settled by a `RestStep` or painted.

    Returns
    -------
    Comparison

    Raises
    ------
    DatasetError
        They cannot be of one picture, or have more than 255 sources together.
    """
    checked = checked_works(works)
    found = disagreements(checked, smallest=smallest)
    return Comparison(found.alignment.renumbered(checked), found)


def agreed(comparison: Comparison) -> Resolution:
    """Take all that all annotators agree on; everything else is undecided.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Resolution
    """
    first, *others = comparison.works
    same = first > 0
    for labels in others:
        same &= labels == first
    return Resolution(
        np.where(same, first, np.uint8(0)),
        np.where(same, np.uint8(AGREED), np.uint8(UNDECIDED)),
        np.full(first.shape, NO_STEP, np.int32),
        0,
    )


def after(comparison: Comparison, resolution: Resolution, steps: Iterable[Step]) -> Resolution:
    """Take further steps.

    Parameters
    ----------
    comparison : Comparison
    resolution : Resolution
    steps : iterable of Step

    Returns
    -------
    Resolution
        A new one.

    Raises
    ------
    DatasetError
        A step names a region or an annotator that is not there, gives a region to an annotator who
        has no source in it, or paints outside the picture.
    """
    labels, origins = resolution.labels.copy(), resolution.origins.copy()
    decided = resolution.steps.copy()
    number = resolution.n_steps
    for step in steps:
        if isinstance(step, PaintStep):
            _paint(step.stroke, labels, origins, decided, number)
        else:
            pixels, chosen = _chosen(comparison, step, labels, origins)
            labels.ravel()[pixels] = chosen
            neither = step.choice == "neither"
            origins.ravel()[pixels] = NEITHER if neither else FIRST_WORK + int(step.choice)
            decided.ravel()[pixels] = number
        number += 1
    return Resolution(labels, origins, decided, number)


def resolve(comparison: Comparison, steps: Iterable[Step]) -> Resolution:
    """Rebuild labels and origins from the steps of an adjudication; see `after`.

    Parameters
    ----------
    comparison : Comparison
        With all regions listed that the steps name.
    steps : iterable of Step
        In their order.

    Returns
    -------
    Resolution
    """
    return after(comparison, agreed(comparison), steps)


def carried(
    steps: Iterable[Step], before: Comparison, now: Comparison
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Find out which steps still say the same after an annotator revised their work.

    Parameters
    ----------
    steps : iterable of Step
    before, now : Comparison
        Of the works that the steps were taken on, and of the present ones.

    Returns
    -------
    kept, dropped : tuple of Step
        Kept are regions in which every annotator says the same of the same pixels, and strokes
        where the numbers of sources are the same. What was open then is another question now.
    """
    was, found = before.disagreements, now.disagreements
    kept: list[Step] = []
    dropped: list[Step] = []
    for step in steps:
        same = isinstance(step, PaintStep) and was.alignment == found.alignment
        if isinstance(step, RegionStep) and step.region in was and step.region in found:
            old, new = (d.regions[d.number_of(step.region)] for d in (was, found))
            same = old.sources == new.sources
        (kept if same else dropped).append(step)
    return tuple(kept), tuple(dropped)


def _chosen(
    comparison: Comparison,
    step: RegionStep | RestStep,
    labels: Labels,
    origins: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Find the pixels of a step, by flat index, and the labels that they get."""
    choice, n_works = step.choice, len(comparison.works)
    if choice != "neither" and not 0 <= choice < n_works:
        raise DatasetError(
            f"There is no annotator {choice} in this adjudication: choose 0 to {n_works - 1}, or "
            "neither."
        )
    if isinstance(step, RestStep):
        own = comparison.works[step.choice].ravel()
        pixels = np.flatnonzero((origins.ravel() == UNDECIDED) & (own > 0))
        return pixels, own[pixels]
    listed = comparison.disagreements
    number = listed.number_of(step.region)
    pixels = listed.pixels(number)
    if choice == "neither":
        return pixels, np.zeros(len(pixels), np.uint8)
    own = comparison.works[choice].ravel()[pixels]
    if not own[0]:  # the same on all of the region
        raise DatasetError(
            f"The annotator chosen for region {step.region} has no source there: choose another "
            "one, or paint it."
        )
    return pixels, own


def _paint(
    stroke: Stroke,
    labels: Labels,
    origins: npt.NDArray[np.uint8],
    decided: npt.NDArray[np.int32],
    number: int,
) -> None:
    (height, width), (rows, cols) = labels.shape, stroke.mask.shape
    bottom, right = stroke.top + rows, stroke.left + cols
    if stroke.top < 0 or stroke.left < 0 or bottom > height or right > width:
        raise DatasetError(
            f"A stroke reaches from ({stroke.top}, {stroke.left}) to ({bottom}, {right}), beyond "
            f"the picture's {height} x {width} pixels: it belongs to another picture."
        )
    painted = stroke.labels[stroke.mask]
    if painted.size and not 0 <= painted.min() <= painted.max() <= MOST_SOURCES:
        raise DatasetError(
            f"A stroke paints sources {painted.min()} to {painted.max()}: sources are numbered "
            f"from 1 to {MOST_SOURCES}, and 0 is no source."
        )
    stroke.put(labels, stroke.labels)
    stroke.put(origins, np.where(stroke.labels > 0, np.uint8(PAINTED), np.uint8(UNDECIDED)))
    stroke.put(decided, np.int32(number))
