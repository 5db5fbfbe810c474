"""Values of a stored annotation, each checked before it is believed.

Imported as ``checked``: ``checked.number(value, name)`` gives the number, or says what is wrong.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.text import printable
from napari_safire.types import PointPrompt

T = TypeVar("T")
Shape = tuple[int, int]
MOST_ENTRIES = 100_000


class Damaged(Exception):
    """What is wrong with a record, as a part of a sentence."""


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """Give a table of values."""
    if not isinstance(value, Mapping):
        raise Damaged(f"{name} is no table of values")
    return value


def each(given: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    """Read each entry of a list."""
    values = given.get(name)
    if not isinstance(values, (list, tuple)):
        raise Damaged(f"{name} is no list")
    if len(values) > MOST_ENTRIES:
        raise Damaged(f"{name} has {len(values)} entries, more than {MOST_ENTRIES}")
    return tuple(read(value) for value in values)


def row(value: Any, name: str, length: int) -> list[Any]:
    """Give the values of a list of one length."""
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise Damaged(f"an entry of {name} has not {length} values")
    return list(value)


def number(value: Any, name: str) -> float:
    """Give a finite number."""
    # True is a number for Python.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Damaged(f"{name} is no number")
    try:
        converted = float(value)
    except OverflowError as error:
        raise Damaged(f"{name} is too large") from error
    if not math.isfinite(converted):
        raise Damaged(f"{name} is not finite")
    return converted


def share(value: Any, name: str) -> float:
    """Give a number from 0 to 1."""
    part = number(value, name)
    if not 0 <= part <= 1:
        raise Damaged(f"{name} is {part}, not between 0 and 1")
    return part


def whole(value: Any, name: str, low: int, high: int) -> int:
    """Give a whole number of a range, its ends included."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Damaged(f"{name} is no whole number from {low} to {high}")
    return value


def flag(value: Any, name: str) -> bool:
    """Give true or false."""
    if not isinstance(value, bool):
        raise Damaged(f"{name} is neither true nor false")
    return value


def words(value: Any, name: str) -> str:
    """Give a text."""
    if not isinstance(value, str):
        raise Damaged(f"{name} is no text")
    return value


def one_of(value: Any, name: str, known: tuple[Any, ...]) -> Any:
    """Give one of the known texts."""
    if not isinstance(value, str) or value not in known:
        raise Damaged(f"{name} is {printable(repr(value))[:80]}, none of {', '.join(known)}")
    return value


def point(row: Any, col: Any, name: str, shape: Shape) -> PointPrompt:
    """Give a point that lies on the picture."""
    prompt = PointPrompt(number(row, name), number(col, name))
    if not prompt.lies_in(shape):
        raise Damaged(f"a place in {name} lies outside the picture")
    return prompt


def unpacked(text: Any, name: str, most: int) -> npt.NDArray[np.uint8]:
    """Decompress a text to at most some bytes, whatever it holds."""
    if not isinstance(text, str):
        raise Damaged(f"{name} is no text")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(base64.b64decode(text, validate=True), most + 1)
    except (ValueError, zlib.error) as error:
        raise Damaged(f"{name} cannot be unpacked ({error})") from error
    if len(raw) > most:
        raise Damaged(f"{name} holds more than the picture's pixels")
    if not unpacker.eof:
        raise Damaged(f"{name} is cut off")
    return np.frombuffer(raw, np.uint8)


def packed(image: PackedLabels) -> str:
    """Write them as they are packed: bytes for labels, bits for masks, one for all; compressed."""
    if image.stored_dtype not in (np.dtype(np.uint8).str, np.dtype(np.bool_).str):
        image = PackedLabels.pack(image.unpack().astype(np.uint8))
    return base64.b64encode(image.data).decode()


def labels(text: Any, name: str, shape: Shape) -> PackedLabels:
    """Give the source of each pixel."""
    size = shape[0] * shape[1]
    raw = unpacked(text, name, size)
    if len(raw) == 1:
        return PackedLabels.uniform(shape, raw[0])
    if len(raw) != size:
        raise Damaged(f"{name} holds {len(raw)} pixels of {size}")
    return PackedLabels.pack(raw.reshape(shape))


def mask(text: Any, name: str, shape: Shape) -> PackedLabels:
    """Give true or false for each pixel."""
    size = shape[0] * shape[1]
    length = (size + 7) // 8
    raw = unpacked(text, name, length)
    if len(raw) == 1 and raw[0] in (0, 255):
        return PackedLabels.uniform(shape, np.bool_(raw[0]))
    if len(raw) != length:
        raise Damaged(f"{name} holds {len(raw)} bytes of {length}")
    return PackedLabels.pack(np.unpackbits(raw, count=size).view(np.bool_).reshape(shape))
