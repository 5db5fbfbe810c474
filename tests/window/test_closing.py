"""The end of a dock, of a viewer, of the program: in the middle of anything, with nothing left."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from fakes import FakeEngine, hold_view
from napari.layers import Layer
from napari.settings import get_plugin_settings
from npe2 import DynamicPlugin, PluginManager
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QPushButton

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.canvas_guard import guard_canvas
from napari_safire.gui.layers.canvas_marks import LineMark
from napari_safire.gui.panels.feature_plot import FeaturePlot
from napari_safire.gui.widget import SafireWidget, widget_of
from napari_safire.progress import report
from napari_safire.session.session import Session

from .hand import Hand, pump, wait_until

SHAPE = (100, 140)
pytestmark = [
    pytest.mark.filterwarnings("error:::napari_safire", "error::ResourceWarning"),
    pytest.mark.own_window,
]


@pytest.fixture(scope="module", autouse=True)
def _pyqtgraph_is_known(qapp: QApplication) -> None:
    """The first plot of a process makes pyqtgraph listen to the end of the program, once."""
    FeaturePlot().deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


class HeldEngine(FakeEngine):
    """It does not come to an end with one kind of work, unless that is cancelled or let go.

    Parameters
    ----------
    held : str
        "load", "embed", "grid", "segment", or "second grid"; all else is done at once.
    """

    def __init__(self, held: str = "") -> None:
        super().__init__()
        self.held = held
        self.go = threading.Event()

    def hold(self, what: str, cancel: Callable[[], bool] | None = None) -> None:
        if what != self.held and f"second {what}" != self.held:
            return
        if self.held.startswith("second") and self.calls.count(what) < 2:
            return
        while not self.go.wait(0.005):
            report(None, cancel, 0, 1, "held")

    def embed(self, image: Any, **asked: Any) -> Any:
        answer = super().embed(image, **asked)
        self.hold("embed", asked["cancel"])
        return answer

    def segment(self, embedding: Any, prompts: Any) -> list[Any]:
        answer = super().segment(embedding, prompts)
        self.hold("segment")
        return answer

    def grid(self, embedding: Any, points_per_side: int = 16, **asked: Any) -> Any:
        answer = super().grid(embedding, points_per_side, **asked)
        self.hold("grid", asked["cancel"])
        return answer


class Opened:
    """A dock and its parts, of which this keeps nothing alive but the viewer."""

    def __init__(self, viewer: napari.Viewer, engine: HeldEngine) -> None:
        self.viewer = viewer
        self.go = engine.go
        self.loading = loading = threading.Event()

        def load(name: str, device: str, notice: Callable[[str], None]) -> FakeEngine:
            loading.set()
            engine.hold("load")
            return engine

        widget = SafireWidget(viewer, load_engine=load)
        dock = viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
        self._widget, self._dock = weakref.ref(widget), weakref.ref(dock)
        self.engine = weakref.ref(engine)
        self.traces: dict[str, weakref.ref[Any]] = {
            "widget": self._widget,
            "dock": self._dock,
            "desk": weakref.ref(widget.controller),
            "session": weakref.ref(widget.controller.session),
            "comparison": weakref.ref(widget.workspace.comparison),
            "sections": weakref.ref(widget.sources),
            "diagnostics": weakref.ref(widget.diagnostics),
            "engine": self.engine,
        }
        del widget, dock
        pump(0.1)  # Qt lays the title's buttons out

    @property
    def widget(self) -> SafireWidget:
        widget = self._widget()
        assert widget is not None
        return widget

    @property
    def dock(self) -> QDockWidget:
        dock = self._dock()
        assert dock is not None
        return dock

    def button(self, name: str) -> QPushButton:
        """One of the buttons that napari puts into the title of a dock."""
        button = self.dock.findChild(QPushButton, name)
        assert isinstance(button, QPushButton)
        return button

    def click(self, button: QPushButton) -> None:
        assert button.isEnabled()
        self.widget.ensureWidgetVisible(button)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def until_asked(self, what: str) -> None:
        engine = self.engine()
        assert engine is not None
        wait_until(lambda: what in engine.calls, what=what)

    def click_title(self, name: str) -> None:
        QTest.mouseClick(self.button(name), Qt.MouseButton.LeftButton)


def open_dock(viewer: napari.Viewer, held: str = "") -> Opened:
    return Opened(viewer, HeldEngine(held))


def add_picture(viewer: napari.Viewer, *stack: int) -> None:
    viewer.add_image(np.zeros((*stack, *SHAPE), np.uint8), name="picture")


# ------------------------------------------------------------------- what must not be left


def safire_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "napari-safire"]


def callbacks(viewer: napari.Viewer, layers: list[Layer] | None = None) -> dict[str, int]:
    """Count what is connected to all that outlives a dock."""
    groups = {
        "layers": viewer.layers.events,
        "selection": viewer.layers.selection.events,
        "dims": viewer.dims.events,
        "camera": viewer.camera.events,
        "viewer": viewer.events,
        "cursor": viewer.cursor.events,
    }
    groups |= {layer.name: layer.events for layer in layers or viewer.layers}
    counts = {
        f"{group} {name}": len(emitter.callbacks)
        for group, events in groups.items()
        for name, emitter in events.emitters.items()
    }
    plugins = PluginManager.instance().events
    counts["plugins registered"] = len(plugins.plugins_registered)
    counts["plugins enabled"] = len(plugins.enablement_changed)
    counts["preferences"] = len(get_plugin_settings("napari-safire").start.events.callbacks)
    application = QApplication.instance()
    assert application is not None
    counts["about to quit"] = application.receivers(application.aboutToQuit)
    at_exit = [finalizer.peek()[1].__module__ for finalizer in weakref.finalize._registry]
    counts["exit"] = sum(module.startswith("napari_safire") for module in at_exit)
    return counts


def keys(viewer: napari.Viewer, layers: list[Layer]) -> dict[str, set[str]]:
    found = {"viewer": {str(key) for key in viewer.keymap}}
    return found | {layer.name: {str(key) for key in layer.keymap} for layer in layers}


def assert_freed(traces: dict[str, weakref.ref[Any]]) -> None:
    for _ in range(100):  # a busy machine delivers late; what is held is held for ever
        pump(0.02)
        # Outside of `QApplication.exec` Qt keeps what is to be deleted "later" for ever.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        if not any(trace() is not None for trace in traces.values()):
            return
    left = [name for name, trace in traces.items() if trace() is not None]
    pytest.fail(f"These live on: {left}")


def assert_threads_end() -> None:
    wait_until(lambda: not safire_threads(), what="the end of all threads")
    pump(0.05)  # whatever they had sent


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture, qtlog: Any) -> Iterator[None]:
    """Nothing is raised, warned of or complained about, in any thread, by us or by Qt.

    What slots raise fails the test anyway (pytest-qt), as do exceptions in threads here.
    """
    raised: list[Any] = []
    before, threading.excepthook = threading.excepthook, raised.append
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    threading.excepthook = before
    assert raised == []
    ours = [w for w in warned if "napari_safire" in f"{w.filename} {w.message}"]
    assert ours == []
    assert [r for r in caplog.records if r.levelno >= logging.WARNING and "safire" in r.name] == []
    complaints = ("QObject", "QTimer", "QThread", "QWidget", "QBasicTimer", "wrapped C/C++")
    assert [r.message for r in qtlog.records if any(c in r.message for c in complaints)] == []


# ------------------------------------------------------------------- in the middle of anything


def _load(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened.loading.wait(30)


def _embed(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.until_asked("embed")


def _grid(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.click(opened.widget.partition.run)
    opened.until_asked("grid")


def _click(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.click(opened.widget.prompts.add)
    picture = opened.viewer.layers["picture"]
    Hand(opened.viewer).click(picture, 50, 60)
    opened.until_asked("segment")


def _all_slices(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.click(opened.widget.partition.run_all)
    engine = opened.engine()
    assert engine is not None
    wait_until(lambda: engine.calls.count("grid") == 2, what="the second slice")


def _download(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    began = threading.Event()

    def download(name: str, *, progress: Any, cancel: Callable[[], bool]) -> Path:
        for step in range(1000):
            began.set()
            report(progress, cancel, step, 1000, f"downloading {name}")
            time.sleep(0.01)
        raise AssertionError("nobody stopped the download")

    section = "napari_safire.gui.panels.annotate.model_section"
    monkeypatch.setattr(f"{section}.model_state", lambda name: "not downloaded")
    monkeypatch.setattr("napari_safire.model.catalogue.download.download_model", download)
    box = opened.widget.model.model
    box.activated.emit(box.currentIndex())
    pump(0.05)
    opened.click(opened.widget.model.download)
    wait_until(began.is_set, what="the download")


def _diagnostics(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go = threading.Event(), opened.go

    def describe(engine: Any, cache: Any) -> dict[str, str]:
        began.set()
        assert go.wait(60)
        return {"torch": "2"}

    monkeypatch.setattr("napari_safire.engine.machine.describe_machine", describe)
    opened.click(opened.widget.show_diagnostics)
    wait_until(began.is_set, what="the diagnostics")


def _view(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_view(monkeypatch, "gradient", threading.Event())  # a view can be cancelled
    section = opened.widget.evidence
    opened.click(section.heading)
    wait_until(lambda: bool(section.cards) and not section.cards["residual"].isHidden())
    for name in ("residual", "gradient"):
        opened.click(section.cards[name].heading)
    card = section.cards["residual"]
    wait_until(lambda: card.layer_button.isVisible(), what="a view")
    card.parameters.unfold()
    pump(0.05)
    opened.click(card.layer_button)
    wait_until(lambda: not section.cards["gradient"].busy.isHidden(), what="the other view")


def _compare(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.until_asked("embed")
    other = opened.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="other")
    opened.viewer.layers.selection.active = opened.viewer.layers["picture"]
    comparison = opened.widget.workspace.comparison
    # Of a grid napari itself keeps the cameras of the cells.
    for mode in ("blink", "opacity", "swipe"):
        comparison.begin(mode)
        pump(0.02)
    comparison.blink_alone(True)
    assert other.visible
    assert opened.viewer.window._qt_viewer.canvas.native.findChildren(LineMark) == []
    comparison.begin("swipe")
    assert len(opened.viewer.window._qt_viewer.canvas.native.findChildren(LineMark)) == 1


Stage = Callable[[Opened, pytest.MonkeyPatch], None]
STAGES: dict[str, tuple[Stage, str]] = {
    "loading the model": (_load, "load"),
    "embedding": (_embed, "embed"),
    "grid": (_grid, "grid"),
    "click": (_click, "segment"),
    "all slices": (_all_slices, "second grid"),
    "download": (_download, ""),
    "diagnostics": (_diagnostics, ""),
    "a view": (_view, ""),
    "comparing": (_compare, "embed"),
}


def _close_dock(opened: Opened) -> None:
    opened.click_title("QTitleBarCloseButton")


def _remove_dock(opened: Opened) -> None:
    opened.viewer.window.remove_dock_widget(opened.widget)


def _close_viewer(opened: Opened) -> None:
    opened.viewer.close()


@pytest.mark.parametrize(
    ("stage", "close"),
    [(stage, _close_dock) for stage in STAGES]
    + [(stage, _close_viewer) for stage in ("embedding", "click", "download", "comparing")]
    + [("embedding", _remove_dock)],
)
def test_everything_ends_with_the_dock(
    viewer: napari.Viewer,
    quiet: None,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    close: Callable[[Opened], None],
) -> None:
    bring_there, held = STAGES[stage]
    add_picture(viewer, *([4] if stage == "all slices" else []))
    pump(0.1)
    picture = viewer.layers["picture"]
    before, keys_before = callbacks(viewer, [picture]), keys(viewer, [picture])
    opened = open_dock(viewer, held)
    bring_there(opened, monkeypatch)
    assert callbacks(viewer, [picture]) != before
    assert keys(viewer, [picture]) != keys_before
    assert safire_threads()
    made = list(viewer.layers)
    close(opened)
    pump(0.1)
    opened.go.set()  # loading, decoding and diagnostics cannot be cancelled
    assert_threads_end()
    assert widget_of(viewer) is None
    assert_freed(opened.traces)
    if close is not _close_viewer:  # which disconnects everything itself
        for layer in made:
            if layer is not picture:
                viewer.layers.remove(layer)
        pump(0.05)
        assert callbacks(viewer, [picture]) == before
    assert keys(viewer, [picture]) == keys_before


def test_layers_that_were_made_stay_and_have_lost_our_keys(
    viewer: napari.Viewer, quiet: None
) -> None:
    add_picture(viewer)
    opened = open_dock(viewer)
    opened.click(opened.widget.partition.run)
    wait_until(lambda: "picture: sources" in viewer.layers)
    pump(0.1)
    assert viewer.layers["picture: sources"].keymap
    opened.click_title("QTitleBarCloseButton")
    assert_threads_end()
    made = [layer for layer in viewer.layers if layer.name != "picture"]
    assert {layer.name for layer in made} == {
        "picture: sources",
        "picture: forgery map (no evidence)",
    }
    assert viewer.layers["picture: sources"].data.max() == 2
    assert keys(viewer, made) == {"viewer": keys(viewer, [])["viewer"]} | {
        layer.name: set() for layer in made
    }
    names = [
        callback
        for layer in made
        for emitter in layer.events.emitters.values()
        for callback in emitter.callbacks
        if "napari_safire" in repr(callback)
    ]
    assert names == []
    assert_freed(opened.traces)


def test_a_dock_can_be_opened_again_and_goes_on_with_the_layers(
    viewer: napari.Viewer, quiet: None
) -> None:
    add_picture(viewer)
    first = open_dock(viewer)
    first.until_asked("embed")
    first.click_title("QTitleBarCloseButton")
    assert_threads_end()
    assert_freed(first.traces)
    second = open_dock(viewer)
    second.until_asked("embed")
    assert widget_of(viewer) is second.widget
    second.click(second.widget.partition.run)
    wait_until(lambda: "picture: sources" in viewer.layers)
    second.click_title("QTitleBarCloseButton")
    assert_threads_end()
    assert_freed(second.traces)


def test_the_work_goes_on_in_a_dock_that_is_hidden(viewer: napari.Viewer, quiet: None) -> None:
    add_picture(viewer)
    opened = open_dock(viewer, "embed")
    opened.until_asked("embed")
    opened.click_title("QTitleBarHideButton")
    pump(0.1)
    assert not opened.dock.isVisible()
    assert not opened.widget.is_closed
    opened.go.set()
    said = opened.widget.status.label
    wait_until(lambda: said.text().startswith("140 x 100, click"), what="the embedding")
    opened.dock.show()
    pump(0.1)
    assert opened.widget.isVisible()
    opened.click(opened.widget.prompts.add)
    Hand(viewer).click(viewer.layers["picture"], 50, 60)
    wait_until(lambda: "picture: sources" in viewer.layers, what="the region")
    opened.click_title("QTitleBarCloseButton")
    assert_threads_end()
    assert_freed(opened.traces)


def test_a_dock_may_float_and_come_back(viewer: napari.Viewer, quiet: None) -> None:
    add_picture(viewer)
    opened = open_dock(viewer, "embed")
    opened.until_asked("embed")
    for floating in (True, False):
        opened.click_title("QTitleBarFloatButton")
        pump(0.1)
        assert opened.dock.isFloating() == floating
        assert not opened.widget.is_closed
    opened.click_title("QTitleBarFloatButton")
    pump(0.1)
    opened.click_title("QTitleBarCloseButton")
    assert_threads_end()
    assert_freed(opened.traces)


def test_a_widget_that_changes_its_dock_at_once_works_on(
    viewer: napari.Viewer, quiet: None
) -> None:
    add_picture(viewer)
    opened = open_dock(viewer, "embed")
    widget = opened.widget
    viewer.window.remove_dock_widget(widget)
    viewer.window.add_dock_widget(widget, name="moved", area="left")
    pump(0.2)
    assert not widget.is_closed
    opened.until_asked("embed")
    viewer.window.remove_dock_widget(widget)
    del widget
    assert_threads_end()
    assert_freed(opened.traces)


def test_napari_shows_a_hidden_plugin_dock_again_and_makes_a_closed_one_anew(
    viewer: napari.Viewer, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "napari_safire.gui.workspace._load_engine",
        lambda cache, name, device, notice: HeldEngine("embed"),
    )
    add_picture(viewer)
    plugin = DynamicPlugin("safire-again", plugin_manager=PluginManager.instance())
    with plugin:
        plugin.contribute.widget(display_name="SAFIRE")(SafireWidget)

        def show() -> weakref.ref[SafireWidget]:
            dock, widget = viewer.window.add_plugin_dock_widget("safire-again", "SAFIRE")
            dock.show()
            return weakref.ref(widget)

        def press(name: str) -> None:
            dock, _ = viewer.window.add_plugin_dock_widget("safire-again", "SAFIRE")
            QTest.mouseClick(dock.findChild(QPushButton, name), Qt.MouseButton.LeftButton)
            pump(0.1)

        first = show()
        pump(0.2)
        press("QTitleBarHideButton")
        assert show()() is first()
        assert not first().is_closed
        press("QTitleBarCloseButton")
        assert_threads_end()
        assert_freed({"first": first})
        second = show()
        pump(0.2)
        assert not second().is_closed
        press("QTitleBarCloseButton")
        assert_threads_end()
        assert_freed({"second": second})


def test_a_dock_without_a_picture_ends_as_well(viewer: napari.Viewer, quiet: None) -> None:
    before = callbacks(viewer)
    opened = open_dock(viewer)
    pump(0.1)
    opened.click_title("QTitleBarCloseButton")
    assert_threads_end()
    assert_freed(opened.traces)
    assert callbacks(viewer) == before


def test_closing_twice_does_no_harm(viewer: napari.Viewer, quiet: None) -> None:
    add_picture(viewer)
    opened = open_dock(viewer, "embed")
    opened.until_asked("embed")
    opened.widget.close_work()
    opened.widget.close_work()
    assert opened.widget.is_closed
    assert widget_of(viewer) is None
    opened.click_title("QTitleBarCloseButton")
    assert_threads_end()
    assert_freed(opened.traces)


@pytest.mark.slow
def test_six_docks_after_each_other_leave_no_more_than_two(
    viewer: napari.Viewer, quiet: None
) -> None:
    def one_cycle() -> dict[str, int]:
        opened = open_dock(viewer, "embed")
        opened.until_asked("embed")
        opened.click_title("QTitleBarCloseButton")
        assert_threads_end()
        assert_freed(opened.traces)
        alive = gc.get_objects()
        return callbacks(viewer) | {
            "threads": threading.active_count(),
            "widgets": len(QApplication.allWidgets()),
            "desks": sum(isinstance(o, ViewerController) for o in alive),
            "sessions": sum(isinstance(o, Session) for o in alive),
        }

    add_picture(viewer, 3)
    add_picture(viewer)
    counts = [one_cycle() for _ in range(6)]
    assert counts[1]["desks"] == counts[1]["sessions"] == 0
    assert counts[-1] == counts[1]


# ------------------------------------------------------------------- a whole program

PROGRAM = """
import sys, threading, time
sys.path.insert(0, {tests!r})
import napari, numpy as np
from fakes import FakeEngine, hold_view
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from napari_safire.gui.widget import SafireWidget

def open_dock():
    engine = FakeEngine(step_s=3.0)  # half a minute an embedding
    viewer = napari.Viewer()
    viewer.add_image(np.zeros((100, 140), np.uint8))
    widget = SafireWidget(viewer, load_engine=lambda name, device, notice: engine)
    viewer.window.add_dock_widget(widget, name="SAFIRE")
    return engine, viewer

def when_embedding(act):
    def look():
        if "embed" in engine.calls:
            timer.stop()
            print("embedding", flush=True)
            act()
    timer = QTimer(viewer.window._qt_window)
    timer.timeout.connect(look)
    timer.start(20)

def pump():
    while "embed" not in engine.calls:
        QApplication.processEvents()
        time.sleep(0.01)
    print("embedding", flush=True)

engine, viewer = open_dock()
{ending}
print("end", flush=True)
"""

CLOSED = "when_embedding(viewer.window._qt_window.close)\nnapari.run()\n"
ENDINGS = {
    "the window is closed": CLOSED,
    "the application quits": "when_embedding(QApplication.quit)\nnapari.run()",
    "the script is over": "pump()",
    "of the second of two windows": CLOSED + "engine, viewer = open_dock()\npump()",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(how, marks=() if "two" in how else pytest.mark.by_hand)
        for how in ENDINGS  # each starts napari, for seconds: of two windows both endings
    ],
)
def test_a_program_ends_in_the_middle_of_an_embedding(how: str, tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(tests=tests, ending=ENDINGS[how]), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stdout.split() == ["embedding"] * (1 + ("two" in how)) + ["end"]
    assert ended.returncode == 0, ended.stderr
    for word in ("Traceback", "Error", "Fatal", "Abort", "QObject", "QThread", "QTimer", "safire"):
        assert word not in ended.stderr, ended.stderr


def test_the_canvas_stays_guarded_once_when_the_dock_is_gone(viewer: napari.Viewer) -> None:
    """Layers that go later must find the canvas's context current, else napari dies."""
    context = viewer.window._qt_viewer.canvas._scene_canvas.context
    opened = open_dock(viewer, "")
    guarded = vars(context)["finish"]
    opened.go.set()
    _remove_dock(opened)
    pump(0.1)
    assert vars(context)["finish"] is guarded
    guard_canvas(viewer)
    assert vars(context)["finish"] is guarded
