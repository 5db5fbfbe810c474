"""What the values of a mask mean.

Multi-source masks have SafireMS encoding: grey value ``50 * k`` is source k, 0 to 5. Binary masks
of the published data sets differ in what "forged" looks like: a `MaskRule` says it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError

MaskKind = Literal["binary", "sources"]

STEP = 50
MAX_SOURCE = 5
UNASSIGNED = 255
"""Grey of a pixel that no source was given yet, in masks that have a record."""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as the official loader's grey
_STRIP_PIXELS = 4_000_000  # whose grey, in float64, is made at once


@dataclass(frozen=True, slots=True)
class MaskRule:
    """How the masks of a data set say where a picture is forged.

    Thresholds are on the scale of 8 bits. 16-bit masks whose values pass 255 are brought to it by
    257, floats that do not pass 1 by 255.

    Parameters
    ----------
    kind : {"binary", "sources"}
        "sources": SafireMS encoding; of what follows only `nearest` and `key` then count.
    above : int
        Forged where the value is larger.
    below : int, optional
        Forged where the value is smaller, instead: "black is forged".
    channel : {"grey", "green"}
        Which value: the grey of the colours, or the green channel alone.
    nearest : bool
        Masks of another size than their picture are resized to it (nearest neighbour). In other
        sets another size is an error.
    key : str, optional
        Masks are NumPy archives (``.npz``) with an array of this name.

    Raises
    ------
    ValueError
        For a kind or a channel that does not exist.
    """

    kind: MaskKind = "binary"
    above: int = 0
    below: int | None = None
    channel: Literal["grey", "green"] = "grey"
    nearest: bool = False
    key: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("binary", "sources"):
            raise ValueError(f"Unknown kind of mask {self.kind!r}: choose 'binary' or 'sources'.")
        if self.channel not in ("grey", "green"):
            raise ValueError(f"Unknown channel {self.channel!r}: choose 'grey' or 'green'.")

    def __str__(self) -> str:
        if self.kind == "sources":
            return f"value {STEP} * k = source k"
        limit = f"> {self.above}" if self.below is None else f"< {self.below}"
        return f"{self.key or self.channel} {limit}{', resized' if self.nearest else ''}"

    def forged(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Tell where a binary mask says "forged".

        Parameters
        ----------
        pixels : (H, W), (H, W, 3) or (H, W, 4) array
            As `napari_safire.data.images.read_image` gives them; opacity is left out.

        Returns
        -------
        (H, W) bool array

        Examples
        --------
        >>> MaskRule(below=180).forged(np.array([[0, 179, 180]], np.uint8))
        array([[ True,  True, False]])
        """
        limit = (self.above if self.below is None else self.below) * _full_scale(pixels) / 255
        height, width = pixels.shape[:2]
        forged = np.empty((height, width), bool)
        rows = max(1, _STRIP_PIXELS // max(1, width))
        for top in range(0, height, rows):
            values = self._values(pixels[top : top + rows])
            forged[top : top + rows] = values > limit if self.below is None else values < limit
        return forged

    def _values(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if pixels.ndim == 2:
            return pixels
        if self.channel == "green":
            return pixels[..., 1]
        grey = pixels[..., :3] @ _LUMA
        return np.round(grey) if pixels.dtype.kind == "u" else grey


def resize_nearest(pixels: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Bring an array to another size, each pixel from the nearest one (pixel centres).

    Parameters
    ----------
    pixels : (H, W, ...) array
    shape : (int, int)

    Returns
    -------
    (h, w, ...) array
        The array itself where it has that size.

    Examples
    --------
    >>> resize_nearest(np.array([[1, 2, 3, 4]]), (1, 2))
    array([[2, 4]])
    """
    if pixels.shape[:2] == tuple(shape):
        return pixels
    rows, cols = (
        ((np.arange(wanted) + 0.5) * have / wanted).astype(np.intp)
        for have, wanted in zip(pixels.shape, shape, strict=False)
    )
    return pixels[rows[:, None], cols]


def _full_scale(pixels: npt.NDArray[Any]) -> float:
    """The value that stands for white."""
    if pixels.dtype == np.uint8 or not pixels.size:
        return 255.0
    largest = pixels.max()
    if pixels.dtype.kind == "f":
        return 1.0 if largest <= 1 else 255.0
    return 65535.0 if largest > 255 else 255.0


def encode_sources(labels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Grey values of source labels.

    Parameters
    ----------
    labels : (H, W) int or bool array
        Source of each pixel, 0 to 5.

    Returns
    -------
    (H, W) uint8 array
        ``50 * labels``.

    Raises
    ------
    ValueError
        For labels outside 0 to 5, which the encoding cannot hold.
    TypeError
        For labels that are not integers.

    Examples
    --------
    >>> encode_sources([[0, 1, 5]])
    array([[  0,  50, 250]], dtype=uint8)
    """
    values = _grey_integers(labels, "labels")
    if values.size and (values.min() < 0 or values.max() > MAX_SOURCE):
        raise ValueError(
            f"The labels reach from {values.min()} to {values.max()}, but SafireMS masks hold 0 to "
            f"{MAX_SOURCE}: merge sources, or save the labels as they are."
        )
    return (values.astype(np.uint8) * np.uint8(STEP)).astype(np.uint8)


def decode_sources(mask: npt.ArrayLike, *, unassigned: int | None = None) -> npt.NDArray[np.uint8]:
    """Source labels of grey values.

    Parameters
    ----------
    mask : (H, W) int array
        Multiples of 50 up to 250.
    unassigned : int, optional
        A value that the mask has where no source was given yet, as its record says (`UNASSIGNED`).
        These pixels keep the value. Without it they are refused.

    Returns
    -------
    (H, W) uint8 array
        Source of each pixel, 0 to 5, or `unassigned`.

    Raises
    ------
    DatasetError
        If there is any other value; the message lists the values and how often they occur.
    TypeError, ValueError
        For arrays that are no grey picture.

    Examples
    --------
    >>> decode_sources([[0, 50, 250]])
    array([[0, 1, 5]], dtype=uint8)
    >>> decode_sources([[0, 50, 255]], unassigned=UNASSIGNED)
    array([[  0,   1, 255]], dtype=uint8)
    """
    values = _grey_integers(mask, "mask")
    stray = (values % STEP != 0) | (values < 0) | (values > STEP * MAX_SOURCE)
    labels = values // STEP
    if unassigned is not None:
        if not STEP * MAX_SOURCE < unassigned <= UNASSIGNED:
            raise ValueError(f"{unassigned} cannot mark pixels without a source: use {UNASSIGNED}.")
        without = values == unassigned
        stray &= ~without
        labels = np.where(without, unassigned, labels)
    if stray.any():
        raise DatasetError(_stray_sentence(values[stray]))
    return labels.astype(np.uint8)


def _grey_integers(array: npt.ArrayLike, what: str) -> npt.NDArray[np.integer]:
    values = np.asarray(array)
    if values.ndim != 2:
        raise ValueError(f"The {what} has shape {values.shape}: give an (H, W) array.")
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind not in "iu":
        raise TypeError(f"The {what} has dtype {values.dtype}: give integers.")
    return values


def _stray_sentence(stray: npt.NDArray[np.integer], n_named: int = 8) -> str:
    found, counts = np.unique(stray, return_counts=True)
    common = np.argsort(-counts, kind="stable")[:n_named]
    named = ", ".join(f"{found[i]} ({counts[i]} pixels)" for i in common)
    more = f" and {len(found) - n_named} other values" if len(found) > n_named else ""
    return (
        f"A SafireMS mask holds 0, 50, 100, 150, 200 and 250 only, this one also {named}{more}: "
        "save it again without smoothing, resizing or JPEG."
    )
