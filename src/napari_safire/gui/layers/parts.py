"""Whose a layer is: what is noted with it, and how it comes into the viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari.components import LayerList
from napari.layers import Image, Layer

from napari_safire.annotation.recorded import PART
from napari_safire.gui.layers.image_planes import Channels, PictureLayer, picture_id

METADATA = "napari_safire"
OVERLAY = "overlay of"
"""In the metadata of an image layer that is a result: the name of its picture."""
EVIDENCE = "evidence"
"""In the `PART` of layers that show what a view found: picture, this, view, what, plane."""
CHANNELS = "channels"
TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
PARTS = ("prompts", "sources", "heatmap", "uncertainty", "grid_prompts", "next_click")
"""What layers are of their picture."""


def insert_quietly(layers: LayerList, layer: Layer, *below: Layer | None) -> None:
    """Add a layer under some others, without taking the selection from the user's own.

    Nobody hears of the selection in between: for each change of it napari shows other controls and
    tells all layers, which takes a third of the time that a layer needs to be added.
    """
    chosen = set(layers.selection)
    others = [layers.index(other) for other in below if other in layers]
    with layers.selection.events.blocker_all():
        layers.insert(min(others, default=len(layers)), layer)
        layers.selection = chosen


def picture_of(layer: Layer, *, evidence: bool = False) -> str:
    """Return the unique name of the image layer that a layer was made for, empty if for none.

    Parameters
    ----------
    layer : napari.layers.Layer
    evidence : bool
        Whether one that shows what a view found counts.
    """
    found = layer.metadata.get(METADATA, {}).get(PART)
    if evidence and isinstance(found, tuple) and EVIDENCE in found:
        return str(found[0])
    return part_of(layer)[0]


def channels_before(layers: Iterable[Layer], image: Image) -> Channels | None:
    """Which channels a dock that was closed saw as the picture, by the layers that it has left."""
    of = str(picture_id(image))
    for layer in layers:
        channels = layer.metadata.get(METADATA, {}).get(CHANNELS)
        if picture_of(layer) == of and isinstance(channels, Channels):
            return None if PictureLayer(image, channels).problem() else channels
    return None


def part_of(layer: Layer) -> tuple[str, str]:
    """Return for which picture a layer was made, and what it is of it; empty if for none."""
    found = layer.metadata.get(METADATA, {}).get(PART)
    return found if isinstance(found, tuple) and found[-1] in PARTS else ("", "")


def is_overlay(layer: Layer) -> bool:
    """Whether an image layer is a result, also where its picture is gone."""
    return OVERLAY in layer.metadata.get(METADATA, {})


def evidence_layers(layers: Iterable[Layer], picture: Layer) -> list[Layer]:
    """Layers of views of a picture.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
    picture : napari.layers.Layer
    """
    of = str(picture_id(picture))
    parts = ((layer, layer.metadata.get(METADATA, {}).get(PART)) for layer in layers)
    return [
        layer
        for layer, part in parts
        if isinstance(part, tuple) and part[:2] == (of, EVIDENCE) and len(part) == 5
    ]


def is_evidence(about: Mapping[str, Any]) -> bool:
    """Whether what is noted with a layer says that it shows what a view found."""
    part = about.get(PART)
    return isinstance(part, tuple) and EVIDENCE in part
