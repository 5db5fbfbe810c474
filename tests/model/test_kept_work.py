"""Work that a crash or a closed dock left behind is offered again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dock_steps import SHAPE, remove_results
from fakes import FakeEngine
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_safire.errors import SafireError
from napari_safire.gui.widget import SafireWidget
from napari_safire.images.pixels import PictureReader
from napari_safire.session.autosave import Autosave

from .conftest import Dock
from .hand import ModelHand, pump


def open_dock(viewer: ViewerModel) -> Dock:
    engine = FakeEngine()
    widget = SafireWidget(viewer, load_engine=lambda name, device, notice: engine)
    widget.resize(400, 800)
    widget.show()
    pump(0.1)
    return Dock(viewer, ModelHand(viewer), widget, engine)


def remove_dock(dock: Dock) -> None:
    """As napari removes one."""
    dock.widget.deleteLater()
    QApplication.sendPostedEvents(dock.widget, QEvent.Type.DeferredDelete)


def test_forgotten_work_is_not_offered_again(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    docks = [open_dock(viewer)]
    docks[0].settle()
    docks[0].press(docks[0].widget.prompts.add)
    docks[0].hand.click(image, 50, 60)
    docks[0].settle()
    for expected in (True, False):
        docks[-1].widget.close_work()
        remove_dock(docks[-1])
        remove_results(viewer)
        docks.append(open_dock(viewer))
        docks[-1].settle()
        bar = docks[-1].widget.autosaved_work
        assert bar.isVisible() == expected
        if expected:
            docks[-1].widget.ensureWidgetVisible(bar)
            QTest.mouseClick(bar.forget, Qt.MouseButton.LeftButton)
            docks[-1].settle()
    docks[-1].widget.close_work()


def make_work(dock: Dock) -> np.ndarray:
    """Partition the picture and paint on it, without waiting for any of it to be kept."""
    dock.settle()
    dock.press(dock.widget.partition.run)
    dock.settle()
    layer = dock.controller.sources_layer
    assert layer is not None
    layer.data[10:20, 10:20] = 5  # no event tells of it
    return np.asarray(layer.data).copy()


def close_dock(dock: Dock) -> None:
    remove_dock(dock)
    assert dock.widget.is_closed


def remove_image(dock: Dock) -> None:
    dock.viewer.layers.remove("picture")


def remove_labels(dock: Dock) -> None:
    dock.viewer.layers.remove("picture: sources")
    dock.settle()
    close_dock(dock)


def remove_all_layers(dock: Dock) -> None:
    dock.viewer.layers.clear()  # what closing a viewer begins with
    close_dock(dock)


@pytest.mark.parametrize("end", [close_dock, remove_image, remove_labels, remove_all_layers])
def test_every_end_keeps_what_was_on_screen(
    viewer: ViewerModel, end: Callable[[Dock], None]
) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock = open_dock(viewer)
    shown = make_work(dock)
    end(dock)
    dock.widget.close_work()
    kept = Autosave().find(PictureReader(np.zeros((*SHAPE, 3), np.uint8)).sha256, SHAPE)
    assert kept is not None
    np.testing.assert_array_equal(kept.made.annotation.shown(), shown)


def test_verdict_map_and_confidences_are_there_after_a_restore(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    first = open_dock(viewer)
    make_work(first)
    verdict = (first.widget.verdict.line.text(), first.widget.verdict.whole.text())
    table = first.widget.sources.table
    assert table.item(0, 2).text() == "0.90"
    first.widget.close_work()
    remove_dock(first)
    remove_results(viewer)

    second = open_dock(viewer)
    second.settle()
    second.press(second.widget.autosaved_work.restore)
    second.settle()
    restored = second.widget.verdict
    assert (restored.line.text(), restored.whole.text()) == verdict
    assert all(verdict)
    assert second.widget.sources.table.item(0, 2).text() == "0.90"
    assert second.widget.view.buttons["forgery map"].isEnabled()
    plane = second.controller.plane
    assert plane is not None
    assert plane.forgery is not None
    assert plane.forgery.heatmap.max() == 1
    assert "partition" not in second.engine.calls
    second.widget.close_work()


def test_work_that_was_restored_and_saved_is_not_offered_again(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    first = open_dock(viewer)
    make_work(first)
    close_dock(first)
    viewer.layers.remove("picture: sources")
    second = open_dock(viewer)
    second.settle()
    second.press(second.widget.autosaved_work.restore)
    second.settle()
    viewer.layers["picture: sources"].save(str(tmp_path / "mask.png"), plugin="napari-safire")
    second.settle()
    close_dock(second)
    third = open_dock(viewer)
    third.settle()
    assert not third.widget.autosaved_work.isVisible()
    third.widget.close_work()


def test_a_dock_that_is_opened_again_goes_on_with_its_layers(viewer: ViewerModel) -> None:
    """It left them as they were, and made "picture: sources [1]"."""
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    first = open_dock(viewer)
    shown = make_work(first)
    before = list(viewer.layers)
    close_dock(first)
    second = open_dock(viewer)
    second.settle()
    assert not second.widget.autosaved_work.isVisible()
    np.testing.assert_array_equal(viewer.layers["picture: sources"].data, shown)
    plane = second.controller.plane
    assert plane is not None
    assert plane.forgery is not None
    second.press(second.widget.partition.run)
    second.settle()
    assert list(viewer.layers) == before
    labels = viewer.layers["picture: sources"].data
    assert (labels[10:20, 10:20] == 5).all()  # painted, and protected
    close_dock(second)


def test_an_offer_needs_no_model(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    first = open_dock(viewer)
    make_work(first)
    close_dock(first)
    remove_results(viewer)

    def fail(name: str, device: str, notice: object) -> FakeEngine:
        raise SafireError("The model is gone: choose another one.")

    widget = SafireWidget(viewer, load_engine=fail)
    widget.resize(400, 800)
    widget.show()
    second = Dock(viewer, ModelHand(viewer), widget)
    second.settle()
    assert widget.autosaved_work.isVisible()
    widget.close_work()


def test_what_a_slot_begins_as_a_layer_is_left_is_waited_for(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock = open_dock(viewer)
    shown = make_work(dock)
    session, saved = dock.controller.session, []

    def save(image: object) -> None:
        (plane,) = session.planes.of(viewer.layers["picture"].unique_id)
        session.annotations.write(
            plane, lambda annotation: saved.append(annotation.shown()), lambda _: None, pytest.fail
        )

    dock.controller.leaving.connect(save)
    dock.widget.close_work()
    (labels,) = saved
    np.testing.assert_array_equal(labels, shown)
