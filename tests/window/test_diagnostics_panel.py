"""The diagnostics panel: fetched in a worker, shown, copied, closed in the middle of it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import napari
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel

from napari_safire.engine.machine import as_text, describe_machine
from napari_safire.gui.panels.diagnostics_panel import DiagnosticsPanel

from .hand import pump, wait_until

HASH = "0123456789abcdef" * 4
LINES = {"Model": "safire-lite", "Hash": HASH, "CPU": "one with a long description in many words"}


@dataclass
class Workers:
    """Runs each piece of work in a thread of its own."""

    threads: list[threading.Thread] = field(default_factory=list)

    def run(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        thread = threading.Thread(target=lambda: done(work()))
        self.threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(timeout=20)
        assert not any(thread.is_alive() for thread in self.threads)


@pytest.fixture
def workers() -> Workers:
    return Workers()


def dock(viewer: napari.Viewer, panel: DiagnosticsPanel) -> None:
    viewer.window.add_dock_widget(panel, name="Diagnostics").setFixedWidth(360)
    pump(0.2)


def delete(panel: DiagnosticsPanel) -> None:
    panel.deleteLater()
    QApplication.sendPostedEvents(panel, QEvent.Type.DeferredDelete)
    assert not isalive(panel)


def texts(panel: DiagnosticsPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label is not panel.status]


def test_lines_are_fetched_off_the_gui_thread_and_shown_in_order(
    viewer: napari.Viewer, workers: Workers
):
    asked_in: list[threading.Thread] = []

    def source() -> Mapping[str, str]:
        asked_in.append(threading.current_thread())
        return LINES

    panel = DiagnosticsPanel(source, workers.run, as_text)
    assert asked_in == []  # not before somebody looks
    dock(viewer, panel)
    wait_until(lambda: panel.description == LINES, 10)
    assert len(asked_in) == 1
    assert asked_in[0] is not threading.main_thread()
    assert [*panel.description] == [*LINES]
    assert {"Model", "safire-lite", "Hash", "CPU", LINES["CPU"]} <= {*texts(panel)}
    assert panel.status.isHidden()


def test_a_long_hash_is_shortened_and_stands_whole_in_the_tooltip(
    viewer: napari.Viewer, workers: Workers
):
    panel = DiagnosticsPanel(lambda: LINES, workers.run, as_text)
    dock(viewer, panel)
    wait_until(lambda: panel.description == LINES, 10)
    pump(0.1)
    labels = {label.text(): label for label in panel.findChildren(QLabel)}
    (short,) = [label for text, label in labels.items() if "…" in text and text[0] == "0"]
    assert short.text()[-3:] == HASH[-3:]
    assert short.toolTip() == HASH
    assert short.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse
    assert labels["safire-lite"].toolTip() == ""
    panel.parentWidget().setFixedWidth(800)
    pump(0.2)
    assert short.text() == HASH
    assert short.toolTip() == ""


def test_copy_puts_everything_unshortened_on_the_clipboard(viewer: napari.Viewer, workers: Workers):
    panel = DiagnosticsPanel(lambda: LINES, workers.run, as_text)
    dock(viewer, panel)
    wait_until(lambda: panel.description == LINES, 10)
    QApplication.clipboard().clear()
    QTest.mouseClick(panel.copy_button, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == as_text(LINES)
    assert HASH in QApplication.clipboard().text()
    assert panel.status.text() == "Copied 3 lines."


def test_selected_text_can_be_copied_with_the_keyboard(viewer: napari.Viewer, workers: Workers):
    panel = DiagnosticsPanel(lambda: LINES, workers.run, as_text)
    dock(viewer, panel)
    wait_until(lambda: panel.description == LINES, 10)
    (value,) = [label for label in panel.findChildren(QLabel) if label.text() == "safire-lite"]
    value.setSelection(0, 6)
    QTest.keyClick(value, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == "safire"


def test_refresh_fetches_anew_once_at_a_time(viewer: napari.Viewer, workers: Workers):
    gate = threading.Event()
    answers = iter([{"Memory": "1 GiB"}, {"Memory": "2 GiB", "Device": "cuda:0"}])

    def source() -> Mapping[str, str]:
        assert gate.wait(20)
        return next(answers)

    panel = DiagnosticsPanel(source, workers.run, as_text)
    dock(viewer, panel)
    assert panel.status.text() == "Looking …"
    assert not panel.refresh_button.isEnabled()
    assert not panel.copy_button.isEnabled()
    panel.refresh()
    assert len(workers.threads) == 1
    gate.set()
    wait_until(lambda: panel.description == {"Memory": "1 GiB"}, 10)
    QTest.mouseClick(panel.refresh_button, Qt.MouseButton.LeftButton)
    wait_until(lambda: panel.description == {"Memory": "2 GiB", "Device": "cuda:0"}, 10)
    pump(0.1)
    assert sorted(texts(panel)) == ["2 GiB", "Device", "Memory", "cuda:0"]


def test_an_error_of_the_source_is_said_and_the_lines_stay(viewer: napari.Viewer, workers: Workers):
    answers: list[Mapping[str, str] | Exception] = [LINES, OSError("the disk is gone")]

    def source() -> Mapping[str, str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    panel = DiagnosticsPanel(source, workers.run, as_text)
    dock(viewer, panel)
    wait_until(lambda: panel.description == LINES, 10)
    QTest.mouseClick(panel.refresh_button, Qt.MouseButton.LeftButton)
    wait_until(lambda: "the disk is gone" in panel.status.text(), 10)
    assert panel.description == LINES
    assert panel.refresh_button.isEnabled()


def test_closing_while_the_worker_looks_is_clean(
    viewer: napari.Viewer, workers: Workers, recwarn: pytest.WarningsRecorder
):
    gate = threading.Event()

    def source() -> Mapping[str, str]:
        assert gate.wait(20)
        return LINES

    panel = DiagnosticsPanel(source, workers.run, as_text)
    dock(viewer, panel)
    trace = weakref.ref(panel)
    viewer.window.remove_dock_widget(panel)
    delete(panel)
    kept = panel  # the object may outlive its widget
    gate.set()
    workers.join()
    pump(0.2)
    assert kept.description == {}
    del panel, kept
    gc.collect()
    assert trace() is None
    assert not [w for w in recwarn if "napari_safire" in str(w.filename)]


def test_a_panel_closed_and_freed_leaves_its_worker_alone(viewer: napari.Viewer, workers: Workers):
    gate = threading.Event()

    def source() -> Mapping[str, str]:
        assert gate.wait(20)
        return LINES

    for _ in range(5):
        panel = DiagnosticsPanel(source, workers.run, as_text)
        dock(viewer, panel)
        viewer.window.remove_dock_widget(panel)
        delete(panel)
        del panel
        pump(0.05)
        gc.collect()
    gate.set()
    workers.join()
    pump(0.2)


def test_it_shows_this_machine(viewer: napari.Viewer, workers: Workers):
    panel = DiagnosticsPanel(describe_machine, workers.run, as_text)
    dock(viewer, panel)
    wait_until(lambda: bool(panel.description), 30)
    assert panel.description["napari"] == napari.__version__
    assert panel.copy_button.isEnabled()
    assert panel.minimumSizeHint().width() <= 360
