"""The way back from a worker thread to Qt's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]


class GuiThread(QObject):
    """Makes calls in the thread it was made in, one after the other, from its event loop.

    It has no parent on purpose: a worker that ends after the dock was closed still finds it. Take
    `gui_thread`, which lives as long as the program: one that a worker were the last to hold would
    be deleted in the wrong thread.
    """

    _called = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._called.connect(_make, Qt.ConnectionType.QueuedConnection)

    def deliver(self, call: Callable[[], None]) -> None:
        """Make a call in this object's thread, soon; callable from any thread."""
        self._called.emit(call)


@cache
def gui_thread() -> GuiThread:
    """Return the one way back; to be asked for in Qt's thread."""
    return GuiThread()


def _make(call: Callable[[], None]) -> None:
    call()
