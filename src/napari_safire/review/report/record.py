"""A document read tolerantly: what is missing or of another kind is nothing, never an error.

Reports of other versions and documents that somebody edited are drawn as far as they go; whether a
document is right is said by `napari_safire.review.proof.verify`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

RECEIVED = "received: "
"""Begins the step of a custody that tells how the picture is said to have come."""
_LARGEST = 10**18


class Record:
    """One JSON object.

    Parameters
    ----------
    values : object
        Anything else than a mapping counts as an empty one.
    """

    def __init__(self, values: Any) -> None:
        self.values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}

    def __bool__(self) -> bool:
        return bool(self.values)

    def record(self, key: str) -> Record:
        """Return the object under a key."""
        return Record(self.values.get(key))

    def records(self, key: str) -> tuple[Record, ...]:
        """Return the objects in the list under a key."""
        return tuple(Record(value) for value in self.items(key) if isinstance(value, Mapping))

    def items(self, key: str) -> Sequence[Any]:
        """Return the list under a key."""
        value = self.values.get(key)
        return value if isinstance(value, (list, tuple)) else ()

    def text(self, key: str) -> str:
        """Return the text under a key; a number as Python writes it."""
        return as_text(self.values.get(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts in the list under a key."""
        return tuple(text for text in map(as_text, self.items(key)) if text)

    def number(self, key: str) -> float | None:
        """Return the finite number under a key."""
        return as_number(self.values.get(key))

    def whole(self, key: str) -> int | None:
        """Return the whole number under a key; nothing if nobody counts that far."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        return value if abs(value) < _LARGEST else None

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return the numbers in the list under a key; nothing if one of them is none."""
        found = tuple(map(as_number, self.items(key)))
        return () if None in found else tuple(value for value in found if value is not None)

    def flag(self, key: str) -> bool:
        """Say whether the value under a key is true."""
        return self.values.get(key) is True


def as_text(value: Any) -> str:
    """Write a plain value; nothing for None, and for what is not plain."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return ""


def as_number(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON has whole numbers of any length
        return None
