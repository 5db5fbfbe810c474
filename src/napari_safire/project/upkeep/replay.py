"""What a model is recorded to have answered, asked of it once more.

Of each picture the accepted or latest work is taken: its prompts are asked again, source by source,
and its partition is made again with the recorded settings. Pixels that were painted or protected
by hand are not the model's, and are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.numbering import numbers_like
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.region_labels import Asked, Unions, asked_for
from napari_safire.basis import ALGORITHM
from napari_safire.errors import SafireError
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.pictures import ProjectPicture, open_picture, project_pictures
from napari_safire.project.store import Project
from napari_safire.project.work import Work, read_labels, read_made, works
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of asking once more.

    Parameters
    ----------
    picture, annotator : str
        Path of the picture, and whose work it is.
    n_asked : int
        Pixels that the model is recorded to have labelled, and nobody painted.
    n_differing : int
        Of these, how many it labels otherwise now.
    problem : str
        Why it could not be asked; empty where it was.
    """

    picture: str
    annotator: str
    n_asked: int = 0
    n_differing: int = 0
    problem: str = ""


def replay(
    project: Project,
    load_engine: Callable[[str], Engine],
    *,
    only: str = "",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[Replayed, ...]:
    """Ask the recorded models the recorded questions, and count the pixels that differ.

    Parameters
    ----------
    project : Project
    load_engine : callable
        Takes the SHA-256 of a model and gives its engine, or raises a `SafireError`.
    only : str
        Id of one picture; empty: all.
    progress, cancel : callable, optional

    Returns
    -------
    tuple of Replayed
        One for each work in which a model helped.
    """
    engines: dict[str, Engine] = {}
    found: list[Replayed] = []
    pictures = [p for p in project_pictures(project) if only in ("", p.id)]
    for number, picture in enumerate(pictures):
        report(progress, cancel, number, len(pictures), "asking the models again")
        for work in works(project, picture.id):
            if work.basis is None or work.annotation is None:
                continue
            try:
                found.append(_replayed(project, picture, work, load_engine, engines))
            except SafireError as error:
                found.append(Replayed(picture.path, work.annotator, problem=str(error)))
    return tuple(found)


def _replayed(
    project: Project,
    picture: ProjectPicture,
    work: Work,
    load_engine: Callable[[str], Engine],
    engines: dict[str, Engine],
) -> Replayed:
    made, basis = read_made(project, work), work.basis
    assert made is not None  # whoever calls has looked
    assert basis is not None
    if basis.algorithm != ALGORITHM:
        raise SafireError(
            f"It was made by algorithm {basis.algorithm}, this program has {ALGORITHM}: use the "
            "version of napari-safire that the event names."
        )
    checkpoint = basis.checkpoint_sha256
    if checkpoint not in engines:
        engines[checkpoint] = load_engine(checkpoint)
    engine = engines[checkpoint]
    embedding = engine.embed(open_picture(project, picture.id).pixels)
    labels = read_labels(project, work)
    painted = made.annotation.protected.unpack()
    asked, differing = np.zeros_like(painted), np.zeros_like(painted)
    for again in (_by_partition, _by_prompts):  # prompts were asked over the partition
        answer = again(engine, embedding, made, labels, painted)
        if answer is not None:
            where, other = answer
            asked |= where
            differing = np.where(where, other, differing)
    return Replayed(picture.path, work.annotator, int(asked.sum()), int((differing & asked).sum()))


def _by_prompts(
    engine: Engine,
    embedding: Embedding,
    made: AnnotatedPlane,
    labels: npt.NDArray[np.uint8],
    painted: Mask,
) -> tuple[Mask, Mask] | None:
    """Where prompts have labelled, and where they would label otherwise now."""
    state = made.annotation
    prompts = tuple(replace(prompt, live=True) for prompt in state.prompts)
    if not prompts:
        return None
    jointly = engine.answers_by_patches
    wanted: dict[Asked, None] = dict.fromkeys(asked_for(prompts, jointly).values())
    regions: dict[Asked, SourceRegion] = ask_regions(engine, embedding, list(wanted))
    again = previewed(
        Annotation.empty(labels.shape).with_prompts(prompts), regions, None, Unions(), jointly
    ).shown()
    numbers = sorted({prompt.source for prompt in prompts})
    of_prompts = np.isin(labels, numbers)
    where = (of_prompts | (again > 0)) & ~painted
    # Sources that came from elsewhere may lie over a region: that was the user's decision.
    where &= of_prompts | (labels == 0)
    return where, again != labels


def _by_partition(
    engine: Engine,
    embedding: Embedding,
    made: AnnotatedPlane,
    labels: npt.NDArray[np.uint8],
    painted: Mask,
) -> tuple[Mask, Mask] | None:
    """Where a partition has labelled, and where it would label otherwise now."""
    said: Predictions = made.predictions
    if said.partition is None or said.basis is None or not said.basis.settings:
        return None
    settings = PartitionSettings(**dict(said.basis.settings))
    partition = engine.partition(
        embedding,
        method=settings.method,
        n_sources=settings.n_sources,
        eps=settings.eps,
        seed=settings.seed,
        points_per_side=settings.points_per_side,
    )
    numbers = numbers_like(partition.labels, partition.n_sources, labels, painted)
    again = np.array(numbers, np.uint8)[partition.labels]
    where = np.isin(labels, said.partition.numbers) & ~painted
    return where, again != labels
