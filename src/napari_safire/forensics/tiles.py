"""Large pictures strip by strip: bounded memory, and progress and a stop in between.

A function of pixels is asked for some rows at a time, with as many more on either side as its
filters reach, so that what it says of the strip's own rows is what it would say of the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from napari_safire.progress import Cancel, Progress, report

STRIP_PIXELS = 1_000_000
"""Pixels of a strip's own rows, about."""
_SAMPLED = 1_000_000
_JOBS = min(4, os.cpu_count() or 1)  # NumPy and SciPy leave the lock while they compute
_Value = TypeVar("_Value", bound=np.generic)
_Part = TypeVar("_Part")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows that are answered for, and rows that are looked at for it.

    Parameters
    ----------
    rows : slice
        Its own.
    seen : slice
        With those above and below that filters reach.
    """

    rows: slice
    seen: slice


def strips(
    shape: tuple[int, int], *, overlap: int = 0, multiple: int = 1, pixels: int | None = None
) -> tuple[Strip, ...]:
    """Divide a picture into strips.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    overlap : int
        Rows above and below that are looked at besides.
    multiple : int
        Strips begin at its multiples, so that blocks and cells stay whole.
    pixels : int, optional
        Of a strip's own rows, about; default `STRIP_PIXELS`.

    Returns
    -------
    tuple of Strip
        From top to bottom; together all rows, each once. The last takes what is less than one
        more multiple.
    """
    height, width = shape
    step = max(1, (pixels or STRIP_PIXELS) // (width * multiple)) * multiple
    beyond = -(-overlap // multiple) * multiple
    tops = [top for top in range(0, height, step) if top == 0 or height - top >= multiple]
    return tuple(
        Strip(slice(top, end), slice(max(0, top - beyond), min(height, end + beyond)))
        for top, end in zip(tops, [*tops[1:], height], strict=True)
    )


def by_strips(
    function: Callable[[slice], npt.NDArray[_Value]],
    shape: tuple[int, int],
    *,
    cell: int = 1,
    overlap: int = 0,
    multiple: int = 1,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    stage: str = "going through the picture",
    into: npt.NDArray[_Value] | None = None,
) -> npt.NDArray[_Value]:
    """Make a map of a picture strip by strip.

    Parameters
    ----------
    function : callable
        ``function(rows) -> values`` of these rows of the picture (a slice): an array with one row
        for each `cell` rows.
    shape : (int, int)
        Rows and columns of the picture.
    cell : int
        Pixels of the picture a side of one value.
    overlap, multiple : int
        Rows that the function's filters reach to either side; rows begin at multiples of this, and
        of the cell.
    progress : callable, optional
        Called once a strip.
    cancel : callable, optional
        Asked before each strip.
    stage : str
    into : (H, W) or (H, W, c) array, optional
        Takes the values where a value is a pixel; default: a new array.

    Returns
    -------
    (h, w) or (h, w, c) array
        What the function would give of all rows at once, of its type.

    Raises
    ------
    Cancelled
    """
    parts = strips(shape, overlap=overlap, multiple=int(np.lcm(cell, multiple)))
    whole, pieces = into, []
    with _threads(len(parts)) as pool:
        for number, part in enumerate(parts):
            report(progress, cancel, number, len(parts), stage)
            if number % _JOBS == 0:  # as many strips at a time as there are threads
                answers = pool.map(function, [one.seen for one in parts[number : number + _JOBS]])
            values = next(answers)[(part.rows.start - part.seen.start) // cell :]
            if number + 1 < len(parts):
                values = values[: (part.rows.stop - part.rows.start) // cell]
            if cell > 1:
                pieces.append(values)
                continue
            if whole is None:
                whole = np.empty((shape[0], *values.shape[1:]), values.dtype)
            whole[part.rows] = values
    return np.concatenate(pieces) if whole is None else whole


def of_each(function: Callable[[_Part], _Found], parts: Sequence[_Part]) -> list[_Found]:
    """Ask a function of each part, in several threads; answers come in the order of the parts."""
    with _threads(len(parts)) as pool:
        return list(pool.map(function, parts))


class _Here:
    """Stands for a pool where there is one strip only: no thread is worth it."""

    map = staticmethod(map)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor | _Here]:
    if count == 1 or _JOBS == 1:
        yield _Here()
        return
    with ThreadPoolExecutor(min(count, _JOBS), "strips") as pool:
        yield pool


def sampled(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Known values of a map, at most about a million from all over it: enough for its quantiles."""
    step = max(1, int((values.shape[0] * values.shape[1] / _SAMPLED) ** 0.5))
    few = values[::step, ::step]
    return few[np.isfinite(few)]
