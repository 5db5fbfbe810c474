"""What a model is recorded to have answered, asked of it once more.

Every step of a work is kept with the preview that was on screen: the model's answer to the prompts
that were live then, or its partition. Each such answer is asked for again, with the recorded model,
prompts and settings, and compared pixel by pixel. What people painted is no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import Annotation, Preview
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.codec import decode_annotation
from napari_safire.annotation.numbering import numbers_like
from napari_safire.annotation.region_labels import Unions, asked_for
from napari_safire.basis import ALGORITHM, RunBasis
from napari_safire.errors import SafireError
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.chain.events import Event
from napari_safire.project.pictures import ProjectPicture, open_picture, project_pictures
from napari_safire.project.store import Project
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding

if TYPE_CHECKING:
    from napari_safire.engine import Engine


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of asking once more, for one work.

    Parameters
    ----------
    picture, annotator : str
        Path of the picture, and whose work it is.
    n_answers : int
        Different answers of a model that were asked for again.
    n_pixels : int
        Of them together: the picture's pixels, once for each answer.
    n_differing : int
        Of these, how many are labelled otherwise now.
    problem : str
        Why some could not be asked for; empty where all were.
    """

    picture: str
    annotator: str
    n_answers: int = 0
    n_pixels: int = 0
    n_differing: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a model said at one step of a work."""

    annotator: str
    preview: Preview
    basis: RunBasis


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

    def engine_of(sha256: str) -> Engine:
        if sha256 not in engines:
            engines[sha256] = load_engine(sha256)
        return engines[sha256]

    found: list[Replayed] = []
    pictures = [p for p in project_pictures(project) if only in ("", p.id)]
    for number, picture in enumerate(pictures):
        report(progress, cancel, number, len(pictures), "asking the models again")
        found += _of_picture(project, picture, engine_of)
    return tuple(found)


def _of_picture(
    project: Project, picture: ProjectPicture, engine_of: Callable[[str], Engine]
) -> Iterator[Replayed]:
    made: dict[str, Replayed] = {}
    embeddings: dict[str, Embedding] = {}
    for annotator, answer, problem in _answers(project, picture):
        so_far = made.get(annotator, Replayed(picture.path, annotator))
        try:
            if answer is None:
                raise SafireError(problem)
            n_pixels, n_differing = _again(project, picture, answer, engine_of, embeddings)
            so_far = replace(
                so_far,
                n_answers=so_far.n_answers + 1,
                n_pixels=so_far.n_pixels + n_pixels,
                n_differing=so_far.n_differing + n_differing,
            )
        except SafireError as error:
            so_far = replace(so_far, problem=so_far.problem or str(error))
        made[annotator] = so_far
    yield from made.values()


def _answers(
    project: Project, picture: ProjectPicture
) -> Iterator[tuple[str, _Answer | None, str]]:
    """Different answers that the steps of a picture's works hold; a reason where one is damaged."""
    seen: set[Any] = set()
    for event in project.events(picture=picture.id):
        basis = RunBasis.from_record(event.body.get("basis"))
        if event.kind != "work.saved" or basis is None:
            continue
        annotator = str(event.body["annotator"])
        try:
            preview = _preview_of(project, event)
        except SafireError as error:
            yield annotator, None, str(error)
            continue
        if preview is None or not preview.exact:
            continue
        key = annotator, basis, preview.origin, preview.answers, preview.labels
        if key not in seen:
            seen.add(key)
            yield annotator, _Answer(annotator, preview, basis), ""


def _preview_of(project: Project, event: Event) -> Preview | None:
    digest = event.body.get("annotation")
    if digest is None:
        return None
    record = project.objects.json(digest)
    height, width = project.objects.labels(event.body["labels"]).shape
    return decode_annotation(record, (height, width)).annotation.preview


def _again(
    project: Project,
    picture: ProjectPicture,
    answer: _Answer,
    engine_of: Callable[[str], Engine],
    embeddings: dict[str, Embedding],
) -> tuple[int, int]:
    """Pixels of an answer, and how many of them the model labels otherwise now."""
    basis, preview = answer.basis, answer.preview
    if basis.algorithm != ALGORITHM:
        raise SafireError(
            f"It was made by algorithm {basis.algorithm}, this program has {ALGORITHM}: use the "
            "version of napari-safire that the event names."
        )
    checkpoint = basis.checkpoint_sha256
    engine = engine_of(checkpoint)
    if checkpoint not in embeddings:
        embeddings[checkpoint] = engine.embed(open_picture(project, picture.id).pixels)
    recorded = preview.labels.unpack()
    ask = _prompted if preview.origin == "prompts" else _partitioned
    found = ask(engine, embeddings[checkpoint], answer, recorded)
    return recorded.size, int(np.count_nonzero(found != recorded))


def _prompted(
    engine: Engine, embedding: Embedding, answer: _Answer, recorded: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    prompts, jointly = answer.preview.answers, engine.answers_by_patches
    wanted = list(dict.fromkeys(asked_for(prompts, jointly).values()))
    regions = ask_regions(engine, embedding, wanted)
    state = Annotation.empty(recorded.shape).with_prompts(prompts)
    return previewed(state, regions, None, Unions(), jointly).shown()


def _partitioned(
    engine: Engine, embedding: Embedding, answer: _Answer, recorded: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    settings = PartitionSettings(**dict(answer.basis.settings))
    partition = engine.partition(
        embedding,
        method=settings.method,
        n_sources=settings.n_sources,
        eps=settings.eps,
        seed=settings.seed,
        points_per_side=settings.points_per_side,
    )
    numbers = numbers_like(partition.labels, partition.n_sources, recorded)
    return np.array(numbers, np.uint8)[partition.labels]
