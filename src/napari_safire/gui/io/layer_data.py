"""Pictures, sources, maps and prompts as the layer data that a reader hands to napari."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_safire.forgery import NO_EVIDENCE
from napari_safire.gui.layers.colours import (
    MAP_NAMES,
    forgery_colormap,
    source_colormap,
    source_rgba,
)
from napari_safire.gui.layers.parts import OVERLAY
from napari_safire.images.masks import MAX_SOURCE
from napari_safire.images.reading import ReadImage
from napari_safire.images.records.head import FROM_ONE
from napari_safire.images.records.prompts import RecordedPrompt
from napari_safire.types import FloatImage

if TYPE_CHECKING:
    from napari.types import LayerData

_WITHOUT_SOURCE = (1.0, 1.0, 1.0, 1.0)


def first_source(about: Mapping[str, Any]) -> Literal[0, 1]:
    """Label of the first source in a layer that says this of itself in its metadata."""
    return 1 if about.get("numbering") == FROM_ONE else 0


def labels_layer(labels: Any, name: str, about: dict[str, Any]) -> LayerData:
    """Labels of sources as a layer, in the colours of the sources.

    Parameters
    ----------
    labels : (H, W) or (T, H, W) uint8 array
    name : str
    about : dict
        What is known of them; kept in the layer's metadata under "napari_safire".

    Returns
    -------
    (data, metadata, layer type)
    """
    options = {
        "name": name,
        "opacity": 0.4,
        "colormap": source_colormap(MAX_SOURCE + 1, first_source(about)),
        "metadata": {"napari_safire": about},
    }
    return labels, options, "labels"


def picture_layer(image: Any, name: str, about: dict[str, Any], *, rgb: bool) -> LayerData:
    """One picture or a stack as an image layer.

    Parameters
    ----------
    image : (..., H, W) or (..., H, W, 3|4) array
    name : str
    about : dict
        As in `labels_layer`.
    rgb : bool
        Whether the last axis holds channels.

    Returns
    -------
    (data, metadata, layer type)
    """
    return image, {"name": name, "rgb": rgb, "metadata": {"napari_safire": about}}, "image"


def heatmap_layer(
    heatmap: FloatImage, name: str, about: dict[str, Any], *, forged: bool
) -> LayerData:
    """A forgery map as a layer; below the threshold it is muted, and its metadata says why.

    Parameters
    ----------
    heatmap : (H, W) float32 array in [0, 1]
    name : str
        Of the picture.
    about : dict
        As in `labels_layer`.
    forged : bool
        Whether its verdict is "forged".

    Returns
    -------
    (data, metadata, layer type)
    """
    about = about | {OVERLAY: name}  # no picture to be worked on
    options = {
        "name": f"{name}: {MAP_NAMES[not forged]}",
        "colormap": forgery_colormap(muted=not forged),
        "opacity": 0.5,
        "contrast_limits": (0, 1),
        "visible": False,
        "metadata": {"napari_safire": about if forged else about | {"caveat": NO_EVIDENCE}},
    }
    return heatmap, options, "image"


def points_layer(
    prompts: Sequence[RecordedPrompt], name: str, about: dict[str, Any], *, visible: bool
) -> LayerData:
    """Recorded prompts as points, in the colours of their sources; see `labels_layer`."""
    first = first_source(about)
    options = {
        "name": name,
        "visible": visible,
        "features": {
            "source": [prompt.source for prompt in prompts],
            "confidence": [prompt.confidence for prompt in prompts],
            "role": [prompt.role for prompt in prompts],
        },
        "face_color": [
            source_rgba(prompt.source - first) if prompt.source >= first else _WITHOUT_SOURCE
            for prompt in prompts
        ],
        "metadata": {"napari_safire": about},
    }
    places = [(*prompt.index, prompt.row, prompt.col) for prompt in prompts]
    return np.array(places, dtype=float), options, "points"


def about_picture(picture: ReadImage) -> dict[str, Any]:
    """Say in a layer's metadata which file it shows."""
    return {
        "image": picture.path.stem,
        "image_path": str(picture.path),
        "image_file_sha256": picture.sha256,
        "decoding": picture.decoding.as_record(),
        "reading_warnings": list(picture.warnings),
    }
