"""The hand and the shared window themselves: what the other tests rely on."""

from __future__ import annotations

import threading

import napari
import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtWidgets import QWidget

from .conftest import SharedWindow
from .hand import Hand, pump


def test_a_click_lands_on_the_pixel_it_names(viewer: napari.Viewer, hand: Hand) -> None:
    image = viewer.add_image(np.zeros((300, 400, 3), np.uint8), scale=(2, 3), rotate=20)
    points = viewer.add_points(ndim=2, scale=(2, 3), rotate=20)
    points.mode = "add"
    pump(0.3)
    hand.click(image, 120, 200)
    assert np.abs(points.data - [[120, 200]]).max() < 1.5


def test_a_drag_paints(viewer: napari.Viewer, hand: Hand) -> None:
    labels = viewer.add_labels(np.zeros((100, 120), np.uint8))
    labels.mode = "paint"
    pump(0.3)
    hand.drag(labels, (50, 20), (50, 80))
    assert labels.data[50, 50] == labels.selected_label


def test_the_next_test_finds_the_window_empty(shared_window: SharedWindow) -> None:
    viewer = shared_window.viewer()
    first = shared_window.state()
    viewer.add_image(np.zeros((9, 9, 9)), name="left")
    viewer.window.add_dock_widget(QWidget(), name="left")
    viewer.bind_key("G", lambda _: None)
    viewer.title, viewer.theme, viewer.dims.ndisplay = "left", "light", 3
    assert shared_window.state() != first
    shared_window.empty()
    assert shared_window.state() == first


def test_what_cannot_be_taken_away_fails_the_test_that_left_it(shared_window: SharedWindow) -> None:
    shared_window.viewer()
    Points.bind_key("G", lambda _: None)
    try:
        with pytest.raises(AssertionError, match="keys of classes"):
            shared_window.empty()
    finally:
        Points.bind_key("G", None)
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="napari-safire")
    thread.start()
    try:
        with pytest.raises(AssertionError, match="threads"):
            shared_window.empty()
    finally:
        gate.set()
        thread.join()
    shared_window.empty()
