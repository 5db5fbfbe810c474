"""What a model is recorded to have answered is asked of it once more."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.annotation.annotation import Annotation, SourcePrompt, Stroke
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.region_labels import Unions, asked_for
from napari_safire.basis import RunBasis
from napari_safire.errors import CheckpointError
from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.store import Project
from napari_safire.project.upkeep.replay import replay
from napari_safire.project.work import Step, save_step
from napari_safire.session.results import with_partition
from napari_safire.settings import PartitionSettings
from napari_safire.types import PointPrompt

SHAPE = (96, 128)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model("safire-lite"))


@pytest.fixture
def prompted(tmp_path: Path, engine: Engine) -> tuple[Project, str, AnnotatedPlane]:
    """A project with a picture of which a model answered two prompts, and made a partition."""
    rng = np.random.default_rng(5)
    pixels = rng.normal(120, 30, (*SHAPE, 3))
    pixels[:, 64:] = np.kron(rng.normal(120, 30, (48, 32, 3)), np.ones((2, 2, 1)))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    project = Project.create(tmp_path / "project", author="Ada")
    (picture,) = add_pictures(project, [ListEntry(tmp_path / "a.png")]).ids
    embedding = engine.embed(np.asarray(Image.open(tmp_path / "a.png")))
    prompts = tuple(
        SourcePrompt(PointPrompt(40, col), number) for number, col in ((1, 20), (2, 100))
    )
    jointly = engine.answers_by_patches
    asked = list(dict.fromkeys(asked_for(prompts, jointly).values()))
    state = Annotation.empty(SHAPE).with_prompts(prompts)
    state = previewed(state, ask_regions(engine, embedding, asked), None, Unions(), jointly)
    made = AnnotatedPlane(state, Predictions(RunBasis(embedding.checkpoint_sha256)))
    save_step(project, picture, "Ada", Step(state.shown(), made), 0)
    partition = engine.partition(embedding, "kmeans", 2)
    divided = AnnotatedPlane(
        with_partition(state, partition),
        Predictions(RunBasis(embedding.checkpoint_sha256, asdict(PartitionSettings("kmeans", 2)))),
    )
    save_step(project, picture, "Ada", Step(divided.annotation.shown(), divided), 1)
    return project, picture, made


def test_prompts_and_partitions_give_the_same_again_whatever_was_painted(
    prompted: tuple[Project, str, AnnotatedPlane], engine: Engine
) -> None:
    project, picture, made = prompted
    stroke = Stroke(0, 0, np.ones((9, 9), bool), np.full((9, 9), 3))
    painted = replace(made, annotation=made.annotation.painted(stroke))
    save_step(project, picture, "Ada", Step(painted.annotation.shown(), painted), 2)
    (found,) = replay(project, lambda sha256: engine)
    assert found.problem == ""
    assert (found.n_answers, found.n_differing) == (2, 0)
    assert found.n_pixels == 2 * SHAPE[0] * SHAPE[1]


def test_every_pixel_that_the_model_did_not_say_is_reported(
    prompted: tuple[Project, str, AnnotatedPlane], engine: Engine
) -> None:
    project, picture, made = prompted
    preview = made.annotation.preview
    assert preview is not None
    labels = preview.labels.unpack()
    labels[30:34, 30:40] = 3 - labels[30:34, 30:40].clip(1, 2)  # 1 for 2 and 2 for 1
    forged = replace(preview, labels=PackedLabels.pack(labels))
    made = replace(made, annotation=made.annotation.with_preview(forged))
    save_step(project, picture, "Ada", Step(labels, made), 2)
    (found,) = replay(project, lambda sha256: engine)
    assert (found.n_answers, found.n_differing) == (3, 40)


def test_a_model_or_an_algorithm_that_is_gone_is_told(
    prompted: tuple[Project, str, AnnotatedPlane], engine: Engine
) -> None:
    project, picture, made = prompted

    def missing(sha256: str) -> Engine:
        raise CheckpointError(f"The model {sha256[:12]} is not here.")

    (found,) = replay(project, missing)
    assert "is not here" in found.problem
    basis = made.predictions.basis
    assert basis is not None
    older = replace(made, predictions=Predictions(replace(basis, algorithm=1)))
    save_step(project, picture, "Ada", Step(made.annotation.shown(), older), 2)
    (found,) = replay(project, lambda sha256: engine)
    assert "algorithm 1" in found.problem
    assert found.n_answers == 2  # the others were asked for all the same
