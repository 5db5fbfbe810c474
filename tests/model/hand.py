"""A hand for a viewer without a window: what napari's canvas calls for mouse and keys."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtCore import Qt
from window.hand import pump as pump
from window.hand import wait_until as wait_until

_MODIFIERS = {
    Qt.KeyboardModifier.ShiftModifier: "Shift",
    Qt.KeyboardModifier.ControlModifier: "Control",
    Qt.KeyboardModifier.AltModifier: "Alt",
}


@dataclass(frozen=True)
class ModelHand:
    """Mouse and keyboard as the canvas hands them to a viewer; see `window.hand.Hand`."""

    viewer: ViewerModel

    def click(
        self, layer: Layer, row: float, col: float, *, modifier: Qt.KeyboardModifier | None = None
    ) -> None:
        names = [_MODIFIERS[modifier]] if modifier in _MODIFIERS else []
        self._mouse(mouse_press_callbacks, "mouse_press", layer, (row, col), names)
        self._mouse(mouse_release_callbacks, "mouse_release", layer, (row, col), names)
        pump()

    def drag(self, layer: Layer, begin: tuple[float, float], end: tuple[float, float]) -> None:
        first, last = np.array(begin, float), np.array(end, float)
        self._mouse(mouse_press_callbacks, "mouse_press", layer, begin)
        for step in range(1, 6):
            place = first + (last - first) * step / 5
            self._mouse(mouse_move_callbacks, "mouse_move", layer, tuple(place))
        self._mouse(mouse_release_callbacks, "mouse_release", layer, end)
        pump()

    def press(self, keys: str) -> None:
        """Type a key combination such as "Ctrl+Shift+P" on the canvas."""
        handler = KeymapHandler()
        active = self.viewer.layers.selection.active
        handler.keymap_providers = [self.viewer] if active is None else [active, self.viewer]
        binding = keys.replace("Ctrl", "Control").replace("+", "-")
        handler.press_key(binding)
        handler.release_key(binding)
        pump()

    def _mouse(
        self,
        callbacks: Any,
        kind: str,
        layer: Layer,
        place: tuple[float, float],
        modifiers: list[str] | None = None,
    ) -> None:
        dims = self.viewer.dims
        camera = getattr(self.viewer, "scene", self.viewer).camera  # where napari 0.9 has it
        leading = tuple(dims.point)[: dims.ndim - 2]
        inside = layer.world_to_data((*leading, 0.0, 0.0))[: layer.ndim - 2]
        world = layer.data_to_world((*inside, *place))[-2:]
        position = (*leading, *world)
        direction = camera.calculate_nd_view_direction(dims.ndim, dims.displayed)
        event = SimpleNamespace(
            type=kind,
            button=1,
            buttons=[1],
            modifiers=modifiers or [],
            pos=np.array(world[::-1]),
            position=position,
            is_dragging=kind == "mouse_move",
            view_direction=direction,
            up_direction=camera.calculate_nd_up_direction(dims.ndim, dims.displayed),
            camera_zoom=camera.zoom,
            dims_displayed=list(dims.displayed),
            dims_point=list(dims.point),
            handled=False,
        )
        self.viewer.cursor.position = position
        read_only = ReadOnlyWrapper(event, exceptions=("handled",))
        callbacks(self.viewer, read_only)
        active = self.viewer.layers.selection.active
        if active is not None:
            callbacks(active, read_only)
