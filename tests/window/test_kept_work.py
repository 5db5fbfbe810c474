"""Work that a closed dock left behind is offered again, in a window; more: tests/model."""

from __future__ import annotations

import napari
import numpy as np
from dock_steps import SHAPE, remove_results
from fakes import FakeEngine

from napari_safire.gui.widget import SafireWidget

from .conftest import Dock
from .hand import Hand, pump


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
    assert not first.widget.autosaved_work.isVisible()
    first.press(first.widget.prompts.add)
    first.hand.click(image, 50, 60)
    first.settle()
    made = np.asarray(viewer.layers["picture: sources"].data).copy()
    assert made.any()
    first.widget.close_work()
    viewer.window.remove_dock_widget(first.widget)
    remove_results(viewer)

    second = open_dock(viewer)
    second.settle()
    bar = second.widget.autosaved_work
    assert bar.isVisible()
    assert "1 prompt and the labels" in bar.text.text()
    second.press(bar.restore)
    second.settle()
    np.testing.assert_array_equal(viewer.layers["picture: sources"].data, made)
    assert len(viewer.layers["picture: prompts"].data) == 1
    assert not bar.isVisible()
    second.widget.close_work()
