"""A view is chosen, made and laid over the picture, in a real window."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from fakes import hold_view
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

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
    seen = []
    while len(seen) < 40 and "Open as layer" not in seen:
        dock.widget.focusNextChild()
        focused = dock.widget.window().focusWidget()
        seen.append(getattr(focused, "text", str)())
    QTest.keyClick(dock.widget.window().focusWidget(), Qt.Key.Key_Space)
    dock.settle()
    assert [layer.name for layer in dock.viewer.layers][1:] == ["photo \N{EN DASH} residual"]
    assert len(seen) < 4  # right behind its heading


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
