"""Outlines of pasted regions: blobs, ellipses, polygons, unions of superpixels, and objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.segmentation import slic

KINDS = ("blob", "ellipse", "polygon", "superpixels")


class ObjectMasks(Protocol):
    """Finds the objects of a picture: (H, W, 3) uint8 pixels -> (H, W) bool masks.

    The same picture must give the same masks, in the same order.
    """

    def __call__(self, pixels: npt.NDArray[np.uint8], /) -> Sequence[npt.NDArray[np.bool_]]:
        """Find them."""
        ...


def sample_shape(
    kind: str,
    shape: tuple[int, int],
    area: float,
    rng: np.random.Generator,
    picture: npt.NDArray[np.uint8] | None = None,
    objects: ObjectMasks | None = None,
) -> npt.NDArray[np.bool_]:
    """Draw one connected region.

    Parameters
    ----------
    kind : {"blob", "ellipse", "polygon", "superpixels", "object"}
    shape : (int, int)
        Rows and columns of the canvas.
    area : float
        Wanted share of the canvas, 0..1; met approximately.
    rng : numpy.random.Generator
    picture : (H, W, 3) uint8 array, optional
        What superpixels follow and objects are sought in; without it both become "blob".
    objects : ObjectMasks, optional
        Needed for "object": one of the three objects nearest in area is taken, at
        random. Where there is none, a blob.

    Returns
    -------
    (H, W) bool array
    """
    if kind not in (*KINDS, "object"):
        raise ValueError(f"Unknown region shape {kind!r}: use one of {', '.join(KINDS)}, object.")
    centre = rng.uniform(0.15, 0.85, 2) * shape
    if kind == "ellipse":
        return _ellipse(shape, area, centre, rng)
    if kind == "polygon":
        return _polygon(shape, area, centre, rng)
    if kind == "superpixels" and picture is not None:
        return _superpixels(picture, area, centre)
    if kind == "object" and picture is not None and objects is not None:
        found = _object(objects(picture), shape, area, rng)
        if found is not None:
            return found
    return _blob(shape, area, centre, rng)


def _ellipse(
    shape: tuple[int, int], area: float, centre: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    aspect = np.exp(rng.uniform(-0.7, 0.7))
    radius = np.sqrt(area * shape[0] * shape[1] / np.pi)
    turn = rng.uniform(0, np.pi)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    rows, cols = rows - centre[0], cols - centre[1]
    along = (rows * np.cos(turn) + cols * np.sin(turn)) / (radius * aspect)
    across = (cols * np.cos(turn) - rows * np.sin(turn)) / (radius / aspect)
    return along**2 + across**2 <= 1


def _polygon(
    shape: tuple[int, int], area: float, centre: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = np.sqrt(area * shape[0] * shape[1] / 2) * rng.uniform(0.6, 1.4, corners)
    points = [
        (float(centre[1] + r * np.cos(a)), float(centre[0] + r * np.sin(a)))
        for a, r in zip(angles, radius, strict=True)
    ]
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon(points, fill=1)
    return np.array(canvas)


def _blob(
    shape: tuple[int, int], area: float, centre: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    # Low-pass noise minus the distance from the centre, cut at the level that gives the area.
    step = 8
    coarse = (max(2, shape[0] // step), max(2, shape[1] // step))
    radius = np.sqrt(area * shape[0] * shape[1] / np.pi)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse), max(1.0, radius / step / 2.5))
    noise /= noise.std() + 1e-9
    rows, cols = np.ogrid[: coarse[0], : coarse[1]]
    distance = np.hypot(rows * step - centre[0], cols * step - centre[1]) / radius
    field = 0.35 * noise - distance
    field = ndimage.zoom(field, (shape[0] / coarse[0], shape[1] / coarse[1]), order=1)
    mask = field > np.quantile(field, 1 - area)
    regions, count = ndimage.label(mask)
    if count > 1:
        mask = regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])
    return mask


def _superpixels(
    picture: npt.NDArray[np.uint8], area: float, centre: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    # Objects have edges where the picture has: join the superpixels nearest to the centre.
    height, width = picture.shape[:2]
    scale = max(1, round(max(height, width) / 160))
    segments = slic(
        picture[::scale, ::scale], n_segments=60, compactness=12, start_label=0, max_num_iter=4
    )
    count = int(segments.max()) + 1
    index = np.arange(count)
    rows, cols = np.array(ndimage.center_of_mass(np.ones_like(segments), segments, index)).T
    order = np.argsort(np.hypot(rows * scale - centre[0], cols * scale - centre[1]))
    sizes = np.bincount(segments.ravel(), minlength=count)[order]
    chosen = order[: max(1, int(np.searchsorted(np.cumsum(sizes), area * segments.size)) + 1)]
    small = np.isin(segments, chosen)
    return np.repeat(np.repeat(small, scale, 0), scale, 1)[:height, :width]


def _object(
    masks: Sequence[npt.NDArray[np.bool_]],
    shape: tuple[int, int],
    area: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_] | None:
    for mask in masks:
        if mask.shape != shape or mask.dtype != bool:
            raise ValueError(
                f"An object mask is {mask.dtype} of shape {mask.shape}: it must be bool of {shape}."
            )
    # Nothing, and the whole picture, are no objects.
    usable = [mask for mask in masks if 0 < mask.mean() < 1]
    if not usable:
        return None
    nearest = sorted(usable, key=lambda mask: abs(float(np.log(mask.mean() / area))))[:3]
    return nearest[int(rng.integers(len(nearest)))]
