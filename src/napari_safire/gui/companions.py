"""The layers that belong to one image layer: prompts, sources, forgery map, uncertainty.

They are ordinary napari layers that lie exactly over the image. Users rename, move, hide and
remove them as they like; those that results need are made again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points

from napari_safire.data.record import FROM_ONE
from napari_safire.gui.colours import source_colormap
from napari_safire.gui.connections import Connections
from napari_safire.gui.pictures import PictureLayer
from napari_safire.session.annotation import MOST_SOURCES
from napari_safire.types import FloatImage

_METADATA = "napari_safire"
_OVERLAY = "overlay of"
_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_NAMES = ("prompts", "sources", "heatmap", "uncertainty", "grid_prompts")
_POINT_SHARE = 60  # a prompt is drawn this small a part of the picture's longer side


class Companions:
    """Layers that go with an image layer in a viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    picture : PictureLayer
    sources_opacity : float
        Of the Labels layer, 0 to 1.
    """

    def __init__(
        self, viewer: ViewerModel, picture: PictureLayer, sources_opacity: float = 0.5
    ) -> None:
        self._viewer = viewer
        self.picture = picture
        self.sources_opacity = sources_opacity
        self.prompts: Points | None = None
        self.sources: Labels | None = None
        self.heatmap: Image | None = None
        self.uncertainty: Image | None = None
        self.grid_prompts: Points | None = None
        self._made: set[Layer] = set()
        self._connections = Connections()
        for name in _TRANSFORMS:
            self._connections.connect(getattr(picture.layer.events, name), self._follow)

    def close(self) -> None:
        """Let go of the image layer; the companions stay in the viewer."""
        self._connections.disconnect()

    def layers(self) -> list[Layer]:
        """Those that exist."""
        return [layer for name in _NAMES if (layer := getattr(self, name)) is not None]

    def drop(self, layer: Layer) -> bool:
        """Forget a layer that was removed from the viewer; whether it was one of these."""
        for name in _NAMES:
            if getattr(self, name) is layer:
                setattr(self, name, None)
                self._made.discard(layer)
                return True
        return False

    def need_prompts(self) -> Points:
        """Return the Points layer, made if there is none."""
        if self.prompts is None:
            size = max(6.0, max(self.picture.shape) / _POINT_SHARE)
            self.prompts = Points(
                ndim=self.picture.ndim,
                name=f"{self.picture.layer.name}: prompts",
                size=size,
                border_width=0.15,
                **self.picture.placement(),
            )
            self._add(self.prompts)
        return self.prompts

    def need_sources(self) -> Labels:
        """Return the Labels layer, made if there is none."""
        if self.sources is None:
            labels = self._zeros(np.uint8)
            self.sources = Labels(
                labels,
                name=f"{self.picture.layer.name}: sources",
                opacity=self.sources_opacity,
                colormap=source_colormap(MOST_SOURCES, first=1),
                metadata={_METADATA: {"numbering": FROM_ONE, "image": self.picture.layer.name}},
                **self.picture.placement(),
            )
            self._add(self.sources, below=self.prompts)
        return self.sources

    def show_heatmap(self, index: tuple[int, ...], values: FloatImage, visible: bool) -> None:
        """Put values in [0, 1] into the forgery map at a position of the stack."""
        if self.heatmap is None:
            self.heatmap = self._overlay("forgery map", "magma", visible)
            self._add(self.heatmap, below=self.prompts)
        self.heatmap.data[index] = values
        self.heatmap.refresh()

    def show_uncertainty(self, index: tuple[int, ...], values: FloatImage) -> None:
        """Put values in [0, 1] into the uncertainty at a position of the stack."""
        if self.uncertainty is None:
            self.uncertainty = self._overlay("uncertainty", "viridis", True)
            self._add(self.uncertainty, below=self.prompts)
        self.uncertainty.data[index] = values
        self.uncertainty.refresh()

    def show_grid_prompts(self, places: list[tuple[float, ...]]) -> None:
        """Mark places of the grid's prompts, and only these, in a layer of their own."""
        if self.grid_prompts is None:
            if not places:
                return
            self.grid_prompts = Points(
                ndim=self.picture.ndim,
                name=f"{self.picture.layer.name}: chosen grid prompts",
                size=max(8.0, max(self.picture.shape) / _POINT_SHARE),
                symbol="ring",
                face_color="white",
                border_color="black",
                **self.picture.placement(),
            )
            self._add(self.grid_prompts)
        self.grid_prompts.data = np.array(places, dtype=float).reshape(-1, self.picture.ndim)

    def note(self, **facts: Any) -> None:
        """Write facts for the writer into the sources' metadata."""
        if self.sources is not None:
            self.sources.metadata.setdefault(_METADATA, {}).update(facts)

    def noted(self, fact: str, otherwise: Any) -> Any:
        """Return a fact that was noted."""
        about = {} if self.sources is None else self.sources.metadata.get(_METADATA, {})
        return about.get(fact, otherwise)

    def _overlay(self, what: str, colormap: str, visible: bool) -> Image:
        return Image(
            self._zeros(np.float32),
            name=f"{self.picture.layer.name}: {what}",
            colormap=colormap,
            contrast_limits=(0, 1),
            opacity=0.5,
            blending="translucent",
            visible=visible,
            metadata={_METADATA: {_OVERLAY: self.picture.layer.name}},
            **self.picture.placement(),
        )

    def _zeros(self, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        # Of a long stack only the planes that are written to ever take memory.
        return np.zeros(self.picture.lengths, dtype)

    def _add(self, layer: Layer, below: Layer | None = None) -> None:
        """Add a layer without taking the selection from the user's own.

        The layer must be known as a companion by then: napari selects what it adds.
        """
        self._made.add(layer)
        layers = self._viewer.layers
        chosen = set(layers.selection)
        place = layers.index(below) if below is not None and below in layers else len(layers)
        layers.insert(place, layer)
        layers.selection = chosen

    def _follow(self, event: Any = None) -> None:
        placement = self.picture.placement()
        for layer in self._made.intersection(self.layers()):  # a layer of the user's stays put
            for name, value in placement.items():
                setattr(layer, name, value)


def is_overlay(layer: Layer) -> bool:
    """Whether an image layer is a result, also where its picture is gone."""
    return _OVERLAY in layer.metadata.get(_METADATA, {})
