"""What a model is recorded to have answered is asked of it once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.annotation.annotation import Annotation, SourcePrompt, Stroke
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.region_labels import Unions, asked_for
from napari_safire.basis import RunBasis
from napari_safire.errors import CheckpointError
from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.store import Project
from napari_safire.project.upkeep.replay import replay
from napari_safire.project.work import Step, save_step
from napari_safire.types import PointPrompt

SHAPE = (96, 128)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model("safire-lite"))


@pytest.fixture
def prompted(tmp_path: Path, engine: Engine) -> tuple[Project, str, AnnotatedPlane]:
    """A project with a picture in which a model answered two prompts and a stroke was painted."""
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
    stroke = Stroke(0, 0, np.ones((9, 9), bool), np.full((9, 9), 3))
    made = AnnotatedPlane(
        state.commit().painted(stroke), Predictions(RunBasis(embedding.checkpoint_sha256))
    )
    save_step(project, picture, "Ada", Step(made.annotation.shown(), made), 0)
    return project, picture, made


def test_prompts_give_the_same_again_and_painted_pixels_are_left_out(
    prompted: tuple[Project, str, AnnotatedPlane], engine: Engine
) -> None:
    project, _, _ = prompted
    (found,) = replay(project, lambda sha256: engine)
    assert found.problem == ""
    assert found.n_differing == 0
    assert 0 < found.n_asked <= SHAPE[0] * SHAPE[1] - 81


def test_every_pixel_that_the_model_did_not_say_is_reported(
    prompted: tuple[Project, str, AnnotatedPlane], engine: Engine
) -> None:
    project, picture, made = prompted
    labels = made.annotation.shown()
    labels[30:34, 30:40] = 3 - labels[30:34, 30:40].clip(1, 2)  # 1 for 2 and 2 for 1
    save_step(project, picture, "Ada", Step(labels, made), 1)
    (found,) = replay(project, lambda sha256: engine)
    assert found.n_differing == 40


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
    save_step(project, picture, "Ada", Step(made.annotation.shown(), older), 1)
    (found,) = replay(project, lambda sha256: engine)
    assert "algorithm 1" in found.problem
