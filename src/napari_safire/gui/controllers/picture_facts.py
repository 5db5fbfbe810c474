"""What is known of the picture in an image layer, for records."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from napari_safire.images.records.head import IMAGE_FACTS
from napari_safire.session.planes import Plane


def picture_facts(image: Layer, plane: Plane) -> dict[str, Any]:
    """What is known of the picture in an image layer, and of the model that read it.

    Parameters
    ----------
    image : napari.layers.Layer
    plane : Plane
        One of its planes.
    """
    known = image.metadata.get("napari_safire", {})
    facts = {fact: known[fact] for fact in IMAGE_FACTS.values() if fact in known}
    if "image_path" not in facts and image.source.path is not None:
        facts["image_path"] = str(image.source.path)
    if plane.embedding is not None:
        facts["image_sha256"] = plane.embedding.image_sha256
        facts["checkpoint_sha256"] = plane.embedding.checkpoint_sha256
    elif plane.pixels.sha256:
        facts["image_sha256"] = plane.pixels.sha256
    return {"image": image.name} | facts
