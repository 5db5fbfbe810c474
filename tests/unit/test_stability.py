"""Stability of a partition: prompts and patches, clear and unsure places, odd questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import Parity
from toys import BY_PATCHES

from napari_safire import Engine, load_model
from napari_safire.engine.rules import read_rules
from napari_safire.errors import Cancelled
from napari_safire.geometry import Geometry
from napari_safire.model import ModelConfig, SafireModel
from napari_safire.partitioning.matching import match_sources
from napari_safire.partitioning.of_prompts import cluster_prompts, make_partition
from napari_safire.partitioning.prompt_grid import PromptGrid, grid_points
from napari_safire.partitioning.stability import REPEATING, stability_of_prompts
from napari_safire.types import Embedding, SourcePartition

SIDE = 8
SHAPE = (64, 96)
CHANNELS = 8
LEFT, RIGHT = np.eye(CHANNELS)[:2]


def columns(unsure: int, shape: tuple[int, int], noise: float = 0.05) -> np.ndarray:
    """(h, w, C): two equal sources; so many columns on each side of the border are of neither."""
    height, width = shape
    features = np.empty((height, width, CHANNELS))
    features[:] = LEFT
    features[:, width // 2 :] = RIGHT
    features[:, width // 2 - unsure : width // 2 + unsure] = LEFT + RIGHT
    features += np.random.default_rng(1).normal(0, noise, features.shape)
    return features.astype(np.float32)


# -- prompts -------------------------------------------------------------------------------------


def grid_of(features: np.ndarray, empty: tuple[int, ...] = ()) -> PromptGrid:
    """Prompts that find the half they lie in."""
    geometry = Geometry(SHAPE, SHAPE, SHAPE)
    prompts, _ = grid_points(geometry, SIDE)
    left = np.where(np.arange(24) < 12, 4.0, -4.0) * np.ones((16, 1))
    logits = np.stack([left if p.col < SHAPE[1] / 2 else -left for p in prompts])
    flat = features.reshape(-1, CHANNELS).copy()
    flat[list(empty)] = np.nan
    confidence = np.full(len(prompts), 0.9, np.float32)
    return PromptGrid(prompts, logits.astype(np.float32), confidence, flat, geometry)


def partition_of(grid: PromptGrid, n_sources: int = 2, seed: int = 0) -> SourcePartition:
    clusters = cluster_prompts(grid, "kmeans", n_sources, seed)
    return make_partition(grid, clusters, "kmeans", {}, seed)


@pytest.mark.parametrize("seed", range(3))
def test_clear_sources_are_found_again_whatever_number_they_get(seed: int) -> None:
    grid = grid_of(columns(0, (SIDE, SIDE)))
    stability = stability_of_prompts(grid, partition_of(grid, seed=seed), 6)
    assert stability.dtype == np.float32
    np.testing.assert_array_equal(stability, np.ones(SHAPE))


def test_only_prompts_between_the_sources_are_unstable() -> None:
    grid = grid_of(columns(1, (SIDE, SIDE)))
    stability = stability_of_prompts(grid, partition_of(grid), 10)
    unsure = slice(3 * SHAPE[1] // SIDE, 5 * SHAPE[1] // SIDE)
    assert 0 < stability[:, unsure].mean() < 1
    assert set((stability * 10).round(3).ravel()) <= set(range(11))  # shares of ten
    assert (np.delete(stability, np.r_[unsure], axis=1) == 1).all()


def test_a_pixel_hears_prompts_of_its_own_source_only() -> None:
    grid = grid_of(columns(1, (SIDE, SIDE)))
    partition = partition_of(grid)
    sources = partition.prompt_sources.reshape(SIDE, SIDE)
    unsure = sources[0, 3]
    (steady,) = {0, 1} - {unsure}
    labels = np.full(SHAPE, unsure, np.uint8)
    labels[:, 37:42] = steady  # around prompts of the other source, in columns 36 to 48
    stability = stability_of_prompts(grid, dataclasses.replace(partition, labels=labels), 10)
    assert (sources[:, 3] == unsure).all()
    assert (stability[:, 37:42] == 1).all()
    assert (stability[:, [36, 42, 43]] < 1).all()


def test_prompts_without_a_feature_are_passed_over() -> None:
    grid = grid_of(columns(0, (SIDE, SIDE)), empty=(0, 1, 9, SIDE * SIDE - 1))
    stability = stability_of_prompts(grid, partition_of(grid), 3)
    np.testing.assert_array_equal(stability, np.ones(SHAPE))


def test_sources_that_are_none_are_unstable() -> None:
    """Five sources where there are two: each time they are divided otherwise."""
    grid = grid_of(columns(0, (SIDE, SIDE)))
    partition = partition_of(grid, n_sources=5)
    # Their regions are equal; every pixel belongs to the source of its prompt.
    sources = partition.prompt_sources.reshape(SIDE, SIDE).astype(np.uint8)
    labels = sources.repeat(SHAPE[0] // SIDE, axis=0).repeat(SHAPE[1] // SIDE, axis=1)
    stability = stability_of_prompts(grid, dataclasses.replace(partition, labels=labels), 5)
    assert stability.mean() < 0.9


# -- the engine ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vit(parity: Parity) -> tuple[Engine, Embedding]:
    """The published small ViT on its picture."""
    engine = Engine(load_model(parity.checkpoint, config=ModelConfig.from_json(parity.config)))
    return engine, engine.embed(parity.image)


@pytest.fixture(scope="module")
def cutting() -> Engine:
    """A model that cuts patches; it is never asked for features."""
    torch.manual_seed(0)
    config = ModelConfig.lite(
        stage_widths=(8, 8, 16, 16), num_heads=2, depth=1, prompt_dim=CHANNELS, decoder_mlp_dim=16
    )
    model = SafireModel(dataclasses.replace(config, decoder_heads=1))
    return Engine(model, rules=read_rules(BY_PATCHES))


def patches(engine: Engine, unsure: int = 0, name: str = "", noise: float = 0.05) -> Embedding:
    """12 x 20 patches of which the last row and column are cut by the picture's edge."""
    features = np.moveaxis(columns(unsure, (12, 20), noise), -1, 0)
    geometry = Geometry((180, 310), (192, 320), (180.0, 310.0))
    sha256 = engine.model.checkpoint_sha256
    return Embedding(features, geometry, f"{unsure} {noise} {name}", sha256)


@pytest.mark.parametrize("arguments", [("kmeans", 3), ("auto", None), ("dbscan", None)])
def test_prompts_of_a_vit(vit: tuple[Engine, Embedding], arguments: tuple[str, int | None]) -> None:
    engine, embedding = vit
    partition = engine.partition(embedding, *arguments, points_per_side=8, eps=0.01)
    stages = set()
    first = engine.stability(
        embedding, partition, 3, progress=lambda done, total, stage: stages.add(stage)
    )
    assert first.shape == embedding.image_shape
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, engine.stability(embedding, partition, 3))
    if partition.n_sources > 1:
        assert stages == {REPEATING}  # no prompt is asked again


def test_clear_patches_are_stable(cutting: Engine) -> None:
    embedding = patches(cutting)
    partition = cutting.partition(embedding, "kmeans", 2)
    assert partition.n_sources == 2
    np.testing.assert_array_equal(cutting.stability(embedding, partition), np.ones((180, 310)))


def test_patches_between_two_sources_are_unstable(cutting: Engine) -> None:
    embedding = patches(cutting, unsure=3, noise=0.2)
    partition = cutting.partition(embedding, "kmeans", 2, seed=3)
    stability = cutting.stability(embedding, partition, 16)
    unsure = np.r_[7 * 16 : 13 * 16]
    away = np.delete(stability, unsure, axis=1)
    assert stability[:, unsure].mean() < 0.95
    assert away.mean() > 0.99
    np.testing.assert_array_equal(stability, cutting.stability(embedding, partition, 16))


def test_one_source_is_stable_and_asks_nothing(cutting: Engine) -> None:
    embedding = patches(cutting, name="one")
    partition = cutting.partition(embedding, "kmeans", 1)

    def never(*_: object) -> None:
        raise AssertionError("there was nothing to do")

    stability = cutting.stability(embedding, partition, progress=never)
    np.testing.assert_array_equal(stability, np.ones((180, 310)))


@pytest.mark.parametrize("method", ["kmeans", "dbscan"])
def test_it_can_be_stopped_between_repetitions(
    vit: tuple[Engine, Embedding], cutting: Engine, method: str
) -> None:
    if method == "dbscan":
        engine, embedding = vit
    else:
        engine, embedding = cutting, patches(cutting)
    partition = engine.partition(embedding, "kmeans", 2, points_per_side=6)
    done = []
    with pytest.raises(Cancelled, match=REPEATING):
        engine.stability(
            embedding,
            partition,
            progress=lambda *step: done.append(step),
            cancel=lambda: (2, 5, REPEATING) in done,
        )
    assert [step for step in done if step[2] == REPEATING] == [(n, 5, REPEATING) for n in range(3)]


@pytest.mark.parametrize(
    ("change", "repeats", "words"),
    [
        (lambda p: p, 0, "repeats is 0"),
        (lambda p: dataclasses.replace(p, labels=p.labels[1:]), 5, "embedding it was made of"),
        (lambda p: dataclasses.replace(p, parameters={}), 5, "another model"),
    ],
)
def test_wrong_arguments(
    cutting: Engine,
    change: Callable[[SourcePartition], SourcePartition],
    repeats: int,
    words: str,
) -> None:
    embedding = patches(cutting)
    partition = cutting.partition(embedding, "kmeans", 2)
    with pytest.raises(ValueError, match=words):
        cutting.stability(embedding, change(partition), repeats)


def test_matching_is_one_to_one_and_leaves_out_what_shares_nothing() -> None:
    known = np.array([[2, 2, 2, 1, 1, 0, 0]])
    labels = np.array([[0, 0, 1, 1, 1, 2, 2]])
    assert match_sources(known, labels, 4).tolist() == [2, 1, 0, 0]
    assert match_sources(np.zeros_like(known), labels, 3).tolist() == [0, 0, 0]
