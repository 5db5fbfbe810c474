"""The point whose prompt would settle most uncertain pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEngine, PatchEngine

from napari_safire import Embedding, Engine, load_model
from napari_safire.annotation.annotation import Annotation, Preview, SourcePrompt, Stroke
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.next_click import NextClick, next_click
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.region_labels import Unions, asked_for
from napari_safire.images.demo import demo_composite
from napari_safire.types import PointPrompt


@pytest.fixture(scope="module")
def seen() -> tuple[Engine, Embedding, np.ndarray]:
    image, truth = demo_composite()
    engine = Engine(load_model("safire-lite", device="cpu"))
    return engine, engine.embed(image), truth


def answered(engine: Engine, embedding: Embedding, prompts: list[SourcePrompt]) -> Annotation:
    state = Annotation.empty(embedding.image_shape).with_prompts(prompts)
    jointly = engine.answers_by_patches
    asked = dict.fromkeys(asked_for(prompts, jointly).values())
    regions = ask_regions(engine, embedding, list(asked))
    return previewed(state, regions, None, Unions(), jointly)


def test_proposals_lead_an_oracle_to_the_truth(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    engine, embedding, truth = seen
    prompts: list[SourcePrompt] = []
    state = Annotation.empty(truth.shape)
    told: list[NextClick] = []
    for _ in range(8):
        found = next_click(engine, embedding, state)
        assert found is not None
        told.append(found)
        assert all(found.point != prompt.point for prompt in prompts)
        source = 1 + int(truth[round(found.point.row), round(found.point.col)])
        prompts.append(SourcePrompt(found.point, source))
        state = answered(engine, embedding, prompts)
    assert (state.shown() == truth + 1).mean() > 0.95
    assert told[0].uncertain == truth.size  # nothing has a source yet
    assert 0 < told[0].settles <= truth.size
    assert told[-1].uncertain < 0.2 * truth.size
    assert told[-1].settles < told[0].settles


def test_the_same_is_proposed_again(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    engine, embedding, _ = seen
    state = answered(engine, embedding, [SourcePrompt(PointPrompt(600, 700), 2)])
    first, second = (next_click(engine, embedding, state) for _ in range(2))
    assert first == second
    regions = ask_regions(engine, embedding, list(asked_for(state.live_prompts, True).values()))
    assert next_click(engine, embedding, state, regions) == first


def test_protected_pixels_are_certain(seen: tuple[Engine, Embedding, np.ndarray]) -> None:
    engine, embedding, truth = seen
    mask = np.zeros(truth.shape, bool)
    mask[:, : truth.shape[1] // 2] = True
    stroke = Stroke(0, 0, mask, np.ones(truth.shape, np.uint8))
    half = Annotation.empty(truth.shape).painted(stroke)
    found = next_click(engine, embedding, half)
    assert found is not None
    assert found.point.col > truth.shape[1] // 2
    assert found.uncertain == pytest.approx(truth.size / 2, rel=0.01)
    whole = Stroke(0, 0, np.ones(truth.shape, bool), np.ones(truth.shape, np.uint8))
    assert next_click(engine, embedding, half.painted(whole)) is None


def test_settled_labels_are_as_certain_as_their_partition(
    seen: tuple[Engine, Embedding, np.ndarray],
) -> None:
    engine, embedding, truth = seen
    partition = engine.partition(embedding, "kmeans", n_sources=3)
    labels = PackedLabels.pack((partition.labels + 1).astype(np.uint8))
    preview = Annotation.empty(truth.shape).with_preview(Preview(labels, "partition"))
    for state in (preview, preview.commit()):
        assert next_click(engine, embedding, state) is None  # somebody settled all of it
        found = next_click(engine, embedding, state, partition=partition)
        assert found is not None
        assert 0 < found.uncertain < truth.size / 4
        assert found.settles <= found.uncertain


def test_a_model_that_is_asked_through_its_decoder_proposes_too() -> None:
    engine = FakeEngine()
    embedding = engine.embed(np.zeros((120, 160, 3), np.uint8))
    first = SourcePrompt(PointPrompt(20, 20), 1)
    found = next_click(engine, embedding, answered(engine, embedding, [first]))
    assert found is not None
    assert np.hypot(found.point.row - 20, found.point.col - 20) > 16
    again = answered(engine, embedding, [first, SourcePrompt(found.point, 2)])
    other = next_click(engine, embedding, again)
    assert other is not None
    assert other.point != found.point


def test_excluded_regions_are_uncertain() -> None:
    engine = PatchEngine()
    embedding = engine.embed(np.zeros((120, 160, 3), np.uint8))
    box = [SourcePrompt(PointPrompt(0, 0)), SourcePrompt(PointPrompt(119, 159))]
    full = next_click(engine, embedding, answered(engine, embedding, box))
    assert full is not None
    excluded = SourcePrompt(PointPrompt(60, 80), exclude=True)
    found = next_click(engine, embedding, answered(engine, embedding, [*box, excluded]))
    assert found is not None
    assert found.uncertain > full.uncertain
    lonely = replace(excluded, source=3)
    assert next_click(engine, embedding, answered(engine, embedding, [lonely])) is not None


def test_pictures_of_one_patch() -> None:
    engine = FakeEngine()
    embedding = engine.embed(np.zeros((5, 7, 3), np.uint8))
    state = Annotation.empty((5, 7))
    found = next_click(engine, embedding, state)
    assert found is not None
    assert found.point.lies_in((5, 7))
    clicked = answered(engine, embedding, [SourcePrompt(found.point)])
    assert next_click(engine, embedding, clicked) is None
