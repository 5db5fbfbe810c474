"""Adjudicating in a session: regions decided one by one, painted, undone, kept and proved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from queue_owner import SHAPE, Owner, make_pictures

from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.assigning import give_away
from napari_safire.project.pictures import find_picture
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.team.adjudicating import proved
from napari_safire.project.team.adjudication import AGREED, FIRST_WORK, NEITHER, PAINTED
from napari_safire.project.team.assignment import AssignmentRule
from napari_safire.project.truth import PictureDescription, SourceDescription
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.work import Step, find_work, finish, read_labels, save_step
from napari_safire.session.adjudication import AdjudicationWork
from napari_safire.session.queue.project_pictures import ProjectPictures


class Judge(Owner):
    """An owner whose queue can be adjudicated."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.adjudication = AdjudicationWork(self.session, self.work)
        self.work.changed.connect(self.adjudication.look)
        self.session.changed.connect(self.adjudication.follow)
        self.adjudication.notice.connect(lambda text, failed: self.told.append(text))

    def labels_shown(self) -> np.ndarray:
        assert self.plane.snapshot is not None
        return self.plane.snapshot.labels

    @property
    def counts(self) -> dict[int, int]:
        assert self.adjudication.standing is not None
        return self.adjudication.standing.decided.resolution.counts()


FIRST = np.ones(SHAPE, np.uint8)
FIRST[:, 16:] = 2
SECOND = np.full(SHAPE, 7, np.uint8)
SECOND[:, 20:] = 5  # the border lies elsewhere: 4 x 24 pixels
SECOND[:6, :6] = 9  # and there is something that ann has not seen


def annotated(project: Project, name: str, annotator: str, labels: np.ndarray, kind: str) -> None:
    description = PictureDescription((SourceDescription(int(labels[-1, -1]), type=kind),))
    save_step(project, name, annotator, Step(labels, description=description), 0)
    finish(project, name, annotator, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, the first of which two people have annotated."""
    photos = make_pictures(tmp_path / "photos", 2)
    settings = ProjectSettings(annotators_per_picture=2)
    with Project.create(tmp_path / "project", author="ann", settings=settings) as project:
        entries = [ListEntry(photos / f"{n}.png", None) for n in range(2)]
        name = add_pictures(project, entries).ids[0]
        annotated(project, name, "ann", FIRST, "splice")
        annotated(project, name, "bo", SECOND, "generated")
        assert give_away(project, AssignmentRule(("cy",)), "adjudicator").counts == {"cy": 1}
    return tmp_path / "project"


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[[str], Judge]]:
    judges: list[Judge] = []

    def opened(author: str) -> Judge:
        judge = Judge(folder)
        judge.work.open_store(lambda: ProjectPictures.open(folder, author), "project")
        judge.settle()
        judges.append(judge)
        return judge

    yield opened
    for judge in judges:
        judge.close()
        assert judge.work.store is not None
        judge.work.store.close()


def test_from_disagreement_to_a_proved_truth(begin: Callable[[str], Judge], folder: Path) -> None:
    cy = begin("cy")
    adjudication = cy.adjudication
    assert adjudication.problem == ""
    assert [region.area for region in adjudication.regions] == [96, 36]
    # It begins with what both agree on.
    assert cy.counts == {0: 132, AGREED: 24 * 32 - 132}
    assert [q.values for q in adjudication.questions] == [("splice", "generated")]
    adjudication.go_on()
    assert (adjudication.place, adjudication.says(0), adjudication.says(1)) == (0, 2, 1)
    adjudication.choose(0)
    assert adjudication.place == 1  # the next one that is open
    cy.settle()
    assert (cy.labels_shown()[:, 16:20] == 2).all()
    assert adjudication.standing.n_open == 1
    # Neither saw the corner right: half of it is painted.
    adjudication.choose("neither")
    cy.settle()
    assert cy.counts == {AGREED: 24 * 32 - 132, FIRST_WORK: 96, NEITHER: 36}
    assert adjudication.standing.n_open == 0
    cy.paint(4, row=0)  # over all of the first four rows
    cy.settle()
    assert cy.counts[PAINTED] == 4 * 32
    assert adjudication.standing.n_neither == 12
    cy.work.finish()
    cy.settle()
    assert cy.work.missing is not None
    cy.work.fill_missing()
    cy.settle()
    work = cy.work.work
    assert work is not None
    cy.work.describe(work.description.with_source(SourceDescription(2, type="splice")))
    assert adjudication.questions == ()
    key = cy.work.key
    cy.work.finish()
    cy.settle()
    with Project.open(folder) as project:
        assert find_picture(project, key).stage == "accept"
        work = find_work(project, key, "cy")
        assert (work.role, work.state, work.begun_from) == (
            "adjudicator",
            "done",
            "work of ann and bo",
        )
        assert work.description.of(2).type == "splice"
        found = proved(project, key, "cy")
        assert (found.labels == read_labels(project, work)).all()
        origins = found.resolution.origins
        assert (origins[10:, 16:20] == FIRST_WORK).all()
        assert (origins[:4] == PAINTED).all()
        assert verify(project).problems == ()
    # Opened again, it is as it was.
    cy.work.go_to(key)
    cy.settle()
    assert adjudication.opened is not None
    assert adjudication.standing.n_open == 0


def test_what_is_undone_is_decided_no_more(begin: Callable[[str], Judge]) -> None:
    cy = begin("cy")
    adjudication = cy.adjudication
    adjudication.go_to(0)
    adjudication.choose(1)
    cy.settle()
    assert cy.counts[FIRST_WORK + 1] == 96
    cy.session.annotations.undo(cy.plane.key)
    cy.settle()
    assert FIRST_WORK + 1 not in cy.counts
    assert adjudication.standing.is_open == (True, True)
    cy.session.annotations.redo(cy.plane.key)
    adjudication.choose_rest(1)
    cy.settle()
    assert cy.counts == {AGREED: 24 * 32 - 132, FIRST_WORK + 1: 132}
    adjudication.take_agreed()
    cy.settle()
    assert cy.counts == {0: 132, AGREED: 24 * 32 - 132}


def test_renumbering_keeps_the_decisions(begin: Callable[[str], Judge]) -> None:
    cy = begin("cy")
    cy.adjudication.choose_rest(1)
    cy.settle()
    assert set(np.unique(cy.labels_shown())) == {1, 2, 3}
    cy.session.annotations.edit(
        cy.plane.key, lambda labels, protected: np.array([0, 3, 1, 2], np.uint8)[labels], "turn"
    )
    cy.settle()
    assert cy.counts == {AGREED: 24 * 32 - 132, FIRST_WORK + 1: 132}
    assert [question.source for question in cy.adjudication.questions] == [1]
    # A further choice is given in the numbers of the labels.
    cy.adjudication.go_to(0)
    assert (cy.adjudication.says(0), cy.adjudication.says(1)) == (1, 3)
    cy.adjudication.choose(0)
    cy.settle()
    assert (cy.labels_shown()[10:, 16:20] == 1).all()  # 2 is called 1 now
    assert cy.counts == {AGREED: 24 * 32 - 132, FIRST_WORK: 96, FIRST_WORK + 1: 36}


def test_who_only_looks_begins_nothing(begin: Callable[[str], Judge], folder: Path) -> None:
    dee = begin("dee")  # it is not hers to do
    dee.work.go_to(dee.work.listing.keys[0])
    dee.settle()
    assert len(dee.adjudication.regions) == 2
    with Project.open(folder) as project:
        assert find_work(project, dee.work.key, "dee") is None
    # The first choice takes what all agree on as well.
    dee.adjudication.go_on()
    dee.adjudication.choose(1)
    dee.settle()
    assert dee.counts == {0: 36, AGREED: 24 * 32 - 132, FIRST_WORK + 1: 96}
    with Project.open(folder) as project:
        work = find_work(project, dee.work.key, "dee")
        assert (work.role, work.begun_from) == ("adjudicator", "work of ann and bo")
        assert [source.number for source in work.description.sources] == [2]


def test_who_annotated_does_not_adjudicate(begin: Callable[[str], Judge]) -> None:
    ann = begin("ann")
    ann.work.go_to(ann.work.listing.keys[0])
    ann.settle()
    assert ann.adjudication.opened is None
    assert (ann.labels_shown() == FIRST).all()


def test_other_pictures_are_not_adjudicated(begin: Callable[[str], Judge]) -> None:
    cy = begin("cy")
    assert cy.adjudication.opened is not None
    cy.work.go_on()
    cy.settle()
    assert cy.adjudication.opened is None
    assert cy.adjudication.regions == ()
    cy.adjudication.choose(0)  # there is nothing to choose
    cy.adjudication.go_on()
    cy.settle()
    assert cy.adjudication.standing is None


def test_nobody_can_be_chosen_who_has_nothing_there(folder: Path, tmp_path: Path) -> None:
    with Project.open(folder, author="bo") as project:
        (name,) = [row[0] for row in project.ask("SELECT id FROM picture ORDER BY position")][1:]
        left = FIRST.copy()
        left[:, 16:] = 0
        save_step(project, name, "ann", Step(left), 0)
        finish(project, name, "ann", 1, waiver="too dark")
        annotated(project, name, "bo", SECOND, "splice")
    cy = Judge(folder)
    cy.work.open_store(lambda: ProjectPictures.open(folder, "cy"), "project")
    cy.settle()
    cy.work.go_to(name)
    cy.settle()
    adjudication = cy.adjudication
    adjudication.take_agreed()
    cy.settle()
    place = next(k for k, r in enumerate(adjudication.regions) if r.sources == (0, 5))
    adjudication.go_to(place)
    adjudication.choose(0)
    cy.settle()
    assert cy.told[-1] == "A has no source there: choose another one, or paint."
    assert FIRST_WORK not in cy.counts
    cy.close()
    assert cy.work.store is not None
    cy.work.store.close()


def test_agreement_is_noted_when_the_last_annotator_is_done(
    begin: Callable[[str], Judge], folder: Path
) -> None:
    bo = begin("bo")
    key = bo.work.listing.keys[1]
    for judge in (begin("ann"), bo):
        judge.work.go_to(key)
        judge.settle()
        judge.paint(2, row=8 if judge is bo else 4)
        judge.work.fill_missing()
        judge.settle()
        judge.work.finish()
        judge.settle()
        judge.work.fill_missing()
        judge.settle()
        judge.work.finish()
        judge.settle()
    with Project.open(folder) as project:
        found = find_picture(project, key)
    assert found.stage == "adjudicate"
    # 4 of 24 rows are source 2 to each of them, in other places.
    assert found.disagreement == pytest.approx(1 - (16 / 24 + 0) / 2)
