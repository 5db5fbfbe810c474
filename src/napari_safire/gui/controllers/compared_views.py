"""Which views of a picture can be compared, and how each mode draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from napari.layers import Image, Labels, Layer

from napari_safire.annotation.recorded import PART
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.canvas_marks import Caption
from napari_safire.gui.layers.drawn_layers import Look, Side
from napari_safire.gui.layers.layer_group import VIEWS
from napari_safire.gui.layers.parts import METADATA, evidence_layers, is_overlay

CompareMode = Literal["grid", "blink", "swipe", "opacity"]
"""Side by side, one after the other, on either side of a line, or one over the other."""
MODES: tuple[CompareMode, ...] = get_args(CompareMode)
_FIRST_OF_EVIDENCE = ("map", "regions", "links")


@dataclass(frozen=True, slots=True)
class ComparedView:
    """A view that is there as layers.

    Parameters
    ----------
    name : str
        "picture", "sources", "forgery map", "uncertainty"; of a forensic view, as the catalogue has
        it; of a layer of the user's, the layer's.
    layers : tuple of napari.layers.Layer
        The first fills a cell of the grid, the others are drawn over it.
    """

    name: str
    layers: tuple[Layer, ...]


def views_of(controller: ViewerController, switch: ViewSwitch) -> tuple[ComparedView, ...]:
    """List what can be compared of the present plane: what is open as layers.

    Parameters
    ----------
    controller : ViewerController
    switch : ViewSwitch

    Returns
    -------
    tuple of ComparedView
        The picture first; empty without a picture.
    """
    image, group, key = controller.image, controller.layer_group, controller.key
    layers = controller.viewer.layers
    if image is None or group is None or key is None or image not in layers:
        return ()
    found: dict[str, list[Layer]] = {"picture": [image]}
    for view in VIEWS:
        layer = group.layer_of(view)
        if layer is None or layer not in layers or not switch.is_there(view):
            continue
        if view != "uncertainty" or group.has_uncertainty(key.index):
            found[view] = [layer]
    for name, its in _evidence(layers, image, key.index).items():
        found.setdefault(name, its)
    for layer in layers:
        if layer is not image and _is_own(layer):
            name = layer.name if layer.name not in found else f"{layer.name} (layer)"
            found.setdefault(name, [layer])
    return tuple(ComparedView(name, tuple(its)) for name, its in found.items())


def _evidence(layers: Sequence[Layer], image: Image, index: object) -> dict[str, list[Layer]]:
    """Layers of forensic views by name: a map, or regions with the links between them."""
    kinds: dict[str, dict[str, Layer]] = {}
    for layer in evidence_layers(layers, image):
        _, _, view, kind, its_index = layer.metadata[METADATA][PART]
        if its_index == index:
            kinds.setdefault(view, {})[kind] = layer
    found = {}
    for view, its in kinds.items():
        if "map" in its:
            found[view] = [its.pop("map")]
        if its:
            rest = [its[kind] for kind in _FIRST_OF_EVIDENCE if kind in its]
            found[f"{view}: regions" if view in found else view] = rest
    return found


def _is_own(layer: Layer) -> bool:
    """Whether a layer is one of the user's that fills an area."""
    ours = PART in layer.metadata.get(METADATA, {}) or is_overlay(layer)
    return isinstance(layer, Image | Labels) and not ours


def looks(
    mode: CompareMode, views: Sequence[ComparedView], turn: int, share: float, image: Layer
) -> dict[Layer, Look]:
    """How layers of compared views are drawn over the picture.

    Parameters
    ----------
    mode : CompareMode
    views : sequence of ComparedView
        A, B, …
    turn : int
        Place of the view that blinking shows.
    share : float
        0 to 1: how much of B there is to A, in "opacity".
    image : Layer
        Of the picture.
    """
    drawn: dict[Layer, Look] = {}
    shares = _shares(mode, views, turn, share)
    sides: tuple[Side, ...] = (-1, 1) if mode == "swipe" else (0, 0)
    for number, (view, part) in enumerate(zip(views, shares, strict=True)):
        side: Side = sides[number] if number < 2 else 0
        for layer in view.layers:
            if layer is not image:
                drawn[layer] = Look(layer.opacity * part, side)
    return drawn


def _shares(
    mode: CompareMode, views: Sequence[ComparedView], turn: int, share: float
) -> list[float]:
    if mode == "blink":
        return [float(number == turn) for number in range(len(views))]
    if mode == "grid":
        return [1.0] * len(views)
    if mode == "swipe":
        return [1.0, 1.0] + [0.0] * (len(views) - 2)
    return [1 - share, share] + [0.0] * (len(views) - 2)


def crossfaded(drawn: Mapping[Layer, Look], layers: Sequence[Layer]) -> dict[Layer, Look]:
    """Let each layer count as much as its opacity says, whatever lies over it.

    With shares a and b over a picture P the result is to be (1 - a - b) P + a A + b B. Where B lies
    over A, A has to be drawn at a / (1 - b): B will hide that part of it.

    Parameters
    ----------
    drawn : mapping of Layer to Look
    layers : sequence of Layer
        Of the viewer, the lowest first.
    """
    faded, above = {}, 0.0
    for layer in reversed([layer for layer in layers if layer in drawn]):
        opacity = drawn[layer].opacity
        faded[layer] = Look(min(1.0, opacity / (1 - above)) if above < 1 else 0.0)
        above += opacity
    return faded


def captions(
    mode: CompareMode, names: Sequence[str], turn: int, share: float, upright: bool
) -> list[Caption]:
    """Names of views, where they are drawn; those of the grid's cells are not among them.

    Parameters
    ----------
    mode : CompareMode
    names : sequence of str
        A, B, …
    turn : int
        Place of the view that blinking shows.
    share : float
        0 to 1: how much of B is seen.
    upright : bool
        Of the line.
    """
    if mode == "blink":
        return [Caption(names[turn], 0, 1)]
    if mode == "opacity":
        return [Caption(f"A: {names[0]}, B: {names[1]} {share:.0%}", 0, 1)]
    first = (
        Caption(f"A: {names[0]}", 0, 1) if upright else Caption(f"A: {names[0]}", 1, 0, "top right")
    )
    return [first, Caption(f"B: {names[1]}", 1, 1, "bottom right")]
