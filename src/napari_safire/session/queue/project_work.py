"""One annotator's work on a picture of a project: every step is a revision, in the chain."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from napari_safire.annotation.annotation import Annotation, Labels
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.errors import SafireError
from napari_safire.images.reading import ReadImage
from napari_safire.project.chain.events import Draft
from napari_safire.project.formats.labelled import AUTHENTIC
from napari_safire.project.people import machine_name, second_opinion_name
from napari_safire.project.pictures import ProjectPicture
from napari_safire.project.projections import Role
from napari_safire.project.revisions import Changed
from napari_safire.project.store import Project
from napari_safire.project.truth import PictureDescription
from napari_safire.project.work import (
    Step,
    Work,
    accept,
    find_work,
    finish,
    read_labels,
    read_made,
    reject,
    save_step,
    works,
)
from napari_safire.session.queue.changes import made_of, not_done, says_more, shown_for_good
from napari_safire.session.queue.store import Beginning, ChangedMeanwhile, Mark
from napari_safire.text import printable

_BEGUN_FROM = {"nothing": "nothing", "partition": "model", "mask": "mask"}


@dataclass(eq=False)
class ProjectWork:
    """Work of one annotator on one picture, as it was read or written last; a `PictureWork`.

    Parameters
    ----------
    project : Project
    picture : ProjectPicture
    image : ReadImage
    annotator : str
        Under whose name it is kept.
    role : {"annotator", "adjudicator"}
    made : AnnotatedPlane
    description : PictureDescription
    begun_from : str
        As `napari_safire.project.work.Work` has it.
    shown : Work or None
        The work that is shown; another annotator's where one looks at what is to be accepted. What
        is changed of it is one's own.
    revision : int
        The last one under `annotator`; 0: none yet.
    """

    project: Project
    picture: ProjectPicture
    image: ReadImage
    annotator: str
    role: Role
    made: AnnotatedPlane
    description: PictureDescription
    begun_from: str
    shown: Work | None = None
    revision: int = 0
    keeps_steps: bool = True
    decisions: Callable[[Labels], Any] | None = None
    """Of an adjudication: gives what is kept with labels; called in the file worker."""
    _described: PictureDescription | None = None  # what the store holds of it
    _scored: float | None = None
    _theirs: Work | None = None

    @classmethod
    def of(
        cls,
        project: Project,
        picture: ProjectPicture,
        image: ReadImage,
        shown: Work | None,
        begin: Labels | None,
        role: Role,
    ) -> Self:
        """Put together what is shown of a picture.

        Parameters
        ----------
        project : Project
        picture : ProjectPicture
        image : ReadImage
        shown : Work or None
        begin : (H, W) uint8 array or None
            Labels that came with the picture.
        role : {"annotator", "adjudicator"}
            In which somebody works on it who has not begun.

        Raises
        ------
        DatasetError
            A file of the project is gone or damaged.
        """
        own = find_work(project, picture.id, project.author)
        shape = image.pixels.shape[0], image.pixels.shape[1]
        made = None if shown is None else made_of_work(project, shown)
        begun_from = "nothing" if begin is None else "mask"
        if shown is not None and shown.annotator != project.author:
            begun_from = f"work of {shown.annotator}"
        if made is None:
            annotation = Annotation.empty(shape)
            if begin is not None:
                annotation = replace(annotation, settled=PackedLabels.pack(begin))
            made = AnnotatedPlane(annotation)
        described = PictureDescription() if shown is None else shown.description
        return cls(
            project,
            picture,
            image,
            project.author,
            role if own is None else own.role,
            made,
            described,
            begun_from,
            shown,
            0 if own is None else own.revision,
            _described=described,
            _scored=picture.score,
        )

    # ---------------------------------------------------------------- what it is

    @property
    def key(self) -> str:
        """See `PictureWork`."""
        return self.picture.id

    @property
    def kept_at(self) -> Hashable:
        """See `PictureWork`."""
        return self.project.folder, self.project.author, self.picture.id

    @property
    def name(self) -> str:
        """See `PictureWork`."""
        return self.picture.name

    @property
    def path(self) -> Path:
        """See `PictureWork`."""
        return self.image.path

    @property
    def is_new(self) -> bool:
        """See `PictureWork`."""
        return self.shown is None or not self.shown.revision

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `PictureWork`."""
        told = self.image.warnings
        if self.shown is None:
            return told
        if self.shown.state == "rejected" and self.shown.note:
            told += (f"{self.name} was sent back: {printable(self.shown.note)}",)
        if self.shown.annotator != self.annotator:
            told += (
                f"This is the work of {printable(self.shown.annotator)}: what you change is kept "
                "as yours.",
            )
        return told

    def is_current(self) -> bool:
        """See `PictureWork`."""
        shown = self.shown
        name = self.annotator if shown is None else shown.annotator
        return find_work(self.project, self.key, name) == shown

    def describe(self, description: PictureDescription) -> None:
        """See `PictureWork`."""
        self.description = description

    def begin_from(self, beginning: Beginning) -> None:
        """See `PictureWork`."""
        if beginning.what == "work":
            self.begun_from = f"work of {beginning.annotator}"
        else:
            self.begun_from = _BEGUN_FROM.get(beginning.what, self.begun_from)

    # ---------------------------------------------------------------- kept

    def keep(self, made: AnnotatedPlane, title: str, seconds: float) -> bool:
        """See `PictureWork`: a step that changes nothing is no revision."""
        if made.annotation == self.made.annotation and self.description == self._described:
            return False
        said = made_of(made.annotation, made.predictions, self.made)
        self._save(said, title, seconds)
        return True

    def save(
        self,
        annotation: Annotation,
        predictions: Predictions,
        about: Mapping[str, Any],
        mark: Mark | None = None,
        seconds: float = 0.0,
    ) -> tuple[str, ...] | None:
        """See `PictureWork`; what is known of picture and model stands in the project already."""
        made = made_of(annotation, predictions, self.made)
        changed = annotation != self.made.annotation or self.description != self._described
        if not changed and self.revision:
            changed = says_more(made.predictions, self.made.predictions)
        if mark is not None and mark.state != "done":
            if changed:
                self._save(made, "", seconds)
            elif self.shown is not None and self.shown.state == mark.state:
                return None
            self._judge(mark)
            return ()
        if mark is None:
            if not changed:
                return None
            self._save(made, "", seconds)
            return ()
        return self._finish(made, mark, changed, seconds)

    def _finish(
        self, made: AnnotatedPlane, mark: Mark, changed: bool, seconds: float
    ) -> tuple[str, ...] | None:
        refused = not_done(made.annotation, mark.authentic, mark.reason)
        if refused is not None and not mark.else_begun:
            raise refused
        if mark.authentic and refused is None:
            changed = self._say_authentic(made) or changed
        shown = self.shown
        is_own = shown is not None and shown.annotator == self.annotator
        if changed or not is_own or not self.revision:
            self._save(made, "", seconds)
        elif refused is not None or _is_said(shown, mark):
            return None
        if refused is not None:
            return ()
        try:
            self.shown = finish(
                self.project,
                self.key,
                self.annotator,
                self.revision,
                waiver=mark.reason,
                authentic=mark.authentic,
            )
        except Changed as error:
            raise self._conflict(error) from error
        return self._compared()

    def _say_authentic(self, made: AnnotatedPlane) -> bool:
        """Say what type the one source has, unless that is known; whether it is new."""
        source = self.description.of(int(made.annotation.shown()[0, 0]))
        if source.type != "unknown":
            return False
        self.describe(self.description.with_source(replace(source, type=AUTHENTIC)))
        return True

    def _compared(self) -> tuple[str, ...]:
        """Have the list know how far annotators agree, once the last of them is done."""
        from napari_safire.project.comparing import compare_works  # slow to load

        try:
            compare_works(self.project, self.key)
        except SafireError as error:  # what is done is done all the same
            return (f"The annotators of {self.name} could not be compared. {error}",)
        return ()

    def _judge(self, mark: Mark) -> None:
        """Accept what is shown, or send it back."""
        shown = self.shown
        if shown is None:
            raise SafireError(f"Nothing was made of {self.name} yet: there is nothing to judge.")
        try:
            if mark.state == "accepted":
                self.shown = accept(self.project, self.key, shown.annotator, shown.revision)
            else:
                self.shown = reject(
                    self.project, self.key, shown.annotator, mark.reason, shown.revision
                )
        except Changed as error:
            raise self._conflict(error) from error

    def _save(self, made: AnnotatedPlane, title: str, seconds: float) -> None:
        labels = shown_for_good(made.annotation)
        step = Step(
            labels,
            made,
            self.description,
            seconds,
            title,
            self.begun_from,
            None if self.decisions is None else self.decisions(labels),
        )
        try:
            saved = save_step(
                self.project,
                self.key,
                self.annotator,
                step,
                self.revision,
                self.role,
                unaccepted=self.shown is None or self.shown.state != "accepted",
            )
        except Changed as error:
            raise self._conflict(error) from error
        self.shown, self.revision = saved, saved.revision
        self.made, self._described = made, step.description
        self._note_score(made.predictions)

    def _note_score(self, predictions: Predictions) -> None:
        """Have the list know what the model says of the picture."""
        forgery, basis = predictions.forgery, predictions.basis
        if forgery is None or forgery.score == self._scored:
            return
        body = {
            "score": float(forgery.score),
            "verdict": forgery.verdict,
            "uncertainty": self.picture.uncertainty,
            "basis": None if basis is None else basis.as_record(),
        }
        self.project.append([Draft("picture.scored", self.key, body)])
        self._scored = forgery.score

    # ---------------------------------------------------------------- what others made

    def _conflict(self, error: Changed) -> SafireError:
        """What to raise where somebody else has saved: with what they made, if it can be read."""
        theirs = find_work(self.project, self.key, self.annotator)
        made = None if theirs is None else made_of_work(self.project, theirs)
        if made is None:
            return error
        self._theirs = theirs
        return ChangedMeanwhile(str(error), error.by, error.at, made)

    def take_theirs(self, conflict: ChangedMeanwhile) -> None:
        """See `PictureWork`."""
        theirs, self._theirs = self._theirs, None
        if theirs is not None:
            # Of that very revision: whoever saved once more is not overwritten either.
            self.shown, self.revision, self.role = theirs, theirs.revision, theirs.role
            self.made = conflict.theirs
            self.description = self._described = theirs.description

    def keep_mine(self, conflict: ChangedMeanwhile) -> str:
        """See `PictureWork`."""
        taken = {work.annotator for work in works(self.project, self.key)}
        self.annotator = second_opinion_name(self.project.author, machine_name(), taken)
        self.revision, self.shown = 0, None
        self._described = None  # nothing of it is kept under this name
        return self.annotator


def made_of_work(project: Project, work: Work) -> AnnotatedPlane | None:
    """Read what was made of a picture; None where nothing was.

    Raises
    ------
    DatasetError
        A file of the project is gone or damaged.
    """
    if work.labels is None:
        return None
    made = read_made(project, work)
    if made is not None:
        return made
    labels = read_labels(project, work)
    height, width = labels.shape
    settled = PackedLabels.pack(labels)
    return AnnotatedPlane(replace(Annotation.empty((height, width)), settled=settled))


def _is_said(work: Work | None, mark: Mark) -> bool:
    """Whether it is said already that some work is done, in this way."""
    if work is None or work.state not in ("done", "accepted"):
        return False
    return work.authentic == mark.authentic and work.waiver == mark.reason.strip()
