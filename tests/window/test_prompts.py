"""Prompts in a real window, where canvas, mouse and keys are what matters; others: tests/model."""

from __future__ import annotations

import numpy as np
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
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QStyle, QStyleOptionButton

from .conftest import Dock
from .hand import pump


@pytest.fixture
def opened(dock: Dock) -> Dock:
    """A dock with a picture, and the prompt tool in hand."""
    return take_prompts(dock)


def matches(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, but for the rim where a click between two pixels rounds either way."""
    assert (found != wanted).mean() < 0.005
    assert wanted.any()


def tick(dock: Dock) -> None:
    """Click the Exclude check box where it shows its mark."""
    box = dock.widget.prompts.exclude
    dock.widget.ensureWidgetVisible(box)
    pump(0.02)
    option = QStyleOptionButton()
    box.initStyleOption(option)
    style = box.style()
    assert style is not None
    mark = style.subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, box)
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, pos=mark.center())
    pump(0.02)


# ---------------------------------------------------------------- placing


def test_a_click_is_a_prompt_and_paints_the_region(opened: Dock) -> None:
    assert prompts(opened).mode == "add"
    place = click_picture(opened, 50, 60)
    np.testing.assert_array_equal(labels(opened), disc(*place))
    features = prompts(opened).features
    assert features["source"].tolist() == [1]
    assert features["confidence"].tolist() == [0.8]
    assert "0.80" in opened.widget.prompts.confidence.text()


@pytest.mark.parametrize("by", ["key", "check box"])
def test_exclude_subtracts_and_is_drawn_as_a_cross(opened: Dock, by: str) -> None:
    first = click_picture(opened, 50, 60)
    if by == "key":
        opened.hand.press("W")
    else:
        tick(opened)
    assert opened.widget.prompts.exclude.isChecked()
    assert [str(s) for s in prompts(opened).symbol] == ["disc"]  # the one that is there stays
    second = click_picture(opened, 55, 72)
    np.testing.assert_array_equal(labels(opened), disc(*first) & ~disc(*second))
    assert [str(s) for s in prompts(opened).symbol] == ["disc", "x"]
    if by == "key":
        opened.hand.press("W")
    else:
        tick(opened)
    third = click_picture(opened, 90, 30)
    np.testing.assert_array_equal(labels(opened), (disc(*first) & ~disc(*second)) | disc(*third))


def test_clicks_in_quick_succession_are_all_answered(opened: Dock) -> None:
    picture = opened.viewer.layers["picture"]
    for col in range(20, 150, 25):
        opened.hand.click(picture, 60, col)
    opened.settle()
    wanted = np.zeros(SHAPE, bool)
    for place in prompts(opened).data:
        wanted |= disc(*place)
    assert len(prompts(opened).data) == 6
    np.testing.assert_array_equal(labels(opened) > 0, wanted)


# ---------------------------------------------------------------- moving and removing


def test_a_point_that_is_dragged_takes_its_region_along_in_one_step(opened: Dock) -> None:
    first = click_picture(opened, 50, 60)
    select_mode(opened, 50, 60)
    opened.hand.drag(opened.viewer.layers["picture"], (50, 60), (80, 110))
    opened.settle()
    moved = prompts(opened).data[0]
    assert moved == pytest.approx((80, 110), abs=1)
    matches(labels(opened), disc(*moved))
    opened.press(opened.widget.prompts.undo)
    opened.settle()
    assert prompts(opened).data[0] == pytest.approx(first, abs=1e-3)
    np.testing.assert_array_equal(labels(opened), disc(*first))
    assert "move" in opened.widget.prompts.redo.toolTip()


@pytest.mark.parametrize("key", ["Delete", "Backspace"])
def test_a_selected_point_is_removed_with_its_region(opened: Dock, key: str) -> None:
    click_picture(opened, 50, 40)
    second = click_picture(opened, 60, 110)
    select_mode(opened, 50, 40)
    assert prompts(opened).selected_data == {0}
    opened.hand.press(key)
    opened.settle()
    assert len(prompts(opened).data) == 1
    np.testing.assert_array_equal(labels(opened), disc(*second))
    select_mode(opened, 60, 110)
    opened.hand.press(key)
    opened.settle()
    assert len(prompts(opened).data) == 0
    assert not labels(opened).any()


# ---------------------------------------------------------------- the user's own points


def test_undo_leaves_names_and_sizes_with_the_points_they_belong_to(dock: Dock) -> None:
    dock.viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    mine = own_points(dock)
    dock.settle()
    choose(dock.widget.prompts.layer, "mine")
    dock.settle()
    select_mode(dock, 40, 40)
    dock.hand.press("Delete")
    dock.settle()
    assert mine.features["who"].tolist() == ["Ben"]
    dock.hand.press("U")
    dock.settle()
    places = [tuple(place) for place in mine.data.tolist()]
    assert sorted(places) == [(40, 40), (80, 120)]
    ben = places.index((80, 120))
    assert mine.features["who"][ben] == "Ben"
    assert mine.size[ben] == 9
    np.testing.assert_array_equal(labels(dock), disc(40, 40) | disc(80, 120))
    dock.hand.press("Shift+U")
    dock.settle()
    assert mine.features["who"].tolist() == ["Ben"]
    assert mine.size.tolist() == [9]
