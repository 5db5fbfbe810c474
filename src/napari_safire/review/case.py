"""The case of a picture: a review kept as events of a project, step by step, by several people."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError
from napari_safire.images.reading import ReadImage, image_shape
from napari_safire.project.chain.event_table import all_events_of, has_event
from napari_safire.project.chain.events import Draft, Event
from napari_safire.project.pictures import ProjectPicture, find_picture, open_picture, picture_path
from napari_safire.project.revisions import Changed
from napari_safire.project.store import Project, is_project, was_never_begun
from napari_safire.review.codec import as_record, read_case
from napari_safire.review.placing import picture_in
from napari_safire.review.reading import Judged, Noted, PictureReview, read_review, was_stopped
from napari_safire.review.values import (
    MOST_FINDINGS,
    CaseDescription,
    Checked,
    Finding,
    Judgement,
    Signature,
)
from napari_safire.text import printable

_CASE_SUFFIX = ".case"
_LONGEST_NAME = 255  # bytes that file systems allow


class Case:
    """The review of one picture of a project. Calls may come from any thread.

    Everything is an event in the name of the project's author, who is the reviewer; nothing is
    changed or removed afterwards.

    Parameters
    ----------
    project : Project
    picture : str
        Its id, path or name.

    Attributes
    ----------
    project : Project
    id : str
        Of the picture.

    Raises
    ------
    DatasetError
        The project has no such picture.
    """

    def __init__(self, project: Project, picture: str) -> None:
        self.project = project
        self.id = find_picture(project, picture).id

    @property
    def reviewer(self) -> str:
        """In whose name events are written."""
        return self.project.author

    @property
    def picture(self) -> ProjectPicture:
        """What the project knows of the picture."""
        return find_picture(self.project, self.id)

    @property
    def path(self) -> Path:
        """Where it lies, if it was not moved."""
        return picture_path(self.project, self.picture)

    def read(self) -> ReadImage:
        """Read the picture, if it is the one that was added; see `project.pictures.open_picture`.

        Raises
        ------
        ImageReadError, DatasetError
            It is gone, unreadable, or another than it was: a sentence that says which.
        """
        return open_picture(self.project, self.id)

    def labels(self, sha256: str) -> npt.NDArray[np.uint8]:
        """Return kept labels, (H, W) uint8; raises as `project.objects.Objects.labels`."""
        return self.project.objects.labels(sha256)

    # ---------------------------------------------------------------- what is known

    @property
    def description(self) -> CaseDescription:
        """What the case is about; that of a project counts for all its pictures.

        Raises
        ------
        DatasetError
            It is damaged.
        """
        found = CaseDescription()
        for event in self.project.events(picture=""):
            if event.kind == "case.described":
                found = read_case(event.body["case"])
        return found

    def review(self) -> PictureReview:
        """Return all that was reviewed of the picture, by everybody.

        Raises
        ------
        DatasetError
            An event cannot be read.
        """
        return read_review(self.id, self.project.events(picture=self.id))

    def events(self) -> Iterator[Event]:
        """Go through the events that this case rests on: the project's own and the picture's."""
        for event in self.project.events():
            if event.picture in ("", self.id):
                yield event

    # ---------------------------------------------------------------- steps

    def describe(self, description: CaseDescription) -> None:
        """Say what the case is about, in place of what was said before."""
        self.project.append([Draft("case.described", body={"case": as_record(description)})])

    def begin(self, *, blind: bool) -> None:
        """Begin a review.

        Parameters
        ----------
        blind : bool
            The model's verdict is to stay hidden until the reviewer has given theirs.
        """
        self._append("review.begun", {"blind": blind})

    def show_verdict(self) -> None:
        """Note that the model's verdict was shown to the reviewer, if that was not noted yet."""

        def make(review: PictureReview) -> Sequence[Draft]:
            is_known = bool(review.of(self.reviewer).shown_at)
            return [] if is_known else [Draft("review.shown", self.id)]

        self._append_made(make)

    def keep_analysis(
        self,
        record: Mapping[str, Any],
        labels: npt.NDArray[np.integer[Any]] | None,
        basis: RunBasis,
        verdict: str,
    ) -> None:
        """Keep what model and views said.

        Parameters
        ----------
        record : mapping
            JSON values of `napari_safire.review.analysis.Analysis`.
        labels : (H, W) integer array or None
            Of its partition: sources from 1.
        basis : RunBasis
        verdict : str
            Of the model.

        Raises
        ------
        SafireError
            It cannot be written.
        """
        objects = self.project.objects
        body: dict[str, Any] = {
            "record": objects.put_json(record),
            "basis": basis.as_record(),
            "verdict": verdict,
        }
        if labels is not None:
            body["labels"] = self.keep_labels(labels)
        last = self.review().analyses[-1:]
        if not (last and last[0].record == body["record"] and last[0].by == self.reviewer):
            self._append("review.analysed", body)

    def keep_labels(self, labels: npt.NDArray[np.integer[Any]]) -> str:
        """Keep a label image that a judgement is to be about; gives its SHA-256.

        Raises
        ------
        DatasetError
            It has not the picture's size, or other numbers than 0 to 255.
        """
        picture = self.picture
        if picture.height is not None and labels.shape != (picture.height, picture.width):
            raise DatasetError(
                f"Labels of {labels.shape} do not fit the picture of {picture.height} x "
                f"{picture.width} pixels: make them of this very picture."
            )
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 255:
            raise DatasetError("Labels hold numbers from 0 to 255: renumber the sources.")
        return self.project.objects.put_labels(labels.astype(np.uint8, copy=False))

    def check(self, answers: Iterable[Checked]) -> None:
        """Answer the checklist, in place of the reviewer's earlier answers."""
        self._append("review.checked", {"answers": [as_record(answer) for answer in answers]})

    def note(self, finding: Finding, revision: int = 0, file_sha256: str | None = None) -> Noted:
        """Note a finding, or another revision of it.

        Parameters
        ----------
        finding : Finding
        revision : int
            That it goes on from; 0: it is new.
        file_sha256 : str, optional
            Of the file that was looked at; default: the picture's own.

        Returns
        -------
        Noted
            As it is kept.

        Raises
        ------
        Changed
            Somebody else has changed it meanwhile; nothing was written.
        DatasetError
            Another file was looked at, or there are too many findings.
        SafireError
            It cannot be written.
        """
        known = self.picture.file_sha256
        if file_sha256 not in (None, known):
            raise DatasetError(
                "The file that was looked at is not the picture of this case: its hash is another. "
                "Put the former file back, or begin a case of this one."
            )

        def make(review: PictureReview) -> Sequence[Draft]:
            before = review.finding(finding.id)
            if before is None and len(review.findings) >= MOST_FINDINGS:
                raise DatasetError(f"There are {MOST_FINDINGS:,} findings: begin another case.")
            there = 0 if before is None else before.revision
            if there != revision:
                by, at = ("", "") if before is None else (before.reviewer, before.at)
                raise Changed(self.id, self.reviewer, there, by, at)
            body = {
                "finding": as_record(finding),
                "revision": revision + 1,
                "file_sha256": known,
            }
            return [Draft("review.noted", self.id, body)]

        self._append_made(make)
        noted = self.review().finding(finding.id)
        assert noted is not None  # it was just written, and nothing is ever removed
        return noted

    def judge(self, judgement: Judgement, revision: int = 0) -> Judged:
        """Give a verdict, or another one in place of the reviewer's own.

        Parameters
        ----------
        judgement : Judgement
            Its labels lie in the store: `keep_labels`.
        revision : int
            That it goes on from; 0: it is the first.

        Returns
        -------
        Judged

        Raises
        ------
        Changed
            The reviewer has given another one elsewhere meanwhile.
        DatasetError
            It speaks of sources that its labels do not have.
        """
        self._refuse_other_sources(judgement)

        def make(review: PictureReview) -> Sequence[Draft]:
            before = review.of(self.reviewer).verdict
            there = 0 if before is None else before.revision
            if there != revision:
                at = "" if before is None else before.at
                raise Changed(self.id, self.reviewer, there, self.reviewer, at)
            body = {"judgement": as_record(judgement), "revision": revision + 1}
            return [Draft("review.judged", self.id, body)]

        self._append_made(make)
        judged = self.review().of(self.reviewer).verdict
        assert judged is not None  # it was just written
        return judged

    def sign(self, signature: Signature) -> None:
        """Stand for a verdict, one's own or another's, or dispute it.

        Parameters
        ----------
        signature : Signature

        Raises
        ------
        Changed
            The verdict is not the last one of its reviewer: look at the new one.
        DatasetError
            There is no such verdict, or the head is none of this case's events.
        """

        def make(review: PictureReview) -> Sequence[Draft]:
            judged = review.of(signature.reviewer).verdict
            if judged is None:
                raise DatasetError(
                    f"{printable(signature.reviewer)} has given no verdict on this picture yet: "
                    "there is nothing to sign."
                )
            if judged.sha256 != signature.judgement:
                raise Changed(
                    self.id, signature.reviewer, judged.revision, signature.reviewer, judged.at
                )
            return [Draft("review.signed", self.id, {"signature": as_record(signature)})]

        if not self.project.database.read(partial(has_event, sha256=signature.head)):
            raise DatasetError(
                f"No event of this case has the hash {printable(signature.head)[:12]}…: sign the "
                "head that it has now."
            )
        self._append_made(make)

    def keep_report(self, files: Mapping[str, str], head: str) -> None:
        """Note that a report was written.

        Parameters
        ----------
        files : mapping of str to str
            SHA-256 by name.
        head : str
            SHA-256 of the last event that it tells of.
        """
        self._append("review.reported", {"files": dict(files), "head": head})

    # ---------------------------------------------------------------- inside

    def _append(self, kind: str, body: Mapping[str, Any]) -> None:
        self.project.append([Draft(kind, self.id, body)])

    def _append_made(self, make: Callable[[PictureReview], Sequence[Draft]]) -> None:
        """Write what depends on the review as it is at that moment, whoever else writes."""

        def inside(connection: sqlite3.Connection) -> Sequence[Draft]:
            return make(read_review(self.id, all_events_of(connection, self.id)))

        self.project.append_made(inside)

    def _refuse_other_sources(self, judgement: Judgement) -> None:
        if judgement.labels is None:
            return
        there = set(np.unique(self.labels(judgement.labels)).tolist())
        missing = [s.source for s in judgement.sources if s.source not in there]
        if missing:
            raise DatasetError(
                f"The labels have no source {missing[0]}: give verdicts on sources that they have."
            )


def new_finding_id() -> str:
    """Name a finding that nobody has noted yet."""
    return secrets.token_hex(8)


def case_folder_of(picture: str | os.PathLike[str]) -> Path:
    """Return where the case of a single picture lies if nothing else is said: beside it."""
    path = Path(os.path.abspath(picture))
    name = os.fsencode(path.name)
    if len(name) + len(_CASE_SUFFIX) <= _LONGEST_NAME:
        return path.with_name(path.name + _CASE_SUFFIX)
    digest = hashlib.sha256(name).hexdigest()[:12]
    begin = name[: _LONGEST_NAME // 2].decode("utf-8", "ignore")
    return path.with_name(f"{begin}-{digest}{_CASE_SUFFIX}")


def open_case(
    folder: str | os.PathLike[str],
    picture: str | os.PathLike[str],
    *,
    description: CaseDescription | None = None,
    reviewer: str | None = None,
) -> Case:
    """Open the case of a picture in a folder; begin one, or add the picture, where there is none.

    Parameters
    ----------
    folder : path-like
        A case folder, or any project.
    picture : path-like
        The picture's file, which stays where it is.
    description : CaseDescription, optional
        Kept if the case is begun now, or whoever began it was stopped before this was kept.
    reviewer : str, optional
        Default: the name chosen for this machine.

    Returns
    -------
    Case
        Close its project in the end.

    Raises
    ------
    SafireError
        The folder cannot be written to, the project cannot be opened, or the picture cannot be read
        or is another than the one that the case is about.
    """
    is_new = not is_project(folder) or was_never_begun(folder)
    if is_new:
        image_shape(picture)  # what is no picture leaves no folder behind
        name = description.title if description and description.title else Path(folder).name
        project = Project.create(folder, name, author=reviewer)
    else:
        project = Project.open(folder, author=reviewer)
    try:
        case = Case(project, picture_in(project, Path(os.path.abspath(picture))))
        if description is not None and (is_new or was_stopped(case.id, project.events())):
            case.describe(description)
    except BaseException:
        project.close()
        raise
    return case
