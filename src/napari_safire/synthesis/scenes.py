"""A composite in the making, and where in it another region finds a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_safire.synthesis.camera import Pipeline
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.photo_bank import PhotoBank
from napari_safire.synthesis.retries import NoRoom
from napari_safire.synthesis.shapes import KINDS, ObjectMasks, sample_shape

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice]

ATTEMPTS = 50
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


def free_region(scene: Scene, rng: np.random.Generator) -> tuple[Mask, str]:
    """A region that leaves every source at least `smallest` of the picture."""
    for _ in range(ATTEMPTS):
        mask, kind = shape_of_region(scene, scene.pixels, rng)
        if leaves_room(mask, scene):
            return mask, kind
    raise no_room(scene)


def shape_of_region(scene: Scene, picture: Pixels, rng: np.random.Generator) -> tuple[Mask, str]:
    """Draw an outline in a picture, and say of which kind it is."""
    kinds = KINDS if scene.objects is None else (*KINDS, "object")
    kind = str(rng.choice(kinds))
    area = float(np.exp(rng.uniform(np.log(1.5 * scene.settings.smallest), np.log(0.4))))
    shape = scene.labels.shape
    mask = sample_shape(kind, shape, area, rng, picture=picture, objects=scene.objects)
    return mask, kind


def leaves_room(mask: Mask, scene: Scene) -> bool:
    """Whether the region and every other source keep the smallest share of the picture."""
    labels = scene.labels
    least = scene.settings.smallest * labels.size
    left = np.bincount(labels[~mask], minlength=int(labels.max()) + 1)
    return bool(mask.sum() >= least and left.min() >= least)


def no_room(scene: Scene) -> NoRoom:
    """Say that there is no place for one more region."""
    return NoRoom(
        f"Found no room for one more region of {scene.settings.smallest:.0%} in "
        f"{scene.labels.shape}: use fewer sources."
    )


def box_of(mask: Mask) -> Box:
    """Rows and columns that hold the mask."""
    rows, cols = ndimage.find_objects(mask.astype(np.int8))[0]
    return rows, cols


def shape_of(box: Box) -> tuple[int, int]:
    """Numbers of rows and columns."""
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def place_of(box: Box) -> tuple[int, int, int, int]:
    """Top, left, rows, columns."""
    return box[0].start, box[1].start, *shape_of(box)


def paste(
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
