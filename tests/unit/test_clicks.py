"""Clicks that are answered from the embedding's patches, and what the plots show of these."""

from __future__ import annotations

import numpy as np
import pytest
from toys import tiny_lite

from napari_safire import Embedding, Engine, load_model
from napari_safire.geometry import Geometry
from napari_safire.images.demo import demo_composite
from napari_safire.model import SafireModel
from napari_safire.partitioning.clicks import answered, expected_accuracy, together
from napari_safire.partitioning.grouping import Groupings, all_groupings
from napari_safire.partitioning.n_sources import Pieces
from napari_safire.partitioning.patches import patch_at, patch_centre, patches_of
from napari_safire.types import PointPrompt

# Three pieces side by side, of which a grouping may put any two together.
STRIPES = np.full((3, 2, 3), -20, np.float32)
STRIPES[[0, 1, 2], :, [0, 1, 2]] = 20


def pieces() -> Pieces:
    return Pieces(STRIPES, np.eye(3), np.full(3, 1 / 3), 0.5)


def groupings(**probable: float) -> Groupings:
    """Of the four ways of grouping three pieces, named by their labels."""
    labels = all_groupings(3)
    names = ["".join(map(str, row)) for row in labels]
    shares = np.array([probable.get(f"g{name}", 0.0) for name in names])
    assert np.isclose(shares.sum(), 1), names
    return Groupings(labels, shares)


def probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits[0].astype(float)))


def test_a_patch_belongs_to_a_click_as_often_as_they_lie_in_one_group() -> None:
    found = together(pieces(), groupings(g001=0.7, g011=0.2, g012=0.1), [(1, 0)])
    np.testing.assert_allclose(probability(found), [1, 0.7, 0], atol=1e-5)


def test_a_second_click_speaks_for_the_groupings_that_hold_both() -> None:
    shares = groupings(g001=0.1, g010=0.2, g012=0.7)
    np.testing.assert_allclose(
        probability(together(pieces(), shares, [(0, 0)])), [1, 0.1, 0.2], atol=1e-5
    )
    both = together(pieces(), shares, [(0, 0), (0, 1)])
    np.testing.assert_allclose(probability(both), [1, 1, 0], atol=1e-5)
    again = together(pieces(), shares, [(0, 0), (1, 0)])  # the same piece: nothing new is said
    np.testing.assert_allclose(probability(again), [1, 0.1, 0.2], atol=1e-5)


def test_clicks_that_no_grouping_holds_together_give_finite_logits() -> None:
    found = together(pieces(), groupings(g012=1.0), [(0, 0), (0, 1)])
    assert np.isfinite(found).all()


def test_a_thousand_clicks_that_contradict_each_other_hold_a_region() -> None:
    shares = groupings(g001=0.6, g012=0.4)
    blurred = Pieces(STRIPES / 20, np.eye(3), np.full(3, 1 / 3), 0.5)  # no patch is certain
    found = together(blurred, shares, [(0, 0), (0, 1)] * 500)
    assert (found[:, :2] > 0).all()  # one grouping puts both together, and all clicks say so
    assert (found[:, 2] < 0).all()


def test_a_click_of_another_source_speaks_against_groupings_that_hold_both() -> None:
    shares = groupings(g001=0.6, g012=0.4)
    alone = together(pieces(), shares, [(0, 0)])
    np.testing.assert_allclose(probability(alone), [1, 0.6, 0], atol=1e-5)
    told = together(pieces(), shares, [(0, 0)], [(0, 1)])
    assert probability(told)[1] < 0.02  # no more than strays
    elsewhere = together(pieces(), shares, [(0, 0)], [(0, 2)])
    np.testing.assert_allclose(probability(elsewhere), [1, 0.6, 0], atol=1e-5)


# One piece of two halves that look different, which no grouping tells apart.
HALVES = np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)
ONE_PIECE = Pieces(np.stack([np.full((12, 1), 20.0), np.full((12, 1), -20.0)]), np.eye(2),
                   np.array([1.0, 0.0]), 0.5)  # fmt: skip


def of_halves(patches: list[tuple[int, int]], others: list[tuple[int, int]]) -> np.ndarray:
    both = Groupings(all_groupings(2), np.ones(1))
    found = answered(ONE_PIECE, both, HALVES, patches, others)
    assert found.dtype == np.float32
    return np.asarray(found[:, 0])


def test_patches_that_look_like_a_correcting_click_follow_it() -> None:
    found = of_halves([(2, 0)], [(9, 0)])
    assert (found[:6] > 0).all()
    assert (found[6:] < 0).all()
    assert (of_halves([(9, 0)], [(2, 0)])[6:] > 0).all()


def test_clicks_that_confirm_change_nothing() -> None:
    np.testing.assert_array_equal(of_halves([(2, 0), (9, 0)], []), of_halves([(2, 0)], []))


def test_clicks_of_two_sources_in_one_patch_leave_it_undecided() -> None:
    found = of_halves([(2, 0)], [(2, 0)])
    assert np.isfinite(found).all()
    assert abs(found[2]) < 1
    many = of_halves([(2, 0)] * 300, [(9, 0)] * 300)
    assert (many[:6] > 0).all()
    assert (many[6:] < 0).all()


def test_corrections_of_the_shipped_model_lead_somewhere(
    seen: tuple[Engine, Embedding, np.ndarray],
) -> None:
    engine, embedding, _ = seen
    found = engine.segment(embedding, [(600, 700)])[0]
    inside = np.argwhere(found.mask)
    at = inside[np.hypot(*(inside - (600, 700)).T).argmax()]
    told = engine.segment_source(embedding, [(600, 700)], others=[tuple(map(float, at))])
    assert found.mask[tuple(at)]
    assert not told.mask[tuple(at)]
    assert told.mask[600, 700]
    decoded = engine.segment_source(
        embedding, [(600, 700)], others=[tuple(map(float, at))], method="decoder"
    )
    alone = engine.segment(embedding, [(600, 700)], method="decoder")[0]
    np.testing.assert_array_equal(decoded.mask, alone.mask)
    with pytest.raises(ValueError, match="outside"):
        engine.segment_source(embedding, [(600, 700)], others=[(-9, 5)])


def test_the_accuracy_that_is_expected_is_that_of_the_logits() -> None:
    assert expected_accuracy(np.zeros((2, 2), np.float32)) == 0.5
    assert expected_accuracy(np.array([[20, -20]], np.float32)) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(64, 64), (90, 130), (1, 1), (200, 17)])
def test_patches_hold_their_own_centres(shape: tuple[int, int]) -> None:
    height, width = shape
    rows, cols = -(-height // 16), -(-width // 16)
    geometry = Geometry(shape, (16 * rows, 16 * cols), (float(height), float(width)))
    for row in range(rows):
        for col in range(cols):
            centre = patch_centre(geometry, row, col)
            assert centre.lies_in(shape)
            assert patch_at(geometry, (rows, cols), centre) == (row, col)
    assert patch_at(geometry, (rows, cols), PointPrompt(0, 0)) == (0, 0)


@pytest.fixture(scope="module")
def seen() -> tuple[Engine, Embedding, np.ndarray]:
    image, truth = demo_composite()
    engine = Engine(load_model("safire-lite", device="cpu"))
    return engine, engine.embed(image), truth


def test_a_click_of_the_shipped_model_rests_on_patches_and_asks_no_decoder(
    seen: tuple[Engine, Embedding, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, embedding, truth = seen
    assert engine.answers_by_patches
    decoded = engine.segment(embedding, [(600, 700)], method="decoder")[0]
    with monkeypatch.context() as patched:
        patched.setattr(engine.model, "decode", lambda *_: pytest.fail("decoded"))
        region = engine.segment(embedding, [(600, 700)])[0]
        joined = engine.segment_source(embedding, [(600, 700), (700, 300)])
    assert region.prompt == joined.prompt == PointPrompt(600, 700)
    assert 0.5 <= region.confidence <= 1
    wanted = truth == truth[600, 700]

    def iou(mask: np.ndarray) -> float:
        return float((mask & wanted).sum() / (mask | wanted).sum())

    assert iou(region.mask) > 0.8
    assert iou(region.mask) > iou(decoded.mask)


def test_what_the_decoder_says_is_united(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    engine, embedding, _ = seen
    points = [(600, 700), (150, 430)]
    alone = engine.segment(embedding, points, method="decoder")
    united = engine.segment_source(embedding, points, method="decoder")
    either = alone[0].mask | alone[1].mask
    assert united.mask[either].all()
    assert (united.mask == either).mean() > 0.99  # united before they come to the picture's size
    assert united.confidence == min(region.confidence for region in alone)


def test_numbers_of_sources_have_probabilities(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    engine, embedding, _ = seen
    numbers = engine.source_numbers(embedding)
    assert list(numbers) == [1, 2, 3, 4, 5, 6]
    assert sum(numbers.values()) == pytest.approx(1)
    assert 1 - numbers[1] == pytest.approx(engine.localize(embedding).score)


def test_patches_are_read_off_any_labels(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    _, embedding, truth = seen
    patches = patches_of(embedding)
    assert patches.features.shape[0] == len(patches.centres) == np.prod(patches.shape)
    values = patches.values_at(truth)
    middle = patches.shape[1] * (patches.shape[0] // 2) + patches.shape[1] // 2
    row, col = patches.centres[middle].round().astype(int)
    assert values[middle] == truth[row, col]
    assert 0 < len(patches.compared) <= 1024


def test_a_published_model_is_asked_through_its_decoder() -> None:
    engine = Engine(SafireModel(tiny_lite()))
    embedding = engine.embed(np.zeros((64, 64, 3), np.uint8))
    assert not engine.answers_by_patches
    assert engine.source_numbers(embedding) == {}
    assert engine.segment(embedding, [(5, 5)])[0].mask.shape == (64, 64)
    with pytest.raises(ValueError, match="ask its decoder"):
        engine.segment(embedding, [(5, 5)], method="patches")
    with pytest.raises(ValueError, match="ask its decoder"):
        engine.pieces(embedding)


@pytest.mark.parametrize("method", ["cells", "", "Decoder"])
def test_unknown_ways_of_answering_are_refused(
    seen: tuple[Engine, Embedding, np.ndarray], method: str
) -> None:
    engine, embedding, _ = seen
    with pytest.raises(ValueError, match="use one of auto, patches, decoder"):
        engine.segment(embedding, [(5, 5)], method=method)
    with pytest.raises(ValueError, match="use one of auto, patches, decoder"):
        engine.segment_source(embedding, [(5, 5), (6, 6)], method=method)


def test_odd_clicks_are_refused(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    engine, embedding, _ = seen
    assert engine.segment(embedding, []) == []
    with pytest.raises(ValueError, match="needs a prompt"):
        engine.segment_source(embedding, [])
    with pytest.raises(ValueError, match="outside"):
        engine.segment_source(embedding, [(5, 5), (-9, 5)])


def test_patches_of_an_embedding_of_one_patch() -> None:
    geometry = Geometry((5, 7), (16, 16), (5.0, 7.0))
    embedding = Embedding(np.ones((4, 1, 1), np.float32), geometry, "picture", "model")
    patches = patches_of(embedding)
    assert patches.shape == (1, 1)
    assert patches.compared.tolist() == [0]
    row, col = patches.centres[0]
    assert 0 <= row <= 4
    assert 0 <= col <= 6
