"""Work that a crash or a closed dock left behind is offered again."""

from __future__ import annotations

import napari
import numpy as np
from fakes import FakeEngine
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_safire.gui.widget import SafireWidget

from .conftest import Dock
from .hand import Hand, pump

SHAPE = (120, 160)


def open_dock(viewer: napari.Viewer) -> Dock:
    engine = FakeEngine()
    widget = SafireWidget(viewer, load_engine=lambda name, device, notice: engine)
    viewer.window.add_dock_widget(widget, name="SAFIRE", area="right")
    pump(0.1)
    return Dock(viewer, Hand(viewer), widget, engine)


def test_the_next_dock_restores_what_the_last_one_made(viewer: napari.Viewer) -> None:
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    first = open_dock(viewer)
    first.settle()
    assert not first.widget.kept_work.isVisible()
    first.press(first.widget.prompts.add)
    first.hand.click(image, 50, 60)
    first.settle()
    made = np.asarray(viewer.layers["picture: sources"].data).copy()
    assert made.any()
    first.widget.close_work()
    viewer.window.remove_dock_widget(first.widget)
    for name in ("picture: sources", "picture: prompts"):
        viewer.layers.remove(name)

    second = open_dock(viewer)
    second.settle()
    bar = second.widget.kept_work
    assert bar.isVisible()
    assert "1 prompt and the labels" in bar.text.text()
    second.press(bar.restore)
    second.settle()
    np.testing.assert_array_equal(viewer.layers["picture: sources"].data, made)
    assert len(viewer.layers["picture: prompts"].data) == 1
    assert not bar.isVisible()
    second.widget.close_work()


def test_forgotten_work_is_not_offered_again(viewer: napari.Viewer) -> None:
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    docks = [open_dock(viewer)]
    docks[0].settle()
    docks[0].press(docks[0].widget.prompts.add)
    docks[0].hand.click(image, 50, 60)
    docks[0].settle()
    for expected in (True, False):
        docks[-1].widget.close_work()
        viewer.window.remove_dock_widget(docks[-1].widget)
        docks.append(open_dock(viewer))
        docks[-1].settle()
        bar = docks[-1].widget.kept_work
        assert bar.isVisible() == expected
        if expected:
            docks[-1].widget.ensureWidgetVisible(bar)
            QTest.mouseClick(bar.forget, Qt.MouseButton.LeftButton)
            docks[-1].settle()
    docks[-1].widget.close_work()
