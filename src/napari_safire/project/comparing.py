"""Annotators of a picture compared once all are done, and what a model thinks of the pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from napari_safire.annotation.region_labels import partition_uncertainty
from napari_safire.basis import RunBasis
from napari_safire.errors import SafireError
from napari_safire.examination import examine_whole
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.chain.events import Draft
from napari_safire.project.pictures import open_picture, project_pictures
from napari_safire.project.store import Project
from napari_safire.project.team.agreement import (
    GroupAgreement,
    agreement_of_all,
    means_with_intervals,
)
from napari_safire.project.visibility import StateChange, blind_revisions
from napari_safire.settings import PartitionSettings

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.evaluation.summary import Mean

_SCORES = ("p_miou", "p_ari", "boundary_f", "alpha")


def compare_works(project: Project, picture: str) -> GroupAgreement | None:
    """Compare the annotators of a picture, where several are done, and note their agreement.

    What is compared is what each had when all were done for the first time: later work was made
    knowing the others'.

    Parameters
    ----------
    project : Project
    picture : str
        Its id.

    Returns
    -------
    GroupAgreement or None
        None where fewer than two are done.

    Raises
    ------
    DatasetError
        Their labels are gone or damaged.
    """
    blind = _blind_labels(project, picture)
    if len(blind) < 2:
        return None
    found = agreement_of_all(
        {name: project.objects.labels(labels) for name, (_, labels) in blind.items()}
    )
    body = {
        "revisions": {name: revision for name, (revision, _) in blind.items()},
        "alpha": _known(found.alpha),
        **{
            name: _known(min(getattr(pair, name) for pair in found.pairs.values()))
            for name in _SCORES[:3]
        },
    }
    ((noted,),) = project.ask("SELECT compared FROM picture WHERE id = ?", (picture,))
    if not project.read_only and (noted is None or json.loads(noted) != body):
        project.append([Draft("picture.compared", picture, body)])
    return found


def compare_all(
    project: Project, progress: Progress | None = None, cancel: Cancel | None = None
) -> dict[str, Mean]:
    """Compare the annotators of all pictures of which several are done.

    Parameters
    ----------
    project : Project
    progress, cancel : callable, optional

    Returns
    -------
    dict of str to Mean
        "p_miou", "p_ari", "boundary_f" and "alpha" with 95 % intervals over pictures; of three and
        more annotators the least of each two counts.
    """
    rows = project.ask(
        "SELECT id FROM picture WHERE NOT removed AND (SELECT count(*) FROM work "
        "WHERE picture = id AND role = 'annotator' AND state IN ('done', 'accepted')) > 1"
    )
    for number, (picture,) in enumerate(rows):
        report(progress, cancel, number, len(rows), "comparing annotators")
        compare_works(project, picture)
    return noted_agreement(project)


def noted_agreement(project: Project) -> dict[str, Mean]:
    """Mean agreement over the pictures that were compared; see `compare_all`."""
    noted = [
        json.loads(text)
        for (text,) in project.ask(
            "SELECT compared FROM picture WHERE NOT removed AND compared IS NOT NULL"
        )
    ]
    scores = [
        {name: math.nan if body[name] is None else body[name] for name in _SCORES} for body in noted
    ]
    return means_with_intervals(scores, seed=project.settings.seed)


def _blind_labels(project: Project, picture: str) -> dict[str, tuple[int, str]]:
    """Revision and labels of each annotator, from before anybody could see another's."""
    changes: list[StateChange] = []
    labels: dict[tuple[str, int], str] = {}
    revisions: dict[str, int] = {}
    adjudicators = _adjudicators(project, picture)
    for event in project.events(picture=picture):
        state = _STATES.get(event.kind)
        name = str(event.body.get("annotator", ""))
        if state is None or event.body.get("role", "annotator") == "adjudicator":
            continue
        if event.kind == "work.saved":
            revisions[name] = event.body["revision"]
            labels[name, revisions[name]] = event.body["labels"]
        elif name in adjudicators:
            continue
        changes.append(StateChange(name, state, revisions.get(name, 0)))
    found = blind_revisions(changes, project.settings.annotators_per_picture)
    return {name: (revision, labels[name, revision]) for name, revision in found.items()}


def _adjudicators(project: Project, picture: str) -> set[str]:
    rows = project.ask(
        "SELECT annotator FROM work WHERE picture = ? AND role = 'adjudicator'", (picture,)
    )
    return {row[0] for row in rows}


_STATES = {
    "work.assigned": "assigned",
    "work.withdrawn": "withdrawn",
    "work.saved": "begun",
    "work.done": "done",
    "work.reopened": "begun",
    "work.rejected": "rejected",
    "work.accepted": "accepted",
}


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model thinks of a picture.

    Parameters
    ----------
    picture : str
        Its path.
    score : float or None
        How much speaks for a forgery, by the network alone.
    verdict : str
    uncertainty : float or None
        Mean of 1 - margin between the two most probable sources, 0 to 1.
    problem : str
        Why it could not be asked; empty where it was.
    """

    picture: str
    score: float | None = None
    verdict: str = ""
    uncertainty: float | None = None
    problem: str = ""


def score_pictures(
    project: Project,
    engine: Engine,
    *,
    anew: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Scored]:
    """Ask a model for its opinion of the pictures, to sort them by; each is noted at once.

    Parameters
    ----------
    project : Project
    engine : Engine
    anew : bool
        Also those that have a score.
    progress, cancel : callable, optional

    Yields
    ------
    Scored
    """
    pictures = [p for p in project_pictures(project) if anew or not p.verdict]
    settings = PartitionSettings()
    for number, picture in enumerate(pictures):
        report(progress, cancel, number, len(pictures), f"asking about {picture.name}")
        try:
            embedding = engine.embed(open_picture(project, picture.id).pixels, cancel=cancel)
            partition, forgery = examine_whole(engine, embedding, settings, cancel=cancel)
        except SafireError as error:
            yield Scored(picture.path, problem=str(error))
            continue
        uncertainty = float(partition_uncertainty(partition).mean())
        basis = RunBasis(embedding.checkpoint_sha256, asdict(settings))
        body = {
            "score": _known(forgery.score),
            "verdict": forgery.verdict,
            "uncertainty": _known(uncertainty),
            "basis": basis.as_record(),
        }
        project.append([Draft("picture.scored", picture.id, body)])
        yield Scored(picture.path, forgery.score, forgery.verdict, uncertainty)


def _known(value: float) -> float | None:
    """JSON has no numbers that are not finite."""
    return float(value) if math.isfinite(value) else None
