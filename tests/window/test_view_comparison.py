"""Comparing views in a real window: mouse, keys, what the canvas draws, and no trace of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_safire.gui.controllers.view_comparison import ViewComparison
from napari_safire.gui.layers.canvas_marks import CanvasMarks

from .conftest import Dock
from .hand import pump

SHAPE = (120, 160)
GREY, RED, GREEN = (90, 90, 90), (255, 0, 0), (0, 255, 0)


@pytest.fixture
def three(dock: Dock) -> Dock:
    """A grey picture, and a red and a green layer of the user's over it, the one half as large."""
    dock.viewer.add_image(np.full((*SHAPE, 3), 90, np.uint8), name="picture")
    dock.settle()
    for name, colour, scale in (("red", RED, 1), ("green", GREEN, 2)):
        shape = (SHAPE[0] // scale, SHAPE[1] // scale)
        data = np.full((*shape, 3), colour, np.uint8)
        dock.viewer.add_image(data, name=name, scale=(scale, scale))
    dock.viewer.layers.selection.active = dock.viewer.layers["picture"]
    dock.settle()
    comparison(dock).choose(["red", "green"])
    return dock


def comparison(dock: Dock) -> ViewComparison:
    return dock.workspace.comparison


def marks(dock: Dock) -> CanvasMarks:
    return comparison(dock).marks


def seen(dock: Dock, *places: tuple[float, float]) -> list[tuple[int, ...]]:
    """Colours of the canvas where pixels of the picture are drawn."""
    pump()
    screen = dock.viewer.screenshot(flash=False)
    image = dock.viewer.layers["picture"]
    at = [dock.hand.position(image, *place) for place in places]
    return [tuple(int(v) for v in screen[p.y(), p.x(), :3]) for p in at]


def nodes(dock: Dock) -> list[Any]:
    """How the canvas draws layers."""
    canvas = dock.viewer.window._qt_viewer.canvas
    found = []
    for layer in dock.viewer.layers:
        node = canvas.layer_to_visual[layer].node
        found.append((node.visible, node.opacity, len(node._vshare.filters), node.order))
        assert node.parent is canvas.view.scene
    return found


def test_a_swipe_is_dragged_by_mouse_and_moved_by_keys(three: Dock) -> None:
    before, drawn = seen(three, (60, 40), (60, 120)), nodes(three)
    three.hand.press("Shift+S")
    assert comparison(three).words == "swipe: red | green"
    assert seen(three, (60, 70), (60, 90), (5, 70), (5, 90)) == [RED, GREEN, RED, GREEN]
    line = marks(three).line
    assert line is not None
    grip = QPoint(line.width() // 2, 100)
    to = three.hand.position(three.viewer.layers["picture"], 60, 40)
    QTest.mousePress(line, Qt.MouseButton.LeftButton, pos=grip)
    for x in range(line.x(), to.x(), -20):
        QTest.mouseMove(line, QPoint(x - line.x(), 100))
        pump(0.01)
    QTest.mouseMove(line, QPoint(to.x() - line.x(), 100))
    QTest.mouseRelease(line, Qt.MouseButton.LeftButton, pos=grip)
    assert seen(three, (60, 36), (60, 44), (60, 120)) == [RED, GREEN, GREEN]
    assert not three.viewer.scene.camera.mouse_pan or comparison(three).mode == "swipe"
    at = comparison(three).line.position
    three.hand.press("Shift+Right")  # more of B
    three.hand.press("Shift+Left")
    assert comparison(three).line.position == pytest.approx(at)
    three.viewer.scene.camera.zoom *= 1.7  # the line stays where it is on the canvas
    pump()
    assert comparison(three).line.position == pytest.approx(at)
    three.viewer.reset_view()
    comparison(three).move(0.5)
    comparison(three).turn_line(False)
    assert seen(three, (40, 20), (40, 140), (80, 20), (80, 140)) == [RED, RED, GREEN, GREEN]
    assert [label.text() for label in marks(three).captions] == ["A: red", "B: green"]
    three.hand.press("Shift+S")
    assert seen(three, (60, 40), (60, 120)) == before
    assert nodes(three) == drawn
    assert marks(three).line is None
    assert three.controller.layer_group is None or three.controller.layer_group.prompts is None


def test_blinking_fading_and_cells(three: Dock) -> None:
    viewer, drawn = three.viewer, nodes(three)
    camera = (viewer.scene.camera.center, viewer.scene.camera.zoom)
    three.hand.press("/")
    assert seen(three, (60, 40)) == [RED]
    three.hand.press("/")
    assert seen(three, (60, 40)) == [GREEN]
    viewer.layers["red"].opacity = 0.5  # napari draws it anew: it stays away
    assert seen(three, (60, 40)) == [GREEN]
    viewer.layers["red"].opacity = 1.0
    three.hand.press("Shift+Q")
    ((red, green, _),) = seen(three, (60, 40))
    assert (red, green) == pytest.approx((127, 127), abs=3)
    three.hand.press("Shift+Right")
    ((red, green, _),) = seen(three, (60, 40))
    assert (red, green) == pytest.approx((115, 140), abs=3)
    viewer.layers["red"].opacity = 0.5  # in its cell, too, the picture lies under it
    comparison(three).choose(["picture", "red", "green"])
    three.hand.press("Shift+Z")
    pump(0.05)
    canvas = viewer.window._qt_viewer.canvas
    n_rows, n_columns = viewer.canvas.grid.actual_shape(viewer.layers)
    assert n_rows * n_columns >= 3
    screen = viewer.screenshot(flash=False)
    height, width = screen.shape[:2]
    middles = [
        (
            int((n // n_columns + 0.5) / n_rows * height),
            int((n % n_columns + 0.5) / n_columns * width),
        )
        for n in range(3)
    ]
    colours = [tuple(int(v) for v in screen[middle][:3]) for middle in middles]
    assert [colours[0], colours[2]] == [GREY, GREEN]
    assert colours[1] == pytest.approx((172, 45, 45), abs=2)
    viewer.scene.camera.zoom = 3.0
    pump(0.02)
    assert {view.camera.rect.width for view in canvas.grid_views} == {
        canvas.grid_views[0].camera.rect.width
    }
    row, column = middles[0]
    for step in range(2):
        QTest.mouseMove(canvas.native, QPoint(column + 6 * step, row + 9 * step))
        pump(0.05)
    crosses = {(c.x() + c.width() // 2, c.y() + c.height() // 2) for c in marks(three).crosses}
    expected = {(x + 6, y + 9) for y, x in middles[1:]}
    assert np.abs(np.subtract(sorted(crosses), sorted(expected))).max() <= 3
    texts = {label.text() for label in marks(three).captions}
    assert texts == {"picture", "red", "green"}
    viewer.reset_view()
    comparison(three).end()
    pump(0.02)
    viewer.layers["red"].opacity = 1.0
    assert nodes(three) == drawn
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == camera


def test_painting_goes_on_under_a_swipe(three: Dock) -> None:
    layer = three.viewer.add_labels(np.zeros(SHAPE, np.uint8), name="mine")
    assert isinstance(layer, Labels)
    comparison(three).choose(["mine", "green"])
    three.hand.press("Shift+S")
    layer.mode, layer.brush_size, layer.selected_label = "paint", 3, 7
    three.hand.drag(three.viewer.layers["picture"], (60, 10), (60, 60))
    assert (np.asarray(layer.data)[60, 12:58] == 7).all()
    first, second = seen(three, (60, 30), (60, 120))
    assert first not in (GREY, GREEN)
    assert second == GREEN
    assert comparison(three).mode == "swipe"


def test_large_pictures_in_tiles_are_cut_off_too(
    three: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """napari draws what no texture holds as tiles, which come and go with its data."""
    canvas = three.viewer.window._qt_viewer.canvas
    layer = three.viewer.layers["red"]
    assert isinstance(layer, Image)
    visual = canvas.layer_to_visual[layer]
    visual._layer_node.MAX_TEXTURE_SIZE_2D = 64
    visual._layer_node._tiledimage_node.tile_size = 64
    layer.refresh()
    three.hand.press("Shift+S")
    assert seen(three, (20, 70), (100, 10), (20, 90)) == [RED, RED, GREEN]
    layer.data = np.full((*SHAPE, 3), (255, 0, 0), np.uint8)
    assert seen(three, (20, 70), (20, 90), (100, 155)) == [RED, GREEN, GREEN]
    comparison(three).end()
