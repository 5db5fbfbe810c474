"""The layers that belong to one image layer: prompts, sources, forgery map, uncertainty.

They are ordinary napari layers that lie exactly over the image. Users rename, move, hide and
remove them as they like; those that results need are made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import Colormap
from psygnal import Signal

from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.annotation.recorded import PART
from napari_safire.forgery import ForgeryMap
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.layers.colours import (
    MAP_NAMES,
    MUTED_NAME,
    PROMPT_BORDER,
    UNCERTAINTY_COLOURS,
    forgery_colormap,
    source_colormap,
)
from napari_safire.gui.layers.image_planes import PictureLayer, picture_id
from napari_safire.gui.layers.parts import (
    CHANNELS,
    METADATA,
    OVERLAY,
    PARTS,
    TRANSFORMS,
    insert_quietly,
    part_of,
)
from napari_safire.images.records.head import FROM_ONE
from napari_safire.types import FloatImage, SourcePartition

View = Literal["picture", "sources", "forgery map", "uncertainty"]
"""What of a picture is looked at."""
VIEWS: tuple[View, ...] = get_args(View)
_POINT_SHARE = 60  # a prompt is drawn this small a part of the picture's longer side


class LayerGroup:
    """Layers that go with an image layer in a viewer.

    Forgery map and uncertainty lie over the sources, which are hidden while one of them is shown
    and come back when none is. They are never shown together, unless views are compared.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    picture : PictureLayer
    sources_opacity : float
        Of the Labels layer, 0 to 1.

    Attributes
    ----------
    map_shown : Signal(bool)
        The forgery map is shown or hidden, by the dock or in napari's list of layers.
    view_changed : Signal()
        Any of sources, map and uncertainty is shown or hidden.
    compared : bool
        Views are compared: whoever compares them shows and hides these layers.
    """

    map_shown = Signal(bool)
    view_changed = Signal()

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
        self.next_click: Points | None = None
        self._made: set[Layer] = set()
        # Of which result the values at a position of the stack are: ("heatmap", (3,)).
        self._results: dict[tuple[str, tuple[int, ...]], object] = {}
        self._covers = False  # the sources were hidden for what lies over them
        self.compared = False
        self._connections = Connections()
        for name in TRANSFORMS:
            self._connections.connect(getattr(picture.layer.events, name), self._follow)

    def close(self) -> None:
        """Let go of the image layer; the layer_group stay in the viewer."""
        self._connections.disconnect()
        self._uncover()
        self.map_shown.disconnect()
        self.view_changed.disconnect()

    def layers(self) -> list[Layer]:
        """Those that exist."""
        return [layer for name in PARTS if (layer := getattr(self, name)) is not None]

    def adopt(self) -> None:
        """Take over the layers that were made for the picture before, by a dock that was closed.

        Those that do not fit the picture any more stay what they are: the user's.
        """
        of = str(picture_id(self.picture.layer))
        for layer in self._viewer.layers:
            picture, name = part_of(layer)
            if picture == of and getattr(self, name) is None and self._fits(layer):
                setattr(self, name, layer)
                self._made.add(layer)
        for layer in (self.sources, self.heatmap, self.uncertainty):
            if layer is not None:
                self._connections.connect(layer.events.visible, self._toggled)
                self._shown(layer)

    def see_as(self, picture: PictureLayer) -> None:
        """See other channels of the image layer as the picture."""
        self.picture = picture
        for layer in self._made.intersection(self.layers()):
            layer.metadata[METADATA][CHANNELS] = picture.channels

    def disown(self, *layers: Layer) -> None:
        """Leave layers to the user: no later dock takes them over. Default: all."""
        for layer in layers or self.layers():
            layer.metadata.get(METADATA, {}).pop(PART, None)

    def _fits(self, layer: Layer) -> bool:
        if isinstance(layer, Points):
            return bool(layer.ndim == self.picture.ndim)
        data = layer.data
        return isinstance(data, np.ndarray) and data.shape == self.picture.lengths

    def drop(self, layer: Layer) -> bool:
        """Forget a layer that was removed from the viewer; whether it was one of these."""
        for name in PARTS:
            if getattr(self, name) is layer:
                self.disown(layer)
                setattr(self, name, None)
                self._made.discard(layer)
                self._results = {key: of for key, of in self._results.items() if key[0] != name}
                self._cover()
                if name == "heatmap":
                    self.map_shown.emit(False)
                self.view_changed.emit()
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
                border_width=PROMPT_BORDER,
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
                metadata={METADATA: {"numbering": FROM_ONE, "image": self.picture.layer.name}},
                **self.picture.placement(),
            )
            self._add(self.sources, self.heatmap, self.uncertainty, self.prompts, self.next_click)
            self._connections.connect(self.sources.events.visible, self._toggled)
            self._cover()
            self.view_changed.emit()
        return self.sources

    def show_heatmap(self, index: tuple[int, ...], forgery: ForgeryMap, visible: bool) -> None:
        """Put the values of a forgery map into its layer at a position of the stack.

        Parameters
        ----------
        index : tuple of int
        forgery : ForgeryMap
        visible : bool
            Of the layer, if it has to be made.
        """
        self._let_go_of_misfits()
        if self.heatmap is None:
            self.heatmap = self._overlay(MAP_NAMES[True], forgery_colormap(muted=True), visible)
            show_name_on_canvas(self.heatmap)
            self._add(self.heatmap, self.prompts)
            self._connections.connect(self.heatmap.events.visible, self._toggled)
            self._shown(self.heatmap)
        self._put("heatmap", index, forgery.heatmap, forgery)

    def style_heatmap(self, forgery: ForgeryMap | None) -> None:
        """Let the forgery map glow, or not.

        Parameters
        ----------
        forgery : ForgeryMap or None
            That of the plane that is looked at. Only where its verdict is "forged" the map is drawn
            at full scale; else it is muted, and its name, which is written on the canvas, says why.
            None where no single plane is looked at: muted, too.
        """
        layer = self.heatmap
        muted = forgery is None or bool(forgery.caveat)
        if layer is None or (layer.colormap.name == MUTED_NAME) == muted:
            return
        layer.colormap = forgery_colormap(muted=muted)
        if layer.name.endswith(MAP_NAMES[not muted]):  # else the user has given it another one
            layer.name = layer.name.removesuffix(MAP_NAMES[not muted]) + MAP_NAMES[muted]

    def show_uncertainty(
        self, index: tuple[int, ...], values: FloatImage, partition: SourcePartition
    ) -> None:
        """Put the uncertainty of a partition, in [0, 1], into its layer."""
        self._let_go_of_misfits()
        if self.uncertainty is None:
            self.uncertainty = self._overlay("uncertainty", UNCERTAINTY_COLOURS, False)
            self._add(self.uncertainty, self.prompts)
            self._connections.connect(self.uncertainty.events.visible, self._toggled)
        self._put("uncertainty", index, values, partition)
        self.uncertainty.visible = True

    def drop_outdated(
        self,
        index: tuple[int, ...],
        forgery: ForgeryMap | None,
        partition: SourcePartition | None,
    ) -> None:
        """Take results out of their layers that are not those of a plane any more.

        Parameters
        ----------
        index : tuple of int
            Of the plane.
        forgery : ForgeryMap or None
            Its forgery map as it is now.
        partition : SourcePartition or None
            The partition that it shows.
        """
        self._let_go_of_misfits()
        for name, now in (("heatmap", forgery), ("uncertainty", partition)):
            layer: Image | None = getattr(self, name)
            of = self._results.get((name, index))
            if layer is None or of is None or of is now:
                continue
            del self._results[name, index]
            layer.data[index] = 0
            if any(other == name for other, _ in self._results):
                layer.refresh()
            else:
                layer.visible = False  # of no plane there is anything to see

    def _let_go_of_misfits(self) -> None:
        """Leave results to the user whose data, which scripts may replace, hold none any more."""
        for layer in (self.heatmap, self.uncertainty):
            if layer is not None and not (
                self._fits(layer) and np.can_cast(np.float32, layer.data.dtype)
            ):
                self.drop(layer)

    def recall(self, index: tuple[int, ...], forgery: ForgeryMap) -> None:
        """Know of which result the values of an adopted forgery map are."""
        if self.heatmap is not None:
            self._results["heatmap", index] = forgery

    def _put(self, name: str, index: tuple[int, ...], values: FloatImage, of: object) -> None:
        layer: Image = getattr(self, name)
        self._results[name, index] = of
        layer.data[index] = values
        layer.refresh()

    @property
    def view(self) -> View:
        """What is looked at."""
        if self.heatmap is not None and self.heatmap.visible:
            return "forgery map"
        if self.uncertainty is not None and self.uncertainty.visible:
            return "uncertainty"
        return "sources" if self.sources is not None and self.sources.visible else "picture"

    def layer_of(self, view: View) -> Layer | None:
        """Return the layer that a view shows over the picture, if there is one."""
        layers = {
            "sources": self.sources,
            "forgery map": self.heatmap,
            "uncertainty": self.uncertainty,
        }
        return layers.get(view)

    def show(self, view: View) -> None:
        """Look at one view, and at no other."""
        wanted = self.layer_of(view)
        for layer in (self.heatmap, self.uncertainty):
            if layer is not None and layer is not wanted:
                layer.visible = False
        if wanted is not None:
            wanted.visible = True
        elif view == "picture" and self.sources is not None:
            self.sources.visible = False

    def has_uncertainty(self, index: tuple[int, ...]) -> bool:
        """Whether the uncertainty at a position of the stack is in its layer."""
        return ("uncertainty", index) in self._results

    def _toggled(self, event: Any) -> None:
        self._shown(event.source)

    def _shown(self, layer: Layer) -> None:
        """Make room for a layer that was shown, or for what a hidden one covered."""
        if self.compared:
            return
        shown = layer.visible
        if layer in (self.heatmap, self.uncertainty):
            for other in (self.heatmap, self.uncertainty):
                if shown and other is not None and other is not layer:
                    other.visible = False
            self._cover()
        if layer is self.heatmap:
            self.map_shown.emit(shown)
        self.view_changed.emit()

    def _cover(self) -> None:
        """Hide the sources while what lies over them is looked at."""
        overlays = [o for o in (self.heatmap, self.uncertainty) if o is not None]
        if not any(overlay.visible for overlay in overlays):
            self._uncover()
        elif self.sources is not None and self.sources.visible:
            self._covers = True
            self.sources.visible = False

    def _uncover(self) -> None:
        if self._covers and self.sources is not None:
            self.sources.visible = True
        self._covers = False

    def show_grid_prompts(self, places: list[tuple[float, ...]]) -> None:
        """Mark places of the grid's prompts, and only these, in a layer of their own."""
        self._mark("grid_prompts", "chosen grid prompts", places)

    def show_next_click(self, *places: tuple[float, ...]) -> None:
        """Mark the next best click in a layer of its own; without a place, none is marked."""
        self._mark("next_click", "next best click", places, size=2.0, opacity=0.7)

    def _mark(
        self,
        part: str,
        what: str,
        places: Sequence[tuple[float, ...]],
        size: float = 1.0,
        opacity: float = 1.0,
    ) -> None:
        """Mark places with rings, and only these; the layer is made when there are any."""
        layer = getattr(self, part)
        if layer is None:
            if not len(places):
                return
            layer = Points(
                ndim=self.picture.ndim,
                name=f"{self.picture.layer.name}: {what}",
                size=size * max(8.0, max(self.picture.shape) / _POINT_SHARE),
                symbol="ring",
                face_color="white",
                border_color="black",
                opacity=opacity,
                **self.picture.placement(),
            )
            setattr(self, part, layer)
            self._add(layer)
        layer.data = np.array(places, dtype=float).reshape(-1, self.picture.ndim)

    def note(self, **facts: Any) -> None:
        """Write facts for the writer into the sources' metadata."""
        if self.sources is not None:
            self.sources.metadata.setdefault(METADATA, {}).update(facts)

    def noted(self, fact: str, otherwise: Any) -> Any:
        """Return a fact that was noted."""
        about = {} if self.sources is None else self.sources.metadata.get(METADATA, {})
        return about.get(fact, otherwise)

    def _overlay(self, what: str, colormap: str | Colormap, visible: bool) -> Image:
        return Image(
            self._zeros(np.float32),
            name=f"{self.picture.layer.name}: {what}",
            colormap=colormap,
            contrast_limits=(0, 1),
            opacity=0.5,
            blending="translucent",
            visible=visible,
            metadata={METADATA: {OVERLAY: self.picture.layer.name}},
            **self.picture.placement(),
        )

    def _zeros(self, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        # Of a long stack only the planes that are written to ever take memory.
        return np.zeros(self.picture.lengths, dtype)

    def _add(self, layer: Layer, *below: Layer | None) -> None:
        """Add a layer under some others."""
        self._made.add(layer)
        name = next(name for name in PARTS if getattr(self, name) is layer)
        about = layer.metadata.setdefault(METADATA, {})
        about[PART] = (str(picture_id(self.picture.layer)), name)
        about[CHANNELS] = self.picture.channels
        insert_quietly(self._viewer.layers, layer, *below)

    def _follow(self, event: Any = None) -> None:
        placement = self.picture.placement()
        for layer in self._made.intersection(self.layers()):  # a layer of the user's stays put
            for name, value in placement.items():
                setattr(layer, name, value)


def show_name_on_canvas(layer: Image) -> None:
    """Write a layer's name on the canvas while it is visible, so that no screenshot lacks it."""
    overlay = getattr(layer, "name_overlay", None)
    if overlay is None:  # napari before 0.7 has none
        return
    waits = True

    def show(event: Any = None) -> None:
        nonlocal waits
        if waits and layer.visible:  # text takes napari a while to make
            waits, overlay.visible = False, True

    layer.events.visible.connect(show)
    show()
