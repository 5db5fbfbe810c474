"""What views found as layers that lie exactly over their picture and go with it.

They are ordinary layers of napari, which nobody takes for an annotation: maps as images, regions
that a view accuses as labels, copies as vectors between both ends and as labels of these.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Vectors

from napari_safire.annotation.recorded import PART
from napari_safire.forensics import Evidence, EvidenceMap, Links
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.layers.colours import source_colormap, source_rgba
from napari_safire.gui.layers.image_planes import PictureLayer, picture_id, world_matrix
from napari_safire.gui.layers.parts import (
    EVIDENCE,
    METADATA,
    OVERLAY,
    TRANSFORMS,
    evidence_layers,
    insert_quietly,
)

KINDS = ("map", "regions", "links")
"""Layers that a view may have."""
_PIXELS = "found in"
"""In the metadata of these layers: the SHA-256 of the pixels."""
_MOST_LINKS = 100
_LINE_SHARE = 800  # a link is drawn this small a part of the picture's longer side
_GREY, _GLOWING = "gray", "inferno"  # both rise in brightness: views say what is brighter
_COARSE_OPACITY = 0.6  # the picture is seen through cells


class EvidenceLayers:
    """Layers of views of one picture in a viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    picture : PictureLayer
    """

    def __init__(self, viewer: ViewerModel, picture: PictureLayer) -> None:
        self._viewer = viewer
        self.picture = picture
        self._connections = Connections()
        for name in TRANSFORMS:
            self._connections.connect(getattr(picture.layer.events, name), self._follow)

    def close(self) -> None:
        """Let go of the picture; the layers stay in the viewer."""
        self._connections.disconnect()

    def of(self, index: tuple[int, ...], view: str) -> dict[str, Layer]:
        """Layers of a view at a position of the stack: its "map", "regions" and "links"."""
        found = {}
        for layer in self.all():
            *_, its_view, kind, its_index = layer.metadata[METADATA][PART]
            if (its_view, its_index) == (view, index):
                found[kind] = layer
        return found

    def all(self) -> list[Layer]:
        """Layers of all views of the picture."""
        return evidence_layers(self._viewer.layers, self.picture.layer)

    def show(
        self,
        index: tuple[int, ...],
        view: str,
        evidence: Evidence,
        sha256: str = "",
        below: Layer | None = None,
        kinds: Container[str] = KINDS,
    ) -> list[Layer]:
        """Open what a view found, and put it into the layers of it that are open already.

        Parameters
        ----------
        index : tuple of int
            Position of the plane in the stack.
        view : str
            Its name.
        evidence : Evidence
        sha256 : str
            Of the pixels that it was found in.
        below : napari.layers.Layer, optional
            Under which new layers come to lie.
        kinds : container of {"map", "regions", "links"}
            What is opened if it is not open; default: all.

        Returns
        -------
        list of napari.layers.Layer
            The uppermost last; empty where there is nothing to show.
        """
        there = self.of(index, view)
        wanted = self._wanted(index, view, evidence)
        for kind, layer in there.items():
            if kind not in wanted:
                self._viewer.layers.remove(layer)
        shown = []
        for kind, (make, values) in wanted.items():
            old = there.get(kind)
            if old is None and kind not in kinds:
                continue
            if old is not None and not _takes(old, values["data"]):
                self._viewer.layers.remove(old)
                old = None
            if old is None:
                old = make(**values, **self._about(index, view, kind))
                insert_quietly(self._viewer.layers, old, below)
            else:
                for name in ("data", *(values.keys() - _MADE_ONCE)):
                    setattr(old, name, values[name])
            old.metadata[METADATA][_PIXELS] = sha256
            shown.append(old)
        return shown

    def drop(self) -> None:
        """Remove all: what was found is of pixels that are no more."""
        for layer in self.all():
            self._viewer.layers.remove(layer)

    def drop_others(self, index: tuple[int, ...], sha256: str) -> None:
        """Remove what was found in other pixels than a plane has now, if that is known.

        Parameters
        ----------
        index : tuple of int
        sha256 : str
            Of the pixels as they are now.
        """
        for layer in self.all():
            about = layer.metadata[METADATA]
            if about[PART][-1] == index and about.get(_PIXELS, "") not in ("", sha256):
                self._viewer.layers.remove(layer)

    # ---------------------------------------------------------------- what is shown

    def _wanted(
        self, index: tuple[int, ...], view: str, evidence: Evidence
    ) -> dict[str, tuple[type[Layer], dict[str, Any]]]:
        wanted: dict[str, tuple[type[Layer], dict[str, Any]]] = {}
        name = f"{self.picture.layer.name} \N{EN DASH} {view}"
        if evidence.map is not None:
            values = self._map(index, evidence.map)
            wanted["map"] = (Image, values | {"name": name})
        if evidence.links is not None and len(evidence.links):
            both = {"name": f"{name}: links"} | self._vectors(index, evidence.links)
            regions = {"name": name} | self._regions(index, evidence.links.regions.copy())
            wanted |= {"regions": (Labels, regions), "links": (Vectors, both)}
        elif evidence.regions is not None:
            regions = self._regions(index, evidence.regions.astype(np.uint8))
            wanted["regions"] = Labels, regions | {"name": f"{name}: regions"}
        return wanted

    def _map(self, index: tuple[int, ...], drawn: EvidenceMap) -> dict[str, Any]:
        coloured = drawn.values.ndim == 3
        low, high = drawn.limits
        values: dict[str, Any] = {
            "data": _at(index, drawn.values),
            "opacity": _COARSE_OPACITY if drawn.cell > 1 else 1.0,
            "interpolation2d": "nearest",
            **self._placed((*index, *drawn.translation), drawn.cell),
        }
        if coloured:
            return values | {"rgb": True}
        return values | {
            "contrast_limits": (low, max(high, low + 1e-6)),
            "colormap": _GLOWING if drawn.cell > 1 else _GREY,
        }

    def _regions(self, index: tuple[int, ...], regions: npt.NDArray[np.uint8]) -> dict[str, Any]:
        number = int(regions.max(initial=1))
        return {
            "data": _at(index, regions),
            "colormap": source_colormap(number, first=1),
            "opacity": 0.5,
            **self._placed((*index, 0, 0)),
        }

    def _vectors(self, index: tuple[int, ...], links: Links) -> dict[str, Any]:
        chosen = np.linspace(0, len(links) - 1, min(len(links), _MOST_LINKS)).round().astype(int)
        starts, ends = links.starts[chosen], links.ends[chosen]
        data = np.zeros((len(chosen), 2, self.picture.ndim))
        data[:, 0, : len(index)] = index
        data[:, 0, len(index) :] = starts
        data[:, 1, len(index) :] = ends - starts
        colours = np.array([source_rgba(int(group) - 1) for group in links.groups[chosen]])
        return {
            "data": data,
            "edge_color": colours,
            "edge_width": max(1.0, max(self.picture.shape) / _LINE_SHARE),
            "vector_style": "line",
            "opacity": 0.6,
            **self._placed((0,) * self.picture.ndim),
        }

    # ---------------------------------------------------------------- where it lies

    def _placed(self, origin: tuple[float, ...], cell: int = 1) -> dict[str, Any]:
        """Arguments by which a layer's rows and columns are cells of the picture.

        The picture's own transform is all in `affine`, so that cells stay whole under it.
        """
        stack = (1.0,) * (self.picture.ndim - 2)
        return {
            "scale": (*stack, float(cell), float(cell)),
            "translate": tuple(map(float, origin)),
            **self._of_picture(),
        }

    def _of_picture(self) -> dict[str, Any]:
        layer, matrix = self.picture.layer, world_matrix(self.picture.layer)
        units, labels = layer.units, layer.axis_labels
        if self.picture.channels:
            matrix, units, labels = matrix[1:, 1:], units[1:], labels[1:]
        return {"affine": matrix, "units": units, "axis_labels": labels}

    def _about(self, index: tuple[int, ...], view: str, kind: str) -> dict[str, Any]:
        layer = self.picture.layer
        part = (str(picture_id(layer)), EVIDENCE, view, kind, index)
        return {"metadata": {METADATA: {OVERLAY: layer.name, PART: part}}}

    def _follow(self, event: Any = None) -> None:
        placement = self._of_picture()
        for layer in self.all():
            for name, value in placement.items():
                setattr(layer, name, value)


_MADE_ONCE = {"data", "rgb", "name", "opacity", "interpolation2d", "colormap", "edge_width"}


def _at(index: tuple[int, ...], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give values the axes of a stack, in which they lie in one place."""
    return values[(None,) * len(index)]


def _takes(layer: Layer, data: npt.NDArray[Any]) -> bool:
    """Whether other values can take the place of a layer's."""
    if isinstance(layer, Image):
        return bool(layer.rgb == (data.ndim > layer.ndim))
    return True
