"""Pictures as users bring them, where it takes a canvas: placed anywhere, turned, in depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dock_steps import (
    SHAPE,
    click,
    disc,
    engine,
    forgery,
    labels,
    message,
    open_image,
    partitioned,
    prompts,
    stack,
)
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtTest import QTest

from napari_safire.palette import source_colour

from .conftest import Dock
from .hand import pump

ANGLE = np.deg2rad(25)
AFFINE = np.array(
    [
        [1.5 * np.cos(ANGLE), -np.sin(ANGLE), 12.0],
        [1.5 * np.sin(ANGLE), np.cos(ANGLE), -30.0],
        [0.0, 0.0, 1.0],
    ]
)
PLACEMENTS: dict[str, dict[str, Any]] = {
    "scale": {"scale": (0.5, 3.0)},
    "translate": {"translate": (-500.0, 77.5)},
    "rotate": {"rotate": 30.0},
    "shear": {"shear": [0.4]},
    "affine": {"affine": AFFINE},
    "negative scale": {"scale": (-1.0, 2.0)},
    "all at once": {
        "scale": (0.3, -0.2),
        "translate": (5.0, 9.0),
        "rotate": -40.0,
        "shear": [0.2],
        "affine": AFFINE,
    },
}
USUAL = ("scale", "negative scale", "all at once")


def lies_over(layer: Layer, image: Layer) -> None:
    """The corners of two layers are the same places in the world."""
    corners = [(0, 0), (SHAPE[0] - 1, 0), (0, SHAPE[1] - 1), (SHAPE[0] - 1, SHAPE[1] - 1)]
    for corner in corners:
        places = [one.data_to_world((*(0,) * (one.ndim - 2), *corner)) for one in (layer, image)]
        np.testing.assert_allclose(places[0], places[1], atol=1e-6)


@pytest.mark.parametrize(
    "placement",
    [  # all at once is each of them; one by one, by hand, they tell which it is
        pytest.param(placed, id=name, marks=() if name in USUAL else pytest.mark.by_hand)
        for name, placed in PLACEMENTS.items()
    ],
)
def test_a_click_lands_on_its_pixel_and_all_layers_lie_over_the_image(
    dock: Dock, placement: dict[str, Any]
) -> None:
    image = open_image(dock, np.zeros(SHAPE, np.uint8), **placement)
    dock.viewer.reset_view()
    pump(0.1)
    place = click(dock, image, 40, 110)
    assert place == pytest.approx((40, 110), abs=2)  # a pixel of the screen covers more than one
    assert labels(dock)[40, 110] == 1
    assert (labels(dock).astype(bool) == disc(*place)).mean() > 0.999
    dock.press(dock.widget.partition.run)
    dock.settle()
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.heatmap is not None
    for layer in layer_group.layers():
        lies_over(layer, image)
    image.scale = np.asarray(image.scale) * (2.0, 0.7)
    image.translate = (3.0, -8.0)
    image.rotate = 75.0
    image.affine = np.array([[1.0, 0.1, 4.0], [0.0, 1.2, 2.0], [0.0, 0.0, 1.0]])
    for layer in layer_group.layers():
        lies_over(layer, image)
    dock.viewer.reset_view()
    pump(0.1)
    second = click(dock, image, 90, 40)
    assert second == pytest.approx((90, 40), abs=1.5)
    assert labels(dock)[90, 40] > 0


def test_clearing_the_viewer_in_the_middle_of_a_partition_is_quiet(dock: Dock) -> None:
    image = open_image(dock, stack(3))
    click(dock, image, 50, 60)
    engine(dock).step_s = 0.02
    dock.press(dock.widget.partition.run_all)
    pump(0.1)
    dock.viewer.layers.clear()
    dock.settle()
    assert dock.controller.image is None
    assert len(dock.viewer.layers) == 0
    assert message(dock) == ""


def test_in_three_dimensions_there_is_a_notice_and_no_prompt(dock: Dock) -> None:
    image = open_image(dock, stack(3))
    first = click(dock, image, 50, 60)
    dock.viewer.dims.ndisplay = 3
    pump(0.2)
    assert "switch the viewer to 2-D" in message(dock)
    QTest.mouseClick(
        dock.hand.canvas, Qt.MouseButton.LeftButton, pos=dock.hand.canvas.rect().center()
    )
    dock.settle()
    assert len(prompts(dock).data) == 1
    dock.press(dock.widget.prompts.add)
    assert prompts(dock).mode != "add"
    dock.hand.press("Shift+G")
    dock.settle()
    assert "partition" not in engine(dock).calls
    dock.viewer.dims.ndisplay = 2
    dock.viewer.reset_view()
    pump(0.2)
    second = click(dock, image, 60, 100)
    assert second[0] == first[0]
    np.testing.assert_array_equal(
        labels(dock)[int(first[0])] > 0, disc(*first[1:]) | disc(*second[1:])
    )


def test_a_transposed_view_is_a_flat_view(dock: Dock) -> None:
    image = open_image(dock, np.zeros(SHAPE, np.uint8))
    dock.viewer.dims.order = (1, 0)
    dock.viewer.reset_view()
    pump(0.2)
    dock.press(dock.widget.prompts.add)
    # The hand reckons in rows and columns of the screen: row and column change places.
    dock.hand.click(_Turned(image), 50, 60)
    dock.settle()
    place = prompts(dock).data[-1]
    assert place == pytest.approx((60, 50), abs=1)
    np.testing.assert_array_equal(labels(dock), disc(*place))


class _Turned:
    """Stands for an untransformed flat layer, to a hand that sees it turned."""

    ndim = 2

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def world_to_data(self, place: Any) -> Any:
        return self.layer.world_to_data(place)

    def data_to_world(self, place: Any) -> Any:
        return self.layer.data_to_world(place)


def test_colours_of_sources_are_drawn(viewer):
    image, labels = viewer.open_sample("napari-safire", "demo_composite")
    image.visible, labels.visible, labels.opacity = False, True, 1.0
    pump(0.3)
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3].reshape(-1, 3)
    for source in range(3):
        near = np.abs(shot.astype(int) - source_colour(source)).max(axis=1) <= 2
        assert near.sum() > 100, f"source {source} is not to be seen"


def brightest(dock: Dock) -> tuple[np.ndarray, np.ndarray]:
    """Colours on the canvas in the left and in the right half of the picture."""
    picture = dock.viewer.layers["picture"]
    dock.viewer.reset_view()
    pump(0.2)
    shot = dock.viewer.screenshot(canvas_only=True, flash=False)
    places = [dock.hand.position(picture, 60, col) for col in (30, 130)]
    left, right = (shot[place.y(), place.x(), :3].astype(int) for place in places)
    return left, right


@pytest.mark.parametrize("verdict", ["forged", "no forgery found"])
def test_what_the_canvas_shows(dock: Dock, monkeypatch: pytest.MonkeyPatch, verdict) -> None:
    partitioned(dock, monkeypatch, forgery(verdict))
    left, right = brightest(dock)
    assert np.ptp(left) > 30  # the sources, in colour
    assert np.ptp(right) > 30
    dock.press(dock.widget.view.buttons["forgery map"])
    left, right = brightest(dock)
    assert left.max() < 12  # the black picture: no source lies over the map
    if verdict == "forged":
        assert right.max() > 100
        assert np.ptp(right) > 25
    else:
        assert 40 < right.max() < 110
        assert np.ptp(right) < 25
    dock.press(dock.widget.view.buttons["sources"])
    left, right = brightest(dock)
    assert np.ptp(left) > 30  # the sources are back


def test_the_link_that_unfolds_a_message_has_the_ink_of_its_text(dock: Dock) -> None:
    open_image(dock, np.zeros(SHAPE, np.uint8))
    dock.controller.notice.emit(" ".join(["Something went wrong here."] * 8), True)
    dock.settle()
    label = dock.widget.message.rows[0].label
    ink = label.palette().color(QPalette.ColorRole.WindowText).name()
    assert ink != "#000000"
    assert f'style="color: {ink}"' in label.text()
