"""What a viewer was like before views were compared: shown layers, grid, fitted view."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_safire.gui.layers.view_fit import ViewFit

_GAP = 4  # screen pixels between cells


class ViewerBefore:
    """Shows and hides layers and opens the grid, and undoes exactly that.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    fit : ViewFit
        Knows whether the picture is fitted: then it is fitted to the cells of the grid, too.
    """

    def __init__(self, viewer: ViewerModel, fit: ViewFit) -> None:
        self._viewer, self._fit = viewer, fit
        self._visible: dict[Layer, bool] = {}  # as it was, of those that were changed
        self._grid: dict[str, Any] | None = None  # as it was; None: we have not touched it
        self._camera: tuple[Any, float, object] | None = None  # as it was, with the canvas's size

    def show(self, layer: Layer, visible: bool) -> None:
        """Show a layer, or hide it."""
        if layer.visible != visible:  # else napari forgets the tool that it had
            self._visible.setdefault(layer, layer.visible)
            layer.visible = visible

    def open_grid(self, n_cells: int, shape: tuple[float, float]) -> None:
        """Let each layer that is shown have a cell of its own.

        Parameters
        ----------
        n_cells : int
        shape : (float, float)
            Rows and columns of the picture, in world units.
        """
        grid: Any = getattr(self._viewer, "canvas", self._viewer).grid  # before 0.9 the viewer's
        fitted = self._fit.is_fitted
        camera, size = self._scene_camera, self._canvas_size
        if self._grid is None:
            self._camera = (camera.center, camera.zoom, size)
            names = ("stride", "shape", "spacing", "enabled")
            self._grid = {name: getattr(grid, name) for name in names if hasattr(grid, name)}
        grid.stride = 1
        grid.shape = (-1, -1) if size is None else _shape_of_grid(n_cells, shape, size)
        if "spacing" in self._grid:
            grid.spacing = _GAP
        grid.enabled = True
        if fitted:
            self._viewer.reset_view()

    def close_grid(self) -> None:
        """Let the grid be as it was."""
        if self._grid is None:
            return
        grid: Any = getattr(self._viewer, "canvas", self._viewer).grid
        fitted = self._fit.is_fitted
        before, self._grid = self._grid, None
        for name in ("enabled", "stride", "shape", "spacing"):
            if name in before and getattr(grid, name) != before[name]:
                setattr(grid, name, before[name])
        if fitted and self._camera is not None:
            camera = self._scene_camera
            camera.center, camera.zoom, size = self._camera
            if size == self._canvas_size:
                self._fit.remember()
            else:
                self._viewer.reset_view()

    @property
    def _scene_camera(self) -> Any:
        return getattr(self._viewer, "scene", self._viewer).camera  # before 0.9 the viewer's

    @property
    def _canvas_size(self) -> tuple[float, float] | None:
        size = getattr(getattr(self._viewer, "canvas", None), "size", None)
        return None if size is None else (float(size[0]), float(size[1]))

    def restore(self, keep: Container[Layer] = ()) -> None:
        """Let all be as it was.

        Parameters
        ----------
        keep : container of napari.layers.Layer
            Those that the user has shown or hidden meanwhile.
        """
        self.close_grid()
        visible, self._visible = self._visible, {}
        for layer, before in visible.items():
            if layer in self._viewer.layers and layer not in keep and layer.visible != before:
                layer.visible = before


def _shape_of_grid(
    n_cells: int, picture: tuple[float, float], canvas: tuple[float, float]
) -> tuple[int, int]:
    """Rows and columns of cells in which pictures are largest."""
    height, width = (max(1e-9, float(side)) for side in picture)
    shapes = [(int(np.ceil(n_cells / columns)), columns) for columns in range(1, n_cells + 1)]
    return max(
        shapes,
        key=lambda s: (min(canvas[0] / s[0] / height, canvas[1] / s[1] / width), -s[0]),
    )
