"""What two docks of one viewer share, without a window."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from window.hand import pump, wait_idle

from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.widget import SafireWidget
from napari_safire.gui.workspace import open_workspace, workspace_of
from napari_safire.session.messages import ANYWHERE


def close(widget: SafireWidget) -> None:
    widget.close_work()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


def test_the_curate_dock_alone_reads_pictures_with_the_preferred_model(
    curate: CurateWidget,
) -> None:
    curate.controller.viewer.add_image(np.zeros((40, 60), np.uint8))
    wait_idle(curate.controller)
    plane = curate.controller.plane
    assert plane is not None
    assert plane.embedding is not None
    assert curate.controller.session.model_choice == ("safire-lite", "auto")


def test_a_dock_that_comes_later_shows_what_is_there(
    curate: CurateWidget, viewer: ViewerModel
) -> None:
    viewer.add_image(np.zeros((40, 60), np.uint8), name="picture")
    wait_idle(curate.controller)
    curate.controller.partition()
    wait_idle(curate.controller)
    engine = curate.controller.session.engine
    safire = SafireWidget(viewer)
    safire.show()
    wait_idle(safire.controller)  # it compares numbers of sources for its plot
    assert safire.controller is curate.controller
    assert safire.controller.session.engine is engine  # not loaded anew
    assert safire.sources.table.rowCount() == 2
    assert safire.verdict.line.text()
    assert safire.status.label.text() == "60 x 40, 2 sources found"
    assert safire.model.model_in_use == "safire-lite"
    close(safire)
    assert not curate.workspace.is_closed


def test_a_message_is_shown_in_both_and_closed_in_both(
    curate: CurateWidget, viewer: ViewerModel
) -> None:
    safire = SafireWidget(viewer)
    safire.show()
    curate.workspace.messages.tell("The disk is gone.", True, ANYWHERE)
    assert safire.message.text() == curate.message.text() == "⚠ The disk is gone."
    safire.message.rows[0].close_button.click()
    assert curate.message.isHidden()
    close(safire)


def test_after_the_last_dock_there_is_a_new_workspace(viewer: ViewerModel) -> None:
    first = open_workspace(viewer)
    widget = CurateWidget(viewer)
    ticket = first.enter(widget)
    assert workspace_of(viewer) is first
    assert first.dock(CurateWidget) is widget
    widget.close_work()
    assert not first.is_closed
    first.leave(ticket)
    first.leave(ticket)
    assert first.is_closed
    assert workspace_of(viewer) is None


def test_a_second_dock_of_a_kind_goes_on_with_the_work_of_the_first(
    curate: CurateWidget, viewer: ViewerModel
) -> None:
    workspace = curate.workspace
    second = CurateWidget(viewer)
    assert curate.is_closed
    assert second.workspace is workspace
    assert workspace.docks == [second]
    assert not workspace.is_closed
    close(second)
    assert workspace.is_closed


def test_widgets_that_are_half_gone_hear_nothing_of_the_queue(
    curate: CurateWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    workspace = curate.workspace
    work = workspace.queue.work
    work.rows_changed.connect(heard.append)
    workspace.queue.described.connect(lambda: heard.append("described"))
    finish = workspace.controller.finish

    def finish_late() -> None:
        work.rows_changed.emit(())  # what was looked up is delivered while all is saved
        workspace.queue.described.emit()
        finish()

    monkeypatch.setattr(workspace.controller, "finish", finish_late)
    curate.close_work()
    assert heard == []
    assert workspace.is_closed


def test_what_a_closed_dock_has_asked_for_reaches_nobody(
    curate: CurateWidget, viewer: ViewerModel
) -> None:
    go, heard = threading.Event(), []
    safire = SafireWidget(viewer)
    connections = safire._connections
    session = curate.controller.session
    session.run(lambda: go.wait(30), connections.while_connected(heard.append))
    session.run(lambda: go.wait(30), connections.while_connected(heard.append, heard.append))
    close(safire)
    go.set()
    wait_idle(curate.controller)
    pump(0.05)
    assert heard == [True]  # where it was said who hears it then
