"""Prompts: placed, moved, removed, edited by hand and undone; in a window: tests/window."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from dock_steps import (
    SHAPE,
    choose,
    click_picture,
    disc,
    labels,
    own_points,
    prompts,
    select_mode,
    take_prompts,
)
from fakes import FakeEngine
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_safire.gui.layers.colours import source_rgba
from napari_safire.types import Embedding, PointPrompt, SourceRegion

from .conftest import Dock
from .hand import pump, wait_until


@pytest.fixture
def opened(dock: Dock) -> Dock:
    """A dock with a picture, and the prompt tool in hand."""
    return take_prompts(dock)


# ---------------------------------------------------------------- placing


def test_the_face_of_a_point_is_its_confidence_and_the_border_its_source(opened: Dock) -> None:
    engine = opened.engine
    assert engine is not None
    click_picture(opened, 50, 60)
    sure = prompts(opened).face_color[0].copy()
    engine.segment = _unsure(engine)  # type: ignore[method-assign]
    opened.hand.press("N")
    click_picture(opened, 90, 120)
    assert prompts(opened).features["confidence"].tolist() == pytest.approx([0.8, 0.55])
    np.testing.assert_allclose(prompts(opened).face_color[0], sure)
    assert not np.allclose(prompts(opened).face_color[1], sure)
    for row in (0, 1):
        np.testing.assert_allclose(prompts(opened).border_color[row], source_rgba(row), atol=1e-6)


def _unsure(engine: FakeEngine):  # type: ignore[no-untyped-def]
    exact = FakeEngine.segment

    def segment(embedding: Embedding, points: Iterable[PointPrompt]) -> list[SourceRegion]:
        regions = exact(engine, embedding, points)
        return [SourceRegion(r.prompt, r.low_res_logits, r.geometry, 0.55) for r in regions]

    return segment


def test_prompts_of_one_source_unite(opened: Dock) -> None:
    first, second = click_picture(opened, 50, 60), click_picture(opened, 50, 85)
    np.testing.assert_array_equal(labels(opened), disc(*first) | disc(*second))


@pytest.mark.parametrize("by", ["key", "button", "spin box"])
def test_the_next_source_gets_its_own_label(opened: Dock, by: str) -> None:
    first = click_picture(opened, 50, 40)
    if by == "key":
        opened.hand.press("N")
    elif by == "button":
        opened.press(opened.widget.prompts.next)
    else:
        opened.widget.prompts.source.setFocus()
        QTest.keyClick(opened.widget.prompts.source, Qt.Key.Key_Up)
    assert opened.widget.prompts.source.value() == 2
    second = click_picture(opened, 50, 110)
    np.testing.assert_array_equal(labels(opened) == 1, disc(*first))
    np.testing.assert_array_equal(labels(opened) == 2, disc(*second))
    assert prompts(opened).features["source"].tolist() == [1, 2]


def test_the_tool_stays_in_hand_after_commit_and_new_prompts_are_asked(opened: Dock) -> None:
    first = click_picture(opened, 50, 40)
    opened.hand.press("K")
    opened.settle()
    assert prompts(opened).mode == "add"
    second = click_picture(opened, 60, 110)
    assert prompts(opened).features["live"].tolist() == [False, True]
    np.testing.assert_array_equal(labels(opened), disc(*first) | disc(*second))


# ---------------------------------------------------------------- moving and removing


def test_a_committed_point_that_is_dragged_is_asked_again(opened: Dock) -> None:
    click_picture(opened, 50, 40)
    opened.hand.press("K")
    opened.settle()
    select_mode(opened, 50, 40)
    opened.hand.drag(opened.viewer.layers["picture"], (50, 40), (60, 120))
    opened.settle()
    assert prompts(opened).features["live"].tolist() == [True]
    assert labels(opened)[60, 120] == 1


def test_undo_and_redo_keys_bring_back_prompts_and_labels_with_the_image_active(
    opened: Dock,
) -> None:
    first = click_picture(opened, 50, 40)
    opened.hand.press("N")
    opened.hand.press("W")
    opened.hand.press("W")
    second = click_picture(opened, 60, 110)
    opened.viewer.layers.selection.active = opened.viewer.layers["picture"]
    opened.hand.press("U")
    opened.settle()
    assert prompts(opened).data.tolist() == [pytest.approx(first, abs=1e-3)]
    np.testing.assert_array_equal(labels(opened), disc(*first))
    opened.hand.press("U")
    opened.settle()
    assert len(prompts(opened).data) == 0
    assert not labels(opened).any()
    assert not opened.widget.prompts.undo.isEnabled()
    opened.hand.press("Shift+U")
    opened.settle()
    opened.hand.press("Shift+U")
    opened.settle()
    assert len(prompts(opened).data) == 2
    assert prompts(opened).features["source"].tolist() == [1, 2]
    assert prompts(opened).features["confidence"].tolist() == [0.8, 0.8]
    np.testing.assert_array_equal(labels(opened) == 1, disc(*first))
    np.testing.assert_array_equal(labels(opened) == 2, disc(*second))
    assert opened.viewer.layers.selection.active is opened.viewer.layers["picture"]


# ---------------------------------------------------------------- the user's own points


def test_points_of_the_users_own_become_prompts_and_keep_their_features(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    mine = own_points(dock)
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    np.testing.assert_array_equal(labels(dock), disc(40, 40) | disc(80, 120))
    assert mine.features["who"].tolist() == ["Anna", "Ben"]
    assert mine.features["confidence"].tolist() == [0.8, 0.8]
    assert prompts(dock) is mine
    dock.press(dock.widget.prompts.add)
    dock.hand.press("N")
    third = click_picture(dock, 60, 80)
    assert mine.features["source"].tolist() == [1, 1, 2]
    np.testing.assert_array_equal(labels(dock) == 2, disc(*third) & (labels(dock) != 1))


def test_a_layer_of_points_that_holds_none_is_a_layer_of_prompts(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    mine = dock.viewer.add_points(ndim=2, name="mine")
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    assert dock.widget.message.isHidden()
    dock.press(dock.widget.prompts.add)
    place = click_picture(dock, 60, 80)
    assert prompts(dock) is mine
    np.testing.assert_array_equal(labels(dock), disc(*place))


def test_points_in_other_units_mark_the_place_where_they_are_drawn(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture", scale=(0.5, 0.5))
    mine = dock.viewer.add_points([[20.0, 30.0]], name="mine")  # world units: pixel (40, 60)
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    np.testing.assert_array_equal(labels(dock), disc(40, 60))
    dock.viewer.layers["picture"].scale = (0.25, 0.25)
    dock.settle()
    assert mine.scale.tolist() == [1, 1]  # the user's own layer is not moved about


def test_flat_points_over_a_stack_are_taken_for_the_slice_that_is_shown(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="picture")
    mine = dock.viewer.add_points([[40.0, 60.0]], name="mine")
    dock.settle()
    dock.viewer.dims.set_current_step(0, 1)
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    np.testing.assert_array_equal(labels(dock)[1], disc(40, 60))
    dock.viewer.dims.set_current_step(0, 2)
    dock.settle()
    assert mine.data.tolist() == [[40, 60]]
    assert not labels(dock)[[0, 2]].any()


def test_deep_points_over_a_flat_picture_become_prompts(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    mine = dock.viewer.add_points([[0.0, 40.0, 60.0]], name="mine")
    dock.viewer.layers.selection.active = dock.viewer.layers["picture"]
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    np.testing.assert_array_equal(labels(dock), disc(40, 60))
    dock.hand.press("U")
    dock.settle()
    assert not labels(dock).any()
    assert mine.data.tolist() == [[0, 40, 60]]


# ---------------------------------------------------------------- features by hand, bad values


def test_features_that_are_edited_by_hand_take_effect(opened: Dock) -> None:
    first, second = click_picture(opened, 50, 60), click_picture(opened, 55, 75)
    layer = prompts(opened)
    features = layer.features.copy()
    features["source"] = [3, 4]
    layer.features = features
    opened.settle()
    assert set(np.unique(labels(opened))) == {0, 3, 4}
    features = layer.features.copy()
    features["source"] = 3
    features["exclude"] = [False, True]
    layer.features = features
    opened.settle()
    np.testing.assert_array_equal(labels(opened) == 3, disc(*first) & ~disc(*second))
    assert [str(s) for s in layer.symbol] == ["disc", "x"]


def test_features_that_lose_our_columns_get_them_back(opened: Dock) -> None:
    place = click_picture(opened, 50, 60)
    layer = prompts(opened)
    layer.features = pd.DataFrame({"remark": ["odd"]})
    opened.settle()
    assert set(layer.features) >= {"remark", "source", "exclude", "live", "confidence"}
    assert layer.features["remark"].tolist() == ["odd"]
    np.testing.assert_array_equal(labels(opened), disc(*place))


def test_a_bad_source_number_becomes_the_nearest_good_one(opened: Dock) -> None:
    place = click_picture(opened, 50, 60)
    layer = prompts(opened)
    for value, wanted in (
        (-3, 1),
        (999, 255),
        (0, 1),
        (1e300, 255),
        (np.nan, 1),
        (2.6, 3),
        (np.inf, 1),
        ("4", 4),
        ("nine", 1),
        (None, 1),
    ):
        features = layer.features.drop(columns="source")
        features["source"] = pd.Series([value])
        layer.features = features
        opened.settle()
        assert layer.features["source"].tolist() == [wanted], value
        np.testing.assert_array_equal(labels(opened), disc(*place) * wanted, str(value))
    second = click_picture(opened, 90, 120)
    assert labels(opened)[round(second[0]), round(second[1])] == 1


@pytest.mark.parametrize("column", ["exclude", "live", "confidence"])
def test_other_bad_feature_values_do_no_harm(opened: Dock, column: str) -> None:
    first = click_picture(opened, 50, 60)
    layer = prompts(opened)
    for value in (np.nan, None, "perhaps"):
        features = layer.features.drop(columns=column)
        features[column] = pd.Series([value])
        layer.features = features
        opened.settle()
        np.testing.assert_array_equal(labels(opened), disc(*first), str(value))
    second = click_picture(opened, 90, 120)
    np.testing.assert_array_equal(labels(opened), disc(*first) | disc(*second))
    assert layer.features["confidence"].tolist()[-1] == 0.8


def test_a_user_column_of_text_named_source_does_no_harm(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    dock.viewer.add_points(
        [[40.0, 60.0]], name="mine", features=pd.DataFrame({"source": ["camera A"]})
    )
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    np.testing.assert_array_equal(labels(dock), disc(40, 60))
    assert prompts(dock).features["source (as it was)"].tolist() == ["camera A"]


def test_points_outside_the_picture_are_told_of_kept_and_hinder_no_other(opened: Dock) -> None:
    inside = click_picture(opened, 50, 60)
    layer = prompts(opened)
    layer.add([[-30.0, 40.0], [50.0, 500.0]])
    opened.settle()
    assert "2 points lie outside the picture" in opened.widget.message.text()
    np.testing.assert_array_equal(labels(opened), disc(*inside))
    assert len(layer.data) == 3
    opened.workspace.messages.clear()
    second = click_picture(opened, 90, 120)
    np.testing.assert_array_equal(labels(opened), disc(*inside) | disc(*second))
    assert opened.widget.message.isHidden()  # it was said once
    opened.hand.press("U")
    opened.settle()
    np.testing.assert_array_equal(labels(opened), disc(*inside))
    assert [-30.0, 40.0] in layer.data.tolist()
    assert [50.0, 500.0] in layer.data.tolist()


def test_a_point_that_is_dragged_out_and_back_in_is_asked_again(opened: Dock) -> None:
    click_picture(opened, 50, 60)
    layer = prompts(opened)
    layer.data = np.array([[50.0, -40.0]])
    opened.settle()
    assert not labels(opened).any()
    layer.data = np.array([[70.0, 40.0]])
    opened.settle()
    np.testing.assert_array_equal(labels(opened), disc(70, 40))


def test_points_that_are_nowhere_do_no_harm(opened: Dock) -> None:
    inside = click_picture(opened, 50, 60)
    prompts(opened).add([[np.nan, 40.0]])
    opened.settle()
    assert "1 point lies outside the picture" in opened.widget.message.text()
    np.testing.assert_array_equal(labels(opened), disc(*inside))


def test_a_click_beside_the_picture_asks_nothing(opened: Dock) -> None:
    opened.hand.click(opened.viewer.layers["picture"], -4, 60)
    opened.settle()
    assert "outside the picture" in opened.widget.message.text()
    assert opened.engine is not None
    assert "segment" not in opened.engine.calls


def test_prompts_without_a_picture_are_refused_with_a_sentence(dock: Dock) -> None:
    dock.press(dock.widget.prompts.add)
    assert "open one first" in dock.widget.message.text()
    assert not dock.viewer.layers


# ---------------------------------------------------------------- the layer itself


def test_when_the_layer_of_prompts_is_removed_the_preview_goes_and_undo_brings_it_back(
    opened: Dock,
) -> None:
    place = click_picture(opened, 50, 60)
    opened.viewer.layers.remove("picture: prompts")
    opened.settle()
    assert not labels(opened).any()
    opened.press(opened.widget.prompts.undo)
    opened.settle()
    assert prompts(opened) in opened.viewer.layers
    assert prompts(opened).data.tolist() == [pytest.approx(place, abs=1e-3)]
    np.testing.assert_array_equal(labels(opened), disc(*place))
    opened.press(opened.widget.prompts.add)
    second = click_picture(opened, 60, 120)
    np.testing.assert_array_equal(labels(opened), disc(*place) | disc(*second))


def test_committed_regions_outlast_the_layer_of_prompts(opened: Dock) -> None:
    place = click_picture(opened, 50, 60)
    opened.hand.press("K")
    opened.settle()
    opened.viewer.layers.remove("picture: prompts")
    opened.settle()
    np.testing.assert_array_equal(labels(opened), disc(*place))


def test_a_renamed_and_hidden_layer_of_prompts_goes_on_working(opened: Dock) -> None:
    place = click_picture(opened, 50, 60)
    layer = prompts(opened)
    layer.name = "clicks"
    layer.visible = False
    opened.settle()
    np.testing.assert_array_equal(labels(opened), disc(*place))
    opened.press(opened.widget.prompts.add)
    assert layer.visible
    second = click_picture(opened, 60, 120)
    assert prompts(opened) is layer
    np.testing.assert_array_equal(labels(opened), disc(*place) | disc(*second))
    assert "picture: prompts" not in opened.viewer.layers


# ---------------------------------------------------------------- preview from the grid


class Slow(FakeEngine):
    """Segments only when the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open_gate = threading.Event()

    def segment(self, embedding: Embedding, prompts: Iterable[PointPrompt]) -> list[SourceRegion]:
        assert self.open_gate.wait(60)
        return super().segment(embedding, prompts)


def test_with_the_grid_asked_a_click_is_previewed_and_the_exact_answer_replaces_it(
    opened: Dock,
) -> None:
    slow = Slow()
    assert opened.engine is not None
    opened.engine.segment = slow.segment  # type: ignore[method-assign]
    opened.press(opened.widget.partition.run)
    opened.settle()
    opened.press(opened.widget.prompts.discard)
    opened.settle()
    assert not labels(opened).any()
    assert opened.widget.prompts.add.isChecked()
    plane = opened.controller.plane
    assert plane is not None
    assert plane.grid is not None
    opened.hand.click(opened.viewer.layers["picture"], 50, 60)
    wait_until(lambda: bool(labels(opened).any()))
    place = prompts(opened).data[0]
    grid = np.array([(p.row, p.col) for p in plane.grid.prompts])
    nearest = grid[np.hypot(*(grid - place).T).argmin()]
    assert tuple(nearest) != tuple(place)
    np.testing.assert_array_equal(labels(opened), disc(*nearest))
    wait_until(lambda: "being answered" in opened.widget.prompts.confidence.text())
    assert np.isnan(prompts(opened).features["confidence"][0])
    slow.open_gate.set()
    opened.settle()
    np.testing.assert_array_equal(labels(opened), disc(*place))
    assert prompts(opened).features["confidence"].tolist() == [0.8]
    opened.hand.press("U")  # preview and exact answer are one step
    opened.settle()
    assert not labels(opened).any()


def test_a_click_while_the_picture_is_being_read_is_answered_afterwards(dock: Dock) -> None:
    assert dock.engine is not None
    dock.engine.gate = threading.Event()
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    dock.press(dock.widget.prompts.add)
    dock.hand.click(dock.viewer.layers["picture"], 50, 60)
    pump(0.1)
    assert dock.controller.sources_layer is None
    assert not dock.widget.status.cancel.isHidden()
    dock.engine.gate.set()
    dock.settle()
    np.testing.assert_array_equal(labels(dock), disc(*prompts(dock).data[0]))


def test_after_a_cancelled_reading_segment_answers_the_prompts(dock: Dock) -> None:
    assert dock.engine is not None
    dock.engine.gate = threading.Event()
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    dock.press(dock.widget.prompts.add)
    dock.hand.click(dock.viewer.layers["picture"], 50, 60)
    pump(0.1)
    dock.hand.press("Q")
    dock.settle()
    assert dock.controller.sources_layer is None
    dock.engine.gate.set()
    dock.hand.press("G")
    dock.settle()
    np.testing.assert_array_equal(labels(dock), disc(*prompts(dock).data[0]))
