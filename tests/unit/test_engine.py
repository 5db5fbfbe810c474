"""The engine: golden data of the published code, odd pictures, odd prompts, stopping."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch
from conftest import Parity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import TILED_LITE

from napari_safire import Engine, load_model
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.precision import computing_in, slow_precision
from napari_safire.errors import Cancelled
from napari_safire.forgery import Calibration
from napari_safire.geometry import Geometry
from napari_safire.images.demo import demo_composite
from napari_safire.model import ModelConfig, SafireModel, save_checkpoint
from napari_safire.partitioning.clustering import (
    Density,
    chosen_density,
    cluster_auto,
    cluster_dbscan,
    cluster_kmeans,
    separation,
)
from napari_safire.partitioning.of_prompts import (
    cluster_prompts,
    make_forgery_map,
    make_partition,
)
from napari_safire.partitioning.prompt_grid import PromptGrid, grid_points
from napari_safire.partitioning.stability import less_sure, stability_of_prompts
from napari_safire.types import Embedding, PointPrompt, SourcePartition


@pytest.fixture(scope="module")
def golden(parity: Parity) -> tuple[Engine, Embedding]:
    """The published small model on its picture."""
    engine = Engine(load_model(parity.checkpoint, config=ModelConfig.from_json(parity.config)))
    return engine, engine.embed(parity.image)


@pytest.fixture(scope="module")
def toy() -> Engine:
    """A lite model of random weights: tiles above 128 pixels, pools above 192."""
    torch.manual_seed(0)
    return Engine(SafireModel(TILED_LITE))


# -- golden data ---------------------------------------------------------------------------------


def test_embedding_and_grid_equal_the_published_code(
    golden: tuple[Engine, Embedding], parity: Parity
):
    engine, embedding = golden
    expected = parity.expected
    np.testing.assert_allclose(embedding.features, expected["embedding"][0], atol=1e-4)
    grid = engine.grid(embedding, points_per_side=8)
    xy = [embedding.geometry.to_model_xy(p.row, p.col) for p in grid.prompts]
    np.testing.assert_allclose(xy, expected["grid_xy"], atol=1e-9)
    # stored as float16
    np.testing.assert_allclose(
        grid.low_res_logits, expected["grid_low_res_logits"], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(grid.confidence, expected["grid_confidence"], atol=1e-4)
    np.testing.assert_array_equal(np.isnan(grid.features), np.isnan(expected["grid_features"]))
    np.testing.assert_allclose(grid.features, expected["grid_features"], atol=1e-4)
    np.testing.assert_array_equal(grid.valid, expected["dbscan_valid"])
    areas = [grid.region(i).mask.sum() for i in range(len(grid.prompts))]
    assert np.abs(np.array(areas) - expected["grid_area"]).max() <= 3


def test_dbscan_equals_the_published_code(golden: tuple[Engine, Embedding], parity: Parity):
    engine, embedding = golden
    grid = engine.grid(embedding, points_per_side=8)
    np.testing.assert_array_equal(
        cluster_dbscan(grid.features[grid.valid], 0.2), parity.expected["dbscan_labels_eps0.2"]
    )


def test_points_equal_the_published_code(golden: tuple[Engine, Embedding], parity: Parity):
    engine, embedding = golden
    points = [(y, x) for x, y in parity.expected["points_xy"]]
    regions = engine.segment(embedding, points)
    np.testing.assert_allclose(
        [r.low_res_logits for r in regions], parity.expected["point_low_res_logits"], atol=1e-4
    )
    np.testing.assert_allclose(
        [r.confidence for r in regions], parity.expected["point_confidence"], atol=1e-4
    )


# -- pictures of any kind ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 50), (3, 3, 3), (16, 16), (90, 61, 4), (150, 33, 3), (300, 217)]
)
def test_results_have_the_size_of_the_picture(toy: Engine, shape: tuple[int, ...]):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    embedding = toy.embed(image)
    height, width = shape[:2]
    region = toy.segment(embedding, [(height - 1, width - 1)])[0]
    partition = toy.partition(embedding, "kmeans", n_sources=2, points_per_side=4)
    forgery = toy.localize(embedding, points_per_side=4)
    assert region.mask.shape == region.logits.shape == (height, width)
    assert partition.labels.shape == forgery.heatmap.shape == (height, width)
    assert partition.probabilities.shape == (partition.n_sources, height, width)
    assert forgery.heatmap.dtype == np.float32
    assert 0 <= forgery.heatmap.min() <= forgery.heatmap.max() <= 1
    np.testing.assert_allclose(partition.probabilities.sum(axis=0), 1, rtol=1e-5)
    # equal up to the rounding of near ties
    assert (partition.probabilities.argmax(axis=0) == partition.labels).mean() > 0.999


def test_the_same_picture_in_other_containers(toy: Engine):
    image = np.random.default_rng(1).integers(0, 256, (100, 140, 3), dtype=np.uint8)
    first = toy.embed(image)
    for other in (np.asfortranarray(image), da.from_array(image, chunks=33)):
        again = toy.embed(other)
        np.testing.assert_array_equal(again.features, first.features)
        assert again.image_sha256 == first.image_sha256
    np.testing.assert_allclose(toy.embed(image / 255).features, first.features, atol=1e-3)


def test_tiles_agree_with_the_whole_away_from_their_seams():
    # Without attention the encoder sees only its surroundings: a tile's middle cannot differ.
    torch.manual_seed(0)
    config = dataclasses.replace(TILED_LITE, max_cells=64)
    whole = SafireModel(dataclasses.replace(config, image_size=512)).eval()
    tiled = SafireModel(config).eval()
    tiled.load_state_dict(whole.state_dict())
    for model in (whole, tiled):
        model.image_encoder.blocks = torch.nn.ModuleList()
    image = np.random.default_rng(2).integers(0, 256, (208, 304, 3), dtype=np.uint8)
    expected, got = Engine(whole).embed(image), Engine(tiled).embed(image)
    assert expected.geometry == got.geometry
    difference = np.abs(expected.features - got.features).max(axis=0)
    assert np.median(difference) < 1e-4
    assert difference[:2, :2].max() < 1e-4


def test_large_pictures_pool_their_embedding(toy: Engine):
    embedding = toy.embed(np.zeros((16 * 30, 16 * 20), dtype=np.uint8))
    assert embedding.features.shape[1:] == (10, 7)  # 30 cells become 10 of three
    assert np.isfinite(embedding.features).all()
    assert embedding.geometry.content_shape == (160.0, pytest.approx(320 / 3))


def test_not_finite_pixels_are_mended_and_said(toy: Engine):
    image = np.random.default_rng(3).random((40, 40))
    image[0, 0] = np.nan
    embedding = toy.embed(image)
    assert np.isfinite(embedding.features).all()
    assert "not finite" in embedding.warnings[0]


# -- prompts -------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(-0.5, 89.5), st.floats(-0.5, 60.5))
def test_any_prompt_inside_is_answered(toy: Engine, row: float, col: float):
    embedding = toy.embed(np.full((90, 61), 128, dtype=np.uint8))
    region = toy.segment(embedding, [PointPrompt(row, col)])[0]
    assert (region.prompt.row, region.prompt.col) == (row, col)
    assert np.isfinite(region.logits).all()


@pytest.mark.parametrize("point", [(-1, 0), (0, -1), (90, 0), (0, 61), (1e9, 1e9)])
def test_prompts_outside_are_refused(toy: Engine, point: tuple[float, float]):
    embedding = toy.embed(np.zeros((90, 61), dtype=np.uint8))
    with pytest.raises(ValueError, match="outside the picture of 90 rows and 61 columns"):
        toy.segment(embedding, [(0, 0), point])


@pytest.mark.parametrize("point", [(1,), (1, 2, 3), "12", 5])
def test_prompts_are_pairs(toy: Engine, point: object):
    embedding = toy.embed(np.zeros((90, 61), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"pair|could not convert"):
        toy.segment(embedding, [point])  # type: ignore[list-item]


def test_no_prompts_no_regions(toy: Engine):
    assert toy.segment(toy.embed(np.zeros((20, 20))), []) == []


def test_prompts_do_not_know_of_each_other(toy: Engine):
    embedding = toy.embed(np.random.default_rng(4).random((100, 100)))
    points = [(10, 10), (50, 80), (99, 0)]
    together = toy.segment(embedding, points)
    for point, region in zip(points, together, strict=True):
        alone = toy.segment(embedding, [point])[0]
        np.testing.assert_allclose(alone.logits, region.logits, atol=1e-4)


# -- partition -----------------------------------------------------------------------------------


def test_partition_is_the_same_for_the_same_seed(golden: tuple[Engine, Embedding]):
    engine, embedding = golden
    first, again = (engine.partition(embedding, "kmeans", 3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.seed == 5
    assert first.parameters == {
        "points_per_side": 16,
        "n_sources": 3,
        "units": "prompts",
    }
    assert first.labels.max() == first.n_sources - 1 == 2
    sizes = np.bincount(first.labels.ravel(), minlength=3)
    assert (np.diff(sizes) <= 0).all()  # the largest first
    for source, region in enumerate(first.representatives):
        members = first.prompt_sources == source
        assert region.prompt in [p for p, m in zip(first.prompts, members, strict=True) if m]


def test_dropped_prompts_are_counted(golden: tuple[Engine, Embedding]):
    engine, embedding = golden
    partition = engine.partition(embedding, "kmeans", 2, points_per_side=8)
    assert partition.n_dropped == 30  # as in the golden data
    assert (partition.prompt_sources == -1).sum() == 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "spectral"}, "Unknown method"),
        ({"method": "kmeans"}, "needs n_sources"),
        ({"method": "kmeans", "n_sources": 0}, "n_sources is 0"),
        ({"method": "auto", "n_sources": 2}, "finds the number itself"),
        ({"method": "dbscan", "eps": 0.0}, "eps"),
        ({"method": "dbscan", "eps": float("nan")}, "eps"),
        ({"method": "dbscan", "eps": float("inf")}, "eps"),
        ({"method": "kmeans", "n_sources": 2, "seed": -1}, "seed"),
        ({"points_per_side": 0}, "points_per_side"),
        ({"points_per_side": 1000}, "points_per_side"),
    ],
)
def test_wrong_arguments(toy: Engine, arguments: dict[str, object], words: str):
    embedding = toy.embed(np.zeros((32, 32), dtype=np.uint8))
    with pytest.raises(ValueError, match=words):
        toy.partition(embedding, **arguments)  # type: ignore[arg-type]


def test_an_embedding_belongs_to_its_model(golden: tuple[Engine, Embedding], toy: Engine):
    with pytest.raises(ValueError, match="another model"):
        toy.segment(golden[1], [(0, 0)])
    with pytest.raises(TypeError, match="embed"):
        toy.partition(np.zeros((5, 5)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="load_model"):
        Engine("safire-lite")  # type: ignore[arg-type]


def test_progress_rises_and_cancel_stops(toy: Engine):
    image = np.random.default_rng(6).random((200, 300))
    steps: list[tuple[int, int, str]] = []
    embedding = toy.embed(image, progress=lambda *step: steps.append(step))
    assert [done for done, _, _ in steps] == list(range(len(steps)))
    assert steps[-1][0] == steps[-1][1] > 1
    calls = iter([False, False, True])
    with pytest.raises(Cancelled, match="Stopped"):
        toy.embed(image, cancel=lambda: next(calls))
    with pytest.raises(Cancelled):
        toy.partition(embedding, points_per_side=9, cancel=lambda: True)
    assert toy.partition(embedding, points_per_side=9).labels.shape == (200, 300)


def test_the_grid_is_computed_once(golden: tuple[Engine, Embedding]):
    engine, embedding = golden
    grid = engine.grid(embedding, 6)
    engine.localize(embedding, points_per_side=6)
    engine.partition(embedding, "dbscan", points_per_side=6)
    assert engine.grid(embedding, 6) is grid
    assert engine.grid(embedding, 5) is not grid


@pytest.mark.parametrize("shape", [(96, 64), (61, 90)])
def test_a_partition_needs_no_logits_of_the_whole_grid(
    golden: tuple[Engine, Embedding], toy: Engine, shape: tuple[int, int]
):
    picture = np.random.default_rng(3).integers(0, 255, (*shape, 3), np.uint8)
    for model in (golden[0].model, toy.model):
        whole, quick = Engine(model), Engine(model)
        embedding = whole.embed(picture)
        grid = whole.grid(embedding, 6)  # from here on it is there, and used
        assert grid.low_res_logits is not None
        a = whole.partition(embedding, "kmeans", 3, points_per_side=6)
        b = quick.partition(embedding, "kmeans", 3, points_per_side=6)
        (held,) = quick._decoder._grids.values()
        assert held.low_res_logits is None
        np.testing.assert_allclose(held.features, grid.features, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(a.prompt_sources, b.prompt_sources)
        for one, other in zip(a.representatives, b.representatives, strict=True):
            assert one.prompt == other.prompt
            np.testing.assert_allclose(
                one.low_res_logits, other.low_res_logits, rtol=1e-4, atol=1e-4
            )
        assert (a.labels != b.labels).mean() < 1e-3
        one, other = (e.localize(embedding, points_per_side=6) for e in (whole, quick))
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-4)
        with pytest.raises(ValueError, match="features only"):
            held.region(0)
        assert quick.grid(embedding, 6).low_res_logits is not None


def test_several_threads_may_ask_one_engine(toy: Engine):
    engine = Engine(toy.model, grids_cached=2)
    pictures = [np.random.default_rng(n).integers(0, 255, (64, 96, 3), np.uint8) for n in range(6)]

    def answer(picture: np.ndarray) -> tuple[np.ndarray, float]:
        embedding = engine.embed(picture)
        labels = engine.partition(embedding, "kmeans", 2, points_per_side=4).labels
        return labels, engine.localize(embedding, points_per_side=4).score

    alone = [answer(picture) for picture in pictures]
    engine = Engine(toy.model, grids_cached=2)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(3) as workers:
        together = list(workers.map(answer, pictures))
    for (labels, score), (other_labels, other_score) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(labels, other_labels)
        assert score == pytest.approx(other_score, abs=1e-6)
    assert torch.get_num_threads() == threads
    assert len(engine._decoder._grids) == 2


# -- clusters ------------------------------------------------------------------------------------


def groups(*sizes: int, spread: float = 0.02) -> np.ndarray:
    """Features in tight groups of given sizes, a direction each."""
    rng = np.random.default_rng(0)
    centres = np.eye(len(sizes), 8)
    rows = [centres[k] + spread * rng.standard_normal((n, 8)) for k, n in enumerate(sizes)]
    return np.concatenate(rows).astype(np.float32)


def test_kmeans_ignores_the_length_of_features():
    features = groups(30, 20) * np.linspace(0.1, 9, 50, dtype=np.float32)[:, None]
    labels = cluster_kmeans(features, 2, seed=0)
    assert len(set(labels[:30])) == len(set(labels[30:])) == 1
    assert labels[0] != labels[-1]


def test_kmeans_gives_no_more_sources_than_there_are_features():
    assert set(cluster_kmeans(np.ones((9, 4), dtype=np.float32), 3, seed=0)) == {0}
    assert len(set(cluster_kmeans(groups(3, 3, spread=0), 5, seed=0))) == 2


@pytest.mark.parametrize("sizes", [(50,), (40, 10), (60, 20, 20), (100, 5, 50, 20)])
def test_auto_finds_the_number_of_groups(sizes: tuple[int, ...]):
    assert len(set(cluster_auto(groups(*sizes), threshold=0.3))) == len(sizes)


def test_auto_gives_strays_to_their_neighbours():
    features = np.concatenate([groups(150, 100), np.full((1, 8), 0.5, dtype=np.float32)])
    assert len(set(cluster_auto(features, threshold=0.1))) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_auto_with_hardly_any_features(count: int):
    assert cluster_auto(np.ones((count, 3), dtype=np.float32), 0.3).tolist() == [0] * count


def test_all_noise_is_one_source():
    features = groups(1, 1, 1)
    assert cluster_dbscan(features, eps=0.01, min_samples=5).tolist() == [0, 0, 0]


def test_eps_is_chosen_between_what_is_dense_and_what_is_stray():
    rng = np.random.default_rng(1)
    strays = rng.standard_normal((9, 8)) * 2
    features = np.concatenate([groups(120, 60, 40), strays]).astype(np.float32)
    density = chosen_density(features)
    assert density.by_rule
    assert density.min_samples == 4
    assert 0.05 < density.eps < 1
    labels = cluster_dbscan(features, density.eps, density.min_samples)
    assert len(set(labels[:220])) == 3
    assert (labels[220:] == -1).sum() >= 8  # strays are no sources of their own
    # Whatever features are measured in, the same is dense.
    scaled = chosen_density(1000 * features)
    assert scaled.eps == pytest.approx(1000 * density.eps, rel=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 30])
@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_equal_features_are_one_source_by_the_rule(count: int, spread: float):
    rng = np.random.default_rng(0)
    features = (1 + spread * rng.standard_normal((count, 8))).astype(np.float32)
    density = chosen_density(features)
    assert density.eps > 0
    assert np.isfinite(density.eps)
    if count:
        labels = cluster_dbscan(features, density.eps, density.min_samples)
        assert set(labels) == {0}


def grid_of(features: np.ndarray) -> PromptGrid:
    """A square grid whose prompts have these features and look at places of their own."""
    side = round(len(features) ** 0.5)
    geometry = Geometry((64, 64), (64, 64), (64.0, 64.0))
    prompts, _ = grid_points(geometry, side)
    rows, cols = np.mgrid[:16, :16] * 4 + 1.5
    logits = np.stack([8 - np.hypot(rows - p.row, cols - p.col) for p in prompts])
    confidence = np.full(len(prompts), 0.98, np.float32)
    return PromptGrid(prompts, logits.astype(np.float32), confidence, features, geometry)


def by_dbscan(grid: PromptGrid, density: Density) -> SourcePartition:
    parameters = {"eps": density.eps, "min_samples": density.min_samples}
    clusters = cluster_prompts(grid, "dbscan", density=density)
    partition = make_partition(grid, clusters, "dbscan", parameters, 0)
    return less_sure(grid, partition)


def test_arbitrary_sources_are_less_sure_than_clear_ones():
    clear = grid_of(groups(160, 96))
    partition = by_dbscan(clear, chosen_density(clear.features))
    assert partition.n_sources == 2
    assert min(region.confidence for region in partition.representatives) > 0.97
    # One cloud: a small eps takes whatever lies together by chance for sources.
    rng = np.random.default_rng(2)
    cloud = grid_of(rng.standard_normal((256, 3)).astype(np.float32))
    arbitrary = by_dbscan(cloud, Density(0.3))
    assert arbitrary.n_sources > 20
    confidences = [region.confidence for region in arbitrary.representatives]
    assert np.mean(confidences) < 0.6
    stability = stability_of_prompts(cloud, arbitrary, 8)
    assert stability.mean() < 0.6
    np.testing.assert_array_equal(stability_of_prompts(clear, partition, 8), 1)


def test_separation():
    features = groups(10, 10, spread=0)
    labels = np.repeat([0, 1], 10)
    assert separation(features, labels) == pytest.approx(1, abs=1e-5)
    assert separation(features, np.zeros(20, dtype=np.int64)) == 0


def made_grid(empty: bool = False) -> PromptGrid:
    """Four prompts: three see the left half, one the right."""
    geometry = Geometry((64, 64), (64, 64), (64.0, 64.0))
    left = np.where(np.arange(16) < 10, 4.0, -4.0) * np.ones((16, 1))
    logits = np.stack([left, left, left, -left]).astype(np.float32)
    features = groups(3, 1)
    if empty:
        features[:] = np.nan
    prompts = tuple(PointPrompt(10, c) for c in (5, 10, 20, 60))
    return PromptGrid(
        prompts, logits, np.array([0.2, 0.9, 0.3, 0.8], dtype=np.float32), features, geometry
    )


def test_the_most_confident_prompt_stands_for_its_source():
    grid = made_grid()
    clusters = cluster_prompts(grid, "kmeans", 2)
    partition = make_partition(grid, clusters, "kmeans", {}, 0)
    assert [r.prompt.col for r in partition.representatives] == [10, 60]
    assert partition.labels[0, 0] == 0
    assert partition.labels[0, 63] == 1
    assert partition.prompt_sources.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("method", ["kmeans", "dbscan", "auto"])
def test_a_picture_without_any_region_is_one_source(method: str):
    grid = made_grid(empty=True)
    clusters = cluster_prompts(grid, method, 2, 0, Density(0.2), 0.3)
    partition = make_partition(grid, clusters, method, {}, 0)
    assert partition.n_sources == 1
    assert not partition.labels.any()
    assert partition.n_dropped == 4
    assert not make_forgery_map(grid, clusters, None).heatmap.any()


def test_the_smaller_source_is_the_forged_one():
    grid = made_grid()
    clusters = cluster_prompts(grid, "kmeans", 2)
    heatmap = make_forgery_map(grid, clusters, None).heatmap
    assert heatmap[:, 60].min() > 0.9
    assert heatmap[:, 5].max() < 0.1


@pytest.mark.parametrize(
    ("intercept", "shape", "verdict"),
    [
        (9.0, (128, 128), "forged"),
        (-9.0, (128, 128), "no forgery found"),
        (-0.9, (128, 128), "inconclusive"),
        (9.0, (127, 128), "inconclusive"),
    ],
)
def test_verdicts_follow_the_calibration(intercept: float, shape: tuple[int, int], verdict: str):
    grid = made_grid()
    geometry = dataclasses.replace(grid.geometry, image_shape=shape)
    grid = dataclasses.replace(grid, geometry=geometry)
    calibration = Calibration(1.0, intercept, 0.8, 0.2, 0.05, "made up for a test.")
    clusters = cluster_prompts(grid, "kmeans", 2)
    forgery = make_forgery_map(grid, clusters, calibration)
    assert forgery.verdict == verdict
    assert forgery.reason
    assert 0 <= forgery.score <= 1


def test_without_calibration_nothing_is_called_forged(toy: Engine):
    forgery = toy.localize(toy.embed(np.random.default_rng(8).random((80, 80))))
    assert forgery.verdict == "inconclusive"
    assert "no calibration" in forgery.reason


def test_calibration_travels_with_the_file(tmp_path: Path, toy: Engine):
    values = dataclasses.asdict(Calibration(0.0, 9.0, 0.9, 0.1, 0.05, "made up for a test."))
    path = tmp_path / "model.safetensors"
    save_checkpoint(toy.model, path, metadata={"calibration": values, "source_distance": 0.5})
    engine = Engine(load_model(path))
    embedding = engine.embed(np.random.default_rng(9).random((130, 130)))
    assert engine.localize(embedding).verdict == "forged"
    assert engine.partition(embedding).parameters["source_distance"] == 0.5


# --- approximate modes ---------------------------------------------------------------------------


def test_half_of_the_bits_give_almost_the_same_regions(tmp_path: Path):
    image = demo_composite()[0][:256, :320]
    model = load_model("safire-lite", device="cpu")
    cache = EmbeddingCache(tmp_path)
    exact, half = Engine(model), Engine(model, precision="bf16", cache=cache)
    wanted, found = exact.embed(image), half.embed(image)
    assert cache.usage().entries == 0  # it would be taken for the exact one
    assert found.features.dtype == np.float32
    prompts = [(40, 60), (200, 250), (128, 128)]
    for ours, theirs in zip(
        half.segment(found, prompts), exact.segment(wanted, prompts), strict=True
    ):
        assert not np.array_equal(ours.low_res_logits, theirs.low_res_logits)
        assert (ours.mask & theirs.mask).sum() > 0.9 * (ours.mask | theirs.mask).sum()


@pytest.mark.parametrize(
    ("precision", "words"), [("half", "Unknown precision 'half'"), ("fp16", "for GPUs")]
)
def test_precisions_that_cannot_be_are_refused(toy: Engine, precision: str, words: str):
    with pytest.raises(ValueError, match=words):
        Engine(toy.model, precision=precision)


@pytest.mark.parametrize(
    ("capability", "machine", "slow"),
    [("AVX2", "x86_64", True), ("AVX512", "x86_64", False), ("DEFAULT", "aarch64", False)],
)
def test_bfloat16_is_said_to_be_slow_where_it_is(
    toy: Engine, capability: str, machine: str, slow: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    monkeypatch.setattr("platform.machine", lambda: machine)
    heard: list[str] = []
    Engine(toy.model, precision="bf16", on_notice=heard.append)
    assert ["no bfloat16 arithmetic" in text for text in heard] == [True] * slow
    assert slow_precision("float32", torch.device("cpu")) is None
    assert slow_precision("bf16", torch.device("cuda")) is None


def test_a_model_that_was_moved_to_the_cpu_goes_on_in_float32():
    """Where the memory of a GPU ran out; a CPU has no use for fp16."""
    with computing_in("fp16", torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")
    with computing_in("bf16", torch.device("cpu")):
        assert torch.is_autocast_enabled("cpu")
