"""Adjudicating the picture of a queue: the regions of disagreement, one after the other.

The adjudicator works on labels like everybody else. What is chosen here is an edit of them that can
be undone; what of it stands, and what was painted, is read off the labels (`OpenAdjudication`), in
the reading worker while one works and in the file worker whenever a step is kept.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from psygnal import Signal

from napari_safire.annotation.annotation import Labels, Mask
from napari_safire.errors import SafireError, sentence
from napari_safire.project.chain.events import now
from napari_safire.project.team.adjudicating import (
    Chosen,
    Decided,
    OpenAdjudication,
    open_adjudication,
)
from napari_safire.project.team.adjudication import (
    FIRST_WORK,
    NEITHER,
    UNDECIDED,
    Choice,
    RegionStep,
    RestStep,
)
from napari_safire.project.team.disagreement import Region
from napari_safire.project.team.merged_descriptions import Question, still_open
from napari_safire.project.truth import PictureDescription
from napari_safire.session.planes import Plane, Snapshot
from napari_safire.session.queue.project_work import ProjectWork
from napari_safire.session.queue.work import QueueWork
from napari_safire.session.session import Session


def letter(place: int) -> str:
    """What an annotator is called while one decides: "A", "B", … whoever it is.

    Parameters
    ----------
    place : int
        From 0.
    """
    return chr(ord("A") + place)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """How far an adjudication is.

    Parameters
    ----------
    decided : Decided
    is_open : tuple of bool
        For each region whether something of it is undecided.
    n_undecided, n_neither : int
        Pixels that wait for a decision, and those where neither annotator is right and nothing is
        painted yet.
    """

    decided: Decided
    is_open: tuple[bool, ...]
    n_undecided: int
    n_neither: int

    @property
    def n_open(self) -> int:
        """Regions in which something is undecided."""
        return sum(self.is_open)


class AdjudicationWork:
    """Decide between the works of several annotators.

    Parameters
    ----------
    session : Session
    queue : QueueWork
        Its open picture is adjudicated, if it is one of a project that waits for that.

    Attributes
    ----------
    changed : Signal()
        Another adjudication is open, another region is looked at, or something was decided.
    region_changed : Signal(Region)
        One is to be looked at.
    notice : Signal(str, bool)
        A sentence for the user; true where something failed.
    """

    changed = Signal()
    region_changed = Signal(Region)
    notice = Signal(str, bool)

    def __init__(self, session: Session, queue: QueueWork) -> None:
        self._session, self._queue = session, queue
        self._chosen: tuple[Chosen, ...] = ()
        self._looked_at: Hashable = None
        self._reading = self._is_outdated = False
        self._questions: tuple[Question, ...] = ()
        self._merged = PictureDescription()
        self.opened: OpenAdjudication | None = None
        """The adjudication; None where the open picture does not wait for one."""
        self.problem = ""
        """Why the open picture cannot be adjudicated; empty where it can, or need not be."""
        self.standing: Standing | None = None
        """How far it is; None while that is looked up for the first time."""
        self.place = -1
        """Place of the region that is looked at, from 0; -1: none is."""

    # ---------------------------------------------------------------- what is looked at

    @property
    def region(self) -> Region | None:
        """The region that is looked at."""
        return self.regions[self.place] if 0 <= self.place < len(self.regions) else None

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions of disagreement, largest first."""
        return () if self.opened is None else self.opened.comparison.disagreements.regions

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the annotators say differently of sources, until the description answers it."""
        work = self._queue.work
        if work is None or self.standing is None:
            return ()
        numbers = dict(self.standing.decided.numbers)
        asked = [replace(q, source=numbers.get(q.source, q.source)) for q in self._questions]
        return still_open(asked, work.description)

    def says(self, place: int) -> int:
        """Which source an annotator sees in the region that is looked at; 0: none.

        In the numbers of the adjudicator's labels, so that equal ones are the same source.
        """
        region = self.region
        if region is None or self.opened is None:
            return 0
        work = self.opened.comparison.works[place]
        return int(self.numbered(work[region.row, [region.col]])[0])

    def go_to(self, place: int) -> None:
        """Look at a region.

        Parameters
        ----------
        place : int
            In `regions`, from 0; any other: nothing happens.
        """
        if 0 <= place < len(self.regions):
            self.place = place
            self.region_changed.emit(self.regions[place])
            self.changed.emit()

    def go_on(self) -> None:
        """Look at the next region in which something is undecided, else at the next one."""
        self._go(1)

    def go_back(self) -> None:
        """Look at the region before in which something is undecided, else at the one before."""
        self._go(-1)

    def _go(self, step: int) -> None:
        n_regions = len(self.regions)
        if not n_regions:
            return
        begin = self.place if self.place >= 0 or step > 0 else 0
        around = [(begin + step * k) % n_regions for k in range(1, n_regions + 1)]
        is_open = () if self.standing is None else self.standing.is_open
        self.go_to(next((p for p in around if is_open and is_open[p]), around[0]))

    # ---------------------------------------------------------------- decisions

    def take_agreed(self) -> None:
        """Begin again from what all agree on."""
        opened = self.opened
        if opened is not None:
            self._begin(opened)
            self._chosen = ()
            start = opened.beginning()
            self._edit(lambda labels, protected: start, "take all that both agree on")

    def choose(self, choice: Choice) -> None:
        """Give the region that is looked at to an annotator, or to neither; then go on.

        Parameters
        ----------
        choice : int or "neither"
            Place of the annotator.
        """
        opened, region, place = self.opened, self.region, self.place
        if opened is None or region is None:
            return
        if choice != "neither" and not self.says(choice):
            self.notice.emit(
                f"{letter(choice)} has no source there: choose another one, or paint.", True
            )
            return
        pixels = opened.comparison.disagreements.pixels(place)
        values = np.zeros(len(pixels), np.uint8)
        if choice != "neither":
            values = self.numbered(opened.comparison.works[choice].ravel()[pixels])

        def give(labels: Labels, protected: Mask) -> Labels:
            given = labels.copy() if labels.any() else opened.beginning()
            given.ravel()[pixels] = values
            return given

        self._begin(opened)
        self._chosen += (RegionStep(opened.adjudicator, now(), region.name, choice),)
        self._edit(give, "neither" if choice == "neither" else f"take {letter(choice)}")
        if self.standing is not None:
            # Not to come back to it before the labels are read again.
            is_open = list(self.standing.is_open)
            is_open[place] = False
            self.standing = replace(self.standing, is_open=tuple(is_open))
        if choice != "neither" and self.standing is not None and self.standing.n_open:
            self.go_on()

    def choose_rest(self, choice: int) -> None:
        """Give all that is undecided, and has a source there, to one annotator.

        Parameters
        ----------
        choice : int
        """
        opened, standing = self.opened, self.standing
        if opened is None or standing is None:
            return
        own = self.numbered(opened.comparison.works[choice])
        undecided = standing.decided.resolution.origins == UNDECIDED

        def give(labels: Labels, protected: Mask) -> Labels:
            given = labels if labels.any() else opened.beginning()
            return np.where(undecided & (given == 0), own, given)

        self._begin(opened)
        self._chosen += (RestStep(opened.adjudicator, now(), choice),)
        self._edit(give, f"take {letter(choice)} for the rest")

    def _begin(self, opened: OpenAdjudication) -> None:
        """Say of a work that is made now what the annotators say of its sources."""
        work = self._queue.work
        if isinstance(work, ProjectWork) and work.is_new and work.begun_from != opened.begun_from:
            work.begun_from = opened.begun_from
            work.describe(self._merged)

    def numbered(self, labels: Labels) -> Labels:
        """Bring labels under common numbers to those of the adjudicator's labels."""
        return labels if self.standing is None else self.standing.decided.numbered(labels)

    def _edit(self, edit: Any, title: str) -> None:
        plane = self._plane
        if plane is not None:
            self._session.annotations.edit(plane.key, edit, title)

    @property
    def _plane(self) -> Plane | None:
        opened = self._queue.opened
        planes = [] if opened is None else self._session.planes.of(opened)
        return planes[0] if planes else None

    # ---------------------------------------------------------------- opened and followed

    def look(self) -> None:
        """Look whether the open picture of the queue waits for adjudication."""
        if self._queue.doing or self._queue.opened == self._looked_at:
            return
        self._looked_at = picture = self._queue.opened
        self._chosen, self._questions = (), ()
        self.opened = self.standing = None
        self.problem, self.place = "", -1
        self.changed.emit()
        work = self._queue.work
        if not isinstance(work, ProjectWork) or not _waits(work):
            return

        def found(opened: OpenAdjudication) -> None:
            if self._looked_at == picture:
                self._take(work, opened)

        def failed(error: Exception) -> None:
            if self._looked_at == picture:
                self.problem = sentence(error)
                self.changed.emit()

        self._session.run(
            lambda: open_adjudication(work.project, work.key, work.annotator), found, failed
        )

    def _take(self, work: ProjectWork, opened: OpenAdjudication) -> None:
        self.opened, self._chosen = opened, opened.chosen
        self._merged, self._questions = opened.description()
        work.decisions = lambda labels: self._record(opened, labels)
        if work.is_new and work.shown is not None:
            # It is the user's to do; nobody else begins by looking at it.
            self.take_agreed()
        if opened.n_dropped:
            self.notice.emit(
                f"{opened.n_dropped} decisions are of works that were revised since: look again.",
                False,
            )
        plane = self._plane
        if plane is not None and plane.snapshot is not None:
            self.follow(plane.snapshot)
        self.changed.emit()

    def _record(self, opened: OpenAdjudication, labels: Labels) -> dict[str, Any]:
        """What is kept with labels; called in the file worker."""
        return opened.record(opened.decided(labels, self._chosen)).as_record()

    def follow(self, snapshot: Snapshot) -> None:
        """Find out what is decided in the labels as they are now."""
        opened = self.opened
        if opened is None or snapshot.key.picture != self._looked_at:
            return
        if self._reading:
            self._is_outdated = True
            return
        self._reading, self._is_outdated = True, False
        chosen = self._chosen

        def done(found: Standing) -> None:
            self._reading = False
            if opened is not self.opened:
                return
            self.standing = found
            self.changed.emit()
            plane = self._plane
            if self._is_outdated and plane is not None and plane.snapshot is not None:
                self.follow(plane.snapshot)

        def failed(error: Exception) -> None:
            self._reading = False
            self.notice.emit(sentence(error), True)

        self._session.run(lambda: _standing(opened, snapshot.labels, chosen), done, failed)


def _waits(work: ProjectWork) -> bool:
    """Whether somebody has to decide, or has decided, between works on a picture."""
    if work.role != "adjudicator":
        return False
    own = work.shown is not None and work.shown.annotator == work.annotator
    return work.picture.stage == "adjudicate" or (
        own and work.shown is not None and work.shown.decisions is not None
    )


def _standing(opened: OpenAdjudication, labels: Labels, chosen: tuple[Chosen, ...]) -> Standing:
    shape = opened.comparison.shape
    if labels.shape != shape:
        raise SafireError(
            f"The picture has {labels.shape[0]} x {labels.shape[1]} pixels, its annotations "
            f"{shape[0]} x {shape[1]}: open the picture again."
        )
    decided = opened.decided(labels, chosen)
    origins = decided.resolution.origins
    counts = np.bincount(origins.ravel(), minlength=FIRST_WORK)
    listed = opened.comparison.disagreements
    # A region that goes to neither is decided: it waits for paint, not for a choice.
    undecided = origins.ravel() == UNDECIDED
    is_open = tuple(bool(undecided[listed.pixels(k)].any()) for k in range(len(listed.regions)))
    return Standing(decided, is_open, int(counts[UNDECIDED]), int(counts[NEITHER]))
