"""Sample data for napari's menu *File > Open Sample*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_safire.data.demo import demo_composite as load_demo_composite

if TYPE_CHECKING:
    from napari.types import LayerData


def demo_composite() -> list[LayerData]:
    """Open the composite that ships with the package, with its true sources.

    Returns
    -------
    list of (data, metadata, layer type)
        The picture, an image layer of (H, W, 3) uint8; and its sources, a hidden labels layer of
        (H, W) uint8, so that one can look for them before one looks them up.
    """
    image, labels = load_demo_composite()
    return [
        (image, {"name": "demo composite", "rgb": True}, "image"),
        (labels, {"name": "demo composite: true sources", "visible": False}, "labels"),
    ]
