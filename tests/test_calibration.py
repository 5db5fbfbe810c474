"""What a model's distances mean: thresholds for the number of sources and for the verdict."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_safire.engine import Engine
from napari_safire.learning.calibration import (
    Observation,
    calibrations_without,
    choose_source_distance,
    fit_calibration,
    observe,
)
from napari_safire.model import ModelConfig, SafireModel


def made(n_sources: int, gap: float, seed: int) -> Observation:
    """Prompts in groups whose directions lie `gap` apart."""
    rng = np.random.default_rng(seed)
    centres = np.ones((n_sources, 8)) + gap * np.eye(n_sources, 8)
    rows = np.repeat(centres, 40, axis=0) + 0.01 * rng.standard_normal((40 * n_sources, 8))
    return Observation(rows.astype(np.float32), n_sources, statistic=gap * (n_sources > 1))


def test_the_threshold_that_counts_sources_best_is_found():
    observations = [made(n, 2.0, seed) for seed, n in enumerate([1, 1, 1, 2, 3, 4])]
    threshold, accuracy = choose_source_distance(observations, [1e-9, 0.05, 1.9])
    assert threshold == 0.05
    assert accuracy == 1


def test_every_number_of_sources_counts_the_same():
    # Calling everything one source is right for nine of ten pictures, and for one of two numbers.
    observations = [made(1, 0, seed) for seed in range(9)] + [made(2, 2.0, 9)]
    _, accuracy = choose_source_distance(observations, [1.9])
    assert accuracy == pytest.approx(0.5)


def test_false_alarms_stay_within_the_stated_rate():
    rng = np.random.default_rng(0)
    authentic = [Observation(np.ones((2, 2), np.float32), 1, s) for s in rng.normal(0.3, 0.1, 200)]
    forged = [Observation(np.ones((2, 2), np.float32), 2, s) for s in rng.normal(0.8, 0.2, 200)]
    calibration = fit_calibration(authentic + forged, 0.1, "made up for a test.")
    called = [calibration.probability(o.statistic) >= calibration.forged_above for o in authentic]
    assert np.mean(called) <= 0.1
    assert calibration.false_alarm_rate == pytest.approx(np.mean(called))
    found = [calibration.probability(o.statistic) >= calibration.forged_above for o in forged]
    assert np.mean(found) > 0.8
    assert calibration.probability(0.2) < calibration.probability(0.9)


@pytest.mark.parametrize("n_sources", [1, 2])
def test_calibration_needs_both_kinds(n_sources: int):
    with pytest.raises(ValueError, match="one kind is missing"):
        fit_calibration([made(n_sources, 1.0, s) for s in range(4)], 0.1, "")


def test_a_fold_is_judged_by_pictures_of_the_others_only():
    rng = np.random.default_rng(0)
    features = np.ones((2, 2), np.float32)
    draws = [(n, fold, rng.normal(n + 3 * fold, 0.3)) for n in (1, 2) for fold in (0, 1) * 40]
    observations = [Observation(features, n, float(s)) for n, _, s in draws]
    folds = [fold for _, fold, _ in draws]
    found = calibrations_without(observations, folds, 0.1, "made up.")
    assert sorted(found) == [0, 1]
    # Fold 1 lies three higher: judged by it, forgeries of fold 0 look clean.
    assert found[0].probability(2.0) < 0.1 < 0.9 < found[1].probability(4.0)
    others = [o for o, fold in zip(observations, folds, strict=True) if fold == 1]
    assert found[0] == fit_calibration(others, 0.1, "made up.")
    with pytest.raises(ValueError, match="3 folds for 160 observations"):
        calibrations_without(observations, [0, 1, 0], 0.1, "")
    with pytest.raises(ValueError, match="one kind is missing"):
        calibrations_without(observations, [0] * 80 + [1] * 80, 0.1, "")


def test_observe_runs_the_grid():
    torch.manual_seed(0)
    engine = Engine(SafireModel(ModelConfig.lite()))
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    seen = observe(engine, image, n_sources=1)
    assert seen.n_sources == 1
    assert seen.features.shape[1] == 64
    assert np.isfinite(seen.features).all()
    assert 0 <= seen.statistic <= 2
