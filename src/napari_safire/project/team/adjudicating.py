"""Adjudications of a project: begun from the annotators' works, kept as work of the adjudicator.

An adjudicator works on labels as everybody does: with brushes, edits and undo. What is chosen for
regions is noted beside; `OpenAdjudication.decided` says what of it still stands in the labels, and
takes all other differences for painted. So the decisions always give the labels that they are kept
with, and `proved` makes these again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES, Labels, Stroke
from napari_safire.errors import DatasetError
from napari_safire.metrics import confusion_matrix
from napari_safire.partitioning.matching import matched_pairs
from napari_safire.project.chain.events import now
from napari_safire.project.pictures import find_picture
from napari_safire.project.store import Project
from napari_safire.project.team.adjudication import (
    UNDECIDED,
    Comparison,
    PaintStep,
    RegionStep,
    Resolution,
    RestStep,
    Step,
    after,
    agreed,
    carried,
    compare,
    resolve,
)
from napari_safire.project.team.adjudication_record import (
    Adjudication,
    WorkReference,
    decode_adjudication,
)
from napari_safire.project.team.merged_descriptions import Question, merged_descriptions
from napari_safire.project.truth import PictureDescription
from napari_safire.project.visibility import FINISHED, PictureWorks
from napari_safire.project.work import Work, find_work, read_labels, works
from napari_safire.text import printable

SMALLEST = 16
"""Pixels of a region that is listed for itself."""

Chosen = RegionStep | RestStep


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What labels say of an adjudication.

    Parameters
    ----------
    steps : tuple of Step
        From which `labels` follow.
    numbers : tuple of (int, int)
        See `Adjudication`.
    resolution : Resolution
        What the steps make of the works, under common numbers.
    """

    steps: tuple[Step, ...]
    numbers: tuple[tuple[int, int], ...]
    resolution: Resolution

    @property
    def labels(self) -> Labels:
        """(H, W) uint8 array: the labels that it was read off."""
        return self.numbered(self.resolution.labels)

    def numbered(self, common: Labels) -> Labels:
        """Bring labels under common numbers to those of `labels`; uint8 of any shape."""
        return _table(self.numbers)[common]


@dataclass(frozen=True, slots=True, eq=False)
class OpenAdjudication:
    """An adjudication that is being worked on.

    Parameters
    ----------
    adjudicator : str
    works : tuple of Work
        Of the annotators, by name; their places are those of the choices.
    comparison : Comparison
    chosen : tuple of RegionStep or RestStep
        In earlier revisions.
    n_dropped : int
        Steps of an earlier revision that say nothing of the present works.
    """

    adjudicator: str
    works: tuple[Work, ...]
    comparison: Comparison
    chosen: tuple[Chosen, ...] = ()
    n_dropped: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The annotators, in the order of their places."""
        return tuple(work.annotator for work in self.works)

    @property
    def begun_from(self) -> str:
        """What the work is said to have begun from; see `Work`."""
        return "work of " + " and ".join(self.names)

    def beginning(self) -> Labels:
        """Return what all agree on: (H, W) uint8, 0 elsewhere."""
        return agreed(self.comparison).labels

    def description(self) -> tuple[PictureDescription, tuple[Question, ...]]:
        """Return what the annotators say of the sources, and what they say differently."""
        return merged_descriptions(
            self.comparison.disagreements.alignment, [work.description for work in self.works]
        )

    def decided(self, labels: Labels, chosen: Sequence[Chosen]) -> Decided:
        """Find the steps that give some labels.

        Parameters
        ----------
        labels : (H, W) uint8 array
            However they came about.
        chosen : sequence of RegionStep or RestStep
            All that was chosen so far, undone or not. What still stands in more than half of its
            pixels counts; of several choices for one region the latest that stands in most.
            "Neither" stands where something else is painted, and while nothing is.

        Returns
        -------
        Decided
            Pixels that none of them gives are painted, by this adjudicator.
        """
        numbers = self._numbers(labels)
        inverse = np.zeros(MOST_SOURCES + 1, np.uint8)
        inverse[_table(numbers)] = np.arange(MOST_SOURCES + 1)
        common = labels if not numbers else inverse[labels]
        steps: list[Step] = list(self._standing(common, chosen))
        found = resolve(self.comparison, steps)
        for rest in reversed([step for step in chosen if isinstance(step, RestStep)]):
            own = self.comparison.works[rest.choice]
            open_ = (found.origins == UNDECIDED) & (own > 0)
            if np.count_nonzero(common[open_] == own[open_]) * 2 > np.count_nonzero(open_):
                steps.append(rest)
                found = after(self.comparison, found, [rest])
        painted = Stroke.between(found.labels, common)
        if painted is not None:
            stroke = PaintStep(self.adjudicator, now(), painted)
            steps.append(stroke)
            found = after(self.comparison, found, [stroke])
        return Decided(tuple(steps), numbers, found)

    def record(self, decided: Decided) -> Adjudication:
        """Return all that an adjudication rests on."""
        references = tuple(
            WorkReference(work.annotator, work.revision, str(work.labels)) for work in self.works
        )
        return Adjudication(self.comparison.shape, references, decided.steps, decided.numbers)

    def _standing(self, common: Labels, chosen: Sequence[Chosen]) -> list[RegionStep]:
        """Choices of regions that the labels show, in their order."""
        listed, flat = self.comparison.disagreements, common.ravel()
        by_region: dict[str, list[tuple[int, RegionStep]]] = {}
        for place, step in enumerate(chosen):
            if isinstance(step, RegionStep) and step.region in listed:
                by_region.setdefault(step.region, []).append((place, step))
        standing: list[tuple[int, RegionStep]] = []
        for region, choices in by_region.items():
            pixels = listed.pixels(listed.number_of(region))
            shown = flat[pixels]
            most = len(pixels) / 2
            best: tuple[int, RegionStep] | None = None
            said = [work.ravel()[pixels[0]] for work in self.comparison.works]
            for place, step in reversed(choices):
                if step.choice == "neither":
                    n_same = int(np.count_nonzero(~np.isin(shown, said)))  # painted or open
                else:
                    n_same = int(np.count_nonzero(shown == said[step.choice]))
                if n_same > most:
                    best, most = (place, step), n_same
            if best is not None:
                standing.append(best)
        return [step for _, step in sorted(standing, key=lambda pair: pair[0])]

    def _numbers(self, labels: Labels) -> tuple[tuple[int, int], ...]:
        """Numbers that sources have in the labels, if somebody renumbered them."""
        start = self.beginning()
        known = start > 0
        if 2 * np.count_nonzero(labels[known] == start[known]) >= np.count_nonzero(known):
            return ()
        counts = np.zeros((MOST_SOURCES + 1, MOST_SOURCES + 1), np.int64)
        for work in self.comparison.works:
            found = confusion_matrix(work, labels)
            counts[: found.shape[0], : found.shape[1]] += found
        counts[0] = counts[:, 0] = 0
        rows, columns = matched_pairs(counts)
        numbers = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        # All others keep their number if it is free: the table is a permutation.
        free = [n for n in range(1, MOST_SOURCES + 1) if n not in numbers.values()]
        others = [n for n in range(1, MOST_SOURCES + 1) if n not in numbers]
        for number in [n for n in others if n in free]:
            numbers[number] = number
            free.remove(number)
        numbers |= dict(zip([n for n in others if n not in numbers], free, strict=True))
        return tuple(sorted((old, new) for old, new in numbers.items() if old != new))


def open_adjudication(
    project: Project, picture: str, adjudicator: str, *, smallest: int = SMALLEST
) -> OpenAdjudication:
    """Open an adjudication, or begin it.

    Parameters
    ----------
    project : Project
    picture : str
        Its id.
    adjudicator : str
    smallest : int
        Regions of fewer pixels are not listed.

    Returns
    -------
    OpenAdjudication

    Raises
    ------
    DatasetError
        Not all annotators are done, there is but one, or the adjudicator is one of them.
    """
    known = works(project, picture)
    annotating = tuple(work for work in known if work.role == "annotator")
    own = next((work for work in known if work.annotator == adjudicator), None)
    _refuse(project, picture, annotating, own)
    comparison = compare([read_labels(project, work) for work in annotating], smallest=smallest)
    opened = OpenAdjudication(adjudicator, annotating, comparison)
    if own is None or own.decisions is None:
        return opened
    earlier = decode_adjudication(project.objects.json(own.decisions))
    kept: tuple[Step, ...] = ()
    dropped = earlier.steps
    if [one.annotator for one in earlier.works] == list(opened.names):
        same = all(one.mask == w.labels for one, w in zip(earlier.works, annotating, strict=True))
        before = comparison if same else _compared(project, earlier, smallest)
        kept, dropped = (earlier.steps, ()) if same else carried(earlier.steps, before, comparison)
    chosen = tuple(step for step in kept if not isinstance(step, PaintStep))
    return OpenAdjudication(adjudicator, annotating, comparison, chosen, len(dropped))


def proved(project: Project, picture: str, adjudicator: str) -> Decided:
    """Make an adjudication again of what it rests on, and compare it with what was saved.

    Parameters
    ----------
    project : Project
    picture, adjudicator : str

    Returns
    -------
    Decided
        Where the decision of each pixel came from is in ``resolution.origins``.

    Raises
    ------
    DatasetError
        It is no adjudication, what it rests on is gone, or it comes out otherwise.
    """
    work = find_work(project, picture, adjudicator)
    if work is None or work.decisions is None:
        raise DatasetError(
            f"{printable(adjudicator)} has not adjudicated this picture: choose the adjudicator."
        )
    record = decode_adjudication(project.objects.json(work.decisions))
    resolution = resolve(_compared(project, record, smallest=1), record.steps)
    found = Decided(record.steps, record.numbers, resolution)
    labels = read_labels(project, work)
    differs = int(np.count_nonzero(found.labels != labels))
    if differs:
        raise DatasetError(
            f"{differs:,} pixels of the adjudication by {printable(adjudicator)} do not follow "
            "from its decisions: adjudicate the picture again."
        )
    return found


def _compared(project: Project, record: Adjudication, smallest: int) -> Comparison:
    labels = [project.objects.labels(one.mask) for one in record.works]
    return compare(labels, smallest=smallest)


def _refuse(project: Project, picture: str, annotating: tuple[Work, ...], own: Work | None) -> None:
    name = find_picture(project, picture).name
    known = PictureWorks.of(annotating, project.settings.annotators_per_picture)
    if not known.all_done:
        waiting = [who for who, state in known.states.items() if state not in FINISHED]
        for_whom = f" for {printable(', '.join(waiting))}" if waiting else " for more annotators"
        raise DatasetError(f"{name} waits{for_whom}: it can be adjudicated when all are done.")
    if len(annotating) < 2:
        raise DatasetError(f"{name} has one annotator: there is nothing to adjudicate.")
    if own is not None and own.role != "adjudicator":
        raise DatasetError(
            f"{printable(own.annotator)} annotated {name}: let somebody else adjudicate it."
        )


def _table(numbers: Sequence[tuple[int, int]]) -> npt.NDArray[np.uint8]:
    table = np.arange(MOST_SOURCES + 1, dtype=np.uint8)
    for before, new in numbers:
        table[before] = new
    return table
