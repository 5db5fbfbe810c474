"""Models whose weights were lost or damaged, and pictures that an eigen-solver does not like."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from synthetic import photograph
from toys import BY_PATCHES, tiny_lite

from napari_safire import Engine
from napari_safire.errors import ModelFailure
from napari_safire.forgery import Calibration
from napari_safire.geometry import Geometry
from napari_safire.model import ModelConfig, SafireModel
from napari_safire.partitioning import spectral as cells_module
from napari_safire.partitioning.silence import NOTHING_FOUND, SAME_EVERYWHERE, SAME_FOR_ALL
from napari_safire.partitioning.spectral import patch_spectrum
from napari_safire.types import Embedding

CALM = Calibration(1.0, -5.0, 0.8, 0.2, 0.05, "made up for a test.")
VIT = ModelConfig(
    image_size=128, embed_dim=32, depth=1, num_heads=2, window_size=4, global_attention=(),
    prompt_dim=16, decoder_mlp_dim=16, decoder_heads=2, confidence_dim=8,
)  # fmt: skip
DIVIDING = [pytest.param(BY_PATCHES, id="patches"), pytest.param({}, id="prompts")]
ASKING = {
    "segment": lambda engine, embedding: engine.segment(embedding, [(5, 5)]),
    "grid": lambda engine, embedding: engine.grid(embedding, 3),
    "partition": lambda engine, embedding: engine.partition(embedding, points_per_side=3),
    "dbscan": lambda engine, embedding: engine.partition(embedding, "dbscan", points_per_side=3),
    "localize": lambda engine, embedding: engine.localize(embedding, points_per_side=3),
}


def engine_of(
    config: ModelConfig,
    damage: Callable[[SafireModel], object],
    metadata: dict[str, Any] | None = None,
):
    torch.manual_seed(0)
    model = SafireModel(config)
    model.metadata |= {"name": "hurt", "calibration": dataclasses.asdict(CALM)} | (metadata or {})
    with torch.no_grad():
        damage(model)
    return Engine(model)


def set_all(module: str, value: float) -> Callable[[SafireModel], None]:
    def damage(model: SafireModel) -> None:
        part = model.get_submodule(module) if module else model
        for parameter in part.parameters():
            parameter.fill_(value)

    return damage


def one_of(name: str, value: float) -> Callable[[SafireModel], None]:
    """Damage a single number."""

    def damage(model: SafireModel) -> None:
        model.get_parameter(name).view(-1)[0] = value

    return damage


# -- numbers that are not finite -----------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("config", "name"),
    [
        (tiny_lite(), "image_encoder.learned_kernels"),  # before tanh and blocks
        (tiny_lite(), "image_encoder.neck.bias"),
        (tiny_lite(), "image_encoder.blocks.0.proj.weight"),
        (VIT, "image_encoder.pos_embed"),
        (VIT, "image_encoder.hfp_overlap_patch_embed.proj.weight"),  # after the FFT
        (VIT, "image_encoder.neck.3.bias"),
    ],
)
def test_an_encoder_that_gives_no_numbers(config: ModelConfig, name: str, value: float) -> None:
    engine = engine_of(config, one_of(name, value), BY_PATCHES)
    with pytest.raises(ModelFailure, match="not finite while reading the picture's traces") as told:
        engine.embed(photograph(0, (128, 128)))
    assert "The file of hurt is damaged, or the device cpu fails" in str(told.value)


@pytest.mark.parametrize("asked", ASKING)
@pytest.mark.parametrize(
    "name",
    [
        "mask_decoder.iou_token.weight",
        "mask_decoder.output_upscaling.0.weight",
        "mask_decoder.output_hypernetworks_mlps.0.layers.2.bias",
        "mask_decoder.iou_prediction_head.layers.2.bias",
        "prompt_encoder.point_embeddings.1.weight",
    ],
)
def test_a_decoder_that_gives_no_numbers(name: str, asked: str) -> None:
    engine = engine_of(tiny_lite(), one_of(name, float("nan")))
    embedding = engine.embed(photograph(0, (128, 128)))
    with pytest.raises(ModelFailure, match="not finite while finding source regions"):
        ASKING[asked](engine, embedding)


@pytest.mark.parametrize("asked", ASKING)
@pytest.mark.parametrize("metadata", DIVIDING)
def test_an_embedding_that_holds_no_numbers(asked: str, metadata: dict[str, Any]) -> None:
    engine = engine_of(tiny_lite(), lambda _: None, metadata)
    embedding = engine.embed(photograph(0, (128, 128)))
    ASKING[asked](engine, embedding)  # so that a grid and a spectrum of this picture are kept
    features = embedding.features.copy()
    features[3, 2, 2] = np.nan
    with pytest.raises(ValueError, match="not finite: embed the picture again"):
        ASKING[asked](engine, dataclasses.replace(embedding, features=features))


# -- weights of zero -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1e-30])
@pytest.mark.parametrize("metadata", DIVIDING)
@pytest.mark.parametrize("config", [tiny_lite(), VIT], ids=["lite", "vit"])
@pytest.mark.parametrize("module", ["", "image_encoder"])
def test_an_encoder_without_weights_gives_no_verdict(
    module: str, config: ModelConfig, metadata: dict[str, Any], value: float
) -> None:
    engine = engine_of(config, set_all(module, value), metadata)
    embedding = engine.embed(photograph(0, (128, 128)))
    assert SAME_EVERYWHERE in embedding.warnings
    found = engine.localize(embedding, points_per_side=3)
    assert (found.verdict, found.reason) == ("inconclusive", SAME_EVERYWHERE)


@pytest.mark.parametrize(
    "module", ["mask_decoder", "prompt_encoder", "mask_decoder.output_hypernetworks_mlps"]
)
def test_a_decoder_without_weights_gives_no_verdict(module: str) -> None:
    engine = engine_of(tiny_lite(), set_all(module, 0.0))
    if module == "prompt_encoder":  # the position code is no parameter
        code = engine.model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
        code.zero_()
    embedding = engine.embed(photograph(0, (128, 128)))
    found = engine.localize(embedding, points_per_side=3)
    assert found.verdict == "inconclusive"
    assert found.reason in (SAME_FOR_ALL, NOTHING_FOUND)


def test_a_grid_without_regions_gives_no_verdict() -> None:
    engine = engine_of(tiny_lite(), lambda _: None)
    embedding = engine.embed(photograph(0, (128, 128)))
    found = engine.localize(embedding, points_per_side=1)  # one prompt has nothing to compare with
    assert (found.verdict, found.reason) == ("inconclusive", NOTHING_FOUND)


@pytest.mark.parametrize("config", [tiny_lite(), VIT], ids=["lite", "vit"])
@pytest.mark.parametrize("metadata", DIVIDING)
def test_a_model_that_responds_is_not_doubted(
    config: ModelConfig, metadata: dict[str, Any]
) -> None:
    engine = engine_of(config, lambda _: None, metadata)
    embedding = engine.embed(photograph(0, (128, 128)))
    assert embedding.warnings == ()
    found = engine.localize(embedding, points_per_side=3)
    assert "does not respond" not in found.reason


def test_a_filled_picture_is_no_damage() -> None:
    engine = engine_of(tiny_lite(), lambda _: None, BY_PATCHES)
    embedding = engine.embed(np.full((160, 160, 3), 90, np.uint8))
    assert embedding.warnings == ()
    assert "carries no traces" in engine.localize(embedding).reason


# -- eigenvalues ---------------------------------------------------------------------------------


def embedding_of(features: np.ndarray) -> Embedding:
    height, width = features.shape[1:]
    shape = (16 * height, 16 * width)
    return Embedding(features, Geometry(shape, shape, shape), "", "")


def grouped(groups: int, noise: float = 0.0) -> Embedding:
    """Cells in groups of equal ones: as many eigenvalues lie at 1."""
    rng = np.random.default_rng(0)
    directions = np.eye(groups, 64, dtype=np.float32)
    features = directions[rng.integers(groups, size=(20, 20))]
    features = features + noise * rng.standard_normal(features.shape)
    return embedding_of(np.moveaxis(features, -1, 0).astype(np.float32))


@pytest.mark.parametrize("groups", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("noise", [0.0, 1e-7, 0.01])
def test_equal_cells_in_groups_can_be_compared(groups: int, noise: float) -> None:
    spectrum = patch_spectrum(grouped(groups, noise))
    assert np.isfinite(spectrum.values).all()
    assert np.isfinite(spectrum.places).all()
    assert spectrum.values[0] == pytest.approx(1, abs=1e-3)


def test_an_iteration_that_does_not_end_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence

    embedding = grouped(3, 0.01)
    expected = patch_spectrum(embedding)
    for failure in (
        ArpackNoConvergence("No convergence", np.zeros(0), np.zeros((0, 0))),
        ArpackError(-9999),
        None,
    ):

        def fail(matrix: np.ndarray, k: int, failure=failure, **_: object):
            if failure is not None:
                raise failure
            return np.full(k, np.nan), np.full((len(matrix), k), np.nan)

        monkeypatch.setattr(cells_module, "eigsh", fail)
        found = patch_spectrum(embedding)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-3)
