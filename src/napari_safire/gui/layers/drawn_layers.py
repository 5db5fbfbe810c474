"""How the canvas draws layers while views are compared: left out, faded, cut off at a line.

The layers themselves are left alone: what they hold, show and remember is the user's. Only their
pictures on the canvas are drawn otherwise, and a frame costs no more than napari's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from napari.components import ViewerModel
from napari.layers import Layer

from napari_safire.gui.layers.canvas_guard import canvas_of

Side = Literal[-1, 0, 1]
"""Of the line: before it (left, above), both, or beyond it (right, below)."""

# vispy's own filter for planes maps every fragment back to the canvas, which takes more than twice
# the time of a frame where the processor draws.
_CUT = """
    void cut_off_at_line() {
        if (dot(gl_FragCoord.xy, $normal) < $edge) discard;
    }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """Where views meet.

    Parameters
    ----------
    position : float
        0 to 1, of the canvas: from its left edge, or from the upper one.
    upright : bool
        Left and right of it; else above and below.
    """

    position: float = 0.5
    upright: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """How a layer is drawn.

    Parameters
    ----------
    opacity : float
        0 to 1, whatever the layer's own is; at 0 it is not drawn at all.
    side : Side
        Of the line, to which it is drawn.
    """

    opacity: float
    side: Side = 0


class DrawnLayers:
    """Draws layers of a viewer otherwise than they say themselves, until `restore`.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Without a window there is nothing to draw, and nothing is done.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._looks: dict[Layer, Look] = {}
        self._line = Line()
        self._names: dict[Layer, tuple[bool, Any]] = {}  # of layers on the canvas, as they were
        self._cuts: dict[Layer, tuple[Any, Any, Side]] = {}  # node, filter, side

    def draw(self, looks: Mapping[Layer, Look], line: Line) -> None:
        """Draw layers like this; those that are not named are drawn as ever.

        Parameters
        ----------
        looks : mapping of Layer to Look
        line : Line
        """
        for layer in self._looks.keys() - looks.keys():
            self._let_go(layer)
        self._looks, self._line = dict(looks), line
        for layer, look in looks.items():
            self._name(layer, look)
        self.again()

    def again(self, event: object = None) -> None:
        """Draw all as was asked: napari has drawn a layer anew, or the canvas has another size."""
        for layer, look in self._looks.items():
            node = self._node(layer)
            if node is not None:
                node.visible = look.opacity > 0
                node.opacity = look.opacity
                self._cut(layer, node, look.side)
        self.move(self._line)

    def move(self, line: Line) -> None:
        """Move the line."""
        self._line = line
        canvas = canvas_of(self._viewer)
        if canvas is None:
            return
        scene = canvas._scene_canvas
        width, height = scene.physical_size
        # OpenGL counts from the lower left corner.
        normal = (1.0, 0.0) if line.upright else (0.0, -1.0)
        edge = line.position * width if line.upright else (line.position - 1) * height
        for _, cut, side in self._cuts.values():
            cut.fshader["normal"] = tuple(side * part for part in normal)
            cut.fshader["edge"] = float(side * round(edge))  # fragments lie at halves
        scene.update()

    def join(self, layer: Layer, other: Layer) -> None:
        """Draw a layer in the cell of the grid in which another one is."""
        node, beside = self._node(layer), self._node(other)
        if node is not None and beside is not None and node.parent is not beside.parent:
            node.parent = beside.parent
            node.order = beside.order + 1

    def restore(self) -> None:
        """Draw all layers as they say themselves."""
        for layer in list(self._looks):
            self._let_go(layer)
        self._looks = {}

    def _let_go(self, layer: Layer) -> None:
        self._cut(layer, None, 0)
        self._name(layer, None)
        canvas = canvas_of(self._viewer)
        visual = None if canvas is None else canvas.layer_to_visual.get(layer)
        if visual is not None:
            visual._on_visible_change()
            visual._on_opacity_change()

    def _name(self, layer: Layer, look: Look | None) -> None:
        """Let a layer's name on the canvas be where the layer is drawn, or as it was."""
        overlay = getattr(layer, "name_overlay", None)  # napari before 0.7 has none
        if overlay is None or (layer not in self._names and not overlay.visible):
            return
        before = self._names.setdefault(layer, (overlay.visible, overlay.position))
        if look is None:
            overlay.visible, overlay.position = self._names.pop(layer)
            return
        overlay.visible = look.opacity > 0
        beyond = "top_right" if self._line.upright else "bottom_left"
        overlay.position = beyond if look.side > 0 else before[1]

    def _cut(self, layer: Layer, node: Any, side: Side) -> None:
        """Cut a layer's node off at the line, or leave it whole."""
        of, cut, before = self._cuts.get(layer, (None, None, 0))
        if of is node and before == side:
            return
        if cut is not None:
            with suppress(ValueError, RuntimeError):  # napari has closed it
                of.detach(cut)
            del self._cuts[layer]
        if side != 0 and node is not None:
            cut = _make_cut()
            node.attach(cut)
            self._cuts[layer] = (node, cut, side)

    def _node(self, layer: Layer) -> Any:
        canvas = canvas_of(self._viewer)
        visual = None if canvas is None else canvas.layer_to_visual.get(layer)
        return None if visual is None else visual.node


def _make_cut() -> Any:
    from vispy.visuals.filters.base_filter import Filter
    from vispy.visuals.shaders import Function

    cut = Filter(fcode=Function(_CUT), fhook="pre", fpos=1)
    cut.fshader["normal"], cut.fshader["edge"] = (1.0, 0.0), 0.0
    return cut
