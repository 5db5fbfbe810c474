"""What the dock shows at once: in a small window, in a narrow dock, in large letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import QComboBox, QDockWidget, QMainWindow, QPushButton, QWidget

from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.dock import bring_forward, dock_around
from napari_safire.gui.panels.curate.queue_model import NAME

from .conftest import Dock
from .hand import pump, wait_until
from .test_workspace import make_project

SMALL = (1280, 800)
NARROW = 360


@pytest.fixture
def partitioned(dock: Dock) -> Dock:
    """A picture that was clicked on, committed and partitioned, with another model's labels."""
    dock.viewer.window.resize(*SMALL)
    dock.viewer.add_image(np.zeros((120, 160, 3), np.uint8), name="صورة, " + "a long name " * 9)
    dock.settle()
    dock.press(dock.widget.prompts.add)
    dock.hand.click(dock.viewer.layers[0], 50, 60)
    dock.settle()
    dock.press(dock.widget.prompts.commit)
    dock.press(dock.widget.partition.run)
    dock.settle()
    pump(0.2)
    return dock


@pytest.fixture
def set_letters() -> Iterator[Callable[[int], None]]:
    """Choose the size of napari's letters, in points; it is as before, however the test ends."""
    before = get_settings().appearance.font_size

    def choose(size: int) -> None:
        get_settings().appearance.font_size = size

    yield choose
    choose(before)


def container(dock: Dock) -> QDockWidget:
    parent = dock.widget.parentWidget()
    while not isinstance(parent, QDockWidget):
        assert parent is not None
        parent = parent.parentWidget()
    return parent


def widen(dock: Dock, pixels: int) -> None:
    outer = container(dock)
    window = outer.parentWidget()
    assert isinstance(window, QMainWindow)
    window.resizeDocks([outer], [pixels], Qt.Orientation.Horizontal)
    pump(0.2)


def unfold_evidence(dock: Dock) -> None:
    """Evidence with everything in it, the widest forms included."""
    section = dock.widget.evidence
    section.unfold()
    dock.settle()
    for name in ("noise level", "ghosts", "comparison"):
        section.cards[name].unfold()
        section.cards[name].parameters.unfold()
    section.others.unfold()
    dock.settle()


def is_in_view(dock: Dock, widget: QWidget) -> bool:
    """Whether all of it is seen."""
    viewport = dock.widget.viewport()
    place = QRect(widget.mapTo(viewport, QPoint(0, 0)), widget.size())
    return widget.isVisible() and viewport.rect().contains(place)


def cut_off(dock: Dock) -> list[str]:
    """Texts of buttons that are seen in part."""
    buttons = dock.widget.widget().findChildren(QPushButton)
    return [b.text() for b in buttons if b.isVisible() and b.width() < b.sizeHint().width()]


def test_the_usual_task_needs_no_scrolling_in_a_small_window(partitioned: Dock) -> None:
    widget = partitioned.widget
    window = partitioned.viewer.window._qt_window
    assert (window.width(), window.height()) == SMALL
    bar = widget.verticalScrollBar()
    assert bar is not None
    bar.setValue(0)
    pump()
    assert container(partitioned).width() <= NARROW  # as napari makes it
    wanted = {
        "verdict": widget.verdict.line,
        "reason": widget.verdict.reason,
        "views": widget.view.buttons["uncertainty"],
        "opacity": widget.view.opacity,
        "state": widget.status.label,
        "click": widget.prompts.add,
        "commit": widget.prompts.commit,
        "partition": widget.partition.run,
        "number": widget.partition.count,
        "sources": widget.sources.table,
    }
    assert [name for name, part in wanted.items() if not is_in_view(partitioned, part)] == []
    assert widget.sources.table.rowCount() == 2
    assert cut_off(partitioned) == []


def test_nothing_is_cut_off_at_360_pixels(partitioned: Dock) -> None:
    widen(partitioned, NARROW)
    widget = partitioned.widget
    widget.sources.table.selectRow(0)
    for section in (widget.model, widget.fine_tune, widget.partition.advanced):
        section.unfold()
    unfold_evidence(partitioned)
    pump(0.2)
    assert container(partitioned).width() <= NARROW
    assert widget.widget().width() <= widget.viewport().width()
    assert cut_off(partitioned) == []


def test_nothing_is_cut_off_in_large_letters(
    partitioned: Dock, set_letters: Callable[[int], None]
) -> None:
    set_letters(16)
    widen(partitioned, NARROW)
    widget = partitioned.widget
    assert widget.prompts.add.fontMetrics().height() > 20
    widget.sources.table.selectRow(0)
    unfold_evidence(partitioned)
    pump(0.2)
    assert widget.widget().width() <= widget.viewport().width()
    assert cut_off(partitioned) == []
    table = widget.evidence.cards["noise level"].table.text
    assert table.fontMetrics().height() == widget.prompts.add.fontMetrics().height()
    texts = {b.text() for b in widget.widget().findChildren(QPushButton) if b.isVisible()}
    assert {"Place prompts", "Forgery map", "Lift all protection", "Curate …"} <= texts


@pytest.mark.parametrize("font_size", [9, 16])
def test_nothing_of_the_curate_dock_is_cut_off_at_360_pixels(
    dock: Dock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    set_letters: Callable[[int], None],
    font_size: int,
) -> None:
    monkeypatch.setenv("NAPARI_SAFIRE_ANNOTATOR", "annotator of a long name")
    dock.viewer.window.resize(*SMALL)
    set_letters(font_size)
    curate = bring_forward(dock.viewer, CurateWidget)
    work = dock.workspace.queue.work
    work.open_queue(make_project(tmp_path))
    wait_until(lambda: work.opened is not None and not work.doing)
    dock.settle()
    outer = dock_around(curate)
    assert outer is not None
    dock.viewer.window._qt_window.resizeDocks([outer], [NARROW], Qt.Orientation.Horizontal)
    for section in (curate.opening, curate.descriptions, curate.notes):
        section.unfold()
    curate.opening.form.ask_for_project()
    dock.workspace.queue.waive()
    pump(0.3)
    assert outer.width() <= NARROW or font_size > 9
    assert curate.widget().width() <= curate.viewport().width()
    buttons = [b for b in curate.widget().findChildren(QPushButton) if b.isVisible()]
    assert len(buttons) > 15
    cut = [(b.text(), b.width(), b.sizeHint().width()) for b in buttons]
    assert [one for one in cut if one[1] < one[2]] == []
    boxes = [b for b in curate.widget().findChildren(QComboBox) if b.isVisible()]
    assert [b.accessibleName() for b in boxes if b.width() < 60] == []
    table = curate.list.table
    assert table.columnWidth(NAME) >= 110
    curate.queue.prompts.click()  # what is marked with is a click away
    pump(0.1)
    assert not dock.widget.prompts.add.visibleRegion().isEmpty()
    assert curate.queue.prompts.visibleRegion().isEmpty()
    if font_size == 9:
        assert table.height() >= 5 * 40
        curate.verticalScrollBar().setValue(0)
        for folded in (curate.opening, curate.descriptions, curate.notes):
            folded.heading.setChecked(False)
        curate.opening.form.hide()
        curate.queue.reason.hide()
        pump(0.2)
        seen = Dock(dock.viewer, dock.hand, curate)  # type: ignore[arg-type]
        wanted = (curate.list.search, curate.queue.done, curate.queue.forward, curate.queue.accept)
        assert [part for part in wanted if not is_in_view(seen, part)] == []
    curate.close_work()
