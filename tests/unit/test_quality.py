"""Prompts in the plane, and the quality of 2, 3, ... sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_safire.partitioning.clustering import cluster_kmeans
from napari_safire.partitioning.quality import (
    project_features,
    quality_curve,
)

TABLES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 12), st.integers(1, 5)),
    elements=st.floats(-8, 8, width=32) | st.just(np.nan),
)


def groups(*sizes: int, spread: float = 0.05, channels: int = 16, seed: int = 1) -> np.ndarray:
    """Features in groups around axes of the feature space, of any length."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(len(sizes), channels), sizes, axis=0)
    lengths = rng.uniform(0.5, 4, (sum(sizes), 1))
    return ((centres + spread * rng.normal(size=centres.shape)) * lengths).astype(np.float32)


# -- the plane -----------------------------------------------------------------------------------


def test_groups_are_apart_in_the_plane():
    plane = project_features(groups(20, 30, 10))
    assert plane.dtype == np.float32
    centres = [plane[:20].mean(0), plane[20:50].mean(0), plane[50:].mean(0)]
    widths = [plane[:20].std(0).max(), plane[20:50].std(0).max(), plane[50:].std(0).max()]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(centres[a] - centres[b]) > 8 * max(widths)


def test_the_plane_shows_the_directions_to_scale():
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(24)], axis=1)
    plane = project_features(circle * np.linspace(1, 5, 24)[:, None])
    np.testing.assert_allclose(np.linalg.norm(plane, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(plane[0] - plane[12]) == pytest.approx(2, abs=1e-5)


def test_the_length_of_features_does_not_matter():
    features = groups(10, 10, 10)
    factors = np.linspace(0.1, 9, 30, dtype=np.float32)[:, None]
    np.testing.assert_allclose(
        project_features(features * factors), project_features(features), atol=1e-5
    )


def test_prompts_without_a_feature_have_no_place_and_move_no_other():
    features = groups(10, 10)
    holes = np.insert(features, [0, 7, 20], np.nan, axis=0)
    plane = project_features(holes)
    missing = np.isnan(holes).all(axis=1)
    assert np.isnan(plane[missing]).all()
    np.testing.assert_allclose(plane[~missing], project_features(features), atol=1e-6)


def test_the_order_of_prompts_does_not_mirror_the_plane():
    features = groups(10, 14, 6)
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_allclose(
        project_features(features[order]), project_features(features)[order], atol=1e-5
    )


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (np.zeros((0, 4)), np.zeros((0, 2))),
        (np.full((2, 4), np.nan), np.full((2, 2), np.nan)),
        ([[3.0, 4.0]], [[0, 0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[0, 0], [0, 0]]),
        ([[5.0, 0.0], [0.0, 2.0], [np.nan, 1.0]], [[0.5**0.5, 0], [-(0.5**0.5), 0], [np.nan] * 2]),
        ([[1.0], [-2.0], [3.0]], [[2 / 3, 0], [-4 / 3, 0], [2 / 3, 0]]),
        (np.full((5, 3), 0.7), np.zeros((5, 2))),
    ],
    ids=["none", "no feature", "one", "zero", "two", "one channel", "equal"],
)
def test_hardly_any_features(features: object, expected: object):
    plane = project_features(np.array(features, dtype=np.float32))
    np.testing.assert_allclose(plane, np.array(expected, dtype=np.float32), atol=1e-6)


@given(TABLES)
@settings(deadline=None)
def test_every_prompt_with_a_feature_gets_a_place(features: np.ndarray):
    before = features.copy()
    plane = project_features(features)
    valid = np.isfinite(features).all(axis=1)
    assert plane.shape == (len(features), 2)
    np.testing.assert_array_equal(np.isfinite(plane), np.repeat(valid[:, None], 2, axis=1))
    assert (np.abs(plane[valid]) <= 2 + 1e-5).all()
    np.testing.assert_array_equal(project_features(features), plane)
    np.testing.assert_array_equal(features, before)


# -- the curve -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(30, 20), (25, 20, 10), (20, 20, 10, 10), (9, 9, 9, 9, 9)])
def test_the_curve_is_highest_at_the_number_of_groups(sizes: tuple[int, ...]):
    curve = quality_curve(groups(*sizes))
    assert [point.n_sources for point in curve] == [2, 3, 4, 5, 6]
    assert max(curve, key=lambda point: point.silhouette).n_sources == len(sizes)
    assert curve[len(sizes) - 2].silhouette > 0.8


def test_the_curve_equals_the_definition_of_the_silhouette():
    features = groups(7, 5, 4, spread=0.4)
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = 1 - directions @ directions.T
    labels = cluster_kmeans(features, 3, seed=3)
    expected = []
    for i, own in enumerate(labels):
        mates = (labels == own) & (np.arange(len(labels)) != i)
        if not mates.any():
            expected.append(0.0)
            continue
        a = distances[i, mates].mean()
        b = min(distances[i, labels == other].mean() for other in set(labels) - {own})
        expected.append((b - a) / max(a, b))
    point = quality_curve(features, seed=3)[1]
    assert point.silhouette == pytest.approx(np.mean(expected), abs=1e-5)


def test_prompts_without_a_feature_do_not_count():
    features = groups(15, 10)
    holes = np.insert(features, [0, 7, 20], np.nan, axis=0)
    assert quality_curve(holes) == quality_curve(features)


def test_the_curve_repeats_itself():
    features = groups(40, spread=1)
    assert quality_curve(features, seed=5) == quality_curve(features, seed=5)


def test_the_curve_ends_where_different_features_end():
    features = np.repeat(groups(1, 1, 1), 10, axis=0)
    assert [point.n_sources for point in quality_curve(features)] == [2, 3]
    assert quality_curve(np.ones((9, 4), dtype=np.float32)) == ()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_prompts_have_no_curve(count: int):
    assert quality_curve(np.eye(count, 3, dtype=np.float32)) == ()


def test_the_curve_ends_below_one_prompt_a_source():
    assert [p.n_sources for p in quality_curve(np.eye(4, dtype=np.float32))] == [2, 3]


def test_the_curve_goes_as_far_as_asked():
    assert [p.n_sources for p in quality_curve(groups(20, 20), most=3)] == [2, 3]


@given(TABLES, st.integers(2, 8))
@settings(deadline=None, max_examples=60)
def test_a_curve_of_any_features_is_one_of_silhouettes(features: np.ndarray, most: int):
    curve = quality_curve(features, most=most)
    assert [p.n_sources for p in curve] == list(range(2, len(curve) + 2))
    assert len(curve) < most
    assert all(-1 <= p.silhouette <= 1 for p in curve)


def test_a_source_cannot_be_rated_alone():
    with pytest.raises(ValueError, match="up to 1 sources"):
        quality_curve(groups(5, 5), most=1)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (5, 0)])
def test_what_is_not_a_table_is_refused(shape: tuple[int, ...]):
    for function in (project_features, quality_curve):
        with pytest.raises(ValueError, match="not a table"):
            function(np.zeros(shape, dtype=np.float32))
