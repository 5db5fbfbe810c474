"""What differs between two records of an analysis: of a report, and of the same asked again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from napari_safire.text import printable

MOST = 60
"""Sentences that are told; beyond, their number."""
_LONGEST = 120  # characters of a value in a sentence
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ABOUT_PROGRAMS = ("versions",)
"""Sections that say by what a record was made, not what was found."""
_HASHES = ("labels_sha256", "map", "links", "regions")
"""Hashes of arrays that were computed: with a tolerance the figures beside them are compared."""
_DECODER = ("decoder", "decoding")
"""By what version pixels were decoded: with a tolerance the hash of the pixels is compared."""

_SENTENCES = frozenset(
    {
        "caveat", "decoding", "detail", "differences", "finding", "legend", "limitations", "means",
        "misleads", "notice", "notices", "obstacle", "reason", "remark", "score_means", "shows",
        "source", "what", "why_not", "words",
    }
)  # fmt: skip
"""Entries whose texts are sentences: another program may word what it found otherwise."""


def differences(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    tolerance: float = 0.0,
    *,
    wording: bool = True,
) -> tuple[str, ...]:
    """Compare two records of `napari_safire.review.analysis.Analysis.as_record`.

    Parameters
    ----------
    old, new : mapping
        JSON values; versions of programs are not compared.
    tolerance : float
        0 for the same machine: everything must be equal. For another machine, by how much numbers
        may differ, those in sentences too: as a share of the larger one, or of 1 if it is smaller.
        Hashes of computed arrays, and what decoded the pixels, are then passed over; hashes of
        file, pixels and model never are.
    wording : bool
        False: sentences may be worded otherwise; verdicts, names, numbers and hashes may not.

    Returns
    -------
    tuple of str
        One sentence each; empty if nothing differs.
    """
    found: list[str] = []
    more = 0
    before, now = (_without(record, wording=wording) for record in (old, new))
    for sentence in _compared("", before, now, tolerance):
        if len(found) < MOST:
            found.append(sentence)
        else:
            more += 1
    if more:
        found.append(f"{more} more values differ.")
    return tuple(found)


def _without(record: Mapping[str, Any], *, wording: bool) -> Any:
    kept = {name: value for name, value in record.items() if name not in _ABOUT_PROGRAMS}
    return kept if wording else _unworded(kept)


def _unworded(value: Any) -> Any:
    """A record without its sentences."""
    if isinstance(value, Mapping):
        return {
            name: _unworded(one)
            for name, one in value.items()
            if not (name in _SENTENCES and _is_said(one))
        }
    return [_unworded(one) for one in value] if _is_list(value) else value


def _is_said(value: Any) -> bool:
    """Whether a value is text, or a list of nothing but sentences."""
    if not _is_list(value):
        return isinstance(value, str)
    return all(isinstance(one, str) or "words" in one for one in value)


def _compared(place: str, old: Any, new: Any, tolerance: float) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(one for one in new if one not in old)]:
            inside = f"{place}, {name}" if place else str(name)
            if name not in old:
                yield f"{_shown(inside)}: only found now ({_shown(new[name])})."
            elif name not in new:
                yield f"{_shown(inside)}: reported, but not found now ({_shown(old[name])})."
            elif not (tolerance and _is_passed_over(name, old[name], new[name])):
                yield from _compared(inside, old[name], new[name], tolerance)
    elif _is_list(old) and _is_list(new):
        if len(old) != len(new):
            yield f"{_shown(place)}: {len(old)} entries were reported, {len(new)} are found."
        for number, (one, other) in enumerate(zip(old, new, strict=False), 1):
            yield from _compared(f"{place} {_label(one, number)}", one, other, tolerance)
    elif not _same(old, new, tolerance):
        yield f"{_shown(place)}: {_shown(old)} was reported, {_shown(new)} is found."


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _label(entry: Any, number: int) -> str:
    """How an entry of a list is called: by its name or number, else its place."""
    if isinstance(entry, Mapping):
        for key in ("name", "number"):
            if isinstance(entry.get(key), str | int):
                return str(entry[key])
    return str(number)


def _is_passed_over(name: str, old: Any, new: Any) -> bool:
    """Whether a value may differ between machines though nothing that was found does."""
    hashes = all(isinstance(one, str) and len(one) == 64 for one in (old, new))
    return name in _DECODER or (name in _HASHES and hashes)


def _same(old: Any, new: Any, tolerance: float) -> bool:
    if isinstance(old, bool) or isinstance(new, bool) or old is None or new is None:
        return old is new
    if isinstance(old, int | float) and isinstance(new, int | float):
        return _near(float(old), float(new), tolerance)
    if isinstance(old, str) and isinstance(new, str):
        return old == new or (tolerance > 0 and _nearly_the_same(old, new, tolerance))
    return bool(old == new)


def _near(old: float, new: float, tolerance: float) -> bool:
    if not (math.isfinite(old) and math.isfinite(new)):
        return str(old) == str(new)
    return abs(old - new) <= tolerance * max(1.0, abs(old), abs(new))


def _nearly_the_same(old: str, new: str, tolerance: float) -> bool:
    """Whether two texts differ in numbers only, and these by little, or by how they are rounded."""
    if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
        return False
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    return all(
        abs(float(one) - float(other))
        <= tolerance * max(1.0, abs(float(one)), abs(float(other))) + 10.0 ** -_decimals(one, other)
        for one, other in pairs
    )


def _decimals(one: str, other: str) -> int:
    return min(len(text.partition(".")[2]) for text in (one, other))


def _shown(value: Any) -> str:
    if value is None or isinstance(value, Mapping) or _is_list(value):
        return "nothing" if not value else "a whole section"
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
