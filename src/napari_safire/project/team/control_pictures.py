"""The hidden control pictures of a project, and how its annotators do on them."""

from __future__ import annotations

from napari_safire.annotation.annotation import Labels
from napari_safire.errors import DatasetError
from napari_safire.project.events import Draft
from napari_safire.project.pictures import find_picture
from napari_safire.project.store import Project
from napari_safire.project.team.controls import ControlScore, score_control
from napari_safire.project.visibility import FINISHED
from napari_safire.project.work import read_labels, truth_of, works
from napari_safire.text import printable


def make_control(project: Project, picture: str, truth: Labels | None = None) -> None:
    """Make a picture a hidden control.

    Nobody is told which pictures are controls: only the project's log says so.

    Parameters
    ----------
    project : Project
    picture : str
        Its id.
    truth : (H, W) uint8 array, optional
        Known sources from 1; 0 where it is not known. Default: the accepted or only work on it,
        else the labels that came with it.

    Raises
    ------
    DatasetError
        No truth is known, or it does not fit the picture.
    """
    known = find_picture(project, picture)
    labels = _known_truth(project, known.id, known.begin) if truth is None else truth
    if labels is None:
        raise DatasetError(
            f"The truth of {known.name} is not known: annotate and accept it, or give its mask."
        )
    if known.height is not None and labels.shape != (known.height, known.width):
        raise DatasetError(
            f"The truth has {labels.shape[0]} x {labels.shape[1]} pixels, {known.name} has "
            f"{known.height} x {known.width}: it is of another picture."
        )
    if not labels.any():
        raise DatasetError(f"The truth of {known.name} holds no source: give another mask.")
    body = {"labels": project.objects.put_labels(labels)}
    project.append([Draft("picture.controlled", known.id, body)])


def unmake_control(project: Project, picture: str) -> None:
    """Make a control a picture like all others; what was made of it stays."""
    project.append([Draft("picture.controlled", find_picture(project, picture).id, {})])


def control_scores(project: Project) -> tuple[ControlScore, ...]:
    """Score all work that annotators have finished on controls.

    Parameters
    ----------
    project : Project

    Returns
    -------
    tuple of ControlScore
        To be shown by `scores_over_time`. Work whose labels or truth are damaged, or of another
        size, raises a `DatasetError` that names the picture.
    """
    found: list[ControlScore] = []
    rows = project.ask(
        "SELECT id, name, control FROM picture WHERE NOT removed AND control IS NOT NULL "
        "ORDER BY position"
    )
    for picture, name, control in rows:
        finished = [
            work
            for work in works(project, picture)
            if work.role == "annotator" and work.state in FINISHED
        ]
        if not finished:
            continue
        truth = project.objects.labels(control)
        for work in finished:
            try:
                found.append(
                    score_control(
                        truth,
                        read_labels(project, work),
                        annotator=work.annotator,
                        picture=picture,
                        at=work.at,
                    )
                )
            except DatasetError as error:
                raise DatasetError(f"{printable(name)}: {error}") from error
    return tuple(found)


def _known_truth(project: Project, picture: str, begin: str | None) -> Labels | None:
    work = truth_of(project, picture)
    if work is not None:
        return read_labels(project, work)
    return None if begin is None else project.objects.labels(begin)
