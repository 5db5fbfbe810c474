"""A finding is noted with a key, found again with a click, and kept when the dock is closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QWidget

from napari_safire.gui.dock import bring_forward, dock_around
from napari_safire.gui.review import ReviewWidget
from napari_safire.project.people import ANNOTATOR_VARIABLE

from .conftest import Dock
from .hand import pump, wait_until


def review_of(dock: Dock) -> ReviewWidget:
    review = dock.workspace.dock(ReviewWidget)
    assert review is not None
    return review


def settle(dock: Dock) -> None:
    work = dock.workspace.review.work
    wait_until(lambda: not work.doing and dock.controller.idle)
    pump(0.05)


def press(dock: Dock, button: QWidget) -> None:
    review_of(dock).ensureWidgetVisible(button)
    pump()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    settle(dock)


def test_with_keys_and_clicks(dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ANNOTATOR_VARIABLE, "Anna")
    photo = tmp_path / "photo.png"
    values = np.random.default_rng(3).integers(60, 200, (120, 160, 3)).astype(np.uint8)
    PillowImage.fromarray(values).save(photo)
    image = dock.viewer.open(str(photo))[0]
    settle(dock)
    dock.hand.press("Shift+B")
    review = review_of(dock)
    settle(dock)
    told = [message.text for message in dock.workspace.messages.shown]
    assert told == ["Open or make the case of this picture first."]
    press(dock, review.case.make)
    camera = dock.viewer.scene.camera if hasattr(dock.viewer, "scene") else dock.viewer.camera
    camera.center, camera.zoom = (0.0, 40.0, 60.0), 12.0
    dock.viewer.layers.selection.active = image
    dock.hand.press("Shift+B")
    settle(dock)
    comment = review.findings.form.comment
    assert review.window().focusWidget() is comment
    QTest.keyClicks(comment, "a bird, Born 2019")  # letters are no keys of the canvas here
    press(dock, review.findings.form.keep)
    assert comment.text == ""
    dock.viewer.reset_view()
    item = review.findings.list.visualItemRect(review.findings.list.item(0)).center()
    QTest.mouseClick(
        review.findings.list.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        item,
    )  # fmt: skip
    settle(dock)
    # all of the part is seen again, and hardly more
    assert tuple(camera.center)[1:] == pytest.approx((40, 60), abs=1)
    assert camera.zoom == pytest.approx(12.0, rel=0.02)
    dock.hand.press("Shift+B")
    QTest.keyClicks(comment, "half a sent")
    around = dock_around(review)
    assert around is not None
    dock.viewer.window.remove_dock_widget(around)  # no close event comes with it
    around.deleteLater()
    wait_until(lambda: dock.workspace.dock(ReviewWidget) is None)
    settle(dock)
    again = bring_forward(dock.viewer, ReviewWidget)
    settle(dock)
    assert again.findings.form.comment.text == "half a sent"
    assert again.findings.list.item(0).text() == "1 · picture · observed: a bird, Born 2019"


def test_nothing_is_cut_off_at_360_pixels(dock: Dock, tmp_path: Path) -> None:
    photo = tmp_path / ("a rather long name of a photograph " * 3 + ".png")
    PillowImage.fromarray(np.zeros((60, 80, 3), np.uint8)).save(photo)
    dock.viewer.open(str(photo))
    review = bring_forward(dock.viewer, ReviewWidget)
    settle(dock)
    press(dock, review.case.make)
    around = dock_around(review)
    assert around is not None
    dock.viewer.window._qt_window.resizeDocks([around], [360], Qt.Orientation.Horizontal)
    for section in (review.regions, review.findings, review.judgement, review.report):
        section.unfold()
    review.judgement.checklist.unfold()
    pump(0.1)
    assert review.widget().width() <= review.viewport().width()
    for button in review.widget().findChildren(QPushButton):
        if button.isVisible() and not button.isCheckable():
            assert button.sizeHint().width() <= button.width(), button.text()
