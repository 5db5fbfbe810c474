"""Fixtures with a real napari window."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unittest.mock import patch

import napari
import pytest
from fakes import FakeEngine
from napari._qt.qt_viewer import QtViewer
from napari.settings import get_settings
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.widget import SafireWidget

from .hand import Hand, pump, wait_until


class SharedWindow:
    """A viewer's window that outlives tests: it is emptied between them."""

    def __init__(self) -> None:
        self._viewer: napari.Viewer | None = None

    def viewer(self) -> napari.Viewer:
        """The viewer, made anew if there is none."""
        if self._viewer is None:
            get_settings().reset()
            self._viewer = made = napari.Viewer(show=True, show_welcome_screen=False)
            QtViewer._instances.clear()  # napari's fixture fails where it finds one
            made.window.resize(1100, 800)
            QTest.qWaitForWindowExposed(made.window._qt_window)
            pump(0.1)
        return self._viewer

    def empty(self) -> None:
        """Take away whatever a test has added."""
        viewer = self._viewer
        assert viewer is not None
        for dock in list(viewer.window._wrapped_dock_widgets.values()):
            widget = dock.widget()
            viewer.window.remove_dock_widget(dock)
            for gone in (widget, dock):
                if gone is not None:
                    gone.deleteLater()
        viewer.layers.clear()
        viewer.dims.ndisplay = 2
        viewer.dims.reset()
        viewer.canvas.grid.enabled = False
        get_settings().reset()
        viewer.window.resize(1100, 800)
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect(1)  # here, and not in the thread of a worker

    def close(self) -> None:
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
                viewer.close()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


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


@pytest.fixture(scope="session")
def shared_window(qapp: QApplication) -> Iterator[SharedWindow]:
    """One window for all tests of a worker that leave it as it was."""
    with pytest.MonkeyPatch.context() as monkey:
        # As napari's own fixture has it: no thread that asks layers for their status meanwhile.
        monkey.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda self: None)
        window = SharedWindow()
        yield window
        window.close()


@pytest.fixture
def viewer(request: pytest.FixtureRequest) -> Iterator[napari.Viewer]:
    """A viewer in a real window (Xvfb gives the screen); leaked widgets fail the test.

    It is empty, but tests share its window. Who closes it or counts what it leaves marks the test
    with `own_window`.
    """
    if request.node.get_closest_marker("own_window") is not None:
        own = request.getfixturevalue("make_napari_viewer")(show=True, strict_qt="raise")
        own.window.resize(1100, 800)
        pump(0.1)
        yield own
        return
    shared: SharedWindow = request.getfixturevalue("shared_window")
    yield shared.viewer()
    if request.node.rep_call.failed:
        shared.close()
        return
    shared.empty()
    left = [widget for widget in QApplication.topLevelWidgets() if _is_ours(widget)]
    assert not left


def _is_ours(widget: QWidget) -> bool:
    return type(widget).__module__.startswith("napari_safire")


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
        """Press a button of the dock with the mouse."""
        assert button.isEnabled(), "the button is greyed out"
        self.widget.ensureWidgetVisible(button)
        pump(0.02)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        pump(0.02)


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
