"""Strokes that are snapped to the picture's edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_safire.annotation.annotation import Stroke
from napari_safire.annotation.snapping import gradient, snapped
from napari_safire.errors import SafireError

SHAPE = (160, 200)
ROWS, COLS = np.indices(SHAPE)
DISC = np.hypot(ROWS - 80, COLS - 100) < 50


def disc_picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    colours = np.where(DISC[..., None], (150, 90, 60), (60, 110, 160))
    return np.clip(colours + rng.normal(0, 12, (*SHAPE, 3)), 0, 255).astype(np.uint8)


def stroke_of(before: np.ndarray, mask: np.ndarray, source: int = 1) -> Stroke:
    made = Stroke.between(before, np.where(mask, source, before))
    assert made is not None
    return made


def after(before: np.ndarray, stroke: Stroke, change: Stroke | None) -> np.ndarray:
    labels = before.copy()
    made = stroke if change is None else change
    made.put(labels, made.labels)
    return labels


def disc(radius: float) -> np.ndarray:
    return np.hypot(ROWS - 80, COLS - 100) < radius


@pytest.mark.parametrize("radius", [39, 44, 50, 56, 61])
@pytest.mark.parametrize("ground", [0, 7])
def test_the_edge_of_a_stroke_comes_to_the_edge_of_the_picture(radius: float, ground: int) -> None:
    before = np.full(SHAPE, ground, np.uint8)
    stroke = stroke_of(before, disc(radius), 3)
    labels = after(before, stroke, snapped(before, stroke, disc_picture()))
    assert set(np.unique(labels)) == {ground, 3}
    wrong = (labels == 3) != DISC
    assert not wrong[np.abs(np.hypot(ROWS - 80, COLS - 100) - 50) > 2].any()


def test_pictures_of_one_channel_and_of_other_types_are_snapped_alike() -> None:
    before = np.zeros(SHAPE, np.uint8)
    stroke = stroke_of(before, disc(57))
    colour = disc_picture()
    grey = colour.mean(axis=2)
    wanted = after(before, stroke, snapped(before, stroke, grey))
    for other in (grey.astype(np.float32) / 255, (grey * 256).astype(np.uint16)):
        labels = after(before, stroke, snapped(before, stroke, other))
        assert (labels != wanted).mean() < 0.001
    opaque = np.dstack([colour, np.full(SHAPE, 255, np.uint8)])
    np.testing.assert_array_equal(gradient(opaque), gradient(colour))
    holes = grey.copy()
    holes[80, 150] = np.nan
    assert np.isfinite(gradient(holes)).all()


def test_a_thin_stroke_keeps_its_middle() -> None:
    before = np.zeros(SHAPE, np.uint8)
    line = (np.abs(COLS - 100) <= 3) & (ROWS > 20) & (ROWS < 140)
    stroke = stroke_of(before, line)
    for pixels in (disc_picture(), np.zeros(SHAPE, np.uint8)):
        labels = after(before, stroke, snapped(before, stroke, pixels))
        assert (labels[30:130, 100] == 1).all()
        assert not labels[:, :80].any()


def test_edges_of_other_sources_stay_and_each_pixel_gets_its_own_label_back() -> None:
    before = np.where(COLS < 100, 5, 6).astype(np.uint8)  # their edge is none of the picture's
    stroke = stroke_of(before, disc(58))
    change = snapped(before, stroke, disc_picture())
    assert change is not None
    labels = after(before, stroke, change)
    np.testing.assert_array_equal(labels[labels != 1], before[labels != 1])


def test_what_is_protected_stays() -> None:
    before = np.zeros(SHAPE, np.uint8)
    stroke = stroke_of(before, disc(42))
    protected = COLS > 100
    change = snapped(before, stroke, disc_picture(), protected=protected)
    assert change is not None
    labels = after(before, stroke, change)
    drawn = after(before, stroke, None)
    outside = protected & (drawn == 0)
    np.testing.assert_array_equal(labels[outside], drawn[outside])
    assert (labels[:, :95] == 1).sum() > (drawn[:, :95] == 1).sum()


def test_erasing_is_snapped_too() -> None:
    before = np.full(SHAPE, 4, np.uint8)
    stroke = stroke_of(before, disc(57), 0)
    labels = after(before, stroke, snapped(before, stroke, disc_picture()))
    assert (labels == 0)[disc(47)].all()
    assert (labels == 4)[~disc(53)].all()


def test_a_stroke_within_its_own_source_has_no_edge() -> None:
    before = np.ones(SHAPE, np.uint8)
    before[80, 100] = 2
    stroke = stroke_of(before, (ROWS == 80) & (COLS == 100))
    assert snapped(before, stroke, disc_picture()) is None
    everything = stroke_of(np.zeros(SHAPE, np.uint8), np.ones(SHAPE, bool))
    assert snapped(np.zeros(SHAPE, np.uint8), everything, disc_picture()) is None


def test_strokes_and_pictures_that_do_not_fit_are_refused() -> None:
    before = np.zeros(SHAPE, np.uint8)
    two = Stroke(0, 0, np.ones((1, 2), bool), np.array([[1, 2]], np.uint8))
    with pytest.raises(SafireError, match="2 labels: only a stroke of one source"):
        snapped(before, two, disc_picture())
    stroke = stroke_of(before, disc(50))
    with pytest.raises(ValueError, match="must be at least 1"):
        snapped(before, stroke, disc_picture(), reach=0)
    with pytest.raises(ValueError, match="of one picture"):
        snapped(before, stroke, disc_picture()[1:])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 20))
def test_nothing_changes_far_from_the_edge_of_the_stroke(seed: int, size: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 3, (60, 70)).astype(np.uint8)
    mask = np.zeros(before.shape, bool)
    row, col = rng.integers(0, 60), rng.integers(0, 70)
    mask[row : row + size, col : col + size] = True
    stroke = Stroke.between(before, np.where(mask, 9, before))
    assert stroke is not None
    pixels = rng.integers(0, 256, (60, 70, 3), np.uint8)
    change = snapped(before, stroke, pixels, reach=reach)
    drawn, labels = after(before, stroke, None), after(before, stroke, change)
    changed = np.argwhere(drawn != labels)
    bounds = np.array([[row, col], [row + size, col + size]])
    assert (changed >= bounds[0] - reach - 1).all()
    assert (changed <= bounds[1] + reach).all()
    assert set(np.unique(labels)) <= {0, 1, 2, 9}
    given_back = labels[labels != 9]
    np.testing.assert_array_equal(given_back, before[labels != 9])
    assert change is None or len(changed)
