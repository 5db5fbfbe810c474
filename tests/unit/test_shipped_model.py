"""The model that ships with the package, on the picture that ships with it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_safire import Embedding, Engine, load_model
from napari_safire.engine.rules import RULE_KEYS
from napari_safire.images.demo import demo_composite
from napari_safire.metrics import binary_scores, multi_source_scores
from napari_safire.model.catalogue.registry import model_path, verify


@pytest.fixture(scope="module")
def seen() -> tuple[Engine, Embedding, np.ndarray]:
    image, truth = demo_composite()
    engine = Engine(load_model("safire-lite", device="cpu"))
    return engine, engine.embed(image), truth


def test_file_is_the_one_that_was_evaluated():
    assert verify("safire-lite")
    assert model_path("safire-lite").stat().st_size <= 20e6


def test_model_says_what_it_rests_on(seen: tuple[Engine, Embedding, np.ndarray]):
    metadata = seen[0].model.metadata
    assert metadata["licence"] == "BSD-3-Clause"
    rules = seen[0].rules
    assert rules.patches is not None
    assert rules.patches.least_score > 0
    assert rules.patches.weights.cleavage > 0
    assert rules.patches.grouping.slope > 0
    assert rules.patches.inverse_temperature > 0
    assert rules.confidence is not None
    assert rules.calibration is not None
    assert 0 <= rules.calibration.false_alarm_rate <= 0.1
    stored = json.loads(json.dumps(rules.as_metadata()))
    assert stored == {key: metadata[key] for key in RULE_KEYS if key in metadata}


def test_partition_of_the_demo_beats_one_source(seen: tuple[Engine, Embedding, np.ndarray]):
    engine, embedding, truth = seen
    partition = engine.partition(embedding, "kmeans", n_sources=3)
    scores = multi_source_scores(truth, partition.labels)
    assert scores.miou_hungarian > scores.floor + 0.2


def test_heatmap_of_the_demo_finds_what_was_pasted(seen: tuple[Engine, Embedding, np.ndarray]):
    engine, embedding, truth = seen
    forgery = engine.localize(embedding)
    scores = binary_scores((truth > 0).astype(np.uint8), forgery.heatmap)
    assert scores.f1_fixed > scores.floor + 0.3
    assert forgery.verdict != "no forgery found"


def test_clicks_on_the_street_and_on_the_sky_differ(seen: tuple[Engine, Embedding, np.ndarray]):
    engine, embedding, truth = seen
    street, sky = engine.segment(embedding, [(600, 700), (150, 430)])
    assert truth[600, 700] != truth[150, 430]
    assert street.mask[600, 700]
    assert not street.mask[150, 430]
    assert sky.mask[150, 430]
    assert not sky.mask[600, 700]


def test_dbscan_chooses_a_distance_that_finds_what_was_composed(
    seen: tuple[Engine, Embedding, np.ndarray],
):
    engine, embedding, truth = seen
    found = engine.partition(embedding, "dbscan")
    assert found.n_sources <= 6  # 24 to 26 where eps is .2 whatever the picture
    assert found.parameters["eps_rule"] == "k-distance knee"
    given = engine.partition(embedding, "dbscan", eps=0.2)
    assert given.parameters == {
        "units": "prompts",
        "points_per_side": 16,
        "eps": 0.2,
        "min_samples": 1,
    }
    scores = multi_source_scores(truth, found.labels)
    assert scores.miou_hungarian > multi_source_scores(truth, given.labels).miou_hungarian
    sure, unsure = (
        np.mean([region.confidence for region in partition.representatives])
        for partition in (found, given)
    )
    assert unsure < sure
    assert unsure < 0.6
