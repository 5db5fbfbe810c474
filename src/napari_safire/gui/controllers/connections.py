"""Every (signal, slot) pair in one list, so that closing undoes all of them.

Closing a dock in napari sends no close event to its widget (napari issue 8071): callbacks that
stay connected pile up and act on layers that are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Connections:
    """Connections of one owner to napari events, psygnal signals or Qt signals."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Callable[..., Any]]] = []
        self._times_undone = 0

    def connect(self, signal: Any, slot: Callable[..., Any], **options: Any) -> None:
        """Connect and remember; options are those of the signal's own `connect`."""
        signal.connect(slot, **options)
        self._pairs.append((signal, slot))

    def while_connected(
        self, slot: Callable[[T], None], otherwise: Callable[[T], None] | None = None
    ) -> Callable[[T], None]:
        """Let an answer go to a slot while nothing was disconnected, and elsewhere after that.

        For what the session is asked by one of several docks: it outlives the dock.
        """
        times_undone = self._times_undone

        def call(answer: T) -> None:
            if self._times_undone == times_undone:
                slot(answer)
            elif otherwise is not None:
                otherwise(answer)

        return call

    def while_connected_call(self, call: Callable[[], None]) -> Callable[[], None]:
        """The same, for what takes no answer."""
        slot = self.while_connected(lambda _: call())
        return lambda: slot(None)

    def disconnect(self) -> None:
        """Undo all; signals of objects that are gone are none any more."""
        for signal, slot in self._pairs:
            try:
                signal.disconnect(slot)
            except (RuntimeError, TypeError, ValueError, KeyError):
                continue  # deleted by Qt, or disconnected by its own owner
        self._pairs.clear()
        self._times_undone += 1

    def __len__(self) -> int:
        return len(self._pairs)
