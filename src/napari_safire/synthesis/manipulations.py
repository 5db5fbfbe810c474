"""What makes a region of a picture another source: splicing, copy-move, removal, reconstruction.

Each is a function of the scene so far; it gives back where the region lies, what its pixels are
there, and a record of all that decided them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from napari_safire.synthesis.camera import Pipeline, develop, sample_pipeline
from napari_safire.synthesis.copy_move import copy_move
from napari_safire.synthesis.plugins import inpaint, reconstruct
from napari_safire.synthesis.scenes import (
    ATTEMPTS,
    Region,
    Scene,
    box_of,
    free_region,
    paste,
    place_of,
    random_corner,
    shape_of,
)


def splice(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Paste a part of another photograph, or of the same one with another history."""
    mask, kind = free_region(scene, rng)
    photo_index = scene.photos[source]
    # Only sources of one photograph need histories that differ.
    siblings = [pipeline for index, pipeline in scene.histories if index == photo_index]
    pipeline = _distinct_pipeline(siblings, rng)
    photo = scene.bank[photo_index]
    box = box_of(mask)
    shape = shape_of(box)
    # In the hard case half of the regions stay in place: processed, not moved.
    if scene.same_photo and rng.random() < 0.5:
        scale = scene.histories[0][1].scale
        corner = (
            scene.corner[0] + int(box[0].start / scale),
            scene.corner[1] + int(box[1].start / scale),
        )
    else:
        corner = random_corner(photo, shape, rng)
    patch = develop(photo, corner, shape, pipeline, rng)
    pixels, edge = paste(scene.pixels, mask, box, patch, rng)
    record = {
        "operation": "splicing",
        **scene.bank.origin(photo_index),
        "corner": corner,
        "shape": kind,
        "pipeline": pipeline.as_record(),
        "place": place_of(box),
        "edge": edge,
    }
    return Region(mask, pixels, record, (photo_index, pipeline))


def remove(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Fill a region from its surroundings, as if an object had stood there."""
    del source
    mask, kind = free_region(scene, rng)
    name = str(rng.choice(scene.settings.inpainters))
    # A generator of its own: how much a plug-in draws changes nothing that comes after.
    pixels = inpaint(name, scene.pixels, mask, np.random.default_rng(int(rng.integers(2**63))))
    record = {
        "operation": "removal",
        **scene.bank.origin(scene.photos[0]),
        "shape": kind,
        "place": place_of(box_of(mask)),
        "inpainter": name,
    }
    return Region(mask, pixels, record)


def regenerate(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Put what an autoencoder or a generator makes of a region in its place."""
    del source
    mask, kind = free_region(scene, rng)
    name = str(rng.choice(scene.settings.reconstructors))
    strength = float(rng.choice(scene.settings.strengths))
    own = np.random.default_rng(int(rng.integers(2**63)))
    pixels = reconstruct(name, scene.pixels, mask, strength, own)
    record = {
        "operation": "reconstruction",
        **scene.bank.origin(scene.photos[0]),
        "shape": kind,
        "place": place_of(box_of(mask)),
        "reconstructor": name,
        "strength": strength,
    }
    return Region(mask, pixels, record)


MANIPULATIONS: Mapping[str, Callable[[Scene, int, np.random.Generator], Region]] = {
    "splicing": splice,
    "copy-move": copy_move,
    "removal": remove,
    "reconstruction": regenerate,
}


def _distinct_pipeline(others: list[Pipeline], rng: np.random.Generator) -> Pipeline:
    """A history that differs visibly from the others, which are of the same photograph."""
    for _ in range(ATTEMPTS):
        pipeline = sample_pipeline(rng, pasted=True)
        if all(pipeline.separation(other) >= 1.5 for other in others):
            break
    return pipeline
