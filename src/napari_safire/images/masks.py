"""What the values of a mask mean.

Multi-source masks have SafireMS encoding: grey value ``50 * k`` is source k, 0 to 5, whatever else
is in the mask. 255 is no source: it marks pixels that none was given yet (`UNASSIGNED`). Binary
masks of the published data sets differ in what "forged" looks like: a `MaskRule` says it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError

MaskKind = Literal["binary", "sources"]

STEP = 50
MAX_SOURCE = 5
SOURCE_NUMBERS = MAX_SOURCE + 1
"""As far as numbers of sources go, if somebody counted them from 1."""
UNASSIGNED = 255
"""Grey of a pixel that no source was given yet, in masks that have a record."""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as the official loader's grey
_STRIP_PIXELS = 4_000_000  # whose grey, in float64, is made at once
_FEW_LEVELS = 8  # besides black: more are not made by hand
_MOST_LEVELS = 1000  # that are told apart
_SHARP = 1.01  # times the area above half, where the limit hardly matters
_FAINT = 1 / 8  # of white: what JPEG leaves around an edge


class MaskWarning(UserWarning):
    """A mask was read, but perhaps not as it was meant."""


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """What the mask of a picture says, and what may be wrong with it.

    Parameters
    ----------
    labels : (H, W) bool or uint8 array
        Forged pixels, or sources.
    warnings : tuple of str
        In plain sentences that name the file. Whoever shows or uses the labels tells them.
    """

    labels: npt.NDArray[Any]
    warnings: tuple[str, ...] = ()

    def told(self) -> npt.NDArray[Any]:
        """Return the labels alone; the warnings go to Python's `warnings`, so that none is lost."""
        for text in self.warnings:
            warnings.warn(text, MaskWarning, stacklevel=3)
        return self.labels


@dataclass(frozen=True, slots=True)
class GreyLevels:
    """Which values a mask has.

    Parameters
    ----------
    values : tuple of float
        The different ones, rising; of very many only the first thousand.
    above_black, above_half : float
        Share of pixels above 0, and above half of the largest value.
    faint : float
        Share of pixels that are nearly black.
    """

    values: tuple[float, ...]
    above_black: float
    above_half: float
    faint: float

    @property
    def number(self) -> str:
        """How many there are, in words for a sentence."""
        return f"{len(self.values)}{' or more' if len(self.values) >= _MOST_LEVELS else ''}"

    @property
    def doubtful(self) -> bool:
        """Whether the limit decides what is forged: an edge is smoothed, or was in a JPEG."""
        besides = [value for value in self.values if value]
        if len(besides) < 2 or self.above_black <= _SHARP * self.above_half:
            return False
        if len(besides) > _FEW_LEVELS:
            return True
        white = self.values[-1] > 127
        return white and self.faint > 0.01 * self.above_black

    @property
    def sources(self) -> bool:
        """Whether they are those of a mask with sources, some pixels of which have none yet."""
        coded = {value for value in self.values if value <= STEP * MAX_SOURCE}
        return UNASSIGNED in self.values and bool(coded - {0}) and self._all_coded

    @property
    def _all_coded(self) -> bool:
        return all(
            value == UNASSIGNED or (value % STEP == 0 and value <= STEP * MAX_SOURCE)
            for value in self.values
        )

    @property
    def unusual(self) -> bool:
        """Whether there are several values besides black that are no code of sources."""
        return len([value for value in self.values if value]) > 1 and not self._all_coded

    def __str__(self) -> str:
        shown = [f"{value:g}" for value in self.values[: _FEW_LEVELS + 1]]
        return ", ".join([*shown, "…"] if len(self.values) > len(shown) else shown)


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
            As `napari_safire.images.reading.read_image` gives them; opacity is left out.

        Returns
        -------
        (H, W) bool array

        Examples
        --------
        >>> MaskRule(below=180).forged(np.array([[0, 179, 180]], np.uint8))
        array([[ True,  True, False]])
        """
        limit = (self.above if self.below is None else self.below) * _full_scale(pixels) / 255
        forged = np.empty(pixels.shape[:2], bool)
        for rows, values in self._strips(pixels):
            forged[rows] = values > limit if self.below is None else values < limit
        return forged

    def levels(self, pixels: npt.NDArray[Any]) -> GreyLevels:
        """Count the values that the rule compares, on the scale of 8 bits.

        Parameters
        ----------
        pixels : (H, W), (H, W, 3) or (H, W, 4) array
            As for `forged`.

        Returns
        -------
        GreyLevels
        """
        scale = 255 / _full_scale(pixels)
        found: npt.NDArray[Any] = np.empty(0)
        largest = 0.0
        for _, values in self._strips(pixels):
            different = _different(values) * scale
            largest = max(largest, float(different.max(initial=0)))
            found = np.union1d(found, different)[:_MOST_LEVELS]
        counts = np.zeros(3)
        for _, values in self._strips(pixels):
            counts += (
                np.count_nonzero(values > 0),
                np.count_nonzero(values > largest / scale / 2),
                np.count_nonzero((values > 0) & (values < 255 * _FAINT / scale)),
            )
        shares = counts / max(1, pixels.shape[0] * pixels.shape[1])
        return GreyLevels(tuple(np.round(found, 3).tolist()), *shares.tolist())

    def _strips(self, pixels: npt.NDArray[Any]) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Rows, and their values."""
        height, width = pixels.shape[:2]
        step = max(1, _STRIP_PIXELS // max(1, width))
        for top in range(0, height, step):
            rows = slice(top, top + step)
            yield rows, self._values(pixels[rows])

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


def _different(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Different values; of small integers without sorting them all."""
    if values.dtype in (np.uint8, np.uint16):
        return np.flatnonzero(np.bincount(values.ravel()))
    return np.unique(values[np.isfinite(values)])


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
        raise DatasetError(_stray_sentence(values, stray))
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


def _stray_sentence(
    values: npt.NDArray[np.integer], stray: npt.NDArray[np.bool_], n_named: int = 8
) -> str:
    found, counts = np.unique(values[stray], return_counts=True)
    common = np.argsort(-counts, kind="stable")[:n_named]
    named = ", ".join(f"{found[i]} ({counts[i]} pixels)" for i in common)
    more = f" and {len(found) - n_named} other values" if len(found) > n_named else ""
    return (
        f"A SafireMS mask holds 0, 50, 100, 150, 200 and 250 only, this one also {named}{more}: "
        f"{_way_out(np.unique(values), found)}."
    )


def _way_out(values: npt.NDArray[np.integer], stray: npt.NDArray[np.integer]) -> str:
    """What to do with a mask that has some stray ones among its values."""
    low, high = int(values[0]), int(values[-1])
    unassigned = (
        f"{UNASSIGNED} marks pixels that no source was given yet, so finish the annotation, or "
        "read it through its record"
    )
    if len(values) <= 2 and low == 0:
        advice = f"it is black and white (0 and {high}), so read it as binary (`--kind binary`)"
        if high == 1:
            return f"{advice}, or multiply it by {STEP} if 1 is the number of a source"
        # A mask of which one source alone was given looks the same.
        return f"{advice}; or, if the plugin wrote it, {unassigned}" if high == 255 else advice
    if low >= 0 and high <= SOURCE_NUMBERS:
        if low == 0 and high <= MAX_SOURCE:
            return f"these are the numbers of its sources, so multiply them by {STEP}"
        return f"these are numbers of sources, so count them from 0 and multiply them by {STEP}"
    if stray.tolist() == [UNASSIGNED]:
        return unassigned
    return "save it again without smoothing, resizing or JPEG"
