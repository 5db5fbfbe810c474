"""Numbers in a model's metadata, which anybody may have written."""

from __future__ import annotations

import math
from collections.abc import Iterable

_LARGEST = 1e9  # of any number that is stored with a model; squares and sums of it stay finite
_MOST = 1_000  # numbers in a row


def stored_number(name: str, value: object) -> float:
    """Take a stored value as a number.

    Parameters
    ----------
    name : str
        For the sentence.
    value : object
        As JSON gives it.

    Raises
    ------
    ValueError
        It is no number (text and true are none), not finite, or above a thousand million.
    """
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not -_LARGEST <= value <= _LARGEST:  # type: ignore[operator]
        raise ValueError(f"{name} is {shown(value)}, but must be a number up to {_LARGEST:g}")
    return float(value)  # type: ignore[arg-type]


def stored_numbers(name: str, values: object) -> tuple[float, ...]:
    """Take a stored list as numbers; raises as `stored_number`."""
    if not isinstance(values, (list, tuple)) or len(values) > _MOST:
        raise ValueError(f"{name} is {shown(values)}, but must be a list of numbers")
    return tuple(stored_number(name, value) for value in values)


def stored_fields(stored: object, known: Iterable[str]) -> dict[str, object]:
    """Take a stored object as names and values.

    Raises
    ------
    ValueError
        It is none, or has a name that is not known.
    """
    if not isinstance(stored, dict):
        raise ValueError(f"it is {shown(stored)}, but must be names with values")
    known = tuple(known)
    others = sorted(str(name) for name in stored.keys() - set(known))
    if others:
        raise ValueError(f"{others[0]!r:.40} is unknown here: known are {', '.join(known)}")
    return dict(stored)


def shown(value: object) -> str:
    """A stored value in a sentence."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return f"{value!r:.60}"
