"""A view is chosen, made and laid over the picture, in a real window."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from fakes import hold_view
from napari.layers import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from .conftest import Dock
from .hand import pump, wait_until

SHAPE = (128, 160)


def half_noisy() -> np.ndarray:
    """The right half is noisier from column 96 on."""
    rng = np.random.default_rng(4)
    values = rng.normal(128, 2, (*SHAPE, 3))
    values[:, 96:] += rng.normal(0, 12, (SHAPE[0], 64, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def test_a_view_is_clicked_and_lies_over_the_picture(dock: Dock) -> None:
    image = dock.viewer.add_image(half_noisy(), name="photo", scale=(0.5, 2), rotate=20)
    dock.settle()
    dock.press(dock.widget.evidence.heading)
    dock.settle()
    card = dock.widget.evidence.cards["noise level"]
    dock.press(card.heading)
    dock.settle()
    assert card.thumbnail.isVisible()
    assert card.finding.text() == "brighter: noisier than usual at this brightness"
    dock.press(card.layer_button)
    dock.settle()
    layer = dock.viewer.layers["photo \N{EN DASH} noise level"]
    assert isinstance(layer, Image)
    for row, col in ((40, 20), (100, 70), (60, 110), (120, 150)):
        # where the pixel is drawn on the canvas, the cell that holds it is drawn
        place = dock.hand.position(image, row, col)
        cell = dock.hand.position(layer, (row - 15.5) / 32, (col - 15.5) / 32)
        assert (place - cell).manhattanLength() <= 1
        value = layer.get_value(image.data_to_world((row, col)), world=True)
        assert (value > 0) == (col >= 96)
    screen = dock.viewer.screenshot(flash=False)
    assert np.ptp(screen[..., :3]) > 100


def test_with_the_keyboard_alone(dock: Dock) -> None:
    dock.viewer.add_image(half_noisy(), name="photo")
    dock.settle()
    section = dock.widget.evidence
    section.heading.setFocus()
    QTest.keyClick(section.heading, Qt.Key.Key_Space)
    dock.settle()
    heading = section.cards["residual"].heading
    heading.setFocus()
    QTest.keyClick(heading, Qt.Key.Key_Space)
    dock.settle()
    section.cards["residual"].misleads.unfold()
    card = section.cards["noise level"]
    card.unfold()
    card.parameters.unfold()
    dock.settle()
    pump(0.1)
    seen = focused_by_tab(dock, section.heading, dock.widget.model.heading)
    texts = [getattr(widget, "text", str)() for widget in seen]
    assert {"▾ residual · for the eye", "Open as layer", "Apply", "▸ gradient"} <= set(texts)
    places = [widget.mapTo(dock.widget.widget(), QPoint(0, 0)) for widget in seen]
    tops = [round(place.y() / 12) for place in places]  # of a row, as seen
    assert tops == sorted(tops), texts
    seen[texts.index("Open as layer")].setFocus()
    QTest.keyClick(dock.widget.window().focusWidget(), Qt.Key.Key_Space)
    dock.settle()
    assert [layer.name for layer in dock.viewer.layers][1:] == ["photo \N{EN DASH} residual"]


def focused_by_tab(dock: Dock, begin: QWidget, end: QWidget) -> list[QWidget]:
    """What has the focus from one widget to another, as Tab goes."""
    begin.setFocus()
    found: list[QWidget] = []
    while len(found) < 60:
        dock.widget.focusNextChild()
        focused = dock.widget.window().focusWidget()
        if focused is end:
            return found
        found.append(focused)
    pytest.fail(f"Tab never came there: {[getattr(w, 'text', str)() for w in found]}")


def test_it_can_be_stopped_and_closed_in_the_middle(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_view(monkeypatch, "gradient", threading.Event())
    dock.viewer.add_image(half_noisy(), name="photo")
    dock.settle()
    section = dock.widget.evidence
    dock.press(section.heading)
    dock.settle()
    card = section.cards["gradient"]
    dock.press(card.heading)
    wait_until(lambda: card.progress.value() == 2, what="the view to begin")
    assert card.cancel.isVisible()
    dock.press(card.cancel)
    dock.settle()
    assert not card.busy.isVisible()
    card.apply()
    pump()
    dock.widget.close_work()  # which waits for nothing of it
