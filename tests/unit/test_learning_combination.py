"""Weights of evidence: on pictures whose truth is known, never below 0, never by one kind alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from napari_safire.forgery import NETWORK
from napari_safire.learning.combination import (
    WeighedPicture,
    combinations_without,
    fit_combination,
    total,
)

NAMES = (NETWORK, "copy-move", "noise level", "thumbnail")


def pictures(count: int = 400, seed: int = 0) -> list[WeighedPicture]:
    """Copy-move tells, the network tells a little, noise nothing, thumbnails the contrary."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        forged = number % 2 == 0
        copied = forged and rng.random() < 0.6
        scores: Mapping[str, float | None] = {
            NETWORK: float(rng.normal(1.0 if forged else -1.0, 2.0)),
            "copy-move": float(rng.uniform(2, 6)) if copied or rng.random() < 0.01 else 0.0,
            "noise level": float(rng.uniform(0, 1)),
            "thumbnail": (0.1 if forged else 0.9) if number % 3 else None,
        }
        made.append(WeighedPicture(forged, f"kind {number // 2 % 3}", number // 2 % 2, scores))
    return made


def fitted(some: list[WeighedPicture]) -> Mapping[str, float]:
    rule = fit_combination(some, NAMES, 0.05, "made up.", 0.2)
    return {name: term.log_odds(term.high) for name, term in rule.terms.items()}


def test_what_tells_is_weighed_and_nothing_counts_the_wrong_way() -> None:
    most = fitted(pictures())
    assert most["copy-move"] > most[NETWORK] > 0.5
    assert most.get("noise level", 0.0) < 0.3
    assert "thumbnail" not in most
    assert all(weight > 0 for weight in most.values())


def test_no_kind_of_authentic_pictures_is_called_forged_more_often_than_asked() -> None:
    some = pictures()
    rule = fit_combination(some, NAMES, 0.05, "made up.", 0.2)
    for kind in {p.kind for p in some}:
        group = [p for p in some if p.kind == kind and not p.forged]
        alarms = [
            rule.calibration.probability(total(p.scores, rule.terms))
            >= rule.calibration.forged_above
            for p in group
        ]
        assert np.mean(alarms) <= 0.05
    assert rule.calibration.highest_false_alarm_rate is not None
    assert rule.calibration.n_authentic == 200


def test_all_evidence_finds_more_than_the_network_on_pictures_it_has_not_seen() -> None:
    some = pictures()
    found = {}
    for names in ((NETWORK,), NAMES):
        rules = combinations_without(some, names, 0.05, "made up.", 0.2)
        assert sorted(rules) == [0, 1]
        found[names] = np.mean(
            [
                rules[p.fold].calibration.probability(total(p.scores, rules[p.fold].terms))
                >= rules[p.fold].calibration.forged_above
                for p in some
                if p.forged
            ]
        )
    assert found[NAMES] > found[NETWORK,] + 0.3


def test_many_pictures_of_one_kind_weigh_no_more_than_few() -> None:
    """A thousand pages of text must not decide what counts in photographs."""
    some = pictures()
    again = [p for p in some if p.kind == "kind 0"] * 5
    once, often = fitted(some), fitted(some + again)
    assert often["copy-move"] == pytest.approx(once["copy-move"], rel=0.1)


def test_evidence_that_is_found_too_rarely_is_not_weighed() -> None:
    some = [
        WeighedPicture(p.forged, p.kind, p.fold, {**p.scores, "rare": 9.0 if n == 0 else 0.0})
        for n, p in enumerate(pictures())
    ]
    rule = fit_combination(some, (*NAMES, "rare"), 0.05, "made up.", 0.2)
    assert "rare" not in rule.terms


def test_one_side_alone_cannot_be_weighed() -> None:
    with pytest.raises(ValueError, match="one kind is missing"):
        fit_combination([p for p in pictures() if p.forged], NAMES, 0.05, "made up.", 0.2)
