"""What is laid over a picture while its annotators' works are compared.

One Labels layer shows where they disagree, one each annotator's sources, and cut-outs lie side by
side. None of them is part of the work: all go when the adjudication does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_safire.gui.layers.colours import source_colormap
from napari_safire.gui.layers.image_planes import world_matrix
from napari_safire.gui.layers.parts import METADATA, OVERLAY, insert_quietly
from napari_safire.session.adjudication import letter

OPEN, DECIDED, LOOKED_AT = 1, 2, 3
"""Labels of the layer of disagreement."""
_COLOURS: dict[int | None, npt.NDArray[np.float32]] = {
    None: np.zeros(4, np.float32),
    0: np.zeros(4, np.float32),
    OPEN: np.array([1.0, 0.8, 0.0, 1.0], np.float32),
    DECIDED: np.array([0.6, 0.6, 0.6, 1.0], np.float32),
    LOOKED_AT: np.array([1.0, 0.0, 1.0, 1.0], np.float32),
}
_LINE_SHARE = 800  # an outline is this small a part of the picture's longer side
_GAP = 0.04  # between cut-outs, of their width
Box = tuple[int, int, int, int]
"""Top, left, and one beyond bottom and right."""


class AdjudicationLayers:
    """Layers over one picture.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Of the picture.
    opacity : float
        Of sources.
    """

    def __init__(self, viewer: ViewerModel, image: Image, opacity: float) -> None:
        self._viewer, self.image, self._opacity = viewer, image, opacity
        self._disagreement: Labels | None = None
        self._works: list[Labels] = []
        self._cut_outs: list[Layer] = []

    def close(self) -> None:
        """Take all of them away."""
        self.drop_cut_outs()
        self._remove([*self._works, self._disagreement])
        self._works, self._disagreement = [], None

    def show_disagreement(self, states: npt.NDArray[np.uint8]) -> None:
        """Show the outlines of the regions.

        Parameters
        ----------
        states : (H, W) uint8 array
            OPEN, DECIDED or LOOKED_AT on outlines; 0 elsewhere.
        """
        layer = self._disagreement
        if layer is not None and layer in self._viewer.layers:
            layer.data = states
            return
        self._disagreement = layer = self._labels(states, "disagreement", _colormap())
        layer.opacity = 0.9
        insert_quietly(self._viewer.layers, layer)

    def show_work(self, place: int | None, works: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Show the sources of one annotator, or of none.

        Parameters
        ----------
        place : int or None
        works : sequence of (H, W) uint8 array
            Of all of them.
        """
        if place is not None and not (
            self._works and all(w in self._viewer.layers for w in self._works)
        ):
            self._remove(self._works)
            self._works = [
                self._labels(labels, f"{name}: sources", source_colormap(255, first=1))
                for name, labels in zip(letters(len(works)), works, strict=True)
            ]
            for layer in self._works:
                layer.visible = False
                insert_quietly(self._viewer.layers, layer, self._disagreement)
        for number, layer in enumerate(self._works):
            layer.visible = number == place

    def show_cut_outs(
        self,
        box: Box,
        works: Sequence[npt.NDArray[np.uint8]],
        outlined: npt.NDArray[np.bool_],
    ) -> None:
        """Lay a place side by side as each annotator sees it, from its own place to the right.

        Parameters
        ----------
        box : Box
        works : sequence of (H, W) uint8 array
        outlined : (H, W) bool array
            The region that is decided on.
        """
        self.drop_cut_outs()
        top, left, bottom, right = box
        place = np.s_[top:bottom, left:right]
        step = (right - left) * (1 + _GAP)
        pixels = np.asarray(self.image.data)[place]
        marked = outlines(outlined[place].astype(np.int32) * LOOKED_AT).astype(np.uint8)
        for number, (name, labels) in enumerate(zip(letters(len(works)), works, strict=True)):
            placed = self._placed((top, left + number * step))
            about = {METADATA: {OVERLAY: self.image.name}}
            picture = Image(
                pixels, rgb=self.image.rgb, name=f"{name}: picture", metadata=about, **placed
            )
            if not self.image.rgb:
                picture.contrast_limits = self.image.contrast_limits
            colours = source_colormap(255, first=1)
            sources = self._labels(labels[place], f"{name}: cut-out", colours, placed)
            outline = self._labels(marked, f"{name}: region", _colormap(), placed)
            outline.opacity = 1.0
            self._cut_outs += [picture, sources, outline]
        for layer in self._cut_outs:
            insert_quietly(self._viewer.layers, layer)

    def drop_cut_outs(self) -> None:
        """Take them away."""
        self._remove(self._cut_outs)
        self._cut_outs = []

    def _labels(
        self,
        data: npt.NDArray[np.uint8],
        name: str,
        colours: DirectLabelColormap,
        placed: dict[str, Any] | None = None,
    ) -> Labels:
        layer = Labels(
            data,
            name=name,
            opacity=self._opacity,
            colormap=colours,
            **(placed or self._placed((0, 0))),
        )
        layer.editable = False
        return layer

    def _placed(self, origin: tuple[float, float]) -> dict[str, Any]:
        """Arguments by which a layer lies over the picture, from some place of it on."""
        return {
            "translate": origin,
            "affine": world_matrix(self.image),
            "units": self.image.units,
            "axis_labels": self.image.axis_labels,
        }

    def _remove(self, layers: Sequence[Layer | None]) -> None:
        for layer in layers:
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)


def outlines(regions: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Leave of numbered regions what lies at their borders.

    napari draws contours as well, but anew at each change: of 12 megapixels in a second.

    Parameters
    ----------
    regions : (H, W) int32 array
        0 is none.

    Returns
    -------
    (H, W) int32 array
        Lines inside the regions, of a width that can be seen when all of the picture is.
    """
    edge = np.zeros(regions.shape, np.bool_)
    for reach in range(1, max(1, round(max(regions.shape) / _LINE_SHARE)) + 1):
        for here, there in (
            (np.s_[:, reach:], np.s_[:, :-reach]),
            (np.s_[reach:], np.s_[:-reach]),
        ):
            differs = regions[here] != regions[there]
            edge[here] |= differs
            edge[there] |= differs
    return np.where(edge, regions, np.int32(0))


def letters(number: int) -> list[str]:
    """Return what some annotators are called: "A", "B" and so on."""
    return [letter(place) for place in range(number)]


def _colormap() -> DirectLabelColormap:
    return DirectLabelColormap(color_dict=dict(_COLOURS))
