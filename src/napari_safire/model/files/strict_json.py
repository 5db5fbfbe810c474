"""JSON from files that anybody may have written: one meaning or none."""

from __future__ import annotations

import json
import math
from typing import Any

_MOST_DIGITS = 25  # of a whole number
_DEEPEST = 24  # levels: each is a call in whatever copies, prints or writes the value


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that has a single meaning and no values that nobody can mean.

    Parameters
    ----------
    text : str or bytes

    Returns
    -------
    object
        Of dict, list, str, int, float, bool and None.

    Raises
    ------
    ValueError
        It is no JSON, names something twice, holds a number that is not finite or longer than 25
        digits, or is nested more than 24 levels deep; the text says which.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_named_once,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
            parse_float=_finite_number,
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep") from None
    if _is_deeper(value, _DEEPEST):
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    return value


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names {twice!r:.60} twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"it holds {text}, which is no number")


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text:.30}, which is too large a number")
    return value


def _is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects lie in each other more than ``most`` times."""
    level = [value]
    for _ in range(most):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not inner:
            return False
        level = inner
    return any(isinstance(one, (dict, list)) for one in level)
