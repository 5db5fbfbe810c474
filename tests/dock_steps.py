"""What tests do with a dock and a picture, in a window or without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fakes import RADIUS, FakeEngine
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox
from window.conftest import Dock
from window.hand import pump

from napari_safire.annotation.annotation import PLACE_DECIMALS
from napari_safire.forgery import Calibration, ForgeryMap, Verdict

SHAPE = (120, 160)
CALIBRATION = Calibration(1.0, 0.0, 0.68, 0.27, 0.05, "made up.", n_authentic=200, n_forged=200)


def disc(row: float, col: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, cols - col) < RADIUS


def open_image(dock: Dock, data: Any, **more: Any) -> Image:
    image = dock.viewer.add_image(data, name=more.pop("name", "picture"), **more)
    assert isinstance(image, Image)
    dock.settle()
    return image


def click(dock: Dock, image: Layer, row: float, col: float) -> tuple[float, ...]:
    """Place a prompt with the mouse; gives where it came to lie, in the layer of prompts."""
    if not dock.widget.prompts.add.isChecked():
        dock.press(dock.widget.prompts.add)
    before = len(prompts(dock).data)
    dock.hand.click(image, row, col)
    dock.settle()
    assert len(prompts(dock).data) == before + 1
    return tuple(round(place, PLACE_DECIMALS) for place in prompts(dock).data[-1].tolist())


def take_prompts(dock: Dock) -> Dock:
    """Open a picture, and take the prompt tool in hand."""
    open_image(dock, np.zeros((*SHAPE, 3), np.uint8))
    dock.press(dock.widget.prompts.add)
    return dock


def click_picture(dock: Dock, row: float, col: float) -> tuple[float, float]:
    """Place a prompt on the flat picture; gives where it came to lie, which is that pixel."""
    placed = click(dock, dock.viewer.layers["picture"], row, col)
    assert placed == pytest.approx((row, col), abs=0.5)
    return placed[0], placed[1]


def select_mode(dock: Dock, row: float, col: float) -> None:
    """Take the select tool and click a point with it."""
    dock.viewer.layers.selection.active = prompts(dock)
    prompts(dock).mode = "select"
    pump()
    dock.hand.click(dock.viewer.layers["picture"], row, col)


def own_points(dock: Dock) -> Points:
    """Add two points of a user's own, with features."""
    return dock.viewer.add_points(
        np.array([[40.0, 40.0], [80.0, 120.0]]),
        name="mine",
        features=pd.DataFrame({"who": ["Anna", "Ben"]}),
        size=[5, 9],
    )


def choose(box: QComboBox, text: str) -> None:
    """Choose an entry with the keyboard, as a user who tabs through the dock."""
    place = box.findText(text)
    assert place >= 0, f"{text!r} is not on offer"
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    for _ in range(place):
        QTest.keyClick(box, Qt.Key.Key_Down)
    if box.currentText() == text:
        box.activated.emit(place) if place == 0 else None
    pump()


def prompts(dock: Dock) -> Points:
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.prompts is not None
    return layer_group.prompts


def labels(dock: Dock) -> np.ndarray:
    layer = dock.controller.sources_layer
    assert layer is not None
    return np.asarray(layer.data)


def engine(dock: Dock) -> FakeEngine:
    assert dock.engine is not None
    return dock.engine


def message(dock: Dock) -> str:
    return "" if dock.widget.message.isHidden() else dock.widget.message.text()


def stack(*leading: int) -> np.ndarray:
    """Planes of different values, so that the engine can tell them apart."""
    count = int(np.prod(leading))
    values = np.arange(count, dtype=np.uint8).reshape(*leading, 1, 1)
    return np.broadcast_to(values, (*leading, *SHAPE)).copy()


def forgery(verdict: Verdict, score: float = 0.5, shape: tuple[int, int] = SHAPE) -> ForgeryMap:
    heatmap = np.zeros(shape, np.float32)
    heatmap[:, shape[1] // 2 :] = 1
    return ForgeryMap(heatmap, score, verdict, f"A reason for {verdict}.", CALIBRATION)


def partitioned(dock: Dock, monkeypatch: pytest.MonkeyPatch, found: ForgeryMap) -> None:
    assert dock.engine is not None
    monkeypatch.setattr(dock.engine, "localize", lambda *args, **more: found)
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    dock.press(dock.widget.partition.run)
    dock.settle()


def remove_results(viewer: ViewerModel) -> None:
    """As after a crash: what layers hold is gone, else the next dock goes on with them."""
    for layer in [layer for layer in viewer.layers if layer.name != "picture"]:
        viewer.layers.remove(layer)
