"""A Labels layer as sources: results go in, what the user paints comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from psygnal import Signal

from napari_safire.gui.connections import Connections

Index = tuple[int, ...]


class SourceLayer:
    """Labels of a picture in an ordinary Labels layer.

    What the user painted is found by comparing the layer with what was last written to it, so
    that every way of changing it counts: brush, fill, polygon, napari's own undo, scripts.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of unsigned bytes.

    Attributes
    ----------
    painted : Signal()
        Something may have been painted; `painted_labels` tells.
    selected : Signal(int)
        The user chose another label.
    """

    painted = Signal()
    selected = Signal(int)

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self._written: dict[Index, npt.NDArray[Any]] = {}
        self._with_preview: dict[Index, bool] = {}
        self._writing = False
        self._connections = Connections()
        for event in (layer.events.paint, layer.events.set_data, layer.events.data):
            self._connections.connect(event, self._touched)
        self._connections.connect(layer.events.selected_label, self._selected)

    def close(self) -> None:
        """Let go of the layer."""
        self._connections.disconnect()
        self.painted.disconnect()
        self.selected.disconnect()

    def plane(self, index: Index) -> npt.NDArray[Any]:
        """(H, W) labels at a position of the stack, a view of the layer's data."""
        data: npt.NDArray[Any] = np.asarray(self.layer.data)
        return data[index]

    def painted_labels(self, index: Index) -> tuple[npt.NDArray[Any], bool] | None:
        """What the user made of a plane since it was last written or asked for.

        Returns
        -------
        (labels, with_preview) or None
            (H, W) copy, and whether the preview was shown; None if nothing changed.
        """
        now = self.plane(index)
        written = self._written.get(index)
        if written is None:
            if not now.any():
                return None
        elif now.shape != written.shape or np.array_equal(now, written):
            return None
        copy = now.copy()
        self._written[index] = copy
        return copy, self._with_preview.get(index, True)

    def write(self, index: Index, labels: npt.NDArray[np.uint8], with_preview: bool) -> None:
        """Show labels at a position of the stack."""
        plane = self.plane(index)
        self._written[index] = labels
        self._with_preview[index] = with_preview
        if np.array_equal(plane, labels):
            return
        self._writing = True
        try:
            plane[...] = labels
            self.layer.refresh()
        finally:
            self._writing = False

    def _touched(self, event: Any = None) -> None:
        if not self._writing:
            self.painted.emit()

    def _selected(self, event: Any = None) -> None:
        self.selected.emit(int(self.layer.selected_label))
