"""What a model's file says beside its weights: read once, refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import BY_PATCHES, tiny_lite

from napari_safire import Engine, load_model
from napari_safire.engine.confidence import ConfidenceCurve
from napari_safire.engine.rules import RULE_KEYS, ModelRules, PatchRules, read_rules, with_rules
from napari_safire.errors import CheckpointError
from napari_safire.forgery import Calibration
from napari_safire.model import SafireModel, save_checkpoint
from napari_safire.partitioning.grouping import GroupingRule
from napari_safire.partitioning.n_sources import ScoreWeights

NAN, INFINITE = float("nan"), float("inf")
CALM = asdict(Calibration(1.0, -4.0, 0.6, 0.3, 0.1, "made up.", miss_rate=0.1, n_forged=9))
KINSHIP = BY_PATCHES["kinship"]
CURVE = {"raw": [0.1, 0.2], "accuracy": [0, 1], "basis": ""}
WEIGHED = {"terms": {"network": {"weight": 1.0, "low": -5.0, "high": 5.0}}, "calibration": CALM}
NO_NUMBERS = (None, True, "2", [], {}, NAN, INFINITE, -INFINITE, 1e308, 10**20)

# What is stored under a key, and words that the sentence about it holds.
BAD: list[tuple[str, object, str]] = [
    *(("representative", stored, "known are") for stored in (3, None, "cell", "consensus", [])),
    *(("source_evidence", stored, "must be a number") for stored in NO_NUMBERS),
    *(("source_distance", stored, "must be a number") for stored in NO_NUMBERS),
    *(("cut_sharpness", stored, "must be a number") for stored in NO_NUMBERS),
    *(("cut_sharpness", s, "must lie between 0.001 and 1000") for s in (0, -1.5, 1e-300, 1e6)),
    *(("source_distance", stored, "must lie between 0 and 2") for stored in (-1, 2.1)),
    ("calibration", CALM | {"slope": -5.0}, "a higher score would mean a lower"),
    *(
        (key, stored, "must be names with values")
        for key in ("evidence", "kinship", "calibration", "confidence_calibration")
        for stored in (None, 3, "much", [["slope", 1]], [1, 2])
    ),
    *(("evidence", {"spread": stored}, "spread is") for stored in NO_NUMBERS),
    ("evidence", {"colour": 1}, "'colour' is unknown: known are cleavage, distance, spread"),
    *(("kinship", KINSHIP | {"slope": stored}, "slope is") for stored in NO_NUMBERS),
    ("kinship", {"slope": 1.0}, "size is missing"),
    ("kinship", KINSHIP | {"hue": 1.0}, "'hue' is unknown"),
    ("kinship", KINSHIP | {"numbers": 3}, "numbers is 3, but must be a list"),
    ("kinship", KINSHIP | {"numbers": [0, 0, 0, 0, "x"]}, "numbers is 'x'"),
    ("kinship", KINSHIP | {"numbers": [0.0] * 4}, "numbers has 4 entries"),
    ("kinship", KINSHIP | {"numbers": [0.0] * 2000}, "must be a list"),
    *(("calibration", CALM | {"slope": stored}, "slope is") for stored in NO_NUMBERS),
    ("calibration", {"slope": 1.0}, "intercept is missing"),
    ("calibration", CALM | {"future": 1}, "'future' is unknown"),
    ("calibration", CALM | {"basis": 3}, "basis is 3, but must be text"),
    ("calibration", CALM | {"false_alarm_rate": None}, "false_alarm_rate is None"),
    ("calibration", CALM | {"miss_rate": "many"}, "miss_rate is 'many'"),
    ("calibration", CALM | {"n_forged": 1.5}, "n_forged is 1.5, but must be a whole number"),
    ("calibration", CALM | {"n_forged": 0}, "number of pictures, not 0"),
    ("calibration", CALM | {"clean_below": 0.9}, "clean_below <= forged_above"),
    ("confidence_calibration", {}, "raw is missing"),
    ("confidence_calibration", {"raw": [0.1, 0.2], "basis": ""}, "accuracy is missing"),
    ("confidence_calibration", CURVE | {"raw": [0.1, "x"]}, "raw is 'x', but must be a number"),
    ("confidence_calibration", CURVE | {"accuracy": [0, True]}, "accuracy is True"),
    ("confidence_calibration", CURVE | {"raw": None}, "raw is None, but must be a list"),
    ("confidence_calibration", CURVE | {"raw": [0.2, 0.1]}, "do not increase"),
    ("confidence_calibration", CURVE | {"basis": 3}, "basis is 3, but must be text"),
    *(("combination", stored, "must be terms") for stored in (None, 3, [], {}, {"terms": []})),
    ("combination", {"terms": {}}, "must be names with values"),
    ("combination", WEIGHED | {"calibration": CALM | {"slope": -1.0}}, "a higher score"),
    ("combination", WEIGHED | {"terms": {"network": 1}}, "must be names with values"),
    ("combination", WEIGHED | {"terms": {"network": {"weight": -1.0}}}, "weight of 0 or more"),
    ("combination", WEIGHED | {"terms": {"network": {"weight": 1, "high": -1}}}, "in order"),
    ("combination", WEIGHED | {"terms": {"aura": {"weight": 1}}}, "it counts the view 'aura'"),
    *(("combination", WEIGHED | {"terms": {"x": {"weight": n}}}, "weight is") for n in NO_NUMBERS),
]


@pytest.mark.parametrize(("key", "stored", "words"), BAD)
def test_what_cannot_be_used_is_one_sentence_with_key_and_value(
    key: str, stored: object, words: str
) -> None:
    for others in ({}, BY_PATCHES):
        with pytest.raises(CheckpointError) as caught:
            read_rules({**others, key: stored})
        said = str(caught.value)
        shown = str(stored) if isinstance(stored, float) else f"{stored!r:.60}"
        assert said.startswith(f"This model's {key} is {shown}")
        assert words in said
        assert "get the file again, calibrate the model again, or update napari-safire" in said
        assert "\n" not in said


def test_every_key_is_tried() -> None:
    assert {key for key, _, _ in BAD} == set(RULE_KEYS)


def test_patches_without_a_rule_of_grouping_are_refused() -> None:
    with pytest.raises(CheckpointError, match="by cells, but has no kinship"):
        read_rules({"representative": "cells"})


@pytest.mark.parametrize(
    ("key", "stored"),
    [("representative", "cell"), ("kinship", None), ("calibration", {"slope": 1})],
)
def test_a_bad_file_is_refused_when_it_is_chosen(key: str, stored: object, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(SafireModel(tiny_lite()), path, metadata={key: stored})
    with pytest.raises(CheckpointError, match=f"This model's {key} is"):
        Engine(load_model(path, device="cpu"))


def test_a_file_that_says_nothing_divides_as_published() -> None:
    for metadata in ({}, {"name": "x", "epoch": 3}):
        assert read_rules(metadata) == ModelRules() == ModelRules(None, 0.3, None, None)
    patches = read_rules(BY_PATCHES).patches
    assert patches == PatchRules(GroupingRule(20.0, 0.0, -10.0, (0.0,) * 5))
    assert patches.weights == ScoreWeights(1, 0, 0)
    weights = read_rules(BY_PATCHES | {"evidence": {"cleavage": 1, "distance": 3}}).patches
    assert weights is not None
    assert weights.weights == ScoreWeights(1, 3, 0)


numbers = st.floats(-1e9, 1e9)
curves = st.builds(ConfidenceCurve, st.just((0.2, 0.9)), st.just((0.3, 0.8)), st.text())
calibrations = st.builds(
    Calibration,
    st.floats(0, 1e9), numbers, st.just(0.7), st.floats(0, 0.7), st.floats(0, 1), st.text(),
    st.none() | st.floats(0, 1), st.none() | st.floats(0, 1), st.none() | st.integers(1, 10**6),
)  # fmt: skip
groupings = st.builds(GroupingRule, numbers, numbers, numbers, st.tuples(*[numbers] * 5))
by_patches = st.builds(
    PatchRules,
    groupings,
    st.builds(ScoreWeights, numbers, numbers, numbers),
    st.floats(1e-3, 1e3),
    numbers,
)
rules = st.builds(
    ModelRules, by_patches, st.just(0.3), st.none() | calibrations, st.none() | curves
)
distances = st.floats(0, 2)
rules |= st.builds(ModelRules, st.none(), distances, st.none() | calibrations, st.none() | curves)


@given(rules=rules)
def test_rules_pass_through_a_file(rules: ModelRules) -> None:
    stored = json.loads(json.dumps(rules.as_metadata()))
    assert read_rules(stored) == rules
    assert set(stored) <= set(RULE_KEYS)


@given(rules=rules, other=numbers)
def test_a_threshold_is_that_of_the_way_of_dividing(rules: ModelRules, other: float) -> None:
    changed = rules.with_threshold(other)
    assert changed.threshold == other
    assert changed.with_threshold(rules.threshold) == rules


def test_rules_replace_what_a_model_said_before() -> None:
    old = {"name": "x", **BY_PATCHES, "calibration": CALM, "source_evidence": 7.0}
    new = with_rules(old, ModelRules(source_distance=0.2))
    assert new == {
        "name": "x",
        "representative": "most confident prompt",
        "source_distance": 0.2,
    }
    kept = replace(read_rules(old), calibration=None)
    assert read_rules(with_rules(old, kept)) == kept


def test_an_engine_may_be_given_other_rules() -> None:
    model = SafireModel(tiny_lite())
    given: Any = read_rules(BY_PATCHES)
    assert Engine(model).rules == ModelRules()
    engine = Engine(model, rules=given)
    assert engine.rules is given
    assert engine.answers_by_patches
    assert not model.metadata
