"""Comparing views of a picture: side by side, blinking, on either side of a line, faded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_safire.gui.controllers.compared_views import (
    ComparedView,
    CompareMode,
    captions,
    crossfaded,
    looks,
    views_of,
)
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.canvas_marks import CanvasMarks, Caption
from napari_safire.gui.layers.drawn_layers import DrawnLayers, Line, Look
from napari_safire.gui.layers.image_planes import world_matrix
from napari_safire.gui.layers.layer_group import LayerGroup
from napari_safire.gui.layers.parts import METADATA, is_evidence
from napari_safire.gui.layers.underlay import Underlay
from napari_safire.gui.layers.view_fit import ViewFit
from napari_safire.gui.layers.viewer_before import ViewerBefore
from napari_safire.text import printable

TITLES: dict[CompareMode, str] = {
    "grid": "Side by side",
    "blink": "Blink",
    "swipe": "Swipe",
    "opacity": "Opacity",
}
"""Of the modes, as dock, keys and palette call them."""
SLOWEST, FASTEST = 0.5, 10.0
"""Changes a second of views that blink by themselves."""
_STEP = 0.05  # of the canvas, or of the opacity, at one press of a key


class ViewComparison:
    """Compares views of the present picture; nothing of it is left when it ends.

    Layers, labels and prompts stay what they are: only what is shown, and how the canvas draws it,
    is another one. It ends by itself when another picture is worked on, a compared layer goes, or a
    layer is shown or hidden by anybody else.

    Parameters
    ----------
    controller : ViewerController
    switch : ViewSwitch
    fit : ViewFit

    Attributes
    ----------
    mode : CompareMode or None
        None: nothing is compared.
    line : Line
        Where the views of a swipe meet.
    share : float
        0 to 1: how much of B is seen in "opacity".
    rate : float
        Changes a second, where views blink by themselves.
    marks : CanvasMarks
    changed : Signal()
        Any of that, or which views there are.
    """

    changed = Signal()

    def __init__(self, controller: ViewerController, switch: ViewSwitch, fit: ViewFit) -> None:
        self.controller, self._switch = controller, switch
        self.mode: CompareMode | None = None
        self.line, self.share, self.rate = Line(), 0.5, 2.0
        self._chosen: tuple[str, ...] = ()
        self._compared: tuple[ComparedView, ...] = ()
        self._turn = 0
        self._image: Image | None = None
        self._group: LayerGroup | None = None
        self._ours = False  # layers are shown and hidden by us, just now
        viewer = controller.viewer
        self.marks = CanvasMarks(viewer)
        self._drawn, self._under = DrawnLayers(viewer), Underlay(viewer)
        self._before = ViewerBefore(viewer, fit)
        self._timer = QTimer()
        self._timer.timeout.connect(self._turn_over)
        self._of_layers = Connections()  # while something is compared
        self.connections = Connections()
        for signal, slot in (
            (viewer.layers.events.inserted, self._layer_added),
            (viewer.layers.events.reordered, self._look_again),
            (controller.plane_changed, self._look_again),
            (controller.view_changed, self._look_again),
            (switch.asked, self.end),
            (self.marks.dragged, self.move),
            (self.marks.resized, self._draw),
        ):
            self.connections.connect(signal, slot)
        # Last of all: whoever else had the layer has let go of it.
        self.connections.connect(viewer.layers.events.removed, self._look_again, position="last")

    def close(self) -> None:
        """End, and let go of the viewer."""
        self.end()
        self.connections.disconnect()
        self.marks.dragged.disconnect()
        self.marks.resized.disconnect()

    # ---------------------------------------------------------------- what is compared

    @property
    def views(self) -> tuple[ComparedView, ...]:
        """What can be compared now."""
        return views_of(self.controller, self._switch)

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of what is compared, or would be: A, B and so on, of those that are there."""
        names = [view.name for view in self.views]
        chosen = [name for name in self._chosen if name in names]
        # What was opened last lies uppermost: that against the picture, where nothing is chosen.
        for name in (names[:1] if not chosen else []) + names[:0:-1] + names[:1]:
            if len(chosen) < 2 and name not in chosen:
                chosen.append(name)
        return tuple(chosen)

    def choose(self, names: Sequence[str]) -> None:
        """Choose what is compared.

        Parameters
        ----------
        names : sequence of str
            A, B, and further ones for the grid and for blinking.
        """
        self._chosen = tuple(dict.fromkeys(names))
        if self.mode is not None:
            self.begin(self.mode)
        self.changed.emit()

    def swap(self) -> None:
        """Let A be B, and B be A."""
        chosen = self.chosen
        if len(chosen) > 1:
            self.choose((chosen[1], chosen[0], *chosen[2:]))

    @property
    def shown(self) -> str:
        """Name of the view that is looked at; empty where none or several are."""
        return self._compared[self._turn].name if self.mode == "blink" else ""

    @property
    def words(self) -> str:
        """What is compared in a few words: "swipe: picture | noise level"; else empty."""
        names = " | ".join(view.name for view in self._compared)
        return "" if self.mode is None else f"{TITLES[self.mode].lower()}: {names}"

    # ---------------------------------------------------------------- begin, go on, end

    def toggle(self, mode: CompareMode) -> None:
        """Begin a mode, or end it."""
        if self.mode == mode:
            self.end()
        else:
            self.begin(mode)

    def begin(self, mode: CompareMode) -> None:
        """Compare what is chosen; where that is not possible, a notice says why.

        Parameters
        ----------
        mode : CompareMode
        """
        views = {view.name: view for view in self.views}
        chosen = self.chosen
        if mode in ("swipe", "opacity"):
            chosen = chosen[:2]
        if len(chosen) < 2 or self.controller.image is None:
            self.end()
            self.controller.notice.emit(_why_not(len(views)), True, None)
            return
        if self.mode is None:
            self._enter(self.controller.image)
        if mode != "blink":
            self._timer.stop()
        self.mode, self._compared = mode, tuple(views[name] for name in chosen)
        self._turn = min(self._turn, len(chosen) - 1)
        self._lay_out()
        self._draw()
        self._mark()
        self.changed.emit()

    def end(self, event: object = None) -> None:
        """Let everything be as it was."""
        self._end(keep=())

    def _enter(self, image: Image) -> None:
        self._image, self._group = image, self.controller.layer_group
        self._turn = 0
        if self._group is not None:
            self._group.compared = True
        for layer in self.controller.viewer.layers:
            self._follow(layer)
        self._of_layers.connect(self.controller.viewer.cursor.events.position, self._pointed)

    def _follow(self, layer: Layer) -> None:
        # First of all: whoever makes room for what was shown finds all as it was.
        self._of_layers.connect(layer.events.visible, self._toggled, position="first")
        for name in ("opacity", "set_data", "visible"):
            # Last of all: napari has drawn it as the layer says.
            self._of_layers.connect(getattr(layer.events, name), self._drawn.again, position="last")

    def _end(self, keep: Sequence[Layer]) -> None:
        if self.mode is None:
            return
        self.mode, self._compared = None, ()
        with suppress(RuntimeError):  # at Python's exit Qt may have deleted it before
            self._timer.stop()
        self._of_layers.disconnect()
        self._under.drop()
        self._drawn.restore()
        self.marks.close()
        self._ours = True
        try:
            self._before.restore(keep)
        finally:
            self._ours = False
            if self._group is not None:
                self._group.compared = False
            self._image = self._group = None
        self.controller.view_changed.emit()  # whoever looked meanwhile saw what was compared
        self.changed.emit()

    def _lay_out(self) -> None:
        """Show what is compared, hide what would cover it, and open the grid or close it."""
        assert self._image is not None
        compared = [layer for view in self._compared for layer in view.layers]
        ours = {layer for view in self.views for layer in view.layers}
        grid = self.mode == "grid"
        shown = {view.layers[0] for view in self._compared} if grid else {*compared, self._image}
        self._ours = True
        try:
            if not grid:
                self._before.close_grid()
            for layer in self.controller.viewer.layers:
                if layer in shown:
                    self._before.show(layer, True)
                elif grid or layer in ours or isinstance(layer, Image | Labels):
                    self._before.show(layer, False)
            if grid:
                self._before.open_grid(len(shown), self._world_shape())
        finally:
            self._ours = False

    def _world_shape(self) -> tuple[float, float]:
        """Height and width of the picture as it is drawn, in world units."""
        assert self._image is not None
        picture = self.controller.picture
        height, width = (1, 1) if picture is None else picture.shape
        corners = np.abs(world_matrix(self._image)[-3:-1, -3:-1]) @ (height, width)
        return float(corners[0]), float(corners[1])

    def _draw(self) -> None:
        if self.mode is None or self._image is None:
            return
        drawn = looks(self.mode, self._compared, self._turn, self.share, self._image)
        if self.mode == "opacity":
            drawn = crossfaded(drawn, self.controller.viewer.layers)
        if self.mode == "grid":
            first = [view.layers[0] for view in self._compared]
            self._under.lay_under(self._image, first)
            alone = {layer: Look(1.0) for layer in first if layer not in self._under.over}
            drawn |= {layer: look for layer, look in alone.items() if layer is not self._image}
        else:
            self._under.drop()
        self._drawn.draw(drawn, self.line)
        if self.mode == "grid":
            for view in self._compared:
                for layer in view.layers[1:]:
                    self._drawn.join(layer, view.layers[0])

    def _mark(self) -> None:
        """Show the line, and the names of what is drawn where."""
        if self.mode is None:
            return
        self.marks.show_line(self.line if self.mode == "swipe" else None)
        if self.mode != "grid":
            self.marks.show_crosses(None)
        if self.mode == "grid":
            self.marks.show_captions(self._cells())
        else:
            names = [printable(view.name) for view in self._compared]
            self.marks.show_captions(
                captions(self.mode, names, self._turn, self.share, self.line.upright)
            )

    def _cells(self) -> list[Caption]:
        """Names of views in their cells."""
        viewer = self.controller.viewer
        if not hasattr(viewer, "canvas"):  # before napari 0.9 cells cannot be asked
            return []
        grid = viewer.canvas.grid
        n_rows, n_columns = grid.actual_shape(viewer.layers)
        cells = []
        for view in self._compared:
            row, column = grid.position(viewer.layers.index(view.layers[0]), viewer.layers)
            cells.append(Caption(printable(view.name), column / n_columns, (row + 1) / n_rows))
        return cells

    # ---------------------------------------------------------------- while it goes on

    def blink(self) -> None:
        """Look at the next view; at the first press, begin."""
        if self.mode != "blink":
            self.begin("blink")
        else:
            self._turn_over()

    def blink_alone(self, alone: bool) -> None:
        """Let views take turns by themselves, or stop that."""
        if alone and self.mode != "blink":
            self.begin("blink")
        if alone and self.mode == "blink":
            self._timer.start(round(1000 / self.rate))
        else:
            self._timer.stop()
        self.changed.emit()

    @property
    def blinks_alone(self) -> bool:
        """Whether views take turns by themselves."""
        return self._timer.isActive()

    def set_rate(self, rate: float) -> None:
        """Choose how often views take turns.

        Parameters
        ----------
        rate : float
            Changes a second, `SLOWEST` to `FASTEST`.
        """
        self.rate = min(FASTEST, max(SLOWEST, rate))
        if self.blinks_alone:
            self._timer.start(round(1000 / self.rate))

    def _turn_over(self) -> None:
        self._turn = (self._turn + 1) % len(self._compared)
        self._draw()
        self._mark()
        self.changed.emit()

    def move(self, position: float) -> None:
        """Move the line, or, in "opacity", show that much of B.

        Parameters
        ----------
        position : float
            0 to 1.
        """
        position = min(1.0, max(0.0, position))
        if self.mode == "opacity":
            self.share = position
            self._draw()
            self._mark()
        else:
            self.line = Line(position, self.line.upright)
            self._drawn.move(self.line)
            if self.mode == "swipe":
                self.marks.show_line(self.line)
        self.changed.emit()

    def more(self, steps: int = 1) -> None:
        """Show more of B, by the line or by its opacity; a negative number shows less."""
        if self.mode not in ("swipe", "opacity"):
            self.begin("swipe")
        elif self.mode == "opacity":
            self.move(self.share + steps * _STEP)
        else:
            self.move(self.line.position - steps * _STEP)

    def less(self) -> None:
        """Show less of B."""
        self.more(-1)

    def turn_line(self, upright: bool) -> None:
        """Let A and B lie left and right of the line, or above and below it."""
        self.line = Line(self.line.position, upright)
        self._draw()
        self._mark()
        self.changed.emit()

    # ---------------------------------------------------------------- what else happens

    def _pointed(self, event: Any = None) -> None:
        if self.mode == "grid":
            self.marks.show_crosses(self.controller.viewer.cursor.position)

    def _toggled(self, event: Any) -> None:
        """Somebody shows or hides a layer: from then on the layers are shown as they say."""
        if not self._ours:
            self._end(keep=(event.source,))

    def _look_again(self, event: object = None) -> None:
        """End if what is compared is not there any more."""
        if self.mode is not None:
            there = {view.name: view.layers for view in self.views}
            gone = any(there.get(view.name) != view.layers for view in self._compared)
            if gone or self.controller.image is not self._image:
                self.end()
            else:
                self._draw()
                self._mark()
        self.changed.emit()

    def _layer_added(self, event: Any) -> None:
        """Compare a forensic view that was opened; in the grid and in blinking, as one more."""
        about = event.value.metadata.get(METADATA, {})
        opened = next((v for v in self.views[1:] if event.value in v.layers), None)
        if opened is None or not is_evidence(about):
            self._look_again()
            return
        chosen = self.chosen
        several = self.mode in ("grid", "blink")
        kept = [name for name in (chosen if several else chosen[:1]) if name != opened.name]
        if self.mode is not None:
            self._follow(event.value)
        self.choose([*kept, opened.name])


def _why_not(n_views: int) -> str:
    if n_views == 0:
        return "There is nothing to compare: open a picture, and look at it in 2-D."
    return "There is one view only: open another one as a layer, or partition the picture."
