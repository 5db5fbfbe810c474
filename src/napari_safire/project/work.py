"""What annotators make of the pictures of a project: saved, done, rejected, accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire import __version__
from napari_safire.annotation.codec import decode_annotation, encode_annotation
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError, SafireError
from napari_safire.project.chain.events import Draft
from napari_safire.project.projections import Role, WorkState
from napari_safire.project.revisions import Expected
from napari_safire.project.store import Project
from napari_safire.project.truth import PictureDescription, decode_description
from napari_safire.text import printable

_COLUMNS = (
    "picture, annotator, role, state, revision, labels, annotation, description, basis, decisions, "
    "begun_from, seconds, n_sources, n_unassigned, waiver, authentic, note, by, at"
)

_NOTHING_SAID = PictureDescription()
_JUDGED: Mapping[str, tuple[WorkState, ...]] = {
    "work.reopened": ("done", "rejected", "accepted"),
    "work.rejected": ("done", "accepted"),
    "work.accepted": ("done",),
}


@dataclass(frozen=True, slots=True)
class Work:
    """What one annotator made of one picture, as it is now.

    Parameters
    ----------
    picture, annotator : str
    role : {"annotator", "adjudicator"}
    state : {"assigned", "begun", "done", "rejected", "accepted"}
    revision : int
        0: nothing was made yet.
    labels, annotation, decisions : str or None
        SHA-256 of objects: the labels, the annotation by `annotation.codec`, and where each pixel's
        decision came from (of an adjudication).
    description : PictureDescription
    basis : RunBasis or None
        The model that helped; None: none did.
    begun_from : str
        "nothing", "model", "mask", or "work of NAME".
    seconds : float
        Time worked.
    n_sources : int
    n_unassigned : int or None
        Pixels without a source; None while nothing was made.
    waiver : str
        Why it is done although pixels have no source.
    authentic : bool
        The annotator says that all of it is one source.
    note : str
        Why it was rejected.
    by, at : str
        Who changed it last, and when (UTC).
    """

    picture: str
    annotator: str
    role: Role
    state: WorkState
    revision: int
    labels: str | None
    annotation: str | None
    description: PictureDescription
    basis: RunBasis | None
    decisions: str | None
    begun_from: str
    seconds: float
    n_sources: int
    n_unassigned: int | None
    waiver: str
    authentic: bool
    note: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A state of some work that is to be kept.

    Parameters
    ----------
    labels : (H, W) uint8 array
        As they count: 0 where there is no source, sources from 1.
    made : AnnotatedPlane or None
        All that the user and the model made of it; None where there are labels alone.
    description : PictureDescription
    seconds : float
        Time worked since the last step.
    title : str
        What was done, in the words of the history.
    begun_from : str
        See `Work`.
    decisions : JSON value or None
        See `napari_safire.project.team.adjudication`.
    """

    labels: npt.NDArray[np.uint8]
    made: AnnotatedPlane | None = None
    description: PictureDescription = _NOTHING_SAID
    seconds: float = 0.0
    title: str = ""
    begun_from: str = ""
    decisions: Any = None


def find_work(project: Project, picture: str, annotator: str) -> Work | None:
    """Return what an annotator made of a picture, or is to make; None if nothing is known."""
    return next((w for w in works(project, picture) if w.annotator == annotator), None)


def works(project: Project, picture: str) -> tuple[Work, ...]:
    """Return what all annotators made of a picture, by their names.

    Whoever shows it asks `napari_safire.project.visibility` who may see what.
    """
    rows = project.ask(
        f"SELECT {_COLUMNS} FROM work WHERE picture = ? ORDER BY annotator",  # noqa: S608 (columns and marks are ours, values are bound)
        (picture,),
    )
    return tuple(_work(row) for row in rows)


def save_step(
    project: Project,
    picture: str,
    annotator: str,
    step: Step,
    revision: int,
    role: Role = "annotator",
    *,
    unaccepted: bool = False,
) -> Work:
    """Keep a step of some work: objects first, then the event that names them.

    Parameters
    ----------
    project : Project
    picture, annotator : str
    step : Step
    revision : int
        That the step goes on from; 0 for the first.
    role : {"annotator", "adjudicator"}
    unaccepted : bool
        Raise `Changed` also where it was accepted meanwhile: a step would undo that.

    Returns
    -------
    Work
        As it is now.

    Raises
    ------
    Changed
        Somebody else has saved under this name since.
    SafireError
        It cannot be written.
    DatasetError
        The labels do not fit the picture.
    """
    _refuse_other_shape(project, picture, step.labels.shape)
    body = {"annotator": annotator, "role": role, "revision": revision + 1}
    expected = Expected(picture, annotator, revision, unaccepted)
    project.append([Draft("work.saved", picture, body | _kept(project, step))], [expected])
    return _require(project, picture, annotator)


def _kept(project: Project, step: Step) -> dict[str, Any]:
    """What an event says of a step, whose objects are written."""
    annotation = basis = None
    if step.made is not None:
        record = encode_annotation(step.made.annotation, step.made.predictions)
        annotation = project.objects.put_json(record)
        basis = record["basis"]
    counts = np.bincount(step.labels.ravel(), minlength=1)
    numbers = [int(n) for n in np.flatnonzero(counts) if n]
    return {
        "labels": project.objects.put_labels(step.labels),
        "annotation": annotation,
        "decisions": None if step.decisions is None else project.objects.put_json(step.decisions),
        "description": step.description.only(numbers).as_record(),
        "basis": basis,
        "seconds": round(step.seconds, 3),
        "title": step.title,
        "begun_from": step.begun_from,
        "n_sources": len(numbers),
        "n_unassigned": int(counts[0]),
        "version": __version__,
    }


def finish(
    project: Project,
    picture: str,
    annotator: str,
    revision: int,
    *,
    waiver: str = "",
    authentic: bool = False,
) -> Work:
    """Say that some work is done.

    Parameters
    ----------
    project : Project
    picture, annotator : str
    revision : int
        That is meant.
    waiver : str
        Why it is done although pixels have no source.
    authentic : bool
        Say that all of the picture is one source.

    Returns
    -------
    Work

    Raises
    ------
    DatasetError
        Pixels have no source and no reason is given; or there is one source and it is not said that
        the picture is authentic; or several, and it is.
    Changed
        Somebody else has saved under this name since.
    """
    work = _require(project, picture, annotator)
    if not work.revision:
        raise DatasetError("Nothing is marked: give every pixel a source, or say it is authentic.")
    if work.n_unassigned and not waiver.strip():
        raise DatasetError(
            f"{work.n_unassigned:,} pixels have no source: give them one, or say why not."
        )
    if authentic and (work.n_sources != 1 or work.n_unassigned):
        raise DatasetError(f"{work.n_sources} sources are marked: it is not authentic.")
    if work.n_sources == 1 and not authentic and not work.n_unassigned:
        raise DatasetError("All of it is one source: say that it is authentic.")
    body = {
        "annotator": annotator,
        "revision": revision,
        "waiver": waiver.strip(),
        "authentic": authentic,
    }
    project.append([Draft("work.done", picture, body)], [Expected(picture, annotator, revision)])
    return _require(project, picture, annotator)


def reopen(project: Project, picture: str, annotator: str) -> Work:
    """Take up work again that was done, rejected or accepted."""
    return _judge(project, picture, annotator, "work.reopened", {})


def reject(
    project: Project, picture: str, annotator: str, note: str, revision: int | None = None
) -> Work:
    """Send work back that is done, with a note that says why; see `accept`.

    Raises
    ------
    DatasetError
        There is no note, or the work is not done.
    """
    if not note.strip():
        raise DatasetError("Work is sent back with a note: say what is to be changed.")
    return _judge(project, picture, annotator, "work.rejected", {"note": note.strip()}, revision)


def accept(project: Project, picture: str, annotator: str, revision: int | None = None) -> Work:
    """Accept work that is done: it is the picture's ground truth from now on.

    Parameters
    ----------
    project : Project
    picture, annotator : str
    revision : int, optional
        That was looked at; default: whatever is there.

    Raises
    ------
    DatasetError
        The work is not done, or another revision is there by now.
    """
    return _judge(project, picture, annotator, "work.accepted", {}, revision)


def read_labels(project: Project, work: Work) -> npt.NDArray[np.uint8]:
    """Read the labels of some work.

    Returns
    -------
    (H, W) uint8 array

    Raises
    ------
    DatasetError
        Nothing was made, or its file is gone or damaged.
    """
    if work.labels is None:
        raise DatasetError(f"{printable(work.annotator)} has not begun: there are no labels yet.")
    return project.objects.labels(work.labels)


def read_made(project: Project, work: Work) -> AnnotatedPlane | None:
    """Read the whole annotation of some work; None where there are labels alone."""
    if work.annotation is None:
        return None
    height, width = read_labels(project, work).shape
    return decode_annotation(project.objects.json(work.annotation), (height, width))


def truth_of(project: Project, picture: str) -> Work | None:
    """Return the work that counts as the picture's ground truth: accepted, adjudicated, the only.

    Returns
    -------
    Work or None
        None while nothing is done, or several annotators are and nobody has adjudicated.
    """
    known = [work for work in works(project, picture) if work.state in ("done", "accepted")]
    accepted = [work for work in known if work.state == "accepted"]
    adjudicated = [work for work in known if work.role == "adjudicator"]
    for found in (accepted, adjudicated):
        if len(found) > 1:  # the last event decides, whatever the clocks of the machines say
            last = dict(
                project.ask("SELECT annotator, sequence FROM work WHERE picture = ?", (picture,))
            )
            return max(found, key=lambda w: (w.role == "adjudicator", last[w.annotator]))
        if found:
            return found[0]
    return known[0] if len(known) == 1 else None


def _judge(
    project: Project,
    picture: str,
    annotator: str,
    kind: str,
    about: dict[str, Any],
    revision: int | None = None,
) -> Work:
    work = _require(project, picture, annotator)
    if revision is not None and work.revision != revision:
        raise DatasetError(
            f"{printable(annotator)} has saved since you opened it: open it again, then judge."
        )
    if work.state not in _JUDGED[kind]:
        raise DatasetError(
            f"The work of {printable(annotator)} is {work.state}, not {' or '.join(_JUDGED[kind])}."
        )
    body = {"annotator": annotator, "revision": work.revision} | about
    expected = [Expected(picture, annotator, work.revision)]
    project.append([Draft(kind, picture, body)], expected)
    return _require(project, picture, annotator)


def _require(project: Project, picture: str, annotator: str) -> Work:
    work = find_work(project, picture, annotator)
    if work is None:
        raise DatasetError(f"{printable(annotator)} has made nothing of this picture.")
    return work


def _refuse_other_shape(project: Project, picture: str, shape: tuple[int, ...]) -> None:
    rows = project.ask("SELECT height, width, name FROM picture WHERE id = ?", (picture,))
    if not rows:
        raise SafireError(f"The project has no picture {printable(picture)}.")
    height, width, name = rows[0]
    if height is not None and shape != (height, width):
        raise DatasetError(
            f"The labels have {shape[0]} x {shape[1]} pixels, {printable(name)} has {height} x "
            f"{width}: they belong to another picture."
        )


def _work(row: tuple[Any, ...]) -> Work:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    description = json.loads(values["description"])
    values["description"] = decode_description(description) if description else PictureDescription()
    values["basis"] = (
        None if values["basis"] is None else RunBasis.from_record(json.loads(values["basis"]))
    )
    values["authentic"] = bool(values["authentic"])
    return Work(**values)
