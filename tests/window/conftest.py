"""Fixtures with a real napari window."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import napari
import pytest
from fakes import FakeEngine
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QWidget
from superqt.spinbox import QLargeIntSpinBox

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import FoldedSection
from napari_safire.gui.widget import SafireWidget

from .hand import Hand, pump, wait_until


@pytest.fixture(scope="session", autouse=True)
def _imports_are_no_garbage(qapp: QApplication) -> None:
    """Spare the collector what was imported.

    napari and its test fixture collect garbage several times a window, .2 s each with all that
    napari, torch and scikit-image define; only what tests make can be leaked.
    """
    for module in ("napari._qt.qt_main_window", "napari.view_layers", "napari_safire.engine"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    """A viewer in a window of its own (Xvfb gives the screen); leaked widgets fail the test."""
    shown = make_napari_viewer(show=True, strict_qt="raise")
    shown.window.resize(1100, 800)
    pump(0.1)
    return shown


@pytest.fixture
def hand(viewer: napari.Viewer) -> Hand:
    return Hand(viewer)


@dataclass(frozen=True)
class Dock:
    """An open SAFIRE dock in a real window."""

    viewer: napari.Viewer
    hand: Hand
    widget: SafireWidget
    engine: FakeEngine | None = None

    @property
    def controller(self) -> ViewerController:
        return self.widget.controller

    def settle(self) -> None:
        """Until nothing is left to do or to deliver."""
        quiet = 0
        while quiet < 4:  # what is delivered may begin the next thing
            wait_until(lambda: not self.controller.session.busy)
            pump(0.02)
            quiet = 0 if self.controller.session.busy else quiet + 1

    def press(self, button: QWidget) -> None:
        """Press a button of the dock with the mouse; what it is folded away in is unfolded."""
        around = button.parentWidget()
        while around is not None:
            if isinstance(around, FoldedSection) and button is not around.heading:
                around.unfold()
            around = around.parentWidget()
        assert button.isEnabled(), "the button is greyed out"
        self.widget.ensureWidgetVisible(button)
        pump(0.02)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        pump(0.02)


def choose_method(dock: Dock, method: str) -> None:
    """Choose how to partition among the advanced settings: "k-means" or "DBSCAN"."""
    box = dock.widget.partition.form.field("method")
    assert isinstance(box, QComboBox)
    box.setCurrentText(method)


def choose_grid(dock: Dock, points_per_side: int) -> None:
    """Choose the number of prompts a side among the advanced settings."""
    box = dock.widget.partition.form.field("points_per_side")
    assert isinstance(box, QLargeIntSpinBox)
    box.setValue(points_per_side)


@pytest.fixture
def dock(viewer: napari.Viewer, hand: Hand) -> Iterator[Dock]:
    """A dock whose regions are discs and whose sources are stripes."""
    engine = FakeEngine()
    widget = SafireWidget(viewer, load_engine=lambda name, device, notice: engine)
    viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
    pump(0.05)
    yield Dock(viewer, hand, widget, engine)
    widget.close_work()


@pytest.fixture
def lite_dock(viewer: napari.Viewer, hand: Hand) -> Iterator[Dock]:
    """A dock with the model that ships with the package."""
    widget = SafireWidget(viewer)
    viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
    pump(0.05)
    yield Dock(viewer, hand, widget)
    widget.close_work()
