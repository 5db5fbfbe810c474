"""When a new model is better than the old one."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_safire.errors import DatasetError
from napari_safire.learning.comparison import Comparison, PictureScore, compare, false_alarms
from napari_safire.learning.events import (
    Divided,
    Failed,
    Outcome,
    Scoring,
    Warned,
    from_line,
    to_line,
)
from napari_safire.learning.run_log import RunEvent


def scores(values, suspicions=None, authentic=()) -> list[PictureScore]:
    many = len(values)
    return [
        PictureScore(
            float(values[i]), float(suspicions[i]) if suspicions is not None else math.nan,
            i in authentic,
        )
        for i in range(many)
    ]  # fmt: skip


TEN = [f"g{i}" for i in range(10)]


def test_a_gain_everywhere_is_accepted_and_a_loss_or_nothing_is_not() -> None:
    old = np.linspace(0.3, 0.6, 10)
    found = compare(TEN, scores(old), scores(old + 0.05), measure="miou")
    assert found.better
    assert found.difference == pytest.approx(0.05)
    assert found.low == pytest.approx(0.05)
    assert (found.pictures, found.groups, found.units) == (10, 10, "groups")
    assert "miou changed by +0.0500 on 10 held-out pictures of 10 groups" in found.reasons[0]
    assert not compare(TEN, scores(old), scores(old)).better
    lost = compare(TEN, scores(old), scores(old - 0.05))
    assert not lost.better
    assert "no gain that is more than chance" in lost.reasons[0]


def test_a_gain_in_the_mean_that_may_be_chance_is_rejected() -> None:
    old = np.full(10, 0.5)
    found = compare(TEN, scores(old), scores(old + np.array([0.4, *[-0.02] * 9])))
    assert found.difference > 0
    assert not found.better


def test_pictures_of_one_group_count_as_one_witness() -> None:
    """Six pictures of one group gain, those of four others lose: as pictures it were a gain."""
    names = [*["a"] * 26, "b", "c", "d", "e"]
    old, gains = np.full(30, 0.5), np.array([*[0.1] * 26, *[-0.1] * 4])
    together = compare(names, scores(old), scores(old + gains))
    alone = compare([f"g{i}" for i in range(30)], scores(old), scores(old + gains))
    assert together.difference == alone.difference > 0
    assert alone.better
    assert not together.better


def test_with_few_groups_pictures_are_resampled_and_it_is_said() -> None:
    found = compare(["a", "b"] * 5, scores([0.5] * 10), scores([0.6] * 10))
    assert (found.units, found.groups, found.better) == ("pictures", 2, True)
    assert "the interval is too narrow" in " ".join(found.reasons)


def test_more_false_alarms_are_a_veto() -> None:
    authentic = range(5, 10)
    quiet = [0.9] * 5 + [0.1] * 5
    alarmed = [0.9] * 5 + [0.1, 0.1, 0.1, 0.1, 0.95]
    values = np.array([0.5] * 5 + [math.nan] * 5)
    old, new = scores(values, quiet, authentic), scores(values + 0.1, alarmed, authentic)
    found = compare(TEN, old, new)
    assert (found.false_alarms_old, found.false_alarms_new) == (0.0, pytest.approx(0.2))
    assert found.low > 0
    assert not found.better
    assert "more than 0.05 up: too many" in " ".join(found.reasons)
    assert compare(TEN, old, scores(values + 0.1, quiet, authentic)).better
    as_before = compare(TEN, scores(values, alarmed, authentic), new)
    assert as_before.better


def test_false_alarms_are_one_minus_the_area_under_the_curve() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    suspicion = np.random.default_rng(0).integers(0, 6, 40) / 6
    authentic = set(range(0, 40, 3))
    truth = [i not in authentic for i in range(40)]
    found = false_alarms(scores(np.zeros(40), suspicion, authentic))
    assert found == pytest.approx(1 - metrics.roc_auc_score(truth, suspicion))
    assert false_alarms(scores(np.zeros(40), suspicion, {1, 2})) is None
    assert false_alarms(scores(np.zeros(40))) is None


def test_only_pictures_scored_by_both_count_and_too_few_are_a_sentence() -> None:
    old, new = scores([0.5] * 10), scores([0.6] * 10)
    old[0] = replace(old[0], score=math.nan)
    new[1] = PictureScore(error="broken")
    assert compare(TEN, old, new).pictures == 8
    with pytest.raises(DatasetError, match="Only 4 held-out pictures have the score 'miou'"):
        compare(TEN[:4], old[2:6], new[2:6], measure="miou")


@given(st.integers(0, 3), st.permutations(range(10)))
def test_the_order_of_pictures_plays_no_part(seed: int, order: list[int]) -> None:
    old = np.random.default_rng(0).uniform(size=10)
    new = np.random.default_rng(1).uniform(size=10)
    found = compare(TEN, scores(old), scores(new), seed=seed)
    mixed = compare([TEN[i] for i in order], scores(old[order]), scores(new[order]), seed=seed)
    # Groups keep their places in the bootstrap, by name; sums may differ in the last bit.
    assert mixed.difference == pytest.approx(found.difference)
    assert mixed.low == pytest.approx(found.low)


EVENTS = [
    RunEvent("step", 3, 10, 1.5, {"segmentation": 0.5}),
    RunEvent("ended", 10, 10, 2.0, {"skipped": 0.0}, "done"),
    Divided(10, 5, 2, 1, 6, 5),
    Warned("a.png cannot be read."),
    Scoring(1, 12),
    compare(TEN, scores([0.5] * 10), scores([0.6] * 10)),
    Outcome("accepted", ("Better.",), "/x/tuned.safetensors", "/x/result.json"),
    Outcome("stopped"),
    Failed("No."),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_pass_between_processes(event: object) -> None:
    line = to_line(event)
    assert "\n" not in line
    told = json.loads(line)
    assert next(iter(told)) == "event"
    assert from_line(line) == event


def test_numbers_that_are_not_finite_are_null() -> None:
    line = to_line(RunEvent("validation", 1, 2, 0.1, {"loss": math.nan, "best": math.inf}))
    assert json.loads(line)["values"] == {"loss": None, "best": None}
    assert math.isnan(from_line(line).values["loss"])


def test_a_newer_process_may_tell_more() -> None:
    assert from_line('{"event": "warning", "text": "x", "since": 3}') == Warned("x")


@pytest.mark.parametrize(
    "line",
    ["", "no json", "[1]", "3", "{}", '{"event": "rain"}', '{"event": ["x"]}', '{"event": "step"}',
     '{"event": "step", "step": 1, "steps": 2, "seconds": 0, "values": 3}',
     '{"event": "accepted", "reasons": 3}', "[" * 100_000],
)  # fmt: skip
def test_garbage_is_no_event(line: str) -> None:
    with pytest.raises(ValueError, match="is no event"):
        from_line(line)


def test_a_comparison_is_a_value() -> None:
    assert isinstance(EVENTS[5], Comparison)
    assert hash(EVENTS[5]) == hash(from_line(to_line(EVENTS[5])))
