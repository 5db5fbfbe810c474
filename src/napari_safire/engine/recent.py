"""The last few results of a kind, for several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Holds what was used last.

    Parameters
    ----------
    most : callable
        Says how many are held; may change its mind.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> tuple[Value, ...]:
        """All that is held, what was used last at the end."""
        with self._lock:
            return tuple(self._values.values())

    def get(self, *keys: Hashable) -> Value | None:
        """Return the value of the first key that has one."""
        with self._lock:
            for key in keys:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
        return None

    def put(self, key: Hashable, value: Value) -> None:
        """Hold a value; what was used longest ago goes."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most():
                self._values.popitem(last=False)
