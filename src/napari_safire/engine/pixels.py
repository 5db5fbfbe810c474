"""Any picture as RGB values in 0..255, read piece by piece.

The rules (also in docs/architecture.md):

- grey is repeated to three channels, alpha is dropped;
- uint8 is taken as it is, bool as 0 and 255;
- other integers are divided by the largest value of the smallest usual bit depth (8, 10, 12, 14 or
  16) that holds them; integers beyond 16 bit or below zero are stretched from minimum to maximum;
- floats in [0, 1] are multiplied by 255, floats in [0, 255] taken as they are, others stretched;
- pixels that are not finite become the mean of the finite ones, and the embedding says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.types import FloatImage

_STRIP_PIXELS = 4_000_000
_BIT_DEPTHS = (8, 10, 12, 14, 16)
_LARGEST = 200_000_000


class PictureReader:
    """Pieces of a picture in one scale.

    Parameters
    ----------
    image : (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) array_like
        NumPy, dask or any array that slices; never written to.

    Attributes
    ----------
    shape : (int, int)
    sha256 : str
        Hash of shape, type and values as given.
    warnings : tuple of str

    Raises
    ------
    TypeError
        Not numbers.
    ValueError
        Not the shape of one picture, empty, too large, or without any finite pixel.
    """

    def __init__(self, image: Any) -> None:
        if not hasattr(image, "shape") or not hasattr(image, "dtype"):
            image = np.asarray(image)
        self._image = image
        self._dtype = np.dtype(image.dtype)
        self.shape = _checked_shape(tuple(image.shape), self._dtype)
        self._fill = 0.0
        self.warnings: tuple[str, ...] = ()
        self._offset, self._gain = self._measure()

    def _measure(self) -> tuple[float, float]:
        """One pass over the picture: hash, range and what is not finite."""
        digest = hashlib.sha256(f"{tuple(self._image.shape)} {self._dtype.str} ".encode())
        low, high, total, finite_count, bad_count = np.inf, -np.inf, 0.0, 0, 0
        for strip in self._strips():
            digest.update(np.ascontiguousarray(strip).data)
            colours = strip[..., :3] if strip.ndim == 3 else strip
            if self._dtype.kind == "f":
                finite = np.isfinite(colours)
                bad_count += int(colours.size - finite.sum())
                colours = colours[finite]
            if colours.size:
                low, high = min(low, float(colours.min())), max(high, float(colours.max()))
                total += float(colours.sum(dtype=np.float64))
                finite_count += colours.size
        self.sha256 = digest.hexdigest()
        if not finite_count:
            raise ValueError("The picture has no finite pixel: nothing can be said about it.")
        self._fill = total / finite_count
        warnings = []
        if bad_count:
            warnings.append(
                f"{bad_count} values are not finite; they were replaced by the mean of the others."
            )
        offset, gain, note = _scale_rule(self._dtype, low, high)
        if note:
            warnings.append(note)
        self.warnings = tuple(warnings)
        return offset, gain

    def _strips(self) -> Iterator[npt.NDArray[Any]]:
        rows = max(1, _STRIP_PIXELS // self.shape[1])
        for top in range(0, self.shape[0], rows):
            yield np.asarray(self._image[top : top + rows])

    def crop(self, rows: slice, cols: slice) -> FloatImage:
        """Return a piece as (h, w, 3) float32 in 0..255."""
        return self._to_rgb(np.asarray(self._image[rows, cols]))

    def squashed(self, size: int) -> FloatImage:
        """Return the whole picture resized to (size, size, 3), as the published code does.

        Bilinear without antialiasing, then rounded to whole grey levels. Only the four neighbours
        of each output pixel are read, whatever the size of the picture.
        """
        (top, bottom, down), (left, right, across) = (
            _neighbours(length, size) for length in self.shape
        )
        wanted_rows, row_place = np.unique(np.concatenate([top, bottom]), return_inverse=True)
        wanted_cols, col_place = np.unique(np.concatenate([left, right]), return_inverse=True)
        picture = self._image[wanted_rows.tolist()]
        values = self._to_rgb(np.asarray(picture[:, wanted_cols.tolist()]))
        rows = values[row_place[:size]] * (1 - down)[:, None, None]
        rows += values[row_place[size:]] * down[:, None, None]
        out = rows[:, col_place[:size]] * (1 - across)[:, None]
        out += rows[:, col_place[size:]] * across[:, None]
        return np.rint(out).astype(np.float32)

    def _to_rgb(self, piece: npt.NDArray[Any]) -> FloatImage:
        values = piece.astype(np.float32)
        if values.ndim == 2:
            values = values[..., None]
        values = values[..., :3]
        if values.shape[-1] == 1:
            values = np.repeat(values, 3, axis=-1)
        if self._dtype.kind == "f":
            values = np.where(np.isfinite(values), values, np.float32(self._fill))
        return np.clip((values - np.float32(self._offset)) * np.float32(self._gain), 0, 255)


def _checked_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind not in "buif":
        raise TypeError(f"A picture holds numbers, not {dtype}: give uint8, uint16 or float.")
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
        raise ValueError(
            f"A picture has shape (H, W), (H, W, 3) or (H, W, 4), not {shape}: choose a 2-D slice."
        )
    if shape[0] == 0 or shape[1] == 0:
        raise ValueError(f"The picture is empty: its shape is {shape}.")
    if shape[0] * shape[1] > _LARGEST:
        raise ValueError(
            f"A picture of {shape[0]} x {shape[1]} pixels is beyond the limit of "
            f"{_LARGEST // 10**6} megapixels: cut it into parts."
        )
    return shape[0], shape[1]


def _scale_rule(dtype: np.dtype[Any], low: float, high: float) -> tuple[float, float, str]:
    """Offset and gain that bring values to 0..255, and a sentence where the rule had to guess."""
    if dtype.kind == "b":
        return 0.0, 255.0, ""
    if dtype == np.uint8:
        return 0.0, 1.0, ""
    if dtype.kind in "ui" and low >= 0 and high < 2**16:
        depth = next(bits for bits in _BIT_DEPTHS if high < 2**bits)
        note = (
            ""
            if dtype == np.uint16 and depth == 16
            else (f"The largest value is {high:.0f}: read as {depth}-bit data.")
        )
        return 0.0, 255.0 / (2**depth - 1), note
    if dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 255.0, ""
    if dtype.kind == "f" and low >= 0 and high <= 255:
        return 0.0, 1.0, "Values above 1: read as grey levels from 0 to 255."
    note = f"Values from {low:.6g} to {high:.6g} were stretched to 0..255."
    return low, 255.0 / (high - low) if high > low else 0.0, note


def _neighbours(
    length: int, size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatImage]:
    """Lower and upper neighbour and the upper one's weight for each of ``size`` outputs."""
    where = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, length - 1)
    lower = np.floor(where).astype(np.int64)
    upper = np.minimum(lower + 1, length - 1)
    return lower, upper, (where - lower).astype(np.float32)
