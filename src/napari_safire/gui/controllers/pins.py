"""Notes of the open picture that are pinned to a place, as points over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari.layers import Image, Points

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.parts import insert_quietly
from napari_safire.project.truth import Note

Place = tuple[float, float]


class Pins:
    """Shows where notes are pinned, and asks for the place of a new one.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
    """

    def __init__(self, controller: ViewerController, queue: QueueController) -> None:
        self._controller, self._queue = controller, queue
        self._layer: Points | None = None
        self._waiting: Callable[..., Any] | None = None
        self.connections = Connections()
        for signal in (queue.described, queue.work.changed):
            self.connections.connect(signal, self._show)
        self._show()

    def close(self) -> None:
        """Take the points away, and ask nobody any more."""
        self.connections.disconnect()
        self.stop_asking()
        self._remove()

    def pointer(self) -> Place | None:
        """Return the pixel of the picture under the pointer; None where there is none."""
        image = self._queue.pictures.image
        return (
            None if image is None else self._inside(image, self._controller.viewer.cursor.position)
        )

    def ask(self, take: Callable[[Place], None]) -> None:
        """Take the next click on the picture as a place; it is no prompt and no stroke.

        Parameters
        ----------
        take : callable
        """
        image, viewer = self._queue.pictures.image, self._controller.viewer
        if image is None:
            return
        self.stop_asking()

        def click(_: Any, event: Any) -> Iterator[None]:
            dragged = False
            yield
            while event.type == "mouse_move":
                dragged = True
                yield
            place = self._inside(image, event.position)
            if not dragged and place is not None:
                self.stop_asking()
                take(place)

        self._waiting = click
        viewer.layers.selection.active = image  # whose tool is none
        viewer.mouse_drag_callbacks.append(click)
        viewer.help = "Click where the note is to be pinned."

    def stop_asking(self) -> None:
        """Let the next click be what it always is."""
        viewer = self._controller.viewer
        if self._waiting is not None:
            viewer.mouse_drag_callbacks.remove(self._waiting)
            self._waiting = None
            viewer.help = ""

    def look_at(self, note: Note) -> None:
        """Bring the place of a note into the middle."""
        image = self._queue.pictures.image
        if image is not None and note.row is not None and note.col is not None:
            self._queue.look_at(note.row, note.col)

    @staticmethod
    def _inside(image: Image, position: tuple[float, ...]) -> Place | None:
        row, col = image.world_to_data(position)[-2:]
        height, width = image.data.shape[:2]
        if -0.5 <= row < height - 0.5 and -0.5 <= col < width - 0.5:
            return round(float(row), 1), round(float(col), 1)
        return None

    def _show(self) -> None:
        image, work = self._queue.pictures.image, self._queue.work.work
        notes = () if work is None else work.description.notes
        pinned = [(note.row, note.col) for note in notes if note.row is not None]
        if image is None or not pinned:
            self._remove()
            return
        layer = self._layer
        if layer is None or layer not in self._controller.viewer.layers:
            layer = self._layer = Points(
                pinned,
                name="notes",
                symbol="star",
                size=14,
                face_color="yellow",
                border_color="black",
                affine=image.affine,
                scale=image.scale[-2:],
                translate=image.translate[-2:],
            )
            layer.editable = False
            insert_quietly(self._controller.viewer.layers, layer)
        elif layer.data.tolist() != [list(place) for place in pinned]:
            layer.data = pinned

    def _remove(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._controller.viewer.layers:
            self._controller.viewer.layers.remove(layer)
