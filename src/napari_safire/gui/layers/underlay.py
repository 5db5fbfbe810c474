"""The picture once more, under what is seen through, in cells of the grid.

napari gives a layer one cell. A second drawing of the picture shares the first one's pixels on the
graphics card, so that it takes no memory and no time to make.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels, Layer

from napari_safire.gui.layers.canvas_guard import canvas_of


class Underlay:
    """Draws a picture under other layers in their cells.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Without a window nothing is drawn.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._drawn: dict[Layer, Any] = {}  # vispy's nodes

    @property
    def over(self) -> set[Layer]:
        """Layers under which the picture is drawn."""
        return set(self._drawn)

    def lay_under(self, picture: Layer, layers: Iterable[Layer]) -> None:
        """Draw the picture under those of the layers that it is seen through.

        Parameters
        ----------
        picture : napari.layers.Layer
            It has to be shown in a cell of its own: what napari hides may be outdated.
        layers : iterable of napari.layers.Layer
        """
        self.drop()
        canvas = canvas_of(self._viewer)
        if canvas is None or not picture.visible:
            return
        for layer in layers:
            if layer is picture or not (isinstance(layer, Labels) or layer.opacity < 1):
                continue
            over = canvas.layer_to_visual[layer].node
            try:
                self._drawn[layer] = _again(canvas.layer_to_visual[picture].node, over)
            except AttributeError:  # drawn as tiles, or another vispy: the layer stands alone
                return

    def drop(self) -> None:
        """Draw none of them any more."""
        for node in self._drawn.values():
            node.parent = None
        self._drawn = {}


def _again(node: Any, over: Any) -> Any:
    """A second node of the same image, in the scene of a node that lies over it."""
    image, texture = node._data, node._texture
    again = type(node)(None, method="auto", texture_format=node.texture_format)
    again._data, again._texture = image, texture
    again._need_texture_upload = False
    again.cmap, again.gamma, again.interpolation = node.cmap, node.gamma, node.interpolation
    again.set_gl_state("translucent", depth_test=False, cull_face=False)
    again.transform = node.transform
    again.order = over.order - 1
    again.parent = over.parent
    return again
