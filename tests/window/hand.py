"""A real napari window, and a hand that clicks and types in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import napari
import pytest
from napari.layers import Layer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.viewer import ViewerController


@dataclass(frozen=True)
class Hand:
    """Mouse and keyboard on the canvas of a viewer.

    Places are given in the data coordinates of a layer, so that scale, rotation and camera are
    those that napari itself applies.
    """

    viewer: napari.Viewer

    @property
    def canvas(self) -> QWidget:
        return self.viewer.window._qt_viewer.canvas.native

    def position(self, layer: Layer, row: float, col: float) -> QPoint:
        """Where the pixel is drawn, in canvas coordinates."""
        leading = tuple(self.viewer.dims.point)[: self.viewer.dims.ndim - 2]
        inside = layer.world_to_data((*leading, 0.0, 0.0))[: layer.ndim - 2]
        world = layer.data_to_world((*inside, row, col))
        transform = self.viewer.window._qt_viewer.canvas.view.scene.transform
        x, y, _, w = transform.map([world[-1], world[-2], 0, 1])
        return QPoint(round(x / w), round(y / w))

    def click(
        self, layer: Layer, row: float, col: float, *, modifier: Qt.KeyboardModifier | None = None
    ) -> None:
        keys = modifier if modifier is not None else Qt.KeyboardModifier.NoModifier
        place = self.position(layer, row, col)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, keys, place)
        pump()

    def drag(self, layer: Layer, begin: tuple[float, float], end: tuple[float, float]) -> None:
        first, last = self.position(layer, *begin), self.position(layer, *end)
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=first)
        for step in range(1, 6):
            QTest.mouseMove(self.canvas, first + (last - first) * step / 5)
            pump(0.02)
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=last)
        pump()

    def press(self, keys: str) -> None:
        """Type a key combination such as "Ctrl+Shift+P" on the canvas."""
        combination = QKeySequence(keys.replace("Page", "Pg"))[0]  # as Qt spells them
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, combination.key(), combination.keyboardModifiers())
        pump()


def pump(seconds: float = 0.0) -> None:
    """Let Qt work off its events, and those that come of them; for a while where time matters."""
    end = time.perf_counter() + seconds
    QApplication.processEvents()
    while True:
        QApplication.processEvents()
        if time.perf_counter() >= end:
            return
        time.sleep(0.002)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0, what: str = "") -> None:
    """Pump events until the condition holds; fail after the given time."""
    end = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            pytest.fail(f"Waited {seconds:g} s in vain{': ' + what if what else ''}.")
        pump(0.005)


def wait_idle(controller: ViewerController, seconds: float = 30.0) -> None:
    """Until nothing is asked, running or to be shown; fail after the given time."""
    end = time.perf_counter() + seconds
    quiet = 0
    while quiet < 2:  # what is delivered may begin the next thing
        QApplication.processEvents()
        quiet = quiet + 1 if controller.idle else 0
        if time.perf_counter() > end:
            pytest.fail(f"Not idle after {seconds:g} s.")
        gui_thread().work_off(lambda: controller.idle, 0.005)
