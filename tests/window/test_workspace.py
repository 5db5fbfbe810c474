"""Two docks on one viewer: one session, one set of keys, which end with the last of them."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from corpus_stand_in import manifest
from fakes import FakeEngine
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.dock import WorkspaceDock, bring_forward, dock_around
from napari_safire.gui.review import ReviewWidget
from napari_safire.gui.widget import SafireWidget
from napari_safire.gui.workspace import workspace_of
from napari_safire.project.adding import add_pictures
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.store import Project
from napari_safire.project.truth import Note, PictureDescription

from .hand import Hand, pump, wait_idle, wait_until
from .test_closing import (
    _pyqtgraph_is_known as _pyqtgraph_is_known,
)
from .test_closing import (
    add_picture,
    assert_freed,
    assert_threads_end,
    callbacks,
    keys,
)
from .test_closing import (
    quiet as quiet,
)

Kind = type[WorkspaceDock]
pytestmark = pytest.mark.filterwarnings("error:::napari_safire", "error::ResourceWarning")


def open_kind(viewer: napari.Viewer, kind: Kind, engine: FakeEngine) -> dict[str, Any]:
    """Open a dock and give traces of it, which keep nothing alive."""
    widget = kind(viewer, load_engine=lambda name, device, notice: engine)
    dock = viewer.window.add_dock_widget(widget, name=kind.name, area="right")
    pump(0.1)
    return {
        kind.name: weakref.ref(widget),
        f"dock {kind.name}": weakref.ref(dock),
        "workspace": weakref.ref(widget.workspace),
        "session": weakref.ref(widget.workspace.session),
    }


def make_project(folder: Path) -> Path:
    """A project of three pictures."""
    (folder / "photos").mkdir()
    for n in range(3):
        pixels = np.full((60, 80, 3), 60 * n + 20, np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{n}.png")
    project = Project.create(folder / "project")
    add_pictures(project, collect_pictures(folder / "photos"))
    project.close()
    return folder / "project"


def close_kind(viewer: napari.Viewer, kind: Kind) -> None:
    """By the button in its title, as a user does."""
    workspace = workspace_of(viewer)
    assert workspace is not None
    widget = workspace.dock(kind)
    assert widget is not None
    dock = dock_around(widget)
    assert dock is not None
    dock.raise_()
    pump(0.05)
    button = dock.findChild(QPushButton, "QTitleBarCloseButton")
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    pump(0.05)


@pytest.mark.own_window
@pytest.mark.parametrize(
    ("first", "second", "closed_first"),
    [(SafireWidget, CurateWidget, SafireWidget), (CurateWidget, SafireWidget, SafireWidget)],
)
def test_all_ends_with_the_last_dock_and_nothing_before(
    viewer: napari.Viewer, quiet: None, first: Kind, second: Kind, closed_first: Kind
) -> None:
    engine = FakeEngine()
    add_picture(viewer)
    pump(0.1)
    picture = viewer.layers["picture"]
    before, keys_before = callbacks(viewer, [picture]), keys(viewer, [picture])
    traces = open_kind(viewer, first, engine) | open_kind(viewer, second, engine)
    workspace = workspace_of(viewer)
    assert workspace is not None
    bound = keys(viewer, [picture])
    assert bound != keys_before
    other = second if closed_first is first else first

    close_kind(viewer, closed_first)
    assert workspace_of(viewer) is workspace
    assert workspace.dock(closed_first) is None
    assert_freed({name: traces[name] for name in (closed_first.name,)})
    assert keys(viewer, [picture]) == bound
    workspace.controller.add_prompts()
    Hand(viewer).click(picture, 50, 60)
    wait_idle(workspace.controller)
    assert "picture: sources" in viewer.layers
    del workspace

    close_kind(viewer, other)
    assert_threads_end()
    assert workspace_of(viewer) is None
    assert_freed(traces)
    for layer in list(viewer.layers):
        if layer is not picture:
            viewer.layers.remove(layer)
    pump(0.05)
    assert callbacks(viewer, [picture]) == before
    assert keys(viewer, [picture]) == keys_before


@pytest.mark.own_window
def test_both_end_with_the_viewer_in_the_middle_of_an_embedding(
    viewer: napari.Viewer, quiet: None
) -> None:
    gate = threading.Event()
    engine = FakeEngine(gate=gate)
    add_picture(viewer)
    traces = open_kind(viewer, CurateWidget, engine) | open_kind(viewer, SafireWidget, engine)
    wait_until(lambda: "embed" in engine.calls, what="the embedding")
    viewer.close()
    pump(0.1)
    gate.set()
    assert_threads_end()
    assert workspace_of(viewer) is None
    assert_freed(traces)


def test_the_second_dock_comes_as_a_tab_over_the_first(viewer: napari.Viewer) -> None:
    open_kind(viewer, SafireWidget, FakeEngine())
    workspace = workspace_of(viewer)
    assert workspace is not None
    safire = workspace.dock(SafireWidget)
    assert safire is not None
    safire.curate.click()
    pump(0.1)
    curate = workspace.dock(CurateWidget)
    assert curate is not None
    assert curate.isVisible()
    around = dock_around(curate)
    assert around is not None
    assert dock_around(safire) in viewer.window._qt_window.tabifiedDockWidgets(around)
    assert bring_forward(viewer, SafireWidget) is safire
    pump(0.1)
    assert not safire.visibleRegion().isEmpty()
    assert curate.visibleRegion().isEmpty()
    for dock in (curate, safire):
        dock.close_work()
    assert workspace.is_closed


def test_another_dock_of_a_kind_takes_over_and_the_session_goes_on(viewer: napari.Viewer) -> None:
    engine = FakeEngine()
    add_picture(viewer)
    open_kind(viewer, CurateWidget, engine)
    open_kind(viewer, SafireWidget, engine)
    workspace = workspace_of(viewer)
    assert workspace is not None
    first = workspace.dock(SafireWidget)
    assert first is not None
    workspace.messages.tell("Told before.")
    second = SafireWidget(viewer)
    viewer.window.add_dock_widget(second, name="another")
    pump(0.1)
    assert second.workspace is workspace
    assert first.is_closed
    assert not first.isEnabled()
    assert "close this one" in first.message.text()
    assert second.message.text() == "Told before."
    assert second.model.model_in_use == "safire-lite"
    assert np.asarray(viewer.layers["picture"].data).shape == second.controller.plane.shape
    for dock in list(workspace.docks):
        dock.close_work()
    assert_threads_end()


def test_keys_of_curation_bring_the_dock_forward_and_ask_there(
    viewer: napari.Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_SAFIRE_ANNOTATOR", "anna")
    project = make_project(tmp_path)
    open_kind(viewer, SafireWidget, FakeEngine())
    workspace = workspace_of(viewer)
    assert workspace is not None
    work = workspace.queue.work
    work.open_queue(project)
    hand = Hand(viewer)

    def settle() -> None:
        wait_until(lambda: not work.doing)
        wait_idle(workspace.controller)

    settle()
    first = work.key
    assert workspace.dock(CurateWidget) is None
    hand.press("Shift+R")
    pump(0.1)
    curate = workspace.dock(CurateWidget)
    assert curate is not None
    assert curate.queue.reason.isVisible()
    QTest.keyClicks(curate.queue.reason.line, "n")  # no source shortcut, a letter
    QTest.keyClick(curate.queue.reason.line, Qt.Key.Key_Escape)
    assert not curate.queue.reason.isVisible()
    hand.press("Shift+O")
    settle()
    assert work.listing.state(first) == "done"
    second = work.key
    hand.press("Shift+PageDown")
    settle()
    assert work.key != second
    hand.press("Shift+F")
    QTest.keyClicks(curate.list.search, "0.png")
    QTest.keyClick(curate.list.search, Qt.Key.Key_Return)
    wait_until(lambda: work.key == first)
    settle()
    hand.press("Shift+Y")
    settle()
    assert work.listing.state(first) == "accepted"
    hand.click(workspace.controller.image, 20, 30)  # the pointer is there
    hand.press("Shift+T")
    assert curate.notes.text.isVisible()
    assert curate.notes.pin.text().startswith("Pinned at")
    for dock in (curate, workspace.dock(SafireWidget)):
        assert dock is not None
        dock.close_work()
    assert_threads_end()


@pytest.mark.parametrize("what", ["project", "project/project.sqlite"])
def test_napari_opens_a_project_in_its_dock(
    viewer: napari.Viewer, tmp_path: Path, what: str
) -> None:
    project = make_project(tmp_path)
    viewer.open(str(tmp_path / what), plugin="napari-safire")
    pump(0.1)
    workspace = workspace_of(viewer)
    assert workspace is not None
    curate = workspace.dock(CurateWidget)
    assert curate is not None
    work = workspace.queue.work
    wait_until(lambda: work.opened is not None and not work.doing)
    assert work.store is not None
    assert work.store.place == project
    assert [layer.name for layer in viewer.layers] == ["0.png"]
    curate.close_work()
    assert_threads_end()


def test_napari_opens_results_of_a_corpus_in_the_review_dock_that_is_there(
    viewer: napari.Viewer, tmp_path: Path
) -> None:
    make_project(tmp_path)
    (picture, *_) = sorted(tmp_path.rglob("0.png"))
    results = manifest(tmp_path / "results", [(str(picture), 0.9)])
    review = bring_forward(viewer, ReviewWidget)
    viewer.open(str(results), plugin="napari-safire")
    pump(0.1)
    work = review.workspace.queue.work
    wait_until(lambda: work.opened is not None and not work.doing)
    assert [layer.name for layer in viewer.layers] == ["0.png"]
    assert review.workspace.docks == [review]
    assert review.queue_line.label.text() == "1 of 1 in results · untouched"
    review.close_work()
    assert_threads_end()


def open_with_a_note(viewer: napari.Viewer, project: Path) -> None:
    """Open a project, pin a note, and ask for the place of another; keeps nothing alive."""
    workspace = workspace_of(viewer)
    assert workspace is not None
    work = workspace.queue.work
    work.open_queue(project)
    wait_until(lambda: work.opened is not None and not work.doing)
    workspace.queue.describe(PictureDescription(notes=(Note("here", None, 20.0, 30.0),)))
    wait_idle(workspace.controller)
    curate = workspace.dock(CurateWidget)
    assert curate is not None
    curate.notes.unfold()
    curate.notes.pin.click()


@pytest.mark.own_window
@pytest.mark.parametrize("how", ["dock", "viewer"])
def test_pinned_notes_go_with_the_dock_or_the_viewer(
    viewer: napari.Viewer, quiet: None, tmp_path: Path, how: str
) -> None:
    before = list(viewer.mouse_drag_callbacks)
    traces = open_kind(viewer, CurateWidget, FakeEngine())
    open_with_a_note(viewer, make_project(tmp_path))
    assert "notes" in viewer.layers
    assert len(viewer.mouse_drag_callbacks) == len(before) + 1
    if how == "viewer":
        viewer.close()
        pump(0.1)
    else:
        close_kind(viewer, CurateWidget)
        assert "notes" not in viewer.layers
        assert viewer.mouse_drag_callbacks == before
    assert_threads_end()
    assert_freed(traces)
