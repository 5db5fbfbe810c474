"""Fixtures with a real napari window."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import napari
import numpy as np
import pytest
from fakes import FakeEngine
from napari._app_model._app import NapariApplication, _napari_names
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_viewer import QtViewer
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from npe2 import PluginManager
from qtpy.QtCore import QByteArray, QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QWidget
from superqt.spinbox import QLargeIntSpinBox

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.canvas_guard import guard_canvas
from napari_safire.gui.panels.section import FoldedSection
from napari_safire.gui.widget import SafireWidget
from napari_safire.gui.workspace import Workspace

from .hand import Hand, pump, wait_idle

KEYED = (napari.Viewer, Image, Labels, Layer, Points, Shapes)


class SharedWindow:
    """A viewer's window that outlives tests: it is emptied between them."""

    def __init__(self) -> None:
        self._viewer: napari.Viewer | None = None
        self._number = 0
        self._plugins = PluginManager.instance()  # a test may put another in its place
        self._first: dict[str, Any] = {}
        self._class_keys: list[tuple[type, dict[Any, Any]]] = []
        self._shortcuts: dict[str, list[Any]] = {}
        self._places = QByteArray()  # of the docks, and how wide they are

    def viewer(self) -> napari.Viewer:
        """The viewer, made anew if there is none."""
        if self._viewer is None:
            # As napari's fixture has it: commands are registered once in an application.
            _initialize_plugins.cache_clear()
            init_qactions.cache_clear()
            self._number += 1
            app = NapariApplication(f"safire_window_{self._number}")
            app.injection_store.namespace = _napari_names
            self._patch = patch.object(NapariApplication, "get_app_model", return_value=app)
            self._patch.start()
            get_settings().reset()
            self._viewer = made = napari.Viewer(show=True, show_welcome_screen=False)
            QtViewer._instances.clear()  # napari's fixture fails where it finds one
            made.window.resize(1100, 800)
            QTest.qWaitForWindowExposed(made.window._qt_window)
            pump(0.1)
            guard_canvas(made)  # or napari dies of layers that the next test removes
            for add in (made.add_image, made.add_labels):  # the dock of controls grows to stay
                add(np.zeros((9, 9), np.uint8))
            made.add_points(), made.add_shapes()
            pump(0.1)
            made.layers.clear()
            made.status = "Ready"
            pump(0.1)
            self._class_keys = [(kind, dict(kind.class_keymap)) for kind in KEYED]
            self._shortcuts = {name: list(keys) for name, keys in action_manager._shortcuts.items()}
            self._places = made.window._qt_window.saveState()
            self._first = self.state()
        # pytest let go of what the last test had; napari collects garbage with every layer that
        # goes, and need not look through all that a window holds each time.
        gc.collect()
        gc.freeze()
        return self._viewer

    def empty(self) -> None:
        """Take away whatever a test has added; fail where something is left."""
        viewer = self._viewer
        assert viewer is not None
        assert hasattr(viewer.window, "_qt_window"), "closed: mark the test with own_window"
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
        viewer.keymap.clear()
        viewer.title, viewer.help, viewer.status = self._first["words"]
        getattr(viewer, "scene", viewer).camera.angles = (0.0, 0.0, 90.0)
        for name in set(self._shortcuts) | set(action_manager._shortcuts):
            usual = self._shortcuts.get(name, [])
            if list(action_manager._shortcuts.get(name, [])) != usual:
                action_manager.unbind_shortcut(name)
                for key in usual:
                    action_manager.bind_shortcut(name, key)
        get_settings().reset()
        viewer.theme = get_settings().appearance.theme
        viewer.window.resize(1100, 800)
        viewer.window._qt_window.restoreState(self._places)
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect(1)  # here, and not in the thread of a worker
        left = self.state()
        assert left == self._first, {
            name: (left[name], first) for name, first in self._first.items() if left[name] != first
        }

    def state(self) -> dict[str, Any]:
        """What a test may leave behind, in a window or around it."""
        viewer = self._viewer
        assert viewer is not None
        models = (viewer, viewer.layers, viewer.layers.selection, viewer.dims)
        return {
            "layers": [layer.name for layer in viewer.layers],
            "docks": sorted(viewer.window._wrapped_dock_widgets),
            "widgets": [
                type(widget).__name__
                for widget in QApplication.topLevelWidgets()
                if type(widget).__module__.startswith("napari_safire")
            ],
            "keys": dict(viewer.keymap),
            "keys of classes": [
                (kind.__name__, set(kind.class_keymap)) for kind, _ in self._class_keys
            ],
            "shortcuts": {
                name: list(keys) for name, keys in action_manager._shortcuts.items() if keys
            },
            "mouse": [
                list(getattr(viewer, f"mouse_{kind}_callbacks"))
                for kind in ("move", "drag", "wheel", "double_click")
            ],
            "our listeners": [
                callback
                for model in models
                for event in model.events.emitters.values()
                for callback in event.callbacks
                if "napari_safire" in _origin(callback)
            ],
            "plugins": sorted(
                manifest.name for manifest in self._plugins.iter_manifests(disabled=False)
            ),
            "words": (viewer.title, viewer.help, viewer.status),
            "view": (viewer.dims.ndim, viewer.dims.ndisplay, viewer.dims.order, viewer.theme),
            "threads": [
                thread.name
                for thread in threading.enumerate()
                if thread.name.startswith("napari-safire")
            ],
        }

    def close(self) -> None:
        viewer, self._viewer = self._viewer, None
        if viewer is None:
            return
        if hasattr(viewer.window, "_qt_window"):
            with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
                viewer.close()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        self._patch.stop()
        NapariApplication.destroy(f"safire_window_{self._number}")


def _origin(callback: Any) -> str:
    """The module of who listens: a function, or a weak reference and the name of a method."""
    listener = callback[0]() if isinstance(callback, tuple) else callback
    return getattr(listener, "__module__", None) or type(listener).__module__


@pytest.fixture(scope="session", autouse=True)
def _imports_are_no_garbage(qapp: QApplication) -> None:
    """Spare the collector what was imported.

    napari and its test fixture collect garbage several times a window, .2 s each with all that
    napari, torch and scikit-image define; only what tests make can be leaked.
    """
    for module in ("napari._qt.qt_main_window", "napari.view_layers", "napari_safire.engine"):
        importlib.import_module(module)  # reviewed: modules of ours
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _settings_are_not_written() -> None:
    """Every dock that is added, and every value that is reset, would write napari's file anew."""
    get_settings()._save_on_change = False


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
        # What is to be deleted later, in the shared window too: an ended progress bar turns the
        # wheel of its window until then, in all tests that follow.
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        return
    shared: SharedWindow = request.getfixturevalue("shared_window")
    yield shared.viewer()
    if not hasattr(request.node, "rep_call") or request.node.rep_call.failed:
        shared.close()
        return
    try:
        shared.empty()
    except AssertionError:
        shared.close()
        raise


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

    @property
    def workspace(self) -> Workspace:
        return self.widget.workspace

    def settle(self) -> None:
        """Until nothing is left to do or to deliver."""
        wait_idle(self.controller)

    def press(self, button: QWidget) -> None:
        """Press a button of the dock with the mouse; what it is folded away in is unfolded."""
        around = button.parentWidget()
        while around is not None:
            if isinstance(around, FoldedSection) and button is not around.heading:
                around.unfold()
            around = around.parentWidget()
        assert button.isEnabled(), "the button is greyed out"
        self.widget.ensureWidgetVisible(button)
        pump()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        pump()


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
