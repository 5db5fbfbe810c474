"""The picture stays fitted to the canvas while docks come and grow, until the user zooms."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QTimer

from napari_safire.gui.controllers.connections import Connections

_GROWN = 1.3  # napari's own docks grow with the first layer, after it was fitted
_Camera = tuple[tuple[float, ...], float]


class ViewFit:
    """Fits the view again when the canvas has another size, if it was fitted before.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Before napari 0.9 it does not tell of its canvas: then nothing is done.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._fitted: _Camera | None = None  # the camera as it was last fitted
        self._connections = Connections()
        self._late = QTimer()  # a window that is put together has many sizes, one after the other
        self._late.setSingleShot(True)
        self._late.timeout.connect(self._fit)
        size = getattr(getattr(getattr(viewer, "canvas", None), "events", None), "size", None)
        if size is None:
            return
        self._look()
        self._connections.connect(viewer.events.reset_view, self.remember)
        self._connections.connect(size, self._resized)

    @property
    def is_fitted(self) -> bool:
        """Whether the view is as it was last fitted."""
        return self._fits_at_all and self._fitted is not None and _same(self._fitted, self._camera)

    def close(self) -> None:
        """Let go of the viewer."""
        self._connections.disconnect()
        with suppress(RuntimeError):  # at Python's exit Qt may have deleted it before
            self._late.stop()

    def _look(self) -> None:
        """Fit the view if nobody has moved it, though the canvas may have grown since."""
        if not self._fits_at_all:
            return
        centre, zoom = self._camera
        self._viewer.reset_view()
        now, fitted = self._camera
        if _same((centre, 1.0), (now, 1.0)) and 1 / _GROWN < zoom / fitted < _GROWN:
            self.remember()
            return
        camera: Any = getattr(self._viewer, "scene", self._viewer).camera
        camera.center, camera.zoom = centre, zoom

    def remember(self, event: object = None) -> None:
        """Take the view as it is for fitted."""
        self._fitted = self._camera

    def _resized(self, event: object = None) -> None:
        self._late.start(0)

    def _fit(self) -> None:
        if self.is_fitted:
            self._viewer.reset_view()

    @property
    def _fits_at_all(self) -> bool:
        return bool(len(self._viewer.layers)) and self._viewer.dims.ndisplay == 2

    @property
    def _camera(self) -> _Camera:
        camera: Any = getattr(self._viewer, "scene", self._viewer).camera
        return tuple(camera.center), float(camera.zoom)


def _same(one: _Camera, other: _Camera) -> bool:
    return bool(np.allclose([*one[0], one[1]], [*other[0], other[1]], rtol=1e-4, atol=1e-6))
