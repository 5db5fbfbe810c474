"""The temperature of a cut: probabilities that say how often a patch's source is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from napari_safire.geometry import Geometry
from napari_safire.learning.temperature import (
    DividedPatches,
    divided_patches,
    fit_inverse_temperature,
)
from napari_safire.types import PointPrompt, SourcePartition, SourceRegion


def drawn(inverse: float, seed: int, n_patches: int = 4000) -> DividedPatches:
    """Patches whose true sources follow the probabilities of a known inverse temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((3, n_patches)).astype(np.float32)
    chances = softmax(inverse * logits, axis=0).cumsum(axis=0)
    source = (rng.random(n_patches) > chances).sum(axis=0)
    return DividedPatches(logits, source)


@pytest.mark.parametrize("inverse", [0.5, 2.0, 6.0])
def test_the_true_temperature_is_found(inverse: float) -> None:
    found = fit_inverse_temperature([drawn(inverse, seed) for seed in range(3)])
    assert found == pytest.approx(inverse, rel=0.1)


def test_pictures_count_the_same_whatever_their_size() -> None:
    few, many = drawn(1.0, 0, 500), drawn(6.0, 1, 20000)
    both = fit_inverse_temperature([few, many])
    assert 1.0 < both < 5.0


def test_nothing_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="none has two sources"):
        fit_inverse_temperature(
            [DividedPatches(np.zeros((1, 9), np.float32), np.zeros(9, np.int64))]
        )
    with pytest.raises(ValueError, match="none has two sources"):
        fit_inverse_temperature([])


def test_sources_are_matched_with_the_true_ones() -> None:
    truth = np.zeros((64, 96), np.uint8)
    truth[:, 64:] = 7
    truth[:16, :16] = 9  # a source that the partition has not found
    right = (np.arange(6) >= 4).astype(np.float32) * np.ones((4, 1), np.float32)
    geometry = Geometry((64, 96), (64, 96), (64, 96))
    regions = tuple(
        SourceRegion(PointPrompt(1, 1), logits, geometry, 1.0) for logits in (right, 1 - right)
    )
    found = divided_patches(SourcePartition(np.zeros((64, 96), np.uint8), regions, "kmeans"), truth)
    assert found.logits.shape == (2, 23), "the cell of the lost source is left out"
    assert (found.logits.argmax(axis=0) == found.source).all()
