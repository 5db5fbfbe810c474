"""How long a picture was worked on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

IDLE_S = 60.0
"""Seconds without any sign of work after which nobody is taken to work."""


class WorkedTime:
    """Counts the seconds between signs of work; a gap of more than `IDLE_S` does not count.

    Any thread may ask it.

    Parameters
    ----------
    clock : callable
        Seconds of a clock that never goes back.

    Examples
    --------
    >>> moments = iter([0.0, 10.0, 500.0, 530.0])
    >>> worked = WorkedTime(lambda: next(moments))
    >>> for _ in range(3):
    ...     worked.note()
    >>> worked.take()
    40.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: float | None = None
        self._seconds = 0.0

    def note(self) -> None:
        """Somebody works, at this moment."""
        with self._lock:
            self._count()

    def take(self) -> float:
        """Return the seconds since the last time, and count from nothing again."""
        with self._lock:
            self._count()
            seconds, self._seconds = self._seconds, 0.0
            return seconds

    def give_back(self, seconds: float) -> None:
        """Count seconds that were taken, and then kept nowhere."""
        with self._lock:
            self._seconds += seconds

    def _count(self) -> None:
        now = self._clock()
        if self._last is not None and now - self._last <= IDLE_S:
            self._seconds += now - self._last
        self._last = now
