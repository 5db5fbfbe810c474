"""Where a picture can hold a camera's traces at all: not where it is black, clipped or flat.

The features of such patches say nothing of where their pixels came from. They are alike, though,
and unlike the rest: a white background or a night sky looks to a model like a source of its own.

docs/lab-notes.md says on which photographs the thresholds were chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.geometry import Geometry
from napari_safire.types import FloatImage

Reasons = npt.NDArray[np.uint8]
"""Why a patch is uninformative: `INFORMATIVE`, `DARK`, `SATURATED` or `FLAT`."""

INFORMATIVE, DARK, SATURATED, FLAT = range(4)

_DARK_BELOW = 8.0  # luminance: noise is less than half of what it is in brighter patches
_SATURATED_FROM = 253.0  # all three channels: JPEG takes clipped pixels down by a level or two
_FLAT_BELOW = 0.25  # standard deviation of luminance: a step of one level in 7 % of the pixels
_MOST = 0.5  # of a patch's pixels, and of a pooled patch's area
_LUMINANCE = (0.299, 0.587, 0.114)
_STRIDE = 16
_STRIP_PATCHES = 8  # rows of patches at once: temporaries stay in the processor's cache
_MIDDLE = 128.0  # float32 squares of what lies around zero lose fewer digits


def uninformative_patches(pixels: FloatImage) -> Reasons:
    """Decide for each patch of 16 x 16 pixels whether a camera's traces can be there.

    Parameters
    ----------
    pixels : (H, W, 3) float32 array in 0..255
        What the encoder sees, without padding.

    Returns
    -------
    (ceil(H / 16), ceil(W / 16)) uint8 array
        `DARK` or `SATURATED`, whichever is more, where half of the pixels are one of them; else
        `FLAT` where nothing varies. The last row and column rest on the pixels that are there.
    """
    height, width, _ = pixels.shape
    reasons = np.empty((math.ceil(height / _STRIDE), math.ceil(width / _STRIDE)), np.uint8)
    for top in range(0, len(reasons), _STRIP_PATCHES):
        strip = pixels[top * _STRIDE : (top + _STRIP_PATCHES) * _STRIDE]
        reasons[top : top + _STRIP_PATCHES] = _judge_strip(strip)
    return reasons


def _judge_strip(pixels: FloatImage) -> Reasons:
    red, green, blue = (pixels[..., channel] for channel in range(3))
    luminance = _LUMINANCE[0] * red
    luminance += _LUMINANCE[1] * green
    luminance += _LUMINANCE[2] * blue
    count = _areas(pixels.shape[:2], _STRIDE)
    dark = _sums(luminance < _DARK_BELOW, _STRIDE) / count
    clipped = np.minimum(np.minimum(red, green), blue) >= _SATURATED_FROM
    saturated = _sums(clipped, _STRIDE) / count
    luminance -= _MIDDLE
    mean = _sums(luminance, _STRIDE) / count
    luminance *= luminance
    flat = _sums(luminance, _STRIDE) / count - mean * mean < _FLAT_BELOW**2
    reasons = np.where(flat, FLAT, INFORMATIVE).astype(np.uint8)
    lost = dark + saturated >= _MOST
    reasons[lost] = np.where(dark >= saturated, DARK, SATURATED)[lost]
    return reasons


def pool_reasons(reasons: Reasons, image_shape: tuple[int, int], pool: int) -> Reasons:
    """Unite squares of ``pool`` x ``pool`` patches, by the pixels of the picture in them.

    Parameters
    ----------
    reasons : (h, w) uint8 array
        Of the whole picture.
    image_shape : (int, int)
        Rows and columns of the picture: its last patches may be cut.
    pool : int

    Returns
    -------
    (ceil(h / pool), ceil(w / pool)) uint8 array
        The most frequent reason where at least half of the area cannot be read.
    """
    if pool == 1:
        return reasons
    areas = _areas(image_shape, _STRIDE)
    shares = np.stack([_sums(areas * (reasons == k), pool) for k in (DARK, SATURATED, FLAT)])
    shares /= _sums(areas, pool)
    lost = shares.sum(axis=0) >= _MOST
    return np.where(lost, shares.argmax(axis=0) + DARK, INFORMATIVE).astype(np.uint8)


def _sums(values: npt.NDArray[Any], size: int) -> FloatImage:
    """Sums over squares of an (H, W) array; the last ones may be cut."""
    rows, cols = (np.arange(0, length, size) for length in values.shape)
    columns = np.add.reduceat(values, rows, axis=0, dtype=np.float32)
    return np.asarray(np.add.reduceat(columns, cols, axis=1))


def _areas(shape: tuple[int, ...], size: int) -> FloatImage:
    """How many pixels of an image of this shape lie in each square."""
    heights, widths = (
        np.minimum(size, length - np.arange(0, length, size)).astype(np.float32) for length in shape
    )
    return heights[:, None] * widths


@dataclass(frozen=True, slots=True)
class Uninformative:
    """How much of an area cannot be read, by reason.

    Parameters
    ----------
    dark, saturated, flat : float
        Shares of the area, 0 to 1.
    """

    dark: float = 0.0
    saturated: float = 0.0
    flat: float = 0.0

    @property
    def total(self) -> float:
        """Share of the area that cannot be read for any reason."""
        return self.dark + self.saturated + self.flat

    def __str__(self) -> str:
        """Shares by reason, the largest first: "55% saturated, 7% dark"."""
        named = (("dark", self.dark), ("saturated", self.saturated), ("flat", self.flat))
        told = [(share, name) for name, share in named if round(share, 2) > 0]
        return ", ".join(f"{share:.0%} {name}" for share, name in sorted(told, reverse=True))


@dataclass(frozen=True, slots=True)
class Informativeness:
    """What a verdict has to know of the uninformative patches.

    Parameters
    ----------
    whole : Uninformative
        Of the whole picture.
    standing_out : Uninformative
        Of what stands out: where the heatmap is above a half. All zero where nothing is.
    """

    whole: Uninformative
    standing_out: Uninformative


def measure_informativeness(
    uninformative: Reasons | None, geometry: Geometry, heatmap: FloatImage
) -> Informativeness | None:
    """Measure how much of a picture, and of what stands out in it, cannot be read.

    Parameters
    ----------
    uninformative : (h, w) uint8 array or None
        `Embedding.uninformative`.
    geometry : Geometry
    heatmap : (H, W) float32 array in [0, 1]
        Looked at in the middle of each patch alone.

    Returns
    -------
    Informativeness or None
        None where the reasons are not known.
    """
    if uninformative is None:
        return None
    sizes, places = zip(
        *(_patches_along(geometry, axis, n) for axis, n in enumerate(uninformative.shape)),
        strict=True,
    )
    areas = sizes[0][:, None] * sizes[1]
    high = heatmap[np.ix_(*places)] > 0.5
    return Informativeness(_shares(uninformative, areas), _shares(uninformative, areas * high))


def _patches_along(
    geometry: Geometry, axis: int, patches: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Model pixels of the image in each patch along an axis, and the pixel in their middle."""
    edges = np.arange(patches + 1) * (geometry.frame_shape[axis] / patches)
    edges = np.minimum(edges, geometry.content_shape[axis])  # what lies beyond is padding
    middles = (edges[:-1] + edges[1:]) / 2 / geometry.scale[axis]
    last = geometry.image_shape[axis] - 1
    return np.diff(edges), np.clip(middles.astype(np.int64), 0, last)


def _shares(reasons: Reasons, areas: npt.NDArray[np.float64]) -> Uninformative:
    whole = areas.sum()
    if not whole:
        return Uninformative()
    dark, saturated, flat = (
        float(areas[reasons == k].sum() / whole) for k in (DARK, SATURATED, FLAT)
    )
    return Uninformative(dark, saturated, flat)
