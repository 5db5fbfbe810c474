"""Sources from the embedding's own patches: the cut, its number of sources, its labels and maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_safire.engine import Engine
from napari_safire.engine.rules import ModelRules, PatchRules
from napari_safire.forgery import Calibration
from napari_safire.geometry import Geometry
from napari_safire.metrics import multi_source_scores
from napari_safire.model import ModelConfig, SafireModel
from napari_safire.partitioning import spectral
from napari_safire.partitioning.grouping import GroupingRule
from napari_safire.partitioning.n_sources import (
    ScoreWeights,
    cleavage,
    multi_source_score,
    pieces_of,
    spread,
)
from napari_safire.partitioning.spectral import (
    PatchSpectrum,
    cut,
    forgery_map_of_patches,
    partition_of_patches,
    patch_spectrum,
)
from napari_safire.partitioning.uninformative import FLAT
from napari_safire.types import Embedding

GROUPING = GroupingRule(99.0, 0.0, -30.0, (0.0,) * 5)  # one source from a cosine of .3
CALIBRATION = Calibration(1.0, -4.0, 0.6, 0.3, 0.1, "made up for a test.")


def embedded(
    truth: np.ndarray,
    noise: float = 0.1,
    seed: int = 0,
    image_shape: tuple[int, int] | None = None,
    of: Engine | None = None,
) -> Embedding:
    """Patches whose features point where their source's do, more or less."""
    rng = np.random.default_rng(seed)
    centres = np.eye(8)[truth]  # (h, w, 8)
    features = (centres + noise * rng.standard_normal(centres.shape)).astype(np.float32)
    rows, cols = truth.shape
    shape = image_shape or (16 * rows, 16 * cols)
    geometry = Geometry(shape, (16 * rows, 16 * cols), shape)
    sha256 = "model" if of is None else of.model.checkpoint_sha256
    return Embedding(features.transpose(2, 0, 1), geometry, "image", sha256)


def blocks(rows: int, cols: int, n_sources: int) -> np.ndarray:
    """A ground, and small rectangles on it."""
    truth = np.zeros((rows, cols), dtype=int)
    for k in range(1, n_sources):
        left = 2 + (k - 1) * cols // n_sources
        truth[3:7, left : left + 4] = k
    return truth


def estimate(spectrum: PatchSpectrum, least: float = 2.3, similarity: float = 0.3) -> int:
    """Pieces that are so alike are of one source."""
    pieces = pieces_of(spectrum, 0, 1.0)
    grouping = GroupingRule(99.0, 0.0, -99.0 * similarity, (0.0,) * 5)
    return grouping.count(pieces.likeness, pieces.shares, cleavage(spectrum), least)


def at_image_size(truth: np.ndarray) -> np.ndarray:
    return np.kron(truth, np.ones((16, 16), dtype=int))


@pytest.mark.parametrize("n_sources", [2, 3, 4])
@pytest.mark.parametrize("finer", [1, 4], ids=["all compared", "a sample"])
def test_small_sources_are_found(finer: int, n_sources: int) -> None:
    truth = np.kron(blocks(12, 24, n_sources), np.ones((finer, finer), dtype=int))
    embedding = embedded(truth)
    spectrum = patch_spectrum(embedding)
    logits = cut(spectrum, n_sources, 0, 1.0)
    partition = partition_of_patches(embedding, logits, "kmeans", {}, 0, 16)
    scores = multi_source_scores(at_image_size(truth), partition.labels, n_clusters=n_sources)
    assert scores.miou_hungarian > 0.85
    assert estimate(spectrum) == n_sources


def test_neighbours_help_where_features_are_vague(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources lie together; their noise does not."""

    def right(seed: int) -> float:
        truth = blocks(24, 32, 3)
        embedding = embedded(truth, noise=0.3, seed=seed)
        logits = cut(patch_spectrum(embedding), 3, 0, 1.0)
        partition = partition_of_patches(embedding, logits, "kmeans", {}, 0, 16)
        return multi_source_scores(
            at_image_size(truth), partition.labels, n_clusters=3
        ).miou_hungarian

    with_neighbours = np.mean([right(seed) for seed in range(3)])
    monkeypatch.setattr(spectral, "NEIGHBOURHOOD", 0.0)
    assert with_neighbours > np.mean([right(seed) for seed in range(3)]) + 0.02


def test_where_patches_lie_does_not_change_how_many_sources_there_are() -> None:
    truth = blocks(12, 24, 3)
    scattered = np.random.default_rng(0).permutation(truth.ravel()).reshape(truth.shape)
    together, apart = (embedded(which, noise=0.0) for which in (truth, scattered))
    values = [patch_spectrum(one).values for one in (together, apart)]
    np.testing.assert_allclose(*values, atol=1e-3)
    # A source of many pieces is one source all the same.
    logits = cut(patch_spectrum(apart), 3, 0, 1.0)
    partition = partition_of_patches(apart, logits, "kmeans", {}, 0, 16)
    scores = multi_source_scores(at_image_size(scattered), partition.labels, n_clusters=3)
    assert scores.miou_hungarian > 0.6


def test_one_source_is_one_source() -> None:
    embedding = embedded(np.zeros((20, 20), dtype=int), noise=0.2)
    spectrum = patch_spectrum(embedding)
    assert estimate(spectrum) == 1
    logits = cut(spectrum, 1, 0, 1.0)
    assert logits.shape == (1, 20, 20)
    partition = partition_of_patches(embedding, logits, "auto", {}, 0, 4)
    assert partition.n_sources == 1
    assert not partition.labels.any()
    assert not forgery_map_of_patches(embedding, logits, 9.0, CALIBRATION).heatmap.any()


def test_pieces_of_one_source_are_joined_again() -> None:
    truth = blocks(16, 32, 3)
    pieces = pieces_of(patch_spectrum(embedded(truth)), 0, 2.0)
    assert len(pieces.logits) == len(pieces.likeness) == 6
    sources = pieces.grouped(GROUPING.groupings(pieces.likeness, pieces.shares).best())
    assert len(sources) == 3
    scores = multi_source_scores(truth, sources.argmax(0).astype(np.uint8), n_clusters=3)
    assert scores.miou_hungarian > 0.8
    # A patch belongs to the sources as often as to their pieces.
    shares = [np.exp(some).sum(axis=0) for some in (sources, pieces.logits)]
    np.testing.assert_allclose(*shares, rtol=1e-5)


def test_there_are_two_sources_at_least_or_one() -> None:
    spectrum = patch_spectrum(embedded(blocks(12, 24, 2)))
    assert estimate(spectrum, least=0.7, similarity=-1.0) == 2
    assert estimate(spectrum, least=9.3, similarity=1.0) == 1
    single = patch_spectrum(embedded(np.zeros((1, 1), dtype=int)))
    assert estimate(single, least=0.0) == 1


def test_equal_patches_cannot_be_divided() -> None:
    features = np.ones((8, 10, 10), np.float32)
    embedding = Embedding(features, Geometry((160, 160), (160, 160), (160, 160)), "i", "m")
    assert len(cut(patch_spectrum(embedding), 4, 0, 1.0)) == 1


def test_patches_without_any_feature_are_no_error() -> None:
    features = np.zeros((8, 10, 10), np.float32)
    embedding = Embedding(features, Geometry((160, 160), (160, 160), (160, 160)), "i", "m")
    assert np.isfinite(cut(patch_spectrum(embedding), 2, 0, 1.0)).all()


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_any_picture_gives_a_whole_partition(
    rows: int, cols: int, n_sources: int, cropped: int
) -> None:
    truth = np.arange(rows * cols).reshape(rows, cols) % 3
    shape = (16 * rows - cropped, 16 * cols - 2 * cropped)
    embedding = embedded(truth, image_shape=shape)
    logits = cut(patch_spectrum(embedding, n_sources), n_sources, 0, 2.0)
    partition = partition_of_patches(embedding, logits, "kmeans", {}, 0, 3)
    assert partition.labels.shape == shape
    assert 1 <= partition.n_sources <= min(n_sources, rows * cols)
    assert partition.labels.max() < partition.n_sources
    sizes = np.bincount(partition.labels.ravel(), minlength=partition.n_sources)
    assert (np.diff(sizes) <= 0).all(), "the largest source comes first"
    for k, region in enumerate(partition.representatives):
        assert embedding.geometry.contains(region.prompt.row, region.prompt.col)
        assert 0 <= region.confidence <= 1
        assert region.logits.shape == shape
        assert k < partition.n_sources
    assert len(partition.prompt_sources) == len(partition.prompts) == 9


def test_labels_are_the_argmax_of_the_probabilities() -> None:
    truth = blocks(12, 20, 3)
    embedding = embedded(truth, noise=0.3)
    logits = cut(patch_spectrum(embedding), 3, 0, 3.0)
    partition = partition_of_patches(embedding, logits, "kmeans", {}, 0, 4)
    probabilities = partition.probabilities
    margin = np.sort(probabilities, axis=0)
    clear = margin[-1] - margin[-2] > 1e-4
    assert (probabilities.argmax(0) == partition.labels)[clear].all()
    assert clear.mean() > 0.95
    rows, cols = np.array([(p.row, p.col) for p in partition.prompts]).round().astype(int).T
    assert (partition.labels[rows, cols] == partition.prompt_sources).all()


@pytest.mark.parametrize(
    "weights",
    [
        ScoreWeights(),
        ScoreWeights(0.0, distance=1.0),
        ScoreWeights(0.0, spread=1.0),
        ScoreWeights(1.0, 3.0, 4.0),
    ],
    ids=["cleavage", "distance", "spread", "all"],
)
def test_more_speaks_for_several_sources_where_there_are_two(weights: ScoreWeights) -> None:
    def found(truth: np.ndarray, noise: float = 0.1) -> float:
        spectrum = patch_spectrum(embedded(truth, noise))
        return multi_source_score(spectrum, pieces_of(spectrum, 0, 1.0), weights)

    one, single = np.zeros((12, 24), int), np.zeros((1, 1), int)
    assert found(blocks(12, 24, 2)) > found(one) >= 0
    assert found(single) == pytest.approx(0, abs=1e-6)


def test_signs_of_a_second_source_have_the_sizes_they_are_said_to_have() -> None:
    halves = np.repeat([[0] * 12 + [1] * 12], 12, axis=0)
    spectrum = patch_spectrum(embedded(halves, noise=0.0))
    pieces = pieces_of(spectrum, 0, 1.0)
    assert pieces.distance == pytest.approx(1)  # at right angles
    assert spread(spectrum) == pytest.approx(1 - 0.5**0.5)
    assert multi_source_score(spectrum, pieces, ScoreWeights(0, 3, 0)) == pytest.approx(3)
    vague = patch_spectrum(embedded(blocks(12, 24, 2), noise=0.5))
    assert cleavage(spectrum) > cleavage(vague)


def test_a_prompt_of_each_source_lies_inside_it() -> None:
    truth = blocks(12, 24, 4)
    embedding = embedded(truth)
    partition = partition_of_patches(
        embedding, cut(patch_spectrum(embedding), 4, 0, 1.0), "kmeans", {}, 0, 4
    )
    for k, region in enumerate(partition.representatives):
        assert partition.labels[round(region.prompt.row), round(region.prompt.col)] == k


def test_a_colder_cut_is_surer_and_no_different() -> None:
    embedding = embedded(blocks(12, 24, 3), noise=0.3)
    spectrum = patch_spectrum(embedding)
    soft, sharp = (
        partition_of_patches(embedding, cut(spectrum, 3, 0, value), "kmeans", {}, 0, 4)
        for value in (0.5, 5.0)
    )
    assert (soft.labels == sharp.labels).all()
    assert sharp.probabilities.max(0).mean() > soft.probabilities.max(0).mean()


def test_patches_that_are_uninformative_are_not_compared_and_join_what_is_near() -> None:
    truth = blocks(12, 24, 2)
    truth[9:, :] = 2  # unlike all else, but flat
    uninformative = np.where(truth == 2, FLAT, 0).astype(np.uint8)
    known = embedded(truth)
    embedding = Embedding(
        known.features, known.geometry, "image", "model", uninformative=uninformative
    )
    spectrum = patch_spectrum(embedding)
    logits = cut(spectrum, 2, 0, 1.0)
    expected = np.where(truth == 1, 1, 0)
    found = logits.argmax(0)
    assert (found == expected).all() or (found == 1 - expected).all()
    assert estimate(spectrum) == 2
    assert estimate(patch_spectrum(known)) == 3


def test_a_picture_that_can_hardly_be_read_is_compared_as_a_whole() -> None:
    known = embedded(blocks(12, 24, 2))
    uninformative = np.full((12, 24), FLAT, np.uint8)
    embedding = Embedding(
        known.features, known.geometry, "image", "model", uninformative=uninformative
    )
    assert len(cut(patch_spectrum(embedding), 2, 0, 1.0)) == 2


def test_the_forgery_map_shows_the_smaller_source() -> None:
    truth = blocks(12, 24, 2)
    embedding = embedded(truth)
    spectrum = patch_spectrum(embedding)
    found = forgery_map_of_patches(embedding, cut(spectrum, 2, 0, 2.0), 9.0, CALIBRATION)
    inside = at_image_size(truth) == 1
    assert found.heatmap.dtype == np.float32
    assert found.heatmap[inside].mean() > 0.8
    assert found.heatmap[~inside].mean() < 0.2
    assert found.verdict == "forged"
    doubtful = forgery_map_of_patches(embedding, cut(spectrum, 2, 0, 2.0), 4.0, CALIBRATION)
    assert doubtful.score < found.score
    assert doubtful.verdict == "inconclusive"


def test_the_forgery_map_shows_every_source_but_the_largest() -> None:
    truth = blocks(12, 24, 3)
    rules = PatchRules(GROUPING, inverse_temperature=2.0, least_score=2.3)
    engine = engine_of(rules)
    embedding = embedded(truth, of=engine)
    heatmap = engine.localize(embedding).heatmap
    assert ((heatmap > 0.5) == (at_image_size(truth) > 0)).mean() > 0.95
    of_one = engine_of(replace(rules, least_score=99.0))  # as far as "auto" can tell
    assert (of_one.localize(embedding).heatmap > 0.5).any()


def engine_of(rules: PatchRules) -> Engine:
    torch.manual_seed(0)
    return Engine(SafireModel(ModelConfig.lite()), rules=ModelRules(rules))


def test_the_engine_asks_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(PatchRules(GROUPING))
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    embedding = engine.embed(image)

    def decoded(*args: object, **kwargs: object) -> None:
        raise AssertionError("a prompt was asked")

    monkeypatch.setattr(engine.model, "decode", decoded)
    partition = engine.partition(embedding, "kmeans", 3, seed=1)
    again = engine.partition(embedding, "kmeans", 3, seed=1)
    assert (partition.labels == again.labels).all()
    assert partition.n_sources <= 3
    assert partition.parameters["units"] == "patches"
    assert partition.parameters["n_sources"] == 3
    assert engine.partition(embedding).parameters["least_score"] == 4.0
    assert engine.localize(embedding).heatmap.shape == (96, 128)
    many = engine.partition(embedding, "kmeans", 20)
    assert 6 < many.n_sources <= 20, "more than are looked for by method auto"


def test_the_number_of_sources_follows_the_models_rules() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    apart = GroupingRule(0.0, 0.0, -99.0, (0.0,) * 5)
    few = engine_of(PatchRules(apart, least_score=99.0))
    many = engine_of(PatchRules(apart, least_score=0.0))
    embedding = few.embed(image)
    assert few.partition(embedding).n_sources == 1
    assert many.partition(embedding).n_sources > 2
    counts = few.count_sources(embedding, [0.0, 2.0, 99.0])
    assert list(counts) == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (many.partition(embedding).n_sources, 1)


def test_dbscan_still_asks_prompts() -> None:
    engine = engine_of(PatchRules(GROUPING))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    embedding = engine.embed(image)
    partition = engine.partition(embedding, "dbscan", points_per_side=2, eps=0.2)
    assert partition.parameters["eps"] == 0.2
    assert partition.parameters["units"] == "prompts"
    assert engine.stability(embedding, partition, 1).shape == (64, 64)
    assert engine.segment(embedding, [(3, 4)])[0].mask.shape == (64, 64)


def test_a_partition_of_patches_can_be_cancelled() -> None:
    from napari_safire.errors import Cancelled

    engine = engine_of(PatchRules(GROUPING))
    embedding = engine.embed(np.zeros((64, 64, 3), np.uint8))
    for job in (engine.partition, engine.localize):
        with pytest.raises(Cancelled):
            job(embedding, cancel=lambda: True)


def test_another_models_embedding_is_refused() -> None:
    engine = engine_of(PatchRules(GROUPING))
    embedding = engine.embed(np.zeros((64, 64, 3), np.uint8))
    engine.model.checkpoint_sha256 = "another"
    with pytest.raises(ValueError, match="another model"):
        engine.partition(embedding)
