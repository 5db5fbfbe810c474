"""Results of views that were made already, so that dock, examination and command line share them.

Kept in memory only, the least recently asked ones go first. A result's key holds all that it rests
on: pixels, file, view, number of the algorithm, parameters. What several views and copies of a
picture rest on, such as the votes for its grid, is kept beside them (`BASES`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_safire.errors import Cancelled
from napari_safire.progress import Cancel

_LIMIT = 512 * 2**20
_LIMIT_OF_BASES = 128 * 2**20
_WAIT = 0.05  # seconds between two questions whether to stop
_Result = TypeVar("_Result")


class ResultCache:
    """Results by key, as many as fit; safe for threads.

    Parameters
    ----------
    limit : int
        Bytes of all arrays together. The latest result stays even if it alone is larger.
    beside : ResultCache, optional
        Cleared with this one.
    """

    def __init__(self, limit: int = _LIMIT, beside: ResultCache | None = None) -> None:
        self.limit = limit
        self._beside = beside
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._making: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that are kept."""
        with self._lock:
            return sum(size for _, size in self._results.values())

    def known(self, key: Hashable) -> Any | None:
        """Return a result that is kept, or None."""
        with self._lock:
            return self._take(key)

    def obtain(
        self, key: Hashable, make: Callable[[], _Result], cancel: Cancel | None = None
    ) -> _Result:
        """Return a result that is kept, or make it; a second thread waits for the first.

        Parameters
        ----------
        key : hashable
        make : callable
        cancel : callable, optional
            Asked while another thread makes it.

        Returns
        -------
        object
            Not to be changed; the key tells which type it has.

        Raises
        ------
        Cancelled
        """
        while True:
            with self._lock:
                found: _Result | None = self._take(key)
                if found is not None:
                    return found
                other = self._making.get(key)
                if other is None:
                    done = self._making[key] = threading.Event()
                    break
            while not other.wait(_WAIT):
                if cancel is not None and cancel():
                    raise Cancelled("Stopped while another thread made the same view.")
        try:
            result = make()
            with self._lock:
                self._keep(key, result)
            return result
        finally:
            with self._lock:
                del self._making[key]
            done.set()

    def clear(self) -> None:
        """Forget all results, and those beside."""
        if self._beside is not None:
            self._beside.clear()
        with self._lock:
            self._results.clear()

    def _take(self, key: Hashable) -> Any | None:
        found = self._results.get(key)
        if found is None:
            return None
        self._results.move_to_end(key)
        return found[0]

    def _keep(self, key: Hashable, result: Any) -> None:
        self._results[key] = result, size_of(result)
        total = sum(size for _, size in self._results.values())
        while total > self.limit and len(self._results) > 1:
            _, (_, size) = self._results.popitem(last=False)
            total -= size


BASES = ResultCache(_LIMIT_OF_BASES)
"""What several views rest on, of this process: large maps do not push it out."""
RESULTS = ResultCache(beside=BASES)
"""What views found, of this process."""


def size_of(value: Any) -> int:
    """Bytes of the arrays in a record."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if dataclasses.is_dataclass(value):
        return sum(size_of(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 0


def fingerprint(parameters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Tell parameters apart: arrays by their values, files by place, size and time of change."""
    return tuple((name, _told(value)) for name, value in sorted(parameters.items()))


def array_sha256(values: npt.NDArray[Any]) -> str:
    """SHA-256 of an array's shape, type and values."""
    digest = hashlib.sha256(f"{values.shape} {values.dtype.str}".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return array_sha256(value)
    if isinstance(value, str | os.PathLike) and value and Path(value).is_file():
        found = Path(value).stat()
        return f"{Path(value).absolute()} {found.st_size} {found.st_mtime_ns}"
    return getattr(value, "pixels_sha256", None) or repr(value)  # a picture, by its pixels
