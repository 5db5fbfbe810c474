"""Work done by threads a little ahead of whoever takes its results, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_WORKERS = 4


def ahead(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Tell what a function gives for each item, in their order; a few are worked on ahead.

    Parameters
    ----------
    function : callable
        Called in threads. What it raises is raised here, in its turn.
    items : iterable

    Yields
    ------
    object
    """
    left = iter(items)
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(_WORKERS, "napari-safire-ahead") as threads:

        def begin(number: int) -> None:
            waiting.extend(threads.submit(function, item) for item in islice(left, number))

        try:
            begin(2 * _WORKERS)
            while waiting:
                result = waiting.popleft().result()
                begin(1)
                yield result
        finally:
            for future in waiting:
                future.cancel()
