"""Calibrated confidence: the curve, how it is fitted, and that the engine applies it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_safire.engine import Engine
from napari_safire.engine.confidence import ConfidenceCurve
from napari_safire.engine.rules import ModelRules
from napari_safire.learning.confidence import FEWEST_POINTS, ask_points, fit_confidence
from napari_safire.metrics import reliability
from napari_safire.model import ModelConfig, SafireModel

CURVE = ConfidenceCurve((0.4, 0.6, 0.8), (0.1, 0.5, 0.9), "made up for a test.")
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)


def boastful(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that are too high by a fifth of what lies above one half, and what came true."""
    rng = np.random.default_rng(seed)
    accuracy = rng.uniform(0.4, 0.9, count)
    return accuracy + 0.2 * (accuracy - 0.3) + rng.normal(0, 0.02, count), accuracy


def test_a_curve_is_linear_between_its_knots() -> None:
    np.testing.assert_allclose(CURVE([[0.4, 0.5], [0.6, 0.7]]), [[0.1, 0.3], [0.5, 0.7]], rtol=1e-6)
    assert np.isnan(CURVE(np.nan))


def test_surer_stays_surer_beyond_the_ends_too() -> None:
    raw = np.linspace(-0.5, 1.5, 2001)
    assert (np.diff(CURVE(raw)) > 0).all()
    assert 0 <= CURVE(-100) < CURVE(100) <= 1


@pytest.mark.parametrize(
    ("raw", "accuracy", "words"),
    [
        ((0.5,), (0.5,), "1 raw values"),
        ((0.5, 0.6), (0.5, 0.6, 0.7), "2 raw values and 3 accuracies"),
        (tuple(range(65)), tuple(np.linspace(0, 1, 65)), "2 to 64"),
        ((0.5, 0.5), (0.1, 0.2), "raw values .* do not increase"),
        ((0.5, 0.6), (0.2, 0.2), "accuracy values .* do not increase"),
        ((0.5, float("nan")), (0.1, 0.2), "do not increase"),
        ((0.5, float("inf")), (0.1, 0.2), "do not increase"),
        ((0.5, 0.6), (0.5, 1.1), r"lie in \[0, 1\]"),
    ],
)
def test_knots_that_make_no_curve_are_refused(raw: Any, accuracy: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ConfidenceCurve(raw, accuracy, "")


def test_fitted_confidence_means_what_it_says() -> None:
    curve = fit_confidence(*boastful(2000), "made up.")
    assert 2 <= len(curve.raw) <= 20
    raw, accuracy = boastful(2000, seed=1)
    before = reliability(np.clip(raw, 0, 1), accuracy).expected_error
    after = reliability(curve(raw), accuracy).expected_error
    assert before > 0.05
    assert after < 0.01


def test_predictions_that_say_nothing_become_nearly_one_value() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.6, 0.8, 1000)
    curve = fit_confidence(rng.random(1000), accuracy[::-1], "made up.")
    assert max(curve.accuracy) - min(curve.accuracy) < 0.05
    assert np.mean(curve.accuracy) == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_always_right_and_always_wrong_stay_in_range(right: float) -> None:
    raw = np.linspace(-3, 4, 200)
    curve = fit_confidence(raw, np.full(200, right), "made up.")
    values = curve(raw)
    assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_allclose(values, right, atol=0.02)


def test_wrong_order_of_knots_is_not_believed() -> None:
    """Surer predictions that are worse are pooled: the order of prompts never turns round."""
    raw = np.linspace(0, 1, 400)
    curve = fit_confidence(raw, 1 - raw, "made up.")
    assert (np.diff(curve.accuracy) > 0).all()
    np.testing.assert_allclose(curve.accuracy, 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("predicted", "accuracy", "words"),
    [
        (np.ones(60), np.ones(61), r"\(60,\) and \(61,\)"),
        (np.ones((60, 1)), np.ones((60, 1)), "two lists"),
        (np.linspace(0, 1, FEWEST_POINTS - 1), np.ones(FEWEST_POINTS - 1), "49 points are too few"),
        ([], [], "0 points"),
        (np.append(np.linspace(0, 1, 59), np.nan), np.ones(60), "1 of 60 predictions"),
        (np.linspace(0, 1, 60), np.append(np.ones(59), np.nan), "accuracies reach"),
        (np.linspace(0, 1, 60), np.full(60, 1.2), "1.2 to 1.2"),
        (np.full(60, 0.7), np.linspace(0, 1, 60), "0.7 everywhere"),
    ],
)
def test_points_that_cannot_be_fitted_are_refused(
    predicted: Any, accuracy: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        fit_confidence(predicted, accuracy, "")


def test_the_engine_applies_the_curve_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = SafireModel(ModelConfig.lite())
    raw = Engine(model)
    embedding = raw.embed(IMAGE)
    points = [(5, 5), (40, 70), (60, 3)]
    said = [region.confidence for region in raw.segment(embedding, points)]
    grid = raw.grid(embedding, 4)
    # Around the values of an untrained model, so that the curve is not only met beyond its ends.
    middle = float(np.median(grid.confidence))
    curve = ConfidenceCurve((middle - 0.5, middle, middle + 0.5), (0.2, 0.7, 0.8), "made up.")
    calibrated = Engine(model, rules=ModelRules(confidence=curve))
    regions = calibrated.segment(embedding, points)
    assert [r.confidence for r in regions] == curve(said).tolist()
    found = calibrated.grid(embedding, 4)
    np.testing.assert_array_equal(found.confidence, curve(grid.confidence))
    assert found.confidence.dtype == np.float32
    np.testing.assert_array_equal(found.low_res_logits, grid.low_res_logits)
    assert found.region(3).confidence == found.confidence[3]
    assert found.confidence.argmax() == grid.confidence.argmax()
    before, after = (engine.partition(embedding, "kmeans", 2, 0, 4) for engine in (raw, calibrated))
    np.testing.assert_array_equal(before.labels, after.labels)
    assert [r.prompt for r in before.representatives] == [r.prompt for r in after.representatives]


def test_asked_points_are_held_against_the_source_they_lie_in() -> None:
    torch.manual_seed(0)
    engine = Engine(SafireModel(ModelConfig.lite()))
    truth = np.zeros(IMAGE.shape[:2], np.uint8)
    truth[:, 40:] = 1
    embedding = engine.embed(IMAGE)
    asked = ask_points(engine, embedding, truth, 5, np.random.default_rng(3))
    assert asked.places.shape == (5, 2)
    for (row, col), predicted, accuracy in zip(
        asked.places, asked.predicted, asked.accuracy, strict=True
    ):
        region = engine.segment(embedding, [(row, col)])[0]
        assert predicted == pytest.approx(region.confidence, abs=1e-5)
        agreement = (region.mask == (truth == truth[row, col])).mean()
        assert accuracy == pytest.approx(agreement, abs=1e-3)
