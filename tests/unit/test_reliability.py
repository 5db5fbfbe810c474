"""Expected calibration error: cases whose answer is known, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_safire.metrics import balanced_weights, reliability


def test_the_error_is_the_weighted_gap_of_the_bins() -> None:
    found = reliability([0.05, 0.15, 0.15, 0.95], [0, 1, 0, 1])
    assert [(one.n, one.weight) for one in found.bins] == [(1, 0.25), (2, 0.5), (1, 0.25)]
    assert [one.predicted for one in found.bins] == pytest.approx([0.05, 0.15, 0.95])
    assert [one.observed for one in found.bins] == [0, 0.5, 1]
    assert found.expected_error == pytest.approx(0.25 * 0.05 + 0.5 * 0.35 + 0.25 * 0.05)
    assert found.n == 4


def test_true_probabilities_have_a_small_error_and_false_ones_a_large_one() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(20_000)
    happened = rng.random(20_000) < chances
    assert reliability(chances, happened).expected_error < 0.02
    assert reliability(1 - chances, happened).expected_error == pytest.approx(0.5, abs=0.02)


def test_sure_and_wrong_is_the_worst() -> None:
    assert reliability([0, 1], [1, 0]).expected_error == 1
    assert reliability([0, 1], [0, 1]).expected_error == 0


def test_outcomes_may_be_shares() -> None:
    assert reliability([0.8, 0.8], [0.7, 0.9]).expected_error == pytest.approx(0)


def test_weights_count_as_repetitions() -> None:
    repeated = reliability([0.2, 0.2, 0.2, 0.9], [1, 1, 1, 0])
    weighted = reliability([0.2, 0.9], [1, 0], weights=[3, 1])
    assert weighted.expected_error == pytest.approx(repeated.expected_error)
    assert weighted.bins[0].weight == 0.75
    assert weighted.bins[0].n == 1


def test_more_bins_see_more() -> None:
    predicted, observed = [0.1, 0.3], [0.3, 0.1]
    assert reliability(predicted, observed, n_bins=1).expected_error == pytest.approx(0)
    assert reliability(predicted, observed, n_bins=5).expected_error == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "an entry at least"),
        (([0.5], [0, 1]), r"\(1,\), \(2,\)"),
        (([[0.5]], [[1]]), "one length"),
        (([1.2], [1]), "predictions reach from 1.2"),
        (([0.5], [-1]), "outcomes reach from -1"),
        (([np.nan], [1]), "predictions"),
        (([0.5], [np.nan]), "outcomes"),
    ],
)
def test_what_is_no_probability_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reliability(*arguments)


def test_wrong_weights_and_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="least weight is 0"):
        reliability([0.5], [1], weights=[0])
    with pytest.raises(ValueError, match="0 bins"):
        reliability([0.5], [1], n_bins=0)


def test_balanced_weights_let_rare_events_count_as_much() -> None:
    weights = balanced_weights([True, False, False, False])
    assert weights[0] == pytest.approx(weights[1:].sum())
    for happened in ([True, True], [False], []):
        with pytest.raises(ValueError, match="some have to, and some not"):
            balanced_weights(happened)
