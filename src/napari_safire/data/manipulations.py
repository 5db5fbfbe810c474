"""What makes a region of a picture another source: splicing, copy-move, removal, reconstruction.

Each is a function of the scene so far; it gives back where the region lies, what its pixels are
there, and a record of all that decided them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from napari_safire.data.camera import Pipeline, develop, sample_pipeline
from napari_safire.data.composite_settings import CompositeSettings
from napari_safire.data.photo_bank import PhotoBank
from napari_safire.data.plugins import inpaint, reconstruct
from napari_safire.data.redraw import NoRoom
from napari_safire.data.shapes import KINDS, ObjectMasks, sample_shape

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice]

_ATTEMPTS = 50
_MARGIN = 8  # what `develop` takes away on each side
_JPEG_BLOCK = 8


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A composite in the making.

    Parameters
    ----------
    bank : PhotoBank
    settings : CompositeSettings
    photos : tuple of int
        Photograph of the background and of each later source, if it is spliced.
    same_photo : bool
        All of them are one.
    corner : (int, int)
        Of the background in its photograph.
    background : (H, W, 3) uint8 array
        The picture before any manipulation.
    pixels : (H, W, 3) uint8 array
        The picture now.
    labels : (H, W) uint8 array
    histories : tuple of (int, Pipeline)
        Photograph and processing of each source that has its own; the background's is the first.
    objects : ObjectMasks, optional
    """

    bank: PhotoBank
    settings: CompositeSettings
    photos: tuple[int, ...]
    same_photo: bool
    corner: tuple[int, int]
    background: Pixels
    pixels: Pixels
    labels: npt.NDArray[np.uint8]
    histories: tuple[tuple[int, Pipeline], ...]
    objects: ObjectMasks | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A region and its new pixels.

    Parameters
    ----------
    mask : (H, W) bool array
    pixels : (H, W, 3) uint8 array
        The whole picture with the region in it.
    record : dict
    history : (int, Pipeline), optional
        Of a photograph that came in with it.
    """

    mask: Mask
    pixels: Pixels
    record: dict[str, Any]
    history: tuple[int, Pipeline] | None = None


def splice(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Paste a part of another photograph, or of the same one with another history."""
    mask, kind = _free_region(scene, rng)
    photo_index = scene.photos[source]
    # Only sources of one photograph need histories that differ.
    siblings = [pipeline for index, pipeline in scene.histories if index == photo_index]
    pipeline = _distinct_pipeline(siblings, rng)
    photo = scene.bank[photo_index]
    box = _box(mask)
    shape = _shape(box)
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
    pixels, edge = _paste(scene.pixels, mask, box, patch, rng)
    record = {
        "operation": "splicing",
        **scene.bank.origin(photo_index),
        "corner": corner,
        "shape": kind,
        "pipeline": pipeline.as_record(),
        "place": _place(box),
        "edge": edge,
    }
    return Region(mask, pixels, record, (photo_index, pipeline))


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
    turned = _turned(picture, copy.box, _shape(copy.target), copy.transform, margin=_MARGIN)
    patch = develop(np.asarray(turned), (0, 0), _shape(copy.target), tone, rng)
    pixels, edge = _paste(scene.pixels, copy.mask, copy.target, patch, rng)
    record = {
        "operation": "copy-move",
        **scene.bank.origin(scene.photos[0]),
        "shape": copy.kind,
        "from": _place(copy.box),
        "place": _place(copy.target),
        "transform": asdict(copy.transform),
        "pipeline": tone.as_record(),
        "edge": edge,
    }
    return Region(copy.mask, pixels, record)


def remove(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Fill a region from its surroundings, as if an object had stood there."""
    del source
    mask, kind = _free_region(scene, rng)
    name = str(rng.choice(scene.settings.inpainters))
    # A generator of its own: how much a plug-in draws changes nothing that comes after.
    pixels = inpaint(name, scene.pixels, mask, np.random.default_rng(int(rng.integers(2**63))))
    record = {
        "operation": "removal",
        **scene.bank.origin(scene.photos[0]),
        "shape": kind,
        "place": _place(_box(mask)),
        "inpainter": name,
    }
    return Region(mask, pixels, record)


def regenerate(scene: Scene, source: int, rng: np.random.Generator) -> Region:
    """Put what an autoencoder or a generator makes of a region in its place."""
    del source
    mask, kind = _free_region(scene, rng)
    name = str(rng.choice(scene.settings.reconstructors))
    strength = float(rng.choice(scene.settings.strengths))
    own = np.random.default_rng(int(rng.integers(2**63)))
    pixels = reconstruct(name, scene.pixels, mask, strength, own)
    record = {
        "operation": "reconstruction",
        **scene.bank.origin(scene.photos[0]),
        "shape": kind,
        "place": _place(_box(mask)),
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


def random_corner(
    photo: Pixels, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Draw where a crop of this shape begins."""
    free = (max(0, photo.shape[0] - shape[0] - 16), max(0, photo.shape[1] - shape[1] - 16))
    # Multiples of 8 keep a photograph's own JPEG grid where it was, as an editor's crop rarely
    # does but an untouched background always: leave it to chance.
    corner = (int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1)))
    if rng.random() < 0.5:
        return corner[0] // _JPEG_BLOCK * _JPEG_BLOCK, corner[1] // _JPEG_BLOCK * _JPEG_BLOCK
    return corner


# --- regions --------------------------------------------------------------------------------------


def _free_region(scene: Scene, rng: np.random.Generator) -> tuple[Mask, str]:
    """A region that leaves every source at least `smallest` of the picture."""
    for _ in range(_ATTEMPTS):
        mask, kind = _shape_of_region(scene, scene.pixels, rng)
        if _leaves_room(mask, scene):
            return mask, kind
    raise _no_room(scene)


def _shape_of_region(scene: Scene, picture: Pixels, rng: np.random.Generator) -> tuple[Mask, str]:
    kinds = KINDS if scene.objects is None else (*KINDS, "object")
    kind = str(rng.choice(kinds))
    area = float(np.exp(rng.uniform(np.log(1.5 * scene.settings.smallest), np.log(0.4))))
    shape = scene.labels.shape
    mask = sample_shape(kind, shape, area, rng, picture=picture, objects=scene.objects)
    return mask, kind


def _leaves_room(mask: Mask, scene: Scene) -> bool:
    labels = scene.labels
    least = scene.settings.smallest * labels.size
    left = np.bincount(labels[~mask], minlength=int(labels.max()) + 1)
    return bool(mask.sum() >= least and left.min() >= least)


def _no_room(scene: Scene) -> NoRoom:
    return NoRoom(
        f"Found no room for one more region of {scene.settings.smallest:.0%} in "
        f"{scene.labels.shape}: use fewer sources."
    )


def _box(mask: Mask) -> Box:
    rows, cols = ndimage.find_objects(mask.astype(np.int8))[0]
    return rows, cols


def _shape(box: Box) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _place(box: Box) -> tuple[int, int, int, int]:
    """Top, left, rows, columns."""
    return box[0].start, box[1].start, *_shape(box)


def _paste(
    pixels: Pixels, mask: Mask, box: Box, patch: Pixels, rng: np.random.Generator
) -> tuple[Pixels, float | None]:
    """The picture with the patch in it, and the width of a soft edge (sigma, pixels)."""
    edge = None
    alpha = mask[box].astype(np.float32)
    if rng.random() < 0.5:  # anti-aliased or feathered edge
        edge = float(rng.uniform(0.4, 1.5))
        # More than the filter's reach (four sigma): the same numbers as over the whole picture.
        top, left = (max(0, side.start - 8) for side in box)
        around = mask[top : box[0].stop + 8, left : box[1].stop + 8].astype(np.float32)
        inner = tuple(
            slice(side.start - first, side.stop - first)
            for side, first in zip(box, (top, left), strict=True)
        )
        alpha = ndimage.gaussian_filter(around, edge)[inner]
    part = alpha[..., None]
    blended = part * patch + (1 - part) * pixels[box]
    pasted = pixels.copy()
    pasted[box] = np.rint(blended).astype(np.uint8)
    return pasted, edge


def _distinct_pipeline(others: list[Pipeline], rng: np.random.Generator) -> Pipeline:
    """A history that differs visibly from the others, which are of the same photograph."""
    for _ in range(_ATTEMPTS):
        pipeline = sample_pipeline(rng, pasted=True)
        if all(pipeline.separation(other) >= 1.5 for other in others):
            break
    return pipeline


# --- copies ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """Where an object lies, where its copy shall, and the copy's outline there."""

    box: Box
    target: Box
    mask: Mask
    kind: str
    transform: Transform


def _placed_copy(scene: Scene, rng: np.random.Generator) -> _Copy:
    for _ in range(_ATTEMPTS):
        original, kind = _shape_of_region(scene, scene.background, rng)
        if not original.any():
            continue
        transform = _sample_transform(rng)
        box = _box(original)
        shape = _turned_shape(_shape(box), transform)
        room = [side - part for side, part in zip(original.shape, shape, strict=True)]
        if min(room) < 0:
            continue
        top, left = (int(rng.integers(free + 1)) for free in room)
        target = (slice(top, top + shape[0]), slice(left, left + shape[1]))
        outline = Image.fromarray(original.astype(np.uint8) * np.uint8(255))
        mask = np.zeros_like(original)
        mask[target] = np.asarray(_turned(outline, box, shape, transform, margin=0)) >= 128
        elsewhere = (mask & original).sum() <= 0.25 * mask.sum()
        if elsewhere and _leaves_room(mask, scene):
            return _Copy(box, target, mask, kind, transform)
    raise _no_room(scene)


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
