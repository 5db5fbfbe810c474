"""A Labels layer as sources: results go in, what the user paints comes out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from psygnal import Signal

from napari_safire.annotation.annotation import Stroke
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread

Index = tuple[int, ...]

PART_S = 1.0
"""Seconds of a stroke that goes on after which what there is of it is taken: a program that dies in
the middle of it loses no more. Comparing 12 megapixels takes some hundredths of a second."""
_STROKES = itertools.count(1)
_PAINTING = ("paint", "erase")


class SourceLayer:
    """Labels of a picture in an ordinary Labels layer.

    What the user painted is found by comparing the layer with what was on screen before: what was
    last written to it, with the strokes that were read since. So every way of changing it counts:
    brush, fill, polygon, napari's own undo, scripts.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of unsigned bytes.

    Attributes
    ----------
    painted : Signal(bool)
        Something may have been painted, on the plane that is shown or (true) on any; `read_stroke`
        tells.
    stroke_ended : Signal()
        The mouse let go; results that were held back may be shown.
    selected : Signal(int)
        The user chose another label.
    """

    painted = Signal(bool)
    stroke_ended = Signal()
    selected = Signal(int)

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self._shape = tuple(layer.data.shape)
        self._seen: dict[Index, npt.NDArray[Any]] = {}
        self._writing = False
        self.stroke: int | None = None
        """Number of the stroke that goes on; None: none does."""
        layer.mouse_drag_callbacks.append(self._dragged)
        self._connections = Connections()
        self._connections.connect(layer.events.paint, self._brushed)
        self._connections.connect(layer.events.set_data, self._touched)
        self._connections.connect(layer.events.data, self._replaced)
        self._connections.connect(layer.events.selected_label, self._selected)

    def close(self) -> None:
        """Let go of the layer."""
        self._connections.disconnect()
        if self._dragged in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._dragged)
        self.painted.disconnect()
        self.stroke_ended.disconnect()
        self.selected.disconnect()

    @property
    def fits(self) -> bool:
        """Whether its data, which scripts may replace, can still hold the sources."""
        data = self.layer.data
        return (
            isinstance(data, np.ndarray)
            and data.shape == self._shape
            and np.can_cast(np.uint8, data.dtype)
        )

    def plane(self, index: Index) -> npt.NDArray[Any]:
        """(H, W) labels at a position of the stack, a view of the layer's data."""
        data: npt.NDArray[Any] = np.asarray(self.layer.data)
        return data[index]

    def read_stroke(self, index: Index) -> Stroke | None:
        """What was painted on a plane since this was last asked, or the plane last written.

        Returns
        -------
        Stroke or None
            None if nothing was painted.
        """
        now = self.plane(index)
        seen = self._seen.get(index)
        if seen is None:
            seen = np.zeros_like(now)  # layers are made empty
        found = Stroke.between(seen, now)
        if found is not None:
            self._seen[index] = now.copy()
        return found

    def expect(self, index: Index, *shown: npt.NDArray[np.uint8]) -> None:
        """Know what was last written at a position of the stack: the first, or what it equals."""
        plane = self.plane(index)
        same = (labels for labels in shown if np.array_equal(plane, labels))
        self._seen[index] = next(same, shown[0])

    def write(self, index: Index, labels: npt.NDArray[np.uint8]) -> None:
        """Show labels at a position of the stack."""
        plane = self.plane(index)
        self._seen[index] = labels
        if np.array_equal(plane, labels):
            return
        self._writing = True
        try:
            plane[...] = labels
            self.layer.refresh()
        finally:
            self._writing = False

    def _dragged(self, layer: Labels, event: Any) -> Iterator[None]:
        """Follow a stroke, of which napari tells only once it has ended."""
        if layer.mode not in _PAINTING:
            return
        self.stroke, taken = next(_STROKES), time.monotonic()
        yield
        while event.type == "mouse_move":
            if time.monotonic() - taken > PART_S:
                self._touched()
                taken = time.monotonic()
            yield
        self._touched()  # the rest, while it is known to be of this stroke
        self.stroke = None
        self.stroke_ended.emit()

    def _touched(self, event: Any = None) -> None:
        if not self._writing:
            self.painted.emit(self.layer.n_edit_dimensions > 2)  # a ball reaches the next slices

    def _brushed(self, event: Any = None) -> None:
        self._touched()
        # What scripts paint napari writes only after it has told of it.
        gui_thread().deliver(self._touched)

    def _replaced(self, event: Any = None) -> None:
        if not self._writing:
            self.painted.emit(True)

    def _selected(self, event: Any = None) -> None:
        self.selected.emit(int(self.layer.selected_label))
