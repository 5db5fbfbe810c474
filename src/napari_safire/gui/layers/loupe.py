"""What views show around one pixel of a picture, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer

from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.gui.layers.parts import part_of
from napari_safire.text import printable

Colours = npt.NDArray[np.floating[Any]]
_GROUND = np.full(3, 0.15)  # beyond the picture


@dataclass(frozen=True, slots=True)
class CutOut:
    """A small square of a view.

    Parameters
    ----------
    rgb : (n, n, 3) uint8 array
        One value a pixel of the picture; the pixel that is looked at is in the middle.
    value : str
        What the view holds there: "143, 120, 98", "0.37", "source 2"; empty where nothing lies.
    """

    rgb: npt.NDArray[np.uint8]
    value: str


def cut_out(
    picture: PictureLayer, layers: Sequence[Layer], place: Sequence[float], n: int
) -> CutOut:
    """Look at a view through a loupe.

    Parameters
    ----------
    picture : PictureLayer
        Lies under the view.
    layers : sequence of napari.layers.Layer
        Of the view, the lowest first; empty, or the picture's own, for the picture itself.
    place : sequence of float
        Position in the stack, row and column in the picture.
    n : int
        Odd: pixels a side.

    Returns
    -------
    CutOut
        Of layers that are read from their file piece by piece nothing is shown.
    """
    centre = np.rint(np.asarray(place, float))
    around = np.arange(n) - n // 2
    places = np.tile(centre, (n * n, 1))
    places[:, -2] += np.repeat(around, n)
    places[:, -1] += np.tile(around, n)
    shown = np.tile(_GROUND, (n * n, 1))
    value = ""
    own = [layer for layer in layers if layer is not picture.layer]
    for layer in (picture.layer, *own):
        at = picture.from_picture(layer, places)
        if layer is picture.layer and picture.channels:
            at[:, 0] = picture.channels.picks[0]
        held = _values(layer, at)
        if held is None:
            continue
        values, inside = held
        colours = _colours(layer, values)
        opacity = 1.0 if layer is picture.layer else float(layer.opacity)
        share = np.where(inside, opacity, 0)[:, None] * colours[:, 3:]
        shown = shown * (1 - share) + colours[:, :3] * share
        middle = len(values) // 2
        if inside[middle]:
            value = _words(layer, values[middle])
        elif layer is not picture.layer:
            value = ""
    rgb = np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8).reshape(n, n, 3)
    return CutOut(rgb, value)


def _values(
    layer: Layer, places: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]] | None:
    """Values at places in a layer's data, and whether these lie in it; None if it has none."""
    if not isinstance(layer, Image | Labels):
        return None
    data = layer.data[0] if layer.multiscale else layer.data
    if not isinstance(data, np.ndarray):
        return None
    at = np.rint(places).astype(np.int64)
    lengths = np.array(data.shape[: layer.ndim])
    inside = np.all((at >= 0) & (at < lengths), axis=1)
    return data[tuple(np.clip(at, 0, lengths - 1).T)], inside


def _colours(layer: Layer, values: npt.NDArray[Any]) -> Colours:
    """Colours of values as the layer draws them: (N, 4), red, green, blue, opacity in [0, 1]."""
    if isinstance(layer, Labels):
        colours = np.asarray(layer.colormap.map(values)).reshape(-1, 4)
        return colours * (1, 1, 1, 0) if layer.contour else colours  # outlines are no areas
    assert isinstance(layer, Image)
    if layer.rgb:
        full = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1
        scaled = np.clip(values.astype(np.float32) / full, 0, 1)
        if scaled.shape[1] == 4:
            return scaled
        return np.column_stack([scaled, np.ones(len(scaled), np.float32)])
    low, high = layer.contrast_limits
    scaled = np.clip((values.astype(np.float32) - low) / max(high - low, 1e-12), 0, 1)
    return np.asarray(layer.colormap.map(scaled**layer.gamma))


def _words(layer: Layer, value: npt.NDArray[Any]) -> str:
    if isinstance(layer, Labels):
        kind = "source" if part_of(layer)[1] == "sources" else "label"
        return f"{kind} {int(value)}" if value else f"no {kind}"
    held = np.atleast_1d(value)
    return printable(", ".join(f"{float(v):.4g}" if v.dtype.kind == "f" else f"{v}" for v in held))
