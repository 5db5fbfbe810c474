"""Copy-move: an object of a picture pasted elsewhere in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.synthesis.camera import Pipeline, develop, sample_pipeline
from napari_safire.synthesis.scenes import (
    ATTEMPTS,
    Box,
    Mask,
    Region,
    Scene,
    box_of,
    leaves_room,
    no_room,
    paste,
    place_of,
    shape_of,
    shape_of_region,
)

_MARGIN = 8  # what `develop` takes away on each side


@dataclass(frozen=True, slots=True)
class Transform:
    """How a copied object is turned before it is pasted: mirrored, then rotated, then scaled."""

    flip: bool = False
    rotation: float = 0.0  # degrees
    scale: float = 1.0

    def matrix(self) -> npt.NDArray[np.float64]:
        """(2, 2): from (row, col) in the copy to (row, col) in the original, about the centres."""
        turn = np.deg2rad(self.rotation)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        return np.diag([1.0, -1.0 if self.flip else 1.0]) @ rotation / self.scale


def copy_move(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Paste an object of the same picture elsewhere in it."""
    del source
    copy = _placed_copy(scene, rng)
    tone = _sample_tone(rng)
    picture = Image.fromarray(scene.background)
    turned = _turned(picture, copy.box, shape_of(copy.target), copy.transform, margin=_MARGIN)
    patch = develop(np.asarray(turned), (0, 0), shape_of(copy.target), tone, rng)
    pixels, edge = paste(scene.pixels, copy.mask, copy.target, patch, rng)
    record = {
        "operation": "copy-move",
        **scene.bank.origin(scene.photos[0]),
        "shape": copy.kind,
        "from": place_of(copy.box),
        "place": place_of(copy.target),
        "transform": asdict(copy.transform),
        "pipeline": tone.as_record(),
        "edge": edge,
    }
    return Region(copy.mask, pixels, record)


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """Where an object lies, where its copy shall, and the copy's outline there."""

    box: Box
    target: Box
    mask: Mask
    kind: str
    transform: Transform


def _placed_copy(scene: Scene, rng: np.random.Generator) -> _Copy:
    for _ in range(ATTEMPTS):
        original, kind = shape_of_region(scene, scene.background, rng)
        if not original.any():
            continue
        transform = _sample_transform(rng)
        box = box_of(original)
        shape = _turned_shape(shape_of(box), transform)
        room = [side - part for side, part in zip(original.shape, shape, strict=True)]
        if min(room) < 0:
            continue
        top, left = (int(rng.integers(free + 1)) for free in room)
        target = (slice(top, top + shape[0]), slice(left, left + shape[1]))
        outline = Image.fromarray(original.astype(np.uint8) * np.uint8(255))
        mask = np.zeros_like(original)
        mask[target] = np.asarray(_turned(outline, box, shape, transform, margin=0)) >= 128
        elsewhere = (mask & original).sum() <= 0.25 * mask.sum()
        if elsewhere and leaves_room(mask, scene):
            return _Copy(box, target, mask, kind, transform)
    raise no_room(scene)


def _sample_transform(rng: np.random.Generator) -> Transform:
    flipped, turned, scaled = rng.random(3) < (0.35, 0.35, 0.4)
    rotation, size = rng.uniform(-45, 45), rng.uniform(np.log(0.6), np.log(1.6))
    return Transform(
        flip=bool(flipped),
        rotation=float(rotation) if turned else 0.0,
        scale=float(np.exp(size)) if scaled else 1.0,
    )


def _sample_tone(rng: np.random.Generator) -> Pipeline:
    if rng.random() < 0.6:
        return Pipeline()
    drawn = sample_pipeline(rng, pasted=True)
    return Pipeline(gamma=drawn.gamma, contrast=drawn.contrast, gains=drawn.gains)


def _turned_shape(shape: tuple[int, int], transform: Transform) -> tuple[int, int]:
    if transform.rotation == 0 and transform.scale == 1:
        return shape
    reach = np.abs(np.linalg.inv(transform.matrix())) @ shape
    return int(np.ceil(reach[0])), int(np.ceil(reach[1]))


def _turned(
    picture: Image.Image, box: Box, shape: tuple[int, int], transform: Transform, margin: int
) -> Image.Image:
    """The box of a picture, turned into an image of `shape` with a margin around it."""
    rows, cols = shape[0] + 2 * margin, shape[1] + 2 * margin
    matrix = transform.matrix()
    centre = np.array([(side.start + side.stop) / 2 for side in box])
    start = centre - matrix @ (rows / 2, cols / 2)
    # Pillow wants columns first.
    numbers = (matrix[1, 1], matrix[1, 0], start[1], matrix[0, 1], matrix[0, 0], start[0])
    return picture.transform(
        (cols, rows), Image.Transform.AFFINE, tuple(map(float, numbers)), Image.Resampling.BICUBIC
    )
