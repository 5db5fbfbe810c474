"""The view stays fitted to the canvas, whatever its size, until the user has zoomed."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from .conftest import open_dock
from .hand import ModelHand, pump

pytestmark = pytest.mark.skipif(
    not hasattr(ViewerModel(), "canvas"), reason="napari before 0.9 does not tell of its canvas"
)


@pytest.mark.parametrize("zoomed", [False, True])
def test_the_view_is_fitted_to_a_canvas_that_shrinks(
    viewer: ViewerModel, hand: ModelHand, zoomed: bool
) -> None:
    viewer.canvas.size = (600, 800)
    viewer.add_image(np.zeros((300, 400, 3), np.uint8))
    fitted = viewer.scene.camera.zoom
    viewer.canvas.size = (600, 700)  # napari's own docks grow with the first layer
    if zoomed:
        viewer.scene.camera.zoom = 3.0
    docks = open_dock(viewer, hand)
    next(docks)
    assert viewer.scene.camera.zoom == pytest.approx(3.0 if zoomed else fitted * 7 / 8)
    viewer.canvas.size = (300, 400)
    pump(0.05)
    assert viewer.scene.camera.zoom == pytest.approx(3.0 if zoomed else fitted / 2)
    viewer.scene.camera.zoom = 5.0
    viewer.canvas.size = (600, 800)
    pump(0.05)
    assert viewer.scene.camera.zoom == 5.0
    viewer.reset_view()  # napari's button
    viewer.canvas.size = (300, 400)
    pump(0.05)
    assert viewer.scene.camera.zoom == pytest.approx(fitted / 2)
    next(docks, None)
    viewer.canvas.size = (600, 800)
    pump(0.05)
    assert viewer.scene.camera.zoom == pytest.approx(fitted / 2)  # nobody looks after it any more
