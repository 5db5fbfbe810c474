"""Pictures given to people, hidden controls among them, and how people do on these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError
from napari_safire.project.chain.events import Draft
from napari_safire.project.people import checked_name
from napari_safire.project.pictures import find_picture, project_pictures
from napari_safire.project.projections import Role
from napari_safire.project.store import Project
from napari_safire.project.team.assignment import (
    Assignable,
    Assigned,
    AssignmentRule,
    Assignments,
    assign,
)
from napari_safire.project.team.controls import (
    ControlScore,
    ScoreRow,
    score_control,
    scores_over_time,
    with_controls,
)
from napari_safire.project.work import read_labels, works


@dataclass(frozen=True, slots=True)
class GivenAway:
    """What was given to whom.

    Parameters
    ----------
    counts : dict of str to int
        New pictures by person, controls included.
    short : dict of str to str
        Names of pictures with fewer people than they need, and why.
    """

    counts: dict[str, int]
    short: dict[str, str]


def give_away(project: Project, rule: AssignmentRule, role: Role = "annotator") -> GivenAway:
    """Give all pictures that still need people to them, with controls in between.

    Parameters
    ----------
    project : Project
        Its settings say how large the share of controls is.
    rule : AssignmentRule
    role : {"annotator", "adjudicator"}
        Adjudicators get pictures that all annotators are done with, and none of their own.

    Returns
    -------
    GivenAway
    """
    for name in rule.annotators:
        checked_name(name)
    pictures = list(project_pictures(project))
    names = {picture.id: picture.name for picture in pictures}
    existing = [
        (Assigned(picture, annotator), its)
        for picture, annotator, its in project.ask(
            "SELECT picture, annotator, role FROM work ORDER BY picture, annotator"
        )
    ]
    wanted = [
        Assignable(picture.id, frozenset(picture.tags))
        for picture in pictures
        if picture.control is None and (role == "annotator" or picture.stage == "adjudicate")
    ]
    made = assign(
        wanted,
        rule,
        existing=[given for given, its in existing if its == role],
        besides=[given for given, its in existing if its != role],
    )
    controls = [picture.id for picture in pictures if picture.control is not None]
    drafts = [
        Draft("work.assigned", picture, {"annotator": annotator, "role": role})
        for annotator in rule.annotators
        for picture in _in_turn(project, made, annotator, controls, existing, role)
    ]
    project.append_many(drafts)
    counts = dict.fromkeys(rule.annotators, 0)
    for draft in drafts:
        counts[draft.body["annotator"]] += 1
    return GivenAway(counts, {names[picture]: why for picture, why in made.short.items()})


def _in_turn(
    project: Project,
    made: Assignments,
    annotator: str,
    controls: Sequence[str],
    existing: Sequence[tuple[Assigned, Role]],
    role: Role,
) -> Sequence[str]:
    own = [given.picture for given in made.made if given.annotator == annotator]
    if role == "adjudicator":
        return own
    known = [given.picture for given, _ in existing if given.annotator == annotator]
    settings = project.settings
    return with_controls(
        own,
        controls,
        settings.control_share,
        annotator=annotator,
        seed=settings.seed,
        known=known,
    )


def make_control(project: Project, picture: str, labels: npt.NDArray[np.uint8] | None) -> None:
    """Make a picture a hidden control of known truth, or no control any more.

    Parameters
    ----------
    project : Project
    picture : str
        Id, path or name.
    labels : (H, W) uint8 array or None
        Its true sources from 1; 0 where they are not known.

    Raises
    ------
    DatasetError
        The labels have another size than the picture, or say nothing.
    """
    known = find_picture(project, picture)
    digest = None
    if labels is not None:
        if known.height is not None and labels.shape != (known.height, known.width):
            raise DatasetError(
                f"The truth of {known.name} has {labels.shape[0]} x {labels.shape[1]} pixels, the "
                f"picture {known.height} x {known.width}: it belongs to another picture."
            )
        if not labels.any():
            raise DatasetError(f"The truth of {known.name} holds no source: give one that does.")
        digest = project.objects.put_labels(labels)
    project.append([Draft("picture.controlled", known.id, {"labels": digest})])


def control_scores(project: Project) -> tuple[ScoreRow, ...]:
    """Make a table of how annotators did on the controls, from then to now."""
    scores: list[ControlScore] = []
    for picture in project_pictures(project):
        if picture.control is None:
            continue
        truth = project.objects.labels(picture.control)
        for work in works(project, picture.id):
            if work.role == "annotator" and work.state in ("done", "accepted"):
                scores.append(
                    score_control(
                        truth,
                        read_labels(project, work),
                        annotator=work.annotator,
                        picture=picture.name,
                        at=work.at,
                    )
                )
    return scores_over_time(scores, seed=project.settings.seed)
