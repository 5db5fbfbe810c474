"""Sample data for napari's menu *File > Open Sample*, all made of the pictures of the package."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.utils.notifications import show_info
from PIL import Image

from napari_safire.gui.layers.colours import source_colormap
from napari_safire.images.demo import credits
from napari_safire.images.demo import demo_composite as load_demo_composite

if TYPE_CHECKING:
    from napari.types import LayerData

QUALITIES = (95, 85, 75)
# The largest rectangle of the street alone. It begins at a multiple of 8 in rows and columns, so
# that the blocks of its JPEG compression begin at its corner.
_STREET = (slice(400, 768), slice(464, 1024))


def demo_composite() -> list[LayerData]:
    """Open the composite that ships with the package, with its true sources.

    Returns
    -------
    list of (data, metadata, layer type)
        The picture, an image layer of (H, W, 3) uint8; and its sources, a hidden labels layer of
        (H, W) uint8, so that one can look for them before one looks them up.
    """
    image, labels = load_demo_composite()
    return _layers("demo composite", image, labels)


def demo_recompressed() -> list[LayerData]:
    """Open the composite as a stack of three, compressed as JPEG of falling quality.

    Returns
    -------
    list of (data, metadata, layer type)
        (3, H, W, 3) uint8 image and hidden (3, H, W) uint8 labels.
    """
    image, labels = load_demo_composite()
    name = f"demo composite, recompressed at {'/'.join(map(str, QUALITIES))}"
    stack = np.stack([_as_jpeg(image, quality) for quality in QUALITIES])
    return _layers(name, stack, np.stack([labels] * len(QUALITIES)))


def demo_authentic() -> list[LayerData]:
    """Open a part of the composite that comes from one photograph: nothing is to be found in it.

    Returns
    -------
    list of (data, metadata, layer type)
        (368, 560, 3) uint8 image and hidden (368, 560) uint8 labels, all of source 0.
    """
    image, labels = load_demo_composite()
    return _layers("demo: part of one photograph", image[_STREET].copy(), labels[_STREET].copy())


def _layers(name: str, image: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> list[Any]:
    # A layer's `help` is overwritten whenever its mode changes, hence the metadata and a message.
    show_info("Photo credits: layer.metadata['credits']")
    axes = ("quality", "row", "col")[-labels.ndim :]
    shared = {"metadata": {"credits": credits()}, "axis_labels": axes}
    sources = {
        "name": f"{name}: true sources",
        "visible": False,
        "colormap": source_colormap(int(labels.max()) + 1),
        **shared,
    }
    return [
        (image, {"name": name, "rgb": True, **shared}, "image"),
        (labels, sources, "labels"),
    ]


def _as_jpeg(image: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))
