"""The hand itself: what the other tests rely on."""

from __future__ import annotations

import napari
import numpy as np

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
