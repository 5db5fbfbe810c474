"""What a model's distances mean: thresholds for the number of sources and for the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toys import BY_PATCHES

from napari_safire.engine import Engine
from napari_safire.engine.rules import read_rules
from napari_safire.forgery import Calibration
from napari_safire.learning.calibration import (
    Observation,
    calibrations_without,
    candidates_of,
    choose_threshold,
    fit_calibration,
    observe,
)
from napari_safire.model import ModelConfig, SafireModel

CANDIDATES = (0.1, 0.2, 0.3)


def made(n_sources: int, found: tuple[int, int, int], statistic: float = 0.0) -> Observation:
    return Observation(n_sources, statistic, found)


def test_the_threshold_that_counts_sources_best_is_found():
    observations = [made(n, (n + 1, n, 1)) for n in (1, 1, 1, 2, 3, 4)]
    assert choose_threshold(observations, CANDIDATES) == (0.2, 1.0)


def test_every_number_of_sources_counts_the_same():
    # Calling everything one source is right for nine of ten pictures, and for one of two numbers.
    observations = [made(1, (1, 1, 1)) for _ in range(9)] + [made(2, (1, 1, 1))]
    _, accuracy = choose_threshold(observations, CANDIDATES)
    assert accuracy == pytest.approx(0.5)


def test_of_thresholds_that_are_as_good_the_middle_one_is_taken():
    observations = [made(1, (1, 1, 1)), made(2, (2, 2, 2))]
    assert choose_threshold(observations, CANDIDATES)[0] == 0.2


def test_false_alarms_stay_within_the_stated_rate():
    rng = np.random.default_rng(0)
    authentic = [Observation(1, s) for s in rng.normal(0.3, 0.1, 200)]
    forged = [Observation(2, s) for s in rng.normal(0.8, 0.2, 200)]
    calibration = fit_calibration(authentic + forged, 0.1, "made up for a test.")
    called = [calibration.probability(o.statistic) >= calibration.forged_above for o in authentic]
    assert np.mean(called) <= 0.1
    assert calibration.false_alarm_rate == pytest.approx(np.mean(called))
    found = [calibration.probability(o.statistic) >= calibration.forged_above for o in forged]
    assert np.mean(found) > 0.8
    missed = [calibration.probability(o.statistic) <= calibration.clean_below for o in forged]
    assert calibration.miss_rate == pytest.approx(np.mean(missed))
    assert 0 < np.mean(missed) <= 0.1
    assert calibration.probability(0.2) < calibration.probability(0.9)


def of_kind(kind: str, n: int, mean: float, seed: int = 0) -> list[Observation]:
    n_sources = 1 if kind else 2
    draws = np.random.default_rng(seed).normal(mean, 0.1, n)
    return [Observation(n_sources, float(s), kind=kind) for s in draws]


def test_false_alarms_are_as_rare_in_every_kind_of_authentic_pictures():
    easy, hard = of_kind("as they were", 400, 0.2), of_kind("compressed", 20, 0.5)
    forged = of_kind("", 200, 0.9)
    observations = [*easy, *hard, *forged]
    calibration = fit_calibration(observations, 0.1, "made up.")

    def called(some: list[Observation], by: Calibration = calibration) -> float:
        found = [by.probability(o.statistic) >= by.forged_above for o in some]
        return float(np.mean(found))

    assert called(easy) == 0
    assert 0 < called(hard) <= 0.1
    assert calibration.highest_false_alarm_rate == pytest.approx(called(hard))
    assert calibration.false_alarm_rate == pytest.approx(called(easy + hard))
    assert called(forged) > 0.9
    # All together, the few hard ones are nearly all accused, and the rate still looks well.
    unaware = fit_calibration([replace(o, kind="") for o in observations], 0.1, "made up.")
    assert called(hard, unaware) > 0.9
    assert unaware.false_alarm_rate <= 0.1
    assert unaware.highest_false_alarm_rate is None


def test_a_kind_of_too_few_pictures_has_no_rate_of_its_own():
    easy, forged = of_kind("as they were", 400, 0.2), of_kind("", 200, 0.9)
    few = fit_calibration([*easy, *of_kind("compressed", 9, 0.5), *forged], 0.1, "made up.")
    enough = fit_calibration([*easy, *of_kind("compressed", 10, 0.5), *forged], 0.1, "made up.")
    assert few.probability(0.5) > few.forged_above  # they still count among all
    assert enough.probability(0.5) < enough.forged_above


def test_rates_of_misses_and_of_false_alarms_may_differ():
    observations = [*of_kind("any", 200, 0.3), *of_kind("", 200, 0.6)]
    strict = fit_calibration(observations, 0.1, "made up.", miss_rate=0.02)
    assert 0 < strict.miss_rate <= 0.02
    same = fit_calibration(observations, 0.1, "made up.")
    assert strict.clean_below < same.clean_below
    assert strict.forged_above == same.forged_above
    by_fold = calibrations_without(observations, [0, 1] * 200, 0.1, "made up.", 0.02)
    assert all(one.miss_rate <= 0.02 for one in by_fold.values())


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan")])
def test_rates_that_are_no_shares_are_refused(rate: float):
    observations = [*of_kind("any", 20, 0.3), *of_kind("", 20, 0.6)]
    with pytest.raises(ValueError, match="false_alarm_rate is a share between 0 and 1"):
        fit_calibration(observations, rate, "made up.")
    with pytest.raises(ValueError, match="miss_rate is a share between 0 and 1"):
        fit_calibration(observations, 0.1, "made up.", miss_rate=rate)


@pytest.mark.parametrize("n_sources", [1, 2])
def test_calibration_needs_both_kinds(n_sources: int):
    with pytest.raises(ValueError, match="one kind is missing"):
        fit_calibration([Observation(n_sources, 0.1 * s) for s in range(4)], 0.1, "")


def test_a_fold_is_judged_by_pictures_of_the_others_only():
    rng = np.random.default_rng(0)
    draws = [(n, fold, rng.normal(n + 3 * fold, 0.3)) for n in (1, 2) for fold in (0, 1) * 40]
    observations = [Observation(n, float(s)) for n, _, s in draws]
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


@pytest.mark.parametrize("metadata", [{}, BY_PATCHES], ids=["prompts", "patches"])
def test_what_is_observed_is_what_the_engine_answers(
    metadata: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    torch.manual_seed(0)
    model, rules = SafireModel(ModelConfig.lite()), read_rules(metadata)
    engine = Engine(model, rules=rules)
    image = np.zeros((96, 128, 3), np.uint8)
    features = np.random.default_rng(0).standard_normal((64, 6, 8)).astype(np.float32)
    embedding = replace(engine.embed(image), features=features, uninformative=None)
    monkeypatch.setattr(engine, "embed", lambda pixels: embedding)
    seen = observe(engine, image, n_sources=1)
    assert seen.n_sources == 1
    assert seen.statistic == engine.separation(embedding) > 0
    candidates = candidates_of(rules)
    assert len(seen.found) == len(candidates)
    assert len(set(seen.found)) > 1, "thresholds without effect choose nothing"
    for place in (0, len(candidates) // 2, -1):
        asked = Engine(model, rules=rules.with_threshold(candidates[place]))
        assert asked.partition(embedding).n_sources == seen.found[place]
