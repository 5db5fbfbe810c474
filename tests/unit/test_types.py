"""Coordinates and values: row/col in the picture, x/y in the model's frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_safire.forgery import Calibration
from napari_safire.geometry import Geometry
from napari_safire.settings import PartitionSettings
from napari_safire.types import PointPrompt, SourceRegion

lengths = st.integers(1, 12_000)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Squashed (ViT) and native, pooled (lite) frames of any picture."""
    shape = (draw(lengths), draw(lengths))
    if draw(st.booleans()):
        return Geometry(shape, (1024, 1024), (1024.0, 1024.0))
    pool = draw(st.integers(1, 8))
    frame = tuple(-(-n // (16 * pool)) * 16 for n in shape)
    return Geometry(shape, (frame[0], frame[1]), (shape[0] / pool, shape[1] / pool))


@given(geometries(), st.floats(0, 1), st.floats(0, 1))
def test_any_point_goes_to_the_frame_and_back(geometry: Geometry, down: float, across: float):
    height, width = geometry.image_shape
    row, col = down * height - 0.5, across * width - 0.5
    x, y = geometry.to_model_xy(row, col)
    assert -0.5 - 1e-6 <= x <= geometry.content_shape[1] - 0.5 + 1e-6
    assert -0.5 - 1e-6 <= y <= geometry.content_shape[0] - 0.5 + 1e-6
    assert geometry.to_image_rc(x, y) == pytest.approx((row, col), abs=1e-6 * max(height, width))
    assert geometry.contains(row, col)


@given(geometries())
def test_points_beyond_the_edges_are_not_contained(geometry: Geometry):
    height, width = geometry.image_shape
    for row, col in [(-0.6, 0), (0, -0.6), (height, 0), (0, width), (-1e9, 1e9)]:
        assert not geometry.contains(row, col)


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(1, 12), st.integers(1, 4))
def test_interpolation_weights_are_convex(shape: tuple[int, int], n_logits: int, pool: int):
    geometry = Geometry(shape, (16 * n_logits, 16), (shape[0] / pool, 16.0))
    weights = geometry.interpolation(0, n_logits).toarray()
    assert weights.shape == (shape[0], n_logits)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert (weights >= 0).all()
    assert ((weights > 0).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("size", [(256, 256), (300, 200), (37, 500), (64, 64)])
def test_logits_come_to_image_size_as_pytorch_would(size: tuple[int, int]):
    logits = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    geometry = Geometry(size, (256, 256), (256.0, 256.0))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None, None], size=size, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(geometry.to_image_size(logits), expected, atol=1e-4)


def test_padding_is_cropped_before_the_size_changes():
    # The picture covers the upper left quarter of its frame: logits elsewhere never show.
    logits = np.full((8, 8), 100.0, dtype=np.float32)
    logits[:5, :5] = -1
    geometry = Geometry((16, 16), (32, 32), (16.0, 16.0))
    assert (geometry.to_image_size(logits) == -1).all()


def test_values_are_frozen():
    prompt = PointPrompt(1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        prompt.row = 3  # type: ignore[misc]


@pytest.mark.parametrize("place", [(float("nan"), 0), (0, float("inf"))])
def test_a_prompt_is_a_place(place: tuple[float, float]):
    with pytest.raises(ValueError, match="finite"):
        PointPrompt(*place)


def test_region_mask_is_where_logits_are_positive():
    logits = np.random.default_rng(1).standard_normal((8, 8)).astype(np.float32)
    region = SourceRegion(PointPrompt(0, 0), logits, Geometry((32, 32), (32, 32), (32.0, 32.0)), 1)
    assert region.mask.shape == (32, 32)
    np.testing.assert_array_equal(region.mask, region.logits > 0)


def test_calibration_probability_and_order_of_thresholds():
    calibration = Calibration(4.0, -2.0, 0.8, 0.3, 0.1, "Made up.")
    assert calibration.probability(0.5) == pytest.approx(0.5)
    assert calibration.probability(10) > 0.99
    with pytest.raises(ValueError, match="clean_below"):
        Calibration(4.0, -2.0, 0.3, 0.8, 0.1, "Made up.")
    with pytest.raises(ValueError, match="miss_rate is a share, 0 to 1, not 7"):
        Calibration(4.0, -2.0, 0.8, 0.3, 0.1, "Made up.", 7)
    with pytest.raises(ValueError, match="highest_false_alarm_rate is a share, 0 to 1, not -1"):
        Calibration(4.0, -2.0, 0.8, 0.3, 0.1, "Made up.", highest_false_alarm_rate=-1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "kmeans", "n_sources": 2.0}, "n_sources is 2.0, but must be a whole number"),
        ({"method": "kmeans", "n_sources": "2"}, "n_sources is '2'"),
        ({"method": "kmeans", "n_sources": True}, "n_sources is True"),
        ({"seed": None}, "seed is None"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"points_per_side": 1.5}, "points_per_side is 1.5"),
        ({"method": "dbscan", "eps": "1"}, "eps is '1', but must be a number"),
    ],
)
def test_settings_of_another_type_are_refused_in_a_sentence(settings, words):
    with pytest.raises(TypeError, match=words):
        PartitionSettings(**settings).check()


def test_whole_numbers_of_numpy_are_whole_numbers():
    PartitionSettings("kmeans", np.int64(3), seed=np.uint8(1)).check()
