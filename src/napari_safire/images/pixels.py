"""Any picture as RGB values in 0..255, read piece by piece.

The rules (also in docs/architecture.md):

- grey is repeated to three channels, alpha is dropped;
- uint8 is taken as it is, bool as 0 and 255;
- other integers are divided by the largest value of the smallest usual bit depth (8, 10, 12, 14 or
  16) that holds them; integers beyond 16 bit or below zero are stretched from minimum to maximum;
- floats in [0, 1] are multiplied by 255, floats in [0, 255] taken as they are, others stretched;
- pixels that are not finite become the mean of the finite ones, and the embedding says so.

A scale is told by the bulk of the values. One in a thousand may lie outside it (hot pixels) or all
of them by a tenth (resampling and sharpening overshoot): they are clipped, and the embedding says
how many. Floats that pass 1 but hardly come off the black of [0, 255] are not read as black:
unless they are whole numbers, they are stretched, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.decoding.limits import MAX_PIXELS
from napari_safire.types import FloatImage

_STRIP_PIXELS = 4_000_000
_BIT_DEPTHS = (8, 10, 12, 14, 16)
_FEW = 1e-3  # of the values may lie outside the scale
_OVERSHOOT = 0.1  # of the scale by which any number of values may pass it
_FAINT = 16.0  # of 255: floats that are no brighter are not meant as grey levels
# Twelve-bit data with hot pixels has next to nothing between its largest value and twice that;
# where a dark picture goes on there, the values are its own.
_GAP = 1 / 20
_DARK, _DARK_REST = 4096, 0.01  # 16-bit data of which all but so many values lie below this
_LARGEST_FLOAT = 1e30  # no brightness; squares of it would pass float64 on the way
_SAMPLED = 1_000_000  # values that quantiles are told from
_INTEGERS = 2**16
_EXACT_FLOATS = 1e4  # grey levels; float32 holds a thousandth of a level up to here


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
        self.shape = checked_shape(tuple(image.shape), self._dtype)
        self._fill = 0.0
        self.warnings: tuple[str, ...] = ()
        self._offset, self._gain = self._measure()
        self._in_doubles = abs(self._offset) * self._gain > _EXACT_FLOATS

    def _measure(self) -> tuple[float, float]:
        """One pass over the picture: hash, range and what is not finite."""
        digest = hashlib.sha256(f"{tuple(self._image.shape)} {self._dtype.str} ".encode())
        values = _Values(self._dtype)
        for strip in self._strips():
            digest.update(np.ascontiguousarray(strip).data)
            values.add(strip[..., :3] if strip.ndim == 3 else strip)
        self.sha256 = digest.hexdigest()
        if not values.count:
            raise ValueError("The picture has no finite pixel: nothing can be said about it.")
        self._fill = values.total / values.count
        warnings = []
        if values.bad:
            warnings.append(
                f"{values.bad} values are not finite; they were replaced by the mean of the others."
            )
        offset, gain, note = _scale_rule(values, self._sampled)
        if note:
            warnings.append(note)
        self.warnings = tuple(warnings)
        return offset, gain

    def _sampled(self) -> npt.NDArray[np.float64]:
        """A million finite values from all over the picture."""
        step = max(1, round((self.shape[0] * self.shape[1] / _SAMPLED) ** 0.5))
        piece = np.asarray(self._image[::step])[:, ::step]
        piece = piece[..., :3] if piece.ndim == 3 else piece
        values = piece[_is_finite(piece)].astype(np.float64)
        return values if values.size else np.zeros(1)

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
        values = piece
        if self._dtype.kind == "f":
            # before it becomes float32, which does not hold all of float64
            values = np.where(_is_finite(values), values, self._dtype.type(self._fill))
        if self._in_doubles:  # float32 would not tell the values apart
            values = (values.astype(np.float64) - self._offset) * self._gain
        values = values.astype(np.float32)
        if values.ndim == 2:
            values = values[..., None]
        values = values[..., :3]
        if values.shape[-1] == 1:
            values = np.repeat(values, 3, axis=-1)
        if self._in_doubles:
            return np.clip(values, 0, 255)
        return np.clip((values - np.float32(self._offset)) * np.float32(self._gain), 0, 255)


def checked_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return rows and columns of what can be a picture, by its shape and type.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Returns
    -------
    (int, int)

    Raises
    ------
    TypeError
        Not numbers.
    ValueError
        Not the shape of one picture, empty, or too large.
    """
    if dtype.kind not in "buif":
        raise TypeError(f"A picture holds numbers, not {dtype}: give uint8, uint16 or float.")
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
        raise ValueError(
            f"A picture has shape (H, W), (H, W, 3) or (H, W, 4), not {shape}: choose a 2-D slice."
        )
    if shape[0] == 0 or shape[1] == 0:
        raise ValueError(f"The picture is empty: its shape is {shape}.")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise ValueError(
            f"A picture of {shape[0]} x {shape[1]} pixels is beyond the limit of "
            f"{MAX_PIXELS / 1e6:g} megapixels: cut it into parts."
        )
    return shape[0], shape[1]


def _is_finite(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if values.dtype.kind != "f":
        return np.ones(values.shape, bool)
    largest = min(_LARGEST_FLOAT, float(np.finfo(values.dtype).max))
    return np.asarray(np.abs(values) <= largest)  # neither NaN nor infinity is


class _Values:
    """What is counted of a picture's values."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.low, self.high, self.total = np.inf, -np.inf, 0.0
        self.count = self.bad = self.negative = 0
        self.whole = True  # floats, but all of them whole numbers
        self.levels = np.zeros(_INTEGERS, np.int64)  # how often each value of 16 bits is there
        self._wide = dtype != np.uint16  # integers of other types may be negative or larger
        self._beyond: dict[float, int] = {}
        if dtype.kind == "f":
            self._beyond = dict.fromkeys((*_limits(1.0), *_limits(255.0), _FAINT, 1.0, 255.0), 0)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count the values of one strip."""
        if self.dtype.kind == "f":
            finite = _is_finite(values)
            self.bad += int(values.size - finite.sum())
            values = values[finite]
            for limit in self._beyond:
                self._beyond[limit] += int(np.count_nonzero(values > limit))
            self.whole = self.whole and bool((np.rint(values) == values).all())
        if not values.size:
            return
        self.low, self.high = (
            min(self.low, float(values.min())),
            max(self.high, float(values.max())),
        )
        self.total += float(values.sum(dtype=np.float64))
        self.count += values.size
        if self.dtype.kind != "u":
            self.negative += int(np.count_nonzero(values < 0))
        if self.dtype.kind in "ui" and self.dtype != np.uint8:
            within = values[(values >= 0) & (values < _INTEGERS)] if self._wide else values.ravel()
            self.levels += np.bincount(within.astype(np.intp), minlength=_INTEGERS)

    def above(self, limit: float) -> int:
        """How many values are larger than one of the limits that floats are held against."""
        return self._beyond[limit]

    def fit(self, top: float) -> bool:
        """Whether the bulk lies in [0, top], but for a few values and a little overshoot."""
        below, beyond = _limits(top)
        return self.above(beyond) + self.count - self.above(below) <= _FEW * self.count

    def outside(self, top: float) -> int:
        """How many floats lie outside [0, top]."""
        return self.above(top) + self.negative


def _limits(top: float) -> tuple[float, float]:
    return -_OVERSHOOT * top, (1 + _OVERSHOOT) * top


def _scale_rule(
    values: _Values, sampled: Callable[[], npt.NDArray[np.float64]]
) -> tuple[float, float, str]:
    """Offset and gain that bring values to 0..255, and a sentence where the rule had to guess."""
    dtype, low, high = values.dtype, values.low, values.high
    if dtype.kind == "b":
        return 0.0, 255.0, ""
    if dtype == np.uint8:
        return 0.0, 1.0, ""
    if dtype.kind in "ui" and values.count - int(values.levels.sum()) <= _FEW * values.count:
        return _integer_rule(values)
    if dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 255.0, ""
    if dtype.kind == "f" and values.fit(1.0):
        return 0.0, 255.0, _clipped("from 0 to 1", values, 1.0)
    if dtype.kind == "f" and values.fit(255.0):
        faint = values.above(_FAINT) <= _FEW * values.count
        if not faint or (values.whole and high <= 255):
            if low >= 0 and high <= 255:
                return 0.0, 1.0, "Values above 1: read as grey levels from 0 to 255."
            return 0.0, 1.0, _clipped("as grey levels from 0 to 255", values, 255.0)
    return _stretched(values, sampled())


def _integer_rule(values: _Values) -> tuple[float, float, str]:
    """Divide by the largest value of a bit depth; few values may lie outside it."""
    below, high = values.negative, values.high
    depth = next((bits for bits in _BIT_DEPTHS if high < 2**bits), _BIT_DEPTHS[-1])
    for bits in _BIT_DEPTHS[: _BIT_DEPTHS.index(depth)]:
        beyond = values.count - below - int(values.levels[: 2**bits].sum())
        octave = int(values.levels[2**bits : 2 ** (bits + 1)].sum())
        under = int(values.levels[2 ** (bits - 1) : 2**bits].sum())
        if beyond <= _FEW * values.count and octave <= _GAP * under:
            depth = bits
            break
    top = 2**depth - 1
    outside = values.count - int(values.levels[: top + 1].sum())
    note = ""
    if outside:
        note = (
            f"{outside} of {values.count} values lie outside 0 to {top} (from {values.low:.0f} to "
            f"{high:.0f}) and were clipped: read as {depth}-bit data."
        )
    elif values.dtype != np.uint16 or depth != 16:
        note = f"The largest value is {high:.0f}: read as {depth}-bit data."
    elif int(values.levels[:_DARK].sum()) >= (1 - _DARK_REST) * values.count:
        note = (
            f"Nearly all values lie below {_DARK}: read as {depth}-bit data, the picture is almost "
            "black. If it has fewer bits, convert it."
        )
    return 0.0, 255.0 / top, note


def _clipped(how: str, values: _Values, top: float) -> str:
    return (
        f"{values.outside(top)} of {values.count} values lie outside (from {values.low:.6g} to "
        f"{values.high:.6g}) and were clipped: read {how}."
    )


def _stretched(values: _Values, sample: npt.NDArray[np.float64]) -> tuple[float, float, str]:
    """Stretch from minimum to maximum, or between quantiles where few values reach far beyond."""
    low, high = values.low, values.high
    first, last = np.quantile(sample, (_FEW / 2, 1 - _FEW / 2))
    note = f"Values from {low:.6g} to {high:.6g} were stretched to 0..255."
    if last > first and high - low > 2 * (last - first):
        note = (
            f"Values from {first:.6g} to {last:.6g} were stretched to 0..255; few others (from "
            f"{low:.6g} to {high:.6g}) were clipped."
        )
        low, high = float(first), float(last)
    return low, 255.0 / (high - low) if high > low else 0.0, note


def _neighbours(
    length: int, size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatImage]:
    """Lower and upper neighbour and the upper one's weight for each of ``size`` outputs."""
    where = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, length - 1)
    lower = np.floor(where).astype(np.int64)
    upper = np.minimum(lower + 1, length - 1)
    return lower, upper, (where - lower).astype(np.float32)
