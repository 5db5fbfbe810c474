"""Prompts as JSON values: the one spelling of them in records, queues and the autosave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_safire.images.records.head import EXAMINATION_FORMAT, mapping_in
from napari_safire.types import PointPrompt

Role = Literal["representative", "point", "exclude", "grid"]


@dataclass(frozen=True, slots=True)
class RecordedPrompt:
    """A prompt of a record.

    Parameters
    ----------
    row, col : float
        Position in image pixels.
    source : int
        Its source, as the labels count them; -1 for none.
    confidence : float
        NaN where the record has none.
    role : {"representative", "point", "exclude", "grid"}
        "representative" stands for its source, "point" was chosen by the user, "exclude" is
        subtracted from its source.
    index : tuple of int
        Position in a stack.
    live : bool
        Whether its region was still a preview.
    """

    row: float
    col: float
    source: int = -1
    confidence: float = math.nan
    role: Role = "point"
    index: tuple[int, ...] = ()
    live: bool = False


def prompt_record(point: PointPrompt, source: int, exclude: bool, live: bool) -> dict[str, Any]:
    """Make JSON values of a prompt of a source.

    Parameters
    ----------
    point : PointPrompt
    source : int
    exclude : bool
        Whether its region is taken away from the source.
    live : bool
        Whether its region is still a preview.

    Returns
    -------
    dict
    """
    return {
        "row": float(point.row),
        "col": float(point.col),
        "source": int(source),
        "exclude": bool(exclude),
        "live": bool(live),
    }


def prompt_values(record: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Take a prompt apart, as `prompt_record` made it; nothing is checked.

    Files that were kept before the spelling was one hold lists of the five values.

    Parameters
    ----------
    record : dict or list

    Returns
    -------
    row, col, source, exclude, live

    Raises
    ------
    KeyError, TypeError, ValueError
        It is no prompt.
    """
    if isinstance(record, Mapping):
        return (
            record["row"],
            record["col"],
            record.get("source", -1),
            record.get("exclude", False),
            record.get("live", False),
        )
    if not isinstance(record, (list, tuple)):
        raise TypeError("a prompt is neither a table nor a list")
    row, col, source, exclude, live = record
    return row, col, source, exclude, live


def recorded_prompts(record: Mapping[str, Any]) -> Iterator[RecordedPrompt]:
    """Read all prompts of a record, of either format.

    Parameters
    ----------
    record : mapping
        As `read_record` gives it.

    Yields
    ------
    RecordedPrompt

    Raises
    ------
    KeyError, TypeError, ValueError
        The record is damaged.
    """
    if record["format"] != EXAMINATION_FORMAT:
        for prompt in mapping_in(record, "layer").get("prompts") or ():
            row, col, source, exclude, live = prompt_values(prompt)
            yield RecordedPrompt(
                *_position(row, col),
                int(source),
                _known(prompt.get("confidence")),
                "exclude" if exclude else "point",
                tuple(int(n) for n in prompt.get("index", ())),
                bool(live),
            )
        return
    partition = record.get("partition") or {}
    for source in partition.get("sources", ()):
        confidence = _known(source["confidence"])
        yield RecordedPrompt(
            *_position(*source["prompt"]), int(source["source"]), confidence, "representative"
        )
    for region in record.get("regions", ()):
        yield RecordedPrompt(*_position(*region["prompt"]), confidence=_known(region["confidence"]))
    grid = zip(partition.get("prompts", ()), partition.get("prompt_sources", ()), strict=True)
    for place, source in grid:
        yield RecordedPrompt(*_position(*place), int(source), role="grid")


def _position(row: Any, col: Any) -> tuple[float, float]:
    position = float(row), float(col)
    if not all(map(math.isfinite, position)):
        raise ValueError(f"a prompt lies at {position}")
    return position


def _known(number: float | None) -> float:
    return math.nan if number is None else float(number)
